"""File -> decoded pictures in display order, each with what its packet says; every failure is a BitstreamError."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags as CodecFlags
from av.container import InputContainer
from av.video.stream import VideoStream

from vssbench.codec.container import announced_end_s, codec_name, end_s, open_video
from vssbench.codec.ffmpeg_vectors import VECTOR_DTYPE, Vectors, raw_vectors
from vssbench.codec.h264_references import H264References, PictureOrder
from vssbench.codec.hevc.picture_buffer import CodedPicture
from vssbench.errors import BitstreamError
from vssbench.records import FrameType, Rgb

_FRAME_TYPES: dict[int, FrameType] = {1: "I", 2: "P", 3: "B", 4: "P", 5: "I", 6: "P", 7: "B"}  # AVPictureType
_SLICE_TYPES: tuple[FrameType, ...] = ("B", "P", "I")  # slice_type of HEVC
_SPRITE_PICTURE = 4  # MPEG-4 S-VOP: global motion, not described by block vectors


@dataclass(frozen=True, kw_only=True, eq=False)
class Packet:
    """What a coded picture says before it is decoded.

    Args:
        order: position in decoding order.
        size_bytes: its length.
        references: what its slice headers say of references (H.264); None where they were not read.
        coded: what our own reader says of it (HEVC), when it has got there; None where it was not asked.
    """

    order: int
    size_bytes: int
    references: PictureOrder | None = None
    coded: Future[CodedPicture | None] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A decoded picture before its vectors are understood.

    Args:
        index: position in display order.
        frame_type: "I", "P" or "B".
        packet: the coded picture.
        size: (height, width).
        rgb: (H, W, 3) uint8; empty where pixels were not asked for.
        vectors: (n,) structured as ffmpeg_vectors.VECTOR_DTYPE; empty where vectors were not asked for.
        coded: the picture with its motion, of HEVC; None where vectors were not asked for.
    """

    index: int
    frame_type: FrameType
    packet: Packet
    size: tuple[int, int]
    rgb: Rgb
    vectors: Vectors
    coded: CodedPicture | None = None

    @property
    def is_reference(self) -> bool:
        """Whether later pictures may predict from it."""
        references = self.packet.references
        return self.frame_type != "B" if references is None else references.is_reference


# FFmpeg's MPEG-4 decoder may hold one picture back and then flush it without its vectors, as if it were intra.
# Another packet, the stream's first because it needs no reference, pushes it out with them; its own picture is
# dropped. (libavcodec/h263dec.c, "special case for last picture"; FFmpeg 8.1)
_PUSH = object()


class Pictures:
    """The decoded pictures of a file in display order.

    Args:
        path: the file.
        with_vectors: read them; refuses pictures whose motion block vectors do not describe.
        with_references: read H.264 slice headers and HEVC whole; refuses streams that leave open what a vector
            points into, or that are damaged.
        with_pixels: convert them to RGB. HEVC is not decoded without this, for our own reader needs no pixels.
        damaged: of HEVC without pixels: instead of the first error stopping the reading, all of them are put here,
            and pictures whose vectors they cost come without motion.
    Raises: BitstreamError, while iterating, for every failure to read the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        with_vectors: bool,
        with_references: bool,
        with_pixels: bool,
        damaged: list[BitstreamError] | None = None,
    ) -> None:
        self._path = path
        self._damaged = damaged
        self._with_vectors = with_vectors
        self._with_references = with_references
        self._with_pixels = with_pixels
        self._num_read = 0
        self._num_packets = 0
        self._end_s = 0.0
        self._size: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[Picture]:
        with open_video(self._path) as (container, stream):
            reads_hevc = codec_name(stream) == "hevc" and (self._with_vectors or self._with_references)
            try:
                if reads_hevc and not self._with_pixels:
                    yield from self._read_hevc(container, stream)
                else:
                    self._configure(stream, reads_hevc=reads_hevc)
                    yield from self._decode(container, stream, reads_hevc=reads_hevc)
                self._require_all(stream)
            except BitstreamError as error:
                if self._damaged is None:
                    raise
                self._damaged.append(error)
            if self._num_read == 0:
                cause = f": {self._damaged[0]}" if self._damaged else ""
                raise BitstreamError(
                    f"{self._path}: no picture could be decoded; the file holds no usable video{cause}"
                )

    def _require_all(self, stream: VideoStream) -> None:
        """As many pictures as the container announces."""
        if stream.frames and self._num_packets < stream.frames:
            raise self._cut_short(f"its header announces {stream.frames}")
        announced_s = announced_end_s(stream)
        if stream.average_rate and self._end_s + 0.5 / float(stream.average_rate) < announced_s:
            raise self._cut_short(f"its header announces {announced_s:.3f} s, they last {self._end_s:.3f} s")

    def _configure(self, stream: VideoStream, *, reads_hevc: bool) -> None:
        context = stream.codec_context
        context.options = {"err_detect": "explode"} | ({"flags2": "+export_mvs"} if self._with_vectors else {})
        context.flags |= CodecFlags.unaligned  # else FFmpeg rounds the left edge of HEVC's conformance window
        context.copy_opaque = True  # carries each packet's facts to the picture decoded from it
        # One thread reports damage at the picture it is in. Of HEVC only the wavefront decoder, which needs two,
        # reports a picture that ends too early; but it fails on some conforming streams (slices cut inside rows),
        # and our own reader reports such a picture too.
        context.thread_count = 2 if codec_name(stream) == "hevc" and not reads_hevc else 1
        context.thread_type = "SLICE"

    def _decode(self, container: InputContainer, stream: VideoStream, *, reads_hevc: bool) -> Iterator[Picture]:
        with self._errors_located(), ExitStack() as stack:
            hevc = None
            if reads_hevc:
                from vssbench.codec.hevc_pictures import hevc_pictures  # takes a moment: it imports the compiler

                hevc = stack.enter_context(hevc_pictures(stream.codec_context.extradata))
            references = None
            if self._with_references and codec_name(stream) == "h264":
                references = H264References(stream.codec_context.extradata)
            last: Future[CodedPicture | None] | None = None
            for packet, facts in self._packets(container, stream):
                if facts is not None:
                    last = hevc.read(bytes(packet)) if hevc else None
                    packet.opaque = Packet(
                        order=facts.order,
                        size_bytes=facts.size_bytes,
                        references=references.read(bytes(packet)) if references else None,
                        coded=last,
                    )
                try:
                    frames = stream.codec_context.decode(packet)
                except av.FFmpegError:
                    if last is not None:
                        last.result()  # our reader says where the damage is
                    raise
                for frame in frames:
                    if frame.opaque is not _PUSH:
                        yield self._picture(frame)
                        self._num_read += 1
            if last is not None:
                last.result()  # damage in a picture that did not come out

    def _read_hevc(self, container: InputContainer, stream: VideoStream) -> Iterator[Picture]:
        from vssbench.codec.hevc.reader import HevcMotionReader  # takes a moment: it imports the compiler

        facts_of: dict[int, Packet] = {}  # by place in decoding order
        num_errors = 0
        with self._errors_located():
            reader = HevcMotionReader(stream.codec_context.extradata)
            for packet, facts in self._packets(container, stream):
                if facts is None:
                    reader.flush()
                else:
                    coded = reader.read_access_unit(bytes(packet))
                    if coded is not None and coded.is_output:
                        facts_of[coded.order] = facts
                if len(reader.errors) > num_errors and self._damaged is None:
                    raise reader.errors[0]
                if self._damaged is not None:
                    self._damaged += [BitstreamError(f"{self._path}: {error}") for error in reader.errors[num_errors:]]
                num_errors = len(reader.errors)
                for shown in reader.ready():
                    # only in damaged streams a packet holds several pictures; its size is then the last one's
                    found = facts_of.pop(shown.order, None) or Packet(order=shown.order, size_bytes=0)
                    yield self._hevc_picture(shown, found)
                    self._num_read += 1

    def _hevc_picture(self, coded: CodedPicture, facts: Packet) -> Picture:
        if coded.motion is not None:
            self._require_size(coded.motion.display_size)
        return Picture(
            index=self._num_read,
            frame_type=coded.motion.frame_type if coded.motion is not None else _SLICE_TYPES[coded.slice_type],
            packet=facts,
            size=self._size or (0, 0),
            rgb=np.empty((0, 0, 3), np.uint8),
            vectors=np.empty(0, VECTOR_DTYPE),
            coded=coded,
        )

    @contextmanager
    def _errors_located(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, EOFError, OSError) as error:
            raise self._cut_short(str(error)) from error
        except BitstreamError as error:
            if str(self._path) in str(error):
                raise
            raise BitstreamError(
                f"{self._path}: {error} (packet {self._num_packets}, after {self._num_read} frames)"
            ) from error

    def _packets(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[tuple[av.Packet[Any], Packet | None]]:
        """Every packet with its place and size; the last one is empty, which flushes the decoder."""
        first: bytes | None = None
        for packet in container.demux(stream):
            if packet.size:
                first = first or bytes(packet)
                facts = Packet(order=self._num_packets, size_bytes=packet.size)
                self._num_packets += 1
                self._end_s = max(self._end_s, end_s(packet))
                yield packet, facts
                continue
            if first and self._with_vectors and codec_name(stream) == "mpeg4":
                push: av.Packet[Any] = av.Packet(first)
                push.opaque = _PUSH
                yield push, None
            yield packet, None

    def _picture(self, frame: av.VideoFrame) -> Picture:
        frame_type = _frame_type(frame)
        packet = frame.opaque
        if not isinstance(packet, Packet):
            raise BitstreamError("a picture cannot be matched to its packet")
        coded = packet.coded.result() if packet.coded else None
        if packet.coded is not None and coded is None:
            raise BitstreamError("a picture came out of the decoder that our reader dropped")
        if coded is None:  # the HEVC reader sees to it itself
            self._require_start(frame_type, packet)
        if frame.is_corrupt:
            raise self._cut_short("a picture is damaged")
        size = (frame.height, frame.width)
        self._require_size(size)
        vectors = np.empty(0, VECTOR_DTYPE)
        if coded is not None:
            frame_type = coded.motion.frame_type
            if size != coded.motion.display_size:
                raise BitstreamError(
                    f"FFmpeg shows {size} (height, width) of what the SPS says is {coded.motion.display_size}"
                )
        elif self._with_vectors:
            self._require_block_motion(frame, packet)
            vectors = raw_vectors(frame)
        return Picture(
            index=self._num_read,
            frame_type=frame_type,
            packet=packet,
            size=size,
            rgb=_rgb(frame) if self._with_pixels else np.empty((0, 0, 3), np.uint8),
            vectors=vectors,
            coded=coded,
        )

    def _require_start(self, frame_type: FrameType, packet: Packet) -> None:
        if self._num_read == 0 and (frame_type != "I" or packet.order > 0):
            raise BitstreamError("the stream does not start with an I frame; cut it at one")

    def _require_size(self, size: tuple[int, int]) -> None:
        if self._size not in (None, size):
            raise BitstreamError(f"the frame size changes from {self._size} to {size} (height, width); split the file")
        self._size = size

    def _require_block_motion(self, frame: av.VideoFrame, packet: Packet) -> None:
        if packet.references is None and _frame_type(frame) == "B":
            raise BitstreamError(
                "of MPEG-4 Part 2's B frames FFmpeg exports zeros, not the vectors (libavcodec/h263dec.c keeps none); "
                "encode with b_frames=0, or as h264"
            )
        if int(frame.pict_type) == _SPRITE_PICTURE:
            raise BitstreamError("MPEG-4 sprite pictures (global motion) are not described by block vectors")
        if frame.interlaced_frame:
            raise BitstreamError("the video is interlaced: its vectors point into single fields")

    def _cut_short(self, cause: str) -> BitstreamError:
        return BitstreamError(
            f"{self._path}: cut short or damaged after {self._num_read} frames ({cause}); make the file again"
        )


def _rgb(frame: av.VideoFrame) -> Rgb:
    return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)


def _frame_type(frame: av.VideoFrame) -> FrameType:
    known = _FRAME_TYPES.get(int(frame.pict_type))
    if known is None:  # codecs without picture types tell key frames at least
        return "I" if frame.key_frame else "P"
    return known

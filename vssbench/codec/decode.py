"""Bitstream -> CompressedFrame: pixels, and the motion and residual that the bitstream says of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, get_args

import av
import numpy as np
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vssbench.codec.h264_references import H264References, PictureOrder
from vssbench.codec.motion import (
    LONGEST_DISTANCE_FRAMES,
    VECTOR_DTYPE,
    Sampling,
    Trace,
    Vectors,
    densify,
    raw_vectors,
)
from vssbench.codec.residual import Compensation, residual
from vssbench.errors import BitstreamError, UsageError
from vssbench.records import CompressedFrame, FrameType, Rgb

CODECS_WITH_VECTORS = (
    "h264",
    "mpeg4",
)  # of those that vssbench encodes, the ones whose vectors FFmpeg exports
_FRAME_TYPES: dict[int, FrameType] = {1: "I", 2: "P", 3: "B", 4: "P", 5: "I", 6: "P", 7: "B"}  # AVPictureType
_SPRITE_PICTURE = 4  # MPEG-4 S-VOP: global motion, not described by block vectors
_STILL_FORMATS = (
    "tty",
    "image2",
    "bin",
    "xbin",
    "adf",
    "idf",
)  # text and pictures that FFmpeg also opens as video


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a file's headers say of its video.

    Args:
        codec: FFmpeg's name of the codec, e.g. "h264".
        size: (height, width).
        fps: frames per second; NaN where the file does not say.
    """

    codec: str
    size: tuple[int, int]
    fps: float


def probe(path: str | PathLike[str]) -> VideoInfo:
    """The codec, size and frame rate of a video, from its headers alone.

    Raises: BitstreamError, when the file is missing, is no video, or does not say its size.
    """
    path = Path(path)
    with _open(path) as (_, stream):
        return _info(path, stream)


def decode(
    path: str | PathLike[str],
    *,
    motion: bool = False,
    motion_to_key: Sampling | None = None,
    residual: Compensation | None = None,
) -> Iterator[CompressedFrame]:
    """The frames of a video in display order, with the side information asked for.

    I frames have none. In P and B frames blocks without a vector are intra. `frames_back` counts frames in
    display order. Where a B block has two vectors, the one into the past is taken; one into the future has a
    negative `frames_back`. `motion_to_key` leads to the I frame before the frame in display order; paths
    through an intra block, or through a future frame of another GOP, are lost.

    Which frame a vector points into is not exported by FFmpeg. It is taken to be the neighbouring reference
    frame (not B) in display order. MPEG-4 Part 2 knows no other. H.264 does, so its slice headers are read,
    and a stream with several references a direction, reordered lists, B frames as references, or fields is
    refused, never guessed.

    A stream must start with an I frame, even where pixels alone are asked for: what decodes before it is made
    up. A file without an index that is cut exactly between two frames cannot be told from a shorter one.

    Args:
        path: a video file; its first video stream is read.
        motion: give `CompressedFrame.motion`.
        motion_to_key: "integer" or "subpel" gives `CompressedFrame.motion_to_key`; see `motion.Trace`.
        residual: "integer" or "bilinear" gives `CompressedFrame.residual`; see `residual.residual`.
    Raises: BitstreamError, at once when the file cannot be opened or its codec has no vectors to give (HEVC
        cannot be read yet); while reading when it is cut short, damaged, changes its size, or does not say
        its references. UsageError, for an unknown option.
    """
    for name, value, known in (
        ("motion_to_key", motion_to_key, get_args(Sampling)),
        ("residual", residual, get_args(Compensation)),
    ):
        if value is not None and value not in known:
            raise UsageError(f"{name} must be one of {', '.join(known)} or None, got {value!r}")
    wanted = _Wanted(motion=motion, motion_to_key=motion_to_key, residual=residual)
    path = Path(path)
    codec = probe(path).codec
    if wanted.any and codec not in CODECS_WITH_VECTORS:
        name = "HEVC" if codec == "hevc" else codec
        raise BitstreamError(
            f"{path}: {name} motion vectors cannot be read yet (FFmpeg's decoder exports none), and motion or "
            f"residual was asked for; encode as {' or '.join(CODECS_WITH_VECTORS)}, or ask for pixels alone"
        )
    return _frames(path, wanted)


def frame_types(path: str | PathLike[str], *, references: bool = False) -> list[FrameType]:
    """The type of every frame in display order, found by decoding all of it but converting no pixels.

    Args:
        path: a video file.
        references: also check, where that can be done, that it is certain which frame each vector points
            into.
    Raises: BitstreamError, as `decode`.
    """
    pictures = _Pictures(Path(path), with_vectors=False, with_references=references, with_pixels=False)
    return [picture.frame_type for picture in pictures]


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    motion: bool
    motion_to_key: Sampling | None
    residual: Compensation | None

    @property
    def any(self) -> bool:
        return self.motion or self.motion_to_key is not None or self.residual is not None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Packet:
    order: int  # in decoding order
    size_bytes: int
    references: PictureOrder | None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Picture:
    """A decoded picture before its vectors are understood."""

    index: int
    frame_type: FrameType
    packet: _Packet
    rgb: Rgb
    vectors: Vectors

    @property
    def is_reference(self) -> bool:
        references = self.packet.references
        return self.frame_type != "B" if references is None else references.is_reference


@dataclass(frozen=True, kw_only=True, eq=False)
class _Reference:
    """A reference picture, and the way from it to its I frame."""

    picture: _Picture
    key_index: int
    trace: Trace | None


def _frames(path: Path, wanted: _Wanted) -> Iterator[CompressedFrame]:
    pictures = _Pictures(path, with_vectors=wanted.any, with_references=wanted.any, with_pixels=True)
    if not wanted.any:
        for picture in pictures:
            yield _compressed_frame(picture)
        return
    past: _Reference | None = None
    waiting: list[_Picture] = []  # for the reference frame shown after them
    for picture in pictures:
        if not picture.is_reference:
            waiting.append(picture)
            continue
        with _located(path, picture.index):
            frame, reference = _describe(picture, wanted, past=past, future=None)
        for earlier in waiting:
            with _located(path, earlier.index):
                yield _describe(earlier, wanted, past=past, future=reference)[0]
        waiting.clear()
        yield frame
        past = reference
    for earlier in waiting:
        with _located(path, earlier.index):
            yield _describe(earlier, wanted, past=past, future=None)[0]


def _describe(
    picture: _Picture, wanted: _Wanted, *, past: _Reference | None, future: _Reference | None
) -> tuple[CompressedFrame, _Reference]:
    size = (picture.rgb.shape[0], picture.rgb.shape[1])
    if picture.frame_type == "I" or past is None:  # the first picture is an I picture: _Pictures sees to it
        sampling = wanted.motion_to_key
        trace = Trace.from_key_frame(size, sampling=sampling) if sampling else None
        return _compressed_frame(picture), _Reference(picture=picture, key_index=picture.index, trace=trace)
    if picture.frame_type == "P" or (future and future.picture.packet.order > picture.packet.order):
        future = None
    _require_known_references(picture, past, future)
    motion = densify(
        picture.vectors,
        size,
        past_distance_frames=picture.index - past.picture.index,
        future_distance_frames=future.picture.index - picture.index if future else None,
    )
    trace, to_key = None, None
    if past.trace is not None:
        same_gop = future is not None and future.key_index == past.key_index
        trace = past.trace.follow(motion, later=future.trace if future and same_gop else None)
        to_key = trace.motion_to_key(picture.index - past.key_index)
    difference = None
    if wanted.residual:
        later_rgb = future.picture.rgb if future else None
        difference = residual(
            picture.rgb, past.picture.rgb, motion, compensation=wanted.residual, later_reference_rgb=later_rgb
        )
    frame = CompressedFrame(
        rgb=picture.rgb,
        frame_type=picture.frame_type,
        index=picture.index,
        size_bytes=picture.packet.size_bytes,
        motion=motion if wanted.motion else None,
        motion_to_key=to_key,
        residual=difference,
    )
    return frame, _Reference(picture=picture, key_index=past.key_index, trace=trace)


def _require_known_references(picture: _Picture, past: _Reference, future: _Reference | None) -> None:
    """Refuse a picture whose reference lists do not open with its neighbours in display order."""
    distances = [picture.index - past.picture.index, future.picture.index - picture.index if future else 0]
    if max(distances) > LONGEST_DISTANCE_FRAMES:
        raise BitstreamError(f"references more than {LONGEST_DISTANCE_FRAMES} frames away are not supported")
    said = picture.packet.references
    if said is None:
        return
    last_decoded = past if future is None else future
    if said.previous_reference != last_decoded.picture.packet.order:
        raise BitstreamError(
            "a reference is not the neighbour in display order; FFmpeg does not export which frame it is"
        )


def _compressed_frame(picture: _Picture) -> CompressedFrame:
    return CompressedFrame(
        rgb=picture.rgb,
        frame_type=picture.frame_type,
        index=picture.index,
        size_bytes=picture.packet.size_bytes,
    )


class _Pictures:
    """The decoded pictures of a file in display order; every failure to read it is a BitstreamError."""

    def __init__(self, path: Path, *, with_vectors: bool, with_references: bool, with_pixels: bool) -> None:
        self._path = path
        self._with_vectors = with_vectors
        self._with_references = with_references
        self._with_pixels = with_pixels
        self._num_read = 0
        self._num_packets = 0
        self._end_s = 0.0
        self._size: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[_Picture]:
        with _open(self._path) as (container, stream):
            context = stream.codec_context
            context.options = {"err_detect": "explode"} | ({"flags2": "+export_mvs"} if self._with_vectors else {})
            context.copy_opaque = True  # carries each packet's facts to the picture decoded from it
            # One thread reports damage at the picture it is in; but only HEVC's wavefront decoder, which
            # needs two, reports a picture that ends too early.
            context.thread_count = 2 if _codec_name(stream) == "hevc" else 1
            context.thread_type = "SLICE"
            yield from self._decode(container, stream)
            if stream.frames and self._num_packets < stream.frames:
                raise self._cut_short(f"its header announces {stream.frames}")
            announced_s = _announced_end_s(stream)
            if stream.average_rate and self._end_s + 0.5 / float(stream.average_rate) < announced_s:
                raise self._cut_short(f"its header announces {announced_s:.3f} s, they last {self._end_s:.3f} s")
            if self._num_read == 0:
                raise BitstreamError(f"{self._path}: no picture could be decoded; the file holds no usable video")

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[_Picture]:
        references = None
        try:
            if self._with_references and _codec_name(stream) == "h264":
                references = H264References(stream.codec_context.extradata)
            for packet in container.demux(stream):
                if packet.size:  # the last packet is empty: it flushes the decoder
                    said = references.read(bytes(packet)) if references else None
                    packet.opaque = _Packet(order=self._num_packets, size_bytes=packet.size, references=said)
                    self._num_packets += 1
                    self._end_s = max(self._end_s, _end_s(packet))
                for frame in packet.decode():
                    yield self._picture(frame)
                    self._num_read += 1
        except (av.FFmpegError, EOFError, OSError) as error:
            raise self._cut_short(str(error)) from error
        except BitstreamError as error:
            if str(self._path) in str(error):
                raise
            raise BitstreamError(
                f"{self._path}: {error} (packet {self._num_packets}, after {self._num_read} frames)"
            ) from error

    def _picture(self, frame: av.VideoFrame) -> _Picture:
        frame_type = _frame_type(frame)
        packet = frame.opaque
        if not isinstance(packet, _Packet):
            raise BitstreamError("a picture cannot be matched to its packet")
        if self._num_read == 0 and (frame_type != "I" or packet.order > 0):
            raise BitstreamError("the stream does not start with an I frame; cut it at one")
        if frame.is_corrupt:
            raise self._cut_short("a picture is damaged")
        size = (frame.height, frame.width)
        if self._size not in (None, size):
            raise BitstreamError(f"the frame size changes from {self._size} to {size} (height, width); split the file")
        self._size = size
        if self._with_vectors:
            self._require_block_motion(frame)
        return _Picture(
            index=self._num_read,
            frame_type=frame_type,
            packet=packet,
            rgb=_rgb(frame) if self._with_pixels else np.empty((0, 0, 3), np.uint8),
            vectors=raw_vectors(frame) if self._with_vectors else np.empty(0, VECTOR_DTYPE),
        )

    def _require_block_motion(self, frame: av.VideoFrame) -> None:
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


def _end_s(packet: av.Packet[Any]) -> float:
    return float(((packet.pts or 0) + (packet.duration or 0)) * packet.time_base)


def _announced_end_s(stream: VideoStream) -> float:
    """Matroska counts no frames, but FFmpeg and mkvmerge write where each stream ends; 0 where nobody did."""
    try:
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except (KeyError, ValueError):
        return 0.0


def _frame_type(frame: av.VideoFrame) -> FrameType:
    known = _FRAME_TYPES.get(int(frame.pict_type))
    if known is None:  # codecs without picture types tell key frames at least
        return "I" if frame.key_frame else "P"
    return known


@contextmanager
def _open(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    if not path.is_file():
        raise BitstreamError(f"{path}: no such video file (0 frames were read)")
    try:
        container = av.open(str(path), mode="r")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BitstreamError(
            f"{path}: no video, or cut short before its first frame (0 frames were read): {error}"
        ) from error
    with container:
        still = container.format.name in _STILL_FORMATS or container.format.name.endswith("_pipe")
        streams = [stream for stream in container.streams.video if not _is_cover(stream)]
        if still or not streams:
            raise BitstreamError(f"{path}: holds no video stream (0 frames were read)")
        if not _has_decoder(streams[0]):
            raise BitstreamError(f"{path}: no decoder for its video, or headers cut short (0 frames were read)")
        yield container, streams[0]


def _has_decoder(stream: VideoStream) -> bool:
    context: VideoCodecContext | None = stream.codec_context
    return context is not None


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _codec_name(stream: VideoStream) -> str:
    return stream.codec_context.codec.canonical_name


def _info(path: Path, stream: VideoStream) -> VideoInfo:
    rate = stream.average_rate or stream.guessed_rate
    size = (stream.codec_context.height, stream.codec_context.width)
    if min(size) <= 0:
        raise BitstreamError(
            f"{path}: the video does not say its size, it is cut short or damaged (0 frames were read)"
        )
    return VideoInfo(codec=_codec_name(stream), size=size, fps=float(rate) if rate else float("nan"))


@contextmanager
def _located(path: Path, index: int) -> Iterator[None]:
    """Adds the clip and frame to an error about a frame's vectors."""
    try:
        yield
    except BitstreamError as error:
        raise BitstreamError(f"{path}: frame {index}: {error}") from error

"""Bitstream -> CompressedFrame: pixels, and the motion and residual that the bitstream says of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import get_args

from av.video.stream import VideoStream

from vssbench.codec.motion import LONGEST_DISTANCE_FRAMES, Sampling, Trace, densify
from vssbench.codec.pictures import Picture, Pictures, codec_name, open_video
from vssbench.codec.residual import Compensation, residual
from vssbench.errors import BitstreamError, UsageError
from vssbench.records import CompressedFrame, FrameType

CODECS_WITH_VECTORS = ("h264", "mpeg4")  # of those that vssbench encodes, the ones whose vectors FFmpeg exports


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
    with open_video(path) as (_, stream):
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
    refused, never guessed. So are MPEG-4's B frames, of which FFmpeg exports zeros instead of vectors.

    Damage is reported where FFmpeg notices it; almost any bytes decode as H.264 or HEVC, so it may not.
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
    pictures = Pictures(Path(path), with_vectors=False, with_references=references, with_pixels=False)
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
class _Reference:
    """A reference picture, and the way from it to its I frame."""

    picture: Picture
    key_index: int
    trace: Trace | None


def _frames(path: Path, wanted: _Wanted) -> Iterator[CompressedFrame]:
    pictures = Pictures(path, with_vectors=wanted.any, with_references=wanted.any, with_pixels=True)
    if not wanted.any:
        for picture in pictures:
            yield _compressed_frame(picture)
        return
    past: _Reference | None = None
    waiting: list[Picture] = []  # for the reference frame shown after them
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
    picture: Picture, wanted: _Wanted, *, past: _Reference | None, future: _Reference | None
) -> tuple[CompressedFrame, _Reference]:
    size = (picture.rgb.shape[0], picture.rgb.shape[1])
    if picture.frame_type == "I" or past is None:  # the first picture is an I picture: Pictures sees to it
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


def _require_known_references(picture: Picture, past: _Reference, future: _Reference | None) -> None:
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


def _compressed_frame(picture: Picture) -> CompressedFrame:
    return CompressedFrame(
        rgb=picture.rgb,
        frame_type=picture.frame_type,
        index=picture.index,
        size_bytes=picture.packet.size_bytes,
    )


def _info(path: Path, stream: VideoStream) -> VideoInfo:
    rate = stream.average_rate or stream.guessed_rate
    size = (stream.codec_context.height, stream.codec_context.width)
    if min(size) <= 0:
        raise BitstreamError(
            f"{path}: the video does not say its size, it is cut short or damaged (0 frames were read)"
        )
    return VideoInfo(codec=codec_name(stream), size=size, fps=float(rate) if rate else float("nan"))


@contextmanager
def _located(path: Path, index: int) -> Iterator[None]:
    """Adds the clip and frame to an error about a frame's vectors."""
    try:
        yield
    except BitstreamError as error:
        raise BitstreamError(f"{path}: frame {index}: {error}") from error

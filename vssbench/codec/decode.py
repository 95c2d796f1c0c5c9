"""Bitstream -> CompressedFrame: pixels, and the motion and residual that the bitstream says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import get_args

from av.video.stream import VideoStream

from vssbench.codec.block_motion import NEVER_SHOWN
from vssbench.codec.container import codec_name, open_video
from vssbench.codec.pictures import Picture, Pictures
from vssbench.codec.references import NO_KEY, ReferringPicture, in_display_order, referring_pictures
from vssbench.codec.residual import Compensation, residual
from vssbench.codec.trace import Sampling, Trace
from vssbench.errors import BitstreamError, UsageError
from vssbench.records import CompressedFrame, Rgb

CODECS_WITH_VECTORS = ("hevc", "h264", "mpeg4")


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

    I frames have none. In P and B frames blocks without a vector are intra. `frames_back` counts frames in display
    order, negative for a later reference. Where a B block has two vectors, the one into the past is taken and the
    other is in `motion.second`. `motion_to_key` leads to the last I frame up to the frame in display order, along
    the references that the bitstream names (AR-Seg, supplement A4); paths through an intra block, or through a
    frame of another GOP, are lost.

    HEVC is read by our own parser, beside FFmpeg's pixel decoder and in parallel to it: several references and
    B frames as references are followed as they are. Of MPEG-4 and H.264 FFmpeg exports vectors, but not which frame
    they point into; it is taken to be the neighbouring reference frame (not B) in display order. MPEG-4 Part 2
    knows no other. H.264 does, so its slice headers are read, and a stream with several references a direction,
    reordered lists, B frames as references, or fields is refused, never guessed. So are MPEG-4's B frames, of which
    FFmpeg exports zeros instead of vectors.

    Damage is reported where FFmpeg or our parser notices it; almost any bytes decode as H.264, so it may not.
    A motion field cannot point to a reference that is never shown (pic_output_flag 0 of HEVC): such a frame is
    refused, and `vectors.read_motion` reads it. A stream must start with an I frame, even where pixels alone are
    asked for: what decodes before it is made
    up. A file without an index that is cut exactly between two frames cannot be told from a shorter one.

    Args:
        path: a video file; its first video stream is read.
        motion: give `CompressedFrame.motion`.
        motion_to_key: "integer" or "subpel" gives `CompressedFrame.motion_to_key`; see `trace.Trace`.
        residual: "integer" or "bilinear" gives `CompressedFrame.residual`; see `residual.residual`.
    Raises: BitstreamError, at once when the file cannot be opened or its codec has no vectors to give; while
        reading when it is cut short, damaged, changes its size, or does not say its references. UsageError, for an
        unknown option.
    """
    for name, value, known in (
        ("motion_to_key", motion_to_key, get_args(Sampling)),
        ("residual", residual, get_args(Compensation)),
    ):
        if value is not None and value not in known:
            raise UsageError(f"{name} must be one of {', '.join(known)} or None, got {value!r}")
    wanted = _Wanted(motion=motion, motion_to_key=motion_to_key, residual=residual)
    path = Path(path)
    if wanted.any:
        require_vectors(path)
    else:
        probe(path)
    return _frames(path, wanted)


def require_vectors(path: Path) -> VideoInfo:
    """`probe`, of a video whose vectors can be read.

    Raises: BitstreamError, for a codec that no reader gives the vectors of, and as `probe`.
    """
    info = probe(path)
    if info.codec not in CODECS_WITH_VECTORS:
        raise BitstreamError(
            f"{path}: no reader gives the motion vectors of {info.codec}, and motion or residual was asked for; "
            f"encode as {' or '.join(CODECS_WITH_VECTORS)}, or ask for pixels alone"
        )
    return info


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    motion: bool
    motion_to_key: Sampling | None
    residual: Compensation | None

    @property
    def any(self) -> bool:
        return self.motion or self.motion_to_key is not None or self.residual is not None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Described:
    """A frame that others may refer to, and the way from it to its I frame."""

    rgb: Rgb
    key_index: int
    trace: Trace | None


def _frames(path: Path, wanted: _Wanted) -> Iterator[CompressedFrame]:
    pictures = Pictures(path, with_vectors=wanted.any, with_references=wanted.any, with_pixels=True)
    if not wanted.any:
        for picture in pictures:
            yield _compressed_frame(picture)
        return
    with located(path):
        yield from in_display_order(_described(pictures, wanted))


def _described(pictures: Pictures, wanted: _Wanted) -> Iterator[tuple[int, CompressedFrame]]:
    """Frames with their display indices, each after those that it refers to."""
    described: dict[int, _Described] = {}  # by display index
    for referring in referring_pictures(pictures):
        index = referring.picture.index
        frame, described[index] = _describe(referring, described, wanted)
        described = {kept: each for kept, each in described.items() if kept in referring.kept}
        yield index, frame


def _describe(
    referring: ReferringPicture, described: Mapping[int, _Described], wanted: _Wanted
) -> tuple[CompressedFrame, _Described]:
    picture, key_index, sampling = referring.picture, referring.key_index, wanted.motion_to_key
    if referring.blocks is None:
        start = Trace.from_key_frame(picture.size, sampling=sampling) if sampling else None
        return _compressed_frame(picture), _Described(rgb=picture.rgb, key_index=key_index, trace=start)
    if NEVER_SHOWN in referring.blocks.distances:
        raise BitstreamError(
            f"frame {picture.index}: it predicts from a picture that is never shown, to which motion cannot point; "
            "read its vectors with read_motion, or encode the video again"
        )
    motion = referring.blocks.dense()
    by_distance = {picture.index - reference: described[reference] for reference in referring.references}
    trace, to_key, difference = None, None, None
    if sampling:
        if key_index == NO_KEY:
            raise BitstreamError(
                f"frame {picture.index} is shown before the first I frame, to which its motion is to be traced; "
                "cut the stream at an I frame without leading pictures"
            )
        used = {distance: each for distance, each in by_distance.items() if distance in referring.blocks.distances}
        traces = {distance: each.trace if each.key_index == key_index else None for distance, each in used.items()}
        trace = Trace.through(motion, traces, sampling=sampling)
        to_key = trace.motion_to_key(picture.index - key_index)
    if wanted.residual:
        references = {distance: each.rgb for distance, each in by_distance.items()}
        difference = residual(picture.rgb, references, motion, compensation=wanted.residual)
    frame = CompressedFrame(
        rgb=picture.rgb,
        frame_type=picture.frame_type,
        index=picture.index,
        size_bytes=picture.packet.size_bytes,
        motion=motion if wanted.motion else None,
        motion_to_key=to_key,
        residual=difference,
    )
    return frame, _Described(rgb=picture.rgb, key_index=key_index, trace=trace)


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
def located(path: Path) -> Iterator[None]:
    """Adds the file to an error about a frame's vectors."""
    try:
        yield
    except BitstreamError as error:
        if str(path) in str(error):
            raise
        raise BitstreamError(f"{path}: {error}") from error

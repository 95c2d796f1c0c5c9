"""Frames -> bitstream in the form the methods assume, read back to make sure that it is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.stream import VideoStream

from vssbench.codec.decode import probe
from vssbench.codec.hevc.picture_motion import PictureMotion
from vssbench.codec.pictures import Pictures
from vssbench.errors import BitstreamError, ShapeError, UsageError
from vssbench.records import FrameType, Rgb

_ENCODERS = {"hevc": "libx265", "h264": "libx264", "mpeg4": "mpeg4"}
_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)  # of x264 and x265
_SUFFIXES = (".mp4", ".mkv")
# Without a bit rate: constant quality, the encoders' own defaults.
_X264_CRF = 23  # x264 --crf default
_X265_CRF = 28  # x265 --crf default
_MPEG4_QUANTISER = 4  # ours: MPEG-4 in FFmpeg has no default quality, only 200 kbps
_X265_LEAST_LOOKAHEAD = 5  # rc-lookahead of its ultrafast preset
_QP_TO_LAMBDA = 118  # libavutil/avutil.h, FF_QP2LAMBDA
_THREADS = 2  # fixed: rate control depends on it, so that another machine's cores would give another bitstream


@dataclass(frozen=True, kw_only=True)
class EncodeSettings:
    """How to encode: one reference frame, closed GOPs of a fixed length, no scene cuts.

    Args:
        codec: "hevc" (x265 with rect and amp, as AR-Seg), "h264" (x264) or "mpeg4" (MPEG-4 Part 2, FFmpeg's, as
            TapLab).
        gop_length: distance between I frames, in frames.
        bitrate_kbps: average rate (1 kbps = 1000 bit/s); None: constant quality (CRF 28 of HEVC, CRF 23
            of H.264, quantiser 4 of MPEG-4).
        preset: of x264 and x265; None: "medium". MPEG-4 has none.
        fps: frames per second.
        b_frames: B frames between reference frames; 0 gives I and P alone. Their vectors can be read in "hevc"
            and "h264" (see `decode`).
    Raises: UsageError, when a value is unknown or out of range.
    """

    codec: str
    gop_length: int = 12
    bitrate_kbps: float | None = None
    preset: str | None = None
    fps: float = 30.0
    b_frames: int = 0

    def __post_init__(self) -> None:
        _require_known("codec", self.codec, tuple(_ENCODERS))
        if self.preset is not None and self.codec == "mpeg4":
            raise UsageError(f"mpeg4 has no presets, got preset {self.preset!r}; leave it out")
        if self.preset is not None:
            _require_known("preset", self.preset, _PRESETS)
        for name, value, least in (("gop_length", self.gop_length, 1), ("b_frames", self.b_frames, 0)):
            if not isinstance(value, int) or value < least:
                raise UsageError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if self.b_frames > 16:
            raise UsageError(f"b_frames must be at most 16, the codecs' limit, got {self.b_frames}")
        if self.bitrate_kbps is not None and not 0 < self.bitrate_kbps < float("inf"):
            raise UsageError(f"bitrate_kbps must be positive, got {self.bitrate_kbps!r}; None is constant quality")
        if not 0 < self.fps < float("inf"):
            raise UsageError(f"fps must be positive, got {self.fps!r}")

    def condition(self) -> dict[str, Any]:
        """Everything that was chosen, defaults resolved, for the condition of a result."""
        chosen = asdict(self)
        if self.codec != "mpeg4":
            chosen["preset"] = self.preset or "medium"
        return chosen

    def frame_types(self, num_frames: int) -> list[FrameType]:
        """The type of every frame in display order; the last frame of a GOP is never B, which closes it."""
        types: list[FrameType] = []
        for index in range(num_frames):
            position = index % self.gop_length
            is_last = position == self.gop_length - 1 or index == num_frames - 1
            is_b = position % (self.b_frames + 1) != 0 and not is_last
            types.append("I" if position == 0 else "B" if is_b else "P")
        return types


def encode(frames: Iterable[Rgb], path: str | PathLike[str], *, settings: EncodeSettings) -> None:
    """Write frames as a video, then read it back: frame count, size, types and references must be as asked.

    Read-back is needed because FFmpeg ignores options it does not know, silently. On any failure the file is
    removed.

    Args:
        frames: each (H, W, 3) uint8, H and W even.
        path: ends in .mp4 or .mkv; overwritten.
        settings: see `EncodeSettings`.
    Raises: ShapeError, when frames are odd-sized, no RGB, or change their size; UsageError, when the path
        cannot be written; BitstreamError, when there are no frames, the encoder fails, or the stream is not
        as asked.
    """
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise UsageError(f"videos are written as {' or '.join(_SUFFIXES)}, got {path.name!r}")
    try:
        path.open("wb").close()
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    try:
        num_frames, size = _write(frames, path, settings)
        _require_as_asked(path, settings, num_frames, size)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _require_known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value in known:
        return
    aliases = {
        "h265": "hevc",
        "x265": "hevc",
        "x264": "h264",
        "avc": "h264",
        "divx": "mpeg4",
        "xvid": "mpeg4",
    }
    close = [aliases[value]] if value in aliases else difflib.get_close_matches(value, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise UsageError(f"unknown {name} {value!r}; {hint}choose from {', '.join(known)}")


def _write(frames: Iterable[Rgb], path: Path, settings: EncodeSettings) -> tuple[int, tuple[int, int]]:
    checked = _checked(frames)
    head = list(islice(checked, settings.b_frames + 2))
    if not head:
        raise BitstreamError(f"{path}: there are no frames to encode")
    size = (head[0].shape[0], head[0].shape[1])
    num_frames = 0
    try:
        with av.open(str(path), mode="w") as container:
            stream = _add_stream(container, settings, size, _longest_b_run(settings, len(head)))
            for rgb in chain(head, checked):
                picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
                picture.pts, picture.time_base = num_frames, 1 / _rate(settings.fps)
                container.mux(stream.encode(picture))
                num_frames += 1
            container.mux(stream.encode())
    except av.FFmpegError as error:
        raise BitstreamError(f"{path}: {settings} failed at frame {num_frames}: {error}") from error
    return num_frames, size


def _checked(frames: Iterable[Rgb]) -> Iterator[Rgb]:
    shape: tuple[int, ...] | None = None
    for index, rgb in enumerate(frames):
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise ShapeError(f"frame {index} must be (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}; convert it first")
        height, width = rgb.shape[:2]
        if height % 2 or width % 2 or not rgb.size:
            raise ShapeError(
                f"frame {index} is {height}x{width} (height x width), but 4:2:0 video needs even sides; "
                f"crop it to {height - height % 2}x{width - width % 2} or pad it to "
                f"{height + height % 2}x{width + width % 2}, and its labels alike"
            )
        if shape is not None and rgb.shape != shape:
            raise ShapeError(
                f"frame {index} is {height}x{width}, those before it {shape[0]}x{shape[1]} (height x width); "
                "a video has one size: resize or split it"
            )
        shape = rgb.shape
        yield np.ascontiguousarray(rgb)


def _rate(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)  # 30000/1001 is the finest rate in use


def _add_stream(container: Any, settings: EncodeSettings, size: tuple[int, int], b_frames: int) -> VideoStream:
    stream: VideoStream = container.add_stream(_ENCODERS[settings.codec], rate=_rate(settings.fps))
    stream.height, stream.width = size
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.gop_size = settings.gop_length
    context.max_b_frames = b_frames
    if settings.bitrate_kbps is not None:
        context.bit_rate = round(settings.bitrate_kbps * 1000)
    elif settings.codec == "mpeg4":
        context.global_quality = _MPEG4_QUANTISER * _QP_TO_LAMBDA
    # PyAV's default of slice threads would cut every picture into as many slices as there are cores.
    context.thread_type = "FRAME"
    context.thread_count = 1 if settings.codec == "mpeg4" else _THREADS
    context.options = _options(settings, b_frames)
    return stream


def _longest_b_run(settings: EncodeSettings, num_frames: int) -> int:
    """B frames fit only between an I frame and the P frame that ends the GOP or the video.

    Promising x265 more than that gives it undefined decoding times.
    """
    return max(0, min(settings.b_frames, settings.gop_length - 2, num_frames - 2))


def _options(settings: EncodeSettings, b_frames: int) -> dict[str, str]:
    length = settings.gop_length
    if settings.codec == "mpeg4":
        return {
            "flags": "+cgop" + ("" if settings.bitrate_kbps else "+qscale"),
            "mpv_flags": "+strict_gop",
            "sc_threshold": "1000000000",  # its default of 0 makes I frames of scene cuts
            "strict": "experimental",  # lifts a silent limit of 600 frames a GOP
        }
    shared = f"keyint={length}:min-keyint={length}:scenecut=0:open-gop=0:bframes={b_frames}:b-adapt=0:ref=1"
    options = {"preset": settings.preset or "medium"}
    if settings.codec == "h264":
        options["x264-params"] = f"{shared}:weightp=0:b-pyramid=none"
        return options | ({} if settings.bitrate_kbps else {"crf": str(_X264_CRF)})
    options["x265-params"] = (
        f"{shared}:weightp=0:b-pyramid=0:weightb=0:rect=1:amp=1:frame-threads={_THREADS}:log-level=none"
    )
    if b_frames >= _X265_LEAST_LOOKAHEAD and _PRESETS.index(options["preset"]) < _PRESETS.index("medium"):
        options["x265-params"] += ":rc-lookahead=20"  # medium's; x265 refuses one not above bframes
    return options | ({} if settings.bitrate_kbps else {"crf": str(_X265_CRF)})


def _require_as_asked(path: Path, settings: EncodeSettings, num_frames: int, size: tuple[int, int]) -> None:
    info = probe(path)
    if (info.codec, info.size) != (settings.codec, size):
        raise BitstreamError(f"{path}: asked for {settings.codec} of {size}, the stream is {info.codec} of {info.size}")
    expected = settings.frame_types(num_frames)
    most_references = 2 if _longest_b_run(settings, num_frames) else 1  # one a direction
    found: list[FrameType] = []
    for picture in Pictures(path, with_vectors=False, with_references=True, with_pixels=False):
        found.append(picture.frame_type)
        if picture.coded is not None:
            _require_hevc_as_asked(path, picture.index, picture.coded.motion, most_references=most_references)
    if found != expected:
        raise BitstreamError(
            f"{path}: the encoder ignored its settings: asked for {num_frames} frames {''.join(expected)}, "
            f"the stream has {len(found)} frames {''.join(found)}"
        )


def _require_hevc_as_asked(path: Path, index: int, motion: PictureMotion, *, most_references: int) -> None:
    if len(motion.references) > most_references:
        raise BitstreamError(
            f"{path}: x265 ignored ref=1: frame {index} has {len(motion.references)} references; "
            "use another build of PyAV"
        )
    if not motion.sps.amp_enabled_flag:  # x265 sets it only where it tries rectangular partitions too
        raise BitstreamError(f"{path}: x265 ignored rect=1:amp=1 (amp_enabled_flag 0); use another build of PyAV")

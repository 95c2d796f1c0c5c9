"""Source video -> streams whose key frames fall where a protocol wants them -> decoded frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from vssbench.codec.cache import EncodeCache
from vssbench.codec.decode import decode
from vssbench.codec.encode import EncodeSettings
from vssbench.codec.residual import Compensation
from vssbench.codec.trace import Sampling
from vssbench.errors import DatasetError, UsageError
from vssbench.records import CompressedFrame, SourceVideo

Protocol = Literal["per-distance", "single-stream"]
_CAMVID_PIXELS_A_SECOND = 720 * 960 * 30
_CITYSCAPES_PIXELS_A_SECOND = 1024 * 2048 * 17
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """A run of whole GOPs of a source video, encoded as one stream.

    Args:
        start, stop: frames start..stop-1 of the source; `start` becomes the stream's first key frame.
        tested: frame index in the source -> its distance to the key frame, in frames.
    """

    start: int
    stop: int
    tested: Mapping[int, int]


def cuts(
    annotated: Iterable[int], *, num_frames: int, gop_length: int, protocol: Protocol = "per-distance"
) -> list[Cut]:
    """Where to cut a video so that its annotated frames are tested as the protocol says.

    "per-distance" (AR-Seg, sec. 4.1 and supplement A3.3): every annotated frame p is tested once at every distance
    d = 0..L-1 to its key frame, the stream being cut so that a key frame falls at p - d. Frames that share a cut
    share one stream: for each of the L phases, the GOPs that hold an annotated frame, neighbours joined. A frame
    with fewer than L - 1 frames before it cannot be tested at every d and is left out, as AR-Seg does.
    "single-stream": one stream from frame 0 on; every annotated frame is tested once, where it falls.

    Args:
        annotated: frame indices with labels.
        num_frames: of the video.
        gop_length: L.

    Raises: DatasetError, when no frame can be tested, or one lies outside the video; UsageError, on an unknown
        protocol.
    """
    frames = sorted(annotated)
    if frames and not 0 <= frames[0] <= frames[-1] < num_frames:
        raise DatasetError(
            f"frames {frames[0]}..{frames[-1]} are annotated, but the video has {num_frames} frames, from 0 on; check "
            "the data with `vssbench data verify`"
        )
    if protocol == "single-stream":
        if not frames:
            raise DatasetError("no annotated frame to test; check the data with `vssbench data verify`")
        return [Cut(start=0, stop=num_frames, tested={p: p % gop_length for p in frames})]
    if protocol != "per-distance":
        raise UsageError(f"no protocol is called {protocol!r}; there are {', '.join(PROTOCOLS)}")
    testable = [p for p in frames if p >= gop_length - 1]
    if not testable:
        raise DatasetError(
            f"no annotated frame has the {gop_length - 1} frames before it that L = {gop_length} needs "
            f"(annotated: {frames[:5]}); use a shorter --gop, or --protocol single-stream"
        )
    return [
        cut
        for phase in range(gop_length)
        for cut in _cuts_of_phase(testable, phase, num_frames=num_frames, gop_length=gop_length)
    ]


def _cuts_of_phase(testable: list[int], phase: int, *, num_frames: int, gop_length: int) -> Iterator[Cut]:
    """The cuts whose key frames fall at phase, phase + L, ...: runs of GOPs that hold a tested frame."""
    gops = sorted({(p - phase) // gop_length for p in testable})
    runs: list[list[int]] = []
    for gop in gops:
        if runs and gop == runs[-1][-1] + 1:
            runs[-1].append(gop)
        else:
            runs.append([gop])
    for run in runs:
        start, stop = phase + run[0] * gop_length, min(phase + (run[-1] + 1) * gop_length, num_frames)
        tested = {p: (p - phase) % gop_length for p in testable if start <= p < stop}
        yield Cut(start=start, stop=stop, tested=tested)


@dataclass(frozen=True, kw_only=True)
class SideInformation:
    """What of a stream's side information is decoded, and how it is made.

    Args:
        motion: vectors to the reference frames.
        trace: how vectors are followed to the key frame; None where nobody needs them.
        compensation: of the residual; None where nobody needs it.
    """

    motion: bool = False
    trace: Sampling | None = None
    compensation: Compensation | None = None

    @classmethod
    def for_needs(
        cls, needs: Iterable[str], *, trace: Sampling = "integer", compensation: Compensation = "integer"
    ) -> SideInformation:
        """The least that serves every one of `needs` (see `records.Method.needs`).

        Raises: UsageError, when a need is none of "motion", "motion_to_key", "residual".
        """
        wanted = frozenset(needs)
        unknown = wanted - {"motion", "motion_to_key", "residual"}
        if unknown:
            raise UsageError(f"a method needs {sorted(unknown)}; there are motion, motion_to_key and residual")
        return cls(
            motion="motion" in wanted,
            trace=trace if "motion_to_key" in wanted else None,
            compensation=compensation if "residual" in wanted else None,
        )


def encoded(video: SourceVideo, cut: Cut, settings: EncodeSettings, cache: EncodeCache) -> Path:
    """The stream of a cut, encoded unless the cache has it."""
    return cache.get(video.content_key, cut.start, cut.stop, settings, video.read)


def frames_of(path: Path, side: SideInformation) -> Iterator[CompressedFrame]:
    """The decoded frames of a stream with the side information asked for."""
    return decode(path, motion=side.motion, motion_to_key=side.trace, residual=side.compensation)


def default_bitrate_kbps(size: tuple[int, int], fps: float) -> float:
    """AR-Seg's 3 Mbps for 720x960 at 30 frames/s and 5 Mbps for 1024x2048 at 17, carried to other sizes and rates.

    In between by a power of (pixels a second), beyond them by its 0.75th, the usual rule of thumb for equal quality:
    630 kbps for 360x480 at 15 frames/s. Rounded to 10 kbps, and at least that. 1 kbps = 1000 bit/s.
    Source: AR-Seg (CVPR 2023), section 4.1.
    """
    pixels_a_second = size[0] * size[1] * fps
    if pixels_a_second <= _CAMVID_PIXELS_A_SECOND:
        rate = 3000 * (pixels_a_second / _CAMVID_PIXELS_A_SECOND) ** 0.75
    elif pixels_a_second <= _CITYSCAPES_PIXELS_A_SECOND:
        share = math.log(pixels_a_second / _CAMVID_PIXELS_A_SECOND)
        share /= math.log(_CITYSCAPES_PIXELS_A_SECOND / _CAMVID_PIXELS_A_SECOND)
        rate = 3000 * (5000 / 3000) ** share
    else:
        rate = 5000 * (pixels_a_second / _CITYSCAPES_PIXELS_A_SECOND) ** 0.75
    return max(10.0, float(round(rate, -1)))

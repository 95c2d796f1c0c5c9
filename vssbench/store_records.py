"""What the store holds: cells, and for each its tested frames, its cost and its latency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Status = Literal["pending", "running", "done", "failed"]
AT_FULL_SHARE = " at full share"  # behind the name of a count of print, where a kind of step has a share


@dataclass(frozen=True, kw_only=True, eq=True)
class Cell:
    """One method under one condition: a row of the tables.

    Args:
        key: `store_schema.condition_key(condition)`; two runs of one key are the same measurement.
        method: full name, "arseg@0.5".
        family: "arseg".
        curves: the names of the curves this point lies on; empty for a method that is a single point.
        point: position on the curve (a scale, a share of frames); None where there is none.
        point_label: the point as figures write it, "0.5x", "10 %"; empty: the bare number.
        dataset: name of the data set.
        split: "val".
        network: name of the image network.
        codec: "h264", "mpeg4", "hevc".
        gop_length: L, frames from one key frame to the next.
        bitrate_kbps: None where the codec chose it.
        protocol: how the tested frames were placed in GOPs.
        class_names: of the K classes, in order; empty where unknown.
        partial: True where a limit left out a part of the split.
        condition: everything that was chosen, weights and code version included.
    """

    key: str
    method: str
    family: str
    curves: tuple[str, ...] = ()
    point: float | None = None
    point_label: str = ""
    dataset: str
    split: str
    network: str
    codec: str
    gop_length: int
    bitrate_kbps: float | None = None
    protocol: str = ""
    class_names: tuple[str, ...] = ()
    partial: bool = False
    condition: Mapping[str, Any] = field(default_factory=dict)


class FrameRow(NamedTuple):
    """One tested frame: `confusion` is (K, K) int64, rows true; `share` as in `records.Step`."""

    clip: str
    frame: int
    distance: int
    kind: str
    confusion: NDArray[np.int64]
    share: float | None = None


class StabilityRow(NamedTuple):
    """What one frame of a stream says of stability.

    `start` is the stream's first frame in the source video. `windows` are the (n, 5) counts of
    `metrics.consistency.ConsistencyRuns`, None where the frame has no label. `pairs` and `label_pairs` are the (K, K)
    counts of `metrics.warp_consistency.pair_confusion`, of the predictions and of the labels themselves, with the frame
    before; None where there is none, or no label.
    """

    clip: str
    start: int
    frame: int
    windows: NDArray[np.int64] | None
    pairs: NDArray[np.int64] | None
    label_pairs: NDArray[np.int64] | None


class Cost(NamedTuple):
    """The operations of one kind of frame.

    `macs` are the executed multiply-adds by kind of operator, `flops` twice these. A kind whose work has a share
    (`records.Step`) has them at share 0, and those at share 1 in `macs_at_full_share`. `uncounted` are the operators
    without a formula and their elements. `conventions` are the counts of print for the same frame by their name: MACs,
    or why there is none.
    """

    macs: dict[str, int]
    uncounted: dict[str, int]
    flops: dict[str, int]
    macs_at_full_share: dict[str, int] | None = None
    conventions: Mapping[str, int | str] = {}


class LatencySample(NamedTuple):
    """One timed step: distance to the key frame, kind of work, seconds.

    `pass_number` is which pass over the frames it was of; `device_seconds` its time between two events on the device,
    None where the device has no clock of its own.
    """

    distance: int
    kind: str
    seconds: float
    pass_number: int = 0
    device_seconds: float | None = None


class PhaseSample(NamedTuple):
    """The seconds of one part of one step (`latency.phases`); the parts of a step have its number."""

    number: int
    distance: int
    kind: str
    phase: str
    seconds: float


class Latency(NamedTuple):
    """Every timed step of a cell, and where it was timed.

    `facts` are what was found besides: `lookahead_frames`, `fps`, `needs`, `decode_s` and `decode_with_side_s` (passes,
    frames) in seconds, `outputs` (frames, kinds, pixels, differing, limit, share; null where the plain network itself
    was timed), `machine` (`latency.machine_state.summary_of`), `peak_memory_of` (kind -> bytes). A fact that is missing
    was not measured.
    """

    samples: list[LatencySample]
    environment: dict[str, Any]
    peak_memory_bytes: int | None
    peak_memory_kind: str | None
    phases: list[PhaseSample]
    facts: dict[str, Any]

"""How steady a cell's predictions are: video consistency, consistency along the codec's motion, and their ceilings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.intervals import SEED
from reports.work import Decided, Price, overall, prices_of
from vssbench.metrics.bootstrap import MINIMUM_CLIPS, ROUNDS, Statistic, interval, miou_statistic, ratio_statistic
from vssbench.metrics.bootstrap import resample as resampled
from vssbench.metrics.consistency import (
    EQ13,
    TOOLKIT,
    ConsistencyRule,
    mean_video_consistency,
    score_sums,
)
from vssbench.metrics.warp_consistency import pixel_agreement, warp_consistency
from vssbench.store import Cell, Cost, StabilityRow

WINDOWS = (8, 16)  # frames; VSPW's and TFC's
# The rules beside Eq. 13's own, by the end of their columns' names
RULES: Mapping[str, ConsistencyRule] = {
    "": EQ13,
    "_clips": ConsistencyRule(average="clips"),
    "_toolkit": TOOLKIT,
    "_correct": ConsistencyRule(correct=True),
}
KEY = "key"  # the kind of work of a frame that a method treats as a key frame
Stretches = Mapping[str, list[NDArray[np.int64]]]  # clip -> its runs of labelled frames, (T, n, 5) counts each


def stability_columns(rows: Iterable[StabilityRow]) -> dict[str, Any]:
    """The columns of a cell, all empty where nothing was noted.

    Args:
        rows: by clip, start and frame; taken one at a time, as (K, K) counts of every frame may not fit in memory.

    Returns:
        - `mvc8_percent` and so on by Eq. 13, `_low_percent` and `_high_percent` their 95 % interval over clips,
          `mvc8_clips_percent`, `_toolkit_percent`, `_correct_percent` by the other RULES, `mvc8_windows` their number;
        - `tc_percent`, with its interval, `tc_pixels_percent` (the share of visible pixels that keep their class),
          `tc_labels_percent` and `tc_labels_pixels_percent` (the labels' own: the ceiling), `tc_pairs` and
          `tc_labels_pairs` (pairs of frames: all, and those of which both have a label, which alone the ceiling is of);
        - `stability_note`: why one of them is missing.
    """
    pairs = _Pairs()
    stretches = _stretches(pairs.adding(rows))
    if not pairs.frames:
        return {"stability_note": ""}
    columns: dict[str, Any] = {}
    notes = []
    for n in WINDOWS:
        columns |= _window_columns(stretches, n)
        if not columns[f"mvc{n}_windows"]:
            notes.append(f"mVC{n} n/a: no {n} annotated frames in a row")
        elif np.isnan(columns[f"mvc{n}_toolkit_percent"]):
            notes.append(f"mVC{n} by the toolkit n/a: it leaves out the last window, and no clip has another")
    return {**columns, **pairs.columns(), "stability_note": "; ".join(notes)}


def key_frame_columns(costs: Mapping[str, Cost], decided: Decided, cell: Cell) -> dict[str, Any]:
    """GFLOPs of a frame of the kind KEY, and of the mean of all others.

    Unlike d = 0, which is where the stream has its I frames, this is where the method has its own key frames. A method
    without that kind has the same in both where all its frames are alike, and NaN in both where they are not.

    Returns: `gflops_keyframe`, `gflops_otherframe`, and `gflops_keyframe_note`: why they are missing. Only the note,
        empty, where the work of a kind was not counted.
    """
    prices = prices_of(costs)
    if not decided.kinds <= prices.keys():
        return {"gflops_keyframe_note": ""}
    of_all = 2 * overall(prices, decided, cell)
    if KEY not in prices:
        alike = of_all if len(prices) <= 1 else float("nan")
        note = "" if len(prices) <= 1 else f"key and non-key n/a: no kind of work is called {KEY} ({_listed(prices)})"
        return {"gflops_keyframe": alike, "gflops_otherframe": alike, "gflops_keyframe_note": note}
    key = 2 * prices[KEY].at(None)
    part = overall({kind: Price(float(kind == KEY)) for kind in prices}, decided, cell)
    others = overall({kind: Price(0.0) if kind == KEY else price for kind, price in prices.items()}, decided, cell)
    other = 2 * others / (1 - part) if part < 1 else key
    return {"gflops_keyframe": key, "gflops_otherframe": other, "gflops_keyframe_note": ""}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


class _Pairs:
    """The counts of pairs of frames, added up as the rows go by."""

    def __init__(self) -> None:
        self.frames = 0
        self._own: dict[str, NDArray[np.int64]] = {}  # clip -> (K, K), over which the interval is drawn
        self._labels: NDArray[np.int64] | None = None  # (K, K)
        self._numbers = {"tc_pairs": 0, "tc_labels_pairs": 0}

    def adding(self, rows: Iterable[StabilityRow]) -> Iterator[StabilityRow]:
        """Pass the rows on, each once it is counted."""
        for row in rows:
            self.frames += 1
            self._numbers["tc_pairs"] += row.pairs is not None
            self._numbers["tc_labels_pairs"] += row.label_pairs is not None
            if row.pairs is not None:
                self._own[row.clip] = _sum_of(self._own.get(row.clip), row.pairs)
            if row.label_pairs is not None:
                self._labels = _sum_of(self._labels, row.label_pairs)
            yield row

    def columns(self) -> dict[str, Any]:
        """The columns whose names begin with tc."""
        columns: dict[str, Any] = dict(self._numbers)
        own = None
        for of_clip in self._own.values():
            own = _sum_of(own, of_clip)
        for name, total in (("tc", own), ("tc_labels", self._labels)):
            if total is not None:
                columns[f"{name}_percent"] = 100 * warp_consistency(total)
                columns[f"{name}_pixels_percent"] = 100 * pixel_agreement(total)
        if len(self._own) >= MINIMUM_CLIPS:
            counts = np.stack(list(self._own.values()))[:, None]
            columns |= _interval("tc", miou_statistic(counts), len(counts))
        return columns


def _sum_of(total: NDArray[np.int64] | None, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return counts.copy() if total is None else total + counts


def _stretches(rows: Iterable[StabilityRow]) -> Stretches:
    """The counts of each clip's runs of consecutive labelled frames."""
    found: dict[str, list[list[NDArray[np.int64]]]] = {}
    last: tuple[str, int, int] | None = None
    for row in rows:
        if row.windows is None:
            continue
        if last != (row.clip, row.start, row.frame - 1):
            found.setdefault(row.clip, []).append([])
        found[row.clip][-1].append(row.windows)
        last = (row.clip, row.start, row.frame)
    return {clip: [np.stack(run) for run in runs] for clip, runs in found.items()}


def _window_columns(stretches: Stretches, n: int) -> dict[str, Any]:
    runs = [run for of_clip in stretches.values() for run in of_clip]
    columns: dict[str, Any] = {
        f"mvc{n}{name}_percent": 100 * mean_video_consistency(runs, n, rule=rule) for name, rule in RULES.items()
    }
    sums = np.array([np.sum([score_sums(run, n, rule=EQ13) for run in of], axis=0) for of in stretches.values()])
    columns[f"mvc{n}_windows"] = int(sums[:, 1].sum()) if len(sums) else 0
    if len(sums) >= MINIMUM_CLIPS:
        columns |= _interval(f"mvc{n}", ratio_statistic(sums[:, :1], sums[:, 1:]), len(sums))
    return columns


def _interval(name: str, statistic: Statistic, clips: int) -> dict[str, float]:
    def percent(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        values = 100 * np.asarray(statistic(weights))
        return values.reshape(len(weights))

    found = interval(resampled(percent, clips, rounds=ROUNDS, seed=SEED))
    return {f"{name}_low_percent": found.low, f"{name}_high_percent": found.high}

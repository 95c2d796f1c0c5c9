"""What the numbers might have been on other clips: intervals, and differences taken on the same draws of clips.

The store keeps the counts of every clip and distance; every cell of a setting is drawn from with one seed, so all
differences are paired. Work is drawn with accuracy, as methods that decide by content pay by content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vssbench.metrics.bd_rounds import (
    accuracy_at_cost_rounds,
    bd_accuracy_rounds,
    bd_cost_rounds,
    cost_at_accuracy_rounds,
)
from vssbench.metrics.bootstrap import (
    LEVEL,
    MINIMUM_CLIPS,
    ROUNDS,
    Interval,
    Resampled,
    combined,
    interval,
    miou_statistic,
    ratio_statistic,
    resample,
)

SEED = 0
FEW_CLIPS = 20  # below it intervals come out too narrow, see bootstrap.MINIMUM_CLIPS
MARK = "~"  # beside a number that is not separable from the anchor's
NAN = float("nan")
ClipWork = Mapping[
    str, NDArray[np.float64]
]  # clip -> (2, L): GMACs of the frames tested at each distance, and how many


@dataclass(frozen=True, kw_only=True, eq=False)
class CellRounds:
    """A cell's accuracy and work on the same draws of its clips; scalars.

    Args:
        clips: names, in the order in which they are drawn from.
        miou: in percent.
        gmacs: of a frame, mean over the GOP; None where a kind of frame was not counted.
    """

    clips: tuple[str, ...]
    miou: Resampled
    gmacs: Resampled | None


# ---- one cell ----


def draw_cell(
    confusions: Mapping[str, NDArray[np.int64]], work: ClipWork, *, pooled: bool
) -> tuple[CellRounds | None, dict[str, Any]]:
    """Draw the clips of a cell again and again.

    Args:
        confusions: clip -> (L, K, K) counts.
        work: clip -> (2, L), the GMACs of the frames tested at each distance, NaN where not known, and their number.
        pooled: of a single stream: counts and work are pooled over the distances.

    Returns:
        The rounds, None below MINIMUM_CLIPS clips; and the columns `miou_low_percent`, `miou_high_percent`,
        `miou_low_d0_percent` and so on, and `interval_note`: why there are none.
    """
    clips = tuple(sorted(confusions))
    if len(clips) < MINIMUM_CLIPS:
        return None, {}
    counts = np.stack([confusions[clip] for clip in clips])
    by_distance = _percent(resample(miou_statistic(counts, pooled=pooled), len(clips), rounds=ROUNDS, seed=SEED))
    miou = combined(_mean_of_distances, by_distance)
    found = interval(miou)
    columns = {"miou_low_percent": found.low, "miou_high_percent": found.high, "interval_note": found.reason}
    for distance in range(0 if pooled else counts.shape[1]):
        at = interval(combined(lambda values, d=distance: values[:, d], by_distance))
        columns |= {f"miou_low_d{distance}_percent": at.low, f"miou_high_d{distance}_percent": at.high}
    return CellRounds(clips=clips, miou=miou, gmacs=_gmacs(clips, work, pooled)), columns


def _percent(share: Resampled) -> Resampled:
    return combined(lambda values: 100 * values, share)


def _mean_of_distances(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values.mean(axis=1))


def _gmacs(clips: Sequence[str], work: ClipWork, pooled: bool) -> Resampled | None:
    gmacs, frames = np.stack([work[clip] for clip in clips], axis=1)
    if np.isnan(gmacs).any():
        return None
    if pooled:
        gmacs, frames = gmacs.sum(axis=1, keepdims=True), frames.sum(axis=1, keepdims=True)
    return resample(ratio_statistic(gmacs, frames), len(clips), rounds=ROUNDS, seed=SEED)


# ---- differences ----


def paired_interval(one: CellRounds | None, other: CellRounds | None) -> Interval:
    """Of the difference in mIoU, one minus other, in points."""
    reason = _not_paired([one, other])
    if reason or one is None or other is None:
        return Interval(low=NAN, high=NAN, reason=reason)
    return interval(combined(np.subtract, one.miou, other.miou))


def curve_interval(name: str, anchor: Sequence[CellRounds | None], method: Sequence[CellRounds | None]) -> Interval:
    """Of a difference between curves: `name` is a key of DIFFERENCES; in percent or points."""
    return _curve_interval(name, tuple(anchor), tuple(method))


# name -> the difference round by round, and its unit; of points the method's arrays have no axis of points
DIFFERENCES: Mapping[str, tuple[Callable[..., NDArray[np.float64]], float]] = {
    "bd_flops": (bd_cost_rounds, 100),
    "bd_miou": (bd_accuracy_rounds, 1),
    "point_flops": (cost_at_accuracy_rounds, 100),
    "point_miou": (accuracy_at_cost_rounds, 1),
}


@lru_cache(maxsize=256)  # rounds are told apart by identity; every table asks for the same differences
def _curve_interval(
    name: str, anchor: tuple[CellRounds | None, ...], method: tuple[CellRounds | None, ...]
) -> Interval:
    reason = _not_paired([*anchor, *method])
    cells = [cell for cell in (*anchor, *method) if cell is not None]
    work = [cell.gmacs for cell in cells if cell.gmacs is not None]
    if reason or len(work) < len(cells) or not cells:
        return Interval(low=NAN, high=NAN, reason=reason or "the work of a point is not known")
    function, unit = DIFFERENCES[name]
    first, single = len(anchor), name.startswith("point")

    def difference(*values: NDArray[np.float64]) -> NDArray[np.float64]:
        cost, accuracy = (np.stack(part, axis=1) for part in (values[: len(cells)], values[len(cells) :]))
        method_part = (cost[:, first], accuracy[:, first]) if single else (cost[:, first:], accuracy[:, first:])
        return unit * function(cost[:, :first], accuracy[:, :first], *method_part)

    return interval(combined(difference, *work, *(cell.miou for cell in cells)))


def _not_paired(cells: Sequence[CellRounds | None]) -> str:
    """Why the cells cannot be drawn from together; empty where they can."""
    drawn = {cell.clips for cell in cells if cell is not None}
    if any(cell is None for cell in cells):
        return "a point has no rounds"
    return "the points were tested on different clips" if len(drawn) > 1 else ""


def separable(found: Interval) -> str:
    """Of a difference: "no" where its interval holds 0, "yes" where it does not, empty where there is none."""
    return "" if np.isnan(found.low) else "no" if found.holds_zero else "yes"


def add_differences_to_best_anchor(frame: pd.DataFrame, groups: Sequence[pd.DataFrame], anchor: str) -> pd.DataFrame:
    """The rows with their difference in mIoU to the first row of the anchor's family in their group.

    Args:
        frame: with the columns `family`, `status`, `miou_percent` and `rounds`, in table order.
        groups: parts of it whose rows may be compared.
        anchor: the family's name.

    Returns:
        The frame with `miou_reference` (that row's method), `miou_difference_points`,
        `miou_difference_low_points`, `miou_difference_high_points` and `miou_separable`.
    """
    found: dict[Any, dict[str, Any]] = {}
    for rows in groups:
        best = rows[(rows["family"] == anchor) & (rows["status"] == "done")].head(1)
        for _, reference in best.iterrows():
            others = rows[rows.index != reference.name]
            found |= {index: _difference(row, reference) for index, row in others.iterrows()}
    names = ["miou_reference", "miou_difference_points"]
    names += ["miou_difference_low_points", "miou_difference_high_points", "miou_separable"]
    columns = pd.DataFrame([found.get(index, {}) for index in frame.index], columns=names, index=frame.index)
    for text in ("miou_reference", "miou_separable"):
        columns[text] = columns[text].astype(object).where(columns[text].notna(), "")
    return pd.concat([frame, columns.astype(dict.fromkeys(names[1:4], float))], axis=1)


def _difference(row: pd.Series, reference: pd.Series) -> dict[str, Any]:
    between = paired_interval(row["rounds"], reference["rounds"])
    return {
        "miou_reference": reference["method"],
        "miou_difference_points": row["miou_percent"] - reference["miou_percent"],
        "miou_difference_low_points": between.low,
        "miou_difference_high_points": between.high,
        "miou_separable": separable(between),
    }


# ---- notes ----


def interval_notes(rows: pd.DataFrame) -> list[str]:
    """How the intervals of a setting were made, or why there are none."""
    tested = rows.loc[rows["clips"] > 0, "clips"] if "rounds" in rows else pd.Series(dtype=int)
    if tested.empty:
        return []
    number = f"n = {tested.max():d} clip{'s' if tested.max() > 1 else ''}"
    if rows["rounds"].isna().all():
        return [f"{number}: no intervals, and no mark of what is separable; at least {MINIMUM_CLIPS} clips are needed."]
    reference = next((name for name in rows["miou_reference"] if name), "")
    notes = [
        f"{number}. {100 * LEVEL:.0f} % intervals: BCa bootstrap over clips, {ROUNDS:,} rounds, seed {SEED}, the same "
        f"draws for every method. {MARK} not separable from the anchor: the interval of the paired difference, of "
        f"mIoU to {reference or 'the anchor'}, of BD to the anchor's curve, holds 0."
    ]
    if tested.max() < FEW_CLIPS:
        notes.append(f"From fewer than {FEW_CLIPS} clips intervals come out too narrow.")
    return notes

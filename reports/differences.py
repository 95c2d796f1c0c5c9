"""How far curves and single points lie from the anchor's curve, and why where there is no number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reports.curves import ANCHOR, SETTING, curve_names, curve_points, settings
from reports.intervals import CellRounds, curve_interval, separable
from vssbench.errors import BdError, TooFewPointsError
from vssbench.metrics.bd import BdComparison, BdResult, bd_accuracy, bd_cost, compare
from vssbench.metrics.bd_point import accuracy_at_cost, cost_at_accuracy
from vssbench.metrics.curve_fit import INTERPOLATIONS

# name, its unit, the unit of what is held equal, by how much a value is multiplied, how it is found
_BD: tuple[tuple[str, str, str, int, Callable[..., BdResult]], ...] = (
    ("bd_flops", "percent", "percent", 100, bd_cost),
    ("bd_miou", "points", "gmacs", 1, bd_accuracy),  # both accuracies are in percent already
)
_TITLES = {"bd_flops": "BD-FLOPs", "bd_miou": "BD-mIoU"}
_ROW = [
    *("bd_flops_percent", "bd_flops_low_percent", "bd_flops_high_percent", "bd_flops_separable"),
    *("bd_flops_overlap_percent", "bd_miou_points", "bd_miou_low_points", "bd_miou_high_points"),
    *("bd_miou_separable", "bd_miou_overlap_percent", "bd_note"),
]
CURVE_COLUMNS = [
    *(*SETTING, "curve", "points", "anchor_points"),
    *(
        f"{name}_{column}"
        for name, unit, held, _, _ in _BD
        for column in (
            *(unit, f"low_{unit}", f"high_{unit}", "separable", f"pchip_{unit}", f"akima_{unit}", "spread_points"),
            *(f"shared_low_{held}", f"shared_high_{held}", "overlap_percent", f"fit_error_{unit}", "fall_percent"),
        )
    ),
    *("bd_note", "bd_interval_note"),
]
POINT_COLUMNS = [
    *(*SETTING, "method", "point_flops_percent", "point_flops_low_percent", "point_flops_high_percent"),
    *("point_flops_separable", "point_miou_points", "point_miou_low_points", "point_miou_high_points"),
    *("point_miou_separable", "point_note"),
]
NAN = float("nan")


def curve_differences(frame: pd.DataFrame) -> pd.DataFrame:
    """Bjontegaard differences of every curve to the anchor of its setting, one row a curve.

    Args:
        frame: as `summary.summarise` gives it.

    Returns:
        The columns CURVE_COLUMNS: `bd_flops_percent` (mean change of work at equal mIoU), `bd_miou_points`
        (mean change of mIoU at equal work), both by cubic fits, and for each of them

        - `low`, `high`: its interval over draws of the clips; `separable`: "no" where that holds 0;
        - `pchip`, `akima`: by curves through every point; `spread_points`: largest minus smallest of the three;
        - `shared_low`, `shared_high`: the range of mIoU or GMACs that both curves span, over which the mean is
          taken; `overlap_percent`: its share of the range that they span together;
        - `fit_error`: how far a point lies from its cubic at most, of both curves; `fall_percent`: how far a cubic
          falls back in the shared range, as a share of its rise, the worse of both.

        `bd_note` says why a number is NaN, by whichever fit, and where points cost more and are no more accurate;
        `bd_interval_note` why an interval is NaN. Points that are not done, or lack a cost or an accuracy, are left
        out.

    Source: AR-Seg, supplement A5.
    """
    rows = [
        setting | {"curve": curve} | _difference(curve_points(group, ANCHOR), curve_points(group, curve))
        for setting, group in settings(frame)
        for curve in curve_names(group)
        if curve != ANCHOR
    ]
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def _difference(anchor: pd.DataFrame, points: pd.DataFrame) -> dict[str, Any]:
    arrays = [rows[name].to_numpy(np.float64) for rows in (anchor, points) for name in ("gmacs_gop", "miou_percent")]
    row: dict[str, Any] = {"points": len(points), "anchor_points": len(anchor)}
    refusals: dict[str, BdError] = {}
    interval_notes: list[str] = []
    for name, unit, held, scale, measure in _BD:
        found = compare(measure, *arrays)
        row |= _by_interpolation(found, name, unit, held, scale)
        refusals |= _refusals(_TITLES[name], found)
        if "cubic" not in found.refusals:
            columns, note = _interval(name, unit, rounds_of(anchor), rounds_of(points))
            row |= columns
            interval_notes += [f"{_TITLES[name]}: no interval, {note}"] if note else []
    notes = [_refused(refusals), _falling(anchor), _falling(points)]
    return row | {"bd_note": "; ".join(filter(None, notes)), "bd_interval_note": "; ".join(interval_notes)}


def _refusals(title: str, found: BdComparison) -> dict[str, BdError]:
    """Number -> why it is missing: by the cubic, and by the other fits where they fail for another reason."""
    refusals = {title: found.refusals["cubic"]} if "cubic" in found.refusals else {}
    names = {"pchip": "PCHIP", "akima": "Akima"}
    for interpolation, error in found.refusals.items():
        if interpolation != "cubic" and type(error) is not type(found.refusals.get("cubic")):
            refusals[f"{title} by {names[interpolation]}"] = error
    return refusals


def _falling(points: pd.DataFrame) -> str:
    """Which points cost more, or as much, and are no more accurate, by rising cost; empty where there are none."""
    steps = zip(points.to_dict("records"), points.to_dict("records")[1:], strict=False)
    falls = [
        f"{two['method']} ({two['gmacs_gop']:.3f} GMACs, {two['miou_percent']:.2f} %) is no more accurate than "
        f"{one['method']} ({one['gmacs_gop']:.3f} GMACs, {one['miou_percent']:.2f} %)"
        for one, two in steps
        if two["miou_percent"] <= one["miou_percent"]
    ]
    if not falls:
        return ""
    return f"points that do not rise, which a cubic smooths and PCHIP and Akima follow: {', '.join(falls)}"


def _by_interpolation(found: BdComparison, name: str, unit: str, held: str, scale: int) -> dict[str, Any]:
    columns: dict[str, Any] = {f"{name}_spread_points": scale * found.spread}
    for interpolation in INTERPOLATIONS:
        column = f"{name}_{unit}" if interpolation == "cubic" else f"{name}_{interpolation}_{unit}"
        result = found.results.get(interpolation)
        columns[column] = NAN if result is None else scale * result.value
    if "cubic" in found.results:
        cubic = found.results["cubic"]
        error = max(cubic.fit_error)
        columns[f"{name}_fit_error_{unit}"] = 100 * np.expm1(error) if name == "bd_flops" else error
        columns[f"{name}_fall_percent"] = 100 * max(cubic.fall)
    for result in list(found.results.values())[:1]:  # all curves end at the same points
        low, high = result.interval
        columns[f"{name}_overlap_percent"] = 100 * result.overlap
        columns |= {f"{name}_shared_low_{held}": low, f"{name}_shared_high_{held}": high}
    return columns


def rounds_of(rows: pd.DataFrame) -> list[CellRounds | None]:
    """The rounds of every row; None where it has none."""
    return [None] * len(rows) if "rounds" not in rows else list(rows["rounds"])


def _interval(
    name: str, unit: str, anchor: Sequence[CellRounds | None], method: Sequence[CellRounds | None]
) -> tuple[dict[str, Any], str]:
    """The columns of an interval, and why there is none where the clips would do."""
    if all(cell is None for cell in (*anchor, *method)):
        return {f"{name}_separable": ""}, ""
    found = curve_interval(name, anchor, method)
    ends = {f"{name}_low_{unit}": found.low, f"{name}_high_{unit}": found.high}
    return ends | {f"{name}_separable": separable(found)}, found.reason


def _refused(refusals: Mapping[str, BdError]) -> str:
    """Why there are no numbers; a reason that two of them share is said once."""
    reasons: dict[Any, tuple[str, list[str]]] = {}
    for name, error in refusals.items():
        same = type(error) if isinstance(error, TooFewPointsError) else str(error)
        reasons.setdefault(same, (" ".join(str(error).split()), []))[1].append(name)
    return "; ".join(f"{' and '.join(names)} n/a: {reason}" for reason, names in reasons.values())


def add_curve_differences(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with the chief columns of `curve_differences` for the curve that each of them lies on.

    A point of several curves has no one difference: it keeps NaN and a `bd_note` that names them.
    """
    differences = curve_differences(frame)
    bd = [_of_row(row, differences) for _, row in frame.iterrows()]
    return pd.concat([frame, pd.DataFrame(bd, columns=_ROW, index=frame.index)], axis=1)


def _of_row(row: pd.Series, differences: pd.DataFrame) -> dict[str, Any]:
    curves = row["curves"].split()
    if curves == [ANCHOR]:
        return {"bd_note": ""}
    if len(curves) != 1:
        return {"bd_note": f"on several curves: {', '.join(curves)}" if curves else "a single point, on no curve"}
    same = differences["curve"] == curves[0]
    for name in SETTING:
        same &= (differences[name] == row[name]) | (differences[name].isna() & pd.isna(row[name]))
    found = differences[same].iloc[0]
    return {name: found[name] for name in _ROW}


def point_differences(frame: pd.DataFrame) -> pd.DataFrame:
    """Every single method against the fit of the anchor's curve in its setting, one row a method off that curve.

    Args:
        frame: as `summary.summarise` gives it.

    Returns:
        The columns POINT_COLUMNS: `point_flops_percent`, the change of work at the method's mIoU; `point_miou_points`,
        the change of mIoU at the method's work; intervals of both, and `point_note`: why a number is NaN.
    """
    rows = []
    for setting, group in settings(frame):
        anchor = curve_points(group, ANCHOR)
        done = group[(group["status"] == "done") & (group["family"] != ANCHOR)]
        for _, row in done.dropna(subset=["gmacs_gop", "miou_percent"]).iterrows():
            rows.append(setting | {"method": row["method"]} | _point_difference(anchor, row))
    return pd.DataFrame(rows, columns=POINT_COLUMNS)


def _point_difference(anchor: pd.DataFrame, row: pd.Series) -> dict[str, Any]:
    curve = [anchor[name].to_numpy(np.float64) for name in ("gmacs_gop", "miou_percent")]
    columns: dict[str, Any] = {}
    refusals: dict[str, BdError] = {}
    for name, unit, scale, title, measure in (
        ("point_flops", "percent", 100, "FLOPs at its mIoU", cost_at_accuracy),
        ("point_miou", "points", 1, "mIoU at its FLOPs", accuracy_at_cost),
    ):
        try:
            columns[f"{name}_{unit}"] = scale * measure(*curve, row["gmacs_gop"], row["miou_percent"]).value
        except BdError as error:
            refusals[title] = error
        else:
            columns |= _interval(name, unit, rounds_of(anchor), [row.get("rounds")])[0]
    return columns | {"point_note": _refused(refusals)}

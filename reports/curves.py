"""Rows that belong together: settings, the order of a table, and Bjontegaard differences between curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from vssbench.errors import NoOverlapError
from vssbench.metrics.bd import TooFewPointsError, bd_accuracy, bd_cost

ANCHOR = "constant"  # the family and the curve that the others are measured against
SETTING = ("dataset", "split", "network", "codec", "bitrate_kbps", "gop_length", "protocol", "partial")
_BD = ("bd_flops_percent", "bd_flops_overlap_percent", "bd_miou_points", "bd_miou_overlap_percent", "bd_note")
CURVE_COLUMNS = [*SETTING, "curve", "points", *_BD]
NAN = float("nan")


def settings(frame: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The groups of rows that may be compared with one another, each with what its rows share."""
    for values, rows in frame.groupby(list(SETTING), sort=True, dropna=False):
        yield dict(zip(SETTING, values, strict=True)), rows


def title_of(setting: Mapping[str, Any]) -> str:
    """The setting in one line, for titles."""
    rate = "" if pd.isna(setting["bitrate_kbps"]) else f" {setting['bitrate_kbps']:g} kbps"
    parts = [
        f"{setting['dataset']} {setting['split']}",
        setting["network"],
        f"{setting['codec']}{rate}",
        f"L = {setting['gop_length']}",
        setting["protocol"],
        "partial" if setting["partial"] else "",
    ]
    return ", ".join(part for part in parts if part)


def in_table_order(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows by setting: the anchor's family first, then by family and name, larger points first."""
    sorted_by = frame.assign(_anchor=frame["family"] != ANCHOR, _stem=frame["method"].astype(str).str.split("@").str[0])
    sorted_by = sorted_by.sort_values(
        [*SETTING, "_anchor", "family", "_stem", "point", "method", "key"],
        ascending=[True] * (len(SETTING) + 3) + [False, True, True],
        kind="stable",
    )
    return sorted_by.drop(columns=["_anchor", "_stem"]).reset_index(drop=True)


def curve_points(rows: pd.DataFrame, curve: str) -> pd.DataFrame:
    """The finished points of a curve with a known cost and accuracy, by rising cost."""
    on_curve = rows["curves"].str.split().apply(lambda curves: curve in curves).astype(bool)
    points = rows[on_curve & (rows["status"] == "done")]
    return points.dropna(subset=["gmacs_gop", "miou_percent"]).sort_values(["gmacs_gop", "method"])


def curve_names(rows: pd.DataFrame) -> list[str]:
    """The curves of a setting, the anchor first, then in the order of their names."""
    names = {name for curves in rows["curves"] for name in curves.split()}
    return sorted(names, key=lambda name: (name != ANCHOR, name))


def curve_differences(frame: pd.DataFrame) -> pd.DataFrame:
    """Bjontegaard differences of every curve to the anchor of its setting, one row a curve.

    Args:
        frame: as `summary.summarise` gives it.

    Returns:
        The columns CURVE_COLUMNS: `bd_flops_percent` (mean change of work at equal mIoU), `bd_miou_points`
        (mean change of mIoU at equal work), for each the share of the two ranges that both curves span, and
        `bd_note`: why one is NaN. Points that are not done, or lack a cost or an accuracy, are left out.

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
    row: dict[str, Any] = {"points": len(points), "bd_note": ""}
    reasons: dict[Any, tuple[str, list[str]]] = {}
    for name, column, unit, measure in (
        ("BD-FLOPs", "bd_flops_percent", 100, bd_cost),
        ("BD-mIoU", "bd_miou_points", 1, bd_accuracy),  # both accuracies are in percent already
    ):
        overlap = f"{column.rpartition('_')[0]}_overlap_percent"
        row |= {column: NAN, overlap: NAN}
        try:
            result = measure(*arrays)
        except NoOverlapError as error:
            same = type(error) if isinstance(error, TooFewPointsError) else str(error)  # said once of both
            reasons.setdefault(same, (" ".join(str(error).split()), []))[1].append(name)
        else:
            row |= {column: unit * result.value, overlap: 100 * result.overlap}
    row["bd_note"] = "; ".join(f"{' and '.join(names)} n/a: {reason}" for reason, names in reasons.values())
    return row


def add_curve_differences(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with the columns of `curve_differences` for the curve that each of them lies on.

    A point of several curves has no one difference: it keeps NaN and a `bd_note` that names them.
    """
    differences = curve_differences(frame)
    bd = [_of_row(row, differences) for _, row in frame.iterrows()]
    return pd.concat([frame, pd.DataFrame(bd, columns=list(_BD), index=frame.index)], axis=1)


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
    return {name: found[name] for name in _BD}

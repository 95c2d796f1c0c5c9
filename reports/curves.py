"""Rows that belong together: settings, the order of a table, and the points of a curve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

ANCHOR = "constant"  # the family and the curve that the others are measured against
SETTING = ("dataset", "split", "network", "codec", "bitrate_kbps", "gop_length", "protocol", "partial")


def settings(frame: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The groups of rows that may be compared with one another, each with what its rows share."""
    for values, rows in frame.groupby(list(SETTING), sort=True, dropna=False):
        yield dict(zip(SETTING, values, strict=True)), rows


def streams(frame: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The groups of rows that saw the same streams, each with what its rows share; their networks may differ."""
    same = [name for name in SETTING if name != "network"]
    for values, rows in frame.groupby(same, sort=True, dropna=False):
        yield dict(zip(same, values, strict=True)), rows


def title_of(setting: Mapping[str, Any]) -> str:
    """The setting in one line, for titles."""
    rate = "" if pd.isna(setting["bitrate_kbps"]) else f" {setting['bitrate_kbps']:g} kbps"
    parts = [
        f"{setting['dataset']} {setting['split']}",
        setting.get("network", ""),
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

"""Numbers of a frame as the texts of a table, with marks, intervals and the reasons below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports.curves import ANCHOR
from reports.intervals import MARK
from reports.latency_notes import MARK as NOISE_MARK
from reports.markup import Table

MISSING = "n/a"
# a column that is made of two -> their names
INTERVALS = {
    "miou_interval": ("miou_low_percent", "miou_high_percent"),
    **{f"{name}_interval": (f"{name}_low_percent", f"{name}_high_percent") for name in ("mvc8", "mvc16", "tc")},
    "miou_difference_interval": ("miou_difference_low_points", "miou_difference_high_points"),
    "bd_flops_interval": ("bd_flops_low_percent", "bd_flops_high_percent"),
    "bd_miou_interval": ("bd_miou_low_points", "bd_miou_high_points"),
    "point_flops_interval": ("point_flops_low_percent", "point_flops_high_percent"),
    "point_miou_interval": ("point_miou_low_points", "point_miou_high_points"),
    "latency_side_information_interval": ("latency_side_information_low_ms", "latency_side_information_high_ms"),
    "bd_flops_shared": ("bd_flops_shared_low_percent", "bd_flops_shared_high_percent"),
    "bd_miou_shared": ("bd_miou_shared_low_gmacs", "bd_miou_shared_high_gmacs"),
}
# a column -> the one that says "no" where its number is not separable from the anchor's
MARKED = {
    "miou_percent": "miou_separable",
    "miou_difference_points": "miou_separable",
    "bd_flops_percent": "bd_flops_separable",
    "bd_miou_points": "bd_miou_separable",
    "point_flops_percent": "point_flops_separable",
    "point_miou_points": "point_miou_separable",
}
# likewise -> the one that says "no" or "unknown" where the machine was too noisy, or nobody knows
NOISE_MARKED = dict.fromkeys(("latency_gop_ms", "latency_gop_mean_ms", "latency_throughput_fps"), "latency_quiet")

Columns = Mapping[str, tuple[str, int]]  # name in the frame, or in INTERVALS -> (header, digits)


def table_of(
    title: str,
    rows: pd.DataFrame,
    columns: Columns,
    *,
    notes: Sequence[str],
    first: tuple[str, str] = ("method", "Method"),
) -> Table:
    """The chosen columns as texts, after the name in column `first`; intervals are left out where there are none."""
    shown = {name: column for name, column in columns.items() if name not in INTERVALS or _any_interval(rows, name)}
    cells = [
        [name_of(row, first[0]), *(text_of(row, name, digits) for name, (_, digits) in shown.items())]
        for _, row in rows.iterrows()
    ]
    return Table(title=title, header=[first[1], *(header for header, _ in shown.values())], rows=cells, notes=notes)


def kinds_table(title: str, rows: pd.DataFrame, columns: Columns, *, notes: Sequence[str] = ()) -> Table:
    """A row for each method and kind of work; `columns` hold {} where the name of the kind goes."""
    before, _, after = next(iter(columns)).partition("{}")
    kinds = [name.removeprefix(before).removesuffix(after) for name in rows if name.startswith(before)]
    cells = []
    for _, row in rows.iterrows():
        for kind in kinds:
            values = {name: row.get(name.format(kind)) for name in columns}
            if not all(value is None or pd.isna(value) for value in values.values()):
                numbers = [number_of(value, name, columns[name][1], row) for name, value in values.items()]
                cells.append([name_of(row, "method"), kind, *numbers])
    header = ["Method", "kind", *(header for header, _ in columns.values())]
    return Table(title=title, header=header, rows=cells, notes=notes)


def _any_interval(rows: pd.DataFrame, name: str) -> bool:
    low = INTERVALS[name][0]
    return low in rows and bool(rows[low].notna().any())


def name_of(row: pd.Series, column: str) -> str:
    """The name of a row, with its status unless it is done."""
    status = row.get("status", "done")
    return str(row[column]) if status == "done" else f"{row[column]} ({status})"


def text_of(row: pd.Series, name: str, digits: int) -> str:
    """The text of a row's column, with its mark; an interval as its two ends."""
    if name in INTERVALS:
        low, high = (number_of(row.get(end), end, digits, row) for end in INTERVALS[name])
        return low if low == high else f"{low} to {high}"
    number = number_of(row.get(name), name, digits, row)
    if row.get(MARKED.get(name, "")) == "no":
        return f"{number} {MARK}"
    noisy = number != MISSING and row.get(NOISE_MARKED.get(name, "")) in ("no", "unknown")
    return f"{number} {NOISE_MARK}" if noisy else number


def number_of(value: Any, name: str, digits: int, row: pd.Series) -> str:
    """A value of the column `name` in its row."""
    if name.startswith(("bd_", "point_")) and row.get("curves") == ANCHOR:
        return "anchor"
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):
        return MISSING
    scale = 100 if name.startswith(("rate_", "share_")) else 1e-6 if name == "parameters" else 1
    return f"{scale * value:.{digits}f}"


def plain_text(value: Any) -> str:
    """The value where it is text, else none: an empty cell of a frame is NaN."""
    return value if isinstance(value, str) else ""


def grouped(rows: pd.DataFrame, name: str, note: str) -> list[str]:
    """The notes in column `note`, a line each, with the rows that share it."""
    noted = rows[rows[note].map(plain_text) != ""]
    return [
        f"{'all' if len(group) == len(rows) > 1 else ', '.join(group[name])}: {text}"
        for text, group in noted.groupby(note, sort=False)
    ]


def reasons(rows: pd.DataFrame) -> list[str]:
    """Why numbers of accuracy and work are missing or weak, a line a reason, with the methods that share it."""
    found = grouped(rows, "method", "note")
    return found + (grouped(rows, "method", "interval_note") if "interval_note" in rows else [])

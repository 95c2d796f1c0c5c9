"""The tables of a run: markdown and LaTeX to read and paste, CSV with every digit, and a summary to print.

Tables of accuracy and work hold nothing that changes between two runs of the same thing; what was timed is in
`latency.*` and `overview.*` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from reports.bd_tables import BD_NOTE, bd_tables, versus_anchor_tables
from reports.cells import grouped, reasons, table_of
from reports.curves import ANCHOR, SETTING, settings, streams, title_of
from reports.differences import curve_differences, point_differences
from reports.intervals import interval_notes
from reports.latency_tables import latency_tables
from reports.markup import Table, latex, markdown, plain
from reports.stability_tables import overview_tables, stability_tables
from reports.work_tables import MACS_NOTE, cost_tables, uncounted
from vssbench.errors import StoreError

MIOU_NOTE = "mIoU: mean over d of the mIoU at distance d to the key frame; pooled: of the counts summed over d."


def write_tables(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Write every table as `.md`, `.tex` and `.csv`.

    Args:
        frame: as `summary.summarise` gives it.
        folder: made where absent; files of the same names are replaced.

    Returns:
        The files written: table (the summary), by_distance, per_class, cost, bd, versus_anchor, latency, stability,
        overview.

    Raises:
        StoreError: the folder cannot be written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        every = [(settings, *entry) for entry in TABLES.items()]
        every += [(streams, *entry) for entry in ACROSS_NETWORKS.items()]
        for groups, name, (make, raw) in every:
            tables = [table for setting, rows in groups(frame) for table in make(setting, rows)]
            texts = {
                "md": "\n".join(map(markdown, tables)),
                "tex": "\n".join(latex(table, label=f"tab:{name}-{i}") for i, table in enumerate(tables, 1)),
                "csv": raw(frame).to_csv(index=False, lineterminator="\n", float_format="%.12g"),
            }
            for suffix, text in texts.items():
                path = folder / f"{name}.{suffix}"
                path.write_text(text, encoding="utf-8", newline="\n")
                written.append(path)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}; free it or give another folder") from error
    return written


def render_summary(frame: pd.DataFrame, *, width: int = 120) -> str:
    """The summary for a terminal: a table a setting, the anchor on top, the others by falling mIoU.

    Args:
        frame: as `summary.summarise` gives it.
        width: of the terminal, in characters; columns that do not fit are left out from the right.

    Returns:
        Text, ending in a line feed.
    """
    columns = {
        "miou_percent": ("mIoU %", 2),
        "miou_interval": ("95 % interval %", 2),
        "gmacs_gop": ("GMACs", 3),
        "gflops_gop": ("GFLOPs", 3),
        "latency_gop_ms": ("ms/frame", 1),
        "bd_flops_percent": ("BD-FLOPs %", 1),
        "bd_miou_points": ("BD-mIoU points", 2),
        "miou_min_percent": ("min over d %", 2),
        "miou_max_percent": ("max over d %", 2),
        "tests": ("tests", 0),
    }
    columns = {name: column for name, column in columns.items() if name not in frame or frame[name].notna().any()}
    texts = []
    for setting, rows in settings(frame):
        ranked = rows.assign(_anchor=rows["family"] != ANCHOR, _rank=-rows["miou_percent"])
        # in the anchor the scale decides, which is also the table's order
        ranked["_rank"] = ranked["_rank"].where(ranked["_anchor"], 0.0)
        ranked = ranked.sort_values(["_anchor", "_rank"], kind="stable", na_position="last")
        noise = grouped(ranked, "method", "latency_quiet_note") if "latency_quiet_note" in ranked else []
        notes = [*interval_notes(ranked), *noise, *_reasons(ranked)]
        texts.append(plain(table_of(title_of(setting), ranked, columns, notes=notes), width=width))
    return "\n".join(texts) if texts else "no cell\n"


# ---- what each table holds ----


def _main(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    last = setting["gop_length"] - 1
    columns = {
        "miou_percent": ("mIoU (%)", 2),
        "miou_interval": ("95 % interval (%)", 2),
        "miou_d0_percent": ("at d = 0 (%)", 2),
        f"miou_d{last}_percent": (f"at d = {last} (%)", 2),
        "miou_pooled_percent": ("pooled (%)", 2),
        "gmacs_key": ("key (GMACs)", 3),
        "gmacs_nonkey": ("non-key (GMACs)", 3),
        "gmacs_gop": ("GOP mean (GMACs)", 3),
        "gflops_gop": ("GOP mean (GFLOPs)", 3),
        "parameters": ("params (M)", 3),
        "bd_flops_percent": ("BD-FLOPs of its curve (%)", 1),
        "bd_miou_points": ("BD-mIoU of its curve (points)", 2),
        "clips": ("clips", 0),
        "frames": ("frames", 0),
    }
    notes = [MIOU_NOTE, MACS_NOTE, *uncounted(rows), BD_NOTE, *interval_notes(rows), *_reasons(rows)]
    return [table_of(title_of(setting), rows, columns, notes=notes)]


def _by_distance(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    columns = {f"miou_d{d}_percent": (f"d = {d} (%)", 2) for d in range(setting["gop_length"])}
    title = f"mIoU (%) by distance d to the key frame: {title_of(setting)}"
    columns |= {"miou_percent": ("mean (%)", 2), "miou_interval": ("95 % interval (%)", 2)}
    return [table_of(title, rows, columns, notes=[*interval_notes(rows), *_reasons(rows, bd=False)])]


def _per_class(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    names = [name for name in rows if name.startswith("iou_") and rows[name].notna().any()]
    columns = {name: (f"{name.removeprefix('iou_').removesuffix('_percent')} (%)", 1) for name in names}
    columns |= {"miou_percent": ("mIoU (%)", 2), "absent_classes": ("absent (classes)", 0)}
    notes = ["Of every class the mean over d of its IoU.", *_reasons(rows, bd=False)]
    return [table_of(f"IoU (%) of every class: {title_of(setting)}", rows, columns, notes=notes)]


def _is_latency(name: str) -> bool:
    return name.startswith(("latency_", "peak_memory_")) or name == "environment"


def _columns_of(*wanted: str | Callable[[str], bool]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def pick(frame: pd.DataFrame) -> pd.DataFrame:
        chosen = ["key", "method", *SETTING]
        chosen += [name for name in frame if any(w(name) if callable(w) else name == w for w in wanted)]
        return frame[chosen]

    return pick


def _is_stability(name: str) -> bool:
    return name.startswith(("wiou_", "mvc", "tc_", "stability_", "gflops_keyframe", "gflops_otherframe", "gflops_gop"))


def _versus_anchor(frame: pd.DataFrame) -> pd.DataFrame:
    own = frame[["key", "method", *SETTING, "miou_percent", *(n for n in frame if n.startswith(_AGAINST))]]
    return own.merge(point_differences(frame), on=["method", *SETTING], how="left")


_WORK = ("gmacs_", "gflops_", "rate_", "share_")
_THROUGHPUT = ("latency_throughput_fps", "latency_aa_percent", "latency_quiet")
_AGAINST = ("miou_reference", "miou_difference", "miou_separable")

# file name -> how to set the rows of a setting, and what of the frame the CSV file holds
TABLES: dict[str, tuple[Callable[..., list[Table]], Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "table": (_main, lambda frame: frame[[name for name in frame if name != "rounds" and not _is_latency(name)]]),
    "by_distance": (_by_distance, _columns_of(lambda name: name.startswith("miou_") and not name.startswith(_AGAINST))),
    "per_class": (
        _per_class,
        _columns_of("miou_percent", "absent_classes", lambda name: name.startswith("iou_")),
    ),
    "cost": (
        cost_tables,
        _columns_of("uncounted", "convention_note", "parameters", lambda name: name.startswith(_WORK)),
    ),
    "bd": (bd_tables, curve_differences),
    "versus_anchor": (versus_anchor_tables, _versus_anchor),
    "latency": (latency_tables, _columns_of(_is_latency)),
}
# the same for tables that hold all methods of the same streams, whatever their network
ACROSS_NETWORKS: dict[str, tuple[Callable[..., list[Table]], Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "stability": (stability_tables, _columns_of("miou_percent", "parameters", _is_stability)),
    "overview": (
        overview_tables,
        _columns_of("miou_percent", "parameters", *_THROUGHPUT, _is_stability),
    ),
}


# ---- notes ----


def _reasons(rows: pd.DataFrame, *, bd: bool = True) -> list[str]:
    """Why numbers are missing or weak, a line a reason, with the methods or curves that share it."""
    return reasons(rows) + (grouped(curve_differences(rows), "curve", "bd_note") if bd else [])

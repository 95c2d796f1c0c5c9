"""The tables of a run: markdown and LaTeX to read and paste, CSV with every digit, and a summary to print.

Tables of accuracy and work hold nothing that changes between two runs of the same thing; what was timed is in
`latency.*` alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reports.curves import ANCHOR, SETTING, curve_differences, settings, title_of
from reports.markup import Table, latex, markdown, plain
from vssbench.errors import StoreError

MISSING = "n/a"
MACS_NOTE = (
    "1 MAC = one multiply-add (convolution, linear, attention); GFLOPs = 2 x GMACs. GOP mean: mean over the "
    "distances d = 0 to L - 1 to the key frame; key: d = 0; non-key: d > 0."
)
MIOU_NOTE = "mIoU: mean over d of the mIoU at distance d to the key frame; pooled: of the counts summed over d."
BD_NOTE = (
    f"BD: mean difference to the curve of {ANCHOR} resolution in this setting, between cubic fits of log "
    "GMACs over mIoU (BD-FLOPs) and of mIoU over log GMACs (BD-mIoU) in the range that both curves span; "
    "a method that is a single point has none."
)

Columns = Mapping[str, tuple[str, int]]  # name in the frame -> (header, digits)


def write_tables(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Write every table as `.md`, `.tex` and `.csv`.

    Args:
        frame: as `summary.summarise` gives it.
        folder: made where absent; files of the same names are replaced.

    Returns:
        The files written: table (the summary), by_distance, per_class, cost, bd, latency.

    Raises:
        StoreError: the folder cannot be written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (make, raw) in TABLES.items():
            tables = [table for setting, rows in settings(frame) for table in make(setting, rows)]
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
        "miou_min_percent": ("min over d", 2),
        "miou_max_percent": ("max over d", 2),
        "gmacs_gop": ("GMACs", 3),
        "gflops_gop": ("GFLOPs", 3),
        "latency_gop_ms": ("ms/frame", 1),
        "bd_flops_percent": ("BD-FLOPs %", 1),
        "bd_miou_points": ("BD-mIoU", 2),
        "tests": ("tests", 0),
    }
    columns = {name: column for name, column in columns.items() if frame[name].notna().any()}
    texts = []
    for setting, rows in settings(frame):
        ranked = rows.assign(_anchor=rows["family"] != ANCHOR, _rank=-rows["miou_percent"])
        # in the anchor the scale decides, which is also the table's order
        ranked["_rank"] = ranked["_rank"].where(ranked["_anchor"], 0.0)
        ranked = ranked.sort_values(["_anchor", "_rank"], kind="stable", na_position="last")
        texts.append(plain(_table(title_of(setting), ranked, columns, notes=_reasons(ranked)), width=width))
    return "\n".join(texts) if texts else "no cell\n"


# ---- what each table holds ----


def _main(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    last = setting["gop_length"] - 1
    columns = {
        "miou_percent": ("mIoU (%)", 2),
        "miou_d0_percent": ("at d = 0", 2),
        f"miou_d{last}_percent": (f"at d = {last}", 2),
        "miou_pooled_percent": ("pooled (%)", 2),
        "gmacs_key": ("key (GMACs)", 3),
        "gmacs_nonkey": ("non-key (GMACs)", 3),
        "gmacs_gop": ("GOP mean (GMACs)", 3),
        "gflops_gop": ("GOP mean (GFLOPs)", 3),
        "parameters": ("params (M)", 3),
        "bd_flops_percent": ("BD-FLOPs (%)", 1),
        "bd_miou_points": ("BD-mIoU (points)", 2),
        "clips": ("clips", 0),
        "frames": ("frames", 0),
    }
    notes = [MIOU_NOTE, MACS_NOTE, BD_NOTE, *_reasons(rows)]
    return [_table(title_of(setting), rows, columns, notes=notes)]


def _by_distance(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    columns = {f"miou_d{d}_percent": (f"d = {d}", 2) for d in range(setting["gop_length"])}
    title = f"mIoU (%) by distance d to the key frame: {title_of(setting)}"
    return [_table(title, rows, columns | {"miou_percent": ("mean", 2)}, notes=_reasons(rows, bd=False))]


def _per_class(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    names = [name for name in rows if name.startswith("iou_") and rows[name].notna().any()]
    columns = {name: (name.removeprefix("iou_").removesuffix("_percent"), 1) for name in names}
    columns |= {"miou_percent": ("mIoU", 2), "absent_classes": ("absent", 0)}
    notes = ["Of every class the mean over d of its IoU.", *_reasons(rows, bd=False)]
    return [_table(f"IoU (%) of every class: {title_of(setting)}", rows, columns, notes=notes)]


def _cost(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    columns = {
        "gmacs_key": ("key (GMACs)", 3),
        "gmacs_nonkey": ("non-key (GMACs)", 3),
        "gmacs_gop": ("GOP mean (GMACs)", 3),
        "gmacs_sampling_gop": ("warp + resize (GMACs)", 3),
        "gmacs_other_gop": ("other (GMACs)", 3),
        "parameters": ("params (M)", 3),
    }
    notes = [
        MACS_NOTE,
        "warp + resize, other: of these operators, GOP mean, in no other column.",
        *_uncounted(rows),
    ]
    kinds = {"gmacs_of_{}": ("one frame (GMACs)", 3), "rate_{}": ("of the P frames (%)", 1)}
    return [
        _table(
            f"Work of one frame: {title_of(setting)}",
            rows,
            columns,
            notes=[*notes, *_reasons(rows, bd=False)],
        ),
        _by_kind(f"Work by kind of frame: {title_of(setting)}", rows, kinds),
    ]


def _uncounted(rows: pd.DataFrame) -> list[str]:
    found = [f"{m}: not counted: {u}" for m, u in zip(rows["method"], rows["uncounted"], strict=True) if _text(u)]
    return found or ["Every operator was counted."]


def _by_kind(title: str, rows: pd.DataFrame, columns: Columns) -> Table:
    """A row for each method and kind of work; `columns` hold {} where the name of the kind goes."""
    before, _, after = next(iter(columns)).partition("{}")
    kinds = [name.removeprefix(before).removesuffix(after) for name in rows if name.startswith(before)]
    cells = []
    for _, row in rows.iterrows():
        for kind in kinds:
            values = {name: row.get(name.format(kind)) for name in columns}
            if not all(value is None or pd.isna(value) for value in values.values()):
                numbers = [_number(value, name, columns[name][1], row) for name, value in values.items()]
                cells.append([_name(row, "method"), kind, *numbers])
    return Table(title=title, header=["Method", "kind", *(header for header, _ in columns.values())], rows=cells)


def _bd(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    curves = curve_differences(rows)
    columns = {
        "points": ("points", 0),
        "bd_flops_percent": ("BD-FLOPs (%)", 1),
        "bd_flops_overlap_percent": ("shared mIoU range (%)", 1),
        "bd_miou_points": ("BD-mIoU (points)", 2),
        "bd_miou_overlap_percent": ("shared log-cost range (%)", 1),
    }
    notes = [BD_NOTE, *_grouped(curves, "curve", "bd_note")]
    title = f"Bjontegaard differences to {ANCHOR} resolution: {title_of(setting)}"
    return [_table(title, curves, columns, notes=notes, first=("curve", "Curve"))]


def _latency(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    columns = {
        "latency_key_ms": ("key median (ms)", 2),
        "latency_nonkey_ms": ("non-key median (ms)", 2),
        "latency_gop_ms": ("GOP mean (ms)", 2),
        "latency_p50_ms": ("p50 (ms)", 2),
        "latency_p90_ms": ("p90 (ms)", 2),
        "latency_p99_ms": ("p99 (ms)", 2),
        "latency_n": ("n timed", 0),
        "peak_memory_mib": ("peak memory (MiB)", 0),
    }
    notes = [
        "p90 needs 10 samples, p99 100. GOP mean: medians of the kinds of frame, weighed as they were decided.",
        *_where_timed(rows),
    ]
    notes += [f"{m}: {n}" for m, n in zip(rows["method"], rows["latency_note"], strict=True) if _text(n)]
    notes += [f"{method}: not timed" for method in rows[rows["latency_n"] == 0]["method"]]
    return [
        _table(f"Latency of one frame: {title_of(setting)}", rows, columns, notes=notes),
        _by_kind(f"Latency by kind of frame: {title_of(setting)}", rows, {"latency_of_{}_ms": ("median (ms)", 2)}),
    ]


def _where_timed(rows: pd.DataFrame) -> Iterator[str]:
    """What all timed rows have in common of their machine, once; then where they differ."""
    timed = rows[rows["latency_n"] > 0]
    facts = {
        method: json.loads(text) | ({"peak memory": kind} if kind else {})
        for method, text, kind in zip(timed["method"], timed["environment"], timed["peak_memory_kind"], strict=True)
    }
    pairs = [{(name, _fact(value)) for name, value in of_one.items() if value is not None} for of_one in facts.values()]
    common = set.intersection(*pairs) if pairs else set()
    if common:
        yield "timed with " + ", ".join(f"{name} {value}" for name, value in sorted(common))
    for method, of_one in zip(facts, pairs, strict=True):
        if of_one - common:
            yield f"{method}: timed with " + ", ".join(f"{name} {value}" for name, value in sorted(of_one - common))


def _fact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_latency(name: str) -> bool:
    return name.startswith(("latency_", "peak_memory_")) or name == "environment"


def _columns_of(*wanted: str | Callable[[str], bool]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def pick(frame: pd.DataFrame) -> pd.DataFrame:
        chosen = ["key", "method", *SETTING]
        chosen += [name for name in frame if any(w(name) if callable(w) else name == w for w in wanted)]
        return frame[chosen]

    return pick


# file name -> how to set the rows of a setting, and what of the frame the CSV file holds
TABLES: dict[str, tuple[Callable[..., list[Table]], Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "table": (_main, lambda frame: frame[[name for name in frame if not _is_latency(name)]]),
    "by_distance": (_by_distance, _columns_of(lambda name: name.startswith("miou_"))),
    "per_class": (
        _per_class,
        _columns_of("miou_percent", "absent_classes", lambda name: name.startswith("iou_")),
    ),
    "cost": (
        _cost,
        _columns_of("gflops_gop", "uncounted", "parameters", lambda name: name.startswith(("gmacs_", "rate_"))),
    ),
    "bd": (_bd, curve_differences),
    "latency": (_latency, _columns_of(_is_latency)),
}


# ---- texts ----


def _table(
    title: str,
    rows: pd.DataFrame,
    columns: Columns,
    *,
    notes: Sequence[str],
    first: tuple[str, str] = ("method", "Method"),
) -> Table:
    """The chosen columns as texts, after the name in column `first`."""
    cells = [
        [
            _name(row, first[0]),
            *(_number(row.get(name), name, digits, row) for name, (_, digits) in columns.items()),
        ]
        for _, row in rows.iterrows()
    ]
    header = [first[1], *(header for header, _ in columns.values())]
    return Table(title=title, header=header, rows=cells, notes=notes)


def _name(row: pd.Series, column: str) -> str:
    status = row.get("status", "done")
    return str(row[column]) if status == "done" else f"{row[column]} ({status})"


def _number(value: Any, name: str, digits: int, row: pd.Series) -> str:
    if name.startswith("bd_") and row.get("curves") == ANCHOR:
        return "anchor"
    if value is None or pd.isna(value):
        return MISSING
    scale = 100 if name.startswith("rate_") else 1e-6 if name == "parameters" else 1
    return f"{scale * value:.{digits}f}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _reasons(rows: pd.DataFrame, *, bd: bool = True) -> list[str]:
    """Why numbers are missing or weak, a line a reason, with the methods or curves that share it."""
    reasons = _grouped(rows, "method", "note")
    return reasons + (_grouped(curve_differences(rows), "curve", "bd_note") if bd else [])


def _grouped(rows: pd.DataFrame, name: str, note: str) -> list[str]:
    noted = rows[rows[note].map(_text) != ""]
    return [
        f"{'all' if len(group) == len(rows) > 1 else ', '.join(group[name])}: {text}"
        for text, group in noted.groupby(note, sort=False)
    ]

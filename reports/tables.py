"""The tables of a run: markdown and LaTeX to read and paste, CSV with every digit, and a summary to print.

Tables of accuracy and work hold nothing that changes between two runs of the same thing; what was timed is in
`latency.*` alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from reports.bd_tables import BD_NOTE, bd_tables, versus_anchor_tables
from reports.cells import Columns, grouped, name_of, number_of, plain_text, table_of
from reports.curves import ANCHOR, SETTING, settings, title_of
from reports.differences import curve_differences, point_differences
from reports.intervals import interval_notes
from reports.markup import Table, latex, markdown, plain
from vssbench.errors import StoreError
from vssbench.latency.phases import PHASES
from vssbench.latency.statistics import AA_LIMIT, minimum_samples

MACS_NOTE = (
    "1 MAC = one multiply-add (convolution, linear, attention); GFLOPs = 2 x GMACs. GOP mean: mean over the "
    "distances d = 0 to L - 1 to the key frame; key: d = 0; non-key: d > 0."
)
MIOU_NOTE = "mIoU: mean over d of the mIoU at distance d to the key frame; pooled: of the counts summed over d."
LATENCY_NOTES = (
    "GOP mean: medians of the kinds of frame, weighed as they were decided. frames/s: the inverse of means so weighed.",
    "p90, p99: MLPerf's early-stopping estimates, not exceeded by the true percentile at 99 % confidence; they need "
    f"{minimum_samples(0.9)} and {minimum_samples(0.99)} samples. (GOP, per frame): the mean time of a frame of each "
    "timed GOP.",
    f"A/A: how far two timings of the same method in turn differ; above {100 * AA_LIMIT:g} % the machine is too noisy.",
    "waiting: look-ahead at the video's frame rate, on top of everything else. added memory: above what the step began "
    "with; peak memory: above what was held after a reset.",
)
PARTS_NOTES = (
    "decode and reading side information come before a frame's step and are in no latency above; they are of the CPU, "
    "which reads vectors beside decoding.",
    "The other parts add up to a step; they are timed in a pass of their own, with the device idle between them. side "
    "information: vectors brought to the feature grid; model: all that is not another part.",
)


def write_tables(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Write every table as `.md`, `.tex` and `.csv`.

    Args:
        frame: as `summary.summarise` gives it.
        folder: made where absent; files of the same names are replaced.

    Returns:
        The files written: table (the summary), by_distance, per_class, cost, bd, versus_anchor, latency.

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
        "miou_interval": ("95 % interval", 2),
        "miou_min_percent": ("min over d", 2),
        "miou_max_percent": ("max over d", 2),
        "gmacs_gop": ("GMACs", 3),
        "gflops_gop": ("GFLOPs", 3),
        "latency_gop_ms": ("ms/frame", 1),
        "bd_flops_percent": ("BD-FLOPs %", 1),
        "bd_miou_points": ("BD-mIoU", 2),
        "tests": ("tests", 0),
    }
    columns = {name: column for name, column in columns.items() if name not in frame or frame[name].notna().any()}
    texts = []
    for setting, rows in settings(frame):
        ranked = rows.assign(_anchor=rows["family"] != ANCHOR, _rank=-rows["miou_percent"])
        # in the anchor the scale decides, which is also the table's order
        ranked["_rank"] = ranked["_rank"].where(ranked["_anchor"], 0.0)
        ranked = ranked.sort_values(["_anchor", "_rank"], kind="stable", na_position="last")
        notes = [*interval_notes(ranked), *_reasons(ranked)]
        texts.append(plain(table_of(title_of(setting), ranked, columns, notes=notes), width=width))
    return "\n".join(texts) if texts else "no cell\n"


# ---- what each table holds ----


def _main(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    last = setting["gop_length"] - 1
    columns = {
        "miou_percent": ("mIoU (%)", 2),
        "miou_interval": ("95 % interval (%)", 2),
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
    notes = [MIOU_NOTE, MACS_NOTE, *_uncounted(rows), BD_NOTE, *interval_notes(rows), *_reasons(rows)]
    return [table_of(title_of(setting), rows, columns, notes=notes)]


def _by_distance(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    columns = {f"miou_d{d}_percent": (f"d = {d}", 2) for d in range(setting["gop_length"])}
    title = f"mIoU (%) by distance d to the key frame: {title_of(setting)}"
    columns |= {"miou_percent": ("mean", 2), "miou_interval": ("95 % interval (%)", 2)}
    return [table_of(title, rows, columns, notes=[*interval_notes(rows), *_reasons(rows, bd=False)])]


def _per_class(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    names = [name for name in rows if name.startswith("iou_") and rows[name].notna().any()]
    columns = {name: (name.removeprefix("iou_").removesuffix("_percent"), 1) for name in names}
    columns |= {"miou_percent": ("mIoU", 2), "absent_classes": ("absent", 0)}
    notes = ["Of every class the mean over d of its IoU.", *_reasons(rows, bd=False)]
    return [table_of(f"IoU (%) of every class: {title_of(setting)}", rows, columns, notes=notes)]


def _cost(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    columns = {
        "gmacs_key": ("key (GMACs)", 3),
        "gmacs_nonkey": ("non-key (GMACs)", 3),
        "gmacs_gop": ("GOP mean (GMACs)", 3),
        "gflops_gop": ("GOP mean (GFLOPs)", 3),
        "gmacs_clip_min": ("least of a clip (GMACs)", 3),
        "gmacs_clip_max": ("most of a clip (GMACs)", 3),
        "gmacs_clip_std": ("deviation over clips (GMACs)", 3),
        "gmacs_sampling_gop": ("warp + resize (GMACs)", 3),
        "gmacs_other_gop": ("other (GMACs)", 3),
        "parameters": ("params (M)", 3),
    }
    notes = [
        MACS_NOTE,
        "warp + resize, other: of these operators, GOP mean, in no other column.",
        "least, most, deviation: of the GOP means of the clips, which differ where a method decides at run time.",
        *(_uncounted(rows) or ["Every operator was counted."]),
    ]
    kinds = {"gmacs_of_{}": ("one frame (GMACs)", 3), "rate_{}": ("of the P frames (%)", 1)}
    return [
        table_of(
            f"Work of one frame: {title_of(setting)}",
            rows,
            columns,
            notes=[*notes, *_reasons(rows, bd=False)],
        ),
        _by_kind(f"Work by kind of frame: {title_of(setting)}", rows, kinds),
    ]


def _uncounted(rows: pd.DataFrame) -> list[str]:
    return [f"{m}: not counted: {u}" for m, u in zip(rows["method"], rows["uncounted"], strict=True) if plain_text(u)]


def _by_kind(title: str, rows: pd.DataFrame, columns: Columns) -> Table:
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
    return Table(title=title, header=["Method", "kind", *(header for header, _ in columns.values())], rows=cells)


def _latency(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    columns = {
        "latency_gop_ms": ("GOP mean (ms)", 2),
        "latency_gop_device_ms": ("GOP mean, CUDA events (ms)", 2),
        "latency_throughput_fps": ("frames/s", 1),
        "latency_key_ms": ("key median (ms)", 2),
        "latency_nonkey_ms": ("non-key median (ms)", 2),
        "latency_p50_ms": ("p50 (ms)", 2),
        "latency_p90_ms": ("p90 (ms)", 2),
        "latency_p99_ms": ("p99 (ms)", 2),
        "latency_n": ("n timed", 0),
        "latency_aa_percent": ("A/A (%)", 1),
        "latency_lookahead_frames": ("look-ahead (frames)", 0),
        "latency_waiting_ms": ("waiting (ms)", 1),
        "latency_outputs_differing_percent": ("labels unlike eager (%)", 4),
        "peak_memory_mib": ("peak memory (MiB)", 0),
    }
    by_kind = {
        "latency_of_{}_ms": ("median (ms)", 2),
        "latency_device_of_{}_ms": ("median, CUDA events (ms)", 2),
        "latency_mean_of_{}_ms": ("mean (ms)", 2),
        "latency_iqr_of_{}_ms": ("IQR (ms)", 2),
        "latency_p90_of_{}_ms": ("p90 (ms)", 2),
        "latency_p99_of_{}_ms": ("p99 (ms)", 2),
        "latency_n_of_{}": ("n", 0),
        "peak_memory_of_{}_mib": ("added memory (MiB)", 0),
    }
    if rows["latency_gop_device_ms"].isna().all():
        by_kind.pop("latency_device_of_{}_ms")
    for name in ("latency_gop_device_ms", "latency_outputs_differing_percent"):
        if rows[name].isna().all():  # a CPU has no events, and the eager network nothing to be held against
            columns.pop(name)
    notes = [*LATENCY_NOTES, *_where_timed(rows)]
    notes += [f"{m}: {n}" for m, n in zip(rows["method"], rows["latency_note"], strict=True) if plain_text(n)]
    notes += [f"{method}: not timed" for method in rows[rows["latency_n"] == 0]["method"]]
    return [
        table_of(f"Latency of one frame: {title_of(setting)}", rows, columns, notes=notes),
        _by_kind(f"Latency by kind of frame: {title_of(setting)}", rows, by_kind),
        _parts(setting, rows),
    ]


def _parts(setting: Mapping[str, Any], rows: pd.DataFrame) -> Table:
    """Where the time goes, from the bitstream to the labels."""
    before = {
        "latency_decode_ms": ("decode (ms)", 2),
        "latency_side_information_ms": ("reading side information (ms)", 2),
    }
    found = [name for name in rows if name.startswith("latency_phase_") and rows[name].notna().any()]
    names = [f"latency_phase_{phase.replace(' ', '_')}_ms" for phase in PHASES]
    ordered = [name for name in names if name in found] + sorted(set(found) - set(names))
    parts = {
        name: (f"{name.removeprefix('latency_phase_').removesuffix('_ms').replace('_', ' ')} (ms)", 2)
        for name in ordered
    }
    return table_of(f"Parts of a frame's time, GOP mean: {title_of(setting)}", rows, before | parts, notes=PARTS_NOTES)


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


def _versus_anchor(frame: pd.DataFrame) -> pd.DataFrame:
    own = frame[["key", "method", *SETTING, "miou_percent", *(n for n in frame if n.startswith(_AGAINST))]]
    return own.merge(point_differences(frame), on=["method", *SETTING], how="left")


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
        _cost,
        _columns_of("uncounted", "parameters", lambda name: name.startswith(("gmacs_", "gflops_", "rate_"))),
    ),
    "bd": (bd_tables, curve_differences),
    "versus_anchor": (versus_anchor_tables, _versus_anchor),
    "latency": (_latency, _columns_of(_is_latency)),
}


# ---- notes ----


def _reasons(rows: pd.DataFrame, *, bd: bool = True) -> list[str]:
    """Why numbers are missing or weak, a line a reason, with the methods or curves that share it."""
    reasons = grouped(rows, "method", "note")
    if "interval_note" in rows:
        reasons += grouped(rows, "method", "interval_note")
    return reasons + (grouped(curve_differences(rows), "curve", "bd_note") if bd else [])

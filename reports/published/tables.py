"""The verdicts as tables: one for each table of print and quantity; markdown, LaTeX and CSV, and text to print."""

from __future__ import annotations

import csv
import dataclasses
import textwrap
from collections import Counter
from collections.abc import Hashable, Sequence
from io import StringIO
from pathlib import Path

from reports.markup import Table, latex, markdown, plain
from reports.published.numbers import BD, CHANGE, INCREASE, OPERATIONS, PARAMETERS
from reports.published.verdicts import AGREES, MISPRINT, NOT_DERIVABLE, Judged, is_percentage
from vssbench.errors import StoreError

MISSING = "n/a"
UNCUT = 1000  # characters, more than any of these tables is wide
HEADERS = {
    OPERATIONS: (
        "operations",
        ("printed (as GFLOPs)", "paper's way (GMACs)", "off (%)", "true (GMACs)", "true (GFLOPs)"),
    ),
    CHANGE: ("change of operations", ("printed (%)", "paper's way (%)", "off (points)", "true (%)")),
    PARAMETERS: ("parameters", ("printed (M)", "paper's way (M)", "off (%)", "true (M)")),
    INCREASE: ("increase of parameters", ("printed (M)", "paper's way (M)", "off (%)", "true (M)")),
    BD: ("BD-FLOPs", ("printed (%)", "paper's way (%)", "off (points)", "true (%)")),
}
NOTES = (
    "What these papers print as GFLOPs are multiply-adds, 1 MAC counted as 1. Paper's way: AR-Seg's, thop as it was in "
    "2020 with its terms for CReFF; elsewhere as the verdict says.",
    "True: every executed multiply-add of convolutions, linear layers and attention once, on a key frame and L - 1 "
    "others where a method has key frames; 1 MAC = 2 FLOPs.",
    "TapLab's own tables print mIoU, frames a second and milliseconds, of which no count can speak; its rows here are "
    "those of AR-Seg's tables.",
)
CSV_COLUMNS = (
    *("source", "table", "dataset", "method", "backbone", "setting", "metric", "printed"),
    *("paper_convention", "difference", "difference_unit", "true", "true_all_kinds", "true_gflops"),
    *("verdict", "reason", "basis", "reprint_of"),
)


def verdict_counts(judged: Sequence[Judged]) -> str:
    """One line: how many numbers there are of each verdict."""
    counts = Counter(each.verdict for each in judged)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in (AGREES, MISPRINT, NOT_DERIVABLE))


def distinct(judged: Sequence[Judged]) -> dict[Hashable, Judged]:
    """The first print of every claim, in the order of the papers; slides, tables and text repeat one another."""
    first: dict[Hashable, Judged] = {}
    for each in judged:
        first.setdefault(each.claim, each)
    return first


def summary(judged: Sequence[Judged]) -> list[str]:
    """Two sentences: the verdicts of all printed numbers, and of those that repeat no other."""
    once = list(distinct(judged).values())
    return [
        f"{len(judged)} printed numbers: {verdict_counts(judged)}.",
        f"{len(once)} distinct ones (same data set, method, network, quantity and value counted once, whatever the "
        f"label): {verdict_counts(once)}.",
    ]


def published_tables(judged: Sequence[Judged]) -> list[Table]:
    """A table for each table of print and each quantity in it, in the order of the papers."""
    groups: dict[tuple[str, str, str], list[Judged]] = {}
    for each in judged:
        groups.setdefault((each.printed.source, each.printed.table, each.printed.metric), []).append(each)
    return [_table(rows) for rows in groups.values()]


def _table(rows: list[Judged]) -> Table:
    what, header = HEADERS[rows[0].printed.metric]
    reasons: dict[str, int] = {}
    for each in rows:
        if each.reason:
            reasons.setdefault(each.reason, len(reasons) + 1)
    texts = [_row(each, reasons) for each in rows]
    named = ("data set", "method", "network", "setting")
    kept = [index for index in range(len(named)) if index == 0 or any(row[index] for row in texts)]
    kept += range(len(named), len(texts[0]))
    return Table(
        title=f"{rows[0].printed.place}: {what}",
        header=[(*named, *header, "verdict")[index] for index in kept],
        rows=[[row[index] for index in kept] for row in texts],
        notes=[f"({number}) {reason}." for reason, number in reasons.items()],
    )


def _row(each: Judged, reasons: dict[str, int]) -> list[str]:
    printed, recount = each.printed, each.recount
    digits = 2 if is_percentage(printed) else 3
    cells = [printed.printed, _number(recount.ours, digits), _signed(each.off), _number(recount.true, digits)]
    if printed.metric == OPERATIONS:
        cells.append(_number(None if recount.true is None else 2 * recount.true, digits))
    verdict = f"{each.verdict} ({reasons[each.reason]})" if each.reason else each.verdict
    return [printed.dataset, printed.method, printed.backbone, printed.setting, *cells, verdict]


def _number(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return MISSING if value is None else f"{value:+.2f}".replace("-0.00", "+0.00")


def as_csv(judged: Sequence[Judged]) -> str:
    """One line a printed number, every digit; no value is an empty cell.

    `reprint_of` is the place of the first print of the same claim, empty in its own line.
    """
    text, first = StringIO(), distinct(judged)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for each in judged:
        printed, recount = each.printed, each.recount
        gflops = 2 * recount.true if printed.metric == OPERATIONS and recount.true is not None else None
        writer.writerow(
            [
                *(*printed.row, printed.metric, printed.printed),
                *(_exact(recount.ours), _exact(each.off), "points" if is_percentage(printed) else "percent"),
                *map(_exact, (recount.true, recount.true_all_kinds, gflops)),
                *(each.verdict, each.reason, recount.basis),
                "" if first[each.claim] is each else first[each.claim].printed.place,
            ]
        )
    return text.getvalue()


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.12g}"


def render_published(judged: Sequence[Judged], *, width: int = 120) -> str:
    """All tables for a terminal, then what the columns mean, then how many there are of each verdict.

    Notes are wrapped at `width`; tables are as wide as they are, since their last column is the verdict.
    """
    parts = []
    for table in published_tables(judged):
        parts.append(plain(dataclasses.replace(table, notes=()), width=UNCUT))
        parts += [f"{line}\n" for note in table.notes for line in _wrapped(note, width)]
        parts.append("\n")
    closing = [*NOTES, *summary(judged)]
    return "".join(parts) + "\n".join(line for text in closing for line in _wrapped(text, width))


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)


def write_published(judged: Sequence[Judged], folder: Path) -> list[Path]:
    """Write `published.md`, `published.tex` and `published.csv`; files of these names are replaced.

    Raises: StoreError, when the folder cannot be written.
    """
    tables = published_tables(judged)
    texts = {
        "md": "\n".join(
            [
                "## The published record, recomputed\n",
                *(f"{note}\n" for note in (*NOTES, *summary(judged))),
                *map(markdown, tables),
            ]
        ),
        "tex": "\n".join(latex(table, label=f"tab:published-{i}") for i, table in enumerate(tables, 1)),
        "csv": as_csv(judged),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, text in texts.items():
            (folder / f"published.{suffix}").write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}; free it or give another folder") from error
    return [folder / f"published.{suffix}" for suffix in texts]

"""The tables of work: of one frame as a mean over the GOP, beside the counts of print, and by kind of frame."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from reports.cells import grouped, kinds_table, plain_text, reasons, table_of
from reports.curves import title_of
from reports.markup import Table
from reports.work import BY

MACS_NOTE = (
    "1 MAC = one multiply-add (convolution, linear, attention); GFLOPs = 2 x GMACs. GOP mean: mean over the "
    "distances d = 0 to L - 1 to the key frame; key: d = 0; non-key: d > 0."
)
WORK_NOTES = (
    MACS_NOTE,
    "warp + resize, other: of these operators, GOP mean, in no other column.",
    "least, most, deviation: of the GOP means of the clips, which differ where a method decides at run time.",
)
# a count of print -> what it is
CONVENTIONS = {
    "thop": "what the package thop says of the same steps, GOP mean: modules alone count, one of n names n^2 times.",
    "arseg-paper": "the same frames by the rules of AR-Seg's paper, which prints MACs as FLOPs, on this network and "
    "its classes: thop as it was in 2020, sub-modules of two names counted four times, and the terms for CReFF and "
    "the classifier.",
    "arseg-paper-no-classifier": "the same without the classifier's term, as its rows of L = 15, 20 and 30 are.",
}
RATE_NOTE = "of the P frames: the part of them (d > 0) that did this; least, most, deviation: over the clips."
SHARE_NOTE = (
    "share of full work: of a kind whose work grows with what the picture asks for, mean over d; its work is that at "
    "this share."
)


def cost_tables(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    """Work of one frame, and the same by kind of frame with how often each kind was chosen."""
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
        **{BY + name: (f"{name} (GMACs)", 3) for name in _conventions(rows)},
        "parameters": ("params (M)", 3),
    }
    notes = [*WORK_NOTES, *_convention_notes(rows), *(uncounted(rows) or ["Every operator was counted."])]
    return [
        table_of(f"Work of one frame: {title_of(setting)}", rows, columns, notes=[*notes, *reasons(rows)]),
        _by_kind(setting, rows),
    ]


def _by_kind(setting: Mapping[str, Any], rows: pd.DataFrame) -> Table:
    columns = {
        "gmacs_of_{}": ("one frame (GMACs)", 3),
        "gflops_of_{}": ("one frame (GFLOPs)", 3),
        "rate_{}": ("of the P frames (%)", 1),
        "rate_clip_min_of_{}": ("least of a clip (%)", 1),
        "rate_clip_max_of_{}": ("most of a clip (%)", 1),
        "rate_clip_std_of_{}": ("deviation over clips (points)", 1),
    }
    notes = [RATE_NOTE]
    if any(name.startswith("share_of_") and rows[name].notna().any() for name in rows):
        columns |= {
            "share_of_{}": ("share of full work (%)", 1),
            "share_clip_min_of_{}": ("share, least of a clip (%)", 1),
            "share_clip_max_of_{}": ("share, most of a clip (%)", 1),
            "share_clip_std_of_{}": ("share, deviation over clips (points)", 1),
        }
        notes.append(SHARE_NOTE)
    return kinds_table(f"Work by kind of frame: {title_of(setting)}", rows, columns, notes=notes)


def uncounted(rows: pd.DataFrame) -> list[str]:
    """The operators without a formula, a line a method that executed some."""
    return [f"{m}: not counted: {u}" for m, u in zip(rows["method"], rows["uncounted"], strict=True) if plain_text(u)]


def _conventions(rows: pd.DataFrame) -> list[str]:
    """The counts of print that some row of the setting has, or says why it has not."""
    names = [name.removeprefix(BY) for name in rows if name.startswith(BY)]
    return [name for name in names if rows[BY + name].notna().any() or _explained(rows, name).any()]


def _explained(rows: pd.DataFrame, name: str) -> pd.Series:
    """Whether a row says why it has no count of this name."""
    said = re.compile(rf"(^| ){re.escape(name)}(,| n/a)")
    return rows["convention_note"].map(plain_text).map(lambda note: bool(said.search(note))).astype(bool)


def _convention_notes(rows: pd.DataFrame) -> Iterator[str]:
    names = _conventions(rows)
    yield from (f"{name}: {CONVENTIONS[name]}" for name in names if name in CONVENTIONS)
    yield from grouped(rows, "method", "convention_note")
    for name in names:
        silent = rows[rows[BY + name].isna() & ~_explained(rows, name) & rows["gmacs_gop"].notna()]
        if len(silent):
            yield f"{', '.join(silent['method'])}: {name} n/a: no such count was given for this method"

"""The tables of stability: all methods that saw the same streams side by side, whatever their network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.cells import grouped, table_of
from reports.curves import title_of
from reports.markup import Table
from reports.stability import WINDOWS

STABILITY_NOTE = (
    "mVC_n (video consistency): of the pixels whose label is one class in n frames on end, the share whose prediction "
    "does not change either, mean over all windows of all clips; it does not ask whether the prediction is right, and "
    "the labels themselves score 100. wIoU: IoU weighed by how often a class is labelled. Stability is measured on the "
    "streams whose key frames fall at frame 0, L, 2L and so on."
)
TC_NOTE = (
    "TC: mIoU between the prediction of a frame and the one before it, moved along the codec's vectors where these can "
    "be trusted, from a stream of the same frames with one I frame; pixels: the share that keeps its class."
)
KIND_NOTE = (
    "Key: the frames of the kind of work called key, which is the method's word and not the stream's I frames; "
    "non-key: the mean of all others, also of those that run the whole network under another name (TapLab's selected). "
    "A method without that kind has one number for all frames where these are alike, and none otherwise; 1 MAC = one "
    "multiply-add, GFLOPs = 2 x GMACs."
)
TOOLKIT_NOTE = (
    "VSPW toolkit: without the last window of each clip, and void pixels as a class (VSPW_code, VC_perclip.py). Void "
    "is also the column or row that is added where a frame of the data has an odd side (853 wide: 1 column of 854); "
    "the toolkit reads the files as they are and has none. correct ones: an unchanged prediction counts where it is "
    "the label."
)
TIMED_NOTE = "frames/s: the inverse of the mean latency over the GOP, on the machine named under the table of latency."


def stability_tables(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    """Stability beside accuracy, and by the other rules."""
    columns = {
        "network": ("network", 0),
        "miou_percent": ("mIoU (%)", 2),
        "wiou_percent": ("wIoU (%)", 2),
        **{name: column for n in WINDOWS for name, column in _with_interval(f"mvc{n}", f"mVC{n} (%)").items()},
        **_with_interval("tc", "TC (%)"),
        "parameters": ("params (M)", 3),
        "gflops_keyframe": ("key (GFLOPs)", 3),
        "gflops_otherframe": ("non-key (GFLOPs)", 3),
        "gflops_gop": ("GOP mean (GFLOPs)", 3),
    }
    others: dict[str, tuple[str, int]] = {"network": ("network", 0)}
    for n in WINDOWS:
        others |= {
            f"mvc{n}_clips_percent": (f"mVC{n}, mean of clips (%)", 2),
            f"mvc{n}_toolkit_percent": (f"mVC{n}, VSPW toolkit (%)", 2),
            f"mvc{n}_correct_percent": (f"mVC{n}, correct ones (%)", 2),
            f"mvc{n}_windows": (f"windows of {n}", 0),
        }
    others |= {
        "tc_pixels_percent": ("TC, pixels (%)", 2),
        "tc_pairs": ("pairs of frames", 0),
        "tc_labels_pairs": ("labelled pairs", 0),
    }
    title = title_of(setting)
    kinds = [KIND_NOTE, *grouped(rows, "method", "gflops_keyframe_note")]
    return [
        table_of(f"Stability: {title}", rows, columns, notes=[STABILITY_NOTE, TC_NOTE, *ceiling(rows), *kinds]),
        table_of(
            f"Stability by other rules: {title}",
            rows,
            others,
            notes=[TOOLKIT_NOTE, *ceiling(rows), *grouped(rows, "method", "stability_note")],
        ),
    ]


def overview_tables(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    """The columns of TFC's Table 1: accuracy, stability and efficiency, time included."""
    columns = {
        "network": ("network", 0),
        "miou_percent": ("mIoU (%)", 2),
        "wiou_percent": ("wIoU (%)", 2),
        **{f"mvc{n}_percent": (f"mVC{n} (%)", 2) for n in WINDOWS},
        "tc_percent": ("TC (%)", 2),
        "parameters": ("params (M)", 3),
        "latency_throughput_fps": ("frames/s", 1),
        "gflops_keyframe": ("key (GFLOPs)", 3),
        "gflops_otherframe": ("non-key (GFLOPs)", 3),
        "gflops_gop": ("GOP mean (GFLOPs)", 3),
    }
    notes = [STABILITY_NOTE, TC_NOTE, *ceiling(rows), KIND_NOTE, TIMED_NOTE]
    for note in ("gflops_keyframe_note", "latency_quiet_note", "stability_note"):
        notes += grouped(rows, "method", note)
    return [table_of(f"Accuracy, stability and efficiency: {title_of(setting)}", rows, columns, notes=notes)]


def ceiling(rows: pd.DataFrame) -> list[str]:
    """The labels' own consistency along the same motion, which no prediction is expected to pass.

    It is of the pairs of which both frames have a label, the predictions' of all; where these differ, it says so.
    """
    if "tc_pairs" not in rows or not rows["tc_pairs"].max() > 0:
        return []
    # of a method that failed there may be fewer pairs
    whole = rows.sort_values("tc_pairs", ascending=False, kind="stable", na_position="last").iloc[0]
    pairs, labelled = int(whole["tc_pairs"]), int(whole["tc_labels_pairs"])
    if not labelled:
        return [f"The labels themselves: TC n/a, in none of {pairs} pairs of frames are both labelled; mVC 100 %."]
    own, pixels = whole["tc_labels_percent"], whole["tc_labels_pixels_percent"]
    of = (
        ""
        if labelled == pairs
        else (
            f", both over {labelled} of {pairs} pairs of frames, those labelled twice, where the methods' are over all"
        )
    )
    return [f"The labels themselves: TC {own:.2f} %, pixels {pixels:.2f} %{of}; mVC 100 % by definition."]


def _with_interval(name: str, header: str) -> dict[str, tuple[str, int]]:
    return {f"{name}_percent": (header, 2), f"{name}_interval": ("95 % interval (%)", 2)}

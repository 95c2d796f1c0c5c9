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
    "Key, non-key: a frame on which the method does the whole work of its network, and the mean of all others, by what "
    "it did and not by where the stream has I frames; 1 MAC = one multiply-add, GFLOPs = 2 x GMACs."
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
    others |= {"tc_pixels_percent": ("TC, pixels (%)", 2), "tc_pairs": ("pairs of frames", 0)}
    title = title_of(setting)
    toolkit = (
        "VSPW toolkit: without the last window of each clip, and void pixels as a class (VSPW_code, VC_perclip.py). "
        "correct ones: an unchanged prediction counts where it is the label."
    )
    return [
        table_of(f"Stability: {title}", rows, columns, notes=[STABILITY_NOTE, TC_NOTE, *ceiling(rows), KIND_NOTE]),
        table_of(
            f"Stability by other rules: {title}",
            rows,
            others,
            notes=[toolkit, *ceiling(rows), *grouped(rows, "method", "stability_note")],
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
    for note in ("latency_quiet_note", "stability_note"):
        notes += grouped(rows, "method", note)
    return [table_of(f"Accuracy, stability and efficiency: {title_of(setting)}", rows, columns, notes=notes)]


def ceiling(rows: pd.DataFrame) -> list[str]:
    """The labels' own consistency along the same motion, which no prediction is expected to pass."""
    own = rows.get("tc_labels_percent")
    if own is None or own.dropna().empty:
        return []
    pixels = rows["tc_labels_pixels_percent"].dropna().iloc[0]
    return [f"The labels themselves: TC {own.dropna().iloc[0]:.2f} %, pixels {pixels:.2f} %; mVC 100 % by definition."]


def _with_interval(name: str, header: str) -> dict[str, tuple[str, int]]:
    return {f"{name}_percent": (header, 2), f"{name}_interval": ("95 % interval (%)", 2)}

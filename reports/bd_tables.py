"""The tables of differences to the anchor: between curves, and of every method by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.cells import grouped, table_of
from reports.curves import ANCHOR, title_of
from reports.differences import curve_differences, point_differences
from reports.intervals import interval_notes
from reports.markup import Table
from vssbench.metrics.bd import MINIMUM_OVERLAP
from vssbench.metrics.curve_fit import MINIMUM_POINTS

BD_NOTE = (
    f"BD: mean difference to the curve of {ANCHOR} resolution in this setting, between cubic least-squares fits of log "
    "GMACs over mIoU (BD-FLOPs) and of mIoU over log GMACs (BD-mIoU) in the range that both curves span; "
    "it is a number of the whole curve and stands beside each of its points; a method that is a single point has none."
)
CURVES_NOTE = (
    "PCHIP, Akima: the same by curves through every point; spread: largest minus smallest of the three, in points. "
    f"overlap: of the range that both curves span together. Below {MINIMUM_POINTS} distinct points, below "
    f"{100 * MINIMUM_OVERLAP:.0f} % overlap, and where a cubic falls back, there is no number; PCHIP and "
    "Akima have one where only the cubic falls back."
)
POINT_NOTE = (
    f"FLOPs at its mIoU, mIoU at its FLOPs: difference to the cubic fit of {ANCHOR} resolution's curve, read along the "
    "horizontal and the vertical through the method's one point; the curve is not continued beyond its points."
)


def bd_tables(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    """BD-FLOPs and BD-mIoU of every curve of a setting, a table each."""
    curves = curve_differences(rows)
    flops = {
        "points": ("points on it (n)", 0),
        "anchor_points": ("points on the anchor (n)", 0),
        "bd_flops_percent": ("BD-FLOPs (%)", 1),
        "bd_flops_interval": ("95 % interval (%)", 1),
        "bd_flops_pchip_percent": ("PCHIP (%)", 1),
        "bd_flops_akima_percent": ("Akima (%)", 1),
        "bd_flops_spread_points": ("spread (points)", 1),
        "bd_flops_shared": ("shared mIoU (%)", 2),
        "bd_flops_overlap_percent": ("overlap (%)", 1),
        "bd_flops_fit_error_percent": ("point off its fit, at most (%)", 1),
    }
    miou = {
        "points": ("points on it (n)", 0),
        "anchor_points": ("points on the anchor (n)", 0),
        "bd_miou_points": ("BD-mIoU (points)", 2),
        "bd_miou_interval": ("95 % interval (points)", 2),
        "bd_miou_pchip_points": ("PCHIP (points)", 2),
        "bd_miou_akima_points": ("Akima (points)", 2),
        "bd_miou_spread_points": ("spread (points)", 2),
        "bd_miou_shared": ("shared (GMACs)", 3),
        "bd_miou_overlap_percent": ("overlap of log cost (%)", 1),
        "bd_miou_fit_error_points": ("point off its fit, at most (points)", 2),
    }
    notes = [BD_NOTE, CURVES_NOTE, *interval_notes(rows)]
    notes += [*grouped(curves, "curve", "bd_note"), *grouped(curves, "curve", "bd_interval_note")]
    title, first = f"to {ANCHOR} resolution: {title_of(setting)}", ("curve", "Curve")
    return [
        table_of(f"BD-FLOPs, mean change of work at equal mIoU, {title}", curves, flops, notes=[], first=first),
        table_of(f"BD-mIoU, mean change of mIoU at equal work, {title}", curves, miou, notes=notes, first=first),
    ]


def versus_anchor_tables(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    """Every method against the anchor's best point and against the anchor's curve."""
    points = point_differences(rows)
    own = rows[["method", "curves", "status", "gmacs_gop", *(name for name in rows if name.startswith("miou_"))]]
    merged = own.merge(points.drop(columns=list(setting)), on="method", how="left")
    reference = next((name for name in rows["miou_reference"] if name), ANCHOR)
    columns = {
        "miou_percent": ("mIoU (%)", 2),
        "miou_difference_points": (f"to {reference} (points)", 2),
        "miou_difference_interval": ("95 % interval (points)", 2),
        "gmacs_gop": ("GOP mean (GMACs)", 3),
        "point_flops_percent": ("FLOPs at its mIoU (%)", 1),
        "point_flops_interval": ("95 % interval (%)", 1),
        "point_miou_points": ("mIoU at its FLOPs (points)", 2),
        "point_miou_interval": ("95 % interval (points)", 2),
    }
    others = merged[merged["method"] != reference]
    notes = [POINT_NOTE, *interval_notes(rows), *grouped(others, "method", "point_note")]
    return [table_of(f"Every method against {ANCHOR} resolution: {title_of(setting)}", others, columns, notes=notes)]

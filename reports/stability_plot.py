"""Accuracy against work with stability as the third axis: all methods that saw the same streams in one figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.curves import ANCHOR, curve_names, curve_points, title_of
from reports.label_placement import Label, place_labels
from reports.plots import GREY, MARKERS, PAGE_IN, cost_axes, lay_out, named_streams, save_figure, style

# What is drawn as colour: the first of these that every point has
AXES = {"mvc8_percent": "mVC8 (%)", "tc_percent": "TC (%)"}
ANCHORS = "oh8p"  # markers of constant resolution, a network each
COLOURS = "viridis"  # even in lightness, so it survives greyscale and colour blindness


def write_stability_figures(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw stability.* of every group of streams, as SVG, PDF and PNG; the files.

    Raises: StoreError, when the folder cannot be written.
    """
    written = []
    with style():
        for suffix, setting, rows in named_streams(frame):
            figure = accuracy_cost_stability(setting, rows)
            if figure is not None:
                written += save_figure(figure, folder, f"stability{suffix}")
    return written


def accuracy_cost_stability(setting: Mapping[str, Any], rows: pd.DataFrame) -> Figure | None:
    """Draw mIoU over GMACs a frame, a marker a family, filled by how steady the predictions are; lines join curves."""
    points = rows[(rows["status"] == "done") & (rows["gmacs_gop"] > 0) & rows["miou_percent"].notna()]
    third = next((name for name in AXES if name in points and len(points) and points[name].notna().all()), None)
    if third is None:
        return None
    figure = Figure(figsize=(PAGE_IN, 3.8), layout="constrained")
    axes = figure.add_subplot()
    lines = _join_curves(axes, points)
    shades = {"vmin": points[third].min(), "vmax": points[third].max(), "cmap": COLOURS}
    drawn = None
    networks = sorted(points["network"].unique())
    for number, (family, members) in enumerate(points.groupby(["network", "family"], sort=True)):
        marker = MARKERS[number % len(MARKERS)]
        if family[1] == ANCHOR:
            marker = ANCHORS[networks.index(family[0]) % len(ANCHORS)]
        drawn = axes.scatter(
            members["gmacs_gop"],
            members["miou_percent"],
            c=members[third],
            marker=marker,
            s=42,
            edgecolors="black",
            linewidths=0.6,
            label=f"{family[1]}, {family[0]}",
            zorder=3,
            **shades,
        )
    cost_axes(axes, points)
    axes.set_ylabel("mIoU (%)")
    axes.set_title(title_of(setting), color="#555555", fontsize=6.5)
    figure.colorbar(drawn, ax=axes, label=AXES[third], pad=0.015)
    legend = figure.legend(loc="outside lower center", ncols=3, frameon=False)
    for handle in legend.legend_handles:
        handle.set_array(None)
        handle.set_facecolor("white")  # in the legend the shape speaks, not the shade of its first point
    lay_out(figure)
    texts = zip(points["gmacs_gop"], points["miou_percent"], points["method"], strict=True)
    place_labels(axes, [Label(x=x, y=y, text=text, color="#333333") for x, y, text in texts], lines)
    return figure


def _join_curves(axes: Axes, points: pd.DataFrame) -> list[NDArray[np.float64]]:
    """A thin line through the points of every curve of a network."""
    lines = []
    for _, of_network in points.groupby("network", sort=True):
        for name in curve_names(of_network):
            xy = curve_points(of_network, name)[["gmacs_gop", "miou_percent"]].to_numpy(float)
            axes.plot(xy[:, 0], xy[:, 1], color=GREY, linewidth=0.7, zorder=1)
            lines.append(xy)
    return lines

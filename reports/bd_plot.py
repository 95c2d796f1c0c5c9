"""The fits behind the Bjontegaard differences, drawn over their points, the integrated area shaded.

After Figure A3 of AR-Seg's supplement, which shows BD-FLOPs; BD-mIoU stands beside it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.cells import number_of, plain_text
from reports.curves import ANCHOR, curve_names, curve_points, title_of
from reports.differences import curve_differences
from reports.plots import (
    ANCHOR_STYLE,
    GREY,
    PAGE_IN,
    file_part,
    lay_out,
    line_style,
    log_ticks,
    named_settings,
    save_figure,
    style,
)
from vssbench.errors import BdError
from vssbench.metrics.curve_fit import CurveFit, Variable, fit_curve, log_points

SAMPLES = 300  # of a drawn curve
NOTE_WIDTH = 130  # characters of a line above the panels


def write_bd_fits(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw a figure for every curve that is compared with the anchor's, each as SVG, PDF and PNG.

    Args:
        frame: as `summary.summarise` gives it.
        folder: made where absent; files of the same names are replaced.

    Returns:
        The files written: bd_fit-CURVE.*; of several settings each has in its names what tells it apart.

    Raises:
        StoreError: the folder cannot be written.
    """
    written = []
    with style():
        for suffix, setting, rows in named_settings(frame):
            differences = curve_differences(rows).set_index("curve")
            for curve in curve_names(rows):
                points = curve_points(rows, curve)
                if curve != ANCHOR and len(points):
                    anchor = curve_points(rows, ANCHOR)
                    figure = bd_fit(title_of(setting), curve, anchor, points, differences.loc[curve])
                    written += save_figure(figure, folder, f"bd_fit-{file_part(curve)}{suffix}")
    return written


def bd_fit(title: str, curve: str, anchor: pd.DataFrame, points: pd.DataFrame, difference: Mapping[str, Any]) -> Figure:
    """Draw a curve and the anchor's with their cubic fits: cost over mIoU, and mIoU over cost.

    Args:
        title: of the setting.
        curve: its name.
        anchor: rows of the anchor's curve.
        points: rows of the curve.
        difference: the curve's row of `differences.curve_differences`.
    """
    figure = Figure(figsize=(PAGE_IN, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    curves = {ANCHOR: anchor, curve: points}
    _panel(left, curves, "accuracies", shown=not pd.isna(difference["bd_flops_percent"]))
    _panel(right, curves, "costs", shown=not pd.isna(difference["bd_miou_points"]))
    left.set_title(_heading("BD-FLOPs", difference, "bd_flops", "percent", " %", 1))
    right.set_title(_heading("BD-mIoU", difference, "bd_miou", "points", " points", 2))
    _cost_axis(left, "y", curves.values())
    _cost_axis(right, "x", curves.values())
    left.set_xlabel("mIoU (%)")
    right.set_ylabel("mIoU (%)")
    heading = [
        f"{curve} against {ANCHOR}, cubic fits: {title}",
        *textwrap.wrap(plain_text(difference["bd_note"]), NOTE_WIDTH),
    ]
    figure.suptitle("\n".join(heading), color="#555555", fontsize=6.5)
    entries = {
        name: handle for axes in (left, right) for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        entries.values(), entries.keys(), loc="outside lower center", ncols=3, frameon=False, handlelength=2.2
    )
    lay_out(figure)
    return figure


def _panel(axes: Axes, curves: Mapping[str, pd.DataFrame], variable: Variable, *, shown: bool) -> None:
    """Points and fits over `variable`; where there is a number, the area that it is the mean of."""
    fits = []
    for name, rows in curves.items():
        look = ANCHOR_STYLE if name == ANCHOR else line_style(0)
        cost, accuracy = (rows[column].to_numpy(np.float64) for column in ("gmacs_gop", "miou_percent"))
        x, y = (accuracy, cost) if variable == "accuracies" else (cost, accuracy)
        axes.plot(x, y, look["marker"], color=look["color"], zorder=3, mec="white", mew=0.4)
        axes.plot([], [], "-", marker=look["marker"], color=look["color"], label=name, mec="white", mew=0.4)
        try:
            fits.append(fit_curve(log_points(name, cost, accuracy), variable))
        except BdError:
            continue  # too few points for a fit: the note below says so
        at = np.linspace(fits[-1].x[0], fits[-1].x[-1], SAMPLES)
        axes.plot(*_in_units(fits[-1], at), color=look["color"], zorder=2)
    if shown and len(fits) == 2:
        _shade(axes, fits)
    axes.grid(True, which="major")


def _shade(axes: Axes, fits: Sequence[CurveFit]) -> None:
    low, high = max(fit.x[0] for fit in fits), min(fit.x[-1] for fit in fits)
    at = np.linspace(low, high, SAMPLES)
    x, one = _in_units(fits[0], at)
    _, other = _in_units(fits[1], at)
    color = line_style(0)["color"]
    axes.fill_between(x, one, other, color=color, alpha=0.18, linewidth=0, zorder=1, label="area that is averaged")
    for end in (x[0], x[-1]):
        axes.axvline(end, color=GREY, linewidth=0.7, linestyle=":", zorder=1)


def _in_units(fit: CurveFit, at: Any) -> tuple[Any, Any]:
    """Where the fit passes, costs as costs and not as logarithms."""
    return (at, np.exp(fit(at))) if fit.variable == "accuracies" else (np.exp(at), fit(at))


def _heading(title: str, difference: Mapping[str, Any], name: str, unit: str, suffix: str, digits: int) -> str:
    value = number_of(difference[f"{name}_{unit}"], name, digits, pd.Series())
    if value == "n/a":
        return f"{title} n/a"
    low, high = (difference[f"{name}_{end}_{unit}"] for end in ("low", "high"))
    interval = "" if pd.isna(low) else f" (95 %: {low:.{digits}f} to {high:.{digits}f})"
    return f"{title} {value}{suffix}{interval}"


def _cost_axis(axes: Axes, which: str, curves: Any) -> None:
    costs = np.concatenate([rows["gmacs_gop"].to_numpy(np.float64) for rows in curves])
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log", f"{which}label": "GMACs per frame (2 FLOPs each)"})
    positive = costs[costs > 0]
    if len(positive):
        log_ticks(axis, positive.max() / positive.min())

"""The two figures of a run: mIoU over work, and mIoU over the distance to the key frame.

Made for a column of a two-column paper. The same frame gives the same bytes: no date, no random identifier.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from reports.curves import ANCHOR, curve_names, curve_points, settings, streams, title_of
from reports.label_placement import Label, place_labels
from vssbench.errors import StoreError

# Okabe and Ito, "Color Universal Design", 2008; without yellow, lost on white paper, and black, the anchor's
COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("s", "^", "D", "v", "P", "X", "*", "<", ">")
DASHES = ("-", "--", ":")  # once the colours are used up
ANCHOR_STYLE = {"color": "black", "marker": "o"}
GREY = "#999999"
COLUMN_IN, PAGE_IN = 3.45, 7.1  # widths of a column and of a page, e.g. CVPR's style
MOST_LINES = 10  # in one set of axes; beyond that, small multiples
MOST_IN_PANEL = 7
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
    "font.size": 7.5,
    "axes.labelsize": 7.5,
    "axes.titlesize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 6.5,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "grid.linewidth": 0.4,
    "grid.color": "#DDDDDD",
    "axes.axisbelow": True,
    "text.parse_math": False,  # a $ in a name is a dollar
    "svg.hashsalt": "vssbench",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}
SAVE: dict[str, dict[str, Any]] = {
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
    "png": {"dpi": 300, "metadata": {"Software": None}},
}


def style() -> AbstractContextManager[None]:
    """Matplotlib's defaults and STYLE, whatever was set before, for as long as the `with` block lasts."""
    return matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE})


def write_figures(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw both figures of every setting, each as SVG, PDF and PNG.

    Args:
        frame: as `summary.summarise` gives it; only cells that are done are drawn.
        folder: made where absent; files of the same names are replaced.

    Returns:
        The files written: accuracy_cost.* and accuracy_distance.*; of several settings each has in its
        names what tells it apart. A figure without a point is left out.

    Raises:
        StoreError: the folder cannot be written.
    """
    written = []
    with style():
        for suffix, setting, rows in named_settings(frame):
            for name, draw in (("accuracy_cost", accuracy_cost), ("accuracy_distance", accuracy_distance)):
                figure = draw(setting, rows)
                if figure is not None:
                    written += save_figure(figure, folder, f"{name}{suffix}")
    return written


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure in every form; the files. Raises: StoreError, when the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for form, options in SAVE.items():
            figure.savefig(folder / f"{name}.{form}", **options)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}; free it or give another folder") from error
    return [folder / f"{name}.{form}" for form in SAVE]


def lay_out(figure: Figure) -> None:
    """Arrange the parts of the figure once; from here on every point stays where it is."""
    for _ in range(2):  # the second pass settles what the tick labels of the first one moved
        figure.draw_without_rendering()
    figure.set_layout_engine("none")


def file_part(value: object) -> str:
    """A value as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.+]", "_", str(value))


def named_settings(frame: pd.DataFrame) -> Iterator[tuple[str, dict[str, Any], pd.DataFrame]]:
    """Every setting with the end of its file names: the values in which the settings differ."""
    yield from _named(frame, list(settings(frame)))


def named_streams(frame: pd.DataFrame) -> Iterator[tuple[str, dict[str, Any], pd.DataFrame]]:
    """Every group of rows of the same streams (`curves.streams`) with the end of its file names, alike."""
    yield from _named(frame, list(streams(frame)))


def _named(
    frame: pd.DataFrame, found: list[tuple[dict[str, Any], pd.DataFrame]]
) -> Iterator[tuple[str, dict[str, Any], pd.DataFrame]]:
    differing = [name for name in (found[0][0] if found else ()) if frame[name].nunique(dropna=False) > 1]
    for setting, rows in found:
        values = [f"L{setting[n]}" if n == "gop_length" else setting[n] for n in differing]
        suffix = "".join(f"-{file_part(value)}" for value in values)
        yield suffix, setting, rows


# ---- mIoU over work ----


def accuracy_cost(setting: Mapping[str, Any], rows: pd.DataFrame) -> Figure | None:
    """Draw mIoU over GMACs a frame: a line a curve, a marker a method on none, bars over the range of d.

    A method that was not tested at every d, as in a single stream, has no such range and no bar.
    """
    points = rows[(rows["status"] == "done") & (rows["gmacs_gop"] > 0) & rows["miou_percent"].notna()]
    if points.empty:
        return None
    figure = Figure(figsize=(COLUMN_IN, 3.6), layout="constrained")
    axes = figure.add_subplot()
    labels: list[Label] = []
    lines: list[NDArray[np.float64]] = []
    bars: list[NDArray[np.float64]] = []
    for name, on_curve, style in _styled_curves(points):
        x, y = (on_curve[column].to_numpy(float) for column in ("gmacs_gop", "miou_percent"))
        axes.plot(x, y, label=name, zorder=3, markeredgecolor="white", markeredgewidth=0.4, **style)
        lines.append(np.stack([x, y], axis=1))
        bars += _bars(axes, on_curve, style["color"])
        if len(on_curve) > 1:
            texts = zip(x, y, on_curve["point_label"], strict=True)
            labels += [Label(x=a, y=b, text=text, color=style["color"]) for a, b, text in texts if text]
    cost_axes(axes, points)
    axes.set_ylabel("mIoU (%), bars: lowest to highest over d" if bars else "mIoU (%)")
    axes.set_title(title_of(setting), color="#555555", fontsize=6.5)
    without = rows[(rows["status"] == "done") & (rows["gmacs_gop"] <= 0)]["method"]
    if len(without):
        note = f"no multiply-adds, not shown: {', '.join(without)}"
        axes.text(0.02, 0.02, note, transform=axes.transAxes, fontsize=5.5, color="#555555")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, handlelength=2.2, columnspacing=1.2)
    lay_out(figure)
    place_labels(axes, labels, lines, faint=bars)
    return figure


def _styled_curves(points: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, dict[str, Any]]]:
    """Every curve, then every method on none, with its line style; the anchor in black."""
    alone = points[points["curves"] == ""]
    groups = [(name, curve_points(points, name)) for name in curve_names(points)]
    groups += [(row["method"], alone.loc[[index]]) for index, row in alone.iterrows()]
    number = 0
    for name, rows in groups:
        if name == ANCHOR:
            yield name, rows, {**ANCHOR_STYLE, "linestyle": "-"}
        else:
            yield name, rows, line_style(number) | ({} if len(rows) > 1 else {"linestyle": "none"})
            number += 1


def line_style(number: int) -> dict[str, Any]:
    """Colour, marker and dashes of the number-th line that is not the anchor's."""
    return {
        "color": COLORS[number % len(COLORS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[number // len(COLORS) % len(DASHES)],
    }


def _bars(axes: Axes, rows: pd.DataFrame, color: str) -> list[NDArray[np.float64]]:
    """Draw the range over d of every row that has one; the bars, (2, 2) data coordinates each."""
    ranges = rows[["gmacs_gop", "miou_min_percent", "miou_max_percent"]].to_numpy(float)
    ranges = ranges[np.isfinite(ranges).all(axis=1)]
    axes.vlines(ranges[:, 0], ranges[:, 1], ranges[:, 2], color=color, alpha=0.35, linewidth=1.6, zorder=2)
    return [np.array([[at, low], [at, high]]) for at, low, high in ranges]


def cost_axes(axes: Axes, points: pd.DataFrame) -> None:
    """Work on a logarithmic axis, in MACs below and FLOPs above."""
    low, high = points["gmacs_gop"].min(), points["gmacs_gop"].max()
    pad = max(high / low, 2.0) ** 0.1
    axes.set_xscale("log")
    axes.set_xlim(low / pad, high * pad)
    log_ticks(axes.xaxis, high / low)
    axes.set_xlabel("GMACs per frame (1 MAC = one multiply-add = 2 FLOPs)")
    flops = axes.secondary_xaxis("top", functions=(lambda x: 2 * x, lambda x: x / 2))
    flops.set_xscale("log")
    log_ticks(flops.xaxis, high / low)
    flops.set_xlabel("GFLOPs per frame (2 per MAC)")
    axes.grid(True, which="major")


def log_ticks(axis: Any, ratio: float) -> None:
    """Ticks at round numbers on a logarithmic axis whose ends are in this ratio."""
    steps = (1.0, 2.0, 5.0) if ratio < 100 else (1.0,)
    axis.set_major_locator(LogLocator(subs=steps if ratio > 3 else np.arange(1.0, 10.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(LogLocator(subs=np.arange(1.0, 10.0)))
    axis.set_minor_formatter(NullFormatter())


# ---- mIoU over the distance to the key frame ----


def accuracy_distance(setting: Mapping[str, Any], rows: pd.DataFrame) -> Figure | None:
    """Draw mIoU_d over d, a line a method; many go in small multiples, with the anchor's best in grey."""
    names = [f"miou_d{distance}_percent" for distance in range(setting["gop_length"])]
    tested = rows.reindex(columns=names).notna().any(axis=1)
    done = rows[(rows["status"] == "done") & tested]
    if done.empty:
        return None
    panels = [("", done)] if len(done) <= MOST_LINES else list(_panels(done))
    columns = min(len(panels), 2)
    height = -(-len(panels) // columns)
    size = (COLUMN_IN, 3.6) if columns == 1 else (PAGE_IN, 0.5 + 2.4 * height)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(height, columns, squeeze=False)
    anchor = done[done["family"] == ANCHOR].head(1)
    values = done[names].to_numpy(float)
    least_span = 0.35 * float(np.nanmax(values) - np.nanmin(values))  # lest one panel blow up its noise
    for axes, (name, members) in zip(grid.flat, panels, strict=False):
        _distance_panel(axes, members, anchor, names)
        axes.set_title(name)
        if len(panels) > 1:
            _legend_below_lines(axes, least_span)
    for axes in list(grid.flat)[len(panels) :]:
        axes.remove()
    figure.suptitle(title_of(setting), color="#555555", fontsize=6.5)
    across, up = "distance d to the key frame (frames)", "mIoU at distance d (%)"
    if len(panels) == 1:
        grid[0, 0].set(xlabel=across, ylabel=up)
        figure.legend(loc="outside lower center", ncols=2, frameon=False, handlelength=2.2)
    else:
        figure.supxlabel(across, fontsize=7.5)
        figure.supylabel(up, fontsize=7.5)
    lay_out(figure)
    return figure


def _panels(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """A panel a family; a family with too many methods a panel a curve, and one for those on none."""
    for family, members in rows.groupby("family", sort=False):
        if len(members) <= MOST_IN_PANEL:
            yield str(family), members
            continue
        for curve in curve_names(members):
            yield curve, members[members["curves"].str.split().map(lambda on, curve=curve: curve in on)]
        if (members["curves"] == "").any():
            yield f"{family}, others", members[members["curves"] == ""]


def _distance_panel(axes: Axes, rows: pd.DataFrame, anchor: pd.DataFrame, names: list[str]) -> None:
    for _, row in anchor[~anchor["key"].isin(rows["key"])].iterrows():
        axes.plot(
            range(len(names)), row[names].to_numpy(float), color=GREY, linewidth=1.6, label=row["method"], zorder=1
        )
    others = rows[~rows["key"].isin(anchor["key"])]
    for _, row in rows[rows["key"].isin(anchor["key"])].iterrows():
        axes.plot(range(len(names)), row[names].to_numpy(float), label=row["method"], markersize=3, **ANCHOR_STYLE)
    for number, (_, row) in enumerate(others.iterrows()):
        axes.plot(
            range(len(names)), row[names].to_numpy(float), label=row["method"], markersize=3, **line_style(number)
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(True)


def _legend_below_lines(axes: Axes, least_span: float) -> None:
    """A legend in room made for it under the lines."""
    lines = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.get_lines()])
    low, high = float(np.nanmin(lines)), float(np.nanmax(lines))
    low = min(low, high - least_span)
    rows = -(-len(axes.get_lines()) // 2)
    room = min(0.09 + 0.085 * rows, 0.6)  # share of the height
    axes.set_ylim(high + 0.05 * (high - low) - 1.05 * (high - low) / (1 - room), high + 0.05 * (high - low))
    axes.legend(loc="lower left", ncols=2, frameon=False, borderpad=0.1, labelspacing=0.25, columnspacing=1.0)

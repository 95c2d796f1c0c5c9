"""Where to write the labels of points so that they cover neither each other nor the curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

GAPS_PT = (4.0, 8.0, 13.0)  # from the middle of a marker to the label's edge
MARKER_PT = 3.0  # half the side of the square that a marker takes
PASSES = 3  # every label is placed again with all others known
Line = NDArray[np.float64]  # (n, 2)
Box = NDArray[np.float64]  # (4,) x0, y0, x1, y1 in pixels


@dataclass(frozen=True, kw_only=True)
class Label:
    """A text for a point, in data coordinates."""

    x: float
    y: float
    text: str
    color: str


def place_labels(axes: Axes, labels: Sequence[Label], lines: Sequence[Line], *, faint: Sequence[Line] = ()) -> None:
    """Write every label beside its point, where it overlaps least.

    Args:
        axes: laid out: its limits and place in the figure do not change any more.
        labels: of the points.
        lines: (n, 2) data coordinates of what should not be covered, with a marker at every point.
        faint: the same without markers, to be covered rather than the others.
    """
    figure = axes.get_figure(root=True)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels_per_pt = figure.dpi / 72
    texts = [
        axes.annotate(
            label.text,
            (label.x, label.y),
            (0, 0),
            textcoords="offset points",
            color=label.color,
            fontsize="x-small",
            ha="center",
            va="center",
            zorder=4,
            path_effects=[withStroke(linewidth=1.2, foreground="white")],
        )
        for label in labels
    ]
    extents = [text.get_window_extent(canvas.get_renderer()) for text in texts]
    sizes = [np.array([extent.width, extent.height]) for extent in extents]
    points = [axes.transData.transform((label.x, label.y)) for label in labels]
    # a faint line counts by every third of its samples
    covered = [_samples(axes.transData.transform(line)) for line in lines]
    covered += [_samples(axes.transData.transform(line))[::3] for line in faint]
    samples = np.concatenate([*covered, np.zeros((0, 2))])
    half = MARKER_PT * pixels_per_pt
    markers = [np.concatenate([p - half, p + half]) for line in lines for p in axes.transData.transform(line)]
    frame = np.concatenate([axes.bbox.min, axes.bbox.max])

    chosen = [np.zeros(2) for _ in labels]
    boxes: list[Box | None] = [None] * len(labels)
    for _ in range(PASSES):
        for index, (point, size) in enumerate(zip(points, sizes, strict=True)):
            others = [box for other, box in enumerate(boxes) if other != index and box is not None]
            offsets = _offsets(size, pixels_per_pt)
            costs = [
                _cost(_box(point + offset, size), others, markers, samples, frame)
                + 0.02 * float(np.hypot(*offset)) / pixels_per_pt
                for offset in offsets
            ]
            chosen[index] = offsets[int(np.argmin(costs))]
            boxes[index] = _box(point + chosen[index], size)
    for text, offset in zip(texts, chosen, strict=True):
        text.set_position(tuple(offset / pixels_per_pt))


def _offsets(size: NDArray[np.float64], pixels_per_pt: float) -> list[NDArray[np.float64]]:
    """Places for the middle of a label around its point, nearer ones and those to the lower right first."""
    directions = [(1, -1), (1, 0), (0, -1), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1)]
    return [
        np.array([dx * (gap * pixels_per_pt + size[0] / 2), dy * (gap * pixels_per_pt + size[1] / 2)])
        * (0.8 if dx and dy else 1.0)
        for gap in GAPS_PT
        for dx, dy in directions
    ]


def _box(middle: NDArray[np.float64], size: NDArray[np.float64]) -> Box:
    return np.concatenate([middle - size / 2, middle + size / 2])


def _cost(box: Box, labels: Sequence[Box], markers: Sequence[Box], samples: NDArray[np.float64], frame: Box) -> float:
    """How bad a place is: what it would cover of labels, markers and lines."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    covered = 10 * sum(_overlap(box, other) for other in labels) + 4 * sum(_overlap(box, m) for m in markers)
    inside = ((samples >= box[:2]) & (samples <= box[2:])).all(axis=1).sum()
    outside = area - _overlap(box, frame)
    return float((covered + 40 * outside) / area + 0.12 * inside)


def _overlap(one: Box, other: Box) -> float:
    width, height = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    return float(max(width, 0) * max(height, 0))


def _samples(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points on a line through pixels, two pixels apart."""
    parts = [line]
    for start, stop in pairwise(line):
        number = int(np.hypot(*(stop - start)) // 2)
        parts.append(np.linspace(start, stop, number + 2)[1:-1])
    return np.concatenate(parts)

"""Noise and filled shapes: what textures are painted with. Own rasters, so that no library release moves a pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vssbench.datasets.scenery.texture import Mask, Picture
from vssbench.records import Rgb

Grey = NDArray[np.float64]


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], cell: int) -> Grey:
    """Noise in 0..1 of the given size that repeats at its edges, linear between random values `cell` apart."""
    height, width = size
    rows, columns = max(1, height // cell), max(1, width // cell)
    knots = rng.random((rows, columns))
    y = np.arange(height) * rows / height
    x = np.arange(width) * columns / width
    top, left = y.astype(int), x.astype(int)
    y, x = (y - top)[:, None], (x - left)[None]
    below, right = (top + 1) % rows, (left + 1) % columns
    upper = knots[top][:, left] * (1 - x) + knots[top][:, right] * x
    lower = knots[below][:, left] * (1 - x) + knots[below][:, right] * x
    return np.asarray(upper * (1 - y) + lower * y)


def shaded(colour: ArrayLike, brightness: NDArray[np.float64] | float) -> Rgb:
    """Multiply a colour by a brightness map (h, w) and round to uint8 (h, w, 3)."""
    scaled = np.asarray(colour, np.float64) * np.asarray(brightness)[..., None]
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)


class Painter:
    """A picture of a figure in the making, (h, w), in units of its height: y from 0 (top) to 1, x centred on 0."""

    def __init__(self, size: tuple[int, int]) -> None:
        height, width = size
        self.colour = np.zeros((height, width, 3), np.uint8)
        self.opaque = np.zeros((height, width), bool)
        self._y = ((np.arange(height) + 0.5) / height)[:, None]
        self._x = ((np.arange(width) + 0.5 - width / 2) / height)[None]

    def picture(self, *, outline: Mask | None = None) -> Picture:
        """What has been painted."""
        return Picture(self.colour, self.opaque, outline)

    def fill(self, mask: Mask, colour: ArrayLike) -> None:
        """Cover a mask with a colour (3,) or a picture (h, w, 3)."""
        paint = np.asarray(colour)
        self.colour[mask] = paint if paint.ndim == 1 else paint[mask]
        self.opaque |= mask

    def ellipse(self, centre: tuple[float, float], radii: tuple[float, float]) -> Mask:
        """Points inside an ellipse; centre and radii are (x, y)."""
        dx, dy = (self._x - centre[0]) / radii[0], (self._y - centre[1]) / radii[1]
        return np.asarray(dx * dx + dy * dy <= 1)

    def box(self, left: float, top: float, right: float, bottom: float) -> Mask:
        """Points inside an upright box."""
        return np.asarray((self._x >= left) & (self._x < right) & (self._y >= top) & (self._y < bottom))

    def limb(self, start: tuple[float, float], end: tuple[float, float], widths: tuple[float, float]) -> Mask:
        """Points within a half-width, changing from start to end, of the segment between two points."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        along = ((self._x - start[0]) * dx + (self._y - start[1]) * dy) / max(dx * dx + dy * dy, 1e-9)
        along = np.clip(along, 0, 1)
        off_x, off_y = self._x - start[0] - along * dx, self._y - start[1] - along * dy
        radius = widths[0] + along * (widths[1] - widths[0])
        return np.asarray(off_x * off_x + off_y * off_y <= radius * radius)

    def polygon(self, points: Sequence[tuple[float, float]]) -> Mask:
        """Points inside a polygon, by the even-odd rule."""
        inside = np.zeros(self.opaque.shape, bool)
        for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
            if y0 != y1:
                crosses = (self._y >= min(y0, y1)) & (self._y < max(y0, y1))
                inside ^= crosses & (self._x < x0 + (self._y - y0) * (x1 - x0) / (y1 - y0))
        return inside

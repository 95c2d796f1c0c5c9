"""How the pictures of files become the frames of a video: brought to one size, odd sides made even."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vssbench.errors import ShapeError
from vssbench.records import IGNORE, LabelMap, Rgb

FIT_VERSION = 1  # raise it when a fit gives other pixels: cached encodes are named by it


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Resize, then make odd sides even by repeating the last column or row, since 4:2:0 video has even sides alone.

    Labels under a repeated column or row are IGNORE, so every counted pixel is one of the picture.

    Args:
        size: (height, width) to resize to; None keeps that of the files. Pictures bilinear, with antialiasing where
            they shrink; labels by nearest neighbour; both at pixel centres (Pillow).
    Raises: ShapeError, when the size is not two positive numbers.
    """

    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ShapeError(f"a size is (height, width), both at least 1, got {self.size}")

    def fitted(self, size: tuple[int, int]) -> tuple[int, int]:
        """The (height, width) that a picture of `size` gets."""
        height, width = self.size or size
        return height + height % 2, width + width % 2

    def settings(self, size: tuple[int, int]) -> tuple[object, ...]:
        """What tells the frames from the pictures of this size, for a content key; () where they are the same."""
        return () if self.fitted(size) == size else ("fit", FIT_VERSION, self.size)

    def image(self, rgb: Rgb) -> Rgb:
        """(h, w, 3) uint8 -> (H, W, 3) uint8."""
        height, width = self.size or rgb.shape[:2]
        if rgb.shape[:2] != (height, width):
            rgb = np.array(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))
        if height % 2 or width % 2:
            rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        return rgb

    def label(self, label: LabelMap) -> LabelMap:
        """(h, w) uint8 -> (H, W) uint8."""
        height, width = self.size or label.shape
        if label.shape != (height, width):
            label = np.array(Image.fromarray(label).resize((width, height), Image.Resampling.NEAREST))
        if height % 2 or width % 2:
            label = np.pad(label, ((0, height % 2), (0, width % 2)), constant_values=IGNORE)
        return label


class FittedLabels(Mapping[int, LabelMap]):
    """Frame index -> fitted label map, made each time it is asked for."""

    def __init__(self, labels: Mapping[int, LabelMap], fit: Fit) -> None:
        self._labels = labels
        self._fit = fit

    def __getitem__(self, index: int) -> LabelMap:
        return self._fit.label(self._labels[index])

    def __iter__(self) -> Iterator[int]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __contains__(self, index: object) -> bool:
        return index in self._labels

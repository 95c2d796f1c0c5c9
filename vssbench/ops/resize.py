"""Resize feature maps at pixel centres, and the sizes that a scale gives."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from vssbench.errors import ShapeError, UsageError

ResizeMode = Literal["bilinear", "nearest"]


def resize(x: Tensor, size: tuple[int, int], *, mode: ResizeMode = "bilinear", align_corners: bool = False) -> Tensor:
    """Resample a map to (height, width), without antialiasing; a map of that size is returned as it is.

    Args:
        x: (N, C, h, w), floating point.
        size: (height, width) wanted.
        mode: "bilinear", or "nearest" (the pixel whose centre is closest, `nearest-exact` in torch).
        align_corners: True samples corner to corner as AR-Seg's released program does (evaluation.py);
            False, the default, at pixel centres. "nearest" has pixel centres only.

    Returns: (N, C, height, width).
    Raises: ShapeError, when x has not four axes or the size is empty; UsageError, on an unknown mode.
    """
    if x.ndim != 4 or min(size) < 1:
        raise ShapeError(f"resize needs (N, C, h, w) and a size of at least 1x1, got {tuple(x.shape)} and {size}")
    if mode not in ("bilinear", "nearest") or (mode == "nearest" and align_corners):
        raise UsageError(
            f"resize knows mode 'bilinear', and 'nearest' without align_corners; got {mode!r}, {align_corners = }"
        )
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    if mode == "nearest":
        return F.interpolate(x, size=tuple(size), mode="nearest-exact")
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=align_corners)


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """The size of a frame at a scale: each side int(side * scale), at least 1.

    The float product is truncated, as in AR-Seg's released program: int(720 * 0.7) is 503, not 504, and
    Cityscapes at 0.6 is 614x1228.

    Args:
        size: (height, width) in pixels.
        scale: factor on both sides, above 0.

    Raises: UsageError, when the scale is not a positive finite number.
    Source: AR-Seg, CVPR 2023, released program: `new_hw = [int(H * s), int(W * s)]`.
    """
    if not 0 < scale < float("inf"):
        raise UsageError(f"a scale must be above 0 and finite, got {scale}")
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))

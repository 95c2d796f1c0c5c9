"""Where a displaced pixel lies in its frame, and what is between pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def displaced_index(dx: NDArray[np.int32], dy: NDArray[np.int32]) -> NDArray[np.int32]:
    """Row-major index of the pixel at p + (dx, dy) for every pixel p, clipped into the frame.

    Args:
        dx: (H, W) int32, overwritten.
        dy: (H, W) int32, overwritten.
    Returns: (H, W) int32.
    """
    height, width = dx.shape
    dx += np.arange(width, dtype=np.int32)
    dy += np.arange(height, dtype=np.int32)[:, None]
    np.clip(dx, 0, width - 1, out=dx)
    np.clip(dy, 0, height - 1, out=dy)
    dy *= width
    dy += dx
    return dy


def bilinear_taps(
    flow_px: NDArray[np.float32],
) -> tuple[list[NDArray[np.int32]], NDArray[np.float32], NDArray[np.float32]]:
    """The four neighbours of p + flow(p), clamped into the frame, and the weights of those right and below.

    A neighbour of weight 0 is replaced by the one of weight 1, so that what is unknown there does not spread.

    Args:
        flow_px: (H, W, 2) float32.
    Returns: row-major indices [top left, top right, bottom left, bottom right], each (H, W) int32, then the
        horizontal and the vertical weight, (H, W) float32 in [0, 1).
    """
    height, width = flow_px.shape[:2]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    x = np.clip(flow_px[..., 0] + np.arange(width, dtype=np.float32), 0, width - 1)
    y = np.clip(flow_px[..., 1] + np.arange(height, dtype=np.float32)[:, None], 0, height - 1)
    left, top = x.astype(np.int32), y.astype(np.int32)
    x -= left
    y -= top
    step_right = (x > 0).astype(np.int32)
    step_down = (y > 0).astype(np.int32) * np.int32(width)
    top_left = top * np.int32(width) + left
    top_right = top_left + step_right
    return [top_left, top_right, top_left + step_down, top_right + step_down], x, y


def interpolate(first: NDArray[Any], second: NDArray[Any], weight: NDArray[np.float32]) -> NDArray[Any]:
    """`first` + (`second` - `first`) * `weight`; overwrites `second`."""
    second -= first
    second *= weight
    second += first
    return second

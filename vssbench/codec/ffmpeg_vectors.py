"""The block vectors that FFmpeg exports of MPEG-4 Part 2 and H.264.

A row belongs to the block centred on (dst_x, dst_y) and says that its pixel p was predicted from the reference at
p + (motion_x, motion_y) / motion_scale, in pixels. `src_x` and `src_y` are whole pixels, cut towards zero, and are
not used here. Blocks without a row are intra.
"""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from vssbench.codec.block_motion import BlockMotion
from vssbench.errors import BitstreamError

Vectors = NDArray[np.void]  # structured, fields as VECTOR_DTYPE

VECTOR_DTYPE = np.dtype(
    [
        ("source", np.int32),  # -1: predicted from an earlier frame, +1: from a later one
        ("w", np.uint8),
        ("h", np.uint8),
        ("src_x", np.int16),
        ("src_y", np.int16),
        ("dst_x", np.int16),
        ("dst_y", np.int16),
        ("flags", np.uint64),
        ("motion_x", np.int32),
        ("motion_y", np.int32),
        ("motion_scale", np.uint16),
    ],
    align=True,
)  # libavutil/motion_vector.h, AVMotionVector


def raw_vectors(frame: av.VideoFrame) -> Vectors:
    """The vector rows of one decoded frame, in the decoder's order.

    Args:
        frame: decoded with the option flags2=+export_mvs.
    Returns: (n,) structured as VECTOR_DTYPE; empty on an I frame.
    """
    side_data: Any = frame.side_data.get("MOTION_VECTORS")
    if side_data is None:
        return np.empty(0, VECTOR_DTYPE)
    vectors: Vectors = side_data.to_ndarray()
    return vectors


def _last_vector_per_cell(vectors: Vectors, size: tuple[int, int], cell: int) -> NDArray[np.intp]:
    """1 + the index of the last vector that covers each cell of a grid over the frame, 0 where none does."""
    rows, columns = -(-size[0] // cell), -(-size[1] // cell)
    last = np.zeros(rows * columns, np.intp)
    widths, heights = vectors["w"].astype(np.intp), vectors["h"].astype(np.intp)
    lefts = (vectors["dst_x"] - widths // 2) // cell
    tops = (vectors["dst_y"] - heights // 2) // cell
    shapes = widths * 256 + heights
    for shape in np.unique(shapes):
        members = np.flatnonzero(shapes == shape)
        row = tops[members, None, None] + np.arange(shape % 256 // cell)[:, None]
        column = lefts[members, None, None] + np.arange(shape // 256 // cell)
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        cells = (row * columns + column)[inside]
        value = np.broadcast_to(members[:, None, None] + 1, inside.shape)[inside]
        # Of repeated indices numpy keeps the last, which is the largest because members ascend.
        last[cells] = np.maximum(last[cells], value)
    return last.reshape(rows, columns)


def block_motion(
    vectors: Vectors,
    size: tuple[int, int],
    *,
    past_distance_frames: int = 1,
    future_distance_frames: int | None = None,
) -> BlockMotion:
    """Put the vectors on the finest grid that they need: list 0 those into the past, list 1 those into the future.

    Where blocks overlap, the later row wins. Blocks are clipped at the borders.

    Args:
        vectors: (n,) structured as VECTOR_DTYPE.
        size: (height, width) of the frame.
        past_distance_frames: how many frames earlier the reference of rows with source < 0 is shown.
        future_distance_frames: how many frames later that of rows with source > 0 is; None where there is
            none.
    Raises: BitstreamError, when a vector points to a future frame and there is none.
    """
    is_past = vectors["source"] < 0
    if future_distance_frames is None and not is_past.all():
        raise BitstreamError("a vector points to a later frame, but no later reference frame was decoded before it")
    cell = _cell_px(vectors)
    grid = (-(-size[0] // cell), -(-size[1] // cell))
    mv = np.zeros((*grid, 2, 2), np.int16)
    frames_back = np.zeros((*grid, 2), np.int16)
    for list_index, (rows, distance) in enumerate(
        ((vectors[is_past], past_distance_frames), (vectors[~is_past], -(future_distance_frames or 0)))
    ):
        if len(rows) == 0:
            continue
        last = _last_vector_per_cell(rows, size, cell)
        table = np.zeros((1 + len(rows), 2), np.int16)
        table[1:, 0] = rows["motion_x"] * 4 // rows["motion_scale"]
        table[1:, 1] = rows["motion_y"] * 4 // rows["motion_scale"]
        mv[:, :, list_index] = table[last]
        frames_back[:, :, list_index] = np.where(last > 0, distance, 0)
    return BlockMotion(mv=mv, frames_back=frames_back, cell_px=cell, size=size)


def _cell_px(vectors: Vectors) -> int:
    """The largest square that every block consists of."""
    if len(vectors) == 0:
        return 16
    edges = (
        vectors["dst_x"] - vectors["w"] // 2,
        vectors["dst_y"] - vectors["h"] // 2,
        vectors["w"],
        vectors["h"],
    )
    return int(np.gcd.reduce([np.gcd.reduce(edge.astype(np.intp)) for edge in edges]))

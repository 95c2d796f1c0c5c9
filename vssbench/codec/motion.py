"""Block vectors as FFmpeg exports them -> dense motion, and dense motion followed back to the I frame.

A vector row belongs to the block centred on (dst_x, dst_y) and says that its pixel p was predicted from the
reference at p + (motion_x, motion_y) / motion_scale, in pixels. `src_x` and `src_y` are whole pixels, cut
towards zero, and are not used here. Blocks without a row are intra.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from vssbench.errors import BitstreamError, ShapeError
from vssbench.records import MotionField

Sampling = Literal["integer", "subpel"]
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

LONGEST_DISTANCE_FRAMES = int(np.iinfo(np.int16).max)  # what MotionField.frames_back can hold


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


def _enlarge(cells: NDArray[Any], cell: int, size: tuple[int, int]) -> NDArray[Any]:
    pixels = cells.repeat(cell, axis=1).repeat(cell, axis=0)
    return np.ascontiguousarray(pixels[: size[0], : size[1]])


def densify(
    vectors: Vectors,
    size: tuple[int, int],
    *,
    past_distance_frames: int = 1,
    future_distance_frames: int | None = None,
) -> MotionField:
    """Spread block vectors over the pixels they cover, with sub-pixel precision.

    Where blocks overlap, the later row wins, and a past reference wins over a future one. Blocks are clipped
    at the borders. A pixel without a vector is intra: `frames_back` 0.

    Args:
        vectors: (n,) structured as VECTOR_DTYPE.
        size: (height, width) of the frame.
        past_distance_frames: how many frames earlier the reference of rows with source < 0 is shown.
        future_distance_frames: how many frames later that of rows with source > 0 is; None where there is
            none.
    Raises: BitstreamError, when a vector points to a future frame and there is none.
    """
    if len(vectors) == 0:
        return MotionField(flow_px=np.zeros((*size, 2), np.float32), frames_back=np.zeros(size, np.int16))
    is_past = vectors["source"] < 0
    if future_distance_frames is None and not is_past.all():
        raise BitstreamError("a vector points to a later frame, but no later reference frame was decoded before it")
    vectors = vectors[np.argsort(is_past, kind="stable")]
    corners = [vectors["dst_x"] - vectors["w"] // 2, vectors["dst_y"] - vectors["h"] // 2]
    cell = int(np.gcd.reduce([np.gcd.reduce(edge.astype(np.intp)) for edge in (*corners, vectors["w"], vectors["h"])]))
    last = _last_vector_per_cell(vectors, size, cell)

    table = np.zeros((1 + len(vectors), 2), np.float32)
    table[1:, 0] = vectors["motion_x"] / vectors["motion_scale"]
    table[1:, 1] = vectors["motion_y"] / vectors["motion_scale"]
    distances = np.zeros(1 + len(vectors), np.int16)
    distances[1:] = np.where(vectors["source"] < 0, past_distance_frames, -(future_distance_frames or 0))
    flow = _enlarge(table.view(np.complex64)[:, 0][last], cell, size)  # a pair moves as one 8-byte item
    return MotionField(
        flow_px=flow.view(np.float32).reshape(*size, 2), frames_back=_enlarge(distances[last], cell, size)
    )


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """Where every pixel of a frame was in the I frame that opens its GOP.

    a_0(p) = p; a_t(p) = a_{t-1}(p + v_t(p)), v_t being the vector. "integer" rounds v_t to whole pixels
    (halves to even, as Python's round) and clips p + v_t into the frame; "subpel" interpolates a_{t-1}
    bilinearly there. A path that meets an intra block is lost from there on; a sub-pixel path is lost when
    any neighbour of non-zero weight is.

    Args:
        points: (H, W); "integer": int32 holding two int16, (x, y), both -1 where lost (so sides up to 32767);
            "subpel": complex64, x + iy, NaN where lost. One item a pixel, so that one gather moves both.
        sampling: "integer" or "subpel".
    Source: AR-Seg (CVPR 2023) mergeMotion for "integer", which however reads stale memory in intra blocks.
    """

    points: NDArray[np.int32] | NDArray[np.complex64]
    sampling: Sampling

    @classmethod
    def from_key_frame(cls, size: tuple[int, int], *, sampling: Sampling) -> Trace:
        """Every pixel is its own origin.

        Raises: ShapeError, when a side passes 32767 pixels.
        """
        if max(size) > np.iinfo(np.int16).max:
            raise ShapeError(f"motion can be traced in frames of up to 32767 pixels a side, got {size = }")
        dtype = np.int16 if sampling == "integer" else np.float32
        points: NDArray[Any] = np.empty((*size, 2), dtype)
        points[..., 0] = np.arange(size[1])
        points[..., 1] = np.arange(size[0])[:, None]
        return cls(points=_as_single_items(points), sampling=sampling)

    def follow(self, motion: MotionField, *, later: Trace | None = None) -> Trace:
        """The trace of the next frame, whose `motion` points into this one.

        Args:
            motion: vectors of the next frame; where `frames_back` is negative they point into `later`.
            later: trace of the future reference of a B frame; None where it does not lead to the same I
                frame: paths through it are lost.
        """
        gather = self._gather_integer if self.sampling == "integer" else self._gather_subpel
        lost: Any = -1 if self.sampling == "integer" else np.complex64(complex(np.nan, np.nan))
        points = gather(self.points, motion.flow_px)
        from_later = motion.frames_back < 0
        if from_later.any():
            points = np.where(from_later, lost if later is None else gather(later.points, motion.flow_px), points)
        points[motion.frames_back == 0] = lost
        return Trace(points=points, sampling=self.sampling)

    @staticmethod
    def _gather_integer(points: NDArray[Any], flow_px: NDArray[np.float32]) -> NDArray[Any]:
        dx, dy = (np.rint(flow_px[..., axis]).astype(np.int32) for axis in (0, 1))
        return points.ravel().take(displaced_index(dx, dy))

    @staticmethod
    def _gather_subpel(points: NDArray[Any], flow_px: NDArray[np.float32]) -> NDArray[Any]:
        taps, right, down = bilinear_taps(flow_px)
        flat = points.ravel()
        upper, lower = (interpolate(flat.take(taps[row]), flat.take(taps[row + 1]), right) for row in (0, 2))
        return interpolate(upper, lower, down)

    def motion_to_key(self, distance_frames: int) -> MotionField:
        """The displacement of every pixel into the I frame; 0 with `frames_back` 0 where the path is lost.

        Args:
            distance_frames: how many frames earlier the I frame is shown, at least 1.
        Raises: BitstreamError, when the distance passes what `frames_back` can hold.
        """
        if distance_frames > LONGEST_DISTANCE_FRAMES:
            raise BitstreamError(
                f"a GOP of more than {LONGEST_DISTANCE_FRAMES} frames cannot be traced to its I frame; "
                "encode it again with a shorter gop_length"
            )
        size = self.points.shape
        item: type = np.int16 if self.sampling == "integer" else np.float32
        points: NDArray[Any] = self.points.view(item).reshape(*size, 2)
        valid = points[..., 0] >= 0  # False for NaN too
        flow = np.empty((*size, 2), np.float32)
        flow[..., 0] = points[..., 0] - np.arange(size[1], dtype=item)
        flow[..., 1] = points[..., 1] - np.arange(size[0], dtype=item)[:, None]
        flow[~valid] = 0
        return MotionField(flow_px=flow, frames_back=valid * np.int16(distance_frames))


def _as_single_items(points: NDArray[Any]) -> NDArray[Any]:
    single: NDArray[Any] = points.view(np.int32 if points.dtype == np.int16 else np.complex64)[..., 0]
    return single

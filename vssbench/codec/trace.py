"""Dense motion followed back to the I frame, along the references that the bitstream names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vssbench.codec.sampling import bilinear_taps, displaced_index, interpolate
from vssbench.errors import BitstreamError, ShapeError
from vssbench.records import MotionField

Sampling = Literal["integer", "subpel"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """Where every pixel of a frame was in the I frame that opens its GOP.

    a_0(p) = p; a_t(p) = a_r(p + v_t(p)), v_t being the vector and r the frame that it points into, whichever that
    is. "integer" rounds v_t to whole pixels (halves to even, as Python's round) and clips p + v_t into the frame;
    "subpel" interpolates a_r bilinearly there. A path that meets an intra block is lost from there on; a sub-pixel
    path is lost when any neighbour of non-zero weight is. A block of two vectors (B frames) has two ways back;
    the second is taken where the first is lost.

    Args:
        points: (H, W); "integer": int32 holding two int16, (x, y), both -1 where lost (so sides up to 32767);
            "subpel": complex64, x + iy, NaN where lost. One item a pixel, so that one gather moves both.
        sampling: "integer" or "subpel".
    Source: AR-Seg (CVPR 2023), supplement A4, P and B frames; its program's mergeMotion for "integer", which however
        reads stale memory in intra blocks.
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

    @classmethod
    def through(cls, motion: MotionField, references: Mapping[int, Trace | None], *, sampling: Sampling) -> Trace:
        """The trace of the frame whose `motion` points into frames that were traced before it.

        Args:
            motion: vectors of the frame.
            references: the trace of the frame at each distance (`frames_back`) that occurs; None where it leads
                to another I frame: paths through it are lost, as are those of distances not given.
            sampling: as the traces'.
        """
        points = cls._points_through(motion, references, sampling)
        if motion.second is not None:
            lost = points < 0 if sampling == "integer" else np.isnan(points)
            lost &= motion.second.valid
            if lost.any():
                points = np.where(lost, cls._points_through(motion.second, references, sampling), points)
        return cls(points=points, sampling=sampling)

    @classmethod
    def _points_through(
        cls, motion: MotionField, references: Mapping[int, Trace | None], sampling: Sampling
    ) -> NDArray[Any]:
        gather = cls._gather_integer if sampling == "integer" else cls._gather_subpel
        lost: Any = np.int32(-1) if sampling == "integer" else np.complex64(complex(np.nan, np.nan))
        known = {distance: trace for distance, trace in references.items() if trace is not None}
        if len(references) == len(known) == 1:  # by far the most frequent
            points = gather(next(iter(known.values())).points, motion.flow_px)
            points[motion.frames_back == 0] = lost
            return points
        points = np.full(motion.frames_back.shape, lost)
        for distance, trace in known.items():
            here = motion.frames_back == distance
            if here.any():
                points = np.where(here, gather(trace.points, motion.flow_px), points)
        return points

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
        if distance_frames > np.iinfo(np.int16).max:
            raise BitstreamError(
                f"a GOP of more than {np.iinfo(np.int16).max} frames cannot be traced to its I frame; "
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

"""The vectors of a frame on a grid of blocks, as every codec here gives them, and spread over its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vssbench.records import MotionField

NEVER_SHOWN = -32768  # in `frames_back`: the reference is a picture that is not shown (pic_output_flag 0 of HEVC)
QUARTER_PX = np.float32(0.25)  # the unit of `mv`


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockMotion:
    """Where every block of a frame is predicted from: up to two vectors, list 0 and list 1.

    Args:
        mv: (h, w, 2, 2) int16: list, then (x, y), in quarter pixels. Pixel p is predicted from p + mv / 4 of the
            reference: +x right, +y down. 0 where the list is not used.
        frames_back: (h, w, 2) int16: how many frames earlier in display order the reference is shown, negative
            for a later one; 0 where the list is not used; NEVER_SHOWN. A block that uses none is intra.
        cell_px: side of a block of this grid.
        size: (height, width) of the frame.
        origin: (y, x) of the frame's first pixel on the grid (the conformance window of HEVC).
    """

    mv: NDArray[np.int16]
    frames_back: NDArray[np.int16]
    cell_px: int
    size: tuple[int, int]
    origin: tuple[int, int] = (0, 0)

    @cached_property
    def distances(self) -> frozenset[int]:
        """The values of `frames_back` other than 0."""
        return frozenset(np.unique(self.frames_back).tolist()) - {0}

    def dense(self) -> MotionField:
        """Every pixel with the vector of its block.

        Of two vectors the first is list 0's, unless only list 1's leads into the past; the other is in `second`.
        """
        in_list = self.frames_back != 0
        if not in_list[..., 1].any():
            return self._spread(self.mv[:, :, 0], self.frames_back[..., 0])
        back0, back1 = self.frames_back[..., 0], self.frames_back[..., 1]
        takes_1 = ~in_list[..., 0] | ((back0 < 0) & (back1 > 0))
        both = in_list.all(axis=-1)
        mv = np.where(takes_1[..., None], self.mv[:, :, 1], self.mv[:, :, 0])
        if not both.any():
            return self._spread(mv, np.where(takes_1, back1, back0))
        other_mv = np.where(takes_1[..., None], self.mv[:, :, 0], self.mv[:, :, 1])
        other_back = np.where(takes_1, back0, back1)
        second = self._spread(np.where(both[..., None], other_mv, 0), np.where(both, other_back, 0))
        return self._spread(mv, np.where(takes_1, back1, back0), second=second)

    def _spread(
        self, mv: NDArray[np.int16], frames_back: NDArray[np.int16], *, second: MotionField | None = None
    ) -> MotionField:
        flow = np.ascontiguousarray(mv * QUARTER_PX).view(np.complex64)[..., 0]  # a pair moves as one 8-byte item
        flow_px: NDArray[np.float32] = self._enlarged(flow).view(np.float32).reshape(*self.size, 2)
        return MotionField(flow_px=flow_px, frames_back=self._enlarged(frames_back), second=second)

    def _enlarged(self, cells: NDArray[Any]) -> NDArray[Any]:
        (top, left), (height, width) = self.origin, self.size
        pixels = cells.repeat(self.cell_px, axis=1).repeat(self.cell_px, axis=0)
        return np.ascontiguousarray(pixels[top : top + height, left : left + width])

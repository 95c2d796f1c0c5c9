"""The motion of one coded picture, as arrays over its 4x4 luma blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vssbench.codec.hevc.coding_tree import LOG2_SIZE_SHIFT, PART_MODE_SHIFT
from vssbench.codec.hevc.sequence_parameter_set import SequenceParameterSet
from vssbench.codec.hevc.syntax import B, P
from vssbench.records import FrameType


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureMotion:
    """What the slice data of a picture say of its prediction; arrays cover the coded picture.

    Args:
        blocks: (h4, w4, 2) int64, see motion_blocks.py; the properties give it as arrays with names.
        units: (rows, columns) uint8, what coding_tree.py keeps a smallest coding block.
        sps: the active sequence parameter set.
        slice_types: of its slices, 0 B, 1 P, 2 I; a picture may mix them.
        references: POC of every entry of the reference lists, and whether that picture is ever shown.
    """

    blocks: NDArray[np.int64]
    units: NDArray[np.uint8]
    sps: SequenceParameterSet
    slice_types: frozenset[int]
    references: Mapping[int, bool]

    @property
    def coded_size(self) -> tuple[int, int]:
        """(height, width) of the coded picture, which the arrays cover."""
        return self.sps.coded_size

    @property
    def display_size(self) -> tuple[int, int]:
        """(height, width) of what is shown, inside the conformance window."""
        return self.sps.display_size

    @property
    def display_origin(self) -> tuple[int, int]:
        """(y, x) of the first sample that is shown."""
        left, _, top, _ = self.sps.conformance_window
        return top, left

    @property
    def frame_type(self) -> FrameType:
        """The codec's word for the picture: B with any B slice, else P with any P slice, else I."""
        return "B" if B in self.slice_types else "P" if P in self.slice_types else "I"

    @property
    def mv(self) -> NDArray[np.int16]:
        """(h4, w4, 2, 2) int16: list 0 or 1, (x, y), quarter luma samples; 0 where the list is unused.

        Sample p is predicted from p + mv / 4 of the reference: +x right, +y down.
        """
        vectors: NDArray[np.int16] = self.blocks.view("<i2")[..., :4].reshape(*self.blocks.shape[:2], 2, 2)
        return vectors

    @property
    def ref_poc_delta(self) -> NDArray[np.int16]:
        """(h4, w4, 2) int16: POC of the reference minus POC of this picture; 0 where the list is unused."""
        deltas: NDArray[np.int16] = self.blocks.view("<i2")[..., 4:6]
        return deltas

    @property
    def pred_mode(self) -> NDArray[np.uint8]:
        """(h4, w4) uint8: 0 intra, 1 inter, 2 skipped (which is inter too)."""
        return self._enlarged(self.units & 3)

    @property
    def cu_log2(self) -> NDArray[np.uint8]:
        """(h4, w4) uint8: log2 of the size of the coding unit."""
        return self._enlarged((self.units >> LOG2_SIZE_SHIFT) + 3)

    @property
    def part_mode(self) -> NDArray[np.uint8]:
        """(h4, w4) uint8: PartMode, 0 2Nx2N, 1 2NxN, 2 Nx2N, 3 NxN, 4 2NxnU, 5 2NxnD, 6 nLx2N, 7 nRx2N."""
        return self._enlarged((self.units >> PART_MODE_SHIFT) & 7)

    def _enlarged(self, units: NDArray[Any]) -> NDArray[np.uint8]:
        times = 1 << (self.sps.min_cb_log2_size_y - 2)
        return units.repeat(times, axis=0).repeat(times, axis=1)

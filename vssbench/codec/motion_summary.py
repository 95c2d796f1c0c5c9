"""What the vectors of a video are like: how blocks are predicted, how far they move, which frames they use."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vssbench.codec.block_motion import NEVER_SHOWN
from vssbench.codec.vectors import CELL_PX, INTRA, SKIPPED, FrameMotion
from vssbench.records import FrameType


@dataclass(kw_only=True)
class TypeSummary:
    """Sums over the frames of one type; blocks are 4x4, those shown at least in part.

    Attributes:
        frames: their number.
        size_bytes: of the coded pictures together.
        blocks: in all.
        intra, skipped, of_two: blocks that are intra; skipped (HEVC only); predicted from two references.
        length_px: the lengths of all vectors, added up.
        references: vectors by `frames_back` (how many frames earlier; NEVER_SHOWN).
    """

    frames: int = 0
    size_bytes: int = 0
    blocks: int = 0
    intra: int = 0
    skipped: int = 0
    of_two: int = 0
    length_px: float = 0.0
    references: Counter[int] = field(default_factory=Counter)

    @property
    def mean_length_px(self) -> float:
        """Mean length of a vector; NaN where there is none."""
        return self.length_px / self.references.total() if self.references else float("nan")

    def add(self, frame: FrameMotion) -> None:
        """Count one more frame in."""
        pred_mode, mv, frames_back = (_shown(frame, cells) for cells in (frame.pred_mode, frame.mv, frame.frames_back))
        used = frames_back != 0
        self.frames += 1
        self.size_bytes += frame.size_bytes
        self.blocks += pred_mode.size
        self.intra += int(np.count_nonzero(pred_mode == INTRA))
        self.skipped += int(np.count_nonzero(pred_mode == SKIPPED))
        self.of_two += int(np.count_nonzero(used.all(axis=-1)))
        self.length_px += float(np.hypot(mv[..., 0], mv[..., 1], dtype=np.float32)[used].sum(dtype=np.float64)) / 4
        counts = np.bincount(frames_back[used].astype(np.int64) - NEVER_SHOWN)
        self.references.update({int(at) + NEVER_SHOWN: int(counts[at]) for at in np.flatnonzero(counts)})


class MotionSummary:
    """Adds frames up by their type."""

    def __init__(self) -> None:
        self._by_type: dict[FrameType, TypeSummary] = {}

    @property
    def by_type(self) -> dict[FrameType, TypeSummary]:
        """Those types that came, I before P before B."""
        order: tuple[FrameType, ...] = ("I", "P", "B")
        return {kind: self._by_type[kind] for kind in order if kind in self._by_type}

    def add(self, frame: FrameMotion) -> None:
        """Count one more frame in."""
        self._by_type.setdefault(frame.frame_type, TypeSummary()).add(frame)

    @property
    def num_frames(self) -> int:
        """Of all types."""
        return sum(each.frames for each in self._by_type.values())

    @property
    def size_bytes(self) -> int:
        """Of all frames."""
        return sum(each.size_bytes for each in self._by_type.values())


def _shown(frame: FrameMotion, cells: NDArray[Any]) -> NDArray[Any]:
    (top, left), (height, width) = frame.origin, frame.size
    rows, columns = (
        slice(first // CELL_PX, -(-(first + side) // CELL_PX)) for first, side in ((top, height), (left, width))
    )
    return cells[rows, columns]

"""Outputs first: a network that is timed in another form must give the labels of the plain one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vssbench.errors import PredictionError
from vssbench.records import CompressedFrame, Method


@dataclass(frozen=True, kw_only=True)
class OutputsCheck:
    """How many labels of the timed network differ from those of the plain one.

    Args:
        pixels: compared.
        differing: of them.
        limit: the largest share that passes.
        frames: compared.
        kinds: of step that they were.
    """

    pixels: int
    differing: int
    limit: float
    frames: int
    kinds: frozenset[str] = field(default_factory=frozenset)

    @property
    def share(self) -> float:
        """Of the pixels that differ, 0..1."""
        return self.differing / self.pixels

    @property
    def passed(self) -> bool:
        """Whether the share is within the limit."""
        return self.share <= self.limit


def compare_outputs(
    timed: Method, reference: Method, frames: Sequence[CompressedFrame], *, limit: float
) -> OutputsCheck:
    """Step both methods through the same frames, each from a reset with its own state, and compare every label.

    Args:
        timed: the method as it will be timed.
        reference: the same method with its networks as they are.
        frames: whole GOPs; the first is an I frame.
        limit: the largest share of differing pixels that passes.

    Raises:
        PredictionError: there are no frames, or a step of the two is of another kind or size.
    """
    if not frames:
        raise PredictionError("outputs are compared on at least one frame, got none; give a GOP")
    timed.reset()
    reference.reset()
    pixels = differing = 0
    kinds = set()
    for frame in frames:
        ours, theirs = timed.step(frame), reference.step(frame)
        if ours.kind != theirs.kind or ours.labels.shape != theirs.labels.shape:
            raise PredictionError(
                f"frame {frame.index}: the timed method took a step {ours.kind!r} {ours.labels.shape}, the plain one "
                f"{theirs.kind!r} {theirs.labels.shape}; its time would be that of other work: use --backend eager"
            )
        pixels += theirs.labels.size
        differing += int(np.count_nonzero(ours.labels != theirs.labels))
        kinds.add(theirs.kind)
    return OutputsCheck(pixels=pixels, differing=differing, limit=limit, frames=len(frames), kinds=frozenset(kinds))


def together(checks: Sequence[OutputsCheck]) -> OutputsCheck:
    """Several checks of one method as one.

    Args:
        checks: at least one, with one limit.
    """
    return OutputsCheck(
        pixels=sum(check.pixels for check in checks),
        differing=sum(check.differing for check in checks),
        limit=checks[0].limit,
        frames=sum(check.frames for check in checks),
        kinds=frozenset().union(*(check.kinds for check in checks)),
    )

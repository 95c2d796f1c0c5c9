from __future__ import annotations

import math

import numpy as np
import pytest

from vssbench.codec.block_motion import NEVER_SHOWN
from vssbench.codec.motion_summary import MotionSummary
from vssbench.codec.vectors import FrameMotion


def frame(kind="P", *, size=(8, 8), origin=(0, 0), grid=(2, 2)):
    """All blocks intra."""
    return FrameMotion(
        index=0,
        frame_type=kind,
        size_bytes=100,
        mv=np.zeros((*grid, 2, 2), np.int16),
        frames_back=np.zeros((*grid, 2), np.int16),
        pred_mode=np.zeros(grid, np.uint8),
        size=size,
        origin=origin,
    )


def test_shares_lengths_and_references_are_counted_by_type():
    p = frame()
    p.pred_mode[:] = [[0, 1], [1, 2]]
    p.frames_back[0, 1] = (1, 0)
    p.frames_back[1, 0] = (2, -1)
    p.frames_back[1, 1] = (NEVER_SHOWN, 0)
    p.mv[0, 1, 0] = (12, 16)  # 3, 4 px: 5 px long
    p.mv[1, 0] = ((-4, 0), (0, 8))  # 1 px and 2 px
    summary = MotionSummary()
    for each in (p, frame("I"), p):
        summary.add(each)
    assert list(summary.by_type) == ["I", "P"]
    of_p = summary.by_type["P"]
    assert (of_p.frames, of_p.size_bytes, of_p.blocks) == (2, 200, 8)
    assert (of_p.intra, of_p.skipped, of_p.of_two) == (2, 2, 2)
    assert of_p.references == {1: 2, 2: 2, -1: 2, NEVER_SHOWN: 2}
    assert of_p.mean_length_px == pytest.approx((5 + 1 + 2 + 0) / 4)
    assert math.isnan(summary.by_type["I"].mean_length_px)
    assert (summary.num_frames, summary.size_bytes) == (3, 300)


def test_blocks_that_are_not_shown_do_not_count():
    # the frame begins 4 pixels to the right of the coded picture and ends in the middle of its third column
    partly = frame(size=(4, 6), origin=(0, 4), grid=(2, 4))
    partly.pred_mode[:] = 1
    partly.pred_mode[0] = (0, 1, 2, 0)
    summary = MotionSummary()
    summary.add(partly)
    of_p = summary.by_type["P"]
    assert (of_p.blocks, of_p.intra, of_p.skipped) == (2, 0, 1)

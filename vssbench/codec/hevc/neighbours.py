"""Which blocks may be looked at (ITU-T H.265, 6.4)."""

from __future__ import annotations

import numpy as np

from vssbench.codec.hevc.compiled import compiled
from vssbench.codec.hevc.state import (
    CTB_LOG2_SIZE_Y,
    LOG2_CB_SIZE,
    MIN_TB_LOG2_SIZE_Y,
    PIC_HEIGHT_IN_LUMA_SAMPLES,
    PIC_WIDTH_IN_CTBS_Y,
    PIC_WIDTH_IN_LUMA_SAMPLES,
    REGION,
    X_CB,
    Y_CB,
)


@compiled
def z_scan_available(s, min_tb_addr_zs, region, x, y, x_nb, y_nb):
    """Whether the block at (x_nb, y_nb) is decoded before the one at (x, y), in its slice and tile (6.4.1)."""
    if x_nb < 0 or y_nb < 0 or x_nb >= s[PIC_WIDTH_IN_LUMA_SAMPLES] or y_nb >= s[PIC_HEIGHT_IN_LUMA_SAMPLES]:
        return False
    shift = s[MIN_TB_LOG2_SIZE_Y]
    if min_tb_addr_zs[y_nb >> shift, x_nb >> shift] > min_tb_addr_zs[y >> shift, x >> shift]:
        return False
    shift = s[CTB_LOG2_SIZE_Y]
    return np.int64(region[(y_nb >> shift) * s[PIC_WIDTH_IN_CTBS_Y] + (x_nb >> shift)]) == s[REGION]


@compiled
def prediction_block_available(s, min_tb_addr_zs, region, motion, x_pb, y_pb, width, height, part_idx, x_nb, y_nb):
    """Whether the block at (x_nb, y_nb) is decoded and inter predicted (6.4.2)."""
    size = np.int64(1) << s[LOG2_CB_SIZE]
    if s[X_CB] <= x_nb < s[X_CB] + size and s[Y_CB] <= y_nb < s[Y_CB] + size:
        is_third_of_four = (
            (width << 1) == size
            and (height << 1) == size
            and part_idx == 1
            and s[Y_CB] + height <= y_nb
            and s[X_CB] + width > x_nb
        )
        if is_third_of_four:
            return False
    elif not z_scan_available(s, min_tb_addr_zs, region, x_pb, y_pb, x_nb, y_nb):
        return False
    return motion[y_nb >> 2, x_nb >> 2, 1] != 0

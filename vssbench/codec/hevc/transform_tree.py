"""transform_tree() and transform_unit() (ITU-T H.265, 7.3.8.8 to 7.3.8.10 and 7.3.8.14)."""

from __future__ import annotations

import numpy as np

from vssbench.codec.hevc import context_tables as contexts
from vssbench.codec.hevc.cabac import decode_bypass, decode_decision
from vssbench.codec.hevc.compiled import compiled
from vssbench.codec.hevc.intra_mode import scan_of_mode
from vssbench.codec.hevc.residual_coding import DIAGONAL, residual_coding
from vssbench.codec.hevc.state import (
    BAD_QP_DELTA,
    CHROMA_ARRAY_TYPE,
    CU_INTRA,
    CU_QP_DELTA_ENABLED_FLAG,
    ERROR,
    INTRA_PRED_MODE_C,
    INTRA_PRED_MODE_Y0,
    IS_CU_QP_DELTA_CODED,
    LOG2_CB_SIZE,
    MAX_TB_LOG2_SIZE_Y,
    MAX_TRANSFORM_HIERARCHY_DEPTH_INTER,
    MAX_TRANSFORM_HIERARCHY_DEPTH_INTRA,
    MIN_TB_LOG2_SIZE_Y,
    PART_MODE,
    QP_BD_OFFSET_Y,
    TRANSFORM_STACK,
)
from vssbench.codec.hevc.syntax import PART_2NX2N, PART_NXN

_PREFIX_MAX, _LONGEST_SUFFIX_PREFIX = 5, 16  # of cu_qp_delta_abs (9.3.3.10)


@compiled
def _cu_qp_delta(s, ctx, data):
    """cu_qp_delta_abs and its sign; the value is only checked (7.4.9.14)."""
    value = np.int64(0)
    while value < _PREFIX_MAX and decode_decision(s, ctx, data, contexts.CU_QP_DELTA_ABS + (value > 0)):
        value += 1
    if value == _PREFIX_MAX:
        k = np.int64(0)
        while k < _LONGEST_SUFFIX_PREFIX and decode_bypass(s, data):
            value += np.int64(1) << k
            k += 1
        for bit in range(k - 1, -1, -1):
            value += decode_bypass(s, data) << bit
    negative = np.int64(0)
    if value > 0:
        negative = decode_bypass(s, data)
    s[IS_CU_QP_DELTA_CODED] = 1
    if value > 25 + negative + (s[QP_BD_OFFSET_Y] >> 1):
        s[ERROR] = BAD_QP_DELTA


@compiled
def _transform_unit(s, ctx, data, log2_size, blk_idx, part, cbf_luma, cbf_cb, cbf_cr):
    """transform_unit().

    Args:
        blk_idx: which quarter of its parent it is.
        part: which quarter of the coding unit it lies in, for its luma mode.
        cbf_cb: of the block itself, or of its parent where the luma block is 4x4; cbf_cr alike.
    """
    if not (cbf_luma or cbf_cb or cbf_cr):
        return
    if s[CU_QP_DELTA_ENABLED_FLAG] and not s[IS_CU_QP_DELTA_CODED]:
        _cu_qp_delta(s, ctx, data)
    if cbf_luma:
        scan_idx = np.int64(DIAGONAL)
        if s[CU_INTRA] and log2_size <= 3:
            scan_idx = scan_of_mode(s[INTRA_PRED_MODE_Y0 + (part if s[PART_MODE] == PART_NXN else 0)])
        residual_coding(s, ctx, data, log2_size, 0, scan_idx)
    if log2_size == 2 and blk_idx != 3:
        return
    log2_chroma = max(log2_size - 1, 2)
    scan_idx = np.int64(DIAGONAL)
    if s[CU_INTRA] and log2_chroma == 2:
        scan_idx = scan_of_mode(s[INTRA_PRED_MODE_C])
    if cbf_cb:
        residual_coding(s, ctx, data, log2_chroma, 1, scan_idx)
    if cbf_cr:
        residual_coding(s, ctx, data, log2_chroma, 1, scan_idx)


@compiled
def transform_tree(s, ctx, data):
    """transform_tree() of the current coding unit, depth first with a stack of its own.

    An entry of the stack packs log2TrafoSize, trafoDepth, blkIdx, the quarter of the coding unit, and cbf_cb and
    cbf_cr of the parent.
    """
    intra = s[CU_INTRA]
    intra_split_flag = np.int64(intra and s[PART_MODE] == PART_NXN)
    max_trafo_depth = (
        s[MAX_TRANSFORM_HIERARCHY_DEPTH_INTRA] + intra_split_flag if intra else s[MAX_TRANSFORM_HIERARCHY_DEPTH_INTER]
    )
    inter_split_flag = not intra and s[MAX_TRANSFORM_HIERARCHY_DEPTH_INTER] == 0 and s[PART_MODE] != PART_2NX2N
    has_chroma = s[CHROMA_ARRAY_TYPE] != 0
    parent_cbf = np.int64(3 if has_chroma else 0)
    s[TRANSFORM_STACK] = s[LOG2_CB_SIZE] | (parent_cbf << 12)
    top = TRANSFORM_STACK
    while top >= TRANSFORM_STACK:
        entry = s[top]
        top -= 1
        log2_size, depth = entry & 7, (entry >> 3) & 7
        blk_idx, part = (entry >> 8) & 3, (entry >> 10) & 3
        cbf_cb, cbf_cr = (entry >> 12) & 1, (entry >> 13) & 1
        if (
            log2_size <= s[MAX_TB_LOG2_SIZE_Y]
            and log2_size > s[MIN_TB_LOG2_SIZE_Y]
            and depth < max_trafo_depth
            and not (intra_split_flag and depth == 0)
        ):
            split = decode_decision(s, ctx, data, contexts.SPLIT_TRANSFORM_FLAG + 5 - log2_size)
        else:
            split = np.int64(
                log2_size > s[MAX_TB_LOG2_SIZE_Y]
                or (intra_split_flag and depth == 0)
                or (inter_split_flag and depth == 0)
            )
        if log2_size > 2:  # else they are the parent's
            if cbf_cb:
                cbf_cb = decode_decision(s, ctx, data, contexts.CBF_CHROMA + depth)
            if cbf_cr:
                cbf_cr = decode_decision(s, ctx, data, contexts.CBF_CHROMA + depth)
        if split:
            child = (log2_size - 1) | ((depth + 1) << 3) | (cbf_cb << 12) | (cbf_cr << 13)
            for quarter in range(3, -1, -1):
                top += 1
                s[top] = child | (quarter << 8) | ((np.int64(quarter) if depth == 0 else part) << 10)
            continue
        cbf_luma = np.int64(1)
        if intra or depth != 0 or cbf_cb or cbf_cr:
            cbf_luma = decode_decision(s, ctx, data, contexts.CBF_LUMA + (depth == 0))
        _transform_unit(s, ctx, data, log2_size, blk_idx, part, cbf_luma, cbf_cb, cbf_cr)

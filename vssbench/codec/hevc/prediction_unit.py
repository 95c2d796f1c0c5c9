"""prediction_unit() and mvd_coding() (ITU-T H.265, 7.3.8.6 and 7.3.8.9), and the motion they give."""

from __future__ import annotations

import numpy as np

from vssbench.codec.hevc import context_tables as contexts
from vssbench.codec.hevc.amvp import motion_vector_predictor
from vssbench.codec.hevc.cabac import decode_bypass, decode_decision
from vssbench.codec.hevc.compiled import compiled
from vssbench.codec.hevc.merge import merge_motion
from vssbench.codec.hevc.motion_blocks import pack_vector, vector_x, vector_y
from vssbench.codec.hevc.state import (
    BAD_MVD,
    CTB_LOG2_SIZE_Y,
    ERROR,
    LOG2_CB_SIZE,
    MAX_NUM_MERGE_CAND,
    MERGE_FLAG,
    MV,
    MVD_L1_ZERO_FLAG,
    NUM_REF_IDX_L0_ACTIVE,
    NUM_REF_IDX_L1_ACTIVE,
    REFERENCES,
    SLICE_TYPE,
)
from vssbench.codec.hevc.syntax import B

_PRED_L0, _PRED_L1, _PRED_BI = range(3)  # inter_pred_idc, Table 7-11
_LONGEST_MVD_PREFIX = 15  # abs_mvd_minus2 is below 2^15 (7.4.9.9)


@compiled
def _merge_idx(s, ctx, data):
    c_max = s[MAX_NUM_MERGE_CAND] - 1
    if c_max == 0 or not decode_decision(s, ctx, data, contexts.MERGE_IDX):
        return np.int64(0)
    value = np.int64(1)
    while value < c_max and decode_bypass(s, data):
        value += 1
    return value


@compiled
def _inter_pred_idc(s, ctx, data, width, height):
    ct_depth = s[CTB_LOG2_SIZE_Y] - s[LOG2_CB_SIZE]
    if width + height != 12 and decode_decision(s, ctx, data, contexts.INTER_PRED_IDC + ct_depth):
        return np.int64(_PRED_BI)
    return decode_decision(s, ctx, data, contexts.INTER_PRED_IDC + 4)


@compiled
def _ref_idx(s, ctx, data, num_ref_idx_active):
    c_max = num_ref_idx_active - 1
    value = np.int64(0)
    while value < min(c_max, 2) and decode_decision(s, ctx, data, contexts.REF_IDX + value):
        value += 1
    if value == 2:
        while value < c_max and decode_bypass(s, data):
            value += 1
    return value


@compiled
def _mvd_component(s, data, greater0, greater1):
    if not greater0:
        return np.int64(0)
    magnitude = np.int64(1)
    if greater1:
        magnitude = np.int64(2)  # abs_mvd_minus2, Exp-Golomb of order 1 (9.3.3.5)
        k = np.int64(1)
        while k <= _LONGEST_MVD_PREFIX and decode_bypass(s, data):
            magnitude += np.int64(1) << k
            k += 1
        if k > _LONGEST_MVD_PREFIX:
            s[ERROR] = BAD_MVD
        for bit in range(k - 1, -1, -1):
            magnitude += decode_bypass(s, data) << bit
    negative = decode_bypass(s, data)
    if magnitude > 32767 + negative:
        s[ERROR] = BAD_MVD
    return -magnitude if negative else magnitude


@compiled
def _mvd_coding(s, ctx, data, list_index):
    """MvdLX as a word 0 of list X."""
    greater0_x = decode_decision(s, ctx, data, contexts.ABS_MVD_GREATER0_FLAG)
    greater0_y = decode_decision(s, ctx, data, contexts.ABS_MVD_GREATER0_FLAG)
    greater1_x, greater1_y = np.int64(0), np.int64(0)
    if greater0_x:
        greater1_x = decode_decision(s, ctx, data, contexts.ABS_MVD_GREATER1_FLAG)
    if greater0_y:
        greater1_y = decode_decision(s, ctx, data, contexts.ABS_MVD_GREATER1_FLAG)
    x = _mvd_component(s, data, greater0_x, greater1_x)
    y = _mvd_component(s, data, greater0_y, greater1_y)
    return pack_vector(x, y, list_index)


@compiled
def _sum(first, second, list_index):
    """Vectors of one list added modulo 2^16 (8-94 to 8-97)."""
    return pack_vector(
        vector_x(first, list_index) + vector_x(second, list_index),
        vector_y(first, list_index) + vector_y(second, list_index),
        list_index,
    )


@compiled
def prediction_unit(
    s,
    ctx,
    data,
    min_tb_addr_zs,
    region,
    motion,
    collocated,
    references,
    candidates,
    x_pb,
    y_pb,
    width,
    height,
    part_idx,
    skipped,
):
    """Read one prediction unit and store its motion in every 4x4 block of it."""
    merge_flag = np.int64(1)
    if not skipped:
        merge_flag = decode_decision(s, ctx, data, contexts.MERGE_FLAG)
    s[MERGE_FLAG] = merge_flag
    if merge_flag:
        merge_idx = _merge_idx(s, ctx, data)
        merge_motion(
            s, min_tb_addr_zs, region, motion, collocated, references, candidates,
            x_pb, y_pb, width, height, part_idx, merge_idx,
        )  # fmt: skip
        vectors, words = s[MV], s[REFERENCES]
    else:
        inter_pred_idc = np.int64(_PRED_L0)
        if s[SLICE_TYPE] == B:
            inter_pred_idc = _inter_pred_idc(s, ctx, data, width, height)
        vectors, words = np.int64(0), np.int64(0)
        mvd0, mvd1, mvp0, mvp1 = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        reference0, reference1 = np.int64(0), np.int64(0)
        if inter_pred_idc != _PRED_L1:
            reference0 = references[0, _ref_idx(s, ctx, data, s[NUM_REF_IDX_L0_ACTIVE])]
            mvd0 = _mvd_coding(s, ctx, data, 0)
            mvp0 = decode_decision(s, ctx, data, contexts.MVP_FLAG)
        if inter_pred_idc != _PRED_L0:
            reference1 = references[1, _ref_idx(s, ctx, data, s[NUM_REF_IDX_L1_ACTIVE])]
            if not (s[MVD_L1_ZERO_FLAG] and inter_pred_idc == _PRED_BI):
                mvd1 = _mvd_coding(s, ctx, data, 1)
            mvp1 = decode_decision(s, ctx, data, contexts.MVP_FLAG)
        for list_index in range(2):
            reference = reference1 if list_index else reference0
            if reference == 0:
                continue
            predictor = motion_vector_predictor(
                s, min_tb_addr_zs, region, motion, collocated, x_pb, y_pb, width, height, part_idx,
                reference, np.int64(list_index), mvp1 if list_index else mvp0,
            )  # fmt: skip
            vectors |= _sum(predictor, mvd1 if list_index else mvd0, list_index)
            words |= reference
    for row in range(y_pb >> 2, (y_pb + height) >> 2):
        for column in range(x_pb >> 2, (x_pb + width) >> 2):
            motion[row, column, 0] = vectors
            motion[row, column, 1] = words

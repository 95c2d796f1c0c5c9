"""coding_tree_unit(), sao(), coding_quadtree() and coding_unit() (ITU-T H.265, 7.3.8.2 to 7.3.8.5, 7.3.8.7)."""

from __future__ import annotations

import numpy as np

from vssbench.codec.hevc import context_tables as contexts
from vssbench.codec.hevc.cabac import (
    byte_after_stop_bit,
    decode_bypass,
    decode_bypass_bits,
    decode_decision,
    decode_terminate,
    start_decoder,
)
from vssbench.codec.hevc.compiled import compiled
from vssbench.codec.hevc.intra_mode import INTRA_DC, chroma_mode, most_probable_mode, remaining_mode
from vssbench.codec.hevc.prediction_unit import prediction_unit
from vssbench.codec.hevc.state import (
    AMP_ENABLED_FLAG,
    BAD_PCM,
    CHROMA_ARRAY_TYPE,
    CODING_STACK,
    CTB_ADDR_IN_RS,
    CTB_LOG2_SIZE_Y,
    CU_INTRA,
    CU_QP_DELTA_ENABLED_FLAG,
    CU_TRANSQUANT_BYPASS_FLAG,
    DATA_END,
    ERROR,
    INTRA_PRED_MODE_C,
    INTRA_PRED_MODE_Y0,
    IS_CU_QP_DELTA_CODED,
    LEFT_AVAILABLE,
    LOG2_CB_SIZE,
    LOG2_MAX_IPCM_CB_SIZE_Y,
    LOG2_MIN_CU_QP_DELTA_SIZE,
    LOG2_MIN_IPCM_CB_SIZE_Y,
    MERGE_FLAG,
    MIN_CB_LOG2_SIZE_Y,
    PART_MODE,
    PCM_BIT_DEPTH_C,
    PCM_BIT_DEPTH_Y,
    PCM_ENABLED_FLAG,
    PIC_HEIGHT_IN_LUMA_SAMPLES,
    PIC_WIDTH_IN_CTBS_Y,
    PIC_WIDTH_IN_LUMA_SAMPLES,
    SAO_OFFSET_MAX_C,
    SAO_OFFSET_MAX_Y,
    SLICE_SAO_CHROMA_FLAG,
    SLICE_SAO_LUMA_FLAG,
    SLICE_TYPE,
    TRANSQUANT_BYPASS_ENABLED_FLAG,
    UP_AVAILABLE,
    X_CB,
    Y_CB,
)
from vssbench.codec.hevc.syntax import (
    MODE_INTER,
    MODE_INTRA,
    MODE_SKIP,
    PART_2NX2N,
    PART_2NXN,
    PART_2NXND,
    PART_2NXNU,
    PART_NLX2N,
    PART_NRX2N,
    PART_NX2N,
    PART_NXN,
    I,
)
from vssbench.codec.hevc.transform_tree import transform_tree

# A byte a smallest coding block: CuPredMode, PartMode and log2 of the size of the coding unit that covers it.
PART_MODE_SHIFT, LOG2_SIZE_SHIFT = 2, 5


@compiled
def _sao_offset_abs(s, data, c_max):
    value = np.int64(0)
    while value < c_max and decode_bypass(s, data):
        value += 1
    return value


@compiled
def _sao(s, ctx, data):
    """sao(); leftCtbInSliceSeg and upCtbInSliceSeg are the region's, for both compare SliceAddrRs."""
    if s[LEFT_AVAILABLE] and decode_decision(s, ctx, data, contexts.SAO_MERGE):
        return
    if s[UP_AVAILABLE] and decode_decision(s, ctx, data, contexts.SAO_MERGE):
        return
    sao_type_idx = np.int64(0)
    for c_idx in range(3 if s[CHROMA_ARRAY_TYPE] != 0 else 1):
        if not (s[SLICE_SAO_CHROMA_FLAG] if c_idx else s[SLICE_SAO_LUMA_FLAG]):
            continue
        if c_idx < 2:  # Cr has Cb's
            sao_type_idx = np.int64(0)
            if decode_decision(s, ctx, data, contexts.SAO_TYPE_IDX):
                sao_type_idx = 1 + decode_bypass(s, data)
        if sao_type_idx == 0:
            continue
        num_nonzero = np.int64(0)
        for _ in range(4):
            num_nonzero += _sao_offset_abs(s, data, s[SAO_OFFSET_MAX_C] if c_idx else s[SAO_OFFSET_MAX_Y]) > 0
        if sao_type_idx == 1:  # signs and sao_band_position
            decode_bypass_bits(s, data, num_nonzero + 5)
        elif c_idx < 2:  # sao_eo_class
            decode_bypass_bits(s, data, 2)


@compiled
def _pcm_sample(s, data):
    """pcm_alignment_zero_bit and pcm_sample(): passed over."""
    first = byte_after_stop_bit(s, data)
    log2_size = s[LOG2_CB_SIZE]
    num_bits = s[PCM_BIT_DEPTH_Y] << (2 * log2_size)
    if s[CHROMA_ARRAY_TYPE] != 0:
        num_bits += s[PCM_BIT_DEPTH_C] << (2 * log2_size - 1)
    last = first + (num_bits >> 3)
    if first < 0 or last >= s[DATA_END]:
        s[ERROR] = BAD_PCM
        return
    start_decoder(s, data, last)


@compiled
def _part_mode(s, ctx, data, at_minimum):
    """part_mode of an inter coding unit (Table 9-43)."""
    if decode_decision(s, ctx, data, contexts.PART_MODE):
        return np.int64(PART_2NX2N)
    horizontal = decode_decision(s, ctx, data, contexts.PART_MODE + 1)
    if at_minimum:
        if horizontal:
            return np.int64(PART_2NXN)
        if s[LOG2_CB_SIZE] == 3 or decode_decision(s, ctx, data, contexts.PART_MODE + 2):
            return np.int64(PART_NX2N)
        return np.int64(PART_NXN)
    if not s[AMP_ENABLED_FLAG] or decode_decision(s, ctx, data, contexts.PART_MODE + 3):
        return np.int64(PART_2NXN) if horizontal else np.int64(PART_NX2N)
    second = decode_bypass(s, data)
    return (PART_2NXNU if horizontal else PART_NLX2N) + second


@compiled
def _neighbour_mode(s, units, intra_modes, x, y, available):
    """candIntraPredModeX (8.4.2)."""
    if not available:
        return np.int64(INTRA_DC)
    shift = s[MIN_CB_LOG2_SIZE_Y]
    if units[y >> shift, x >> shift] & 3 != MODE_INTRA:
        return np.int64(INTRA_DC)
    return np.int64(intra_modes[y >> 2, x >> 2])


@compiled
def _intra_modes(s, ctx, data, units, intra_modes):
    """The luma mode of each part and the chroma mode of an intra coding unit."""
    num_parts = 4 if s[PART_MODE] == PART_NXN else 1
    size = (np.int64(1) << s[LOG2_CB_SIZE]) >> (num_parts == 4)
    prev_flags = np.int64(0)
    for part in range(num_parts):
        prev_flags |= decode_decision(s, ctx, data, contexts.PREV_INTRA_LUMA_PRED_FLAG) << part
    ctb_mask = (np.int64(1) << s[CTB_LOG2_SIZE_Y]) - 1
    for part in range(num_parts):
        x, y = s[X_CB] + size * (part & 1), s[Y_CB] + size * (part >> 1)
        mode_a = _neighbour_mode(s, units, intra_modes, x - 1, y, x & ctb_mask or s[LEFT_AVAILABLE])
        mode_b = _neighbour_mode(s, units, intra_modes, x, y - 1, y & ctb_mask)  # none across rows of CTBs
        if (prev_flags >> part) & 1:
            mpm_idx = np.int64(0)
            if decode_bypass(s, data):
                mpm_idx = 1 + decode_bypass(s, data)
            mode = most_probable_mode(mode_a, mode_b, mpm_idx)
        else:
            mode = remaining_mode(mode_a, mode_b, decode_bypass_bits(s, data, 5))
        s[INTRA_PRED_MODE_Y0 + part] = mode
        _fill(intra_modes, y >> 2, x >> 2, size >> 2, mode)
    if s[CHROMA_ARRAY_TYPE] != 0:
        intra_chroma_pred_mode = np.int64(4)
        if decode_decision(s, ctx, data, contexts.INTRA_CHROMA_PRED_MODE):
            intra_chroma_pred_mode = decode_bypass_bits(s, data, 2)
        s[INTRA_PRED_MODE_C] = chroma_mode(intra_chroma_pred_mode, s[INTRA_PRED_MODE_Y0])


@compiled
def _fill(grid, top, left, size, value):
    for row in range(top, top + size):
        for column in range(left, left + size):
            grid[row, column] = value


@compiled
def _store_unit(s, units, pred_mode):
    shift = s[MIN_CB_LOG2_SIZE_Y]
    value = pred_mode | (s[PART_MODE] << PART_MODE_SHIFT) | ((s[LOG2_CB_SIZE] - 3) << LOG2_SIZE_SHIFT)
    _fill(units, s[Y_CB] >> shift, s[X_CB] >> shift, np.int64(1) << (s[LOG2_CB_SIZE] - shift), value)


@compiled
def _neighbour_unit(s, units, x, y):
    shift = s[MIN_CB_LOG2_SIZE_Y]
    return np.int64(units[y >> shift, x >> shift])


@compiled
def _prediction_units(s, ctx, data, min_tb_addr_zs, region, motion, collocated, references, candidates, skipped):
    """The prediction units of an inter coding unit, by PartMode; leaves merge_flag of the first in s[MERGE_FLAG]."""
    x, y, size = s[X_CB], s[Y_CB], np.int64(1) << s[LOG2_CB_SIZE]
    mode = s[PART_MODE]
    num_parts = 1 if mode == PART_2NX2N else 4 if mode == PART_NXN else 2
    half, quarter = size >> 1, size >> 2
    merge_flag = np.int64(0)
    for part_idx in range(num_parts):
        left, top, width, height = np.int64(0), np.int64(0), size, size
        if mode == PART_NXN:
            left, top, width, height = half * (part_idx & 1), half * (part_idx >> 1), half, half
        elif mode != PART_2NX2N:
            first = half
            if mode == PART_2NXNU or mode == PART_NLX2N:
                first = quarter
            elif mode == PART_2NXND or mode == PART_NRX2N:
                first = size - quarter
            start, length = (first, size - first) if part_idx else (np.int64(0), first)
            if mode == PART_2NXN or mode == PART_2NXNU or mode == PART_2NXND:
                top, height = start, length
            else:
                left, width = start, length
        prediction_unit(
            s, ctx, data, min_tb_addr_zs, region, motion, collocated, references, candidates,
            x + left, y + top, width, height, np.int64(part_idx), skipped,
        )  # fmt: skip
        if part_idx == 0:
            merge_flag = s[MERGE_FLAG]
    s[MERGE_FLAG] = merge_flag


@compiled
def _coding_unit(
    s, ctx, data, min_tb_addr_zs, region, units, intra_modes, motion, collocated, references, candidates,
    left_available, up_available,
):  # fmt: skip
    """coding_unit() at s[X_CB], s[Y_CB]."""
    x, y, log2_size = s[X_CB], s[Y_CB], s[LOG2_CB_SIZE]
    s[CU_TRANSQUANT_BYPASS_FLAG] = 0
    s[PART_MODE] = PART_2NX2N
    s[CU_INTRA] = 1
    if s[TRANSQUANT_BYPASS_ENABLED_FLAG]:
        s[CU_TRANSQUANT_BYPASS_FLAG] = decode_decision(s, ctx, data, contexts.CU_TRANSQUANT_BYPASS_FLAG)
    if s[SLICE_TYPE] != I:
        increment = np.int64(0)
        if left_available:
            increment += _neighbour_unit(s, units, x - 1, y) & 3 == MODE_SKIP
        if up_available:
            increment += _neighbour_unit(s, units, x, y - 1) & 3 == MODE_SKIP
        if decode_decision(s, ctx, data, contexts.CU_SKIP_FLAG + increment):
            s[CU_INTRA] = 0
            _store_unit(s, units, MODE_SKIP)
            prediction_unit(
                s, ctx, data, min_tb_addr_zs, region, motion, collocated, references, candidates,
                x, y, np.int64(1) << log2_size, np.int64(1) << log2_size, np.int64(0), True,
            )  # fmt: skip
            return
        s[CU_INTRA] = decode_decision(s, ctx, data, contexts.PRED_MODE_FLAG)
    at_minimum = log2_size == s[MIN_CB_LOG2_SIZE_Y]
    if s[CU_INTRA]:
        if at_minimum and not decode_decision(s, ctx, data, contexts.PART_MODE):
            s[PART_MODE] = PART_NXN
        _store_unit(s, units, MODE_INTRA)
        if (
            s[PART_MODE] == PART_2NX2N
            and s[PCM_ENABLED_FLAG]
            and s[LOG2_MIN_IPCM_CB_SIZE_Y] <= log2_size <= s[LOG2_MAX_IPCM_CB_SIZE_Y]
            and decode_terminate(s, data)
        ):
            _pcm_sample(s, data)
            _fill(intra_modes, y >> 2, x >> 2, np.int64(1) << (log2_size - 2), INTRA_DC)
            return
        _intra_modes(s, ctx, data, units, intra_modes)
    else:
        s[PART_MODE] = _part_mode(s, ctx, data, at_minimum)
        _store_unit(s, units, MODE_INTER)
        _prediction_units(s, ctx, data, min_tb_addr_zs, region, motion, collocated, references, candidates, False)
        merged_whole = s[PART_MODE] == PART_2NX2N and s[MERGE_FLAG]
        if not merged_whole and not decode_decision(s, ctx, data, contexts.RQT_ROOT_CBF):
            return
    transform_tree(s, ctx, data)


@compiled
def coding_tree_unit(
    s, ctx, data, min_tb_addr_zs, region, units, intra_modes, motion, collocated, references, candidates
):
    """coding_tree_unit() at s[CTB_ADDR_IN_RS], its quadtree depth first with a stack of its own.

    An entry of the stack packs x0, y0 and log2CbSize.
    """
    if s[SLICE_SAO_LUMA_FLAG] or s[SLICE_SAO_CHROMA_FLAG]:
        _sao(s, ctx, data)
    ctb_log2 = s[CTB_LOG2_SIZE_Y]
    ctb_mask = (np.int64(1) << ctb_log2) - 1
    x_ctb = (s[CTB_ADDR_IN_RS] % s[PIC_WIDTH_IN_CTBS_Y]) << ctb_log2
    y_ctb = (s[CTB_ADDR_IN_RS] // s[PIC_WIDTH_IN_CTBS_Y]) << ctb_log2
    pic_width, pic_height = s[PIC_WIDTH_IN_LUMA_SAMPLES], s[PIC_HEIGHT_IN_LUMA_SAMPLES]
    s[CODING_STACK] = (x_ctb << 24) | (y_ctb << 4) | ctb_log2
    top = CODING_STACK
    while top >= CODING_STACK:
        entry = s[top]
        top -= 1
        x, y, log2_size = entry >> 24, (entry >> 4) & 0xFFFFF, entry & 15
        size = np.int64(1) << log2_size
        left_available = x & ctb_mask != 0 or s[LEFT_AVAILABLE] != 0
        up_available = y & ctb_mask != 0 or s[UP_AVAILABLE] != 0
        if x + size <= pic_width and y + size <= pic_height and log2_size > s[MIN_CB_LOG2_SIZE_Y]:
            increment = np.int64(0)
            if left_available:
                increment += (_neighbour_unit(s, units, x - 1, y) >> LOG2_SIZE_SHIFT) + 3 < log2_size
            if up_available:
                increment += (_neighbour_unit(s, units, x, y - 1) >> LOG2_SIZE_SHIFT) + 3 < log2_size
            split_cu_flag = decode_decision(s, ctx, data, contexts.SPLIT_CU_FLAG + increment)
        else:
            split_cu_flag = np.int64(log2_size > s[MIN_CB_LOG2_SIZE_Y])
        if s[CU_QP_DELTA_ENABLED_FLAG] and log2_size >= s[LOG2_MIN_CU_QP_DELTA_SIZE]:
            s[IS_CU_QP_DELTA_CODED] = 0
        if split_cu_flag:
            half = size >> 1
            for quarter in range(3, -1, -1):
                x1, y1 = x + half * (quarter & 1), y + half * (quarter >> 1)
                if x1 < pic_width and y1 < pic_height:
                    top += 1
                    s[top] = (x1 << 24) | (y1 << 4) | (log2_size - 1)
            continue
        s[X_CB], s[Y_CB], s[LOG2_CB_SIZE] = x, y, log2_size
        _coding_unit(
            s, ctx, data, min_tb_addr_zs, region, units, intra_modes, motion, collocated, references, candidates,
            left_available, up_available,
        )  # fmt: skip
        if s[ERROR]:
            return

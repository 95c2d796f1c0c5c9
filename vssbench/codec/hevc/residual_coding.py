"""residual_coding() (ITU-T H.265, 7.3.8.11): parsed to its end, for there is no way to skip it.

Only how many coefficients a sub-block has, and which come first and last, decides what is read next; positions,
signs and levels are not kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vssbench.codec.hevc import context_tables as contexts
from vssbench.codec.hevc.cabac import bypass, decision, decode_decision
from vssbench.codec.hevc.compiled import compiled
from vssbench.codec.hevc.state import (
    AHEAD,
    BAD_COEFFICIENT,
    CU_TRANSQUANT_BYPASS_FLAG,
    ERROR,
    NEXT_BYTE,
    OFFSET,
    RANGE,
    SIGN_DATA_HIDING_ENABLED_FLAG,
    TRANSFORM_SKIP_ENABLED_FLAG,
)

DIAGONAL, HORIZONTAL, VERTICAL = range(3)  # scanIdx
_LUMA_SIG_CONTEXTS = 27
_LONGEST_PREFIX = 32  # of coeff_abs_level_remaining (9.3.3.11)
# 9.3.4.2.5, ctxIdxMap; the last of 16 positions is never coded
_CTX_IDX_MAP = (0, 1, 4, 5, 2, 3, 4, 5, 6, 6, 8, 8, 7, 7, 8, 8)


def _scan_order(size: int, scan_idx: int) -> list[tuple[int, int]]:
    """(x, y) of each position of a square in scanning order (6.5.3 to 6.5.5)."""
    positions = [(x, y) for y in range(size) for x in range(size)]
    if scan_idx == DIAGONAL:
        return sorted(positions, key=lambda point: (point[0] + point[1], point[0]))
    return positions if scan_idx == HORIZONTAL else [(y, x) for x, y in positions]


def _sig_ctx(
    log2_size: int, scan_idx: int, is_chroma: bool, prev_csbf: int, sub_block: int, xy: tuple[int, int]
) -> int:
    """ctxInc of sig_coeff_flag at xy inside a sub-block, the first (0) or another (9.3.4.2.5)."""
    x, y = xy
    if log2_size == 2:
        sig_ctx = _CTX_IDX_MAP[(y << 2) + x]
    elif sub_block == 0 and x + y == 0:
        sig_ctx = 0
    else:
        near = {
            0: 2 if x + y == 0 else 1 if x + y < 3 else 0,
            1: 2 if y == 0 else 1 if y == 1 else 0,
            2: 2 if x == 0 else 1 if x == 1 else 0,
            3: 2,
        }
        sig_ctx = near[prev_csbf]
        if is_chroma:
            sig_ctx += 9 if log2_size == 3 else 12
        else:
            sig_ctx += 3 if sub_block else 0
            sig_ctx += (9 if scan_idx == DIAGONAL else 15) if log2_size == 3 else 21
    return sig_ctx + (_LUMA_SIG_CONTEXTS if is_chroma else 0)


# index of the context: [log2 size 2, 3, 4 and above][scanIdx][chroma][first or other sub-block][prevCsbf][position]
_SIG_CTX: NDArray[np.uint8] = np.array(
    [
        _sig_ctx(log2_size, scan_idx, is_chroma, prev_csbf, sub_block, xy)
        for log2_size in (2, 3, 4)
        for scan_idx in range(3)
        for is_chroma in (False, True)
        for sub_block in range(2)
        for prev_csbf in range(4)
        for xy in _scan_order(4, scan_idx)
    ],
    np.uint8,
)
# position in scanning order of (x, y), by [scanIdx][log2 of the square's side 0..3][y * 8 + x], and back
_SCAN_INDEX = np.zeros((3, 4, 64), np.int64)
_SCAN_XY = np.zeros((3, 4, 64), np.int64)
for _scan_idx in range(3):
    for _log2 in range(4):
        for _index, (_x, _y) in enumerate(_scan_order(1 << _log2, _scan_idx)):
            _SCAN_INDEX[_scan_idx, _log2, _y * 8 + _x] = _index
            _SCAN_XY[_scan_idx, _log2, _index] = _y * 8 + _x


@compiled
def _last_sig_coeff_prefix(s, ctx, data, first, log2_size, is_chroma):
    """last_sig_coeff_x_prefix or _y_prefix, whose contexts begin at `first` (9.3.4.2.3)."""
    if is_chroma:
        offset, shift = np.int64(15), log2_size - 2
    else:
        offset, shift = 3 * (log2_size - 2) + ((log2_size - 1) >> 2), (log2_size + 1) >> 2
    prefix = np.int64(0)
    while prefix < 2 * log2_size - 1 and decode_decision(s, ctx, data, first + offset + (prefix >> shift)):
        prefix += 1
    return prefix


@compiled
def _last_sig_coeff(s, data, prefix):
    """The coordinate, its suffix read where there is one (7.4.9.11)."""
    if prefix < 4:
        return prefix
    range_, offset, ahead, next_byte = s[RANGE], s[OFFSET], s[AHEAD], s[NEXT_BYTE]
    count = (prefix >> 1) - 1
    suffix = np.int64(0)
    for _ in range(count):
        bit, offset, ahead, next_byte = bypass(data, range_, offset, ahead, next_byte)
        suffix = (suffix << 1) | bit
    s[OFFSET], s[AHEAD], s[NEXT_BYTE] = offset, ahead, next_byte
    return ((2 + (prefix & 1)) << count) + suffix


@compiled
def residual_coding(s, ctx, data, log2_size, is_chroma, scan_idx):
    """Read one transform block.

    One long body, because the decoder's four numbers stay in registers only inside one function.

    Args:
        log2_size: of this block, 2..5; a chroma block has half the luma's size.
        is_chroma: 0 luma, 1 chroma.
        scan_idx: DIAGONAL, HORIZONTAL or VERTICAL.
    """
    if s[TRANSFORM_SKIP_ENABLED_FLAG] and not s[CU_TRANSQUANT_BYPASS_FLAG] and log2_size == 2:
        decode_decision(s, ctx, data, contexts.TRANSFORM_SKIP_FLAG + is_chroma)
    x_prefix = _last_sig_coeff_prefix(s, ctx, data, contexts.LAST_SIG_COEFF_X_PREFIX, log2_size, is_chroma)
    y_prefix = _last_sig_coeff_prefix(s, ctx, data, contexts.LAST_SIG_COEFF_Y_PREFIX, log2_size, is_chroma)
    last_x = _last_sig_coeff(s, data, x_prefix)
    last_y = _last_sig_coeff(s, data, y_prefix)
    if scan_idx == VERTICAL:
        last_x, last_y = last_y, last_x
    log2_sub_blocks = log2_size - 2
    last_sub_block = _SCAN_INDEX[scan_idx, log2_sub_blocks, (last_y >> 2) * 8 + (last_x >> 2)]
    last_scan_pos = _SCAN_INDEX[scan_idx, 2, (last_y & 3) * 8 + (last_x & 3)]

    range_, offset, ahead, next_byte = s[RANGE], s[OFFSET], s[AHEAD], s[NEXT_BYTE]
    may_hide_sign = s[SIGN_DATA_HIDING_ENABLED_FLAG] and not s[CU_TRANSQUANT_BYPASS_FLAG]
    size_class = min(log2_size, 4) - 2
    sig_tables = ((size_class * 3 + scan_idx) * 2 + is_chroma) * 2
    side = (np.int64(1) << log2_sub_blocks) - 1
    coded = np.int64(0)  # coded_sub_block_flag, bit y * 8 + x
    previous_greater1_ctx = np.int64(1)
    for i in range(last_sub_block, -1, -1):
        xy = _SCAN_XY[scan_idx, log2_sub_blocks, i]
        right = (coded >> (xy + 1)) & 1 if (xy & 7) < side else np.int64(0)
        below = (coded >> (xy + 8)) & 1 if (xy >> 3) < side else np.int64(0)
        infer_dc = False
        if 0 < i < last_sub_block:
            coded_sub_block_flag, range_, offset, ahead, next_byte = decision(
                ctx,
                contexts.CODED_SUB_BLOCK_FLAG + (right | below) + 2 * is_chroma,
                data,
                range_,
                offset,
                ahead,
                next_byte,
            )
            if not coded_sub_block_flag:
                continue
            infer_dc = True
        coded |= np.int64(1) << xy

        # sig_coeff_flag: how many, and the first and last position in scanning order
        table = ((sig_tables + (i > 0)) * 4 + right + 2 * below) * 16
        if i == last_sub_block:
            num_sig, highest, lowest, n = np.int64(1), last_scan_pos, last_scan_pos, last_scan_pos - 1
        else:
            num_sig, highest, lowest, n = np.int64(0), np.int64(-1), np.int64(0), np.int64(15)
        while n > 0:
            sig_coeff_flag, range_, offset, ahead, next_byte = decision(
                ctx, contexts.SIG_COEFF_FLAG + np.int64(_SIG_CTX[table + n]), data, range_, offset, ahead, next_byte
            )
            if sig_coeff_flag:
                num_sig += 1
                lowest = n
                highest = max(highest, n)
            n -= 1
        if n == 0:
            sig_coeff_flag = np.int64(1)
            if not (infer_dc and num_sig == 0):
                sig_coeff_flag, range_, offset, ahead, next_byte = decision(
                    ctx, contexts.SIG_COEFF_FLAG + np.int64(_SIG_CTX[table]), data, range_, offset, ahead, next_byte
                )
            if sig_coeff_flag:
                num_sig += 1
                lowest = np.int64(0)
                highest = max(highest, np.int64(0))
        if num_sig == 0:
            continue

        # coeff_abs_level_greater1_flag of the first eight, greater2_flag of the first of them that is 1
        ctx_set = np.int64(0) if i == 0 or is_chroma else np.int64(2)
        if previous_greater1_ctx == 0:
            ctx_set += 1
        greater1_ctx = np.int64(1)
        greater1 = np.int64(0)  # one bit a coefficient
        first_greater1 = np.int64(-1)
        for k in range(min(num_sig, 8)):
            flag, range_, offset, ahead, next_byte = decision(
                ctx,
                contexts.COEFF_ABS_LEVEL_GREATER1_FLAG + ctx_set * 4 + greater1_ctx + 16 * is_chroma,
                data,
                range_,
                offset,
                ahead,
                next_byte,
            )
            if flag:
                greater1 |= np.int64(1) << k
                greater1_ctx = np.int64(0)
                if first_greater1 < 0:
                    first_greater1 = np.int64(k)
            elif 0 < greater1_ctx < 3:
                greater1_ctx += 1
        previous_greater1_ctx = greater1_ctx
        greater2 = np.int64(0)
        if first_greater1 >= 0:
            greater2, range_, offset, ahead, next_byte = decision(
                ctx,
                contexts.COEFF_ABS_LEVEL_GREATER2_FLAG + ctx_set + 4 * is_chroma,
                data,
                range_,
                offset,
                ahead,
                next_byte,
            )

        # coeff_sign_flag
        sign_hidden = may_hide_sign and highest - lowest > 3
        for _ in range(num_sig - np.int64(sign_hidden)):
            _, offset, ahead, next_byte = bypass(data, range_, offset, ahead, next_byte)

        # coeff_abs_level_remaining
        if num_sig <= 8 and greater1 == 0:
            continue
        rice = np.int64(0)
        for k in range(num_sig):
            if k < 8:
                base_level = 1 + ((greater1 >> k) & 1)
                threshold = np.int64(2)
                if k == first_greater1:
                    base_level += greater2
                    threshold = np.int64(3)
            else:
                base_level = threshold = np.int64(1)
            if base_level != threshold:
                continue
            prefix = np.int64(0)
            bit, offset, ahead, next_byte = bypass(data, range_, offset, ahead, next_byte)
            while bit and prefix < _LONGEST_PREFIX:
                prefix += 1
                bit, offset, ahead, next_byte = bypass(data, range_, offset, ahead, next_byte)
            if prefix == _LONGEST_PREFIX:
                s[ERROR] = BAD_COEFFICIENT
            if prefix <= 3:
                count, start = rice, prefix << rice
            else:
                count, start = prefix - 3 + rice, ((np.int64(1) << (prefix - 3)) + 2) << rice
            suffix = np.int64(0)
            for _ in range(count):
                bit, offset, ahead, next_byte = bypass(data, range_, offset, ahead, next_byte)
                suffix = (suffix << 1) | bit
            level = base_level + start + suffix
            if level > 32768:  # CoeffMinY = -32768 (7.4.9.11)
                s[ERROR] = BAD_COEFFICIENT
            if level > 3 << rice:
                rice = min(rice + 1, 4)
    s[RANGE], s[OFFSET], s[AHEAD], s[NEXT_BYTE] = range_, offset, ahead, next_byte

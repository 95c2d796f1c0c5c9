"""The arithmetic decoder (ITU-T H.265, 9.3.2.5 and 9.3.4.3).

ivlOffset is kept with bits read ahead below it: `offset` holds ivlOffset and `ahead` further bits, so a decision
compares it with `range << ahead` and most need no new byte. The hot functions take and return the four numbers of
the decoder, which the compiler then keeps in registers; the others keep them in the state array.
"""

from __future__ import annotations

import numpy as np

from vssbench.codec.hevc.compiled import compiled
from vssbench.codec.hevc.context_tables import INIT_VALUES
from vssbench.codec.hevc.state import AHEAD, DATA_END, INIT_TYPE, NEXT_BYTE, OFFSET, RANGE, SLICE_QP_Y

# fmt: off
# Table 9-46, rangeTabLps[pStateIdx][qRangeIdx], row after row
RANGE_LPS = np.array(
    [
        128, 176, 208, 240, 128, 167, 197, 227, 128, 158, 187, 216, 123, 150, 178, 205, 116, 142, 169, 195, 111, 135,
        160, 185, 105, 128, 152, 175, 100, 122, 144, 166, 95, 116, 137, 158, 90, 110, 130, 150, 85, 104, 123, 142, 81,
        99, 117, 135, 77, 94, 111, 128, 73, 89, 105, 122, 69, 85, 100, 116, 66, 80, 95, 110, 62, 76, 90, 104, 59, 72,
        86, 99, 56, 69, 81, 94, 53, 65, 77, 89, 51, 62, 73, 85, 48, 59, 69, 80, 46, 56, 66, 76, 43, 53, 63, 72, 41,
        50, 59, 69, 39, 48, 56, 65, 37, 45, 54, 62, 35, 43, 51, 59, 33, 41, 48, 56, 32, 39, 46, 53, 30, 37, 43, 50,
        29, 35, 41, 48, 27, 33, 39, 45, 26, 31, 37, 43, 24, 30, 35, 41, 23, 28, 33, 39, 22, 27, 32, 37, 21, 26, 30,
        35, 20, 24, 29, 33, 19, 23, 27, 31, 18, 22, 26, 30, 17, 21, 25, 28, 16, 20, 23, 27, 15, 19, 22, 25, 14, 18,
        21, 24, 14, 17, 20, 23, 13, 16, 19, 22, 12, 15, 18, 21, 12, 14, 17, 20, 11, 14, 16, 19, 11, 13, 15, 18, 10,
        12, 15, 17, 10, 12, 14, 16, 9, 11, 13, 15, 9, 11, 12, 14, 8, 10, 12, 14, 8, 9, 11, 13, 7, 9, 11, 12, 7, 9, 10,
        12, 7, 8, 10, 11, 6, 8, 9, 11, 6, 7, 9, 10, 6, 7, 8, 9, 2, 2, 2, 2,
    ],
    np.int64,
)
# Table 9-47
_TRANS_IDX_LPS = [
    0, 0, 1, 2, 2, 4, 4, 5, 6, 7, 8, 9, 9, 11, 11, 12, 13, 13, 15, 15, 16, 16, 18, 18, 19, 19, 21, 21, 22, 22, 23, 24,
    24, 25, 26, 26, 27, 27, 28, 29, 29, 30, 30, 30, 31, 32, 32, 33, 33, 33, 34, 34, 35, 35, 35, 36, 36, 36, 37, 37,
    37, 38, 38, 63,
]
# fmt: on
# A context is one byte, pStateIdx << 1 | valMps; these lead from it to the next after the more and the less
# probable symbol.
NEXT_MPS = np.array([min(state + 1, 62) << 1 | mps for state in range(64) for mps in (0, 1)], np.uint8)
NEXT_LPS = np.array(
    [_TRANS_IDX_LPS[state] << 1 | (mps ^ (state == 0)) for state in range(64) for mps in (0, 1)], np.uint8
)
# How far a range below 256 is shifted until it is not, by range >> 3 (a range of 6 or 7 is not below 2^2).
RENORM_SHIFT = np.array([6] + [9 - (index << 3).bit_length() for index in range(1, 64)], np.int64)

_LEAST_AHEAD = 8  # a decision shifts by 7 at most
_READ_BITS = 32


@compiled
def read_ahead(data, offset, ahead, next_byte):
    """Append 32 bits of the data to `offset`; zeros after their end, which is noticed after the CTU."""
    if next_byte + 4 <= data.shape[0]:
        word = (
            (np.int64(data[next_byte]) << 24)
            | (np.int64(data[next_byte + 1]) << 16)
            | (np.int64(data[next_byte + 2]) << 8)
            | np.int64(data[next_byte + 3])
        )
    else:
        word = np.int64(0)
        for k in range(4):
            word <<= 8
            if next_byte + k < data.shape[0]:
                word |= np.int64(data[next_byte + k])
    return (offset << _READ_BITS) | word, ahead + _READ_BITS, next_byte + 4


@compiled
def decision(ctx, index, data, range_, offset, ahead, next_byte):
    """One bin with a context (9.3.4.3.2): (bin, range, offset, ahead, next_byte)."""
    state = np.int64(ctx[index])
    lps = RANGE_LPS[((state >> 1) << 2) | ((range_ >> 6) & 3)]
    range_ -= lps
    scaled = range_ << ahead
    if offset < scaled:
        value = state & 1
        ctx[index] = NEXT_MPS[state]
        shift = np.int64(range_ < 256)
        range_ <<= shift
        ahead -= shift
    else:
        value = (state & 1) ^ 1
        ctx[index] = NEXT_LPS[state]
        offset -= scaled
        shift = RENORM_SHIFT[lps >> 3]
        range_ = lps << shift
        ahead -= shift
    if ahead < _LEAST_AHEAD:
        offset, ahead, next_byte = read_ahead(data, offset, ahead, next_byte)
    return value, range_, offset, ahead, next_byte


@compiled
def bypass(data, range_, offset, ahead, next_byte):
    """One bin of even odds (9.3.4.3.4): (bin, offset, ahead, next_byte)."""
    ahead -= 1
    scaled = range_ << ahead
    value = np.int64(offset >= scaled)
    offset -= scaled * value
    if ahead < _LEAST_AHEAD:
        offset, ahead, next_byte = read_ahead(data, offset, ahead, next_byte)
    return value, offset, ahead, next_byte


@compiled
def decode_decision(s, ctx, data, index):
    """One bin with the context at `index`."""
    value, s[RANGE], s[OFFSET], s[AHEAD], s[NEXT_BYTE] = decision(
        ctx, index, data, s[RANGE], s[OFFSET], s[AHEAD], s[NEXT_BYTE]
    )
    return value


@compiled
def decode_bypass(s, data):
    """One bin of even odds."""
    value, s[OFFSET], s[AHEAD], s[NEXT_BYTE] = bypass(data, s[RANGE], s[OFFSET], s[AHEAD], s[NEXT_BYTE])
    return value


@compiled
def decode_bypass_bits(s, data, count):
    """`count` bins of even odds, most significant first."""
    value = np.int64(0)
    for _ in range(count):
        value = (value << 1) | decode_bypass(s, data)
    return value


@compiled
def decode_terminate(s, data):
    """The bin before the end of the data or of a part of them (9.3.4.3.5)."""
    range_ = s[RANGE] - 2
    ahead = s[AHEAD]
    if s[OFFSET] >= range_ << ahead:
        s[RANGE] = range_
        return np.int64(1)
    if range_ < 256:
        range_ <<= 1
        ahead -= 1
        if ahead < _LEAST_AHEAD:
            s[OFFSET], ahead, s[NEXT_BYTE] = read_ahead(data, s[OFFSET], ahead, s[NEXT_BYTE])
    s[RANGE], s[AHEAD] = range_, ahead
    return np.int64(0)


@compiled
def start_decoder(s, data, first_byte):
    """Begin at a byte (9.3.2.5): 9 bits of ivlOffset, and bits ahead of it."""
    s[RANGE] = 510
    s[OFFSET], ahead, s[NEXT_BYTE] = read_ahead(data, np.int64(0), np.int64(-9), first_byte)
    s[AHEAD] = ahead


@compiled
def bits_consumed(s):
    """Position of the decoder in the data, in bits."""
    return 8 * s[NEXT_BYTE] - s[AHEAD]


@compiled
def byte_after_stop_bit(s, data):
    """Where the data go on after a terminating bin of 1; -1 where the stop bit and its zeros are not there.

    The last bit that the decoder read must be 1 and the rest of its byte 0 (9.3.2.5; 7.3.2.11, 7.3.8.7). This
    catches nearly all data that were damaged before.
    """
    last_bit = bits_consumed(s) - 1
    byte = last_bit >> 3
    if byte >= s[DATA_END]:
        return np.int64(-1)
    if (np.int64(data[byte]) << (last_bit & 7)) & 0xFF != 0x80:
        return np.int64(-1)
    return byte + 1


@compiled
def initialise_contexts(s, ctx):
    """Every context variable from its table and SliceQpY (9.3.2.2)."""
    qp = min(max(s[SLICE_QP_Y], 0), 51)
    for index in range(ctx.shape[0]):
        value = INIT_VALUES[s[INIT_TYPE], index]
        slope = (value >> 4) * 5 - 45
        intercept = ((value & 15) << 3) - 16
        pre_ctx_state = min(max(((slope * qp) >> 4) + intercept, 1), 126)
        mps = np.int64(pre_ctx_state > 63)
        state = pre_ctx_state - 64 if mps else 63 - pre_ctx_state
        ctx[index] = (state << 1) | mps

"""Temporal motion vector prediction (ITU-T H.265, 8.5.3.2.8 and 8.5.3.2.9), and scaling by distance."""

from __future__ import annotations

import numpy as np

from vssbench.codec.hevc.compiled import compiled
from vssbench.codec.hevc.motion_blocks import is_long_term, pack_vector, poc_delta, uses_list, vector_x, vector_y
from vssbench.codec.hevc.state import (
    COLLOCATED_FROM_L0_FLAG,
    CTB_LOG2_SIZE_Y,
    MV,
    NO_BACKWARD_PRED_FLAG,
    PIC_HEIGHT_IN_LUMA_SAMPLES,
    PIC_WIDTH_IN_LUMA_SAMPLES,
    SLICE_TEMPORAL_MVP_ENABLED_FLAG,
)


@compiled
def _scaled_component(factor, value):
    product = factor * value
    magnitude = (abs(product) + 127) >> 8
    return min(max(magnitude if product > 0 else -magnitude, -32768), 32767)


@compiled
def scaled_vector(word, from_list, td, tb, to_list):
    """The vector of `from_list` in a word 0, scaled by tb / td, as a word 0 of `to_list` (8-179 to 8-183).

    Args:
        td: distance in POC that the vector spans, not 0.
        tb: distance wanted.
    """
    td = min(max(td, -128), 127)
    tb = min(max(tb, -128), 127)
    numerator = 16384 + (abs(td) >> 1)
    tx = numerator // td if td > 0 else -(numerator // -td)
    factor = min(max((tb * tx + 32) >> 6, -4096), 4095)
    return pack_vector(
        _scaled_component(factor, vector_x(word, from_list)),
        _scaled_component(factor, vector_y(word, from_list)),
        to_list,
    )


@compiled
def _collocated(s, collocated, x, y, reference, list_index):
    """8.5.3.2.9 for the block that covers (x, y): whether there is a vector; it is left in s[MV]."""
    row, column = (y >> 4) << 2, (x >> 4) << 2
    references = collocated[row, column, 1]
    if references == 0:
        return False
    if not uses_list(references, 0):
        from_list = np.int64(1)
    elif not uses_list(references, 1):
        from_list = np.int64(0)
    elif s[NO_BACKWARD_PRED_FLAG]:
        from_list = np.int64(list_index)
    else:
        from_list = s[COLLOCATED_FROM_L0_FLAG]
    long_term = is_long_term(reference, list_index)
    if long_term != is_long_term(references, from_list):
        return False
    col_poc_diff = -poc_delta(references, from_list)
    curr_poc_diff = -poc_delta(reference, list_index)
    vectors = collocated[row, column, 0]
    if long_term or col_poc_diff == curr_poc_diff or col_poc_diff == 0:
        s[MV] = pack_vector(vector_x(vectors, from_list), vector_y(vectors, from_list), list_index)
    else:
        s[MV] = scaled_vector(vectors, from_list, col_poc_diff, curr_poc_diff, list_index)
    return True


@compiled
def temporal_vector(s, collocated, x_pb, y_pb, width, height, reference, list_index):
    """Whether there is a temporal candidate (availableFlagLXCol); it is left in s[MV] as a word 0.

    Args:
        collocated: motion of ColPic.
        reference: word 1 of the reference that the vector is to point into.
        list_index: X.
    """
    if not s[SLICE_TEMPORAL_MVP_ENABLED_FLAG]:
        return False
    x, y = x_pb + width, y_pb + height
    if (
        y_pb >> s[CTB_LOG2_SIZE_Y] == y >> s[CTB_LOG2_SIZE_Y]
        and y < s[PIC_HEIGHT_IN_LUMA_SAMPLES]
        and x < s[PIC_WIDTH_IN_LUMA_SAMPLES]
        and _collocated(s, collocated, x, y, reference, list_index)
    ):
        return True
    return _collocated(s, collocated, x_pb + (width >> 1), y_pb + (height >> 1), reference, list_index)

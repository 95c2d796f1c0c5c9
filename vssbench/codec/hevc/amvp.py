"""Motion vector prediction of blocks that send a difference (ITU-T H.265, 8.5.3.2.6 and 8.5.3.2.7)."""

from __future__ import annotations

import numpy as np

from vssbench.codec.hevc.compiled import compiled
from vssbench.codec.hevc.motion_blocks import is_long_term, pack_vector, poc_delta, uses_list, vector_x, vector_y
from vssbench.codec.hevc.neighbours import prediction_block_available
from vssbench.codec.hevc.state import MV
from vssbench.codec.hevc.temporal import scaled_vector, temporal_vector


@compiled
def _same_picture(motion, x, y, reference, list_index):
    """Whether the block at (x, y) points into the wanted picture, list X before Y; its vector is the result.

    Returns: (found, word 0 of list X).
    """
    vectors, words = motion[y >> 2, x >> 2, 0], motion[y >> 2, x >> 2, 1]
    wanted = poc_delta(reference, list_index)
    for from_list in (list_index, 1 - list_index):
        if uses_list(words, from_list) and poc_delta(words, from_list) == wanted:
            return True, pack_vector(vector_x(vectors, from_list), vector_y(vectors, from_list), list_index)
    return False, np.int64(0)


@compiled
def _any_picture(motion, x, y, reference, list_index):
    """As `_same_picture`, for any picture of the same kind, its vector scaled where both are short-term."""
    vectors, words = motion[y >> 2, x >> 2, 0], motion[y >> 2, x >> 2, 1]
    long_term = is_long_term(reference, list_index)
    for from_list in (list_index, 1 - list_index):
        if uses_list(words, from_list) and is_long_term(words, from_list) == long_term:
            td, tb = -poc_delta(words, from_list), -poc_delta(reference, list_index)
            if long_term or td == tb or td == 0:
                return True, pack_vector(vector_x(vectors, from_list), vector_y(vectors, from_list), list_index)
            return True, scaled_vector(vectors, from_list, td, tb, list_index)
    return False, np.int64(0)


@compiled
def motion_vector_predictor(
    s, min_tb_addr_zs, region, motion, collocated, x_pb, y_pb, width, height, part_idx, reference, list_index, mvp_flag
):
    """mvpLX as a word 0 of list X (8.5.3.2.6).

    Args:
        reference: word 1 of the reference, list X.
        list_index: X.
        mvp_flag: mvp_lX_flag.
    """
    x_a0, y_a0 = x_pb - 1, y_pb + height
    x_a1, y_a1 = x_pb - 1, y_pb + height - 1
    a0 = prediction_block_available(s, min_tb_addr_zs, region, motion, x_pb, y_pb, width, height, part_idx, x_a0, y_a0)
    a1 = prediction_block_available(s, min_tb_addr_zs, region, motion, x_pb, y_pb, width, height, part_idx, x_a1, y_a1)
    is_scaled = a0 or a1
    found_a, mv_a = False, np.int64(0)
    if a0:
        found_a, mv_a = _same_picture(motion, x_a0, y_a0, reference, list_index)
    if a1 and not found_a:
        found_a, mv_a = _same_picture(motion, x_a1, y_a1, reference, list_index)
    if a0 and not found_a:
        found_a, mv_a = _any_picture(motion, x_a0, y_a0, reference, list_index)
    if a1 and not found_a:
        found_a, mv_a = _any_picture(motion, x_a1, y_a1, reference, list_index)

    x_b0, y_b0 = x_pb + width, y_pb - 1
    x_b1, y_b1 = x_pb + width - 1, y_pb - 1
    x_b2, y_b2 = x_pb - 1, y_pb - 1
    b0 = prediction_block_available(s, min_tb_addr_zs, region, motion, x_pb, y_pb, width, height, part_idx, x_b0, y_b0)
    b1 = prediction_block_available(s, min_tb_addr_zs, region, motion, x_pb, y_pb, width, height, part_idx, x_b1, y_b1)
    b2 = prediction_block_available(s, min_tb_addr_zs, region, motion, x_pb, y_pb, width, height, part_idx, x_b2, y_b2)
    found_b, mv_b = False, np.int64(0)
    if b0:
        found_b, mv_b = _same_picture(motion, x_b0, y_b0, reference, list_index)
    if b1 and not found_b:
        found_b, mv_b = _same_picture(motion, x_b1, y_b1, reference, list_index)
    if b2 and not found_b:
        found_b, mv_b = _same_picture(motion, x_b2, y_b2, reference, list_index)
    if not is_scaled:
        if found_b:
            found_a, mv_a = True, mv_b
        found_b, mv_b = False, np.int64(0)
        if b0:
            found_b, mv_b = _any_picture(motion, x_b0, y_b0, reference, list_index)
        if b1 and not found_b:
            found_b, mv_b = _any_picture(motion, x_b1, y_b1, reference, list_index)
        if b2 and not found_b:
            found_b, mv_b = _any_picture(motion, x_b2, y_b2, reference, list_index)

    if found_a and found_b and mv_a != mv_b:
        return mv_b if mvp_flag else mv_a
    count = np.int64(0)
    if found_a or found_b:
        if mvp_flag == 0:
            return mv_a if found_a else mv_b
        count = np.int64(1)
    if count == mvp_flag and temporal_vector(s, collocated, x_pb, y_pb, width, height, reference, list_index):
        return s[MV]
    return np.int64(0)

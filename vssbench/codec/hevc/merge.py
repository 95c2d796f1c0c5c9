"""Merge mode (ITU-T H.265, 8.5.3.2.2 to 8.5.3.2.5)."""

from __future__ import annotations

import numpy as np

from vssbench.codec.hevc.compiled import compiled
from vssbench.codec.hevc.motion_blocks import MASK_L0, MASK_L1, list_mask, poc_delta, uses_list
from vssbench.codec.hevc.neighbours import prediction_block_available
from vssbench.codec.hevc.state import (
    LOG2_CB_SIZE,
    LOG2_PAR_MRG_LEVEL,
    MAX_NUM_MERGE_CAND,
    MV,
    NUM_REF_IDX_L0_ACTIVE,
    NUM_REF_IDX_L1_ACTIVE,
    PART_MODE,
    REFERENCES,
    SLICE_TYPE,
    X_CB,
    Y_CB,
)
from vssbench.codec.hevc.syntax import PART_2NXN, PART_2NXND, PART_2NXNU, PART_NLX2N, PART_NRX2N, PART_NX2N, B
from vssbench.codec.hevc.temporal import temporal_vector

_VECTORS_L0 = 0xFFFFFFFF
# l0CandIdx and l1CandIdx by combIdx, Table 8-7
_L0_CAND_IDX = np.array([0, 1, 0, 2, 1, 2, 0, 3, 1, 3, 2, 3], np.int64)
_L1_CAND_IDX = np.array([1, 0, 2, 0, 2, 1, 3, 0, 3, 1, 3, 2], np.int64)


@compiled
def _spatial_candidate(s, min_tb_addr_zs, region, motion, x_pb, y_pb, width, height, part_idx, x_nb, y_nb):
    """Whether the neighbour exists and lies outside the merge estimation region."""
    level = s[LOG2_PAR_MRG_LEVEL]
    if x_pb >> level == x_nb >> level and y_pb >> level == y_nb >> level:
        return False
    return prediction_block_available(
        s, min_tb_addr_zs, region, motion, x_pb, y_pb, width, height, part_idx, x_nb, y_nb
    )


@compiled
def _same_motion(motion, x, y, x_other, y_other):
    return (
        motion[y >> 2, x >> 2, 0] == motion[y_other >> 2, x_other >> 2, 0]
        and motion[y >> 2, x >> 2, 1] == motion[y_other >> 2, x_other >> 2, 1]
    )


@compiled
def _add_spatial(s, min_tb_addr_zs, region, motion, candidates, x_pb, y_pb, width, height, part_idx, wanted):
    """Spatial candidates (8.5.3.2.3) in the order A1, B1, B0, A0, B2; returns how many, `wanted` at most."""
    part_mode = s[PART_MODE]
    count = np.int64(0)
    x_a1, y_a1 = x_pb - 1, y_pb + height - 1
    second_right = part_idx == 1 and (part_mode == PART_NX2N or part_mode == PART_NLX2N or part_mode == PART_NRX2N)
    a1 = not second_right and _spatial_candidate(
        s, min_tb_addr_zs, region, motion, x_pb, y_pb, width, height, part_idx, x_a1, y_a1
    )
    if a1:
        candidates[count, 0] = motion[y_a1 >> 2, x_a1 >> 2, 0]
        candidates[count, 1] = motion[y_a1 >> 2, x_a1 >> 2, 1]
        count += 1
        if count == wanted:
            return count
    x_b1, y_b1 = x_pb + width - 1, y_pb - 1
    second_below = part_idx == 1 and (part_mode == PART_2NXN or part_mode == PART_2NXNU or part_mode == PART_2NXND)
    b1 = not second_below and _spatial_candidate(
        s, min_tb_addr_zs, region, motion, x_pb, y_pb, width, height, part_idx, x_b1, y_b1
    )
    if b1 and not (a1 and _same_motion(motion, x_a1, y_a1, x_b1, y_b1)):
        candidates[count, 0] = motion[y_b1 >> 2, x_b1 >> 2, 0]
        candidates[count, 1] = motion[y_b1 >> 2, x_b1 >> 2, 1]
        count += 1
        if count == wanted:
            return count
    x_b0, y_b0 = x_pb + width, y_pb - 1
    if _spatial_candidate(s, min_tb_addr_zs, region, motion, x_pb, y_pb, width, height, part_idx, x_b0, y_b0) and not (
        b1 and _same_motion(motion, x_b1, y_b1, x_b0, y_b0)
    ):
        candidates[count, 0] = motion[y_b0 >> 2, x_b0 >> 2, 0]
        candidates[count, 1] = motion[y_b0 >> 2, x_b0 >> 2, 1]
        count += 1
        if count == wanted:
            return count
    x_a0, y_a0 = x_pb - 1, y_pb + height
    if _spatial_candidate(s, min_tb_addr_zs, region, motion, x_pb, y_pb, width, height, part_idx, x_a0, y_a0) and not (
        a1 and _same_motion(motion, x_a1, y_a1, x_a0, y_a0)
    ):
        candidates[count, 0] = motion[y_a0 >> 2, x_a0 >> 2, 0]
        candidates[count, 1] = motion[y_a0 >> 2, x_a0 >> 2, 1]
        count += 1
        if count == wanted:
            return count
    x_b2, y_b2 = x_pb - 1, y_pb - 1
    if (
        count < 4
        and _spatial_candidate(s, min_tb_addr_zs, region, motion, x_pb, y_pb, width, height, part_idx, x_b2, y_b2)
        and not (a1 and _same_motion(motion, x_a1, y_a1, x_b2, y_b2))
        and not (b1 and _same_motion(motion, x_b1, y_b1, x_b2, y_b2))
    ):
        candidates[count, 0] = motion[y_b2 >> 2, x_b2 >> 2, 0]
        candidates[count, 1] = motion[y_b2 >> 2, x_b2 >> 2, 1]
        count += 1
    return count


@compiled
def _add_combined(s, candidates, count):
    """Combined bi-predictive candidates of B slices (8.5.3.2.4); returns how many candidates there are."""
    num_orig = count
    for comb_idx in range(num_orig * (num_orig - 1)):
        if count == s[MAX_NUM_MERGE_CAND]:
            break
        l0_cand, l1_cand = _L0_CAND_IDX[comb_idx], _L1_CAND_IDX[comb_idx]
        references0, references1 = candidates[l0_cand, 1], candidates[l1_cand, 1]
        if not (uses_list(references0, 0) and uses_list(references1, 1)):
            continue
        vectors0 = candidates[l0_cand, 0] & _VECTORS_L0
        vectors1 = candidates[l1_cand, 0] & ~_VECTORS_L0
        same_vector = vectors0 == (vectors1 >> 32) & _VECTORS_L0
        if poc_delta(references0, 0) != poc_delta(references1, 1) or not same_vector:
            candidates[count, 0] = vectors0 | vectors1
            candidates[count, 1] = (references0 & MASK_L0) | (references1 & MASK_L1)
            count += 1
    return count


@compiled
def merge_motion(
    s,
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
    merge_idx,
):
    """Leave the motion of merging candidate merge_idx in s[MV] and s[REFERENCES] (8.5.3.2.2).

    Candidates after merge_idx are not made: none of them changes an earlier one.
    """
    is_small = width + height == 12
    size = np.int64(1) << s[LOG2_CB_SIZE]
    if s[LOG2_PAR_MRG_LEVEL] > 2 and size == 8:  # one list for the whole coding unit
        x_pb, y_pb, width, height, part_idx = s[X_CB], s[Y_CB], size, size, np.int64(0)
    count = _add_spatial(
        s, min_tb_addr_zs, region, motion, candidates, x_pb, y_pb, width, height, part_idx, merge_idx + 1
    )
    if count <= merge_idx and count < s[MAX_NUM_MERGE_CAND]:
        in_l0 = temporal_vector(s, collocated, x_pb, y_pb, width, height, references[0, 0], 0)
        vectors, words = np.int64(0), np.int64(0)
        if in_l0:
            vectors, words = s[MV], references[0, 0]
        if s[SLICE_TYPE] == B and temporal_vector(s, collocated, x_pb, y_pb, width, height, references[1, 0], 1):
            vectors |= s[MV]
            words |= references[1, 0]
        if words != 0:
            candidates[count, 0] = vectors
            candidates[count, 1] = words
            count += 1
    if count <= merge_idx and s[SLICE_TYPE] == B and 1 < count < s[MAX_NUM_MERGE_CAND]:
        count = _add_combined(s, candidates, count)
    if count <= merge_idx:  # zero candidates (8.5.3.2.5)
        is_b = s[SLICE_TYPE] == B
        num_ref_idx = s[NUM_REF_IDX_L0_ACTIVE]
        if is_b:
            num_ref_idx = min(num_ref_idx, s[NUM_REF_IDX_L1_ACTIVE])
        zero_idx = merge_idx - count
        ref_idx = zero_idx if zero_idx < num_ref_idx else np.int64(0)
        s[MV] = 0
        s[REFERENCES] = references[0, ref_idx] | (references[1, ref_idx] if is_b else np.int64(0))
    else:
        s[MV] = candidates[merge_idx, 0]
        s[REFERENCES] = candidates[merge_idx, 1]
    if is_small and uses_list(s[REFERENCES], 0) and uses_list(s[REFERENCES], 1):
        s[MV] &= _VECTORS_L0
        s[REFERENCES] &= list_mask(0)

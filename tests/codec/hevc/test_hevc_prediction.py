"""What the slice data derive: intra modes, scans, block order, merge, AMVP and temporal candidates."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from vssbench.codec.hevc import state
from vssbench.codec.hevc.amvp import motion_vector_predictor
from vssbench.codec.hevc.intra_mode import chroma_mode, most_probable_mode, remaining_mode, scan_of_mode
from vssbench.codec.hevc.merge import _add_combined, merge_motion
from vssbench.codec.hevc.motion_blocks import (
    is_long_term,
    pack_vector,
    poc_delta,
    reference_word,
    uses_list,
    vector_x,
    vector_y,
)
from vssbench.codec.hevc.residual_coding import DIAGONAL, HORIZONTAL, VERTICAL
from vssbench.codec.hevc.scan_tables import scan_tables
from vssbench.codec.hevc.syntax import PART_2NX2N, PART_2NXN, PART_NX2N, B, P
from vssbench.codec.hevc.temporal import scaled_vector, temporal_vector

PLANAR, DC = 0, 1


def integers(*values: int) -> tuple[np.int64, ...]:
    return tuple(np.int64(value) for value in values)


# --- intra modes (8.4.2, 8.4.3, 7.4.9.11) ---


@pytest.mark.parametrize(
    ("mode_a", "mode_b", "expected"),
    [
        (PLANAR, PLANAR, [PLANAR, DC, 26]),  # equal and not angular
        (DC, DC, [PLANAR, DC, 26]),
        (10, 10, [10, 9, 11]),  # equal and angular: 2 + (10 + 29) % 32 and 2 + (10 - 2 + 1) % 32
        (2, 2, [2, 33, 3]),  # 2 + 31 % 32, 2 + 1 % 32
        (34, 34, [34, 33, 3]),  # 2 + 63 % 32, 2 + 33 % 32
        (10, 26, [10, 26, PLANAR]),  # neither is planar
        (PLANAR, 26, [PLANAR, 26, DC]),  # one is planar, none DC
        (26, PLANAR, [26, PLANAR, DC]),
        (PLANAR, DC, [PLANAR, DC, 26]),  # both
        (DC, PLANAR, [DC, PLANAR, 26]),
        (DC, 18, [DC, 18, PLANAR]),
    ],
)
def test_the_three_most_probable_modes_by_hand(mode_a, mode_b, expected):
    assert [most_probable_mode(*integers(mode_a, mode_b, index)) for index in range(3)] == expected


def test_the_modes_that_are_left_are_all_others_in_order():
    for mode_a in range(35):
        for mode_b in range(35):
            probable = {int(most_probable_mode(*integers(mode_a, mode_b, index))) for index in range(3)}
            assert len(probable) == 3
            left = [int(remaining_mode(*integers(mode_a, mode_b, rem))) for rem in range(32)]
            assert left == [mode for mode in range(35) if mode not in probable]


def test_chroma_takes_mode_34_where_its_own_is_the_lumas():
    # Table 8-2: intra_chroma_pred_mode 0 planar, 1 vertical, 2 horizontal, 3 DC, 4 the luma's
    for luma in range(35):
        assert [int(chroma_mode(*integers(each, luma))) for each in range(4)] == [
            34 if mode == luma else mode for mode in (0, 26, 10, 1)
        ]
        assert chroma_mode(*integers(4, luma)) == luma


def test_nearly_horizontal_modes_scan_vertically_and_nearly_vertical_ones_horizontally():
    scans = [int(scan_of_mode(np.int64(mode))) for mode in range(35)]
    expected = [DIAGONAL] * 6 + [VERTICAL] * 9 + [DIAGONAL] * 7 + [HORIZONTAL] * 9 + [DIAGONAL] * 4
    assert scans == expected


# --- block order (6.5.1, 6.5.2) ---


def slow_order(columns, rows):
    """CtbAddrRsToTs and TileId tile by tile, from the text of 6.5.1."""
    width = columns[-1]
    to_ts, tile_of, count, tile = {}, {}, 0, 0
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            for y in range(top, bottom):
                for x in range(left, right):
                    to_ts[y * width + x], tile_of[y * width + x] = count, tile
                    count += 1
            tile += 1
    return to_ts, tile_of


@pytest.mark.parametrize(
    ("columns", "rows", "ctb_log2", "tb_log2"),
    [((0, 1), (0, 1), 4, 2), ((0, 5), (0, 3), 5, 3), ((0, 2, 5), (0, 3), 4, 2), ((0, 1, 4, 6), (0, 2, 3, 7), 6, 2)],
)
def test_block_order_is_that_of_a_slow_loop(columns, rows, ctb_log2, tb_log2):
    tables = scan_tables(
        column_boundaries=columns, row_boundaries=rows, ctb_log2_size=ctb_log2, min_tb_log2_size=tb_log2
    )
    to_ts, tile_of = slow_order(columns, rows)
    addresses = range(columns[-1] * rows[-1])
    assert tables.ctb_scan[0].tolist() == [to_ts[a] for a in addresses]
    assert [int(tables.ctb_scan[1][ts]) for ts in tables.ctb_scan[0]] == list(addresses)
    assert tables.ctb_scan[2].tolist() == [tile_of[a] for a in addresses]
    levels = ctb_log2 - tb_log2
    assert tables.min_tb_addr_zs.shape == (rows[-1] << levels, columns[-1] << levels)
    for y in range(rows[-1] << levels):
        for x in range(columns[-1] << levels):
            address = (y >> levels) * columns[-1] + (x >> levels)
            expected = to_ts[address] << (2 * levels)
            for i in range(levels):  # (6-10)
                m = 1 << i
                expected += (m * m if m & x else 0) + (2 * m * m if m & y else 0)
            assert tables.min_tb_addr_zs[y, x] == expected


# --- words ---


def test_vectors_and_references_come_back_from_their_words():
    rng = random.Random(2)
    edges = (-32768, -1, 0, 1, 32767)
    for _ in range(300):
        x0, y0, x1, y1 = (rng.choice((*edges, rng.randint(-500, 500))) for _ in range(4))
        word = pack_vector(*integers(x0, y0, 0)) | pack_vector(*integers(x1, y1, 1))
        got = [int(f(word, np.int64(i))) for i in range(2) for f in (vector_x, vector_y)]
        assert got == [x0, y0, x1, y1]
        delta0, delta1 = rng.choice((-32768, -3, 5, 32767)), rng.choice((-1, 1, 127))
        idx0, idx1, long0, long1 = rng.randrange(16), rng.randrange(16), rng.random() < 0.5, rng.random() < 0.5
        words = np.int64(reference_word(delta0, idx0, long0, 0) | reference_word(delta1, idx1, long1, 1))
        assert [int(poc_delta(words, np.int64(i))) for i in range(2)] == [delta0, delta1]
        assert [bool(is_long_term(words, np.int64(i))) for i in range(2)] == [long0, long1]
        assert (words >> 32) & 63 == idx0 + 1
        assert (words >> 40) & 63 == idx1 + 1
        alone = np.int64(reference_word(delta1, idx1, long1, 1))
        assert [bool(uses_list(alone, np.int64(i))) for i in range(2)] == [False, True]
        array = np.array([word, words], np.int64).view("<i2")  # what PictureMotion hands out
        assert array[:6].tolist() == [x0, y0, x1, y1, delta0, delta1]


def test_a_vector_that_leaves_16_bits_wraps_around():
    word = pack_vector(*integers(32767 + 1, -32768 - 1, 0))
    assert (vector_x(word, np.int64(0)), vector_y(word, np.int64(0))) == (-32768, 32767)


# --- scaling (8-179 to 8-183) ---


def truncated(numerator: int, denominator: int) -> int:
    """The division "/" of the standard, towards zero."""
    return int(Fraction(numerator, denominator))


def slow_scaled(value: int, td: int, tb: int) -> int:
    td, tb = min(max(td, -128), 127), min(max(tb, -128), 127)
    tx = truncated(16384 + (abs(td) >> 1), td)
    factor = min(max((tb * tx + 32) >> 6, -4096), 4095)
    product = factor * value
    sign = (product > 0) - (product < 0)
    return min(max(sign * ((abs(product) + 127) >> 8), -32768), 32767)


@pytest.mark.parametrize(
    ("value", "td", "tb", "expected"),
    [
        # td 2, tb 1: tx (16384 + 1) / 2 = 8192, factor (8192 + 32) >> 6 = 128: half, 10 -> (1280 + 127) >> 8 = 5
        (10, 2, 1, 5),
        (-10, 2, 1, -5),
        (10, 2, -1, -5),  # factor (-8192 + 32) >> 6 = -128 (floor of -127.5)
        # td 1, tb 3: tx 16384, factor (49152 + 32) >> 6 = 768: three times
        (7, 1, 3, 21),
        # td 3, tb 1: tx 16385 / 3 = 5461, factor (5461 + 32) >> 6 = 85: 100 -> (8500 + 127) >> 8 = 33
        (100, 3, 1, 33),
        # td -3: tx -5461, tb 1: factor (-5461 + 32) >> 6 = -85 (floor of -84.8)
        (100, -3, 1, -33),
        # td 1, tb 127: tx 16384, factor 32512, clipped to 4095: 15.996 times
        (1000, 1, 127, 15996),
        (1000, 1, -128, -16000),  # clipped to -4096
        (20000, 1, 2, 32767),  # the vector is clipped
        (-20000, 1, 2, -32768),
        # distances beyond 128 are cut: td 500 -> 127, tb 127: tx (16384 + 63) / 127 = 129, (16383 + 32) >> 6 = 256
        (64, 500, 127, 64),
    ],
)
def test_vectors_are_scaled_by_distance_as_worked_out_by_hand(value, td, tb, expected):
    assert slow_scaled(value, td, tb) == expected
    for from_list in range(2):
        for to_list in range(2):
            word = pack_vector(*integers(value, -7, from_list)) | pack_vector(*integers(11, 22, 1 - from_list))
            result = scaled_vector(word, *integers(from_list, td, tb, to_list))
            assert vector_x(result, np.int64(to_list)) == expected
            assert vector_y(result, np.int64(to_list)) == slow_scaled(-7, td, tb)
            assert result == result & np.int64(0xFFFFFFFF if not to_list else ~0xFFFFFFFF)


def test_scaling_is_that_of_exact_arithmetic_everywhere():
    rng = random.Random(4)
    for _ in range(2000):
        td = rng.choice((-200, -128, -17, -3, -2, -1, 1, 2, 3, 5, 8, 16, 127, 300))
        tb, value = rng.randint(-150, 150), rng.choice((rng.randint(-40, 40), rng.randint(-32768, 32767)))
        result = scaled_vector(pack_vector(*integers(value, value, 0)), *integers(0, td, tb, 0))
        assert vector_x(result, np.int64(0)) == slow_scaled(value, td, tb)


# --- candidates ---


BLOCK = (32, 64, 16, 16)  # x, y, width, height: in the second CTB row of four CTBs, so that all neighbours come before
A0, A1, B0, B1, B2 = (31, 80), (31, 79), (48, 63), (47, 63), (31, 63)
UPPER = (16, 16, 16, 16)  # a block for temporal candidates, whose bottom right is (32, 32)


class Scene:
    """A 128x128 picture of one slice, with the motion of blocks set by hand."""

    def __init__(self, slice_type: int = P, *, num_ref_idx: int = 2, ctb_log2: int = 6) -> None:
        self.s = s = np.zeros(state.STATE_SIZE, np.int64)
        size, side = 128, 128 >> ctb_log2
        s[state.SLICE_TYPE] = slice_type
        s[state.PIC_WIDTH_IN_LUMA_SAMPLES] = s[state.PIC_HEIGHT_IN_LUMA_SAMPLES] = size
        s[state.PIC_WIDTH_IN_CTBS_Y] = side
        s[state.CTB_LOG2_SIZE_Y], s[state.MIN_TB_LOG2_SIZE_Y] = ctb_log2, 2
        s[state.LOG2_PAR_MRG_LEVEL], s[state.MAX_NUM_MERGE_CAND] = 2, 5
        s[state.NUM_REF_IDX_L0_ACTIVE] = num_ref_idx
        s[state.NUM_REF_IDX_L1_ACTIVE] = num_ref_idx if slice_type == B else 0
        s[state.X_CB], s[state.Y_CB], s[state.LOG2_CB_SIZE] = BLOCK[0], BLOCK[1], 4
        s[state.PART_MODE] = PART_2NX2N
        self.tables = scan_tables(
            column_boundaries=(0, side), row_boundaries=(0, side), ctb_log2_size=ctb_log2, min_tb_log2_size=2
        )
        self.region = np.zeros(side * side, np.int32)
        self.motion = np.zeros((size // 4, size // 4, 2), np.int64)
        self.collocated = np.zeros_like(self.motion)
        self.candidates = np.zeros((5, 2), np.int64)
        self.references = np.zeros((2, 16), np.int64)
        for x, sign in enumerate((-1, 1)):
            for ref_idx in range(num_ref_idx):
                self.references[x, ref_idx] = reference_word(sign * (ref_idx + 1), ref_idx, False, x)

    def put(self, x, y, mv0=None, mv1=None, *, ref0=0, ref1=0, field=None) -> None:
        """Motion of the block at (x, y): vectors and indices of the references, None for an unused list."""
        field = self.motion if field is None else field
        vectors = references = np.int64(0)
        for index, (mv, ref_idx) in enumerate(((mv0, ref0), (mv1, ref1))):
            if mv is not None:
                vectors |= pack_vector(*integers(*mv, index))
                references |= self.references[index, ref_idx]
        field[y >> 2, x >> 2] = vectors, references

    def merge(self, merge_idx, *, block=BLOCK, part_idx=0):
        """((x, y) or None) of each list, and the distance in POC, of a merging candidate."""
        merge_motion(
            self.s, self.tables.min_tb_addr_zs, self.region, self.motion, self.collocated, self.references,
            self.candidates, *integers(*block, part_idx, merge_idx),
        )  # fmt: skip
        return unpacked(self.s[state.MV], self.s[state.REFERENCES])

    def predict(self, mvp_flag, *, ref_idx=0, list_index=0, block=BLOCK):
        word = motion_vector_predictor(
            self.s, self.tables.min_tb_addr_zs, self.region, self.motion, self.collocated, *integers(*block, 0),
            self.references[list_index, ref_idx], *integers(list_index, mvp_flag),
        )  # fmt: skip
        return int(vector_x(word, np.int64(list_index))), int(vector_y(word, np.int64(list_index)))

    def temporal(self, *, block=UPPER, ref_idx=0, list_index=0):
        found = temporal_vector(
            self.s, self.collocated, *integers(*block), self.references[list_index, ref_idx], np.int64(list_index)
        )
        if not found:
            return None
        word = np.int64(self.s[state.MV])
        return int(vector_x(word, np.int64(list_index))), int(vector_y(word, np.int64(list_index)))


def unpacked(vectors, references):
    vectors, references = np.int64(vectors), np.int64(references)
    return tuple(
        (int(vector_x(vectors, i)), int(vector_y(vectors, i)), int(poc_delta(references, i)))
        if uses_list(references, i)
        else None
        for i in integers(0, 1)
    )


def test_spatial_merging_candidates_come_in_the_order_a1_b1_b0_a0_b2():
    scene = Scene()
    for index, place in enumerate((A1, B1, B0, A0, B2)):
        scene.put(*place, (index + 1, 0))
    assert [scene.merge(index) for index in range(4)] == [((k, 0, -1), None) for k in (1, 2, 3, 4)]
    assert scene.merge(4) == ((0, 0, -1), None)  # B2 counts only where one of the four is missing
    scene.put(*B0)
    assert [scene.merge(index)[0][0] for index in range(4)] == [1, 2, 4, 5]


def test_what_is_decoded_later_or_in_another_slice_or_tile_is_no_candidate():
    scene = Scene()
    for index, place in enumerate((A1, B1, B0, A0, B2)):
        scene.put(*place, (index + 1, 0))
    scene.region[:2] = 7  # the upper row of CTBs is another slice's
    assert [scene.merge(index)[0][0] for index in range(3)] == [1, 4, 0]
    scene.s[state.REGION] = 7  # now the lower row is
    scene.region[2] = 7  # but for the own CTB
    scene.region[:2] = 0
    assert [scene.merge(index)[0][0] for index in range(3)] == [1, 4, 0]
    later = (16, 16, 16, 16)  # (32, 15) and (15, 32) lie in the second and third quarter of the CTB, it in the first
    scene = Scene()
    scene.put(32, 15, (1, 1))
    scene.put(15, 32, (2, 2))
    scene.s[state.X_CB] = scene.s[state.Y_CB] = 16
    assert scene.merge(0, block=later) == ((0, 0, -1), None)


def test_equal_neighbours_are_merged_once():
    scene = Scene()
    scene.put(*A1, (5, 5))
    scene.put(*B1, (5, 5))  # as A1
    scene.put(*B0, (5, 5))  # as B1
    scene.put(*B2, (6, 6))
    assert scene.merge(0) == ((5, 5, -1), None)
    assert scene.merge(1) == ((6, 6, -1), None)
    assert scene.merge(2) == ((0, 0, -1), None)  # a zero candidate
    scene.put(*B0, (5, 5), ref0=1)  # the same vector into another picture is other motion
    assert scene.merge(1) == ((5, 5, -2), None)


@pytest.mark.parametrize(("part_mode", "block"), [(PART_NX2N, (40, 64, 8, 16)), (PART_2NXN, (32, 72, 16, 8))])
def test_the_second_part_does_not_merge_with_the_first(part_mode, block):
    scene = Scene()
    scene.s[state.PART_MODE] = part_mode
    x, y, width, height = block
    left, above = (x - 1, y + height - 1), (x + width - 1, y - 1)
    scene.put(*left, (1, 1))
    scene.put(*above, (2, 2))
    expected = (2, 2, -1) if part_mode == PART_NX2N else (1, 1, -1)  # A1 is the first part, or B1 is
    assert scene.merge(0, block=block, part_idx=1) == (expected, None)


def test_neighbours_in_the_same_merge_estimation_region_do_not_count():
    scene = Scene()
    scene.put(*A1, (1, 1))
    scene.put(*B1, (2, 2))
    scene.s[state.LOG2_PAR_MRG_LEVEL] = 4  # regions of 16: all neighbours lie in others
    assert [scene.merge(index)[0][0] for index in range(3)] == [1, 2, 0]
    scene.s[state.LOG2_PAR_MRG_LEVEL] = 6  # the CTB is one region, A1 in it
    assert [scene.merge(index)[0][0] for index in range(2)] == [2, 0]


def test_above_merge_level_4_all_parts_of_an_8x8_unit_share_the_candidates_of_the_whole():
    scene = Scene()
    scene.s[state.LOG2_CB_SIZE], scene.s[state.PART_MODE] = 3, PART_NX2N
    scene.put(31, 71, (1, 1))  # A1 of the unit
    right = (36, 64, 4, 8)
    assert scene.merge(0, block=right, part_idx=1) == ((0, 0, -1), None)
    scene.s[state.LOG2_PAR_MRG_LEVEL] = 3
    assert scene.merge(0, block=right, part_idx=1) == ((1, 1, -1), None)


def test_zero_candidates_count_through_the_references_and_then_stay_at_the_first():
    scene = Scene(num_ref_idx=3)
    assert [scene.merge(index) for index in range(5)] == [((0, 0, d), None) for d in (-1, -2, -3, -1, -1)]
    scene = Scene(B, num_ref_idx=2)
    assert [scene.merge(index) for index in range(4)] == [
        ((0, 0, -1), (0, 0, 1)),
        ((0, 0, -2), (0, 0, 2)),
        ((0, 0, -1), (0, 0, 1)),
        ((0, 0, -1), (0, 0, 1)),
    ]


def test_blocks_of_8x4_keep_one_list():
    scene = Scene(B)
    scene.s[state.LOG2_CB_SIZE], scene.s[state.PART_MODE] = 3, PART_2NXN
    scene.put(31, 67, (3, 4), (5, 6))
    assert scene.merge(0, block=(32, 64, 8, 4)) == ((3, 4, -1), None)
    scene.put(31, 71, (3, 4), (5, 6))
    assert scene.merge(0, block=(32, 64, 8, 8)) == ((3, 4, -1), (5, 6, 1))


# Table 8-7
COMBINATIONS = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1), (0, 3), (3, 0), (1, 3), (3, 1), (2, 3), (3, 2)]


def slow_combined(candidates, max_num_merge_cand):
    """8.5.3.2.4, step by step; a candidate is ((x, y, POC distance) or None) of each list."""
    result = list(candidates)
    num_orig, comb_idx = len(candidates), 0
    while True:
        l0, l1 = candidates[COMBINATIONS[comb_idx][0]][0], candidates[COMBINATIONS[comb_idx][1]][1]
        if l0 is not None and l1 is not None and l0 != l1:
            result.append((l0, l1))
        comb_idx += 1
        if comb_idx == num_orig * (num_orig - 1) or len(result) == max_num_merge_cand:
            return result


def test_combined_candidates_are_those_of_a_slow_loop():
    rng = random.Random(6)
    seen_bi = 0
    for _ in range(400):
        scene = Scene(B, num_ref_idx=2)
        scene.references[1] = scene.references[0] << 16  # list 1 holds the same pictures, so that l0 may equal l1
        for ref_idx in range(2):
            scene.references[1, ref_idx] = reference_word(-(ref_idx + 1), ref_idx, False, 1)
        max_num = rng.randint(2, 5)
        scene.s[state.MAX_NUM_MERGE_CAND] = max_num
        count = rng.randint(2, min(4, max_num))
        originals = []
        for k in range(count):
            lists = rng.choice(((0,), (1,), (0, 1)))
            row = [None, None]
            vectors = references = np.int64(0)
            for index in lists:
                ref_idx, mv = rng.randrange(2), (rng.choice((-1, 0)), rng.choice((0, 3)))
                row[index] = (*mv, -(ref_idx + 1))
                vectors |= pack_vector(*integers(*mv, index))
                references |= scene.references[index, ref_idx]
            scene.candidates[k] = vectors, references
            originals.append(tuple(row))
        expected = slow_combined(originals, max_num) if count < max_num else originals
        total = _add_combined(scene.s, scene.candidates, np.int64(count))
        got = [unpacked(*scene.candidates[k]) for k in range(total)]
        assert got == expected
        seen_bi += total > count
    assert seen_bi > 100


# --- temporal candidates (8.5.3.2.8) ---


def temporal_scene(**kwargs) -> Scene:
    scene = Scene(**kwargs)
    scene.s[state.SLICE_TEMPORAL_MVP_ENABLED_FLAG] = scene.s[state.COLLOCATED_FROM_L0_FLAG] = 1
    scene.s[state.NO_BACKWARD_PRED_FLAG] = 1
    return scene


def test_the_temporal_candidate_is_the_block_at_the_bottom_right_and_else_the_centre():
    scene = temporal_scene()
    assert scene.temporal() is None
    scene.put(16, 16, (3, 3), field=scene.collocated)  # centre (24, 24), stored once a 16x16 block at (16, 16)
    assert scene.temporal() == (3, 3)
    scene.put(32, 32, (9, 9), field=scene.collocated)  # bottom right (32, 32)
    assert scene.temporal() == (9, 9)
    scene.put(36, 36, (7, 7), field=scene.collocated)  # inside the same 16x16 block: not looked at
    assert scene.temporal() == (9, 9)
    scene.s[state.SLICE_TEMPORAL_MVP_ENABLED_FLAG] = 0
    assert scene.temporal() is None


def test_the_bottom_right_block_counts_only_inside_the_row_of_ctbs_and_the_picture():
    scene = temporal_scene(ctb_log2=5)
    scene.put(32, 32, (9, 9), field=scene.collocated)
    scene.put(16, 16, (3, 3), field=scene.collocated)
    assert scene.temporal() == (3, 3)  # y = 32 is the next row of CTBs
    scene.put(32, 16, (5, 5), field=scene.collocated)
    assert scene.temporal(block=(16, 8, 16, 16)) == (5, 5)  # at (32, 24): the next CTB in the row will do
    scene.put(112, 16, (6, 6), field=scene.collocated)
    assert scene.temporal(block=(112, 8, 16, 16)) == (6, 6)  # x = 128 is outside: the centre (120, 16)


def test_temporal_vectors_are_scaled_and_do_not_mix_long_and_short_term():
    scene = temporal_scene()
    scene.put(16, 16, (8, -8), ref0=1, field=scene.collocated)  # spans 2 pictures
    assert scene.temporal(ref_idx=1) == (8, -8)
    assert scene.temporal(ref_idx=0) == (4, -4)
    scene.references[0, 0] = reference_word(-1, 0, True, 0)
    assert scene.temporal(ref_idx=0) is None  # long-term wanted, short-term found
    scene.collocated[4, 4, 1] = reference_word(-7, 0, True, 0)
    assert scene.temporal(ref_idx=0) == (8, -8)  # long-term vectors are not scaled
    assert scene.temporal(ref_idx=1) is None


def test_of_two_collocated_vectors_the_list_depends_on_whether_anything_follows_the_picture():
    scene = temporal_scene(slice_type=B)
    scene.put(16, 16, (1, 1), (2, 2), field=scene.collocated)
    assert scene.temporal(list_index=0) == (1, 1)  # nothing refers to later pictures: list X itself
    # mv of list 1 spans +1, as wanted for list 1
    assert scene.temporal(list_index=1) == (2, 2)
    scene.s[state.NO_BACKWARD_PRED_FLAG] = 0  # then the list is collocated_from_l0_flag, 1
    assert scene.temporal(list_index=1) == (2, 2)
    assert scene.temporal(list_index=0) == (-2, -2)  # spans +1, -1 wanted
    scene.s[state.COLLOCATED_FROM_L0_FLAG] = 0
    assert scene.temporal(list_index=0) == (1, 1)


# --- AMVP (8.5.3.2.6, 8.5.3.2.7) ---


def test_predictors_are_the_left_and_the_upper_neighbour_of_the_same_picture():
    scene = Scene()
    scene.put(*A1, (4, 0))
    scene.put(*B1, (0, 4))
    assert [scene.predict(flag) for flag in range(2)] == [(4, 0), (0, 4)]
    scene.put(*B1, (4, 0))  # equal ones count once; then zero
    assert [scene.predict(flag) for flag in range(2)] == [(4, 0), (0, 0)]
    scene.put(*B0, (0, 8))  # B0 comes before B1
    assert [scene.predict(flag) for flag in range(2)] == [(4, 0), (0, 8)]


def test_a_neighbour_of_another_picture_is_scaled_by_distance():
    scene = Scene()
    scene.put(*A1, (8, -4), ref0=1)  # spans 2; 1 is wanted
    assert scene.predict(0) == (4, -2)
    scene.put(*B1, (6, 6), ref0=1)  # is not scaled where A is there, so it gives no second candidate
    assert scene.predict(1) == (0, 0)
    scene.put(*A1)  # without A the first is B unscaled if it can be, the second B scaled
    assert [scene.predict(flag) for flag in range(2)] == [(3, 3), (0, 0)]
    scene.put(*B0, (2, 2))
    scene.put(*B1, (6, 6), ref0=1)
    assert [scene.predict(flag) for flag in range(2)] == [(2, 2), (0, 0)]  # B0 again, equal to itself


def test_a_temporal_predictor_fills_up_to_two():
    scene = temporal_scene()
    scene.put(32, 64, (3, 3), field=scene.collocated)
    assert [scene.predict(flag) for flag in range(2)] == [(3, 3), (0, 0)]
    scene.put(*A1, (4, 0))
    assert [scene.predict(flag) for flag in range(2)] == [(4, 0), (3, 3)]
    scene.put(*B1, (0, 4))
    assert [scene.predict(flag) for flag in range(2)] == [(4, 0), (0, 4)]


def test_a_vector_of_the_other_list_into_the_same_picture_will_do():
    scene = Scene(B)
    scene.references[1, 0] = reference_word(-1, 0, False, 1)  # both lists begin with the previous picture
    scene.put(*A1, None, (7, 1))
    assert scene.predict(0, list_index=0) == (7, 1)
    assert scene.predict(0, list_index=1) == (7, 1)

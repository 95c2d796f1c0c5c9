"""The arithmetic decoder and the syntax elements it reads, against an encoder written from the standard."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from cabac_encoder import CabacEncoder, ResidualEncoder, exp_golomb_bins, level_remaining_bins, scan
from small_streams import encoded, nal_units

from vssbench.codec.hevc import context_tables, state
from vssbench.codec.hevc.cabac import (
    NEXT_LPS,
    NEXT_MPS,
    RANGE_LPS,
    RENORM_SHIFT,
    bits_consumed,
    byte_after_stop_bit,
    decode_bypass,
    decode_bypass_bits,
    decode_decision,
    decode_terminate,
    initialise_contexts,
    start_decoder,
)
from vssbench.codec.hevc.context_tables import INIT_VALUES, NUM_CONTEXTS
from vssbench.codec.hevc.nal import read_nal_unit
from vssbench.codec.hevc.parameter_sets import ParameterSets
from vssbench.codec.hevc.picture_parser import PictureParser
from vssbench.codec.hevc.prediction_unit import _merge_idx, _mvd_coding, _ref_idx
from vssbench.codec.hevc.residual_coding import DIAGONAL, HORIZONTAL, VERTICAL, residual_coding
from vssbench.codec.hevc.slice_header import read_slice_segment_header
from vssbench.codec.hevc.syntax import B, I, P
from vssbench.codec.hevc.transform_tree import _cu_qp_delta

ELEMENTS = {  # how many contexts each syntax element has (Table 9-4)
    **{"sao_merge": 1, "sao_type_idx": 1, "split_cu_flag": 3, "cu_transquant_bypass_flag": 1, "cu_skip_flag": 3},
    **{"pred_mode_flag": 1, "part_mode": 4, "prev_intra_luma_pred_flag": 1, "intra_chroma_pred_mode": 1},
    **{"rqt_root_cbf": 1, "merge_flag": 1, "merge_idx": 1, "inter_pred_idc": 5, "ref_idx": 2, "mvp_flag": 1},
    **{"split_transform_flag": 3, "cbf_luma": 2, "cbf_chroma": 4, "abs_mvd_greater0_flag": 1},
    **{"abs_mvd_greater1_flag": 1, "cu_qp_delta_abs": 2, "transform_skip_flag": 2, "last_sig_coeff_x_prefix": 18},
    **{"last_sig_coeff_y_prefix": 18, "coded_sub_block_flag": 4, "sig_coeff_flag": 42},
    **{"coeff_abs_level_greater1_flag": 24, "coeff_abs_level_greater2_flag": 6},
}


def new_state(init_type: int = 1, qp: int = 30) -> np.ndarray:
    s = np.zeros(state.STATE_SIZE, np.int64)
    s[state.INIT_TYPE], s[state.SLICE_QP_Y] = init_type, qp
    return s


def encoder_contexts(init_type: int = 1, qp: int = 30) -> list[list[int]]:
    """[pStateIdx, valMps] of every context (9.3.2.2)."""
    contexts = []
    for value in INIT_VALUES[init_type].tolist():
        m, n = (value >> 4) * 5 - 45, ((value & 15) << 3) - 16
        pre = min(max(((m * min(max(qp, 0), 51)) >> 4) + n, 1), 126)
        contexts.append([63 - pre, 0] if pre <= 63 else [pre - 64, 1])
    return contexts


def by_element(contexts: list[list[int]]) -> dict[str, list[list[int]]]:
    named, begin = {}, 0
    for name, count in ELEMENTS.items():
        assert getattr(context_tables, name.upper()) == begin
        named[name] = contexts[begin : begin + count]
        begin += count
    assert begin == NUM_CONTEXTS
    return named


def as_bytes(contexts: list[list[int]]) -> list[int]:
    return [p_state << 1 | mps for p_state, mps in contexts]


def started(data: np.ndarray, s: np.ndarray) -> np.ndarray:
    """A decoder at the first byte; returns its contexts."""
    ctx = np.zeros(NUM_CONTEXTS, np.uint8)
    s[state.DATA_END] = len(data)
    initialise_contexts(s, ctx)
    start_decoder(s, data, np.int64(0))
    return ctx


# --- tables ---


def test_tables_are_those_of_the_collected_facts(shared):
    facts = json.loads((shared / "reference" / "hevc" / "cabac_tables.json").read_text())
    assert RANGE_LPS.reshape(64, 4).tolist() == facts["rangeTabLps"]
    assert [int(NEXT_LPS[2 * i + 1]) >> 1 for i in range(64)] == facts["transIdxLps"]
    begin = 0
    for name, count in ELEMENTS.items():
        known = facts["syntax_elements"][name]
        for init_type in range(3):
            row = INIT_VALUES[init_type, begin : begin + count].tolist()
            expected = known[f"initType{init_type}"]
            if expected is None:
                assert row == [154] * count, name
            else:
                # null: does not occur for that type; fewer values than contexts: the rest do not occur either
                assert all(e is None or v == e for v, e in zip(row, expected, strict=False)), name
                assert len(expected) in (count, 1), name
        begin += count


def test_the_range_of_the_less_probable_symbol_follows_its_probability():
    # pStateIdx stands for p = 0.5 * (0.01875 / 0.5) ** (pStateIdx / 63) (9.3.4.3.2 is built on it); qRangeIdx for
    # ranges 256 + 64 * q .. 319 + 64 * q, whose middle is 288 + 64 * q. Ranges below 6 are raised to 6.
    table = RANGE_LPS.reshape(64, 4)
    probability = 0.5 * (0.01875 / 0.5) ** (np.arange(63) / 63)
    middle = 288 + 64 * np.arange(4)
    ideal = np.maximum(probability[:, None] * middle, 6)
    assert np.abs(table[:63] - ideal).max() < 16.1  # state 0 and q 0 have 128, not 144, so that halves stay halves
    assert (np.diff(table[:63], axis=0) <= 0).all()
    assert (np.diff(table, axis=1) >= 0).all()
    assert table[63].tolist() == [2] * 4
    # the more probable symbol must keep a range of at least half, as one shift renormalises it
    assert (256 + 64 * np.arange(4) - table >= 128).all()


def test_after_a_more_probable_symbol_the_state_rises_to_62_and_after_a_less_probable_one_it_falls():
    for p_state in range(63):
        for mps in range(2):
            packed = p_state << 1 | mps
            assert NEXT_MPS[packed] == min(p_state + 1, 62) << 1 | mps
            after = int(NEXT_LPS[packed])
            assert after >> 1 <= p_state
            assert after & 1 == (mps if p_state else 1 - mps)  # only state 0 changes which symbol is the more probable


def test_the_shift_after_a_less_probable_symbol_brings_its_range_back_to_256():
    for lps in set(RANGE_LPS.tolist()) - {2}:
        shifted = lps << int(RENORM_SHIFT[lps >> 3])
        assert 256 <= shifted <= 510
        assert shifted >> 1 < 256 or lps >= 256


@pytest.mark.parametrize(
    ("value", "qp", "expected"),
    [
        # 154: slope 9 * 5 - 45 = 0, offset (10 << 3) - 16 = 64: preCtxState 64 whatever the QP, so state 0, MPS 1
        (154, 0, (0, 1)),
        (154, 51, (0, 1)),
        # 111: slope 6 * 5 - 45 = -15, offset (15 << 3) - 16 = 104; QP 32: (-480 >> 4) + 104 = 74, so 74 - 64, MPS 1
        (111, 32, (10, 1)),
        # 63: slope 3 * 5 - 45 = -30, offset 104; QP 51: (-1530 >> 4) = -96 (floor), 8, so 63 - 8 = 55, MPS 0
        (63, 51, (55, 0)),
        # 197: slope 12 * 5 - 45 = 15, offset (5 << 3) - 16 = 24; QP 26: (390 >> 4) + 24 = 48, so 15, MPS 0
        (197, 26, (15, 0)),
        # 31: slope 1 * 5 - 45 = -40, offset 104; QP 51: (-2040 >> 4) = -128, -24, clipped to 1: 62, MPS 0
        (31, 51, (62, 0)),
        # 200: slope 15, offset 48; QP 60 is clipped to 51: (765 >> 4) + 48 = 95: 31, MPS 1
        (200, 60, (31, 1)),
        # and a negative one (10 bit) to 0: 48, so 15, MPS 0
        (200, -12, (15, 0)),
    ],
)
def test_contexts_begin_as_worked_out_by_hand(value, qp, expected):
    init_type, index = (int(x[0]) for x in np.nonzero(value == INIT_VALUES))
    ctx = np.zeros(NUM_CONTEXTS, np.uint8)
    initialise_contexts(new_state(init_type, qp), ctx)
    assert (ctx[index] >> 1, ctx[index] & 1) == expected


@pytest.mark.parametrize(("slice_type", "flag", "init_type"), [(I, 0, 0), (P, 0, 1), (P, 1, 2), (B, 0, 2), (B, 1, 1)])
def test_cabac_init_flag_swaps_the_tables_of_p_and_b_slices(slice_type, flag, init_type):
    # 9.3.2.2, (9-7). Of the given streams hm_cuqp_tqb_tskip alone sets the flag, in six slices.
    sets = ParameterSets()
    units = [read_nal_unit(data) for data in nal_units(encoded("bframes=0:ref=1", num_frames=1, size=(64, 96)))]
    for unit in units[:3]:  # VPS, SPS, PPS
        sets.add(unit)
    slice_unit = next(unit for unit in units if unit.nal_unit_type < 32)
    header = read_slice_segment_header(slice_unit, sets.sps_by_id, sets.pps_by_id, None)
    changed = replace(header, slice_type=slice_type, cabac_init_flag=bool(flag))
    s = PictureParser(header.active, 0)._slice_state(changed, [[], []], len(slice_unit.rbsp))
    assert s[state.INIT_TYPE] == init_type
    assert s[state.SLICE_QP_Y] == header.slice_qp_y


# --- the engine ---


def test_the_first_bins_of_a_stream_by_hand():
    # ivlCurrRange 510, ivlOffset the first 9 bits.
    # Bits 100000000...: offset 256. Bypass: 512 >= 510, so 1, offset 2; then 4, 8, 16, ... < 510: seven bins of 0
    # (the bits that follow are 0), 2 << 7 = 256; 512 >= 510: 1 again.
    data = np.array([0x80, 0, 0, 0, 0, 0], np.uint8)
    s = new_state()
    started(data, s)
    assert (s[state.RANGE], s[state.OFFSET] >> s[state.AHEAD]) == (510, 256)
    assert [decode_bypass(s, data) for _ in range(9)] == [1, 0, 0, 0, 0, 0, 0, 0, 1]
    # Terminate: range 508; an offset of 508 or more ends. 508 = 111111100b, then the 7 bits of the second byte.
    for first_9_bits, expected in ((508, 1), (507, 0)):
        data = np.array([first_9_bits >> 1, (first_9_bits & 1) << 7, 0, 0], np.uint8)
        started(data, s)
        assert decode_terminate(s, data) == expected
        assert bits_consumed(s) == 9


@pytest.mark.parametrize("seed", range(6))
def test_random_bins_come_back_and_leave_the_contexts_of_the_encoder(seed):
    rng = random.Random(seed)
    init_type, qp = rng.randrange(3), rng.randrange(52)
    contexts = encoder_contexts(init_type, qp)
    encoder = CabacEncoder()
    bins = []
    for _ in range(4000):
        kind = rng.choices(("decision", "bypass", "bypasses", "terminate"), (70, 20, 5, 5))[0]
        if kind == "decision":
            index = rng.randrange(NUM_CONTEXTS if seed % 2 else 5)  # few contexts reach the extreme states
            value = int(rng.random() < (0.02, 0.3, 0.9)[index % 3])
            encoder.decision(contexts[index], value)
            bins.append((kind, index, value))
        elif kind == "bypasses":
            count = rng.randrange(1, 33)
            value = rng.getrandbits(count)
            encoder.bypass_bits(value, count)
            bins.append((kind, count, value))
        elif kind == "bypass":
            value = rng.randrange(2)
            encoder.bypass(value)
            bins.append((kind, 0, value))
        else:
            encoder.terminate(0)
            bins.append((kind, 0, 0))
    encoder.terminate(1)
    data = encoder.data()
    s = new_state(init_type, qp)
    ctx = started(data, s)
    for kind, argument, value in bins:
        if kind == "decision":
            assert decode_decision(s, ctx, data, np.int64(argument)) == value
        elif kind == "bypasses":
            assert decode_bypass_bits(s, data, np.int64(argument)) == value
        elif kind == "bypass":
            assert decode_bypass(s, data) == value
        else:
            assert decode_terminate(s, data) == 0
    assert decode_terminate(s, data) == 1
    assert byte_after_stop_bit(s, data) == len(data)
    assert ctx.tolist() == as_bytes(contexts)


def test_substreams_follow_one_another_on_the_byte_after_the_terminating_bin():
    rng = random.Random(1)
    encoder, written, starts = CabacEncoder(), [], [0]
    for _ in range(30):
        values = [rng.randrange(2) for _ in range(rng.randrange(40))]
        for value in values:
            encoder.bypass(value)
        encoder.terminate(1)
        written.append(values)
        starts.append(len(encoder.bits) // 8)
    data = encoder.data()
    s = new_state()
    started(data, s)
    for values, start, following in zip(written, starts, starts[1:], strict=False):
        start_decoder(s, data, np.int64(start))
        assert [decode_bypass(s, data) for _ in values] == values
        assert decode_terminate(s, data) == 1
        assert byte_after_stop_bit(s, data) == following


def test_a_stop_bit_that_is_missing_or_followed_by_ones_is_noticed():
    encoder = CabacEncoder()
    for value in (1, 0, 1, 1, 0):
        encoder.bypass(value)
    encoder.terminate(1)
    good = encoder.data()
    stop = len(encoder.bits) - 1 - encoder.bits[::-1].index(1)
    for bit in range(stop, len(encoder.bits)):
        bits = list(encoder.bits)
        bits[bit] ^= 1
        data = np.packbits(bits)
        s = new_state()
        started(data, s)
        decode_bypass_bits(s, data, np.int64(5))
        assert decode_terminate(s, data) == 1
        assert byte_after_stop_bit(s, data) == -1
    s = new_state()
    started(good, s)
    decode_bypass_bits(s, good, np.int64(5))
    assert decode_terminate(s, good) == 1
    assert byte_after_stop_bit(s, good) == len(good)


def test_reading_past_the_end_gives_zeros_and_counts_the_bits():
    data = np.array([0xFF, 0x00], np.uint8)
    s = new_state()
    started(data, s)
    for _ in range(100):
        decode_bypass(s, data)
    assert bits_consumed(s) == 109
    assert byte_after_stop_bit(s, data) == -1


# --- syntax elements ---


def test_exp_golomb_bins_by_hand():
    assert exp_golomb_bins(0, 1) == [0, 0]
    assert exp_golomb_bins(1, 1) == [0, 1]
    assert exp_golomb_bins(2, 1) == [1, 0, 0, 0]  # 2 = 2 + 0, two bits
    assert exp_golomb_bins(5, 0) == [1, 1, 0, 1, 0]  # 5 = 1 + 2 + 2
    assert level_remaining_bins(3, 0) == [1, 1, 1, 0]
    assert level_remaining_bins(4, 0) == [1, 1, 1, 1, 0, 0]  # EG1 of 0 behind the prefix
    assert level_remaining_bins(6, 1) == [1, 1, 1, 0, 0]


def encode_mvd(encoder: CabacEncoder, contexts, x: int, y: int) -> None:
    """mvd_coding() (7.3.8.9)."""
    for value in (x, y):
        encoder.decision(contexts["abs_mvd_greater0_flag"][0], int(value != 0))
    for value in (x, y):
        if value:
            encoder.decision(contexts["abs_mvd_greater1_flag"][0], int(abs(value) > 1))
    for value in (x, y):
        if abs(value) > 1:
            for each in exp_golomb_bins(abs(value) - 2, 1):
                encoder.bypass(each)
        if value:
            encoder.bypass(int(value < 0))


def test_vector_differences_come_back_over_their_whole_range():
    rng = random.Random(5)
    edges = [0, 1, -1, 2, -2, 3, -3, 32767, -32767, -32768, 16385, -16386]
    pairs = [(x, y) for x in edges for y in edges]
    pairs += [(rng.randint(-(1 << k), 1 << k), rng.randint(-(1 << k), 1 << k)) for k in range(15) for _ in range(20)]
    contexts = by_element(encoder_contexts())
    encoder = CabacEncoder()
    for x, y in pairs:
        encode_mvd(encoder, contexts, x, y)
    encoder.terminate(1)
    data, s = encoder.data(), new_state()
    ctx = started(data, s)
    for x, y in pairs:
        for_list_0 = int(_mvd_coding(s, ctx, data, np.int64(0)))
        assert for_list_0 == (x & 0xFFFF) | (y & 0xFFFF) << 16
    assert s[state.ERROR] == state.NO_ERROR
    assert decode_terminate(s, data) == 1
    assert byte_after_stop_bit(s, data) == len(data)


@pytest.mark.parametrize("value", [32768, 40000, 65535, 1 << 17, -32769])
def test_a_vector_difference_out_of_range_is_an_error(value):
    contexts = by_element(encoder_contexts())
    encoder = CabacEncoder()
    encode_mvd(encoder, contexts, value, 0)
    encoder.terminate(1)
    data, s = encoder.data(), new_state()
    _mvd_coding(s, started(data, s), data, np.int64(0))
    assert s[state.ERROR] == state.BAD_MVD


def encode_cu_qp_delta(encoder: CabacEncoder, contexts, value: int) -> None:
    """cu_qp_delta_abs: a prefix of up to 5 with two contexts, then EG0 (9.3.3.10); and its sign."""
    prefix = min(abs(value), 5)
    row = contexts["cu_qp_delta_abs"]
    for k in range(prefix):
        encoder.decision(row[min(k, 1)], 1)
    if prefix < 5:
        encoder.decision(row[min(prefix, 1)], 0)
    else:
        for each in exp_golomb_bins(abs(value) - 5, 0):
            encoder.bypass(each)
    if value:
        encoder.bypass(int(value < 0))


@pytest.mark.parametrize(("bit_depth", "least", "most"), [(8, -26, 25), (10, -32, 31)])
def test_quantiser_differences_are_read_to_their_end_and_checked(bit_depth, least, most):
    def read(values):
        contexts = by_element(encoder_contexts())
        encoder = CabacEncoder()
        for value in values:
            encode_cu_qp_delta(encoder, contexts, value)
        encoder.terminate(1)
        data, s = encoder.data(), new_state()
        s[state.QP_BD_OFFSET_Y] = 6 * (bit_depth - 8)
        ctx = started(data, s)
        for _ in values:
            s[state.IS_CU_QP_DELTA_CODED] = 0
            _cu_qp_delta(s, ctx, data)
            assert s[state.IS_CU_QP_DELTA_CODED] == 1
        assert decode_terminate(s, data) == 1
        assert byte_after_stop_bit(s, data) == len(data)
        return s[state.ERROR]

    assert read(range(least, most + 1)) == state.NO_ERROR
    for value in (least - 1, most + 1, 1000):
        assert read([value]) == state.BAD_QP_DELTA


def test_merge_and_reference_indices_are_truncated_unary():
    for c_max in range(1, 5):
        values = [*range(c_max + 1)] * 3
        contexts = by_element(encoder_contexts())
        encoder = CabacEncoder()
        for value in values:  # merge_idx: the first bin has a context
            for k in range(min(value + 1, c_max)):
                each = int(k < value)
                encoder.bypass(each) if k else encoder.decision(contexts["merge_idx"][0], each)
        encoder.terminate(1)
        data, s = encoder.data(), new_state()
        s[state.MAX_NUM_MERGE_CAND] = c_max + 1
        ctx = started(data, s)
        assert [_merge_idx(s, ctx, data) for _ in values] == values
        assert decode_terminate(s, data) == 1
    for num_ref_idx in (1, 2, 3, 4, 15):
        values = [*range(num_ref_idx)] * 2
        contexts = by_element(encoder_contexts())
        encoder = CabacEncoder()
        for value in values:  # ref_idx: the first two bins have one each
            for k in range(min(value + 1, num_ref_idx - 1)):
                each = int(k < value)
                encoder.bypass(each) if k > 1 else encoder.decision(contexts["ref_idx"][k], each)
        encoder.terminate(1)
        data, s = encoder.data(), new_state()
        ctx = started(data, s)
        assert [_ref_idx(s, ctx, data, np.int64(num_ref_idx)) for _ in values] == values
        assert decode_terminate(s, data) == 1


# --- residual_coding() ---


def random_block(rng: random.Random, size: int) -> np.ndarray:
    """Levels from a lone one to a block full of large ones."""
    density = rng.choice((0.02, 0.1, 0.4, 1.0))
    largest = rng.choice((1, 2, 3, 20, 400, 32767))
    levels = np.zeros((size, size), np.int64)
    for y in range(size):
        for x in range(size):
            if rng.random() < density:
                levels[y, x] = rng.choice((-1, 1)) * rng.randint(1, rng.choice((1, largest)))
    if not levels.any():
        levels[rng.randrange(size), rng.randrange(size)] = rng.choice((-1, 1)) * largest
    return levels


@pytest.mark.parametrize("log2_size", [2, 3, 4, 5])
@pytest.mark.parametrize("hides_sign", [False, True])
@pytest.mark.parametrize("init_type", [0, 1, 2])
def test_transform_blocks_are_read_to_their_end_with_the_contexts_of_the_encoder(log2_size, hides_sign, init_type):
    rng = random.Random(100 * log2_size + 10 * hides_sign + init_type)
    scans = (DIAGONAL, HORIZONTAL, VERTICAL) if log2_size <= 3 else (DIAGONAL,)
    contexts = encoder_contexts(init_type)
    encoder = CabacEncoder()
    residual = ResidualEncoder(encoder, by_element(contexts))
    blocks = []
    for _ in range(40):
        levels, is_chroma, scan_idx = random_block(rng, 1 << log2_size), rng.randrange(2), rng.choice(scans)
        sends_skip = rng.random() < 0.5
        residual.encode(levels, is_chroma=is_chroma, scan_idx=scan_idx, hides_sign=hides_sign, sends_skip=sends_skip)
        encoder.terminate(0)
        blocks.append((is_chroma, scan_idx, sends_skip))
    encoder.terminate(1)
    data, s = encoder.data(), new_state(init_type)
    s[state.SIGN_DATA_HIDING_ENABLED_FLAG] = hides_sign
    ctx = started(data, s)
    for is_chroma, scan_idx, sends_skip in blocks:
        s[state.TRANSFORM_SKIP_ENABLED_FLAG] = sends_skip
        residual_coding(s, ctx, data, np.int64(log2_size), np.int64(is_chroma), np.int64(scan_idx))
        assert decode_terminate(s, data) == 0
    assert s[state.ERROR] == state.NO_ERROR
    assert decode_terminate(s, data) == 1
    assert byte_after_stop_bit(s, data) == len(data)
    assert ctx.tolist() == as_bytes(contexts)


def test_a_lossless_block_hides_no_sign_and_sends_no_transform_skip_flag():
    rng = random.Random(9)
    contexts = encoder_contexts()
    encoder = CabacEncoder()
    residual = ResidualEncoder(encoder, by_element(contexts))
    for _ in range(20):
        residual.encode(random_block(rng, 4), is_chroma=0, scan_idx=0, hides_sign=False, sends_skip=False)
    encoder.terminate(1)
    data, s = encoder.data(), new_state()
    s[state.SIGN_DATA_HIDING_ENABLED_FLAG] = s[state.TRANSFORM_SKIP_ENABLED_FLAG] = 1
    s[state.CU_TRANSQUANT_BYPASS_FLAG] = 1
    ctx = started(data, s)
    for _ in range(20):
        residual_coding(s, ctx, data, np.int64(2), np.int64(0), np.int64(0))
    assert decode_terminate(s, data) == 1
    assert ctx.tolist() == as_bytes(contexts)


@pytest.mark.parametrize(("level", "error"), [(32767, 0), (-32768, 0), (32769, 1), (-40000, 1), (1 << 20, 1)])
def test_a_coefficient_beyond_16_bits_is_an_error(level, error):
    levels = np.zeros((4, 4), np.int64)
    levels[1, 2] = level
    encoder = CabacEncoder()
    residual = ResidualEncoder(encoder, by_element(encoder_contexts()))
    residual.encode(levels, is_chroma=0, scan_idx=0, hides_sign=False, sends_skip=False)
    encoder.terminate(1)
    data, s = encoder.data(), new_state()
    residual_coding(s, started(data, s), data, np.int64(2), np.int64(0), np.int64(0))
    assert s[state.ERROR] == (state.BAD_COEFFICIENT if error else state.NO_ERROR)


def test_scans_are_those_of_the_collected_facts(shared):
    facts = json.loads((shared / "reference" / "hevc" / "cabac_tables.json").read_text())["scan"]
    for scan_idx, name in enumerate(("diagonal", "horizontal", "vertical")):
        for size in (2, 4, 8):
            if f"{name}_{size}x{size}" in facts:
                assert [list(xy) for xy in scan(size, scan_idx)] == facts[f"{name}_{size}x{size}"]


def test_slice_types_have_the_numbers_of_table_7_7():
    assert (B, P, I) == (0, 1, 2)

import random
from dataclasses import fields
from typing import Any

import pytest
from bit_writer import BitWriter, nal_bytes, nal_unit, parameter_sets, pps_rbsp, read_header, slice_rbsp, sps_rbsp

from vssbench.codec.hevc.nal import CRA_NUT, IDR_N_LP, IDR_W_RADL, SPS_NUT, TRAIL_R, read_nal_unit
from vssbench.codec.hevc.parameter_sets import ParameterSets
from vssbench.codec.hevc.slice_header import LongTermRefPic, SliceSegmentHeader, read_slice_segment_header
from vssbench.codec.hevc.syntax import B, I, P
from vssbench.errors import BitstreamError

# The small SPS: 64 x 64 in CTBs of 16 (so 16 CTBs, addresses of 4 bits), 4 bits of POC, no sets, TMVP on.


def _refs(w: BitWriter, negative: int = 1, positive: int = 0) -> BitWriter:
    """slice_pic_order_cnt_lsb 5 and a set in the header: the nearest pictures, all used."""
    w.u(4, 5).flags(0).ue(negative, positive)
    for _ in range(negative + positive):
        w.ue(0).flags(1)
    return w


def _sets(sps: dict[str, Any] | None = None, **pps: Any) -> ParameterSets:
    return parameter_sets(sps_rbsp(**(sps or {})), pps_rbsp(**pps))


def test_idr_header_has_no_reference_picture_set():
    # first slice 1, no_output_of_prior_pics_flag 1, PPS 0, slice_type 2, slice_qp_delta -3, then byte_alignment
    h = read_header(lambda w: w.flags(1, 1).ue(0, 2).se(-3), nal_unit_type=IDR_W_RADL)
    assert h.first_slice_segment_in_pic_flag
    assert h.no_output_of_prior_pics_flag
    assert (h.slice_type, h.slice_pic_order_cnt_lsb, h.slice_qp_y) == (I, 0, 23)
    assert (h.num_pic_total_curr, h.num_ref_idx_l0_active_minus1, h.long_term_ref_pics) == (0, -1, ())
    # 1 1 1 011 00111 1 0000: 12 bits with the 1 of byte_alignment, so the data begin at byte 2
    assert (h.slice_data_offset, h.substream_starts) == (2, (2,))


def test_p_header_gives_reference_counts_and_merge_candidates():
    def write(w: BitWriter) -> None:
        _refs(w.flags(1).ue(0, P), 2)
        w.flags(1)  # slice_temporal_mvp_enabled_flag
        w.flags(1).ue(1)  # num_ref_idx_active_override_flag, 2 references
        w.ue(1)  # collocated_ref_idx
        w.ue(2).se(4)  # five_minus_max_num_merge_cand, slice_qp_delta

    h = read_header(write)
    assert (h.slice_type, h.slice_pic_order_cnt_lsb) == (P, 5)
    assert (h.num_ref_idx_l0_active_minus1, h.num_ref_idx_l1_active_minus1) == (1, -1)
    assert h.short_term_ref_pic_set.delta_poc_s0 == (-1, -2)
    assert (h.slice_temporal_mvp_enabled_flag, h.collocated_from_l0_flag, h.collocated_ref_idx) == (True, True, 1)
    assert (h.max_num_merge_cand, h.slice_qp_y, h.num_pic_total_curr) == (3, 30, 2)


def test_b_header_with_everything_the_pps_may_ask_for():
    sets = _sets(
        {"sao": 1},
        output_flag_present=1,
        extra_bits=2,
        cabac_init_present=1,
        default_refs_minus1=(1, 0),
        chroma_qp_offsets=1,
        loop_filter_across_slices=1,
        deblocking=lambda w: w.flags(1, 1),
        lists_modification=1,
        header_extension=1,
        init_qp_minus26=-6,
    )

    def write(w: BitWriter) -> None:
        w.flags(1).ue(0)
        w.u(2, 3)  # slice_reserved_flag
        w.ue(B).flags(0)  # pic_output_flag
        _refs(w, 2, 1)
        w.flags(1, 1, 0)  # TMVP, SAO luma, not chroma
        w.flags(0)  # no override: 2 and 1 references
        w.flags(1).u(2, 2).u(2, 0)  # list_entry_l0: NumPicTotalCurr 3, so 2 bits each
        w.flags(0)  # list 1 as it is
        w.flags(1, 1)  # mvd_l1_zero_flag, cabac_init_flag
        w.flags(0)  # collocated_from_l0_flag; list 1 has one entry, so no index
        w.ue(0).se(2, -12, 12)  # merge candidates, QP, chroma offsets
        w.flags(1, 0).se(-1, 1)  # deblocking override: on
        w.flags(1)  # slice_loop_filter_across_slices_enabled_flag
        w.ue(3).u(24, 0xABCDEF)  # header extension

    h = read_header(write, sets=sets)
    assert (h.slice_type, h.pic_output_flag) == (B, False)
    assert (h.slice_sao_luma_flag, h.slice_sao_chroma_flag) == (True, False)
    assert (h.num_ref_idx_l0_active_minus1, h.num_ref_idx_l1_active_minus1) == (1, 0)
    assert (h.list_entry_l0, h.list_entry_l1) == ((2, 0), None)
    assert (h.mvd_l1_zero_flag, h.cabac_init_flag) == (True, True)
    assert (h.collocated_from_l0_flag, h.collocated_ref_idx) == (False, 0)
    assert (h.max_num_merge_cand, h.slice_qp_y) == (5, 22)
    assert h.slice_deblocking_filter_disabled_flag is False


def test_monochrome_has_no_chroma_sao_flag_and_no_chroma_weights():
    sets = _sets({"sao": 1, "chroma_format_idc": 0}, weighted=(1, 0))

    def write(w: BitWriter) -> None:
        _refs(w.flags(1).ue(0, P)).flags(0, 1)  # no TMVP, SAO luma
        w.flags(0).ue(3).flags(1).se(5, -2)  # luma_log2_weight_denom, one luma weight and offset
        w.ue(0).se(0)

    h = read_header(write, sets=sets)
    assert (h.slice_sao_luma_flag, h.slice_sao_chroma_flag, h.slice_qp_y) == (True, False, 26)


def test_weights_of_both_lists_are_passed_over():
    sets = _sets(weighted=(0, 1))

    def write(w: BitWriter) -> None:
        _refs(w.flags(1).ue(0, B), 1, 1).flags(0)
        w.flags(1).ue(1, 0).flags(0)  # 2 and 1 references, mvd_l1_zero_flag
        w.ue(7).se(-7)
        w.flags(1, 0).flags(0, 1)  # list 0: luma flags, then chroma flags
        w.se(-128, 5)  # reference 0: luma
        w.se(1, -2, 3, -4)  # reference 1: Cb and Cr
        w.flags(0).flags(1).se(127, 0, 0, 9)  # list 1: chroma only
        w.ue(1).se(-1)

    h = read_header(write, sets=sets)
    assert (h.max_num_merge_cand, h.slice_qp_y) == (4, 25)


def test_set_of_the_sps_is_chosen_by_index():
    def three(w: BitWriter) -> None:
        w.ue(3)
        w.ue(1, 0).ue(0).flags(1)
        w.flags(0).ue(1, 0).ue(1).flags(1)
        w.flags(0).ue(1, 0).ue(2).flags(1)

    # Ceil(Log2(3)) = 2 bits
    h = read_header(
        lambda w: w.flags(1).ue(0, P).u(4, 9).flags(1).u(2, 2).flags(0).flags(0).ue(0).se(0),
        sets=_sets({"sets": three}),
    )
    assert h.short_term_ref_pic_set.delta_poc_s0 == (-3,)
    with pytest.raises(BitstreamError, match="short_term_ref_pic_set_idx is 3"):
        read_header(lambda w: w.flags(1).ue(0, P).u(4, 9).flags(1).u(2, 3), sets=_sets({"sets": three}))


def test_set_of_the_header_may_be_predicted_from_any_of_the_sps():
    def two(w: BitWriter) -> None:
        w.ue(2)
        w.ue(1, 0).ue(3).flags(1)  # -4
        w.flags(0).ue(1, 0).ue(0).flags(1)  # -1

    def write(w: BitWriter) -> None:
        w.flags(1).ue(0, P).u(4, 9).flags(0)
        w.flags(1).ue(1)  # inter_ref_pic_set_prediction_flag, delta_idx_minus1 1: the first set
        w.flags(1).ue(0).flags(1, 1)  # deltaRps -1: -4 -> -5, itself -> -1
        w.flags(0).flags(0).ue(0).se(0)

    assert read_header(write, sets=_sets({"sets": two})).short_term_ref_pic_set.delta_poc_s0 == (-1, -5)


def test_set_index_without_sets_in_the_sps_is_an_error():
    with pytest.raises(BitstreamError, match="the SPS has no short-term set"):
        read_header(lambda w: w.flags(1).ue(0, P).u(4, 9).flags(1).u(16, 0))


def test_long_term_pictures_add_up_their_cycles_in_two_runs():
    def long_term(w: BitWriter) -> None:  # of the SPS: LSB 3 used, 7 not used, 11 used
        w.flags(1).ue(3).u(4, 3).flags(1).u(4, 7).flags(0).u(4, 11).flags(1)

    def write(w: BitWriter) -> None:
        w.flags(1).ue(0, P).u(4, 5).flags(0).ue(0, 0)
        w.ue(2, 3)  # num_long_term_sps, num_long_term_pics
        w.u(2, 2).flags(1).ue(1)  # lt_idx_sps 2 with MSB cycle 1
        w.u(2, 1).flags(1).ue(2)  # lt_idx_sps 1, 1 + 2 = 3
        w.u(4, 9).flags(1, 1).ue(4)  # the second run begins again: 4
        w.u(4, 8).flags(0, 0)  # without MSB
        w.u(4, 8).flags(1, 1).ue(1)  # 4 + 0 + 1 = 5
        w.flags(0).flags(0).ue(0).se(0)

    h = read_header(write, sets=_sets({"long_term": long_term}))
    assert [(p.poc_lsb, p.used_by_curr_pic, p.delta_poc_msb_cycle) for p in h.long_term_ref_pics] == [
        (11, True, 1),
        (7, False, 3),
        (9, True, 4),
        (8, False, None),
        (8, True, 5),
    ]
    assert h.long_term_ref_pics[0] == LongTermRefPic(poc_lsb=11, used_by_curr_pic=True, delta_poc_msb_cycle=1)
    assert h.num_pic_total_curr == 3


def test_too_many_long_term_pictures_are_an_error():
    sets = _sets({"long_term": lambda w: w.flags(1).ue(0)})
    with pytest.raises(BitstreamError, match="number of pictures in the reference picture set is 17"):
        read_header(lambda w: _refs(w.flags(1).ue(0, P), 3).ue(14), sets=sets)


def _first(w: BitWriter) -> BitWriter:
    return _refs(w.flags(1).ue(0, P)).flags(0).flags(0).ue(1).se(7)


def test_dependent_segment_has_the_values_of_its_slice():
    sets = _sets(dependent=1)
    first = read_header(_first, sets=sets)

    def second_slice(w: BitWriter) -> None:
        _refs(w.flags(0).ue(0).flags(0).u(4, 5).ue(P)).flags(0).flags(0).ue(0).se(-2)

    second = read_header(second_slice, sets=sets, previous=first)
    dependent = read_header(lambda w: w.flags(0).ue(0).flags(1).u(4, 9), sets=sets, previous=second)
    last = read_header(lambda w: w.flags(0).ue(0).flags(1).u(4, 12), sets=sets, previous=dependent)
    assert (second.slice_addr, second.slice_segment_address, second.slice_qp_y) == (5, 5, 24)
    assert (last.slice_addr, last.slice_segment_address, last.dependent_slice_segment_flag) == (5, 12, True)
    own = {"first_slice_segment_in_pic_flag", "slice_segment_address", "dependent_slice_segment_flag"}
    own |= {"slice_data_offset", "substream_starts"}
    for name in {field.name for field in fields(SliceSegmentHeader)} - own:
        assert getattr(last, name) == getattr(second, name), name


def test_segments_of_a_picture_share_its_parameter_sets_though_others_come_between():
    sets = _sets(dependent=1)
    first = read_header(_first, sets=sets)
    sets.add(nal_unit(SPS_NUT, sps_rbsp(size=(128, 128))))  # 64 CTBs would need 6 bits of address
    dependent = read_header(lambda w: w.flags(0).ue(0).flags(1).u(4, 9), sets=sets, previous=first)
    assert dependent.active is first.active


def test_segment_without_its_picture_is_an_error():
    with pytest.raises(BitstreamError, match="without the first one of its picture"):
        read_header(lambda w: w.flags(0).ue(0).u(4, 5))


def test_segment_of_another_picture_is_an_error():
    first = read_header(_first)

    def other(lsb: int) -> Any:
        return lambda w: (
            w.flags(0).ue(0).u(4, 5).ue(P).u(4, lsb).flags(0).ue(1, 0, 0).flags(1).flags(0).flags(0).ue(0).se(0)
        )

    assert read_header(other(5), previous=first).slice_segment_address == 5
    with pytest.raises(BitstreamError, match="slice_pic_order_cnt_lsb changes within a picture, from 5 to 6"):
        read_header(other(6), previous=first)
    with pytest.raises(BitstreamError, match="slice_pic_parameter_set_id is 1 in a picture that began with 0"):
        read_header(lambda w: w.flags(0).ue(1), previous=first)


@pytest.mark.parametrize("address", [0, 12])
def test_address_outside_the_picture_is_an_error(address: int):
    # 48 x 64: 12 CTBs, 4 bits
    sets = _sets({"size": (48, 64)})
    first = read_header(_first, sets=sets)
    with pytest.raises(BitstreamError, match=f"slice_segment_address is {address}"):
        read_header(lambda w: w.flags(0).ue(0).u(4, address), sets=sets, previous=first)


def test_missing_parameter_sets_are_named():
    with pytest.raises(BitstreamError, match="PPS 3, which has not come"):
        read_header(lambda w: w.flags(1).ue(3))
    with pytest.raises(BitstreamError, match="SPS 7, which has not come"):
        read_header(lambda w: w.flags(1).ue(0), sets=_sets(sps_id=7))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda w: w.flags(1).ue(64), "slice_pic_parameter_set_id is 64"),
        (lambda w: w.flags(1).ue(0, 3), "slice_type is 3"),
        (lambda w: _refs(w.flags(1).ue(0, P), 0).flags(0), "holds no picture to refer to"),
        (lambda w: _refs(w.flags(1).ue(0, P)).flags(0, 1).ue(15), "num_ref_idx_l0_active_minus1 is 15"),
        (lambda w: _refs(w.flags(1).ue(0, P)).flags(1, 1).ue(1, 2), "collocated_ref_idx is 2"),
        (lambda w: _refs(w.flags(1).ue(0, P)).flags(0, 0).ue(5), "five_minus_max_num_merge_cand is 5"),
        (lambda w: _refs(w.flags(1).ue(0, I)).flags(0).se(26), "SliceQpY is 52"),
        (lambda w: _refs(w.flags(1).ue(0, I)).flags(0).se(-27), "SliceQpY is -1"),
    ],
)
def test_header_value_out_of_range_is_an_error(write: Any, message: str):
    with pytest.raises(BitstreamError, match=message):
        read_header(write)


def test_list_entry_out_of_range_is_an_error():
    # NumPicTotalCurr 3: 2 bits, but 3 is no entry
    sets = _sets(lists_modification=1)
    with pytest.raises(BitstreamError, match="list_entry_lX is 3"):
        read_header(lambda w: _refs(w.flags(1).ue(0, P), 3).flags(0, 0).flags(1).u(2, 3), sets=sets)


@pytest.mark.parametrize("nal_unit_type", [IDR_N_LP, CRA_NUT])
def test_inter_slice_in_an_irap_picture_is_an_error(nal_unit_type: int):
    with pytest.raises(BitstreamError, match="IRAP picture"):
        read_header(lambda w: w.flags(1, 0).ue(0, P), nal_unit_type=nal_unit_type)


def _wpp_header(*sizes: int, bits: int = 8) -> Any:
    def write(w: BitWriter) -> None:
        w.flags(1, 0).ue(0, I).se(0).ue(len(sizes))
        if sizes:
            w.ue(bits - 1)
        for size in sizes:
            w.u(bits, size - 1)

    return write


def test_entry_points_give_the_substreams():
    sets = _sets(wpp=1)
    # 4 rows of CTBs: substreams of 3, 2, 1 and the rest
    h = read_header(_wpp_header(3, 2, 1), sets=sets, nal_unit_type=IDR_N_LP, data=b"\x11" * 10)
    at = h.slice_data_offset
    assert h.substream_starts == (at, at + 3, at + 5, at + 6)
    alone = read_header(_wpp_header(), sets=sets, nal_unit_type=IDR_N_LP)
    assert alone.substream_starts == (alone.slice_data_offset,)


def test_entry_points_count_the_escapes_that_are_removed():
    # substreams 00 00 01 05 | 00 00 00 06 | 07 as coded: 00 00 03 01 05 (5), 00 00 03 00 06 (5), 07
    sets = _sets(wpp=1)
    data = bytes.fromhex("00000105 00000006 07")
    h = read_header(_wpp_header(5, 5), sets=sets, nal_unit_type=IDR_N_LP, data=data)
    at = h.slice_data_offset
    assert h.substream_starts == (at, at + 4, at + 8)


def test_escapes_in_the_header_do_not_count():
    # slice_segment_header_extension of 00 00 00 00 00: escapes stand in front of the data only
    sets = _sets(wpp=1, header_extension=1)

    def write(w: BitWriter) -> None:
        _wpp_header(2, bits=32)(w)
        w.ue(9).u(32, 0).u(32, 0).u(8, 0)

    rbsp = slice_rbsp(write, data=b"\x11\x22\x33")
    nal = nal_unit(IDR_N_LP, rbsp)
    assert nal.removed
    h = read_slice_segment_header(nal, sets.sps_by_id, sets.pps_by_id, None)
    assert h.slice_data_offset == len(rbsp) - 3
    assert h.substream_starts == (len(rbsp) - 3, len(rbsp) - 1)


def test_substreams_agree_with_cutting_the_coded_bytes():
    generator = random.Random(4)
    sets = _sets(wpp=1)
    for _ in range(200):
        pieces = [bytes(generator.choice((0, 0, 1, 2, 9)) for _ in range(generator.randrange(1, 9))) for _ in range(4)]
        pieces = [piece + b"\x80" for piece in pieces]  # a substream ends with a bit 1 and alignment
        # Each piece ends in 80, so no escape depends on the piece before.
        sizes = [len(nal_bytes(1, piece)) - 2 for piece in pieces]
        nal = nal_unit(IDR_N_LP, slice_rbsp(_wpp_header(*sizes[:3]), data=b"".join(pieces)))
        starts = read_slice_segment_header(nal, sets.sps_by_id, sets.pps_by_id, None).substream_starts
        ends = (*starts[1:], len(nal.rbsp))
        assert [nal.rbsp[begin:end] for begin, end in zip(starts, ends, strict=True)] == pieces


@pytest.mark.parametrize(
    ("write", "data", "message"),
    [
        (_wpp_header(1, 1, 1, 1), b"\x11" * 9, "num_entry_point_offsets is 4"),  # 4 rows
        (_wpp_header(3), b"\x11" * 3, "entry point 1 of a slice segment lies at byte"),
        (_wpp_header(2, 200), b"\x11" * 9, "entry point 2 of a slice segment lies at byte"),
        (_wpp_header(), b"", "no slice data follow"),
    ],
)
def test_damaged_entry_points_are_an_error(write: Any, data: bytes, message: str):
    sets = _sets(wpp=1)
    with pytest.raises(BitstreamError, match=message):
        read_header(write, sets=sets, nal_unit_type=IDR_N_LP, data=data)


def test_substream_of_escapes_alone_is_an_error():
    # coded 00 00 03 00 ..: substreams of 2 and 1 bytes; the second is the escape, so empty
    sets = _sets(wpp=1)
    with pytest.raises(BitstreamError, match="entry point 2"):
        read_header(_wpp_header(2, 1), sets=sets, nal_unit_type=IDR_N_LP, data=bytes.fromhex("0000000022"))


def test_header_cut_anywhere_is_an_error():
    sets = parameter_sets()
    rbsp = slice_rbsp(_first, data=b"\x55")
    whole = read_nal_unit(nal_bytes(TRAIL_R, rbsp))
    assert read_slice_segment_header(whole, sets.sps_by_id, sets.pps_by_id, None).slice_qp_y == 33
    for length in range(len(rbsp)):
        nal = read_nal_unit(nal_bytes(TRAIL_R, rbsp[:length]))
        with pytest.raises(BitstreamError, match="cut short"):
            read_slice_segment_header(nal, sets.sps_by_id, sets.pps_by_id, None)

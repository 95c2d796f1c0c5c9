import pytest
from bit_writer import coded_picture, parameter_sets, sps_rbsp

from vssbench.codec.hevc.nal import CRA_NUT, RADL_N, RADL_R, RASL_N, RASL_R, TRAIL_N, TRAIL_R
from vssbench.codec.hevc.picture_order import (
    LongTermPoc,
    may_be_prev_tid0_pic,
    pic_order_cnt,
    reference_picture_list,
    reference_picture_set_pocs,
)


@pytest.mark.parametrize(
    ("lsb", "previous", "poc"),
    [
        (5, None, 5),  # IRAP with NoRaslOutputFlag: MSB 0
        (5, 3, 5),
        (1, 14, 17),  # 1 - 14 = -13 <= -8: the MSB goes on to 16
        (14, 17, 14),  # 14 - 1 = 13 > 8: the MSB goes back to 0
        (8, 0, 8),  # 8 - 0 = 8, not above 8
        (9, 0, -7),  # 9 > 8: MSB -16
        (0, 8, 16),  # 0 - 8 = -8 <= -8
        (15, -16, -17),  # previous LSB 0, MSB -16; 15 > 8: MSB -32
        (2, 4096 + 15, 4096 + 18),
    ],
)
def test_order_count_follows_the_nearest_cycle_of_16(lsb: int, previous: int | None, poc: int):
    assert pic_order_cnt(lsb, previous, 16) == poc


def test_order_is_counted_from_reference_pictures_of_the_lowest_layer():
    counted = [kind for kind in range(22) if may_be_prev_tid0_pic(kind, 0)]
    assert counted == [1, 3, 5, 11, 13, 15, 16, 17, 18, 19, 20, 21]
    assert not any(may_be_prev_tid0_pic(kind, 0) for kind in (TRAIL_N, RADL_N, RADL_R, RASL_N, RASL_R))
    assert not may_be_prev_tid0_pic(TRAIL_R, 1)
    assert may_be_prev_tid0_pic(CRA_NUT, 0)


def test_reference_picture_set_is_sorted_into_its_five_lists():
    sets = parameter_sets(sps_rbsp(long_term=lambda w: w.flags(1).ue(0)))

    def long_term(w):
        w.ue(3)
        w.u(4, 2).flags(1, 0)  # used, LSB only
        w.u(4, 9).flags(1, 1).ue(1)  # used, one cycle of 16 back
        w.u(4, 3).flags(0, 1).ue(1)  # kept, 1 + 1 cycles back

    header, _ = coded_picture(
        7, sets, slice_type=1, before=(-1, -2, -4), after=(2, 3), foll=(-2, 3), long_term=long_term
    )
    pocs = reference_picture_set_pocs(header, 39)  # 39 = 2 * 16 + 7
    assert pocs.poc_st_curr_before == (38, 35)
    assert pocs.poc_st_curr_after == (41,)
    assert pocs.poc_st_foll == (37, 42)
    # (8-5): 2; 9 + 39 - 16 - 7 = 25; 3 + 39 - 32 - 7 = 3
    assert pocs.poc_lt_curr == (
        LongTermPoc(poc=2, delta_poc_msb_present_flag=False),
        LongTermPoc(poc=25, delta_poc_msb_present_flag=True),
    )
    assert pocs.poc_lt_foll == (LongTermPoc(poc=3, delta_poc_msb_present_flag=True),)


def test_long_term_picture_without_msb_is_found_by_its_lowest_bits():
    by_lsb = LongTermPoc(poc=3, delta_poc_msb_present_flag=False)
    by_all = LongTermPoc(poc=3, delta_poc_msb_present_flag=True)
    assert by_lsb.matches(35, 16)
    assert by_lsb.matches(-13, 16)
    assert not by_lsb.matches(4, 16)
    assert by_all.matches(3, 16)
    assert not by_all.matches(19, 16)


def test_list_repeats_its_candidates_and_may_be_modified():
    assert reference_picture_list("abc", 4, None) == list("abcab")
    assert reference_picture_list("abc", 0, None) == ["a"]
    assert reference_picture_list("abc", 2, (2, 0, 2)) == list("cac")
    assert reference_picture_list("abc", -1, None) == []
    assert reference_picture_list("", -1, None) == []

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bit_writer import BitWriter, nal_unit, parameter_sets, pps_rbsp, sps_rbsp

from vssbench.codec.hevc.nal import PPS_NUT, SPS_NUT, AnnexBSplitter, read_nal_unit
from vssbench.codec.hevc.parameter_sets import ActiveParameterSets, ParameterSets, activate
from vssbench.codec.hevc.picture_parameter_set import PictureParameterSet, read_pps
from vssbench.codec.hevc.sequence_parameter_set import SequenceParameterSet, read_sps
from vssbench.errors import BitstreamError


def _sps(**syntax: Any) -> SequenceParameterSet:
    return read_sps(nal_unit(SPS_NUT, sps_rbsp(**syntax)))


def _pps(**syntax: Any) -> PictureParameterSet:
    return read_pps(nal_unit(PPS_NUT, pps_rbsp(**syntax)))


def _active(sps: dict[str, Any], **pps: Any) -> ActiveParameterSets:
    return activate(_pps(**pps), _sps(**sps))


def test_sps_gives_block_sizes_and_picture_in_ctbs():
    # CB 8 (0 + 3) to 32 (+ 2), TB 8 (1 + 2) to 32 (+ 2)?  TB must be smaller than CB, so CB 16 to 64, TB 8 to 32
    sps = _sps(size=(208, 176), block_sizes=(1, 2, 1, 2, 2, 3))
    assert (sps.min_cb_log2_size_y, sps.ctb_log2_size_y) == (4, 6)
    assert (sps.min_tb_log2_size_y, sps.max_tb_log2_size_y) == (3, 5)
    assert (sps.max_transform_hierarchy_depth_inter, sps.max_transform_hierarchy_depth_intra) == (2, 3)
    # 208 / 64 = 3.25 -> 4, 176 / 64 = 2.75 -> 3
    assert (sps.pic_width_in_ctbs_y, sps.pic_height_in_ctbs_y, sps.pic_size_in_ctbs_y) == (4, 3, 12)
    assert sps.coded_size == sps.display_size == (176, 208)


def test_conformance_window_is_in_chroma_units():
    # 4:2:0: offsets of 1 left, 2 right, 0 top, 3 bottom are 2, 4, 0 and 6 luma samples
    sps = _sps(size=(64, 48), window=(1, 2, 0, 3))
    assert sps.conformance_window == (2, 4, 0, 6)
    assert (sps.coded_size, sps.display_size) == ((48, 64), (42, 58))
    # 4:0:0: the units are luma samples
    assert _sps(size=(64, 48), window=(1, 2, 0, 3), chroma_format_idc=0).display_size == (45, 61)


def test_bit_depth_and_order_count_bits():
    sps = _sps(bit_depth_minus8=2, log2_max_lsb_minus4=4, buffering=(4, 2, 5))
    assert (sps.bit_depth_y, sps.bit_depth_c, sps.qp_bd_offset_y) == (10, 10, 12)
    assert (sps.log2_max_pic_order_cnt_lsb, sps.max_pic_order_cnt_lsb) == (8, 256)
    # (7-9): sps_max_num_reorder_pics 2 + sps_max_latency_increase_plus1 5 - 1
    assert sps.sps_max_latency_pictures == 6
    assert _sps(buffering=(4, 2, 0)).sps_max_latency_pictures is None


def test_sub_layers_are_passed_over():
    assert _sps(sub_layers_minus1=2, size=(48, 32)).coded_size == (32, 48)


def test_pcm_fields_are_read():
    # bits 7 + 1 and 6 + 1; sizes 8 (0 + 3) to 16 (+ 1)
    sps = _sps(pcm=(7, 6, 0, 1))
    assert (sps.pcm_bit_depth_y, sps.pcm_bit_depth_c) == (8, 7)
    assert (sps.log2_min_ipcm_cb_size_y, sps.log2_max_ipcm_cb_size_y) == (3, 4)
    assert sps.pcm_loop_filter_disabled_flag
    assert not _sps().pcm_enabled_flag


def test_short_term_set_is_coded_by_its_distances():
    # S0: -1 (used), -1 - 2 = -3 (kept only); S1: +2 (used)
    sps = _sps(sets=lambda w: w.ue(1).ue(2, 1).ue(0).flags(1).ue(1).flags(0).ue(1).flags(1))
    (only,) = sps.short_term_ref_pic_sets
    assert (only.delta_poc_s0, only.used_by_curr_pic_s0) == ((-1, -3), (True, False))
    assert (only.delta_poc_s1, only.used_by_curr_pic_s1) == ((2,), (True,))
    assert (only.num_delta_pocs, only.num_used_by_curr_pic) == (3, 2)


def test_short_term_set_is_predicted_from_the_one_before():
    def sets(w: BitWriter) -> None:
        w.ue(2)
        w.ue(2, 2).ue(0).flags(1).ue(2).flags(1).ue(1).flags(1).ue(2).flags(1)  # set 0: S0 -1, -4; S1 +2, +5
        w.flags(1)  # inter_ref_pic_set_prediction_flag
        w.flags(1).ue(1)  # delta_rps_sign, abs_delta_rps_minus1: deltaRps -2
        w.flags(1)  # j = 0, -1: used
        w.flags(0, 0)  # j = 1, -4: not used, not kept
        w.flags(1)  # j = 2, +2: used, though it falls on 0 and goes
        w.flags(0, 1)  # j = 3, +5: kept only
        w.flags(1)  # j = 4, the reference picture itself: used

    predicted = _sps(sets=sets).short_term_ref_pic_sets[1]
    # shifted by -2: -1 -> -3, +2 -> 0 (gone), +5 -> +3, itself -> -2.
    # (7-61) S0: from S1 backwards those now negative (none), itself -2, then S0: -3
    assert (predicted.delta_poc_s0, predicted.used_by_curr_pic_s0) == ((-2, -3), (True, True))
    # (7-62) S1: from S0 backwards those now positive (none), itself not, then S1: +3
    assert (predicted.delta_poc_s1, predicted.used_by_curr_pic_s1) == ((3,), (False,))


def test_predicted_set_moves_pictures_across_the_current_one():
    def sets(w: BitWriter) -> None:
        w.ue(3)
        w.ue(2, 0).ue(0).flags(1).ue(0).flags(1)  # set 0: S0 -1, -2
        w.flags(1).flags(0).ue(2).flags(1, 1, 1)  # set 1: set 0 and itself, deltaRps +3: +2, +1, +3
        w.flags(1).flags(1).ue(3).flags(1, 1, 1, 1)  # set 2: set 1 and itself, deltaRps -4

    first, second, third = _sps(sets=sets).short_term_ref_pic_sets
    assert first.delta_poc_s0 == (-1, -2)
    # S1 of set 1: S0 of set 0 backwards (-2 + 3 = 1, -1 + 3 = 2), then itself 3
    assert (second.delta_poc_s0, second.delta_poc_s1) == ((), (1, 2, 3))
    # S0 of set 2: S1 of set 1 backwards (3 - 4 = -1, -2, -3), then itself -4
    assert (third.delta_poc_s0, third.delta_poc_s1) == ((-1, -2, -3, -4), ())


def test_long_term_pictures_of_the_sps_are_read():
    sps = _sps(log2_max_lsb_minus4=1, long_term=lambda w: w.flags(1).ue(2).u(5, 9).flags(1).u(5, 30).flags(0))
    assert sps.long_term_ref_pics_present_flag
    assert sps.lt_ref_pic_poc_lsb_sps == (9, 30)
    assert sps.used_by_curr_pic_lt_sps_flag == (True, False)


def _full_scaling_list(w: BitWriter) -> None:
    w.flags(1)  # sps_scaling_list_data_present_flag
    for size_id in range(4):
        for matrix_id in range(0, 6, 3 if size_id == 3 else 1):
            if matrix_id == 3:
                w.flags(0).ue(1)  # copied from the one before
                continue
            w.flags(1)
            if size_id > 1:
                w.se(-7)
            w.se(*([5, -128, 127, 0] * (4 if size_id == 0 else 16)))


def test_scaling_lists_are_passed_over():
    sps = _sps(scaling=_full_scaling_list, sao=1)
    assert sps.scaling_list_enabled_flag
    assert sps.sample_adaptive_offset_enabled_flag
    assert sps.sps_temporal_mvp_enabled_flag
    assert _sps(scaling=lambda w: w.flags(0)) == _sps(scaling=_full_scaling_list)  # default lists


def _vui(w: BitWriter, *, field_seq_flag: int = 0) -> None:
    w.flags(1).u(8, 255).u(32, 0x00100011)  # aspect_ratio_idc EXTENDED_SAR
    w.flags(1, 0)  # overscan
    w.flags(1).u(4, 10).flags(1).u(24, 0x010101)  # video signal type with colour description
    w.flags(1).ue(0, 2)  # chroma location
    w.flags(0, field_seq_flag, 0)
    w.flags(1).ue(1, 2, 3, 4)  # default display window
    w.flags(1).u(32, 1).u(32, 25).flags(1).ue(0)  # timing, proportional to POC
    w.flags(1)  # vui_hrd_parameters_present_flag
    w.flags(1, 1, 1).u(19, 0).u(8, 0).u(4, 0).u(15, 0)  # NAL and VCL HRD, with sub-pictures
    w.flags(0, 0, 1)  # no fixed rate, low_delay_hrd_flag 1: one CPB
    w.ue(7, 7, 7, 7).flags(0)  # of the NAL HRD
    w.ue(7, 7, 7, 7).flags(0)  # of the VCL HRD
    w.flags(1, 0, 0, 0).ue(0, 1, 2, 15, 15)  # bitstream restriction


def test_vui_with_hrd_is_passed_over():
    def with_one_more_sub_layer(w: BitWriter) -> None:
        w.flags(0, 0, 0, 0, 0, 0, 0, 0, 1).u(32, 1).u(32, 25).flags(0, 1)  # up to timing, HRD
        w.flags(0, 1, 0).u(8, 0).u(15, 0)  # VCL HRD only, no sub-pictures
        w.flags(1).ue(5, 1).ue(9, 9).flags(0).ue(9, 9).flags(1)  # sub-layer 0: fixed rate, 2 CPBs
        w.flags(0, 1).ue(5, 0).ue(9, 9).flags(0)  # sub-layer 1: fixed within the sequence, 1 CPB
        w.flags(0)  # bitstream_restriction_flag

    assert _sps(vui=_vui) == _sps()
    assert _sps(vui=with_one_more_sub_layer, sub_layers_minus1=1) == _sps()


def test_extension_without_set_flags_and_unknown_data_are_read():
    assert _sps(extension=lambda w: w.flags(1, 0, 0, 0).u(4, 0).flags(*[0] * 9)) == _sps()
    assert _sps(extension=lambda w: w.flags(0, 0, 0, 0).u(4, 5).u(30, 12345)) == _sps()
    assert _pps(extension=lambda w: w.flags(0, 0, 0, 0).u(4, 5).u(30, 12345)) == _pps()
    range_extension = lambda w: w.flags(1, 0, 0, 0).u(4, 0).ue(0).flags(0, 0).ue(0, 0)  # noqa: E731
    assert _pps(transform_skip=1, extension=range_extension) == _pps(transform_skip=1)


def _range_flag(index: int) -> Callable[[BitWriter], object]:
    return lambda w: w.flags(1, 0, 0, 0).u(4, 0).flags(*(i == index for i in range(9)))


@pytest.mark.parametrize(
    ("syntax", "message"),
    [
        ({"chroma_format_idc": 2}, "4:2:2"),
        ({"chroma_format_idc": 3}, "4:4:4"),
        ({"vui": lambda w: _vui(w, field_seq_flag=1)}, "field_seq_flag"),
        ({"extension": _range_flag(0)}, "transform_skip_rotation_enabled_flag"),
        ({"extension": _range_flag(2)}, "implicit_rdpcm_enabled_flag"),
        ({"extension": _range_flag(8)}, "cabac_bypass_alignment_enabled_flag"),
        ({"extension": lambda w: w.flags(0, 1, 0, 0).u(4, 0)}, "sps_multilayer_extension_flag"),
        ({"extension": lambda w: w.flags(0, 0, 1, 0).u(4, 0)}, "sps_3d_extension_flag"),
        ({"extension": lambda w: w.flags(0, 0, 0, 1).u(4, 0)}, "sps_scc_extension_flag"),
    ],
)
def test_sps_beyond_our_scope_is_refused_by_name(syntax: dict[str, Any], message: str):
    with pytest.raises(BitstreamError, match=message):
        _sps(**syntax)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda w: w.flags(1, 0, 0, 0).u(4, 0).ue(1), "log2_max_transform_skip_block_size_minus2"),
        (lambda w: w.flags(1, 0, 0, 0).u(4, 0).ue(0).flags(1, 0), "cross_component_prediction_enabled_flag"),
        (lambda w: w.flags(1, 0, 0, 0).u(4, 0).ue(0).flags(0, 1), "chroma_qp_offset_list_enabled_flag"),
        (lambda w: w.flags(1, 0, 0, 0).u(4, 0).ue(0).flags(0, 0).ue(2, 0), "log2_sao_offset_scale_luma"),
        (lambda w: w.flags(0, 0, 0, 1).u(4, 0), "pps_scc_extension_flag"),
    ],
)
def test_pps_beyond_our_scope_is_refused_by_name(write: Callable[[BitWriter], object], message: str):
    with pytest.raises(BitstreamError, match=message):
        _pps(transform_skip=1, extension=write)


@pytest.mark.parametrize(
    ("syntax", "message"),
    [
        ({"sps_id": 16}, "sps_seq_parameter_set_id is 16"),
        ({"chroma_format_idc": 4}, "chroma_format_idc is 4"),
        ({"size": (0, 64)}, "pic_width_in_luma_samples is 0"),
        ({"size": (16896, 64)}, "pic_width_in_luma_samples is 16896"),
        ({"size": (8192, 8192)}, "level 6.2"),
        ({"size": (60, 64)}, "pic_width_in_luma_samples is 60, no multiple of MinCbSizeY 8"),
        ({"window": (16, 16, 0, 0)}, "conformance window leaves nothing"),
        ({"bit_depth_minus8": 9}, "bit_depth_luma_minus8 is 9"),
        ({"log2_max_lsb_minus4": 13}, "log2_max_pic_order_cnt_lsb_minus4 is 13"),
        ({"buffering": (16, 0, 0)}, "sps_max_dec_pic_buffering_minus1 is 16"),
        ({"block_sizes": (0, 0, 0, 1, 0, 0)}, "CtbLog2SizeY is 3"),
        ({"block_sizes": (0, 4, 0, 1, 0, 0)}, "CtbLog2SizeY is 7"),
        ({"block_sizes": (0, 1, 1, 1, 0, 0)}, "log2_min_luma_transform_block_size_minus2 is 1"),
        ({"block_sizes": (0, 1, 0, 3, 0, 0)}, "MaxTbLog2SizeY is 5"),
        ({"block_sizes": (0, 1, 0, 2, 3, 0)}, "max_transform_hierarchy_depth_inter is 3"),
        ({"pcm": (8, 7, 0, 0)}, "pcm_sample_bit_depth_luma_minus1 is 8"),
        ({"pcm": (7, 7, 0, 2)}, "log2_diff_max_min_pcm_luma_coding_block_size is 2"),
        ({"sets": lambda w: w.ue(65)}, "num_short_term_ref_pic_sets is 65"),
        ({"sets": lambda w: w.ue(1).ue(17, 0)}, "num_negative_pics is 17"),
        ({"sets": lambda w: w.ue(1).ue(10, 7)}, "num_positive_pics is 7"),
        ({"long_term": lambda w: w.flags(1).ue(33)}, "num_long_term_ref_pics_sps is 33"),
        ({"scaling": lambda w: w.flags(1, 0).ue(1)}, "scaling_list_pred_matrix_id_delta is 1"),
    ],
)
def test_sps_value_out_of_range_is_an_error(syntax: dict[str, Any], message: str):
    with pytest.raises(BitstreamError, match=message):
        _sps(**syntax)


def test_predicted_set_of_more_than_16_pictures_is_an_error():
    def sets(w: BitWriter) -> None:
        w.ue(2).ue(16, 0)
        for _ in range(16):
            w.ue(0).flags(1)
        w.flags(1).flags(1).ue(0).flags(*[1] * 17)

    with pytest.raises(BitstreamError, match="holds 17 pictures"):
        _sps(sets=sets)


@pytest.mark.parametrize("kind", ["SPS", "PPS"])
def test_parameter_set_cut_anywhere_is_an_error(kind: str):
    rbsp = sps_rbsp(vui=_vui) if kind == "SPS" else pps_rbsp(qp_delta_depth=1)
    read = read_sps if kind == "SPS" else read_pps
    for length in range(len(rbsp)):
        with pytest.raises(BitstreamError):
            read(nal_unit(0, rbsp[:length]))  # type: ignore[operator]


def test_data_behind_a_parameter_set_is_an_error():
    with pytest.raises(BitstreamError, match="data follows"):
        read_sps(nal_unit(SPS_NUT, sps_rbsp() + b"\x01"))


def test_pps_gives_its_flags():
    pps = _pps(
        pps_id=63,
        sps_id=15,
        dependent=1,
        output_flag_present=1,
        extra_bits=5,
        cabac_init_present=1,
        default_refs_minus1=(3, 1),
        init_qp_minus26=-9,
        qp_delta_depth=1,
        weighted=(1, 0),
        wpp=1,
        deblocking=lambda w: w.flags(1, 0).se(-6, 6),
        lists_modification=1,
        merge_level_minus2=2,
        header_extension=1,
    )
    assert (pps.pps_pic_parameter_set_id, pps.pps_seq_parameter_set_id) == (63, 15)
    assert pps.dependent_slice_segments_enabled_flag
    assert pps.output_flag_present_flag
    assert pps.num_extra_slice_header_bits == 5
    assert pps.cabac_init_present_flag
    assert (pps.num_ref_idx_l0_default_active_minus1, pps.num_ref_idx_l1_default_active_minus1) == (3, 1)
    assert (pps.init_qp_minus26, pps.diff_cu_qp_delta_depth) == (-9, 1)
    assert (pps.weighted_pred_flag, pps.weighted_bipred_flag) == (True, False)
    assert (pps.tiles_enabled_flag, pps.entropy_coding_sync_enabled_flag) == (False, True)
    assert (pps.deblocking_filter_override_enabled_flag, pps.pps_deblocking_filter_disabled_flag) == (True, False)
    assert pps.lists_modification_present_flag
    assert pps.log2_par_mrg_level == 4
    assert pps.slice_segment_header_extension_present_flag


@pytest.mark.parametrize(
    ("syntax", "message"),
    [
        ({"pps_id": 64}, "pps_pic_parameter_set_id is 64"),
        ({"sps_id": 16}, "pps_seq_parameter_set_id is 16"),
        ({"default_refs_minus1": (15, 0)}, "num_ref_idx_l0_default_active_minus1 is 15"),
        ({"tiles": lambda w: w.ue(1056, 0)}, "num_tile_columns_minus1 is 1056"),
        ({"deblocking": lambda w: w.flags(0, 0).se(7, 0)}, "pps_beta_offset_div2 is 7"),
    ],
)
def test_pps_value_out_of_range_is_an_error(syntax: dict[str, Any], message: str):
    with pytest.raises(BitstreamError, match=message):
        _pps(**syntax)


def test_uniform_tiles_share_the_ctbs():
    # 160 x 112 in CTBs of 16: 10 x 7. Columns 0, 10 / 4 = 2, 20 / 4 = 5, 30 / 4 = 7, 10; rows 0, 7 / 2 = 3, 7
    active = _active({"size": (160, 112)}, tiles=lambda w: w.ue(3, 1).flags(1, 0))
    assert active.column_boundaries == (0, 2, 5, 7, 10)
    assert active.row_boundaries == (0, 3, 7)


def test_explicit_tiles_leave_the_rest_to_the_last():
    # columns of 4 and 1 CTBs, then 10 - 5; one row
    active = _active({"size": (160, 112)}, tiles=lambda w: w.ue(2, 0).flags(0).ue(3, 0).flags(1))
    assert active.column_boundaries == (0, 4, 5, 10)
    assert active.row_boundaries == (0, 7)


def test_without_tiles_there_is_one():
    active = _active({"size": (160, 112)}, qp_delta_depth=1)
    assert (active.column_boundaries, active.row_boundaries) == ((0, 10), (0, 7))
    assert active.log2_min_cu_qp_delta_size == 3  # CTB 16, one level down


@pytest.mark.parametrize(
    ("pps", "message"),
    [
        ({"tiles": lambda w: w.ue(4, 0).flags(1, 0)}, "5 tile columns for 4 CTBs"),
        ({"tiles": lambda w: w.ue(0, 1).flags(0).ue(3).flags(0)}, "tile rows that leave no CTB of 4"),
        ({"init_qp_minus26": 26}, "init_qp_minus26 is 26"),
        ({"init_qp_minus26": -27}, "init_qp_minus26 is -27"),
        ({"qp_delta_depth": 2}, "diff_cu_qp_delta_depth is 2"),
        ({"merge_level_minus2": 3}, "log2_parallel_merge_level_minus2 is 3"),
    ],
)
def test_pps_that_does_not_fit_its_sps_is_an_error(pps: dict[str, Any], message: str):
    with pytest.raises(BitstreamError, match=message):
        _active({"size": (64, 64)}, **pps)  # 4 x 4 CTBs of 16, CB from 8


def test_pps_may_come_before_its_sps():
    sets = ParameterSets()
    sets.add(nal_unit(PPS_NUT, pps_rbsp(sps_id=3)))
    sets.add(nal_unit(SPS_NUT, sps_rbsp(sps_id=3)))
    assert activate(sets.pps_by_id[0], sets.sps_by_id[3]).sps.sps_seq_parameter_set_id == 3


def test_parameter_set_sent_again_is_replaced_only_by_other_content():
    sets = parameter_sets()
    first = sets.sps_by_id[0]
    sets.add(nal_unit(SPS_NUT, sps_rbsp()))
    assert sets.sps_by_id[0] is first
    sets.add(nal_unit(SPS_NUT, sps_rbsp(size=(128, 64))))
    assert sets.sps_by_id[0].coded_size == (64, 128)
    assert sets.pps_by_id[0].pps_seq_parameter_set_id == 0


def test_unreadable_parameter_set_takes_the_others_of_its_kind_away():
    sets = parameter_sets()
    with pytest.raises(BitstreamError):
        sets.add(nal_unit(SPS_NUT, sps_rbsp()[:-2]))
    assert sets.sps_by_id == {}
    assert list(sets.pps_by_id) == [0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kvz_neg_rdpcm", "implicit_rdpcm_enabled_flag"),
        ("hm_neg_422", "4:2:2"),
        ("kvz_neg_field_tff", "field_seq_flag"),
    ],
)
def test_real_streams_beyond_our_scope_are_refused_by_name(shared: Path, name: str, message: str):
    units = [
        read_nal_unit(unit) for _, unit in AnnexBSplitter().push((shared / "streams" / f"{name}.hevc").read_bytes())
    ]
    (sps,) = [unit for unit in units if unit.nal_unit_type == SPS_NUT]
    with pytest.raises(BitstreamError, match=message):
        read_sps(sps)


def test_only_bitstream_errors_come_out_of_damaged_parameter_sets():
    generator = random.Random(3)
    good = [
        (SPS_NUT, sps_rbsp(vui=_vui, scaling=_full_scaling_list, pcm=(7, 7, 0, 1), size=(416, 240))),
        (PPS_NUT, pps_rbsp(tiles=lambda w: w.ue(2, 1).flags(0).ue(3, 0, 1).flags(1), qp_delta_depth=1)),
    ]
    whole = parameter_sets(good[0][1], good[1][1])
    refused = 0
    for _ in range(3000):
        kind, rbsp = generator.choice(good)
        damaged = bytearray(rbsp)
        for _ in range(generator.randrange(1, 4)):
            damaged[generator.randrange(min(len(damaged), 40))] ^= 1 << generator.randrange(8)
        try:
            if kind == SPS_NUT:
                active = activate(whole.pps_by_id[0], read_sps(nal_unit(kind, bytes(damaged))))
            else:
                active = activate(read_pps(nal_unit(kind, bytes(damaged))), whole.sps_by_id[0])
        except BitstreamError:
            refused += 1
            continue
        # what gets through is bounded
        assert active.sps.coded_size[0] * active.sps.coded_size[1] <= 35_651_584
        assert active.column_boundaries == tuple(sorted(set(active.column_boundaries)))
        assert active.column_boundaries[-1] == active.sps.pic_width_in_ctbs_y
        assert active.row_boundaries == tuple(sorted(set(active.row_boundaries)))
        assert active.row_boundaries[-1] == active.sps.pic_height_in_ctbs_y
    assert 500 < refused < 3000

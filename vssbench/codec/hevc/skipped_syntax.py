"""Syntax on which no motion vector depends, read only because what follows it begins where it ends.

Source: ITU-T H.265, clauses 7.3.3 (profile and level), 7.3.4 (scaling lists), E.2.1 (VUI), E.2.2 and E.2.3 (HRD).
"""

from __future__ import annotations

from vssbench.codec.hevc.bits import BitReader, in_range
from vssbench.errors import BitstreamError

MAX_CPB_CNT = 32  # E.3.2
EXTENDED_SAR = 255  # table E.1


def skip_profile_tier_level(r: BitReader, max_num_sub_layers_minus1: int) -> None:
    """Pass over profile_tier_level(1, maxNumSubLayersMinus1) (7.3.3)."""
    r.skip(88)  # general_profile_space to the last of the 43 + 1 bits behind the constraint flags
    r.skip(8)  # general_level_idc
    present = [(r.flag(), r.flag()) for _ in range(max_num_sub_layers_minus1)]
    if max_num_sub_layers_minus1 > 0:
        r.skip(2 * (8 - max_num_sub_layers_minus1))  # reserved_zero_2bits
    for sub_layer_profile_present_flag, sub_layer_level_present_flag in present:
        r.skip(88 * sub_layer_profile_present_flag + 8 * sub_layer_level_present_flag)


def skip_scaling_list_data(r: BitReader) -> None:
    """Pass over scaling_list_data() (7.3.4); only the values of samples depend on it."""
    for size_id in range(4):
        for matrix_id in range(0, 6, 3 if size_id == 3 else 1):
            if not r.flag():  # scaling_list_pred_mode_flag
                highest = matrix_id // 3 if size_id == 3 else matrix_id
                in_range(r.ue(), "scaling_list_pred_matrix_id_delta", 0, highest)
                continue
            if size_id > 1:
                in_range(r.se(), "scaling_list_dc_coef_minus8", -7, 247)
            for _ in range(min(64, 1 << (4 + (size_id << 1)))):
                in_range(r.se(), "scaling_list_delta_coef", -128, 127)


def skip_vui_parameters(r: BitReader, max_sub_layers_minus1: int) -> None:
    """Pass over vui_parameters() (E.2.1).

    Raises: BitstreamError, also for field_seq_flag 1.
    """
    if r.flag() and r.u(8) == EXTENDED_SAR:  # aspect_ratio_info_present_flag, aspect_ratio_idc
        r.skip(32)  # sar_width, sar_height
    if r.flag():  # overscan_info_present_flag
        r.skip(1)
    if r.flag():  # video_signal_type_present_flag
        r.skip(4)
        if r.flag():  # colour_description_present_flag
            r.skip(24)
    if r.flag():  # chroma_loc_info_present_flag
        _skip_ue(r, 2)
    r.skip(1)  # neutral_chroma_indication_flag
    if r.flag():  # field_seq_flag
        raise BitstreamError("the pictures are interlaced fields (field_seq_flag 1); encode the video progressively")
    r.skip(1)  # frame_field_info_present_flag
    if r.flag():  # default_display_window_flag
        _skip_ue(r, 4)
    if r.flag():  # vui_timing_info_present_flag
        r.skip(64)  # vui_num_units_in_tick, vui_time_scale
        if r.flag():  # vui_poc_proportional_to_timing_flag
            _skip_ue(r, 1)
        if r.flag():  # vui_hrd_parameters_present_flag
            _skip_hrd_parameters(r, max_sub_layers_minus1)
    if r.flag():  # bitstream_restriction_flag
        r.skip(3)
        _skip_ue(r, 5)  # min_spatial_segmentation_idc to log2_max_mv_length_vertical


def _skip_hrd_parameters(r: BitReader, max_num_sub_layers_minus1: int) -> None:
    """Pass over hrd_parameters(1, maxNumSubLayersMinus1) (E.2.2)."""
    nal_hrd_parameters_present_flag, vcl_hrd_parameters_present_flag = r.flag(), r.flag()
    sub_pic_hrd_params_present_flag = False
    if nal_hrd_parameters_present_flag or vcl_hrd_parameters_present_flag:
        sub_pic_hrd_params_present_flag = r.flag()
        if sub_pic_hrd_params_present_flag:
            r.skip(19)  # tick_divisor_minus2 to dpb_output_delay_du_length_minus1
        r.skip(8)  # bit_rate_scale, cpb_size_scale
        if sub_pic_hrd_params_present_flag:
            r.skip(4)  # cpb_size_du_scale
        r.skip(15)  # the three lengths of delays
    for _ in range(max_num_sub_layers_minus1 + 1):
        fixed_pic_rate_general_flag = r.flag()
        fixed_pic_rate_within_cvs_flag = fixed_pic_rate_general_flag or r.flag()
        low_delay_hrd_flag = False
        if fixed_pic_rate_within_cvs_flag:
            _skip_ue(r, 1)  # elemental_duration_in_tc_minus1
        else:
            low_delay_hrd_flag = r.flag()
        cpb_cnt = 1 if low_delay_hrd_flag else 1 + in_range(r.ue(), "cpb_cnt_minus1", 0, MAX_CPB_CNT - 1)
        for _ in range(cpb_cnt * (nal_hrd_parameters_present_flag + vcl_hrd_parameters_present_flag)):
            _skip_ue(r, 4 if sub_pic_hrd_params_present_flag else 2)  # sub_layer_hrd_parameters(), E.2.3
            r.skip(1)  # cbr_flag


def _skip_ue(r: BitReader, count: int) -> None:
    for _ in range(count):
        r.ue()


def refuse(name: str, flags: list[str]) -> None:
    """Raise a BitstreamError that names the flags of an extension, if any are set."""
    if flags:
        raise BitstreamError(f"{name} sets {', '.join(flags)}; HEVC motion vectors are read without this extension")

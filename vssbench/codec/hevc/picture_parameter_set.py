"""The picture parameter set (7.3.2.3).

Fields have the names of the syntax elements. It is read without its SPS, which may come later or be sent again with
other content; `parameter_sets.activate` puts the two together.

Refused by name: each set flag of the range, multilayer, 3D and screen content extensions.

Source: ITU-T H.265, clauses 7.3.2.3 and 7.4.3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vssbench.codec.hevc.bits import BitReader, in_range
from vssbench.codec.hevc.nal import NalUnit
from vssbench.codec.hevc.skipped_syntax import refuse, skip_scaling_list_data

MAX_SIDE_IN_CTBS = 1056  # the widest picture of level 6.2, 16,888 samples, in the smallest CTBs, 16

_PPS_EXTENSIONS = ("pps_range_extension", "pps_multilayer_extension", "pps_3d_extension", "pps_scc_extension")
_SPS_RANGE_EXTENSION_FLAGS = (
    "transform_skip_rotation_enabled_flag",
    "transform_skip_context_enabled_flag",
    "implicit_rdpcm_enabled_flag",
    "explicit_rdpcm_enabled_flag",
    "extended_precision_processing_flag",
    "intra_smoothing_disabled_flag",
    "high_precision_offsets_enabled_flag",
    "persistent_rice_adaptation_enabled_flag",
    "cabac_bypass_alignment_enabled_flag",
)


@dataclass(frozen=True, kw_only=True)
class PictureParameterSet:
    """pic_parameter_set_rbsp(), 7.3.2.3.1; it is read without its SPS, which may come later or be sent again.

    Args:
        column_width_minus1: of all columns of tiles but the last; empty with uniform spacing, like the rows.
    """

    pps_pic_parameter_set_id: int
    pps_seq_parameter_set_id: int
    dependent_slice_segments_enabled_flag: bool
    output_flag_present_flag: bool
    num_extra_slice_header_bits: int
    sign_data_hiding_enabled_flag: bool
    cabac_init_present_flag: bool
    num_ref_idx_l0_default_active_minus1: int
    num_ref_idx_l1_default_active_minus1: int
    init_qp_minus26: int
    constrained_intra_pred_flag: bool
    transform_skip_enabled_flag: bool
    cu_qp_delta_enabled_flag: bool
    diff_cu_qp_delta_depth: int
    pps_slice_chroma_qp_offsets_present_flag: bool
    weighted_pred_flag: bool
    weighted_bipred_flag: bool
    transquant_bypass_enabled_flag: bool
    tiles_enabled_flag: bool
    entropy_coding_sync_enabled_flag: bool
    num_tile_columns_minus1: int
    num_tile_rows_minus1: int
    uniform_spacing_flag: bool
    column_width_minus1: tuple[int, ...]
    row_height_minus1: tuple[int, ...]
    pps_loop_filter_across_slices_enabled_flag: bool
    deblocking_filter_override_enabled_flag: bool
    pps_deblocking_filter_disabled_flag: bool
    lists_modification_present_flag: bool
    log2_parallel_merge_level_minus2: int
    slice_segment_header_extension_present_flag: bool

    @cached_property
    def log2_par_mrg_level(self) -> int:
        """Log2ParMrgLevel (7-37)."""
        return self.log2_parallel_merge_level_minus2 + 2


def read_pps(nal: NalUnit) -> PictureParameterSet:
    """Read pic_parameter_set_rbsp() (7.3.2.3.1); `activate` checks what depends on the SPS.

    Raises: BitstreamError, for a damaged PPS, or one that asks for what is not read here, which the message names.
    """
    r = BitReader(nal.rbsp, "PPS")
    values: dict[str, Any] = {
        "pps_pic_parameter_set_id": in_range(r.ue(), "pps_pic_parameter_set_id", 0, 63),
        "pps_seq_parameter_set_id": in_range(r.ue(), "pps_seq_parameter_set_id", 0, 15),
        "dependent_slice_segments_enabled_flag": r.flag(),
        "output_flag_present_flag": r.flag(),
        "num_extra_slice_header_bits": r.u(3),
        "sign_data_hiding_enabled_flag": r.flag(),
        "cabac_init_present_flag": r.flag(),
        "num_ref_idx_l0_default_active_minus1": in_range(r.ue(), "num_ref_idx_l0_default_active_minus1", 0, 14),
        "num_ref_idx_l1_default_active_minus1": in_range(r.ue(), "num_ref_idx_l1_default_active_minus1", 0, 14),
        "init_qp_minus26": r.se(),
        "constrained_intra_pred_flag": r.flag(),
        "transform_skip_enabled_flag": r.flag(),
        "cu_qp_delta_enabled_flag": r.flag(),
    }
    values["diff_cu_qp_delta_depth"] = r.ue() if values["cu_qp_delta_enabled_flag"] else 0
    in_range(r.se(), "pps_cb_qp_offset", -12, 12)
    in_range(r.se(), "pps_cr_qp_offset", -12, 12)
    for name in (
        "pps_slice_chroma_qp_offsets_present_flag",
        "weighted_pred_flag",
        "weighted_bipred_flag",
        "transquant_bypass_enabled_flag",
        "tiles_enabled_flag",
        "entropy_coding_sync_enabled_flag",
    ):
        values[name] = r.flag()
    values |= _read_tiles(r, values["tiles_enabled_flag"])
    values["pps_loop_filter_across_slices_enabled_flag"] = r.flag()
    values |= _read_deblocking_filter_control(r)
    if r.flag():  # pps_scaling_list_data_present_flag
        skip_scaling_list_data(r)
    values["lists_modification_present_flag"] = r.flag()
    values["log2_parallel_merge_level_minus2"] = r.ue()
    values["slice_segment_header_extension_present_flag"] = r.flag()
    if r.flag() and _skip_pps_extensions(r, values):  # pps_extension_present_flag
        return PictureParameterSet(**values)  # pps_extension_data_flag follows, to be ignored
    r.rbsp_trailing_bits()
    return PictureParameterSet(**values)


def _read_tiles(r: BitReader, tiles_enabled_flag: bool) -> dict[str, Any]:
    """Read num_tile_columns_minus1 to loop_filter_across_tiles_enabled_flag; one tile without them."""
    values: dict[str, Any] = {
        "num_tile_columns_minus1": 0,
        "num_tile_rows_minus1": 0,
        "uniform_spacing_flag": True,
        "column_width_minus1": (),
        "row_height_minus1": (),
    }
    if not tiles_enabled_flag:
        return values
    for name in ("num_tile_columns_minus1", "num_tile_rows_minus1"):
        values[name] = in_range(r.ue(), name, 0, MAX_SIDE_IN_CTBS - 1)
    values["uniform_spacing_flag"] = r.flag()
    if not values["uniform_spacing_flag"]:
        for name, count in (
            ("column_width_minus1", "num_tile_columns_minus1"),
            ("row_height_minus1", "num_tile_rows_minus1"),
        ):
            values[name] = tuple(in_range(r.ue(), name, 0, MAX_SIDE_IN_CTBS - 1) for _ in range(values[count]))
    r.skip(1)  # loop_filter_across_tiles_enabled_flag
    return values


def _read_deblocking_filter_control(r: BitReader) -> dict[str, Any]:
    """Read deblocking_filter_control_present_flag to pps_tc_offset_div2; both flags are 0 without them."""
    control = r.flag()  # deblocking_filter_control_present_flag
    values = {
        "deblocking_filter_override_enabled_flag": control and r.flag(),
        "pps_deblocking_filter_disabled_flag": control and r.flag(),
    }
    if control and not values["pps_deblocking_filter_disabled_flag"]:
        in_range(r.se(), "pps_beta_offset_div2", -6, 6)
        in_range(r.se(), "pps_tc_offset_div2", -6, 6)
    return values


def _skip_pps_extensions(r: BitReader, values: dict[str, Any]) -> bool:
    """Read the extension flags and pass over a range extension that sets nothing; tell if other data follows."""
    extensions = [name for name in _PPS_EXTENSIONS if r.flag()]
    extension_4bits = r.u(4)
    if "pps_range_extension" in extensions:
        used = []
        if values["transform_skip_enabled_flag"] and r.ue():
            used.append("log2_max_transform_skip_block_size_minus2")
        used += [
            name
            for name in ("cross_component_prediction_enabled_flag", "chroma_qp_offset_list_enabled_flag")
            if r.flag()
        ]
        refuse("PPS", used)
        used = [name for name in ("log2_sao_offset_scale_luma", "log2_sao_offset_scale_chroma") if r.ue()]
        refuse("PPS", used)
    refuse("PPS", [f"{name}_flag" for name in extensions if name != "pps_range_extension"])
    return extension_4bits != 0

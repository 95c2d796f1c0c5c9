"""The sequence parameter set (7.3.2.2).

Fields have the names of the syntax elements; derived variables have the standard's names in snake case
(CtbLog2SizeY -> ctb_log2_size_y). What no later step needs is read, since there is no way around it, and dropped:
profile and level, scaling lists, the VUI.

Refused by name: 4:2:2 and 4:4:4 (so separate colour planes too), fields, and each set flag of the range, multilayer,
3D and screen content extensions. Bit depths up to 16 are read: without those flags the syntax does not depend on them.

Source: ITU-T H.265, clauses 7.3.2.2 and 7.4.3.2; limits of annex A.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vssbench.codec.hevc.bits import BitReader, in_range
from vssbench.codec.hevc.nal import NalUnit
from vssbench.codec.hevc.ref_pic_set import ShortTermRefPicSet, read_st_ref_pic_set
from vssbench.codec.hevc.skipped_syntax import (
    refuse,
    skip_profile_tier_level,
    skip_scaling_list_data,
    skip_vui_parameters,
)
from vssbench.errors import BitstreamError

MAX_LUMA_PS = 35_651_584  # MaxLumaPs of level 6.2, table A.8
MAX_SIDE = 16_888  # Sqrt(MaxLumaPs * 8), A.4.1
MAX_DPB_SIZE = 16  # A.4.2
MAX_SUB_LAYERS_MINUS1 = 6
MAX_SHORT_TERM_REF_PIC_SETS = 64
MAX_LONG_TERM_REF_PICS_SPS = 32

_CHROMA_FORMATS = {2: "4:2:2", 3: "4:4:4"}
_SPS_EXTENSIONS = ("sps_range_extension", "sps_multilayer_extension", "sps_3d_extension", "sps_scc_extension")
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
class SequenceParameterSet:
    """seq_parameter_set_rbsp(), 7.3.2.2.1; the conformance window in luma samples: (left, right, top, bottom)."""

    sps_seq_parameter_set_id: int
    chroma_format_idc: int
    pic_width_in_luma_samples: int
    pic_height_in_luma_samples: int
    conformance_window: tuple[int, int, int, int]
    bit_depth_luma_minus8: int
    bit_depth_chroma_minus8: int
    log2_max_pic_order_cnt_lsb_minus4: int
    sps_max_dec_pic_buffering_minus1: int  # this and the next two: of the highest sub-layer
    sps_max_num_reorder_pics: int
    sps_max_latency_increase_plus1: int
    log2_min_luma_coding_block_size_minus3: int
    log2_diff_max_min_luma_coding_block_size: int
    log2_min_luma_transform_block_size_minus2: int
    log2_diff_max_min_luma_transform_block_size: int
    max_transform_hierarchy_depth_inter: int
    max_transform_hierarchy_depth_intra: int
    scaling_list_enabled_flag: bool
    amp_enabled_flag: bool
    sample_adaptive_offset_enabled_flag: bool
    pcm_enabled_flag: bool
    pcm_sample_bit_depth_luma_minus1: int
    pcm_sample_bit_depth_chroma_minus1: int
    log2_min_pcm_luma_coding_block_size_minus3: int
    log2_diff_max_min_pcm_luma_coding_block_size: int
    pcm_loop_filter_disabled_flag: bool
    short_term_ref_pic_sets: tuple[ShortTermRefPicSet, ...]
    long_term_ref_pics_present_flag: bool
    lt_ref_pic_poc_lsb_sps: tuple[int, ...]
    used_by_curr_pic_lt_sps_flag: tuple[bool, ...]
    sps_temporal_mvp_enabled_flag: bool
    strong_intra_smoothing_enabled_flag: bool

    @cached_property
    def chroma_array_type(self) -> int:
        """ChromaArrayType: 0 without chroma, 1 for 4:2:0."""
        return self.chroma_format_idc  # separate_colour_plane_flag is refused

    @cached_property
    def bit_depth_y(self) -> int:
        """BitDepthY."""
        return 8 + self.bit_depth_luma_minus8

    @cached_property
    def bit_depth_c(self) -> int:
        """BitDepthC."""
        return 8 + self.bit_depth_chroma_minus8

    @cached_property
    def qp_bd_offset_y(self) -> int:
        """QpBdOffsetY (7-5)."""
        return 6 * self.bit_depth_luma_minus8

    @cached_property
    def max_pic_order_cnt_lsb(self) -> int:
        """MaxPicOrderCntLsb (7-8)."""
        return 1 << self.log2_max_pic_order_cnt_lsb

    @cached_property
    def log2_max_pic_order_cnt_lsb(self) -> int:
        """The bits of slice_pic_order_cnt_lsb."""
        return self.log2_max_pic_order_cnt_lsb_minus4 + 4

    @cached_property
    def sps_max_latency_pictures(self) -> int | None:
        """SpsMaxLatencyPictures (7-9) of the highest sub-layer; None where there is no limit."""
        if self.sps_max_latency_increase_plus1 == 0:
            return None
        return self.sps_max_num_reorder_pics + self.sps_max_latency_increase_plus1 - 1

    @cached_property
    def min_cb_log2_size_y(self) -> int:
        """MinCbLog2SizeY (7-10)."""
        return self.log2_min_luma_coding_block_size_minus3 + 3

    @cached_property
    def ctb_log2_size_y(self) -> int:
        """CtbLog2SizeY (7-11)."""
        return self.min_cb_log2_size_y + self.log2_diff_max_min_luma_coding_block_size

    @cached_property
    def pic_width_in_ctbs_y(self) -> int:
        """PicWidthInCtbsY (7-15)."""
        return -(-self.pic_width_in_luma_samples >> self.ctb_log2_size_y)

    @cached_property
    def pic_height_in_ctbs_y(self) -> int:
        """PicHeightInCtbsY (7-17)."""
        return -(-self.pic_height_in_luma_samples >> self.ctb_log2_size_y)

    @cached_property
    def pic_size_in_ctbs_y(self) -> int:
        """PicSizeInCtbsY (7-19)."""
        return self.pic_width_in_ctbs_y * self.pic_height_in_ctbs_y

    @cached_property
    def min_tb_log2_size_y(self) -> int:
        """MinTbLog2SizeY."""
        return self.log2_min_luma_transform_block_size_minus2 + 2

    @cached_property
    def max_tb_log2_size_y(self) -> int:
        """MaxTbLog2SizeY."""
        return self.min_tb_log2_size_y + self.log2_diff_max_min_luma_transform_block_size

    @cached_property
    def pcm_bit_depth_y(self) -> int:
        """PcmBitDepthY (7-25)."""
        return self.pcm_sample_bit_depth_luma_minus1 + 1

    @cached_property
    def pcm_bit_depth_c(self) -> int:
        """PcmBitDepthC (7-26)."""
        return self.pcm_sample_bit_depth_chroma_minus1 + 1

    @cached_property
    def log2_min_ipcm_cb_size_y(self) -> int:
        """Log2MinIpcmCbSizeY."""
        return self.log2_min_pcm_luma_coding_block_size_minus3 + 3

    @cached_property
    def log2_max_ipcm_cb_size_y(self) -> int:
        """Log2MaxIpcmCbSizeY."""
        return self.log2_min_ipcm_cb_size_y + self.log2_diff_max_min_pcm_luma_coding_block_size

    @cached_property
    def coded_size(self) -> tuple[int, int]:
        """(height, width) in luma samples."""
        return self.pic_height_in_luma_samples, self.pic_width_in_luma_samples

    @cached_property
    def display_size(self) -> tuple[int, int]:
        """(height, width) in luma samples inside the conformance window."""
        left, right, top, bottom = self.conformance_window
        return self.pic_height_in_luma_samples - top - bottom, self.pic_width_in_luma_samples - left - right


def read_sps(nal: NalUnit) -> SequenceParameterSet:
    """Read seq_parameter_set_rbsp() (7.3.2.2.1).

    Raises: BitstreamError, for a damaged SPS, or one that asks for what is not read here, which the message names.
    """
    r = BitReader(nal.rbsp, "SPS")
    r.skip(4)  # sps_video_parameter_set_id
    max_sub_layers_minus1 = in_range(r.u(3), "sps_max_sub_layers_minus1", 0, MAX_SUB_LAYERS_MINUS1)
    r.skip(1)  # sps_temporal_id_nesting_flag
    skip_profile_tier_level(r, max_sub_layers_minus1)
    values: dict[str, Any] = {"sps_seq_parameter_set_id": in_range(r.ue(), "sps_seq_parameter_set_id", 0, 15)}
    values |= _read_picture_format(r)
    values |= _read_sub_layer_ordering_info(r, max_sub_layers_minus1)
    values |= _read_block_sizes(r, values)
    values["scaling_list_enabled_flag"] = r.flag()
    if values["scaling_list_enabled_flag"] and r.flag():  # sps_scaling_list_data_present_flag
        skip_scaling_list_data(r)
    values["amp_enabled_flag"] = r.flag()
    values["sample_adaptive_offset_enabled_flag"] = r.flag()
    values |= _read_pcm(r, values)
    values |= _read_ref_pic_sets(r, values)
    values["sps_temporal_mvp_enabled_flag"] = r.flag()
    values["strong_intra_smoothing_enabled_flag"] = r.flag()
    if r.flag():  # vui_parameters_present_flag
        skip_vui_parameters(r, max_sub_layers_minus1)
    if r.flag():  # sps_extension_present_flag
        extensions = [name for name in _SPS_EXTENSIONS if r.flag()]
        extension_4bits = r.u(4)
        if "sps_range_extension" in extensions:
            refuse("SPS", [name for name in _SPS_RANGE_EXTENSION_FLAGS if r.flag()])
        refuse("SPS", [f"{name}_flag" for name in extensions if name != "sps_range_extension"])
        if extension_4bits:
            return SequenceParameterSet(**values)  # sps_extension_data_flag follows, to be ignored
    r.rbsp_trailing_bits()
    return SequenceParameterSet(**values)


def _read_picture_format(r: BitReader) -> dict[str, Any]:
    """Read chroma_format_idc to bit_depth_chroma_minus8."""
    chroma_format_idc = in_range(r.ue(), "chroma_format_idc", 0, 3)
    if chroma_format_idc in _CHROMA_FORMATS:
        raise BitstreamError(
            f"the video is {_CHROMA_FORMATS[chroma_format_idc]} (chroma_format_idc {chroma_format_idc}); "
            "HEVC motion vectors are read from 4:2:0 and 4:0:0 only, so encode it as yuv420p"
        )
    width = in_range(r.ue(), "pic_width_in_luma_samples", 1, MAX_SIDE)
    height = in_range(r.ue(), "pic_height_in_luma_samples", 1, MAX_SIDE)
    if width * height > MAX_LUMA_PS:
        raise BitstreamError(f"picture of {width} x {height} luma samples; level 6.2 ends at {MAX_LUMA_PS} samples")
    return {
        "chroma_format_idc": chroma_format_idc,
        "pic_width_in_luma_samples": width,
        "pic_height_in_luma_samples": height,
        "conformance_window": _read_conformance_window(r, width, height, 2 if chroma_format_idc else 1),
        "bit_depth_luma_minus8": in_range(r.ue(), "bit_depth_luma_minus8", 0, 8),
        "bit_depth_chroma_minus8": in_range(r.ue(), "bit_depth_chroma_minus8", 0, 8),
    }


def _read_conformance_window(r: BitReader, width: int, height: int, sub_c: int) -> tuple[int, int, int, int]:
    """Read (left, right, top, bottom), coded in units of SubWidthC and SubHeightC, as luma samples."""
    if not r.flag():  # conformance_window_flag
        return 0, 0, 0, 0
    left, right, top, bottom = (sub_c * r.ue() for _ in range(4))
    if left + right >= width or top + bottom >= height:
        raise BitstreamError(f"conformance window leaves nothing of {width} x {height}: {(left, right, top, bottom)}")
    return left, right, top, bottom


def _read_sub_layer_ordering_info(r: BitReader, max_sub_layers_minus1: int) -> dict[str, Any]:
    """Read log2_max_pic_order_cnt_lsb_minus4 and, of the highest sub-layer, what the output of pictures needs."""
    values = {"log2_max_pic_order_cnt_lsb_minus4": in_range(r.ue(), "log2_max_pic_order_cnt_lsb_minus4", 0, 12)}
    sps_sub_layer_ordering_info_present_flag = r.flag()
    for _ in range(max_sub_layers_minus1 + 1 if sps_sub_layer_ordering_info_present_flag else 1):
        values["sps_max_dec_pic_buffering_minus1"] = in_range(
            r.ue(), "sps_max_dec_pic_buffering_minus1", 0, MAX_DPB_SIZE - 1
        )
        values["sps_max_num_reorder_pics"] = in_range(r.ue(), "sps_max_num_reorder_pics", 0, MAX_DPB_SIZE - 1)
        values["sps_max_latency_increase_plus1"] = r.ue()
    return values


def _read_block_sizes(r: BitReader, values: dict[str, Any]) -> dict[str, Any]:
    """Read the sizes of coding and transform blocks, and check that they fit each other and the picture."""
    min_cb_minus3 = in_range(r.ue(), "log2_min_luma_coding_block_size_minus3", 0, 3)
    min_cb = min_cb_minus3 + 3
    diff_cb = r.ue()
    ctb = in_range(min_cb + diff_cb, "CtbLog2SizeY", 4, 6)
    min_tb_minus2 = in_range(r.ue(), "log2_min_luma_transform_block_size_minus2", 0, min_cb - 3)
    diff_tb = r.ue()
    in_range(min_tb_minus2 + 2 + diff_tb, "MaxTbLog2SizeY", min_tb_minus2 + 2, min(ctb, 5))
    depths = ctb - (min_tb_minus2 + 2)
    for name in ("pic_width_in_luma_samples", "pic_height_in_luma_samples"):
        if values[name] % (1 << min_cb):
            raise BitstreamError(f"{name} is {values[name]}, no multiple of MinCbSizeY {1 << min_cb}")
    return {
        "log2_min_luma_coding_block_size_minus3": min_cb_minus3,
        "log2_diff_max_min_luma_coding_block_size": diff_cb,
        "log2_min_luma_transform_block_size_minus2": min_tb_minus2,
        "log2_diff_max_min_luma_transform_block_size": diff_tb,
        "max_transform_hierarchy_depth_inter": in_range(r.ue(), "max_transform_hierarchy_depth_inter", 0, depths),
        "max_transform_hierarchy_depth_intra": in_range(r.ue(), "max_transform_hierarchy_depth_intra", 0, depths),
    }


def _read_pcm(r: BitReader, values: dict[str, Any]) -> dict[str, Any]:
    """Read pcm_enabled_flag to pcm_loop_filter_disabled_flag; all 0 without PCM."""
    names = (
        "pcm_sample_bit_depth_luma_minus1",
        "pcm_sample_bit_depth_chroma_minus1",
        "log2_min_pcm_luma_coding_block_size_minus3",
        "log2_diff_max_min_pcm_luma_coding_block_size",
    )
    if not r.flag():  # pcm_enabled_flag
        return {"pcm_enabled_flag": False, **dict.fromkeys(names, 0), "pcm_loop_filter_disabled_flag": False}
    min_cb = values["log2_min_luma_coding_block_size_minus3"] + 3
    ctb = min_cb + values["log2_diff_max_min_luma_coding_block_size"]
    luma = in_range(r.u(4), names[0], 0, 7 + values["bit_depth_luma_minus8"])
    chroma = in_range(r.u(4), names[1], 0, 7 + values["bit_depth_chroma_minus8"])
    minus3 = in_range(r.ue(), names[2], min(min_cb, 5) - 3, min(ctb, 5) - 3)
    diff = in_range(r.ue(), names[3], 0, min(ctb, 5) - 3 - minus3)
    sizes = dict(zip(names, (luma, chroma, minus3, diff), strict=True))
    return {"pcm_enabled_flag": True, **sizes, "pcm_loop_filter_disabled_flag": r.flag()}


def _read_ref_pic_sets(r: BitReader, values: dict[str, Any]) -> dict[str, Any]:
    """Read num_short_term_ref_pic_sets to used_by_curr_pic_lt_sps_flag."""
    num_short_term = in_range(r.ue(), "num_short_term_ref_pic_sets", 0, MAX_SHORT_TERM_REF_PIC_SETS)
    short_term: list[ShortTermRefPicSet] = []
    for st_rps_idx in range(num_short_term):
        short_term.append(read_st_ref_pic_set(r, st_rps_idx, short_term, num_short_term))
    long_term_ref_pics_present_flag = r.flag()
    long_term: list[tuple[int, bool]] = []
    if long_term_ref_pics_present_flag:
        num_long_term = in_range(r.ue(), "num_long_term_ref_pics_sps", 0, MAX_LONG_TERM_REF_PICS_SPS)
        bits = values["log2_max_pic_order_cnt_lsb_minus4"] + 4
        long_term = [(r.u(bits), r.flag()) for _ in range(num_long_term)]
    return {
        "short_term_ref_pic_sets": tuple(short_term),
        "long_term_ref_pics_present_flag": long_term_ref_pics_present_flag,
        "lt_ref_pic_poc_lsb_sps": tuple(lsb for lsb, _ in long_term),
        "used_by_curr_pic_lt_sps_flag": tuple(used for _, used in long_term),
    }

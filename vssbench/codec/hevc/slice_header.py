"""The slice segment header (7.3.6), and where in the NAL unit the slice data and its substreams begin.

Source: ITU-T H.265, clauses 7.3.6 and 7.4.7.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace

from vssbench.codec.hevc.bits import BitReader, in_range
from vssbench.codec.hevc.nal import NalUnit, is_idr, is_irap
from vssbench.codec.hevc.parameter_sets import ActiveParameterSets, activate
from vssbench.codec.hevc.picture_parameter_set import PictureParameterSet
from vssbench.codec.hevc.ref_pic_set import MAX_NUM_DELTA_POCS, ShortTermRefPicSet, read_st_ref_pic_set
from vssbench.codec.hevc.sequence_parameter_set import SequenceParameterSet
from vssbench.codec.hevc.syntax import B, I, P
from vssbench.errors import BitstreamError

_EMPTY_SET = ShortTermRefPicSet()  # of IDR pictures

_SAME_IN_A_PICTURE = (  # 7.4.7.1
    "nal_unit_type",
    "no_output_of_prior_pics_flag",
    "pic_output_flag",
    "slice_pic_order_cnt_lsb",
    "short_term_ref_pic_set",
    "long_term_ref_pics",
    "slice_temporal_mvp_enabled_flag",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LongTermRefPic:
    """One long-term entry of the reference picture set, i of (7-52).

    Args:
        poc_lsb: PocLsbLt.
        used_by_curr_pic: UsedByCurrPicLt.
        delta_poc_msb_cycle: DeltaPocMsbCycleLt; None where delta_poc_msb_present_flag is 0.
    """

    poc_lsb: int
    used_by_curr_pic: bool
    delta_poc_msb_cycle: int | None


@dataclass(slots=True, kw_only=True)
class SliceSegmentHeader:
    """slice_segment_header(), 7.3.6.1; the defaults are what the standard infers for absent elements.

    A dependent slice segment has the values of the slice that it belongs to. The reading fills the record in the
    order of the syntax; nobody changes it afterwards.

    Args:
        active: the PPS that slice_pic_parameter_set_id names, with its SPS.
        short_term_ref_pic_set: the set that the header holds or names; empty for IDR pictures.
        list_entry_l0: None where RefPicList0 is not modified (ref_pic_list_modification_flag_l0 0).
        slice_addr: SliceAddrRs, the address of the first CTB of the slice that the segment belongs to.
        slice_data_offset: the byte of nal.rbsp at which slice_segment_data() begins.
        substream_starts: the bytes of nal.rbsp at which its substreams begin; the first is slice_data_offset.
    """

    nal_unit_type: int
    active: ActiveParameterSets
    first_slice_segment_in_pic_flag: bool
    no_output_of_prior_pics_flag: bool = False
    slice_pic_parameter_set_id: int = 0
    dependent_slice_segment_flag: bool = False
    slice_segment_address: int = 0
    slice_type: int = I
    pic_output_flag: bool = True
    slice_pic_order_cnt_lsb: int = 0
    short_term_ref_pic_set: ShortTermRefPicSet = _EMPTY_SET
    long_term_ref_pics: tuple[LongTermRefPic, ...] = ()
    slice_temporal_mvp_enabled_flag: bool = False
    slice_sao_luma_flag: bool = False
    slice_sao_chroma_flag: bool = False
    num_ref_idx_l0_active_minus1: int = -1  # NumRefIdxActive is 0 in I slices
    num_ref_idx_l1_active_minus1: int = -1
    list_entry_l0: tuple[int, ...] | None = None
    list_entry_l1: tuple[int, ...] | None = None
    mvd_l1_zero_flag: bool = False
    cabac_init_flag: bool = False
    collocated_from_l0_flag: bool = True
    collocated_ref_idx: int = 0
    five_minus_max_num_merge_cand: int = 0
    slice_qp_delta: int = 0
    slice_deblocking_filter_disabled_flag: bool = False
    slice_addr: int = 0
    slice_data_offset: int = 0
    substream_starts: tuple[int, ...] = ()

    @property
    def sps(self) -> SequenceParameterSet:
        """The active SPS."""
        return self.active.sps

    @property
    def pps(self) -> PictureParameterSet:
        """The active PPS."""
        return self.active.pps

    @property
    def max_num_merge_cand(self) -> int:
        """MaxNumMergeCand (7-53)."""
        return 5 - self.five_minus_max_num_merge_cand

    @property
    def slice_qp_y(self) -> int:
        """SliceQpY (7-54)."""
        return 26 + self.pps.init_qp_minus26 + self.slice_qp_delta

    @property
    def num_pic_total_curr(self) -> int:
        """NumPicTotalCurr (7-55): pictures that the current one may refer to."""
        return self.short_term_ref_pic_set.num_used_by_curr_pic + sum(
            picture.used_by_curr_pic for picture in self.long_term_ref_pics
        )


def read_slice_segment_header(
    nal: NalUnit,
    sps_by_id: Mapping[int, SequenceParameterSet],
    pps_by_id: Mapping[int, PictureParameterSet],
    previous: SliceSegmentHeader | None,
) -> SliceSegmentHeader:
    """Read slice_segment_header() (7.3.6.1) and the starts of the substreams behind it.

    Args:
        previous: the header of the slice segment before this one in the same picture; None in front of the first.
    Raises: BitstreamError, for a damaged header, a parameter set that has not come, or values that differ from
        those of the other segments of the picture where the standard wants them equal.
    """
    r = BitReader(nal.rbsp, "slice segment header")
    first_slice_segment_in_pic_flag = r.flag()
    no_output_of_prior_pics_flag = is_irap(nal.nal_unit_type) and r.flag()
    slice_pic_parameter_set_id = in_range(r.ue(), "slice_pic_parameter_set_id", 0, 63)
    if first_slice_segment_in_pic_flag:
        active = _activated(slice_pic_parameter_set_id, sps_by_id, pps_by_id)
    else:
        active = _active_of_picture(slice_pic_parameter_set_id, previous)
    h = SliceSegmentHeader(
        nal_unit_type=nal.nal_unit_type,
        active=active,
        first_slice_segment_in_pic_flag=first_slice_segment_in_pic_flag,
        no_output_of_prior_pics_flag=no_output_of_prior_pics_flag,
        slice_pic_parameter_set_id=slice_pic_parameter_set_id,
    )
    if not first_slice_segment_in_pic_flag:
        _read_address(r, h)
    if h.dependent_slice_segment_flag and previous is not None:
        h = _dependent(h, previous)
    else:
        _read_independent(r, h, nal)
    if previous is not None and not first_slice_segment_in_pic_flag:
        _check_same_picture(h, previous)
    _read_end(r, h, nal)
    return h


def _activated(
    pps_id: int, sps_by_id: Mapping[int, SequenceParameterSet], pps_by_id: Mapping[int, PictureParameterSet]
) -> ActiveParameterSets:
    if pps_id not in pps_by_id:
        raise BitstreamError(f"slice refers to PPS {pps_id}, which has not come or cannot be read")
    pps = pps_by_id[pps_id]
    sps_id = pps.pps_seq_parameter_set_id
    if sps_id not in sps_by_id:
        raise BitstreamError(f"PPS {pps_id} refers to SPS {sps_id}, which has not come or cannot be read")
    return activate(pps, sps_by_id[sps_id])


def _active_of_picture(pps_id: int, previous: SliceSegmentHeader | None) -> ActiveParameterSets:
    """Return the parameter sets of the picture, which all its slice segments share (7.4.7.1)."""
    if previous is None:
        raise BitstreamError("slice segment without the first one of its picture (first_slice_segment_in_pic_flag 0)")
    if pps_id != previous.slice_pic_parameter_set_id:
        raise BitstreamError(
            f"slice_pic_parameter_set_id is {pps_id} in a picture that began with {previous.slice_pic_parameter_set_id}"
        )
    return previous.active


def _read_address(r: BitReader, h: SliceSegmentHeader) -> None:
    """Read dependent_slice_segment_flag and slice_segment_address."""
    if h.pps.dependent_slice_segments_enabled_flag:
        h.dependent_slice_segment_flag = r.flag()
    last = h.sps.pic_size_in_ctbs_y - 1
    h.slice_segment_address = in_range(r.u(_ceil_log2(last + 1)), "slice_segment_address", 1, last)
    h.slice_addr = h.slice_segment_address


def _dependent(h: SliceSegmentHeader, previous: SliceSegmentHeader) -> SliceSegmentHeader:
    """Take over from the slice that a dependent segment continues; no_output_of_prior_pics_flag is its own."""
    return replace(
        previous,
        nal_unit_type=h.nal_unit_type,
        no_output_of_prior_pics_flag=h.no_output_of_prior_pics_flag,
        first_slice_segment_in_pic_flag=False,
        dependent_slice_segment_flag=True,
        slice_segment_address=h.slice_segment_address,
    )


def _check_same_picture(h: SliceSegmentHeader, previous: SliceSegmentHeader) -> None:
    for name in _SAME_IN_A_PICTURE:
        if getattr(h, name) != getattr(previous, name):
            raise BitstreamError(
                f"{name} changes within a picture, from {getattr(previous, name)} to {getattr(h, name)}; "
                "the first slice segment of a picture was lost or the header is damaged"
            )


def _read_independent(r: BitReader, h: SliceSegmentHeader, nal: NalUnit) -> None:
    """Read what only independent slice segments hold: slice_reserved_flag to the loop filter flag."""
    sps, pps = h.sps, h.pps
    r.skip(pps.num_extra_slice_header_bits)  # slice_reserved_flag
    h.slice_type = in_range(r.ue(), "slice_type", B, I)
    if h.slice_type != I and is_irap(nal.nal_unit_type):
        raise BitstreamError(f"slice_type {h.slice_type} in an IRAP picture (nal_unit_type {nal.nal_unit_type}), not I")
    if pps.output_flag_present_flag:
        h.pic_output_flag = r.flag()
    if not is_idr(nal.nal_unit_type):
        _read_ref_pic_set(r, h)
    if sps.sample_adaptive_offset_enabled_flag:
        h.slice_sao_luma_flag = r.flag()
        h.slice_sao_chroma_flag = sps.chroma_array_type != 0 and r.flag()
    if h.slice_type != I:
        _read_inter(r, h)
    h.slice_qp_delta = r.se()
    in_range(h.slice_qp_y, "SliceQpY", -sps.qp_bd_offset_y, 51)
    if pps.pps_slice_chroma_qp_offsets_present_flag:
        in_range(r.se(), "slice_cb_qp_offset", -12, 12)
        in_range(r.se(), "slice_cr_qp_offset", -12, 12)
    _read_loop_filters(r, h)


def _read_ref_pic_set(r: BitReader, h: SliceSegmentHeader) -> None:
    """Read slice_pic_order_cnt_lsb to slice_temporal_mvp_enabled_flag."""
    sps = h.sps
    h.slice_pic_order_cnt_lsb = r.u(sps.log2_max_pic_order_cnt_lsb)
    sets = sps.short_term_ref_pic_sets
    if not r.flag():  # short_term_ref_pic_set_sps_flag
        h.short_term_ref_pic_set = read_st_ref_pic_set(r, len(sets), sets, len(sets))
    elif not sets:
        raise BitstreamError("short_term_ref_pic_set_sps_flag is 1, but the SPS has no short-term set to take")
    else:
        short_term_ref_pic_set_idx = r.u(_ceil_log2(len(sets)))
        in_range(short_term_ref_pic_set_idx, "short_term_ref_pic_set_idx", 0, len(sets) - 1)
        h.short_term_ref_pic_set = sets[short_term_ref_pic_set_idx]
    if sps.long_term_ref_pics_present_flag:
        h.long_term_ref_pics = _read_long_term_ref_pics(r, sps, h.short_term_ref_pic_set.num_delta_pocs)
    if sps.sps_temporal_mvp_enabled_flag:
        h.slice_temporal_mvp_enabled_flag = r.flag()


def _read_long_term_ref_pics(
    r: BitReader, sps: SequenceParameterSet, num_delta_pocs: int
) -> tuple[LongTermRefPic, ...]:
    """Read num_long_term_sps to delta_poc_msb_cycle_lt."""
    num_long_term_ref_pics_sps = len(sps.lt_ref_pic_poc_lsb_sps)
    num_long_term_sps = 0
    if num_long_term_ref_pics_sps > 0:
        num_long_term_sps = in_range(r.ue(), "num_long_term_sps", 0, num_long_term_ref_pics_sps)
    num_long_term_pics = r.ue()
    total = num_long_term_sps + num_long_term_pics
    in_range(num_delta_pocs + total, "number of pictures in the reference picture set", 0, MAX_NUM_DELTA_POCS)
    pictures: list[LongTermRefPic] = []
    delta_poc_msb_cycle = 0
    for i in range(total):
        if i < num_long_term_sps:
            lt_idx_sps = r.u(_ceil_log2(num_long_term_ref_pics_sps))
            in_range(lt_idx_sps, "lt_idx_sps", 0, num_long_term_ref_pics_sps - 1)
            poc_lsb = sps.lt_ref_pic_poc_lsb_sps[lt_idx_sps]
            used = sps.used_by_curr_pic_lt_sps_flag[lt_idx_sps]
        else:
            poc_lsb, used = r.u(sps.log2_max_pic_order_cnt_lsb), r.flag()
        delta_poc_msb_present_flag = r.flag()
        delta_poc_msb_cycle_lt = r.ue() if delta_poc_msb_present_flag else 0
        if i in (0, num_long_term_sps):  # (7-52): each of the two runs adds up by itself
            delta_poc_msb_cycle = 0
        delta_poc_msb_cycle += delta_poc_msb_cycle_lt
        pictures.append(
            LongTermRefPic(
                poc_lsb=poc_lsb,
                used_by_curr_pic=used,
                delta_poc_msb_cycle=delta_poc_msb_cycle if delta_poc_msb_present_flag else None,
            )
        )
    return tuple(pictures)


def _read_inter(r: BitReader, h: SliceSegmentHeader) -> None:
    """Read num_ref_idx_active_override_flag to five_minus_max_num_merge_cand, of P and B slices."""
    pps = h.pps
    if h.num_pic_total_curr == 0:
        raise BitstreamError("P or B slice whose reference picture set holds no picture to refer to")
    h.num_ref_idx_l0_active_minus1 = pps.num_ref_idx_l0_default_active_minus1
    if h.slice_type == B:
        h.num_ref_idx_l1_active_minus1 = pps.num_ref_idx_l1_default_active_minus1
    if r.flag():  # num_ref_idx_active_override_flag
        h.num_ref_idx_l0_active_minus1 = in_range(r.ue(), "num_ref_idx_l0_active_minus1", 0, 14)
        if h.slice_type == B:
            h.num_ref_idx_l1_active_minus1 = in_range(r.ue(), "num_ref_idx_l1_active_minus1", 0, 14)
    if pps.lists_modification_present_flag and h.num_pic_total_curr > 1:
        h.list_entry_l0 = _read_list_entries(r, h.num_ref_idx_l0_active_minus1, h.num_pic_total_curr)
        if h.slice_type == B:
            h.list_entry_l1 = _read_list_entries(r, h.num_ref_idx_l1_active_minus1, h.num_pic_total_curr)
    if h.slice_type == B:
        h.mvd_l1_zero_flag = r.flag()
    if pps.cabac_init_present_flag:
        h.cabac_init_flag = r.flag()
    if h.slice_temporal_mvp_enabled_flag:
        if h.slice_type == B:
            h.collocated_from_l0_flag = r.flag()
        last = h.num_ref_idx_l0_active_minus1 if h.collocated_from_l0_flag else h.num_ref_idx_l1_active_minus1
        if last > 0:
            h.collocated_ref_idx = in_range(r.ue(), "collocated_ref_idx", 0, last)
    if pps.weighted_pred_flag if h.slice_type == P else pps.weighted_bipred_flag:
        _skip_pred_weight_table(r, h)
    h.five_minus_max_num_merge_cand = in_range(r.ue(), "five_minus_max_num_merge_cand", 0, 4)


def _read_list_entries(r: BitReader, num_ref_idx_active_minus1: int, num_pic_total_curr: int) -> tuple[int, ...] | None:
    """Read one list of ref_pic_lists_modification() (7.3.6.2)."""
    if not r.flag():  # ref_pic_list_modification_flag_lX
        return None
    bits, last = _ceil_log2(num_pic_total_curr), num_pic_total_curr - 1
    return tuple(in_range(r.u(bits), "list_entry_lX", 0, last) for _ in range(num_ref_idx_active_minus1 + 1))


def _skip_pred_weight_table(r: BitReader, h: SliceSegmentHeader) -> None:
    """Pass over pred_weight_table() (7.3.6.3): weights change samples, not vectors.

    Its flags are there for each reference, since none is the current picture itself (no screen content extension).
    """
    chroma = h.sps.chroma_array_type != 0
    in_range(r.ue(), "luma_log2_weight_denom", 0, 7)
    if chroma:
        r.se()  # delta_chroma_log2_weight_denom
    for num_ref_idx_active_minus1 in (h.num_ref_idx_l0_active_minus1, h.num_ref_idx_l1_active_minus1):
        entries = range(num_ref_idx_active_minus1 + 1)
        luma_weight_flag = [r.flag() for _ in entries]
        chroma_weight_flag = [chroma and r.flag() for _ in entries]
        for i in entries:
            for _ in range(2 * luma_weight_flag[i] + 4 * chroma_weight_flag[i]):
                r.se()  # delta_luma_weight, luma_offset; delta_chroma_weight, delta_chroma_offset of Cb and Cr


def _read_loop_filters(r: BitReader, h: SliceSegmentHeader) -> None:
    """Read deblocking_filter_override_flag to slice_loop_filter_across_slices_enabled_flag."""
    pps = h.pps
    h.slice_deblocking_filter_disabled_flag = pps.pps_deblocking_filter_disabled_flag
    if pps.deblocking_filter_override_enabled_flag and r.flag():  # deblocking_filter_override_flag
        h.slice_deblocking_filter_disabled_flag = r.flag()
        if not h.slice_deblocking_filter_disabled_flag:
            in_range(r.se(), "slice_beta_offset_div2", -6, 6)
            in_range(r.se(), "slice_tc_offset_div2", -6, 6)
    filtered = h.slice_sao_luma_flag or h.slice_sao_chroma_flag or not h.slice_deblocking_filter_disabled_flag
    if pps.pps_loop_filter_across_slices_enabled_flag and filtered:
        r.skip(1)  # slice_loop_filter_across_slices_enabled_flag


def _read_end(r: BitReader, h: SliceSegmentHeader, nal: NalUnit) -> None:
    """Read the entry points, the header extension and byte_alignment(); place the substreams."""
    offsets: list[int] = []
    if h.pps.tiles_enabled_flag or h.pps.entropy_coding_sync_enabled_flag:
        offsets = _read_entry_point_offsets(r, h)
    if h.pps.slice_segment_header_extension_present_flag:
        r.skip(8 * in_range(r.ue(), "slice_segment_header_extension_length", 0, 256))
    r.byte_alignment()
    h.slice_data_offset = r.position_bits // 8
    h.substream_starts = _substream_starts(nal, h.slice_data_offset, offsets)


def _read_entry_point_offsets(r: BitReader, h: SliceSegmentHeader) -> list[int]:
    """Read num_entry_point_offsets to entry_point_offset_minus1, and add the 1."""
    rows = h.sps.pic_height_in_ctbs_y if h.pps.entropy_coding_sync_enabled_flag else len(h.active.row_boundaries) - 1
    most = (len(h.active.column_boundaries) - 1) * rows - 1
    num_entry_point_offsets = in_range(r.ue(), "num_entry_point_offsets", 0, most)
    if num_entry_point_offsets == 0:
        return []
    bits = in_range(r.ue(), "offset_len_minus1", 0, 31) + 1
    return [r.u(bits) + 1 for _ in range(num_entry_point_offsets)]


def _substream_starts(nal: NalUnit, slice_data_offset: int, offsets: list[int]) -> tuple[int, ...]:
    """Place the substreams in the RBSP (7.4.7.1); their sizes count the escapes that were removed from it.

    Raises: BitstreamError, where a substream would be empty or end behind the NAL unit.
    """
    if slice_data_offset >= len(nal.rbsp):
        raise BitstreamError(f"slice segment of {len(nal.rbsp)} bytes is cut short: no slice data follow its header")
    removed = nal.removed
    # The k-th escape stood before byte removed[k] - k of the RBSP.
    escapes_before = bisect_left(range(len(removed)), slice_data_offset + 1, key=lambda k: removed[k] - k)
    escaped = slice_data_offset + escapes_before  # the same place with the escapes counted
    starts = [slice_data_offset]
    for offset in offsets:
        escaped += offset
        start = escaped - bisect_left(removed, escaped)
        if not starts[-1] < start < len(nal.rbsp):
            raise BitstreamError(
                f"entry point {len(starts)} of a slice segment lies at byte {start}, "
                f"after {starts[-1]} and before {len(nal.rbsp)} was expected; the header or the data are damaged"
            )
        starts.append(start)
    return tuple(starts)


def _ceil_log2(n: int) -> int:
    """Return Ceil(Log2(n)), 0 for n of 0 or 1."""
    return max(0, n - 1).bit_length()

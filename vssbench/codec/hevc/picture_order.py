"""Picture order count, reference picture set and reference picture lists, as pure functions (8.3.1, 8.3.2, 8.3.4).

Source: ITU-T H.265, clauses 8.3.1, 8.3.2 and 8.3.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from vssbench.codec.hevc.nal import is_radl, is_rasl, is_sub_layer_non_reference
from vssbench.codec.hevc.slice_header import SliceSegmentHeader

Picture = TypeVar("Picture")


def pic_order_cnt(slice_pic_order_cnt_lsb: int, prev_tid0_poc: int | None, max_pic_order_cnt_lsb: int) -> int:
    """Return PicOrderCntVal (8.3.1).

    Args:
        prev_tid0_poc: PicOrderCntVal of prevTid0Pic; None for an IRAP picture with NoRaslOutputFlag 1.
    """
    if prev_tid0_poc is None:
        return slice_pic_order_cnt_lsb
    prev_pic_order_cnt_lsb = prev_tid0_poc % max_pic_order_cnt_lsb
    pic_order_cnt_msb = prev_tid0_poc - prev_pic_order_cnt_lsb
    step = slice_pic_order_cnt_lsb - prev_pic_order_cnt_lsb
    if step <= -max_pic_order_cnt_lsb // 2:  # (8-1)
        pic_order_cnt_msb += max_pic_order_cnt_lsb
    elif step > max_pic_order_cnt_lsb // 2:
        pic_order_cnt_msb -= max_pic_order_cnt_lsb
    return pic_order_cnt_msb + slice_pic_order_cnt_lsb


def may_be_prev_tid0_pic(nal_unit_type: int, temporal_id: int) -> bool:
    """Tell whether later pictures count their order from this one: prevTid0Pic of 8.3.1."""
    skipped = is_rasl(nal_unit_type) or is_radl(nal_unit_type) or is_sub_layer_non_reference(nal_unit_type)
    return temporal_id == 0 and not skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class LongTermPoc:
    """PocLtCurr or PocLtFoll, and the CurrDeltaPocMsbPresentFlag or FollDeltaPocMsbPresentFlag that goes with it.

    Args:
        poc: all of the picture order count, or its lowest bits where delta_poc_msb_present_flag is 0.
    """

    poc: int
    delta_poc_msb_present_flag: bool

    def matches(self, poc: int, max_pic_order_cnt_lsb: int) -> bool:
        """Tell whether a picture of that order count is the one meant (8-6, 8-7)."""
        return self.poc == (poc if self.delta_poc_msb_present_flag else poc % max_pic_order_cnt_lsb)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePictureSetPocs:
    """The five lists of picture order counts of the reference picture set (8-5).

    Curr: the current picture may refer to it; Foll: only later pictures may, but it must be kept.
    """

    poc_st_curr_before: tuple[int, ...]
    poc_st_curr_after: tuple[int, ...]
    poc_st_foll: tuple[int, ...]
    poc_lt_curr: tuple[LongTermPoc, ...]
    poc_lt_foll: tuple[LongTermPoc, ...]


def reference_picture_set_pocs(header: SliceSegmentHeader, poc: int) -> ReferencePictureSetPocs:
    """Derive the order counts of the reference picture set of the picture with order count `poc` (8-5)."""
    short = header.short_term_ref_pic_set
    before = [(poc + delta, used) for delta, used in zip(short.delta_poc_s0, short.used_by_curr_pic_s0, strict=True)]
    after = [(poc + delta, used) for delta, used in zip(short.delta_poc_s1, short.used_by_curr_pic_s1, strict=True)]
    max_lsb = header.sps.max_pic_order_cnt_lsb
    long: list[tuple[LongTermPoc, bool]] = []
    for entry in header.long_term_ref_pics:
        poc_lt, msb_present = entry.poc_lsb, entry.delta_poc_msb_cycle is not None
        if entry.delta_poc_msb_cycle is not None:
            poc_lt += poc - entry.delta_poc_msb_cycle * max_lsb - poc % max_lsb
        long.append((LongTermPoc(poc=poc_lt, delta_poc_msb_present_flag=msb_present), entry.used_by_curr_pic))
    return ReferencePictureSetPocs(
        poc_st_curr_before=tuple(poc_st for poc_st, used in before if used),
        poc_st_curr_after=tuple(poc_st for poc_st, used in after if used),
        poc_st_foll=tuple(poc_st for poc_st, used in before + after if not used),
        poc_lt_curr=tuple(poc_lt for poc_lt, used in long if used),
        poc_lt_foll=tuple(poc_lt for poc_lt, used in long if not used),
    )


def reference_picture_list(
    candidates: Sequence[Picture], num_ref_idx_active_minus1: int, list_entry: Sequence[int] | None
) -> list[Picture]:
    """Return RefPicList0 or RefPicList1 (8-8 to 8-11).

    Args:
        candidates: the pictures of RefPicListTemp0 or 1, each once; the standard repeats them until there are enough.
        num_ref_idx_active_minus1: -1 gives an empty list.
        list_entry: list_entry_l0 or list_entry_l1, indices of the candidates; None without modification.
    """
    entries = range(num_ref_idx_active_minus1 + 1)
    if list_entry is not None:
        return [candidates[list_entry[i]] for i in entries]
    return [candidates[i % len(candidates)] for i in entries]

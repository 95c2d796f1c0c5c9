"""The decoded picture buffer: marking of references, removal, and the order of output (8.3.2, 8.3.3, C.5.2).

It holds no samples. A picture here is what its slice segment headers say, with room for its motion.

Source: ITU-T H.265, clauses 8.1.3, 8.3.1 to 8.3.4 and C.5.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from vssbench.codec.hevc.nal import RSV_VCL_N10, NalUnit, is_bla, is_cra, is_idr, is_irap, is_rasl
from vssbench.codec.hevc.picture_order import (
    LongTermPoc,
    ReferencePictureSetPocs,
    may_be_prev_tid0_pic,
    pic_order_cnt,
    reference_picture_list,
    reference_picture_set_pocs,
)
from vssbench.codec.hevc.sequence_parameter_set import SequenceParameterSet
from vssbench.codec.hevc.slice_header import SliceSegmentHeader
from vssbench.codec.hevc.syntax import I
from vssbench.errors import BitstreamError

_NO_IRAP = {
    False: "picture where an IRAP picture must come: at the beginning of the stream or after an end of sequence",
    True: "picture after an IRAP picture that cannot be read, so that its order count is unknown",
}


@dataclass(slots=True, kw_only=True, eq=False)
class CodedPicture:
    """One picture of the stream; or, where a reference is not in the stream, one that stands in for it.

    Args:
        poc: PicOrderCntVal; it starts again in each coded video sequence.
        sequence: the number of that sequence, from 0; each IRAP picture with NoRaslOutputFlag 1 begins one.
        order: the place in decoding order, from 0, dropped, refused and lost pictures counted too; -1 for a stand-in.
        slice_type: of the first slice.
        is_output: PicOutputFlag.
        kept_pocs: (sequence, poc) of all pictures that its reference picture set keeps, itself not among them; those
            pictures that came before and are neither in this set nor waiting for output are needed no more.
        missing_pocs: the order counts of pictures that it may refer to, but that are not in the stream.
        reference: marked as used for short-term or long-term reference, or as unused. Of the references of the
            current picture it is right from `begin_picture` on until the next picture begins.
        motion: the reader's; None at first, and always in a stand-in.
        error: why there is no motion: set in a stand-in, else the reader's.
        users: places in decoding order of the pictures with it in a reference list; grows while the stream is read.
        is_missing: whether it is a stand-in.
    """

    poc: int
    sequence: int
    order: int
    slice_type: int
    nal_unit_type: int
    temporal_id: int
    is_output: bool
    kept_pocs: frozenset[tuple[int, int]] = frozenset()
    missing_pocs: tuple[int, ...] = ()
    reference: Literal["short", "long", "unused"] = "short"
    motion: Any = None
    error: BitstreamError | None = None
    is_missing: bool = False
    users: set[int] = field(default_factory=set)
    _waits_for_output: bool = False
    _latency_count: int = 0  # PicLatencyCount

    @property
    def is_long_term(self) -> bool:
        """Whether it is now marked as used for long-term reference."""
        return self.reference == "long"


@dataclass(slots=True)
class _ReferencePictureSet:
    """The pictures of the reference picture set that are in the buffer (8.3.2); Curr lists have no gaps."""

    st_curr_before: list[CodedPicture] = field(default_factory=list)
    st_curr_after: list[CodedPicture] = field(default_factory=list)
    lt_curr: list[CodedPicture] = field(default_factory=list)
    foll: list[CodedPicture] = field(default_factory=list)

    @property
    def curr(self) -> list[CodedPicture]:
        return self.st_curr_before + self.st_curr_after + self.lt_curr

    @property
    def all(self) -> list[CodedPicture]:
        return self.curr + self.foll


class PictureBuffer:
    """The decoded picture buffer, driven by the first slice segment header of each picture in decoding order.

    Pictures leave it by the "bumping" process of C.5.2, in output order; `ready` hands them out. A picture is put out
    at the earliest when the next one begins, so the reader has time to set its motion.
    """

    def __init__(self) -> None:
        self._pictures: list[CodedPicture] = []
        self._ready: list[CodedPicture] = []
        self._current: CodedPicture | None = None  # not yet decoded to its end
        self._rps = _ReferencePictureSet()
        self._sps: SequenceParameterSet | None = None
        self._order = 0
        self._sequence = -1
        self._pocs_of_sequence: set[int] = set()
        self._prev_tid0_poc = 0
        self._irap_no_rasl_output_flag = False  # of the last IRAP picture in decoding order
        self._starts_sequence = True  # the next picture is the first of the stream or follows its end of sequence
        self._lost_irap = False

    @property
    def num_pictures(self) -> int:
        """How many coded pictures have come, dropped, refused and lost ones too."""
        return self._order

    def begin_picture(self, header: SliceSegmentHeader, nal: NalUnit) -> CodedPicture | None:
        """Take the next picture: its order count, its references, and what is put out before it.

        Args:
            header: of its first slice segment, and nal the NAL unit of it.
        Returns: the picture; None for a RASL picture that is not to be decoded, because it refers to pictures before
            the IRAP picture at which decoding begins (8.1.3).
        Raises: BitstreamError, and leaves the buffer as if the picture were not there: for a picture in front of the
            first IRAP picture, a second one with the same order count, or another SPS within a sequence.
        """
        self.end_picture()
        order, self._order = self._order, self._order + 1
        no_rasl_output_flag = is_irap(nal.nal_unit_type) and (
            is_idr(nal.nal_unit_type) or is_bla(nal.nal_unit_type) or self._starts_sequence
        )
        if self._starts_sequence and not no_rasl_output_flag:
            raise BitstreamError(_NO_IRAP[self._lost_irap])
        if is_rasl(nal.nal_unit_type) and self._irap_no_rasl_output_flag:
            return None
        poc = self._place(header, nal, no_rasl_output_flag=no_rasl_output_flag)
        pocs = reference_picture_set_pocs(header, poc)
        self._mark_references(pocs, header.sps.max_pic_order_cnt_lsb, is_intra=is_irap(nal.nal_unit_type))
        self._remove_unneeded()  # C.5.2.2
        self._bump_while(lambda: self._too_many_wait() or self._is_full())
        picture = CodedPicture(
            poc=poc,
            sequence=self._sequence,
            order=order,
            slice_type=header.slice_type,
            nal_unit_type=nal.nal_unit_type,
            temporal_id=nal.temporal_id,
            is_output=header.pic_output_flag,
            kept_pocs=frozenset((kept.sequence, kept.poc) for kept in self._rps.all),
            missing_pocs=tuple(missing.poc for missing in self._rps.curr if missing.is_missing),
        )
        self._pictures.append(picture)
        self._current = picture
        return picture

    def end_picture(self) -> None:
        """End the current picture, as the beginning of the next one does: it may now be put out (C.5.2.3)."""
        picture, self._current = self._current, None
        if picture is None:
            return
        if picture.is_output:
            for other in self._pictures:
                if other._waits_for_output and other.poc > picture.poc:
                    other._latency_count += 1
            picture._waits_for_output = True
        self._bump_while(self._too_many_wait)

    def reference_lists(self, header: SliceSegmentHeader) -> tuple[list[CodedPicture], list[CodedPicture]]:
        """Return RefPicList0 and RefPicList1 of a slice of the current picture, empty where it has none (8.3.4)."""
        before, after, long = self._rps.st_curr_before, self._rps.st_curr_after, self._rps.lt_curr
        return (
            reference_picture_list(before + after + long, header.num_ref_idx_l0_active_minus1, header.list_entry_l0),
            reference_picture_list(after + before + long, header.num_ref_idx_l1_active_minus1, header.list_entry_l1),
        )

    def end_of_sequence(self) -> None:
        """Take an end of sequence or end of bitstream NAL unit: the next picture must be IRAP and begins a sequence."""
        self.end_picture()
        self._starts_sequence = True

    def picture_lost(self, *, is_irap: bool) -> None:
        """Take note of a picture whose first slice segment header cannot be read.

        Args:
            is_irap: after an IRAP picture no order count is known, so the pictures up to the next one are refused.
        """
        self.end_picture()
        self._order += 1
        if is_irap:
            self.flush()
            self._starts_sequence = True
            self._lost_irap = True

    def flush(self) -> None:
        """End the stream: put out all pictures that wait."""
        self.end_picture()
        self._bump_while(lambda: True)

    def ready(self) -> list[CodedPicture]:
        """Return the pictures put out since the last call, in output order."""
        ready, self._ready = self._ready, []
        return ready

    def _place(self, header: SliceSegmentHeader, nal: NalUnit, *, no_rasl_output_flag: bool) -> int:
        """Return the order count of the picture (8.3.1), and place it in its sequence or begin one with it."""
        prev_tid0_poc = None if no_rasl_output_flag else self._prev_tid0_poc
        poc = pic_order_cnt(header.slice_pic_order_cnt_lsb, prev_tid0_poc, header.sps.max_pic_order_cnt_lsb)
        if no_rasl_output_flag:
            self._begin_sequence(header, nal)
        else:
            self._check_sequence(header, poc)
        if is_irap(nal.nal_unit_type):
            self._irap_no_rasl_output_flag = no_rasl_output_flag
        if may_be_prev_tid0_pic(nal.nal_unit_type, nal.temporal_id):
            self._prev_tid0_poc = poc
        self._pocs_of_sequence.add(poc)
        return poc

    def _begin_sequence(self, header: SliceSegmentHeader, nal: NalUnit) -> None:
        """Begin a coded video sequence at an IRAP picture with NoRaslOutputFlag 1: nothing before it is a reference.

        Pictures that still wait are put out, or with NoOutputOfPriorPicsFlag, which is inferred for a CRA picture,
        given up (C.5.2.2). FFmpeg 8 does the same, so the pictures that come out here are those that it shows.
        """
        for picture in self._pictures:
            picture.reference = "unused"
        no_output_of_prior_pics_flag = is_cra(nal.nal_unit_type) or header.no_output_of_prior_pics_flag
        if not no_output_of_prior_pics_flag:
            self._bump_while(lambda: True)
        self._pictures.clear()
        self._sequence += 1
        self._pocs_of_sequence.clear()
        self._sps = header.sps
        self._starts_sequence = False
        self._lost_irap = False

    def _check_sequence(self, header: SliceSegmentHeader, poc: int) -> None:
        if header.sps != self._sps:
            raise BitstreamError("the SPS changes at a picture that begins no sequence; an IRAP picture was lost")
        if poc in self._pocs_of_sequence:
            raise BitstreamError(f"a second picture with POC {poc} in one sequence; its header is damaged or copied")

    def _mark_references(self, pocs: ReferencePictureSetPocs, max_lsb: int, *, is_intra: bool) -> None:
        """Find the pictures of the reference picture set, and mark all pictures of the buffer by it (8.3.2).

        Args:
            is_intra: True for an IRAP picture, which refers to none; a picture missing from its set does no harm.
        """
        references = [picture for picture in self._pictures if picture.reference != "unused"]

        def long_term(wanted: LongTermPoc) -> CodedPicture | None:
            return next((picture for picture in references if wanted.matches(picture.poc, max_lsb)), None)

        def short_term(poc: int) -> CodedPicture | None:
            return next((each for each in references if each.reference == "short" and each.poc == poc), None)

        lt_curr = [(wanted.poc, long_term(wanted)) for wanted in pocs.poc_lt_curr]
        lt_foll = [picture for picture in map(long_term, pocs.poc_lt_foll) if picture is not None]
        for picture in (*(found for _, found in lt_curr if found is not None), *lt_foll):
            picture.reference = "long"  # before the short-term ones are looked for, as the standard has it
        st_curr_before = [(poc, short_term(poc)) for poc in pocs.poc_st_curr_before]
        st_curr_after = [(poc, short_term(poc)) for poc in pocs.poc_st_curr_after]
        st_foll = [picture for picture in map(short_term, pocs.poc_st_foll) if picture is not None]
        self._rps = _ReferencePictureSet(
            st_curr_before=self._without_gaps(st_curr_before, "short", is_intra=is_intra),
            st_curr_after=self._without_gaps(st_curr_after, "short", is_intra=is_intra),
            lt_curr=self._without_gaps(lt_curr, "long", is_intra=is_intra),
            foll=lt_foll + st_foll,
        )
        kept = {id(picture) for picture in self._rps.all}
        for picture in self._pictures:
            if id(picture) not in kept:
                picture.reference = "unused"

    def _without_gaps(
        self, found: list[tuple[int, CodedPicture | None]], reference: Literal["short", "long"], *, is_intra: bool
    ) -> list[CodedPicture]:
        """Return the pictures, with a stand-in for each that is not in the stream (8.3.3)."""
        pictures: list[CodedPicture] = []
        for poc, picture in found:
            if picture is None:
                if is_intra:
                    continue
                picture = self._stand_in(poc, reference)
                self._pictures.append(picture)
            pictures.append(picture)
        return pictures

    def _stand_in(self, poc: int, reference: Literal["short", "long"]) -> CodedPicture:
        return CodedPicture(
            poc=poc,
            sequence=self._sequence,
            order=-1,
            slice_type=I,
            nal_unit_type=RSV_VCL_N10,  # a type that no picture has
            temporal_id=0,
            is_output=False,
            reference=reference,
            error=BitstreamError(f"the picture with POC {poc} is not in the stream"),
            is_missing=True,
        )

    def _too_many_wait(self) -> bool:
        """Tell whether more pictures wait, or one for longer, than the SPS says is needed for the order."""
        waiting = [picture for picture in self._pictures if picture._waits_for_output]
        if self._sps is None:
            return False
        if len(waiting) > self._sps.sps_max_num_reorder_pics:
            return True
        limit = self._sps.sps_max_latency_pictures
        return limit is not None and any(picture._latency_count >= limit for picture in waiting)

    def _is_full(self) -> bool:
        """Tell whether the current picture has no room, and putting pictures out makes some.

        In a stream without damage the second follows from the first. Stand-ins take no room, so that the order of
        output holds where pictures are missing.
        """
        if self._sps is None or not any(
            each._waits_for_output and each.reference == "unused" for each in self._pictures
        ):
            return False
        return sum(not each.is_missing for each in self._pictures) >= self._sps.sps_max_dec_pic_buffering_minus1 + 1

    def _bump_while(self, condition: Callable[[], bool]) -> None:
        """Put out the waiting picture with the lowest order count, again and again (C.5.2.4)."""
        while condition():
            waiting = [picture for picture in self._pictures if picture._waits_for_output]
            if not waiting:
                return
            first = min(waiting, key=lambda picture: picture.poc)
            first._waits_for_output = False
            self._ready.append(first)
            self._remove_unneeded()

    def _remove_unneeded(self) -> None:
        self._pictures = [
            picture
            for picture in self._pictures
            if picture._waits_for_output or picture.reference != "unused" or picture is self._current
        ]

"""Short-term reference picture sets, of the SPS and of slice segment headers (7.3.7).

Source: ITU-T H.265, clauses 7.3.7 and 7.4.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from vssbench.codec.hevc.bits import BitReader, in_range
from vssbench.errors import BitstreamError

MAX_NUM_DELTA_POCS = 16  # sps_max_dec_pic_buffering_minus1 is at most 15 (A.4.2); one more, as FFmpeg allows


@dataclass(frozen=True, kw_only=True)
class ShortTermRefPicSet:
    """st_ref_pic_set(stRpsIdx) as its derived variables, POC differences to the current picture (7.4.8).

    Args:
        delta_poc_s0: DeltaPocS0, below 0, the nearest picture first.
        used_by_curr_pic_s0: UsedByCurrPicS0, whether the current picture itself may refer to it.
        delta_poc_s1: DeltaPocS1, above 0.
        used_by_curr_pic_s1: UsedByCurrPicS1.
    """

    delta_poc_s0: tuple[int, ...] = ()
    used_by_curr_pic_s0: tuple[bool, ...] = ()
    delta_poc_s1: tuple[int, ...] = ()
    used_by_curr_pic_s1: tuple[bool, ...] = ()

    @cached_property
    def num_delta_pocs(self) -> int:
        """NumDeltaPocs (7-71)."""
        return len(self.delta_poc_s0) + len(self.delta_poc_s1)

    @cached_property
    def num_used_by_curr_pic(self) -> int:
        """How many pictures of the set the current picture may refer to, the short-term part of (7-55)."""
        return sum(self.used_by_curr_pic_s0) + sum(self.used_by_curr_pic_s1)


def read_st_ref_pic_set(
    r: BitReader, st_rps_idx: int, sets: Sequence[ShortTermRefPicSet], num_short_term_ref_pic_sets: int
) -> ShortTermRefPicSet:
    """Read st_ref_pic_set(stRpsIdx) (7.3.7).

    Args:
        st_rps_idx: in a slice segment header num_short_term_ref_pic_sets.
        sets: the sets of the SPS that came before this one.
    Raises: BitstreamError, for a set of more than 16 pictures, or one predicted from a set that is not there.
    """
    inter_ref_pic_set_prediction_flag = st_rps_idx > 0 and r.flag()
    if inter_ref_pic_set_prediction_flag:
        delta_idx_minus1 = 0
        if st_rps_idx == num_short_term_ref_pic_sets:
            delta_idx_minus1 = in_range(r.ue(), "delta_idx_minus1", 0, st_rps_idx - 1)
        ref_rps_idx = st_rps_idx - (delta_idx_minus1 + 1)  # (7-59)
        return _read_predicted_set(r, sets[ref_rps_idx])
    num_negative_pics = in_range(r.ue(), "num_negative_pics", 0, MAX_NUM_DELTA_POCS)
    num_positive_pics = in_range(r.ue(), "num_positive_pics", 0, MAX_NUM_DELTA_POCS - num_negative_pics)
    s0 = _read_delta_pocs(r, num_negative_pics, -1)
    s1 = _read_delta_pocs(r, num_positive_pics, 1)
    return _set_of(s0, s1)


def _read_delta_pocs(r: BitReader, count: int, sign: int) -> list[tuple[int, bool]]:
    """Read delta_poc_s0_minus1 (sign -1) or delta_poc_s1_minus1 (1) and the used flags (7-65 to 7-70)."""
    delta_pocs: list[tuple[int, bool]] = []
    delta_poc = 0
    for _ in range(count):
        delta_poc += sign * (in_range(r.ue(), "delta_poc_sX_minus1", 0, (1 << 15) - 1) + 1)
        delta_pocs.append((delta_poc, r.flag()))
    return delta_pocs


def _read_predicted_set(r: BitReader, ref: ShortTermRefPicSet) -> ShortTermRefPicSet:
    """Read a set coded as the shift of another one by deltaRps; derive it by (7-61) and (7-62)."""
    delta_rps_sign = r.flag()
    abs_delta_rps_minus1 = in_range(r.ue(), "abs_delta_rps_minus1", 0, (1 << 15) - 1)
    delta_rps = (1 - 2 * delta_rps_sign) * (abs_delta_rps_minus1 + 1)  # (7-60)
    used_by_curr_pic_flag: list[bool] = []
    use_delta_flag: list[bool] = []
    for _ in range(ref.num_delta_pocs + 1):
        used_by_curr_pic_flag.append(r.flag())
        use_delta_flag.append(used_by_curr_pic_flag[-1] or r.flag())

    # The candidates j of both lists, in the order of the reference set: S0, S1, then the reference picture itself.
    shifted = [delta_poc + delta_rps for delta_poc in (*ref.delta_poc_s0, *ref.delta_poc_s1, 0)]
    num_s0, num_all = len(ref.delta_poc_s0), ref.num_delta_pocs
    s0_of_ref, s1_of_ref = range(num_s0), range(num_s0, num_all)
    s0_order = (*reversed(s1_of_ref), num_all, *s0_of_ref)
    s1_order = (*reversed(s0_of_ref), num_all, *s1_of_ref)
    s0 = [(shifted[j], used_by_curr_pic_flag[j]) for j in s0_order if shifted[j] < 0 and use_delta_flag[j]]
    s1 = [(shifted[j], used_by_curr_pic_flag[j]) for j in s1_order if shifted[j] > 0 and use_delta_flag[j]]
    if len(s0) + len(s1) > MAX_NUM_DELTA_POCS:
        raise BitstreamError(f"short-term reference picture set holds {len(s0) + len(s1)} pictures, 16 at most")
    return _set_of(s0, s1)


def _set_of(s0: list[tuple[int, bool]], s1: list[tuple[int, bool]]) -> ShortTermRefPicSet:
    return ShortTermRefPicSet(
        delta_poc_s0=tuple(delta_poc for delta_poc, _ in s0),
        used_by_curr_pic_s0=tuple(used for _, used in s0),
        delta_poc_s1=tuple(delta_poc for delta_poc, _ in s1),
        used_by_curr_pic_s1=tuple(used for _, used in s1),
    )

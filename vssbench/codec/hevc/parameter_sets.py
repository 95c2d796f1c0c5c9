"""The parameter sets of a stream, and an SPS and PPS together as a slice activates them.

Source: ITU-T H.265, clauses 7.4.2.4.2 (activation) and 6.5.1 (tiles).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from vssbench.codec.hevc.bits import in_range
from vssbench.codec.hevc.nal import PPS_NUT, SPS_NUT, NalUnit
from vssbench.codec.hevc.picture_parameter_set import PictureParameterSet, read_pps
from vssbench.codec.hevc.sequence_parameter_set import SequenceParameterSet, read_sps
from vssbench.errors import BitstreamError


@dataclass(frozen=True, kw_only=True)
class ActiveParameterSets:
    """A PPS with the SPS that it refers to when a picture begins, and the tiles that the two give.

    Args:
        column_boundaries: colBd (6-5), in CTBs, from 0 to PicWidthInCtbsY; so one more than there are columns.
        row_boundaries: rowBd (6-6), in CTBs, from 0 to PicHeightInCtbsY.
    """

    sps: SequenceParameterSet
    pps: PictureParameterSet
    column_boundaries: tuple[int, ...]
    row_boundaries: tuple[int, ...]

    @cached_property
    def log2_min_cu_qp_delta_size(self) -> int:
        """Log2MinCuQpDeltaSize (7-36)."""
        return self.sps.ctb_log2_size_y - self.pps.diff_cu_qp_delta_depth


class ParameterSets:
    """The parameter sets that have come so far; a later one takes the place of one with the same id.

    One sent again with the same content leaves the object in place. One that cannot be read takes all others of its
    kind away: which of them it was meant to replace is unknown, and slices must not be read with an outdated one.
    """

    def __init__(self) -> None:
        self.sps_by_id: dict[int, SequenceParameterSet] = {}
        self.pps_by_id: dict[int, PictureParameterSet] = {}

    def add(self, nal: NalUnit) -> None:
        """Take an SPS or PPS; other NAL units are ignored.

        Raises: BitstreamError, for one that is damaged or asks for what is not read here.
        """
        if nal.nal_unit_type == SPS_NUT:
            known_sps, self.sps_by_id = self.sps_by_id, {}
            sps = read_sps(nal)
            if known_sps.get(sps.sps_seq_parameter_set_id) != sps:
                known_sps[sps.sps_seq_parameter_set_id] = sps
            self.sps_by_id = known_sps
        elif nal.nal_unit_type == PPS_NUT:
            known_pps, self.pps_by_id = self.pps_by_id, {}
            pps = read_pps(nal)
            if known_pps.get(pps.pps_pic_parameter_set_id) != pps:
                known_pps[pps.pps_pic_parameter_set_id] = pps
            self.pps_by_id = known_pps


@lru_cache(maxsize=16)
def activate(pps: PictureParameterSet, sps: SequenceParameterSet) -> ActiveParameterSets:
    """Put a PPS and its SPS together, with the boundaries of the tiles (6.5.1).

    Raises: BitstreamError, where they do not fit: tiles, QP, quantization groups or merge level of the PPS exceed
        what the SPS allows.
    """
    in_range(pps.init_qp_minus26, "init_qp_minus26", -26 - sps.qp_bd_offset_y, 25)
    in_range(pps.diff_cu_qp_delta_depth, "diff_cu_qp_delta_depth", 0, sps.log2_diff_max_min_luma_coding_block_size)
    in_range(pps.log2_parallel_merge_level_minus2, "log2_parallel_merge_level_minus2", 0, sps.ctb_log2_size_y - 2)
    return ActiveParameterSets(
        sps=sps,
        pps=pps,
        column_boundaries=_tile_boundaries(
            "columns", sps.pic_width_in_ctbs_y, pps.num_tile_columns_minus1 + 1, pps.column_width_minus1, pps
        ),
        row_boundaries=_tile_boundaries(
            "rows", sps.pic_height_in_ctbs_y, pps.num_tile_rows_minus1 + 1, pps.row_height_minus1, pps
        ),
    )


def _tile_boundaries(
    name: str, size_in_ctbs: int, count: int, size_minus1: tuple[int, ...], pps: PictureParameterSet
) -> tuple[int, ...]:
    """Derive colBd or rowBd (6-3 to 6-6)."""
    if count > size_in_ctbs:
        raise BitstreamError(f"PPS {pps.pps_pic_parameter_set_id} has {count} tile {name} for {size_in_ctbs} CTBs")
    if pps.uniform_spacing_flag:
        return tuple(i * size_in_ctbs // count for i in range(count + 1))
    boundaries = [0]
    for minus1 in size_minus1:
        boundaries.append(boundaries[-1] + minus1 + 1)
    if boundaries[-1] >= size_in_ctbs:
        raise BitstreamError(
            f"PPS {pps.pps_pic_parameter_set_id} has tile {name} that leave no CTB of {size_in_ctbs} to the last one"
        )
    return (*boundaries, size_in_ctbs)

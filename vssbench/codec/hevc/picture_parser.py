"""One coded picture, slice segment by slice segment -> its motion."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vssbench.codec.hevc import state
from vssbench.codec.hevc.context_tables import NUM_CONTEXTS
from vssbench.codec.hevc.machine_code import run_slice_segment_data
from vssbench.codec.hevc.motion_blocks import reference_word
from vssbench.codec.hevc.parameter_sets import ActiveParameterSets
from vssbench.codec.hevc.picture_buffer import CodedPicture
from vssbench.codec.hevc.picture_motion import PictureMotion
from vssbench.codec.hevc.scan_tables import ScanTables, scan_tables
from vssbench.codec.hevc.slice_data import CTB_ADDR_RS_TO_TS
from vssbench.codec.hevc.slice_header import SliceSegmentHeader
from vssbench.codec.hevc.syntax import B, I
from vssbench.errors import BitstreamError

_MOST_REFERENCES = 16  # entries of a list
_MOST_MERGE_CANDIDATES = 5
_OTHER_INIT_TYPE = {0: 0, 1: 2, 2: 1}


class PictureParser:
    """Reads the slice segments of one picture.

    Args:
        active: the parameter sets of the picture.
        poc: PicOrderCntVal.
    """

    def __init__(self, active: ActiveParameterSets, poc: int) -> None:
        sps = active.sps
        self._active = active
        self._poc = poc
        self._tables = _tables(active)
        self._constants = _constants(active)
        height, width = sps.coded_size
        unit_shift = sps.min_cb_log2_size_y
        self._blocks = np.zeros((height >> 2, width >> 2, 2), np.int64)
        self._units = np.zeros((height >> unit_shift, width >> unit_shift), np.uint8)
        self._intra_modes = np.empty((height >> 2, width >> 2), np.uint8)
        self._region = np.full(sps.pic_size_in_ctbs_y, -1, np.int32)
        self._ctx = np.zeros(NUM_CONTEXTS, np.uint8)
        self._stored_contexts = np.zeros((2, NUM_CONTEXTS), np.uint8)
        self._candidates = np.zeros((_MOST_MERGE_CANDIDATES, 2), np.int64)
        self._references = np.zeros((2, _MOST_REFERENCES), np.int64)
        self._shown_references: dict[int, bool] = {}
        self._slice_types: set[int] = set()
        self._num_ctus = 0

    @property
    def is_complete(self) -> bool:
        """Whether every coding tree unit came."""
        return self._num_ctus == len(self._region)

    def read_slice_segment(
        self,
        header: SliceSegmentHeader,
        rbsp: bytes,
        lists: Sequence[Sequence[CodedPicture]],
        collocated: PictureMotion | None,
    ) -> None:
        """Read the slice data of a segment.

        Args:
            header: of the segment.
            rbsp: of its NAL unit.
            lists: RefPicList0 and RefPicList1 of its slice.
            collocated: motion of ColPic; None where slice_temporal_mvp_enabled_flag is 0, or it has none.
        Raises: BitstreamError, saying at which CTU and byte, when the data are damaged.
        """
        first = self._tables.ctb_scan[CTB_ADDR_RS_TO_TS, header.slice_segment_address]
        if first != self._num_ctus:
            raise BitstreamError(
                f"a slice segment begins at CTU {first} in decoding order, but {self._num_ctus} came before it"
            )
        s = self._slice_state(header, lists, len(rbsp))
        run_slice_segment_data(
            s,
            self._ctx,
            self._stored_contexts,
            np.frombuffer(bytearray(rbsp), np.uint8),
            np.array(header.substream_starts, np.int64),
            self._tables.ctb_scan,
            self._tables.min_tb_addr_zs,
            self._region,
            self._units,
            self._intra_modes,
            self._blocks,
            self._blocks if collocated is None else collocated.blocks,
            self._references,
            self._candidates,
        )
        self._num_ctus += int(s[state.NUM_CTUS])
        if s[state.ERROR]:
            byte = min(int(8 * s[state.NEXT_BYTE] - s[state.AHEAD]) // 8, len(rbsp)) - header.slice_data_offset
            raise BitstreamError(
                f"{state.ERROR_TEXTS[int(s[state.ERROR])]} (CTU {s[state.CTB_ADDR_IN_RS]} of "
                f"{len(self._region)}, byte {byte} of the slice data)"
            )

    def finish(self) -> PictureMotion:
        """The motion of the picture.

        Raises: BitstreamError, when some of its coding tree units did not come.
        """
        if not self.is_complete:
            missing = int(np.argmax(self._region < 0))
            raise BitstreamError(
                f"{self._num_ctus} of {len(self._region)} coding tree units came, the first without data is {missing}"
            )
        return PictureMotion(
            blocks=self._blocks,
            units=self._units,
            sps=self._active.sps,
            slice_types=frozenset(self._slice_types),
            references=self._shown_references,
        )

    def _slice_state(
        self, header: SliceSegmentHeader, lists: Sequence[Sequence[CodedPicture]], data_end: int
    ) -> NDArray[np.int64]:
        s = self._constants.copy()
        s[state.SLICE_TYPE] = header.slice_type
        self._slice_types.add(header.slice_type)
        s[state.SLICE_SEGMENT_ADDRESS] = header.slice_segment_address
        s[state.SLICE_ADDR_RS] = header.slice_addr
        s[state.DEPENDENT_SLICE_SEGMENT_FLAG] = header.dependent_slice_segment_flag
        s[state.SLICE_SAO_LUMA_FLAG] = header.slice_sao_luma_flag
        s[state.SLICE_SAO_CHROMA_FLAG] = header.slice_sao_chroma_flag
        s[state.SLICE_TEMPORAL_MVP_ENABLED_FLAG] = header.slice_temporal_mvp_enabled_flag
        s[state.NUM_REF_IDX_L0_ACTIVE] = len(lists[0])
        s[state.NUM_REF_IDX_L1_ACTIVE] = len(lists[1])
        s[state.MVD_L1_ZERO_FLAG] = header.mvd_l1_zero_flag
        s[state.COLLOCATED_FROM_L0_FLAG] = header.collocated_from_l0_flag
        s[state.NO_BACKWARD_PRED_FLAG] = all(picture.poc <= self._poc for entries in lists for picture in entries)
        s[state.MAX_NUM_MERGE_CAND] = header.max_num_merge_cand
        s[state.SLICE_QP_Y] = header.slice_qp_y
        init_type = 0 if header.slice_type == I else 2 if header.slice_type == B else 1  # (9-7)
        s[state.INIT_TYPE] = _OTHER_INIT_TYPE[init_type] if header.cabac_init_flag else init_type
        s[state.DATA_END] = data_end
        self._references[:] = 0
        for list_index, entries in enumerate(lists):
            for ref_idx, picture in enumerate(entries):
                delta = picture.poc - self._poc
                if delta == 0 or not -32768 <= delta <= 32767:
                    raise BitstreamError(f"a reference is {delta} pictures away (-32768..32767 are possible, not 0)")
                self._references[list_index, ref_idx] = reference_word(delta, ref_idx, picture.is_long_term, list_index)
                self._shown_references[picture.poc] = picture.is_output
        return s


@lru_cache(maxsize=8)
def _tables(active: ActiveParameterSets) -> ScanTables:
    return scan_tables(
        column_boundaries=active.column_boundaries,
        row_boundaries=active.row_boundaries,
        ctb_log2_size=active.sps.ctb_log2_size_y,
        min_tb_log2_size=active.sps.min_tb_log2_size_y,
    )


@lru_cache(maxsize=8)
def _constants(active: ActiveParameterSets) -> NDArray[np.int64]:
    """What the parameter sets say, in a state array of its own; to be copied."""
    sps, pps = active.sps, active.pps
    height, width = sps.coded_size
    values: dict[int, Any] = {
        state.CHROMA_ARRAY_TYPE: sps.chroma_array_type,
        state.PIC_WIDTH_IN_LUMA_SAMPLES: width,
        state.PIC_HEIGHT_IN_LUMA_SAMPLES: height,
        state.PIC_WIDTH_IN_CTBS_Y: sps.pic_width_in_ctbs_y,
        state.PIC_SIZE_IN_CTBS_Y: sps.pic_size_in_ctbs_y,
        state.CTB_LOG2_SIZE_Y: sps.ctb_log2_size_y,
        state.MIN_CB_LOG2_SIZE_Y: sps.min_cb_log2_size_y,
        state.MIN_TB_LOG2_SIZE_Y: sps.min_tb_log2_size_y,
        state.MAX_TB_LOG2_SIZE_Y: sps.max_tb_log2_size_y,
        state.MAX_TRANSFORM_HIERARCHY_DEPTH_INTER: sps.max_transform_hierarchy_depth_inter,
        state.MAX_TRANSFORM_HIERARCHY_DEPTH_INTRA: sps.max_transform_hierarchy_depth_intra,
        state.AMP_ENABLED_FLAG: sps.amp_enabled_flag,
        state.PCM_ENABLED_FLAG: sps.pcm_enabled_flag,
        state.LOG2_MIN_IPCM_CB_SIZE_Y: sps.log2_min_ipcm_cb_size_y if sps.pcm_enabled_flag else 0,
        state.LOG2_MAX_IPCM_CB_SIZE_Y: sps.log2_max_ipcm_cb_size_y if sps.pcm_enabled_flag else 0,
        state.PCM_BIT_DEPTH_Y: sps.pcm_bit_depth_y if sps.pcm_enabled_flag else 0,
        state.PCM_BIT_DEPTH_C: sps.pcm_bit_depth_c if sps.pcm_enabled_flag else 0,
        state.SAO_OFFSET_MAX_Y: (1 << (min(sps.bit_depth_y, 10) - 5)) - 1,  # 7.4.9.3.2
        state.SAO_OFFSET_MAX_C: (1 << (min(sps.bit_depth_c, 10) - 5)) - 1,
        state.QP_BD_OFFSET_Y: sps.qp_bd_offset_y,
        state.SIGN_DATA_HIDING_ENABLED_FLAG: pps.sign_data_hiding_enabled_flag,
        state.TRANSFORM_SKIP_ENABLED_FLAG: pps.transform_skip_enabled_flag,
        state.TRANSQUANT_BYPASS_ENABLED_FLAG: pps.transquant_bypass_enabled_flag,
        state.CU_QP_DELTA_ENABLED_FLAG: pps.cu_qp_delta_enabled_flag,
        state.LOG2_MIN_CU_QP_DELTA_SIZE: active.log2_min_cu_qp_delta_size,
        state.TILES_ENABLED_FLAG: pps.tiles_enabled_flag,
        state.ENTROPY_CODING_SYNC_ENABLED_FLAG: pps.entropy_coding_sync_enabled_flag,
        state.LOG2_PAR_MRG_LEVEL: pps.log2_par_mrg_level,
    }
    constants = np.zeros(state.STATE_SIZE, np.int64)
    for index, value in values.items():
        constants[index] = value
    return constants

"""slice_segment_data() (ITU-T H.265, 7.3.8.1): the coding tree units of one slice segment, and its substreams."""

from __future__ import annotations

import numpy as np

from vssbench.codec.hevc.cabac import (
    bits_consumed,
    byte_after_stop_bit,
    decode_terminate,
    initialise_contexts,
    start_decoder,
)
from vssbench.codec.hevc.coding_tree import coding_tree_unit
from vssbench.codec.hevc.compiled import compiled
from vssbench.codec.hevc.state import (
    BAD_END,
    BAD_ENTRY_POINT,
    BAD_SUBSTREAM,
    CTB_ADDR_IN_RS,
    CTB_TWICE,
    DATA_END,
    DATA_EXHAUSTED,
    DEPENDENT_SLICE_SEGMENT_FLAG,
    ENTROPY_CODING_SYNC_ENABLED_FLAG,
    ERROR,
    LEFT_AVAILABLE,
    NO_END,
    NUM_CTUS,
    PIC_SIZE_IN_CTBS_Y,
    PIC_WIDTH_IN_CTBS_Y,
    REGION,
    SLICE_ADDR_RS,
    SLICE_SEGMENT_ADDRESS,
    TILES_ENABLED_FLAG,
    UP_AVAILABLE,
)

# rows of `ctb_scan`
CTB_ADDR_RS_TO_TS, CTB_ADDR_TS_TO_RS, TILE_ID_RS = range(3)  # TileId by address in raster scan
# rows of `stored_contexts`
_WPP, _DEPENDENT = range(2)  # TableStateIdxWpp, TableStateIdxDs


@compiled
def _copy_row(table, row, target):
    for index in range(target.shape[0]):
        target[index] = table[row, index]


@compiled
def _store_row(source, table, row):
    for index in range(source.shape[0]):
        table[row, index] = source[index]


@compiled
def _begin_ctu_contexts(s, ctx, stored_contexts, ctb_scan, region, is_first_in_segment):
    """Initialise or fetch the context variables where a CTU begins a tile, a row or a segment (9.3.1)."""
    address = s[CTB_ADDR_IN_RS]
    width = s[PIC_WIDTH_IN_CTBS_Y]
    tile = ctb_scan[TILE_ID_RS, address]
    address_ts = ctb_scan[CTB_ADDR_RS_TO_TS, address]
    is_first_in_tile = address_ts == 0 or ctb_scan[TILE_ID_RS, ctb_scan[CTB_ADDR_TS_TO_RS, address_ts - 1]] != tile
    begins_row = address % width == 0 or ctb_scan[TILE_ID_RS, address - 1] != tile
    if is_first_in_tile:
        initialise_contexts(s, ctx)
    elif s[ENTROPY_CODING_SYNC_ENABLED_FLAG] and begins_row:
        above_right = address - width + 1
        if above_right > 0 and (address + 1) % width != 0 and np.int64(region[above_right]) == s[REGION]:
            _copy_row(stored_contexts, _WPP, ctx)
        else:
            initialise_contexts(s, ctx)
    elif is_first_in_segment:
        if s[DEPENDENT_SLICE_SEGMENT_FLAG]:
            _copy_row(stored_contexts, _DEPENDENT, ctx)
        else:
            initialise_contexts(s, ctx)


@compiled
def _only_zeros(data, first, end):
    """Whether nothing but cabac_zero_words follows (7.3.2.10)."""
    for index in range(first, end):
        if data[index] != 0:
            return False
    return True


@compiled
def slice_segment_data(
    s,
    ctx,
    stored_contexts,
    data,
    substream_starts,
    ctb_scan,
    min_tb_addr_zs,
    region,
    units,
    intra_modes,
    motion,
    collocated,
    references,
    candidates,
):
    """Read the coding tree units of a slice segment; s[ERROR] says why where they cannot be read.

    Args:
        s: (STATE_SIZE,) int64, the constants filled in.
        ctx: (NUM_CONTEXTS,) uint8, scratch.
        stored_contexts: (2, NUM_CONTEXTS) uint8, kept from segment to segment of a picture.
        data: (n,) uint8, RBSP of the segment's NAL unit.
        substream_starts: (k,) int64, where the slice data and, by the entry points, its substreams begin.
        ctb_scan: (3, PicSizeInCtbsY) int32, see the names of its rows.
        min_tb_addr_zs: (rows, columns) int32, MinTbAddrZs by row and column of smallest transform blocks.
        region: (PicSizeInCtbsY,) int32, slice and tile of each CTB that is decoded, else -1.
        units: (rows, columns) uint8, what coding_tree.py keeps a smallest coding block.
        intra_modes: (rows, columns) uint8, IntraPredModeY a 4x4 block.
        motion: (rows, columns, 2) int64, see motion_blocks.py.
        collocated: as motion, of ColPic.
        references: (2, 16) int64, word 1 of motion for each entry of the reference lists.
        candidates: (5, 2) int64, scratch of the merge mode.
    """
    width = s[PIC_WIDTH_IN_CTBS_Y]
    num_ctbs = s[PIC_SIZE_IN_CTBS_Y]
    address_ts = np.int64(ctb_scan[CTB_ADDR_RS_TO_TS, s[SLICE_SEGMENT_ADDRESS]])
    num_tiles = np.int64(ctb_scan[TILE_ID_RS, num_ctbs - 1]) + 1
    substream = np.int64(0)
    is_first = True
    start_decoder(s, data, substream_starts[0])
    while True:
        address = np.int64(ctb_scan[CTB_ADDR_TS_TO_RS, address_ts])
        tile = np.int64(ctb_scan[TILE_ID_RS, address])
        s[CTB_ADDR_IN_RS] = address
        s[REGION] = s[SLICE_ADDR_RS] * num_tiles + tile
        if region[address] >= 0:
            s[ERROR] = CTB_TWICE
            return
        _begin_ctu_contexts(s, ctx, stored_contexts, ctb_scan, region, is_first)
        is_first = False
        s[LEFT_AVAILABLE] = address % width > 0 and np.int64(region[address - 1]) == s[REGION]
        s[UP_AVAILABLE] = address >= width and np.int64(region[address - width]) == s[REGION]
        region[address] = s[REGION]
        coding_tree_unit(
            s, ctx, data, min_tb_addr_zs, region, units, intra_modes, motion, collocated, references, candidates
        )
        end_of_slice_segment_flag = decode_terminate(s, data)
        if s[ERROR] == 0 and bits_consumed(s) > 8 * s[DATA_END]:
            s[ERROR] = DATA_EXHAUSTED
        if s[ERROR]:
            return
        s[NUM_CTUS] += 1
        is_second_in_row = address % width == 1 or (address > 1 and ctb_scan[TILE_ID_RS, address - 2] != tile)
        if s[ENTROPY_CODING_SYNC_ENABLED_FLAG] and is_second_in_row:
            _store_row(ctx, stored_contexts, _WPP)
        address_ts += 1
        if end_of_slice_segment_flag:
            _store_row(ctx, stored_contexts, _DEPENDENT)
            after = byte_after_stop_bit(s, data)
            if after < 0 or not _only_zeros(data, after, s[DATA_END]):
                s[ERROR] = BAD_END
            elif substream + 1 != substream_starts.shape[0] and substream_starts.shape[0] > 1:
                s[ERROR] = BAD_ENTRY_POINT
            return
        if address_ts == num_ctbs:
            s[ERROR] = NO_END
            return
        following = np.int64(ctb_scan[CTB_ADDR_TS_TO_RS, address_ts])
        changes_tile = ctb_scan[TILE_ID_RS, following] != tile
        begins_row = following % width == 0 or ctb_scan[TILE_ID_RS, following - 1] != ctb_scan[TILE_ID_RS, following]
        if (s[TILES_ENABLED_FLAG] and changes_tile) or (s[ENTROPY_CODING_SYNC_ENABLED_FLAG] and begins_row):
            if not decode_terminate(s, data):  # end_of_subset_one_bit
                s[ERROR] = BAD_SUBSTREAM
                return
            after = byte_after_stop_bit(s, data)
            if after < 0:
                s[ERROR] = BAD_SUBSTREAM
                return
            substream += 1
            if substream < substream_starts.shape[0] and substream_starts[substream] != after:
                s[ERROR] = BAD_ENTRY_POINT
                return
            start_decoder(s, data, after)

"""The order of coding tree blocks and of the smallest transform blocks (ITU-T H.265, 6.5.1 and 6.5.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class ScanTables:
    """What depends on the picture's size and tiles alone.

    Args:
        ctb_scan: (3, PicSizeInCtbsY) int32: CtbAddrRsToTs, CtbAddrTsToRs, and TileId by address in raster scan.
        min_tb_addr_zs: MinTbAddrZs, (rows, columns) int32, of every smallest transform block of whole CTBs.
    """

    ctb_scan: NDArray[np.int32]
    min_tb_addr_zs: NDArray[np.int32]


def scan_tables(
    *, column_boundaries: Sequence[int], row_boundaries: Sequence[int], ctb_log2_size: int, min_tb_log2_size: int
) -> ScanTables:
    """Derive the tables.

    Args:
        column_boundaries: colBd, in CTBs, from 0 to PicWidthInCtbsY; row_boundaries alike.
        ctb_log2_size: CtbLog2SizeY.
        min_tb_log2_size: MinTbLog2SizeY.
    """
    height, width = row_boundaries[-1], column_boundaries[-1]
    addresses = np.arange(height * width, dtype=np.int32).reshape(height, width)
    tile_id = np.empty((height, width), np.int32)
    tiles: list[NDArray[np.int32]] = []
    for top, bottom in pairwise(row_boundaries):
        for left, right in pairwise(column_boundaries):
            tile_id[top:bottom, left:right] = len(tiles)
            tiles.append(addresses[top:bottom, left:right].ravel())
    ts_to_rs = np.concatenate(tiles)
    rs_to_ts = np.empty_like(ts_to_rs)
    rs_to_ts[ts_to_rs] = np.arange(height * width, dtype=np.int32)

    levels = ctb_log2_size - min_tb_log2_size
    inside = _z_order(levels)
    first = rs_to_ts.reshape(height, width) << (2 * levels)
    min_tb_addr_zs = np.kron(first, np.ones_like(inside)) + np.tile(inside, (height, width))
    return ScanTables(
        ctb_scan=np.stack([rs_to_ts, ts_to_rs, tile_id.ravel()]), min_tb_addr_zs=np.ascontiguousarray(min_tb_addr_zs)
    )


def _z_order(levels: int) -> NDArray[np.int32]:
    """The order of the blocks of one CTB: bits of x and y interleaved (6-10)."""
    side = np.arange(1 << levels, dtype=np.int32)
    spread = np.zeros_like(side)
    for bit in range(levels):
        spread |= ((side >> bit) & 1) << (2 * bit)
    return np.asarray(spread + (spread[:, None] << 1), np.int32)

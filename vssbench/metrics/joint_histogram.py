"""The histogram of two maps of bytes, as machine code: what a confusion matrix is made of.

Two thoughts make it fast. A pixel of the class of its left neighbour adds to the counter that was just written, and
waits for it, so four histograms take turns. And maps of classes are mostly flat: where eight neighbours are alike in
both maps, which two comparisons of 64-bit words tell, one addition of 8 does.

numba's cache on disk notices changes of this file alone, so the function below calls no other compiled one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

VALUES = 256  # of a byte
_WORD = 8  # bytes
_EACH_BYTE = np.uint64(0x0101010101010101)


def joint_histogram(rows: NDArray[np.uint8], columns: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each pair of values occurs at the same place.

    Args:
        rows: uint8 of any shape, less than 2^32 values.
        columns: uint8 of the same shape.

    Returns:
        (256, 256) int64, a row for each value of `rows`.
    """
    flat = [np.ascontiguousarray(part).reshape(-1) for part in (rows, columns)]
    whole = flat[0].size // _WORD * _WORD
    # a view that begins within a word is copied: unaligned words are another type to the compiler
    words = [np.require(part[:whole].view(np.uint64), requirements="A") for part in flat]
    counts: NDArray[np.int64] = _compiled()(*words, *(part[whole:] for part in flat))
    return counts.reshape(VALUES, VALUES)


@cache
def _compiled() -> Callable[..., Any]:
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, nogil=True)(_count)
    except RuntimeError:  # no folder can be written: neither beside this file nor the user's own
        compiled = numba.njit(nogil=True)(_count)
    return compiled


def _count(
    row_words: NDArray[np.uint64],
    column_words: NDArray[np.uint64],
    row_rest: NDArray[np.uint8],
    column_rest: NDArray[np.uint8],
) -> NDArray[np.int64]:
    """(65536,) counts of row * 256 + column."""
    counts = np.zeros((4, VALUES * VALUES), np.uint32)
    byte, high_byte, bits = np.uint64(0xFF), np.uint64(0xFF00), np.uint64(8)
    for index in range(row_words.size):
        row, column = row_words[index], column_words[index]
        if row == (row & byte) * _EACH_BYTE and column == (column & byte) * _EACH_BYTE:
            counts[0, ((row << bits) & high_byte) | (column & byte)] += np.uint32(_WORD)
            continue
        counts[0, ((row << bits) & high_byte) | (column & byte)] += np.uint32(1)
        for place in range(1, _WORD):
            shift = np.uint64(8 * place)
            code = ((row >> (shift - bits)) & high_byte) | ((column >> shift) & byte)
            counts[place & 3, code] += np.uint32(1)
    for index in range(row_rest.size):
        counts[0, np.int64(row_rest[index]) * VALUES + column_rest[index]] += np.uint32(1)
    total = np.empty(VALUES * VALUES, np.int64)
    for code in range(total.size):
        total[code] = np.int64(counts[0, code]) + counts[1, code] + counts[2, code] + counts[3, code]
    return total

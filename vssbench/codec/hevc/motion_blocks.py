"""How a picture's motion is kept: two 64-bit words a 4x4 block, so that two blocks compare in two instructions.

Word 0 holds the vectors, four int16 from the lowest bits up: x and y of list 0, x and y of list 1, in quarter
samples. Word 1 holds the references: two int16, POC of the reference minus POC of this picture for list 0 and
list 1, then two bytes, refIdx + 1 for list 0 and list 1, with bit 6 set for a long-term reference. Everything of
an unused list is 0, so an intra block is 0 throughout.
"""

from __future__ import annotations

import numpy as np

from vssbench.codec.hevc.compiled import compiled

LONG_TERM = 64
MASK_L0 = 0x000000FF_0000FFFF  # of word 1
MASK_L1 = 0x0000FF00_FFFF0000


def reference_word(poc_delta: int, ref_idx: int, is_long_term: bool, list_index: int) -> int:
    """Word 1 of a block that uses one list."""
    code = (ref_idx + 1) | (LONG_TERM if is_long_term else 0)
    return (poc_delta & 0xFFFF) << (16 * list_index) | code << (32 + 8 * list_index)


@compiled
def vector_x(word, list_index):
    """x of a list's vector in word 0."""
    return (word << (48 - 32 * list_index)) >> 48


@compiled
def vector_y(word, list_index):
    """y of a list's vector in word 0."""
    return (word << (32 - 32 * list_index)) >> 48


@compiled
def pack_vector(x, y, list_index):
    """Word 0 of a block that uses one list; x and y are cut to 16 bits (8-94 to 8-97)."""
    return ((x & 0xFFFF) | ((y & 0xFFFF) << 16)) << (32 * list_index)


@compiled
def poc_delta(word, list_index):
    """POC of a list's reference minus POC of the picture, in word 1; 0 where the list is unused."""
    return (word << (48 - 16 * list_index)) >> 48


@compiled
def is_long_term(word, list_index):
    """Whether a list's reference is a long-term one, in word 1."""
    return (word >> (38 + 8 * list_index)) & 1


@compiled
def uses_list(word, list_index):
    """predFlagLX, in word 1."""
    return (word >> (32 + 8 * list_index)) & 0xFF != 0


@compiled
def list_mask(list_index):
    """The bits of word 1 that belong to a list."""
    return np.int64(MASK_L1) if list_index else np.int64(MASK_L0)

"""Colours for data sets that have none of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vssbench.errors import UsageError

MOST_COLOURS = 255


def bit_palette(num_colours: int) -> NDArray[np.uint8]:
    """(num_colours, 3) uint8, all different, none of them black, which is left to void.

    The rule of PASCAL VOC's colour map (VOCdevkit, VOClabelcolormap): bits 0, 3, 6 of the number are red's highest,
    bits 1, 4, 7 green's, bits 2, 5 blue's. Colour c is VOC's for c + 1, as VOC's 0 is black.

    Args:
        num_colours: 1..255.
    Raises: UsageError, when it is out of range.
    """
    if not 1 <= num_colours <= MOST_COLOURS:
        raise UsageError(f"the rule has 1..{MOST_COLOURS} colours, got {num_colours}; use fewer classes")
    numbers = np.arange(1, num_colours + 1)
    palette = np.zeros((num_colours, 3), np.uint8)
    for bit in range(8):
        palette[:, bit % 3] |= ((numbers >> bit & 1) << 7 - bit // 3).astype(np.uint8)
    palette.flags.writeable = False  # shared by all importers
    return palette

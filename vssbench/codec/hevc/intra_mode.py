"""Intra prediction modes, which decide how small blocks scan their coefficients (ITU-T H.265, 8.4.2 and 8.4.3)."""

from __future__ import annotations

import numpy as np

from vssbench.codec.hevc.compiled import compiled
from vssbench.codec.hevc.residual_coding import DIAGONAL, HORIZONTAL, VERTICAL

INTRA_PLANAR, INTRA_DC = 0, 1
_ANGULAR_26 = 26  # vertical
# mode by intra_chroma_pred_mode, Table 8-2; 4 is the luma's
_CHROMA_MODES = np.array([0, 26, 10, 1], np.int64)
_CHROMA_MODE_IF_LUMAS = 34


@compiled
def most_probable_mode(mode_a, mode_b, index):
    """candModeList[index] from the modes to the left and above (8.4.2)."""
    if mode_a == mode_b:
        if mode_a < 2:
            return np.int64(INTRA_PLANAR) if index == 0 else np.int64(INTRA_DC) if index == 1 else np.int64(_ANGULAR_26)
        if index == 0:
            return mode_a
        return 2 + ((mode_a + 29) & 31) if index == 1 else 2 + ((mode_a - 2 + 1) & 31)
    if index == 0:
        return mode_a
    if index == 1:
        return mode_b
    if mode_a != INTRA_PLANAR and mode_b != INTRA_PLANAR:
        return np.int64(INTRA_PLANAR)
    if mode_a != INTRA_DC and mode_b != INTRA_DC:
        return np.int64(INTRA_DC)
    return np.int64(_ANGULAR_26)


@compiled
def remaining_mode(mode_a, mode_b, rem_intra_luma_pred_mode):
    """The mode that is rem_intra_luma_pred_mode-th of those not in candModeList (8.4.2)."""
    c0 = most_probable_mode(mode_a, mode_b, 0)
    c1 = most_probable_mode(mode_a, mode_b, 1)
    c2 = most_probable_mode(mode_a, mode_b, 2)
    least, most = min(c0, min(c1, c2)), max(c0, max(c1, c2))
    middle = c0 + c1 + c2 - least - most
    mode = rem_intra_luma_pred_mode
    mode += mode >= least
    mode += mode >= middle
    mode += mode >= most
    return mode


@compiled
def chroma_mode(intra_chroma_pred_mode, luma_mode):
    """IntraPredModeC (8.4.3)."""
    if intra_chroma_pred_mode == 4:
        return luma_mode
    mode = _CHROMA_MODES[intra_chroma_pred_mode]
    return np.int64(_CHROMA_MODE_IF_LUMAS) if mode == luma_mode else mode


@compiled
def scan_of_mode(mode):
    """scanIdx of a small intra block (7.4.9.11)."""
    if 6 <= mode <= 14:
        return np.int64(VERTICAL)
    if 22 <= mode <= 30:
        return np.int64(HORIZONTAL)
    return np.int64(DIAGONAL)

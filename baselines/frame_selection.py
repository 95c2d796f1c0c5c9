"""RGFS: segment a P frame in full when its residual says that its motion vectors predict it badly.

Source: TapLab, sec. 3.2.4 (Eq. 4), sec. 3.3.2 (calibration), sec. 4.1.2 and 4.4 (thresholds); its released
program (Sixkplus/TapLab @319801b, infer_ffw_rgc_rgfs.py) where named.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vssbench.errors import DatasetError, ShapeError, UsageError

# Thresholds are kept per sample, mean |residual| in grey levels, so that they carry over between frame sizes.
# The program sums |residual| over the three channels. Its offline path reads a residual of 0 back as 1 (it
# stores (r + 256) / 2 rounded), which adds up to 1 to the mean; the paper's numbers were tuned on that path,
# ours is exact.
CITYSCAPES_THRESHOLD_MEAN = 3.6e7 / (1024 * 2048 * 3)  # 5.72; TapLab, sec. 4.1.2
CAMVID_THRESHOLD_MEAN = 1.8e7 / (720 * 960 * 3)  # 8.68; TapLab, sec. 4.4
RELEASED_CUMULATIVE_THRESHOLD_MEAN = 1e8 / (1024 * 2048 * 3)  # 15.89; infer_ffw_rgc_rgfs.py
PAPER_SHARE = 0.1  # of P frames selected; TapLab, sec. 3.3.2

Rule = Literal["paper", "release"]


@dataclass(frozen=True, kw_only=True)
class FrameSelection:
    """When a P frame is treated as a key frame.

    Args:
        threshold_mean: THR_RGFS per sample: mean |residual| over pixels and channels, in grey levels, that a
            frame must exceed (Eq. 4 divided by H * W * 3). inf selects nothing. Take it from
            `calibrate_threshold`.
        rule: "paper" (Eq. 4), or "release", which also selects a frame once the means since the last key
            frame, its own among them, add up to more than `cumulative_threshold_mean`; the paper has no such
            rule.
        cumulative_threshold_mean: of the second rule; the program's 1e8 at 1024x2048.
        calibrated_share: the share of training P frames that `threshold_mean` was set for; recorded, not
            used.
    Raises: UsageError, when an option is out of its range.
    """

    threshold_mean: float
    rule: Rule = "paper"
    cumulative_threshold_mean: float = RELEASED_CUMULATIVE_THRESHOLD_MEAN
    calibrated_share: float | None = None

    def __post_init__(self) -> None:
        if math.isnan(self.threshold_mean) or math.isnan(self.cumulative_threshold_mean):
            raise UsageError("a threshold of RGFS must be a number, got NaN; calibrate it on training clips")
        if self.rule not in ("paper", "release"):
            raise UsageError(f'rule must be "paper" or "release", got {self.rule!r}')

    @property
    def condition(self) -> dict[str, Any]:
        """Every option, to be stored with the results; infinity is the text "inf", as JSON has none."""
        options: dict[str, Any] = {
            "rgfs_threshold_mean": _storable(self.threshold_mean),
            "rgfs_rule": self.rule,
            "rgfs_calibrated_share": self.calibrated_share,
        }
        if self.rule == "release":
            options["rgfs_cumulative_threshold_mean"] = _storable(self.cumulative_threshold_mean)
        return options

    def selects(self, mean: float, *, cumulative_mean: float) -> bool:
        """Tell whether a P frame is to be segmented in full.

        Args:
            mean: mean |residual| of this frame.
            cumulative_mean: sum of the means since the last key frame, this frame's included.
        """
        if mean > self.threshold_mean:
            return True
        return self.rule == "release" and cumulative_mean > self.cumulative_threshold_mean


def mean_abs_residual(residual: NDArray[np.int16]) -> float:
    """Mean |residual| over pixels and channels: Eq. 4 divided by the number of samples.

    Args:
        residual: (H, W, 3) int16.
    Raises: ShapeError, when there is no sample.
    """
    if residual.size == 0:
        raise ShapeError(f"a residual must cover the frame, got {residual.shape = }")
    return int(np.abs(residual).sum(dtype=np.int64)) / residual.size


def calibrate_threshold(means: NDArray[np.float64] | Sequence[float], share: float) -> float:
    """The threshold that about `share` of the P frames of training clips exceed.

    With n frames, k = share * n rounded to the nearest whole number (halves up) are to exceed it. The
    threshold is the (k + 1)-th largest mean; "exceed" is strict, so exactly k do, or fewer where the k-th is
    tied with it: a tie never selects more than asked. k = n gives the largest number below the smallest mean,
    which all exceed. share = 0 is inf, so that no unseen frame is selected either.

    Args:
        means: (n,) `mean_abs_residual` of every P frame of the training clips, in any order.
        share: of the P frames, in 0..1; the paper takes about 0.1 (sec. 3.3.2), on the training set.
    Returns: a threshold for `FrameSelection`, in grey levels.
    Raises: UsageError, when share is outside 0..1; DatasetError, when there are no P frames or a mean is not
        a finite number; ShapeError, when means is not one-dimensional.
    """
    if not 0.0 <= share <= 1.0:
        raise UsageError(f"the share of selected P frames must lie in 0..1, got {share}")
    values = np.asarray(means, np.float64)
    if values.ndim != 1:
        raise ShapeError(f"means must be one number per P frame, got {values.shape = }")
    if values.size == 0:
        raise DatasetError("calibrating RGFS needs P frames, got none; give it training clips longer than a frame")
    if not np.isfinite(values).all():
        raise DatasetError("calibrating RGFS needs finite residual means; decode the clips again")
    if share == 0.0:
        return math.inf
    descending = np.sort(values)[::-1]
    selected = math.floor(round(share * values.size, 9) + 0.5)  # 0.29 * 50 is 14.499999999999998
    if selected == values.size:
        return math.nextafter(float(descending[-1]), -math.inf)
    return float(descending[selected])


def _storable(threshold: float) -> float | str:
    return threshold if math.isfinite(threshold) else str(threshold)

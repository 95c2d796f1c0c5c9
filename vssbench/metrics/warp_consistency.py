"""Temporal consistency (TC): the IoU of a prediction with the one before it, carried along the motion of the picture.

A prediction that follows the picture scores 1. Published measures take the motion from an optical-flow network (Liu et
al.: FlowNet2; VSPW: RAFT). Here it is the codec's own: the vectors into the frame before, which every compressed video
holds. What they cannot say of a pixel is masked: where a block is intra or refers to another frame, where the vector
leaves the picture, and where the compensated picture does not look like the decoded one, mostly because the place was
hidden a frame ago. So figures taken along different motion must not be compared, and neither may those of different
streams: all methods of a table are to be measured on one stream.

Codec vectors serve coding, not truth: on flat areas they may point anywhere that looks alike. The labels' own score
along the same vectors is the ceiling that a prediction is to be read against.

Reference: Y. Liu, C. Shen, C. Yu, J. Wang, "Efficient semantic video segmentation with per-frame inference", ECCV 2020.

numba's cache on disk notices changes of this file alone, so the function below calls no other compiled one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from vssbench.errors import PredictionError, ShapeError, UsageError
from vssbench.metrics.confusion import ConfusionMatrix, mean_iou, require_confusion
from vssbench.metrics.joint_histogram import joint_histogram
from vssbench.records import IGNORE, LabelMap, MotionField

# Levels of 255. Chosen on the drawn street, whose labels are exact, so that carried labels disagree only where a vector
# does not follow the scene (360x480, H.264 CRF 23 and HEVC CRF 28, residual "bilinear"). Of the pixels with a residual
# of 1..2 levels 0.5 % disagree, of 6..8 levels 2 and 3 %, of 10..12 5 %, of 20..25 10 and 12 %, which is six times the
# 1.7 % of all, and above 60 28 %. Beside the intra blocks the mask then takes 3 and 2 % of all pixels; on CamVid's
# 15 Hz run 4 %.
OCCLUSION_THRESHOLD = 20.0


@dataclass(frozen=True, kw_only=True, eq=False)
class PairMotion:
    """Where each pixel of a frame was in the frame before it.

    Args:
        source: (H, W) int32, flat index of the pixel of the frame before; 0 where that is not visible.
        visible: (H, W) bool, False where the bitstream does not tell.
    """

    source: NDArray[np.int32]
    visible: NDArray[np.bool_]

    def __post_init__(self) -> None:
        fits = self.source.ndim == 2 and self.source.shape == self.visible.shape
        if not fits or self.source.dtype != np.int32 or self.visible.dtype != np.bool_:
            raise ShapeError(
                "source must be (H, W) int32 and visible (H, W) bool, got "
                f"{self.source.shape} {self.source.dtype}, {self.visible.shape} {self.visible.dtype}; "
                "make them with pair_motion"
            )
        if self.source.size and not 0 <= self.source.min() <= self.source.max() < self.source.size:
            raise ShapeError(
                f"source must hold indices of the picture's {self.source.size} pixels, got "
                f"{self.source.min()}..{self.source.max()}; make it with pair_motion"
            )


def pair_motion(
    motion: MotionField, residual: NDArray[np.int16], *, threshold: float = OCCLUSION_THRESHOLD
) -> PairMotion:
    """Where each pixel was one frame earlier, by the vectors of a frame, and where these can be trusted.

    Vectors are rounded to whole pixels, halves to the right and down. A pixel is not visible where its block is intra,
    its reference is not the frame before, the source lies outside the picture, or the mean over the channels of the
    residual's absolute value is above the threshold.

    Args:
        motion: (H, W), `CompressedFrame.motion`. Of pixels with two vectors the first alone is used, the one into the
            past.
        residual: (H, W, 3) int16, `CompressedFrame.residual`: the decoded frame minus its compensated references.
            "bilinear" compensation is to be preferred: "integer" cuts vectors, and edges that moved by half a pixel
            look hidden.
        threshold: levels of 255, at least 0.

    Raises: ShapeError, when the residual does not cover the motion or is not int16; UsageError, when the
        threshold is below 0.
    """
    height, width = motion.frames_back.shape
    if residual.shape != (height, width, 3) or residual.dtype != np.int16:
        raise ShapeError(
            f"the residual must be {(height, width, 3)} int16 as the motion is {(height, width)}, got "
            f"{residual.shape} {residual.dtype}; decode both from one frame"
        )
    if not threshold >= 0:
        raise UsageError(f"the occlusion threshold must be at least 0 levels, got {threshold}")
    nearest = np.floor(motion.flow_px + np.float32(0.5)).astype(np.int32)
    x = nearest[..., 0] + np.arange(width, dtype=np.int32)
    y = nearest[..., 1] + np.arange(height, dtype=np.int32)[:, None]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    alike = np.abs(residual.astype(np.int32)).sum(axis=2) <= 3 * threshold
    visible = inside & alike & (motion.frames_back == 1)
    return PairMotion(source=np.where(visible, y * np.int32(width) + x, np.int32(0)), visible=visible)


def pair_confusion(
    previous: LabelMap,
    current: LabelMap,
    pair: PairMotion,
    *,
    num_classes: int,
    label_previous: LabelMap | None = None,
    label_current: LabelMap | None = None,
) -> ConfusionMatrix:
    """Count pixels by (class carried over from the frame before, class now); pairs of frames add up.

    Args:
        previous: (H, W) uint8, the prediction of the frame before; classes, or IGNORE, which is not counted.
        current: (H, W) uint8, the prediction of this frame, alike.
        pair: the motion between the two.
        num_classes: K, 1..255.
        label_previous: (H, W) uint8, the label of the frame before; pixels that come from where it is IGNORE are not
            counted. Without it none is left out.
        label_current: (H, W) uint8, the label of this frame; pixels where it is IGNORE are not counted.

    Returns:
        (K, K) int64, rows carried over, columns now.

    Raises:
        ShapeError: a map is not (H, W) uint8, or not of the size of the motion.
        PredictionError: a prediction holds values that are neither a class nor IGNORE.
        UsageError: num_classes is outside 1..255.
    """
    if not 1 <= num_classes <= IGNORE:
        raise UsageError(f"num_classes must be 1..{IGNORE} ({IGNORE} itself means 'ignore'), got {num_classes}")
    maps = [previous, current, previous if label_previous is None else label_previous]
    maps.append(current if label_current is None else label_current)
    for name, array in zip(("previous", "current", "label_previous", "label_current"), maps, strict=True):
        if array.shape != pair.source.shape or array.dtype != np.uint8:
            raise ShapeError(
                f"{name} must be uint8 and cover the motion, {pair.source.shape}, got {array.shape} {array.dtype}"
            )
    flat = [np.ascontiguousarray(part).reshape(-1) for part in (*maps, pair.source, pair.visible)]
    carried, now = np.empty_like(flat[0]), np.empty_like(flat[0])
    _compiled()(*flat, carried, now)
    joint = joint_histogram(carried, now)
    _require_classes(joint, num_classes)
    return joint[:num_classes, :num_classes].copy()


def warp_consistency(confusion: ConfusionMatrix) -> float:
    """TC: the mean over classes of the IoU between the predictions carried over and those that follow them.

    Args:
        confusion: (K, K) integers of `pair_confusion`, summed over all pairs of frames.

    Returns: 0..1; NaN when no pixel was counted.
    Raises: ShapeError, when the matrix is not square, or not of integers.
    Source: Liu et al., ECCV 2020, section 4.1; there warped by FlowNet2, here by the codec's vectors.
    """
    return mean_iou(confusion)


def pixel_agreement(confusion: ConfusionMatrix) -> float:
    """The share of the counted pixels that keep their class; arguments and errors as `warp_consistency`."""
    require_confusion(confusion, ndim=2)
    total = int(confusion.sum())
    return int(np.trace(confusion)) / total if total else float("nan")


def _require_classes(joint: NDArray[np.int64], num_classes: int) -> None:
    """Raise unless only rows and columns 0..K-1 and IGNORE of the counts are filled."""
    values = np.flatnonzero(joint.any(axis=0) | joint.any(axis=1))
    strange = values[(values >= num_classes) & (values != IGNORE)]
    if strange.size:
        raise PredictionError(
            f"the predictions hold the value {strange[0]}, which is neither a class 0..{num_classes - 1} nor {IGNORE} "
            "(ignore); does the network have as many classes as the data set?"
        )


@cache
def _compiled() -> Callable[..., Any]:
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, nogil=True)(_carry)
    except RuntimeError:  # no folder can be written: neither beside this file nor the user's own
        compiled = numba.njit(nogil=True)(_carry)
    return compiled


def _carry(
    previous: NDArray[np.uint8],
    current: NDArray[np.uint8],
    label_previous: NDArray[np.uint8],
    label_current: NDArray[np.uint8],
    source: NDArray[np.int32],
    visible: NDArray[np.bool_],
    carried: NDArray[np.uint8],
    now: NDArray[np.uint8],
) -> None:
    """Fill in what each pixel was and what it is, IGNORE where it is not to be counted."""
    ignore = np.uint8(255)
    for index in range(source.size):
        place = source[index]
        counted = visible[index] and label_previous[place] != ignore and label_current[index] != ignore
        carried[index] = previous[place] if counted else ignore
        now[index] = current[index] if counted else ignore

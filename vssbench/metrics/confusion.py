"""Confusion matrices and the intersection over union that follows from them.

A confusion matrix is a plain int64 array, rows true, columns predicted; those of several frames add up, and
the IoU is taken of the sum, never a mean of per-image IoUs (shared convention of Cityscapes and AR-Seg).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vssbench.errors import DatasetError, PredictionError, ShapeError, UsageError
from vssbench.metrics.joint_histogram import joint_histogram
from vssbench.records import IGNORE, LabelMap

ConfusionMatrix = NDArray[np.int64]  # (K, K), rows true, columns predicted


def confusion_matrix(label: LabelMap, prediction: LabelMap, *, num_classes: int) -> ConfusionMatrix:
    """Count labelled pixels by (true class, predicted class); frames add up.

    Args:
        label: (H, W) uint8, classes 0..num_classes-1 or IGNORE.
        prediction: (H, W) uint8, classes 0..num_classes-1, on ignored pixels too.
        num_classes: K, 1..255.

    Returns:
        (K, K) int64, rows true, columns predicted; pixels labelled IGNORE are not counted.

    Raises:
        ShapeError: the maps differ in shape, are not (H, W), or are not uint8.
        DatasetError: the label holds values that are neither a class nor IGNORE.
        PredictionError: the prediction holds values that are no class.
        UsageError: num_classes is outside 1..255.

    Source: Cityscapes pixel-level evaluation, TP / (TP + FP + FN).
    """
    if not 1 <= num_classes <= IGNORE:
        raise UsageError(f"num_classes must be 1..{IGNORE} ({IGNORE} itself means 'ignore'), got {num_classes}")
    require_maps(label, prediction)
    # One histogram of all pairs of bytes does the work and both range checks: no pass over the pixels for each.
    joint = joint_histogram(label, prediction)
    _require_classes(joint, num_classes)
    return joint[:num_classes, :num_classes].copy()


def iou_per_class(confusion: ConfusionMatrix) -> NDArray[np.float64]:
    """Intersection over union of every class, TP / (TP + FP + FN).

    Args:
        confusion: (K, K) integers, rows true, columns predicted, summed over all frames.

    Returns:
        (K,) float64 in 0..1; NaN where the union is empty (class neither labelled nor predicted).

    Raises:
        ShapeError: the matrix is not square, or not of integers.
    """
    require_confusion(confusion, ndim=2)
    true_positive = np.diagonal(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - true_positive
    iou = np.full(len(confusion), np.nan)
    np.divide(true_positive, union, out=iou, where=union > 0)
    return iou


def mean_iou(confusion: ConfusionMatrix) -> float:
    """Mean IoU over the classes with a non-empty union.

    Args:
        confusion: (K, K) integers, rows true, columns predicted, summed over all frames.

    Returns:
        0..1, or NaN when every union is empty (nothing was counted).

    Raises:
        ShapeError: the matrix is not square, or not of integers.
    """
    iou = iou_per_class(confusion)
    present = iou[~np.isnan(iou)]
    return float(present.mean()) if present.size else float("nan")


def frequency_weighted_iou(confusion: ConfusionMatrix) -> float:
    """wIoU: the mean IoU in which a class weighs as many pixels as are labelled with it.

    Args:
        confusion: (K, K) integers, rows true, columns predicted, summed over all frames.

    Returns:
        0..1, or NaN when no pixel was counted. A class that is predicted but never labelled weighs nothing.

    Raises:
        ShapeError: the matrix is not square, or not of integers.

    Source: sum over c of freq_c IoU_c, freq_c the share of row c (wIoU of VSPW's toolkit, TFC's Table 1).
    """
    iou = iou_per_class(confusion)
    labelled = confusion.sum(axis=1)
    if not labelled.any():
        return float("nan")
    present = labelled > 0
    return float((labelled[present] * iou[present]).sum() / labelled.sum())


def require_confusion(confusion: NDArray[Any], *, ndim: int) -> None:
    """Raise ShapeError unless `confusion` is (..., K, K) integers of `ndim` axes."""
    shape = confusion.shape
    if len(shape) != ndim or shape[-1] != shape[-2] or confusion.dtype.kind not in "iu":
        axes = "(K, K)" if ndim == 2 else "(L, K, K)"
        raise ShapeError(
            f"confusion counts must be {axes} integers, got {shape} {confusion.dtype}; make them with confusion_matrix"
        )


def require_maps(label: LabelMap, prediction: LabelMap) -> None:
    """Raise ShapeError unless both are (H, W) uint8 of one size."""
    for name, array in (("label", label), ("prediction", prediction)):
        if array.ndim != 2 or array.dtype != np.uint8:
            raise ShapeError(f"{name} must be (H, W) uint8, got {array.shape} {array.dtype}; convert it first")
    if label.shape != prediction.shape:
        raise ShapeError(
            f"label and prediction must cover the same pixels: {label.shape = }, {prediction.shape = }; "
            "resize the logits to the frame before the argmax"
        )


def _require_classes(joint: NDArray[np.int64], num_classes: int) -> None:
    """Raise unless only rows 0..K-1 and IGNORE and columns 0..K-1 of the counts are filled."""
    label_values = np.flatnonzero(joint.any(axis=1))
    strange = label_values[(label_values >= num_classes) & (label_values != IGNORE)]
    if strange.size:
        raise DatasetError(
            f"the label holds {_first(strange)}, which are neither classes 0..{num_classes - 1} "
            f"nor {IGNORE} (ignore); "
            "are these labelIds where trainIds belong, or colours never turned into classes?"
        )
    predicted_values = np.flatnonzero(joint.any(axis=0))
    strange = predicted_values[predicted_values >= num_classes]
    if strange.size:
        raise PredictionError(
            f"the prediction holds {_first(strange)}, which are no classes 0..{num_classes - 1}; "
            "does the network have as many classes as the data set?"
        )


def _first(values: NDArray[np.intp]) -> str:
    shown = ", ".join(str(value) for value in values[:5])
    return f"the values {shown}" + (f" and {len(values) - 5} more" if len(values) > 5 else "")

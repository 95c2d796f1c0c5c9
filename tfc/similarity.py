"""The cosine similarity of two frames' low-level features: what it decides, and how it is taught."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vssbench.errors import ShapeError
from vssbench.records import IGNORE

FOCUS = 1.0  # gamma of the focal loss (paper, sec. 3.3)
LEAST_PROBABILITY = 1e-4  # below it the logarithm is cut off: the clamped similarity reaches 0 and 1


def cosine_similarity(key: Tensor, other: Tensor) -> Tensor:
    """w: the cosine of the angle between the features of two frames at every point (paper, Eqs. 5 and 6).

    Args:
        key, other: (N, D, h, w).

    Returns: (N, 1, h, w) in -1..1.
    """
    return functional.cosine_similarity(key, other, dim=1).unsqueeze(1)


def interpolated(key: Tensor, other: Tensor, weight: Tensor | float) -> Tensor:
    """Z' = weight x key + (1 - weight) x other (paper, Eq. 7).

    Args:
        key, other: (N, D, h, w).
        weight: (N, 1, h, w) or a number, in 0..1.
    """
    return other + weight * (key - other)


def consistency_target(key_label: Tensor, label: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Where the label of two frames is the same, on a feature grid: the pixel under each point's centre.

    Args:
        key_label, label: (N, H, W) int64.
        size: (h, w) of the grid.

    Returns: (N, h, w) float, 1 where it is the same; (N, h, w) bool, False where either is IGNORE.
    """
    known = (key_label != IGNORE) & (label != IGNORE)
    planes = torch.stack([key_label == label, known], 1).float()
    same, known = functional.interpolate(planes, size=size, mode="nearest-exact").unbind(1)
    return same, known > 0


def focal_consistency_loss(similarity: Tensor, key_label: Tensor, label: Tensor) -> Tensor:
    """L_bce: focal cross entropy of the clamped similarity against whether the label stays (paper, sec. 3.3).

    Args:
        similarity: (N, 1, h, w), w of Eq. 5.
        key_label, label: (N, H, W) int64, IGNORE left out (the paper does not say).

    Returns: a scalar, the mean over labelled points; 0 where nothing is labelled.
    Raises: ShapeError, when the batches differ.
    """
    if not len(similarity) == len(key_label) == len(label):
        raise ShapeError(f"as many labels as maps, got {len(similarity)}, {len(key_label)} and {len(label)}")
    same, known = consistency_target(key_label, label, (similarity.shape[-2], similarity.shape[-1]))
    p = similarity[:, 0].float().clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    of_truth = torch.where(same > 0, p, 1 - p)
    losses = -((1 - of_truth) ** FOCUS) * of_truth.log()
    return (losses * known).sum() / known.sum().clamp(min=1)

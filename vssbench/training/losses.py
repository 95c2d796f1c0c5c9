"""The segmentation losses of the compared papers and programs, on logits resized to the label."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from vssbench.ops.resize import resize
from vssbench.records import IGNORE

SegmentationLoss = Callable[[Tensor, Tensor], Tensor]

OHEM_CONFIDENCE = 0.7  # released AR-Seg, BiSeNet: pixels predicted with less than this always count
OHEM_LEAST_SHARE = 1 / 16  # ... and never fewer than this share of the valid pixels


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Mean cross entropy over labelled pixels (AR-Seg, Eq. 5; TapLab, Eq. 5).

    Args:
        logits: (N, K, h, w), resized bilinearly to the label.
        label: (N, H, W) int64, IGNORE left out.
    """
    resized = resize(logits.float(), (label.shape[-2], label.shape[-1]))
    return functional.cross_entropy(resized, label, ignore_index=IGNORE)


def hard_pixel_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Cross entropy over the hard pixels only (the released AR-Seg program's loss for BiSeNet18).

    Counts pixels whose true class got a probability below 0.7, and at least the hardest 1/16.
    """
    resized = resize(logits.float(), (label.shape[-2], label.shape[-1]))
    losses = functional.cross_entropy(resized, label, ignore_index=IGNORE, reduction="none")
    losses = losses[label != IGNORE]
    if losses.numel() == 0:
        return resized.sum() * 0
    limit = -math.log(OHEM_CONFIDENCE)
    least = max(1, int(losses.numel() * OHEM_LEAST_SHARE))
    hard = losses[losses > limit]
    return hard.mean() if hard.numel() >= least else losses.topk(least).values.mean()


LOSSES: dict[str, SegmentationLoss] = {"ce": cross_entropy, "ohem": hard_pixel_cross_entropy}

"""The segmentation losses of the compared papers and programs."""

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
        logits: (N, K, H, W).
        label: (N, H, W) int64, IGNORE left out.

    Returns: a scalar; 0 where nothing is labelled.
    """
    total = functional.cross_entropy(logits, label, ignore_index=IGNORE, reduction="sum")
    return total / (label != IGNORE).sum().clamp(min=1)  # torch's own mean of nothing is NaN


def hard_pixel_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Cross entropy over the hard pixels only (the released AR-Seg program's loss for BiSeNet18).

    Counts pixels whose true class got a probability below 0.7, and at least the hardest 1/16.

    Args:
        logits: (N, K, H, W).
        label: (N, H, W) int64, IGNORE left out.

    Returns: a scalar; 0 where nothing is labelled.
    """
    losses = functional.cross_entropy(logits, label, ignore_index=IGNORE, reduction="none")
    losses = losses[label != IGNORE]
    if losses.numel() == 0:
        return logits.sum() * 0
    limit = -math.log(OHEM_CONFIDENCE)
    least = max(1, int(losses.numel() * OHEM_LEAST_SHARE))
    hard = losses[losses > limit]
    return hard.mean() if hard.numel() >= least else losses.topk(least).values.mean()


def on_label_grid(
    logits: Tensor, label: Tensor, *, stride: int = 1, phase: int = 0, align_corners: bool = False
) -> tuple[Tensor, Tensor]:
    """Logits resized to the label, and both thinned out to every `stride`-th pixel of each axis.

    Neighbouring pixels say much the same, and on a CPU the loss of a small network costs more than the network.

    Args:
        logits: (N, K, h, w), of any floating type.
        label: (N, H, W).
        stride: 1 keeps all pixels.
        phase: shifts the kept pixels; give it the step, and all of them have their turn.
    """
    resized = resize(logits.float(), (label.shape[-2], label.shape[-1]), align_corners=align_corners)
    y, x = phase % stride, (phase // stride) % stride
    return resized[..., y::stride, x::stride], label[..., y::stride, x::stride]


LOSSES: dict[str, SegmentationLoss] = {"ce": cross_entropy, "ohem": hard_pixel_cross_entropy}

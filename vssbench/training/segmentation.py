"""Training a per-frame network at one input scale: AR-Seg's first stage, and every constant-resolution baseline."""

from __future__ import annotations

from torch import Tensor

from vssbench.networks.base import SegmentationNetwork
from vssbench.ops.resize import resize, scaled_size
from vssbench.training.loop import Batch, Loss
from vssbench.training.losses import SegmentationLoss, on_label_grid


def segmentation_loss(
    network: SegmentationNetwork, *, scale: float, criterion: SegmentationLoss, label_stride: int = 1
) -> Loss:
    """The loss of a network that sees its input at `scale` and is judged at full resolution.

    Args:
        scale: of the input; the label keeps its size (AR-Seg trains its low-resolution baselines so).
        criterion: on the main and on the auxiliary logits, the latter with the network's `auxiliary_weights`.
        label_stride: see `losses.on_label_grid`; the auxiliary heads, which only steer, take twice that.
    """

    def loss(batch: Batch, step: int) -> Tensor:
        images = batch.images[:, -1]
        small = resize(images, scaled_size((images.shape[-2], images.shape[-1]), scale))
        features, auxiliary = network.training_outputs(small)
        logits = network.classify(features)
        value = criterion(*on_label_grid(logits, batch.label, stride=label_stride, phase=step))
        for other, weight in zip(auxiliary, network.auxiliary_weights, strict=True):
            thinned = on_label_grid(other, batch.label, stride=2 * label_stride, phase=step)
            value = value + weight * criterion(*thinned)
        return value

    return loss

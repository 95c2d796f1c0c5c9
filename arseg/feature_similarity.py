"""FST, the second stage of AR-Seg's training: the low-resolution branch learns from the frozen high-resolution one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from arseg.creff import upsampled_to
from arseg.model import ARSegNetwork
from vssbench.errors import ShapeError, UsageError
from vssbench.training.loop import Batch, Loss
from vssbench.training.losses import SegmentationLoss, on_label_grid


def feature_similarity_loss(aggregated: Tensor, target: Tensor) -> Tensor:
    """Mean squared error between aggregated and high-resolution features of one frame (AR-Seg, Eq. 5).

    Args:
        aggregated: (N, C, H, W), from CReFF.
        target: (N, C, H, W), F_P of the high-resolution network; no gradient flows into it.

    Returns: a scalar.
    """
    return functional.mse_loss(aggregated, target.detach())


def class_divergence_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the pixels of KL(target's class distribution || the other's), in nats.

    The paper's Table 3 has a row "KL Loss" in the place of Eq. 5's MSE and says no more of it.

    Args:
        logits: (N, K, H, W).
        target: (N, K, H, W), of the high-resolution network; no gradient flows into it.

    Returns: a scalar, at least 0.
    """
    truth = functional.log_softmax(target.detach(), 1)
    total = functional.kl_div(functional.log_softmax(logits, 1), truth, log_target=True, reduction="sum")
    return total / (target.numel() / target.shape[1])


def released_divergence_loss(aggregated: Tensor, target: Tensor) -> Tensor:
    """What the released program calls KL (train_pair.py, `--feat_loss KL`): mean of exp(F~) (F~ - F).

    It gives features to nn.KLDivLoss(log_target=True) as if they were log-probabilities, and the two in each other's
    place: the least of it is at F~ = F - 1, and below 0.

    Args:
        aggregated: F~, (N, C, H, W).
        target: F, (N, C, H, W); no gradient flows into it.
    """
    return (aggregated.exp() * (aggregated - target.detach())).mean()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Compared:
    """What a feature loss may look at: maps where they are fused, and logits, of the branch and of the HR network."""

    network: ARSegNetwork
    fused: Tensor
    logits: Tensor
    target: Tensor

    def target_logits(self) -> Tensor:
        """Logits of the high-resolution network."""
        with torch.no_grad():
            return self.network.key_logits(self.target)


FEATURE_LOSSES: dict[str, Callable[[_Compared], Tensor]] = {
    "mse": lambda c: feature_similarity_loss(c.fused, c.target),
    "kl": lambda c: class_divergence_loss(c.logits, c.target_logits()),
    "kl-release": lambda c: released_divergence_loss(c.fused, c.target),
    "none": lambda c: c.fused.new_zeros(()),
}


def fst_loss(
    network: ARSegNetwork, *, criterion: SegmentationLoss, unfused_steps: int = 0, label_stride: int = 1
) -> Loss:
    """The loss of the low-resolution branch: segmentation plus feature similarity (AR-Seg, Eq. 5).

    Features are compared where they are fused: before the final layer, or, in the variants of Table 3, before N_task
    or N_feat, as in the released program.

    Args:
        network: its high-resolution branch and what it shares stay as they are; its options say which loss is added.
        criterion: the segmentation loss; cross entropy in the paper.
        unfused_steps: train the branch alone, its maps only upsampled, for so many steps first. The paper has
            no such phase; the released program spends half of its CamVid epochs so (`--stage1_epoch`).
        label_stride: see `losses.on_label_grid`.

    Raises: UsageError, when the network has no low-resolution branch.
    """
    if not network.options.has_branch:
        raise UsageError(f"fusion {network.options.fusion!r} has no branch to train; it runs as it is")
    feature_loss = FEATURE_LOSSES[network.options.feature_loss]

    def loss(batch: Batch, step: int) -> Tensor:
        if batch.flow_px is None:
            raise ShapeError("FST needs pairs with motion; train on `arseg.pairs.KeyFramePairs`")
        key_images, images = batch.images[:, 0], batch.images[:, -1]
        with torch.no_grad():
            target = network.key_maps(images).float()
            key_maps = network.key_maps(key_images).float()
        maps = cast(Tensor, network.low_maps(images)).float()
        exact = partial(torch.autocast, batch.images.device.type, enabled=False)
        with exact():
            if step < unfused_steps:
                fused = upsampled_to(target, maps, network.convention)
            else:
                flow = flow_on_grid(batch.flow_px, (target.shape[-2], target.shape[-1]))
                fused = cast(Tensor, network.creff(key_maps, maps, flow))
        features = network.finish(fused).float()
        with exact():
            logits = network.classify(features)
            thinned = on_label_grid(
                logits,
                batch.label,
                stride=label_stride,
                phase=step,
                align_corners=network.convention.align_corners,
            )
            compared = _Compared(network=network, fused=fused, logits=logits, target=target)
            return criterion(*thinned) + feature_loss(compared)

    return loss


def flow_on_grid(flow_px: Tensor, size: tuple[int, int]) -> Tensor:
    """Motion of whole frames (N, H, W, 2) on a feature grid (N, h, w, 2), in that grid's pixels.

    Bilinear at pixel centres, each axis by its own ratio: what `ops.warp.flow_for_grid` does for a test.
    """
    height, width = flow_px.shape[1:3]
    ratio = flow_px.new_tensor([size[1] / width, size[0] / height])
    planes = functional.interpolate(flow_px.permute(0, 3, 1, 2), size=size, mode="bilinear", align_corners=False)
    return planes.permute(0, 2, 3, 1) * ratio

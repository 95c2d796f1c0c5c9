"""FST, the second stage of AR-Seg's training: the low-resolution branch learns from the frozen high-resolution one."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from arseg.model import ARSegNetwork
from vssbench.errors import ShapeError
from vssbench.ops.resize import resize
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


def fst_loss(
    network: ARSegNetwork, *, criterion: SegmentationLoss, unfused_steps: int = 0, label_stride: int = 1
) -> Loss:
    """The loss of the low-resolution branch: segmentation plus feature similarity (AR-Seg, Eq. 5).

    Args:
        network: its high-resolution branch and the shared final layer stay as they are.
        criterion: the segmentation loss; cross entropy in the paper.
        unfused_steps: train the branch alone, its features only upsampled, for so many steps first. The paper has
            no such phase; the released program spends half of its CamVid epochs so (`--stage1_epoch`).
        label_stride: see `losses.on_label_grid`.
    """

    def loss(batch: Batch, step: int) -> Tensor:
        if batch.flow_px is None:
            raise ShapeError("FST needs pairs with motion; train on `arseg.pairs.KeyFramePairs`")
        key_images, images = batch.images[:, 0], batch.images[:, -1]
        with torch.no_grad():
            target = network.high.features(images).float()
            key_features = network.high.features(key_images).float()
        features = network.low_features(images).float()
        size = (target.shape[-2], target.shape[-1])
        with torch.autocast(batch.images.device.type, enabled=False):
            if step < unfused_steps:
                aggregated = resize(features, size, align_corners=network.convention.align_corners)
            else:
                flow = flow_on_grid(batch.flow_px, size)
                aggregated = cast(Tensor, network.creff(key_features, features, flow))
            logits = network.high.classify(aggregated)
            thinned = on_label_grid(
                logits,
                batch.label,
                stride=label_stride,
                phase=step,
                align_corners=network.convention.align_corners,
            )
            return criterion(*thinned) + feature_similarity_loss(aggregated, target)

    return loss


def flow_on_grid(flow_px: Tensor, size: tuple[int, int]) -> Tensor:
    """Motion of whole frames (N, H, W, 2) on a feature grid (N, h, w, 2), in that grid's pixels.

    Bilinear at pixel centres, each axis by its own ratio: what `ops.warp.flow_for_grid` does for a test.
    """
    height, width = flow_px.shape[1:3]
    ratio = flow_px.new_tensor([size[1] / width, size[0] / height])
    planes = functional.interpolate(flow_px.permute(0, 3, 1, 2), size=size, mode="bilinear", align_corners=False)
    return planes.permute(0, 2, 3, 1) * ratio

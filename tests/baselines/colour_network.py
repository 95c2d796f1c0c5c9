"""A network one can predict by eye, each pixel its strongest colour channel, and frames to feed it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vssbench.networks.base import SegmentationNetwork
from vssbench.records import CompressedFrame, MotionField


class ColourNetwork(SegmentationNetwork):
    """Logits = the channels in 0..1, averaged over cells of `cell` pixels; `seen` lists the input sizes."""

    def __init__(self, *, cell: int = 1) -> None:
        super().__init__(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        self.cell = cell
        self.seen: list[tuple[int, int]] = []
        self.final = nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            self.final.weight.copy_(torch.eye(3).view(3, 3, 1, 1))
            self.final.bias.zero_()

    def extract(self, images: Tensor) -> Tensor:
        self.seen.append((images.shape[2], images.shape[3]))
        return images

    def refine(self, extracted: Tensor) -> Tensor:
        return functional.avg_pool2d(extracted, self.cell)


def painted(labels):
    """(H, W) classes 0..2 -> the picture that ColourNetwork labels so."""
    return np.eye(3, dtype=np.uint8)[np.asarray(labels)] * 255


def frame_of(labels, frame_type="I", *, rgb=None, flow=None, frames_back=1, residual=None, index=0, motion=True):
    """A frame showing `labels` (or `rgb`); a P frame has zero motion and zero residual unless told otherwise.

    `flow` is (dx, dy) for all pixels or (H, W, 2); `residual` a number or (H, W, 3).
    """
    rgb = painted(labels) if rgb is None else rgb
    size = rgb.shape[:2]
    if frame_type == "I":
        return CompressedFrame(rgb=rgb, frame_type="I", index=index, size_bytes=1)
    field = MotionField(
        flow_px=np.broadcast_to((0, 0) if flow is None else flow, (*size, 2)).astype(np.float32),
        frames_back=np.broadcast_to(frames_back, size).astype(np.int16),
    )
    residual = np.broadcast_to(0 if residual is None else residual, (*size, 3)).astype(np.int16)
    return CompressedFrame(
        rgb=rgb,
        frame_type=frame_type,
        index=index,
        size_bytes=1,
        motion=field if motion else None,
        residual=residual,
    )

"""A tiny SegFormer with TFC and frames to feed it, for the tests of tfc."""

from __future__ import annotations

import numpy as np
import torch

from tfc.model import TFCNetwork
from tfc.options import VARIANTS, WEIGHTS_OF, options_of
from vssbench.networks.zoo import build_network
from vssbench.records import CompressedFrame, MotionField

CPU = torch.device("cpu")
WIDTH = 0.0625  # 16 channels in the decoder, 2 for each head of the attention
SIZE = (64, 96)  # features are 16x24, the coarse levels 4x6 and 2x3
TRAINED = ["", *(variant for variant in VARIANTS if variant not in WEIGHTS_OF)]


def tiny_network(variant="", *, num_classes=5, seed=0, name="segformer-b0"):
    """In evaluation mode; every parameter is drawn, so that a layer left out shows."""
    torch.manual_seed(seed)
    network = build_network(name, num_classes=num_classes, width=WIDTH)
    whole = TFCNetwork(network, options=options_of(variant))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in whole.network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
        for parameter in () if whole.update is None else whole.update.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return whole.eval()


def on_meta(name, variant="", *, num_classes=124):
    """A network without values, of full width."""
    with torch.device("meta"):
        return TFCNetwork(build_network(name, num_classes=num_classes), options=options_of(variant)).eval()


def blocks(seed=0, *, size=SIZE):
    """A picture of random blocks, (H, W, 3) uint8."""
    cells = np.random.default_rng(seed).integers(0, 256, (size[0] // 8 + 1, size[1] // 8 + 1, 3), dtype=np.uint8)
    return np.kron(cells, np.ones((8, 8, 1), np.uint8))[: size[0], : size[1]]


def changed(rgb, *, columns=32):
    """The same picture with other blocks at its left."""
    other = rgb.copy()
    other[:, :columns] = blocks(99, size=(rgb.shape[0], columns))
    return other


def images(*pictures):
    """Pictures as the input of a network, (N, 3, H, W) in 0..1."""
    return torch.stack([torch.from_numpy(rgb.copy()).permute(2, 0, 1).float() / 255 for rgb in pictures])


def frame(rgb, frame_type="P", *, index=0, flow=None, frames_back=1):
    """A frame; with `flow`, (dx, dy) or (H, W, 2), it has vectors."""
    motion = None
    if flow is not None:
        motion = MotionField(
            flow_px=np.broadcast_to(np.asarray(flow, np.float32), (*rgb.shape[:2], 2)).copy(),
            frames_back=np.broadcast_to(np.asarray(frames_back, np.int16), rgb.shape[:2]).copy(),
        )
    return CompressedFrame(rgb=rgb, frame_type=frame_type, index=index, size_bytes=1, motion=motion)

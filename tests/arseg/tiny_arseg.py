"""A tiny AR-Seg network and frames to feed it, for the tests of arseg."""

import dataclasses

import numpy as np
import torch

from arseg.creff import PAPER
from arseg.model import ARSegNetwork
from arseg.options import options_of
from vssbench.networks.zoo import build_network
from vssbench.records import CompressedFrame, MotionField
from vssbench.training.loop import Batch

CPU = torch.device("cpu")
WIDTH = 0.0625  # 16 channels before BiSeNet's final layer


def image_network(name="bisenet18", *, num_classes=3, seed=0):
    """In evaluation mode, with statistics that differ from their initial ones."""
    torch.manual_seed(seed)
    network = build_network(name, num_classes=num_classes, width=WIDTH).train()
    with torch.no_grad():
        network(torch.rand(2, 3, 64, 96))
    return network.eval()


def balance(network, key_features, features):
    """Set the shared final layer so that several classes win somewhere on both maps, whatever their means."""
    with torch.no_grad():
        apart = key_features.mean((0, 2, 3)) - features.mean((0, 2, 3))
        weight = network.high.final.weight[:, :, 0, 0]
        weight -= torch.outer(weight @ apart, apart) / (apart @ apart)
        network.high.final.bias.copy_(-weight @ features.mean((0, 2, 3)))


def arseg_network(*, scale=0.5, variant="", convention=PAPER, name="bisenet18", seed=0, **options):
    chosen = dataclasses.replace(options_of(variant), **options)
    return ARSegNetwork(image_network(name, seed=seed), scale=scale, options=chosen, convention=convention).eval()


def on_meta(name, *, num_classes, scale, variant=""):
    with torch.device("meta"):
        network = build_network(name, num_classes=num_classes)
        return ARSegNetwork(network, scale=scale, options=options_of(variant)).eval()


def motion_field(size, flow=(0.0, 0.0), *, frames_back=1):
    return MotionField(
        flow_px=np.broadcast_to(np.asarray(flow, np.float32), (*size, 2)).copy(),
        frames_back=np.full(size, frames_back, np.int16),
    )


def frame(frame_type="I", *, size=(64, 96), flow=(0.0, 0.0), motion=True, index=0, seed=0, rgb=None):
    """A picture of random blocks; a P frame has `flow` to its key frame unless `motion` is False."""
    if rgb is None:
        blocks = np.random.default_rng(seed).integers(0, 256, (9, 13, 3), dtype=np.uint8)
        rgb = np.kron(blocks, np.ones((8, 8, 1), np.uint8))[: size[0], : size[1]]
    size = rgb.shape[:2]
    field = motion_field(size, flow, frames_back=max(index, 1)) if motion and frame_type != "I" else None
    return CompressedFrame(rgb=rgb, frame_type=frame_type, index=index, size_bytes=1, motion_to_key=field)


def pair_batch(*, count=2, size=(64, 96), num_classes=3, flow=True, seed=0):
    """Key frames, labelled frames, labels and a slowly changing motion."""
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        images=torch.rand(count, 2, 3, *size, generator=generator),
        label=torch.randint(0, num_classes, (count, *size), generator=generator),
        flow_px=8 * torch.rand(count, *size, 2, generator=generator) - 4 if flow else None,
    )

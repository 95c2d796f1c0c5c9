"""TFC's weights: clips of a key frame and the frames after it -> SegFormer and TFC, end to end (paper, Eq. 12).

The loss is the paper's, the optimiser is not: every method here is trained by `training.loop`, with Adam, no weight
decay, and a rate that warms up and falls along a cosine. The paper has AdamW from 6e-5 on a "poly" schedule and all
else as in SegFormer, from an encoder pretrained on ImageNet, 16 clips a step, crops of 480x480 (sec. 4). A recipe may
set rate, batch and crop, and by its key `pretrained` the encoder; optimiser and form of the schedule are fixed.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tfc.model import KeyFeatures, Pyramid, TFCNetwork
from tfc.options import INTERVAL, VARIANTS, WEIGHTS_OF, options_of
from tfc.similarity import focal_consistency_loss
from vssbench.errors import ShapeError, UsageError
from vssbench.networks.weights import load_network
from vssbench.networks.zoo import build_network
from vssbench.training.loop import Batch, Loss
from vssbench.training.losses import LOSSES, SegmentationLoss, on_label_grid
from vssbench.training.recipe import Recipe
from vssbench.training.samples import LabelledClips
from vssbench.training.trainer import BASE, Tools, TrainedMember, Training, trainable_layout


@dataclass(frozen=True, kw_only=True)
class TFCSettings:
    """The part of a recipe that is TFC's alone.

    Args:
        clip_length: frames of a training clip: the key frame and those up to the next.

    Raises: UsageError, when it is below 2.
    """

    clip_length: int = INTERVAL

    def __post_init__(self) -> None:
        if self.clip_length < 2:
            raise UsageError(f"clip_length must be at least 2, a key frame and another, got {self.clip_length}")


class TFCBranch:
    """How TFC is trained: all of SegFormer and what is added, from where the constant-resolution networks start too."""

    name = "tfc"
    form = f"tfc, tfc:VARIANT (VARIANT one of {', '.join(v for v in VARIANTS if v not in WEIGHTS_OF)})"
    settings = TFCSettings
    start = BASE
    reads_streams = False

    def require(self, member: TrainedMember, name: str) -> None:
        """Refuse a member that is not trained. Raises: UsageError."""
        if member.variant in WEIGHTS_OF:
            raise UsageError(f"{name} needs no training: it runs the weights of tfc:{WEIGHTS_OF[member.variant]}")
        if (member.variant and member.variant not in VARIANTS) or name.endswith(":") or member.scale is not None:
            raise UsageError(
                f"cannot train {name!r}; weights of TFC are called {self.form}, and serve every interval of key frames"
            )

    def check(self, member: TrainedMember, recipe: Recipe, num_classes: int) -> None:
        """Refuse a network that is no SegFormer. Raises: UsageError."""
        with torch.device("meta"):
            network = build_network(recipe.network, num_classes=num_classes, width=recipe.width)
            TFCNetwork(network, options=options_of(member.variant))

    def recorded(self, member: TrainedMember, settings: Any) -> dict[str, Any]:
        """The settings that this member's weights depend on; the options only where they are not TFC's own."""
        options = options_of(member.variant)
        said = dataclasses.asdict(settings)
        return said | ({"options": dataclasses.asdict(options)} if options.changed() else {})

    def prepare(self, member: TrainedMember, recipe: Recipe, tools: Tools) -> Training:
        """The network, its loss and the clips. Raises: WeightsError, when the weights to start from do not fit."""
        settings: TFCSettings = recipe.branches[self.name].settings
        network, _ = load_network(tools.path(BASE), num_classes=tools.num_classes, device=tools.device)
        whole = TFCNetwork(network, options=options_of(member.variant))
        whole = whole.to(tools.device, memory_format=trainable_layout(whole, tools.device))
        if "labelled clips" not in tools.kept:
            tools.kept["labelled clips"] = LabelledClips(
                tools.videos,
                length=settings.clip_length,
                every=recipe.every,
                progress=tools.counting("reading clips"),
            )
        loss = tfc_loss(whole, criterion=LOSSES[recipe.criterion], label_stride=recipe.label_stride)
        return Training(module=whole, loss=loss, samples=tools.kept["labelled clips"], tensors=whole.state_dict)


def tfc_loss(network: TFCNetwork, *, criterion: SegmentationLoss, label_stride: int = 1) -> Loss:
    """L = L_seg + L_bce (paper, Eq. 12): over the key frame and all others of a clip, and over their similarities.

    Args:
        network: all of it is trained, the key frame's part through its other frames too.
        criterion: the segmentation loss, the mean over all frames; cross entropy in the paper.
        label_stride: see `losses.on_label_grid`.
    """

    def loss(batch: Batch, step: int) -> Tensor:
        if batch.label.shape[:2] != batch.images.shape[:2]:
            raise ShapeError(
                f"TFC needs a label for every image, got {tuple(batch.label.shape)} for {tuple(batch.images.shape)}; "
                "train on `training.samples.LabelledClips`"
            )
        others = batch.images.shape[1] - 1
        key = network.key(batch.images[:, 0])
        other = network.other(batch.images[:, 1:].flatten(0, 1), _repeated(key, others))
        logits = network.classify(torch.cat([key.features, other.features]))
        key_label, labels = batch.label[:, 0], batch.label[:, 1:].flatten(0, 1)
        with torch.autocast(batch.images.device.type, enabled=False):
            truth = torch.cat([key_label, labels])
            value = criterion(*on_label_grid(logits, truth, stride=label_stride, phase=step))
            if other.similarity is not None and network.options.supervised:
                key_labels = key_label.repeat_interleave(others, dim=0)
                value = value + focal_consistency_loss(other.similarity, key_labels, labels)
        return value

    return loss


def _repeated(key: KeyFeatures, times: int) -> KeyFeatures:
    """A key frame's features once for each of its other frames, these being neighbours in the batch."""
    levels, resized = (
        tuple(x.repeat_interleave(times, dim=0) for x in maps) for maps in (key.pyramid.levels, key.pyramid.resized)
    )
    features = key.features.repeat_interleave(times, dim=0)
    return KeyFeatures(pyramid=Pyramid(levels=levels, resized=resized), features=features)

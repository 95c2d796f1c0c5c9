"""Both stages of AR-Seg's training: videos -> weights of the full-resolution network, its rivals and its branches."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from arseg.creff import CONVENTIONS
from arseg.feature_similarity import fst_loss
from arseg.model import ARSegNetwork
from arseg.options import UNTRAINED, VARIANTS, options_of
from arseg.pairs import KeyFramePairs
from arseg.recipe import Recipe
from vssbench.codec.cache import EncodeCache
from vssbench.datasets.clips import default_bitrate_kbps
from vssbench.errors import UsageError, WeightsError
from vssbench.networks.weights import WeightsHeader, load_network, read_weights, save_weights, tensors_sha256
from vssbench.networks.zoo import build_network
from vssbench.records import SourceVideo
from vssbench.training.loop import Loss, Progress, Samples, Schedule, train
from vssbench.training.losses import LOSSES
from vssbench.training.samples import LabelledFrames
from vssbench.training.segmentation import segmentation_loss

BASE = "base"  # full resolution, from random weights; what every constant-resolution network starts from
HIGH = "constant@1.0"  # the full-resolution network that AR-Seg's branches stand beside


START_OF = {BASE: None, "constant": BASE, "arseg": HIGH}


# What of a recipe says nothing of weights, by their family: which others were made beside them, and what trained those.
_OF_BRANCHES = ("arseg", "convention", "unfused_steps", "encoding", "options")
_NO_PART_OF = {
    BASE: ("members", "constant", *_OF_BRANCHES),
    "constant": ("members", *_OF_BRANCHES),
    "arseg": ("members", "options"),  # a branch's own options stand in its header, if it has any
}


@dataclass(frozen=True, kw_only=True)
class TrainedMember:
    """A name of weights taken apart: "arseg:window-3@0.5" is of the family "arseg", variant "window-3", scale 0.5."""

    family: str
    variant: str = ""
    scale: float = 1.0


def parse_member(member: str) -> TrainedMember:
    """Take a name of weights apart: base, constant@SCALE, arseg@SCALE or arseg:VARIANT@SCALE.

    Raises: UsageError, when it names nothing that is trained.
    """
    if member == BASE:
        return TrainedMember(family=BASE)
    head, _, point = member.partition("@")
    family, colon, variant = head.partition(":")
    if family == "arseg" and variant in UNTRAINED:
        raise UsageError(
            f"{member} needs no training: it runs the weights of {HIGH} alone; train that, and run {head} without a "
            "scale"
        )
    try:
        scale = float(point)
    except ValueError:
        scale = float("nan")
    known = not colon or (family == "arseg" and variant in VARIANTS)
    if family not in ("constant", "arseg") or not known or not 0 < scale <= 1:
        raise UsageError(
            f"cannot train {member!r}; weights are called base, constant@SCALE, arseg@SCALE or arseg:VARIANT@SCALE, "
            f"0 < SCALE <= 1, VARIANT one of {', '.join(v for v in VARIANTS if v not in UNTRAINED)}"
        )
    if point != str(scale):  # a run would not find them under another name
        raise UsageError(f"cannot train {member!r}; call it {head}@{scale}")
    return TrainedMember(family=family, variant=variant, scale=scale)


def trainable_layout(network: torch.nn.Module, device: torch.device) -> torch.memory_format:
    """The layout of a network's tensors that trains fastest: channels last, where that is safe.

    oneDNN 3.12 (torch 2.13 on a CPU) writes out of bounds in the backward pass of a 1x1 convolution of stride 2, as the
    shortcuts of a ResNet are, when it is channels last and its input channels are no multiple of 16.
    """
    narrow = any(
        isinstance(m, torch.nn.Conv2d) and m.kernel_size == (1, 1) and m.stride == (2, 2) and m.in_channels % 16
        for m in network.modules()
    )
    return torch.contiguous_format if narrow and device.type == "cpu" else torch.channels_last


class Trainer:
    """Trains the members of a recipe, sharing the data that they share.

    Every constant-resolution network, 1.0 included, starts from one base network and is trained equally long at its
    own scale, so that no scale is favoured; AR-Seg's branches start from the one at 1.0.

    Args:
        recipe: what to do.
        videos: the training split.
        num_classes: K.
        weights: folder of the results, MEMBER.safetensors each; finished ones are not trained again.
        cache: of encoded streams.
        device: to train on.
        progress: called with the member's name -> a callback for each step; also once for "encoding pairs".
    """

    def __init__(
        self,
        recipe: Recipe,
        videos: Sequence[SourceVideo],
        *,
        num_classes: int,
        weights: Path,
        cache: EncodeCache,
        device: torch.device,
        progress: Callable[[str], Progress] | None = None,
    ) -> None:
        self._recipe = recipe
        self._videos = videos
        self._num_classes = num_classes
        self._weights = weights
        self._cache = cache
        self._device = device
        self._progress = progress
        self._frames: LabelledFrames | None = None
        self._pairs: KeyFramePairs | None = None

    def path(self, member: str) -> Path:
        """Where the weights of a member go."""
        return self._weights / f"{member}.safetensors"

    def check(self, members: Sequence[str]) -> None:
        """Refuse a list that cannot be trained before the first step is taken.

        Raises: UsageError, for an unknown member, one whose options do not go together or with the network, or one
            whose starting weights are neither there nor listed before.
        """
        for number, member in enumerate(members):
            parsed = parse_member(member)
            if parsed.family == "arseg":
                self._check_options(parsed)
            first = START_OF[parsed.family]
            if first and first not in members[:number] and not self.path(first).exists():
                raise UsageError(
                    f"{member} starts from the weights {self.path(first)}, which are not there; train {first} first"
                )

    def _check_options(self, parsed: TrainedMember) -> None:
        options = options_of(parsed.variant, self._recipe.options)
        with torch.device("meta"):
            network = build_network(self._recipe.network, num_classes=self._num_classes, width=self._recipe.width)
            ARSegNetwork(network, scale=parsed.scale, options=options)

    def train(self, member: str) -> Path:
        """Train one member, going on from its checkpoint; returns the path of its weights.

        Raises: UsageError, for an unknown member; WeightsError, when what it starts from is missing or does not fit.
        """
        parsed = parse_member(member)
        if self.path(member).exists():
            self._require_same_recipe(member)
        else:
            if parsed.family == "arseg":
                self._train_branch(member, parsed)
            else:
                self._train_constant(member, parsed.scale)
            self._checkpoint(member).unlink(missing_ok=True)
        return self.path(member)

    def _require_same_recipe(self, member: str) -> None:
        """Refuse to pass off weights that another recipe made as this one's."""
        _, header = read_weights(self.path(member))
        wanted = self._header(member).recipe
        differing = sorted(
            key for key in wanted.keys() | header.recipe.keys() if wanted.get(key) != header.recipe.get(key)
        )
        if differing:
            raise WeightsError(
                f"{self.path(member)} was made by another recipe (other {', '.join(differing)}); delete it to train it "
                "again, or give another folder with --weights"
            )

    def _checkpoint(self, member: str) -> Path:
        return self._weights / "checkpoints" / f"{member}.safetensors"

    def _run(self, member: str, module: torch.nn.Module, loss: Loss, samples: Samples, schedule: Schedule) -> None:
        train(
            module,
            loss,
            samples,
            schedule,
            checkpoint=self._checkpoint(member),
            identity=json.dumps(self._header(member).recipe, sort_keys=True),
            device=self._device,
            progress=self._progress(member) if self._progress else None,
        )

    def _train_constant(self, member: str, scale: float) -> None:
        recipe = self._recipe
        schedule = recipe.base if member == BASE else recipe.constant
        torch.manual_seed(schedule.seed)
        if member == BASE:
            network = build_network(recipe.network, num_classes=self._num_classes, width=recipe.width)
        else:
            network, _ = load_network(
                self.path(BASE), num_classes=self._num_classes, device=self._device, auxiliary=True
            )
        network = network.to(self._device, memory_format=trainable_layout(network, self._device))
        loss = segmentation_loss(
            network, scale=scale, criterion=LOSSES[recipe.criterion], label_stride=recipe.label_stride
        )
        self._run(member, network, loss, self._labelled_frames(), schedule)
        save_weights(self.path(member), network.state_dict(), self._header(member))

    def _train_branch(self, member: str, parsed: TrainedMember) -> None:
        recipe = self._recipe
        torch.manual_seed(recipe.arseg.seed)
        high, _ = load_network(self.path(HIGH), num_classes=self._num_classes, device=self._device)
        options = options_of(parsed.variant, recipe.options)
        convention = CONVENTIONS[recipe.convention]
        network = ARSegNetwork(high, scale=parsed.scale, options=options, convention=convention)
        network = network.to(self._device, memory_format=trainable_layout(network, self._device))
        loss = fst_loss(
            network,
            criterion=LOSSES[recipe.criterion],
            unfused_steps=recipe.unfused_steps,
            label_stride=recipe.label_stride,
        )
        self._run(member, network, loss, self._key_frame_pairs(), recipe.arseg)
        final = tensors_sha256(network.high.final.state_dict())
        save_weights(self.path(member), network.branch_tensors(), self._header(member, final))

    def _labelled_frames(self) -> LabelledFrames:
        if self._frames is None:
            self._frames = LabelledFrames(self._videos, every=self._recipe.every)
        return self._frames

    def _key_frame_pairs(self) -> KeyFramePairs:
        if self._pairs is None:
            first = self._videos[0]
            rate = self._recipe.encoding.bitrate_kbps or default_bitrate_kbps(first.size, first.fps)
            settings = dataclasses.replace(self._recipe.encoding, bitrate_kbps=rate, fps=first.fps)
            tell = self._progress("encoding pairs") if self._progress else None
            self._pairs = KeyFramePairs(
                self._videos,
                settings=settings,
                cache=self._cache,
                every=self._recipe.every,
                progress=tell and (lambda done, total: tell(done, total, math.nan, math.nan)),
            )
        return self._pairs

    def _header(self, member: str, final_sha256: str = "") -> WeightsHeader:
        parsed = parse_member(member)
        recipe = json.loads(json.dumps(dataclasses.asdict(self._recipe)))
        for part in _NO_PART_OF[parsed.family]:
            del recipe[part]
        options = options_of(parsed.variant, self._recipe.options)
        if parsed.family == "arseg" and options.changed():
            recipe["options"] = dataclasses.asdict(options)
        return WeightsHeader(
            network=self._recipe.network,
            num_classes=self._num_classes,
            width=self._recipe.width,
            scale=parsed.scale,
            recipe={"member": member, **recipe},
            final_sha256=final_sha256,
        )

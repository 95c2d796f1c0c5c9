"""From a recipe's members to their weights: per-frame networks, and what methods train beside them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vssbench.codec.cache import EncodeCache
from vssbench.errors import UsageError, WeightsError
from vssbench.networks.segformer import SegFormer
from vssbench.networks.segformer_weights import fitting_part, load_transformers_checkpoint, require_file
from vssbench.networks.weights import WeightsHeader, file_sha256, load_network, read_weights, save_weights
from vssbench.networks.zoo import build_network
from vssbench.records import SourceVideo
from vssbench.training.loop import Loss, Progress, Samples, Schedule, train
from vssbench.training.losses import LOSSES
from vssbench.training.recipe import Recipe
from vssbench.training.samples import LabelledFrames
from vssbench.training.segmentation import segmentation_loss

BASE = "base"  # full resolution, from random or published weights; every constant-resolution network starts from it
HIGH = "constant@1.0"  # the full-resolution network that methods run on key frames


@dataclass(frozen=True, kw_only=True)
class TrainedMember:
    """A name of weights taken apart: "arseg:window-3@0.5" is of the family "arseg", variant "window-3", scale 0.5."""

    family: str
    variant: str = ""
    scale: float | None = None


@dataclass(kw_only=True, eq=False)
class Tools:
    """What a branch may use while it prepares its training.

    Args:
        path: (member) -> where its weights lie.
        num_classes: K.
        videos: the training split.
        cache: of encoded streams.
        device: to train on.
        tell: (stage) -> a progress callback; None where nobody listens.
        kept: what the members of one call share (decoded samples), by a name of the branch's choosing.
    """

    path: Callable[[str], Path]
    num_classes: int
    videos: Sequence[SourceVideo]
    cache: EncodeCache
    device: torch.device
    tell: Callable[[str], Progress] | None = None
    kept: dict[str, Any] = field(default_factory=dict)

    def counting(self, stage: str) -> Callable[[int, int], None] | None:
        """A callback (done, in all) of a stage that has no loss to tell."""
        report = self.tell(stage) if self.tell else None
        return report and (lambda done, total: report(done, total, math.nan, math.nan))


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """What a branch hands over to be trained.

    Args:
        module: holds the trainable parameters.
        loss: to minimise.
        samples: to draw from.
        tensors: what the weights file holds, asked for when the training is over.
        final_sha256: see `networks.weights.WeightsHeader`.
    """

    module: nn.Module
    loss: Loss
    samples: Samples
    tensors: Callable[[], dict[str, Tensor]]
    final_sha256: str = ""


class Branch(Protocol):
    """A method that trains weights of its own beside, or on top of, the per-frame networks.

    Attributes:
        name: of its family.
        form: how its members are called, for messages.
        settings: the record of its part of a recipe.
        start: the weights that it starts from.
        reads_streams: whether a recipe's encoding has a part in the weights.
    """

    name: str
    form: str
    settings: type
    start: str
    reads_streams: bool

    def require(self, member: TrainedMember, name: str) -> None:
        """Refuse a member that is not trained. Raises: UsageError."""
        ...

    def check(self, member: TrainedMember, recipe: Recipe, num_classes: int) -> None:
        """Refuse a member whose settings do not go together or with the network. Raises: UsageError."""
        ...

    def recorded(self, member: TrainedMember, settings: Any) -> dict[str, Any]:
        """The settings that this member's weights depend on, as the header of its file has them."""
        ...

    def prepare(self, member: TrainedMember, recipe: Recipe, tools: Tools) -> Training:
        """What is to be trained. Raises: WeightsError, when what it starts from is missing or does not fit."""
        ...


def parse_member(member: str, branches: Mapping[str, Branch]) -> TrainedMember:
    """Take a name of weights apart: base, constant@SCALE, or a branch's FAMILY:VARIANT@SCALE.

    Raises: UsageError, when it names nothing that is trained.
    """
    if member == BASE:
        return TrainedMember(family=BASE, scale=1.0)
    head, at, point = member.partition("@")
    family, colon, variant = head.partition(":")
    try:
        scale = float(point) if at else None
    except ValueError:
        scale = float("nan")
    parsed = TrainedMember(family=family, variant=variant, scale=scale)
    if family in branches:
        branches[family].require(parsed, member)
    elif family != "constant" or colon or scale is None or not 0 < scale <= 1:
        forms = ["base", "constant@SCALE", *(branch.form for branch in branches.values())]
        raise UsageError(f"cannot train {member!r}; weights are called {', '.join(forms)}, 0 < SCALE <= 1")
    if at and point != str(scale):  # a run would not find them under another name
        raise UsageError(f"cannot train {member!r}; call it {head}@{scale}")
    return parsed


def trainable_layout(network: nn.Module, device: torch.device) -> torch.memory_format:
    """The layout of a network's tensors that trains fastest: channels last, where that is safe.

    oneDNN 3.12 (torch 2.13 on a CPU) writes out of bounds in the backward pass of a 1x1 convolution of stride 2, as the
    shortcuts of a ResNet are, when it is channels last and its input channels are no multiple of 16.
    """
    narrow = any(
        isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) and m.stride == (2, 2) and m.in_channels % 16
        for m in network.modules()
    )
    return torch.contiguous_format if narrow and device.type == "cpu" else torch.channels_last


class Trainer:
    """Trains the members of a recipe, sharing the data that they share.

    Every constant-resolution network, 1.0 included, starts from one base network and is trained equally long at its
    own scale, so that no scale is favoured.

    Args:
        recipe: what to do.
        videos: the training split.
        num_classes: K.
        weights: folder of the results, MEMBER.safetensors each; finished ones are not trained again.
        cache: of encoded streams.
        device: to train on.
        branches: name of a method -> how it is trained.
        progress: called with the member's name -> a callback for each step; also for stages that prepare.
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
        branches: Mapping[str, Branch],
        progress: Callable[[str], Progress] | None = None,
    ) -> None:
        self._recipe = recipe
        self._weights = weights
        self._branches = branches
        self._tools = Tools(
            path=self.path, num_classes=num_classes, videos=videos, cache=cache, device=device, tell=progress
        )

    def path(self, member: str) -> Path:
        """Where the weights of a member go."""
        return self._weights / f"{member}.safetensors"

    def check(self, members: Sequence[str]) -> None:
        """Refuse a list that cannot be trained before the first step is taken.

        Raises: UsageError, for an unknown member, one that the recipe says nothing of, one whose settings do not go
            together or with the network, one whose starting weights are neither there nor listed before, or a
            network that has no `pretrained` weights; WeightsError, when these are not there.
        """
        self._check_pretrained()
        for number, member in enumerate(members):
            parsed = parse_member(member, self._branches)
            if parsed.family in self._branches:
                if parsed.family not in self._recipe.branches:
                    raise UsageError(f"the recipe says nothing of {parsed.family}; give it a table [{parsed.family}]")
                self._branches[parsed.family].check(parsed, self._recipe, self._tools.num_classes)
            first = self._start(parsed)
            if first and first not in members[:number] and not self.path(first).exists():
                raise UsageError(
                    f"{member} starts from the weights {self.path(first)}, which are not there; train {first} first"
                )

    def _check_pretrained(self) -> None:
        """Whether the published weights that the recipe starts from are there, and of a network that has such."""
        recipe = self._recipe
        if not recipe.pretrained:
            return
        with torch.device("meta"):
            network = build_network(recipe.network, num_classes=self._tools.num_classes, width=recipe.width)
        _require_segformer(network, recipe)
        require_file(Path(recipe.pretrained))

    @cached_property
    def _pretrained_sha256(self) -> str:
        """Of the published weights. Raises: WeightsError, when they are not there."""
        path = Path(self._recipe.pretrained)
        require_file(path)
        return file_sha256(path)

    def _start(self, parsed: TrainedMember) -> str | None:
        """The weights that a member starts from."""
        if parsed.family == BASE:
            return None
        return self._branches[parsed.family].start if parsed.family in self._branches else BASE

    def train(self, member: str) -> Path:
        """Train one member, going on from its checkpoint; returns the path of its weights.

        Raises: UsageError, for an unknown member; WeightsError, when what it starts from is missing or does not fit.
        """
        parsed = parse_member(member, self._branches)
        if self.path(member).exists():
            self._require_same_recipe(member, parsed)
            return self.path(member)
        branch = self._branches.get(parsed.family)
        schedule = self._schedule(parsed)
        torch.manual_seed(schedule.seed)
        training = (
            branch.prepare(parsed, self._recipe, self._tools) if branch is not None else self._per_frame(member, parsed)
        )
        header = self._header(member, parsed, training.final_sha256)
        checkpoint = self._weights / "checkpoints" / f"{member}.safetensors"
        train(
            training.module,
            training.loss,
            training.samples,
            schedule,
            checkpoint=checkpoint,
            identity=json.dumps(header.recipe, sort_keys=True),
            device=self._tools.device,
            progress=self._tools.tell(member) if self._tools.tell else None,
        )
        save_weights(self.path(member), training.tensors(), header)
        checkpoint.unlink(missing_ok=True)
        return self.path(member)

    def _schedule(self, parsed: TrainedMember) -> Schedule:
        """How long and how fast a member is trained."""
        if parsed.family in self._branches:
            return self._recipe.branches[parsed.family].schedule
        return self._recipe.base if parsed.family == BASE else self._recipe.constant

    def _require_same_recipe(self, member: str, parsed: TrainedMember) -> None:
        """Refuse to pass off weights that another recipe made as this one's."""
        _, header = read_weights(self.path(member))
        wanted = self._header(member, parsed).recipe
        differing = sorted(
            key for key in wanted.keys() | header.recipe.keys() if wanted.get(key) != header.recipe.get(key)
        )
        if differing:
            raise WeightsError(
                f"{self.path(member)} was made by another recipe (other {', '.join(differing)}); delete it to train it "
                "again, or give another folder with --weights"
            )

    def _per_frame(self, member: str, parsed: TrainedMember) -> Training:
        recipe, tools = self._recipe, self._tools
        if member == BASE:
            network = build_network(recipe.network, num_classes=tools.num_classes, width=recipe.width)
            if recipe.pretrained:
                path = Path(recipe.pretrained)
                segformer = _require_segformer(network, recipe)
                load_transformers_checkpoint(path, segformer, part=fitting_part(path, segformer))
        else:
            network, _ = load_network(
                self.path(BASE), num_classes=tools.num_classes, device=tools.device, auxiliary=True
            )
        network = network.to(tools.device, memory_format=trainable_layout(network, tools.device))  # type: ignore[call-overload]
        scale = 1.0 if parsed.scale is None else parsed.scale
        loss = segmentation_loss(
            network, scale=scale, criterion=LOSSES[recipe.criterion], label_stride=recipe.label_stride
        )
        if "frames" not in tools.kept:
            tools.kept["frames"] = LabelledFrames(tools.videos, every=recipe.every)
        return Training(module=network, loss=loss, samples=tools.kept["frames"], tensors=network.state_dict)

    def _header(self, member: str, parsed: TrainedMember, final_sha256: str = "") -> WeightsHeader:
        """What the file says; of the recipe, what says something of these weights, and nothing of others.

        Published weights, where it starts from them, are said by their content and not by their path.
        """
        recipe = self._recipe
        said = {f.name: getattr(recipe, f.name) for f in dataclasses.fields(recipe)}
        branch_recipes = said.pop("branches")
        del said["members"]
        if said.pop("pretrained"):
            said["pretrained"] = self._pretrained_sha256
        branch = self._branches.get(parsed.family)
        if branch is None or not branch.reads_streams:
            del said["encoding"]
        if parsed.family == BASE or (branch is not None and branch.start == BASE):
            del said["constant"]
        if branch is not None:
            own = branch_recipes[parsed.family]
            said |= {parsed.family: own.schedule, **branch.recorded(parsed, own.settings)}
        said = {key: dataclasses.asdict(v) if dataclasses.is_dataclass(v) else v for key, v in said.items()}  # type: ignore[arg-type]
        return WeightsHeader(
            network=recipe.network,
            num_classes=self._tools.num_classes,
            width=recipe.width,
            scale=1.0 if parsed.scale is None else parsed.scale,
            recipe=json.loads(json.dumps({"member": member, **said})),
            final_sha256=final_sha256,
        )


def _require_segformer(network: nn.Module, recipe: Recipe) -> SegFormer:
    """The network, if there are published weights that it can start from. Raises: UsageError."""
    if not isinstance(network, SegFormer):
        raise UsageError(
            f"pretrained weights are read for SegFormer alone, the recipe's network is {recipe.network}; leave the key "
            'pretrained out, or give network = "segformer-b0" or another of its sizes'
        )
    return network

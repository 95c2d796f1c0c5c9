"""AR-Seg's own weights: videos -> the low-resolution branch and CReFF, beside the full-resolution network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch

from arseg.creff import CONVENTIONS
from arseg.feature_similarity import fst_loss
from arseg.model import ARSegNetwork
from arseg.options import UNTRAINED, VARIANTS, Options, options_of
from arseg.pairs import KeyFramePairs
from vssbench.datasets.clips import default_bitrate_kbps
from vssbench.errors import UsageError
from vssbench.networks.weights import load_network, tensors_sha256
from vssbench.networks.zoo import build_network
from vssbench.training.losses import LOSSES
from vssbench.training.recipe import Recipe, require_one_of
from vssbench.training.trainer import HIGH, Tools, TrainedMember, Training, trainable_layout


@dataclass(frozen=True, kw_only=True)
class ARSegSettings:
    """The part of a recipe that is AR-Seg's alone.

    Args:
        unfused_steps: see `arseg.feature_similarity.fst_loss`.
        convention: "paper" or "release".
        options: what is there; a member `arseg:VARIANT@SCALE` changes these as `arseg.options.VARIANTS` says.

    Raises: UsageError, when a name is unknown or a number out of range.
    """

    unfused_steps: int = 0
    convention: str = "paper"
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        require_one_of("convention", self.convention, CONVENTIONS)
        if self.unfused_steps < 0:
            raise UsageError(f"unfused_steps must be at least 0, got {self.unfused_steps}")


class ARSegBranch:
    """How the low-resolution branch is trained: from the full-resolution network, which stays as it is."""

    name = "arseg"
    form = f"arseg@SCALE, arseg:VARIANT@SCALE (VARIANT one of {', '.join(v for v in VARIANTS if v not in UNTRAINED)})"
    settings = ARSegSettings
    start = HIGH
    reads_streams = True

    def require(self, member: TrainedMember, name: str) -> None:
        """Refuse a member that is not trained. Raises: UsageError."""
        if member.variant in UNTRAINED:
            head = name.partition("@")[0]
            raise UsageError(
                f"{name} needs no training: it runs the weights of {HIGH} alone; train that, and run {head} without a "
                "scale"
            )
        known = member.variant in VARIANTS if ":" in name else True
        if not known or member.scale is None or not 0 < member.scale <= 1:
            raise UsageError(f"cannot train {name!r}; weights of AR-Seg are called {self.form}, 0 < SCALE <= 1")

    def check(self, member: TrainedMember, recipe: Recipe, num_classes: int) -> None:
        """Refuse options that do not go together or with the network. Raises: UsageError."""
        options = options_of(member.variant, recipe.branches[self.name].settings.options)
        with torch.device("meta"):
            network = build_network(recipe.network, num_classes=num_classes, width=recipe.width)
            ARSegNetwork(network, scale=_scale(member), options=options)

    def recorded(self, member: TrainedMember, settings: Any) -> dict[str, Any]:
        """The settings that this member's weights depend on; the options only where they are not AR-Seg's own."""
        options = options_of(member.variant, settings.options)
        said = {"unfused_steps": settings.unfused_steps, "convention": settings.convention}
        return said | ({"options": dataclasses.asdict(options)} if options.changed() else {})

    def prepare(self, member: TrainedMember, recipe: Recipe, tools: Tools) -> Training:
        """The network, FST's loss and the pairs. Raises: WeightsError, when the full-resolution weights do not fit."""
        settings: ARSegSettings = recipe.branches[self.name].settings
        high, _ = load_network(tools.path(HIGH), num_classes=tools.num_classes, device=tools.device)
        network = ARSegNetwork(
            high,
            scale=_scale(member),
            options=options_of(member.variant, settings.options),
            convention=CONVENTIONS[settings.convention],
        )
        network = network.to(tools.device, memory_format=trainable_layout(network, tools.device))
        loss = fst_loss(
            network,
            criterion=LOSSES[recipe.criterion],
            unfused_steps=settings.unfused_steps,
            label_stride=recipe.label_stride,
        )
        return Training(
            module=network,
            loss=loss,
            samples=_key_frame_pairs(recipe, tools),
            tensors=network.branch_tensors,
            final_sha256=tensors_sha256(network.high.final.state_dict()),
        )


def _scale(member: TrainedMember) -> float:
    return 1.0 if member.scale is None else member.scale


def _key_frame_pairs(recipe: Recipe, tools: Tools) -> KeyFramePairs:
    """The pairs, made once for all members."""
    if "key frame pairs" not in tools.kept:
        first = tools.videos[0]
        rate = recipe.encoding.bitrate_kbps or default_bitrate_kbps(first.size, first.fps)
        tools.kept["key frame pairs"] = KeyFramePairs(
            tools.videos,
            settings=dataclasses.replace(recipe.encoding, bitrate_kbps=rate, fps=first.fps),
            cache=tools.cache,
            every=recipe.every,
            progress=tools.counting("encoding pairs"),
        )
    pairs: KeyFramePairs = tools.kept["key frame pairs"]
    return pairs

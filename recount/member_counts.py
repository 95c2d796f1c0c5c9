"""What AR-Seg's paper would print for a step of a run's methods, on their own network, width and classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from arseg.locations import FINAL, LOCATIONS
from arseg.options import Options, options_of
from recount.costs import META
from recount.fusion_terms import fusion_macs
from vssbench.complexity.conventions import ARSEG_RELEASED, arseg_network_macs, arseg_nonkey_macs, thop_2020_macs
from vssbench.networks.base import SegmentationNetwork
from vssbench.networks.weights import WeightsHeader, read_weights
from vssbench.networks.zoo import build_network
from vssbench.ops.resize import scaled_size

PAPER = "arseg-paper"  # the form of the rows of L = 12
WITHOUT_CLASSIFIER = "arseg-paper-no-classifier"  # that of Table 3's rows of L = 15, 20 and 30
NOT_COUNTED = "AR-Seg's paper counts no such system"

Size = tuple[int, int]  # (height, width)
# (kind of step, size of the frame) -> name of the convention -> MACs, or why there is none
Printed = Callable[[str, Size], Mapping[str, int | str]]


def printed_constant(weights: Path, *, scale: float) -> Printed:
    """The counts of `constant@scale`, all of whose frames are alike.

    Args:
        weights: file of the network, read when a count is asked for.
        scale: of every frame.
    """
    header = _header_of(weights)

    def printed(_kind: str, frame_size: Size) -> Mapping[str, int | str]:
        network = _Network.of(header())
        return _both(network.macs(scaled_size(frame_size, scale)) if network.released else NOT_COUNTED)

    return printed


def printed_arseg(weights: Path) -> Printed:
    """The counts of `arseg@scale` and of its variants that have a branch, by the options it was trained with.

    Args:
        weights: file of the low-resolution branch, read when a count is asked for.
    """
    header = _header_of(weights)

    def printed(kind: str, frame_size: Size) -> Mapping[str, int | str]:
        options = Options(**header().recipe.get("options", {}))
        return _of_kind(kind, _Network.of(header()), frame_size, header().scale, options)

    return printed


def printed_untrained_arseg(weights: Path, *, variant: str) -> Printed:
    """The counts of a variant of AR-Seg without a branch.

    Args:
        weights: file of the full-resolution network, read when a count is asked for.
        variant: of `arseg.options`, "warp-only".
    """
    header = _header_of(weights)

    def printed(kind: str, frame_size: Size) -> Mapping[str, int | str]:
        return _of_kind(kind, _Network.of(header()), frame_size, 1.0, options_of(variant))

    return printed


def printed_nowhere(_kind: str, _frame_size: Size) -> Mapping[str, int | str]:
    """Of a system that is not in the paper."""
    return _both(NOT_COUNTED)


def _header_of(weights: Path) -> Callable[[], WeightsHeader]:
    return cache(lambda: read_weights(weights)[1])


def _both(value: int | str) -> Mapping[str, int | str]:
    """A count in which no classifier's term can be left out."""
    return {PAPER: value, WITHOUT_CLASSIFIER: value}


def _of_kind(kind: str, network: _Network, size: Size, scale: float, options: Options) -> Mapping[str, int | str]:
    if not network.released or kind not in ("key", "non-key"):
        return _both(NOT_COUNTED)
    if kind == "key":
        return _both(network.macs(size))
    return {
        PAPER: _nonkey(network, size, scale, options, classifier=True),
        WITHOUT_CLASSIFIER: _nonkey(network, size, scale, options, classifier=False),
    }


# ---- a network, and a non-key frame ----


@dataclass(frozen=True, kw_only=True)
class _Network:
    """A network as its weights say, by whose fields counts are kept: many members share it."""

    name: str
    width: float
    num_classes: int

    @classmethod
    def of(cls, header: WeightsHeader) -> _Network:
        return cls(name=header.network, width=header.width, num_classes=header.num_classes)

    @property
    def released(self) -> bool:
        return self.name in ARSEG_RELEASED

    def macs(self, size: Size) -> int:
        return _counted(self, size)[0]


@cache
def _built(network: _Network) -> SegmentationNetwork:
    """Without values, with its auxiliary heads, which the released program may run."""
    with META:
        return build_network(network.name, num_classes=network.num_classes, width=network.width).eval()


@cache
def _counted(network: _Network, size: Size) -> tuple[int, torch.Size]:
    """What the paper counts for one image, and the shape (1, C, h, w) of the map before the classifier."""
    net, shapes = _built(network), list[torch.Size]()
    hook = net.final.register_forward_pre_hook(lambda _, inputs: shapes.append(inputs[0].shape))  # copied with the net
    with hook, torch.inference_mode():  # which meta tensors pass faster
        macs = arseg_network_macs(network.name, net, size)
    return macs, shapes[-1]


def _nonkey(network: _Network, size: Size, scale: float, options: Options, *, classifier: bool) -> int:
    """X(s), with what the options have in place of CReFF; of a warp alone neither it nor the classifier counts."""
    if not options.has_branch:
        return 0
    low_size = scaled_size(size, scale)
    if options.location != FINAL.name:  # the classifier is in what follows the fusion, at full resolution
        (head, shape), (low_head, _) = (_head(network, each, options.location) for each in (size, low_size))
        return low_head + network.macs(size) - head + _fusion(options, shape)
    (_, shape), (low, low_shape) = _counted(network, size), _counted(network, low_size)
    return round(
        arseg_nonkey_macs(
            low,
            _fusion(options, shape),
            channels=shape[1],
            pixels=shape[2:].numel(),
            low_pixels=low_shape[2:].numel(),
            num_classes=network.num_classes,
            classifier=classifier and options.fusion != "none",  # which upsamples labels, not features
        )
    )


def _fusion(options: Options, shape: torch.Size) -> int:
    return sum(fusion_macs(options, channels=shape[1], size=(shape[2], shape[3])).values())


@cache
def _head(network: _Network, size: Size, location: str) -> tuple[int, torch.Size]:
    """What precedes a fusion elsewhere than before the classifier, and the shape of its map."""
    maps: list[Tensor] = []

    def run(net: Any, images: Tensor) -> None:
        maps.append(LOCATIONS[location].head(net, images))

    with torch.inference_mode():
        macs = thop_2020_macs(_built(network), size, run=run)
    return macs, maps[0].shape

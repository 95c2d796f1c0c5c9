"""Where a network is cut for CReFF: before its final layer, before N_task, or before N_feat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vssbench.errors import UsageError
from vssbench.networks.base import SegmentationNetwork

_PROBE = (1, 3, 64, 64)  # a picture on which a cut is tried


@dataclass(frozen=True, kw_only=True)
class Location:
    """A cut through a network: `tail(network, head(network, images))` are its features before the final layer.

    Args:
        name: of the cut.
        head: (network, images (N, 3, H, W) in 0..1) -> the map that is fused, (N, C, h, w); a frame runs it at its
            own resolution.
        tail: (network, the map) -> features before the final layer; every frame runs it at full resolution.
    """

    name: str
    head: Callable[[SegmentationNetwork, Tensor], Tensor]
    tail: Callable[[SegmentationNetwork, Tensor], Tensor]

    def channels(self, network: SegmentationNetwork) -> int:
        """Channels C of the map that is fused; tries the cut, which needs the network in evaluation mode.

        Raises: UsageError, when the network cannot be cut here.
        """
        if self.name == "final":
            return network.feature_channels
        with torch.no_grad():
            images = torch.rand(_PROBE, device=network.mean.device, generator=_fixed(network.mean.device))
            fused, whole = self.head(network, images), network.features(images)
            try:
                cut = self.tail(network, fused)
            except RuntimeError as error:  # more lies between the two than the tail knows
                raise _no_cut(self.name, network) from error
        if cut.shape != whole.shape or not (cut.is_meta or torch.allclose(cut, whole, rtol=1e-3, atol=1e-4)):
            raise _no_cut(self.name, network)
        return int(fused.shape[1])


def _fixed(device: torch.device) -> torch.Generator | None:
    """The same picture every time, without touching the random numbers that training draws."""
    return None if device.type == "meta" else torch.Generator(device).manual_seed(0)


def _no_cut(where: str, network: SegmentationNetwork) -> UsageError:
    return UsageError(
        f"{type(network).__name__} cannot be cut at {where!r}: CReFF fuses one map, which all that follows reads; "
        "use pspnet18-camvid, the network of the paper's Table 3, or location 'final'"
    )


def _features(network: SegmentationNetwork, images: Tensor) -> Tensor:
    return network.features(images)


def _as_it_is(_network: SegmentationNetwork, fused: Tensor) -> Tensor:
    return fused


def _extracted(network: SegmentationNetwork, images: Tensor) -> Tensor:
    extracted = network.extract(network.normalise(images))
    if not isinstance(extracted, Tensor):
        raise _no_cut("task", network)
    return extracted


def _refined(network: SegmentationNetwork, fused: Tensor) -> Tensor:
    return network.refine(fused)


def _stem(network: SegmentationNetwork, images: Tensor) -> Tensor:
    stem = getattr(getattr(network, "backbone", None), "stem", None)
    if stem is None:
        raise _no_cut("feat", network)
    stemmed: Tensor = stem(network.normalise(images))
    return stemmed


def _after_stem(network: SegmentationNetwork, fused: Tensor) -> Tensor:
    for stage in ("stage1", "stage2", "stage3", "stage4"):
        fused = getattr(network.backbone, stage)(fused)
    return network.refine(fused)


FINAL = Location(name="final", head=_features, tail=_as_it_is)
LOCATIONS = {
    location.name: location
    for location in (
        FINAL,
        Location(name="task", head=_extracted, tail=_refined),  # pspnet.py, PSPNetWithFuseV2: C = 512 at 1/8
        # pspnet.py, PSPNetWithFuseV3: C = 64 at 1/4, behind the max-pool; the paper's "after the first convolution
        # layer" (sec. 4.3) would be at 1/2
        Location(name="feat", head=_stem, tail=_after_stem),
    )
}

"""Names -> networks."""

from __future__ import annotations

from collections.abc import Callable

from vssbench.errors import UsageError
from vssbench.networks.base import SegmentationNetwork
from vssbench.networks.bisenet import BiSeNet18
from vssbench.networks.pspnet import PSPNet18CamVid, PSPNet18Cityscapes

NETWORKS: dict[str, Callable[..., SegmentationNetwork]] = {
    "bisenet18": BiSeNet18,
    "pspnet18-camvid": PSPNet18CamVid,
    "pspnet18-cityscapes": PSPNet18Cityscapes,
}


def build_network(name: str, *, num_classes: int, width: float = 1.0) -> SegmentationNetwork:
    """A fresh network by name.

    Raises: UsageError, for an unknown name.
    """
    if name not in NETWORKS:
        raise UsageError(f"no network is called {name!r}; there are {', '.join(NETWORKS)}")
    return NETWORKS[name](num_classes=num_classes, width=width)

"""Names -> networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vssbench.errors import UsageError
from vssbench.networks.base import SegmentationNetwork
from vssbench.networks.bisenet import BiSeNet18
from vssbench.networks.deeplab import DeepLab
from vssbench.networks.icnet import ICNet
from vssbench.networks.mobilenet_fpn import MobileNetFPN
from vssbench.networks.pspnet import PSPNet, PSPNet18CamVid, PSPNet18Cityscapes
from vssbench.networks.segformer import SegFormer

Builder = Callable[..., SegmentationNetwork]


def _form(network: Builder, summary: str, **options: Any) -> Builder:
    """A network in one of its forms, which takes the number of classes and the width alone."""

    def build(*, num_classes: int, width: float = 1.0) -> SegmentationNetwork:
        return network(num_classes=num_classes, width=width, **options)

    build.__doc__ = summary
    return build


NETWORKS: dict[str, Builder] = {
    "bisenet18": BiSeNet18,
    "pspnet18-camvid": PSPNet18CamVid,
    "pspnet18-cityscapes": PSPNet18Cityscapes,
    "pspnet50": _form(PSPNet, "PSPNet50 in the form of semseg, with the deep stem; logits at 1/8.", depth=50),
    "pspnet50-plain": _form(PSPNet, "PSPNet50 with the 7x7 stem of the ResNet paper.", depth=50, stem="plain"),
    "pspnet101": _form(PSPNet, "PSPNet101 in the form of semseg, with the deep stem; logits at 1/8.", depth=101),
    "deeplab18": _form(DeepLab, "DeepLab-18 as Accel runs it, deformable; logits at 1/16.", depth=18),
    "deeplab18-plain": _form(DeepLab, "DeepLab-18 with ordinary convolutions.", depth=18, deformable=False),
    "deeplab50": _form(DeepLab, "DeepLab-50 as Accel runs it, deformable; logits at 1/16.", depth=50),
    "deeplab50-plain": _form(DeepLab, "DeepLab-50 with ordinary convolutions.", depth=50, deformable=False),
    "taplab-bl1": _form(ICNet, "TapLab's BL1: ICNet on a light ResNet50; logits at 1/4."),
    "taplab-bl2": _form(MobileNetFPN, "TapLab's BL2: MobileNetV1 and a feature pyramid; logits at 1/4."),
    "taplab-bl3": _form(PSPNet, "TapLab's BL3: PSPNet101 with the 7x7 stem; logits at 1/8.", depth=101, stem="plain"),
    **{
        f"segformer-{variant}": _form(SegFormer, f"SegFormer-{variant.upper()}; logits at 1/4.", variant=variant)
        for variant in ("b0", "b1", "b2", "b3", "b4", "b5")
    },
    "segformer-b5-256": _form(
        SegFormer, "SegFormer-B5 with TFC's decoder of 256 channels.", variant="b5", decoder_channels=256
    ),
}


def build_network(name: str, *, num_classes: int, width: float = 1.0) -> SegmentationNetwork:
    """A fresh network by name.

    Raises: UsageError, for an unknown name.
    """
    if name not in NETWORKS:
        raise UsageError(f"no network is called {name!r}; there are {', '.join(NETWORKS)}")
    return NETWORKS[name](num_classes=num_classes, width=width)

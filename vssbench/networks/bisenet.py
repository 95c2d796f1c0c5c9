"""BiSeNet with a ResNet18 context path (Yu et al., ECCV 2018), as AR-Seg uses it: CReFF sits at 1/8, C = 256."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from vssbench.networks.base import SegmentationNetwork
from vssbench.networks.blocks import ConvBnRelu, scaled
from vssbench.networks.resnet import ResNet18
from vssbench.ops.resize import resize


class AttentionRefinement(nn.Module):
    """3x3 convolution whose channels are weighted by their own global mean (paper, fig. 2b)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = ConvBnRelu(c_in, c_out)
        self.weight = nn.Sequential(nn.Conv2d(c_out, c_out, 1, bias=False), nn.BatchNorm2d(c_out), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, h, w) -> (N, c_out, h, w)."""
        y: Tensor = self.conv(x)
        return y * cast(Tensor, self.weight(y.mean((2, 3), keepdim=True)))


class ContextPath(nn.Module):
    """ResNet18 and two attention refinements: the semantic branch, returned at 1/8."""

    def __init__(self, *, width: float) -> None:
        super().__init__()
        self.backbone = ResNet18(width=width)
        _, c3, c4 = self.backbone.channels[1:]
        c = scaled(128, width)
        self.global_context = ConvBnRelu(c4, c, 1)
        self.refine32 = AttentionRefinement(c4, c)
        self.head32 = ConvBnRelu(c, c)
        self.refine16 = AttentionRefinement(c3, c)
        self.head16 = ConvBnRelu(c, c)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, h, w) -> features at 1/8 and, for the auxiliary head, at 1/16."""
        _, x16, x32 = self.backbone(images)
        context = self.global_context(x32.mean((2, 3), keepdim=True))
        up32 = functional.interpolate(self.refine32(x32) + context, scale_factor=2.0, mode="nearest")
        y16 = self.head32(resize(up32, (x16.shape[-2], x16.shape[-1])))
        up16 = functional.interpolate(self.refine16(x16) + y16, scale_factor=2.0, mode="nearest")
        return self.head16(up16), y16


class FeatureFusion(nn.Module):
    """Joins the spatial and the context path (paper, fig. 2c)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = ConvBnRelu(c_in, c_out, 1)
        self.weight = nn.Sequential(nn.Conv2d(c_out, c_out, 1, bias=False), nn.BatchNorm2d(c_out), nn.Sigmoid())

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        """Two maps of one size -> (N, c_out, h, w)."""
        y: Tensor = self.conv(torch.cat([spatial, context], 1))
        return y + y * cast(Tensor, self.weight(y.mean((2, 3), keepdim=True)))


class BiSeNet18(SegmentationNetwork):
    """BiSeNet18: N_feat = spatial and context path, N_task = fusion and the head's 3x3 convolution.

    Executes 39.12 GMAC at 720x960 with 12 classes; the 58.83 in print counts one convolution four times
    (thop sums a module once per name).

    Args:
        num_classes: K.
        width: multiplies every channel count; 1.0 is the published network (13.3 M parameters).
    """

    auxiliary_weights = (1.0, 1.0)  # released AR-Seg: OHEM on all three outputs alike

    def __init__(self, *, num_classes: int, width: float = 1.0) -> None:
        super().__init__()
        c64, c128, c256 = (scaled(c, width) for c in (64, 128, 256))
        self.spatial_path = nn.Sequential(
            ConvBnRelu(3, c64, 7, stride=2),
            ConvBnRelu(c64, c64, stride=2),
            ConvBnRelu(c64, c64, stride=2),
            ConvBnRelu(c64, c128, 1),
        )
        self.context_path = ContextPath(width=width)
        self.fusion = FeatureFusion(2 * c128, c256)
        self.head = ConvBnRelu(c256, c256)
        self.final = nn.Conv2d(c256, num_classes, 1)
        self.auxiliary8 = nn.Sequential(ConvBnRelu(c128, c64), nn.Conv2d(c64, num_classes, 1))
        self.auxiliary16 = nn.Sequential(ConvBnRelu(c128, c64), nn.Conv2d(c64, num_classes, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=1)

    def low_level(self, images: Tensor) -> Tensor:
        """The spatial path: images (N, 3, h, w) in 0..1 -> (N, 128, h / 8, w / 8)."""
        y: Tensor = self.spatial_path(self.normalise(images))
        return y

    def high_level(self, images: Tensor) -> Tensor:
        """The context path: images (N, 3, h, w) in 0..1 -> (N, 128, h / 8, w / 8)."""
        y: Tensor = self.context_path(self.normalise(images))[0]
        return y

    def fuse(self, low: Tensor, high: Tensor) -> Tensor:
        """N_task: both paths -> features (N, 256, h / 8, w / 8) before the final layer."""
        low = resize(low, (high.shape[-2], high.shape[-1]))  # the paths round odd sizes differently
        y: Tensor = self.head(self.fusion(low, high))
        return y

    def extract(self, images: Tensor) -> tuple[Tensor, ...]:
        """N_feat: normalised images -> (spatial path, context path at 1/8, context path at 1/16)."""
        return (self.spatial_path(images), *self.context_path(images))

    def refine(self, extracted: Tensor | tuple[Tensor, ...]) -> Tensor:
        """N_task: fusion and the head's 3x3 convolution."""
        return self.fuse(extracted[0], extracted[1])

    def training_outputs(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features before the final layer, and the logits of the heads at 1/8 and 1/16 of the context path."""
        extracted = self.extract(self.normalise(images))
        auxiliary = [self.auxiliary8(extracted[1]), self.auxiliary16(extracted[2])]
        return self.refine(extracted), auxiliary

"""MobileNetV1 with pyramid pooling and a feature pyramid: the network of TapLab's baseline BL2."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vssbench.networks.base import SegmentationNetwork
from vssbench.networks.blocks import ConvBnRelu, initialise_convolutions, scaled
from vssbench.ops.resize import resize

STAGES = ((128, 2), (256, 2), (512, 6), (1024, 2))  # (channels, blocks) at 1/4, 1/8, 1/16, 1/32; MobileNet, table 1
POOL_SIZES = (1, 2, 4, 8)


class SeparableBlock(nn.Sequential):
    """Depthwise 3x3 and pointwise 1x1 convolution, each with batch normalisation and ReLU (MobileNet, fig. 3)."""

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1) -> None:
        super().__init__(ConvBnRelu(c_in, c_in, stride=stride, groups=c_in), ConvBnRelu(c_in, c_out, 1))


class Pooling(nn.Module):
    """Projects, pools to four grids, and joins them all (spatial pyramid pooling)."""

    def __init__(self, c_in: int, c_mid: int, c_grid: int, c_out: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(c_in, c_mid, 1)
        self.grids = nn.ModuleList(ConvBnRelu(c_mid, c_grid, 1) for _ in POOL_SIZES)
        self.fuse = ConvBnRelu(c_mid + len(POOL_SIZES) * c_grid, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, h, w) -> (N, c_out, h, w)."""
        x = self.project(x)
        size = (x.shape[-2], x.shape[-1])
        grids = [
            resize(grid(functional.adaptive_avg_pool2d(x, cells)), size)
            for cells, grid in zip(POOL_SIZES, self.grids, strict=True)
        ]
        y: Tensor = self.fuse(torch.cat([x, *grids], 1))
        return y


class Join(nn.Module):
    """Adds a projected lateral map to the upsampled one from above, and mixes them by a 3x3 convolution."""

    def __init__(self, c_above: int, c_lateral: int, c_out: int) -> None:
        super().__init__()
        self.lateral = ConvBnRelu(c_lateral, c_above, 1)
        self.mix = ConvBnRelu(c_above, c_out)

    def forward(self, above: Tensor, lateral: Tensor) -> Tensor:
        """(N, c_above, h, w) and (N, c_lateral, H, W) -> (N, c_out, H, W)."""
        up = resize(above, (lateral.shape[-2], lateral.shape[-1]), align_corners=True)
        y: Tensor = self.mix(self.lateral(lateral) + up)
        return y


class MobileNetFPN(SegmentationNetwork):
    """MobileNetV1 and a feature pyramid, 4.85 M parameters with 19 classes: TapLab's BL2; logits at 1/4.

    N_feat = MobileNetV1 up to 1/32, N_task = pooling and three joins; the classifier is a 3x3 convolution.
    39.7 GMAC at 1024x2048 with 19 classes. thop 0.1.1 gives 14.55 G at 720x960, 44.01 G at 1024x2048 and 4.87 M
    parameters with 64 outputs (measured on the released network, which takes that number from its configuration).

    Source: TapLab (TPAMI 2022), sec. 4.2.1, and a description of the released network; AR-Seg calls it MobileNetV2.

    Args:
        num_classes: K.
        width: multiplies every channel count.
    """

    def __init__(self, *, num_classes: int, width: float = 1.0) -> None:
        super().__init__()
        c32, c64 = scaled(32, width), scaled(64, width)
        self.stem = nn.Sequential(ConvBnRelu(3, c32, stride=2), SeparableBlock(c32, c64))
        c_in, stages = c64, []
        for channels, blocks in STAGES:
            c = scaled(channels, width)
            repeats = [SeparableBlock(c, c) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(SeparableBlock(c_in, c, stride=2), *repeats))
            c_in = c
        self.stages = nn.ModuleList(stages)
        c128, c256, c512, c1024 = (scaled(channels, width) for channels, _ in STAGES)
        self.pooling = Pooling(c1024, c512, c128, c256)
        self.joins = nn.ModuleList([Join(c256, c512, c128), Join(c128, c256, c64), Join(c64, c128, c64)])
        self.final = nn.Conv2d(c64, num_classes, 3, padding=1)
        initialise_convolutions(self)

    def extract(self, images: Tensor) -> tuple[Tensor, ...]:
        """N_feat: normalised images -> maps of 128, 256, 512 and 1024 channels at 1/4, 1/8, 1/16 and 1/32."""
        x, maps = self.stem(images), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)

    def refine(self, extracted: Tensor | tuple[Tensor, ...]) -> Tensor:
        """N_task: -> (N, 64, h / 4, w / 4)."""
        y: Tensor = self.pooling(extracted[-1])
        for join, lateral in zip(self.joins, reversed(extracted[:-1]), strict=True):
            y = join(y, lateral)
        return y

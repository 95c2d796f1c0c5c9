"""ResNets as backbones of segmentation networks, with the stride and dilation of their last two stages open."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from vssbench.networks.blocks import BasicBlock, Bottleneck, ConvBnRelu, scaled

Dilations = tuple[tuple[int, int], tuple[int, int]]  # of block 0 and block 1, each (conv1, conv2)
PLAIN: Dilations = ((1, 1), (1, 1))
Stem = Literal["plain", "deep"]
DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # bottlenecks a stage; He et al., CVPR 2016, table 1


class ResNet18(nn.Module):
    """The four stages of ResNet18 behind its 7x7 stem; biases off, batch normalisation throughout.

    Args:
        width: multiplies every channel count; 1.0 is the published network.
        strides: of stages 3 and 4; (2, 2) as published, (1, 1) in dilated networks.
        dilations: of stages 3 and 4.
    """

    def __init__(
        self,
        *,
        width: float = 1.0,
        strides: tuple[int, int] = (2, 2),
        dilations: tuple[Dilations, Dilations] = (PLAIN, PLAIN),
    ) -> None:
        super().__init__()
        self.channels = tuple(scaled(c, width) for c in (64, 128, 256, 512))
        c1, c2, c3, c4 = self.channels
        self.stem = nn.Sequential(
            nn.Conv2d(3, c1, 7, 2, padding=3, bias=False),
            nn.BatchNorm2d(c1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, padding=1),
        )
        self.stage1 = _stage(c1, c1, 1, PLAIN)
        self.stage2 = _stage(c1, c2, 2, PLAIN)
        self.stage3 = _stage(c2, c3, strides[0], dilations[0])
        self.stage4 = _stage(c3, c4, strides[1], dilations[1])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, h, w) -> the outputs of stages 2, 3 and 4 (strides 8, 16, 32 without dilation)."""
        x2 = self.stage2(self.stage1(self.stem(images)))
        x3 = self.stage3(x2)
        return x2, x3, self.stage4(x3)


def _stage(c_in: int, c_out: int, stride: int, dilations: Dilations) -> nn.Sequential:
    return nn.Sequential(
        BasicBlock(c_in, c_out, stride=stride, dilations=dilations[0]),
        BasicBlock(c_out, c_out, dilations=dilations[1]),
    )


class BottleneckResNet(nn.Module):
    """The four stages of ResNet50 or ResNet101 behind a stem; biases off, batch normalisation throughout.

    Args:
        depth: 50 or 101.
        width: multiplies every channel count; 1.0 is the published network.
        stem: "plain", 7x7 to 64 channels, as published; "deep", three 3x3 to 64, 64 and 128 channels, as semseg's.
        strides: of stages 3 and 4; (2, 2) as published, (1, 1) in dilated networks.
        dilations: of every 3x3 convolution of stages 3 and 4.
        stride_first: see `blocks.Bottleneck`.
    """

    def __init__(
        self,
        depth: int,
        *,
        width: float = 1.0,
        stem: Stem = "plain",
        strides: tuple[int, int] = (2, 2),
        dilations: tuple[int, int] = (1, 1),
        stride_first: bool = False,
    ) -> None:
        super().__init__()
        mids = tuple(scaled(c, width) for c in (64, 128, 256, 512))
        self.channels = tuple(4 * c for c in mids)
        c_in = scaled(128 if stem == "deep" else 64, width)
        self.stem = _deep_stem(mids[0], c_in) if stem == "deep" else _plain_stem(c_in)
        every = zip(DEPTHS[depth], mids, (1, 2, *strides), (1, 1, *dilations), strict=True)
        stages = []
        for count, c_mid, stride, dilation in every:
            stages.append(_bottlenecks(count, c_in, c_mid, stride, dilation, stride_first=stride_first))
            c_in = 4 * c_mid
        self.stage1, self.stage2, self.stage3, self.stage4 = stages

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, h, w) -> the outputs of stages 2, 3 and 4 (strides 8, 16, 32 without dilation)."""
        x2 = self.stage2(self.stage1(self.stem(images)))
        x3 = self.stage3(x2)
        return x2, x3, self.stage4(x3)


def _plain_stem(channels: int) -> nn.Sequential:
    convolution = nn.Conv2d(3, channels, 7, 2, padding=3, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1))


def _deep_stem(c_mid: int, c_out: int) -> nn.Sequential:
    layers = ConvBnRelu(3, c_mid, stride=2), ConvBnRelu(c_mid, c_mid), ConvBnRelu(c_mid, c_out)
    return nn.Sequential(*layers, nn.MaxPool2d(3, 2, padding=1))


def _bottlenecks(count: int, c_in: int, c_mid: int, stride: int, dilation: int, *, stride_first: bool) -> nn.Sequential:
    first = Bottleneck(c_in, c_mid, 4 * c_mid, stride=stride, dilation=dilation, stride_first=stride_first)
    rest = [Bottleneck(4 * c_mid, c_mid, 4 * c_mid, dilation=dilation) for _ in range(count - 1)]
    return nn.Sequential(first, *rest)

"""ResNet18 as the backbone of segmentation networks, with the stride and dilation of its last two stages open."""

from __future__ import annotations

from torch import Tensor, nn

from vssbench.networks.blocks import BasicBlock, scaled

Dilations = tuple[tuple[int, int], tuple[int, int]]  # of block 0 and block 1, each (conv1, conv2)
PLAIN: Dilations = ((1, 1), (1, 1))


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

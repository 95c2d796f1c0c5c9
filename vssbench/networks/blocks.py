"""The small layers that the networks share."""

from __future__ import annotations

from torch import Tensor, nn


def scaled(channels: int, width: float) -> int:
    """Channels of a network `width` times as wide, at least 4 and a multiple of 4."""
    return max(4, round(channels * width / 4) * 4)


class ConvBnRelu(nn.Sequential):
    """Bias-free convolution, batch normalisation, ReLU."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 3, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(c_out),
            nn.ReLU(inplace=True),
        )


class BasicBlock(nn.Module):
    """ResNet's two 3x3 convolutions with a shortcut (He et al., CVPR 2016, fig. 5 left).

    Args:
        dilations: of the first and the second convolution; dilated networks give them apart.
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1, dilations: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        first, second = dilations
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=first, dilation=first, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2: nn.Module = nn.Conv2d(c_out, c_out, 3, 1, padding=second, dilation=second, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, h, w) -> (N, c_out, h / stride, w / stride)."""
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out: Tensor = self.relu(y + self.shortcut(x))
        return out


class Bottleneck(nn.Module):
    """ResNet's 1x1, 3x3, 1x1 convolutions with a shortcut (He et al., CVPR 2016, fig. 5 right).

    Args:
        c_mid: channels of the first two convolutions.
        stride: of the 3x3 convolution, as torch's and semseg's ResNet have it, and of the shortcut.
        dilation: of the 3x3 convolution.
        stride_first: put the stride in the first 1x1 convolution instead, as the paper and MXNet's models do.
    """

    def __init__(
        self, c_in: int, c_mid: int, c_out: int, *, stride: int = 1, dilation: int = 1, stride_first: bool = False
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_first else (1, stride)
        self.conv1 = nn.Conv2d(c_in, c_mid, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(c_mid)
        self.conv2: nn.Module = nn.Conv2d(c_mid, c_mid, 3, second, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(c_mid)
        self.conv3 = nn.Conv2d(c_mid, c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, h, w) -> (N, c_out, h / stride, w / stride)."""
        y = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        out: Tensor = self.relu(self.bn3(self.conv3(y)) + self.shortcut(x))
        return out


def initialise_convolutions(network: nn.Module) -> None:
    """Draw every convolution's weights for a ReLU behind it (He et al., ICCV 2015), fan-out."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

"""Deformable 3x3 convolution (Dai et al., ICCV 2017), out of sampling and a product, on any device."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

TAPS = 9  # of a 3x3 kernel


class DeformableConvolution(nn.Module):
    """A bias-free 3x3 convolution of stride 1, whose taps move by offsets that another convolution predicts.

    The products count as a convolution, the bilinear reads at the moved taps as a warp (4 MACs for each channel, tap
    and pixel); thop, which sees modules, sees the offsets' convolution alone.

    Args:
        dilation: of both convolutions.
        offset_groups: groups of channels that move together; c_in is a multiple of it.
    """

    def __init__(self, c_in: int, c_out: int, *, dilation: int = 2, offset_groups: int = 4) -> None:
        super().__init__()
        self.dilation, self.offset_groups = dilation, offset_groups
        self.weight = nn.Parameter(torch.empty(c_out, c_in, 3, 3))
        self.offset = nn.Conv2d(c_in, 2 * TAPS * offset_groups, 3, padding=dilation, dilation=dilation)
        self.reset()

    def reset(self) -> None:
        """Weights as for a ReLU, offsets 0: an ordinary dilated convolution to begin with (paper, sec. 4.1)."""
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.offset.weight)
        if self.offset.bias is not None:
            nn.init.zeros_(self.offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, h, w) -> (N, c_out, h, w); pixels outside are 0."""
        num, channels, height, width = x.shape
        grid = self._positions(self.offset(x))  # (N groups, 9 h, w, 2)
        grouped = x.reshape(num * self.offset_groups, channels // self.offset_groups, height, width)
        taps = functional.grid_sample(grouped, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        columns = taps.reshape(num, channels * TAPS, height, width)
        return functional.conv2d(columns, self.weight.reshape(self.weight.shape[0], channels * TAPS, 1, 1))

    def _positions(self, offset: Tensor) -> Tensor:
        """Offsets (N, 2 x 9 x groups, h, w), (dy, dx) a tap, -> where to read, in -1..1."""
        num, _, height, width = offset.shape
        moved = offset.reshape(num * self.offset_groups, TAPS, 2, height, width)
        steps = torch.arange(-1, 2, device=offset.device, dtype=offset.dtype) * self.dilation
        rows = torch.arange(height, device=offset.device, dtype=offset.dtype).view(1, 1, height, 1)
        columns = torch.arange(width, device=offset.device, dtype=offset.dtype).view(1, 1, 1, width)
        y = moved[:, :, 0] + rows + steps.repeat_interleave(3).view(1, TAPS, 1, 1)
        x = moved[:, :, 1] + columns + steps.repeat(3).view(1, TAPS, 1, 1)
        grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), dim=-1)
        return grid.reshape(num * self.offset_groups, TAPS * height, width, 2)

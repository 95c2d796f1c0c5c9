"""CReFF: high-resolution key-frame features, warped along motion vectors, complete low-resolution ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vssbench.ops.local_attention import local_attention
from vssbench.ops.resize import resize
from vssbench.ops.warp import warp


@dataclass(frozen=True, kw_only=True)
class Convention:
    """Where the released program departs from the paper; the defaults are the paper's.

    Args:
        name: goes into the condition of a result.
        scaled_attention: divide the logits by sqrt(C) (paper, Eq. 3); the program does not.
        grid: of the feature warp; the program's is off by up to half a pixel (evaluation.py, warpFeature).
        padding: what the warp reads outside the image; the program reads zeros.
        align_corners: of every resize; the program uses True.
        scale_rule: of motion on the feature grid; the program scales both axes by the height's ratio.
    """

    name: Literal["paper", "release"] = "paper"
    scaled_attention: bool = True
    grid: Literal["exact", "arseg-release"] = "exact"
    padding: Literal["border", "zeros"] = "border"
    align_corners: bool = False
    scale_rule: Literal["per-axis", "arseg-release"] = "per-axis"


PAPER = Convention()
RELEASE = Convention(
    name="release",
    scaled_attention=False,
    grid="arseg-release",
    padding="zeros",
    align_corners=True,
    scale_rule="arseg-release",
)
CONVENTIONS = {convention.name: convention for convention in (PAPER, RELEASE)}


class CReFF(nn.Module):
    """Cross Resolution Feature Fusion (AR-Seg, sec. 3.2, Eq. 1-4), placed before the final 1x1 convolution.

    Args:
        channels: C of the features.
        window: side of the attention's neighbourhood, 7 in the paper.
        convention: see `Convention`.
    """

    def __init__(self, channels: int, *, window: int = 7, convention: Convention = PAPER) -> None:
        super().__init__()
        self.window = window
        self.convention = convention
        self.query = _depthwise(channels)
        self.key = _depthwise(channels)
        self.value = _depthwise(channels)

    def forward(self, key_features: Tensor, features: Tensor, flow_px: Tensor) -> Tensor:
        """Aggregate the key frame's features into those of a low-resolution frame.

        Args:
            key_features: F_I, (N, C, H, W) of the key frame at full resolution.
            features: f_P, (N, C, h, w) of the low-resolution branch.
            flow_px: M_P, (N, H, W, 2) motion back to the key frame in pixels of the feature grid.

        Returns: (N, C, H, W), the estimate of the frame's own high-resolution features.
        """
        warped = warp(key_features, flow_px, grid=self.convention.grid, padding=self.convention.padding)
        size = (key_features.shape[-2], key_features.shape[-1])
        upsampled = resize(features, size, align_corners=self.convention.align_corners)
        attended: Tensor = local_attention(
            self.query(upsampled),
            self.key(warped),
            self.value(warped),
            window=self.window,
            scale=None if self.convention.scaled_attention else 1.0,
        )
        return upsampled + attended


def _depthwise(channels: int) -> nn.Conv2d:
    """The encoder Conv_g: 3x3, groups = C, with bias."""
    convolution = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
    nn.init.kaiming_normal_(convolution.weight, a=1)
    nn.init.zeros_(torch.as_tensor(convolution.bias))
    return convolution

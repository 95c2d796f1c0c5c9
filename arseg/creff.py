"""CReFF: high-resolution key-frame features, warped along motion vectors, complete low-resolution ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from arseg.options import Options
from vssbench.errors import ShapeError
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
CREFF = Options()
CONVENTIONS = {convention.name: convention for convention in (PAPER, RELEASE)}


class CReFF(nn.Module):
    """Cross Resolution Feature Fusion (AR-Seg, sec. 3.2, Eq. 1-4), placed before the final 1x1 convolution.

    Args:
        channels: C of the features.
        options: of these `window`, `warp`, `grouped` and `direct`.
        convention: see `Convention`.
    """

    def __init__(self, channels: int, *, options: Options = CREFF, convention: Convention = PAPER) -> None:
        super().__init__()
        self.options = options
        self.convention = convention
        self.query, self.key, self.value = (encoder(channels, grouped=options.grouped) for _ in range(3))

    def forward(self, key_features: Tensor, features: Tensor, flow_px: Tensor | None) -> Tensor:
        """Aggregate the key frame's features into those of a low-resolution frame.

        Args:
            key_features: F_I, (N, C, H, W) of the key frame at full resolution.
            features: f_P, (N, C, h, w) of the low-resolution branch.
            flow_px: M_P, (N, H, W, 2) motion back to the key frame in pixels of the feature grid; None where
                the options have no warp.

        Returns: (N, C, H, W), the estimate of the frame's own high-resolution features.
        """
        warped = self.aligned(key_features, flow_px)
        upsampled = upsampled_to(key_features, features, self.convention)
        attended = self.attend(upsampled, warped)
        return upsampled + attended if self.options.direct else attended

    def aligned(self, key_features: Tensor, flow_px: Tensor | None) -> Tensor:
        """The key frame's features where the frame has them (Eq. 1), or where they are."""
        return warped_back(key_features, flow_px, self.convention) if self.options.warp else key_features

    def attend(self, upsampled: Tensor, warped: Tensor) -> Tensor:
        """A_P of Eq. 2: local attention of the frame's features to the key frame's."""
        return local_attention(
            self.query(upsampled),
            self.key(warped),
            self.value(warped),
            window=self.options.window,
            scale=None if self.convention.scaled_attention else 1.0,
        )


def encoder(channels: int, *, grouped: bool = True) -> nn.Conv2d:
    """The encoder Conv_g: 3x3, groups = C, with bias; ungrouped, a dense one."""
    convolution = nn.Conv2d(channels, channels, 3, padding=1, groups=channels if grouped else 1)
    return initialised(convolution)


def initialised(convolution: nn.Conv2d) -> nn.Conv2d:
    """He's initialisation with a = 1, and no bias, as the released program starts (attention.py, init_weight)."""
    nn.init.kaiming_normal_(convolution.weight, a=1)
    nn.init.zeros_(torch.as_tensor(convolution.bias))
    return convolution


def warped_back(key_features: Tensor, flow_px: Tensor | None, convention: Convention) -> Tensor:
    """Eq. 1: what is now at (x, y) was at (x, y) + motion.

    Raises: ShapeError, when there is no motion.
    """
    if flow_px is None:
        raise ShapeError("a fusion that warps needs the motion to the key frame; got none")
    return warp(key_features, flow_px, grid=convention.grid, padding=convention.padding)


def upsampled_to(key_features: Tensor, features: Tensor, convention: Convention) -> Tensor:
    """The low-resolution features on the grid of the key frame's."""
    size = (key_features.shape[-2], key_features.shape[-1])
    return resize(features, size, align_corners=convention.align_corners)

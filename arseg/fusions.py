"""What can stand in CReFF's place (AR-Seg, Table 3), by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from arseg.creff import Convention, CReFF, initialised, upsampled_to, warped_back
from arseg.options import Options
from vssbench.ops.resize import resize

GLOBAL_SCALE = 32  # keys and values at 1/32 of the map, paper sec. 4.3


class Upsampled(nn.Module):
    """No CReFF: the low-resolution features alone."""

    def __init__(self, _channels: int, *, options: Options, convention: Convention) -> None:
        super().__init__()
        self.options, self.convention = options, convention

    def forward(self, key_features: Tensor, features: Tensor, _flow_px: Tensor | None) -> Tensor:
        """F_P of Eq. 4: f_P on the grid of the key frame's features, whose values are not looked at."""
        return upsampled_to(key_features, features, self.convention)


class Warped(nn.Module):
    """The warp alone: the key features stand for those of every frame."""

    def __init__(self, _channels: int, *, options: Options, convention: Convention) -> None:
        super().__init__()
        self.options, self.convention = options, convention

    def forward(self, key_features: Tensor, _features: Tensor | None, flow_px: Tensor | None) -> Tensor:
        """Eq. 1."""
        return warped_back(key_features, flow_px, self.convention)


class GlobalAttention(CReFF):
    """CReFF that attends to the whole map, its keys and values resized to 1/32 (paper, sec. 4.3, F_GA).

    Eq. 2 and 3 with one neighbourhood for all: no projections but the encoders.
    """

    def attend(self, upsampled: Tensor, warped: Tensor) -> Tensor:
        """Attention of every pixel to every key."""
        query, key, value = self.query(upsampled), self.key(warped), self.value(warped)
        attended = functional.scaled_dot_product_attention(
            _tokens(query).unsqueeze(1),
            _tokens(self.shrunk(key)).unsqueeze(1),
            _tokens(self.shrunk(value)).unsqueeze(1),
            scale=None if self.convention.scaled_attention else 1.0,
        )
        return _map(attended.squeeze(1), query)

    def shrunk(self, x: Tensor) -> Tensor:
        """A map at 1/32, rounded down, bilinear without antialiasing as the released program resizes."""
        height, width = (max(1, side // GLOBAL_SCALE) for side in x.shape[-2:])
        return resize(x, (height, width), align_corners=self.convention.align_corners)


class ReleasedGlobalAttention(GlobalAttention):
    """Global attention as the released program has it (attention.py, MyAttentionGlobal).

    With the four projections of nn.MultiheadAttention, and with its slip: keys are encoded from the values, not from
    the warped features.
    """

    def __init__(self, channels: int, *, options: Options, convention: Convention) -> None:
        super().__init__(channels, options=options, convention=convention)
        self.attention = nn.MultiheadAttention(channels, num_heads=1, batch_first=True)

    def attend(self, upsampled: Tensor, warped: Tensor) -> Tensor:
        """Attention of every pixel to every key."""
        value = self.value(warped)
        key, query = self.key(value), self.query(upsampled)
        keys, values = _tokens(self.shrunk(key)), _tokens(self.shrunk(value))
        attended, _ = self.attention(_tokens(query), keys, values, need_weights=False)
        return _map(attended, query)


class Convolution(nn.Module):
    """One 3x3 convolution of both maps, 2C -> C (paper, sec. 4.3, F_Conv); nothing is added to its result."""

    def __init__(self, channels: int, *, options: Options, convention: Convention) -> None:
        super().__init__()
        self.options, self.convention = options, convention
        self.fusion = initialised(nn.Conv2d(2 * channels, channels, 3, padding=1))

    def forward(self, key_features: Tensor, features: Tensor, flow_px: Tensor | None) -> Tensor:
        """Convolve [up(f_P), warped F_I]."""
        warped = warped_back(key_features, flow_px, self.convention) if self.options.warp else key_features
        fused: Tensor = self.fusion(torch.cat([upsampled_to(key_features, features, self.convention), warped], 1))
        return fused


def _tokens(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, h w, C)."""
    return x.flatten(2).transpose(1, 2)


def _map(tokens: Tensor, like: Tensor) -> Tensor:
    """(N, h w, C) -> (N, C, h, w)."""
    return tokens.transpose(1, 2).reshape(like.shape)


FUSIONS: dict[str, Callable[..., nn.Module]] = {
    "none": Upsampled,
    "warp": Warped,
    "local": CReFF,
    "global": GlobalAttention,
    "global-release": ReleasedGlobalAttention,
    "convolution": Convolution,
}


def build_fusion(channels: int, *, options: Options, convention: Convention) -> nn.Module:
    """What `options.fusion` names, for maps of C channels.

    All are called as `CReFF.forward` is, (key frame's map, low-resolution map, motion) -> (N, C, H, W); the second is
    None where the options have no branch, the third where they read no motion.
    """
    return FUSIONS[options.fusion](channels, options=options, convention=convention)

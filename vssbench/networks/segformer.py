"""SegFormer B0 to B5 (Xie et al., NeurIPS 2021): a transformer in four stages and a decoder of linear layers."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vssbench.networks.base import IMAGENET_MEAN, IMAGENET_STD, SegmentationNetwork
from vssbench.networks.blocks import scaled
from vssbench.ops.resize import resize

Variant = Literal["b0", "b1", "b2", "b3", "b4", "b5"]
# paper, table 6: channels of one head (the same in all stages), blocks a stage, channels of the decoder
VARIANTS: dict[str, tuple[int, tuple[int, ...], int]] = {
    "b0": (32, (2, 2, 2, 2), 256),
    "b1": (64, (2, 2, 2, 2), 256),
    "b2": (64, (3, 4, 6, 3), 768),
    "b3": (64, (3, 4, 18, 3), 768),
    "b4": (64, (3, 8, 27, 3), 768),
    "b5": (64, (3, 6, 40, 3), 768),
}
HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)  # of the sides of keys and values
PATCHES = (7, 3, 3, 3)
STRIDES = (4, 2, 2, 2)
EXPANSION = 4  # of the channels inside Mix-FFN
DROP_PATH = 0.1  # of the last block; it grows linearly from 0 (paper, sec. 4.1, as released)


class PatchEmbedding(nn.Module):
    """Overlapping patches by a strided convolution, then layer normalisation over channels (paper, sec. 3.1)."""

    def __init__(self, c_in: int, c_out: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(c_out)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """(N, c_in, h, w) -> tokens (N, h' w', c_out), and (h', w')."""
        y = self.projection(x)
        return self.norm(y.flatten(2).transpose(1, 2)), (y.shape[-2], y.shape[-1])


class EfficientSelfAttention(nn.Module):
    """Self-attention whose keys and values are of a smaller map (paper, Eq. 2), by a strided convolution and a norm."""

    def __init__(self, channels: int, *, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))
        self.reduction: nn.Conv2d | None = None
        self.reduction_norm: nn.LayerNorm | None = None
        if reduction > 1:
            self.reduction = nn.Conv2d(channels, channels, reduction, reduction)
            self.reduction_norm = nn.LayerNorm(channels)
        self.output = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens (N, h w, C) of a map of size (h, w) -> (N, h w, C)."""
        source = tokens
        if self.reduction is not None and self.reduction_norm is not None:
            source = self.reduction_norm(self.reduction(_as_map(tokens, size)).flatten(2).transpose(1, 2))
        query, key, value = (
            self._split(self.query(tokens)),
            self._split(self.key(source)),
            self._split(self.value(source)),
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)  # over sqrt(C / heads)
        y: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return y

    def _split(self, tokens: Tensor) -> Tensor:
        """(N, L, C) -> (N, heads, L, C / heads)."""
        num, length, channels = tokens.shape
        return tokens.reshape(num, length, self.heads, channels // self.heads).transpose(1, 2)


class MixFeedForward(nn.Module):
    """Linear, depthwise 3x3 convolution (which tells positions apart), GELU, linear (paper, Eq. 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = EXPANSION * channels
        self.expand = nn.Linear(channels, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.contract = nn.Linear(hidden, channels)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens (N, h w, C) of a map of size (h, w) -> (N, h w, C)."""
        mixed = self.depthwise(_as_map(self.expand(tokens), size)).flatten(2).transpose(1, 2)
        y: Tensor = self.contract(functional.gelu(mixed))
        return y


class Block(nn.Module):
    """Attention and Mix-FFN, each behind a layer norm, beside a shortcut that training leaves alone now and then."""

    def __init__(self, channels: int, *, heads: int, reduction: int, drop_path: float, norm_eps: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(channels, eps=norm_eps)
        self.attention = EfficientSelfAttention(channels, heads=heads, reduction=reduction)
        self.norm2 = nn.LayerNorm(channels, eps=norm_eps)
        self.mlp = MixFeedForward(channels)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens (N, h w, C) of a map of size (h, w) -> (N, h w, C)."""
        tokens = tokens + self._dropped(self.attention(self.norm1(tokens), size))
        return tokens + self._dropped(self.mlp(self.norm2(tokens), size))

    def _dropped(self, branch: Tensor) -> Tensor:
        """In training, 0 for a random part of the samples and the rest made up for (stochastic depth)."""
        if not self.training or self.drop_path == 0:
            return branch
        kept = torch.rand(branch.shape[0], 1, 1, device=branch.device) >= self.drop_path
        return branch * kept / (1 - self.drop_path)


class Stage(nn.Module):
    """Patch embedding, blocks, layer norm: one level of the pyramid."""

    def __init__(self, c_in: int, c_out: int, *, index: int, drop_paths: list[float], norm_eps: float) -> None:
        super().__init__()
        self.embed = PatchEmbedding(c_in, c_out, kernel=PATCHES[index], stride=STRIDES[index])
        self.blocks = nn.ModuleList(
            Block(c_out, heads=HEADS[index], reduction=REDUCTIONS[index], drop_path=drop_path, norm_eps=norm_eps)
            for drop_path in drop_paths
        )
        self.norm = nn.LayerNorm(c_out, eps=norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, h, w) -> (N, c_out, h / stride, w / stride), rounded up."""
        tokens, size = self.embed(x)
        for block in self.blocks:
            tokens = block(tokens, size)
        return _as_map(self.norm(tokens), size)


class Decoder(nn.Module):
    """Projects the four levels to one width, brings them to 1/4 and fuses them (paper, Eq. 4, but its last line)."""

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(c, width) for c in channels)
        self.fuse = nn.Sequential(
            nn.Conv2d(len(channels) * width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )

    def project(self, index: int, x: Tensor) -> Tensor:
        """Level `index`, (N, C_i, h, w), to the decoder's width: (N, D, h, w)."""
        return _as_map(self.projections[index](x.flatten(2).transpose(1, 2)), (x.shape[-2], x.shape[-1]))

    def join(self, projected: list[Tensor]) -> Tensor:
        """The four projected levels, finest first -> (N, D, h / 4, w / 4)."""
        y: Tensor = self.fuse(torch.cat(projected[::-1], 1))
        return y

    def forward(self, levels: tuple[Tensor, ...]) -> Tensor:
        """The four levels -> (N, D, h / 4, w / 4)."""
        size = (levels[0].shape[-2], levels[0].shape[-1])
        return self.join([resize(self.project(index, x), size) for index, x in enumerate(levels)])


class SegFormer(SegmentationNetwork):
    """SegFormer: N_feat = the four stages of the encoder (MiT), N_task = the decoder; logits at 1/4.

    The stages can be run apart: `stage(i, x)` gives level i from level i - 1 (from normalised images for i = 0),
    `decoder.project(i, x)` what a level adds to the decoder, `decoder.join` the features of four of them at 1/4.

    Every parameter has its counterpart in Hugging Face's `SegformerForSemanticSegmentation`: stages.i.embed is
    patch_embeddings.i, stages.i.blocks.j is block.i.j, stages.i.norm is layer_norm.i (all in segformer.encoder),
    decoder.projections.i is decode_head.linear_c.i.proj, final is decode_head.classifier. `segformer_weights` has the
    whole mapping, reads the published files and is tested against that class.

    Args:
        num_classes: K.
        variant: "b0" to "b5".
        decoder_channels: D; by default the paper's, 256 for B0 and B1 and 768 for the others. TFC and CFFM
            take 256 throughout.
        norm_eps: of the layer norms of blocks and stages; 1e-5 as in `transformers`, 1e-6 as first released (those
            of embeddings and reductions are 1e-5 in both).
        width: multiplies every channel count.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        variant: Variant = "b0",
        decoder_channels: int | None = None,
        norm_eps: float = 1e-5,
        width: float = 1.0,
    ) -> None:
        super().__init__(mean=IMAGENET_MEAN, std=IMAGENET_STD)
        of_a_head, depths, published = VARIANTS[variant]
        self.channels = tuple(heads * scaled(of_a_head, width) for heads in HEADS)
        c_decoder = scaled(published if decoder_channels is None else decoder_channels, width)
        rates = [DROP_PATH * block / max(sum(depths) - 1, 1) for block in range(sum(depths))]
        stages, c_in = [], 3
        for index, (c_out, depth) in enumerate(zip(self.channels, depths, strict=True)):
            drop_paths = rates[sum(depths[:index]) :][:depth]
            stages.append(Stage(c_in, c_out, index=index, drop_paths=drop_paths, norm_eps=norm_eps))
            c_in = c_out
        self.stages = nn.ModuleList(stages)
        self.decoder = Decoder(self.channels, c_decoder)
        self.dropout = nn.Dropout(0.1)
        self.final = nn.Conv2d(c_decoder, num_classes, 1)
        self.stages.apply(_initialise)

    def stage(self, index: int, x: Tensor) -> Tensor:
        """Stage `index`, 0 to 3: normalised images (0) or the level before -> (N, C_i, h', w')."""
        y: Tensor = self.stages[index](x)
        return y

    def extract(self, images: Tensor) -> tuple[Tensor, ...]:
        """N_feat: normalised images -> the four levels, at 1/4, 1/8, 1/16 and 1/32."""
        x, levels = images, []
        for index in range(len(self.stages)):
            x = self.stage(index, x)
            levels.append(x)
        return tuple(levels)

    def refine(self, extracted: Tensor | tuple[Tensor, ...]) -> Tensor:
        """N_task: the four levels -> (N, D, h / 4, w / 4)."""
        y: Tensor = self.dropout(self.decoder(extracted))
        return y


def _as_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, h w, C) -> (N, C, h, w)."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *size)


def _initialise(module: nn.Module) -> None:
    """As released: linear layers of deviation 0.02, convolutions by their fan-out."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)

"""What stands in CReFF's place in the rows of AR-Seg's Table 3, term by term as the paper counts it."""

from __future__ import annotations

from typing import cast

import torch

from arseg.creff import PAPER
from arseg.fusions import GlobalAttention, build_fusion
from arseg.options import Options
from recount.costs import META
from vssbench.complexity.conventions import arseg_attention_macs, arseg_encoder_macs


def fusion_macs(options: Options, *, channels: int, size: tuple[int, int]) -> dict[str, int]:
    """Multiply-adds of a fusion, without biases, softmax, warp, resizes and sums.

    With P pixels: a convolution of both maps 9 x 2 C^2 P; encoders and attention as `arseg-paper` has them, to the
    k x k pixels around or to all K keys of global attention; the released global attention also projects queries and
    results, 2 C^2 P, and keys and values, 2 C^2 K.

    Args:
        options: of the fusion.
        channels: C of the fused maps.
        size: (height, width) of the key frame's map.

    Returns: term -> MACs, of "encoders", "attention", "projections", "convolution"; only those that there are.
    """
    pixels = size[0] * size[1]
    if options.fusion in ("none", "warp"):
        return {}
    if options.fusion == "convolution":
        return {"convolution": 9 * 2 * channels * channels * pixels}
    height, width = key_grid(options, channels=channels, size=size)
    keys = height * width
    terms = {
        "encoders": arseg_encoder_macs(channels=channels, pixels=pixels, grouped=options.grouped),
        "attention": arseg_attention_macs(channels=channels, pixels=pixels, keys=keys),
    }
    if options.fusion == "global-release":
        terms["projections"] = 2 * channels * channels * (pixels + keys)
    return terms


def key_grid(options: Options, *, channels: int, size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of what a pixel attends to: the window, or the map as global attention shrinks it."""
    if options.fusion == "local":
        return options.window, options.window
    with META:
        attention = cast(GlobalAttention, build_fusion(channels, options=options, convention=PAPER))
        shrunk = attention.shrunk(torch.empty(1, channels, *size))
    return shrunk.shape[-2], shrunk.shape[-1]

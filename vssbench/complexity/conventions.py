"""The operation counts of print, by name, so that a printed number can be recomputed; `macs` has the true count.

`thop`: what the installed package says (`thop_package`). `thop_2020`: the rules of its release
0.0.31.post2005241907, with which AR-Seg's tables were made (CVPR 2023; they reproduce 15 of the 16 constant-resolution
entries of Table A1 to the printed digit, and the 16th is a misprint). `arseg-paper`: those, and the terms that AR-Seg
adds for CReFF. All are called "GFLOPs" in print, and all count one multiply-add as 1, so they are MACs here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from vssbench.complexity.thop_package import Run, forward, without_values
from vssbench.errors import UsageError

# ---- thop as it was in 2020 ----


def thop_2020_macs(
    module: nn.Module,
    image_size: tuple[int, int],
    *,
    run: Run = forward,
    aliased: Mapping[str, int] | None = None,
    upsampled: Mapping[str, int] | None = None,
) -> int:
    """The number that thop 0.0.31.post2005241907 gave for one image, from its rules and not from its code.

    Only modules count, and of these: convolutions, output elements x (C_in / groups x kernel area + 1 where there is
    a bias), transposed ones too; batch norms, 2 an element; linear layers, output elements x in-features; adaptive
    average pooling, output elements x (floor(h / h_out) x floor(w / w_out) + 1), other average pooling and LeakyReLU 1
    an element; nn.Upsample, per element 11 bilinear, 5 linear, 259 bicubic, nearest 0. Every other module counts 0, and
    so does a subclass of these.

    A module that has n names counts n^2 times: it is hooked once for each name, so each execution adds n times its
    operations, and the sum visits every name (Lyken17/pytorch-OpCounter#98).

    Args:
        module: on any device; it is copied, unless it has no values and is in evaluation mode, and stays as it was.
        image_size: (height, width) of the one image.
        run: (module, images) -> what to execute; `module(images)` by default.
        aliased: dotted name of a sub-module -> the number of names that it, and all in it, goes by in the released
            program, where that is more than in ours. {"head": 2} counts the head four times.
        upsampled: dotted name of a sub-module -> the factor by which the released program enlarges its output with a
            bilinear nn.Upsample, where ours calls a function or leaves it to the caller; counted as often as the
            sub-module itself.

    Raises: UsageError, when `aliased` or `upsampled` name no sub-module, or one is recurrent (a rule we lack).
    Source: the wheel thop-0.0.31.post2005241907, thop/profile.py and thop/vision/basic_hooks.py.
    """
    twin = module if _is_without_values(module) else without_values(module)
    aliased, upsampled = aliased or {}, upsampled or {}
    known = dict(twin.named_modules())
    unknown = sorted({*aliased, *upsampled} - known.keys())
    if unknown:
        raise UsageError(f"{type(module).__name__} has no sub-module {', '.join(unknown)}; it has {', '.join(known)}")
    if any(isinstance(m, nn.RNNBase | nn.RNNCellBase) for m in known.values()):
        raise UsageError("thop_2020_macs has no rule for recurrent layers; use thop_macs")
    names: Counter[nn.Module] = Counter()
    for found, times in _named(twin, "", 1, aliased):
        names[found] += times
    executed: Counter[nn.Module] = Counter()

    def listen(m: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        executed[m] += THOP_2020[type(m)](m, inputs[0], output)

    factors = {known[name]: factor for name, factor in upsampled.items()}

    def listen_enlarged(m: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        executed[m] += UPSAMPLE["bilinear"] * output.numel() * factors[m] ** 2

    with ExitStack() as hooks, torch.no_grad():
        for m in names:
            if type(m) in THOP_2020:
                hooks.callback(m.register_forward_hook(listen).remove)
            if m in factors:
                hooks.callback(m.register_forward_hook(listen_enlarged).remove)
        run(twin, torch.empty(1, 3, *image_size, device="meta"))
    return int(sum(names[m] ** 2 * macs for m, macs in executed.items()))


def _is_without_values(module: nn.Module) -> bool:
    tensors = [*module.parameters(), *module.buffers()]
    return all(tensor.is_meta for tensor in tensors) and not any(part.training for part in module.modules())


def _named(module: nn.Module, name: str, times: int, aliased: Mapping[str, int]) -> Iterator[tuple[nn.Module, int]]:
    """Every module once for each path to it, as thop walks them, and how many names stand for that path."""
    times *= aliased.get(name, 1)
    yield module, times
    for own, child in module.named_children():  # which leaves out a second name under one parent
        yield from _named(child, f"{name}.{own}" if name else own, times, aliased)


UPSAMPLE = {"nearest": 0, "linear": 5, "bilinear": 11, "bicubic": 224 + 35}  # an output element
Rule = Callable[[Any, Tensor, Tensor], int]


def _convolution(m: Any, _: Tensor, y: Tensor) -> int:
    return int(y.numel() * (m.in_channels // m.groups * prod(m.kernel_size) + (m.bias is not None)))


def _adaptive_pooling(_: Any, x: Tensor, y: Tensor) -> int:
    cell = prod(whole // part for whole, part in zip(x.shape[2:], y.shape[2:], strict=True))
    return int(y.numel()) * (cell + 1)


def _upsampling(m: Any, _: Tensor, y: Tensor) -> int:
    return int(y.numel()) * UPSAMPLE.get(m.mode, 0)


def _each_rule(rule: Rule, *types: type[nn.Module]) -> dict[type[nn.Module], Rule]:
    return dict.fromkeys(types, rule)


THOP_2020: Mapping[type[nn.Module], Rule] = {
    **_each_rule(_convolution, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    **_each_rule(_convolution, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    **_each_rule(
        lambda _m, x, _y: 2 * int(x.numel()), nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm
    ),
    **_each_rule(lambda m, _x, y: m.in_features * int(y.numel()), nn.Linear),
    **_each_rule(_adaptive_pooling, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    **_each_rule(lambda _m, _x, y: int(y.numel()), nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.LeakyReLU),
    **_each_rule(_upsampling, nn.Upsample, nn.UpsamplingBilinear2d, nn.UpsamplingNearest2d),
}


# ---- AR-Seg's tables ----


@dataclass(frozen=True, kw_only=True)
class ReleasedForm:
    """How a network of AR-Seg's released program differs from ours as thop sees it; see `thop_2020_macs`."""

    run: Run = forward
    aliased: Mapping[str, int] = field(default_factory=dict)
    upsampled: Mapping[str, int] = field(default_factory=dict)


def _with_auxiliary(network: Any, images: Tensor) -> object:
    """The network and its auxiliary heads, which must still be there."""
    features, auxiliary = network.training_outputs(images)
    return network.classify(features), auxiliary


# name in networks.zoo -> its released form
ARSEG_RELEASED: Mapping[str, ReleasedForm] = {
    # model/bisenet.py: feat_conv_out, final_conv and out_upsample point into conv_out
    "bisenet18": ReleasedForm(aliased={"head": 2, "final": 2}, upsampled={"final": 8}),
    # model/pspnet.py; its image-level classifier, 0.00007 GMAC, is not in ours
    "pspnet18-camvid": ReleasedForm(),
    # model/pspnet_semseg.py: final_conv points into cls, and aux is computed whether wanted or not
    "pspnet18-cityscapes": ReleasedForm(run=_with_auxiliary, aliased={"final": 2}),
}


def arseg_network_macs(name: str, network: nn.Module, image_size: tuple[int, int]) -> int:
    """What AR-Seg prints for one of its networks on one image, in MACs (printed as GFLOPs in Table A1).

    Args:
        name: of the network in `networks.zoo`: bisenet18, pspnet18-camvid or pspnet18-cityscapes.
        network: that network, with its auxiliary heads, of as many classes as released: 12 for CamVid, 19.
        image_size: (height, width) of the input, i.e. after scaling.

    Raises: UsageError, for another network: AR-Seg released no more.
    """
    if name not in ARSEG_RELEASED:
        raise UsageError(f"AR-Seg released no network {name!r}; there are {', '.join(ARSEG_RELEASED)}")
    form = ARSEG_RELEASED[name]
    return thop_2020_macs(network, image_size, run=form.run, aliased=form.aliased, upsampled=form.upsampled)


def arseg_creff_macs(*, channels: int, pixels: int, window: int = 7, grouped: bool = True) -> int:
    """What AR-Seg adds for CReFF: its encoders, and attention to the k x k pixels around each.

    Recovered from the printed totals: 77.266 + 1.194 + 4.335 + 0.365 G gives Table 1's 101.98 (PSPNet18, CamVid,
    s = 0.5, L = 12).

    Args:
        channels: C of the features.
        pixels: P of the full-resolution feature grid.
        window: k, odd.
        grouped: see `arseg_encoder_macs`.
    """
    encoders = arseg_encoder_macs(channels=channels, pixels=pixels, grouped=grouped)
    return encoders + arseg_attention_macs(channels=channels, pixels=pixels, keys=window**2)


def arseg_encoder_macs(*, channels: int, pixels: int, grouped: bool = True) -> int:
    """3 x 9 C P for query, key and value; biases, warp, upsampling and the final sum count 0.

    Args:
        channels: C of the features.
        pixels: P of the full-resolution feature grid.
        grouped: False for the dense 3x3 convolutions of Table 3's "LA*" row, 3 x 9 C^2 P.
    """
    return 3 * 9 * channels * pixels * (1 if grouped else channels)


def arseg_attention_macs(*, channels: int, pixels: int, keys: int) -> int:
    """2 K C P for attention of P pixels to K keys each; the softmax counts 0, taps outside the image in full."""
    return 2 * keys * channels * pixels


def arseg_nonkey_macs(
    low: float,
    creff: float,
    *,
    channels: int,
    pixels: int,
    low_pixels: int,
    num_classes: int,
    classifier: bool = True,
) -> float:
    """X(s), what AR-Seg counts for a non-key frame: the low network, CReFF, and the classifier at full resolution.

    `low` holds the classifier on the low grid already, so it is C n (P - p) more, bias not counted.

    Args:
        low: `arseg_network_macs` of the network at the low resolution.
        creff: `arseg_creff_macs`, or what stands in its place.
        channels: C of the features.
        pixels: P of the full-resolution feature grid.
        low_pixels: p of the low-resolution one.
        num_classes: n: 11 for CamVid, although the released network has 12 outputs; 19 for Cityscapes.
        classifier: False leaves the last term out, as Table 3 does for L = 15, 20 and 30, but not for L = 12.
    """
    return low + creff + (channels * num_classes * (pixels - low_pixels) if classifier else 0)


def arseg_gop_macs(key: float, nonkey: float, gop_length: int) -> float:
    """The mean over a group of L pictures: (key + (L - 1) nonkey) / L (AR-Seg, Eq. 1)."""
    return (key + (gop_length - 1) * nonkey) / gop_length

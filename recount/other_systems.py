"""The other systems of AR-Seg's tables (Accel, TDNet, BlockCopy, TapLab, Jain et al.): what their rows can be held to.

AR-Seg released none of them. The printed numbers of a system are held against each other, and against the network and
the settings of the system's own paper where they are here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import cast

import torch

from baselines.frame_selection import PAPER_SHARE
from baselines.residual_correction import RegionCorrection
from baselines.taplab import TapLab
from recount import costs
from recount.arseg_rows import percent_change
from recount.costs import FRAMES, META, Executed
from reports.published.numbers import CHANGE, OPERATIONS, PrintedNumber
from reports.published.verdicts import Recount
from vssbench.complexity.macs import count_macs
from vssbench.networks.deeplab import DeepLab

L = 12  # of all their rows
BASELINE = "single-frame baseline"
FORMS: dict[str, tuple[str, ...]] = {  # system -> its network in the zoo, in the forms it may have; none for SwiftNet
    "Accel-DL18": ("deeplab18", "deeplab18-plain"),
    "TD4-PSP18": (),
    "BlockCopy": (),
    "TapLab-BL2": ("taplab-bl2",),
    "Jain et al.": ("deeplab50", "deeplab50-plain"),
}
BACKBONES = {"taplab-bl2": "MobileNetV1"}  # of networks of ours, where AR-Seg's tables name another


def recount_system(number: PrintedNumber, all_numbers: Sequence[PrintedNumber]) -> Recount:
    """A row of another system.

    Args:
        number: of a method in `FORMS`.
        all_numbers: of print, among which are its baseline's and those that other tables print for the same.
    """
    baseline = _first(all_numbers, number, baseline=True)
    video = _first(all_numbers, number, baseline=False)
    if number.metric == CHANGE:
        return Recount(
            ours=percent_change(video.value, baseline.value),
            basis=f"{video.printed} / {baseline.printed} - 1",
            from_print=True,
        )
    if number.setting == BASELINE:
        return _baseline(number, video)
    if number.value != video.value:
        return _contradiction(number, baseline, video)
    return SYSTEMS[number.method](number, baseline)


def _first(numbers: Sequence[PrintedNumber], like: PrintedNumber, *, baseline: bool) -> PrintedNumber:
    """The first print of a system's operations, which is Table A2's."""
    return next(
        each
        for each in numbers
        if (each.method, each.dataset, each.metric) == (like.method, like.dataset, OPERATIONS)
        and (each.setting == BASELINE) == baseline
    )


def _contradiction(number: PrintedNumber, baseline: PrintedNumber, video: PrintedNumber) -> Recount:
    ratio, share = number.value / baseline.value, nonkey_share(number.value / baseline.value)
    return Recount(
        arithmetic=f"{video.place} prints {video.printed} for the same system; this is {ratio:.3f} of the baseline "
        f"{baseline.printed}, so that a non-key frame would cost {share:.3f} of a key frame"
    )


def nonkey_share(ratio: float) -> float:
    """What a non-key frame costs of a key frame, where the mean over L frames is `ratio` of one."""
    return (L * ratio - 1) / (L - 1)


# ---- the single-frame baselines ----


def _baseline(number: PrintedNumber, video: PrintedNumber) -> Recount:
    forms = FORMS[number.method]
    counted = {form: costs.thop_2020(form, number.dataset).gmacs for form in forms}
    texts = [
        f"our {form} takes {gmacs:.2f} as thop counted in 2020, of which the printed number is "
        f"{number.value / gmacs:.2f} times"
        for form, gmacs in counted.items()
    ]
    texts += [text for form in forms if (text := _other_network(number, form))]
    if not forms:
        texts.append(f"{number.backbone} is no network of ours")
    texts += _worked_back(number, video)
    if not forms:
        return Recount(arithmetic="; ".join(texts))
    executed = costs.constant(forms[0], number.dataset)
    return Recount(
        ours=counted[forms[0]],
        basis=f"thop of 2020 on {forms[0]}",
        true=executed.network,
        true_all_kinds=executed.all_kinds,
        arithmetic="; ".join(texts),
    )


def _other_network(number: PrintedNumber, form: str) -> str:
    """That our network has another backbone than the row names, if it has."""
    ours = BACKBONES.get(form, number.backbone)
    if ours == number.backbone:
        return ""
    return (
        f"the row reads {number.backbone} and our {form} is {ours}, as TapLab released it, so that the two are "
        "different networks"
    )


def _worked_back(number: PrintedNumber, video: PrintedNumber) -> list[str]:
    """Whether the baseline is what the video figure gives when it is divided by a change of round percent."""
    ratio = round(video.value / number.value, 3)
    if f"{video.value / ratio:.{number.decimals}f}" != number.printed:
        return []
    return [
        f"{video.printed} / {ratio:.3f} = {number.printed} to the digit: the baseline may have been worked back from "
        "the video figure and a rounded change"
    ]


# ---- the video figures ----


def _taplab(number: PrintedNumber, baseline: PrintedNumber) -> Recount:
    """TapLab's own settings: one region a P frame, a share of P frames in full, the warp free."""
    size = FRAMES[number.dataset].size
    height, width = RegionCorrection().region_size(size)
    area = height * width / (size[0] * size[1])
    ratio = number.value / baseline.value
    ours = baseline.value * (1 + (L - 1) * (PAPER_SHARE + (1 - PAPER_SHARE) * area)) / L
    needed = (nonkey_share(ratio) - area) / (1 - area)
    needed_area = (nonkey_share(ratio) - PAPER_SHARE) / (1 - PAPER_SHARE)
    name = FORMS[number.method][0]
    executed = _taplab_executed(name, number.dataset)
    return Recount(
        ours=ours,
        basis=f"{baseline.printed} x [1 + {L - 1} (f + (1 - f) a)] / {L}, f = {PAPER_SHARE:g}, a = {area:.4f}",
        true=executed.network,
        true_all_kinds=executed.all_kinds,
        arithmetic=f"one {height}x{width} region is a = {area:.3f} of the frame; with TapLab's f = {PAPER_SHARE:.0%} "
        f"of P frames in full, {baseline.printed} gives {ours:.2f}; {number.printed}, {ratio:.3f} of it, needs "
        f"f = {needed:.1%}, or a = {needed_area:.3f}; true is our {name} by those settings; "
        + _other_network(number, name),
    )


@cache
def _taplab_executed(name: str, dataset: str) -> Executed:
    """Our BL2 under TapLab with the paper's share of P frames selected."""
    frames = FRAMES[dataset]
    net = costs.network(name, frames.outputs)
    method = TapLab(network=net, device=META, correction=RegionCorrection(), selection=None)
    key, other = costs.frame("I", frames.size), costs.frame("P", frames.size)
    full, region = costs.executed(method, key), costs.executed(method, other)
    nonkey = costs.mean_of([(PAPER_SHARE, full), (1 - PAPER_SHARE, region)])
    return costs.mean_of([(1, full), (L - 1, nonkey)])


def _accel(number: PrintedNumber, baseline: PrintedNumber) -> Recount:
    """A key frame by DeepLab-101, the others by DeepLab-18, FlowNet and a fusion."""
    key = _deeplab101(number.dataset)
    others = (L * number.value - key) / (L - 1)
    return Recount(
        arithmetic=f"{number.printed} is {number.value - baseline.value:.2f} more a frame than DeepLab18's printed "
        f"{baseline.printed}; with our DeepLab101 on key frames ({key:.2f}) the others would take {others:.2f}, "
        f"{others - baseline.value:.2f} of it for optical flow and fusion"
    )


@cache
def _deeplab101(dataset: str) -> float:
    frames = FRAMES[dataset]
    with META:
        net = DeepLab(num_classes=frames.outputs, depth=101).eval()
    return Executed.of(count_macs(lambda: net(costs.images(frames.size)))).network


def _tdnet(number: PrintedNumber, baseline: PrintedNumber) -> Recount:
    return Recount(
        arithmetic=f"{number.printed} is {number.value - baseline.value:.2f} more than PSPNet18 in full, "
        f"{baseline.printed}; TDNet's own sub-networks are smaller, and none of ours"
    )


def _blockcopy(number: PrintedNumber, baseline: PrintedNumber) -> Recount:
    share = nonkey_share(number.value / baseline.value)
    return Recount(
        arithmetic=f"{number.value / baseline.value:.3f} of the printed baseline, i.e. {share:.1%} of the blocks after "
        f"a first frame in full; {number.backbone} is no network of ours, and the blocks depend on the video"
    )


def _jain(number: PrintedNumber, baseline: PrintedNumber) -> Recount:
    name = FORMS[number.method][0]
    head = _head_share(name, number.dataset)
    share = nonkey_share(number.value / baseline.value)
    return Recount(
        arithmetic=f"{number.value / baseline.value:.3f} of the printed baseline, i.e. a frame between key frames "
        f"costs {share:.3f} of one; it runs the task head alone, {head:.3f} of our {name}, which over L = {L} would be "
        f"{baseline.value * (1 + (L - 1) * head) / L:.2f}"
    )


@cache
def _head_share(name: str, dataset: str) -> float:
    """What follows the interpolated features, as a share of the network."""
    net = cast(DeepLab, costs.network(name, FRAMES[dataset].outputs))
    extracted = torch.empty(1, net.backbone.channels[3], *costs.thop_2020(name, dataset).size, device=META)
    head = count_macs(lambda: net.classify(net.refine(extracted)))
    return Executed.of(head).network / costs.constant(name, dataset).network


SYSTEMS: dict[str, Callable[[PrintedNumber, PrintedNumber], Recount]] = {
    "Accel-DL18": _accel,
    "TD4-PSP18": _tdnet,
    "BlockCopy": _blockcopy,
    "TapLab-BL2": _taplab,
    "Jain et al.": _jain,
}

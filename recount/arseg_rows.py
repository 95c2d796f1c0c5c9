"""The rows of AR-Seg's tables whose networks it released: Tables 1, 3, 4, A1, and its own rows of the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor

from arseg.locations import FINAL, LOCATIONS
from arseg.options import options_of
from recount import costs
from recount.costs import FRAMES, GIGA, Executed
from recount.fusion_terms import fusion_macs, key_grid
from recount.subjects import Subject
from reports.published.verdicts import Explanation, Recount
from vssbench.complexity.conventions import (
    arseg_attention_macs,
    arseg_encoder_macs,
    arseg_gop_macs,
    arseg_nonkey_macs,
    thop_2020_macs,
)
from vssbench.ops.resize import scaled_size

PRINTED_SCALES = (1.0, 0.7, 0.6, 0.5)  # of the paper's tables
BD_SCALES = (0.3, 1.0)  # the ends of its Figure 4, which has eight points a curve


def operations(subject: Subject, printed: float) -> Recount:
    """A row's operations in GMACs."""
    ours, basis = paper_way(subject)
    executed = true_count(subject)
    return Recount(
        ours=ours,
        basis=basis,
        true=executed.network,
        true_all_kinds=executed.all_kinds,
        other_forms=list(_other_forms(subject)),
        explanations=list(_explanations(subject)),
        arithmetic=_global_attention(subject, printed) if _is_global(subject) else "",
    )


def change(subject: Subject) -> Recount:
    """A row's change of operations to the network at full resolution, in percent."""
    base = Subject(network=subject.network, dataset=subject.dataset)
    ours, basis = paper_way(subject)
    return Recount(
        ours=percent_change(ours, paper_way(base)[0]),
        basis=f"{basis}, to the 1.0x network",
        true=percent_change(true_count(subject).network, true_count(base).network),
        true_all_kinds=percent_change(true_count(subject).all_kinds, true_count(base).all_kinds),
    )


def percent_change(new: float, old: float) -> float:
    """How much larger, in percent."""
    return 100 * (new / old - 1)


def paper_way(subject: Subject) -> tuple[float, str]:
    """GMACs by the convention of the paper, and its name."""
    if not subject.altering:
        counted = costs.thop_2020(subject.network, subject.dataset, subject.scale)
        return counted.gmacs, "thop of 2020, aliases as released"
    return _gop(subject, _nonkey(subject)), f"arseg-paper, L = {subject.gop_length}"


def true_count(subject: Subject) -> Executed:
    """GMACs that run."""
    if not subject.altering:
        return costs.constant(subject.network, subject.dataset, subject.scale)
    return costs.arseg(
        subject.network, subject.dataset, subject.scale, subject.variants[0], gop_length=subject.gop_length
    )


# ---- a non-key frame by the convention of the paper ----


def _gop(subject: Subject, nonkey: float) -> float:
    return arseg_gop_macs(costs.thop_2020(subject.network, subject.dataset).gmacs, nonkey, subject.gop_length)


def _nonkey(subject: Subject, *, variant: str | None = None, classifier: bool = True) -> float:
    """X(s) in GMACs, with the terms that a variant has."""
    options = options_of(subject.variants[0] if variant is None else variant)
    if not options.has_branch:
        return 0.0  # neither the warp nor the classifier counts
    grid = _grid(subject.network, subject.dataset, subject.scale, options.location)
    fusion = sum(fusion_macs(options, channels=grid.channels, size=grid.size).values())
    if options.location != FINAL.name:  # the classifier is in what follows, which runs at full resolution
        split, _ = _split(subject.network, subject.dataset, subject.scale, options.location)
        return split + fusion / GIGA
    nonkey = arseg_nonkey_macs(
        costs.thop_2020(subject.network, subject.dataset, subject.scale).gmacs * GIGA,
        fusion,
        channels=grid.channels,
        pixels=grid.pixels,
        low_pixels=grid.low_pixels,
        num_classes=FRAMES[subject.dataset].counted,
        classifier=classifier and options.fusion != "none",  # which upsamples labels, not features
    )
    return nonkey / GIGA


def _classifier(subject: Subject) -> float:
    """The term of the classifier at full resolution, in GMACs."""
    return _nonkey(subject, variant="") - _nonkey(subject, variant="", classifier=False)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Channels of the maps that are fused, (height, width) of a key frame's, and pixels of the other's."""

    channels: int
    size: tuple[int, int]
    low_pixels: int

    @property
    def pixels(self) -> int:
        """Pixels of the key frame's."""
        return self.size[0] * self.size[1]


def _grid(name: str, dataset: str, scale: float, location: str) -> Grid:
    if location == FINAL.name:
        full, low = costs.thop_2020(name, dataset), costs.thop_2020(name, dataset, scale)
        return Grid(channels=full.channels, size=full.size, low_pixels=low.pixels)
    return _split(name, dataset, scale, location)[1]


@cache
def _split(name: str, dataset: str, scale: float, location: str) -> tuple[float, Grid]:
    """What precedes the fusion at the scale and what follows it at full resolution, as thop counts, in GMACs."""
    frames = FRAMES[dataset]
    maps: list[Tensor] = []

    def head(net: Any, images: Tensor) -> None:
        maps.append(LOCATIONS[location].head(net, images))

    sizes = [scaled_size(frames.size, s) for s in (1.0, scale)]
    full, low = (thop_2020_macs(costs.network(name, frames.outputs), size, run=head) / GIGA for size in sizes)
    channels, height, width = maps[0].shape[1:]
    grid = Grid(channels=channels, size=(height, width), low_pixels=maps[1].shape[2:].numel())
    return low + costs.thop_2020(name, dataset).gmacs - full, grid


# ---- what else a printed number may be ----


def _other_forms(subject: Subject) -> Iterator[Explanation]:
    """The paper's other form of the same sum, where there is one: Table 3 has it for L = 15, 20 and 30."""
    if subject.altering:
        nonkey, without = _nonkey(subject), _nonkey(subject, classifier=False)
        if nonkey != without:
            yield Explanation(text="without the classifier's term", value=_gop(subject, without))


def _explanations(subject: Subject) -> Iterator[Explanation]:
    if subject.altering:
        nonkey, term = _nonkey(subject), _classifier(subject)
        averaged = term * (subject.gop_length - 1) / subject.gop_length
        yield Explanation(text="a non-key frame's cost alone, not averaged over the GOP", value=nonkey)
        yield Explanation(
            text=f"a non-key frame's cost alone, {nonkey:.2f}, not averaged over the GOP (the average is "
            f"{_gop(subject, nonkey):.2f}), and {averaged:.2f}, the averaged classifier's term of CReFF at the end",
            value=nonkey + averaged,
        )
    for altering in (subject.altering, not subject.altering):
        for scale in PRINTED_SCALES:
            if (altering, scale) != (subject.altering, subject.scale) and not (altering and scale == 1.0):
                other = Subject(network=subject.network, dataset=subject.dataset, scale=scale, altering=altering)
                yield Explanation(text=f"that of {_name(other)}", value=paper_way(other)[0])
    for dataset, name in _elsewhere(subject):
        other = Subject(network=name, dataset=dataset, scale=subject.scale, altering=subject.altering)
        yield Explanation(text=f"that of {dataset}", value=paper_way(other)[0])


def _name(subject: Subject) -> str:
    return f"AR{subject.scale:g}" if subject.altering else f"the {subject.scale:.1f}x network"


def _elsewhere(subject: Subject) -> Iterator[tuple[str, str]]:
    """The same network on the other data sets: (data set, its name there)."""
    for dataset in FRAMES:
        if dataset != subject.dataset:
            yield dataset, subject.network.replace(subject.dataset.lower(), dataset.lower())


def _is_global(subject: Subject) -> bool:
    return subject.altering and options_of(subject.variants[0]).fusion == "global"


def _global_attention(subject: Subject, printed: float) -> str:
    """Table 3's global attention, which is not that of a map at 1/32."""
    released = _gop(subject, _nonkey(subject, variant=subject.variants[1]))
    options = options_of(subject.variants[0])
    grid = _grid(subject.network, subject.dataset, subject.scale, options.location)
    height, width = key_grid(options, channels=grid.channels, size=grid.size)
    return (
        f"attention to the {height * width} keys of a {height}x{width} map "
        f"gives {paper_way(subject)[0]:.2f}, as the released program computes it {released:.2f}; "
        + _keys_that_fit(subject, printed, grid)
    )


def _keys_that_fit(subject: Subject, printed: float, grid: Grid) -> str:
    """How many keys global attention would have to have, with and without its two projections of every pixel."""
    length = subject.gop_length
    nonkey = (length * printed - costs.thop_2020(subject.network, subject.dataset).gmacs) / (length - 1)
    encoders = arseg_encoder_macs(channels=grid.channels, pixels=grid.pixels)
    one_key = arseg_attention_macs(channels=grid.channels, pixels=grid.pixels, keys=1)
    plain = _nonkey(subject, variant="no-creff") + _classifier(subject)
    keys = ((nonkey - plain) * GIGA - encoders) / one_key
    projected = keys - grid.channels  # 2 C^2 P are the products with C keys
    return f"{printed:.2f} takes {keys:.1f} keys, or {projected:.1f} and the projections of queries and results"


def bd_flops(network: str, dataset: str) -> Recount:
    """BD-FLOPs: the costs are known, the accuracies are drawn in a figure and not printed."""
    full = paper_way(Subject(network=network, dataset=dataset))[0]
    least, most = (
        paper_way(Subject(network=network, dataset=dataset, scale=scale, altering=True))[0] for scale in BD_SCALES
    )
    return Recount(
        arithmetic=f"the eight mIoUs of each curve are drawn, not printed; AR-Seg's costs run from {least:.2f} to "
        f"{most:.2f} GMACs (AR{BD_SCALES[0]} to AR{BD_SCALES[1]}) and the network's up to {full:.2f}, so that no "
        f"BD-FLOPs lies below {percent_change(least, full):.1f} %"
    )

"""Work: multiply-adds of the frames as their decisions fell, what was decided, and how both vary over clips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vssbench.store import Cell, Cost, Store
from vssbench.store_records import AT_FULL_SHARE

NETWORK = ("convolution", "linear", "attention")  # the kinds of operator that numbers in print hold
SAMPLING = ("warp", "resize")
SINGLE_STREAM = "single-stream"  # the protocol that tests a frame once, where it falls (`datasets.clips`)
BY = "gmacs_gop_by_"  # before the name of a count of print, in the frame of the summary
FIXED = (
    *("gmacs_key", "gmacs_nonkey", "gmacs_gop", "gflops_key", "gflops_nonkey", "gflops_gop"),
    *("gmacs_clip_min", "gmacs_clip_max", "gmacs_clip_std", "gmacs_sampling_gop", "gmacs_other_gop"),
    *("uncounted", "convention_note"),
)
NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What tested frames did.

    Args:
        frames: distance -> kind of work -> number of frames.
        shares: distance -> kind of work -> mean share (`records.Step`), of the kinds that have one.
    """

    frames: Mapping[int, Mapping[str, int]]
    shares: Mapping[int, Mapping[str, float]]

    @property
    def kinds(self) -> set[str]:
        """Every kind of work."""
        return {kind for at in self.frames.values() for kind in at}

    def after_key(self) -> Decided:
        """The P frames alone (d > 0)."""
        return Decided(frames={d: at for d, at in self.frames.items() if d > 0}, shares=self.shares)


class Price(NamedTuple):
    """What a frame of one kind costs at share 0, and at share 1 where the kind has a share."""

    least: float
    most: float | None = None

    def at(self, share: float | None) -> float:
        """The cost at a share; NaN where a share is needed and is not known."""
        if self.most is None:
            return self.least
        return NAN if share is None else self.least + share * (self.most - self.least)


Prices = Mapping[str, Price]  # kind of work -> what a frame costs


def decided_by_clip(store: Store, key: str) -> dict[str, Decided]:
    """Clip name -> what its tested frames did."""
    shares = store.mean_shares_by_clip(key)
    return {
        clip: Decided(frames=frames, shares=shares.get(clip, {}))
        for clip, frames in store.kind_counts_by_clip(key).items()
    }


def together(parts: Iterable[Decided]) -> Decided:
    """What the frames of several clips did; shares are means over frames."""
    frames: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    sums: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for part in parts:
        for distance, at in part.frames.items():
            for kind, number in at.items():
                frames[distance][kind] += number
        for distance, shares in part.shares.items():
            for kind, share in shares.items():
                sums[distance][kind] += share * part.frames[distance][kind]
    return Decided(
        frames={distance: dict(at) for distance, at in frames.items()},
        shares={d: {kind: total / frames[d][kind] for kind, total in at.items()} for d, at in sums.items()},
    )


# ---- means ----


def mean_by_distance(prices: Prices, decided: Decided, gop_length: int) -> NDArray[np.float64]:
    """(L,) float64: the mean over the frames tested at each distance; NaN without a frame, a price or a share."""
    total, frames = totals(prices, decided, gop_length)
    means = np.full(gop_length, NAN)
    np.divide(total, frames, out=means, where=frames > 0)
    return means


def totals(prices: Prices, decided: Decided, gop_length: int) -> NDArray[np.float64]:
    """(2, L) float64: the cost of all frames tested at each distance, NaN where one is not known; their number."""
    found = np.zeros((2, gop_length))
    for distance, at in decided.frames.items():
        shares = decided.shares.get(distance, {})
        costs = [n * prices[kind].at(shares.get(kind)) if kind in prices else NAN for kind, n in at.items()]
        found[:, distance] = sum(costs), sum(at.values())
    return found


def overall(prices: Prices, decided: Decided, cell: Cell) -> float:
    """The mean over a GOP, each distance weighing the same; of a single stream, the mean over its tested frames."""
    if cell.protocol != SINGLE_STREAM:
        return _mean(mean_by_distance(prices, decided, cell.gop_length))
    total, frames = totals(prices, decided, cell.gop_length).sum(axis=1)
    return float(total / frames) if frames else NAN


def after_key(prices: Prices, decided: Decided, cell: Cell) -> float:
    """Likewise over the P frames (d > 0)."""
    if cell.protocol == SINGLE_STREAM:
        return overall(prices, decided.after_key(), cell)
    return _mean(mean_by_distance(prices, decided, cell.gop_length)[1:])


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else NAN


def prices_of(costs: Mapping[str, Cost], operators: Collection[str] = NETWORK) -> Prices:
    """GMACs of these kinds of operator, by kind of work."""

    def giga(macs: Mapping[str, int]) -> float:
        return sum(number for operator, number in macs.items() if operator in operators) / 1e9

    return {
        kind: Price(giga(cost.macs), None if cost.macs_at_full_share is None else giga(cost.macs_at_full_share))
        for kind, cost in costs.items()
    }


# ---- columns ----


def work_columns(
    costs: Mapping[str, Cost], by_clip: Mapping[str, Decided], cell: Cell, notes: list[str]
) -> dict[str, Any]:
    """What `summary.summarise` says of a cell's work; a reason why a number is missing goes to `notes`."""
    decided = together(by_clip.values())
    network = prices_of(costs)
    notes += _missing(network, decided)
    other = {operator for cost in costs.values() for operator in cost.macs} - {*NETWORK, *SAMPLING}
    by_distance = mean_by_distance(network, decided, cell.gop_length)
    gop = overall(network, decided, cell)
    row: dict[str, Any] = {
        "gmacs_key": by_distance[0],
        "gmacs_nonkey": _mean(by_distance[1:]),
        "gmacs_gop": gop,
        "gflops_key": 2 * by_distance[0],
        "gflops_nonkey": 2 * _mean(by_distance[1:]),
        "gflops_gop": 2 * gop,
        **_spread("gmacs_clip_{}", by_clip, lambda clip: overall(network, clip, cell)),
        "gmacs_sampling_gop": overall(prices_of(costs, SAMPLING), decided, cell),
        "gmacs_other_gop": overall(prices_of(costs, other), decided, cell),
        "uncounted": _uncounted(costs),
    }
    for kind, price in network.items():
        giga = price.at(_mean_share(kind, decided, cell))
        row |= {f"gmacs_of_{kind}": giga, f"gflops_of_{kind}": 2 * giga}
    return row | _decisions(by_clip, decided, cell) | _conventions(costs, decided, cell)


def _missing(network: Prices, decided: Decided) -> list[str]:
    uncounted = sorted(decided.kinds - network.keys())
    shareless = sorted(
        {
            kind
            for distance, at in decided.frames.items()
            for kind in at
            if kind in network and np.isnan(network[kind].at(decided.shares.get(distance, {}).get(kind)))
        }
    )
    found = [("no count for the kinds", uncounted), ("no share is stored for the kinds", shareless)]
    return [f"MACs n/a: {reason} {', '.join(kinds)}" for reason, kinds in found if kinds]


def _spread(name: str, by_clip: Mapping[str, Decided], value_of: Callable[[Decided], float]) -> dict[str, float]:
    """Least, greatest and sample deviation over clips of a mean, as each clip's decisions fell.

    A clip that was not tested at every distance has no mean and is left out; one clip has no deviation.
    """
    values = np.array([value_of(clip) for clip in by_clip.values()])
    values = values[~np.isnan(values)]
    return {
        name.format("min"): float(values.min()) if values.size else NAN,
        name.format("max"): float(values.max()) if values.size else NAN,
        name.format("std"): float(values.std(ddof=1)) if values.size > 1 else NAN,
    }


def _decisions(by_clip: Mapping[str, Decided], decided: Decided, cell: Cell) -> dict[str, float]:
    """Of each kind the part of the P frames that did it, and its mean share; both with their spread over clips."""
    row: dict[str, float] = {}
    for kind in sorted(decided.kinds):

        def rate(of: Decided, kind: str = kind) -> float:
            return after_key({other: Price(float(other == kind)) for other in decided.kinds}, of, cell)

        def share(of: Decided, kind: str = kind) -> float:
            found = _mean_share(kind, of, cell)
            return NAN if found is None else found

        row |= {f"rate_{kind}": rate(decided), **_spread(f"rate_clip_{{}}_of_{kind}", by_clip, rate)}
        if any(kind in at for at in decided.shares.values()):
            row |= {f"share_of_{kind}": share(decided), **_spread(f"share_clip_{{}}_of_{kind}", by_clip, share)}
    return row


def _mean_share(kind: str, decided: Decided, cell: Cell) -> float | None:
    """The mean share of a kind over the frames that did it, each distance weighing the same; None without."""
    shares = {distance: at[kind] for distance, at in decided.shares.items() if kind in at}
    weights = {
        distance: decided.frames[distance][kind]
        / (1 if cell.protocol == SINGLE_STREAM else sum(decided.frames[distance].values()))
        for distance in shares
    }
    return sum(weights[d] * share for d, share in shares.items()) / sum(weights.values()) if shares else None


def _uncounted(costs: Mapping[str, Cost]) -> str:
    return "; ".join(
        f"{kind}: " + ", ".join(f"{name} ({number} elements)" for name, number in sorted(cost.uncounted.items()))
        for kind, cost in costs.items()
        if cost.uncounted
    )


# ---- counts of print ----


def _conventions(costs: Mapping[str, Cost], decided: Decided, cell: Cell) -> dict[str, Any]:
    """The GOP mean by each count of print, and why there is none."""
    needed = {kind: costs[kind].conventions for kind in sorted(decided.kinds & costs.keys())}
    names = sorted({n.removesuffix(AT_FULL_SHARE) for conventions in needed.values() for n in conventions})
    row: dict[str, Any] = {}
    reasons: dict[str, list[str]] = defaultdict(list)
    for name in names:
        prices = {}
        for kind, conventions in needed.items():
            ends = [conventions.get(n) for n in (name, name + AT_FULL_SHARE)]
            for reason in dict.fromkeys(end for end in ends if isinstance(end, str)):
                reasons[reason] += [name] if name not in reasons[reason] else []
            if isinstance(ends[0], int) and not isinstance(ends[1], str):
                prices[kind] = Price(ends[0] / 1e9, None if ends[1] is None else ends[1] / 1e9)
        row[BY + name] = overall(prices, decided, cell)
    note = "; ".join(f"{', '.join(named)} n/a: {reason}" for reason, named in reasons.items())
    return row | {"convention_note": note}

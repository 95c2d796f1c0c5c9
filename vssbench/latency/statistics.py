"""Statistics of timed steps; every sample is kept, and these are derived."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from vssbench.errors import ShapeError

CONFIDENCE = 0.99  # of an early-stopping percentile, with tolerance 0: MLPerf Inference, loadgen/results.cc
AA_LIMIT = 0.03  # two timings of one method that differ by more say that the machine is too noisy
PERCENTILES = (0.5, 0.9, 0.99)  # by MLPerf's rule
_ROUNDING = 1e-9  # of sums of weights
BUSY_LIMIT = 0.10  # share of the processors that other processes may use while a method is timed


@dataclass(frozen=True, kw_only=True)
class TimedStep:
    """One timed step.

    Args:
        position: frames since the I frame that opened the GOP, 0 on the I frame.
        kind: the kind of work that the method says it did (`Step.kind`).
        seconds: its time by the host's clock.
        device_seconds: its time between two events on the device; None where it has none.
        pass_number: which pass over the frames it was of, from 0.
    """

    position: int
    kind: str
    seconds: float
    device_seconds: float | None = None
    pass_number: int = 0


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """What a table shows of samples; NaN where there are too few.

    Args:
        n: how many.
        mean, median: of all samples, point estimates; NaN of none.
        interquartile_range: the third quartile minus the first; NaN of fewer than two.
        p50, p90, p99: `early_stopping_estimate`, not the plain quantile; so p50 is a bound above the median.
    """

    n: int
    mean: float
    median: float
    interquartile_range: float
    p50: float
    p90: float
    p99: float


def distribution(samples: Sequence[float]) -> Distribution:
    """Mean, median, interquartile range and percentiles of samples."""
    return Distribution(
        n=len(samples),
        mean=float(np.mean(np.asarray(samples, np.float64))) if len(samples) else float("nan"),
        median=median(samples),
        interquartile_range=interquartile_range(samples),
        **{f"p{100 * share:.0f}": early_stopping_estimate(samples, share) for share in PERCENTILES},
    )


def weighed_distribution(samples: Sequence[float], weights: Sequence[float]) -> Distribution:
    """The same of samples that stand for unequal shares of what is described, e.g. a kind of frame timed too often.

    Percentiles follow the same rule, with Kish's effective number of samples for their number (`effective_number`).
    Of equal weights mean, median and percentiles are those of `distribution`.

    Args:
        samples: all of them.
        weights: one for each, of any scale; a sample of weight 0 does not count. One that is NaN makes all values NaN.

    Raises: ShapeError, when the two differ in length, or a weight is negative.
    """
    values, shares = np.asarray(samples, np.float64), np.asarray(weights, np.float64)
    if values.shape != shares.shape or (shares < 0).any():
        raise ShapeError(f"each sample needs one weight of 0 or more, got {values.shape = }, {shares.shape = }")
    total = float(shares.sum())
    known = total > 0  # not of NaN
    counts = shares > 0
    values, shares = (values[counts], shares[counts] / total) if known else (values[:0], shares[:0])
    quartiles = [_weighed_quantile(values, shares, share) for share in (0.25, 0.75)]
    return Distribution(
        n=len(samples),
        mean=float(shares @ values) if known else float("nan"),
        median=_weighed_quantile(values, shares, 0.5),
        interquartile_range=quartiles[1] - quartiles[0] if len(values) > 1 else float("nan"),
        **{f"p{100 * share:.0f}": _weighed_estimate(values, shares, share) for share in PERCENTILES},
    )


def effective_number(weights: Sequence[float]) -> int:
    """How many samples of equal weight tell as much: (sum of w)^2 / sum of w^2, rounded down; 0 where one is NaN.

    Source: Kish (1965), Survey Sampling. In place of the number of samples it gives binomial limits of a weighed share,
    as Korn and Graubard (1998) use it.
    """
    shares = np.asarray(weights, np.float64)
    total, squares = float(shares.sum()), float((shares**2).sum())
    return int(total**2 / squares * (1 + _ROUNDING)) if squares > 0 else 0


def _weighed_quantile(values: NDArray[np.float64], shares: NDArray[np.float64], share: float) -> float:
    """The least value that the share reaches, the mean of it and the next where exactly; NaN of none.

    Source: Hyndman and Fan (1996), definition 2. Of equal weights its median is the usual one.
    """
    if not len(values):
        return float("nan")
    order = np.argsort(values)
    reached = np.cumsum(shares[order])
    ends = [np.searchsorted(reached, share + rounding) for rounding in (-_ROUNDING, _ROUNDING)]
    return float(values[order][np.minimum(ends, len(values) - 1)].mean())


def _weighed_estimate(values: NDArray[np.float64], shares: NDArray[np.float64], share: float) -> float:
    """The early-stopping estimate where t - 1 samples of the effective number are that part of the weight."""
    number = effective_number(shares.tolist())
    passes = _passes_allowed(number, share)
    if not passes:
        return float("nan")
    order = np.argsort(values)[::-1]
    above = np.cumsum(shares[order]) - shares[order]
    discarded = int(np.count_nonzero(above <= (passes - 1) / number + _ROUNDING)) - 1
    return float(values[order][discarded])


def median(samples: Sequence[float]) -> float:
    """The median; of an even number, the mean of the two in the middle. NaN of none."""
    return quantile(samples, 0.5)


def interquartile_range(samples: Sequence[float]) -> float:
    """The third quartile minus the first, linear between samples. NaN of fewer than two, which have no spread."""
    if len(samples) < 2:
        return float("nan")
    return quantile(samples, 0.75) - quantile(samples, 0.25)


def quantile(samples: Sequence[float], share: float) -> float:
    """The quantile at a share of 0..1, linear between samples. NaN of none."""
    return float(np.quantile(np.asarray(samples, np.float64), share)) if len(samples) else float("nan")


def early_stopping_estimate(samples: Sequence[float], share: float) -> float:
    """A bound that the true percentile exceeds in 1 % of trials at most; NaN below `minimum_samples`.

    That holds of independent samples. The same frames timed again are samples of the machine's noise on these frames,
    and say nothing of other frames.

    Were the true percentile above a time, each sample would pass it with a chance of 1 - share or more; t is the most
    passes whose odds, t or fewer of n, are then still below 1 %. So the t-th highest sample is the estimate, and the
    t - 1 above it are discarded.

    Source: MLPerf Inference, loadgen/early_stopping.cc and results.cc (SingleStream), tolerance 0.
    """
    passes = _passes_allowed(len(samples), share)
    return float(np.sort(np.asarray(samples, np.float64))[-passes]) if passes else float("nan")


def num_discarded(num_samples: int, share: float) -> int | None:
    """How many of the highest samples `early_stopping_estimate` discards; None where there are too few samples."""
    passes = _passes_allowed(num_samples, share)
    return passes - 1 if passes else None


@cache
def minimum_samples(share: float) -> int:
    """The fewest samples that have an early-stopping estimate: 11 at 0.5, 64 at 0.9, 130 at 0.95, 662 at 0.99."""
    number = 1
    while not _passes_allowed(number, share):
        number += 1
    return number


def _passes_allowed(num_samples: int, share: float) -> int:
    """The largest t of `early_stopping_estimate`, 0 where there is none."""
    odds = bdtr(np.arange(num_samples), num_samples, 1 - share)  # of 0, 1, ... or fewer passes
    return max(int(np.count_nonzero(odds < 1 - CONFIDENCE)) - 1, 0)


def aa_difference(steps: Iterable[TimedStep]) -> float:
    """How far two timings of the same method differ, the dearer over the cheaper less 1; above AA_LIMIT it is noise.

    Passes belong to A and B in turn, A B A or A B B A, so that a steady drift is on both sides. Of each side the
    medians of the kinds of frame are added, weighed by how often they ran.

    Returns: NaN for a single pass, or without a kind that ran on both sides.
    """
    kept = list(steps)
    last = max((step.pass_number for step in kept), default=0)
    sides: dict[str, tuple[list[float], list[float]]] = {}
    for step in kept:
        side = int(_is_second(step.pass_number, last + 1))
        sides.setdefault(step.kind, ([], []))[side].append(step.seconds)
    both = [(len(a) + len(b), median(a), median(b)) for a, b in sides.values() if a and b]
    if not both:
        return float("nan")
    first = sum(number * time for number, time, _ in both)
    second = sum(number * time for number, _, time in both)
    return max(first, second) / min(first, second) - 1 if min(first, second) > 0 else float("nan")


def _is_second(number: int, num_passes: int) -> bool:
    """Whether a pass is one of B: A B A B A of an odd number, A B B A A B of an even one."""
    return number % 2 == 1 if num_passes % 2 else number % 4 in (1, 2)

"""Statistics of timed steps; every sample is kept, and these are derived."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import bdtr

CONFIDENCE = 0.99  # of an early-stopping percentile, with tolerance 0: MLPerf Inference, loadgen/results.cc
AA_LIMIT = 0.03  # two timings of one method that differ by more say that the machine is too noisy
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
        mean, median: of all samples; NaN of none.
        interquartile_range: the third quartile minus the first.
        p90, p99: `early_stopping_estimate`, not the plain quantile.
    """

    n: int
    mean: float
    median: float
    interquartile_range: float
    p90: float
    p99: float


def distribution(samples: Sequence[float]) -> Distribution:
    """Mean, median, interquartile range and percentiles of samples."""
    return Distribution(
        n=len(samples),
        mean=float(np.mean(np.asarray(samples, np.float64))) if len(samples) else float("nan"),
        median=median(samples),
        interquartile_range=interquartile_range(samples),
        p90=early_stopping_estimate(samples, 0.9),
        p99=early_stopping_estimate(samples, 0.99),
    )


def median(samples: Sequence[float]) -> float:
    """The median; of an even number, the mean of the two in the middle. NaN of none."""
    return quantile(samples, 0.5)


def interquartile_range(samples: Sequence[float]) -> float:
    """The third quartile minus the first, linear between samples. NaN of none."""
    return quantile(samples, 0.75) - quantile(samples, 0.25)


def quantile(samples: Sequence[float], share: float) -> float:
    """The quantile at a share of 0..1, linear between samples. NaN of none."""
    return float(np.quantile(np.asarray(samples, np.float64), share)) if len(samples) else float("nan")


def early_stopping_estimate(samples: Sequence[float], share: float) -> float:
    """A time that the true percentile does not exceed, at 99 % confidence; NaN below `minimum_samples`.

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
    """The fewest samples that have an early-stopping estimate: 64 at 0.9, 130 at 0.95, 662 at 0.99."""
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

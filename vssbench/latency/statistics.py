"""Statistics of timed steps; every sample is kept, and these are derived."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vssbench.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class TimedStep:
    """One timed step.

    Args:
        position: frames since the I frame that opened the GOP, 0 on the I frame.
        kind: the kind of work that the method says it did (`Step.kind`).
        seconds: its time.
    """

    position: int
    kind: str
    seconds: float


def gop_mean(steps: Sequence[TimedStep]) -> float:
    """Mean time of a frame over a GOP, in seconds: the mean over the positions d = 0..L-1 of the time at d.

    The time at d is the mean over the kinds of step met there, each weighed by its share of the samples at d
    and given its median at d. Where one kind runs at d, that is the median at d. Where the method chooses by
    the data (RGFS refreshes on a tenth of the P frames), a plain median would drop the rare and dear kind,
    and a plain mean would let one interrupted sample into the result.

    Args:
        steps: the timed steps of whole passes over whole GOPs.

    Raises:
        UsageError: some position up to the last has no sample.
    """
    samples: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for step in steps:
        samples[step.position][step.kind].append(step.seconds)
    length = max(samples, default=-1) + 1
    missing = sorted(set(range(length)) - set(samples))
    if missing or not length:
        raise UsageError(f"a GOP mean needs samples at every position, there are none at {missing or 'any'}")
    return float(np.mean([_mean_of_kinds(samples[position]) for position in range(length)]))


def _mean_of_kinds(samples: Mapping[str, Sequence[float]]) -> float:
    total = sum(len(times) for times in samples.values())
    return sum(len(times) / total * median(times) for times in samples.values())


def median(samples: Sequence[float]) -> float:
    """The median; of an even number, the mean of the two in the middle. NaN of none."""
    return quantile(samples, 0.5)


def interquartile_range(samples: Sequence[float]) -> float:
    """The third quartile minus the first, linear between samples. NaN of none."""
    return quantile(samples, 0.75) - quantile(samples, 0.25)


def p90(samples: Sequence[float]) -> float:
    """The 90th percentile, linear between samples; NaN of none. MLPerf asks for at least 64 samples."""
    return quantile(samples, 0.9)


def quantile(samples: Sequence[float], share: float) -> float:
    """The quantile at a share of 0..1, linear between samples. NaN of none."""
    return float(np.quantile(np.asarray(samples, np.float64), share)) if len(samples) else float("nan")

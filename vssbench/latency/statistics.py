"""Statistics of timed steps; every sample is kept, and these are derived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


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

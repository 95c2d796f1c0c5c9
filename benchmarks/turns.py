"""Timing side by side: the machine is rarely quiet, so rivals take turns within one process and ratios are compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one rival did on one case.

    Args:
        name: of the rival.
        least_s: its shortest time.
        ratio: the median over the turns of its time over the first rival's in the same turn.
    """

    name: str
    least_s: float
    ratio: float


def times_in_turns(
    runs: Mapping[str, Callable[[], object]],
    *,
    turns: tuple[int, int],
    seconds: float = 0.0,
    synchronise: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:
    """Name -> seconds of each turn; a turn times all runs, one after another.

    Args:
        runs: name -> what is timed.
        turns: at least and at most so many.
        seconds: after which no further turn begins, once there are enough.
        synchronise: waits until the device is idle; around every run.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    started = time.perf_counter()
    for turn in range(turns[1]):
        if turn >= turns[0] and time.perf_counter() - started >= seconds:
            break
        for name, run in runs.items():
            synchronise()
            start = time.perf_counter()
            run()
            synchronise()
            times[name].append(time.perf_counter() - start)
    return times


def over_the_first(times: Mapping[str, Sequence[float]]) -> list[Row]:
    """A row for each rival, all against the first."""
    first = next(iter(times.values()))
    return [
        Row(name=name, least_s=min(own), ratio=statistics.median(a / b for a, b in zip(own, first, strict=True)))
        for name, own in times.items()
    ]

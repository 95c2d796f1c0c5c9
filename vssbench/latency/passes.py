"""Ways to go through the same items, timed item by item in turns, and how far two of them differ."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vssbench.errors import ShapeError, UsageError

LEVEL = 0.99  # of the interval of a difference; few passes make a bootstrap a little too sure of itself
ROUNDS = 1000
_CHUNK = 100  # rounds at a time

Passes = Sequence[Sequence[float]]  # (passes, items) seconds
Way = TypeVar("Way", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """How much longer one way takes than another.

    Args:
        value: mean over the items of the difference of their medians over the passes.
        low, high: its interval, from drawing the turns again; NaN of fewer than two.
        num_turns: passes of each.
    """

    value: float
    low: float
    high: float
    num_turns: int

    @property
    def is_dearer(self) -> bool:
        """Whether the second way takes longer, and by more than noise."""
        return self.low > 0


def seconds_in_turns(
    ways: Mapping[Way, Callable[[], Iterable[object]]], *, turns: int, clock: Callable[[], float] = time.perf_counter
) -> dict[Way, list[list[float]]]:
    """Way -> (turns, items) seconds; every turn goes all ways, each second one in the reverse order.

    So a machine that slows down slows all of them down. A turn before them warms up and is not kept. Opening is of the
    first item; what follows the last one is not timed.

    Args:
        ways: name -> a function that begins again at the first item; all ways have as many items.
        turns: how many, at least 1.
        clock: seconds; a test passes its own.

    Raises: UsageError, when there is no turn; ShapeError, when a way has another number of items.
    """
    if turns < 1:
        raise UsageError(f"timing in turns needs at least one, got {turns}")
    kept: dict[Way, list[list[float]]] = {name: [] for name in ways}
    for turn in range(-1, turns):
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            seconds = _seconds(ways[name], clock)
            if turn >= 0:
                kept[name].append(seconds)
    numbers = {len(seconds) for passes in kept.values() for seconds in passes}
    if len(numbers) > 1:
        raise ShapeError(
            f"all ways go through the same items, got {sorted(numbers)} of them; mend what leaves some out"
        )
    return kept


def _seconds(way: Callable[[], Iterable[object]], clock: Callable[[], float]) -> list[float]:
    seconds = []
    started = clock()
    for _item in way():
        seconds.append(clock() - started)
        started = clock()
    return seconds


def median_of_each(passes: Passes) -> NDArray[np.float64]:
    """(items,) the median over the passes of every item."""
    return np.asarray(np.median(_array(passes), axis=0))


def paired_difference(first: Passes, second: Passes, *, seed: int = 0) -> PairedDifference:
    """How much longer the second way takes an item than the first, and between what bounds.

    The medians take out single interruptions; the interval is of what happens when other turns of those that were
    taken are drawn, a turn being one pass of each way. It tells load that comes and goes from a difference.

    Args:
        first, second: as `seconds_in_turns` gives them.
        seed: of the draws.

    Raises: ShapeError, when the two differ in their passes or items, or there are none.
    """
    one, two = _array(first), _array(second)
    if one.shape != two.shape:
        raise ShapeError(f"a paired difference needs the same passes and items, got {one.shape} and {two.shape}")
    turns = len(one)
    value = float(np.mean(np.median(two, axis=0) - np.median(one, axis=0)))
    if turns < 2:
        return PairedDifference(value=value, low=float("nan"), high=float("nan"), num_turns=turns)
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(0, ROUNDS, _CHUNK):
        chosen = generator.integers(0, turns, (_CHUNK, turns))
        medians = np.median(two[chosen], axis=1) - np.median(one[chosen], axis=1)  # (rounds, items)
        drawn.append(medians.mean(axis=1))
    low, high = np.quantile(np.concatenate(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return PairedDifference(value=value, low=float(low), high=float(high), num_turns=turns)


def _array(passes: Passes) -> NDArray[np.float64]:
    array = np.array([list(seconds) for seconds in passes], np.float64)
    if array.ndim != 2 or not array.size:
        raise ShapeError(f"seconds must be (passes, items), got {array.shape}; take them with seconds_in_turns")
    return array

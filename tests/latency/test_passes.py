"""Timing in turns: what is kept, and when a difference is more than noise."""

import math

import numpy as np
import pytest

from vssbench.errors import ShapeError, UsageError
from vssbench.latency.passes import median_of_each, paired_difference, seconds_in_turns


class Clock:
    """A clock that only items move: an item of a way takes its seconds, more at the turns that are named."""

    def __init__(self):
        self.now, self.order = 0.0, []

    def __call__(self):
        return self.now

    def way(self, name, seconds):
        def items():
            self.order.append(name)
            for item in seconds:
                self.now += item
                yield item

        return items


def test_every_turn_goes_all_ways_each_second_one_in_reverse_and_the_first_only_warms_up():
    clock = Clock()
    ways = {name: clock.way(name, [float(n + 1), 0.5]) for n, name in enumerate("abc")}
    found = seconds_in_turns(ways, turns=2, clock=clock)
    assert "".join(clock.order) == "cba" + "abc" + "cba"
    assert found == {"a": [[1.0, 0.5]] * 2, "b": [[2.0, 0.5]] * 2, "c": [[3.0, 0.5]] * 2}


def test_no_turns_and_ways_of_unlike_length_are_refused():
    clock = Clock()
    with pytest.raises(UsageError, match="at least one"):
        seconds_in_turns({"a": clock.way("a", [1.0])}, turns=0, clock=clock)
    with pytest.raises(ShapeError, match=r"got \[1, 2\]"):
        seconds_in_turns({"a": clock.way("a", [1.0]), "b": clock.way("b", [1.0, 2.0])}, turns=1, clock=clock)


def test_the_median_of_an_item_is_over_the_passes():
    np.testing.assert_array_equal(median_of_each([[1, 10], [2, 30], [9, 20]]), [2, 20])


def noisy(turns, items, *, added, seed, slow=0.0):
    """Two ways, the second `added` dearer; 1 % of noise, and a load that doubles whole passes by chance."""
    rng = np.random.default_rng(seed)
    frames = 2 + 0.2 * rng.standard_normal(items)
    load = 1 + (rng.random((2, turns, 1)) < slow)
    times = (frames + np.array([0, added])[:, None, None]) * load
    return times * (1 + 0.01 * rng.standard_normal((2, turns, items)))


def test_the_difference_is_the_mean_over_items_of_the_differences_of_their_medians():
    # medians 1 and 10, then 2 and 14: (1 + 4) / 2
    first, second = [[1, 10], [1, 10], [5, 90]], [[2, 14], [7, 14], [2, 99]]
    assert paired_difference(first, second).value == pytest.approx(2.5)


def test_a_real_difference_is_told_with_an_interval_around_it():
    found = paired_difference(*noisy(9, 24, added=0.1, seed=0))
    assert found.low < found.value < found.high
    assert (found.is_dearer, found.num_turns) == (True, 9)
    assert found.value == pytest.approx(0.1, abs=0.01)


def test_an_interruption_of_one_pass_moves_nothing():
    one, two = noisy(9, 24, added=0.1, seed=0)
    two[4] += 5
    assert paired_difference(one, two).value == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("slow", [0.0, 0.5])
def test_the_same_way_twice_is_hardly_ever_called_dearer(slow):
    """On a quiet machine, and on one where a load comes and goes with every pass: of 200 at most 3 %."""
    found = [paired_difference(*noisy(9, 24, added=0.0, seed=seed, slow=slow)) for seed in range(200)]
    assert sum(each.is_dearer for each in found) <= 6
    assert sum(each.value < 0 for each in found) > 50, "a plain difference of means is negative about as often as not"


def test_a_load_that_comes_and_goes_hides_a_small_difference():
    found = [paired_difference(*noisy(9, 24, added=0.1, seed=seed, slow=0.5)) for seed in range(50)]
    assert sum(each.is_dearer for each in found) < 25


def test_the_same_draws_give_the_same_interval():
    one, two = noisy(9, 24, added=0.1, seed=0)
    assert paired_difference(one, two) == paired_difference(one, two)


def test_one_pass_has_a_difference_and_no_interval():
    found = paired_difference([[1.0, 2.0]], [[2.0, 4.0]])
    assert found.value == 1.5
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert not found.is_dearer


@pytest.mark.parametrize(
    ("first", "second"), [([[1.0]], [[1.0, 2.0]]), ([[1.0]], [[1.0], [1.0]]), ([], []), ([[]], [[]])]
)
def test_unlike_passes_and_none_are_refused(first, second):
    with pytest.raises(ShapeError):
        paired_difference(first, second)

import math
from math import comb

import numpy as np
import pytest

from vssbench.latency.statistics import (
    AA_LIMIT,
    TimedStep,
    aa_difference,
    distribution,
    early_stopping_estimate,
    interquartile_range,
    median,
    minimum_samples,
    num_discarded,
    quantile,
)


def test_statistics_by_hand():
    samples = [5.0, 1.0, 2.0, 3.0, 4.0]
    assert median(samples) == 3.0
    assert median([1.0, 2.0]) == 1.5
    assert interquartile_range(samples) == 4.0 - 2.0
    assert quantile([float(i) for i in range(11)], 0.9) == 9.0
    assert quantile(samples, 0) == 1.0
    assert quantile(samples, 1) == 5.0


def test_statistics_of_one_sample_are_that_sample_and_it_has_no_high_percentile():
    one = distribution([7.0])
    assert (one.n, one.mean, one.median, one.interquartile_range) == (1, 7.0, 7.0, 0.0)
    assert math.isnan(one.p90)
    assert math.isnan(one.p99)


def test_statistics_of_no_sample_are_nan():
    none = distribution([])
    assert none.n == 0
    assert all(math.isnan(value) for value in (none.mean, none.median, none.interquartile_range, none.p90, none.p99))


# ---- MLPerf's early stopping ----


@pytest.mark.parametrize(("share", "least"), [(0.9, 64), (0.95, 130), (0.99, 662)])
def test_a_percentile_needs_as_many_samples_as_mlperf_asks_for(share, least):
    """MLPerf Inference prints "Processed at least 64 queries", "would need to process at least 662"."""
    assert minimum_samples(share) == least
    samples = list(np.arange(least, dtype=float))
    assert math.isnan(early_stopping_estimate(samples[1:], share))
    assert early_stopping_estimate(samples, share) == least - 1, "the highest: none may be discarded yet"


@pytest.mark.parametrize(
    ("queries", "discarded"),
    # "Processed at least 64 queries (7914). Would discard 728 highest latency queries." and other published logs
    [(7914, 728), (79944, 7796), (708, 51), (659, 47), (201, 9), (100, 2), (64, 0), (63, None)],
)
def test_published_mlperf_logs_are_reproduced(queries, discarded):
    assert num_discarded(queries, 0.9) == discarded


def test_the_estimate_is_the_highest_of_what_is_left():
    rng = np.random.default_rng(0)
    samples = rng.permutation(7914).astype(float)
    assert early_stopping_estimate(samples, 0.9) == 7913 - 728
    assert early_stopping_estimate(samples, 0.9) > np.quantile(samples, 0.9)


@pytest.mark.parametrize(("number", "share"), [(64, 0.9), (100, 0.9), (201, 0.9), (130, 0.95), (700, 0.99)])
def test_the_odds_are_those_of_the_binomial_distribution(number, share):
    """t or fewer of n above the true percentile: below 1 % for the t taken, above it for the next."""

    def odds(t):
        return sum(comb(number, x) * (1 - share) ** x * share ** (number - x) for x in range(t + 1))

    t = num_discarded(number, share) + 1
    assert odds(t) < 0.01 <= odds(t + 1)


def test_an_estimate_is_rarely_too_low():
    """99 % confidence: of 2000 runs of 100 samples about 20, or fewer, fall short of the true 90th percentile."""
    rng = np.random.default_rng(0)
    short = sum(early_stopping_estimate(rng.random(100), 0.9) < 0.9 for _ in range(2000))
    assert 0 < short <= 30


# ---- A/A ----


def passes(*times, kind="key"):
    """One step a pass."""
    return [TimedStep(position=0, kind=kind, seconds=s, pass_number=n) for n, s in enumerate(times)]


def test_equal_passes_do_not_differ():
    assert aa_difference(passes(2.0, 2.0, 2.0, 2.0)) == 0


def test_the_difference_is_that_of_the_medians_of_the_two_sides():
    # A: passes 0 and 3, B: 1 and 2; medians 1.00 and 1.05
    assert aa_difference(passes(1.0, 1.05, 1.05, 1.0)) == pytest.approx(0.05)
    assert aa_difference(passes(1.05, 1.0, 1.0, 1.05)) == pytest.approx(0.05), "whichever is the dearer"


@pytest.mark.parametrize("number", [3, 4, 5, 8])
def test_a_steady_drift_is_on_both_sides(number):
    assert aa_difference(passes(*(1 + 0.1 * n for n in range(number)))) == pytest.approx(0, abs=1e-12)


def test_noise_is_told_from_a_quiet_machine():
    rng = np.random.default_rng(0)
    quiet = passes(*(1 + 0.001 * rng.standard_normal(40)))
    loud = passes(*(1 + 0.5 * (n % 4 in (1, 2)) for n in range(40)))
    assert aa_difference(quiet) < AA_LIMIT < aa_difference(loud)


def test_kinds_weigh_as_often_as_they_ran():
    steps = passes(10.0, 20.0, kind="key")
    for kind_steps in [passes(1.0, 1.0, kind="warp")] * 5:
        steps += kind_steps
    # A: 2 keys of 10, 10 warps of 1 = 30; B: 2 of 20 and 10 = 50
    assert aa_difference(steps) == pytest.approx(50 / 30 - 1)


def test_one_pass_or_kinds_on_one_side_only_tell_nothing():
    assert math.isnan(aa_difference([]))
    assert math.isnan(aa_difference(passes(1.0)))
    once = [
        TimedStep(position=0, kind="a", seconds=1.0, pass_number=0),
        TimedStep(position=0, kind="b", seconds=2.0, pass_number=1),
    ]
    assert math.isnan(aa_difference(once))

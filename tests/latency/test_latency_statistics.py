import math
from math import comb

import numpy as np
import pytest

from vssbench.errors import ShapeError
from vssbench.latency.statistics import (
    AA_LIMIT,
    TimedStep,
    aa_difference,
    distribution,
    early_stopping_estimate,
    effective_number,
    interquartile_range,
    median,
    minimum_samples,
    num_discarded,
    quantile,
    weighed_distribution,
)


def test_statistics_by_hand():
    samples = [5.0, 1.0, 2.0, 3.0, 4.0]
    assert median(samples) == 3.0
    assert median([1.0, 2.0]) == 1.5
    assert interquartile_range(samples) == 4.0 - 2.0
    assert quantile([float(i) for i in range(11)], 0.9) == 9.0
    assert quantile(samples, 0) == 1.0
    assert quantile(samples, 1) == 5.0


@pytest.mark.parametrize("one", [distribution([7.0]), weighed_distribution([7.0], [3.0])])
def test_one_sample_is_its_own_median_and_has_neither_a_spread_nor_a_percentile(one):
    assert (one.n, one.mean, one.median) == (1, 7.0, 7.0)
    assert all(math.isnan(value) for value in (one.interquartile_range, one.p50, one.p90, one.p99))


def test_statistics_of_no_sample_are_nan():
    none = distribution([])
    assert none.n == 0
    assert all(math.isnan(value) for value in (none.mean, none.median, none.interquartile_range, none.p90, none.p99))


# ---- samples that stand for unequal shares ----


def test_weighed_statistics_by_hand():
    # half of all frames take 1 s, three eighths 2 s and one eighth 4 s; of these 3, 1 and 2 were timed
    found = weighed_distribution([1.0, 4.0, 1.0, 2.0, 1.0, 4.0], [4 / 3, 0.5, 4 / 3, 3, 4 / 3, 0.5])
    assert found.mean == pytest.approx((4 * 1 + 3 * 2 + 1 * 4) / 8)
    assert found.median == 1.5, "half of the weight is reached at 1 exactly, so the mean with the next"
    assert found.interquartile_range == 2 - 1


@pytest.mark.parametrize("number", [1, 2, 3, 10, 11, 64, 100, 201, 662, 1001])
def test_equal_weights_of_any_scale_change_nothing(number):
    samples = np.random.default_rng(number).random(number).tolist()
    plain, weighed = distribution(samples), weighed_distribution(samples, [0.1] * number)
    for name in ("n", "mean", "median", "p50", "p90", "p99"):  # quartiles are not interpolated in one of the two
        assert getattr(weighed, name) == pytest.approx(getattr(plain, name), rel=1e-12, nan_ok=True), name
    assert effective_number([0.1] * number) == number


def test_weights_undo_that_a_kind_was_timed_too_often():
    rng = np.random.default_rng(0)
    cheap, dear = rng.normal(1, 0.01, 900), rng.normal(10, 0.01, 900)
    found = weighed_distribution([*cheap, *dear], [0.95 / 900] * 900 + [0.05 / 900] * 900)
    assert found.mean == pytest.approx(0.95 * 1 + 0.05 * 10, rel=0.01)
    assert found.median < found.p50 < found.p90 < 1.1 < found.p99
    # (0.95 + 0.05)^2 / (0.95^2 + 0.05^2) of 900
    assert effective_number([0.95] * 900 + [0.05] * 900) == int(900 / (0.95**2 + 0.05**2))


def test_few_samples_that_stand_for_much_have_no_percentile():
    samples, weights = [1.0] * 700 + [10.0] * 5, [0.5 / 700] * 700 + [0.5 / 5] * 5
    assert effective_number(weights) == 19
    found = weighed_distribution(samples, weights)
    assert found.p50 == 10.0
    assert math.isnan(found.p90)


def test_a_weighed_estimate_is_rarely_too_low():
    """Two kinds in equal parts, one timed thrice as often: of 1000 runs about 10, or fewer, fall short."""
    rng = np.random.default_rng(0)
    weights = [1 / 150] * 150 + [1 / 50] * 50  # both kinds are uniform on 0..1, so the percentile is 0.9
    short = sum(weighed_distribution(rng.random(200), weights).p90 < 0.9 for _ in range(1000))
    assert 0 < short <= 20


def test_a_sample_of_weight_0_does_not_count_and_an_unknown_weight_leaves_no_number():
    assert weighed_distribution([1.0, 2.0, 99.0], [1, 1, 0]).median == 1.5
    unknown = weighed_distribution([1.0, 2.0], [1, math.nan])
    assert unknown.n == 2
    assert effective_number([1, math.nan]) == effective_number([]) == 0
    for none in (unknown, weighed_distribution([], [])):
        values = (none.mean, none.median, none.interquartile_range, none.p50, none.p90, none.p99)
        assert all(math.isnan(value) for value in values)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0]])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(ShapeError, match="one weight of 0 or more"):
        weighed_distribution([1.0, 2.0], weights)


# ---- MLPerf's early stopping ----


@pytest.mark.parametrize(("share", "least"), [(0.5, 11), (0.9, 64), (0.95, 130), (0.99, 662)])
def test_a_percentile_needs_as_many_samples_as_mlperf_asks_for(share, least):
    """MLPerf Inference prints "Processed at least 64 queries", "would need to process at least 662".

    At 0.5, 1 or fewer of 11 pass with odds of 12 / 2048, below 1 %, and of 10 with 11 / 1024, above it.
    """
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

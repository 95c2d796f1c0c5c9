import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

from vssbench.errors import ShapeError, UsageError
from vssbench.metrics import bootstrap
from vssbench.metrics.bootstrap import (
    MINIMUM_CLIPS,
    Resampled,
    combined,
    interval,
    miou_statistic,
    ratio_statistic,
    resample,
)
from vssbench.metrics.distance import mean_over_distance, miou_by_distance, pooled


def counts_of(clips, *, distances=3, classes=4, seed=0, pixels=500):
    """(n, L, K, K): clips that differ in content and in how well they are labelled."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(classes), clips)
    right = rng.uniform(0.5, 0.95, clips)
    expected = shares[:, :, None] * ((1 - right)[:, None, None] / classes + right[:, None, None] * np.eye(classes))
    expected /= expected.sum(axis=(1, 2), keepdims=True)
    return np.stack([[rng.multinomial(pixels, p.ravel()).reshape(p.shape) for _ in range(distances)] for p in expected])


def mean_of(weights):
    return weights @ np.arange(weights.shape[1], dtype=float) / weights.sum(axis=1)


def mean_miou(counts, **options):
    return combined(lambda values: values.mean(axis=1), resample(miou_statistic(counts), len(counts), **options))


# ---- rounds ----


def test_the_estimate_is_the_number_on_the_clips_as_they_are():
    counts = counts_of(9)
    found = resample(miou_statistic(counts), 9, rounds=2)
    np.testing.assert_allclose(found.estimate, miou_by_distance(counts.sum(axis=0)), rtol=1e-15)
    assert combined(lambda v: v.mean(axis=1), found).estimate == pytest.approx(
        mean_over_distance(counts.sum(axis=0)), rel=1e-15
    )


def test_every_round_is_the_number_on_the_clips_that_it_drew():
    counts = counts_of(7)
    weights = resample(lambda weights: weights, 7, rounds=50, seed=3).rounds
    found = resample(miou_statistic(counts), 7, rounds=50, seed=3).rounds
    for drawn, values in zip(weights, found, strict=True):
        assert drawn.sum() == 7
        clips = [counts[index] for index in range(7) for _ in range(int(drawn[index]))]
        np.testing.assert_allclose(values, miou_by_distance(np.sum(clips, axis=0)), rtol=1e-14)


def test_pooled_rounds_are_of_one_matrix_over_all_distances():
    counts = counts_of(7)
    found = resample(miou_statistic(counts, pooled=True), 7, rounds=5)
    assert found.rounds.shape == (5, 1)
    assert found.estimate[0] == pytest.approx(pooled(counts.sum(axis=0)), rel=1e-15)


def test_leaving_out_a_clip_is_the_number_on_the_others():
    counts = counts_of(5)
    left_out = resample(miou_statistic(counts), 5, rounds=1).left_out
    for index, values in enumerate(left_out):
        np.testing.assert_allclose(values, miou_by_distance(np.delete(counts, index, axis=0).sum(axis=0)), rtol=1e-14)


def test_a_class_that_no_clip_drawn_shows_is_left_out_of_the_mean_of_that_round():
    # clip 0 shows class 0, half right (a half is called class 1); clip 1 shows class 2, all right
    counts = np.zeros((2, 1, 3, 3), np.int64)
    counts[0, 0, 0, :2] = 5, 5
    counts[1, 0, 2, 2] = 10
    statistic = miou_statistic(counts)
    # clip 0 alone: IoU 1/2 and 0 -> 1/4; clip 1 alone: 1; both: (1/2 + 0 + 1) / 3
    values = statistic(np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0], [0.0, 0.0]]))
    np.testing.assert_allclose(values[:, 0], [1 / 4, 1, 1 / 2, np.nan])


def test_one_seed_draws_the_same_clips_and_another_does_not():
    first, again, other = (resample(mean_of, 10, rounds=100, seed=seed).rounds for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_every_clip_is_drawn_as_often_as_any_other():
    weights = resample(lambda weights: weights, 6, rounds=20_000).rounds
    # mean of a binomial 6 * 1/6, standard error sqrt(5/6 / 20000) = 0.0065; variance 6 * 1/6 * 5/6
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.03)
    np.testing.assert_allclose(weights.var(axis=0), 5 / 6, atol=0.05)


def test_work_in_parts_changes_nothing(monkeypatch):
    counts = counts_of(20)
    whole = resample(miou_statistic(counts), 20, rounds=300)
    monkeypatch.setattr(bootstrap, "_CHUNK_BYTES", 8 * 20 * 7)  # seven rows of weights, a few of sums
    part = resample(miou_statistic(counts), 20, rounds=300)
    np.testing.assert_array_equal(part.rounds, whole.rounds)
    np.testing.assert_array_equal(part.left_out, whole.left_out)


def test_ten_thousand_rounds_of_cityscapes_size_take_little_memory_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 9, (50, 12, 19, 19))
    largest = 0
    statistic = miou_statistic(counts)

    def watched(weights):
        nonlocal largest
        largest = max(largest, weights.nbytes)
        return statistic(weights)

    assert resample(watched, 50).rounds.shape == (10_000, 12)
    assert largest <= bootstrap._CHUNK_BYTES


def test_a_ratio_weighs_the_clips_drawn_and_then_the_distances_alike():
    # d = 0: clips of 1 and 3 frames at 10 and 20 a frame; d = 1: one frame each at 2 and 4
    work, frames = np.array([[10.0, 2.0], [60.0, 4.0]]), np.array([[1.0, 1.0], [3.0, 1.0]])
    values = ratio_statistic(work, frames)(np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]]))
    # (70 / 4 + 3) / 2, (10 + 2) / 2, (20 + 4) / 2
    np.testing.assert_allclose(values, [10.25, 6, 12])


# ---- differences ----


def test_the_paired_difference_of_a_method_with_itself_is_zero_and_so_is_its_interval():
    one, other = mean_miou(counts_of(12), rounds=500), mean_miou(counts_of(12), rounds=500)
    difference = combined(np.subtract, one, other)
    assert difference.estimate == 0
    assert not difference.rounds.any()
    found = interval(difference)
    assert (found.low, found.high) == (0.0, 0.0)
    assert found.holds_zero


def test_pairing_narrows_the_difference_of_methods_that_find_the_same_clips_hard():
    counts = counts_of(30)
    other = counts.copy()
    other[:, :, 0, 0] += 20  # a little better everywhere
    one, two = mean_miou(counts, rounds=2000), mean_miou(other, rounds=2000)
    unpaired = mean_miou(counts, rounds=2000, seed=1)
    paired = interval(combined(np.subtract, two, one))
    loose = interval(combined(np.subtract, two, unpaired))
    assert paired.low > 0
    assert paired.high - paired.low < 0.3 * (loose.high - loose.low)


def test_numbers_over_different_draws_do_not_combine():
    with pytest.raises(ShapeError, match=r"\(clips, rounds\) \[\(9, 10\), \(10, 10\)\]"):
        combined(np.subtract, resample(mean_of, 9, rounds=10), resample(mean_of, 10, rounds=10))


# ---- intervals ----


def test_the_mean_of_a_sample_has_the_interval_that_scipy_finds():
    values = np.random.default_rng(5).lognormal(size=25)

    def mean(weights):
        return weights @ values / weights.sum(axis=1)

    found = resample(mean, 25, rounds=20_000)
    for kind, name in (("bca", "BCa"), ("percentile", "percentile")):
        expected = scipy_bootstrap((values,), np.mean, n_resamples=20_000, method=name, rng=1).confidence_interval
        ours = interval(found, kind=kind)
        width = expected.high - expected.low
        assert ours.low == pytest.approx(expected.low, abs=0.03 * width)
        assert ours.high == pytest.approx(expected.high, abs=0.03 * width)


def test_bca_leans_to_where_the_sample_is_long():
    values = np.random.default_rng(5).lognormal(size=25)
    found = resample(lambda weights: weights @ values / weights.sum(axis=1), 25, rounds=5000)
    skewed, plain = interval(found), interval(found, kind="percentile")
    assert skewed.low > plain.low
    assert skewed.high > plain.high


def test_an_interval_of_more_clips_is_narrower():
    widths = []
    for clips in (10, 40, 160):
        found = interval(mean_miou(counts_of(clips, seed=2), rounds=1000))
        widths.append(found.high - found.low)
    # by the root of four each time
    assert widths[0] > 1.4 * widths[1] > 2 * widths[2] > 0


@pytest.mark.parametrize("kind", ["bca", "percentile"])
def test_nine_of_ten_intervals_at_ninety_percent_hold_the_truth(kind):
    # the ratio of two sums over 30 clips; of 400 intervals, standard error 1.5 %; both kinds fall a little short
    rng = np.random.default_rng(11)
    held = 0
    for seed in range(400):
        size = rng.gamma(4, 1, 30)
        right = size * rng.beta(8, 4, 30)  # mean 2/3
        found = resample(ratio_statistic(right[:, None], size[:, None]), 30, rounds=400, seed=seed)
        held += (ends := interval(found, level=0.9, kind=kind)).low <= 2 / 3 <= ends.high
    assert 0.85 <= held / 400 <= 0.95


def test_too_few_clips_have_no_interval_and_say_so():
    for clips in (2, MINIMUM_CLIPS - 1):
        found = interval(resample(mean_of, clips, rounds=10))
        assert np.isnan([found.low, found.high]).all()
        assert found.reason == f"{clips} clips, an interval needs {MINIMUM_CLIPS}"
        assert not found.holds_zero
    assert not interval(resample(mean_of, MINIMUM_CLIPS, rounds=100)).reason


def test_rounds_that_cannot_be_computed_are_left_out_up_to_a_share_and_refused_beyond():
    rounds = np.linspace(0, 1, 1000)
    left_out = np.linspace(0.4, 0.6, 10)
    for refused, reason in ((40, ""), (60, "not to be computed in 6 % of the rounds")):
        values = rounds.copy()
        values[:refused] = np.nan
        found = interval(Resampled(estimate=np.array(0.5), rounds=values, left_out=left_out))
        assert found.reason == reason
        assert np.isnan(found.low) == bool(reason)


def test_a_number_that_never_varies_has_an_interval_of_no_length():
    found = interval(resample(lambda weights: np.full(len(weights), 3.0), 10, rounds=50))
    assert (found.low, found.high) == (3.0, 3.0)


@pytest.mark.parametrize(("clips", "rounds"), [(0, 10), (5, 0)])
def test_nothing_to_draw_is_refused(clips, rounds):
    with pytest.raises(UsageError, match="at least one clip and one round"):
        resample(mean_of, clips, rounds=rounds)


@pytest.mark.parametrize(
    "counts", [np.zeros((3, 2, 4, 5), np.int64), np.zeros((3, 4, 4), np.int64), np.zeros((3, 2, 4, 4))]
)
def test_counts_of_another_shape_or_type_are_refused(counts):
    with pytest.raises(ShapeError, match=r"\(clips, L, K, K\) integers"):
        miou_statistic(counts)


def test_an_interval_is_of_one_number():
    with pytest.raises(ShapeError, match=r"of one number, got shape \(3,\)"):
        interval(resample(miou_statistic(counts_of(9)), 9, rounds=10))

import numpy as np
import pytest

from vssbench.errors import ShapeError, UsageError
from vssbench.metrics.confusion import mean_iou
from vssbench.metrics.distance import (
    DEFAULT_PROTOCOL,
    PROTOCOLS,
    mean_over_distance,
    miou,
    miou_by_distance,
    pooled,
)

# d = 0: IoU 1, 1 -> 1; d = 1: class 0 is 1/3, class 1 is 1/3 -> 1/3; summed: [[3, 1], [1, 3]] -> 3/5
TWO_DISTANCES = np.array([[[2, 0], [0, 2]], [[1, 1], [1, 1]]])


def test_each_distance_has_a_miou_of_its_own():
    np.testing.assert_allclose(miou_by_distance(TWO_DISTANCES), [1, 1 / 3], rtol=1e-15)


def test_mean_over_distance_weighs_distances_alike():
    assert mean_over_distance(TWO_DISTANCES) == pytest.approx(2 / 3, rel=1e-15)
    heavier = TWO_DISTANCES * np.array([1, 100])[:, None, None]
    assert mean_over_distance(heavier) == pytest.approx(2 / 3, rel=1e-15)


def test_pooled_weighs_pixels_alike():
    assert pooled(TWO_DISTANCES) == pytest.approx(3 / 5, rel=1e-15)
    # [[102, 100], [100, 102]] -> 102 / 302
    assert pooled(TWO_DISTANCES * np.array([1, 100])[:, None, None]) == pytest.approx(102 / 302, rel=1e-15)


def test_one_distance_is_the_same_by_both_protocols():
    one = TWO_DISTANCES[1:]
    assert mean_over_distance(one) == pooled(one) == mean_iou(one[0])


def test_more_than_255_distances_are_kept_apart():
    many = np.repeat(TWO_DISTANCES, 150, axis=0)
    assert miou_by_distance(many).shape == (300,)
    assert mean_over_distance(many) == pytest.approx(2 / 3, rel=1e-12)


def test_a_distance_where_nothing_was_counted_is_nan_and_so_is_the_mean():
    confusions = np.concatenate([TWO_DISTANCES, np.zeros((1, 2, 2), np.int64)])
    np.testing.assert_allclose(miou_by_distance(confusions), [1, 1 / 3, np.nan], rtol=1e-15)
    assert np.isnan(mean_over_distance(confusions))
    assert pooled(confusions) == pytest.approx(3 / 5, rel=1e-15)


def test_no_distance_gives_nan():
    none = np.zeros((0, 2, 2), np.int64)
    assert np.isnan(mean_over_distance(none))
    assert np.isnan(pooled(none))


def test_a_class_absent_at_one_distance_is_left_out_of_that_mean_only():
    # d = 0: class 1 absent, class 0 perfect -> 1; d = 1: both 1/3
    confusions = np.array([[[4, 0], [0, 0]], [[1, 1], [1, 1]]])
    np.testing.assert_allclose(miou_by_distance(confusions), [1, 1 / 3], rtol=1e-15)


def test_protocols_go_by_name_and_the_default_is_arsegs():
    assert DEFAULT_PROTOCOL == "per-distance-mean"
    assert set(PROTOCOLS) == {"per-distance-mean", "pooled"}
    assert miou(TWO_DISTANCES) == miou(TWO_DISTANCES, protocol="per-distance-mean") == pytest.approx(2 / 3)
    assert miou(TWO_DISTANCES, protocol="pooled") == pytest.approx(3 / 5)


def test_an_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"'mean'.*per-distance-mean, pooled"):
        miou(TWO_DISTANCES, protocol="mean")


@pytest.mark.parametrize("score", [miou_by_distance, mean_over_distance, pooled])
def test_a_single_confusion_matrix_is_refused(score):
    with pytest.raises(ShapeError, match=r"\(L, K, K\) integers, got \(2, 2\)"):
        score(TWO_DISTANCES[0])

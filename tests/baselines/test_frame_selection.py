import math

import numpy as np
import pytest

from baselines.frame_selection import (
    CAMVID_THRESHOLD_MEAN,
    CITYSCAPES_THRESHOLD_MEAN,
    RELEASED_CUMULATIVE_THRESHOLD_MEAN,
    FrameSelection,
    calibrate_threshold,
    mean_abs_residual,
)
from vssbench.errors import DatasetError, ShapeError, UsageError


def test_the_residual_is_averaged_by_magnitude_over_pixels_and_channels():
    residual = np.zeros((2, 2, 3), np.int16)
    residual[0, 0] = (10, -20, 0)
    residual[1, 1] = (0, 0, -30)
    assert mean_abs_residual(residual) == 5.0  # 60 / 12
    assert mean_abs_residual(np.full((1024, 2048, 3), -255, np.int16)) == 255.0  # 1.6e9 does not overflow


def test_an_empty_residual_is_an_error():
    with pytest.raises(ShapeError, match="must cover the frame"):
        mean_abs_residual(np.zeros((0, 4, 3), np.int16))


def test_a_frame_is_selected_above_the_threshold_and_not_at_it():
    selection = FrameSelection(threshold_mean=5.0)
    assert not selection.selects(5.0, cumulative_mean=5.0)
    assert selection.selects(math.nextafter(5.0, 6.0), cumulative_mean=5.0)


def test_the_papers_thresholds_fall_where_its_sums_do():
    # 3.6e7 over 1024x2048x3 and 1.8e7 over 720x960x3 samples: not selected at the sum, but one above it
    for threshold, total, samples in [
        (CITYSCAPES_THRESHOLD_MEAN, 36_000_000, 1024 * 2048 * 3),
        (CAMVID_THRESHOLD_MEAN, 18_000_000, 720 * 960 * 3),
    ]:
        selection = FrameSelection(threshold_mean=threshold)
        assert not selection.selects(total / samples, cumulative_mean=0.0)
        assert selection.selects((total + 1) / samples, cumulative_mean=0.0)
    assert round(CITYSCAPES_THRESHOLD_MEAN, 2) == 5.72
    assert round(CAMVID_THRESHOLD_MEAN, 2) == 8.68


def test_only_the_release_selects_by_the_cumulative_residual():
    assert round(RELEASED_CUMULATIVE_THRESHOLD_MEAN, 2) == 15.89  # 1e8 / 6291456
    release = FrameSelection(threshold_mean=9.0, rule="release", cumulative_threshold_mean=16.0)
    assert not release.selects(1.0, cumulative_mean=16.0)
    assert release.selects(1.0, cumulative_mean=16.5)
    assert release.selects(9.5, cumulative_mean=9.5)
    assert not FrameSelection(threshold_mean=9.0).selects(1.0, cumulative_mean=1000.0)


def test_an_infinite_threshold_selects_nothing_and_is_stored_as_text():
    selection = FrameSelection(threshold_mean=math.inf, calibrated_share=0.0)
    assert not selection.selects(255.0, cumulative_mean=1e9)
    assert selection.condition == {
        "rgfs_threshold_mean": "inf",
        "rgfs_rule": "paper",
        "rgfs_calibrated_share": 0.0,
    }


def test_the_second_threshold_is_in_the_condition_where_it_counts():
    condition = FrameSelection(threshold_mean=2.0, rule="release").condition
    assert condition["rgfs_cumulative_threshold_mean"] == RELEASED_CUMULATIVE_THRESHOLD_MEAN


@pytest.mark.parametrize("options", [{"threshold_mean": math.nan}, {"threshold_mean": 1.0, "rule": "code"}])
def test_a_useless_selection_is_refused(options):
    with pytest.raises(UsageError, match=r"NaN|rule must be"):
        FrameSelection(**options)


def test_calibration_takes_the_largest_tenth():
    means = np.arange(1.0, 21.0)  # 20 frames: 2 are to exceed, so the threshold is the third largest
    assert calibrate_threshold(np.random.default_rng(0).permutation(means), 0.1) == 18.0


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.29, 1 / 3, 0.5, 0.9, 0.999, 1.0])
def test_the_calibrated_share_is_exact_without_ties(share):
    means = np.random.default_rng(1).random(50) * 10
    threshold = calibrate_threshold(means, share)
    # halves round up: 0.01 -> 1 (0.5), 0.29 -> 15 (14.5, though 0.29 * 50 is 14.499999999999998)
    expected = {0.0: 0, 0.01: 1, 0.1: 5, 0.29: 15, 1 / 3: 17, 0.5: 25, 0.9: 45, 0.999: 50, 1.0: 50}
    assert (means > threshold).sum() == expected[share]


def test_no_share_is_infinite_and_the_whole_lies_below_the_smallest():
    assert calibrate_threshold([1.0, 2.0], 0.0) == math.inf
    threshold = calibrate_threshold([0.0, 2.0], 1.0)
    assert threshold < 0.0  # so that even a frame without residual exceeds it
    assert FrameSelection(threshold_mean=threshold).selects(0.0, cumulative_mean=0.0)


def test_ties_select_fewer_never_more():
    means = [5.0, 3.0, 3.0, 3.0, 1.0]
    threshold = calibrate_threshold(means, 0.4)  # 2 of 5 asked; second and third are tied
    assert threshold == 3.0
    assert sum(mean > threshold for mean in means) == 1


def test_too_few_frames_for_the_share_select_none_of_them():
    assert calibrate_threshold([4.0, 2.0], 0.1) == 4.0  # 0.2 of a frame rounds to none
    assert calibrate_threshold([4.0], 0.5) < 4.0  # half a frame rounds to one


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(UsageError, match="share of selected P frames"):
        calibrate_threshold([1.0], share)


def test_calibration_needs_p_frames_with_finite_means():
    with pytest.raises(DatasetError, match="got none"):
        calibrate_threshold([], 0.1)
    with pytest.raises(DatasetError, match="finite"):
        calibrate_threshold([1.0, math.nan], 0.1)
    with pytest.raises(ShapeError, match="one number per P frame"):
        calibrate_threshold(np.ones((2, 2)), 0.1)

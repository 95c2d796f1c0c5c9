from itertools import pairwise

import numpy as np
import pytest

from vssbench.codec.decode import decode
from vssbench.codec.encode import EncodeSettings, encode
from vssbench.datasets.image_sequence import CamVidSequence
from vssbench.datasets.street import Street
from vssbench.errors import PredictionError, ShapeError, UsageError
from vssbench.metrics.warp_consistency import (
    OCCLUSION_THRESHOLD,
    PairMotion,
    _carry,
    _compiled,
    pair_confusion,
    pair_motion,
    pixel_agreement,
    warp_consistency,
)
from vssbench.records import IGNORE, MotionField


def motion_of(flow_px, frames_back=1):
    flow = np.asarray(flow_px, np.float32)
    return MotionField(flow_px=flow, frames_back=np.broadcast_to(np.int16(frames_back), flow.shape[:2]).copy())


def still(size):
    return pair_motion(motion_of(np.zeros((*size, 2))), np.zeros((*size, 3), np.int16))


def random_pair(size, seed):
    """Motion and residual with everything that may happen to a pixel."""
    rng = np.random.default_rng(seed)
    flow = np.round(rng.normal(0, 3, (*size, 2)) * 4) / 4
    motion = motion_of(flow, rng.choice([0, 1, 1, 1, 2, -1], size))
    return motion, rng.integers(-40, 41, (*size, 3)).astype(np.int16)


def random_maps(number, size, *, num_classes, seed):
    rng = np.random.default_rng(seed)
    maps = rng.integers(0, num_classes, (number, *size), np.uint8)
    maps[rng.random(maps.shape) < 0.1] = IGNORE
    return maps


def slow_sources(motion, residual, threshold):
    """(y, x) -> (y, x) of the frame before, for the pixels that can be trusted."""
    height, width = motion.frames_back.shape
    found = {}
    for y, x in np.ndindex(height, width):
        dx, dy = motion.flow_px[y, x]
        source = int(np.floor(y + dy + 0.5)), int(np.floor(x + dx + 0.5))
        inside = 0 <= source[0] < height and 0 <= source[1] < width
        alike = np.abs(residual[y, x].astype(float)).mean() <= threshold
        if inside and alike and motion.frames_back[y, x] == 1:
            found[y, x] = source
    return found


def slow_confusion(sources, previous, current, label_previous, label_current, num_classes):
    confusion = np.zeros((num_classes, num_classes), np.int64)
    for here, source in sources.items():
        values = (previous[source], current[here], label_previous[source], label_current[here])
        if IGNORE not in values:
            confusion[values[0], values[1]] += 1
    return confusion


def test_by_hand():
    # all moved one pixel to the right: what is now at x was at x - 1
    pair = pair_motion(motion_of(np.full((2, 4, 2), (-1, 0))), np.zeros((2, 4, 3), np.int16))
    np.testing.assert_array_equal(pair.visible, [[False, True, True, True]] * 2)
    np.testing.assert_array_equal(pair.source[:, 1:], [[0, 1, 2], [4, 5, 6]])
    previous = np.array([[0, 1, 2, 2], [0, 0, 1, 1]], np.uint8)
    current = np.array([[0, 0, 1, 1], [0, 0, 0, IGNORE]], np.uint8)
    # carried over 0 1 2 / 0 0 1, now 0 1 1 / 0 0 ignore
    confusion = pair_confusion(previous, current, pair, num_classes=3)
    np.testing.assert_array_equal(confusion, [[3, 0, 0], [0, 1, 0], [0, 1, 0]])
    # class 0: 3 of 3; class 1: 1 of 2; class 2: 0 of 1
    assert warp_consistency(confusion) == pytest.approx((1 + 1 / 2 + 0) / 3, rel=1e-15)
    assert pixel_agreement(confusion) == 4 / 5


def test_pixels_whose_label_is_ignored_now_or_where_they_came_from_are_left_out():
    pair = pair_motion(motion_of(np.full((1, 4, 2), (-1, 0))), np.zeros((1, 4, 3), np.int16))
    prediction = np.array([[0, 0, 0, 1]], np.uint8)
    label_previous, label_current = np.array([[IGNORE, 0, 0, 0]], np.uint8), np.array([[0, 0, IGNORE, 0]], np.uint8)
    both = {"label_previous": label_previous, "label_current": label_current}
    # of pixels 1, 2, 3 the first came from an ignored one, the second is one
    np.testing.assert_array_equal(pair_confusion(prediction, prediction, pair, num_classes=2, **both), [[0, 1], [0, 0]])
    one = pair_confusion(prediction, prediction, pair, num_classes=2, label_current=label_current)
    np.testing.assert_array_equal(one, [[1, 1], [0, 0]])


def test_halves_go_right_and_down():
    flow = np.array([[(0, 0), (-0.5, 0), (0.5, 0), (-0.75, 0)], [(0, -0.5), (0, 0), (0, 0), (-1.5, 0.25)]])
    pair = pair_motion(motion_of(flow), np.zeros((2, 4, 3), np.int16))
    # 1 - 0.5 -> 1, 2 + 0.5 -> 3, 3 - 0.75 -> 2; row 1 - 0.5 -> 1, 3 - 1.5 -> 2, row 1 + 0.25 -> 1
    np.testing.assert_array_equal(pair.source, [[0, 1, 3, 2], [4, 5, 6, 6]])
    assert pair.visible.all()


@pytest.mark.parametrize("flow", [(-0.75, 0), (0, -0.75), (2.5, 0), (0, 1.5), (-300, 0), (0, 4000)])
def test_a_source_outside_the_picture_is_not_visible(flow):
    field = np.zeros((2, 3, 2))
    field[0, 0] = flow
    visible = pair_motion(motion_of(field), np.zeros((2, 3, 3), np.int16)).visible
    np.testing.assert_array_equal(visible, [[False, True, True], [True, True, True]])


def test_intra_blocks_and_other_references_than_the_frame_before_are_not_visible():
    frames_back = np.array([[0, 1, 2, -1, 257]], np.int16)  # 257: of which a byte would make 1
    motion = MotionField(flow_px=np.zeros((1, 5, 2), np.float32), frames_back=frames_back)
    visible = pair_motion(motion, np.zeros((1, 5, 3), np.int16)).visible
    np.testing.assert_array_equal(visible, [[False, True, False, False, False]])


def test_a_pixel_is_occluded_where_the_mean_residual_is_above_the_threshold():
    # means of absolute values: 20, 61/3, 20, 255, 0
    residual = np.array([[(60, 0, 0), (61, 0, 0), (-20, 20, -20), (-255, 255, 255), (0, 0, 0)]], np.int16)
    motion = motion_of(np.zeros((1, 5, 2)))
    assert OCCLUSION_THRESHOLD == 20
    np.testing.assert_array_equal(pair_motion(motion, residual).visible, [[True, False, True, False, True]])
    np.testing.assert_array_equal(
        pair_motion(motion, residual, threshold=0).visible, [[False, False, False, False, True]]
    )
    assert pair_motion(motion, residual, threshold=255).visible.all()


@pytest.mark.parametrize("size", [(5, 7), (3, 9), (13, 16), (31, 23)])
def test_equals_a_slow_loop(size):
    motion, residual = random_pair(size, seed=size[0])
    pair = pair_motion(motion, residual)
    sources = slow_sources(motion, residual, OCCLUSION_THRESHOLD)
    assert {(int(y), int(x)) for y, x in np.argwhere(pair.visible)} == sources.keys()
    assert 0 < len(sources) < motion.frames_back.size
    maps = random_maps(4, size, num_classes=5, seed=1)
    found = pair_confusion(maps[0], maps[1], pair, num_classes=5, label_previous=maps[2], label_current=maps[3])
    np.testing.assert_array_equal(found, slow_confusion(sources, *maps, 5))
    without = pair_confusion(maps[0], maps[1], pair, num_classes=5)
    np.testing.assert_array_equal(without, slow_confusion(sources, maps[0], maps[1], maps[0], maps[1], 5))


def test_a_prediction_that_moves_with_the_picture_is_perfectly_consistent():
    first = random_maps(1, (20, 30), num_classes=4, seed=2)[0]
    second = np.roll(first, (1, 2), axis=(0, 1))  # what is now at (x, y) was at (x - 2, y - 1)
    pair = pair_motion(motion_of(np.full((20, 30, 2), (-2, -1))), np.zeros((20, 30, 3), np.int16))
    confusion = pair_confusion(first, second, pair, num_classes=4)
    assert warp_consistency(confusion) == 1.0
    assert pixel_agreement(confusion) == 1.0
    assert warp_consistency(pair_confusion(first, second, still((20, 30)), num_classes=4)) < 0.5


def test_a_class_that_is_in_neither_map_does_not_lower_the_mean():
    label = np.array([[0, 0, 2]], np.uint8)
    assert warp_consistency(pair_confusion(label, label, still((1, 3)), num_classes=9)) == 1.0


@pytest.mark.parametrize("value", [0, IGNORE])
def test_nothing_visible_or_all_ignored_gives_nan(value):
    residual = np.full((3, 5, 3), 255 if value == 0 else 0, np.int16)
    pair = pair_motion(motion_of(np.zeros((3, 5, 2))), residual)
    maps = np.full((3, 5), value, np.uint8)
    confusion = pair_confusion(maps, maps, pair, num_classes=3)
    assert confusion.shape == (3, 3)
    assert not confusion.any()
    assert np.isnan(warp_consistency(confusion))
    assert np.isnan(pixel_agreement(confusion))


def test_a_clip_of_one_frame_has_no_pair_and_no_score():
    assert np.isnan(warp_consistency(np.zeros((3, 3), np.int64)))


def test_maps_without_pixels_count_nothing():
    empty = np.zeros((0, 5), np.uint8)
    assert not pair_confusion(empty, empty, still((0, 5)), num_classes=3).any()


def test_parts_of_the_visible_area_add_up_to_the_whole():
    pair = pair_motion(*random_pair((17, 19), seed=3))
    maps = random_maps(2, (17, 19), num_classes=5, seed=4)
    left = np.arange(19) < 8
    parts = [PairMotion(source=pair.source, visible=pair.visible & side) for side in (left, ~left)]
    added = sum(pair_confusion(*maps, part, num_classes=5) for part in parts)
    np.testing.assert_array_equal(added, pair_confusion(*maps, pair, num_classes=5))


def test_scores_are_bounded_and_blind_to_the_names_of_classes():
    pair = pair_motion(*random_pair((17, 19), seed=5))
    first, second = random_maps(2, (17, 19), num_classes=5, seed=6)
    score = warp_consistency(pair_confusion(first, second, pair, num_classes=5))
    assert 0 < score < 1
    renamed = np.arange(256, dtype=np.uint8)
    renamed[:5] = 3, 0, 4, 1, 2
    again = warp_consistency(pair_confusion(renamed[first], renamed[second], pair, num_classes=5))
    assert again == pytest.approx(score, rel=1e-12)


def test_views_and_read_only_maps_are_counted_and_left_alone():
    first, second = random_maps(2, (26, 38), num_classes=5, seed=7)
    first.flags.writeable = False
    pair = pair_motion(*random_pair((13, 38), seed=8))
    found = pair_confusion(first[::2, ::-1], second[::2, ::-1], pair, num_classes=5)
    expected = pair_confusion(first[::2, ::-1].copy(), second[::2, ::-1].copy(), pair, num_classes=5)
    np.testing.assert_array_equal(found, expected)


def test_machine_code_and_python_agree():
    pair = pair_motion(*random_pair((9, 11), seed=9))
    maps = random_maps(4, (9, 11), num_classes=5, seed=10)
    given = [*(part.ravel() for part in maps), pair.source.ravel(), pair.visible.ravel()]
    by_python, by_machine = np.empty((2, 99), np.uint8), np.empty((2, 99), np.uint8)
    _carry(*given, *by_python)
    _compiled()(*given, *by_machine)
    np.testing.assert_array_equal(by_python, by_machine)


def test_labels_copied_to_the_next_frame_score_what_is_known_of_the_real_run(shared):
    labels = CamVidSequence(shared / "data" / "camvid15").videos("val")[0].labels
    labels = [labels[index] for index in range(len(labels))]
    pair = still(labels[0].shape)
    confusion = sum(pair_confusion(*maps, pair, num_classes=11) for maps in pairwise(labels))
    assert round(warp_consistency(confusion), 3) == 0.743  # camvid15/README.md, "Label quality"


def consistency_of_labels(video, path, *, num_frames, thresholds):
    """The labels' own score at each threshold along the vectors of an H.264 stream of one GOP, and without motion."""
    settings = EncodeSettings(codec="h264", gop_length=num_frames, preset="veryfast", fps=video.fps)
    encode(video.read(0, num_frames), path, settings=settings)
    along, at_rest = dict.fromkeys(thresholds, 0), 0
    for frame in decode(path, motion=True, residual="bilinear"):
        if frame.motion is None:
            continue
        maps = video.labels[frame.index - 1], video.labels[frame.index]
        at_rest += pair_confusion(*maps, still(maps[0].shape), num_classes=11)
        for threshold in thresholds:
            pair = pair_motion(frame.motion, frame.residual, threshold=threshold)
            along[threshold] += pair_confusion(*maps, pair, num_classes=11)
    return warp_consistency(at_rest), [warp_consistency(confusion) for confusion in along.values()]


def test_the_labels_of_a_real_run_are_nearly_as_consistent_along_codec_vectors_as_along_optical_flow(shared, tmp_path):
    video = CamVidSequence(shared / "data" / "camvid15").videos("val")[0]
    at_rest, [along] = consistency_of_labels(
        video, tmp_path / "run.mp4", num_frames=25, thresholds=[OCCLUSION_THRESHOLD]
    )
    # the whole run: .743 at rest and .892 along dense optical flow (camvid15/README.md)
    assert at_rest + 0.05 < along < 0.95
    assert along == pytest.approx(0.892, abs=0.03)


def test_exact_labels_are_more_consistent_along_codec_vectors_and_most_so_where_nothing_is_hidden(tmp_path):
    video = Street().videos("test")[0]
    at_rest, [masked, unmasked] = consistency_of_labels(
        video, tmp_path / "street.mp4", num_frames=7, thresholds=[OCCLUSION_THRESHOLD, 255]
    )
    assert at_rest + 0.1 < unmasked < masked < 1


def test_a_residual_that_does_not_fit_is_refused():
    motion = motion_of(np.zeros((4, 6, 2)))
    with pytest.raises(ShapeError, match=r"residual must be \(4, 6, 3\) int16"):
        pair_motion(motion, np.zeros((6, 4, 3), np.int16))
    with pytest.raises(ShapeError, match="float32"):
        pair_motion(motion, np.zeros((4, 6, 3), np.float32))


@pytest.mark.parametrize("threshold", [-1, float("nan")])
def test_a_threshold_below_zero_is_refused(threshold):
    with pytest.raises(UsageError, match="at least 0"):
        pair_motion(motion_of(np.zeros((4, 6, 2))), np.zeros((4, 6, 3), np.int16), threshold=threshold)


def test_maps_that_do_not_cover_the_motion_are_refused():
    maps = np.zeros((4, 6), np.uint8)
    with pytest.raises(ShapeError, match=r"current must be uint8 and cover the motion, \(4, 6\), got \(6, 4\)"):
        pair_confusion(maps, maps.T, still((4, 6)), num_classes=2)
    with pytest.raises(ShapeError, match="label_previous"):
        pair_confusion(maps, maps, still((4, 6)), num_classes=2, label_previous=maps.astype(np.int64))


@pytest.mark.parametrize("which", [0, 1])
def test_a_prediction_that_is_no_class_is_refused(which):
    maps = [np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8)]
    maps[which][1, 1] = 11
    with pytest.raises(PredictionError, match=r"value 11, .*0\.\.10"):
        pair_confusion(*maps, still((2, 2)), num_classes=11)


@pytest.mark.parametrize("num_classes", [0, 256])
def test_a_number_of_classes_that_uint8_labels_cannot_hold_is_refused(num_classes):
    maps = np.zeros((1, 1), np.uint8)
    with pytest.raises(UsageError, match=r"1\.\.255"):
        pair_confusion(maps, maps, still((1, 1)), num_classes=num_classes)


def test_a_source_outside_memory_is_refused():
    visible = np.ones((2, 2), np.bool_)
    for wrong in (-1, 4):
        with pytest.raises(ShapeError, match="indices of the picture's 4 pixels"):
            PairMotion(source=np.array([[0, 1], [2, wrong]], np.int32), visible=visible)
    with pytest.raises(ShapeError, match=r"source must be \(H, W\) int32"):
        PairMotion(source=np.zeros((2, 2), np.int64), visible=visible)


@pytest.mark.parametrize("score", [warp_consistency, pixel_agreement])
def test_what_is_no_confusion_matrix_is_refused(score):
    with pytest.raises(ShapeError, match=r"\(K, K\) integers"):
        score(np.zeros((2, 3), np.int64))

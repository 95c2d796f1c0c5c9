import tracemalloc

import numpy as np
import pytest

from vssbench.datasets.image_sequence import CamVidSequence
from vssbench.errors import ShapeError, UsageError
from vssbench.metrics.consistency import (
    BOTH,
    BOTH_CORRECT,
    BOTH_VOID,
    EQ13,
    LABELS,
    LABELS_VOID,
    TOOLKIT,
    ConsistencyRule,
    ConsistencyRuns,
    _compare,
    _compiled,
    _tally,
    mean_video_consistency,
    score_sums,
    window_scores,
)
from vssbench.records import IGNORE

RULES = [
    ConsistencyRule(windows=windows, average=average, void=void, correct=correct)
    for windows in ("all", "toolkit")
    for average in ("pooled", "clips")
    for void in ("out", "in")
    for correct in (False, True)
]


def counts_of(labels, predictions, *, most_frames=16):
    runs = ConsistencyRuns(most_frames=most_frames)
    return np.stack([runs.update(*pair) for pair in zip(labels, predictions, strict=True)])


def row(*values):
    return np.array([values], np.uint8)


def random_clip(*, frames, size, seed, change=0.15):
    """Maps of which a share of the pixels takes another value from frame to frame, among 0, 1 and IGNORE."""
    rng = np.random.default_rng(seed)
    values = np.array([0, 1, IGNORE], np.uint8)
    clip = [values[rng.integers(0, 3, size)]]
    while len(clip) < frames:
        clip.append(np.where(rng.random(size) < change, values[rng.integers(0, 3, size)], clip[-1]))
    return clip


def slow_counts(labels, predictions):
    """Of one window, looked at pixel by pixel."""
    counts = np.zeros(5, np.int64)
    for index in np.ndindex(labels[0].shape):
        label = {int(frame[index]) for frame in labels}
        predicted = {int(frame[index]) for frame in predictions}
        if len(label) > 1:
            continue
        is_void, keeps = label == {IGNORE}, len(predicted) == 1
        counts[LABELS_VOID if is_void else LABELS] += 1
        counts[BOTH_VOID if is_void else BOTH] += keeps
        counts[BOTH_CORRECT] += keeps and not is_void and predicted == label
    return counts


def slow_score(labels, predictions, rule):
    """A window's VC as the toolkit computes it, all frames against the first, with the options of `rule`."""
    common, predicted_common = (np.all([part[0] == other for other in part], axis=0) for part in (labels, predictions))
    if rule.void == "out":
        common &= labels[0] != IGNORE
    kept = common & predicted_common
    if rule.correct:
        kept = kept & (labels[0] == predictions[0]) & (labels[0] != IGNORE)
    return kept.sum() / common.sum() if common.any() else float("nan")


def slow_mean(clips, n, rule):
    scores = []
    for labels, predictions in clips:
        starts = range(len(labels) - n + (rule.windows == "all"))
        own = [slow_score(labels[start : start + n], predictions[start : start + n], rule) for start in starts]
        scores.append([score for score in own if not np.isnan(score)])
    if rule.average == "clips":
        scores = [[np.mean(own)] for own in scores if own]
    pooled = [score for own in scores for score in own]
    return np.mean(pooled) if pooled else float("nan")


def test_by_hand():
    labels = [row(0, 0, 1, IGNORE, IGNORE, 2), row(0, 0, 1, IGNORE, IGNORE, 3), row(0, 0, 1, IGNORE, 2, 3)]
    predictions = [row(0, 1, 2, 5, 5, 5), row(0, 1, 2, 5, 6, 5), row(0, 1, 1, 5, 6, 5)]
    counts = counts_of(labels, predictions, most_frames=3)
    assert counts.shape == (3, 3, 5)
    # one frame: 4 pixels have a class, 2 are void, of the 4 the first alone is right
    np.testing.assert_array_equal(counts[0], [[4, 2, 4, 2, 1], [0] * 5, [0] * 5])
    # frames 0 and 1: pixels 0, 1, 2 keep their class, 3 and 4 are void throughout; the prediction changes at 4
    np.testing.assert_array_equal(counts[1, 1], [3, 2, 3, 1, 1])
    # frames 1 and 2: 0, 1, 2, 5 keep their class, 3 is void; the prediction changes at 2
    np.testing.assert_array_equal(counts[2, 1], [4, 1, 3, 1, 1])
    # all three: 0, 1, 2 keep their class, 3 is void; the prediction changes at 2
    np.testing.assert_array_equal(counts[2, 2], [3, 1, 2, 1, 1])
    np.testing.assert_array_equal(window_scores(counts, 2), [3 / 3, 3 / 4])
    np.testing.assert_array_equal(window_scores(counts, 3), [2 / 3])
    np.testing.assert_array_equal(window_scores(counts, 2, rule=TOOLKIT), [4 / 5])
    np.testing.assert_array_equal(window_scores(counts, 2, rule=ConsistencyRule(correct=True)), [1 / 3, 1 / 4])
    # void counts in what is divided by, and is never correct
    rule = ConsistencyRule(correct=True, void="in")
    np.testing.assert_array_equal(window_scores(counts, 2, rule=rule), [1 / 5, 1 / 5])


@pytest.mark.parametrize("most_frames", [1, 2, 3, 16])
@pytest.mark.parametrize("size", [(5, 7), (8, 8), (1, 3), (9, 15)])
def test_counts_equal_a_slow_loop_over_windows_and_pixels(size, most_frames):
    labels = random_clip(frames=20, size=size, seed=most_frames)
    predictions = random_clip(frames=20, size=size, seed=99)
    counts = counts_of(labels, predictions, most_frames=most_frames)
    for end in range(20):
        for n in range(1, min(most_frames, end + 1) + 1):
            window = slice(end - n + 1, end + 1)
            np.testing.assert_array_equal(counts[end, n - 1], slow_counts(labels[window], predictions[window]))
        assert not counts[end, end + 1 :].any()


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_mean_equals_the_window_by_window_way_under_every_rule(rule):
    # of a clip of 3 frames no window of 8, and of the toolkit's none of 3
    clips = [[random_clip(frames=t, size=(6, 11), seed=seed + t) for seed in (0, 50)] for t in (20, 9, 3, 1, 16)]
    stretches = [counts_of(*clip) for clip in clips]
    for n in (1, 2, 3, 8, 9, 15, 16):
        expected = slow_mean(clips, n, rule)
        np.testing.assert_allclose(mean_video_consistency(stretches, n, rule=rule), expected, rtol=1e-12)


def test_maps_of_more_than_one_block_are_counted_whole():
    # 70,001 pixels: more than the 512 words of 64 pixels that are worked on at a time, and a rest
    size = (1, 70_001)
    labels, predictions = (random_clip(frames=5, size=size, seed=seed) for seed in (1, 2))
    counts = counts_of(labels, predictions, most_frames=4)
    for n in (2, 3, 4):
        for rule in (EQ13, TOOLKIT, ConsistencyRule(correct=True)):
            expected = slow_mean([(labels, predictions)], n, rule)
            assert mean_video_consistency([counts], n, rule=rule) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [2, 8, 16])
def test_labels_against_themselves_score_one(n):
    labels = random_clip(frames=30, size=(7, 9), seed=0, change=0.02)
    counts = counts_of(labels, labels)
    for rule in (EQ13, TOOLKIT, ConsistencyRule(correct=True)):
        assert mean_video_consistency([counts], n, rule=rule) == 1.0


def test_a_constant_wrong_prediction_scores_one_unless_it_has_to_be_correct():
    labels = random_clip(frames=20, size=(7, 9), seed=0, change=0.02)
    counts = counts_of(labels, [np.full((7, 9), 7, np.uint8)] * 20)
    assert mean_video_consistency([counts], 8, rule=TOOLKIT) == 1.0
    assert mean_video_consistency([counts], 8, rule=EQ13) == 1.0
    assert mean_video_consistency([counts], 8, rule=ConsistencyRule(correct=True)) == 0.0


def test_a_prediction_that_changes_everywhere_scores_zero():
    label = np.zeros((3, 5), np.uint8)
    counts = counts_of([label] * 10, [label + t % 2 for t in range(10)])
    assert mean_video_consistency([counts], 2) == 0.0


def test_all_ignored_has_no_score_unless_void_is_in():
    label = np.full((3, 5), IGNORE, np.uint8)
    counts = counts_of([label] * 10, [np.zeros((3, 5), np.uint8)] * 10)
    assert window_scores(counts, 8).size == 0
    assert np.isnan(mean_video_consistency([counts], 8))
    assert mean_video_consistency([counts], 8, rule=TOOLKIT) == 1.0


def test_ignored_pixels_are_never_correct():
    label = np.full((3, 5), IGNORE, np.uint8)
    counts = counts_of([label] * 4, [label] * 4)
    assert counts[3, 3, BOTH_CORRECT] == 0
    assert mean_video_consistency([counts], 4, rule=ConsistencyRule(void="in", correct=True)) == 0.0


def test_maps_without_pixels_have_no_score():
    empty = np.zeros((0, 5), np.uint8)
    counts = counts_of([empty] * 4, [empty] * 4)
    assert not counts.any()
    assert np.isnan(mean_video_consistency([counts], 2))


@pytest.mark.parametrize("rule", [EQ13, TOOLKIT])
def test_no_clip_and_a_clip_of_one_frame_have_no_score(rule):
    label = np.zeros((2, 3), np.uint8)
    assert np.isnan(mean_video_consistency([], 8, rule=rule))
    assert np.isnan(mean_video_consistency([counts_of([label], [label])], 8, rule=rule))
    assert np.isnan(mean_video_consistency([np.zeros((0, 16, 5), np.int64)], 1, rule=rule))


def test_the_toolkit_misses_the_last_window():
    label = np.zeros((1, 2), np.uint8)
    # the prediction changes in the last frame alone, and in half of the picture
    predictions = [label] * 8 + [row(0, 1)]
    counts = counts_of([label] * 9, predictions)
    np.testing.assert_array_equal(window_scores(counts, 8), [1.0, 0.5])
    np.testing.assert_array_equal(window_scores(counts, 8, rule=TOOLKIT), [1.0])
    # a clip as long as the window has one window, and none by the toolkit
    assert len(window_scores(counts, 9)) == 1
    assert len(window_scores(counts, 9, rule=TOOLKIT)) == 0


def test_pooled_and_mean_over_clips_weigh_long_clips_differently():
    label = np.zeros((1, 2), np.uint8)
    still = counts_of([label] * 4, [label] * 4)  # 3 windows of 2 frames, all 1
    flickering = counts_of([label] * 2, [label, row(1, 1)])  # 1 window, 0
    assert mean_video_consistency([still, flickering], 2) == 3 / 4
    assert mean_video_consistency([still, flickering], 2, rule=ConsistencyRule(average="clips")) == 1 / 2
    # a clip without a window is no clip of score 0
    short = counts_of([label], [label])
    assert mean_video_consistency([still, short], 2, rule=ConsistencyRule(average="clips")) == 1.0


def test_sums_add_up_to_the_pooled_mean():
    stretches = [
        counts_of(random_clip(frames=t, size=(5, 5), seed=t), random_clip(frames=t, size=(5, 5), seed=t + 1))
        for t in (12, 30, 3)
    ]
    for rule in (EQ13, TOOLKIT):
        sums = [score_sums(counts, 4, rule=rule) for counts in stretches]
        total, number = (sum(part) for part in zip(*sums, strict=True))
        assert mean_video_consistency(stretches, 4, rule=rule) == pytest.approx(total / number, rel=1e-12)
    assert score_sums(stretches[2], 4) == (0.0, 0)


def test_no_window_reaches_across_a_gap():
    labels, predictions = (random_clip(frames=12, size=(5, 9), seed=seed) for seed in (3, 4))
    runs = ConsistencyRuns(most_frames=4)
    stretches = []
    for part in (slice(0, 5), slice(5, 12)):
        runs.reset()
        pairs = zip(labels[part], predictions[part], strict=True)
        stretches.append(np.stack([runs.update(*pair) for pair in pairs]))
    expected = [counts_of(labels[part], predictions[part], most_frames=4) for part in (slice(0, 5), slice(5, 12))]
    for found, alone in zip(stretches, expected, strict=True):
        np.testing.assert_array_equal(found, alone)
    clips = [(labels[:5], predictions[:5]), (labels[5:], predictions[5:])]
    assert mean_video_consistency(stretches, 3) == pytest.approx(slow_mean(clips, 3, EQ13), rel=1e-12)


def test_windows_of_one_frame_give_the_pixel_accuracy_where_correctness_is_asked_for():
    labels, predictions = (random_clip(frames=6, size=(9, 9), seed=seed) for seed in (5, 6))
    accuracy = [
        ((label == predicted) & (label != IGNORE)).sum() / (label != IGNORE).sum()
        for label, predicted in zip(labels, predictions, strict=True)
    ]
    counts = counts_of(labels, predictions)
    np.testing.assert_allclose(window_scores(counts, 1, rule=ConsistencyRule(correct=True)), accuracy, rtol=1e-12)
    np.testing.assert_array_equal(window_scores(counts, 1), np.ones(6))


def test_no_count_grows_with_the_length_of_the_window_that_ends_at_a_frame():
    counts = counts_of(*(random_clip(frames=30, size=(9, 9), seed=seed) for seed in (7, 8)))
    assert (np.diff(counts, axis=1) <= 0).all()


def test_a_part_of_the_area_never_exceeds_it():
    counts = counts_of(*(random_clip(frames=30, size=(9, 9), seed=seed) for seed in (9, 10)))
    assert (counts[..., BOTH] <= counts[..., LABELS]).all()
    assert (counts[..., BOTH_VOID] <= counts[..., LABELS_VOID]).all()
    assert (counts[..., BOTH_CORRECT] <= counts[..., BOTH]).all()
    assert (counts[:, 0, LABELS] + counts[:, 0, LABELS_VOID] == 81).all()


def test_a_longer_window_may_score_higher():
    # the pixel whose prediction flickers in the last frame is, over three frames, one whose label changes
    labels, predictions = [row(0, 1), row(0, 0), row(0, 0)], [row(0, 0), row(0, 0), row(0, 1)]
    counts = counts_of(labels, predictions)
    assert window_scores(counts, 2)[-1] == 0.5
    assert window_scores(counts, 3)[-1] == 1.0


def test_parts_of_a_picture_add_up_to_the_whole():
    labels, predictions = (random_clip(frames=9, size=(11, 13), seed=seed) for seed in (11, 12))
    whole = counts_of(labels, predictions)
    parts = [counts_of([a[cut] for a in labels], [b[cut] for b in predictions]) for cut in (np.s_[:4], np.s_[4:])]
    np.testing.assert_array_equal(sum(parts), whole)


@pytest.mark.parametrize("most_frames", [16, 290])
def test_a_clip_past_255_frames_is_counted_exactly(most_frames):
    # 300 frames: pixel 0 is still, 1 changes its prediction at frame 270, 2 its label at frame 290
    labels = [row(0, 0, t >= 290) for t in range(300)]
    predictions = [row(0, t >= 270, 0) for t in range(300)]
    last = counts_of(labels, predictions, most_frames=most_frames)[-1]
    for n in range(1, most_frames + 1):
        # frame 290 is the 10th from the end, frame 270 the 30th
        assert last[n - 1, LABELS] == (3 if n <= 10 else 2)
        assert last[n - 1, BOTH] == (3 if n <= 10 else 2 if n <= 30 else 1)


def test_memory_does_not_grow_with_the_clip():
    maps = random_clip(frames=7, size=(40, 50), seed=0)
    runs = ConsistencyRuns()
    for frame in range(20):
        runs.update(maps[frame % 7], maps[frame % 5])
    tracemalloc.start()
    try:
        for frame in range(200):
            runs.update(maps[frame % 7], maps[frame % 5])
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 3 * 2000  # bytes: one map of 200 would be 2000


def test_maps_are_copied_and_left_alone():
    labels, predictions = (random_clip(frames=6, size=(5, 9), seed=seed) for seed in (13, 14))
    runs, label, prediction = ConsistencyRuns(), np.empty((5, 9), np.uint8), np.empty((5, 9), np.uint8)
    found = []
    for new_label, new_prediction in zip(labels, predictions, strict=True):
        label[:], prediction[:] = new_label, new_prediction  # the caller's own buffers, used again
        found.append(runs.update(label, prediction))
        np.testing.assert_array_equal(label, new_label)
    np.testing.assert_array_equal(np.stack(found), counts_of(labels, predictions))


@pytest.mark.parametrize("cut", [np.s_[1:, 3:], np.s_[::2, ::-1], np.s_[:, 1:2]])
def test_views_and_read_only_maps_are_counted(cut):
    labels, predictions = (random_clip(frames=6, size=(13, 20), seed=seed) for seed in (15, 16))
    for each in (*labels, *predictions):
        each.flags.writeable = False
    expected = counts_of([a[cut].copy() for a in labels], [b[cut].copy() for b in predictions])
    np.testing.assert_array_equal(counts_of([a[cut] for a in labels], [b[cut] for b in predictions]), expected)


def test_any_byte_is_told_from_any_other():
    # differences of one bit in each place of a byte, beside bytes that are equal
    first = np.arange(256, dtype=np.uint8).reshape(8, 32)
    for bit in range(8):
        second = first.copy()
        second.ravel()[5::7] ^= 1 << bit
        counts = counts_of([first, second], [first, first], most_frames=2)
        # every 7th byte from 5 to 250 differs: 36 of 256
        assert counts[1, 1, LABELS] + counts[1, 1, LABELS_VOID] == 220


def test_machine_code_and_python_agree():
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 2**64, (4, 8, 3), np.uint64)
    maps[2:] = np.where(rng.random((2, 8, 3)) < 0.5, maps[:2], maps[:2] ^ np.uint64(0x0100000000800000))
    maps[1] = np.where(rng.random((8, 3)) < 0.5, maps[0], maps[1])
    planes = []
    for function in (_compare, _compiled(_compare)):
        before, same, masks = maps[2:].copy(), np.zeros((2, 3, 5), np.uint64), np.zeros((3, 5), np.uint64)
        function(*maps[:2], *before, 7, 1, same, masks)
        np.testing.assert_array_equal(before, maps[:2])
        planes.append([*same[:, 1], *masks])
    np.testing.assert_array_equal(*planes)
    equal = maps[0].view(np.uint8) == maps[2].view(np.uint8)
    assert np.bitwise_count(planes[0][0]).sum() == equal.sum()


def test_windows_are_counted_from_planes_as_python_counts_them():
    rng = np.random.default_rng(0)
    same, masks = rng.integers(0, 2**64, (2, 3, 5), np.uint64), rng.integers(0, 2**64, (3, 5), np.uint64)
    counts = np.zeros((4, 5), np.int64)
    with np.errstate(over="ignore"):  # of the products whose highest byte is the count
        _tally(same, masks, 7, counts)
    for n in range(1, 5):
        label_run, both_run = (np.bitwise_and.reduce(part[[(7 - k) % 3 for k in range(n - 1)]]) for part in same)
        kept = [label_run & masks[0], label_run & masks[1], both_run & masks[0], both_run & masks[1]]
        kept.append(both_run & masks[2])
        np.testing.assert_array_equal(counts[n - 1], [np.bitwise_count(part).sum() for part in kept])


def test_the_labels_of_a_real_run_score_one_and_a_still_prediction_does_not_hide_a_mistake(shared):
    labels = CamVidSequence(shared / "data" / "camvid15").videos("val")[0].labels
    labels = [labels[index] for index in range(24)]
    own = counts_of(labels, labels)
    for n in (2, 8, 16):
        for rule in (EQ13, TOOLKIT):
            assert mean_video_consistency([own], n, rule=rule) == 1.0
    # the first frame's labels, held: nothing changes, and less and less of it is right
    held = counts_of(labels, [labels[0]] * 24)
    assert mean_video_consistency([held], 16) == 1.0
    assert 0.5 < mean_video_consistency([held], 16, rule=ConsistencyRule(correct=True)) < 0.99


def test_other_sizes_are_refused_until_reset():
    runs = ConsistencyRuns()
    label = np.zeros((4, 5), np.uint8)
    runs.update(label, label)
    with pytest.raises(ShapeError, match=r"one size: label.shape = \(5, 4\), those before it \(4, 5\)"):
        runs.update(label.T.copy(), label.T.copy())
    runs.reset()
    assert runs.update(label.T, label.T)[0, LABELS] == 20


@pytest.mark.parametrize("prediction", [np.zeros((5, 4), np.uint8), np.zeros((4, 5), np.int64), np.zeros(20, np.uint8)])
def test_maps_that_do_not_fit_are_refused(prediction):
    with pytest.raises(ShapeError, match="prediction"):
        ConsistencyRuns().update(np.zeros((4, 5), np.uint8), prediction)


@pytest.mark.parametrize("n", [0, -1, 17])
def test_a_window_that_was_not_counted_is_refused(n):
    with pytest.raises(ShapeError, match=rf"1\.\.16 frames, asked for {n}"):
        mean_video_consistency([np.zeros((3, 16, 5), np.int64)], n)


@pytest.mark.parametrize(
    "counts", [np.zeros((3, 16, 4), np.int64), np.zeros((16, 5), np.int64), np.zeros((3, 16, 5), np.float64)]
)
def test_what_are_no_counts_is_refused(counts):
    with pytest.raises(ShapeError, match=r"\(T, most_frames, 5\) integers"):
        window_scores(counts, 2)


def test_unknown_choices_are_refused():
    with pytest.raises(UsageError, match="windows must be one of all, toolkit, got 'last'"):
        ConsistencyRule(windows="last")
    with pytest.raises(UsageError, match="void must be one of"):
        ConsistencyRule(void=True)
    with pytest.raises(UsageError, match="at least 1"):
        ConsistencyRuns(most_frames=0)

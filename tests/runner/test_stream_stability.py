"""Stability: what every frame of a followed stream says of a method's predictions, and of the labels themselves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tiny_run import CLASSES, GOP, Bright, key_of, run_of, street

from vssbench.codec.encode import EncodeSettings
from vssbench.datasets.clips import Cut, SideInformation, encoded, frames_of
from vssbench.errors import BitstreamError
from vssbench.metrics.consistency import BOTH, BOTH_CORRECT, LABELS, MOST_FRAMES, ConsistencyRuns
from vssbench.metrics.warp_consistency import pair_confusion, pair_motion
from vssbench.records import IGNORE, Method, Step
from vssbench.runner.accuracy import measure_accuracy
from vssbench.runner.stability import StreamStability, is_followed
from vssbench.store import Store

ALONG = SideInformation(motion=True, compensation="bilinear")  # whatever the run compensates its residuals by
WHOLE = Cut(start=0, stop=8, tested={i: i % GOP for i in range(8)})


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "run") as opened:
        yield opened


class Truth(Method):
    """Knows the labels by heart."""

    def __init__(self, video):
        self.video = video

    def step(self, frame):
        label = self.video.labels[frame.index]
        return Step(labels=np.where(label == IGNORE, 0, label).astype(np.uint8), kind="truth")


class Constant(Method):
    def step(self, frame):
        return Step(labels=np.full(frame.rgb.shape[:2], 3, np.uint8), kind="guess")


class OneBuffer(Bright):
    """The same labels, always written over the last ones."""

    labels = None

    def step(self, frame):
        labels = super().step(frame).labels
        if self.labels is None:
            self.labels = labels
        self.labels[:] = labels
        return Step(labels=self.labels, kind="guess")


class Stops(Bright):
    """A person presses Ctrl-C before the fifth frame, once."""

    left = 4

    def step(self, frame):
        if type(self).left == 0:
            type(self).left = -1
            raise KeyboardInterrupt
        type(self).left -= 1
        return super().step(frame)


class Fails(Bright):
    def step(self, frame):
        if frame.index == 3:
            raise RuntimeError("no more")
        return super().step(frame)


def measured(store, folder, methods, *videos, **options):
    run = run_of(store, folder, methods, *videos, **options)
    measure_accuracy(run)
    return run, {name: list(store.stability(key_of(run, name))) for name in methods}


def predictions(run, video):
    """What Bright says of the measured stream, whose I frames are at 0, 4, ..."""
    path = encoded(video, WHOLE, run.setting.encoding, run.cache)
    frames = list(frames_of(path, SideInformation()))
    assert [frame.frame_type for frame in frames] == list("IPPPIPPP")
    return [Bright().step(frame).labels for frame in frames]


def motions(run, video):
    """The motion from frame to frame along a stream of one I frame alone, from frame 1 on."""
    settings = EncodeSettings(codec="h264", gop_length=8, bitrate_kbps=100, fps=15.0)
    frames = list(frames_of(encoded(video, WHOLE, settings, run.cache), ALONG))
    assert [frame.frame_type for frame in frames] == list("IPPPPPPP")
    return [pair_motion(frame.motion, frame.residual) for frame in frames[1:]]


# ---- rows ----


def test_windows_are_the_consistency_of_the_labels_and_the_predictions(store, tmp_path):
    run, found = measured(store, tmp_path, {"bright": Bright})
    video, runs = street(), ConsistencyRuns()
    expected = [runs.update(video.labels[i], p) for i, p in enumerate(predictions(run, video))]
    assert len(found["bright"]) == 8
    for row, counts in zip(found["bright"], expected, strict=True):
        assert row.windows.shape == (MOST_FRAMES, 5)
        np.testing.assert_array_equal(row.windows, counts)


def test_a_window_counts_what_a_slow_loop_over_its_frames_does(store, tmp_path):
    run, found = measured(store, tmp_path, {"bright": Bright})
    video = street()
    labels, guesses = np.stack([video.labels[i] for i in range(8)]), np.stack(predictions(run, video))
    for last in range(8):
        for n in range(1, last + 2):
            a, b = labels[last - n + 1 : last + 1], guesses[last - n + 1 : last + 1]
            still = (a == a[0]).all(0) & (a[0] != IGNORE)
            both = still & (b == b[0]).all(0)
            counts = found["bright"][last].windows[n - 1]
            assert counts[[LABELS, BOTH]].tolist() == [still.sum(), both.sum()]
        assert not found["bright"][last].windows[last + 1 :].any(), "no window is longer than the stream so far"


def test_pairs_are_those_of_the_frame_before_along_a_stream_of_one_i_frame(store, tmp_path):
    run, found = measured(store, tmp_path, {"bright": Bright})
    video = street()
    guesses, labels = predictions(run, video), [video.labels[i] for i in range(8)]
    rows = found["bright"]
    assert (rows[0].pairs, rows[0].label_pairs) == (None, None)
    for i, motion in enumerate(motions(run, video), start=1):  # frame 4 too, an I frame of the measured stream
        truth = {"label_previous": labels[i - 1], "label_current": labels[i]}
        expected = pair_confusion(guesses[i - 1], guesses[i], motion, num_classes=CLASSES, **truth)
        np.testing.assert_array_equal(rows[i].pairs, expected)
        expected = pair_confusion(labels[i - 1], labels[i], motion, num_classes=CLASSES)
        np.testing.assert_array_equal(rows[i].label_pairs, expected)
        assert expected.sum() > 0


def test_the_labels_own_score_is_that_of_a_method_that_knows_them(store, tmp_path):
    video = street()
    _, found = measured(store, tmp_path, {"truth": lambda: Truth(video), "bright": Bright}, video)
    for truth, bright in zip(found["truth"], found["bright"], strict=True):
        np.testing.assert_array_equal(truth.windows[:, BOTH], truth.windows[:, LABELS])
        np.testing.assert_array_equal(truth.windows[:, BOTH_CORRECT], truth.windows[:, LABELS])
        np.testing.assert_array_equal(truth.pairs, truth.label_pairs)
        # and it is the same for all methods, whose labels and motion are the same
        np.testing.assert_array_equal(bright.label_pairs, truth.label_pairs)


def test_a_method_that_always_says_the_same_never_changes(store, tmp_path):
    _, found = measured(store, tmp_path, {"constant": Constant})
    for row in found["constant"]:
        np.testing.assert_array_equal(row.windows[:, BOTH], row.windows[:, LABELS])
        assert row.pairs is None or row.pairs.sum() == row.pairs[3, 3] > 0


def test_a_row_has_its_clip_the_start_of_its_stream_and_its_frame(store, tmp_path):
    video = street()
    _, found = measured(store, tmp_path, {"bright": Bright}, video)
    assert [(row.clip, row.start, row.frame) for row in found["bright"]] == [(video.name, 0, i) for i in range(8)]


def test_a_method_that_writes_over_its_last_labels_is_measured_alike(store, tmp_path):
    _, found = measured(store, tmp_path, {"bright": Bright, "one buffer": OneBuffer})
    for one, other in zip(found["bright"], found["one buffer"], strict=True):
        np.testing.assert_array_equal(one.windows, other.windows)
        np.testing.assert_array_equal(one.pairs, other.pairs)


# ---- labels that are not there ----


def without(labels, *missing):
    return {index: labels[index] for index in labels if index not in missing}


def test_an_unlabelled_frame_breaks_windows_but_not_the_pairs_of_predictions(store, tmp_path):
    whole = street()
    video = street(labels=without(whole.labels, 3))
    run, found = measured(store, tmp_path, {"bright": Bright}, video)
    rows, guesses = found["bright"], predictions(run, whole)
    assert [row.frame for row in rows] == list(range(8))
    assert [row.windows is None for row in rows] == [i == 3 for i in range(8)]
    runs = ConsistencyRuns()
    for i in range(4, 8):  # a stretch of its own
        np.testing.assert_array_equal(rows[i].windows, runs.update(whole.labels[i], guesses[i]))
    assert [row.pairs is None for row in rows] == [i == 0 for i in range(8)]
    assert [row.label_pairs is None for row in rows] == [i in (0, 3, 4) for i in range(8)]
    motion = motions(run, whole)
    void = {"label_previous": whole.labels[2]}  # of the frame that has a label, pixels without a class are left out
    expected = pair_confusion(guesses[2], guesses[3], motion[2], num_classes=CLASSES, **void)
    np.testing.assert_array_equal(rows[3].pairs, expected)


def test_pixels_without_a_class_are_in_no_pair(store, tmp_path):
    labels = {index: label.copy() for index, label in street().labels.items()}
    for label in labels.values():
        label[:32] = IGNORE
    run, found = measured(store, tmp_path, {"bright": Bright}, video := street(labels=labels, content_key="void"))
    for i, motion in enumerate(motions(run, video), start=1):
        known, before = labels[i] != IGNORE, (labels[i - 1] != IGNORE).ravel()[motion.source]
        assert found["bright"][i].pairs.sum() == (motion.visible & known & before).sum() > 0
        assert found["bright"][i].label_pairs.sum() == found["bright"][i].pairs.sum()
        assert found["bright"][i].windows[0, LABELS] == known.sum() <= 32 * 96


# ---- which streams ----


def test_streams_are_followed_whose_key_frames_fall_at_multiples_of_the_gop_length():
    starts = [start for start in range(25) if is_followed(Cut(start=start, stop=30, tested={}), 12)]
    assert starts == [0, 12, 24]


def test_of_the_per_distance_protocol_one_phase_is_followed_up_to_its_last_tested_frame(store, tmp_path):
    video = street()
    run, found = measured(store, tmp_path, {"bright": Bright}, video, protocol="per-distance")
    assert [(row.start, row.frame) for row in found["bright"]] == [(0, i) for i in range(8)]
    assert {d for _, _, d in store.done_frames(key_of(run, "bright"))} == {0, 1, 2, 3}
    sparse = street(labels=without(video.labels, 0, 1, 2, 4, 6, 7))
    _, found = measured(store, tmp_path, {"other": Bright}, sparse, protocol="per-distance")
    # frame 3 at d = 3 and frame 5 at d = 1 are tested in the stream that starts at 0; 6 and 7 are not decoded
    assert [(row.start, row.frame) for row in found["other"]] == [(0, i) for i in range(6)]
    assert [row.frame for row in found["other"] if row.windows is not None] == [3, 5]


def test_each_video_is_a_stream_of_its_own(store, tmp_path):
    videos = street(), street(name="again")
    _, found = measured(store, tmp_path, {"bright": Bright}, *videos)
    rows = {name: [row for row in found["bright"] if row.clip == name] for name in ("again", videos[0].name)}
    for one, other in zip(*rows.values(), strict=True):
        assert one.frame == other.frame
        np.testing.assert_array_equal(one.windows, other.windows)
        assert (one.frame == 0) == (one.pairs is None)


# ---- runs that are stopped ----


def test_a_resumed_run_has_the_rows_of_an_uninterrupted_one_each_once(store, tmp_path):
    _, whole = measured(store, tmp_path, {"bright": Bright})
    cut = run_of(store, tmp_path, {"stops": Stops})
    with pytest.raises(KeyboardInterrupt):
        measure_accuracy(cut)
    key = key_of(cut, "stops")
    assert [row.frame for row in store.stability(key)] == [0, 1, 2, 3]
    measure_accuracy(run_of(store, tmp_path, {"stops": Stops}))
    resumed = list(store.stability(key))
    assert len(resumed) == 8
    for one, other in zip(resumed, whole["bright"], strict=True):
        assert one[:3] == other[:3]
        for counts, expected in zip(one[3:], other[3:], strict=True):
            np.testing.assert_array_equal(counts, expected)


def test_a_finished_run_asked_for_again_steps_through_nothing(store, tmp_path):
    _, before = measured(store, tmp_path, {"bright": Bright})
    run, after = measured(store, tmp_path, {"bright": Bright})
    assert run.entries[0].steps == 0
    assert len(after["bright"]) == len(before["bright"]) == 8


def test_a_failing_method_keeps_the_rows_it_has_and_the_others_go_on(store, tmp_path):
    run, found = measured(store, tmp_path, {"fails": Fails, "bright": Bright})
    assert [row.frame for row in found["fails"]] == [0, 1, 2]
    assert len(found["bright"]) == 8
    assert len(run.reporter.warned) == 1


def test_a_stream_of_vectors_that_ends_early_is_told(store, tmp_path):
    video = street()
    run = run_of(store, tmp_path, {"bright": Bright}, video)
    followed = StreamStability(run, video, dataclasses.replace(WHOLE, stop=3))
    for _ in range(3):
        followed.advance(None)
    with pytest.raises(BitstreamError, match=f"{video.name}: the stream whose vectors .* ends before frame 3"):
        followed.advance(None)

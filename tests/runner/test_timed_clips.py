"""What methods are timed on: every distance to the key frame equally often, of one video or of several."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tiny_run import GOP, Bright, key_of, run_of

from vssbench.datasets.clips import SideInformation
from vssbench.datasets.street import Street
from vssbench.latency.timer import gop_positions
from vssbench.records import Method, Step
from vssbench.runner import speed
from vssbench.runner.speed import measure_speed
from vssbench.runner.timed_clips import DECODE_TURNS, MOST_CLIPS, TimedClips, whole
from vssbench.store import Store


def videos(*lengths):
    """Street videos of so many frames."""
    return [
        Street(size=(64, 96), num_videos={"test": number + 1}, frames_per_video=length).videos("test")[number]
        for number, length in enumerate(lengths)
    ]


@pytest.fixture
def run(tmp_path):
    """(lengths of the videos) -> a run of one method on them."""
    with Store.open(tmp_path) as store:
        yield lambda *lengths, method=Bright: run_of(store, tmp_path, {"bright": method}, *videos(*lengths))


def spans(clips):
    return [(where["start"], where["stop"]) for where in map(clips.where, range(len(clips)))]


@pytest.mark.parametrize(
    ("frames", "kept"), [(0, 0), (1, 1), (11, 11), (12, 12), (13, 12), (16, 12), (23, 12), (24, 24), (25, 24)]
)
def test_whole_gops_are_kept_and_all_of_less_than_one(frames, kept):
    assert whole(frames, 12) == kept


def test_a_stretch_is_cut_to_whole_gops(run):
    """As street's 16 frames at L = 12: one GOP and a third of the next."""
    clips = TimedClips(run(GOP + 2))
    assert spans(clips) == [(0, GOP)]
    assert gop_positions(clips.frames(0)) == list(range(GOP))


def test_the_key_frame_after_it_is_there_for_memory_alone(run):
    clips = TimedClips(run(GOP + 2))
    following = clips.frames_to_next_key(0)
    assert [frame.frame_type for frame in following] == ["I", *"PPP", "I"]
    assert len(clips.frames(0)) == GOP


def test_stretches_are_of_two_gops_where_the_video_has_them_and_none_is_left_out(run):
    clips = TimedClips(run(5 * GOP + 1, 2 * GOP))
    assert spans(clips) == [(0, 2 * GOP), (0, 2 * GOP), (2 * GOP, 4 * GOP), (4 * GOP, 5 * GOP)]
    assert [len(clips.frames(number)) for number in range(4)] == [2 * GOP, 2 * GOP, 2 * GOP, GOP]


def test_a_video_shorter_than_a_gop_comes_last_with_what_it_has(run):
    clips = TimedClips(run(GOP - 1, GOP))
    assert spans(clips) == [(0, GOP), (0, GOP - 1)]
    assert gop_positions(clips.frames(1)) == list(range(GOP - 1))


def test_there_are_no_more_stretches_than_are_ever_timed(run):
    assert len(TimedClips(run((MOST_CLIPS + 3) * 2 * GOP))) == MOST_CLIPS


def test_decoding_is_timed_over_the_same_frames(run):
    seconds = TimedClips(run(GOP + 2)).decode_seconds(SideInformation())
    assert np.shape(seconds) == (DECODE_TURNS, GOP)


# ---- timed ----


def timed(run, *, repeats=2):
    measure_speed(run, repeats=repeats)
    return run.store.latency(key_of(run, "bright"))


def distances(latency):
    return {d: sum(sample.distance == d for sample in latency.samples) for d in range(GOP)}


def test_a_second_video_is_timed_where_the_first_has_one_whole_gop(run):
    latency = timed(run(GOP + 2, GOP + 2, GOP + 2))
    assert distances(latency) == dict.fromkeys(range(GOP), 2 * 2), "two videos, two passes"
    on = latency.facts["timed_on"]
    assert [(part["start"], part["stop"]) for part in on] == [(0, GOP)] * 2
    assert len({part["video"] for part in on}) == 2
    assert [s.pass_number for s in latency.samples] == [*[0] * GOP, *[1] * GOP] * 2


def test_two_gops_of_the_first_video_are_enough(run):
    latency = timed(run(2 * GOP + 1, 2 * GOP))
    assert distances(latency) == dict.fromkeys(range(GOP), 2 * 2)
    assert [(part["start"], part["stop"]) for part in latency.facts["timed_on"]] == [(0, 2 * GOP)]


def test_a_video_shorter_than_a_gop_is_timed_as_it_is(run):
    latency = timed(run(GOP - 1))
    assert distances(latency) == {0: 2, 1: 2, 2: 2, 3: 0}
    assert latency.facts["timed_on"][0]["stop"] == GOP - 1


def test_every_stretch_begins_with_a_reset(run):
    class Counting(Method):
        """Its kind is how many steps it took since a reset."""

        def reset(self):
            self.number = 0

        def step(self, frame):
            self.number += 1
            return Step(labels=np.zeros(frame.rgb.shape[:2], np.uint8), kind=f"step {self.number}")

    latency = timed(run(GOP + 2, GOP + 2, method=Counting))
    assert [sample.kind for sample in latency.samples] == [f"step {n + 1}" for n in range(GOP)] * 4


def test_memory_is_measured_up_to_the_next_key_frame(run, monkeypatch):
    stepped = []
    measure = speed.peak_memory_by_kind

    def watched(method, frames, *, device):
        stepped.append([frame.frame_type for frame in frames])
        return measure(method, frames, device=device)

    monkeypatch.setattr(speed, "peak_memory_by_kind", watched)
    timed(run(GOP + 2))
    assert stepped == [["I", *"PPP", "I"]]


def test_one_pass_is_warned_of_once(run):
    job = run(GOP)
    timed(job, repeats=1)
    assert job.reporter.warned == ["A/A is not known: one pass cannot tell noise; --repeats 2 or more"]


def test_an_unknown_difference_of_several_passes_is_warned_of(run, monkeypatch):
    monkeypatch.setattr(speed, "aa_difference", lambda steps: math.nan)
    job = run(GOP)
    timed(job)
    (said,) = job.reporter.warned
    assert said == "bright: A/A is not known: no kind of step was in both timings; raise --repeats"

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from vssbench.errors import UsageError
from vssbench.latency.statistics import TimedStep, interquartile_range, median, p90, quantile
from vssbench.latency.timer import (
    MAXIMUM_COLD_PASSES,
    gop_length,
    gop_positions,
    synchroniser,
    time_steps,
)
from vssbench.records import CompressedFrame, Method, Step

LABELS = np.zeros((2, 2), np.uint8)


def frames(types):
    rgb = np.zeros((2, 2, 3), np.uint8)
    return [CompressedFrame(rgb=rgb, frame_type=t, index=i, size_bytes=1) for i, t in enumerate(types)]


class FakeMachine:
    """A clock that only work moves, and work that is done only when somebody waits for it."""

    def __init__(self):
        self.now = 0.0
        self.queued = 0.0
        self.waits = 0

    def clock(self):
        return self.now

    def synchronise(self):
        self.waits += 1
        self.now += self.queued
        self.queued = 0.0


@dataclass
class FakeMethod(Method):
    """Queues 10 s of work on an I frame and 1 s on the others; a reset takes 1000 s."""

    machine: FakeMachine

    def __post_init__(self):
        self.seen = []

    def reset(self):
        self.machine.now += 1000  # must not be timed
        self.seen.append("reset")

    def step(self, frame):
        self.seen.append(frame.index)
        self.machine.queued += 10.0 if frame.frame_type == "I" else 1.0
        return Step(labels=LABELS, kind="key" if frame.frame_type == "I" else "non-key")


def run(method, machine, types, **options):
    return time_steps(method, frames(types), synchronise=machine.synchronise, clock=machine.clock, **options)


def test_every_step_is_timed_with_the_device_idle_on_both_sides():
    machine = FakeMachine()
    times = run(FakeMethod(machine), machine, "IPP", repeats=2)
    assert [(s.position, s.kind, s.seconds) for s in times.steps] == [
        (0, "key", 10.0),
        (1, "non-key", 1.0),
        (2, "non-key", 1.0),
    ] * 2
    assert machine.waits >= 2 * 2 * 3


def test_work_queued_before_a_step_is_not_in_its_time():
    machine = FakeMachine()

    class Lazy(FakeMethod):
        def reset(self):
            self.machine.queued += 500  # the warm-up's, or the reset's

    assert run(Lazy(machine), machine, "IP", repeats=1).by_kind == {"key": [10.0], "non-key": [1.0]}


def test_one_gop_warms_up_and_every_pass_starts_afresh_with_state_carried_through_it():
    machine = FakeMachine()
    method = FakeMethod(machine)
    times = run(method, machine, "IPPIPP", repeats=2)
    one_pass = ["reset", 0, 1, 2, 3, 4, 5]
    assert method.seen == ["reset", 0, 1, 2, *one_pass, *one_pass]
    assert (times.num_warmup, times.num_passes, len(times.steps)) == (3, 2, 12)


def test_the_length_of_the_warm_up_can_be_chosen():
    machine = FakeMachine()
    method = FakeMethod(machine)
    run(method, machine, "IPPIPP", repeats=1, warmup_frames=5)
    assert method.seen[:7] == ["reset", 0, 1, 2, 3, 4, "reset"]


def test_every_sample_is_kept_by_kind():
    machine = FakeMachine()
    times = run(FakeMethod(machine), machine, "IPIP", repeats=3)
    assert times.by_kind == {"key": [10.0] * 6, "non-key": [1.0] * 6}


def test_a_kind_that_first_runs_after_the_warm_up_is_not_timed_cold():
    machine = FakeMachine()

    class Refreshing(FakeMethod):
        """The last frame is a refresh, 50 s dearer the first time that it ever runs."""

        cold = True

        def step(self, frame):
            step = super().step(frame)
            if frame.index < 4:
                return step
            self.machine.queued += 50.0 if self.cold else 5.0
            self.cold = False
            return Step(labels=LABELS, kind="refresh")

    times = run(Refreshing(machine), machine, "IPIPP", repeats=2)
    assert times.by_kind["refresh"] == [6.0, 6.0]
    assert (times.num_passes, len(times.steps), times.num_warmup) == (2, 10, 2 + 5)


def test_a_method_whose_kinds_never_repeat_is_still_timed():
    machine = FakeMachine()

    class Restless(FakeMethod):
        def step(self, frame):
            super().step(frame)
            return Step(labels=LABELS, kind=f"kind {len(self.seen)}")

    times = run(Restless(machine), machine, "IP", repeats=2)
    assert len(times.steps) == 4
    assert times.num_warmup == 2 + 2 * MAXIMUM_COLD_PASSES


def test_a_clip_of_one_frame_can_be_timed():
    machine = FakeMachine()
    times = run(FakeMethod(machine), machine, "I", repeats=1)
    assert [step.seconds for step in times.steps] == [10.0]


@pytest.mark.parametrize("types", ["", "PPI"])
def test_frames_that_do_not_start_with_an_i_frame_are_refused(types):
    machine = FakeMachine()
    with pytest.raises(UsageError, match="whole GOPs"):
        run(FakeMethod(machine), machine, types)


def test_no_passes_are_refused():
    machine = FakeMachine()
    with pytest.raises(UsageError, match="at least 1, got 0"):
        run(FakeMethod(machine), machine, "IP", repeats=0)


def test_an_error_in_a_step_reaches_the_caller():
    machine = FakeMachine()

    class Broken(FakeMethod):
        def step(self, frame):
            raise ValueError("frame 0")

    with pytest.raises(ValueError, match="frame 0"):
        run(Broken(machine), machine, "IP")


def test_positions_count_from_the_last_i_frame_and_pass_255():
    assert gop_positions(frames("IPPIPBI")) == [0, 1, 2, 0, 1, 2, 0]
    assert gop_positions(frames("I" + "P" * 299))[-1] == 299
    assert gop_length(frames("IPPIPP")) == 3
    assert gop_length(frames("IPP")) == 3
    assert gop_length(frames("II")) == 1


def steps(*triples):
    return [TimedStep(position=position, kind=kind, seconds=seconds) for position, kind, seconds in triples]


def test_statistics_by_hand():
    samples = [5.0, 1.0, 2.0, 3.0, 4.0]
    assert median(samples) == 3.0
    assert median([1.0, 2.0]) == 1.5
    assert interquartile_range(samples) == 4.0 - 2.0
    assert p90([float(i) for i in range(11)]) == 9.0
    assert quantile(samples, 0) == 1.0
    assert quantile(samples, 1) == 5.0


def test_statistics_of_one_sample_are_that_sample():
    assert (median([7.0]), interquartile_range([7.0]), p90([7.0])) == (7.0, 0.0, 7.0)


@pytest.mark.parametrize("statistic", [median, interquartile_range, p90])
def test_statistics_of_no_sample_are_nan(statistic):
    assert math.isnan(statistic([]))


def test_the_cpu_needs_no_waiting_and_meta_cannot_be_timed():
    assert synchroniser("cpu")() is None
    with pytest.raises(UsageError, match="'meta'"):
        synchroniser("meta")


def test_the_default_clock_is_in_seconds():
    import time

    class Sleeper(Method):
        def step(self, frame):
            time.sleep(0.02)
            return Step(labels=LABELS, kind="key")

    times = time_steps(Sleeper(), frames("I"), synchronise=synchroniser("cpu"), repeats=3)
    assert 0.02 <= median(times.by_kind["key"]) < 0.2


@pytest.mark.gpu
def test_the_time_of_work_on_cuda_is_in_the_sample(cuda):
    square = torch.ones(8192, 8192, device=cuda)

    class Multiplier(Method):
        def step(self, frame):
            square @ square  # returns at once; 5.5e11 MACs take milliseconds
            return Step(labels=LABELS, kind="key")

    waited = time_steps(Multiplier(), frames("I"), synchronise=synchroniser(cuda), repeats=5)
    launched = time_steps(Multiplier(), frames("I"), synchronise=lambda: None, repeats=5)
    assert median(waited.by_kind["key"]) > 3 * min(launched.by_kind["key"])

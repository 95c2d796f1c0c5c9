from contextlib import contextmanager

import pytest
import torch
from fake_machine import LABELS, FakeMachine, FakeMethod, frames

from vssbench.errors import UsageError
from vssbench.latency.phases import MODEL, TRANSFER, phase
from vssbench.latency.statistics import AA_LIMIT, aa_difference, median
from vssbench.latency.timer import (
    MAXIMUM_COLD_PASSES,
    device_stopwatch,
    gop_length,
    gop_positions,
    synchroniser,
    time_phases,
    time_steps,
)
from vssbench.records import Method, Step


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
        """Frame 4 is a refresh, 50 s dearer the first time that it ever runs."""

        cold = True

        def step(self, frame):
            step = super().step(frame)
            if frame.index != 4:
                return step
            self.machine.queued += 50.0 if self.cold else 5.0
            self.cold = False
            return Step(labels=LABELS, kind="refresh")

    times = run(Refreshing(machine), machine, "IPPIPP", repeats=2)
    assert times.by_kind["refresh"] == [6.0, 6.0]
    assert (times.num_passes, len(times.steps), times.num_warmup) == (2, 12, 3 + 6)


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


@pytest.mark.parametrize("types", ["", "PPI", "IPPIP", "IPPIPPIPPPI", "IPIPP"])
def test_frames_that_are_not_whole_gops_are_refused(types):
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
    assert gop_positions(frames("IPPIPB")) == [0, 1, 2, 0, 1, 2]
    assert gop_positions(frames("I" + "P" * 299))[-1] == 299
    assert gop_length(frames("IPPIPP")) == 3
    assert gop_length(frames("IPP")) == 3
    assert gop_length(frames("II")) == 1


class FakeStopwatch:
    """A device that is 0.25 s slower to begin than the host believes, and notes the order of the calls."""

    def __init__(self, machine):
        self.machine, self.calls = machine, []

    def start(self):
        self.calls.append("start")

    def stop(self):
        self.calls.append("stop")
        self.queued = self.machine.queued

    def seconds(self):
        assert self.machine.queued == 0, "asked before the device was idle"
        return self.queued - 0.25


def test_the_devices_clock_is_kept_beside_the_hosts():
    machine = FakeMachine()
    stopwatch = FakeStopwatch(machine)
    times = run(FakeMethod(machine), machine, "IP", repeats=2, stopwatch=stopwatch)
    assert [(s.seconds, s.device_seconds) for s in times.steps] == [(10.0, 9.75), (1.0, 0.75)] * 2
    assert stopwatch.calls == ["start", "stop"] * 4


def test_without_a_stopwatch_there_is_no_device_time():
    machine = FakeMachine()
    assert {s.device_seconds for s in run(FakeMethod(machine), machine, "IP", repeats=1).steps} == {None}
    assert device_stopwatch("cpu") is None


def test_every_step_knows_its_pass_and_something_may_be_done_around_each():
    machine = FakeMachine()
    looks = []

    @contextmanager
    def around_pass():
        machine.now += 7  # is in no time
        looks.append("in")
        yield
        looks.append("out")
        machine.now += 7

    times = run(FakeMethod(machine), machine, "IP", repeats=3, around_pass=around_pass)
    assert [s.pass_number for s in times.steps] == [0, 0, 1, 1, 2, 2]
    assert sum(s.seconds for s in times.steps) == 3 * 11
    assert looks == ["in", "out"] * 3


@pytest.mark.parametrize(("slower", "noisy"), [((), False), ((1, 2), True), ((0, 1, 2, 3), False)])
def test_a_machine_that_slows_down_in_some_passes_is_noisy(slower, noisy):
    """Passes 1 and 2 of 4 are the second timing of the same method; all passes slower are no noise."""
    machine = FakeMachine()

    class Uneven(FakeMethod):
        def step(self, frame):
            step = super().step(frame)
            self.machine.queued *= 1.05 if self.seen.count("reset") - 2 in slower else 1.0  # the first warms up
            return step

    times = run(Uneven(machine), machine, "IPP", repeats=4)
    assert (aa_difference(times.steps) > AA_LIMIT) is noisy
    assert aa_difference(times.steps) == pytest.approx(0.05 if noisy else 0)


def test_passes_set_aside_take_no_number():
    machine = FakeMachine()

    class Restless(FakeMethod):
        """Its first timed pass meets a kind that the warm-up did not."""

        def step(self, frame):
            step = super().step(frame)
            return Step(labels=LABELS, kind="new") if len(self.seen) > 4 else step

    times = run(Restless(machine), machine, "IP", repeats=2)
    assert [s.pass_number for s in times.steps] == [0, 0, 1, 1]
    assert times.num_warmup == 2 + 2


def test_the_parts_of_each_step_are_told_apart():
    machine = FakeMachine()

    class Marked(FakeMethod):
        def step(self, frame):
            with phase(TRANSFER):
                self.machine.queued += 2.0
            return super().step(frame)

    parts = time_phases(Marked(machine), frames("IP"), synchronise=machine.synchronise, clock=machine.clock)
    assert [(part.position, part.kind) for part in parts] == [(0, "key"), (1, "non-key")]
    assert [part.seconds for part in parts] == [{TRANSFER: 2.0, MODEL: 10.0}, {TRANSFER: 2.0, MODEL: 1.0}]


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


@pytest.mark.gpu
def test_cuda_events_and_the_hosts_clock_agree_where_the_device_does_the_work(cuda):
    square = torch.ones(8192, 8192, device=cuda)

    class Multiplier(Method):
        def step(self, frame):
            for _ in range(4):
                square @ square
            return Step(labels=LABELS, kind="key")

    times = time_steps(
        Multiplier(), frames("I"), synchronise=synchroniser(cuda), stopwatch=device_stopwatch(cuda), repeats=5
    )
    host, device = median([s.seconds for s in times.steps]), median([s.device_seconds for s in times.steps])
    assert device <= host * 1.01, "the events lie between the host's two looks"
    assert device > 0.5 * host, "the work is nearly all of the time"

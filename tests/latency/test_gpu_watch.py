import threading
import time

import pytest
from fake_machine import FakeMachine, FakeMethod, frames

from vssbench.latency.gpu_watch import looks_meanwhile
from vssbench.latency.timer import time_steps


class Looker:
    """Sees the numbers 1, 2, 3 and so on, and tells when it has seen enough."""

    def __init__(self, enough=1):
        self.number, self._enough, self.reached = 0, enough, threading.Event()

    def __call__(self):
        self.number += 1
        if self.number >= self._enough:
            self.reached.set()
        return {"sm_mhz": float(self.number)}


def watchers():
    return [thread for thread in threading.enumerate() if thread.name == "vssbench.gpu_watch"]


def test_it_looks_until_the_block_is_left_and_no_longer():
    look = Looker(enough=3)
    with looks_meanwhile(look, every_s=0.001) as seen:
        assert look.reached.wait(10)
    number = len(seen)
    assert [one["sm_mhz"] for one in seen] == [float(n) for n in range(1, number + 1)]
    assert number >= 3
    assert watchers() == []
    time.sleep(0.01)
    assert look.number == number


def test_a_block_shorter_than_the_first_sleep_has_no_look():
    look = Looker()
    with looks_meanwhile(look, every_s=60) as seen:
        assert len(watchers()) == 1
    assert (seen, look.number, watchers()) == ([], 0, []), "left at once, not after the sleep"


def test_where_nobody_can_be_asked_there_is_no_thread():
    with looks_meanwhile(None) as seen:
        assert watchers() == []
    assert seen == []


def test_what_does_not_answer_is_left_out():
    asked = Looker(enough=2)

    def look():
        found = asked()
        return None if found["sm_mhz"] == 1 else found

    with looks_meanwhile(look, every_s=0.001) as seen:
        assert asked.reached.wait(10)
    assert {"sm_mhz": 1.0} not in seen
    assert {"sm_mhz": 2.0} in seen


def test_an_error_in_the_block_ends_the_thread():
    with pytest.raises(ValueError, match="in the block"), looks_meanwhile(Looker(), every_s=60):
        raise ValueError("in the block")
    assert watchers() == []


def test_looking_moves_no_time_and_happens_in_passes_alone():
    """Of the fake machine only work moves the clock; a look while nothing is timed would be a look at an idle one."""
    machine = FakeMachine()
    seen, looked_in = [], []

    class Waiting(FakeMethod):
        """A step lasts until somebody has looked, where somebody looks."""

        def step(self, frame):
            if watchers():
                looked_in.append(frame.index)
                assert look.reached.wait(10)
            return super().step(frame)

    look = Looker()

    def around_pass():
        found = looks_meanwhile(look, every_s=0.001)
        seen.append(found)
        return found

    times = time_steps(
        Waiting(machine),
        frames("IPIP"),
        synchronise=machine.synchronise,
        clock=machine.clock,
        around_pass=around_pass,
        repeats=2,
    )
    assert [step.seconds for step in times.steps] == [10.0, 1.0, 10.0, 1.0] * 2
    assert looked_in == [0, 1, 2, 3] * 2, "not in the warm-up"
    assert len(seen) == 2
    assert watchers() == []

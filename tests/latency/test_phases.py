import time

import numpy as np
import pytest
import torch
from fake_machine import FakeMachine

from vssbench.latency.phases import MODEL, PHASES, phase, seconds_by_phase
from vssbench.ops.images import labels_from_logits, to_tensor
from vssbench.ops.warp import flow_for_grid
from vssbench.records import MotionField


def timed(run, machine):
    return seconds_by_phase(run, synchronise=machine.synchronise, clock=machine.clock)


def test_what_nobody_marked_is_the_model():
    machine = FakeMachine()

    def step():
        machine.queued += 3.0

    assert timed(step, machine) == {MODEL: 3.0}


def test_marked_parts_are_taken_out_and_all_add_up_to_the_step():
    machine = FakeMachine()

    @phase("transfer")
    def transfer():
        machine.queued += 2.0

    def step():
        transfer()
        machine.queued += 10.0
        with phase("post-processing"):
            machine.now += 0.5  # the host's work counts as the device's does
        transfer()

    assert timed(step, machine) == {"transfer": 4.0, MODEL: 10.0, "post-processing": 0.5}
    assert machine.now == 14.5


def test_a_part_inside_a_part_belongs_to_the_inner_one():
    machine = FakeMachine()

    def step():
        with phase("outer"):
            machine.queued += 1.0
            with phase("inner"):
                machine.queued += 2.0
            machine.queued += 4.0

    assert timed(step, machine) == {MODEL: 0.0, "outer": 5.0, "inner": 2.0}


def test_an_error_closes_what_is_open_and_the_next_measurement_works():
    machine = FakeMachine()

    def broken():
        with phase("transfer"):
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        timed(broken, machine)
    assert timed(lambda: None, machine) == {MODEL: 0.0}


def test_nobody_listening_nothing_waits_and_nothing_is_noted():
    machine = FakeMachine()
    with phase("transfer"):
        machine.queued += 1.0
    assert (machine.waits, machine.now) == (0, 0.0)


def test_a_mark_costs_next_to_nothing_when_nobody_listens():
    @phase("transfer")
    def marked():
        pass

    started = time.perf_counter()
    for _ in range(10_000):
        marked()
    assert (time.perf_counter() - started) / 10_000 < 50e-6, "a step takes milliseconds; measured: 1 microsecond"


def test_a_marked_function_keeps_its_name_and_result():
    assert to_tensor.__name__ == "to_tensor"
    assert "planar" in to_tensor.__doc__


def test_the_operations_that_all_methods_share_are_marked():
    machine = FakeMachine()
    motion = MotionField(flow_px=np.zeros((8, 8, 2), np.float32), frames_back=np.ones((8, 8), np.int16))

    def step():
        to_tensor(np.zeros((8, 8, 3), np.uint8), device="cpu")
        flow_for_grid(motion, (4, 4), device="cpu")
        labels_from_logits(torch.zeros(1, 2, 4, 4), size=(8, 8))

    assert set(timed(step, machine)) == set(PHASES)

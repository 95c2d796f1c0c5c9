from __future__ import annotations

import numpy as np
import pytest
from moving_pattern import slow_compose

from vssbench.codec.trace import Trace
from vssbench.errors import BitstreamError, ShapeError
from vssbench.records import MotionField

SIZE = (11, 13)


def random_motion(random, *, backward=1.0):
    """Quarter-pel motion that often leaves the frame, a tenth of it intra."""
    flow = (random.integers(-24, 25, (*SIZE, 2)) / 4).astype(np.float32)
    frames_back = np.where(random.random(SIZE) < backward, 1, -1).astype(np.int16)
    intra = random.random(SIZE) < 0.1
    flow[intra], frames_back[intra] = 0, 0
    return MotionField(flow_px=flow, frames_back=frames_back)


def follow(trace, motion, *, later=None):
    return Trace.through(motion, {1: trace, -1: later}, sampling=trace.sampling)


def points_of(motion):
    grid = np.stack(np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0])), -1)
    return np.where(motion.valid[..., None], grid + motion.flow_px, np.nan)


@pytest.mark.parametrize("sampling", ["integer", "subpel"])
def test_trace_equals_a_loop_over_pixels(sampling):
    random = np.random.default_rng(3)
    fields = [random_motion(random) for _ in range(4)]
    trace = Trace.from_key_frame(SIZE, sampling=sampling)
    for distance, motion in enumerate(fields, start=1):
        trace = follow(trace, motion)
        expected = slow_compose(
            [(field.flow_px, field.valid) for field in fields[:distance]], SIZE, subpel=sampling == "subpel"
        )
        to_key = trace.motion_to_key(distance)
        np.testing.assert_allclose(points_of(to_key), expected, atol=1e-5)
        assert set(np.unique(to_key.frames_back)) <= {0, distance}
        assert (to_key.flow_px[~to_key.valid] == 0).all()
    assert 0.2 < to_key.valid.mean() < 0.9  # the loop above saw both kinds


@pytest.mark.parametrize("sampling", ["integer", "subpel"])
def test_b_frames_are_traced_through_both_references(sampling):
    random = np.random.default_rng(4)
    to_past, to_later, here = (random_motion(random, backward=share) for share in (1.0, 1.0, 0.5))
    start = Trace.from_key_frame(SIZE, sampling=sampling)
    past, later = follow(start, to_past), follow(start, to_later)
    to_key = follow(past, here, later=later).motion_to_key(2)
    subpel = sampling == "subpel"
    through_past = slow_compose(
        [(to_past.flow_px, to_past.valid), (here.flow_px, here.frames_back > 0)], SIZE, subpel=subpel
    )
    through_later = slow_compose(
        [(to_later.flow_px, to_later.valid), (here.flow_px, here.frames_back < 0)], SIZE, subpel=subpel
    )
    expected = np.where((here.frames_back < 0)[..., None], through_later, through_past)
    np.testing.assert_allclose(points_of(to_key), expected, atol=1e-5)


@pytest.mark.parametrize("sampling", ["integer", "subpel"])
def test_without_a_later_trace_paths_into_the_future_are_lost(sampling):
    here = random_motion(np.random.default_rng(5), backward=0.5)
    to_key = follow(Trace.from_key_frame(SIZE, sampling=sampling), here).motion_to_key(1)
    np.testing.assert_array_equal(to_key.valid, here.frames_back > 0)


@pytest.mark.parametrize("sampling", ["integer", "subpel"])
def test_no_motion_leads_back_to_the_same_place(sampling):
    still = MotionField(flow_px=np.zeros((*SIZE, 2), np.float32), frames_back=np.ones(SIZE, np.int16))
    trace = Trace.from_key_frame(SIZE, sampling=sampling)
    for _ in range(300):
        trace = follow(trace, still)
    to_key = trace.motion_to_key(300)
    assert (to_key.flow_px == 0).all()
    assert (to_key.frames_back == 300).all()  # more than a byte holds


def test_integer_tracing_rounds_halves_to_even_as_python_does():
    flow = np.zeros((1, 4, 2), np.float32)
    flow[0, :, 0] = [0.5, 1.5, -0.5, -1.5]  # from x = 0, 1, 2, 3: to 0, 3, 2, 1
    motion = MotionField(flow_px=flow, frames_back=np.ones((1, 4), np.int16))
    to_key = follow(Trace.from_key_frame((1, 4), sampling="integer"), motion).motion_to_key(1)
    np.testing.assert_array_equal(to_key.flow_px[0, :, 0], [0, 2, 0, -2])


def test_subpel_tracing_keeps_what_integer_tracing_rounds_away():
    # 0.25 px a frame, four times, is 1 px; rounded, it is 0.
    motion = MotionField(flow_px=np.full((1, 8, 2), (0.25, 0), np.float32), frames_back=np.ones((1, 8), np.int16))
    for sampling, expected in (("subpel", 1.0), ("integer", 0.0)):
        trace = Trace.from_key_frame((1, 8), sampling=sampling)
        for _ in range(4):
            trace = follow(trace, motion)
        np.testing.assert_allclose(trace.motion_to_key(4).flow_px[0, :4, 0], expected, atol=1e-6)


def test_a_subpel_path_between_a_known_and_a_lost_pixel_is_lost_only_where_it_uses_the_lost_one():
    first = MotionField(flow_px=np.zeros((1, 4, 2), np.float32), frames_back=np.array([[1, 1, 0, 1]], np.int16))
    flow = np.zeros((1, 4, 2), np.float32)
    flow[0, :, 0] = [0, 0.5, -1, 0]  # to x = 0; between 1 and the lost 2; exactly 1, beside the lost 2; 3
    second = MotionField(flow_px=flow, frames_back=np.ones((1, 4), np.int16))
    trace = follow(follow(Trace.from_key_frame((1, 4), sampling="subpel"), first), second)
    np.testing.assert_array_equal(trace.motion_to_key(2).frames_back, [[2, 0, 2, 2]])


def test_a_distance_that_frames_back_cannot_hold_is_an_error():
    with pytest.raises(BitstreamError, match="more than 32767 frames"):
        Trace.from_key_frame((2, 2), sampling="integer").motion_to_key(32768)


def test_a_frame_too_large_to_trace_is_an_error():
    with pytest.raises(ShapeError, match="up to 32767 pixels a side"):
        Trace.from_key_frame((2, 32768), sampling="integer")

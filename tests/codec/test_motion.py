from __future__ import annotations

import numpy as np
import pytest
from moving_pattern import slow_compose

from vssbench.codec.motion import VECTOR_DTYPE, Trace, densify
from vssbench.errors import BitstreamError, ShapeError
from vssbench.records import MotionField


def rows(*blocks, scale=4):
    """Vector rows from (source, w, h, left, top, motion_x, motion_y)."""
    vectors = np.zeros(len(blocks), VECTOR_DTYPE)
    for row, (source, w, h, left, top, x, y) in zip(vectors, blocks, strict=True):
        row["source"], row["w"], row["h"] = source, w, h
        row["dst_x"], row["dst_y"] = left + w // 2, top + h // 2
        row["motion_x"], row["motion_y"], row["motion_scale"] = x, y, scale
    return vectors


def random_rows(random, size, count, *, step, sources=(-1,)):
    shapes = [(16, 16), (16, 8), (8, 16), (8, 8)]
    blocks = []
    for _ in range(count):
        w, h = shapes[random.integers(4)]
        left = int(random.integers(0, size[1] // step)) * step
        top = int(random.integers(0, size[0] // step)) * step
        blocks.append((random.choice(sources), w, h, left, top, *random.integers(-60, 61, 2)))
    return rows(*blocks)


def slow_densify(vectors, size, past, future):
    flow, frames_back = np.zeros((*size, 2), np.float32), np.zeros(size, np.int16)
    for direction in (1, -1):  # the past is painted last
        for vector in vectors[vectors["source"] == direction]:
            left, top = int(vector["dst_x"]) - vector["w"] // 2, int(vector["dst_y"]) - vector["h"] // 2
            for y in range(top, min(top + int(vector["h"]), size[0])):
                for x in range(left, min(left + int(vector["w"]), size[1])):
                    if x >= 0 and y >= 0:
                        scale = float(vector["motion_scale"])
                        flow[y, x] = vector["motion_x"] / scale, vector["motion_y"] / scale
                        frames_back[y, x] = past if direction < 0 else -future
    return flow, frames_back


@pytest.mark.parametrize("step", [1, 4, 8])
@pytest.mark.parametrize("size", [(48, 64), (45, 61), (9, 7)])
def test_densify_equals_a_loop_over_blocks_and_pixels(size, step):
    # Blocks overlap, mix sizes and directions, and stick out at the right and bottom.
    random = np.random.default_rng(step)
    vectors = random_rows(random, (size[0] + 7, size[1] + 7), 40, step=step, sources=(-1, 1))
    motion = densify(vectors, size, past_distance_frames=2, future_distance_frames=3)
    flow, frames_back = slow_densify(vectors, size, 2, 3)
    np.testing.assert_array_equal(motion.flow_px, flow)
    np.testing.assert_array_equal(motion.frames_back, frames_back)


def test_blocks_beyond_the_left_and_top_are_clipped():
    motion = densify(rows((-1, 16, 16, -8, -12, 4, 8)), (8, 16))
    expected = np.zeros((8, 16))
    expected[:4, :8] = 1  # of rows -12..3 and columns -8..7
    np.testing.assert_array_equal(motion.frames_back, expected)


@pytest.mark.parametrize(("scale", "pixels"), [(2, 1.5), (4, 0.75)])
def test_motion_scale_turns_vectors_into_exact_fractions_of_a_pixel(scale, pixels):
    motion = densify(rows((-1, 8, 8, 0, 0, 3, -3), scale=scale), (8, 8))
    assert motion.flow_px.dtype == np.float32
    assert (motion.flow_px == (pixels, -pixels)).all()


def test_pixels_without_a_vector_are_intra_and_a_zero_vector_is_not():
    motion = densify(rows((-1, 8, 8, 0, 0, 0, 0)), (8, 16))
    assert motion.valid[:, :8].all()
    assert not motion.valid[:, 8:].any()
    assert (motion.flow_px == 0).all()


def test_no_vectors_at_all_are_an_intra_frame():
    motion = densify(np.empty(0, VECTOR_DTYPE), (5, 7))
    assert motion.flow_px.shape == (5, 7, 2)
    assert not motion.valid.any()


def test_later_rows_win_over_earlier_ones_and_the_past_over_the_future():
    past, later = (-1, 8, 8, 0, 0, 4, 0), (-1, 8, 8, 0, 0, 8, 0)
    future = (1, 8, 8, 0, 0, 12, 0)
    assert (densify(rows(past, later), (8, 8)).flow_px == (2, 0)).all()
    motion = densify(rows(past, future), (8, 8), future_distance_frames=2)
    assert (motion.flow_px == (1, 0)).all()
    assert (motion.frames_back == 1).all()
    only_future = densify(rows(future), (8, 8), future_distance_frames=2)
    assert (only_future.frames_back == -2).all()


def test_a_vector_into_the_future_needs_a_future_frame():
    with pytest.raises(BitstreamError, match="no later reference frame"):
        densify(rows((1, 8, 8, 0, 0, 0, 0)), (8, 8))


# --- Trace -----------------------------------------------------------------------------------------------------------

SIZE = (11, 13)


def random_motion(random, *, backward=1.0):
    """Quarter-pel motion that often leaves the frame, a tenth of it intra."""
    flow = (random.integers(-24, 25, (*SIZE, 2)) / 4).astype(np.float32)
    frames_back = np.where(random.random(SIZE) < backward, 1, -1).astype(np.int16)
    intra = random.random(SIZE) < 0.1
    flow[intra], frames_back[intra] = 0, 0
    return MotionField(flow_px=flow, frames_back=frames_back)


def points_of(motion):
    grid = np.stack(np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0])), -1)
    return np.where(motion.valid[..., None], grid + motion.flow_px, np.nan)


@pytest.mark.parametrize("sampling", ["integer", "subpel"])
def test_trace_equals_a_loop_over_pixels(sampling):
    random = np.random.default_rng(3)
    fields = [random_motion(random) for _ in range(4)]
    trace = Trace.from_key_frame(SIZE, sampling=sampling)
    for distance, motion in enumerate(fields, start=1):
        trace = trace.follow(motion)
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
    past, later = start.follow(to_past), start.follow(to_later)
    to_key = past.follow(here, later=later).motion_to_key(2)
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
    to_key = Trace.from_key_frame(SIZE, sampling=sampling).follow(here).motion_to_key(1)
    np.testing.assert_array_equal(to_key.valid, here.frames_back > 0)


@pytest.mark.parametrize("sampling", ["integer", "subpel"])
def test_no_motion_leads_back_to_the_same_place(sampling):
    still = MotionField(flow_px=np.zeros((*SIZE, 2), np.float32), frames_back=np.ones(SIZE, np.int16))
    trace = Trace.from_key_frame(SIZE, sampling=sampling)
    for _ in range(300):
        trace = trace.follow(still)
    to_key = trace.motion_to_key(300)
    assert (to_key.flow_px == 0).all()
    assert (to_key.frames_back == 300).all()  # more than a byte holds


def test_integer_tracing_rounds_halves_to_even_as_python_does():
    flow = np.zeros((1, 4, 2), np.float32)
    flow[0, :, 0] = [0.5, 1.5, -0.5, -1.5]  # from x = 0, 1, 2, 3: to 0, 3, 2, 1
    motion = MotionField(flow_px=flow, frames_back=np.ones((1, 4), np.int16))
    to_key = Trace.from_key_frame((1, 4), sampling="integer").follow(motion).motion_to_key(1)
    np.testing.assert_array_equal(to_key.flow_px[0, :, 0], [0, 2, 0, -2])


def test_subpel_tracing_keeps_what_integer_tracing_rounds_away():
    # 0.25 px a frame, four times, is 1 px; rounded, it is 0.
    motion = MotionField(flow_px=np.full((1, 8, 2), (0.25, 0), np.float32), frames_back=np.ones((1, 8), np.int16))
    for sampling, expected in (("subpel", 1.0), ("integer", 0.0)):
        trace = Trace.from_key_frame((1, 8), sampling=sampling)
        for _ in range(4):
            trace = trace.follow(motion)
        np.testing.assert_allclose(trace.motion_to_key(4).flow_px[0, :4, 0], expected, atol=1e-6)


def test_a_subpel_path_between_a_known_and_a_lost_pixel_is_lost_only_where_it_uses_the_lost_one():
    first = MotionField(flow_px=np.zeros((1, 4, 2), np.float32), frames_back=np.array([[1, 1, 0, 1]], np.int16))
    flow = np.zeros((1, 4, 2), np.float32)
    flow[0, :, 0] = [0, 0.5, -1, 0]  # to x = 0; between 1 and the lost 2; exactly 1, beside the lost 2; 3
    second = MotionField(flow_px=flow, frames_back=np.ones((1, 4), np.int16))
    trace = Trace.from_key_frame((1, 4), sampling="subpel").follow(first).follow(second)
    np.testing.assert_array_equal(trace.motion_to_key(2).frames_back, [[2, 0, 2, 2]])


def test_a_distance_that_frames_back_cannot_hold_is_an_error():
    with pytest.raises(BitstreamError, match="more than 32767 frames"):
        Trace.from_key_frame((2, 2), sampling="integer").motion_to_key(32768)


def test_a_frame_too_large_to_trace_is_an_error():
    with pytest.raises(ShapeError, match="up to 32767 pixels a side"):
        Trace.from_key_frame((2, 32768), sampling="integer")

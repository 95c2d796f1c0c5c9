from __future__ import annotations

import math

import numpy as np
import pytest

from vssbench.codec.residual import compensate, residual
from vssbench.errors import ShapeError, UsageError
from vssbench.records import MotionField


def field(flow, frames_back=None):
    flow = np.asarray(flow, np.float32)
    if frames_back is None:
        frames_back = np.ones(flow.shape[:2])
    return MotionField(flow_px=flow, frames_back=np.asarray(frames_back, np.int16))


def random_case(seed, size=(9, 12), *, step=4):
    random = np.random.default_rng(seed)
    current, reference = random.integers(0, 256, (2, *size, 3), dtype=np.uint8)
    flow = random.integers(-20, 21, (*size, 2)) / step
    frames_back = (random.random(size) > 0.15).astype(np.int16)
    flow[frames_back == 0] = 0  # intra
    return current, reference, field(flow, frames_back)


def test_integer_residual_equals_a_loop_with_vectors_cut_towards_zero():
    current, reference, motion = random_case(0)
    found = residual(current, {1: reference}, motion)
    assert found.dtype == np.int16
    for y in range(9):
        for x in range(12):
            dx, dy = (math.trunc(value) for value in motion.flow_px[y, x].tolist())
            source = reference[min(max(y + dy, 0), 8), min(max(x + dx, 0), 11)]
            np.testing.assert_array_equal(found[y, x], current[y, x].astype(int) - source)


def test_bilinear_residual_equals_a_loop_with_the_exact_vectors():
    current, reference, motion = random_case(1)
    found = residual(current, {1: reference}, motion, compensation="bilinear")
    for y in range(9):
        for x in range(12):
            at_x = min(max(x + float(motion.flow_px[y, x, 0]), 0), 11)
            at_y = min(max(y + float(motion.flow_px[y, x, 1]), 0), 8)
            value = np.zeros(3)
            for row in {math.floor(at_y), math.ceil(at_y)}:
                for column in {math.floor(at_x), math.ceil(at_x)}:
                    value += (1 - abs(at_y - row)) * (1 - abs(at_x - column)) * reference[row, column]
            np.testing.assert_array_equal(found[y, x], current[y, x].astype(int) - np.floor(value + 0.5))


@pytest.mark.parametrize("compensation", ["integer", "bilinear"])
def test_a_frame_that_only_moved_has_no_residual(compensation):
    picture = np.random.default_rng(2).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    current, reference = picture[:, 2:10], picture[:, 0:8]  # what is now at x was at x + 2
    motion = field(np.full((8, 8, 2), (2, 0)))
    np.testing.assert_array_equal(residual(current, {1: reference}, motion, compensation=compensation)[:, :6], 0)


@pytest.mark.parametrize("compensation", ["integer", "bilinear"])
def test_the_residual_reaches_255_both_ways(compensation):
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    motion = field(np.zeros((2, 2, 2)))
    assert (residual(white, {1: black}, motion, compensation=compensation) == 255).all()
    assert (residual(black, {1: white}, motion, compensation=compensation) == -255).all()


def test_intra_blocks_are_compensated_with_the_same_place():
    current, reference, motion = random_case(3)
    for compensation in ("integer", "bilinear"):
        found = residual(current, {1: reference}, motion, compensation=compensation)
        intra = ~motion.valid
        assert intra.any()
        np.testing.assert_array_equal(found[intra], current[intra].astype(int) - reference[intra])


def test_a_source_outside_is_the_border_pixel_or_by_name_the_pixel_itself():
    reference = np.arange(4, dtype=np.uint8)[None, :, None].repeat(3, axis=2)  # 0 1 2 3
    motion = field(np.full((1, 4, 2), (2, 0)))
    clamped = compensate(reference, motion)
    np.testing.assert_array_equal(clamped[0, :, 0], [2, 3, 3, 3])
    unmoved = compensate(reference, motion, outside="unmoved")
    np.testing.assert_array_equal(unmoved[0, :, 0], [2, 3, 2, 3])
    half = field(np.full((1, 4, 2), (0.5, 0)))  # bilinear: halves round up; x = 3.5 lies outside
    np.testing.assert_array_equal(
        compensate(reference, half, compensation="bilinear", outside="unmoved")[0, :, 0], [1, 2, 3, 3]
    )


def test_b_blocks_take_their_own_reference():
    past, later = np.full((1, 2, 3), 10, np.uint8), np.full((1, 2, 3), 30, np.uint8)
    current = np.full((1, 2, 3), 100, np.uint8)
    motion = field(np.zeros((1, 2, 2)), [[1, -2]])
    found = residual(current, {1: past, -2: later}, motion)
    np.testing.assert_array_equal(found[0, :, 0], [90, 70])


def test_pixels_with_two_references_are_compared_with_their_mean():
    past, later = np.full((1, 3, 3), 10, np.uint8), np.full((1, 3, 3), 31, np.uint8)
    current = np.full((1, 3, 3), 100, np.uint8)
    still = np.zeros((1, 3, 2), np.float32)
    second = field(still, [[-1, 0, 0]])
    motion = MotionField(flow_px=still, frames_back=np.array([[1, 1, -1]], np.int16), second=second)
    found = residual(current, {1: past, -1: later}, motion)
    np.testing.assert_array_equal(found[0, :, 0], [79, 90, 69])  # (10 + 31 + 1) >> 1 = 21


def test_of_several_references_every_block_takes_its_own_and_intra_blocks_the_nearest():
    frames = {3: np.full((1, 4, 3), 30, np.uint8), 1: np.full((1, 4, 3), 10, np.uint8)}
    motion = field(np.zeros((1, 4, 2)), [[1, 3, 0, 3]])
    found = residual(np.full((1, 4, 3), 100, np.uint8), frames, motion)
    np.testing.assert_array_equal(found[0, :, 0], [90, 70, 90, 70])


def test_without_a_reference_there_is_no_residual():
    current, _, motion = random_case(7)
    with pytest.raises(UsageError, match="got none"):
        residual(current, {}, motion)


def test_nothing_given_is_changed():
    current, reference, motion = random_case(4)
    flow, pixels = motion.flow_px.copy(), reference.copy()
    for compensation in ("integer", "bilinear"):
        residual(current, {1: reference}, motion, compensation=compensation, outside="unmoved")
    np.testing.assert_array_equal(motion.flow_px, flow)
    np.testing.assert_array_equal(reference, pixels)


def test_frames_that_do_not_fit_are_refused():
    current, reference, motion = random_case(5)
    with pytest.raises(ShapeError, match="motion must cover the frame"):
        residual(current, {1: reference[:-1]}, motion)
    with pytest.raises(ShapeError, match="the frames must agree in size"):
        residual(current[:-1], {1: reference}, motion)


def test_unknown_options_are_refused():
    current, reference, motion = random_case(6)
    with pytest.raises(UsageError, match="compensation = 'cubic' is not known"):
        residual(current, {1: reference}, motion, compensation="cubic")
    with pytest.raises(UsageError, match="outside = 'wrap' is not known"):
        residual(current, {1: reference}, motion, outside="wrap")

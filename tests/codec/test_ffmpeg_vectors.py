from __future__ import annotations

import numpy as np
import pytest

from vssbench.codec.ffmpeg_vectors import VECTOR_DTYPE, block_motion
from vssbench.errors import BitstreamError


def dense(vectors, size, **distances):
    return block_motion(vectors, size, **distances).dense()


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
def test_dense_motion_equals_a_loop_over_blocks_and_pixels(size, step):
    # Blocks overlap, mix sizes and directions, and stick out at the right and bottom.
    random = np.random.default_rng(step)
    vectors = random_rows(random, (size[0] + 7, size[1] + 7), 40, step=step, sources=(-1, 1))
    motion = dense(vectors, size, past_distance_frames=2, future_distance_frames=3)
    flow, frames_back = slow_densify(vectors, size, 2, 3)
    np.testing.assert_array_equal(motion.flow_px, flow)
    np.testing.assert_array_equal(motion.frames_back, frames_back)


def test_blocks_beyond_the_left_and_top_are_clipped():
    motion = dense(rows((-1, 16, 16, -8, -12, 4, 8)), (8, 16))
    expected = np.zeros((8, 16))
    expected[:4, :8] = 1  # of rows -12..3 and columns -8..7
    np.testing.assert_array_equal(motion.frames_back, expected)


@pytest.mark.parametrize(("scale", "pixels"), [(2, 1.5), (4, 0.75)])
def test_motion_scale_turns_vectors_into_exact_fractions_of_a_pixel(scale, pixels):
    motion = dense(rows((-1, 8, 8, 0, 0, 3, -3), scale=scale), (8, 8))
    assert motion.flow_px.dtype == np.float32
    assert (motion.flow_px == (pixels, -pixels)).all()


def test_pixels_without_a_vector_are_intra_and_a_zero_vector_is_not():
    motion = dense(rows((-1, 8, 8, 0, 0, 0, 0)), (8, 16))
    assert motion.valid[:, :8].all()
    assert not motion.valid[:, 8:].any()
    assert (motion.flow_px == 0).all()


def test_no_vectors_at_all_are_an_intra_frame():
    motion = dense(np.empty(0, VECTOR_DTYPE), (5, 7))
    assert motion.flow_px.shape == (5, 7, 2)
    assert not motion.valid.any()


def test_later_rows_win_over_earlier_ones_and_the_past_over_the_future():
    past, later = (-1, 8, 8, 0, 0, 4, 0), (-1, 8, 8, 0, 0, 8, 0)
    future = (1, 8, 8, 0, 0, 12, 0)
    assert (dense(rows(past, later), (8, 8)).flow_px == (2, 0)).all()
    motion = dense(rows(past, future), (8, 8), future_distance_frames=2)
    assert (motion.flow_px == (1, 0)).all()
    assert (motion.frames_back == 1).all()
    only_future = dense(rows(future), (8, 8), future_distance_frames=2)
    assert (only_future.frames_back == -2).all()


def test_a_vector_into_the_future_needs_a_future_frame():
    with pytest.raises(BitstreamError, match="no later reference frame"):
        dense(rows((1, 8, 8, 0, 0, 0, 0)), (8, 8))

import numpy as np
import pytest

from vssbench.metrics.joint_histogram import _count, joint_histogram


def slow(rows, columns):
    counts = np.zeros((256, 256), np.int64)
    np.add.at(counts, (rows.ravel(), columns.ravel()), 1)
    return counts


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 63, 64, 1000])
def test_equals_a_slow_count_whatever_is_left_of_the_last_word(size):
    rng = np.random.default_rng(size)
    rows, columns = rng.integers(0, 256, (2, size), np.uint8)
    np.testing.assert_array_equal(joint_histogram(rows, columns), slow(rows, columns))


@pytest.mark.parametrize("run", [1, 3, 8, 13, 64])
def test_flat_stretches_are_counted_whole_wherever_they_begin(run):
    rng = np.random.default_rng(run)
    rows = np.repeat(rng.integers(0, 256, 500, np.uint8), run)
    columns = np.roll(rows, 5)
    np.testing.assert_array_equal(joint_histogram(rows, columns), slow(rows, columns))


def test_one_map_flat_and_the_other_not_is_counted_pixel_by_pixel():
    rows, columns = np.full(64, 200, np.uint8), np.arange(64, dtype=np.uint8)
    np.testing.assert_array_equal(joint_histogram(rows, columns), slow(rows, columns))


@pytest.mark.parametrize("cut", [np.s_[1:, 3:], np.s_[::2, ::-1], np.s_[:, 1:2]])
def test_views_that_begin_anywhere_are_counted(cut):
    maps = np.random.default_rng(1).integers(0, 256, (2, 33, 50), np.uint8)
    rows, columns = maps[0][cut], maps[1][cut]
    np.testing.assert_array_equal(joint_histogram(rows, columns), slow(rows, columns))


def test_a_flat_view_off_the_word_grid_is_counted():
    maps = np.random.default_rng(2).integers(0, 256, (2, 999), np.uint8)
    rows, columns = maps[0, 3:901], maps[1, 5:903]
    np.testing.assert_array_equal(joint_histogram(rows, columns), slow(rows, columns))


def test_machine_code_and_python_agree():
    rows, columns = np.random.default_rng(3).integers(0, 19, (2, 100), np.uint8)
    columns[:40] = rows[:40] = 7
    by_python = _count(rows[:96].view(np.uint64), columns[:96].view(np.uint64), rows[96:], columns[96:])
    np.testing.assert_array_equal(joint_histogram(rows, columns).ravel(), by_python)

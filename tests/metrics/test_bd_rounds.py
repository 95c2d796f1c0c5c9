import numpy as np
import pytest

from vssbench.errors import BdError, ShapeError
from vssbench.metrics.bd import bd_accuracy, bd_cost
from vssbench.metrics.bd_point import accuracy_at_cost, cost_at_accuracy
from vssbench.metrics.bd_rounds import (
    accuracy_at_cost_rounds,
    bd_accuracy_rounds,
    bd_cost_rounds,
    cost_at_accuracy_rounds,
)


def noisy_curves(rounds, points, noise, seed=0):
    """(rounds, points) costs and accuracies of an anchor and a method; noise bends and breaks some of them."""
    rng = np.random.default_rng(seed)
    cost = np.geomspace(30, 300, points) * rng.uniform(0.9, 1.1, (rounds, points))
    other = cost * rng.uniform(0.5, 2, (rounds, 1))
    tops = 70 + rng.normal(0, 1, (2, rounds, 1))
    accuracies = [
        top - 50 * c**-0.5 + rng.normal(0, noise, c.shape) for top, c in zip(tops, (cost, other), strict=True)
    ]
    return cost, accuracies[0], other, accuracies[1]


def by_loop(measure, *arrays):
    values = []
    for row in zip(*arrays, strict=True):
        try:
            values.append(measure(*row).value)
        except BdError:
            values.append(np.nan)
    return np.array(values)


@pytest.mark.parametrize(("rounds", "one_by_one"), [(bd_cost_rounds, bd_cost), (bd_accuracy_rounds, bd_accuracy)])
@pytest.mark.parametrize(("points", "noise"), [(4, 0.3), (8, 0.3), (8, 1.0), (5, 2.0)])
def test_rounds_equal_a_slow_loop_refusals_included(rounds, one_by_one, points, noise):
    arrays = noisy_curves(200, points, noise)
    arrays[3][:20] += 15  # these share nothing
    arrays[0][20] *= -1
    arrays[1][21, 0] = np.nan
    expected = by_loop(one_by_one, *arrays)
    assert 0 < np.isnan(expected).sum() < 200  # both ways are met
    np.testing.assert_allclose(rounds(*arrays), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("rounds", "one_by_one"), [(cost_at_accuracy_rounds, cost_at_accuracy), (accuracy_at_cost_rounds, accuracy_at_cost)]
)
@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_points_equal_a_slow_loop_refusals_included(rounds, one_by_one, noise):
    anchor_cost, anchor_accuracy, cost, accuracy = noisy_curves(200, 5, noise)
    arrays = (anchor_cost, anchor_accuracy, cost[:, 2], accuracy[:, 2])
    arrays[2][:5] *= 100
    arrays[3][:5] += 50
    expected = by_loop(one_by_one, *arrays)
    assert 0 < np.isnan(expected).sum() < 200
    np.testing.assert_allclose(rounds(*arrays), expected, rtol=1e-9, atol=1e-9)


def test_three_points_and_points_that_coincide_are_refused():
    arrays = noisy_curves(5, 3, 0.1)
    assert np.isnan(bd_cost_rounds(*arrays)).all()
    cost, accuracy, other, other_accuracy = noisy_curves(5, 4, 0.1)
    other_accuracy[:, 1] = other_accuracy[:, 0]
    np.testing.assert_array_equal(np.isnan(bd_cost_rounds(cost, accuracy, other, other_accuracy)), np.ones(5, bool))


def test_points_on_a_straight_line_have_no_turn():
    y = np.linspace(1, 4, 4)
    arrays = [np.stack([part, part]) for part in (np.exp(y), y, np.exp(y) / 2, y)]
    np.testing.assert_allclose(bd_cost_rounds(*arrays), -0.5, rtol=1e-12)


def test_costs_and_accuracies_of_different_shapes_are_refused():
    with pytest.raises(ShapeError, match=r"cost.shape = \(2, 4\), accuracy.shape = \(2, 3\)"):
        bd_cost_rounds(np.ones((2, 4)), np.ones((2, 3)), np.ones((2, 4)), np.ones((2, 4)))

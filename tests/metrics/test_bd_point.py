import numpy as np
import pytest

from vssbench.errors import NonMonotoneError, NonPositiveCostError, NoOverlapError, TooFewPointsError
from vssbench.metrics.bd import bd_accuracy, bd_cost
from vssbench.metrics.bd_point import accuracy_at_cost, cost_at_accuracy

COST = np.array([40.0, 77.0, 151.0, 309.0])
ACCURACY = np.array([62.0, 66.9, 69.0, 69.9])
BOTH = pytest.mark.parametrize("measure", [cost_at_accuracy, accuracy_at_cost])


@pytest.mark.parametrize("name", ["cubic", "pchip", "akima"])
def test_a_point_of_the_anchor_at_half_its_cost_saves_half(name):
    result = cost_at_accuracy(COST, ACCURACY, 151 / 2, 69.0, interpolation=name)
    assert result.value == pytest.approx(-0.5, abs=1e-12)
    assert result.anchor == pytest.approx(151, rel=1e-12)
    assert result.num_points == 4
    assert result.interpolation == name


def test_a_point_two_above_the_anchor_at_its_cost_gains_two():
    result = accuracy_at_cost(COST, ACCURACY, 77.0, 68.9)
    assert result.value == pytest.approx(2, abs=1e-12)
    assert result.anchor == pytest.approx(66.9, rel=1e-12)


def test_by_hand_between_points():
    # log cost = y^3 on 0..1: at y = 1/2 the anchor pays e^(1/8); a point that pays 1 there pays e^(-1/8) of it
    y = np.linspace(0, 1, 6)
    assert cost_at_accuracy(np.exp(y**3), y, 1.0, 0.5).value == pytest.approx(np.exp(-1 / 8) - 1, abs=1e-12)
    # accuracy = x^3 of x = log cost: at x = 1/2 it is 1/8
    assert accuracy_at_cost(np.exp(y), y**3, np.exp(0.5), 0.375).value == pytest.approx(0.25, abs=1e-12)


def test_the_mean_over_many_points_of_a_curve_is_the_bjontegaard_difference():
    method_cost = COST * 0.7
    method = ACCURACY + 0.3
    log_fit = np.polynomial.Polynomial.fit(method, np.log(method_cost), 3)
    low, high = bd_cost(COST, ACCURACY, method_cost, method).interval
    middles = low + (high - low) * (np.arange(2000) + 0.5) / 2000
    logs = [np.log1p(cost_at_accuracy(COST, ACCURACY, np.exp(log_fit(y)), y).value) for y in middles]
    expected = bd_cost(COST, ACCURACY, method_cost, method).value
    assert np.expm1(np.mean(logs)) == pytest.approx(expected, abs=1e-6)
    assert bd_accuracy(COST, ACCURACY, method_cost, method).value > 0


def test_a_point_that_the_anchor_does_not_reach_is_refused_with_its_range():
    with pytest.raises(NoOverlapError, match=r"lies at 70\.5, outside the anchor's accuracies 62\.\.69\.9"):
        cost_at_accuracy(COST, ACCURACY, 100.0, 70.5)
    with pytest.raises(NoOverlapError, match=r"lies at 10, outside the anchor's costs 40\.\.309"):
        accuracy_at_cost(COST, ACCURACY, 10.0, 65.0)


@BOTH
def test_a_point_without_work_is_refused(measure):
    with pytest.raises(NonPositiveCostError, match="point 0 of the method has cost 0"):
        measure(COST, ACCURACY, 0.0, 65.0)


@BOTH
def test_an_anchor_of_three_points_is_refused(measure):
    with pytest.raises(TooFewPointsError, match="the anchor has 3"):
        measure(COST[:3], ACCURACY[:3], 77.0, 65.0)


def test_an_anchor_that_swings_is_refused_unless_the_curve_meets_every_point():
    zigzag = np.array([62.0, 69.0, 68.9, 69.9])
    with pytest.raises(NonMonotoneError, match="curve of the anchor"):
        cost_at_accuracy(COST, zigzag, 100.0, 65.0)
    assert 40 < cost_at_accuracy(COST, zigzag, 100.0, 65.0, interpolation="pchip").anchor < 151

import bjontegaard
import numpy as np
import pytest

from vssbench.errors import (
    BdError,
    LowOverlapError,
    NonMonotoneError,
    NonPositiveCostError,
    NoOverlapError,
    NotFiniteError,
    RepeatedPointError,
    ShapeError,
    TooFewPointsError,
    UsageError,
)
from vssbench.metrics.bd import bd_accuracy, bd_cost, compare

COST = np.array([40.0, 77.0, 151.0, 309.0])
ACCURACY = np.array([62.0, 66.9, 69.0, 69.9])
BOTH = pytest.mark.parametrize("difference", [bd_cost, bd_accuracy])


def curve(seed):
    """Four points of a saturating curve: accuracy = top - drop * cost^-power."""
    rng = np.random.default_rng(seed)
    cost = np.array([30.0, 70.0, 150.0, 300.0]) * rng.uniform(0.85, 1.15, 4)
    return cost, rng.uniform(70, 72) - rng.uniform(40, 60) * cost ** -rng.uniform(0.4, 0.6)


def test_half_the_cost_at_every_accuracy_is_minus_fifty_percent():
    # log(cost / 2) = log(cost) - log 2, and so is its fit: D = -log 2, e^D - 1 = -1/2
    result = bd_cost(COST, ACCURACY, COST / 2, ACCURACY)
    assert result.value == pytest.approx(-0.5, abs=1e-12)
    assert result.overlap == 1.0
    assert result.interval == (62.0, 69.9)
    assert result.num_points == (4, 4)
    assert result.interpolation == "cubic"


def test_two_points_more_at_every_cost_is_two_points():
    result = bd_accuracy(COST, ACCURACY, COST, ACCURACY + 2)
    assert result.value == pytest.approx(2.0, abs=1e-12)
    assert result.interval == pytest.approx((40.0, 309.0))


def test_by_hand_between_two_lines():
    # log cost = y on 0..3 and log cost = y - 1 on 1..4, so on the shared 1..3 the difference is -1 throughout;
    # shared 2 of 4
    y = np.array([0.0, 1.0, 2.0, 3.0])
    result = bd_cost(np.exp(y), y, np.exp(y), y + 1)
    assert result.value == pytest.approx(np.exp(-1) - 1, abs=1e-12)
    assert result.interval == (1.0, 3.0)
    assert result.overlap == 0.5


def test_by_hand_between_two_cubics():
    # log cost = y^3 against y on 0..1: the mean of y - y^3 is 1/2 - 1/4 = 1/4
    y = np.linspace(0, 1, 6)
    assert bd_cost(np.exp(y**3), y, np.exp(y), y).value == pytest.approx(np.exp(0.25) - 1, abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_equals_the_bjontegaard_package_on_clean_points(seed):
    anchor, method = curve(seed), curve(seed + 100)
    options = {"method": "cubic", "min_overlap": 0}
    expected = bjontegaard.bd_rate(*anchor, *method, **options) / 100
    assert bd_cost(*anchor, *method).value == pytest.approx(expected, rel=1e-9, abs=1e-9)
    expected = bjontegaard.bd_psnr(*anchor, *method, **options)
    assert bd_accuracy(*anchor, *method).value == pytest.approx(expected, rel=1e-9, abs=1e-9)


@BOTH
def test_the_fit_goes_through_all_eight_points_by_least_squares(difference):
    cost = 309 * np.arange(0.3, 1.01, 0.1) ** 2
    ripple = 0.05 * np.array([1, -1, 1, -1, 1, -1, 1, -1])
    anchor = 60 + 3 * np.log(cost / 10) + ripple
    method = 61 + 3 * np.log(cost / 10) - ripple
    options = {"method": "cubic", "min_overlap": 0}
    if difference is bd_cost:
        expected = bjontegaard.bd_rate(cost, anchor, cost, method, **options) / 100
    else:
        expected = bjontegaard.bd_psnr(cost, anchor, cost, method, **options)
    result = difference(cost, anchor, cost, method)
    assert result.value == pytest.approx(expected, rel=1e-7)
    assert result.num_points == (8, 8)
    assert min(result.fit_error) > 1e-3  # a curve through every point would leave none


@BOTH
def test_a_curve_against_itself_is_zero(difference):
    result = difference(COST, ACCURACY, COST, ACCURACY)
    assert result.value == 0.0
    assert result.fit_error == pytest.approx((0, 0), abs=1e-9)


def test_exchanging_the_curves_inverts_the_ratio_and_the_sign():
    anchor, method = curve(1), curve(2)
    forth, back = bd_cost(*anchor, *method).value, bd_cost(*method, *anchor).value
    assert (1 + forth) * (1 + back) == pytest.approx(1, abs=1e-12)
    assert bd_accuracy(*anchor, *method).value == pytest.approx(-bd_accuracy(*method, *anchor).value, abs=1e-12)


@BOTH
def test_units_and_the_order_of_points_do_not_matter(difference):
    anchor, method = curve(1), curve(2)
    order = [2, 0, 3, 1]
    expected = difference(*anchor, *method)
    shuffled = difference(anchor[0][order], anchor[1][order], *(list(x[::-1]) for x in method))
    assert shuffled.value == pytest.approx(expected.value, abs=1e-10)
    giga = difference(anchor[0] * 1e9, anchor[1], method[0] * 1e9, method[1])
    assert giga.value == pytest.approx(expected.value, abs=1e-10)


def test_accuracy_as_a_share_gives_the_same_cost_and_a_hundredth_of_the_accuracy():
    anchor, method = curve(1), curve(2)
    percent = [anchor[0], anchor[1], method[0], method[1]]
    share = [anchor[0], anchor[1] / 100, method[0], method[1] / 100]
    assert bd_cost(*share).value == pytest.approx(bd_cost(*percent).value, abs=1e-10)
    assert bd_accuracy(*share).value == pytest.approx(bd_accuracy(*percent).value / 100, abs=1e-10)


@BOTH
@pytest.mark.parametrize(
    ("position", "value", "error"),
    [
        (0, 0.0, NonPositiveCostError),
        (0, -1.0, NonPositiveCostError),
        (0, np.nan, NotFiniteError),
        (1, np.nan, NotFiniteError),
        (0, np.inf, NotFiniteError),
    ],
)
@pytest.mark.parametrize("which", ["anchor", "method"])
def test_a_point_on_no_curve_is_refused_by_type_and_named(difference, position, value, error, which):
    bad = [COST.copy(), ACCURACY.copy()]
    bad[position][2] = value
    good = (COST, ACCURACY)
    with pytest.raises(error, match=f"point 2 of the {which}"):
        difference(*(bad if which == "anchor" else good), *(bad if which == "method" else good))


@BOTH
@pytest.mark.parametrize("num_points", [0, 1, 3])
def test_fewer_than_four_points_are_refused(difference, num_points):
    with pytest.raises(TooFewPointsError, match=f"4 points.*the method has {num_points}"):
        difference(COST, ACCURACY, COST[:num_points], ACCURACY[:num_points])


def test_points_that_coincide_do_not_make_four():
    with pytest.raises(TooFewPointsError, match="different accuracies, the method has 3 of 5"):
        bd_cost(COST, ACCURACY, [40, 77, 78, 151, 152], [62, 66.9, 66.9, 69, 69])
    with pytest.raises(TooFewPointsError, match="different costs, the anchor has 3 of 4"):
        bd_accuracy([40, 77, 77, 151], [62, 66, 66.9, 69], COST, ACCURACY)


def test_curves_that_share_no_accuracy_are_refused_with_their_ranges():
    with pytest.raises(NoOverlapError, match=r"share 0\.0 %.*accuracies \(anchor 62\.\.69\.9, method 72\.\.79\.9"):
        bd_cost(COST, ACCURACY, COST, ACCURACY + 10)


def test_curves_that_share_no_cost_are_refused():
    with pytest.raises(NoOverlapError, match=r"costs \(anchor 40\.\.309, method 400\.\.3090\)"):
        bd_accuracy(COST, ACCURACY, COST * 10, ACCURACY)


def test_curves_that_touch_in_a_point_are_refused_whatever_the_minimum():
    with pytest.raises(NoOverlapError):
        bd_cost(COST, ACCURACY, COST, ACCURACY + 7.9, minimum_overlap=0)


def test_an_overlap_below_the_minimum_is_refused_and_the_minimum_can_be_lowered():
    # ranges 0..3 and 2.7..5.7: 0.3 of 5.7 is 5.3 %
    y = np.array([0.0, 1.0, 2.0, 3.0])
    with pytest.raises(LowOverlapError, match=r"share 5\.3 %.*at least 10\.0 %"):
        bd_cost(np.exp(y), y, np.exp(y), y + 2.7)
    result = bd_cost(np.exp(y), y, np.exp(y), y + 2.7, minimum_overlap=0.05)
    assert result.overlap == pytest.approx(0.3 / 5.7)


def test_a_zigzag_that_gives_the_bjontegaard_package_nonsense_is_refused():
    accuracy = np.array([62.0, 69.0, 68.9, 69.9])  # the inversion sends the exact cubic far off
    nonsense = bjontegaard.bd_rate(COST, ACCURACY, COST, accuracy, method="cubic", min_overlap=0)
    assert abs(nonsense) > 1000
    with pytest.raises(NonMonotoneError, match=r"curve of the method.*falls back"):
        bd_cost(COST, ACCURACY, COST, accuracy)


@BOTH
def test_a_curve_that_only_falls_is_refused(difference):
    with pytest.raises(NonMonotoneError, match="only falls"):
        difference(COST, ACCURACY, COST, ACCURACY[::-1])


def test_accuracy_that_does_not_change_with_cost_is_refused():
    with pytest.raises((NonMonotoneError, TooFewPointsError)):
        bd_cost(COST, ACCURACY, COST, np.full(4, 66.0))
    with pytest.raises(NonMonotoneError):
        bd_accuracy(COST, ACCURACY, COST, np.full(4, 66.0))


def test_a_small_inversion_among_eight_points_is_smoothed_unless_rising_points_are_asked_for():
    cost = 309 * np.arange(0.3, 1.01, 0.1) ** 2
    accuracy = 60 + 3 * np.log(cost / 10)
    accuracy[6] = accuracy[7] + 0.01
    result = bd_cost(cost, accuracy - 1, cost, accuracy)
    assert max(result.fall) <= 0.05
    with pytest.raises(NonMonotoneError, match=r"points of the method do not rise: accuracy .* at cost 250.29"):
        bd_cost(cost, np.sort(accuracy), cost, accuracy, points="increasing")


def test_the_allowed_fall_is_a_share_of_the_rise():
    # log cost = 2 y^3 - 3 y^2 + 0.9 * 2 y on -0.2..1.2 rises, falls back a little, rises: compare with a dense scan
    y = np.linspace(-0.2, 1.2, 8)
    log_cost = 2 * y**3 - 3 * y**2 + 1.4 * y
    scan = np.linspace(-0.2, 1.2, 200001)
    steps = np.diff(2 * scan**3 - 3 * scan**2 + 1.4 * scan)
    expected = -steps[steps < 0].sum() / steps[steps > 0].sum()
    assert 0 < expected < 0.05
    result = bd_cost(np.exp(y), y, np.exp(log_cost), y)
    assert result.fall == pytest.approx((0, expected), rel=1e-5)
    with pytest.raises(NonMonotoneError):
        bd_cost(np.exp(y), y, np.exp(log_cost), y, maximum_fall=0.9 * expected)


def test_a_swing_outside_the_shared_range_does_no_harm():
    # the method's cubic turns at y = 0.5 and 4.5; only 1..3 is shared
    y = np.linspace(0, 3, 7)
    log_cost = -((y - 0.5) ** 3) / 3 + 2 * (y - 0.5) ** 2
    result = bd_cost(np.exp(np.linspace(1, 4, 4)), np.linspace(1, 4, 4), np.exp(log_cost), y)
    assert result.interval == (1.0, 3.0)
    assert result.fall == (0.0, 0.0)


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ShapeError, match="one accuracy for each cost"):
        bd_cost(COST, ACCURACY[:3], COST, ACCURACY)


def test_every_refusal_is_a_bd_error_and_a_low_overlap_one_of_no_overlap():
    errors = [NotFiniteError, NonPositiveCostError, TooFewPointsError, RepeatedPointError, NonMonotoneError]
    assert all(issubclass(error, BdError) for error in [*errors, NoOverlapError])
    assert issubclass(LowOverlapError, NoOverlapError)


# ---- other curves through the same points ----


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["pchip", "akima"])
def test_pchip_and_akima_equal_the_bjontegaard_package(seed, name):
    anchor, method = curve(seed), curve(seed + 100)
    expected = bjontegaard.bd_rate(*anchor, *method, method=name, min_overlap=0) / 100
    result = bd_cost(*anchor, *method, interpolation=name)
    assert result.value == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert result.interpolation == name
    assert result.fit_error == pytest.approx((0, 0), abs=1e-12)  # through every point
    expected = bjontegaard.bd_psnr(*anchor, *method, method=name, min_overlap=0)
    assert bd_accuracy(*anchor, *method, interpolation=name).value == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["cubic", "pchip", "akima"])
def test_every_curve_finds_half_the_cost_and_the_order_of_points_does_not_matter(name):
    order = [2, 0, 3, 1]
    result = bd_cost(COST, ACCURACY, COST[order] / 2, ACCURACY[order], interpolation=name)
    assert result.value == pytest.approx(-0.5, abs=1e-12)
    assert bd_accuracy(COST, ACCURACY, COST[order], ACCURACY[order] + 2, interpolation=name).value == pytest.approx(2)


def test_pchip_stays_between_zigzag_points_and_is_not_refused_for_its_fall():
    accuracy = np.array([62.0, 69.0, 68.9, 69.9])
    result = bd_cost(COST, ACCURACY, COST, accuracy, interpolation="pchip")
    # between 62 and 69.9 the anchor costs 40..309 and so does the method: the ratio lies within 309 / 40
    assert -1 + 40 / 309 < result.value < 309 / 40 - 1
    assert result.fall[0] == 0
    # sorted by accuracy the costs are 40, 151, 77, 309: down log(151/77), up log(151/40) + log(309/77)
    assert result.fall[1] == pytest.approx(np.log(151 / 77) / (np.log(151 / 40) + np.log(309 / 77)), abs=1e-9)


@pytest.mark.parametrize("name", ["pchip", "akima"])
def test_two_points_of_one_accuracy_are_refused_where_a_curve_meets_every_point(name):
    cost, accuracy = [40, 77, 80, 151, 309], [62, 66.9, 66.9, 69, 69.9]
    assert bd_cost(COST, ACCURACY, cost, accuracy).num_points == (4, 5)
    with pytest.raises(RepeatedPointError, match=f"2 points of the method share one of the accuracies, and {name}"):
        bd_cost(COST, ACCURACY, cost, accuracy, interpolation=name)


def test_an_unknown_interpolation_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="'spline'; choose one of cubic, pchip, akima"):
        bd_cost(COST, ACCURACY, COST, ACCURACY, interpolation="spline")


def test_a_comparison_holds_all_three_and_their_spread():
    anchor, method = curve(3), curve(104)
    found = compare(bd_cost, *anchor, *method)
    values = [bd_cost(*anchor, *method, interpolation=name).value for name in ("cubic", "pchip", "akima")]
    assert [result.value for result in found.results.values()] == values
    assert found.spread == max(values) - min(values) > 0
    assert not found.refusals


def test_a_comparison_keeps_refusals_and_has_no_spread_then():
    found = compare(bd_cost, COST, ACCURACY, COST, [62.0, 69.0, 68.9, 69.9])
    assert isinstance(found.refusals["cubic"], NonMonotoneError)
    assert set(found.results) == {"pchip", "akima"}
    assert np.isnan(found.spread)

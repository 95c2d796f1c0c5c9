"""Bjontegaard differences between two curves of accuracy over cost: BD-FLOPs and BD-mIoU.

BD-FLOPs (`bd_cost`) is the mean relative difference in cost at equal accuracy, BD-mIoU (`bd_accuracy`) the
mean difference in accuracy at equal cost, of a method against an anchor. A curve is one cubic polynomial,
fitted by least squares to all its points, in the logarithm of the cost; `compare` sets curves that go through
every point (PCHIP, Akima) beside it, as on few points the three can differ by more than the methods do.

Where the number cannot be trusted it is refused, with an error that says why; it is never NaN, 0 or a
warning (all below `errors.BdError`):

- `NotFiniteError`, `NonPositiveCostError`: a NaN or infinite number; a cost that is not above 0;
- `TooFewPointsError`: four points that differ in the variable that is held equal are needed;
- `RepeatedPointError`: PCHIP and Akima cannot meet two points at one place;
- `NoOverlapError`, and below it `LowOverlapError`: the curves share no range, or too small a share of it
  (`minimum_overlap`; 2.6 % have given +464 %);
- `NonMonotoneError`: a cubic falls back by more than `maximum_fall` of its rise within the shared range, so one
  of the fits swings and does not follow its points (a cubic through four zigzag points has given
  1e12 %), or the points themselves do not rise, where the caller asks for that (`points="increasing"`).

The fit is what is checked by default, not the points: accuracies of networks trained apart are noisy, and
least squares through eight of them is meant to smooth a small inversion; four points are met exactly, so
there an inversion shows in the fit as well. PCHIP turns where its points do and nowhere else, and Akima strays
little, so neither is refused for a fall.

References: G. Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001;
AR-Seg (CVPR 2023), supplement A5 (Eq. 2 and 3; 8 points, scales 0.3 to 1.0).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from vssbench.errors import BdError, LowOverlapError, NoOverlapError
from vssbench.metrics.curve_fit import (
    INTERPOLATIONS,
    CurveFit,
    Interpolation,
    LogPoints,
    Numbers,
    Points,
    Variable,
    fall,
    fit_curve,
    log_points,
    require_rise,
)

MINIMUM_OVERLAP = 0.1  # below it a tenth of the compared range speaks for the whole
MAXIMUM_FALL = 0.05  # moves the mean by less than a twentieth of the range of the curve


@dataclass(frozen=True, kw_only=True)
class BdResult:
    """A Bjontegaard difference and what one needs to judge it.

    Args:
        value: `bd_cost`: relative change of cost, -0.5 for half the cost; `bd_accuracy`: change of accuracy,
            in its unit.
        overlap: length of the shared range over that of the range of both curves together, 0..1 (in accuracy
            for `bd_cost`, in the logarithm of the cost for `bd_accuracy`).
        interval: lower and upper end of the shared range, as accuracy or as cost.
        num_points: of the anchor and of the method.
        fit_error: largest distance of a point from its fit, of the anchor and of the method; in the natural
            logarithm of the cost for `bd_cost`, in accuracy for `bd_accuracy`. 0 where a curve meets every point.
        fall: how far the fits fall back in the shared range, as a share of their rise; anchor and method.
        interpolation: the name of the curve.
    """

    value: float
    overlap: float
    interval: tuple[float, float]
    num_points: tuple[int, int]
    fit_error: tuple[float, float]
    fall: tuple[float, float]
    interpolation: Interpolation = "cubic"


@dataclass(frozen=True, kw_only=True)
class BdComparison:
    """One difference by every interpolation: what the choice of curve does to the number.

    Args:
        results: interpolation -> its result, for those that gave one.
        refusals: interpolation -> why it gave none, for the others.
    """

    results: Mapping[Interpolation, BdResult]
    refusals: Mapping[Interpolation, BdError]

    @property
    def spread(self) -> float:
        """Largest minus smallest value; NaN unless every interpolation gave one."""
        values = [result.value for result in self.results.values()]
        return float("nan") if self.refusals else max(values) - min(values)


def bd_cost(
    anchor_cost: Numbers,
    anchor_accuracy: Numbers,
    cost: Numbers,
    accuracy: Numbers,
    *,
    interpolation: Interpolation = "cubic",
    minimum_overlap: float = MINIMUM_OVERLAP,
    maximum_fall: float = MAXIMUM_FALL,
    points: Points = "any",
) -> BdResult:
    """BD-FLOPs: the mean relative difference in cost at equal accuracy, e^D - 1.

    D = 1 / (y1 - y0) * integral from y0 to y1 of F(y) - F_anchor(y) dy, with F a cubic fit of log(cost) over
    the accuracy y through all points, y0 the larger of the two least accuracies, y1 the smaller of the two
    largest.

    Args:
        anchor_cost: (n,) above 0, in any unit, of the curve compared against; points in any order.
        anchor_accuracy: (n,) in any unit.
        cost: (m,) above 0, in the unit of anchor_cost, of the method.
        accuracy: (m,) in the unit of anchor_accuracy.
        interpolation: how a curve is drawn through the points, see `curve_fit`.
        minimum_overlap: least share of the range of accuracies that both curves must span.
        maximum_fall: largest share of a cubic's rise that it may fall back.
        points: "increasing" also refuses points of which one costs more, or as much, and is not more
            accurate.

    Returns:
        The difference; negative where the method is cheaper.

    Raises:
        ShapeError: cost and accuracy are not two lists of one length.
        BdError: one of its subclasses, see the module.

    Source: AR-Seg, supplement A5, Eq. 2 and 3.
    """
    result = _mean_difference(
        "accuracies",
        _logarithms(anchor_cost, anchor_accuracy, cost, accuracy, points),
        interpolation=interpolation,
        minimum_overlap=minimum_overlap,
        maximum_fall=maximum_fall,
    )
    return replace(result, value=float(np.expm1(result.value)))


def bd_accuracy(
    anchor_cost: Numbers,
    anchor_accuracy: Numbers,
    cost: Numbers,
    accuracy: Numbers,
    *,
    interpolation: Interpolation = "cubic",
    minimum_overlap: float = MINIMUM_OVERLAP,
    maximum_fall: float = MAXIMUM_FALL,
    points: Points = "any",
) -> BdResult:
    """BD-mIoU: the mean difference in accuracy at equal cost, taken over the logarithm of the cost.

    As `bd_cost` with the two variables exchanged: a cubic fit of the accuracy over log(cost).

    Args:
        anchor_cost: (n,) above 0, in any unit, of the curve compared against; points in any order.
        anchor_accuracy: (n,) in any unit.
        cost: (m,) above 0, in the unit of anchor_cost, of the method.
        accuracy: (m,) in the unit of anchor_accuracy.
        interpolation: how a curve is drawn through the points, see `curve_fit`.
        minimum_overlap: least share of the range of log(cost) that both curves must span.
        maximum_fall: largest share of a cubic's rise that it may fall back.
        points: "increasing" also refuses points of which one costs more, or as much, and is not more
            accurate.

    Returns:
        The difference; positive where the method is more accurate.

    Raises:
        ShapeError: cost and accuracy are not two lists of one length.
        BdError: one of its subclasses, see the module.

    Source: AR-Seg, supplement A5, last paragraph; BD-PSNR of VCEG-M33.
    """
    result = _mean_difference(
        "costs",
        _logarithms(anchor_cost, anchor_accuracy, cost, accuracy, points),
        interpolation=interpolation,
        minimum_overlap=minimum_overlap,
        maximum_fall=maximum_fall,
    )
    low, high = np.exp(result.interval)
    return replace(result, interval=(float(low), float(high)))


def compare(
    difference: Callable[..., BdResult],
    anchor_cost: Numbers,
    anchor_accuracy: Numbers,
    cost: Numbers,
    accuracy: Numbers,
) -> BdComparison:
    """`bd_cost` or `bd_accuracy` by every interpolation; a refusal is kept, not raised."""
    results: dict[Interpolation, BdResult] = {}
    refusals: dict[Interpolation, BdError] = {}
    for name in INTERPOLATIONS:
        try:
            results[name] = difference(anchor_cost, anchor_accuracy, cost, accuracy, interpolation=name)
        except BdError as error:
            refusals[name] = error
    return BdComparison(results=results, refusals=refusals)


def _logarithms(
    anchor_cost: Numbers, anchor_accuracy: Numbers, cost: Numbers, accuracy: Numbers, points: Points
) -> tuple[LogPoints, LogPoints]:
    """The checked points of the anchor and of the method."""
    return (
        log_points("anchor", anchor_cost, anchor_accuracy, points=points),
        log_points("method", cost, accuracy, points=points),
    )


def _mean_difference(
    variable: Variable,
    curves: tuple[LogPoints, LogPoints],
    *,
    interpolation: Interpolation,
    minimum_overlap: float,
    maximum_fall: float,
) -> BdResult:
    """The mean of the method's curve minus the anchor's over the range of `variable` that they share.

    Value and interval are as the fits have them: costs as logarithms.
    """
    anchor, method = (fit_curve(curve, variable, interpolation=interpolation) for curve in curves)
    low, high, overlap = _shared(anchor, method, minimum_overlap)
    if interpolation == "cubic":
        falls = [require_rise(fit, low, high, maximum_fall=maximum_fall) for fit in (anchor, method)]
    else:
        falls = [fall(fit, low, high) for fit in (anchor, method)]
    return BdResult(
        value=(method.integral(low, high) - anchor.integral(low, high)) / (high - low),
        overlap=overlap,
        interval=(low, high),
        num_points=(len(anchor.x), len(method.x)),
        fit_error=(anchor.error, method.error),
        fall=(falls[0], falls[1]),
        interpolation=interpolation,
    )


def _shared(anchor: CurveFit, method: CurveFit, minimum_overlap: float) -> tuple[float, float, float]:
    """The ends of the range that both curves span, and its share of the range that they span together."""
    low, high = float(max(anchor.x[0], method.x[0])), float(min(anchor.x[-1], method.x[-1]))
    whole = max(anchor.x[-1], method.x[-1]) - min(anchor.x[0], method.x[0])
    overlap = float(max(high - low, 0.0) / whole)
    if overlap == 0 or overlap < minimum_overlap:
        spans = ", ".join(f"{fit.name} {fit.shown(fit.x[0])}..{fit.shown(fit.x[-1])}" for fit in (anchor, method))
        kind = LowOverlapError if overlap else NoOverlapError
        raise kind(
            f"the curves share {100 * overlap:.1f} % of their range of {anchor.variable} ({spans}), "
            f"at least {100 * minimum_overlap:.1f} % is needed; measure points that meet"
        )
    return low, high, overlap

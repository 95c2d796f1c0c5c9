"""Bjontegaard differences between two curves of accuracy over cost: BD-FLOPs and BD-mIoU.

BD-FLOPs (`bd_cost`) is the mean relative difference in cost at equal accuracy, BD-mIoU (`bd_accuracy`) the
mean difference in accuracy at equal cost, of a method against an anchor. A curve is one cubic polynomial,
fitted by least squares to all its points, in the logarithm of the cost.

Where the number cannot be trusted it is refused, with an error that says why; it is never NaN, 0 or a
warning:

- `InvalidPointError`: a NaN or infinite number, or a cost that is not above 0;
- `TooFewPointsError`: a cubic needs four points that differ in the variable it is a function of;
- `DisjointRangesError`: the curves share no range, or too small a share of it (`minimum_overlap`);
- `NonMonotoneError`: a fit falls back by more than `maximum_fall` of its rise within the shared range, so one
  of the fits swings and does not follow its points (a cubic through four zigzag points has given
  1e12 %), or the points themselves do not rise, where the caller asks for that (`points="increasing"`).

The fit is what is checked by default, not the points: accuracies of networks trained apart are noisy, and
least squares through eight of them is meant to smooth a small inversion; four points are met exactly, so
there an inversion shows in the fit as well.

References: G. Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001;
AR-Seg (CVPR 2023), supplement A5 (Eq. 2 and 3; 8 points, scales 0.3 to 1.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from vssbench.errors import NoOverlapError, ShapeError

DEGREE = 3  # supplement A5: "a cubic polynomial function"
MINIMUM_OVERLAP = 0.1  # below it a tenth of the compared range speaks for the whole
MAXIMUM_FALL = 0.05  # moves the mean by less than a twentieth of the range of the curve

Points = Literal["any", "increasing"]
_Floats = Sequence[float] | NDArray[np.floating]


class InvalidPointError(NoOverlapError):
    """A point that lies on no curve: NaN, infinite, or of a cost that is not above 0."""


class TooFewPointsError(NoOverlapError):
    """Fewer distinct points than the fit has coefficients."""


class DisjointRangesError(NoOverlapError):
    """Curves that share no range, or too little of it."""


class NonMonotoneError(NoOverlapError):
    """A curve along which more cost does not bring more accuracy."""


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
            logarithm of the cost for `bd_cost`, in accuracy for `bd_accuracy`. 0 for four points, which a
            cubic meets.
        fall: how far the fits fall back in the shared range, as a share of their rise; anchor and method.
        interpolation: the name of the curve.
    """

    value: float
    overlap: float
    interval: tuple[float, float]
    num_points: tuple[int, int]
    fit_error: tuple[float, float]
    fall: tuple[float, float]
    interpolation: str = "cubic"


def bd_cost(
    anchor_cost: _Floats,
    anchor_accuracy: _Floats,
    cost: _Floats,
    accuracy: _Floats,
    *,
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
        minimum_overlap: least share of the range of accuracies that both curves must span.
        maximum_fall: largest share of a fit's rise that it may fall back.
        points: "increasing" also refuses points of which one costs more, or as much, and is not more
            accurate.

    Returns:
        The difference; negative where the method is cheaper.

    Raises:
        ShapeError: cost and accuracy are not two lists of one length.
        InvalidPointError, TooFewPointsError, DisjointRangesError, NonMonotoneError: see the module.

    Source: AR-Seg, supplement A5, Eq. 2 and 3.
    """
    anchor = _log_curve("anchor", anchor_cost, anchor_accuracy, points)
    method = _log_curve("method", cost, accuracy, points)
    difference = _mean_difference(
        *(_fit(name, y, log_cost, "accuracies") for name, log_cost, y in (anchor, method)),
        minimum_overlap=minimum_overlap,
        maximum_fall=maximum_fall,
    )
    return _result(difference, value=float(np.expm1(difference.mean)), interval=difference.interval)


def bd_accuracy(
    anchor_cost: _Floats,
    anchor_accuracy: _Floats,
    cost: _Floats,
    accuracy: _Floats,
    *,
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
        minimum_overlap: least share of the range of log(cost) that both curves must span.
        maximum_fall: largest share of a fit's rise that it may fall back.
        points: "increasing" also refuses points of which one costs more, or as much, and is not more
            accurate.

    Returns:
        The difference; positive where the method is more accurate.

    Raises:
        ShapeError: cost and accuracy are not two lists of one length.
        InvalidPointError, TooFewPointsError, DisjointRangesError, NonMonotoneError: see the module.

    Source: AR-Seg, supplement A5, last paragraph; BD-PSNR of VCEG-M33.
    """
    anchor = _log_curve("anchor", anchor_cost, anchor_accuracy, points)
    method = _log_curve("method", cost, accuracy, points)
    difference = _mean_difference(
        *(_fit(name, log_cost, y, "costs") for name, log_cost, y in (anchor, method)),
        minimum_overlap=minimum_overlap,
        maximum_fall=maximum_fall,
    )
    low, high = np.exp(difference.interval)
    return _result(difference, value=difference.mean, interval=(float(low), float(high)))


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """A cubic in x, accuracies or logarithms of costs, through the points of a curve."""

    name: str
    what: str
    x: NDArray[np.float64]
    polynomial: Polynomial
    error: float


@dataclass(frozen=True, kw_only=True)
class _Difference:
    """The mean of the method's fit minus the anchor's over their shared range."""

    mean: float
    interval: tuple[float, float]
    overlap: float
    fits: tuple[_Fit, _Fit]
    fall: tuple[float, float]


def _log_curve(
    name: str, cost: _Floats, accuracy: _Floats, points: Points
) -> tuple[str, NDArray[np.float64], NDArray[np.float64]]:
    """The name of a curve, log(cost) and accuracy, its points checked one by one."""
    costs, accuracies = np.asarray(cost, np.float64), np.asarray(accuracy, np.float64)
    if costs.ndim != 1 or costs.shape != accuracies.shape:
        raise ShapeError(f"the {name} needs one accuracy for each cost: {costs.shape = }, {accuracies.shape = }")
    valid = np.isfinite(costs) & np.isfinite(accuracies) & (costs > 0)
    if not valid.all():
        first = int(np.flatnonzero(~valid)[0])
        raise InvalidPointError(
            f"point {first} of the {name} has cost {costs[first]} and accuracy {accuracies[first]}; "
            "costs must be above 0 and both numbers finite: leave the point out or measure it again"
        )
    if points == "increasing":
        order = np.lexsort((accuracies, costs))
        falling = np.flatnonzero((np.diff(costs[order]) == 0) | (np.diff(accuracies[order]) <= 0))
        if falling.size:
            one, two = order[falling[0]], order[falling[0] + 1]
            raise NonMonotoneError(
                f"the points of the {name} do not rise: accuracy {accuracies[one]:g} at cost {costs[one]:g}, "
                f"{accuracies[two]:g} at {costs[two]:g}; take points='any' to judge the fit instead"
            )
    return name, np.log(costs), accuracies


def _fit(name: str, x: NDArray[np.float64], y: NDArray[np.float64], what: str) -> _Fit:
    """Least-squares cubic of y over x, fitted on x mapped to -1..1, which keeps it well conditioned."""
    distinct = len(np.unique(x))
    if distinct <= DEGREE:
        raise TooFewPointsError(
            f"a cubic needs {DEGREE + 1} points of different {what}, the {name} has {distinct} of {len(x)}; "
            "measure it at more scales or thresholds"
        )
    polynomial = Polynomial.fit(x, y, DEGREE)
    return _Fit(name=name, what=what, x=x, polynomial=polynomial, error=float(np.abs(polynomial(x) - y).max()))


def _mean_difference(anchor: _Fit, method: _Fit, *, minimum_overlap: float, maximum_fall: float) -> _Difference:
    low, high = max(anchor.x.min(), method.x.min()), min(anchor.x.max(), method.x.max())
    whole = max(anchor.x.max(), method.x.max()) - min(anchor.x.min(), method.x.min())
    overlap = float(max(high - low, 0.0) / whole)
    if overlap == 0 or overlap < minimum_overlap:
        spans = [f"{fit.name} {_shown(fit, fit.x.min())}..{_shown(fit, fit.x.max())}" for fit in (anchor, method)]
        raise DisjointRangesError(
            f"the curves share {100 * overlap:.1f} % of their range of {anchor.what} ({', '.join(spans)}), "
            f"at least {100 * minimum_overlap:.1f} % is needed; measure points that meet"
        )
    falls = tuple(_require_rise(fit, low, high, maximum_fall) for fit in (anchor, method))
    integrals = [fit.polynomial.integ(lbnd=low)(high) for fit in (anchor, method)]
    return _Difference(
        mean=float((integrals[1] - integrals[0]) / (high - low)),
        interval=(float(low), float(high)),
        overlap=overlap,
        fits=(anchor, method),
        fall=(falls[0], falls[1]),
    )


def _require_rise(fit: _Fit, low: float, high: float, maximum_fall: float) -> float:
    """How far the fit falls back from low to high, as a share of its rise; raises where that is too far."""
    turns = fit.polynomial.deriv().trim().roots()  # trimmed: points on a line leave a leading 0
    inner = np.sort(turns[np.isreal(turns)].real)
    stops = np.concatenate([[low], inner[(inner > low) & (inner < high)], [high]])
    steps = np.diff(fit.polynomial(stops))
    rise, fallen = float(steps[steps > 0].sum()), float(np.abs(steps[steps < 0]).sum())
    fall = fallen / rise if rise > 0 else np.inf
    if fall > maximum_fall:
        turning = ", ".join(_shown(fit, stop) for stop in stops[1:-1])
        raise NonMonotoneError(
            f"the cubic fit of the {fit.name} does not rise over the shared {fit.what} "
            f"{_shown(fit, low)}..{_shown(fit, high)}: "
            + (f"it falls back {100 * fall:.3g} % of its rise, at {turning}" if rise > 0 else "it only falls")
            + f", and {100 * maximum_fall:.3g} % is allowed; measure more points, or noisy ones again"
        )
    return fall


def _shown(fit: _Fit, x: float) -> str:
    """An accuracy or a cost in the caller's unit."""
    return f"{np.exp(x) if fit.what == 'costs' else x:.4g}"


def _result(difference: _Difference, *, value: float, interval: tuple[float, float]) -> BdResult:
    anchor, method = difference.fits
    return BdResult(
        value=value,
        overlap=difference.overlap,
        interval=interval,
        num_points=(len(anchor.x), len(method.x)),
        fit_error=(anchor.error, method.error),
        fall=difference.fall,
    )

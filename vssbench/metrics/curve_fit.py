"""A curve through measured points of accuracy and cost, by the name of its interpolation.

- "cubic": one cubic polynomial, least squares over all points (AR-Seg, supplement A5; VCEG-M33);
- "pchip": monotone piecewise cubic through every point (VCEG-AE07, as the JCT-VC spreadsheets have it);
- "akima": Akima's piecewise cubic through every point.

A curve is a function of accuracies or of the logarithms of costs, whichever is held equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator, PPoly

from vssbench.errors import (
    NonMonotoneError,
    NonPositiveCostError,
    NotFiniteError,
    RepeatedPointError,
    ShapeError,
    TooFewPointsError,
    UsageError,
)

DEGREE = 3  # supplement A5: "a cubic polynomial function"
MINIMUM_POINTS = DEGREE + 1  # of pchip and akima too, so that all three speak of the same curves

Interpolation = Literal["cubic", "pchip", "akima"]
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)
Variable = Literal["accuracies", "costs"]
Points = Literal["any", "increasing"]
Numbers = Sequence[float] | NDArray[np.floating]


@dataclass(frozen=True, kw_only=True, eq=False)
class LogPoints:
    """The checked points of a curve: `name` for messages, (n,) natural logarithms of costs, (n,) accuracies."""

    name: str
    log_cost: NDArray[np.float64]
    accuracy: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class CurveFit:
    """A curve y(x) and the points it was made of.

    Args:
        name: "anchor" or "method", for messages.
        variable: what x is: accuracies, or (the logarithms of) costs.
        x: (n,) rising.
        y: (n,) the other of the two.
        curve: y as a function of x.
    """

    name: str
    variable: Variable
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    curve: Polynomial | PPoly

    def __call__(self, x: Any) -> Any:
        """The curve at x."""
        return self.curve(x)

    @property
    def error(self) -> float:
        """Largest distance of a point from the curve, along y."""
        return float(np.abs(self.curve(self.x) - self.y).max())

    def integral(self, low: float, high: float) -> float:
        """The area below the curve from low to high."""
        if isinstance(self.curve, Polynomial):
            return float(self.curve.integ(lbnd=low)(high))
        return float(self.curve.integrate(low, high))

    def turns(self, low: float, high: float) -> NDArray[np.float64]:
        """(k,) rising: where the curve turns between low and high."""
        if isinstance(self.curve, Polynomial):
            roots = np.asarray(self.curve.deriv().trim().roots())  # trimmed: points on a line leave a leading 0
        else:
            roots = np.asarray(self.curve.derivative().roots(discontinuity=False, extrapolate=False))
        real = np.real(roots[np.isreal(roots)]).astype(np.float64)  # NaN, of a piece that is flat, is in no range
        return np.unique(real[(real > low) & (real < high)])

    def shown(self, x: float) -> str:
        """An accuracy or a cost in the caller's unit."""
        return f"{np.exp(x) if self.variable == 'costs' else x:.4g}"


def log_points(name: str, cost: Numbers, accuracy: Numbers, *, points: Points = "any") -> LogPoints:
    """The points of a curve, checked one by one.

    Args:
        name: "anchor" or "method", for messages.
        cost: (n,) above 0, in any order.
        accuracy: (n,).
        points: "increasing" also refuses points of which one costs more, or as much, and is not more accurate.

    Raises: ShapeError, NotFiniteError, NonPositiveCostError, NonMonotoneError.
    """
    costs, accuracies = np.asarray(cost, np.float64), np.asarray(accuracy, np.float64)
    if costs.ndim != 1 or costs.shape != accuracies.shape:
        raise ShapeError(f"the {name} needs one accuracy for each cost: {costs.shape = }, {accuracies.shape = }")
    for index, (one_cost, one_accuracy) in enumerate(zip(costs, accuracies, strict=True)):
        where = f"point {index} of the {name} has cost {one_cost} and accuracy {one_accuracy}"
        if not np.isfinite(one_cost) or not np.isfinite(one_accuracy):
            raise NotFiniteError(f"{where}; both must be finite: leave the point out or measure it again")
        if one_cost <= 0:
            raise NonPositiveCostError(
                f"{where}; a cost must be above 0, as curves are of its logarithm: leave the point out, or "
                "count work that it does do"
            )
    if points == "increasing":
        _require_increasing(name, costs, accuracies)
    return LogPoints(name=name, log_cost=np.log(costs), accuracy=accuracies)


def _require_increasing(name: str, costs: NDArray[np.float64], accuracies: NDArray[np.float64]) -> None:
    order = np.lexsort((accuracies, costs))
    falling = np.flatnonzero((np.diff(costs[order]) == 0) | (np.diff(accuracies[order]) <= 0))
    if falling.size:
        one, two = order[falling[0]], order[falling[0] + 1]
        raise NonMonotoneError(
            f"the points of the {name} do not rise: accuracy {accuracies[one]:g} at cost {costs[one]:g}, "
            f"{accuracies[two]:g} at {costs[two]:g}; take points='any' to judge the fit instead"
        )


def fit_curve(points: LogPoints, variable: Variable, *, interpolation: Interpolation = "cubic") -> CurveFit:
    """Fit the other quantity as a function of `variable`.

    Raises: TooFewPointsError, below four points that differ in `variable`; RepeatedPointError, where pchip or akima
        would have to meet two points at one place; UsageError, for an unknown interpolation.
    """
    if interpolation not in INTERPOLATIONS:
        raise UsageError(f"there is no interpolation {interpolation!r}; choose one of {', '.join(INTERPOLATIONS)}")
    x, y = (points.accuracy, points.log_cost) if variable == "accuracies" else (points.log_cost, points.accuracy)
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    distinct = len(np.unique(x))
    if distinct < MINIMUM_POINTS:
        raise TooFewPointsError(
            f"a cubic needs {MINIMUM_POINTS} points of different {variable}, the {points.name} has {distinct} of "
            f"{len(x)}; measure it at more scales or thresholds"
        )
    curve: Polynomial | PPoly
    if interpolation == "cubic":
        curve = Polynomial.fit(x, y, DEGREE)  # on x mapped to -1..1, which keeps it well conditioned
    elif distinct < len(x):
        raise RepeatedPointError(
            f"{len(x) - distinct + 1} points of the {points.name} share one of the {variable}, and {interpolation} "
            "goes through every point; leave one out, or take the cubic"
        )
    else:
        curve = PchipInterpolator(x, y) if interpolation == "pchip" else Akima1DInterpolator(x, y)
    return CurveFit(name=points.name, variable=variable, x=x, y=y, curve=curve)


def fall(fit: CurveFit, low: float, high: float) -> float:
    """How far the curve falls back from low to high, as a share of its rise; infinite where it only falls."""
    stops = np.concatenate([[low], fit.turns(low, high), [high]])
    steps = np.diff(fit(stops))
    rise, fallen = float(steps[steps > 0].sum()), float(np.abs(steps[steps < 0]).sum())
    return fallen / rise if rise > 0 else float("inf")


def require_rise(fit: CurveFit, low: float, high: float, *, maximum_fall: float) -> float:
    """The curve's fall between low and high.

    Raises: NonMonotoneError, when it is above `maximum_fall`.
    """
    fallen = fall(fit, low, high)
    if fallen > maximum_fall:
        turning = ", ".join(fit.shown(stop) for stop in fit.turns(low, high))
        raise NonMonotoneError(
            f"the curve of the {fit.name} does not rise over the shared {fit.variable} "
            f"{fit.shown(low)}..{fit.shown(high)}: "
            + (
                f"it falls back {100 * fallen:.3g} % of its rise, at {turning}"
                if np.isfinite(fallen)
                else "it only falls"
            )
            + f", and {100 * maximum_fall:.3g} % is allowed; measure more points, or noisy ones again"
        )
    return fallen

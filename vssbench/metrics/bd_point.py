"""A method that is a single point, against the anchor's curve.

`cost_at_accuracy` reads the curve along the horizontal: what the anchor would pay for the point's accuracy;
`accuracy_at_cost` along the vertical: what accuracy the anchor would have at the point's cost; `point_difference` is
both. They are what BD-FLOPs and BD-mIoU become when the shared range shrinks to one place; unlike these, they need no
more than one operating point of the method, and so hold for that place alone. The curve is not continued beyond its
points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from vssbench.errors import NoOverlapError
from vssbench.metrics.bd import MAXIMUM_FALL
from vssbench.metrics.curve_fit import CurveFit, Interpolation, Numbers, Variable, fit_curve, log_points, require_rise


@dataclass(frozen=True, kw_only=True)
class PointResult:
    """A point's distance from a curve.

    Args:
        value: `cost_at_accuracy`: relative change of cost, -0.5 for half the anchor's; `accuracy_at_cost`: change of
            accuracy, in its unit.
        anchor: what it is compared with: the anchor's cost at the accuracy, its accuracy at the cost.
        num_points: of the anchor.
        interpolation: the name of the anchor's curve.
    """

    value: float
    anchor: float
    num_points: int
    interpolation: Interpolation = "cubic"


def point_difference(
    held: Variable,
    anchor_cost: Numbers,
    anchor_accuracy: Numbers,
    cost: float,
    accuracy: float,
    *,
    interpolation: Interpolation = "cubic",
    maximum_fall: float = MAXIMUM_FALL,
) -> PointResult:
    """The difference between a point and the anchor's curve where `held` is equal, in the other quantity.

    Args:
        held: "accuracies", for the relative difference in cost; "costs", for the difference in accuracy.
        anchor_cost: (n,) above 0, of the anchor's points in any order.
        anchor_accuracy: (n,) in any unit.
        cost: above 0, in the unit of anchor_cost, of the point.
        accuracy: in the unit of anchor_accuracy.
        interpolation: how the curve is drawn through the points, see `curve_fit`.
        maximum_fall: largest share of a cubic's rise that it may fall back.

    Returns:
        The difference; a cost is negative where the point is cheaper, an accuracy positive where it is more accurate.

    Raises:
        ShapeError: the anchor's costs and accuracies are not two lists of one length.
        BdError: one of its subclasses, see `bd`; NoOverlapError where the anchor does not reach what is held.
    """
    log_cost = float(log_points("method", [cost], [accuracy]).log_cost[0])
    fit = fit_curve(log_points("anchor", anchor_cost, anchor_accuracy), held, interpolation=interpolation)
    at_point = partial(_at, fit, interpolation=interpolation, maximum_fall=maximum_fall)
    if held == "accuracies":
        anchor = at_point(float(accuracy))
        value, anchor = float(np.expm1(log_cost - anchor)), float(np.exp(anchor))
    else:
        anchor = at_point(log_cost)
        value = float(accuracy) - anchor
    return PointResult(value=value, anchor=anchor, num_points=len(fit.x), interpolation=interpolation)


cost_at_accuracy = partial(point_difference, "accuracies")
accuracy_at_cost = partial(point_difference, "costs")


def _at(fit: CurveFit, x: float, *, interpolation: Interpolation, maximum_fall: float) -> float:
    low, high = float(fit.x[0]), float(fit.x[-1])
    if not low <= x <= high:
        raise NoOverlapError(
            f"the point lies at {fit.shown(x)}, outside the anchor's {fit.variable} {fit.shown(low)}..{fit.shown(high)}"
            "; measure the anchor there: a curve is not continued beyond its points"
        )
    if interpolation == "cubic":
        require_rise(fit, low, high, maximum_fall=maximum_fall)
    return float(fit(x))

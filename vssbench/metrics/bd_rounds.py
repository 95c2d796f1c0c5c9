"""BD-FLOPs and BD-mIoU of many draws of the clips at once: `bd.bd_cost` and `bd.bd_accuracy`, a round a row.

The same cubics and the same refusals, as array operations over rounds; a refused round is NaN, not an error, as an
interval is of those that can be computed and says how many cannot.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vssbench.errors import ShapeError
from vssbench.metrics.bd import MAXIMUM_FALL, MINIMUM_OVERLAP
from vssbench.metrics.curve_fit import DEGREE, MINIMUM_POINTS

Floats = NDArray[np.float64]


def bd_cost_rounds(anchor_cost: Floats, anchor_accuracy: Floats, cost: Floats, accuracy: Floats) -> Floats:
    """`bd.bd_cost` of every round, with its defaults.

    Args:
        anchor_cost: (R, n) of the anchor's points.
        anchor_accuracy: (R, n).
        cost: (R, m) of the method's points.
        accuracy: (R, m).

    Returns: (R,) relative change of cost; NaN where `bd_cost` refuses.

    Raises: ShapeError, when the arrays do not fit together.
    """
    curves = [_logarithms(anchor_cost, anchor_accuracy), _logarithms(cost, accuracy)]
    return np.expm1(_mean_differences(*((y, log_cost) for log_cost, y in curves)))


def bd_accuracy_rounds(anchor_cost: Floats, anchor_accuracy: Floats, cost: Floats, accuracy: Floats) -> Floats:
    """`bd.bd_accuracy` of every round, with its defaults; arguments and shapes as `bd_cost_rounds`."""
    return _mean_differences(_logarithms(anchor_cost, anchor_accuracy), _logarithms(cost, accuracy))


def cost_at_accuracy_rounds(anchor_cost: Floats, anchor_accuracy: Floats, cost: Floats, accuracy: Floats) -> Floats:
    """`bd_point.cost_at_accuracy` of every round.

    Args:
        anchor_cost: (R, n) of the anchor's points.
        anchor_accuracy: (R, n).
        cost: (R,) of the point.
        accuracy: (R,).

    Returns: (R,) relative change of cost; NaN where `cost_at_accuracy` refuses.
    """
    (x, y), (log_cost, point) = _logarithms(anchor_cost, anchor_accuracy), _logarithms(cost[:, None], accuracy[:, None])
    return np.expm1(log_cost[:, 0] - _at(y, x, point[:, 0]))


def accuracy_at_cost_rounds(anchor_cost: Floats, anchor_accuracy: Floats, cost: Floats, accuracy: Floats) -> Floats:
    """`bd_point.accuracy_at_cost` of every round; arguments and shapes as `cost_at_accuracy_rounds`."""
    (x, y), (log_cost, point) = _logarithms(anchor_cost, anchor_accuracy), _logarithms(cost[:, None], accuracy[:, None])
    return point[:, 0] - _at(x, y, log_cost[:, 0])


def _at(x: Floats, y: Floats, where: Floats) -> Floats:
    """(R,) the cubics through (R, n) points at one place each; NaN outside their range or where they fall."""
    valid = _usable(x, y) & np.isfinite(where)
    result = np.full(len(valid), np.nan)
    x, y, where = x[valid], y[valid], where[valid]
    if len(x):
        least, most = x.min(axis=1), x.max(axis=1)
        coefficients, (low, high, place) = _fit(x, y, least, most, where)
        good = (least <= where) & (where <= most) & (_fall(coefficients, (low, high)) <= MAXIMUM_FALL)
        result[valid] = np.where(good, _value(coefficients, place), np.nan)
    return result


def _logarithms(cost: Floats, accuracy: Floats) -> tuple[Floats, Floats]:
    if cost.ndim != 2 or cost.shape != accuracy.shape:
        raise ShapeError(f"(rounds, points) of costs and accuracies are needed: {cost.shape = }, {accuracy.shape = }")
    log_cost = np.log(cost, out=np.full(cost.shape, np.nan), where=cost > 0)
    return log_cost, accuracy


def _mean_differences(anchor: tuple[Floats, Floats], method: tuple[Floats, Floats]) -> Floats:
    """(R,) mean of the method's cubic y(x) minus the anchor's over the x that both span; curves are (x, y)."""
    curves = (anchor, method)
    valid = _usable(*anchor) & _usable(*method)
    result = np.full(len(valid), np.nan)
    if not valid.any():
        return result
    curves = tuple((x[valid], y[valid]) for x, y in curves)  # type: ignore[assignment]
    least, most = (np.stack([end(x, axis=1) for x, _ in curves]) for end in (np.min, np.max))
    low, high = least.max(axis=0), most.min(axis=0)
    overlap = np.maximum(high - low, 0) / (most.max(axis=0) - least.min(axis=0))
    good = (overlap > 0) & (overlap >= MINIMUM_OVERLAP)
    means = []
    for x, y in curves:
        coefficients, (start, stop) = _fit(x, y, low, high)
        means.append(_mean(coefficients, (start, stop)))
        good &= _fall(coefficients, (start, stop)) <= MAXIMUM_FALL
    result[valid] = np.where(good, means[1] - means[0], np.nan)
    return result


def _usable(x: Floats, y: Floats) -> Any:
    """(R,) whether every number is finite and enough points differ in x."""
    if x.shape[1] < MINIMUM_POINTS:
        return np.zeros(len(x), np.bool_)
    distinct = 1 + (np.diff(np.sort(x, axis=1), axis=1) > 0).sum(axis=1)
    return np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1) & (distinct >= MINIMUM_POINTS)


def _fit(x: Floats, y: Floats, *places: Floats) -> tuple[Floats, list[Floats]]:
    """Least-squares cubics on x mapped to -1..1: (R, 4) coefficients, and the (R,) places, mapped."""
    least, most = x.min(axis=1), x.max(axis=1)
    middle, half = (least + most) / 2, (most - least) / 2
    mapped = (x - middle[:, None]) / half[:, None]
    powers = mapped[..., None] ** np.arange(DEGREE + 1)  # (R, n, 4)
    q, r = np.linalg.qr(powers)
    coefficients = np.linalg.solve(r, np.einsum("rnk,rn->rk", q, y)[..., None])[..., 0]
    return coefficients, [(place - middle) / half for place in places]


def _value(coefficients: Floats, x: Floats) -> Floats:
    value: Floats = np.einsum("rk,rk->r", coefficients, x[:, None] ** np.arange(DEGREE + 1))
    return value


def _mean(coefficients: Floats, ends: tuple[Floats, Floats]) -> Floats:
    """(R,) the mean of the cubics between their ends."""
    integral = coefficients / np.arange(1, DEGREE + 2)  # c_k x^k -> c_k / (k + 1) x^(k + 1)
    low, high = ends
    length = np.where(high > low, high - low, np.nan)
    mean: Floats = (_value(integral, high) * high - _value(integral, low) * low) / length
    return mean


def _fall(coefficients: Floats, ends: tuple[Floats, Floats]) -> Floats:
    """(R,) how far the cubics fall back between their ends, as a share of their rise; infinite where they only fall."""
    low, high = ends
    _, linear, square, cube = coefficients.T
    # the derivative 3 c3 x^2 + 2 c2 x + c1; its roots by the form that does not cancel, nor divide by a small c3 alone
    root = np.sqrt(np.maximum(square**2 - 3 * cube * linear, 0))
    q = -(square + np.copysign(root, square))
    with np.errstate(divide="ignore", invalid="ignore"):
        turns = np.stack([q / (3 * cube), linear / q])
    turns = np.where(np.isfinite(turns), turns, low)  # no turn: a step of no length
    stops = np.stack([low, *np.sort(np.clip(turns, low, np.maximum(low, high)), axis=0), high])
    steps = np.diff(np.stack([_value(coefficients, stop) for stop in stops]), axis=0)
    rise, fallen = np.maximum(steps, 0).sum(axis=0), np.maximum(-steps, 0).sum(axis=0)
    share: Floats = np.divide(fallen, rise, out=np.full(rise.shape, np.inf), where=rise > 0)
    return share

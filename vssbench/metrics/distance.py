"""mIoU by distance to the key frame, and the named ways to make one number of it.

Each function takes `(L, K, K)` confusion matrices: one for each distance d = 0..L-1 to the key frame, summed
over the annotated frames tested at that distance.

- "per-distance-mean" (default): the arithmetic mean of mIoU_d over d, as AR-Seg reports (supplement A3.3,
  evaluation.py of the released program).
- "pooled": the mIoU of one matrix, the sum over d, as TapLab and Accel report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from vssbench.errors import UsageError
from vssbench.metrics.confusion import mean_iou, require_confusion


def miou_by_distance(confusions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean IoU at every distance to the key frame, mIoU_d.

    Args:
        confusions: (L, K, K) integers, one confusion matrix for each distance.

    Returns:
        (L,) float64 in 0..1; NaN at a distance where nothing was counted.

    Raises:
        ShapeError: the array is not (L, K, K) integers.
    """
    require_confusion(confusions, ndim=3)
    return np.array([mean_iou(confusion) for confusion in confusions], np.float64)


def mean_over_distance(confusions: NDArray[np.int64]) -> float:
    """Arithmetic mean of mIoU_d over all L distances.

    Args:
        confusions: (L, K, K) integers, one confusion matrix for each distance.

    Returns:
        0..1; NaN when L is 0 or nothing was counted at some distance: a mean over fewer distances is another
        quantity, which a caller who wants it gets by passing those distances only.

    Raises:
        ShapeError: the array is not (L, K, K) integers.

    Source: AR-Seg, supplement A3.3.
    """
    by_distance = miou_by_distance(confusions)
    return float(by_distance.mean()) if by_distance.size else float("nan")


def pooled(confusions: NDArray[np.int64]) -> float:
    """Mean IoU of one confusion matrix, summed over the distances.

    Args:
        confusions: (L, K, K) integers, one confusion matrix for each distance.

    Returns:
        0..1; NaN when nothing was counted at any distance.

    Raises:
        ShapeError: the array is not (L, K, K) integers.
    """
    require_confusion(confusions, ndim=3)
    return mean_iou(confusions.sum(axis=0))


PROTOCOLS: Mapping[str, Callable[[NDArray[np.int64]], float]] = {
    "per-distance-mean": mean_over_distance,
    "pooled": pooled,
}
DEFAULT_PROTOCOL = "per-distance-mean"


def miou(confusions: NDArray[np.int64], *, protocol: str = DEFAULT_PROTOCOL) -> float:
    """Mean IoU by the named protocol.

    Args:
        confusions: (L, K, K) integers, one confusion matrix for each distance.
        protocol: a key of PROTOCOLS.

    Returns:
        0..1, or the NaN that the protocol's function defines.

    Raises:
        UsageError: there is no protocol of that name.
        ShapeError: the array is not (L, K, K) integers.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(f"there is no protocol {protocol!r}; choose one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[protocol](confusions)

"""The exceptions a user meets; each message says what was needed, what came, and what to do.

`exit_code` is what the command line returns when the error ends a run (README, "Exit codes").
"""


class VssBenchError(Exception):
    """Anything vssbench raises on purpose."""

    exit_code = 1


class UsageError(VssBenchError):
    """A request that cannot be understood: an unknown name, an option out of range, a folder one cannot write."""

    exit_code = 2


class ShapeError(VssBenchError, ValueError):
    """Arrays whose sizes or types do not fit together."""

    exit_code = 3


class BitstreamError(VssBenchError):
    """A video that cannot be encoded or read, or lacks the side information asked for."""

    exit_code = 3


class DatasetError(VssBenchError):
    """Data that is missing, incomplete or not what its layout promises."""

    exit_code = 3


class WeightsError(VssBenchError):
    """Weights that are missing or do not fit the network they are meant for."""

    exit_code = 3


class PredictionError(VssBenchError):
    """A method that gave no usable labels: NaN logits, a wrong size, a class out of range."""


class StoreError(VssBenchError):
    """A run folder that cannot be written, read, or continued."""

    exit_code = 2


class BdError(VssBenchError):
    """A Bjontegaard difference that cannot be computed, or not be trusted; the subclasses say why."""


class NotFiniteError(BdError):
    """A cost or an accuracy that is NaN or infinite."""


class NonPositiveCostError(BdError):
    """A cost of 0 or below, which has no logarithm."""


class TooFewPointsError(BdError):
    """Fewer distinct points than a curve needs."""


class RepeatedPointError(BdError):
    """Points at one place, of which a curve that meets every point can meet but one."""


class NoOverlapError(BdError):
    """Curves that share no range, or a point outside the range of a curve."""


class LowOverlapError(NoOverlapError):
    """Curves that share too small a part of their ranges."""


class NonMonotoneError(BdError):
    """A curve along which more cost does not bring more accuracy."""

"""What the runner is given of a method: how to build it, and where its results belong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from vssbench.records import Method

# (kind of step, (height, width) of the frame) -> name of a count of print -> its MACs, or why there is none
Printed = Callable[[str, tuple[int, int]], Mapping[str, int | str]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Member:
    """One member of a family of methods, "arseg@0.5".

    Args:
        name: full name.
        family: "arseg".
        build: device -> method; on the device "meta" it does the same work on tensors without values.
        curves: the names of the curves this point lies on; empty for a method that is a single point.
        point: position on its curves: a scale, a share of frames; None where there is none.
        point_label: the point in a figure, "0.5x" or "10 %".
        network: name of the image network, for the tables.
        weights: file name -> sha256.
        calibration: what was fitted before the run, for the record (a threshold and what it was fitted on).
        printed: what papers would print for a step, beside the true count; None where none is known.
    """

    name: str
    family: str
    build: Callable[[torch.device], Method]
    curves: tuple[str, ...] = ()
    point: float | None = None
    point_label: str = ""
    network: str = ""
    weights: Mapping[str, str] = field(default_factory=dict)
    calibration: Mapping[str, object] = field(default_factory=dict)
    printed: Printed | None = None

"""The number of parameters of a method."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def count_parameters(modules: Iterable[Any]) -> int:
    """Count the parameters of all modules together, each parameter once however often it is shared.

    Args:
        modules: torch modules, e.g. `method.modules()`; they may share sub-modules or parameters.

    Returns:
        The number of scalars. Buffers (the running statistics of a batch norm) are no parameters.
    """
    unique = {id(parameter): parameter for module in modules for parameter in module.parameters()}
    return sum(parameter.numel() for parameter in unique.values())

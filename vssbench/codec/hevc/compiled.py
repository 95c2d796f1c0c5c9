"""How the functions of the slice data are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

# Nothing here allocates, and without numba's reference counting ("nrt") of arrays the code is more than twice as
# fast. The option's underscore says that numba may rename it; it then fails at import, by name.
OPTIONS = {"nogil": True, "error_model": "numpy", "_nrt": False}


def compiled(function: Function) -> Function:
    """Compile a function of the slice data to machine code, without the interpreter's lock.

    With NUMBA_DISABLE_JIT=1 the same code runs as Python; with NUMBA_BOUNDSCHECK=1 every index is checked.
    """
    result: Function = numba.njit(**OPTIONS)(function)
    return result

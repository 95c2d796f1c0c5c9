"""How the functions of the slice data are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function of the slice data to machine code, without the interpreter's lock.

    With NUMBA_DISABLE_JIT=1 the same code runs as Python; with NUMBA_BOUNDSCHECK=1 every index is checked.
    """
    result: Function = numba.njit(nogil=True, error_model="numpy")(function)
    return result

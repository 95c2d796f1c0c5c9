"""How a long list is put into an error message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

SHOWN = 5  # how many of a list are written out


def first_few(things: Iterable[Any]) -> str:
    """The first five things, and how many there are if there are more."""
    listed = [str(thing) for thing in things]
    shown = ", ".join(listed[:SHOWN])
    return f"{shown}, ... ({len(listed)} in all)" if len(listed) > SHOWN else shown

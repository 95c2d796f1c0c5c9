"""Looks at a GPU while it works, from a thread that sleeps nearly all the time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

EVERY_S = 0.05  # a look takes well under a millisecond, so this is below 1 % of one processor, and not the timed one's

Look = Mapping[str, float]


@contextmanager
def looks_meanwhile(look: Callable[[], Look | None] | None, *, every_s: float = EVERY_S) -> Iterator[list[Look]]:
    """Look every `every_s` seconds until the block is left; its list holds what was seen, in order.

    The first look is `every_s` after the block is entered, when a device that was given work is at it. A block that
    is shorter has none. When it is left the thread has ended.

    Args:
        look: what it sees, None where it sees nothing; where it is None itself there is no thread.
        every_s: seconds from the end of a look to the next.
    """
    seen: list[Look] = []
    if look is None:
        yield seen
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(every_s):
            found = look()
            if found is not None:
                seen.append(found)

    thread = threading.Thread(target=watch, name="vssbench.gpu_watch", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()

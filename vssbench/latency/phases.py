"""Parts of a step told apart: the operations that methods share say which part they are, to a clock if one listens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TRANSFER = "transfer"  # the picture to the device, as a network's input
SIDE_INFORMATION = (
    "side information"  # vectors brought to a feature grid; reading them from the stream is not in a step
)
POSTPROCESSING = "post-processing"  # logits to labels on the host
MODEL = "model"  # whatever is not marked: networks, warps, attention
PHASES = (TRANSFER, SIDE_INFORMATION, MODEL, POSTPROCESSING)


class PhaseClock:
    """Adds up the seconds of each phase; a phase inside another is taken out of the outer one.

    The device is idle at every mark, so phases that would overlap on it are told apart, and their sum may exceed the
    step's time without marks.

    Args:
        synchronise: waits until the device is idle.
        clock: seconds.
    """

    def __init__(self, *, synchronise: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> None:
        self._synchronise, self._clock = synchronise, clock
        self._open: list[str] = []
        self._since = 0.0
        self.seconds: dict[str, float] = {}

    def begin(self, name: str) -> None:
        """What follows is of the phase `name`."""
        self._settle()
        self._open.append(name)

    def end(self) -> None:
        """The innermost phase is over."""
        self._settle()
        self._open.pop()

    def _settle(self) -> None:
        """Give the time since the last mark to the phase that is open."""
        self._synchronise()
        now = self._clock()
        if self._open:
            self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0.0) + now - self._since
        self._since = now


_listening: PhaseClock | None = None


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Mark a part of a step, as a `with` block or a decorator; free (1 microsecond) while no clock listens.

    Args:
        name: one of PHASES, or a name of one's own.
    """
    clock = _listening
    if clock is None:
        yield
        return
    clock.begin(name)
    try:
        yield
    finally:
        clock.end()


def seconds_by_phase(
    run: Callable[[], object], *, synchronise: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Run a callable once; phase -> its seconds, MODEL being what nobody marked.

    Args:
        run: e.g. one step of a method.
        synchronise: waits until the device is idle; `timer.synchroniser` makes one.
        clock: seconds; a test passes its own.
    """
    global _listening
    phases = PhaseClock(synchronise=synchronise, clock=clock)
    outer, _listening = _listening, phases
    try:
        with phase(MODEL):
            run()
    finally:
        _listening = outer
    return phases.seconds

"""Progress on stderr: a bar with the time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_EVERY_S = 15.0


class ProgressBar:
    """Shows how far a stage is; `runner.run.Reporter` for people. A context manager.

    Args:
        quiet: show warnings only.
        clock: for the lines outside a terminal.
    """

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(file=sys.stderr)
        self._quiet = quiet
        self._clock = clock
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._stage, self._total, self._done, self._before = "", 0, 0, 0
        self._began = self._last_line = clock()

    def __enter__(self) -> ProgressBar:
        if self._console.is_terminal and not self._quiet:
            self._bar = Progress(
                TextColumn("{task.description:<12}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self._console,
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, stage: str, total: int, *, done: int = 0) -> None:
        """A stage of `total` units begins, `done` of them finished by an earlier run."""
        self._stage, self._total, self._done, self._before = stage, total, done, done
        self._began = self._last_line = self._clock()
        if self._bar is not None:
            self._task = self._bar.add_task(stage, total=total, completed=done, note="")
        elif not self._quiet:
            self._console.print(f"{stage}: {total} steps", highlight=False)

    def advance(self, units: int = 1, note: str = "") -> None:
        """Some units of the stage are done."""
        self._done += units
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=units, note=note)
            return
        now = self._clock()
        if not self._quiet and now - self._last_line >= LINE_EVERY_S:
            self._last_line = now
            left = (now - self._began) / max(1, self._done - self._before) * (self._total - self._done)
            self._console.print(
                f"{self._stage}: {self._done}/{self._total}, about {left:.0f} s left {note}".rstrip(),
                highlight=False,
            )

    def say(self, message: str) -> None:
        """A line of information."""
        if not self._quiet:
            self._console.print(message, highlight=False, markup=False)

    def warn(self, message: str) -> None:
        """Something a person should read, quiet or not."""
        self._console.print(f"warning: {message}", style="yellow", highlight=False, markup=False)

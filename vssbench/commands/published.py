"""`vssbench published`: the operation counts of the AR-Seg, TapLab and TFC papers, counted again and judged."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def published(
    options: argparse.Namespace,
    *,
    judge: Callable[[], Sequence[Any]],
    render: Callable[..., str],
    write: Callable[[Sequence[Any], Path], Sequence[Path]],
) -> int:
    """Print every number with its verdict, write the tables where `-o` says; returns the exit code.

    Args:
        options: `out`, a folder or None, and `quiet`.
        judge: counts everything again -> a judged number each.
        render: (judged, width=) -> text for a terminal.
        write: (judged, folder) -> the files written.

    Raises: StoreError, when the folder cannot be written.
    """
    judged = judge()
    print(render(judged, width=shutil.get_terminal_size((120, 24)).columns))
    if options.out:
        for path in write(judged, Path(options.out)):
            if not options.quiet:
                print(path)
    return 0

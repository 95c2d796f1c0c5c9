"""`vssbench report`: the tables and figures of a run, written again from its store."""

from __future__ import annotations

import argparse
from pathlib import Path

from vssbench.commands.catalogue import Catalogue
from vssbench.errors import StoreError
from vssbench.runner.manifest import recorded_cells


def report(options: argparse.Namespace, catalogue: Catalogue) -> int:
    """Write tables and figures, print the summary; returns the exit code."""
    folder = Path(options.run)
    if not (folder / "results.sqlite").is_file():
        raise StoreError(f"{folder} is no run folder (it has no results.sqlite); give the folder of -o")
    print(catalogue.write_reports(folder, recorded_cells(folder), bd_fit=options.bd_fit))
    return 0

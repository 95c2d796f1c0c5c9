"""From a run folder's store to all of its tables and figures."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from reports.bd_plot import write_bd_fits
from reports.markup import markdown
from reports.plots import write_figures
from reports.stability_plot import write_stability_figures
from reports.summary import summarise
from reports.tables import render_summary, write_tables
from reports.wall_time import wall_time
from vssbench.store import Store


def write_reports(folder: Path, keys: Collection[str] | None = None, *, bd_fit: bool = False) -> str:
    """Write `summary/` and `figures/` of a run folder.

    Args:
        folder: of the run.
        keys: the cells to report; None: all that the store holds.
        bd_fit: also draw the fits behind the Bjontegaard differences, a figure a curve.

    Returns: the summary for a terminal.
    """
    with Store.open(folder, read_only=True) as store, store.snapshot():
        frame = summarise(store, keys=keys)
        stages = store.stages()
    write_tables(frame, folder / "summary")
    (folder / "summary/wall_time.md").write_text(markdown(wall_time(stages)), encoding="utf-8")
    write_figures(frame, folder / "figures")
    write_stability_figures(frame, folder / "figures")
    if bd_fit:
        write_bd_fits(frame, folder / "figures")
    return render_summary(frame)

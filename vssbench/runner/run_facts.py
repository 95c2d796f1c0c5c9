"""What a run folder holds, read once for the rules of `runner.validity`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vssbench.runner.manifest import read_manifest
from vssbench.store import Cell, Cost, Latency, Status, Store

Tested = tuple[str, int, int]  # clip, frame, distance to the key frame


@dataclass(frozen=True, kw_only=True, eq=False)
class CellFacts:
    """One cell of the run.

    Args:
        cell, status, error: as stored.
        labelled: every tested frame -> its labelled pixels by true class, (K,) counts.
        kinds: of work that the tested frames met.
        costs: by kind.
        latency: None where it was not timed.
    """

    cell: Cell
    status: Status
    error: str | None = None
    labelled: Mapping[Tested, tuple[int, ...]] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset()
    costs: Mapping[str, Cost] = field(default_factory=dict)
    latency: Latency | None = None

    @property
    def name(self) -> str:
        """The method with its codec, of which a run may have several."""
        return f"{self.cell.method} ({self.cell.codec})"


@dataclass(frozen=True, kw_only=True, eq=False)
class RunFacts:
    """A run folder.

    Args:
        manifest: as read; empty where there is none.
        cells: that the manifest names and the store holds; all of the store's where there is no manifest.
        missing: names of the manifest whose cell the store does not hold.
        weights: file name -> sha256 of the weights now on disk; None where nobody knows where they lie.
    """

    manifest: Mapping[str, Any]
    cells: Sequence[CellFacts]
    missing: Sequence[str] = ()
    weights: Mapping[str, str] | None = None

    @property
    def done(self) -> list[CellFacts]:
        """The cells that were measured to their end."""
        return [facts for facts in self.cells if facts.status == "done"]

    @property
    def settings(self) -> dict[str, list[CellFacts]]:
        """Data set, split and codec -> its finished cells: what stands in one table."""
        found: dict[str, list[CellFacts]] = {}
        for facts in self.done:
            found.setdefault(f"{facts.cell.dataset} {facts.cell.split}, {facts.cell.codec}", []).append(facts)
        return found


def read_run(folder: Path, *, weights: Mapping[str, str] | None = None) -> RunFacts:
    """Read a run folder, all of one moment.

    Args:
        folder: of the run.
        weights: see `RunFacts`.

    Raises: StoreError, when the store or the manifest cannot be read.
    """
    manifest = read_manifest(folder)
    members = {member["cell"]: f"{member['name']} ({member['codec']})" for member in manifest.get("members", [])}
    with Store.open(folder, read_only=True) as store, store.snapshot():
        cells = [_cell_facts(store, cell) for cell in store.cells() if not manifest or cell.key in members]
    held = {facts.cell.key for facts in cells}
    missing = [name for key, name in members.items() if key not in held]
    return RunFacts(manifest=manifest, cells=cells, missing=missing, weights=weights)


def _cell_facts(store: Store, cell: Cell) -> CellFacts:
    rows = list(store.confusions(cell.key))
    return CellFacts(
        cell=cell,
        status=store.status(cell.key),
        error=store.error(cell.key),
        labelled={(row.clip, row.frame, row.distance): tuple(row.confusion.sum(axis=1).tolist()) for row in rows},
        kinds=frozenset(row.kind for row in rows),
        costs=store.costs(cell.key),
        latency=store.latency(cell.key),
    )

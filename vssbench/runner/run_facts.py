"""What a run folder holds, read once for the rules of `runner.validity`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vssbench.metrics.distance import mean_over_distance
from vssbench.runner.manifest import read_manifest
from vssbench.store import Cell, Cost, Latency, Status, Store

Tested = tuple[str, int, int]  # clip, frame, distance to the key frame
Followed = tuple[str, int, int]  # clip, first frame of its stream, frame


@dataclass(frozen=True, kw_only=True, eq=False)
class CellFacts:
    """One cell of the run.

    Args:
        cell, status, error: as stored.
        labelled: every tested frame -> its labelled pixels by true class, (K,) counts.
        shares: kind of work -> the share of it (`records.Step`) of every tested frame that did it.
        followed: the frames of whose stability something is noted.
        costs: by kind.
        miou: mean over d of mIoU_d, NaN where a distance was not tested.
        macs: of a tested frame, in the mean; NaN where a kind was not counted.
        latency: None where it was not timed.
    """

    cell: Cell
    status: Status
    error: str | None = None
    labelled: Mapping[Tested, tuple[int, ...]] = field(default_factory=dict)
    shares: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    followed: frozenset[Followed] = frozenset()
    costs: Mapping[str, Cost] = field(default_factory=dict)
    miou: float = float("nan")
    macs: float = float("nan")
    latency: Latency | None = None

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of work that the tested frames met."""
        return frozenset(self.shares)

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
        weights: file name -> sha256 of the weights now on disk; None where nobody has looked, or knows where they lie.
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
        """Data set, split, codec, and of several networks the network -> its finished cells: what one table holds."""
        found: dict[str, list[CellFacts]] = {}
        several = len({facts.cell.network for facts in self.done}) > 1
        for facts in self.done:
            name = f"{facts.cell.dataset} {facts.cell.split}, {facts.cell.codec}"
            found.setdefault(f"{name}, {facts.cell.network}" if several else name, []).append(facts)
        return found

    @property
    def streams(self) -> dict[str, list[CellFacts]]:
        """Data set, split and codec -> its finished cells, of any network: what a table of stability holds."""
        found: dict[str, list[CellFacts]] = {}
        for facts in self.done:
            found.setdefault(f"{facts.cell.dataset} {facts.cell.split}, {facts.cell.codec}", []).append(facts)
        return found


def read_run(folder: Path) -> RunFacts:
    """Read a run folder, all of one moment, but for the weights, which lie elsewhere.

    Raises: StoreError, when the store or the manifest cannot be read.
    """
    manifest = read_manifest(folder)
    members = {member["cell"]: f"{member['name']} ({member['codec']})" for member in manifest.get("members", [])}
    with Store.open(folder, read_only=True) as store, store.snapshot():
        cells = [_cell_facts(store, cell) for cell in store.cells() if not manifest or cell.key in members]
    held = {facts.cell.key for facts in cells}
    missing = [name for key, name in members.items() if key not in held]
    return RunFacts(manifest=manifest, cells=cells, missing=missing)


def _cell_facts(store: Store, cell: Cell) -> CellFacts:
    rows = list(store.confusions(cell.key))
    shares: dict[str, list[float | None]] = {}
    for row in rows:
        shares.setdefault(row.kind, []).append(row.share)
    costs = store.costs(cell.key)
    return CellFacts(
        cell=cell,
        status=store.status(cell.key),
        error=store.error(cell.key),
        labelled={(row.clip, row.frame, row.distance): tuple(row.confusion.sum(axis=1).tolist()) for row in rows},
        shares={kind: tuple(of_kind) for kind, of_kind in shares.items()},
        followed=frozenset(store.stability_frames(cell.key)),
        costs=costs,
        miou=mean_over_distance(store.confusion_by_distance(cell.key)) if rows else float("nan"),
        macs=_mean_macs(shares, costs),
        latency=store.latency(cell.key),
    )


def _mean_macs(shares: Mapping[str, Sequence[float | None]], costs: Mapping[str, Cost]) -> float:
    """Multiply-adds of all operators of a tested frame, in the mean."""
    total = 0.0
    for kind, of_kind in shares.items():
        if kind not in costs:
            return float("nan")
        least = sum(costs[kind].macs.values())
        most = sum((costs[kind].macs_at_full_share or costs[kind].macs).values())
        total += sum(least + (share or 0) * (most - least) for share in of_kind)
    frames = sum(map(len, shares.values()))
    return total / frames if frames else float("nan")

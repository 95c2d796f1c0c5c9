"""Results in one SQLite file: a row for every tested frame, committed before the next frame begins."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from vssbench.store_frames import FrameStore
from vssbench.store_records import Cell, Cost, FrameRow, Latency, LatencySample, PhaseSample, StabilityRow, Status
from vssbench.store_schema import canonical_json, condition_key

__all__ = [
    "Cell",
    "Cost",
    "FrameRow",
    "Latency",
    "LatencySample",
    "PhaseSample",
    "StabilityRow",
    "Status",
    "Store",
    "condition_key",
]


class Store(FrameStore):
    """The results of a run: cells and frames (`store_cells`, `store_frames`), here what was counted and timed."""

    def set_cost(
        self,
        key: str,
        kind: str,
        *,
        macs: Mapping[str, int],
        uncounted: Mapping[str, int],
        macs_at_full_share: Mapping[str, int] | None = None,
        conventions: Mapping[str, int | str] | None = None,
    ) -> None:
        """Note what a step of one kind executes, in MACs by kind of operator; see `Cost`, whose FLOPs are 2 x MACs."""
        values = (
            *(self._id(key), kind, canonical_json(dict(macs))),
            canonical_json({operator: 2 * number for operator, number in macs.items()}),
            None if macs_at_full_share is None else canonical_json(dict(macs_at_full_share)),
            *(canonical_json(dict(uncounted)), canonical_json(dict(conventions or {}))),
        )
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO costs VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def costs(self, key: str) -> dict[str, Cost]:
        """Kind of work -> its cost, kinds in the order of their names."""
        query = (
            "SELECT kind, macs, uncounted, flops, macs_at_full_share, conventions FROM costs WHERE cell = ? "
            "ORDER BY kind"
        )
        rows = self._rows(query, self._id(key))
        return {kind: Cost(*(json.loads(column or "null") for column in columns)) for kind, *columns in rows}

    def set_latency(
        self,
        key: str,
        *,
        samples: Iterable[tuple[Any, ...]],
        environment: Mapping[str, Any],
        peak_memory_bytes: int | None = None,
        peak_memory_kind: str | None = None,
        phases: Iterable[tuple[Any, ...]] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Note all timed steps of a cell at once, in place of earlier ones; a part of them is never visible.

        Args:
            key: of the cell.
            samples: every timed step, the fields of a `LatencySample`; the last two may be left out.
            environment: the machine's facts, JSON values.
            peak_memory_bytes: the most memory held while timing.
            peak_memory_kind: what that counts, e.g. "cuda allocated", "process resident".
            phases: the parts of steps, the fields of a `PhaseSample`.
            facts: see `Latency`, JSON values.
        """
        cell = self._id(key)
        steps = [LatencySample(*sample) for sample in samples]
        rows = [
            (cell, number, int(s.distance), s.kind, float(s.seconds), int(s.pass_number), s.device_seconds)
            for number, s in enumerate(steps)
        ]
        parts = [(cell, *PhaseSample(*part)) for part in phases]
        environment_json, facts_json = canonical_json(dict(environment)), canonical_json(dict(facts or {}))
        with self._writing() as connection:
            for table in ("latency_samples", "latency_phases"):
                connection.execute(f"DELETE FROM {table} WHERE cell = ?", (cell,))
            connection.execute(
                "INSERT OR REPLACE INTO latencies VALUES (?, ?, ?, ?, ?)",
                (cell, environment_json, peak_memory_bytes, peak_memory_kind, facts_json),
            )
            connection.executemany("INSERT INTO latency_samples VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            connection.executemany("INSERT INTO latency_phases VALUES (?, ?, ?, ?, ?, ?)", parts)

    def latency(self, key: str) -> Latency | None:
        """The timed steps of a cell in the order in which they were taken; None until all are there."""
        cell = self._id(key)
        query = "SELECT environment, peak_memory_bytes, peak_memory_kind, facts FROM latencies WHERE cell = ?"
        found = list(self._rows(query, cell))
        if not found:
            return None
        query = (
            "SELECT distance, kind, seconds, pass, device_seconds FROM latency_samples WHERE cell = ? ORDER BY number"
        )
        samples = [LatencySample(*row) for row in self._rows(query, cell)]
        query = (
            "SELECT number, distance, kind, phase, seconds FROM latency_phases WHERE cell = ? ORDER BY number, phase"
        )
        phases = [PhaseSample(*row) for row in self._rows(query, cell)]
        environment, peak_memory_bytes, peak_memory_kind, facts = found[0]
        return Latency(samples, json.loads(environment), peak_memory_bytes, peak_memory_kind, phases, json.loads(facts))

    def add_stage(self, name: str, seconds: float, count: int = 1) -> None:
        """Add wall time to a stage of the run ("decode", "arseg@0.5"); kept apart from every result."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO stages (name, seconds, count) VALUES (?, ?, ?)",
                (name, float(seconds), int(count)),
            )

    def stages(self) -> dict[str, tuple[float, int]]:
        """Stage -> (seconds, count), summed over calls and resumed runs, in the order of first mention."""
        query = "SELECT name, sum(seconds), sum(count) FROM stages GROUP BY name ORDER BY min(id)"
        return {name: (seconds, count) for name, seconds, count in self._rows(query)}

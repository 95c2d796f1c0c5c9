"""Results in one SQLite file: a row for every tested frame, committed before the next frame begins."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from vssbench.errors import ShapeError, StoreError
from vssbench.store_records import Cell, Cost, FrameRow, Latency, LatencySample, PhaseSample, StabilityRow, Status
from vssbench.store_schema import (
    canonical_json,
    condition_key,
    connect_to_read,
    connect_to_write,
    pack_counts,
    sqlite_errors_named,
    store_file,
    transaction,
    unpack_confusion,
    unpack_counts,
)

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

NUM_WINDOW_COUNTS = 5  # columns of `StabilityRow.windows`
_CELL_COLUMNS = (
    "key, method, family, curves, point, point_label, dataset, split, network, codec, gop_length, "
    "bitrate_kbps, protocol, class_names, partial, condition"
)


class Store:
    """The results of a run; a context manager, closed at the end of the `with` block."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._ids: dict[str, int] = {}

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Store:
        """Open the store of a run, made where absent.

        Args:
            path: the run folder, or the file itself (`*.sqlite`).
            read_only: for reports; then the store must exist.
        Raises: StoreError, when it cannot be made, read or written, or has another schema version.
        """
        file = store_file(path)
        return cls(file, connect_to_read(file) if read_only else connect_to_write(file))

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside is of one moment, even while a run goes on writing; one inside another is one."""
        if self._connection.in_transaction:
            yield
            return
        with sqlite_errors_named(self.path):
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            with sqlite_errors_named(self.path):
                self._connection.execute("COMMIT")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with sqlite_errors_named(self.path), transaction(self._connection):
            yield self._connection

    def _rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        with sqlite_errors_named(self.path):
            yield from self._connection.execute(query, values)

    def _id(self, key: str) -> int:
        if key not in self._ids:
            found = list(self._rows("SELECT id FROM cells WHERE key = ?", key))
            if not found:
                raise StoreError(f"{self.path} has no cell {key}; call add_cell first")
            self._ids[key] = found[0][0]
        return self._ids[key]

    # ---- cells ----

    def add_cell(self, cell: Cell) -> None:
        """Note a cell; adding it again updates its descriptive fields and keeps its status and results."""
        values = (
            *(cell.key, cell.method, cell.family, canonical_json(cell.curves), cell.point, cell.point_label),
            *(
                cell.dataset,
                cell.split,
                cell.network,
                cell.codec,
                cell.gop_length,
                cell.bitrate_kbps,
                cell.protocol,
            ),
            *(canonical_json(cell.class_names), int(cell.partial), canonical_json(dict(cell.condition))),
        )
        names = _CELL_COLUMNS.split(", ")
        update = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        with self._writing() as connection:
            connection.execute(
                f"INSERT INTO cells ({_CELL_COLUMNS}) VALUES ({', '.join('?' * len(names))}) "
                f"ON CONFLICT (key) DO UPDATE SET {update}",
                values,
            )

    def cells(self) -> list[Cell]:
        """Every cell, in the order in which they were first added."""
        rows = self._rows(f"SELECT {_CELL_COLUMNS} FROM cells ORDER BY id")
        return [_cell(row) for row in rows]

    def set_status(self, key: str, status: Status, *, error: str | None = None) -> None:
        """Set where a cell stands, and for a failed one why."""
        if status not in get_args(Status):
            raise StoreError(f"a status is one of {', '.join(get_args(Status))}, got {status!r}")
        with self._writing() as connection:
            connection.execute("UPDATE cells SET status = ?, error = ? WHERE id = ?", (status, error, self._id(key)))

    def status(self, key: str) -> Status:
        """Where the cell stands: "pending" until `set_status`."""
        status: Status = self._cell_value(key, "status")
        return status

    def error(self, key: str) -> str | None:
        """Why the cell failed; None where it did not."""
        error: str | None = self._cell_value(key, "error")
        return error

    def set_parameters(self, key: str, parameters: int) -> None:
        """Note the number of parameters of a cell's modules."""
        with self._writing() as connection:
            connection.execute("UPDATE cells SET parameters = ? WHERE id = ?", (int(parameters), self._id(key)))

    def parameters(self, key: str) -> int | None:
        """The number of parameters; None until noted."""
        parameters: int | None = self._cell_value(key, "parameters")
        return parameters

    def _cell_value(self, key: str, column: str) -> Any:
        return next(iter(list(self._rows(f"SELECT {column} FROM cells WHERE id = ?", self._id(key)))))[0]

    # ---- tested frames ----

    def add_frame(
        self,
        key: str,
        *,
        clip: str,
        frame: int,
        distance: int,
        kind: str,
        confusion: NDArray[np.int64],
        share: float | None = None,
    ) -> None:
        """Note one tested frame; it is on disk when this returns.

        Args:
            key: of the cell.
            clip: name of the source video.
            frame: index in the source video.
            distance: frames since the key frame, 0..gop_length-1.
            kind: the step's kind of work.
            confusion: (K, K) int64, rows true.
            share: of the work, where the kind has one (`records.Step`).
        Raises: ShapeError, when the matrix or the distance does not fit the cell; StoreError, when the same
            frame is already there with another result (the identical one is ignored).
        """
        self._require_frame_fits(key, distance=distance, confusion=confusion)
        where = (self._id(key), clip, int(frame), int(distance))
        with self._writing() as connection:
            cursor = connection.execute(
                "INSERT OR IGNORE INTO frames VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*where, kind, share, pack_counts(confusion)),
            )
            if cursor.rowcount == 0:
                self._require_same_frame(where, kind=kind, confusion=confusion)

    def _require_frame_fits(self, key: str, *, distance: int, confusion: NDArray[np.int64]) -> None:
        gop_length = self._cell_value(key, "gop_length")
        if not 0 <= distance < gop_length:
            raise ShapeError(f"a distance to the key frame must be in 0..{gop_length - 1}, got {distance}")
        classes = len(json.loads(self._cell_value(key, "class_names"))) or len(confusion)
        if confusion.shape != (classes, classes) or confusion.dtype != np.int64 or confusion.min() < 0:
            raise ShapeError(
                f"a confusion matrix must be ({classes}, {classes}) int64 counts, "
                f"got {confusion.shape} {confusion.dtype}; make it with metrics.confusion"
            )

    def _require_same_frame(self, where: tuple[int, str, int, int], *, kind: str, confusion: NDArray[np.int64]) -> None:
        query = "SELECT kind, confusion FROM frames WHERE cell = ? AND clip = ? AND frame = ? AND distance = ?"
        old_kind, blob = next(self._rows(query, *where))
        if old_kind != kind or not np.array_equal(unpack_confusion(blob), confusion):
            _, clip, frame, distance = where
            raise StoreError(
                f"{clip}, frame {frame} at distance {distance} is stored with another result "
                f"(kind {old_kind!r}, now {kind!r}): the run does not repeat itself, or its condition "
                "leaves something out; start a new run folder (-o)"
            )

    def done_frames(self, key: str) -> set[tuple[str, int, int]]:
        """The (clip, frame, distance) that are stored: what a resumed run leaves out."""
        rows = self._rows("SELECT clip, frame, distance FROM frames WHERE cell = ?", self._id(key))
        return {(clip, frame, distance) for clip, frame, distance in rows}

    def confusions(self, key: str) -> Iterator[FrameRow]:
        """The tested frames of a cell by clip, frame and distance, one at a time."""
        query = (
            "SELECT clip, frame, distance, kind, confusion, share FROM frames WHERE cell = ? "
            "ORDER BY clip, frame, distance"
        )
        for clip, frame, distance, kind, blob, share in self._rows(query, self._id(key)):
            yield FrameRow(clip, frame, distance, kind, unpack_confusion(blob), share)

    def confusion_by_distance(self, key: str) -> NDArray[np.int64]:
        """(L, K, K) int64: the confusion matrices summed over frames; 0 at a distance without any.

        Raises: StoreError, when no frame is stored.
        """
        by_clip = self.confusion_by_clip_and_distance(key)
        if not by_clip:
            raise StoreError(f"{self.path}: no frame is stored for cell {key}; run it first")
        total = np.zeros_like(next(iter(by_clip.values())))
        for confusion in by_clip.values():
            total += confusion
        return total

    def confusion_by_clip_and_distance(self, key: str) -> dict[str, NDArray[np.int64]]:
        """Clip name -> (L, K, K) int64, clips in the order of their names; empty when no frame is stored."""
        gop_length = self._cell_value(key, "gop_length")
        by_clip: dict[str, NDArray[np.int64]] = {}
        shape: tuple[int, ...] = ()
        for row in self.confusions(key):
            shape = shape or (gop_length, *row.confusion.shape)
            if row.confusion.shape != shape[1:]:
                raise StoreError(
                    f"{row.clip}, frame {row.frame}: {len(row.confusion)} classes where other frames of the "
                    f"cell have {shape[1]}; start a new run folder (-o)"
                )
            by_clip.setdefault(row.clip, np.zeros(shape, np.int64))[row.distance] += row.confusion
        return by_clip

    def kind_counts(self, key: str) -> dict[int, dict[str, int]]:
        """Distance -> kind of work -> number of tested frames."""
        query = (
            "SELECT distance, kind, count(*) FROM frames WHERE cell = ? GROUP BY distance, kind ORDER BY distance, kind"
        )
        counts: dict[int, dict[str, int]] = {}
        for distance, kind, number in self._rows(query, self._id(key)):
            counts.setdefault(distance, {})[kind] = number
        return counts

    def kind_counts_by_clip(self, key: str) -> dict[str, dict[int, dict[str, int]]]:
        """Clip name -> distance -> kind of work -> number of tested frames, clips in the order of their names."""
        query = (
            "SELECT clip, distance, kind, count(*) FROM frames WHERE cell = ? "
            "GROUP BY clip, distance, kind ORDER BY clip, distance, kind"
        )
        counts: dict[str, dict[int, dict[str, int]]] = {}
        for clip, distance, kind, number in self._rows(query, self._id(key)):
            counts.setdefault(clip, {}).setdefault(distance, {})[kind] = number
        return counts

    def mean_shares_by_clip(self, key: str) -> dict[str, dict[int, dict[str, float]]]:
        """Clip name -> distance -> kind of work -> mean share of it (`records.Step`), of the kinds that have one."""
        query = (
            "SELECT clip, distance, kind, avg(share) FROM frames WHERE cell = ? AND share IS NOT NULL "
            "GROUP BY clip, distance, kind ORDER BY clip, distance, kind"
        )
        shares: dict[str, dict[int, dict[str, float]]] = {}
        for clip, distance, kind, share in self._rows(query, self._id(key)):
            shares.setdefault(clip, {}).setdefault(distance, {})[kind] = share
        return shares

    # ---- stability ----

    def add_stability(self, key: str, row: StabilityRow) -> None:
        """Note what a frame of a stream says of stability; of a frame that is there already the first note stays."""
        blobs = [None if counts is None else pack_counts(counts) for counts in row[3:]]
        with self._writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO stability VALUES (?, ?, ?, ?, ?, ?, ?)",
                (self._id(key), row.clip, int(row.start), int(row.frame), *blobs),
            )

    def stability(self, key: str) -> Iterator[StabilityRow]:
        """The frames of a cell's streams by clip, start and frame, one at a time."""
        query = (
            "SELECT clip, start, frame, windows, pairs, label_pairs FROM stability WHERE cell = ? "
            "ORDER BY clip, start, frame"
        )
        for clip, start, frame, windows, *pairs in self._rows(query, self._id(key)):
            counts = None if windows is None else unpack_counts(windows).reshape(-1, NUM_WINDOW_COUNTS)
            yield StabilityRow(clip, start, frame, counts, *(None if p is None else unpack_confusion(p) for p in pairs))

    # ---- cost, latency, wall time ----

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


def _cell(row: Sequence[Any]) -> Cell:
    values = dict(zip(_CELL_COLUMNS.split(", "), row, strict=True))
    values["curves"] = tuple(json.loads(values["curves"]))
    values["class_names"] = tuple(json.loads(values["class_names"]))
    values["partial"] = bool(values["partial"])
    values["condition"] = json.loads(values["condition"])
    return Cell(**values)

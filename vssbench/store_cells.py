"""The file of a run and its cells: what the rest of the store hangs on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, get_args

from vssbench.errors import StoreError
from vssbench.store_records import Cell, Status
from vssbench.store_schema import (
    canonical_json,
    connect_to_read,
    connect_to_write,
    sqlite_errors_named,
    store_file,
    transaction,
)

_CELL_COLUMNS = (
    "key, method, family, curves, point, point_label, dataset, split, network, codec, gop_length, "
    "bitrate_kbps, protocol, class_names, partial, condition"
)


class CellStore:
    """The open file and the cells in it; a context manager, closed at the end of the `with` block."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._ids: dict[str, int] = {}

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Open the store of a run, made where absent.

        Args:
            path: the run folder, or the file itself (`*.sqlite`).
            read_only: for reports; then the store must exist.
        Raises: StoreError, when it cannot be made, read or written, or has another schema version.
        """
        file = store_file(path)
        return cls(file, connect_to_read(file) if read_only else connect_to_write(file))

    def __enter__(self) -> Self:
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


def _cell(row: Sequence[Any]) -> Cell:
    values = dict(zip(_CELL_COLUMNS.split(", "), row, strict=True))
    values["curves"] = tuple(json.loads(values["curves"]))
    values["class_names"] = tuple(json.loads(values["class_names"]))
    values["partial"] = bool(values["partial"])
    values["condition"] = json.loads(values["condition"])
    return Cell(**values)

"""The file behind the store: its tables and version, how it is opened, and how values become columns."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vssbench.errors import StoreError

FILE_NAME = "results.sqlite"
SCHEMA_VERSION = 3
_APPLICATION_ID = 0x56535342  # "VSSB": tells our file from another program's
_BUSY_TIMEOUT_S = 30.0

_TABLES = (
    """CREATE TABLE cells (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, method TEXT NOT NULL, family TEXT NOT NULL,
        curves TEXT NOT NULL, point REAL, point_label TEXT NOT NULL, dataset TEXT NOT NULL,
        split TEXT NOT NULL, network TEXT NOT NULL, codec TEXT NOT NULL, gop_length INTEGER NOT NULL,
        bitrate_kbps REAL, protocol TEXT NOT NULL, class_names TEXT NOT NULL, partial INTEGER NOT NULL,
        condition TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'pending', error TEXT, parameters INTEGER)""",
    """CREATE TABLE frames (
        cell INTEGER NOT NULL REFERENCES cells, clip TEXT NOT NULL, frame INTEGER NOT NULL,
        distance INTEGER NOT NULL, kind TEXT NOT NULL, share REAL, confusion BLOB NOT NULL,
        PRIMARY KEY (cell, clip, frame, distance))""",
    """CREATE TABLE costs (
        cell INTEGER NOT NULL REFERENCES cells, kind TEXT NOT NULL, macs TEXT NOT NULL, flops TEXT NOT NULL,
        macs_at_full_share TEXT, uncounted TEXT NOT NULL, conventions TEXT NOT NULL,
        PRIMARY KEY (cell, kind))""",
    """CREATE TABLE stability (
        cell INTEGER NOT NULL REFERENCES cells, clip TEXT NOT NULL, start INTEGER NOT NULL, frame INTEGER NOT NULL,
        windows BLOB, pairs BLOB, label_pairs BLOB, PRIMARY KEY (cell, clip, start, frame))""",
    """CREATE TABLE latencies (
        cell INTEGER PRIMARY KEY REFERENCES cells, environment TEXT NOT NULL,
        peak_memory_bytes INTEGER, peak_memory_kind TEXT, facts TEXT NOT NULL)""",
    """CREATE TABLE latency_samples (
        cell INTEGER NOT NULL REFERENCES latencies, number INTEGER NOT NULL, distance INTEGER NOT NULL,
        kind TEXT NOT NULL, seconds REAL NOT NULL, pass INTEGER NOT NULL, device_seconds REAL,
        PRIMARY KEY (cell, number))""",
    """CREATE TABLE latency_phases (
        cell INTEGER NOT NULL REFERENCES latencies, number INTEGER NOT NULL, distance INTEGER NOT NULL,
        kind TEXT NOT NULL, phase TEXT NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (cell, number, phase))""",
    """CREATE TABLE stages (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, seconds REAL NOT NULL, count INTEGER NOT NULL)""",
)


def canonical_json(value: Any) -> str:
    """One text for one value: keys sorted, no spaces, no NaN or infinity.

    Raises: StoreError, where a value has no JSON form.
    """

    def plain(item: Any) -> Any:
        if isinstance(item, np.generic):
            return item.item()
        raise TypeError(f"{item!r} ({type(item).__name__})")

    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=plain)
    except (TypeError, ValueError) as error:
        raise StoreError(f"the store holds numbers, text, lists and dicts, got {error}; write null for NaN") from error


def condition_key(condition: Mapping[str, Any]) -> str:
    """The sha256 of the canonical JSON of everything that was chosen, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(dict(condition)).encode()).hexdigest()


def pack_counts(counts: NDArray[np.int64]) -> bytes:
    """Whole numbers of any shape as compressed little-endian int64; the reader knows the shape."""
    return zlib.compress(counts.astype("<i8").tobytes())


def unpack_counts(blob: bytes) -> NDArray[np.int64]:
    """The int64 numbers that `pack_counts` took, in one row.

    Raises: StoreError, when the bytes are damaged.
    """
    try:
        return np.frombuffer(zlib.decompress(blob), dtype="<i8").astype(np.int64)
    except (zlib.error, ValueError) as error:
        raise StoreError(f"counts in the store are damaged ({error}); start a new run folder") from error


def unpack_confusion(blob: bytes) -> NDArray[np.int64]:
    """The (K, K) int64 matrix that `pack_counts` took.

    Raises: StoreError, when the bytes hold no square matrix.
    """
    flat = unpack_counts(blob)
    size = isqrt(flat.size)
    if size * size != flat.size:
        raise StoreError(f"a confusion matrix in the store has {flat.size} cells; start a new run folder")
    return flat.reshape(size, size)


@contextmanager
def sqlite_errors_named(path: Path) -> Iterator[None]:
    """Turn whatever SQLite raises inside into a StoreError that names the file and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}; {_advice(str(error))}") from error


def _advice(message: str) -> str:
    if "full" in message:
        return "free some space and run the same command again: what was written is safe"
    if "locked" in message or "busy" in message:
        return "another run writes to this folder: wait for it, or give another folder (-o)"
    if "readonly" in message or "unable to open" in message:
        return "make the run folder writable, or give another one (-o)"
    if "not a database" in message or "malformed" in message:
        return "the file is damaged or not ours: move it away, or give another folder (-o)"
    return "if it stays so, give another folder (-o)"


def store_file(path: Path) -> Path:
    """The database of `path`, which is that file itself (`*.sqlite`) or the run folder it lies in."""
    return path if path.suffix == ".sqlite" else path / FILE_NAME


def connect_to_write(path: Path) -> sqlite3.Connection:
    """Open the database at `path`, made with its folder where absent, in write-ahead mode.

    Every statement outside a transaction is committed when it returns: a killed process loses none of them (a
    power cut may lose the last few, and leaves the file sound).

    Raises: StoreError, when the folder cannot be written or the file is not a store of this version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent} cannot be made: {error.strerror}; give a folder you can write (-o)") from error
    with sqlite_errors_named(path):
        connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    try:
        with sqlite_errors_named(path):
            _require_ours_or_empty(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            with transaction(connection):  # also finds out whether the file can be written
                if _is_empty(connection):
                    _create(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open the database at `path` without the right to change it; a run may be writing to it meanwhile.

    Raises: StoreError, when there is none, or it is not a store of this version.
    """
    if not path.is_file():
        raise StoreError(f"{path} does not exist: give the folder of a run (vssbench run -o FOLDER makes one)")
    with sqlite_errors_named(path):
        connection = sqlite3.connect(_read_uri(path), uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    try:
        with sqlite_errors_named(path):
            _require_ours_or_empty(connection, path)
            if _is_empty(connection):
                raise StoreError(f"{path} is empty: the run was stopped before it began; run it again")
    except BaseException:
        connection.close()
        raise
    return connection


def _read_uri(path: Path) -> str:
    uri = path.resolve().as_uri() + "?mode=ro"
    log = path.with_name(path.name + "-wal")
    if log.is_file() and log.stat().st_size:
        return uri
    # Reading a write-ahead file makes two side files, which a read-only folder (an archive) does not allow.
    # Where the log holds nothing, the file alone is the whole truth.
    with closing(sqlite3.connect(uri, uri=True)) as probe:
        try:
            probe.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.OperationalError:
            return uri + "&immutable=1"
    return uri


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _is_empty(connection: sqlite3.Connection) -> bool:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return int(tables) == 0


def _require_ours_or_empty(connection: sqlite3.Connection, path: Path) -> None:
    if _is_empty(connection):
        return
    if _pragma(connection, "application_id") != _APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program; give another folder (-o)")
    version = _pragma(connection, "user_version")
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema version {version}, this vssbench reads {SCHEMA_VERSION}; "
            "use the version named in the folder's manifest.json, or start a new run folder (-o)"
        )


def _create(connection: sqlite3.Connection) -> None:
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Everything inside becomes visible at once, or, on any exception or a kill, not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")

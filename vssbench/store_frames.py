"""The frames in the store: what each tested one was confused with, and what those of a stream say of stability."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vssbench.errors import ShapeError, StoreError
from vssbench.store_cells import CellStore
from vssbench.store_records import FrameRow, StabilityRow
from vssbench.store_schema import pack_counts, unpack_confusion, unpack_counts

NUM_WINDOW_COUNTS = 5  # columns of `StabilityRow.windows`


class FrameStore(CellStore):
    """Confusion counts and stability, a row a frame."""

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

    def stability_frames(self, key: str) -> set[tuple[str, int, int]]:
        """The (clip, start, frame) of whose stability something is noted."""
        rows = self._rows("SELECT clip, start, frame FROM stability WHERE cell = ?", self._id(key))
        return {(clip, start, frame) for clip, start, frame in rows}

    def stability(self, key: str) -> Iterator[StabilityRow]:
        """The frames of a cell's streams by clip, start and frame, one at a time."""
        query = (
            "SELECT clip, start, frame, windows, pairs, label_pairs FROM stability WHERE cell = ? "
            "ORDER BY clip, start, frame"
        )
        for clip, start, frame, windows, *pairs in self._rows(query, self._id(key)):
            counts = None if windows is None else unpack_counts(windows).reshape(-1, NUM_WINDOW_COUNTS)
            yield StabilityRow(clip, start, frame, counts, *(None if p is None else unpack_confusion(p) for p in pairs))

"""A folder of encoded videos, each found again by what went into it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

from vssbench.codec.encode import EncodeSettings, encode
from vssbench.errors import BitstreamError, StoreError
from vssbench.records import Rgb

CACHE_VERSION = 1  # raise it when `encode` writes another stream for the same settings
ReadFrames = Callable[[int, int], Iterator[Rgb]]  # SourceVideo.read


class EncodeCache:
    """Encodes every cut of a video once for each choice of settings, across runs and processes.

    An entry is a video and a record of its size and SHA-256, both moved into place when complete, the record
    last. An entry that does not fit its record (cut short by a crash, altered) is made again. Two processes
    that make the same entry at once both succeed: the video's name holds its hash, and the later record wins.

    Args:
        folder: made when missing.
    Raises: StoreError, when the folder cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self.num_encoded = 0  # videos made
        self.num_found = 0  # videos that were there already
        with self._writing():
            self._folder.mkdir(parents=True, exist_ok=True)
            trial = self._temporary_path(".txt")
            trial.touch()
            trial.unlink()

    def get(self, content_key: str, start: int, stop: int, settings: EncodeSettings, read_frames: ReadFrames) -> Path:
        """The path of the encoded frames start..stop-1.

        Args:
            content_key: changes whenever a pixel of the source changes (`SourceVideo.content_key`).
            start: first frame of the cut.
            stop: one past its last frame.
            settings: see `EncodeSettings`.
            read_frames: (start, stop) -> frames; called only when there is no good entry.
        Raises: StoreError, when the folder cannot be written; what `read_frames` and `encode` raise.
        """
        identity = _identity(content_key, start, stop, settings)
        record_path = self._folder / f"{_digest(json.dumps(identity, sort_keys=True).encode())[:32]}.json"
        found = _good_entry(record_path)
        if found is not None:
            self.num_found += 1
            return found
        temporary = self._temporary_path(".mp4")
        try:
            with self._writing():
                temporary.touch()
            encode(_exactly(read_frames(start, stop), stop - start), temporary, settings=settings)
            with self._writing():
                return self._keep(temporary, record_path, identity)
        finally:
            temporary.unlink(missing_ok=True)

    def _keep(self, temporary: Path, record_path: Path, identity: dict[str, Any]) -> Path:
        data = temporary.read_bytes()
        digest = _digest(data)
        video = self._folder / f"{record_path.stem}-{digest[:16]}.mp4"
        temporary.replace(video)
        record = {"video": video.name, "size_bytes": len(data), "sha256": digest, **identity}
        temporary_record = self._temporary_path(".json.tmp")
        temporary_record.write_text(json.dumps(record, indent=1, sort_keys=True))
        temporary_record.replace(record_path)
        self.num_encoded += 1
        return video

    def _temporary_path(self, suffix: str) -> Path:
        return self._folder / f".partial-{os.getpid()}-{secrets.token_hex(4)}{suffix}"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"cannot write the cache of encoded videos in {self._folder}: {error}; choose another folder"
            ) from error


def _identity(content_key: str, start: int, stop: int, settings: EncodeSettings) -> dict[str, Any]:
    libraries = {name: ".".join(map(str, version)) for name, version in sorted(av.library_versions.items())}
    return {
        "cache_version": CACHE_VERSION,
        "encoders": {"av": av.__version__, **libraries},
        "content_key": content_key,
        "start": start,
        "stop": stop,
        "settings": settings.condition(),
    }


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _good_entry(record_path: Path) -> Path | None:
    """The video of a record, if it is all there."""
    try:
        record = json.loads(record_path.read_text())
        video = record_path.parent / record["video"]
        data = video.read_bytes()
        is_good = len(data) == record["size_bytes"] and _digest(data) == record["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return video if is_good else None


def _exactly(frames: Iterator[Rgb], count: int) -> Iterator[Rgb]:
    given = 0
    for rgb in frames:
        given += 1
        yield rgb
    if given != count:
        raise BitstreamError(f"the source gave {given} frames where the cut holds {count}")

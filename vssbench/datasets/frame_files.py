"""Frames as image files: reading them, their sizes, and the hash that names their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from vssbench.errors import DatasetError
from vssbench.records import Rgb

RGB_MODES = frozenset({"RGB", "RGBA", "L", "P"})  # Pillow's modes with 8 bits a sample


def read_image(path: Path, *, size: tuple[int, int] | None = None) -> Rgb:
    """Read an image file.

    Args:
        path: the file; grey and palette images become RGB, an alpha channel is dropped.
        size: (height, width) it must have; None to take any.
    Returns: (H, W, 3) uint8.
    Raises: DatasetError, when the file is missing, truncated, of more than 8 bits a sample, or wrong-sized.
    """
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode not in RGB_MODES:
                raise DatasetError(
                    f"image of an unknown kind: {path}: Pillow mode {image.mode}, expected 8-bit RGB "
                    "or grey; convert it"
                )
            rgb: Rgb = np.array(image.convert("RGB"))
    except FileNotFoundError as error:
        raise DatasetError(f"image missing: {path}; restore it, or take it off the list") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"image unreadable: {path}: {error}; restore the file") from error
    if size is not None and rgb.shape[:2] != size:
        raise DatasetError(_size_message(path, (rgb.shape[0], rgb.shape[1]), size))
    return rgb


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file, from its header.

    Raises: DatasetError, when the file is missing or has no readable header.
    """
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except FileNotFoundError as error:
        raise DatasetError(f"image missing: {path}; restore it, or take it off the list") from error
    except (OSError, SyntaxError) as error:
        raise DatasetError(f"image unreadable: {path}: {error}; restore the file") from error


def common_size(paths: Sequence[Path]) -> tuple[int, int]:
    """The (height, width) that all the image files have, from their headers.

    Raises: DatasetError, when there are none, one differs from the first, or one is missing or unreadable.
    """
    if not paths:
        raise DatasetError("a video without frames: expected at least one image file; check the folder")
    size = image_size(paths[0])
    for path in paths[1:]:
        if (found := image_size(path)) != size:
            raise DatasetError(_size_message(path, found, size))
    return size


def _size_message(path: Path, found: tuple[int, int], size: tuple[int, int]) -> str:
    return (
        f"frame of another size: {path}: expected {size[0]}x{size[1]} (height x width) as the video's first "
        f"frame has, got {found[0]}x{found[1]}; bring all frames to one size"
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageFrames:
    """A video kept as one image file a frame.

    Args:
        paths: the image files in display order.
        size: (height, width) of each.
    """

    paths: Sequence[Path]
    size: tuple[int, int]

    def read(self, start: int, stop: int) -> Iterator[Rgb]:
        """The frames start..stop-1, each (H, W, 3) uint8.

        Raises: DatasetError, when the range goes past the video, or a file cannot be read.
        """
        require_range(self.paths[0].parent, start, stop, len(self.paths))
        return (read_image(path, size=self.size) for path in self.paths[start:stop])


def require_range(path: Path, start: int, stop: int, num_frames: int) -> None:
    """Refuse a range of frames that is not inside the video.

    Raises: DatasetError.
    """
    if not 0 <= start <= stop <= num_frames:
        raise DatasetError(
            f"frames {start}..{stop - 1} of {path}: it has the frames 0..{num_frames - 1}; ask within them"
        )


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes; a file is read again only when its size or time of change is another.

    Raises: DatasetError, when the file is missing or unreadable.
    """
    try:
        stat = path.stat()
        return _sha256(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise DatasetError(f"file missing or unreadable: {path}: {error}; restore it") from error


@lru_cache(maxsize=1 << 16)
def _sha256(path: Path, size_bytes: int, mtime_ns: int) -> str:  # noqa: ARG001 - they are keys of the cache
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_key(paths: Sequence[Path], *settings: object) -> str:
    """The sha256 over the bytes of the files in their order, and over the settings that change their pixels.

    Raises: DatasetError, when a file is missing or unreadable.
    """
    digest = hashlib.sha256()
    for path in paths:
        digest.update(bytes.fromhex(file_sha256(path)))
    digest.update(repr(settings).encode())
    return digest.hexdigest()

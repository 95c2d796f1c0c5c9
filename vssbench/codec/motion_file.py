"""The vectors of a video as one .npz file, written frame by frame: neither has to fit into memory.

T frames in display order; h4, w4: 4x4 blocks of the coded picture, which may be larger than what is shown.

    mv            (T, h4, w4, 2, 2) int16   list 0 or 1, then (x, y), quarter pixels: p comes from p + mv / 4
    frames_back   (T, h4, w4, 2) int16      how many frames earlier the reference is shown; 0 where the list is unused
    pred_mode     (T, h4, w4) uint8         0 intra, 1 inter, 2 skipped (HEVC; never 2 for other codecs)
    index         (T,) int32                place in display order: 0 .. T - 1, with gaps where frames were damaged
    frame_type    (T,) U1                   I, P or B
    size_bytes    (T,) int32                of the coded picture
    coded_size, display_size, display_origin   (2,) int32   (height, width), (height, width), (y, x) of what is shown
    codec, video, fps, format_version       ()  FFmpeg's name of the codec, the file's name, frames per second, 1
    errors        (n,) str                  what could not be read; empty where all was

HEVC also:

    ref_poc_delta (T, h4, w4, 2) int16      order count of the reference minus that of the picture; 0: list unused
    cu_log2       (T, h4, w4) uint8         log2 of the size of the coding unit
    part_mode     (T, h4, w4) uint8         0 2Nx2N, 1 2NxN, 2 Nx2N, 3 NxN, 4 2NxnU, 5 2NxnD, 6 nLx2N, 7 nRx2N
    poc           (T,) int32                picture order count; starts again at each IDR picture
    slice_type    (T,) uint8                of the first slice: 0 B, 1 P, 2 I

`FrameMotion` says more of each. `np.load` reads the file; it takes whole arrays into memory.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vssbench.codec.decode import VideoInfo
from vssbench.codec.vectors import CELL_PX, FrameMotion
from vssbench.errors import BitstreamError, UsageError

FORMAT_VERSION = 1
_SPOOL_LEVEL = 1  # deflate: quick; what it keeps is read once and thrown away
_CHUNK_BYTES = 1 << 20


def write_motion_file(
    frames: Iterable[FrameMotion],
    path: str | os.PathLike[str],
    *,
    info: VideoInfo,
    video: str = "",
    errors: Sequence[BitstreamError] = (),
) -> int:
    """Write all frames as the arrays above; the file appears when it is complete, or not at all.

    Every array grows in a compressed file of its own beside the output, and then moves into the .npz.

    Args:
        frames: in display order, all of one size.
        path: overwritten.
        info: of the video.
        video: its name, for the record.
        errors: read after the last frame, so the list that `read_motion` fills can be given.
    Returns: the number of frames.
    Raises: BitstreamError, when there is no frame, or the coded size changes; UsageError, when the file cannot be
        written; what `frames` raise.
    """
    path = Path(path)
    with _temporary_folder(path) as folder, ExitStack() as stack:
        spools: dict[str, _Spool] = {}
        shape: _Shape | None = None
        num_frames = 0
        for frame in frames:
            shape = _same_shape(shape, frame)
            with _writing(path):
                for name, row in _rows(frame).items():
                    if name not in spools:
                        spools[name] = stack.enter_context(_Spool(folder / name))
                    spools[name].add(row)
            num_frames += 1
        if shape is None:
            raise BitstreamError(f"the vectors of no frame could be read, so {path.name} is not written")
        scalars = _scalars(shape, info, video, errors)
        with _writing(path):
            _write_npz(folder / "all.npz", spools, scalars)
            (folder / "all.npz").replace(path)
    return num_frames


_Shape = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]  # coded size, display size, display origin


def _same_shape(shape: _Shape | None, frame: FrameMotion) -> _Shape:
    height, width = frame.pred_mode.shape
    own = ((height * CELL_PX, width * CELL_PX), frame.size, frame.origin)
    if shape not in (None, own):
        raise BitstreamError(
            f"frame {frame.index}: the coded size, the size shown and its origin change from {shape} to {own}; "
            "one file has one size: split the video"
        )
    return own


def _rows(frame: FrameMotion) -> dict[str, NDArray[Any]]:
    """What one frame adds to each array."""
    rows: dict[str, NDArray[Any]] = {
        "mv": frame.mv,
        "frames_back": frame.frames_back,
        "pred_mode": frame.pred_mode,
        "index": np.array(frame.index, np.int32),
        "frame_type": np.array(frame.frame_type, "<U1"),
        "size_bytes": np.array(frame.size_bytes, np.int32),
    }
    if frame.hevc is not None:
        rows |= {
            "ref_poc_delta": frame.hevc.motion.ref_poc_delta,
            "cu_log2": frame.hevc.motion.cu_log2,
            "part_mode": frame.hevc.motion.part_mode,
            "poc": np.array(frame.hevc.poc, np.int32),
            "slice_type": np.array(frame.hevc.slice_type, np.uint8),
        }
    return rows


def _scalars(shape: _Shape, info: VideoInfo, video: str, errors: Sequence[BitstreamError]) -> dict[str, NDArray[Any]]:
    coded_size, display_size, display_origin = shape
    return {
        "coded_size": np.array(coded_size, np.int32),
        "display_size": np.array(display_size, np.int32),
        "display_origin": np.array(display_origin, np.int32),
        "codec": np.array(info.codec),
        "video": np.array(video),
        "fps": np.array(info.fps, np.float64),
        "format_version": np.array(FORMAT_VERSION, np.int32),
        "errors": np.array([str(error) for error in errors], np.str_),
    }


class _Spool:
    """An array on disk that grows along its first axis. A context manager, which closes the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = gzip.GzipFile(path, "wb", compresslevel=_SPOOL_LEVEL)
        self._dtype: np.dtype[Any] = np.dtype(np.uint8)
        self._shape: tuple[int, ...] = ()
        self._length = 0

    def __enter__(self) -> _Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, row: NDArray[Any]) -> None:
        """One more row; all have one shape and type."""
        self._dtype, self._shape = row.dtype, row.shape
        self._file.write(row.tobytes())
        self._length += 1

    def move_to(self, target: IO[bytes]) -> None:
        """Write the whole as .npy, a piece at a time."""
        self._file.close()
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._length, *self._shape),
        }
        np.lib.format.write_array_header_1_0(target, header)
        with gzip.open(self._path, "rb") as rows:
            shutil.copyfileobj(rows, target, _CHUNK_BYTES)
        self._path.unlink()


def _write_npz(path: Path, spools: Mapping[str, _Spool], scalars: Mapping[str, NDArray[Any]]) -> None:
    with zipfile.ZipFile(path, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        for name, spool in spools.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:  # as np.savez: size not known before
                spool.move_to(member)
        for name, array in scalars.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


@contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    """A folder beside the output, so that what is finished there moves into place at once."""
    with _writing(path):
        folder = Path(tempfile.mkdtemp(prefix=".partial-", dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}; choose another place") from error

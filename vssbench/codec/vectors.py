"""A video -> the vectors of its frames: `read_motion`, without pixels, and `read_motion_and_pixels`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vssbench.codec.block_motion import BlockMotion
from vssbench.codec.decode import located, require_vectors
from vssbench.codec.hevc.picture_motion import PictureMotion
from vssbench.codec.pictures import Pictures
from vssbench.codec.references import ReferringPicture, in_display_order, referring_pictures
from vssbench.errors import BitstreamError
from vssbench.records import FrameType, MotionField, Rgb

CELL_PX = 4  # the smallest block that has a vector of its own is 8x4 or 4x8 (HEVC)
INTRA, INTER, SKIPPED = range(3)  # pred_mode


@dataclass(frozen=True, kw_only=True, eq=False)
class HevcFacts:
    """What HEVC alone says of a frame.

    Args:
        poc: picture order count; starts again at each IDR picture.
        slice_type: of the first slice: 0 B, 1 P, 2 I.
        motion: all arrays over the coded picture, which may be larger than what is shown.
    """

    poc: int
    slice_type: int
    motion: PictureMotion


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameMotion:
    """The vectors of one frame, on a grid of 4x4 blocks; h4 and w4 cover the coded picture.

    Args:
        index: position in display order.
        frame_type: "I", "P" or "B".
        size_bytes: bytes of the coded picture.
        mv: (h4, w4, 2, 2) int16: list 0 or 1, then (x, y), in quarter pixels. Pixel p is predicted from p + mv / 4
            of the reference: +x right, +y down. MPEG-4 and H.264: list 0 is the past, list 1 the future.
        frames_back: (h4, w4, 2) int16: how many frames earlier in display order the reference is shown, negative
            for a later one; 0 where the list is not used; -32768 where the reference is never shown.
        pred_mode: (h4, w4) uint8: 0 intra, 1 inter, 2 skipped (HEVC; FFmpeg does not tell of the others).
        size: (height, width) of the frame.
        origin: (y, x) of the frame's first pixel on the grid.
        hevc: what HEVC says beyond that; None for other codecs.
    """

    index: int
    frame_type: FrameType
    size_bytes: int
    mv: NDArray[np.int16]
    frames_back: NDArray[np.int16]
    pred_mode: NDArray[np.uint8]
    size: tuple[int, int]
    origin: tuple[int, int] = (0, 0)
    hevc: HevcFacts | None = None

    def dense(self) -> MotionField:
        """Every pixel of the frame with the vector of its block; on an I frame all are intra."""
        blocks = BlockMotion(
            mv=self.mv, frames_back=self.frames_back, cell_px=CELL_PX, size=self.size, origin=self.origin
        )
        return blocks.dense()


def read_motion(path: str | PathLike[str], *, damaged: list[BitstreamError] | None = None) -> Iterator[FrameMotion]:
    """The vectors of every frame of an HEVC, H.264 or MPEG-4 Part 2 video, in display order.

    HEVC is not decoded to pixels. `decode.decode` says what is refused of the other codecs.

    Args:
        path: a video file; its first video stream is read.
        damaged: give a list, and every error is put there instead of being raised. Of HEVC the reading goes on, and
            frames whose vectors the damage cost are left out (their `index` with them); of the other codecs it ends.
    Raises: BitstreamError, at once when the file cannot be opened or its codec has no vectors to give; while
        reading, naming picture and position, when it is damaged or holds what is not read.
    """
    path = _with_vectors(path)
    return (frame for frame, _ in _frames(path, damaged=damaged, with_pixels=False))


def read_motion_and_pixels(path: str | PathLike[str]) -> Iterator[tuple[FrameMotion, Rgb]]:
    """As `read_motion`, each frame with its decoded picture, (H, W, 3) uint8; the first damage ends it."""
    return _frames(_with_vectors(path), damaged=None, with_pixels=True)


def _with_vectors(path: str | PathLike[str]) -> Path:
    path = Path(path)
    require_vectors(path)
    return path


def _frames(
    path: Path, *, damaged: list[BitstreamError] | None, with_pixels: bool
) -> Iterator[tuple[FrameMotion, Rgb]]:
    pictures = Pictures(path, with_vectors=True, with_references=True, with_pixels=with_pixels, damaged=damaged)
    with located(path):
        frames = (
            (each.picture.index, (_frame_motion(each), each.picture.rgb)) for each in referring_pictures(pictures)
        )
        for frame, rgb in in_display_order(frames):
            if frame is not None:
                yield frame, rgb


def _frame_motion(referring: ReferringPicture) -> FrameMotion | None:
    picture, blocks = referring.picture, referring.blocks
    hevc = None
    if picture.coded is not None:
        motion: PictureMotion | None = picture.coded.motion
        if motion is None:
            return None
        hevc = HevcFacts(poc=picture.coded.poc, slice_type=picture.coded.slice_type, motion=motion)
        grid = motion.blocks.shape[:2]
    else:
        grid = (-(-picture.size[0] // CELL_PX), -(-picture.size[1] // CELL_PX))
    if blocks is None:
        mv, frames_back = np.zeros((*grid, 2, 2), np.int16), np.zeros((*grid, 2), np.int16)
    else:
        times = blocks.cell_px // CELL_PX
        mv, frames_back = (
            cells.repeat(times, axis=0).repeat(times, axis=1)[: grid[0], : grid[1]]
            for cells in (blocks.mv, blocks.frames_back)
        )
    return FrameMotion(
        index=picture.index,
        frame_type=picture.frame_type,
        size_bytes=picture.packet.size_bytes,
        mv=mv,
        frames_back=frames_back,
        pred_mode=hevc.motion.pred_mode if hevc else np.where(frames_back.any(axis=-1), INTER, INTRA).astype(np.uint8),
        size=picture.size,
        origin=hevc.motion.display_origin if hevc else (0, 0),
        hevc=hevc,
    )

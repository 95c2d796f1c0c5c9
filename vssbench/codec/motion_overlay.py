"""Vectors drawn over the decoded picture: a dot in the middle of each cell of a grid, a line from it to its source.

    past      yellow 1 frame back, orange 2, vermilion 3 or more
    future    light blue 1 frame later, green 2 or more (B frames)
    two       a white dot with two lines: the block is the mean of two sources
    grey      a reference that is never shown
    intra     a purple tint, in P and B frames; I frames hold nothing else and stay as they are

A dot without a line has moved less than half a pixel. The colours are Okabe and Ito's, which colour-blind people
tell apart (Color Universal Design, 2008); a dark edge keeps them apart from the picture.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vssbench.codec.block_motion import NEVER_SHOWN
from vssbench.codec.vectors import CELL_PX, INTRA, FrameMotion
from vssbench.errors import BitstreamError, UsageError
from vssbench.records import Rgb

Colour = tuple[int, int, int]

PAST: tuple[Colour, ...] = ((240, 228, 66), (230, 159, 0), (213, 94, 0))  # 1, 2, 3 or more frames back
FUTURE: tuple[Colour, ...] = ((86, 180, 233), (0, 158, 115))  # 1, 2 or more frames later
TWO: Colour = (255, 255, 255)
UNSHOWN: Colour = (150, 150, 150)
INTRA_TINT: Colour = (204, 121, 167)
TINT_SHARE = 0.5
EDGE: Colour = (25, 25, 25)
TYPE_COLOURS: dict[str, Colour] = {"I": INTRA_TINT, "P": PAST[0], "B": FUTURE[0]}
STILL_PX = 0.5  # shorter vectors are not drawn
LINE_WIDTH, EDGE_WIDTH, DOT_RADIUS, STILL_RADIUS = 1.1, 0.6, 1.5, 0.8  # pixels on a grid of up to 16
SUFFIXES = (".mp4", ".mkv")
_SMOOTHING = 2  # drawn so many times larger, then reduced: Pillow's lines have hard steps
_SMPTE170M, _LIMITED_RANGE = 6, 1  # AVColorSpace, AVColorRange: what PyAV makes of RGB; players guess otherwise in HD
_CRF = "18"  # of x264: no loss that one sees


def draw_motion(rgb: Rgb, frame: FrameMotion, *, grid_px: int = 16, zoom: int = 1) -> Rgb:
    """One picture with its vectors.

    Args:
        rgb: (H, W, 3) uint8, the decoded picture.
        frame: its vectors.
        grid_px: side of a cell, which shows the vector of the block at its centre; at least 4.
        zoom: the result is so many times larger; vectors keep their scale to the picture.
    Returns: (H * zoom, W * zoom, 3) uint8.
    Raises: UsageError, when grid_px or zoom is too small.
    """
    if grid_px < CELL_PX or zoom < 1:
        raise UsageError(f"the grid must be at least {CELL_PX} pixels and the zoom 1, got {grid_px = }, {zoom = }")
    scale = zoom * _SMOOTHING
    base = rgb if frame.frame_type == "I" else _tinted(rgb, frame)
    height, width = frame.size
    image = Image.fromarray(base)
    if zoom > 1:
        image = image.resize((width * zoom, height * zoom), Image.Resampling.BICUBIC)
    # enlarged by repetition and reduced by averaging, pixels that nothing is drawn on come out as they were
    image = image.resize((width * scale, height * scale), Image.Resampling.NEAREST)
    strokes = _strokes(frame, grid_px=grid_px, scale=scale)
    _draw(ImageDraw.Draw(image), strokes, unit=scale * max(1.0, grid_px / 16))
    image = image.reduce(_SMOOTHING)
    _write_label(image, frame, zoom)
    return np.array(image)


def write_overlay(
    frames: Iterable[tuple[FrameMotion, Rgb]],
    path: str | os.PathLike[str],
    *,
    fps: float,
    grid_px: int = 16,
    zoom: int = 1,
) -> int:
    """Write a video of `draw_motion`, H.264 (x264); odd sides are made even by repeating the last row or column.

    Args:
        frames: in display order, as `read_motion_and_pixels`.
        path: ends in .mp4 or .mkv; overwritten once the video is complete.
        fps: of the video; 25 where it is NaN.
        grid_px: see `draw_motion`.
        zoom: see `draw_motion`.
    Returns: the number of frames.
    Raises: UsageError, when the path cannot be written; BitstreamError, when there is no frame or the encoder fails;
        what `frames` raise.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise UsageError(f"an overlay is written as {' or '.join(SUFFIXES)}, got {path.name!r}")
    rate = Fraction(fps if fps == fps and fps > 0 else 25).limit_denominator(1001)
    num_frames = 0
    with _moved_into_place(path) as temporary, _encoder_errors(path), av.open(str(temporary), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.pix_fmt, stream.options = "yuv420p", {"crf": _CRF}
        stream.codec_context.colorspace, stream.codec_context.color_range = _SMPTE170M, _LIMITED_RANGE
        for frame, rgb in frames:
            drawn = _even(draw_motion(rgb, frame, grid_px=grid_px, zoom=zoom))
            if num_frames == 0:
                stream.height, stream.width = drawn.shape[:2]
            picture = av.VideoFrame.from_ndarray(drawn, format="rgb24")
            picture.pts, picture.time_base = num_frames, 1 / rate
            container.mux(stream.encode(picture))
            num_frames += 1
        if num_frames == 0:
            raise BitstreamError(f"no frame could be read, so {path.name} is not written")
        container.mux(stream.encode())
    return num_frames


@dataclass(frozen=True, kw_only=True, eq=False)
class _Strokes:
    """Lines from the centres of blocks to their sources, in pixels of the enlarged canvas.

    Args:
        lines: (n, 4): x, y of the centre, x, y of the source.
        colours: one a line.
        dots: (m, 2): the centres, those without a line included.
        dot_colours: one a dot.
        is_still: one a dot: whether it has no line.
    """

    lines: NDArray[np.float64]
    colours: list[Colour]
    dots: NDArray[np.float64]
    dot_colours: list[Colour]
    is_still: list[bool]


def _strokes(frame: FrameMotion, *, grid_px: int, scale: int) -> _Strokes:
    height, width = frame.size
    ys, xs = (np.arange(grid_px / 2, max(side, grid_px / 2 + 1), grid_px) for side in (height, width))
    rows, columns = (
        np.minimum((at + first).astype(int) // CELL_PX, count - 1)
        for at, first, count in zip((ys, xs), frame.origin, frame.pred_mode.shape, strict=True)
    )
    mv = frame.mv[rows][:, columns] / 4  # (rows, columns, list, 2)
    frames_back = frame.frames_back[rows][:, columns]
    centres = np.stack(np.meshgrid(xs, ys), axis=-1)
    moves = (frames_back != 0) & (abs(mv) >= STILL_PX).any(axis=-1)
    row, column, in_list = np.nonzero(moves)
    starts = centres[row, column]
    lines = np.concatenate((starts, starts + mv[row, column, in_list]), axis=1)
    is_inter = (frames_back != 0).any(axis=-1)
    return _Strokes(
        lines=lines * scale,
        colours=[_colour(back) for back in frames_back[row, column, in_list].tolist()],
        dots=centres[is_inter] * scale,
        dot_colours=[TWO if all(backs) else _colour(backs[0] or backs[1]) for backs in frames_back[is_inter].tolist()],
        is_still=(~moves.any(axis=-1))[is_inter].tolist(),
    )


def _colour(frames_back: int) -> Colour:
    if frames_back == NEVER_SHOWN:
        return UNSHOWN
    colours = PAST if frames_back > 0 else FUTURE
    return colours[min(abs(frames_back), len(colours)) - 1]


def _draw(canvas: ImageDraw.ImageDraw, strokes: _Strokes, unit: float) -> None:
    """All edges first, so that no line is cut by its neighbour's edge, and dots last, for they are small."""
    lines, dots = strokes.lines.tolist(), strokes.dots.tolist()
    edge = EDGE_WIDTH * unit
    radii = [(STILL_RADIUS if still else DOT_RADIUS) * unit for still in strokes.is_still]
    for line in lines:
        canvas.line(line, fill=EDGE, width=round(LINE_WIDTH * unit + 2 * edge))
    for (x, y), radius in zip(dots, radii, strict=True):
        r = radius + edge
        canvas.ellipse((x - r, y - r, x + r, y + r), fill=EDGE)
    for line, colour in zip(lines, strokes.colours, strict=True):
        canvas.line(line, fill=colour, width=round(LINE_WIDTH * unit))
    for (x, y), r, colour in zip(dots, radii, strokes.dot_colours, strict=True):
        canvas.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _tinted(rgb: Rgb, frame: FrameMotion) -> Rgb:
    (top, left), (height, width) = frame.origin, frame.size
    intra = (frame.pred_mode == INTRA).repeat(CELL_PX, axis=0).repeat(CELL_PX, axis=1)
    intra = intra[top : top + height, left : left + width]
    tinted = rgb.copy()
    mixed = (1 - TINT_SHARE) * rgb[intra] + TINT_SHARE * np.array(INTRA_TINT)
    tinted[intra] = np.rint(mixed).astype(np.uint8)
    return tinted


def _write_label(image: Image.Image, frame: FrameMotion, zoom: int) -> None:
    """Frame type and place in display order, on a dark plate in the corner."""
    size = max(10 * zoom, image.height // 30)
    font, pad = _font(size), size // 3
    kind, number = frame.frame_type, f"{frame.index}"
    gap = size // 3
    kind_width, number_width = (round(font.getlength(text)) for text in (kind, number))
    plate = (0, 0, kind_width + gap + number_width + 2 * pad, size + 2 * pad)
    shade = image.crop(plate).point(lambda value: value * 0.3)
    image.paste(shade, plate)
    canvas = ImageDraw.Draw(image)
    canvas.text((pad, pad + size), kind, fill=TYPE_COLOURS[kind], font=font, anchor="ls")
    canvas.text((pad + kind_width + gap, pad + size), number, fill=(255, 255, 255), font=font, anchor="ls")


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _even(rgb: Rgb) -> Rgb:
    height, width = rgb.shape[:2]
    padded: NDArray[np.uint8] = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(padded)


@contextmanager
def _moved_into_place(path: Path) -> Iterator[Path]:
    """A hidden file beside the output, moved there at the end, removed on failure."""
    temporary = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        temporary.touch()
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if isinstance(error, av.FFmpegError):
            raise
        raise UsageError(f"cannot write {path}: {error.strerror or error}; choose another place") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _encoder_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        raise BitstreamError(f"{path}: the overlay cannot be encoded: {error}") from error

"""Small HEVC streams that the tests encode themselves, and the pictures that FFmpeg decodes from them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

START_CODE = b"\x00\x00\x01"
# x265 with threads hangs or crashes in some builds, so it gets none; and it must not choose pictures by itself
_ALWAYS = "pools=none:frame-threads=1:log-level=none:scenecut=0:weightp=0:weightb=0"
NO_FILTERS = "no-deblock=1:no-sao=1"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One decoded picture: luma of the coded picture, the conformance window not cut out."""

    luma: NDArray[np.uint16]
    bit_depth: int
    picture_type: str


@cache
def moving_luma(num_frames: int, size: tuple[int, int], *, seed: int = 3) -> NDArray[np.float64]:
    """(T, H, W) in 0..255: a texture that pans, zooms and turns slowly, and two textured squares that cross it."""
    height, width = size
    rng = np.random.default_rng(seed)
    texture = _smooth_noise(rng, (2 * height, 2 * width))
    squares = [_smooth_noise(rng, (height // 3, width // 3)) for _ in range(2)]
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij")).astype(float)
    centre = np.array([height / 2, width / 2])[:, None, None]
    frames = np.empty((num_frames, height, width))
    for t in range(num_frames):
        angle, zoom = 0.004 * t, 1 + 0.006 * t
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = np.tensordot(turn, (grid - centre) / zoom, 1) + centre + 20
        points += np.array([0.75 * t, -1.375 * t])[:, None, None]
        frames[t] = map_coordinates(texture, points, order=1, mode="wrap")
        for square, (y, x) in zip(
            squares, ((3 + 2 * t, 5 + 3 * t), (height // 2 - t, width // 2 - 2 * t)), strict=True
        ):
            top, left = y % (height - square.shape[0]), x % (width - square.shape[1])
            frames[t, top : top + square.shape[0], left : left + square.shape[1]] = square
    return frames


def _smooth_noise(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    noise = rng.normal(size=size)
    for axis in (0, 1):
        for _ in range(3):
            noise = (np.roll(noise, 1, axis) + 2 * noise + np.roll(noise, -1, axis)) / 4
    return np.clip(128 + 45 * noise / noise.std(), 0, 255)


@cache
def encoded(
    params: str,
    *,
    num_frames: int = 8,
    size: tuple[int, int] = (160, 208),
    qp: int = 30,
    bit_depth: int = 8,
    monochrome: bool = False,
    container: str = "hevc",
    seed: int = 3,
) -> bytes:
    """A stream of x265: Annex B, or a file of another container."""
    frames = moving_luma(num_frames, size, seed=seed)
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream("libx265", rate=Fraction(25))
        stream.height, stream.width = size
        stream.pix_fmt = ("gray" if monochrome else "yuv420p") + ("" if bit_depth == 8 else "10le")
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"preset": "fast", "x265-params": f"qp={qp}:{_ALWAYS}:{params}"}
        for index, luma in enumerate(frames):
            picture = av.VideoFrame(size[1], size[0], stream.pix_fmt)
            planes = [luma, luma[::2, 1::2] * 0.5 + 64, 255 - luma[1::2, ::2]]
            for plane, samples in zip(picture.planes, planes, strict=False):
                _write_plane(plane, samples, bit_depth)
            picture.pts, picture.time_base = index, Fraction(1, 25)
            output.mux(stream.encode(picture))
        output.mux(stream.encode())
    return file.getvalue()


def _write_plane(plane: av.video.plane.VideoPlane, samples: NDArray[np.float64], bit_depth: int) -> None:
    kind = np.dtype(np.uint8 if bit_depth == 8 else "<u2")
    values = np.zeros((plane.height, plane.line_size // kind.itemsize), kind)
    values[:, : plane.width] = np.round(samples * (1 << (bit_depth - 8)))
    plane.update(values.tobytes())


def decoded(stream: bytes) -> list[Picture]:
    """FFmpeg's pictures in output order."""
    pictures = []
    with av.open(io.BytesIO(stream)) as container:
        video = container.streams.video[0]
        video.codec_context.thread_type = "NONE"
        video.codec_context.options = {"apply_cropping": "0"}
        for frame in container.decode(video):
            bit_depth = 10 if "10" in frame.format.name else 8
            kind = np.dtype(np.uint8 if bit_depth == 8 else "<u2")
            plane = frame.planes[0]
            rows = np.frombuffer(plane, kind).reshape(plane.height, plane.line_size // kind.itemsize)
            luma = rows[:, : plane.width].astype(np.uint16)
            pictures.append(
                Picture(luma=luma, bit_depth=bit_depth, picture_type=av.video.frame.PictureType(frame.pict_type).name)
            )
    return pictures


def nal_units(stream: bytes) -> list[bytes]:
    """The NAL units of an Annex B stream, found by a plain search."""
    return [unit.rstrip(b"\x00") for unit in stream.split(START_CODE)[1:]]


def joined(units: list[bytes]) -> bytes:
    """An Annex B stream of NAL units."""
    return b"".join(b"\x00" + START_CODE + unit for unit in units)


def is_slice(unit: bytes) -> bool:
    """Whether a NAL unit is a coded slice segment."""
    return (unit[0] >> 1) < 32


def shared_streams() -> Path:
    """Where the project's test streams lie; it may not be there."""
    return Path(__file__).resolve().parents[3].parent / "shared" / "streams"

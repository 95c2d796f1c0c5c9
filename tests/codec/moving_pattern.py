"""A textured picture that moves by a known amount a frame, and ways to write it that `encode` does not offer."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def texture(size: tuple[int, int], *, seed: int = 0, smoothness: float = 2.0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(size=(*size, 3))
    smooth = gaussian_filter(noise, (smoothness, smoothness, 0))
    return np.clip(128 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def moving_pattern(
    num_frames: int,
    *,
    size: tuple[int, int] = (96, 128),
    velocity: tuple[int, int] = (2, -1),
    seed: int = 0,
    oversampling: int = 1,
) -> Iterator[NDArray[np.uint8]]:
    """What is now at (x, y) was, one frame earlier, at (x, y) + velocity / oversampling."""
    height, width = (side * oversampling for side in size)
    dx, dy = velocity
    reach_x, reach_y = abs(dx) * num_frames, abs(dy) * num_frames
    picture = texture((height + reach_y, width + reach_x), seed=seed, smoothness=2.0 * oversampling)
    for index in range(num_frames):
        x = dx * index if dx > 0 else reach_x + dx * index
        y = dy * index if dy > 0 else reach_y + dy * index
        window = picture[y : y + height, x : x + width]
        if oversampling > 1:
            blocks = window.reshape(size[0], oversampling, size[1], oversampling, 3)
            window = blocks.mean(axis=(1, 3)).round().astype(np.uint8)
        yield np.ascontiguousarray(window)


def psnr(first: NDArray[np.uint8], second: NDArray[np.uint8], *, margin: int = 16) -> float:
    inner = (slice(margin, -margin), slice(margin, -margin))
    error = np.mean((first[inner].astype(float) - second[inner]) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def write_plainly(
    frames: Iterator[NDArray[np.uint8]],
    path: Path,
    encoder: str,
    *,
    options: dict[str, str] | None = None,
    b_frames: int = 0,
    gop_length: int = 12,
    container_format: str | None = None,
    times: list[int] | None = None,
) -> None:
    """Encode with FFmpeg's own choices wherever `options` make none."""
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(encoder, rate=Fraction(30))
        stream.pix_fmt, stream.gop_size, stream.max_b_frames = "yuv420p", gop_length, b_frames
        stream.bit_rate = 800_000
        stream.codec_context.thread_count = 1
        stream.codec_context.options = options or {}
        for index, rgb in enumerate(frames):
            if index == 0:
                stream.height, stream.width = rgb.shape[:2]
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            picture.pts, picture.time_base = times[index] if times else index, Fraction(1, 30)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def remux(source: Path, target: Path, *, container_format: str | None = None, options: dict[str, str] | None = None):
    """The same coded pictures in another container."""
    with av.open(str(source)) as given, av.open(str(target), "w", format=container_format, options=options) as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.size:
                packet.stream = stream
                made.mux(packet)


def slow_compose(motions, size, *, subpel):
    """Follow (flow, frames_back) fields, last frame first, pixel by pixel; NaN where an intra block is met."""
    height, width = size
    points = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float64)
    for flow, valid in motions:
        following = np.empty_like(points)
        for y in range(height):
            for x in range(width):
                following[y, x] = _follow_one(points, x, y, flow[y, x], subpel) if valid[y, x] else np.nan
        points = following
    return points


def _follow_one(points, x, y, vector, subpel):
    height, width = points.shape[:2]
    if not subpel:
        return points[
            min(max(y + round(float(vector[1])), 0), height - 1), min(max(x + round(float(vector[0])), 0), width - 1)
        ]
    at_x = min(max(x + float(vector[0]), 0), width - 1)
    at_y = min(max(y + float(vector[1]), 0), height - 1)
    total = np.zeros(2)
    for row in (int(at_y), int(at_y) + 1):
        for column in (int(at_x), int(at_x) + 1):
            weight = max(0, 1 - abs(at_x - column)) * max(0, 1 - abs(at_y - row))
            if weight > 0:
                total = total + weight * points[row, column]
    return total

"""Simulated camera motion: a still becomes the last frame of a short video, whose encode has true vectors.

A view is a homography (3, 3) from the pixels of the view to the pixels of the still, both with pixel centres
at half-integers. It is the motion of a camera before a flat scene: no parallax, no object moves by itself.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vssbench.errors import UsageError
from vssbench.records import LabelMap, Rgb

# How much of the motion each parameter takes on average, as its share of the flow at the image's edge: zoom
# (the drive forward) and panning lead, roll and tilt are small.
SHARES = {"pan_x": 1.0, "pan_y": 0.3, "zoom": 1.2, "roll": 0.1, "tilt_x": 0.15, "tilt_y": 0.15}
FORWARD = 0.8  # of the drives go forward (the scene grows), the rest back
WANDER = 0.4  # the part of the velocity that changes over the clip
GRID = 9  # points a side over which the mean flow is taken


@dataclass(frozen=True, kw_only=True)
class CameraMotion:
    """How much a simulated camera moves.

    Args:
        num_frames: length of the video; the last frame is the still itself.
        speed_px: (low, high), the mean flow between neighbouring frames, drawn uniformly for each still, in
            pixels at 480 columns; wider stills move in proportion. CamVid's 15 Hz run has a median of 3.8 px.
    """

    num_frames: int = 12
    speed_px: tuple[float, float] = (1.5, 6.0)

    def __post_init__(self) -> None:
        low, high = self.speed_px
        if self.num_frames < 1 or not 0 <= low <= high:
            raise UsageError(
                "camera motion needs num_frames >= 1 and speed_px = (low, high) with 0 <= low <= high, "
                f"got {self.num_frames = }, {self.speed_px = }"
            )
        if (self.num_frames - 1) * high > 240:
            raise UsageError(
                f"the camera would leave the still: {self.num_frames - 1} steps of up to {high} px pass half "
                "the width, 240 px; lower num_frames or speed_px"
            )


def camera_views(motion: CameraMotion, size: tuple[int, int], *, seed: int, name: str = "") -> NDArray[np.float64]:
    """The homography of every frame, from its pixels to the still's; the last one is the identity, exactly.

    The path is smooth: each parameter's velocity is a constant and a slow wave. `speed_px` fixes its length.

    Args:
        motion: how much the camera moves.
        size: (height, width) of the still.
        seed: of the path.
        name: of the still: each goes its own way, whatever their order.
    Returns: (num_frames, 3, 3) float64.
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:8]))
    speed_px = random.uniform(*motion.speed_px) * size[1] / 480
    velocities = _velocities(random, motion.num_frames - 1)  # (T-1, 6)
    # Parameters at frame t are minus the sum of the velocities still to come, so they end at 0, the still.
    path = np.zeros((motion.num_frames, velocities.shape[1]))
    path[:-1] = -np.cumsum(velocities[::-1], axis=0)[::-1]
    if motion.num_frames == 1 or speed_px == 0:
        return np.broadcast_to(np.eye(3), (motion.num_frames, 3, 3)).copy()
    scale = speed_px / _mean_flow_px(_homographies(path, size), size)
    for _ in range(3):  # flow is nearly linear in the parameters, so this settles at once
        scale *= speed_px / _mean_flow_px(_homographies(path * scale, size), size)
    return _homographies(path * scale, size)


def view(rgb: Rgb, homography: NDArray[np.float64]) -> Rgb:
    """The still seen by the camera at another place; beyond its border it goes on as in a mirror.

    Args:
        rgb: (H, W, 3) uint8.
        homography: (3, 3), from the view's pixels to the still's; the identity returns the very pixels.
    Returns: (H, W, 3) uint8.
    """
    return _seen(rgb, homography, Image.Resampling.BICUBIC)


def view_labels(label: LabelMap, homography: NDArray[np.float64]) -> LabelMap:
    """The still's labels as `view` moves its pixels: of every pixel the label of the nearest one.

    Args:
        label: (H, W) uint8.
        homography: see `view`.
    Returns: (H, W) uint8.
    """
    return _seen(label, homography, Image.Resampling.NEAREST)


def _seen(
    picture: NDArray[np.uint8], homography: NDArray[np.float64], resampling: Image.Resampling
) -> NDArray[np.uint8]:
    if np.array_equal(homography, np.eye(3)):
        return picture.copy()
    height, width = picture.shape[:2]
    corners = np.array([(0, 0), (width, 0), (0, height), (width, height)], np.float64)
    seen = _mapped(homography, corners)
    beyond = max(0.0, -seen.min(), (seen - (width, height)).max())
    pad = int(np.ceil(beyond)) + 2  # 2 for the bicubic kernel
    padded = np.pad(picture, ((pad, pad), (pad, pad), (0, 0))[: picture.ndim], mode="symmetric")
    shift = np.array([[1, 0, pad], [0, 1, pad], [0, 0, 1]], np.float64)
    coefficients = shift @ homography
    coefficients = (coefficients / coefficients[2, 2]).ravel()[:8]
    image = Image.fromarray(padded).transform(
        (width, height), Image.Transform.PERSPECTIVE, tuple(coefficients.tolist()), resampling
    )
    return np.asarray(image).copy()


def flow_between(views: NDArray[np.float64], frame: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """The true backward motion of a frame: what is now at (x, y) was at (x + dx, y + dy) in the frame before.

    Args:
        views: (T, 3, 3), from `camera_views`.
        frame: 1..T-1.
        size: (height, width).
    Returns: (H, W, 2) float32, (dx, dy) in pixels.
    """
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    before = _mapped(np.linalg.inv(views[frame - 1]) @ views[frame], points)
    flow_px: NDArray[np.float32] = (before - points).reshape(*size, 2).astype(np.float32)
    return flow_px


def _velocities(random: np.random.Generator, num_steps: int) -> NDArray[np.float64]:
    """(num_steps, 6): the change of each parameter from a frame to the next, to be scaled to the speed."""
    shares = np.array(list(SHARES.values()))
    steady = random.normal(size=shares.size) * shares
    zoom = list(SHARES).index("zoom")
    # A later frame of a forward drive sees less of the scene, and larger, so its zoom parameter is smaller.
    steady[zoom] = -abs(steady[zoom]) if random.random() < FORWARD else abs(steady[zoom])
    phase, wave = random.uniform(0, 2 * np.pi, shares.size), random.uniform(0.25, 1.0, shares.size)
    swing = random.normal(size=shares.size) * shares * WANDER
    time = np.linspace(0, 1, max(num_steps, 1))[:num_steps, None]
    velocities: NDArray[np.float64] = steady + swing * np.sin(2 * np.pi * wave * time + phase)
    return velocities * 1e-3


def _homographies(path: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """(T, 6) parameters -> (T, 3, 3); zeros give the identity, exactly."""
    height, width = size
    half = width / 2
    views = np.empty((len(path), 3, 3))
    for index, (pan_x, pan_y, zoom, roll, tilt_x, tilt_y) in enumerate(path):
        if not path[index].any():
            views[index] = np.eye(3)
            continue
        cosine, sine = np.exp(zoom) * np.cos(roll), np.exp(zoom) * np.sin(roll)
        centred = np.array([[cosine, -sine, pan_x], [sine, cosine, pan_y], [tilt_x, tilt_y, 1.0]])
        to_centred = np.array([[1 / half, 0, -1], [0, 1 / half, -height / width], [0, 0, 1]])
        from_centred = np.array([[half, 0, half], [0, half, height / 2], [0, 0, 1]])
        views[index] = from_centred @ centred @ to_centred
    return views


def _mean_flow_px(views: NDArray[np.float64], size: tuple[int, int]) -> float:
    """The mean length of the motion from frame to frame, over a grid of points and all frames."""
    middles = (np.arange(GRID) + 0.5) / GRID
    x, y = np.meshgrid(middles * size[1], middles * size[0])
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    lengths = [
        np.linalg.norm(_mapped(np.linalg.inv(before) @ now, points) - points, axis=1).mean()
        for before, now in itertools.pairwise(views)
    ]
    return float(np.mean(lengths))


def _mapped(homography: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2) points (x, y) -> (n, 2)."""
    projected = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ homography.T
    mapped: NDArray[np.float64] = projected[:, :2] / projected[:, 2:]
    return mapped

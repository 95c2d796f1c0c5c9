"""Where a street is made: the random numbers, the textures, and the list of what has been put up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vssbench.datasets.scenery import figures, surfaces
from vssbench.datasets.scenery.camera import focal_px, wall_chain
from vssbench.datasets.scenery.texture import Picture, Texture, build
from vssbench.datasets.scenery.things import LANE_M, VIEW_M, Ego, Standing


class Workshop:
    """Paints the textures and holds what is put up; lives only while a world is made.

    Args:
        rng: the source of everything.
        size: (height, width) of the frames.
        duration_s: how long the drive lasts.

    Attributes:
        ego: how the camera goes.
        length_m: of street to be filled.
        pavement_m: width of the (left, right) pavement.
        facades: pictures of house fronts.
        lights: brightness of the (left, right) side of the street.
        standing: what has been put up on road and pavements.
    """

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], duration_s: float) -> None:
        self.rng, self.duration_s = rng, duration_s
        self.focal = focal_px(size[1])
        self._fog = np.array((184, 190, 196), np.uint8)
        self.ego = _ego(rng)
        self.length_m = self.ego.z(duration_s) + VIEW_M
        self.pavement_m = (float(rng.uniform(3.2, 5.0)), float(rng.uniform(3.2, 5.0)))  # left, right
        self.standing: list[Standing] = []
        self.facades = [surfaces.facade(rng) for _ in range(10)]
        sunny, shady = 1.0, float(rng.uniform(0.55, 1.0))
        self.lights = (sunny, shady) if rng.random() < 0.5 else (shady, sunny)

    def uniform(self, low: float, high: float) -> float:
        """A random number between two."""
        return float(self.rng.uniform(low, high))

    def choose(self, textures: Sequence[Texture]) -> Texture:
        """One of several."""
        return textures[int(self.rng.integers(len(textures)))]

    def wall_texture(self, picture: Picture, label: int, *, light: float = 1.0) -> Texture:
        """A texture for a wall along the street, darkened by the light on it."""
        lit = picture._replace(colour=(picture.colour * light).astype(np.uint8))
        chain = wall_chain(self.focal, surfaces.WALL_TEXEL_M, 6)
        return build(lit, label, chain=chain, fog=self._fog)

    def figure_texture(self, picture: Picture, label: int) -> Texture:
        """A texture for what faces the camera."""
        return build(picture, label, chain=[(k, k) for k in range(7)], fog=self._fog)

    def pole_texture(self) -> Texture:
        """A shaft of some paint."""
        return build(figures.pole(self.rng), surfaces.POLE, chain=[(k, k) for k in range(4)], fog=self._fog)


def _ego(rng: np.random.Generator) -> Ego:
    return Ego(
        speed=float(rng.uniform(3.6, 6.2)),
        surge_m=float(rng.uniform(0.2, 0.8)),
        lane_m=LANE_M + float(rng.uniform(-0.25, 0.35)),
        horizon=float(rng.uniform(0.43, 0.5)),
        weave_m=float(rng.uniform(0.1, 0.35)),
        yaw=float(rng.uniform(0.01, 0.03)),
        pitch_px=float(rng.uniform(0.5, 1.5)),
        rates=(
            float(rng.uniform(0.5, 1.2)),
            float(rng.uniform(0.6, 1.4)),
            float(rng.uniform(0.9, 2.0)),
            float(rng.uniform(3.0, 6.0)),
        ),
        phases=(
            float(rng.uniform(0, math.tau)),
            float(rng.uniform(0, math.tau)),
            float(rng.uniform(0, math.tau)),
            float(rng.uniform(0, math.tau)),
        ),
    )

"""The records of a street: what stands, what moves, and how the camera goes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vssbench.datasets.scenery.camera import Camera, Ground
from vssbench.datasets.scenery.texture import Packed, Texture

VIEW_M = 90.0  # nothing farther is drawn, bar the skyline
LANE_M = -1.6  # the ego lane's middle; the traffic drives on the left


@dataclass(frozen=True, kw_only=True, eq=False)
class Figure:
    """A flat picture that faces the camera: at (x, z) metres at time 0, moving at (vx, vz) m/s."""

    pictures: tuple[Texture, ...]
    size_m: tuple[float, float]  # (height, width)
    x: float
    z: float
    vx: float = 0.0
    vz: float = 0.0
    bottom_m: float = 0.0
    pictures_per_s: float = 0.0
    mirrored: bool = False
    shadow_m: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Car:
    """A car whose near end is at (x, z) at time 0, moving at vz m/s along the street."""

    end: Texture  # rear or front, whichever we see
    shell: Texture
    side: Texture
    length_m: float
    width_m: float
    height_m: float
    x: float
    z: float
    vz: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Wall:
    """An upright surface from start to end, both (x, z) metres."""

    texture: Texture
    start: tuple[float, float]
    end: tuple[float, float]
    top_m: float
    bottom_m: float = 0.0
    repeats: float = 1.0

    @property
    def z(self) -> float:
        """Of the nearer end."""
        return min(self.start[1], self.end[1])


Standing = Figure | Car | Wall


@dataclass(frozen=True, kw_only=True, eq=False)
class Ego:
    """How the camera moves: speed in m/s, and slow swings of position, heading and pitch."""

    speed: float
    surge_m: float
    lane_m: float  # x it keeps to
    weave_m: float
    yaw: float
    horizon: float  # share of the image above it, on average
    pitch_px: float  # of an image 480 wide
    rates: tuple[float, float, float, float]  # rad/s
    phases: tuple[float, float, float, float]

    def z(self, time_s: float) -> float:
        """Metres along the street."""
        return self.speed * time_s + self._swing(0, self.surge_m, time_s)

    def _swing(self, which: int, amount: float, time_s: float) -> float:
        return amount * round(math.sin(self.rates[which] * time_s + self.phases[which]), 9)

    def camera(self, time_s: float, size: tuple[int, int]) -> Camera:
        """The camera at a time, for an image of a size."""
        return Camera(
            size=size,
            x=self.lane_m + self._swing(1, self.weave_m, time_s),
            z=self.z(time_s),
            yaw=self._swing(2, self.yaw, time_s),
            horizon=self.horizon * size[0] + self._swing(3, self.pitch_px, time_s) * size[1] / 480,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """All that can be drawn. `behind` is in drawing order; `standing` is sorted anew for each frame."""

    ego: Ego
    ground: Ground
    sky: Packed
    sky_origin: tuple[int, int]  # (row of the horizon, column seen straight ahead)
    behind: list[list[Standing]]
    standing: list[Standing]

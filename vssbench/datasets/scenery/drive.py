"""One drive down a street: any frame and its label map, by its number alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vssbench.datasets.scenery.camera import Camera, draw_figure, draw_ground, draw_shadow, draw_wall
from vssbench.datasets.scenery.texture import VOID, Packed
from vssbench.datasets.scenery.things import VIEW_M, Car, Figure, Standing, Wall, World
from vssbench.datasets.scenery.world import build_world, generator
from vssbench.records import IGNORE, LabelMap, Rgb

# share of the body's height at slices from the near end to the far end of a car
CAR_PROFILE = ((0.0, 0.62), (0.1, 0.75), (0.2, 0.97), (0.5, 1.0), (0.72, 0.78), (0.98, 0.6))
LONGEST_M = 5.0  # what begins that far behind the camera is out of sight
NOISE_STEP = 61  # shifts of the noise bank, in pixels


class Drive:
    """The frames of one video.

    Args:
        seed: names the street; another seed is another street.
        size: (height, width) in pixels.
        fps: frames per second.
        num_frames: how many there are.
    """

    def __init__(self, *, seed: int, size: tuple[int, int], fps: float, num_frames: int) -> None:
        self.size, self.fps, self.seed = size, fps, seed
        self.world: World = build_world(seed, size, num_frames / fps)
        rng = generator(seed, 2)
        bank = rng.integers(0, 3, (4, size[0] + NOISE_STEP, size[1] + NOISE_STEP, 3), np.int8)
        self._noise = (bank.sum(axis=0, dtype=np.int8) - 4).astype(np.int16)  # near normal, deviation 1.6
        self._light = rng.uniform((0.9, 0.05, 0.8, 0.0, 0.94, 0.94), (1.1, 0.14, 2.5, math.tau, 1.06, 1.06)).tolist()

    def camera(self, index: int) -> Camera:
        """Where the camera is in a frame."""
        return self.world.ego.camera(index / self.fps, self.size)

    def render(self, index: int) -> tuple[Rgb, LabelMap]:
        """Frame and label map of one index; no other frame is needed for it."""
        canvas = self._scene(index)
        label = ((canvas >> np.uint32(24)) & np.uint32(15)).astype(np.uint8)
        label[label == VOID] = IGNORE
        return self._expose(_soften(canvas), index), label

    def _scene(self, index: int) -> Packed:
        time_s, camera = index / self.fps, self.camera(index)
        canvas = self._sky(camera)
        draw_ground(canvas, camera, self.world.ground)
        for segment in self.world.behind:
            for part in segment:
                _draw(canvas, camera, part, time_s)
        seen = [(_depth_now(item, time_s), n) for n, item in enumerate(self.world.standing)]
        seen = [pair for pair in seen if camera.z - LONGEST_M < pair[0] < camera.z + VIEW_M]
        for _, n in sorted(seen, reverse=True):
            _draw(canvas, camera, self.world.standing[n], time_s)
        return canvas

    def _sky(self, camera: Camera) -> Packed:
        row, column = self.world.sky_origin
        top = row - round(camera.horizon)
        left = column + round(camera.yaw * camera.focal)
        height, width = self.size
        return self.world.sky[top : top + height, left : left + width].copy()

    def _expose(self, canvas: Packed, index: int) -> Rgb:
        """Colours (H, W, 3) under the light of the moment, with sensor noise."""
        rng = generator(self.seed, 3, index)
        height, width = self.size
        level, swing, rate, phase, red, blue = self._light
        gain = (
            level * (1 + swing * round(math.sin(rate * index / self.fps + phase), 9)) * float(rng.uniform(0.985, 1.015))
        )
        steps = np.arange(256)
        tables = [np.minimum(np.rint(steps * gain * balance), 255).astype(np.int16) for balance in (red, 1.0, blue)]
        colour = canvas.view(np.uint8).reshape(height, width, 4)
        frame = np.stack([table.take(colour[..., c]) for c, table in enumerate(tables)], axis=-1)
        for y, x in rng.integers(0, NOISE_STEP, (2, 2)):
            frame += self._noise[y : y + height, x : x + width]
        return np.asarray(np.clip(frame, 0, 255), np.uint8)


def _soften(canvas: Packed) -> Packed:
    """The lens: a 1-6-1 blur both ways, four bytes at a time."""
    for axis in (0, 1):
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -2), slice(2, None)
        middle: list[slice] = [slice(None)] * 2
        middle[axis] = slice(1, -1)
        mixed = canvas.copy()
        part = mixed[tuple(middle)]
        sides = _mean(canvas[tuple(before)], canvas[tuple(after)])
        part[:] = _mean(_mean(sides, part), part)
        canvas = mixed
    return canvas


def _mean(a: Packed, b: Packed) -> NDArray[np.uint32]:
    return (a & b) + (((a ^ b) & np.uint32(0xFEFEFEFE)) >> np.uint32(1))


def _depth_now(item: Standing, time_s: float) -> float:
    return item.z if isinstance(item, Wall) else item.z + item.vz * time_s


def _draw(canvas: Packed, camera: Camera, item: Standing, time_s: float) -> None:
    if isinstance(item, Wall):
        if camera.z < max(item.start[1], item.end[1]) and item.z < camera.z + VIEW_M + 15:
            draw_wall(
                canvas, camera, item.texture, start=item.start, end=item.end,
                bottom_m=item.bottom_m, top_m=item.top_m, repeats=item.repeats,
            )  # fmt: skip
    elif isinstance(item, Car):
        _draw_car(canvas, camera, item, item.z + item.vz * time_s)
    else:
        _draw_standing(canvas, camera, item, time_s)


def _draw_standing(canvas: Packed, camera: Camera, item: Figure, time_s: float) -> None:
    at = (item.x + item.vx * time_s, item.z + item.vz * time_s)
    if not camera.z < at[1] < camera.z + VIEW_M + 15:
        return
    if item.shadow_m:
        draw_shadow(canvas, camera, at=at, size_m=(item.shadow_m * 0.6, item.shadow_m), rounded=True)
    picture = item.pictures[int(item.pictures_per_s * time_s) % len(item.pictures)]
    draw_figure(canvas, camera, picture, at=at, bottom_m=item.bottom_m, size_m=item.size_m, mirrored=item.mirrored)


def _draw_car(canvas: Packed, camera: Camera, car: Car, z: float) -> None:
    """Slices of the body from far to near, then the flank that faces the camera."""
    size = (car.height_m, car.width_m)
    draw_shadow(canvas, camera, at=(car.x, z + car.length_m / 2), size_m=(car.length_m, car.width_m), rounded=False)
    slices = CAR_PROFILE if z - camera.z < 30 else CAR_PROFILE[:1] + CAR_PROFILE[2:4]
    for along, share in reversed(slices[1:]):
        at = (car.x, z + along * car.length_m)
        draw_figure(canvas, camera, car.shell, at=at, bottom_m=0.0, size_m=size, shown=share)
    flank = car.x - car.width_m / 2 if car.x > camera.x else car.x + car.width_m / 2
    if abs(car.x - camera.x) > car.width_m / 2:
        ends = (flank, z), (flank, z + car.length_m)
        draw_wall(canvas, camera, car.side, start=ends[0], end=ends[1], bottom_m=0.0, top_m=car.height_m)
    draw_figure(canvas, camera, car.end, at=(car.x, z), bottom_m=0.0, size_m=size, shown=slices[0][1])
    draw_figure(canvas, camera, car.end, at=(car.x, z + 0.05 * car.length_m), bottom_m=0.0, size_m=size)

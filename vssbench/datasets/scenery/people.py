"""Who walks on the pavements, and who crosses the road."""

from __future__ import annotations

from vssbench.datasets.scenery import figures, surfaces
from vssbench.datasets.scenery.surfaces import ROAD_HALF_M
from vssbench.datasets.scenery.texture import Texture
from vssbench.datasets.scenery.things import LANE_M, Figure
from vssbench.datasets.scenery.workshop import Workshop


def put_people(shop: Workshop) -> None:
    """Walkers on both pavements, and some who cross the road ahead of the camera."""
    along = [_walker(shop, side=False) for _ in range(6)]
    across = [_walker(shop, side=True) for _ in range(3)]
    for side, sign in ((0, -1), (1, 1)):
        z = shop.uniform(5, 9)
        while z < shop.length_m:
            x = sign * (ROAD_HALF_M + shop.uniform(0.8, shop.pavement_m[side] - 0.4))
            _put_walker(shop, along[int(shop.rng.integers(len(along)))], x, z)
            z += shop.uniform(3, 9)
    for _ in range(max(2, round(shop.duration_s))):
        look, tall = across[int(shop.rng.integers(len(across)))], shop.uniform(1.55, 1.9)
        put_crossing(shop, look, size_m=(tall, tall / 2), speeds=(0.9, 1.7), pictures_per_s=6.0)


def _walker(shop: Workshop, *, side: bool) -> tuple[Texture, ...]:
    return tuple(shop.figure_texture(p, surfaces.PEDESTRIAN) for p in figures.pedestrian(shop.rng, side=side))


def _put_walker(shop: Workshop, look: tuple[Texture, ...], x: float, z: float) -> None:
    tall, speed = shop.uniform(1.55, 1.9), shop.uniform(0.7, 1.6)
    shop.standing.append(
        Figure(
            pictures=look,
            size_m=(tall, tall / 2),
            x=x,
            z=z,
            vz=speed if shop.rng.random() < 0.5 else -speed,
            pictures_per_s=shop.uniform(4, 7),
            shadow_m=0.5,
        )
    )


def put_crossing(
    shop: Workshop,
    look: tuple[Texture, ...],
    *,
    size_m: tuple[float, float],
    speeds: tuple[float, float],
    pictures_per_s: float,
) -> None:
    """Someone crossing the road, at one of the speeds in between, where the camera will not run through them."""
    for _ in range(30):
        direction = 1 if shop.rng.random() < 0.5 else -1
        vx = direction * shop.uniform(*speeds)
        when = shop.uniform(0, shop.duration_s)
        z = shop.ego.z(when) + shop.uniform(9, 20)
        x = shop.uniform(-3.5, 4.5) - vx * when
        passed = (z - shop.ego.z(0)) / shop.ego.speed
        if passed > shop.duration_s + 0.7 or abs(x + vx * passed - LANE_M) > 2.5:
            figure = Figure(
                pictures=look,
                size_m=size_m,
                x=x,
                z=z,
                vx=vx,
                pictures_per_s=pictures_per_s,
                mirrored=direction < 0,
                shadow_m=0.8,
            )
            shop.standing.append(figure)
            return

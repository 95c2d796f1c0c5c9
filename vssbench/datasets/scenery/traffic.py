"""What is on the road: cars and cyclists."""

from __future__ import annotations

from vssbench.datasets.scenery import figures, surfaces
from vssbench.datasets.scenery.people import put_crossing
from vssbench.datasets.scenery.texture import Texture
from vssbench.datasets.scenery.things import Car, Figure
from vssbench.datasets.scenery.workshop import Workshop

Look = tuple[Texture, ...]


def put_traffic(shop: Workshop) -> None:
    """Cars ahead, oncoming and parked; cyclists ahead, oncoming and crossing."""
    looks = [_car_textures(shop) for _ in range(6)]
    riders = [_rider_textures(shop, side=False) for _ in range(3)]
    parked_left = bool(shop.rng.random() < 0.4)
    _put_parked(shop, looks, left=parked_left)
    x = shop.uniform(-2.4, -1.4) if parked_left else shop.uniform(-3.4, -2.6)
    near, far = shop.uniform(7, 12), shop.uniform(8, 16)
    _put_rider_ahead(shop, riders[0], x, near, far)
    if shop.rng.random() < 0.6:
        _put_rider_ahead(shop, riders[1], x - 0.3, near + shop.uniform(2.5, 5), far + shop.uniform(2.5, 6))
    lead = max(near, far) + shop.uniform(5, 12)
    speed = shop.ego.speed + shop.uniform(-1, 3) / shop.duration_s
    _put_car(shop, looks, x=shop.uniform(-1.9, -1.3), z=lead, vz=speed, toward=False)
    _put_oncoming(shop, looks, riders[2], beside_m=2.8 if parked_left else 2.3)
    across = _rider_textures(shop, side=True)
    for _ in range(max(1, round(shop.duration_s / 3))):
        put_crossing(shop, across, size_m=(1.75, 1.75), speeds=(2.0, 3.5), pictures_per_s=8.0)


def _car_textures(shop: Workshop) -> dict[str, Texture]:
    pictures = figures.car(shop.rng)
    side = shop.wall_texture(pictures.pop("side"), surfaces.CAR)
    return {"side": side} | {name: shop.figure_texture(p, surfaces.CAR) for name, p in pictures.items()}


def _rider_textures(shop: Workshop, *, side: bool) -> Look:
    return tuple(shop.figure_texture(p, surfaces.BICYCLIST) for p in figures.cyclist(shop.rng, side=side))


def _put_parked(shop: Workshop, looks: list[dict[str, Texture]], *, left: bool) -> None:
    z = shop.uniform(3, 14)
    while z < shop.length_m:
        _put_car(shop, looks, x=-3.45 if left else 3.5, z=z, vz=0.0, toward=not left)
        z += shop.uniform(5.2, 6.2) if shop.rng.random() < 0.4 else shop.uniform(13, 36)


def _put_oncoming(shop: Workshop, looks: list[dict[str, Texture]], rider: Look, *, beside_m: float) -> None:
    z = shop.uniform(12, 25)
    while z < shop.length_m + 8 * shop.duration_s:
        _put_car(shop, looks, x=shop.uniform(1.3, 1.8), z=z, vz=-shop.uniform(6.5, 7.5), toward=True)
        z += shop.uniform(16, 45)
        if shop.rng.random() < 0.6:
            x = beside_m + shop.uniform(0, 0.4)
            _put_rider(shop, rider, x, z + shop.uniform(-8, 8), -shop.uniform(3.5, 5))


def _put_car(shop: Workshop, looks: list[dict[str, Texture]], *, x: float, z: float, vz: float, toward: bool) -> None:
    look = looks[int(shop.rng.integers(len(looks)))]
    shop.standing.append(
        Car(
            end=look["front" if toward else "rear"],
            shell=look["shell"],
            side=look["side"],
            length_m=shop.uniform(3.8, 4.6),
            width_m=shop.uniform(1.68, 1.8),
            height_m=shop.uniform(1.4, 1.6),
            x=x,
            z=z,
            vz=vz,
        )
    )


def _put_rider_ahead(shop: Workshop, look: Look, x: float, near: float, far: float) -> None:
    """A rider who goes from `near` metres ahead of the camera at the start to `far` at the end."""
    _put_rider(shop, look, x, near, shop.ego.speed + (far - near) / shop.duration_s)


def _put_rider(shop: Workshop, look: Look, x: float, z: float, vz: float) -> None:
    rate = shop.uniform(4, 7)
    shop.standing.append(Figure(pictures=look, size_m=(1.8, 0.9), x=x, z=z, vz=vz, pictures_per_s=rate, shadow_m=0.7))

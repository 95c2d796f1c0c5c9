"""What stands on the pavements: lamps, signs, signal heads, rails, bins and trees."""

from __future__ import annotations

from vssbench.datasets.scenery import figures, surfaces
from vssbench.datasets.scenery.surfaces import ROAD_HALF_M
from vssbench.datasets.scenery.texture import VOID, Texture
from vssbench.datasets.scenery.things import Figure, Wall
from vssbench.datasets.scenery.workshop import Workshop


def put_furniture(shop: Workshop) -> None:
    """Line both kerbs; every few metres something else."""
    rng = shop.rng
    poles = [shop.pole_texture() for _ in range(3)]
    signs = [shop.figure_texture(figures.sign(rng, kind), surfaces.SIGN) for kind in range(figures.SIGN_KINDS)]
    rails = [shop.wall_texture(surfaces.railing(rng), surfaces.FENCE) for _ in range(2)]
    bins = shop.figure_texture(figures.bin_(rng), VOID)
    trees = [shop.figure_texture(make(rng), surfaces.TREE) for make in (figures.leafy_tree, figures.bare_tree)]
    for side, sign in ((0, -1), (1, 1)):
        kerb = sign * (ROAD_HALF_M + 0.4)
        z, railed = shop.uniform(2, 8), 0.0
        while z < shop.length_m:
            _put_lamp_or_sign(shop, poles, signs, sign, kerb, z)
            if rng.random() < 0.35:
                _put_shop_sign(shop, signs[5], sign * (ROAD_HALF_M + shop.pavement_m[side] - 0.9), z)
            if rng.random() < 0.3:
                shop.standing.append(Figure(pictures=(bins,), size_m=(1.0, 0.7), x=kerb, z=z + 1.6))
            if rng.random() < 0.35 or z - railed > 18:  # no street without a fence
                _put_rails(shop, rails[side], kerb, z + 2.5)
                railed = z
            if rng.random() < 0.3:
                _put_tree(shop, trees, kerb + sign * 0.4, z)
            z += shop.uniform(6, 11)


def _put_shop_sign(shop: Workshop, texture: Texture, x: float, z: float) -> None:
    shop.standing.append(
        Figure(pictures=(texture,), size_m=(0.8, 0.7), x=x, z=z + shop.uniform(2, 5), bottom_m=shop.uniform(2.6, 3.4))
    )


def _put_rails(shop: Workshop, texture: Texture, x: float, z: float) -> None:
    """Two to four lengths of kerb rail; short ones, so that sorting by the near end is right."""
    for i in range(int(shop.rng.integers(2, 5))):
        start = z + 2 * i
        shop.standing.append(Wall(texture=texture, start=(x, start), end=(x, start + 2), top_m=1.05))


def _put_tree(shop: Workshop, textures: list[Texture], x: float, z: float) -> None:
    tall = shop.uniform(5, 7.5)
    shop.standing.append(
        Figure(pictures=(shop.choose(textures),), size_m=(tall, tall * 0.8), x=x, z=z + shop.uniform(3, 7))
    )


def _put_lamp_or_sign(
    shop: Workshop, poles: list[Texture], signs: list[Texture], sign: int, kerb: float, z: float
) -> None:
    shaft = (shop.choose(poles),)
    if shop.rng.random() < 0.4:
        tall = shop.uniform(5.5, 8)
        parts = (  # shaft, arm, lamp: (height, width), x, lower edge
            ((tall, shop.uniform(0.12, 0.18)), kerb, 0.0),
            ((0.1, 1.2), kerb - sign * 0.6, tall - 0.1),
            ((0.18, 0.5), kerb - sign * 1.3, tall - 0.2),
        )
        for size_m, x, bottom_m in parts:
            shop.standing.append(Figure(pictures=shaft, size_m=size_m, x=x, z=z, bottom_m=bottom_m))
        return
    tall = shop.uniform(2.6, 3.6)
    shop.standing.append(Figure(pictures=shaft, size_m=(tall, shop.uniform(0.08, 0.13)), x=kerb, z=z))
    kind = int(shop.rng.integers(5))
    size_m = ((0.75, 0.75), (0.75, 0.75), (0.85, 0.85), (0.8, 1.3), (1.1, 1.1))[kind]
    plates = [(signs[kind], size_m, tall - size_m[0] + 0.1)]
    if shop.rng.random() < 0.3:
        plates.append((signs[1], (0.5, 0.5), tall - size_m[0] - 0.5))
    for texture, size_m, bottom_m in plates:
        shop.standing.append(Figure(pictures=(texture,), size_m=size_m, x=kerb, z=z - 0.06, bottom_m=bottom_m))

"""Both sides of the street behind the pavements: houses, and gardens between them."""

from __future__ import annotations

import math

from vssbench.datasets.scenery import figures, surfaces
from vssbench.datasets.scenery.surfaces import ROAD_HALF_M
from vssbench.datasets.scenery.texture import Texture
from vssbench.datasets.scenery.things import Figure, Standing, Wall
from vssbench.datasets.scenery.workshop import Workshop


def houses_and_gardens(shop: Workshop) -> list[list[Standing]]:
    """Both rows of houses and gardens, each segment a list in drawing order, far segments first."""
    park = int(shop.rng.integers(4))  # 0 left, 1 right: a park instead of houses
    segments = [segment for side in (0, 1) for segment in _row(shop, side, 0.25 if park == side else 0.78)]
    segments.sort(key=lambda segment: -segment[0])
    return [parts for _, parts in segments]


def _row(shop: Workshop, side: int, house_share: float) -> list[tuple[float, list[Standing]]]:
    """The segments of one side, left 0 or right 1, each with the z where it begins."""
    sign, edge = (-1, 1)[side], ROAD_HALF_M + shop.pavement_m[side]
    fronts = [shop.wall_texture(p, surfaces.BUILDING, light=shop.lights[side]) for p in shop.facades[side::2]]
    gable = shop.wall_texture(surfaces.gable(shop.rng, 176), surfaces.BUILDING, light=0.8)
    garden = _GardenTextures(shop)
    segments: list[tuple[float, list[Standing]]] = []
    z, last = -10.0, -1
    while z < shop.length_m + 15:
        if shop.rng.random() < house_share:
            last = (last + 1 + int(shop.rng.integers(len(fronts) - 1))) % len(fronts)  # never twice in a row
            long = float(fronts[last].width[0]) * surfaces.WALL_TEXEL_M
            parts = _house(fronts[last], gable, sign * (edge + shop.uniform(0, 0.8)), z, z + long)
        else:
            long = shop.uniform(6, 14)
            parts = _garden(shop, garden, sign * edge, z, z + long)
        segments.append((z, parts))
        z += long
    return segments


def _house(front: Texture, gable: Texture, x: float, z0: float, z1: float) -> list[Standing]:
    tall, out = float(front.height[0]) * surfaces.WALL_TEXEL_M, x + math.copysign(9.6, x)
    return [
        Wall(texture=gable, start=(x, z0), end=(out, z0), top_m=tall - 1.1),  # under the chimneys
        Wall(texture=front, start=(x, z0), end=(x, z1), top_m=tall),
    ]


class _GardenTextures:
    def __init__(self, shop: Workshop) -> None:
        fences = (surfaces.railing, surfaces.railing, surfaces.palings)
        self.fences = [shop.wall_texture(make(shop.rng), surfaces.FENCE) for make in fences]
        self.hedge = shop.wall_texture(surfaces.hedge(shop.rng), surfaces.TREE)
        self.belt = shop.wall_texture(surfaces.hedge(shop.rng), surfaces.TREE, light=0.8)
        trees = (figures.leafy_tree, figures.leafy_tree, figures.bare_tree)
        self.trees = [shop.figure_texture(make(shop.rng), surfaces.TREE) for make in trees]


def _garden(shop: Workshop, textures: _GardenTextures, x: float, z0: float, z1: float) -> list[Standing]:
    """From back to front: a belt of bushes, trees, sometimes a hedge, and the fence at x."""
    long, sign = z1 - z0, math.copysign(1, x)

    def wall(texture: Texture, back_m: float, over_m: float, top_m: float, repeats: float) -> Wall:
        start, end = (x + sign * back_m, z0 - over_m), (x + sign * back_m, z1 + over_m)
        return Wall(texture=texture, start=start, end=end, top_m=top_m, repeats=repeats)

    parts: list[Standing] = [wall(textures.belt, 9, 6, shop.uniform(2.5, 4.5), long / 4)]
    for z in sorted((shop.uniform(z0 + 1, z1) for _ in range(max(1, round(long / 4)))), reverse=True):
        tall = shop.uniform(5, 9)
        texture, off = shop.choose(textures.trees), sign * shop.uniform(2, 6)
        parts.append(Figure(pictures=(texture,), size_m=(tall, tall * 0.8), x=x + off, z=z))
    if shop.rng.random() < 0.4:
        parts.append(wall(textures.hedge, 0.6, 0, shop.uniform(1.2, 2.0), round(long / 3)))
    fence = shop.choose(textures.fences)
    parts.append(wall(fence, 0, 0, shop.uniform(1.3, 2.0), max(1, round(long / 2.4))))
    return parts

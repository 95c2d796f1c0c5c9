"""A whole street from a seed."""

from __future__ import annotations

import math

import numpy as np

from vssbench.datasets.scenery import surfaces
from vssbench.datasets.scenery.camera import Ground, focal_px, ground_chain
from vssbench.datasets.scenery.furniture import put_furniture
from vssbench.datasets.scenery.houses import houses_and_gardens
from vssbench.datasets.scenery.people import put_people
from vssbench.datasets.scenery.texture import Mask, Packed, Picture, build, from_levels
from vssbench.datasets.scenery.things import Ego, World
from vssbench.datasets.scenery.traffic import put_traffic
from vssbench.datasets.scenery.workshop import Workshop
from vssbench.records import Rgb

GENERATOR_VERSION = 5  # raise it whenever a pixel or a label changes


def build_world(seed: int, size: tuple[int, int], duration_s: float) -> World:
    """Make the street of a seed.

    Args:
        seed: names the street.
        size: (height, width) the frames will have; sets how far textures are reduced, not where things are.
        duration_s: how long the drive lasts; things are placed along all of it.
    """
    rng, sky_rng = (generator(seed, stream) for stream in (0, 1))
    shop = Workshop(rng, size, duration_s)
    sky, sky_origin = _sky(sky_rng, shop.ego, size)
    ground = _ground(*surfaces.ground_picture(rng), shop.focal)
    behind = houses_and_gardens(shop)
    put_furniture(shop)
    put_people(shop)
    put_traffic(shop)
    return World(ego=shop.ego, ground=ground, sky=sky, sky_origin=sky_origin, behind=behind, standing=shop.standing)


def generator(*words: int) -> np.random.Generator:
    """The random numbers named by a few integers, the same on every machine."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def _sky(rng: np.random.Generator, ego: Ego, size: tuple[int, int]) -> tuple[Packed, tuple[int, int]]:
    """The sky with a margin for yaw and pitch, and (row of the horizon, first column seen straight ahead)."""
    scale = size[1] / 480
    margin = math.ceil(ego.yaw * focal_px(size[1])) + 2
    sway = math.ceil(ego.pitch_px * scale) + 2
    above = math.ceil(ego.horizon * size[0]) + sway
    below = math.ceil((1 - ego.horizon) * size[0]) + sway
    canvas = surfaces.sky_canvas(rng, width=size[1] + 2 * margin, above=above, below=below, scale=scale)
    return canvas, (above, margin)


def _ground(picture: Rgb, road: Mask, focal: float) -> Ground:
    chain = ground_chain(focal, surfaces.GROUND_TEXEL_M, 9)
    texture = build(Picture(picture, np.ones(road.shape, bool)), surfaces.ROAD, chain=chain)
    to_pavement = np.uint32((surfaces.ROAD ^ surfaces.PAVEMENT) << 24)
    levels = []
    for level, (_, power) in zip(texture.levels, chain, strict=False):
        on_road = road[0].reshape(-1, 2**power).mean(axis=1) >= 0.5
        levels.append(np.where(on_road, level, level ^ to_pavement))
    return Ground(
        texture=from_levels(levels, texture.columns_per_texel, see_through=False),
        texel_m=surfaces.GROUND_TEXEL_M,
    )

"""The figures of a street: people, cyclists, cars, trees, poles and signs, each painted from a seed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vssbench.datasets.scenery.shapes import Painter, shaded, smooth_noise
from vssbench.datasets.scenery.surfaces import foliage
from vssbench.datasets.scenery.texture import Picture
from vssbench.records import Rgb

PHASES = 4  # pictures of one stride, or of one turn of the pedals
Colour = NDArray[np.float64]

CLOTHES = (
    (30, 32, 38), (48, 60, 92), (120, 36, 40), (150, 146, 138), (60, 72, 56), (190, 186, 176), (92, 74, 60),
    (34, 84, 96), (176, 120, 60), (96, 92, 98), (70, 40, 70), (206, 200, 60),
)  # fmt: skip
CAR_COLOURS = (
    (34, 36, 40), (176, 180, 184), (120, 124, 130), (214, 214, 212), (130, 28, 32), (36, 52, 104),
    (56, 84, 62), (170, 150, 110), (74, 78, 86), (60, 96, 130),
)  # fmt: skip
SKIN = ((206, 164, 138), (150, 106, 82), (96, 68, 54), (222, 184, 160))


def _pick(rng: np.random.Generator, colours: tuple[tuple[int, int, int], ...]) -> Colour:
    chosen = np.array(colours[int(rng.integers(len(colours)))], np.float64)
    return np.clip(chosen + rng.integers(-10, 11, 3), 5, 250)


def _cloth(rng: np.random.Generator, painter: Painter, colour: Colour) -> Rgb:
    size = painter.opaque.shape
    return shaded(colour, (0.75 + 0.4 * smooth_noise(rng, size, 8)) * np.linspace(1.15, 0.85, size[1])[None])


def pedestrian(rng: np.random.Generator, *, side: bool) -> list[Picture]:
    """One walker, PHASES pictures of (128, 64) for a height of 1; seen along or across the way."""
    coat, legs, skin = _pick(rng, CLOTHES), _pick(rng, CLOTHES) * 0.7, _pick(rng, SKIN)
    hair = _pick(rng, ((40, 32, 28), (90, 66, 44), (150, 130, 96), (20, 20, 22)))
    long_coat, bag, stout = bool(rng.random() < 0.4), bool(rng.random() < 0.5), float(rng.uniform(0.85, 1.2))
    wide = (0.07 if side else 0.105) * stout
    pictures = []
    for swing in (0.0, 1.0, 0.0, -1.0):
        painter = Painter((128, 64))
        cloth, trousers = _cloth(rng, painter, coat), _cloth(rng, painter, legs)
        _paint_legs(painter, trousers, swing, stout, side=side)
        painter.fill(painter.limb((0, 0.24), (0, 0.66 if long_coat else 0.5), (wide, wide * 0.95)), cloth)
        _paint_arms(painter, (cloth * 0.85).astype(np.uint8), skin, swing, wide, side=side)
        painter.fill(painter.ellipse((0.0, 0.08), (0.052, 0.068)), skin)
        painter.fill(painter.ellipse((0.0, 0.055), (0.056, 0.05)), hair)
        if bag:
            painter.fill(painter.limb((wide, 0.5), (wide, 0.6), (0.05, 0.05)), 195 - coat * 0.6)
        pictures.append(painter.picture())
    return pictures


def _paint_legs(painter: Painter, trousers: Rgb, swing: float, stout: float, *, side: bool) -> None:
    spread = 0.13 * swing if side else 0.0
    hip, lift = (0.0 if side else 0.045), 0.05 * abs(swing)
    for sign in (-1, 1):
        foot = (sign * (hip + spread), 0.97 - (lift if swing * sign < 0 else 0))
        knee = (foot[0] * 0.6 + (0.03 if side else 0.0), 0.74)
        painter.fill(painter.limb((sign * hip * 0.8, 0.52), knee, (0.05 * stout, 0.04)), trousers)
        painter.fill(painter.limb(knee, foot, (0.038, 0.026)), trousers)
        painter.fill(painter.ellipse((foot[0] + (0.02 if side else 0), 0.98), (0.04, 0.018)), (28, 26, 26))


def _paint_arms(painter: Painter, sleeve: Rgb, skin: Colour, swing: float, wide: float, *, side: bool) -> None:
    spread = 0.13 * swing
    for sign in (-1, 1):
        hand = (-spread * sign * 1.2, 0.54) if side else (sign * (wide + 0.035), 0.54 + 0.03 * swing * sign)
        shoulder = (0.0 if side else sign * wide * 0.95, 0.23)
        painter.fill(painter.limb(shoulder, hand, (0.035, 0.025)), sleeve)
        painter.fill(painter.ellipse(hand, (0.02, 0.02)), skin)


def cyclist(rng: np.random.Generator, *, side: bool) -> list[Picture]:
    """One rider on a bicycle, PHASES pictures; (128, 64) seen along the way, (128, 128) seen across it."""
    coat, legs, skin = _pick(rng, CLOTHES), _pick(rng, CLOTHES) * 0.7, _pick(rng, SKIN)
    frame = _pick(rng, CAR_COLOURS)
    helmet = _pick(rng, ((30, 30, 32), (200, 200, 196), (160, 40, 40), (60, 46, 36)))
    draw = _cyclist_across if side else _cyclist_along
    pictures = []
    for phase in range(PHASES):
        painter = Painter((128, 128 if side else 64))
        cloth, trousers = _cloth(rng, painter, coat), _cloth(rng, painter, legs)
        draw(painter, phase * math.tau / PHASES, cloth, trousers, frame)
        head = (0.14, 0.09) if side else (0.0, 0.08)
        painter.fill(painter.ellipse(head, (0.05, 0.065)), skin)
        painter.fill(painter.ellipse((head[0], head[1] - 0.025), (0.06, 0.045)), helmet)
        pictures.append(painter.picture())
    return pictures


def _cyclist_along(painter: Painter, turn: float, cloth: Rgb, trousers: Rgb, frame: Colour) -> None:
    painter.fill(painter.ellipse((0, 0.81), (0.024, 0.19)), (26, 26, 28))
    painter.fill(painter.box(-0.012, 0.66, 0.012, 0.95), (120, 120, 124))
    painter.fill(painter.box(-0.17, 0.46, 0.17, 0.475), frame)
    for sign in (-1, 1):
        foot = (sign * 0.07, 0.83 + 0.08 * sign * round(math.sin(turn), 6))
        knee = (sign * 0.1, foot[1] - 0.2)
        painter.fill(painter.limb((sign * 0.05, 0.52), knee, (0.052, 0.042)), trousers)
        painter.fill(painter.limb(knee, foot, (0.04, 0.028)), trousers)
        painter.fill(painter.ellipse(foot, (0.034, 0.018)), (30, 28, 28))
        painter.fill(painter.limb((sign * 0.09, 0.22), (sign * 0.16, 0.46), (0.036, 0.026)), cloth)
    painter.fill(painter.limb((0, 0.24), (0, 0.5), (0.108, 0.085)), cloth)
    painter.fill(painter.box(-0.018, 0.61, 0.018, 0.635), (190, 30, 30))


def _cyclist_across(painter: Painter, turn: float, cloth: Rgb, trousers: Rgb, frame: Colour) -> None:
    for x in (-0.3, 0.3):
        ring = painter.ellipse((x, 0.81), (0.185, 0.185)) & ~painter.ellipse((x, 0.81), (0.155, 0.155))
        painter.fill(ring, (26, 26, 28))
        painter.fill(painter.ellipse((x, 0.81), (0.02, 0.02)), (110, 110, 112))
    crank = (-0.02, 0.8)
    rear, front, saddle, head = (-0.3, 0.81), (0.3, 0.81), (-0.1, 0.58), (0.2, 0.6)
    tubes = (
        (rear, saddle), (saddle, crank), (crank, head), (saddle, head), (rear, crank),
        (front, (0.19, 0.5)), ((0.14, 0.49), (0.24, 0.49)),
    )  # fmt: skip
    for start, end in tubes:
        painter.fill(painter.limb(start, end, (0.014, 0.014)), frame)
    for sign in (-1, 1):
        foot = (
            crank[0] + sign * 0.08 * round(math.cos(turn), 6),
            crank[1] + sign * 0.08 * round(math.sin(turn), 6),
        )
        knee = ((foot[0] - 0.1) / 2 + 0.12, (foot[1] + 0.54) / 2 - 0.02)
        painter.fill(painter.limb((-0.1, 0.53), knee, (0.055, 0.045)), trousers)
        painter.fill(painter.limb(knee, foot, (0.042, 0.028)), trousers)
    painter.fill(painter.limb((-0.1, 0.5), (0.07, 0.22), (0.075, 0.075)), cloth)
    painter.fill(painter.limb((0.08, 0.23), (0.2, 0.47), (0.036, 0.026)), (cloth * 0.85).astype(np.uint8))


def car(rng: np.random.Generator) -> dict[str, Picture]:
    """One car: "rear", "front" and the bare "shell" (96, 112), and "side" (80, 224) facing right."""
    paint = _pick(rng, CAR_COLOURS)
    roof = float(rng.uniform(0.2, 0.27))
    glass = _pick(rng, ((40, 46, 54), (70, 82, 94), (26, 28, 30)))
    pictures = {}
    for name in ("shell", "rear", "front"):
        painter = Painter((96, 112))
        body = shaded(paint, np.linspace(1.15, 0.7, 96)[:, None] * np.ones((96, 112)))
        if name != "shell":
            painter.fill(painter.box(-0.5, 0.86, -0.34, 1.0) | painter.box(0.34, 0.86, 0.5, 1.0), (22, 22, 24))
        painter.fill(painter.limb((-0.46, 0.55), (0.46, 0.55), (0.11, 0.11)) | painter.box(-0.56, 0.5, 0.56, 0.9), body)
        painter.fill(painter.polygon([(-roof - 0.14, 0.0), (roof + 0.14, 0.0), (0.52, 0.48), (-0.52, 0.48)]), body)
        if name != "shell":
            sky = shaded(glass, np.linspace(1.7, 0.7, 96)[:, None] * np.ones((96, 112)))
            painter.fill(painter.polygon([(-roof - 0.1, 0.06), (roof + 0.1, 0.06), (0.44, 0.42), (-0.44, 0.42)]), sky)
            painter.fill(painter.box(-0.56, 0.78, 0.56, 0.88), paint * 0.45)
            lamp = (196, 30, 28) if name == "rear" else (232, 230, 214)
            painter.fill(painter.box(-0.54, 0.52, -0.38, 0.66) | painter.box(0.38, 0.52, 0.54, 0.66), lamp)
            plate = (208, 190, 80) if name == "rear" else (228, 228, 224)
            painter.fill(painter.box(-0.17, 0.68, 0.17, 0.76), plate)
            if name == "front":
                painter.fill(painter.box(-0.3, 0.54, 0.3, 0.64), (30, 30, 32))
        pictures[name] = painter.picture()
    pictures["side"] = _car_side(paint, glass)
    return pictures


def _car_side(paint: Colour, glass: Colour) -> Picture:
    painter = Painter((80, 224))
    body = shaded(paint, np.linspace(1.0, 0.6, 80)[:, None] * np.ones((80, 224)))
    painter.fill(painter.polygon([(-1.38, 0.45), (1.0, 0.42), (1.36, 0.52), (1.4, 0.85), (-1.4, 0.85)]), body)
    painter.fill(painter.polygon([(-1.15, 0.45), (-0.85, 0.03), (0.3, 0.0), (0.75, 0.45)]), body)
    pane = shaded(glass, np.linspace(1.6, 0.6, 80)[:, None] * np.ones((80, 224)))
    painter.fill(painter.polygon([(-1.0, 0.42), (-0.78, 0.1), (-0.2, 0.08), (-0.2, 0.42)]), pane)
    painter.fill(painter.polygon([(-0.12, 0.42), (-0.12, 0.08), (0.26, 0.08), (0.6, 0.42)]), pane)
    painter.fill(painter.box(-0.17, 0.45, -0.15, 0.8) | painter.box(-0.4, 0.5, -0.28, 0.53), paint * 0.5)
    for x in (-0.85, 0.85):
        painter.fill(painter.ellipse((x, 0.8), (0.21, 0.2)), (20, 20, 22))
        painter.fill(painter.ellipse((x, 0.8), (0.11, 0.11)), (140, 142, 146))
    return painter.picture()


def leafy_tree(rng: np.random.Generator) -> Picture:
    """Trunk and a crown of leaf clumps with sky between them, (160, 128)."""
    painter = Painter((160, 128))
    painter.fill(painter.limb((0, 1.0), (0, 0.4), (0.035, 0.02)), (72, 60, 50))
    for _ in range(4):
        tip = (float(rng.uniform(-0.25, 0.25)), float(rng.uniform(0.2, 0.45)))
        painter.fill(painter.limb((0, 0.6), tip, (0.018, 0.008)), (66, 56, 48))
    crown = np.zeros_like(painter.opaque)
    for _ in range(22):
        angle, reach = float(rng.uniform(0, math.tau)), math.sqrt(float(rng.random()))
        centre = (0.26 * reach * round(math.cos(angle), 6), 0.33 + 0.24 * reach * round(math.sin(angle), 6))
        crown |= painter.ellipse(centre, (float(rng.uniform(0.05, 0.12)), float(rng.uniform(0.05, 0.1))))
    size = painter.opaque.shape
    leaves = smooth_noise(rng, size, 4) * 0.6 + 0.4 * rng.random(size) > float(rng.uniform(0.22, 0.36))
    painter.fill(crown & leaves, foliage(rng, size))
    ragged = smooth_noise(rng, size, 5) > 0.12
    return painter.picture(outline=painter.opaque | (crown & ragged))


def bare_tree(rng: np.random.Generator) -> Picture:
    """Trunk and forking boughs with twigs too fine to count, (160, 128)."""
    painter = Painter((160, 128))
    bark = np.array((78, 66, 56), np.float64) + rng.integers(-14, 15, 3)
    ends = [((0.0, 1.0), -math.pi / 2, 0.3, 0.03)]
    twigs = np.zeros_like(painter.opaque)
    while ends:
        start, angle, length, thick = ends.pop()
        end = (start[0] + length * round(math.cos(angle), 6), start[1] + length * round(math.sin(angle), 6))
        painter.fill(painter.limb(start, end, (thick, thick * 0.7)), bark)
        if length > 0.07:
            for turn in (-1, 1):
                tilt = angle + turn * float(rng.uniform(0.25, 0.7))
                ends.append((end, tilt, length * float(rng.uniform(0.62, 0.8)), thick * 0.62))
        else:
            twigs |= painter.ellipse(end, (0.06, 0.05))
    fine = smooth_noise(rng, twigs.shape, 3) * 0.5 + 0.5 * rng.random(twigs.shape) > 0.52
    painter.fill(twigs & fine, shaded(bark, 0.7 + 0.8 * rng.random(twigs.shape)))
    return painter.picture(outline=painter.opaque | twigs)


def pole(rng: np.random.Generator) -> Picture:
    """A shaft lit from one side, (64, 8)."""
    paint = _pick(rng, ((96, 100, 102), (50, 54, 52), (130, 132, 130), (70, 82, 74), (164, 164, 158)))
    light = np.array([0.7, 0.85, 1.0, 1.15, 1.2, 1.05, 0.85, 0.65])[None] * (0.9 + 0.2 * rng.random((64, 1)))
    return Picture(shaded(paint, light), np.ones((64, 8), bool))


SIGN_KINDS = 6


def sign(rng: np.random.Generator, kind: int) -> Picture:
    """A plate: 0 red ring, 1 blue disc, 2 warning triangle, 3 direction board, 4 signal head, 5 shop sign; (32, 32)."""
    painter = Painter((32, 32))
    disc, inner = painter.ellipse((0, 0.5), (0.49, 0.49)), painter.ellipse((0, 0.5), (0.34, 0.34))
    if kind == 0:
        painter.fill(disc, (186, 34, 36))
        painter.fill(inner, (232, 232, 228))
        painter.fill(painter.box(-0.17, 0.32, -0.03, 0.68) | painter.box(0.04, 0.32, 0.18, 0.68), (24, 24, 26))
    elif kind == 1:
        painter.fill(disc, (36, 80, 160))
        painter.fill(painter.limb((-0.15, 0.65), (0.15, 0.35), (0.07, 0.07)), (230, 232, 232))
    elif kind == 2:
        painter.fill(painter.polygon([(0, 0.03), (0.49, 0.95), (-0.49, 0.95)]), (186, 34, 36))
        painter.fill(painter.polygon([(0, 0.28), (0.31, 0.85), (-0.31, 0.85)]), (234, 234, 230))
        painter.fill(painter.box(-0.05, 0.45, 0.05, 0.75), (24, 24, 26))
    elif kind == 4:
        painter.fill(painter.box(-0.22, 0.0, 0.22, 1.0), (28, 28, 30))
        lit = int(rng.integers(3))
        for i, lamp in enumerate(((224, 48, 40), (232, 160, 40), (60, 210, 130))):
            painter.fill(
                painter.ellipse((0, 0.18 + 0.32 * i), (0.13, 0.13)),
                np.array(lamp) * (1.0 if i == lit else 0.25),
            )
    else:
        board = _pick(rng, ((30, 84, 60), (236, 236, 232), (40, 60, 120), (150, 44, 40), (210, 180, 60)))
        painter.fill(painter.box(-0.5, 0.1 if kind == 3 else 0.0, 0.5, 0.9 if kind == 3 else 1.0), board)
        text = np.zeros((32, 32), bool)
        for row in (8, 14, 20):
            text[row : row + 3] = rng.random(16).repeat(2)[None] > 0.45
        text[:, :3] = text[:, -3:] = False
        painter.fill(text, np.where(board.mean() > 120, 24, 228) * np.ones(3))
    return painter.picture()


def bin_(rng: np.random.Generator) -> Picture:
    """A litter bin, which CamVid leaves void, (32, 24)."""
    painter = Painter((32, 24))
    painter.fill(painter.box(-0.33, 0.08, 0.33, 1.0), shaded(_pick(rng, CAR_COLOURS), 0.8 + 0.4 * rng.random((32, 24))))
    painter.fill(painter.box(-0.37, 0.0, 0.37, 0.12), (30, 30, 32))
    return painter.picture()

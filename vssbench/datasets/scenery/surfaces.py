"""The still surfaces of a street: ground, facades, fences, hedges, and the sky with the skyline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vssbench.datasets.scenery.shapes import shaded, smooth_noise
from vssbench.datasets.scenery.texture import Mask, Packed, Picture, pack
from vssbench.records import Rgb

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)

WALL_TEXEL_M = 0.05
GROUND_TEXEL_M = 0.03
ROAD_HALF_M = 4.4  # kerb to the middle of the road
GROUND_SIZE = (800, 1024)  # texels along (repeats) and across: 24 m and 30.7 m

WALL_COLOURS = (
    (138, 82, 64), (156, 104, 78), (118, 74, 62), (176, 148, 112), (198, 188, 164), (206, 202, 194),
    (150, 146, 140), (122, 118, 116), (184, 170, 130), (164, 132, 118), (104, 110, 118), (170, 176, 170),
)  # fmt: skip
LEAF_COLOURS = ((70, 92, 44), (92, 104, 54), (60, 78, 50), (112, 100, 58), (84, 74, 56), (104, 118, 62))
BOARD_COLOURS = (
    (40, 70, 60),
    (150, 40, 36),
    (36, 52, 110),
    (60, 60, 64),
    (196, 176, 60),
    (110, 60, 90),
    (190, 190, 186),
)


def _pick(rng: np.random.Generator, colours: tuple[tuple[int, int, int], ...], spread: int = 12) -> NDArray[np.float64]:
    chosen = np.array(colours[int(rng.integers(len(colours)))], np.float64)
    return np.clip(chosen + rng.integers(-spread, spread + 1, 3), 8, 245)


def _masonry(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    """Brightness (h, w) of a wall: bricks, ashlar blocks, or plain render."""
    height, width = size
    kind = int(rng.integers(3))
    grain = 0.94 + 0.12 * rng.random(size)
    stains = 0.88 + 0.2 * smooth_noise(rng, size, 40)
    if kind == 2:
        return np.asarray(grain * stains)
    tall, wide = ((3, 6), (8, 14))[kind]
    y, x = (
        np.arange(height)[:, None],
        np.arange(width)[None] + np.arange(height)[:, None] // tall % 2 * (wide // 2),
    )
    tone = 0.82 + 0.3 * rng.random((height // tall + 1, width // wide + 2))[y // tall, x // wide]
    joint = np.where((y % tall == 0) | (x % wide == 0), (1.18, 0.78)[kind], 1.0)
    return np.asarray(grain * stains * tone * joint)


def _window(rng: np.random.Generator, size: tuple[int, int], frame: NDArray[np.float64]) -> Rgb:
    """A sash window: frame, glazing bars, and panes that mirror the sky or show a dark room."""
    height, width = size
    slope = np.linspace(1.25, 0.6, height)[:, None] * np.ones(width)
    glass = _pick(rng, ((52, 60, 70), (90, 104, 122), (36, 38, 42), (128, 140, 152)))
    picture = shaded(glass, slope * (0.8 + 0.4 * smooth_noise(rng, size, 9)))
    if rng.random() < 0.4:
        drop = int(height * rng.uniform(0.2, 0.7))
        picture[:drop, : width // 4] = picture[:drop, -(width // 4) :] = (188, 180, 166)
    bars = np.zeros(size, bool)
    bars[:2] = bars[-2:] = bars[:, :2] = bars[:, -2:] = True
    bars[height // 2 - 1 : height // 2 + 1] = True
    bars[:, width // 2] = True
    picture[bars] = frame.astype(np.uint8)
    return picture


def _upper_floors(rng: np.random.Generator, picture: Rgb, top: int, floors: int, floor_px: int) -> None:
    width = picture.shape[1]
    count = int(rng.integers(3, 6))
    tall, wide = int(rng.integers(30, 40)), min(int(rng.integers(18, 28)), width // count - 8)
    frame = _pick(rng, ((226, 224, 216), (60, 56, 54), (208, 200, 176)))
    for floor in range(floors):
        y = top + floor * floor_px + 12
        for i in range(count):
            x = int((i + 0.5) * width / count) - wide // 2
            picture[y - 4 : y + tall + 4, x - 3 : x + wide + 3] = shaded(frame, np.full((tall + 8, wide + 6), 0.75))
            picture[y : y + tall, x : x + wide] = _window(rng, (tall, wide), frame)


def _shop_front(rng: np.random.Generator, picture: Rgb, top: int) -> None:
    """Plate glass between pillars under a board with something like lettering."""
    height, width = picture.shape[0] - top, picture.shape[1]
    board, paint = _pick(rng, BOARD_COLOURS), _pick(rng, BOARD_COLOURS)
    picture[top : top + 12] = shaded(board, np.full((12, width), 1.0))
    letters = rng.random((6, width // 3 + 1)).repeat(3, axis=1)[:, :width] > 0.45
    letters[:, : width // 5] = letters[:, -(width // 5) :] = False
    picture[top + 3 : top + 9][letters] = np.where(board.mean() > 120, 30, 225)
    glass = shaded((46, 48, 50), 0.6 + 0.9 * smooth_noise(rng, (height - 12, width), 10))
    picture[top + 12 :] = glass
    pillar = int(rng.integers(30, 52))
    for x in range(0, width, pillar):
        picture[top + 12 :, x : x + 5] = shaded(paint, np.full((height - 12, min(5, width - x)), 0.8))
    picture[-10:] = shaded(paint, np.full((10, width), 0.7))


def _doors(rng: np.random.Generator, picture: Rgb, top: int) -> None:
    width = picture.shape[1]
    frame = _pick(rng, ((226, 224, 216), (60, 56, 54)))
    for x in range(24, width - 40, 58):
        if rng.random() < 0.35:
            door = _pick(rng, BOARD_COLOURS)
            picture[top + 14 :, x : x + 20] = shaded(door, np.full((picture.shape[0] - top - 14, 20), 0.9))
            picture[top + 10 : top + 14, x - 2 : x + 22] = frame
        else:
            picture[top + 14 : top + 46, x : x + 24] = _window(rng, (32, 24), frame)


def facade(rng: np.random.Generator) -> Picture:
    """The front of a house: walls, windows, shop or doors, roof and chimneys."""
    floors, floor_px = int(rng.integers(1, 4)), int(rng.integers(56, 68))
    roof = int(rng.choice([10, 36, 52]))
    chimney = 22
    ground_px, width = 68, int(rng.choice([160, 192, 224, 256]))
    eaves = chimney + roof
    height = (eaves + floors * floor_px + ground_px + 15) // 16 * 16
    picture = shaded(_pick(rng, WALL_COLOURS), _masonry(rng, (height, width)))
    _upper_floors(rng, picture, eaves, floors, floor_px)
    (_shop_front if rng.random() < 0.5 else _doors)(rng, picture, height - ground_px)
    picture[eaves - 2 : eaves + 3] = shaded(_pick(rng, ((214, 208, 196), (92, 88, 84))), np.full((5, width), 1.0))
    tiles = 0.8 + 0.3 * rng.random((roof, width // 4 + 1)).repeat(4, axis=1)[:, :width]
    tiles[::5] *= 0.7
    picture[chimney:eaves] = shaded(_pick(rng, ((84, 84, 92), (126, 78, 62), (96, 86, 80))), tiles)
    pipe = int(rng.integers(4, width - 4))
    picture[eaves:, pipe : pipe + 2] = (52, 50, 50)
    opaque = np.zeros((height, width), bool)
    opaque[chimney:] = True
    for _ in range(int(rng.integers(0, 3))):
        x = int(rng.integers(0, width - 18))
        opaque[6:chimney, x : x + 18] = True
        opaque[:6, x + 2 : x + 6] = opaque[:6, x + 11 : x + 15] = True
        picture[:chimney, x : x + 18] = shaded((132, 84, 66), _masonry(rng, (chimney, 18)))
    return Picture(picture, opaque)


def gable(rng: np.random.Generator, height: int) -> Picture:
    """A blind side wall `height` texels tall."""
    picture = shaded(_pick(rng, WALL_COLOURS), _masonry(rng, (height, 192)))
    picture[:4] = (picture[:4] * 0.6).astype(np.uint8)
    return Picture(picture, np.ones((height, 192), bool))


def railing(rng: np.random.Generator) -> Picture:
    """Iron bars and two rails, 1.6 m long and to be stretched to height; gaps between."""
    size = (48, 64)
    opaque = np.zeros(size, bool)
    pitch = int(rng.choice([5, 6, 8]))
    opaque[2:, ::pitch] = True
    opaque[2:, 1::pitch] = True
    opaque[5:8] = opaque[-7:-4] = True
    opaque[:, :3] = True
    paint = _pick(rng, ((34, 36, 38), (60, 70, 62), (196, 196, 190), (130, 134, 138)))
    return Picture(shaded(paint, 0.85 + 0.3 * rng.random(size)), opaque, np.ones(size, bool))


def palings(rng: np.random.Generator) -> Picture:
    """Close wooden boards with pointed or flat tops, 3.2 m long."""
    size = (64, 128)
    board = 6
    tone = (0.7 + 0.5 * rng.random(size[1] // board + 1)).repeat(board)[: size[1]]
    grain = 0.9 + 0.2 * rng.random((8, size[1])).repeat(8, axis=0)
    brightness = tone[None] * grain
    brightness[:, ::board] *= 0.45
    opaque = np.ones(size, bool)
    if rng.random() < 0.5:
        x = np.arange(size[1]) % board
        opaque[:4] = np.arange(4)[:, None] >= abs(x - board // 2)[None]
    return Picture(
        shaded(_pick(rng, ((122, 98, 74), (146, 130, 108), (96, 84, 70), (112, 118, 98))), brightness), opaque
    )


def foliage(rng: np.random.Generator, size: tuple[int, int]) -> Rgb:
    """Leaves: a colour broken by speckle and by clumps of light and shade."""
    clumps = 0.5 + 0.8 * smooth_noise(rng, size, 9)
    speckle = 0.55 + 0.9 * rng.random(size)
    return shaded(_pick(rng, LEAF_COLOURS), clumps * speckle)


def hedge(rng: np.random.Generator) -> Picture:
    """Clipped leaves with a ragged top, 3.2 m long."""
    size = (64, 128)
    top = (6 * smooth_noise(rng, (1, size[1]), 8)[0] + 4 * rng.random(size[1])).astype(int)
    return Picture(foliage(rng, size), np.arange(size[0])[:, None] >= top[None])


def _asphalt(rng: np.random.Generator, size: tuple[int, int]) -> Rgb:
    tone = float(rng.uniform(72, 108))
    tint = np.array([1, 1, 1.0]) + rng.uniform(-0.04, 0.04, 3)
    grain = 0.84 + 0.32 * rng.random(size)
    patches = 0.85 + 0.3 * smooth_noise(rng, size, 80)
    picture = shaded(tone * tint, grain * patches)
    for _ in range(int(rng.integers(2, 6))):  # repairs and covers
        y, x = int(rng.integers(0, size[0] - 60)), int(rng.integers(size[1] // 2 - 140, size[1] // 2 + 80))
        h, w = int(rng.integers(15, 60)), int(rng.integers(12, 60))
        picture[y : y + h, x : x + w] = (picture[y : y + h, x : x + w] * float(rng.uniform(0.7, 1.15))).astype(np.uint8)
    return picture


def _paving(rng: np.random.Generator, size: tuple[int, int]) -> Rgb:
    slab_z, slab_x = ((20, 16), (10, 8), (25, 25))[int(rng.integers(3))]
    tone = float(rng.uniform(90, 142))
    tint = np.array([1.02, 1, 0.96]) + rng.uniform(-0.05, 0.05, 3)
    z, x = np.arange(size[0])[:, None], np.arange(size[1])[None]
    slabs = 0.86 + 0.28 * rng.random((size[0] // slab_z + 1, size[1] // slab_x + 1))[z // slab_z, x // slab_x]
    joints = np.where((z % slab_z < 2) | (x % slab_x < 2), 0.62, 1.0)
    grain = 0.92 + 0.16 * rng.random(size)
    return shaded(tone * tint, slabs * joints * grain * (0.88 + 0.24 * smooth_noise(rng, size, 70)))


def _paint_markings(rng: np.random.Generator, picture: Rgb) -> None:
    """Dashes along the middle and, sometimes, lines along the kerbs; worn in places."""
    rows, width = picture.shape[:2]
    middle, edge = width // 2, int(ROAD_HALF_M / GROUND_TEXEL_M)
    mask = np.zeros((rows, width), bool)
    dash = (np.arange(rows) % (rows // 4)) < rows // 4 * float(rng.choice([0.35, 0.5, 0.7]))
    mask[:, middle - 2 : middle + 2] = dash[:, None]
    yellow = np.zeros_like(mask)
    if rng.random() < 0.6:
        for x in (middle - edge + 8, middle + edge - 14):
            yellow[:, x : x + 3] = True
            yellow[:, x + 5 : x + 8] = rng.random() < 0.7
    worn = smooth_noise(rng, (rows, width), 16) + 0.5 * rng.random((rows, width)) > 0.4
    picture[mask & worn] = (206, 206, 200)
    picture[yellow & worn] = (186, 160, 70)


def ground_picture(rng: np.random.Generator) -> tuple[Rgb, Mask]:
    """Road with markings between two pavements; (h, w, 3), and where it is road (h, w)."""
    rows, width = GROUND_SIZE
    edge, kerb = int(ROAD_HALF_M / GROUND_TEXEL_M), 6
    off_middle = abs(np.arange(width) - width // 2)
    road = np.broadcast_to(off_middle < edge, (rows, width))
    asphalt = _asphalt(rng, GROUND_SIZE)
    _paint_markings(rng, asphalt)
    picture = np.where(road[..., None], asphalt, _paving(rng, GROUND_SIZE))
    stone = (off_middle >= edge) & (off_middle < edge + kerb)
    picture[:, stone] = shaded(
        (158, 154, 146), 0.85 + 0.3 * rng.random((rows // 16, 1)).repeat(16, 0).repeat(stone.sum(), 1)
    )
    gutter = (off_middle >= edge - 5) & (off_middle < edge)
    picture[:, gutter] = picture[:, gutter] // 4 * 3
    return picture, road


def sky_canvas(rng: np.random.Generator, *, width: int, above: int, below: int, scale: float) -> Packed:
    """Sky over a distant skyline of roofs and trees, (above + below, width); row `above` is the horizon.

    Args:
        rng: source of the look.
        width: pixels, with the margin for yaw.
        above: rows over the horizon.
        below: rows under it, filled with the colour of far ground.
        scale: pixels of this image per pixel of one 480 wide.
    """
    size = (above + below, width)
    zenith, rim = (
        ((92, 134, 190), (190, 208, 224)), ((168, 176, 184), (206, 208, 208)), ((216, 222, 226), (236, 238, 238)),
        ((70, 110, 170), (206, 200, 190)),
    )[int(rng.integers(4))]  # fmt: skip
    t = np.clip(np.arange(size[0]) / max(above, 1), 0, 1)[:, None, None]
    sky = np.array(zenith) * (1 - t) + np.array(rim) * t
    cell = max(2, round(48 * scale))
    cloud = smooth_noise(rng, size, 2 * cell) * 0.6 + smooth_noise(rng, size, cell) * 0.3
    cloud = np.clip((cloud + 0.1 * smooth_noise(rng, size, max(1, cell // 4)) - 0.45) * 3, 0, 1)[..., None]
    picture = sky * (1 - cloud * 0.7) + np.array((238, 238, 240)) * cloud * 0.7
    canvas = pack(np.rint(picture).astype(np.uint8), np.ones(size, bool), SKY)
    _paint_skyline(rng, canvas, above, scale)
    return canvas


def _paint_skyline(rng: np.random.Generator, canvas: Packed, above: int, scale: float) -> None:
    x, haze = 0, np.array((176, 182, 188))
    while x < canvas.shape[1]:
        wide = max(2, round(float(rng.uniform(8, 30)) * scale))
        tall = min(above, max(1, round(float(rng.uniform(8, 30)) * scale)))
        size = (tall, min(wide, canvas.shape[1] - x))
        if rng.random() < 0.55:
            colour = shaded((_pick(rng, WALL_COLOURS) + haze) / 2, 0.85 + 0.3 * rng.random(size))
            outline, label = np.ones(size, bool), BUILDING
        else:
            colour = ((foliage(rng, size).astype(np.int64) * 3 + haze * 2) // 5).astype(np.uint8)
            bump = np.sqrt(np.clip(1 - np.linspace(-1, 1, size[1]) ** 2, 0, 1)) * tall * 0.6
            outline, label = (
                np.arange(tall)[:, None] >= (0.4 * tall - bump + 0.6 * tall * rng.random(size[1]) * 0.3),
                TREE,
            )
        part = canvas[above - tall : above, x : x + size[1]]
        np.copyto(part, pack(colour, outline, label), where=outline)
        x += max(1, wide * 2 // 3)
    far = np.full((canvas.shape[0] - above, canvas.shape[1], 3), (120, 120, 120), np.uint8)
    canvas[above:] = pack(far, np.ones(far.shape[:2], bool), ROAD)

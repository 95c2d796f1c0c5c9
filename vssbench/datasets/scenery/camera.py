"""A pinhole camera driven along a street, and the three things it can draw: ground, upright walls, upright figures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vssbench.datasets.scenery.texture import CLEAR, COLOUR_BITS, EMPTY, HALF, LABEL_BITS, Packed, Texture

NEAR_M = 0.6  # nothing nearer is drawn
HEIGHT_M = 1.55  # of the camera over the road
FOCAL = 0.95  # focal length over image width: 55 degrees across, CamVid's is about that


def focal_px(width: int) -> float:
    """Focal length in pixels of an image that wide."""
    return FOCAL * width


@dataclass(frozen=True, kw_only=True, eq=False)
class Camera:
    """Where the camera is in one frame.

    World axes in metres: x to the right, y up, z along the street.

    Args:
        size: (height, width) of the image.
        x: position across the street.
        z: position along the street.
        yaw: radians, positive to the right.
        horizon: image row of the horizon; carries the pitch.
    """

    size: tuple[int, int]
    x: float
    z: float
    yaw: float
    horizon: float

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return focal_px(self.size[1])

    def seen_from_camera(self, x: float, z: float) -> tuple[float, float]:
        """(lateral, depth) of a ground point, in metres."""
        cosine, sine = round(math.cos(self.yaw), 9), round(math.sin(self.yaw), 9)
        dx, dz = x - self.x, z - self.z
        return dx * cosine - dz * sine, dx * sine + dz * cosine

    def column(self, lateral: float, depth: float) -> float:
        """Image column of a point given by `seen_from_camera`."""
        return self.size[1] / 2 + self.focal * lateral / depth

    def row(self, y: float, depth: float) -> float:
        """Image row of a point at height y and a depth."""
        return self.horizon - self.focal * (y - HEIGHT_M) / depth


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """The plane y = 0: texture rows run along z and repeat, columns run across x.

    Args:
        texture: its levels shrink as `ground_chain` says.
        texel_m: of the finest level.
    """

    texture: Texture
    texel_m: float


def ground_chain(focal: float, texel_m: float, levels: int) -> list[tuple[int, int]]:
    """Powers (along z, across x) for which a pixel's footprint on the ground is one texel of each level."""
    chain = []
    for k in range(levels):
        depth = (2**k * texel_m * focal * HEIGHT_M) ** 0.5  # where a pixel spans 2**k texels along z
        chain.append((k, max(0, round(math.log2(max(depth / focal / texel_m, 1))))))
    return chain


def wall_chain(focal: float, texel_m: float, levels: int, *, offset_m: float = 7.0) -> list[tuple[int, int]]:
    """Powers (along y, along the wall) for walls parallel to the street, seen at a slant."""
    chain = []
    for k in range(levels):
        depth = (2**k * texel_m * focal * offset_m) ** 0.5
        chain.append((max(0, round(math.log2(max(depth / focal / texel_m, 1)))), k))
    return chain


def draw_ground(canvas: Packed, camera: Camera, ground: Ground) -> None:
    """Cover everything below the horizon."""
    height, width = canvas.shape
    first = max(0, math.ceil(camera.horizon + camera.focal * HEIGHT_M / 250 - 0.5))  # 250 m away
    if first >= height:
        return
    depth = camera.focal * HEIGHT_M / (np.arange(first, height) + 0.5 - camera.horizon)
    slope = (np.arange(width) + 0.5 - width / 2) / camera.focal
    cosine, sine = round(math.cos(camera.yaw), 9), round(math.sin(camera.yaw), 9)
    texture = ground.texture
    texel_z = depth * depth / (camera.focal * HEIGHT_M * ground.texel_m)
    level = np.clip(np.searchsorted(2.0 ** np.arange(len(texture.levels)), texel_z * 0.75, "right") - 1, 0, None)
    per_x = (1 / (ground.texel_m * texture.columns_per_texel[level]))[:, None].astype(np.float32)
    per_z = (1 / (ground.texel_m * 2.0**level))[:, None].astype(np.float32)
    across = (slope * cosine + sine).astype(np.float32)
    along = (cosine - slope * sine).astype(np.float32)
    column_of_zero = (texture.width[level] / 2)[:, None].astype(np.float32)
    far = depth[:, None].astype(np.float32)
    column = ((camera.x * per_x + column_of_zero) + (far * per_x) * across).astype(np.int32)
    np.maximum(column, 0, out=column)
    np.minimum(column, texture.width[level][:, None] - 1, out=column)
    rows_m = texture.height[0] * ground.texel_m
    row = ((camera.z % rows_m) * per_z + (far * per_z) * along).astype(np.int32)
    row %= texture.height[level][:, None]
    row += 1
    row *= texture.width[level][:, None]
    row += column
    row += texture.offset[level][:, None]
    canvas[first:] = texture.flat.take(row)


def _write(target: Packed, texels: Packed, see_through: bool) -> None:
    if not see_through:
        np.copyto(target, texels, where=texels < EMPTY)
        return
    np.copyto(target, texels, where=texels < HALF)
    half = np.uint32(0x007F7F7F)
    mixed = ((target >> np.uint32(1)) & half) + ((texels >> np.uint32(1)) & half)
    np.copyto(target, mixed | (texels & LABEL_BITS), where=(texels & (HALF | CLEAR | EMPTY)) == HALF)
    behind = (target & COLOUR_BITS) | (texels & LABEL_BITS)
    np.copyto(target, behind, where=(texels & (CLEAR | EMPTY)) == CLEAR)


End = tuple[float, float, float]  # of a wall: (image column, depth in metres, texture widths from the start)


def _seen_ends(
    camera: Camera, start: tuple[float, float], end: tuple[float, float], repeats: float
) -> tuple[End, End] | None:
    """The left and right end of a wall, cut where it comes too near; None where nothing of it is in front."""
    (xa, za), (xb, zb) = camera.seen_from_camera(*start), camera.seen_from_camera(*end)
    ua, ub = 0.0, repeats
    if max(za, zb) <= NEAR_M:
        return None
    if min(za, zb) < NEAR_M:
        t = (NEAR_M - za) / (zb - za)
        cut = (xa + t * (xb - xa), NEAR_M, t * repeats)
        if za < zb:
            xa, za, ua = cut
        else:
            xb, zb, ub = cut
    a, b = (camera.column(xa, za), za, ua), (camera.column(xb, zb), zb, ub)
    return (b, a) if a[0] > b[0] else (a, b)


def draw_wall(
    canvas: Packed,
    camera: Camera,
    texture: Texture,
    *,
    start: tuple[float, float],
    end: tuple[float, float],
    bottom_m: float,
    top_m: float,
    repeats: float = 1.0,
) -> None:
    """Draw an upright rectangle from ground point start to end, both (x, z), the texture repeated along it."""
    ends = _seen_ends(camera, start, end, repeats)
    if ends is None:
        return
    (ca, za, ua), (cb, zb, ub) = ends
    first, stop = max(0, math.ceil(ca - 0.5)), min(canvas.shape[1], math.ceil(cb - 0.5))
    if first >= stop:
        return
    t_column = (np.arange(first, stop) + 0.5 - ca) / (cb - ca)
    inverse = 1 / za + t_column * (1 / zb - 1 / za)  # of the depth, which is linear in the column
    along = (ua / za + t_column * (ub / zb - ua / za)) / inverse
    # derivative of N / D with N, D linear in the column
    footprint = abs((ub / zb - ua / za) - along * (1 / zb - 1 / za)) / inverse / (cb - ca) * int(texture.width[0])
    level = np.maximum(np.searchsorted(texture.columns_per_texel, footprint * 0.75, "right") - 1, 0)
    columns = (along * texture.width[level]).astype(np.int32) % texture.width[level]
    columns += texture.offset[level]
    top = camera.horizon - camera.focal * (top_m - HEIGHT_M) * inverse
    _fill_columns(canvas[:, first:stop], texture, level, columns, top, camera.focal * (top_m - bottom_m) * inverse)


def _fill_columns(
    target: Packed,
    texture: Texture,
    level: NDArray[np.int64],
    columns: NDArray[np.int32],
    top: NDArray[np.float64],
    rows_px: NDArray[np.float64],
) -> None:
    """Stretch a texture column over each column of the target (H, w), from row `top` over `rows_px` rows.

    level, columns, top and rows_px are (w,); columns index the EMPTY first row of the level in `texture.flat`.
    """
    r0, r1 = max(0, math.floor(float(top.min()))), min(len(target), math.ceil(float((top + rows_px).max())))
    if r0 >= r1:
        return
    per_row = (texture.height[level] / rows_px).astype(np.float32)
    at_zero = (1 - top * texture.height[level] / rows_px).astype(np.float32)  # 1: the EMPTY row above
    rows = (np.arange(r0, r1, dtype=np.float32) + np.float32(0.5))[:, None]
    index = rows * per_row
    index += at_zero
    np.maximum(index, 0, out=index)
    np.minimum(index, (texture.height[level] + 1).astype(np.float32), out=index)
    texel = index.astype(np.int32)
    texel *= texture.width[level]
    texel += columns
    _write(target[r0:r1], texture.flat.take(texel), texture.see_through)


def draw_figure(
    canvas: Packed,
    camera: Camera,
    texture: Texture,
    *,
    at: tuple[float, float],
    bottom_m: float,
    size_m: tuple[float, float],
    shown: float = 1.0,
    mirrored: bool = False,
) -> None:
    """Draw an upright picture that faces the camera.

    Args:
        canvas: (H, W) to draw on.
        camera: that looks.
        texture: the picture.
        at: ground point (x, z) under its middle.
        bottom_m: height of its lower edge.
        size_m: (height, width) in metres.
        shown: the lower part of the picture that is drawn, as a share of its height.
        mirrored: swap left and right.
    """
    lateral, depth = camera.seen_from_camera(*at)
    if depth <= NEAR_M:
        return
    scale = camera.focal / depth
    tall, wide = size_m[0] * scale, max(size_m[1] * scale, 1.0)  # never thinner than a pixel
    left = camera.column(lateral, depth) - wide / 2
    bottom = camera.row(bottom_m, depth)
    rows = (max(0, math.ceil(bottom - tall * shown - 0.5)), min(canvas.shape[0], math.ceil(bottom - 0.5)))
    columns = (max(0, math.ceil(left - 0.5)), min(canvas.shape[1], math.ceil(left + wide - 0.5)))
    if rows[0] >= rows[1] or columns[0] >= columns[1]:
        return
    footprint = texture.width[0] / wide
    level = texture.levels[max(0, int(np.searchsorted(texture.columns_per_texel, footprint * 0.8, "right")) - 1)]
    h, w = level.shape
    y = ((np.arange(*rows) + 0.5 - (bottom - tall)) * (h / tall)).astype(np.int32)
    x = ((np.arange(*columns) + 0.5 - left) * (w / wide)).astype(np.int32)
    y, x = np.minimum(y, h - 1), np.minimum(x, w - 1)
    texels = level.take(y, axis=0).take(w - 1 - x if mirrored else x, axis=1)
    _write(canvas[slice(*rows), slice(*columns)], texels, texture.see_through)


def draw_shadow(
    canvas: Packed, camera: Camera, *, at: tuple[float, float], size_m: tuple[float, float], rounded: bool
) -> None:
    """Darken the ground under something: at is (x, z) of the middle, size_m (along z, across x)."""
    lateral, depth = camera.seen_from_camera(*at)
    near, far = max(NEAR_M, depth - size_m[0] / 2), depth + size_m[0] / 2
    if depth <= NEAR_M:
        return
    rows = (
        max(0, math.ceil(camera.row(0, far) - 0.5), math.floor(camera.horizon) + 1),
        min(canvas.shape[0], math.ceil(camera.row(0, near) - 0.5)),
    )
    if rows[0] >= rows[1]:
        return
    there = camera.focal * HEIGHT_M / (np.arange(*rows) + 0.5 - camera.horizon)  # depth of each row
    off = (there - depth) * 2 / size_m[0]
    reach = np.sqrt(np.clip(1 - off * off, 0, 1)) if rounded else 1.0
    left, right = (camera.size[1] / 2 + camera.focal * (lateral + s * reach * size_m[1] / 2) / there for s in (-1, 1))
    columns = (
        max(0, math.ceil(float(left.min()) - 0.5)),
        min(canvas.shape[1], math.ceil(float(right.max()) - 0.5)),
    )
    if columns[0] >= columns[1]:
        return
    x = np.arange(*columns) + 0.5
    inside = (x >= left[:, None]) & (x < right[:, None])
    part = canvas[slice(*rows), slice(*columns)]
    dark = (part & ~COLOUR_BITS) | ((part >> np.uint32(1)) & np.uint32(0x007F7F7F))
    np.copyto(part, dark, where=inside)

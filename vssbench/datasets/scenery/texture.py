"""Textures that hold colour and class in one word a texel, with their reductions for distance.

A texel is uint32: red, green, blue in the low three bytes and, in the high byte, the class (15 is void) with three
flags. Colour and label are therefore drawn by one write, and cannot disagree about what covers what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vssbench.records import Rgb

VOID = 15  # class nibble of what CamVid leaves unlabelled
EMPTY = np.uint32(0x80000000)  # nothing here: what is behind stays
CLEAR = np.uint32(0x40000000)  # a gap of a fence or a crown: the colour behind stays, the label does not
HALF = np.uint32(0x20000000)  # gaps too fine to resolve: the colour and the one behind, mixed
COLOUR_BITS = np.uint32(0x00FFFFFF)
LABEL_BITS = np.uint32(0x0F000000)

Packed = NDArray[np.uint32]
Mask = NDArray[np.bool_]


class Picture(NamedTuple):
    """What a texture is made of.

    colour (h, w, 3) uint8; opaque (h, w), where it covers what is behind; outline (h, w), what carries the label,
    None where that is the same: between the bars of a fence one sees through, and it is fence all the same.
    """

    colour: Rgb
    opaque: Mask
    outline: Mask | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Texture:
    """A picture of one class and its reductions.

    Args:
        levels: each (h, w) uint32; the first is the finest.
        columns_per_texel: for each level, how many of the finest columns one of its columns stands for.
        see_through: whether some texels carry CLEAR or HALF.
    """

    levels: tuple[Packed, ...]
    columns_per_texel: NDArray[np.int64]
    see_through: bool = False
    flat: Packed  # all levels, each with an EMPTY row above and below, so that an index past the edge draws nothing
    offset: NDArray[np.int32]
    width: NDArray[np.int32]
    height: NDArray[np.int32]


def pack(colour: Rgb, opaque: Mask, label: int) -> Packed:
    """Pack colour (h, w, 3) and coverage (h, w) into (h, w) texels of one class; uncovered texels are EMPTY."""
    word = colour.astype(np.uint32)
    packed = word[..., 0] | word[..., 1] << np.uint32(8) | word[..., 2] << np.uint32(16)
    packed |= np.uint32(label << 24)
    return np.where(opaque, packed, EMPTY)


def _halved(values: NDArray[np.uint32], axis: int) -> NDArray[np.uint32]:
    """Sums of neighbouring pairs along an axis; an odd one at the end is left out."""
    even = values.shape[axis] // 2 * 2
    pairs = values[:even] if axis == 0 else values[:, :even]
    return pairs[::2] + pairs[1::2] if axis == 0 else pairs[:, ::2] + pairs[:, 1::2]


def _reduced(total: NDArray[np.uint32], haze: float, fog: Rgb) -> Rgb:
    """Mean colour of the covered texels (h, w, 3) of sums (h, w, 5), faded towards the fog."""
    mean = total[..., :3] // np.maximum(total[..., 3:4], 1)
    part = round(256 * haze)  # integers, so that every machine rounds alike
    if part:
        mean = (mean * np.uint32(256 - part) + fog.astype(np.uint32) * np.uint32(part)) >> np.uint32(8)
    return mean.astype(np.uint8)


def _level(total: NDArray[np.uint32], colour: Rgb, whole: int, label: int, *, see_through: bool) -> Packed:
    """Texels of colour (h, w, 3); of `whole` finest texels, total[..., 3] cover and total[..., 4] are labelled."""
    covered, labelled = total[..., 3], total[..., 4]
    if not see_through:
        return pack(colour, covered * 5 >= whole * 2, label)
    tag = np.uint32(label << 24)
    solid = pack(colour, np.ones(covered.shape, bool), label)
    gaps = np.where(covered * 7 >= whole, solid | HALF, CLEAR | tag)
    return np.where(covered * 10 >= whole * 7, solid, np.where(labelled * 2 >= whole, gaps, EMPTY))


def build(picture: Picture, label: int, *, chain: Sequence[tuple[int, int]], fog: Rgb | None = None) -> Texture:
    """Make a texture with one level per (row power, column power) of the chain.

    Args:
        picture: of the finest level.
        label: class index, or VOID.
        chain: powers of two by which rows and columns shrink, from (0, 0) on.
        fog: colour that distant levels fade towards; None for no haze.
    """
    see_through = picture.outline is not None
    opaque = picture.opaque[..., None]
    outline = opaque if picture.outline is None else picture.outline[..., None]
    total = np.concatenate([picture.colour * opaque, opaque, outline], axis=-1, dtype=np.uint32)
    done, levels = [0, 0], []
    for step, powers in enumerate(chain):
        for axis in (0, 1):
            while done[axis] < powers[axis]:
                total = _halved(total, axis)
                done[axis] += 1
        if 0 in total.shape:
            break
        haze = 0.0 if fog is None else min(0.06 * step, 0.3)
        reduced = _reduced(total, haze, np.zeros(3, np.uint8) if fog is None else fog)
        levels.append(_level(total, reduced, 2 ** sum(powers), label, see_through=see_through))
    columns_per_texel = np.array([2**power for _, power in chain[: len(levels)]], np.int64)
    return from_levels(levels, columns_per_texel, see_through=see_through)


def from_levels(levels: Sequence[Packed], columns_per_texel: NDArray[np.int64], *, see_through: bool) -> Texture:
    """Lay levels, each (h, w) uint32, out behind one another."""
    padded = [np.pad(level, ((1, 1), (0, 0)), constant_values=EMPTY) for level in levels]
    sizes = np.array([level.size for level in padded])
    return Texture(
        levels=tuple(levels),
        columns_per_texel=columns_per_texel,
        see_through=see_through,
        flat=np.concatenate([level.ravel() for level in padded]),
        offset=(np.cumsum(sizes) - sizes).astype(np.int32),
        width=np.array([level.shape[1] for level in levels], np.int32),
        height=np.array([level.shape[0] for level in levels], np.int32),
    )

"""Label files: how a class is coded in them, and reading them into label maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vssbench.datasets.messages import first_few
from vssbench.errors import DatasetError
from vssbench.records import IGNORE, LabelMap

INDEX_MODES = frozenset({"1", "L", "P", "I", "I;16"})  # Pillow's modes of one channel
COLOUR_MODES = frozenset({"RGB", "RGBA"})
UNKNOWN = 254  # in the colour table: a colour without a class; never leaves this file


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelFormat:
    """How classes are coded in label files.

    Args:
        num_classes: classes are 0..num_classes-1.
        value_to_class: value of a one-channel file -> class or IGNORE; any other value is an error.
        colour_to_class: (r, g, b) of a colour file -> class or IGNORE; empty where colours are not accepted.
        hint: what a value outside the table probably is, for the message.
    """

    num_classes: int
    value_to_class: Mapping[int, int]
    colour_to_class: Mapping[tuple[int, int, int], int] = field(default_factory=dict)
    hint: str = "save the labels as class numbers, and 255 where there is none"

    @cached_property
    def colour_table(self) -> NDArray[np.uint8]:
        """(2^24,) uint8: r << 16 | g << 8 | b -> class, IGNORE or UNKNOWN; far faster than sorting."""
        table = np.full(1 << 24, UNKNOWN, np.uint8)
        for (red, green, blue), label in self.colour_to_class.items():
            table[red << 16 | green << 8 | blue] = label
        return table


def class_numbers(num_classes: int, *, ignored: Sequence[int] = (IGNORE,)) -> LabelFormat:
    """The plain format: the value is the class, and `ignored` values are IGNORE."""
    hint = "save the labels as class numbers, and 255 where there is none"
    if num_classes == 19:
        hint = "with 19 classes these look like Cityscapes labelIds where trainIds belong: convert them"
    return LabelFormat(
        num_classes=num_classes,
        value_to_class={value: value for value in range(num_classes)} | dict.fromkeys(ignored, IGNORE),
        hint=hint,
    )


def read_label(path: Path, label_format: LabelFormat, *, size: tuple[int, int] | None = None) -> LabelMap:
    """Read a label file: one channel of values (grey, palette), or colours where the format has them.

    Args:
        path: the file.
        label_format: how it is coded.
        size: (height, width) that the frame has; None to take any.
    Returns: (H, W) uint8, classes 0..num_classes-1 or IGNORE.
    Raises: DatasetError, when the file is missing, unreadable, wrong-sized, or holds a value or a colour that
        has no class.
    """
    try:
        with Image.open(path) as image:
            image.load()
            if size is not None and (image.height, image.width) != size:
                raise DatasetError(_size_message(path, (image.height, image.width), size))
            return _decode(path, image, label_format)
    except FileNotFoundError as error:
        raise DatasetError(f"label missing: {path}; restore it, or take it off the list") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"label unreadable: {path}: {error}; restore the file") from error


def label_size(path: Path) -> tuple[int, int]:
    """(height, width) of a label file, from its header.

    Raises: DatasetError, when the file is missing or has no readable header.
    """
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except FileNotFoundError as error:
        raise DatasetError(f"label missing: {path}; restore it, or take it off the list") from error
    except (OSError, SyntaxError) as error:
        raise DatasetError(f"label unreadable: {path}: {error}; restore the file") from error


def require_size(path: Path, size: tuple[int, int]) -> None:
    """Refuse a label file whose (height, width) is not that of its frame.

    Raises: DatasetError, also when the file is missing or unreadable.
    """
    found = label_size(path)
    if found != size:
        raise DatasetError(_size_message(path, found, size))


def _size_message(path: Path, found: tuple[int, int], size: tuple[int, int]) -> str:
    return (
        f"label of the wrong size: {path}: expected {size[0]}x{size[1]} (height x width) as its frame has, "
        f"got {found[0]}x{found[1]}; bring both to one size (labels by nearest neighbour)"
    )


class LabelFiles(Mapping[int, LabelMap]):
    """Frame index -> label map, read from its file each time it is asked for, so memory does not grow."""

    def __init__(self, files: Mapping[int, Path], label_format: LabelFormat, *, size: tuple[int, int]) -> None:
        self._files = dict(sorted(files.items()))
        self._format = label_format
        self._size = size

    def __getitem__(self, index: int) -> LabelMap:
        return read_label(self._files[index], self._format, size=self._size)

    def __iter__(self) -> Iterator[int]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, index: object) -> bool:
        return index in self._files


def _decode(path: Path, image: Image.Image, label_format: LabelFormat) -> LabelMap:
    if image.mode in COLOUR_MODES:
        return _from_colours(path, np.asarray(image.convert("RGB")), label_format)
    if image.mode not in INDEX_MODES:
        raise DatasetError(
            f"label of an unknown kind: {path}: Pillow mode {image.mode}, expected one channel or RGB; "
            "save it as 8-bit grey"
        )
    label = _from_values(path, np.asarray(image), label_format)
    if image.mode == "P" and label_format.colour_to_class:
        _refuse_two_readings(path, np.asarray(image.convert("RGB")), label, label_format)
    return label


def _from_values(path: Path, values: NDArray[np.generic], label_format: LabelFormat) -> LabelMap:
    values = values.astype(np.int64)
    if values.min() >= 0 and values.max() <= 255:
        table = np.full(256, UNKNOWN, np.uint8)
        table[list(label_format.value_to_class)] = list(label_format.value_to_class.values())
        label: LabelMap = table[values]
        if not (label == UNKNOWN).any():
            return label
    found, counts = np.unique(values, return_counts=True)
    outside = [
        f"{value} ({count} px)"
        for value, count in zip(found.tolist(), counts.tolist(), strict=True)
        if value not in label_format.value_to_class
    ]
    classes = _ranges(value for value, label in label_format.value_to_class.items() if label != IGNORE)
    ignored = _ranges(value for value, label in label_format.value_to_class.items() if label == IGNORE)
    raise DatasetError(
        f"label values outside the classes: {path}: {first_few(outside)}; expected {classes}, or {ignored} for none; "
        f"{label_format.hint}"
    )


def _ranges(values: Iterable[int]) -> str:
    """Numbers as runs: 0..10, 12, 255."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][-1] + 1:
            runs[-1][1:] = [value]
        else:
            runs.append([value])
    return ", ".join("..".join(map(str, run)) for run in runs)


def _from_colours(path: Path, rgb: NDArray[np.uint8], label_format: LabelFormat) -> LabelMap:
    if not label_format.colour_to_class:
        raise DatasetError(
            f"label in colours: {path}: expected one channel of class numbers, got RGB; save it as 8-bit grey"
        )
    codes = _colour_codes(rgb)
    label: LabelMap = label_format.colour_table[codes]
    if not (label == UNKNOWN).any():
        return label
    found, counts = np.unique(codes[label == UNKNOWN], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    colours = [
        f"({c >> 16}, {c >> 8 & 255}, {c & 255}) ({n} px)" for c, n in zip(found[order], counts[order], strict=True)
    ]
    advice = "recolour those pixels, or give the labels as class numbers"
    if len(colours) > 4 * len(label_format.colour_to_class):
        advice = "so many colours come from a lossy or smoothed copy: use the original PNG"
    elif (rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 0] == rgb[..., 2]).all():
        advice = "the three channels are equal, so these look like class numbers: save the file as 8-bit grey"
    raise DatasetError(f"label colours without a class: {path}: {first_few(colours)}; {advice}")


def _refuse_two_readings(path: Path, rgb: NDArray[np.uint8], label: LabelMap, label_format: LabelFormat) -> None:
    """Refuse a palette file whose colours have classes, but other ones than its numbers say."""
    by_colour = label_format.colour_table[_colour_codes(rgb)]
    if not (by_colour == UNKNOWN).any() and (by_colour != label).any():
        raise DatasetError(
            f"label with two readings: {path}: its palette numbers and its palette colours name different "
            f"classes at {int((by_colour != label).sum())} px; save it as RGB if the colours are right, as "
            "grey if the numbers are"
        )


def _colour_codes(rgb: NDArray[np.uint8]) -> NDArray[np.int32]:
    wide = rgb.astype(np.int32)
    codes: NDArray[np.int32] = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return codes

"""dataset.toml: what a user's own data set says of itself."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vssbench.datasets.fit import Fit
from vssbench.datasets.label_files import LabelFormat
from vssbench.datasets.messages import first_few
from vssbench.datasets.palette import bit_palette
from vssbench.datasets.survey import repeated
from vssbench.errors import DatasetError
from vssbench.records import IGNORE

FILE_NAME = "dataset.toml"
MOST_CLASSES = 254  # a label is a uint8, 255 is IGNORE, and 254 marks a value without a class while a file is read
KEYS = ("name", "classes", "colours", "fps", "size", "first_value", "values", "void", "void_colours")
_Colour = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Description:
    """What `dataset.toml` says, defaults filled in.

    Args:
        name: of the data set.
        class_names: K of them, in the order of the classes.
        palette: (K, 3) uint8.
        fps: frames per second; None where the file does not say.
        fit: how pictures become frames.
        label_format: how the label files are coded.
    """

    name: str
    class_names: Sequence[str]
    palette: NDArray[np.uint8]
    fps: float | None
    fit: Fit
    label_format: LabelFormat


def read_description(folder: Path) -> Description:
    """Read FOLDER/dataset.toml.

        classes = ["road", "car", "sky"]        # required; the order is that of the tables

        name = "my-city"                        # default: the folder's name
        fps = 25                                # default: a video file's own, 30 for images
        size = [480, 854]                       # height, width to resize to; default: as the files are
        colours = [[128, 64, 128], [0, 0, 142], [70, 130, 180]]     # one a class; label files may be in them
        void = [0, 255]                         # values that are not counted; 255 is one of them in any case
        void_colours = [[0, 0, 0]]              # the same of label files in colours
        first_value = 1                         # label value of the first class, the others follow; default 0
        [values]                                # or the value of each; several may share a class
        7 = "road"
        26 = "car"
        23 = "sky"

    Raises: DatasetError, when the file is missing, or no TOML, or has a wrong key or value; all faults are named.
    """
    path = folder / FILE_NAME
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise DatasetError(
            f"{path} is missing: it says what the labels mean; write it, at the least one line: "
            'classes = ["road", "car", "sky"]'
        ) from error
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}; correct it") from error
    reader = _Reader(table)
    description = reader.description(default_name=folder.resolve().name)
    if reader.faults:
        raise DatasetError(f"{path}: {'; '.join(reader.faults)}; correct the file")
    return description


class _Reader:
    """Takes the values out of the table and notes every fault; a faulty value is replaced by its default."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._table = table
        self.faults: list[str] = []

    def description(self, *, default_name: str) -> Description:
        for key in self._table.keys() - KEYS:
            close = difflib.get_close_matches(key, KEYS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(KEYS)}"
            self.faults.append(f"no key is called {key!r}, {hint}")
        names = self._value("classes", [], _is_names, f"a list of 1 to {MOST_CLASSES} names")
        for name in repeated(names):
            self.faults.append(f"classes has {name!r} more than once")
        colours = self._colours("colours")
        if names and colours and len(colours) != len(names):
            self.faults.append(f"colours must be one a class: {len(names)} classes, {len(colours)} colours")
        size = self._value("size", None, _is_size, "[height, width]")
        fps = self._value("fps", None, _is_rate, "a number above 0")
        return Description(
            name=self._value("name", default_name, _is_text, "a word"),
            class_names=tuple(names),
            palette=np.array(colours, np.uint8) if colours else bit_palette(max(len(names), 1)),
            fps=None if fps is None else float(fps),
            fit=Fit(size=None if size is None else (size[0], size[1])),
            label_format=LabelFormat(
                num_classes=len(names),
                value_to_class=self._value_to_class(names),
                colour_to_class=self._colour_to_class(colours),
                hint=f"list it under `void` or [values] in {FILE_NAME}, or correct the label",
            ),
        )

    def _value(self, key: str, default: Any, fits: Callable[[Any], bool], wanted: str) -> Any:
        if key not in self._table:
            if key == "classes":
                self.faults.append('classes is missing, e.g. classes = ["road", "car", "sky"]')
            return default
        value = self._table[key]
        if fits(value):
            return value
        self.faults.append(f"{key} must be {wanted}, got {value!r}")
        return default

    def _colours(self, key: str) -> list[_Colour]:
        rows = self._value(key, [], _is_colours, "a list of [red, green, blue], each 0..255")
        colours = [(int(red), int(green), int(blue)) for red, green, blue in rows]
        for colour in repeated(map(str, colours)):
            self.faults.append(f"{key} has {colour} more than once")
        return colours

    def _colour_to_class(self, colours: Sequence[_Colour]) -> dict[_Colour, int]:
        void = self._colours("void_colours")
        if void and not colours:
            self.faults.append("void_colours without colours: give the colours of the classes too")
        if both := [colour for colour in void if colour in colours]:
            self.faults.append(f"void_colours has colours of classes: {first_few(both)}")
        return dict.fromkeys(void, IGNORE) | {colour: label for label, colour in enumerate(colours)} if colours else {}

    def _value_to_class(self, names: Sequence[str]) -> dict[int, int]:
        """Label value -> class or IGNORE."""
        void = self._value("void", [], _is_void, "a label value or a list of them, each 0..255")
        ignored = [void] if isinstance(void, int) else list(void)
        first = self._value("first_value", 0, _is_byte, "a label value, 0..255")
        if "values" in self._table:
            if "first_value" in self._table:
                self.faults.append("first_value beside [values]: give one of them")
            classes = self._listed_values(names)
        else:
            classes = {first + label: label for label in range(len(names))}
            if first + len(names) - 1 >= IGNORE:
                self.faults.append(f"{len(names)} classes from value {first} on reach {IGNORE}, which is void")
        if both := [f"{value} (class {names[classes[value]]})" for value in ignored if value in classes]:
            self.faults.append(f"void has values of classes: {first_few(both)}; shift them by first_value or [values]")
        return {IGNORE: IGNORE} | dict.fromkeys(ignored, IGNORE) | classes

    def _listed_values(self, names: Sequence[str]) -> dict[int, int]:
        table = self._value("values", {}, lambda value: isinstance(value, dict), 'a table of lines like 7 = "road"')
        classes: dict[int, int] = {}
        for key, name in table.items():
            if not (key.isascii() and key.isdigit() and int(key) <= IGNORE):
                self.faults.append(f"[values] has {key!r}, a label value is 0..{IGNORE}")
            elif names and name not in names:
                close = difflib.get_close_matches(str(name), names, n=1)
                hint = f", did you mean {close[0]!r}?" if close else ""
                self.faults.append(f"[values] {key} is {name!r}, which is not one of the classes{hint}")
            elif names:
                classes[int(key)] = names.index(name)
        if unused := [name for label, name in enumerate(names) if label not in classes.values() and table]:
            self.faults.append(f"[values] has no value for {first_few(unused)}")
        return classes


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_byte(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255


def _is_void(value: object) -> bool:
    return _is_byte(value) or (isinstance(value, list) and all(map(_is_byte, value)))


def _is_names(value: object) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= MOST_CLASSES and all(map(_is_text, value))


def _is_rate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _is_size(value: object) -> bool:
    whole = isinstance(value, list) and all(isinstance(side, int) and not isinstance(side, bool) for side in value)
    return whole and isinstance(value, list) and len(value) == 2 and min(value) >= 1


def _is_colours(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, list) and len(row) == 3 and all(map(_is_byte, row)) for row in value
    )

"""A training recipe: one TOML file that says how the weights of a data set were made."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from vssbench.codec.encode import EncodeSettings
from vssbench.errors import UsageError
from vssbench.networks.zoo import NETWORKS
from vssbench.training.augment import Augmentation
from vssbench.training.loop import Schedule
from vssbench.training.losses import LOSSES


@dataclass(frozen=True, kw_only=True)
class BranchRecipe:
    """How one method's own weights are trained, beside the per-frame networks.

    Args:
        schedule: how long and how fast.
        settings: the record of the method, see `trainer.Branch.settings`.
    """

    schedule: Schedule
    settings: Any


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train the networks of one data set.

    Args:
        dataset: name of the data set, for the record.
        members: the weights to make, in order; see `trainer.Branch.start` for what each starts from.
        network, width: of `vssbench.networks.zoo`.
        pretrained: a published SegFormer's safetensors file (`networks.segformer_weights`), from which the base network
            starts in place of random weights: encoder and decoder where the file has as many decoder channels and
            classes, else the encoder alone. A relative path is relative to the working directory; "" for none.
        criterion: "ce" or "ohem" (`vssbench.training.losses`).
        label_stride: the loss falls on every so many pixels of each axis (`losses.on_label_grid`).
        every: train on each `every`-th annotated frame of a video; for pairs and clips, frames between two of them.
        base: schedule of the base network, at full resolution, from random weights or `pretrained`.
        constant: schedule of every constant-resolution network, from the base weights.
        branches: name of a method -> how its own weights are trained.
        encoding: of the streams that training reads vectors from; None bitrate: see `clips.default_bitrate_kbps`;
            the frame rate is the videos'.

    Raises: UsageError, when a name is unknown or a number out of range.
    """

    dataset: str
    members: tuple[str, ...]
    network: str = "bisenet18"
    width: float = 1.0
    pretrained: str = ""
    criterion: str = "ce"
    label_stride: int = 1
    every: int = 1
    base: Schedule
    constant: Schedule
    branches: Mapping[str, BranchRecipe] = field(default_factory=dict)
    encoding: EncodeSettings = field(default_factory=lambda: EncodeSettings(codec="hevc"))

    def __post_init__(self) -> None:
        known: dict[str, Iterable[str]] = {"network": NETWORKS, "criterion": LOSSES}
        for name, names in known.items():
            require_one_of(name, getattr(self, name), names)
        for name in ("label_stride", "every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.width < float("inf"):
            raise UsageError(f"width must be positive, got {self.width}")


def require_one_of(name: str, value: str, names: Iterable[str]) -> None:
    """Refuse a setting that is none of the known names. Raises: UsageError."""
    if value not in names:
        raise UsageError(f"{name} must be one of {', '.join(names)}, got {value!r}")


def read_recipe(path: Path, settings: Mapping[str, type]) -> Recipe:
    """Read a recipe.

    The stages' tables, `[base]`, `[constant]` and one for each method, take the keys of a schedule; a method's also
    those of its settings, and tables inside it where these are records themselves.

    Args:
        path: of the TOML file.
        settings: name of a method that trains weights of its own -> the record of its settings.

    Raises: UsageError, when the file is missing, no TOML, or has a wrong key or value.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the recipe {path}: {error}") from error
    spoken = [name for name in settings if name in table or _named(table, name)]  # a recipe need not speak of every one
    parts = {
        name: table.pop(name, {}) for name in ("schedule", "augmentation", "base", "constant", *settings, "encoding")
    }
    for name, part in parts.items():
        if not isinstance(part, dict):
            raise UsageError(f"{path}: {name} must be a table, [{name}], got {part!r}")
    if "fps" in parts["encoding"]:
        raise UsageError(f"{path}: fps in encoding; leave it out, the frame rate is the videos'")
    shared = {**parts["schedule"], "augmentation": _record(Augmentation, parts["augmentation"], path, "augmentation")}
    for stage in ("base", "constant"):
        table[stage] = _record(Schedule, {**shared, **parts[stage]}, path, stage)
    branches = {}
    for name in spoken:
        own = {f.name: parts[name].pop(f.name) for f in fields(settings[name]) if f.name in parts[name]}
        branches[name] = BranchRecipe(
            schedule=_record(Schedule, {**shared, **parts[name]}, path, name),
            settings=_record(settings[name], own, path, name),
        )
    table["encoding"] = _record(EncodeSettings, {"codec": "hevc", **parts["encoding"]}, path, "encoding")
    recipe: Recipe = _record(Recipe, {**table, "branches": branches}, path, "the top level")
    return recipe


def _named(table: Mapping[str, Any], branch: str) -> bool:
    """Whether a recipe's members name a method's weights."""
    members = table.get("members")
    heads = {str(member).partition("@")[0].partition(":")[0] for member in members} if isinstance(members, list) else ()
    return branch in heads


def _record(record: type, keys: dict[str, Any], path: Path, where: str) -> Any:
    """Make a record from a TOML table; lists become tuples, tables records."""
    known = {f.name for f in fields(record)}
    unknown = sorted(keys.keys() - known)
    if unknown:
        raise UsageError(f"{path}: unknown {', '.join(unknown)} in {where}; it takes {', '.join(sorted(known))}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in keys.items()}
    hints = get_type_hints(record)
    for key, value in values.items():
        if dataclasses.is_dataclass(hints[key]) and isinstance(value, dict):
            values[key] = _record(hints[key], value, path, f"{where}.{key}")
        elif not _fits(value, hints[key]):
            wanted = getattr(hints[key], "__name__", hints[key])
            raise UsageError(f"{path}: {key} in {where} must be of the type {wanted}, got {value!r}")
    try:
        return record(**values)
    except (TypeError, UsageError) as error:
        raise UsageError(f"{path}: {where}: {error}") from error


def _fits(value: object, hint: Any) -> bool:
    """Whether a value is of a record's type; a whole number does for a float, a truth value for neither."""
    if get_origin(hint) is UnionType:
        return any(_fits(value, part) for part in get_args(hint))
    if get_origin(hint) is tuple:
        if not isinstance(value, tuple):
            return False
        items = get_args(hint)
        items = items[:1] * len(value) if items[-1] is Ellipsis else items
        return len(value) == len(items) and all(map(_fits, value, items))
    if get_origin(hint) is Literal:  # which of the names it is, the record itself checks
        return isinstance(value, str)
    if get_origin(hint) is not None:  # a mapping that this file has made itself
        return True
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)

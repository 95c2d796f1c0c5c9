"""A training recipe: one TOML file that says how the weights of a data set were made."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from arseg.creff import CONVENTIONS
from arseg.options import Options
from vssbench.codec.encode import EncodeSettings
from vssbench.errors import UsageError
from vssbench.networks.zoo import NETWORKS
from vssbench.training.augment import Augmentation
from vssbench.training.loop import Schedule
from vssbench.training.losses import LOSSES


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train the networks of one data set.

    Args:
        dataset: name of the data set, for the record.
        members: the weights to make, in order; see `arseg.train.START_OF` for what each starts from.
        network, width: of `vssbench.networks.zoo`.
        criterion: "ce" or "ohem" (`vssbench.training.losses`).
        label_stride: the loss falls on every so many pixels of each axis (`losses.on_label_grid`).
        every: train on each `every`-th annotated frame of a video; for pairs, frames between two labelled ones.
        base: schedule of the base network, at full resolution from random weights.
        constant: schedule of every constant-resolution network, from the base weights.
        arseg: schedule of the AR-Seg branches, from the weights of constant@1.0.
        unfused_steps: of AR-Seg, see `arseg.feature_similarity.fst_loss`.
        convention: of AR-Seg, "paper" or "release".
        options: of AR-Seg; a member of the name `arseg:VARIANT@SCALE` changes these as `arseg.options.VARIANTS` says.
        encoding: of the streams that the pairs' vectors come from; None bitrate: see `clips.default_bitrate_kbps`;
            the frame rate is the videos'.

    Raises: UsageError, when a name is unknown or a number out of range.
    """

    dataset: str
    members: tuple[str, ...]
    network: str = "bisenet18"
    width: float = 1.0
    criterion: str = "ce"
    label_stride: int = 1
    every: int = 1
    base: Schedule
    constant: Schedule
    arseg: Schedule
    unfused_steps: int = 0
    convention: str = "paper"
    options: Options = field(default_factory=Options)
    encoding: EncodeSettings = field(default_factory=lambda: EncodeSettings(codec="hevc"))

    def __post_init__(self) -> None:
        known: dict[str, Iterable[str]] = {"network": NETWORKS, "criterion": LOSSES, "convention": CONVENTIONS}
        for name, names in known.items():
            if getattr(self, name) not in names:
                raise UsageError(f"{name} must be one of {', '.join(names)}, got {getattr(self, name)!r}")
        for name, least in (("label_stride", 1), ("every", 1), ("unfused_steps", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0 < self.width < float("inf"):
            raise UsageError(f"width must be positive, got {self.width}")


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises: UsageError, when the file is missing, no TOML, or has a wrong key or value.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the recipe {path}: {error}") from error
    stages = ("base", "constant", "arseg")
    parts = {name: table.pop(name, {}) for name in ("schedule", "augmentation", *stages, "encoding", "options")}
    for name, part in parts.items():
        if not isinstance(part, dict):
            raise UsageError(f"{path}: {name} must be a table, [{name}], got {part!r}")
    if "fps" in parts["encoding"]:
        raise UsageError(f"{path}: fps in encoding; leave it out, the frame rate is the videos'")
    augmentation = _record(Augmentation, parts["augmentation"], path, "augmentation")
    for stage in stages:
        keys = {**parts["schedule"], **parts[stage], "augmentation": augmentation}
        table[stage] = _record(Schedule, keys, path, stage)
    table["encoding"] = _record(EncodeSettings, {"codec": "hevc", **parts["encoding"]}, path, "encoding")
    table["options"] = _record(Options, parts["options"], path, "options")
    recipe: Recipe = _record(Recipe, table, path, "the top level")
    return recipe


def _record(record: type, keys: dict[str, Any], path: Path, where: str) -> Any:
    """Make a record from a TOML table; lists become tuples."""
    known = {f.name for f in fields(record)}
    unknown = sorted(keys.keys() - known)
    if unknown:
        raise UsageError(f"{path}: unknown {', '.join(unknown)} in {where}; it takes {', '.join(sorted(known))}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in keys.items()}
    hints = get_type_hints(record)
    for key, value in values.items():
        if not _fits(value, hints[key]):
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
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)

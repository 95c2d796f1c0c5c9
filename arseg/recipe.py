"""A training recipe: one TOML file that says how the weights of a data set were made."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from vssbench.codec.encode import EncodeSettings
from vssbench.errors import UsageError
from vssbench.training.augment import Augmentation
from vssbench.training.loop import Schedule
from vssbench.training.losses import LOSSES


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train the networks of one data set.

    Args:
        dataset: name of the data set, for the record.
        members: the weights to make, in order; "constant@1.0" is what all others start from.
        network, width: of `vssbench.networks.zoo`.
        criterion: "ce" or "ohem" (`vssbench.training.losses`).
        every: train on each `every`-th annotated frame of a video; for pairs, frames between two labelled ones.
        high: schedule of the full-resolution network, from random weights.
        constant: schedule of the constant-resolution networks below 1.0, from the full-resolution weights.
        arseg: schedule of the AR-Seg branches, from the full-resolution weights.
        unfused_steps: of AR-Seg, see `arseg.feature_similarity.fst_loss`.
        convention: of AR-Seg, "paper" or "release".
        encoding: of the streams that the pairs' vectors come from; None bitrate: see `clips.default_bitrate_kbps`.
    """

    dataset: str
    members: tuple[str, ...]
    network: str = "bisenet18"
    width: float = 1.0
    criterion: str = "ce"
    every: int = 1
    high: Schedule
    constant: Schedule
    arseg: Schedule
    unfused_steps: int = 0
    convention: str = "paper"
    encoding: EncodeSettings = field(default_factory=lambda: EncodeSettings(codec="h264"))


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises: UsageError, when the file is missing, no TOML, or has a wrong key or value.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the recipe {path}: {error}") from error
    shared = table.pop("schedule", {})
    augmentation = _record(Augmentation, table.pop("augmentation", {}), path, "augmentation")
    for stage in ("high", "constant", "arseg"):
        keys = {**shared, **table.get(stage, {}), "augmentation": augmentation}
        table[stage] = _record(Schedule, keys, path, stage)
    table["encoding"] = _record(EncodeSettings, {"codec": "h264", **table.get("encoding", {})}, path, "encoding")
    recipe: Recipe = _record(Recipe, table, path, "the top level")
    if recipe.criterion not in LOSSES:
        raise UsageError(f"{path}: criterion must be one of {', '.join(LOSSES)}, got {recipe.criterion!r}")
    return recipe


def _record(record: type, keys: dict[str, Any], path: Path, where: str) -> Any:
    """Make a record from a TOML table; lists become tuples."""
    known = {f.name for f in fields(record)}
    unknown = sorted(keys.keys() - known)
    if unknown:
        raise UsageError(f"{path}: unknown {', '.join(unknown)} in {where}; it takes {', '.join(sorted(known))}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in keys.items()}
    try:
        return record(**values)
    except TypeError as error:
        raise UsageError(f"{path}: {where}: {error}") from error

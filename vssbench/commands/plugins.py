"""A user's own methods and data sets: from a file, or from the entry points of an installed package."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from vssbench.commands.catalogue import Bench, Catalogue, plugin_family
from vssbench.errors import UsageError
from vssbench.records import Dataset, Method


def load_plugins(catalogue: Catalogue, files: Sequence[str]) -> None:
    """Add what plugins define: METHODS (name -> factory of Bench) and DATASETS (name -> factory of folder).

    Args:
        files: Python files (`--plugin`); VSSBENCH_PLUGINS adds to them, separated as PATH is.

    Raises: UsageError, when a file is missing, does not import, or defines neither, or a name is taken.
    """
    named = [*files, *filter(None, os.environ.get("VSSBENCH_PLUGINS", "").split(os.pathsep))]
    for file in named:
        module = _imported(Path(file))
        methods, datasets = getattr(module, "METHODS", {}), getattr(module, "DATASETS", {})
        if not methods and not datasets:
            raise UsageError(
                f"the plugin {file} defines neither METHODS nor DATASETS, e.g. METHODS = {{'mine': factory}}"
            )
        digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        _add(catalogue, file, methods, datasets, {"plugin": Path(file).name, "sha256": digest})
    for entry in importlib.metadata.entry_points(group="vssbench.methods"):
        source = {"plugin": entry.value, "version": entry.dist.version if entry.dist else ""}
        _add(catalogue, entry.value, {entry.name: entry.load()}, {}, source)
    for entry in importlib.metadata.entry_points(group="vssbench.datasets"):
        _add(catalogue, entry.value, {}, {entry.name: entry.load()}, {})


def _add(
    catalogue: Catalogue,
    source: str,
    methods: Mapping[str, Callable[[Bench], Method]],
    datasets: Mapping[str, Callable[[Path | None], Dataset]],
    record: Mapping[str, object],
) -> None:
    for taken in (methods.keys() & catalogue.families.keys()) | (datasets.keys() & catalogue.datasets.keys()):
        raise UsageError(f"the plugin {source} defines {taken!r}, which exists already; give it another name")
    catalogue.families.update({name: plugin_family(name, factory, source=record) for name, factory in methods.items()})
    catalogue.datasets.update(datasets)


def _imported(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"no plugin file at {path}")
    name = f"vssbench_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"the plugin {path} is no Python file (its name must end in .py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"the plugin {path} does not import: {type(error).__name__}: {error}") from error
    return module

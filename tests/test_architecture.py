"""The table of HOUSE_STYLE section 2: who may import whom. Imports point one way, so there can be no circle."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

BASE = {"vssbench.records", "vssbench.errors"}
ALLOWED = {
    "vssbench.records": {"vssbench.errors"},
    "vssbench.errors": set(),
    "vssbench.codec": BASE,
    "vssbench.metrics": BASE,
    "vssbench.complexity": BASE,
    "vssbench.latency": BASE,
    "vssbench.ops": BASE | {"vssbench.latency"},  # its marks of the parts of a step, latency.phases
    "vssbench.networks": BASE | {"vssbench.ops"},
    "vssbench.store": BASE,
    "vssbench.datasets": BASE | {"vssbench.codec"},
    "vssbench.training": BASE | {"vssbench.ops", "vssbench.networks", "vssbench.codec", "vssbench.datasets"},
    "vssbench.runner": BASE
    | {"vssbench.codec", "vssbench.datasets", "vssbench.metrics", "vssbench.complexity", "vssbench.latency"}
    | {"vssbench.store"},
    "baselines": BASE | {"vssbench.ops", "vssbench.networks"},
    "arseg": BASE | {"vssbench.ops", "vssbench.networks", "vssbench.codec", "vssbench.datasets", "vssbench.training"},
    "tfc": BASE | {"vssbench.ops", "vssbench.networks", "vssbench.datasets", "vssbench.training", "baselines"},
    # statistics of stored times are numpy alone; the timer itself is out of reach (see the test on torch)
    "reports": BASE | {"vssbench.store", "vssbench.metrics", "vssbench.latency"},
    # counts the numbers of print again, so it needs all that they are counts of; `reports` judges what it finds
    "recount": BASE
    | {"vssbench.ops", "vssbench.networks", "vssbench.complexity", "baselines", "arseg", "tfc"}
    | {"reports"},
    "vssbench.progress": set(),
    "vssbench.cli": BASE,
    "vssbench.commands": BASE
    | {"vssbench.cli", "vssbench.codec", "vssbench.datasets", "vssbench.latency", "vssbench.networks"}
    | {"vssbench.progress", "vssbench.runner", "vssbench.store", "vssbench.training"},
}
MAY_IMPORT_TORCH = {"vssbench.ops", "vssbench.networks", "vssbench.complexity", "vssbench.latency", "vssbench.training"}
MAY_IMPORT_TORCH |= {"vssbench.runner", "vssbench.commands", "baselines", "arseg", "tfc", "recount"}

PACKAGES = ("vssbench", "baselines", "arseg", "tfc", "recount", "reports")


def part_of(module: str) -> str:
    """The row of the table that a module belongs to: its package, or for a file beside the packages itself."""
    words = module.split(".")
    if words[0] != "vssbench":
        return words[0]
    name = ".".join(words[:2])
    return "vssbench.store" if name.startswith("vssbench.store") else name


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def sources() -> list[Path]:
    folders = [ROOT / name for name in PACKAGES]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "vssbench" else {node.module}
            )
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_imports_only_what_its_row_allows(path: Path):
    part = part_of(module_name(path))
    if part == "vssbench":  # the package's own __init__
        assert not imports(path)
        return
    assert part in ALLOWED, f"{part} has no row: add one, and think where it stands"
    ours = {part_of(name) for name in imports(path) if name.split(".")[0] in PACKAGES}
    wrong = ours - ALLOWED[part] - {part}
    assert not wrong, f"{module_name(path)} may not import {sorted(wrong)}"


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_torch_stays_where_tensors_are(path: Path):
    uses_torch = any(name.split(".")[0] in ("torch", "safetensors") for name in imports(path))
    assert not uses_torch or part_of(module_name(path)) in MAY_IMPORT_TORCH


# The reader of motion vectors is a library of its own: `vssbench.codec.read_motion`.
REEXPORTED = {"vssbench.codec": {"vssbench.codec.vectors"}}


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_package_initialisers_hold_a_docstring_alone(path: Path):
    if path.name == "__init__.py":
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree)
        reexported = REEXPORTED.get(module_name(path), set())
        assert imports(path) == reexported
        assert len(tree.body) == (3 if reexported else 1)  # then the import and __all__


def test_the_rows_form_no_circle():
    """Repeatedly take away rows that import nothing left; a circle would remain."""
    left = {row: {other for other in allowed if other != row} for row, allowed in ALLOWED.items()}
    while free := [row for row, needs in left.items() if not needs & left.keys()]:
        for row in free:
            del left[row]
    assert not left


def test_no_file_holds_a_path_of_a_machine():
    listed = [*sources(), *ROOT.glob("*.md"), *ROOT.glob("*.toml"), *ROOT.glob("recipes/*"), *ROOT.glob(".ci/*")]
    for path in listed:
        text = path.read_text(encoding="utf-8")
        assert "/work/" not in text, path
        assert "/home/" not in text, path

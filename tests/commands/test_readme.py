"""Every command of the README is one that works: parsed by the real command line, and run where that is quick."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import run_bench
from vssbench import cli

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCED = re.findall(r"^```\w*\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
INLINE = re.findall(r"`((?:vssbench|python run_bench\.py) [^`]+)`", README)


def commands() -> list[str]:
    lines = [line for block in FENCED for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [part for part in (*parts, *INLINE) if part.startswith(("vssbench ", "python run_bench.py"))]


@pytest.mark.parametrize("command", commands())
def test_command_is_understood(command):
    words = shlex.split(command)
    options = cli.parse(words[1:] if words[0] == "vssbench" else words[2:])
    for name in getattr(options, "plugin", []):
        assert (ROOT / name).is_file()
    if options.command == "train":
        assert (ROOT / options.recipe).is_file()


def test_the_first_block_runs_the_main_job_and_the_second_the_tests():
    assert "pip install -c constraints.txt" in FENCED[0]
    assert FENCED[0].rstrip().endswith("python run_bench.py --methods arseg,taplab")
    assert "pip install -c constraints.txt" in FENCED[1]
    assert "pytest" in FENCED[1]


def test_the_plugin_shown_is_the_example_and_has_under_30_lines():
    example = (ROOT / "examples/every_other.py").read_text(encoding="utf-8")
    assert example in FENCED
    assert len(example.splitlines()) < 30


def test_the_example_plugin_runs_beside_the_anchor(bench, tmp_path):
    assert (
        bench(
            tmp_path / "run", "--plugin", str(ROOT / "examples/every_other.py"), "--methods", "every-other", "-L", "2"
        )
        == 0
    )
    table = (tmp_path / "run/summary/table.md").read_text()
    assert table.count("###") == 1, "one table: the plugin stands beside constant resolution"
    assert "every-other" in table
    assert "constant@1.0" in table


def test_exit_codes_in_the_readme_are_those_of_the_errors():
    from vssbench import errors

    codes = {
        cls.exit_code
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, errors.VssBenchError)
    }
    section = README.split("## Exit codes")[1].split("##")[0]
    assert all(re.search(rf"\b{code}\b", section) for code in codes)


def test_names_in_the_readme_exist():
    families = {family.name: family for family in run_bench.FAMILIES}
    for name in re.findall(r"`((?:constant|arseg|taplab|reuse)[:@][^`]+)`", README):
        head = name.partition("@")[0]
        family, _, variant = head.partition(":")
        assert family in families
        assert not variant or variant in families[family].variants
    for name in run_bench.DATASETS:
        assert f"`{name}`" in README

"""One command line for all tests of commands: tiny street, tiny weights, GOPs of four frames."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import reports.write
import run_bench

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from tiny_weights import write_tiny_weights  # noqa: E402

PLUGIN = str(ROOT / "tests/runner/tiny_plugin.py")


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    return write_tiny_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def words(weights) -> Callable[..., list[str]]:
    """The words of a run on tiny street; further words win over these."""

    def make(out: Path, *more: str) -> list[str]:
        base = ["run", "--plugin", PLUGIN, "--dataset", "tiny-street", "--weights", str(weights), "--gop", "4"]
        return [*base, "-o", str(out), "--repeats", "1", "-q", *more]

    return make


@pytest.fixture
def bench(words, monkeypatch) -> Callable[..., int]:
    """Run in this process; returns the exit code. Figures, half of a tiny run's time, are drawn on request only."""

    def run(out: Path, *more: str, figures: bool = False) -> int:
        if not figures:
            monkeypatch.setattr(reports.write, "write_figures", lambda _frame, _folder: [])
        return run_bench.main(words(out, *more))

    return run


@pytest.fixture
def spawn(words) -> Callable[..., subprocess.Popen]:
    """Run in a process of its own, which a test can kill."""

    def start(out: Path, *more: str, **environment: str) -> subprocess.Popen:
        command = [sys.executable, str(ROOT / "run_bench.py"), *words(out, *more)]
        return subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start

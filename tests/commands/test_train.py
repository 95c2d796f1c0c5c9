from __future__ import annotations

from pathlib import Path

import pytest

import run_bench
from arseg.recipe import read_recipe
from vssbench.datasets.street import Street

RECIPE = """
dataset = "small-street"
members = ["base", "constant@1.0", "constant@0.5", "arseg@0.5"]
width = 0.0625
every = 4

[schedule]
steps = 1
batch = 2

[augmentation]
crop = [48, 64]

[encoding]
gop_length = 4
"""

PLUGIN = """
from vssbench.datasets.street import Street

DATASETS = {
    "small-street": lambda folder: Street(
        size=(64, 96), num_videos={"train": 1, "test": 1}, frames_per_video=8
    )
}
"""


@pytest.fixture
def words(tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "plugin.py").write_text(PLUGIN)
    return ["train", "--recipe", str(tmp_path / "recipe.toml"), "--plugin", str(tmp_path / "plugin.py"), "-q"]


def test_a_recipe_trains_weights_that_a_run_finds(words, tmp_path):
    weights = tmp_path / "weights"
    assert run_bench.main([*words, "--weights", str(weights)]) == 0
    names = {path.stem for path in weights.glob("*.safetensors")}
    assert names == {"base", "constant@1.0", "constant@0.5", "arseg@0.5"}
    run = ["run", "--plugin", str(tmp_path / "plugin.py"), "--dataset", "small-street", "--weights", str(weights)]
    out = ["-o", str(tmp_path / "run"), "--no-latency", "-q", "-L", "1"]
    assert run_bench.main([*run, "--methods", "arseg", "--gop", "4", *out]) == 0


def test_a_member_that_is_none_exits_2_before_anything_is_trained(words, tmp_path, capsys):
    assert run_bench.main([*words, "--weights", str(tmp_path / "weights"), "base", "taplab@0.5"]) == 2
    assert "cannot train 'taplab@0.5'" in capsys.readouterr().err
    assert not list((tmp_path / "weights").glob("*.safetensors"))


def test_the_shipped_recipe_is_for_the_shipped_weights():
    """Every member that the default run needs is in the recipe, and street has a training split."""

    root = Path(__file__).resolve().parents[2]
    recipe = read_recipe(root / "recipes/street.toml")
    shipped = {path.stem for path in (root / "vssbench/weights/street").glob("*.safetensors")}
    assert shipped == set(recipe.members) - {"base"}
    assert sum(path.stat().st_size for path in (root / "vssbench/weights").rglob("*")) <= 15_000_000
    assert Street().splits()[0] == "train"

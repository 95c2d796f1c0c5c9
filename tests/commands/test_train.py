from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

import run_bench
from vssbench.codec.cache import EncodeCache
from vssbench.datasets.street import Street
from vssbench.errors import WeightsError
from vssbench.training.recipe import read_recipe
from vssbench.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[2]
STREET = ROOT / "vssbench/weights/street"
SETTINGS = {name: branch.settings for name, branch in run_bench.BRANCHES.items()}
# the recipe of the weights of the image network that `street` runs on where none is asked for, and of another's
RECIPES = {
    ROOT / "recipes/street.toml": STREET,
    ROOT / "recipes/street_segformer.toml": STREET / "segformer-b0",
}
SHIPPED = {recipe: folder for recipe, folder in RECIPES.items() if folder.is_dir()}

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


def trainer(recipe, weights, cache):
    """A trainer that has nothing to train on."""
    return Trainer(
        recipe,
        [],
        num_classes=len(Street.class_names),
        weights=weights,
        cache=EncodeCache(cache),
        device=torch.device("cpu"),
        branches=run_bench.BRANCHES,
    )


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


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_the_recipes_of_the_project_can_be_read_and_their_members_trained(recipe, tmp_path):
    made = read_recipe(recipe, SETTINGS)
    assert made.members[0] == "base"
    assert len(set(made.members)) == len(made.members)
    trainer(made, tmp_path, tmp_path).check(made.members)


@pytest.mark.parametrize(("recipe", "folder"), SHIPPED.items(), ids=lambda path: path.name)
def test_shipped_weights_are_members_of_their_recipe_made_as_it_says(recipe, folder, tmp_path):
    """`train` gives a finished member back only if its header is what would be written now; there is nothing to train
    on here, so it cannot be made anew.
    """
    made = read_recipe(recipe, SETTINGS)
    shipped = sorted(path.stem for path in folder.glob("*.safetensors"))
    assert set(shipped) == set(made.members) - {"base"}
    assert folder == STREET or folder.name == made.network  # a run looks for another network's in a folder of its name
    for member in shipped:
        path = trainer(made, folder, tmp_path).train(member)
        assert path == folder / f"{member}.safetensors"


def test_every_shipped_file_is_made_by_some_recipe():
    folders = {path.parent for path in (ROOT / "vssbench/weights").rglob("*.safetensors")}
    assert folders == set(SHIPPED.values())


def test_the_shipped_weights_are_small():
    assert sum(path.stat().st_size for path in (ROOT / "vssbench/weights").rglob("*")) <= 25_000_000


def test_weights_changed_by_another_recipe_would_be_told(tmp_path):
    made = read_recipe(ROOT / "recipes/street.toml", SETTINGS)
    other = dataclasses.replace(made, width=0.5)
    with pytest.raises(WeightsError, match=r"made by another recipe \(other width\)"):
        trainer(other, STREET, tmp_path).train("constant@1.0")


def test_the_default_run_finds_its_training_split_first():
    assert Street().splits()[0] == "train"

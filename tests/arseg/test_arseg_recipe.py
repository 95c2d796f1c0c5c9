"""What a recipe says of AR-Seg, and the recipes of the project."""

from pathlib import Path

import pytest

from arseg.options import UNTRAINED, VARIANTS, Options
from arseg.train import ARSegBranch, ARSegSettings
from vssbench.errors import UsageError
from vssbench.training.loop import Schedule
from vssbench.training.recipe import BranchRecipe, read_recipe
from vssbench.training.trainer import parse_member

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
LEAST = """
dataset = "street"
members = ["constant@1.0", "arseg@0.5"]
[schedule]
steps = 10
"""


def read(tmp_path, text):
    path = tmp_path / "r.toml"
    path.write_text(text)
    return read_recipe(path, {"arseg": ARSegSettings})


def settings(tmp_path, text):
    return read(tmp_path, text).branches["arseg"].settings


def test_a_short_recipe_has_ar_segs_own_options(tmp_path):
    own = ARSegSettings(unfused_steps=0, convention="paper", options=Options())
    assert read(tmp_path, LEAST).branches == {"arseg": BranchRecipe(schedule=Schedule(steps=10), settings=own)}


def test_the_options_of_ar_seg_are_as_told_and_its_own_where_not(tmp_path):
    text = LEAST + '[arseg]\nsteps = 3\nunfused_steps = 2\nconvention = "release"\n'
    text += '[arseg.options]\nwindow = 5\nlocation = "task"\nshared_final = false\n'
    told = read(tmp_path, text)
    options = Options(window=5, location="task", shared_final=False)
    assert told.branches["arseg"] == BranchRecipe(
        schedule=Schedule(steps=3),
        settings=ARSegSettings(unfused_steps=2, convention="release", options=options),
    )
    assert told.constant == Schedule(steps=10)


def test_the_ablation_recipe_has_every_row_of_table_3_that_is_trained():
    members = read_recipe(RECIPES / "street_ablation.toml", {"arseg": ARSegSettings}).members
    branches = {"arseg": ARSegBranch()}
    assert {parse_member(member, branches).variant for member in members} == {"", *VARIANTS} - UNTRAINED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[arseg]\nconvention = "released"\n', "arseg: convention must be one of paper, release, got 'released'"),
        ("[arseg]\nunfused_steps = -1\n", "arseg: unfused_steps must be at least 0"),
        ("[arseg]\nlr = 0.1\n", "unknown lr in arseg"),
        ('[arseg.options]\nfusion = "flow"\n', r"arseg\.options: fusion must be one of none, .*got 'flow'"),
        ("[arseg.options]\nfusion = 3\n", r"fusion in arseg\.options must be of the type .*got 3"),
        ("[arseg.options]\nwindow = 6\n", r"arseg\.options: window must be odd"),
        ("[arseg.options]\nwarp = 0\n", r"warp in arseg\.options must be of the type bool"),
        ("[arseg.options]\nheads = 2\n", r"unknown heads in arseg\.options; it takes .*window"),
        ("[options]\nwindow = 5\n", "unknown options in the top level"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name_and_file(tmp_path, text, message):
    with pytest.raises(UsageError, match=message) as caught:
        read(tmp_path, LEAST + text)
    assert str(tmp_path / "r.toml") in str(caught.value)

"""Recipes: what a TOML file says, and every way in which it may be wrong."""

from pathlib import Path

import pytest

from arseg.options import UNTRAINED, VARIANTS, Options
from arseg.recipe import read_recipe
from arseg.train import parse_member
from vssbench.codec.encode import EncodeSettings
from vssbench.errors import UsageError
from vssbench.training.augment import Augmentation
from vssbench.training.loop import Schedule

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
    return read_recipe(path)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_recipes_of_the_project_can_be_read_and_their_members_trained(path):
    recipe = read_recipe(path)
    assert recipe.members[0] == "base"
    assert len(set(recipe.members)) == len(recipe.members)
    assert all(parse_member(member) for member in recipe.members)


def test_a_short_recipe_has_defaults_for_the_rest(tmp_path):
    recipe = read(tmp_path, LEAST)
    assert recipe.members == ("constant@1.0", "arseg@0.5")
    assert recipe.base == recipe.constant == recipe.arseg == Schedule(steps=10)
    assert (recipe.network, recipe.width, recipe.criterion, recipe.convention) == ("bisenet18", 1.0, "ce", "paper")
    assert recipe.encoding == EncodeSettings(codec="hevc")


def test_a_stage_overrides_what_all_stages_share(tmp_path):
    text = LEAST + "batch = 4\n[augmentation]\ncrop = [64, 96]\nscales = [1, 2]\n[arseg]\nsteps = 3\nseed = 7\n"
    recipe = read(tmp_path, text)
    augmentation = Augmentation(crop=(64, 96), scales=(1, 2))
    assert recipe.base == Schedule(steps=10, batch=4, augmentation=augmentation)
    assert recipe.arseg == Schedule(steps=3, batch=4, seed=7, augmentation=augmentation)


def test_the_encoding_is_as_told(tmp_path):
    recipe = read(tmp_path, LEAST + '[encoding]\ncodec = "mpeg4"\ngop_length = 5\nbitrate_kbps = 300\n')
    assert recipe.encoding == EncodeSettings(codec="mpeg4", gop_length=5, bitrate_kbps=300)


def test_the_options_of_ar_seg_are_as_told_and_its_own_where_not(tmp_path):
    assert read(tmp_path, LEAST).options == Options()
    text = LEAST + '[options]\nwindow = 5\nlocation = "task"\nshared_final = false\n'
    assert read(tmp_path, text).options == Options(window=5, location="task", shared_final=False)


def test_the_ablation_recipe_has_every_row_of_table_3_that_is_trained():
    members = read_recipe(RECIPES / "street_ablation.toml").members
    assert {parse_member(member).variant for member in members} == {"", *VARIANTS} - UNTRAINED


def test_a_missing_recipe_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read the recipe .*none\.toml"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="cannot read the recipe"):
        read_recipe(tmp_path)


@pytest.mark.parametrize("data", [b"dataset = ", b"\xff\xfe\x00", b"a = 1\na = 2\n"])
def test_a_file_that_is_no_toml_is_refused(tmp_path, data):
    path = tmp_path / "r.toml"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"cannot read the recipe .*r\.toml"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "steps"),
        ('dataset = "street"\n[schedule]\nsteps = 1\n', "members"),
        ("wdith = 0.5\n" + LEAST, "unknown wdith in the top level; it takes .*width"),
        (LEAST + "rate = 0.1\n", "unknown rate in base"),
        (LEAST + "[arseg]\nlr = 0.1\n", "unknown lr in arseg"),
        (LEAST + "[augmentation]\nzoom = 2\n", "unknown zoom in augmentation"),
        (LEAST + "[encoding]\nqp = 20\n", "unknown qp in encoding"),
        ('criterion = "focal"\n' + LEAST, "criterion must be one of ce, ohem, got 'focal'"),
        ('network = "segnet"\n' + LEAST, "network must be one of bisenet18, .*got 'segnet'"),
        ('convention = "released"\n' + LEAST, "convention must be one of paper, release, got 'released'"),
        ("width = 0\n" + LEAST, "width must be positive"),
        ("every = 0\n" + LEAST, "every must be at least 1"),
        ("label_stride = 0\n" + LEAST, "label_stride must be at least 1"),
        ("unfused_steps = -1\n" + LEAST, "unfused_steps must be at least 0"),
        ('width = "half"\n' + LEAST, "width in the top level must be of the type float, got 'half'"),
        ("every = 1.5\n" + LEAST, "every in the top level must be of the type int, got 1.5"),
        (LEAST.replace("= 10", '= "10"'), "steps in base must be of the type int, got '10'"),
        (LEAST.replace("= 10", "= true"), "steps in base must be of the type int, got True"),
        (LEAST.replace("= 10", "= 0"), "base: steps of a schedule must be at least 1, got 0"),
        (LEAST + "bfloat16 = 1\n", "bfloat16 in base must be of the type bool"),
        (LEAST + "[augmentation]\ncrop = [64]\n", "crop in augmentation must be of the type"),
        (LEAST + "[augmentation]\ncrop = 64\n", "crop in augmentation must be of the type"),
        (LEAST + "[augmentation]\nscales = [2.0, 1.0]\n", "augmentation: scales"),
        (LEAST.replace('["constant@1.0", "arseg@0.5"]', '"constant@1.0"'), "members in the top level"),
        (LEAST.replace('"arseg@0.5"', "0.5"), "members in the top level"),
        ("base = 3\n" + LEAST, r"base must be a table, \[base\], got 3"),
        ("encoding = []\n" + LEAST, "encoding must be a table"),
        (LEAST + '[encoding]\ncodec = "x265"\n', "encoding: unknown codec 'x265'; did you mean 'hevc'"),
        (LEAST + '[options]\nfusion = "flow"\n', "options: fusion must be one of none, .*got 'flow'"),
        (LEAST + "[options]\nfusion = 3\n", "fusion in options must be of the type .*got 3"),
        (LEAST + "[options]\nwindow = 6\n", "options: window must be odd"),
        (LEAST + "[options]\nwarp = 0\n", "warp in options must be of the type bool"),
        (LEAST + "[options]\nheads = 2\n", "unknown heads in options; it takes .*window"),
        (LEAST + "[encoding]\nfps = 30\n", "the frame rate is the videos'"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name_and_file(tmp_path, text, message):
    with pytest.raises(UsageError, match=message) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "r.toml") in str(caught.value)

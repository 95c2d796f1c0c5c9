"""Recipes: what a TOML file says, and every way in which it may be wrong."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from vssbench.codec.encode import EncodeSettings
from vssbench.errors import UsageError
from vssbench.training.augment import Augmentation
from vssbench.training.loop import Schedule
from vssbench.training.recipe import BranchRecipe, Recipe, read_recipe

LEAST = """
dataset = "street"
members = ["constant@1.0", "mix@0.5"]
[schedule]
steps = 10
"""


@dataclass(frozen=True, kw_only=True)
class Taste:
    """A record inside a method's settings."""

    order: Literal["first", "last"] = "first"
    strength: float = 1.0
    stirred: bool = True

    def __post_init__(self):
        if self.strength < 0:
            raise UsageError(f"strength must be at least 0, got {self.strength}")


@dataclass(frozen=True, kw_only=True)
class MixSettings:
    """What a method that is called mix adds to a recipe."""

    clip_length: int = 4
    taste: Taste = field(default_factory=Taste)

    def __post_init__(self):
        if self.clip_length < 2:
            raise UsageError(f"clip_length must be at least 2, got {self.clip_length}")


SETTINGS = {"mix": MixSettings}


def read(tmp_path, text, settings=SETTINGS):
    path = tmp_path / "r.toml"
    path.write_text(text)
    return read_recipe(path, settings)


def test_a_short_recipe_has_defaults_for_the_rest(tmp_path):
    recipe = read(tmp_path, LEAST)
    assert recipe.members == ("constant@1.0", "mix@0.5")
    assert recipe.base == recipe.constant == Schedule(steps=10)
    assert recipe.branches == {"mix": BranchRecipe(schedule=Schedule(steps=10), settings=MixSettings())}
    assert (recipe.network, recipe.width, recipe.criterion, recipe.every) == ("bisenet18", 1.0, "ce", 1)
    assert recipe.pretrained == ""
    assert recipe.encoding == EncodeSettings(codec="hevc")


def test_a_stage_overrides_what_all_stages_share(tmp_path):
    text = LEAST + "batch = 4\n[augmentation]\ncrop = [64, 96]\nscales = [1, 2]\n[mix]\nsteps = 3\nseed = 7\n"
    recipe = read(tmp_path, text)
    augmentation = Augmentation(crop=(64, 96), scales=(1, 2))
    assert recipe.base == recipe.constant == Schedule(steps=10, batch=4, augmentation=augmentation)
    assert recipe.branches["mix"].schedule == Schedule(steps=3, batch=4, seed=7, augmentation=augmentation)


def test_a_methods_table_holds_its_schedule_and_its_settings_and_tables_of_these(tmp_path):
    told = read(tmp_path, LEAST + '[mix]\nbatch = 2\nclip_length = 3\n[mix.taste]\norder = "last"\nstrength = 2\n')
    assert told.branches["mix"].schedule == Schedule(steps=10, batch=2)
    assert told.branches["mix"].settings == MixSettings(clip_length=3, taste=Taste(order="last", strength=2))
    assert told.base == Schedule(steps=10)


def test_a_recipe_speaks_of_the_methods_that_it_names_by_member_or_table(tmp_path):
    plain = LEAST.replace(', "mix@0.5"', "")
    assert read(tmp_path, plain).branches == {}
    assert read(tmp_path, plain + "[mix]\nsteps = 3\n").branches["mix"].schedule == Schedule(steps=3)
    assert read(tmp_path, plain + "[mix]\n").branches["mix"].schedule == Schedule(steps=10)
    for name in ("mix", "mix:dry", "mix:dry@0.5"):
        assert "mix" in read(tmp_path, LEAST.replace("mix@0.5", name)).branches
    assert read(tmp_path, LEAST.replace("mix@0.5", "mixed@0.5")).branches == {}


def test_a_table_of_a_method_that_nobody_knows_is_refused(tmp_path):
    with pytest.raises(UsageError, match="unknown mix in the top level"):
        read(tmp_path, LEAST + "[mix]\nsteps = 3\n", {})
    assert read(tmp_path, LEAST, {}).branches == {}


def test_published_weights_to_start_from_are_a_path(tmp_path):
    assert read(tmp_path, 'pretrained = "there/model.safetensors"\n' + LEAST).pretrained == "there/model.safetensors"


def test_the_encoding_is_as_told(tmp_path):
    recipe = read(tmp_path, LEAST + '[encoding]\ncodec = "mpeg4"\ngop_length = 5\nbitrate_kbps = 300\n')
    assert recipe.encoding == EncodeSettings(codec="mpeg4", gop_length=5, bitrate_kbps=300)


def test_a_recipe_made_in_a_program_is_checked_alike():
    stages = {"base": Schedule(steps=1), "constant": Schedule(steps=1)}
    assert Recipe(dataset="street", members=("base",), **stages).branches == {}
    for wrong, message in (({"network": "segnet"}, "network must be one of"), ({"width": 0.0}, "width must be")):
        with pytest.raises(UsageError, match=message):
            Recipe(dataset="street", members=("base",), **stages, **wrong)


def test_a_missing_recipe_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read the recipe .*none\.toml"):
        read_recipe(tmp_path / "none.toml", SETTINGS)
    with pytest.raises(UsageError, match="cannot read the recipe"):
        read_recipe(tmp_path, SETTINGS)


@pytest.mark.parametrize("data", [b"dataset = ", b"\xff\xfe\x00", b"a = 1\na = 2\n"])
def test_a_file_that_is_no_toml_is_refused(tmp_path, data):
    path = tmp_path / "r.toml"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"cannot read the recipe .*r\.toml"):
        read_recipe(path, SETTINGS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "steps"),
        ('dataset = "street"\n[schedule]\nsteps = 1\n', "members"),
        ("wdith = 0.5\n" + LEAST, "unknown wdith in the top level; it takes .*width"),
        (LEAST + "rate = 0.1\n", "unknown rate in base"),
        (LEAST + "[mix]\nlr = 0.1\n", "unknown lr in mix; it takes .*learning_rate"),
        (LEAST + "[augmentation]\nzoom = 2\n", "unknown zoom in augmentation"),
        (LEAST + "[encoding]\nqp = 20\n", "unknown qp in encoding"),
        ('criterion = "focal"\n' + LEAST, "criterion must be one of ce, ohem, got 'focal'"),
        ('network = "segnet"\n' + LEAST, "network must be one of bisenet18, .*got 'segnet'"),
        ("width = 0\n" + LEAST, "width must be positive"),
        ("pretrained = 3\n" + LEAST, "pretrained in the top level must be of the type str, got 3"),
        ("every = 0\n" + LEAST, "every must be at least 1"),
        ("label_stride = 0\n" + LEAST, "label_stride must be at least 1"),
        ('width = "half"\n' + LEAST, "width in the top level must be of the type float, got 'half'"),
        ("every = 1.5\n" + LEAST, "every in the top level must be of the type int, got 1.5"),
        (LEAST.replace("= 10", '= "10"'), "steps in base must be of the type int, got '10'"),
        (LEAST.replace("= 10", "= true"), "steps in base must be of the type int, got True"),
        (LEAST.replace("= 10", "= 0"), "base: steps of a schedule must be at least 1, got 0"),
        (LEAST + "[mix]\nsteps = 0\n", "mix: steps of a schedule must be at least 1, got 0"),
        (LEAST + "bfloat16 = 1\n", "bfloat16 in base must be of the type bool"),
        (LEAST + "[augmentation]\ncrop = [64]\n", "crop in augmentation must be of the type"),
        (LEAST + "[augmentation]\ncrop = 64\n", "crop in augmentation must be of the type"),
        (LEAST + "[augmentation]\nscales = [2.0, 1.0]\n", "augmentation: scales"),
        (LEAST.replace('["constant@1.0", "mix@0.5"]', '"constant@1.0"'), "members in the top level"),
        (LEAST.replace('"mix@0.5"', "0.5"), "members in the top level"),
        ("base = 3\n" + LEAST, r"base must be a table, \[base\], got 3"),
        ("mix = 3\n" + LEAST, r"mix must be a table, \[mix\], got 3"),
        ("encoding = []\n" + LEAST, "encoding must be a table"),
        (LEAST + '[encoding]\ncodec = "x265"\n', "encoding: unknown codec 'x265'; did you mean 'hevc'"),
        (LEAST + "[encoding]\nfps = 30\n", "the frame rate is the videos'"),
        (LEAST + "[mix]\nclip_length = 1\n", "mix: clip_length must be at least 2, got 1"),
        (LEAST + '[mix]\nclip_length = "4"\n', "clip_length in mix must be of the type int, got '4'"),
        (LEAST + "[mix]\ntaste = 3\n", "taste in mix must be of the type Taste, got 3"),
        (LEAST + "[mix.taste]\nstrength = -1\n", r"mix\.taste: strength must be at least 0, got -1"),
        (LEAST + "[mix.taste]\nstirred = 0\n", r"stirred in mix\.taste must be of the type bool"),
        (LEAST + "[mix.taste]\norder = 1\n", r"order in mix\.taste must be of the type .*got 1"),
        (LEAST + "[mix.taste]\nsalt = 1\n", r"unknown salt in mix\.taste; it takes order, stirred, strength"),
        (LEAST + "[taste]\nstirred = true\n", "unknown taste in the top level"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name_and_file(tmp_path, text, message):
    with pytest.raises(UsageError, match=message) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "r.toml") in str(caught.value)

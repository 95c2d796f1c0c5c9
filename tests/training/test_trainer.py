"""From videos to weights: a recipe's members in their order, interrupted or not, and what a branch is asked."""

import json
import math
from dataclasses import asdict, dataclass
from itertools import pairwise

import pytest
import torch
from tiny_samples import CPU, Interrupt, same_state
from torch import nn

from vssbench.codec.cache import EncodeCache
from vssbench.codec.encode import EncodeSettings
from vssbench.datasets.street import Street
from vssbench.errors import UsageError, WeightsError
from vssbench.networks.weights import load_network, read_weights, tensors_sha256
from vssbench.networks.zoo import build_network
from vssbench.training.augment import Augmentation
from vssbench.training.loop import Schedule
from vssbench.training.losses import cross_entropy, on_label_grid
from vssbench.training.recipe import BranchRecipe, Recipe
from vssbench.training.samples import LabelledFrames
from vssbench.training.trainer import BASE, HIGH, Trainer, Training, parse_member, trainable_layout

CLASSES = 11
MEMBERS = (BASE, HIGH, "constant@0.5", "mix@0.5", "mix:dry@0.5")


@dataclass(frozen=True, kw_only=True)
class MixSettings:
    strength: float = 1.0


class Mix:
    """A branch: one layer that mixes the full-resolution network's logits anew."""

    name = "mix"
    form = "mix@SCALE, mix:dry@SCALE"
    settings = MixSettings
    start = HIGH
    reads_streams = False

    def __init__(self):
        self.prepared = []

    def require(self, member, name):
        if member.variant not in ("", "dry") or member.scale is None or not 0 < member.scale <= 1:
            raise UsageError(f"cannot train {name!r}; weights of mix are called {self.form}")

    def check(self, member, recipe, num_classes):
        if recipe.branches["mix"].settings.strength > 2:
            raise UsageError(f"too strong for {recipe.network} with {num_classes} classes")

    def recorded(self, member, settings):
        return asdict(settings) | ({"dry": True} if member.variant else {})

    def prepare(self, member, recipe, tools):
        self.prepared.append(member)
        high, _ = load_network(tools.path(HIGH), num_classes=tools.num_classes, device=tools.device)
        if "mix" not in tools.kept:
            count = tools.counting("reading")
            tools.kept["mix"] = LabelledFrames(tools.videos, every=recipe.every)
            if count:
                count(1, 1)
        layer = nn.Conv2d(tools.num_classes, tools.num_classes, 1)
        strength = recipe.branches["mix"].settings.strength

        def loss(batch, step):
            with torch.no_grad():
                logits = high(batch.images[:, -1])
            return strength * cross_entropy(*on_label_grid(layer(logits), batch.label, stride=4, phase=step))

        final = tensors_sha256(high.final.state_dict())
        return Training(
            module=layer, loss=loss, samples=tools.kept["mix"], tensors=layer.state_dict, final_sha256=final
        )


class Streamed(Mix):
    """The same, of a method whose weights depend on the codec."""

    reads_streams = True


class FromBase(Mix):
    """The same, of a method that starts where the constant-resolution networks do."""

    start = BASE


def schedule(steps, **options):
    crop = Augmentation(crop=(48, 64))
    return Schedule(steps=steps, batch=2, checkpoint_every=1, augmentation=crop, **options)


def recipe(*, strength=1.0, **options):
    defaults = {
        "dataset": "street",
        "members": MEMBERS,
        "width": 0.0625,
        "criterion": "ohem",
        "every": 6,
        "base": schedule(3),
        "constant": schedule(2),
        "branches": {"mix": BranchRecipe(schedule=schedule(2), settings=MixSettings(strength=strength))},
        "encoding": EncodeSettings(codec="h264", gop_length=4),
    }
    return Recipe(**{**defaults, **options})


@pytest.fixture(scope="module")
def videos():
    return Street(size=(64, 96), num_videos={"train": 2}, frames_per_video=13).videos("train")


def trainer(folder, videos, *, made=None, progress=None, branch=None):
    return Trainer(
        made or recipe(),
        videos,
        num_classes=CLASSES,
        weights=folder,
        cache=EncodeCache(folder / "streams"),
        device=CPU,
        branches={"mix": branch or Mix()},
        progress=progress,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory, videos):
    """The folder of a whole recipe's weights, trained once, and the members whose progress was told."""
    folder, told = tmp_path_factory.mktemp("weights"), []
    whole = trainer(folder, videos, progress=lambda member: told.append(member) or (lambda *_: None))
    whole.check(MEMBERS)
    paths = [whole.train(member) for member in MEMBERS]
    assert paths == [folder / f"{member}.safetensors" for member in MEMBERS]
    return folder, told


def headers(folder):
    return {member: read_weights(folder / f"{member}.safetensors")[1] for member in MEMBERS}


def copied(folder, target, *members):
    for member in members:
        (target / f"{member}.safetensors").write_bytes((folder / f"{member}.safetensors").read_bytes())


def test_every_member_leaves_its_weights_and_no_checkpoint(trained):
    folder, told = trained
    assert sorted(path.name for path in folder.glob("*.*")) == sorted(f"{m}.safetensors" for m in MEMBERS)
    assert list((folder / "checkpoints").iterdir()) == []
    # what the members of one call share is read once
    assert told == [BASE, HIGH, "constant@0.5", "reading", "mix@0.5", "mix:dry@0.5"]


def test_the_files_say_how_they_were_made(trained):
    for member, header in headers(trained[0]).items():
        assert (header.network, header.num_classes, header.width) == ("bisenet18", CLASSES, 0.0625)
        assert header.scale == (0.5 if member.endswith("0.5") else 1.0)
        assert header.recipe["member"] == member
        assert header.recipe["base"] == json.loads(json.dumps(asdict(schedule(3))))
        assert (header.final_sha256 != "") == member.startswith("mix")
        json.dumps(header.recipe)


def test_the_files_say_nothing_of_what_had_no_part_in_them(trained):
    """Another codec, or another length of a later stage, must not make the base network another's."""
    shared = {"member", "dataset", "network", "width", "criterion", "label_stride", "every", "base"}
    said = {member: set(header.recipe) for member, header in headers(trained[0]).items()}
    assert said[BASE] == shared
    assert said[HIGH] == said["constant@0.5"] == shared | {"constant"}
    assert said["mix@0.5"] == shared | {"constant", "mix", "strength"}
    assert said["mix:dry@0.5"] == shared | {"constant", "mix", "strength", "dry"}


def test_the_encoding_is_said_where_a_branch_reads_streams(trained, videos, tmp_path):
    copied(trained[0], tmp_path, HIGH)
    trainer(tmp_path, videos, branch=Streamed()).train("mix@0.5")
    _, header = read_weights(tmp_path / "mix@0.5.safetensors")
    assert header.recipe["encoding"]["codec"] == "h264"


def test_a_branch_that_starts_from_the_base_network_needs_no_other_and_says_nothing_of_it(trained, videos, tmp_path):
    copied(trained[0], tmp_path, BASE)
    told = trainer(tmp_path, videos, branch=FromBase())
    told.check(["mix@0.5"])
    header = told._header("mix@0.5", parse_member("mix@0.5", {"mix": FromBase()}))
    assert "constant" not in header.recipe
    assert {"base", "mix", "strength"} <= header.recipe.keys()


def test_a_branch_is_trained_by_its_own_schedule_and_hands_over_its_tensors(trained, videos, tmp_path):
    copied(trained[0], tmp_path, HIGH)
    steps = []
    own = BranchRecipe(schedule=schedule(3), settings=MixSettings())
    told = trainer(
        tmp_path,
        videos,
        made=recipe(branches={"mix": own}),
        progress=lambda name: lambda done, total, *_: steps.append((name, done, total)),
    )
    tensors, _ = read_weights(told.train("mix@0.5"))
    assert steps == [("reading", 1, 1), *(("mix@0.5", done, 3) for done in (1, 2, 3))]
    assert tensors.keys() == {"weight", "bias"}
    _, header = read_weights(trained[0] / "mix@0.5.safetensors")
    high, _ = load_network(trained[0] / f"{HIGH}.safetensors", num_classes=CLASSES, device=CPU)
    assert header.final_sha256 == tensors_sha256(high.final.state_dict())


def test_a_stage_without_a_loss_is_counted_without_one(trained, videos, tmp_path):
    copied(trained[0], tmp_path, HIGH)
    heard = []
    trainer(tmp_path, videos, progress=lambda name: lambda *news: heard.append((name, *news))).train("mix@0.5")
    name, done, total, loss, seconds = heard[0]
    assert (name, done, total) == ("reading", 1, 1)
    assert math.isnan(loss)
    assert math.isnan(seconds)


def test_every_scale_starts_from_the_base_network_and_learns_apart(trained):
    networks = [
        load_network(trained[0] / f"{member}.safetensors", num_classes=CLASSES, device=CPU)[0]
        for member in (BASE, HIGH, "constant@0.5")
    ]
    assert not any(same_state(one, two) for one, two in pairwise(networks))
    start, *later = (network.final.weight for network in networks)
    # two steps of 1e-3 at most: far nearer to the base network than another initial state would be
    assert all(0 < (weight - start).abs().max() < 0.01 for weight in later)


def test_finished_members_are_not_trained_again(trained, videos):
    folder, _ = trained

    def never(member):
        raise AssertionError(f"{member} is trained again")

    before = {path: path.read_bytes() for path in folder.glob("*.safetensors")}
    again, branch = trainer(folder, videos, progress=never), Mix()
    again.check(MEMBERS)
    for member in MEMBERS:
        assert trainer(folder, videos, progress=never, branch=branch).train(member) == again.path(member)
    assert branch.prepared == []
    assert {path: path.read_bytes() for path in folder.glob("*.safetensors")} == before


@pytest.mark.parametrize(
    ("changes", "refused", "named"),
    [
        ({"label_stride": 2}, MEMBERS, "label_stride"),
        ({"base": schedule(4)}, MEMBERS, "base"),
        ({"constant": schedule(2, seed=1)}, MEMBERS[1:], "constant"),
        ({"strength": 0.5}, MEMBERS[3:], "strength"),
        ({"encoding": EncodeSettings(codec="mpeg4")}, (), ""),
        ({"members": MEMBERS[:4]}, (), ""),
    ],
)
def test_weights_of_another_recipe_are_not_passed_off_as_this_ones(trained, videos, changes, refused, named):
    other = trainer(trained[0], videos, made=recipe(**changes))
    for member in MEMBERS:
        if member in refused:
            with pytest.raises(WeightsError, match=rf"made by another recipe \(other {named}\); delete it"):
                other.train(member)
        else:
            other.train(member)


def silent(*_):
    pass


@pytest.mark.parametrize("member", MEMBERS[:4])
def test_an_interrupted_training_ends_in_the_same_weights(trained, videos, tmp_path, member):
    folder, _ = trained
    copied(folder, tmp_path, *{BASE: (), "mix@0.5": (HIGH,)}.get(member, (BASE,)))

    def stop(done, *_):
        if done == 2:  # the first step's checkpoint is there
            raise Interrupt

    with pytest.raises(Interrupt):
        trainer(tmp_path, videos, progress=lambda name: stop if name == member else silent).train(member)
    assert not (tmp_path / f"{member}.safetensors").exists()
    assert (tmp_path / "checkpoints" / f"{member}.safetensors").exists()
    torch.rand(3)
    done = []
    steps = {member: lambda step, *_: done.append(step)}
    path = trainer(tmp_path, videos, progress=lambda name: steps.get(name, silent)).train(member)
    assert done[0] == 2
    (resumed, header), (whole, same_header) = read_weights(path), read_weights(folder / path.name)
    assert header == same_header
    assert resumed.keys() == whole.keys()
    for name, tensor in whole.items():
        # equal to the last bit of half precision (test_training_loop.py: exact)
        torch.testing.assert_close(resumed[name].float(), tensor.float(), rtol=2**-10, atol=2e-5)


def test_members_need_the_weights_they_start_from_first(videos, tmp_path):
    fresh = trainer(tmp_path, videos)
    fresh.check(MEMBERS)
    fresh.check([])
    for members, first in ((["mix@0.5"], HIGH), ([HIGH, BASE], BASE), ([BASE, "mix@0.5", HIGH], HIGH)):
        with pytest.raises(UsageError, match=f"starts from the weights .*train {first} first"):
            fresh.check(members)
    for member, first in (("mix@0.5", HIGH), ("constant@0.5", BASE), (HIGH, BASE)):
        with pytest.raises(WeightsError, match=f"no weights at .*vssbench train {first}"):
            fresh.train(member)


def test_with_their_starting_weights_there_members_may_come_in_any_order(trained, videos):
    trainer(trained[0], videos).check(["mix@0.3", "constant@0.7"])


def test_a_recipe_that_says_nothing_of_a_method_cannot_train_it(trained, videos):
    silent_recipe = recipe(branches={})
    with pytest.raises(UsageError, match=r"says nothing of mix; give it a table \[mix\]"):
        trainer(trained[0], videos, made=silent_recipe).check(["mix@0.5"])
    trainer(trained[0], videos, made=silent_recipe).check([HIGH])


def test_a_branch_may_refuse_a_recipe_before_the_first_step(videos, tmp_path):
    branch = Mix()
    with pytest.raises(UsageError, match="too strong for bisenet18 with 11 classes"):
        trainer(tmp_path, videos, made=recipe(strength=3.0), branch=branch).check(MEMBERS)
    assert branch.prepared == []
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize(
    "member",
    [
        *("taplab@0.5", "mixed@0.5", "base@1.0", "base:dry", ""),
        *("constant", "constant:dry@0.5", "constant@", "constant@half", "constant@nan"),
        *("constant@0", "constant@1.1", "constant@-0.5"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_what_can(member, videos, tmp_path):
    known = r"weights are called base, constant@SCALE, mix@SCALE, mix:dry@SCALE, 0 < SCALE <= 1"
    with pytest.raises(UsageError, match=known):
        trainer(tmp_path, videos).check([BASE, member])
    with pytest.raises(UsageError, match="cannot train"):
        trainer(tmp_path, videos).train(member)


@pytest.mark.parametrize("member", ["mix", "mix:wet@0.5", "mix@0", "mix@nan", "mix@half"])
def test_what_a_branch_does_not_train_it_refuses_itself(member):
    with pytest.raises(UsageError, match="weights of mix are called mix@SCALE, mix:dry@SCALE"):
        parse_member(member, {"mix": Mix()})
    with pytest.raises(UsageError, match="weights are called base, constant@SCALE, 0 < SCALE"):
        parse_member(member, {})


def test_a_name_is_a_family_a_variant_and_a_scale():
    branches = {"mix": Mix()}
    parsed = {name: parse_member(name, branches) for name in MEMBERS}
    parts = {name: (member.family, member.variant, member.scale) for name, member in parsed.items()}
    assert parts == {
        BASE: ("base", "", 1.0),
        HIGH: ("constant", "", 1.0),
        "constant@0.5": ("constant", "", 0.5),
        "mix@0.5": ("mix", "", 0.5),
        "mix:dry@0.5": ("mix", "dry", 0.5),
    }


@pytest.mark.parametrize(
    ("member", "name"), [("constant@1", HIGH), ("mix@.50", "mix@0.5"), ("mix:dry@5e-1", "mix:dry@0.5")]
)
def test_a_scale_has_one_spelling_so_that_a_run_finds_it(member, name):
    with pytest.raises(UsageError, match=f"call it {name}"):
        parse_member(member, {"mix": Mix()})
    parse_member(name, {"mix": Mix()})


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [  # the input channels of a shortcut of stride 2: 64 of PSPNet18, 64 to 256 of BiSeNet18, times the width
        ("pspnet18-camvid", 1.0, torch.channels_last),
        ("pspnet18-camvid", 0.25, torch.channels_last),
        ("pspnet18-camvid", 0.125, torch.contiguous_format),
        ("bisenet18", 0.25, torch.channels_last),
        ("bisenet18", 0.0625, torch.contiguous_format),
    ],
)
def test_narrow_shortcuts_are_not_trained_channels_last_which_would_overrun_memory_on_a_cpu(name, width, expected):
    with torch.device("meta"):
        network = build_network(name, num_classes=3, width=width)
    assert trainable_layout(network, CPU) == expected
    assert trainable_layout(network, torch.device("cuda")) == torch.channels_last

"""AR-Seg's own weights: from pairs of frames, by the options of a recipe, and what loads of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_arseg import CPU, frame

from arseg.creff import PAPER, RELEASE
from arseg.method import ARSeg
from arseg.options import UNTRAINED, VARIANTS, Options, options_of
from arseg.train import ARSegBranch, ARSegSettings
from arseg.weights import load_branch
from baselines.constant_resolution import ConstantResolution
from vssbench.codec.cache import EncodeCache
from vssbench.codec.encode import EncodeSettings
from vssbench.datasets.clips import SideInformation, cuts, encoded, frames_of
from vssbench.datasets.street import Street
from vssbench.errors import UsageError, WeightsError
from vssbench.networks.weights import WeightsHeader, load_network, read_weights, save_weights, tensors_sha256
from vssbench.training.augment import Augmentation
from vssbench.training.loop import Schedule
from vssbench.training.recipe import BranchRecipe, Recipe
from vssbench.training.trainer import BASE, HIGH, Trainer, parse_member

MEMBERS = (BASE, HIGH, "constant@0.5", "arseg@0.5")
CLASSES = 11
BRANCHES = {"arseg": ARSegBranch()}
SHIPPED = Path(__file__).resolve().parents[2] / "vssbench" / "weights" / "street"


def schedule(steps, **options):
    crop = Augmentation(crop=(48, 64))
    return Schedule(steps=steps, batch=2, checkpoint_every=1, augmentation=crop, **options)


def recipe(*, steps=2, settings=None, **options):
    """A recipe whose AR-Seg members take so many steps, by AR-Seg's own settings unless told."""
    own = BranchRecipe(schedule=schedule(steps), settings=ARSegSettings(**(settings or {})))
    defaults = {
        "dataset": "street",
        "members": MEMBERS,
        "width": 0.0625,
        "criterion": "ohem",
        "every": 6,
        "base": schedule(3),
        "constant": schedule(2),
        "branches": {"arseg": own},
        "encoding": EncodeSettings(codec="h264", gop_length=4),
    }
    return Recipe(**{**defaults, **options})


@pytest.fixture(scope="module")
def videos():
    return Street(size=(64, 96), num_videos={"train": 2}, frames_per_video=13).videos("train")


def trainer(folder, videos, *, made=None, progress=None, streams=None):
    return Trainer(
        made or recipe(),
        videos,
        num_classes=CLASSES,
        weights=folder,
        cache=EncodeCache((streams or folder) / "streams"),
        device=CPU,
        branches=BRANCHES,
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


def branch(folder, **options):
    paths = folder / "arseg@0.5.safetensors", folder / f"{HIGH}.safetensors"
    return load_branch(*paths, num_classes=CLASSES, device=CPU, **options)


def test_the_pairs_are_encoded_before_the_first_step_of_ar_seg(trained):
    assert trained[1] == [*MEMBERS[:-1], "encoding pairs", MEMBERS[-1]]


def test_the_file_says_how_the_branch_was_made_and_for_which_final_layer(trained):
    folder, _ = trained
    headers = {member: read_weights(folder / f"{member}.safetensors")[1] for member in MEMBERS}
    header = headers["arseg@0.5"]
    assert (header.network, header.num_classes, header.width, header.scale) == ("bisenet18", CLASSES, 0.0625, 0.5)
    assert header.recipe["arseg"]["augmentation"]["crop"] == [48, 64]
    assert header.recipe["encoding"]["codec"] == "h264"
    assert (header.recipe["unfused_steps"], header.recipe["convention"]) == (0, "paper")
    high, _ = load_network(folder / f"{HIGH}.safetensors", num_classes=CLASSES, device=CPU)
    assert header.final_sha256 == tensors_sha256(high.final.state_dict())
    # what trained this one says nothing of the others: another codec must not make the base network another's
    for member in MEMBERS[:-1]:
        assert not {"arseg", "encoding", "unfused_steps", "convention"} & headers[member].recipe.keys()
        assert headers[member].final_sha256 == ""


def test_the_weights_are_of_networks_that_learnt_apart(trained):
    folder, _ = trained
    paths = (folder / f"{member}.safetensors" for member in (HIGH, "constant@0.5"))
    high, low = (load_network(path, num_classes=CLASSES, device=CPU)[0] for path in paths)
    assert not torch.equal(high.final.weight, low.final.weight)
    both = branch(folder)
    assert torch.equal(both.high.final.weight, high.final.weight)
    assert both.low.final is both.high.final
    assert all(torch.equal(v, high.state_dict()[k]) for k, v in both.high.state_dict().items() if "aux" not in k)
    assert not torch.equal(both.low.head[0].weight, high.head[0].weight)
    assert not (both.creff.query.bias == 0).all()  # it starts there
    assert (both.scale, both.convention, both.training) == (0.5, PAPER, False)


def test_the_trained_methods_run_on_a_stream(trained, videos, tmp_path):
    folder, _ = trained
    network, header = load_network(folder / "constant@0.5.safetensors", num_classes=CLASSES, device=CPU)
    methods = ARSeg(branch(folder), device=CPU), ConstantResolution(network=network, scale=header.scale, device=CPU)
    cut = cuts([12], num_frames=13, gop_length=4)[0]
    path = encoded(videos[0], cut, EncodeSettings(codec="h264", gop_length=4), EncodeCache(tmp_path))
    for one in frames_of(path, SideInformation.for_needs(methods[0].needs)):
        for method in methods:
            step = method.step(one)
            assert step.labels.shape == (64, 96)
            assert step.labels.max() < CLASSES


class Interrupt(Exception):
    pass


def silent(*_):
    pass


def test_an_interrupted_training_ends_in_the_same_weights(trained, videos, tmp_path):
    folder, _ = trained
    copied(folder, tmp_path, HIGH)

    def stop(done, *_):
        if done == 2:  # the first step's checkpoint is there
            raise Interrupt

    with pytest.raises(Interrupt):
        trainer(tmp_path, videos, progress=lambda name: {"arseg@0.5": stop}.get(name, silent)).train("arseg@0.5")
    assert (tmp_path / "checkpoints" / "arseg@0.5.safetensors").exists()
    torch.rand(3)
    done = []
    steps = {"arseg@0.5": lambda step, *_: done.append(step)}
    path = trainer(tmp_path, videos, progress=lambda name: steps.get(name, silent)).train("arseg@0.5")
    assert done == [2]
    (resumed, header), (whole, same_header) = read_weights(path), read_weights(folder / path.name)
    assert header == same_header
    assert resumed.keys() == whole.keys()
    for name, tensor in whole.items():
        # equal to the last bit of half precision: that of a batched matrix product depends on where the allocator
        # put its operands; moments given to the wrong weights are off by far more (test_training_loop.py: exact)
        torch.testing.assert_close(resumed[name].float(), tensor.float(), rtol=2**-10, atol=2e-5)


def test_a_branch_starts_from_the_full_resolution_network(trained, videos, tmp_path):
    with pytest.raises(UsageError, match=f"starts from the weights .*train {HIGH} first"):
        trainer(tmp_path, videos).check([BASE, "arseg@0.5", HIGH])
    with pytest.raises(WeightsError, match=f"no weights at .*vssbench train {HIGH}"):
        trainer(tmp_path, videos).train("arseg@0.5")
    trainer(trained[0], videos).check(["arseg@0.3"])


@pytest.mark.parametrize(
    "member",
    [
        "arseg:@0.5",
        "arseg:window-5@0.5",
        "arseg:paper@0.5",
        "arseg:window-3",
        "arseg@",
        "arseg@0",
        "arseg@1.1",
        "arseg@-0.5",
        "arseg@half",
        "arseg@nan",
    ],
)
def test_what_cannot_be_trained_is_refused(member, videos, tmp_path):
    with pytest.raises(UsageError, match=r"weights of AR-Seg are called arseg@SCALE, arseg:VARIANT@SCALE"):
        trainer(tmp_path, videos).check([BASE, member])
    with pytest.raises(UsageError, match="cannot train"):
        trainer(tmp_path, videos).train(member)


@pytest.mark.parametrize(("member", "name"), [("arseg@.50", "arseg@0.5"), ("arseg:kl@.5", "arseg:kl@0.5")])
def test_a_scale_has_one_spelling_so_that_a_run_finds_it(member, name):
    with pytest.raises(UsageError, match=f"call it {name}"):
        parse_member(member, BRANCHES)
    parsed = parse_member(name, BRANCHES)
    assert (parsed.family, parsed.scale) == (name.partition("@")[0].partition(":")[0], float(member.partition("@")[2]))


def copied(folder, target, *members):
    for member in members:
        (target / f"{member}.safetensors").write_bytes((folder / f"{member}.safetensors").read_bytes())


def variant_branch(folder, variant):
    path = folder / f"arseg:{variant}@0.5.safetensors"
    return load_branch(path, folder / f"{HIGH}.safetensors", num_classes=CLASSES, device=CPU)


TRAINED = [f"arseg:{variant}@0.5" for variant in VARIANTS if variant not in UNTRAINED]


@pytest.fixture(scope="module")
def variants(tmp_path_factory, trained, videos):
    """The weights of every variant after one step; those fused earlier need a network of one map, PSPNet18."""
    plain, cut = (tmp_path_factory.mktemp(name) for name in ("bisenet", "pspnet"))
    copied(trained[0], plain, HIGH)
    folders = {member: cut if "before" in member else plain for member in TRAINED}
    for folder, network, first in ((plain, "bisenet18", []), (cut, "pspnet18-camvid", [BASE, HIGH])):
        every = [*first, *(member for member in TRAINED if folders[member] == folder)]
        whole = trainer(folder, videos, made=recipe(network=network, steps=1), streams=trained[0])
        whole.check(every)
        for member in every:
            assert whole.train(member) == folder / f"{member}.safetensors"
            assert whole.train(member) == whole.path(member)  # finished: neither trained again nor refused
    return folders


@pytest.mark.parametrize("member", TRAINED)
def test_a_variant_is_trained_stored_and_loaded_by_its_name(variants, member):
    folder, variant = variants[member], parse_member(member, BRANCHES).variant
    tensors, header = read_weights(folder / f"{member}.safetensors")
    assert header.recipe["member"] == member
    assert Options(**header.recipe["options"]) == options_of(variant)
    assert header.scale == 0.5
    loaded = variant_branch(folder, variant)
    assert loaded.options == options_of(variant)
    came = loaded.branch_tensors()
    assert {k for k in came if "auxiliary" not in k} == tensors.keys()
    assert all(torch.equal(came[k], v.to(came[k].dtype)) for k, v in tensors.items())
    own_final = not torch.equal(loaded.low.final.bias, loaded.high.final.bias)
    assert own_final == (not options_of(variant).shared_final)  # it was trained
    method = ARSeg(loaded, device=CPU)
    assert method.condition.items() >= VARIANTS[variant].items()
    assert [method.step(one).kind for one in (frame("I"), frame("P", index=1))] == ["key", "non-key"]


def test_ar_seg_itself_says_nothing_of_options_so_that_older_weights_are_the_same(trained):
    _, header = read_weights(trained[0] / "arseg@0.5.safetensors")
    assert "options" not in header.recipe
    assert branch(trained[0]).options == Options()


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("arseg@*.safetensors")), ids=lambda path: path.stem)
def test_the_shipped_weights_are_ar_seg_itself(path):
    loaded = load_branch(path, SHIPPED / f"{HIGH}.safetensors", num_classes=CLASSES, device=CPU)
    assert loaded.options == Options()
    point = float(path.stem.partition("@")[2])
    assert ARSeg(loaded, device=CPU).condition == {"scale": point, "window": 7, "convention": "paper"}


def test_options_of_a_recipe_hold_for_ar_seg_and_its_variants(trained, videos, tmp_path):
    copied(trained[0], tmp_path, HIGH)
    options = Options(window=5, feature_loss="none")
    made = recipe(steps=1, settings={"options": options})
    told = trainer(tmp_path, videos, made=made, streams=trained[0])
    for member in ("arseg@0.5", "arseg:no-direct@0.5"):
        told.train(member)
    assert branch(tmp_path).options == options
    assert variant_branch(tmp_path, "no-direct").options == Options(window=5, feature_loss="none", direct=False)
    with pytest.raises(WeightsError, match="made by another recipe"):
        trainer(tmp_path, videos, made=recipe(steps=1)).train("arseg@0.5")
    _, constant = read_weights(tmp_path / f"{HIGH}.safetensors")
    assert "options" not in constant.recipe


def test_what_needs_no_training_says_so(videos, tmp_path):
    for call in (lambda t: t.check([BASE, "arseg:warp-only@0.5"]), lambda t: t.train("arseg:warp-only")):
        with pytest.raises(UsageError, match=rf"needs no training: it runs the weights of {HIGH} alone"):
            call(trainer(tmp_path, videos))


@pytest.mark.parametrize(
    ("options", "member", "message"),
    [
        ({}, "arseg:before-task@0.5", "BiSeNet18 cannot be cut at 'task'"),
        ({"window": 5}, "arseg:global@0.5", "fusion 'global' has no window"),
    ],
)
def test_options_that_cannot_be_are_refused_before_the_first_step(videos, tmp_path, options, member, message):
    with pytest.raises(UsageError, match=message):
        trainer(tmp_path, videos, made=recipe(settings={"options": Options(**options)})).check([BASE, HIGH, member])


def test_options_of_another_version_are_refused(trained, tmp_path):
    folder, _ = trained
    _, header = read_weights(folder / "arseg@0.5.safetensors")
    for options in ({"heads": 2}, {"fusion": "flow"}):
        made = {**header.recipe, "options": options}
        path = rewritten(folder / "arseg@0.5.safetensors", tmp_path / "a.safetensors", recipe=made)
        with pytest.raises(WeightsError, match="options of another version"):
            load(path, folder / f"{HIGH}.safetensors")


@pytest.mark.parametrize("convention", [None, "paper", "release"])
def test_a_branch_runs_in_the_convention_it_was_trained_in_or_in_another_if_told(trained, convention):
    expected = RELEASE if convention == "release" else PAPER
    assert branch(trained[0], convention=convention).convention == expected


def test_a_branch_trained_as_released_remembers_it(trained, videos, tmp_path):
    (tmp_path / f"{HIGH}.safetensors").write_bytes((trained[0] / f"{HIGH}.safetensors").read_bytes())
    trainer(tmp_path, videos, made=recipe(steps=1, settings={"convention": "release"})).train("arseg@0.5")
    assert branch(tmp_path).convention == RELEASE


def test_a_branch_comes_back_as_it_was_stored(trained):
    folder, _ = trained
    tensors, header = read_weights(folder / "arseg@0.5.safetensors")
    loaded = branch(folder)
    came = loaded.branch_tensors()
    assert {k for k in came if "auxiliary" not in k} == tensors.keys()
    assert all(torch.equal(came[k], v.to(came[k].dtype)) for k, v in tensors.items())
    assert header.final_sha256 == tensors_sha256(loaded.high.final.state_dict())


def rewritten(source: Path, target: Path, *, tensors=None, **changes):
    """A copy of a weights file with other tensors or another header."""
    came, header = read_weights(source)
    save_weights(target, {**came, **(tensors or {})}, WeightsHeader(**{**vars(header), **changes}))
    return target


def load(path, high):
    return load_branch(path, high, num_classes=CLASSES, device=CPU)


def test_a_branch_beside_another_full_resolution_network_is_refused(trained, tmp_path):
    folder, _ = trained
    high = folder / f"{HIGH}.safetensors"
    final = read_weights(high)[0]["final.bias"] + 1
    other = rewritten(high, tmp_path / "other.safetensors", tensors={"final.bias": final})
    with pytest.raises(WeightsError, match=r"was not trained beside .*other"):
        load(folder / "arseg@0.5.safetensors", other)


def test_a_branch_of_another_network_is_refused(trained, tmp_path):
    folder, _ = trained
    path = rewritten(folder / "arseg@0.5.safetensors", tmp_path / "wide.safetensors", width=0.5)
    with pytest.raises(WeightsError, match=r"is for bisenet18 x0\.5, .* is bisenet18 x0\.0625"):
        load(path, folder / f"{HIGH}.safetensors")


def test_weights_of_a_constant_network_are_no_branch(trained):
    folder, _ = trained
    with pytest.raises(WeightsError, match="not trained beside"):
        load(folder / "constant@0.5.safetensors", folder / f"{HIGH}.safetensors")


def test_a_branch_with_misfitting_tensors_is_refused(trained, tmp_path):
    folder, _ = trained
    tensors = {"creff.query.bias": torch.zeros(3), "creff.extra": torch.zeros(1)}
    path = rewritten(folder / "arseg@0.5.safetensors", tmp_path / "a.safetensors", tensors=tensors)
    with pytest.raises(WeightsError, match=r"in 2 tensors: creff\.extra") as caught:
        load(path, folder / f"{HIGH}.safetensors")
    assert "creff.query.bias (shape (3,), network has (16,))" in str(caught.value)


@pytest.mark.parametrize("missing", ["arseg@0.5", HIGH])
def test_a_missing_file_of_the_two_says_how_to_train_it(trained, tmp_path, missing):
    folder, _ = trained
    paths = [(tmp_path if member == missing else folder) / f"{member}.safetensors" for member in ("arseg@0.5", HIGH)]
    with pytest.raises(WeightsError, match=f"vssbench train {missing}"):
        load(*paths)


def test_another_number_of_classes_is_refused(trained):
    folder, _ = trained
    with pytest.raises(WeightsError, match="11 classes apart, the data set has 19"):
        load_branch(folder / "arseg@0.5.safetensors", folder / f"{HIGH}.safetensors", num_classes=19, device=CPU)


def test_pairs_are_encoded_at_the_videos_frame_rate_and_the_default_bit_rate(trained):
    (record, *_) = (json.loads(path.read_text()) for path in (trained[0] / "streams").glob("*.json"))
    settings = record["settings"]
    # 64 x 96 at 15 frames/s: 3000 x (92160 / 20736000) ** 0.75 = 51.6
    assert (settings["fps"], settings["bitrate_kbps"], settings["gop_length"]) == (15.0, 50.0, 4)


def test_a_bit_rate_of_the_recipe_is_kept(trained, videos, tmp_path):
    (tmp_path / f"{HIGH}.safetensors").write_bytes((trained[0] / f"{HIGH}.safetensors").read_bytes())
    told = recipe(steps=1, encoding=EncodeSettings(codec="mpeg4", gop_length=4, bitrate_kbps=300))
    trainer(tmp_path, videos, made=told).train("arseg@0.5")
    settings = [json.loads(path.read_text())["settings"] for path in (tmp_path / "streams").glob("*.json")]
    assert {(s["codec"], s["fps"], s["bitrate_kbps"]) for s in settings} == {("mpeg4", 15.0, 300)}
    np.testing.assert_equal(len(settings), 4)  # 2 videos, frames 3 (first with 3 before it) and 9

"""A base network that starts from a published SegFormer: what of it is taken, recorded and refused."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from tfc.train import TFCBranch, TFCSettings
from vssbench.codec.cache import EncodeCache
from vssbench.datasets.street import Street
from vssbench.errors import UsageError, WeightsError
from vssbench.networks.segformer_weights import fitting_part, transformers_name
from vssbench.networks.weights import read_weights
from vssbench.networks.zoo import build_network
from vssbench.training.augment import Augmentation
from vssbench.training.loop import Schedule
from vssbench.training.recipe import BranchRecipe, Recipe
from vssbench.training.trainer import BASE, HIGH, Trainer

CLASSES = 11
WIDTH = 0.125
MEMBERS = (BASE, HIGH, "tfc")


def recipe(**options):
    # one step of a rate that leaves every weight where it was, to half precision
    still = Schedule(steps=1, batch=2, learning_rate=1e-12, augmentation=Augmentation(crop=(64, 64)))
    stages = {"base": still, "constant": still}
    tfc = {"tfc": BranchRecipe(schedule=still, settings=TFCSettings(clip_length=2))}
    defaults = {"network": "segformer-b0", "width": WIDTH, "every": 4, **stages, "branches": tfc}
    return Recipe(dataset="street", members=MEMBERS, **{**defaults, **options})


@pytest.fixture(scope="module")
def videos():
    return Street(size=(64, 96), num_videos={"train": 1}, frames_per_video=9).videos("train")


def trainer(folder, videos, made):
    return Trainer(
        made,
        videos,
        num_classes=CLASSES,
        weights=folder,
        cache=EncodeCache(folder / "streams"),
        device=torch.device("cpu"),
        branches={"tfc": TFCBranch()},
    )


def published(path, *, classes=CLASSES, width=WIDTH, encoder_alone=False, seed=5):
    """A file with every weight drawn: its path and its tensors."""
    torch.manual_seed(seed)
    network = build_network("segformer-b0", num_classes=classes, width=width)
    tensors = {transformers_name(name): x for name, x in network.state_dict().items() if name not in ("mean", "std")}
    for name, x in tensors.items():
        if x.is_floating_point() and "running_" not in name:
            x.add_(0.1 * torch.randn(x.shape))
    if encoder_alone:
        tensors = {name: x for name, x in tensors.items() if name.startswith("segformer.encoder.")}
    save_file(tensors, path)
    return path, tensors


def same(weights, tensors, part):
    """Whether all of a part's weights are those of a published file, to half precision."""
    of_part = {
        name: x
        for name, x in weights.items()
        if name.startswith("stages.") == (part == "encoder") and x.ndim and "running_" not in name
    }
    of_part = {name: x.float() for name, x in of_part.items() if name not in ("mean", "std")}
    assert len(of_part) > 5
    equal = [torch.allclose(x, tensors[transformers_name(n)], rtol=2**-10, atol=1e-6) for n, x in of_part.items()]
    assert all(equal) or not any(equal), "neither all nor none"
    return all(equal)


def test_the_base_network_starts_from_a_whole_checkpoint_of_its_classes(videos, tmp_path):
    path, tensors = published(tmp_path / "model.safetensors")
    told = trainer(tmp_path / "weights", videos, recipe(pretrained=str(path)))
    told.check([BASE])
    weights, _ = read_weights(told.train(BASE))
    assert same(weights, tensors, "encoder")
    assert same(weights, tensors, "decoder")


@pytest.mark.parametrize("of", [{"classes": 19}, {"encoder_alone": True}], ids=["other classes", "encoder alone"])
def test_of_other_classes_or_without_a_decoder_the_encoder_alone_is_taken(videos, tmp_path, of):
    path, tensors = published(tmp_path / "model.safetensors", **of)
    weights, _ = read_weights(trainer(tmp_path / "weights", videos, recipe(pretrained=str(path))).train(BASE))
    random, _ = read_weights(trainer(tmp_path / "random", videos, recipe()).train(BASE))
    assert same(weights, tensors, "encoder")
    decoder = [name for name in weights if name.startswith(("decoder.projections", "final."))]
    assert all(torch.equal(weights[name], random[name]) for name in decoder)


def test_a_decoder_of_other_channels_is_left_out(tmp_path):
    path, _ = published(tmp_path / "model.safetensors", width=0.25)
    parts = [
        fitting_part(path, build_network("segformer-b0", num_classes=classes, width=width))
        for classes, width in ((CLASSES, 0.25), (CLASSES, 0.5), (3, 0.25))
    ]
    assert parts == ["all", "encoder", "encoder"]


def test_every_member_records_the_files_content_and_none_its_path(videos, tmp_path):
    path, _ = published(tmp_path / "model.safetensors")
    told = trainer(tmp_path / "weights", videos, recipe(pretrained=str(path)))
    told.check(MEMBERS)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    for member in MEMBERS:
        assert read_weights(told.train(member))[1].recipe["pretrained"] == sha256
    moved = path.rename(tmp_path / "other.safetensors")
    again = trainer(tmp_path / "weights", [], recipe(pretrained=str(moved)))  # nothing to train on
    for member in MEMBERS:
        assert again.train(member) == tmp_path / f"weights/{member}.safetensors"
    published(moved, seed=6)
    for made in (recipe(pretrained=str(moved)), recipe()):
        with pytest.raises(WeightsError, match=r"made by another recipe \(other pretrained\)"):
            trainer(tmp_path / "weights", [], made).train(BASE)


def test_without_it_a_header_says_nothing_of_it(videos, tmp_path):
    told = trainer(tmp_path, videos, recipe())
    for member in MEMBERS:
        assert "pretrained" not in read_weights(told.train(member))[1].recipe


def test_a_relative_path_is_relative_to_the_working_directory(videos, tmp_path, monkeypatch):
    published(tmp_path / "model.safetensors")
    told = trainer(tmp_path / "weights", videos, recipe(pretrained="model.safetensors"))
    with pytest.raises(WeightsError, match=r"no checkpoint at model\.safetensors"):
        told.check(MEMBERS)
    monkeypatch.chdir(tmp_path)
    told.check(MEMBERS)


def test_another_network_is_refused_before_the_first_step(videos, tmp_path):
    path, _ = published(tmp_path / "model.safetensors")
    told = trainer(tmp_path / "weights", videos, recipe(pretrained=str(path), network="bisenet18", branches={}))
    with pytest.raises(UsageError, match="read for SegFormer alone, the recipe's network is bisenet18; leave the key"):
        told.check([BASE, HIGH])
    with pytest.raises(UsageError, match="read for SegFormer alone"):
        told.train(BASE)
    assert not list((tmp_path / "weights").rglob("*.safetensors"))


def test_a_missing_file_is_refused_whatever_is_trained(videos, tmp_path):
    told = trainer(tmp_path / "weights", videos, recipe(pretrained=str(tmp_path / "none.safetensors")))
    for members in (MEMBERS, [BASE], []):
        with pytest.raises(WeightsError, match=r"no checkpoint at .*none\.safetensors; give the model\.safetensors"):
            told.check(members)
    with pytest.raises(WeightsError, match="no checkpoint at"):
        told.train(BASE)


def test_a_checkpoint_of_another_size_is_refused_by_its_tensors(videos, tmp_path):
    path, _ = published(tmp_path / "model.safetensors", width=0.25)
    told = trainer(tmp_path / "weights", videos, recipe(pretrained=str(path)))
    with pytest.raises(WeightsError, match=r"does not fit the network in \d+ tensors: segformer\.encoder"):
        told.train(BASE)

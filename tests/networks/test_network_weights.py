"""Weights on disk: what goes in comes out, and what does not fit is refused with a reason."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from vssbench.errors import StoreError, WeightsError
from vssbench.networks.weights import (
    FORMAT,
    WeightsHeader,
    file_sha256,
    load_into,
    load_network,
    read_weights,
    save_weights,
    tensors_sha256,
)
from vssbench.networks.zoo import build_network

CPU = torch.device("cpu")
HEADER = WeightsHeader(
    network="bisenet18", num_classes=5, width=0.0625, scale=0.5, recipe={"seed": 3, "crop": [64, 96]}
)


def network(*, seed=0, num_classes=5, width=0.0625):
    torch.manual_seed(seed)
    return build_network("bisenet18", num_classes=num_classes, width=width).eval()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "constant@0.5.safetensors"
    save_weights(path, network().state_dict(), HEADER)
    return path


def test_a_network_comes_back_rounded_to_half_precision_but_for_its_statistics(saved):
    original = network()
    loaded, header = load_network(saved, num_classes=5, device=CPU)
    assert header == HEADER
    assert not loaded.training
    came = loaded.state_dict()
    for key, value in original.state_dict().items():
        if "auxiliary" in key:
            continue
        is_rounded = value.is_floating_point() and "running_" not in key
        assert torch.equal(came[key], value.half().float() if is_rounded else value), key
        assert came[key].dtype == value.dtype


def test_statistics_that_half_precision_cannot_hold_survive(tmp_path):
    original = network()
    mean = original.head[1].running_mean
    mean.copy_(torch.full_like(mean, 1e6))
    save_weights(tmp_path / "a.safetensors", original.state_dict(), HEADER)
    loaded, _ = load_network(tmp_path / "a.safetensors", num_classes=5, device=CPU)
    assert torch.equal(loaded.head[1].running_mean, mean)


def test_saving_what_was_loaded_gives_the_same_bytes(saved, tmp_path):
    loaded, header = load_network(saved, num_classes=5, device=CPU)
    again = tmp_path / "again.safetensors"
    save_weights(again, loaded.state_dict(), header)
    assert file_sha256(again) == file_sha256(saved)


def test_the_predictions_come_back(saved):
    loaded, _ = load_network(saved, num_classes=5, device=CPU)
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network()(images)
        torch.testing.assert_close(loaded(images), expected, rtol=0.02, atol=0.02 * float(expected.abs().max()))


def test_heads_that_only_training_uses_are_not_stored(saved):
    assert not any("auxiliary" in key for key in load_file(saved))
    assert any("auxiliary" in key for key in network().state_dict())


def test_a_saved_file_is_replaced_whole_and_nothing_else_is_left(saved):
    save_weights(saved, network(seed=1).state_dict(), HEADER)
    assert [path.name for path in saved.parent.iterdir()] == ["constant@0.5.safetensors"]
    loaded, _ = load_network(saved, num_classes=5, device=CPU)
    assert torch.equal(loaded.final.weight, network(seed=1).final.weight.half().float())


def test_folders_on_the_way_are_made(tmp_path):
    path = tmp_path / "new" / "street" / "a.safetensors"
    save_weights(path, network().state_dict(), HEADER)
    assert path.exists()


def test_missing_weights_say_how_to_train_them(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights at .*vssbench train arseg@0.5"):
        read_weights(tmp_path / "arseg@0.5.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_file_cut_short_is_damaged(saved, share):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match="damaged"):
        read_weights(saved)


def test_a_folder_is_no_weights_file(tmp_path):
    with pytest.raises(WeightsError, match="cannot read weights"):
        read_weights(tmp_path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "vssbench-weights-0", "header": "{}"}])
def test_weights_of_another_format_are_refused(tmp_path, metadata):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(2)}, path, metadata)
    with pytest.raises(WeightsError, match=f"not a {FORMAT} file"):
        read_weights(path)


@pytest.mark.parametrize("header", [None, "{", "[]", "{}", json.dumps({"network": "bisenet18", "depth": 3})])
def test_a_header_that_cannot_be_understood_is_refused(tmp_path, header):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(2)}, path, {"format": FORMAT} | ({"header": header} if header else {}))
    with pytest.raises(WeightsError, match="cannot read weights"):
        read_weights(path)


def test_another_number_of_classes_is_refused(saved):
    with pytest.raises(WeightsError, match="tells 5 classes apart, the data set has 11"):
        load_network(saved, num_classes=11, device=CPU)


def test_tensors_that_do_not_fit_are_listed(tmp_path):
    tensors = network().state_dict()
    tensors["final.weight"] = torch.zeros(5, 7, 1, 1)
    tensors["extra"] = torch.zeros(1)
    del tensors["final.bias"]
    save_weights(tmp_path / "a.safetensors", tensors, HEADER)
    with pytest.raises(WeightsError, match="in 3 tensors") as caught:
        load_network(tmp_path / "a.safetensors", num_classes=5, device=CPU)
    for part in ("extra (unknown)", "final.bias (missing)", "(5, 7, 1, 1), network has (5, 16, 1, 1)"):
        assert part in str(caught.value)


def test_at_most_five_misfits_are_listed_and_nothing_is_loaded(tmp_path):
    module, other = network(), network(seed=1, width=0.125)
    tensors = {k: v for k, v in other.state_dict().items() if "auxiliary" not in k}
    before = {k: v.clone() for k, v in module.state_dict().items()}
    with pytest.raises(WeightsError, match="does not fit the network") as caught:
        load_into(module, tensors, tmp_path / "a.safetensors")
    assert str(caught.value).count("network has") == 5
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


@pytest.mark.parametrize("obstacle", ["parent is a file", "partial file is a folder"])
def test_a_folder_one_cannot_write_is_a_store_error(tmp_path, obstacle):
    path = tmp_path / "weights" / "a.safetensors"
    if obstacle == "parent is a file":
        path.parent.write_text("")
    else:
        path.with_suffix(".partial").mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot write weights"):
        save_weights(path, network().state_dict(), HEADER)


def test_tensors_are_identified_by_content_and_name_after_rounding():
    tensors = {"a": torch.tensor([0.1, 0.2]), "b": torch.ones(2)}
    rounded = {k: v.half().float() for k, v in reversed(tensors.items())}
    assert tensors_sha256(tensors) == tensors_sha256(rounded)  # in any order
    assert tensors_sha256(tensors) != tensors_sha256({**tensors, "b": torch.tensor([1.0, 1.5])})
    assert tensors_sha256(tensors) != tensors_sha256({"a": tensors["a"], "c": tensors["b"]})

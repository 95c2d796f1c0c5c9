"""AR-Seg's variants by their names on the command line: which weights they run, and what they refuse."""

import pytest
import torch
from tiny_arseg import CPU, arseg_network, frame

import run_bench
from arseg.options import VARIANTS
from vssbench.commands.catalogue import Bench
from vssbench.errors import UsageError, WeightsError
from vssbench.networks.weights import WeightsHeader, save_weights, tensors_sha256


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Weights of AR-Seg itself and of one variant, beside their full-resolution network."""
    folder = tmp_path_factory.mktemp("weights")

    def save(name, tensors, **header):
        made = WeightsHeader(network="bisenet18", num_classes=3, width=0.0625, **header)
        save_weights(folder / f"{name}.safetensors", tensors, made)

    network = arseg_network(variant="window-3")
    save("constant@1.0", network.high.state_dict(), scale=1.0)
    final = tensors_sha256(network.high.final.state_dict())
    save("arseg@0.5", network.branch_tensors(), scale=0.5, final_sha256=final)
    recipe = {"options": {"window": 3}}
    save("arseg:window-3@0.5", network.branch_tensors(), scale=0.5, final_sha256=final, recipe=recipe)
    return Bench(
        weights=folder, num_classes=3, device=CPU, training_frames=lambda _: iter(()), training_source="nothing"
    )


def test_a_variant_runs_its_own_weights(bench):
    member = run_bench.arseg(bench, "window-3", 0.5)
    assert (member.name, member.curves, member.point) == ("arseg:window-3@0.5", ("arseg:window-3",), 0.5)
    assert member.weights.keys() == {"arseg:window-3@0.5.safetensors", "constant@1.0.safetensors"}
    assert member.build(CPU).condition == {"scale": 0.5, "window": 3, "convention": "paper"}


@pytest.mark.parametrize("convention", ["paper", "release"])
def test_a_convention_runs_the_weights_of_ar_seg_itself(bench, convention):
    member = run_bench.arseg(bench, convention, 0.5)
    assert member.name == f"arseg:{convention}@0.5"
    assert "arseg@0.5.safetensors" in member.weights
    assert member.build(CPU).condition == {"scale": 0.5, "window": 7, "convention": convention}


def test_the_warp_alone_runs_the_full_resolution_network_without_a_scale(bench):
    member = run_bench.arseg(bench, "warp-only", None)
    assert member.name == "arseg:warp-only"
    assert member.weights.keys() == {"constant@1.0.safetensors"}
    method = member.build(torch.device("cpu"))
    assert [method.step(one).kind for one in (frame("I"), frame("P", index=1))] == ["key", "non-key"]
    with pytest.raises(UsageError, match="no scale; call it arseg:warp-only"):
        run_bench.arseg(bench, "warp-only", 0.5)


def test_a_variant_that_is_not_trained_says_how_to_train_it(bench):
    with pytest.raises(WeightsError, match=r"vssbench train arseg:kl@0\.5"):
        run_bench.arseg(bench, "kl", 0.5)
    with pytest.raises(UsageError, match="arseg needs a scale"):
        run_bench.arseg(bench, "kl", None)


def test_every_variant_is_a_name_of_the_family_and_the_family_alone_runs_none_of_them(bench):
    (family,) = [family for family in run_bench.FAMILIES if family.name == "arseg"]
    assert set(family.variants) == {"paper", "release", *VARIANTS}
    assert list(family.members(bench)) == ["arseg@0.5"]

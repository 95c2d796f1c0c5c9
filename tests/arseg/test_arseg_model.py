"""The two branches: what they share, what is frozen, what is stored."""

import pytest
import torch
from tiny_arseg import arseg_network, image_network

from arseg.creff import PAPER, RELEASE
from arseg.model import ARSegNetwork
from vssbench.complexity.params import count_parameters
from vssbench.ops.resize import resize


def test_the_low_branch_starts_as_a_copy_of_the_high_one():
    network = arseg_network()
    high, low = network.high.state_dict(), network.low.state_dict()
    assert high.keys() == low.keys()
    assert all(torch.equal(high[key], low[key]) for key in high)
    shared = [key for key in high if high[key].data_ptr() == low[key].data_ptr() and high[key].numel() > 1]
    assert shared == ["final.weight", "final.bias"]


def test_both_branches_share_one_frozen_final_layer():
    network = arseg_network()
    assert network.low.final is network.high.final
    assert not any(p.requires_grad for p in network.high.parameters())
    trainable = {name for name, p in network.named_parameters() if p.requires_grad}
    assert trainable == {
        *(f"low.{name}" for name, _ in network.low.named_parameters() if not name.startswith("final.")),
        *(f"creff.{name}" for name, _ in network.creff.named_parameters()),
    }


def test_a_second_branch_on_the_same_frozen_network_can_be_trained_too():
    high = image_network()
    first, second = (ARSegNetwork(high, scale=scale) for scale in (0.5, 0.3))
    counts = [sum(p.requires_grad for p in network.parameters()) for network in (first, second)]
    assert counts[0] == counts[1] > 0


def test_training_mode_leaves_the_high_branch_and_the_final_layer_in_evaluation():
    network = arseg_network().train()
    assert not any(module.training for module in network.high.modules())
    assert network.training
    assert all(module.training for name, module in network.low.named_modules() if name != "final")
    assert not any(module.training for module in network.eval().modules())


@pytest.mark.parametrize("convention", [PAPER, RELEASE], ids=lambda convention: convention.name)
@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
def test_the_low_branch_sees_the_frame_shrunk(size, convention):
    network = arseg_network(scale=0.7, convention=convention)
    images = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    small = resize(images, (int(size[0] * 0.7), int(size[1] * 0.7)), align_corners=convention.align_corners)
    with torch.no_grad():
        assert torch.equal(network.low_maps(images), network.low.features(small))


def test_parameters_are_two_networks_less_one_final_layer_plus_creff():
    network = arseg_network()
    single = count_parameters([image_network()])
    final = 16 * 3 + 3
    assert count_parameters([network]) == 2 * single - final + 3 * (16 * 9 + 16)


def test_a_branch_stores_its_own_tensors_alone():
    keys = arseg_network().branch_tensors().keys()
    assert {key.split(".")[0] for key in keys} == {"low", "creff"}
    assert not any(key.startswith("low.final") for key in keys)
    assert "low.head.1.running_mean" in keys

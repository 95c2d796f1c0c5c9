"""Where a network is cut: the two parts are the whole, and what is fused in between."""

import pytest
import torch
from tiny_arseg import WIDTH, arseg_network, image_network

from arseg.locations import LOCATIONS
from arseg.model import ARSegNetwork
from arseg.options import options_of
from vssbench.errors import UsageError
from vssbench.networks.zoo import build_network

PSPNETS = ("pspnet18-camvid", "pspnet18-cityscapes")
IMAGES = torch.rand(1, 3, 65, 97, generator=torch.Generator().manual_seed(0))


# what N_task reads more than one map of, or N_feat has more of than a stem and four stages
UNCUT = {
    "bisenet18": {"task", "feat"},
    "deeplab18-plain": {"feat"},
}


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("name", ["bisenet18", *PSPNETS, "pspnet50", "deeplab18-plain"])
def test_a_cut_network_is_the_network_or_it_is_refused(name, location):
    torch.manual_seed(0)
    network, cut = build_network(name, num_classes=3, width=WIDTH).eval(), LOCATIONS[location]
    if location in UNCUT.get(name, ()):
        with pytest.raises(UsageError, match=f"cannot be cut at '{location}'.*use pspnet18-camvid"):
            cut.channels(network)
        return
    channels = cut.channels(network)
    with torch.no_grad():
        fused = cut.head(network, IMAGES)
        assert fused.shape[1] == channels
        torch.testing.assert_close(cut.tail(network, fused), network.features(IMAGES))


@pytest.mark.parametrize("location", ["task", "feat"])
@pytest.mark.parametrize("name", ["bisenet18", *PSPNETS, "deeplab50-plain", "taplab-bl2", "segformer-b0"])
def test_a_network_without_values_is_cut_or_refused_as_well(name, location):
    with torch.device("meta"):
        network, cut = build_network(name, num_classes=3, width=WIDTH).eval(), LOCATIONS[location]
        try:
            assert cut.channels(network) == cut.head(network, IMAGES.to("meta")).shape[1]
        except UsageError:
            assert name not in PSPNETS


@pytest.mark.parametrize(
    ("name", "location", "channels", "stride"),
    [
        ("pspnet18-camvid", "final", 64, 1),
        ("pspnet18-camvid", "task", 512, 8),
        ("pspnet18-camvid", "feat", 64, 4),
        ("pspnet18-cityscapes", "final", 512, 8),
        ("pspnet18-cityscapes", "task", 512, 8),
        ("pspnet18-cityscapes", "feat", 64, 4),
        ("bisenet18", "final", 256, 8),
    ],
)
def test_what_is_fused_where(name, location, channels, stride):
    with torch.device("meta"):
        network = build_network(name, num_classes=12).eval()
        assert LOCATIONS[location].channels(network) == channels
        fused = LOCATIONS[location].head(network, torch.empty(1, 3, 720, 960))
    assert tuple(fused.shape) == (1, channels, 720 // stride, 960 // stride)


@pytest.mark.parametrize("variant", ["before-task", "before-feat"])
def test_bisenet_hands_on_several_maps_and_cannot_be_cut_there(variant):
    with pytest.raises(UsageError, match=r"BiSeNet18 cannot be cut at .*use pspnet18-camvid"):
        ARSegNetwork(image_network(), scale=0.5, options=options_of(variant))


@pytest.mark.parametrize("location", ["task", "feat"])
def test_trying_a_cut_leaves_the_network_and_the_random_numbers_alone(location):
    network = image_network("pspnet18-camvid")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    torch.manual_seed(3)
    LOCATIONS[location].channels(network)
    drawn = torch.rand(2)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(2), drawn)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("location", ["final", "task", "feat"])
def test_head_at_low_tail_at_full_resolution(location):
    network = arseg_network(name="pspnet18-camvid", location=location, fusion="none")
    seen = []
    hook = network.low.decoder.register_forward_pre_hook(lambda _, x: seen.append(tuple(x[0].shape[2:])))
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        maps = network.low_maps(images)
        features = network.finish(network.creff(network.key_maps(images), maps, None))
    hook.remove()
    stride = {"final": 1, "task": 8, "feat": 4}[location]
    assert tuple(maps.shape[2:]) == (32 // stride, 48 // stride)
    assert seen == [(4, 6) if location == "final" else (8, 12)]
    assert tuple(features.shape[2:]) == (64, 96)


def test_fused_before_n_task_everything_after_is_the_branchs_own():
    network = arseg_network(name="pspnet18-camvid", location="task")
    key, maps = torch.rand(1, 32, 8, 12), torch.rand(1, 32, 4, 6)
    with torch.no_grad():
        fused = network.creff(key, maps, torch.zeros(1, 8, 12, 2))
        assert torch.equal(network.finish(fused), network.low.refine(fused))
        for parameter in network.low.decoder.parameters():
            parameter.zero_()
        assert not torch.equal(network.finish(fused), network.high.refine(fused))

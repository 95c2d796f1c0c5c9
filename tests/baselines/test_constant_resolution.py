import numpy as np
import pytest
import torch
from colour_network import ColourNetwork, frame_of
from torch.nn import functional

from baselines.constant_resolution import ConstantResolution
from vssbench.errors import PredictionError, UsageError
from vssbench.networks.bisenet import BiSeNet18
from vssbench.records import Method


def test_full_scale_gives_the_networks_own_labels():
    labels = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    method = ConstantResolution(network=ColourNetwork(), scale=1.0, device="cpu")
    step = method.step(frame_of(labels))
    np.testing.assert_array_equal(step.labels, labels)
    assert step.labels.dtype == np.uint8
    assert isinstance(method, Method)


def test_half_scale_of_an_odd_frame_truncates_and_returns_full_size():
    network = ColourNetwork()
    step = ConstantResolution(network=network, scale=0.5, device="cpu").step(frame_of(np.ones((7, 9), np.uint8)))
    assert network.seen == [(3, 4)]  # int(3.5), int(4.5)
    np.testing.assert_array_equal(step.labels, np.ones((7, 9), np.uint8))


def test_a_detail_smaller_than_a_shrunk_pixel_is_lost():
    labels = np.zeros((4, 4), np.uint8)
    labels[0, 0] = 1
    # at 0.5 the corner pixel of the small picture is 3/4 class 0, so class 1 loses everywhere
    step = ConstantResolution(network=ColourNetwork(), scale=0.5, device="cpu").step(frame_of(labels))
    np.testing.assert_array_equal(step.labels, np.zeros((4, 4)))


def test_every_frame_is_of_one_kind_and_needs_no_key_frame():
    method = ConstantResolution(network=ColourNetwork(), scale=1.0, device="cpu")
    kinds = [method.step(frame_of(np.zeros((2, 2), int), t)).kind for t in ("P", "I", "B")]
    assert kinds == ["frame"] * 3
    assert method.needs == frozenset()


def test_align_corners_resizes_input_and_logits_as_the_released_program():
    generator = np.random.default_rng(0)
    rgb = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    images = torch.from_numpy(rgb).permute(2, 0, 1)[None] / 255
    small = functional.interpolate(images, (6, 8), mode="bilinear", align_corners=True)
    expected = functional.interpolate(small, (12, 16), mode="bilinear", align_corners=True)[0].argmax(0).numpy()
    frame = frame_of(None, rgb=rgb)
    released = ConstantResolution(network=ColourNetwork(), scale=0.5, device="cpu", align_corners=True)
    ours = ConstantResolution(network=ColourNetwork(), scale=0.5, device="cpu")
    np.testing.assert_array_equal(released.step(frame).labels, expected)
    assert (ours.step(frame).labels != expected).any()
    assert released.condition == {"scale": 0.5, "align_corners": True}


def test_the_network_is_put_in_evaluation_mode_and_tracks_no_gradient():
    network = BiSeNet18(num_classes=3, width=0.1).train()
    method = ConstantResolution(network=network, scale=0.5, device="cpu")
    method.step(frame_of(np.zeros((64, 64), int)))
    assert not network.training
    assert method.modules() == (network,)


def test_a_network_that_gives_nan_is_an_error():
    network = ColourNetwork()
    torch.nn.init.constant_(network.final.bias, float("nan"))
    with pytest.raises(PredictionError, match="NaN"):
        ConstantResolution(network=network, scale=1.0, device="cpu").step(frame_of(np.zeros((2, 2), int)))


@pytest.mark.parametrize("scale", [0.0, -0.5, float("nan"), float("inf")])
def test_a_scale_that_is_no_positive_number_is_refused(scale):
    with pytest.raises(UsageError, match="scale must be a positive number"):
        ConstantResolution(network=ColourNetwork(), scale=scale, device="cpu")

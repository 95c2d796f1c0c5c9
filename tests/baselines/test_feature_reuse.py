import numpy as np
import pytest
import torch
from colour_network import ColourNetwork, frame_of
from torch.utils.flop_counter import FlopCounterMode

from baselines.feature_reuse import FeatureReuse, PredictionReuse
from vssbench.errors import BitstreamError, UsageError
from vssbench.networks.bisenet import BiSeNet18
from vssbench.networks.pspnet import PSPNet18Cityscapes


class TwoLevelNetwork(ColourNetwork):
    """Features = low + 2 * high: the high level decides where the two disagree."""

    def low_level(self, images):
        return images

    def high_level(self, images):
        self.seen.append(tuple(images.shape[2:]))
        return images

    def fuse(self, low, high):
        return low + 2 * high


def bisenet():
    torch.manual_seed(0)
    return BiSeNet18(num_classes=5, width=0.1).eval()


def noise(seed, size=(64, 96)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


METHODS = [(PredictionReuse, ColourNetwork), (FeatureReuse, TwoLevelNetwork)]


def test_the_key_frames_prediction_is_copied_until_the_next_i_frame():
    first, second = np.array([[0, 1]], np.uint8), np.array([[2, 2]], np.uint8)
    method = PredictionReuse(network=ColourNetwork(), device="cpu")
    frames = [
        frame_of(first),
        frame_of(second, "P"),
        frame_of(second, "P"),
        frame_of(second),
        frame_of(first, "P"),
    ]
    steps = [method.step(frame) for frame in frames]
    assert [step.kind for step in steps] == ["key", "copy", "copy", "key", "copy"]
    for step, expected in zip(steps, [first, first, first, second, second], strict=True):
        np.testing.assert_array_equal(step.labels, expected)


def test_writing_into_a_result_does_not_change_the_next_copy():
    method = PredictionReuse(network=ColourNetwork(), device="cpu")
    method.step(frame_of([[1, 1]])).labels[:] = 0
    method.step(frame_of([[0, 0]], "P")).labels[:] = 0
    np.testing.assert_array_equal(method.step(frame_of([[0, 0]], "P")).labels, [[1, 1]])


def test_high_level_features_stay_and_low_level_ones_are_fresh():
    method = FeatureReuse(network=(network := TwoLevelNetwork()), device="cpu")
    black = np.zeros((1, 2, 3), np.uint8)
    key = black.copy()
    key[0, 0] = (255, 0, 0)  # pixel 0 is class 0; pixel 1 says nothing
    method.step(frame_of(None, rgb=key))
    # the P frame shows class 1 everywhere: pixel 0 is held by the key frame, 2.0 against 1.0; pixel 1 is free
    step = method.step(frame_of([[1, 1]], "P"))
    np.testing.assert_array_equal(step.labels, [[0, 1]])
    assert step.kind == "low-level"
    assert network.seen == [(1, 2)]  # the high level ran once, on the key frame


def test_a_new_i_frame_replaces_the_features():
    method = FeatureReuse(network=TwoLevelNetwork(), device="cpu")
    frames = [frame_of([[0]]), frame_of([[1]]), frame_of([[2]], "P")]
    steps = [method.step(frame) for frame in frames]
    assert [step.kind for step in steps] == ["key", "key", "low-level"]
    assert [int(step.labels[0, 0]) for step in steps] == [0, 1, 1]


def test_on_a_key_frame_feature_reuse_of_bisenet_is_bisenet():
    network, rgb = bisenet(), noise(1)
    method = FeatureReuse(network=network, device="cpu")
    images = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        logits = torch.nn.functional.interpolate(network(images), (64, 96), mode="bilinear")
    np.testing.assert_array_equal(method.step(frame_of(None, rgb=rgb)).labels, logits[0].argmax(0).numpy())


def test_a_low_level_step_of_bisenet_runs_everything_but_the_context_path():
    def flops(call):
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            call()
        return counter.get_total_flops()

    network = bisenet().to("meta")
    method = FeatureReuse(network=network, device="meta")
    images = torch.empty((1, 3, 64, 96), device="meta")
    key = flops(lambda: method.step(frame_of(None, rgb=noise(1))))
    low = flops(lambda: method.step(frame_of(None, "P", rgb=noise(2))))
    assert key == flops(lambda: network(images))
    assert low == key - flops(lambda: network.high_level(images)) > 0


@pytest.mark.parametrize(("make", "network"), METHODS)
def test_the_kinds_on_the_meta_device_are_those_on_the_cpu(make, network):
    frames = [frame_of(np.zeros((4, 4), int), t) for t in "IPPIP"]

    def kinds(device):
        method = make(network=network(), device=device)
        return [method.step(frame).kind for frame in frames]

    assert kinds("meta") == kinds("cpu")


@pytest.mark.parametrize(("make", "network"), METHODS)
def test_a_stream_that_does_not_open_with_an_i_frame_is_refused(make, network):
    method = make(network=network(), device="cpu")
    with pytest.raises(BitstreamError, match="must open with an I frame, got a P frame at index 7"):
        method.step(frame_of([[0]], "P", index=7))


@pytest.mark.parametrize(("make", "network"), METHODS)
def test_reset_forgets_the_key_frame(make, network):
    method = make(network=network(), device="cpu")
    method.step(frame_of([[0]]))
    method.reset()
    with pytest.raises(BitstreamError, match="must open with an I frame"):
        method.step(frame_of([[0]], "P"))


def test_a_network_without_two_levels_is_refused_with_one_that_has_them():
    with pytest.raises(UsageError, match="PSPNet18Cityscapes lacks low_level, high_level, fuse: use BiSeNet18"):
        FeatureReuse(network=PSPNet18Cityscapes(num_classes=3, width=0.1), device="cpu")


def test_the_two_are_told_apart_by_their_condition_and_need_no_side_information():
    methods = [make(network=network(), device="cpu") for make, network in METHODS]
    assert [method.condition["reuse"] for method in methods] == ["prediction", "features"]
    assert all(method.needs == frozenset() for method in methods)
    assert all(len(method.modules()) == 1 for method in methods)


@pytest.mark.parametrize(("make", "network"), METHODS)
def test_an_interval_makes_key_frames_of_other_frames_than_i_frames(make, network):
    method = make(network=network(), device="cpu", interval=3)
    frames = [frame_of(np.full((1, 2), i % 3), t, index=i) for i, t in enumerate("IPPPPIPPP")]
    expected = [True, False, False, True, False, False, True, False, False]
    for _ in range(2):
        method.reset()
        steps = [method.step(frame) for frame in frames]
        assert [step.kind == "key" for step in steps] == expected
        for step, key, shown in zip(steps, expected, range(9), strict=True):
            assert not key or (step.labels == shown % 3).all()


def test_between_its_key_frames_the_last_prediction_is_copied():
    method = PredictionReuse(network=ColourNetwork(), device="cpu", interval=2)
    steps = [method.step(frame_of([[i]], "P" if i else "I")) for i in (0, 1, 2)]
    assert [(step.kind, int(step.labels[0, 0])) for step in steps] == [("key", 0), ("copy", 0), ("key", 2)]


@pytest.mark.parametrize(("make", "network"), METHODS)
def test_an_interval_is_part_of_the_condition_and_the_streams_own_is_not(make, network):
    plain, own = (make(network=network(), device="cpu", **options).condition for options in ({}, {"interval": 4}))
    assert "interval" not in plain
    assert own == {**plain, "interval": 4}


@pytest.mark.parametrize(("make", "network"), METHODS)
def test_an_interval_below_a_frame_is_refused(make, network):
    with pytest.raises(UsageError, match="at least 1 frame, got 0"):
        make(network=network(), device="cpu", interval=0)

"""AR-Seg frame by frame: which branch works when, what it costs, what it refuses."""

import numpy as np
import pytest
import torch
from tiny_arseg import CPU, arseg_network, balance, frame, motion_field, on_meta

from arseg.creff import PAPER, RELEASE
from arseg.method import ARSeg
from vssbench.complexity.macs import count_macs
from vssbench.errors import BitstreamError
from vssbench.ops.images import labels_from_logits, to_tensor
from vssbench.ops.resize import resize
from vssbench.ops.warp import flow_for_grid
from vssbench.records import CompressedFrame, Method


def counted(name, *, num_classes, scale, size):
    """MACs of a key frame and of another frame, on the meta device."""
    method = ARSeg(on_meta(name, num_classes=num_classes, scale=scale), device=torch.device("meta"))
    rgb = np.zeros((*size, 3), np.uint8)
    key = count_macs(lambda: method.step(frame("I", rgb=rgb)))
    other = count_macs(lambda: method.step(frame("P", rgb=rgb, index=1)))
    assert key.uncounted == other.uncounted == {}
    return key, other


@pytest.mark.parametrize(
    ("name", "num_classes", "size", "key_gmacs", "gop_gmacs"),
    [
        ("pspnet18-camvid", 12, (720, 960), 308.642, 101.89),
        ("bisenet18", 12, (720, 960), 39.119, 12.705),
        ("pspnet18-cityscapes", 19, (1024, 2048), 539.978, 170.89),
        ("bisenet18", 19, (1024, 2048), 118.338, 38.05),
    ],
)
def test_half_resolution_executes_the_published_operations_over_a_gop_of_12(
    name, num_classes, size, key_gmacs, gop_gmacs
):
    key, other = counted(name, num_classes=num_classes, scale=0.5, size=size)
    assert key.network / 1e9 == pytest.approx(key_gmacs, abs=0.0006)
    assert (key.network + 11 * other.network) / 12e9 == pytest.approx(gop_gmacs, abs=0.006)


def test_a_non_key_frame_of_pspnet18_costs_what_the_formula_says_operator_by_operator():
    _, other = counted("pspnet18-camvid", num_classes=12, scale=0.5, size=(720, 960))
    P, p, C = 720 * 960, 360 * 480, 64
    low = 77.170e9 - C * 12 * p  # its own final layer does not run
    assert other.by_kind["attention"] == 2 * 49 * C * P
    assert other.by_kind["convolution"] == pytest.approx(low + 27 * C * P + 12 * C * P, rel=1e-5)
    assert other.by_kind["warp"] == 4 * C * P


@pytest.mark.parametrize("convention", [PAPER, RELEASE], ids=lambda convention: convention.name)
@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
def test_labels_are_those_of_the_parts_put_together_by_hand(size, convention):
    network = arseg_network(convention=convention)
    key, other = frame("I", size=size), frame("P", size=size, flow=(5.0, -3.0), index=4, seed=1)
    with torch.no_grad():
        key_features = network.high.features(to_tensor(key.rgb, device=CPU))
        low = network.low_maps(to_tensor(other.rgb, device=CPU))
        grid = tuple(key_features.shape[-2:])
        flow = flow_for_grid(
            other.motion_to_key,
            grid,
            device=CPU,
            scale_rule=convention.scale_rule,
            align_corners=convention.align_corners,
        )
        both = key_features, network.creff(key_features, low, flow)
        balance(network, *both)
        method = ARSeg(network, device=CPU)
        steps = [method.step(key), method.step(other)]
        assert [step.kind for step in steps] == ["key", "non-key"]
        for step, features in zip(steps, both, strict=True):
            logits = resize(network.high.final(features), size, align_corners=convention.align_corners)
            np.testing.assert_array_equal(step.labels, labels_from_logits(logits, size=size))
            assert step.labels.shape == size
            assert step.labels.dtype == np.uint8
            assert len(np.unique(step.labels)) > 1


def test_a_key_frame_is_labelled_by_the_high_network_alone():
    network, key = arseg_network(), frame("I")
    before = ARSeg(network, device=CPU).step(key).labels
    with torch.no_grad():
        for parameter in (*network.low.head.parameters(), *network.creff.parameters()):
            parameter.zero_()
    np.testing.assert_array_equal(ARSeg(network, device=CPU).step(key).labels, before)


def test_a_non_key_frame_draws_on_the_key_frame_and_on_the_motion_to_it():
    network, classified = arseg_network(), []
    network.high.final.register_forward_pre_hook(lambda _, inputs: classified.append(inputs[0]))

    def features(key_seed, flow, seed=9):
        method = ARSeg(network, device=CPU)
        method.step(frame("I", seed=key_seed))
        method.step(frame("P", flow=flow, index=1, seed=seed))
        return classified[-1]

    plain = features(0, (0, 0))
    assert torch.equal(features(0, (0, 0)), plain)
    for other in (features(1, (0, 0)), features(0, (24, 0)), features(0, (0, 0), seed=8)):
        assert (other - plain).abs().max() > 0.01 * plain.std()


def test_frames_between_do_not_matter_to_the_next():
    # every frame is traced to the key frame, so nothing is carried from one non-key frame to the next
    network, last = arseg_network(), frame("P", flow=(2, 1), index=3, seed=3)
    long, short = (ARSeg(network, device=CPU) for _ in range(2))
    for method in (long, short):
        method.step(frame("I"))
    long.step(frame("P", index=1, seed=1))
    long.step(frame("P", index=2, seed=2))
    np.testing.assert_array_equal(long.step(last).labels, short.step(last).labels)


def test_a_second_key_frame_takes_the_place_of_the_first():
    network, other = arseg_network(), frame("P", index=13, seed=3)
    one, two = (ARSeg(network, device=CPU) for _ in range(2))
    one.step(frame("I", seed=0))
    for method in (one, two):
        method.step(frame("I", seed=5, index=12))
    np.testing.assert_array_equal(one.step(other).labels, two.step(other).labels)


def test_b_frames_are_non_key_frames():
    method = ARSeg(arseg_network(), device=CPU)
    method.step(frame("I"))
    rgb = frame("P", seed=2).rgb
    both = [
        CompressedFrame(rgb=rgb, frame_type=t, index=1, size_bytes=1, motion_to_key=motion_field((64, 96)))
        for t in ("P", "B")
    ]
    p, b = (method.step(one) for one in both)
    assert b.kind == "non-key"
    np.testing.assert_array_equal(p.labels, b.labels)


def test_a_stream_must_open_with_an_i_frame_and_a_new_one_again():
    method = ARSeg(arseg_network(), device=CPU)
    with pytest.raises(BitstreamError, match=r"an I frame before it at frame 7 \(P\)"):
        method.step(frame("P", index=7))
    method.step(frame("I"))
    method.step(frame("P", index=1))
    method.reset()
    with pytest.raises(BitstreamError, match="an I frame before it"):
        method.step(frame("P", index=1))


def test_a_frame_without_vectors_is_refused_never_taken_for_a_still_one():
    method = ARSeg(arseg_network(), device=CPU)
    method.step(frame("I"))
    with pytest.raises(BitstreamError, match="decode with motion_to_key"):
        method.step(frame("P", index=1, motion=False))


def test_it_says_what_it_needs_and_what_it_is():
    method = ARSeg(arseg_network(scale=0.3, window=5, convention=RELEASE), device=CPU)
    assert isinstance(method, Method)
    assert method.needs == {"motion_to_key"}
    assert method.condition == {"scale": 0.3, "window": 5, "convention": "release"}
    assert len(method.modules()) == 1


def test_a_method_puts_its_network_into_evaluation_mode():
    network = arseg_network().train()
    ARSeg(network, device=CPU)
    assert not any(module.training for module in network.modules())


@pytest.mark.gpu
def test_on_a_gpu_the_labels_are_those_of_a_cpu(cuda):
    frames = [frame("I"), frame("P", flow=(5, -3), index=1, seed=1), frame("P", flow=(0, 7), index=2, seed=2)]
    with torch.backends.cudnn.flags(allow_tf32=False):
        on_gpu, on_cpu = (ARSeg(arseg_network(), device=device) for device in (cuda, CPU))
        for one in frames:
            agreement = (on_gpu.step(one).labels == on_cpu.step(one).labels).mean()
            assert agreement > 0.999

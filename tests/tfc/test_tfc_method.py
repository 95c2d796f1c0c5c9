"""TFC as a method: which frames are key frames, what is kept of them, and what a step says of itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_tfc import CPU, SIZE, blocks, changed, frame, images, on_meta, tiny_network

from baselines.constant_resolution import ConstantResolution
from tfc.method import TFC
from tfc.model import KeyFeatures, Pyramid
from tfc.options import VARIANTS, options_of
from vssbench.complexity.macs import count_macs
from vssbench.errors import BitstreamError, UsageError
from vssbench.ops.images import labels_from_logits
from vssbench.records import Method
from vssbench.runner.cost import count_kinds

STILL = (0.0, 0.0)


def method(variant="", **options):
    return TFC(tiny_network(variant), device=CPU, **options)


def steps(run, *frames):
    run.reset()
    return [run.step(one) for one in frames]


def picture_frames(*pictures, **options):
    """The first as an I frame, the others as P frames."""
    return [frame(rgb, "P" if i else "I", index=i, **(options if i else {})) for i, rgb in enumerate(pictures)]


# ---- key frames ----


def kinds(types, **options):
    run = method("reuse", **options)
    return "".join("k" if run.step(frame(blocks(), t, index=i)).kind == "key" else "n" for i, t in enumerate(types))


@pytest.mark.parametrize(
    ("types", "interval", "expected"),
    [
        ("IPPPPPPPP", 4, "knnnknnnk"),
        ("IPPPPPPPP", 3, "knnknnknn"),
        ("IPPPP", 1, "kkkkk"),
        ("IPPIPPPPP", 4, "knnnknnnk"),  # wherever the stream has its I frames
        ("IPPPIPPP", 4, "knnnknnn"),
        ("IIIP", 4, "knnn"),
        ("IPPPPPPP", 100, "knnnnnnn"),
    ],
)
def test_every_nth_frame_is_a_key_frame(types, interval, expected):
    assert kinds(types, interval=interval) == expected


def test_with_warping_i_frames_are_key_frames_too_as_they_have_no_vectors():
    run = method("warp", interval=4)
    frames = [frame(blocks(), t, index=i, **({} if t == "I" else {"flow": STILL})) for i, t in enumerate("IPPIPPPPP")]
    found = [run.step(one).kind for one in frames]
    assert [kind[0] for kind in found] == list("knnknnnkn")


def test_the_papers_interval_is_4_if_none_is_told():
    assert kinds("IPPPPP") == "knnnkn"


def test_after_a_reset_a_stream_begins_with_a_key_frame():
    run = method("reuse", interval=4)
    for _ in range(2):
        found = steps(run, *picture_frames(*[blocks()] * 6))
        assert [step.kind for step in found] == ["key", *["non-key"] * 3, "key", "non-key"]


def test_a_stream_that_does_not_open_with_an_i_frame_is_refused():
    run = method()
    with pytest.raises(BitstreamError, match="must open with an I frame, got a P frame at index 3"):
        run.step(frame(blocks(), "P", index=3))
    run.step(frame(blocks(), "I"))
    run.reset()
    with pytest.raises(BitstreamError, match="must open with an I frame"):
        run.step(frame(blocks(), "P"))


def test_an_interval_below_a_frame_is_refused():
    with pytest.raises(UsageError, match="at least 1 frame, got 0"):
        method(interval=0)


# ---- labels ----


@pytest.mark.parametrize("variant", ["", *VARIANTS])
def test_a_key_frame_has_segformers_labels(variant):
    run, rgb = method(variant), blocks(1, size=(65, 97))
    plain = ConstantResolution(network=tiny_network(variant).network, scale=1.0, device=CPU)
    (step,), expected = steps(run, frame(rgb, "I")), plain.step(frame(rgb, "I"))
    assert (step.kind, step.share) == ("key", None)
    assert len(np.unique(step.labels)) > 1
    np.testing.assert_array_equal(step.labels, expected.labels)


@pytest.mark.parametrize("variant", ["", "reuse", "interpolation", "hard", "msda", "level-1", "literal", "warp"])
def test_of_a_still_scene_the_key_frames_labels_stay_and_nothing_is_updated(variant):
    key, *others = steps(method(variant), *picture_frames(*[blocks(1)] * 4, flow=STILL))
    assert len(np.unique(key.labels)) > 1
    for step in others:
        np.testing.assert_array_equal(step.labels, key.labels)
        assert step.kind == "non-key"
        assert step.share == (0.0 if options_of(variant).updated else None)


@pytest.mark.parametrize("variant", ["", "reuse", "fixed"])
def test_another_frame_is_labelled_from_its_features_and_the_key_frames(variant):
    network, (first, second, third) = tiny_network(variant), (blocks(1), changed(blocks(1)), blocks(2))
    found = steps(TFC(network, device=CPU), *picture_frames(first, second, third))
    with torch.no_grad():
        key = network.key(images(first))
        # the reference is the key frame, not the frame before
        expected = [network.other(images(rgb), key) for rgb in (second, third)]
        for step, other in zip(found[1:], expected, strict=True):
            labels = labels_from_logits(network.classify(other.features), size=SIZE)
            np.testing.assert_array_equal(step.labels, labels)
            assert step.share == other.share


def test_a_later_key_frame_replaces_the_first():
    first, second = blocks(1), blocks(2)
    run = method("fixed", interval=2)
    *_, later = steps(run, *picture_frames(first, first, second, second))
    _, expected = steps(run, *picture_frames(second, second))
    np.testing.assert_array_equal(later.labels, expected.labels)


def test_labels_cover_frames_of_odd_sizes():
    found = steps(method(), *picture_frames(blocks(1, size=(65, 97)), blocks(2, size=(65, 97))))
    assert [step.labels.shape for step in found] == [(65, 97), (65, 97)]
    assert all(step.labels.dtype == np.uint8 for step in found)


# ---- features moved along the vectors ----


def test_without_motion_moved_features_are_reused_ones():
    pictures = blocks(1), blocks(2), blocks(3)
    moved = steps(method("warp"), *picture_frames(*pictures, flow=STILL))
    still = steps(method("reuse"), *picture_frames(*pictures))
    for one, two in zip(moved, still, strict=True):
        np.testing.assert_array_equal(one.labels, two.labels)
        assert (one.kind, one.share) == (two.kind, None)


def shifted(key, pixels):
    """A key frame's two coarse levels, of 1/16 and 1/32, moved to the right by so many pixels of the frame."""
    levels = list(key.pyramid.levels)
    for at, stride in ((2, 16), (3, 32)):
        by = pixels // stride
        levels[at] = torch.cat([levels[at][..., :1].expand(-1, -1, -1, by), levels[at]], -1)[..., :-by]
    resized = [torch.nn.functional.interpolate(x, levels[0].shape[-2:], mode="bilinear") for x in levels]
    pyramid = Pyramid(levels=tuple(levels), resized=(*key.pyramid.resized[:2], *resized[2:]))
    return KeyFeatures(pyramid=pyramid, features=key.features)


def test_the_coarse_levels_move_with_the_vectors_from_frame_to_frame():
    network, (first, second, third) = tiny_network("warp"), (blocks(1), blocks(2), blocks(3))
    # what is now at x was at x - 32 a frame ago: the picture moves right by 2 points of level 3, by 1 of level 4
    found = steps(TFC(network, device=CPU), *picture_frames(first, second, third, flow=(-32.0, 0.0)))
    with torch.no_grad():
        key = network.key(images(first))
        for step, rgb, pixels in zip(found[1:], (second, third), (32, 64), strict=True):
            other = network.other(images(rgb), shifted(key, pixels))
            labels = labels_from_logits(network.classify(other.features), size=SIZE)
            np.testing.assert_array_equal(step.labels, labels)
    still = steps(method("reuse"), *picture_frames(first, second, third))
    assert (found[1].labels != still[1].labels).any()


def test_where_a_block_is_intra_the_features_stay():
    flow, back = (-32.0, 0.0), np.zeros(SIZE, np.int16)
    pictures = blocks(1), blocks(2)
    moved = steps(method("warp"), *picture_frames(*pictures, flow=flow, frames_back=back))
    still = steps(method("reuse"), *picture_frames(*pictures))
    np.testing.assert_array_equal(moved[1].labels, still[1].labels)


def test_a_key_frame_forgets_how_the_last_one_moved():
    run, pictures = method("warp", interval=2), (blocks(1), blocks(2), blocks(3), blocks(4))
    frames = picture_frames(*pictures, flow=(-32.0, 0.0))
    *_, later = steps(run, *frames)
    _, expected = steps(run, frame(pictures[2], "I"), frame(pictures[3], flow=(-32.0, 0.0)))
    np.testing.assert_array_equal(later.labels, expected.labels)


def test_vectors_are_needed_where_features_are_moved_and_nowhere_else():
    assert method("warp").needs == {"motion"}
    assert all(method(variant).needs == frozenset() for variant in ("", "reuse", "level-1"))
    with pytest.raises(BitstreamError, match="P frame at index 1 comes without motion"):
        steps(method("warp"), *picture_frames(blocks(), blocks()))


@pytest.mark.parametrize("frames_back", [2, -1])
def test_vectors_to_another_frame_than_the_one_before_are_refused(frames_back):
    frames = picture_frames(blocks(), blocks(), flow=STILL, frames_back=frames_back)
    with pytest.raises(BitstreamError, match="frame 1: vectors must point to the frame before"):
        steps(method("warp"), *frames)


# ---- what a run notes ----


def test_the_condition_has_the_interval_and_what_a_variant_changes():
    conditions = {variant: dict(method(variant).condition) for variant in ("", "reuse", "hard", "msda-1.0", "warp")}
    assert conditions == {
        "": {"interval": 4, "threshold": 0.8},
        "reuse": {"interval": 4, "interpolation": "none", "updated": False},
        "hard": {"interval": 4, "threshold": 0.8, "interpolation": "hard", "updated": False},
        "msda-1.0": {"interval": 4, "threshold": 1.0, "interpolation": "none"},
        "warp": {"interval": 4, "interpolation": "none", "updated": False, "warp": True},
    }
    assert method(interval=9).condition["interval"] == 9


def test_it_is_a_method_of_one_module():
    run = method()
    assert isinstance(run, Method)
    assert len(run.modules()) == 1
    assert not run.modules()[0].training
    assert run.lookahead_frames == 0


def test_the_features_kept_are_no_part_of_a_graph():
    run = method()
    run.step(frame(blocks(), "I"))
    assert not run._key.features.requires_grad


def test_without_values_a_step_does_the_assumed_share():
    run = TFC(on_meta("segformer-b0"), device="meta")
    for share in (0.0, 0.5, 1.0):
        run.assumed_share = share
        key, other = steps(run, *picture_frames(blocks(), blocks()))
        assert (key.kind, key.share, other.kind, other.share) == ("key", None, "non-key", share)


@pytest.mark.parametrize("variant", ["", "msda-0.5", "reuse", "hard", "warp", "literal"])
def test_operations_are_counted_by_kind_and_grow_in_proportion_to_the_share(variant):
    frames = picture_frames(*[blocks()] * 6, flow=STILL)
    run = TFC(on_meta("segformer-b0", variant), device="meta")
    counts = count_kinds(run, lambda: iter([iter(frames)]), {"key", "non-key"})
    assert run.assumed_share is None
    assert counts["key"].full is None
    assert not counts["key"].macs.uncounted
    assert not counts["non-key"].macs.uncounted
    assert 0 < counts["non-key"].macs.network < counts["key"].macs.network
    if not options_of(variant).updated:
        assert counts["non-key"].full is None
        return
    # 16 x 24 points; see test_tfc_model.py for what one costs
    point = 256 * (256 + 128 + 2 * 256 + 8 * 256)
    assert counts["non-key"].full.network - counts["non-key"].macs.network == 16 * 24 * point


def test_a_key_frame_counts_as_segformer():
    run = TFC(on_meta("segformer-b0"), device="meta")
    plain = ConstantResolution(network=on_meta("segformer-b0").network, scale=1.0, device="meta")
    counts = [count_macs(lambda m=m: m.step(frame(blocks(), "I"))).by_kind for m in (run, plain)]
    assert counts[0] == counts[1]


@pytest.mark.gpu
@pytest.mark.parametrize("variant", ["", "reuse", "hard", "warp"])
def test_on_a_gpu_the_labels_are_those_of_the_cpu(variant, cuda):
    frames = picture_frames(blocks(1), changed(blocks(1)), blocks(2), flow=(-5.0, 3.0))
    with torch.backends.cudnn.flags(allow_tf32=False):
        on_gpu = steps(TFC(tiny_network(variant), device=cuda), *frames)
    for one, two in zip(on_gpu, steps(method(variant), *frames), strict=True):
        assert (one.labels != two.labels).mean() < 0.01
        assert one.kind == two.kind
        assert one.share == (None if two.share is None else pytest.approx(two.share, abs=0.02))

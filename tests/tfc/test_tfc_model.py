"""TFC's network: a key frame is SegFormer's, and the others are what the equations say, written out."""

from __future__ import annotations

import pytest
import torch
from tiny_tfc import SIZE, TRAINED, blocks, changed, images, on_meta, tiny_network
from torch.nn import functional

from tfc.model import TFCNetwork
from tfc.options import Options
from vssbench.complexity.macs import count_macs
from vssbench.complexity.params import count_parameters
from vssbench.errors import UsageError
from vssbench.networks.zoo import build_network

KEY, OTHER = blocks(1), blocks(2)
# At 480x853 the features are 120x214: 853 / 4 = 213.25, and an overlapping patch reaches past the border.
GRID = 120 * 214


def upsampled(level, size):
    return functional.interpolate(level, size, mode="bilinear", align_corners=False)


def levels_of(network, rgb):
    """SegFormer's four levels, projected to the decoder's width."""
    segformer = network.network
    x, found = segformer.normalise(images(rgb)), []
    for index in range(4):
        x = segformer.stages[index](x)
        linear = segformer.decoder.projections[index]
        found.append(functional.conv2d(x, linear.weight[:, :, None, None], linear.bias))
    return found


def joined(network, levels):
    """z: the levels at 1/4, coarsest first, through the fusing layer."""
    size = levels[0].shape[-2:]
    return network.network.decoder.fuse(torch.cat([upsampled(level, size) for level in levels[::-1]], 1))


def by_hand(network, key_rgb, rgb):
    """Key features, own features over the key's coarse levels, similarity, and updated features, everywhere."""
    key_levels, own_levels = levels_of(network, key_rgb), levels_of(network, rgb)
    levels = own_levels[:2] + key_levels[2:]
    key, own = joined(network, key_levels), joined(network, levels)
    size, at = own.shape[-2:], network.options.similarity_level - 1
    a, b = (upsampled(each[at], size)[0] for each in (key_levels, own_levels))
    similarity = (a * b).sum(0) / (a.square().sum(0).sqrt() * b.square().sum(0).sqrt())
    updated = None
    if network.update is not None:
        down, along = ((torch.arange(side) + 0.5) / side for side in size)
        y, x = torch.meshgrid(down, along, indexing="ij")
        reference = torch.stack((x.flatten(), y.flatten()), -1)[None]
        found = network.update(own.flatten(2).transpose(1, 2), reference, levels)
        updated = found.transpose(1, 2).view(own.shape)
    return key, own, similarity, updated


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def run(network, key_rgb, rgb, **options):
    return network.other(images(rgb), network.key(images(key_rgb)), **options)


# ---- key frames ----


@pytest.mark.parametrize("variant", ["", "reuse", "hard", "level-1"])
@pytest.mark.parametrize("size", [SIZE, (65, 97)])
def test_a_key_frame_is_segformers_own_output_bit_for_bit(variant, size):
    network, picture = tiny_network(variant), images(blocks(3, size=size))
    with torch.no_grad():
        key = network.key(picture)
        assert torch.equal(network.classify(key.features), network.network(picture))
        assert torch.equal(key.features, network.network.features(picture))


def test_a_key_frames_pyramid_is_its_projected_levels_and_these_at_a_quarter():
    network = tiny_network()
    with torch.no_grad():
        key = network.key(images(KEY))
        levels = levels_of(network, KEY)
    assert [tuple(level.shape) for level in key.pyramid.levels] == [
        (1, 16, 16, 24),
        (1, 16, 8, 12),
        (1, 16, 4, 6),
        (1, 16, 2, 3),
    ]
    for level, resized, expected in zip(key.pyramid.levels, key.pyramid.resized, levels, strict=True):
        close(level, expected)
        close(resized, upsampled(expected, (16, 24)))


# ---- the other frames ----


def test_reuse_is_the_decoder_on_own_fine_levels_and_the_key_frames_coarse_ones():
    network = tiny_network("reuse")
    found = run(network, KEY, OTHER)
    with torch.no_grad():
        segformer = network.network
        own, key = (segformer.extract(segformer.normalise(images(rgb))) for rgb in (OTHER, KEY))
        assert torch.equal(found.features, segformer.decoder(own[:2] + key[2:]))
        assert not torch.equal(found.features, segformer.decoder(own))
        assert not torch.equal(found.features, segformer.decoder(key))
    assert (found.similarity, found.share, network.update) == (None, None, None)


def test_stages_3_and_4_do_not_run_on_other_frames(monkeypatch):
    network, ran = tiny_network(), []
    for index, stage in enumerate(network.network.stages):
        stage.register_forward_hook(lambda *_, index=index: ran.append(index))
    key = network.key(images(KEY))
    assert ran == [0, 1, 2, 3]
    network.other(images(OTHER), key)
    assert ran == [0, 1, 2, 3, 0, 1]


@pytest.mark.parametrize("size", [SIZE, (65, 97)])
def test_tfc_is_its_equations_written_out(size):
    network, key_rgb = tiny_network(), blocks(1, size=size)
    rgb = changed(key_rgb)
    found = run(network, key_rgb, rgb)
    with torch.no_grad():
        key, own, similarity, updated = by_hand(network, key_rgb, rgb)
        low = similarity < 0.8
        assert 0.05 < low.float().mean() < 0.95, "some points are updated and some are not"
        new = torch.where(low, updated, own)  # Eq. 8: the others stay as they are
        weight = similarity.clamp(0, 1)
        close(found.similarity[0, 0], similarity)
        close(found.features, weight * key + (1 - weight) * new)  # Eq. 7
    assert found.share == int(low.sum()) / low.numel()


def test_msda_alone_leaves_the_other_points_as_they_are():
    network, rgb = tiny_network("msda"), changed(KEY)
    found = run(network, KEY, rgb)
    with torch.no_grad():
        _, own, similarity, updated = by_hand(network, KEY, rgb)
    low = similarity < 0.8
    assert 0.05 < low.float().mean() < 0.95
    close(found.features[..., low], updated[..., low])
    close(found.features[..., ~low], own[..., ~low])
    assert (updated - own)[..., low].abs().mean() > 0.1


@pytest.mark.parametrize(("variant", "threshold"), [("msda", 0.8), ("msda-0.5", 0.5)])
def test_the_share_is_that_of_the_points_below_the_threshold(variant, threshold):
    found = run(tiny_network(variant), KEY, changed(KEY))
    low = found.similarity < threshold
    assert found.share == int(low.sum()) / low.numel()


def test_a_higher_threshold_updates_more_and_1_all():
    shares = [run(tiny_network(variant), KEY, OTHER).share for variant in ("msda-0.5", "msda", "msda-1.0")]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1] == 1
    assert run(tiny_network("msda-1.0"), KEY, KEY).share == 1  # where the cosine is 1, whatever its rounding


def test_soft_weights_are_the_similarity_where_it_is_above_0():
    network, rgb = tiny_network("interpolation"), changed(KEY)
    found = run(network, KEY, rgb)
    with torch.no_grad():
        key, own, similarity, _ = by_hand(network, KEY, rgb)
    assert found.share is None
    close(found.features, similarity.clamp(0, 1) * key + (1 - similarity.clamp(0, 1)) * own)


def test_hard_weights_take_a_point_from_one_frame_or_the_other():
    network, rgb = tiny_network("hard"), changed(KEY)
    found = run(network, KEY, rgb)
    with torch.no_grad():
        key, own, similarity, _ = by_hand(network, KEY, rgb)
    kept = similarity >= 0.8
    assert 0.05 < kept.float().mean() < 0.95
    close(found.features[..., kept], key[..., kept])
    close(found.features[..., ~kept], own[..., ~kept])
    assert found.share is None


def test_a_fixed_weight_is_nine_tenths_of_the_key_frame():
    network = tiny_network("fixed")
    found = run(network, KEY, OTHER)
    with torch.no_grad():
        key, own, _, _ = by_hand(network, KEY, OTHER)
    close(found.features, 0.9 * key + 0.1 * own)
    assert (found.similarity, found.share) == (None, None)


def test_level_1_compares_the_finest_level():
    network, rgb = tiny_network("level-1"), changed(KEY)
    found = run(network, KEY, rgb)
    with torch.no_grad():
        _, _, finest, _ = by_hand(network, KEY, rgb)
        close(found.similarity[0, 0], finest)
        assert (finest - run(tiny_network(), KEY, rgb).similarity[0, 0]).abs().mean() > 0.01


def test_weights_of_all_heads_together_are_handed_to_the_attention():
    assert tiny_network("literal").update.attention.normalise == "all"
    assert tiny_network().update.attention.normalise == "per head"
    rgb = changed(KEY)
    whole, literal = (run(tiny_network(variant), KEY, rgb).features for variant in ("", "literal"))
    assert (whole - literal).abs().max() > 0.01


def test_the_update_is_one_encoder_layer_of_deformable_detr():
    attention = tiny_network().update.attention
    assert (attention.heads, len(attention.level_channels), attention.points) == (8, 4, 4)


# ---- a still scene ----


@pytest.mark.parametrize("variant", [v for v in TRAINED if v != "msda-1.0"])
def test_a_still_scene_gives_the_key_frames_features_and_updates_nothing(variant):
    network = tiny_network(variant)
    with torch.no_grad():
        key = network.key(images(KEY))
        other = network.other(images(KEY), key)
    if other.similarity is not None:
        close(other.similarity, torch.ones(1, 1, 16, 24))
    if variant != "fixed":
        assert torch.equal(other.features, key.features)
    close(other.features, key.features)
    assert other.share == (0.0 if network.update is not None else None)


def test_a_frame_without_a_point_in_common_is_updated_everywhere_and_only_then():
    """With features turned round the cosine is -1 at every point: nothing of the key frame is mixed in."""
    network = tiny_network()
    with torch.no_grad():
        key = network.key(images(KEY))
        turned = tuple(-x for x in key.pyramid.resized)
        opposite = type(key)(
            pyramid=type(key.pyramid)(levels=key.pyramid.levels, resized=turned), features=key.features
        )
        other = network.other(images(KEY), opposite)
    close(other.similarity, -torch.ones(1, 1, 16, 24))
    assert other.share == 1.0


# ---- batches and shares without values ----


@pytest.mark.parametrize("variant", ["", "hard", "msda-1.0"])
def test_samples_of_a_batch_do_not_see_one_another(variant):
    network, keys, others = tiny_network(variant), (KEY, OTHER), (changed(KEY), changed(OTHER, columns=72))
    with torch.no_grad():
        both = network.other(images(*others), network.key(images(*keys)))
        alone = [run(network, key, other) for key, other in zip(keys, others, strict=True)]
    close(both.features, torch.cat([one.features for one in alone]))
    close(both.similarity, torch.cat([one.similarity for one in alone]))
    if network.update is not None:
        assert both.share == pytest.approx(sum(one.share for one in alone) / 2)


def test_an_assumed_share_updates_so_many_points_whatever_the_similarity():
    network = tiny_network("msda")
    with torch.no_grad():
        key, same = network.key(images(KEY)), images(KEY)
        plain = network.other(same, key)
        for share, points in ((0.0, 0), (0.25, 96), (0.5, 192), (1.0, 384)):
            other = network.other(same, key, share=share)
            assert other.share == share
            assert int((other.features != plain.features).any(1).sum()) == points
    assert run(tiny_network("reuse"), KEY, OTHER, share=0.5).share is None


# ---- sizes and work, against print ----


@pytest.mark.parametrize(
    ("name", "millions", "printed"),
    [("segformer-b0", 4.503, 4.5), ("segformer-b1", 14.47, 14.5), ("segformer-b5-256", 82.76, 82.8)],
)
def test_the_sizes_are_those_of_table_1(name, millions, printed):
    parameters = count_parameters([on_meta(name)]) / 1e6
    assert parameters == pytest.approx(millions, abs=0.005)
    assert round(parameters, 1) == printed
    # attention: offsets D x 256, weights D x 128, values and output D x D, with their biases; feed-forward D x 4 D
    # and back; two norms of 2 D: 65 792 + 32 896 + 2 x 65 792 + 263 168 + 262 400 + 1 024
    added = parameters * 1e6 - count_parameters([on_meta(name, "reuse")])
    assert added == 65_792 + 32_896 + 2 * 65_792 + 263_168 + 262_400 + 1_024


def test_only_the_update_adds_parameters():
    plain = count_parameters([on_meta("segformer-b0", "reuse").network])
    for variant in ("reuse", "interpolation", "hard", "fixed"):
        assert count_parameters([on_meta("segformer-b0", variant)]) == plain


def pictures():
    return torch.empty(1, 3, 480, 853, device="meta")


@pytest.fixture(scope="module")
def b0():
    """SegFormer-B0 with TFC at 480x853 without values, and a key frame of it."""
    with torch.inference_mode():
        network = on_meta("segformer-b0")
        return network, network.key(pictures())


def test_a_key_frame_costs_what_segformer_costs(b0):
    network, _ = b0
    count = count_macs(lambda: network.classify(network.key(pictures()).features))
    assert count == count_macs(lambda: network.network(pictures()))
    assert count.network / 1e9 == pytest.approx(13.87, abs=0.005)


def test_another_frame_costs_two_stages_the_decoder_and_its_share_of_the_points(b0):
    network, key = b0
    counts = {share: count_macs(lambda s=share: step(network, key, s)) for share in (0.0, 0.1, 0.5, 1.0)}
    assert all(not count.uncounted for count in counts.values())
    # stages 1 and 2: 2.04 and 1.37 GMAC; two projections of their levels and the rest of the decoder: 7.96 in all,
    # less those of levels 3 and 4: (160 x 54 x 30 + 256 x 27 x 15) x 256 = 0.093
    assert counts[0.0].network / 1e9 == pytest.approx(2.04 + 1.37 + 7.96 - 0.093, abs=0.012)
    # a point: offsets 256 x 256, weights 256 x 128, values and output 256 x 256 each, feed-forward 8 x 256 x 256; four
    # pixels of 256 channels around each of 8 x 4 x 4 places
    linear, read = 256 * (256 + 128 + 2 * 256 + 8 * 256), 4 * 128 * 256
    for share, count in counts.items():
        points = round(share * GRID)
        assert count.network - counts[0.0].network == points * linear
        assert count.by_kind["warp"] - counts[0.0].by_kind["warp"] == points * read
    assert counts[0.1].network < 13.87e9 < counts[0.5].network


def step(network, key, share):
    return network.classify(network.other(pictures(), key, share=share).features)


def test_the_similarity_and_the_mixture_add_no_multiply_adds_but_those_of_the_upsampled_levels(b0):
    whole, key = b0
    reuse = on_meta("segformer-b0", "reuse")
    plain = count_macs(lambda: step(reuse, key, None))
    assert count_macs(lambda: step(whole, key, 0.0)) == plain


# ---- what it runs on ----


def test_another_network_is_refused_with_those_that_serve():
    network = build_network("bisenet18", num_classes=3, width=0.0625)
    with pytest.raises(UsageError, match=r"TFC runs on SegFormer, .*got BiSeNet18: give --network segformer-b0"):
        TFCNetwork(network, options=Options())


@pytest.mark.gpu
@pytest.mark.parametrize("variant", ["", "hard", "msda-1.0"])
def test_on_a_gpu_the_features_are_those_of_the_cpu(variant, cuda):
    network, rgb = tiny_network(variant), changed(KEY)
    on_cpu = run(network, KEY, rgb)
    with torch.no_grad(), torch.backends.cudnn.flags(allow_tf32=False):
        network = network.to(cuda)
        on_gpu = network.other(images(rgb).to(cuda), network.key(images(KEY).to(cuda)))
    torch.testing.assert_close(on_gpu.similarity.cpu(), on_cpu.similarity, rtol=1e-3, atol=1e-4)
    if on_cpu.share is not None:
        assert on_gpu.share == pytest.approx(on_cpu.share, abs=0.02)
    # a point at the threshold may fall on the other side
    differs = ((on_gpu.features.cpu() - on_cpu.features).abs() > 1e-2).any(1)
    assert differs.float().mean() < 0.02

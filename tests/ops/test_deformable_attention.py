"""Deformable attention: the equation written out, the chosen points alone, and work in proportion to them."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vssbench.complexity.macs import count_macs
from vssbench.errors import ShapeError, UsageError
from vssbench.networks.zoo import build_network
from vssbench.ops import deformable_attention
from vssbench.ops.deformable_attention import DeformableAttention, DeformableEncoderLayer

SIZES = ((7, 11), (4, 6), (2, 3), (1, 1))  # odd, and a level of a single pixel
NORMALISE = ["per head", "all"]


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def randomised(module, *, seed=0, scale=0.3):
    """Every parameter drawn: offsets that leave the levels, weights that differ, biases that show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for x in module.parameters():
            x.copy_(torch.randn(x.shape, generator=generator) * scale)
    return module.eval()


def pyramid(num, channels, sizes=SIZES, *, dtype=torch.float32, seed=3):
    if isinstance(channels, int):
        channels = (channels,) * len(sizes)
    return [
        normal(num, c, *size, seed=seed + i).to(dtype) for i, (c, size) in enumerate(zip(channels, sizes, strict=True))
    ]


def references(num, count, *, seed=9):
    return torch.rand(num, count, 2, generator=torch.Generator().manual_seed(seed))


def pixel(level, x, y):
    """Channels at a pixel, None outside."""
    inside = 0 <= x < level.shape[2] and 0 <= y < level.shape[1]
    return level[:, y, x] if inside else None


def by_hand(module, queries, reference, levels):
    """Eqs. 9 and 10, W' before the sum, one pixel after another, in float64."""
    heads, channels = module.heads, module.channels
    own = channels // heads
    array = {name: x.detach().double().numpy() for name, x in module.state_dict().items()}

    def linear(x, name):
        return array[f"{name}.weight"] @ x + array[f"{name}.bias"]

    result = np.zeros((*queries.shape[:2], channels))
    for n in range(queries.shape[0]):
        for q in range(queries.shape[1]):
            query = queries[n, q].double().numpy()
            offsets = linear(query, "offsets").reshape(heads, len(levels), module.points, 2)
            weights = np.exp(linear(query, "weights")).reshape(heads, len(levels), module.points)
            weights /= weights.sum(axis=(1, 2), keepdims=True) if module.normalise == "per head" else weights.sum()
            mixed = np.zeros(channels)
            for m in range(heads):
                rows = slice(m * own, (m + 1) * own)
                for l, level in enumerate(levels):
                    height, width = level.shape[-2:]
                    value = f"values.{l if len(module.values) > 1 else 0}"
                    for k in range(module.points):
                        x = float(reference[n, q, 0]) * width - 0.5 + offsets[m, l, k, 0]
                        y = float(reference[n, q, 1]) * height - 0.5 + offsets[m, l, k, 1]
                        left, top = math.floor(x), math.floor(y)
                        for column, across in ((left, left + 1 - x), (left + 1, x - left)):
                            for row, down in ((top, top + 1 - y), (top + 1, y - top)):
                                found = pixel(level[n].double().numpy(), column, row)
                                if found is not None:  # outside is 0, behind W'
                                    mixed[rows] += weights[m, l, k] * across * down * linear(found, value)[rows]
            result[n, q] = linear(mixed, "output")
    return torch.from_numpy(result)


def projected_first(module, queries, reference, levels):
    """As Deformable DETR's program does it: all maps through W', then `grid_sample`."""
    num, count, _ = queries.shape
    own, total = module.channels // module.heads, 0
    offsets, weights = module.sampling(queries.flatten(0, 1))
    for l, level in enumerate(levels):
        value = module.values[l if len(module.values) > 1 else 0](level.flatten(2).transpose(1, 2))
        value = value.transpose(1, 2).reshape(num * module.heads, own, *level.shape[-2:])
        size = torch.tensor([level.shape[-1], level.shape[-2]], dtype=reference.dtype)
        where = reference.view(num, count, 1, 1, 2) + offsets[:, :, l].view(num, count, module.heads, -1, 2) / size
        grid = (2 * where - 1).transpose(1, 2).flatten(0, 1)  # (N M, Q, K, 2)
        read = F.grid_sample(value, grid, align_corners=False)
        share = weights[:, :, l].view(num, count, module.heads, -1).transpose(1, 2).flatten(0, 1)
        total = total + (read * share.unsqueeze(1)).sum(-1)  # (N M, D / M, Q)
    return module.output(total.reshape(num, module.channels, count).transpose(1, 2))


@pytest.mark.parametrize("normalise", NORMALISE)
@pytest.mark.parametrize("level_channels", [None, (3, 4, 5, 6)])
def test_the_equation_is_that_of_a_slow_loop(level_channels, normalise):
    module = randomised(
        DeformableAttention(8, level_channels=level_channels, heads=2, points=3, normalise=normalise), scale=0.7
    )
    queries, reference, levels = normal(2, 5, 8), references(2, 5), pyramid(2, level_channels or 8)
    with torch.no_grad():
        got = module(queries, reference, levels)
    torch.testing.assert_close(got.double(), by_hand(module, queries, reference, levels), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("level_channels", [None, (3, 4, 5, 6)])
def test_reading_first_equals_projecting_the_maps_first(level_channels):
    module = randomised(DeformableAttention(32, level_channels=level_channels, heads=4)).double()
    queries, reference = normal(2, 40, 32).double(), references(2, 40).double()
    levels = pyramid(2, level_channels or 32, ((30, 53), (15, 27), (8, 14), (4, 7)), dtype=torch.float64)
    expected = projected_first(module, queries, reference, levels)
    torch.testing.assert_close(module(queries, reference, levels), expected, rtol=1e-10, atol=1e-12)


def test_the_gradients_are_those_of_projecting_the_maps_first():
    module = randomised(DeformableAttention(16, heads=4)).double()
    queries, reference = normal(2, 9, 16).double().requires_grad_(), references(2, 9).double().requires_grad_()
    levels = [level.requires_grad_() for level in pyramid(2, 16, dtype=torch.float64)]
    leaves = [queries, reference, *levels, *module.parameters()]
    weight = normal(2, 9, 16, seed=5).double()
    got = torch.autograd.grad((module(queries, reference, levels) * weight).sum(), leaves)
    expected = torch.autograd.grad((projected_first(module, queries, reference, levels) * weight).sum(), leaves)
    for one, other in zip(got, expected, strict=True):
        assert float(other.abs().max()) > 0
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_points_start_as_a_ring_around_the_reference_and_learn_from_there():
    module = DeformableAttention(16, heads=4, levels=2, points=3)
    offsets, weights = module.sampling(normal(1, 16))
    # heads look right, down, left and up; point k is k pixels out, on every level; 1 / (2 levels x 3 points) each
    directions = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    expected = directions.view(4, 1, 1, 2) * torch.tensor([1.0, 2, 3]).view(3, 1)
    torch.testing.assert_close(offsets[0], expected.expand(4, 2, 3, 2), rtol=0, atol=1e-6)
    torch.testing.assert_close(weights[0], torch.full((4, 2, 3), 1 / 6))
    # at a pixel's centre the bilinear slope has two sides; one of them is taken, not their mean, which may be 0
    hill = -(torch.arange(9.0) - 4).abs().expand(1, 16, 9, 9)
    module(normal(1, 1, 16), torch.full((1, 1, 2), 0.5), [hill, hill]).sum().backward()
    assert float(module.offsets.bias.grad.view(4, 2, 3, 2)[..., 0].abs().min()) > 0


def test_diagonal_heads_go_out_to_the_corner_of_a_square():
    offsets, _ = DeformableAttention(16, heads=8, levels=1, points=2).sampling(normal(1, 16))
    torch.testing.assert_close(offsets[0, 1, 0], torch.tensor([[1.0, 1.0], [2.0, 2.0]]))


@pytest.mark.parametrize("normalise", NORMALISE)
def test_weights_sum_to_one_per_head_or_over_all(normalise):
    module = randomised(DeformableAttention(24, heads=3, levels=2, normalise=normalise), scale=1.0)
    _, weights = module.sampling(normal(10, 24))
    assert float(weights.detach().std()) > 0.02
    if normalise == "per head":
        torch.testing.assert_close(weights.sum((2, 3)), torch.ones(10, 3))
    else:
        torch.testing.assert_close(weights.sum((1, 2, 3)), torch.ones(10))
        assert float(weights.detach().sum((2, 3)).std()) > 0.02  # the heads compete


def test_of_levels_without_contrast_the_value_comes_back():
    module = randomised(DeformableAttention(8, heads=2))
    with torch.no_grad():
        module.offsets.weight.zero_()
        module.offsets.bias.zero_()
        colour = normal(8)
        levels = [colour.view(1, 8, 1, 1).expand(1, 8, *size).contiguous() for size in SIZES]
        got = module(normal(1, 1, 8), torch.full((1, 1, 2), 0.5), levels)[0, 0]
        torch.testing.assert_close(got, module.output(module.values[0](colour)))


@pytest.mark.parametrize("far", [40.0, 1e12, -1e12, torch.inf])
def test_outside_the_levels_there_is_neither_value_nor_bias(far):
    module = randomised(DeformableAttention(8, heads=2))
    with torch.no_grad():
        got = module(normal(1, 3, 8), torch.full((1, 3, 2), far), pyramid(1, 8))
        torch.testing.assert_close(got, module.output.bias.expand(1, 3, 8))


def test_features_that_are_no_numbers_give_none_and_read_nothing_astray():
    module = randomised(DeformableAttention(8, heads=2))
    queries = normal(1, 4, 8)
    queries[0, 2, 3] = torch.nan
    with torch.no_grad():
        got = module(queries, references(1, 4), pyramid(1, 8))
    assert got.isnan().all(-1).tolist() == [[False, False, True, False]]


def test_half_way_off_the_edge_half_of_the_value_and_of_the_bias_remains():
    module = randomised(DeformableAttention(4, heads=1, levels=1, points=1))
    with torch.no_grad():
        module.offsets.weight.zero_()
        module.offsets.bias.zero_()
        level = normal(1, 4, 3, 5)
        # x = 0 of 5 is half a pixel left of the first centre; y = 0.5 of 3 is the middle row
        got = module(normal(1, 1, 4), torch.tensor([[[0.0, 0.5]]]), [level])[0, 0]
        expected = module.output(0.5 * module.values[0](level[0, :, 1, 0]))
        torch.testing.assert_close(got, expected)


def test_levels_in_either_memory_order_give_the_same():
    module, queries, reference = randomised(DeformableAttention(8, heads=2)), normal(2, 5, 8), references(2, 5)
    levels = pyramid(2, 8)
    tokens = [level.contiguous(memory_format=torch.channels_last) for level in levels]
    with torch.no_grad():
        assert torch.equal(module(queries, reference, tokens), module(queries, reference, levels))


def test_parts_of_the_queries_give_what_all_at_once_do(monkeypatch):
    module, queries, reference = randomised(DeformableAttention(8, heads=2)), normal(2, 11, 8), references(2, 11)
    levels = pyramid(2, 8)
    at_once = module(queries, reference, levels)  # with gradients nothing is divided
    monkeypatch.setitem(deformable_attention._AT_ONCE, "cpu", 4)
    with torch.no_grad():
        torch.testing.assert_close(module(queries, reference, levels), at_once, rtol=1e-5, atol=1e-6)
        assert module(queries[:, :0], reference[:, :0], levels).shape == (2, 0, 8)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_keep_their_positions(dtype):
    # bfloat16 cannot tell pixel 897 from 900, so a position that passed through it would read a neighbour
    module = DeformableAttention(8, heads=2, levels=1, points=1)
    with torch.no_grad():
        module.offsets.bias.zero_()
    level = torch.arange(900.0).remainder(7).expand(1, 8, 1, 900)
    reference = torch.tensor([[[(x + 0.5) / 900, 0.5] for x in (511, 897, 898, 899)]])
    with torch.no_grad():
        expected = module(torch.zeros(1, 4, 8), reference, [level])
        module.to(dtype)
        got = module(torch.zeros(1, 4, 8, dtype=dtype), reference, [level.to(dtype)])
    assert got.dtype == dtype
    torch.testing.assert_close(got.float(), expected, rtol=0.03, atol=0.05)


# ---- one layer, at some points ------------------------------------------------------------------------------------


def layer_and_maps(num=1, *, size=(7, 11), channels=16, seed=0):
    layer = randomised(DeformableEncoderLayer(channels, heads=4), seed=seed)
    return layer, normal(num, channels, *size, seed=seed + 1), pyramid(num, channels)


def centres(height, width):
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack((x / width, y / height), -1).view(1, -1, 2)


def test_a_layer_adds_and_normalises_attention_and_a_feed_forward_network():
    layer, _, levels = layer_and_maps(2)
    queries, reference = normal(2, 6, 16), references(2, 6)

    def norm(x, of):
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * of.weight + of.bias

    with torch.no_grad():
        x = norm(queries + layer.attention(queries, reference, levels), layer.norm1)
        hidden = (x @ layer.expand.weight.T + layer.expand.bias).clamp(min=0)
        expected = norm(x + hidden @ layer.contract.weight.T + layer.contract.bias, layer.norm2)
        torch.testing.assert_close(layer(queries, reference, levels), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_all_points_of_a_map_are_the_layer_at_the_centres_of_its_pixels(memory):
    layer, features, levels = layer_and_maps(2)
    features = features.contiguous(memory_format=memory)
    with torch.no_grad():
        expected = layer(features.flatten(2).transpose(1, 2), centres(7, 11).expand(2, -1, -1), levels)
        got = layer.update_points(features, levels, torch.arange(2 * 7 * 11))
    torch.testing.assert_close(got.flatten(2).transpose(1, 2), expected, rtol=1e-4, atol=1e-5)
    assert got.stride() == features.stride()


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_some_points_get_what_all_get_and_the_others_keep_what_they_had(memory):
    layer, features, levels = layer_and_maps()
    features = features.contiguous(memory_format=memory)
    before = features.clone()
    index = torch.tensor([70, 0, 76, 33, 5])  # in any order
    with torch.no_grad():
        everywhere = layer.update_points(features, levels, torch.arange(77)).flatten(2)
        got = layer.update_points(features, levels, index).flatten(2)
    chosen = torch.zeros(77, dtype=torch.bool).index_fill(0, index, True)
    torch.testing.assert_close(got[..., chosen], everywhere[..., chosen], rtol=1e-4, atol=1e-5)
    assert torch.equal(got[..., ~chosen], features.flatten(2)[..., ~chosen])
    assert torch.equal(features, before)  # the map that came is another method's too


@pytest.mark.parametrize("shape", [(3, 7, 11), (3, 1, 7, 11)])
def test_each_sample_may_have_points_of_its_own_number(shape):
    layer, features, levels = layer_and_maps(3)
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(4)) < 0.3
    mask[1] = False  # a sample without any
    with torch.no_grad():
        together = layer.update_points(features, levels, mask)
        for n in range(3):
            own = [level[n : n + 1] for level in levels]
            alone = layer.update_points(features[n : n + 1], own, mask[n].flatten().nonzero().flatten())
            torch.testing.assert_close(together[n : n + 1], alone, rtol=1e-4, atol=1e-5)
    assert torch.equal(together[1], features[1])
    assert not torch.equal(together[0], features[0])


@pytest.mark.parametrize("index", [torch.empty(0, dtype=torch.int64), torch.zeros(1, 7, 11, dtype=torch.bool)])
def test_without_points_the_features_come_back_and_nothing_is_done(index):
    layer, features, levels = layer_and_maps()
    results = []
    count = count_macs(lambda: results.append(layer.update_points(features, levels, index)))
    assert results[0] is features
    assert count.total == 0


def test_gradients_reach_the_points_the_levels_and_every_parameter():
    layer, features, levels = layer_and_maps(2)
    features.requires_grad_()
    for level in levels:
        level.requires_grad_()
    mask = torch.rand(2, 7, 11, generator=torch.Generator().manual_seed(4)) < 0.3
    updated = layer.update_points(features, levels, mask)
    (updated * normal(*updated.shape, seed=8)).sum().backward()
    for name, x in [*layer.named_parameters(), *((f"level {i}", x) for i, x in enumerate(levels))]:
        assert x.grad is not None, name
        assert float(x.grad.abs().max()) > 0, name
    # a point left alone passes its gradient on as it came
    untouched = ~mask.unsqueeze(1).expand_as(features)
    assert torch.equal(features.grad[untouched], normal(*updated.shape, seed=8)[untouched])


def test_a_step_of_training_lowers_a_loss():
    torch.manual_seed(0)
    layer, features, levels = DeformableEncoderLayer(16, heads=4), normal(2, 16, 7, 11), pyramid(2, 16)
    mask, wanted = normal(2, 7, 11, seed=2) > 0.5, normal(2, 16, 7, 11, seed=6)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.5)
    losses = []
    for _ in range(20):
        wrong = (layer.update_points(features, levels, mask) - wanted).transpose(0, 1)[:, mask]
        loss = wrong.square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


# ---- the sizes of print, and the work ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "millions", "printed"),
    [("segformer-b0", 4.50, 4.5), ("segformer-b1", 14.47, 14.5), ("segformer-b5-256", 82.76, 82.8)],
)
def test_with_a_layer_the_networks_have_the_parameters_that_tfc_prints(network, millions, printed):
    with torch.device("meta"):  # TFC, Table 1; 124 classes of VSPW
        layer, base = DeformableEncoderLayer(256), build_network(network, num_classes=124)
    own = sum(x.numel() for x in layer.parameters())
    # offsets 65 792, weights 32 896, W' and W 65 792 each; 525 568 of the feed-forward network, 1024 of the norms
    assert own == 756_864
    assert sum(x.numel() for x in layer.attention.parameters()) == 230_272
    total = (own + sum(x.numel() for x in base.parameters())) / 1e6
    assert total == pytest.approx(millions, abs=0.005)
    assert round(total, 1) == printed


def macs_at(share, *, device="meta", size=(120, 214), channels=256):
    with torch.device(device):
        layer = DeformableEncoderLayer(channels).eval()
        sizes = [tuple(-(-side // 2**i) for side in size) for i in range(4)]
        levels = [torch.zeros(1, channels, *each) for each in sizes]
        index = torch.arange(round(share * size[0] * size[1]))
        features = torch.zeros(1, channels, *size)
    return count_macs(lambda: layer.update_points(features, levels, index)), index.numel()


def test_the_work_of_a_point_is_that_of_the_formula():
    count, points = macs_at(0.1)
    # offsets D 256, weights D 128, W' and W D^2 each, feed-forward 8 D^2, with D = 256
    assert count.by_kind["linear"] == points * 256 * (256 + 128 + 2 * 256 + 8 * 256)
    assert count.by_kind["warp"] == points * 4 * 8 * 4 * 4 * 256  # four pixels of D channels for M L K samples
    assert count.total == points * 884_736
    assert count.uncounted == {}


def test_the_work_is_in_proportion_to_the_points_and_nothing_is_left_without_them():
    counts = [macs_at(share) for share in (1 / 25680, 0.1, 0.2, 0.4, 1.0)]
    assert [count.total / points for count, points in counts] == [884_736] * 5
    assert counts[-1][0].total / 1e9 == pytest.approx(22.72, abs=0.005)


def test_what_is_written_besides_is_in_proportion_too_but_for_one_copy_of_the_map():
    few, many = (macs_at(share)[0].zero_cost for share in (0.1, 1.0))
    pixels = 256 * 120 * 214
    fixed = {name: (10 * few[name] - many[name]) / 9 for name in many}
    assert {name: n for name, n in fixed.items() if abs(n) > 1} == {"aten::index_put": pytest.approx(pixels)}


def test_the_count_on_a_device_is_that_on_meta():
    here, there = (macs_at(0.5, device=device, size=(9, 13), channels=16)[0] for device in ("cpu", "meta"))
    assert here == there
    assert here.uncounted == {}


# ---- Hugging Face's Deformable DETR ------------------------------------------------------------------------------


def test_a_layer_equals_the_encoder_layer_of_transformers_with_the_same_weights():
    pytest.importorskip("transformers", reason="needs the extra `oracles`")
    from transformers import DeformableDetrConfig
    from transformers.models.deformable_detr.modeling_deformable_detr import DeformableDetrEncoderLayer

    config = DeformableDetrConfig(
        d_model=32, encoder_attention_heads=4, encoder_ffn_dim=128, num_feature_levels=4, encoder_n_points=3,
        disable_custom_kernels=True,
    )  # fmt: skip
    theirs = randomised(DeformableDetrEncoderLayer(config), seed=2)
    ours = DeformableEncoderLayer(32, heads=4, points=3).eval()
    names = {
        "self_attn.sampling_offsets": "attention.offsets",
        "self_attn.attention_weights": "attention.weights",
        "self_attn.value_proj": "attention.values.0",
        "self_attn.output_proj": "attention.output",
        "self_attn_layer_norm": "norm1",
        "mlp.fc1": "expand",
        "mlp.fc2": "contract",
        "fc1": "expand",
        "fc2": "contract",
        "final_layer_norm": "norm2",
    }
    state = {}
    for name, x in theirs.state_dict().items():
        place, kind = name.rsplit(".", 1)
        state[f"{names[place]}.{kind}"] = x
    ours.load_state_dict(state)
    levels = pyramid(2, 32, ((9, 13), (5, 7), (3, 4), (2, 2)))
    tokens = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], 1)
    reference = torch.cat([centres(*level.shape[-2:]) for level in levels], 1).expand(2, -1, -1)
    shapes = [tuple(level.shape[-2:]) for level in levels]
    with torch.no_grad():
        expected = theirs(
            tokens,
            attention_mask=torch.ones(tokens.shape[:2], dtype=torch.bool),
            reference_points=reference.unsqueeze(2).expand(-1, -1, 4, -1),
            spatial_shapes=torch.tensor(shapes),
            spatial_shapes_list=shapes,
            level_start_index=torch.tensor([0, 117, 152, 164]),
        )
        expected = expected[0] if isinstance(expected, tuple) else expected
        got = ours(tokens, reference, levels)
    assert float((got - expected).abs().max()) <= 1e-5


# ---- what is refused ----------------------------------------------------------------------------------------------


def test_options_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"channels = 10, heads = 4"):
        DeformableAttention(10, heads=4)
    with pytest.raises(ShapeError, match="points = 0"):
        DeformableAttention(8, points=0)
    with pytest.raises(ShapeError, match=r"each of 4 levels, got \(8, 8\)"):
        DeformableAttention(8, level_channels=(8, 8))
    with pytest.raises(UsageError, match="normalise must be 'per head' or 'all', got 'heads'"):
        DeformableAttention(8, normalise="heads")


def test_arguments_that_do_not_fit_are_refused():
    module, levels = DeformableAttention(8, heads=2), pyramid(1, 8)
    with pytest.raises(ShapeError, match=r"queries \(N, Q, D\) need references"):
        module(normal(1, 3, 8), references(1, 4), levels)
    with pytest.raises(ShapeError, match="queries of 8 channels"):
        module(normal(1, 3, 6), references(1, 3), levels)
    for wrong in (levels[:3], pyramid(1, (8, 8, 8, 4)), [*levels[:3], levels[3].squeeze(-1)]):
        with pytest.raises(ShapeError, match=r"levels \(N, C, h, w\) of \(8, 8, 8, 8\) channels are needed"):
            module(normal(1, 3, 8), references(1, 3), wrong)
    for num, other in ((2, 1), (1, 2)):
        with pytest.raises(ShapeError, match="queries and levels of one number of samples are needed"):
            module(normal(num, 3, 8), references(num, 3), [*levels[:3], normal(other, 8, 1, 1)])
    layer, features, levels = layer_and_maps(2)
    with pytest.raises(ShapeError, match="features and levels of one number of samples"):
        layer.update_points(features[:1], levels, torch.arange(3))


@pytest.mark.parametrize(
    "index", [torch.zeros(3, dtype=torch.int32), torch.zeros(7, 11, dtype=torch.bool), torch.zeros(1, 7, 11)]
)
def test_points_are_indices_or_a_mask_over_the_map(index):
    layer, features, levels = layer_and_maps()
    with pytest.raises(ShapeError, match=r"points are \(P,\) int64 or a mask over \(1, 7, 11\)"):
        layer.update_points(features, levels, index)


def test_a_mask_on_the_meta_device_cannot_be_counted():
    with torch.device("meta"):
        layer, features = DeformableEncoderLayer(8, heads=2), torch.empty(1, 8, 7, 11)
        levels = [torch.empty(1, 8, *size) for size in SIZES]
        with pytest.raises(UsageError, match="give the points as"):
            layer.update_points(features, levels, torch.empty(1, 7, 11, dtype=torch.bool))


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_does_and_is_not_waited_for(cuda):
    layer, features, levels = layer_and_maps(2)
    index = torch.arange(0, 2 * 7 * 11, 3)
    with torch.no_grad():
        expected = layer.update_points(features, levels, index)
        layer, features, index = layer.to(cuda), features.to(cuda), index.to(cuda)
        levels = [level.to(cuda) for level in levels]
        layer.update_points(features, levels, index)
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            got = layer.update_points(features, levels, index)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(got.cpu(), expected, rtol=1e-3, atol=1e-4)

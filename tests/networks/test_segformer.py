"""SegFormer: the published sizes, and the equations of the paper written out."""

import math

import pytest
import torch
from torch.nn import functional

from vssbench.complexity.macs import count_macs
from vssbench.complexity.params import count_parameters
from vssbench.networks.segformer import Block, EfficientSelfAttention, MixFeedForward, PatchEmbedding, SegFormer
from vssbench.networks.zoo import build_network


def on_meta(build):
    with torch.device("meta"):
        return build().eval()


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def randomised(module, *, seed=0):
    """Every parameter drawn, so that a bias or a norm left out shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


@pytest.mark.parametrize(
    ("variant", "ade20k"),
    [
        ("b0", 3.8),  # paper, table 1 (millions, 150 classes)
        ("b1", 13.7),
        ("b2", 27.5),
        ("b3", 47.3),
        ("b4", 64.1),
        ("b5", 84.7),
    ],
)
def test_the_sizes_are_those_of_the_paper(variant, ade20k):
    parameters = count_parameters([on_meta(lambda: SegFormer(num_classes=150, variant=variant))])
    assert parameters / 1e6 == pytest.approx(ade20k, abs=0.051)


def test_the_sizes_are_to_the_parameter_those_of_transformers():
    # SegformerForSemanticSegmentation of transformers 5.23, 19 labels
    for variant, parameters in (("b0", 3_719_027), ("b2", 27_361_235)):
        assert count_parameters([on_meta(lambda v=variant: SegFormer(num_classes=19, variant=v))]) == parameters


@pytest.mark.parametrize(
    ("name", "size", "linear_and_convolution", "with_attention"),
    [
        ("segformer-b0", (480, 853), 11.36, 13.87),
        ("segformer-b1", (480, 853), 21.51, 26.54),
        ("segformer-b5-256", (480, 853), 102.00, 126.99),
        ("segformer-b5", (480, 853), 159.12, 184.11),
        ("segformer-b0", (480, 512), 6.79, 7.70),
        ("segformer-b5", (512, 512), 101.05, 111.18),
        ("segformer-b5-256", (512, 512), 64.61, 74.74),
    ],
)
def test_the_counts_are_those_measured_on_the_model_of_transformers(name, size, linear_and_convolution, with_attention):
    # GMAC with 124 classes, eager attention; see the shared notes on TFC
    network = on_meta(lambda: build_network(name, num_classes=124))
    count = count_macs(lambda: network(torch.empty(1, 3, *size, device="meta")))
    assert (count.by_kind["convolution"] + count.by_kind["linear"]) / 1e9 == pytest.approx(
        linear_and_convolution, abs=0.0051
    )
    assert count.network / 1e9 == pytest.approx(with_attention, abs=0.0051)


def norm(x, layer):
    """Layer normalisation written out."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + layer.eps).sqrt() * layer.weight + layer.bias


def linear(x, layer):
    return x @ layer.weight.T + layer.bias


def test_a_patch_embedding_is_a_strided_convolution_and_a_norm():
    layer, x = randomised(PatchEmbedding(3, 8, kernel=7, stride=4)), normal(1, 3, 13, 18)
    tokens, size = layer(x)
    assert (size, tuple(tokens.shape)) == ((4, 5), (1, 20, 8))
    y = functional.conv2d(x, layer.projection.weight, layer.projection.bias, 4, 3)
    torch.testing.assert_close(tokens, norm(y.flatten(2).transpose(1, 2), layer.norm), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reduction", [1, 2])
def test_efficient_attention_is_the_papers_equation(reduction):
    layer, tokens = randomised(EfficientSelfAttention(8, heads=2, reduction=reduction)), normal(1, 5 * 6, 8)
    with torch.no_grad():
        source = tokens
        if reduction == 2:  # each 2x2 cell of the map becomes one token; the odd row is left out
            cells = tokens.view(5, 6, 8)[:4].reshape(2, 2, 3, 2, 8)
            source = torch.einsum("yaxbc,kcab->yxk", cells, layer.reduction.weight).reshape(1, 6, 8)
            source = norm(source + layer.reduction.bias, layer.reduction_norm)
        query, key, value = linear(tokens, layer.query), linear(source, layer.key), linear(source, layer.value)
        mixed = []
        for head in (slice(0, 4), slice(4, 8)):
            weights = (query[..., head] @ key[..., head].transpose(1, 2) / math.sqrt(4)).softmax(-1)
            mixed.append(weights @ value[..., head])
        expected = linear(torch.cat(mixed, -1), layer.output)
        torch.testing.assert_close(layer(tokens, (5, 6)), expected, rtol=1e-4, atol=1e-5)


def test_mix_ffn_puts_a_depthwise_convolution_between_two_linear_layers():
    layer, tokens = randomised(MixFeedForward(4)), normal(2, 3 * 5, 4)
    with torch.no_grad():
        maps = linear(tokens, layer.expand).transpose(1, 2).reshape(2, 16, 3, 5)
        mixed = functional.conv2d(maps, layer.depthwise.weight, layer.depthwise.bias, padding=1, groups=16)
        gelu = mixed * 0.5 * (1 + torch.erf(mixed / math.sqrt(2)))  # exact, not the tanh form
        expected = linear(gelu.flatten(2).transpose(1, 2), layer.contract)
        torch.testing.assert_close(layer(tokens, (3, 5)), expected, rtol=1e-4, atol=1e-5)


def test_a_block_normalises_before_each_branch_and_adds_its_input():
    block = randomised(Block(8, heads=2, reduction=1, drop_path=0.5, norm_eps=1e-5))
    tokens = normal(1, 12, 8)
    with torch.no_grad():
        x = tokens + block.attention(norm(tokens, block.norm1), (3, 4))
        expected = x + block.mlp(norm(x, block.norm2), (3, 4))
        torch.testing.assert_close(block(tokens, (3, 4)), expected, rtol=1e-4, atol=1e-5)


def test_stochastic_depth_drops_whole_samples_in_training_and_keeps_the_mean():
    block = randomised(Block(8, heads=2, reduction=1, drop_path=0.25, norm_eps=1e-5)).train()
    torch.manual_seed(0)
    branch = block._dropped(torch.ones(4000, 3, 8))
    assert branch.unique().tolist() == pytest.approx([0, 4 / 3])
    per_sample = branch.flatten(1)
    assert torch.equal(per_sample.min(1).values, per_sample.max(1).values)
    assert float(branch.mean()) == pytest.approx(1, abs=0.03)
    assert torch.equal(block.eval()._dropped(branch), branch)


def test_the_rate_of_stochastic_depth_grows_linearly_to_a_tenth():
    rates = [block.drop_path for stage in on_meta(lambda: SegFormer(num_classes=3)).stages for block in stage.blocks]
    assert rates == pytest.approx([0.1 * i / 7 for i in range(8)])


def test_stages_run_apart_and_projected_one_by_one_give_the_features():
    torch.manual_seed(0)
    network = build_network("segformer-b0", num_classes=5, width=0.25).eval()
    images = torch.rand(1, 3, 65, 97)
    with torch.no_grad():
        x, levels = network.normalise(images), []
        for index in range(4):
            x = network.stage(index, x)
            levels.append(x)
        assert [tuple(level.shape[1:]) for level in levels] == [(8, 17, 25), (16, 9, 13), (40, 5, 7), (64, 3, 4)]
        projected = [network.decoder.project(i, level) for i, level in enumerate(levels)]
        assert [tuple(x.shape[1:]) for x in projected] == [(64, 17, 25), (64, 9, 13), (64, 5, 7), (64, 3, 4)]
        tokens = levels[1].flatten(2).transpose(1, 2)
        by_hand = linear(tokens, network.decoder.projections[1]).transpose(1, 2).reshape(1, 64, 9, 13)
        torch.testing.assert_close(projected[1], by_hand, rtol=1e-4, atol=1e-5)
        projected = [functional.interpolate(x, (17, 25), mode="bilinear", align_corners=False) for x in projected]
        assert torch.equal(network.decoder.join(projected), network.features(images))
        # the fusing layer is linear: coarsest level first, as in the released decoder
        by_hand = functional.conv2d(torch.cat(projected[::-1], 1), network.decoder.fuse[0].weight)
        by_hand = (by_hand / math.sqrt(1 + 1e-5)).relu()
        torch.testing.assert_close(network.features(images), by_hand, rtol=1e-4, atol=1e-5)


def test_the_epsilon_of_the_released_program_can_be_had():
    network = on_meta(lambda: SegFormer(num_classes=3, norm_eps=1e-6))
    stage = network.stages[0]
    assert {stage.norm.eps, stage.blocks[0].norm1.eps, stage.blocks[1].norm2.eps} == {1e-6}
    assert {stage.embed.norm.eps, stage.blocks[0].attention.reduction_norm.eps} == {1e-5}

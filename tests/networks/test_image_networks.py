"""The image networks: their size, their feature grids, and the cuts that methods rely on."""

import pytest
import torch
from torch import nn

from vssbench.complexity.params import count_parameters
from vssbench.errors import UsageError
from vssbench.networks.base import CAMVID_MEAN, CAMVID_STD, IMAGENET_MEAN, IMAGENET_STD
from vssbench.networks.bisenet import BiSeNet18
from vssbench.networks.blocks import BasicBlock, scaled
from vssbench.networks.pspnet import POOL_SIZES, PSPNet18CamVid, PSPNet18Cityscapes, PyramidPooling
from vssbench.networks.resnet import ResNet18
from vssbench.networks.zoo import NETWORKS, build_network
from vssbench.ops.resize import resize

NAMES = tuple(NETWORKS)


def on_meta(build):
    with torch.device("meta"):
        return build().eval()


def tiny(name, *, num_classes=5, seed=0):
    torch.manual_seed(seed)
    return build_network(name, num_classes=num_classes, width=0.0625).eval()


def picture(height, width, *, count=1, seed=1):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def conv(kernel, c_in, c_out, *, bn=True, bias=False):
    return kernel * kernel * c_in * c_out + (2 * c_out if bn else 0) + (c_out if bias else 0)


RESNET18 = 11_689_512 - (512 * 1000 + 1000)  # the published network without its classifier


def test_the_backbone_is_resnet18_without_its_classifier():
    assert count_parameters([on_meta(ResNet18)]) == RESNET18
    dilated = on_meta(lambda: ResNet18(strides=(1, 1), dilations=(((1, 1), (2, 2)), ((1, 1), (4, 4)))))
    assert count_parameters([dilated]) == RESNET18  # stride and dilation weigh nothing


def test_bisenet18_has_13_27_million_parameters_and_its_auxiliary_heads_0_15():
    network = on_meta(lambda: BiSeNet18(num_classes=12))
    refinement = conv(3, 512, 128) + conv(1, 128, 128), conv(3, 256, 128) + conv(1, 128, 128)
    context = RESNET18 + conv(1, 512, 128) + sum(refinement) + 2 * conv(3, 128, 128)
    spatial = conv(7, 3, 64) + 2 * conv(3, 64, 64) + conv(1, 64, 128)
    fusion = 2 * conv(1, 256, 256) + conv(3, 256, 256)
    expected = context + spatial + fusion + conv(1, 256, 12, bn=False, bias=True)
    auxiliary = 2 * (conv(3, 128, 64) + conv(1, 64, 12, bn=False, bias=True))
    assert count_parameters([network]) == expected + auxiliary
    assert (round(expected / 1e6, 2), round((expected + auxiliary) / 1e6, 2)) == (13.27, 13.42)


def test_pspnet18_for_camvid_has_17_46_million_parameters_with_the_classifier_of_images_left_out_here():
    network = on_meta(lambda: PSPNet18CamVid(num_classes=12))
    decoder = sum(
        conv(3, c_in, c_out, bias=True) + 1  # 1: PReLU
        for c_in, c_out in ((1024, 256), (256, 64), (64, 64))
    )
    pooling = 4 * 512 * 512 + conv(1, 2560, 1024, bn=False, bias=True)
    expected = RESNET18 + pooling + decoder + conv(1, 64, 12, bn=False, bias=True)
    assert count_parameters([network]) == expected
    images = 256 * 256 + 256 + 256 * 12 + 12  # the released program's image-level head
    assert round((expected + images) / 1e6, 2) == 17.46


def test_pspnet18_for_cityscapes_has_the_parameters_of_its_layers():
    network = on_meta(lambda: PSPNet18Cityscapes(num_classes=19))
    main = 4 * conv(1, 512, 128) + conv(3, 1024, 512) + conv(1, 512, 19, bn=False, bias=True)
    auxiliary = conv(3, 256, 256) + conv(1, 256, 19, bn=False, bias=True)
    assert count_parameters([network]) == RESNET18 + main + auxiliary == 16_764_262


@pytest.mark.parametrize(
    ("network", "stage3", "stage4"),
    [
        (PSPNet18CamVid, [1, 1, 2, 2], [1, 1, 4, 4]),  # dilation skips block 0
        (PSPNet18Cityscapes, [1, 2, 2, 2], [1, 4, 4, 4]),  # and here its first convolution only
        (BiSeNet18, [1, 1, 1, 1], [1, 1, 1, 1]),
    ],
)
def test_the_last_stages_dilate_where_the_released_program_does(network, stage3, stage4):
    model = on_meta(lambda: network(num_classes=3, width=0.0625))
    backbone = model.context_path.backbone if network is BiSeNet18 else model.backbone
    for stage, dilations in ((backbone.stage3, stage3), (backbone.stage4, stage4)):
        convolutions = [c for c in stage.modules() if isinstance(c, nn.Conv2d) and c.kernel_size == (3, 3)]
        assert [c.dilation[0] for c in convolutions] == dilations
        assert [c.padding[0] for c in convolutions] == dilations  # so that the size stays


@pytest.mark.parametrize(
    ("name", "size", "grid", "channels"),
    [
        ("pspnet18-camvid", (720, 960), (720, 960), 64),
        ("pspnet18-camvid", (503, 672), (504, 672), 64),  # 0.7 of it: rounded up to a multiple of 8
        ("pspnet18-cityscapes", (1024, 2048), (128, 256), 512),
        ("bisenet18", (720, 960), (90, 120), 256),
        ("bisenet18", (360, 480), (46, 60), 256),  # 2 ceil(h / 16)
        ("bisenet18", (1024, 2048), (128, 256), 256),
        ("pspnet50", (1024, 2048), (128, 256), 512),
        ("taplab-bl3", (720, 960), (90, 120), 512),
        ("deeplab18", (720, 960), (45, 60), 1024),  # 2 x ceil(720 / 32) would be 46
        ("deeplab50", (1024, 2048), (64, 128), 1024),
        ("taplab-bl1", (1024, 2048), (256, 512), 128),
        ("taplab-bl2", (720, 960), (180, 240), 64),
        ("segformer-b0", (1024, 2048), (256, 512), 256),
        ("segformer-b0", (480, 853), (120, 214), 256),
        ("segformer-b2", (512, 512), (128, 128), 768),
        ("segformer-b5-256", (480, 853), (120, 214), 256),
    ],
)
def test_the_published_networks_give_features_of_the_published_size(name, size, grid, channels):
    network = on_meta(lambda: build_network(name, num_classes=12))
    features = network.features(torch.empty(1, 3, *size, device="meta"))
    assert tuple(features.shape) == (1, channels, *grid)
    assert (network.feature_channels, network.num_classes) == (channels, 12)
    assert tuple(network.classify(features).shape) == (1, 12, *grid)
    kernel = (3, 3) if name == "taplab-bl2" else (1, 1)
    assert (network.final.kernel_size, network.final.bias is not None) == (kernel, True)


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("bisenet18", (10, 14)),
        ("pspnet18-camvid", (72, 104)),
        ("pspnet18-cityscapes", (9, 13)),
        ("pspnet50", (9, 13)),
        ("deeplab18", (5, 7)),
        ("deeplab50", (5, 7)),
        ("taplab-bl1", (18, 26)),
        ("taplab-bl2", (17, 25)),
        ("segformer-b0", (17, 25)),
    ],
)
def test_odd_sizes_round_up(name, grid):
    network = tiny(name)
    with torch.no_grad():
        assert tuple(network(picture(65, 97)).shape) == (1, 5, *grid)


@pytest.mark.parametrize("name", NAMES)
def test_features_and_classifier_make_the_network(name):
    network, images = tiny(name), picture(64, 96, count=2)
    with torch.no_grad():
        features = network.features(images)
        assert torch.equal(network.classify(features), network(images))
        kernel = network.final.kernel_size[0]  # 1, and 3 in TapLab's BL2
        windows = torch.nn.functional.unfold(features, kernel, padding=kernel // 2).unflatten(2, features.shape[2:])
        by_hand = torch.einsum("kc,nchw->nkhw", network.final.weight.flatten(1), windows)
        by_hand = by_hand + network.final.bias.view(1, -1, 1, 1)
        torch.testing.assert_close(network(images), by_hand, rtol=1e-4, atol=1e-5)
        assert features.std() > 0.01  # something arrives


@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
def test_bisenets_two_paths_fused_are_its_features(size):
    network, images = tiny("bisenet18"), picture(*size)
    with torch.no_grad():
        low, high = network.low_level(images), network.high_level(images)
        assert torch.equal(network.fuse(low, high), network.features(images))
        other = network.high_level(picture(*size, seed=2))
        assert not torch.equal(network.fuse(low, other), network.features(images))


def with_statistics(name):
    """A network whose batch norms have seen pictures, so that leaving one out shows."""
    network = tiny(name).train()
    with torch.no_grad():
        network(picture(64, 96, count=2, seed=3))
    return network.eval()


def conv_bn(x, block):
    """Convolution, then normalisation by the running statistics, written out."""
    convolution, norm = block[0], block[1]
    y = torch.nn.functional.conv2d(x, convolution.weight, convolution.bias, 1, convolution.padding)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (y - norm.running_mean.view(1, -1, 1, 1)) * scale.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)


def gate(y, layers):
    """Sigmoid of the normalised projection of the global mean (BiSeNet, fig. 2b and c)."""
    return 1 / (1 + (-conv_bn(y.mean((2, 3), keepdim=True), layers)).exp())


def twice(x):
    return x.repeat_interleave(2, -2).repeat_interleave(2, -1)  # nearest x2


@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
def test_bisenet18_computes_what_the_papers_figure_2_shows(size):
    network, images = with_statistics("bisenet18"), picture(*size)
    with torch.no_grad():
        path = network.context_path
        _, x16, x32 = path.backbone(network.normalise(images))
        context = conv_bn(x32.mean((2, 3), keepdim=True), path.global_context).relu()
        y32 = conv_bn(x32, path.refine32.conv).relu()
        up32 = twice(y32 * gate(y32, path.refine32.weight) + context)
        y16 = conv_bn(resize(up32, tuple(x16.shape[-2:])), path.head32).relu()
        z16 = conv_bn(x16, path.refine16.conv).relu()
        high = conv_bn(twice(z16 * gate(z16, path.refine16.weight) + y16), path.head16).relu()
        torch.testing.assert_close(network.high_level(images), high)
        low = resize(network.low_level(images), tuple(high.shape[-2:]))
        fused = conv_bn(torch.cat([low, high], 1), network.fusion.conv).relu()
        fused = fused + fused * gate(fused, network.fusion.weight)
        torch.testing.assert_close(network.features(images), conv_bn(fused, network.head).relu())


def test_the_spatial_path_is_three_strided_convolutions_and_a_projection():
    convolutions = [block[0] for block in tiny("bisenet18").spatial_path]
    assert [(c.kernel_size[0], c.stride[0]) for c in convolutions] == [(7, 2), (3, 2), (3, 2), (1, 1)]
    assert all(c.bias is None for c in convolutions)


def test_the_decoder_of_pspnet18_for_camvid_doubles_three_times():
    network, images = with_statistics("pspnet18-camvid"), picture(64, 96)
    with torch.no_grad():
        x = network.bottleneck[0](network.pooling(network.extract(network.normalise(images)))).relu()
        for block in network.decoder:
            convolution, norm, prelu, dropout = block.layers
            y = conv_bn(resize(x, (2 * x.shape[-2], 2 * x.shape[-1])), (convolution, norm))
            x = torch.where(y > 0, y, prelu.weight * y)
            assert dropout.p == 0.15
        torch.testing.assert_close(network.features(images), x)


def test_the_head_of_pspnet18_for_cityscapes_is_one_convolution_over_the_pooled_pyramid():
    network, images = with_statistics("pspnet18-cityscapes"), picture(64, 96)
    with torch.no_grad():
        x = network.extract(network.normalise(images))
        grids = [torch.nn.functional.adaptive_avg_pool2d(x, grid) for grid in (1, 2, 3, 6)]
        projected = [conv_bn(g, p).relu() for g, p in zip(grids, network.pooling.projections, strict=True)]
        joined = torch.cat([x, *(resize(p, (8, 12)) for p in projected)], 1)
        torch.testing.assert_close(network.features(images), conv_bn(joined, network.head[0]).relu())


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_of_a_batch_is_treated_by_itself(name):
    network, images = tiny(name).double(), picture(64, 96, count=2).double()  # 100 untrained layers magnify rounding
    with torch.no_grad():
        torch.testing.assert_close(network(images)[1:], network(images[1:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("bisenet18", [(8, 12), (4, 6)]),
        ("pspnet18-cityscapes", [(8, 12)]),
        ("pspnet18-camvid", []),
        ("pspnet50", [(8, 12)]),
        ("deeplab18", []),
        ("taplab-bl1", [(4, 6), (8, 12)]),
        ("taplab-bl2", []),
        ("segformer-b0", []),
    ],
)
def test_training_gives_the_same_features_and_the_logits_of_the_auxiliary_heads(name, heads):
    network, images = tiny(name), picture(64, 96)
    with torch.no_grad():
        features, auxiliary = network.training_outputs(images)
        assert torch.equal(features, network.features(images))
    assert [tuple(logits.shape[1:]) for logits in auxiliary] == [(5, *grid) for grid in heads]
    assert len(network.auxiliary_weights) == len(heads)
    network.drop_auxiliary()
    with torch.no_grad():
        assert torch.equal(network.features(images), features)


@pytest.mark.parametrize("name", NAMES)
def test_normalisation_is_part_of_the_network(name):
    network, seen = tiny(name), []
    extract = network.extract
    network.extract = lambda images: seen.append(images) or extract(images)
    from_scratch = name.startswith(("bisenet18", "pspnet18", "taplab-bl1", "taplab-bl2"))
    constants = (CAMVID_MEAN, CAMVID_STD) if from_scratch else (IMAGENET_MEAN, IMAGENET_STD)
    mean, std = (torch.tensor(c).view(1, 3, 1, 1) for c in constants)
    network.features((mean + 2 * std).expand(1, 3, 64, 96))
    torch.testing.assert_close(seen[0], torch.full((1, 3, 64, 96), 2.0))


def test_pyramid_pooling_joins_the_input_to_the_means_of_its_cells():
    pooling = PyramidPooling([nn.Identity() for _ in POOL_SIZES])
    x = picture(12, 18)
    joined = pooling(x)
    assert tuple(joined.shape) == (1, 15, 12, 18)
    assert torch.equal(joined[:, :3], x)
    torch.testing.assert_close(joined[:, 3:6], x.mean((2, 3), keepdim=True).expand_as(x))  # the 1x1 grid
    cells = x.view(1, 3, 6, 2, 6, 3).mean((3, 5))  # the 6x6 grid: 2x3 pixels a cell
    torch.testing.assert_close(joined[:, 12:], resize(cells, (12, 18)))


def test_a_residual_block_adds_its_input():
    block = BasicBlock(4, 4).eval()
    x = picture(5, 7)[:, :1].expand(1, 4, 5, 7) - 0.5
    nn.init.zeros_(block.bn2.weight)
    assert torch.equal(block(x), x.relu())  # the convolutions silenced
    strided = BasicBlock(4, 8, stride=2).eval()
    nn.init.zeros_(strided.bn2.weight)
    assert torch.equal(strided(x), strided.shortcut(x).relu())
    assert tuple(strided(x).shape) == (1, 8, 3, 4)


def test_width_scales_every_channel_count_in_steps_of_4():
    assert [scaled(64, width) for width in (1.0, 0.5, 0.3, 0.0625, 0.001)] == [64, 32, 20, 4, 4]
    assert ResNet18(width=0.25).channels == (16, 32, 64, 128)
    assert build_network("bisenet18", num_classes=3, width=0.125).feature_channels == 32


def test_an_unknown_network_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="bisenet18, pspnet18-camvid, pspnet18-cityscapes"):
        build_network("bisenet", num_classes=3)

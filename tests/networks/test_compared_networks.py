"""The networks of the compared systems: their published size, and what their papers' figures show."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from vssbench.complexity.params import count_parameters
from vssbench.networks.blocks import Bottleneck
from vssbench.networks.deeplab import DeepLab
from vssbench.networks.deformable import DeformableConvolution
from vssbench.networks.icnet import CascadeFusion, ICNet
from vssbench.networks.mobilenet_fpn import Join, MobileNetFPN
from vssbench.networks.pspnet import PSPNet
from vssbench.networks.resnet import BottleneckResNet
from vssbench.networks.zoo import NETWORKS, build_network
from vssbench.ops.resize import resize


def on_meta(build):
    with torch.device("meta"):
        return build().eval()


def picture(height, width, *, count=1, seed=1):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def conv(kernel, c_in, c_out, *, bn=True, bias=False):
    return kernel * kernel * c_in * c_out + (2 * c_out if bn else 0) + (c_out if bias else 0)


# torchvision's documented sizes, without the classifier of 2048 x 1000 + 1000
RESNET50 = 25_557_032 - 2_049_000
RESNET101 = 44_549_160 - 2_049_000


@pytest.mark.parametrize(("depth", "parameters"), [(50, RESNET50), (101, RESNET101)])
def test_the_backbones_are_resnet50_and_101_without_their_classifiers(depth, parameters):
    assert count_parameters([on_meta(lambda: BottleneckResNet(depth))]) == parameters
    dilated = on_meta(lambda: BottleneckResNet(depth, strides=(1, 1), dilations=(2, 4), stride_first=True))
    assert count_parameters([dilated]) == parameters  # stride and dilation weigh nothing
    deep = on_meta(lambda: BottleneckResNet(depth, stem="deep"))
    stem = conv(3, 3, 64) + conv(3, 64, 64) + conv(3, 64, 128)
    wider_input = 64 * 64 + 64 * 256  # of the first block's 1x1 convolutions: 64 channels more
    assert count_parameters([deep]) == parameters - conv(7, 3, 64) + stem + wider_input


@pytest.mark.parametrize(("depth", "resnet"), [(50, RESNET50), (101, RESNET101)])
def test_pspnet_has_the_parameters_of_its_layers(depth, resnet):
    network = on_meta(lambda: PSPNet(num_classes=19, depth=depth, stem="plain"))
    main = 4 * conv(1, 2048, 512) + conv(3, 4096, 512) + conv(1, 512, 19, bn=False, bias=True)
    auxiliary = conv(3, 1024, 256) + conv(1, 256, 19, bn=False, bias=True)
    assert count_parameters([network]) == resnet + main + auxiliary


def test_pspnet_dilates_every_3x3_convolution_of_its_last_two_stages():
    backbone = on_meta(lambda: PSPNet(num_classes=3, width=0.0625)).backbone
    for stage, dilation in ((backbone.stage3, 2), (backbone.stage4, 4)):
        convolutions = [c for c in stage.modules() if isinstance(c, nn.Conv2d) and c.kernel_size == (3, 3)]
        assert {(c.dilation[0], c.padding[0], c.stride[0]) for c in convolutions} == {(dilation, dilation, 1)}


def test_a_bottleneck_adds_its_input_and_strides_where_told():
    x = picture(5, 7)[:, :1].expand(1, 8, 5, 7) - 0.5
    block = Bottleneck(8, 4, 8).eval()
    nn.init.zeros_(block.bn3.weight)
    assert torch.equal(block(x), x.relu())  # the convolutions silenced
    assert Bottleneck(8, 4, 16, stride=2).conv2.stride == (2, 2)
    first = Bottleneck(8, 4, 16, stride=2, stride_first=True).eval()
    assert (first.conv1.stride, first.conv2.stride) == ((2, 2), (1, 1))
    assert tuple(first(x).shape) == (1, 16, 3, 4)


# ---- deformable convolution ----


def deformable(c_in=8, c_out=6, **options):
    torch.manual_seed(0)
    return DeformableConvolution(c_in, c_out, **options)


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("size", [(7, 9), (1, 1)])
def test_without_offsets_a_deformable_convolution_is_the_ordinary_one(dilation, size):
    layer, x = deformable(dilation=dilation), torch.randn(2, 8, *size, generator=torch.Generator().manual_seed(1))
    expected = functional.conv2d(x, layer.weight, padding=dilation, dilation=dilation)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_each_tap_of_each_group_reads_where_its_offset_points():
    layer = deformable(dilation=2, offset_groups=2)
    nn.init.normal_(layer.offset.bias, std=1.5)
    x = torch.randn(1, 8, 6, 5, generator=torch.Generator().manual_seed(2))
    moves = layer.offset.bias.detach().view(2, 9, 2)  # the same for all pixels, as the offsets' weights are 0

    def read(channel, y, x_):  # bilinear, 0 outside
        total = 0.0
        y0, x0 = int(y // 1), int(x_ // 1)
        for yy, wy in ((y0, 1 - (y - y0)), (y0 + 1, y - y0)):
            for xx, wx in ((x0, 1 - (x_ - x0)), (x0 + 1, x_ - x0)):
                if 0 <= yy < 6 and 0 <= xx < 5:
                    total += wy * wx * float(x[0, channel, yy, xx])
        return total

    with torch.no_grad():
        out = layer(x)
    for row, column in ((0, 0), (3, 2), (5, 4)):
        by_hand = torch.zeros(6)
        for channel in range(8):
            for tap in range(9):
                dy, dx = (float(v) for v in moves[channel // 4, tap])
                value = read(channel, row + 2 * (tap // 3 - 1) + dy, column + 2 * (tap % 3 - 1) + dx)
                by_hand += layer.weight[:, channel, tap // 3, tap % 3].detach() * value
        torch.testing.assert_close(out[0, :, row, column], by_hand, rtol=1e-4, atol=1e-4)


def test_the_offsets_of_a_deformable_convolution_learn():
    layer, x = deformable(), torch.randn(1, 8, 6, 5, generator=torch.Generator().manual_seed(3))
    layer(x).square().sum().backward()
    assert layer.offset.weight.grad.abs().max() > 0
    assert layer.weight.grad.abs().max() > 0


# ---- DeepLab ----


def test_deeplab18_is_deformable_in_the_second_convolution_of_the_last_blocks():
    network = on_meta(lambda: DeepLab(num_classes=19, depth=18))
    stage = network.backbone.stage4
    assert [type(block.conv1) for block in stage] == [nn.Conv2d] * 2
    assert [(type(block.conv2), block.conv2.dilation) for block in stage] == [(DeformableConvolution, 2)] * 2
    assert stage[0].conv1.stride == (2, 2)
    plain = on_meta(lambda: DeepLab(num_classes=19, depth=18, deformable=False))
    assert [block.conv2.dilation for block in plain.backbone.stage4] == [(2, 2)] * 2
    offsets = conv(3, 512, 72, bn=False, bias=True)  # (dy, dx) of 9 taps in 4 groups
    assert count_parameters([network]) == count_parameters([plain]) + 2 * offsets


def test_deeplab50_keeps_stride_16_and_is_deformable_in_every_block_of_the_last_stage():
    network = on_meta(lambda: DeepLab(num_classes=19, depth=50))
    assert [type(block.conv2) for block in network.backbone.stage4] == [DeformableConvolution] * 3
    head = conv(1, 2048, 1024, bn=False, bias=True) + conv(1, 1024, 19, bn=False, bias=True)
    assert count_parameters([network]) == RESNET50 + head + 3 * conv(3, 512, 72, bn=False, bias=True)
    extracted = network.extract(torch.empty(1, 3, 720, 960, device="meta"))
    assert tuple(extracted.shape) == (1, 2048, 45, 60)


# ---- TapLab's baselines ----


def test_taplabs_bl2_has_the_size_of_the_released_network():
    network = on_meta(lambda: MobileNetFPN(num_classes=64))  # which is configured so
    assert round(count_parameters([network]) / 1e6, 2) == 4.87

    def separable(c_in, c_out):
        return 9 * c_in + 2 * c_in + conv(1, c_in, c_out)

    mobilenet = conv(3, 3, 32) + separable(32, 64)
    for channels, blocks in ((128, 2), (256, 2), (512, 6), (1024, 2)):
        mobilenet += separable(channels // 2, channels) + (blocks - 1) * separable(channels, channels)
    pooling = conv(1, 1024, 512, bn=False, bias=True) + 4 * conv(1, 512, 128) + conv(1, 1024, 256)
    joins = ((256, 512, 128), (128, 256, 64), (64, 128, 64))
    pyramid = sum(conv(1, lateral, above) + conv(3, above, out) for above, lateral, out in joins)
    assert count_parameters([network]) == mobilenet + pooling + pyramid + conv(3, 64, 64, bn=False, bias=True)


def test_a_join_adds_the_projected_lateral_map_to_the_upsampled_one():
    join = Join(4, 6, 5).eval()
    above, lateral = picture(3, 4)[:, :1].expand(1, 4, 3, 4), picture(6, 8)[:, :1].expand(1, 6, 6, 8)
    up = functional.interpolate(above, (6, 8), mode="bilinear", align_corners=True)
    with torch.no_grad():
        assert torch.equal(join(above, lateral), join.mix(join.lateral(lateral) + up))


def test_taplabs_bl1_is_an_icnet_of_half_the_kernels():
    network = on_meta(lambda: ICNet(num_classes=19))

    def bottleneck(c_in, c_mid, c_out, *, count=1, shortcut=True):
        first = conv(1, c_in, c_mid) + conv(3, c_mid, c_mid) + conv(1, c_mid, c_out)
        rest = conv(1, c_out, c_mid) + conv(3, c_mid, c_mid) + conv(1, c_mid, c_out)
        return first + (conv(1, c_in, c_out) if shortcut else 0) + (count - 1) * rest

    stem = conv(3, 3, 32) + conv(3, 32, 32) + conv(3, 32, 64)
    stages = bottleneck(64, 32, 128, count=3) + bottleneck(128, 64, 256, count=4)
    stages += bottleneck(256, 128, 512, count=6) + bottleneck(512, 256, 1024, count=3) + conv(1, 1024, 256)
    fusions = conv(3, 256, 128) + conv(1, 256, 128) + conv(3, 128, 128) + conv(1, 64, 128)
    heads = sum(conv(1, c, 19, bn=False, bias=True) for c in (128, 256, 128))
    assert count_parameters([network]) == stem + stages + stem + fusions + heads  # the detail branch is a second stem


def test_icnets_branches_see_the_picture_at_a_quarter_a_half_and_in_full():
    network = on_meta(lambda: ICNet(num_classes=19))
    coarse, middle, detail = network.extract(torch.empty(1, 3, 1024, 2048, device="meta"))
    assert [tuple(x.shape[1:]) for x in (coarse, middle, detail)] == [(256, 32, 64), (256, 64, 128), (64, 128, 256)]


def test_a_cascade_fusion_sums_a_dilated_and_a_pointwise_convolution():
    fusion = CascadeFusion(4, 6, 5).eval()
    coarse, fine = picture(6, 8)[:, :1].expand(1, 4, 6, 8), picture(6, 8, seed=2)[:, :1].expand(1, 6, 6, 8)
    a = functional.conv2d(coarse, fusion.coarse[0].weight, padding=2, dilation=2)
    b = functional.conv2d(fine, fusion.fine[0].weight)
    torch.testing.assert_close(fusion(coarse, fine), ((a + b) / (1 + 1e-5) ** 0.5).relu(), rtol=1e-4, atol=1e-5)


def test_taplabs_bl3_is_pspnet101_on_the_resnet_of_the_paper():
    assert count_parameters([on_meta(lambda: build_network("taplab-bl3", num_classes=19))]) == count_parameters(
        [on_meta(lambda: PSPNet(num_classes=19, depth=101, stem="plain"))]
    )


# ---- all of them ----


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_trains(name):
    torch.manual_seed(0)
    network = build_network(name, num_classes=3, width=0.0625).train()
    label = torch.randint(0, 3, (2, 64, 96), generator=torch.Generator().manual_seed(1))
    features, auxiliary = network.training_outputs(picture(64, 96, count=2))
    logits = [network.classify(features), *auxiliary]
    sum(functional.cross_entropy(resize(each, (64, 96)), label) for each in logits).backward()
    without = [key for key, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_says_what_it_is(name):
    assert (NETWORKS[name].__doc__ or "").splitlines()[0].endswith(".")

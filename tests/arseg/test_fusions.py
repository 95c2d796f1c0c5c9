"""What can stand in CReFF's place, each against another way to say the same."""

import pytest
import torch
from torch.nn import functional

from arseg.creff import CONVENTIONS, PAPER, RELEASE, CReFF
from arseg.fusions import FUSIONS, build_fusion
from arseg.options import VARIANTS, Options, options_of
from vssbench.errors import ShapeError
from vssbench.ops.resize import resize
from vssbench.ops.warp import warp

C, H, W = 4, 64, 96
SIZE = (H, W)
both_conventions = pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def made(options, *, convention=PAPER, seed=5):
    torch.manual_seed(seed)
    fusion = build_fusion(C, options=options, convention=convention).double()
    for name, parameter in fusion.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return fusion


def inputs(size=SIZE):
    key, features = random(2, C, *size, seed=1), random(2, C, size[0] // 2, size[1] // 2, seed=2)
    return key, features, 3 * random(2, *size, 2, seed=3)


def fused(options, *arguments, convention=PAPER):
    with torch.no_grad():
        return made(options, convention=convention)(*arguments)


@both_conventions
def test_window_7_grouped_with_all_there_is_is_creff(convention):
    torch.manual_seed(5)
    plain = CReFF(C, convention=convention).double()
    written_out = Options(fusion="local", window=7, warp=True, grouped=True, direct=True, location="final")
    same = made(written_out, convention=convention)
    same.load_state_dict(plain.state_dict())
    assert torch.equal(same(*inputs()), plain(*inputs()))


@pytest.mark.parametrize("fusion", FUSIONS)
@both_conventions
def test_every_fusion_gives_a_map_of_the_key_frames_size(fusion, convention):
    key, features, flow = inputs((45, 34))
    out = fused(Options(fusion=fusion), key, features, flow, convention=convention)
    assert out.shape == key.shape
    assert out.isfinite().all()


@both_conventions
def test_no_creff_is_the_upsampled_features_alone(convention):
    key, features, _ = inputs()
    out = fused(options_of("no-creff"), key, features, None, convention=convention)
    assert torch.equal(out, resize(features, SIZE, align_corners=convention.align_corners))


def test_warp_only_without_motion_is_the_key_features_bit_by_bit():
    key, _, flow = inputs()
    assert torch.equal(fused(options_of("warp-only"), key, None, torch.zeros_like(flow)), key)


@both_conventions
def test_warp_only_is_the_warp(convention):
    key, _, flow = inputs()
    expected = warp(key, flow, grid=convention.grid, padding=convention.padding)
    assert torch.equal(fused(options_of("warp-only"), key, None, flow, convention=convention), expected)


@pytest.mark.parametrize("fusion", ["local", "global", "global-release", "convolution"])
def test_without_warp_the_motion_does_not_matter(fusion):
    key, features, flow = inputs()
    options = Options(fusion=fusion, warp=False)
    still = fused(options, key, features, None)
    assert torch.equal(fused(options, key, features, flow), still)
    # ... and with one, no motion is the same as no warp
    assert torch.equal(fused(Options(fusion=fusion), key, features, torch.zeros_like(flow)), still)
    assert not torch.allclose(fused(Options(fusion=fusion), key, features, flow), still)


@pytest.mark.parametrize("variant", ["warp-only", "", "global", "convolution"])
def test_a_warp_without_motion_is_refused(variant):
    key, features, _ = inputs()
    with pytest.raises(ShapeError, match="needs the motion to the key frame"):
        fused(options_of(variant), key, features, None)


def unfolded(query, key, value, *, window, scale):
    """Attention to a window, all of it laid out; outside lie keys and values of 0, which stay in the softmax."""
    n, c, height, width = query.shape
    keys, values = (
        functional.unfold(x, window, padding=window // 2).view(n, c, window**2, height, width) for x in (key, value)
    )
    mass = (scale * (query.unsqueeze(2) * keys).sum(1)).softmax(1)
    return (values * mass.unsqueeze(1)).sum(2)


@both_conventions
@pytest.mark.parametrize("variant", ["", "window-3", "window-11", "ungrouped", "no-direct", "attention-only"])
def test_the_local_ones_are_attention_to_unfolded_windows(variant, convention):
    options, (key, features, flow) = options_of(variant), inputs((20, 26))
    fusion = made(options, convention=convention)
    assert fusion.query.groups == (1 if variant == "ungrouped" else C)
    with torch.no_grad():
        if options.warp:
            key = warp(key, flow, grid=convention.grid, padding=convention.padding)
        up = resize(features, key.shape[2:], align_corners=convention.align_corners)
        scale = C**-0.5 if convention is PAPER else 1.0
        parts = fusion.query(up), fusion.key(key), fusion.value(key)
        expected = unfolded(*parts, window=options.window, scale=scale)
        came = fusion(inputs((20, 26))[0], features, flow)
    torch.testing.assert_close(came, expected + up if options.direct else expected)


def shrunk(x, convention):
    return resize(x, (2, 3), align_corners=convention.align_corners)  # 64 x 96 at 1/32


def tokens(x):
    return x.flatten(2).permute(0, 2, 1)


def plain_attention():
    """nn.MultiheadAttention whose projections do nothing."""
    attention = torch.nn.MultiheadAttention(C, num_heads=1, batch_first=True).double()
    with torch.no_grad():
        attention.in_proj_weight.copy_(torch.eye(C).repeat(3, 1))
        attention.out_proj.weight.copy_(torch.eye(C))
    return attention


@pytest.mark.parametrize("direct", [True, False])
def test_global_attention_is_multihead_attention_without_projections(direct):
    fusion, (key, features, flow) = made(Options(fusion="global", direct=direct)), inputs()
    with torch.no_grad():
        warped, up = warp(key, flow), resize(features, SIZE)
        keys, values = (tokens(shrunk(x, PAPER)) for x in (fusion.key(warped), fusion.value(warped)))
        expected, mass = plain_attention()(tokens(fusion.query(up)), keys, values)
        came = tokens(fusion(key, features, flow) - (up if direct else 0))
    assert mass.shape == (2, H * W, 6)  # every pixel sees all of 2 x 3 keys
    torch.testing.assert_close(came, expected)


def test_global_attention_of_the_release_convention_does_not_scale():
    fusion, (key, features, flow) = made(Options(fusion="global"), convention=RELEASE), inputs()
    with torch.no_grad():
        warped = warp(key, flow, grid="arseg-release", padding="zeros")
        up = resize(features, SIZE, align_corners=True)
        keys, values = (tokens(shrunk(x, RELEASE)) for x in (fusion.key(warped), fusion.value(warped)))
        expected = (tokens(fusion.query(up)) @ keys.transpose(1, 2)).softmax(-1) @ values
        torch.testing.assert_close(tokens(fusion(key, features, flow) - up), expected)


@both_conventions
def test_global_attention_as_released_projects_and_makes_keys_of_values(convention):
    fusion, (key, features, flow) = made(Options(fusion="global-release"), convention=convention), inputs()
    with torch.no_grad():
        warped = warp(key, flow, grid=convention.grid, padding=convention.padding)
        up = resize(features, SIZE, align_corners=convention.align_corners)
        value = fusion.value(warped)
        keys, values = (tokens(shrunk(x, convention)) for x in (fusion.key(value), value))  # the slip
        oracle = torch.nn.MultiheadAttention(C, num_heads=1).double()  # sequence first, as in attention.py
        oracle.load_state_dict(fusion.attention.state_dict())
        expected, _ = oracle(tokens(fusion.query(up)).transpose(0, 1), keys.transpose(0, 1), values.transpose(0, 1))
        torch.testing.assert_close(tokens(fusion(key, features, flow) - up), expected.transpose(0, 1))
        right = oracle(
            *(
                x.transpose(0, 1)
                for x in (tokens(fusion.query(up)), tokens(shrunk(fusion.key(warped), convention)), values)
            )
        )[0]
    assert not torch.allclose(right, expected, rtol=0.01)


def test_a_map_smaller_than_32_has_one_key():
    key, features, flow = inputs((16, 40))
    options = Options(fusion="global", direct=False)
    fusion = made(options)
    with torch.no_grad():
        value = resize(fusion.value(warp(key, flow)), (1, 1))
        torch.testing.assert_close(fusion(key, features, flow), value.expand_as(key))


@both_conventions
def test_the_convolution_sees_both_maps_and_adds_nothing(convention):
    fusion, (key, features, flow) = made(options_of("convolution"), convention=convention), inputs()
    with torch.no_grad():
        warped = warp(key, flow, grid=convention.grid, padding=convention.padding)
        up = resize(features, SIZE, align_corners=convention.align_corners)
        weight = fusion.fusion.weight
        expected = functional.conv2d(up, weight[:, :C], fusion.fusion.bias, padding=1)
        expected = expected + functional.conv2d(warped, weight[:, C:], padding=1)
        torch.testing.assert_close(fusion(key, features, flow), expected)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [  # C = 4: depthwise 3 x (36 + 4); dense 3 x (144 + 4); 2C -> C 288 + 4; attention 4 x (16 + 4)
        ("", 120),
        ("window-11", 120),
        ("no-direct", 120),
        ("attention-only", 120),
        ("ungrouped", 444),
        ("global", 120),
        ("global-release", 200),
        ("convolution", 292),
        ("no-creff", 0),
        ("warp-only", 0),
    ],
)
def test_the_parameters_of_a_fusion(variant, expected):
    assert sum(p.numel() for p in made(options_of(variant)).parameters()) == expected


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_fusion_of_a_batch_is_that_of_its_samples(variant):
    options, arguments = options_of(variant), inputs((40, 36))
    whole = fused(options, *arguments)
    for n in range(2):
        torch.testing.assert_close(whole[n : n + 1], fused(options, *(x[n : n + 1] for x in arguments)))


@pytest.mark.gpu
@pytest.mark.parametrize("variant", ["", *VARIANTS])
def test_on_a_gpu_a_fusion_is_that_of_a_cpu(variant, cuda):
    fusion, arguments = made(options_of(variant)).float(), [x.float() for x in inputs((40, 36))]
    with torch.no_grad(), torch.backends.cudnn.flags(allow_tf32=False):
        expected = fusion(*arguments)
        came = fusion.to(cuda)(*(x.to(cuda) for x in arguments)).cpu()
    torch.testing.assert_close(came, expected, rtol=1e-3, atol=1e-4)

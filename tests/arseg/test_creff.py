"""CReFF against Eq. 1-4 of the paper, written out one pixel at a time."""

import math

import numpy as np
import pytest
import torch

from arseg.creff import CONVENTIONS, PAPER, RELEASE, CReFF
from arseg.options import Options
from vssbench.errors import ShapeError
from vssbench.ops.resize import resize

CHANNELS, HEIGHT, WIDTH = 4, 6, 7


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def random_creff(*, window=7, convention=PAPER, dtype=torch.float64, seed=5):
    torch.manual_seed(seed)
    creff = CReFF(CHANNELS, options=Options(window=window), convention=convention)
    for convolution in (creff.query, creff.key, creff.value):
        torch.nn.init.normal_(convolution.bias)
    return creff.to(dtype)


def inputs(dtype=torch.float64):
    flow = 3 * random(1, HEIGHT, WIDTH, 2, seed=3)
    flow[0, 0, 0] = 0
    key, features = random(1, CHANNELS, HEIGHT, WIDTH, seed=1), random(1, CHANNELS, 3, 4, seed=2)
    return key.to(dtype), features.to(dtype), flow.to(dtype)


def sample(plane, x, y, *, zeros):
    """Bilinear, at pixel centres; outside lies the closest border pixel, or zero."""
    height, width = plane.shape
    if not zeros:
        x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    left, top, total = math.floor(x), math.floor(y), 0.0
    for j, wy in ((top, top + 1 - y), (top + 1, y - top)):
        for i, wx in ((left, left + 1 - x), (left + 1, x - left)):
            if 0 <= i < width and 0 <= j < height:
                total += wx * wy * plane[j, i]
    return total


def slow_warp(planes, flow, *, release):
    """Eq. 1: what is now at (x, y) was at (x + dx, y + dy)."""
    warped = np.zeros_like(planes)
    for c in range(CHANNELS):
        for y in range(HEIGHT):
            for x in range(WIDTH):
                at_x, at_y = x + flow[y, x, 0], y + flow[y, x, 1]
                if release:  # normalised by W - 1, read as if by W
                    at_x = ((2 * at_x / (WIDTH - 1)) * WIDTH - 1) / 2
                    at_y = ((2 * at_y / (HEIGHT - 1)) * HEIGHT - 1) / 2
                warped[c, y, x] = sample(planes[c], at_x, at_y, zeros=release)
    return warped


def slow_upsample(planes, *, corners):
    height, width = planes.shape[1:]
    upsampled = np.zeros((CHANNELS, HEIGHT, WIDTH))
    for c in range(CHANNELS):
        for y in range(HEIGHT):
            for x in range(WIDTH):
                if corners:
                    at = x * (width - 1) / (WIDTH - 1), y * (height - 1) / (HEIGHT - 1)
                else:
                    at = (x + 0.5) * width / WIDTH - 0.5, (y + 0.5) * height / HEIGHT - 0.5
                upsampled[c, y, x] = sample(planes[c], *at, zeros=False)
    return upsampled


def slow_depthwise(planes, convolution):
    weight, bias = convolution.weight.detach().double().numpy()[:, 0], convolution.bias.detach().double().numpy()
    out = np.zeros_like(planes)
    for c in range(CHANNELS):
        for y in range(HEIGHT):
            for x in range(WIDTH):
                out[c, y, x] = bias[c] + sum(
                    weight[c, j + 1, i + 1] * planes[c, y + j, x + i]
                    for j in (-1, 0, 1)
                    for i in (-1, 0, 1)
                    if 0 <= y + j < HEIGHT and 0 <= x + i < WIDTH
                )
    return out


def slow_creff(creff, key_features, features, flow, *, release):
    """Eq. 1-4; positions outside the image have a key and a value of zero and stay in the softmax."""
    warped = slow_warp(key_features, flow, release=release)
    upsampled = slow_upsample(features, corners=release)
    query = slow_depthwise(upsampled, creff.query)
    key, value = slow_depthwise(warped, creff.key), slow_depthwise(warped, creff.value)
    scale, half = 1 if release else 1 / math.sqrt(CHANNELS), creff.options.window // 2
    out = upsampled.copy()
    for y in range(HEIGHT):
        for x in range(WIDTH):
            logits, values = [], []
            for j in range(y - half, y + half + 1):
                for i in range(x - half, x + half + 1):
                    inside = 0 <= j < HEIGHT and 0 <= i < WIDTH
                    logits.append(scale * query[:, y, x] @ key[:, j, i] if inside else 0.0)
                    values.append(value[:, j, i] if inside else np.zeros(CHANNELS))
            mass = np.exp(np.array(logits) - max(logits))
            out[:, y, x] += (mass / mass.sum()) @ np.array(values)  # Eq. 4: F_P = up(f_P) + A
    return out


@pytest.mark.parametrize("window", [1, 3, 7])
@pytest.mark.parametrize("convention", [PAPER, RELEASE], ids=lambda convention: convention.name)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_creff_is_the_papers_equations(window, convention, dtype, tolerance):
    creff = random_creff(window=window, convention=convention)
    arrays = [t[0].numpy() for t in inputs()]
    expected = slow_creff(creff, *arrays, release=convention is RELEASE)
    with torch.no_grad():
        came = creff.to(dtype)(*inputs(dtype))[0]
    np.testing.assert_allclose(came.numpy(), expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_the_two_conventions_differ():
    paper, release = (random_creff(convention=convention)(*inputs()) for convention in (PAPER, RELEASE))
    assert (paper - release).abs().max() > 0.01
    assert CONVENTIONS == {"paper": PAPER, "release": RELEASE}


@pytest.mark.parametrize("convention", [PAPER, RELEASE], ids=lambda convention: convention.name)
def test_without_values_the_features_are_only_upsampled(convention):
    creff = random_creff(convention=convention)
    torch.nn.init.zeros_(creff.value.weight)
    torch.nn.init.zeros_(creff.value.bias)
    key, features, flow = inputs()
    upsampled = resize(features, (HEIGHT, WIDTH), align_corners=convention.align_corners)
    assert torch.equal(creff(key, features, flow), upsampled)


def test_with_nothing_asked_attention_is_the_mean_over_the_window():
    creff = random_creff(window=3)
    torch.nn.init.zeros_(creff.query.weight)
    torch.nn.init.zeros_(creff.query.bias)
    key, features, _ = inputs()
    out = creff(key, features, torch.zeros(1, HEIGHT, WIDTH, 2, dtype=torch.float64))
    # zeros outside keep their ninth of the mass each, as average pooling that counts its padding
    mean = torch.nn.functional.avg_pool2d(creff.value(key), 3, stride=1, padding=1)
    torch.testing.assert_close(out - resize(features, (HEIGHT, WIDTH)), mean)


def passing_through(*, window=1):
    """A CReFF whose values are the warped features themselves; with a window of 1 it reads them where they are."""
    creff = random_creff(window=window)
    for convolution in (creff.query, creff.key, creff.value):
        torch.nn.init.zeros_(convolution.bias)
        torch.nn.init.dirac_(convolution.weight, groups=CHANNELS)
    return creff


def test_motion_points_back_to_the_key_frame():
    key = random(1, CHANNELS, HEIGHT, WIDTH)
    flow = torch.tensor([2.0, -1.0], dtype=torch.float64).expand(1, HEIGHT, WIDTH, 2)
    nothing = torch.zeros(1, CHANNELS, 3, 4, dtype=torch.float64)
    out = passing_through()(key, nothing, flow)
    # what is now at (x, y) was at (x + 2, y - 1)
    torch.testing.assert_close(out[..., 1:, :-2], key[..., :-1, 2:])


def test_attention_finds_features_that_the_motion_missed_by_a_few_pixels():
    # the key features are distinct one-hot marks, and the frame's features the same marks 2 px further right
    creff = passing_through(window=7)
    key = torch.zeros(1, CHANNELS, HEIGHT, WIDTH, dtype=torch.float64)
    key[0, 0, 3, 2], key[0, 1, 2, 3] = 40, 40
    features = key.roll(2, dims=-1)
    out = (creff(key, features, torch.zeros(1, HEIGHT, WIDTH, 2, dtype=torch.float64)) - features).detach()
    assert out[0, 0, 3, 4].item() == pytest.approx(40, rel=1e-6)
    assert out[0, 1, 2, 5].item() == pytest.approx(40, rel=1e-6)
    assert out[0, 1, 3, 4].item() == pytest.approx(0, abs=1e-6)


def test_a_batch_is_its_samples_one_by_one():
    creff = random_creff()
    key, features, flow = (torch.cat([t, t.flip(1)]) for t in inputs())
    both = creff(key, features, flow)
    for n in range(2):
        torch.testing.assert_close(both[n : n + 1], creff(key[n : n + 1], features[n : n + 1], flow[n : n + 1]))


@pytest.mark.parametrize("convention", [PAPER, RELEASE], ids=lambda convention: convention.name)
def test_gradients_are_those_of_finite_differences(convention):
    creff = random_creff(window=3, convention=convention)
    key, features, flow = inputs()
    features.requires_grad_()
    parameters = [features, *creff.parameters()]

    def run(features, *weights):
        names = [name for name, _ in creff.named_parameters()]
        return torch.func.functional_call(creff, dict(zip(names, weights, strict=True)), (key, features, flow))

    assert torch.autograd.gradcheck(run, parameters, fast_mode=True)


def test_it_has_three_depthwise_convolutions_with_bias_and_nothing_else():
    creff = CReFF(64)
    assert {name: tuple(p.shape) for name, p in creff.named_parameters()} == {
        f"{part}.{name}": shape
        for part in ("query", "key", "value")
        for name, shape in (("weight", (64, 1, 3, 3)), ("bias", (64,)))
    }
    assert all((convolution.bias == 0).all() for convolution in (creff.query, creff.key, creff.value))
    assert creff.options.window == 7
    # He initialisation, a = 1, fan 9: variance 1 / 9
    assert creff.query.weight.std().item() == pytest.approx(1 / 3, rel=0.1)


def test_motion_of_another_grid_is_refused():
    key, features, _ = inputs()
    with pytest.raises(ShapeError, match="flow must cover the grid"):
        random_creff()(key, features, torch.zeros(1, 3, 4, 2, dtype=torch.float64))

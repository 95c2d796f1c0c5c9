"""CReFF's local attention against the definition, its borders, its memory, and its place as one operator."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import vssbench.ops.local_attention as module
from vssbench.errors import ShapeError, UsageError
from vssbench.latency.memory import peak_memory
from vssbench.ops.local_attention import local_attention


def maps(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    query, key, value = (torch.randn(shape, generator=generator, dtype=dtype) for _ in range(3))
    return query, key, value


def slow_attention(query, key, value, *, window, scale, masked):
    """The sum of the definition, pixel by pixel and position by position."""
    out = torch.zeros_like(query)
    num, _, height, width = query.shape
    radius = window // 2
    for n, y, x in product(range(num), range(height), range(width)):
        logits, values = [], []
        for v, u in product(range(y - radius, y + radius + 1), range(x - radius, x + radius + 1)):
            if 0 <= v < height and 0 <= u < width:
                logits.append(scale * float(query[n, :, y, x] @ key[n, :, v, u]))
                values.append(value[n, :, v, u])
            elif not masked:
                logits.append(0.0)
                values.append(torch.zeros_like(value[n, :, 0, 0]))
        mass = [math.exp(logit) for logit in logits]
        out[n, :, y, x] = sum(m * v for m, v in zip(mass, values, strict=True)) / sum(mass)
    return out


def unfolded_attention(query, key, value, *, window, scale):
    """By unfold, whose zero padding is the released kernel's."""
    taps = (*query.shape[:2], window * window, *query.shape[2:])
    keys, values = (F.unfold(x, window, padding=window // 2).view(taps) for x in (key, value))
    mass = ((query.unsqueeze(2) * keys).sum(dim=1) * scale).softmax(dim=1)
    return (values * mass.unsqueeze(1)).sum(dim=2)


@pytest.fixture
def short_bands(monkeypatch):
    """One row of tiles in a band, so that a small map has several bands."""
    monkeypatch.setattr(module, "_BAND_BYTES", ((1, 1.0), (1, 1.0)))


@pytest.mark.parametrize("border", ["zero", "masked"])
@pytest.mark.parametrize(("shape", "window"), [((1, 3, 6, 9), 7), ((2, 2, 5, 4), 3), ((1, 2, 3, 2), 5)])
def test_is_the_sum_of_the_definition_borders_included(shape, window, border):
    query, key, value = maps(*shape)
    got = local_attention(query, key, value, window=window, scale=0.7, border=border)
    expected = slow_attention(query, key, value, window=window, scale=0.7, masked=border == "masked")
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


SIZES = [(1, 1), (2, 5), (4, 4), (8, 12), (13, 18), (33, 7), (3, 50)]


@pytest.mark.parametrize("window", [1, 3, 7, 9, 15])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_any_size_and_window_equals_unfolding(height, width, window):
    query, key, value = maps(2, 5, height, width)
    got = local_attention(query, key, value, window=window, scale=0.5)
    expected = unfolded_attention(query, key, value, window=window, scale=0.5)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("short_bands")
@pytest.mark.parametrize("window", [1, 3, 7, 15])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_bands_meet_without_a_seam(height, width, window):
    query, key, value = maps(2, 5, height, width)
    got = local_attention(query, key, value, window=window, scale=0.5)
    expected = unfolded_attention(query, key, value, window=window, scale=0.5)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("short_bands")
def test_masked_bands_meet_without_a_seam():
    query, key, value = maps(1, 2, 11, 10)
    got = local_attention(query, key, value, scale=0.5, border="masked")
    expected = slow_attention(query, key, value, window=7, scale=0.5, masked=True)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


def test_a_corner_with_equal_products_loses_33_of_49_of_its_mass():
    query, _, _ = maps(1, 4, 9, 9)
    key, value = torch.zeros_like(query), torch.ones_like(query)
    got = local_attention(query, key, value)
    # the corner sees 4x4 of its 7x7 positions (67 % is lost), the middle of an edge 4x7, the centre all
    torch.testing.assert_close(got[0, :, 0, 0], torch.full((4,), 16 / 49, dtype=query.dtype))
    torch.testing.assert_close(got[0, :, 0, 4], torch.full((4,), 28 / 49, dtype=query.dtype))
    torch.testing.assert_close(got[0, :, 4, 4], torch.ones(4, dtype=query.dtype))


def test_a_masked_border_keeps_all_mass():
    query, key, _ = maps(1, 4, 9, 10)
    got = local_attention(query, key, torch.ones_like(query), border="masked")
    torch.testing.assert_close(got, torch.ones_like(query))


def test_scale_defaults_to_one_over_the_root_of_the_channels():
    query, key, value = maps(1, 16, 8, 8)
    torch.testing.assert_close(
        local_attention(query, key, value), local_attention(query, key, value, scale=0.25), rtol=0, atol=0
    )


def test_float32_is_within_1e_5_of_float64():
    query, key, value = maps(1, 64, 45, 60, dtype=torch.float32)
    exact = unfolded_attention(query.double(), key.double(), value.double(), window=7, scale=1 / 8)
    assert (local_attention(query, key, value) - exact).abs().max() < 1e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_differ_by_the_rounding_of_the_result_only(dtype):
    query, key, value = maps(1, 8, 9, 13, dtype=torch.float32)
    query, key, value = (x.to(dtype) for x in (query, key, value))
    got = local_attention(query, key, value)
    assert got.dtype == dtype
    exact = local_attention(query.float(), key.float(), value.float())
    torch.testing.assert_close(got, exact.to(dtype), rtol=0, atol=0)


def test_large_products_do_not_overflow():
    query, key, value = maps(1, 4, 6, 6, dtype=torch.float32)
    got = local_attention(query * 1e4, key * 1e4, value, scale=1.0)
    assert got.isfinite().all()
    assert got.abs().max() <= value.abs().max() * (1 + 1e-6)


def test_inputs_need_not_be_contiguous():
    query, key, value = maps(2, 6, 10, 9)
    expected = local_attention(query, key, value)
    got = local_attention(
        query.contiguous(memory_format=torch.channels_last),
        key.transpose(2, 3).contiguous().transpose(2, 3),
        torch.cat([value, value], dim=3)[..., :9],
    )
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-14)
    assert got.is_contiguous()


@pytest.mark.usefixtures("short_bands")
@pytest.mark.parametrize("border", ["zero", "masked"])
@pytest.mark.parametrize(("shape", "window"), [((1, 2, 5, 6), 3), ((2, 1, 6, 3), 7)])
def test_gradients_are_those_of_finite_differences(shape, window, border):
    inputs = [x.requires_grad_() for x in maps(*shape)]
    assert torch.autograd.gradcheck(lambda *x: local_attention(*x, window=window, scale=0.6, border=border), inputs)


@pytest.mark.parametrize("window", [1, 5, 7, 9])
def test_gradients_equal_those_of_unfolding(window):
    inputs = [x.requires_grad_() for x in maps(2, 5, 13, 18)]
    weight = torch.randn(2, 5, 13, 18, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    got = torch.autograd.grad(local_attention(*inputs, window=window, scale=0.5), inputs, weight)
    expected = torch.autograd.grad(unfolded_attention(*inputs, window=window, scale=0.5), inputs, weight)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_a_gradient_is_the_same_in_every_run():
    inputs = [x.requires_grad_() for x in maps(1, 8, 30, 30, dtype=torch.float32)]
    first, second = (torch.autograd.grad(local_attention(*inputs).square().sum(), inputs) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("border", ["zero", "masked"])
def test_extra_memory_stays_under_twice_a_feature_map(border):
    query, key, value = maps(1, 64, 160, 200, dtype=torch.float32)
    peak = peak_memory(lambda: local_attention(query, key, value, border=border), device="cpu")
    # the result itself is one map; unfolding would add 98
    assert 1.0 <= peak.added_bytes / (query.numel() * 4) < 2.0


def test_extra_memory_of_the_gradient_is_three_results_two_sums_and_a_band():
    inputs = [x.requires_grad_() for x in maps(1, 64, 160, 200, dtype=torch.float32)]
    out = local_attention(*inputs)
    grad = torch.ones_like(out)
    peak = peak_memory(lambda: torch.autograd.grad(out, inputs, grad, retain_graph=True), device="cpu")
    # three gradients of one map each, and two padded sums
    assert 3.0 <= peak.added_bytes / (grad.numel() * 4) < 6.5


class SeenOperators(TorchDispatchMode):
    """Writes down the name of every operator that is dispatched."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        self.names.append(str(operator))
        return operator(*args, **(kwargs or {}))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_dispatch_mode_sees_one_operator(device):
    query, key, value = (x.to(device) for x in maps(1, 4, 9, 9))
    with SeenOperators() as seen:
        out = local_attention(query, key, value)
    assert seen.names == ["vssbench.local_attention.default"]
    assert out.shape == query.shape


def test_runs_on_the_meta_device_forward_and_backward():
    inputs = [torch.empty(2, 64, 720, 960, device="meta", requires_grad=True) for _ in range(3)]
    out = local_attention(*inputs)
    assert out.shape == (2, 64, 720, 960)
    grads = torch.autograd.grad(out, inputs, torch.empty_like(out))
    assert [grad.shape for grad in grads] == [out.shape] * 3


def test_the_operator_keeps_the_promises_of_a_torch_operator():
    inputs = [x.requires_grad_() for x in maps(1, 2, 5, 6)]
    torch.library.opcheck(torch.ops.vssbench.local_attention.default, (*inputs, 3, 0.5, False))


@pytest.mark.parametrize("window", [0, -1, 2, 8])
def test_an_even_window_is_refused(window):
    with pytest.raises(ShapeError, match="odd"):
        local_attention(*maps(1, 2, 4, 4), window=window)


def test_maps_that_differ_are_refused():
    query, key, value = maps(1, 2, 4, 4)
    with pytest.raises(ShapeError, match="query and key must be alike"):
        local_attention(query, key[..., :3], value)
    with pytest.raises(ShapeError, match="query and value must be alike"):
        local_attention(query, key, value.float())
    with pytest.raises(ShapeError, match="floating point"):
        local_attention(query[0], key[0], value[0])
    with pytest.raises(ShapeError, match="floating point"):
        local_attention(query.long(), key.long(), value.long())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_changes_nothing(dtype):
    """The sums are kept in float32 whatever the type of the maps, so bfloat16 autocast has nothing to cast."""
    inputs = maps(1, 4, 9, 11, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = local_attention(*inputs)
    assert under.dtype == dtype
    torch.testing.assert_close(under, local_attention(*inputs), rtol=0, atol=0)


def test_an_unknown_border_is_refused():
    with pytest.raises(UsageError, match="zero or masked"):
        local_attention(*maps(1, 2, 4, 4), border="reflect")


@pytest.mark.gpu
@pytest.mark.parametrize("border", ["zero", "masked"])
@pytest.mark.parametrize("size", [(90, 120), (33, 50), (1, 1)])
def test_cuda_gives_what_the_cpu_gives(cuda, size, border):
    inputs = [x.requires_grad_() for x in maps(2, 32, *size, dtype=torch.float32)]
    on_cuda = [x.detach().to(cuda).requires_grad_() for x in inputs]
    out, out_cuda = (local_attention(*x, border=border) for x in (inputs, on_cuda))
    torch.testing.assert_close(out_cuda.cpu(), out, rtol=0, atol=1e-5)
    grads = torch.autograd.grad(out.sum(), inputs)
    grads_cuda = torch.autograd.grad(out_cuda.sum(), on_cuda)
    for one, other in zip(grads, grads_cuda, strict=True):
        torch.testing.assert_close(other.cpu(), one, rtol=1e-4, atol=1e-4)

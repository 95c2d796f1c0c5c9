"""The shortcuts on the meta device give what torch gives, and leave to torch what they do not know."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vssbench.complexity.macs import count_macs
from vssbench.complexity.meta_shapes import SHORTCUTS, OutputsByShape, output_by_shape


def t(*shape, **options):
    return torch.zeros(*shape, **options)


CALLS = {
    "linear": lambda d: F.linear(t(2, 3, 4, device=d), t(5, 4, device=d), t(5, device=d)),
    "linear without bias": lambda d: F.linear(t(4, device=d), t(5, 4, device=d)),
    "linear in half": lambda d: F.linear(*(t(3, 4, device=d, dtype=torch.bfloat16),) * 2),
    "layer norm": lambda d: F.layer_norm(t(2, 3, 4, device=d), (3, 4), t(3, 4, device=d), t(3, 4, device=d)),
    "layer norm without weights": lambda d: F.layer_norm(t(2, 3, device=d), (3,)),
    "attention": lambda d: F.scaled_dot_product_attention(
        t(2, 2, 5, 8, device=d), t(2, 2, 7, 8, device=d), t(2, 2, 7, 6, device=d)
    ),
    "attention scaled": lambda d: F.scaled_dot_product_attention(*(t(1, 5, 8, device=d),) * 3, scale=2.0),
    "attention causal": lambda d: F.scaled_dot_product_attention(*(t(1, 5, 8, device=d),) * 3, is_causal=True),
    "attention masked": lambda d: F.scaled_dot_product_attention(*(t(1, 5, 8, device=d),) * 3, t(5, 5, device=d)),
    "attention with shared heads": lambda d: F.scaled_dot_product_attention(
        t(2, 4, 5, 8, device=d), t(2, 2, 7, 8, device=d), t(2, 2, 7, 8, device=d), enable_gqa=True
    ),
    "gelu": lambda d: F.gelu(t(2, 3, device=d)),
    "gelu by tanh": lambda d: F.gelu(t(2, 3, device=d), approximate="tanh"),
    "batch norm": lambda d: nn.BatchNorm2d(3).to(d).eval()(t(2, 3, 4, 5, device=d)),
    "batch norm in training": lambda d: nn.BatchNorm2d(3).to(d).train()(t(2, 3, 4, 5, device=d)),
    "bilinear to a size": lambda d: F.interpolate(t(2, 3, 4, 5, device=d), (7, 9), mode="bilinear"),
    "bilinear by a factor": lambda d: F.interpolate(t(2, 3, 4, 5, device=d), scale_factor=2.5, mode="bilinear"),
}


@pytest.mark.parametrize("name", CALLS)
def test_shape_type_and_count_are_those_of_the_cpu(name):
    outputs = {}

    def run(device):
        outputs[device] = CALLS[name](device)

    counts = {device: count_macs(lambda device=device: run(device)) for device in ("cpu", "meta")}
    assert outputs["meta"].shape == outputs["cpu"].shape
    assert outputs["meta"].dtype == outputs["cpu"].dtype
    assert outputs["meta"].device.type == "meta"
    assert counts["meta"] == counts["cpu"]


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.linear(t(2, 3, device="meta"), t(5, 4, device="meta")),
        lambda: F.linear(t(2, 4, device="meta"), t(5, 4, device="meta"), t(6, device="meta")),
        lambda: F.layer_norm(t(2, 3, device="meta"), (4,)),
        lambda: F.scaled_dot_product_attention(
            t(1, 5, 8, device="meta"), t(1, 5, 8, device="meta"), t(1, 6, 8, device="meta")
        ),
        lambda: F.batch_norm(t(2, 3, 4, 4, device="meta"), t(4, device="meta"), t(4, device="meta")),
    ],
)
def test_shapes_that_do_not_fit_are_refused_as_ever(call):
    with pytest.raises(RuntimeError):
        count_macs(call)


def test_a_tensor_with_values_is_never_replaced():
    x = torch.arange(3.0)
    assert output_by_shape("aten::gelu", (x,), {}) is None
    kept = []
    count_macs(lambda: kept.append(F.linear(x, torch.eye(3))))
    assert torch.equal(kept[0], x)


@pytest.mark.parametrize("name", CALLS)
def test_whatever_runs_inside_gets_the_same_shapes(name):
    with torch.inference_mode():
        expected = CALLS[name]("meta")
        with OutputsByShape():
            output = CALLS[name]("meta")
    assert (output.shape, output.dtype, output.device) == (expected.shape, expected.dtype, expected.device)


def test_whatever_has_values_keeps_them_inside():
    with torch.inference_mode(), OutputsByShape():
        assert torch.equal(F.linear(torch.arange(3.0), torch.eye(3)), torch.arange(3.0))


def test_every_shortcut_is_one_of_the_calls_tried_here():
    assert len(SHORTCUTS) == 6
    assert output_by_shape("aten::relu", (t(2, device="meta"),), {}) is None

import shutil

import numpy as np
import pytest
import torch
from fake_machine import frames
from torch import nn

from vssbench.errors import UsageError
from vssbench.latency.backends import BACKENDS, LIMITS, in_backend, require_backend
from vssbench.latency.outputs import compare_outputs
from vssbench.records import Method, Step


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, images):
        return self.convolution(images).relu()


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.block, self.final = Block(), nn.Conv2d(8, 4, 1)

    def forward(self, images):
        return self.final(self.block(images))


class Segments(Method):
    """Labels the frame's number in noise; `seen` holds the type and layout of the last logits."""

    lookahead_frames = 2
    condition = {"scale": 1.0}  # noqa: RUF012 - as the protocol has it

    def __init__(self, device="cpu", whole=True):
        self.network, self.device, self.whole = Network().to(device).eval(), device, whole

    @torch.inference_mode()
    def step(self, frame):
        generator = torch.Generator().manual_seed(frame.index)
        images = torch.rand(1, 3, 16, 24, generator=generator).to(self.device)
        logits = self.network(images) if self.whole else self.network.final(self.network.block(images))
        self.seen = logits
        return Step(labels=logits.float().argmax(1)[0].to(torch.uint8).cpu().numpy(), kind="frame")

    def modules(self):
        return (self.network,)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    return request.getfixturevalue("cuda") if request.param == "cuda" else request.param


@pytest.mark.parametrize("backend", ["eager", "channels_last", "bf16"])
def test_a_backend_gives_the_labels_of_the_plain_network(backend, device):
    method = in_backend(Segments(device), backend, device=device)
    # noise has many ties: what 1 % of a picture allows is 5 % of it
    check = compare_outputs(method, Segments(device), frames("IPP"), limit=5 * LIMITS[backend])
    assert check.passed, check.share


def test_channels_last_reaches_the_activations(device):
    plain, last = Segments(device), Segments(device)
    in_backend(last, "channels_last", device=device)
    for method in (plain, last):
        method.step(frames("I")[0])
    assert not plain.seen.is_contiguous(memory_format=torch.channels_last)
    assert last.seen.is_contiguous(memory_format=torch.channels_last)


def test_bf16_computes_in_bfloat16_and_keeps_float32_weights(device):
    inner = Segments(device)
    method = in_backend(inner, "bf16", device=device)
    method.step(frames("I")[0])
    assert inner.seen.dtype == torch.bfloat16
    assert {p.dtype for p in inner.network.parameters()} == {torch.float32}


def test_the_method_around_bf16_says_what_the_method_says():
    inner = Segments()
    method = in_backend(inner, "bf16", device="cpu")
    assert (method.needs, method.condition, method.lookahead_frames) == (inner.needs, inner.condition, 2)
    assert method.modules() == inner.modules()


def test_eager_is_the_method_itself():
    method = Segments()
    assert in_backend(method, "eager", device="cpu") is method


@pytest.mark.slow
@pytest.mark.parametrize("whole", [True, False])
def test_compiled_networks_run_compiled_whole_and_in_parts(whole):
    """A method may call the network, or parts of it; either way torch's compiler sees the convolution."""
    if not shutil.which("g++") and not shutil.which("clang++"):
        pytest.skip("torch.compile needs a C++ compiler")
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    method = in_backend(Segments(whole=whole), "compiled", device="cpu")
    check = compare_outputs(method, Segments(), frames("IP"), limit=LIMITS["compiled"])
    assert check.passed, check.share
    assert counters["stats"]["unique_graphs"] == 1, "of the second frame nothing is compiled again"


def test_compiling_for_a_cpu_needs_a_compiler(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UsageError, match=r"no C\+\+ compiler was found; install g\+\+ or"):
        require_backend("compiled", "cpu")
    require_backend("eager", "cpu")


def test_a_named_compiler_is_the_one_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UsageError, match="CXX"):
        require_backend("compiled", "cpu")


def test_an_unknown_backend_is_refused_by_name():
    with pytest.raises(UsageError, match="'onnx'; there are eager, channels_last, compiled, bf16"):
        require_backend("onnx", "cpu")


def test_every_backend_has_a_limit_and_the_plain_one_allows_nothing():
    assert set(LIMITS) == set(BACKENDS)
    assert LIMITS["eager"] == 0
    assert np.all(np.array(list(LIMITS.values())) < 0.05)

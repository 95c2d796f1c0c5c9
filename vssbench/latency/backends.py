"""The forms in which a method's networks can run: plain, channels last, compiled, bfloat16."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import Any, get_args

import torch
from torch import nn

from vssbench.errors import UsageError
from vssbench.records import Backend, CompressedFrame, Method, Step

BACKENDS: tuple[Backend, ...] = get_args(Backend)
DTYPES: dict[Backend, str] = {"bf16": "bfloat16 (autocast)"}  # the others compute in float32

# Share of pixels whose label may differ from the plain network's. Another order of the same sums moves a float32 logit
# by 1e-6 of itself, which shows where two classes are that close (no pixel of 2.8 million here). bfloat16 has 8 bits,
# and methods that warp carry its differences along a GOP (0.10 to 0.14 % on the shipped networks).
LIMITS: dict[Backend, float] = {"eager": 0.0, "channels_last": 0.001, "compiled": 0.001, "bf16": 0.01}
_MOST_GRAPHS = 1024  # of one function: every network and every size has its own


class InBackend(Method):
    """A method whose steps run under bfloat16 autocast; everything else is the method's own."""

    def __init__(self, method: Method, *, device: torch.device) -> None:
        self._method = method
        self._device = device
        self.needs = method.needs
        self.condition = method.condition
        self.lookahead_frames = method.lookahead_frames

    def reset(self) -> None:
        """Reset the method."""
        self._method.reset()

    def step(self, frame: CompressedFrame) -> Step:
        """Let the method label a frame."""
        with torch.autocast(self._device.type, dtype=torch.bfloat16):
            return self._method.step(frame)

    def modules(self) -> Any:
        """The method's own."""
        return self._method.modules()


def require_backend(backend: Backend, device: torch.device | str) -> None:
    """Refuse a backend that this machine cannot run, before anything is measured.

    Raises:
        UsageError: it is unknown, or needs a compiler that is missing, or a GPU without bfloat16.
    """
    device = torch.device(device)
    if backend not in BACKENDS:
        raise UsageError(f"no backend is called {backend!r}; there are {', '.join(BACKENDS)}")
    if backend == "compiled" and device.type == "cpu" and not _cpp_compiler():
        raise UsageError(
            "--backend compiled: torch.compile writes C++ for a CPU, and no C++ compiler was found; install g++ or "
            "clang++, or name one in CXX"
        )
    if backend == "compiled" and device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise UsageError(
            "--backend compiled: torch.compile writes Triton for a GPU, and triton is not installed; pip install triton"
        )
    if backend == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise UsageError("--backend bf16: this GPU does not compute in bfloat16; use --backend eager")


def _cpp_compiler() -> str | None:
    named = os.environ.get("CXX")
    return next((found for name in ([named] if named else ["g++", "clang++"]) if (found := shutil.which(name))), None)


def in_backend(method: Method, backend: Backend, *, device: torch.device | str) -> Method:
    """A method in the form asked for; its networks are changed in place.

    Args:
        method: as it was built, on `device`.
        backend: "eager" leaves it alone; "channels_last" stores weights, and with them activations, channels last;
            "compiled" compiles every module of a class that is not torch's own, at its first call and again for
            inputs of other sizes; "bf16" runs the steps under autocast.
        device: of the method.

    Raises:
        UsageError: as `require_backend`.
    """
    require_backend(backend, device)
    if backend == "bf16":
        return InBackend(method, device=torch.device(device))
    networks = [module for module in method.modules() if isinstance(module, nn.Module)]
    for network in networks:
        if backend == "channels_last":
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        elif backend == "compiled":
            _compile(network)
    return method


def _compile(network: nn.Module) -> None:
    """Compile what may be called: methods call parts of a network too; a compiled part inside another is inlined."""
    import torch._dynamo.config as dynamo  # a second of imports, for this backend alone

    # past its limit torch goes back to plain execution without a word, and the time would be that of another backend
    dynamo.recompile_limit = dynamo.accumulated_recompile_limit = _MOST_GRAPHS
    dynamo.fail_on_recompile_limit_hit = True
    for module in network.modules():
        if not type(module).__module__.startswith("torch."):
            module.compile()

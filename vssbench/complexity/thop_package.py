"""The number of the installed package thop, for one image or for whatever a step runs.

Its rules (0.1.1.post2209072238): convolutions without bias, batch and layer norms 4 an element where they have weights,
PReLU 1 an element, adaptive average pooling, nn.Upsample (nearest 1, bilinear 11 an element); whatever is no module
(attention, interpolation, warps, F.conv2d) counts 0, transposed convolutions stride^2 times too much, and a module of n
names n^2 times.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn

from vssbench.errors import UsageError

Run = Callable[[Any, Tensor], object]  # (the module, images) -> whatever; what is executed is what counts


def forward(module: Any, images: Tensor) -> object:
    """What runs unless something else is given: the module itself."""
    return module(images)


def thop_macs(module: nn.Module, image_size: tuple[int, int], *, run: Run = forward) -> int:
    """The number that the installed thop gives for one image: `thop.profile`, on a copy without values.

    Args:
        module: on any device; it is copied, and keeps neither hooks nor buffers of thop's.
        image_size: (height, width) of the one image.
        run: (module, images) -> what to execute; `module(images)` by default.
    """
    twin, images = without_values(module), torch.empty(1, 3, *image_size, device="meta")
    return thop_step_macs([twin], lambda: run(twin, images))


def thop_step_macs(modules: Sequence[nn.Module], step: Callable[[], object]) -> int:
    """The number that the installed thop gives for whatever runs: its hooks are on the modules meanwhile.

    Args:
        modules: that thop is to look at, e.g. `method.modules()`; in evaluation mode while it runs, and afterwards as
            they were before. One that is a part of another of them is not looked at twice.
        step: what to run, once; it runs where its tensors are, on the meta device without values.

    Raises: UsageError, when there is no module to look at.
    """
    if not modules:
        raise UsageError("thop looks at modules, and there is none")
    inside = {part for module in modules for part in module.modules() if part is not module}

    class Profiled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList(module for module in modules if module not in inside)

        def forward(self) -> object:
            return step()

    with _left_as_they_were(modules), redirect_stdout(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of its own old interfaces, some when it is imported
        import thop

        macs, _ = thop.profile(Profiled(), inputs=(), verbose=False)
    return int(macs)


@contextmanager
def _left_as_they_were(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Undo what thop leaves behind: buffers, the mode, the hooks of a module of two names, and all if it fails."""
    parts = {part for module in modules for part in module.modules()}
    before = [(part, part.training, set(part._buffers), set(part._forward_hooks)) for part in parts]
    try:
        yield
    finally:
        for part, training, buffers, hooks in before:
            part.training = training
            for name in part._buffers.keys() - buffers:
                del part._buffers[name]
            for hook in part._forward_hooks.keys() - hooks:
                del part._forward_hooks[hook]


def without_values(module: nn.Module) -> nn.Module:
    """A copy on the meta device, in evaluation mode; shared modules and parameters stay shared."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
    for buffer in module.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(module, memo).eval()

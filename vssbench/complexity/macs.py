"""Executed multiply-adds of any callable, by kind of operator.

The callable is run once and every operator it executes is counted as it passes torch's dispatcher, so a layer
that is registered under two names counts once, a layer called twice counts twice, and a function counts like
a module. On the "meta" device nothing is computed, so a full-size network takes milliseconds; the count is
the same on every device.

What stays unseen: work outside torch (numpy), and kernels that do not come through its dispatcher; wrap these
with `torch.library.custom_op` and give them a formula. Count the eager module, not a compiled one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vssbench.complexity.formulas import FORMULAS, KINDS, Call, Kind
from vssbench.complexity.meta_shapes import output_by_shape
from vssbench.complexity.zero_cost import ZERO_COST

NETWORK_KINDS: tuple[Kind, ...] = ("convolution", "linear", "attention")  # what numbers in print hold


def _no_macs() -> dict[Kind, int]:
    return dict.fromkeys(KINDS, 0)


@dataclass(frozen=True, kw_only=True)
class MacCount:
    """Multiply-adds by kind of operator; counts add up.

    Args:
        by_kind: kind -> MACs; every kind of `formulas.KINDS` is there.
        uncounted: operator -> elements it put out or wrote to, for the operators that no table knows; empty is what one
            wants.
        zero_cost: operator -> elements it put out, for those that count 0 by convention (element-wise,
            pooling, norms, copies). Not compared: devices differ in which of these they use.
    """

    by_kind: Mapping[Kind, int] = field(default_factory=_no_macs)
    uncounted: Mapping[str, int] = field(default_factory=dict)
    zero_cost: Mapping[str, int] = field(default_factory=dict, compare=False)

    @property
    def network(self) -> int:
        """MACs of convolutions, products of matrices and attention: the convention of print and of tables."""
        return sum(self.by_kind[kind] for kind in NETWORK_KINDS)

    @property
    def total(self) -> int:
        """MACs of every kind, warps and resizes included."""
        return sum(self.by_kind.values())

    def __add__(self, other: MacCount) -> MacCount:
        return MacCount(
            by_kind={kind: self.by_kind[kind] + other.by_kind[kind] for kind in KINDS},
            uncounted=_merged(self.uncounted, other.uncounted),
            zero_cost=_merged(self.zero_cost, other.zero_cost),
        )


def _merged(one: Mapping[str, int], two: Mapping[str, int]) -> dict[str, int]:
    merged = Counter(one)
    merged.update(two)  # unlike +, keeps an operator that put out no elements
    return dict(merged)


def count_macs(run: Callable[[], object]) -> MacCount:
    """Run a callable once, in inference mode, and count the multiply-adds it executes.

    Args:
        run: any callable without arguments, e.g. `lambda: network(images)`; on whichever device its tensors
            are. Tensors that it keeps are torch's inference tensors: reset a method afterwards before
            training on.

    Returns:
        The count; operators without a formula are in `uncounted`, never silently 0.
    """
    tally = _Tally()
    # Under inference_mode composite operators (attention, convolutions by name) arrive whole on every device;
    # with or without gradients a device first splits them into what suits it, and the kind would depend on
    # the device.
    with torch.inference_mode(), _written_out_transformers(), _Operators(tally):
        run()
    return MacCount(by_kind=tally.by_kind, uncounted=dict(tally.uncounted), zero_cost=dict(tally.zero_cost))


class _Tally:
    """The counts so far."""

    def __init__(self) -> None:
        self.by_kind = _no_macs()
        self.uncounted: Counter[str] = Counter()
        self.zero_cost: Counter[str] = Counter()


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts every operator that passes torch's dispatcher."""

    supports_higher_order_operators = True  # reported as uncounted, rather than refused

    def __init__(self, tally: _Tally) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tally = tally

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operator and count it, or split it into those it is made of."""
        named = kwargs or {}
        name = _operator_name(func)
        if name not in FORMULAS and not _is_zero_cost(func, name) and hasattr(func, "decompose"):
            with self:  # what it is made of comes back here
                parts = func.decompose(*args, **named)
            if parts is not NotImplemented:
                return parts
        output = output_by_shape(name, tuple(args), named)
        if output is None:
            output = func(*args, **named)  # the mode is off in here: an operator counts as a whole
        self._count(func, name, args, named, output)
        return output

    def _count(self, func: Any, name: str, args: Sequence[Any], named: Mapping[str, Any], output: Any) -> None:
        if name in FORMULAS:
            call = Call(arguments=_bind(func, args, named), output=output)
            for kind, formula in FORMULAS[name]:
                self.tally.by_kind[kind] += formula(call)
        elif not _is_zero_cost(func, name):
            # an operator that only writes into its arguments puts out nothing
            self.tally.uncounted[name] += _elements(output) or _elements([*args, *named.values()])
        elif not getattr(func, "is_view", False):
            self.tally.zero_cost[name] += _elements(output)


@contextmanager
def _written_out_transformers() -> Iterator[None]:
    """Keep nn.MultiheadAttention and nn.TransformerEncoder off the fused path that only some devices have."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _operator_name(func: Any) -> str:
    """The name without the overload, e.g. "aten::convolution"."""
    schema = getattr(func, "_schema", None)
    return str(func) if schema is None else str(schema.name)


_ZERO_COST_TAGS = {
    tag for tag in (getattr(torch.Tag, name, None) for name in ("pointwise", "reduction")) if tag is not None
}


def _is_zero_cost(func: Any, name: str) -> bool:
    """Whether the operator sums no products: element-wise, a view, a reduction, or listed."""
    if name in ZERO_COST or name.removesuffix("_") in ZERO_COST or name.startswith("prim::"):
        return True
    if not name.startswith("aten::"):
        return False  # the tags of a custom operator are its author's word
    return bool(getattr(func, "is_view", False)) or not _ZERO_COST_TAGS.isdisjoint(func.tags)


def _bind(func: Any, args: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by their names in the operator's schema, defaults included."""
    bound: dict[str, Any] = {}
    for position, argument in enumerate(func._schema.arguments):
        if position < len(args):
            bound[argument.name] = args[position]
        elif argument.name in named:
            bound[argument.name] = named[argument.name]
        elif argument.has_default_value():
            bound[argument.name] = argument.default_value
    return bound


def _elements(output: Any) -> int:
    """Elements of all tensors that an operator put out."""
    if isinstance(output, Tensor):
        return int(output.numel())
    if isinstance(output, list | tuple):
        return sum(_elements(item) for item in output)
    return 0

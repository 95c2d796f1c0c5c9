"""The outputs of a few operators on the meta device, by their shapes alone.

Torch works these out in Python, 0.3 to 10 ms a call, which is most of the time of counting a network. What does not
fit the plain case is left to torch, which also says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Shortcut = Callable[..., Tensor | None]


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    if x.ndim == 0 or weight.ndim != 2 or x.shape[-1] != weight.shape[1] or x.dtype != weight.dtype:
        return None
    if bias is not None and (bias.shape != weight.shape[:1] or bias.dtype != x.dtype):
        return None
    return x.new_empty((*x.shape[:-1], weight.shape[0]))


def _layer_norm(x: Tensor, shape: list[int], weight: Any = None, bias: Any = None, *_: Any) -> Tensor | None:
    fits = tuple(x.shape[x.ndim - len(shape) :]) == tuple(shape) and x.is_floating_point()
    if not fits or any(each is not None and tuple(each.shape) != tuple(shape) for each in (weight, bias)):
        return None
    return x.new_empty(x.shape)


def _attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Any = None, dropout: float = 0.0, causal: bool = False, **_: Any
) -> Tensor | None:
    if mask is not None or dropout or causal or query.dtype != key.dtype or key.dtype != value.dtype:
        return None
    fits = query.shape[:-2] == key.shape[:-2] == value.shape[:-2] and key.shape[-2] == value.shape[-2]
    if not fits or query.shape[-1] != key.shape[-1]:
        return None
    return query.new_empty((*query.shape[:-1], value.shape[-1]))


def _gelu(x: Tensor, **_: Any) -> Tensor | None:
    return x.new_empty(x.shape) if x.is_floating_point() else None


def _batch_norm(x: Tensor, weight: Any, bias: Any, mean: Any, variance: Any, training: bool, *_: Any) -> Tensor | None:
    statistics = [each for each in (weight, bias, mean, variance) if each is not None]
    if training or x.ndim < 2 or any(tuple(each.shape) != (x.shape[1],) for each in statistics):
        return None
    return x.new_empty(x.shape) if x.is_floating_point() else None


def _bilinear(x: Tensor, size: Any, _align_corners: bool, factors: Any = None) -> Tensor | None:
    if x.ndim != 4 or size is None or len(size) != 2 or min(size) < 1 or x.shape[1:].numel() == 0:
        return None
    return x.new_empty((*x.shape[:2], *size)) if factors is None else None


SHORTCUTS: Mapping[str, Shortcut] = {
    "aten::linear": _linear,
    "aten::layer_norm": _layer_norm,
    "aten::scaled_dot_product_attention": _attention,
    "aten::batch_norm": _batch_norm,
    "aten::gelu": _gelu,
    "aten::upsample_bilinear2d": _bilinear,
}


def output_by_shape(name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Tensor | None:
    """What the operator puts out for tensors on the meta device; None where torch must be asked.

    Args:
        name: of the operator, "aten::linear".
        args, named: its arguments; the first is a tensor.
    """
    if name not in SHORTCUTS or not args:
        return None
    if any(isinstance(x, Tensor) and x.device.type != "meta" for x in args):
        return None
    try:
        return SHORTCUTS[name](*args, **named)
    except TypeError:  # arguments that the plain case does not have
        return None


class OutputsByShape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Whatever runs inside takes the outputs of these operators from here; enter it in `torch.inference_mode()`.

    Elsewhere torch splits an operator into others before it can be seen.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operator, by its shapes where that will do."""
        named = kwargs or {}
        output = output_by_shape(str(func._schema.name), tuple(args), named)
        return func(*args, **named) if output is None else output

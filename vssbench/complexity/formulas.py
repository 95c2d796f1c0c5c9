"""How many multiply-adds (MACs) an operator executes: one formula for each.

One multiply-add is 1 MAC; "FLOP" (2 x MAC) is a column of reports, never a variable. Only products that are
summed count: the convention of print (thop, fvcore, ptflops), so biases, norms, activations, softmax, pooling
and element-wise arithmetic are 0, and are known to be 0. Those operators are listed in `zero_cost`; one that
is in neither table is reported as uncounted.

Element-wise arithmetic being 0 has a trap: a correlation written `(q * k).sum()` is 78 % of CReFF and counts
0, the same sums as `torch.einsum` count in full. So write it as a product of matrices or as an operator with
a formula; `MacCount.zero_cost` shows how many elements went through each operator that counts 0.

The kinds: "convolution", "linear" (products of matrices), "attention" (scaled dot product and local), "warp",
"resize", "other". A number in print holds the first three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, get_args

from torch import Tensor

Kind = Literal["convolution", "linear", "attention", "warp", "resize", "other"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """One execution of an operator.

    Args:
        arguments: name in the operator's schema -> value, defaults filled in.
        output: what it returned.
    """

    arguments: Mapping[str, Any]
    output: Any

    def shape(self, *names: str) -> tuple[int, ...]:
        """The shape of the argument of one of these names, which differ within a family of operators."""
        name = next(name for name in names if name in self.arguments)
        return tuple(self.arguments[name].shape)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the (first) output tensor."""
        return tuple((self.output if isinstance(self.output, Tensor) else self.output[0]).shape)

    @property
    def output_elements(self) -> int:
        """Elements of the (first) output tensor."""
        return prod(self.output_shape)


Formula = Callable[[Call], int]


def convolution(call: Call) -> int:
    """MACs of a convolution: output elements x (C_in / groups) x kernel area; the bias is not counted.

    The weight is (C_out, C_in / groups, *kernel), so groups, dilation, stride and padding need no term. A
    transposed convolution scatters each input element through the weight (C_in, C_out / groups, *kernel):
    input elements x (C_out / groups) x kernel area. Taps that fall on the padding count, as they do in print.
    """
    per_element = prod(call.shape("weight")[1:])
    if call.arguments.get("transposed", False):
        return prod(call.shape("input", "self")) * per_element
    return call.output_elements * per_element


def transposed_convolution(call: Call) -> int:
    """MACs of a transposed convolution: input elements x (C_out / groups) x kernel area."""
    return prod(call.shape("input", "self", "X")) * prod(call.shape("weight", "W")[1:])


def pointwise_convolution(call: Call) -> int:
    """MACs of oneDNN's convolution with a fused activation, whose arguments are X and W."""
    return call.output_elements * prod(call.shape("W")[1:])


def linear(call: Call) -> int:
    """MACs of x W^T: output elements x in-features; the bias is not counted."""
    return call.output_elements * call.shape("weight", "W")[-1]


def matrix_product(call: Call) -> int:
    """MACs of self @ mat2, batched or not: output elements x the inner size."""
    return call.output_elements * call.shape("self")[-1]


def added_matrix_product(call: Call) -> int:
    """MACs of self + A @ B, batched or not: output elements x the inner size; the sum is not counted."""
    return call.output_elements * call.shape("mat1", "batch1", "mat")[-1]


def reduced_batch_product(call: Call) -> int:
    """MACs of addbmm, which sums the products of a batch: batch x output elements x the inner size."""
    batch, _, inner = call.shape("batch1")
    return batch * call.output_elements * inner


def dot_product(call: Call) -> int:
    """MACs of the dot product of two vectors: their length."""
    return prod(call.shape("self"))


def recurrent(call: Call) -> int:
    """MACs of cuDNN's fused LSTM, GRU or RNN: time steps x sequences x elements of the weight matrices."""
    steps = prod(call.shape("input")[:-1])
    return steps * sum(int(weight.numel()) for weight in call.arguments["weight"] if weight.ndim == 2)


def recurrent_mkldnn(call: Call) -> int:
    """MACs of a layer of LSTM in oneDNN: time steps x sequences x elements of the two weight matrices."""
    steps = prod(call.shape("input")[:-1])
    return steps * (prod(call.shape("weight0")) + prod(call.shape("weight1")))  # input and hidden; 2, 3 are biases


def scaled_dot_product_attention(call: Call) -> int:
    """MACs of softmax(Q K^T) V: B x heads x L_q x L_k x (E + E_v).

    Masked and causal attention count in full, softmax and scaling 0. Q is (B, heads, L_q, E), K (B, heads,
    L_k, E), V (B, heads, L_k, E_v); K and V may have fewer heads, which are shared.
    """
    num_keys, key_width = call.shape("key")[-2:]
    return prod(call.output_shape[:-1]) * num_keys * (key_width + call.output_shape[-1])


def multi_head_scores(call: Call) -> int:
    """MACs of Q K^T and weights times V in nn.MultiheadAttention's fused path: 2 x B x L_q x L_k x E."""
    batch, length, width = call.shape("query")
    return 2 * batch * length * call.shape("key")[1] * width


def multi_head_projections(call: Call) -> int:
    """MACs of the projections of nn.MultiheadAttention's fused path: 2 x B x (L_q + L_k) x E x E."""
    batch, length, width = call.shape("query")
    return 2 * batch * (length + call.shape("key")[1]) * width * width


def encoder_scores(call: Call) -> int:
    """MACs of self-attention in nn.TransformerEncoderLayer's fused path: 2 x B x L x L x E."""
    batch, length, width = call.shape("src")
    return 2 * batch * length * length * width


def encoder_projections(call: Call) -> int:
    """MACs of the linear layers of nn.TransformerEncoderLayer's fused path: B x L x (4 E^2 + the MLP's)."""
    batch, length, width = call.shape("src")
    feed_forward = prod(call.shape("ffn_weight_1")) + prod(call.shape("ffn_weight_2"))
    return batch * length * (4 * width * width + feed_forward)


def local_attention(call: Call) -> int:
    """MACs of attention to the window around each pixel: 2 x window^2 x C per pixel.

    The products Q K^T and the weights times V take half each.

    Taps outside the image count, as in AR-Seg's printed totals (CVPR 2023, Table 1: 77.27 -> 101.98 GFLOPs
    holds 2 k^2 C P for P pixels), however the kernel is written: the operator is counted, not what it runs
    inside.
    """
    return 2 * prod(call.shape("query")) * int(call.arguments["window"]) ** 2


def grid_sample_2d(call: Call) -> int:
    """MACs of sampling at a grid, for each output element: bilinear 4, nearest 0, bicubic 16 (4x4 taps)."""
    mode = call.arguments.get("interpolation_mode", 0)  # cuDNN's operator has no mode: it is bilinear
    return {0: 4, 1: 0, 2: 16}[mode] * call.output_elements


def grid_sample_3d(call: Call) -> int:
    """MACs of sampling at a 3-D grid: trilinear 8, nearest 0 for each output element."""
    return {0: 8, 1: 0}[call.arguments["interpolation_mode"]] * call.output_elements


def weighted_rows(call: Call) -> int:
    """MACs of an embedding bag: rows read x their length; without weights it only adds rows up, 0."""
    if call.arguments.get("per_sample_weights") is None:
        return 0
    return prod(call.shape("indices")) * call.shape("weight")[1]


def taps(count: int) -> Formula:
    """MACs of an operator that weighs `count` inputs for each output element."""

    def formula(call: Call) -> int:
        return count * call.output_elements

    formula.__doc__ = f"{count} MACs for each output element."
    return formula


def affine_grid(call: Call) -> int:
    """MACs of the positions of an affine grid: (D + 1) for each of the D components of a position."""
    return call.output_elements * (call.output_shape[-1] + 1)


def pairwise_distance(call: Call) -> int:
    """MACs of the distances between two sets of vectors: one for each pair and component."""
    return call.output_elements * call.shape("x1")[-1]


Work = tuple[tuple[Kind, Formula], ...]  # the kinds of work an operator does, each with its formula


def _each(kind: Kind, formula: Formula, names: str) -> dict[str, Work]:
    return dict.fromkeys(names.split(), ((kind, formula),))


# Operator name -> its work. Eager torch calls a few of these; the rest are what a device, a scripted module
# or a library makes of them.
FORMULAS: Mapping[str, Work] = {
    **_each(
        "convolution",
        convolution,
        "aten::convolution aten::_convolution aten::convolution_overrideable "
        "aten::conv1d aten::conv2d aten::conv3d "
        "aten::cudnn_convolution aten::cudnn_convolution_relu aten::cudnn_convolution_add_relu "
        "aten::miopen_convolution aten::miopen_depthwise_convolution aten::mkldnn_convolution "
        "aten::_slow_conv2d_forward aten::thnn_conv2d aten::slow_conv3d aten::slow_conv3d_forward "
        "aten::slow_conv_dilated2d aten::slow_conv_dilated3d "
        "aten::_conv_depthwise2d aten::conv_depthwise3d aten::_mps_convolution",
    ),
    **_each(
        "convolution",
        transposed_convolution,
        "aten::conv_transpose1d aten::conv_transpose2d aten::conv_transpose3d "
        "aten::cudnn_convolution_transpose aten::miopen_convolution_transpose "
        "aten::slow_conv_transpose2d aten::slow_conv_transpose3d",
    ),
    **_each(
        "convolution",
        pointwise_convolution,
        "mkldnn::_convolution_pointwise mkldnn::_convolution_pointwise_",
    ),
    **_each("linear", linear, "aten::linear aten::mkldnn_linear mkldnn::_linear_pointwise"),
    **_each("linear", matrix_product, "aten::mm aten::bmm aten::mv aten::_int_mm aten::_scaled_mm"),
    **_each(
        "linear",
        added_matrix_product,
        "aten::addmm aten::addmm_ aten::_addmm_activation aten::baddbmm aten::baddbmm_ aten::addmv aten::addmv_",
    ),
    **_each("linear", reduced_batch_product, "aten::addbmm aten::addbmm_"),
    **_each("linear", dot_product, "aten::dot aten::vdot"),
    **_each("linear", recurrent, "aten::_cudnn_rnn"),
    **_each("linear", recurrent_mkldnn, "aten::mkldnn_rnn_layer"),
    **_each(
        "attention",
        scaled_dot_product_attention,
        "aten::scaled_dot_product_attention aten::_scaled_dot_product_attention_math "
        "aten::_scaled_dot_product_attention_math_for_mps aten::_scaled_dot_product_flash_attention "
        "aten::_scaled_dot_product_flash_attention_for_cpu aten::_scaled_dot_product_efficient_attention "
        "aten::_scaled_dot_product_cudnn_attention aten::_scaled_dot_product_fused_attention_overrideable",
    ),
    "aten::_native_multi_head_attention": (
        ("linear", multi_head_projections),
        ("attention", multi_head_scores),
    ),
    "aten::_transformer_encoder_layer_fwd": (
        ("linear", encoder_projections),
        ("attention", encoder_scores),
    ),
    **_each("attention", local_attention, "vssbench::local_attention"),
    **_each(
        "warp",
        grid_sample_2d,
        "aten::grid_sampler_2d aten::_grid_sampler_2d_cpu_fallback aten::cudnn_grid_sampler",
    ),
    **_each("warp", grid_sample_3d, "aten::grid_sampler_3d"),
    **_each(  # how deformable attention samples: the pixels around its points, weighed
        "warp",
        weighted_rows,
        "aten::embedding_bag aten::_embedding_bag aten::_embedding_bag_forward_only",
    ),
    **_each("resize", taps(2), "aten::upsample_linear1d"),
    **_each("resize", taps(4), "aten::upsample_bilinear2d"),
    **_each("resize", taps(8), "aten::upsample_trilinear3d"),
    **_each("resize", taps(16), "aten::upsample_bicubic2d"),
    **_each("other", affine_grid, "aten::affine_grid_generator"),
    **_each("other", pairwise_distance, "aten::_cdist_forward aten::_euclidean_dist"),
}

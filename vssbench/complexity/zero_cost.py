"""The operators that execute no multiply-adds, by the convention of `formulas`.

Element-wise operators, views and reductions of torch are known by their tags (`macs`); these are the rest
that an image network, its pre- and its post-processing run. The in-place form (name_) of each goes with it.
"""

from __future__ import annotations

ZERO_COST: frozenset[str] = frozenset(
    f"aten::{name}"
    for name in (  # noqa: SIM905 - words read better than 300 lines of one
        # making and copying tensors
        "arange empty empty_like empty_permuted empty_strided eye fill full full_like linspace logspace "
        "new_empty new_empty_strided new_full new_ones new_zeros ones ones_like scalar_tensor zero zeros "
        "zeros_like tril_indices triu_indices hann_window _efficientzerotensor "
        "_pin_memory _to_copy _to_dense alias_copy clone copy lift lift_fresh lift_fresh_copy detach resize "
        "resize_as set _resize_output to_mkldnn _mkldnn_reshape _mkldnn_transpose "
        "mkldnn_reorder_conv2d_weight "
        # random numbers
        "bernoulli normal poisson rand rand_like randint randint_like randn randn_like randperm uniform "
        "exponential multinomial native_dropout rrelu_with_noise "
        # moving elements
        "_chunk_cat _reshape_copy _unsafe_index _unsafe_index_put _unsafe_masked_index _unsafe_view "
        "as_strided as_strided_copy as_strided_scatter block_diag cat channel_shuffle col2im complex "
        "constant_pad_nd diag_embed diagonal_copy diagonal_scatter expand_copy flip gather im2col index "
        "index_add index_copy index_fill index_put index_reduce index_select masked_fill masked_scatter "
        "masked_select max_unpool2d max_unpool3d narrow_copy permute_copy pixel_shuffle pixel_unshuffle "
        "put reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave "
        "replication_pad1d replication_pad2d replication_pad3d roll rot90 scatter scatter_add "
        "scatter_reduce select_scatter slice_scatter split squeeze squeeze_copy stack t t_copy take "
        "transpose transpose_copy tril triu unbind_copy unfold_copy unsafe_split unsafe_split_with_sizes "
        "unsqueeze unsqueeze_copy view_copy split_with_sizes_copy embedding "
        # resizing and sampling without a weight
        "upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d "
        "_upsample_nearest_exact2d _upsample_nearest_exact3d "
        # norms
        "batch_norm native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_functional "
        "_native_batch_norm_legit_no_training _batch_norm_no_update _batch_norm_with_update "
        "_batch_norm_with_update_functional cudnn_batch_norm miopen_batch_norm layer_norm native_layer_norm "
        "native_group_norm _fused_rms_norm renorm _weight_norm_interface "
        # activations and softmax
        "_softmax _log_softmax _safe_softmax _masked_softmax _prelu_kernel glu log_sigmoid_forward gelu "
        "hardswish hardtanh leaky_relu relu threshold mish _thnn_fused_lstm_cell _thnn_fused_gru_cell "
        "_add_relu "
        # pooling
        "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d avg_pool2d "
        "avg_pool3d max_pool2d_with_indices max_pool3d_with_indices fractional_max_pool2d "
        "fractional_max_pool3d mkldnn_max_pool2d mkldnn_adaptive_avg_pool2d _mps_max_pool2d "
        # reductions, order and search
        "all any amax amin aminmax argmax argmin bincount bucketize count_nonzero cummax cummin cumprod "
        "cumsum histc kthvalue linalg_vector_norm logcumsumexp logsumexp max mean median min mode "
        "nanmedian nansum nonzero nonzero_static norm prod searchsorted sort std std_mean sum topk trace "
        "unique_consecutive unique_dim _unique _unique2 var var_mean isin isfinite isinf isnan "
        # element-wise operators of which some overloads bear no tag
        "__and__ __or__ __xor__ __lshift__ __rshift__ __iand__ __ior__ __ixor__ __ilshift__ __irshift__ "
        "abs add angle bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift copysign "
        "div eq floor_divide fmod ge gt le lt mul ne polar pow remainder rsub sub where "
        # questions about a tensor
        "_local_scalar_dense _assert_async _assert_scalar _assert_tensor_metadata "
        "_functional_assert_async equal is_coalesced is_pinned is_same_size item sym_size sym_stride "
        "sym_numel size stride dense_dim "
    ).split()
)

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vssbench.complexity.formulas import FORMULAS, KINDS
from vssbench.complexity.macs import MacCount, count_macs
from vssbench.complexity.zero_cost import ZERO_COST
from vssbench.networks.bisenet import BiSeNet18
from vssbench.networks.pspnet import PSPNet18CamVid, PSPNet18Cityscapes
from vssbench.ops.local_attention import local_attention
from vssbench.ops.warp import warp


@pytest.fixture(params=["cpu", "meta", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    return request.getfixturevalue("cuda") if request.param == "cuda" else request.param


def t(*shape, device):
    return torch.ones(*shape, device=device)


# name: (a call on a device, the kind, the product by hand)
OPERATORS = {
    # 3x3, 4 -> 6 channels, stride 2, padding 1: 5x7 -> 3x4
    "conv2d": (
        lambda d: F.conv2d(t(2, 4, 5, 7, device=d), t(6, 4, 3, 3, device=d), t(6, device=d), 2, 1),
        "convolution",
        2 * 6 * 3 * 4 * 4 * 9,
    ),
    "conv2d dilated": (
        lambda d: F.conv2d(t(1, 4, 9, 9, device=d), t(6, 4, 3, 3, device=d), dilation=2),
        "convolution",
        6 * 5 * 5 * 4 * 9,
    ),
    "conv2d in groups": (
        lambda d: F.conv2d(t(1, 4, 5, 5, device=d), t(6, 2, 3, 3, device=d), groups=2),
        "convolution",
        6 * 3 * 3 * 2 * 9,
    ),
    "conv2d depthwise": (
        lambda d: F.conv2d(t(1, 8, 5, 5, device=d), t(8, 1, 3, 3, device=d), padding=1, groups=8),
        "convolution",
        8 * 25 * 9,
    ),
    "conv2d same": (
        lambda d: F.conv2d(t(1, 4, 5, 5, device=d), t(6, 4, 3, 3, device=d), padding="same"),
        "convolution",
        6 * 25 * 4 * 9,
    ),
    "conv1d": (lambda d: F.conv1d(t(2, 4, 9, device=d), t(6, 4, 3, device=d)), "convolution", 2 * 6 * 7 * 4 * 3),
    "conv3d": (
        lambda d: F.conv3d(t(1, 2, 4, 5, 6, device=d), t(3, 2, 2, 2, 2, device=d)),
        "convolution",
        3 * 3 * 4 * 5 * 2 * 8,
    ),
    # each of 5x7 inputs of 4 channels meets 3x3 weights to 6 channels; the stride only spreads them
    "conv_transpose2d": (
        lambda d: F.conv_transpose2d(t(1, 4, 5, 7, device=d), t(4, 6, 3, 3, device=d), stride=2),
        "convolution",
        5 * 7 * 4 * 6 * 9,
    ),
    "conv_transpose2d in groups": (
        lambda d: F.conv_transpose2d(t(1, 4, 5, 7, device=d), t(4, 3, 2, 2, device=d), groups=2),
        "convolution",
        5 * 7 * 4 * 3 * 4,
    ),
    "linear": (lambda d: F.linear(t(2, 3, 4, device=d), t(5, 4, device=d), t(5, device=d)), "linear", 2 * 3 * 4 * 5),
    "linear of a vector": (lambda d: F.linear(t(4, device=d), t(5, 4, device=d)), "linear", 4 * 5),
    "addmm": (lambda d: torch.addmm(t(5, device=d), t(3, 4, device=d), t(4, 5, device=d)), "linear", 3 * 4 * 5),
    "addmm in place": (lambda d: t(3, 5, device=d).addmm_(t(3, 4, device=d), t(4, 5, device=d)), "linear", 3 * 4 * 5),
    "mm": (lambda d: t(3, 4, device=d) @ t(4, 5, device=d), "linear", 3 * 4 * 5),
    "bmm": (lambda d: torch.bmm(t(2, 3, 4, device=d), t(2, 4, 5, device=d)), "linear", 2 * 3 * 4 * 5),
    "baddbmm": (
        lambda d: torch.baddbmm(t(1, 1, 1, device=d), t(2, 3, 4, device=d), t(2, 4, 5, device=d)),
        "linear",
        2 * 3 * 4 * 5,
    ),
    "addbmm": (
        lambda d: torch.addbmm(t(3, 5, device=d), t(2, 3, 4, device=d), t(2, 4, 5, device=d)),
        "linear",
        2 * 3 * 4 * 5,
    ),
    "matmul broadcast": (lambda d: t(2, 1, 3, 4, device=d) @ t(7, 4, 5, device=d), "linear", 2 * 7 * 3 * 4 * 5),
    "mv": (lambda d: t(3, 4, device=d) @ t(4, device=d), "linear", 3 * 4),
    "addmv": (lambda d: torch.addmv(t(3, device=d), t(3, 4, device=d), t(4, device=d)), "linear", 3 * 4),
    "dot": (lambda d: torch.dot(t(6, device=d), t(6, device=d)), "linear", 6),
    "einsum over channels": (
        lambda d: torch.einsum("nchw,nchw->nhw", t(2, 8, 3, 4, device=d), t(2, 8, 3, 4, device=d)),
        "linear",
        2 * 8 * 3 * 4,
    ),
    "tensordot": (
        lambda d: torch.tensordot(t(2, 3, 4, device=d), t(4, 3, 5, device=d), dims=([2, 1], [0, 1])),
        "linear",
        2 * 12 * 5,
    ),
    # 2 steps x 5 sequences; 4 gates of 6 on 8 inputs and 6 states
    "lstm": (lambda d: nn.LSTM(8, 6).to(d).eval()(t(2, 5, 8, device=d)), "linear", 2 * 5 * 4 * 6 * (8 + 6)),
    # both directions; the second layer sees 12
    "lstm deep and both ways": (
        lambda d: nn.LSTM(8, 6, 2, bidirectional=True).to(d).eval()(t(2, 5, 8, device=d)),
        "linear",
        2 * 5 * 4 * 6 * 2 * ((8 + 6) + (12 + 6)),
    ),
    "gru": (lambda d: nn.GRU(8, 6).to(d).eval()(t(2, 5, 8, device=d)), "linear", 2 * 5 * 3 * 6 * (8 + 6)),
    # 2 samples x 4 heads, 5 queries, 7 keys, 8 wide keys and 6 wide values
    "attention": (
        lambda d: F.scaled_dot_product_attention(
            t(2, 4, 5, 8, device=d), t(2, 4, 7, 8, device=d), t(2, 4, 7, 6, device=d)
        ),
        "attention",
        2 * 4 * 5 * 7 * (8 + 6),
    ),
    "attention causal": (
        lambda d: F.scaled_dot_product_attention(*[t(2, 4, 5, 8, device=d)] * 3, is_causal=True),
        "attention",
        2 * 4 * 5 * 5 * 16,
    ),
    "attention with shared heads": (
        lambda d: F.scaled_dot_product_attention(
            t(2, 4, 5, 8, device=d), t(2, 2, 7, 8, device=d), t(2, 2, 7, 8, device=d), enable_gqa=True
        ),
        "attention",
        2 * 4 * 5 * 7 * 16,
    ),
    # 49 products with the key and 49 with the value, for each of 3 channels at 9x10 pixels
    "local attention 7x7": (
        lambda d: local_attention(*[t(2, 3, 9, 10, device=d)] * 3),
        "attention",
        2 * 49 * 2 * 3 * 9 * 10,
    ),
    "local attention 3x3": (
        lambda d: local_attention(*[t(1, 4, 5, 5, device=d)] * 3, window=3),
        "attention",
        2 * 9 * 4 * 25,
    ),
    "grid_sample bilinear": (
        lambda d: F.grid_sample(t(1, 3, 5, 5, device=d), t(1, 4, 6, 2, device=d), align_corners=False),
        "warp",
        4 * 3 * 4 * 6,
    ),
    "grid_sample bicubic": (
        lambda d: F.grid_sample(t(1, 3, 5, 5, device=d), t(1, 4, 6, 2, device=d), mode="bicubic", align_corners=False),
        "warp",
        16 * 3 * 4 * 6,
    ),
    "grid_sample trilinear": (
        lambda d: F.grid_sample(t(1, 3, 5, 5, 5, device=d), t(1, 2, 4, 6, 3, device=d), align_corners=False),
        "warp",
        8 * 3 * 2 * 4 * 6,
    ),
    "embedding_bag with weights": (
        lambda d: F.embedding_bag(
            torch.zeros(5, 4, dtype=torch.int32, device=d),
            t(7, 3, device=d),
            mode="sum",
            per_sample_weights=t(5, 4, device=d),
        ),
        "warp",
        5 * 4 * 3,
    ),
    "warp bilinear": (lambda d: warp(t(1, 3, 4, 6, device=d), t(1, 4, 6, 2, device=d)), "warp", 4 * 3 * 4 * 6),
    "interpolate bilinear": (
        lambda d: F.interpolate(t(1, 3, 4, 6, device=d), (8, 9), mode="bilinear"),
        "resize",
        4 * 3 * 8 * 9,
    ),
    "interpolate bilinear by a factor": (
        lambda d: F.interpolate(t(1, 3, 4, 6, device=d), scale_factor=2, mode="bilinear", align_corners=True),
        "resize",
        4 * 3 * 8 * 12,
    ),
    "interpolate bicubic": (
        lambda d: F.interpolate(t(1, 3, 4, 6, device=d), (8, 9), mode="bicubic"),
        "resize",
        16 * 3 * 8 * 9,
    ),
    "interpolate linear": (lambda d: F.interpolate(t(1, 3, 4, device=d), 8, mode="linear"), "resize", 2 * 3 * 8),
    "interpolate trilinear": (
        lambda d: F.interpolate(t(1, 3, 2, 4, 6, device=d), (3, 8, 9), mode="trilinear"),
        "resize",
        8 * 3 * 3 * 8 * 9,
    ),
    # a position has 2 components, each of 3 products
    "affine_grid": (
        lambda d: F.affine_grid(t(1, 2, 3, device=d), [1, 3, 4, 6], align_corners=False),
        "other",
        4 * 6 * 2 * 3,
    ),
    "cdist": (
        lambda d: torch.cdist(t(3, 8, device=d), t(4, 8, device=d), compute_mode="donot_use_mm_for_euclid_dist"),
        "other",
        3 * 4 * 8,
    ),
}

FREE = {
    "grid_sample nearest": lambda d: F.grid_sample(
        t(1, 3, 5, 5, device=d), t(1, 4, 6, 2, device=d), mode="nearest", align_corners=False
    ),
    "embedding_bag without weights": lambda d: F.embedding_bag(
        torch.zeros(5, 4, dtype=torch.int32, device=d), t(7, 3, device=d), mode="sum"
    ),
    "warp nearest": lambda d: warp(t(1, 3, 4, 6, device=d), t(1, 4, 6, 2, device=d), mode="nearest"),
    "interpolate nearest": lambda d: F.interpolate(t(1, 3, 4, 6, device=d), (8, 9), mode="nearest"),
    "interpolate nearest-exact": lambda d: F.interpolate(t(1, 3, 4, 6, device=d), (8, 9), mode="nearest-exact"),
    "adaptive_avg_pool2d": lambda d: F.adaptive_avg_pool2d(t(1, 3, 8, 8, device=d), 3),
    "avg_pool2d": lambda d: F.avg_pool2d(t(1, 3, 8, 8, device=d), 2),
    "max_pool2d": lambda d: F.max_pool2d(t(1, 3, 8, 8, device=d), 2),
    "batch_norm": lambda d: nn.BatchNorm2d(3).to(d).eval()(t(1, 3, 8, 8, device=d)),
    "batch_norm in training": lambda d: nn.BatchNorm2d(3).to(d).train()(t(1, 3, 8, 8, device=d)),
    "layer_norm": lambda d: F.layer_norm(t(2, 3, 8, device=d), (8,)),
    "group_norm": lambda d: F.group_norm(t(2, 4, 8, 8, device=d), 2),
    "activations": lambda d: [
        f(t(1, 3, 8, 8, device=d))
        for f in (
            F.relu,
            F.gelu,
            F.silu,
            F.hardswish,
            F.softplus,
            torch.sigmoid,
            torch.tanh,
            nn.PReLU().to(d),
            nn.ReLU(inplace=True),
            nn.LeakyReLU(0.1),
        )
    ],
    "softmax": lambda d: t(2, 8, device=d).softmax(1) + t(2, 8, device=d).log_softmax(1),
    "arithmetic": lambda d: (t(3, 4, device=d) * 2 + 1).sub_(1).div_(3).pow(2).clamp(0, 1).mean(),
    "gather": lambda d: t(5, 4, device=d)[torch.zeros(3, dtype=torch.long, device=d)].index_select(
        1, torch.zeros(2, dtype=torch.long, device=d)
    ),
    "unfold": lambda d: F.unfold(t(1, 3, 8, 8, device=d), 3),
    "dropout": lambda d: F.dropout(t(3, 4, device=d), training=False),
    "cat, pad, roll": lambda d: F.pad(torch.cat([t(3, 4, device=d)] * 2), (1, 1)).roll(1, 0),
    "argmax to bytes": lambda d: t(1, 5, 4, 4, device=d).argmax(1).to(torch.uint8),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_counts_its_product(name, device):
    call, kind, expected = OPERATORS[name]
    count = count_macs(lambda: call(device))
    assert count.by_kind == {**dict.fromkeys(KINDS, 0), kind: expected}
    assert count.uncounted == {}


@pytest.mark.parametrize("name", FREE)
def test_an_operator_without_multiply_adds_counts_zero_and_is_known(name, device):
    count = count_macs(lambda: FREE[name](device))
    assert count.total == 0
    assert count.uncounted == {}


def test_no_operator_is_both_counted_and_free():
    assert not set(FORMULAS) & ZERO_COST


def test_an_operator_in_no_list_is_reported_with_its_elements():
    count = count_macs(lambda: torch.fft.rfft(torch.ones(2, 8)))
    assert count.total == 0
    assert count.uncounted == {"aten::_fft_r2c": 2 * 5}


def test_a_custom_operator_in_no_list_is_reported_whatever_it_runs_inside():
    @torch.library.custom_op("vssbench_test::opaque", mutates_args=())
    def opaque(x: torch.Tensor) -> torch.Tensor:
        return x @ x

    count = count_macs(lambda: [opaque(torch.ones(3, 3)) for _ in range(2)])
    assert count.uncounted == {"vssbench_test::opaque": 2 * 9}
    assert count.total == 0


def test_a_custom_operator_that_returns_nothing_is_reported_and_survives_adding():
    @torch.library.custom_op("vssbench_test::silent", mutates_args=("out",))
    def silent(out: torch.Tensor) -> None:
        out.copy_(out @ out)

    count = count_macs(lambda: silent(torch.ones(3, 3)))
    assert count.uncounted == {"vssbench_test::silent": 9}
    assert (count + MacCount(uncounted={"empty": 0})).uncounted == {"vssbench_test::silent": 9, "empty": 0}


def test_antialiased_resizing_is_reported_not_guessed():
    x = torch.ones(1, 3, 8, 8)
    count = count_macs(lambda: F.interpolate(x, (4, 4), mode="bilinear", antialias=True))
    assert count.uncounted == {"aten::_upsample_bilinear2d_aa": 3 * 16}


@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_the_callers_gradient_mode_does_not_matter(context):
    layer = nn.Conv2d(3, 4, 3)
    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    with context():
        count = count_macs(lambda: (layer(torch.ones(1, 3, 5, 5)), attention(*[torch.ones(2, 5, 8)] * 3)))
    assert count.by_kind["convolution"] == 4 * 9 * 3 * 9
    assert count.network == 4 * 9 * 3 * 9 + 2 * 5 * 8 * 32 + 2 * 2 * 25 * 8


def test_multi_head_attention_hides_nothing_in_its_fast_path(device):
    # 2 samples of 5 tokens, 8 wide: projections to 3 x 8 and from 8; Q K^T and the weights times V: 5 x 5 x 8 each
    layer = nn.MultiheadAttention(8, 2, batch_first=True).to(device).eval()
    x = t(2, 5, 8, device=device)
    count = count_macs(lambda: layer(x, x, x, need_weights=False))
    assert count.by_kind["linear"] == 2 * 5 * 8 * (24 + 8)
    assert count.by_kind["attention"] == 2 * 2 * 5 * 5 * 8
    assert count.uncounted == {}
    written_out = count_macs(lambda: layer(x, x, x, need_weights=True))  # its products are plain matrices
    assert written_out.network == count.network


def test_a_transformer_encoder_hides_nothing_in_its_fast_path(device):
    # per layer: as above, and an MLP of 8 -> 16 -> 8
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 3).to(device).eval()
    x = t(2, 5, 8, device=device)
    count = count_macs(lambda: encoder(x))
    assert count.by_kind["linear"] == 3 * (2 * 5 * 8 * 32 + 2 * 5 * 2 * 8 * 16)
    assert count.by_kind["attention"] == 3 * 2 * 2 * 5 * 5 * 8
    assert count.uncounted == {}


def test_the_fast_path_is_switched_back_on_after_counting_even_after_an_error():
    def fail():
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        count_macs(fail)
    assert torch.backends.mha.get_fastpath_enabled()


def test_fused_transformer_operators_called_directly_are_counted():
    # scripted modules call them; 2 samples of 5 tokens, 8 wide, MLP of 16
    qkv, out, x = (nn.Linear(8, 24), nn.Linear(8, 8), torch.ones(2, 5, 8))
    arguments = (8, 2, qkv.weight, qkv.bias, out.weight, out.bias)
    count = count_macs(lambda: torch._native_multi_head_attention(x, x, x, *arguments))
    assert (count.by_kind["linear"], count.by_kind["attention"]) == (2 * 5 * 8 * 32, 2 * 2 * 25 * 8)
    norm, up, down = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)
    rest = (norm.weight, norm.bias, norm.weight, norm.bias, up.weight, up.bias, down.weight, down.bias)
    count = count_macs(lambda: torch._transformer_encoder_layer_fwd(x, *arguments, True, False, 1e-5, *rest))
    assert count.by_kind["linear"] == 2 * 5 * 8 * 32 + 2 * 5 * 2 * 8 * 16
    assert count.by_kind["attention"] == 2 * 2 * 25 * 8
    assert count.uncounted == {}


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN")
def test_onednn_operators_are_counted():
    x, weight, matrix = torch.ones(1, 3, 8, 8), torch.ones(4, 3, 3, 3), torch.ones(6, 8)
    count = count_macs(lambda: torch.mkldnn_convolution(x, weight, None, (1, 1), (1, 1), (1, 1), 1))
    assert count.by_kind["convolution"] == 4 * 64 * 27
    pointwise = torch.ops.mkldnn._convolution_pointwise
    count = count_macs(lambda: pointwise(x, weight, None, [0, 0], [1, 1], [1, 1], 1, "relu", [], ""))
    assert count.by_kind["convolution"] == 4 * 36 * 27
    linear = torch.ops.mkldnn._linear_pointwise
    count = count_macs(lambda: linear(torch.ones(2, 8), matrix, None, "relu", [], ""))
    assert count.by_kind["linear"] == 2 * 8 * 6


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_module_counts_like_the_eager_one():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    x = torch.ones(1, 3, 8, 8)
    scripted = torch.jit.script(network)
    assert count_macs(lambda: scripted(x)) == count_macs(lambda: network(x))


def test_a_shared_module_counts_once_for_each_execution_and_never_for_a_name():
    class Aliased(nn.Module):  # BiSeNet18's released program: thop counts this convolution for every name
        def __init__(self):
            super().__init__()
            self.head = nn.Sequential(nn.Conv2d(4, 5, 1))
            self.final = self.head[0]

        def forward(self, x):
            return self.head(x)

    network, x = Aliased(), torch.ones(1, 4, 6, 6)
    assert count_macs(lambda: network(x)).network == 36 * 4 * 5
    assert count_macs(lambda: (network(x), network.final(x))).network == 2 * 36 * 4 * 5


def test_counts_add_up():
    convolution, product = nn.Conv2d(3, 4, 1), torch.ones(5, 5)
    one = count_macs(lambda: convolution(torch.ones(1, 3, 2, 2)))
    two = count_macs(lambda: torch.fft.fft(product @ product))
    both = count_macs(lambda: (convolution(torch.ones(1, 3, 2, 2)), torch.fft.fft(product @ product)))
    assert one + two == both == sum([one, two], MacCount())
    assert both.network == both.total == 4 * 4 * 3 + 125
    assert both.uncounted == {"aten::_fft_r2c": 25}


def test_network_leaves_out_warps_and_resizes_that_total_holds():
    x = torch.ones(1, 3, 4, 4)
    count = count_macs(lambda: F.interpolate(F.conv2d(x, torch.ones(2, 3, 1, 1)), (8, 8), mode="bilinear"))
    assert count.network == 16 * 3 * 2
    assert count.total == 16 * 3 * 2 + 4 * 2 * 64


def test_element_wise_work_is_shown_though_it_counts_zero():
    x = torch.ones(1, 8, 3, 3)
    count = count_macs(lambda: (x * x).sum(1))  # a correlation that no counter sees
    assert count.total == 0
    assert count.zero_cost == {"aten::mul": 72, "aten::sum": 9}


def test_counting_nothing_gives_zero_of_every_kind():
    count = count_macs(lambda: None)
    assert count == MacCount()
    assert count.by_kind == dict.fromkeys(KINDS, 0)


def meta_network(network, **options):
    with torch.device("meta"):
        return network(**options).eval()


@pytest.mark.parametrize(
    ("network", "num_classes", "size", "gmacs"),
    [
        (PSPNet18CamVid, 12, (720, 960), 308.642),
        (BiSeNet18, 12, (720, 960), 39.119),
        (PSPNet18Cityscapes, 19, (1024, 2048), 539.978),
        (BiSeNet18, 19, (1024, 2048), 118.338),
        # at half the size
        (PSPNet18CamVid, 12, (360, 480), 77.170),
        (BiSeNet18, 12, (360, 480), 9.934),
        (PSPNet18Cityscapes, 19, (512, 1024), 134.997),
        (BiSeNet18, 19, (512, 1024), 29.585),
    ],
)
def test_the_networks_execute_what_conv_and_linear_formulas_give(network, num_classes, size, gmacs):
    model = meta_network(network, num_classes=num_classes)
    count = count_macs(lambda: model(torch.empty(1, 3, *size, device="meta")))
    assert count.network / 1e9 == pytest.approx(gmacs, abs=0.0006)
    assert count.uncounted == {}


@pytest.mark.parametrize("network", [PSPNet18CamVid, BiSeNet18])
def test_a_network_counts_the_same_on_the_cpu_and_on_meta(network):
    real, meta = network(num_classes=12, width=0.25).eval(), meta_network(network, num_classes=12, width=0.25)
    on_cpu = count_macs(lambda: real(torch.zeros(1, 3, 64, 96)))
    assert on_cpu == count_macs(lambda: meta(torch.empty(1, 3, 64, 96, device="meta")))
    assert on_cpu.uncounted == {}

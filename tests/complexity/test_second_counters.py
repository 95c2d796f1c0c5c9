"""Every network, counted by others: torch's own counter, thop with what it leaves out, and the CPU against meta."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vssbench.complexity.macs import count_macs
from vssbench.complexity.thop_package import thop_macs
from vssbench.networks.deformable import DeformableConvolution
from vssbench.networks.zoo import NETWORKS, build_network

SIZE = (64, 128)


def on_meta(name, **options):
    with torch.device("meta"):
        return build_network(name, num_classes=19, **options).eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_torchs_counter_agrees_and_thop_but_for_what_is_no_module_and_what_is_no_product(name):
    network, images = on_meta(name), torch.empty(1, 3, *SIZE, device="meta")
    count = count_macs(lambda: network(images))
    assert count.uncounted == {}
    extra = 0  # what thop counts more

    def listen(module, inputs, output):
        nonlocal extra
        x = inputs[0]
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            extra += 4 * x.numel()
        elif isinstance(module, nn.PReLU):
            extra += x.numel()
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            cell = x.shape[2] / output.shape[2] * (x.shape[3] / output.shape[3])
            extra += int((cell + 1) * output.numel())
        elif isinstance(module, DeformableConvolution):
            extra -= output.numel() * x.shape[1] * 9  # a function, after its offsets' module
        elif isinstance(module, nn.ConvTranspose2d):  # each input meets each weight once; thop says each output does
            extra += (output.numel() // module.out_channels - x.numel() // x.shape[1]) * module.weight.numel()

    handles = [module.register_forward_hook(listen) for module in network.modules()]
    with torch.inference_mode(), FlopCounterMode(display=False) as theirs:
        network(images)
    for handle in handles:
        handle.remove()
    assert 2 * count.network == theirs.get_total_flops()  # it splits attention into products on this device
    assert thop_macs(network, SIZE) == count.by_kind["convolution"] + count.by_kind["linear"] + extra


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_counts_the_same_on_the_cpu_and_on_meta(name):
    real, meta = build_network(name, num_classes=19, width=0.0625).eval(), on_meta(name, width=0.0625)
    on_cpu = count_macs(lambda: real(torch.zeros(1, 3, 64, 96)))
    assert on_cpu == count_macs(lambda: meta(torch.empty(1, 3, 64, 96, device="meta")))
    assert on_cpu.uncounted == {}


@pytest.mark.gpu
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_counts_the_same_on_a_gpu_and_on_meta(name, cuda):
    real, meta = on_meta(name, width=0.0625).to_empty(device=cuda), on_meta(name, width=0.0625)
    on_gpu = count_macs(lambda: real(torch.zeros(1, 3, 64, 96, device=cuda)))
    assert on_gpu == count_macs(lambda: meta(torch.empty(1, 3, 64, 96, device="meta")))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels_last", [False, True])
def test_precision_and_layout_do_not_change_the_count(dtype, channels_last):
    layout = torch.channels_last if channels_last else torch.contiguous_format
    expected = count_macs(lambda: on_meta("segformer-b0", width=0.25)(torch.empty(1, 3, 64, 96, device="meta")))
    network = build_network("segformer-b0", num_classes=19, width=0.25).eval().to(dtype=dtype, memory_format=layout)
    images = torch.zeros(1, 3, 64, 96, dtype=dtype).to(memory_format=layout)
    assert count_macs(lambda: network(images)) == expected

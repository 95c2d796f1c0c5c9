"""ICNet (Zhao et al., ECCV 2018): three branches at three scales, the network that TapLab's BL1 follows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vssbench.networks.base import SegmentationNetwork
from vssbench.networks.blocks import Bottleneck, ConvBnRelu, initialise_convolutions, scaled
from vssbench.networks.pspnet import POOL_SIZES
from vssbench.ops.resize import resize


class CascadeFusion(nn.Module):
    """Joins an upsampled coarse map to a fine one (ICNet, fig. 3): dilated 3x3 on the one, 1x1 on the other, sum."""

    def __init__(self, c_coarse: int, c_fine: int, c_out: int) -> None:
        super().__init__()
        self.coarse = nn.Sequential(
            nn.Conv2d(c_coarse, c_out, 3, padding=2, dilation=2, bias=False), nn.BatchNorm2d(c_out)
        )
        self.fine = nn.Sequential(nn.Conv2d(c_fine, c_out, 1, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(N, c_coarse, h, w) and (N, c_fine, h, w) -> (N, c_out, h, w)."""
        y: Tensor = self.coarse(coarse) + self.fine(fine)
        return functional.relu(y)


class ICNet(SegmentationNetwork):
    """ICNet with half the kernels of ResNet50: TapLab's BL1 ("ResNet-50, a modified lightweight version").

    The picture at 1/2 passes the light ResNet up to the first block of stage 3 (1/16); that map, halved, the rest
    of it (1/32), the sum of four pooled grids and a 1x1 convolution; the whole picture three strided convolutions
    (1/8). N_feat = these three maps; N_task = two cascade fusions and an upsampling by 2; logits at 1/4.

    TapLab does not say what its BL1 changes in ICNet, so this is ICNet's own Cityscapes form before pruning
    (paper, sec. 3 and fig. 2; strides of the blocks in their 3x3 convolution, pixel-centred resizing). The auxiliary
    heads are its cascade label guidance, of weights 0.16 and 0.4.

    Args:
        num_classes: K.
        width: multiplies every channel count.
    """

    auxiliary_weights = (0.16, 0.4)

    def __init__(self, *, num_classes: int, width: float = 1.0) -> None:
        super().__init__()
        c32, c64, c128, c256 = (scaled(c, width) for c in (32, 64, 128, 256))
        c512, c1024 = scaled(512, width), scaled(1024, width)
        self.stem = nn.Sequential(
            ConvBnRelu(3, c32, stride=2), ConvBnRelu(c32, c32), ConvBnRelu(c32, c64), nn.MaxPool2d(3, 2, padding=1)
        )
        self.stage1 = _stage(3, c64, c32, c128)
        self.stage2_first = Bottleneck(c128, c64, c256, stride=2)
        self.stage2_rest = _stage(3, c256, c64, c256)
        self.stage3 = _stage(6, c256, c128, c512, dilation=2)
        self.stage4 = _stage(3, c512, c256, c1024, dilation=4)
        self.pools = nn.ModuleList(nn.AdaptiveAvgPool2d(size) for size in POOL_SIZES)
        self.project = ConvBnRelu(c1024, c256, 1)
        self.detail = nn.Sequential(
            ConvBnRelu(3, c32, stride=2), ConvBnRelu(c32, c32, stride=2), ConvBnRelu(c32, c64, stride=2)
        )
        self.fuse16 = CascadeFusion(c256, c256, c128)
        self.fuse8 = CascadeFusion(c128, c64, c128)
        self.final = nn.Conv2d(c128, num_classes, 1)
        self.auxiliary16 = nn.Conv2d(c256, num_classes, 1)
        self.auxiliary8 = nn.Conv2d(c128, num_classes, 1)
        initialise_convolutions(self)

    def extract(self, images: Tensor) -> tuple[Tensor, ...]:
        """N_feat: normalised images -> (semantics, 256 channels at 1/32; 256 at 1/16; detail, 64 at 1/8)."""
        middle = self.stage2_first(self.stage1(self.stem(resize(images, _half(images)))))
        x = self.stage4(self.stage3(self.stage2_rest(resize(middle, _half(middle)))))
        size = (x.shape[-2], x.shape[-1])
        x = x + torch.stack([resize(pool(x), size) for pool in self.pools]).sum(0)
        return self.project(x), middle, self.detail(images)

    def refine(self, extracted: Tensor | tuple[Tensor, ...]) -> Tensor:
        """N_task: -> (N, 128, h / 4, w / 4)."""
        return self._fuse(extracted)[0]

    def _fuse(self, extracted: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Features at 1/4, and the coarse maps at 1/16 and 1/8 that the auxiliary heads judge."""
        coarse, middle, detail = extracted
        up16 = resize(coarse, (middle.shape[-2], middle.shape[-1]))
        up8 = resize(self.fuse16(up16, middle), (detail.shape[-2], detail.shape[-1]))
        fused: Tensor = self.fuse8(up8, detail)
        return resize(fused, (2 * fused.shape[-2], 2 * fused.shape[-1])), up16, up8

    def training_outputs(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features before the final layer, and the logits of the heads at 1/16 and 1/8."""
        features, up16, up8 = self._fuse(self.extract(self.normalise(images)))
        return features, [self.auxiliary16(up16), self.auxiliary8(up8)]


def _stage(count: int, c_in: int, c_mid: int, c_out: int, *, dilation: int = 1) -> nn.Sequential:
    blocks = [Bottleneck(c_in if i == 0 else c_out, c_mid, c_out, dilation=dilation) for i in range(count)]
    return nn.Sequential(*blocks)


def _half(x: Tensor) -> tuple[int, int]:
    """Half the size of a map, rounded up."""
    return (x.shape[-2] + 1) // 2, (x.shape[-1] + 1) // 2

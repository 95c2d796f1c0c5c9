"""PSPNet (Zhao et al., CVPR 2017): PSPNet18 in the two forms that AR-Seg uses, PSPNet50 and PSPNet101.

AR-Seg's two PSPNet18 are different networks. CamVid's decodes to the full input resolution (CReFF at 1/1, C = 64);
Cityscapes' is the usual dilated one (CReFF at 1/8, C = 512). The printed 309.02 and 560.97 GFLOPs belong to one each.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vssbench.networks.base import CAMVID_MEAN, CAMVID_STD, IMAGENET_MEAN, IMAGENET_STD, SegmentationNetwork
from vssbench.networks.blocks import ConvBnRelu, initialise_convolutions, scaled
from vssbench.networks.resnet import BottleneckResNet, ResNet18, Stem
from vssbench.ops.resize import resize

POOL_SIZES = (1, 2, 3, 6)  # PSPNet, sec. 3.2


class PyramidPooling(nn.Module):
    """Pools to four grids, projects, and joins them to the input."""

    def __init__(self, projections: Sequence[nn.Module]) -> None:
        super().__init__()
        self.projections = nn.ModuleList(projections)
        self.pools = nn.ModuleList(nn.AdaptiveAvgPool2d(size) for size in POOL_SIZES)  # modules, so that thop sees them

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C + 4 c, h, w)."""
        whole = (x.shape[-2], x.shape[-1])
        pooled = [
            resize(projection(pool(x)), whole) for pool, projection in zip(self.pools, self.projections, strict=True)
        ]
        return torch.cat([x, *pooled], 1)


class UpsampleBlock(nn.Module):
    """Bilinear x2, 3x3 convolution with bias, batch normalisation, PReLU, dropout."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.PReLU(), nn.Dropout2d(0.15)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, h, w) -> (N, c_out, 2 h, 2 w)."""
        height, width = x.shape[-2:]
        y: Tensor = self.layers(resize(x, (2 * height, 2 * width)))
        return y


class PSPNet18CamVid(SegmentationNetwork):
    """PSPNet18 with a decoder to full resolution: 308.64 GMAC at 720x960 with 12 classes.

    Differs from the released program: without its image-level classifier, which is neither in the paper's loss
    nor in the printed operation count.

    Args:
        num_classes: K.
        width: multiplies every channel count.
    """

    def __init__(self, *, num_classes: int, width: float = 1.0) -> None:
        super().__init__()
        dilations = (((1, 1), (2, 2)), ((1, 1), (4, 4)))
        self.backbone = ResNet18(width=width, strides=(1, 1), dilations=dilations)
        c64, c256, c512, c1024 = (scaled(c, width) for c in (64, 256, 512, 1024))
        self.pooling = PyramidPooling([nn.Conv2d(c512, c512, 1, bias=False) for _ in POOL_SIZES])
        self.bottleneck = nn.Sequential(nn.Conv2d(5 * c512, c1024, 1), nn.ReLU(inplace=True), nn.Dropout2d(0.3))
        self.decoder = nn.Sequential(UpsampleBlock(c1024, c256), UpsampleBlock(c256, c64), UpsampleBlock(c64, c64))
        self.final = nn.Conv2d(c64, num_classes, 1)

    def extract(self, images: Tensor) -> Tensor:
        """N_feat: normalised images -> (N, 512, h / 8, w / 8)."""
        y: Tensor = self.backbone(images)[2]
        return y

    def refine(self, extracted: Tensor | tuple[Tensor, ...]) -> Tensor:
        """N_task: pyramid pooling and the decoder -> (N, 64, h, w), h and w rounded up to a multiple of 8."""
        y: Tensor = self.decoder(self.bottleneck(self.pooling(extracted)))
        return y


class _DilatedPSPNet(SegmentationNetwork):
    """What the usual dilated PSPNets share: logits at 1/8, and the auxiliary head on stage 3.

    Args:
        backbone: of stride 8, with `channels` of its stages, in `forward` the outputs of stages 2, 3 and 4.
        num_classes: K.
        pooled: channels that each pooled grid is projected to.
        width: multiplies every channel count.
        mean, std: see `SegmentationNetwork`.
    """

    auxiliary_weights = (0.4,)  # PSPNet, sec. 4

    def __init__(
        self,
        backbone: ResNet18 | BottleneckResNet,
        *,
        num_classes: int,
        pooled: int,
        width: float,
        mean: Sequence[float] = CAMVID_MEAN,
        std: Sequence[float] = CAMVID_STD,
    ) -> None:
        super().__init__(mean=mean, std=std)
        self.backbone = backbone
        c3, c4 = backbone.channels[2:]
        c_pooled, c256, c512 = (scaled(c, width) for c in (pooled, 256, 512))
        self.pooling = PyramidPooling([ConvBnRelu(c4, c_pooled, 1) for _ in POOL_SIZES])
        self.head = nn.Sequential(ConvBnRelu(c4 + len(POOL_SIZES) * c_pooled, c512), nn.Dropout2d(0.1))
        self.final = nn.Conv2d(c512, num_classes, 1)
        self.auxiliary = nn.Sequential(ConvBnRelu(c3, c256), nn.Dropout2d(0.1), nn.Conv2d(c256, num_classes, 1))

    def extract(self, images: Tensor) -> Tensor:
        """N_feat: normalised images -> (N, channels of stage 4, h / 8, w / 8)."""
        y: Tensor = self.backbone(images)[2]
        return y

    def refine(self, extracted: Tensor | tuple[Tensor, ...]) -> Tensor:
        """N_task: pyramid pooling and the head's 3x3 convolution -> (N, 512, h / 8, w / 8)."""
        y: Tensor = self.head(self.pooling(extracted))
        return y

    def training_outputs(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features before the final layer, and the logits of the head on stage 3."""
        _, x3, x4 = self.backbone(self.normalise(images))
        return self.refine(x4), [self.auxiliary(x3)]


class PSPNet18Cityscapes(_DilatedPSPNet):
    """The usual dilated PSPNet18: 539.98 GMAC at 1024x2048 with 19 classes.

    Args:
        num_classes: K.
        width: multiplies every channel count.
    """

    def __init__(self, *, num_classes: int, width: float = 1.0) -> None:
        dilations = (((1, 2), (2, 2)), ((1, 4), (4, 4)))
        backbone = ResNet18(width=width, strides=(1, 1), dilations=dilations)
        super().__init__(backbone, num_classes=num_classes, pooled=128, width=width)


class PSPNet(_DilatedPSPNet):
    """PSPNet50 or PSPNet101 dilated to 1/8, in the form of hszhao's `semseg`, from which AR-Seg's PSPNet18 comes.

    Every 3x3 convolution of stages 3 and 4 is dilated, by 2 and by 4; pooling to 512 channels a grid, a 3x3
    convolution 4096 -> 512, the classifier.

    Args:
        num_classes: K.
        depth: of the ResNet, 50 or 101.
        stem: "deep", three 3x3 convolutions, is semseg's; "plain", the 7x7 one, is He et al.'s. AR-Seg's Table A4
            does not say which it ran (neither reproduces its row): 1472.8 and 1416.2 GMAC, PSPNet50 at 1024x2048.
        width: multiplies every channel count.
    """

    def __init__(self, *, num_classes: int, depth: int = 50, stem: Stem = "deep", width: float = 1.0) -> None:
        backbone = BottleneckResNet(depth, width=width, stem=stem, strides=(1, 1), dilations=(2, 4))
        super().__init__(
            backbone, num_classes=num_classes, pooled=512, width=width, mean=IMAGENET_MEAN, std=IMAGENET_STD
        )
        initialise_convolutions(self)

"""DeepLab-18 and DeepLab-50, as Accel runs them: stride 16, a deformable last stage, two 1x1 layers on top.

Jain & Gonzalez and Deep Feature Flow use the same form; it has neither DeepLab's pyramid of dilations nor its CRF.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from vssbench.networks.base import IMAGENET_MEAN, IMAGENET_STD, SegmentationNetwork
from vssbench.networks.blocks import initialise_convolutions, scaled
from vssbench.networks.deformable import DeformableConvolution
from vssbench.networks.resnet import BottleneckResNet, ResNet18


class DeepLab(SegmentationNetwork):
    """DeepLab: N_feat = the ResNet up to 2048 channels at 1/16, N_task = 1x1 to 1024 and ReLU ("fc6").

    Logits are at 1/16. The last stage of ResNet50 keeps stride 16 and dilates its 3x3 convolutions by 2; that of
    ResNet18 goes down to 1/32, dilates the second convolution of each block, and a 4x4 transposed convolution brings
    512 channels at 1/32 to 2048 at 1/16. These dilated convolutions are the deformable ones, in 4 groups.

    Source: SamvitJ/Accel, symbols/resnet_v1_101_flownet_deeplab.py and accel_18.py @4424d1f. Differs from it: its
    ResNet18 normalises before each convolution instead of after it, and its first pooling rounds up.

    Args:
        num_classes: K.
        depth: of the ResNet, 18, 50 or 101.
        deformable: False makes the deformable convolutions ordinary ones of the same dilation; AR-Seg, whose
            Table A2 cites DeepLab alone, does not say.
        width: multiplies every channel count.
    """

    def __init__(self, *, num_classes: int, depth: int = 18, deformable: bool = True, width: float = 1.0) -> None:
        super().__init__(mean=IMAGENET_MEAN, std=IMAGENET_STD)
        c1024, c2048 = scaled(1024, width), scaled(2048, width)
        self.backbone: ResNet18 | BottleneckResNet
        self.widen: nn.ConvTranspose2d | None = None
        if depth == 18:
            self.backbone = ResNet18(width=width, dilations=(((1, 1), (1, 1)), ((1, 2), (1, 2))))
            self.widen = nn.ConvTranspose2d(self.backbone.channels[3], c2048, 4, 2, padding=1, bias=False)
        else:
            self.backbone = BottleneckResNet(depth, width=width, strides=(2, 1), dilations=(1, 2), stride_first=True)
            c2048 = self.backbone.channels[3]
        if deformable:
            _deform(self.backbone.stage4)
        self.fc6 = nn.Sequential(nn.Conv2d(c2048, c1024, 1), nn.ReLU(inplace=True))
        self.final = nn.Conv2d(c1024, num_classes, 1)
        initialise_convolutions(self)
        for module in self.modules():
            if isinstance(module, DeformableConvolution):
                module.reset()

    def extract(self, images: Tensor) -> Tensor:
        """N_feat: normalised images -> (N, 2048, h / 16, w / 16)."""
        _, x16, x = self.backbone(images)
        if self.widen is not None:
            x = self.widen(x)[..., : x16.shape[-2], : x16.shape[-1]]  # 1/32 rounds up, twice that may be one too many
        y: Tensor = x
        return y

    def refine(self, extracted: Tensor | tuple[Tensor, ...]) -> Tensor:
        """N_task: -> (N, 1024, h / 16, w / 16)."""
        y: Tensor = self.fc6(extracted)
        return y


def _deform(stage: Any) -> None:
    """Turn the dilated convolutions of a stage into deformable ones."""
    for block in stage:
        plain = block.conv2
        block.conv2 = DeformableConvolution(plain.in_channels, plain.out_channels, dilation=plain.dilation[0])

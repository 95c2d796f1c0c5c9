"""What every image segmentation network offers: features before the final layer, and the final convolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Channel means and deviations of CamVid's training images in 0..1 (AR-Seg, released loader); the networks here
# are trained from scratch, so any fixed constants of this size serve.
CAMVID_MEAN = (0.39068785, 0.40521392, 0.41434407)
CAMVID_STD = (0.29652068, 0.30514979, 0.30080369)
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of the networks that are published with pretrained weights
IMAGENET_STD = (0.229, 0.224, 0.225)


class SegmentationNetwork(nn.Module):
    """An image network cut where AR-Seg cuts it: N_feat, N_task, and the final convolution (paper, sec. 3.1).

    A subclass sets `final` (a `nn.Conv2d`, 1x1 but in MobileNetFPN), and writes `extract` (N_feat) and `refine`
    (N_task).

    Args:
        mean, std: per channel, of images in 0..1; normalisation is part of the network, so that nobody can
            feed it differently in training and in a test.
    """

    final: nn.Conv2d
    mean: Tensor
    std: Tensor
    auxiliary_weights: tuple[float, ...] = ()  # of the auxiliary heads in the loss, in their order

    def __init__(self, *, mean: Sequence[float] = CAMVID_MEAN, std: Sequence[float] = CAMVID_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    @property
    def num_classes(self) -> int:
        """Classes K of the logits."""
        return self.final.out_channels

    @property
    def feature_channels(self) -> int:
        """Channels C of the features before the final layer."""
        return self.final.in_channels

    def normalise(self, images: Tensor) -> Tensor:
        """Images (N, 3, h, w) in 0..1 -> zero mean, unit deviation."""
        return (images - self.mean) / self.std

    def extract(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """N_feat: normalised images -> backbone features."""
        raise NotImplementedError

    def refine(self, extracted: Tensor | tuple[Tensor, ...]) -> Tensor:
        """N_task: backbone features -> (N, C, h', w') features before the final layer."""
        raise NotImplementedError

    def features(self, images: Tensor) -> Tensor:
        """Images (N, 3, h, w) in 0..1 -> features (N, C, h', w') before the final layer."""
        return self.refine(self.extract(self.normalise(images)))

    def classify(self, features: Tensor) -> Tensor:
        """Features (N, C, h', w') -> logits (N, K, h', w')."""
        logits: Tensor = self.final(features)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, h, w) in 0..1 -> logits (N, K, h', w') on the feature grid."""
        return self.classify(self.features(images))

    def drop_auxiliary(self) -> None:
        """Remove the heads that only training uses, so that they count neither as parameters nor as memory."""
        for name, _ in list(self.named_children()):
            if name.startswith("auxiliary"):
                delattr(self, name)

    def training_outputs(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features before the final layer, and the logits of the auxiliary heads (may be none)."""
        return self.features(images), []

"""The two branches of AR-Seg and what joins them: CReFF and one final layer."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from arseg.creff import PAPER, Convention, CReFF
from vssbench.networks.base import SegmentationNetwork
from vssbench.ops.resize import resize, scaled_size


class ARSegNetwork(nn.Module):
    """High-resolution branch (frozen), low-resolution branch of the same architecture, CReFF (AR-Seg, fig. 2).

    The low-resolution branch starts as a copy of the high-resolution one, and keeps using its final layer,
    which stays frozen (FST's implicit constraint, sec. 3.3).

    Args:
        high: trained at full resolution.
        scale: of the low-resolution branch's input.
        window: of CReFF's attention.
        convention: see `arseg.creff.Convention`.
    """

    def __init__(
        self, high: SegmentationNetwork, *, scale: float, window: int = 7, convention: Convention = PAPER
    ) -> None:
        super().__init__()
        self.scale = scale
        self.convention = convention
        self.low = copy.deepcopy(high).requires_grad_(True)  # high may be frozen already, by another branch
        self.high = high.requires_grad_(False)
        self.low.final = self.high.final
        self.creff = CReFF(high.feature_channels, window=window, convention=convention)

    def train(self, mode: bool = True) -> ARSegNetwork:
        """Put the trainable parts into training mode; the high-resolution branch never leaves evaluation mode."""
        super().train(mode)
        self.high.eval()
        return self

    def low_features(self, images: Tensor) -> Tensor:
        """f_P: full-resolution images (N, 3, H, W) -> features (N, C, h, w) of the low-resolution branch."""
        size = scaled_size((images.shape[-2], images.shape[-1]), self.scale)
        features: Tensor = self.low.features(resize(images, size, align_corners=self.convention.align_corners))
        return features

    def branch_tensors(self) -> dict[str, Tensor]:
        """What a weights file of this branch holds: all but the high-resolution network and the shared layer."""
        return {key: value for key, value in self.state_dict().items() if not key.startswith(("high.", "low.final."))}

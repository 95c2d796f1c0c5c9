"""The two branches of AR-Seg and what joins them: CReFF and one final layer."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from arseg.creff import CREFF, PAPER, Convention
from arseg.fusions import build_fusion
from arseg.locations import LOCATIONS
from arseg.options import Options
from vssbench.networks.base import SegmentationNetwork
from vssbench.ops.resize import resize, scaled_size


class ARSegNetwork(nn.Module):
    """High-resolution branch (frozen), low-resolution branch of the same architecture, CReFF (AR-Seg, fig. 2).

    The low-resolution branch starts as a copy of the high-resolution one, and keeps using its final layer,
    which stays frozen (FST's implicit constraint, sec. 3.3), unless the options have it train its own.

    Args:
        high: trained at full resolution.
        scale: of the low-resolution branch's input.
        options: which of it is there, see `arseg.options`.
        convention: see `arseg.creff.Convention`.

    Raises: UsageError, when the network cannot be cut where the options fuse.
    """

    def __init__(
        self, high: SegmentationNetwork, *, scale: float, options: Options = CREFF, convention: Convention = PAPER
    ) -> None:
        super().__init__()
        self.scale = scale
        self.options = options
        self.convention = convention
        self._location = LOCATIONS[options.location]
        # high may be frozen already, by another branch
        self.low = copy.deepcopy(high).requires_grad_(True) if options.has_branch else None
        self.high = high.requires_grad_(False).eval()
        if self.low is not None and options.shared_final:
            self.low.final = self.high.final
        self.creff = build_fusion(self._location.channels(high), options=options, convention=convention)

    def train(self, mode: bool = True) -> ARSegNetwork:
        """Put the trainable parts into training mode; the high-resolution branch never leaves evaluation mode."""
        super().train(mode)
        self.high.eval()
        return self

    def key_maps(self, images: Tensor) -> Tensor:
        """F_I: images (N, 3, H, W) -> what of a key frame is kept and fused, (N, C, h, w)."""
        return self._location.head(self.high, images)

    def low_maps(self, images: Tensor) -> Tensor | None:
        """f_P: full-resolution images (N, 3, H, W) -> maps (N, C, h, w) of the low-resolution branch."""
        if self.low is None:
            return None
        size = scaled_size((images.shape[-2], images.shape[-1]), self.scale)
        return self._location.head(self.low, resize(images, size, align_corners=self.convention.align_corners))

    def key_logits(self, maps: Tensor) -> Tensor:
        """Maps of a key frame -> its logits."""
        return self.high.classify(self._location.tail(self.high, maps))

    def finish(self, fused: Tensor) -> Tensor:
        """Fused maps of another frame -> its features before the final layer, by the branch that made them."""
        return self._location.tail(self._branch, fused)

    def classify(self, features: Tensor) -> Tensor:
        """Features before the final layer of another frame -> its logits."""
        return self._branch.classify(features)

    @property
    def _branch(self) -> SegmentationNetwork:
        return self.high if self.low is None else self.low

    def branch_tensors(self) -> dict[str, Tensor]:
        """What a weights file of this branch holds: all but the high-resolution network and what it shares."""
        return {key: value for key, value in self.state_dict().items() if not key.startswith(self.shared_prefixes)}

    @property
    def shared_prefixes(self) -> tuple[str, ...]:
        """How the names of tensors begin that are the high-resolution network's."""
        return ("high.", "low.final.") if self.options.shared_final else ("high.",)

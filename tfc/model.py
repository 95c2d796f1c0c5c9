"""SegFormer in two parts, and what TFC adds between them (paper, fig. 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tfc.options import FIXED_KEY_WEIGHT, Options
from tfc.similarity import cosine_similarity, interpolated
from vssbench.errors import UsageError
from vssbench.networks.base import SegmentationNetwork
from vssbench.networks.segformer import SegFormer
from vssbench.ops.deformable_attention import DeformableEncoderLayer
from vssbench.ops.resize import resize

OWN_LEVELS = 2  # that a non-key frame computes itself (Eq. 4)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pyramid:
    """The decoder's inputs of a frame.

    Args:
        levels: four projected maps, (N, D, h_l, w_l) at 1/4, 1/8, 1/16 and 1/32.
        resized: the same at 1/4, (N, D, h, w) each.
    """

    levels: tuple[Tensor, ...]
    resized: tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class KeyFeatures:
    """What of a key frame is kept: its pyramid and z, the features (N, D, h, w) before the final layer."""

    pyramid: Pyramid
    features: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class OtherFeatures:
    """What a non-key frame gives: z' (N, D, h, w), the similarity w (N, 1, h, w), and the share of updated points.

    The last two are None where the options have no use for them.
    """

    features: Tensor
    similarity: Tensor | None
    share: float | None


class TFCNetwork(nn.Module):
    """SegFormer, whose third and fourth stage run on key frames alone.

    The operations are the paper's: a key frame is exactly SegFormer's; of another frame stages 1 and 2 run, the levels
    3 and 4 are the key frame's, the joined features are updated where the similarity is low, then interpolated with the
    key frame's. Figure 1 has the update first; the text does not say.

    The update is one encoder layer of Deformable DETR (8 heads, 4 levels, 4 points) on the projected pyramid, with its
    feed-forward part: the paper gives neither, and of what was tried this comes nearest to its printed 0.7 M parameters
    at D = 256 (0.757 M; attention alone is 0.230 M).

    Args:
        network: is changed in training, with what is added.
        options: which of it is there.

    Raises: UsageError, for a network that is no SegFormer.
    """

    def __init__(self, network: SegmentationNetwork, *, options: Options) -> None:
        super().__init__()
        if not isinstance(network, SegFormer):
            raise UsageError(
                f"TFC runs on SegFormer, whose stages can be run apart; got {type(network).__name__}: give "
                "--network segformer-b0 or another of its sizes"
            )
        self.network = network
        self.options = options
        self.update: DeformableEncoderLayer | None = None
        if options.updated:
            self.update = DeformableEncoderLayer(network.feature_channels, normalise=options.normalise)

    def key(self, images: Tensor) -> KeyFeatures:
        """A key frame: images (N, 3, H, W) in 0..1."""
        pyramid = self._pyramid(self.network.extract(self.network.normalise(images)))
        return KeyFeatures(pyramid=pyramid, features=self.network.decoder.join(list(pyramid.resized)))

    def other(self, images: Tensor, key: KeyFeatures, *, share: float | None = None) -> OtherFeatures:
        """Any other frame, given its key frame.

        Args:
            images: (N, 3, H, W) in 0..1; in evaluation N is 1.
            key: of as many frames.
            share: of the points that are taken to be updated, on tensors without values; None finds them.
        """
        pyramid = self.with_own_levels(images, key)
        features = self.network.decoder.join(list(pyramid.resized))
        similarity = None
        if self.options.reads_similarity:
            at = self.options.similarity_level - 1
            similarity = cosine_similarity(key.pyramid.resized[at], pyramid.resized[at])
        if self.update is not None and similarity is not None:
            features, share = self._updated(self.update, features, pyramid, similarity, share)
        else:
            share = None
        weight = self._key_weight(similarity)
        if weight is not None:
            features = interpolated(key.features, features, weight)
        return OtherFeatures(features=features, similarity=similarity, share=share)

    def with_own_levels(self, images: Tensor, key: KeyFeatures) -> Pyramid:
        """A frame's own two finest levels over the key frame's others (Eq. 4)."""
        x = self.network.normalise(images)
        levels = []
        for index in range(OWN_LEVELS):
            x = self.network.stage(index, x)
            levels.append(x)
        own = self._pyramid(tuple(levels))
        return Pyramid(
            levels=own.levels + key.pyramid.levels[OWN_LEVELS:], resized=own.resized + key.pyramid.resized[OWN_LEVELS:]
        )

    def classify(self, features: Tensor) -> Tensor:
        """Features (N, D, h, w) -> logits (N, K, h, w), by the one layer that all frames share."""
        return self.network.classify(self.network.dropout(features))

    def resized(self, levels: tuple[Tensor, ...], size: tuple[int, int]) -> tuple[Tensor, ...]:
        """Projected levels at the size of the finest."""
        return tuple(resize(level, size) for level in levels)

    def _pyramid(self, extracted: tuple[Tensor, ...]) -> Pyramid:
        decoder = self.network.decoder
        levels = tuple(decoder.project(index, x) for index, x in enumerate(extracted))
        return Pyramid(levels=levels, resized=self.resized(levels, (levels[0].shape[-2], levels[0].shape[-1])))

    def _updated(
        self,
        update: DeformableEncoderLayer,
        features: Tensor,
        pyramid: Pyramid,
        similarity: Tensor,
        share: float | None,
    ) -> tuple[Tensor, float]:
        """The features, updated at the points that are less similar than the threshold, and their share.

        How many there are is read back from the device: the next operations' sizes depend on it.
        """
        if share is not None:
            index = torch.arange(round(share * similarity.numel()), device=features.device)
            return update.update_points(features, pyramid.levels, index), share
        # a threshold of 1 selects all points (paper, sec. 4.3); rounding alone would decide where nothing has changed
        low = similarity < (self.options.threshold if self.options.threshold < 1 else float("inf"))
        index = low.flatten().nonzero()[:, 0]
        return update.update_points(features, pyramid.levels, index), index.numel() / similarity.numel()

    def _key_weight(self, similarity: Tensor | None) -> Tensor | float | None:
        """The weight of the key frame's features; None where they are not mixed in."""
        if self.options.interpolation == "fixed":
            return FIXED_KEY_WEIGHT
        if similarity is None or self.options.interpolation == "none":
            return None
        if self.options.interpolation == "hard":
            return (similarity >= self.options.threshold).to(similarity.dtype)
        return similarity.clamp(0, 1)

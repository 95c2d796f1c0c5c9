"""Key-frame reuse without motion: of the whole prediction, or of the high-level features alone.

Source: Clockwork Convnets (Shelhamer et al., ECCV-W 2016), which runs the shallow stage on every frame and
keeps the deep stage's scores until its clock fires; here the clock is the stream's GOP. TFC's "feature reuse"
is the same idea.
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.key_frames import is_key_frame
from vssbench.errors import UsageError
from vssbench.networks.base import SegmentationNetwork
from vssbench.ops.images import labels_from_logits, to_tensor
from vssbench.records import CompressedFrame, LabelMap, Method, Step


class PredictionReuse(Method):
    """The key frame's labels, copied unmoved until the next I frame: the cheapest method there is.

    Kinds: "key" (the network on the full frame) and "copy".

    Args:
        network: runs on key frames.
        device: where it runs.
    """

    def __init__(self, *, network: SegmentationNetwork, device: torch.device | str) -> None:
        self._network = network.to(device).eval()
        self._device = torch.device(device)
        self._labels: LabelMap | None = None
        self.needs = frozenset()
        self.condition = {"reuse": "prediction"}

    def reset(self) -> None:
        """Forget the key frame's labels."""
        self._labels = None

    @torch.inference_mode()
    def step(self, frame: CompressedFrame) -> Step:
        """Label one frame: an I frame by the network, any other by the last I frame's labels.

        Raises: BitstreamError, when the stream does not open with an I frame.
        """
        kind = "copy"
        if is_key_frame(frame, started=self._labels is not None):
            logits = self._network(to_tensor(frame.rgb, device=self._device))
            self._labels = labels_from_logits(logits, size=frame.rgb.shape[:2])
            kind = "key"
        return Step(labels=self._labels.copy(), kind=kind)

    def modules(self) -> tuple[SegmentationNetwork, ...]:
        """The network."""
        return (self._network,)


class FeatureReuse(Method):
    """The key frame's high-level features under every frame's own low-level ones.

    Kinds: "key" (both levels) and "low-level" (the high-level part is skipped). The features are not moved.
    On a key frame the result equals the network's own.

    Args:
        network: offers `low_level`, `high_level` and `fuse`, as BiSeNet18 does.
        device: where it runs.
    Raises: UsageError, when the network cannot be split so.
    """

    def __init__(self, *, network: SegmentationNetwork, device: torch.device | str) -> None:
        missing = [name for name in ("low_level", "high_level", "fuse") if not hasattr(network, name)]
        if missing:
            raise UsageError(
                "feature reuse needs a network with low_level, high_level and fuse; "
                f"{type(network).__name__} lacks {', '.join(missing)}: "
                "use BiSeNet18, or reuse the prediction instead"
            )
        self._network = network.to(device).eval()
        self._device = torch.device(device)
        self._high: Tensor | None = None
        self.needs = frozenset()
        self.condition = {"reuse": "features"}

    def reset(self) -> None:
        """Forget the key frame's features."""
        self._high = None

    @torch.inference_mode()
    def step(self, frame: CompressedFrame) -> Step:
        """Label one frame, running the high-level part on I frames only.

        Raises: BitstreamError, when the stream does not open with an I frame.
        """
        kind = "low-level"
        images = to_tensor(frame.rgb, device=self._device)
        if is_key_frame(frame, started=self._high is not None):
            self._high = self._network.high_level(images)
            kind = "key"
        features = self._network.fuse(self._network.low_level(images), self._high)
        labels = labels_from_logits(self._network.classify(features), size=frame.rgb.shape[:2])
        return Step(labels=labels, kind=kind)

    def modules(self) -> tuple[SegmentationNetwork, ...]:
        """The network."""
        return (self._network,)

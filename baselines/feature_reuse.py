"""Key-frame reuse without motion: of the whole prediction, or of the high-level features alone.

Source: Clockwork Convnets (Shelhamer et al., ECCV-W 2016), which runs the shallow stage on every frame and
keeps the deep stage's scores until its clock fires; here the clock is the stream's GOP, or a fixed rate. TFC's
"feature reuse" is the same idea.
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.key_frames import KeyFrames
from vssbench.errors import UsageError
from vssbench.networks.base import SegmentationNetwork
from vssbench.ops.images import labels_from_logits, to_tensor
from vssbench.records import CompressedFrame, LabelMap, Method, Step


class PredictionReuse(Method):
    """The key frame's labels, copied unmoved until the next one: the cheapest method there is.

    Kinds: "key" (the network on the full frame) and "copy".

    Args:
        network: runs on key frames.
        device: where it runs.
        interval: of the key frames, see `key_frames.KeyFrames`; None: the I frames.
    """

    def __init__(
        self, *, network: SegmentationNetwork, device: torch.device | str, interval: int | None = None
    ) -> None:
        self._network = network.to(device).eval()
        self._device = torch.device(device)
        self._keys = KeyFrames(interval)
        self._labels: LabelMap | None = None
        self.needs = frozenset()
        self.condition = {"reuse": "prediction", **_interval(interval)}

    def reset(self) -> None:
        """Forget the key frame's labels."""
        self._labels = None
        self._keys.reset()

    @torch.inference_mode()
    def step(self, frame: CompressedFrame) -> Step:
        """Label one frame: a key frame by the network, any other by the last key frame's labels.

        Raises: BitstreamError, when the stream does not open with an I frame.
        """
        kind = "copy"
        if self._keys.is_key(frame) or self._labels is None:
            logits = self._network(to_tensor(frame.rgb, device=self._device))
            self._labels = labels_from_logits(logits, size=frame.rgb.shape[:2])
            kind = "key"
        return Step(labels=self._labels.copy(), kind=kind)

    def modules(self) -> tuple[SegmentationNetwork, ...]:
        """The network."""
        return (self._network,)


class FeatureReuse(Method):
    """The key frame's high-level features under every frame's own low-level ones.

    Kinds: "key" (both levels) and "low-level" (the high-level part is skipped). The features are not moved. On
    SegFormer this is TFC without its two modules (`tfc.options`, variant "reuse").
    On a key frame the result equals the network's own.

    Args:
        network: offers `low_level`, `high_level` and `fuse`, as BiSeNet18 does.
        device: where it runs.
        interval: of the key frames, see `key_frames.KeyFrames`; None: the I frames.
    Raises: UsageError, when the network cannot be split so.
    """

    def __init__(
        self, *, network: SegmentationNetwork, device: torch.device | str, interval: int | None = None
    ) -> None:
        missing = [name for name in ("low_level", "high_level", "fuse") if not hasattr(network, name)]
        if missing:
            raise UsageError(
                "feature reuse needs a network with low_level, high_level and fuse; "
                f"{type(network).__name__} lacks {', '.join(missing)}: "
                "use BiSeNet18, or reuse the prediction instead"
            )
        self._network = network.to(device).eval()
        self._device = torch.device(device)
        self._keys = KeyFrames(interval)
        self._high: Tensor | None = None
        self.needs = frozenset()
        self.condition = {"reuse": "features", **_interval(interval)}

    def reset(self) -> None:
        """Forget the key frame's features."""
        self._high = None
        self._keys.reset()

    @torch.inference_mode()
    def step(self, frame: CompressedFrame) -> Step:
        """Label one frame, running the high-level part on key frames only.

        Raises: BitstreamError, when the stream does not open with an I frame.
        """
        kind = "low-level"
        images = to_tensor(frame.rgb, device=self._device)
        if self._keys.is_key(frame) or self._high is None:
            self._high = self._network.high_level(images)
            kind = "key"
        features = self._network.fuse(self._network.low_level(images), self._high)
        labels = labels_from_logits(self._network.classify(features), size=frame.rgb.shape[:2])
        return Step(labels=labels, kind=kind)

    def modules(self) -> tuple[SegmentationNetwork, ...]:
        """The network."""
        return (self._network,)


def _interval(interval: int | None) -> dict[str, int]:
    """The part of a condition that says where the key frames are, if not at the I frames."""
    return {} if interval is None else {"interval": interval}

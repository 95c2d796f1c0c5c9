"""TFC (Lin et al., AAAI 2024) as a method: state from the key frame, one frame at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from baselines.key_frames import KeyFrames, motion_of
from tfc.model import OWN_LEVELS, KeyFeatures, Pyramid, TFCNetwork
from tfc.options import INTERVAL
from vssbench.errors import BitstreamError
from vssbench.ops.images import labels_from_logits, to_tensor
from vssbench.ops.warp import flow_for_grid, warp
from vssbench.records import CompressedFrame, Method, Step


class TFC(Method):
    """SegFormer on every fourth frame, its first two stages and TFC on those between.

    Kinds: "key", and "non-key", whose share is that of the updated points (none without deformable attention). Key
    frames are counted from the first frame of the stream, wherever its I frames are; where the options warp, I frames
    are key frames too, as they have no vectors.

    Args:
        network: with its options.
        device: where it runs.
        interval: frames from one key frame to the next; the paper trains with 4 and tests 4 to 9.
    """

    def __init__(self, network: TFCNetwork, *, device: torch.device | str, interval: int = INTERVAL) -> None:
        self._network = network.to(device).eval()
        self._device = torch.device(device)
        self._keys = KeyFrames(interval, at_i_frames=network.options.warp)
        self._key: KeyFeatures | None = None
        self.needs = frozenset({"motion"} if network.options.warp else ())

    @property
    def condition(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The interval, the threshold where one is looked at, and what a variant changes."""
        options = self._network.options
        threshold = {"threshold": options.threshold} if options.reads_threshold else {}
        return {"interval": self._keys.interval, **threshold, **options.changed()}

    def modules(self) -> Sequence[Any]:
        """The network and what TFC adds."""
        return (self._network,)

    def reset(self) -> None:
        """Forget the key frame."""
        self._key = None
        self._keys.reset()

    @torch.inference_mode()
    def step(self, frame: CompressedFrame) -> Step:
        """Label one frame.

        Raises: BitstreamError, when the stream does not open with an I frame, or a frame lacks its vectors.
        """
        images = to_tensor(frame.rgb, device=self._device)
        size = (frame.rgb.shape[0], frame.rgb.shape[1])
        if self._keys.is_key(frame) or self._key is None:
            self._key = self._network.key(images)
            logits = self._network.classify(self._key.features)
            return Step(labels=labels_from_logits(logits, size=size), kind="key")
        if self._network.options.warp:
            self._key = self._moved(self._key, frame)
        other = self._network.other(images, self._key, share=self.assumed_share)
        logits = self._network.classify(other.features)
        return Step(labels=labels_from_logits(logits, size=size), kind="non-key", share=other.share)

    def _moved(self, key: KeyFeatures, frame: CompressedFrame) -> KeyFeatures:
        """The key frame's coarse levels, one frame further along the vectors; intra blocks stay where they are."""
        motion = motion_of(frame)
        if int(motion.frames_back.max()) > 1 or int(motion.frames_back.min()) < 0:
            raise BitstreamError(
                f"frame {frame.index}: vectors must point to the frame before, to move features from frame to frame; "
                "encode with one reference frame and no B frames"
            )
        pyramid = key.pyramid
        levels = pyramid.levels[:OWN_LEVELS] + tuple(
            warp(level, flow_for_grid(motion, (level.shape[-2], level.shape[-1]), device=level.device))
            for level in pyramid.levels[OWN_LEVELS:]
        )
        finest = (levels[0].shape[-2], levels[0].shape[-1])
        resized = pyramid.resized[:OWN_LEVELS] + self._network.resized(levels[OWN_LEVELS:], finest)
        return KeyFeatures(pyramid=Pyramid(levels=levels, resized=resized), features=key.features)

"""AR-Seg as a method under test: key frames at full resolution, the others at a fraction of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from arseg.model import ARSegNetwork
from vssbench.errors import BitstreamError
from vssbench.ops.images import labels_from_logits, to_tensor
from vssbench.ops.resize import resize
from vssbench.ops.warp import flow_for_grid
from vssbench.records import CompressedFrame, Method, Step


class ARSeg(Method):
    """AR-Seg (Hu et al., CVPR 2023): the I frame is the key frame; motion is traced back to it.

    Kinds of step: "key" (the high-resolution network), "non-key" (low-resolution branch, CReFF, final layer).

    Args:
        network: both branches, trained.
        device: of the network.
    """

    needs = frozenset({"motion_to_key"})

    def __init__(self, network: ARSegNetwork, *, device: torch.device) -> None:
        self._network = network.to(device).eval()
        self._device = device
        self._key_features: Tensor | None = None

    @property
    def condition(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The options of this member of the family."""
        return {
            "scale": self._network.scale,
            "window": self._network.creff.window,
            "convention": self._network.convention.name,
        }

    def modules(self) -> Sequence[Any]:
        """Both branches and CReFF."""
        return (self._network,)

    def reset(self) -> None:
        """Forget the key frame."""
        self._key_features = None

    @torch.inference_mode()
    def step(self, frame: CompressedFrame) -> Step:
        """Label one frame.

        Raises: BitstreamError, when the stream does not open with an I frame or the frame lacks its vectors.
        """
        images = to_tensor(frame.rgb, device=self._device)
        if frame.frame_type == "I":
            features = self._key_features = self._network.high.features(images)
        else:
            features = self._fused_features(frame, images)
        logits = self._network.high.classify(features)
        height, width = frame.rgb.shape[:2]
        logits = resize(logits, (height, width), align_corners=self._network.convention.align_corners)
        labels = labels_from_logits(logits, size=(height, width))
        return Step(labels=labels, kind="key" if frame.frame_type == "I" else "non-key")

    def _fused_features(self, frame: CompressedFrame, images: Tensor) -> Tensor:
        if self._key_features is None or frame.motion_to_key is None:
            what = "an I frame before it" if self._key_features is None else "vectors traced to the key frame"
            raise BitstreamError(
                f"AR-Seg needs {what} at frame {frame.index} ({frame.frame_type}); start at an I frame and "
                "decode with motion_to_key"
            )
        size = (self._key_features.shape[-2], self._key_features.shape[-1])
        flow = flow_for_grid(
            frame.motion_to_key,
            size,
            device=self._device,
            scale_rule=self._network.convention.scale_rule,
            align_corners=self._network.convention.align_corners,
        )
        fused: Tensor = self._network.creff(self._key_features, self._network.low_features(images), flow)
        return fused

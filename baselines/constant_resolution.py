"""Every frame through one network at one scale: the anchor that efficient methods are compared with."""

from __future__ import annotations

import torch

from vssbench.errors import UsageError
from vssbench.networks.base import SegmentationNetwork
from vssbench.ops.images import labels_from_logits, to_tensor
from vssbench.ops.resize import resize, scaled_size
from vssbench.records import CompressedFrame, Method, Step


class ConstantResolution(Method):
    """Segments each frame on its own, shrunk by `scale`; the logits are enlarged to the frame, then argmax.

    It keeps no state and reads no side information, so every step is of the kind "frame".

    Args:
        network: trained at this scale.
        scale: of both sides, above 0; 1.0 is the full frame. Sizes are int(H * scale), as AR-Seg's.
        device: where the network runs.
        align_corners: how input and logits are resized; False samples pixel centres (the house convention),
            True is AR-Seg's released program (its evaluation resizes both with align_corners=True).
    Raises: UsageError, when `scale` is not a positive number.
    """

    def __init__(
        self,
        *,
        network: SegmentationNetwork,
        scale: float,
        device: torch.device | str,
        align_corners: bool = False,
    ) -> None:
        if not 0.0 < scale < float("inf"):
            raise UsageError(f"scale must be a positive number, got {scale}; use e.g. 0.5")
        self._network = network.to(device).eval()
        self._scale = scale
        self._device = torch.device(device)
        self._align_corners = align_corners
        self.needs = frozenset()
        self.condition = {"scale": scale, "align_corners": align_corners}

    @torch.inference_mode()
    def step(self, frame: CompressedFrame) -> Step:
        """Label one frame by itself."""
        size = frame.rgb.shape[:2]
        images = to_tensor(frame.rgb, device=self._device)
        images = resize(images, scaled_size(size, self._scale), align_corners=self._align_corners)
        logits = resize(self._network(images), size, align_corners=self._align_corners)
        return Step(labels=labels_from_logits(logits, size=size), kind="frame")

    def modules(self) -> tuple[SegmentationNetwork, ...]:
        """The network."""
        return (self._network,)

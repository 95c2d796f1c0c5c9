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
    `arseg.options` says what its variants leave out or exchange, and what of the side information they do not read.

    Args:
        network: both branches, trained.
        device: of the network.
    """

    def __init__(self, network: ARSegNetwork, *, device: torch.device) -> None:
        self._network = network.to(device).eval()
        self._device = device
        self._key_maps: Tensor | None = None
        self.needs = frozenset({"motion_to_key"} if network.options.reads_motion else ())

    @property
    def condition(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The options of this member of the family: those that it has, and those that a variant changes."""
        options = self._network.options
        own = {"scale": self._network.scale} if options.has_branch else {}
        if options.fusion == "local":
            own["window"] = options.window
        return {**own, "convention": self._network.convention.name, **options.changed()}

    def modules(self) -> Sequence[Any]:
        """Both branches and CReFF."""
        return (self._network,)

    def reset(self) -> None:
        """Forget the key frame."""
        self._key_maps = None

    @torch.inference_mode()
    def step(self, frame: CompressedFrame) -> Step:
        """Label one frame.

        Raises: BitstreamError, when the stream does not open with an I frame or the frame lacks its vectors.
        """
        images = to_tensor(frame.rgb, device=self._device)
        if frame.frame_type == "I":
            self._key_maps = self._network.key_maps(images)
            logits = self._network.key_logits(self._key_maps)
        else:
            features = self._network.finish(self._fused(frame, images))
            logits = self._network.classify(features)
        height, width = frame.rgb.shape[:2]
        logits = resize(logits, (height, width), align_corners=self._network.convention.align_corners)
        labels = labels_from_logits(logits, size=(height, width))
        return Step(labels=labels, kind="key" if frame.frame_type == "I" else "non-key")

    def _fused(self, frame: CompressedFrame, images: Tensor) -> Tensor:
        if self._key_maps is None:
            raise _unusable(frame, "an I frame before it")
        flow = self._flow(frame, self._key_maps) if self._network.options.reads_motion else None
        fused: Tensor = self._network.creff(self._key_maps, self._network.low_maps(images), flow)
        return fused

    def _flow(self, frame: CompressedFrame, key_maps: Tensor) -> Tensor:
        if frame.motion_to_key is None:
            raise _unusable(frame, "vectors traced to the key frame")
        return flow_for_grid(
            frame.motion_to_key,
            (key_maps.shape[-2], key_maps.shape[-1]),
            device=self._device,
            scale_rule=self._network.convention.scale_rule,
            align_corners=self._network.convention.align_corners,
        )


def _unusable(frame: CompressedFrame, what: str) -> BitstreamError:
    return BitstreamError(
        f"AR-Seg needs {what} at frame {frame.index} ({frame.frame_type}); start at an I frame and "
        "decode with motion_to_key"
    )

"""FFW: the score map of the previous frame, moved along the frame's motion vectors.

Source: TapLab (Feng et al., TPAMI 2020), sec. 3.2.2, Eq. 1, Alg. 1 line 10; its released program
(Sixkplus/TapLab @319801b) where named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vssbench.errors import BitstreamError, UsageError
from vssbench.networks.base import SegmentationNetwork
from vssbench.ops.resize import resize
from vssbench.ops.warp import Grid, Padding, flow_for_grid, warp
from vssbench.records import MotionField

Propagate = Literal["scores-full", "logits-grid"]


@dataclass(frozen=True, kw_only=True)
class FeatureWarp:
    """What FFW carries from frame to frame, and how it is sampled.

    Args:
        propagate: "scores-full" carries the scores upsampled to the H x W frame: the paper indexes F by p in
            H x W (Eq. 1) and by H x W in its loss (Eq. 5), and the released networks return full-size maps.
            The released maps are log-softmax, which takes the same number off every class of a pixel; warp
            and blend are linear and alike for all classes, so the labels are those of the plain scores kept
            here (tested). "logits-grid" carries the network's own, smaller grid, as most feature-warping
            systems do: cheaper, but vectors shorter than a cell move it by fractions of one.
        grid: "exact", or "taplab-release", whose grid moves even a still picture by half a pixel a frame.
        padding: what a vector finds outside the frame: "border", the nearest pixel, which is what the codecs
            predict from, or "zeros" (released program), which labels it class 0. The paper does not say.
        max_frames_back: how many past maps are kept. 1 is the paper's setting: MPEG-4 Part 2 P frames refer
            to the frame before. Streams with more references (H.264, HEVC) need as many maps as the most
            distant one.
    Raises: UsageError, when an option is out of its range.
    """

    propagate: Propagate = "scores-full"
    grid: Grid = "exact"
    padding: Padding = "border"
    max_frames_back: int = 1

    def __post_init__(self) -> None:
        known = {
            "propagate": ("scores-full", "logits-grid"),
            "grid": ("exact", "taplab-release"),
            "padding": ("border", "zeros"),
        }
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise UsageError(f"{name} must be one of {', '.join(values)}, got {getattr(self, name)!r}")
        if self.max_frames_back < 1:
            raise UsageError(f"max_frames_back must be at least 1, got {self.max_frames_back}")

    @property
    def condition(self) -> dict[str, Any]:
        """Every option, to be stored with the results."""
        return {
            "ffw_propagate": self.propagate,
            "ffw_grid": self.grid,
            "ffw_padding": self.padding,
            "ffw_max_frames_back": self.max_frames_back,
        }

    def scores(self, network: SegmentationNetwork, images: Tensor) -> Tensor:
        """The network's map F: images (N, 3, H, W) -> (N, K, H, W), or (N, K, h, w) under "logits-grid"."""
        logits: Tensor = network(images)
        if self.propagate == "logits-grid":
            return logits
        return resize(logits, (images.shape[2], images.shape[3]))

    def references(self, motion: MotionField) -> tuple[int, ...]:
        """How many frames back the maps lie that this frame is warped from, nearest first; never empty.

        A block without a vector (intra) stays where it was one frame earlier: FFW has nothing better for it,
        and leaves it to RGC and RGFS.

        Raises: BitstreamError, when a vector points to a later frame or further back than `max_frames_back`.
        """
        nearest, furthest = int(motion.frames_back.min()), int(motion.frames_back.max())
        if nearest < 0:
            raise BitstreamError(
                f"FFW goes forward in time, but vectors point to a frame {-nearest} later (B frames); "
                "encode with I and P frames only, as TapLab does (sec. 3.3.2)"
            )
        if furthest > self.max_frames_back:
            raise BitstreamError(
                f"vectors point {furthest} frames back, FFW keeps {self.max_frames_back}; "
                f"encode with one reference frame, or pass FeatureWarp(max_frames_back={furthest})"
            )
        if furthest <= 1:
            return (1,)
        used = np.flatnonzero(np.bincount(motion.frames_back.ravel(), minlength=2))
        return tuple(sorted({max(int(distance), 1) for distance in used}))

    def propagated(self, history: Sequence[Tensor], motion: MotionField, references: Sequence[int]) -> Tensor:
        """Eq. 1: every position fetches its scores from where its vector points.

        F_t[p] = F_{t-1}[p + flow[p]]; our flow is the negative of the paper's Mv. With several references
        each position reads its own.

        Args:
            history: the last maps (1, K, h, w), oldest first, each as corrected by RGC and RGFS.
            motion: of the frame to label.
            references: what `references` says of it.
        Returns: (1, K, h, w), a new tensor.
        Raises: BitstreamError, when the vectors point past the start of the stream.
        """
        if references[-1] > len(history):
            raise BitstreamError(
                f"vectors point {references[-1]} frames back, but only {len(history)} came before; "
                "start the stream at the I frame that opens their GOP"
            )
        latest = history[-1]
        size = (latest.shape[2], latest.shape[3])
        flow_px = flow_for_grid(motion, size, device=latest.device)
        moved = [warp(history[-n], flow_px, padding=self.padding, grid=self.grid) for n in references]
        result = moved[0]
        for distance, other in zip(references[1:], moved[1:], strict=True):
            mask = torch.from_numpy(_on_grid(motion.frames_back, size) == distance).to(latest.device)
            result = torch.where(mask, other, result)
        return result


def _on_grid(frames_back: NDArray[np.int16], size: tuple[int, int]) -> NDArray[np.int16]:
    """The value at the pixel under each cell's centre: distances cannot be averaged."""
    rows, columns = (
        ((2 * np.arange(cells) + 1) * pixels) // (2 * cells)
        for cells, pixels in zip(size, frames_back.shape, strict=True)
    )
    return frames_back[np.ix_(rows, columns)]

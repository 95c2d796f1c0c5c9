"""TapLab: segment I frames, warp the rest, and let the residual say where and when to segment again.

Source: Feng et al., "TapLab: A Fast Framework for Semantic Video Segmentation Tapping into Compressed-Domain
Knowledge", TPAMI 2020, Alg. 1; the modules FFW, RGC and RGFS are in the files beside this one.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.feature_warp import FeatureWarp
from baselines.frame_selection import FrameSelection, mean_abs_residual
from baselines.key_frames import is_key_frame, motion_of, residual_of
from baselines.residual_correction import RegionCorrection
from vssbench.networks.base import SegmentationNetwork
from vssbench.ops.images import labels_from_logits, to_tensor
from vssbench.ops.resize import resize
from vssbench.records import CompressedFrame, Method, Step


class TapLab(Method):
    """Alg. 1 over any network; without `correction` or `selection`, the smaller combinations of Fig. 4.

    Kinds of step: "key" (an I frame), "selected" (a P frame that RGFS has segmented in full: the same work as
    "key", named apart so that its rate is stored), "warp", and "warp+region" where RGC is on. A frame whose
    vectors point to n > 1 different frames is warped n times and called "warp-n" or "warp-n+region".

    Args:
        network: segments I frames, selected frames and regions, with the same weights (sec. 3.3.2).
        device: where it runs.
        correction: RGC, or None to leave it out.
        selection: RGFS, or None to leave it out.
        warping: FFW's options.
    """

    _history: deque[Tensor]  # score maps, oldest first
    _accumulated: NDArray[np.int64] | None  # RGC's sums under the released rule
    _cumulative_mean: float  # of |residual| since the last full frame, for RGFS's released rule

    def __init__(
        self,
        *,
        network: SegmentationNetwork,
        device: torch.device | str,
        correction: RegionCorrection | None,
        selection: FrameSelection | None,
        warping: FeatureWarp | None = None,
    ) -> None:
        self._network = network.to(device).eval()
        self._device = torch.device(device)
        self._correction = correction
        self._selection = selection
        self._warping = FeatureWarp() if warping is None else warping
        self.needs = frozenset({"motion"} if correction is None and selection is None else {"motion", "residual"})
        parts = [part for part in (self._warping, correction, selection) if part is not None]
        self.condition = {
            "rgc": correction is not None,
            "rgfs": selection is not None,
            **{name: value for part in parts for name, value in part.condition.items()},
        }
        self.reset()

    def reset(self) -> None:
        """Forget the score maps and whatever RGC and RGFS have added up."""
        self._history = deque(maxlen=self._warping.max_frames_back)
        self._forget_residuals()

    @torch.inference_mode()
    def step(self, frame: CompressedFrame) -> Step:
        """Label one frame (Alg. 1, lines 2-13).

        Raises: BitstreamError, when the stream does not open with an I frame, a later frame lacks its motion
            or residual, or its vectors point where no score map is kept.
        """
        kind = self._advance(frame)
        return Step(labels=labels_from_logits(self._history[-1], size=frame.rgb.shape[:2]), kind=kind)

    def modules(self) -> tuple[SegmentationNetwork, ...]:
        """The network; FFW, RGC and RGFS have no parameters."""
        return (self._network,)

    def _advance(self, frame: CompressedFrame) -> str:
        if is_key_frame(frame, started=bool(self._history)):
            self._segment(frame)
            return "key"
        motion = motion_of(frame)
        if self._selects(frame):
            self._segment(frame)
            return "selected"
        references = self._warping.references(motion)
        scores = self._warping.propagated(self._history, motion, references)
        kind = "warp" if len(references) == 1 else f"warp-{len(references)}"
        if self._correction is not None:
            self._correct(scores, frame, self._correction)
            kind += "+region"
        self._history.append(scores)
        return kind

    def _segment(self, frame: CompressedFrame) -> None:
        images = to_tensor(frame.rgb, device=self._device)
        self._history.append(self._warping.scores(self._network, images))
        self._forget_residuals()

    def _selects(self, frame: CompressedFrame) -> bool:
        if self._selection is None:
            return False
        mean = mean_abs_residual(residual_of(frame))
        self._cumulative_mean += mean
        return self._selection.selects(mean, cumulative_mean=self._cumulative_mean)

    def _correct(self, scores: Tensor, frame: CompressedFrame, correction: RegionCorrection) -> None:
        """Blend the network's scores of the worst region into the warped map (Eq. 6), in place."""
        region, self._accumulated = correction.choose(residual_of(frame), self._accumulated)
        crop = to_tensor(frame.rgb[region.rows, region.columns], device=self._device)
        frame_size, grid_size = frame.rgb.shape[:2], (scores.shape[2], scores.shape[3])
        cells = region.on_grid(frame_size=frame_size, grid_size=grid_size)
        fresh = resize(self._warping.scores(self._network, crop), (cells.height, cells.width))
        # lerp is (1 - blend) * warped + blend * fresh
        scores[:, :, cells.rows, cells.columns].lerp_(fresh, correction.blend)

    def _forget_residuals(self) -> None:
        self._accumulated = None
        self._cumulative_mean = 0.0

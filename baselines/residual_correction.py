"""RGC: re-segment the one region of a P frame that its motion vectors predict worst.

Source: TapLab, sec. 3.2.3 (Eq. 3), sec. 4.1.2 (sizes, threshold), sec. 4.2.3 (overlap, Eq. 6), Alg. 1 lines
11-12; its released program (Sixkplus/TapLab @319801b, infer_ffw_rgc_rgfs.py) where named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vssbench.errors import UsageError

PAPER_REGION_PX = 512  # TapLab, sec. 4.1.2, on 1024x2048 and 720x960 frames
PAPER_SMALLER_SIDE_PX = 720  # the smaller frame side of the two data sets it was chosen for
PAPER_THRESHOLD = 30  # THR_RGC, sec. 4.1.2; {10, 20, 30, 40} alike, sec. 3.3.2
RELEASED_BLEND = 0.6  # alpha of Eq. 6 in infer_ffw_rgc_rgfs.py; the paper gives no number

Rule = Literal["paper-indicator", "release-accumulated"]
Candidates = Literal["clamped", "release"]


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle of a frame in pixels, or of a grid in cells; `rows` and `columns` are its slices."""

    top: int
    left: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        """The rows it covers."""
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        """The columns it covers."""
        return slice(self.left, self.left + self.width)

    def on_grid(self, *, frame_size: tuple[int, int], grid_size: tuple[int, int]) -> Region:
        """The cells of a (h, w) grid over the same (H, W) frame that this region covers, to the nearest cell.

        Every region of one size covers the same number of cells, and at least one, inside the grid.
        """
        (H, W), (h, w) = frame_size, grid_size
        height = min(h, max(1, round(self.height * h / H)))
        width = min(w, max(1, round(self.width * w / W)))
        top = min(round(self.top * h / H), h - height)
        left = min(round(self.left * w / W), w - width)
        return Region(top=top, left=left, height=height, width=width)


@dataclass(frozen=True, kw_only=True)
class RegionCorrection:
    """How RGC picks its region and how much it trusts the network on it.

    The indicator of Eq. 3 is summed over p in R = H x W x C, so the three channels of a pixel count
    separately. The region with the highest score is taken; of equal ones the first, in rows from the top
    left. There is always one, even where the residual is zero: the paper's argmax has no "none", and the work
    per P frame stays the same.

    Args:
        region_px: (height, width); None follows the paper, 512x512 on frames of 720 lines and more, and below
            that keeps its share of the frame, 512 * (smaller side) / 720 to the nearest multiple of 32 (360
            -> 256). A region larger than the frame is cut to it.
        stride_px: between candidates along both axes; None is half the region's smaller side (256 for 512).
        threshold: |residual| above which a sample counts, grey levels; used by the paper's rule only.
        blend: alpha of Eq. 6, F = (1 - alpha) F_warped + alpha F_network. Alg. 1 line 12 sketches an
            overwrite (1.0), but sec. 4.2.3 states that Eq. 6 is what is used and that 1.0 is worse than
            values between (Fig. 11); it prints no value, so the default is the released program's 0.6.
        rule: "paper-indicator" (Eq. 3), or "release-accumulated": the sum of |residual| with no threshold,
            added up over the frames since the last key frame, the chosen region's sum set back to 0 (released
            program).
        candidates: "clamped" moves the last candidate of each axis back so that it ends at the border and
            every pixel can be corrected; "release" takes `range(size // region * 2 - 1)` steps of half a
            region, which leaves a 720x960 frame one candidate, at its top left.
    Raises: UsageError, when an option is out of its range.
    """

    region_px: tuple[int, int] | None = None
    stride_px: int | None = None
    threshold: int = PAPER_THRESHOLD
    blend: float = RELEASED_BLEND
    rule: Rule = "paper-indicator"
    candidates: Candidates = "clamped"

    def __post_init__(self) -> None:
        if self.region_px is not None and min(self.region_px) < 1:
            raise UsageError(f"region_px must be (height, width) of at least 1 pixel, got {self.region_px}")
        if self.stride_px is not None and self.stride_px < 1:
            raise UsageError(f"stride_px must be at least 1 pixel, got {self.stride_px}")
        if self.threshold < 0:
            raise UsageError(f"threshold must be 0 or more grey levels, got {self.threshold}")
        if not 0.0 <= self.blend <= 1.0:
            raise UsageError(f"blend must lie in 0..1, got {self.blend}")
        if self.rule not in ("paper-indicator", "release-accumulated"):
            raise UsageError(f'rule must be "paper-indicator" or "release-accumulated", got {self.rule!r}')
        if self.candidates not in ("clamped", "release"):
            raise UsageError(f'candidates must be "clamped" or "release", got {self.candidates!r}')
        if self.candidates == "release" and self.stride_px is not None:
            raise UsageError("the released candidates step by half a region; leave stride_px out, or clamp them")

    @property
    def condition(self) -> dict[str, Any]:
        """Every option, to be stored with the results."""
        return {
            "rgc_region_px": None if self.region_px is None else list(self.region_px),
            "rgc_stride_px": self.stride_px,
            "rgc_threshold": self.threshold,
            "rgc_blend": self.blend,
            "rgc_rule": self.rule,
            "rgc_candidates": self.candidates,
        }

    def region_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of every candidate on a frame of (H, W) pixels."""
        side = default_region_px(frame_size)
        height, width = self.region_px or (side, side)
        return min(height, frame_size[0]), min(width, frame_size[1])

    def starts(self, frame_size: tuple[int, int]) -> tuple[list[int], list[int]]:
        """First rows and first columns of the candidates; a candidate is any pair of the two."""
        side = default_region_px(frame_size)
        height, width = self.region_px or (side, side)
        stride = self.stride_px or max(1, min(height, width) // 2)
        if self.candidates == "release":
            return _released_starts(frame_size[0], height), _released_starts(frame_size[1], width)
        return _clamped_starts(frame_size[0], height, stride), _clamped_starts(frame_size[1], width, stride)

    def region_scores(self, residual: NDArray[np.int16]) -> NDArray[np.int64]:
        """Score each candidate: Eq. 3's count, or the released program's sum of |residual|.

        Args:
            residual: (H, W, 3) int16.
        Returns: (rows of candidates, columns of candidates) int64, placed as `starts` says.
        """
        frame_size = residual.shape[0], residual.shape[1]
        if self.rule == "paper-indicator":
            samples = (residual > self.threshold) | (residual < -self.threshold)
        else:
            samples = np.abs(residual)
        return _window_sums(samples, self.starts(frame_size), self.region_size(frame_size))

    def choose(
        self, residual: NDArray[np.int16], accumulated: NDArray[np.int64] | None
    ) -> tuple[Region, NDArray[np.int64] | None]:
        """Pick the region of one P frame.

        Args:
            residual: (H, W, 3) int16, of this frame.
            accumulated: what this method returned for the P frame before; None right after a key frame.
        Returns: the region, and what to hand in at the next P frame (None under the paper's rule, which has
            no memory).
        """
        scores = self.region_scores(residual)
        if accumulated is not None:
            scores = scores + accumulated
        row, column = np.unravel_index(np.argmax(scores), scores.shape)
        frame_size = residual.shape[0], residual.shape[1]
        tops, lefts = self.starts(frame_size)
        height, width = self.region_size(frame_size)
        region = Region(top=tops[row], left=lefts[column], height=height, width=width)
        if self.rule == "paper-indicator":
            return region, None
        scores[row, column] = 0
        return region, scores


def default_region_px(frame_size: tuple[int, int]) -> int:
    """Side of the square region for a frame of (H, W) pixels, before it is cut to the frame."""
    smaller = min(frame_size)
    if smaller >= PAPER_SMALLER_SIDE_PX:
        return PAPER_REGION_PX
    return max(32, round(PAPER_REGION_PX * smaller / PAPER_SMALLER_SIDE_PX / 32) * 32)


def _clamped_starts(size: int, region: int, stride: int) -> list[int]:
    last = max(size - region, 0)
    return [*range(0, last, stride), last]


def _released_starts(size: int, region: int) -> list[int]:
    return [i * (region // 2) for i in range(max(size // region * 2 - 1, 1))]


def _window_sums(
    samples: NDArray[Any], starts: tuple[list[int], list[int]], size: tuple[int, int]
) -> NDArray[np.int64]:
    """Sum (H, W, C) samples over the window of `size` at each pair of starts, reading every sample once."""
    sums = samples.reshape(samples.shape[0], -1)  # (H, W * C)
    sums = _axis_window_sums(sums, starts[0], size[0])
    sums = sums.reshape(len(starts[0]), samples.shape[1], -1).sum(axis=2)  # (rows, W)
    return _axis_window_sums(sums.T, starts[1], size[1]).T


def _axis_window_sums(samples: NDArray[Any], starts: list[int], length: int) -> NDArray[np.int64]:
    stops = [start + length for start in starts]
    edges = np.unique([*starts, *stops])
    covered = samples[: edges[-1]]
    # windows overlap, so add up the stretches between their edges once, and the windows from those
    stretches = np.add.reduceat(covered, edges[:-1], axis=0, dtype=np.int64)
    totals = np.concatenate([np.zeros_like(stretches[:1]), np.cumsum(stretches, axis=0)])
    return totals[np.searchsorted(edges, stops)] - totals[np.searchsorted(edges, starts)]

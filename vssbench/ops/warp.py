"""Move a feature map along motion vectors: out[p] = in[p + flow_px[p]]."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vssbench.errors import ShapeError, UsageError
from vssbench.latency.phases import SIDE_INFORMATION, phase
from vssbench.records import MotionField

Sampling = Literal["bilinear", "nearest"]
Padding = Literal["border", "zeros"]
Grid = Literal["exact", "arseg-release", "taplab-release"]
ScaleRule = Literal["per-axis", "arseg-release"]


def _require(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def warp(
    features: Tensor,
    flow_px: Tensor,
    *,
    mode: Sampling = "bilinear",
    padding: Padding = "border",
    grid: Grid = "exact",
) -> Tensor:
    """Fetch every pixel from where it was: out[p] = in[p + flow_px[p]].

    Args:
        features: (N, C, h, w), floating point.
        flow_px: (N, h, w, 2), (dx, dy) in pixels of this grid, backward; N may be 1 for all samples.
        mode: "bilinear", or "nearest" (ties go right and down, so that equal vectors move as one block).
        padding: what lies outside: the closest "border" pixel, or "zeros".
        grid: "exact" samples at pixel centres, and zero flow is the identity bit for bit. The two others
            reproduce released programs, which normalise for one convention and sample in the other:
            "arseg-release", 2 x / (w - 1) - 1 (AR-Seg evaluation.py, warpFeature), is off by -0.5 px at the
            left and top to +0.5 px at the right and bottom; "taplab-release", 2 x / w - 1 (TapLab
            infer_ffw_rgc_rgfs.py @319801b), by -0.5 px everywhere, so that 11 warps in a row move a still
            picture by 5.5 px. Both programs pad with zeros.

    Returns: (N, C, h, w), of the type of features.
    Raises: ShapeError, when flow and features do not cover the same grid; UsageError, on an unknown option.
    """
    _require("mode", mode, ("bilinear", "nearest"))
    _require("padding", padding, ("border", "zeros"))
    _require("grid", grid, ("exact", "arseg-release", "taplab-release"))
    if features.ndim != 4 or flow_px.shape[1:] != (*features.shape[-2:], 2):
        raise ShapeError(
            "flow must cover the grid of the features: "
            f"{tuple(flow_px.shape) = }, {tuple(features.shape) = }; "
            "call flow_for_grid with the size of the features"
        )
    if flow_px.shape[0] not in (1, features.shape[0]):
        raise ShapeError(f"one flow for each sample or one for all: {flow_px.shape[0]} for {features.shape[0]}")
    coordinate_type = torch.promote_types(features.dtype, torch.float32)  # half types cannot hold a position
    flow = flow_px.to(coordinate_type).expand(features.shape[0], -1, -1, -1)
    if mode == "nearest":
        return _sample_nearest(features, _positions(flow, grid, normalised=False), padding)
    sampled = F.grid_sample(
        features.to(coordinate_type),
        _positions(flow, grid, normalised=True),
        mode="bilinear",
        padding_mode=padding,
        align_corners=False,
    ).to(features.dtype)
    if grid != "exact" or flow.requires_grad:
        return sampled
    # positions are rounded on their way through -1..1 (6e-5 px at 960), which still pixels must not feel; a flow that
    # is being learnt keeps the rounding, and with it its gradient
    still = ((flow[..., 0] == 0) & (flow[..., 1] == 0)).unsqueeze(1)  # (N, 1, h, w)
    return torch.where(still, features, sampled)


def _positions(flow: Tensor, grid: Grid, *, normalised: bool) -> Tensor:
    """Where to read, (N, h, w, 2): in -1..1 by the formula of the grid, or the pixels that those mean."""
    axes = []
    for axis, side in enumerate((flow.shape[2], flow.shape[1])):  # x with the width, y with the height
        ramp = torch.arange(side, dtype=flow.dtype, device=flow.device)
        source = flow[..., axis] + (ramp if axis == 0 else ramp.unsqueeze(1))
        if grid == "arseg-release":
            position = 2 * source / max(side - 1, 1) - 1
        elif grid == "taplab-release":
            position = source / side * 2 - 1
        else:
            position = (2 * source + 1) / side - 1 if normalised else source
        if not normalised and grid != "exact":
            position = ((position + 1) * side - 1) / 2
        axes.append(position)
    return torch.stack(axes, dim=-1)


def _sample_nearest(features: Tensor, position_px: Tensor, padding: Padding) -> Tensor:
    """Integer gather: one index per pixel, shared by the channels, which costs little more than a copy."""
    height, width = features.shape[-2:]
    nearest = (position_px + 0.5).floor()
    x = nearest[..., 0].clamp(0, width - 1)
    y = nearest[..., 1].clamp(0, height - 1)
    index = (y.long() * width + x.long()).flatten(1)  # (N, h w)
    samples = [plane.flatten(1).index_select(1, i) for plane, i in zip(features, index, strict=True)]
    gathered = torch.stack(samples).view(features.shape) if len(samples) > 1 else samples[0].view(features.shape)
    if padding == "border":
        return gathered
    inside = (x == nearest[..., 0]) & (y == nearest[..., 1])
    return gathered.masked_fill(~inside.unsqueeze(1), 0)


@phase(SIDE_INFORMATION)
def flow_for_grid(
    motion: MotionField,
    size: tuple[int, int],
    *,
    device: torch.device | str,
    resample: Sampling = "bilinear",
    scale_rule: ScaleRule = "per-axis",
    align_corners: bool = False,
) -> Tensor:
    """The motion of a frame on the grid of a feature map, in that grid's pixels.

    Args:
        motion: of the whole frame, (H, W); blocks without a vector count as zero flow.
        size: (h, w) of the features.
        device: where the flow goes; "meta" gives the shape alone.
        resample: "bilinear" between the four nearest vectors, or the "nearest" one.
        scale_rule: "per-axis" scales dx by w/W and dy by h/H; "arseg-release" both by h/H, as AR-Seg's
            released program does (the two differ when the sizes are not of one shape).
        align_corners: True places the grid corner to corner, as AR-Seg's evaluation.py does; "bilinear" only.

    Returns: (1, h, w, 2) float32.
    Raises: ShapeError, when the size is empty; UsageError, on an unknown option.
    """
    _require("resample", resample, ("bilinear", "nearest"))
    _require("scale_rule", scale_rule, ("per-axis", "arseg-release"))
    if min(size) < 1:
        raise ShapeError(f"a feature grid has at least 1x1 pixels, got {size}")
    if resample == "nearest" and align_corners:
        raise UsageError("align_corners goes with resample='bilinear'")
    if torch.device(device).type == "meta":
        return torch.empty((1, *size, 2), device="meta")
    frame_height, frame_width = motion.frames_back.shape
    factor_x, factor_y = size[1] / frame_width, size[0] / frame_height
    if scale_rule == "arseg-release":
        factor_x = factor_y
    flow = _resample_flow(motion, size, nearest=resample == "nearest", align_corners=align_corners)
    scaled = flow * np.array([factor_x, factor_y], np.float32)
    return torch.from_numpy(scaled).unsqueeze(0).to(device)


def _resample_flow(
    motion: MotionField, size: tuple[int, int], *, nearest: bool, align_corners: bool
) -> NDArray[np.float32]:
    """(h, w, 2) float32; reads only the vectors that the grid touches, which is few of a frame's."""
    if motion.frames_back.shape == tuple(size):
        flow = motion.flow_px.copy()
        flow[~motion.valid] = 0
        return flow

    def tap(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
        where = np.ix_(rows, columns)
        vectors: NDArray[np.float32] = motion.flow_px[where]
        vectors[motion.frames_back[where] == 0] = 0
        return vectors

    y = _centres(motion.frames_back.shape[0], size[0], align_corners)
    x = _centres(motion.frames_back.shape[1], size[1], align_corners)
    if nearest:
        return tap(np.floor(y + 0.5).astype(np.int64), np.floor(x + 0.5).astype(np.int64))
    top, left = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    bottom = np.minimum(top + 1, motion.frames_back.shape[0] - 1)
    right = np.minimum(left + 1, motion.frames_back.shape[1] - 1)
    down: NDArray[np.float32] = (y - top).astype(np.float32)[:, None, None]
    over: NDArray[np.float32] = (x - left).astype(np.float32)[None, :, None]
    above = tap(top, left) + over * (tap(top, right) - tap(top, left))
    below = tap(bottom, left) + over * (tap(bottom, right) - tap(bottom, left))
    return above + down * (below - above)


def _centres(length: int, count: int, align_corners: bool) -> NDArray[np.float64]:
    """Where `count` grid points lie on an axis of `length` pixels, clamped to the first and last centre."""
    points = np.arange(count, dtype=np.float64)
    if align_corners:
        return points * ((length - 1) / (count - 1) if count > 1 else 0.0)
    return np.clip((points + 0.5) * length / count - 0.5, 0, length - 1)

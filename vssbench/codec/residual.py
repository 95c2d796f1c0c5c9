"""Residual in pixels: the decoded frame minus its motion-compensated reference frame."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vssbench.codec.motion import bilinear_taps, displaced_index, interpolate
from vssbench.errors import ShapeError, UsageError
from vssbench.records import MotionField, Rgb

Compensation = Literal["integer", "bilinear"]
Outside = Literal["clamp", "unmoved"]


def residual(
    current_rgb: Rgb,
    reference_rgb: Rgb,
    motion: MotionField,
    *,
    compensation: Compensation = "integer",
    outside: Outside = "clamp",
    later_reference_rgb: Rgb | None = None,
) -> NDArray[np.int16]:
    """What is left of a decoded frame when its motion-compensated reference is taken away.

    Not the codec's own residual (transform coefficients of luma and chroma) but TapLab's, in RGB.

    Args:
        current_rgb: (H, W, 3) uint8.
        reference_rgb: (H, W, 3) uint8, the decoded frame that `motion` points into.
        motion: vectors of the current frame; intra blocks are compensated with zero displacement.
        compensation: "integer" cuts vectors towards zero to whole pixels; "bilinear" uses them exactly.
        outside: what a source outside the frame gives; "clamp" is the nearest border pixel, as the codec pads
            its references; "unmoved" is zero displacement of that pixel, as TapLab's extractor leaves it.
        later_reference_rgb: the frame that vectors with negative `frames_back` point into (B frames); None:
            all vectors point into `reference_rgb`.
    Returns: (H, W, 3) int16, -255..255.
    Raises: ShapeError, when the frames and the motion differ in size; UsageError, for an unknown option.
    Source: TapLab (arXiv 2003.13260), with coviar's data loader (coviar_data_loader.c,
        create_and_load_mv_residual): FFmpeg's src_x and src_y, hence whole pixels cut towards zero; intra
        blocks keep a zero vector.
    """
    compensated = compensate(reference_rgb, motion, compensation=compensation, outside=outside)
    if later_reference_rgb is not None and (motion.frames_back < 0).any():
        later = compensate(later_reference_rgb, motion, compensation=compensation, outside=outside)
        compensated = np.where((motion.frames_back < 0)[..., None], later, compensated)
    if current_rgb.shape != compensated.shape:
        raise ShapeError(f"the frames must agree in size: {current_rgb.shape = }, {reference_rgb.shape = }")
    difference: NDArray[np.int16] = np.subtract(current_rgb, compensated, dtype=np.int16)
    return difference


def compensate(
    reference_rgb: Rgb,
    motion: MotionField,
    *,
    compensation: Compensation = "integer",
    outside: Outside = "clamp",
) -> Rgb:
    """The prediction of a frame: its reference sampled at p + motion(p); arguments and errors as `residual`.

    Returns: (H, W, 3) uint8, halves rounded up.
    """
    if compensation not in ("integer", "bilinear"):
        raise UsageError(f'{compensation = } is not known; choose "integer" or "bilinear"')
    if outside not in ("clamp", "unmoved"):
        raise UsageError(f'{outside = } is not known; choose "clamp" or "unmoved"')
    if reference_rgb.shape != (*motion.frames_back.shape, 3):
        raise ShapeError(
            f"motion must cover the frame: {motion.frames_back.shape = }, {reference_rgb.shape = }; "
            "call motion.densify with the size of the frame"
        )
    if compensation == "integer":
        flow: NDArray[Any] = motion.flow_px.astype(np.int32)  # the cast cuts towards zero
    else:
        flow = motion.flow_px
    if outside == "unmoved":
        flow = np.where(_source_inside(flow)[..., None], flow, flow.dtype.type(0))
    return _sample_whole(reference_rgb, flow) if compensation == "integer" else _sample_between(reference_rgb, flow)


def _source_inside(flow: NDArray[Any]) -> NDArray[np.bool_]:
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width)
    y = flow[..., 1] + np.arange(height)[:, None]
    inside: NDArray[np.bool_] = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return inside


def _sample_whole(rgb: Rgb, flow: NDArray[np.int32]) -> Rgb:
    index = displaced_index(flow[..., 0].copy(), flow[..., 1].copy())
    return np.take(rgb.reshape(-1, 3), index, axis=0)


def _sample_between(rgb: Rgb, flow_px: NDArray[np.float32]) -> Rgb:
    taps, right, down = bilinear_taps(flow_px)
    floats = rgb.reshape(-1, 3).astype(np.float32)
    top_left, top_right, bottom_left, bottom_right = (np.take(floats, tap, axis=0) for tap in taps)
    upper = interpolate(top_left, top_right, right[..., None])
    lower = interpolate(bottom_left, bottom_right, right[..., None])
    mixed = interpolate(upper, lower, down[..., None])
    mixed += np.float32(0.5)
    return mixed.astype(np.uint8)

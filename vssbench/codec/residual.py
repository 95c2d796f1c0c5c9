"""Residual in pixels: the decoded frame minus its motion-compensated reference frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vssbench.codec.sampling import bilinear_taps, displaced_index, interpolate
from vssbench.errors import ShapeError, UsageError
from vssbench.records import MotionField, Rgb

Compensation = Literal["integer", "bilinear"]
Outside = Literal["clamp", "unmoved"]


def residual(
    current_rgb: Rgb,
    references: Mapping[int, Rgb],
    motion: MotionField,
    *,
    compensation: Compensation = "integer",
    outside: Outside = "clamp",
) -> NDArray[np.int16]:
    """What is left of a decoded frame when its motion-compensated reference is taken away.

    Not the codec's own residual (transform coefficients of luma and chroma) but TapLab's, in RGB. Pixels that are
    predicted from two references (B frames) are compared with the mean of both.

    Args:
        current_rgb: (H, W, 3) uint8.
        references: the decoded frames that `motion` points into, each (H, W, 3) uint8, by distance: how many frames
            earlier it is shown, negative for a later one (`frames_back`). Intra blocks are compensated with zero
            displacement from the nearest earlier one, or the nearest later one where none is earlier.
        motion: vectors of the current frame.
        compensation: "integer" cuts vectors towards zero to whole pixels; "bilinear" uses them exactly.
        outside: what a source outside the frame gives; "clamp" is the nearest border pixel, as the codec pads
            its references; "unmoved" is zero displacement of that pixel, as TapLab's extractor leaves it.
    Returns: (H, W, 3) int16, -255..255.
    Raises: ShapeError, when the frames and the motion differ in size; UsageError, for an unknown option, or
        without a reference.
    Source: TapLab (arXiv 2003.13260), with coviar's data loader (coviar_data_loader.c,
        create_and_load_mv_residual): FFmpeg's src_x and src_y, hence whole pixels cut towards zero; intra
        blocks keep a zero vector.
    """
    if not references:
        raise UsageError("a residual needs the frames that the motion points into, got none")
    compensated = _predicted(references, motion, compensation, outside)
    if motion.second is not None:
        other = _predicted(references, motion.second, compensation, outside)
        mean = (compensated.astype(np.uint16) + other + 1) >> 1
        compensated = np.where(motion.second.valid[..., None], mean.astype(np.uint8), compensated)
    if current_rgb.shape != compensated.shape:
        shapes = {distance: rgb.shape for distance, rgb in references.items()}
        raise ShapeError(f"the frames must agree in size: {current_rgb.shape = }, references {shapes}")
    difference: NDArray[np.int16] = np.subtract(current_rgb, compensated, dtype=np.int16)
    return difference


def _predicted(references: Mapping[int, Rgb], motion: MotionField, compensation: Compensation, outside: Outside) -> Rgb:
    nearest = min(references, key=lambda distance: (distance < 0, abs(distance)))
    compensated = compensate(references[nearest], motion, compensation=compensation, outside=outside)
    for distance, rgb in references.items():
        if distance != nearest and (here := motion.frames_back == distance).any():
            other = compensate(rgb, motion, compensation=compensation, outside=outside)
            compensated = np.where(here[..., None], other, compensated)
    return compensated


def compensate(
    reference_rgb: Rgb,
    motion: MotionField,
    *,
    compensation: Compensation = "integer",
    outside: Outside = "clamp",
) -> Rgb:
    """One reference sampled at p + motion(p); arguments and errors as `residual`.

    Returns: (H, W, 3) uint8, halves rounded up.
    """
    if compensation not in ("integer", "bilinear"):
        raise UsageError(f'{compensation = } is not known; choose "integer" or "bilinear"')
    if outside not in ("clamp", "unmoved"):
        raise UsageError(f'{outside = } is not known; choose "clamp" or "unmoved"')
    if reference_rgb.shape != (*motion.frames_back.shape, 3):
        raise ShapeError(
            f"motion must cover the frame: {motion.frames_back.shape = }, {reference_rgb.shape = }; "
            "take both from one video"
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

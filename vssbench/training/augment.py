"""Random flip, scale, crop and colour, applied alike to every image of a training sample and to its motion."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vssbench.errors import UsageError
from vssbench.records import IGNORE


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One training example.

    Args:
        images: (T, 3, H, W) float in 0..1; the labelled frame last (a pair is key frame, labelled frame).
        label: (H, W) int64 of the labelled frame, or (T, H, W) of every image; IGNORE where no loss falls.
        flow_px: (H, W, 2) motion of the labelled frame back to the key frame, or None.
    """

    images: Tensor
    label: Tensor
    flow_px: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What may be varied (AR-Seg, supplement A3.2: flipping, scaling, cropping; the program adds colour).

    Args:
        scales: smallest and largest zoom; below 1 the border is filled with black and IGNORE.
        colour: largest relative change of brightness, contrast and saturation.
        flip: whether half of the samples are mirrored.
        crop: (height, width) of the result; None keeps the size of the sample.

    Raises: UsageError, when a number is out of range.
    """

    scales: tuple[float, float] = (0.75, 1.75)
    colour: float = 0.4
    flip: bool = True
    crop: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        low, high = self.scales
        if not 0 < low <= high < float("inf"):
            raise UsageError(f"scales of an augmentation are (smallest, largest), both above 0, got {self.scales}")
        if not 0 <= self.colour <= 1:
            raise UsageError(f"colour of an augmentation must be in 0..1, got {self.colour}")
        if self.crop is not None and min(self.crop) < 1:
            raise UsageError(f"crop of an augmentation must be at least 1x1, got {self.crop}")


def augment(sample: Sample, augmentation: Augmentation, *, generator: torch.Generator) -> Sample:
    """Draw one variant of a sample; all of its images, label and motion change together."""
    flip = augmentation.flip and _uniform(generator, 0, 1) < 0.5
    zoom = _uniform(generator, *augmentation.scales)
    size = augmentation.crop or (sample.label.shape[-2], sample.label.shape[-1])
    sample = _zoomed_crop(sample, zoom, size, generator)
    if flip:
        sample = _mirrored(sample)
    return Sample(
        images=_recoloured(sample.images, augmentation.colour, generator),
        label=sample.label,
        flow_px=sample.flow_px,
    )


def _uniform(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _mirrored(sample: Sample) -> Sample:
    flow = sample.flow_px
    if flow is not None:
        flow = flow.flip(1) * torch.tensor([-1.0, 1.0])
    return Sample(images=sample.images.flip(-1), label=sample.label.flip(-1), flow_px=flow)


def _zoomed_crop(sample: Sample, zoom: float, size: tuple[int, int], generator: torch.Generator) -> Sample:
    """Cut a window of size / zoom at a random place and resize it to `size`; motion scales with it."""
    height, width = sample.label.shape[-2:]
    window = (max(1, round(size[0] / zoom)), max(1, round(size[1] / zoom)))
    top = _place(height, window[0], generator)
    left = _place(width, window[1], generator)
    inside_y = slice(max(top, 0), min(top + window[0], height))
    inside_x = slice(max(left, 0), min(left + window[1], width))
    pad = (
        inside_x.start - left,
        left + window[1] - inside_x.stop,
        inside_y.start - top,
        top + window[0] - inside_y.stop,
    )
    images = functional.pad(sample.images[..., inside_y, inside_x], pad)
    label = functional.pad(sample.label[..., inside_y, inside_x], pad, value=IGNORE)
    images = functional.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=zoom < 1)
    planes = label.reshape(1, -1, *label.shape[-2:]).float()
    planes = functional.interpolate(planes, size=size, mode="nearest-exact")
    label = planes.reshape(*label.shape[:-2], *size).long()
    flow = sample.flow_px
    if flow is not None:
        stretch = torch.tensor([size[1] / window[1], size[0] / window[0]])
        planes = functional.pad(flow[inside_y, inside_x].permute(2, 0, 1), pad)[None]
        planes = functional.interpolate(planes, size=size, mode="nearest-exact")[0]
        flow = planes.permute(1, 2, 0) * stretch
    return Sample(images=images, label=label, flow_px=flow)


def _place(length: int, window: int, generator: torch.Generator) -> int:
    """Where a window starts: anywhere inside the image, or anywhere around it when the window is larger."""
    low, high = sorted((0, length - window))
    return int(torch.randint(low, high + 1, (), generator=generator))


def _recoloured(images: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    brightness, contrast, saturation = (_uniform(generator, 1 - amount, 1 + amount) for _ in range(3))
    images = images * brightness
    images = (images - images.mean()) * contrast + images.mean()
    grey = images.mean(1, keepdim=True)
    return ((images - grey) * saturation + grey).clamp(0, 1)

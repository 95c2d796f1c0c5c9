"""The two edges of every network: decoded picture to tensor, and logits to a label map."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vssbench.errors import PredictionError, ShapeError
from vssbench.latency.phases import POSTPROCESSING, TRANSFER, phase
from vssbench.ops.resize import resize
from vssbench.records import IGNORE, LabelMap, Rgb


@phase(TRANSFER)
def to_tensor(rgb: Rgb, *, device: torch.device | str) -> Tensor:
    """A decoded picture as the input of a network: planar, values 0..1.

    The bytes are copied to the device and converted there, so a quarter of the floats' bytes cross the bus.

    Args:
        rgb: (H, W, 3) uint8.
        device: where the tensor goes; "meta" gives the shape alone.

    Returns: (1, 3, H, W) float32, contiguous.
    Raises: ShapeError, when rgb is not (H, W, 3) uint8.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ShapeError(f"a picture must be (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}")
    if torch.device(device).type == "meta":
        return torch.empty((1, 3, *rgb.shape[:2]), device="meta")
    # torch.tensor copies: decoded frames are often read-only, and from_numpy warns of those
    pixels = torch.tensor(np.ascontiguousarray(rgb)).to(device)  # (H, W, 3)
    planes = pixels.permute(2, 0, 1).unsqueeze(0)
    return planes.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


@phase(POSTPROCESSING)
def labels_from_logits(logits: Tensor, *, size: tuple[int, int]) -> LabelMap:
    """The class of every pixel of the frame: logits resized bilinearly, then the class of the largest.

    From a GPU one array comes back, the labels with a byte that says whether a NaN was met.

    Args:
        logits: (1, K, h, w), K at most 255; half types are resized in float32.
        size: (height, width) of the frame.

    Returns: (height, width) uint8 on the host; all 0 from the meta device, which has no values.
    Raises: ShapeError, on other shapes; PredictionError, when a logit is NaN, before or after resizing
        (infinite logits become NaN between pixels).
    """
    if logits.ndim != 4 or logits.shape[0] != 1 or not 1 <= logits.shape[1] <= IGNORE:
        raise ShapeError(f"logits must be (1, K, h, w) with K in 1..{IGNORE}, got {tuple(logits.shape)}")
    logits = logits.detach().to(torch.promote_types(logits.dtype, torch.float32))
    resized = resize(logits, size)
    best, labels = resized[0].max(dim=0)  # NaN wins; argmax alone takes ten times as long on a CPU
    bad = best.isnan().any()
    if resized is not logits:
        bad = bad | logits.isnan().any()  # shrinking may step over the pixel
    packed = torch.cat([labels.to(torch.uint8).flatten(), bad.to(torch.uint8).reshape(1)])
    if packed.device.type == "meta":
        return np.zeros(size, np.uint8)
    on_host = packed.cpu().numpy()
    if on_host[-1]:
        raise PredictionError(
            f"the logits hold NaN ({tuple(logits.shape)} {logits.dtype}); check the weights and the input"
        )
    labels_map: LabelMap = on_host[:-1].reshape(size)
    return labels_map

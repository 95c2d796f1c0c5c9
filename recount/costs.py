"""What is counted once and asked for often: networks of print and their operations, in GMACs.

Everything runs on the meta device, where tensors have shapes and no values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from arseg.creff import PAPER
from arseg.fusions import build_fusion
from arseg.locations import FINAL, LOCATIONS, Location
from arseg.options import Options, options_of
from baselines.constant_resolution import ConstantResolution
from vssbench.complexity.conventions import ARSEG_RELEASED, ReleasedForm, thop_2020_macs
from vssbench.complexity.macs import MacCount, count_macs
from vssbench.complexity.meta_shapes import OutputsByShape
from vssbench.networks.base import SegmentationNetwork
from vssbench.networks.zoo import build_network
from vssbench.ops.resize import resize, scaled_size
from vssbench.records import CompressedFrame, FrameType, Method, MotionField

META = torch.device("meta")
GIGA = 1e9


@dataclass(frozen=True, kw_only=True)
class Frames:
    """The frames of a data set as a paper feeds them.

    Args:
        size: (height, width).
        outputs: classes that the released networks put out.
        counted: classes that the paper counts in the classifier at full resolution.
    """

    size: tuple[int, int]
    outputs: int
    counted: int


FRAMES = {
    "CamVid": Frames(size=(720, 960), outputs=12, counted=11),  # 11 and Void, which the released program trains too
    "Cityscapes": Frames(size=(1024, 2048), outputs=19, counted=19),
}


@dataclass(frozen=True, kw_only=True)
class Executed:
    """GMACs that run: those of print's kinds (convolution, linear, attention), and with warps and resizes."""

    network: float
    all_kinds: float

    @classmethod
    def of(cls, count: MacCount) -> Executed:
        """A count in GMACs."""
        return cls(network=count.network / GIGA, all_kinds=count.total / GIGA)


def mean_of(parts: Sequence[tuple[float, Executed]]) -> Executed:
    """The mean of (weight, count)."""
    whole = sum(weight for weight, _ in parts)
    return Executed(
        network=sum(weight * each.network for weight, each in parts) / whole,
        all_kinds=sum(weight * each.all_kinds for weight, each in parts) / whole,
    )


@cache
def network(name: str, num_classes: int) -> SegmentationNetwork:
    """A network of the zoo without values, in evaluation mode, with its auxiliary heads. Shared: do not change it."""
    with META:
        return build_network(name, num_classes=num_classes).eval()


def images(size: tuple[int, int]) -> Tensor:
    """One picture without values."""
    return torch.empty(1, 3, *size, device=META)


@dataclass(frozen=True, kw_only=True)
class Counted:
    """GMACs as the thop of 2020 counts them, and the map before the classifier that was met on the way."""

    gmacs: float
    channels: int
    size: tuple[int, int]

    @property
    def pixels(self) -> int:
        """Pixels of that map."""
        return self.size[0] * self.size[1]


def thop_2020(name: str, dataset: str, scale: float = 1.0) -> Counted:
    """The paper's way: the rules of `conventions.thop_2020_macs`, and the released form of AR-Seg's networks."""
    return thop_2020_in_form(name, dataset, scale, ARSEG_RELEASED.get(name, ReleasedForm()))


def thop_2020_in_form(name: str, dataset: str, scale: float, form: ReleasedForm) -> Counted:
    """Likewise, in another form; each is counted once."""
    key = (name, dataset, scale, form.run, tuple(form.aliased.items()), tuple(form.upsampled.items()))
    if key not in _counted:
        _counted[key] = _thop_2020(name, dataset, scale, form)
    return _counted[key]


_counted: dict[tuple[object, ...], Counted] = {}


def _thop_2020(name: str, dataset: str, scale: float, form: ReleasedForm) -> Counted:
    frames = FRAMES[dataset]
    net = network(name, frames.outputs)
    maps: list[Tensor] = []
    hook = net.final.register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0]))
    with hook, torch.inference_mode(), OutputsByShape():  # a third of the time
        macs = thop_2020_macs(
            net, scaled_size(frames.size, scale), run=form.run, aliased=form.aliased, upsampled=form.upsampled
        )
    _, channels, height, width = maps[-1].shape
    return Counted(gmacs=macs / GIGA, channels=channels, size=(height, width))


@cache
def constant(name: str, dataset: str, scale: float = 1.0) -> Executed:
    """What a frame executes under `constant@scale`."""
    frames = FRAMES[dataset]
    method = ConstantResolution(network=network(name, frames.outputs), scale=scale, device=META)
    return executed(method, frame("P", frames.size))


def arseg(name: str, dataset: str, scale: float, variant: str = "", gop_length: int = 12) -> Executed:
    """The mean over a group of pictures that `arseg:variant@scale` executes."""
    at_test_time = dataclasses.replace(options_of(variant), shared_final=True, feature_loss="mse")
    return mean_of([(1, constant(name, dataset)), (gop_length - 1, _nonkey(name, dataset, scale, at_test_time))])


@cache
def _nonkey(name: str, dataset: str, scale: float, options: Options) -> Executed:
    """A non-key frame as `arseg.method.ARSeg.step` runs it; the maps of either branch are counted once for all."""
    frames, location = FRAMES[dataset], LOCATIONS[options.location]
    net = network(name, frames.outputs)
    key_maps = _empty_maps(name, dataset, 1.0, location)
    low_maps = _empty_maps(name, dataset, scale, location) if options.has_branch else None
    flow = torch.empty(1, *key_maps.shape[-2:], 2, device=META) if options.reads_motion else None
    with META:
        fusion = build_fusion(key_maps.shape[1], options=options, convention=PAPER).eval()

    def rest() -> None:
        resize(net.classify(location.tail(net, fusion(key_maps, low_maps, flow))), frames.size)

    parts = [Executed.of(count_macs(rest))]
    if options.has_branch:
        parts.append(_branch(name, dataset, scale, location)[0])
    return Executed(network=sum(part.network for part in parts), all_kinds=sum(part.all_kinds for part in parts))


@cache
def _branch(name: str, dataset: str, scale: float, location: Location) -> tuple[Executed, torch.Size]:
    """What a branch executes before its maps are fused, resizing the picture included, and the shape of the maps."""
    frames = FRAMES[dataset]
    net = network(name, frames.outputs)
    shapes: list[torch.Size] = []

    def head() -> None:
        shapes.append(location.head(net, resize(images(frames.size), scaled_size(frames.size, scale))).shape)

    return Executed.of(count_macs(head)), shapes[0]


def _empty_maps(name: str, dataset: str, scale: float, location: Location) -> Tensor:
    if location == FINAL and scale == 1.0:  # met on the way there
        made = thop_2020(name, dataset)
        return torch.empty(1, made.channels, *made.size, device=META)
    return torch.empty(_branch(name, dataset, scale, location)[1], device=META)


def executed(method: Method, frame: CompressedFrame) -> Executed:
    """What one step of a method executes."""
    return Executed.of(count_macs(lambda: method.step(frame)))


@cache
def frame(frame_type: FrameType, size: tuple[int, int]) -> CompressedFrame:
    """A black picture that has not moved, with all that a method may ask for."""
    motion = MotionField(flow_px=np.zeros((*size, 2), np.float32), frames_back=np.ones(size, np.int16))
    inter = frame_type != "I"
    return CompressedFrame(
        rgb=np.zeros((*size, 3), np.uint8),
        frame_type=frame_type,
        index=int(inter),
        size_bytes=1,
        motion=motion if inter else None,
        motion_to_key=motion if inter else None,
        residual=np.zeros((*size, 3), np.int16) if inter else None,
    )

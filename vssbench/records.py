"""The records that every part exchanges, and the two protocols a user may implement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vssbench.errors import ShapeError

IGNORE = 255  # the label of a pixel that no metric counts

LabelMap = NDArray[np.uint8]  # (H, W), a class index or IGNORE
Rgb = NDArray[np.uint8]  # (H, W, 3)
FrameType = Literal["I", "P", "B"]
Backend = Literal["eager", "channels_last", "compiled", "bf16"]  # the form in which a method's networks run


def _require_shape(name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: type) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise ShapeError(
            f"{name} must be {shape} {np.dtype(dtype).name}, got {array.shape} {array.dtype}; "
            "convert it where it is made"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class MotionField:
    """Backward motion of every pixel: what is now at (x, y) was at (x + dx, y + dy).

    Args:
        flow_px: (H, W, 2) float32, (dx, dy) in pixels; 0 where there is no vector.
        frames_back: (H, W) int16, how many frames earlier the reference is shown; negative for a later frame
            (B frames); 0 where the block is intra and has no vector. int16, not uint8, because a B frame
            points forward and a GOP may pass 255 frames.
        second: the other vector of pixels that are predicted from two references at once (B frames), 0 where
            there is but one; None where no pixel has two.
    """

    flow_px: NDArray[np.float32]
    frames_back: NDArray[np.int16]
    second: MotionField | None = None

    def __post_init__(self) -> None:
        size = self.frames_back.shape
        _require_shape("frames_back", self.frames_back, size[:2], np.int16)
        _require_shape("flow_px", self.flow_px, (*size, 2), np.float32)
        if self.second is not None:
            _require_shape("second.frames_back", self.second.frames_back, size, np.int16)
            if self.second.second is not None:
                raise ShapeError("a pixel has two vectors at most, got a second one of the second")

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(H, W) bool, False where a block is intra."""
        valid: NDArray[np.bool_] = self.frames_back != 0
        return valid


@dataclass(frozen=True, kw_only=True, eq=False)
class CompressedFrame:
    """One decoded frame and what the bitstream says of it.

    Args:
        rgb: (H, W, 3) uint8, the decoded picture.
        frame_type: the codec's word, "I", "P" or "B"; which frame is a key frame is the method's choice.
        index: position in display order, 0 at the first frame of the stream.
        size_bytes: bytes of the coded picture.
        motion: vectors to the reference frames; None on an I frame, or where they were not asked for.
        motion_to_key: the vectors traced back to the I frame that opens the GOP, `frames_back` being the
            distance to it; None as above.
        residual: (H, W, 3) int16, decoded frame minus its motion-compensated reference; None as above.
    """

    rgb: Rgb
    frame_type: FrameType
    index: int
    size_bytes: int
    motion: MotionField | None = None
    motion_to_key: MotionField | None = None
    residual: NDArray[np.int16] | None = None

    def __post_init__(self) -> None:
        height, width = self.rgb.shape[:2]
        _require_shape("rgb", self.rgb, (height, width, 3), np.uint8)
        for name in ("motion", "motion_to_key"):
            motion: MotionField | None = getattr(self, name)
            if motion is not None:
                _require_shape(f"{name}.frames_back", motion.frames_back, (height, width), np.int16)
        if self.residual is not None:
            _require_shape("residual", self.residual, (height, width, 3), np.int16)


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceVideo:
    """An uncompressed video and the labels of its annotated frames: what a data set gives, before any codec.

    Args:
        name: unique in its data set.
        num_frames: length in frames.
        size: (height, width) of every frame.
        fps: frames per second.
        read: (start, stop) -> the frames start..stop-1, each (H, W, 3) uint8.
        labels: frame index -> (H, W) uint8; its keys are the annotated frames; may load lazily.
        content_key: a string that changes whenever a pixel of the frames changes (names the cached encodes).
    """

    name: str
    num_frames: int
    size: tuple[int, int]
    fps: float
    read: Callable[[int, int], Iterator[Rgb]]
    labels: Mapping[int, LabelMap]
    content_key: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """What one step of a method gave and did.

    Args:
        labels: (H, W) uint8, a class for every pixel of the full-resolution frame.
        kind: the kind of work done ("key", "non-key", "warp", "warp+region", ...); work and time are told
            apart by it, so two steps of one kind must do the same work, but for their share.
        share: of a kind whose work grows in proportion to what the picture asks for (the points that TFC updates),
            the part of the most that it can be, 0..1; None where every step of the kind does the same.
    """

    labels: LabelMap
    kind: str
    share: float | None = None

    def __post_init__(self) -> None:
        if self.share is not None and not 0 <= self.share <= 1:
            raise ShapeError(f"the share of a step's work lies in 0..1, got {self.share}; divide by the most it can be")


@runtime_checkable
class Method(Protocol):
    """A system under test. Subclass it and write `step`; the rest has defaults that fit a per-frame method.

    Attributes:
        needs: side information that `step` reads, of "motion", "motion_to_key", "residual"; nothing else is decoded.
        condition: the options that tell this method from its siblings, stored with every result.
        lookahead_frames: how many later frames must have arrived before a frame's labels can be given; 0 for a method
            that `step` describes whole. One that waits says so here, and pays lookahead_frames / fps of delay.
        assumed_share: set while operations are counted, on tensors without values: a method whose steps have a share
            (`Step.share`) does this part of the work then. None otherwise.
    """

    needs: frozenset[str] = frozenset()
    condition: Mapping[str, Any] = {}
    lookahead_frames: int = 0
    assumed_share: float | None = None

    def reset(self) -> None:
        """Forget everything: the next frame opens another stream."""

    def step(self, frame: CompressedFrame) -> Step:
        """Label one frame, given it and the state kept from those before it."""
        ...

    def modules(self) -> Sequence[Any]:
        """The torch modules whose parameters are this method's size."""
        return ()


class Dataset(Protocol):
    """A labelled video data set."""

    name: str
    class_names: Sequence[str]
    palette: NDArray[np.uint8]  # (num_classes, 3)

    def splits(self) -> Sequence[str]:
        """The splits it has, "train" first."""
        ...

    def videos(self, split: str) -> Sequence[SourceVideo]:
        """The videos of a split, in a stable order."""
        ...

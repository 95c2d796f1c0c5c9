"""Which frame is a key frame: the stream's own I frames, and where a method asks for it every n-th frame after one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vssbench.errors import BitstreamError, UsageError
from vssbench.records import CompressedFrame, MotionField


def is_key_frame(frame: CompressedFrame, *, started: bool) -> bool:
    """Tell whether a frame is an I frame; the first one of a stream must be.

    Args:
        frame: the frame about to be processed.
        started: whether a key frame has been seen since the last reset.
    Raises: BitstreamError, when the stream opens with anything but an I frame: there is no state to start
        from.
    """
    if frame.frame_type == "I":
        return True
    if not started:
        raise BitstreamError(
            f"a stream must open with an I frame, got a {frame.frame_type} frame at index {frame.index}; "
            "cut the clip at an I frame, and call reset() between streams"
        )
    return False


class KeyFrames:
    """Tells the key frames of a stream in their order.

    Args:
        interval: frames from one key frame to the next, counted from the first frame of the stream, wherever its I
            frames are; None: the I frames.
        at_i_frames: whether an I frame is a key frame in any case, from which the interval is counted anew. A method
            that follows motion vectors needs it, as an I frame has none.
    Raises: UsageError, when the interval is below 1.
    """

    def __init__(self, interval: int | None = None, *, at_i_frames: bool = False) -> None:
        if interval is not None and interval < 1:
            raise UsageError(f"an interval between key frames is at least 1 frame, got {interval}")
        self.interval = interval
        self._at_i_frames = at_i_frames or interval is None
        self._since: int | None = None

    def reset(self) -> None:
        """The next frame opens another stream."""
        self._since = None

    def is_key(self, frame: CompressedFrame) -> bool:
        """Whether the next frame of the stream is a key frame; call it once a frame.

        Raises: BitstreamError, when the stream does not open with an I frame.
        """
        opens = is_key_frame(frame, started=self._since is not None)
        if self._since is None or self._since + 1 == self.interval or (opens and self._at_i_frames):
            self._since = 0
            return True
        self._since += 1
        return False


def motion_of(frame: CompressedFrame) -> MotionField:
    """The frame's vectors to its reference frames.

    Raises: BitstreamError, when they were not decoded: a missing field is not zero motion.
    """
    if frame.motion is None:
        raise BitstreamError(
            f"the {frame.frame_type} frame at index {frame.index} comes without motion; "
            'decode the stream with needs={"motion"}'
        )
    return frame.motion


def residual_of(frame: CompressedFrame) -> NDArray[np.int16]:
    """The frame's residual, (H, W, 3) int16.

    Raises: BitstreamError, when it was not decoded: a missing residual is not a perfect prediction.
    """
    if frame.residual is None:
        raise BitstreamError(
            f"the {frame.frame_type} frame at index {frame.index} comes without its residual; "
            'decode the stream with needs={"residual"}'
        )
    return frame.residual

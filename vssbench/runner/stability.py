"""Stability: how a method's predictions change along a stream, noted frame by frame beside its accuracy.

It is measured where a stream is followed as a camera would send it: key frames at the video's frame 0, L, 2L and so on.
The other streams of the per-distance protocol show the same frames again.

The vectors of the warp-based measure come from a stream of their own: the same frames, codec and bit rate, with one I
frame at its beginning. So every frame but the first has vectors to the one before it, also where the measured stream
has an I frame, and all methods and intervals between key frames are measured along the same motion.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import islice

from vssbench.datasets.clips import Cut, SideInformation, encoded, frames_of
from vssbench.errors import BitstreamError
from vssbench.metrics.confusion import ConfusionMatrix
from vssbench.metrics.consistency import ConsistencyRuns
from vssbench.metrics.warp_consistency import PairMotion, pair_confusion, pair_motion
from vssbench.records import LabelMap, SourceVideo
from vssbench.runner.run import Run
from vssbench.store import StabilityRow


def is_followed(cut: Cut, gop_length: int) -> bool:
    """Whether stability is measured in a cut: whether its key frames fall at multiples of L of the video."""
    return cut.start % gop_length == 0


class StreamStability:
    """The frames of one cut in their order: what their labels and their motion are, and what each method makes of them.

    Args:
        run: whose methods step through the cut.
        video, cut: the frames.

    Raises: BitstreamError, when the stream of the vectors ends early.
    """

    def __init__(self, run: Run, video: SourceVideo, cut: Cut) -> None:
        self._num_classes = run.setting.num_classes
        self._video = video
        self._cut = cut
        self._pairs = _pairs(run, video, cut)
        self._runs: dict[str, ConsistencyRuns] = {}
        self._before: dict[str, LabelMap] = {}
        self._frame = -1
        self._pair: PairMotion | None = None
        self._label: LabelMap | None = None
        self._label_before: LabelMap | None = None
        self._label_pairs: ConfusionMatrix | None = None

    def advance(self, label: LabelMap | None) -> None:
        """Go on to the next frame, given its label; to be called before the methods' predictions of it."""
        self._frame += 1
        self._label_before, self._label = self._label, label
        try:
            self._pair = next(self._pairs)
        except StopIteration:
            raise BitstreamError(
                f"{self._video.name}: the stream whose vectors stability is measured along ends before frame "
                f"{self._cut.start + self._frame}; check the video with `vssbench data verify`"
            ) from None
        self._label_pairs = None
        if self._pair is not None and self._label is not None and self._label_before is not None:
            self._label_pairs = pair_confusion(
                self._label_before, self._label, self._pair, num_classes=self._num_classes
            )

    def row(self, key: str, prediction: LabelMap) -> StabilityRow:
        """What a method's prediction of this frame says.

        Args:
            key: of the method's cell.
            prediction: (H, W) uint8.
        """
        runs = self._runs.setdefault(key, ConsistencyRuns())
        if self._label is None:
            runs.reset()
            windows = None
        else:
            windows = runs.update(self._label, prediction)
        before = self._before.get(key)
        pairs = None
        if before is not None and self._pair is not None:
            pairs = pair_confusion(
                before,
                prediction,
                self._pair,
                num_classes=self._num_classes,
                label_previous=self._label_before,
                label_current=self._label,
            )
        self._before[key] = prediction.copy()  # a method may write its next labels over these
        return StabilityRow(
            self._video.name, self._cut.start, self._cut.start + self._frame, windows, pairs, self._label_pairs
        )


def _pairs(run: Run, video: SourceVideo, cut: Cut) -> Iterator[PairMotion | None]:
    """For every frame of the cut its motion to the frame before; None for the first."""
    whole = dataclasses.replace(run.setting.encoding, gop_length=cut.stop - cut.start, b_frames=0)
    side = SideInformation(motion=True, compensation="bilinear")  # whole pixels would take moved edges for occlusions
    frames = frames_of(encoded(video, cut, whole, run.cache), side)
    for frame in islice(frames, cut.stop - cut.start):
        if frame.motion is None or frame.residual is None:
            yield None
        else:
            yield pair_motion(frame.motion, frame.residual)

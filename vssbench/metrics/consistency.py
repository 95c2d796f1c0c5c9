"""Video consistency (VC): the share of the area whose label does not change that is predicted without change too.

VC_n of a window of n frames is |both| / |labels|: `labels` are the pixels whose label is the same in all n frames,
`both` those of them whose prediction is the same in all n frames as well. mVC_n is its mean over windows. Whether the
prediction is right is not asked: one that is wrong everywhere and never changes scores 1.0. `ConsistencyRule` names the
choices that the equation leaves open and those of the released program.

One pass gives every n. Each frame is compared with the one before it, a bit a pixel, and the bits of the last frames
are kept. The pixels of a window of n frames are those of the window of n - 1 frames that ends with it, less those that
differ in one comparison more: an AND of 64 pixels at a time, and a count of ones. The time does not depend on what
the maps show, and the memory not on how long the clip is.

References: J. Miao et al., "VSPW: A large-scale dataset for video scene parsing in the wild", CVPR 2021 (the metric,
and the toolkit VSPW_code, VC_perclip.py); TFC, AAAI 2024, Eq. 13.

numba's cache on disk notices changes of this file alone, so the functions below call no compiled one of another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numba
import numpy as np
from numpy.typing import NDArray

from vssbench.errors import ShapeError, UsageError
from vssbench.metrics.confusion import require_maps
from vssbench.records import IGNORE, LabelMap

MOST_FRAMES = 16  # the longest window of VSPW and of TFC's Table 1
# Columns of the counts: pixels of a window ...
LABELS = 0  # whose label is one class throughout
LABELS_VOID = 1  # whose label is IGNORE throughout
BOTH = 2  # of LABELS, those whose prediction does not change either
BOTH_VOID = 3  # of LABELS_VOID, those whose prediction does not change
BOTH_CORRECT = 4  # of BOTH, those whose prediction is the label
_COLUMNS = 5
_RUNS = (0, 0, 1, 1, 1)  # of each column: unchanged labels, or both unchanged
_MASKS = (0, 1, 0, 1, 2)  # of each column: labelled, void, correct

_GROUP = 64  # pixels of a word of a plane
_BLOCK = 512  # words of a plane at a time: what is worked on stays in the nearest cache

Counts = NDArray[np.int64]  # (T, most_frames, 5), a stretch of T frames


@dataclass(frozen=True, kw_only=True)
class ConsistencyRule:
    """What a window's score is, and which windows are averaged how.

    Args:
        windows: "all" T - n + 1 of a stretch of T frames, or the "toolkit"'s T - n, which leave out the last one
            (VSPW_code's `range(N - C)`).
        average: "pooled" is the mean over all windows of all clips, so that long clips weigh more (the toolkit);
            "clips" the mean over clips of each clip's mean.
        void: "out" counts no pixel that is labelled IGNORE; "in" takes IGNORE for one more class (the toolkit).
        correct: True asks that the unchanged prediction is the label, too. What is divided by stays the same, so
            with void "in" the void area is in it and never counts as correct.
    """

    windows: Literal["all", "toolkit"] = "all"
    average: Literal["pooled", "clips"] = "pooled"
    void: Literal["out", "in"] = "out"
    correct: bool = False

    def __post_init__(self) -> None:
        choices = (
            ("windows", self.windows, ("all", "toolkit")),
            ("average", self.average, ("pooled", "clips")),
            ("void", self.void, ("out", "in")),
        )
        for name, value, known in choices:
            if value not in known:
                raise UsageError(f"{name} must be one of {', '.join(known)}, got {value!r}")


EQ13 = ConsistencyRule()  # Eq. 13 of TFC
TOOLKIT = ConsistencyRule(windows="toolkit", void="in")  # VSPW_code @3ead088, VC_perclip.py


class ConsistencyRuns:
    """For how many frames the label and the prediction of every pixel have not changed, along one stream.

    Args:
        most_frames: the longest window that is wanted, at least 1.

    Raises: UsageError, when most_frames is below 1.
    """

    def __init__(self, *, most_frames: int = MOST_FRAMES) -> None:
        if most_frames < 1:
            raise UsageError(f"most_frames must be at least 1, the length of the longest window, got {most_frames}")
        self._most_frames = most_frames
        self.reset()

    def reset(self) -> None:
        """Forget all frames. To be called where a frame has no label, for no window reaches across it."""
        self._state: _State | None = None

    def update(self, label: LabelMap, prediction: LabelMap) -> NDArray[np.int64]:
        """Take in the next frame, and count for the windows that end at it.

        Args:
            label: (H, W) uint8, classes or IGNORE.
            prediction: (H, W) uint8, of the size of all frames since `reset`; any value, also IGNORE.

        Returns:
            (most_frames, 5) int64 pixels, row n-1 for the window of n frames, columns by LABELS, LABELS_VOID, BOTH,
            BOTH_VOID, BOTH_CORRECT; 0 in the rows of windows that are longer than the stream so far.

        Raises:
            ShapeError: the maps differ in shape, from one another or from those before, or are not (H, W) uint8.
        """
        require_maps(label, prediction)
        if self._state is None:
            self._state = _State(label.shape, self._most_frames)
        return self._state.follow(label, prediction)


class _State:
    """The last frame of a stream, and as planes what was compared: a bit a pixel, in the order of `_compare`.

    Pixels go in groups of 64. The rest is one more group, filled up with IGNORE, which never changes.
    """

    def __init__(self, shape: tuple[int, ...], most_frames: int) -> None:
        self._shape = shape
        self._most_frames = most_frames
        self._frame = -1
        groups = math.prod(shape) // _GROUP
        self._filling = (groups + 1) * _GROUP - math.prod(shape)  # pixels
        # label and prediction of the frame before: the whole groups, and the rest
        self._before = [[np.zeros((8, size), np.uint64) for _ in range(2)] for size in (groups, 1)]
        # where the label, and where both, were as in the frame before; frame t at t % the number of planes
        self._same = np.zeros((2, max(most_frames - 1, 1), groups + 1), np.uint64)
        self._masks = np.zeros((3, groups + 1), np.uint64)  # of this frame: labelled, void, correct

    def follow(self, label: LabelMap, prediction: LabelMap) -> NDArray[np.int64]:
        """Take in the next frame; what `ConsistencyRuns.update` returns."""
        if label.shape != self._shape:
            raise ShapeError(
                f"the frames of a stream have one size: {label.shape = }, those before it {self._shape}; "
                "call reset() where another stream begins"
            )
        self._frame += 1
        first = 0
        for new_label, new_prediction, before in zip(_grouped(label), _grouped(prediction), self._before, strict=True):
            _compiled(_compare)(new_label, new_prediction, *before, self._frame, first, self._same, self._masks)
            first += new_label.shape[1]
        counts = np.zeros((self._most_frames, _COLUMNS), np.int64)
        _compiled(_tally)(self._same, self._masks, self._frame, counts)
        counts[: self._frame + 1, [LABELS_VOID, BOTH_VOID]] -= self._filling
        return counts


def window_scores(counts: Counts, n: int, *, rule: ConsistencyRule = EQ13) -> NDArray[np.float64]:
    """VC_n of every window of n frames of one stretch of labelled frames without a gap.

    Args:
        counts: (T, most_frames, 5) int64, what `ConsistencyRuns.update` gave for each frame since `reset`.
        n: frames in a window, 1..most_frames; with 1 it is 1.0 for every frame, or the pixel accuracy where `rule`
            asks for correctness.
        rule: what is counted; `average` plays no part.

    Returns:
        Up to T - n + 1 numbers in 0..1, in the order of the windows. A window without any pixel that keeps its label
        has no score and is left out.

    Raises: ShapeError, when counts are no (T, most_frames, 5) integers, or n is not in 1..most_frames.
    """
    _require_counts(counts, n)
    last = len(counts) - (rule.windows == "toolkit")
    ends = counts[n - 1 : max(last, 0), n - 1]
    void = rule.void == "in"
    area = ends[:, LABELS] + ends[:, LABELS_VOID] * void
    kept = ends[:, BOTH_CORRECT] if rule.correct else ends[:, BOTH] + ends[:, BOTH_VOID] * void
    scores: NDArray[np.float64] = kept[area > 0] / area[area > 0]
    return scores


def score_sums(counts: Counts, n: int, *, rule: ConsistencyRule = EQ13) -> tuple[float, int]:
    """The sum of a stretch's scores and their number, which add up over stretches; arguments as `window_scores`."""
    scores = window_scores(counts, n, rule=rule)
    return float(scores.sum()), len(scores)


def mean_video_consistency(stretches: Sequence[Counts], n: int, *, rule: ConsistencyRule = EQ13) -> float:
    """mVC_n, the mean of VC_n over windows, or over clips of each one's mean.

    Args:
        stretches: the counts of each stretch of labelled frames without a gap, as `window_scores` takes them. With
            `average` "clips" each counts as a clip.
        n: frames in a window, 1..most_frames.
        rule: what is counted, and how it is averaged.

    Returns:
        0..1; NaN where no window has a score. A stretch without one, such as one of less than n frames, plays no part.

    Raises: ShapeError, as `window_scores`.
    """
    sums = np.array([score_sums(counts, n, rule=rule) for counts in stretches], np.float64).reshape(-1, 2)
    sums = sums[sums[:, 1] > 0]
    if not len(sums):
        return float("nan")
    if rule.average == "clips":
        return float((sums[:, 0] / sums[:, 1]).mean())
    return float(sums[:, 0].sum() / sums[:, 1].sum())


def _require_counts(counts: Counts, n: int) -> None:
    if counts.ndim != 3 or counts.shape[2] != _COLUMNS or counts.dtype.kind not in "iu":
        raise ShapeError(
            f"counts must be (T, most_frames, {_COLUMNS}) integers, got {counts.shape} {counts.dtype}; "
            "stack what ConsistencyRuns.update gives"
        )
    if not 1 <= n <= counts.shape[1]:
        raise ShapeError(
            f"counts hold windows of 1..{counts.shape[1]} frames, asked for {n}; "
            "give ConsistencyRuns a larger most_frames"
        )


def _grouped(values: LabelMap) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The pixels as (8, W) words, and the rest as (8, 1)."""
    flat = np.ascontiguousarray(values).reshape(-1)
    whole = flat.size // _GROUP * _GROUP
    rest = np.full(_GROUP, IGNORE, np.uint8)
    rest[: flat.size - whole] = flat[whole:]
    # a view that begins within a word is copied: unaligned words are another type to the compiler
    words = np.require(flat[:whole].view(np.uint64), requirements="A")
    return words.reshape(8, whole // _GROUP), rest.view(np.uint64).reshape(8, 1)


@cache
def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    try:
        compiled: Callable[..., None] = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder can be written: neither beside this file nor the user's own
        compiled = numba.njit(nogil=True)(function)
    return compiled


def _compare(
    label: NDArray[np.uint64],
    prediction: NDArray[np.uint64],
    label_before: NDArray[np.uint64],
    prediction_before: NDArray[np.uint64],
    frame: int,
    first: int,
    same: NDArray[np.uint64],
    masks: NDArray[np.uint64],
) -> None:
    """Fill words first, first + 1, ... of the planes of this frame; the maps before become those of this frame.

    Two bytes differ where the highest bit of their flag is set: `low` added to seven bits carries into it from any of
    them, and no further. Byte b of word w of row r of (8, W) words has bit 8 b + 7 - r of word w of a plane, for the
    rows shift their flags beside one another.
    """
    low, high = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0x8080808080808080)
    slot = frame % same.shape[1]
    for start in range(0, label.shape[1], _BLOCK):
        stop = min(start + _BLOCK, label.shape[1])
        span = slice(first + start, first + stop)
        changed, either_changed = same[0, slot, span], same[1, slot, span]
        labelled, void, differs = masks[0, span], masks[1, span], masks[2, span]
        changed[:] = 0
        either_changed[:] = 0
        labelled[:] = 0
        differs[:] = 0
        for row in range(8):
            shift = np.uint64(row)
            new, old = label[row, start:stop], label_before[row, start:stop]
            new_prediction, old_prediction = prediction[row, start:stop], prediction_before[row, start:stop]
            for index in range(stop - start):
                one, other = new[index], new_prediction[index]
                bits = one ^ old[index]
                changed[index] |= ((((bits & low) + low) | bits) & high) >> shift
                bits |= other ^ old_prediction[index]
                either_changed[index] |= ((((bits & low) + low) | bits) & high) >> shift
                bits = ~one  # from IGNORE, whose bits are all set
                labelled[index] |= ((((bits & low) + low) | bits) & high) >> shift
                bits = one ^ other
                differs[index] |= ((((bits & low) + low) | bits) & high) >> shift
                old[index], old_prediction[index] = one, other
        for index in range(stop - start):
            changed[index], either_changed[index] = ~changed[index], ~either_changed[index]
            void[index], differs[index] = ~labelled[index], labelled[index] & ~differs[index]


def _tally(same: NDArray[np.uint64], masks: NDArray[np.uint64], frame: int, counts: NDArray[np.int64]) -> None:
    """Add the pixels of each window that ends at `frame`: alike in all its comparisons, and in the column's mask."""
    fives, threes = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
    nibbles, ones = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)
    by_one, by_two, by_four, by_seven_bytes = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)
    runs, filled = np.empty((2, _BLOCK), np.uint64), np.empty(3, np.bool_)
    for start in range(0, masks.shape[1], _BLOCK):
        stop = min(start + _BLOCK, masks.shape[1])
        runs[:] = ~np.uint64(0)
        for which in range(3):
            filled[which] = masks[which, start:stop].any()  # void is rare
        for n in range(1, min(counts.shape[0], frame + 1) + 1):
            for which in range(2 if n > 1 else 0):
                run, further = runs[which], same[which, (frame - n + 2) % same.shape[1], start:stop]
                for index in range(stop - start):
                    run[index] &= further[index]
            for column in range(_COLUMNS):
                if not filled[_MASKS[column]]:
                    continue
                run, mask = runs[_RUNS[column]], masks[_MASKS[column], start:stop]
                total = np.uint64(0)
                for index in range(stop - start):
                    # the ones are counted in pairs, nibbles, bytes: LLVM knows these lines as popcnt
                    bits = run[index] & mask[index]
                    bits -= (bits >> by_one) & fives
                    bits = (bits & threes) + ((bits >> by_two) & threes)
                    total += (((bits + (bits >> by_four)) & nibbles) * ones) >> by_seven_bytes
                counts[n - 1, column] += np.int64(total)

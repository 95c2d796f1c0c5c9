"""Time video consistency in one pass against the window-by-window way, side by side, on one thread.

    python benchmarks/consistency.py
    python benchmarks/consistency.py --size 720x960 --frames 80

A clip of label maps and predictions in uint8, to mVC_n: once for n = 8 and 16, as published, and once for every n from
2 to 16. The window-by-window way compares every frame of a window with its first, as VSPW's toolkit does; here it does
so in place in arrays of bool, which is faster than the toolkit's own arrays of float64, and both are timed. All must
give the same numbers; timed in turns (`turns.py`). Exits with 1 where one pass is less than 5 times
faster than the faster of the two. Two clips: regions that move, predicted a few pixels off and flickering here and
there; and noise, which no network gives.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from turns import Row, over_the_first, times_in_turns

from vssbench.metrics.consistency import ConsistencyRule, ConsistencyRuns, mean_video_consistency

LEAST_RATIO = 5.0
LENGTHS = {"n = 8 and 16": (8, 16), "every n from 2 to 16": tuple(range(2, 17))}
RULE = ConsistencyRule(void="in")  # the toolkit knows no void
BLOCK = 32  # pixels, the side of a region
SPEED = 2  # pixels a frame
SHIFT = (3, 5)  # pixels, by which the predicted regions are off
FLICKER = 0.02  # of the predicted pixels
SECONDS_A_CASE = 10.0
TURNS = (3, 21)  # at least, at most

Clip = list[NDArray[np.uint8]]
Score = Callable[[Clip, Clip, Sequence[int]], list[float]]


def one_pass(labels: Clip, predictions: Clip, lengths: Sequence[int]) -> list[float]:
    """Ours."""
    runs = ConsistencyRuns(most_frames=max(lengths))
    counts = np.stack([runs.update(*pair) for pair in zip(labels, predictions, strict=True)])
    return [mean_video_consistency([counts], n, rule=RULE) for n in lengths]


def windows_in_place(labels: Clip, predictions: Clip, lengths: Sequence[int]) -> list[float]:
    """A window at a time, in arrays that are made once."""
    label_common, common, same = (np.empty(labels[0].shape, np.bool_) for _ in range(3))
    means = []
    for n in lengths:
        scores = []
        for start in range(len(labels) - n + 1):
            label_common.fill(True)
            common.fill(True)
            for other in range(start + 1, start + n):
                label_common &= np.equal(labels[start], labels[other], out=same)
                common &= np.equal(predictions[start], predictions[other], out=same)
            common &= label_common
            scores.append(np.divide(np.count_nonzero(common), np.count_nonzero(label_common)))
        means.append(float(np.nanmean(scores)))  # a window without a common area has no score
    return means


def windows_of_the_toolkit(labels: Clip, predictions: Clip, lengths: Sequence[int]) -> list[float]:
    """A window at a time, beginning with ones of float64."""
    means = []
    for n in lengths:
        scores = []
        for start in range(len(labels) - n + 1):
            label_common, predicted_common = np.ones(labels[0].shape), np.ones(labels[0].shape)
            for other in range(start + 1, start + n):
                label_common = np.logical_and(label_common, labels[start] == labels[other])
                predicted_common = np.logical_and(predicted_common, predictions[start] == predictions[other])
            scores.append((predicted_common * label_common).sum() / label_common.sum())
        means.append(float(np.nanmean(scores)))  # a window without a common area has no score
    return means


WAYS: dict[str, Score] = {
    "one pass (this project)": one_pass,
    "window by window, NumPy in place": windows_in_place,
    "window by window, as VSPW's toolkit": windows_of_the_toolkit,
}


def clips(size: tuple[int, int], frames: int) -> dict[str, tuple[Clip, Clip]]:
    """Name -> labels and predictions, each (H, W) uint8."""
    generator = np.random.default_rng(0)
    height, width = size
    far = width + SPEED * frames + SHIFT[1]
    blocks = generator.integers(0, 124, (height // BLOCK + 2, far // BLOCK + 1), np.uint8)
    scene = np.kron(blocks, np.ones((BLOCK, BLOCK), np.uint8))
    labels, predictions = [], []
    for left in range(0, SPEED * frames, SPEED):
        labels.append(scene[:height, left : left + width].copy())
        prediction = scene[SHIFT[0] : SHIFT[0] + height, left + SHIFT[1] : left + SHIFT[1] + width].copy()
        prediction[generator.random(size) < FLICKER] = 0
        predictions.append(prediction)
    noise = [list(generator.integers(0, 2, (frames, *size), np.uint8)) for _ in range(2)]
    return {"regions that move": (labels, predictions), "noise": (noise[0], noise[1])}


def measure(labels: Clip, predictions: Clip, lengths: Sequence[int]) -> list[Row]:
    """Time the ways in turns, ours first, after checking that they agree."""
    expected = windows_of_the_toolkit(labels, predictions, lengths)
    for name, score in WAYS.items():
        if not np.allclose(
            score(labels, predictions, lengths), expected, rtol=1e-12, atol=0, equal_nan=True
        ):  # no area, no score
            raise RuntimeError(f"{name} disagrees with the toolkit's way")
    runs = {name: partial(score, labels, predictions, lengths) for name, score in WAYS.items()}
    return over_the_first(times_in_turns(runs, turns=TURNS, seconds=SECONDS_A_CASE))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases, print one table for each, and return 1 where the ratio is too small."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="480x853", help="HEIGHTxWIDTH (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=40, help="of the clip, more than 16 (default: %(default)s)")
    options = parser.parse_args(arguments)
    np.seterr(invalid="ignore")  # 0 / 0 in such a window
    height, width = (int(side) for side in options.size.split("x"))
    print(f"numpy {np.__version__}, one thread, {options.frames} frames of {options.size}")
    least = float("inf")
    for name, (labels, predictions) in clips((height, width), options.frames).items():
        for wanted, lengths in LENGTHS.items():
            print(f"\n{name}, {wanted}\n\n| way | least ms | time over ours |\n| --- | ---: | ---: |")
            rows = measure(labels, predictions, lengths)
            for row in rows:
                print(f"| {row.name} | {row.least_s * 1e3:.1f} | {row.ratio:.1f} |", flush=True)
            least = min(least, *(row.ratio for row in rows[1:]))
    passed = least >= LEAST_RATIO
    print(
        f"\n{'PASS' if passed else 'FAIL'}: one pass is at least {least:.1f} times as fast; asked for {LEAST_RATIO:g}"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

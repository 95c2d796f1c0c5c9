"""Time a confusion matrix against NumPy's and torchmetrics', side by side, on one thread.

    python benchmarks/confusion.py
    python benchmarks/confusion.py --size 720x960 --classes 11

From two maps of classes in uint8, a tenth of the labels ignored, to a matrix of int64; timed in turns (`turns.py`). It
exits 1 where, at the default size, np.bincount on int64, the making of its codes included, takes less than twice our
time, or torchmetrics less than 8 times. Three pairs of maps: regions whose borders are a few pixels off, as networks
give them; the same with every 20th pixel wrong; and noise, which no network gives.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import multiclass_confusion_matrix
from turns import Row, over_the_first, times_in_turns

from vssbench.metrics.confusion import confusion_matrix
from vssbench.records import IGNORE

BLOCK = 32  # pixels, the side of a region
SHIFT = (3, 5)  # pixels, by which the predicted regions are off
SECONDS_A_CASE = 10.0
TURNS = (5, 61)  # at least, at most
LEAST_RATIOS = {"np.bincount, int64": 2.0, "torchmetrics": 8.0}  # of their time to ours, on every pair of maps

Map = NDArray[np.uint8]
Count = Callable[[Map, Map], Any]


def rivals(num_classes: int, label: Map, prediction: Map) -> dict[str, Count]:
    """Name -> (label, prediction) -> (K, K), ours first; each leaves out what is ignored."""

    def ours(label: Map, prediction: Map) -> Any:
        return confusion_matrix(label, prediction, num_classes=num_classes)

    def int64(label: Map, prediction: Map) -> Any:
        code = label.astype(np.int64).ravel() * 256 + prediction.ravel()
        return np.bincount(code, minlength=1 << 16).reshape(256, 256)[:num_classes, :num_classes]

    def masked(label: Map, prediction: Map) -> Any:
        valid = label != IGNORE
        code = label[valid].astype(np.int64) * num_classes + prediction[valid]
        return np.bincount(code, minlength=num_classes**2).reshape(num_classes, num_classes)

    ready = label.astype(np.int64).ravel() * 256 + prediction.ravel()

    def of_ready_codes(_: Map, __: Map) -> Any:
        return np.bincount(ready, minlength=1 << 16).reshape(256, 256)[:num_classes, :num_classes]

    def uint16(label: Map, prediction: Map) -> Any:
        code = np.left_shift(label, 8, dtype=np.uint16)
        np.bitwise_or(code, prediction, out=code)
        return np.bincount(code.ravel(), minlength=1 << 16).reshape(256, 256)[:num_classes, :num_classes]

    def torchmetrics(label: Map, prediction: Map) -> Any:
        target, predicted = (torch.from_numpy(part).long() for part in (label, prediction))
        return multiclass_confusion_matrix(
            predicted, target, num_classes=num_classes, ignore_index=IGNORE, validate_args=False
        ).numpy()

    return {
        "this project": ours,
        "np.bincount, int64": int64,
        "np.bincount, int64, masked first": masked,
        "np.bincount alone, of int64 codes made before": of_ready_codes,
        "np.bincount, uint16": uint16,
        "torchmetrics": torchmetrics,
    }


def maps(size: tuple[int, int], num_classes: int) -> dict[str, tuple[Map, Map]]:
    """Name -> label and prediction, (H, W) uint8."""
    generator = np.random.default_rng(0)
    height, width = size
    blocks = generator.integers(0, num_classes, (height // BLOCK + 1, width // BLOCK + 1), np.uint8)
    regions = np.kron(blocks, np.ones((BLOCK, BLOCK), np.uint8))[:height, :width].copy()
    noise = generator.integers(0, num_classes, size, np.uint8)
    shifted = np.roll(regions, SHIFT, axis=(0, 1)).copy()
    label = regions.copy()
    label[: height // 10] = IGNORE
    noisy_label = generator.integers(0, num_classes, size, np.uint8)
    noisy_label[generator.random(size) < 0.1] = IGNORE
    return {
        "regions": (label, shifted),
        "regions, every 20th pixel wrong": (label, np.where(generator.random(size) < 0.05, noise, shifted)),
        "noise": (noisy_label, noise),
    }


def measure(label: Map, prediction: Map, num_classes: int) -> list[Row]:
    """Time the implementations in turns, ours first, after checking that they agree."""
    counts = rivals(num_classes, label, prediction)
    expected = counts["torchmetrics"](label, prediction)
    for name, count in counts.items():
        if not np.array_equal(count(label, prediction), expected):
            raise RuntimeError(f"{name} disagrees with torchmetrics")
    runs = {name: partial(count, label, prediction) for name, count in counts.items()}
    return over_the_first(times_in_turns(runs, turns=TURNS, seconds=SECONDS_A_CASE))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases, print one table for each, and return 1 where a rival is too near."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1024x2048", help="HEIGHTxWIDTH (default: %(default)s)")
    parser.add_argument("--classes", type=int, default=19, help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    height, width = (int(side) for side in options.size.split("x"))
    print(f"numpy {np.__version__}, torch {torch.__version__}, one thread, {options.size}, {options.classes} classes")
    least = dict.fromkeys(LEAST_RATIOS, float("inf"))
    for name, (label, prediction) in maps((height, width), options.classes).items():
        print(f"\n{name}\n\n| implementation | least ms | time over ours |\n| --- | ---: | ---: |")
        for row in measure(label, prediction, options.classes):
            print(f"| {row.name} | {row.least_s * 1e3:.2f} | {row.ratio:.1f} |", flush=True)
            if row.name in least:
                least[row.name] = min(least[row.name], row.ratio)
    if options.size != parser.get_default("size"):
        return 0  # the limits are of full-size maps; on small ones calling a function weighs more
    print()
    for name, ratio in least.items():
        asked = LEAST_RATIOS[name]
        print(
            f"{'PASS' if ratio >= asked else 'FAIL'}: {name} takes at least {ratio:.1f} times as long; asked: {asked:g}"
        )
    return 0 if all(least[name] >= asked for name, asked in LEAST_RATIOS.items()) else 1


if __name__ == "__main__":
    sys.exit(main())

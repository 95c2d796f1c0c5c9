"""Time the bootstrap of mIoU over clips against a plain numpy loop over rounds, side by side, on one thread.

    python benchmarks/bootstrap.py
    python benchmarks/bootstrap.py --clips 60 --distances 12 --classes 11 --loop-rounds 1000

From the counts of every clip and distance, (clips, d, K, K) int64, to the rounds of mIoU_d and its 95 % interval. The
loop draws clips, adds up their matrices and computes the IoU of every class, round after round; it does a share of the
rounds, and its time is scaled up to all of them. Both draw the same clips, and their rounds are compared first. Times
are taken in turns within one process, and what counts is the median over the turns of the ratio of two neighbouring
times. A paired difference of two methods costs twice the rounds of one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from vssbench.metrics.bootstrap import ROUNDS, Interval, Resampled, combined, interval, miou_statistic, resample
from vssbench.metrics.distance import mean_over_distance

TURNS = 5
PIXELS = 20_000  # of a clip at one distance
TOLERANCE = 1e-12

Counts = NDArray[np.int64]  # (clips, d, K, K), rows true


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=500, help="(default: %(default)s)")
    parser.add_argument("--distances", type=int, default=12, help="(default: %(default)s)")
    parser.add_argument("--classes", type=int, default=19, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="(default: %(default)s)")
    parser.add_argument("--loop-rounds", type=int, default=100, help="of the loop (default: %(default)s)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    counts = made_up_counts(options.clips, options.distances, options.classes)
    print(f"numpy {np.__version__}; {options.clips} clips x {options.distances} d x {options.classes} classes\n")
    difference = require_equal_rounds(counts, options.loop_rounds)
    ours, loop = [], []
    for _ in range(TURNS):
        start = time.perf_counter()
        found = interval_of(counts, rounds=options.rounds)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        plain_rounds(counts, rounds=options.loop_rounds)
        loop.append((time.perf_counter() - start) * options.rounds / options.loop_rounds)
    ratio = statistics.median(a / b for a, b in zip(loop, ours, strict=True))
    print("| implementation | rounds | least (s) | time over ours |\n| --- | ---: | ---: | ---: |")
    print(f"| this project, with its interval | {options.rounds} | {min(ours):.2f} | 1.0 |")
    scaled = f"{options.rounds}, scaled up from {options.loop_rounds}"
    print(f"| numpy, round by round | {scaled} | {min(loop):.1f} | {ratio:.1f} |")
    print(
        f"\nmIoU 95 % interval {100 * found.low:.3f} to {100 * found.high:.3f} %; the rounds of both differ by at most "
    )
    print(f"{difference:.1e}")


def made_up_counts(clips: int, distances: int, classes: int) -> Counts:
    """Counts of clips that differ in content and in how hard they are."""
    generator = np.random.default_rng(0)
    shares = 1 / np.arange(1, classes + 1)
    content = generator.dirichlet(12 * shares / shares.sum(), clips)
    recall = np.clip(generator.normal(0.75, 0.1, (clips, distances)), 0.3, 0.98)
    wrong = (1 - recall)[:, :, None, None] * content[:, None, :, None] / classes
    expected = np.broadcast_to(wrong, (clips, distances, classes, classes)).copy()
    diagonal = np.arange(classes)
    expected[:, :, diagonal, diagonal] += recall[:, :, None] * content[:, None, :]
    return np.asarray(np.round(PIXELS * expected), np.int64)


def drawn(counts: Counts, *, rounds: int) -> Resampled:
    """mIoU, the mean over d, drawn again and again."""
    by_distance = resample(miou_statistic(counts), len(counts), rounds=rounds, seed=0)
    return combined(lambda values: values.mean(axis=1), by_distance)


def interval_of(counts: Counts, *, rounds: int) -> Interval:
    """The 95 % interval of mIoU."""
    return interval(drawn(counts, rounds=rounds))


def plain_rounds(counts: Counts, *, rounds: int) -> NDArray[np.float64]:
    """(rounds,) mIoU of each draw, computed as of any counts, in the order of `resample`."""
    generator = np.random.default_rng(0)
    draws = generator.integers(0, len(counts), (rounds, len(counts)))
    return np.array([mean_over_distance(counts[draw].sum(axis=0)) for draw in draws])


def require_equal_rounds(counts: Counts, rounds: int) -> float:
    """The largest difference of a round of the two. Raises: RuntimeError, when it is more than rounding."""
    difference = float(np.abs(drawn(counts, rounds=rounds).rounds - plain_rounds(counts, rounds=rounds)).max())
    if not difference <= TOLERANCE:
        raise RuntimeError(f"the two ways disagree: a round differs by {difference}")
    return difference


if __name__ == "__main__":
    main()

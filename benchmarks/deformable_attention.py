"""Time sparse deformable attention at four shares of the points, side by side, and count its multiply-adds.

    python benchmarks/deformable_attention.py
    python benchmarks/deformable_attention.py --threads 1 --shares 5,10,100 --device cuda

What is run is TFC's step: one encoder layer of Deformable DETR (attention, feed-forward network, norms) at some points
of the map at 1/4, over the four levels of SegFormer's projected pyramid, D = 256, 8 heads, 4 levels, 4 points, for a
frame of 480x853. Beside it the same layer as Deformable DETR's program has it, with the maps projected as a whole and
read by `grid_sample`, and equal to it. The points are the rows in the middle of the map, as an object's are neighbours,
or scattered at random.

The machine is rarely quiet, so times are taken in turns within one process, and what counts is the median over the
turns of the ratio to the time of all points next to it. PASS: the multiply-adds of a point are the same at every share,
and at 10 % of the points the time is under 20 % of that of all.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vssbench.complexity.macs import count_macs
from vssbench.ops.deformable_attention import DeformableEncoderLayer

CHANNELS = 256
SIZE = (480, 853)
SHARES = (10.0, 20.0, 40.0, 100.0)  # per cent
SECONDS = 60.0
TURNS = (3, 21)  # at least, at most
LIMIT = 0.20  # of the time of all points, at 10 % of them


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of doing one share of the points."""

    name: str
    share: float  # per cent
    points: int
    gmacs: float
    least_s: float
    ratio: float  # median over turns, of its time over that of all points


@dataclass(frozen=True, kw_only=True)
class Case:
    """A layer, the map to update and the pyramid."""

    layer: DeformableEncoderLayer
    features: Tensor
    levels: tuple[Tensor, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print one table for each order of points, and tell whether the time falls with their number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="x".join(map(str, SIZE)), help="HEIGHTxWIDTH of the frame")
    parser.add_argument("--shares", default=",".join(f"{share:g}" for share in SHARES), help="per cent, 100 included")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each order of points")
    options = parser.parse_args(arguments)
    height, width = (int(side) for side in options.size.split("x"))
    shares = sorted({*(float(share) for share in options.shares.split(",")), 100.0})
    torch.set_num_threads(options.threads)
    made = case((height, width), device=options.device)
    sizes = ", ".join(f"{level.shape[-2]}x{level.shape[-1]}" for level in made.levels)
    print(f"torch {torch.__version__}, {options.device}, {options.threads} threads, float32")
    print(f"{height}x{width}: levels {sizes}; D = {CHANNELS}, 8 heads, 4 levels, 4 points; the whole encoder layer")
    passed = True
    for order in ("neighbours", "scattered"):
        print(f"\nPoints: {order}\n")
        print("| implementation | share of points | points | GMAC | kMAC a point | least ms | time over all points |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        rows = measure(made, shares, order=order, seconds=options.seconds)
        for row in rows:
            print(
                f"| {row.name} | {row.share:g} % | {row.points} | {row.gmacs:.2f} | {row.gmacs / row.points * 1e6:.0f} "
                f"| {row.least_s * 1e3:.1f} | {row.ratio:.3f} |",
                flush=True,
            )
        passed &= is_proportional([row for row in rows if row.name == OURS])
    print(
        f"\n{'PASS' if passed else 'FAIL'}: MACs in proportion, and at 10 % of the points under {LIMIT:.0%} of the time"
    )
    return 0 if passed else 1


def case(size: tuple[int, int], *, device: str) -> Case:
    """A layer whose points have left their first ring, and a pyramid in the order that the decoder leaves it in."""
    torch.manual_seed(0)
    with torch.device(device):
        layer = DeformableEncoderLayer(CHANNELS).eval().requires_grad_(False)
        torch.nn.init.normal_(layer.attention.offsets.weight, std=2 / CHANNELS**0.5)
        torch.nn.init.normal_(layer.attention.weights.weight, std=1 / CHANNELS**0.5)
        sides = [tuple(-(-side // stride) for side in size) for stride in (4, 8, 16, 32)]
        levels = tuple(torch.randn(1, CHANNELS, *each).contiguous(memory_format=torch.channels_last) for each in sides)
        return Case(layer=layer, features=torch.randn(1, CHANNELS, *sides[0]), levels=levels)


def points(made: Case, share: float, *, order: str) -> Tensor:
    """Flat indices of a share of the map, in rising order."""
    total = made.features.shape[-2] * made.features.shape[-1]
    count = max(1, round(total * share / 100))
    if order == "neighbours":
        start = (total - count) // 2
        index = torch.arange(start, start + count)
    else:
        index = torch.randperm(total, generator=torch.Generator().manual_seed(0))[:count].sort().values
    return index.to(made.features.device)


def ours(made: Case, index: Tensor) -> Tensor:
    """The layer as it is."""
    return made.layer.update_points(made.features, made.levels, index)


def maps_first(made: Case, index: Tensor) -> Tensor:
    """The same, with all maps projected, and then read by `grid_sample`."""
    attention, (height, width) = made.layer.attention, made.features.shape[-2:]
    queries = made.features.flatten(2)[0].index_select(1, index).t()
    reference = torch.stack((index % width + 0.5, index.div(width, rounding_mode="floor") + 0.5), -1)
    reference = reference / torch.tensor([width, height], device=index.device)
    offsets, weights = attention.sampling(queries)
    read = []
    for number, level in enumerate(made.levels):
        value = attention.values[0](level.flatten(2).transpose(1, 2)).transpose(1, 2)  # (1, D, h w)
        value = value.reshape(attention.heads, -1, *level.shape[-2:])
        size = torch.tensor([level.shape[-1], level.shape[-2]], device=index.device)
        grid = 2 * (reference[:, None, None] + offsets[:, :, number] / size) - 1  # (P, M, K, 2)
        read.append(F.grid_sample(value, grid.transpose(0, 1), align_corners=False))  # (M, D / M, P, K)
    shares = weights.flatten(2).transpose(0, 1).unsqueeze(1)  # (M, 1, P, L K)
    mixed = (torch.cat(read, -1) * shares).sum(-1).flatten(0, 1).t()
    updated = made.layer.finish(queries, attention.output(mixed))
    return made.features.flatten(2).index_copy(2, index, updated.t().unsqueeze(0)).view(made.features.shape)


OURS, MAPS_FIRST = "this project", "maps first, grid_sample"
WAYS: dict[str, Callable[[Case, Tensor], Tensor]] = {OURS: ours, MAPS_FIRST: maps_first}


@torch.inference_mode()
def measure(made: Case, shares: Sequence[float], *, order: str, seconds: float) -> list[Row]:
    """Each way at each share: counted once, timed in turns; the two ways must agree."""
    index = {share: points(made, share, order=order) for share in shares}
    for each in index.values():
        torch.testing.assert_close(maps_first(made, each), ours(made, each), rtol=1e-3, atol=1e-3)
    runs = {(name, share): (lambda f=f, i=index[share]: f(made, i)) for name, f in WAYS.items() for share in shares}
    times = times_in_turns(list(runs.values()), device=made.features.device.type, seconds=seconds)
    own = dict(zip(runs, times, strict=True))
    return [
        Row(
            name=name,
            share=share,
            points=index[share].numel(),
            gmacs=count_macs(run).total / 1e9,
            least_s=min(own[name, share]),
            ratio=statistics.median(a / b for a, b in zip(own[name, share], own[name, 100.0], strict=True)),
        )
        for (name, share), run in runs.items()
    ]


def times_in_turns(runs: Sequence[Callable[[], Tensor]], *, device: str, seconds: float) -> list[list[float]]:
    """Seconds of each run, (runs, turns); every turn times all of them, one after another."""
    times: list[list[float]] = [[] for _ in runs]
    started = time.perf_counter()
    while len(times[0]) < TURNS[0] or (len(times[0]) < TURNS[1] and time.perf_counter() - started < seconds):
        for run, own in zip(runs, times, strict=True):
            synchronise(device)
            start = time.perf_counter()
            run()
            synchronise(device)
            own.append(time.perf_counter() - start)
    return times


def synchronise(device: str) -> None:
    """Wait for a GPU; a CPU is always done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def is_proportional(rows: Sequence[Row]) -> bool:
    """Whether a point costs the same work at every share, and 10 % of the points (or fewer) little time."""
    each = {round(row.gmacs * 1e9 / row.points) for row in rows}
    return len(each) == 1 and all(row.ratio < LIMIT for row in rows if row.share <= 10)


if __name__ == "__main__":
    sys.exit(main())

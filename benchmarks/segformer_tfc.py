"""Time SegFormer and TFC at 480x853 side by side: per-frame network, key frame, non-key frames, mean of an interval.

    python benchmarks/segformer_tfc.py
    python benchmarks/segformer_tfc.py --device cuda --networks segformer-b0 --size 512x512 --share 20

A step is the main job's: the decoded frame in memory to its labels on the host, the device idle before and after. The
weights are random, and so is the picture: neither time nor work depends on them where the share of updated points is
fixed, as it is here (`TFC.assumed_share`; the paper's share is about 10 %). These points are the upper rows of the map
at 1/4, neighbours as an object's are. Since they are given and not found, two small things are left out: comparing the
similarity with the threshold, and reading the number of points back, for which a GPU has to be waited for; the
similarity itself is computed. A decoder of 256 channels and 124 classes (VSPW), as in the paper; float32 without TF32.

The machine is rarely quiet, so the steps are timed in turns within one process: frames/s are of the median over the
turns, and the ratio is the median over the turns of the ratio to the per-frame network's time next to it. An
interval of L frames is a key frame and L - 1 others, (key + (L - 1) other) / L of each turn. Operations are counted
while the steps run for the first time: convolutions, linear layers and products of attention; 1 GMAC is 2 GFLOPs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from baselines.constant_resolution import ConstantResolution
from tfc.method import TFC
from tfc.model import TFCNetwork
from tfc.options import INTERVAL, options_of
from vssbench.complexity.macs import count_macs
from vssbench.latency.environment import environment
from vssbench.latency.timer import synchroniser
from vssbench.networks.zoo import build_network
from vssbench.records import CompressedFrame, Method

NETWORKS = ("segformer-b0", "segformer-b1", "segformer-b5-256")
SIZE = (480, 853)
CLASSES = 124  # of VSPW
SHARE = 10.0  # per cent
SECONDS = 60.0
TURNS = (3, 201)  # at least, at most
IMAGE, KEY, REUSE, TFC_OTHER = "per-frame network", "key frame", "non-key frame, feature reuse", "non-key frame, TFC"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of frame, or the mean of an interval: seconds of every turn, and what it executes."""

    name: str
    seconds: tuple[float, ...]
    gmacs: float


@dataclass(frozen=True, kw_only=True)
class Case:
    """The per-frame network and the two methods on it, all of one network; a key frame and another."""

    image: Method
    reuse: Method
    tfc: Method
    frames: tuple[CompressedFrame, CompressedFrame]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the machine and a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="x".join(map(str, SIZE)), help="HEIGHTxWIDTH (default: %(default)s)")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="SegFormers of the zoo (default: %(default)s)")
    parser.add_argument("--share", type=float, default=SHARE, help="of the points, per cent (default: %(default)g)")
    parser.add_argument("--interval", type=int, default=INTERVAL, help="from key frame to key frame (%(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch (default: %(default)s)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each network (default: %(default)g)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    height, width = (int(side) for side in options.size.split("x"))
    for name, value in environment(options.device).items():
        print(f"{name}: {value}")
    for name in options.networks.split(","):
        made = case(name, (height, width), share=options.share / 100, device=torch.device(options.device))
        rows = measure(made, interval=options.interval, device=options.device, seconds=options.seconds)
        print(f"\n{name}, {height}x{width}, {options.share:g} % of the points, {len(rows[0].seconds)} turns\n")
        print("| frame | least ms | median ms | frames/s | GMAC | GFLOPs | time over per-frame | work over per-frame |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        for row in rows:
            print(line(row, rows[0]), flush=True)


def case(name: str, size: tuple[int, int], *, share: float, device: torch.device) -> Case:
    """The methods on one network of random weights, and two frames of noise."""
    torch.manual_seed(0)
    network = build_network(name, num_classes=CLASSES).eval()
    reuse = TFC(TFCNetwork(network, options=options_of("reuse")), device=device)
    tfc = TFC(TFCNetwork(network, options=options_of("")), device=device)
    tfc.assumed_share = share
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    key, other = (
        CompressedFrame(rgb=rgb, frame_type=kind, index=index, size_bytes=1)
        for index, (rgb, kind) in enumerate(zip(pixels, ("I", "P"), strict=True))
    )
    image = ConstantResolution(network=network, scale=1.0, device=device)
    return Case(image=image, reuse=reuse, tfc=tfc, frames=(key, other))


def measure(made: Case, *, interval: int, device: str, seconds: float) -> list[Row]:
    """The per-frame network, each kind of frame, the mean of an interval: counted once, timed in turns."""
    gmacs = of_each_step(made, lambda run: count_macs(run).network / 1e9)
    synchronise = synchroniser(device)

    def timed(run: Callable[[], object]) -> float:
        synchronise()
        start = time.perf_counter()
        run()
        synchronise()
        return time.perf_counter() - start

    of_each_step(made, timed)  # warm-up
    turns: list[dict[str, float]] = []
    started = time.perf_counter()
    while len(turns) < TURNS[0] or (len(turns) < TURNS[1] and time.perf_counter() - started < seconds):
        turns.append(of_each_step(made, timed))
    names = {name: (lambda each, name=name: each[name]) for name in (IMAGE, KEY, REUSE, TFC_OTHER)}
    for name, other in (("feature reuse", REUSE), ("TFC", TFC_OTHER)):
        names[f"mean of {interval} frames, {name}"] = lambda each, other=other: (
            (each[KEY] + (interval - 1) * each[other]) / interval
        )
    return [
        Row(name=name, seconds=tuple(value(each) for each in turns), gmacs=value(gmacs))
        for name, value in names.items()
    ]


def of_each_step(made: Case, value: Callable[[Callable[[], object]], float]) -> dict[str, float]:
    """What `value` gives for each kind of step, one after another; the two methods' key frames are the same work."""
    key, other = made.frames
    values = {IMAGE: value(lambda: made.image.step(key))}
    made.reuse.reset()
    made.reuse.step(key)
    values[REUSE] = value(lambda: made.reuse.step(other))
    made.tfc.reset()
    values[KEY] = value(lambda: made.tfc.step(key))
    values[TFC_OTHER] = value(lambda: made.tfc.step(other))
    return values


def line(row: Row, image: Row) -> str:
    """A row of the table."""
    median = statistics.median(row.seconds)
    ratio = statistics.median(a / b for a, b in zip(row.seconds, image.seconds, strict=True))
    return (
        f"| {row.name} | {1e3 * min(row.seconds):.1f} | {1e3 * median:.1f} | {1 / median:.2f} | {row.gmacs:.2f} "
        f"| {2 * row.gmacs:.2f} | {ratio:.3f} | {row.gmacs / image.gmacs:.3f} |"
    )


if __name__ == "__main__":
    main()

"""Time counting a network's operations at 1024x2048: this project, torch's counter and thop, side by side.

    python benchmarks/operation_counts.py
    python benchmarks/operation_counts.py --networks bisenet18 segformer-b5 --size 720x960 --real

Everything but `--real` runs on the meta device, where nothing is computed. thop needs a copy of the network, which
counts as its time; with `--real` it also runs on the CPU with values, as thop's users do. Times are taken in turns
within one process; the ratios are medians over turns of neighbouring times. The numbers differ where a counter is
blind: thop to whatever is no module (attention), and all but ours to warps and resizes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode

from vssbench.complexity.macs import count_macs
from vssbench.complexity.thop_package import thop_macs
from vssbench.latency.memory import peak_memory
from vssbench.networks.base import SegmentationNetwork
from vssbench.networks.zoo import NETWORKS, build_network

TURNS = 5
CLASSES = 19


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS), metavar="NETWORK")
    parser.add_argument("--size", default="1024x2048", help="HEIGHTxWIDTH")
    parser.add_argument("--real", action="store_true", help="thop with values on the CPU, too: seconds a network")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    height, width = (int(side) for side in options.size.split("x"))
    print(f"torch {torch.__version__}, 1 thread, {height}x{width}, {CLASSES} classes\n")
    print("| network | GMACs | warp + resize | torch's counter | thop | least ms | torch's / ours | thop / ours |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in options.networks:
        print(row(name, (height, width)), flush=True)
    if options.real:
        print("\n| network | thop with values, s | extra memory, MiB |\n| --- | ---: | ---: |")
        for name in options.networks:
            print(real_row(name, (height, width)), flush=True)


def row(name: str, size: tuple[int, int]) -> str:
    """The counts and times of one network."""
    with torch.device("meta"):
        network = build_network(name, num_classes=CLASSES).eval()
    images = torch.empty(1, 3, *size, device="meta")
    count = count_macs(lambda: network(images))
    counters: list[Callable[[], object]] = [
        lambda: count_macs(lambda: network(images)),
        lambda: torchs_macs(network, images),
        lambda: thop_macs(network, size),
    ]
    times = times_in_turns(counters)
    ratios = [statistics.median(a / b for a, b in zip(own, times[0], strict=True)) for own in times]
    sampling = (count.by_kind["warp"] + count.by_kind["resize"]) / 1e9
    numbers = [count.network / 1e9, sampling, torchs_macs(network, images) / 1e9, thop_macs(network, size) / 1e9]
    cells = [name, *(f"{number:.2f}" for number in numbers), f"{1e3 * min(times[0]):.0f}"]
    return f"| {' | '.join([*cells, *(f'{ratio:.2f}' for ratio in ratios[1:])])} |"


def torchs_macs(network: SegmentationNetwork, images: torch.Tensor) -> float:
    """Half of what torch's own counter says, which is FLOPs."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(images)
    return counter.get_total_flops() / 2


def times_in_turns(runs: Sequence[Callable[[], object]]) -> list[list[float]]:
    """Seconds of each run, (runs, turns); every turn times all of them, one after another."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(TURNS):
        for run, own in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            own.append(time.perf_counter() - start)
    return times


def real_row(name: str, size: tuple[int, int]) -> str:
    """A run of thop as most users have it: with a forward pass of random weights on the CPU."""
    import thop

    network, images = build_network(name, num_classes=CLASSES).eval(), torch.zeros(1, 3, *size)
    start = time.perf_counter()
    memory = peak_memory(lambda: thop.profile(network, inputs=(images,), verbose=False), device="cpu")
    return f"| {name} | {time.perf_counter() - start:.1f} | {memory.added_bytes / 2**20:.0f} |"


if __name__ == "__main__":
    main()

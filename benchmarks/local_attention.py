"""Time CReFF's 7x7 local attention against 49 shifted products and against unfolding, side by side.

    python benchmarks/local_attention.py
    python benchmarks/local_attention.py --channels 256 --size 90x120 --threads 2

The machine is rarely quiet, so times are taken in turns within one process, and what counts is the median over the
turns of the ratio of two neighbouring times. Memory is what a call allocates at its peak, its result included, over
the bytes of one feature map (query, key and value are three). The error is the largest difference from float64 over
all pixels, or over the first, middle and last rows of a large map, borders always included.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vssbench.latency.memory import peak_memory
from vssbench.ops.local_attention import local_attention

WINDOW = 7
CASES = ((256, 90, 120), (128, 45, 60), (64, 45, 60), (64, 720, 960))  # BiSeNet18, half and narrow; PSPNet18
SECONDS_A_CASE = 8.0
TURNS = (3, 41)  # at least, at most
UNFOLD_LIMIT_BYTES = 1 << 30  # of one unfolded map; 8.7 GB at 64 x 720 x 960
CHECKED_ROWS = 24

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def shifted_products(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """49 shifted products: a plane of logits for each shift, a softmax over planes, a running sum."""
    channels, height, width = query.shape[1:]
    key, value = (F.pad(x, (WINDOW // 2,) * 4) for x in (key, value))
    shifts = [(y, x) for y in range(WINDOW) for x in range(WINDOW)]
    logits = query.new_empty((query.shape[0], len(shifts), height, width))
    for index, (y, x) in enumerate(shifts):
        torch.sum(query * key[:, :, y : y + height, x : x + width], dim=1, out=logits[:, index])
    mass = (logits * channels**-0.5).softmax(dim=1)
    out = torch.zeros_like(query)
    for index, (y, x) in enumerate(shifts):
        out.addcmul_(mass[:, index : index + 1], value[:, :, y : y + height, x : x + width])
    return out


def unfolded(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The neighbourhoods written out by unfold, then multiplied."""
    num, channels, height, width = query.shape
    taps = (num, channels, WINDOW * WINDOW, height, width)
    logits = (F.unfold(key, WINDOW, padding=WINDOW // 2).view(taps) * query.unsqueeze(2)).sum(dim=1)
    mass = (logits * channels**-0.5).softmax(dim=1)
    return (F.unfold(value, WINDOW, padding=WINDOW // 2).view(taps) * mass.unsqueeze(1)).sum(dim=2)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one implementation did in one case."""

    name: str
    least_s: float
    ratio: float  # median over turns of its time over ours
    memory_maps: float
    error: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cases and print one table for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, help="with --size: this case alone")
    parser.add_argument("--size", help="HEIGHTxWIDTH, e.g. 90x120")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    if (options.channels is None) != (options.size is None):
        parser.error("--channels and --size go together")
    torch.set_num_threads(options.threads)
    cases = CASES
    if options.size:
        height, width = (int(side) for side in options.size.split("x"))
        cases = ((options.channels, height, width),)
    print(f"torch {torch.__version__}, {options.device}, {options.threads} threads, {WINDOW}x{WINDOW} window, float32")
    for channels, height, width in cases:
        print(f"\nC = {channels}, {height}x{width}: a map is {channels * height * width * 4 / 2**20:.1f} MiB\n")
        print("| implementation | least ms | time over ours | extra memory, maps | error against float64 |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for row in measure((1, channels, height, width), device=options.device):
            print(
                f"| {row.name} | {row.least_s * 1e3:.1f} | {row.ratio:.2f} | {row.memory_maps:.2f} | {row.error:.1e} |",
                flush=True,
            )


@torch.inference_mode()
def measure(shape: tuple[int, int, int, int], *, device: str) -> list[Row]:
    """Time the implementations in turns, ours first, and measure the memory and error of each."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(shape, generator=generator).to(device) for _ in range(3))
    map_bytes = query.numel() * query.element_size()
    rivals: dict[str, Attention] = {"this project": local_attention, "49 shifted products": shifted_products}
    if map_bytes * WINDOW**2 <= UNFOLD_LIMIT_BYTES:
        rivals["unfold"] = unfolded
    memory = {name: peak_memory(lambda f=f: f(query, key, value), device=device) for name, f in rivals.items()}
    errors = {name: error_against_float64(f(query, key, value), query, key, value) for name, f in rivals.items()}
    times = times_in_turns([lambda f=f: f(query, key, value) for f in rivals.values()], device=device)
    return [
        Row(
            name=name,
            least_s=min(own),
            ratio=statistics.median(a / b for a, b in zip(own, times[0], strict=True)),
            memory_maps=memory[name].added_bytes / map_bytes,
            error=errors[name],
        )
        for name, own in zip(rivals, times, strict=True)
    ]


def times_in_turns(runs: Sequence[Callable[[], Tensor]], *, device: str) -> list[list[float]]:
    """Seconds of each run, (runs, turns); every turn times all of them, one after another."""
    times: list[list[float]] = [[] for _ in runs]
    started = time.perf_counter()
    while len(times[0]) < TURNS[0] or (len(times[0]) < TURNS[1] and time.perf_counter() - started < SECONDS_A_CASE):
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


def error_against_float64(result: Tensor, query: Tensor, key: Tensor, value: Tensor) -> float:
    """The largest difference from shifted products in float64."""
    height, halo = query.shape[2], WINDOW // 2
    tops = range(0, height, CHECKED_ROWS)
    if query.numel() > 10**7:
        tops = [0, height // 2, height - CHECKED_ROWS]
    worst = 0.0
    for top in tops:
        # rows and what they see; at the image's edges shifted_products pads as it should
        first, last = max(top - halo, 0), min(top + CHECKED_ROWS + halo, height)
        exact = shifted_products(*(x[:, :, first:last].double() for x in (query, key, value)))
        stop = min(top + CHECKED_ROWS, height)
        difference = result[:, :, top:stop].double() - exact[:, :, top - first : stop - first]
        worst = max(worst, difference.abs().max().item())
    return worst


if __name__ == "__main__":
    main()

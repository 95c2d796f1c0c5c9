"""Time a network's steps in every backend against eager mode, side by side: channels last, compiled, bfloat16.

    python benchmarks/backends.py
    python benchmarks/backends.py --threads 2 --device cuda --size 720x960

A step is the main job's: the decoded frame in memory to its labels on the host, here of constant resolution at scale
1.0 over frames of `street`. Two networks: BiSeNet18 at a quarter of its width with the shipped weights, and in full
with random ones, whose classifier is fitted to the frames' labels by least squares: of a classifier that is random too
the classes lie so close that any rounding moves labels. Outputs come first: a backend that gives other labels than
eager mode, in more pixels than its limit, has no time. The machine is rarely quiet, so the backends are timed in
turns within one process, and what counts is the median over the turns of the ratio of two neighbouring times; compiling
is the first call less a later one. `compiled` is left out where there is no compiler.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from baselines.constant_resolution import ConstantResolution
from vssbench.datasets.street import Street
from vssbench.errors import UsageError
from vssbench.latency.backends import BACKENDS, LIMITS, in_backend, require_backend
from vssbench.latency.outputs import OutputsCheck, compare_outputs
from vssbench.latency.timer import synchroniser
from vssbench.networks.base import SegmentationNetwork
from vssbench.networks.bisenet import BiSeNet18
from vssbench.networks.weights import load_network
from vssbench.ops.images import to_tensor
from vssbench.records import IGNORE, Backend, CompressedFrame, Method, SourceVideo

WEIGHTS = Path(__file__).resolve().parents[1] / "vssbench/weights/street/constant@1.0.safetensors"
FRAMES = (0, 12)  # of a video; apart, so that they differ
SECONDS_A_CASE = 30.0
TURNS = (5, 41)  # at least, at most
RIDGE = 1e-3  # of the mean square of a feature

Builder = Callable[[], SegmentationNetwork]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="360x480", help="HEIGHTxWIDTH (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: %(default)s)")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    height, width = (int(side) for side in options.size.split("x"))
    video = Street(size=(height, width)).videos("test")[0]
    frames = [frame_of(video, index) for index in FRAMES]
    device = torch.device(options.device)
    print(f"torch {torch.__version__}, {device}, {options.threads} threads, {options.size}")
    networks: dict[str, Builder] = {
        "bisenet18 x0.25, shipped weights": lambda: shipped(device),
        "bisenet18, fitted classifier": lambda: fitted(video, device),
    }
    for name, build in networks.items():
        print(f"\n{name}\n")
        print("| backend | least (ms) | time over eager | labels unlike eager (%) | allowed (%) | compiling (s) |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for row in measure(build, frames, device):
            print(row, flush=True)


def frame_of(video: SourceVideo, index: int) -> CompressedFrame:
    """A frame as if it were decoded, an I frame."""
    (rgb,) = video.read(index, index + 1)
    return CompressedFrame(rgb=rgb, frame_type="I", index=index, size_bytes=1)


def shipped(device: torch.device) -> SegmentationNetwork:
    """The network of the shipped weights."""
    return load_network(WEIGHTS, num_classes=len(Street.class_names), device=device)[0]


@torch.no_grad()
def fitted(video: SourceVideo, device: torch.device) -> SegmentationNetwork:
    """BiSeNet18 with random weights below a final convolution that tells street's classes apart as well as these allow.

    That is ridge regression of the labels, 1 or 0 by class, on the features of FRAMES.
    """
    torch.manual_seed(0)
    network = BiSeNet18(num_classes=len(Street.class_names)).to(device).eval()
    network.drop_auxiliary()
    inputs, targets = [], []
    for index in FRAMES:
        features = network.features(to_tensor(frame_of(video, index).rgb, device=device))[0].double().cpu()
        height, width = features.shape[1:]
        label = torch.from_numpy(video.labels[index].astype(np.int64))[None, None].double()
        label = F.interpolate(label, (height, width), mode="nearest").long().flatten()
        pixels = torch.cat([features.flatten(1), torch.ones(1, height * width)]).T  # (h * w, C + 1)
        inputs.append(pixels[label != IGNORE])
        targets.append(F.one_hot(label[label != IGNORE], network.num_classes).double())
    x, y = torch.cat(inputs), torch.cat(targets)
    gram = x.T @ x
    solution = torch.linalg.solve(gram + RIDGE * gram.diagonal().mean() * torch.eye(len(gram)), x.T @ y)  # (C + 1, K)
    network.final.weight.copy_(solution[:-1].T[:, :, None, None])
    network.final.bias.copy_(solution[-1])
    return network


def method_in(backend: Backend, build: Builder, device: torch.device) -> Method:
    """Constant resolution in a backend."""
    return in_backend(ConstantResolution(network=build(), scale=1.0, device=device), backend, device=device)


def measure(build: Builder, frames: Sequence[CompressedFrame], device: torch.device) -> Iterator[str]:
    """Check every backend's labels, then time those that pass in turns, eager mode first; a row for each."""
    plain = method_in("eager", build, device)
    ready: dict[Backend, tuple[Method, OutputsCheck, float]] = {}
    for backend in BACKENDS:
        try:
            require_backend(backend, device)
        except UsageError as error:
            yield f"| {backend} | n/a: {error} | | | | |"
            continue
        method = method_in(backend, build, device)
        first, later = (seconds_of(method, frames[0], device) for _ in range(2))
        check = compare_outputs(method, plain, frames, limit=LIMITS[backend])
        ready[backend] = (method, check, first - later)
    passed = {backend: method for backend, (method, check, _) in ready.items() if check.passed}
    times = times_in_turns(passed, frames, device)
    for backend, (_, check, compiling) in ready.items():
        least, ratio = "n/a", "n/a"
        if check.passed:
            least = f"{1e3 * min(times[backend]):.1f}"
            ratio = f"{statistics.median(a / b for a, b in zip(times[backend], times['eager'], strict=True)):.2f}"
        spent = f"{compiling:.0f}" if backend == "compiled" else "none"
        labels = f"{100 * check.share:.4f} of {check.pixels} pixels"
        yield f"| {backend} | {least} | {ratio} | {labels} | {100 * check.limit:g} | {spent} |"


def times_in_turns(
    methods: Mapping[Backend, Method], frames: Sequence[CompressedFrame], device: torch.device
) -> dict[Backend, list[float]]:
    """Seconds of each backend's steps; every turn times all of them on one frame, one after another."""
    times: dict[Backend, list[float]] = {backend: [] for backend in methods}
    started = time.perf_counter()
    turn = 0
    while turn < TURNS[0] or (turn < TURNS[1] and time.perf_counter() - started < SECONDS_A_CASE):
        for backend, method in methods.items():
            times[backend].append(seconds_of(method, frames[turn % len(frames)], device))
        turn += 1
    return times


def seconds_of(method: Method, frame: CompressedFrame, device: torch.device) -> float:
    """One step, from the frame in memory to its labels, the device idle before and after."""
    synchronise = synchroniser(device)
    synchronise()
    start = time.perf_counter()
    method.step(frame)
    synchronise()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

"""How much tensor memory a step needs at its peak."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from vssbench.errors import UsageError
from vssbench.records import CompressedFrame, Method

_MARK = "vssbench.peak_memory"  # names the stretch of each callable in torch's recording


@dataclass(frozen=True, kw_only=True)
class PeakMemory:
    """The most tensor memory that a callable held at once.

    Args:
        added_bytes: above what was held when it started: activations, scratch memory that kernels take from torch's
            allocator, new state, but not the weights. The same quantity on every device.
        total_bytes: with what was held before, weights included; None on the CPU, where torch does not know it.
        source: how it was measured.
        held_bytes: what was held when it started, above what was held when the first of its series did.
    """

    added_bytes: int
    total_bytes: int | None
    source: str
    held_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class MemoryByKind:
    """The peaks of a method's steps.

    Args:
        whole: of all steps together, above what was held after the reset: state that is kept counts.
        by_kind: kind of step -> the peak of the step of that kind that added most, above what that step began with.
    """

    whole: PeakMemory
    by_kind: dict[str, PeakMemory]


def peak_memory(run: Callable[[], object], *, device: torch.device | str) -> PeakMemory:
    """Run a callable once and measure the most tensor memory that it held at once; see `peak_memories`.

    Args:
        run: a callable without arguments, e.g. one that runs a method over a GOP, reset before.
        device: "cpu" or a CUDA device.

    Raises:
        UsageError: the device is neither.
    """
    return peak_memories([run], device=device)[0]


def peak_memories(runs: Sequence[Callable[[], object]], *, device: torch.device | str) -> list[PeakMemory]:
    """Run callables one after the other and measure the most tensor memory that each held at once.

    On CUDA from the caching allocator's counter. On the CPU every allocation and release of torch's allocator is
    recorded and summed in order. Memory of numpy and of other libraries is not in it. Neither is the release of a
    tensor made before the recording: torch knows its size no more, and warns on stderr. So reset a method first,
    and let an earlier callable make the state that a later one replaces. Recording costs time: do not time these runs.

    Args:
        runs: callables without arguments, e.g. the steps of a method, in order.
        device: "cpu" or a CUDA device.

    Returns:
        One for each callable, above what was held when that callable started.

    Raises:
        UsageError: the device is neither.
    """
    device = torch.device(device)
    if device.type == "cuda":
        first = torch.cuda.memory_allocated(device)
        return [_peak_on_cuda(run, device, first) for run in runs]
    if device.type == "cpu":
        return _peaks_on_cpu(runs)
    raise UsageError(f"cannot measure memory on the device {device.type!r}; choose cpu or cuda")


def peak_memory_by_kind(
    method: Method, frames: Sequence[CompressedFrame], *, device: torch.device | str
) -> MemoryByKind:
    """The largest peak of each kind of step, and of all, over one pass from a reset with the state carried.

    Args:
        method: the system under test, on `device`.
        frames: from an I frame on; a GOP and one frame more show a key step that replaces state.
        device: "cpu" or a CUDA device.

    Raises:
        UsageError: the device is neither, or there are no frames.
    """
    if not frames:
        raise UsageError("memory needs at least one frame to step through; got none")
    kinds: list[str] = []

    def step(frame: CompressedFrame) -> Callable[[], object]:
        return lambda: kinds.append(method.step(frame).kind)

    method.reset()  # outside the recording, which cannot see the release of what was there before
    peaks = peak_memories([step(frame) for frame in frames], device=device)
    largest: dict[str, PeakMemory] = {}
    for kind, peak in zip(kinds, peaks, strict=True):
        if kind not in largest or peak.added_bytes > largest[kind].added_bytes:
            largest[kind] = peak
    totals = [peak.total_bytes for peak in peaks if peak.total_bytes is not None]
    whole = PeakMemory(
        added_bytes=max(peak.held_bytes + peak.added_bytes for peak in peaks),
        total_bytes=max(totals) if totals else None,
        source=peaks[0].source,
    )
    return MemoryByKind(whole=whole, by_kind=largest)


def largest_of(parts: Sequence[MemoryByKind]) -> MemoryByKind:
    """Of several passes of one method the largest peaks.

    Args:
        parts: at least one.
    """
    by_kind: dict[str, PeakMemory] = {}
    for part in parts:
        for kind, peak in part.by_kind.items():
            by_kind[kind] = max(peak, by_kind.get(kind, peak), key=lambda p: p.added_bytes)
    return MemoryByKind(whole=max((part.whole for part in parts), key=lambda p: p.added_bytes), by_kind=by_kind)


def _peak_on_cuda(run: Callable[[], object], device: torch.device, first: int) -> PeakMemory:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    torch.cuda.synchronize(device)
    peak = torch.cuda.max_memory_allocated(device)
    return PeakMemory(
        added_bytes=peak - before,
        total_bytes=peak,
        source="torch.cuda.max_memory_allocated",
        held_bytes=before - first,
    )


def _peaks_on_cpu(runs: Sequence[Callable[[], object]]) -> list[PeakMemory]:
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler would write two lines to stderr
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recording:
        for run in runs:
            with record_function(_MARK):
                run()
    results = recording.profiler.kineto_results if recording.profiler is not None else None
    events = results.events() if results is not None else []
    marks = sorted(event.start_ns() for event in events if event.name() == _MARK)
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    times = np.array([time for time, _ in changes], np.int64)
    held = np.cumsum([0, *(change for _, change in changes)], dtype=np.int64)  # after each change
    ends = np.searchsorted(times, [*marks, np.iinfo(np.int64).max])
    return [
        PeakMemory(
            added_bytes=int(held[start : end + 1].max() - held[start]),
            total_bytes=None,
            source="torch.profiler",
            held_bytes=int(held[start] - held[ends[0]]),
        )
        for start, end in pairwise(ends)
    ]

"""How long a method's steps take.

A step's time is what a frame waits: from the decoded frame in memory to its labels on the host, the device
synchronised on both sides, the method's state carried from the frames before. Every sample is kept;
statistics are derived.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Protocol

import torch

from vssbench.errors import UsageError
from vssbench.latency.phases import seconds_by_phase
from vssbench.latency.statistics import TimedStep
from vssbench.records import CompressedFrame, Method

MAXIMUM_COLD_PASSES = 3  # passes set aside because a kind of step ran for the first time in them


@dataclass(frozen=True, kw_only=True)
class StepTimes:
    """Every timed step of a method, in the order in which they ran.

    Args:
        steps: all passes over the frames, one after the other.
        num_passes: how many passes.
        num_warmup: steps that ran before, or in passes that were set aside, and are not kept.
    """

    steps: tuple[TimedStep, ...]
    num_passes: int
    num_warmup: int

    @property
    def by_kind(self) -> dict[str, list[float]]:
        """Kind of step -> its times in seconds; kinds in the order in which they first ran."""
        times: dict[str, list[float]] = {}
        for step in self.steps:
            times.setdefault(step.kind, []).append(step.seconds)
        return times


class Stopwatch(Protocol):
    """Times what a device does between two marks in its own queue."""

    def start(self) -> None:
        """Put the first mark into the queue."""

    def stop(self) -> None:
        """Put the second."""

    def seconds(self) -> float:
        """The time between them, once the device has passed both."""
        ...


@dataclass(frozen=True, kw_only=True)
class StepPhases:
    """The parts of one step: position and kind as of a `TimedStep`, seconds by phase."""

    position: int
    kind: str
    seconds: dict[str, float]


def time_steps(
    method: Method,
    frames: Sequence[CompressedFrame],
    *,
    synchronise: Callable[[], object],
    clock: Callable[[], float] = time.perf_counter,
    stopwatch: Stopwatch | None = None,
    around_pass: Callable[[], AbstractContextManager[object]] = nullcontext,
    repeats: int = 3,
    warmup_frames: int | None = None,
) -> StepTimes:
    """Time every step of a method over a run of frames, its state carried from frame to frame.

    The method is reset and run over the warm-up, which is not timed; then `repeats` times reset and timed
    over all frames. A pass in which some kind of step ran for the first time (RGFS may first refresh in the
    third GOP) is warm-up for that kind, so it is set aside and run again; after MAXIMUM_COLD_PASSES of those
    passes are kept as they are, for a method whose kinds never repeat.

    Args:
        method: the system under test; its steps are timed, its resets are not.
        frames: whole GOPs, in memory and with the side information that the method needs; the first is an I
            frame.
        synchronise: waits until the device is idle; `synchroniser(device)` makes one.
        clock: seconds; a test passes its own.
        stopwatch: the device's own clock beside it; `device_stopwatch(device)` makes one.
        around_pass: gives what is entered before a pass and left after it, with nothing being timed, e.g. to note
            how hot the device is.
        repeats: passes over the frames, at least 1.
        warmup_frames: how many frames warm up; by default one GOP.

    Returns:
        All samples, repeats x len(frames) of them.

    Raises:
        UsageError: the frames are not whole GOPs, or repeats is below 1.
    """
    if repeats < 1:
        raise UsageError(f"repeats must be at least 1, got {repeats}")
    positions = gop_positions(frames)
    warmup = frames[: gop_length(frames) if warmup_frames is None else warmup_frames]
    method.reset()
    warm = {method.step(frame).kind for frame in warmup}
    num_warmup, num_cold = len(warmup), 0
    kept: list[TimedStep] = []
    while len(kept) < repeats * len(frames):
        number = len(kept) // len(frames)
        with around_pass():
            timed = _time_pass(
                method, frames, positions, number=number, synchronise=synchronise, clock=clock, stopwatch=stopwatch
            )
        kinds = {step.kind for step in timed}
        if kinds <= warm or num_cold == MAXIMUM_COLD_PASSES:
            kept += timed
        else:
            num_cold, num_warmup = num_cold + 1, num_warmup + len(timed)
        warm |= kinds
    return StepTimes(steps=tuple(kept), num_passes=repeats, num_warmup=num_warmup)


def _time_pass(
    method: Method,
    frames: Sequence[CompressedFrame],
    positions: Sequence[int],
    *,
    number: int,
    synchronise: Callable[[], object],
    clock: Callable[[], float],
    stopwatch: Stopwatch | None,
) -> list[TimedStep]:
    """One pass: reset, then each step with the device idle before the clock starts and before it stops."""
    timed = []
    method.reset()
    for frame, position in zip(frames, positions, strict=True):
        synchronise()
        start = clock()
        if stopwatch is not None:
            stopwatch.start()
        step = method.step(frame)
        if stopwatch is not None:
            stopwatch.stop()
        synchronise()
        stop = clock()
        timed.append(
            TimedStep(
                position=position,
                kind=step.kind,
                seconds=stop - start,
                device_seconds=None if stopwatch is None else stopwatch.seconds(),
                pass_number=number,
            )
        )
    return timed


def time_phases(
    method: Method,
    frames: Sequence[CompressedFrame],
    *,
    synchronise: Callable[[], object],
    clock: Callable[[], float] = time.perf_counter,
) -> list[StepPhases]:
    """The parts of every step of one pass from a reset, the device idle at every mark (`latency.phases`).

    Not for the step's time itself: waiting at the marks costs some. Warm up first, e.g. by `time_steps`.

    Args:
        method, frames, synchronise, clock: as of `time_steps`.

    Raises:
        UsageError: the frames are not whole GOPs.
    """
    phases = []
    kinds: list[str] = []
    positions = gop_positions(frames)
    method.reset()
    for frame, position in zip(frames, positions, strict=True):
        step = partial(_note_kind, method, frame, kinds)
        seconds = seconds_by_phase(step, synchronise=synchronise, clock=clock)
        phases.append(StepPhases(position=position, kind=kinds[-1], seconds=seconds))
    return phases


def _note_kind(method: Method, frame: CompressedFrame, kinds: list[str]) -> None:
    kinds.append(method.step(frame).kind)


def gop_positions(frames: Sequence[CompressedFrame]) -> list[int]:
    """The distance of each frame to the last I frame, 0 on an I frame.

    Raises:
        UsageError: the frames are not whole GOPs: there are none, the first is no I frame, or a GOP has not the length
            of the first. Then some distances would be there more often than others, and so in every mean.
    """
    if not frames or frames[0].frame_type != "I":
        came = f"a first frame of type {frames[0].frame_type}" if frames else "no frames"
        raise UsageError(f"timing needs whole GOPs, from an I frame on; got {came}")
    positions: list[int] = []
    for frame in frames:
        positions.append(0 if frame.frame_type == "I" else positions[-1] + 1)
    starts = [index for index, position in enumerate(positions) if position == 0]
    lengths = [stop - start for start, stop in pairwise([*starts, len(positions)])]
    if len(set(lengths)) > 1:
        raise UsageError(
            f"timing needs whole GOPs, all of one length; got GOPs of {', '.join(map(str, lengths))} frames"
        )
    return positions


def gop_length(frames: Sequence[CompressedFrame]) -> int:
    """Frames from the first I frame to the next, or to the end.

    Raises:
        UsageError: the frames are not whole GOPs.
    """
    positions = gop_positions(frames)
    return next((index for index, position in enumerate(positions) if index and position == 0), len(positions))


def synchroniser(device: torch.device | str) -> Callable[[], None]:
    """A function that waits until the device has done all that was asked of it.

    On the CPU there is nothing to wait for.

    Raises:
        UsageError: the device is of a type that cannot be timed here.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return partial(torch.cuda.synchronize, device)
    if device.type == "mps":
        return torch.mps.synchronize
    if device.type == "cpu":
        return _nothing_to_wait_for
    raise UsageError(f"cannot time on the device {device.type!r}; choose cpu or cuda")


def _nothing_to_wait_for() -> None:
    pass


class CudaStopwatch:
    """A pair of CUDA events on the device's current stream."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._first = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._second = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    def start(self) -> None:
        """Put the first event into the stream."""
        self._first.record(torch.cuda.current_stream(self._device))

    def stop(self) -> None:
        """Put the second."""
        self._second.record(torch.cuda.current_stream(self._device))

    def seconds(self) -> float:
        """The time between the two events."""
        self._second.synchronize()
        return float(self._first.elapsed_time(self._second)) / 1000  # torch gives milliseconds


def device_stopwatch(device: torch.device | str) -> Stopwatch | None:
    """The device's own clock; None where it is the host's."""
    device = torch.device(device)
    return CudaStopwatch(device) if device.type == "cuda" else None

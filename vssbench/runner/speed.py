"""Speed: every method timed alone over the same frames in memory, state carried, device synchronised."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from vssbench.datasets.clips import SideInformation
from vssbench.errors import PredictionError
from vssbench.latency.backends import LIMITS
from vssbench.latency.environment import environment
from vssbench.latency.gpu_watch import looks_meanwhile
from vssbench.latency.machine_state import MachineState, gpu_look_of, machine_state, summary_of
from vssbench.latency.memory import MemoryByKind, largest_of, peak_memory_by_kind
from vssbench.latency.outputs import OutputsCheck, compare_outputs, together
from vssbench.latency.statistics import AA_LIMIT, TimedStep, aa_difference
from vssbench.latency.timer import StepPhases, device_stopwatch, synchroniser, time_phases, time_steps
from vssbench.runner.run import Entry, Run
from vssbench.runner.timed_clips import GOPS, TimedClips


@dataclass(kw_only=True, eq=False)
class _Timed:
    """What one method's passes gave: its steps, their parts, and where each kind of step was first met.

    `met` is kind -> (number of the clip, frame in it); `states` are looks at the machine, in order; `clips` how many
    clips were timed, the first ones.
    """

    steps: list[TimedStep] = field(default_factory=list)
    phases: list[StepPhases] = field(default_factory=list)
    met: dict[str, tuple[int, int]] = field(default_factory=dict)
    states: list[MachineState] = field(default_factory=list)
    clips: int = 0


def measure_speed(run: Run, *, repeats: int) -> None:
    """Time every active method that has no times in the store yet; a latency half measured is measured again.

    Each is timed over two whole GOPs, of the first video or, where that has one only, of the first two; where a kind of
    step that the accuracy run met (RGFS may select a frame in ten) does not occur in them, over further ones too.
    Before it, a network in another form than the plain one is held against that, until each of these kinds was
    compared; after it, one more pass tells the parts of a step apart, another the memory, up to the frames where each
    kind was met.

    Args:
        repeats: timed passes over the frames; two or more tell how much two timings of one method differ.
    """
    todo = [entry for entry in run.active if run.store.latency(entry.cell.key) is None]
    run.reporter.begin("latency", len(run.active))
    run.reporter.advance(len(run.active) - len(todo))
    clips = TimedClips(run)
    if todo and repeats < 2:
        run.reporter.warn("A/A is not known: one pass cannot tell noise; --repeats 2 or more")
    for entry in todo:
        run.guard(entry, "timing", partial(_measure, run, entry, clips, repeats))
        run.reporter.advance(note=entry.member.name)


def _measure(run: Run, entry: Entry, clips: TimedClips, repeats: int) -> None:
    """Outputs first, then the times, then their parts and the memory; stored at once."""
    outputs = _checked_outputs(run, entry, clips)
    timed = _time(run, entry, clips, repeats)
    memory = _memory(run, entry, clips, timed.met)
    run.store.set_latency(
        entry.cell.key,
        samples=[(s.position, s.kind, s.seconds, s.pass_number, s.device_seconds) for s in timed.steps],
        environment=_place(run, clips, repeats),
        peak_memory_bytes=memory.whole.added_bytes,
        peak_memory_kind=memory.whole.source,
        phases=[
            (number, part.position, part.kind, name, seconds)
            for number, part in enumerate(timed.phases)
            for name, seconds in part.seconds.items()
        ],
        facts={
            "lookahead_frames": entry.method.lookahead_frames,
            "fps": run.setting.encoding.fps,
            "needs": sorted(entry.method.needs),
            "decode_s": clips.decode_seconds(SideInformation()),
            "decode_with_side_s": clips.decode_seconds(run.side_information([entry])),
            "outputs": None if outputs is None else _outputs_facts(outputs),
            "machine": summary_of(timed.states, num_processors=os.cpu_count()),
            "peak_memory_of": {kind: peak.added_bytes for kind, peak in memory.by_kind.items()},
            "timed_on": [clips.where(number) for number in range(timed.clips)],
        },
    )
    difference = aa_difference(timed.steps)
    if math.isnan(difference) and repeats > 1:
        run.reporter.warn(
            f"{entry.member.name}: A/A is not known: no kind of step was in both timings; raise --repeats"
        )
    if difference > AA_LIMIT:
        run.reporter.warn(
            f"{entry.member.name}: too noisy: timed twice in turn, it differs from itself by {100 * difference:.1f} %, "
            f"more than {100 * AA_LIMIT:g} %; free the machine, or raise --repeats"
        )


def _place(run: Run, clips: TimedClips, repeats: int) -> dict[str, Any]:
    height, width = clips.frames(0)[0].rgb.shape[:2]
    return {
        **environment(run.setting.device),
        "frame_height": height,
        "frame_width": width,
        "batch": 1,  # a step takes one frame
        "backend": run.setting.backend,
        "dtype": run.setting.dtype,
        "passes": repeats,
    }


def _wanted(run: Run, entry: Entry) -> set[str]:
    """The kinds of step that the accuracy run met."""
    return {kind for kinds in run.store.kind_counts(entry.cell.key).values() for kind in kinds}


def _time(run: Run, entry: Entry, clips: TimedClips, repeats: int) -> _Timed:
    """All timed steps and their parts; clip after clip, until GOPS and every kind that the accuracy run met were timed.

    Each clip has its own passes, from a reset; pass n of all clips together is pass n.
    """
    device = run.setting.device
    wanted = _wanted(run, entry)
    timed, num_gops = _Timed(states=[machine_state(device)]), 0
    synchronise = synchroniser(device)
    for number in range(len(clips)):
        frames = clips.frames(number)
        times = time_steps(
            entry.method,
            frames,
            synchronise=synchronise,
            stopwatch=device_stopwatch(device),
            around_pass=partial(_watched, device, timed.states),
            repeats=repeats,
        )
        timed.steps += times.steps
        timed.phases += time_phases(entry.method, frames, synchronise=synchronise)
        for index, step in enumerate(times.steps):
            timed.met.setdefault(step.kind, (number, index % len(frames)))
        timed.clips += 1
        num_gops += len(frames) // run.setting.encoding.gop_length
        if num_gops >= GOPS and wanted <= timed.met.keys():
            break
    return timed


@contextmanager
def _watched(device: torch.device, states: list[MachineState]) -> Iterator[None]:
    """Look at the GPU while a pass runs, and at the machine after it."""
    with looks_meanwhile(gpu_look_of(device)) as looks:
        yield
    states.append(machine_state(device, gpu_at_work=looks))


def _memory(run: Run, entry: Entry, clips: TimedClips, met: Mapping[str, tuple[int, int]]) -> MemoryByKind:
    """The peaks over the first GOP and the key frame after it, and as far as needed to meet every kind again."""
    stops: dict[int, int] = {}
    for number, index in met.values():
        stops[number] = max(stops.get(number, 0), index + 1)
    first = max(clips.frames_to_next_key(0), clips.frames(0)[: stops.pop(0, 0)], key=len)
    others = (clips.frames(number)[:stop] for number, stop in sorted(stops.items()))
    return largest_of(
        [peak_memory_by_kind(entry.method, frames, device=run.setting.device) for frames in (first, *others)]
    )


def _checked_outputs(run: Run, entry: Entry, clips: TimedClips) -> OutputsCheck | None:
    """How far the labels are from those of the plain network; None where that is what will be timed.

    Raises: PredictionError, when too many pixels differ: then no time is shown at all.
    """
    backend = run.setting.backend
    if backend == "eager":
        return None
    plain = entry.member.build(run.setting.device)
    wanted = _wanted(run, entry)
    checks: list[OutputsCheck] = []
    for number in range(len(clips)):
        checks.append(compare_outputs(entry.method, plain, clips.frames(number), limit=LIMITS[backend]))
        _require_outputs(together(checks), backend)
        if wanted <= together(checks).kinds:
            break
    return together(checks)


def _require_outputs(check: OutputsCheck, backend: str) -> None:
    if not check.passed:
        raise PredictionError(
            f"the {backend} network labels {100 * check.share:.3f} % of {check.pixels} pixels otherwise than the eager "
            f"one, at most {100 * check.limit:g} % may differ; it is another network, and its time is not shown: "
            "use --backend eager"
        )


def _outputs_facts(check: OutputsCheck) -> dict[str, Any]:
    return {
        **{"pixels": check.pixels, "differing": check.differing, "share": check.share, "limit": check.limit},
        **{"frames": check.frames, "kinds": sorted(check.kinds)},
    }

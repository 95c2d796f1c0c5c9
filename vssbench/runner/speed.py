"""Speed: every method timed alone over the same frames in memory, state carried, device synchronised."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from vssbench.datasets.clips import Cut, SideInformation, encoded, frames_of
from vssbench.errors import PredictionError
from vssbench.latency.backends import LIMITS
from vssbench.latency.environment import environment
from vssbench.latency.machine_state import MachineState, machine_state, summary_of
from vssbench.latency.memory import peak_memory_by_kind
from vssbench.latency.outputs import OutputsCheck, compare_outputs
from vssbench.latency.statistics import AA_LIMIT, TimedStep, aa_difference
from vssbench.latency.timer import StepPhases, device_stopwatch, synchroniser, time_phases, time_steps
from vssbench.records import CompressedFrame, SourceVideo
from vssbench.runner.run import Entry, Run

MOST_CLIPS = 8  # timed in search of a rare kind of step
DECODE_PASSES = 2  # over the first clip, for the decoder's own time


@dataclass(kw_only=True, eq=False)
class _Clips:
    """What the methods of a run share: decoded clips, and how long decoding takes."""

    frames: dict[int, list[CompressedFrame]] = field(default_factory=dict)
    decode_s: dict[SideInformation, list[float]] = field(default_factory=dict)


def measure_speed(run: Run, *, repeats: int) -> None:
    """Time every active method that has no times in the store yet; a latency half measured is measured again.

    Each is timed over two GOPs of the first video; where a kind of step that the accuracy run met (RGFS may select a
    frame in ten) does not occur in them, over further pairs of GOPs too. Before it, a network in another form than the
    plain one is held against that; after it, one more pass tells the parts of a step apart, another the memory.

    Args:
        repeats: timed passes over the frames; two or more tell how much two timings of one method differ.
    """
    todo = [entry for entry in run.active if run.store.latency(entry.cell.key) is None]
    run.reporter.begin("latency", len(run.active))
    run.reporter.advance(len(run.active) - len(todo))
    clips = _Clips()
    for entry in todo:
        run.guard(entry, "timing", partial(_measure, run, entry, clips, repeats))
        run.reporter.advance(note=entry.member.name)


def _spans(run: Run) -> list[tuple[SourceVideo, int, int]]:
    """Stretches of two GOPs, (video, start, stop): the first of every video, then the second of every video, ..."""
    length = 2 * run.setting.encoding.gop_length
    spans = [
        (start, number, video)
        for number, video in enumerate(run.setting.videos)
        for start in range(0, max(1, video.num_frames - length + 1), length)
    ]
    in_turn = sorted(spans, key=lambda span: span[:2])
    return [(video, start, min(video.num_frames, start + length)) for start, _, video in in_turn[:MOST_CLIPS]]


def _stream(run: Run, number: int) -> Path:
    video, start, stop = _spans(run)[number]
    return encoded(video, Cut(start=start, stop=stop, tested={}), run.setting.encoding, run.cache)


def _clip(run: Run, number: int, clips: _Clips) -> list[CompressedFrame]:
    """The frames of a span with all side information that any method needs; the first and the last few are kept."""
    if number not in clips.frames:
        clips.frames[number] = list(frames_of(_stream(run, number), run.side_information(run.active)))
        for old in sorted(clips.frames)[1:-2]:
            del clips.frames[old]
    return clips.frames[number]


def _decode_seconds(run: Run, side: SideInformation, clips: _Clips) -> list[float]:
    """The decoder's time for each frame of the first span, with this side information."""
    if side not in clips.decode_s:
        seconds = []
        path = _stream(run, 0)  # found, and its hash checked, before the clock starts
        for _ in range(DECODE_PASSES):
            started = time.perf_counter()
            for _frame in frames_of(path, side):
                seconds.append(time.perf_counter() - started)
                started = time.perf_counter()
        clips.decode_s[side] = seconds
    return clips.decode_s[side]


def _measure(run: Run, entry: Entry, clips: _Clips, repeats: int) -> None:
    """Outputs first, then the times, then their parts and the memory; stored at once."""
    device = run.setting.device
    outputs = _checked_outputs(run, entry, clips)
    states = [machine_state(device)]
    steps, phases = _time(run, entry, clips, repeats, states)
    frames = _clip(run, 0, clips)
    memory = peak_memory_by_kind(entry.method, frames[: run.setting.encoding.gop_length + 1], device=device)
    facts: dict[str, Any] = {
        "lookahead_frames": entry.method.lookahead_frames,
        "fps": run.setting.encoding.fps,
        "decode_s": _decode_seconds(run, SideInformation(), clips),
        "decode_with_side_s": _decode_seconds(run, run.side_information([entry]), clips),
        "outputs": outputs,
        "machine": summary_of(states, num_processors=os.cpu_count()),
        "peak_memory_of": {kind: peak.added_bytes for kind, peak in memory.by_kind.items()},
    }
    place = {
        "frame_height": frames[0].rgb.shape[0],
        "frame_width": frames[0].rgb.shape[1],
        "batch": 1,  # a step takes one frame
        "backend": run.setting.backend,
        "dtype": run.setting.dtype,
        "passes": repeats,
    }
    run.store.set_latency(
        entry.cell.key,
        samples=[(s.position, s.kind, s.seconds, s.pass_number, s.device_seconds) for s in steps],
        environment={**environment(device), **place},
        peak_memory_bytes=memory.whole.added_bytes,
        peak_memory_kind=memory.whole.source,
        phases=[
            (number, part.position, part.kind, name, seconds)
            for number, part in enumerate(phases)
            for name, seconds in part.seconds.items()
        ],
        facts=facts,
    )
    difference = aa_difference(steps)
    if difference > AA_LIMIT:
        run.reporter.warn(
            f"{entry.member.name}: too noisy: timed twice in turn, it differs from itself by {100 * difference:.1f} %, "
            f"more than {100 * AA_LIMIT:g} %; free the machine, or raise --repeats"
        )


def _time(
    run: Run, entry: Entry, clips: _Clips, repeats: int, states: list[MachineState]
) -> tuple[list[TimedStep], list[StepPhases]]:
    """All timed steps and their parts; clip after clip, until every kind that the accuracy run met was timed."""
    device = run.setting.device
    wanted = {kind for kinds in run.store.kind_counts(entry.cell.key).values() for kind in kinds}
    steps: list[TimedStep] = []
    phases: list[StepPhases] = []
    synchronise = synchroniser(device)
    for number in range(len(_spans(run))):
        frames = _clip(run, number, clips)
        times = time_steps(
            entry.method,
            frames,
            synchronise=synchronise,
            stopwatch=device_stopwatch(device),
            after_pass=lambda: states.append(machine_state(device)),
            repeats=repeats,
        )
        steps += times.steps
        phases += time_phases(entry.method, frames, synchronise=synchronise)
        if wanted <= {step.kind for step in steps}:
            break
    return steps, phases


def _checked_outputs(run: Run, entry: Entry, clips: _Clips) -> dict[str, Any] | None:
    """How far the labels are from those of the plain network; None where that is what will be timed.

    Raises: PredictionError, when too many pixels differ: then no time is shown at all.
    """
    backend = run.setting.backend
    if backend == "eager":
        return None
    plain = entry.member.build(run.setting.device)
    check = compare_outputs(entry.method, plain, _clip(run, 0, clips), limit=LIMITS[backend])
    _require_outputs(check, backend)
    return {"pixels": check.pixels, "differing": check.differing, "share": check.share, "limit": check.limit}


def _require_outputs(check: OutputsCheck, backend: str) -> None:
    if not check.passed:
        raise PredictionError(
            f"the {backend} network labels {100 * check.share:.3f} % of {check.pixels} pixels otherwise than the eager "
            f"one, at most {100 * check.limit:g} % may differ; it is another network, and its time is not shown: "
            "use --backend eager"
        )

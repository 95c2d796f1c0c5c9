"""Speed: every method timed alone over the same frames in memory, state carried, device synchronised."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from itertools import islice

from vssbench.datasets.clips import encoded, frames_of
from vssbench.latency.environment import environment
from vssbench.latency.memory import peak_memory
from vssbench.latency.timer import synchroniser, time_steps
from vssbench.records import CompressedFrame, Method
from vssbench.runner.run import Entry, Run


def measure_speed(run: Run, *, repeats: int, num_frames: int | None = None) -> None:
    """Time every active method that has no times in the store yet; a latency half measured is measured again.

    Args:
        repeats: timed passes over the frames.
        num_frames: how many frames a pass has, from the first stream on; None: two GOPs.
    """
    todo = [entry for entry in run.active if run.store.latency(entry.cell.key) is None]
    run.reporter.begin("latency", len(run.active))
    run.reporter.advance(len(run.active) - len(todo))
    if not todo:
        return
    frames = _frames(run, num_frames or 2 * run.setting.encoding.gop_length)
    for entry in todo:
        run.guard(entry, "timing", partial(_time, run, entry, frames, repeats))
        run.reporter.advance(note=entry.member.name)


def _frames(run: Run, number: int) -> list[CompressedFrame]:
    """The first `number` frames of the first stream, with all side information that any method needs."""
    video = run.setting.videos[0]
    path = encoded(video, run.setting.cuts_of(video)[0], run.setting.encoding, run.cache)
    with closing(frames_of(path, run.side_information(run.active))) as frames:  # type: ignore[type-var]
        return list(islice(frames, number))


def _time(run: Run, entry: Entry, frames: Sequence[CompressedFrame], repeats: int) -> None:
    device = run.setting.device
    times = time_steps(entry.method, frames, synchronise=synchroniser(device), repeats=repeats)
    entry.method.reset()  # outside the recording, which cannot see the release of what was there before
    memory = peak_memory(lambda: _one_gop(entry.method, frames, run.setting.encoding.gop_length), device=device)
    facts = {
        **environment(device),
        "frame_height": frames[0].rgb.shape[0],
        "frame_width": frames[0].rgb.shape[1],
        "warmup_steps": times.num_warmup,
        "passes": times.num_passes,
    }
    run.store.set_latency(
        entry.cell.key,
        samples=[(step.position, step.kind, step.seconds) for step in times.steps],
        environment=facts,
        peak_memory_bytes=memory.added_bytes,
        peak_memory_kind=memory.source,
    )


def _one_gop(method: Method, frames: Sequence[CompressedFrame], gop_length: int) -> None:
    for frame in frames[:gop_length]:
        method.step(frame)

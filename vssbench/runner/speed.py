"""Speed: every method timed alone over the same frames in memory, state carried, device synchronised."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from vssbench.datasets.clips import Cut, encoded, frames_of
from vssbench.latency.environment import environment
from vssbench.latency.memory import peak_memory
from vssbench.latency.timer import synchroniser, time_steps
from vssbench.records import CompressedFrame, Method, SourceVideo
from vssbench.runner.run import Entry, Run

MOST_CLIPS = 8  # timed in search of a rare kind of step


def measure_speed(run: Run, *, repeats: int) -> None:
    """Time every active method that has no times in the store yet; a latency half measured is measured again.

    Each is timed over two GOPs of the first video; where a kind of step that the accuracy run met (RGFS may select a
    frame in ten) does not occur in them, over further pairs of GOPs too.

    Args:
        repeats: timed passes over the frames.
    """
    todo = [entry for entry in run.active if run.store.latency(entry.cell.key) is None]
    run.reporter.begin("latency", len(run.active))
    run.reporter.advance(len(run.active) - len(todo))
    clips: dict[int, list[CompressedFrame]] = {}
    for entry in todo:
        run.guard(entry, "timing", partial(_time, run, entry, clips, repeats))
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


def _clip(run: Run, number: int, clips: dict[int, list[CompressedFrame]]) -> list[CompressedFrame]:
    """The frames of a span with all side information that any method needs; the first and the last few are kept."""
    if number not in clips:
        video, start, stop = _spans(run)[number]
        path = encoded(video, Cut(start=start, stop=stop, tested={}), run.setting.encoding, run.cache)
        clips[number] = list(frames_of(path, run.side_information(run.active)))
        for old in sorted(clips)[1:-2]:
            del clips[old]
    return clips[number]


def _time(run: Run, entry: Entry, clips: dict[int, list[CompressedFrame]], repeats: int) -> None:
    device = run.setting.device
    wanted = {kind for kinds in run.store.kind_counts(entry.cell.key).values() for kind in kinds}
    samples: list[tuple[int, str, float]] = []
    for number in range(len(_spans(run))):
        frames = _clip(run, number, clips)
        times = time_steps(entry.method, frames, synchronise=synchroniser(device), repeats=repeats)
        samples += [(step.position, step.kind, step.seconds) for step in times.steps]
        if wanted <= {kind for _, kind, _ in samples}:
            break
    frames = _clip(run, 0, clips)
    entry.method.reset()  # outside the recording, which cannot see the release of what was there before
    memory = peak_memory(lambda: _one_gop(entry.method, frames, run.setting.encoding.gop_length), device=device)
    facts = {
        **environment(device),
        "frame_height": frames[0].rgb.shape[0],
        "frame_width": frames[0].rgb.shape[1],
        "passes": repeats,
    }
    run.store.set_latency(
        entry.cell.key,
        samples=samples,
        environment=facts,
        peak_memory_bytes=memory.added_bytes,
        peak_memory_kind=memory.source,
    )


def _one_gop(method: Method, frames: Sequence[CompressedFrame], gop_length: int) -> None:
    """A GOP and the next key frame, where old and new state are held at once."""
    for frame in frames[: gop_length + 1]:
        method.step(frame)

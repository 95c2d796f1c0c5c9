"""Accuracy and stability: every stream is decoded once, every method steps through it, every frame stored at once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing

import numpy as np

from vssbench.datasets.clips import Cut, encoded, frames_of
from vssbench.errors import DatasetError, PredictionError
from vssbench.metrics.confusion import confusion_matrix
from vssbench.records import CompressedFrame, LabelMap, SourceVideo, Step
from vssbench.runner.run import Entry, Run
from vssbench.runner.stability import StreamStability, is_followed

Done = dict[str, set[tuple[str, int, int]]]  # cell key -> (clip, frame, distance)


def measure_accuracy(run: Run) -> None:
    """Run every method over every cut of every video, leaving out what the store already has.

    A method that fails is noted and left out; a stream or a label that cannot be read ends the run, as no method
    could be measured on it. What was stored before stays.

    Raises: BitstreamError, DatasetError.
    """
    done: Done = {entry.cell.key: run.store.done_frames(entry.cell.key) for entry in run.entries}
    plan = [(video, cut) for video in run.setting.videos for cut in run.setting.cuts_of(video)]
    run.reporter.begin("accuracy", sum(len(cut.tested) for _, cut in plan) * len(run.entries))
    stage: dict[str, float] = {"encode": 0.0, "decode": 0.0, "metrics": 0.0}
    decoded = 0
    try:
        for video, cut in plan:
            pending = [entry for entry in run.active if not _finished(done[entry.cell.key], video, cut)]
            run.reporter.advance((len(run.entries) - len(pending)) * len(cut.tested))
            if pending:
                decoded += _run_cut(run, pending, video, cut, done, stage)
    finally:
        run.store.add_stage("decoded frames", stage["decode"], decoded)
        run.store.add_stage("encode", stage["encode"], run.cache.num_encoded)
        run.store.add_stage("metrics and store", stage["metrics"], 1)
        for entry in run.entries:
            run.store.add_stage(f"model {entry.member.name}", entry.seconds, entry.steps)


def _finished(done: set[tuple[str, int, int]], video: SourceVideo, cut: Cut) -> bool:
    return all((video.name, frame, distance) in done for frame, distance in cut.tested.items())


def _run_cut(run: Run, pending: list[Entry], video: SourceVideo, cut: Cut, done: Done, stage: dict[str, float]) -> int:
    """Decode one stream and let every pending method step through it; returns the frames decoded."""
    clock = time.perf_counter
    started = clock()
    path = encoded(video, cut, run.setting.encoding, run.cache)
    stage["encode"] += clock() - started
    for entry in pending:
        run.guard(entry, f"{video.name}, frame {cut.start}", entry.method.reset)
    followed = StreamStability(run, video, cut) if is_followed(cut, run.setting.encoding.gop_length) else None
    last = max(cut.tested)
    decoded = 0
    started = clock()
    with closing(frames_of(path, run.side_information(pending))) as frames:  # type: ignore[type-var]
        for frame in frames:
            stage["decode"] += clock() - started
            decoded += 1
            _step_all(run, [e for e in pending if not e.failed], frame, video, cut, followed, done, stage)
            if cut.start + frame.index >= last:
                break
            started = clock()
    if cut.start + decoded <= last:
        raise DatasetError(
            f"{video.name}: the stream of frames {cut.start}..{cut.stop - 1} ends after {decoded} frames, before the "
            f"tested frame {last}; check the video with `vssbench data verify`"
        )
    return decoded


def _step_all(
    run: Run,
    pending: list[Entry],
    frame: CompressedFrame,
    video: SourceVideo,
    cut: Cut,
    followed: StreamStability | None,
    done: Done,
    stage: dict[str, float],
) -> None:
    index = cut.start + frame.index
    distance = cut.tested.get(index)
    wanted = distance is not None or followed is not None
    label = _label(video.labels, index, video, frame) if wanted and index in video.labels else None
    if followed is not None:
        started = time.perf_counter()
        followed.advance(label)
        stage["metrics"] += time.perf_counter() - started
    for entry in pending:

        def step(entry: Entry = entry) -> None:
            started = time.perf_counter()
            result = entry.method.step(frame)
            entry.seconds += time.perf_counter() - started
            entry.steps += 1
            started = time.perf_counter()
            _require_labels(result, frame.rgb.shape[:2], run.setting.num_classes)
            if followed is not None:
                run.store.add_stability(entry.cell.key, followed.row(entry.cell.key, result.labels))
                stage["metrics"] += time.perf_counter() - started
            where = (video.name, index, distance)
            if label is None or distance is None or where in done[entry.cell.key]:
                return
            started = time.perf_counter()
            confusion = confusion_matrix(label, result.labels, num_classes=run.setting.num_classes)
            run.store.add_frame(
                entry.cell.key,
                clip=video.name,
                frame=index,
                distance=distance,
                kind=result.kind,
                confusion=confusion,
                share=result.share,
            )
            stage["metrics"] += time.perf_counter() - started

        run.guard(entry, f"{video.name}, frame {index}", step)
        if distance is not None:
            run.reporter.advance(note=entry.member.name)


def _label(labels: Mapping[int, LabelMap], index: int, video: SourceVideo, frame: CompressedFrame) -> LabelMap:
    label = labels[index]
    if label.shape != frame.rgb.shape[:2]:
        raise DatasetError(
            f"{video.name}, frame {index}: the label is {label.shape}, the frame {frame.rgb.shape[:2]}; "
            "labels must cover the frame pixel by pixel"
        )
    return label


def _require_labels(step: Step, size: tuple[int, ...], num_classes: int) -> None:
    labels = step.labels
    if labels.shape != size or labels.dtype != np.uint8:
        raise PredictionError(
            f"labels must be {size} uint8, the method gave {labels.shape} {labels.dtype}; "
            "return full-resolution class indices"
        )
    if labels.max() >= num_classes:
        raise PredictionError(f"the method gave class {labels.max()}, the data set has 0..{num_classes - 1}")

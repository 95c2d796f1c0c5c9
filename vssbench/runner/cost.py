"""Cost: executed multiply-adds of every kind of step a method took, counted on tensors without values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import torch

from vssbench.complexity.macs import MacCount, count_macs
from vssbench.complexity.params import count_parameters
from vssbench.datasets.clips import encoded, frames_of
from vssbench.errors import PredictionError
from vssbench.records import CompressedFrame, Method, Step
from vssbench.runner.run import Entry, Run


def measure_cost(run: Run) -> None:
    """Count every active method's multiply-adds by kind of step, and its parameters.

    A twin of the method on the meta device steps through the tested streams until every kind that the accuracy
    run stored has been met; decisions are made from side information, so they fall as they did there.
    """
    run.reporter.begin("operations", len(run.active))
    for entry in run.active:
        run.guard(entry, "counting operations", partial(_count, run, entry))
        run.reporter.advance(note=entry.member.name)


def _count(run: Run, entry: Entry) -> None:
    key = entry.cell.key
    run.store.set_parameters(key, count_parameters(entry.method.modules()))
    wanted = {kind for kinds in run.store.kind_counts(key).values() for kind in kinds}
    if wanted <= run.store.costs(key).keys():
        return
    try:
        counted = count_kinds(entry.member.build(torch.device("meta")), _streams(run, entry), wanted)
    except Exception as error:  # a plugin may look at values, which tensors on the meta device do not have
        run.reporter.warn(f"{entry.member.name} does not run without values ({error}); counted while it computes")
        counted = count_kinds(entry.member.build(run.setting.device), _streams(run, entry), wanted)
    for kind, count in counted.items():
        run.store.set_cost(
            key, kind, macs={str(kind): macs for kind, macs in count.by_kind.items()}, uncounted=count.uncounted
        )


def _streams(run: Run, entry: Entry) -> Iterator[Iterator[CompressedFrame]]:
    side = run.side_information([entry])
    for video in run.setting.videos:
        for cut in run.setting.cuts_of(video):
            with closing(frames_of(encoded(video, cut, run.setting.encoding, run.cache), side)) as frames:  # type: ignore[type-var]
                yield frames


def count_kinds(method: Method, streams: Iterator[Iterator[CompressedFrame]], wanted: set[str]) -> dict[str, MacCount]:
    """Kind of step -> what one such step executes.

    Args:
        method: on the meta device, or on any other.
        streams: of frames, each opening with an I frame.
        wanted: the kinds to meet; counting stops when all were.

    Raises: PredictionError, when two steps of one kind do different work, or a kind is never met.
    """
    met: dict[str, MacCount] = {}
    seen: dict[str, int] = defaultdict(int)
    for frames in streams:
        method.reset()
        for frame in frames:
            kind, count = _counted(method, frame)
            seen[kind] += 1
            if kind in met and met[kind].by_kind != count.by_kind:
                raise PredictionError(
                    f"two steps of kind {kind!r} did different work ({met[kind].by_kind} and {count.by_kind} MACs); "
                    "give them different kinds"
                )
            met[kind] = count
            if wanted <= met.keys() and seen[kind] > 1:
                return {kind: met[kind] for kind in wanted}
    missing = sorted(wanted - met.keys())
    if missing:
        raise PredictionError(f"no step of kind {', '.join(missing)} was met while counting; its cost is unknown")
    return {kind: met[kind] for kind in wanted}


def _counted(method: Method, frame: CompressedFrame) -> tuple[str, MacCount]:
    """The kind of one step, and what it executed."""
    steps: list[Step] = []

    def step() -> None:
        steps.append(method.step(frame))

    count = count_macs(step)
    return steps[0].kind, count

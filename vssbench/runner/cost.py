"""Cost: executed multiply-adds of every kind of step a method took, counted on tensors without values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

import torch

from vssbench.complexity.macs import MacCount, count_macs
from vssbench.complexity.params import count_parameters
from vssbench.complexity.thop_package import thop_step_macs
from vssbench.datasets.clips import encoded, frames_of
from vssbench.errors import PredictionError
from vssbench.records import CompressedFrame, Method, Step
from vssbench.runner.run import Entry, Run
from vssbench.store_records import AT_FULL_SHARE

THOP = "thop"  # its name among the counts of print
LINE_TOLERANCE = 0.01  # of what a share adds: one that is not reported in whole points may be half a point off

Found = TypeVar("Found")
Streams = Callable[[], Iterator[Iterator[CompressedFrame]]]  # every call gives them anew, each opens with an I frame


@dataclass(frozen=True, kw_only=True)
class KindCount:
    """What one step of a kind executes.

    Args:
        macs: of the step; where it has a share (`records.Step`), at share 0.
        full: at share 1, None for a kind without.
        thop: what the package says of the step, or why it says nothing; with a share, at share 0.
        thop_full: likewise at share 1.
        frame_size: (height, width) of the frame.
    """

    macs: MacCount
    full: MacCount | None
    thop: int | str
    thop_full: int | str | None
    frame_size: tuple[int, int]


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
    by_clip = run.store.mean_shares_by_clip(key)
    shared = {kind for by_distance in by_clip.values() for kinds in by_distance.values() for kind in kinds}
    streams = partial(_streams, run, entry)
    try:
        counted = count_kinds(entry.member.build(torch.device("meta")), streams, wanted, shared=shared)
    except Exception as error:  # a plugin may look at values, which tensors on the meta device do not have
        run.reporter.warn(f"{entry.member.name} does not run without values ({error}); counted while it computes")
        counted = count_kinds(entry.member.build(run.setting.device), streams, wanted, shared=shared)
    for kind, count in counted.items():
        run.store.set_cost(
            key,
            kind,
            macs=_by_operator(count.macs),
            uncounted=count.macs.uncounted,
            macs_at_full_share=None if count.full is None else _by_operator(count.full),
            conventions=_conventions(entry, kind, count),
        )


def _by_operator(count: MacCount) -> dict[str, int]:
    return {str(operator): macs for operator, macs in count.by_kind.items()}


def _conventions(entry: Entry, kind: str, count: KindCount) -> dict[str, int | str]:
    """The counts of print for a step, by name."""
    printed = entry.member.printed
    named = {THOP: count.thop, **({} if printed is None else printed(kind, count.frame_size))}
    return named if count.thop_full is None else named | {THOP + AT_FULL_SHARE: count.thop_full}


def _streams(run: Run, entry: Entry) -> Iterator[Iterator[CompressedFrame]]:
    side = run.side_information([entry])
    for video in run.setting.videos:
        for cut in run.setting.cuts_of(video):
            with closing(frames_of(encoded(video, cut, run.setting.encoding, run.cache), side)) as frames:  # type: ignore[type-var]
                yield frames


# ---- one method ----


@dataclass(frozen=True, kw_only=True)
class _Met:
    """The first step of a kind: the number of its stream and frame, what it did, and what it executed."""

    stream: int
    frame: int
    step: Step
    count: MacCount


def count_kinds(
    method: Method, streams: Streams, wanted: set[str], *, shared: Collection[str] = ()
) -> dict[str, KindCount]:
    """Kind of step -> what one such step executes.

    Args:
        method: on the meta device, or on any other.
        streams: of frames, each opening with an I frame.
        wanted: the kinds to meet; counting stops when all were.
        shared: those that had a share when they were measured; any other whose step has one here is counted likewise.

    Raises: PredictionError, when two steps of one kind do different work, a kind is never met, or the work of one with
        a share is not a straight line in it.
    """
    try:
        return _count_kinds(method, streams, wanted, shared)
    finally:
        method.assumed_share = None


def _count_kinds(method: Method, streams: Streams, wanted: set[str], shared: Collection[str]) -> dict[str, KindCount]:
    method.assumed_share = 0.0
    met = _first_steps(method, streams, wanted)
    growing = {kind: first for kind, first in met.items() if first.step.share is not None}
    silent = sorted(wanted & set(shared) - growing.keys())
    if silent:
        raise PredictionError(
            f"steps of kind {', '.join(silent)} had a share when they were measured and have none while operations are "
            "counted; give Step.share there too, from assumed_share"
        )
    thop = _thop_of(method, streams, met)
    at: dict[float, dict[str, tuple[Step, MacCount]]] = {0.0: {k: (m.step, m.count) for k, m in growing.items()}}
    for share in (0.5, 1.0) if growing else ():
        method.assumed_share = share
        at[share] = _again(method, streams, growing, _counted)
    thop_full = _thop_of(method, streams, growing) if growing else {}
    for kind in growing:
        _require_line(kind, *(at[share][kind] for share in (0.0, 0.5, 1.0)))
    return {
        kind: KindCount(
            macs=first.count,
            full=at[1.0][kind][1] if kind in growing else None,
            thop=thop[kind],
            thop_full=thop_full.get(kind),
            frame_size=(first.step.labels.shape[0], first.step.labels.shape[1]),
        )
        for kind, first in met.items()
    }


def _first_steps(method: Method, streams: Streams, wanted: set[str]) -> dict[str, _Met]:
    """The first step of each wanted kind, all of which must execute the same."""
    met: dict[str, _Met] = {}
    seen: dict[str, int] = defaultdict(int)
    for stream, frames in enumerate(streams()):
        method.reset()
        for number, frame in enumerate(frames):
            step, count = _counted(partial(method.step, frame))
            kind = step.kind
            seen[kind] += 1
            first = met.setdefault(kind, _Met(stream=stream, frame=number, step=step, count=count))
            if first.count.by_kind != count.by_kind:
                raise PredictionError(
                    f"two steps of kind {kind!r} did different work ({first.count.by_kind} and {count.by_kind} MACs); "
                    "give them different kinds, or a share that the work is in proportion to"
                )
            if wanted <= met.keys() and seen[kind] > 1:
                return {kind: met[kind] for kind in wanted}
    missing = sorted(wanted - met.keys())
    if missing:
        raise PredictionError(f"no step of kind {', '.join(missing)} was met while counting; its cost is unknown")
    return {kind: met[kind] for kind in wanted}


def _counted(step: Callable[[], Step]) -> tuple[Step, MacCount]:
    """What a step did, and what it executed."""
    steps: list[Step] = []
    count = count_macs(lambda: steps.append(step()))
    return steps[0], count


def _again(
    method: Method, streams: Streams, met: Mapping[str, _Met], measure: Callable[[Callable[[], Step]], Found]
) -> dict[str, Found]:
    """Kind -> what `measure` finds of its first step, when the method goes there once more."""
    wanted = {(first.stream, first.frame): kind for kind, first in met.items()}
    found: dict[str, Found] = {}
    for stream, frames in enumerate(streams()):
        last = max((frame for other, frame in wanted if other == stream), default=-1)
        method.reset()
        for number, frame in enumerate(islice(frames, last + 1)):
            kind = wanted.get((stream, number))
            if kind is None:
                _counted(partial(method.step, frame))  # without values a step is fastest while it is counted
            else:
                found[kind] = measure(partial(_step_of, method, frame, kind))
        if len(found) == len(wanted):
            break
    return found


def _step_of(method: Method, frame: CompressedFrame, kind: str) -> Step:
    step = method.step(frame)
    if step.kind != kind:
        raise PredictionError(
            f"the step that was of kind {kind!r} is of kind {step.kind!r} when the method goes there once more; it "
            "must do the same after each reset()"
        )
    return step


# ---- counts of print ----


def _thop_of(method: Method, streams: Streams, met: Mapping[str, _Met]) -> dict[str, int | str]:
    """Kind -> what thop says of a step, or why it says nothing."""
    modules = list(method.modules())
    if not modules:
        return dict.fromkeys(met, "thop looks at modules, and the method names none")
    try:
        return dict(_again(method, streams, met, lambda step: thop_step_macs(modules, partial(_counted, step))))
    except Exception as error:  # whatever a package and a plugin make of each other
        return dict.fromkeys(met, f"thop fails: {type(error).__name__}: {error}")


# ---- shares ----


def _require_line(
    kind: str, least: tuple[Step, MacCount], half: tuple[Step, MacCount], most: tuple[Step, MacCount]
) -> None:
    """Raises PredictionError, unless the work at half of the points lies between none and all as the share says."""
    for assumed, (step, _) in ((0.0, least), (1.0, most)):
        if step.share != assumed:
            raise PredictionError(
                f"a step of kind {kind!r} was to do a share of {assumed} and says {step.share}; "
                "a method whose steps have a share does assumed_share where that is set"
            )
    if half[0].share is None:
        raise PredictionError(f"a step of kind {kind!r} has no share at an assumed_share of 0.5; give it there too")
    for operator, low in least[1].by_kind.items():
        middle, high = half[1].by_kind[operator], most[1].by_kind[operator]
        expected = low + half[0].share * (high - low)
        if abs(middle - expected) > max(1, LINE_TOLERANCE * abs(high - low)):
            raise PredictionError(
                f"the work of kind {kind!r} is not in proportion to its share: {operator} {low} MACs at 0, {middle} at "
                f"{half[0].share:g}, {high} at 1; give the kinds of work different names"
            )

"""Which videos and annotated frames of a split a run tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vssbench.datasets.messages import first_few
from vssbench.errors import DatasetError
from vssbench.records import LabelMap, SourceVideo


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """The videos to test, and what was left out.

    Args:
        videos: each with at least one frame that can be tested.
        num_annotated: annotated frames of all videos that were looked at.
        num_testable: those of them that can be tested.
        without: names of the videos that have none.
    """

    videos: Sequence[SourceVideo]
    num_annotated: int
    num_testable: int
    without: Sequence[str]


def select(videos: Iterable[SourceVideo], *, least_index: int, limit: int | None = None) -> Selection:
    """Take the videos that have an annotated frame to test; with a limit, only its first frames and no further video.

    Args:
        videos: of a split; opened one by one, as far as the limit asks for.
        least_index: the first frame that can be tested (L - 1 where every distance is asked for).
        limit: test so many annotated frames in all; None for all.

    Raises: DatasetError, when no frame can be tested, or videos differ in size or rate or share a name: they would
        be encoded with one set of options, and their operations counted as one.
    """
    kept: list[SourceVideo] = []
    without: list[str] = []
    num_annotated = num_testable = 0
    for video in videos:
        frames = sorted(video.labels)
        testable = [index for index in frames if index >= least_index]
        num_annotated, num_testable = num_annotated + len(frames), num_testable + len(testable)
        if limit is not None:
            testable = testable[: limit - sum(len(v.labels) for v in kept)]
            video = dataclasses.replace(video, labels=SomeLabels(video.labels, testable))
        if testable:
            kept.append(video)
        else:
            without.append(video.name)
        if limit is not None and sum(len(v.labels) for v in kept) >= limit:
            break
    if not kept:
        raise DatasetError(
            f"no annotated frame can be tested: {num_annotated} are annotated, but none has {least_index} frames "
            "before it; use a shorter --gop, or --protocol single-stream"
        )
    _require_alike(kept)
    return Selection(videos=kept, num_annotated=num_annotated, num_testable=num_testable, without=without)


def _require_alike(videos: Sequence[SourceVideo]) -> None:
    first = videos[0]
    for video in videos:
        if (video.size, video.fps) != (first.size, first.fps):
            raise DatasetError(
                f"videos of a run must agree: {first.name} is {first.size} at {first.fps:g} frames/s, {video.name} is "
                f"{video.size} at {video.fps:g}; measure them in runs of their own"
            )
    names = [video.name for video in videos]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DatasetError(f"videos of one split need names of their own, got twice: {first_few(repeated)}")


class SomeLabels(Mapping[int, LabelMap]):
    """The labels of a few frames, still loaded when asked for."""

    def __init__(self, labels: Mapping[int, LabelMap], kept: Sequence[int]) -> None:
        self._labels, self._kept = labels, list(kept)

    def __getitem__(self, index: int) -> LabelMap:
        if index not in self._kept:
            raise KeyError(index)
        return self._labels[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

"""What a data set's layout promises, and what is wrong with it before any picture is opened.

A data set class does not look at the disk when it is made. Its `survey(split)` lists the files and every
fault of the layout without raising; `videos(split)` refuses a survey with errors; `verify` goes on to open
the files.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, cast, overload

from vssbench.datasets.fit import Fit
from vssbench.datasets.label_files import LabelFormat
from vssbench.datasets.messages import SHOWN, first_few
from vssbench.errors import DatasetError
from vssbench.records import Dataset, SourceVideo

Severity = Literal["error", "warning", "note"]
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".ppm"})

# A frame's number is the last run of digits in its name, once these endings are off: CamVid's label "_L",
# Cityscapes' "_leftImg8bit" and "_gtFine_labelIds".
NAME_ENDINGS = re.compile(r"(_L|_leftImg8bit|_gt(Fine|Coarse)_\w+)$")
NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One fault found in a data set.

    Args:
        severity: "error" (damaged, incomplete, or refused when it is loaded), "warning" (loads, and changes
            the numbers), "note" (worth knowing).
        path: the file or folder concerned.
        message: what was expected and what was found.
        fix: what to do.
    """

    severity: Severity
    path: Path
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.path}: {self.message}; {self.fix}"


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoFiles:
    """The files of one video, as its layout promises them.

    Args:
        name: of the video, unique in its data set.
        frames: the image files in display order; empty where it is a video file.
        video_file: the video file; None where the frames are image files.
        labels: frame index -> label file.
        label_format: how the label files are coded.
        fit: how frames and labels are brought to the video's size; None leaves every pixel as it is in the files.
    """

    name: str
    frames: Sequence[Path] = ()
    video_file: Path | None = None
    labels: Mapping[int, Path]
    label_format: LabelFormat
    fit: Fit | None = None

    def video_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The (height, width) of the video whose files have `size`."""
        return size if self.fit is None else self.fit.fitted(size)


@dataclass(frozen=True, kw_only=True, eq=False)
class Survey:
    """A split's videos and the faults of its layout, in the order they were found."""

    videos: Sequence[VideoFiles]
    findings: Sequence[Finding] = field(default_factory=tuple)

    def require_clean(self) -> Sequence[VideoFiles]:
        """The videos, if the layout holds no error.

        Raises: DatasetError, naming the first errors.
        """
        errors = [finding for finding in self.findings if finding.severity == "error"]
        if errors:
            listed = "; ".join(f"{error.path}: {error.message}; {error.fix}" for error in errors[:SHOWN])
            more = f" (and {len(errors) - SHOWN} more: see `data verify`)" if len(errors) > SHOWN else ""
            raise DatasetError(listed + more)
        return self.videos


class SurveyedDataset(Dataset, Protocol):
    """A data set of files on the disk: one that `verify` can look into."""

    folder: Path

    def survey(self, split: str) -> Survey:
        """The split's files and the faults of their layout; never raises for what is on the disk."""
        ...


class LazyVideos(Sequence[SourceVideo]):
    """Source videos, each opened when it is first asked for: opening one hashes all its files."""

    def __init__(self, files: Sequence[VideoFiles], open_video: Callable[[VideoFiles], SourceVideo]) -> None:
        self._files = files
        self._open = open_video
        self._opened: dict[str, SourceVideo] = {}

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> SourceVideo: ...
    @overload
    def __getitem__(self, index: slice) -> LazyVideos: ...
    def __getitem__(self, index: int | slice) -> SourceVideo | LazyVideos:
        if isinstance(index, slice):
            return LazyVideos(self._files[index], self._open)
        files = self._files[index]
        if files.name not in self._opened:
            self._opened[files.name] = self._open(files)
        return self._opened[files.name]

    def __iter__(self) -> Iterator[SourceVideo]:
        return (self[index] for index in range(len(self)))


def require_split(dataset: Dataset, split: str) -> None:
    """Refuse a split the data set does not have.

    Raises: DatasetError, naming the splits it has.
    """
    if split not in dataset.splits():
        raise DatasetError(
            f"{dataset.name} ({getattr(dataset, 'folder', '')}) has no split {split!r}, but "
            f"{', '.join(dataset.splits()) or 'none at all'}; choose one of them, or correct the folder"
        )


def frame_number(path: Path) -> int | None:
    """The frame number in a file's name: the last run of digits of its stem; None if there is none."""
    match = NUMBER.search(NAME_ENDINGS.sub("", path.stem))
    return int(match.group(1)) if match else None


def image_files(folder: Path) -> list[Path]:
    """The image files directly in `folder`, by frame number, then by name; [] if there is no such folder."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(
        (path for path in found if not path.name.startswith(".")),
        key=lambda path: (number if (number := frame_number(path)) is not None else -1, path.name),
    )


def number_gaps(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """The neighbouring numbers (a, b) whose difference is not the usual (commonest) one of the run."""
    steps = [later - earlier for earlier, later in itertools.pairwise(numbers)]
    if not steps:
        return []
    usual = Counter(steps).most_common(1)[0][0]
    return [(numbers[i], numbers[i + 1]) for i, step in enumerate(steps) if step != usual]


def gap_findings(folder: Path, numbers: Sequence[int]) -> list[Finding]:
    """A warning for the places where the frame numbers jump or repeat."""
    gaps = number_gaps(numbers)
    if not gaps:
        return []
    usual = Counter(b - a for a, b in itertools.pairwise(numbers)).most_common(1)[0][0]
    places = first_few(f"{earlier} -> {later}" for earlier, later in gaps)
    return [
        Finding(
            severity="warning",
            path=folder,
            message=f"the frame numbers go up by {usual}, but not at {places}",
            fix="put the missing frames back: across a gap the motion is not that of one frame",
        )
    ]


def unlike_sets(folder: Path, what: str, expected: Iterable[str], found: Iterable[str]) -> list[Finding]:
    """An error for each side on which the expected and the found names differ."""
    wanted, there = set(expected), set(found)
    findings = []
    if missing := sorted(wanted - there):
        message = (
            f"{what}: expected {len(wanted)} ({first_few(sorted(wanted))}), found {len(there)} "
            f"({first_few(sorted(there)) or 'none'}); missing: {first_few(missing)}"
        )
        fix = "restore the missing files"
        findings.append(Finding(severity="error", path=folder, message=message, fix=fix))
    if extra := sorted(there - wanted):
        message = f"{what}: {len(extra)} that nothing refers to: {first_few(extra)}"
        fix = "remove them, or add what they belong to"
        findings.append(Finding(severity="warning", path=folder, message=message, fix=fix))
    return findings


def repeated(names: Iterable[str]) -> list[str]:
    """The names that occur more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def layout_error(path: Path, message: str, fix: str) -> Finding:
    """A fault of the layout with which the data set cannot be loaded."""
    return Finding(severity="error", path=path, message=message, fix=fix)


def is_surveyed(dataset: Dataset) -> SurveyedDataset | None:
    """The data set, seen as one with files to survey; None if it has none."""
    return cast(SurveyedDataset, dataset) if callable(getattr(dataset, "survey", None)) else None

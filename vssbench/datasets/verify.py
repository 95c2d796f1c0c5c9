"""Verify a data set on the disk: every file is opened and every fault listed, not the first one alone."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vssbench.datasets.frame_files import file_sha256, read_image
from vssbench.datasets.label_files import LabelFormat, label_size, read_label
from vssbench.datasets.messages import first_few
from vssbench.datasets.survey import Finding, Severity, SurveyedDataset, VideoFiles, is_surveyed, layout_error
from vssbench.datasets.video_file import video_index
from vssbench.errors import DatasetError, VssBenchError
from vssbench.records import IGNORE, Dataset, LabelMap, SourceVideo

ORDER: tuple[Severity, ...] = ("error", "warning", "note")
MANIFEST_COLUMNS = {"path", "sha256"}
_Size = tuple[int, int]  # (height, width)


def verify(dataset: Dataset, *, splits: Sequence[str] | None = None) -> list[Finding]:
    """Check every file of a data set: layout, frames, labels, classes, copies, and its manifest.csv.

    Of a data set without files (one that is generated) the first and last frames and the labels are checked.

    Args:
        dataset: to check.
        splits: which of its splits; None for all.
    Returns: the findings, errors first; none if all is well.
    """
    findings: list[Finding] = []
    folder: Path = getattr(dataset, "folder", Path())
    if not folder.is_dir():
        return [layout_error(folder, "no such folder", "give the folder of the data set (--data, VSSBENCH_DATA)")]
    chosen = dataset.splits() if splits is None else splits
    if not chosen:
        findings.append(layout_error(folder, "expected the files of a split, found none", "see the data set's layout"))
    surveyed = is_surveyed(dataset)
    copies = _Copies()
    for split in chosen:
        counts = np.zeros(len(dataset.class_names), np.int64)
        if surveyed is not None:
            findings += _split_findings(surveyed, split, counts, copies)
        else:
            findings += _generated_findings(dataset, split, folder, counts)
        findings += _unseen_classes(dataset, split, folder, counts)
    findings += copies.findings()
    if surveyed is not None:
        findings += manifest_findings(folder)
    unique = dict.fromkeys(findings)
    return sorted(unique, key=lambda finding: ORDER.index(finding.severity))


def _split_findings(dataset: SurveyedDataset, split: str, counts: NDArray[np.int64], copies: _Copies) -> list[Finding]:
    survey = dataset.survey(split)
    findings = list(survey.findings)
    sizes: dict[_Size, list[str]] = defaultdict(list)
    fitted: dict[tuple[_Size, _Size], list[str]] = defaultdict(list)
    for files in survey.videos:
        size, num_frames, found = _video_file(files) if files.video_file else _images(files)
        findings += found
        if size is not None:
            sizes[files.video_size(size)].append(files.name)
            if files.video_size(size) != size:
                fitted[size, files.video_size(size)].append(files.name)
        for index, path in files.labels.items():
            if num_frames is not None and not 0 <= index < num_frames:
                what = f"a label for frame {index} of {files.name}, which has the frames 0..{num_frames - 1}"
                findings.append(layout_error(path, what, "check that the video is whole, or remove the label"))
            findings += _label(path, files.label_format, size, counts)
        copies.add(split, files)
    return findings + _size_findings(dataset.folder, split, sizes) + _fit_findings(dataset.folder, split, fitted)


def _images(files: VideoFiles) -> tuple[tuple[int, int] | None, int, list[Finding]]:
    """The size and number of a video's images, and what is wrong with them."""
    findings: list[Finding] = []
    by_size: dict[tuple[int, int], list[str]] = defaultdict(list)
    for path in files.frames:
        try:
            height, width = read_image(path).shape[:2]
            by_size[height, width].append(path.name)
        except DatasetError as error:
            findings.append(_of(path, error))
    if len(by_size) > 1:
        listed = "; ".join(f"{h}x{w}: {first_few(names)}" for (h, w), names in by_size.items())
        what = f"frames of {files.name} differ in size (height x width): {listed}"
        findings.append(layout_error(files.frames[0].parent, what, "bring all frames to one size"))
    return next(iter(by_size), None), len(files.frames), findings


def _video_file(files: VideoFiles) -> tuple[tuple[int, int] | None, int | None, list[Finding]]:
    """The size and number of a video file's frames, and what is wrong with it."""
    path = files.video_file or Path()
    try:
        index = video_index(path)
    except DatasetError as error:
        return None, None, [_of(path, error)]
    findings = []
    if index.promised_frames > index.num_frames:
        what = f"its header states {index.promised_frames} frames, {index.num_frames} can be decoded"
        fix = "if it was not cut on purpose, it is truncated: get a whole copy"
        findings.append(Finding(severity="warning", path=path, message=what, fix=fix))
    return index.size, index.num_frames, findings


def _label(
    path: Path,
    label_format: LabelFormat,
    size: tuple[int, int] | None,
    counts: NDArray[np.int64],
) -> list[Finding]:
    """What is wrong with a label file; its pixels are added to `counts`."""
    findings = []
    try:
        if size is not None and (found := label_size(path)) != size:
            what = f"the label is {found[0]}x{found[1]} (height x width), its frame {size[0]}x{size[1]}"
            findings.append(layout_error(path, what, "bring both to one size (labels by nearest neighbour)"))
        label = read_label(path, label_format)
    except DatasetError as error:
        return [*findings, _of(path, error)]
    return findings + _count(path, label, counts)


def _count(path: Path, label: LabelMap, counts: NDArray[np.int64]) -> list[Finding]:
    labelled = label[label != IGNORE]
    counts += np.bincount(labelled, minlength=len(counts))[: len(counts)]
    if labelled.size:
        return []
    what = "no pixel is labelled, all are void"
    return [Finding(severity="warning", path=path, message=what, fix="restore the label, or take it off the list")]


def _fit_findings(folder: Path, split: str, fitted: Mapping[tuple[_Size, _Size], Sequence[str]]) -> list[Finding]:
    """A note for each size of files that the data set resizes or makes even."""
    return [
        Finding(
            severity="note",
            path=folder,
            message=f"{split}: {height}x{width} becomes {new_height}x{new_width} (height x width): {first_few(names)}",
            fix="nothing, if that is meant: labels become IGNORE in a column or row that makes a side even",
        )
        for ((height, width), (new_height, new_width)), names in fitted.items()
    ]


def _size_findings(folder: Path, split: str, sizes: Mapping[_Size, Sequence[str]]) -> list[Finding]:
    findings = []
    for (height, width), names in sizes.items():
        if height % 2 or width % 2:
            what = f"{split}: odd size {height}x{width} (height x width): {first_few(names)}"
            fix = "crop or pad frames and labels to even sides: 4:2:0 video has no odd ones"
            findings.append(layout_error(folder, what, fix))
    if len(sizes) > 1:
        listed = "; ".join(f"{height}x{width}: {first_few(names)}" for (height, width), names in sizes.items())
        what = f"{split}: its videos differ in size (height x width): {listed}"
        fix = "bring them to one size: work and time are reported for one"
        findings.append(Finding(severity="warning", path=folder, message=what, fix=fix))
    return findings


def _unseen_classes(dataset: Dataset, split: str, folder: Path, counts: NDArray[np.int64]) -> list[Finding]:
    if not counts.any():
        return []
    unseen = [name for name, count in zip(dataset.class_names, counts, strict=True) if count == 0]
    if not unseen:
        return []
    what = f"{split}: no pixel of {', '.join(unseen)}"
    fix = "nothing, if that is so (the class is left out of the mean); else check how the labels are coded"
    return [Finding(severity="note", path=folder, message=what, fix=fix)]


class _Copies:
    """Files with the same bytes, found over all splits."""

    def __init__(self) -> None:
        self._images: dict[str, list[tuple[str, Path]]] = defaultdict(list)
        self._labels: dict[str, list[tuple[str, Path]]] = defaultdict(list)

    def add(self, split: str, files: VideoFiles) -> None:
        """Note the files of a video."""
        paths = [files.video_file] if files.video_file else files.frames
        for target, group in ((self._images, paths), (self._labels, files.labels.values())):
            for path in group:
                try:
                    target[file_sha256(path)].append((split, path))
                except DatasetError:
                    continue  # reported where the file was opened

    def findings(self) -> list[Finding]:
        """A finding for every group of equal files."""
        findings = []
        kinds: tuple[tuple[str, Severity, dict[str, list[tuple[str, Path]]]], ...] = (
            ("picture", "warning", self._images),
            ("label", "note", self._labels),
        )
        for what, severity, groups in kinds:
            for places in groups.values():
                paths = list(dict.fromkeys(path for _, path in places))
                splits = list(dict.fromkeys(split for split, _ in places))
                if len(paths) < 2 and len(splits) < 2:
                    continue
                message = f"the same {what} as {first_few(path.name for path in paths[1:]) or 'itself'}"
                if len(splits) > 1:
                    message += f", in the splits {' and '.join(splits)}"
                fix = "keep one, unless it is meant"
                findings.append(Finding(severity=severity, path=paths[0], message=message, fix=fix))
        return findings


def manifest_findings(folder: Path) -> list[Finding]:
    """Where files differ from the folder's manifest.csv (path, sha256, maybe bytes); [] if it has none."""
    manifest = folder / "manifest.csv"
    if not manifest.exists():
        return []
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = set(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return [layout_error(manifest, f"unreadable: {error}", "restore it, or remove it")]
    if not columns >= MANIFEST_COLUMNS:
        what = f"expected the columns path and sha256, got {', '.join(sorted(columns)) or 'none'}"
        return [layout_error(manifest, what, "restore it, or remove it")]
    findings = []
    for row in rows:
        path = folder / (row["path"] or "")
        if not path.is_file():
            findings.append(layout_error(path, "missing; manifest.csv lists it", "restore it"))
        elif fault := _unlike_manifest(path, row):
            findings.append(layout_error(path, fault, "restore the file, or bring manifest.csv up to date"))
    return findings


def _unlike_manifest(path: Path, row: Mapping[str, str | None]) -> str:
    wanted_bytes = (row.get("bytes") or "").strip()
    if wanted_bytes.isdigit() and int(wanted_bytes) != (found := path.stat().st_size):
        return f"manifest.csv says {wanted_bytes} bytes, the file has {found}"
    wanted = (row["sha256"] or "").strip().lower()
    try:
        sha256 = file_sha256(path)
    except DatasetError as error:
        return str(error)
    return (
        ""
        if sha256 == wanted
        else f"manifest.csv says sha256 {wanted[:12] or 'nothing'}..., the file has {sha256[:12]}..."
    )


def _generated_findings(dataset: Dataset, split: str, folder: Path, counts: NDArray[np.int64]) -> list[Finding]:
    """What is wrong with the videos of a data set that has no files to look into."""
    try:
        videos = dataset.videos(split)
        return [finding for video in videos for finding in _source_findings(video, folder / video.name, counts)]
    except VssBenchError as error:
        return [_of(folder, error)]


def _source_findings(video: SourceVideo, path: Path, counts: NDArray[np.int64]) -> list[Finding]:
    findings = []
    last = video.num_frames - 1
    for frame in dict.fromkeys((0, last)):
        found = [rgb.shape for rgb in video.read(frame, frame + 1)]
        if found != [(*video.size, 3)]:
            what = f"frame {frame}: expected one of {(*video.size, 3)}, got {found}"
            findings.append(layout_error(path, what, "correct the data set's `read`"))
    for index, label in video.labels.items():
        if not 0 <= index <= last or label.shape != video.size:
            what = f"label of frame {index}, {label.shape}; the video has the frames 0..{last}, {video.size}"
            findings.append(layout_error(path, what, "correct the data set's `labels`"))
            continue
        outside = np.unique(label[(label != IGNORE) & (label >= len(counts))])
        if outside.size:
            limits = f"0..{len(counts) - 1} or {IGNORE}"
            what = f"label of frame {index}: values {first_few(outside)}; expected {limits}"
            findings.append(layout_error(path, what, "correct the data set's `labels`"))
            continue
        findings += _count(path, label, counts)
    return findings


def _of(path: Path, error: Exception) -> Finding:
    """The error that loading would raise, as a finding; its message ends in what to do."""
    message, _, fix = str(error).rpartition("; ")
    return layout_error(path, message or str(error), fix if message else "restore the file")

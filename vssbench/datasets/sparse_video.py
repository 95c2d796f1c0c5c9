"""A video with labels for a few of its frames: a video file or a folder of images, the general case."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vssbench.datasets.camvid import CAMVID_LABELS
from vssbench.datasets.classes import CAMVID_CLASSES, CAMVID_PALETTE
from vssbench.datasets.label_files import LabelFormat
from vssbench.datasets.messages import first_few
from vssbench.datasets.open_video import open_video
from vssbench.datasets.survey import (
    Finding,
    LazyVideos,
    Survey,
    VideoFiles,
    frame_number,
    gap_findings,
    image_files,
    layout_error,
    repeated,
    require_split,
)
from vssbench.datasets.video_file import VIDEO_SUFFIXES
from vssbench.errors import DatasetError
from vssbench.records import SourceVideo


class SparseVideo:
    """One video with labels for some of its frames.

    Args:
        video: a video file, or a folder of images in the order of the numbers in their names.
        labels: a CSV file with the columns `frame,label` (paths from the CSV file's folder), or a folder of
            label files with the frame number in their names, or a mapping of frame number to label file.
        first_number: the number that the video's first frame has in `labels`. None: 0 for a video file; for a
            folder of images a label belongs to the image with the same number in its name.
        fps: frames per second; None takes a video file's own, and 30 for a folder of images.
        split: the one split it is given as.
        name: of the video and the data set; None takes it from the path.
        class_names: of the classes.
        palette: (num_classes, 3) uint8.
        label_format: how the label files are coded.
    """

    def __init__(
        self,
        video: Path | str,
        labels: Path | str | Mapping[int, Path],
        *,
        first_number: int | None = None,
        fps: float | None = None,
        split: str = "test",
        name: str | None = None,
        class_names: Sequence[str] = CAMVID_CLASSES,
        palette: NDArray[np.uint8] = CAMVID_PALETTE,
        label_format: LabelFormat = CAMVID_LABELS,
    ) -> None:
        self.video = Path(video)
        self.folder = self.video.parent
        self.labels = Path(labels) if isinstance(labels, str) else labels
        self.name = name or self.video.stem
        self.class_names = class_names
        self.palette = palette
        self._first_number = first_number
        self._fps = fps
        self._split = split
        self._label_format = label_format

    @classmethod
    def from_folder(
        cls,
        folder: Path | str,
        *,
        first_number: int | None = None,
        fps: float | None = None,
        split: str = "test",
    ) -> SparseVideo:
        """The video of a folder that holds one video file or `frames/`, and `labels.csv` or `labels/`.

        Raises: DatasetError, when the folder holds none of them, or several video files.
        """
        folder = Path(folder)
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        videos = [path for path in found if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
        videos += [path for path in (folder / "frames",) if path.is_dir()]
        labels = [path for path in (folder / "labels.csv", folder / "labels") if path.exists()]
        if len(videos) != 1 or not labels:
            raise DatasetError(
                f"expected one video file or `frames`, and `labels.csv` or `labels`, in {folder}; found the "
                f"videos: {first_few(path.name for path in videos) or 'none'}, and the labels: "
                f"{first_few(path.name for path in labels) or 'none'}; give the folder that holds them"
            )
        name = folder.resolve().name
        return cls(videos[0], labels[0], first_number=first_number, fps=fps, split=split, name=name)

    def splits(self) -> Sequence[str]:
        """The one split it was made with."""
        return (self._split,)

    def videos(self, split: str) -> Sequence[SourceVideo]:
        """The one video.

        Raises: DatasetError, when the split is not its own, or files are missing; when opened, for unlike
            sizes, labels past the end, and a video that cannot be decoded.
        """
        require_split(self, split)
        fps = self._fps if self._fps or not self.video.is_dir() else 30.0
        return LazyVideos(self.survey(split).require_clean(), lambda files: open_video(files, fps=fps))

    def survey(self, split: str) -> Survey:
        """The frames and the labels, and every fault of the layout; a video file is not decoded here."""
        if split != self._split:
            return Survey(videos=())
        findings: list[Finding] = []
        labels = self._numbered_labels(findings)
        if not self.video.is_dir():
            if not self.video.is_file():
                findings.append(layout_error(self.video, "the video is missing", "restore it, or correct the path"))
                return Survey(videos=(), findings=findings)
            first = self._first_number or 0
            video = self._files(labels={number - first: path for number, path in labels.items()}, video_file=self.video)
            return Survey(videos=(video,), findings=findings)
        frames = image_files(self.video)
        if not frames:
            findings.append(layout_error(self.video, "expected image files, found none", "give the folder of frames"))
            return Survey(videos=(), findings=findings)
        index_of = self._frame_indices(frames, findings)
        for number, path in labels.items():
            if number not in index_of:
                range_ = f"{min(index_of, default=None)}..{max(index_of, default=None)}"
                what = f"a label for frame {number}; {self.video} has {len(index_of)} frames, numbered {range_}"
                findings.append(
                    layout_error(path, what, "restore the frame, correct first_number, or remove the label")
                )
        known = {index_of[number]: path for number, path in labels.items() if number in index_of}
        return Survey(videos=(self._files(labels=known, frames=frames),), findings=findings)

    def _files(
        self, *, labels: Mapping[int, Path], frames: Sequence[Path] = (), video_file: Path | None = None
    ) -> VideoFiles:
        return VideoFiles(
            name=self.name,
            frames=frames,
            video_file=video_file,
            labels=labels,
            label_format=self._label_format,
        )

    def _frame_indices(self, frames: Sequence[Path], findings: list[Finding]) -> dict[int, int]:
        """Frame number -> position."""
        if self._first_number is not None:
            return {self._first_number + index: index for index in range(len(frames))}
        numbers = [frame_number(path) for path in frames]
        unnumbered = [path.name for path, number in zip(frames, numbers, strict=True) if number is None]
        if unnumbered:
            what = f"images without a frame number in their names: {first_few(unnumbered)}"
            findings.append(layout_error(self.video, what, "number them, remove them, or give first_number"))
        known = [number for number in numbers if number is not None]
        for twice in repeated(map(str, known)):
            findings.append(layout_error(self.video, f"two images with frame number {twice}", "keep one"))
        findings += gap_findings(self.video, sorted(set(known)))
        return {number: index for index, number in enumerate(numbers) if number is not None}

    def _numbered_labels(self, findings: list[Finding]) -> dict[int, Path]:
        """Frame number -> label file, of those that are there."""
        source = self.labels
        if isinstance(source, Mapping):
            pairs, where = [(number, Path(path)) for number, path in source.items()], self.folder
        elif source.is_dir():
            pairs, where = _labels_in_folder(source, findings), source
        else:
            pairs, where = _labels_in_csv(source, findings), source
        if not pairs:
            findings.append(layout_error(where, "no labels", "give the folder or CSV file of the labels"))
        for twice in repeated(str(number) for number, _ in pairs):
            findings.append(layout_error(where, f"two labels for frame {twice}", "keep one"))
        for number, path in pairs:
            if not path.is_file():
                findings.append(layout_error(path, f"missing; it is the label of frame {number}", "restore it"))
        return {number: path for number, path in pairs if path.is_file()}


def _labels_in_folder(folder: Path, findings: list[Finding]) -> list[tuple[int, Path]]:
    files = image_files(folder)
    pairs = [(number, path) for path in files if (number := frame_number(path)) is not None]
    if unnumbered := [path.name for path in files if frame_number(path) is None]:
        what = f"labels without a frame number in their names: {first_few(unnumbered)}"
        findings.append(layout_error(folder, what, "number them, or give a CSV file with the columns frame,label"))
    return pairs


def _labels_in_csv(path: Path, findings: list[Finding]) -> list[tuple[int, Path]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        findings.append(layout_error(path, f"unreadable: {error}", "give a CSV file with the columns frame,label"))
        return []
    if not {"frame", "label"} <= set(columns):
        what = f"expected the columns frame,label, got {', '.join(columns) or 'none'}"
        findings.append(layout_error(path, what, "name the columns in the first line"))
        return []
    pairs = []
    for line, row in enumerate(rows, start=2):
        number, name = (row["frame"] or "").strip(), (row["label"] or "").strip()
        if not (number.isascii() and number.isdigit() and name):
            what = f"line {line}: expected a frame number and a label file, got {number!r}, {name!r}"
            findings.append(layout_error(path, what, "correct the line"))
            continue
        pairs.append((int(number), path.parent / name))
    return pairs

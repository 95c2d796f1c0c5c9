"""A user's own data: folders of images or video files with labels beside them, and a description in dataset.toml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vssbench.datasets.description import FILE_NAME, read_description
from vssbench.datasets.messages import first_few
from vssbench.datasets.open_video import open_video
from vssbench.datasets.survey import (
    Finding,
    LazyVideos,
    Survey,
    VideoFiles,
    frame_number,
    image_files,
    layout_error,
    repeated,
    require_split,
)
from vssbench.datasets.video_file import VIDEO_SUFFIXES
from vssbench.errors import DatasetError
from vssbench.records import SourceVideo

SPLITS = ("train", "val", "test")  # their order; folders of other names are splits too, after these
ONLY_SPLIT = "test"  # of a folder without folders of splits
IMAGES_FPS = 30.0
LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg"})


class FolderDataset:
    """A folder of one's own videos, some or all of their frames labelled.

        FOLDER/dataset.toml                     the classes; `read_description` lists what else it may say
        FOLDER/SPLIT/VIDEO/images/0001.png      frames in the order of their numbers, which may have gaps
        FOLDER/SPLIT/VIDEO/labels/0001.png      the label of the frame of that name, for some of them or for all

    A video may be a file; then a label has its frame's number, the first frame's being 0:

        FOLDER/SPLIT/VIDEO.mp4
        FOLDER/SPLIT/VIDEO/labels/000120.png

    SPLIT is train, val, test or any other name. Without folders of splits all videos are the split "test"; a split that
    is but one video needs no folder VIDEO. Label files hold one class number a pixel, or the colours of dataset.toml,
    and must be lossless. An odd width or height is made even by a repeated column or row without labels (see `Fit`).

    Args:
        folder: holds dataset.toml.
    Raises: DatasetError, when there is no such folder, or its dataset.toml is missing or wrong.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise DatasetError(f"no such folder: {self.folder}; give the folder that holds {FILE_NAME} (--data)")
        self._description = read_description(self.folder)
        self.name = self._description.name
        self.class_names = self._description.class_names
        self.palette = self._description.palette

    def splits(self) -> Sequence[str]:
        """The splits, "train" first."""
        return tuple(self._split_folders())

    def videos(self, split: str) -> Sequence[SourceVideo]:
        """The videos of a split, by name.

        Raises: DatasetError, when the split is not there or has no label, or files are missing or faulty; when opened,
            for unlike sizes, labels past the end, and a video that cannot be decoded.
        """
        require_split(self, split)
        return LazyVideos(self.survey(split).require_clean(), self._open)

    def survey(self, split: str) -> Survey:
        """The videos, and every fault of the layout; no image is opened and no video decoded."""
        folders = self._split_folders()
        if split not in folders:
            what = f"no split {split!r}, but {', '.join(folders) or 'none at all'}"
            return Survey(videos=(), findings=[layout_error(self.folder, what, "choose one of them")])
        findings: list[Finding] = []
        if self.folder not in folders.values():
            for loose in (path for path in _videos_in(self.folder) if path not in folders.values()):
                what = f"a video beside the splits {', '.join(folders)}"
                findings.append(layout_error(loose, what, "move it into one of them"))
        videos = self._videos(folders[split], findings)
        if not any(video.labels for video in videos) and not findings:
            what = f"no frame of the split {split} is labelled"
            findings.append(
                layout_error(folders[split], what, "put label files into VIDEO/labels, or remove the split")
            )
        return Survey(videos=videos, findings=findings)

    def _open(self, files: VideoFiles) -> SourceVideo:
        fps = self._description.fps
        return open_video(files, fps=IMAGES_FPS if fps is None and files.video_file is None else fps)

    def _split_folders(self) -> dict[str, Path]:
        """Split -> the folder of its videos."""
        found = {
            path.name: path
            for path in _folders_in(self.folder)
            if path.name in SPLITS or (not _is_video(path) and any(_videos_in(path)))
        }
        if found:
            names = [name for name in SPLITS if name in found] + sorted(found.keys() - SPLITS)
            return {name: found[name] for name in names}
        whole = _is_video(self.folder) or any(_videos_in(self.folder))
        return {ONLY_SPLIT: self.folder} if whole else {}

    def _videos(self, folder: Path, findings: list[Finding]) -> list[VideoFiles]:
        """The videos of a split's folder."""
        if _is_video(folder):
            for inner in _videos_in(folder):
                what = f"a video inside the video {folder.name}"
                findings.append(layout_error(inner, what, "give each video a folder of its own"))
            return self._video(folder.resolve().name, folder, [], findings)
        files: dict[str, list[Path]] = {path.name: [] for path in _folders_in(folder)}
        for path in _video_files_in(folder):
            files.setdefault(path.stem, []).append(path)
        if not files:
            findings.append(layout_error(folder, "expected videos, found none", "put in VIDEO/images and VIDEO/labels"))
        return [video for name in sorted(files) for video in self._video(name, folder / name, files[name], findings)]

    def _video(self, name: str, folder: Path, video_files: Sequence[Path], findings: list[Finding]) -> list[VideoFiles]:
        """The video of a folder and the video files of its name: one, or none where they are not one video."""
        frames = image_files(folder / "images")
        sources = [path.name for path in video_files] + (["images"] if frames else [])
        if len(sources) != 1:
            inside = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) if folder.is_dir() else ""
            found = " and ".join(sources) or f"neither, but {inside or 'an empty folder'}"
            what = f"expected image files in {name}/images, or one video file {name}.mp4; found {found}"
            findings.append(layout_error(folder, what, "give one of the two"))
            return []
        labels = _label_files(folder / "labels", findings)
        if video_files:
            matched = _by_number(folder / "labels", labels, findings)
        else:
            findings += _order_findings(folder / "images", frames)
            matched = _by_stem(folder / "labels", labels, frames, findings)
        return [
            VideoFiles(
                name=name,
                frames=frames,
                video_file=video_files[0] if video_files else None,
                labels=matched,
                label_format=self._description.label_format,
                fit=self._description.fit,
            )
        ]


def _folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _video_files_in(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def _is_video(folder: Path) -> bool:
    return (folder / "images").is_dir() or (folder / "labels").is_dir()


def _videos_in(folder: Path) -> Iterator[Path]:
    """The folders and files directly in `folder` that are videos."""
    yield from (path for path in _folders_in(folder) if _is_video(path))
    yield from _video_files_in(folder)


def _label_files(folder: Path, findings: list[Finding]) -> list[Path]:
    """The label files of a video, lossless ones alone."""
    files = image_files(folder)
    if lossy := [path.name for path in files if path.suffix.lower() in LOSSY_SUFFIXES]:
        what = f"labels in a lossy format: {first_few(lossy)}"
        findings.append(
            layout_error(folder, what, "save them as PNG from the original: JPEG changes the class numbers")
        )
    return [path for path in files if path.suffix.lower() not in LOSSY_SUFFIXES]


def _by_stem(folder: Path, labels: Sequence[Path], frames: Sequence[Path], findings: list[Finding]) -> dict[int, Path]:
    """Frame index -> the label of the frame's name."""
    index_of = {path.stem: index for index, path in enumerate(frames)}
    for stem in repeated(path.stem for path in labels):
        findings.append(layout_error(folder, f"two labels for {stem}", "keep one"))
    if lone := [path.name for path in labels if path.stem not in index_of]:
        what = f"labels without an image of their name: {first_few(lone)}; the images are {first_few(index_of)}"
        findings.append(layout_error(folder, what, "restore the images, or name the labels as their images"))
    return {index_of[path.stem]: path for path in labels if path.stem in index_of}


def _by_number(folder: Path, labels: Sequence[Path], findings: list[Finding]) -> Mapping[int, Path]:
    """Frame index -> the label of that number."""
    numbered = [(frame_number(path), path) for path in labels]
    if without := [path.name for number, path in numbered if number is None]:
        what = f"labels without a frame number in their names: {first_few(without)}"
        findings.append(layout_error(folder, what, "name them by the frame's number in the video, the first being 0"))
    for number in repeated(str(number) for number, _ in numbered if number is not None):
        findings.append(layout_error(folder, f"two labels for frame {number}", "keep one"))
    return {number: path for number, path in numbered if number is not None}


def _order_findings(folder: Path, frames: Sequence[Path]) -> list[Finding]:
    """Where the names of the images do not give their order."""
    findings = [
        layout_error(folder, f"two images are called {stem}", "keep one") for stem in repeated(p.stem for p in frames)
    ]
    numbers = [frame_number(path) for path in frames]
    without = [path.name for path, number in zip(frames, numbers, strict=True) if number is None]
    if without and len(without) < len(frames):
        what = f"images without a number among numbered ones: {first_few(without)}"
        findings.append(layout_error(folder, what, "number them, or remove them"))
    stems: dict[int, set[str]] = {}
    for path, number in zip(frames, numbers, strict=True):
        if number is not None:
            stems.setdefault(number, set()).add(path.stem)
    if twice := [f"{' and '.join(sorted(same))} ({number})" for number, same in stems.items() if len(same) > 1]:
        what = f"images of one number, so that their order is not known: {first_few(twice)}"
        findings.append(layout_error(folder, what, "number them through; the last number in a name counts"))
    return findings

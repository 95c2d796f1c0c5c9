"""CamVid's labelled stills: for training as they are, and as short videos by simulated camera motion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vssbench.datasets.camera_motion import CameraMotion, camera_views, view, view_labels
from vssbench.datasets.camvid import CAMVID_LABELS
from vssbench.datasets.classes import CAMVID_CLASSES, CAMVID_PALETTE
from vssbench.datasets.frame_files import content_key, image_size, read_image, require_range
from vssbench.datasets.image_sequence import label_stem
from vssbench.datasets.label_files import LabelFiles, LabelFormat, read_label, require_size
from vssbench.datasets.survey import (
    Finding,
    LazyVideos,
    Survey,
    VideoFiles,
    image_files,
    layout_error,
    repeated,
    require_split,
    unlike_sets,
)
from vssbench.records import LabelMap, Rgb, SourceVideo

SPLITS = ("train", "val", "test")
# (images, labels) of a split without a list: this project's layout, the SegNet tutorial's, the Kaggle copy's.
FOLDERS = (("{split}/images", "{split}/labels"), ("{split}", "{split}annot"), ("{split}", "{split}_labels"))
KNOWN_BAD = {"Seq05VD_f02610": "its label does not fit its image (SegNet split, test)"}
WARP_VERSION = 1  # raise it when `camera_motion` gives other pixels: cached encodes are named by it


@dataclass(frozen=True, kw_only=True)
class Still:
    """A labelled picture on the disk.

    Args:
        name: the image file's, without its ending.
        image_path: the picture.
        label_path: its labels.
        label_format: how they are coded.
    """

    name: str
    image_path: Path
    label_path: Path
    label_format: LabelFormat

    def read_image(self) -> Rgb:
        """(H, W, 3) uint8. Raises: DatasetError, when the file is missing or unreadable."""
        return read_image(self.image_path)

    def read_label(self) -> LabelMap:
        """(H, W) uint8, a class or IGNORE. Raises: DatasetError, when unreadable or of another size."""
        return read_label(self.label_path, self.label_format, size=image_size(self.image_path))


class CamVidStills:
    """CamVid's stills: `{split}.txt` lists "image label" a line, or the usual pairs of folders do.

    As a data set, each still is the last frame of a short video that a simulated camera takes of it; that
    frame alone is annotated, and its pixels are the still's, unless every view is to have its labels.

    Args:
        folder: holds the lists or the folders.
        motion: how the camera moves.
        fps: frames per second that the videos claim.
        seed: of the camera's paths.
        drop_known_bad: leave out the stills whose labels are known not to fit (`KNOWN_BAD`); off, to be
            comparable.
        label_every_view: annotate all frames, with the still's labels moved as its pixels are: for training on clips.
        label_format: how the label files are coded.
    """

    class_names: Sequence[str] = CAMVID_CLASSES
    palette = CAMVID_PALETTE

    def __init__(
        self,
        folder: Path | str,
        *,
        motion: CameraMotion | None = None,
        fps: float = 15.0,
        seed: int = 0,
        drop_known_bad: bool = False,
        label_every_view: bool = False,
        label_format: LabelFormat = CAMVID_LABELS,
    ) -> None:
        self.folder = Path(folder)
        self.name = self.folder.resolve().name
        self._motion = motion or CameraMotion()
        self._fps = fps
        self._seed = seed
        self._drop_known_bad = drop_known_bad
        self._label_every_view = label_every_view
        self._label_format = label_format

    def splits(self) -> Sequence[str]:
        """The splits that have a list or folders, "train" first."""
        return tuple(split for split in SPLITS if self._list(split).is_file() or self._folders(split))

    def stills(self, split: str) -> Sequence[Still]:
        """The labelled pictures of a split, in the order of its list.

        Raises: DatasetError, when the split is not there, its list is faulty, or files are missing.
        """
        require_split(self, split)
        return [
            Still(
                name=files.name,
                image_path=files.frames[0],
                label_path=files.labels[0],
                label_format=files.label_format,
            )
            for files in self.survey(split).require_clean()
        ]

    def videos(self, split: str) -> Sequence[SourceVideo]:
        """Each still of the split as a video of `motion.num_frames` frames, the last one annotated.

        Raises: DatasetError, as `stills`; when opened, for a label that is not of the image's size.
        """
        require_split(self, split)
        return LazyVideos(self.survey(split).require_clean(), self._moving)

    def survey(self, split: str) -> Survey:
        """The pairs of image and label (as one-frame videos), and every fault of the layout."""
        findings: list[Finding] = []
        if self._list(split).is_file():
            pairs = self._listed_pairs(split, findings)
        elif folders := self._folders(split):
            pairs = _folder_pairs(*folders, findings)
        else:
            what = f"expected the list {split}.txt, or folders {_folder_names(split)}; found neither"
            return Survey(videos=(), findings=[layout_error(self.folder, what, "give the folder that holds them")])
        where = self._list(split) if self._list(split).is_file() else self.folder / split
        if not pairs:
            findings.append(layout_error(where, "no stills in it", "restore the list or the images"))
        for name in repeated(image.stem for image, _ in pairs):
            findings.append(layout_error(where, f"{name} is there more than once", "keep one"))
        pairs = self._without_known_bad(pairs, findings)
        videos = [
            VideoFiles(name=image.stem, frames=(image,), labels={0: label}, label_format=self._label_format)
            for image, label in pairs
        ]
        return Survey(videos=videos, findings=findings)

    def _moving(self, files: VideoFiles) -> SourceVideo:
        image, label = files.frames[0], files.labels[0]
        size = image_size(image)
        require_size(label, size)
        views = camera_views(self._motion, size, seed=self._seed, name=files.name)
        last = self._motion.num_frames - 1

        def read(start: int, stop: int) -> Iterator[Rgb]:
            require_range(image, start, stop, last + 1)
            rgb = read_image(image, size=size)
            return (view(rgb, views[frame]) for frame in range(start, stop))

        labels = LabelFiles({last: label}, files.label_format, size=size)
        return SourceVideo(
            name=files.name,
            num_frames=last + 1,
            size=size,
            fps=self._fps,
            read=read,
            labels=_SeenLabels(labels, views) if self._label_every_view else labels,
            content_key=content_key([image], "camera motion", WARP_VERSION, views.tobytes()),
        )

    def _list(self, split: str) -> Path:
        return self.folder / f"{split}.txt"

    def _folders(self, split: str) -> tuple[Path, Path] | None:
        for images, labels in FOLDERS:
            pair = self.folder / images.format(split=split), self.folder / labels.format(split=split)
            if pair[0].is_dir() and pair[1].is_dir():
                return pair
        return None

    def _listed_pairs(self, split: str, findings: list[Finding]) -> list[tuple[Path, Path]]:
        """The pairs that the list names and that are there."""
        listing = self._list(split)
        pairs: list[tuple[Path, Path]] = []
        try:
            lines = listing.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            findings.append(layout_error(listing, f"unreadable: {error}", "restore it"))
            return pairs
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            if len(names := line.split()) != 2:
                what = f"line {number}: expected `image label`, got {line!r}"
                findings.append(layout_error(listing, what, "correct the line"))
                continue
            image, label = (self.folder / name for name in names)
            missing = [path for path in (image, label) if not path.is_file()]
            for path in missing:
                findings.append(layout_error(path, f"missing; {listing.name} line {number} lists it", "restore it"))
            if not missing:
                pairs.append((image, label))
        return pairs

    def _without_known_bad(self, pairs: list[tuple[Path, Path]], findings: list[Finding]) -> list[tuple[Path, Path]]:
        kept = []
        for image, label in pairs:
            if image.stem in KNOWN_BAD:
                fix = "dropped" if self._drop_known_bad else "kept for comparability; drop_known_bad leaves it out"
                findings.append(Finding(severity="note", path=label, message=KNOWN_BAD[image.stem], fix=fix))
                if self._drop_known_bad:
                    continue
            kept.append((image, label))
        return kept


class _SeenLabels(Mapping[int, LabelMap]):
    """Frame index -> the labels of a still, as the camera sees them there."""

    def __init__(self, still: Mapping[int, LabelMap], views: NDArray[np.float64]) -> None:
        self._still = still
        self._views = views

    def __getitem__(self, index: int) -> LabelMap:
        return view_labels(self._still[len(self._views) - 1], self._views[index])

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._views)))

    def __len__(self) -> int:
        return len(self._views)

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and 0 <= index < len(self._views)


def _folder_pairs(images: Path, labels: Path, findings: list[Finding]) -> list[tuple[Path, Path]]:
    label_files = {label_stem(path): path for path in image_files(labels)}
    found = image_files(images)
    findings += unlike_sets(labels, "labels, one an image,", (path.stem for path in found), label_files)
    return [(path, label_files[path.stem]) for path in found if path.stem in label_files]


def _folder_names(split: str) -> str:
    return " or ".join(f"{images.format(split=split)} + {labels.format(split=split)}" for images, labels in FOLDERS)

"""A labelled image sequence as one video, every frame annotated: CamVid's 15 Hz run."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from vssbench.datasets.camvid import CAMVID_LABELS
from vssbench.datasets.classes import CAMVID_CLASSES, CAMVID_PALETTE
from vssbench.datasets.label_files import LabelFormat
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
    unlike_sets,
)
from vssbench.records import SourceVideo

LABEL_ENDING = "_L"  # CamVid's own label files: 0016E5_07959_L.png beside 0016E5_07959.png


class CamVidSequence:
    """CamVid's densely labelled run: `frames/` and `labels/` with the same names, maybe `frames.csv`.

    Without `frames.csv` (a column `file`) the order is that of the frame numbers in the file names.

    Args:
        folder: holds `frames/` and `labels/`.
        split: the one split it is given as; in the SegNet split the run is the whole "val" set.
        fps: frames per second; the run is annotated at 15 Hz.
        label_format: how the label files are coded.
    """

    class_names: Sequence[str] = CAMVID_CLASSES
    palette = CAMVID_PALETTE

    def __init__(
        self,
        folder: Path | str,
        *,
        split: str = "val",
        fps: float = 15.0,
        label_format: LabelFormat = CAMVID_LABELS,
    ) -> None:
        self.folder = Path(folder)
        self.name = self.folder.resolve().name
        self._split = split
        self._fps = fps
        self._label_format = label_format

    def splits(self) -> Sequence[str]:
        """The one split it was made with."""
        return (self._split,)

    def videos(self, split: str) -> Sequence[SourceVideo]:
        """The run as one video, every frame annotated, class 11 as IGNORE.

        Raises: DatasetError, when the split is not its own, or files are missing; when opened, for sizes.
        """
        require_split(self, split)
        return LazyVideos(self.survey(split).require_clean(), lambda files: open_video(files, fps=self._fps))

    def survey(self, split: str) -> Survey:
        """The frames and their labels, and every fault of the layout."""
        if split != self._split:
            return Survey(videos=())
        findings: list[Finding] = []
        frames = self._frames(findings)
        label_files = image_files(self.folder / "labels")
        labels = {label_stem(path): path for path in label_files}
        for stem in repeated(label_stem(path) for path in label_files):
            findings.append(layout_error(self.folder / "labels", f"two labels for {stem}", "keep one"))
        if not frames:
            return Survey(videos=(), findings=findings)
        stems = [path.stem for path in frames]
        findings += unlike_sets(self.folder / "labels", "labels, one a frame,", stems, labels)
        numbers = [number for path in frames if (number := frame_number(path)) is not None]
        findings += gap_findings(self.folder / "frames", numbers)
        video = VideoFiles(
            name=f"{self.name}_{stems[0]}",
            frames=frames,
            labels={index: labels[stem] for index, stem in enumerate(stems) if stem in labels},
            label_format=self._label_format,
        )
        return Survey(videos=(video,), findings=findings)

    def _frames(self, findings: list[Finding]) -> list[Path]:
        """The frame files in display order: those of frames.csv, or those lying in the folder."""
        folder = self.folder / "frames"
        found = image_files(folder)
        listing = self.folder / "frames.csv"
        if listing.is_file():
            names = _listed_names(listing, findings)
            findings += unlike_sets(folder, "frames, as frames.csv lists them,", names, (path.name for path in found))
            there = {path.name: path for path in found}
            found = [there[name] for name in names if name in there]
        for stem in repeated(path.stem for path in found):
            findings.append(layout_error(folder, f"frame {stem} is there more than once", "keep one file, listed once"))
        if not found:
            what = f"{len(image_files(folder))} images, none of them listed" if listing.is_file() else "none"
            findings.append(
                layout_error(
                    folder,
                    f"expected image files in a folder `frames`, found {what}",
                    "give the folder that holds `frames` and `labels`",
                )
            )
        return found


def _listed_names(listing: Path, findings: list[Finding]) -> list[str]:
    try:
        with listing.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        findings.append(layout_error(listing, f"unreadable: {error}", "restore it, or remove it"))
        return []
    if not rows or "file" not in rows[0]:
        columns = ", ".join(rows[0]) if rows else "no rows"
        findings.append(layout_error(listing, f"expected a column `file`, got {columns}", "restore it, or remove it"))
        return []
    return [name for row in rows if (name := (row["file"] or "").strip())]


def label_stem(path: Path) -> str:
    """The name of the frame that a label file belongs to."""
    return path.stem.removesuffix(LABEL_ENDING)

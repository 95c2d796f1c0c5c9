"""Cityscapes snippets: 30 frames each, the 20th annotated, in the layout of the official download."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vssbench.datasets.label_files import LabelFormat
from vssbench.datasets.messages import first_few
from vssbench.datasets.open_video import open_video
from vssbench.datasets.survey import Finding, LazyVideos, Survey, VideoFiles, layout_error, require_split
from vssbench.records import IGNORE, SourceVideo

# cityscapesScripts, helpers/labels.py: labelId, trainId's name and colour, in the order of the trainIds.
_TRAIN_CLASSES = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)
NUM_LABEL_IDS = 34

CITYSCAPES_CLASSES = tuple(name for _, name, _ in _TRAIN_CLASSES)
CITYSCAPES_PALETTE = np.array([colour for _, _, colour in _TRAIN_CLASSES], dtype=np.uint8)
CITYSCAPES_PALETTE.flags.writeable = False  # shared by all importers
CITYSCAPES_LABEL_IDS = LabelFormat(
    num_classes=len(CITYSCAPES_CLASSES),
    value_to_class=dict.fromkeys(range(NUM_LABEL_IDS), IGNORE)
    | {IGNORE: IGNORE}
    | {label_id: train_id for train_id, (label_id, _, _) in enumerate(_TRAIN_CLASSES)},
    hint="expected labelIds as in *_gtFine_labelIds.png",
)

SNIPPET_FRAMES = 30
ANNOTATED = 19  # the 20th frame
FPS = 17.0
LABEL_NAME = re.compile(r"(?P<run>.+_\d+)_(?P<number>\d{6})_gtFine_labelIds\.png")


class CityscapesSnippets:
    """Cityscapes' `leftImg8bit_sequence/` and `gtFine/`: a video of 30 frames for each fine label of a split.

    Args:
        folder: holds `leftImg8bit_sequence/` and `gtFine/`.
    """

    name = "cityscapes"
    class_names: Sequence[str] = CITYSCAPES_CLASSES
    palette = CITYSCAPES_PALETTE

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def splits(self) -> Sequence[str]:
        """The splits with labels that are there; the test split's are not public."""
        return tuple(split for split in ("train", "val") if (self.folder / "gtFine" / split).is_dir())

    def videos(self, split: str) -> Sequence[SourceVideo]:
        """The snippets of a split, by name.

        Raises: DatasetError, when the split is not there, or frames are missing; when opened, for sizes.
        """
        require_split(self, split)
        return LazyVideos(self.survey(split).require_clean(), lambda files: open_video(files, fps=FPS))

    def survey(self, split: str) -> Survey:
        """The snippets, and every fault of the layout."""
        findings: list[Finding] = []
        videos = []
        labels = sorted((self.folder / "gtFine" / split).glob("*/*_gtFine_labelIds.png"))
        for label in labels:
            match = LABEL_NAME.fullmatch(label.name)
            if match is None:
                what = "expected a name CITY_SEQUENCE_FRAME_gtFine_labelIds.png"
                findings.append(layout_error(label, what, "restore the official name"))
                continue
            frames = self._snippet(split, label.parent.name, match["run"], int(match["number"]))
            if missing := [path.name for path in frames if not path.is_file()]:
                share = f"{len(missing)} of its {SNIPPET_FRAMES}"
                what = f"{label.name}: {share} frames missing: {first_few(missing)}"
                findings.append(layout_error(frames[0].parent, what, "unpack leftImg8bit_sequence whole"))
            videos.append(
                VideoFiles(
                    name=f"{match['run']}_{match['number']}",
                    frames=[path for path in frames if path.is_file()] if missing else frames,
                    labels={} if missing else {ANNOTATED: label},
                    label_format=CITYSCAPES_LABEL_IDS,
                )
            )
        if not labels:
            what = "expected CITY/*_gtFine_labelIds.png, found none"
            findings.append(layout_error(self.folder / "gtFine" / split, what, "give the folder that holds gtFine"))
        return Survey(videos=videos, findings=findings)

    def _snippet(self, split: str, city: str, run: str, number: int) -> list[Path]:
        folder = self.folder / "leftImg8bit_sequence" / split / city
        first = number - ANNOTATED
        return [folder / f"{run}_{first + index:06d}_leftImg8bit.png" for index in range(SNIPPET_FRAMES)]

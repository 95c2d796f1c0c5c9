"""Cityscapes snippets: 30 frames each, the 20th annotated, in the layout of the official download."""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np

from vssbench.datasets.label_files import LabelFormat, class_numbers
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
CITYSCAPES_TRAIN_IDS = class_numbers(len(CITYSCAPES_CLASSES))

SNIPPET_FRAMES = 30
ANNOTATED = 19  # the 20th frame
FPS = 17.0
SEQUENCES = "leftImg8bit_sequence"
# The official label files, and those that cityscapesScripts makes of them (createTrainIdLabelImgs), which are read
# where the official one is not there.
LABEL_NAME = re.compile(r"(?P<run>.+_\d+)_(?P<number>\d{6})_gtFine_label(Train)?Ids\.png")
LABEL_FORMATS = {"labelTrainIds": CITYSCAPES_TRAIN_IDS, "labelIds": CITYSCAPES_LABEL_IDS}


class CityscapesSnippets:
    """Cityscapes' snippets: a video of 30 frames for each fine label of a split.

        FOLDER/leftImg8bit_sequence/{train,val}/CITY/CITY_SEQUENCE_FRAME_leftImg8bit.png
        FOLDER/gtFine/{train,val}/CITY/CITY_SEQUENCE_FRAME_gtFine_labelIds.png   or ..._labelTrainIds.png

    They are the packages leftImg8bit_sequence_trainvaltest.zip (324 GB) and gtFine_trainvaltest.zip. The test split has
    no labels: the files under gtFine/test are all void.

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

        Raises: DatasetError, when the split is not there or is "test", or frames are missing; when opened, for sizes.
        """
        if split != "test":
            require_split(self, split)
        return LazyVideos(self.survey(split).require_clean(), lambda files: open_video(files, fps=FPS))

    def survey(self, split: str) -> Survey:
        """The snippets, and every fault of the layout; no image is opened."""
        frames, labels = self.folder / SEQUENCES / split, self.folder / "gtFine" / split
        if split == "test":
            what = "the labels of the test split are not public, its files are all void"
            return Survey(videos=(), findings=[layout_error(labels, what, "choose val")])
        chosen = _label_files(labels)
        if not chosen:
            what = "expected CITY/*_gtFine_labelIds.png, found none"
            return Survey(videos=(), findings=[layout_error(labels, what, "give the folder that holds gtFine")])
        if not frames.is_dir():
            return Survey(videos=(), findings=[layout_error(frames, *self._no_frames(split))])
        findings: list[Finding] = []
        videos = []
        for city in dict.fromkeys(label.parent.name for label in chosen):
            there = {path.name for path in (frames / city).glob("*.png")}
            for label in (label for label in chosen if label.parent.name == city):
                video = _snippet(frames / city, label, chosen[label], there, findings)
                if video is not None:
                    videos.append(video)
                    there -= {path.name for path in video.frames}
            if there:
                what = f"{len(there)} frames that no label of {labels / city} belongs to: {first_few(sorted(there))}"
                fix = "restore the labels, if they were there: these frames are not read"
                findings.append(Finding(severity="warning", path=frames / city, message=what, fix=fix))
        return Survey(videos=videos, findings=findings)

    def _no_frames(self, split: str) -> tuple[str, str]:
        """What was found in place of the frames, and what to do."""
        single = self.folder / "leftImg8bit" / split
        found = f"only {single}, the annotated frames without the 29 around them" if single.is_dir() else "none"
        return f"expected CITY/*_leftImg8bit.png, found {found}", "unpack leftImg8bit_sequence_trainvaltest.zip"


def _label_files(folder: Path) -> dict[Path, LabelFormat]:
    """The label file of every snippet and how it is coded, by name."""
    found: dict[str, tuple[Path, LabelFormat]] = {}
    for kind, label_format in LABEL_FORMATS.items():
        for path in folder.glob(f"*/*_gtFine_{kind}.png"):
            found[path.name.removesuffix(f"{kind}.png")] = path, label_format
    return dict(found[name] for name in sorted(found))


def _snippet(
    folder: Path, label: Path, label_format: LabelFormat, there: AbstractSet[str], findings: list[Finding]
) -> VideoFiles | None:
    """The snippet of a label file; what is wrong with it goes to the findings.

    Args:
        folder: of the city's frames.
        label: of the snippet's 20th frame.
        label_format: how it is coded.
        there: the names in `folder`.
    """
    match = LABEL_NAME.fullmatch(label.name)
    if match is None or int(match["number"]) < ANNOTATED:
        what = "expected a name CITY_SEQUENCE_FRAME_gtFine_labelIds.png with a FRAME of at least 000019"
        findings.append(layout_error(label, what, "restore the official name"))
        return None
    first = int(match["number"]) - ANNOTATED
    names = [f"{match['run']}_{first + index:06d}_leftImg8bit.png" for index in range(SNIPPET_FRAMES)]
    missing = [name for name in names if name not in there]
    if missing:
        what = f"{label.name}: {len(missing)} of its {SNIPPET_FRAMES} frames missing: {first_few(missing)}"
        findings.append(layout_error(folder, what, f"unpack {SEQUENCES} whole"))
    return VideoFiles(
        name=f"{match['run']}_{match['number']}",
        frames=[folder / name for name in names if name in there],
        labels={} if missing else {ANNOTATED: label},
        label_format=label_format,
    )

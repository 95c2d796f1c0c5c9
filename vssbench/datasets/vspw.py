"""VSPW: videos in the wild, every frame labelled at 15 Hz in 124 classes, in the layout of the official download."""

from __future__ import annotations

import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from vssbench.datasets.fit import Fit
from vssbench.datasets.label_files import LabelFormat
from vssbench.datasets.messages import first_few
from vssbench.datasets.open_video import open_video
from vssbench.datasets.palette import bit_palette
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
from vssbench.errors import DatasetError
from vssbench.records import IGNORE, SourceVideo

# label_num_dic_final.json of VIPSeg-Dataset/VIPSeg-Dataset @ae1f313, which labels VSPW's videos in VSPW's classes, in
# the order of its numbers 1..124; SegmentationBLWX/sssegmentation @2c165ed, ssseg/modules/datasets/vspw.py, has this
# list for VSPW too. The spelling is theirs.
_CLASS_NAMES = """
    wall ceiling door stair ladder escalator Playground_slide handrail_or_fence window rail
    goal pillar pole floor ground grass sand athletic_field road path
    crosswalk building house bridge tower windmill well_or_well_lid other_construction sky mountain
    stone wood ice snowfield grandstand sea river lake waterfall water
    billboard_or_Bulletin_Board sculpture pipeline flag parasol_or_umbrella cushion_or_carpet tent roadblock car bus
    truck bicycle motorcycle wheeled_machine ship_or_boat raft airplane tyre traffic_light lamp
    person cat dog horse cattle other_animal tree flower other_plant toy
    ball_net backboard skateboard bat ball cupboard_or_showcase_or_storage_rack box traveling_case_or_trolley_case
    basket bag_or_package
    trash_can cage plate tub_or_bowl_or_pot bottle_or_cup barrel fishbowl bed pillow table_or_desk
    chair_or_seat bench sofa shelf bathtub gun commode roaster other_machine refrigerator
    washing_machine Microwave_oven fan curtain textiles clothes painting_or_poster mirror flower_pot_or_vase clock
    book tool blackboard tissue screen_or_television computer printer Mobile_phone keyboard other_electronic_product
    fruit food instrument train
"""
VSPW_CLASSES = tuple(_CLASS_NAMES.split())
VSPW_PALETTE = bit_palette(len(VSPW_CLASSES))  # the release has no colours
OTHERS = 0  # the mask's value of "others", which is void in evaluation, as 255 is
VSPW_LABELS = LabelFormat(
    num_classes=len(VSPW_CLASSES),
    value_to_class={number: number - 1 for number in range(1, len(VSPW_CLASSES) + 1)}
    | {OTHERS: IGNORE, IGNORE: IGNORE},
    hint="the masks of the release hold 1..124, 0 for others and 255 for void: restore it, and shift nothing",
)

SPLITS = ("train", "val", "test")
CLASS_NUMBERS = "label_num_dic_final.json"
FPS = 15.0
EVALUATED_SIZE = (480, 853)  # TFC (AAAI 2024), "Training and Inference"; that of a 16:9 clip in VSPW_480p


class VSPW:
    """VSPW or VSPW_480p; every list of clips is a split.

        FOLDER/train.txt, val.txt, test.txt        a clip's name a line
        FOLDER/data/CLIP/origin/00000166.jpg ...   15 a second
        FOLDER/data/CLIP/mask/00000166.png ...     none in the test split, whose labels are not public
        FOLDER/label_num_dic_final.json            compared with `VSPW_CLASSES` where it is there

    Class c of a mask (1..124) becomes c - 1; 0 ("others") and 255 (void) become IGNORE; any other value is an error.

    Args:
        folder: holds the lists and `data/`.
        size: (height, width) that frames and masks are resized to (see `Fit`). VSPW_480p is 480 high and as wide as
            each clip's shape asks, 853 for 16:9, but a run measures one size. None: as the files are; then read clips
            of one size.

    Source: VSPW (CVPR 2021); VSPW-dataset/VSPW-dataset-download @13116bb, README.md, on values and their shift. Frames
        are 480x854, one column more than in print, as 4:2:0 video has even sides; it is IGNORE in the labels.
    """

    name = "vspw"
    class_names: Sequence[str] = VSPW_CLASSES
    palette = VSPW_PALETTE

    def __init__(self, folder: Path | str, *, size: tuple[int, int] | None = EVALUATED_SIZE) -> None:
        self.folder = Path(folder)
        self._fit = Fit(size=size)

    def splits(self) -> Sequence[str]:
        """The splits that have a list and masks."""
        return tuple(split for split in SPLITS if self._has_masks(split))

    def videos(self, split: str) -> Sequence[SourceVideo]:
        """The clips of a split, in the order of its list; a mask's frame is annotated.

        Raises: DatasetError, when the split is not there or has no masks, or files are missing; when opened, for sizes.
        """
        if self._list(split).is_file() and not self._has_masks(split):
            raise DatasetError(_no_masks(self._list(split)))
        require_split(self, split)
        return LazyVideos(self.survey(split).require_clean(), lambda files: open_video(files, fps=FPS))

    def survey(self, split: str) -> Survey:
        """The clips, and every fault of the layout; no image is opened."""
        findings = self._class_findings()
        listing = self._list(split)
        names = self._names(split, findings)
        if names and not self._has_masks(split):
            return Survey(videos=(), findings=[layout_error(listing, *_no_masks(listing).rsplit("; ", 1))])
        if not names and not findings:
            findings.append(layout_error(listing, "no clip in it", "restore the list"))
        for name in repeated(names):
            findings.append(layout_error(listing, f"{name} is listed more than once", "list it once"))
        videos = [video for name in dict.fromkeys(names) if (video := self._clip(name, listing, findings)) is not None]
        return Survey(videos=videos, findings=findings)

    def _list(self, split: str) -> Path:
        return self.folder / f"{split}.txt"

    def _names(self, split: str, findings: list[Finding]) -> list[str]:
        try:
            lines = self._list(split).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            findings.append(layout_error(self._list(split), f"unreadable: {error}", "restore it"))
            return []
        return [name for line in lines if (name := line.strip())]

    def _has_masks(self, split: str) -> bool:
        return any((self.folder / "data" / name / "mask").is_dir() for name in self._names(split, []))

    def _clip(self, name: str, listing: Path, findings: list[Finding]) -> VideoFiles | None:
        folder = self.folder / "data" / name
        frames = image_files(folder / "origin")
        if not frames:
            what = f"expected image files, found none; {listing.name} lists {name}"
            findings.append(layout_error(folder / "origin", what, "unpack the clip, or take it off the list"))
            return None
        stems = [path.stem for path in frames]
        for stem in repeated(stems):
            findings.append(layout_error(folder / "origin", f"frame {stem} is there more than once", "keep one file"))
        index_of = {stem: index for index, stem in enumerate(stems)}
        masks = {path.stem: path for path in image_files(folder / "mask")}
        findings += _mask_findings(folder / "mask", index_of.keys(), masks.keys())
        numbers = [number for path in frames if (number := frame_number(path)) is not None]
        findings += gap_findings(folder / "origin", numbers)
        return VideoFiles(
            name=name,
            frames=frames,
            labels={index_of[stem]: path for stem, path in masks.items() if stem in index_of},
            label_format=VSPW_LABELS,
            fit=self._fit,
        )

    def _class_findings(self) -> list[Finding]:
        """Where the folder's own table of classes differs from ours, its masks mean other things."""
        path = self.folder / CLASS_NUMBERS
        if not path.exists():
            return []
        try:
            table = {int(number): name for name, number in json.loads(path.read_text(encoding="utf-8")).items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            return [layout_error(path, f"unreadable: {error}", "restore it, or remove it")]
        ours = dict(enumerate(VSPW_CLASSES, start=1))
        unlike = [
            f"{number} is {table.get(number, 'nothing')}, in VSPW {ours.get(number, 'nothing')}"
            for number in sorted((table.keys() | ours.keys()) - {OTHERS, IGNORE})
            if table.get(number) != ours.get(number)
        ]
        if not unlike:
            return []
        return [layout_error(path, f"other classes than VSPW's 124: {first_few(unlike)}", "give VSPW's own folder")]


def _mask_findings(folder: Path, known: AbstractSet[str], labelled: AbstractSet[str]) -> list[Finding]:
    """Masks and frames that lack each other; a frame without a mask is decoded and not counted.

    Args:
        folder: of the masks.
        known: names of the clip's frames.
        labelled: names of its masks.
    """
    findings = []
    if not labelled:
        findings.append(
            layout_error(folder, "expected masks, found none", "restore them, or take the clip off the list")
        )
    elif bare := sorted(known - labelled):
        what = f"{len(bare)} of {len(known)} frames have no mask: {first_few(bare)}"
        fix = "restore the masks, if they were there: such a frame is not counted"
        findings.append(Finding(severity="warning", path=folder, message=what, fix=fix))
    if lone := sorted(labelled - known):
        what = f"masks without their frames: {first_few(lone)}"
        findings.append(layout_error(folder, what, "restore the frames in origin/, or remove the masks"))
    return findings


def _no_masks(listing: Path) -> str:
    return (
        f"no clip of {listing} has a folder `mask`, so nothing can be measured on it (the test labels are not public); "
        "choose val, or put the masks into data/CLIP/mask"
    )

"""Which network, scale and variant a row of AR-Seg's tables measures, read off its labels."""

from __future__ import annotations

import re
from dataclasses import dataclass

from arseg.options import TABLE_3
from reports.published.numbers import PrintedNumber

NETWORKS = {  # (letters and digits of its label, data set) -> name in networks.zoo
    ("pspnet18", "CamVid"): "pspnet18-camvid",
    ("psp18", "CamVid"): "pspnet18-camvid",
    ("pspnet18", "Cityscapes"): "pspnet18-cityscapes",
    ("psp18", "Cityscapes"): "pspnet18-cityscapes",
    **{(label, dataset): "bisenet18" for label in ("bisenet18", "bise18") for dataset in ("CamVid", "Cityscapes")},
}
ABLATION_SCALE = 0.5  # of all rows of Table 3
GOP_LENGTH = 12  # unless a row gives another


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a row measures.

    Args:
        network: name in `networks.zoo`.
        dataset: "CamVid" or "Cityscapes".
        scale: of every frame, or of the low-resolution branch.
        altering: whether it is AR-Seg, with key frames at full resolution.
        variants: of AR-Seg, the paper's form first, then the released program's.
        gop_length: L.
    """

    network: str
    dataset: str
    scale: float = 1.0
    altering: bool = False
    variants: tuple[str, ...] = ("",)
    gop_length: int = GOP_LENGTH


def subject_of(number: PrintedNumber) -> Subject | None:
    """The subject of a row; None for a system or network that AR-Seg did not release."""
    if number.method in TABLE_3:
        name = _network(number.backbone, number.dataset)
        if name is None:
            return None
        return Subject(
            network=name,
            dataset=number.dataset,
            scale=ABLATION_SCALE,
            altering=True,
            variants=TABLE_3[number.method],
        )
    return _altering(number) or _constant(number)


def _altering(number: PrintedNumber) -> Subject | None:
    """Rows called "AR0.5-PSP18", or of method "AR-Seg" in the setting "AR0.5 L=12"."""
    text = f"{number.method} {number.setting}"
    found = re.search(r"\bAR(0\.\d)(?:-(\w+))?", text)
    name = found and _network(found[2] or number.backbone, number.dataset)
    if not found or not name or number.setting == "single-frame baseline":
        return None
    length = re.search(r"L=(\d+)", text)
    return Subject(
        network=name,
        dataset=number.dataset,
        scale=float(found[1]),
        altering=True,
        gop_length=int(length[1]) if length else GOP_LENGTH,
    )


def _constant(number: PrintedNumber) -> Subject | None:
    """Rows called "PSPNet18-0.6x" or "PSPNet18 (0.5x)", "constant-resolution" ones, and other systems' baselines."""
    found = re.match(r"(\w+?)[- (]+(\d\.\d)x\)?$", f"{number.method} {number.setting}".strip())
    found = found or re.match(r"(\w+?)[- (]+(\d\.\d)x", number.method)
    if found and (name := _network(found[1], number.dataset)):
        return Subject(network=name, dataset=number.dataset, scale=float(found[2]))
    name = _network(number.backbone, number.dataset)
    if name and number.setting == "single-frame baseline":
        return Subject(network=name, dataset=number.dataset)
    scale = re.match(r"(\d\.\d)x$", number.setting)
    if name and scale and number.method == "constant-resolution":
        return Subject(network=name, dataset=number.dataset, scale=float(scale[1]))
    return None


def _network(label: str, dataset: str) -> str | None:
    return NETWORKS.get((label.lower(), dataset))

"""Table A4 of AR-Seg: PSPNet50, PSPNet101 and SegFormer-B3 on Cityscapes, none of which its program can run."""

from __future__ import annotations

from collections.abc import Sequence

from arseg.options import Options
from recount import costs
from recount.costs import FRAMES, GIGA
from reports.published.numbers import PrintedNumber
from reports.published.verdicts import Recount
from vssbench.complexity.conventions import (
    ARSEG_RELEASED,
    ReleasedForm,
    arseg_creff_macs,
    arseg_gop_macs,
    arseg_nonkey_macs,
)

DATASET = "Cityscapes"
L = 12
SCALE = 0.6  # the superscript of its AR column
OTHER_SCALE = 0.5
FORMS: dict[str, dict[str, str]] = {  # label -> form -> name in the zoo; the first is that of AR-Seg's PSPNet18
    "PSPNet-50": {"deep stem": "pspnet50", "7x7 stem": "pspnet50-plain"},
    "PSPNet-101": {"deep stem": "pspnet101", "7x7 stem": "taplab-bl3"},
    "SegFormer-MIT-B3": {"": "segformer-b3"},
}


def recount_backbone(number: PrintedNumber, all_numbers: Sequence[PrintedNumber]) -> Recount:
    """A row of a backbone in `FORMS`; the paper's way is that of its PSPNet18 on Cityscapes."""
    if number.method == "AR-Seg":
        key = next(each for each in all_numbers if each.backbone == number.backbone and each.setting == "1.0x")
        return _altering(number, key)
    return _constant(number, all_numbers)


def _constant(number: PrintedNumber, all_numbers: Sequence[PrintedNumber]) -> Recount:
    ways = paper_ways(number.backbone)
    executed = costs.constant(_first_form(number.backbone), DATASET)
    if number.backbone.startswith("PSPNet"):
        arithmetic = f"{_nearest(number.value, ways)}; {_difference(all_numbers)}"
    else:
        arithmetic = (
            f"thop of 2020 sees {next(iter(ways.values())):.2f}, without the products of attention, and the network "
            f"executes {executed.network:.2f}"
        )
    return Recount(
        ours=next(iter(ways.values())),
        basis=f"thop of 2020: {next(iter(ways))}",
        true=executed.network,
        true_all_kinds=executed.all_kinds,
        arithmetic=arithmetic,
    )


def _altering(number: PrintedNumber, key: PrintedNumber) -> Recount:
    printed_key = key.value
    ours = _gop(number.backbone, SCALE)
    nonkey = (L * number.value - printed_key) / (L - 1)
    by_print = {scale: _gop(number.backbone, scale, key=printed_key) for scale in (SCALE, OTHER_SCALE)}
    executed = costs.arseg(_first_form(number.backbone), DATASET, SCALE, gop_length=L)
    return Recount(
        ours=ours,
        basis=f"arseg-paper, s = {SCALE:g}, L = {L}",
        true=executed.network,
        true_all_kinds=executed.all_kinds,
        arithmetic=f"with the printed {key.printed} on key frames and its share at a scale on the others, CReFF gives "
        + " and ".join(f"{value:.2f} (s = {scale:g})" for scale, value in by_print.items())
        + f"; {number.printed} takes {nonkey:.2f} for a non-key frame, {nonkey / printed_key:.3f} of a key frame",
    )


def _gop(backbone: str, scale: float, key: float | None = None) -> float:
    """The mean over a GOP, in GMACs; with another cost of a key frame, that of the low network in proportion."""
    full, low = _paper_way(backbone, 1.0), _paper_way(backbone, scale)
    share = 1.0 if key is None else key / full.gmacs
    nonkey = arseg_nonkey_macs(
        share * low.gmacs * GIGA,
        arseg_creff_macs(channels=full.channels, pixels=full.pixels, window=Options().window),
        channels=full.channels,
        pixels=full.pixels,
        low_pixels=low.pixels,
        num_classes=FRAMES[DATASET].counted,
    )
    return arseg_gop_macs(share * full.gmacs, nonkey / GIGA, L)


# ---- the paper's way, and the forms that a network may have had ----


def _first_form(backbone: str) -> str:
    return next(iter(FORMS[backbone].values()))


def paper_ways(backbone: str) -> dict[str, float]:
    """GMACs at full resolution by form; the first is the form of AR-Seg's PSPNet18 on Cityscapes."""
    ways: dict[str, float] = {}
    for head, way in _heads(backbone).items():
        for form, name in FORMS[backbone].items():
            ways[", ".join(filter(None, (form, head))) or backbone] = costs.thop_2020_in_form(
                name, DATASET, 1.0, way
            ).gmacs
    return ways


def _heads(backbone: str) -> dict[str, ReleasedForm]:
    """The head's forms: PSPNet's with the auxiliary one, and the classifier counted x4, as released for PSPNet18."""
    if not backbone.startswith("PSPNet"):
        return {"": ReleasedForm()}
    return {"with auxiliary head": ARSEG_RELEASED["pspnet18-cityscapes"], "without auxiliary head": ReleasedForm()}


def _paper_way(backbone: str, scale: float) -> costs.Counted:
    return costs.thop_2020_in_form(_first_form(backbone), DATASET, scale, next(iter(_heads(backbone).values())))


def _nearest(printed: float, ways: dict[str, float]) -> str:
    form, gmacs = min(ways.items(), key=lambda item: abs(item[1] - printed))
    return f"of {len(ways)} forms the nearest is {form}, {gmacs:.2f} ({100 * (printed / gmacs - 1):+.2f} %)"


def _difference(all_numbers: Sequence[PrintedNumber]) -> str:
    """PSPNet101 less PSPNet50: the same head and stem drop out."""
    printed = {n.backbone: n.value for n in all_numbers if n.backbone in FORMS and n.setting == "1.0x"}
    small, large = [backbone for backbone in FORMS if backbone.startswith("PSPNet")]
    blocks = _paper_way(large, 1.0).gmacs - _paper_way(small, 1.0).gmacs
    return (
        f"printed, {large} takes {printed[large] - printed[small]:.2f} more than {small}; its 17 further blocks take "
        f"{blocks:.2f}, so that no one form gives both"
    )

"""TFC's rows: the parameters of its Table 1, and the operations that its section 4.2 states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import torch
from torch import Tensor

from recount import costs
from recount.costs import GIGA
from reports.published.numbers import INCREASE, PARAMETERS, PrintedNumber
from reports.published.verdicts import Recount
from tfc.model import OWN_LEVELS, TFCNetwork
from tfc.options import options_of
from vssbench.complexity.macs import MacCount, count_macs
from vssbench.complexity.params import count_parameters
from vssbench.networks.segformer import VARIANTS, SegFormer
from vssbench.ops.deformable_attention import DeformableEncoderLayer

CLASSES = 124  # of VSPW
SIZE = (480, 853)  # sec. 4.1
DECODER = 256  # channels of its decoder, for all encoders
POINT_SHARE = 0.1  # of the points at 1/4 that the deformable attention updates: "about 10%", sec. 3.2
OTHER_SIZES = ((480, 480), (480, 512), (512, 512))
MEGA = 1e6
WHOLE, REUSE = "", "reuse"  # TFC itself, and without its layer and its weights: variants of `tfc`


def recount_tfc(number: PrintedNumber, all_numbers: Sequence[PrintedNumber]) -> Recount:
    """A row of TFC's."""
    theirs = [each for each in all_numbers if each.source == number.source]
    sizes = [each for each in theirs if each.metric == PARAMETERS]
    variant = number.backbone.removeprefix("MiT-").lower()
    if number.metric == PARAMETERS:
        return _parameters(number, variant, sizes)
    if number.metric == INCREASE:
        return _increase(number, sizes)
    siblings = [each for each in theirs if each.metric == number.metric]
    image = {each.backbone.removeprefix("MiT-").lower(): each.value for each in siblings if each.method == "SegFormer"}
    return (
        _image(variant, image)
        if number.method == "SegFormer"
        else _nonkey(number, variant, nearest_form(FORMS, image), sizes)
    )


# ---- parameters ----


LAYER = "one encoder layer of Deformable DETR"
UNNAMED = "of which the paper does not say that it is its module"


def _parameters(number: PrintedNumber, variant: str, sizes: Sequence[PrintedNumber]) -> Recount:
    own, image = own_parameters(number), _base_of(number, sizes)
    basis = f"SegFormer-{variant.upper()}, decoder of {DECODER} channels, {CLASSES} classes"
    if number.method in ("SegFormer", "SegFormer+Feature Reuse"):
        return Recount(ours=own, basis=basis, true=own, true_all_kinds=own, arithmetic=_surplus(sizes))
    if number.method == "SegFormer+TFC":
        return _with_layer(number, image, sizes)
    return Recount(
        arithmetic=f"{number.value - image.value:.1f} M on the printed {image.printed} of SegFormer; the method is "
        "none of ours"
    )


def _with_layer(number: PrintedNumber, image: PrintedNumber, sizes: Sequence[PrintedNumber]) -> Recount:
    """A total of TFC: a layer on the printed SegFormer, since ours has not the parameters of the printed one."""
    own, layer_size = own_parameters(number), _layer_size()
    low, high = _surplus_range(sizes, "SegFormer")
    whole = own + layer_size
    return Recount(
        ours=image.value + layer_size,
        basis=f"printed {image.printed} of SegFormer, {LAYER}",
        true=whole,
        true_all_kinds=whole,
        arithmetic=f"{LAYER} ({layer_size:.3f} M), {UNNAMED}, on the printed {image.printed} of SegFormer gives "
        f"{image.value + layer_size:.3f}; on our SegFormer ({own:.3f}) it gives {whole:.3f}, but print needs "
        f"{low:.3f} to {high:.3f} more than our SegFormer, and with these it is {whole + low:.3f} to "
        f"{whole + high:.3f}",
    )


def _increase(number: PrintedNumber, sizes: Sequence[PrintedNumber]) -> Recount:
    """What TFC adds to SegFormer, printed as the difference of two totals."""
    image = _base_of(number, sizes)
    total = next(each for each in sizes if (each.method, each.backbone) == (number.method, number.backbone))
    difference, half = total.value - image.value, 0.5 * 10.0**-total.decimals + 0.5 * 10.0**-image.decimals
    layer_size, (low, high) = _layer_size(), increase_range(sizes)
    fits = "holds" if low <= layer_size <= high else "does not hold"
    return Recount(
        ours=layer_size,
        basis=f"{LAYER}, {DECODER} channels",
        true=layer_size,
        true_all_kinds=layer_size,
        arithmetic=f"{LAYER}, {UNNAMED}, has {layer_size:.3f} M, which rounds to {layer_size:.{number.decimals}f}; "
        f"print gives {total.printed} - {image.printed} = {difference:.{number.decimals}f}, which by the rounding of "
        f"both is {difference - half:.1f} to {difference + half:.1f}; if every printed SegFormer has the same surplus "
        f"on ours and the module is one, all rows allow {low:.3f} to {high:.3f}, which {fits} it",
    )


def increase_range(sizes: Sequence[PrintedNumber]) -> tuple[float, float]:
    """What one module may have (M), by all printed totals of TFC and SegFormer and by our SegFormers."""
    image, whole = _surplus_range(sizes, "SegFormer"), _surplus_range(sizes, "SegFormer+TFC")
    return whole[0] - image[1], whole[1] - image[0]


def _surplus(sizes: Sequence[PrintedNumber]) -> str:
    """What every printed SegFormer has more than ours, and what would be as much."""
    low, high = _surplus_range(sizes, "SegFormer")
    linear, classifier = (DECODER + 1) * DECODER / MEGA, (DECODER + 1) * CLASSES / MEGA
    return (
        f"all printed SegFormers together allow {low:.3f} to {high:.3f} M more than ours; one more {DECODER}x{DECODER} "
        f"layer ({linear:.3f} M) would do, and so would two more classifiers ({2 * classifier:.3f} M)"
    )


def _surplus_range(sizes: Sequence[PrintedNumber], method: str) -> tuple[float, float]:
    """What every printed row of a method has more than our SegFormer (M), to the rounding of print."""
    rows = [(each.value - own_parameters(each), 0.5 * 10.0**-each.decimals) for each in sizes if each.method == method]
    return max(more - half for more, half in rows), min(more + half for more, half in rows)


def own_parameters(number: PrintedNumber) -> float:
    """Those of our SegFormer of a row (M)."""
    return count_parameters([network(number.backbone.removeprefix("MiT-").lower(), DECODER)]) / MEGA


def _layer_size() -> float:
    return count_parameters([layer(DECODER)]) / MEGA


def _base_of(number: PrintedNumber, sizes: Sequence[PrintedNumber]) -> PrintedNumber:
    """The SegFormer of a row's backbone."""
    return next(each for each in sizes if (each.method, each.backbone) == ("SegFormer", number.backbone))


# ---- operations ----


@dataclass(frozen=True, kw_only=True)
class Form:
    """One way to count SegFormer."""

    size: tuple[int, int]
    paper_decoder: bool  # SegFormer's own, 768 channels from B2 on
    attention: bool  # whether the products of attention count
    factor: int  # 2 for FLOPs

    def __str__(self) -> str:
        decoder = "SegFormer's decoder" if self.paper_decoder else f"a decoder of {DECODER} channels"
        attention = "with" if self.attention else "without"
        height, width = self.size
        return f"{height}x{width}, {decoder}, {attention} the products of attention" + ", x 2" * (self.factor == 2)

    def gmacs(self, variant: str) -> float:
        """What it gives for SegFormer."""
        return self.factor * _gmacs(_frame(variant, self.decoder(variant), self.size), attention=self.attention)

    def nonkey_gmacs(self, variant: str) -> float:
        """What it gives for a non-key frame of TFC, without its deformable attention."""
        count = _nonkey_frame(variant, self.decoder(variant), self.size, REUSE)
        return self.factor * _gmacs(count, attention=self.attention)

    def layer_gmacs(self, variant: str) -> float:
        """What it gives for one deformable layer at `POINT_SHARE` of the points, in proportion to which it works."""
        return self.factor * _gmacs(_layer(self.decoder(variant), self.size), attention=self.attention)

    def decoder(self, variant: str) -> int:
        """Channels of the decoder."""
        return VARIANTS[variant][2] if self.paper_decoder else DECODER


FORMS = [
    Form(size=size, paper_decoder=decoder, attention=attention, factor=factor)
    for size, decoder, attention, factor in product((SIZE, *OTHER_SIZES), (False, True), (False, True), (1, 2))
]


def _image(variant: str, printed: dict[str, float]) -> Recount:
    """SegFormer itself, of which two encoders are printed; a form must give both."""
    plain = Form(size=SIZE, paper_decoder=False, attention=False, factor=1)
    whole = Form(size=SIZE, paper_decoder=False, attention=True, factor=1)
    here = [form for form in FORMS if form.size == SIZE]
    best, at_size = nearest_form(FORMS, printed), nearest_form(here, printed)
    count = _frame(variant, DECODER, SIZE)
    return Recount(
        ours=plain.gmacs(variant),
        basis=str(plain),
        true=count.network / GIGA,
        true_all_kinds=count.total / GIGA,
        arithmetic=f"at the stated {SIZE[0]}x{SIZE[1]} it takes {plain.gmacs(variant):.2f} without and "
        f"{whole.gmacs(variant):.2f} with the products of attention; of {len(here)} forms at that size none gives both "
        f"printed baselines (nearest: {_both(at_size, printed)}); of {len(FORMS)} forms at any size tried the nearest "
        f"is {_both(best, printed)}",
    )


def nearest_form(forms: Sequence[Form], printed: dict[str, float]) -> Form:
    """The form that comes nearest to all printed numbers, encoder -> GFLOPs, at once."""
    return min(forms, key=lambda form: max(abs(value / form.gmacs(variant) - 1) for variant, value in printed.items()))


def _both(form: Form, printed: dict[str, float]) -> str:
    values = ", ".join(
        f"{variant.upper()} {form.gmacs(variant):.2f} for {value:g}" for variant, value in printed.items()
    )
    return f"{form}: {values}"


def _nonkey(number: PrintedNumber, variant: str, nearest: Form, sizes: Sequence[PrintedNumber]) -> Recount:
    """A non-key frame runs stages 1 and 2, the decoder on these and the key frame's 3 and 4, the layer at points."""
    count = _nonkey_frame(variant, DECODER, SIZE, WHOLE)
    ours, again = _gmacs(count, attention=False), _projections(variant, DECODER, SIZE)
    return Recount(
        ours=ours,
        basis="stages 1 and 2, the decoder on these and on the projections that the key frame has left of 3 and 4, and "
        f"one layer of Deformable DETR at {POINT_SHARE:.0%} of the points, without the products of attention",
        true=count.network / GIGA,
        true_all_kinds=count.total / GIGA,
        arithmetic=f"at {SIZE[0]}x{SIZE[1]} stages 1 and 2, the decoder and one layer of Deformable DETR at "
        f"{POINT_SHARE:.0%} of the points take {ours:.2f}, {count.network / GIGA:.2f} with the products of attention "
        f"({again:.2f} more if the key frame's levels 3 and 4 are projected again and not kept projected); "
        + _left_for_the_layer(number, variant, nearest, sizes),
    )


def _left_for_the_layer(number: PrintedNumber, variant: str, form: Form, sizes: Sequence[PrintedNumber]) -> str:
    """What print leaves for the deformable layer in the form that is nearest to the printed baselines."""
    rest, tenth, channels = form.nonkey_gmacs(variant), form.layer_gmacs(variant), form.decoder(variant)
    left = number.value - rest
    text = (
        f"in the form nearest to the printed baselines ({form}) {rest:.2f} without that layer, which leaves {left:.2f} "
        f"of {number.printed} for it: it takes {tenth:.2f} at {POINT_SHARE:.0%} of the points, {left:.2f} at "
        f"{POINT_SHARE * left / tenth:.1%}"
    )
    if channels != DECODER:
        wide, (low, high) = count_parameters([layer(channels)]) / MEGA, increase_range(sizes)
        text += (
            f"; but of {channels} channels it has {wide:.1f} M parameters, and Table 1 allows {low:.3f} to {high:.3f} "
            f"M (of {DECODER} channels it has {_layer_size():.3f} M)"
        )
    return text


def _gmacs(count: MacCount, *, attention: bool) -> float:
    plain = count.by_kind["convolution"] + count.by_kind["linear"]
    return (plain + (count.by_kind["attention"] if attention else 0)) / GIGA


@cache
def network(variant: str, decoder_channels: int) -> SegFormer:
    """SegFormer for VSPW, without values."""
    with costs.META:
        return SegFormer(num_classes=CLASSES, variant=variant, decoder_channels=decoder_channels).eval()  # type: ignore[arg-type]


def _frame(variant: str, decoder_channels: int, size: tuple[int, int]) -> MacCount:
    """SegFormer; the encoder is counted once for all decoders."""
    stages = (_stage(variant, size, index) for index in range(4))
    return sum(stages, start=_head(variant, decoder_channels, size))


@cache
def _nonkey_frame(variant: str, decoder_channels: int, size: tuple[int, int], name: str) -> MacCount:
    """A non-key frame as `tfc` runs it in a variant, the layer (where it has one) at `POINT_SHARE` of the points."""
    with costs.META:
        whole = TFCNetwork(network(variant, decoder_channels), options=options_of(name)).eval()
    images = costs.images(size)
    with torch.inference_mode():
        key = whole.key(images)
    return count_macs(lambda: whole.classify(whole.other(images, key, share=POINT_SHARE).features))


def _projections(variant: str, decoder_channels: int, size: tuple[int, int]) -> float:
    """GMACs of projecting levels 3 and 4, which a non-key frame takes projected from its key frame."""
    net = network(variant, decoder_channels)
    levels = list(enumerate(_levels(net, size)))[OWN_LEVELS:]
    return count_macs(lambda: [net.decoder.project(index, x) for index, x in levels]).network / GIGA


@cache
def _stage(variant: str, size: tuple[int, int], index: int) -> MacCount:
    net = network(variant, DECODER)
    x = costs.images(size) if index == 0 else _levels(net, size)[index - 1]
    return count_macs(lambda: net.stage(index, x))


def _levels(net: SegFormer, size: tuple[int, int]) -> tuple[Tensor, ...]:
    """What the encoder gives for a picture, without values."""
    return tuple(
        torch.empty(1, channels, *side, device=costs.META)
        for channels, side in zip(net.channels, _sides(size), strict=True)
    )


def _sides(size: tuple[int, int]) -> list[tuple[int, int]]:
    """(height, width) of the four levels."""
    return [(-(-size[0] // stride), -(-size[1] // stride)) for stride in (4, 8, 16, 32)]


@cache
def _head(variant: str, decoder_channels: int, size: tuple[int, int]) -> MacCount:
    """The decoder and the classifier."""
    net = network(variant, decoder_channels)
    return count_macs(lambda: net.classify(net.refine(_levels(net, size))))


@cache
def layer(channels: int) -> DeformableEncoderLayer:
    """One encoder layer of Deformable DETR for maps of C channels, without values."""
    with costs.META:
        return DeformableEncoderLayer(channels).eval()


@cache
def _layer(channels: int, size: tuple[int, int]) -> MacCount:
    """The layer at `POINT_SHARE` of the points at 1/4, on levels that the decoder has projected."""
    levels = [torch.empty(1, channels, *side, device=costs.META) for side in _sides(size)]
    points = torch.empty(round(POINT_SHARE * levels[0].shape[2:].numel()), dtype=torch.int64, device=costs.META)
    return count_macs(lambda: layer(channels).update_points(levels[0], levels, points))

"""The rules that judge a printed number against what was counted; they know no row by name.

A printed number agrees with ours within its rounding or within 0.05 %, by the first form of the paper's convention or
by another that is documented. If not, it is a misprint when something else that was computed has exactly that value
(another row's number), or when one of its digits is wrong; else it cannot be derived, and the arithmetic says how far
one gets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from reports.published.numbers import BD, CHANGE, PrintedNumber

AGREES, MISPRINT, NOT_DERIVABLE = "agrees", "misprint", "not derivable"
TOLERANCE = 0.0005  # of the printed number: 0.05 %
CHANGE_TOLERANCE = 0.1  # points; a change is made of two numbers that were rounded before


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Something else that a printed number may be; `text` continues "it is ...", that of a form "by the form ..."."""

    text: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Recount:
    """What was computed for one printed number, all in its unit (GFLOPs of print are GMACs).

    Args:
        ours: by the paper's convention; None where no network or sum of ours stands for the row.
        basis: how `ours` was computed, in a few words.
        true: executed multiply-adds of convolutions, linear layers and attention, each once; None likewise.
        true_all_kinds: those of warps and resizes too.
        other_forms: of the same convention, as the paper or its program has them elsewhere.
        explanations: the likeliest first.
        arithmetic: sentences on how far one gets, for a number that neither agrees nor is explained.
        remark: a sentence that holds whatever the verdict.
        from_print: ours is a sum of printed numbers alone, so that a difference is the paper's contradiction.
        witness: the change (%) that the same row prints, if it prints one.
        base: (printed, ours) of the network at full resolution, to which the change is.
        subject: the method and network that the row measures, equal where tables label one differently; None where
            the labels tell.
    """

    ours: float | None = None
    basis: str = ""
    true: float | None = None
    true_all_kinds: float | None = None
    other_forms: Sequence[Explanation] = field(default=())
    explanations: Sequence[Explanation] = field(default=())
    arithmetic: str = ""
    remark: str = ""
    from_print: bool = False
    witness: str = ""
    base: tuple[float, float] | None = None
    subject: Hashable = None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A printed number, what was computed for it (in the form by which it agrees), and what follows."""

    printed: PrintedNumber
    recount: Recount
    verdict: str
    reason: str

    @property
    def claim(self) -> Hashable:
        """What a reprint shares with the first print: data set, method and network, quantity and value."""
        printed = self.printed
        return (
            printed.dataset,
            self.recount.subject or (printed.method, printed.backbone),
            printed.metric,
            printed.value,
        )

    @property
    def off(self) -> float | None:
        """Printed above ours: in percent of ours, in points for a number that is a percentage itself."""
        ours = self.recount.ours
        if ours is None:
            return None
        return self.printed.value - ours if is_percentage(self.printed) else 100 * (self.printed.value / ours - 1)


def judge(printed: PrintedNumber, recount: Recount) -> Judged:
    """Apply the rules in the order of this module's docstring."""
    if form := _other_form(printed, recount):
        first = f"{recount.ours:.{printed.decimals}f}"
        verdict, reason = AGREES, f"by the form {form.text}; that of the other rows gives {first}"
        recount = dataclasses.replace(recount, ours=form.value, basis=f"{recount.basis}, {form.text}")
    else:
        verdict, reason = _verdict(printed, recount)
    sentences = [text for text in (reason, recount.remark) if text]
    return Judged(printed=printed, recount=recount, verdict=verdict, reason="; ".join(sentences))


def _other_form(printed: PrintedNumber, recount: Recount) -> Explanation | None:
    """The form by which a number agrees that does not by the first."""
    if recount.ours is None or agrees(printed, recount.ours):
        return None
    return next((form for form in recount.other_forms if agrees(printed, form.value)), None)


def _verdict(printed: PrintedNumber, recount: Recount) -> tuple[str, str]:
    if recount.ours is None:
        return NOT_DERIVABLE, recount.arithmetic
    if agrees(printed, recount.ours):
        return AGREES, ""
    right = f"{recount.ours:.{printed.decimals}f}"
    for explanation in recount.explanations:
        if agrees(printed, explanation.value):
            return MISPRINT, f"it is {explanation.text}; the row's own is {right}{_witnessed(printed, recount)}"
    if slipped_digit(printed.printed, right):
        return MISPRINT, f"one digit is not that of {right}{_witnessed(printed, recount)}"
    if recount.from_print:
        return MISPRINT, f"it contradicts the paper's own numbers, {recount.basis} = {right}"
    return NOT_DERIVABLE, recount.arithmetic


def is_percentage(printed: PrintedNumber) -> bool:
    """Whether the number is a percentage itself, so that differences are in points."""
    return printed.metric in (CHANGE, BD)


def agrees(printed: PrintedNumber, value: float) -> bool:
    """Whether a value is the printed one: within half its last digit, or within the tolerance."""
    half = 0.5 * 10.0**-printed.decimals * (1 + 1e-9)
    tolerance = CHANGE_TOLERANCE if is_percentage(printed) else TOLERANCE * abs(printed.value)
    return abs(printed.value - value) <= max(half, tolerance)


def slipped_digit(printed: str, right: str) -> bool:
    """Whether two numbers of three digits or more differ in one.

    Not in the last, where a difference is a near miss and no slip; and of two digits one may be alike by chance.
    """
    if len(printed) != len(right) or sum(map(str.isdigit, printed)) < 3:
        return False
    different = [index for index, pair in enumerate(zip(printed, right, strict=True)) if pair[0] != pair[1]]
    return len(different) == 1 and printed[different[0]].isdigit() and different[0] < len(printed) - 1


def _witnessed(printed: PrintedNumber, recount: Recount) -> str:
    """The change beside a misprint, where it was computed from the right number."""
    if not recount.witness or recount.base is None or recount.ours is None:
        return ""
    stated = float(recount.witness)
    from_print = 100 * (printed.value / recount.base[0] - 1)
    from_ours = 100 * (recount.ours / recount.base[1] - 1)
    if abs(stated - from_ours) > CHANGE_TOLERANCE or abs(stated - from_print) <= CHANGE_TOLERANCE:
        return ""
    return f", from which the change beside it, {recount.witness} %, was computed (this would be {from_print:.1f} %)"

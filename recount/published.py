"""Every printed number that a count can speak to, counted again and judged."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

from recount import arseg_rows, other_backbones, other_systems
from recount.other_backbones import recount_backbone
from recount.other_systems import recount_system
from recount.subjects import NETWORKS, Subject, subject_of
from recount.tfc_rows import recount_tfc
from reports.published.numbers import BD, CHANGE, OPERATIONS, PrintedNumber, printed_numbers
from reports.published.verdicts import Judged, Recount, judge


def judge_published() -> list[Judged]:
    """Count again what `reports.published` has in print, and judge it; nothing but the printed numbers is read."""
    numbers = printed_numbers()
    with _without_collection():
        return [judge(number, recount(number, numbers)) for number in numbers]


@contextmanager
def _without_collection() -> Iterator[None]:
    """Spare the search for cycles among torch's many objects, which is a quarter of the time and finds none."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def recount(number: PrintedNumber, all_numbers: Sequence[PrintedNumber]) -> Recount:
    """What was computed for one number."""
    return dataclasses.replace(_recount(number, all_numbers), subject=_measured(number))


def _measured(number: PrintedNumber) -> Hashable:
    """The method and network of a row that other tables label otherwise; None where all label it alike."""
    return subject_of(number) or (number.method if number.method in other_systems.FORMS else None)


def _recount(number: PrintedNumber, all_numbers: Sequence[PrintedNumber]) -> Recount:
    if number.source == "tfc_paper":
        return recount_tfc(number, all_numbers)
    if number.metric == BD:
        return arseg_rows.bd_flops(NETWORKS[number.backbone.lower(), number.dataset], number.dataset)
    if subject := subject_of(number):
        if number.metric == CHANGE:
            return arseg_rows.change(subject)
        return _witnessed(number, subject, all_numbers)
    if number.backbone in other_backbones.FORMS:
        return recount_backbone(number, all_numbers)
    if number.method in other_systems.FORMS:
        return recount_system(number, all_numbers)
    return Recount(arithmetic="no count of ours speaks to this row")


def _witnessed(number: PrintedNumber, subject: Subject, all_numbers: Sequence[PrintedNumber]) -> Recount:
    """Operations of a row of AR-Seg's, and the change that it prints beside them."""
    made = arseg_rows.operations(subject, number.value)
    witness = next((each.printed for each in all_numbers if each.row == number.row and each.metric == CHANGE), "")
    base = Subject(network=subject.network, dataset=subject.dataset)
    printed_base = next(each.value for each in all_numbers if each.metric == OPERATIONS and subject_of(each) == base)
    return dataclasses.replace(made, witness=witness, base=(printed_base, arseg_rows.paper_way(base)[0]))

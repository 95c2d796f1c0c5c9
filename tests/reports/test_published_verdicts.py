"""The rules that judge a printed number, each worked out by hand."""

from __future__ import annotations

import dataclasses

import pytest

from reports.published.numbers import CHANGE, OPERATIONS, PrintedNumber
from reports.published.verdicts import (
    AGREES,
    MISPRINT,
    NOT_DERIVABLE,
    Explanation,
    Recount,
    agrees,
    judge,
    slipped_digit,
)


def number(printed, metric=OPERATIONS):
    return PrintedNumber(
        source="arseg_paper",
        table="1",
        dataset="CamVid",
        method="AR-Seg",
        backbone="PSPNet18",
        setting="",
        metric=metric,
        printed=printed,
    )


def test_agrees_within_half_the_last_digit():
    # 0.05 % of 1.00 is 0.0005, half the last digit 0.005
    assert agrees(number("1.00"), 1.005)
    assert not agrees(number("1.00"), 1.0051)


def test_agrees_within_a_twentieth_of_a_percent():
    # 0.05 % of 200.00 is 0.1
    assert agrees(number("200.00"), 200.1)
    assert not agrees(number("200.00"), 200.1001)


def test_a_change_agrees_within_a_tenth_of_a_point():
    assert agrees(number("-57.0", CHANGE), -56.93)
    assert not agrees(number("-57.0", CHANGE), -56.89)


def test_what_agrees_needs_no_reason():
    judged = judge(number("101.98"), Recount(ours=101.982, explanations=[Explanation(text="x", value=101.98)]))
    assert (judged.verdict, judged.reason) == (AGREES, "")
    assert judged.off == pytest.approx(100 * (101.98 / 101.982 - 1))


def test_another_form_of_the_convention_makes_a_number_agree_and_is_named():
    other = Explanation(text="without the term", value=97.877)
    recount = Recount(ours=98.218, basis="L = 15", other_forms=[other], explanations=[other])
    judged = judge(number("97.88"), recount)
    assert judged.verdict == AGREES
    assert judged.reason == "by the form without the term; that of the other rows gives 98.22"
    assert (judged.recount.ours, judged.recount.basis) == (97.877, "L = 15, without the term")
    assert judged.off == pytest.approx(100 * (97.88 / 97.877 - 1))


@pytest.mark.parametrize(("printed", "verdict", "ours"), [("98.22", AGREES, 98.218), ("96.43", NOT_DERIVABLE, 98.218)])
def test_the_first_form_stands_where_a_number_agrees_by_it_or_by_none(printed, verdict, ours):
    recount = Recount(ours=98.218, other_forms=[Explanation(text="without the term", value=98.217)], arithmetic="")
    judged = judge(number(printed), recount)
    assert (judged.verdict, judged.reason, judged.recount.ours) == (verdict, "", ours)


def test_the_first_explanation_of_that_value_makes_a_misprint():
    others = [
        Explanation(text="that of 0.7", value=169.86),
        Explanation(text="that of 0.5", value=101.982),
        Explanation(text="late", value=101.98),
    ]
    judged = judge(number("101.98"), Recount(ours=133.092, explanations=others))
    assert judged.verdict == MISPRINT
    assert judged.reason == "it is that of 0.5; the row's own is 133.09"


def test_an_explanation_must_have_the_value_to_the_tolerance():
    judged = judge(number("101.98"), Recount(ours=133.092, explanations=[Explanation(text="x", value=102.2)]))
    assert judged.verdict == NOT_DERIVABLE


def test_one_wrong_digit_is_a_misprint():
    judged = judge(number("107.32"), Recount(ours=107.821))
    assert (judged.verdict, judged.reason) == (MISPRINT, "one digit is not that of 107.82")


@pytest.mark.parametrize(
    ("printed", "right", "slip"),
    [
        ("66.56", "65.56", True),
        ("-51.6", "-50.6", True),
        ("107.32", "107.82", True),
        ("107.32", "107.32", False),  # no digit
        ("107.32", "108.82", False),  # two digits
        ("13.8", "13.7", False),  # the last one: a near miss
        ("6.4", "9.4", False),  # two digits in all, of which one is alike by chance
        ("99.98", "101.98", False),
        ("50.6", "-50.6", False),
    ],
)
def test_a_slip_is_one_digit_of_three_and_not_the_last(printed, right, slip):
    assert slipped_digit(printed, right) is slip


def test_the_change_beside_a_misprint_bears_witness():
    # 65.56 / 178.96 - 1 = -63.4 %; 66.56 / 178.96 - 1 = -62.8 %
    recount = Recount(ours=65.563, witness="-63.4", base=(178.96, 178.955))
    judged = judge(number("66.56"), recount)
    assert "from which the change beside it, -63.4 %, was computed (this would be -62.8 %)" in judged.reason


@pytest.mark.parametrize("witness", ["-62.8", "-50.0", ""])
def test_a_change_that_fits_the_printed_number_or_neither_is_no_witness(witness):
    judged = judge(number("66.56"), Recount(ours=65.563, witness=witness, base=(178.96, 178.955)))
    assert judged.reason == "one digit is not that of 65.56"


def test_numbers_of_print_that_contradict_each_other_are_a_misprint():
    # 107.52 / 215.90 - 1 = -50.2 %
    recount = Recount(ours=100 * (107.52 / 215.90 - 1), basis="107.52 / 215.90 - 1", from_print=True)
    judged = judge(number("-45.7", CHANGE), recount)
    assert judged.verdict == MISPRINT
    assert judged.reason == "it contradicts the paper's own numbers, 107.52 / 215.90 - 1 = -50.2"
    assert judged.off == pytest.approx(4.4991, abs=1e-4)  # points, since it is a percentage


def test_the_same_difference_of_a_count_is_not_derivable():
    recount = Recount(ours=100 * (107.52 / 215.90 - 1), arithmetic="why")
    assert judge(number("-45.7", CHANGE), recount).verdict == NOT_DERIVABLE


def test_without_a_count_the_arithmetic_is_all_there_is():
    judged = judge(number("107.52"), Recount(arithmetic="45 % of the blocks"))
    assert (judged.verdict, judged.reason, judged.off) == (NOT_DERIVABLE, "45 % of the blocks", None)


def test_a_remark_stays_with_every_verdict():
    remark = Recount(ours=4.503, remark="the paper does not say")
    assert judge(number("4.5"), remark).reason == "the paper does not say"
    far = dataclasses.replace(remark, ours=5.9, arithmetic="far")
    assert judge(number("4.5"), far).reason == "far; the paper does not say"

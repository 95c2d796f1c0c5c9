"""The printed numbers that the product carries are those of the papers."""

from __future__ import annotations

import csv
from collections import Counter

from reports.published.numbers import INCREASE, METRICS, PARAMETERS, SOURCES, printed_numbers

ADDED = "text A2.2"  # a number of the supplement's text that the table of facts leaves out, as it does `INCREASE`


def facts(shared):
    with (shared / "reference/published_numbers.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_number_that_a_count_can_speak_to_is_there_and_no_other(shared):
    fields = ("source", "table", "dataset", "method", "backbone", "metric")
    ours = Counter(
        (*(getattr(n, field) for field in fields), n.setting, n.value)
        for n in printed_numbers()
        if n.table != ADDED and n.metric != INCREASE
    )
    theirs = Counter(
        (*(row[field] for field in fields), row["setting"].partition(" (superscript")[0], float(row["value"]))
        for row in facts(shared)
        if row["metric"] in METRICS
    )
    assert ours == theirs


def test_the_tables_of_taplab_hold_no_number_of_these_kinds(shared):
    rows = [row for row in facts(shared) if row["source"] == "taplab_paper"]
    assert rows
    assert not {row["metric"] for row in rows} & set(METRICS)


def test_the_added_number_stands_in_the_supplement(shared):
    [added] = [n for n in printed_numbers() if n.table == ADDED]
    text = (shared / "papers/arseg_supplement.txt").read_text(encoding="utf-8")
    assert f"pressed Cityscapes dataset with {added.printed} GFLOPs" in text


def test_the_increases_stand_behind_their_totals_in_the_paper(shared):
    text = (shared / "papers/tfc_paper.txt").read_text(encoding="utf-8")
    totals = {n.row: n for n in printed_numbers() if n.metric == PARAMETERS}
    added = [n for n in printed_numbers() if n.metric == INCREASE]
    assert [n.backbone for n in added] == ["MiT-B0", "MiT-B1", "MiT-B5"]
    for n in added:
        [line] = [row for row in text.splitlines() if f"+ TFC\t{n.backbone}\t" in row]
        assert f"\t{totals[n.row].printed} ({n.printed})\t" in line


def test_no_row_is_there_twice():
    assert max(Counter((n.row, n.metric) for n in printed_numbers()).values()) == 1


def test_a_number_keeps_the_digits_of_print():
    numbers = {(n.table, n.method, n.dataset, n.setting): n for n in printed_numbers() if n.metric == "GFLOPs"}
    accel = numbers["2", "Accel-DL18", "CamVid", "video L=12"]
    assert (accel.printed, accel.value, accel.decimals) == ("397.70", 397.7, 2)


def test_a_place_reads_as_one_would_cite_it():
    places = {n.place for n in printed_numbers()}
    assert {
        "AR-Seg supplement, Table A4",
        "TFC (AAAI 2024), text of sec. 4.2",
        "AR-Seg slides, slide ablation",
    } <= places
    assert {n.source for n in printed_numbers()} == set(SOURCES)

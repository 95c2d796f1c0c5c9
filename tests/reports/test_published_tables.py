"""The tables of verdicts: markdown, LaTeX and CSV, and text to print."""

from __future__ import annotations

import csv
import re
from io import StringIO

import pytest

from reports.published.numbers import BD, CHANGE, OPERATIONS, PARAMETERS, PrintedNumber
from reports.published.tables import CSV_COLUMNS, as_csv, published_tables, render_published, summary, write_published
from reports.published.verdicts import Explanation, Recount, judge
from vssbench.errors import StoreError


def judged(printed, metric=OPERATIONS, recount=None, **row):
    plain = {
        "source": "arseg_paper",
        "table": "1",
        "dataset": "CamVid",
        "method": "AR-Seg",
        "backbone": "PSPNet18",
        "setting": "0.5x",
    }
    return judge(PrintedNumber(**{**plain, **row}, metric=metric, printed=printed), recount or Recount())


GOOD = judged("101.98", recount=Recount(ours=101.982, basis="arseg-paper", true=101.893, true_all_kinds=105.2))
WRONG = judged(
    "101.98",
    recount=Recount(ours=133.092, explanations=[Explanation(text="that of AR0.5", value=101.982)]),
    setting="b",
)
UNKNOWN = judged(
    "107.52", recount=Recount(arithmetic="45 % of the blocks_x & more"), method="W_MV + F_LA* {E & S} ~50%"
)


def test_a_table_for_each_table_of_print_and_each_quantity():
    change, size = judged("-67.0", CHANGE), judged("3.8", PARAMETERS, table="2")
    tables = published_tables([GOOD, change, size, WRONG, judged("-76.73", BD)])
    assert [(table.title.partition(", ")[2], len(table.rows)) for table in tables] == [
        ("Table 1: operations", 2),
        ("Table 1: change of operations", 1),
        ("Table 2: parameters", 1),
        ("Table 1: BD-FLOPs", 1),
    ]


def test_headers_say_macs_or_flops_and_a_mac_is_two_flops():
    [table] = published_tables([GOOD])
    row = dict(zip(table.header, table.rows[0], strict=True))
    assert row["printed (as GFLOPs)"] == "101.98"
    assert row["paper's way (GMACs)"] == "101.982"
    assert row["true (GMACs)"] == "101.893"
    assert row["true (GFLOPs)"] == "203.786"
    assert row["verdict"] == "agrees"


def test_what_was_not_counted_is_no_zero():
    [table] = published_tables([UNKNOWN])
    assert table.rows[0][-5:-1] == ["n/a"] * 4


def test_equal_reasons_share_a_note():
    [table] = published_tables([WRONG, UNKNOWN, WRONG])
    assert [row[-1] for row in table.rows] == ["misprint (1)", "not derivable (2)", "misprint (1)"]
    assert table.notes == [
        "(1) it is that of AR0.5; the row's own is 133.09.",
        "(2) 45 % of the blocks_x & more.",
    ]


def test_a_column_that_no_row_fills_is_left_out():
    [table] = published_tables([judged("1.00", backbone="", setting="")])
    assert table.header[:3] == ["data set", "method", "printed (as GFLOPs)"]


def test_csv_has_every_digit_and_empty_cells_for_what_is_not_known():
    good, unknown = csv.DictReader(StringIO(as_csv([GOOD, UNKNOWN])))
    assert tuple(good) == CSV_COLUMNS
    assert (good["printed"], good["paper_convention"], good["true"]) == ("101.98", "101.982", "101.893")
    assert (good["true_all_kinds"], good["true_gflops"], good["difference_unit"]) == ("105.2", "203.786", "percent")
    assert float(good["difference"]) == pytest.approx(100 * (101.98 / 101.982 - 1))
    assert {unknown[name] for name in ("paper_convention", "difference", "true", "true_gflops")} == {""}
    assert unknown["reason"] == "45 % of the blocks_x & more"


def test_parameters_have_no_flops():
    [row] = csv.DictReader(StringIO(as_csv([judged("3.8", PARAMETERS, recount=Recount(ours=3.8, true=3.8))])))
    assert (row["true"], row["true_gflops"]) == ("3.8", "")


def test_latex_escapes_what_a_row_and_a_reason_hold(tmp_path):
    write_published([UNKNOWN], tmp_path)
    text = (tmp_path / "published.tex").read_text(encoding="utf-8")
    assert r"W\_MV + F\_LA{*} \{E \& S\} \textasciitilde{}50\% & PSPNet18" in text
    assert r"(1) 45 \% of the blocks\_x \& more." in text
    assert not re.search(r"(?<!\\)%", text)
    assert text.count("{") == text.count("}")


def test_markdown_keeps_a_row_on_one_line(tmp_path):
    write_published([GOOD, UNKNOWN], tmp_path)
    lines = (tmp_path / "published.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| CamVid")]
    assert len(rows) == 2
    assert rows[1].count(" | ") == rows[0].count(" | ")
    assert "2 printed numbers: 1 agrees, 0 misprint, 1 not derivable." in lines


ONCE = "distinct ones (same data set, method, network, quantity and value counted once, whatever the label)"


def test_a_number_printed_again_counts_once_among_the_distinct(tmp_path):
    slide = judged("101.98", recount=GOOD.recount, source="arseg_slides", table="slide-Table1")
    zero = judged("101.980", recount=GOOD.recount, table="9")
    # another data set, method, network, quantity or value is another claim
    kept = [
        judged("101.98", dataset="Cityscapes"),
        judged("101.98", method="constant"),
        judged("101.98", backbone="BiseNet18"),
        judged("101.98", PARAMETERS),
        judged("101.99"),
    ]
    every = [GOOD, slide, zero, *kept]
    assert summary(every) == [
        "8 printed numbers: 3 agrees, 0 misprint, 5 not derivable.",
        f"6 {ONCE}: 1 agrees, 0 misprint, 5 not derivable.",
    ]
    write_published(every, tmp_path)
    lines = (tmp_path / "published.md").read_text(encoding="utf-8").splitlines()
    assert all(sentence in lines for sentence in summary(every))
    assert " ".join(render_published(every, width=500).splitlines()[-2:]) == " ".join(summary(every))
    again = [row["reprint_of"] for row in csv.DictReader(StringIO(as_csv(every)))]
    assert again == ["", "AR-Seg (CVPR 2023), Table 1", "AR-Seg (CVPR 2023), Table 1", *[""] * 5]


def test_one_subject_under_two_labels_is_one_claim():
    one = [judged("101.98", recount=Recount(subject="AR0.5"), method=label) for label in ("AR-Seg", "AR0.5-PSP18")]
    other = judged("101.98", recount=Recount(subject="AR0.6"))
    assert summary([*one, other])[1].startswith("2 distinct ones")


def test_the_terminal_shows_every_verdict_however_narrow_it_is():
    text = render_published([GOOD, WRONG, UNKNOWN], width=40)
    assert all(word in text for word in ("agrees", "misprint (1)", "not derivable (2)"))
    assert "\n3 printed numbers: 1 agrees, 1 misprint,\n  1 not derivable.\n" in text
    assert "\n2 distinct ones" in text  # the first two differ in their setting alone
    assert text.endswith("not derivable.")


def test_files_are_replaced_and_named(tmp_path):
    first = write_published([GOOD], tmp_path / "new")
    again = write_published([UNKNOWN], tmp_path / "new")
    assert [path.name for path in again] == ["published.md", "published.tex", "published.csv"]
    assert first == again
    assert "101.98" not in again[2].read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_published([GOOD], tmp_path / "file")

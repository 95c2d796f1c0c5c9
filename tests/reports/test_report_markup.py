"""Escaping: no name, number or error message may change the table around it."""

from __future__ import annotations

import re

import pytest

from reports.markup import Table, cut, latex, latex_cell, latex_text, markdown, markdown_text, plain

NASTY = r"a_b %50 & c # $x$ {y} ~ ^ \end{tabular} <z> | [1] 'q' " + '"dq" `t` * --flag é'
TABLE = Table(
    title="run 1: 50 % of a_b",
    header=["Method", "mIoU (%)", "BD-FLOPs (%)"],
    rows=[[NASTY, "71.20", "-35.9"], ["[x] y", "n/a", "n/a"], ["*z", "70.00", "1.5"]],
    notes=["a | note\nof two lines"],
)


# ---- LaTeX ----


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b", r"a\_b"),
        ("5 %", r"5 \%"),
        ("a&b", r"a\&b"),
        ("#1", r"\#1"),
        ("$x$", r"\$x\$"),
        ("{y}", r"\{y\}"),
        ("a~b", r"a\textasciitilde{}b"),
        ("a^b", r"a\textasciicircum{}b"),
        ("a\\b", r"a\textbackslash{}b"),
        ("<|>", r"\textless{}\textbar{}\textgreater{}"),
        ("[1]", "{[}1{]}"),
        ("--limit", "-{}-limit"),
        ("\\_{", r"\textbackslash{}\_\{"),
        ("café → 3", "cafe ? 3"),
        ("two\n lines", "two lines"),
    ],
)
def test_latex_text_is_escaped(text, escaped):
    assert latex_text(text) == escaped


def test_nothing_special_is_left_in_latex_text():
    text = latex_text(NASTY)
    assert text.isascii()
    commands = r"\\(text[a-z]+\{\}|[&%$#_{}])|\{\[\}|\{\]\}|\{\*\}|-\{\}-"
    assert not re.search(r"[\\&%$#_{}~^<>|\[\]]", re.sub(commands, "", text))


def test_a_negative_number_gets_a_minus_sign_and_a_name_does_not():
    assert latex_cell("-35.9") == "$-$35.9"
    assert latex_cell("-x") == "-x"


def test_every_latex_row_has_as_many_cells_as_columns():
    lines = latex(TABLE, label="tab:x").splitlines()
    (columns,) = re.findall(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", "\n".join(lines))
    rows = lines[lines.index(r"\toprule") + 1 : lines.index(r"\bottomrule")]
    rows.remove(r"\midrule")
    assert columns == "lrr"
    assert len(rows) == 4
    for row in rows:
        assert row.endswith(r" \\")
        assert len(re.findall(r"(?<!\\)&", row)) == 2


def test_latex_braces_and_environments_are_balanced():
    text = latex(TABLE, label="tab:x")
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    begun, ended = re.findall(r"\\begin\{(.*?)\}", bare), re.findall(r"\\end\{(.*?)\}", bare)
    assert begun == ended[::-1] == ["table*", "tabular"]


def test_the_unit_of_a_latex_header_stands_below_its_name():
    assert r"\shortstack{mIoU\\(\%)}" in latex(TABLE, label="tab:x")


# ---- markdown ----


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("a*b*", r"a\*b\*"),
        ("a_b", "a_b"),  # GitHub knows no emphasis inside a word
        ("_a_ b", r"\_a\_ b"),
        ("<i>", r"\<i>"),
        ("`x`", r"\`x\`"),
        ("[a](b)", r"\[a\](b)"),
        ("a\\|b", r"a\\\|b"),
        ("two\nlines", "two lines"),
        ("1e3", "1e3"),
    ],
)
def test_markdown_text_is_escaped(text, escaped):
    assert markdown_text(text) == escaped


def test_every_markdown_row_has_as_many_cells_as_columns():
    lines = [line for line in markdown(TABLE).splitlines() if line.startswith("|")]
    assert len(lines) == 5
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}


def test_markdown_numbers_stand_on_the_right():
    assert markdown(TABLE).splitlines()[3] == "| :-- | --: | --: |"


# ---- terminal ----


def test_plain_columns_are_aligned():
    table = Table(title="t", header=["Method", "mIoU"], rows=[["a", "1.25"], ["long name", "10.50"]])
    assert plain(table, width=80) == ("t\nMethod      mIoU\n----------------\na           1.25\nlong name  10.50\n")


@pytest.mark.parametrize("width", [5, 20, 33, 80, 200])
def test_plain_text_is_never_wider_than_asked(width):
    assert max(map(len, plain(TABLE, width=width).splitlines())) <= width


def test_the_last_columns_go_first_and_numbers_are_never_cut():
    table = Table(title="t", header=["M", "one", "two"], rows=[["a", "11.11", "22.22"]])
    assert "22.22" in plain(table, width=15)
    narrow = plain(table, width=14)
    assert "11.11" in narrow
    assert "22" not in narrow


def test_cut_marks_what_is_missing():
    assert cut("abcdefgh", 6) == "abc..."
    assert cut("abc\ndef", 7) == "abc def"
    assert cut("abcdef", 2) == ".."


def test_a_table_without_rows_is_still_a_table():
    empty = Table(title="t", header=["Method", "mIoU"], rows=[])
    assert "| Method | mIoU |" in markdown(empty)
    assert r"\begin{tabular}" in latex(empty, label="tab:x")
    assert "Method" in plain(empty, width=80)

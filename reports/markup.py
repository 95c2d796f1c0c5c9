"""A table of texts as markdown, as LaTeX and as plain text, each with its own characters escaped."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

_NUMBER = re.compile(r"[-+]?\d[\d.]*( [~!])?|-?\d[\d.]* to -?\d[\d.]*|n/a|anchor|")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Texts in rows, with a title above and notes below.

    Args:
        title: one line.
        header: one text a column.
        rows: each as long as the header.
        notes: one line each, e.g. why a cell is "n/a".
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default=())

    @property
    def numeric(self) -> list[bool]:
        """Whether a column holds numbers only, and so is set to the right."""
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.header)
        return [index > 0 and all(map(_NUMBER.fullmatch, column)) for index, column in enumerate(columns)]


def one_line(text: str) -> str:
    """The text with every run of white space made one space."""
    return " ".join(text.split())


# ---- markdown ----


def markdown(table: Table) -> str:
    """GitHub-flavoured markdown: a heading, a table, a list of notes."""
    rule = ["--:" if numeric else ":--" for numeric in table.numeric]
    rows = [[markdown_text(text) for text in row] for row in (table.header, *table.rows)]
    lines = [" | ".join(row) for row in (rows[0], rule, *rows[1:])]
    parts = [f"### {markdown_text(table.title)}", "\n".join(f"| {line} |" for line in lines)]
    if table.notes:
        parts.append("\n".join(f"- {markdown_text(note)}" for note in table.notes))
    return "\n\n".join(parts) + "\n"


def markdown_text(text: str) -> str:
    """The text on one line, with what markdown would act on escaped (also `|`, which would open a column)."""
    text = re.sub(r"([\\|*`<~\[\]])", r"\\\1", one_line(text))
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)  # inside a word GitHub leaves the underscore alone


# ---- LaTeX ----

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",  # \textquotedbl needs another font encoding
    "[": "{[}",  # after the \\ that ends a row it would open an argument
    "]": "{]}",
    "*": "{*}",  # likewise
    **{character: "\\" + character for character in "&%$#_{}"},
}


def latex(table: Table, *, label: str) -> str:
    r"""A float over both columns, with booktabs rules; needs `\usepackage{booktabs}`."""
    columns = "".join("r" if numeric else "l" for numeric in table.numeric)
    rows = [" & ".join(latex_cell(text) for text in row) + r" \\" for row in table.rows]
    notes = [rf"\par\smallskip\footnotesize {latex_text(note)}" for note in table.notes]
    lines = [
        r"\begin{table*}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{latex_text(table.title)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        " & ".join(_latex_header(text) for text in table.header) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        *([r"\raggedright", *notes] if notes else []),
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _latex_header(text: str) -> str:
    name, bracket, unit = text.partition(" (")
    stacked = rf"\shortstack{{{latex_text(name)}\\({latex_text(unit)}}}"  # the unit below keeps the column narrow
    return stacked if bracket else latex_text(text)


def latex_text(text: str) -> str:
    """The text on one line with every special character escaped, in ASCII, so that any LaTeX sets it."""
    letters = (c for c in unicodedata.normalize("NFKD", one_line(text)) if not unicodedata.combining(c))
    escaped = "".join(_LATEX.get(c, c if c.isascii() else "?") for c in letters)
    return escaped.replace("--", "-{}-")  # else an option's name would get a dash


def latex_cell(text: str) -> str:
    """The text of a cell; the minus of a number is set as a minus, not as a hyphen."""
    escaped = latex_text(text)
    return re.sub(r"(^| to )-(?=\d)", r"\1$-$", escaped) if _NUMBER.fullmatch(text) else escaped


# ---- plain text ----


def plain(table: Table, *, width: int) -> str:
    """Aligned columns at most `width` wide, notes wrapped; the last columns that do not fit are left out."""
    widths = [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]
    while len(widths) > 1 and sum(widths) + 2 * (len(widths) - 1) > width:
        widths.pop()
    widths[0] = min(widths[0], width)
    left = [not numeric for numeric in table.numeric]

    def line(row: Sequence[str]) -> str:
        cells = [cut(text, w) for text, w in zip(row, widths, strict=False)]
        padded = [
            text.ljust(w) if to_left else text.rjust(w) for text, w, to_left in zip(cells, widths, left, strict=False)
        ]
        return "  ".join(padded).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [cut(table.title, width), line(table.header), rule, *map(line, table.rows)]
    for note in table.notes:
        lines += textwrap.wrap(one_line(note), width, subsequent_indent="  ")
    return "\n".join(lines) + "\n"


def cut(text: str, width: int) -> str:
    """The text on one line of at most `width` characters, the loss marked."""
    text = one_line(text)
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."[:width]

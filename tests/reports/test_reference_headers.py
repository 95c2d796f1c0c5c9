"""The tables that are committed as a reference have the headers that today's code writes for the same results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports.curves import settings, streams
from reports.intervals import CellRounds
from reports.markup import markdown
from reports.tables import ACROSS_NETWORKS, TABLES
from vssbench.metrics.bootstrap import MINIMUM_CLIPS, resample

REFERENCE = Path(__file__).resolve().parents[2] / "reports/reference"
FOLDERS = ("street",)  # runs that are made anew whenever a table changes; camvid's takes data that is not ours
TEXTS = ("note", "error", "uncounted", "separable", "miou_reference", "curves", "point_label", "peak_memory_kind")


def frame_of(folder):
    """The summary's frame, as the committed CSV files have it; rounds, which they have not, are made up."""
    table, latency = (pd.read_csv(folder / f"{name}.csv") for name in ("table", "latency"))
    frame = table.merge(latency[["key", *(name for name in latency if name not in table)]], on="key")
    frame = pd.DataFrame({name: with_empty_texts(frame[name]) for name in frame})
    return frame.assign(rounds=[rounds_of(row) for _, row in frame.iterrows()])


def with_empty_texts(column):
    """A text that was empty is read back as NaN."""
    text = column.dtype == object or column.name.endswith(TEXTS)
    return column.astype(object).where(column.notna(), "") if text else column


def rounds_of(row):
    clips = int(row["clips"])
    if clips < MINIMUM_CLIPS or row["status"] != "done":
        return None
    spread = np.linspace(0.99, 1.01, clips)

    def around(value):
        return resample(lambda weights: weights @ (value * spread) / weights.sum(axis=1), clips, rounds=2000)

    names = tuple(f"clip{number}" for number in range(clips))
    return CellRounds(clips=names, miou=around(row["miou_percent"]), gmacs=around(row["gmacs_gop"]))


def headers(text):
    """Title of each table -> its header line."""
    lines = text.splitlines()
    titles = [number for number, line in enumerate(lines) if line.startswith("### ")]
    return {lines[number]: lines[number + 2] for number in titles}


@pytest.mark.parametrize("name", FOLDERS)
def test_every_reference_table_has_the_headers_of_today(name):
    folder = REFERENCE / name
    frame = frame_of(folder)
    compared = set()
    for stem, (make, _) in (TABLES | ACROSS_NETWORKS).items():
        path = folder / f"{stem}.md"
        if path.exists():
            groups = streams if stem in ACROSS_NETWORKS else settings
            tables = [markdown(table) for setting, rows in groups(frame) for table in make(setting, rows)]
            assert headers(path.read_text(encoding="utf-8")) == headers("\n".join(tables)), stem
            compared.add(stem)
    assert {"table", "by_distance", "cost", "bd", "latency"} <= compared


@pytest.mark.parametrize("name", FOLDERS)
def test_the_reference_csv_has_the_columns_of_today(name):
    folder = REFERENCE / name
    frame = frame_of(folder)
    for stem, (_, columns) in (TABLES | ACROSS_NETWORKS).items():
        path = folder / f"{stem}.csv"
        if path.exists():
            assert set(pd.read_csv(path, nrows=0)) == set(columns(frame)), stem


def test_the_comparison_sees_a_header_that_changed(tmp_path):
    text = "### one\n\n| Method | GMACs |\n| :-- | --: |\n| a | 1 |\n\n### two\n\n| Method | GFLOPs |\n| :-- | --: |\n"
    assert headers(text) == {"### one": "| Method | GMACs |", "### two": "| Method | GFLOPs |"}

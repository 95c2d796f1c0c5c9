"""The files of a run's summary: what they hold, and that nothing but the results decides their bytes."""

from __future__ import annotations

import csv
import re

import numpy as np
import pandas as pd
import pytest
from fake_run import GOP_LENGTH, GROWING, RUN, add_results, cell_of, make_run

from reports.summary import summarise
from reports.tables import ACROSS_NETWORKS, TABLES, render_summary, write_tables
from vssbench.errors import StoreError
from vssbench.store import Store

SMALL = [row for row in RUN if row[0] in ("constant@1.0", "constant@0.5", "arseg@0.5", "taplab:ffw+rgfs@0.3")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with every method, one of which failed, and its frame."""
    with make_run(tmp_path_factory.mktemp("run")) as store:
        broken = cell_of("mine:a_b|c")
        store.add_cell(broken)
        store.set_status(broken.key, "failed", error="PredictionError: 50 % of the logits\nare NaN & none is | finite")
        yield summarise(store)


def cells_of(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def markdown_rows(path):
    """Method -> header -> text, of the first table of a file."""
    lines = path.read_text().split("\n\n")[1].splitlines()
    header = cells_of(lines[0])
    return {cells_of(line)[0]: dict(zip(header, cells_of(line), strict=True)) for line in lines[2:]}


def test_every_table_is_written_in_three_forms(run, tmp_path):
    written = write_tables(run, tmp_path / "summary")
    assert sorted(path.name for path in written) == sorted(
        f"{name}.{form}" for name in (*TABLES, *ACROSS_NETWORKS) for form in ("md", "tex", "csv")
    )
    assert all(path.stat().st_size for path in written)


def test_the_summary_shows_the_numbers_of_the_frame(run, tmp_path):
    write_tables(run, tmp_path)
    row = run.set_index("method").loc["arseg@0.5"]
    shown = markdown_rows(tmp_path / "table.md")["arseg@0.5"]
    assert shown["mIoU (%)"] == f"{row['miou_percent']:.2f}"
    assert shown["at d = 11 (%)"] == f"{row['miou_d11_percent']:.2f}"
    assert shown["key (GMACs)"] == "9.790"
    assert shown["non-key (GMACs)"] == "2.900"
    # (9.79 + 11 * 2.9) / 12 = 3.474 GMACs, 6.948 GFLOPs
    assert shown["GOP mean (GMACs)"] == "3.474"
    assert shown["GOP mean (GFLOPs)"] == "6.948"
    assert shown["params (M)"] == "13.270"
    assert (shown["clips"], shown["frames"]) == ("2", "6")


def test_the_anchor_leads_every_table(run, tmp_path):
    write_tables(run, tmp_path)
    for name in ("table", "by_distance", "per_class", "cost", "latency"):
        assert list(markdown_rows(tmp_path / f"{name}.md"))[:4] == [f"constant@{s}" for s in (1.0, 0.7, 0.5, 0.3)]


def test_the_anchor_is_not_compared_with_itself(run, tmp_path):
    write_tables(run, tmp_path)
    rows = markdown_rows(tmp_path / "table.md")
    assert rows["constant@0.5"]["BD-FLOPs of its curve (%)"] == "anchor"
    assert "constant" not in markdown_rows(tmp_path / "bd.md")


def test_a_missing_number_has_its_reason_below_the_table(run, tmp_path):
    write_tables(run, tmp_path)
    assert markdown_rows(tmp_path / "bd.md")["arseg"]["BD-FLOPs (%)"] == "n/a"
    for name in ("table", "bd"):
        assert "BD-FLOPs and BD-mIoU n/a: a cubic needs 4 points" in (tmp_path / f"{name}.md").read_text()


def test_a_failed_cell_is_marked_and_its_error_shown(run, tmp_path):
    write_tables(run, tmp_path)
    assert markdown_rows(tmp_path / "table.md")[r"mine:a_b\|c (failed)"]["mIoU (%)"] == "n/a"
    markdown, latex = ((tmp_path / f"table.{form}").read_text() for form in ("md", "tex"))
    assert r"PredictionError: 50 % of the logits are NaN & none is \| finite" in markdown
    assert r"PredictionError: 50 \% of the logits are NaN \& none is \textbar{} finite" in latex
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    (failed,) = [row for row in rows if row["status"] == "failed"]
    assert failed["method"] == "mine:a_b|c"
    assert failed["error"] == "PredictionError: 50 % of the logits are NaN & none is | finite"
    assert failed["miou_percent"] == ""


def test_rates_and_costs_by_kind_are_listed(run, tmp_path):
    write_tables(run, tmp_path)
    # six frames a distance, of which 30 % rounds to two, both of the second clip: a third, 0 and two thirds
    lines = (tmp_path / "cost.md").read_text().splitlines()
    assert "| taplab:ffw+rgfs@0.3 | full | 9.790 | 19.580 | 33.3 | 0.0 | 66.7 | 47.1 |" in lines
    assert "| taplab:ffw+rgfs@0.3 | warp | 0.000 | 0.000 | 66.7 | 33.3 | 100.0 | 47.1 |" in lines
    assert "- Every operator was counted." in lines


def test_uncounted_operators_are_listed(tmp_path):
    with make_run(tmp_path / "run", run=SMALL) as store:
        (key,) = [cell.key for cell in store.cells() if cell.method == "arseg@0.5"]
        store.set_cost(key, "non-key", macs={"convolution": 1}, uncounted={"mine::fft": 12})
        write_tables(summarise(store), tmp_path)
    for name in ("table", "cost"):
        text = (tmp_path / f"{name}.md").read_text()
        assert "- arseg@0.5: not counted: non-key: mine::fft (12 elements)" in text
        assert "Every operator was counted" not in text


def test_work_is_exported_in_macs_and_in_flops_and_every_header_says_which(run, tmp_path):
    write_tables(run, tmp_path)
    for name in ("table", "cost"):
        exported = pd.read_csv(tmp_path / f"{name}.csv")
        for part in ("key", "nonkey", "gop"):
            np.testing.assert_allclose(exported[f"gflops_{part}"], 2 * exported[f"gmacs_{part}"])
    for row in markdown_rows(tmp_path / "cost.md").values():
        assert all("MACs" in name or "FLOPs" in name for name in row if name not in ("Method", "params (M)"))


COUNTS = (
    r"clips|frames|frames/s|windows of \d+|pairs of frames|labelled pairs"  # these say of themselves what they count
)
UNITS = r".+ \((%|points|GMACs|GFLOPs|M|ms|MiB|n|frames|frames/s|classes|steps or GOPs)\)"


def test_every_header_of_a_number_says_its_unit(tmp_path):
    with make_run(tmp_path / "run", run=[*RUN, GROWING], clips=9, frames=1) as store:
        write_tables(summarise(store), tmp_path)
    seen = set()
    for path in tmp_path.glob("*.md"):
        lines = path.read_text().splitlines()
        for header in (lines[number - 1] for number, line in enumerate(lines) if line.startswith("| :--")):
            seen |= set(cells_of(header))
    texts = {"Method", "Curve", "kind", "network"}
    assert texts <= seen
    assert [name for name in sorted(seen - texts) if not re.fullmatch(f"{COUNTS}|{UNITS}", name)] == []


def test_the_spread_of_the_work_over_clips_stands_beside_its_mean(run, tmp_path):
    write_tables(run, tmp_path)
    rows = markdown_rows(tmp_path / "cost.md")
    fixed = rows["arseg@0.5"]
    assert fixed["least of a clip (GMACs)"] == fixed["most of a clip (GMACs)"] == fixed["GOP mean (GMACs)"]
    assert fixed["deviation over clips (GMACs)"] == "0.000"
    decides = rows["taplab:ffw+rgfs@0.3"]
    least, mean, most = (
        float(decides[f"{name} (GMACs)"]) for name in ("least of a clip", "GOP mean", "most of a clip")
    )
    assert least <= mean <= most


def test_latency_says_where_it_was_measured(run, tmp_path):
    write_tables(run, tmp_path)
    text = (tmp_path / "latency.md").read_text()
    assert r"- timed with batch 1, device cpu, dtype float32, peak memory process resident, size \[360, 480\]" in text
    assert markdown_rows(tmp_path / "latency.md")["arseg@0.5"]["timed (frames)"] == str(GOP_LENGTH * 6)


def test_machines_that_differ_are_told_apart(tmp_path):
    with make_run(tmp_path / "run", run=SMALL) as store:
        cells = {cell.method: cell.key for cell in store.cells()}
        old = store.latency(cells["arseg@0.5"])
        other = old.environment | {"device": "cuda"}
        store.set_latency(cells["arseg@0.5"], samples=old.samples, environment=other)
        write_tables(summarise(store), tmp_path)
    text = (tmp_path / "latency.md").read_text()
    assert "- arseg@0.5: timed with device cuda\n" in text
    assert "- constant@1.0: timed with device cpu, peak memory process resident\n" in text


def test_the_csv_holds_every_digit_and_every_column(run, tmp_path):
    write_tables(run, tmp_path)
    table, latency = (pd.read_csv(tmp_path / f"{name}.csv").set_index("key") for name in ("table", "latency"))
    together = set(table) | set(latency) | {"key"}
    assert together == set(run.columns) - {"rounds"}  # arrays, of which the tables hold the intervals
    for key, value in run.set_index("key")["miou_percent"].dropna().items():
        assert table.loc[key, "miou_percent"] == pytest.approx(value, rel=1e-11)


def test_what_was_timed_is_in_no_table_but_those_of_latency(tmp_path):
    """Two runs that differ in their times only write the same bytes, but for latency.* and overview.*."""
    texts = []
    for name, latency in (("timed", True), ("not", False)):
        with Store.open(tmp_path / name) as store:
            for method, curves, point, start, loss, kinds in SMALL:
                cell = cell_of(method, curves, point)
                add_results(store, cell, start=start, loss=loss, kinds=kinds, latency=latency)
            store.add_stage("decode", 1.0 if latency else 2.0)
            written = write_tables(summarise(store), tmp_path / name / "summary")
        texts.append({path.name: path.read_bytes() for path in written})
    differing = {name for name in texts[0] if texts[0][name] != texts[1][name]}
    assert differing == {f"{name}.{form}" for name in ("latency", "overview") for form in ("md", "tex", "csv")}


def test_a_run_in_another_order_and_in_two_goes_writes_the_same_bytes(tmp_path):
    def fill(folder, order):
        for chosen in order:  # the store is closed and opened again between two methods
            with Store.open(folder) as store:
                for method, curves, point, start, loss, kinds in chosen:
                    cell = cell_of(method, curves, point)
                    add_results(store, cell, start=start, loss=loss, kinds=kinds)
        with Store.open(folder, read_only=True) as store:
            return {path.name: path.read_bytes() for path in write_tables(summarise(store), folder / "summary")}

    once = fill(tmp_path / "once", [SMALL])
    again = fill(tmp_path / "again", [[row] for row in SMALL[::-1]] + [SMALL])
    assert once == again


def test_every_setting_has_a_table_of_its_own(tmp_path):
    make_run(tmp_path, run=SMALL).close()
    with make_run(tmp_path, run=SMALL[:1], codec="mpeg4", partial=True) as store:
        frame = summarise(store)
    write_tables(frame, tmp_path)
    titles = [line for line in (tmp_path / "table.md").read_text().splitlines() if line.startswith("### ")]
    assert titles == [
        "### street test, bisenet18, h264 1000 kbps, L = 12, every-distance",
        "### street test, bisenet18, mpeg4 1000 kbps, L = 12, every-distance, partial",
    ]
    assert (tmp_path / "table.tex").read_text().count(r"\begin{tabular}") == 2
    assert "partial" in render_summary(frame)


def test_a_run_without_cells_still_writes_its_files(tmp_path):
    with Store.open(tmp_path) as store:
        frame = summarise(store)
    assert len(write_tables(frame, tmp_path / "summary")) == 3 * len(TABLES | ACROSS_NETWORKS)
    assert render_summary(frame) == "no cell\n"


def test_a_folder_that_cannot_be_written_is_named(run, tmp_path):
    (tmp_path / "summary").write_text("in the way")
    with pytest.raises(StoreError, match="summary cannot be written"):
        write_tables(run, tmp_path / "summary")


# ---- the printed summary ----


def printed_methods(text):
    lines = text.splitlines()
    rows = lines[3 : 3 + len(RUN) + 1]
    return [row.split()[0] for row in rows]


def test_the_printed_summary_has_the_anchor_on_top_and_falling_miou_below(run):
    methods = printed_methods(render_summary(run))
    assert methods[:4] == ["constant@1.0", "constant@0.7", "constant@0.5", "constant@0.3"]
    rest = run[(run["family"] != "constant") & run["miou_percent"].notna()]
    assert methods[4:-1] == list(rest.sort_values("miou_percent", ascending=False)["method"])
    assert methods[-1] == "mine:a_b|c"  # a method without a number comes last


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_printed_summary_keeps_to_the_width(run, width):
    text = render_summary(run, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "mIoU %" in text


def test_the_printed_summary_shows_everything_in_120_columns(run):
    header = render_summary(run).splitlines()[1]
    assert re.split("  +", header) == [
        *("Method", "mIoU %", "GMACs", "GFLOPs", "ms/frame", "min over d %", "max over d %", "tests")
    ]


def test_bd_columns_are_printed_once_there_is_a_number(tmp_path):
    points = [
        (f"constant@{s}", ("constant",), s, 0.5 + 0.2 * s, 0.001, {"frame": (1, 10 * s)}) for s in (0.3, 0.5, 0.7, 1.0)
    ]
    points += [
        (f"arseg@{s}", ("arseg",), s, 0.5 + 0.2 * s, 0.001, {"non-key": (1, 4 * s)}) for s in (0.3, 0.5, 0.7, 1.0)
    ]
    with make_run(tmp_path, run=points) as store:
        frame = summarise(store)
    lines = render_summary(frame).splitlines()
    assert "BD-FLOPs %" in lines[1]
    assert "anchor" in lines[3]
    (row,) = [line for line in lines if line.startswith("arseg@0.5")]
    assert re.search(r" -\d+\.\d ", row)  # less work at equal mIoU

"""Intervals in the frame and in the tables: paired, of the right clips, and absent where they would mislead."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from fake_run import FULL, add_results, cell_of, make_run

from reports.intervals import CellRounds, curve_interval, paired_interval, separable
from reports.summary import summarise
from reports.tables import render_summary, write_tables
from vssbench.metrics.bd import bd_cost
from vssbench.metrics.bootstrap import MINIMUM_CLIPS, Interval, resample
from vssbench.metrics.distance import mean_over_distance

CLIPS = 9
ANCHORS = [(f"constant@{s}", ("constant",), s, a, 0.0008, {"frame": (1, g)}) for s, (a, g) in FULL.items()]
HALF = [  # near the anchor's accuracies, at about half of its work
    (f"arseg@{s}", ("arseg",), s, a + 0.006, 0.0008, {"non-key": (1, g / 2 - 0.8)})
    for s, (a, g) in list(FULL.items())[:3]
]
HALF.append(("arseg@0.4", ("arseg",), 0.4, 0.63, 0.0008, {"non-key": (1, 0.2)}))
RUN = [*ANCHORS, *HALF, ("alike", (), None, 0.716, 0.0008, {"frame": (1, 9.79)})]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with make_run(tmp_path_factory.mktemp("run"), run=RUN, clips=CLIPS, frames=1) as store:
        yield store


@pytest.fixture(scope="module")
def frame(store):
    return summarise(store).set_index("method", drop=False)


def rounds_of(values, clips):
    """Of a mean over clips, whose values are given."""
    values = np.asarray(values, float)

    def mean(weights):
        return weights @ values / weights.sum(axis=1)

    found = resample(mean, len(values), rounds=2000)
    return CellRounds(clips=tuple(clips), miou=found, gmacs=found)


def test_every_finished_cell_has_an_interval_around_its_number(frame):
    assert (frame["miou_low_percent"] < frame["miou_percent"]).all()
    assert (frame["miou_percent"] < frame["miou_high_percent"]).all()
    for d in (0, 11):
        assert (frame[f"miou_low_d{d}_percent"] < frame[f"miou_d{d}_percent"]).all()
        assert (frame[f"miou_d{d}_percent"] < frame[f"miou_high_d{d}_percent"]).all()


def test_the_rounds_are_those_of_the_stored_counts(store, frame):
    row = frame.loc["arseg@0.5"]
    counts = np.stack(list(store.confusion_by_clip_and_distance(row["key"]).values()))
    weights = resample(lambda weights: weights, CLIPS, rounds=20).rounds  # the first rounds of seed 0
    for index in range(20):
        drawn = np.tensordot(weights[index].astype(np.int64), counts, axes=1)
        assert row["rounds"].miou.rounds[index] == pytest.approx(100 * mean_over_distance(drawn), rel=1e-12)
    # (9.79 + 11 g) / 12 with g = 2.49 / 2 - 0.8, in every round alike
    np.testing.assert_allclose(row["rounds"].gmacs.rounds, (9.79 + 11 * 0.445) / 12, rtol=1e-9)


def test_work_is_drawn_with_the_clips_where_a_method_decides_by_content(tmp_path):
    with make_run(tmp_path, run=ANCHORS[:1], clips=CLIPS, frames=1) as store:
        cell = cell_of("fickle", ("fickle",), 0.1)
        add_results(
            store, cell, start=0.7, loss=0, kinds={"warp": (0.5, 1.0), "full": (0.5, 9.0)}, clips=CLIPS, frames=1
        )
        row = summarise(store).set_index("method").loc["fickle"]
    # the searchsorted of fake_run: the first 5 of 9 clips warp (0.5 / 9 .. 4.5 / 9 of 0.5), the others do not
    at = np.where(np.arange(CLIPS) < 5, 1.0, 9.0)
    weights = resample(lambda weights: weights, CLIPS, rounds=50).rounds
    expected = (9.79 + 11 * weights @ at / CLIPS) / 12
    np.testing.assert_allclose(row["rounds"].gmacs.rounds[:50], expected, rtol=1e-9)


def test_a_method_is_compared_with_the_anchors_best_on_the_same_draws(frame):
    best, row = frame.loc["constant@1.0"], frame.loc["constant@0.3"]
    assert row["miou_reference"] == "constant@1.0"
    assert row["miou_difference_points"] == pytest.approx(row["miou_percent"] - best["miou_percent"])
    expected = row["rounds"].miou.rounds - best["rounds"].miou.rounds
    low, high = row["miou_difference_low_points"], row["miou_difference_high_points"]
    assert np.quantile(expected, 0.001) < low < row["miou_difference_points"] < high < np.quantile(expected, 0.999)
    assert row["miou_separable"] == "yes"
    assert best["miou_separable"] == ""
    assert np.isnan(best["miou_difference_low_points"])


def test_a_method_as_good_as_the_anchor_is_marked_and_a_worse_one_is_not(frame, tmp_path):
    assert frame.loc["alike", "miou_separable"] == "no"
    write_tables(frame.reset_index(drop=True), tmp_path)
    lines = {line.split(" | ")[0]: line for line in (tmp_path / "table.md").read_text().splitlines()}
    assert f"{frame.loc['alike', 'miou_percent']:.2f} \\~ |" in lines["| alike"]
    assert "~" not in lines["| constant@0.3"]
    text = (tmp_path / "table.md").read_text()
    assert f"n = {CLIPS} clips. 95 % intervals: BCa bootstrap over clips, 10,000 rounds, seed 0" in text
    assert "not separable from the anchor" in text
    assert "From fewer than 20 clips intervals come out too narrow." in text
    low, high = frame.loc["alike", ["miou_low_percent", "miou_high_percent"]]
    assert f"| {low:.2f} to {high:.2f} |" in lines["| alike"]
    assert r"\textasciitilde{}" in (tmp_path / "table.tex").read_text()
    assert f"{frame.loc['alike', 'miou_percent']:.2f} ~" in render_summary(frame.reset_index(drop=True))


def test_a_curve_has_an_interval_of_its_difference_around_it(frame, tmp_path):
    write_tables(frame.reset_index(drop=True), tmp_path)
    with (tmp_path / "bd.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    value = {name: float(row[name]) for name in row if name.startswith("bd_flops") and name != "bd_flops_separable"}
    assert value["bd_flops_low_percent"] < value["bd_flops_percent"] < value["bd_flops_high_percent"] < 0
    assert row["bd_flops_separable"] == "yes"
    assert (row["points"], row["anchor_points"]) == ("4", "4")
    anchor, method = (frame[frame["curves"] == name] for name in ("constant", "arseg"))
    result = bd_cost(*(rows[name] for rows in (anchor, method) for name in ("gmacs_gop", "miou_percent")))
    assert value["bd_flops_percent"] == pytest.approx(100 * result.value, rel=1e-10)
    assert value["bd_flops_overlap_percent"] == pytest.approx(100 * result.overlap, rel=1e-10)
    shared = value["bd_flops_shared_low_percent"], value["bd_flops_shared_high_percent"]
    assert shared == pytest.approx(result.interval, rel=1e-10)
    others = value["bd_flops_pchip_percent"], value["bd_flops_akima_percent"], value["bd_flops_percent"]
    assert value["bd_flops_spread_points"] == pytest.approx(max(others) - min(others), rel=1e-9)


def test_a_curve_against_itself_is_nothing_but_zero():
    clips = [f"clip{index}" for index in range(10)]
    rng = np.random.default_rng(0)
    cells = []
    for cost, accuracy in ((1, 60), (2, 65), (4, 68), (8, 70)):
        cell = rounds_of(accuracy + rng.normal(0, 0.1, 10), clips)
        cells.append(CellRounds(clips=cell.clips, miou=cell.miou, gmacs=rounds_of([cost] * 10, clips).miou))
    for name in ("bd_flops", "bd_miou"):
        found = curve_interval(name, cells, cells)
        assert found == Interval(low=pytest.approx(0, abs=1e-10), high=pytest.approx(0, abs=1e-10))


def test_cells_of_different_clips_have_no_paired_interval():
    one = rounds_of(range(9), "abcdefghi")
    found = paired_interval(one, rounds_of(range(9), "abcdefghj"))
    assert np.isnan(found.low)
    assert found.reason == "the points were tested on different clips"
    assert separable(found) == ""
    assert paired_interval(one, None).reason == "a point has no rounds"


def test_work_that_was_not_counted_leaves_a_curve_without_interval():
    cells = [rounds_of(np.arange(9) + shift, "abcdefghi") for shift in range(4)]
    unknown = [CellRounds(clips=cell.clips, miou=cell.miou, gmacs=None) for cell in cells]
    assert curve_interval("bd_flops", cells, unknown).reason == "the work of a point is not known"


def test_few_clips_have_no_intervals_no_marks_and_a_note(tmp_path):
    with make_run(tmp_path / "run", run=RUN[:2], clips=MINIMUM_CLIPS - 1, frames=1) as store:
        frame = summarise(store)
    assert frame["miou_low_percent"].isna().all()
    assert (frame["miou_separable"] == "").all()
    write_tables(frame, tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert "n = 7 clips: no intervals, and no mark of what is separable; at least 8 clips are needed." in text
    assert "interval (" not in text
    assert "~" not in text


def test_an_unfinished_cell_has_no_interval(tmp_path):
    with make_run(tmp_path / "run", run=RUN[:2], clips=CLIPS, frames=1) as store:
        key = next(cell.key for cell in store.cells() if cell.method == "constant@0.7")
        store.set_status(key, "failed", error="X: y")
        frame = summarise(store).set_index("method")
    assert np.isnan(frame.loc["constant@0.7", "miou_low_percent"])
    assert not np.isnan(frame.loc["constant@1.0", "miou_low_percent"])


def test_a_single_stream_is_drawn_as_it_is_pooled(tmp_path):
    with make_run(tmp_path / "run", run=RUN[:1], clips=CLIPS, frames=1, protocol="single-stream") as store:
        row = summarise(store).iloc[0]
    assert row["miou_low_percent"] < row["miou_percent"] < row["miou_high_percent"]
    assert row["rounds"].miou.estimate == pytest.approx(row["miou_percent"], rel=1e-12)
    assert "miou_low_d0_percent" not in row


def test_tables_with_intervals_are_the_same_bytes_again(store, tmp_path):
    for name in ("one", "two"):
        write_tables(summarise(store), tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name

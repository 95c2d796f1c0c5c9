"""Stability in the reports: rows of a store, worked out by hand, to columns, tables and the figure."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from fake_run import RUN, add_results, cell_of, make_run

from reports.curves import streams
from reports.stability import key_frame_columns, stability_columns
from reports.stability_plot import accuracy_cost_stability, write_stability_figures
from reports.stability_tables import ceiling, overview_tables, stability_tables
from reports.summary import summarise
from reports.tables import write_tables
from reports.work import Decided
from vssbench.metrics.consistency import ConsistencyRuns
from vssbench.store import Cost, StabilityRow

SIZE = (2, 5)  # ten pixels


def frames(*, changes=(), label_changes=(), number=10):
    """Labels and predictions of ten pixels: pixel p changes its class for good at frame `changes[p]`."""
    labels, predictions = np.zeros((2, number, *SIZE), np.uint8)
    for planes, when in ((labels, label_changes), (predictions, changes)):
        for pixel, frame in enumerate(when):
            planes[frame:].reshape(number - frame, -1)[:, pixel] = 1
    return labels, predictions


def noted(clip, labels, predictions, *, start=0, pairs=None, own=None, gap=None):
    runs, rows = ConsistencyRuns(), []
    for index, (label, prediction) in enumerate(zip(labels, predictions, strict=True)):
        if index == gap:
            runs.reset()
            rows.append(StabilityRow(clip, start, start + index, None, pairs, None))
            continue
        rows.append(StabilityRow(clip, start, start + index, runs.update(label, prediction), pairs, own))
    return rows


def test_video_consistency_is_that_of_the_windows_pooled_over_clips():
    """Clip a: 10 frames, 3 windows of 8; of the ten still labels one prediction changes at frame 9, in the last window.

    Clip b: 8 frames, 1 window, five of ten change. (1 + 1 + 0.9 + 0.5) / 4 = 0.85; by clips (2.9 / 3 + 0.5) / 2.
    The toolkit leaves the last window of each clip out: (1 + 1) / 2.
    """
    a = noted("a", *frames(changes=(9,)))
    b = noted("b", *frames(changes=(4, 4, 4, 4, 4), number=8))
    columns = stability_columns([*a, *b])
    assert columns["mvc8_percent"] == pytest.approx(85)
    assert columns["mvc8_clips_percent"] == pytest.approx(50 * (2.9 / 3 + 0.5))
    assert columns["mvc8_toolkit_percent"] == pytest.approx(100)
    assert columns["mvc8_windows"] == 4
    assert columns["mvc16_windows"] == 0
    assert np.isnan(columns["mvc16_percent"])
    assert columns["stability_note"] == "mVC16 n/a: no 16 annotated frames in a row"


def test_correct_predictions_alone_count_where_that_is_asked():
    """All of ten predictions stay, two of them wrong: 8 of 10."""
    labels, predictions = frames(number=8)
    predictions[:, 0, :2] = 3
    columns = stability_columns(noted("a", labels, predictions))
    assert columns["mvc8_percent"] == 100
    assert columns["mvc8_correct_percent"] == pytest.approx(80)


def test_a_clip_of_just_a_window_has_none_by_the_toolkit_and_says_so():
    columns = stability_columns(noted("a", *frames(number=8)))
    assert columns["mvc8_percent"] == 100
    assert np.isnan(columns["mvc8_toolkit_percent"])
    assert "mVC8 by the toolkit n/a: it leaves out the last window" in columns["stability_note"]


def test_no_window_reaches_across_a_frame_without_a_label():
    assert stability_columns(noted("a", *frames(number=12), gap=6))["mvc8_windows"] == 0


def test_two_streams_of_one_clip_are_two_stretches():
    first, second = noted("a", *frames(number=6)), noted("a", *frames(number=6), start=6)
    assert stability_columns([*first, *second])["mvc8_windows"] == 0
    assert stability_columns(noted("a", *frames(number=12)))["mvc8_windows"] == 5


def test_consistency_along_the_motion_is_of_the_counts_of_all_pairs():
    """[[6, 2], [0, 2]] twice: IoU 6 / 8 and 2 / 4, mean 0.625; 8 of 10 pixels keep their class. Labels: all of them."""
    pairs, own = np.array([[6, 2], [0, 2]], np.int64), np.array([[5, 0], [0, 5]], np.int64)
    columns = stability_columns(noted("a", *frames(number=2), pairs=pairs, own=own))
    assert columns["tc_percent"] == pytest.approx(62.5)
    assert columns["tc_pixels_percent"] == pytest.approx(80)
    assert (columns["tc_labels_percent"], columns["tc_labels_pixels_percent"]) == (100, 100)
    assert (columns["tc_pairs"], columns["tc_labels_pairs"]) == (2, 2)


def test_pairs_of_frames_and_of_labels_are_told_apart():
    """Three frames with pairs of predictions, the middle one without a label: the labels have two."""
    pairs, own = np.array([[6, 2], [0, 2]], np.int64), np.array([[5, 0], [0, 5]], np.int64)
    columns = stability_columns(noted("a", *frames(number=3), pairs=pairs, own=own, gap=1))
    assert (columns["tc_pairs"], columns["tc_labels_pairs"]) == (3, 2)
    alone = stability_columns(noted("a", *frames(number=3), pairs=pairs))
    assert (alone["tc_pairs"], alone["tc_labels_pairs"]) == (3, 0)
    assert "tc_labels_percent" not in alone


def test_rows_are_taken_one_at_a_time_and_their_pairs_let_go():
    """Of 40 frames of two clips the (K, K) counts of the last row at most are alive, beside the sums."""
    alive = weakref.WeakSet()
    most = 0

    class Counts(np.ndarray):  # a weak set needs a hash, which an array has none of
        __hash__ = object.__hash__
        __eq__ = object.__eq__

    def rows():
        nonlocal most
        runs = ConsistencyRuns()
        labels, predictions = frames(number=40)
        for index, (label, prediction) in enumerate(zip(labels, predictions, strict=True)):
            pairs = np.ones((3, 3), np.int64).view(Counts)
            own = np.ones((3, 3), np.int64).view(Counts)
            alive.update((pairs, own))
            most = max(most, len(alive))
            yield StabilityRow("ab"[index // 20], 0, index, runs.update(label, prediction), pairs, own)

    columns = stability_columns(rows())
    assert (columns["tc_pairs"], columns["tc_labels_pairs"]) == (40, 40)
    assert 2 <= most <= 4  # two of the row that comes, and two of the one before it


def test_eight_clips_have_intervals_that_hold_the_number():
    rows = []
    for number in range(8):
        pairs = np.array([[60, number], [0, 20]], np.int64)
        rows += noted(f"clip{number}", *frames(changes=(4,) * number, number=9), pairs=pairs)
    columns = stability_columns(rows)
    for name in ("mvc8", "tc"):
        low, value, high = (columns[f"{name}{part}_percent"] for part in ("_low", "", "_high"))
        assert low < value < high
    assert np.isnan(columns["mvc16_low_percent"])  # no window of 16 in 9 frames


def test_nothing_noted_gives_no_columns():
    assert stability_columns([]) == {"stability_note": ""}


def decided(**kinds):
    return Decided(frames={0: {"key": 1}, 1: kinds}, shares={})


def price(gmacs, full=None):
    more = None if full is None else {"convolution": int(full * 1e9)}
    return Cost({"convolution": int(gmacs * 1e9)}, {}, {}, more)


def test_key_frames_are_the_methods_own():
    """L = 2: d = 0 all key (10 GMACs), d = 1 one of four key, three at 2: (10 + (10 + 3 * 2) / 4) / 2 = 7 a frame.

    Key frames are (1 + 1 / 4) / 2 of the GOP; the others 2 GMACs.
    """
    cell = cell_of("tfc@4", gop_length=2)
    columns = key_frame_columns({"key": price(10), "non-key": price(2)}, decided(key=1, **{"non-key": 3}), cell)
    assert columns == {
        "gflops_keyframe": pytest.approx(20),
        "gflops_otherframe": pytest.approx(4),
        "gflops_keyframe_note": "",
    }
    assert key_frame_columns({"key": price(10)}, decided(warp=1), cell) == {"gflops_keyframe_note": ""}


def test_a_method_without_key_frames_has_one_number_where_its_frames_are_alike_and_none_otherwise():
    cell = cell_of("mine", gop_length=2)
    alike = key_frame_columns({"frame": price(3)}, Decided(frames={0: {"frame": 2}, 1: {"frame": 2}}, shares={}), cell)
    assert (alike["gflops_keyframe"], alike["gflops_otherframe"]) == pytest.approx((6, 6))
    assert alike["gflops_keyframe_note"] == ""
    two = Decided(frames={0: {"whole": 2}, 1: {"part": 2}}, shares={})
    unlike = key_frame_columns({"whole": price(3), "part": price(1)}, two, cell)
    assert np.isnan([unlike["gflops_keyframe"], unlike["gflops_otherframe"]]).all()
    assert unlike["gflops_keyframe_note"] == "key and non-key n/a: no kind of work is called key (part, whole)"


def test_a_whole_frame_of_another_kind_is_no_key_frame():
    """TapLab: of four frames at d = 1 one is selected and runs the whole network, 10 GMACs, and three warp at 0.

    The others than those at d = 0 are 10 / 4 GMACs in the mean.
    """
    costs = {"key": price(10), "selected": price(10), "warp": price(0)}
    columns = key_frame_columns(costs, decided(selected=1, warp=3), cell_of("taplab:ffw+rgfs@0.3", gop_length=2))
    assert (columns["gflops_keyframe"], columns["gflops_otherframe"]) == pytest.approx((20, 5))


def test_key_frames_that_no_test_met_keep_their_price():
    """A single stream whose one label falls on d = 1: the key frame was counted on the way there, and not tested."""
    cell = cell_of("tfc@4", gop_length=2, protocol="single-stream")
    costs = {"key": price(10), "non-key": price(2)}
    columns = key_frame_columns(costs, Decided(frames={1: {"non-key": 1}}, shares={}), cell)
    assert (columns["gflops_keyframe"], columns["gflops_otherframe"]) == pytest.approx((20, 4))


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    """A few methods of the made-up run, and TFC on another network, with stability of every cell."""
    with make_run(tmp_path_factory.mktemp("run"), run=RUN[:6]) as store:
        tfc = cell_of("tfc@4", ("tfc",), 4.0, network="segformer-b0")
        add_results(store, tfc, start=0.7, loss=0.001, kinds={"non-key": (1, 3.0)})
        for number, cell in enumerate(store.cells()):
            pairs = np.array([[50, number], [0, 50]], np.int64)
            for row in noted("clip0", *frames(changes=(9,) * (number % 5), number=20), pairs=pairs, own=pairs):
                store.add_stability(cell.key, row)
        return summarise(store)


def test_all_networks_that_saw_the_same_streams_stand_in_one_table(frame):
    ((setting, rows),) = [found for found in streams(frame) if "tfc@4" in set(found[1]["method"])]
    main, rules = stability_tables(setting, rows)
    (overview,) = overview_tables(setting, rows)
    for table in (main, rules, overview):
        assert {"tfc@4", "constant@1.0"} <= {row[0] for row in table.rows}
        assert "network" in table.header
        assert "segformer" not in table.title
    (ceiling_note,) = [note for note in main.notes if note.startswith("The labels themselves: TC")]
    assert "pairs" not in ceiling_note, "both are over all pairs"
    assert {"pairs of frames", "labelled pairs"} <= set(rules.header)
    assert any("853 wide: 1 column of 854" in note for note in rules.notes)
    assert {"mIoU (%)", "wIoU (%)", "mVC8 (%)", "mVC16 (%)", "params (M)", "frames/s"} <= set(overview.header)


def rows_of(frame):
    ((setting, rows),) = [found for found in streams(frame) if "tfc@4" in set(found[1]["method"])]
    return setting, rows.copy()


def test_a_ceiling_over_fewer_pairs_says_over_how_many(frame):
    setting, rows = rows_of(frame)
    rows["tc_labels_pairs"] = 5
    # the first row is of a method that failed early
    rows.loc[rows.index[0], ["tc_pairs", "tc_labels_pairs", "tc_labels_percent"]] = (4, 1, 1.0)
    for table in (*stability_tables(setting, rows), *overview_tables(setting, rows)):
        (note,) = [note for note in table.notes if note.startswith("The labels themselves")]
        assert "both over 5 of 20 pairs of frames" in note
        assert "TC 1.00 %" not in note


def test_a_ceiling_over_no_pair_is_missing_and_says_so(frame):
    _, rows = rows_of(frame)
    rows["tc_labels_pairs"] = 0
    (note,) = ceiling(rows)
    assert note.startswith("The labels themselves: TC n/a, in none of 20 pairs of frames are both labelled")
    assert ceiling(rows.drop(columns=["tc_pairs"])) == []


def test_methods_without_key_frames_are_named_below_the_tables(frame):
    setting, rows = rows_of(frame)
    reason = "key and non-key n/a: no kind of work is called key (part, whole)"
    rows.loc[rows["method"] == "tfc@4", "gflops_keyframe_note"] = reason
    main, rules = stability_tables(setting, rows)
    (overview,) = overview_tables(setting, rows)
    assert f"tfc@4: {reason}" in main.notes
    assert f"tfc@4: {reason}" in overview.notes
    assert f"tfc@4: {reason}" not in rules.notes


def test_the_files_are_written_and_time_stays_out_of_the_one_that_repeats(frame, tmp_path):
    write_tables(frame, tmp_path / "summary")
    stability = (tmp_path / "summary/stability.csv").read_text().splitlines()[0].split(",")
    assert {"mvc8_percent", "tc_percent", "wiou_percent", "gflops_otherframe"} <= set(stability)
    assert not any(name.startswith("latency") for name in stability)
    assert "latency_throughput_fps" in (tmp_path / "summary/overview.csv").read_text()
    assert "latency_throughput_fps" not in (tmp_path / "summary/table.csv").read_text()


def test_the_figure_shows_every_method_and_its_stability_as_colour(frame, tmp_path):
    written = write_stability_figures(frame, tmp_path)
    assert {path.suffix for path in written} == {".svg", ".pdf", ".png"}
    again = write_stability_figures(frame, tmp_path / "again")
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in again]
    ((setting, rows),) = [found for found in streams(frame) if "tfc@4" in set(found[1]["method"])]
    figure = accuracy_cost_stability(setting, rows)
    dots = [c for c in figure.axes[0].collections if c.get_offsets().size and c.get_array() is not None]
    shown = rows[(rows["status"] == "done") & (rows["gmacs_gop"] > 0)]
    assert sum(len(c.get_offsets()) for c in dots) == len(shown)
    values = np.concatenate([np.asarray(c.get_array()) for c in dots])
    np.testing.assert_allclose(np.sort(values), np.sort(shown["mvc8_percent"]))


def test_without_stability_there_is_no_such_figure(tmp_path):
    with make_run(tmp_path, run=RUN[:4]) as store:
        frame = summarise(store)
    assert write_stability_figures(frame, tmp_path) == []

"""What a run folder promises: nothing that was written is lost, doubled or half there."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vssbench.errors import ShapeError, StoreError
from vssbench.store import Cell, StabilityRow, Store, condition_key

CONDITION = {"method": "arseg@0.5", "seed": 0, "weights": "ab12"}
KEY = condition_key(CONDITION)
CELL = Cell(
    key=KEY,
    method="arseg@0.5",
    family="arseg",
    curves=("arseg",),
    point=0.5,
    point_label="0.5x",
    dataset="street",
    split="test",
    network="bisenet18",
    codec="h264",
    gop_length=3,
    bitrate_kbps=1000.0,
    protocol="every-distance",
    class_names=("sky", "road"),
    condition=CONDITION,
)


def counts(*cells):
    return np.array(cells, np.int64).reshape(2, 2)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path) as store:
        store.add_cell(CELL)
        yield store


def add(store, *, clip="a", frame=7, distance=0, kind="key", confusion=None):
    confusion = counts(3, 1, 0, 4) if confusion is None else confusion
    store.add_frame(KEY, clip=clip, frame=frame, distance=distance, kind=kind, confusion=confusion)


def snapshot(store):
    """Everything an accuracy or cost table could be made of."""
    rows = [(r.clip, r.frame, r.distance, r.kind, r.confusion.tolist()) for r in store.confusions(KEY)]
    return rows, store.costs(KEY), store.kind_counts(KEY), store.cells()


# ---- cells ----


def test_a_cell_comes_back_as_it_was_added(store):
    assert store.cells() == [CELL]


def test_adding_a_cell_again_changes_no_result(store):
    add(store)
    store.set_status(KEY, "done")
    store.add_cell(CELL)
    assert store.cells() == [CELL]
    assert store.status(KEY) == "done"
    assert store.done_frames(KEY) == {("a", 7, 0)}


def test_adding_a_cell_again_updates_the_curves_it_lies_on(store):
    values = {name: getattr(CELL, name) for name in CELL.__dataclass_fields__}
    other = Cell(**values | {"curves": ("arseg", "another")})
    store.add_cell(other)
    assert store.cells() == [other]


def test_cells_keep_the_order_in_which_they_were_added(store):
    values = {name: getattr(CELL, name) for name in CELL.__dataclass_fields__}
    store.add_cell(Cell(**values | {"key": "0" * 64}))  # sorts before KEY
    assert [cell.key for cell in store.cells()] == [KEY, "0" * 64]


def test_the_key_ignores_the_order_of_a_condition_and_sees_every_value():
    assert condition_key({"a": 1, "b": [2, 3]}) == condition_key({"b": (2, 3), "a": 1})
    assert condition_key({"a": 1}) != condition_key({"a": 2})
    assert len(KEY) == 64


def test_the_key_of_a_condition_is_the_sha256_of_its_canonical_json():
    # printf '{"a":1,"b":"x"}' | sha256sum
    assert condition_key({"b": "x", "a": np.int64(1)}) == (
        "ecf9e98ec0641e23113ff3ce8bdc78d0ddd249886517fd4a7f68cc83d4e65667"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), Path("x")])
def test_a_condition_without_a_json_form_is_refused(value):
    with pytest.raises(StoreError, match="numbers, text, lists and dicts"):
        condition_key({"a": value})


def test_a_cell_is_pending_until_told_otherwise(store):
    assert store.status(KEY) == "pending"
    assert store.error(KEY) is None


def test_a_failed_cell_keeps_its_error_until_it_runs_again(store):
    store.set_status(KEY, "failed", error="PredictionError: NaN logits in a, frame 7")
    assert (store.status(KEY), store.error(KEY)) == ("failed", "PredictionError: NaN logits in a, frame 7")
    store.set_status(KEY, "running")
    assert (store.status(KEY), store.error(KEY)) == ("running", None)


def test_an_unknown_status_is_refused(store):
    with pytest.raises(StoreError, match="pending, running, done, failed, got 'finished'"):
        store.set_status(KEY, "finished")


def test_an_unknown_cell_is_named(store):
    with pytest.raises(StoreError, match="no cell nothing; call add_cell first"):
        store.status("nothing")


def test_parameters_are_none_until_noted(store):
    assert store.parameters(KEY) is None
    store.set_parameters(KEY, 13_270_000)
    assert store.parameters(KEY) == 13_270_000


# ---- frames ----


def test_a_frame_comes_back_as_it_was_added(store):
    add(store, frame=300, distance=2, kind="warp", confusion=counts(2**40, 0, 1, 5))
    (row,) = store.confusions(KEY)
    assert row[:4] == ("a", 300, 2, "warp")
    assert row.confusion.dtype == np.int64
    np.testing.assert_array_equal(row.confusion, counts(2**40, 0, 1, 5))


def test_the_identical_frame_is_counted_once(store):
    add(store)
    add(store)
    assert len(list(store.confusions(KEY))) == 1
    np.testing.assert_array_equal(store.confusion_by_distance(KEY)[0], counts(3, 1, 0, 4))


@pytest.mark.parametrize("change", [{"kind": "warp"}, {"confusion": counts(3, 1, 1, 3)}])
def test_the_same_frame_with_another_result_is_refused_and_the_first_kept(store, change):
    add(store)
    with pytest.raises(StoreError, match="a, frame 7 at distance 0 is stored with another result"):
        add(store, **change)
    (row,) = store.confusions(KEY)
    assert row.kind == "key"
    np.testing.assert_array_equal(row.confusion, counts(3, 1, 0, 4))


def test_done_frames_are_those_stored_for_that_cell(store):
    add(store)
    add(store, clip="b", frame=7, distance=2)
    store.add_cell(Cell(**{name: getattr(CELL, name) for name in CELL.__dataclass_fields__} | {"key": "0"}))
    assert store.done_frames(KEY) == {("a", 7, 0), ("b", 7, 2)}
    assert store.done_frames("0") == set()


def test_confusions_add_up_by_distance_and_by_clip(store):
    add(store, clip="b", frame=1, distance=0, confusion=counts(1, 0, 0, 0))
    add(store, clip="a", frame=1, distance=0, confusion=counts(0, 2, 0, 0))
    add(store, clip="a", frame=2, distance=0, confusion=counts(0, 0, 4, 0))
    add(store, clip="a", frame=2, distance=2, confusion=counts(0, 0, 0, 8))
    zero = counts(0, 0, 0, 0)
    np.testing.assert_array_equal(store.confusion_by_distance(KEY), [counts(1, 2, 4, 0), zero, counts(0, 0, 0, 8)])
    by_clip = store.confusion_by_clip_and_distance(KEY)
    assert list(by_clip) == ["a", "b"]
    np.testing.assert_array_equal(by_clip["a"], [counts(0, 2, 4, 0), zero, counts(0, 0, 0, 8)])
    np.testing.assert_array_equal(by_clip["b"], [counts(1, 0, 0, 0), zero, zero])


def test_a_cell_without_frames_has_no_confusion_to_sum(store):
    assert store.confusion_by_clip_and_distance(KEY) == {}
    with pytest.raises(StoreError, match="no frame is stored"):
        store.confusion_by_distance(KEY)


def test_kinds_are_counted_by_distance(store):
    add(store, frame=1, distance=0)
    for frame, kind in [(1, "warp"), (2, "warp"), (3, "warp+region")]:
        add(store, frame=frame, distance=1, kind=kind)
    assert store.kind_counts(KEY) == {0: {"key": 1}, 1: {"warp": 2, "warp+region": 1}}


def test_kinds_are_counted_by_clip_and_distance(store):
    assert store.kind_counts_by_clip(KEY) == {}
    add(store, clip="b", frame=1, distance=0)
    for clip, frame, kind in [("b", 1, "warp"), ("a", 2, "warp"), ("a", 3, "warp"), ("a", 4, "warp+region")]:
        add(store, clip=clip, frame=frame, distance=1, kind=kind)
    assert store.kind_counts_by_clip(KEY) == {
        "a": {1: {"warp": 2, "warp+region": 1}},
        "b": {0: {"key": 1}, 1: {"warp": 1}},
    }


@pytest.mark.parametrize("distance", [-1, 3])
def test_a_distance_outside_the_gop_is_refused(store, distance):
    with pytest.raises(ShapeError, match=r"in 0\.\.2"):
        add(store, distance=distance)


@pytest.mark.parametrize(
    "confusion",
    [
        np.zeros((3, 3), np.int64),  # the cell has two classes
        np.zeros((2, 3), np.int64),
        np.zeros((2, 2), np.float64),
        np.full((2, 2), -1, np.int64),
    ],
)
def test_a_confusion_that_does_not_fit_the_cell_is_refused(store, confusion):
    with pytest.raises(ShapeError, match=r"must be \(2, 2\) int64 counts"):
        add(store, confusion=confusion)


def test_mixed_numbers_of_classes_are_found_when_summing(tmp_path):
    values = {name: getattr(CELL, name) for name in CELL.__dataclass_fields__}
    with Store.open(tmp_path) as store:
        store.add_cell(Cell(**values | {"class_names": ()}))
        add(store, frame=1)
        add(store, frame=2, confusion=np.zeros((3, 3), np.int64))
        with pytest.raises(StoreError, match="a, frame 2: 3 classes where other frames of the cell have 2"):
            store.confusion_by_distance(KEY)


def test_a_frame_is_seen_by_another_reader_as_soon_as_it_is_added(store):
    add(store)
    with Store.open(store.path, read_only=True) as reader:
        assert reader.done_frames(KEY) == {("a", 7, 0)}
        add(store, frame=8)
        assert reader.done_frames(KEY) == {("a", 7, 0), ("a", 8, 0)}


def test_a_snapshot_does_not_see_what_is_written_meanwhile(store):
    with Store.open(store.path, read_only=True) as reader:
        with reader.snapshot():
            assert reader.done_frames(KEY) == set()
            add(store)
            assert reader.done_frames(KEY) == set()
        assert reader.done_frames(KEY) == {("a", 7, 0)}


def test_a_snapshot_inside_a_snapshot_is_the_outer_one(store):
    with Store.open(store.path, read_only=True) as reader:
        with reader.snapshot():
            with reader.snapshot():
                assert reader.done_frames(KEY) == set()
            add(store)
            assert reader.done_frames(KEY) == set()
        assert reader.done_frames(KEY) == {("a", 7, 0)}


# ---- cost and latency ----


def test_costs_come_back_by_kind_and_the_last_one_counts(store):
    store.set_cost(KEY, "warp", macs={"convolution": 1}, uncounted={})
    store.set_cost(KEY, "key", macs={"convolution": 39_119_000_000, "linear": 5}, uncounted={"aten::fft": 2})
    store.set_cost(KEY, "warp", macs={"convolution": 7, "warp": 3}, uncounted={})
    assert list(store.costs(KEY)) == ["key", "warp"]
    cost = store.costs(KEY)["key"]
    assert (cost.macs, cost.uncounted) == ({"convolution": 39_119_000_000, "linear": 5}, {"aten::fft": 2})
    assert cost.flops == {"convolution": 78_238_000_000, "linear": 10}
    assert (cost.macs_at_full_share, cost.conventions) == (None, {})
    assert store.costs(KEY)["warp"].macs == {"convolution": 7, "warp": 3}


def test_latency_comes_back_in_the_order_in_which_it_was_measured(store):
    assert store.latency(KEY) is None
    samples = [(0, "key", 0.25), (1, "warp", 0.125), (2, "warp", 0.0625)]
    environment = {"device": "cpu", "threads": 1}
    store.set_latency(
        KEY, samples=samples, environment=environment, peak_memory_bytes=2**33, peak_memory_kind="process"
    )
    latency = store.latency(KEY)
    # the pass and the device's own time may be left out
    assert latency.samples == [(*sample, 0, None) for sample in samples]
    assert latency.environment == environment
    assert (latency.phases, latency.facts) == ([], {})
    assert (latency.peak_memory_bytes, latency.peak_memory_kind) == (2**33, "process")


def test_a_new_latency_replaces_the_old_one_whole(store):
    store.set_latency(KEY, samples=[(0, "key", 1.0), (1, "warp", 2.0)], environment={"device": "cpu"})
    store.set_latency(KEY, samples=[(0, "key", 3.0)], environment={"device": "cuda"})
    assert store.latency(KEY).samples == [(0, "key", 3.0, 0, None)]
    assert store.latency(KEY).environment == {"device": "cuda"}


def test_passes_device_times_parts_and_facts_come_back(store):
    phases = [(0, 0, "key", "model", 0.2), (0, 0, "key", "transfer", 0.05), (1, 1, "warp", "model", 0.1)]
    facts = {"lookahead_frames": 2, "fps": 30.0, "outputs": None, "decode_s": [0.001, 0.002]}
    samples = [(0, "key", 0.25, 0, 0.125), (1, "warp", 0.125, 3, None)]
    store.set_latency(KEY, samples=samples, environment={}, phases=phases, facts=facts)
    latency = store.latency(KEY)
    assert latency.samples == samples
    assert (latency.samples[0].device_seconds, latency.samples[1].pass_number) == (0.125, 3)
    assert latency.phases == phases
    assert latency.facts == facts
    store.set_latency(KEY, samples=samples[:1], environment={}, phases=phases[2:])
    assert store.latency(KEY).phases == phases[2:], "the old ones are gone"


def test_a_latency_that_stops_half_way_leaves_the_old_one(store):
    store.set_latency(KEY, samples=[(0, "key", 1.0)], environment={"device": "cpu"})
    with pytest.raises(StoreError):  # NULL where a kind is required: the second insert fails
        store.set_latency(KEY, samples=[(0, "key", 2.0), (1, None, 2.0)], environment={"device": "cuda"})
    assert store.latency(KEY).samples == [(0, "key", 1.0, 0, None)]
    assert store.latency(KEY).environment == {"device": "cpu"}


def test_stage_times_add_up_in_the_order_of_first_mention(store):
    store.add_stage("encode", 1.5, 3)
    store.add_stage("decode", 0.5)
    store.add_stage("encode", 0.25, 1)
    assert list(store.stages().items()) == [("encode", (1.75, 4)), ("decode", (0.5, 1))]


# ---- the file ----


def test_a_reopened_store_holds_what_was_written(tmp_path):
    with Store.open(tmp_path) as store:
        store.add_cell(CELL)
        add(store)
        store.set_cost(KEY, "key", macs={"convolution": 3}, uncounted={})
        before = snapshot(store)
    with Store.open(tmp_path) as store:
        assert snapshot(store) == before
    with Store.open(tmp_path / "results.sqlite", read_only=True) as store:
        assert snapshot(store) == before


def test_the_folder_is_made_and_holds_one_file_once_closed(tmp_path):
    Store.open(tmp_path / "runs" / "first").close()
    assert [path.name for path in (tmp_path / "runs" / "first").iterdir()] == ["results.sqlite"]


WRITER = """
import sys
import numpy as np
from pathlib import Path
from vssbench.store import Cell, Store
key = sys.argv[2]
store = Store.open(Path(sys.argv[1]))
store.add_cell(Cell(key=key, method="m", family="m", dataset="street", split="test", network="n",
                    codec="h264", gop_length=3))
for frame in range(int(sys.argv[3])):
    store.add_frame(key, clip="a", frame=frame, distance=frame % 3, kind="k",
                    confusion=np.full((2, 2), frame, np.int64))
    print(frame, flush=True)
"""


def run_writer(folder, frames):
    # the tests may run from anywhere, the package need not be installed
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), KEY, str(frames)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_a_killed_run_loses_no_frame_it_reported_and_continues_to_the_same_result(tmp_path):
    writer = run_writer(tmp_path / "killed", 10**6)
    seen = [int(next(writer.stdout)) for _ in range(20)]
    writer.send_signal(signal.SIGKILL)
    seen += [int(line) for line in writer.stdout if line.endswith("\n")]  # written before the kill arrived
    writer.wait()
    with Store.open(tmp_path / "killed", read_only=True) as store:
        done = {frame for _, frame, _ in store.done_frames(KEY)}
    assert set(seen) <= done
    assert len(done) - len(seen) in (0, 1)  # the frame in flight may be stored and not yet reported

    total = len(done) + 5
    assert run_writer(tmp_path / "killed", total).communicate()[0].splitlines()[-1] == str(total - 1)
    run_writer(tmp_path / "whole", total).communicate()
    with Store.open(tmp_path / "killed") as killed, Store.open(tmp_path / "whole") as whole:
        assert snapshot(killed) == snapshot(whole)


def test_a_file_left_empty_by_a_kill_is_begun_anew(tmp_path):
    (tmp_path / "results.sqlite").touch()
    with Store.open(tmp_path) as store:
        assert store.cells() == []


def test_an_empty_file_is_no_run_to_report(tmp_path):
    (tmp_path / "results.sqlite").touch()
    with pytest.raises(StoreError, match="is empty"):
        Store.open(tmp_path, read_only=True)


def test_a_store_of_another_version_is_refused_and_left_alone(tmp_path):
    Store.open(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "results.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = (tmp_path / "results.sqlite").read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"schema version 99, this vssbench reads \d+.*new run folder"):
            Store.open(tmp_path, read_only=read_only)
    assert (tmp_path / "results.sqlite").read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path):
    connection = sqlite3.connect(tmp_path / "results.sqlite")
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = (tmp_path / "results.sqlite").read_bytes()
    with pytest.raises(StoreError, match="another program"):
        Store.open(tmp_path)
    assert (tmp_path / "results.sqlite").read_bytes() == before


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_no_database_is_refused(tmp_path, read_only):
    (tmp_path / "results.sqlite").write_text("mIoU 71.2\n" * 200)
    with pytest.raises(StoreError, match=r"results\.sqlite: .*not a database; .*move it away"):
        Store.open(tmp_path, read_only=read_only)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/run cannot be made: .*; give a folder you can write"):
        Store.open(tmp_path / "file" / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="make the run folder writable"):
        Store.open(tmp_path)
    tmp_path.chmod(0o700)


def test_a_store_opened_for_reading_takes_nothing(store):
    with (
        Store.open(store.path, read_only=True) as reader,
        pytest.raises(StoreError, match="make the run folder writable"),
    ):
        reader.set_status(KEY, "done")


def test_reading_where_there_is_nothing_makes_nothing(tmp_path):
    with pytest.raises(StoreError, match="does not exist: give the folder of a run"):
        Store.open(tmp_path / "none", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_confusion_is_reported_not_summed(store):
    add(store)
    connection = sqlite3.connect(store.path)
    connection.execute("UPDATE frames SET confusion = x'00'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="counts in the store are damaged"):
        store.confusion_by_distance(KEY)


def test_a_cost_keeps_its_other_end_and_the_counts_of_print(store):
    store.set_cost(
        KEY,
        "non-key",
        macs={"convolution": 3},
        uncounted={},
        macs_at_full_share={"convolution": 3, "linear": 4},
        conventions={"thop": 7, "arseg-paper": "no system of that paper"},
    )
    cost = store.costs(KEY)["non-key"]
    assert cost.macs_at_full_share == {"convolution": 3, "linear": 4}
    assert cost.conventions == {"thop": 7, "arseg-paper": "no system of that paper"}


def test_shares_are_averaged_by_clip_distance_and_kind(store):
    for frame, share in ((7, 0.25), (8, 0.75), (9, None)):
        store.add_frame(
            KEY, clip="a", frame=frame, distance=1, kind="non-key", confusion=counts(1, 0, 0, 1), share=share
        )
    add(store, frame=10, distance=2)
    assert store.mean_shares_by_clip(KEY) == {"a": {1: {"non-key": 0.5}}}
    assert [row.share for row in store.confusions(KEY)] == [0.25, 0.75, None, None]


def test_stability_comes_back_as_it_went_in(store):
    windows = np.arange(80, dtype=np.int64).reshape(16, 5)
    rows = [
        StabilityRow("a", 0, 0, windows, None, None),
        StabilityRow("a", 0, 1, windows + 1, counts(1, 2, 3, 4), counts(5, 6, 7, 8)),
        StabilityRow("a", 0, 2, None, counts(0, 0, 0, 9), None),
    ]
    for row in rows:
        store.add_stability(KEY, row)
    store.add_stability(KEY, StabilityRow("a", 0, 0, windows + 7, None, None))  # the first note stays
    assert store.stability_frames(KEY) == {("a", 0, 0), ("a", 0, 1), ("a", 0, 2)}
    came = list(store.stability(KEY))
    assert [row[:3] for row in came] == [("a", 0, 0), ("a", 0, 1), ("a", 0, 2)]
    for row, wanted in zip(came, rows, strict=True):
        for got, want in zip(row[3:], wanted[3:], strict=True):
            assert (got is None) == (want is None)
            np.testing.assert_array_equal(got, want)

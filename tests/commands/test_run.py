from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_weights import write_tiny_weights

import reports.write
import run_bench
from vssbench.store import Store

TABLES = ("table", "by_distance", "per_class", "cost", "bd")


def tables(out: Path) -> dict[str, bytes]:
    return {f"{n}.{s}": (out / f"summary/{n}.{s}").read_bytes() for n in TABLES for s in ("md", "tex", "csv")}


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "summary/table.csv").open() as file:
        return {row["method"]: row for row in csv.DictReader(file)}


def stored_frames(out: Path) -> int:
    try:
        with sqlite3.connect(f"file:{out / 'results.sqlite'}?mode=ro", uri=True) as connection:
            return connection.execute("SELECT count(*) FROM frames").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def test_a_run_leaves_store_manifest_tables_and_figures(bench, tmp_path, capsys):
    assert bench(tmp_path / "run", "--methods", "arseg,taplab,reuse", figures=True) == 0
    out = tmp_path / "run"
    printed = capsys.readouterr().out
    assert "constant@1.0" in printed
    assert "taplab:ffw+rgc+rgfs@0.1" in printed
    for name in (*TABLES, "latency"):
        assert (out / f"summary/{name}.md").stat().st_size > 0
    for name in ("accuracy_cost", "accuracy_distance"):
        for suffix in ("svg", "pdf", "png"):
            assert (out / f"figures/{name}.{suffix}").stat().st_size > 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert {member["name"] for member in manifest["members"]} >= {"constant@1.0", "arseg@0.5", "taplab:ffw"}
    assert manifest["sessions"][0]["environment"]["torch"]


def test_every_annotated_frame_is_tested_once_at_every_distance(bench, tmp_path):
    assert bench(tmp_path / "run", "--methods", "guess", "--no-latency") == 0
    with Store.open(tmp_path / "run", read_only=True) as store:
        cell = next(cell for cell in store.cells() if cell.method == "guess")
        # two videos of 8 frames, L = 4: frames 3..7 have three frames before them
        expected = {(clip, frame, d) for clip in ("test_0000", "test_0001") for frame in range(3, 8) for d in range(4)}
        assert store.done_frames(cell.key) == expected
        # "guess" says class 3 everywhere, so every count is in that column
        assert store.confusion_by_distance(cell.key)[..., np.arange(11) != 3].sum() == 0


def test_each_stream_is_decoded_once_for_all_methods(bench, tmp_path):
    counts = {}
    for name, methods in (("one", "guess"), ("many", "guess,arseg,taplab,reuse")):
        assert bench(tmp_path / name, "--methods", methods, "--no-latency", "--cache", str(tmp_path / "streams")) == 0
        with Store.open(tmp_path / name, read_only=True) as store:
            counts[name] = store.stages()["decoded frames"][1]
    assert counts["one"] == counts["many"] > 0


def test_operations_are_those_of_the_kinds_that_ran(bench, tmp_path):
    assert bench(tmp_path / "run", "--methods", "reuse:prediction,arseg", "--no-latency") == 0
    table = rows(tmp_path / "run")
    full = float(table["constant@1.0"]["gmacs_gop"])
    # the key frame in full, three copies that execute nothing: a quarter
    assert float(table["reuse:prediction"]["gmacs_gop"]) == pytest.approx(full / 4)
    arseg = table["arseg@0.5"]
    mean = (float(arseg["gmacs_key"]) + 3 * float(arseg["gmacs_nonkey"])) / 4
    assert float(arseg["gmacs_gop"]) == pytest.approx(mean)
    assert float(arseg["gmacs_key"]) == pytest.approx(full)
    assert 0 < float(arseg["gmacs_nonkey"]) < full


@pytest.mark.slow
def test_a_killed_run_goes_on_and_its_tables_are_the_same_bytes(spawn, bench, tmp_path):
    methods = ("--methods", "slow,taplab:ffw+rgc", "--no-latency", "--cache", str(tmp_path / "streams"))
    assert bench(tmp_path / "whole", *methods) == 0
    process = spawn(tmp_path / "killed", *methods, TINY_SLEEP_S="0.15")
    deadline = time.monotonic() + 120
    while stored_frames(tmp_path / "killed") < 30 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    before = stored_frames(tmp_path / "killed")
    assert 30 <= before < stored_frames(tmp_path / "whole"), "killed half-way"
    assert bench(tmp_path / "killed", *methods) == 0
    assert tables(tmp_path / "killed") == tables(tmp_path / "whole")


def test_a_finished_run_asked_for_again_measures_nothing_anew(bench, tmp_path):
    assert bench(tmp_path / "run", "--methods", "guess") == 0
    before = tables(tmp_path / "run")
    with Store.open(tmp_path / "run", read_only=True) as store:
        decoded = store.stages()["decoded frames"][1]
    assert bench(tmp_path / "run", "--methods", "guess") == 0
    assert tables(tmp_path / "run") == before
    with Store.open(tmp_path / "run", read_only=True) as store:
        assert store.stages()["decoded frames"][1] == decoded


def test_a_method_can_be_added_to_a_finished_run(bench, tmp_path):
    assert bench(tmp_path / "run", "--methods", "guess", "--no-latency") == 0
    assert bench(tmp_path / "run", "--methods", "reuse:prediction", "--no-latency") == 0
    assert {"guess", "reuse:prediction", "constant@1.0"} <= rows(tmp_path / "run").keys()


def test_another_condition_does_not_mix_into_a_run_folder(bench, tmp_path, capsys):
    assert bench(tmp_path / "run", "--methods", "guess", "--no-latency") == 0
    assert bench(tmp_path / "run", "--methods", "guess", "--no-latency", "--gop", "5") == 2
    assert "another encoding" in capsys.readouterr().err
    assert bench(tmp_path / "run", "--methods", "guess", "--no-latency", "--gop", "5", "--force") == 0


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("fails", "the third frame is too much"),
        ("nan", "NaN"),
        ("wrong-size", "labels must be"),
        ("out-of-range", "class 11"),
    ],
)
def test_a_failing_method_is_noted_and_the_others_go_on(bench, tmp_path, capsys, method, said):
    assert bench(tmp_path / "run", "--methods", f"{method},guess", "--no-latency") == 1
    assert said in capsys.readouterr().err
    table = rows(tmp_path / "run")
    assert table[method]["status"] == "failed"
    assert said in table[method]["error"]
    assert table["guess"]["status"] == "done"


def test_fail_fast_stops_at_the_first_failure(bench, tmp_path):
    with pytest.raises(RuntimeError, match="third frame"):
        bench(tmp_path / "run", "--methods", "fails,guess", "--no-latency", "--fail-fast")


def test_two_codecs_give_a_table_each(bench, tmp_path):
    assert bench(tmp_path / "run", "--methods", "taplab:ffw", "--codec", "hevc,mpeg4", "--no-latency", "-L", "2") == 0
    with (tmp_path / "run/summary/table.csv").open() as file:
        found = {(row["codec"], row["method"]) for row in csv.DictReader(file)}
    assert {("hevc", "taplab:ffw"), ("mpeg4", "taplab:ffw"), ("hevc", "constant@1.0")} <= found


def test_a_limit_tests_so_many_frames_and_marks_the_run_partial(bench, tmp_path):
    assert bench(tmp_path / "run", "--methods", "guess", "--no-latency", "-L", "2") == 0
    with Store.open(tmp_path / "run", read_only=True) as store:
        for cell in store.cells():
            assert cell.partial
            assert {frame for _, frame, _ in store.done_frames(cell.key)} == {3, 4}
    assert "partial" in (tmp_path / "run/summary/table.md").read_text()


def test_single_stream_tests_each_frame_once(bench, tmp_path):
    assert bench(tmp_path / "run", "--methods", "guess", "--no-latency", "--protocol", "single-stream") == 0
    with Store.open(tmp_path / "run", read_only=True) as store:
        done = store.done_frames(next(cell.key for cell in store.cells() if cell.method == "guess"))
    assert done == {(clip, i, i % 4) for clip in ("test_0000", "test_0001") for i in range(8)}


def test_latency_is_measured_by_kind_of_frame(bench, tmp_path):
    assert bench(tmp_path / "run", "--methods", "arseg", "-L", "1") == 0
    with Store.open(tmp_path / "run", read_only=True) as store:
        latency = store.latency(next(cell.key for cell in store.cells() if cell.method == "arseg@0.5"))
    # the first stream has two GOPs of four frames
    assert [(s.distance, s.kind) for s in latency.samples[:5]] == [
        *[(0, "key"), (1, "non-key"), (2, "non-key"), (3, "non-key"), (0, "key")]
    ]
    assert all(sample.seconds > 0 for sample in latency.samples)
    assert latency.peak_memory_bytes > 0


def test_a_dry_run_prints_the_plan_and_writes_nothing(bench, tmp_path, capsys):
    assert bench(tmp_path / "run", "--methods", "guess", "--dry-run") == 0
    # per phase 0..3 the frames from the key frame of the first tested frame on: 8, 7, 6, 5; two videos
    assert "3 methods x 52 steps, 40 tested frames each" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_an_interrupted_run_exits_130_says_how_to_go_on_and_does(bench, tmp_path, capsys, monkeypatch):
    methods = ("--methods", "interrupted", "--no-latency")
    monkeypatch.setenv("TINY_INTERRUPT", "1")
    assert bench(tmp_path / "run", *methods) == 130
    assert f"-o {tmp_path / 'run'}" in capsys.readouterr().err
    before = stored_frames(tmp_path / "run")
    assert before > 0
    monkeypatch.delenv("TINY_INTERRUPT")
    assert bench(tmp_path / "run", *methods) == 0
    assert stored_frames(tmp_path / "run") > before


def test_reports_can_be_written_again_from_the_store(bench, tmp_path, capsys):
    assert bench(tmp_path / "run", "--methods", "guess", "--no-latency") == 0
    before = tables(tmp_path / "run")
    shutil.rmtree(tmp_path / "run/summary")
    assert run_bench.main(["report", str(tmp_path / "run")]) == 0
    assert tables(tmp_path / "run") == before
    assert run_bench.main(["report", str(tmp_path)]) == 2
    assert "no run folder" in capsys.readouterr().err


def test_the_fits_behind_the_differences_are_drawn_on_request_only(bench, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(reports.write, "write_bd_fits", lambda frame, folder: drawn.append((len(frame), folder)))
    assert bench(tmp_path / "run", "--methods", "guess", "--no-latency") == 0
    assert run_bench.main(["report", str(tmp_path / "run")]) == 0
    assert drawn == []
    assert run_bench.main(["report", str(tmp_path / "run"), "--bd-fit"]) == 0
    ((rows, folder),) = drawn
    assert rows > 0
    assert folder == tmp_path / "run/figures"


def test_weights_trained_anew_take_the_place_of_the_old_in_the_tables(bench, tmp_path, weights):
    """Both stay in the store; the table shows the run that was asked for last."""
    other = write_tiny_weights(tmp_path / "other", seed=1)
    methods = ("--methods", "constant", "--no-latency", "-L", "1")
    assert bench(tmp_path / "run", *methods) == 0
    old = rows(tmp_path / "run")["constant@1.0"]["key"]
    assert bench(tmp_path / "run", *methods, "--weights", str(other)) == 0
    new = rows(tmp_path / "run")
    assert set(new) == {"constant@1.0", "constant@0.5"}
    assert new["constant@1.0"]["key"] != old


def test_listing_names_all_methods_data_sets_and_networks(capsys):
    for what, names in (
        ("methods", ["constant", "arseg:release", "taplab:ffw+rgc+rgfs", "reuse:features", "tfc:hard"]),
        ("datasets", ["street", "camvid-sequence", "camvid-stills", "cityscapes", "sparse-video"]),
        ("networks", ["bisenet18", "pspnet18-camvid", "pspnet18-cityscapes", "segformer-b5-256"]),
    ):
        assert run_bench.main(["ls", what]) == 0
        said = capsys.readouterr().out
        assert all(name in said for name in names)


@pytest.mark.gpu
def test_the_main_job_on_cuda_gives_the_labels_of_the_cpu(bench, tmp_path, cuda):
    methods = ("--methods", "arseg,taplab,reuse")
    assert bench(tmp_path / "cpu", *methods, "--no-latency") == 0
    assert bench(tmp_path / "cuda", *methods, "--device", str(cuda)) == 0
    on_cpu, on_cuda = rows(tmp_path / "cpu"), rows(tmp_path / "cuda")
    assert on_cpu.keys() == on_cuda.keys()
    for name, row in on_cpu.items():
        assert float(on_cuda[name]["miou_percent"]) == pytest.approx(float(row["miou_percent"]), abs=0.05)
        assert on_cuda[name]["gmacs_gop"] == row["gmacs_gop"]

"""A run of single streams from its command to its figures: no range over d, stability of every frame."""

from __future__ import annotations

import csv

import pytest

import run_bench


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    return tmp_path_factory.mktemp("streams")


def test_a_single_stream_run_ends_with_its_figures_and_its_summary(bench, streams, tmp_path, capsys):
    out = tmp_path / "run"
    words = ("--methods", "taplab:ffw+rgfs@0.3,reuse", "--no-latency", "--protocol", "single-stream")
    assert bench(out, *words, "--cache", str(streams), figures=True) == 0
    for name in ("accuracy_cost", "accuracy_distance", "stability"):
        for suffix in ("svg", "pdf", "png"):
            assert (out / f"figures/{name}.{suffix}").stat().st_size > 0, name
    printed = capsys.readouterr().out
    assert "single-stream" in printed
    for method in ("constant@1.0", "constant@0.5", "reuse:features", "taplab:ffw+rgfs@0.3"):
        assert f"\n{method} " in printed, printed
    with (out / "summary/stability.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    for method, row in rows.items():
        # two videos of 8 frames, all labelled: a window of 8 and seven pairs each
        assert (row["mvc8_windows"], row["tc_pairs"], row["tc_labels_pairs"]) == ("2", "14", "14"), method
        assert 0 <= float(row["mvc8_percent"]) <= 100, method


def test_a_single_stream_run_is_valid_in_its_stability(bench, streams, tmp_path, capsys):
    out = tmp_path / "run"
    words = ("--methods", "guess", "--no-latency", "--protocol", "single-stream", "--cache", str(streams))
    assert bench(out, *words) == 0
    capsys.readouterr()
    run_bench.main(["check", str(out)])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if " same-stability-frames " in line]
    assert line.startswith("ok")

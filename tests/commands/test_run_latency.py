"""The timing stage of the main job, end to end on a tiny street."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import run_bench
from vssbench.latency import backends
from vssbench.runner import speed
from vssbench.runner.timed_clips import DECODE_TURNS
from vssbench.store import Store

WAITS = """
import numpy as np
from vssbench.records import Method, Step

class Waits(Method):
    lookahead_frames = 2
    def __init__(self, bench):
        pass
    def step(self, frame):
        return Step(labels=np.zeros(frame.rgb.shape[:2], np.uint8), kind="frame")

METHODS = {"waits": Waits}
"""


RARE = """
import numpy as np
import torch
from vssbench.records import Method, Step

class Rare(Method):
    "Of the second video, which is brighter, the sixth frame of a stream is other work and 3 MiB of it."
    def __init__(self, bench):
        self.bench = bench
    def reset(self):
        self.number = 0
    def step(self, frame):
        self.number += 1
        rare = self.number == 6 and frame.rgb.mean() > 108
        if rare:
            torch.ones(3 * 2**18, device=self.bench.device)
        return Step(labels=np.zeros(frame.rgb.shape[:2], np.uint8), kind="rare" if rare else "frame")

METHODS = {"rare": Rare}
"""


def latency_of(out: Path, method: str):
    with Store.open(out, read_only=True) as store:
        return store.latency(next(cell.key for cell in store.cells() if cell.method == method))


def row_of(out: Path, method: str) -> dict[str, str]:
    with (out / "summary/latency.csv").open() as file:
        return next(row for row in csv.DictReader(file) if row["method"] == method)


@pytest.fixture(scope="module")
def timed(weights, tmp_path_factory):
    """One run of AR-Seg in four passes over two GOPs of four frames."""
    from conftest import PLUGIN

    out = tmp_path_factory.mktemp("timed")
    words = ["run", "--plugin", PLUGIN, "--dataset", "tiny-street", "--weights", str(weights), "--gop", "4", "-q"]
    assert run_bench.main([*words, "--methods", "arseg", "-L", "1", "-o", str(out)]) == 0
    return out


def test_four_passes_over_two_gops_are_kept_with_their_numbers(timed):
    latency = latency_of(timed, "arseg@0.5")
    assert [s.pass_number for s in latency.samples] == [n for n in range(4) for _ in range(8)]
    assert {s.device_seconds for s in latency.samples} == {None}, "the CPU has no clock of its own"


def test_the_parts_of_every_step_are_stored(timed):
    by_step: dict[int, set[str]] = {}
    for part in latency_of(timed, "arseg@0.5").phases:
        by_step.setdefault(part.number, set()).add((part.kind, part.phase))
    assert len(by_step) == 8
    assert by_step[0] == {("key", name) for name in ("transfer", "model", "post-processing")}
    assert by_step[1] == {("non-key", name) for name in ("transfer", "side information", "model", "post-processing")}


def test_decoding_memory_and_machine_are_stored_beside_the_times(timed):
    latency = latency_of(timed, "arseg@0.5")
    facts = latency.facts
    assert (facts["lookahead_frames"], facts["outputs"]) == (0, None)
    # passes over the two GOPs, without and with the vectors in turns
    shapes = [[len(seconds) for seconds in facts[name]] for name in ("decode_s", "decode_with_side_s")]
    assert shapes == [[8] * DECODE_TURNS] * 2
    assert all(second > 0 for seconds in facts["decode_s"] for second in seconds)
    assert (facts["needs"], latency_of(timed, "constant@1.0").facts["needs"]) == (["motion_to_key"], [])
    assert set(facts["peak_memory_of"]) == {"key", "non-key"}
    assert latency.peak_memory_bytes >= max(facts["peak_memory_of"].values())
    assert set(facts["machine"]) >= {"busy_by_others", "throttled", "cpu_mhz", "gpu_reasons"}
    assert (latency.environment["backend"], latency.environment["batch"]) == ("eager", 1)
    assert latency_of(timed, "constant@1.0").facts["decode_s"] == facts["decode_s"], "decoded once for all methods"


def test_the_table_has_every_column_of_a_step(timed):
    row = row_of(timed, "arseg@0.5")
    parts = ("transfer", "side_information", "model", "post-processing")
    assert all(float(row[f"latency_phase_{part}_ms"]) > 0 for part in parts)
    assert float(row["latency_gop_ms"]) > 0
    assert float(row["latency_throughput_fps"]) == pytest.approx(1000 / float(row["latency_gop_mean_ms"]))
    assert float(row["latency_aa_percent"]) >= 0
    assert row["latency_n"] == "32"
    assert row["latency_p90_ms"] == "", "32 samples do not settle a 90th percentile"
    text = (timed / "summary/latency.md").read_text()
    assert "| arseg@0.5 | non-key |" in text
    assert "reading side information (ms)" in text
    assert "\n- clocks: processors " in text
    assert "p90 n/a: 32 of 64 samples (--repeats 8 gives them)" in text
    assert row["latency_side_information_low_ms"] != ""
    assert "CUDA events" not in text


def test_two_timings_that_differ_are_called_too_noisy(bench, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(speed, "aa_difference", lambda steps: 0.031)
    assert bench(tmp_path / "run", "--methods", "guess", "-L", "1") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "guess: too noisy: timed twice in turn, it differs from itself by 3.1 %, more than 3 %" in said


def test_a_quiet_machine_is_not_called_noisy(bench, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(speed, "aa_difference", lambda steps: 0.029)
    assert bench(tmp_path / "run", "--methods", "guess", "-L", "1") == 0
    assert "noisy" not in capsys.readouterr().err


def test_a_method_that_waits_pays_at_the_frame_rate(bench, tmp_path):
    (tmp_path / "waits.py").write_text(WAITS)
    assert bench(tmp_path / "run", "--plugin", str(tmp_path / "waits.py"), "--methods", "waits", "-L", "1") == 0
    row, latency = row_of(tmp_path / "run", "waits"), latency_of(tmp_path / "run", "waits")
    assert row["latency_lookahead_frames"] == "2"
    assert float(row["latency_waiting_ms"]) == pytest.approx(2000 / latency.facts["fps"])


@pytest.mark.parametrize("backend", ["channels_last", "bf16"])
def test_a_backend_is_part_of_the_condition_and_held_against_the_eager_network(bench, tmp_path, backend, monkeypatch):
    # logits of random weights are nearly equal, so bfloat16 moves many labels: the share is what is tested here
    monkeypatch.setitem(backends.LIMITS, "bf16", 1.0)
    assert bench(tmp_path / "run", "--methods", "arseg", "-L", "1", "--backend", backend) == 0
    latency = latency_of(tmp_path / "run", "arseg@0.5")
    outputs = latency.facts["outputs"]
    assert (outputs["pixels"], outputs["frames"], outputs["kinds"]) == (8 * 64 * 96, 8, ["key", "non-key"])
    assert outputs["differing"] / outputs["pixels"] == outputs["share"] <= outputs["limit"]
    (condition,) = json.loads((tmp_path / "run/manifest.json").read_text())["conditions"]
    dtype = {"channels_last": "float32", "bf16": "bfloat16 (autocast)"}[backend]
    assert (condition["backend"], condition["dtype"], condition["batch"]) == (backend, dtype, 1)
    assert latency.environment["dtype"] == dtype


def test_a_kind_that_only_another_video_has_is_compared_timed_and_its_memory_measured(bench, tmp_path):
    (tmp_path / "rare.py").write_text(RARE)
    words = ("--plugin", str(tmp_path / "rare.py"), "--methods", "rare", "--backend", "channels_last")
    assert bench(tmp_path / "run", *words) == 0
    latency = latency_of(tmp_path / "run", "rare")
    # a stretch is a video of eight frames; the second one's sixth frame is the first of its kind
    assert [sample.kind for sample in latency.samples].index("rare") == 8 + 5
    assert (latency.facts["outputs"]["frames"], latency.facts["outputs"]["kinds"]) == (16, ["frame", "rare"])
    assert latency.facts["peak_memory_of"]["rare"] >= 3 * 2**20
    assert "(--repeats" in row_of(tmp_path / "run", "rare")["latency_percentiles_note"]


def test_labels_that_are_not_the_eager_networks_have_no_time(bench, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(backends.LIMITS, "channels_last", -1.0)  # not even equal labels pass
    assert bench(tmp_path / "run", "--methods", "guess", "-L", "1", "--backend", "channels_last") == 4
    said = " ".join(capsys.readouterr().err.split())
    assert "guess failed" in said
    assert "pixels otherwise than the eager one" in said
    assert latency_of(tmp_path / "run", "guess") is None


def test_another_backend_does_not_mix_into_a_run_folder(bench, tmp_path, capsys):
    assert bench(tmp_path / "run", "--methods", "guess", "-L", "1", "--no-latency") == 0
    again = ("--methods", "guess", "-L", "1", "--no-latency", "--backend", "channels_last")
    assert bench(tmp_path / "run", *again) == 2
    assert "another backend" in capsys.readouterr().err


def test_compiled_without_a_compiler_is_wrong_usage_before_anything_runs(bench, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert bench(tmp_path / "run", "--methods", "guess", "--backend", "compiled") == 2
    assert "no C++ compiler was found" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.gpu
def test_cuda_events_stand_beside_the_hosts_clock(bench, tmp_path, cuda):
    assert bench(tmp_path / "run", "--methods", "arseg", "-L", "1", "--device", str(cuda)) == 0
    latency = latency_of(tmp_path / "run", "arseg@0.5")
    assert all(0 < s.device_seconds <= 1.05 * s.seconds for s in latency.samples)
    assert float(row_of(tmp_path / "run", "arseg@0.5")["latency_gop_device_ms"]) > 0
    assert "GOP, of medians, CUDA events (ms)" in (tmp_path / "run/summary/latency.md").read_text()

"""Every rule of `vssbench check`: a run that breaks it, and nothing else, is told which numbers and how to mend it."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from checked_run import good_run, write_run

from vssbench.runner.run_facts import read_run
from vssbench.runner.validity.rules import RULES, TIMING, findings
from vssbench.runner.validity.stability import same_stability_frames

ARSEG = "arseg@0.5"
SPOILT = {}  # name of the rule -> [(function that spoils a good run, what must be said)]


def spoils(rule, said):
    def note(function):
        SPOILT.setdefault(rule, []).append((function, said))
        return function

    return note


def cell(run, method=ARSEG):
    return run["cells"][method]


def every_condition(run, **changes):
    for condition in [*run["conditions"], *(spec["condition"] for spec in run["cells"].values())]:
        condition.update(changes)


@spoils("recorded", "session 1 does not record torch")
def version_missing(run):
    del run["sessions"][0]["environment"]["torch"]


@spoils("recorded", "arseg@0.5 (hevc) does not record seed")
def seed_missing(run):
    for spec in run["cells"].values():
        del spec["condition"]["seed"]


@spoils("manifest", "arseg@0.5 (hevc) is in the manifest alone")
def cell_lost(run):
    run["hidden"].add(ARSEG)


@spoils("manifest", "arseg@0.5 (hevc) has a key that is not its condition's")
def condition_changed(run):
    cell(run)["key"] = "0" * 64


@spoils("manifest", "arseg@0.5 (hevc) is called arseg@0.4 (hevc) in the manifest")
def name_changed(run):
    run["renamed"][ARSEG] = "arseg@0.4"


@spoils("finished", "arseg@0.5 (hevc) is failed: timing: NaN")
def failed(run):
    cell(run).update(status="failed", error="timing: NaN")


@spoils("codecs", "mpeg4 was asked for, and no method was measured on it")
def codec_without_methods(run):
    run["conditions"].append({**run["conditions"][0], "encoding": {"codec": "mpeg4", "gop_length": 2}})


@spoils("whole-split", "arseg@0.5 (hevc) was tested on a part, annotated frames: 4")
def limited(run):
    every_condition(run, partial=True)


@spoils("clean-code", "session 1 ran commit cccccccccccc with changes that are in no commit")
def modified(run):
    run["sessions"][0]["git"]["modified"] = True


@spoils("clean-code", "sessions ran commits bbbbbbbbbbbb, cccccccccccc")
def two_commits(run):
    run["sessions"].append({**run["sessions"][0], "git": {"commit": "b" * 40}})


@spoils("same-machine", "session 2 differs from the first in cpu, torch")
def two_machines(run):
    other = run["sessions"][0]["environment"] | {"cpu": "another", "torch": "2.0"}
    run["sessions"].append({**run["sessions"][0], "environment": other})


@spoils("calibration", "arseg@0.5 (hevc) was calibrated on the split test, which is tested")
def calibrated_on_the_test(run):
    calibrated(run, split="test", content_sha256="e" * 64)


@spoils("calibration", "arseg@0.5 (hevc) was calibrated on the split train, whose content is that of the test")
def calibrated_on_the_test_by_another_name(run):
    calibrated(run, split="train", content_sha256="d" * 64)


@spoils("calibration", "arseg@0.5 (hevc) does not record the split and the content of the clips")
def calibrated_on_who_knows_what(run):
    cell(run)["condition"]["calibration"] = {"rgfs_threshold_mean": "3.1", "on": "8 videos of train"}


def calibrated(run, **clips):
    cell(run)["condition"]["calibration"] = {"rgfs_threshold_mean": "3.1", "on": {"videos": 8, **clips}}


@spoils("planned-frames", "arseg@0.5 (hevc) has 8 of 16 tests")
def frames_missing_everywhere(run):
    every_condition(run, tests=16)


@spoils("same-labels", "street test, hevc: arseg@0.5 and constant@1.0 have other labels in 1 tests")
def labels_changed(run):
    kind, confusion = cell(run)["frames"]["a", 3, 1]
    # the same prediction of another label
    cell(run)["frames"]["a", 3, 1] = (kind, confusion + np.array([[-1, 0], [1, 0]]))


ALONE = "frames of stability are of arseg@0.5 on n or constant@1.0 on n alone"


@spoils("same-stability-frames", f"street test, hevc: 1 {ALONE}")
def stability_of_a_frame_missing(run):
    cell(run)["followed"].pop()


@spoils("same-stability-frames", f"street test, hevc: 6 {ALONE}")
def stability_never_noted(run):
    cell(run)["followed"].clear()


@spoils("same-stability-frames", f"street test, hevc: 2 {ALONE}")
def stability_of_another_stream(run):
    cell(run)["followed"][-1] = ("b", 2, 2)


@spoils("same-conditions", "street test, hevc: arseg@0.5 differs from constant@1.0 in seed")
def other_seed(run):
    cell(run)["condition"]["seed"] = 1


@spoils("curve-points", "street test, hevc: arseg has 2 points, 1 of them different, a fit needs 4")
def two_points(run):
    spec = good_run()["cells"][ARSEG]
    spec["condition"]["method"] = "arseg@0.3"
    run["cells"]["arseg@0.3"] = spec


@spoils("curve-points", "street test, hevc: constant has 3 points, a fit needs 4")
def three_anchors(run):
    del run["cells"]["constant@0.3"]


@spoils("curve-points", "street test, hevc: constant has 4 points, 3 of them different, a fit needs 4")
def two_anchors_of_one_cost(run):
    run["cells"]["constant@0.5"]["costs"]["frame"] = {"macs": {"convolution": 8}}


@spoils("every-kind-counted", "arseg@0.5 (hevc) has no count for non-key")
def cost_missing(run):
    del cell(run)["costs"]["non-key"]


@spoils("every-operator-counted", "arseg@0.5 (hevc), key: aten::fft (7)")
def operator_uncounted(run):
    cell(run)["costs"]["key"] = {"uncounted": {"aten::fft": 7}}


def in_shares(run, *shares):
    """The non-key frames of AR-Seg, four of them, do these shares of their work in turn."""
    non_key = [where for where, (kind, _) in cell(run)["frames"].items() if kind == "non-key"]
    cell(run)["shares"] = {where: shares[number % len(shares)] for number, where in enumerate(non_key)}
    cell(run)["costs"]["non-key"] = {"macs_at_full_share": {"convolution": 9}}


@spoils("shares-counted", "arseg@0.5 (hevc), non-key: no count at full share")
def full_share_uncounted(run):
    in_shares(run, 0.5)
    cell(run)["costs"]["non-key"] = {}


@spoils("shares-counted", "arseg@0.5 (hevc), non-key: 2 of 4 frames have no share")
def shares_of_some_frames(run):
    in_shares(run, 0.5, None)


@spoils("shares-counted", "arseg@0.5 (hevc), non-key: shares from 0.5 to 1.2, where 0 is none and 1 is all")
def more_than_all(run):
    in_shares(run, 0.5, 1.2)


@spoils("shares-counted", "arseg@0.5 (hevc), non-key: fewer MACs at full share (4) than at none (5)")
def less_work_for_more(run):
    in_shares(run, 0.5)
    cell(run)["costs"]["non-key"] = {"macs_at_full_share": {"convolution": 4}}


@spoils("shares-counted", "arseg@0.5 (hevc), non-key: counted at full share, and no frame has a share")
def counted_in_shares_alone(run):
    cell(run)["costs"]["non-key"] = {"macs_at_full_share": {"convolution": 9}}


@spoils("print-conventions", "arseg@0.5 (hevc), key: no count of print, and no reason")
def no_convention(run):
    cell(run)["costs"]["key"] = {"conventions": {}}


@spoils("print-conventions", "arseg@0.5 (hevc), key: thop is '', neither a count nor a reason")
def convention_without_a_reason(run):
    cell(run)["costs"]["key"] = {"conventions": {"thop": ""}}


@spoils("all-timed", "arseg@0.5 (hevc) was not timed")
def one_untimed(run):
    cell(run)["latency"] = None


@spoils("every-kind-timed", "arseg@0.5 (hevc): non-key was tested and not timed")
def kind_untimed(run):
    cell(run)["latency"]["samples"] = [(d, "key", s, p) for d, _, s, p in cell(run)["latency"]["samples"]]


@spoils("timed-alike", "street test, hevc: arseg@0.5 differs from constant@1.0 in torch_threads")
def other_threads(run):
    cell(run)["latency"]["environment"]["torch_threads"] = 1


@spoils("timed-alike", "street test, hevc: arseg@0.5 differs from constant@1.0 in gpu_driver, cuda")
def other_driver(run):
    cell(run)["latency"]["environment"].update(gpu_driver="550.1", cuda="12.4")


@spoils("timed-alike", "street test, hevc: arseg@0.5 differs from constant@1.0 in passes")
def other_passes(run):
    cell(run)["latency"]["environment"]["passes"] = 8


@spoils("enough-samples", "arseg@0.5 (hevc) has 62 timed frames, p90 needs 64")
def few_samples(run):
    cell(run)["latency"]["samples"] = cell(run)["latency"]["samples"][2:]


@spoils("quiet", "arseg@0.5 (hevc) differs from itself by 4.0 %")
def noisy(run):
    samples = cell(run)["latency"]["samples"]
    cell(run)["latency"]["samples"] = [(d, k, s * (1.04 if p in (1, 2) else 1), p) for d, k, s, p in samples]


@spoils("quiet", "arseg@0.5 (hevc) was timed in one pass, which cannot tell noise")
def one_pass(run):
    cell(run)["latency"]["samples"] = [(d, k, s, 0) for d, k, s, _ in cell(run)["latency"]["samples"]]


@spoils("not-throttled", "arseg@0.5 (hevc), cpu_mhz [1200, 3000]")
def hot(run):
    cell(run)["latency"]["facts"]["machine"].update(throttled=True, cpu_mhz=[1200, 3000])


@spoils("alone", "arseg@0.5 (hevc): others used 40 % of the processors")
def busy(run):
    cell(run)["latency"]["facts"]["machine"]["busy_by_others"] = 0.4


def all_in_bf16(run):
    every_condition(run, backend="bf16")
    for spec in run["cells"].values():
        spec["latency"]["environment"]["backend"] = "bf16"
        kinds = sorted({sample[1] for sample in spec["latency"]["samples"]})
        compared = {"pixels": 1000, "differing": 1, "share": 0.001, "limit": 0.01, "frames": 10, "kinds": kinds}
        spec["latency"]["facts"]["outputs"] = compared


@spoils("outputs-first", "arseg@0.5 (hevc): 5.000 % of the labels differ from the eager network's")
def other_outputs(run):
    all_in_bf16(run)
    cell(run)["latency"]["facts"]["outputs"]["share"] = 0.05


@spoils("outputs-first", "arseg@0.5 (hevc) was timed as bf16 and its labels were not compared")
def outputs_not_compared(run):
    all_in_bf16(run)
    cell(run)["latency"]["facts"]["outputs"] = None


@spoils("outputs-first", "arseg@0.5 (hevc): non-key was timed and its labels were not compared")
def kind_not_compared(run):
    all_in_bf16(run)
    cell(run)["latency"]["facts"]["outputs"]["kinds"] = ["key"]


def broken(folder, *, weights=None):
    run = dataclasses.replace(read_run(folder), weights=weights)
    return {f.rule: f for f in findings(run) if not f.kept}


CASES = [(rule, function, said) for rule, cases in SPOILT.items() for function, said in cases]


@pytest.mark.parametrize(("rule", "spoil", "said"), CASES, ids=[case[1].__name__ for case in CASES])
def test_a_run_that_breaks_one_rule_breaks_that_one_alone(tmp_path, rule, spoil, said):
    run = good_run()
    spoil(run)
    found = broken(write_run(tmp_path, run))
    assert set(found) == {rule}
    assert any(said in breach for breach in found[rule].breaches), found[rule].breaches
    assert found[rule].mend


def test_a_good_run_keeps_every_rule(tmp_path):
    found = findings(read_run(write_run(tmp_path, good_run())))
    assert [f.rule for f in found if not f.kept] == []
    assert {f.rule for f in found} == RULES.keys() | TIMING.keys()


def test_a_run_in_another_backend_with_equal_labels_keeps_every_rule(tmp_path):
    run = good_run()
    all_in_bf16(run)
    assert broken(write_run(tmp_path, run)) == {}


def test_a_run_whose_work_comes_in_shares_keeps_every_rule(tmp_path):
    run = good_run()
    in_shares(run, 0.0, 0.25, 1.0)
    assert broken(write_run(tmp_path, run)) == {}


def test_a_run_calibrated_on_training_clips_keeps_every_rule(tmp_path):
    run = good_run()
    calibrated(run, split="train", content_sha256="e" * 64)
    assert broken(write_run(tmp_path, run)) == {}


def test_flops_that_are_not_twice_the_macs_are_told(tmp_path):
    """The store computes them, so only another writer can get them wrong."""
    write_run(tmp_path, good_run())
    with closing(sqlite3.connect(tmp_path / "results.sqlite")) as database, database:
        database.execute(
            "UPDATE costs SET flops = ? WHERE kind = 'non-key'", (json.dumps({"convolution": 5, "warp": 2}),)
        )
    found = broken(tmp_path)
    assert set(found) == {"flops-are-twice-macs"}
    (said,) = found["flops-are-twice-macs"].breaches
    assert said == "arseg@0.5 (hevc), non-key: FLOPs of convolution, warp are not 2 x MACs"


def test_a_run_that_timed_nothing_keeps_the_rules_of_timing_and_says_so(tmp_path):
    run = good_run()
    for spec in run["cells"].values():
        spec["latency"] = None
    found = findings(read_run(write_run(tmp_path, run)))
    assert all(f.kept for f in found)
    assert {f.claim for f in found if f.rule in TIMING} == {"nothing was timed"}


def test_weights_that_changed_are_told_and_weights_that_are_gone_are_not(tmp_path):
    write_run(tmp_path, good_run())
    now = {"constant@1.0.safetensors": "a" * 64, "arseg@0.5.safetensors": "b" * 64}
    found = broken(tmp_path, weights=now)
    assert set(found) == {"weights"}
    assert found["weights"].breaches == (
        "arseg@0.5 (hevc) ran arseg@0.5.safetensors aaaaaaaaaaaa, on disk is bbbbbbbbbbbb",
    )


def test_a_distance_that_is_missing_is_told(tmp_path):
    run = good_run()
    for spec in run["cells"].values():
        spec["frames"] = {(clip, f, d): row for (clip, f, d), row in spec["frames"].items() if (clip, d) != ("b", 1)}
    found = broken(write_run(tmp_path, run))
    assert set(found) == {"every-distance", "planned-frames"}, "what was planned covers every distance"
    assert "arseg@0.5 (hevc) tests 2 to 4 frames at d = 0 to 1" in found["every-distance"].breaches


def test_a_single_stream_needs_no_distance(tmp_path):
    run = good_run()
    every_condition(run, protocol="single-stream", tests=6)
    for spec in run["cells"].values():
        spec["frames"] = {where: row for where, row in spec["frames"].items() if where[::2] != ("b", 1)}
    assert broken(write_run(tmp_path, run)) == {}


def test_frames_of_one_method_alone_are_told(tmp_path):
    run = good_run()
    frames = cell(run)["frames"]
    for distance in (0, 1):
        frames["b", 9, distance] = frames.pop(("b", 8, distance))
    found = broken(write_run(tmp_path, run))
    assert set(found) == {"same-frames"}
    assert found["same-frames"].breaches == ("street test, hevc: 4 tests are of arseg@0.5 or constant@1.0 alone",)


def on_two_networks(folder, **changes):
    """A good run with each cell a second time, on network m, changed."""
    run = read_run(write_run(folder, good_run()))
    again = [dataclasses.replace(f, cell=dataclasses.replace(f.cell, network="m"), **changes) for f in run.cells]
    return dataclasses.replace(run, cells=[*run.cells, *again])


def test_networks_stand_in_one_table_of_stability_and_must_have_the_same_frames(tmp_path):
    assert list(same_stability_frames(on_two_networks(tmp_path / "same"))) == []
    other = on_two_networks(tmp_path / "other", followed=frozenset({("a", 0, 0)}))
    breaches = list(same_stability_frames(other))
    assert len(breaches) == 5
    assert breaches[0] == (
        "street test, hevc: 5 frames of stability are of constant@1.0 on m or constant@1.0 on n alone"
    )


def test_a_method_that_failed_and_one_of_another_codec_need_not_have_the_same_frames_of_stability(tmp_path):
    failed = on_two_networks(tmp_path / "failed", followed=frozenset(), status="failed")
    assert list(same_stability_frames(failed)) == []
    run = read_run(write_run(tmp_path / "run", good_run()))
    codec = [
        dataclasses.replace(f, cell=dataclasses.replace(f.cell, codec="h264"), followed=frozenset()) for f in run.cells
    ]
    assert list(same_stability_frames(dataclasses.replace(run, cells=[*run.cells, *codec]))) == []


def test_a_table_without_constant_resolution_is_told(tmp_path):
    run = good_run()
    for method in list(run["cells"]):
        if method != ARSEG:
            del run["cells"][method]
    found = broken(write_run(tmp_path, run))
    assert found["anchor"].breaches == ("street test, hevc has no finished point of constant resolution",)


def test_a_store_without_a_manifest_or_a_cell_is_not_believed(tmp_path):
    write_run(tmp_path, good_run())
    (tmp_path / "manifest.json").unlink()
    assert broken(tmp_path)["recorded"].breaches == ("there is no manifest.json",)
    empty = good_run() | {"cells": {}}
    found = broken(write_run(tmp_path / "empty", empty))
    assert found["finished"].breaches == ("nothing was measured",)


def test_every_rule_is_broken_by_some_test():
    import inspect
    import sys

    source = inspect.getsource(sys.modules[__name__])
    assert [rule for rule in (RULES | TIMING) if source.count(f'"{rule}"') == 0] == []

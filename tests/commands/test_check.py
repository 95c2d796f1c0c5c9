from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import run_bench
from vssbench.commands.check import line
from vssbench.runner.validity.rules import Finding

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runner"))
from checked_run import good_run, write_run


def check(*words):
    return run_bench.main(["check", *map(str, words)])


def test_a_good_run_passes_with_a_line_a_rule(tmp_path, capsys):
    assert check(write_run(tmp_path, good_run()), "--weights", tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert lines[-1] == f"{len(lines) - 1} of {len(lines) - 1} rules are kept"


def test_a_broken_rule_exits_1_and_says_which_numbers_and_how_to_mend_it(tmp_path, capsys):
    run = good_run()
    run["cells"]["arseg@0.5"]["latency"]["facts"]["machine"]["busy_by_others"] = 0.5
    assert check(write_run(tmp_path, run), "--weights", tmp_path) == 1
    lines = capsys.readouterr().out.splitlines()
    (said,) = [line for line in lines if line.startswith("broken")]
    assert said.split(maxsplit=2)[1] == "alone"
    assert "arseg@0.5 (hevc): others used 50 % of the processors -> stop other programs" in said
    assert lines[-1].endswith("rules are kept, 1 broken")


def test_many_breaches_are_shortened_in_a_line_and_whole_in_json(tmp_path, capsys):
    run = good_run()
    for spec in run["cells"].values():
        spec["latency"]["facts"]["machine"]["busy_by_others"] = 0.5
    write_run(tmp_path, run)
    assert check(tmp_path, "--weights", tmp_path) == 1
    assert "; and 2 more -> " in capsys.readouterr().out
    assert check(tmp_path, "--weights", tmp_path, "--json") == 1
    found = {finding["rule"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert len(found["alone"]["breaches"]) == 5
    assert (found["alone"]["kept"], found["quiet"]["kept"]) == (False, True)
    assert found["quiet"]["breaches"] == []


def test_weights_are_looked_for_where_the_run_says(tmp_path, capsys, monkeypatch):
    """The run names a relative folder; an absolute one is not on record, and nothing is compared."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/arseg@0.5.safetensors").write_bytes(b"other weights")
    for number, (words, code) in enumerate(
        [(["--weights", "mine"], 1), (["--weights=mine"], 1), (["--weights", ".../mine"], 0), (["-C", "c.toml"], 0)]
    ):
        run = good_run()
        run["sessions"][0]["command"] += words
        assert check(write_run(tmp_path / str(number), run)) == code, words
        assert ("ran arseg@0.5.safetensors" in capsys.readouterr().out) is bool(code)


def test_shipped_weights_are_those_of_a_run_that_names_none(tmp_path, capsys):
    # the made-up hashes are not those of the shipped files
    assert check(write_run(tmp_path, good_run())) == 1
    assert "constant@1.0 (hevc) ran constant@1.0.safetensors aaaaaaaaaaaa" in capsys.readouterr().out


def test_no_run_folder_and_no_weights_folder_are_wrong_usage(tmp_path, capsys):
    assert check(tmp_path) == 2
    assert "no run folder" in capsys.readouterr().err
    assert check(write_run(tmp_path / "run", good_run()), "--weights", tmp_path / "none") == 2
    assert "no folder of weights" in capsys.readouterr().err


def test_a_line_holds_one_rule():
    kept = Finding(rule="alone", claim="nobody else", breaches=(), mend="stop them")
    assert line(kept, width=8) == "ok      alone     nobody else"
    assert "\n" not in line(Finding(rule="a", claim="b", breaches=("c", "d"), mend="e"), width=1)


@pytest.mark.slow
def test_a_real_run_breaks_no_rule_but_those_of_its_limit_and_of_a_busy_machine(bench, tmp_path, weights, capsys):
    assert bench(tmp_path / "run", "--methods", "arseg,taplab:ffw+rgc", "--repeats", "8") == 0
    capsys.readouterr()
    check(tmp_path / "run", "--weights", weights, "--json")
    broken = {finding["rule"] for finding in json.loads(capsys.readouterr().out) if not finding["kept"]}
    assert broken <= {"clean-code", "quiet", "alone", "not-throttled", "curve-points"}
    assert "curve-points" in broken, "two points of constant resolution"

"""Entries of a run and of its manifest: one a method and network, and the share of the work that steps did."""

from __future__ import annotations

import json

import pytest
from tiny_run import Bright, key_of, member, run_of

from vssbench.errors import StoreError
from vssbench.records import Step
from vssbench.runner.accuracy import measure_accuracy
from vssbench.runner.manifest import check_manifest, manifest_entry, recorded_cells, write_manifest
from vssbench.store import Store


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "run") as opened:
        yield opened


class Sparse(Bright):
    """Says of every frame but the first that it did a part of the work."""

    def step(self, frame):
        share = None if frame.index == 0 else frame.index / 8
        return Step(labels=super().step(frame).labels, kind="key" if share is None else "non-key", share=share)


def test_the_share_of_every_tested_frame_is_stored(store, tmp_path):
    run = run_of(store, tmp_path, {"sparse": Sparse})
    measure_accuracy(run)
    shares = {row.frame: row.share for row in store.confusions(key_of(run, "sparse"))}
    assert shares == {0: None} | {i: i / 8 for i in range(1, 8)}


def test_a_method_is_run_once_on_each_network(store, tmp_path):
    run = run_of(store, tmp_path, {})
    for name, network in (("a", "n"), ("b", "n"), ("a", "n"), ("a", "m"), ("b", "n")):
        run.add(member(name, Bright, network=network))
    assert [(e.member.name, e.member.network) for e in run.entries] == [("a", "n"), ("b", "n"), ("a", "m")]
    assert len({entry.cell.key for entry in run.entries}) == 3
    assert [entry.cell.network for entry in run.entries] == ["n", "n", "m"]


def written(store, folder, *members):
    run = run_of(store, folder, {})
    for one in members:
        run.add(one)
    entries = [manifest_entry(entry) for entry in run.entries]
    write_manifest(folder / "run", command=["run"], conditions=[], members=entries, environment={})
    return {(m["name"], m["network"]): m["cell"] for m in entries}


def test_the_manifest_keeps_a_method_by_its_network_and_the_last_of_it(store, tmp_path):
    first = written(store, tmp_path, member("a", Bright), member("a", Bright, network="m"))
    second = written(store, tmp_path, member("b", Bright), member("a", Sparse))
    recorded = recorded_cells(tmp_path / "run")
    assert recorded == [first["a", "n"], first["a", "m"], second["b", "n"]]
    other = member("a", Bright, network="n")
    changed = type(other)(**{**vars(other), "weights": {"a.safetensors": "0" * 64}})
    third = written(store, tmp_path, changed)
    assert third["a", "n"] != first["a", "n"]
    assert recorded_cells(tmp_path / "run") == [third["a", "n"], first["a", "m"], second["b", "n"]]
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert len(manifest["sessions"]) == 3


def test_a_run_is_continued_under_its_own_conditions_alone(tmp_path):
    condition = {"encoding": {"codec": "hevc", "gop_length": 4}, "seed": 0}
    check_manifest(tmp_path, [condition])
    write_manifest(tmp_path, command=["run"], conditions=[condition], members=[], environment={})
    check_manifest(tmp_path, [condition])
    check_manifest(tmp_path, [{**condition, "encoding": {"codec": "h264", "gop_length": 4}}])
    with pytest.raises(StoreError, match=r"another seed \(seed: 0 there, 1 now\)"):
        check_manifest(tmp_path, [{**condition, "seed": 1}])

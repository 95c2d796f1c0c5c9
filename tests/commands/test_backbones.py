"""Image networks beside one another: a folder of weights with another network's in it, and runs on either or both."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

import reports.write
import run_bench
from vssbench.commands.catalogue import Bench, Catalogue, on_backbone
from vssbench.errors import UsageError
from vssbench.networks.weights import WeightsHeader, save_weights
from vssbench.store import Store

PLUGIN = """
from vssbench.datasets.street import Street

DATASETS = {
    "small-street": lambda folder: Street(
        size=(64, 96), num_videos={"train": 1, "test": 1}, frames_per_video=8
    )
}
"""

RECIPE = """
dataset = "small-street"
network = "{network}"
members = {members}
width = 0.0625
every = 4

[schedule]
steps = 1
batch = 2

[augmentation]
crop = [48, 64]

[tfc]
clip_length = 3
"""

TRAINED = {
    "bisenet18": ["base", "constant@1.0", "constant@0.5"],
    "segformer-b0": ["base", "constant@1.0", "tfc", "tfc:reuse"],
}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("plugin") / "plugin.py"
    path.write_text(PLUGIN)
    return str(path)


@pytest.fixture(scope="module")
def weights(tmp_path_factory, plugin) -> Path:
    """Weights of BiSeNet18, and in a folder of its name those of SegFormer, by one step of training each."""
    folder = tmp_path_factory.mktemp("weights")
    for network, members in TRAINED.items():
        recipe = folder / "recipe.toml"
        recipe.write_text(RECIPE.format(network=network, members=json.dumps(members)))
        words = ["train", "--recipe", str(recipe), "--plugin", plugin, "-q", "--cache", str(folder / "streams")]
        assert run_bench.main([*words, "--weights", str(beside(folder, network))]) == 0
    return folder


def beside(folder, network):
    return folder if network == "bisenet18" else folder / network


@pytest.fixture
def run(tmp_path, plugin, weights, monkeypatch):
    """Run on the small street without figures; returns the exit code."""
    monkeypatch.setattr(reports.write, "write_figures", lambda *_: [])

    def start(*more: str, folder: Path = weights) -> int:
        words = ["run", "--plugin", plugin, "--dataset", "small-street", "--weights", str(folder), "--gop", "4"]
        out = ["-o", str(tmp_path / "run"), "--no-latency", "-q", "-L", "1", "--codec", "h264"]
        return run_bench.main([*words, *out, *more])

    return start


def measured(folder: Path) -> set[tuple[str, str]]:
    """The methods of a run and the networks they ran on, all of which are done."""
    with Store.open(folder / "run", read_only=True) as store:
        cells = store.cells()
        assert {store.status(cell.key) for cell in cells} == {"done"}
        return {(cell.method, cell.network) for cell in cells}


BISENET, SEGFORMER = "bisenet18 x0.0625", "segformer-b0 x0.0625"


# ---- runs ----


def test_two_networks_in_one_run_have_an_anchor_each(run, tmp_path):
    assert run("--methods", "constant@1.0,tfc") == 0
    assert measured(tmp_path) == {
        ("constant@1.0", BISENET),
        ("constant@0.5", BISENET),
        ("constant@1.0", SEGFORMER),
        ("tfc@4", SEGFORMER),
    }
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert {(m["name"], m["network"]) for m in manifest["members"]} == measured(tmp_path)
    with (tmp_path / "run/summary/table.csv").open() as file:
        rows = {(row["method"], row["network"]): row for row in csv.DictReader(file)}
    assert set(rows) == measured(tmp_path)
    key = float(rows["tfc@4", SEGFORMER]["gmacs_key"])
    assert (
        key == float(rows["constant@1.0", SEGFORMER]["gmacs_gop"]) != float(rows["constant@1.0", BISENET]["gmacs_gop"])
    )


def test_the_same_call_again_measures_nothing_anew(run, tmp_path):
    assert run("--methods", "constant@1.0,tfc") == 0
    before = json.loads((tmp_path / "run/manifest.json").read_text())["members"]
    assert run("--methods", "constant@1.0,tfc") == 0
    assert json.loads((tmp_path / "run/manifest.json").read_text())["members"] == before
    with Store.open(tmp_path / "run", read_only=True) as store:
        assert len(store.cells()) == 4


def test_all_methods_run_on_the_network_that_is_asked_for(run, tmp_path):
    assert run("--methods", "tfc,reuse,constant", "--network", "segformer-b0") == 0
    assert measured(tmp_path) == {
        (method, SEGFORMER) for method in ("constant@1.0", "tfc@4", "reuse:prediction@4", "reuse:features@4")
    }


def test_reuse_of_features_on_segformer_is_tfc_without_its_modules(run, tmp_path):
    methods = "reuse:features,reuse:features@2,reuse:prediction,tfc:reuse,tfc:reuse@2,tfc:warp"
    assert run("--methods", methods, "--network", "segformer-b0") == 0
    with Store.open(tmp_path / "run", read_only=True) as store:
        found = {cell.method: cell for cell in store.cells()}
        confusion = {name: store.confusion_by_distance(cell.key) for name, cell in found.items()}
        costs = {name: store.costs(cell.key) for name, cell in found.items()}
    for interval, reuse in ((4, "reuse:features"), (2, "reuse:features@2")):
        other = f"tfc:reuse@{interval}"
        assert (confusion[reuse] == confusion[other]).all()
        assert costs[reuse] == costs[other]
        assert found[reuse].condition["weights_sha256"] == found[other].condition["weights_sha256"]
    assert found["tfc:reuse@2"].condition["options"]["interval"] == 2
    assert found["reuse:features"].curves == ()
    assert found["tfc:reuse@4"].curves == ("tfc:reuse",)


def test_another_interval_is_another_point_of_the_curve(run, tmp_path):
    assert run("--methods", "tfc@2,tfc@3", "--protocol", "single-stream") == 0
    with Store.open(tmp_path / "run", read_only=True) as store:
        points = {c.method: (c.family, c.curves, c.point, c.point_label) for c in store.cells() if c.family == "tfc"}
    assert points == {
        "tfc@2": ("tfc", ("tfc",), 2.0, "every 2"),
        "tfc@3": ("tfc", ("tfc",), 3.0, "every 3"),
    }


def test_the_share_that_tfc_updates_is_stored_frame_by_frame_and_its_cost_is_counted_for_it(run, tmp_path):
    assert run("--methods", "tfc") == 0
    with Store.open(tmp_path / "run", read_only=True) as store:
        key = next(cell.key for cell in store.cells() if cell.family == "tfc")
        shares = {row.kind: row.share for row in store.confusions(key)}
        costs = store.costs(key)
        assert store.parameters(key) > 0
    assert shares["key"] is None
    assert 0 <= shares["non-key"] <= 1
    assert costs["key"].macs_at_full_share is None
    assert sum(costs["non-key"].macs.values()) < sum(costs["non-key"].macs_at_full_share.values())
    assert all(not cost.uncounted for cost in costs.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--methods", "tfc", "--network", "segfromer-b0"],
            "no network is called 'segfromer-b0'; did you mean segformer",
        ),
        (["--methods", "tfc", "--network", "checkpoints"], "no network is called 'checkpoints'"),
        (["--methods", "tfc", "--network", "segformer-b1"], "no weights of segformer-b1 in "),
        (["--methods", "tfc@0"], "tfc: after @ comes the interval between key frames, 1 or more frames; got 0"),
        (["--methods", "tfc:hard@2.5"], "tfc:hard: after @ comes the interval between key frames"),
        (["--methods", "reuse:prediction@0.5"], "reuse:prediction: after @ comes the interval"),
        (["--methods", "tfc:soft"], "tfc:reuse"),
    ],
)
def test_wrong_names_are_told_before_anything_runs(run, tmp_path, capsys, words, said):
    assert run(*words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run/results.sqlite").exists()


def test_a_variant_without_weights_says_how_to_train_it(run, capsys):
    assert run("--methods", "tfc:hard") == 3
    assert "train them (vssbench train tfc:hard --recipe FILE --weights FOLDER)" in capsys.readouterr().err


def test_tfc_is_refused_on_another_network(run, capsys):
    assert run("--methods", "tfc", "--network", "bisenet18") == 2
    assert "tfc@4 runs on SegFormer, the weights in" in capsys.readouterr().err


def test_a_dry_run_names_the_methods_of_both_networks(run, tmp_path, capsys):
    assert run("--methods", "constant@1.0,tfc", "--dry-run") == 0
    assert "constant@1.0, constant@0.5, constant@1.0, tfc@4" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


# ---- which weights ----


def bench_of(folder):
    return Bench(
        weights=folder,
        num_classes=11,
        device=torch.device("cpu"),
        training_frames=lambda _: iter(()),
        training_source="",
    )


def noted(folder, network):
    """A folder with weights whose header is all that is read."""
    header = WeightsHeader(network=network, num_classes=11, width=0.5, scale=1.0)
    save_weights(folder / "constant@1.0.safetensors", {"x": torch.zeros(1)}, header)
    return folder


def test_a_folder_serves_its_own_network_and_those_in_folders_of_their_names(tmp_path):
    noted(tmp_path, "bisenet18")
    noted(tmp_path / "segformer-b0", "segformer-b0")
    bench = bench_of(tmp_path)
    for asked, folder, network in (
        ("", tmp_path, "bisenet18"),
        ("bisenet18", tmp_path, "bisenet18"),
        ("segformer-b0", tmp_path / "segformer-b0", "segformer-b0"),
    ):
        found = on_backbone(bench, asked)
        assert (found.weights, found.backbone) == (folder, network)
        assert found.network_name() == f"{network} x0.5"
        assert found.num_classes == bench.num_classes
    assert bench.backbone == ""


def test_a_folder_of_segformers_own_weights_serves_it_too(tmp_path):
    noted(tmp_path, "segformer-b0")
    for asked in ("", "segformer-b0"):
        assert on_backbone(bench_of(tmp_path), asked).weights == tmp_path


def test_a_folder_without_full_resolution_weights_serves_the_networks_in_it(tmp_path):
    noted(tmp_path / "segformer-b0", "segformer-b0")
    assert on_backbone(bench_of(tmp_path), "").backbone == ""
    assert on_backbone(bench_of(tmp_path), "segformer-b0").weights == tmp_path / "segformer-b0"


def test_a_network_without_weights_is_refused_with_those_there_are(tmp_path):
    noted(tmp_path, "bisenet18")
    noted(tmp_path / "segformer-b0", "segformer-b0")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UsageError, match="there are those of bisenet18, segformer-b0; train them") as caught:
        on_backbone(bench_of(tmp_path), "segformer-b5")
    assert f"vssbench train --weights {tmp_path / 'segformer-b5'}" in str(caught.value)


def test_an_unknown_network_is_refused_with_the_closest(tmp_path):
    with pytest.raises(
        UsageError, match=r"no network is called 'bisenet'; did you mean bisenet18.*vssbench ls networks"
    ):
        on_backbone(bench_of(noted(tmp_path, "bisenet18")), "bisenet")


def test_names_are_told_apart_by_the_network_that_their_family_runs_on():
    families = {family.name: family for family in run_bench.FAMILIES}
    catalogue = Catalogue(families=families, datasets={}, read_recipe=print, trainer=print, write_reports=lambda *_: "")
    assert catalogue.backbones(["tfc:hard@4", "arseg", "constant@0.5", "tfc"]) == {
        "": ["arseg", "constant@0.5"],
        "segformer-b0": ["tfc:hard@4", "tfc"],
    }
    assert list(catalogue.backbones(["tfc", "arseg"])) == ["", "segformer-b0"]
    assert catalogue.backbones(["tfc"]) == {"segformer-b0": ["tfc"]}
    with pytest.raises(UsageError, match="did you mean tfc"):
        catalogue.backbones(["tfcc"])

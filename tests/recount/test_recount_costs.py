"""What the recount counts once: it is what the methods execute, and what a row's labels say."""

from __future__ import annotations

import pytest
import torch

from arseg.method import ARSeg
from arseg.model import ARSegNetwork
from arseg.options import TABLE_3, options_of
from recount import costs
from recount.other_systems import nonkey_share
from recount.subjects import Subject, subject_of
from reports.published.numbers import BD, printed_numbers


def steps_of(name, dataset, scale, variant):
    """Key and non-key step of the method itself."""
    frames = costs.FRAMES[dataset]
    network = ARSegNetwork(costs.network(name, frames.outputs), scale=scale, options=options_of(variant))
    method = ARSeg(network.eval(), device=torch.device("meta"))
    return [costs.executed(method, costs.frame(kind, frames.size)) for kind in ("I", "P")]


@pytest.mark.parametrize("variant", ["", "warp-only", "no-creff", "ungrouped", "global", "convolution", "kl"])
def test_a_group_of_pictures_executes_what_the_method_steps_execute(variant):
    assert_mean_of_steps("bisenet18", variant)


@pytest.mark.parametrize("variant", ["before-task", "before-feat"])
def test_so_it_does_where_the_network_is_cut_elsewhere(variant):
    assert_mean_of_steps("pspnet18-camvid", variant)


def assert_mean_of_steps(name, variant):
    key, nonkey = steps_of(name, "CamVid", 0.6, variant)
    mean = costs.arseg(name, "CamVid", 0.6, variant, gop_length=12)
    assert mean.network == pytest.approx((key.network + 11 * nonkey.network) / 12, rel=1e-12)
    assert mean.all_kinds == pytest.approx((key.all_kinds + 11 * nonkey.all_kinds) / 12, rel=1e-12)


def test_the_mean_of_counts_is_weighted():
    one, four = costs.Executed(network=1, all_kinds=2), costs.Executed(network=4, all_kinds=8)
    assert costs.mean_of([(1, four), (2, one)]) == costs.Executed(network=2, all_kinds=4)


def test_counting_leaves_the_shared_network_as_it_was():
    network = costs.network("bisenet18", 12)
    costs.thop_2020("bisenet18", "CamVid", 0.3)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in network.modules())
    assert not any(name.startswith("total_") for name, _ in network.named_buffers())
    assert hasattr(network, "auxiliary8")


def test_a_non_key_frame_costs_what_makes_the_mean():
    # mean over 12 frames of 0.5 of a key frame: (1 + 11 x 5 / 11) / 12
    assert nonkey_share(0.5) == pytest.approx(5 / 11)
    assert nonkey_share(1.0) == pytest.approx(1.0)


# ---- what a row measures ----


def subjects(**wanted):
    numbers = [n for n in printed_numbers() if all(getattr(n, k) == v for k, v in wanted.items())]
    return {(n.method, n.setting): subject_of(n) for n in numbers}


def test_rows_are_read_off_their_labels():
    psp, bise = "pspnet18-camvid", "bisenet18"
    a5 = subjects(table="A5")
    assert a5["PSPNet18-0.6x", "HBR-trained eval 3Mbps"] == Subject(network=psp, dataset="CamVid", scale=0.6)
    assert a5["AR0.6-Bise18", "HBR-trained eval 3Mbps"] == Subject(
        network=bise, dataset="CamVid", scale=0.6, altering=True
    )
    a2 = subjects(table="A2", dataset="Cityscapes")
    city = "pspnet18-cityscapes"
    assert a2["AR0.6-PSP18", "single-frame baseline"] == Subject(network=city, dataset="Cityscapes")
    assert a2["AR0.6-PSP18", "video L=12"] == Subject(network=city, dataset="Cityscapes", scale=0.6, altering=True)
    assert a2["TD4-PSP18", "single-frame baseline"] == Subject(network=city, dataset="Cityscapes")
    three = subjects(table="3")
    assert three["PSPNet18 (0.5x)", "Baseline"] == Subject(network=psp, dataset="CamVid", scale=0.5)
    assert three["AR0.5-PSP18 L=20", "Keyframe Interval"].gop_length == 20


def test_every_row_of_table_3_has_its_variant():
    rows = {method: subject for (method, _), subject in subjects(table="3").items()}
    assert TABLE_3.keys() <= rows.keys()
    assert all(rows[method].variants == variants for method, variants in TABLE_3.items())
    assert None not in rows.values()


@pytest.mark.parametrize("method", ["Accel-DL18", "BlockCopy", "TapLab-BL2", "Jain et al."])
def test_another_system_is_no_subject(method):
    assert set(subjects(method=method).values()) == {None}


def test_every_row_of_the_released_networks_has_a_subject():
    systems = {"Accel-DL18", "TD4-PSP18", "BlockCopy", "TapLab-BL2", "Jain et al."}
    left = {
        (n.table, n.method)
        for n in printed_numbers()
        if n.source != "tfc_paper" and n.metric != BD and n.method not in systems and subject_of(n) is None
    }
    assert left == {("A4", "constant-resolution"), ("A4", "AR-Seg")}

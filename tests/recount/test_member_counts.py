"""What AR-Seg's paper would print for members of a run: its own rows where the network is its own."""

from __future__ import annotations

import pytest
import torch

from recount import costs
from recount.member_counts import (
    NOT_COUNTED,
    PAPER,
    WITHOUT_CLASSIFIER,
    printed_arseg,
    printed_constant,
    printed_nowhere,
    printed_untrained_arseg,
)
from vssbench.complexity.conventions import arseg_creff_macs, arseg_gop_macs, thop_2020_macs
from vssbench.networks.weights import WeightsHeader, save_weights

CAMVID, CITYSCAPES = (720, 960), (1024, 2048)


@pytest.fixture
def weights(tmp_path):
    """A weights file as its header says; counts look at nothing else of it."""

    def write(network, *, num_classes=19, width=1.0, scale=1.0, **options):
        path = tmp_path / f"{network}-{num_classes}-{width}-{scale}.safetensors"
        header = WeightsHeader(
            network=network, num_classes=num_classes, width=width, scale=scale, recipe={"options": options}
        )
        save_weights(path, {"x": torch.zeros(1)}, header)
        return path

    return write


def gop_giga(printed, size, *, name=PAPER, gop_length=12):
    key, nonkey = (printed(kind, size)[name] for kind in ("key", "non-key"))
    return arseg_gop_macs(key, nonkey, gop_length) / 1e9


@pytest.mark.parametrize(("scale", "gmacs"), [(1.0, 178.96), (0.7, 88.53), (0.6, 65.56), (0.5, 44.74)])
def test_constant_resolution_is_that_of_table_a1(weights, scale, gmacs):
    found = printed_constant(weights("bisenet18"), scale=scale)("frame", CITYSCAPES)
    assert found[PAPER] / 1e9 == pytest.approx(gmacs, abs=0.0051)
    assert found[WITHOUT_CLASSIFIER] == found[PAPER]


@pytest.mark.parametrize(
    ("network", "scale", "gmacs"),
    [("bisenet18", 0.7, 97.10), ("bisenet18", 0.5, 57.00), ("pspnet18-cityscapes", 0.6, 234.91)],
)
def test_arseg_is_that_of_table_1(weights, network, scale, gmacs):
    assert gop_giga(printed_arseg(weights(network, scale=scale)), CITYSCAPES) == pytest.approx(gmacs, rel=1.5e-4)


def test_without_the_classifiers_term_it_is_that_of_longer_intervals(weights):
    # 12 outputs, and 11 of them counted in the term that these rows leave out
    printed = printed_arseg(weights("pspnet18-camvid", num_classes=12, scale=0.5))
    for gop_length, gmacs in ((15, 97.88), (20, 94.11), (30, 90.34)):
        gop = gop_giga(printed, CAMVID, name=WITHOUT_CLASSIFIER, gop_length=gop_length)
        assert gop == pytest.approx(gmacs, abs=0.0051)
    both = printed("non-key", CAMVID)
    # 64 channels and 12 classes on 720 x 960 pixels less 360 x 480
    assert both[PAPER] - both[WITHOUT_CLASSIFIER] == 64 * 12 * (720 * 960 - 360 * 480)


@pytest.mark.parametrize(
    ("options", "gmacs"),
    [
        ({"fusion": "none"}, 96.58),
        ({"window": 3}, 98.74),
        ({"window": 11}, 107.83),  # printed 107.32
        ({"grouped": False}, 170.96),
        ({"feature_loss": "none"}, 101.98),
    ],
)
def test_the_variants_of_table_3(weights, options, gmacs):
    printed = printed_arseg(weights("pspnet18-camvid", num_classes=12, scale=0.5, **options))
    assert gop_giga(printed, CAMVID) == pytest.approx(gmacs, rel=5e-4)


def test_a_warp_alone_counts_nothing(weights):
    printed = printed_untrained_arseg(weights("pspnet18-camvid", num_classes=12), variant="warp-only")
    assert printed("non-key", CAMVID) == {PAPER: 0, WITHOUT_CLASSIFIER: 0}
    assert gop_giga(printed, CAMVID) == pytest.approx(25.75, abs=0.0051)


def test_a_cut_before_n_task_counts_what_follows_it_at_full_resolution(weights):
    printed = printed_arseg(weights("pspnet18-camvid", num_classes=12, scale=0.5, location="task"))
    low = thop_2020_macs(costs.network("pspnet18-camvid", 12), (360, 480), run=lambda n, x: n.extract(n.normalise(x)))
    full = thop_2020_macs(costs.network("pspnet18-camvid", 12), CAMVID, run=lambda n, x: n.refine(n.extract(x)))
    head = thop_2020_macs(costs.network("pspnet18-camvid", 12), CAMVID, run=lambda n, x: n.extract(x))
    final = 720 * 960 * 12 * (64 + 1)
    creff = arseg_creff_macs(channels=512, pixels=90 * 120)
    assert printed("non-key", CAMVID)[PAPER] == low + full - head + final + creff


def test_width_classes_and_frame_size_are_the_members_own(weights):
    narrow = printed_arseg(weights("bisenet18", width=0.25, num_classes=11, scale=0.5))("key", (360, 480))[PAPER]
    wide = printed_arseg(weights("bisenet18", width=1.0, num_classes=11, scale=0.5))("key", (360, 480))[PAPER]
    assert 8 < wide / narrow < 16
    # Table A1's 14.97 at 0.5x is of 12 classes: one more filter of 256 + 1, and 11 an element enlarged by 8, four times
    assert 14.97e9 - wide == pytest.approx(4 * 45 * 60 * (257 + 11 * 64), abs=0.0051e9)


def test_what_the_paper_does_not_count_has_a_reason(weights):
    nothing = {PAPER: NOT_COUNTED, WITHOUT_CLASSIFIER: NOT_COUNTED}
    assert printed_nowhere("key", CAMVID) == nothing
    assert printed_constant(weights("segformer-b0"), scale=0.5)("frame", CAMVID) == nothing
    assert printed_arseg(weights("deeplab18", scale=0.5))("key", CAMVID) == nothing
    assert printed_arseg(weights("bisenet18", scale=0.5))("another", CAMVID) == nothing

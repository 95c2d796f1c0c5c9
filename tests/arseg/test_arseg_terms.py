"""The terms of Table 3: by hand, as executed, and added up as the paper prints them."""

from functools import cache

import numpy as np
import pytest
import torch
from tiny_arseg import frame, on_meta

from arseg.locations import LOCATIONS
from arseg.method import ARSeg
from arseg.options import TABLE_3, VARIANTS, options_of
from arseg.terms import fusion_macs, printed_macs
from vssbench.complexity.conventions import thop_2020_macs
from vssbench.complexity.macs import count_macs
from vssbench.networks.zoo import build_network

SIZE, LOW = (720, 960), (360, 480)
P, LOW_P, C = 720 * 960, 360 * 480, 64
MAPS = {"final": (C, SIZE), "task": (512, (90, 120)), "feat": (64, (180, 240))}  # what is fused, at 720x960
RGB = np.zeros((*SIZE, 3), np.uint8)


def terms(variant):
    options = options_of(variant)
    channels, size = MAPS[options.location]
    return fusion_macs(options, channels=channels, size=size)


@cache
def executed(variant):
    """MACs of a key frame and of another, PSPNet18 at half resolution, on the meta device."""
    method = ARSeg(on_meta("pspnet18-camvid", num_classes=12, scale=0.5, variant=variant), device=torch.device("meta"))
    key = count_macs(lambda: method.step(frame("I", rgb=RGB)))
    other = count_macs(lambda: method.step(frame("P", rgb=RGB, index=1)))
    assert key.uncounted == other.uncounted == {}
    return key, other


@cache
def part(location, side, size):
    """MACs of the head or the tail of a cut, both for a whole frame at this size."""
    with torch.device("meta"):
        network = build_network("pspnet18-camvid", num_classes=12).eval()
        images = torch.empty(1, 3, *size)
    cut = LOCATIONS[location]
    head = count_macs(lambda: cut.head(network, images)).network
    return head if side == "head" else count_macs(lambda: cut.tail(network, cut.head(network, images))).network - head


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("", {"encoders": 27 * C * P, "attention": 2 * 49 * C * P}),
        ("window-3", {"encoders": 27 * C * P, "attention": 2 * 9 * C * P}),
        ("window-11", {"encoders": 27 * C * P, "attention": 2 * 121 * C * P}),
        ("ungrouped", {"encoders": 27 * C * C * P, "attention": 2 * 49 * C * P}),
        # 720 x 960 at 1/32 has 22 x 30 = 660 keys
        ("global", {"encoders": 27 * C * P, "attention": 2 * 660 * C * P}),
        (
            "global-release",
            {"encoders": 27 * C * P, "attention": 2 * 660 * C * P, "projections": 2 * C * C * (P + 660)},
        ),
        ("convolution", {"convolution": 18 * C * C * P}),
        ("no-creff", {}),
        ("warp-only", {}),
        ("before-task", {"encoders": 27 * 512 * 10800, "attention": 2 * 49 * 512 * 10800}),
        ("before-feat", {"encoders": 27 * 64 * 43200, "attention": 2 * 49 * 64 * 43200}),
    ],
)
def test_the_terms_of_a_fusion(variant, expected):
    assert terms(variant) == expected


@pytest.mark.parametrize("variant", ["", *VARIANTS])
def test_a_non_key_frame_executes_its_head_at_half_and_its_tail_at_full_resolution_and_the_terms(variant):
    options, other = options_of(variant), executed(variant)[1]
    head = part(options.location, "head", LOW) if options.has_branch else 0
    classifier = C * 12 * P
    by_hand = head + part(options.location, "tail", SIZE) + sum(terms(variant).values()) + classifier
    assert other.network == by_hand
    attention = terms(variant).get("attention", 0)
    assert other.by_kind["attention"] == attention
    assert other.by_kind["linear"] == terms(variant).get("projections", 0)
    channels, size = MAPS[options.location]
    assert other.by_kind["warp"] == (4 * channels * size[0] * size[1] if options.reads_motion else 0)


@pytest.mark.parametrize("variant", ["", *VARIANTS])
def test_a_key_frame_is_the_full_resolution_network_whatever_the_variant(variant):
    assert executed(variant)[0].network == pytest.approx(308.642e9, abs=0.6e6)


@pytest.mark.parametrize(
    ("location", "head", "tail"),
    [
        # N_feat: stem 7 x 7 x 3 x 64 x P/4; layer 1: 4 x 9 x 64^2 x P/16; layer 2: 9 (64 x 128 + 3 x 128^2) + 64 x 128
        # shortcut, layer 3 and 4 alike with 128 -> 256 -> 512, all at P/64
        (
            "task",
            147 * 64 * P // 4
            + 36 * 64**2 * P // 16
            + sum(9 * (c // 2 * c + 3 * c * c) + c // 2 * c for c in (128, 256, 512)) * P // 64,
            None,
        ),
        ("feat", 147 * 64 * P // 4, None),
        ("final", None, 0),
    ],
)
def test_the_heads_of_the_cuts_by_hand(location, head, tail):
    assert head is None or part(location, "head", SIZE) == head
    assert tail is None or part(location, "tail", SIZE) == tail
    whole = part(location, "head", SIZE) + part(location, "tail", SIZE) + C * 12 * P
    assert whole == executed("")[0].network


@cache
def legacy(location):
    """(a key frame, another frame's network) as the thop of the paper counts them."""
    with torch.device("meta"):
        network = build_network("pspnet18-camvid", num_classes=12)
    key, low = thop_2020_macs(network, SIZE), thop_2020_macs(network, LOW)
    if location == "final":
        return key, low
    head = [thop_2020_macs(network, size, run=LOCATIONS[location].head) for size in (SIZE, LOW)]
    return key, head[1] + key - head[0]


def printed(variant, **more):
    options = options_of(variant)
    high, branch = legacy(options.location)
    fusion = sum(terms(variant).values())
    return printed_macs(options, **{"high": high, "branch": branch, "fusion": fusion, "classifier": 1, **more}) / 1e9


CLASSIFIER = C * 11 * (P - LOW_P)
PRINTED = {  # Table 3, "GFLOPs"
    "W_MV + F_LA (7x7)": 101.98,
    "w/o CReFF": 96.60,
    "W_MV": 25.75,
    "F_LA (7x7)": 101.98,
    "W_MV + F_LA (3x3)": 98.74,
    "W_MV + F_LA* (7x7)": 170.96,
    "W_MV + F_Conv": 143.63,
    "CReFF w/o DC": 101.98,
    "before C1x1": 101.98,
    "before N_task": 214.76,
    "before N_feat": 308.46,
    "MSE Loss + Shared C1x1": 101.98,
    "w/o FST": 101.98,
    "Shared C1x1": 101.98,
    "MSE Loss": 101.98,
    "KL Loss + Shared C1x1": 101.98,
}


@pytest.mark.parametrize("row", PRINTED)
def test_added_up_as_the_paper_does_they_are_the_printed_numbers(row):
    for variant in TABLE_3[row]:
        assert printed(variant, classifier=CLASSIFIER) == pytest.approx(PRINTED[row], rel=3e-4)


def test_the_rows_of_table_3_that_are_not_what_is_printed():
    # 11x11: 107.32 is a slip for 107.82; 1/32: 113.58 would take 192 keys where 22 x 30 = 660 are, or 128 and the
    # projections of queries and result
    assert printed("window-11", classifier=CLASSIFIER) == pytest.approx(107.82, abs=0.005)
    assert printed("global", classifier=CLASSIFIER) == pytest.approx(151.54, abs=0.01)
    assert printed("global-release", classifier=CLASSIFIER) == pytest.approx(156.73, abs=0.01)
    for fusion in (27 * C * P + 2 * 192 * C * P, 27 * C * P + 2 * 128 * C * P + 2 * C * C * P):
        assert printed("global", fusion=fusion, classifier=CLASSIFIER) == pytest.approx(113.58, abs=0.01)


@pytest.mark.parametrize(("gop_length", "expected"), [(15, 97.88), (20, 94.11), (30, 90.34)])
def test_the_rows_of_longer_gops_leave_the_classifier_out(gop_length, expected):
    assert printed("", gop_length=gop_length, classifier=0) == pytest.approx(expected, abs=0.006)
    assert printed("", gop_length=gop_length, classifier=CLASSIFIER) > expected + 0.3


def test_rows_fused_earlier_are_no_mean_over_the_gop():
    high, branch = legacy("task")
    mean = (high + 11 * (branch + sum(terms("before-task").values()))) / 12e9
    assert mean > 1.03 * printed("before-task", classifier=CLASSIFIER)

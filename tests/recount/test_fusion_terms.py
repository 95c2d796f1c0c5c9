"""The terms of a fusion: by hand, and as executed."""

from __future__ import annotations

from functools import cache

import pytest

from arseg.locations import LOCATIONS
from arseg.method import ARSeg
from arseg.model import ARSegNetwork
from arseg.options import VARIANTS, Options, options_of
from recount import costs
from recount.fusion_terms import fusion_macs, key_grid
from vssbench.complexity.conventions import arseg_creff_macs
from vssbench.complexity.macs import count_macs

SIZE, LOW = (720, 960), (360, 480)
P, C = 720 * 960, 64
# network -> location -> channels and size of what is fused, at 720x960
MAPS = {
    "pspnet18-camvid": {"final": (C, SIZE), "task": (512, (90, 120)), "feat": (64, (180, 240))},
    "bisenet18": {"final": (256, (90, 120))},
}


def terms(variant, name="pspnet18-camvid"):
    options = options_of(variant)
    channels, size = MAPS[name][options.location]
    return fusion_macs(options, channels=channels, size=size)


@cache
def executed(variant, name="pspnet18-camvid"):
    """MACs of a key frame and of another, half resolution, on the meta device."""
    with costs.META:
        network = ARSegNetwork(costs.network(name, 12), scale=0.5, options=options_of(variant)).eval()
    method = ARSeg(network, device=costs.META)
    key, other = (count_macs(lambda kind=kind: method.step(costs.frame(kind, SIZE))) for kind in ("I", "P"))
    assert key.uncounted == other.uncounted == {}
    return key, other


@cache
def part(location, side, size, name="pspnet18-camvid"):
    """MACs of the head or the tail of a cut, both for a whole frame at this size."""
    network, images, cut = costs.network(name, 12), costs.images(size), LOCATIONS[location]
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


def test_the_terms_of_creff_are_what_the_convention_adds_for_it():
    options = Options(window=5, grouped=False)
    found = fusion_macs(options, channels=8, size=(6, 10))
    assert sum(found.values()) == arseg_creff_macs(channels=8, pixels=60, window=5, grouped=False)


@pytest.mark.parametrize("variant", ["", *VARIANTS])
def test_a_non_key_frame_executes_its_head_at_half_and_its_tail_at_full_resolution_and_the_terms(variant):
    check_executed(variant, "pspnet18-camvid")


@pytest.mark.parametrize("variant", ["", "global", "global-release"])
def test_so_it_does_where_the_maps_are_smaller_than_the_picture(variant):
    check_executed(variant, "bisenet18")


def check_executed(variant, name):
    options, other = options_of(variant), executed(variant, name)[1]
    channels, size = MAPS[name][options.location]
    classified_channels, classified = MAPS[name]["final"]
    head = part(options.location, "head", LOW, name) if options.has_branch else 0
    classifier = classified_channels * 12 * classified[0] * classified[1]
    tail = part(options.location, "tail", SIZE, name)
    assert other.network == head + tail + sum(terms(variant, name).values()) + classifier
    attention = terms(variant, name).get("attention", 0)
    assert other.by_kind["attention"] == attention
    assert other.by_kind["linear"] == terms(variant, name).get("projections", 0)
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


@pytest.mark.parametrize(
    ("size", "grid"),
    [((720, 960), (22, 30)), ((90, 120), (2, 3)), ((128, 256), (4, 8)), ((20, 31), (1, 1))],  # rounded down, 1 at least
)
@pytest.mark.parametrize("variant", ["global", "global-release"])
def test_global_attention_has_the_keys_of_the_map_that_is_fused(variant, size, grid):
    assert key_grid(options_of(variant), channels=8, size=size) == grid


def test_local_attention_has_those_of_its_window():
    assert key_grid(options_of("window-11"), channels=8, size=(90, 120)) == (11, 11)

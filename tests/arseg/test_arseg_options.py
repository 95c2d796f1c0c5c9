"""The rows of Table 3 as options: which there are, and which do not go together."""

from typing import get_args

import pytest

from arseg.feature_similarity import FEATURE_LOSSES
from arseg.fusions import FUSIONS
from arseg.locations import LOCATIONS
from arseg.options import (
    TABLE_3,
    UNTRAINED,
    VARIANTS,
    FeatureLossName,
    FusionName,
    LocationName,
    Options,
    options_of,
)
from vssbench.errors import UsageError


def test_the_defaults_are_those_of_ar_seg():
    assert Options() == options_of("") == Options(fusion="local", window=7, warp=True, grouped=True, direct=True)
    assert Options().changed() == {}


def test_every_name_of_an_option_has_something_behind_it():
    assert set(get_args(FusionName)) == FUSIONS.keys()
    assert set(get_args(LocationName)) == LOCATIONS.keys()
    assert set(get_args(FeatureLossName)) == FEATURE_LOSSES.keys()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_changes_what_it_says_and_nothing_else(variant):
    assert options_of(variant).changed() == VARIANTS[variant] != {}


def test_no_two_variants_are_the_same():
    assert len({options_of(variant) for variant in ("", *VARIANTS)}) == 1 + len(VARIANTS)


def test_every_row_of_table_3_is_a_variant_and_every_variant_is_in_a_row():
    named = {variant for variants in TABLE_3.values() for variant in variants}
    assert named == {"", *VARIANTS}


def test_only_the_warp_needs_no_training():
    assert {variant for variant in VARIANTS if not options_of(variant).has_branch} == UNTRAINED == {"warp-only"}


def test_motion_is_read_where_key_features_are_warped():
    still = {variant for variant in VARIANTS if not options_of(variant).reads_motion}
    assert still == {"no-creff", "attention-only"}


def test_a_variant_changes_the_options_of_a_recipe():
    base = Options(window=5, feature_loss="none")
    assert options_of("no-direct", base) == Options(window=5, feature_loss="none", direct=False)
    assert options_of("window-3", base) == Options(window=3, feature_loss="none")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fusion": "flow"}, "fusion must be one of none, warp, local, .*got 'flow'"),
        ({"location": "end"}, "location must be one of final, task, feat, got 'end'"),
        ({"feature_loss": "l1"}, "feature_loss must be one of mse, kl, kl-release, none, got 'l1'"),
        ({"window": 6}, "window must be odd"),
        ({"window": -1}, "window must be odd"),
        ({"fusion": "global", "window": 3}, "fusion 'global' has no window"),
        ({"fusion": "convolution", "direct": False}, "fusion 'convolution' has no direct"),
        ({"fusion": "convolution", "grouped": False}, "fusion 'convolution' has no grouped"),
        ({"fusion": "none", "warp": False}, "fusion 'none' has no warp"),
        ({"fusion": "warp", "location": "task"}, "fusion 'warp' has no location"),
        ({"fusion": "warp", "shared_final": False}, "fusion 'warp' has no shared_final"),
        ({"fusion": "warp", "feature_loss": "kl"}, "fusion 'warp' has no feature_loss"),
    ],
)
def test_an_option_that_cannot_be_or_would_have_no_effect_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Options(**options)


def test_an_unknown_variant_is_refused():
    with pytest.raises(UsageError, match=r"no variant of arseg is called 'window-5'; there are no-creff, "):
        options_of("window-5")

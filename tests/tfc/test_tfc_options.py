"""TFC's options: its defaults are the paper's, its variants the rows of Table 2."""

import csv
from pathlib import Path

import pytest

from tfc.options import INTERVAL, TABLE_2, VARIANTS, WEIGHTS_OF, Options, options_of
from vssbench.errors import UsageError

PRINTED = ("tfc_paper", "2")  # source and table of the published numbers


def test_the_defaults_are_the_papers():
    tfc = options_of("")
    assert tfc == Options()
    assert tfc.changed() == {}
    assert (tfc.interpolation, tfc.updated, tfc.threshold, tfc.similarity_level) == ("soft", True, 0.8, 2)
    assert (tfc.supervised, tfc.warp, tfc.normalise, INTERVAL) == (True, False, "per head", 4)


def test_a_variant_changes_what_it_says_and_no_two_are_alike():
    assert {variant: options_of(variant).changed() for variant in VARIANTS} == {k: dict(v) for k, v in VARIANTS.items()}
    assert len({options_of(variant) for variant in ("", *VARIANTS)}) == len(VARIANTS) + 1


def test_every_row_of_table_2_is_a_variant_at_an_interval(shared: Path):
    with (shared / "reference" / "published_numbers.csv").open(encoding="utf-8") as file:
        printed = {(r["setting"], r["method"]) for r in csv.DictReader(file) if (r["source"], r["table"]) == PRINTED}
    assert len(printed) == 19
    assert printed == set(TABLE_2)


def test_the_rows_of_table_2_that_are_printed_alike_are_one_variant():
    assert {variant for variant, _ in TABLE_2.values()} == {"", *VARIANTS} - {"literal"}
    assert all(options_of(variant) for variant, _ in TABLE_2.values())
    # 32.9, 85.3 and 80.0 stand in three rows of print, 31.5, 84.3 and 78.7 in two
    whole = [row for row, of in TABLE_2.items() if of == ("", INTERVAL)]
    assert whole == [
        ("Cosine Similarity", "x^2"),
        ("Focal Loss", "With Focal Loss"),
        ("Frame Interval", "Interval 4"),
    ]
    reuse = [row for row, of in TABLE_2.items() if of == ("reuse", INTERVAL)]
    assert reuse == [("Linear Interp.", "Feature reuse"), ("Sparse MSDA", "Feature reuse")]
    assert sorted(interval for variant, interval in TABLE_2.values() if interval != INTERVAL) == [5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("row", "options"),
    [
        (("Linear Interp.", "+ Linear interp."), Options(updated=False)),
        (("Linear Interp.", "+ Hard interp."), Options(updated=False, interpolation="hard")),
        (("Linear Interp.", "+ Fixed interp."), Options(updated=False, interpolation="fixed")),
        (("Sparse MSDA", "+ Sparse MSDA (0.8)"), Options(interpolation="none")),
        (("Sparse MSDA", "+ Sparse MSDA (1.0)"), Options(interpolation="none", threshold=1.0)),
        (("Sparse MSDA", "+ Sparse MSDA (0.5)"), Options(interpolation="none", threshold=0.5)),
        (("Sparse MSDA", "+ Flow-guided Warping"), Options(interpolation="none", updated=False, warp=True)),
        (("Cosine Similarity", "x^1"), Options(similarity_level=1)),
        (("Focal Loss", "Without Focal Loss"), Options(supervised=False)),
    ],
)
def test_a_row_of_table_2_is_what_its_name_says(row, options):
    variant, interval = TABLE_2[row]
    assert (options_of(variant), interval) == (options, 4)


def test_flow_guided_warping_runs_the_weights_of_reuse():
    assert WEIGHTS_OF == {"warp": "reuse"}
    moved, still = options_of("warp").changed(), options_of("reuse").changed()
    assert moved == still | {"warp": True}


@pytest.mark.parametrize(
    ("variant", "similarity", "threshold"),
    [
        ("", True, True),
        ("reuse", False, False),
        ("interpolation", True, False),
        ("hard", True, True),
        ("fixed", False, False),
        ("msda", True, True),
        ("warp", False, False),
    ],
)
def test_the_similarity_and_its_threshold_are_read_where_something_hangs_on_them(variant, similarity, threshold):
    options = options_of(variant)
    assert (options.reads_similarity, options.reads_threshold) == (similarity, threshold)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"interpolation": "cubic"}, "interpolation must be one of none, soft, hard, fixed, got 'cubic'"),
        ({"normalise": "softmax"}, "normalise must be one of per head, all, got 'softmax'"),
        ({"similarity_level": 3}, "similarity_level must be 1 or 2"),
        ({"similarity_level": 0}, "similarity_level must be 1 or 2"),
        ({"threshold": 0.0}, "threshold must be above 0 and at most 1, got 0.0"),
        ({"threshold": 1.01}, "threshold must be above 0"),
        ({"threshold": float("nan")}, "threshold must be above 0"),
    ],
)
def test_what_no_option_can_be_is_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        Options(**wrong)


@pytest.mark.parametrize(
    ("options", "useless"),
    [
        ({"interpolation": "none", "updated": False, "threshold": 0.5}, "threshold"),
        ({"updated": False, "threshold": 0.5}, "threshold"),  # soft weights have none
        ({"interpolation": "none", "updated": False, "similarity_level": 1}, "similarity_level"),
        ({"interpolation": "fixed", "updated": False, "supervised": False}, "supervised"),
        ({"updated": False, "normalise": "all"}, "normalise"),
        ({"interpolation": "fixed", "updated": False, "normalise": "all", "threshold": 0.5}, "threshold, normalise"),
    ],
)
def test_an_option_that_nothing_looks_at_is_refused(options, useless):
    with pytest.raises(UsageError, match=f"^{useless}: nothing looks at it"):
        Options(**options)


def test_the_threshold_of_hard_weights_without_an_update_is_one_that_is_looked_at():
    assert Options(updated=False, interpolation="hard", threshold=0.5).threshold == 0.5


def test_an_unknown_variant_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="TFC has no variant 'soft'; there are reuse, interpolation, hard"):
        options_of("soft")

"""Work as it was decided: shares, the spread of decisions over clips, and the counts of print, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from fake_run import GROWING, NO_SUCH_COUNT, RUN, cell_of, make_run

from reports.summary import summarise
from reports.tables import write_tables
from reports.work import Decided, Price, overall, prices_of, together
from vssbench.store import Store
from vssbench.store_records import AT_FULL_SHARE

GIGA = 10**9
LABELS = np.array([[3, 1], [0, 4]], np.int64)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path) as store:
        yield store


def done_cell(store, method="m", **changes):
    cell = cell_of(method, **{"gop_length": 3, "class_names": ("sky", "road")} | changes)
    store.add_cell(cell)
    store.set_status(cell.key, "done")
    return cell


def add(store, cell, *, distance, frame=0, clip="a", kind="key", share=None):
    store.add_frame(cell.key, clip=clip, frame=frame, distance=distance, kind=kind, confusion=LABELS, share=share)


def only_row(store):
    (row,) = (row for _, row in summarise(store).iterrows())
    return row


# ---- shares ----


def growing_cell(store, **changes):
    """Key frames of 10 GMACs; the others have 2 and up to 6: shares 0.25 and 0.75 at d = 1, 0 and 0.5 at d = 2."""
    cell = done_cell(store, **changes)
    add(store, cell, distance=0)
    for number, (distance, share) in enumerate([(1, 0.25), (1, 0.75), (2, 0.0), (2, 0.5)]):
        add(store, cell, distance=distance, frame=number, kind="non-key", share=share)
    store.set_cost(cell.key, "key", macs={"convolution": 10 * GIGA}, uncounted={})
    store.set_cost(
        cell.key,
        "non-key",
        macs={"convolution": 2 * GIGA, "resize": GIGA},
        uncounted={},
        macs_at_full_share={"convolution": 3 * GIGA, "linear": 3 * GIGA, "resize": 2 * GIGA},
    )
    return cell


def test_a_kind_with_a_share_costs_what_its_mean_share_says(store):
    growing_cell(store)
    row = only_row(store)
    # mean shares 0.5 and 0.25: 2 + 0.5 * 4 and 2 + 0.25 * 4
    assert row["gmacs_nonkey"] == pytest.approx((4 + 3) / 2)
    assert row["gmacs_gop"] == pytest.approx((10 + 4 + 3) / 3)
    assert row["gflops_gop"] == pytest.approx(2 * (10 + 4 + 3) / 3)
    assert row["gmacs_sampling_gop"] == pytest.approx((0 + 1.5 + 1.25) / 3)
    assert row["share_of_non-key"] == pytest.approx(0.375)
    assert (row["gmacs_of_non-key"], row["gflops_of_non-key"]) == pytest.approx((3.5, 7))
    assert row["gmacs_of_key"] == 10
    assert row["note"] == ""


def test_shares_and_work_vary_over_clips(store):
    cell = done_cell(store)
    for clip, share in (("a", 0.2), ("b", 0.4), ("c", 0.9)):
        add(store, cell, clip=clip, distance=0)
        for distance in (1, 2):
            add(store, cell, clip=clip, distance=distance, kind="non-key", share=share)
    store.set_cost(cell.key, "key", macs={"convolution": GIGA}, uncounted={})
    store.set_cost(
        cell.key, "non-key", macs={"convolution": 0}, uncounted={}, macs_at_full_share={"convolution": 10 * GIGA}
    )
    row = only_row(store)
    assert row["share_of_non-key"] == pytest.approx(0.5)
    shares = [row[f"share_clip_{name}_of_non-key"] for name in ("min", "max", "std")]
    assert shares == pytest.approx([0.2, 0.9, np.std([0.2, 0.4, 0.9], ddof=1)])
    # the GOPs' means: (1 + 2 * 10 share) / 3
    assert (row["gmacs_clip_min"], row["gmacs_clip_max"]) == pytest.approx((5 / 3, 19 / 3))


def test_rates_times_the_work_of_the_kinds_are_the_non_key_mean_with_shares_too(store):
    cell = growing_cell(store)
    for frame in (7, 8):
        add(store, cell, distance=2, frame=frame, kind="full")
    store.set_cost(cell.key, "full", macs={"convolution": 9 * GIGA}, uncounted={})
    row = only_row(store)
    # d = 1: 4; d = 2: two of 3, two of 9
    assert row["gmacs_nonkey"] == pytest.approx((4 + 6) / 2)
    assert (row["rate_non-key"], row["rate_full"]) == pytest.approx((0.75, 0.25))
    assert sum(row[f"rate_{kind}"] * row[f"gmacs_of_{kind}"] for kind in ("non-key", "full")) == pytest.approx(5)
    # weighed as often as it was chosen: (1 * 0.5 + 0.5 * 0.25) / 1.5
    assert row["share_of_non-key"] == pytest.approx(0.625 / 1.5)


def test_work_without_a_stored_share_is_no_number_and_says_so(store):
    cell = growing_cell(store)
    add(store, cell, clip="b", distance=1, kind="non-key", share=0.5)
    row = only_row(store)
    assert row["gmacs_gop"] == pytest.approx((10 + 4 + 3) / 3)
    with Store.open(store.path.parent / "other") as other:
        silent = done_cell(other)
        add(other, silent, distance=0)
        for distance in (1, 2):
            add(other, silent, distance=distance, kind="non-key")
        for kind in ("key", "non-key"):
            other.set_cost(
                silent.key,
                kind,
                macs=store.costs(cell.key)[kind].macs,
                uncounted={},
                macs_at_full_share=store.costs(cell.key)[kind].macs_at_full_share,
            )
        row = only_row(other)
    assert np.isnan(row["gmacs_gop"])
    assert row["gmacs_key"] == 10
    assert "MACs n/a: no share is stored for the kinds non-key" in row["note"]


def test_the_mean_share_of_several_clips_is_over_frames():
    one = Decided(frames={1: {"x": 3}}, shares={1: {"x": 0.2}})
    other = Decided(frames={1: {"x": 1, "y": 1}}, shares={1: {"x": 1.0}})
    both = together([one, other])
    assert both.frames == {1: {"x": 4, "y": 1}}
    assert both.shares == {1: {"x": pytest.approx((3 * 0.2 + 1.0) / 4)}}


def test_a_single_stream_weighs_shares_by_frames():
    cell = cell_of("m", gop_length=3, protocol="single-stream")
    decided = Decided(frames={0: {"key": 1}, 2: {"x": 3}}, shares={2: {"x": 0.5}})
    # 10 and three times 2 + 0.5 * 4
    assert overall({"key": Price(10.0), "x": Price(2.0, 6.0)}, decided, cell) == pytest.approx((10 + 3 * 4) / 4)


def test_the_rounds_of_a_cell_are_drawn_with_its_shares(tmp_path):
    with make_run(tmp_path, run=[GROWING], clips=9, frames=1) as store:
        row = only_row(store)
        shares = store.mean_shares_by_clip(row["key"])
    # the mean of rounds lies at the mean itself; a clip's own work is (9.79 + 11 (2 + 4 share)) / 12
    clips = [(9.79 + 11 * (2 + 4 * shares[clip][1]["non-key"])) / 12 for clip in sorted(shares)]
    assert row["rounds"].gmacs.rounds.mean() == pytest.approx(np.mean(clips), rel=5e-3)
    assert min(clips) == pytest.approx(row["gmacs_clip_min"])
    assert row["rounds"].gmacs.rounds.max() <= max(clips) + 1e-9


# ---- decisions ----


def test_rates_have_their_spread_over_clips(store):
    cell = done_cell(store, gop_length=2)
    for clip, kinds in {"a": ["warp", "warp"], "b": ["warp", "full"], "c": ["full", "full"]}.items():
        for frame, kind in enumerate(kinds):
            add(store, cell, clip=clip, frame=frame, distance=0)
            add(store, cell, clip=clip, frame=frame, distance=1, kind=kind)
    row = only_row(store)
    assert row["rate_full"] == pytest.approx(0.5)
    spread = [row[f"rate_clip_{name}_of_full"] for name in ("min", "max", "std")]
    assert spread == pytest.approx([0, 1, 0.5])  # rates 0, 0.5, 1
    assert [row[f"rate_clip_{name}_of_key"] for name in ("min", "max", "std")] == [0, 0, 0]


def test_a_clip_that_was_not_tested_everywhere_has_no_rate_and_one_clip_no_deviation(store):
    cell = done_cell(store)
    for distance in (0, 1, 2):
        add(store, cell, clip="a", distance=distance, kind="key" if distance == 0 else "warp")
    add(store, cell, clip="b", distance=1, kind="full")
    row = only_row(store)
    assert (row["rate_clip_min_of_warp"], row["rate_clip_max_of_warp"]) == (1, 1)
    assert np.isnan(row["rate_clip_std_of_warp"])
    assert row["rate_full"] == pytest.approx((0.5 + 0) / 2)


def test_rates_of_a_single_stream_are_of_its_tested_p_frames(store):
    cell = done_cell(store, gop_length=12, protocol="single-stream")
    add(store, cell, distance=0)
    for frame, kind in enumerate(["warp", "warp", "full"]):
        add(store, cell, distance=5 + frame, frame=frame, kind=kind)
    row = only_row(store)
    assert (row["rate_warp"], row["rate_full"], row["rate_key"]) == pytest.approx((2 / 3, 1 / 3, 0))


# ---- counts of print ----


def printed_cell(store, *, nonkey, **changes):
    cell = done_cell(store, **changes)
    for distance in range(3):
        add(store, cell, distance=distance, kind="non-key" if distance else "key")
    counts = {"key": {"thop": 12 * GIGA, "arseg-paper": 30 * GIGA}, "non-key": nonkey}
    for kind, conventions in counts.items():
        store.set_cost(cell.key, kind, macs={"convolution": GIGA}, uncounted={}, conventions=conventions)
    return cell


def test_counts_of_print_are_averaged_as_the_true_one_is(store):
    printed_cell(store, nonkey={"thop": 3 * GIGA, "arseg-paper": 6 * GIGA})
    row = only_row(store)
    assert row["gmacs_gop_by_thop"] == pytest.approx((12 + 3 + 3) / 3)
    assert row["gmacs_gop_by_arseg-paper"] == pytest.approx((30 + 6 + 6) / 3)
    assert row["convention_note"] == ""


def test_a_count_of_print_that_fails_for_one_kind_is_no_number_and_says_why(store):
    printed_cell(store, nonkey={"thop": "thop fails", "arseg-paper": "not in it", "other": "not in it"})
    row = only_row(store)
    assert np.isnan(row["gmacs_gop_by_thop"])
    assert np.isnan(row["gmacs_gop_by_arseg-paper"])
    assert row["convention_note"] == "arseg-paper, other n/a: not in it; thop n/a: thop fails"


def test_a_count_of_print_has_its_share_too(store):
    cell = growing_cell(store)
    cost = store.costs(cell.key)
    counts = {"key": {"thop": 10 * GIGA}, "non-key": {"thop": GIGA, f"thop{AT_FULL_SHARE}": 9 * GIGA}}
    for kind, conventions in counts.items():
        now = cost[kind]._asdict() | {"conventions": conventions}
        del now["flops"]
        store.set_cost(cell.key, kind, **now)
    # shares 0.5 and 0.25: 1 + 0.5 * 8 and 1 + 0.25 * 8
    assert only_row(store)["gmacs_gop_by_thop"] == pytest.approx((10 + 5 + 3) / 3)


def test_the_tables_show_counts_of_print_shares_and_spreads(tmp_path):
    with make_run(tmp_path, run=[*RUN[:1], RUN[5], GROWING]) as store:
        write_tables(summarise(store), tmp_path)
    work, kinds = (tmp_path / "cost.md").read_text().split("### Work by kind of frame")
    assert "| arseg-paper (GMACs) | thop (GMACs) | params (M) |" in work
    assert "- arseg-paper: the same frames by the rules of AR-Seg's paper" in work
    assert "on this network and its classes" in work
    assert f"- tfc: arseg-paper n/a: {NO_SUCH_COUNT}\n" in work
    (tfc,) = [line for line in work.splitlines() if line.startswith("| tfc ")]
    # shares (n + 1) / 7 of six frames: 0.5 on average; 2 + 0.5 * 4 = 4 GMACs, thop 1 % more
    gop = (9.79 + 11 * 4) / 12
    assert f"| {gop:.3f} | {2 * gop:.3f} |" in tfc
    assert tfc.endswith(f"| n/a | {1.01 * gop:.3f} | 13.270 |")
    header = next(line for line in kinds.splitlines() if line.startswith("| Method"))
    assert header.endswith(
        "| one frame (GMACs) | one frame (GFLOPs) | of the P frames (%) | least of a clip (%) | most of a clip (%) "
        "| deviation over clips (points) | share of full work (%) | share, least of a clip (%) "
        "| share, most of a clip (%) | share, deviation over clips (points) |"
    )
    # the two clips' shares: 1/7..3/7 and 4/7..6/7, i.e. 2/7 and 5/7
    assert "| tfc | non-key | 4.000 | 8.000 | 100.0 | 100.0 | 100.0 | 0.0 | 50.0 | 28.6 | 71.4 | 30.3 |" in kinds
    assert "| arseg@0.5 | non-key | 2.900 | 5.800 | 100.0 | 100.0 | 100.0 | 0.0 | n/a | n/a | n/a | n/a |" in kinds


def test_a_method_for_which_no_count_of_print_was_given_is_named(tmp_path):
    with make_run(tmp_path, run=RUN[:1]) as store:
        cell = done_cell(store, "plugin", gop_length=12)
        for distance in range(12):
            add(store, cell, distance=distance)
        store.set_cost(cell.key, "key", macs={}, uncounted={}, conventions={"thop": "it has no modules"})
        write_tables(summarise(store), tmp_path)
    text = (tmp_path / "cost.md").read_text()
    assert "- plugin: thop n/a: it has no modules\n" in text
    assert "- plugin: arseg-paper n/a: no such count was given for this method\n" in text


def test_without_a_share_anywhere_there_is_no_such_column(tmp_path):
    with make_run(tmp_path, run=RUN[:2]) as store:
        write_tables(summarise(store), tmp_path)
    assert "share of full work" not in (tmp_path / "cost.md").read_text()


def test_prices_are_of_the_chosen_operators(store):
    cell = growing_cell(store)
    prices = prices_of(store.costs(cell.key), ("resize",))
    assert prices == {"key": Price(0.0), "non-key": Price(1.0, 2.0)}

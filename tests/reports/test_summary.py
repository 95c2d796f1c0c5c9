"""What the columns of the summary mean, on a run small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from fake_run import cell_of

from reports.summary import summarise
from vssbench.store import Store

GIGA = 10**9


def matrix(*cells):
    return np.array(cells, np.int64).reshape(2, 2)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path) as store:
        yield store


def add(store, cell, *, distance, frame=0, clip="a", kind="key", confusion=None):
    confusion = matrix(3, 1, 0, 4) if confusion is None else confusion
    store.add_frame(cell.key, clip=clip, frame=frame, distance=distance, kind=kind, confusion=confusion)


def two_class_cell(method="m", **changes):
    return cell_of(method, **{"gop_length": 2, "class_names": ("sky", "road")} | changes)


def only_row(store):
    frame = summarise(store)
    assert len(frame) == 1
    return frame.iloc[0]


def done_cell(store, **changes):
    cell = two_class_cell(**changes)
    store.add_cell(cell)
    store.set_status(cell.key, "done")
    return cell


# ---- accuracy ----


def test_miou_is_the_mean_over_distances_and_pooled_is_of_the_sum(store):
    cell = done_cell(store)
    add(store, cell, distance=0, confusion=matrix(3, 1, 0, 4))  # 3/4 and 4/5: 77.5 %
    add(store, cell, distance=1, confusion=matrix(2, 2, 2, 2))  # 2/6 and 2/6: 33.3 %
    row = only_row(store)
    assert row["miou_d0_percent"] == pytest.approx(77.5)
    assert row["miou_d1_percent"] == pytest.approx(100 / 3)
    assert row["miou_percent"] == pytest.approx((77.5 + 100 / 3) / 2)
    assert row["miou_pooled_percent"] == pytest.approx(100 * (5 / 10 + 6 / 11) / 2)
    assert (row["miou_min_percent"], row["miou_max_percent"]) == pytest.approx((100 / 3, 77.5))
    assert row["iou_sky_percent"] == pytest.approx(100 * (3 / 4 + 2 / 6) / 2)
    assert row["iou_road_percent"] == pytest.approx(100 * (4 / 5 + 2 / 6) / 2)


def test_counts_of_frames_add_up_before_the_iou_is_taken(store):
    cell = done_cell(store, gop_length=1)
    add(store, cell, distance=0, frame=0, confusion=matrix(1, 0, 0, 1))
    add(store, cell, distance=0, frame=1, confusion=matrix(0, 9, 0, 9))
    # sum [[1, 9], [0, 10]]: 1/10 and 10/19; the mean of the two frames' would be (1 + 0.25) / 2
    assert only_row(store)["miou_percent"] == pytest.approx(100 * (1 / 10 + 10 / 19) / 2)


def test_clips_frames_and_tests_are_counted_apart(store):
    cell = done_cell(store)
    for clip, frame, distance in [("a", 5, 0), ("a", 5, 1), ("b", 5, 0), ("b", 9, 1)]:
        add(store, cell, clip=clip, frame=frame, distance=distance)
    row = only_row(store)
    assert (row["clips"], row["frames"], row["tests"]) == (2, 3, 4)


def test_an_absent_class_is_left_out_named_and_counted(store):
    cell = done_cell(store)
    for distance in (0, 1):
        add(store, cell, distance=distance, confusion=matrix(7, 0, 0, 0))  # no road, and none predicted
    row = only_row(store)
    assert row["miou_percent"] == 100
    assert np.isnan(row["iou_road_percent"])
    assert row["absent_classes"] == 1
    assert "absent, left out of the mean: road" in row["note"]


def test_a_class_that_is_predicted_but_never_there_counts_as_zero(store):
    cell = done_cell(store)
    for distance in (0, 1):
        add(store, cell, distance=distance, confusion=matrix(6, 1, 0, 0))
    row = only_row(store)
    assert row["iou_road_percent"] == 0
    assert row["absent_classes"] == 0


def test_an_untested_distance_gives_no_mean_and_says_so(store):
    cell = done_cell(store)
    add(store, cell, distance=1)
    row = only_row(store)
    assert np.isnan(row["miou_percent"])
    assert np.isnan(row["miou_min_percent"])
    assert row["miou_d1_percent"] == pytest.approx(77.5)
    assert row["miou_pooled_percent"] == pytest.approx(77.5)
    assert "mIoU n/a: no labelled pixel was tested at d = 0" in row["note"]


def test_pixels_that_are_all_ignored_give_no_number(store):
    cell = done_cell(store)
    for distance in (0, 1):
        add(store, cell, distance=distance, confusion=matrix(0, 0, 0, 0))
    row = only_row(store)
    assert np.isnan(row["miou_percent"])
    assert np.isnan(row["miou_pooled_percent"])
    assert "no labelled pixel was tested at d = 0, 1" in row["note"]


def test_a_cell_without_frames_has_a_row_and_a_reason(store):
    done_cell(store)
    row = only_row(store)
    assert np.isnan(row["miou_percent"])
    assert (row["clips"], row["frames"], row["tests"]) == (0, 0, 0)
    assert "no frame was tested" in row["note"]


def test_classes_without_names_are_numbered(store):
    cell = done_cell(store, class_names=())
    for distance in (0, 1):
        add(store, cell, distance=distance)
    assert only_row(store)["iou_class 1_percent"] == pytest.approx(80)


# ---- work ----


def worked_cell(store, **changes):
    cell = done_cell(store, **changes)
    for frame in range(4):
        add(store, cell, distance=0, frame=frame)
        add(store, cell, distance=1, frame=frame, kind="full" if frame == 3 else "warp")
    store.set_cost(cell.key, "key", macs={"convolution": 10 * GIGA, "attention": 2 * GIGA}, uncounted={})
    store.set_cost(cell.key, "full", macs={"convolution": 11 * GIGA, "linear": GIGA}, uncounted={})
    warp = {"convolution": GIGA, "warp": 3 * GIGA // 10, "resize": GIGA // 10, "other": GIGA // 5}
    store.set_cost(cell.key, "warp", macs=warp, uncounted={"mine::op": 77})
    return cell


def test_work_is_weighted_by_what_was_decided(store):
    worked_cell(store)
    row = only_row(store)
    # d = 0: 12; d = 1: three frames of 1 and one of 12, 15 / 4
    assert row["gmacs_key"] == pytest.approx(12)
    assert row["gmacs_nonkey"] == pytest.approx(3.75)
    assert row["gmacs_gop"] == pytest.approx((12 + 3.75) / 2)
    assert row["gflops_gop"] == pytest.approx(12 + 3.75)
    assert row["gmacs_sampling_gop"] == pytest.approx((0 + 0.75 * 0.4) / 2)
    assert row["gmacs_other_gop"] == pytest.approx((0 + 0.75 * 0.2) / 2)
    assert row["gmacs_of_warp"] == pytest.approx(1)


def test_a_whole_cell_needs_no_note(store):
    worked_cell(store)
    assert only_row(store)["note"] == ""


def test_rates_are_shares_of_the_p_frames(store):
    worked_cell(store)
    row = only_row(store)
    assert (row["rate_warp"], row["rate_full"], row["rate_key"]) == (0.75, 0.25, 0)


def test_rates_and_costs_of_the_kinds_give_the_non_key_mean(store):
    worked_cell(store)
    row = only_row(store)
    total = sum(row[f"rate_{kind}"] * row[f"gmacs_of_{kind}"] for kind in ("warp", "full", "key"))
    assert total == pytest.approx(row["gmacs_nonkey"])


def test_every_distance_weighs_the_same_however_many_frames_it_has(store):
    cell = done_cell(store, gop_length=3)
    for frame in range(5):
        add(store, cell, distance=1, frame=frame, kind="cheap")
    add(store, cell, distance=0, frame=0)
    add(store, cell, distance=2, frame=0, kind="dear")
    for kind, giga in (("key", 9), ("cheap", 1), ("dear", 5)):
        store.set_cost(cell.key, kind, macs={"convolution": giga * GIGA}, uncounted={})
    row = only_row(store)
    assert row["gmacs_gop"] == pytest.approx((9 + 1 + 5) / 3)
    assert row["rate_cheap"] == pytest.approx(1 / 2)


def test_the_work_of_clips_is_told_apart_where_decisions_differ(store):
    cell = done_cell(store)
    decided = {"a": ["warp", "warp"], "b": ["warp", "full"], "c": ["full", "full"]}
    for clip, kinds in decided.items():
        for frame, kind in enumerate(kinds):
            add(store, cell, clip=clip, distance=0, frame=frame)
            add(store, cell, clip=clip, distance=1, frame=frame, kind=kind)
    for kind, giga in (("key", 10), ("warp", 0), ("full", 10)):
        store.set_cost(cell.key, kind, macs={"convolution": giga * GIGA, "resize": GIGA}, uncounted={})
    row = only_row(store)
    # GOP means of the clips: (10 + 0) / 2, (10 + 5) / 2, (10 + 10) / 2; deviation sqrt((2.5^2 + 0 + 2.5^2) / 2)
    assert (row["gmacs_clip_min"], row["gmacs_clip_max"], row["gmacs_clip_std"]) == pytest.approx((5, 10, 2.5))
    assert row["gmacs_gop"] == pytest.approx(7.5)
    assert (row["gflops_key"], row["gflops_nonkey"], row["gflops_gop"]) == pytest.approx((20, 10, 15))


def test_a_method_that_decides_nothing_does_the_same_in_every_clip(store):
    cell = done_cell(store)
    for clip in ("a", "b"):
        for distance in (0, 1):
            add(store, cell, clip=clip, distance=distance)
    store.set_cost(cell.key, "key", macs={"convolution": 3 * GIGA}, uncounted={})
    row = only_row(store)
    assert (row["gmacs_clip_min"], row["gmacs_clip_max"], row["gmacs_clip_std"]) == (3, 3, 0)


def test_one_clip_has_no_deviation_and_a_clip_without_every_distance_no_mean(store):
    cell = worked_cell(store)
    row = only_row(store)
    assert row["gmacs_clip_min"] == row["gmacs_clip_max"] == pytest.approx(row["gmacs_gop"])
    assert np.isnan(row["gmacs_clip_std"])
    add(store, cell, clip="b", distance=1, kind="full")
    row = only_row(store)
    assert row["gmacs_clip_max"] == pytest.approx((12 + 3.75) / 2)  # of clip a alone
    assert np.isnan(row["gmacs_clip_std"])


def test_a_single_streams_spread_is_over_the_clips_of_its_tested_frames(store):
    cell = done_cell(store, protocol="single-stream")
    add(store, cell, clip="a", distance=0, kind="key")
    for clip in ("a", "b"):
        add(store, cell, clip=clip, frame=1, distance=1, kind="warp")
    for kind, giga in (("key", 8), ("warp", 0)):
        store.set_cost(cell.key, kind, macs={"convolution": giga * GIGA}, uncounted={})
    row = only_row(store)
    assert (row["gmacs_clip_min"], row["gmacs_clip_max"]) == (0, 4)


def test_operators_without_a_formula_are_listed(store):
    worked_cell(store)
    assert only_row(store)["uncounted"] == "warp: mine::op (77 elements)"


def test_work_of_a_kind_that_was_not_counted_is_no_number(store):
    cell = done_cell(store)
    add(store, cell, distance=0)
    add(store, cell, distance=1, kind="warp")
    store.set_cost(cell.key, "key", macs={"convolution": GIGA}, uncounted={})
    row = only_row(store)
    assert row["gmacs_key"] == 1
    assert np.isnan(row["gmacs_nonkey"])
    assert np.isnan(row["gmacs_gop"])
    assert "MACs n/a: no count for the kinds warp" in row["note"]


def test_a_gop_of_one_frame_has_no_non_key_frame(store):
    cell = done_cell(store, gop_length=1)
    add(store, cell, distance=0)
    store.set_cost(cell.key, "key", macs={"convolution": GIGA}, uncounted={})
    row = only_row(store)
    assert row["gmacs_gop"] == 1
    assert np.isnan(row["gmacs_nonkey"])


# ---- latency ----


def decisions(store, cell, *, at):
    """Frames tested: distance -> kind -> how many."""
    for distance, kinds in at.items():
        for frame, kind in enumerate(kind for kind, number in kinds.items() for _ in range(number)):
            add(store, cell, frame=frame, distance=distance, kind=kind)


def test_latency_is_told_apart_by_distance_and_by_kind(store):
    cell = done_cell(store)
    add(store, cell, distance=0, kind="key")
    for frame, kind in enumerate(["warp", "warp", "warp", "full"]):
        add(store, cell, frame=frame, distance=1, kind=kind)
    samples = [(0, "key", 0.010), (1, "warp", 0.002), (0, "key", 0.014), (1, "full", 0.004)]
    store.set_latency(cell.key, samples=samples, environment={"device": "cpu"}, peak_memory_bytes=3 * 2**20)
    row = only_row(store)
    assert row["latency_n"] == 4
    assert row["latency_key_ms"] == pytest.approx(12)
    assert row["latency_nonkey_ms"] == pytest.approx((3 * 2 + 4) / 4)
    # as decided: key frames at d = 0, at d = 1 three warps of 2 ms to one full frame of 4 ms
    assert row["latency_gop_ms"] == pytest.approx((12 + (3 * 2 + 4) / 4) / 2)
    # a quarter of a GOP for each key sample, 3/8 for the warp and 1/8 for the full frame: half of it takes 4 ms or less
    assert row["latency_median_ms"] == pytest.approx((4 + 10) / 2)
    # 1 / (2 / 16 + 9 / 64 + 1 / 64) = 3.6 samples of equal weight
    assert (row["latency_n_effective"], np.isnan(row["latency_p50_ms"])) == (3, True)
    assert (row["latency_of_warp_ms"], row["latency_of_full_ms"]) == pytest.approx((2, 4))
    assert row["peak_memory_mib"] == 3
    assert row["environment"] == '{"device":"cpu"}'


def test_few_samples_have_no_high_percentiles_and_are_marked(store):
    cell = done_cell(store)
    store.set_latency(cell.key, samples=[(d, "key", 0.01) for d in (0, 1)] * 4, environment={})
    row = only_row(store)
    assert all(np.isnan(row[f"latency_p{percent}_ms"]) for percent in (50, 90, 99))
    lacking = [f"p{percent} n/a: 8 of {needed} samples" for percent, needed in ((50, 11), (90, 64), (99, 662))]
    assert row["latency_percentiles_note"] == "; ".join([*lacking, "raise --repeats"])


def test_the_note_on_a_percentile_says_how_to_come_by_it(store):
    cell = done_cell(store)
    # 96 samples in 4 passes, 24 a pass: 662 need 27.6, so 28
    samples = [(number % 2, "key", 0.01, number // 24) for number in range(96)]
    store.set_latency(cell.key, samples=samples, environment={"passes": 4})
    assert only_row(store)["latency_percentiles_note"] == "p99 n/a: 96 of 662 samples (--repeats 28 gives them)"


def test_many_steady_samples_have_every_percentile_and_no_note(store):
    cell = done_cell(store)
    seconds = np.linspace(0.0100, 0.0102, 662)
    store.set_latency(
        cell.key, samples=[(number % 2, "key", value) for number, value in enumerate(seconds)], environment={}
    )
    row = only_row(store)
    # MLPerf's early stopping: of 662 samples the 47 highest are discarded at p90, none at p99
    assert row["latency_p90_ms"] == pytest.approx(1000 * seconds[-48])
    assert row["latency_median_ms"] == pytest.approx(10.1)
    assert 10.1 < row["latency_p50_ms"] < row["latency_p90_ms"], "a bound on the median, not the median"
    assert row["latency_p99_ms"] == pytest.approx(10.2)
    assert (row["latency_note"], row["latency_percentiles_note"]) == ("", "")


def test_noise_is_shown(store):
    cell = done_cell(store)
    # quartiles of 1, 2, 3 repeated: 1, 2, 3; the range is as large as the median
    store.set_latency(cell.key, samples=[(n % 2, "key", 1 + n % 3) for n in range(66)], environment={})
    assert "key: noisy, interquartile range 100 % of the median" in only_row(store)["latency_note"]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("protocol", ["every-distance", "single-stream"])
def test_the_gop_lies_between_its_kinds_and_between_key_and_non_key(store, protocol, seed):
    """Though the timed frames are in another mix than the accuracy run decided."""
    rng = np.random.default_rng(seed)
    cell = done_cell(store, protocol=protocol, gop_length=4)
    at = {d: {"warp": int(rng.integers(1, 9)), "full": int(rng.integers(1, 5))} for d in (1, 2, 3)}
    decisions(store, cell, at={0: {"key": int(rng.integers(1, 9))}} | at)
    mix = ["warp"] * int(rng.integers(20, 80)) + ["full"] * int(rng.integers(20, 80))
    typical = {"key": 0.030, "full": 0.025, "warp": 0.002}
    samples = [(0, "key", 0.030 * rng.lognormal(0, 0.2)) for _ in range(25)]
    samples += [(int(rng.integers(1, 4)), kind, typical[kind] * rng.lognormal(0, 0.2)) for kind in mix]
    store.set_latency(cell.key, samples=samples, environment={})
    row = only_row(store)
    for gop, of_kind in (("latency_gop_ms", "latency_of_{}_ms"), ("latency_gop_mean_ms", "latency_mean_of_{}_ms")):
        kinds = [row[of_kind.format(kind)] for kind in typical]
        assert min(kinds) < row[gop] < max(kinds)
    ends = sorted([row["latency_key_ms"], row["latency_nonkey_ms"]])
    assert ends[0] < row["latency_gop_ms"] < ends[1]
    spread = [row[f"latency_{name}_ms"] for name in ("median", "p50", "p90", "p99")]
    known = [value for value in spread if not np.isnan(value)]
    assert known == sorted(known)
    assert known


def test_a_rare_kind_that_was_timed_too_often_keeps_its_share(store):
    """2 % of the frames are dear and take 20 ms, the others 1 ms; of the timed frames half are."""
    cell = done_cell(store, gop_length=1)
    decisions(store, cell, at={0: {"cheap": 49, "dear": 1}})
    samples = [(0, kind, seconds) for kind, seconds in (("cheap", 0.001), ("dear", 0.020)) for _ in range(1000)]
    store.set_latency(cell.key, samples=samples, environment={"passes": 4})
    row = only_row(store)
    mean = 0.98 * 1 + 0.02 * 20
    for name in ("latency_gop_ms", "latency_gop_mean_ms", "latency_key_ms"):
        assert row[name] == pytest.approx(mean), name
    assert row["latency_throughput_fps"] == pytest.approx(1000 / mean)
    values = [row[f"latency_{name}_ms"] for name in ("median", "iqr", "p50", "p90", "p99")]
    # (0.98 + 0.02)^2 / (0.98^2 + 0.02^2) of 1000
    assert (row["latency_n"], row["latency_n_effective"]) == (2000, 1040)
    assert values == pytest.approx([1, 0, 1, 1, 20])
    assert (row["latency_p90_of_cheap_ms"], row["latency_p90_of_dear_ms"]) == pytest.approx((1, 20))


def test_the_note_on_percentiles_counts_effective_samples(store):
    cell = done_cell(store, gop_length=1)
    decisions(store, cell, at={0: {"cheap": 49, "dear": 1}})
    samples = [(0, kind, 0.001) for kind in ("cheap", "dear") for _ in range(100)]
    store.set_latency(cell.key, samples=samples, environment={"passes": 4})
    # 104 effective samples in 4 passes: 662 need 25.5
    said = "p99 n/a: 104 of 662 samples (200, weighed by kind as decided) (--repeats 26 gives them)"
    assert only_row(store)["latency_percentiles_note"] == said


def test_a_mix_as_decided_is_mlperfs_rule_itself(store):
    cell = done_cell(store)
    decisions(store, cell, at={0: {"key": 3}, 1: {"warp": 3}})
    seconds = np.linspace(0.0100, 0.0102, 662)
    samples = [(number % 2, ("key", "warp")[number % 2], value) for number, value in enumerate(seconds)]
    store.set_latency(cell.key, samples=samples, environment={})
    row = only_row(store)
    assert (row["latency_n"], row["latency_n_effective"]) == (662, 662)
    assert (row["latency_p90_ms"], row["latency_p99_ms"]) == pytest.approx((1000 * seconds[-48], 10.2))


def test_an_untimed_kind_gives_no_gop_mean(store):
    cell = done_cell(store)
    add(store, cell, distance=0, kind="key")
    add(store, cell, distance=1, kind="warp")
    store.set_latency(cell.key, samples=[(1, "warp", 0.001)], environment={})
    row = only_row(store)
    assert np.isnan(row["latency_gop_ms"])
    assert np.isnan(row["latency_key_ms"])
    assert np.isnan(row["latency_median_ms"])
    assert row["latency_percentiles_note"] == ""
    assert "no step of kind key was timed" in row["latency_note"]


def test_mean_spread_and_throughput_of_kinds_and_of_whole_gops(store):
    cell = done_cell(store)
    for distance, kind in enumerate(["key", "warp"]):
        add(store, cell, distance=distance, kind=kind)
    # two GOPs of two frames, then a key frame whose GOP was cut short
    seconds = [("key", 0.030), ("warp", 0.010), ("key", 0.050), ("warp", 0.014), ("key", 0.100)]
    store.set_latency(cell.key, samples=[(n % 2, k, s) for n, (k, s) in enumerate(seconds)], environment={})
    row = only_row(store)
    assert (row["latency_mean_of_key_ms"], row["latency_n_of_key"]) == pytest.approx((60, 3))
    # quartiles of 30, 50, 100: 40 and 75
    assert row["latency_iqr_of_key_ms"] == pytest.approx(35)
    assert (row["latency_mean_of_warp_ms"], row["latency_iqr_of_warp_ms"]) == pytest.approx((12, 2))
    gop = "(GOP, per frame)"
    assert row[f"latency_n_of_{gop}"] == 2
    assert row[f"latency_mean_of_{gop}_ms"] == pytest.approx(((30 + 10) / 2 + (50 + 14) / 2) / 2)
    assert row["latency_gop_mean_ms"] == pytest.approx((60 + 12) / 2)
    assert row["latency_throughput_fps"] == pytest.approx(1000 / 36)
    assert np.isnan(row["latency_gop_device_ms"])


def test_device_times_parts_memory_and_what_comes_before_a_step(store):
    cell = done_cell(store)
    for distance, kind in enumerate(["key", "warp"]):
        add(store, cell, distance=distance, kind=kind)
    phases = [
        *((0, 0, "key", "model", 0.030), (0, 0, "key", "transfer", 0.002)),
        *((1, 1, "warp", "model", 0.004), (1, 1, "warp", "side information", 0.006)),
    ]
    facts = {
        "lookahead_frames": 3,
        "fps": 25.0,
        "needs": ["motion"],
        "decode_s": [[0.001, 0.003]] * 5,
        "decode_with_side_s": [[0.004, 0.006]] * 5,
        "outputs": {**{"pixels": 1000, "differing": 2, "share": 0.002, "limit": 0.01}, "frames": 2, "kinds": ["key"]},
        "peak_memory_of": {"key": 2**20, "warp": 3 * 2**20},
    }
    samples = [(0, "key", 0.032, 0, 0.031), (1, "warp", 0.010, 0, 0.009)]
    store.set_latency(cell.key, samples=samples, environment={}, phases=phases, facts=facts)
    row = only_row(store)
    assert row["latency_gop_device_ms"] == pytest.approx((31 + 9) / 2)
    assert row["latency_phase_model_ms"] == pytest.approx((30 + 4) / 2)
    assert row["latency_phase_transfer_ms"] == pytest.approx((2 + 0) / 2)
    assert row["latency_phase_side_information_ms"] == pytest.approx((0 + 6) / 2)
    assert (row["latency_lookahead_frames"], row["latency_waiting_ms"]) == (3, pytest.approx(120))
    assert (row["latency_decode_ms"], row["latency_side_information_ms"]) == pytest.approx((2, 3))
    assert row["latency_side_information_note"] == ""
    assert row["latency_outputs_differing_percent"] == pytest.approx(0.2)
    assert (row["latency_outputs_frames"], row["latency_outputs_pixels"]) == (2, 1000)
    assert (row["peak_memory_of_key_mib"], row["peak_memory_of_warp_mib"]) == (1, 3)


def test_two_timings_that_differ_a_hot_and_a_busy_machine_are_noted(store):
    cell = done_cell(store)
    # passes 0 and 3 are one side, 1 and 2 the other, 4 % dearer
    samples = [(0, "key", 0.0104 if n in (1, 2) else 0.0100, n) for n in range(4) for _ in range(16)]
    machine = {"throttled": True, "busy_by_others": 0.25}
    store.set_latency(cell.key, samples=samples, environment={}, facts={"machine": machine})
    row = only_row(store)
    assert row["latency_aa_percent"] == pytest.approx(4)
    assert "too noisy: timed twice in turn, it differs from itself by 4.0 %, more than 3 %" in row["latency_note"]
    assert "slowed down for heat or power" in row["latency_note"]
    assert "other processes used 25 % of the processors" in row["latency_note"]


def test_a_cell_that_was_not_timed_has_no_latency(store):
    done_cell(store)
    row = only_row(store)
    assert row["latency_n"] == 0
    assert np.isnan(row["latency_gop_ms"])


def test_a_single_stream_is_pooled_and_its_work_is_the_mean_over_its_frames(store):
    cell = done_cell(store, protocol="single-stream")
    add(store, cell, frame=0, distance=0, kind="key", confusion=matrix(3, 1, 0, 4))
    for frame in (1, 3, 5):
        add(store, cell, frame=frame, distance=1, kind="warp", confusion=matrix(2, 2, 2, 2))
    for kind, macs in (("key", 8 * 10**9), ("warp", 0)):
        store.set_cost(cell.key, kind, macs={"convolution": macs}, uncounted={})
    row = only_row(store)
    assert row["miou_percent"] == row["miou_pooled_percent"]
    assert row["gmacs_gop"] == pytest.approx(8 / 4)  # one key frame in four


# ---- rows ----


def test_rows_come_anchor_first_then_by_family_and_falling_point(store):
    for method, curves, point in [
        ("taplab:ffw", ("t",), 0.0),
        ("reuse:features", (), None),
        ("arseg@0.5", ("arseg",), 0.5),
        ("constant@0.5", ("constant",), 0.5),
        ("taplab:ffw+rgfs@0.1", ("t",), 0.1),
        ("arseg@0.7", ("arseg",), 0.7),
        ("constant@1.0", ("constant",), 1.0),
        ("taplab:ffw+rgfs@0.3", ("t",), 0.3),
    ]:
        store.add_cell(two_class_cell(method, curves=curves, point=point))
    assert list(summarise(store)["method"]) == [
        "constant@1.0",
        "constant@0.5",
        "arseg@0.7",
        "arseg@0.5",
        "reuse:features",
        "taplab:ffw",
        "taplab:ffw+rgfs@0.3",
        "taplab:ffw+rgfs@0.1",
    ]


def test_the_order_in_which_cells_were_added_does_not_matter(tmp_path):
    cells = [
        two_class_cell(f"m@{point}", point=point, codec=codec) for point in (0.3, 1.0) for codec in ("h264", "mpeg4")
    ]
    frames = []
    for name, order in (("one", cells), ("other", cells[::-1])):
        with Store.open(tmp_path / name) as store:
            for cell in order:
                store.add_cell(cell)
                add(store, cell, distance=0)
            frames.append(summarise(store).to_csv())
    assert frames[0] == frames[1]


def test_only_the_asked_for_cells_are_shown(store):
    wanted, other = two_class_cell("wanted"), two_class_cell("other")
    store.add_cell(wanted)
    store.add_cell(other)
    assert list(summarise(store, keys={wanted.key})["method"]) == ["wanted"]


def test_a_failed_cell_shows_its_error_and_keeps_what_was_measured(store):
    cell = worked_cell(store)
    store.set_status(cell.key, "failed", error="PredictionError: NaN logits\n in clip a")
    row = only_row(store)
    assert row["status"] == "failed"
    assert row["error"] == "PredictionError: NaN logits in clip a"
    assert "failed: PredictionError: NaN logits in clip a" in row["note"]
    assert row["miou_percent"] == pytest.approx(77.5)


def test_an_unfinished_cell_says_so(store):
    cell = two_class_cell()
    store.add_cell(cell)
    store.set_status(cell.key, "running")
    assert "running: not finished" in only_row(store)["note"]


def test_a_partial_run_says_so(store):
    done_cell(store, partial=True)
    row = only_row(store)
    assert row["partial"]
    assert "partial: a limit left out a part of the split" in row["note"]


def test_an_empty_store_gives_an_empty_frame_with_its_columns(store):
    frame = summarise(store)
    assert len(frame) == 0
    assert {"method", "miou_percent", "gmacs_gop", "latency_gop_ms", "bd_flops_percent"} <= set(frame)


def test_a_store_that_is_being_written_can_be_summarised(store):
    cell = worked_cell(store)
    with Store.open(store.path, read_only=True) as reader, reader.snapshot():
        before = summarise(reader)
        add(store, cell, distance=0, frame=99)
        assert summarise(reader).equals(before)

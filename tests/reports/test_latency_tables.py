"""The tables of what was timed: units in every header, and below them the machine and every reason for an n/a."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fake_run import RUN, make_run

from reports.curves import settings, streams
from reports.latency_notes import outputs_note, side_information_note
from reports.latency_tables import latency_tables
from reports.markup import markdown
from reports.stability_tables import overview_tables
from reports.summary import summarise
from reports.tables import render_summary
from vssbench.latency.passes import PairedDifference

METHODS = ("constant@1.0", "arseg@0.5", "taplab:ffw+rgfs@0.3")
CPU = {
    **{"busy_by_others": 0.02, "cpu_throttled": False, "gpu_throttled": None, "throttled": False},
    **{"load_average": [0.5, 1.25], "cpu_mhz": [2400, 2600], "cpu_governor": "performance"},
    **{"gpu_sm_mhz": None, "gpu_max_sm_mhz": None, "gpu_temperature_c": None, "gpu_reasons": None},
}
GPU = CPU | {"gpu_throttled": False, "gpu_sm_mhz": [1200, 1980], "gpu_max_sm_mhz": 1980, "gpu_temperature_c": 51}


def tables_of(folder, *, facts=None, environment=None):
    """The three tables of a small run, every method timed with these facts, or method -> facts."""
    with make_run(folder, run=[row for row in RUN if row[0] in METHODS]) as store:
        for cell in store.cells():
            old = store.latency(cell.key)
            found = (facts or {}).get(cell.method, facts or {})
            store.set_latency(
                cell.key, samples=old.samples, environment=old.environment | (environment or {}), facts=found
            )
        ((setting, rows),) = settings(summarise(store))
    return latency_tables(setting, rows)


def rows_of(table):
    return {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}


# ---- headers ----


def test_every_header_has_its_unit(tmp_path):
    passes = {"needs": ["motion"], "decode_s": [[0.002] * 24] * 9, "decode_with_side_s": [[0.003] * 24] * 9}
    compared = {**{"pixels": 9, "differing": 0, "share": 0.0, "limit": 0.01}, "frames": 1, "kinds": ["key"]}
    tables = tables_of(tmp_path, facts=passes | {"outputs": compared, "lookahead_frames": 0, "fps": 25})
    unit = re.compile(r".* \((ms|%|frames|frames/s|MiB|steps or GOPs)\)")
    names = {"Method", "kind"}
    assert [head for table in tables for head in table.header if head not in names and not unit.fullmatch(head)] == []


# ---- the machine ----


def test_clocks_throttling_and_load_stand_under_the_table(tmp_path):
    slower = CPU | {"cpu_mhz": [1800, 2500], "load_average": [1.0, 3.5], "busy_by_others": 0.4}
    facts = {method: {"machine": CPU} for method in METHODS} | {METHODS[1]: {"machine": slower}}
    notes = tables_of(tmp_path, facts=facts)[0].notes
    assert "clocks: processors 1800 to 2600 MHz (governor performance); throttling: none" in notes
    assert "load: average of a minute, this run included, 0.5 to 3.5; processors used by others 2 to 40 %" in notes


def test_throttling_that_was_seen_names_the_methods(tmp_path):
    hot = CPU | {"cpu_throttled": True, "throttled": True}
    facts = {method: {"machine": CPU} for method in METHODS} | {METHODS[1]: {"machine": hot}}
    (clocks,) = [note for note in tables_of(tmp_path, facts=facts)[0].notes if note.startswith("clocks")]
    assert clocks.endswith("throttling: seen while timing arseg@0.5")


def test_a_machine_that_tells_nothing_is_unknown_and_not_quiet(tmp_path):
    facts = {"machine": dict.fromkeys(CPU)}
    notes = tables_of(tmp_path, facts=facts)[0].notes
    assert "clocks: processors unknown; throttling: unknown: this system does not count it" in notes
    assert "load: average of a minute, this run included, unknown; processors used by others unknown" in notes


def test_a_gpu_stands_beside_the_processors(tmp_path):
    notes = tables_of(tmp_path, facts={"machine": GPU}, environment={"device": "cuda"})[0].notes
    (clocks,) = [note for note in notes if note.startswith("clocks")]
    assert "GPU at work 1200 to 1980 MHz of at most 1980 MHz, up to 51 degrees C" in clocks
    assert clocks.endswith("throttling: GPU none, processors none")


def test_a_gpu_without_nvml_is_unknown(tmp_path):
    notes = tables_of(tmp_path, facts={"machine": CPU}, environment={"device": "cuda"})[0].notes
    (clocks,) = [note for note in notes if note.startswith("clocks")]
    assert "GPU at work unknown" in clocks
    assert clocks.endswith("throttling: GPU unknown: no NVML (pip install nvidia-ml-py), processors none")


def test_for_how_long_a_gpu_was_slowed_down_stands_with_the_method(tmp_path):
    slowed = GPU | {"gpu_throttled": True, "throttled": True, "gpu_slowed_s": {"power": 0.25, "board_limit": 0.0}}
    facts = {method: {"machine": GPU} for method in METHODS} | {METHODS[1]: {"machine": slowed}}
    notes = tables_of(tmp_path, facts=facts, environment={"device": "cuda"})[0].notes
    assert any("throttling: GPU seen while timing arseg@0.5 (power 0.25 s), processors none" in note for note in notes)


# ---- percentiles, outputs, memory ----


def test_a_percentile_that_is_missing_has_its_note_by_method(tmp_path):
    # 72 frames a method: enough for p90, 662 - 72 too few for p99
    tables = tables_of(tmp_path, environment={"passes": 3})
    assert {row["p99 (ms)"] for row in rows_of(tables[0]).values()} == {"n/a"}
    assert "all: p99 n/a: 72 of 662 samples (--repeats 28 gives them)" in tables[0].notes
    assert not any("p90 n/a" in note for note in tables[0].notes)
    assert any("n/a below 11, 64 and 662 timed steps" in note for note in tables[1].notes)


def test_percentiles_speak_for_these_frames_alone(tmp_path):
    on = [{"video": "street-a", "start": 0, "stop": 12}, {"video": "street-b", "start": 12, "stop": 24}]
    notes = tables_of(tmp_path, facts={"timed_on": on}, environment={"passes": 3})[0].notes
    assert "all: timed 3 times over the same 24 frames: 0 to 11 of street-a, 12 to 23 of street-b" in notes
    assert any("the machine's noise and not for other content" in note for note in notes)
    assert not any("true percentile" in note for note in notes)


def test_a_gop_that_was_cut_short_is_told(tmp_path):
    on = [{"video": "street-a", "start": 0, "stop": 8}]
    notes = tables_of(tmp_path, facts={"timed_on": on})[0].notes
    assert any("timed on 8 frames of a GOP of 12: no video holds a whole one" in note for note in notes)


# ---- noise ----


def timed_in(folder, *passes, method=METHODS[1]):
    """The frame of a small run, one method timed so: a factor on all times of each pass."""
    with make_run(folder, run=[row for row in RUN if row[0] in METHODS]) as store:
        key = next(cell.key for cell in store.cells() if cell.method == method)
        old = store.latency(key)
        samples = [
            (s.distance, s.kind, factor * (0.100 if s.distance == 0 else 0.050), number)
            for number, factor in enumerate(passes)
            for s in old.samples
        ]
        store.set_latency(key, samples=samples, environment=old.environment)
        return summarise(store)


def texts_of(frame):
    """The printed summary, the latency table and the overview."""
    ((setting, rows),) = settings(frame)
    ((across, all_rows),) = streams(frame)
    tables = [latency_tables(setting, rows)[0], *overview_tables(across, all_rows)]
    return render_summary(frame, width=200), *map(markdown, tables)


@pytest.mark.parametrize(
    ("passes", "said"),
    [
        ((1.0, 1.04, 1.04, 1.0), "! too noisy: two timings in turn differ by more than 3 % (A/A)"),
        ((1.0,), "! A/A n/a: one pass cannot tell noise; --repeats 2 or more"),
    ],
)
def test_noise_stands_beside_every_number_that_it_spoils(tmp_path, passes, said):
    frame = timed_in(tmp_path, *passes)
    row = frame.set_index("method").loc["arseg@0.5"]
    printed, latency, overview = texts_of(frame)
    assert f"{row['latency_gop_ms']:.1f} !" in printed
    assert f"{row['latency_throughput_fps']:.1f} !" in overview
    for name, digits in (("latency_gop_ms", 2), ("latency_gop_mean_ms", 2), ("latency_throughput_fps", 1)):
        assert f"| {row[name]:.{digits}f} ! |" in latency
    for text in (printed, latency, overview):
        assert f"arseg@0.5: {said}" in " ".join(text.split())
        assert len(re.findall(r"\d !", text)) == (3 if text == latency else 1), "the others are quiet"


def test_a_quiet_machine_leaves_no_mark(tmp_path):
    for text in texts_of(timed_in(tmp_path, 1.0, 1.02, 1.02, 1.0)):
        assert "!" not in text


def test_a_number_that_is_missing_has_no_mark(tmp_path):
    frame = timed_in(tmp_path, 1.0)
    frame.loc[frame["method"] == "arseg@0.5", ["latency_gop_ms", "latency_throughput_fps"]] = np.nan
    printed, _latency, overview = texts_of(frame)
    assert "n/a !" not in printed + overview


def test_the_extent_of_the_comparison_stands_with_its_number(tmp_path):
    compared = {"pixels": 4_147_200, "differing": 415, "share": 415 / 4_147_200, "limit": 0.01, "frames": 24}
    facts = {"outputs": compared | {"kinds": ["key", "non-key"]}}
    table = tables_of(tmp_path, facts=facts)[0]
    assert rows_of(table)["arseg@0.5"]["labels unlike eager (%)"] == "0.0100"
    said = "24 frames of kind key, non-key, 4147200 pixels, 415 differ"
    assert f"all: labels compared with the eager network's before timing: {said}" in table.notes


def test_an_eager_run_has_nothing_to_compare(tmp_path):
    table = tables_of(tmp_path, facts={"outputs": None})[0]
    assert "labels unlike eager (%)" not in table.header
    assert outputs_note(None) == ""


def test_memory_of_a_kind_that_was_not_met_again_is_missing_with_its_reason(tmp_path):
    facts = {method: {} for method in METHODS} | {METHODS[2]: {"peak_memory_of": {"key": 2**20, "warp": 3 * 2**20}}}
    tables = tables_of(tmp_path, facts=facts)
    memory = {(row[0], row[1]): row[-1] for row in tables[1].rows}
    assert memory[METHODS[2], "warp"] == "3"
    assert memory[METHODS[2], "full"] == "n/a"
    assert any("added memory of full n/a: no such step was met again" in note for note in tables[0].notes)


# ---- side information ----


def decoding(*, added, noise, turns=9, frames=24):
    """Passes of 2 ms a frame without and with side information, in seconds."""
    rng = np.random.default_rng(0)
    plain = 0.002 + noise * rng.standard_normal((turns, 1)) + 1e-6 * rng.random((turns, frames))
    with_side = 0.002 + added + noise * rng.standard_normal((turns, 1)) + 1e-6 * rng.random((turns, frames))
    return {"needs": ["motion"], "decode_s": plain.tolist(), "decode_with_side_s": with_side.tolist()}


def parts_of(folder, facts):
    table = tables_of(folder, facts=facts)[2]
    return rows_of(table)["arseg@0.5"], table.notes


def test_reading_side_information_is_a_number_with_an_interval_where_it_stands_out(tmp_path):
    row, notes = parts_of(tmp_path, decoding(added=0.0006, noise=0.00002))
    low, high = map(float, row["99 % interval (ms)"].split(" to "))
    assert low <= float(row["reading side information (ms)"]) <= high
    assert float(row["reading side information (ms)"]) == pytest.approx(0.6, abs=0.06)
    assert float(row["decode (ms)"]) == pytest.approx(2.0, abs=0.05)
    assert not any("reading side information n/a" in note for note in notes)


def test_below_the_noise_there_is_no_number_and_a_reason(tmp_path):
    row, notes = parts_of(tmp_path, decoding(added=-0.00001, noise=0.0003))
    assert row["reading side information (ms)"] == "n/a"
    low, high = map(float, row["99 % interval (ms)"].split(" to "))
    assert low < 0 < high
    (said,) = [note for note in notes if note.startswith("all: reading side information n/a")]
    assert re.search(r"below the noise \(-?0\.\d\d ms, 99 % interval -0\.\d\d to 0\.\d\d ms, 9 passes", said)


def test_a_method_that_reads_none_spends_nothing_on_it(tmp_path):
    row, notes = parts_of(tmp_path, decoding(added=-0.0005, noise=0.00001) | {"needs": []})
    assert row["reading side information (ms)"] == "0.00"
    assert not any("reading side information n/a" in note for note in notes)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.0001, 0.0002, ""),
        (-0.0001, 0.0002, "below the noise (0.05 ms, 99 % interval -0.10 to 0.20 ms, 9 passes with and without it"),
        (-0.0003, -0.0001, "decoding with it took no longer (99 % interval -0.30 to -0.10 ms"),
        (np.nan, np.nan, "one pass cannot tell noise"),
    ],
)
def test_the_reason_is_that_of_the_interval(low, high, said):
    found = PairedDifference(value=0.00005, low=low, high=high, num_turns=9)
    note = side_information_note(found, needs=["motion"])
    assert said in note
    assert bool(note) is bool(said)


def test_what_was_not_measured_is_not_a_number(tmp_path):
    row, notes = parts_of(tmp_path, {"needs": ["motion"]})
    assert (row["decode (ms)"], row["reading side information (ms)"]) == ("n/a", "n/a")
    assert "all: reading side information n/a: not measured" in notes

"""The tables of what was timed, with the machine and the reasons below them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from reports.cells import grouped, kinds_table, table_of
from reports.curves import title_of
from reports.machine_notes import machine_notes
from reports.markup import Table
from vssbench.latency.passes import LEVEL
from vssbench.latency.phases import PHASES
from vssbench.latency.statistics import AA_LIMIT, PERCENTILES, minimum_samples

_LEAST = "{}, {} and {}".format(*map(minimum_samples, PERCENTILES))
LATENCY_NOTES = (
    "All times are weighed by kind of frame as the accuracy run decided. GOP, key (d = 0) and non-key (d > 0), of "
    "medians: the sum of the kinds' medians so weighed. GOP mean: of their means; throughput is its inverse. median, "
    "IQR: of all timed frames so weighed.",
    "p50, p90, p99: MLPerf's early-stopping estimates, upper bounds at 99 % confidence; so p50 lies above the median. "
    f"They need {_LEAST} samples, where the timed mix of kinds is not the decided one by Kish's effective number. They "
    "are of these frames on this machine: frames repeat from pass to pass, so they speak for the machine's noise and "
    "not for other content. (GOP, per frame): the mean time of a frame of each timed GOP.",
    f"A/A: how far two timings of the same method in turn differ; above {100 * AA_LIMIT:g} % the machine is too noisy.",
    "waiting: look-ahead at the video's frame rate, on top of everything else. added memory: above what the step began "
    "with; peak memory: above what was held after a reset.",
)
_OTHER_NOTES = ("latency_percentiles_note", "latency_outputs_note", "latency_note")
KINDS_NOTES = (
    f"Of the timed steps as they were. p50, p90 and p99 of a kind are n/a below {_LEAST} timed steps of it, the IQR "
    "below 2. Added memory is of single steps, so a GOP has none.",
)
PARTS_NOTES = (
    "decode and reading side information come before a frame's step and are in no latency above; they are of the CPU, "
    "which reads vectors beside decoding.",
    "reading side information: what it adds to decoding, the same frames decoded with and without it in turns, medians "
    f"of each frame, then their mean; {100 * LEVEL:g} % interval from drawing the turns again. Where that holds 0, the "
    "number is below the noise and n/a. 0.00 where a method reads none.",
    "The other parts add up to a step; they are timed in a pass of their own, with the device idle between them. side "
    "information: vectors brought to the feature grid; model: all that is not another part. A part that no step of a "
    "method has is n/a.",
)


def latency_tables(setting: Mapping[str, Any], rows: pd.DataFrame) -> list[Table]:
    """Times of a frame, the same by kind of frame, and the parts of a frame's time."""
    columns = {
        "latency_gop_ms": ("GOP, of medians (ms)", 2),
        "latency_gop_device_ms": ("GOP, of medians, CUDA events (ms)", 2),
        "latency_key_ms": ("key, of medians (ms)", 2),
        "latency_nonkey_ms": ("non-key, of medians (ms)", 2),
        "latency_gop_mean_ms": ("GOP mean (ms)", 2),
        "latency_throughput_fps": ("throughput (frames/s)", 1),
        "latency_median_ms": ("median (ms)", 2),
        "latency_iqr_ms": ("IQR (ms)", 2),
        "latency_p50_ms": ("p50 (ms)", 2),
        "latency_p90_ms": ("p90 (ms)", 2),
        "latency_p99_ms": ("p99 (ms)", 2),
        "latency_n": ("timed (frames)", 0),
        "latency_aa_percent": ("A/A (%)", 1),
        "latency_lookahead_frames": ("look-ahead (frames)", 0),
        "latency_waiting_ms": ("waiting (ms)", 1),
        "latency_outputs_differing_percent": ("labels unlike eager (%)", 4),
        "peak_memory_mib": ("peak memory (MiB)", 0),
    }
    by_kind = {
        "latency_of_{}_ms": ("median (ms)", 2),
        "latency_device_of_{}_ms": ("median, CUDA events (ms)", 2),
        "latency_mean_of_{}_ms": ("mean (ms)", 2),
        "latency_iqr_of_{}_ms": ("IQR (ms)", 2),
        "latency_p50_of_{}_ms": ("p50 (ms)", 2),
        "latency_p90_of_{}_ms": ("p90 (ms)", 2),
        "latency_p99_of_{}_ms": ("p99 (ms)", 2),
        "latency_n_of_{}": ("timed (steps or GOPs)", 0),
        "peak_memory_of_{}_mib": ("added memory (MiB)", 0),
    }
    if rows["latency_gop_device_ms"].isna().all():
        by_kind.pop("latency_device_of_{}_ms")
    for name in ("latency_gop_device_ms", "latency_outputs_differing_percent"):
        if rows[name].isna().all():  # a CPU has no events, and the eager network nothing to be held against
            columns.pop(name)
    notes = [*LATENCY_NOTES, *_where_timed(rows), *machine_notes(rows)]
    for note in ("latency_timed_note", "latency_quiet_note", *_OTHER_NOTES):
        notes += grouped(rows, "method", note)
    notes += [f"{method}: not timed" for method in rows[rows["latency_n"] == 0]["method"]]
    return [
        table_of(f"Latency of one frame: {title_of(setting)}", rows, columns, notes=notes),
        kinds_table(f"Latency by kind of frame: {title_of(setting)}", rows, by_kind, notes=KINDS_NOTES),
        _parts(setting, rows),
    ]


def _parts(setting: Mapping[str, Any], rows: pd.DataFrame) -> Table:
    """Where the time goes, from the bitstream to the labels."""
    before = {
        "latency_decode_ms": ("decode (ms)", 2),
        "latency_side_information_ms": ("reading side information (ms)", 2),
        "latency_side_information_interval": (f"{100 * LEVEL:g} % interval (ms)", 2),
    }
    found = [name for name in rows if name.startswith("latency_phase_") and rows[name].notna().any()]
    names = [f"latency_phase_{phase.replace(' ', '_')}_ms" for phase in PHASES]
    ordered = [name for name in names if name in found] + sorted(set(found) - set(names))
    parts = {
        name: (f"{name.removeprefix('latency_phase_').removesuffix('_ms').replace('_', ' ')} (ms)", 2)
        for name in ordered
    }
    notes = [*PARTS_NOTES, *grouped(rows, "method", "latency_side_information_note")]
    return table_of(f"Parts of a frame's time, GOP mean: {title_of(setting)}", rows, before | parts, notes=notes)


def _where_timed(rows: pd.DataFrame) -> Iterator[str]:
    """What all timed rows have in common of their machine, once; then where they differ."""
    timed = rows[rows["latency_n"] > 0]
    facts = {
        method: json.loads(text) | ({"peak memory": kind} if kind else {})
        for method, text, kind in zip(timed["method"], timed["environment"], timed["peak_memory_kind"], strict=True)
    }
    pairs = [{(name, _fact(value)) for name, value in of_one.items() if value is not None} for of_one in facts.values()]
    common = set.intersection(*pairs) if pairs else set()
    if common:
        yield "timed with " + ", ".join(f"{name} {value}" for name, value in sorted(common))
    for method, of_one in zip(facts, pairs, strict=True):
        if of_one - common:
            yield f"{method}: timed with " + ", ".join(f"{name} {value}" for name, value in sorted(of_one - common))


def _fact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

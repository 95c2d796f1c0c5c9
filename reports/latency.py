"""What the tables say of a method's timed steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from reports.latency_notes import (
    outputs_note,
    percentiles_note,
    quiet_note,
    side_information_note,
    timed_note,
    weaknesses,
)
from reports.work import Decided, Price, after_key, mean_by_distance, overall
from vssbench.latency.passes import PairedDifference, median_of_each, paired_difference
from vssbench.latency.statistics import (
    AA_LIMIT,
    Distribution,
    TimedStep,
    aa_difference,
    distribution,
    effective_number,
    median,
    weighed_distribution,
)
from vssbench.store import Cell, Latency, LatencySample, PhaseSample
from vssbench.store_schema import canonical_json

GOP = "(GOP, per frame)"  # beside the kinds of frame: every timed GOP's mean
NAN = float("nan")

FIXED = (  # in the order of the table; columns by kind and by phase follow
    *("latency_n", "latency_n_effective", "latency_key_ms", "latency_nonkey_ms", "latency_gop_ms"),
    *("latency_gop_mean_ms", "latency_gop_device_ms", "latency_throughput_fps", "latency_median_ms", "latency_iqr_ms"),
    *("latency_p50_ms", "latency_p90_ms", "latency_p99_ms", "latency_aa_percent", "latency_quiet"),
    *("latency_lookahead_frames", "latency_waiting_ms", "latency_decode_ms", "latency_side_information_ms"),
    *("latency_side_information_low_ms", "latency_side_information_high_ms", "latency_outputs_differing_percent"),
    *("latency_outputs_frames", "latency_outputs_pixels", "peak_memory_mib", "peak_memory_kind", "environment"),
    *("latency_machine", "latency_note", "latency_percentiles_note", "latency_outputs_note"),
    *("latency_side_information_note", "latency_quiet_note", "latency_timed_note"),
)


def latency_columns(latency: Latency | None, *, decided: Decided, cell: Cell) -> dict[str, Any]:
    """Milliseconds, of the timed steps, all weighed by kind as the decisions of the accuracy run fell.

    So are the multiply-adds weighed: a method that decides may have timed another mix of kinds. `latency_gop_ms` is the
    sum of the kinds' medians so weighed, `latency_key_ms` at d = 0 and `latency_nonkey_ms` at d > 0; an interrupted
    sample does not move them, and they lie between the medians of the kinds. `latency_gop_mean_ms` is the same of the
    kinds' means, and `latency_throughput_fps` its inverse.

    `latency_median_ms`, IQR and percentiles are of all `latency_n` samples, each weighed by its kind's share over the
    number of samples of it; `latency_n_effective` samples of equal weight tell as much, `latency_n` where the timed mix
    is the decided one. Where nothing was tested, they are of the samples as they are. p50, p90 and p99 are MLPerf's
    early-stopping estimates, NaN below 11, 64 and 662 effective samples; so p50 is a bound, and the median is the point
    estimate beside it. The same by kind, unweighed, `latency_of_<kind>_ms` being the median; the kind GOP holds every
    timed GOP's mean.

    `latency_phase_<part>_ms` are means over a GOP that add up to a step; decoding and reading side information come
    before a step, the latter with its interval and NaN where that holds 0; `latency_waiting_ms` is what look-ahead
    costs at the video's frame rate. `latency_quiet`: "no" where A/A is above the limit, "unknown" where there is none.
    `latency_note`: what weakens the numbers; the other notes: why one is NaN, or what it rests on.

    Args:
        latency: as stored; None where the cell was not timed.
        decided: what the tested frames did.
        cell: that was timed.
    """
    if latency is None:
        return {"latency_n": 0, "latency_quiet": ""}
    samples, facts = latency.samples, latency.facts
    by_kind = _by_kind(samples)
    spread = {kind: distribution([1000 * s.seconds for s in of_kind]) for kind, of_kind in by_kind.items()}
    weights = _weights(samples, decided, cell)
    everything = weighed_distribution([1000 * sample.seconds for sample in samples], weights)
    mean_over_gop = partial(_mean_over_gop, decided=decided, cell=cell)
    medians = {kind: Price(of_kind.median) for kind, of_kind in spread.items()}
    mean = mean_over_gop({kind: of_kind.mean for kind, of_kind in spread.items()})
    device = {kind: _device_ms(of_kind) for kind, of_kind in by_kind.items()}
    difference = aa_difference(map(_timed_step, samples))
    peak = latency.peak_memory_bytes
    whole_gops = {GOP: distribution(_gop_means_ms(samples, cell.gop_length))}
    return {
        "latency_n": everything.n,
        "latency_n_effective": effective_number(weights),
        "latency_key_ms": float(mean_by_distance(medians, decided, cell.gop_length)[0]),
        "latency_nonkey_ms": after_key(medians, decided, cell),
        "latency_gop_ms": overall(medians, decided, cell),
        "latency_gop_mean_ms": mean,
        "latency_gop_device_ms": mean_over_gop(device),
        "latency_throughput_fps": 1000 / mean if mean > 0 else NAN,
        "latency_median_ms": everything.median,
        "latency_iqr_ms": everything.interquartile_range,
        "latency_p50_ms": everything.p50,
        "latency_p90_ms": everything.p90,
        "latency_p99_ms": everything.p99,
        "latency_aa_percent": 100 * difference,
        "latency_quiet": "unknown" if math.isnan(difference) else "no" if difference > AA_LIMIT else "yes",
        "latency_quiet_note": quiet_note(difference, passes={sample.pass_number for sample in samples}),
        **_before_a_step(facts),
        **_outputs(facts.get("outputs")),
        "peak_memory_mib": NAN if peak is None else peak / 2**20,
        "peak_memory_kind": latency.peak_memory_kind or "",
        "environment": canonical_json(latency.environment),
        "latency_machine": canonical_json(facts.get("machine") or {}),
        "latency_note": "; ".join(
            weaknesses(
                spread,
                untimed=sorted(decided.kinds - set(by_kind)),
                difference=difference,
                facts=facts,
                gop_length=cell.gop_length,
            )
        ),
        "latency_percentiles_note": percentiles_note(latency, effective_number(weights)),
        "latency_timed_note": timed_note(latency),
        **_phase_columns(latency.phases, mean_over_gop),
        **_kind_columns(spread | (whole_gops if whole_gops[GOP].n else {})),
        **{f"latency_device_of_{kind}_ms": value for kind, value in device.items()},
        **{f"peak_memory_of_{kind}_mib": b / 2**20 for kind, b in facts.get("peak_memory_of", {}).items()},
    }


def _mean_over_gop(per_kind: Mapping[str, float], *, decided: Decided, cell: Cell) -> float:
    """Kind -> value to the mean over a GOP as the decisions fell; NaN where a kind is missing."""
    return overall({kind: Price(value) for kind, value in per_kind.items()}, decided, cell)


def _weights(samples: Sequence[LatencySample], decided: Decided, cell: Cell) -> list[float]:
    """What each sample stands for: its kind's share of a GOP over the number of samples of that kind.

    NaN where a kind was not timed, or a distance not tested; 1 where nothing was tested.
    """
    counts = {kind: len(of_kind) for kind, of_kind in _by_kind(samples).items()}
    if not decided.kinds:
        return [1.0] * len(samples)
    if decided.kinds - counts.keys():
        return [NAN] * len(samples)
    shares = {
        kind: _mean_over_gop({other: float(other == kind) for other in decided.kinds}, decided=decided, cell=cell)
        for kind in counts
    }
    return [shares[sample.kind] / counts[sample.kind] for sample in samples]


def _by_kind(samples: Sequence[LatencySample]) -> dict[str, list[LatencySample]]:
    kinds = sorted({sample.kind for sample in samples})
    return {kind: [sample for sample in samples if sample.kind == kind] for kind in kinds}


def _timed_step(sample: LatencySample) -> TimedStep:
    return TimedStep(
        position=sample.distance,
        kind=sample.kind,
        seconds=sample.seconds,
        device_seconds=sample.device_seconds,
        pass_number=sample.pass_number,
    )


def _device_ms(samples: Sequence[LatencySample]) -> float:
    """The median between two events on the device; NaN where it has no clock of its own."""
    return median([1000 * s.device_seconds for s in samples if s.device_seconds is not None])


def _gop_means_ms(samples: Sequence[LatencySample], gop_length: int) -> list[float]:
    """The mean time of a frame in each GOP that was timed whole; samples are in the order in which they ran."""
    gops: list[list[LatencySample]] = []
    for sample in samples:
        if sample.distance == 0 or not gops:
            gops.append([])
        gops[-1].append(sample)
    return [1000 * sum(s.seconds for s in gop) / gop_length for gop in gops if len(gop) == gop_length]


def _before_a_step(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a frame waits for before its step: later frames, the decoder, and the reading of side information."""
    lookahead, fps, needs = (facts.get(name) for name in ("lookahead_frames", "fps", "needs"))
    plain, with_side = facts.get("decode_s"), facts.get("decode_with_side_s")
    found = paired_difference(plain, with_side) if plain and with_side and needs != [] else None
    return {
        "latency_lookahead_frames": NAN if lookahead is None else lookahead,
        "latency_waiting_ms": NAN if lookahead is None or not fps else 1000 * lookahead / fps,
        "latency_decode_ms": 1000 * float(median_of_each(plain).mean()) if plain else NAN,
        **_side_information(found, reads_none=needs == []),
        "latency_side_information_note": side_information_note(found, needs=needs),
    }


def _side_information(found: PairedDifference | None, *, reads_none: bool) -> dict[str, float]:
    """What reading it adds to decoding a frame, with its interval; no number where that is noise."""
    value, low, high = (NAN,) * 3 if found is None else (found.value, found.low, found.high)
    if reads_none:
        value = low = high = 0.0
    elif found is None or not found.is_dearer:
        value = NAN
    return {
        "latency_side_information_ms": 1000 * value,
        "latency_side_information_low_ms": 1000 * low,
        "latency_side_information_high_ms": 1000 * high,
    }


def _outputs(outputs: Mapping[str, Any] | None) -> dict[str, Any]:
    """How many labels differ from the eager network's, and of how many."""
    found = outputs or {}
    return {
        "latency_outputs_differing_percent": 100 * found.get("share", NAN),
        "latency_outputs_frames": found.get("frames", NAN),
        "latency_outputs_pixels": found.get("pixels", NAN),
        "latency_outputs_note": outputs_note(outputs),
    }


def _phase_columns(
    phases: Sequence[PhaseSample], mean_over_gop: Callable[[Mapping[str, float]], float]
) -> dict[str, float]:
    """Each part's mean by kind, then over the GOP; a step that lacks a part spends nothing on it."""
    steps = {(part.number, part.kind) for part in phases}
    kinds = {kind: sum(other == kind for _, other in steps) for _, kind in steps}
    names = dict.fromkeys(part.phase for part in phases)
    columns = {}
    for name in names:
        of_kind = {
            kind: 1000 * sum(p.seconds for p in phases if p.phase == name and p.kind == kind) / number
            for kind, number in kinds.items()
        }
        columns[f"latency_phase_{name.replace(' ', '_')}_ms"] = mean_over_gop(of_kind)
    return columns


def _kind_columns(spread: Mapping[str, Distribution]) -> dict[str, float]:
    columns: dict[str, float] = {}
    for kind, of_kind in spread.items():
        columns |= {
            f"latency_n_of_{kind}": of_kind.n,
            f"latency_of_{kind}_ms": of_kind.median,
            f"latency_mean_of_{kind}_ms": of_kind.mean,
            f"latency_iqr_of_{kind}_ms": of_kind.interquartile_range,
            f"latency_p50_of_{kind}_ms": of_kind.p50,
            f"latency_p90_of_{kind}_ms": of_kind.p90,
            f"latency_p99_of_{kind}_ms": of_kind.p99,
        }
    return columns

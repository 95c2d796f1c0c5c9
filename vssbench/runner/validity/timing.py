"""Rules about what was timed: each yields what breaks it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from vssbench.latency.statistics import AA_LIMIT, BUSY_LIMIT, TimedStep, aa_difference, minimum_samples
from vssbench.runner.run_facts import CellFacts, RunFacts
from vssbench.store import Latency

PLACE = (  # of a timing's environment: what a time depends on besides the method
    *("device", "cpu", "cpu_cores_usable", "os", "gpu", "gpu_driver", "cuda", "cudnn", "cudnn_benchmark"),
    *("tf32_matmul", "tf32_convolution", "python", "torch", "torch_threads", "numpy", "backend", "dtype", "batch"),
    *("frame_height", "frame_width", "passes"),
)


def timed(run: RunFacts) -> list[tuple[CellFacts, Latency]]:
    """The finished cells that were timed."""
    return [(facts, facts.latency) for facts in run.done if facts.latency is not None]


def all_or_none_timed(run: RunFacts) -> Iterator[str]:
    """Of the finished methods all were timed, or none."""
    if timed(run):
        for facts in run.done:
            if facts.latency is None:
                yield f"{facts.name} was not timed"


def every_kind_timed(run: RunFacts) -> Iterator[str]:
    """Every kind of frame that was tested was timed."""
    for facts, latency in timed(run):
        untimed = sorted(facts.kinds - {sample.kind for sample in latency.samples})
        if untimed:
            yield f"{facts.name}: {', '.join(untimed)} was tested and not timed"


def timed_alike(run: RunFacts) -> Iterator[str]:
    """All methods of a table were timed on one machine in one way."""
    for setting, cells in run.settings.items():
        places = [
            (facts, {key: facts.latency.environment.get(key) for key in PLACE}) for facts in cells if facts.latency
        ]
        for facts, place in places[1:]:
            first, expected = places[0]
            differing = [key for key in PLACE if place[key] != expected[key]]
            if differing:
                yield f"{setting}: {facts.cell.method} differs from {first.cell.method} in {', '.join(differing)}"


def enough_samples(run: RunFacts) -> Iterator[str]:
    """There are enough timed frames for a 90th percentile."""
    for facts, latency in timed(run):
        if len(latency.samples) < minimum_samples(0.9):
            yield f"{facts.name} has {len(latency.samples)} timed frames, p90 needs {minimum_samples(0.9)}"


def quiet(run: RunFacts) -> Iterator[str]:
    """Two timings of one method in turn differ by little."""
    for facts, latency in timed(run):
        difference = aa_difference(
            TimedStep(position=s.distance, kind=s.kind, seconds=s.seconds, pass_number=s.pass_number)
            for s in latency.samples
        )
        if math.isnan(difference):
            yield f"{facts.name} was timed in one pass, which cannot tell noise"
        elif difference > AA_LIMIT:
            yield f"{facts.name} differs from itself by {100 * difference:.1f} %"


def _machine(latency: Latency) -> dict[str, Any]:
    return latency.facts.get("machine") or {}


def not_throttled(run: RunFacts) -> Iterator[str]:
    """Nothing was seen to be slowed down for heat or power."""
    for facts, latency in timed(run):
        if _machine(latency).get("throttled"):
            yield f"{facts.name}, {_clocks(_machine(latency))}"


def _clocks(machine: dict[str, Any]) -> str:
    known = {name: machine.get(name) for name in ("cpu_mhz", "gpu_sm_mhz", "gpu_temperature_c", "gpu_reasons")}
    return ", ".join(f"{name} {value}" for name, value in known.items() if value is not None) or "clocks unknown"


def alone(run: RunFacts) -> Iterator[str]:
    """Other processes were not seen to use much of the processors."""
    for facts, latency in timed(run):
        share = _machine(latency).get("busy_by_others")
        if share is not None and share > BUSY_LIMIT:
            yield f"{facts.name}: others used {100 * share:.0f} % of the processors"


def outputs_first(run: RunFacts) -> Iterator[str]:
    """What was timed gives the labels of the eager network."""
    for facts, latency in timed(run):
        if latency.environment.get("backend", "eager") == "eager":
            continue
        outputs = latency.facts.get("outputs")
        if not outputs:
            yield f"{facts.name} was timed as {latency.environment['backend']} and its labels were not compared"
            continue
        if outputs["share"] > outputs["limit"]:
            yield f"{facts.name}: {100 * outputs['share']:.3f} % of the labels differ from the eager network's"
        unseen = sorted({sample.kind for sample in latency.samples} - set(outputs.get("kinds", ())))
        if unseen:
            yield f"{facts.name}: {', '.join(unseen)} was timed and its labels were not compared"

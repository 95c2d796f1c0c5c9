"""Rules about accuracy: each yields what breaks it."""

from __future__ import annotations

from collections.abc import Iterator

from vssbench.metrics.curve_fit import MINIMUM_POINTS
from vssbench.runner.run_facts import RunFacts

ANCHOR = "constant"
OWN = ("method", "network", "options", "weights_sha256", "calibration")  # of a condition: what tells methods apart


def planned_frames(run: RunFacts) -> Iterator[str]:
    """As many tests are stored as were planned."""
    for facts in run.done:
        planned = facts.cell.condition.get("tests")
        if planned is not None and len(facts.labelled) != planned:
            yield f"{facts.name} has {len(facts.labelled)} of {planned} tests"


def every_distance(run: RunFacts) -> Iterator[str]:
    """As many frames were tested at every distance to the key frame; a single stream tests each where it falls."""
    for facts in run.done:
        if facts.cell.protocol == "single-stream":
            continue
        length = facts.cell.gop_length
        counts = [sum(distance == d for _, _, distance in facts.labelled) for d in range(length)]
        if min(counts) != max(counts) or not counts[0]:
            yield f"{facts.name} tests {min(counts)} to {max(counts)} frames at d = 0 to {length - 1}"


def same_frames(run: RunFacts) -> Iterator[str]:
    """All methods of a table were tested on the same frames."""
    for setting, cells in run.settings.items():
        first = cells[0]
        for facts in cells[1:]:
            odd = len(facts.labelled.keys() ^ first.labelled.keys())
            if odd:
                yield f"{setting}: {odd} tests are of {facts.cell.method} or {first.cell.method} alone"


def same_labels(run: RunFacts) -> Iterator[str]:
    """All methods of a table were held against the same labels, class by class."""
    for setting, cells in run.settings.items():
        first = cells[0]
        for facts in cells[1:]:
            both = facts.labelled.keys() & first.labelled.keys()
            odd = sum(facts.labelled[test] != first.labelled[test] for test in both)
            if odd:
                yield f"{setting}: {facts.cell.method} and {first.cell.method} have other labels in {odd} tests"


def same_conditions(run: RunFacts) -> Iterator[str]:
    """Methods of a table share everything but what makes them methods."""
    for setting, cells in run.settings.items():
        shared = [{k: v for k, v in facts.cell.condition.items() if k not in OWN} for facts in cells]
        for facts, condition in zip(cells[1:], shared[1:], strict=True):
            differing = sorted(
                key for key in condition.keys() | shared[0].keys() if condition.get(key) != shared[0].get(key)
            )
            if differing:
                yield f"{setting}: {facts.cell.method} differs from {cells[0].cell.method} in {', '.join(differing)}"


def anchor(run: RunFacts) -> Iterator[str]:
    """Constant resolution stands in every table."""
    for setting, cells in run.settings.items():
        if not any(ANCHOR in facts.cell.curves for facts in cells):
            yield f"{setting} has no finished point of {ANCHOR} resolution"


def curve_points(run: RunFacts) -> Iterator[str]:
    """Every curve has the points that a fit needs, different in work and in accuracy.

    A single point is held against the anchor's curve instead, and an anchor without curves beside it needs none.
    """
    for setting, cells in run.settings.items():
        curves = {curve: [f for f in cells if curve in f.cell.curves] for facts in cells for curve in facts.cell.curves}
        others = [curve for curve, points in curves.items() if curve != ANCHOR and len(points) > 1]
        for curve, points in curves.items():
            if curve not in others and not (curve == ANCHOR and (others or len(points) > 1)):
                continue
            distinct = min(len({facts.macs for facts in points}), len({facts.miou for facts in points}))
            if distinct < MINIMUM_POINTS:
                alike = "" if distinct == len(points) else f", {distinct} of them different"
                yield f"{setting}: {curve} has {len(points)} points{alike}, a fit needs {MINIMUM_POINTS}"

"""Rules about stability: each yields what breaks it."""

from __future__ import annotations

from collections.abc import Iterator

from vssbench.runner.run_facts import CellFacts, RunFacts


def same_stability_frames(run: RunFacts) -> Iterator[str]:
    """The stability of all methods on the same streams, whatever their network, was measured on the same frames."""
    for streams, cells in run.streams.items():
        first = cells[0]
        for facts in cells[1:]:
            odd = len(facts.followed ^ first.followed)
            if odd:
                yield f"{streams}: {odd} frames of stability are of {_own(facts)} or {_own(first)} alone"


def _own(facts: CellFacts) -> str:
    return f"{facts.cell.method} on {facts.cell.network}"

"""Where the wall time of a run went; kept apart from the tables, which must come out the same every time."""

from __future__ import annotations

from collections.abc import Mapping

from reports.markup import Table

Stages = Mapping[str, tuple[float, int]]  # name -> (seconds, count), as the store sums them
MODEL = "model "  # a stage of this prefix is a method's steps in the accuracy run


def wall_time(stages: Stages) -> Table:
    """A table of the stages, and below it what the harness adds to the methods' own time.

    Args:
        stages: of `Store.stages`, summed over the calls that a run took.
    """
    rows = [[name, f"{seconds:.1f}", str(count)] for name, (seconds, count) in stages.items()]
    models = [seconds for name, (seconds, _) in stages.items() if name.startswith(MODEL)]
    notes = []
    accuracy, _ = stages.get("stage accuracy", (0.0, 0))
    if models and sum(models) > 0 and accuracy > 0:
        decode_s, decoded = stages.get("decoded frames", (0.0, 0))
        steps = sum(count for name, (_, count) in stages.items() if name.startswith(MODEL))
        notes.append(
            f"accuracy: {accuracy:.1f} s for {len(models)} methods whose steps alone take {sum(models):.1f} s, "
            f"{accuracy / sum(models):.2f} times that; {decoded} frames decoded in {decode_s:.1f} s for {steps} steps"
        )
    return Table(title="wall time", header=["stage", "seconds", "count"], rows=rows, notes=notes)

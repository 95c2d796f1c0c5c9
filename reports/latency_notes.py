"""What weakens a method's times, and why a number of them is missing."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from vssbench.latency.passes import LEVEL, PairedDifference
from vssbench.latency.statistics import AA_LIMIT, BUSY_LIMIT, Distribution, minimum_samples
from vssbench.store import Latency

NOISY = 0.10  # interquartile range over median, torch.utils.benchmark's threshold for a warning


def weaknesses(
    spread: Mapping[str, Distribution],
    *,
    untimed: Collection[str],
    difference: float,
    facts: Mapping[str, Any],
) -> Iterator[str]:
    """Why the times of a method should be doubted.

    Args:
        spread: kind of frame -> its times in ms.
        untimed: kinds that were tested and not timed.
        difference: between two timings of the method, see `statistics.aa_difference`.
        facts: of its `Latency`.
    """
    if untimed:
        yield f"GOP mean n/a: no step of kind {', '.join(untimed)} was timed"
    if difference > AA_LIMIT:
        yield (
            f"too noisy: timed twice in turn, it differs from itself by {100 * difference:.1f} %, more than "
            f"{100 * AA_LIMIT:g} %"
        )
    for kind, of_kind in spread.items():
        if of_kind.interquartile_range > NOISY * of_kind.median:
            share = 100 * of_kind.interquartile_range / of_kind.median
            yield f"{kind}: noisy, interquartile range {share:.0f} % of the median"
    machine = facts.get("machine") or {}
    if machine.get("throttled"):
        yield "the machine slowed down for heat or power meanwhile"
    if (machine.get("busy_by_others") or 0) > BUSY_LIMIT:
        yield f"other processes used {100 * machine['busy_by_others']:.0f} % of the processors meanwhile"
    unmet = sorted(spread.keys() - facts["peak_memory_of"].keys()) if "peak_memory_of" in facts else []
    if unmet:
        yield f"added memory of {', '.join(unmet)} n/a: no such step was met again where memory was measured"


def percentiles_note(latency: Latency) -> str:
    """Why p90 and p99 are n/a: how many samples there are and are needed, and how to come by them; else empty."""
    number = len(latency.samples)
    lacking = [share for share in (0.9, 0.99) if number < minimum_samples(share)]
    passes = latency.environment.get("passes")
    texts = []
    for share in lacking:
        needed = minimum_samples(share)
        text = f"p{100 * share:.0f} n/a: {number} of {needed} samples"
        if passes and number:
            text += f" (--repeats {math.ceil(needed * passes / number)} gives them)"
        texts.append(text)
    return "; ".join(texts) + ("" if passes or not texts else "; raise --repeats")


def side_information_note(found: PairedDifference | None, *, needs: Collection[str] | None) -> str:
    """Why there is no time for reading side information; else empty.

    Args:
        found: by how many seconds it makes decoding dearer; None where it was not measured.
        needs: what the method reads; None where that is not on record.
    """
    if needs is not None and not needs:
        return ""  # it reads none, and that takes no time
    if found is None:
        return "reading side information n/a: not measured"
    if math.isnan(found.low):
        return "reading side information n/a: one pass cannot tell noise"
    if found.is_dearer:
        return ""
    bounds = (
        f"{100 * LEVEL:g} % interval {1000 * found.low:.2f} to {1000 * found.high:.2f} ms, {found.num_turns} passes "
        "with and without it in turns"
    )
    if found.high < 0:
        return f"reading side information n/a: decoding with it took no longer ({bounds})"
    return f"reading side information n/a: below the noise ({1000 * found.value:.2f} ms, {bounds})"


def outputs_note(outputs: Mapping[str, Any] | None) -> str:
    """On how much the share of labels unlike the eager network's rests; empty where nothing was compared."""
    if not outputs:
        return ""
    kinds = f" of kind {', '.join(outputs['kinds'])}" if outputs.get("kinds") else ""
    frames = f"{outputs['frames']} frames{kinds}, " if "frames" in outputs else ""
    return (
        f"labels compared with the eager network's before timing: {frames}{outputs['pixels']} pixels, "
        f"{outputs['differing']} differ"
    )

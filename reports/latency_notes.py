"""What weakens a method's times, and why a number of them is missing."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from vssbench.latency.passes import LEVEL, PairedDifference
from vssbench.latency.statistics import AA_LIMIT, BUSY_LIMIT, PERCENTILES, Distribution, minimum_samples
from vssbench.store import Latency

MARK = "!"  # beside a number of a machine that was too noisy, or of which that is not known
NOISY = 0.10  # interquartile range over median, torch.utils.benchmark's threshold for a warning


def weaknesses(
    spread: Mapping[str, Distribution],
    *,
    untimed: Collection[str],
    difference: float,
    facts: Mapping[str, Any],
    gop_length: int,
) -> Iterator[str]:
    """Why the times of a method should be doubted.

    Args:
        spread: kind of frame -> its times in ms.
        untimed: kinds that were tested and not timed.
        difference: between two timings of the method, see `statistics.aa_difference`.
        facts: of its `Latency`.
        gop_length: L.
    """
    if untimed:
        yield f"GOP mean, median and percentiles n/a: no step of kind {', '.join(untimed)} was timed"
    longest = max((part["stop"] - part["start"] for part in facts.get("timed_on", ())), default=gop_length)
    if longest < gop_length:
        yield f"timed on {longest} frames of a GOP of {gop_length}: no video holds a whole one"
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


def quiet_note(difference: float, *, passes: Collection[int]) -> str:
    """What the mark beside a time means; empty where there is none.

    Args:
        difference: between two timings of the method, NaN where it is not known.
        passes: the numbers of those that were timed.
    """
    if math.isnan(difference):
        one = "one pass cannot tell noise; --repeats 2 or more"
        return f"{MARK} A/A n/a: {one if len(passes) < 2 else 'no kind of frame was in both timings; raise --repeats'}"
    if difference > AA_LIMIT:
        return f"{MARK} too noisy: two timings in turn differ by more than {100 * AA_LIMIT:g} % (A/A)"
    return ""


def timed_note(latency: Latency) -> str:
    """How often which frames were timed; empty where that is not on record."""
    parts, passes = latency.facts.get("timed_on"), latency.environment.get("passes")
    if not parts or not passes:
        return ""
    frames = sum(part["stop"] - part["start"] for part in parts)
    where = ", ".join(f"{part['start']} to {part['stop'] - 1} of {part['video']}" for part in parts)
    return f"timed {passes} times over the same {frames} frames: {where}"


def percentiles_note(latency: Latency, number: int) -> str:
    """Why percentiles are n/a: how many samples there are and are needed, and how to come by them; else empty.

    Args:
        latency: as stored.
        number: of samples that count (`statistics.effective_number`); 0 where their weights are not known.
    """
    if latency.samples and not number:
        return ""  # another note says why
    lacking = [share for share in PERCENTILES if number < minimum_samples(share)]
    passes = latency.environment.get("passes")
    as_many = f" ({len(latency.samples)}, weighed by kind as decided)" if number < len(latency.samples) else ""
    texts = []
    for share in lacking:
        needed = minimum_samples(share)
        text = f"p{100 * share:.0f} n/a: {number} of {needed} samples{as_many}"
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

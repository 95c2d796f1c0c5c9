"""All rules by name, and what comes of holding a run against them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vssbench.latency.statistics import AA_LIMIT, BUSY_LIMIT, minimum_samples
from vssbench.runner.run_facts import RunFacts
from vssbench.runner.validity import accuracy, record, stability, timing, work


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What came of one rule.

    Args:
        rule: its name.
        claim: what it says of a run that keeps it.
        breaches: what breaks it, with the numbers; empty where it is kept.
        mend: what to do then.
    """

    rule: str
    claim: str
    breaches: tuple[str, ...]
    mend: str

    @property
    def kept(self) -> bool:
        """Whether nothing breaks it."""
        return not self.breaches


Rule = tuple[str, str, Callable[[RunFacts], Iterator[str]]]  # its claim, how to mend a breach, what breaks it

RULES: dict[str, Rule] = {
    "recorded": (
        "seed, versions, data, code and machine are on record",
        "run again with this version of vssbench",
        record.recorded,
    ),
    "manifest": (
        "manifest and store say the same",
        "run the same command again, or start afresh with --force",
        record.manifest_agrees,
    ),
    "finished": (
        "every method was measured to its end",
        "run the same command again; leave out or mend what fails",
        record.finished,
    ),
    "codecs": ("every codec that was asked for was measured", "run the same command again", record.codecs),
    "whole-split": (
        "no limit left out a part of the split",
        "run without --limit, in a folder of its own (-o)",
        record.whole_split,
    ),
    "clean-code": (
        "one commit, without changes, made every number",
        "commit, then run afresh with --force",
        record.clean_code,
    ),
    "same-machine": (
        "one machine and one set of versions made every number",
        "run afresh on one machine with --force",
        record.same_machine,
    ),
    "weights": (
        "the weights on disk are those that ran",
        "run again with these weights, or give those that ran (--weights)",
        record.weights,
    ),
    "calibration": (
        "nothing was calibrated on frames that are tested",
        "give a data set with a train split, or leave these methods out",
        record.calibration,
    ),
    "planned-frames": (
        "every frame that was planned was tested",
        "run the same command again",
        accuracy.planned_frames,
    ),
    "every-distance": (
        "as many frames were tested at every distance to the key frame",
        "run the same command again",
        accuracy.every_distance,
    ),
    "same-frames": ("all methods were tested on the same frames", "run the same command again", accuracy.same_frames),
    "same-labels": (
        "all methods were held against the same labels",
        "start afresh with --force: the data changed between two runs",
        accuracy.same_labels,
    ),
    "same-stability-frames": (
        "the stability of all methods was measured on the same frames of the same streams",
        "run afresh with --force with this version of vssbench",
        stability.same_stability_frames,
    ),
    "same-conditions": (
        "methods of one table differ in nothing but the method",
        "start afresh with --force",
        accuracy.same_conditions,
    ),
    "anchor": ("constant resolution stands in every table", "run with --methods constant", accuracy.anchor),
    "curve-points": (
        "every curve has the points that a fit needs",
        "run the family at more scales or shares, e.g. --methods constant@1.0,constant@0.7,constant@0.5,constant@0.3",
        accuracy.curve_points,
    ),
    "every-kind-counted": (
        "the work of every kind of frame was counted",
        "run the same command again; a method must do the same work in steps of one kind",
        work.every_kind_counted,
    ),
    "every-operator-counted": (
        "every operator has a formula",
        "write its formula in vssbench/complexity/formulas.py, or quote the list beside the number",
        work.every_operator_counted,
    ),
    "flops-are-twice-macs": (
        "FLOPs are 2 x MACs, operator by operator",
        "start afresh with --force: the store was written by something else",
        work.flops_are_twice_macs,
    ),
    "shares-counted": (
        "work that comes in shares was counted at none and at all of it, and every frame says its share",
        "run afresh with --force; a method gives Step.share in every step of such a kind, or in none",
        work.shares_counted,
    ),
    "print-conventions": (
        "beside every count stands that of print, or why there is none",
        "run afresh with --force with this version of vssbench",
        work.print_conventions,
    ),
}
TIMING: dict[str, Rule] = {
    "all-timed": (
        "all methods were timed, or none",
        "run the same command again, without --no-latency",
        timing.all_or_none_timed,
    ),
    "every-kind-timed": (
        "every kind of frame that was tested was timed",
        "raise the number of videos, so that a rare kind is met",
        timing.every_kind_timed,
    ),
    "timed-alike": (
        "all methods of a table were timed on one machine in one way",
        "time them afresh with --force",
        timing.timed_alike,
    ),
    "enough-samples": (
        "there are enough timed frames for a 90th percentile",
        f"raise --repeats to time {minimum_samples(0.9)} frames ({minimum_samples(0.99)} for p99), with --force",
        timing.enough_samples,
    ),
    "quiet": (
        f"two timings of one method in turn differ by at most {100 * AA_LIMIT:g} %",
        "stop other programs, raise --repeats, and time afresh with --force",
        timing.quiet,
    ),
    "not-throttled": (
        "nothing was seen to be slowed down for heat or power",
        "cool the machine or lock its clocks (nvidia-smi -lgc), and time afresh with --force",
        timing.not_throttled,
    ),
    "alone": (
        f"others were seen to use at most {100 * BUSY_LIMIT:g} % of the processors",
        "stop other programs, and time afresh with --force",
        timing.alone,
    ),
    "outputs-first": (
        "what was timed gives the labels of the eager network",
        "time with --backend eager, or mend the backend; raise the number of videos, so that a rare kind is met",
        timing.outputs_first,
    ),
}


def findings(run: RunFacts) -> list[Finding]:
    """Hold a run against every rule, in the order in which a person would mend them."""
    is_timed = bool(timing.timed(run))
    return [
        Finding(
            rule=name,
            claim=claim if is_timed or name not in TIMING else "nothing was timed",
            breaches=tuple(breaches(run)),
            mend=mend,
        )
        for name, (claim, mend, breaches) in (RULES | TIMING).items()
    ]

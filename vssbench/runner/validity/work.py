"""Rules about operations counted: each yields what breaks it."""

from __future__ import annotations

from collections.abc import Iterator

from vssbench.runner.run_facts import RunFacts


def every_kind_counted(run: RunFacts) -> Iterator[str]:
    """The work of every kind of frame was counted."""
    for facts in run.done:
        uncounted = sorted(facts.kinds - facts.costs.keys())
        if uncounted:
            yield f"{facts.name} has no count for {', '.join(uncounted)}"


def every_operator_counted(run: RunFacts) -> Iterator[str]:
    """Every operator that ran has a formula."""
    for facts in run.done:
        for kind, cost in facts.costs.items():
            if cost.uncounted:
                listed = ", ".join(f"{name} ({number})" for name, number in sorted(cost.uncounted.items()))
                yield f"{facts.name}, {kind}: {listed}"


def flops_are_twice_macs(run: RunFacts) -> Iterator[str]:
    """A multiply-add is two FLOPs, operator by operator."""
    for facts in run.done:
        for kind, cost in facts.costs.items():
            odd = sorted(
                operator
                for operator in cost.macs.keys() | cost.flops.keys()
                if cost.flops.get(operator) != 2 * cost.macs.get(operator, -1)
            )
            if odd:
                yield f"{facts.name}, {kind}: FLOPs of {', '.join(odd)} are not 2 x MACs"


def shares_counted(run: RunFacts) -> Iterator[str]:
    """Work that comes in shares has a share in every frame, and a count at none and at all of it."""
    for facts in run.done:
        for kind, shares in facts.shares.items():
            where = f"{facts.name}, {kind}"
            cost = facts.costs.get(kind)
            full = None if cost is None else cost.macs_at_full_share
            known = [share for share in shares if share is not None]
            if not known and full is not None:
                yield f"{where}: counted at full share, and no frame has a share"
            if not known:
                continue
            if len(known) < len(shares):
                yield f"{where}: {len(shares) - len(known)} of {len(shares)} frames have no share"
            if min(known) < 0 or max(known) > 1:
                yield f"{where}: shares from {min(known):g} to {max(known):g}, where 0 is none and 1 is all"
            if cost is not None and full is None:
                yield f"{where}: no count at full share"
            elif cost is not None and full is not None:
                least, most = sum(cost.macs.values()), sum(full.values())
                if most < least:
                    yield f"{where}: fewer MACs at full share ({most}) than at none ({least})"


def print_conventions(run: RunFacts) -> Iterator[str]:
    """Beside every count stands what print would say, or why it says nothing."""
    for facts in run.done:
        for kind, cost in facts.costs.items():
            if not cost.conventions:
                yield f"{facts.name}, {kind}: no count of print, and no reason"
            for name, value in cost.conventions.items():
                if not value if isinstance(value, str) else value < 0:
                    yield f"{facts.name}, {kind}: {name} is {value!r}, neither a count nor a reason"

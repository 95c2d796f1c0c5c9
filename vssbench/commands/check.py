"""`vssbench check`: hold a run folder against the rules that its numbers need to be believed."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from vssbench.errors import StoreError, UsageError
from vssbench.networks.weights import file_sha256
from vssbench.runner.run_facts import read_run
from vssbench.runner.validity.rules import Finding, findings

SHIPPED_WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
MOST_SHOWN = 3  # breaches of one rule in a line


def check(options: argparse.Namespace) -> int:
    """Print a line a rule; returns the exit code, 1 where a rule is broken."""
    folder = Path(options.run)
    if not (folder / "results.sqlite").is_file():
        raise StoreError(f"{folder} is no run folder (it has no results.sqlite); give the folder of -o")
    run = read_run(folder)
    found = findings(dataclasses.replace(run, weights=_weights_on_disk(options.weights, run.manifest)))
    if options.json:
        print(json.dumps([dataclasses.asdict(finding) | {"kept": finding.kept} for finding in found], indent=1))
    else:
        lines = [line(finding, width=max(len(finding.rule) for finding in found)) for finding in found]
        broken = sum(not finding.kept for finding in found)
        lines.append(f"{len(found) - broken} of {len(found)} rules are kept" + (f", {broken} broken" if broken else ""))
        print("\n".join(lines))
    return 0 if all(finding.kept for finding in found) else 1


def line(finding: Finding, *, width: int) -> str:
    """A rule in one line: kept or broken, by what, and how to mend it."""
    name = finding.rule.ljust(width)
    if finding.kept:
        return f"ok      {name}  {finding.claim}"
    shown = "; ".join(finding.breaches[:MOST_SHOWN])
    more = len(finding.breaches) - MOST_SHOWN
    return f"broken  {name}  {shown}" + (f"; and {more} more" if more > 0 else "") + f" -> {finding.mend}"


def _weights_on_disk(folder: str | None, manifest: Mapping[str, Any]) -> dict[str, str] | None:
    """File name -> sha256; None where it is not known where the weights lie."""
    if folder is not None and not Path(folder).is_dir():
        raise UsageError(f"there is no folder of weights {folder}; give --weights FOLDER, or leave it out")
    place = Path(folder) if folder is not None else _recorded_folder(manifest)
    if place is None or not place.is_dir():
        return None
    return {path.name: file_sha256(path) for path in sorted(place.glob("*.safetensors"))}


def _recorded_folder(manifest: Mapping[str, Any]) -> Path | None:
    """Where the run says its weights lie: the shipped ones, or a relative folder; an absolute one is not recorded."""
    words: Sequence[str] = (manifest.get("sessions") or [{}])[-1].get("command", [])
    if any(word in ("-C", "--config") or word.startswith("--config=") for word in words):
        return None
    given = [word.partition("=")[2] for word in words if word.startswith("--weights=")]
    given += [after for word, after in pairwise(words) if word == "--weights"]
    if given:
        return None if given[-1].startswith("...") else Path(given[-1])
    datasets = {condition["dataset"] for condition in manifest.get("conditions", [])}
    return SHIPPED_WEIGHTS / datasets.pop() if len(datasets) == 1 else None

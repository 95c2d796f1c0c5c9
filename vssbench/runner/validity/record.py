"""Rules about what was run: each yields what breaks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vssbench.runner.run_facts import RunFacts
from vssbench.store import condition_key

RECORDED = ("seed", "vssbench", "source_sha256", "data_sha256", "encoding", "backend", "dtype", "device")
VERSIONS = ("vssbench", "python", "torch", "numpy", "av", "ffmpeg", "cpu")


def recorded(run: RunFacts) -> Iterator[str]:
    """What is needed to run the same again is on record."""
    if not run.manifest:
        yield "there is no manifest.json"
    for number, session in enumerate(run.manifest.get("sessions", []), 1):
        lacks = [name for name in VERSIONS if name not in session.get("environment", {})]
        if lacks:
            yield f"session {number} does not record {', '.join(lacks)}"
    for facts in run.cells:
        lacks = [name for name in RECORDED if name not in facts.cell.condition]
        if lacks:
            yield f"{facts.name} does not record {', '.join(lacks)}"


def manifest_agrees(run: RunFacts) -> Iterator[str]:
    """Manifest and store name the same methods under the same conditions."""
    for name in run.missing:
        yield f"{name} is in the manifest alone"
    members = {member["cell"]: member for member in run.manifest.get("members", [])}
    for facts in run.cells:
        if condition_key(facts.cell.condition) != facts.cell.key:
            yield f"{facts.name} has a key that is not its condition's"
        member = members.get(facts.cell.key)
        if member and (member["name"], member["codec"]) != (facts.cell.method, facts.cell.codec):
            yield f"{facts.name} is called {member['name']} ({member['codec']}) in the manifest"
        if member and dict(member["weights_sha256"]) != dict(facts.cell.condition.get("weights_sha256", {})):
            yield f"{facts.name} has other weights in the manifest"


def finished(run: RunFacts) -> Iterator[str]:
    """Every method was measured to its end."""
    if not run.cells:
        yield "nothing was measured"
    for facts in run.cells:
        if facts.status != "done":
            yield f"{facts.name} is {facts.status}" + (f": {facts.error}" if facts.error else "")


def codecs(run: RunFacts) -> Iterator[str]:
    """Every codec that was asked for has a finished method."""
    for condition in run.manifest.get("conditions", []):
        codec = condition["encoding"]["codec"]
        if not any(facts.cell.codec == codec for facts in run.done):
            yield f"{codec} was asked for, and no method was measured on it"


def whole_split(run: RunFacts) -> Iterator[str]:
    """No limit left out a part of the split."""
    for facts in run.cells:
        if facts.cell.partial:
            number = len({(clip, frame) for clip, frame, _ in facts.labelled})
            yield f"{facts.name} was tested on a part, annotated frames: {number}"


def clean_code(run: RunFacts) -> Iterator[str]:
    """One commit, without changes, made every number."""
    states = [session.get("git", {}) for session in run.manifest.get("sessions", [])]
    for number, state in enumerate(states, 1):
        if state.get("modified"):
            yield f"session {number} ran commit {state.get('commit', '')[:12]} with changes that are in no commit"
    commits = sorted({state["commit"][:12] for state in states if state.get("commit")})
    if len(commits) > 1:
        yield f"sessions ran commits {', '.join(commits)}"


def same_machine(run: RunFacts) -> Iterator[str]:
    """One machine and one set of versions made every number."""
    places = [session.get("environment", {}) for session in run.manifest.get("sessions", [])]
    for number, place in enumerate(places[1:], 2):
        differing = sorted(key for key in place.keys() | places[0].keys() if place.get(key) != places[0].get(key))
        if differing:
            yield f"session {number} differs from the first in {', '.join(differing)}"


def weights(run: RunFacts) -> Iterator[str]:
    """The weights on disk, where they are there, are those that ran."""
    for facts in run.cells:
        for name, digest in facts.cell.condition.get("weights_sha256", {}).items():
            now = (run.weights or {}).get(name)
            if now is not None and now != digest:
                yield f"{facts.name} ran {name} {digest[:12]}, on disk is {now[:12]}"


def calibration(run: RunFacts) -> Iterator[str]:
    """No threshold was set on what is tested, by its own name or by another."""
    for facts in run.cells:
        calibrated = facts.cell.condition.get("calibration")
        if not calibrated:
            continue
        source = calibrated.get("on")
        if not isinstance(source, Mapping) or not {"split", "content_sha256"} <= source.keys():
            yield f"{facts.name} does not record the split and the content of the clips that it was calibrated on"
        elif source["split"] == facts.cell.split:
            yield f"{facts.name} was calibrated on the split {source['split']}, which is tested"
        elif source["content_sha256"] == facts.cell.condition.get("data_sha256"):
            yield f"{facts.name} was calibrated on the split {source['split']}, whose content is that of the test"

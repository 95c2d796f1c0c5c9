"""manifest.json: what a run was asked for and what it ran on, and whether a folder may be continued."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vssbench.errors import StoreError
from vssbench.runner.run import Entry

SCHEMA_VERSION = 1


def write_manifest(
    folder: Path,
    *,
    command: Sequence[str],
    conditions: Sequence[Mapping[str, Any]],
    members: Sequence[Mapping[str, Any]],
    environment: Mapping[str, Any],
) -> None:
    """Write a run's manifest, or continue one made under the same conditions.

    Args:
        folder: of the run; made where absent.
        command: the words of the command line, without the program.
        conditions: what the members share, one entry a codec (`runner.run.Setting.condition`).
        members: name, codec, cell, weights and options of each method; one of a name and codec replaces the last.
        environment: versions and hardware (`latency.environment.environment`).

    Raises: StoreError, when the folder cannot be written, or holds a run under other conditions.
    """
    path = folder / "manifest.json"
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "command": list(command),
        "conditions": [dict(condition) for condition in conditions],
        "members": [dict(member) for member in members],
        "environment": dict(environment),
        "git": git_state(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            manifest = _continued(path, json.loads(path.read_text(encoding="utf-8")), manifest)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(path)
    except (OSError, json.JSONDecodeError) as error:
        raise StoreError(f"cannot write {path}: {error}; choose another folder with -o") from error


def manifest_entry(entry: Entry) -> dict[str, Any]:
    """What the manifest says of a method at work."""
    return {
        "name": entry.member.name,
        "codec": entry.cell.codec,
        "cell": entry.cell.key,
        "network": entry.member.network,
        "options": dict(entry.method.condition),
        "weights_sha256": dict(entry.member.weights),
        "calibration": dict(entry.member.calibration),
    }


def recorded_cells(folder: Path) -> list[str] | None:
    """The keys of the cells that belong to a run, so that no table mixes in what other weights once gave.

    Returns: None where the folder has no manifest.
    Raises: StoreError, when the manifest cannot be read.
    """
    path = folder / "manifest.json"
    if not path.exists():
        return None
    try:
        return [member["cell"] for member in json.loads(path.read_text(encoding="utf-8"))["members"]]
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"cannot read {path}: {error}; run again into a fresh folder") from error


def _continued(path: Path, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The old manifest with what the new call adds: members and codecs; anything else must be the same."""
    by_codec = {c["encoding"]["codec"]: c for c in old.get("conditions", [])}
    for condition in new["conditions"]:
        before = by_codec.setdefault(condition["encoding"]["codec"], condition)
        if before != json.loads(json.dumps(condition)):
            differing = sorted(k for k in condition if before.get(k) != condition[k])
            raise StoreError(
                f"{path.parent} holds a run made with another {', '.join(differing)} "
                f"({'; '.join(f'{k}: {before.get(k)} there, {condition[k]} now' for k in differing)}); "
                "continue with the same, choose another folder with -o, or start afresh with --force"
            )
    names = {(m["name"], m["codec"]): m for m in (*old.get("members", []), *new["members"])}
    return {**new, "conditions": list(by_codec.values()), "members": list(names.values())}


def git_state() -> dict[str, Any]:
    """Commit and cleanliness of the checkout that runs; empty outside one."""
    root = Path(__file__).resolve().parents[2]

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        if not (root / ".git").exists():
            return {}
        commit = git("rev-parse", "HEAD")
        return {"commit": commit, "modified": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except OSError:
        return {}

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


def check_manifest(folder: Path, conditions: Sequence[Mapping[str, Any]]) -> None:
    """Refuse to continue a run that was made under other conditions.

    Args:
        folder: of the run; one without a manifest is fine.
        conditions: what the members share, one entry a codec (`runner.run.Setting.condition`).

    Raises: StoreError, naming what differs.
    """
    before = {c["encoding"]["codec"]: c for c in read_manifest(folder).get("conditions", [])}
    for condition in conditions:
        old = before.get(condition["encoding"]["codec"])
        new = json.loads(json.dumps(condition))
        if old is not None and old != new:
            differing = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
            raise StoreError(
                f"{folder} holds a run made with another {', '.join(differing)} "
                f"({'; '.join(f'{key}: {old.get(key)} there, {new.get(key)} now' for key in differing)}); "
                "continue with the same, choose another folder with -o, or start afresh with --force"
            )


def write_manifest(
    folder: Path,
    *,
    command: Sequence[str],
    conditions: Sequence[Mapping[str, Any]],
    members: Sequence[Mapping[str, Any]],
    environment: Mapping[str, Any],
) -> None:
    """Write a run's manifest, or add this call to that of the run that it continues.

    Args:
        folder: of the run.
        command: the words of the command line, without the program.
        conditions: as `check_manifest` has passed them.
        members: name, codec, cell, weights and options of each method; one of a name,
            network and codec replaces the last.
        environment: versions and hardware (`latency.environment.environment`).

    Raises: StoreError, when the folder cannot be written.
    """
    path = folder / "manifest.json"
    old = read_manifest(folder)
    by_codec = {c["encoding"]["codec"]: c for c in (*old.get("conditions", []), *conditions)}
    by_name = {(m["name"], m["network"], m["codec"]): m for m in (*old.get("members", []), *members)}
    session = {"command": without_folders(command), "environment": dict(environment), "git": git_state()}
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "conditions": list(by_codec.values()),
        "members": list(by_name.values()),
        "sessions": [*old.get("sessions", []), session],
    }
    try:
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error}; choose another folder with -o") from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run folder; empty where there is none.

    Raises: StoreError, when it cannot be read.
    """
    path = folder / "manifest.json"
    if not path.exists():
        return {}
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return manifest
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {path}: {error}; start afresh with --force, or in another folder") from error


def without_folders(words: Sequence[str]) -> list[str]:
    """A command line without this machine's folders: of an absolute path its last part, so it can be published."""
    return [f".../{Path(word).name}" if Path(word).is_absolute() else word for word in words]


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
    manifest = read_manifest(folder)
    return [member["cell"] for member in manifest["members"]] if manifest else None


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

"""Which code gave a result: a hash of every file that a number may depend on."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

PACKAGES = ("vssbench", "baselines", "arseg", "tfc")  # reports only show what is stored


@cache
def source_sha256() -> str:
    """Identify the code by the content of its files, so that a run is never continued by other code."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for path in sorted(file for package in PACKAGES for file in (root / package).rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()

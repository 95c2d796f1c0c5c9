"""`vssbench data verify`: what is missing or wrong in a data set."""

from __future__ import annotations

import argparse
from pathlib import Path

from vssbench.commands.catalogue import Catalogue
from vssbench.datasets.verify import verify


def data(options: argparse.Namespace, catalogue: Catalogue) -> int:
    """Print every finding; returns 1 when one is an error, else 0."""
    dataset = catalogue.dataset(options.dataset, Path(options.data) if options.data else None)
    findings = verify(dataset, splits=[options.split] if options.split else None)
    for finding in findings:
        print(finding)
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = sum(finding.severity == "warning" for finding in findings)
    print(f"{options.dataset}: {errors} errors, {warnings} warnings, {len(findings) - errors - warnings} notes")
    return 1 if errors else 0

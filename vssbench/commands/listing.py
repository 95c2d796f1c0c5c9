"""`vssbench ls`: the names there are."""

from __future__ import annotations

import argparse

from vssbench.commands.catalogue import Catalogue
from vssbench.networks.zoo import NETWORKS


def list_names(options: argparse.Namespace, catalogue: Catalogue) -> int:
    """Print names with a line on each; returns the exit code."""
    if options.what == "methods":
        for family in catalogue.families.values():
            print(f"{family.name:<10} {family.summary}")
            for variant in family.variants:
                print(f"  {family.name}:{variant}")
    elif options.what == "datasets":
        for name in catalogue.datasets:
            print(name)
    else:
        for name, network in NETWORKS.items():
            print(f"{name:<20} {(network.__doc__ or '').splitlines()[0]}")
    return 0

"""`vssbench train`: a recipe -> weights."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

from vssbench.codec.cache import EncodeCache
from vssbench.commands.catalogue import Catalogue
from vssbench.progress import ProgressBar
from vssbench.training.loop import Progress


def train(options: argparse.Namespace, catalogue: Catalogue) -> int:
    """Train the members asked for, or all of the recipe; returns the exit code."""
    recipe = catalogue.read_recipe(Path(options.recipe))
    dataset = catalogue.dataset(options.dataset or recipe.dataset, Path(options.data) if options.data else None)
    weights = Path(options.weights)
    with ProgressBar(quiet=options.quiet) as bar:
        trainer = catalogue.trainer(
            recipe,
            dataset.videos("train"),
            num_classes=len(dataset.class_names),
            weights=weights,
            cache=EncodeCache(options.cache or "runs/streams"),
            device=torch.device(options.device),
            progress=_Steps(bar).of,
        )
        members = options.members or recipe.members
        trainer.check(members)
        for member in members:
            path = trainer.train(member)
            bar.say(f"{member}: {path}")
    return 0


class _Steps:
    """A progress callback for each member in turn."""

    def __init__(self, bar: ProgressBar) -> None:
        self._bar = bar

    def of(self, member: str) -> Progress:
        """The callback of one member: (steps done, in all, mean loss, seconds a step), the last two may be NaN."""
        last: int | None = None

        def report(done: int, total: int, loss: float, seconds: float) -> None:
            nonlocal last
            if last is None:
                last = done - 1
                self._bar.begin(member, total, done=last)
            note = "" if math.isnan(seconds) else f"loss {loss:.3f}, {seconds:.2f} s a step"
            self._bar.advance(done - last, note=note)
            last = done

        return report

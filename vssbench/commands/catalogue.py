"""The tables that join names to methods, data sets and reports; `run_bench.py` fills them."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vssbench.errors import UsageError
from vssbench.networks.base import SegmentationNetwork
from vssbench.networks.weights import file_sha256, load_network, read_weights
from vssbench.networks.zoo import NETWORKS
from vssbench.records import CompressedFrame, Dataset, Method
from vssbench.runner.members import Member


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """What a method may be built from.

    Args:
        weights: folder of MEMBER.safetensors.
        num_classes: K of the data set.
        device: the method runs on; "meta" while operations are counted.
        training_frames: (needs of side information) -> decoded frames of training clips, to calibrate on.
        training_source: what those clips are, for the record.
        backbone: the image network that all of these weights are of, a name of `networks.zoo`.
        used: file name -> sha256 of the weights that `network` has read, for the record.
    """

    weights: Path
    num_classes: int
    device: torch.device
    training_frames: Callable[[Iterable[str]], Iterator[CompressedFrame]]
    training_source: Mapping[str, object]
    backbone: str = ""
    used: dict[str, str] = field(default_factory=dict)

    def network_name(self, member: str = "constant@1.0") -> str:
        """A network as the tables call it: "bisenet18 x0.25", and by its name alone at full width."""
        _, header = read_weights(self.weights / f"{member}.safetensors")
        return header.network if header.width == 1 else f"{header.network} x{header.width:g}"

    def network(self, member: str = "constant@1.0") -> SegmentationNetwork:
        """A trained per-frame network by the name of its weights, in evaluation mode on the device."""
        path = self.weights / f"{member}.safetensors"
        self.used[path.name] = file_sha256(path)
        return load_network(path, num_classes=self.num_classes, device=self.device)[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Family:
    """A family of methods.

    Args:
        name: "taplab".
        summary: one line for `vssbench ls methods`.
        backbone: the image network that it runs on where none is asked for; "": that of the folder of weights itself.
        variants: the names after the colon; empty for a family without.
        members: Bench -> the full names that the family's name alone stands for.
        member: (Bench, variant, point) -> the member; raises UsageError for a wrong variant or point.
    """

    name: str
    summary: str
    backbone: str = ""
    variants: Sequence[str] = ()
    members: Callable[[Bench], Sequence[str]]
    member: Callable[[Bench, str, float | None], Member]


@dataclass(kw_only=True, eq=False)
class Catalogue:
    """Everything that has a name.

    Args:
        families: name -> family of methods.
        datasets: name -> (folder or None -> data set).
        read_recipe, trainer: what `vssbench train` calls.
        write_reports: (run folder, cells to report, bd_fit=) -> the printed summary; tables and figures are written
            on the way, with `bd_fit` those of the fits behind the Bjontegaard differences too.
    """

    families: dict[str, Family]
    datasets: dict[str, Callable[[Path | None], Dataset]]
    read_recipe: Callable[[Path], Any]
    trainer: Callable[..., Any]
    write_reports: Callable[..., str]

    def dataset(self, name: str, folder: Path | None) -> Dataset:
        """A data set by name. Raises: UsageError, with a suggestion."""
        if name not in self.datasets:
            raise UsageError(unknown("data set", name, self.datasets, "vssbench ls datasets"))
        return self.datasets[name](folder)

    def backbones(self, names: Iterable[str]) -> dict[str, list[str]]:
        """The names by the image network that their families run on where none is asked for, "" first."""
        found: dict[str, list[str]] = {}
        for name in names:
            found.setdefault(self.families[self.parse(name)[0]].backbone, []).append(name)
        return {backbone: found[backbone] for backbone in sorted(found)}

    def expand(self, names: Iterable[str], bench: Bench) -> list[str]:
        """Names of families and members -> full names of members, each once, in the order given."""
        full: dict[str, None] = {}
        for name in names:
            family, variant, point = self.parse(name)
            if variant or point is not None:
                full[name] = None
            else:
                full.update(dict.fromkeys(self.families[family].members(bench)))
        return list(full)

    def parse(self, name: str) -> tuple[str, str, float | None]:
        """FAMILY[:VARIANT][@POINT] -> its parts. Raises: UsageError, with a suggestion."""
        head, at, tail = name.partition("@")
        family, _, variant = head.partition(":")
        if family not in self.families:
            raise UsageError(unknown("method", family, self.families, "vssbench ls methods"))
        variants = self.families[family].variants
        if variant and variant not in variants:
            known = [f"{family}:{v}" for v in variants]
            raise UsageError(unknown("method", head, known or [family], "vssbench ls methods"))
        try:
            return family, variant, float(tail) if at else None
        except ValueError as error:
            raise UsageError(f"{name!r}: after @ comes a number, a scale or a share; got {tail!r}") from error

    def member(self, name: str, bench: Bench) -> Member:
        """A member by its full name."""
        family, variant, point = self.parse(name)
        return self.families[family].member(bench, variant, point)


def on_backbone(bench: Bench, backbone: str) -> Bench:
    """The bench of an image network: a folder of weights holds one network's, and in folders of their names others'.

    Args:
        bench: of the folder given.
        backbone: a name of `networks.zoo`; "": that of the folder itself.

    Raises: UsageError, when there is no such network, or the folder has no weights of it.
    """
    if backbone and backbone not in NETWORKS:
        raise UsageError(unknown("network", backbone, NETWORKS, "vssbench ls networks"))
    own = bench.weights / "constant@1.0.safetensors"
    of_folder = read_weights(own)[1].network if own.exists() else ""
    if backbone in ("", of_folder):
        return dataclasses.replace(bench, backbone=of_folder)
    beside = bench.weights / backbone
    if beside.is_dir():
        return dataclasses.replace(bench, weights=beside, backbone=backbone)
    there = [of_folder, *(path.name for path in sorted(bench.weights.iterdir()) if path.name in NETWORKS)]
    raise UsageError(
        f"no weights of {backbone} in {bench.weights}, there are those of {', '.join(filter(None, there)) or 'none'}; "
        f"train them (vssbench train --weights {beside}), or give another folder with --weights"
    )


def unknown(what: str, name: str, known: Iterable[str], command: str) -> str:
    """The message for a name that does not exist: the closest ones, and where to list all."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    guess = f"; did you mean {' or '.join(close)}?" if close else f"; there are {', '.join(names)}"
    return f"no {what} is called {name!r}{guess} (all: {command})"


def plugin_family(name: str, factory: Callable[[Bench], Method], *, source: Mapping[str, object]) -> Family:
    """A family of one, from a user's factory; `source` says which code it is, so that a changed one is run anew."""

    def member(bench: Bench, variant: str, point: float | None) -> Member:
        if variant or point is not None:
            raise UsageError(f"the plugin method {name!r} takes no variant and no point; call it {name}")

        used: dict[str, str] = {}

        def build(device: torch.device) -> Method:
            return factory(dataclasses.replace(bench, device=device, used=used))

        # in the tables it stands beside the anchor, whose network it is free to use
        network = bench.network_name()
        return Member(name=name, family=name, build=build, network=network, weights=used, calibration=source)

    return Family(name=name, summary="a plugin", members=lambda _: (name,), member=member)

"""One run: members x one data set x one codec, with the store that its results go to."""

from __future__ import annotations

import hashlib
import importlib.metadata
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from vssbench.codec.cache import EncodeCache
from vssbench.codec.encode import EncodeSettings
from vssbench.codec.residual import Compensation
from vssbench.codec.trace import Sampling
from vssbench.datasets.clips import Cut, SideInformation, cuts
from vssbench.datasets.clips import Protocol as ProtocolName
from vssbench.latency.backends import DTYPES, in_backend
from vssbench.records import Backend, Method, SourceVideo
from vssbench.runner.members import Member
from vssbench.runner.source import source_sha256
from vssbench.store import Cell, Store, condition_key


class Reporter(Protocol):
    """Where progress goes."""

    def begin(self, stage: str, total: int) -> None:
        """A stage of `total` units begins."""

    def advance(self, units: int = 1, note: str = "") -> None:
        """Some units of the stage are done."""

    def warn(self, message: str) -> None:
        """Something a person should read."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """What all members of a run share.

    Args:
        dataset, split: names.
        class_names: of the K classes.
        videos: the split, cut down where the run is limited.
        partial: whether it was cut down.
        encoding: of the streams.
        protocol: a name of `datasets.clips.PROTOCOLS`.
        device: the methods run on.
        seed: for whatever draws.
        trace: how vectors are followed to the key frame.
        compensation: of the residual.
        backend: the form in which the networks run, in accuracy and timing alike; see `latency.backends`.
    """

    dataset: str
    split: str
    class_names: Sequence[str]
    videos: Sequence[SourceVideo]
    partial: bool
    encoding: EncodeSettings
    protocol: ProtocolName
    device: torch.device
    seed: int = 0
    trace: Sampling = "integer"
    compensation: Compensation = "integer"
    backend: Backend = "eager"

    @property
    def dtype(self) -> str:
        """What the networks compute in; TensorFloat32 is switched off, see commands.run."""
        return DTYPES.get(self.backend, "float32")

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    def cuts_of(self, video: SourceVideo) -> list[Cut]:
        """The streams that a video is tested in."""
        return cuts(
            video.labels,
            num_frames=video.num_frames,
            gop_length=self.encoding.gop_length,
            protocol=self.protocol,
        )

    def condition(self) -> dict[str, Any]:
        """Everything chosen that the members share."""
        return {
            "dataset": self.dataset,
            "split": self.split,
            "data_sha256": content_sha256(self.videos),
            "partial": self.partial,
            "encoding": self.encoding.condition(),
            "protocol": self.protocol,
            "tests": sum(len(cut.tested) for video in self.videos for cut in self.cuts_of(video)),
            "device": self.device.type,
            "backend": self.backend,
            "dtype": self.dtype,
            "batch": 1,  # a step takes one frame
            "seed": self.seed,
            "trace": self.trace,
            "compensation": self.compensation,
            "vssbench": importlib.metadata.version("vssbench"),
            "source_sha256": source_sha256(),
        }


def content_sha256(videos: Sequence[SourceVideo]) -> str:
    """Identify a split by the content of its videos and by which frames are annotated."""
    digest = hashlib.sha256()
    for video in videos:
        digest.update(f"{video.name}|{video.content_key}|{sorted(video.labels)}\n".encode())
    return digest.hexdigest()


@dataclass(kw_only=True, eq=False)
class Entry:
    """A member at work: its method, its cell in the store, and the seconds its steps took."""

    member: Member
    method: Method
    cell: Cell
    failed: bool = False
    seconds: float = 0.0
    steps: int = 0


@dataclass(kw_only=True, eq=False)
class Run:
    """The state of one run; `runner.accuracy`, `runner.cost` and `runner.speed` work on it.

    Args:
        fail_fast: let the first error of a method end the run instead of noting it.
    """

    setting: Setting
    store: Store
    cache: EncodeCache
    reporter: Reporter
    fail_fast: bool = False
    entries: list[Entry] = field(default_factory=list)

    def add(self, member: Member) -> None:
        """Build a member's method; one that cannot be built raises, one that is there already is left out."""
        if any((e.member.name, e.member.network) == (member.name, member.network) for e in self.entries):
            return
        method = in_backend(member.build(self.setting.device), self.setting.backend, device=self.setting.device)
        self.entries.append(Entry(member=member, method=method, cell=cell_of(member, method, self.setting)))

    def begin(self) -> None:
        """Note every entry's cell."""
        for entry in self.entries:
            self.store.add_cell(entry.cell)
            self.store.set_status(entry.cell.key, "running")

    @property
    def active(self) -> list[Entry]:
        """The entries that have not failed."""
        return [entry for entry in self.entries if not entry.failed]

    def side_information(self, entries: Sequence[Entry]) -> SideInformation:
        """What must be decoded for these entries together."""
        return SideInformation.for_needs(
            (need for entry in entries for need in entry.method.needs),
            trace=self.setting.trace,
            compensation=self.setting.compensation,
        )

    def fail(self, entry: Entry, error: Exception, where: str) -> None:
        """Note a method's failure and go on without it, or raise it where the run is to stop at the first."""
        if self.fail_fast:
            raise error
        entry.failed = True
        message = f"{where}: {type(error).__name__}: {error}"
        self.store.set_status(entry.cell.key, "failed", error=message)
        last = traceback.extract_tb(error.__traceback__)[-1:]
        at = "".join(f" ({frame.name}, line {frame.lineno})" for frame in last)
        self.reporter.warn(f"{entry.member.name} failed and is left out from here on: {message}{at}")

    def guard(self, entry: Entry, where: str, action: Callable[[], None]) -> None:
        """Do something for one entry; its failure is not the others'."""
        try:
            action()
        except Exception as error:
            self.fail(entry, error, where)


def cell_of(member: Member, method: Method, setting: Setting) -> Cell:
    """The cell of the store that a member's results go to; its key covers everything that was chosen."""
    options: Mapping[str, Any] = method.condition
    condition = {
        **setting.condition(),
        "method": member.name,
        "network": member.network,
        "options": dict(options),
        "weights_sha256": dict(member.weights),
        "calibration": dict(member.calibration),
    }
    return Cell(
        key=condition_key(condition),
        method=member.name,
        family=member.family,
        curves=member.curves,
        point=member.point,
        point_label=member.point_label,
        dataset=setting.dataset,
        split=setting.split,
        network=member.network,
        codec=setting.encoding.codec,
        gop_length=setting.encoding.gop_length,
        bitrate_kbps=setting.encoding.bitrate_kbps,
        protocol=setting.protocol,
        class_names=tuple(setting.class_names),
        partial=setting.partial,
        condition=condition,
    )

"""The main job: methods x data set x codecs -> store, tables, figures."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from vssbench.cli import comma_list, command_line
from vssbench.codec.cache import EncodeCache
from vssbench.codec.encode import EncodeSettings
from vssbench.commands.calibration import TrainingClips
from vssbench.commands.catalogue import Bench, Catalogue, on_backbone
from vssbench.datasets.clips import default_bitrate_kbps
from vssbench.datasets.selection import Selection, select
from vssbench.errors import BitstreamError, DatasetError, StoreError, UsageError
from vssbench.latency.backends import require_backend
from vssbench.latency.environment import environment
from vssbench.progress import ProgressBar
from vssbench.records import Dataset
from vssbench.runner.accuracy import measure_accuracy
from vssbench.runner.cost import measure_cost
from vssbench.runner.manifest import check_manifest, manifest_entry, recorded_cells, write_manifest
from vssbench.runner.members import Member
from vssbench.runner.run import Run, Setting
from vssbench.runner.speed import measure_speed
from vssbench.store import Store

ANCHOR = "constant"
SHIPPED_WEIGHTS = Path(__file__).resolve().parents[1] / "weights"


def run(options: argparse.Namespace, words: Sequence[str], catalogue: Catalogue) -> int:
    """Run the main job; returns the exit code."""
    started = time.monotonic()
    full_float32()
    torch.manual_seed(options.seed)
    dataset = catalogue.dataset(options.dataset, Path(options.data) if options.data else None)
    out = Path(options.out or f"runs/{options.dataset}")
    device = _device(options.device)
    require_backend(options.backend, device)
    selection, settings = _settings(options, dataset)
    if options.dry_run:
        return _dry_run(options, catalogue, dataset, settings, device)
    _require_writable(out)
    streams = EncodeCache(options.cache or out / "streams")
    with ProgressBar(quiet=options.quiet) as bar:
        _tell_selection(bar, selection)
        planned, unbuilt = _plan(options, catalogue, dataset, settings, streams, device, bar)
        conditions = [setting.condition() for setting in settings]
        if options.force:
            _clear(out)
        check_manifest(out, conditions)
        with Store.open(out) as store:
            jobs = []
            for setting, members in planned:
                jobs.append(Run(setting=setting, store=store, cache=streams, reporter=bar, fail_fast=options.fail_fast))
                for member in members:
                    jobs[-1].add(member)
            entries = [entry for job in jobs for entry in job.entries]
            write_manifest(
                out,
                command=words,
                conditions=conditions,
                members=[manifest_entry(entry) for entry in entries],
                environment=environment(device),
            )
            try:
                for job in jobs:
                    bar.say(f"{options.dataset}, {job.setting.encoding.codec}: {len(job.entries)} methods")
                    _measure(job, options)
            finally:
                store.add_stage("whole job", time.monotonic() - started)
                summary = catalogue.write_reports(out, recorded_cells(out))
        bar.say(f"{streams.num_encoded} streams encoded, {streams.num_found} taken from the cache")
    print(summary)
    bar.say(f"tables in {out / 'summary'}, figures in {out / 'figures'}, done in {time.monotonic() - started:.0f} s")
    failed = unbuilt + sum(entry.failed for entry in entries)
    if all(entry.failed for entry in entries):
        return 4
    return 1 if failed else 0


def resume_hint(words: Sequence[str]) -> str:
    """What to tell a person who interrupted a command."""
    kept = [word for word in words if word != "--force"]
    return f"interrupted; what was finished is kept. Go on with:\n  {command_line(kept)}"


def full_float32() -> None:
    """Switch TensorFloat32 off: torch rounds float32 convolutions to 10 bits on a GPU unless told otherwise."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def _measure(job: Run, options: argparse.Namespace) -> None:
    job.begin()
    with _timed(job, "stage accuracy"):
        measure_accuracy(job)
    with _timed(job, "stage operations"):
        measure_cost(job)
    if not options.no_latency:
        with _timed(job, "stage latency"):
            measure_speed(job, repeats=options.repeats)
    for entry in job.active:
        job.store.set_status(entry.cell.key, "done")


@contextmanager
def _timed(job: Run, stage: str) -> Iterator[None]:
    """Note the wall time of a stage, finished or not."""
    started = time.monotonic()
    try:
        yield
    finally:
        job.store.add_stage(stage, time.monotonic() - started)


def _plan(
    options: argparse.Namespace,
    catalogue: Catalogue,
    dataset: Dataset,
    settings: Sequence[Setting],
    streams: EncodeCache,
    device: torch.device,
    bar: ProgressBar,
) -> tuple[list[tuple[Setting, list[Member]]], int]:
    """The members of each setting, and how many could not be calibrated as the codec gives no vectors."""
    planned = []
    unbuilt = 0
    for setting in settings:
        members = []
        for bench, names in _names(options, catalogue, _bench(options, dataset, setting, streams, device)):
            for name in names:
                try:
                    members.append(catalogue.member(name, bench))
                except BitstreamError as error:
                    unbuilt += 1
                    bar.warn(f"{name} is left out: {error}")
        planned.append((setting, members))
    return planned, unbuilt


def _names(options: argparse.Namespace, catalogue: Catalogue, bench: Bench) -> list[tuple[Bench, list[str]]]:
    """The members asked for by image network, the anchor's first on each."""
    asked = comma_list(options.methods)
    if not asked:
        raise UsageError("--methods names nothing; e.g. --methods arseg,taplab")
    by_backbone = {options.network: asked} if options.network else catalogue.backbones(asked)
    return [
        (on, catalogue.expand([ANCHOR, *names], on))
        for on, names in ((on_backbone(bench, backbone), names) for backbone, names in by_backbone.items())
    ]


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device {name}: {error}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device {name}: torch {torch.__version__} sees no CUDA device; use --device cpu")
    return device


def _require_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StoreError(f"cannot write the run folder {out}: {error}; choose another with -o") from error


def _clear(out: Path) -> None:
    """Remove the results of an earlier run; tables and figures are written over, other files are not touched."""
    for old in (*out.glob("results.sqlite*"), out / "manifest.json"):
        old.unlink(missing_ok=True)


def _settings(options: argparse.Namespace, dataset: Dataset) -> tuple[Selection, list[Setting]]:
    split = options.split or _default_split(dataset)
    least = options.gop - 1 if options.protocol == "per-distance" else 0
    selection = select(dataset.videos(split), least_index=least, limit=options.limit)
    first = selection.videos[0]
    rate = options.bitrate or default_bitrate_kbps(first.size, first.fps)
    return selection, [
        Setting(
            dataset=options.dataset,
            split=split,
            class_names=dataset.class_names,
            videos=selection.videos,
            partial=bool(options.limit),
            encoding=EncodeSettings(
                codec=codec,
                gop_length=options.gop,
                bitrate_kbps=rate,
                preset=None if codec == "mpeg4" else options.preset,
                fps=first.fps,
            ),
            protocol=options.protocol,
            device=_device(options.device),
            seed=options.seed,
            trace=options.trace,
            compensation=options.compensation,
            backend=options.backend,
        )
        for codec in comma_list(options.codec)
    ]


def _default_split(dataset: Dataset) -> str:
    splits = dataset.splits()
    if not splits:
        raise DatasetError(f"{dataset.name} has no split: no file of it was found; see `vssbench data verify`")
    return next((split for split in ("test", "val") if split in splits), splits[-1])


def _tell_selection(bar: ProgressBar, selection: Selection) -> None:
    tested = sum(len(video.labels) for video in selection.videos)
    counts = f"{selection.num_testable} of {selection.num_annotated} annotated frames can be tested"
    bar.say(f"{len(selection.videos)} videos; {counts}")
    if tested < selection.num_testable:
        bar.say("a limit leaves some of them out; the run is marked partial")
    if selection.without:
        bar.warn(
            f"without a frame to test, left out: {', '.join(selection.without[:5])} ({len(selection.without)} in all)"
        )


def _bench(
    options: argparse.Namespace, dataset: Dataset, setting: Setting, streams: EncodeCache | None, device: torch.device
) -> Bench:
    weights = Path(options.weights) if options.weights else SHIPPED_WEIGHTS / options.dataset
    if not weights.is_dir():
        raise UsageError(
            f"there is no folder of weights {weights}; give --weights FOLDER"
            if options.weights
            else f"no weights are shipped for {options.dataset}; train them (vssbench train) and give --weights FOLDER"
        )
    clips = TrainingClips(dataset, setting, streams) if streams else None
    return Bench(
        weights=weights,
        num_classes=len(dataset.class_names),
        device=device,
        training_frames=clips.frames if clips else lambda _: iter(()),
        training_source=clips.source if clips else {},
    )


def _dry_run(
    options: argparse.Namespace,
    catalogue: Catalogue,
    dataset: Dataset,
    settings: Sequence[Setting],
    device: torch.device,
) -> int:
    """Print the plan and its size."""
    for setting in settings:
        by_network = _names(options, catalogue, _bench(options, dataset, setting, None, device))
        names = [name for _, names in by_network for name in names]
        cuts = [cut for video in setting.videos for cut in setting.cuts_of(video)]
        tested = sum(len(cut.tested) for cut in cuts)
        stepped = sum(max(cut.tested) - cut.start + 1 for cut in cuts)
        encoding = setting.encoding
        print(f"{setting.dataset} {setting.split}: {len(setting.videos)} videos, protocol {setting.protocol}")
        print(f"  {encoding.codec}, L = {encoding.gop_length}, {encoding.bitrate_kbps:g} kbps: {len(cuts)} streams")
        print(f"  {len(names)} methods x {stepped} steps, {tested} tested frames each: {', '.join(names)}")
    return 0

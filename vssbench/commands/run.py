"""The main job: methods x data set x codecs -> store, tables, figures."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import torch

from vssbench.cli import comma_list, command_line
from vssbench.codec.cache import EncodeCache
from vssbench.codec.encode import EncodeSettings
from vssbench.commands.catalogue import Bench, Catalogue
from vssbench.datasets.clips import PROTOCOLS, Cut, SideInformation, default_bitrate_kbps, encoded, frames_of
from vssbench.errors import StoreError, UsageError
from vssbench.latency.environment import environment
from vssbench.progress import ProgressBar
from vssbench.records import CompressedFrame, Dataset, LabelMap, SourceVideo
from vssbench.runner.accuracy import measure_accuracy
from vssbench.runner.cost import measure_cost
from vssbench.runner.manifest import manifest_entry, recorded_cells, write_manifest
from vssbench.runner.run import Run, Setting, content_sha256
from vssbench.runner.speed import measure_speed
from vssbench.store import Store

ANCHOR = "constant"
CALIBRATION_VIDEOS = 8  # training clips that thresholds are calibrated on
SHIPPED_WEIGHTS = Path(__file__).resolve().parents[1] / "weights"


def run(options: argparse.Namespace, words: Sequence[str], catalogue: Catalogue) -> int:
    """Run the main job; returns the exit code."""
    started = time.monotonic()
    dataset = catalogue.dataset(options.dataset, Path(options.data) if options.data else None)
    out = Path(options.out or f"runs/{options.dataset}")
    device = _device(options.device)
    settings = _settings(options, dataset)
    if options.dry_run:
        return _dry_run(options, catalogue, dataset, settings, device)
    _prepare(out, force=options.force)
    cache_folder = EncodeCache(options.cache or out / "streams")
    torch.manual_seed(options.seed)
    failed = measured = 0
    with ProgressBar(quiet=options.quiet) as bar, Store.open(out) as store:
        runs = []
        for setting in settings:
            bench = _bench(options, dataset, setting, cache_folder, device)
            job = Run(setting=setting, store=store, cache=cache_folder, reporter=bar, fail_fast=options.fail_fast)
            members = [catalogue.member(name, bench) for name in _names(options, catalogue, bench)]
            runs.append((job, members))
        for job, members in runs:
            for member in members:
                job.add(member)
        entries = [entry for job, _ in runs for entry in job.entries]
        write_manifest(
            out,
            command=words,
            conditions=[job.setting.condition() for job, _ in runs],
            members=[manifest_entry(entry) for entry in entries],
            environment=environment(device),
        )
        for job, members in runs:
            bar.say(f"{job.setting.dataset} {job.setting.split}, {job.setting.encoding.codec}: {len(members)} methods")
            _measure(job, options)
            failed += sum(entry.failed for entry in job.entries)
            measured += sum(not entry.failed for entry in job.entries)
        store.add_stage("whole job", time.monotonic() - started)
        bar.say(f"{cache_folder.num_encoded} streams encoded, {cache_folder.num_found} taken from the cache")
    print(catalogue.write_reports(out, recorded_cells(out)))
    bar.say(f"tables in {out / 'summary'}, figures in {out / 'figures'}, done in {time.monotonic() - started:.0f} s")
    if not measured:
        return 4
    return 1 if failed else 0


def resume_hint(words: Sequence[str]) -> str:
    """What to tell a person whose run was interrupted."""
    return f"interrupted; all finished frames are kept. Go on with:\n  {command_line(words)}"


def _measure(job: Run, options: argparse.Namespace) -> None:
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


def _names(options: argparse.Namespace, catalogue: Catalogue, bench: Bench) -> list[str]:
    """The members asked for, the anchor's first."""
    asked = comma_list(options.methods)
    if not asked:
        raise UsageError("--methods names nothing; e.g. --methods arseg,taplab")
    return catalogue.expand([ANCHOR, *asked], bench)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device {name}: {error}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device {name}: torch {torch.__version__} sees no CUDA device; use --device cpu")
    return device


def _prepare(out: Path, *, force: bool) -> None:
    """Make the run folder; with force, clear what a run leaves in it (never the streams, never other files)."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if force:
            for old in (*out.glob("results.sqlite*"), out / "manifest.json"):
                old.unlink(missing_ok=True)
            for folder in ("summary", "figures"):
                shutil.rmtree(out / folder, ignore_errors=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StoreError(f"cannot write the run folder {out}: {error}; choose another with -o") from error


def _settings(options: argparse.Namespace, dataset: Dataset) -> list[Setting]:
    split = options.split or _default_split(dataset)
    videos = list(dataset.videos(split))
    if options.protocol not in PROTOCOLS:
        raise UsageError(f"no protocol is called {options.protocol!r}; there are {', '.join(PROTOCOLS)}")
    if options.limit:
        least = options.gop - 1 if options.protocol == "per-distance" else 0
        videos = limited(videos, options.limit, least_index=least)
    rate = options.bitrate or default_bitrate_kbps(videos[0].size, videos[0].fps)
    return [
        Setting(
            dataset=options.dataset,
            split=split,
            class_names=dataset.class_names,
            videos=videos,
            partial=bool(options.limit),
            encoding=EncodeSettings(
                codec=codec,
                gop_length=options.gop,
                bitrate_kbps=rate,
                preset=None if codec == "mpeg4" else options.preset,
                fps=videos[0].fps,
            ),
            protocol=options.protocol,
            device=_device(options.device),
            seed=options.seed,
        )
        for codec in comma_list(options.codec)
    ]


def _default_split(dataset: Dataset) -> str:
    splits = dataset.splits()
    return next((split for split in ("test", "val") if split in splits), splits[-1])


class _SomeLabels(Mapping[int, LabelMap]):
    """The labels of a few frames, still loaded when asked for."""

    def __init__(self, labels: Mapping[int, LabelMap], kept: Sequence[int]) -> None:
        self._labels, self._kept = labels, list(kept)

    def __getitem__(self, index: int) -> LabelMap:
        if index not in self._kept:
            raise KeyError(index)
        return self._labels[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def limited(videos: Sequence[SourceVideo], number: int, *, least_index: int) -> list[SourceVideo]:
    """The first videos that together have `number` annotated frames from `least_index` on, and only those frames."""
    left = number
    kept = []
    for video in videos:
        frames = list(islice((i for i in sorted(video.labels) if i >= least_index), left))
        if frames:
            kept.append(dataclasses.replace(video, labels=_SomeLabels(video.labels, frames)))
            left -= len(frames)
        if not left:
            break
    return kept or list(videos)


def _bench(
    options: argparse.Namespace,
    dataset: Dataset,
    setting: Setting,
    streams: EncodeCache,
    device: torch.device,
) -> Bench:
    weights = Path(options.weights) if options.weights else SHIPPED_WEIGHTS / options.dataset
    if not options.weights and not weights.is_dir():
        raise UsageError(
            f"no weights are shipped for {options.dataset}; train them (vssbench train) and give --weights FOLDER"
        )
    return Bench(
        weights=weights,
        num_classes=len(dataset.class_names),
        device=device,
        training_frames=_training_frames(dataset, setting, streams),
        training_source=_calibration_source(dataset, setting),
    )


def _training_frames(
    dataset: Dataset, setting: Setting, streams: EncodeCache
) -> Callable[[Iterable[str]], Iterator[CompressedFrame]]:
    def frames(needs: Iterable[str]) -> Iterator[CompressedFrame]:
        """The decoded frames of some training clips, encoded as the test is."""
        side = SideInformation.for_needs(needs)
        for video in _calibration_videos(dataset, setting):
            whole = Cut(start=0, stop=video.num_frames, tested={})
            yield from frames_of(encoded(video, whole, setting.encoding, streams), side)

    return frames


def _calibration_videos(dataset: Dataset, setting: Setting) -> Sequence[SourceVideo]:
    """Training videos; where a data set has none, the tested ones, whose labels no calibration sees."""
    if "train" in dataset.splits():
        return list(islice(dataset.videos("train"), CALIBRATION_VIDEOS))
    return setting.videos


def _calibration_source(dataset: Dataset, setting: Setting) -> str:
    videos = _calibration_videos(dataset, setting)
    split = "train" if "train" in dataset.splits() else f"{setting.split} (no training videos: unlabelled test frames)"
    return f"{len(videos)} videos of {split}, content {content_sha256(videos)[:12]}"


def _dry_run(
    options: argparse.Namespace,
    catalogue: Catalogue,
    dataset: Dataset,
    settings: Sequence[Setting],
    device: torch.device,
) -> int:
    """Print the plan and its size."""
    for setting in settings:
        bench = Bench(
            weights=Path(options.weights) if options.weights else SHIPPED_WEIGHTS / options.dataset,
            num_classes=len(dataset.class_names),
            device=device,
            training_frames=lambda _: iter(()),
            training_source="",
        )
        names = _names(options, catalogue, bench)
        cuts = [cut for video in setting.videos for cut in setting.cuts_of(video)]
        tested = sum(len(cut.tested) for cut in cuts)
        stepped = sum(max(cut.tested) - cut.start + 1 for cut in cuts)
        encoding = setting.encoding
        print(f"{setting.dataset} {setting.split}: {len(setting.videos)} videos, protocol {setting.protocol}")
        print(f"  {encoding.codec}, L = {encoding.gop_length}, {encoding.bitrate_kbps:g} kbps: {len(cuts)} streams")
        print(f"  {len(names)} methods x {stepped} steps, {tested} tested frames each: {', '.join(names)}")
    return 0

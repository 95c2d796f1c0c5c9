"""vssbench's command line: the tables of names, and nothing below this file knows them all.

A method is a family in FAMILIES, a data set a factory in DATASETS; each is one line here.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import torch

from arseg.creff import CONVENTIONS
from arseg.method import ARSeg
from arseg.model import ARSegNetwork
from arseg.options import UNTRAINED, VARIANTS, options_of
from arseg.train import ARSegBranch
from arseg.weights import load_branch
from baselines.constant_resolution import ConstantResolution
from baselines.feature_reuse import FeatureReuse, PredictionReuse
from baselines.feature_warp import FeatureWarp
from baselines.frame_selection import PAPER_SHARE, FrameSelection, calibrate_threshold, mean_abs_residual
from baselines.residual_correction import RegionCorrection
from baselines.taplab import TapLab
from recount.member_counts import printed_arseg, printed_constant, printed_nowhere, printed_untrained_arseg
from recount.published import judge_published
from reports.published.tables import render_published, write_published
from reports.write import write_reports
from tfc.method import TFC
from tfc.options import INTERVAL
from tfc.options import VARIANTS as TFC_VARIANTS
from tfc.train import TFCBranch
from tfc.weights import load_tfc, weights_file
from vssbench import cli
from vssbench.commands.catalogue import Bench, Catalogue, Family
from vssbench.commands.check import check
from vssbench.commands.data import data
from vssbench.commands.listing import list_names
from vssbench.commands.motion import motion
from vssbench.commands.plugins import load_plugins
from vssbench.commands.published import published
from vssbench.commands.report import report
from vssbench.commands.run import resume_hint, run
from vssbench.commands.train import train
from vssbench.datasets.cityscapes import CityscapesSnippets
from vssbench.datasets.folder import FolderDataset
from vssbench.datasets.image_sequence import CamVidSequence
from vssbench.datasets.sparse_video import SparseVideo
from vssbench.datasets.stills import CamVidStills
from vssbench.datasets.street import Street
from vssbench.datasets.vspw import VSPW
from vssbench.errors import UsageError, VssBenchError, WeightsError
from vssbench.networks.weights import file_sha256, load_network
from vssbench.records import Dataset, Method
from vssbench.runner.members import Member
from vssbench.training.recipe import read_recipe
from vssbench.training.trainer import HIGH, Branch, Trainer

RELEASED_WARP = FeatureWarp(grid="taplab-release", padding="zeros")
RELEASED_REGIONS = RegionCorrection(rule="release-accumulated", candidates="release")
SELECTED_SHARES = (0.1, 0.25, 0.5)  # of the P frames that RGFS segments in full; the paper's is 0.1


def trained(family: str) -> Callable[[Bench], Sequence[str]]:
    """The members of a family that the weights folder holds, largest scale first."""

    def members(bench: Bench) -> Sequence[str]:
        points = [path.stem.partition("@")[2] for path in bench.weights.glob(f"{family}@*.safetensors")]
        scales = sorted((float(point) for point in points if point.replace(".", "", 1).isdigit()), reverse=True)
        if not scales:
            there = ", ".join(sorted(path.stem for path in bench.weights.glob("*.safetensors"))) or "none"
            raise WeightsError(
                f"no weights of {family} in {bench.weights} (there: {there}); train them "
                f"(vssbench train {family}@0.5 --recipe FILE --weights FOLDER), or give another --weights or --network"
            )
        return [f"{family}@{scale}" for scale in scales]

    return members


def constant(bench: Bench, _variant: str, point: float | None) -> Member:
    """One network, every frame at one scale, trained at that scale."""
    scale = require_scale("constant", point)
    path = bench.weights / f"constant@{scale}.safetensors"

    def build(device: torch.device) -> Method:
        network, _ = load_network(path, num_classes=bench.num_classes, device=device)
        return ConstantResolution(network=network, scale=scale, device=device)

    return Member(
        name=f"constant@{scale}",
        family="constant",
        build=build,
        curves=("constant",),
        point=scale,
        point_label=f"{scale:g}x",
        network=bench.network_name(f"constant@{scale}"),
        weights={path.name: file_sha256(path)},
        printed=printed_constant(path, scale=scale),
    )


def arseg(bench: Bench, variant: str, point: float | None) -> Member:
    """AR-Seg with the low-resolution branch at a scale; `:release` as the released program computes.

    The other variants are rows of the paper's Table 3 (`arseg.options`), each with weights of its own.
    """
    if variant in UNTRAINED:
        return untrained_arseg(bench, variant, point)
    scale = require_scale("arseg", point)
    head = f"arseg:{variant}" if variant else "arseg"
    convention = variant if variant in CONVENTIONS else None
    stem = f"arseg@{scale}" if convention else f"{head}@{scale}"
    path, high = bench.weights / f"{stem}.safetensors", bench.weights / f"{HIGH}.safetensors"

    def build(device: torch.device) -> Method:
        network = load_branch(path, high, num_classes=bench.num_classes, device=device, convention=convention)
        return ARSeg(network, device=device)

    return Member(
        name=f"{head}@{scale}",
        family="arseg",
        build=build,
        curves=(head,),
        point=scale,
        point_label=f"{scale:g}x",
        network=bench.network_name(stem),
        weights={p.name: file_sha256(p) for p in (path, high)},
        printed=printed_arseg(path),
    )


def untrained_arseg(bench: Bench, variant: str, point: float | None) -> Member:
    """A variant without a low-resolution branch: it has no scale, and only the full-resolution network's weights."""
    if point is not None:
        raise UsageError(f"arseg:{variant} has no low-resolution branch and so no scale; call it arseg:{variant}")
    path = bench.weights / f"{HIGH}.safetensors"

    def build(device: torch.device) -> Method:
        network, _ = load_network(path, num_classes=bench.num_classes, device=device)
        return ARSeg(ARSegNetwork(network, scale=1.0, options=options_of(variant)), device=device)

    return Member(
        name=f"arseg:{variant}",
        family="arseg",
        build=build,
        network=bench.network_name(),
        weights={path.name: file_sha256(path)},
        printed=printed_untrained_arseg(path, variant=variant),
    )


def taplab(bench: Bench, variant: str, point: float | None) -> Member:
    """TapLab over the full-resolution network; @ is the share of P frames that RGFS is calibrated to select.

    `+release` computes as the released program does: its grid and padding of the warp, its regions, its second trigger.
    """
    parts = variant.split("+")
    release = "release" in parts
    with_region, with_selection = "rgc" in parts, "rgfs" in parts
    if point is not None and not (with_selection and 0 <= point <= 1):
        raise UsageError(f"taplab:{variant}@{point}: a share of P frames, 0..1, goes with rgfs only")
    share = (PAPER_SHARE if point is None else point) if with_selection else None
    calibration: dict[str, object] = {}
    selection = None
    if share is not None:
        means = residual_means(bench)
        threshold = calibrate_threshold(means, share)
        rule = "release" if release else "paper"
        selection = FrameSelection(threshold_mean=threshold, calibrated_share=share, rule=rule)
        calibration = {
            "rgfs_threshold_mean": str(threshold),
            "share": share,
            "on": bench.training_source,
            "p_frames": len(means),
        }
    path = bench.weights / f"{HIGH}.safetensors"

    def build(device: torch.device) -> Method:
        network, _ = load_network(path, num_classes=bench.num_classes, device=device)
        correction = (RELEASED_REGIONS if release else RegionCorrection()) if with_region else None
        return TapLab(
            network=network,
            device=device,
            correction=correction,
            selection=selection,
            warping=RELEASED_WARP if release else None,
        )

    return Member(
        name=f"taplab:{variant}" + (f"@{share:g}" if share is not None else ""),
        family="taplab",
        build=build,
        curves=(("taplab:ffw+rgc+rgfs" if with_region else "taplab:ffw+rgfs") + ("+release" if release else ""),),
        point=share or 0.0,
        point_label=f"{100 * (share or 0.0):g} %",
        network=bench.network_name(),
        weights={path.name: file_sha256(path)},
        calibration=calibration,
        printed=printed_nowhere,
    )


@cache
def residual_means(bench: Bench) -> list[float]:
    """Mean |residual| of every P frame of the training clips, which all members of the family share."""
    frames = bench.training_frames({"residual"})
    return [mean_abs_residual(frame.residual) for frame in frames if frame.residual is not None]


def reuse(bench: Bench, variant: str, point: float | None) -> Member:
    """The key frame's prediction copied, or its high-level features under fresh low-level ones; @ as in `tfc`."""
    interval = None if point is None else require_interval(f"reuse:{variant}", point)
    name = f"reuse:{variant}" + ("" if interval is None else f"@{interval}")
    if variant == "features" and on_segformer(bench):
        return temporal_correlation(bench, "reuse", name=name, family="reuse", interval=interval or INTERVAL)
    path = bench.weights / f"{HIGH}.safetensors"
    kind = {"prediction": PredictionReuse, "features": FeatureReuse}[variant]

    def build(device: torch.device) -> Method:
        network, _ = load_network(path, num_classes=bench.num_classes, device=device)
        return kind(network=network, device=device, interval=interval)

    return Member(
        name=name,
        family="reuse",
        build=build,
        network=bench.network_name(),
        weights={path.name: file_sha256(path)},
        printed=printed_nowhere,
    )


def tfc(bench: Bench, variant: str, point: float | None) -> Member:
    """TFC on SegFormer, and the rows of its Table 2; @ is the interval between key frames."""
    head = f"tfc:{variant}" if variant else "tfc"
    interval = INTERVAL if point is None else require_interval(head, point)
    return temporal_correlation(bench, variant, name=f"{head}@{interval}", family="tfc", interval=interval)


def temporal_correlation(bench: Bench, variant: str, *, name: str, family: str, interval: int) -> Member:
    """A variant of TFC under the name it has in the tables. Raises: UsageError, on a network that is no SegFormer."""
    if not on_segformer(bench):
        raise UsageError(
            f"{name} runs on SegFormer, the weights in {bench.weights} are of {bench.backbone or 'another network'}; "
            "give --network segformer-b0, or leave --network out"
        )
    path = bench.weights / weights_file(variant)

    def build(device: torch.device) -> Method:
        network = load_tfc(path, variant=variant, num_classes=bench.num_classes, device=device)
        return TFC(network, device=device, interval=interval)

    return Member(
        name=name,
        family=family,
        build=build,
        curves=(name.partition("@")[0],) if family == "tfc" else (),
        point=float(interval) if family == "tfc" else None,
        point_label=f"every {interval}" if family == "tfc" else "",
        network=bench.network_name(path.stem),
        weights={path.name: file_sha256(path)},
        printed=printed_nowhere,
    )


def on_segformer(bench: Bench) -> bool:
    """Whether the image network is a SegFormer."""
    return bench.backbone.startswith("segformer")


def require_interval(name: str, point: float) -> int:
    """The interval between key frames after @. Raises: UsageError, when it is no whole number of frames."""
    if point < 1 or point != int(point):
        raise UsageError(f"{name}: after @ comes the interval between key frames, 1 or more frames; got {point:g}")
    return int(point)


def require_scale(family: str, point: float | None) -> float:
    """The scale of a member. Raises: UsageError, when it is missing or out of range."""
    if point is None or not 0 < point <= 1:
        raise UsageError(f"{family} needs a scale above 0 and up to 1 after @, e.g. {family}@0.5; got {point}")
    return point


TAPLAB = ("ffw", "ffw+rgc", "ffw+rgfs", "ffw+rgc+rgfs")
FAMILIES = (
    Family(
        name="constant",
        summary="every frame at one scale; @ is the scale",
        members=trained("constant"),
        member=constant,
    ),
    Family(
        name="arseg",
        summary="AR-Seg (CVPR 2023): key frames in full, the others at a scale, CReFF; @ is the scale",
        variants=(*CONVENTIONS, *VARIANTS),
        members=trained("arseg"),
        member=arseg,
    ),
    Family(
        name="taplab",
        summary="TapLab (TPAMI 2020): FFW, RGC, RGFS; @ is the share of P frames that RGFS selects",
        variants=(*TAPLAB, *(f"{v}+release" for v in TAPLAB)),
        members=lambda _: (
            *(f"taplab:{v}" for v in TAPLAB if "rgfs" not in v),
            *(f"taplab:{v}@{share:g}" for v in TAPLAB if "rgfs" in v for share in SELECTED_SHARES),
        ),
        member=taplab,
    ),
    Family(
        name="reuse",
        summary="reuse of the key frame's prediction, or of its high-level features; @ is an interval of key frames "
        "(without: the I frames, on SegFormer every 4th)",
        variants=("prediction", "features"),
        members=lambda bench: tuple(
            f"reuse:{variant}" + (f"@{INTERVAL}" if on_segformer(bench) else "")
            for variant in ("prediction", "features")
        ),
        member=reuse,
    ),
    Family(
        name="tfc",
        summary="TFC (AAAI 2024) on SegFormer; @ is the interval between key frames",
        backbone="segformer-b0",
        variants=tuple(TFC_VARIANTS),
        members=lambda _: (f"tfc@{INTERVAL}",),
        member=tfc,
    ),
)
BRANCHES: dict[str, Branch] = {branch.name: branch for branch in (ARSegBranch(), TFCBranch())}


def needs_folder(name: str, factory: Callable[[Path], Dataset]) -> Callable[[Path | None], Dataset]:
    """A data set that lies in a folder of the user's."""

    def make(folder: Path | None) -> Dataset:
        if folder is None:
            raise UsageError(f"{name} needs its folder: --data FOLDER, or VSSBENCH_DATA")
        return factory(folder)

    return make


DATASETS: dict[str, Callable[[Path | None], Dataset]] = {
    "street": lambda _: Street(),
    "camvid-sequence": needs_folder("camvid-sequence", CamVidSequence),
    "camvid-stills": needs_folder("camvid-stills", CamVidStills),
    "camvid-stills-dense": needs_folder("camvid-stills-dense", partial(CamVidStills, label_every_view=True)),
    "cityscapes": needs_folder("cityscapes", CityscapesSnippets),
    "vspw": needs_folder("vspw", VSPW),
    "folder": needs_folder("folder", FolderDataset),
    "sparse-video": needs_folder("sparse-video", SparseVideo.from_folder),
}


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (README, "Exit codes")."""
    words = list(sys.argv[1:] if words is None else words)
    try:
        options = cli.parse(words)
        catalogue = Catalogue(
            families={family.name: family for family in FAMILIES},
            datasets=dict(DATASETS),
            read_recipe=partial(read_recipe, settings={name: branch.settings for name, branch in BRANCHES.items()}),
            trainer=partial(Trainer, branches=BRANCHES),
            write_reports=write_reports,
        )
        load_plugins(catalogue, options.plugin)
        code = {
            "run": lambda: run(options, words, catalogue),
            "train": lambda: train(options, catalogue),
            "data": lambda: data(options, catalogue),
            "report": lambda: report(options, catalogue),
            "check": lambda: check(options),
            "motion": lambda: motion(options),
            "published": lambda: published(
                options, judge=judge_published, render=render_published, write=write_published
            ),
            "ls": lambda: list_names(options, catalogue),
        }[options.command]()
        sys.stdout.flush()  # here, so that a reader who has gone is met inside the try
        return code
    except VssBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # of `... | head`: nobody reads on, and the interpreter would fail once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print(resume_hint(words), file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

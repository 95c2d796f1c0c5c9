"""How well the vectors that we read rebuild the decoded frames, for each codec.

    python benchmarks/motion_psnr.py
    python benchmarks/motion_psnr.py --data CAMVID_SEQUENCE --bitrate 3000
    python benchmarks/motion_psnr.py --video a.mp4 b.mp4

Without --video a clip (the street, or CamVid's 15 Hz run with --data) is encoded with each codec of --codecs. All
numbers are PSNR of luma in dB. First table: decoded frame t against its prediction from decoded references, along the
vectors into the references that the bitstream names; the mean over frames of P type (and B, where there are) of each
frame's PSNR. "exact" is the codec's own interpolation, with its own rounding: 8 taps in HEVC (8.5.3.3.3.1 of H.265), 6
taps in H.264 (8.4.2.2.1 of H.264), two in MPEG-4 Part 2, of whose two roundings the better one is taken, for the VOP
header is not read here. What is left are residual and loop filters; in blocks that are skipped, loop filters alone.
Intra blocks are predicted from the same place of the frame before (the last column leaves them out), two references
are averaged, weights are not applied. "integer" rounds vectors to whole pixels; "bilinear" does not round samples.

Second table: the vectors traced back to the I frame, d frames earlier (`decode`, `motion_to_key`), against the frame
as predicted from the decoded I frame; the mean over GOPs. Where a path is lost the displacement is zero.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from vssbench.codec.decode import decode, probe
from vssbench.codec.encode import EncodeSettings, encode
from vssbench.codec.trace import Sampling
from vssbench.codec.vectors import CELL_PX, FrameMotion, read_motion
from vssbench.datasets.image_sequence import CamVidSequence
from vssbench.datasets.street import Street

Plane = NDArray[np.int32]  # (H, W)
WAYS = ("no motion", "integer", "bilinear", "exact", "exact, sign flipped", "exact, inter blocks alone")
MARGIN = 16  # replicated samples around a reference; further out everything is the same
HEVC_TAPS = {1: (-1, 4, -10, 58, 17, -5, 1, 0), 2: (-1, 4, -11, 40, 40, -11, 4, -1), 3: (0, 1, -5, 17, 58, -10, 4, -1)}
H264_TAPS = (1, -5, 20, 20, -5, 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the videos, or the clip in each codec, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", nargs="+", type=Path, help="measure these as they are")
    parser.add_argument("--data", type=Path, help="folder of CamVid's 15 Hz run, see vssbench ls datasets")
    parser.add_argument("--codecs", default="hevc,h264,mpeg4")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--gop", type=int, default=12)
    parser.add_argument("--b-frames", type=int, default=0)
    parser.add_argument("--bitrate", type=float, default=3000, help="kbps (default: 3000)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        measured = [measure(path, options.frames) for path in options.video or encoded(options, Path(folder))]
    print("\n### Decoded frame against its prediction, dB of luma\n")
    print("| video | kbps | frames | intra | " + " | ".join(WAYS) + " |")
    print("| --- | ---: | ---: | ---: |" + " ---: |" * len(WAYS))
    for each in measured:
        cells = " | ".join(f"{each.psnr[way]:.2f}" for way in WAYS)
        print(f"| {each.name} | {each.kbps:.0f} | {each.frames} | {100 * each.intra:.1f} % | {cells} |")
    distances = sorted({d for each in measured for d, _ in each.traced})
    print("\n### Decoded frame against the I frame d frames earlier, dB of luma\n")
    print("| video | traced | lost at the end | " + " | ".join(f"d = {d}" for d in distances) + " |")
    print("| --- | --- | ---: |" + " ---: |" * len(distances))
    for each in measured:
        for sampling in ("no motion", "integer", "subpel"):
            cells = " | ".join(f"{each.traced.get((d, sampling), float('nan')):.2f}" for d in distances)
            lost = f"{100 * each.lost[sampling]:.1f} %" if sampling in each.lost else ""
            print(f"| {each.name} | {sampling} | {lost} | {cells} |")


def encoded(options: argparse.Namespace, folder: Path) -> list[Path]:
    """The clip in each codec."""
    dataset = CamVidSequence(options.data) if options.data else Street()
    clip = dataset.videos(dataset.splits()[-1])[0]
    num_frames = min(options.frames, clip.num_frames)
    print(
        f"{dataset.name}: {num_frames} frames of {clip.size[0]}x{clip.size[1]} at {clip.fps:g} fps, L = {options.gop}"
    )
    paths = []
    for codec in options.codecs.split(","):
        settings = EncodeSettings(
            codec=codec,
            gop_length=options.gop,
            bitrate_kbps=options.bitrate,
            fps=clip.fps,
            b_frames=0 if codec == "mpeg4" else options.b_frames,
        )
        paths.append(folder / f"{codec}.mp4")
        encode(clip.read(0, num_frames), paths[-1], settings=settings)
    return paths


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Both tables of one video; `traced` by (distance, sampling), `lost` the share of paths lost at the last one."""

    name: str
    kbps: float
    frames: int
    intra: float
    psnr: Mapping[str, float]
    traced: Mapping[tuple[int, str], float]
    lost: Mapping[str, float]


def measure(path: Path, num_frames: int) -> Measured:
    """Compensate and trace the first frames of a video."""
    info = probe(path)
    luma = list(islice(decoded_luma(path), num_frames))
    psnr: dict[str, list[float]] = defaultdict(list)
    intra, sizes = [], []
    for frame in islice(read_motion(path), num_frames):
        sizes.append(frame.size_bytes)
        if frame.frame_type != "I":
            intra.append(np.mean(frame.pred_mode == 0))
            for way in WAYS:
                psnr[way].append(best_psnr(luma, frame, way, info.codec))
    traced: dict[tuple[int, str], float] = {}
    lost: dict[str, float] = {}
    for sampling in ("integer", "subpel"):
        by_distance, lost_share = trace_psnr(path, luma, sampling)
        traced |= {(d, name): value for (d, name), value in by_distance.items()}
        lost[sampling] = lost_share
    return Measured(
        name=path.stem,
        kbps=8 * sum(sizes) / 1000 / len(sizes) * info.fps,
        frames=len(intra),
        intra=float(np.mean(intra)),
        psnr={way: float(np.nanmean(values)) for way, values in psnr.items()},
        traced=traced,
        lost=lost,
    )


def decoded_luma(path: Path) -> Iterator[Plane]:
    """The luma samples of the decoded frames as they are, no range or colour converted."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.format.components[0].bits != 8:
                raise SystemExit(f"{path}: luma of 8 bits is measured, this is {frame.format.name}")
            plane = frame.planes[0]
            rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
            yield rows[:, : plane.width].astype(np.int32)


def db(first: NDArray[Any], second: NDArray[Any]) -> float:
    """PSNR of 8-bit samples."""
    return float(10 * np.log10(255**2 / np.mean((first - second.astype(np.float64)) ** 2)))


# ---- one step ----


def best_psnr(luma: Sequence[Plane], frame: FrameMotion, way: str, codec: str) -> float:
    """PSNR of a frame predicted in one of WAYS."""
    roundings = (0, 1) if codec == "mpeg4" and way.startswith("exact") else (0,)
    counted = np.ones(frame.size, bool)
    if way.endswith("alone"):
        counted = spread(frame, frame.pred_mode) > 0
        if not counted.any():
            return float("nan")
    decoded = luma[frame.index][counted]
    return max(db(decoded, predicted(luma, frame, way, codec, rounding)[counted]) for rounding in roundings)


def spread(frame: FrameMotion, cells: NDArray[Any]) -> NDArray[Any]:
    """Values of blocks at every pixel of the frame."""
    (top, left), (height, width) = frame.origin, frame.size
    return cells.repeat(CELL_PX, axis=0).repeat(CELL_PX, axis=1)[top : top + height, left : left + width]


def predicted(luma: Sequence[Plane], frame: FrameMotion, way: str, codec: str, rounding: int) -> NDArray[Any]:
    """A frame predicted from the decoded frames that its blocks name."""
    mv, frames_back = (spread(frame, cells).astype(np.int32) for cells in (frame.mv, frame.frames_back))
    if way == "no motion":
        mv = np.zeros_like(mv)
    elif way == "integer":
        mv = 4 * np.rint(mv / 4).astype(np.int32)
    elif way.endswith("flipped"):
        mv = -mv
    kernel = "bilinear" if way == "bilinear" else codec
    total = np.zeros(frame.size, np.float64)
    for in_list in (0, 1):
        for back in set(np.unique(frames_back[..., in_list]).tolist()) - {0}:
            here = frames_back[..., in_list] == back
            values = sampled(luma[frame.index - back], mv[:, :, in_list], here, kernel, rounding)
            total[here] += values
    count = (frames_back != 0).sum(axis=-1)
    total[count == 2] = np.floor((total[count == 2] + 1) / 2)
    return np.where(count == 0, luma[frame.index - 1], total)


def sampled(reference: Plane, mv: Plane, here: NDArray[np.bool_], kernel: str, rounding: int) -> NDArray[Any]:
    """The reference at p + mv / 4 of the pixels that are `here`, in row-major order."""
    height, width = reference.shape
    padded = np.pad(reference, MARGIN, mode="edge")
    y, x = np.nonzero(here)
    dx, dy = mv[here].T
    # beyond the margin's middle everything is the border, whatever the fraction
    column = np.clip(x + (dx >> 2), -MARGIN // 2, width - 1 + MARGIN // 2) + MARGIN
    row = np.clip(y + (dy >> 2), -MARGIN // 2, height - 1 + MARGIN // 2) + MARGIN
    phase = (dy & 3) * 4 + (dx & 3)
    values = np.empty(len(y))
    for each in np.unique(phase).tolist():
        plane = INTERPOLATE[kernel](padded, each % 4, each // 4, rounding)
        chosen = phase == each
        values[chosen] = plane[row[chosen], column[chosen]]
    return values


def shifted(plane: NDArray[Any], dx: int, dy: int) -> NDArray[Any]:
    """What is at (x + dx, y + dy), at (x, y); borders wrap, which the margin keeps out of use."""
    return np.roll(plane, (-dy, -dx), axis=(0, 1))


def filtered(plane: NDArray[Any], taps: Sequence[int], first: int, axis: int) -> NDArray[Any]:
    """The weighted sum of neighbours along an axis, the first of them `first` samples away."""
    steps = ((first + i, tap) for i, tap in enumerate(taps) if tap)
    return sum(tap * shifted(plane, *((step, 0) if axis == 1 else (0, step))) for step, tap in steps)


def bilinear(plane: Plane, fx: int, fy: int, _rounding: int) -> NDArray[Any]:
    """Not rounded."""
    upper, lower = (shifted(plane, 0, dy) * (4 - fx) + shifted(plane, 1, dy) * fx for dy in (0, 1))
    return (upper * (4 - fy) + lower * fy) / 16


def hevc(plane: Plane, fx: int, fy: int, _rounding: int) -> NDArray[Any]:
    """8.5.3.3.3.1 and the default weighting (8.5.3.3.4.2) of one prediction, 8 bits."""
    if not (fx or fy):
        return plane
    if not fy:
        high = filtered(plane, HEVC_TAPS[fx], -3, 1)
    elif not fx:
        high = filtered(plane, HEVC_TAPS[fy], -3, 0)
    else:
        high = filtered(filtered(plane, HEVC_TAPS[fx], -3, 1), HEVC_TAPS[fy], -3, 0) >> 6
    return np.clip((high + 32) >> 6, 0, 255)


def h264(plane: Plane, fx: int, fy: int, _rounding: int) -> NDArray[Any]:
    """8.4.2.2.1: half samples with 6 taps, quarter samples the mean of the two nearest of those."""

    def half(x: int, y: int) -> NDArray[Any]:
        """The sample at quarter position (x, y), both even, up to 4: the next whole sample."""
        base = shifted(plane, x // 4, y // 4)
        if x % 4 and y % 4:
            across = filtered(filtered(base, H264_TAPS, -2, 1), H264_TAPS, -2, 0)
            return np.clip((across + 512) >> 10, 0, 255)
        if x % 4 or y % 4:
            return np.clip((filtered(base, H264_TAPS, -2, 1 if x % 4 else 0) + 16) >> 5, 0, 255)
        return base

    if fx % 2 == 0 and fy % 2 == 0:
        return half(fx, fy)
    if fx % 2 and fy % 2:  # e, g, p, r: between the half sample of the nearer row and that of the nearer column
        return (half(2, 0 if fy == 1 else 4) + half(0 if fx == 1 else 4, 2) + 1) >> 1
    low, high = ((fx // 2 * 2, fy // 2 * 2), ((fx + 1) // 2 * 2, (fy + 1) // 2 * 2))
    return (half(*low) + half(*high) + 1) >> 1


def mpeg4(plane: Plane, fx: int, fy: int, rounding: int) -> NDArray[Any]:
    """7.6.2.1 of MPEG-4 Part 2: half samples, with rounding_control."""
    if fx and fy:
        corners = sum(shifted(plane, dx, dy) for dx in (0, 1) for dy in (0, 1))
        return (corners + 2 - rounding) >> 2
    return (plane + shifted(plane, int(fx > 0), int(fy > 0)) + 1 - rounding) >> 1 if fx or fy else plane


INTERPOLATE = {"bilinear": bilinear, "hevc": hevc, "h264": h264, "mpeg4": mpeg4}


# ---- traced to the I frame ----


def trace_psnr(path: Path, luma: Sequence[Plane], sampling: Sampling) -> tuple[dict[tuple[int, str], float], float]:
    """Mean PSNR by distance to the I frame, traced and without motion; the share of paths lost at the last one."""
    found: dict[tuple[int, str], list[float]] = defaultdict(list)
    lost: dict[int, list[float]] = defaultdict(list)
    key = 0
    for frame in islice(decode(path, motion_to_key=sampling), len(luma)):
        if frame.motion_to_key is None:
            key = frame.index
            continue
        distance = frame.index - key
        flow = 4 * frame.motion_to_key.flow_px
        everywhere = np.ones(frame.motion_to_key.frames_back.shape, bool)
        # vectors may end anywhere here; quarters are near enough
        along = sampled(luma[key], np.rint(flow).astype(np.int32), everywhere, "bilinear", 0)
        found[distance, sampling].append(db(luma[frame.index].ravel(), along))
        found[distance, "no motion"].append(db(luma[frame.index], luma[key]))
        lost[distance].append(float(np.mean(frame.motion_to_key.frames_back == 0)))
    last = max(lost)
    return {name: float(np.mean(values)) for name, values in found.items()}, float(np.mean(lost[last]))


if __name__ == "__main__":
    main()

"""`vssbench motion`: the vectors of a video as a file, as a picture, as a table."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
from PIL import Image

from vssbench.codec.block_motion import NEVER_SHOWN
from vssbench.codec.container import open_video
from vssbench.codec.decode import VideoInfo, probe
from vssbench.codec.motion_file import write_motion_file
from vssbench.codec.motion_overlay import SUFFIXES, draw_motion, write_overlay
from vssbench.codec.motion_summary import MotionSummary, TypeSummary
from vssbench.codec.vectors import FrameMotion, read_motion, read_motion_and_pixels
from vssbench.errors import BitstreamError, UsageError
from vssbench.progress import ProgressBar
from vssbench.records import Rgb

_REFERENCES_SHOWN = 4
_COLUMNS = ("type", "frames", "bytes/frame", "intra", "inter", "skipped", "two refs", "mean |mv|", "references")


def motion(options: argparse.Namespace) -> int:
    """Read the vectors, write what was asked for and print a summary; returns the exit code.

    Raises: BitstreamError, when the video cannot be read, or is damaged and `--keep-going` was not given;
        UsageError, when an output cannot be written or is there already.
    """
    video = Path(options.video)
    info = probe(video)
    _check_outputs(options, video)
    errors: list[BitstreamError] = []
    summary = MotionSummary()
    try:
        with ProgressBar(quiet=options.quiet) as bar:
            bar.begin("read vectors", count_pictures(video))
            frames = _watched(_frames(video, errors, keep_going=options.keep_going), summary, bar)
            if options.out:
                write_motion_file(frames, options.out, info=info, video=video.name, errors=errors)
                bar.say(f"{options.out}: the vectors of {summary.num_frames} frames")
            else:
                for _ in frames:
                    pass
            if summary.num_frames == 0 and errors:
                raise errors[0]
            if options.overlay:
                _overlay(options, video, info, summary.num_frames, bar)
            if options.png:
                _still(options, video, bar)
            for error in errors:
                bar.warn(str(error))
    except KeyboardInterrupt:
        print("interrupted; what was not finished is removed", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps(_as_json(video, info, summary, errors), indent=1))
    else:
        print(_as_text(video, info, summary))
        if errors:
            print(f"{len(errors)} errors: what they cost is left out")
    return 1 if errors else 0


def count_pictures(video: Path) -> int:
    """How many pictures a file announces, or holds where it announces none."""
    with open_video(video) as (container, stream):
        if stream.frames:
            return stream.frames
        if container.duration and stream.average_rate:
            return max(1, round(container.duration / av.time_base * float(stream.average_rate)))
        count = 0
        with suppress(av.FFmpegError, OSError):
            for packet in container.demux(stream):
                count += packet.size > 0
        return count


def _check_outputs(options: argparse.Namespace, video: Path) -> None:
    if (options.png is None) != (options.frame is None):
        raise UsageError("--png FILE and --frame N go together: which frame, and where its picture goes")
    named = [
        (flag, Path(name), suffixes)
        for flag, name, suffixes in (
            ("-o", options.out, (".npz",)),
            ("--overlay", options.overlay, SUFFIXES),
            ("--png", options.png, (".png",)),
        )
        if name
    ]
    for flag, path, suffixes in named:
        if path.suffix not in suffixes:
            raise UsageError(f"{flag} takes a file ending in {' or '.join(suffixes)}, got {path}")
        if path.exists() and path.samefile(video):
            raise UsageError(f"{flag} names the video itself; choose another name")
        if not path.parent.is_dir():
            raise UsageError(f"cannot write {path}: there is no folder {path.parent}")
        if path.is_dir() or (path.exists() and not options.force):
            raise UsageError(f"{path} is there already; choose another name, or give --force to write over it")


def _frames(video: Path, errors: list[BitstreamError], *, keep_going: bool) -> Iterator[FrameMotion]:
    if not keep_going:
        yield from read_motion(video)
        return
    try:
        yield from read_motion(video, damaged=errors)
    except BitstreamError as error:  # what cannot be read past: MPEG-4 and H.264, a file cut short
        errors.append(error)


def _watched(frames: Iterator[FrameMotion], summary: MotionSummary, bar: ProgressBar) -> Iterator[FrameMotion]:
    for frame in frames:
        summary.add(frame)
        bar.advance()
        yield frame


def _overlay(options: argparse.Namespace, video: Path, info: VideoInfo, num_frames: int, bar: ProgressBar) -> None:
    def drawable() -> Iterator[tuple[FrameMotion, Rgb]]:
        try:
            for each in read_motion_and_pixels(video):
                yield each
                bar.advance()
        except BitstreamError as error:
            if not options.keep_going:
                raise
            bar.warn(f"{options.overlay} ends before the first damage, for pixels cannot be decoded past it: {error}")

    bar.begin("draw", num_frames)
    drawn = write_overlay(drawable(), options.overlay, fps=info.fps, grid_px=options.grid, zoom=options.zoom)
    bar.say(f"{options.overlay}: {drawn} frames with their vectors")


def _still(options: argparse.Namespace, video: Path, bar: ProgressBar) -> None:
    for frame, rgb in read_motion_and_pixels(video):
        if frame.index == options.frame:
            drawn = Image.fromarray(draw_motion(rgb, frame, grid_px=options.grid, zoom=options.zoom))
            try:
                drawn.save(options.png)
            except OSError as error:
                Path(options.png).unlink(missing_ok=True)
                raise UsageError(f"cannot write {options.png}: {error}; choose another place") from error
            bar.say(f"{options.png}: frame {options.frame} with its vectors")
            return
    raise UsageError(f"{video} has no frame {options.frame}; the first is 0, the last {frame.index}")


def _as_text(video: Path, info: VideoInfo, summary: MotionSummary) -> str:
    height, width = info.size
    head = f"{video.name}: {info.codec}, {height}x{width} (height x width), {summary.num_frames} frames"
    if not math.isnan(info.fps):
        kbps = summary.size_bytes * 8 / 1000 * info.fps / max(1, summary.num_frames)
        head += f", {info.fps:.5g} fps, {kbps:.0f} kbps"
    rows = [_COLUMNS, *(_row(kind, each, info.codec) for kind, each in summary.by_type.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    notes = [
        "shares are of the area shown; inter counts blocks that are not skipped; references are vectors by how many "
        "frames earlier (- later) their source is shown"
    ]
    if info.codec != "hevc":
        notes.append(f"of {info.codec} FFmpeg does not tell which blocks are skipped; they count as inter")
    return "\n".join([head, "", *lines, "", *notes])


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *middle, last = (f"{text:>{width}}" for text, width in zip(row, widths, strict=True))
    return [first.strip().ljust(widths[0]), *middle, last.strip()]


def _row(kind: str, each: TypeSummary, codec: str) -> tuple[str, ...]:
    def share(count: int) -> str:
        return f"{100 * count / each.blocks:.1f} %"

    total = each.references.total()
    listed = [f"{_distance(back)}: {100 * n / total:.1f} %" for back, n in each.references.most_common()]
    more = ["..."] if len(listed) > _REFERENCES_SHOWN else []
    return (
        kind,
        str(each.frames),
        f"{each.size_bytes / each.frames:.0f}",
        share(each.intra),
        share(each.blocks - each.intra - each.skipped),
        share(each.skipped) if codec == "hevc" else "-",
        share(each.of_two),
        f"{each.mean_length_px:.2f} px" if each.references else "-",
        ", ".join(listed[:_REFERENCES_SHOWN] + more) or "-",
    )


def _distance(frames_back: int) -> str:
    return "never shown" if frames_back == NEVER_SHOWN else str(frames_back)


def _as_json(video: Path, info: VideoInfo, summary: MotionSummary, errors: Sequence[BitstreamError]) -> dict[str, Any]:
    types = {
        kind: {
            "frames": each.frames,
            "size_bytes": each.size_bytes,
            "intra": each.intra / each.blocks,
            "inter": (each.blocks - each.intra - each.skipped) / each.blocks,
            "skipped": each.skipped / each.blocks if info.codec == "hevc" else None,
            "two_references": each.of_two / each.blocks,
            "mean_length_px": each.mean_length_px if each.references else None,
            "references": {_distance(back): n / each.references.total() for back, n in each.references.most_common()},
        }
        for kind, each in summary.by_type.items()
    }
    return {
        "video": video.name,
        "codec": info.codec,
        "height": info.size[0],
        "width": info.size[1],
        "fps": None if math.isnan(info.fps) else info.fps,
        "frames": summary.num_frames,
        "size_bytes": summary.size_bytes,
        "types": types,
        "errors": [str(error) for error in errors],
    }

"""A video file as source frames: counted by decoding, read from any frame on by seeking."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import av.container
import av.error
import av.video.frame
import numpy as np

from vssbench.datasets.frame_files import require_range
from vssbench.errors import DatasetError
from vssbench.records import Rgb

VIDEO_SUFFIXES = frozenset(
    {
        ".mp4",
        ".mkv",
        ".avi",
        ".mov",
        ".mxf",
        ".m4v",
        ".mpg",
        ".webm",
        ".ts",
        ".h264",
        ".h265",
        ".264",
        ".265",
        ".hevc",
    }
)


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoIndex:
    """What decoding the whole file found.

    Args:
        num_frames: frames that came out, in display order.
        size: (height, width) of all of them.
        fps: the stream's average rate, frames per second; None where the file does not say.
        pts: the presentation times in display order, in the stream's time base; None where a frame has none
            or they do not increase, so that the file can be read from its start only.
        key_frames: the positions of the frames that decoding can start at.
        promised_frames: the number the header states, 0 if it does not; never trusted for the count.
    """

    num_frames: int
    size: tuple[int, int]
    fps: float | None
    pts: tuple[int, ...] | None
    key_frames: tuple[int, ...]
    promised_frames: int


def video_index(path: Path) -> VideoIndex:
    """Decode the whole file once to count its frames (containers misstate it); kept until the file changes.

    Raises: DatasetError, when the file is missing, is no video, has no frames, is damaged or truncated,
        or changes size.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise DatasetError(f"video missing: {path}; restore it, or correct the path") from error
    return _index(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _index(path: Path, size_bytes: int, mtime_ns: int) -> VideoIndex:  # noqa: ARG001 - keys of the cache
    times: list[int | None] = []
    keys: list[int] = []
    sizes: set[tuple[int, int]] = set()
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate, time_base = stream.average_rate, stream.time_base
        promised, promised_s = stream.frames, _promised_s(container)
        for frame in _decoded(path, container):
            if frame.is_corrupt:
                raise DatasetError(f"video damaged: {path}: frame {len(times)} is corrupt; get an undamaged copy")
            if frame.key_frame:
                keys.append(len(times))
            times.append(frame.pts)
            sizes.add((frame.height, frame.width))
    if not times:
        raise DatasetError(f"video without frames: {path}: nothing in it could be decoded; get an undamaged copy")
    shown_s = _shown_s(times, time_base, rate)
    if promised_s and shown_s and shown_s < 0.99 * promised_s - 2 * shown_s / len(times):
        raise DatasetError(
            f"video truncated: {path}: its header states {promised_s:.2f} s, decoding ends after "
            f"{shown_s:.2f} s ({len(times)} frames); get a whole copy, or remux it if it was cut on purpose"
        )
    if len(sizes) > 1:
        raise DatasetError(f"video of changing size: {path}: {sorted(sizes)} (height, width); cut it where it changes")
    known = [time for time in times if time is not None]
    in_order = len(known) == len(times) and all(a < b for a, b in itertools.pairwise(known))
    return VideoIndex(
        num_frames=len(times),
        size=sizes.pop(),
        fps=float(rate) if rate else None,
        pts=tuple(known) if in_order else None,
        key_frames=tuple(keys),
        promised_frames=promised,
    )


def _promised_s(container: av.container.InputContainer) -> float | None:
    """How long the file says that its video is; None where it does not say."""
    stream = container.streams.video[0]
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is None or len(container.streams) > 1:  # other streams may be longer than the video
        return None
    return container.duration / av.time_base


def _shown_s(times: Sequence[int | None], time_base: Fraction | None, rate: Fraction | None) -> float | None:
    """How long the decoded frames last; None where the file has no times or no rate."""
    known = [time for time in times if time is not None]
    if len(known) < len(times) or not time_base or not rate:
        return None
    return float((max(known) - min(known)) * time_base + 1 / rate)


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoFile:
    """The frames of a video file."""

    path: Path

    def read(self, start: int, stop: int) -> Iterator[Rgb]:
        """The frames start..stop-1 as decoded, each (H, W, 3) uint8.

        Raises: DatasetError, when the range goes past the video, or the file cannot be decoded.
        """
        index = video_index(self.path)
        require_range(self.path, start, stop, index.num_frames)
        return self._frames(index, start, stop)

    def _frames(self, index: VideoIndex, start: int, stop: int) -> Iterator[Rgb]:
        position = start
        if index.pts is not None:
            # A seek may land behind its target, or on frames that lean on what was skipped. So start a key
            # frame early, believe the times only, and fall back on the beginning where there is a hole.
            for rgb, pts in self._sought(index, start):
                if position == stop or pts != index.pts[position]:
                    break
                yield rgb
                position += 1
        if position < stop:
            yield from self._from_beginning(position, stop)

    def _sought(self, index: VideoIndex, start: int) -> Iterator[tuple[Rgb, int]]:
        pts = index.pts or ()
        earlier = [key for key in index.key_frames if key <= start][-2:]
        if len(earlier) < 2:
            return
        with _opened(self.path) as container:
            try:
                container.seek(pts[earlier[0]], stream=container.streams.video[0], backward=True, any_frame=False)
            except av.error.FFmpegError:
                return  # a container that cannot seek is read from its beginning
            frames = _decoded(self.path, container)
            while (frame := _next_or_none(frames)) is not None and frame.pts is not None:
                if frame.pts >= pts[start]:
                    if frame.is_corrupt:
                        return
                    yield _rgb(frame), frame.pts

    def _from_beginning(self, start: int, stop: int) -> Iterator[Rgb]:
        with _opened(self.path) as container:
            for position, frame in enumerate(_decoded(self.path, container)):
                if position >= stop:
                    return
                if position >= start:
                    yield _rgb(frame)


@contextmanager
def _opened(path: Path) -> Iterator[av.container.InputContainer]:
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise DatasetError(f"video unreadable: {path}: {error}; get an undamaged copy") from error
    with container:
        if not container.streams.video:
            raise DatasetError(f"no video stream in {path}; give a video file")
        yield container


def _decoded(path: Path, container: av.container.InputContainer) -> Iterator[av.video.frame.VideoFrame]:
    try:
        yield from container.decode(video=0)
    except av.error.FFmpegError as error:
        raise DatasetError(f"video damaged: {path}: decoding broke off: {error}; get an undamaged copy") from error


def _next_or_none(frames: Iterator[av.video.frame.VideoFrame]) -> av.video.frame.VideoFrame | None:
    """The next frame after a seek; None at the end, and where decoding from the middle fails."""
    try:
        return next(frames, None)
    except DatasetError:
        return None


def _rgb(frame: av.video.frame.VideoFrame) -> Rgb:
    rgb: Rgb = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
    return rgb

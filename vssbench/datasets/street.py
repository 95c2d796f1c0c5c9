"""The embedded data set: drives down procedural streets, densely labelled in CamVid's 11 classes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vssbench.datasets.classes import CAMVID_CLASSES, CAMVID_PALETTE
from vssbench.datasets.scenery.drive import Drive
from vssbench.datasets.scenery.world import GENERATOR_VERSION
from vssbench.errors import DatasetError
from vssbench.records import LabelMap, Rgb, SourceVideo

FIRST_SEED = {"train": 0, "val": 1_000_000, "test": 2_000_000}  # a split has fewer videos than the gap
FRAMES_PER_VIDEO: Mapping[str, int] = {"train": 36, "val": 36, "test": 16}  # test: a main job of minutes, not hours
NUM_VIDEOS: Mapping[str, int] = {"train": 64, "val": 4, "test": 4}
_WORLDS_KEPT = 2  # about 15 MB each
_FRAMES_KEPT = 48  # 0.7 MB each at 360x480
_SMALLEST = 16  # pixels; below it nothing can be made out

_Key = tuple[int, int]  # seed, frame index


class _Renderer:
    """Renders frames of any drive of one size and length, and keeps the last few of both."""

    def __init__(self, *, size: tuple[int, int], fps: float, num_frames: int) -> None:
        self._size, self._fps, self._num_frames = size, fps, num_frames
        self._drives: OrderedDict[int, Drive] = OrderedDict()
        self._frames: OrderedDict[_Key, tuple[Rgb, LabelMap]] = OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        """Leave the kept frames behind when a video is sent to another process."""
        return {**self.__dict__, "_drives": OrderedDict(), "_frames": OrderedDict()}

    def frame(self, seed: int, index: int) -> tuple[Rgb, LabelMap]:
        key = (seed, index)
        if key not in self._frames:
            self._frames[key] = self._drive(seed).render(index)
            if len(self._frames) > _FRAMES_KEPT:
                self._frames.popitem(last=False)
        self._frames.move_to_end(key)
        return self._frames[key]

    def _drive(self, seed: int) -> Drive:
        if seed not in self._drives:
            self._drives[seed] = Drive(seed=seed, size=self._size, fps=self._fps, num_frames=self._num_frames)
            if len(self._drives) > _WORLDS_KEPT:
                self._drives.popitem(last=False)
        self._drives.move_to_end(seed)
        return self._drives[seed]


class _Labels(Mapping[int, LabelMap]):
    """Frame index -> (H, W) uint8, for every frame; drawn when asked for."""

    def __init__(self, renderer: _Renderer, seed: int, num_frames: int) -> None:
        self._renderer, self._seed, self._num_frames = renderer, seed, num_frames

    def __getitem__(self, index: int) -> LabelMap:
        if index not in range(self._num_frames):
            raise KeyError(index)
        return self._renderer.frame(self._seed, index)[1].copy()

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._num_frames))

    def __len__(self) -> int:
        return self._num_frames


class _Reader:
    """(start, stop) -> frames; a class, not a closure, so that a video can be sent to another process."""

    def __init__(self, renderer: _Renderer, seed: int, num_frames: int) -> None:
        self._renderer, self._seed, self._num_frames = renderer, seed, num_frames

    def __call__(self, start: int, stop: int) -> Iterator[Rgb]:
        if not 0 <= start <= stop <= self._num_frames:
            raise DatasetError(f"frames {start}..{stop} asked of a street video of {self._num_frames} frames")
        return (self._renderer.frame(self._seed, index)[0].copy() for index in range(start, stop))


class Street:
    """Drives down procedural streets, the same on every machine, every frame labelled.

    Args:
        size: (height, width) of the frames; any from 16 pixels on, odd ones too.
        fps: frames per second; the speed of things is in metres per second.
        num_videos: split -> number of videos; None for NUM_VIDEOS. Splits never share a seed.
        frames_per_video: length of each video; None for FRAMES_PER_VIDEO, by split.

    Raises: DatasetError, for a split, number or size that cannot be.
    """

    name = "street"
    class_names: Sequence[str] = CAMVID_CLASSES
    palette: NDArray[np.uint8] = CAMVID_PALETTE

    def __init__(
        self,
        *,
        size: tuple[int, int] = (360, 480),
        fps: float = 15.0,
        num_videos: Mapping[str, int] | None = None,
        frames_per_video: int | None = None,
    ) -> None:
        self._num_videos = dict(NUM_VIDEOS if num_videos is None else num_videos)
        unknown = set(self._num_videos) - set(FIRST_SEED)
        if unknown:
            raise DatasetError(f"street has the splits {list(FIRST_SEED)}, not {sorted(unknown)}")
        if any(not 0 <= count <= 1_000_000 for count in self._num_videos.values()):
            raise DatasetError(f"a split of street holds 0 to 1,000,000 videos, not {self._num_videos}")
        if min(size) < _SMALLEST or fps <= 0 or (frames_per_video is not None and frames_per_video < 1):
            raise DatasetError(
                f"street needs a size of {_SMALLEST} pixels or more, fps > 0 and a frame or more, "
                f"got {size = }, {fps = }, {frames_per_video = }"
            )
        self._size, self._fps = (int(size[0]), int(size[1])), float(fps)
        self._lengths = {split: frames_per_video or length for split, length in FRAMES_PER_VIDEO.items()}
        self._renderers = {
            length: _Renderer(size=self._size, fps=self._fps, num_frames=length) for length in self._lengths.values()
        }

    def splits(self) -> Sequence[str]:
        """The splits that have videos, "train" first."""
        return [split for split in FIRST_SEED if self._num_videos.get(split, 0) > 0]

    def videos(self, split: str) -> list[SourceVideo]:
        """The videos of a split, in the order of their seeds.

        Raises: DatasetError, when there is no such split.
        """
        if split not in self.splits():
            raise DatasetError(f"street has no split {split!r}; it has {', '.join(self.splits())}")
        first = FIRST_SEED[split]
        return [self._video(split, first + i) for i in range(self._num_videos[split])]

    def _video(self, split: str, seed: int) -> SourceVideo:
        height, width = self._size
        length = self._lengths[split]
        renderer = self._renderers[length]
        return SourceVideo(
            name=f"{split}_{seed - FIRST_SEED[split]:04d}",
            num_frames=length,
            size=self._size,
            fps=self._fps,
            read=_Reader(renderer, seed, length),
            labels=_Labels(renderer, seed, length),
            content_key=f"street-v{GENERATOR_VERSION}-seed{seed}-{height}x{width}-{self._fps:g}fps-{length}frames",
        )

"""Labelled frames as training samples, from any data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from vssbench.errors import DatasetError
from vssbench.records import LabelMap, Rgb, SourceVideo
from vssbench.training.augment import Sample


def image_tensor(rgb: Rgb) -> torch.Tensor:
    """(H, W, 3) uint8 -> (3, H, W) float32 in 0..1."""
    return torch.tensor(np.ascontiguousarray(rgb)).permute(2, 0, 1).float() / 255  # a copy: rgb may be read-only


class LabelledFrames:
    """The annotated frames of uncompressed videos, held in memory as bytes.

    Args:
        videos: of a training split.
        every: take each `every`-th annotated frame of a video (dense labels repeat themselves).

    Raises: DatasetError, when there is no annotated frame.
    """

    def __init__(self, videos: Sequence[SourceVideo], *, every: int = 1) -> None:
        self._frames: list[tuple[Rgb, LabelMap]] = []
        for video in videos:
            for index in sorted(video.labels)[::every]:
                rgb = next(iter(video.read(index, index + 1)))
                self._frames.append((rgb, video.labels[index]))
        if not self._frames:
            raise DatasetError("the training split has no annotated frame; check it with `vssbench data verify`")

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        """The frame as (1, 3, H, W) and its label."""
        rgb, label = self._frames[index]
        return Sample(images=image_tensor(rgb)[None], label=torch.from_numpy(label.astype(np.int64)))

    def class_shares(self, num_classes: int) -> NDArray[np.float64]:
        """(K,) share of each class among the labelled pixels."""
        counts = sum(np.bincount(label.ravel(), minlength=256)[:num_classes] for _, label in self._frames)
        return np.asarray(counts, np.float64) / max(1, np.sum(counts))


class LabelledClips:
    """Runs of consecutive annotated frames of uncompressed videos, held in memory as bytes.

    Args:
        videos: of a training split.
        length: frames of a clip, T.
        every: at least this many frames from the start of one clip to the next of the same video.
        progress: called after each video.

    Raises: DatasetError, when there is no such run.
    """

    def __init__(
        self,
        videos: Sequence[SourceVideo],
        *,
        length: int,
        every: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._clips: list[tuple[list[Rgb], list[LabelMap]]] = []
        for number, video in enumerate(videos):
            last = -every
            for start in sorted(video.labels):
                wanted = range(start, start + length)
                if start - last >= every and all(index in video.labels for index in wanted):
                    frames = list(video.read(start, start + length))
                    self._clips.append((frames, [video.labels[index] for index in wanted]))
                    last = start
            if progress is not None:
                progress(number + 1, len(videos))
        if not self._clips:
            raise DatasetError(
                f"the training split has no {length} annotated frames in a row; train on a densely labelled video, or "
                "on stills with simulated camera motion whose every view is labelled (camvid-stills-dense)"
            )

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> Sample:
        """The frames as (T, 3, H, W) and their labels (T, H, W), the key frame first."""
        frames, labels = self._clips[index]
        return Sample(
            images=torch.stack([image_tensor(rgb) for rgb in frames]),
            label=torch.from_numpy(np.stack(labels).astype(np.int64)),
        )

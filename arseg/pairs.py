"""Training pairs (key frame, labelled frame, true motion between them) from encoded videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from vssbench.codec.cache import EncodeCache
from vssbench.codec.encode import EncodeSettings
from vssbench.datasets.clips import Cut, SideInformation, encoded, frames_of
from vssbench.errors import DatasetError
from vssbench.records import LabelMap, Rgb, SourceVideo
from vssbench.training.augment import Sample
from vssbench.training.samples import image_tensor

Progress = Callable[[int, int], None]  # (videos done, videos in all)


class KeyFramePairs:
    """Pairs (i, p), p annotated and i = p - (L - 1) its key frame (AR-Seg, sec. 4.1), held in memory as bytes.

    Pictures are those of the uncompressed source, motion that of the encoded stream, as the paper trains
    (supplement A3.2: high-bit-rate frames, low-bit-rate vectors).

    Args:
        videos: of a training split.
        settings: of the encoder; L is its GOP length.
        cache: of encoded streams.
        every: at least this many frames between two annotated frames of one video.
        progress: called after each video.

    Raises: DatasetError, when no annotated frame has L - 1 frames before it.
    """

    def __init__(
        self,
        videos: Sequence[SourceVideo],
        *,
        settings: EncodeSettings,
        cache: EncodeCache,
        every: int = 6,
        progress: Progress | None = None,
    ) -> None:
        self._pairs: list[tuple[Rgb, Rgb, LabelMap, NDArray[np.float16]]] = []
        distance = settings.gop_length - 1
        for number, video in enumerate(videos):
            last = -every
            for annotated in sorted(video.labels):
                if annotated >= distance and annotated - last >= every:
                    self._pairs.append(_pair(video, annotated, settings, cache))
                    last = annotated
            if progress is not None:
                progress(number + 1, len(videos))
        if not self._pairs:
            raise DatasetError(
                f"no annotated training frame has {distance} frames before it; train on videos, or on stills "
                "with simulated camera motion, at least as long as the GOP"
            )

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Sample:
        """Key frame and labelled frame as (2, 3, H, W), the label and the motion back to the key frame."""
        key, frame, label, flow = self._pairs[index]
        return Sample(
            images=torch.stack([image_tensor(key), image_tensor(frame)]),
            label=torch.from_numpy(label.astype(np.int64)),
            flow_px=torch.from_numpy(flow.astype(np.float32)),
        )


def _pair(
    video: SourceVideo, annotated: int, settings: EncodeSettings, cache: EncodeCache
) -> tuple[Rgb, Rgb, LabelMap, NDArray[np.float16]]:
    """One pair; traced vectors are whole or quarter pixels, which half precision holds up to 512 px."""
    distance = settings.gop_length - 1
    cut = Cut(start=annotated - distance, stop=annotated + 1, tested={annotated: distance})
    decoded = list(frames_of(encoded(video, cut, settings, cache), SideInformation(trace="integer")))
    motion = decoded[-1].motion_to_key
    if motion is None:  # the encoder is asked for I P P P ...; anything else it reports itself
        raise DatasetError(f"{video.name}, frame {annotated}: the encoded frame has no vectors to its key frame")
    key, frame = (next(iter(video.read(i, i + 1))) for i in (cut.start, annotated))
    return key, frame, video.labels[annotated], motion.flow_px.astype(np.float16)

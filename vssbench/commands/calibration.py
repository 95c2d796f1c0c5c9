"""The training clips that methods set their thresholds on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from vssbench.codec.cache import EncodeCache
from vssbench.datasets.clips import Cut, SideInformation, encoded, frames_of
from vssbench.records import CompressedFrame, Dataset, SourceVideo
from vssbench.runner.run import Setting, content_sha256

MOST_VIDEOS = 8


class TrainingClips:
    """Some training videos, encoded as the test is; where a data set has none, the tested ones without their labels.

    Args:
        dataset: whose "train" split is taken.
        setting: of the run.
        streams: cache of encoded streams.
    """

    def __init__(self, dataset: Dataset, setting: Setting, streams: EncodeCache) -> None:
        self._dataset, self._setting, self._streams = dataset, setting, streams

    def frames(self, needs: Iterable[str]) -> Iterator[CompressedFrame]:
        """Decoded frames with the side information asked for, clip after clip."""
        setting = self._setting
        side = SideInformation.for_needs(needs, trace=setting.trace, compensation=setting.compensation)
        for video in self._videos():
            whole = Cut(start=0, stop=video.num_frames, tested={})
            yield from frames_of(encoded(video, whole, setting.encoding, self._streams), side)

    @property
    def source(self) -> Mapping[str, object]:
        """What the clips are, for the record: their split, how many videos, and what identifies their content."""
        split = "train" if self._has_training else self._setting.split
        videos = self._videos()
        return {"split": split, "videos": len(videos), "content_sha256": content_sha256(videos)}

    @property
    def _has_training(self) -> bool:
        return "train" in self._dataset.splits()

    def _videos(self) -> Sequence[SourceVideo]:
        if self._has_training:
            return list(islice(self._dataset.videos("train"), MOST_VIDEOS))
        return self._setting.videos[:MOST_VIDEOS]

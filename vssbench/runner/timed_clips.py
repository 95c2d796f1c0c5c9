"""What the methods of a run are timed on: stretches of two GOPs in memory, and how long decoding them takes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from vssbench.datasets.clips import Cut, SideInformation, encoded, frames_of
from vssbench.latency.passes import seconds_in_turns
from vssbench.records import CompressedFrame, SourceVideo
from vssbench.runner.run import Run

MOST_CLIPS = 8  # timed in search of a rare kind of step
DECODE_TURNS = 9  # over the first clip, for the decoder's own time with and without side information

DecodeSeconds = list[list[float]]  # (passes, frames)


class TimedClips:
    """Stretches of two GOPs: the first of every video, then the second of every video, and so on.

    Args:
        run: whose videos, and whose methods decide which side information is decoded.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._spans = _spans(run)
        self._frames: dict[int, list[CompressedFrame]] = {}
        self._decode_s: dict[SideInformation, DecodeSeconds] = {}

    def __len__(self) -> int:
        """How many stretches there are."""
        return len(self._spans)

    def frames(self, number: int) -> list[CompressedFrame]:
        """The frames of a stretch with all side information that any method needs; the first and the last few stay."""
        if number not in self._frames:
            side = self._run.side_information(self._run.active)
            self._frames[number] = list(frames_of(self._stream(number), side))
            for old in sorted(self._frames)[1:-2]:
                del self._frames[old]
        return self._frames[number]

    def _stream(self, number: int) -> Path:
        video, start, stop = self._spans[number]
        return encoded(video, Cut(start=start, stop=stop, tested={}), self._run.setting.encoding, self._run.cache)

    def decode_seconds(self, side: SideInformation) -> DecodeSeconds:
        """The decoder's time for each frame of the first stretch with this side information.

        All sets of side information that the methods need are timed in the same turns, and so is decoding without any.
        """
        if side not in self._decode_s:
            wanted = [SideInformation(), side, *(self._run.side_information([entry]) for entry in self._run.active)]
            path = self._stream(0)  # found, and its hash checked, before the clock starts
            ways = {way: partial(frames_of, path, way) for way in wanted}
            self._decode_s = seconds_in_turns(ways, turns=DECODE_TURNS)
        return self._decode_s[side]


def _spans(run: Run) -> list[tuple[SourceVideo, int, int]]:
    """(video, start, stop) of every stretch."""
    length = 2 * run.setting.encoding.gop_length
    spans = [
        (start, number, video)
        for number, video in enumerate(run.setting.videos)
        for start in range(0, max(1, video.num_frames - length + 1), length)
    ]
    in_turn = sorted(spans, key=lambda span: span[:2])
    return [(video, start, min(video.num_frames, start + length)) for start, _, video in in_turn[:MOST_CLIPS]]

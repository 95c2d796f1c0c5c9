"""What the methods of a run are timed on: stretches of whole GOPs in memory, and how long decoding them takes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from vssbench.datasets.clips import Cut, SideInformation, encoded, frames_of
from vssbench.latency.passes import seconds_in_turns
from vssbench.records import CompressedFrame, SourceVideo
from vssbench.runner.run import Run

GOPS = 2  # of a stretch, where the video has them
MOST_CLIPS = 8  # timed in search of a rare kind of step
DECODE_TURNS = 9  # over the first clip, for the decoder's own time with and without side information

DecodeSeconds = list[list[float]]  # (passes, frames)


class TimedClips:
    """Stretches of two whole GOPs, or one: the first of every video, then the second of every video, and so on.

    All distances to the key frame are so timed equally often. A video shorter than a GOP comes last, with what it has.

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
        """The frames of a stretch with all side information that any method needs."""
        return self._decoded(number)[: self.num_frames(number)]

    def frames_to_next_key(self, number: int) -> list[CompressedFrame]:
        """Its first GOP and the I frame after that, where the video has one: there a method replaces its state."""
        return self._decoded(number)[: self._run.setting.encoding.gop_length + 1]

    def num_frames(self, number: int) -> int:
        """Of a stretch: whole GOPs, or all of a video shorter than one."""
        _video, start, stop = self._spans[number]
        return whole(stop - start, self._run.setting.encoding.gop_length)

    def where(self, number: int) -> dict[str, str | int]:
        """The video of a stretch, and its frames there: start..stop-1."""
        video, start, _stop = self._spans[number]
        return {"video": video.name, "start": start, "stop": start + self.num_frames(number)}

    def _decoded(self, number: int) -> list[CompressedFrame]:
        """All frames of the stream of a stretch; those of the first and the last few stay in memory."""
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
        """(passes, frames) the decoder's time for each frame of the first stretch with this side information.

        All sets of side information that the methods need are timed in the same turns, and so is decoding without any.
        """
        if side not in self._decode_s:
            wanted = [SideInformation(), side, *(self._run.side_information([entry]) for entry in self._run.active)]
            path = self._stream(0)  # found, and its hash checked, before the clock starts
            ways = {way: partial(self._decode, path, way) for way in wanted}
            self._decode_s = seconds_in_turns(ways, turns=DECODE_TURNS)
        return self._decode_s[side]

    def _decode(self, path: Path, side: SideInformation) -> Iterator[CompressedFrame]:
        return islice(frames_of(path, side), self.num_frames(0))


def whole(num_frames: int, gop_length: int) -> int:
    """The most of these frames that are whole GOPs; all of them where there are fewer than one GOP."""
    return num_frames // gop_length * gop_length or num_frames


def _spans(run: Run) -> list[tuple[SourceVideo, int, int]]:
    """(video, start, stop) of every stream that holds a stretch, with what the video has of the last GOP."""
    gop_length = run.setting.encoding.gop_length
    spans = [
        (video.num_frames < gop_length, start, number, video)
        for number, video in enumerate(run.setting.videos)
        for start in range(0, max(1, video.num_frames - gop_length + 1), GOPS * gop_length)
    ]
    in_turn = sorted(spans, key=lambda span: span[:3])
    return [
        (video, start, min(video.num_frames, start + GOPS * gop_length)) for _, start, _, video in in_turn[:MOST_CLIPS]
    ]

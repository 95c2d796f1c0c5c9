"""Which frames a frame's vectors point into: pictures in display order -> frames, each after those it refers to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vssbench.codec.block_motion import NEVER_SHOWN, BlockMotion
from vssbench.codec.ffmpeg_vectors import block_motion
from vssbench.codec.hevc.picture_buffer import CodedPicture
from vssbench.codec.hevc.picture_motion import PictureMotion
from vssbench.codec.pictures import Picture
from vssbench.errors import BitstreamError

Item = TypeVar("Item")
NO_KEY = -1
LONGEST_DISTANCE_FRAMES = int(np.iinfo(np.int16).max)  # what frames_back can hold


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferringPicture:
    """A picture whose vectors are understood.

    Args:
        picture: the picture.
        key_index: display index of the last I frame up to it, itself included; NO_KEY where none was shown before.
        blocks: its vectors; None on an I frame, and on one that is damaged.
        references: display indices of the frames that it may refer to.
        kept: display indices of the frames, itself included, that later ones in this order may refer to.
    """

    picture: Picture
    key_index: int
    blocks: BlockMotion | None
    references: frozenset[int]
    kept: frozenset[int]


def referring_pictures(pictures: Iterable[Picture]) -> Iterator[ReferringPicture]:
    """Pictures with vectors in display order -> the same, each after the frames that it refers to.

    Raises: BitstreamError, naming the frame, when a vector points into a frame that is too far away, or that FFmpeg
        leaves open.
    """
    iterator = iter(pictures)
    first = next(iterator, None)
    if first is None:
        return
    link = _HevcLink() if first.coded is not None else _NeighbourLink()
    yield from link.add(first)
    for picture in iterator:
        yield from link.add(picture)
    yield from link.finish()


class _NeighbourLink:
    """MPEG-4 and H.264: FFmpeg tells "earlier" from "later" alone; the reference is the neighbouring one.

    MPEG-4 Part 2 knows no other. Of H.264 the slice headers say whether it is so; everything else is refused.
    """

    def __init__(self) -> None:
        self._past: Picture | None = None
        self._past_key = 0
        self._waiting: list[Picture] = []  # B frames, for the reference frame shown after them

    def add(self, picture: Picture) -> Iterator[ReferringPicture]:
        if not picture.is_reference:
            self._waiting.append(picture)
            return
        past, past_key = self._past, self._past_key
        key = picture.index if picture.frame_type == "I" else past_key
        self._past, self._past_key = picture, key
        yield self._refer(picture, past=past, future=None, key=key)
        for earlier in self._waiting:
            yield self._refer(earlier, past=past, future=picture, key=past_key)
        self._waiting.clear()

    def finish(self) -> Iterator[ReferringPicture]:
        for earlier in self._waiting:
            yield self._refer(earlier, past=self._past, future=None, key=self._past_key)

    def _refer(self, picture: Picture, *, past: Picture | None, future: Picture | None, key: int) -> ReferringPicture:
        kept = frozenset(each.index for each in (past, future, self._past) if each is not None)
        if picture.frame_type == "I" or past is None:  # the first picture is an I picture: Pictures sees to it
            return ReferringPicture(picture=picture, key_index=key, blocks=None, references=frozenset(), kept=kept)
        if future is not None and (picture.frame_type == "P" or future.packet.order > picture.packet.order):
            future = None
        references = [past] if future is None else [past, future]
        for reference in references:
            _require_near(picture.index, reference.index)
        said = picture.packet.references
        if said is not None and said.previous_reference != references[-1].packet.order:
            raise BitstreamError(
                f"frame {picture.index}: a reference is not the neighbour in display order; "
                "FFmpeg does not export which frame it is"
            )
        try:
            blocks = block_motion(
                picture.vectors,
                picture.size,
                past_distance_frames=picture.index - past.index,
                future_distance_frames=future.index - picture.index if future else None,
            )
        except BitstreamError as error:
            raise BitstreamError(f"frame {picture.index}: {error}") from error
        return ReferringPicture(
            picture=picture,
            key_index=key,
            blocks=blocks,
            references=frozenset(reference.index for reference in references),
            kept=kept,
        )


class _HevcLink:
    """HEVC: every block names its reference by picture order count."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], Picture] = {}  # by sequence and POC, those that may still be referred to
        self._waiting: list[tuple[Picture, int]] = []  # with the key frame of each
        self._done_orders: set[int] = set()  # places in decoding order of those that were given out
        self._key = NO_KEY
        self._sequence = 0

    def add(self, picture: Picture) -> Iterator[ReferringPicture]:
        coded = _coded(picture)
        if coded.sequence != self._sequence:
            yield from self._end_sequence()
            self._sequence = coded.sequence
        self._known[coded.sequence, coded.poc] = picture
        if picture.frame_type == "I":
            self._key = picture.index
        self._waiting.append((picture, self._key))
        yield from self._give_out(everything_came=False)

    def finish(self) -> Iterator[ReferringPicture]:
        yield from self._end_sequence()

    def _end_sequence(self) -> Iterator[ReferringPicture]:
        """Sequences are shown one after the other: what has not come by now is never shown."""
        yield from self._give_out(everything_came=True)
        self._known.clear()
        self._done_orders.clear()

    def _give_out(self, *, everything_came: bool) -> Iterator[ReferringPicture]:
        progress = True
        while progress:
            progress = False
            for entry in list(self._waiting):
                references = self._references(entry[0], everything_came=everything_came)
                if references is not None:
                    self._waiting.remove(entry)
                    yield self._refer(*entry, references)
                    progress = True

    def _references(self, picture: Picture, *, everything_came: bool) -> dict[int, int] | None:
        """Display index of every reference that is shown, by POC; None while one is not given out yet."""
        coded = _coded(picture)
        indices: dict[int, int] = {}
        for poc, is_shown in coded.motion.references.items() if coded.motion else ():
            reference = self._known.get((coded.sequence, poc))
            if reference is None:
                if is_shown and not everything_came:
                    return None
            elif _coded(reference).order not in self._done_orders:
                return None
            else:
                indices[poc] = reference.index
        return indices

    def _refer(self, picture: Picture, key: int, indices: dict[int, int]) -> ReferringPicture:
        coded = _coded(picture)
        self._done_orders.add(coded.order)
        self._forget(coded)
        blocks = None
        motion: PictureMotion | None = coded.motion
        if picture.frame_type != "I" and motion is not None:
            blocks = BlockMotion(
                mv=motion.mv,
                frames_back=_frames_back(picture.index, coded.poc, motion, indices),
                cell_px=4,
                size=motion.display_size,
                origin=motion.display_origin,
            )
        return ReferringPicture(
            picture=picture,
            key_index=key,
            blocks=blocks,
            references=frozenset(indices.values()),
            kept=frozenset(known.index for known in self._known.values()),
        )

    def _forget(self, current: CodedPicture) -> None:
        """Let go of pictures that nobody can refer to any more.

        They came before the current one, which does not keep them; and all that refer to them are given out, also
        those that were decoded before the current one and are shown after it.
        """

        def is_needed(name: tuple[int, int], known: Picture) -> bool:
            coded = _coded(known)
            return coded.order >= current.order or name in current.kept_pocs or not coded.users <= self._done_orders

        self._known = {name: known for name, known in self._known.items() if is_needed(name, known)}


def in_display_order(items: Iterable[tuple[int, Item]]) -> Iterator[Item]:
    """Items with their display indices, which go up by 1 from 0, in whatever order -> in that of the indices."""
    ready: dict[int, Item] = {}
    next_index = 0
    for index, item in items:
        ready[index] = item
        while next_index in ready:
            yield ready.pop(next_index)
            next_index += 1


def _coded(picture: Picture) -> CodedPicture:
    if picture.coded is None:
        raise BitstreamError(f"frame {picture.index}: it was not read")
    return picture.coded


def _frames_back(index: int, poc: int, motion: PictureMotion, indices: dict[int, int]) -> NDArray[np.int16]:
    """References by POC -> distances in display order; POC may grow by more than 1 a frame."""
    deltas = motion.ref_poc_delta
    for shown in indices.values():
        _require_near(index, shown)
    back = {each - poc: index - indices[each] if each in indices else NEVER_SHOWN for each in motion.references}
    if all(distance == -delta for delta, distance in back.items()):
        return np.negative(deltas)
    frames_back = np.zeros_like(deltas)
    for delta, distance in back.items():
        frames_back[deltas == delta] = distance
    return frames_back


def _require_near(index: int, reference_index: int) -> None:
    if abs(index - reference_index) > LONGEST_DISTANCE_FRAMES:
        raise BitstreamError(
            f"frame {index}: references more than {LONGEST_DISTANCE_FRAMES} frames away are not supported"
        )

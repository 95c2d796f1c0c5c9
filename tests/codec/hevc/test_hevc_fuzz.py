"""Damaged streams: never a crash, a hang, a write out of bounds, or another error than BitstreamError.

Every picture then has its motion or an error that says why not. What motion there is must be right, with one honest
exception: bits whose change gives another valid stream. Where the range of the arithmetic decoder is 256, bins of
even odds lie in the stream as plain bits, so the sign of a vector difference may change and nothing else; and a
header may name another picture that is there. No syntax check can tell; the tests count how often it happens.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from small_streams import encoded, is_slice, joined, nal_units, shared_streams

import vssbench.codec.hevc.reader as reader_module
from vssbench.codec.hevc.compiled import compiled
from vssbench.codec.hevc.nal import PREFIX_SEI_NUT, SUFFIX_SEI_NUT
from vssbench.codec.hevc.picture_buffer import CodedPicture
from vssbench.codec.hevc.picture_parser import PictureParser
from vssbench.codec.hevc.reader import HevcMotionReader, read_annex_b
from vssbench.errors import BitstreamError

NUM_STREAMS = 2400
NUM_CHECKED_STREAMS = 400
LONGEST_S = 5.0  # for one stream of a few pictures, on a busy machine; it takes 2 ms
MOST_SILENT = 0.01  # of the damaged streams; 1,500,000 single bits gave 0.0006, see the module's docstring
LOCATED = re.compile(r"picture \d+( \(POC -?\d+\))? in decoding order, NAL unit \d+: .+", re.DOTALL)
GUARD = 4096  # elements around each array
SENTINEL = 0x5A

OWN_STREAMS = {
    "P, CTU 16": ("bframes=0:ref=1:ctu=16:max-tu-size=16", {"num_frames": 4, "size": (64, 96), "qp": 32}),
    "B, CTU 32": ("bframes=2:ref=2:b-adapt=0:ctu=32:rect=1:amp=1", {"num_frames": 6, "size": (80, 112), "qp": 34}),
    "P, CTU 64": ("bframes=0:ref=2", {"num_frames": 4, "size": (80, 112), "qp": 34}),
    "P, no TMVP, 10 bit": (
        "bframes=0:ref=2:no-temporal-mvp=1:ctu=32",
        {"num_frames": 4, "size": (80, 112), "qp": 34, "bit_depth": 10},
    ),
    "open GOP": ("bframes=3:ref=2:b-adapt=0:keyint=4:open-gop=1:ctu=16", {"num_frames": 9, "size": (48, 64), "qp": 38}),
    "lossless, transform skip": ("bframes=0:ref=1:lossless=1:tskip=1:ctu=16", {"num_frames": 2, "size": (32, 48)}),
}
GIVEN_STREAMS = (  # tiles, slices, dependent slices, WPP, PCM, long-term references, list modification, weights
    *("kvz_tiles2x2", "self_slices3", "hm_depslices_ctus", "hm_slices_bytes_wpp", "hm_pcm8"),
    *("hm_ltr2_b_pocbits4", "hm_lists_mod", "hm_weighted_p", "hm_cuqp_tqb_tskip"),
)
PICTURES_OF_GIVEN = 4
KINDS = (
    *("flip a bit", "flip five bits", "another byte", "two bytes swapped", "cut", "bytes deleted", "bytes inserted"),
    *("random from here", "eight zeros", "unit dropped", "unit duplicated", "units swapped", "cut across units"),
)


@cache
def streams() -> dict[str, list[bytes]]:
    """NAL units of small streams, without SEI, whose damage would not matter."""
    units = {name: nal_units(encoded(params, **form)) for name, (params, form) in OWN_STREAMS.items()}
    for name in GIVEN_STREAMS:
        file = shared_streams() / f"{name}.hevc"
        if file.exists():
            units[name] = first_pictures(nal_units(file.read_bytes()), PICTURES_OF_GIVEN)
    without_sei = (PREFIX_SEI_NUT, SUFFIX_SEI_NUT)
    return {name: [unit for unit in each if unit[0] >> 1 not in without_sei] for name, each in units.items()}


def first_pictures(units: list[bytes], count: int) -> list[bytes]:
    firsts = [i for i, unit in enumerate(units) if is_slice(unit) and unit[2] & 0x80]
    return units[: firsts[count]] if len(firsts) > count else units


def read(data: bytes) -> tuple[list[CodedPicture], list[BitstreamError]]:
    """All pictures and errors; damage is told in these, never raised."""
    reader = HevcMotionReader()
    reader.push(data)
    reader.flush()
    return reader.ready(), reader.errors


def fingerprint(picture: CodedPicture) -> bytes:
    return picture.motion.blocks.tobytes() + picture.motion.units.tobytes()


def damaged(rng: random.Random, units: list[bytes], kind: str) -> bytes:
    units = list(units)
    lengths = [len(unit) for unit in units]
    chosen = rng.choices(range(len(units)), lengths)[0] if rng.random() < 0.7 else rng.randrange(len(units))
    unit = bytearray(units[chosen])
    position = rng.randrange(len(unit))
    if kind == "flip a bit":
        unit[position] ^= 1 << rng.randrange(8)
    elif kind == "flip five bits":
        for _ in range(5):
            unit[rng.randrange(len(unit))] ^= 1 << rng.randrange(8)
    elif kind == "another byte":
        unit[position] = rng.randrange(256)
    elif kind == "two bytes swapped":
        other = rng.randrange(len(unit))
        unit[position], unit[other] = unit[other], unit[position]
    elif kind == "cut":
        del unit[position:]
    elif kind == "bytes deleted":
        del unit[position : position + rng.randint(1, 4)]
    elif kind == "bytes inserted":
        unit[position:position] = rng.randbytes(rng.randint(1, 4))
    elif kind == "random from here":
        unit[position:] = rng.randbytes(len(unit) - position)
    elif kind == "eight zeros":
        unit[position : position + 8] = bytes(len(unit[position : position + 8]))
    elif kind == "unit dropped":
        unit = bytearray()
    elif kind == "cut across units":
        stream = joined(units)
        begin = rng.randrange(len(stream))
        return stream[:begin] + stream[begin + rng.randint(1, 2000) :]
    units[chosen] = bytes(unit)
    if kind == "unit duplicated":
        units.insert(chosen, units[chosen])
    elif kind == "units swapped":
        other = rng.randrange(len(units))
        units[chosen], units[other] = units[other], units[chosen]
    return joined([each for each in units if each])


@dataclass
class Outcome:
    """What came of many damaged streams."""

    counts: Counter[str] = field(default_factory=Counter)
    by_kind: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    failures: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    longest_s: float = 0.0

    def add(self, kind: str, result: str) -> None:
        self.counts[result] += 1
        self.by_kind[kind][result] += 1


def fuzz(num_streams: int, *, seed: int) -> Outcome:
    rng = random.Random(seed)
    sources = streams()
    truth: dict[str, dict[int, set[bytes]]] = {}
    for name, units in sources.items():
        pictures, errors = read(joined(units))
        assert errors == [], name
        by_poc: dict[int, set[bytes]] = defaultdict(set)
        for picture in pictures:
            by_poc[picture.poc].add(fingerprint(picture))
        truth[name] = by_poc
    outcome = Outcome()
    for number in range(num_streams):
        name, kind = rng.choice(list(sources)), KINDS[number % len(KINDS)]
        data = damaged(rng, sources[name], kind)
        begun = time.perf_counter()
        try:
            pictures, errors = read(data)
        except Exception as error:
            outcome.add(kind, "failure")
            outcome.failures.append(f"{number}: {name}, {kind}: {type(error).__name__}: {error}")
            continue
        outcome.longest_s = max(outcome.longest_s, time.perf_counter() - begun)
        for error in [*errors, *(picture.error for picture in pictures if picture.error is not None)]:
            if not LOCATED.fullmatch(str(error)):
                outcome.failures.append(f"{number}: {name}, {kind}: not located: {error}")
        if any((picture.motion is None) == (picture.error is None) for picture in pictures):
            outcome.failures.append(f"{number}: {name}, {kind}: a picture must have either motion or an error")
        wrong = [
            picture
            for picture in pictures
            if picture.motion is not None and fingerprint(picture) not in truth[name][picture.poc]
        ]
        if wrong:
            outcome.silent.append(f"{number}: {name}, {kind}: {len(wrong)} of {len(pictures)}, {len(errors)} errors")
            outcome.add(kind, "wrong motion without an error of its own")
        elif errors:
            outcome.add(kind, "error")
        else:
            outcome.add(kind, "all motion right")
    return outcome


def report(outcome: Outcome) -> str:
    lines = [f"{sum(outcome.counts.values())} damaged streams, the longest took {outcome.longest_s:.3f} s"]
    lines += [f"  {kind}: {dict(outcome.by_kind[kind])}" for kind in KINDS]
    return "\n".join([*lines, f"  in all: {dict(outcome.counts)}", *outcome.silent])


def test_damaged_streams_give_errors_or_the_right_motion():
    outcome = fuzz(NUM_STREAMS, seed=20)
    print(report(outcome))
    assert outcome.failures == []
    assert sum(outcome.counts.values()) == NUM_STREAMS
    assert outcome.longest_s < LONGEST_S
    assert outcome.counts["wrong motion without an error of its own"] <= MOST_SILENT * NUM_STREAMS
    assert outcome.counts["error"] > 0.6 * NUM_STREAMS  # the damage does hit what is read


def test_bytes_without_any_structure_give_errors_only():
    rng = random.Random(3)
    for length in (0, 1, 2, 3, 4, 7, 64, 5000):
        for _ in range(6):
            units = [rng.randbytes(rng.randint(1, length + 1)) for _ in range(4)]
            pictures, _ = read(joined(units))
            assert pictures == []
    pictures, errors = read(bytes(rng.randrange(2, 256) for _ in range(500)))
    assert pictures == []
    assert "no start code" in str(errors[0])


def test_random_slice_data_behind_right_headers_are_refused():
    rng = random.Random(11)
    units = streams()["P, CTU 16"]
    for _ in range(60):
        first = next(i for i, unit in enumerate(units) if is_slice(unit))
        data = rng.randbytes(rng.choice((1, 5, 50, 500, 20_000))).replace(b"\x00\x00", b"\x00\x07")
        pictures, errors = read(joined([*units[:first], units[first][:7] + data, *units[first + 1 :]]))
        assert errors
        assert pictures[0].motion is None


# --- which pictures are kept ---


def pictures_of(units: list[bytes]) -> list[int]:
    """Places of the NAL units that begin a picture."""
    return [i for i, unit in enumerate(units) if is_slice(unit) and unit[2] & 0x80]


def with_damage(units: list[bytes], place: int) -> bytes:
    """The middle third of a unit's bytes replaced."""
    unit = bytearray(units[place])
    third = len(unit) // 3
    unit[third : 2 * third] = bytes(byte ^ 0x5B for byte in unit[third : 2 * third])
    return joined([*units[:place], bytes(unit), *units[place + 1 :]])


def test_pictures_before_the_damage_and_after_the_next_idr_are_kept():
    units = nal_units(encoded("bframes=0:ref=1:keyint=4:min-keyint=4:open-gop=0", num_frames=12, size=(64, 96)))
    whole, _ = read(joined(units))
    pictures, errors = read(with_damage(units, pictures_of(units)[5]))
    assert [picture.poc for picture in pictures] == [0, 1, 2, 3] * 3
    kept = [k for k, picture in enumerate(pictures) if picture.motion is not None]
    assert kept == [0, 1, 2, 3, 4, 8, 9, 10, 11]  # 5 is damaged; 6 and 7 predict vectors from it
    assert all(fingerprint(pictures[k]) == fingerprint(whole[k]) for k in kept)
    assert [str(error).split(" in ")[0] for error in errors] == [f"picture {k} (POC {k - 4})" for k in (5, 6, 7)]
    assert "predicts vectors from POC 1, whose vectors could not be read" in str(errors[1])
    assert all(picture.error is errors[k - 5] for k, picture in enumerate(pictures) if 5 <= k <= 7)


def test_without_temporal_prediction_only_the_damaged_picture_is_lost():
    params = "bframes=0:ref=1:keyint=4:min-keyint=4:open-gop=0:no-temporal-mvp=1"
    units = nal_units(encoded(params, num_frames=8, size=(64, 96)))
    pictures, errors = read(with_damage(units, pictures_of(units)[1]))
    assert [picture.motion is not None for picture in pictures] == [k != 1 for k in range(8)]
    assert len(errors) == 1


def test_a_picture_that_nothing_refers_to_is_lost_alone():
    units = nal_units(encoded("bframes=2:ref=2:b-adapt=0:b-pyramid=0", num_frames=7, size=(64, 96)))
    places = pictures_of(units)
    assert units[places[2]][0] >> 1 == 0  # TRAIL_N
    pictures, errors = read(with_damage(units, places[2]))
    assert sum(picture.motion is None for picture in pictures) == 1
    assert len(errors) == 1


def test_a_missing_picture_is_named_by_those_that_refer_to_it():
    units = nal_units(encoded("bframes=0:ref=1:keyint=4:min-keyint=4:open-gop=0", num_frames=8, size=(64, 96)))
    place = pictures_of(units)[2]
    pictures, errors = read(joined(units[:place] + units[place + 1 :]))
    assert [picture.poc for picture in pictures] == [0, 1, 3, 0, 1, 2, 3]
    assert [picture.motion is not None for picture in pictures] == [True, True, False, True, True, True, True]
    assert len(errors) == 1
    assert "refers to POC 2, which did not come" in str(errors[0])


def test_read_annex_b_raises_the_first_error_after_the_pictures_before_it():
    units = nal_units(encoded("bframes=0:ref=1:keyint=4:min-keyint=4:open-gop=0", num_frames=12, size=(64, 96)))
    stream = with_damage(units, pictures_of(units)[5])
    seen = []

    def read_all():
        for picture in read_annex_b(stream[k : k + 50] for k in range(0, len(stream), 50)):
            seen.append(picture.poc)

    with pytest.raises(BitstreamError, match=r"^picture 5 \(POC 1\) in decoding order, NAL unit \d+: "):
        read_all()
    assert seen in ([0, 1, 2, 3], [0, 1, 2, 3, 0])  # the fifth may still wait for its place in the order


# --- out of bounds ---


class GuardedParser(PictureParser):
    """A parser whose arrays lie between sentinels."""

    ARRAYS = ("_blocks", "_units", "_intra_modes", "_region", "_ctx", "_stored_contexts", "_candidates", "_references")

    def __init__(self, *args):
        super().__init__(*args)
        self._backing = {}
        for name in self.ARRAYS:
            array = getattr(self, name)
            backing = np.empty(array.size + 2 * GUARD, array.dtype)
            backing.view(np.uint8)[:] = SENTINEL
            inside = backing[GUARD : GUARD + array.size].reshape(array.shape)
            inside[...] = array
            self._backing[name] = backing
            setattr(self, name, inside)

    def read_slice_segment(self, *args):
        try:
            super().read_slice_segment(*args)
        finally:
            for name, backing in self._backing.items():
                around = np.concatenate([backing[:GUARD], backing[-GUARD:]]).view(np.uint8)
                if (around != SENTINEL).any():
                    raise IndexError(f"wrote outside {name}")


def test_no_array_is_written_outside_its_bounds(monkeypatch):
    monkeypatch.setattr(reader_module, "PictureParser", GuardedParser)
    outcome = fuzz(400, seed=33)
    assert outcome.failures == []
    assert outcome.counts["error"] > 200


def test_the_guards_notice_a_write_outside(monkeypatch):
    class Clumsy(GuardedParser):
        def __init__(self, *args):
            super().__init__(*args)
            self._backing["_region"][GUARD - 1] = 0

    monkeypatch.setattr(reader_module, "PictureParser", Clumsy)
    with pytest.raises(IndexError, match="wrote outside _region"):
        read(joined(streams()["P, CTU 16"]))


@compiled
def element(array, index):
    """Compiled as everything of the slice data is."""
    return array[index]


def checked_run() -> None:
    """In a process of its own, where numba checks every index: prove that it does, then fuzz."""
    try:
        element(np.zeros(3, np.int64), np.int64(3))
    except IndexError:
        print("indices are checked")
    with_short_array = type("Short", (PictureParser,), {})

    def init(self, *args):
        PictureParser.__init__(self, *args)
        self._units = self._units[:-1].copy()

    with_short_array.__init__ = init
    reader_module.PictureParser, own = with_short_array, reader_module.PictureParser
    try:
        read(joined(streams()["P, CTU 16"]))
    except IndexError:
        print("in the slice data too")
    reader_module.PictureParser = own
    outcome = fuzz(NUM_CHECKED_STREAMS, seed=44)
    print(report(outcome))
    print("failures:", outcome.failures)
    print("streams:", sum(outcome.counts.values()))


def test_no_index_is_out_of_bounds_where_numba_checks_them():
    here = Path(__file__).resolve()
    paths = [str(here.parent), str(here.parents[3]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "PYTHONPATH": os.pathsep.join(paths)}
    code = "import test_hevc_fuzz; test_hevc_fuzz.checked_run()"
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    print(result.stdout, result.stderr)
    assert result.returncode == 0
    assert "indices are checked" in result.stdout
    assert "in the slice data too" in result.stdout
    assert "failures: []" in result.stdout
    assert f"streams: {NUM_CHECKED_STREAMS}" in result.stdout

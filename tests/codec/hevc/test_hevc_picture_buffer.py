import io
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from bit_writer import BitWriter, coded_picture, nal_unit, parameter_sets, pps_rbsp, sps_rbsp

from vssbench.codec.hevc.nal import (
    BLA_W_LP,
    CRA_NUT,
    ENDS_SEQUENCE,
    EOS_NUT,
    IDR_N_LP,
    IDR_W_RADL,
    RADL_N,
    RASL_N,
    RASL_R,
    TRAIL_N,
    TRAIL_R,
    AnnexBSplitter,
    is_irap,
    is_slice_segment,
    parameter_sets_of_hvcc,
    read_nal_unit,
    split_length_prefixed,
)
from vssbench.codec.hevc.parameter_sets import ParameterSets
from vssbench.codec.hevc.picture_buffer import CodedPicture, PictureBuffer
from vssbench.codec.hevc.sequence_parameter_set import SequenceParameterSet
from vssbench.codec.hevc.slice_header import SliceSegmentHeader, read_slice_segment_header
from vssbench.codec.hevc.syntax import B, I, P
from vssbench.errors import BitstreamError


class _Stream:
    """Pictures of one slice in front of a buffer that may reorder two and holds five (the small SPS, POC of 4 bits)."""

    def __init__(self, *, buffering: tuple[int, int, int] = (4, 2, 0), **pps: int) -> None:
        self.sets = parameter_sets(sps_rbsp(buffering=buffering, long_term=lambda w: w.flags(1).ue(0)), pps_rbsp(**pps))
        self.buffer = PictureBuffer()
        self.header: SliceSegmentHeader | None = None

    def add(self, lsb: int, **picture: object) -> CodedPicture | None:
        long_term = picture.pop("long_term", lambda w: w.ue(0))
        self.header, nal = coded_picture(lsb, self.sets, long_term=long_term, **picture)  # type: ignore[arg-type]
        return self.buffer.begin_picture(self.header, nal)

    def lists(self) -> list[list[int]]:
        assert self.header is not None
        return [[picture.poc for picture in pictures] for pictures in self.buffer.reference_lists(self.header)]

    def ready(self) -> list[int]:
        return [picture.poc for picture in self.buffer.ready()]

    def rest(self) -> list[int]:
        self.buffer.flush()
        return self.ready()


def test_pictures_come_out_in_order_once_more_wait_than_may_be_reordered():
    stream = _Stream()
    stream.add(0, nal_unit_type=IDR_N_LP)
    stream.add(4, before=(-4,), slice_type=P)
    stream.add(2, before=(-2,), after=(2,), slice_type=B)
    assert stream.ready() == []  # 0 and 4 are decoded and wait; sps_max_num_reorder_pics is 2
    stream.add(1, before=(-1,), after=(1, 3), slice_type=B)
    assert stream.ready() == [0]  # 0, 2 and 4 waited
    assert stream.rest() == [1, 2, 4]


def test_picture_that_waits_too_long_comes_out():
    # SpsMaxLatencyPictures is 2 + 1 - 1 = 2: a picture that two with a lower order count pass is put out
    stream = _Stream(buffering=(4, 2, 1))
    stream.add(0, nal_unit_type=IDR_N_LP)
    stream.add(4, before=(-4,), slice_type=P)
    stream.add(2, before=(-2,), after=(2,), slice_type=B)  # 4 has waited for none before 2 is decoded
    stream.add(1, before=(-1,), after=(1, 3), slice_type=B)
    assert stream.ready() == [0]
    stream.add(3, before=(-1,), after=(1,), slice_type=B)  # 4 has been passed by 2 and 1
    assert stream.ready() == [1, 2, 4]


def test_only_pictures_shown_before_it_make_a_picture_wait():
    # SpsMaxLatencyPictures is 3. 4 is passed by 2 and 1, but not by 8, so it may wait for 3; 0 and then 1 go as one of
    # four that wait.
    stream = _Stream(buffering=(5, 3, 1))
    stream.add(0, nal_unit_type=IDR_N_LP)
    stream.add(4, before=(-4,), slice_type=P)
    stream.add(8, before=(-4, -8), slice_type=P)
    stream.add(2, before=(-2,), after=(2, 6), slice_type=B)
    stream.add(1, before=(-1,), after=(1, 3, 7), slice_type=B)
    stream.buffer.end_picture()
    assert stream.ready() == [0, 1]


def test_full_buffer_puts_pictures_out():
    # 3 pictures fit (minus1 2), 4 may be reordered: 0, 2 and 4 wait, and 0 must go to make room for 8
    stream = _Stream(buffering=(2, 4, 0))
    stream.add(0, nal_unit_type=IDR_N_LP)
    stream.add(4, before=(-4,), slice_type=P)
    stream.add(2, before=(-2,), after=(2,), slice_type=B)
    assert stream.ready() == []
    stream.add(8, before=(-4,), slice_type=P)
    assert stream.ready() == [0]


def test_full_buffer_keeps_the_order_where_putting_out_makes_no_room():
    # 3 pictures fit, but 0, 8, 4 are all kept as references: putting out 4 and 8 before 2 would only spoil the order
    stream = _Stream(buffering=(2, 4, 0))
    stream.add(0, nal_unit_type=IDR_N_LP)
    stream.add(8, before=(-8,), slice_type=P)
    stream.add(4, before=(-4,), after=(4,), slice_type=B)
    stream.add(2, before=(-2,), after=(2, 6), slice_type=B)
    assert stream.rest() == [0, 2, 4, 8]


def test_picture_with_output_flag_0_is_a_reference_only():
    stream = _Stream(output_flag_present=1)
    stream.add(0, nal_unit_type=IDR_N_LP, pic_output=1)
    hidden = stream.add(1, before=(-1,), slice_type=P, pic_output=0)
    shown = stream.add(2, before=(-1, -2), slice_type=P, pic_output=1)
    assert hidden is not None
    assert shown is not None
    assert (hidden.is_output, shown.is_output) == (False, True)
    assert stream.lists() == [[1], []]
    assert stream.rest() == [0, 2]


def test_lists_begin_with_the_nearest_picture_of_their_side():
    stream = _Stream(default_refs_minus1=(3, 2))  # type: ignore[arg-type]
    stream.add(0, nal_unit_type=IDR_N_LP)
    stream.add(8, before=(-8,), slice_type=P)
    stream.add(4, before=(-4,), after=(4,), slice_type=B)
    stream.add(6, before=(-2, -6), after=(2,), slice_type=B)
    # before 4, 0; after 8. List 0 of four: 4 0 8 and 4 again; list 1 of three: 8 4 0
    assert stream.lists() == [[4, 0, 8, 4], [8, 4, 0]]


def test_long_term_pictures_come_last_in_both_lists():
    stream = _Stream(default_refs_minus1=(2, 2))  # type: ignore[arg-type]
    stream.add(0, nal_unit_type=IDR_N_LP)
    stream.add(2, before=(-2,), slice_type=P)
    stream.add(8, before=(-6, -8), slice_type=P)
    stream.add(4, before=(-2,), after=(4,), slice_type=B, long_term=lambda w: w.ue(1).u(4, 0).flags(1, 0))
    assert stream.lists() == [[2, 8, 0], [8, 2, 0]]


def test_kept_pictures_are_those_of_all_five_lists():
    stream = _Stream()
    stream.add(0, nal_unit_type=IDR_N_LP)
    stream.add(1, before=(-1,), slice_type=P)
    stream.add(2, before=(-1, -2), foll=(-2,), slice_type=P)
    picture = stream.add(3, before=(-1, -3), foll=(-3,), slice_type=P)
    assert picture is not None
    assert picture.kept_pocs == {(0, 2), (0, 0)}
    assert stream.lists() == [[2], []]
    # POC 1 was let go, so it is missing for a later picture that wants it
    late = stream.add(4, before=(-1, -3), slice_type=P)
    assert late is not None
    assert late.missing_pocs == (1,)


def test_long_term_picture_is_marked_and_stays():
    stream = _Stream(default_refs_minus1=(1, 0))
    first = stream.add(0, nal_unit_type=IDR_N_LP)
    stream.add(1, before=(-1,), slice_type=P)
    assert first is not None
    assert first.reference == "short"
    by_lsb = lambda w: w.ue(1).u(4, 0).flags(1, 0)  # noqa: E731
    stream.add(2, before=(-1,), slice_type=P, long_term=by_lsb)
    assert first.is_long_term
    assert stream.lists() == [[1, 0], []]
    # 16 and more pictures later the LSB 0 is still found while no other picture has it, or by its whole count
    for poc in range(3, 16):
        stream.add(poc, before=(-1,), slice_type=P, long_term=by_lsb)
    by_msb = lambda w: w.ue(1).u(4, 0).flags(1, 1).ue(1)  # noqa: E731
    stream.add(0, before=(-1,), slice_type=P, long_term=by_msb)  # POC 16
    picture = stream.add(1, before=(-1,), slice_type=P, long_term=by_msb)  # POC 17: 16 has LSB 0 too
    assert picture is not None
    assert (picture.poc, picture.missing_pocs) == (17, ())
    assert stream.lists() == [[16, 0], []]
    # a long-term picture is no short-term one any more
    picture = stream.add(2, before=(-1,), slice_type=P)
    assert first.reference == "unused"


def test_missing_reference_gets_a_stand_in_that_says_so():
    stream = _Stream()
    stream.add(0, nal_unit_type=IDR_N_LP)
    picture = stream.add(5, before=(-2, -5), slice_type=P)
    assert picture is not None
    assert stream.header is not None
    assert picture.missing_pocs == (3,)
    assert picture.error is None
    (stand_in,), _ = stream.buffer.reference_lists(stream.header)
    assert (stand_in.poc, stand_in.motion, stand_in.is_missing) == (3, None, True)
    assert "POC 3 is not in the stream" in str(stand_in.error)
    later = stream.add(6, before=(-1, -3), slice_type=P)
    assert later is not None
    assert later.missing_pocs == (3,)  # it is still not there
    assert stream.rest() == [0, 5, 6]  # and never put out


def test_missing_picture_that_is_only_kept_does_no_harm():
    stream = _Stream()
    stream.add(0, nal_unit_type=IDR_N_LP)
    picture = stream.add(5, before=(-2, -5), foll=(-2,), slice_type=P)
    assert picture is not None
    assert (picture.missing_pocs, picture.kept_pocs) == ((), {(0, 0)})


def test_order_count_ignores_leading_and_unused_pictures():
    # POC of 4 bits. After 0 and 7 come pictures that do not count: TRAIL_N 14, then TRAIL_R 13 of a higher sub-layer.
    # LSB 4: from 7 it is 4; from 14 it would be 20, and from 13 also 20 (4 - 13 = -9).
    for lsb, nal_unit_type, temporal_id in ((14, TRAIL_N, 0), (13, TRAIL_R, 1)):
        stream = _Stream()
        stream.add(0, nal_unit_type=IDR_N_LP)
        stream.add(7, before=(-7,), slice_type=P)
        skipped = stream.add(lsb, nal_unit_type=nal_unit_type, temporal_id=temporal_id, before=(7 - lsb,), slice_type=P)
        picture = stream.add(4, before=(-4,), slice_type=P)
        assert skipped is not None
        assert picture is not None
        assert (skipped.poc, picture.poc) == (lsb, 4)


def test_rasl_pictures_after_a_leading_cra_are_dropped_and_radl_are_not():
    stream = _Stream()
    stream.add(8, nal_unit_type=CRA_NUT)
    assert stream.add(6, nal_unit_type=RASL_R, before=(-2,), after=(2,), slice_type=B) is None
    assert stream.add(5, nal_unit_type=RASL_N, before=(-1,), after=(1,), slice_type=B) is None
    radl = stream.add(7, nal_unit_type=RADL_N, after=(1,), slice_type=P)
    last = stream.add(9, before=(-1,), slice_type=P)
    assert radl is not None
    assert last is not None
    assert [radl.order, last.order] == [3, 4]  # the dropped ones count in decoding order
    assert stream.buffer.num_pictures == 5
    assert stream.rest() == [7, 8, 9]


def test_rasl_pictures_of_a_cra_in_the_middle_are_decoded():
    stream = _Stream()
    stream.add(0, nal_unit_type=IDR_N_LP)
    cra = stream.add(4, nal_unit_type=CRA_NUT, before=(-4,), foll=(-4,))
    rasl = stream.add(2, nal_unit_type=RASL_N, before=(-2,), after=(2,), slice_type=B)
    assert cra is not None
    assert rasl is not None
    assert (cra.sequence, rasl.poc) == (0, 2)
    assert stream.lists() == [[0], [4]]
    assert stream.rest() == [0, 2, 4]


@pytest.mark.parametrize("nal_unit_type", [BLA_W_LP, CRA_NUT])
def test_bla_and_cra_after_an_end_of_sequence_begin_anew(nal_unit_type: int):
    stream = _Stream()
    stream.add(0, nal_unit_type=IDR_N_LP)
    stream.add(1, before=(-1,), slice_type=P)
    if nal_unit_type == CRA_NUT:
        stream.buffer.end_of_sequence()
    begin = stream.add(9, nal_unit_type=nal_unit_type, before=(-9,), foll=(-9,))
    assert begin is not None
    assert (begin.poc, begin.sequence, begin.kept_pocs) == (9, 1, frozenset())
    assert stream.add(8, nal_unit_type=RASL_N, before=(-8,), slice_type=P) is None
    # NoOutputOfPriorPicsFlag is inferred to be 1 at such a CRA (C.5.2.2): 0 and 1 still waited and are given up
    assert stream.rest() == ([0, 1, 9] if nal_unit_type == BLA_W_LP else [9])


def test_idr_puts_out_what_waits_unless_it_says_no():
    for no_output_of_prior_pics, expected in ((0, [0, 1, 0]), (1, [0])):
        stream = _Stream()
        stream.add(0, nal_unit_type=IDR_N_LP)
        stream.add(1, before=(-1,), slice_type=P)
        stream.add(0, nal_unit_type=IDR_W_RADL, no_output_of_prior_pics=no_output_of_prior_pics)
        assert stream.rest() == expected


def test_stream_must_begin_with_an_irap_picture():
    stream = _Stream()
    with pytest.raises(BitstreamError, match="IRAP picture must come"):
        stream.add(3, before=(-1,), slice_type=P)
    first = stream.add(0, nal_unit_type=IDR_N_LP)
    assert first is not None
    assert (first.order, first.sequence) == (1, 0)
    stream.buffer.end_of_sequence()
    with pytest.raises(BitstreamError, match="IRAP picture must come"):
        stream.add(1, before=(-1,), slice_type=P)


def test_lost_irap_picture_refuses_all_up_to_the_next():
    stream = _Stream()
    stream.add(0, nal_unit_type=IDR_N_LP)
    stream.add(1, before=(-1,), slice_type=P)
    stream.buffer.picture_lost(is_irap=True)
    assert stream.ready() == [0, 1]
    with pytest.raises(BitstreamError, match="after an IRAP picture that cannot be read"):
        stream.add(2, before=(-1,), slice_type=P)
    cra = stream.add(8, nal_unit_type=CRA_NUT)
    assert cra is not None
    assert (cra.order, cra.sequence) == (4, 1)
    assert stream.rest() == [8]


def test_lost_inter_picture_is_missed_by_those_that_refer_to_it():
    stream = _Stream()
    stream.add(0, nal_unit_type=IDR_N_LP)
    stream.buffer.picture_lost(is_irap=False)
    picture = stream.add(2, before=(-1, -2), slice_type=P)
    assert picture is not None
    assert (picture.order, picture.missing_pocs) == (2, (1,))


def test_second_picture_with_an_order_count_is_refused_and_changes_nothing():
    stream = _Stream()
    stream.add(0, nal_unit_type=IDR_N_LP)
    stream.add(1, before=(-1,), slice_type=P)
    with pytest.raises(BitstreamError, match="a second picture with POC 1"):
        stream.add(1, before=(-1,), slice_type=P)
    picture = stream.add(2, before=(-1, -2), slice_type=P)
    assert picture is not None
    assert picture.missing_pocs == ()
    assert stream.rest() == [0, 1, 2]


def test_other_sps_within_a_sequence_is_refused():
    stream = _Stream()
    stream.add(0, nal_unit_type=IDR_N_LP)
    stream.sets = parameter_sets(sps_rbsp(size=(128, 64), long_term=lambda w: w.flags(1).ue(0)))
    with pytest.raises(BitstreamError, match="the SPS changes"):
        stream.add(1, before=(-1,), slice_type=P)
    assert stream.add(0, nal_unit_type=IDR_N_LP) is not None


def test_picture_is_not_put_out_before_it_ends():
    stream = _Stream(buffering=(0, 0, 0))
    stream.add(0, nal_unit_type=IDR_N_LP)
    assert stream.ready() == []
    stream.buffer.end_picture()
    assert stream.ready() == [0]
    stream.buffer.end_picture()
    assert stream.rest() == []


# Whole streams: the headers alone decide sizes, picture types and the order of output.


def _units(data: bytes) -> list[tuple[int, bytes]]:
    splitter = AnnexBSplitter()
    return splitter.push(data) + splitter.flush()


def _units_of_container(path: Path) -> Iterator[tuple[int, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        length_size, sets = parameter_sets_of_hvcc(stream.codec_context.extradata)
        yield from ((0, data) for data in sets)
        for packet in container.demux(stream):
            yield from split_length_prefixed(bytes(packet), length_size)


def _pictures(units: Iterable[tuple[int, bytes]]) -> tuple[list[CodedPicture], SequenceParameterSet]:
    """The pictures in output order, and the last SPS; each reference must be in the stream."""
    sets, buffer = ParameterSets(), PictureBuffer()
    header: SliceSegmentHeader | None = None
    pictures: list[CodedPicture] = []
    current: CodedPicture | None = None
    for offset, data in units:
        nal = read_nal_unit(data, offset)
        if nal.nuh_layer_id > 0:
            continue
        sets.add(nal)
        if nal.nal_unit_type in ENDS_SEQUENCE:
            buffer.end_of_sequence()
        if not is_slice_segment(nal.nal_unit_type):
            continue
        header = read_slice_segment_header(nal, sets.sps_by_id, sets.pps_by_id, header)
        if header.first_slice_segment_in_pic_flag:
            current = buffer.begin_picture(header, nal)
        if current is not None:
            assert current.missing_pocs == ()
            lists = buffer.reference_lists(header)
            assert [len(each) for each in lists] == [
                header.num_ref_idx_l0_active_minus1 + 1,
                header.num_ref_idx_l1_active_minus1 + 1,
            ]
        pictures += buffer.ready()
    assert header is not None
    buffer.flush()
    return pictures + buffer.ready(), header.sps


def test_all_streams_have_the_sizes_types_and_output_order_of_golden(shared: Path):
    compared = 0
    for path in sorted((shared / "streams").iterdir()):
        golden = shared / "reference" / "hevc" / "golden" / path.with_suffix(".npz").name
        if path.name == "self_ippp_hvcc.mp4":
            golden = golden.with_name("self_ippp.npz")
            units: Iterable[tuple[int, bytes]] = _units_of_container(path)
        elif path.suffix in (".hevc", ".265", ".h265"):
            units = _units(path.read_bytes())
        else:
            continue
        wanted: dict[str, list[int]]
        if golden.with_suffix(".json").exists():
            wanted = json.loads(golden.with_suffix(".json").read_text())
        elif golden.exists():
            arrays = np.load(golden)
            wanted = {name: arrays[name].tolist() for name in ("poc", "slice_type", "coded_size", "display_size")}
        else:
            continue
        pictures, sps = _pictures(units)
        assert [picture.poc for picture in pictures] == wanted["poc"], path.name
        assert [picture.slice_type for picture in pictures] == wanted["slice_type"], path.name
        if "coded_size" in wanted:
            assert (*sps.coded_size, *sps.display_size) == (*wanted["coded_size"], *wanted["display_size"]), path.name
        compared += 1
    assert compared >= 76


def test_monochrome_stream_is_read(shared: Path):
    pictures, sps = _pictures(_units((shared / "streams" / "kvz_neg_400.hevc").read_bytes()))
    assert (len(pictures), sps.chroma_format_idc, sps.coded_size) == (8, 0, (160, 208))


def test_second_layer_is_ignored(shared: Path):
    pictures, sps = _pictures(_units_of_container(shared / "streams" / "fate_multiview.mp4"))
    assert ([picture.poc for picture in pictures], sps.coded_size) == (list(range(11)), (1088, 1920))


def _with_no_output_of_prior_pics(data: bytes, irap: int) -> bytes:
    """Set no_output_of_prior_pics_flag, the second bit, in the irap-th IRAP picture."""
    stream, count = b"", 0
    for _, unit in _units(data):
        if is_irap(unit[0] >> 1) and unit[2] & 0x80:
            if count == irap:
                unit = unit[:2] + bytes((unit[2] | 0x40,)) + unit[3:]
            count += 1
        stream += b"\x00\x00\x00\x01" + unit
    return stream


def _types_of_ffmpeg(data: bytes) -> list[int]:
    with av.open(io.BytesIO(data), format="hevc") as container:
        container.streams.video[0].thread_type = "NONE"
        return [{1: I, 2: P, 3: B}[int(frame.pict_type)] for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    ("name", "irap", "given_up"),
    [
        ("self_b3ref4", 1, 2),
        ("hm_idr_radl", 1, 3),
        ("hm_bla_rasl", 2, 3),
        ("kvz_odd174x142", 1, 7),
        ("hm_cra_rasl", 1, 0),
    ],
)
def test_pictures_given_up_at_an_irap_picture_are_those_of_ffmpeg(shared: Path, name: str, irap: int, given_up: int):
    data = (shared / "streams" / f"{name}.hevc").read_bytes()
    changed = _with_no_output_of_prior_pics(data, irap)
    pictures, _ = _pictures(_units(changed))
    assert len(pictures) == len(_pictures(_units(data))[0]) - given_up
    assert [picture.slice_type for picture in pictures] == _types_of_ffmpeg(changed)


def test_cra_after_an_end_of_sequence_gives_the_pictures_of_ffmpeg(shared: Path):
    first, second = ((shared / "streams" / f"self_{name}.hevc").read_bytes() for name in ("opengop_cra", "cra_start"))
    data = first + b"\x00\x00\x01" + bytes((EOS_NUT << 1, 1)) + second
    pictures, _ = _pictures(_units(data))
    assert len(pictures) == 28 + 20 - 2  # two still waited (inferred NoOutputOfPriorPicsFlag)
    assert pictures[-1].sequence == 1
    assert [picture.slice_type for picture in pictures] == _types_of_ffmpeg(data)


def _drive_damaged(units: list[tuple[int, bytes]]) -> tuple[int, int]:
    """(pictures put out, errors); only BitstreamError is caught."""
    sets, buffer, header, errors, out = ParameterSets(), PictureBuffer(), None, 0, 0
    for offset, data in units:
        try:
            nal = read_nal_unit(data, offset)
            sets.add(nal)
            if nal.nal_unit_type in ENDS_SEQUENCE:
                buffer.end_of_sequence()
            if not is_slice_segment(nal.nal_unit_type) or nal.nuh_layer_id > 0:
                continue
            header = read_slice_segment_header(nal, sets.sps_by_id, sets.pps_by_id, header)
            assert header.substream_starts[-1] < len(nal.rbsp)
            if header.first_slice_segment_in_pic_flag and buffer.begin_picture(header, nal) is not None:
                lists = buffer.reference_lists(header)
                assert header.slice_type == I or lists[0]
                assert header.collocated_ref_idx < max(1, *map(len, lists))
        except BitstreamError:
            errors += 1
        assert len(buffer._pictures) <= 17 + 16  # the buffer stays small whatever comes
        out += len(buffer.ready())
    buffer.flush()
    return out + len(buffer.ready()), errors


def test_only_bitstream_errors_come_out_of_damaged_headers(shared: Path):
    generator = random.Random(5)
    names = (
        "hm_ltr2_b_pocbits4",
        "hm_lists_mod",
        "hm_depslices_ctus",
        "kvz_tiles_nonuni",
        "hm_vui_hrd_sei",
        "self_b3ref4",
    )
    streams = [
        [(offset, unit[:400]) for offset, unit in _units((shared / "streams" / f"{name}.hevc").read_bytes())[:16]]
        for name in names
    ]
    with_errors = 0
    for _ in range(1500):
        units = list(generator.choice(streams))
        for _ in range(generator.randrange(1, 4)):
            at = generator.randrange(len(units))
            offset, unit = units[at]
            damaged = bytearray(unit)
            kind = generator.randrange(4)
            if kind == 0:
                del damaged[generator.randrange(len(damaged)) :]
            elif kind == 1:
                damaged[generator.randrange(min(30, len(damaged)))] = generator.randrange(256)
            else:
                damaged[generator.randrange(min(30, len(damaged)))] ^= 1 << generator.randrange(8)
            units[at] = (offset, bytes(damaged)) if damaged else units[at]
        if generator.randrange(4) == 0:
            generator.shuffle(units)
        with_errors += _drive_damaged(units)[1] > 0
    assert 500 < with_errors < 1500


def test_random_bytes_give_only_bitstream_errors():
    generator = random.Random(6)
    for _ in range(300):
        data = b"\x00\x00\x01" + bytes((generator.choice((1, 19, 33, 34)) << 1, 1)) + generator.randbytes(60)
        _drive_damaged(_units(data))
    sets, w = parameter_sets(), BitWriter()
    for _ in range(300):
        w.bits = ""
        nal = nal_unit(TRAIL_R, generator.randbytes(60))
        try:
            read_slice_segment_header(nal, sets.sps_by_id, sets.pps_by_id, None)
        except BitstreamError:
            continue

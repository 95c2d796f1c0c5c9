from __future__ import annotations

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from moving_pattern import moving_pattern, remux, write_plainly

from vssbench.codec.decode import decode
from vssbench.codec.encode import EncodeSettings, encode
from vssbench.codec.h264_references import H264References
from vssbench.errors import BitstreamError


def written(path, params, *, b_frames=0, options=None, num_frames=8, **keywords):
    params = f"scenecut=0:{params}"
    write_plainly(
        moving_pattern(num_frames, **keywords),
        path,
        "libx264",
        options={"preset": "medium", "x264-params": params, **(options or {})},
        b_frames=b_frames,
    )
    return path


@pytest.mark.parametrize(
    "params",
    [
        "ref=1:weightp=0:bframes=0",
        "ref=1:weightp=1:bframes=0",  # explicit weights in the slice header
        "ref=1:weightp=0:bframes=0:cabac=0",
        "ref=1:weightp=0:bframes=0:slices=4",
        "ref=1:weightp=0:bframes=0:cqm=jvt",  # scaling lists in the parameter sets
        "ref=1:weightp=0:bframes=3:b-adapt=0:b-pyramid=none:weightb=0",
        "ref=1:weightp=0:bframes=2:b-adapt=0:b-pyramid=none:weightb=1:direct=temporal",
        "ref=1:weightp=0:bframes=0:aud=1:repeat-headers=1",
        "ref=1:weightp=0:bframes=0:fake-interlaced=1",  # may hold fields, but does not
    ],
)
def test_one_reference_a_direction_is_accepted(tmp_path, params):
    path = written(tmp_path / "v.mp4", params, b_frames=3 if "bframes=0" not in params else 0)
    frames = list(decode(path, motion=True))
    assert len(frames) == 8
    assert all(frame.motion.valid.mean() > 0.5 for frame in frames[1:])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("ref=3:weightp=0:bframes=0", "references a direction"),
        ("ref=1:weightp=0:bframes=3:b-adapt=0:b-pyramid=strict", "b-pyramid|references a direction"),
        ("ref=1:weightp=0:bframes=0:interlaced=1", "interlaced"),
    ],
)
def test_what_leaves_the_reference_open_is_refused(tmp_path, params, message):
    path = written(tmp_path / "v.mp4", params, b_frames=3 if "bframes=3" in params else 0)
    assert len(list(decode(path))) == 8
    with pytest.raises(BitstreamError, match=message) as caught:
        list(decode(path, motion=True))
    assert str(path) in str(caught.value)


def test_a_dropped_reference_picture_is_refused(tmp_path):
    encode(moving_pattern(6), tmp_path / "v.mp4", settings=EncodeSettings(codec="h264"))
    references = None
    with av.open(str(tmp_path / "v.mp4")) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
        references = H264References(container.streams.video[0].codec_context.extradata)
    assert [references.read(packet).previous_reference for packet in packets[:3]] == [None, 0, 1]
    with pytest.raises(BitstreamError, match="a reference picture is missing"):
        references.read(packets[4])  # packet 3 is left out


def test_b_pictures_are_told_from_references(tmp_path):
    # Coding order of I B B P P: I P B B P.
    encode(moving_pattern(5), tmp_path / "v.mp4", settings=EncodeSettings(codec="h264", b_frames=2))
    with av.open(str(tmp_path / "v.mp4")) as container:
        references = H264References(container.streams.video[0].codec_context.extradata)
        said = [references.read(bytes(packet)) for packet in container.demux(video=0) if packet.size]
    assert [picture.is_reference for picture in said] == [True, True, False, False, True]
    assert [picture.previous_reference for picture in said] == [None, 0, 1, 1, 1]


def test_annex_b_and_length_prefixed_streams_read_alike(tmp_path):
    encode(moving_pattern(6), tmp_path / "v.mp4", settings=EncodeSettings(codec="h264"))
    remux(tmp_path / "v.mp4", tmp_path / "v.h264", container_format="h264")
    for first, second in zip(
        decode(tmp_path / "v.mp4", motion=True), decode(tmp_path / "v.h264", motion=True), strict=True
    ):
        np.testing.assert_array_equal(first.rgb, second.rgb)
        assert first.frame_type == second.frame_type
        if first.motion is not None:
            np.testing.assert_array_equal(first.motion.flow_px, second.motion.flow_px)


def test_a_picture_cropped_at_its_left_is_refused(tmp_path):
    encode(moving_pattern(3), tmp_path / "v.mp4", settings=EncodeSettings(codec="h264"))
    filters = "h264_mp4toannexb,h264_metadata=crop_left=16"
    with av.open(str(tmp_path / "v.mp4")) as given:
        crop = BitStreamFilterContext(filters, given.streams.video[0])
        packets = [packet if packet.size else None for packet in given.demux(video=0)]
        data = b"".join(bytes(cropped) for packet in packets for cropped in crop.filter(packet))
    (tmp_path / "cropped.h264").write_bytes(data)
    with pytest.raises(BitstreamError, match="cropped at its left or top"):
        list(decode(tmp_path / "cropped.h264", motion=True))


@pytest.mark.parametrize("packet", [b"", b"\x00\x00\x00\x02\x09\x10", b"\x00\x00\x00\x01\x65"])
def test_packets_without_a_picture_are_refused(tmp_path, packet):
    encode(moving_pattern(1), tmp_path / "v.mp4", settings=EncodeSettings(codec="h264"))
    with av.open(str(tmp_path / "v.mp4")) as container:
        references = H264References(container.streams.video[0].codec_context.extradata)
    with pytest.raises(BitstreamError, match=r"holds no picture|cut short"):
        references.read(packet)


def test_a_slice_without_parameter_sets_is_refused():
    with pytest.raises(BitstreamError, match="parameter sets that were not sent"):
        H264References(None).read(b"\x00\x00\x01\x65\x88\x84\x21\xa0")


def test_cut_parameter_sets_are_refused(tmp_path):
    encode(moving_pattern(1), tmp_path / "v.mp4", settings=EncodeSettings(codec="h264"))
    with av.open(str(tmp_path / "v.mp4")) as container:
        extradata = container.streams.video[0].codec_context.extradata
    with pytest.raises(BitstreamError, match="cut short"):
        H264References(extradata[:14])


# --- headers written by hand, for what x264 does not write ------------------------------------------------------------


def u(value, bits):
    return format(value, f"0{bits}b")


def ue(value):
    code = format(value + 1, "b")
    return "0" * (len(code) - 1) + code


def se(value):
    return ue(2 * value - 1 if value > 0 else -2 * value)


def nal(kind, *parts, importance=3):
    bits = "".join(parts) + "1"
    bits += "0" * (-len(bits) % 8)
    payload = int(bits, 2).to_bytes(len(bits) // 8, "big")
    escaped = bytearray()
    for byte in payload:
        if byte <= 3 and escaped[-2:] == b"\x00\x00":
            escaped.append(3)  # emulation prevention
        escaped.append(byte)
    return b"\x00\x00\x01" + bytes([importance << 5 | kind]) + bytes(escaped)


POC_OF_FOUR_BITS = (ue(0), ue(0))


def sequence(*, high=(), poc=POC_OF_FOUR_BITS, references=2):
    """An SPS of a 16x16 picture: 4 bits of frame_num, and of the picture order count where that is of type 0."""
    profile = u(100 if high else 77, 8)
    frames = (ue(references), "0", ue(0), ue(0), "1", "1", "0", "0")  # up to no cropping, no VUI
    return nal(7, profile, u(0, 8), u(30, 8), ue(0), *high, ue(0), *poc, *frames)


def parameters(*, bottom_poc="0", weighted="0", weighted_b=0, active=(0, 0)):
    return nal(
        8,
        ue(0),
        ue(0),
        "0",
        bottom_poc,
        ue(0),
        *map(ue, active),
        weighted,
        u(weighted_b, 2),
        se(0),
        se(0),
        se(0),
        "000",
    )


P, B, I = 0, 1, 2


def first(*poc):
    return nal(5, ue(0), ue(I), ue(0), u(0, 4), ue(0), *(poc or (u(0, 4),)), "00", "1" * 40)


SHOWN_AT_TWO = (u(2, 4),)


def later(kind, frame_num, *rest, poc=SHOWN_AT_TWO, importance=2):
    """A slice after the first; `rest` follows what says where it is shown, and is followed by slice data of ones."""
    return nal(1, ue(0), ue(kind), ue(0), u(frame_num, 4), *poc, *rest, "1" * 40, importance=importance)


ONE_LIST = ("0", "0")  # no override of the number of references, no reordering
KEEP = "0"  # no explicit marking


def read_all(*pictures, sps=None, pps=None):
    references = H264References((sps or sequence()) + (pps or parameters()))
    return [references.read(picture) for picture in pictures]


def test_plain_headers_are_read():
    said = read_all(
        first(), later(P, 1, *ONE_LIST, KEEP), later(P, 2, *ONE_LIST, importance=0), later(P, 2, *ONE_LIST, KEEP)
    )
    assert [picture.previous_reference for picture in said] == [None, 0, 1, 1]
    assert [picture.is_reference for picture in said] == [True, True, False, True]


def test_an_idr_picture_forgets_the_references_before_it():
    said = read_all(first(), later(P, 1, *ONE_LIST, KEEP), first(), later(P, 1, *ONE_LIST, KEEP))
    assert [picture.previous_reference for picture in said] == [None, 0, None, 2]


def test_frame_num_starts_again_after_its_last_value():
    pictures = [later(P, index % 16, *ONE_LIST, KEEP) for index in range(1, 40)]
    assert len(read_all(first(), *pictures)) == 40


MARKED_LONG_TERM = ("1", ue(3), ue(0), ue(0), ue(0))


# In each case the accepted header, read with one part skipped or misread, ends in the refusal on its right.
@pytest.mark.parametrize(
    ("sps", "pps", "poc"),
    [
        (sequence(high=(ue(1), ue(0), ue(0), "0", "0")), parameters(), (u(2, 4),)),
        (
            # scaling lists: one of two steps and an end (a next scale of 0), one whole one, the rest absent
            sequence(high=(ue(1), ue(0), ue(0), "0", "1", "1", se(3), se(-11), "1", *[se(1)] * 16, *"000000")),
            parameters(),
            (u(2, 4),),
        ),
        (
            # 4:4:4 has twelve lists, and colour planes that may be coded apart
            sequence(high=(ue(3), "0", ue(0), ue(0), "0", "1", *"000000", "1", *[se(1)] * 64, *"00000")),
            parameters(),
            (u(2, 4),),
        ),
        (sequence(), parameters(bottom_poc="1"), (u(2, 4), se(-3))),
        (sequence(poc=(ue(2),)), parameters(), ()),
        (sequence(poc=(ue(1), "0", se(5), se(-5), ue(2), se(1), se(2))), parameters(), (se(7),)),
        (sequence(poc=(ue(1), "0", se(5), se(-5), ue(0))), parameters(bottom_poc="1"), (se(7), se(-2))),
        (sequence(poc=(ue(1), "1", se(5), se(-5), ue(0))), parameters(), ()),
    ],
)
def test_every_way_to_write_the_headers_leads_to_the_same_bits(sps, pps, poc):
    start = (
        first(*(part if part != u(2, 4) else u(0, 4) for part in poc))
        if poc
        else nal(5, ue(0), ue(I), ue(0), u(0, 4), ue(0), "00", "1" * 40)
    )
    good = later(P, 1, *ONE_LIST, KEEP, poc=poc)
    assert read_all(start, good, sps=sps, pps=pps)[1].previous_reference == 0
    for rest, message in (
        ((*ONE_LIST, *MARKED_LONG_TERM), "marked by explicit commands"),
        (("1", ue(1), "0", KEEP), "up to 2 references"),
        (("0", "1", ue(0), ue(1), ue(3), KEEP), "reordered"),
    ):
        with pytest.raises(BitstreamError, match=message):
            read_all(start, later(P, 1, *rest, poc=poc), sps=sps, pps=pps)


@pytest.mark.parametrize("marking", ["0", "1"])
def test_prediction_weights_are_skipped(marking):
    weights = (ue(5), ue(5), "1", se(30), se(-4), "1", se(1), se(2), se(3), se(4))
    tail = (ue(3), ue(0), ue(0)) if marking == "1" else ()
    picture = later(P, 1, *ONE_LIST, *weights, marking, *tail)
    if marking == "0":
        assert read_all(first(), picture, pps=parameters(weighted="1"))[1].previous_reference == 0
    else:
        with pytest.raises(BitstreamError, match="marked by explicit commands"):
            read_all(first(), picture, pps=parameters(weighted="1"))


def test_reordering_that_names_the_last_picture_is_accepted():
    picture = later(P, 1, "0", "1", ue(0), ue(0), ue(3), KEEP)  # "one before the current one", end
    assert read_all(first(), picture)[1].previous_reference == 0


@pytest.mark.parametrize(
    ("commands", "accepted"),
    [
        (("1", ue(1), ue(1), ue(0)), True),  # drops the picture before the last, as open GOPs do
        (("1", ue(1), ue(0), ue(0)), False),  # drops the last one
        (("1", ue(1), ue(1), ue(2), ue(0), ue(0)), False),  # and a long-term one
        (("1", ue(5), ue(0)), False),  # drops all
    ],
)
def test_marking_is_accepted_where_it_leaves_the_last_reference(commands, accepted):
    pictures = (first(), later(P, 1, *ONE_LIST, KEEP), later(P, 2, *ONE_LIST, *commands))
    if accepted:
        assert len(read_all(*pictures)) == 3
    else:
        with pytest.raises(BitstreamError, match="marked by explicit commands"):
            read_all(*pictures)


def test_a_long_term_first_picture_is_refused():
    start = nal(5, ue(0), ue(I), ue(0), u(0, 4), ue(0), u(0, 4), "01", "1" * 40)
    with pytest.raises(BitstreamError, match="marked by explicit commands"):
        read_all(start)


@pytest.mark.parametrize(
    ("slice_data", "sps", "message"),
    [
        (later(B, 2, "1", "0", "0", "0", KEEP), None, "b-pyramid"),  # a reference itself
        (later(B, 2, "1", "1", ue(0), ue(1), "0", "0", importance=0), None, "up to 2 references"),  # two later ones
        (later(B, 2, "1", "0", "0", "1", ue(0), ue(0), ue(3), importance=0), None, "reordered"),
        (later(B, 2, "1", "0", "0", "0", importance=0), sequence(references=1), "single reference"),
        (later(P, 3, *ONE_LIST, KEEP), None, "frame_num jumps"),
    ],
)
def test_slices_that_leave_the_reference_open_are_refused(slice_data, sps, message):
    with pytest.raises(BitstreamError, match=message):
        read_all(first(), later(P, 1, *ONE_LIST, KEEP), slice_data, sps=sps)


def test_a_plain_b_picture_is_accepted():
    said = read_all(first(), later(P, 1, *ONE_LIST, KEEP), later(B, 2, "1", "0", "0", "0", importance=0))
    assert not said[2].is_reference
    assert said[2].previous_reference == 1


def test_each_slice_of_a_picture_is_read():
    both = later(P, 1, *ONE_LIST, KEEP) + later(P, 1, "1", ue(2), "0", KEEP)
    with pytest.raises(BitstreamError, match="up to 3 references"):
        read_all(first(), both)

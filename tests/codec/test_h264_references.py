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

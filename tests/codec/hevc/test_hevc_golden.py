"""Every stream that has golden data: all vectors, references, modes and sizes right, 0 wrong blocks."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from sample_prediction import comparisons
from small_streams import decoded, shared_streams

from vssbench.codec.hevc.nal import parameter_sets_of_hvcc, read_nal_unit, split_length_prefixed
from vssbench.codec.hevc.picture_buffer import CodedPicture
from vssbench.codec.hevc.reader import HevcMotionReader, read_annex_b
from vssbench.errors import BitstreamError

ANNEX_B = (".hevc", ".265", ".h265")
FIELDS = ("mv", "ref_poc_delta", "pred_mode", "cu_log2", "part_mode")
HASHED = "hevcjs_bbb1080_50f"
LEAST_STREAMS, LEAST_BLOCKS = 76, 2_963_536  # what ../shared holds in arrays when this is written


def golden_streams() -> list[Path]:
    streams = shared_streams()
    golden = streams.parent / "reference" / "hevc" / "golden"
    return [f for f in sorted(streams.glob("*")) if f.suffix in ANNEX_B and (golden / f"{f.stem}.npz").exists()]


def picture_types(stream: bytes) -> list[str]:
    return [picture.picture_type for picture in decoded(stream)]


def own_types(pictures: list[CodedPicture]) -> list[str]:
    return ["BPI"[picture.slice_type] for picture in pictures]


def assert_golden(pictures: list[CodedPicture], golden) -> None:
    assert [picture.poc for picture in pictures] == golden["poc"].tolist()
    assert [picture.slice_type for picture in pictures] == golden["slice_type"].tolist()
    for index, picture in enumerate(pictures):
        assert picture.motion.coded_size == tuple(golden["coded_size"])
        assert picture.motion.display_size == tuple(golden["display_size"])
        for name in FIELDS:
            own, expected = getattr(picture.motion, name), golden[name][index]
            assert (own.dtype, own.shape) == (expected.dtype, expected.shape)
            wrong = own != expected
            assert not wrong.any(), f"{name} of picture {index}: {wrong.sum()} wrong, first at {np.argwhere(wrong)[0]}"


@pytest.mark.parametrize("file", golden_streams(), ids=lambda file: file.name)
def test_every_block_is_that_of_the_reference_decoder(file):
    pictures = list(read_annex_b([file.read_bytes()]))
    with np.load(file.parents[1] / "reference" / "hevc" / "golden" / f"{file.stem}.npz") as golden:
        assert_golden(pictures, golden)


def test_no_golden_stream_is_left_out(shared):
    files = golden_streams()
    assert len(files) + 2 >= LEAST_STREAMS  # the mp4 and the one with hashes have tests of their own
    blocks = 0
    for file in files:
        with np.load(shared / "reference" / "hevc" / "golden" / f"{file.stem}.npz") as golden:
            blocks += golden["pred_mode"].size
    assert blocks >= LEAST_BLOCKS


def test_1080p_has_the_hashes_of_the_reference_decoder(shared):
    facts = json.loads((shared / "reference" / "hevc" / "golden" / f"{HASHED}.json").read_text())
    stream = (shared / "streams" / f"{HASHED}.265").read_bytes()
    pictures = list(read_annex_b([stream]))
    motions = [picture.motion for picture in pictures]
    own = [(m.mv, m.ref_poc_delta, m.pred_mode) for m in motions]
    assert all(mv.shape[:2] == tuple(facts["grid"]) for mv, _, _ in own)
    assert [hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest() for arrays in own] == facts["sha256"]
    assert [picture.poc for picture in pictures] == facts["poc"]
    assert [picture.slice_type for picture in pictures] == facts["slice_type"]


def packets_of(file: Path) -> tuple[bytes | None, list[bytes]]:
    with av.open(str(file)) as container:
        video = container.streams.video[0]
        packets = [bytes(packet) for packet in container.demux(video) if packet.size]
        return video.codec_context.extradata, packets


def read_packets(file: Path) -> HevcMotionReader:
    extradata, packets = packets_of(file)
    reader = HevcMotionReader(extradata)
    for packet in packets:
        reader.read_access_unit(packet)
    reader.flush()
    return reader


def test_mp4_with_parameter_sets_in_hvcc_alone_is_read_packet_by_packet(shared):
    file = shared / "streams" / "self_ippp_hvcc.mp4"
    extradata, packets = packets_of(file)
    types = {unit[0] >> 1 for packet in packets for _, unit in split_length_prefixed(packet, 4)}
    assert types <= {*range(32), 39, 40}  # no VPS, SPS, PPS
    assert len(parameter_sets_of_hvcc(extradata)[1]) >= 3
    reader = read_packets(file)
    assert reader.errors == []
    with np.load(shared / "reference" / "hevc" / "golden" / "self_ippp.npz") as golden:
        assert_golden(reader.ready(), golden)


# --- streams without golden data ---


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hm_neg_422.hevc", "4:2:2"),
        ("kvz_neg_rdpcm.hevc", "implicit_rdpcm_enabled_flag"),
        ("kvz_neg_field_tff.hevc", "field_seq_flag"),
    ],
)
def test_what_is_outside_is_refused_by_name(shared, name, message):
    stream = (shared / "streams" / name).read_bytes()
    with pytest.raises(BitstreamError, match=message):
        list(read_annex_b([stream]))
    reader = HevcMotionReader()
    reader.push(stream)
    reader.flush()
    assert reader.ready() == []  # not one picture with the wrong vectors
    assert message in str(reader.errors[0])


def test_monochrome_pictures_are_as_many_and_of_the_types_that_ffmpeg_decodes(shared):
    stream = (shared / "streams" / "kvz_neg_400.hevc").read_bytes()
    pictures = list(read_annex_b([stream]))  # raises unless every picture ends on its last coding tree unit
    assert own_types(pictures) == picture_types(stream)
    assert len(pictures) == 8
    assert all(picture.motion.sps.chroma_array_type == 0 for picture in pictures)


def test_monochrome_vectors_predict_what_ffmpeg_decodes_up_to_sao(shared):
    # This stream is deblocked and has SAO on. Deblocking changes three samples on each side of the grid of 8x8, so
    # those at 3 and 4 of 0..7 stay, and SAO changes them by an offset of 7 at most (Table 9-38: 8 bit).
    stream = (shared / "streams" / "kvz_neg_400.hevc").read_bytes()
    along: Counter[int] = Counter()
    against: Counter[int] = Counter()
    for each in comparisons(list(read_annex_b([stream])), decoded(stream)):
        y = (each.rows[:, None] % 2) * 4 + np.arange(4)
        x = (each.columns[:, None] % 2) * 4 + np.arange(4)
        inside = ((y == 3) | (y == 4))[:, :, None] & ((x == 3) | (x == 4))[:, None, :]
        along.update(np.abs(each.decoded - each.predicted)[inside].tolist())
        against.update(np.abs(each.decoded - each.reversed_predicted)[inside].tolist())
    assert along.total() > 6000
    assert max(along) <= 7
    assert along[0] > 0.9 * along.total()
    assert sum(count for difference, count in against.items() if difference > 7) > 0.7 * against.total()


def test_pictures_of_a_second_layer_are_ignored(shared):
    file = shared / "streams" / "fate_multiview.mp4"
    extradata, packets = packets_of(file)
    length_size, _ = parameter_sets_of_hvcc(extradata)
    layers = Counter(
        read_nal_unit(unit).nuh_layer_id for packet in packets for _, unit in split_length_prefixed(packet, length_size)
    )
    assert layers[1] > 0
    reader = read_packets(file)
    assert reader.errors == []
    pictures = reader.ready()
    assert own_types(pictures) == picture_types(file.read_bytes())
    assert len(pictures) == len(packets) == 11


def test_a_cut_and_damaged_file_keeps_the_pictures_before_the_damage(shared):
    # FFmpeg says of its 31st picture "The cu_qp_delta -27 is outside the valid range [-26, 25]" and "Two slices
    # reporting being the first in the same frame", and of the 35th packet that a NAL unit is longer than it.
    reader = read_packets(shared / "streams" / "fate_two_first_slice.mp4")
    pictures = reader.ready()
    assert [picture.motion is not None for picture in pictures] == [True] * 30 + [False] * (len(pictures) - 30)
    first = str(reader.errors[0])
    assert first.startswith("picture 30 (POC 0) in decoding order, NAL unit ")
    assert "a quantiser difference is out of range (CTU 118 of 510" in first
    assert any("a packet holds 2 pictures" in str(error) for error in reader.errors)
    assert any("its packet has 4881 bytes" in str(error) for error in reader.errors)

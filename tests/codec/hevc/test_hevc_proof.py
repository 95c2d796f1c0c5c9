"""The proof without an oracle: vectors that we read predict the very samples that FFmpeg decodes.

With deblocking and SAO off, the luma of a skipped coding unit is its prediction and nothing else: the standard's
interpolation of one decoded picture, or the average of two. So FFmpeg's pixels check our vectors, bit for bit.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import av
import numpy as np
import pytest
from sample_prediction import tally
from small_streams import NO_FILTERS, decoded, encoded, is_slice, joined, nal_units

from vssbench.codec.hevc.nal import NalUnit, read_nal_unit
from vssbench.codec.hevc.parameter_sets import ActiveParameterSets, ParameterSets
from vssbench.codec.hevc.picture_buffer import CodedPicture
from vssbench.codec.hevc.picture_parser import PictureParser
from vssbench.codec.hevc.reader import HevcMotionReader, read_annex_b
from vssbench.codec.hevc.slice_header import SliceSegmentHeader, read_slice_segment_header
from vssbench.codec.hevc.syntax import MODE_INTRA, MODE_SKIP, B, I, P
from vssbench.errors import BitstreamError

PLAIN_P = "bframes=0:ref=1"
VARIANTS = {
    "P, 1 reference": (PLAIN_P, {}),
    "P, 1 reference, 10 bit": (PLAIN_P, {"bit_depth": 10}),
    "P, 4:0:0": (PLAIN_P, {"monochrome": True}),
    "B, 4:0:0, 10 bit": ("bframes=3:ref=3:b-adapt=0", {"monochrome": True, "bit_depth": 10}),
    "P, 3 references, CTU 32": ("bframes=0:ref=3:ctu=32", {}),
    "P, CTU 16, no TMVP": ("bframes=0:ref=2:ctu=16:max-tu-size=16:no-temporal-mvp=1", {}),
    "P, rect and AMP, 5 merge candidates": ("bframes=0:ref=2:rect=1:amp=1:max-merge=5", {}),
    "P, CTU 16, WPP": (f"{PLAIN_P}:ctu=16:max-tu-size=16:pools=1:wpp=1", {}),
    "P, odd size": (PLAIN_P, {"size": (154, 202)}),
    "B": ("bframes=3:ref=3:b-adapt=0", {}),
    "B, 10 bit, CTU 32": ("bframes=3:ref=3:b-adapt=0:ctu=32", {"bit_depth": 10}),
    "B, rect and AMP, 5 merge candidates, odd size": (
        "bframes=4:ref=4:b-adapt=0:rect=1:amp=1:max-merge=5:b-intra=1",
        {"size": (90, 166)},
    ),
    "B, no pyramid, CTU 16": ("bframes=2:ref=2:b-adapt=0:b-pyramid=0:ctu=16:max-tu-size=16", {}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_skipped_blocks_are_the_interpolated_reference_bit_for_bit(variant):
    params, form = VARIANTS[variant]
    stream = encoded(f"{params}:{NO_FILTERS}", qp=38, num_frames=9, **form)
    pictures = list(read_annex_b([stream]))
    total = tally(pictures, decoded(stream))
    assert total.equal == total.compared
    assert total.compared > 20_000
    assert total.moved > 10_000
    assert total.moved_equal_if_reversed < 0.2 * total.moved
    if variant.startswith("B"):
        assert total.bi_predicted > 5_000
    active = first_segment(stream).active  # the encoder did what was asked
    assert (active.sps.chroma_array_type == 0) == ("4:0:0" in variant)
    assert active.sps.bit_depth_y == (10 if "10 bit" in variant else 8)
    assert active.pps.entropy_coding_sync_enabled_flag == ("WPP" in variant)
    assert active.sps.amp_enabled_flag == ("AMP" in variant)
    assert active.sps.ctb_log2_size_y == next((k for k in (4, 5) if f"CTU {1 << k}" in variant), 6)
    assert active.sps.sps_temporal_mvp_enabled_flag == ("no TMVP" not in variant)


@pytest.mark.parametrize("name", ["self_nofilter.hevc", "kvz_notmvp_merge2.hevc"])
def test_skipped_blocks_of_given_streams_without_filters_are_the_interpolated_reference(shared, name):
    stream = (shared / "streams" / name).read_bytes()
    total = tally(list(read_annex_b([stream])), decoded(stream))
    assert total.equal == total.compared
    assert total.compared > 20_000


def test_the_proof_itself_notices_a_vector_that_is_a_quarter_sample_off():
    stream = encoded(f"{PLAIN_P}:{NO_FILTERS}", qp=38, num_frames=9)
    pictures = list(read_annex_b([stream]))
    for picture in pictures:
        picture.motion.mv[picture.motion.pred_mode == MODE_SKIP, 0, 0] += 1  # `mv` is a view of the words
    total = tally(pictures, decoded(stream))
    assert total.equal < 0.5 * total.compared


def test_with_one_reference_every_vector_points_into_the_previous_picture():
    pictures = list(read_annex_b([encoded(f"{PLAIN_P}:{NO_FILTERS}", qp=38, num_frames=9)]))
    assert [picture.slice_type for picture in pictures] == [I] + [P] * 8
    for picture in pictures[1:]:
        inter = picture.motion.pred_mode != 0
        assert inter.mean() > 0.5
        assert (picture.motion.ref_poc_delta[inter] == (-1, 0)).all()
        assert (picture.motion.ref_poc_delta[~inter] == 0).all()
        assert (picture.motion.mv[~inter] == 0).all()


@pytest.mark.parametrize("params", ["bframes=0:ref=1", "bframes=3:ref=3:b-adapt=0:keyint=6:open-gop=1"])
def test_types_and_number_of_pictures_are_those_of_ffmpeg(params):
    stream = encoded(params, num_frames=14)
    pictures = list(read_annex_b([stream]))
    assert ["BPI"[picture.slice_type] for picture in pictures] == [each.picture_type for each in decoded(stream)]
    assert len(pictures) == 14


# --- each slice segment ends exactly on its last coding tree unit ---


@dataclass(frozen=True, kw_only=True)
class Segment:
    """The slice data of an intra picture, ready to be read by itself."""

    active: ActiveParameterSets
    header: SliceSegmentHeader
    unit: NalUnit

    def read(self, *, active: ActiveParameterSets | None = None, rbsp: bytes | None = None):
        parser = PictureParser(active or self.active, 0)
        header = replace(self.header, active=active or self.active)
        parser.read_slice_segment(header, self.unit.rbsp if rbsp is None else rbsp, [[], []], None)
        return parser.finish()


def first_segment(stream: bytes) -> Segment:
    sets = ParameterSets()
    for data in nal_units(stream):
        unit = read_nal_unit(data)
        if is_slice(data):
            header = read_slice_segment_header(unit, sets.sps_by_id, sets.pps_by_id, None)
            return Segment(active=header.active, header=header, unit=unit)
        sets.add(unit)
    raise AssertionError("no slice")


def with_size(active: ActiveParameterSets, height: int, width: int) -> ActiveParameterSets:
    """The same parameter sets for a picture of another size."""
    sps = replace(active.sps, pic_height_in_luma_samples=height, pic_width_in_luma_samples=width)
    rows, columns = -(-height // (1 << sps.ctb_log2_size_y)), -(-width // (1 << sps.ctb_log2_size_y))
    return replace(active, sps=sps, column_boundaries=(0, columns), row_boundaries=(0, rows))


@pytest.fixture(scope="module")
def intra() -> Segment:
    return first_segment(encoded("bframes=0:ref=1:ctu=16:max-tu-size=16", num_frames=1, size=(64, 96), qp=24))


def test_a_whole_segment_ends_on_its_last_ctu(intra):
    assert (intra.read().pred_mode == MODE_INTRA).all()


def test_a_picture_with_one_row_of_ctus_too_many_or_too_few_is_refused(intra):
    with pytest.raises(BitstreamError, match="24 of 30 coding tree units came"):
        intra.read(active=with_size(intra.active, 80, 96))
    with pytest.raises(BitstreamError, match=r"go on after the last coding tree unit \(CTU 17 of 18"):
        intra.read(active=with_size(intra.active, 48, 96))


def test_every_cut_of_the_slice_data_is_refused(intra):
    rbsp = intra.unit.rbsp
    for length in range(intra.header.slice_data_offset + 1, len(rbsp)):
        with pytest.raises(BitstreamError, match=r"CTU \d+ of 24, byte \d+ of the slice data"):
            intra.read(rbsp=rbsp[:length])


def test_bytes_after_the_slice_data_are_refused_unless_they_are_zero(intra):
    assert (intra.read(rbsp=intra.unit.rbsp + bytes(6)).pred_mode == MODE_INTRA).all()  # cabac_zero_words
    for extra in (b"\x80", b"\x01", b"\x00\x00\x40", b"\xff" * 5):
        with pytest.raises(BitstreamError, match="do not end where end_of_slice_segment_flag says"):
            intra.read(rbsp=intra.unit.rbsp + extra)


def test_another_last_bit_of_the_slice_data_is_refused(intra):
    rbsp = bytearray(intra.unit.rbsp)
    rbsp[-1] ^= rbsp[-1] & -rbsp[-1]  # rbsp_slice_segment_trailing_bits without its 1
    with pytest.raises(BitstreamError):
        intra.read(rbsp=bytes(rbsp))


# --- how the bytes arrive does not matter ---

CHUNKED = "bframes=3:ref=3:b-adapt=0:keyint=5:open-gop=1"


def fields(pictures):
    return [
        (
            picture.poc,
            picture.sequence,
            picture.slice_type,
            picture.motion.blocks.tobytes(),
            picture.motion.units.tobytes(),
        )
        for picture in pictures
    ]


def chunks_of(data: bytes, sizes) -> list[bytes]:
    chunks, begin = [], 0
    while begin < len(data):
        size = next(sizes)
        chunks.append(data[begin : begin + size])
        begin += size
    return chunks


@pytest.mark.parametrize("most", [1, 2, 7, 1000])
def test_motion_does_not_depend_on_how_the_stream_is_cut_into_chunks(most):
    stream = encoded(CHUNKED, num_frames=12, size=(80, 112))
    whole = fields(read_annex_b([stream]))
    assert len(whole) == 12
    rng = np.random.default_rng(most)
    sizes = iter(lambda: int(rng.integers(1, most + 1)), None)
    assert fields(read_annex_b(chunks_of(stream, sizes))) == whole


def test_four_byte_and_three_byte_start_codes_and_zero_bytes_between_are_alike():
    stream = encoded(CHUNKED, num_frames=12, size=(80, 112))
    units = nal_units(stream)
    whole = fields(read_annex_b([stream]))
    assert fields(read_annex_b([joined(units)])) == whole
    assert fields(read_annex_b([b"".join(b"\x00\x00\x01" + unit for unit in units)])) == whole
    assert fields(read_annex_b([b"".join(b"\x00\x00\x00\x00\x01" + unit + b"\x00\x00" for unit in units)])) == whole


def of_container(data: bytes, *, annex_b: bool) -> list[CodedPicture]:
    """The packets of a file, each read as an access unit, as they are or through FFmpeg's conversion to Annex B."""
    with av.open(io.BytesIO(data)) as container:
        video = container.streams.video[0]
        packets = [packet for packet in container.demux(video) if packet.size]
        extradata = video.codec_context.extradata
        if annex_b:
            convert = av.BitStreamFilterContext("hevc_mp4toannexb", video)
            packets = [made for packet in packets for made in convert.filter(packet)]
            extradata = None
        reader = HevcMotionReader(extradata)
        pictures = []
        for packet in packets:
            picture = reader.read_access_unit(bytes(packet))
            assert picture is not None
            assert picture.motion is not None
            pictures += reader.ready()
        reader.flush()
        assert reader.errors == []
        return pictures + reader.ready()


@pytest.mark.parametrize("container", ["mp4", "matroska"])
@pytest.mark.parametrize("annex_b", [False, True])
def test_motion_is_the_same_in_a_container_and_in_annex_b(container, annex_b):
    form = {"num_frames": 12, "size": (80, 112)}
    expected = fields(read_annex_b([encoded(CHUNKED, **form)]))
    assert fields(of_container(encoded(CHUNKED, **form, container=container), annex_b=annex_b)) == expected


def test_a_stream_may_change_its_size_at_an_idr_picture():
    # Exercised by none of the given streams. Both sequences use SPS 0.
    small = encoded(CHUNKED, num_frames=7, size=(80, 112))
    large = encoded("bframes=0:ref=2:ctu=16:max-tu-size=16", num_frames=5, size=(154, 202))
    alone = [fields(read_annex_b([stream])) for stream in (small, large)]
    pictures = list(read_annex_b([small + large + small]))
    assert [picture.motion.display_size for picture in pictures] == [(80, 112)] * 7 + [(154, 202)] * 5 + [(80, 112)] * 7
    together = fields(pictures)
    without_sequence = [[(poc, *rest) for poc, _, *rest in each] for each in (together, *alone)]
    assert without_sequence[0] == without_sequence[1] + without_sequence[2] + without_sequence[1]
    assert [picture.sequence for picture in pictures] == [0] * 7 + [1] * 5 + [2] * 7


def test_reading_a_stream_twice_gives_the_same_and_readers_do_not_share_state():
    stream = encoded(CHUNKED, num_frames=12, size=(80, 112))
    other = encoded("bframes=0:ref=1:ctu=16:max-tu-size=16", num_frames=5, size=(64, 96))
    alone, alone_other = fields(read_annex_b([stream])), fields(read_annex_b([other]))
    interleaved: tuple[list[CodedPicture], list[CodedPicture]] = ([], [])
    readers = (HevcMotionReader(), HevcMotionReader())
    for begin in range(0, max(len(stream), len(other)), 500):
        for reader, data, pictures in zip(readers, (stream, other), interleaved, strict=True):
            reader.push(data[begin : begin + 500])
            pictures += reader.ready()
    for reader, pictures in zip(readers, interleaved, strict=True):
        reader.flush()
        pictures += reader.ready()
    assert (fields(interleaved[0]), fields(interleaved[1])) == (alone, alone_other)


def test_b_pictures_use_both_lists():
    pictures = list(read_annex_b([encoded("bframes=3:ref=3:b-adapt=0", num_frames=9)]))
    deltas = np.concatenate([p.motion.ref_poc_delta.reshape(-1, 2) for p in pictures if p.slice_type == B])
    assert ((deltas[:, 0] < 0) & (deltas[:, 1] > 0)).any()

from __future__ import annotations

import hashlib
import json
from itertools import pairwise

import av
import numpy as np
import pytest
from moving_pattern import moving_pattern, psnr, remux, slow_compose, texture, write_plainly
from PIL import Image

from vssbench.codec.decode import decode, probe
from vssbench.codec.encode import EncodeSettings, encode
from vssbench.codec.ffmpeg_vectors import VECTOR_DTYPE, raw_vectors
from vssbench.codec.residual import compensate
from vssbench.errors import BitstreamError, UsageError
from vssbench.records import MotionField

WITH_VECTORS = ["hevc", "h264", "mpeg4"]
WITH_B_FRAMES = [("hevc", 0), ("hevc", 2), ("h264", 0), ("h264", 2), ("mpeg4", 0)]


def encoded(path, codec, frames, **options):
    encode(frames, path, settings=EncodeSettings(codec=codec, bitrate_kbps=2000, **options))
    return path


def negated(motion):
    return MotionField(flow_px=-motion.flow_px, frames_back=motion.frames_back)


# --- vectors ---------------------------------------------------------------------------------------------------------


def test_mpeg4_vectors_equal_mv_extractors_in_all_337_frames(shared):
    golden = json.loads((shared / "reference/hevc/golden/vid_mpeg4_part2.json").read_text())
    fields = ("source", "w", "h", "src_x", "src_y", "dst_x", "dst_y", "motion_x", "motion_y", "motion_scale")
    found, types = [], []
    with av.open(str(shared / "streams/vid_mpeg4_part2.mp4")) as container:
        container.streams.video[0].codec_context.options = {"flags2": "+export_mvs"}
        for frame in container.decode(video=0):
            rows = raw_vectors(frame)
            assert rows.dtype == VECTOR_DTYPE
            table = np.stack([rows[name].astype("<i4") for name in fields], axis=1)
            found.append(hashlib.sha256(table.tobytes()).hexdigest())
            types.append("?IPB"[int(frame.pict_type)])
    assert len(found) == 337
    assert found == golden["sha256"]
    assert types == list(golden["frame_types"])


def test_decode_spreads_the_golden_streams_vectors_over_its_frames(shared):
    path = shared / "streams/vid_mpeg4_part2.mp4"
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.options = {"flags2": "+export_mvs"}
        rows = [raw_vectors(frame) for _, frame in zip(range(14), container.decode(video=0), strict=False)]
    for frame, vectors in zip(decode(path, motion=True), rows, strict=False):
        if frame.motion is None:
            assert len(vectors) == 0
            continue
        x, y = vectors["dst_x"].astype(int), vectors["dst_y"].astype(int)  # the block centre lies in the block
        inside = (x < 1280) & (y < 720)
        flow = frame.motion.flow_px[y[inside], x[inside]]
        np.testing.assert_array_equal(flow[:, 0], vectors["motion_x"][inside] / 2)  # half-pel
        np.testing.assert_array_equal(flow[:, 1], vectors["motion_y"][inside] / 2)


@pytest.mark.parametrize("codec", WITH_VECTORS)
def test_motion_points_back_to_where_the_pixel_was(tmp_path, codec):
    path = encoded(tmp_path / "v.mp4", codec, moving_pattern(4, velocity=(5, -3)))
    for frame in list(decode(path, motion=True))[1:]:
        inner = frame.motion.flow_px[16:-16, 16:-16]
        assert np.mean((inner == (5, -3)).all(axis=-1)) > 0.9
        assert set(np.unique(frame.motion.frames_back)) <= {0, 1}


@pytest.mark.parametrize("codec", WITH_VECTORS)
def test_half_a_pixel_a_frame_is_half_a_pixel_of_motion(tmp_path, codec):
    path = encoded(tmp_path / "v.mp4", codec, moving_pattern(4, velocity=(1, 3), oversampling=2))
    frame = list(decode(path, motion=True))[1]
    inner = frame.motion.flow_px[16:-16, 16:-16]
    assert np.mean((inner == (0.5, 1.5)).all(axis=-1)) > 0.8


@pytest.mark.parametrize(("codec", "b_frames"), WITH_B_FRAMES)
def test_compensation_along_the_vectors_rebuilds_the_frame(tmp_path, codec, b_frames):
    path = encoded(tmp_path / "v.mp4", codec, moving_pattern(7, velocity=(4, -3)), b_frames=b_frames)
    frames = list(decode(path, motion=True))
    for frame in frames[1:]:
        still = flipped = along = np.zeros_like(frame.rgb)
        for distance in set(np.unique(frame.motion.frames_back)) - {0}:
            here = (frame.motion.frames_back == distance)[..., None]
            reference = frames[frame.index - distance].rgb
            still = np.where(here, reference, still)
            along = np.where(here, compensate(reference, frame.motion), along)
            flipped = np.where(here, compensate(reference, negated(frame.motion)), flipped)
        intra = (frame.motion.frames_back == 0)[..., None]
        still, along, flipped = (np.where(intra, frame.rgb, picture) for picture in (still, along, flipped))
        assert psnr(along, frame.rgb) > psnr(still, frame.rgb) + 5
        assert psnr(along, frame.rgb) > psnr(flipped, frame.rgb) + 5


def test_b_frames_count_to_the_reference_frames_around_them(tmp_path):
    # I B B P B B P: past and future reference of frame 1 are 0 and 3, of frame 2 likewise, of frames 4, 5: 3 and 6.
    path = encoded(tmp_path / "v.mp4", "h264", moving_pattern(7), b_frames=2)
    allowed = {1: {0, 1, -2}, 2: {0, 2, -1}, 3: {0, 3}, 4: {0, 1, -2}, 5: {0, 2, -1}, 6: {0, 3}}
    frames = list(decode(path, motion=True))
    assert [frame.frame_type for frame in frames] == list("IBBPBBP")
    assert [frame.index for frame in frames] == list(range(7))
    for frame in frames[1:]:
        assert set(np.unique(frame.motion.frames_back)) <= allowed[frame.index]
        assert allowed[frame.index] & set(np.unique(frame.motion.frames_back)) - {0}


def test_the_last_frame_of_a_delayed_mpeg4_stream_keeps_its_vectors(tmp_path):
    # The stream allows B frames but has none, so the decoder holds a frame back and flushes the last one bare.
    options = {"flags": "+cgop", "mpv_flags": "+strict_gop", "sc_threshold": "1000000000"}
    pattern = moving_pattern(6, velocity=(2, -1))
    write_plainly(pattern, tmp_path / "v.mp4", "mpeg4", b_frames=2, gop_length=2, options=options)
    with av.open(str(tmp_path / "v.mp4")) as container:
        container.streams.video[0].codec_context.options = {"flags2": "+export_mvs"}
        flushed = [len(raw_vectors(frame)) for frame in container.decode(video=0)]
    assert flushed[-1] == 0
    frames = list(decode(tmp_path / "v.mp4", motion=True))
    assert [frame.frame_type for frame in frames] == list("IPIPIP")
    assert [frame.index for frame in frames] == list(range(6))
    for frame in frames[1::2]:
        inner = frame.motion.flow_px[16:-16, 16:-16]
        assert np.mean((inner == (2, -1)).all(axis=-1)) > 0.9


def test_some_b_blocks_point_into_the_future(tmp_path):
    # Frame 2 of I B B P opens a new scene, so that its blocks come from the P frame after it.
    first, second = texture((96, 128), seed=1), texture((96, 128), seed=2)
    path = encoded(tmp_path / "v.mp4", "h264", [first, first, second, second], b_frames=2)
    frame = list(decode(path, motion=True))[2]
    assert np.mean(frame.motion.frames_back == -1) > 0.5


def test_intra_blocks_have_no_motion_and_no_way_to_the_key_frame(tmp_path):
    # The right half becomes a new picture in frame 2 and is coded intra; what comes from there later is lost too.
    frames = [np.tile(texture((96, 64), seed=1), (1, 2, 1)) for _ in range(4)]
    for index in (2, 3):
        frames[index][:, 64:] = texture((96, 64), seed=7, smoothness=0.7)
    path = encoded(tmp_path / "v.mp4", "mpeg4", frames)
    for sampling in ("integer", "subpel"):
        decoded = list(decode(path, motion=True, motion_to_key=sampling))
        intra = ~decoded[2].motion.valid
        assert intra[:, 80:].mean() > 0.7
        assert intra[:, :48].mean() < 0.1
        assert (decoded[2].motion.flow_px[intra] == 0).all()
        assert decoded[3].motion.valid[:, 80:].mean() > 0.9  # predicted from frame 2 again
        still = decoded[3].motion.valid & (decoded[3].motion.flow_px == 0).all(axis=-1)
        assert (still & intra).mean() > 0.2
        assert not decoded[3].motion_to_key.valid[still & intra].any()
        assert (decoded[3].motion_to_key.flow_px[~decoded[3].motion_to_key.valid] == 0).all()
        assert (decoded[3].motion_to_key.frames_back[:, :48] == 3).mean() > 0.9


# --- tracing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("codec", "b_frames"), WITH_B_FRAMES)
@pytest.mark.parametrize("sampling", ["integer", "subpel"])
def test_motion_to_key_leads_to_the_i_frame(tmp_path, codec, sampling, b_frames):
    path = encoded(tmp_path / "v.mp4", codec, moving_pattern(9, velocity=(3, -2)), gop_length=7, b_frames=b_frames)
    keys = {0: 0, 7: 7}
    for frame in decode(path, motion_to_key=sampling):
        assert frame.motion is None
        if frame.frame_type == "I":
            assert frame.index in keys
            assert frame.motion_to_key is None
            continue
        distance = frame.index - (7 if frame.index > 7 else 0)
        to_key = frame.motion_to_key
        assert set(np.unique(to_key.frames_back)) <= {0, distance}
        inner = np.s_[24:-24, 32:-32]
        near = np.abs(to_key.flow_px[inner] - (3 * distance, -2 * distance)).max(axis=-1) <= 1
        assert near[to_key.valid[inner]].mean() > 0.9
        assert to_key.valid[inner].mean() > 0.9


@pytest.mark.parametrize("sampling", ["integer", "subpel"])
def test_motion_to_key_is_the_vectors_composed(tmp_path, sampling):
    path = encoded(tmp_path / "v.mp4", "mpeg4", moving_pattern(4, size=(32, 48), velocity=(5, 3), oversampling=2))
    frames = list(decode(path, motion=True, motion_to_key=sampling))
    fields = [(frame.motion.flow_px, frame.motion.valid) for frame in frames[1:]]
    for frame in frames[1:]:
        points = slow_compose(fields[: frame.index], (32, 48), subpel=sampling == "subpel")
        valid = ~np.isnan(points[..., 0])
        expected = points - np.stack(np.meshgrid(np.arange(48), np.arange(32)), -1)
        np.testing.assert_array_equal(frame.motion_to_key.valid, valid)
        np.testing.assert_allclose(frame.motion_to_key.flow_px[valid], expected[valid], atol=2e-5)


@pytest.mark.parametrize("sampling", ["integer", "subpel"])
def test_b_frames_are_traced_through_the_later_p_frame(tmp_path, sampling):
    # Frame 2 of I B B P: blocks that point to frame 3 go on from there to frame 0, in all 2 frames back.
    frames = list(moving_pattern(4, size=(32, 48), velocity=(4, 0)))
    path = encoded(tmp_path / "v.mp4", "h264", [frames[0], frames[1], frames[3], frames[3]], b_frames=2)
    decoded = list(decode(path, motion=True, motion_to_key=sampling))
    frame, later = decoded[2], decoded[3]
    forward = frame.motion.frames_back == -1
    assert forward.any()
    subpel = sampling == "subpel"
    past = slow_compose([(frame.motion.flow_px, frame.motion.frames_back > 0)], (32, 48), subpel=subpel)
    future = slow_compose(
        [(later.motion.flow_px, later.motion.valid), (frame.motion.flow_px, forward)], (32, 48), subpel=subpel
    )
    points = np.where(forward[..., None], future, past)
    valid = ~np.isnan(points[..., 0])
    expected = points - np.stack(np.meshgrid(np.arange(48), np.arange(32)), -1)
    np.testing.assert_array_equal(frame.motion_to_key.frames_back, np.where(valid, 2, 0))
    np.testing.assert_allclose(frame.motion_to_key.flow_px[valid], expected[valid], atol=2e-5)


def test_in_an_open_gop_a_path_into_the_next_gop_is_lost(tmp_path):
    # I B B P B B I: frames 4 and 5 point to the P frame before them or to the I frame after, which opens another GOP.
    scenes = [texture((64, 64), seed=seed) for seed in (1, 2)]
    write_plainly(
        iter([scenes[index >= 5] for index in range(10)]),
        tmp_path / "v.mp4",
        "libx264",
        b_frames=2,
        gop_length=6,
        options={"x264-params": "open-gop=1:scenecut=0:ref=1:weightp=0:b-adapt=0:b-pyramid=none"},
    )
    decoded = list(decode(tmp_path / "v.mp4", motion=True, motion_to_key="integer"))
    assert "".join(frame.frame_type for frame in decoded[:7]) == "IBBPBBI"
    into_next = decoded[5].motion.frames_back == -1
    assert into_next.mean() > 0.5
    assert not decoded[5].motion_to_key.valid[into_next].any()
    into_this = decoded[4].motion.frames_back == 1
    assert into_this.mean() > 0.5
    assert (decoded[4].motion_to_key.frames_back[into_this] == 4).mean() > 0.9


def test_a_gop_may_pass_255_frames(tmp_path):
    # One pixel every frame to the left, up to the border: frame 299 is 299 frames from its I frame.
    path = encoded(tmp_path / "v.mp4", "mpeg4", moving_pattern(300, size=(32, 32), velocity=(0, 0)), gop_length=300)
    last = list(decode(path, motion=True, motion_to_key="integer"))[-1]
    assert last.index == 299
    assert (last.motion_to_key.frames_back == 299).mean() > 0.9
    assert (last.motion.frames_back == 1).mean() > 0.9


# --- residual --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("codec", "b_frames"), WITH_B_FRAMES)
@pytest.mark.parametrize("compensation", ["integer", "bilinear"])
def test_residual_and_compensated_reference_add_up_to_the_frame(tmp_path, codec, b_frames, compensation):
    pattern = moving_pattern(7, velocity=(3, 1), oversampling=2)
    frames = list(decode(encoded(tmp_path / "v.mp4", codec, pattern, b_frames=b_frames), motion=True))
    with_residual = list(decode(tmp_path / "v.mp4", residual=compensation))
    assert with_residual[0].residual is None
    for frame in frames[1:]:
        prediction = predicted(frame.motion, frame.index, frames, compensation)
        if (second := frame.motion.second) is not None:
            both = prediction.astype(int) + predicted(second, frame.index, frames, compensation)
            prediction = np.where(second.valid[..., None], (both + 1) // 2, prediction)
        np.testing.assert_array_equal(prediction + with_residual[frame.index].residual, frame.rgb)


def predicted(motion, index, frames, compensation):
    """Each pixel from the frame that its own `frames_back` names; intra pixels from the nearest earlier reference."""
    past = max(frame.index for frame in frames if frame.frame_type != "B" and frame.index < index)
    result = compensate(frames[past].rgb, motion, compensation=compensation)
    for distance in np.unique(motion.frames_back[motion.valid]):
        other = compensate(frames[index - distance].rgb, motion, compensation=compensation)
        result = np.where((motion.frames_back == distance)[..., None], other, result)
    return result


def test_the_residual_is_smaller_than_the_frame_difference(tmp_path):
    path = encoded(tmp_path / "v.mp4", "h264", moving_pattern(4, velocity=(5, 2)))
    frames = list(decode(path, residual="integer"))
    for before, frame in pairwise(frames):
        difference = np.abs(frame.rgb.astype(int) - before.rgb)
        assert np.abs(frame.residual).mean() < difference.mean() / 3


# --- what is given ---------------------------------------------------------------------------------------------------


def test_nothing_is_given_that_was_not_asked_for(tmp_path):
    path = encoded(tmp_path / "v.mp4", "h264", moving_pattern(3))
    for frame in decode(path):
        assert (frame.motion, frame.motion_to_key, frame.residual) == (None, None, None)
    second = list(decode(path, residual="integer"))[1]
    assert (second.motion, second.motion_to_key) == (None, None)
    assert second.residual.shape == (96, 128, 3)


@pytest.mark.parametrize("codec", ["h264", "mpeg4", "hevc"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_pixels_are_the_decoders_in_display_order(tmp_path, codec, b_frames):
    path = encoded(tmp_path / "v.mp4", codec, moving_pattern(9), b_frames=b_frames)
    with av.open(str(path)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    frames = list(decode(path))
    assert len(frames) == len(expected) == 9
    for frame, rgb in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame.rgb, rgb)
    for frame, source in zip(frames, moving_pattern(9), strict=True):
        assert psnr(frame.rgb, source) > 25


@pytest.mark.parametrize("codec", WITH_VECTORS)
def test_size_bytes_are_those_of_the_frames_own_packet(tmp_path, codec):
    path = encoded(tmp_path / "v.mp4", codec, moving_pattern(9), b_frames=2)
    with av.open(str(path)) as container:
        sizes = {packet.pts: packet.size for packet in container.demux(video=0) if packet.size}
    expected = [sizes[time] for time in sorted(sizes)]  # by presentation time is display order
    assert [frame.size_bytes for frame in decode(path)] == expected
    if codec == "h264":
        assert [frame.size_bytes for frame in decode(path, motion=True)] == expected


@pytest.mark.parametrize("codec", ["h264", "mpeg4", "hevc"])
def test_a_stream_of_one_frame_is_one_i_frame(tmp_path, codec):
    side = {} if codec == "hevc" else {"motion": True, "motion_to_key": "subpel", "residual": "bilinear"}
    frames = list(decode(encoded(tmp_path / "v.mp4", codec, moving_pattern(1)), **side))
    assert [(frame.frame_type, frame.index) for frame in frames] == [("I", 0)]
    assert frames[0].motion is None


def test_probe_tells_codec_size_and_rate(tmp_path):
    path = encoded(tmp_path / "v.mp4", "mpeg4", moving_pattern(3, size=(48, 80)), fps=12.5)
    info = probe(path)
    assert (info.codec, info.size, info.fps) == ("mpeg4", (48, 80), 12.5)


@pytest.mark.parametrize("codec", WITH_VECTORS)
def test_odd_frame_times_change_nothing(tmp_path, codec):
    encoder, options = ("libx264", {"x264-params": "ref=1:weightp=0"}) if codec == "h264" else ("mpeg4", {})
    even, odd = tmp_path / "even.mkv", tmp_path / "odd.mkv"
    write_plainly(moving_pattern(5), even, encoder, options=options | {"qp": "20"} if codec == "h264" else options)
    write_plainly(
        moving_pattern(5),
        odd,
        encoder,
        options=options | {"qp": "20"} if codec == "h264" else options,
        times=[7, 8, 11, 12, 40],
    )
    one, two = (list(decode(path, motion=True)) for path in (even, odd))
    assert [frame.index for frame in two] == [0, 1, 2, 3, 4]
    for first, second in zip(one[1:], two[1:], strict=True):
        assert set(np.unique(second.motion.frames_back)) <= {0, 1}
        assert psnr(first.rgb, second.rgb) > 30


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_codec_without_a_reader_of_vectors_is_refused_by_name(tmp_path):
    write_plainly(moving_pattern(2), tmp_path / "v.mkv", "ffv1")
    assert len(list(decode(tmp_path / "v.mkv"))) == 2
    with pytest.raises(BitstreamError, match="no reader gives the motion vectors of ffv1"):
        decode(tmp_path / "v.mkv", motion=True)


@pytest.mark.parametrize(
    "side", [{"motion_to_key": "quarter"}, {"residual": "nearest"}], ids=lambda side: next(iter(side))
)
def test_unknown_options_are_refused(tmp_path, side):
    path = encoded(tmp_path / "v.mp4", "mpeg4", moving_pattern(2))
    with pytest.raises(UsageError, match="must be one of integer, "):
        decode(path, **side)


def read_until_error(path, **side):
    """How many frames a file gives before the error that it must end with, and the error's words."""
    read = []
    with pytest.raises(BitstreamError) as caught:
        read.extend(frame.index for frame in decode(path, **side))  # keeps what came before the error
    assert str(path) in str(caught.value)
    return len(read), str(caught.value)


def test_mpeg4_b_frames_give_pixels_but_not_the_zeros_that_ffmpeg_exports_as_their_motion(tmp_path):
    path = encoded(tmp_path / "v.mp4", "mpeg4", moving_pattern(7), b_frames=2)
    assert [frame.frame_type for frame in decode(path)] == list("IBBPBBP")
    assert "B frames FFmpeg exports zeros" in read_until_error(path, motion=True)[1]


@pytest.mark.parametrize("codec", ["h264", "mpeg4", "hevc"])
def test_a_file_cut_before_its_index_is_an_error(tmp_path, codec):
    path = encoded(tmp_path / "v.mp4", codec, moving_pattern(20))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert read_until_error(path)[0] == 0


@pytest.mark.parametrize("codec", ["h264", "mpeg4", "hevc"])
@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("share", [0.6, 0.97])
def test_a_file_cut_after_its_index_says_how_many_frames_were_read(tmp_path, codec, container, share):
    encoded(tmp_path / "whole.mp4", codec, moving_pattern(20))
    path = tmp_path / f"cut.{container}"
    remux(tmp_path / "whole.mp4", path, options={"movflags": "faststart"} if container == "mp4" else {})
    assert len(list(decode(path))) == 20
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    read, message = read_until_error(path)
    assert 0 < read < 20
    assert f"after {read} frames" in message


def test_a_file_cut_exactly_between_two_frames_is_an_error_where_its_header_counts_them(tmp_path):
    encoded(tmp_path / "whole.mp4", "mpeg4", moving_pattern(6))
    remux(tmp_path / "whole.mp4", tmp_path / "v.mp4", options={"movflags": "faststart"})
    with av.open(str(tmp_path / "v.mp4")) as container:
        end_of_third = [packet.pos + packet.size for packet in container.demux(video=0) if packet.size][2]
    (tmp_path / "v.mp4").write_bytes((tmp_path / "v.mp4").read_bytes()[:end_of_third])
    read, message = read_until_error(tmp_path / "v.mp4", motion=True)
    assert read == 3
    assert "after 3 frames (its header announces 6)" in message


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_raw_stream_cut_inside_a_picture_is_an_error(tmp_path, codec):
    encoded(tmp_path / "v.mp4", codec, moving_pattern(12, size=(144, 176)))
    raw = tmp_path / f"v.{codec}"
    remux(tmp_path / "v.mp4", raw, container_format=codec)
    assert len(list(decode(raw))) == 12
    raw.write_bytes(raw.read_bytes()[: -list(decode(raw))[-1].size_bytes * 2 // 3])
    assert read_until_error(raw)[0] == 11


def test_overwritten_bytes_are_an_error(tmp_path):
    path = encoded(tmp_path / "v.mp4", "mpeg4", moving_pattern(20))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 60] = bytes(range(100, 160))
    path.write_bytes(data)
    read, message = read_until_error(path)
    assert 0 < read < 20
    assert "damaged" in message


def test_what_is_no_video_is_an_error(tmp_path):
    Image.fromarray(texture((32, 32))).save(tmp_path / "still.png")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "notes.txt").write_text("FFmpeg would draw this text as a video\n" * 50)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    for name in ("still.png", "empty.mp4", "notes.txt", "noise.mp4", "sound.wav", "missing.mp4", "."):
        assert read_until_error(tmp_path / name)[0] == 0
        with pytest.raises(BitstreamError, match="0 frames were read"):
            probe(tmp_path / name)


def test_a_second_size_in_the_middle_is_an_error(tmp_path):
    parts = []
    for size in ((64, 64), (64, 96)):
        encoded(tmp_path / "part.mp4", "h264", moving_pattern(3, size=size))
        remux(tmp_path / "part.mp4", tmp_path / "part.h264", container_format="h264")
        parts.append((tmp_path / "part.h264").read_bytes())
    (tmp_path / "both.h264").write_bytes(b"".join(parts))
    read, message = read_until_error(tmp_path / "both.h264")
    assert read == 3
    assert "the frame size changes from (64, 64) to (64, 96)" in message


@pytest.mark.parametrize("side", [{}, {"motion": True}], ids=["pixels", "motion"])
def test_a_stream_that_does_not_start_with_an_i_frame_is_an_error(tmp_path, side):
    encoded(tmp_path / "v.mp4", "mpeg4", moving_pattern(6))
    with av.open(str(tmp_path / "v.mp4")) as given, av.open(str(tmp_path / "late.mkv"), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in list(given.demux(video=0))[2:]:
            if packet.size:
                packet.stream = stream
                made.mux(packet)
    assert "does not start with an I frame" in read_until_error(tmp_path / "late.mkv", **side)[1]


def test_the_cut_off_samples_of_ffmpegs_own_suite_are_errors(shared):
    streams = shared / "streams"
    assert 0 < read_until_error(streams / "fate_two_first_slice.mp4")[0] < 40
    assert read_until_error(streams / "fate_demo.mp4", motion=True)[0] < 5
    assert len(list(decode(streams / "fate_multiview.mp4"))) == 11


def test_a_real_stream_with_two_references_gives_pixels_but_no_guessed_motion(shared):
    path = shared / "streams/oh264_test_cif_P_CABAC_slice.264"
    assert sum(1 for _ in decode(path)) == 300
    assert "up to 2 references a direction" in read_until_error(path, motion=True)[1]

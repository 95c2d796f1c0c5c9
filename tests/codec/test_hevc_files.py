"""HEVC files as they are in the wild: through `read_motion` and `decode`, which must agree with each other."""

from __future__ import annotations

import av
import numpy as np
import pytest
from moving_pattern import moving_pattern, write_plainly

from vssbench.codec import read_motion
from vssbench.codec.decode import decode
from vssbench.codec.hevc.nal import AnnexBSplitter
from vssbench.errors import BitstreamError

QUIET = ":pools=none:frame-threads=1:log-level=none:scenecut=0"
IRAP = (19, 20, 21)


def streams_with_vectors(shared):
    golden = shared / "reference/hevc/golden"
    return [path for path in sorted((shared / "streams").glob("*.*")) if (golden / f"{path.stem}.npz").exists()]


def test_read_motion_gives_the_golden_vectors_of_every_stream(shared):
    paths = streams_with_vectors(shared)
    assert len(paths) >= 74
    for path in paths:
        golden = np.load(shared / f"reference/hevc/golden/{path.stem}.npz")
        frames = list(read_motion(path))
        assert [frame.hevc.poc for frame in frames] == golden["poc"].tolist(), path.name
        for index, frame in enumerate(frames):
            assert frame.index == index
            assert frame.size == tuple(golden["display_size"])
            np.testing.assert_array_equal(frame.mv, golden["mv"][index], err_msg=path.name)
            np.testing.assert_array_equal(frame.pred_mode, golden["pred_mode"][index])
            np.testing.assert_array_equal(frame.hevc.motion.ref_poc_delta, golden["ref_poc_delta"][index])
            np.testing.assert_array_equal(frame.frames_back != 0, golden["ref_poc_delta"][index] != 0)


def units(path):
    splitter = AnnexBSplitter()
    return [unit for _, unit in splitter.push(path.read_bytes()) + splitter.flush()]


def unit_type(unit):
    return unit[0] >> 1


def write_units(path, nal_units):
    path.write_bytes(b"".join(b"\0\0\0\1" + unit for unit in nal_units))
    return path


def raw_stream(path, params, frames, *, extra=QUIET, **options):
    write_plainly(frames, path, "libx265", options={"x265-params": params + extra}, container_format="hevc", **options)
    return path


@pytest.mark.parametrize("crop", [(4, 0, 0, 0), (8, 0, 4, 0), (2, 2, 2, 2), (0, 4, 0, 4)])
def test_pixels_and_vectors_agree_on_the_conformance_window(tmp_path, crop):
    whole = raw_stream(tmp_path / "whole.hevc", "keyint=9:bframes=0:ref=1", moving_pattern(4, size=(96, 128)))
    cropped = tmp_path / "cropped.hevc"
    left, right, top, bottom = crop
    with av.open(str(whole)) as source, cropped.open("wb") as target:
        edit = f"hevc_metadata=crop_left={left}:crop_right={right}:crop_top={top}:crop_bottom={bottom}"
        given = av.bitstream.BitStreamFilterContext(edit, source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            for made in given.filter(packet if packet.size else None):
                target.write(bytes(made))
    inside = (slice(top, 96 - bottom), slice(left, 128 - right))
    for before, after in zip(decode(whole, motion=True), decode(cropped, motion=True), strict=True):
        np.testing.assert_array_equal(after.rgb, before.rgb[inside])
        if after.motion is not None:
            np.testing.assert_array_equal(after.motion.flow_px, before.motion.flow_px[inside])
            assert after.motion.valid.any()


def test_a_picture_of_i_and_p_slices_is_a_p_frame_with_vectors(tmp_path):
    # x265 with three slices a picture, twice: as P pictures, and with an I picture at 5, whose first slice is taken.
    # With pools=none x265 writes slices that nobody can decode.
    params = "keyint=100:bframes=0:ref=1:weightp=0:slices=3:qp=30:rc-lookahead=5:log-level=none:scenecut=0"
    plain = raw_stream(tmp_path / "p.hevc", params, moving_pattern(8, size=(192, 256)), extra="")
    forced = tmp_path / "i.hevc"
    with av.open(str(forced), "w", format="hevc") as container:
        stream = container.add_stream("libx265", rate=30)
        stream.height, stream.width, stream.pix_fmt, stream.codec_context.thread_count = 192, 256, "yuv420p", 1
        stream.bit_rate = 800_000
        stream.options = {"x265-params": params}
        for index, rgb in enumerate(moving_pattern(8, size=(192, 256))):
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            picture.pts = index
            if index == 5:
                picture.pict_type = av.video.frame.PictureType.I
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    nal_units, other = units(plain), units(forced)
    slices = [[i for i, unit in enumerate(each) if unit_type(unit) < 32] for each in (nal_units, other)]
    assert len(slices[0]) == len(slices[1]) == 24
    nal_units[slices[0][15]] = other[slices[1][15]]
    mixed = write_units(tmp_path / "mixed.hevc", nal_units)
    vectors, frames = list(read_motion(mixed)), list(decode(mixed, motion=True))
    assert vectors[5].hevc.slice_type == 2  # of the first slice
    assert (vectors[5].frame_type, frames[5].frame_type) == ("P", "P")
    used = (vectors[5].frames_back != 0).any(axis=-1)
    np.testing.assert_array_equal(used, vectors[5].pred_mode > 0)
    assert 0.3 < used.mean() < 0.8
    np.testing.assert_array_equal(frames[5].motion.valid[::4, ::4], used)


@pytest.mark.parametrize("kind", ["cra", "idr"])
def test_pictures_given_up_at_a_new_sequence_do_not_stop_those_that_are_shown(tmp_path, kind):
    # At the third IRAP picture an end of sequence (CRA), or no_output_of_prior_pics_flag (IDR): what waits is dropped.
    params = f"keyint=10:min-keyint=10:open-gop={int(kind == 'cra')}:bframes=4:b-pyramid=1:b-adapt=0:ref=3"
    whole = raw_stream(tmp_path / "w.hevc", f"{params}:repeat-headers=1", moving_pattern(40, size=(64, 96)), b_frames=4)
    made, num_irap = [], 0
    for unit in units(whole):
        if unit_type(unit) in IRAP:
            num_irap += 1
            if num_irap == 3:
                at = len(made)
                while unit_type(made[at - 1]) >= 32:
                    at -= 1  # before its parameter sets
                made.insert(at, bytes([36 << 1, 1]))
                if kind == "idr":
                    unit = unit[:2] + bytes([unit[2] | 0x40]) + unit[3:]
        made.append(unit)
    path = write_units(tmp_path / "dropped.hevc", made)
    shown = [frame.index for frame in decode(path)]
    assert len(shown) < 40
    assert [frame.index for frame in read_motion(path)] == shown
    with pytest.raises(BitstreamError, match=r"frame \d+: it predicts from a picture that is never shown"):
        list(decode(path, motion=True))


def test_leading_pictures_may_be_shown_before_the_first_i_frame(shared, tmp_path):
    nal_units = units(shared / "streams/hm_idr_radl.hevc")
    second_irap = [i for i, unit in enumerate(nal_units) if unit_type(unit) in IRAP][1]
    sets = [unit for unit in nal_units if unit_type(unit) in (32, 33, 34)][:3]
    path = write_units(tmp_path / "radl.hevc", [*sets, *nal_units[second_irap:]])
    frames = list(read_motion(path))
    assert frames[0].frame_type != "I"
    assert (frames[0].frames_back < 0).any()
    dense = list(decode(path, motion=True))
    np.testing.assert_array_equal(dense[0].motion.flow_px, frames[0].dense().flow_px)
    with pytest.raises(BitstreamError, match=r"frame \d is shown before the first I frame"):
        list(decode(path, motion_to_key="integer"))


def test_edit_lists_hide_no_frame(tmp_path):
    plain, shifted = tmp_path / "plain.mp4", tmp_path / "shifted.mp4"
    options = {"x265-params": "keyint=10:min-keyint=10:bframes=0:open-gop=0" + QUIET}
    write_plainly(moving_pattern(15, size=(64, 96)), plain, "libx265", options=options)
    with (
        av.open(str(plain)) as source,
        av.open(str(shifted), "w", options={"avoid_negative_ts": "disabled", "use_editlist": "1"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                frames = round(5 / 30 / packet.time_base)
                packet.stream, packet.pts, packet.dts = stream, packet.pts - frames, packet.dts - frames
                target.mux(packet)
    types = [frame.frame_type for frame in read_motion(plain)]
    assert [frame.frame_type for frame in read_motion(shifted)] == types
    assert [frame.frame_type for frame in decode(shifted, motion=True)] == types
    assert len(list(decode(shifted))) == 15


def test_side_data_that_pyav_does_not_know_is_no_obstacle(shared):
    assert len(list(decode(shared / "streams/fate_multiview.mp4", motion=True))) == 11


def test_a_bad_parameter_set_is_the_cause_only_until_a_good_one_comes(tmp_path):
    plain = raw_stream(tmp_path / "p.hevc", "keyint=100:bframes=0:ref=1", moving_pattern(6, size=(64, 96)))
    nal_units = units(plain)
    slices = [i for i, unit in enumerate(nal_units) if unit_type(unit) < 32]
    nal_units[slices[4]] = nal_units[slices[4]][:2] + b"\xff\xff\xff"
    nal_units.insert(slices[2], bytes([35 << 1 | 0x80, 1, 0x50]))  # an access unit delimiter, broken
    damaged = []
    list(read_motion(write_units(tmp_path / "broken.hevc", nal_units), damaged=damaged))
    assert len(damaged) >= 2
    assert not any("a parameter set before it" in str(error) for error in damaged)

from __future__ import annotations

import tracemalloc
import zipfile
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from moving_pattern import moving_pattern

from vssbench.codec.block_motion import BlockMotion
from vssbench.codec.decode import VideoInfo, decode, probe
from vssbench.codec.encode import EncodeSettings, encode
from vssbench.codec.motion_file import write_motion_file
from vssbench.codec.vectors import FrameMotion, read_motion
from vssbench.errors import BitstreamError, UsageError

GOLDEN = ("mv", "ref_poc_delta", "pred_mode", "cu_log2", "part_mode")
GOLDEN += ("poc", "slice_type", "coded_size", "display_size")
INFO = VideoInfo(codec="h264", size=(64, 96), fps=30.0)


def written(path, out):
    num_frames = write_motion_file(read_motion(path), out, info=probe(path), video=path.name)
    with np.load(out) as file:
        arrays = {name: file[name] for name in file.files}
    assert len(arrays["index"]) == num_frames
    return arrays


def made_up(num_frames: int, *, size: tuple[int, int] = (64, 96), seed: int = 0) -> Iterator[FrameMotion]:
    """Frames of random vectors, one after another."""
    rng = np.random.default_rng(seed)
    grid = (size[0] // 4, size[1] // 4)
    for index in range(num_frames):
        yield FrameMotion(
            index=index,
            frame_type="P",
            size_bytes=1000 + index,
            mv=rng.integers(-40, 40, (*grid, 2, 2), np.int16),
            frames_back=rng.integers(0, 3, (*grid, 2), np.int16),
            pred_mode=rng.integers(0, 2, grid, np.uint8),
            size=size,
        )


@pytest.mark.parametrize(
    "stream",
    [
        "hm_outflag.hevc",  # pictures that are never shown
        "self_cra_start.hevc",  # RASL pictures are left out
        "kvz_odd174x142.hevc",  # shown: less than coded
        "self_b3ref4.hevc",  # B pyramid, several references
        "self_ippp_hvcc.mp4",
        "hm_ltr2_b_pocbits4.hevc",  # long-term references, order counts that wrap
    ],
)
def test_of_hevc_the_golden_arrays_come_out_under_their_names(shared, tmp_path, stream):
    arrays = written(shared / "streams" / stream, tmp_path / "v.npz")
    stem = stream.split(".")[0].removesuffix("_hvcc")
    with np.load(shared / f"reference/hevc/golden/{stem}.npz") as golden:
        assert set(GOLDEN) == set(golden.files)
        for name in GOLDEN:
            assert arrays[name].dtype == golden[name].dtype, name
            np.testing.assert_array_equal(arrays[name], golden[name], err_msg=name)


@pytest.mark.parametrize(("codec", "b_frames"), [("hevc", 0), ("hevc", 2), ("h264", 0), ("h264", 2), ("mpeg4", 0)])
def test_the_file_says_what_read_motion_and_decode_say(tmp_path, codec, b_frames):
    path = tmp_path / "v.mp4"
    settings = EncodeSettings(codec=codec, b_frames=b_frames, gop_length=5, bitrate_kbps=2000, fps=24)
    encode(moving_pattern(8, size=(98, 130), velocity=(3, -2)), path, settings=settings)
    arrays = written(path, tmp_path / "v.npz")
    for t, frame in enumerate(read_motion(path)):
        for name in ("mv", "frames_back", "pred_mode"):
            np.testing.assert_array_equal(arrays[name][t], getattr(frame, name))
        assert (arrays["index"][t], arrays["frame_type"][t]) == (frame.index, frame.frame_type)
        assert arrays["size_bytes"][t] == frame.size_bytes
    for t, frame in enumerate(decode(path, motion=True)):
        blocks = BlockMotion(
            mv=arrays["mv"][t],
            frames_back=arrays["frames_back"][t],
            cell_px=4,
            size=tuple(arrays["display_size"]),
            origin=tuple(arrays["display_origin"]),
        )
        if frame.motion is not None:
            dense = blocks.dense()
            np.testing.assert_array_equal(dense.flow_px, frame.motion.flow_px)
            np.testing.assert_array_equal(dense.frames_back, frame.motion.frames_back)
    assert len(arrays["mv"]) == 8
    assert "".join(arrays["frame_type"]) == "".join(settings.frame_types(8))
    assert tuple(arrays["display_size"]) == (98, 130)
    assert tuple(arrays["coded_size"] // 4) == arrays["mv"].shape[1:3]
    assert (arrays["codec"], arrays["video"], arrays["fps"]) == (codec, "v.mp4", 24)
    assert ("poc" in arrays) == (codec == "hevc")
    assert arrays["errors"].shape == (0,)


def test_types_and_compression_are_as_documented(tmp_path):
    out = tmp_path / "v.npz"
    write_motion_file(made_up(3), out, info=INFO)
    expected = {
        "mv": ((3, 16, 24, 2, 2), np.int16),
        "frames_back": ((3, 16, 24, 2), np.int16),
        "pred_mode": ((3, 16, 24), np.uint8),
        "index": ((3,), np.int32),
        "frame_type": ((3,), np.dtype("<U1")),
        "size_bytes": ((3,), np.int32),
    }
    with np.load(out) as arrays:
        assert {name: (arrays[name].shape, arrays[name].dtype) for name in expected} == expected
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_DEFLATED}


def test_memory_does_not_grow_with_the_video(tmp_path):
    def peak_bytes(num_frames: int) -> int:
        tracemalloc.start()
        write_motion_file(made_up(num_frames, size=(240, 320)), tmp_path / "v.npz", info=INFO)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    short, long = peak_bytes(20), peak_bytes(160)
    # 140 frames more, each 60 * 80 blocks of 13 bytes: 8.7 MB, of which not a tenth may stay in memory
    assert long - short < 0.87e6


def test_an_error_while_reading_leaves_nothing_behind_and_an_older_file_as_it_was(tmp_path):
    def broken() -> Iterator[FrameMotion]:
        yield from made_up(2)
        raise BitstreamError("picture 2 is damaged")

    out = tmp_path / "v.npz"
    out.write_bytes(b"older")
    with pytest.raises(BitstreamError, match="picture 2"):
        write_motion_file(broken(), out, info=INFO)
    assert [path.name for path in tmp_path.iterdir()] == ["v.npz"]
    assert out.read_bytes() == b"older"


def test_no_frame_is_an_error_and_no_file(tmp_path):
    with pytest.raises(BitstreamError, match="no frame"):
        write_motion_file(iter(()), tmp_path / "v.npz", info=INFO)
    assert not list(tmp_path.iterdir())


def test_a_change_of_the_coded_size_is_an_error(tmp_path):
    frames = [*made_up(1), replace(next(made_up(1, size=(64, 80))), size=(64, 96), index=1)]
    with pytest.raises(BitstreamError, match="frame 1: the coded size"):
        write_motion_file(frames, tmp_path / "v.npz", info=INFO)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UsageError, match="cannot write"):
        write_motion_file(made_up(1), tmp_path / "nowhere" / "v.npz", info=INFO)


def test_frames_left_out_and_errors_found_on_the_way_are_in_the_file(tmp_path):
    errors: list[BitstreamError] = []

    def damaged() -> Iterator[FrameMotion]:
        for frame in made_up(4):
            if frame.index == 1:
                errors.append(BitstreamError("picture 1 is damaged"))
            else:
                yield frame

    write_motion_file(damaged(), tmp_path / "v.npz", info=INFO, errors=errors)
    with np.load(tmp_path / "v.npz") as arrays:
        assert arrays["index"].tolist() == [0, 2, 3]
        assert arrays["errors"].tolist() == ["picture 1 is damaged"]

from __future__ import annotations

import av
import numpy as np
import pytest
from moving_pattern import moving_pattern, texture

from vssbench.codec import encode as encode_module
from vssbench.codec.decode import probe
from vssbench.codec.encode import EncodeSettings, encode
from vssbench.errors import BitstreamError, ShapeError, UsageError

CODECS = ["h264", "mpeg4", "hevc"]


def settings_for(codec, **options):
    return EncodeSettings(codec=codec, preset=None if codec == "mpeg4" else "ultrafast", **options)


def types_in(path):
    with av.open(str(path)) as container:
        return "".join("?IPB"[int(frame.pict_type)] for frame in container.decode(video=0))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    ("gop_length", "b_frames", "num_frames", "expected"),
    [
        (12, 0, 14, "IPPPPPPPPPPPIP"),
        (1, 0, 3, "III"),
        (6, 2, 14, "IBBPBPIBBPBPIP"),  # the last frame of a GOP, and of the video, is no B frame
        (3, 7, 7, "IBPIBPI"),  # more B frames asked for than fit
        (12, 0, 1, "I"),
        (12, 2, 1, "I"),
        (12, 2, 2, "IP"),
    ],
)
def test_stream_has_the_frame_types_asked_for(tmp_path, codec, gop_length, b_frames, num_frames, expected):
    path = tmp_path / "v.mp4"
    settings = settings_for(codec, gop_length=gop_length, b_frames=b_frames)
    encode(moving_pattern(num_frames), path, settings=settings)
    assert types_in(path) == expected
    assert "".join(settings.frame_types(num_frames)) == expected


@pytest.mark.parametrize("codec", CODECS)
def test_a_scene_cut_makes_no_extra_i_frame(tmp_path, codec):
    frames = [texture((64, 64), seed=index // 2) for index in range(8)]  # a cut every other frame
    encode(frames, tmp_path / "v.mp4", settings=settings_for(codec, gop_length=6))
    assert types_in(tmp_path / "v.mp4") == "IPPPPPIP"


@pytest.mark.parametrize(("codec", "gop_length"), [("h264", 300), ("mpeg4", 300), ("mpeg4", 700)])
def test_a_gop_may_pass_255_frames(tmp_path, codec, gop_length):
    # 700: FFmpeg's MPEG-4 encoder silently shortens a GOP to 600 unless told otherwise.
    encode(
        moving_pattern(gop_length + 2, size=(32, 32), velocity=(1, 0)),
        tmp_path / "v.mp4",
        settings=settings_for(codec, gop_length=gop_length),
    )
    types = types_in(tmp_path / "v.mp4")
    assert [index for index, kind in enumerate(types) if kind == "I"] == [0, gop_length]


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_frames_give_the_same_file(tmp_path, codec):
    for name in ("a.mp4", "b.mp4"):
        encode(moving_pattern(9), tmp_path / name, settings=settings_for(codec, bitrate_kbps=400))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize("codec", CODECS)
def test_bit_rate_is_in_units_of_1000_bit_per_second(tmp_path, codec):
    # 120 frames at 30 a second last 4 s: 400 kbps are 200,000 bytes, which rate control meets to a quarter.
    random = np.random.default_rng(0)
    noise = (random.integers(-20, 21, (144, 176, 3)) for _ in range(120))
    pattern = moving_pattern(120, size=(144, 176), velocity=(3, 1))
    frames = [np.clip(rgb + grain, 0, 255).astype(np.uint8) for rgb, grain in zip(pattern, noise, strict=True)]
    encode(frames, tmp_path / "v.mp4", settings=settings_for(codec, bitrate_kbps=400))
    assert (tmp_path / "v.mp4").stat().st_size == pytest.approx(200_000, rel=0.25)


def test_frame_rate_is_written(tmp_path):
    encode(moving_pattern(3), tmp_path / "v.mp4", settings=settings_for("mpeg4", fps=30000 / 1001))
    assert probe(tmp_path / "v.mp4").fps == pytest.approx(30000 / 1001, rel=1e-6)


def test_matroska_is_written_too(tmp_path):
    encode(moving_pattern(5), tmp_path / "v.mkv", settings=settings_for("h264"))
    assert types_in(tmp_path / "v.mkv") == "IPPPP"


def test_a_picture_is_one_slice_whatever_the_cores(tmp_path):
    encode(moving_pattern(4, size=(288, 352)), tmp_path / "v.mp4", settings=settings_for("h264"))
    with av.open(str(tmp_path / "v.mp4")) as container:
        for packet in container.demux(video=0):
            data, position, slices = bytes(packet), 0, 0
            while position < len(data):
                slices += data[position + 4] & 31 in (1, 5)  # nal_unit_type of a slice
                position += 4 + int.from_bytes(data[position : position + 4], "big")
            assert slices == (1 if data else 0)


@pytest.mark.parametrize(("size", "remedy"), [((45, 60), "44x60"), ((46, 61), "46x60"), ((45, 61), "46x62")])
def test_odd_sizes_are_refused_with_what_to_do(tmp_path, size, remedy):
    with pytest.raises(ShapeError, match=f"{size[0]}x{size[1]}.*{remedy}"):
        encode([np.zeros((*size, 3), np.uint8)], tmp_path / "v.mp4", settings=settings_for("h264"))
    assert not (tmp_path / "v.mp4").exists()


def test_frames_that_change_size_are_refused(tmp_path):
    frames = [np.zeros((64, 64, 3), np.uint8)] * 20 + [np.zeros((64, 96, 3), np.uint8)]
    with pytest.raises(ShapeError, match="frame 20 is 64x96, those before it 64x64"):
        encode(frames, tmp_path / "v.mp4", settings=settings_for("h264"))
    assert not (tmp_path / "v.mp4").exists()


@pytest.mark.parametrize("frame", [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.float32)])
def test_frames_that_are_no_rgb_bytes_are_refused(tmp_path, frame):
    with pytest.raises(ShapeError, match=r"frame 0 must be \(H, W, 3\) uint8"):
        encode([frame], tmp_path / "v.mp4", settings=settings_for("h264"))


def test_no_frames_are_refused(tmp_path):
    with pytest.raises(BitstreamError, match="no frames"):
        encode([], tmp_path / "v.mp4", settings=settings_for("h264"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codec": "h265"}, "unknown codec 'h265'; did you mean 'hevc'"),
        ({"codec": "mpg4"}, "did you mean 'mpeg4'"),
        ({"codec": "h264", "preset": "veryfst"}, "unknown preset 'veryfst'; did you mean 'veryfast'"),
        ({"codec": "mpeg4", "preset": "fast"}, "mpeg4 has no presets"),
        ({"codec": "h264", "gop_length": 0}, "gop_length must be a whole number of at least 1"),
        ({"codec": "h264", "b_frames": -1}, "b_frames must be a whole number of at least 0"),
        ({"codec": "h264", "b_frames": 17}, "at most 16"),
        ({"codec": "h264", "bitrate_kbps": 0}, "bitrate_kbps must be positive"),
        ({"codec": "h264", "fps": float("nan")}, "fps must be positive"),
    ],
)
def test_settings_out_of_range_are_refused_with_a_hint(options, message):
    with pytest.raises(UsageError, match=message):
        EncodeSettings(**options)


def test_condition_names_every_choice_with_defaults_resolved():
    assert EncodeSettings(codec="hevc").condition() == {
        "codec": "hevc",
        "gop_length": 12,
        "bitrate_kbps": None,
        "preset": "medium",
        "fps": 30.0,
        "b_frames": 0,
    }
    assert EncodeSettings(codec="mpeg4").condition()["preset"] is None


def test_b_frames_with_a_short_lookahead_are_possible(tmp_path):
    # x265's ultrafast preset looks 5 frames ahead and refuses 5 B frames unless told to look further.
    encode(moving_pattern(8), tmp_path / "v.mp4", settings=settings_for("hevc", b_frames=5))
    assert types_in(tmp_path / "v.mp4") == "IBBBBBPP"


@pytest.mark.parametrize(
    ("codec", "ignored", "message"),
    [
        ("h264", "keyint=", "settings: asked for 14 frames IPPPPPIPPPPPIP"),
        ("h264", "ref=1", r"up to \d references a direction"),
        ("hevc", "keyint=", "settings: asked for 14 frames IPPPPPIPPPPPIP"),
        ("hevc", "amp=", r"x265 ignored rect=1:amp=1"),
        ("hevc", "rect=", r"x265 ignored rect=1:amp=1"),
        ("hevc", "ref=1", r"x265 ignored ref=1: frame \d has \d references"),
    ],
)
def test_an_option_that_ffmpeg_ignores_is_found_in_the_stream(tmp_path, monkeypatch, codec, ignored, message):
    honest = encode_module._options

    def misspelt(settings, b_frames):
        options = honest(settings, b_frames)
        name = "x264-params" if codec == "h264" else "x265-params"
        kept = [item for item in options[name].split(":") if not item.startswith(ignored)]
        if ignored == "keyint=":  # FFmpeg's own gop_size, given apart, must not stand in for it
            kept.append("keyint=100")
        return options | {name: ":".join(kept), "preset": "medium"}

    monkeypatch.setattr(encode_module, "_options", misspelt)
    with pytest.raises(BitstreamError, match=message):
        encode(moving_pattern(14), tmp_path / "v.mp4", settings=settings_for(codec, gop_length=6))
    assert not (tmp_path / "v.mp4").exists()


def test_a_source_that_fails_leaves_no_file(tmp_path):
    def failing():
        yield from moving_pattern(20)
        raise RuntimeError("source broke")

    with pytest.raises(RuntimeError, match="source broke"):
        encode(failing(), tmp_path / "v.mp4", settings=settings_for("mpeg4"))
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_fails_is_named(tmp_path):
    # MPEG-4 Part 2 cannot count time finer than 1/65535 s.
    with pytest.raises(BitstreamError, match=r"codec='mpeg4'.*failed at frame 0"):
        encode(moving_pattern(2), tmp_path / "v.mp4", settings=settings_for("mpeg4", fps=1e6))
    assert not (tmp_path / "v.mp4").exists()


def test_paths_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"cannot write .*missing"):
        encode(moving_pattern(2), tmp_path / "missing" / "v.mp4", settings=settings_for("mpeg4"))
    with pytest.raises(UsageError, match=r"written as \.mp4 or \.mkv, got 'v\.gif'"):
        encode(moving_pattern(2), tmp_path / "v.gif", settings=settings_for("mpeg4"))


def test_x265_is_promised_no_more_b_frames_than_the_video_can_hold(tmp_path):
    # One frame with B frames promised gets undefined decoding times, which fail now and then.
    encode(moving_pattern(1), tmp_path / "v.mp4", settings=settings_for("hevc", b_frames=2))
    assert b" bframes=0 " in (tmp_path / "v.mp4").read_bytes()

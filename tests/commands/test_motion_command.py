from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import run_bench
from vssbench.codec.encode import EncodeSettings, encode
from vssbench.codec.vectors import read_motion
from vssbench.commands import motion as motion_command

SIZE = (96, 128)
NUM_FRAMES, GOP = 12, 4


def moving_frames(num_frames: int = NUM_FRAMES):
    """A rough texture that moves by (-3, 2) pixels a frame."""
    blocks = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    texture = np.asarray(Image.fromarray(blocks).resize((240, 200), Image.Resampling.BICUBIC))
    for t in range(num_frames):
        yield texture[40 - 2 * t : 40 - 2 * t + SIZE[0], 3 * t : 3 * t + SIZE[1]]


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> dict[str, Path]:
    """One video a codec."""
    folder = tmp_path_factory.mktemp("videos")
    for codec in ("hevc", "h264", "mpeg4"):
        settings = EncodeSettings(codec=codec, gop_length=GOP, bitrate_kbps=1500)
        encode(moving_frames(), folder / f"{codec}.mp4", settings=settings)
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture
def damaged(videos, tmp_path) -> Path:
    """The HEVC video with frame 5, a P frame of its second GOP, overwritten in the middle."""
    with av.open(str(videos["hevc"])) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    position, size = packets[5]
    data = bytearray(videos["hevc"].read_bytes())
    first, stop = position + size // 3, position + size
    data[first:stop] = (bytes(range(1, 256)) * size)[: stop - first]
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    return path


def run(*words: object) -> int:
    return run_bench.main(["motion", *map(str, words), "-q"])


def names(folder: Path) -> set[str]:
    """What lies in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("codec", ["hevc", "h264", "mpeg4"])
def test_the_file_holds_every_frames_vectors(videos, tmp_path, codec, capsys):
    out = tmp_path / "v.npz"
    assert run(videos[codec], "-o", out) == 0
    with np.load(out) as arrays:
        for t, frame in enumerate(read_motion(videos[codec])):
            np.testing.assert_array_equal(arrays["mv"][t], frame.mv)
            np.testing.assert_array_equal(arrays["frames_back"][t], frame.frames_back)
        assert len(arrays["mv"]) == NUM_FRAMES
        assert arrays["video"] == videos[codec].name
    assert names(tmp_path) == {"v.npz"}
    assert f"{codec}, 96x128 (height x width), 12 frames" in capsys.readouterr().out


@pytest.mark.parametrize("codec", ["hevc", "h264", "mpeg4"])
def test_without_an_output_a_table_says_what_the_vectors_are_like(videos, codec, capsys):
    assert run(videos[codec]) == 0
    rows = {
        line.split()[0]: line.split("  ") for line in capsys.readouterr().out.splitlines() if line[:2] in ("I ", "P ")
    }
    of_i, of_p = ([cell.strip() for cell in rows[kind] if cell.strip()] for kind in "IP")
    assert of_i[1] == "3"
    assert of_i[3:5] == ["100.0 %", "0.0 %"]
    assert of_p[1] == "9"
    assert of_p[-1] == "1: 100.0 %"
    # 3, 2 pixels a frame: 3.6 px
    assert float(of_p[-2].removesuffix(" px")) == pytest.approx(3.6, abs=0.5)
    assert (of_p[5] == "-") == (codec != "hevc"), "FFmpeg does not tell of skipped blocks"


def test_the_summary_as_json(videos, capsys):
    assert run(videos["hevc"], "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["codec"], said["height"], said["width"], said["fps"], said["frames"]) == ("hevc", 96, 128, 30, 12)
    of_p = said["types"]["P"]
    assert of_p["frames"] == 9
    assert of_p["intra"] + of_p["inter"] + of_p["skipped"] == pytest.approx(1)
    assert of_p["references"] == {"1": 1}
    assert said["types"]["I"]["mean_length_px"] is None
    assert said["errors"] == []
    assert said["size_bytes"] == sum(frame.size_bytes for frame in read_motion(videos["hevc"]))


def test_overlay_and_still_show_the_vectors(videos, tmp_path):
    words = ("--overlay", tmp_path / "o.mkv", "--png", tmp_path / "f.png", "--frame", 5, "--zoom", 2)
    assert run(videos["h264"], *words) == 0
    with av.open(str(tmp_path / "o.mkv")) as made:
        frames = [frame.to_ndarray(format="rgb24") for frame in made.decode(video=0)]
    assert len(frames) == NUM_FRAMES
    with Image.open(tmp_path / "f.png") as still:
        drawn = np.asarray(still)
    assert drawn.shape == frames[5].shape == (192, 256, 3)
    assert np.mean(abs(frames[5].astype(int) - drawn)) < 8, "frame 5 of the video is that picture"
    assert (drawn == (240, 228, 66)).all(axis=-1).sum() > 50, "yellow: one frame back"
    assert names(tmp_path) == {"o.mkv", "f.png"}


def test_damage_ends_it_names_the_picture_and_leaves_no_file(damaged, tmp_path, capsys):
    assert run(damaged, "-o", tmp_path / "v.npz") == 3
    said = capsys.readouterr().err
    assert "damaged.mp4: picture 5 (POC" in said
    assert "byte" in said
    assert names(tmp_path) == {"damaged.mp4"}


def test_keep_going_writes_what_could_be_read_says_what_not_and_exits_1(videos, damaged, tmp_path, capsys):
    assert run(damaged, "-o", tmp_path / "v.npz", "--keep-going") == 1
    said = capsys.readouterr()
    assert "picture 5" in said.err
    assert "errors: what they cost is left out" in said.out
    whole = list(read_motion(videos["hevc"]))
    with np.load(tmp_path / "v.npz") as arrays:
        indices = arrays["index"].tolist()
        # the frames before it and the third GOP; 6 and 7 may predict their vectors from frame 5
        assert indices in ([0, 1, 2, 3, 4, 8, 9, 10, 11], [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11])
        for t, index in enumerate(indices):
            np.testing.assert_array_equal(arrays["mv"][t], whole[index].mv)
            assert arrays["frame_type"][t] == whole[index].frame_type
        assert "picture 5" in arrays["errors"][0]


def test_keep_going_draws_up_to_the_damage(damaged, tmp_path, capsys):
    assert run(damaged, "--overlay", tmp_path / "o.mp4", "--keep-going") == 1
    assert "ends before the first damage" in capsys.readouterr().err
    with av.open(str(tmp_path / "o.mp4")) as made:
        assert 1 <= sum(1 for _ in made.decode(video=0)) <= 5


def test_keep_going_keeps_an_h264_video_up_to_where_it_is_cut(videos, tmp_path, capsys):
    cut = tmp_path / "cut.mkv"
    with av.open(str(videos["h264"])) as given, av.open(str(cut), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.size:
                packet.stream = stream
                made.mux(packet)
    data = cut.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3])
    assert run(cut, "-o", tmp_path / "v.npz") == 3
    assert not (tmp_path / "v.npz").exists()
    assert run(cut, "-o", tmp_path / "v.npz", "--keep-going") == 1
    with np.load(tmp_path / "v.npz") as arrays:
        count = len(arrays["index"])
        assert 3 < count < NUM_FRAMES
        assert arrays["index"].tolist() == list(range(count))
        assert len(arrays["errors"]) == 1
    assert "cut short" in capsys.readouterr().err


def test_a_video_of_which_nothing_can_be_read_exits_3_even_when_asked_to_keep_going(tmp_path, capsys):
    path = tmp_path / "v.hevc"
    path.write_bytes(b"\x00\x00\x01" + bytes(range(256)) * 20)
    assert run(path, "-o", tmp_path / "v.npz", "--keep-going") == 3
    assert "v.hevc" in capsys.readouterr().err
    assert names(tmp_path) == {"v.hevc"}


def test_files_that_are_there_are_written_over_on_request_only(videos, tmp_path, capsys):
    out = tmp_path / "v.npz"
    out.write_bytes(b"older")
    assert run(videos["mpeg4"], "-o", out) == 2
    assert "--force" in capsys.readouterr().err
    assert out.read_bytes() == b"older"
    assert run(videos["mpeg4"], "-o", out, "--force") == 0
    assert len(np.load(out)["mv"]) == NUM_FRAMES


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["missing.mp4"], 3, "no such video file"),
        (["text.mp4"], 3, "no video"),
        (["ffv1.mkv"], 3, "no reader gives the motion vectors of ffv1"),
        (["good.mp4", "-o", "v.npy"], 2, "ending in .npz"),
        (["good.mp4", "--overlay", "v.avi"], 2, "ending in .mp4 or .mkv"),
        (["good.mp4", "--overlay", "good.mp4", "--force"], 2, "names the video itself"),
        (["good.mp4", "-o", "nowhere/v.npz"], 2, "there is no folder"),
        (["good.mp4", "--png", "f.png"], 2, "--frame N go together"),
        (["good.mp4", "--png", "f.png", "--frame", "12"], 2, "has no frame 12; the first is 0, the last 11"),
        (["good.mp4", "--png", "f.png", "--frame", "1", "--grid", "2"], 2, "at least 4 pixels"),
    ],
)
def test_wrong_videos_and_wrong_usage_say_what_to_do(videos, tmp_path, monkeypatch, capsys, words, code, said):
    monkeypatch.chdir(tmp_path)
    Path("good.mp4").write_bytes(videos["mpeg4"].read_bytes())
    Path("text.mp4").write_text("no video at all")
    with av.open("ffv1.mkv", "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode())
    before = names(tmp_path)
    assert run(*words) == code
    assert said in capsys.readouterr().err
    assert names(tmp_path) == before


def test_an_interrupt_leaves_nothing_half_written(videos, tmp_path, monkeypatch, capsys):
    def interrupted(path):
        for frame in read_motion(path):
            if frame.index == 3:
                raise KeyboardInterrupt
            yield frame

    monkeypatch.setattr(motion_command, "read_motion", interrupted)
    assert run(videos["h264"], "-o", tmp_path / "v.npz") == 130
    assert "interrupted" in capsys.readouterr().err
    assert not names(tmp_path)


def test_help_names_the_arrays_the_colours_and_the_exit_codes():
    program = str(Path(run_bench.__file__))
    said = subprocess.run([sys.executable, program, "motion", "--help"], capture_output=True, text=True, check=True)
    for word in ("-o FILE.npz", "--overlay", "--keep-going", "frames_back", "ref_poc_delta", "vermilion", "exit codes"):
        assert word in said.stdout

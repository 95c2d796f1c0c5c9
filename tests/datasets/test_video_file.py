import numpy as np
import pytest
from small_files import cut_short, write_video

from vssbench.datasets.video_file import VideoFile, video_index
from vssbench.errors import DatasetError

# Open GOPs and B frames: the hardest to seek in.
OPEN_GOPS = {"x264-params": "keyint=10:bframes=3:open-gop=1:scenecut=0:log-level=none"}
CLOSED_GOPS = {"x264-params": "keyint=6:min-keyint=6:bframes=0:scenecut=0:log-level=none"}
X265 = {"x265-params": "keyint=10:bframes=3:open-gop=1:scenecut=0:log-level=none"}


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", OPEN_GOPS),
        ("a.mkv", "libx264", CLOSED_GOPS),
        ("a.ts", "libx264", OPEN_GOPS),
        ("a.264", "libx264", OPEN_GOPS),  # no times: read from the start
        ("a.avi", "mpeg4", None),
        ("h.mp4", "libx265", X265),
    ],
)
def test_any_range_reads_the_frames_of_a_whole_decode(tmp_path, name, codec, options):
    path = write_video(tmp_path / name, count=32, codec=codec, options=options)
    index = video_index(path)
    video = VideoFile(path=path)
    whole = list(video.read(0, 32))
    assert index.num_frames == len(whole) == 32
    assert index.size == (64, 96)
    assert len({frame.tobytes() for frame in whole}) == 32  # so a shift by one frame would show
    for start in range(0, 32, 3):
        stop = min(start + 4, 32)
        np.testing.assert_array_equal(list(video.read(start, stop)), whole[start:stop])


def test_a_late_range_is_not_decoded_from_the_start(tmp_path, monkeypatch):
    video = VideoFile(path=write_video(tmp_path / "a.mp4", count=32, options=CLOSED_GOPS))
    expected = list(video.read(0, 32))[25:27]

    def never(*_):
        raise AssertionError("read from the beginning")

    monkeypatch.setattr(VideoFile, "_from_beginning", never)
    np.testing.assert_array_equal(list(video.read(25, 27)), expected)


def test_the_rate_is_the_streams(tmp_path):
    assert video_index(write_video(tmp_path / "a.mp4", rate=15)).fps == 15.0


def test_a_video_of_one_frame_and_one_past_255_are_counted(tmp_path):
    assert video_index(write_video(tmp_path / "one.mp4", count=1)).num_frames == 1
    path = write_video(tmp_path / "many.avi", count=300, codec="mpeg4")
    assert video_index(path).num_frames == 300
    np.testing.assert_array_equal(
        next(VideoFile(path=path).read(299, 300)), list(VideoFile(path=path).read(290, 300))[-1]
    )


def test_a_changed_file_is_counted_again(tmp_path):
    path = write_video(tmp_path / "a.mkv", count=5)
    assert video_index(path).num_frames == 5
    write_video(path, count=9)
    assert video_index(path).num_frames == 9


def test_a_range_past_the_end_of_the_file_is_refused(tmp_path):
    video = VideoFile(path=write_video(tmp_path / "a.mp4", count=5))
    with pytest.raises(DatasetError, match=r"frames 3\.\.5 .*a\.mp4: it has the frames 0\.\.4"):
        list(video.read(3, 6))


@pytest.mark.parametrize(
    ("name", "codec", "says"),
    [
        ("a.mp4", "libx264", r"truncated: .*states 2\.40 s, decoding ends after"),
        ("a.mkv", "libx264", r"truncated: .*states 2\.40 s, decoding ends after"),
        ("a.avi", "mpeg4", r"video (damaged|truncated): .*a\.avi"),
        ("a.mov", "libx264", "unreadable"),  # its index was at the end
    ],
)
def test_a_truncated_video_is_refused(tmp_path, name, codec, says):
    path = cut_short(
        write_video(tmp_path / name, count=60, codec=codec, options=OPEN_GOPS if codec != "mpeg4" else None)
    )
    with pytest.raises(DatasetError, match=says):
        video_index(path)


def test_a_file_that_is_no_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"hello" * 100)
    with pytest.raises(DatasetError, match=r"video unreadable: .*a\.mp4"):
        video_index(tmp_path / "a.mp4")


def test_a_missing_video_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"video missing: .*a\.mp4"):
        video_index(tmp_path / "a.mp4")

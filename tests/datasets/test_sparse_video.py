import numpy as np
import pytest
from small_files import SIZE, label, picture, save, write_video

from vssbench.datasets.label_files import class_numbers
from vssbench.datasets.sparse_video import SparseVideo
from vssbench.errors import DatasetError
from vssbench.records import IGNORE

VIDEO_SIZE = (64, 96)


def only_video(dataset):
    (video,) = dataset.videos("test")
    return video


def write_frames(folder, numbers):
    for number in numbers:
        save(folder / f"run_{number:06d}.png", picture(number))
    return folder


def test_a_csv_file_names_the_annotated_frames(tmp_path):
    video_path = write_video(tmp_path / "drive.mp4", count=20)
    save(tmp_path / "truth" / "x.png", label(4, size=VIDEO_SIZE))
    (tmp_path / "labels.csv").write_text("frame,label\n7,truth/x.png\n")
    video = only_video(SparseVideo(video_path, tmp_path / "labels.csv"))
    assert (video.name, video.num_frames, video.size, video.fps) == ("drive", 20, VIDEO_SIZE, 25.0)
    assert list(video.labels) == [7]
    np.testing.assert_array_equal(
        video.labels[7], np.where(label(4, size=VIDEO_SIZE) == 11, IGNORE, label(4, size=VIDEO_SIZE))
    )


def test_a_folder_of_labels_names_the_frames_by_its_file_names(tmp_path):
    video_path = write_video(tmp_path / "drive.mp4", count=20)
    for name in ("0006R0_00005.png", "0006R0_00012_L.png"):
        save(tmp_path / "labels" / name, label(0, size=VIDEO_SIZE))
    assert list(only_video(SparseVideo(video_path, tmp_path / "labels")).labels) == [5, 12]


def test_the_number_of_the_first_frame_shifts_the_labels(tmp_path):
    # As in CamVid, where the first picture of a recording need not be the data set's number 0.
    video_path = write_video(tmp_path / "drive.mp4", count=20)
    save(tmp_path / "labels" / "f00930.png", label(0, size=VIDEO_SIZE))
    dataset = SparseVideo(video_path, tmp_path / "labels", first_number=927)
    assert list(only_video(dataset).labels) == [3]


def test_a_mapping_names_the_frames_too(tmp_path):
    video_path = write_video(tmp_path / "drive.mp4", count=5)
    path = save(tmp_path / "x.png", label(0, size=VIDEO_SIZE))
    assert list(only_video(SparseVideo(video_path, {4: path})).labels) == [4]


def test_in_a_folder_of_images_a_label_belongs_to_the_image_of_its_number(tmp_path):
    write_frames(tmp_path / "frames", range(275, 305))
    save(tmp_path / "labels" / "run_000294.png", label(0))
    video = only_video(SparseVideo(tmp_path / "frames", tmp_path / "labels"))
    assert (video.num_frames, video.size, video.fps) == (30, SIZE, 30.0)
    assert list(video.labels) == [19]  # the 20th of 30
    np.testing.assert_array_equal(next(video.read(19, 20)), picture(294))


def test_own_classes_replace_camvids(tmp_path):
    write_frames(tmp_path / "frames", range(2))
    save(tmp_path / "labels" / "run_000001.png", np.full(SIZE, 1, np.uint8))
    dataset = SparseVideo(
        tmp_path / "frames",
        tmp_path / "labels",
        class_names=("off", "on"),
        palette=np.zeros((2, 3), np.uint8),
        label_format=class_numbers(2),
    )
    assert list(dataset.class_names) == ["off", "on"]
    assert (only_video(dataset).labels[1] == 1).all()


@pytest.mark.parametrize("kind", ["video and csv", "frames and labels"])
def test_a_folder_with_the_usual_names_is_found_by_itself(tmp_path, kind):
    folder = tmp_path / "drive7"
    if kind == "video and csv":
        write_video(folder / "whatever.mkv", count=6)
        save(folder / "t.png", label(0, size=VIDEO_SIZE))
        (folder / "labels.csv").write_text("frame,label\n3,t.png\n")
    else:
        write_frames(folder / "frames", range(6))
        save(folder / "labels" / "run_000003.png", label(0))
    video = only_video(SparseVideo.from_folder(folder))
    assert (video.name, video.num_frames, list(video.labels)) == ("drive7", 6, [3])


def test_a_folder_without_a_video_says_what_it_found(tmp_path):
    (tmp_path / "labels").mkdir()
    with pytest.raises(DatasetError, match=r"found the videos: none, and the labels: labels"):
        SparseVideo.from_folder(tmp_path)


def test_a_folder_with_two_videos_is_refused(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "labels").mkdir()
    with pytest.raises(DatasetError, match=r"found the videos: a\.mp4, b\.mp4"):
        SparseVideo.from_folder(tmp_path)


def test_a_label_past_the_end_of_a_video_file_is_refused(tmp_path):
    video_path = write_video(tmp_path / "drive.mp4", count=10)
    save(tmp_path / "labels" / "f10.png", label(0, size=VIDEO_SIZE))
    with pytest.raises(DatasetError, match=r"frames 0\.\.9, got f10\.png \(frame 10\)"):
        only_video(SparseVideo(video_path, tmp_path / "labels"))


def test_a_label_before_the_first_frame_is_refused(tmp_path):
    video_path = write_video(tmp_path / "drive.mp4", count=10)
    save(tmp_path / "labels" / "f10.png", label(0, size=VIDEO_SIZE))
    with pytest.raises(DatasetError, match=r"f10\.png \(frame -2\)"):
        only_video(SparseVideo(video_path, tmp_path / "labels", first_number=12))


def test_a_label_without_an_image_is_refused(tmp_path):
    write_frames(tmp_path / "frames", range(3))
    save(tmp_path / "labels" / "run_000007.png", label(0))
    with pytest.raises(DatasetError, match=r"run_000007\.png: a label for frame 7; .*3 frames, numbered 0\.\.2"):
        SparseVideo(tmp_path / "frames", tmp_path / "labels").videos("test")


def test_a_wrong_sized_label_of_a_video_file_is_refused(tmp_path):
    video_path = write_video(tmp_path / "drive.mp4", count=10)
    save(tmp_path / "labels" / "f3.png", label(0, size=(32, 48)))
    with pytest.raises(DatasetError, match=r"f3\.png: expected 64x96 .* got 32x48"):
        only_video(SparseVideo(video_path, tmp_path / "labels"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("number,file\n1,a.png\n", "expected the columns frame,label, got number, file"),
        ("frame,label\none,a.png\n", "line 2: expected a frame number and a label file, got 'one', 'a.png'"),
        ("frame,label\n3,a.png\n", r"a\.png: missing; it is the label of frame 3"),
        ("frame,label\n", "no labels"),
        ("frame,label\n3,b.png\n3,b.png\n", "two labels for frame 3"),
    ],
)
def test_a_faulty_csv_file_is_refused(tmp_path, text, says):
    video_path = write_video(tmp_path / "drive.mp4", count=5)
    save(tmp_path / "b.png", label(0, size=VIDEO_SIZE))
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DatasetError, match=says):
        SparseVideo(video_path, tmp_path / "labels.csv").videos("test")


def test_images_without_numbers_are_refused(tmp_path):
    save(tmp_path / "frames" / "first.png", picture(0))
    save(tmp_path / "labels" / "f0.png", label(0))
    with pytest.raises(DatasetError, match=r"without a frame number in their names: first\.png"):
        SparseVideo(tmp_path / "frames", tmp_path / "labels").videos("test")


def test_a_truncated_video_file_is_refused_as_it_is_opened(tmp_path):
    video_path = write_video(tmp_path / "drive.mov", count=30)
    video_path.write_bytes(video_path.read_bytes()[:2000])
    save(tmp_path / "labels" / "f3.png", label(0, size=VIDEO_SIZE))
    with pytest.raises(DatasetError, match=r"drive\.mov"):
        only_video(SparseVideo(video_path, tmp_path / "labels"))


def test_the_content_key_follows_the_video_file(tmp_path):
    save(tmp_path / "labels" / "f3.png", label(0, size=VIDEO_SIZE))
    keys = {
        only_video(SparseVideo(write_video(tmp_path / f"{count}.mp4", count=count), tmp_path / "labels")).content_key
        for count in (5, 6)
    }
    assert len(keys) == 2

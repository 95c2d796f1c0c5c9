import numpy as np
import pytest
from small_files import SIZE, label, picture, save, write_sequence

from vssbench.datasets.camvid import CAMVID_COLOURS
from vssbench.datasets.classes import CAMVID_CLASSES
from vssbench.datasets.image_sequence import CamVidSequence
from vssbench.errors import DatasetError
from vssbench.records import IGNORE


def only_video(folder, **options):
    dataset = CamVidSequence(folder, **options)
    (video,) = dataset.videos(dataset.splits()[0])
    return video


def test_the_folder_is_one_video_at_15_hz_with_every_frame_annotated(tmp_path):
    video = only_video(write_sequence(tmp_path, count=4))
    assert (video.num_frames, video.size, video.fps) == (4, SIZE, 15.0)
    assert sorted(video.labels) == [0, 1, 2, 3]


def test_frames_and_labels_are_those_of_the_files(tmp_path):
    video = only_video(write_sequence(tmp_path, count=4))
    frames = list(video.read(1, 3))
    np.testing.assert_array_equal(frames, [picture(1), picture(2)])
    expected = label(2)
    np.testing.assert_array_equal(video.labels[2], np.where(expected == 11, IGNORE, expected))


def test_an_empty_range_reads_no_frame(tmp_path):
    assert list(only_video(write_sequence(tmp_path)).read(2, 2)) == []


def test_a_range_past_the_end_is_refused(tmp_path):
    video = only_video(write_sequence(tmp_path, count=4))
    with pytest.raises(DatasetError, match=r"frames 2\.\.4 .*has the frames 0\.\.3"):
        list(video.read(2, 5))


def test_the_listing_sets_the_order_and_the_choice(tmp_path):
    write_sequence(tmp_path, count=3)
    (tmp_path / "frames.csv").write_text("index,file\n0,0016E5_07963.png\n1,0016E5_07959.png\n")
    with_labels_of_all = CamVidSequence(tmp_path)
    (video,) = with_labels_of_all.videos("val")
    np.testing.assert_array_equal(list(video.read(0, 2)), [picture(2), picture(0)])


def test_without_a_listing_the_frame_numbers_set_the_order(tmp_path):
    for seed, name in enumerate(("a_10", "a_9", "a_100")):
        save(tmp_path / "frames" / f"{name}.png", picture(seed))
        save(tmp_path / "labels" / f"{name}.png", label(seed))
    video = only_video(tmp_path)
    np.testing.assert_array_equal(list(video.read(0, 3)), [picture(1), picture(0), picture(2)])


def test_camvids_own_colour_files_with_their_ending_are_labels(tmp_path):
    save(tmp_path / "frames" / "0016E5_07959.png", picture(0))
    save(tmp_path / "labels" / "0016E5_07959_L.png", np.full((*SIZE, 3), CAMVID_COLOURS["Wall"], np.uint8))
    video = only_video(tmp_path)
    assert (video.labels[0] == CAMVID_CLASSES.index("Building")).all()


def test_the_content_key_follows_the_pixels_and_not_the_place(tmp_path):
    first = only_video(write_sequence(tmp_path / "a")).content_key
    assert only_video(write_sequence(tmp_path / "b")).content_key == first
    save(tmp_path / "b" / "frames" / "0016E5_07961.png", picture(99))
    assert only_video(tmp_path / "b").content_key != first


def test_the_content_key_follows_the_order_of_the_frames(tmp_path):
    write_sequence(tmp_path, count=2)
    first = only_video(tmp_path).content_key
    (tmp_path / "frames.csv").write_text("index,file\n0,0016E5_07961.png\n1,0016E5_07959.png\n")
    assert only_video(tmp_path).content_key != first


def test_the_content_key_does_not_follow_the_labels(tmp_path):
    first = only_video(write_sequence(tmp_path)).content_key
    save(tmp_path / "labels" / "0016E5_07961.png", label(9))
    assert only_video(tmp_path).content_key == first


def test_a_missing_label_is_named_with_the_sets(tmp_path):
    write_sequence(tmp_path, count=4)
    (tmp_path / "labels" / "0016E5_07963.png").unlink()
    with pytest.raises(DatasetError, match=r"expected 4 .*found 3 .*missing: 0016E5_07963"):
        CamVidSequence(tmp_path).videos("val")


def test_a_missing_frame_that_is_listed_is_named(tmp_path):
    write_sequence(tmp_path, count=4)
    (tmp_path / "frames" / "0016E5_07963.png").unlink()
    with pytest.raises(DatasetError, match=r"missing: 0016E5_07963\.png"):
        CamVidSequence(tmp_path).videos("val")


def test_a_wrong_sized_label_is_refused_when_the_video_is_opened(tmp_path):
    write_sequence(tmp_path)
    save(tmp_path / "labels" / "0016E5_07961.png", np.zeros((12, 16), np.uint8))
    with pytest.raises(DatasetError, match=r"0016E5_07961\.png: expected 24x32 .* got 12x16"):
        only_video(tmp_path)


def test_a_frame_of_another_size_is_refused_when_the_video_is_opened(tmp_path):
    write_sequence(tmp_path)
    save(tmp_path / "frames" / "0016E5_07961.png", picture(0, size=(12, 16)))
    with pytest.raises(DatasetError, match=r"frame of another size: .*0016E5_07961\.png: expected 24x32"):
        only_video(tmp_path)


def test_a_truncated_frame_is_named_when_it_is_read(tmp_path):
    write_sequence(tmp_path)
    path = tmp_path / "frames" / "0016E5_07961.png"
    path.write_bytes(path.read_bytes()[:400])
    frames = only_video(tmp_path).read(0, 4)
    next(frames)
    with pytest.raises(DatasetError, match=r"image unreadable: .*0016E5_07961\.png"):
        next(frames)


def test_an_empty_folder_is_refused_with_what_belongs_there(tmp_path):
    with pytest.raises(DatasetError, match="expected image files in a folder `frames`, found none"):
        CamVidSequence(tmp_path).videos("val")


def test_two_labels_for_one_frame_are_refused(tmp_path):
    write_sequence(tmp_path, count=2)
    save(tmp_path / "labels" / "0016E5_07961_L.png", label(0))
    with pytest.raises(DatasetError, match="two labels for 0016E5_07961"):
        CamVidSequence(tmp_path).videos("val")


def test_an_unknown_split_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(DatasetError, match=r"no split 'test', but val"):
        CamVidSequence(write_sequence(tmp_path)).videos("test")


def test_a_sequence_of_one_frame_and_one_past_255_frames_open(tmp_path):
    assert only_video(write_sequence(tmp_path / "one", count=1)).num_frames == 1
    video = only_video(write_sequence(tmp_path / "many", count=257, listing=False))
    assert (video.num_frames, len(video.labels)) == (257, 257)


def test_the_real_run_has_101_frames_and_the_eleven_classes(shared):
    dataset = CamVidSequence(shared / "data" / "camvid15")
    (video,) = dataset.videos("val")
    assert (video.num_frames, video.size, video.fps, len(video.labels)) == (101, (360, 480), 15.0, 101)
    seen = set(np.unique(video.labels[0])) | set(np.unique(video.labels[100]))
    assert seen <= {*range(11), IGNORE}
    assert IGNORE in seen
    assert next(video.read(100, 101)).shape == (360, 480, 3)

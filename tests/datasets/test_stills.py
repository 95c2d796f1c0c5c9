import numpy as np
import pytest
from small_files import SIZE, label, picture, save, write_stills

from vssbench.datasets.camera_motion import CameraMotion, view, view_labels
from vssbench.datasets.stills import CamVidStills
from vssbench.errors import DatasetError
from vssbench.records import IGNORE

NAMES = {"train": ["0001TP_006690", "0016E5_00390"], "test": ["Seq05VD_f02580", "Seq05VD_f02610"]}


def test_the_splits_are_those_that_have_a_list_train_first(tmp_path):
    assert CamVidStills(write_stills(tmp_path, names=NAMES)).splits() == ("train", "test")


def test_the_stills_are_those_of_the_list_in_its_order(tmp_path):
    write_stills(tmp_path, names=NAMES)
    lines = (tmp_path / "train.txt").read_text().splitlines()
    (tmp_path / "train.txt").write_text("\n".join(reversed(lines)) + "\n\n")
    stills = CamVidStills(tmp_path).stills("train")
    assert [still.name for still in stills] == ["0016E5_00390", "0001TP_006690"]
    np.testing.assert_array_equal(stills[0].read_image(), picture(2))
    np.testing.assert_array_equal(stills[0].read_label(), np.where(label(2) == 11, IGNORE, label(2)))


@pytest.mark.parametrize(
    ("images", "labels", "ending"),
    [("train/images", "train/labels", ""), ("train", "trainannot", ""), ("train", "train_labels", "_L")],
)
def test_without_a_list_the_usual_pairs_of_folders_are_a_split(tmp_path, images, labels, ending):
    for seed, stem in enumerate(("a_1", "a_2")):
        save(tmp_path / images / f"{stem}.png", picture(seed))
        save(tmp_path / labels / f"{stem}{ending}.png", label(seed))
    dataset = CamVidStills(tmp_path)
    assert dataset.splits() == ("train",)
    assert [still.name for still in dataset.stills("train")] == ["a_1", "a_2"]
    np.testing.assert_array_equal(dataset.stills("train")[1].read_image(), picture(1))


def test_a_still_becomes_a_video_whose_last_frame_alone_is_annotated_and_unchanged(tmp_path):
    (video, _) = CamVidStills(write_stills(tmp_path, names=NAMES)).videos("train")
    assert (video.name, video.num_frames, video.size) == ("0001TP_006690", 12, SIZE)
    frames = list(video.read(0, 12))
    np.testing.assert_array_equal(frames[11], picture(1))
    assert not np.array_equal(frames[10], frames[11])
    assert {frame.shape for frame in frames} == {(*SIZE, 3)}
    assert list(video.labels) == [11]
    np.testing.assert_array_equal(video.labels[11], np.where(label(1) == 11, IGNORE, label(1)))


def test_the_frames_are_the_same_whichever_way_they_are_read(tmp_path):
    video = CamVidStills(write_stills(tmp_path, names=NAMES)).videos("train")[1]
    whole = list(video.read(0, 12))
    np.testing.assert_array_equal(list(video.read(3, 6)), whole[3:6])


def test_the_content_key_follows_image_seed_and_motion(tmp_path):
    write_stills(tmp_path, names=NAMES)

    def key(**options):
        return CamVidStills(tmp_path, **options).videos("train")[0].content_key

    keys = {
        key(),
        key(seed=1),
        key(motion=CameraMotion(num_frames=6)),
        key(motion=CameraMotion(speed_px=(1, 1))),
    }
    assert len(keys) == 4
    assert key() in keys  # and it comes out the same again
    save(tmp_path / "train" / "images" / "0001TP_006690.png", picture(50))
    assert key() not in keys


def test_a_stills_motion_does_not_depend_on_its_place_in_the_list(tmp_path):
    write_stills(tmp_path, names=NAMES)
    key = CamVidStills(tmp_path).videos("train")[1].content_key
    (tmp_path / "train.txt").write_text("train/images/0016E5_00390.png train/labels/0016E5_00390.png\n")
    assert CamVidStills(tmp_path).videos("train")[0].content_key == key


def test_videos_are_opened_when_asked_for(tmp_path):
    write_stills(tmp_path, names=NAMES)
    save(tmp_path / "train" / "labels" / "0016E5_00390.png", np.zeros((2, 2), np.uint8))
    videos = CamVidStills(tmp_path).videos("train")
    assert len(videos) == 2
    assert [video.name for video in videos[:1]] == ["0001TP_006690"]
    with pytest.raises(DatasetError, match=r"0016E5_00390\.png: expected 24x32 .* got 2x2"):
        videos[1]


def test_the_known_bad_label_stays_unless_it_is_to_be_dropped(tmp_path):
    write_stills(tmp_path, names=NAMES)
    assert len(CamVidStills(tmp_path).stills("test")) == 2
    dropped = CamVidStills(tmp_path, drop_known_bad=True)
    assert [still.name for still in dropped.stills("test")] == ["Seq05VD_f02580"]
    assert len(dropped.videos("test")) == 1


def test_a_missing_file_is_named_with_its_line(tmp_path):
    write_stills(tmp_path, names=NAMES)
    (tmp_path / "train" / "labels" / "0016E5_00390.png").unlink()
    with pytest.raises(DatasetError, match=r"0016E5_00390\.png: missing; train\.txt line 2 lists it"):
        CamVidStills(tmp_path).stills("train")


def test_a_line_that_is_no_pair_is_named(tmp_path):
    write_stills(tmp_path, names=NAMES)
    (tmp_path / "train.txt").write_text("train/images/0001TP_006690.png\n")
    with pytest.raises(DatasetError, match=r"train\.txt: line 1: expected `image label`"):
        CamVidStills(tmp_path).stills("train")


def test_an_empty_list_is_refused(tmp_path):
    write_stills(tmp_path, names=NAMES)
    (tmp_path / "train.txt").write_text("\n")
    with pytest.raises(DatasetError, match=r"train\.txt: no stills in it"):
        CamVidStills(tmp_path).stills("train")


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"no split 'val', but train, test"):
        CamVidStills(write_stills(tmp_path, names=NAMES)).videos("val")


def test_a_wrong_sized_label_of_a_still_is_refused(tmp_path):
    write_stills(tmp_path, names=NAMES)
    save(tmp_path / "train" / "labels" / "0001TP_006690.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(DatasetError, match="expected 24x32"):
        CamVidStills(tmp_path).stills("train")[0].read_label()


def test_the_real_stills_have_the_segnet_splits(shared):
    dataset = CamVidStills(shared / "data" / "camvid_stills")
    assert [len(dataset.stills(split)) for split in dataset.splits()] == [367, 101, 233]
    video = dataset.videos("train")[100]
    assert (video.num_frames, video.size) == (12, (360, 480))
    still = dataset.stills("train")[100]
    np.testing.assert_array_equal(next(video.read(11, 12)), still.read_image())
    np.testing.assert_array_equal(video.labels[11], still.read_label())


def test_every_view_has_the_stills_labels_moved_as_its_pixels_are(tmp_path):
    """A label made from the picture (bright or not) moves with it, but for pixels that bicubic weights blur."""
    write_stills(tmp_path, names=NAMES)
    plain = CamVidStills(tmp_path).videos("train")[0]
    dense = CamVidStills(tmp_path, label_every_view=True).videos("train")[0]
    assert list(plain.labels) == [11]
    assert list(dense.labels) == list(range(12))
    assert 11 in dense.labels
    assert 12 not in dense.labels
    np.testing.assert_array_equal(dense.labels[11], plain.labels[11])
    assert dense.content_key == plain.content_key  # the same pixels, so the same streams


def test_labels_follow_a_view():
    label = np.zeros((40, 60), np.uint8)
    label[10:20, 30:45] = 7
    shift = np.array([[1, 0, 5], [0, 1, -3], [0, 0, 1]], np.float64)  # what is at (x, y) lies at (x + 5, y - 3)
    seen = view_labels(label, shift)
    np.testing.assert_array_equal(seen[13:23, 25:40], 7)
    assert (seen == 7).sum() == 150
    np.testing.assert_array_equal(view(np.repeat(label[..., None], 3, 2), shift)[..., 0], seen)  # whole pixels

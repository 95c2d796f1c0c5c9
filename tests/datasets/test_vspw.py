import json

import numpy as np
import pytest
from PIL import Image
from small_files import label, picture, save

from vssbench.codec.cache import EncodeCache
from vssbench.codec.encode import EncodeSettings
from vssbench.datasets.clips import SideInformation, cuts, encoded, frames_of
from vssbench.datasets.label_files import read_label
from vssbench.datasets.selection import select
from vssbench.datasets.verify import verify
from vssbench.datasets.vspw import VSPW, VSPW_CLASSES, VSPW_LABELS, VSPW_PALETTE
from vssbench.errors import DatasetError
from vssbench.metrics.confusion import confusion_matrix
from vssbench.records import IGNORE

SIZE = (24, 32)
CLIP = "127_-hIVCYO4C90"  # a name of the release


def write_clip(folder, name=CLIP, *, first=1622, count=3, size=SIZE, masks=True):
    """FOLDER/data/NAME/origin/00001622.jpg, ..., mask/00001622.png, ...: as the release names them."""
    for index in range(count):
        clip, stem = folder / "data" / name, f"{first + index:08d}"
        (clip / "origin").mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(first + index, size=size)).save(clip / "origin" / f"{stem}.jpg", quality=95)
        if masks:
            save(clip / "mask" / f"{stem}.png", label(index, size=size, num_values=125))
    return name


def write_vspw(folder, *, size=SIZE):
    (folder / "train.txt").write_text(write_clip(folder, "0_wHveSGjXyDY", first=166, size=size) + "\n")
    (folder / "val.txt").write_text(write_clip(folder, size=size) + "\n")
    (folder / "test.txt").write_text(write_clip(folder, "1000_0ua44iVDuuY", first=1173, masks=False, size=size) + "\n")
    numbers = {name: str(number) for number, name in enumerate(VSPW_CLASSES, start=1)} | {"others": "0"}
    (folder / "label_num_dic_final.json").write_text(json.dumps(numbers))
    return folder


def messages(dataset, severity, **options):
    findings = verify(dataset, **options)
    return [f"{finding.path.name}: {finding.message}" for finding in findings if finding.severity == severity]


def test_a_clip_is_a_video_at_15_hz_with_every_frame_labelled(tmp_path):
    write_vspw(tmp_path)
    (video,) = VSPW(tmp_path, size=None).videos("val")
    assert (video.name, video.num_frames, video.size, video.fps) == (CLIP, 3, SIZE, 15.0)
    assert list(video.labels) == [0, 1, 2]
    with Image.open(tmp_path / "data" / CLIP / "origin" / "00001623.jpg") as image:
        np.testing.assert_array_equal(next(video.read(1, 2)), np.asarray(image))


def test_class_c_becomes_c_minus_1_and_others_and_void_are_ignored(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 1, 2, 123, 124, 255]], np.uint8))
    # the toolkit: label[label == 0] = 255; label -= 1; label[label == 254] = 255
    np.testing.assert_array_equal(read_label(path, VSPW_LABELS), [[IGNORE, 0, 1, 122, 123, IGNORE]])
    toolkit = np.arange(125, dtype=np.uint8)[None]
    toolkit[toolkit == 0] = 255
    toolkit = toolkit - 1
    toolkit[toolkit == 254] = 255
    every = read_label(save(tmp_path / "b.png", np.arange(125, dtype=np.uint8)[None]), VSPW_LABELS)
    np.testing.assert_array_equal(every, toolkit)


@pytest.mark.parametrize("value", [125, 200, 254])
def test_a_value_past_the_classes_is_an_error_that_names_the_mask(tmp_path, value):
    write_vspw(tmp_path)
    save(tmp_path / "data" / CLIP / "mask" / "00001623.png", np.full(SIZE, value, np.uint8))
    (video,) = VSPW(tmp_path).videos("val")
    with pytest.raises(DatasetError, match=rf"00001623.png: {value} \(768 px\); expected 1..124, or 0, 255 for none"):
        video.labels[1]
    assert messages(VSPW(tmp_path), "error")[0].startswith("00001623.png: label values outside the classes")


def test_the_classes_are_the_124_of_the_release_in_the_order_of_its_numbers():
    assert len(set(VSPW_CLASSES)) == len(VSPW_CLASSES) == 124
    # label_num_dic_final.json: wall 1, sky 29, car 49, person 61, tree 67, train 124
    numbers = {"wall": 1, "sky": 29, "car": 49, "person": 61, "tree": 67, "other_machine": 99, "train": 124}
    assert {name: VSPW_CLASSES.index(name) + 1 for name in numbers} == numbers
    assert VSPW_PALETTE.shape == (124, 3)
    assert len(np.unique(VSPW_PALETTE, axis=0)) == 124


def test_frames_and_masks_come_at_the_papers_size_with_an_unlabelled_column_that_makes_it_even(tmp_path):
    write_vspw(tmp_path)
    (video,) = VSPW(tmp_path).videos("val")
    assert video.size == (480, 854)
    assert next(video.read(0, 1)).shape == (480, 854, 3)
    mask = video.labels[0]
    assert mask.shape == (480, 854)
    assert (mask[:, 853] == IGNORE).all()
    # nearest: 480 rows of 24 and 853 columns of 32; centre of column x is at (x + 0.5) * 32 / 853
    raw = read_label(tmp_path / "data" / CLIP / "mask" / "00001622.png", VSPW_LABELS)
    rows = ((np.arange(480) + 0.5) * 24 / 480).astype(int)
    columns = ((np.arange(853) + 0.5) * 32 / 853).astype(int)
    np.testing.assert_array_equal(mask[:, :853], raw[rows][:, columns])


def test_a_clip_of_the_papers_size_keeps_its_pixels(tmp_path):
    write_vspw(tmp_path, size=(480, 853))
    (fitted,) = VSPW(tmp_path).videos("val")
    with Image.open(tmp_path / "data" / CLIP / "origin" / "00001622.jpg") as image:
        np.testing.assert_array_equal(next(fitted.read(0, 1))[:, :853], np.asarray(image))


def test_the_size_is_part_of_the_content_key(tmp_path):
    write_vspw(tmp_path)
    keys = {VSPW(tmp_path, size=size).videos("val")[0].content_key for size in (None, (480, 853), (48, 64))}
    assert len(keys) == 3
    plain = VSPW(tmp_path, size=None).videos("val")[0].content_key
    assert VSPW(tmp_path, size=SIZE).videos("val")[0].content_key == plain  # not a pixel differs


def test_clips_may_differ_in_length_and_in_size(tmp_path):
    write_vspw(tmp_path)
    long = write_clip(tmp_path, "1_long", first=1, count=300, size=(8, 10))
    short = write_clip(tmp_path, "2_short", first=5, count=1, size=(24, 43))
    (tmp_path / "val.txt").write_text(f"{CLIP}\n{long}\n{short}\n\n")
    own = VSPW(tmp_path, size=None).videos("val")
    assert [(video.num_frames, len(video.labels), video.size) for video in own] == [
        (3, 3, SIZE),
        (300, 300, (8, 10)),
        (1, 1, (24, 44)),
    ]
    with pytest.raises(DatasetError, match="videos of a run must agree"):
        select(own, least_index=0)
    one_size = select(VSPW(tmp_path, size=(16, 20)).videos("val"), least_index=2)
    assert {video.size for video in one_size.videos} == {(16, 20)}
    assert one_size.without == [short]  # one frame: none has two before it


def test_the_splits_are_the_lists_whose_clips_have_masks(tmp_path):
    write_vspw(tmp_path)
    dataset = VSPW(tmp_path)
    assert dataset.splits() == ("train", "val")
    assert [video.name for video in dataset.videos("train")] == ["0_wHveSGjXyDY"]
    with pytest.raises(DatasetError, match=r"no clip of .*test.txt has a folder `mask`.*; choose val"):
        dataset.videos("test")
    assert "so nothing can be measured on it" in messages(dataset, "error", splits=["test"])[0]
    write_clip(tmp_path, "1000_0ua44iVDuuY", first=1173)
    assert dataset.splits() == ("train", "val", "test")
    assert len(dataset.videos("test")) == 1


def test_a_missing_split_names_those_there_are(tmp_path):
    write_vspw(tmp_path)
    (tmp_path / "train.txt").unlink()
    with pytest.raises(DatasetError, match="no split 'train', but val"):
        VSPW(tmp_path).videos("train")


def test_all_faults_of_the_layout_are_found_at_once(tmp_path):
    write_vspw(tmp_path)
    origin, mask = tmp_path / "data" / CLIP / "origin", tmp_path / "data" / CLIP / "mask"
    write_clip(tmp_path, first=1630, count=1)  # 1622..1624, then 1630
    (mask / "00001622.png").unlink()
    (origin / "00001624.jpg").unlink()
    no_mask = write_clip(tmp_path, "5_no_masks", masks=False)
    (tmp_path / "val.txt").write_text(f"{CLIP}\n{CLIP}\n{no_mask}\n9_gone\n")
    errors = messages(VSPW(tmp_path), "error", splits=["val"])
    assert errors[:4] == [
        f"val.txt: {CLIP} is listed more than once",
        "mask: masks without their frames: 00001624",
        "mask: expected masks, found none",
        "origin: expected image files, found none; val.txt lists 9_gone",
    ]
    warnings = messages(VSPW(tmp_path), "warning", splits=["val"])
    assert "mask: 1 of 3 frames have no mask: 00001622" in warnings
    with pytest.raises(DatasetError, match=r"listed more than once.*without their frames.*9_gone"):
        VSPW(tmp_path).videos("val")


def test_verify_finds_the_small_release_sound_and_says_that_it_resizes(tmp_path):
    write_vspw(tmp_path)
    findings = verify(VSPW(tmp_path))
    assert [finding.severity for finding in findings] == ["note"] * len(findings)
    assert f"val: 24x32 becomes 480x854 (height x width): {CLIP}" in [finding.message for finding in findings]
    assert not [finding for finding in verify(VSPW(tmp_path, size=None)) if "becomes" in finding.message]


def test_an_odd_size_is_no_error_since_a_column_is_added(tmp_path):
    write_vspw(tmp_path, size=(24, 43))
    assert messages(VSPW(tmp_path, size=None), "error") == []
    assert any("24x43 becomes 24x44" in note for note in messages(VSPW(tmp_path, size=None), "note"))


def test_a_mask_of_another_size_than_its_frame_is_an_error(tmp_path):
    write_vspw(tmp_path)
    save(tmp_path / "data" / CLIP / "mask" / "00001623.png", np.ones((12, 16), np.uint8))
    assert messages(VSPW(tmp_path), "error") == ["00001623.png: the label is 12x16 (height x width), its frame 24x32"]
    with pytest.raises(DatasetError, match=r"00001623\.png: expected 24x32"):
        VSPW(tmp_path).videos("val")[0]


def test_a_table_of_other_classes_is_an_error(tmp_path):
    write_vspw(tmp_path)
    path = tmp_path / "label_num_dic_final.json"
    assert messages(VSPW(tmp_path), "error") == []
    path.write_text(path.read_text().replace('"door"', '"gate"').replace('"sky"', '"heaven"'))
    (error,) = messages(VSPW(tmp_path), "error")
    assert error == f"{path.name}: other classes than VSPW's 124: 3 is gate, in VSPW door, 29 is heaven, in VSPW sky"
    path.write_text("[]")
    assert messages(VSPW(tmp_path), "error")[0].startswith(f"{path.name}: unreadable")


def test_a_folder_of_something_else_has_no_split(tmp_path):
    assert VSPW(tmp_path).splits() == ()
    assert messages(VSPW(tmp_path), "error") == [f"{tmp_path.name}: expected the files of a split, found none"]
    assert messages(VSPW(tmp_path), "error", splits=["val"])[0].startswith("val.txt: unreadable")
    (tmp_path / "val.txt").write_text("\n")
    assert messages(VSPW(tmp_path), "error", splits=["val"]) == ["val.txt: no clip in it"]


def test_clips_of_odd_width_go_through_the_codec_and_meet_their_labels(tmp_path):
    write_vspw(tmp_path, size=(48, 63))
    (video,) = VSPW(tmp_path, size=None).videos("val")
    settings = EncodeSettings(codec="h264", gop_length=2, preset="ultrafast", fps=video.fps)
    (cut,) = cuts(video.labels, num_frames=video.num_frames, gop_length=2, protocol="single-stream")
    stream = encoded(video, cut, settings, EncodeCache(tmp_path / "streams"))
    counted = 0
    for frame in frames_of(stream, SideInformation()):
        truth = video.labels[cut.start + frame.index]
        guess = np.where(truth == IGNORE, 0, truth)
        assert guess.shape == frame.rgb.shape[:2] == (48, 64)
        counted += np.trace(confusion_matrix(truth, guess, num_classes=124))
    masks = [label(index, size=(48, 63), num_values=125) for index in range(3)]
    assert counted == sum(np.count_nonzero(mask) for mask in masks)  # every pixel of the release but "others"


def test_listing_opens_no_image(tmp_path):
    clip = tmp_path / "data" / CLIP
    for folder, suffix in (("origin", ".jpg"), ("mask", ".png")):
        (clip / folder).mkdir(parents=True)
        for number in range(1, 71):
            (clip / folder / f"{number:08d}{suffix}").touch()  # empty: no image reader gets anywhere
    (tmp_path / "val.txt").write_text(f"{CLIP}\n")
    videos = VSPW(tmp_path).videos("val")
    assert len(videos) == 1
    with pytest.raises(DatasetError, match="image unreadable"):
        videos[0]

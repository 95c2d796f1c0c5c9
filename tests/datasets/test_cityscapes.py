import numpy as np
import pytest
from small_files import SIZE, picture, save

from vssbench.datasets.cityscapes import CITYSCAPES_CLASSES, CITYSCAPES_LABEL_IDS, CityscapesSnippets
from vssbench.datasets.label_files import read_label
from vssbench.datasets.verify import verify
from vssbench.errors import DatasetError
from vssbench.records import IGNORE


def write_snippet(folder, *, number=294, split="val", run="frankfurt_000000"):
    city = run.split("_")[0]
    for frame in range(number - 19, number + 11):
        name = f"{run}_{frame:06d}_leftImg8bit.png"
        save(folder / "leftImg8bit_sequence" / split / city / name, picture(frame))
    ids = np.full(SIZE, 26, np.uint8)  # car
    save(folder / "gtFine" / split / city / f"{run}_{number:06d}_gtFine_labelIds.png", ids)
    return folder


def messages(folder, severity):
    findings = verify(CityscapesSnippets(folder))
    return [f"{finding.path.name}: {finding.message}" for finding in findings if finding.severity == severity]


def test_each_label_has_its_30_frames_and_is_on_the_20th(tmp_path):
    write_snippet(tmp_path)
    write_snippet(tmp_path, number=576)
    videos = CityscapesSnippets(tmp_path).videos("val")
    assert [video.name for video in videos] == ["frankfurt_000000_000294", "frankfurt_000000_000576"]
    assert (videos[1].num_frames, videos[1].size, videos[1].fps) == (30, SIZE, 17.0)
    assert list(videos[1].labels) == [19]
    np.testing.assert_array_equal(next(videos[1].read(19, 20)), picture(576))
    assert (videos[1].labels[19] == CITYSCAPES_CLASSES.index("car")).all()


def test_label_ids_become_the_19_classes_and_the_rest_ignore(tmp_path):
    path = save(tmp_path / "a.png", np.arange(34, dtype=np.uint8)[None])
    train_ids = read_label(path, CITYSCAPES_LABEL_IDS)[0]
    # cityscapesScripts: 7 road 0, 8 sidewalk 1, 19 traffic light 6, 24 person 11, 33 bicycle 18; 9 parking none
    assert [train_ids[label_id] for label_id in (7, 8, 19, 24, 33, 9)] == [0, 1, 6, 11, 18, IGNORE]
    assert sorted(train_ids[train_ids != IGNORE]) == list(range(19))


def test_a_missing_frame_of_a_snippet_is_named(tmp_path):
    write_snippet(tmp_path)
    name = "frankfurt_000000_000290_leftImg8bit.png"
    (tmp_path / "leftImg8bit_sequence" / "val" / "frankfurt" / name).unlink()
    with pytest.raises(DatasetError, match=f"1 of its 30 frames missing: {name}"):
        CityscapesSnippets(tmp_path).videos("val")


def test_the_splits_are_those_there_are(tmp_path):
    write_snippet(tmp_path)
    assert CityscapesSnippets(tmp_path).splits() == ("val",)
    with pytest.raises(DatasetError, match="no split 'train', but val"):
        CityscapesSnippets(tmp_path).videos("train")
    write_snippet(tmp_path, split="train", run="aachen_000000", number=19)
    assert CityscapesSnippets(tmp_path).splits() == ("train", "val")


def test_the_test_split_is_refused_since_its_labels_are_all_void(tmp_path):
    write_snippet(tmp_path)
    write_snippet(tmp_path, split="test", run="berlin_000000", number=19)  # as gtFine_trainvaltest.zip unpacks
    dataset = CityscapesSnippets(tmp_path)
    assert dataset.splits() == ("val",)
    with pytest.raises(DatasetError, match="labels of the test split are not public, its files are all void; choose"):
        dataset.videos("test")


def test_train_ids_are_read_where_the_official_label_is_not_there(tmp_path):
    write_snippet(tmp_path)
    write_snippet(tmp_path, number=576)
    labels = tmp_path / "gtFine" / "val" / "frankfurt"
    for number in ("000294", "000576"):
        save(labels / f"frankfurt_000000_{number}_gtFine_labelTrainIds.png", np.full(SIZE, 18, np.uint8))  # bicycle
    (labels / "frankfurt_000000_000576_gtFine_labelIds.png").unlink()
    videos = CityscapesSnippets(tmp_path).videos("val")
    assert [CITYSCAPES_CLASSES[video.labels[19][0, 0]] for video in videos] == ["car", "bicycle"]


def test_label_ids_named_train_ids_are_refused(tmp_path):
    write_snippet(tmp_path)
    label = tmp_path / "gtFine" / "val" / "frankfurt" / "frankfurt_000000_000294_gtFine_labelIds.png"
    label.rename(label.with_name(label.name.replace("labelIds", "labelTrainIds")))
    video = CityscapesSnippets(tmp_path).videos("val")[0]
    with pytest.raises(DatasetError, match=r"26 \(768 px\); expected 0..18, or 255 for none; .*labelIds"):
        video.labels[19]


def test_a_label_id_that_does_not_exist_is_named_with_those_that_do(tmp_path):
    path = save(tmp_path / "a.png", np.full((1, 1), 99, np.uint8))
    with pytest.raises(DatasetError, match=r"99 \(1 px\); expected 7..8, 11..13, 17, .* or 0..6, 9..10, "):
        read_label(path, CITYSCAPES_LABEL_IDS)


def test_the_package_of_single_frames_is_told_from_that_of_the_sequences(tmp_path):
    write_snippet(tmp_path)
    (tmp_path / "leftImg8bit_sequence").rename(tmp_path / "leftImg8bit")
    (message,) = messages(tmp_path, "error")
    assert message.startswith("val: expected CITY/*_leftImg8bit.png, found only ")
    assert "annotated frames without the 29" in message


def test_verify_finds_a_sound_snippet_clean_but_for_classes_it_has_not(tmp_path):
    write_snippet(tmp_path)
    assert [finding.severity for finding in verify(CityscapesSnippets(tmp_path))] == ["note"]
    assert "no pixel of road, sidewalk" in messages(tmp_path, "note")[0]


def test_verify_names_frames_without_a_label_and_labels_without_a_name(tmp_path):
    write_snippet(tmp_path)
    write_snippet(tmp_path, number=576)
    labels = tmp_path / "gtFine" / "val" / "frankfurt"
    (labels / "frankfurt_000000_000576_gtFine_labelIds.png").rename(labels / "mine_gtFine_labelIds.png")
    (warning,) = messages(tmp_path, "warning")
    assert warning.startswith("frankfurt: 30 frames that no label of ")
    assert "mine_gtFine_labelIds.png: expected a name CITY_SEQUENCE_FRAME" in messages(tmp_path, "error")[0]


def test_verify_names_a_frame_of_another_size(tmp_path):
    write_snippet(tmp_path)
    name = "frankfurt_000000_000290_leftImg8bit.png"
    save(tmp_path / "leftImg8bit_sequence" / "val" / "frankfurt" / name, picture(290, size=(12, 16)))
    (message,) = messages(tmp_path, "error")
    assert "frames of frankfurt_000000_000294 differ in size" in message
    assert name in message

import numpy as np
import pytest
from small_files import SIZE, picture, save

from vssbench.datasets.cityscapes import CITYSCAPES_CLASSES, CITYSCAPES_LABEL_IDS, CityscapesSnippets
from vssbench.datasets.label_files import read_label
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
    write_snippet(tmp_path, split="train", run="aachen_000000", number=19)
    assert CityscapesSnippets(tmp_path).splits() == ("train", "val")
    with pytest.raises(DatasetError, match="no split 'test', but train, val"):
        CityscapesSnippets(tmp_path).videos("test")

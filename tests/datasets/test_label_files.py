import numpy as np
import pytest
from PIL import Image
from small_files import save

from vssbench.datasets.camvid import CAMVID_COLOURS, CAMVID_GROUPS, CAMVID_LABELS
from vssbench.datasets.classes import CAMVID_CLASSES, CAMVID_PALETTE
from vssbench.datasets.label_files import LabelFiles, class_numbers, read_label
from vssbench.errors import DatasetError
from vssbench.records import IGNORE


def test_value_11_and_value_255_are_ignore(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 10, 11, 255]], np.uint8))
    np.testing.assert_array_equal(read_label(path, CAMVID_LABELS), [[0, 10, IGNORE, IGNORE]])


def test_a_label_map_is_uint8(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 10]], np.uint8))
    assert read_label(path, CAMVID_LABELS).dtype == np.uint8


def test_a_16_bit_file_reads_like_an_8_bit_one(tmp_path):
    path = save(tmp_path / "a.png", np.array([[3, 11]], np.uint16))
    np.testing.assert_array_equal(read_label(path, CAMVID_LABELS), [[3, IGNORE]])


def test_a_palette_file_gives_its_numbers(tmp_path):
    image = Image.fromarray(np.array([[1, 5]], np.uint8), mode="P")
    image.putpalette(np.arange(768, dtype=np.uint8).tobytes())
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label(tmp_path / "a.png", CAMVID_LABELS), [[1, 5]])


def test_a_palette_file_in_the_class_order_reads_one_way_only(tmp_path):
    image = Image.fromarray(np.array([[1, 5]], np.uint8), mode="P")
    image.putpalette(CAMVID_PALETTE.tobytes())
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label(tmp_path / "a.png", CAMVID_LABELS), [[1, 5]])


def test_a_palette_file_whose_colours_contradict_its_numbers_is_refused(tmp_path):
    # What Pillow's own quantiser gives for a colour file: number 0 is coloured Tree, number 1 Sky.
    image = Image.fromarray(np.array([[0, 1]], np.uint8), mode="P")
    image.putpalette(bytes([128, 128, 0, 128, 128, 128]))
    image.save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"a\.png.*different classes at 2 px"):
        read_label(tmp_path / "a.png", CAMVID_LABELS)


def test_every_one_of_the_32_colours_maps_as_the_table_says(tmp_path):
    expected = {name: CAMVID_CLASSES.index(group) for group, names in CAMVID_GROUPS.items() for name in names}
    for name, colour in CAMVID_COLOURS.items():
        path = save(tmp_path / f"{name}.png", np.full((1, 2, 3), colour, np.uint8))
        assert (read_label(path, CAMVID_LABELS) == expected.get(name, IGNORE)).all(), name


def test_there_are_32_colours_all_different_and_ten_of_them_void():
    assert len(set(CAMVID_COLOURS.values())) == len(CAMVID_COLOURS) == 32
    # Void, Animal, Archway, Bridge, CartLuggagePram, Child, OtherMoving, TrafficCone, Tunnel, Train
    assert sum(label == IGNORE for label in CAMVID_LABELS.colour_to_class.values()) == 10


def test_the_palette_and_the_colour_table_agree():
    # The palette shows each class in the colour of the original class that gave it its place.
    for index, colour in enumerate(CAMVID_PALETTE.tolist()):
        assert CAMVID_LABELS.colour_to_class[tuple(colour)] == index


def test_an_alpha_channel_is_dropped(tmp_path):
    path = save(tmp_path / "a.png", np.array([[[128, 128, 128, 255]]], np.uint8))
    np.testing.assert_array_equal(read_label(path, CAMVID_LABELS), [[0]])


def test_an_unknown_colour_is_named_with_its_file_and_count(tmp_path):
    rgb = np.full((2, 3, 3), (128, 128, 128), np.uint8)
    rgb[0, :2] = (1, 2, 3)
    with pytest.raises(DatasetError, match=r"odd\.png: \(1, 2, 3\) \(2 px\)"):
        read_label(save(tmp_path / "odd.png", rgb), CAMVID_LABELS)


def test_a_grey_picture_saved_as_rgb_is_recognised(tmp_path):
    rgb = np.repeat(np.array([[1, 2, 3]], np.uint8)[..., None], 3, axis=2)
    with pytest.raises(DatasetError, match="three channels are equal"):
        read_label(save(tmp_path / "a.png", rgb), CAMVID_LABELS)


def test_a_lossy_copy_of_a_colour_file_is_recognised(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    with pytest.raises(DatasetError, match=r"lossy or smoothed.*original PNG"):
        read_label(save(tmp_path / "a.png", rgb), CAMVID_LABELS)


def test_colours_are_refused_where_the_format_has_none(tmp_path):
    path = save(tmp_path / "a.png", np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(DatasetError, match="expected one channel"):
        read_label(path, class_numbers(3))


def test_values_outside_the_classes_are_named_with_their_counts(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 12, 31, 31]], np.uint8))
    with pytest.raises(DatasetError, match=r"a\.png: 12 \(1 px\), 31 \(2 px\); expected 0\.\.10.*CamVid's 32"):
        read_label(path, CAMVID_LABELS)


def test_label_ids_where_train_ids_belong_are_recognised(tmp_path):
    path = save(tmp_path / "a.png", np.array([[7, 26]], np.uint8))  # labelIds: road, car
    with pytest.raises(DatasetError, match=r"26 \(1 px\).*labelIds where trainIds belong"):
        read_label(path, class_numbers(19))


def test_a_value_above_255_is_outside(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 300]], np.uint16))
    with pytest.raises(DatasetError, match=r"300 \(1 px\)"):
        read_label(path, CAMVID_LABELS)


def test_a_wrong_size_names_both_sizes(tmp_path):
    path = save(tmp_path / "a.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(DatasetError, match=r"a\.png: expected 8x6 .* got 4x6"):
        read_label(path, CAMVID_LABELS, size=(8, 6))


def test_a_missing_label_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"label missing: .*nowhere\.png"):
        read_label(tmp_path / "nowhere.png", CAMVID_LABELS)


def test_a_truncated_label_is_named(tmp_path):
    path = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 12, (64, 64), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"label unreadable: .*a\.png"):
        read_label(path, CAMVID_LABELS)


def test_a_label_of_one_pixel_and_odd_sizes_read(tmp_path):
    for size in ((1, 1), (3, 5), (257, 1)):
        path = save(tmp_path / f"{size[0]}.png", np.full(size, 4, np.uint8))
        assert read_label(path, CAMVID_LABELS, size=size).shape == size


def test_label_files_are_read_when_asked_for_and_sorted(tmp_path):
    good = save(tmp_path / "good.png", np.zeros((2, 2), np.uint8))
    labels = LabelFiles({9: tmp_path / "missing.png", 2: good}, CAMVID_LABELS, size=(2, 2))
    assert list(labels) == [2, 9]
    assert len(labels) == 2
    assert labels[2].shape == (2, 2)
    with pytest.raises(DatasetError, match="missing"):
        labels[9]
    assert 3 not in labels
    with pytest.raises(KeyError):
        labels[3]

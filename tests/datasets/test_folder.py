import numpy as np
import pytest
from PIL import Image
from small_files import SIZE, label, picture, save, write_video

from vssbench.datasets.folder import FolderDataset
from vssbench.datasets.verify import verify
from vssbench.errors import DatasetError
from vssbench.records import IGNORE

LEAST = 'classes = ["road", "car", "sky"]\n'


def describe(folder, text=LEAST):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.toml").write_text(text)
    return folder


def write_frames(video, *, numbers=(1, 2, 3), labelled=(2,), size=SIZE):
    """VIDEO/images/0001.png, ... and VIDEO/labels of some; the images are picture(number), the labels label(number)."""
    for number in numbers:
        save(video / "images" / f"{number:04d}.png", picture(number, size=size))
    for number in labelled:
        save(video / "labels" / f"{number:04d}.png", label(number, size=size, num_values=3))
    return video


def messages(folder, severity="error"):
    findings = verify(FolderDataset(folder))
    return [f"{finding.path.name}: {finding.message}" for finding in findings if finding.severity == severity]


def test_one_line_of_description_and_two_folders_are_a_data_set(tmp_path):
    write_frames(describe(tmp_path) / "test" / "harbour")
    dataset = FolderDataset(tmp_path)
    assert (dataset.name, dataset.class_names, dataset.splits()) == (tmp_path.name, ("road", "car", "sky"), ("test",))
    assert dataset.palette.shape == (3, 3)
    (video,) = dataset.videos("test")
    assert (video.name, video.num_frames, video.size, video.fps) == ("harbour", 3, SIZE, 30.0)
    assert list(video.labels) == [1]  # of 0002.png, the second frame
    np.testing.assert_array_equal(video.labels[1], label(2, num_values=3))
    for index, rgb in enumerate(video.read(0, 3)):
        np.testing.assert_array_equal(rgb, picture(index + 1))
    assert verify(dataset) == []


def test_everything_the_description_may_say_is_taken(tmp_path):
    text = """
        name = "my-city"
        classes = ["road", "car", "sky"]
        colours = [[128, 64, 128], [0, 0, 142], [70, 130, 180]]
        fps = 12.5
        size = [12, 16]
        void = [3, 9]
        void_colours = [[0, 0, 0]]
        [values]
        7 = "road"
        8 = "road"
        26 = "car"
        0 = "sky"
    """
    describe(tmp_path, text)
    write_frames(tmp_path / "test" / "harbour", labelled=())
    save(tmp_path / "test" / "harbour" / "labels" / "0001.png", np.tile(np.uint8([7, 8, 26, 0, 3, 9, 255, 7]), (24, 4)))
    colours = np.uint8([[128, 64, 128], [0, 0, 142], [70, 130, 180], [0, 0, 0]])
    save(tmp_path / "test" / "harbour" / "labels" / "0002.png", np.tile(colours, (24, 8, 1)))
    dataset = FolderDataset(tmp_path)
    assert (dataset.name, dataset.palette.tolist()[1]) == ("my-city", [0, 0, 142])
    (video,) = dataset.videos("test")
    assert (video.size, video.fps) == ((12, 16), 12.5)
    # half the width by nearest: the centre of column x lies at 2x + 1, in column 2x + 1
    np.testing.assert_array_equal(video.labels[0][0, :4], [0, 2, IGNORE, 0])
    np.testing.assert_array_equal(video.labels[1][0, :4], [1, IGNORE, 1, IGNORE])


def test_first_value_shifts_the_classes_so_that_0_can_be_void(tmp_path):
    describe(tmp_path, LEAST + "first_value = 1\nvoid = 0\n")
    save(tmp_path / "test" / "a" / "images" / "1.png", picture(0, size=(2, 4)))
    save(tmp_path / "test" / "a" / "labels" / "1.png", np.uint8([[0, 1, 2, 3], [255, 3, 2, 1]]))
    (video,) = FolderDataset(tmp_path).videos("test")
    np.testing.assert_array_equal(video.labels[0], [[IGNORE, 0, 1, 2], [IGNORE, 2, 1, 0]])


def test_the_splits_are_the_folders_train_first(tmp_path):
    describe(tmp_path)
    for split in ("test", "night", "val", "train"):
        write_frames(tmp_path / split / "harbour")
    (tmp_path / "weights").mkdir()
    (tmp_path / ".git" / "images").mkdir(parents=True)
    assert FolderDataset(tmp_path).splits() == ("train", "val", "test", "night")
    with pytest.raises(DatasetError, match="no split 'day', but train, val, test, night"):
        FolderDataset(tmp_path).videos("day")


def test_videos_without_folders_of_splits_are_the_test_split(tmp_path):
    describe(tmp_path)
    write_frames(tmp_path / "harbour")
    write_frames(tmp_path / "bridge")
    assert FolderDataset(tmp_path).splits() == ("test",)
    assert [video.name for video in FolderDataset(tmp_path).videos("test")] == ["bridge", "harbour"]
    assert verify(FolderDataset(tmp_path))[0].severity == "warning"  # equal pictures; no error


def test_a_folder_that_is_one_video_and_a_split_that_is_one_video_will_do(tmp_path):
    write_frames(describe(tmp_path / "alone"))
    assert [video.name for video in FolderDataset(tmp_path / "alone").videos("test")] == ["alone"]
    describe(tmp_path / "flat")
    write_frames(tmp_path / "flat" / "train")
    write_frames(tmp_path / "flat" / "val", numbers=(4, 5), labelled=(5,))
    assert FolderDataset(tmp_path / "flat").splits() == ("train", "val")
    assert [video.name for video in FolderDataset(tmp_path / "flat").videos("val")] == ["val"]


def test_a_video_file_is_labelled_by_frame_number_from_0(tmp_path):
    describe(tmp_path)
    write_video(tmp_path / "test" / "harbour.mp4", count=12, rate=25)
    for number in (0, 7):
        save(tmp_path / "test" / "harbour" / "labels" / f"{number:06d}.png", label(number, size=(64, 96), num_values=3))
    dataset = FolderDataset(tmp_path)
    (video,) = dataset.videos("test")
    assert (video.name, video.num_frames, video.size, video.fps) == ("harbour", 12, (64, 96), 25.0)
    assert list(video.labels) == [0, 7]
    assert verify(dataset) == []
    describe(tmp_path, LEAST + "fps = 10\nsize = [32, 48]\n")
    (video,) = FolderDataset(tmp_path).videos("test")
    assert (video.fps, video.size, video.labels[7].shape) == (10.0, (32, 48), (32, 48))
    assert next(video.read(7, 8)).shape == (32, 48, 3)


def test_a_label_past_the_end_of_a_video_file_is_named(tmp_path):
    describe(tmp_path)
    write_video(tmp_path / "test" / "harbour.mp4", count=5)
    save(tmp_path / "test" / "harbour" / "labels" / "5.png", label(0, size=(64, 96), num_values=3))
    with pytest.raises(DatasetError, match=r"it has the frames 0..4, got 5\.png \(frame 5\)"):
        FolderDataset(tmp_path).videos("test")[0]
    assert messages(tmp_path) == ["5.png: a label for frame 5 of harbour, which has the frames 0..4"]


def test_gaps_in_the_numbers_are_fine_and_a_video_may_have_no_label(tmp_path):
    write_frames(describe(tmp_path) / "test" / "harbour", numbers=(1, 5, 20, 100), labelled=(100,))
    write_frames(tmp_path / "test" / "bridge", numbers=(7, 8), labelled=())
    assert verify(FolderDataset(tmp_path)) == []
    bridge, harbour = FolderDataset(tmp_path).videos("test")
    assert list(bridge.labels) == []
    assert list(harbour.labels) == [3]


def test_an_odd_size_gets_a_column_that_is_not_counted(tmp_path):
    write_frames(describe(tmp_path) / "test" / "harbour", size=(24, 31))
    (video,) = FolderDataset(tmp_path).videos("test")
    assert video.size == (24, 32)
    assert (video.labels[1][:, 31] == IGNORE).all()
    assert (video.labels[1][:, :31] != IGNORE).all()
    assert messages(tmp_path) == []
    assert messages(tmp_path, "note") == [
        f"{tmp_path.name}: test: 24x31 becomes 24x32 (height x width): harbour",
    ]


def test_pictures_of_jpeg_are_read(tmp_path):
    video = write_frames(describe(tmp_path) / "test" / "harbour", numbers=(), labelled=(1,))
    (video / "images").mkdir()
    Image.fromarray(picture(1)).save(video / "images" / "0001.jpg")
    assert FolderDataset(tmp_path).videos("test")[0].num_frames == 1


def test_a_missing_folder_and_a_missing_description_say_what_to_write(tmp_path):
    with pytest.raises(DatasetError, match=r"no such folder: .*nowhere"):
        FolderDataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r'dataset.toml is missing: .* at the least one line: classes = \["road"'):
        FolderDataset(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes = [", "cannot be read"),
        ("fps = 25", r'classes is missing, e\.g\. classes = \["road"'),
        ("classes = []", r"classes must be a list of 1 to 254 names, got \[\]"),
        ('classes = ["a", 1]', "classes must be a list of 1 to 254 names"),
        ('classes = ["a", "a"]', "classes has 'a' more than once"),
        (f"classes = {[f'c{n}' for n in range(255)]}", "classes must be a list of 1 to 254 names"),
        (LEAST + "frame_rate = 25", "no key is called 'frame_rate', there are name, classes"),
        (LEAST + "colors = []", r"no key is called 'colors', did you mean colours\?"),
        (LEAST + "name = ''", "name must be a word, got ''"),
        (LEAST + "fps = 0", "fps must be a number above 0, got 0"),
        (LEAST + "fps = true", "fps must be a number above 0, got True"),
        (LEAST + "size = [480]", r"size must be \[height, width\], got \[480\]"),
        (LEAST + "void = [256]", r"void must be a label value or a list of them, each 0\.\.255, got \[256\]"),
        (LEAST + "void = 0", r"void has values of classes: 0 \(class road\); shift them by first_value or \[values\]"),
        (LEAST + "first_value = 253", "3 classes from value 253 on reach 255, which is void"),
        (LEAST + "colours = [[0, 0, 1]]", "colours must be one a class: 3 classes, 1 colours"),
        (LEAST + "colours = [[0, 0, 1], [0, 0, 1], [1, 2, 3]]", r"colours has \(0, 0, 1\) more than once"),
        (LEAST + "colours = [[0, 0, 300]]", r"colours must be a list of \[red, green, blue\]"),
        (LEAST + "void_colours = [[0, 0, 0]]", "void_colours without colours"),
        (
            LEAST + "colours = [[0, 0, 0], [0, 0, 1], [1, 2, 3]]\nvoid_colours = [[0, 0, 0]]",
            r"void_colours has colours of classes: \(0, 0, 0\)",
        ),
        (LEAST + "[values]\nx = 'road'", r"\[values\] has 'x', a label value is 0\.\.255"),
        (LEAST + "[values]\n256 = 'road'", r"\[values\] has '256'"),
        (
            LEAST + "[values]\n1 = 'rode'",
            r"\[values\] 1 is 'rode', which is not one of the classes, did you mean 'road'",
        ),
        (LEAST + "[values]\n1 = 'road'\n2 = 'car'", r"\[values\] has no value for sky"),
        (LEAST + "values = [1, 2]", r'values must be a table of lines like 7 = "road"'),
        (LEAST + "first_value = 1\n[values]\n1='road'\n2='car'\n3='sky'", r"first_value beside \[values\]"),
    ],
)
def test_every_mistake_in_the_description_is_named(tmp_path, text, message):
    describe(tmp_path, text)
    with pytest.raises(DatasetError, match=message):
        FolderDataset(tmp_path)


def test_all_mistakes_in_the_description_are_named_at_once(tmp_path):
    describe(tmp_path, LEAST + "fps = -1\nsize = 3\nspeed = 2")
    with pytest.raises(DatasetError, match=r"dataset.toml: no key is called 'speed'.*size must.*fps must.*correct the"):
        FolderDataset(tmp_path)


def test_a_label_value_outside_is_named_with_what_to_do(tmp_path):
    video = write_frames(describe(tmp_path) / "test" / "harbour")
    save(video / "labels" / "0003.png", np.full(SIZE, 26, np.uint8))
    (error,) = messages(tmp_path)
    assert error.startswith("0003.png: label values outside the classes: ")
    assert error.endswith("26 (768 px); expected 0..2, or 255 for none")
    with pytest.raises(DatasetError, match=r"list it under `void` or \[values\] in dataset.toml, or correct the label"):
        FolderDataset(tmp_path).videos("test")[0].labels[2]


def test_a_label_without_an_image_is_an_error_that_names_it(tmp_path):
    write_frames(describe(tmp_path) / "test" / "harbour", labelled=(2, 4))
    (error,) = messages(tmp_path)
    assert error == ("labels: labels without an image of their name: 0004.png; the images are 0001, 0002, 0003")
    with pytest.raises(DatasetError, match=r"0004\.png"):
        FolderDataset(tmp_path).videos("test")


def test_sizes_that_differ_are_errors(tmp_path):
    video = write_frames(describe(tmp_path) / "test" / "harbour")
    save(video / "images" / "0003.png", picture(3, size=(12, 16)))
    save(video / "labels" / "0002.png", label(2, size=(12, 16), num_values=3))
    errors = messages(tmp_path)
    assert any("frames of harbour differ in size (height x width): 24x32: 0001.png, 0002.png" in e for e in errors)
    assert any(error.startswith("0002.png: the label is 12x16 (height x width), its frame 24x32") for error in errors)
    with pytest.raises(DatasetError, match=r"0003\.png: expected 24x32"):
        FolderDataset(tmp_path).videos("test")[0]


def test_a_lossy_label_is_an_error(tmp_path):
    video = write_frames(describe(tmp_path) / "test" / "harbour")
    (video / "labels" / "0001.jpg").write_bytes(b"")
    assert messages(tmp_path) == ["labels: labels in a lossy format: 0001.jpg"]


def test_a_split_without_a_label_is_an_error_of_that_split_alone(tmp_path):
    write_frames(describe(tmp_path) / "train" / "harbour")
    write_frames(tmp_path / "test" / "bridge", numbers=(8, 9), labelled=())
    assert messages(tmp_path) == ["test: no frame of the split test is labelled"]
    assert len(FolderDataset(tmp_path).videos("train")) == 1
    with pytest.raises(DatasetError, match="no frame of the split test is labelled; put label files into VIDEO/labels"):
        FolderDataset(tmp_path).videos("test")


def test_a_folder_without_images_says_what_was_found(tmp_path):
    describe(tmp_path)
    save(tmp_path / "test" / "harbour" / "frames" / "1.png", picture(1))
    (tmp_path / "train").mkdir()
    errors = messages(tmp_path)
    assert (
        "harbour: expected image files in harbour/images, or one video file harbour.mp4; found neither, but frames"
        in (errors)
    )
    assert "train: expected videos, found none" in errors


def test_two_sources_of_one_video_are_an_error(tmp_path):
    write_frames(describe(tmp_path) / "test" / "harbour")
    write_video(tmp_path / "test" / "harbour.mp4", count=3)
    (error,) = messages(tmp_path)
    assert error.endswith("found harbour.mp4 and images")


def test_a_video_beside_the_splits_and_one_inside_a_video_are_errors(tmp_path):
    write_frames(describe(tmp_path) / "test" / "harbour")
    write_frames(tmp_path / "bridge", numbers=(8, 9), labelled=(9,))
    write_frames(tmp_path / "train", numbers=(10, 11), labelled=(11,))
    write_frames(tmp_path / "train" / "inner", numbers=(12, 13), labelled=(13,))
    assert set(messages(tmp_path)) == {
        "bridge: a video beside the splits train, test",
        "inner: a video inside the video train",
    }


def test_names_that_do_not_give_an_order_are_errors(tmp_path):
    video = write_frames(describe(tmp_path) / "test" / "harbour", numbers=(1, 2), labelled=(2,))
    save(video / "images" / "left_2.png", picture(7))
    save(video / "images" / "cover.png", picture(8))
    Image.fromarray(picture(9)).save(video / "images" / "0001.jpg")
    errors = messages(tmp_path)
    assert "images: two images are called 0001" in errors
    assert "images: images without a number among numbered ones: cover.png" in errors
    assert "images: images of one number, so that their order is not known: 0002 and left_2 (2)" in errors
    save(video / "labels" / "0002.tif", label(2, num_values=3))
    assert "labels: two labels for 0002" in messages(tmp_path)


def test_images_without_any_number_go_by_name(tmp_path):
    describe(tmp_path)
    for index, name in enumerate("abc"):
        save(tmp_path / "test" / "harbour" / "images" / f"{name}.png", picture(index))
    save(tmp_path / "test" / "harbour" / "labels" / "c.png", label(0, num_values=3))
    assert list(FolderDataset(tmp_path).videos("test")[0].labels) == [2]
    assert verify(FolderDataset(tmp_path)) == []


def test_labels_of_a_video_file_need_numbers_of_their_own(tmp_path):
    describe(tmp_path)
    write_video(tmp_path / "test" / "harbour.mp4", count=3)
    for name in ("a.png", "01.png", "1.png"):
        save(tmp_path / "test" / "harbour" / "labels" / name, label(0, size=(64, 96), num_values=3))
    assert messages(tmp_path) == [
        "labels: labels without a frame number in their names: a.png",
        "labels: two labels for frame 1",
    ]


def test_an_empty_folder_has_no_split(tmp_path):
    describe(tmp_path)
    assert FolderDataset(tmp_path).splits() == ()
    assert messages(tmp_path) == [f"{tmp_path.name}: expected the files of a split, found none"]
    assert verify(FolderDataset(tmp_path), splits=["test"])[0].message.startswith("no split 'test', but none at all")


def test_listing_opens_no_image(tmp_path):
    video = describe(tmp_path) / "test" / "harbour"
    for folder in ("images", "labels"):
        (video / folder).mkdir(parents=True)
        (video / folder / "1.png").touch()  # empty: no image reader gets anywhere
    videos = FolderDataset(tmp_path).videos("test")
    with pytest.raises(DatasetError, match="image unreadable"):
        videos[0]

import hashlib

import numpy as np
import pytest
from small_files import SIZE, cut_short, label, picture, save, write_sequence, write_stills, write_video

from vssbench.datasets.folder import FolderDataset
from vssbench.datasets.image_sequence import CamVidSequence
from vssbench.datasets.sparse_video import SparseVideo
from vssbench.datasets.stills import CamVidStills
from vssbench.datasets.verify import verify
from vssbench.records import SourceVideo


def found(dataset, severity):
    return [f"{finding.path.name}: {finding.message}" for finding in verify(dataset) if finding.severity == severity]


def write_manifest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.csv")
    rows = [
        f"{path.relative_to(folder)},{path.stat().st_size},{hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in files
    ]
    (folder / "manifest.csv").write_text("\n".join(["path,bytes,sha256", *rows]) + "\n")


def test_a_sound_data_set_has_no_finding(tmp_path):
    write_manifest(write_sequence(tmp_path))
    assert verify(CamVidSequence(tmp_path)) == []


def test_all_faults_are_found_and_errors_come_first(tmp_path):
    write_sequence(tmp_path, count=8, listing=False)
    frames, labels = tmp_path / "frames", tmp_path / "labels"
    (frames / "0016E5_07963.png").unlink()  # a gap, and a label too many
    (labels / "0016E5_07965.png").unlink()
    save(labels / "0016E5_07961.png", np.zeros((12, 16), np.uint8))
    save(labels / "0016E5_07967.png", np.full(SIZE, 26, np.uint8))
    (frames / "0016E5_07969.png").write_bytes((frames / "0016E5_07969.png").read_bytes()[:300])
    (labels / "0016E5_07971.png").write_bytes(b"not a picture")
    save(frames / "0016E5_07973.png", picture(0, size=(12, 16)))
    findings = verify(CamVidSequence(tmp_path))
    text = "\n".join(f"{finding.severity} {finding.path.name} {finding.message}" for finding in findings)
    for part in (
        "warning frames the frame numbers go up by 2, but not at 7961 -> 7965",
        "warning labels labels, one a frame,: 1 that nothing refers to: 0016E5_07963",
        "error labels labels, one a frame,: expected 7 (0016E5_07959, ",
        "missing: 0016E5_07965",
        "error 0016E5_07961.png the label is 12x16 (height x width), its frame 24x32",
        "error 0016E5_07967.png label values outside the classes",
        "error 0016E5_07969.png image unreadable",
        "error 0016E5_07971.png label unreadable",
        "error frames frames of camvid_0016E5_07959 differ in size".replace("camvid", tmp_path.name),
    ):
        assert part in text
    severities = [finding.severity for finding in findings]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    assert all(finding.fix for finding in findings)


def test_the_expected_and_found_sets_are_cut_at_five(tmp_path):
    write_sequence(tmp_path, count=8)
    for path in sorted((tmp_path / "labels").iterdir())[:7]:
        path.unlink()
    (message,) = found(CamVidSequence(tmp_path), "error")
    assert "0016E5_07967, ... (8 in all)), found 1 (0016E5_07973)" in message
    assert "missing: 0016E5_07959, 0016E5_07961, 0016E5_07963, 0016E5_07965, 0016E5_07967, ... (7 in all)" in message


def test_a_folder_that_is_not_there_and_an_empty_one_are_errors(tmp_path):
    assert found(CamVidSequence(tmp_path / "nowhere"), "error") == ["nowhere: no such folder"]
    assert "expected image files in a folder `frames`, found none" in found(CamVidSequence(tmp_path), "error")[0]
    assert "expected the files of a split, found none" in found(CamVidStills(tmp_path), "error")[0]


def test_a_changed_file_and_a_missing_one_differ_from_the_manifest(tmp_path):
    write_manifest(write_sequence(tmp_path))
    save(tmp_path / "labels" / "0016E5_07959.png", label(3))
    (tmp_path / "README.md").write_text("as listed")
    write_listed = (tmp_path / "manifest.csv").read_text() + "gone.png,1,00\nREADME.md,9,00\n"
    (tmp_path / "manifest.csv").write_text(write_listed)
    errors = found(CamVidSequence(tmp_path), "error")
    assert any(error.startswith("0016E5_07959.png: manifest.csv says") for error in errors)
    assert "gone.png: missing; manifest.csv lists it" in errors
    assert any(error.startswith("README.md: manifest.csv says sha256 00") for error in errors)
    assert len(errors) == 3


def test_a_manifest_without_its_columns_is_an_error(tmp_path):
    write_sequence(tmp_path)
    (tmp_path / "manifest.csv").write_text("name,size\n")
    assert found(CamVidSequence(tmp_path), "error") == [
        "manifest.csv: expected the columns path and sha256, got name, size"
    ]


def test_odd_sizes_are_errors_since_no_codec_takes_them(tmp_path):
    write_stills(tmp_path, names={"train": ["a_1", "a_2"]}, size=(25, 33))
    (message,) = found(CamVidStills(tmp_path), "error")
    assert "train: odd size 25x33 (height x width): a_1, a_2" in message


def test_a_fit_makes_odd_sizes_a_note_and_unlike_ones_alike(tmp_path):
    for name, size in (("a", (24, 31)), ("b", (12, 16))):
        save(tmp_path / "test" / name / "images" / "1.png", picture(len(name) + size[0], size=size))
        save(tmp_path / "test" / name / "labels" / "1.png", label(0, size=size, num_values=2))
    (tmp_path / "dataset.toml").write_text('classes = ["off", "on"]\n')
    (note,) = found(FolderDataset(tmp_path), "note")
    assert note.endswith("test: 24x31 becomes 24x32 (height x width): a")
    assert len(found(FolderDataset(tmp_path), "warning")) == 1  # its videos differ in size
    (tmp_path / "dataset.toml").write_text('classes = ["off", "on"]\nsize = [24, 32]\n')
    assert [message.split(": ", 1)[1] for message in found(FolderDataset(tmp_path), "note")] == [
        "test: 24x31 becomes 24x32 (height x width): a",
        "test: 12x16 becomes 24x32 (height x width): b",
    ]
    assert found(FolderDataset(tmp_path), "warning") == found(FolderDataset(tmp_path), "error") == []


def test_videos_of_unlike_sizes_are_a_warning(tmp_path):
    write_stills(tmp_path, names={"train": ["a_1", "a_2"]})
    save(tmp_path / "train" / "images" / "a_2.png", picture(5, size=(40, 48)))
    save(tmp_path / "train" / "labels" / "a_2.png", label(5, size=(40, 48)))
    (message,) = found(CamVidStills(tmp_path), "warning")
    assert "its videos differ in size" in message


def test_a_class_never_seen_is_a_note(tmp_path):
    write_sequence(tmp_path, count=1)
    save(tmp_path / "labels" / "0016E5_07959.png", label(0, num_values=9))  # no Pedestrian, no Bicyclist
    (message,) = found(CamVidSequence(tmp_path), "note")
    assert "val: no pixel of Pedestrian, Bicyclist" in message


def test_a_label_without_a_labelled_pixel_is_a_warning(tmp_path):
    write_sequence(tmp_path, count=2)
    save(tmp_path / "labels" / "0016E5_07959.png", np.full(SIZE, 11, np.uint8))
    assert found(CamVidSequence(tmp_path), "warning") == ["0016E5_07959.png: no pixel is labelled, all are void"]


def test_a_repeated_frame_is_a_warning(tmp_path):
    write_sequence(tmp_path)
    save(tmp_path / "frames" / "0016E5_07963.png", picture(1))  # as 07961
    assert found(CamVidSequence(tmp_path), "warning") == ["0016E5_07961.png: the same picture as 0016E5_07963.png"]


def test_a_picture_in_two_splits_is_a_warning_that_names_them(tmp_path):
    write_stills(tmp_path, names={"train": ["a_1"], "test": ["b_1"]})
    save(tmp_path / "test" / "images" / "b_1.png", picture(1))
    assert found(CamVidStills(tmp_path), "warning") == [
        "a_1.png: the same picture as b_1.png, in the splits train and test"
    ]


def test_the_known_bad_label_is_a_note_that_says_how_to_drop_it(tmp_path):
    write_stills(tmp_path, names={"test": ["Seq05VD_f02610", "Seq05VD_f02640"]})
    kept = verify(CamVidStills(tmp_path))
    assert [(finding.severity, finding.path.name) for finding in kept] == [("note", "Seq05VD_f02610.png")]
    assert "drop_known_bad" in kept[0].fix
    assert verify(CamVidStills(tmp_path, drop_known_bad=True))[0].fix == "dropped"


def test_an_unreadable_list_is_an_error_and_the_other_splits_are_checked(tmp_path):
    write_stills(tmp_path, names={"train": ["a_1"], "test": ["b_1"]})
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\xfa")
    save(tmp_path / "test" / "labels" / "b_1.png", np.full(SIZE, 99, np.uint8))
    errors = found(CamVidStills(tmp_path), "error")
    assert errors[0].startswith("train.txt: unreadable")
    assert errors[-1].startswith("b_1.png: label values outside the classes")


def test_every_missing_still_is_found(tmp_path):
    write_stills(tmp_path, names={"train": ["a_1", "a_2", "a_3"]})
    (tmp_path / "train" / "images" / "a_1.png").unlink()
    (tmp_path / "train" / "labels" / "a_3.png").unlink()
    assert [message.split(":")[0] for message in found(CamVidStills(tmp_path), "error")] == [
        "a_1.png",
        "a_3.png",
    ]


def test_a_label_past_the_end_of_a_video_is_an_error(tmp_path):
    video = write_video(tmp_path / "a.mp4", count=10)
    for number in (3, 12):
        save(tmp_path / "labels" / f"f{number}.png", label(0, size=(64, 96)))
    (message,) = found(SparseVideo(video, tmp_path / "labels"), "error")
    assert message.startswith("f12.png: a label for frame 12 of a, which has the frames 0..9")


def test_a_truncated_video_is_an_error_and_its_labels_are_still_checked(tmp_path):
    video = cut_short(write_video(tmp_path / "a.mov", count=30))
    save(tmp_path / "labels" / "f3.png", np.full((64, 96), 99, np.uint8))
    first, second = found(SparseVideo(video, tmp_path / "labels"), "error")
    assert first.startswith("a.mov: video unreadable")
    assert second.startswith("f3.png: label values outside the classes")


class Generated:
    """A data set without files, whose second label is wrong in two ways."""

    name = "generated"
    class_names = ("off", "on")
    palette = np.zeros((2, 3), np.uint8)

    def splits(self):
        return ("train",)

    def videos(self, split):
        labels = {
            0: np.array([[0, 1]], np.uint8),
            1: np.array([[0, 7]], np.uint8),
            5: np.array([[0, 1]], np.uint8),
        }
        return [
            SourceVideo(
                name="v",
                num_frames=2,
                size=(1, 2),
                fps=1.0,
                read=lambda start, stop: (np.zeros((1, 2 + index, 3), np.uint8) for index in range(start, stop)),
                labels=labels,
                content_key="k",
            )
        ]


def test_a_data_set_without_files_has_its_frames_and_labels_checked():
    messages = [finding.message for finding in verify(Generated())]
    assert len(messages) == 3
    assert "frame 1: expected one of (1, 2, 3), got [(1, 3, 3)]" in messages[0]
    assert "label of frame 1: values 7; expected 0..1 or 255" in messages[1]
    assert "label of frame 5" in messages[2]


def test_the_real_stills_have_the_one_known_note_in_test(shared):
    findings = verify(CamVidStills(shared / "data" / "camvid_stills"), splits=["test"])
    notes = [finding for finding in findings if finding.severity == "note"]
    assert [finding.path.name for finding in notes] == ["Seq05VD_f02610.png"]
    assert len(findings) == 1


def test_the_real_run_has_no_fault_in_its_pictures_and_labels(shared):
    findings = verify(CamVidSequence(shared / "data" / "camvid15"))
    # frames.csv is not the one that manifest.csv was made with; it lists the 101 frames that are there
    assert [finding for finding in findings if finding.path.name != "frames.csv"] == []


@pytest.mark.parametrize("severity", ["error", "warning"])
def test_what_verify_calls_an_error_is_refused_on_loading_and_a_warning_is_not(tmp_path, severity):
    from vssbench.errors import DatasetError

    dataset = CamVidSequence(write_sequence(tmp_path, count=5, listing=False))
    (tmp_path / "labels" / "0016E5_07963.png").unlink()
    if severity == "warning":
        (tmp_path / "frames" / "0016E5_07963.png").unlink()
        assert {finding.severity for finding in verify(dataset)} == {"warning"}
        assert dataset.videos("val")[0].num_frames == 4
    else:
        assert {finding.severity for finding in verify(dataset)} == {"error"}
        with pytest.raises(DatasetError, match="0016E5_07963"):
            dataset.videos("val")

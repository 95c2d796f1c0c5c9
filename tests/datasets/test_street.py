"""The embedded data set: what it promises to whoever trains or tests on it."""

import hashlib
import os
import pickle
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from vssbench.datasets.classes import CAMVID_CLASSES, CAMVID_PALETTE
from vssbench.datasets.scenery.drive import Drive
from vssbench.datasets.street import FIRST_SEED, Street
from vssbench.errors import DatasetError
from vssbench.records import IGNORE

SMALL = (90, 120)
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def street():
    return Street(size=SMALL, frames_per_video=36)


@pytest.fixture(scope="module")
def video(street):
    return Street(size=SMALL, frames_per_video=36).videos("test")[
        0
    ]  # a renderer of its own, for the other keeps two streets only


def digest(video, indices):
    frames = b"".join(next(video.read(i, i + 1)).tobytes() + video.labels[i].tobytes() for i in indices)
    return hashlib.sha256(frames).hexdigest()


def test_classes_are_camvids_in_order_with_its_colours(street):
    assert list(street.class_names) == list(CAMVID_CLASSES)
    assert CAMVID_CLASSES[3] == "Road"
    assert street.palette.shape == (11, 3)
    np.testing.assert_array_equal(CAMVID_PALETTE[[0, 3, 10]], [(128, 128, 128), (128, 64, 128), (0, 128, 192)])


def test_frames_and_labels_have_the_size_type_and_classes_promised(video):
    frames = list(video.read(4, 7))
    assert [frame.shape for frame in frames] == [(90, 120, 3)] * 3
    assert all(frame.dtype == np.uint8 for frame in frames)
    label = video.labels[5]
    assert label.shape == SMALL
    assert label.dtype == np.uint8
    assert set(np.unique(label)) <= {*range(11), IGNORE}


def test_test_videos_are_shorter_so_that_the_main_job_takes_minutes():
    street = Street(size=(24, 32))
    assert {split: street.videos(split)[0].num_frames for split in street.splits()} == {
        **{"train": 36, "val": 36, "test": 16}
    }


@pytest.mark.parametrize("number", range(4))
def test_every_class_is_in_every_video_of_the_main_job(number):
    video = Street(size=(90, 120)).videos("test")[number]
    found = np.unique([video.labels[i] for i in range(0, 16, 3)])
    assert set(range(11)) <= set(found)


def test_every_frame_is_labelled_and_no_other(video):
    assert list(video.labels) == list(range(36))
    assert len(video.labels) == 36
    for index in (-1, 36):
        with pytest.raises(KeyError):
            video.labels[index]


def test_a_seed_gives_the_same_bytes_whatever_was_read_before(video):
    other = Street(size=SMALL, frames_per_video=36).videos("test")[0]
    expected = digest(video, [0, 11, 35])
    other.labels[20]
    list(other.read(30, 34))
    backwards = {i: (next(other.read(i, i + 1)), other.labels[i]) for i in (35, 11, 0)}
    again = b"".join(backwards[i][0].tobytes() + backwards[i][1].tobytes() for i in (0, 11, 35))
    assert hashlib.sha256(again).hexdigest() == expected


def test_bytes_do_not_depend_on_the_processors_vector_instructions(video):
    # another process on a lesser processor: numpy's baseline loops, no dispatched ones
    dispatched = " ".join(np._core._multiarray_umath.__cpu_dispatch__)
    code = (
        "import hashlib; from vssbench.datasets.street import Street\n"
        "video = Street(size=(90, 120), frames_per_video=36).videos('test')[0]\n"
        "data = b''.join(next(video.read(i, i + 1)).tobytes() + video.labels[i].tobytes() for i in (0, 11, 35))\n"
        "print(hashlib.sha256(data).hexdigest())"
    )
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": dispatched, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(video, [0, 11, 35])


def test_splits_share_no_street():
    street = Street()
    videos = {split: street.videos(split) for split in street.splits()}
    assert {split: len(found) for split, found in videos.items()} == {"train": 64, "val": 4, "test": 4}
    keys = [video.content_key for found in videos.values() for video in found]
    names = [video.name for found in videos.values() for video in found]
    assert len(set(keys)) == len(set(names)) == 72
    seeds = [range(first, first + 1_000_000) for first in FIRST_SEED.values()]  # the most a split may hold
    assert all(a.stop <= b.start for a, b in pairwise(seeds))


def test_a_split_too_large_to_stay_apart_is_refused():
    with pytest.raises(DatasetError, match="1,000,000"):
        Street(num_videos={"train": 1_000_001})


def test_two_streets_of_a_split_look_different(street):
    first, second = street.videos("val")[:2]
    assert (first.labels[0] != second.labels[0]).mean() > 0.1


@pytest.mark.parametrize(("split", "number"), [("test", 0), ("test", 1), ("test", 2), ("test", 3), ("val", 0)])
def test_every_class_is_in_every_video(street, split, number):
    video = street.videos(split)[number]
    counts = sum(np.bincount(video.labels[i].ravel(), minlength=256)[:11] for i in (0, 9, 18, 27, 35))
    # 5 frames of 10800 pixels; the rarest class of CamVid has half a percent
    assert counts.min() > 0.003 * 5 * 10800, counts


def test_every_frame_differs_from_the_one_before(video):
    labels = [video.labels[i] for i in range(36)]
    frames = list(video.read(0, 36))
    assert all((a != b).any() for a, b in pairwise(labels))
    assert all((a != b).mean() > 0.5 for a, b in pairwise(frames))


def test_a_copied_label_map_fits_worse_the_older_it_is(video):
    labels = [video.labels[i] for i in range(36)]
    agreement = [np.mean([(labels[t] == labels[t + d]).mean() for t in range(24)]) for d in (1, 4, 11)]
    assert agreement[0] > agreement[1] > agreement[2]


def test_frame_and_label_together_are_rendered_once(monkeypatch):
    rendered = []
    render = Drive.render
    monkeypatch.setattr(Drive, "render", lambda drive, index: rendered.append(index) or render(drive, index))
    video = Street(size=(24, 32)).videos("train")[0]
    for index, _ in enumerate(video.read(0, 36)):
        video.labels[index]
    list(video.labels.values())
    assert rendered == list(range(36))


def test_a_frame_changed_by_its_reader_does_not_spoil_the_next_reading(video):
    frame, label = next(video.read(3, 4)), video.labels[3]
    before = frame.copy(), label.copy()
    frame[:], label[:] = 0, 0
    np.testing.assert_array_equal(next(video.read(3, 4)), before[0])
    np.testing.assert_array_equal(video.labels[3], before[1])


def test_memory_stays_bounded_over_a_long_video():
    street = Street(size=(16, 20), frames_per_video=100)
    video = street.videos("train")[0]
    assert sum(1 for _ in video.read(0, 100)) == 100
    assert len(street._renderers[100]._frames) <= 48


def test_a_video_longer_than_255_frames_keeps_its_classes():
    video = Street(size=(60, 80), frames_per_video=400).videos("test")[0]
    counts = sum(np.bincount(video.labels[i].ravel(), minlength=256)[:11] for i in range(300, 400, 16))
    assert counts.min() > 0, counts


@pytest.mark.parametrize("size", [(61, 83), (16, 16), (50, 33)])
def test_odd_and_small_sizes_and_single_frames_work(size):
    video = Street(size=size, frames_per_video=1).videos("val")[0]
    (frame,) = video.read(0, 1)
    assert frame.shape == (*size, 3)
    assert video.labels[0].shape == size
    assert list(video.read(0, 0)) == []


def test_the_size_changes_the_resolution_and_not_the_street():
    small, large = (Street(size=size).videos("test")[1].labels[7] for size in ((60, 80), (120, 160)))
    # edges move by up to a pixel of the coarser map
    assert (large[::2, ::2] == small).mean() > 0.85


def test_thin_things_are_thin_and_do_not_survive_a_coarse_grid():
    label = Street().videos("test")[0].labels[10]
    pole = np.pad(label == CAMVID_CLASSES.index("Pole"), ((0, 0), (1, 1)))
    starts, ends = (np.argwhere(np.diff(pole.astype(int), axis=1) == step)[:, 1] for step in (1, -1))
    assert np.median(ends - starts) <= 4  # pixels across
    blocks = label.reshape(45, 8, 60, 8).swapaxes(1, 2).reshape(45, 60, 64)
    counts = np.stack([(blocks == k).sum(axis=-1) for k in range(11)])
    coarse = counts.argmax(axis=0).repeat(8, axis=0).repeat(8, axis=1)
    iou = [((coarse == k) & (label == k)).sum() / ((coarse == k) | (label == k)).sum() for k in range(11)]
    assert iou[CAMVID_CLASSES.index("Pole")] < 0.6  # the nearest of them fills a block
    assert iou[CAMVID_CLASSES.index("Road")] > 0.9


def test_content_key_names_all_that_the_pixels_depend_on():
    def key(**options):
        return Street(**options).videos("train")[0].content_key

    keys = {key(), key(size=(90, 120)), key(fps=30.0), key(frames_per_video=12)}
    assert len(keys) == 4
    assert key() == key(num_videos={"train": 1})


def test_a_video_can_be_sent_to_another_process(video):
    sent = pickle.loads(pickle.dumps(video))
    assert digest(sent, [2]) == digest(video, [2])


@pytest.mark.parametrize(
    "options", [{"size": (8, 100)}, {"fps": 0.0}, {"frames_per_video": 0}, {"num_videos": {"trial": 2}}]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(DatasetError, match="street"):
        Street(**options)


def test_an_unknown_split_is_refused_with_the_known_ones(street):
    with pytest.raises(DatasetError, match="train, val, test"):
        street.videos("trainval")
    assert Street(num_videos={"test": 1}).splits() == ["test"]


@pytest.mark.parametrize("span", [(-1, 2), (0, 37), (5, 4)])
def test_frames_outside_the_video_are_refused_at_once(video, span):
    with pytest.raises(DatasetError, match="36 frames"):
        video.read(*span)

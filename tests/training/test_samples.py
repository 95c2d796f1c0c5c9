"""Runs of annotated frames as training samples; single frames are in test_segmentation_training.py."""

import numpy as np
import pytest
import torch

from vssbench.errors import DatasetError
from vssbench.records import SourceVideo
from vssbench.training.samples import LabelledClips


def video(annotated, *, name="v", num_frames=12, asked=None):
    """Frame i of 4x6 pixels is of the grey value i, its label of the class i; `asked` notes what is read."""

    def read(start, stop):
        if asked is not None:
            asked.append((start, stop))
        return (np.full((4, 6, 3), index, np.uint8) for index in range(start, stop))

    return SourceVideo(
        name=name,
        num_frames=num_frames,
        size=(4, 6),
        fps=15.0,
        read=read,
        labels={index: np.full((4, 6), index, np.uint8) for index in annotated},
        content_key=name,
    )


def frames_of(clips):
    """The numbers of each clip's frames, as its pictures and as its labels tell them."""
    found = []
    for index in range(len(clips)):
        sample = clips[index]
        shown = (255 * sample.images[:, 0, 0, 0]).round().int().tolist()
        assert sample.label[:, 0, 0].tolist() == shown
        found.append(shown)
    return found


def test_a_clip_is_a_run_of_annotated_frames_the_key_frame_first():
    clips = LabelledClips([video(range(4))], length=4)
    assert len(clips) == 1
    sample = clips[0]
    assert tuple(sample.images.shape) == (4, 3, 4, 6)
    assert tuple(sample.label.shape) == (4, 4, 6)
    assert sample.images.dtype == torch.float32
    assert sample.label.dtype == torch.int64
    assert sample.flow_px is None
    assert frames_of(clips) == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("annotated", "length", "every", "expected"),
    [
        (range(5), 3, 1, [[0, 1, 2], [1, 2, 3], [2, 3, 4]]),  # they may overlap
        (range(7), 3, 2, [[0, 1, 2], [2, 3, 4], [4, 5, 6]]),
        (range(8), 3, 5, [[0, 1, 2], [5, 6, 7]]),
        (range(7), 3, 5, [[0, 1, 2]]),  # 5, 6 end before the third
        ([0, 1, 3, 4, 5, 8], 2, 1, [[0, 1], [3, 4], [4, 5]]),  # a run ends at a gap
        ([0, 1, 2, 5, 6, 7, 8], 3, 4, [[0, 1, 2], [5, 6, 7]]),
        ([0, 2, 3, 4], 3, 2, [[2, 3, 4]]),  # a frame that opens no clip does not hold up the next
        ([1, 3, 4, 5], 3, 3, [[3, 4, 5]]),
        ([5, 4, 3], 2, 1, [[3, 4], [4, 5]]),  # in whatever order the labels come
        ([2], 1, 1, [[2]]),
        (range(3), 3, 100, [[0, 1, 2]]),
    ],
)
def test_clips_start_so_many_frames_apart_where_a_run_is_long_enough(annotated, length, every, expected):
    assert frames_of(LabelledClips([video(annotated)], length=length, every=every)) == expected


def test_every_video_counts_for_itself_and_no_clip_reaches_into_the_next():
    videos = [video(range(3), name="a"), video([], name="b"), video([0, 1, 4, 5], name="c")]
    assert frames_of(LabelledClips(videos, length=2, every=4)) == [[0, 1], [0, 1], [4, 5]]


def test_the_frames_of_clips_alone_are_read_and_only_once():
    asked = []
    clips = LabelledClips([video(range(10), asked=asked)], length=3, every=4)
    assert asked == [(0, 3), (4, 7)]
    assert torch.equal(clips[0].images, clips[0].images)
    assert asked == [(0, 3), (4, 7)]


def test_progress_is_told_after_every_video():
    told = []
    LabelledClips([video(range(3)), video([])], length=2, progress=lambda *news: told.append(news))
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize("annotated", [[], [0, 4, 8], range(3)])
def test_videos_without_such_a_run_are_refused_with_what_would_serve(annotated):
    with pytest.raises(DatasetError, match=r"no 4 annotated frames in a row; train on .*camvid-stills-dense"):
        LabelledClips([video(annotated)], length=4)

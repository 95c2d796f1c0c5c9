"""Training pairs: the source's pictures, the stream's motion, L - 1 frames apart."""

import numpy as np
import pytest
import torch

from arseg.pairs import KeyFramePairs
from vssbench.codec.cache import EncodeCache
from vssbench.codec.encode import EncodeSettings
from vssbench.errors import DatasetError
from vssbench.ops.warp import warp
from vssbench.records import SourceVideo

SIZE = (64, 96)
SETTINGS = EncodeSettings(codec="h264", gop_length=4, bitrate_kbps=800, fps=15.0)


def panned(index):
    """A smooth pattern that moves 2 px to the left a frame: what is at x was at x + 2."""
    generator = np.random.default_rng(0)
    coarse = np.kron(generator.integers(0, 256, (10, 24, 3)), np.ones((8, 8, 1)))
    for axis in (0, 1):
        coarse = sum(np.roll(coarse, shift, axis) for shift in range(-3, 4)) / 7
    left = 2 * index
    return coarse[8 : 8 + SIZE[0], left : left + SIZE[1]].astype(np.uint8)


def video(annotated, *, num_frames=14, name="pan"):
    return SourceVideo(
        name=name,
        num_frames=num_frames,
        size=SIZE,
        fps=15.0,
        read=lambda start, stop: (panned(i) for i in range(start, stop)),
        labels={i: np.full(SIZE, i, np.uint8) for i in annotated},
        content_key="pan-1",
    )


@pytest.fixture
def cache(tmp_path):
    return EncodeCache(tmp_path)


def annotated_of(pairs):
    return [int(pairs[i].label[0, 0]) for i in range(len(pairs))]


def test_a_pair_is_the_labelled_frame_and_its_key_frame_as_the_source_has_them(cache):
    sample = KeyFramePairs([video([7])], settings=SETTINGS, cache=cache)[0]
    assert tuple(sample.images.shape) == (2, 3, *SIZE)
    for image, index in zip(sample.images, (4, 7), strict=True):  # L - 1 = 3 frames earlier
        assert torch.equal((image * 255).round().byte(), torch.from_numpy(panned(index)).permute(2, 0, 1))
    assert (sample.label == 7).all()
    assert (sample.label.dtype, sample.flow_px.dtype) == (torch.int64, torch.float32)


def test_its_motion_leads_back_to_the_key_frame(cache):
    sample = KeyFramePairs([video([7])], settings=SETTINGS, cache=cache)[0]
    assert tuple(sample.flow_px.shape) == (*SIZE, 2)
    median = sample.flow_px.flatten(0, 1).median(0).values
    assert median.tolist() == [6.0, 0.0]  # 3 frames, 2 px each
    key, frame = sample.images[:1], sample.images[1:]
    moved = (warp(key, sample.flow_px[None]) - frame).abs()[..., :-8].mean()
    assert moved < 0.2 * (key - frame).abs().mean()


def test_frames_without_a_whole_gop_before_them_make_no_pair(cache):
    assert annotated_of(KeyFramePairs([video([0, 2, 3, 13])], settings=SETTINGS, cache=cache)) == [3, 13]


def test_annotated_frames_of_a_video_are_taken_at_least_so_far_apart(cache):
    videos = [video(range(14)), video([4, 5, 9], name="other")]
    pairs = KeyFramePairs(videos, settings=SETTINGS, cache=cache, every=5)
    assert annotated_of(pairs) == [3, 8, 13, 4, 9]


def test_streams_come_from_the_cache_the_second_time(cache):
    first = KeyFramePairs([video([7, 13])], settings=SETTINGS, cache=cache)
    again = KeyFramePairs([video([7, 13])], settings=SETTINGS, cache=cache)
    assert (cache.num_encoded, cache.num_found) == (2, 2)
    assert torch.equal(first[1].flow_px, again[1].flow_px)


def test_progress_hears_of_every_video(cache):
    heard = []
    videos = [video([7]), video([], name="bare")]
    KeyFramePairs(videos, settings=SETTINGS, cache=cache, progress=lambda *news: heard.append(news))
    assert heard == [(1, 2), (2, 2)]


@pytest.mark.parametrize("annotated", [[], [0, 2]])
def test_videos_too_short_for_a_gop_are_refused(cache, annotated):
    with pytest.raises(DatasetError, match="no annotated training frame has 3 frames before it"):
        KeyFramePairs([video(annotated)], settings=SETTINGS, cache=cache)


def test_a_gop_of_one_frame_has_no_pairs(cache):
    settings = EncodeSettings(codec="h264", gop_length=1, bitrate_kbps=800)
    with pytest.raises(DatasetError, match="no vectors to its key frame"):
        KeyFramePairs([video([7])], settings=settings, cache=cache)

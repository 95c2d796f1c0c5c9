"""Cutting videos into streams: every annotated frame at every distance, and what is decoded of them."""

import random
from collections import Counter

import numpy as np
import pytest

from vssbench.codec.cache import EncodeCache
from vssbench.codec.encode import EncodeSettings
from vssbench.datasets.clips import (
    PROTOCOLS,
    Cut,
    SideInformation,
    cuts,
    default_bitrate_kbps,
    encoded,
    frames_of,
)
from vssbench.errors import DatasetError, UsageError
from vssbench.records import SourceVideo


def coverage_of(found):
    return Counter((frame, distance) for cut in found for frame, distance in cut.tested.items())


@pytest.mark.parametrize("seed", range(25))
def test_every_testable_frame_is_tested_once_at_every_distance_to_a_key_frame(seed):
    chance = random.Random(seed)
    gop_length, num_frames = chance.choice([1, 2, 5, 12, 30]), chance.randint(30, 400)
    annotated = chance.sample(range(num_frames), chance.randint(1, 30))
    if all(p < gop_length - 1 for p in annotated):
        annotated.append(num_frames - 1)
    found = cuts(annotated, num_frames=num_frames, gop_length=gop_length)
    testable = {p for p in annotated if p >= gop_length - 1}
    assert coverage_of(found) == Counter((p, d) for p in testable for d in range(gop_length))
    for cut in found:
        assert 0 <= cut.start < cut.stop <= num_frames
        # a stream is whole GOPs, but for one that the video's end cuts short
        assert (cut.stop - cut.start) % gop_length == 0 or cut.stop == num_frames
        for frame, distance in cut.tested.items():
            assert cut.start <= frame - distance <= frame < cut.stop
            assert (frame - distance - cut.start) % gop_length == 0  # where the stream has its key frames
        # no GOP is encoded for nothing
        gops = {(frame - cut.start) // gop_length for frame in cut.tested}
        assert gops == set(range(-(-(cut.stop - cut.start) // gop_length)))


def test_one_frame_gets_one_gop_for_each_distance():
    found = cuts([20], num_frames=100, gop_length=4)
    # key frame at 20, 17, 18, 19: phase 0 (20 = 5 x 4), then 1, 2, 3
    spans = [(cut.start, cut.stop, dict(cut.tested)) for cut in found]
    assert spans == [(20, 24, {20: 0}), (17, 21, {20: 3}), (18, 22, {20: 2}), (19, 23, {20: 1})]


def test_neighbouring_gops_share_a_stream_and_distant_ones_do_not():
    found = [cut for cut in cuts([4, 9, 40], num_frames=60, gop_length=5) if cut.start % 5 == 0]
    # phase 0: GOPs 0 (frame 4), 1 (frame 9) and 8 (frame 40)
    assert [(cut.start, cut.stop, dict(cut.tested)) for cut in found] == [(0, 10, {4: 4, 9: 4}), (40, 45, {40: 0})]


def test_two_frames_of_one_gop_share_a_cut():
    found = cuts([6, 7], num_frames=20, gop_length=4)
    assert {(cut.start, cut.stop): dict(cut.tested) for cut in found}[(4, 8)] == {6: 2, 7: 3}


def test_frames_with_too_little_before_them_are_left_out():
    found = cuts([0, 5, 10, 11, 24], num_frames=40, gop_length=12)
    assert {frame for cut in found for frame in cut.tested} == {11, 24}


def test_a_cityscapes_snippet_is_tested_at_12_distances_and_not_at_21():
    # frame 19 (the 20th) of 30 is labelled
    found = cuts([19], num_frames=30, gop_length=12)
    assert coverage_of(found) == Counter((19, d) for d in range(12))
    assert {cut.stop - cut.start for cut in found} == {11, 12}  # key frame at 19: frames 19..29 are all there are
    assert len(cuts([19], num_frames=30, gop_length=20)) == 20
    with pytest.raises(DatasetError, match=r"20 frames before it that L = 21 needs \(annotated: \[19\]\)"):
        cuts([19], num_frames=30, gop_length=21)


def test_the_last_frame_of_a_video_is_tested_in_a_shortened_gop():
    found = cuts([9], num_frames=10, gop_length=5)
    assert {(c.start, c.stop): dict(c.tested)[9] for c in found} == {
        (5, 10): 4,
        (6, 10): 3,
        (7, 10): 2,
        (8, 10): 1,
        (9, 10): 0,
    }


def test_a_dense_video_is_one_stream_a_phase():
    found = cuts(range(36), num_frames=36, gop_length=12)
    assert [(cut.start, cut.stop) for cut in found] == [(0, 36), *((phase, 36) for phase in range(1, 12))]
    assert sum(len(cut.tested) for cut in found) == 25 * 12  # frames 11..35 at each distance


def test_the_order_of_the_annotated_frames_does_not_matter():
    one, two = (cuts(frames, num_frames=60, gop_length=5) for frames in ([40, 9, 4], iter([4, 9, 40])))
    assert [(c.start, c.stop, dict(c.tested)) for c in one] == [(c.start, c.stop, dict(c.tested)) for c in two]


def test_the_single_stream_protocol_tests_every_frame_where_it_falls():
    (cut,) = cuts([0, 5, 12, 299], num_frames=300, gop_length=12, protocol="single-stream")
    assert (cut.start, cut.stop) == (0, 300)
    assert dict(cut.tested) == {0: 0, 5: 5, 12: 0, 299: 11}


def test_a_video_of_one_frame():
    for protocol in PROTOCOLS:
        (cut,) = cuts([0], num_frames=1, gop_length=1, protocol=protocol)
        assert (cut.start, cut.stop, dict(cut.tested)) == (0, 1, {0: 0})


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_video_without_labels_is_refused(protocol):
    with pytest.raises(DatasetError, match="no annotated frame"):
        cuts([], num_frames=30, gop_length=12, protocol=protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("frame", [-1, 30])
def test_labels_outside_the_video_are_refused(protocol, frame):
    with pytest.raises(DatasetError, match="the video has 30 frames"):
        cuts([20, frame], num_frames=30, gop_length=12, protocol=protocol)


def test_an_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="per-distance, single-stream"):
        cuts([20], num_frames=30, gop_length=12, protocol="pooled")


def test_side_information_is_the_least_that_serves_all_needs():
    assert SideInformation.for_needs([]) == SideInformation()
    assert SideInformation.for_needs(["motion"]) == SideInformation(motion=True)
    assert SideInformation.for_needs(["motion_to_key"], trace="subpel") == SideInformation(trace="subpel")
    assert SideInformation.for_needs({"residual", "motion"}, compensation="bilinear") == SideInformation(
        motion=True, compensation="bilinear"
    )
    with pytest.raises(UsageError, match="'depth'"):
        SideInformation.for_needs(["motion", "depth"])


def test_the_default_bit_rate_is_ar_segs_carried_to_other_sizes():
    assert default_bitrate_kbps((720, 960), 30) == 3000
    # 1/8 of the pixels a second: 3000 / 8 ** 0.75 = 630.7
    assert default_bitrate_kbps((360, 480), 15) == 630
    assert default_bitrate_kbps((1024, 2048), 17) == 5000
    # twice Cityscapes: 5000 x 2 ** 0.75 = 8409; between the two, 24.3 M pixels/s, 0.2927 of the way in logarithms
    # (ln 1.1719 / ln 1.7193): 3000 x (5 / 3) ** 0.2927 = 3484
    assert default_bitrate_kbps((1024, 2048), 34) == 8410
    assert default_bitrate_kbps((720, 1350), 25) == 3480
    assert default_bitrate_kbps((16, 16), 1) == 10  # never 0


@pytest.fixture
def video():
    """20 frames; the mean of frame i is 8 i."""

    def read(start, stop):
        noise = np.random.default_rng(0).integers(0, 16, (64, 96, 3))
        return (np.clip(noise + 8 * i - 8, 0, 255).astype(np.uint8) for i in range(start, stop))

    label = np.zeros((64, 96), np.uint8)
    return SourceVideo(
        name="v", num_frames=20, size=(64, 96), fps=15.0, read=read, labels={13: label}, content_key="v-1"
    )


def test_the_stream_of_a_cut_opens_at_its_key_frame_and_is_encoded_once(video, tmp_path):
    settings = EncodeSettings(codec="h264", gop_length=4, bitrate_kbps=200, fps=video.fps)
    cache = EncodeCache(tmp_path)
    for cut in cuts(video.labels, num_frames=video.num_frames, gop_length=4):
        path = encoded(video, cut, settings, cache)
        frames = list(frames_of(path, SideInformation()))
        assert len(frames) == cut.stop - cut.start
        (distance,) = cut.tested.values()
        assert [frame.frame_type for frame in frames[13 - distance - cut.start : 13 - cut.start + 1]] == [
            "I",
            *"P" * distance,
        ]
        target = frames[13 - cut.start].rgb.mean()
        assert abs(target - next(video.read(13, 14)).mean()) < 3  # 8 apart from its neighbours
        encoded(video, cut, settings, cache)
    assert (cache.num_encoded, cache.num_found) == (4, 4)


def test_only_the_side_information_asked_for_is_decoded(video, tmp_path):
    settings = EncodeSettings(codec="h264", gop_length=4, bitrate_kbps=200)
    path = encoded(video, Cut(start=0, stop=4, tested={}), settings, EncodeCache(tmp_path))

    def given(side):
        frame = list(frames_of(path, side))[1]
        return [name for name in ("motion", "motion_to_key", "residual") if getattr(frame, name) is not None]

    assert given(SideInformation()) == []
    for name in ("motion", "motion_to_key", "residual"):
        assert given(SideInformation.for_needs([name])) == [name]

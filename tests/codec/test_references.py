from __future__ import annotations

import numpy as np
import pytest
from moving_pattern import moving_pattern, write_plainly

from vssbench.codec import read_motion
from vssbench.codec.decode import decode
from vssbench.codec.residual import compensate
from vssbench.errors import BitstreamError

PYRAMID = "keyint=9:min-keyint=9:scenecut=0:open-gop=0:bframes=3:b-adapt=0:b-pyramid=1:ref=4"
LOW_DELAY = "keyint=9:min-keyint=9:scenecut=0:open-gop=0:bframes=0:ref=4"
OPEN_GOP = "keyint=8:min-keyint=8:scenecut=0:open-gop=1:bframes=3:b-adapt=0:b-pyramid=1:ref=3"
QUIET = ":pools=none:frame-threads=1:log-level=none:weightp=0:weightb=0"


def written(path, params, frames):
    write_plainly(frames, path, "libx265", options={"x265-params": params + QUIET}, b_frames=4, gop_length=9)
    return path


def flickering(num_frames):
    """Two pictures in turns, both moving, so that the encoder predicts from the frame before the last."""
    two = [list(moving_pattern(num_frames, size=(64, 96), velocity=(1, 0), seed=seed)) for seed in (0, 1)]
    return (two[index % 2][index] for index in range(num_frames))


@pytest.mark.parametrize("params", [PYRAMID, LOW_DELAY, OPEN_GOP], ids=["pyramid", "low-delay", "open-gop"])
def test_hevc_blocks_point_into_the_frames_that_the_bitstream_names(tmp_path, params):
    path = written(tmp_path / "v.mkv", params, flickering(17))
    frames = list(decode(path, motion=True))
    distances = set()
    ratios = []
    for frame in frames:
        if frame.motion is None:
            continue
        for distance in set(np.unique(frame.motion.frames_back).tolist()) - {0}:
            distances.add(distance)
            here = frame.motion.frames_back == distance
            moved = compensate(frames[frame.index - distance].rgb, frame.motion, compensation="bilinear")
            beside = compensate(frames[max(frame.index - 1, 0)].rgb, frame.motion, compensation="bilinear")
            if distance != 1 and here.sum() > 500:
                errors = [np.abs(each[here].astype(int) - frame.rgb[here]).mean() for each in (moved, beside)]
                ratios.append(errors[0] / errors[1])
    assert len(distances) > 1  # or the stream shows nothing
    assert np.median(ratios) < 0.5  # the frame named, not the one before, is what the block was made from


def test_decode_and_read_motion_say_the_same(tmp_path):
    path = written(tmp_path / "v.mkv", PYRAMID, flickering(17))
    pairs = list(zip(decode(path, motion=True), read_motion(path), strict=True))
    assert {frame.frame_type for frame, _ in pairs} == {"I", "P", "B"}
    for frame, vectors in pairs:
        assert (frame.index, frame.frame_type, frame.size_bytes) == (
            vectors.index,
            vectors.frame_type,
            vectors.size_bytes,
        )
        dense = vectors.dense()
        if frame.motion is None:
            assert not dense.valid.any()
            continue
        np.testing.assert_array_equal(frame.motion.flow_px, dense.flow_px)
        np.testing.assert_array_equal(frame.motion.frames_back, dense.frames_back)
        assert (frame.motion.second is None) == (dense.second is None)
        if dense.second is not None:
            np.testing.assert_array_equal(frame.motion.second.flow_px, dense.second.flow_px)


def test_some_blocks_of_b_frames_have_two_vectors(tmp_path):
    path = written(tmp_path / "v.mkv", PYRAMID, moving_pattern(17, size=(64, 96), velocity=(3, 1), oversampling=2))
    seconds = [frame.motion.second for frame in decode(path, motion=True) if frame.motion is not None]
    both = [(frame.motion, frame.motion.second) for frame in decode(path, motion=True) if frame.motion]
    assert sum(second is not None and second.valid.any() for second in seconds) > 3
    for motion, second in both:
        if second is not None:
            assert motion.valid[second.valid].all()


def slow_trace(frames, size):
    """The way of every pixel to its I frame, frame by frame and pixel by pixel along `frames_back`."""
    points, keys, key = {}, {}, 0
    height, width = size
    identity = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(float)
    for frame in frames:
        key = frame.index if frame.frame_type == "I" else key
        keys[frame.index] = key

    def follow(index, motion, x, y):
        distance = int(motion.frames_back[y, x])
        if distance == 0 or keys[index - distance] != keys[index]:
            return np.array([np.nan, np.nan])
        dx, dy = (round(float(value)) for value in motion.flow_px[y, x])  # halves to even
        return at(index - distance)[min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)]

    def at(index):
        if index not in points:
            frame = frames[index]
            if frame.motion is None:
                points[index] = identity
            else:
                result = np.empty_like(identity)
                for y in range(height):
                    for x in range(width):
                        result[y, x] = follow(index, frame.motion, x, y)
                        if np.isnan(result[y, x, 0]) and frame.motion.second is not None:
                            result[y, x] = follow(index, frame.motion.second, x, y)
                points[index] = result
        return points[index]

    return [at(frame.index) for frame in frames], keys


@pytest.mark.parametrize("params", [PYRAMID, LOW_DELAY, OPEN_GOP], ids=["pyramid", "low-delay", "open-gop"])
def test_tracing_follows_the_true_references_to_the_i_frame(tmp_path, params):
    path = written(tmp_path / "v.mkv", params, flickering(14))
    frames = list(decode(path, motion=True))
    expected, keys = slow_trace(frames, (64, 96))
    grid = np.stack(np.meshgrid(np.arange(96), np.arange(64)), -1)
    num_valid = 0
    for frame, points in zip(decode(path, motion_to_key="integer"), expected, strict=True):
        if frame.motion_to_key is None:
            assert frame.frame_type == "I"
            continue
        to_key = frame.motion_to_key
        found = np.where(to_key.valid[..., None], grid + to_key.flow_px, np.nan)
        np.testing.assert_array_equal(found, points)
        assert set(np.unique(to_key.frames_back)) <= {0, frame.index - keys[frame.index]}
        num_valid += to_key.valid.sum()
    assert num_valid > 3 * 64 * 96


@pytest.mark.parametrize(
    "name", ["self_b3ref4", "self_opengop_cra", "hm_ltr_sps_ra", "kvz_opengop16", "hm_cra_rasl", "self_odd202x154"]
)
def test_dense_motion_of_the_golden_streams_is_the_golden_vectors_spread(shared, name):
    golden = np.load(shared / f"reference/hevc/golden/{name}.npz")
    poc, sequence = golden["poc"], np.cumsum(golden["poc"] == 0)
    index_of = {(sequence[i], poc[i]): i for i in range(len(poc))}
    height, width = golden["display_size"]
    for i, frame in enumerate(decode(shared / f"streams/{name}.hevc", motion=True)):
        if frame.motion is None:
            assert (golden["pred_mode"][i] == 0).all()
            continue
        deltas = golden["ref_poc_delta"][i]
        back = np.zeros_like(deltas)
        for delta in set(np.unique(deltas).tolist()) - {0}:
            back[deltas == delta] = i - index_of[sequence[i], poc[i] + delta]
        use_second = (back[..., 0] == 0) | ((back[..., 0] < 0) & (back[..., 1] > 0))
        expected = np.where(use_second, back[..., 1], back[..., 0]).repeat(4, 0).repeat(4, 1)[:height, :width]
        np.testing.assert_array_equal(frame.motion.frames_back, expected)
        mv = np.where(use_second[..., None], golden["mv"][i][:, :, 1], golden["mv"][i][:, :, 0]) / 4
        np.testing.assert_array_equal(frame.motion.flow_px, mv.repeat(4, 0).repeat(4, 1)[:height, :width])


def test_a_reference_that_is_never_shown_is_marked_and_refused_as_dense_motion(shared):
    path = shared / "streams/hm_outflag.hevc"
    marked = sum((frame.frames_back == -32768).any() for frame in read_motion(path))
    assert marked > 0
    with pytest.raises(BitstreamError, match=r"hm_outflag\.hevc: frame \d+: it predicts from a picture that is never"):
        list(decode(path, motion=True))

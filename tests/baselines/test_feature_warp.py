import numpy as np
import pytest
import torch
from colour_network import ColourNetwork

from baselines.feature_warp import FeatureWarp
from vssbench.errors import BitstreamError, UsageError
from vssbench.records import MotionField


def motion_of_size(size, *, flow=(0, 0), frames_back=1):
    return MotionField(
        flow_px=np.broadcast_to(np.asarray(flow, np.float32), (*size, 2)).copy(),
        frames_back=np.broadcast_to(np.asarray(frames_back, np.int16), size).copy(),
    )


def numbered(size, offset=0.0):
    """(1, 1, H, W): 0, 1, 2, ... in reading order."""
    return (torch.arange(float(size[0] * size[1])) + offset).view(1, 1, *size)


def propagated(warping, history, motion):
    return warping.propagated(history, motion, warping.references(motion))[0, 0].numpy()


def test_a_position_fetches_the_score_its_vector_points_at():
    # flow (1, 0): what is at x was at x + 1; the last column finds the border
    result = propagated(FeatureWarp(), [numbered((2, 3))], motion_of_size((2, 3), flow=(1, 0)))
    np.testing.assert_allclose(result, [[1, 2, 2], [4, 5, 5]], atol=1e-5)


def test_a_quarter_pixel_vector_weighs_its_two_neighbours():
    result = propagated(FeatureWarp(), [numbered((1, 4))], motion_of_size((1, 4), flow=(0.25, 0)))
    np.testing.assert_allclose(result, [[0.25, 1.25, 2.25, 3]], atol=1e-5)


def test_zero_padding_empties_what_comes_from_outside():
    motion = motion_of_size((2, 3), flow=(0, -1))
    result = propagated(FeatureWarp(padding="zeros"), [numbered((2, 3), 7)], motion)
    np.testing.assert_allclose(result, [[0, 0, 0], [7, 8, 9]], atol=1e-5)


def test_an_intra_block_stays_where_it_was():
    flow = np.array([[[1, 0], [5, 5], [-1, 0]]], np.float32)  # the middle vector is not one: frames_back 0
    motion = MotionField(flow_px=flow, frames_back=np.array([[1, 0, 1]], np.int16))
    np.testing.assert_allclose(propagated(FeatureWarp(), [numbered((1, 3))], motion), [[1, 1, 1]], atol=1e-5)


def test_a_frame_of_intra_blocks_alone_is_a_copy():
    warping, motion = FeatureWarp(), motion_of_size((2, 3), frames_back=0)
    assert warping.references(motion) == (1,)
    np.testing.assert_array_equal(propagated(warping, [numbered((2, 3))], motion), numbered((2, 3))[0, 0])


def test_vectors_are_scaled_to_the_logits_grid():
    # 4x12 pixels over a 2x3 grid: cells are 4 wide and 2 high, so (4, -2) px are (1, -1) cells
    motion = motion_of_size((4, 12), flow=(4, -2))
    result = propagated(FeatureWarp(propagate="logits-grid"), [numbered((2, 3))], motion)
    np.testing.assert_allclose(result, [[1, 2, 2], [1, 2, 2]], atol=1e-5)


def test_scores_are_kept_at_full_size_or_on_the_networks_grid():
    images = torch.rand(1, 3, 8, 12)
    network = ColourNetwork(cell=4)
    assert FeatureWarp().scores(network, images).shape == (1, 3, 8, 12)
    assert FeatureWarp(propagate="logits-grid").scores(network, images).shape == (1, 3, 2, 3)


def test_each_position_reads_the_reference_its_block_names():
    # rows from one, two and three frames back; an intra row counts as one back
    frames_back = np.repeat(np.array([[1], [2], [3], [0]], np.int16), 2, axis=1)
    motion = motion_of_size((4, 2), frames_back=frames_back)
    warping = FeatureWarp(max_frames_back=3)
    assert warping.references(motion) == (1, 2, 3)
    history = [numbered((4, 2), 300), numbered((4, 2), 200), numbered((4, 2), 100)]  # oldest first
    np.testing.assert_allclose(
        propagated(warping, history, motion), [[100, 101], [202, 203], [304, 305], [106, 107]], atol=1e-4
    )


def test_only_the_references_in_use_are_warped():
    assert FeatureWarp(max_frames_back=4).references(motion_of_size((2, 2), frames_back=3)) == (3,)
    assert FeatureWarp(max_frames_back=4).references(motion_of_size((1, 2), frames_back=[[0, 3]])) == (1, 3)
    assert FeatureWarp(max_frames_back=4).references(motion_of_size((1, 2), frames_back=[[0, 1]])) == (1,)


def test_on_the_logits_grid_a_cell_takes_the_reference_at_its_centre():
    frames_back = np.ones((4, 4), np.int16)
    frames_back[:, 3] = 2  # cells are 2x2; the pixel at the right cell's centre is column 3
    motion = motion_of_size((4, 4), frames_back=frames_back)
    warping = FeatureWarp(propagate="logits-grid", max_frames_back=2)
    history = [numbered((2, 2), 20), numbered((2, 2), 10)]
    np.testing.assert_allclose(propagated(warping, history, motion), [[10, 21], [12, 23]], atol=1e-5)


def test_a_vector_to_a_later_frame_is_refused():
    with pytest.raises(BitstreamError, match=r"a frame 2 later \(B frames\); encode with I and P frames only"):
        FeatureWarp(max_frames_back=4).references(motion_of_size((1, 2), frames_back=[[1, -2]]))


def test_a_vector_further_back_than_is_kept_is_refused_with_the_number_needed():
    with pytest.raises(BitstreamError, match=r"3 frames back, FFW keeps 1.*FeatureWarp\(max_frames_back=3\)"):
        FeatureWarp().references(motion_of_size((1, 2), frames_back=[[1, 3]]))


def test_a_vector_past_the_start_of_the_stream_is_refused():
    warping, motion = FeatureWarp(max_frames_back=3), motion_of_size((1, 2), frames_back=2)
    with pytest.raises(BitstreamError, match="2 frames back, but only 1 came before"):
        propagated(warping, [numbered((1, 2))], motion)


def test_every_option_is_in_the_condition():
    assert FeatureWarp(propagate="logits-grid", grid="taplab-release", padding="zeros").condition == {
        "ffw_propagate": "logits-grid",
        "ffw_grid": "taplab-release",
        "ffw_padding": "zeros",
        "ffw_max_frames_back": 1,
    }


@pytest.mark.parametrize(
    "options",
    [{"propagate": "features"}, {"grid": "arseg-release"}, {"padding": "wrap"}, {"max_frames_back": 0}],
)
def test_an_unknown_option_is_refused(options):
    with pytest.raises(UsageError, match=f"{next(iter(options))} must be"):
        FeatureWarp(**options)

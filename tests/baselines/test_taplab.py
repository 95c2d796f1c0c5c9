import copy

import numpy as np
import pytest
import torch
from colour_network import ColourNetwork, frame_of
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from baselines.feature_warp import FeatureWarp
from baselines.frame_selection import FrameSelection
from baselines.residual_correction import RegionCorrection
from baselines.taplab import TapLab
from vssbench.errors import BitstreamError
from vssbench.networks.bisenet import BiSeNet18
from vssbench.records import Method

OVERWRITE = RegionCorrection(region_px=(4, 4), stride_px=4, blend=1.0)  # four quarters of 8x8


def taplab(network=None, *, device="cpu", correction=None, selection=None, **warping):
    return TapLab(
        network=ColourNetwork() if network is None else network,
        device=device,
        correction=correction,
        selection=selection,
        warping=FeatureWarp(**warping),
    )


def residual_at(*positions, size=(8, 8), value=100):
    residual = np.zeros((*size, 3), np.int16)
    for y, x in positions:
        residual[y, x] = value
    return residual


def filled(label, size=(8, 8)):
    return np.full(size, label, np.uint8)


def test_chained_warps_compose_integer_motion():
    rng = np.random.default_rng(0)
    expected = rng.integers(0, 3, (6, 9)).astype(np.uint8)
    method = taplab()
    np.testing.assert_array_equal(method.step(frame_of(expected)).labels, expected)
    for _ in range(4):
        flow = rng.integers(-3, 4, (6, 9, 2))
        step = method.step(frame_of(filled(0, (6, 9)), "P", flow=flow))
        y, x = np.mgrid[:6, :9]
        expected = expected[np.clip(y + flow[..., 1], 0, 5), np.clip(x + flow[..., 0], 0, 8)]
        np.testing.assert_array_equal(step.labels, expected)
        assert step.kind == "warp"


def test_a_still_picture_stays_for_eleven_frames():
    labels = np.random.default_rng(1).integers(0, 3, (7, 11)).astype(np.uint8)
    method = taplab()
    method.step(frame_of(labels))
    for _ in range(11):
        step = method.step(frame_of(filled(0, (7, 11)), "P"))
    np.testing.assert_array_equal(step.labels, labels)


def test_the_released_grid_moves_a_still_picture_by_five_and_a_half_pixels():
    labels = np.ones((5, 24), np.uint8)
    labels[:, :8] = 0  # the edge lies at 7.5; after 11 half pixels at 13, on the centre of a pixel
    method = taplab(grid="taplab-release", padding="zeros")
    method.step(frame_of(labels))
    for _ in range(11):
        step = method.step(frame_of(labels, "P"))
    np.testing.assert_array_equal(step.labels[4, [12, 14]], [0, 1])


def test_the_corrected_region_is_what_the_next_frame_is_warped_from():
    method = taplab(correction=OVERWRITE)
    method.step(frame_of(filled(0)))
    # the residual lies in the bottom right quarter, where the network sees class 1
    first = method.step(frame_of(filled(1), "P", residual=residual_at((7, 7))))
    expected = filled(0)
    expected[4:, 4:] = 1
    np.testing.assert_array_equal(first.labels, expected)
    # everything moves left by 4 (the border repeats); the top left quarter is corrected to class 2
    second = method.step(frame_of(filled(2), "P", flow=(4, 0), residual=residual_at((0, 0))))
    expected = filled(0)
    expected[4:, :] = 1
    expected[:4, :4] = 2
    np.testing.assert_array_equal(second.labels, expected)


def test_the_network_sees_the_region_alone():
    network = ColourNetwork()
    method = taplab(network, correction=RegionCorrection(region_px=(4, 6), stride_px=2))
    method.step(frame_of(filled(0)))
    method.step(frame_of(filled(1), "P"))
    assert network.seen == [(8, 8), (4, 6)]


@pytest.mark.parametrize(("blend", "winner"), [(0.0, 0), (0.4, 0), (0.6, 1), (1.0, 1)])
def test_the_blend_weighs_the_network_against_the_warp(blend, winner):
    # warped: class 0 with score 1; network: class 1 with score 1; class 1 wins where alpha > 1 - alpha
    method = taplab(correction=RegionCorrection(region_px=(4, 4), stride_px=4, blend=blend))
    method.step(frame_of(filled(0)))
    step = method.step(frame_of(filled(1), "P", residual=residual_at((0, 0))))
    assert step.labels[0, 0] == winner
    assert step.labels[0, 4] == 0


def test_the_default_blend_is_the_released_one():
    assert taplab(correction=RegionCorrection()).condition["rgc_blend"] == 0.6


def test_a_region_on_the_logits_grid_lands_on_its_cells():
    # 2x2 pixels a cell; the quarter of 4x4 pixels is 2x2 cells
    method = taplab(ColourNetwork(cell=2), correction=OVERWRITE, propagate="logits-grid")
    method.step(frame_of(filled(0)))
    step = method.step(frame_of(filled(1), "P", residual=residual_at((7, 0))))
    # upsampled by pixel centres, a pixel next to the seam is 3/4 its own cell
    expected = filled(0)
    expected[4:, :4] = 1
    # the corner of the quarter, 3/4 * 3/4 = 9/16 of class 1, still wins; outside it loses
    np.testing.assert_array_equal(step.labels, expected)


def test_labels_are_those_of_log_softmax_maps():
    """The released networks carry log-softmax; the labels must not depend on it (FeatureWarp)."""
    rng = np.random.default_rng(2)
    pictures = rng.integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)
    flows = rng.normal(0, 1.5, (6, 8, 10, 2)).astype(np.float32)
    correction = RegionCorrection(region_px=(4, 6), stride_px=2)

    class LogSoftmaxColour(ColourNetwork):
        def forward(self, images):
            return functional.log_softmax(super().forward(images) * 5, dim=1)

    class ScaledColour(ColourNetwork):
        def forward(self, images):
            return super().forward(images) * 5

    for padding in ("border", "zeros"):
        ours, released = (
            taplab(network(), correction=correction, padding=padding) for network in (ScaledColour, LogSoftmaxColour)
        )
        for t in range(6):
            residual = rng.integers(-60, 60, (8, 10, 3))
            frame = frame_of(None, "I" if t == 0 else "P", rgb=pictures[t], flow=flows[t], residual=residual)
            np.testing.assert_array_equal(ours.step(frame).labels, released.step(frame).labels)


def test_a_frame_over_the_threshold_is_segmented_in_full_and_carried_on():
    method = taplab(selection=FrameSelection(threshold_mean=5.0))
    frames = [
        frame_of(filled(0)),
        frame_of(filled(1), "P", residual=5),  # at the threshold: warped
        frame_of(filled(2), "P", residual=-6),  # magnitude over it: segmented
        frame_of(filled(1), "P", residual=0),  # warped from the segmented frame
    ]
    steps = [method.step(frame) for frame in frames]
    assert [step.kind for step in steps] == ["key", "warp", "selected", "warp"]
    assert [int(step.labels[0, 0]) for step in steps] == [0, 0, 2, 2]


def test_selection_comes_before_correction():
    network = ColourNetwork()
    method = taplab(network, correction=OVERWRITE, selection=FrameSelection(threshold_mean=5.0))
    residuals = [None, 1, 9, 1, None]
    kinds = []
    for residual, frame_type in zip(residuals, "IPPPI", strict=True):
        kinds.append(method.step(frame_of(filled(1), frame_type, residual=residual)).kind)
    assert kinds == ["key", "warp+region", "selected", "warp+region", "key"]
    assert network.seen == [(8, 8), (4, 4), (8, 8), (4, 4), (8, 8)]


def test_the_released_second_trigger_adds_up_since_the_last_full_frame():
    selection = FrameSelection(threshold_mean=100.0, rule="release", cumulative_threshold_mean=10.0)
    method = taplab(selection=selection)
    # sums of means: 4, 8, 12 > 10 -> selected; 4, 8, then an I frame; 4, 8, 12 -> selected
    kinds = []
    for frame_type in "IPPPPPIPPP":
        kinds.append(method.step(frame_of(filled(0), frame_type, residual=4)).kind)
    assert kinds == [
        *["key", "warp", "warp", "selected", "warp", "warp"],
        *["key", "warp", "warp", "selected"],
    ]


@pytest.mark.parametrize(
    ("between", "second"),
    [([], (7, 7)), ([frame_of(filled(0))], (0, 0)), (["reset", frame_of(filled(0))], (0, 0))],
)
def test_released_region_sums_start_again_at_a_key_frame(between, second):
    # quarters of 10 and 9: the first is chosen; with memory the other is next (9 + 9 > 0 + 10)
    residual = residual_at((0, 0), value=10) + residual_at((7, 7), value=9)
    release = RegionCorrection(region_px=(4, 4), stride_px=4, blend=1.0, rule="release-accumulated")
    method = taplab(correction=release)
    method.step(frame_of(filled(0)))
    first = method.step(frame_of(filled(1), "P", residual=residual))
    assert (first.labels[0, 0], first.labels[7, 7]) == (1, 0)
    for event in between:
        method.reset() if isinstance(event, str) else method.step(event)
    labels = method.step(frame_of(filled(2), "P", residual=residual)).labels
    assert labels[second] == 2


def test_a_selected_frame_also_starts_the_released_region_sums_again():
    release = RegionCorrection(region_px=(4, 4), stride_px=4, blend=1.0, rule="release-accumulated")
    method = taplab(correction=release, selection=FrameSelection(threshold_mean=5.0))
    residual = residual_at((0, 0), value=10) + residual_at((7, 7), value=9)
    method.step(frame_of(filled(0)))
    method.step(frame_of(filled(1), "P", residual=residual))
    assert method.step(frame_of(filled(0), "P", residual=50)).kind == "selected"
    assert method.step(frame_of(filled(2), "P", residual=residual)).labels[0, 0] == 2


def test_a_block_may_refer_two_frames_back():
    left = filled(0, (4, 4))
    left[:, 2:] = 1
    method = taplab(max_frames_back=2)
    method.step(frame_of(left))
    # the content moves left by two: class 1 everywhere
    np.testing.assert_array_equal(method.step(frame_of(left, "P", flow=(2, 0))).labels, filled(1, (4, 4)))
    frames_back = np.array([[2], [2], [1], [0]])
    step = method.step(frame_of(left, "P", frames_back=frames_back))
    np.testing.assert_array_equal(step.labels, [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]])
    assert step.kind == "warp-2"


def test_two_warps_and_a_region_are_a_kind_of_their_own():
    method = taplab(max_frames_back=2, correction=OVERWRITE)
    method.step(frame_of(filled(0)))
    method.step(frame_of(filled(0), "P"))
    frames_back = np.repeat([[1], [2]], 4, axis=0)
    assert method.step(frame_of(filled(0), "P", frames_back=frames_back)).kind == "warp-2+region"


def test_a_b_frame_that_points_forward_is_refused_and_one_that_does_not_is_warped():
    method = taplab()
    method.step(frame_of(filled(1)))
    assert method.step(frame_of(filled(0), "B", frames_back=1)).kind == "warp"
    with pytest.raises(BitstreamError, match="B frames"):
        method.step(frame_of(filled(0), "B", frames_back=-1))


def test_a_stream_must_open_with_an_i_frame_also_after_reset():
    method = taplab()
    with pytest.raises(BitstreamError, match="must open with an I frame, got a P frame at index 3"):
        method.step(frame_of(filled(0), "P", index=3))
    method.step(frame_of(filled(0)))
    method.reset()
    with pytest.raises(BitstreamError, match="must open with an I frame"):
        method.step(frame_of(filled(0), "P"))


def test_missing_side_information_is_an_error_not_zero_motion():
    method = taplab()
    method.step(frame_of(filled(0)))
    with pytest.raises(BitstreamError, match="P frame at index 5 comes without motion"):
        method.step(frame_of(filled(0), "P", index=5, motion=False))
    frame = frame_of(filled(0), "P")
    object.__setattr__(frame, "residual", None)
    assert method.step(frame).kind == "warp"  # FFW alone does not read it
    for parts in ({"correction": OVERWRITE}, {"selection": FrameSelection(threshold_mean=1.0)}):
        method = taplab(**parts)
        method.step(frame_of(filled(0)))
        with pytest.raises(BitstreamError, match="comes without its residual"):
            method.step(frame)


def test_only_what_is_read_is_asked_for():
    both = frozenset({"motion", "residual"})
    assert taplab().needs == frozenset({"motion"})
    assert taplab(correction=OVERWRITE).needs == both
    assert taplab(selection=FrameSelection(threshold_mean=1.0)).needs == both
    assert isinstance(taplab(), Method)


def test_the_condition_names_the_parts_and_all_their_options():
    condition = taplab(correction=OVERWRITE, selection=FrameSelection(threshold_mean=1.0)).condition
    parts = (FeatureWarp(), OVERWRITE, FrameSelection(threshold_mean=1.0))
    for part in parts:
        assert part.condition.items() <= condition.items()
    assert (condition["rgc"], condition["rgfs"]) == (True, True)
    assert taplab().condition == {"rgc": False, "rgfs": False, **FeatureWarp().condition}


@pytest.mark.parametrize("propagate", ["scores-full", "logits-grid"])
def test_decisions_on_the_meta_device_are_those_on_the_cpu(propagate):
    rng = np.random.default_rng(4)
    frames = [
        frame_of(
            rng.integers(0, 3, (16, 24)),
            "I" if t % 5 == 0 else "P",
            flow=rng.normal(0, 2, (16, 24, 2)),
            frames_back=rng.integers(0, min(t % 5, 2) + 1, (16, 24)),
            residual=rng.integers(-60, 60) * np.ones(3),
        )
        for t in range(15)
    ]

    def kinds(device):
        method = taplab(
            ColourNetwork(cell=4),
            device=device,
            correction=RegionCorrection(region_px=(8, 8), rule="release-accumulated"),
            selection=FrameSelection(threshold_mean=30.0),
            propagate=propagate,
            max_frames_back=2,
        )
        return [method.step(frame).kind for frame in frames]

    assert kinds("meta") == kinds("cpu")
    assert set(kinds("cpu")) == {"key", "selected", "warp+region", "warp-2+region"}


def test_the_state_does_not_leak_between_two_methods_with_the_same_parts():
    one, other = taplab(correction=OVERWRITE), taplab(correction=OVERWRITE)
    one.step(frame_of(filled(0)))
    with pytest.raises(BitstreamError, match="must open with an I frame"):
        other.step(frame_of(filled(0), "P"))


def convolution_macs(call, argument):
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        call(argument)
    return counter.get_total_flops() / 2


def test_a_warped_frame_costs_no_network_and_a_corrected_one_the_network_on_its_region():
    size = (360, 480)
    network = BiSeNet18(num_classes=11, width=0.25).eval().to("meta")
    key, still = frame_of(filled(0, size)), frame_of(filled(0, size), "P")
    image, region = (torch.empty((1, 3, *s), device="meta") for s in (size, (256, 256)))
    for correction, expected in [(None, 0), (RegionCorrection(), convolution_macs(network, region))]:
        step = taplab(network, device="meta", correction=correction).step
        assert convolution_macs(step, key) == convolution_macs(network, image) > 0
        assert convolution_macs(step, still) == expected


def test_twelve_camvid_frames_cost_what_the_region_share_says():
    # a = 512^2 / (720 * 960) = 0.3793: (1 + 11 a) / 12 = 0.4310, and with a tenth of the P frames selected
    # (1 + 11 (0.1 + 0.9 a)) / 12 = 0.4879; BiSeNet rounds 720 up to 736 inside, hence 2 %
    network = BiSeNet18(num_classes=12, width=0.25).eval().to("meta")
    method = taplab(network, device="meta", correction=RegionCorrection())
    size = (720, 960)
    key = convolution_macs(method.step, frame_of(filled(0, size)))
    corrected = convolution_macs(method.step, frame_of(filled(0, size), "P"))
    assert (key + 11 * corrected) / 12 / key == pytest.approx(0.4310, rel=0.02)
    assert (key + 11 * (0.1 * key + 0.9 * corrected)) / 12 / key == pytest.approx(0.4879, rel=0.02)


def test_a_real_network_runs_end_to_end_on_an_odd_frame():
    torch.manual_seed(0)
    network = BiSeNet18(num_classes=5, width=0.1)
    method = taplab(
        copy.deepcopy(network), correction=RegionCorrection(), selection=FrameSelection(threshold_mean=200.0)
    )
    rng = np.random.default_rng(5)
    for t in range(3):
        rgb = rng.integers(0, 256, (101, 131, 3), dtype=np.uint8)
        frame = frame_of(None, "I" if t == 0 else "P", rgb=rgb, flow=rng.normal(0, 2, (101, 131, 2)))
        step = method.step(frame)
        assert step.labels.shape == (101, 131)
        assert step.labels.max() < 5

"""Warping: direction, borders, the exact grid, and the drift of the released ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vssbench.errors import ShapeError, UsageError
from vssbench.ops.warp import flow_for_grid, warp
from vssbench.records import MotionField

MODES = ["bilinear", "nearest"]


def picture(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def constant_flow(size: tuple[int, int], dx: float, dy: float, num: int = 1) -> Tensor:
    return torch.tensor([dx, dy]).expand(num, *size, 2).contiguous()


def motion(flow_px, frames_back=None) -> MotionField:
    flow_px = np.asarray(flow_px, np.float32)
    if frames_back is None:
        frames_back = np.ones(flow_px.shape[:2], np.int16)
    return MotionField(flow_px=flow_px, frames_back=np.asarray(frames_back, np.int16))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", ["border", "zeros"])
@pytest.mark.parametrize("size", [(1, 1), (7, 10), (90, 119), (3, 960)])
def test_zero_flow_is_the_identity_bit_for_bit(mode, padding, size):
    features = picture(2, 3, *size)
    assert torch.equal(warp(features, constant_flow(size, 0, 0), mode=mode, padding=padding), features)


def test_eleven_warps_of_a_still_picture_leave_it_alone():
    features = kept = picture(1, 2, 24, 30)
    for _ in range(11):
        kept = warp(kept, constant_flow((24, 30), 0, 0))
    assert torch.equal(kept, features)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dx", "dy"), [(2, 0), (0, 3), (-3, 1), (4, -2)])
def test_an_integer_flow_is_a_slice(mode, dx, dy):
    features = picture(1, 3, 12, 15)
    got = warp(features, constant_flow((12, 15), dx, dy), mode=mode)
    # out[y, x] = in[y + dy, x + dx], the border repeated outside
    rows = np.clip(np.arange(12) + dy, 0, 11)
    columns = np.clip(np.arange(15) + dx, 0, 14)
    torch.testing.assert_close(got, features[:, :, rows][..., columns], rtol=0, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_flow_points_to_where_a_pixel_was(mode):
    features = torch.zeros(1, 1, 5, 5)
    features[0, 0, 2, 3] = 1  # (x, y) = (3, 2) in the earlier frame
    flow = torch.zeros(1, 5, 5, 2)
    flow[0, 1, 1] = torch.tensor([2.0, 1.0])  # what is now at (1, 1) was at (3, 2)
    got = warp(features, flow, mode=mode)
    assert got[0, 0, 1, 1] == pytest.approx(1, abs=1e-5)
    assert got[0, 0, 2, 3] == 1


@pytest.mark.parametrize("mode", MODES)
def test_outside_is_the_border_or_zero(mode):
    features = torch.ones(1, 1, 4, 6)
    flow = constant_flow((4, 6), 3, 0)
    torch.testing.assert_close(warp(features, flow, mode=mode), features)
    expected = torch.tensor([1.0, 1, 1, 0, 0, 0]).expand(1, 1, 4, 6)
    torch.testing.assert_close(warp(features, flow, mode=mode, padding="zeros"), expected, rtol=0, atol=1e-5)


def test_zero_padding_is_zero_even_beside_infinity():
    features = torch.full((1, 1, 1, 2), torch.inf)
    got = warp(features, constant_flow((1, 2), 5, 0), mode="nearest", padding="zeros")
    assert torch.equal(got, torch.zeros(1, 1, 1, 2))


def test_bilinear_interpolates_between_the_four_pixels():
    features = torch.arange(12.0).reshape(1, 1, 3, 4)
    got = warp(features, constant_flow((3, 4), 0.25, 0.5))
    # inside, a plane: x + 4 y moves by 0.25 + 4 * 0.5
    torch.testing.assert_close(got[0, 0, :2, :3], features[0, 0, :2, :3] + 2.25, rtol=0, atol=1e-5)


def test_nearest_moves_equal_half_vectors_as_one_block():
    features = torch.arange(8.0).reshape(1, 1, 1, 8)
    got = warp(features, constant_flow((1, 8), 0.5, 0), mode="nearest")
    # every tie goes right; rounding half to even would give 0, 2, 2, 4, 4, 6, 6, 7
    assert got.flatten().tolist() == [1, 2, 3, 4, 5, 6, 7, 7]


def test_each_sample_has_its_own_flow_or_all_have_one():
    features = picture(2, 3, 6, 7)
    flows = torch.cat([constant_flow((6, 7), 1, 0), constant_flow((6, 7), 0, 2)])
    for mode in MODES:
        both = warp(features, flows, mode=mode)
        for n in range(2):
            torch.testing.assert_close(both[n : n + 1], warp(features[n : n + 1], flows[n : n + 1], mode=mode))
        torch.testing.assert_close(
            warp(features, flows[:1], mode=mode), warp(features, flows[:1].repeat(2, 1, 1, 1), mode=mode)
        )


@pytest.mark.parametrize("grid", ["exact", "arseg-release", "taplab-release"])
def test_each_grid_is_grid_sample_with_its_formula(grid):
    height, width = 8, 12
    features, flow = picture(1, 2, height, width), picture(1, height, width, 2, seed=1)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    source = torch.from_numpy(np.stack([x, y], axis=-1)).float() + flow
    side = torch.tensor([width, height])
    normalised = {
        "exact": (2 * source + 1) / side - 1,
        "arseg-release": 2 * source / (side - 1) - 1,
        "taplab-release": source / side * 2 - 1,
    }[grid]
    expected = F.grid_sample(features, normalised, align_corners=False)
    torch.testing.assert_close(warp(features, flow, padding="zeros", grid=grid), expected, rtol=0, atol=1e-5)


def test_taplabs_grid_moves_a_still_picture_by_half_a_pixel_a_warp():
    ramp = torch.arange(40.0).expand(1, 1, 40, 40)  # its value is its x
    features = torch.cat([ramp, ramp.transpose(2, 3)], dim=1)
    for _ in range(11):
        features = warp(features, constant_flow((40, 40), 0, 0), padding="zeros", grid="taplab-release")
    # 11 half pixels: at (30, 20) one reads what was at (24.5, 14.5)
    assert features[0, 0, 20, 30] == pytest.approx(24.5, abs=1e-3)
    assert features[0, 1, 20, 30] == pytest.approx(14.5, abs=1e-3)


def test_arsegs_grid_is_off_by_half_a_pixel_at_the_sides_and_right_in_the_middle():
    width = 41
    ramp = torch.arange(float(width)).expand(1, 1, 5, width)
    still = constant_flow((5, width), 0, 0)
    got = warp(ramp, still, padding="border", grid="arseg-release")[0, 0, 2]
    # x w / (w - 1) - 0.5: 0 -> -0.5 (border: 0), 1 -> 0.525, 20 -> 20, 39 -> 39.475, 40 -> 40.5 (border: 40)
    torch.testing.assert_close(got[[0, 1, 20, 39, 40]], torch.tensor([0, 0.525, 20, 39.475, 40]), rtol=0, atol=1e-4)
    halved = warp(torch.ones(1, 1, 1, width), still[:, :1], padding="zeros", grid="arseg-release")[0, 0, 0]
    # at a side half of the weight falls outside; the only row is off by -0.5 px too and halves everything again
    torch.testing.assert_close(halved[[0, 20, 40]], torch.tensor([0.25, 0.5, 0.25]), rtol=0, atol=1e-4)


def test_nearest_follows_the_released_grids_too():
    features = picture(1, 2, 9, 11)
    flow = constant_flow((9, 11), 1.75, -0.75)
    for grid in ("arseg-release", "taplab-release"):
        got = warp(features, flow, mode="nearest", grid=grid)
        x = np.arange(11) + 1.75
        y = np.arange(9) - 0.75
        if grid == "arseg-release":
            x, y = x * 11 / 10 - 0.5, y * 9 / 8 - 0.5
        else:
            x, y = x - 0.5, y - 0.5
        columns = np.clip(np.floor(x + 0.5), 0, 10).astype(int)
        rows = np.clip(np.floor(y + 0.5), 0, 8).astype(int)
        assert torch.equal(got, features[:, :, rows][..., columns])


def test_half_features_are_sampled_at_full_precision_positions():
    features = picture(1, 2, 4, 900).bfloat16()  # bfloat16 cannot tell pixel 897 from 900
    flow = constant_flow((4, 900), -1, 0)
    got = warp(features, flow)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got[..., 1:].float(), features[..., :-1].float(), rtol=0.01, atol=0.01)


def test_gradients_reach_features_and_flow():
    features = picture(1, 2, 5, 6).double().requires_grad_()
    flow = (0.3 * picture(1, 5, 6, 2, seed=3)).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda f, d: warp(f, d), (features, flow))


def test_a_learnt_flow_gets_its_gradient_at_zero_too():
    ramp = torch.arange(6.0).expand(1, 1, 5, 6)  # slope 1 along x
    flow = torch.zeros(1, 5, 6, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(warp(ramp, flow).sum(), flow)
    torch.testing.assert_close(gradient[0, 2, 1:5, 0], torch.ones(4))


def test_runs_on_the_meta_device():
    features, flow = torch.empty(1, 4, 6, 7, device="meta"), torch.empty(1, 6, 7, 2, device="meta")
    for mode in MODES:
        for padding in ("border", "zeros"):
            assert warp(features, flow, mode=mode, padding=padding).shape == (1, 4, 6, 7)


def test_a_flow_of_another_grid_is_refused():
    with pytest.raises(ShapeError, match="flow must cover the grid"):
        warp(picture(1, 2, 4, 5), torch.zeros(1, 5, 4, 2))
    with pytest.raises(ShapeError, match="one flow for each sample"):
        warp(picture(3, 2, 4, 5), torch.zeros(2, 4, 5, 2))


@pytest.mark.parametrize(("option", "value"), [("mode", "cubic"), ("padding", "reflection"), ("grid", "release")])
def test_an_unknown_option_is_refused_by_name(option, value):
    with pytest.raises(UsageError, match=f"{option} must be one of .*{value}"):
        warp(picture(1, 2, 4, 5), torch.zeros(1, 4, 5, 2), **{option: value})


def test_flow_is_scaled_along_each_axis():
    flow = np.full((8, 24, 2), [6.0, 4.0])
    got = flow_for_grid(motion(flow), (2, 8), device="cpu")
    # dx by 8/24, dy by 2/8; the released program takes 2/8 for both
    torch.testing.assert_close(got, torch.tensor([2.0, 1.0]).expand(1, 2, 8, 2))
    released = flow_for_grid(motion(flow), (2, 8), device="cpu", scale_rule="arseg-release")
    torch.testing.assert_close(released, torch.tensor([1.5, 1.0]).expand(1, 2, 8, 2))
    assert got.dtype == torch.float32


def test_a_moved_block_is_fetched_from_the_same_place_on_every_grid():
    # the whole frame moved by 16 px to the left; at 1/8 that is 2 feature pixels
    field = motion(np.full((64, 96, 2), [16.0, 0.0]))
    features = picture(1, 3, 8, 12)
    got = warp(features, flow_for_grid(field, (8, 12), device="cpu"))
    torch.testing.assert_close(got[..., :10], features[..., 2:], rtol=0, atol=1e-5)


def test_intra_blocks_count_as_zero_flow():
    flow = np.full((4, 8, 2), 2.0)
    valid = np.ones((4, 8), np.int16)
    valid[:, 4:] = 0  # intra, though the record holds a stale vector
    for resample in ("bilinear", "nearest"):
        got = flow_for_grid(motion(flow, valid), (2, 4), device="cpu", resample=resample)
        torch.testing.assert_close(got[0, :, :2], torch.ones(2, 2, 2))
        assert torch.equal(got[0, :, 2:], torch.zeros(2, 2, 2))
    full = flow_for_grid(motion(flow, valid), (4, 8), device="cpu")
    torch.testing.assert_close(full[0, :, :4], torch.full((4, 4, 2), 2.0))
    assert torch.equal(full[0, :, 4:], torch.zeros(4, 4, 2))


def test_a_block_that_reaches_forward_is_no_intra_block():
    field = motion(np.full((4, 4, 2), 2.0), np.full((4, 4), -3))
    torch.testing.assert_close(flow_for_grid(field, (4, 4), device="cpu"), torch.full((1, 4, 4, 2), 2.0))


@pytest.mark.parametrize(("resample", "align_corners"), [("bilinear", False), ("bilinear", True), ("nearest", False)])
@pytest.mark.parametrize("size", [(5, 7), (18, 26), (9, 13), (30, 5), (1, 1)])
def test_flow_is_resampled_as_torch_resamples(resample, align_corners, size):
    flow = np.random.default_rng(0).normal(size=(18, 26, 2)).astype(np.float32)
    got = flow_for_grid(motion(flow), size, device="cpu", resample=resample, align_corners=align_corners)
    planes = torch.from_numpy(flow).permute(2, 0, 1).unsqueeze(0)
    if resample == "nearest":
        expected = F.interpolate(planes, size, mode="nearest-exact")
    else:
        expected = F.interpolate(planes, size, mode="bilinear", align_corners=align_corners)
    expected = expected.permute(0, 2, 3, 1) * torch.tensor([size[1] / 26, size[0] / 18])
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def test_the_frames_own_motion_is_not_written_to():
    field = motion(np.full((4, 4, 2), 2.0), np.eye(4))
    for size in ((4, 4), (2, 2)):
        flow_for_grid(field, size, device="cpu").zero_()
    np.testing.assert_array_equal(field.flow_px, np.full((4, 4, 2), 2.0))


def test_flow_on_the_meta_device_has_the_shape():
    got = flow_for_grid(motion(np.zeros((8, 8, 2))), (3, 5), device="meta")
    assert (got.shape, got.dtype, got.device.type) == ((1, 3, 5, 2), torch.float32, "meta")


def test_flow_requests_that_make_no_sense_are_refused():
    field = motion(np.zeros((8, 8, 2)))
    with pytest.raises(ShapeError, match="1x1"):
        flow_for_grid(field, (0, 4), device="cpu")
    with pytest.raises(UsageError, match="resample must be one of"):
        flow_for_grid(field, (4, 4), device="cpu", resample="area")
    with pytest.raises(UsageError, match="scale_rule must be one of"):
        flow_for_grid(field, (4, 4), device="cpu", scale_rule="taplab")
    with pytest.raises(UsageError, match="align_corners"):
        flow_for_grid(field, (4, 4), device="cpu", resample="nearest", align_corners=True)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("grid", ["exact", "arseg-release", "taplab-release"])
def test_cuda_warps_as_the_cpu_does(cuda, mode, grid):
    features = picture(2, 8, 45, 60)
    flow = torch.round(8 * picture(1, 45, 60, 2, seed=1)) / 4 + 0.01  # off the ties
    for padding in ("border", "zeros"):
        got = warp(features.to(cuda), flow.to(cuda), mode=mode, padding=padding, grid=grid)
        expected = warp(features, flow, mode=mode, padding=padding, grid=grid)
        torch.testing.assert_close(got.cpu(), expected, rtol=0, atol=1e-4)

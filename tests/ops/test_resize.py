"""Resizing at pixel centres, and the released program's way to shrink a size."""

from __future__ import annotations

import pytest
import torch

from vssbench.errors import ShapeError, UsageError
from vssbench.ops.resize import resize, scaled_size


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, -1)


def test_a_map_of_the_right_size_is_returned_itself():
    x = torch.rand(1, 2, 3, 4)
    assert resize(x, (3, 4)) is x
    assert resize(x, (3, 4), mode="nearest") is x


def test_bilinear_samples_at_pixel_centres():
    # output centres 0.25, 0.75, 1.25, 1.75 of a pixel lie at -0.25 (clamped), 0.25, 0.75, 1.25 between the inputs
    torch.testing.assert_close(resize(row(0, 4), (1, 4)), row(0, 1, 3, 4))


def test_align_corners_samples_corner_to_corner():
    torch.testing.assert_close(resize(row(0, 3), (1, 4), align_corners=True), row(0, 1, 2, 3))


def test_nearest_takes_the_pixel_whose_centre_is_closest():
    # shrinking 5 to 3: centres at 5/6, 15/6, 25/6 of the input's axis, pixels 0, 2, 4 (plain "nearest" takes 0, 1, 3)
    torch.testing.assert_close(resize(row(10, 11, 12, 13, 14), (1, 3), mode="nearest"), row(10, 12, 14))


def test_shrinking_does_not_antialias():
    # 8 to 2: centres at 1.5 and 5.5, so the impulse at 0 is not seen
    torch.testing.assert_close(resize(row(9, 0, 0, 0, 0, 0, 0, 0), (1, 2)), row(0, 0))


def test_resizes_on_the_meta_device():
    assert resize(torch.empty(2, 3, 5, 7, device="meta"), (10, 9)).shape == (2, 3, 10, 9)


def test_wrong_requests_are_refused():
    with pytest.raises(ShapeError, match="N, C, h, w"):
        resize(torch.rand(3, 4, 5), (2, 2))
    with pytest.raises(ShapeError, match="1x1"):
        resize(torch.rand(1, 3, 4, 5), (0, 2))
    with pytest.raises(UsageError, match="bicubic"):
        resize(torch.rand(1, 3, 4, 5), (2, 2), mode="bicubic")
    with pytest.raises(UsageError, match="align_corners"):
        resize(torch.rand(1, 3, 4, 5), (2, 2), mode="nearest", align_corners=True)


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [
        ((720, 960), 0.5, (360, 480)),
        ((720, 960), 0.7, (503, 672)),  # 720 * 0.7 is 503.99999999999994 in floating point
        ((1024, 2048), 0.6, (614, 1228)),
        ((1024, 2048), 0.7, (716, 1433)),
        ((720, 960), 1.0, (720, 960)),
        ((1, 2), 0.3, (1, 1)),
    ],
)
def test_a_scaled_size_is_truncated_as_in_the_released_program(size, scale, expected):
    assert scaled_size(size, scale) == expected


@pytest.mark.parametrize("scale", [0.0, -0.5, float("inf"), float("nan")])
def test_a_scale_that_is_no_scale_is_refused(scale):
    with pytest.raises(UsageError, match="above 0"):
        scaled_size((720, 960), scale)

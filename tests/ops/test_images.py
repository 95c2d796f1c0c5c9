"""Picture to tensor, and logits to labels."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vssbench.errors import PredictionError, ShapeError
from vssbench.ops.images import labels_from_logits, to_tensor


def test_bytes_become_planes_of_0_to_1():
    rgb = np.array([[[0, 51, 255], [255, 0, 102]]], np.uint8)  # (1, 2, 3)
    expected = torch.tensor([[[[0.0, 1.0]], [[0.2, 0.0]], [[1.0, 0.4]]]])
    got = to_tensor(rgb, device="cpu")
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-7)
    assert got.is_contiguous()


def test_a_read_only_or_mirrored_picture_is_taken_without_a_warning():
    rgb = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    rgb.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain, mirrored = to_tensor(rgb, device="cpu"), to_tensor(rgb[:, ::-1], device="cpu")
    torch.testing.assert_close(mirrored, plain.flip(3))


def test_the_tensor_does_not_share_the_pictures_memory():
    rgb = np.zeros((1, 1, 3), np.uint8)
    got = to_tensor(rgb, device="cpu")
    rgb[:] = 255
    assert got.max() == 0


def test_the_meta_device_gets_the_shape():
    got = to_tensor(np.zeros((5, 7, 3), np.uint8), device="meta")
    assert (got.shape, got.dtype, got.device.type) == ((1, 3, 5, 7), torch.float32, "meta")


@pytest.mark.parametrize(
    "rgb", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
)
def test_another_thing_than_a_picture_is_refused(rgb):
    with pytest.raises(ShapeError, match="uint8"):
        to_tensor(rgb, device="cpu")


def test_labels_are_the_class_of_the_largest_logit():
    logits = torch.tensor([[[[0.0, 2.0]], [[1.0, 1.0]], [[0.5, 3.0]]]])  # (1, 3, 1, 2)
    got = labels_from_logits(logits, size=(1, 2))
    np.testing.assert_array_equal(got, np.array([[1, 2]], np.uint8))
    assert got.dtype == np.uint8


def test_logits_are_resized_before_the_choice():
    # class 0 falls 4, 3, 1, 0 over the four pixels, class 1 is 2 throughout
    logits = torch.tensor([[[[4.0, 0.0]], [[2.0, 2.0]]]])
    np.testing.assert_array_equal(labels_from_logits(logits, size=(1, 4)), [[0, 0, 1, 1]])


@pytest.mark.parametrize("size", [(17, 23), (6, 8), (3, 5)])
def test_labels_equal_a_plain_argmax(size):
    logits = torch.randn(1, 11, 6, 8, generator=torch.Generator().manual_seed(0))
    full = torch.nn.functional.interpolate(logits, size, mode="bilinear", align_corners=False)
    np.testing.assert_array_equal(labels_from_logits(logits, size=size), full[0].argmax(dim=0).numpy())


def test_half_logits_are_resized_in_float32():
    logits = torch.randn(1, 5, 6, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    np.testing.assert_array_equal(
        labels_from_logits(logits, size=(30, 31)), labels_from_logits(logits.float(), size=(30, 31))
    )


@pytest.mark.parametrize("size", [(8, 8), (16, 16), (2, 2)])
def test_one_nan_is_an_error_whatever_the_size(size):
    logits = torch.zeros(1, 3, 8, 8)
    logits[0, 2, 0, 7] = torch.nan  # shrunk to 2x2, no sample touches this pixel
    with pytest.raises(PredictionError, match="NaN"):
        labels_from_logits(logits, size=size)


def test_a_class_ruled_out_by_minus_infinity_is_allowed_where_nothing_is_resized():
    logits = torch.zeros(1, 2, 3, 3)
    logits[0, 0] = -torch.inf
    np.testing.assert_array_equal(labels_from_logits(logits, size=(3, 3)), np.ones((3, 3)))


def test_logits_that_require_a_gradient_are_taken():
    logits = torch.zeros(1, 2, 3, 3, requires_grad=True)
    assert labels_from_logits(logits, size=(6, 6)).shape == (6, 6)


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (3, 4, 4), (1, 256, 2, 2), (1, 0, 2, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match=r"\(1, K, h, w\)"):
        labels_from_logits(torch.zeros(shape), size=(4, 4))


def test_the_meta_device_gives_zeros_and_still_dispatches_the_resize():
    class Seen(TorchDispatchMode):
        names: list[str] = []  # noqa: RUF012

        def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
            self.names.append(operator.overloadpacket.__name__)
            return operator(*args, **(kwargs or {}))

    with Seen() as seen:
        labels = labels_from_logits(torch.empty(1, 3, 4, 4, device="meta"), size=(8, 9))
    np.testing.assert_array_equal(labels, np.zeros((8, 9), np.uint8))
    assert "upsample_bilinear2d" in seen.names


@pytest.mark.gpu
def test_cuda_gives_the_labels_of_the_cpu_in_one_copy(cuda):
    rgb = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    torch.testing.assert_close(to_tensor(rgb, device=cuda).cpu(), to_tensor(rgb, device="cpu"), rtol=0, atol=1e-6)
    logits = torch.randn(1, 11, 20, 30, generator=torch.Generator().manual_seed(0))
    on_cuda = logits.to(cuda)
    np.testing.assert_array_equal(labels_from_logits(on_cuda, size=(20, 30)), labels_from_logits(logits, size=(20, 30)))
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as recording:
        labels_from_logits(on_cuda, size=(160, 240))
    copies = [event for event in recording.events() if "DtoH" in event.name]
    assert len(copies) == 1

"""The segmentation losses, against numbers worked out by hand and slow loops."""

import math

import pytest
import torch

from vssbench.ops.resize import resize
from vssbench.records import IGNORE
from vssbench.training.losses import LOSSES, cross_entropy, hard_pixel_cross_entropy, on_label_grid


def logits_of(true_class_probabilities):
    """(1, 2, 1, n) logits whose class 0 has these probabilities, and the label that says class 0."""
    p = torch.tensor(true_class_probabilities, dtype=torch.float64)
    return torch.stack([p.log(), (1 - p).log()]).view(1, 2, 1, -1), torch.zeros(1, 1, len(p), dtype=torch.long)


def test_cross_entropy_is_the_mean_over_labelled_pixels():
    logits, label = logits_of([0.5, 0.25, 0.9])
    label[0, 0, 2] = IGNORE
    # -(ln 0.5 + ln 0.25) / 2 = 1.5 ln 2
    assert float(cross_entropy(logits, label)) == pytest.approx(1.5 * math.log(2))


def test_cross_entropy_is_a_mean_over_the_batch_not_of_the_means_of_its_images():
    logits, _ = logits_of([0.5, 0.5, 0.5, 0.25])
    logits = logits.reshape(1, 2, 2, 2).permute(2, 1, 0, 3)  # two images of two pixels
    label = torch.tensor([[[IGNORE, 0]], [[0, 0]]])
    # 3 pixels: ln 2, ln 2, 2 ln 2
    assert float(cross_entropy(logits, label)) == pytest.approx(4 / 3 * math.log(2))


@pytest.mark.parametrize("criterion", LOSSES.values(), ids=LOSSES)
def test_nothing_labelled_is_no_loss_and_no_gradient(criterion):
    logits = torch.randn(1, 3, 4, 5, requires_grad=True)
    value = criterion(logits, torch.full((1, 4, 5), IGNORE))
    value.backward()
    assert float(value.detach()) == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("criterion", LOSSES.values(), ids=LOSSES)
def test_a_certain_right_answer_costs_nothing(criterion):
    label = torch.tensor([[[0, 1], [1, IGNORE]]])
    logits = 1000.0 * torch.stack([label == 0, label == 1], 1).float()
    assert float(criterion(logits, label)) == 0


@pytest.mark.parametrize("criterion", LOSSES.values(), ids=LOSSES)
def test_ignored_pixels_get_no_gradient(criterion):
    logits = torch.randn(1, 3, 4, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    label = torch.full((1, 4, 5), 2)
    label[0, :, 3:] = IGNORE
    criterion(logits, label).backward()
    assert (logits.grad[..., 3:] == 0).all()
    assert (logits.grad[..., :3] != 0).any()


def test_hard_pixels_are_those_below_a_probability_of_0_7():
    logits, label = logits_of([0.1, 0.69, 0.71, 0.99])
    # the least, 4 // 16, is raised to 1; two are hard
    assert float(hard_pixel_cross_entropy(logits, label)) == pytest.approx(-(math.log(0.1) + math.log(0.69)) / 2)


def test_at_least_a_sixteenth_of_the_labelled_pixels_count():
    # 48 labelled pixels: the hardest 3 at least; only one is below 0.7
    probabilities = [0.6, 0.8, 0.85] + [0.95] * 45 + [0.01] * 16
    logits, label = logits_of(probabilities)
    label[0, 0, 48:] = IGNORE
    expected = -(math.log(0.6) + math.log(0.8) + math.log(0.85)) / 3
    assert float(hard_pixel_cross_entropy(logits, label)) == pytest.approx(expected)


def test_hard_pixels_as_many_as_the_least_share_count_alone():
    logits, label = logits_of([0.6, 0.5] + [0.95] * 30)  # 32 pixels: at least 2
    assert float(hard_pixel_cross_entropy(logits, label)) == pytest.approx(-(math.log(0.6) + math.log(0.5)) / 2)


def test_where_all_pixels_are_hard_both_losses_agree():
    logits, label = logits_of([0.1, 0.2, 0.3, 0.5, 0.6])
    assert float(hard_pixel_cross_entropy(logits, label)) == pytest.approx(float(cross_entropy(logits, label)))


def test_hard_pixels_against_a_slow_loop():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 4, 7, 9, generator=generator)
    label = torch.randint(0, 5, (2, 7, 9), generator=generator)
    label[label == 4] = IGNORE
    losses = []
    for n in range(2):
        for y in range(7):
            for x in range(9):
                if label[n, y, x] != IGNORE:
                    p = logits[n, :, y, x].double().softmax(0)[label[n, y, x]]
                    losses.append(-math.log(p))
    hard = [loss for loss in losses if loss > -math.log(0.7)]
    assert len(hard) >= len(losses) // 16
    assert float(hard_pixel_cross_entropy(logits, label)) == pytest.approx(sum(hard) / len(hard), rel=1e-5)
    assert float(cross_entropy(logits, label)) == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_logits_are_enlarged_to_the_label_in_single_precision():
    logits, label = torch.rand(2, 3, 4, 6).bfloat16(), torch.zeros(2, 9, 13, dtype=torch.long)
    resized, same = on_label_grid(logits, label)
    assert resized.dtype == torch.float32
    assert torch.equal(resized, resize(logits.float(), (9, 13)))
    assert same is label or torch.equal(same, label)
    corners, _ = on_label_grid(logits, label, align_corners=True)
    assert torch.equal(corners, resize(logits.float(), (9, 13), align_corners=True))


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_over_stride_squared_steps_every_pixel_has_its_turn_once(stride):
    label = torch.arange(7 * 9).view(1, 7, 9)
    logits = label[:, None].float()
    seen = []
    for phase in range(stride * stride):
        thinned, at = on_label_grid(logits, label, stride=stride, phase=phase)
        assert torch.equal(thinned[:, 0].long(), at)  # both are thinned alike
        seen += at.flatten().tolist()
    assert sorted(seen) == list(range(63))

"""The similarity of two frames: the cosine, the mixture by it, and the focal loss that teaches it."""

import math

import pytest
import torch

import tfc.similarity
from tfc.similarity import consistency_target, cosine_similarity, focal_consistency_loss, interpolated
from vssbench.errors import ShapeError
from vssbench.records import IGNORE


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def maps(values):
    """A similarity map (1, 1, h, w) from rows of numbers."""
    return torch.tensor(values)[None, None]


def labels(values):
    return torch.tensor(values)[None]


# ---- Eqs. 5 and 6 ----


def test_the_cosine_by_hand():
    key = torch.tensor([[3.0, 1.0, 1.0, 0.0], [4.0, 0.0, 1.0, 2.0]]).view(1, 2, 2, 2)
    other = torch.tensor([[6.0, 0.0, -2.0, 5.0], [8.0, 7.0, -2.0, 5.0]]).view(1, 2, 2, 2)
    # (3, 4) and (6, 8) point one way; (1, 0) and (0, 7) at right angles; (1, 1) and (-2, -2) apart;
    # (0, 2) and (5, 5): 10 / (2 x 7.0711)
    expected = torch.tensor([[1.0, 0.0], [-1.0, math.sqrt(0.5)]])[None, None]
    torch.testing.assert_close(cosine_similarity(key, other), expected)


def test_the_cosine_of_every_point_against_a_slow_loop():
    key, other = normal(2, 5, 3, 4), normal(2, 5, 3, 4, seed=1)
    found = cosine_similarity(key, other)
    assert found.shape == (2, 1, 3, 4)
    for n in range(2):
        for y in range(3):
            for x in range(4):
                a, b = key[n, :, y, x].tolist(), other[n, :, y, x].tolist()
                dot = sum(p * q for p, q in zip(a, b, strict=True))
                norms = math.sqrt(sum(p * p for p in a)) * math.sqrt(sum(q * q for q in b))
                assert float(found[n, 0, y, x]) == pytest.approx(dot / norms, abs=1e-5)


def test_the_cosine_is_symmetric_bounded_and_blind_to_length():
    key, other = normal(1, 8, 5, 7), normal(1, 8, 5, 7, seed=1)
    found = cosine_similarity(key, other)
    torch.testing.assert_close(found, cosine_similarity(other, key))
    torch.testing.assert_close(found, cosine_similarity(3 * key, 0.1 * other))
    assert found.abs().max() <= 1 + 1e-6
    torch.testing.assert_close(cosine_similarity(key, key), torch.ones(1, 1, 5, 7))
    torch.testing.assert_close(cosine_similarity(key, -key), -torch.ones(1, 1, 5, 7))


# ---- Eq. 7 ----


def test_the_mixture_by_hand():
    key, other = torch.tensor([[[[10.0, 10.0, 10.0]]]]), torch.tensor([[[[20.0, 20.0, 20.0]]]])
    # 1 x 10; 0.25 x 10 + 0.75 x 20; 1 x 20
    assert interpolated(key, other, maps([[1.0, 0.25, 0.0]])).flatten().tolist() == [10.0, 17.5, 20.0]
    assert interpolated(key, other, 0.9).flatten().tolist() == pytest.approx([11.0] * 3)


def test_one_weight_serves_all_channels_of_a_point_and_every_sample_has_its_own():
    key, other, weight = normal(2, 3, 2, 2), normal(2, 3, 2, 2, seed=1), torch.rand(2, 1, 2, 2)
    torch.testing.assert_close(interpolated(key, other, weight), weight * key + (1 - weight) * other)


def test_equal_features_are_mixed_without_rounding():
    features, weight = normal(1, 3, 4, 4), torch.rand(1, 1, 4, 4)
    assert torch.equal(interpolated(features, features, weight), features)


# ---- what the similarity is taught ----


@pytest.mark.parametrize("size", [(8, 12), (4, 6), (3, 5), (2, 2), (1, 1)])
def test_the_target_is_the_pixel_under_each_points_centre(size):
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randint(0, 3, (2, 8, 12), generator=generator) for _ in range(2))
    first[torch.rand(2, 8, 12, generator=generator) < 0.2] = IGNORE
    second[torch.rand(2, 8, 12, generator=generator) < 0.2] = IGNORE
    same, known = consistency_target(first, second, size)
    assert same.shape == known.shape == (2, *size)
    for n in range(2):
        for y in range(size[0]):
            for x in range(size[1]):
                at = n, int((y + 0.5) * 8 / size[0]), int((x + 0.5) * 12 / size[1])
                a, b = int(first[at]), int(second[at])
                assert bool(known[n, y, x]) == (a != IGNORE and b != IGNORE)
                if known[n, y, x]:
                    assert float(same[n, y, x]) == (a == b)


def test_two_void_pixels_are_not_the_same_label():
    void = torch.full((1, 4, 4), IGNORE)
    _, known = consistency_target(void, void, (2, 2))
    assert not known.any()


def test_the_focal_loss_by_hand():
    similarity = maps([[0.9, 0.9, 0.4, -0.5]])
    key_label, label = labels([[1, 1, 2, 3]]), labels([[1, 2, 2, 3]])
    # same, 0.9:   -(1 - 0.9) ln 0.9      = 0.0105361
    # other, 0.9:  -(1 - 0.1) ln 0.1      = 2.0723266
    # same, 0.4:   -(1 - 0.4) ln 0.4      = 0.5497745
    # same, -0.5:  cut off at 0.0001: -(1 - 0.0001) ln 0.0001 = 9.2094194
    expected = (0.0105361 + 2.0723266 + 0.5497745 + 9.2094194) / 4
    assert float(focal_consistency_loss(similarity, key_label, label)) == pytest.approx(expected, rel=1e-5)


def test_ignored_pixels_of_either_frame_are_left_out_of_the_mean():
    similarity = maps([[0.9, 0.9, 0.4, -0.5]])
    key_label, label = labels([[1, 1, 2, IGNORE]]), labels([[1, IGNORE, 2, IGNORE]])
    assert float(focal_consistency_loss(similarity, key_label, label)) == pytest.approx(
        (0.0105361 + 0.5497745) / 2, rel=1e-5
    )


def test_where_nothing_is_labelled_the_loss_is_zero_and_teaches_nothing():
    similarity = maps([[0.9, -0.5]]).requires_grad_()
    void = labels([[IGNORE, IGNORE]])
    loss = focal_consistency_loss(similarity, void, labels([[0, 1]]))
    loss.backward()
    assert loss.item() == 0
    assert similarity.grad.tolist() == [[[[0.0, 0.0]]]]


def test_a_perfect_similarity_costs_next_to_nothing_and_its_opposite_most():
    same, other = labels([[1, 1]]), labels([[1, 2]])
    assert float(focal_consistency_loss(maps([[1.0, 0.0]]), same, other)) < 1e-7
    assert float(focal_consistency_loss(maps([[0.0, 1.0]]), same, other)) == pytest.approx(9.2094194, rel=1e-3)


def test_gamma_is_one_and_a_larger_one_looks_away_from_what_is_easy(monkeypatch):
    assert tfc.similarity.FOCUS == 1  # paper, sec. 3.3
    similarity, label = maps([[0.9]]), labels([[1]])
    # plain cross entropy -ln 0.9 = 0.1053605; times 0.1 and 0.01
    for gamma, expected in ((0, 0.1053605), (1, 0.01053605), (2, 0.001053605)):
        monkeypatch.setattr(tfc.similarity, "FOCUS", float(gamma))
        assert float(focal_consistency_loss(similarity, label, label)) == pytest.approx(expected, rel=1e-4)


def test_the_loss_against_a_slow_loop():
    generator = torch.Generator().manual_seed(0)
    similarity = 2.4 * torch.rand(2, 1, 4, 6, generator=generator) - 1.2
    first, second = (torch.randint(0, 2, (2, 8, 12), generator=generator) for _ in range(2))
    second[0, :, :5] = IGNORE
    losses = []
    for n in range(2):
        for y in range(4):
            for x in range(6):
                a, b = int(first[n, 2 * y + 1, 2 * x + 1]), int(second[n, 2 * y + 1, 2 * x + 1])
                if IGNORE in (a, b):
                    continue
                p = min(max(float(similarity[n, 0, y, x]), 1e-4), 1 - 1e-4)
                p = p if a == b else 1 - p
                losses.append(-(1 - p) * math.log(p))
    found = focal_consistency_loss(similarity, first, second)
    assert float(found) == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_the_loss_pulls_the_similarity_towards_the_target():
    similarity = maps([[0.6, 0.6]]).requires_grad_()
    focal_consistency_loss(similarity, labels([[1, 1]]), labels([[1, 2]])).backward()
    stays, changes = similarity.grad.flatten().tolist()
    assert stays < 0 < changes


def test_half_precision_is_judged_in_single():
    similarity = maps([[1.0, 0.0]]).bfloat16()  # 1 - 0.0001 is 1 there, and the logarithm of 0 infinite
    loss = focal_consistency_loss(similarity, labels([[1, 1]]), labels([[2, 1]]))
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(9.2094194, rel=1e-3)


def test_batches_of_other_sizes_are_refused():
    label = torch.zeros(2, 4, 4, dtype=torch.long)
    with pytest.raises(ShapeError, match="as many labels as maps, got 3, 2 and 2"):
        focal_consistency_loss(torch.zeros(3, 1, 2, 2), label, label)
    with pytest.raises(ShapeError, match="got 2, 2 and 1"):
        focal_consistency_loss(torch.zeros(2, 1, 2, 2), label, label[:1])

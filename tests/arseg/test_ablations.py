"""Every row of Table 3 trains, stores what it trained, and runs."""

import numpy as np
import pytest
import torch
from tiny_arseg import CPU, arseg_network, frame, pair_batch
from torch.nn import functional

from arseg.creff import RELEASE
from arseg.feature_similarity import class_divergence_loss, feature_similarity_loss, fst_loss, released_divergence_loss
from arseg.method import ARSeg
from arseg.model import ARSegNetwork
from arseg.options import UNTRAINED, VARIANTS, options_of
from vssbench.complexity.params import count_parameters
from vssbench.errors import BitstreamError, UsageError
from vssbench.ops.images import labels_from_logits, to_tensor
from vssbench.ops.resize import resize
from vssbench.training.augment import Augmentation, Sample
from vssbench.training.loop import Schedule, train
from vssbench.training.losses import cross_entropy

TRAINED = [variant for variant in VARIANTS if variant not in UNTRAINED]


def network_of(variant, **options):
    """The paper's network where the variant needs it (or a map large enough for several keys), else the fastest."""
    name = "pspnet18-camvid" if variant.startswith(("before", "global")) else "bisenet18"
    return arseg_network(variant=variant, name=name, **options)


class Pairs:
    """The samples of a `pair_batch`, one by one."""

    def __init__(self):
        self.batch = pair_batch()

    def __len__(self):
        return len(self.batch.label)

    def __getitem__(self, index):
        parts = self.batch
        return Sample(images=parts.images[index], label=parts.label[index], flow_px=parts.flow_px[index])


@pytest.mark.parametrize("variant", TRAINED)
def test_every_variant_trains_what_is_its_own_and_nothing_else(variant, tmp_path):
    network, sums = network_of(variant), []
    before = {key: value.clone() for key, value in network.state_dict().items()}
    train(
        network,
        fst_loss(network, criterion=cross_entropy, unfused_steps=2),
        Pairs(),
        Schedule(
            steps=10,
            batch=2,
            learning_rate=5e-3,
            warmup_steps=0,
            augmentation=Augmentation(scales=(1.0, 1.0), colour=0.0, flip=False),
        ),
        checkpoint=tmp_path / "c.safetensors",
        device=CPU,
        progress=lambda done, total, mean, seconds: sums.append(done * mean),
    )
    losses = np.diff(sums)  # from step 1 on
    assert np.mean(losses[-3:]) < 0.999 * np.mean(losses[1:4]), losses
    after = network.state_dict()
    changed = {key for key, value in before.items() if not torch.equal(after[key], value)}
    final = {"low.final.weight", "low.final.bias"}
    trained = {f"low.{name}" for name, _ in network.low.named_parameters() if not name.startswith(("final", "aux"))}
    trained |= {f"creff.{name}" for name, _ in network.creff.named_parameters()}
    if not network.options.shared_final:
        trained |= final
    # the products of a query with the keys' bias are alike for all keys, and nothing to a softmax over inside keys
    assert trained - changed <= {"creff.key.bias"}
    parameters = {name for name, _ in network.named_parameters()} | final
    assert changed & parameters <= trained
    assert not any(key.startswith("high.") for key in changed)


@pytest.mark.parametrize("variant", TRAINED)
def test_gradients_reach_the_branch_and_the_fusion_and_nothing_else(variant):
    network = network_of(variant).train()
    fst_loss(network, criterion=cross_entropy)(pair_batch(), 0).backward()
    with_gradient = {name for name, p in network.named_parameters() if p.grad is not None}
    left_out = ("final.", "auxiliary") if network.options.shared_final else ("auxiliary",)
    assert with_gradient == {
        *(f"creff.{name}" for name, _ in network.creff.named_parameters()),
        *(f"low.{name}" for name, _ in network.low.named_parameters() if not name.startswith(left_out)),
    }


def test_what_has_no_branch_cannot_be_trained():
    with pytest.raises(UsageError, match="fusion 'warp' has no branch to train"):
        fst_loss(arseg_network(variant="warp-only"), criterion=cross_entropy)


@pytest.mark.parametrize("variant", TRAINED)
def test_a_branch_stores_what_is_its_own(variant):
    network = network_of(variant)
    own = network.branch_tensors()
    assert not any(key.startswith("high.") for key in own)
    assert ("low.final.weight" in own) == (variant in ("no-fst", "mse-only"))
    assert {key for key in own if key.startswith("creff.")} == {f"creff.{key}" for key in network.creff.state_dict()}


def test_its_own_final_layer_starts_as_a_copy():
    network = arseg_network(variant="mse-only")
    assert network.low.final is not network.high.final
    assert torch.equal(network.low.final.weight, network.high.final.weight)
    assert network.low.final.weight.requires_grad
    assert not network.high.final.weight.requires_grad


def test_the_warp_alone_has_the_parameters_of_one_network():
    network = arseg_network(variant="warp-only")
    assert network.low is None
    assert count_parameters([network]) == count_parameters([network.high])


# -- the losses


def test_divergence_by_hand():
    # softmax of (0, ln 3) is (1/4, 3/4), of (0, 0) (1/2, 1/2): 1/4 ln(1/2) + 3/4 ln(3/2)
    target, other = torch.tensor([0.0, np.log(3)]).view(1, 2, 1, 1), torch.zeros(1, 2, 1, 1)
    expected = 0.25 * np.log(0.5) + 0.75 * np.log(1.5)
    assert float(class_divergence_loss(other, target)) == pytest.approx(expected, rel=1e-6)
    assert float(class_divergence_loss(target, target)) == 0
    assert float(class_divergence_loss(target + 5, target)) == pytest.approx(0, abs=1e-6)  # the same distribution
    both = [torch.cat([x, target], 3).repeat(2, 1, 1, 1) for x in (other, target)]
    assert float(class_divergence_loss(*both)) == pytest.approx(expected / 2, rel=1e-6)  # a mean over pixels


def test_divergence_is_never_below_zero_and_reaches_only_the_branch():
    logits, target = (torch.randn(2, 3, 4, 5).requires_grad_() for _ in range(2))
    loss = class_divergence_loss(logits, target)
    loss.backward()
    assert float(loss.detach()) > 0
    assert target.grad is None
    # d/dz of KL(p || softmax z) is softmax z - p
    expected = (logits.softmax(1) - target.softmax(1)).detach() / (2 * 4 * 5)
    torch.testing.assert_close(logits.grad, expected)


def test_the_released_divergence_is_of_features_and_least_one_below_them():
    aggregated, target = (torch.randn(2, 3, 4, 5) for _ in range(2))
    # what nn.KLDivLoss(log_target=True, reduction="mean") makes of train_pair.py's order of the two
    expected = functional.kl_div(target, aggregated, log_target=True, reduction="none").mean()
    torch.testing.assert_close(released_divergence_loss(aggregated, target), expected)
    least = (target - 1).requires_grad_()
    released_divergence_loss(least, target).backward()
    torch.testing.assert_close(least.grad, torch.zeros_like(least), atol=1e-6, rtol=0)


@pytest.mark.parametrize("variant", ["", "shared-only", "kl", "kl-release", "before-task", "before-feat"])
def test_the_loss_is_segmentation_plus_the_feature_loss_of_what_is_fused(variant):
    network, batch = network_of(variant), pair_batch()
    with torch.no_grad():
        value = float(fst_loss(network, criterion=cross_entropy, unfused_steps=1)(batch, 0))
        target = network.key_maps(batch.images[:, 1])
        fused = resize(network.low_maps(batch.images[:, 1]), target.shape[2:])
        logits = network.low.final(network.finish(fused))
        segmentation = functional.cross_entropy(resize(logits, (64, 96)), batch.label)
        added = {
            "shared-only": lambda: torch.zeros(()),
            "kl": lambda: class_divergence_loss(logits, network.high(batch.images[:, 1])),
            "kl-release": lambda: released_divergence_loss(fused, target),
        }.get(variant, lambda: feature_similarity_loss(fused, target))()
    assert value == pytest.approx(float(segmentation + added), rel=1e-4)
    assert (float(added) == 0) == (variant == "shared-only")


# -- the method


@pytest.mark.parametrize("variant", ["", *VARIANTS])
def test_every_variant_runs_frame_by_frame(variant):
    network = network_of(variant)
    method = ARSeg(network, device=CPU)
    steps = [method.step(frame("I")), method.step(frame("P", flow=(3, -2), index=1, seed=1))]
    assert [step.kind for step in steps] == ["key", "non-key"]
    assert all(step.labels.shape == (64, 96) for step in steps)


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_a_key_frame_is_labelled_by_the_full_resolution_network(variant):
    network = network_of(variant)
    logits = network.high(to_tensor(frame("I").rgb, device=CPU))
    expected = labels_from_logits(resize(logits, (64, 96)), size=(64, 96))
    np.testing.assert_array_equal(ARSeg(network, device=CPU).step(frame("I")).labels, expected)


def test_warp_only_on_a_still_picture_repeats_the_key_frame_and_looks_at_no_pixel():
    method = ARSeg(arseg_network(variant="warp-only"), device=CPU)
    key = method.step(frame("I")).labels
    np.testing.assert_array_equal(method.step(frame("P", index=1, seed=7)).labels, key)


@pytest.mark.parametrize("variant", ["attention-only", "no-creff"])
def test_what_reads_no_motion_asks_for_none(variant):
    network = arseg_network(variant=variant)
    method, other = (ARSeg(network, device=CPU) for _ in range(2))
    assert method.needs == frozenset()
    method.step(frame("I"))
    other.step(frame("I"))
    without = method.step(frame("P", index=1, seed=1, motion=False)).labels
    np.testing.assert_array_equal(other.step(frame("P", flow=(9, 9), index=1, seed=1)).labels, without)


def test_no_creff_does_not_look_at_the_key_frame():
    network = arseg_network(variant="no-creff")
    one, two = (ARSeg(network, device=CPU) for _ in range(2))
    one.step(frame("I", seed=0))
    two.step(frame("I", seed=5))
    labels = [method.step(frame("P", index=1, seed=1)).labels for method in (one, two)]
    np.testing.assert_array_equal(*labels)


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v not in ("attention-only", "no-creff")])
def test_what_reads_motion_refuses_a_frame_without(variant):
    method = ARSeg(network_of(variant), device=CPU)
    assert method.needs == {"motion_to_key"}
    method.step(frame("I"))
    with pytest.raises(BitstreamError, match="vectors traced to the key frame at frame 1"):
        method.step(frame("P", index=1, motion=False))


def test_its_own_final_layer_labels_the_other_frames_and_only_those():
    network = arseg_network(variant="mse-only")
    with torch.no_grad():
        network.low.final.weight.zero_()
        network.low.final.bias.copy_(torch.tensor([0.0, 0.0, 9.0]))
    method = ARSeg(network, device=CPU)
    assert (method.step(frame("I")).labels != 2).any()
    assert (method.step(frame("P", index=1)).labels == 2).all()


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("window-3", {"scale": 0.5, "window": 3, "convention": "paper"}),
        ("no-direct", {"scale": 0.5, "window": 7, "convention": "paper", "direct": False}),
        ("global", {"scale": 0.5, "convention": "paper", "fusion": "global"}),
        ("warp-only", {"convention": "paper", "fusion": "warp"}),
        (
            "no-fst",
            {"scale": 0.5, "window": 7, "convention": "paper", "shared_final": False, "feature_loss": "none"},
        ),
    ],
)
def test_the_condition_says_what_a_variant_is(variant, expected):
    assert ARSeg(network_of(variant), device=CPU).condition == expected


def test_a_variant_computes_in_the_released_convention_too():
    network = ARSegNetwork(
        arseg_network().high, scale=0.5, options=options_of("attention-only"), convention=RELEASE
    ).eval()
    assert ARSeg(network, device=CPU).condition["convention"] == "release"
    assert network.creff.convention is RELEASE

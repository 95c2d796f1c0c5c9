"""FST: the loss by hand, and what training moves and what it leaves alone."""

import pytest
import torch
from tiny_arseg import CPU, arseg_network, motion_field, pair_batch

from arseg.creff import PAPER, RELEASE
from arseg.feature_similarity import feature_similarity_loss, flow_on_grid, fst_loss
from vssbench.errors import ShapeError
from vssbench.ops.resize import resize
from vssbench.ops.warp import flow_for_grid
from vssbench.records import IGNORE
from vssbench.training.augment import Augmentation, Sample
from vssbench.training.loop import Batch, Schedule, train
from vssbench.training.losses import cross_entropy


class Pairs:
    """The samples of a `pair_batch`, one by one."""

    def __init__(self, count=3):
        self.batch = pair_batch(count=count)

    def __len__(self):
        return len(self.batch.label)

    def __getitem__(self, index):
        parts = self.batch
        return Sample(images=parts.images[index], label=parts.label[index], flow_px=parts.flow_px[index])


def snapshot(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def test_feature_similarity_is_the_mean_squared_difference():
    one, two = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[3.0, -1.0]]]])
    assert float(feature_similarity_loss(one, two)) == (4 + 9) / 2
    assert float(feature_similarity_loss(one, one)) == 0


def test_no_gradient_flows_into_the_target():
    aggregated, target = (torch.rand(1, 2, 3, 3, requires_grad=True) for _ in range(2))
    feature_similarity_loss(aggregated, target).backward()
    assert target.grad is None
    torch.testing.assert_close(aggregated.grad, 2 * (aggregated - target).detach() / 18)


@pytest.mark.parametrize("convention", [PAPER, RELEASE], ids=lambda convention: convention.name)
def test_the_loss_is_segmentation_plus_feature_similarity_of_the_labelled_frame(convention):
    network, batch = arseg_network(convention=convention), pair_batch()
    batch.label[:, :9] = IGNORE
    with torch.no_grad():
        value = fst_loss(network, criterion=cross_entropy)(batch, 0)
        key, target = network.high.features(batch.images[:, 0]), network.high.features(batch.images[:, 1])
        small = resize(batch.images[:, 1], (32, 48), align_corners=convention.align_corners)
        aggregated = network.creff(key, network.low.features(small), flow_on_grid(batch.flow_px, (8, 12)))
        logits = resize(network.high.final(aggregated), (64, 96), align_corners=convention.align_corners)
        p = logits.softmax(1).gather(1, batch.label.clamp(max=2)[:, None])[:, 0]
        expected = -p[batch.label != IGNORE].log().mean() + ((aggregated - target) ** 2).mean()
    assert float(value) == pytest.approx(float(expected), rel=1e-5)


def test_unfused_steps_only_upsample_the_branch():
    network, batch = arseg_network(), pair_batch()
    still = Batch(images=batch.images, label=batch.label, flow_px=torch.zeros_like(batch.flow_px))
    loss = fst_loss(network, criterion=cross_entropy, unfused_steps=2)
    with torch.no_grad():
        target = network.high.features(batch.images[:, 1])
        upsampled = resize(network.low_maps(batch.images[:, 1]), (8, 12))
        expected = cross_entropy(resize(network.high.final(upsampled), (64, 96)), batch.label)
        expected = expected + ((upsampled - target) ** 2).mean()
        for step in (0, 1):
            assert float(loss(batch, step)) == pytest.approx(float(expected), rel=1e-5)
            assert torch.equal(loss(batch, step), loss(still, step))  # the motion is not looked at
        assert float(loss(batch, 2)) == float(fst_loss(network, criterion=cross_entropy)(batch, 2))
        assert float(loss(batch, 2)) != pytest.approx(float(expected), rel=1e-5)
        assert not torch.equal(loss(batch, 2), loss(still, 2))


def test_label_stride_thins_the_segmentation_term_alone():
    network, batch = arseg_network(), pair_batch()
    nothing = Batch(images=batch.images, label=torch.full_like(batch.label, IGNORE), flow_px=batch.flow_px)
    nothing.label[:, 1::2, ::2] = batch.label[:, 1::2, ::2]  # the pixels of phase 1
    whole, thin = (fst_loss(network, criterion=cross_entropy, label_stride=stride) for stride in (1, 2))
    with torch.no_grad():
        assert float(thin(nothing, 1)) == pytest.approx(float(whole(nothing, 1)), rel=1e-5)
        assert float(thin(nothing, 0)) < float(thin(nothing, 1))  # no segmentation left


def test_gradients_reach_the_low_branch_and_creff_and_nothing_else():
    network = arseg_network().train()
    fst_loss(network, criterion=cross_entropy)(pair_batch(), 0).backward()
    with_gradient = {name for name, p in network.named_parameters() if p.grad is not None}
    assert with_gradient == {
        *(f"creff.{name}" for name, _ in network.creff.named_parameters()),
        *(f"low.{name}" for name, _ in network.low.named_parameters() if not name.startswith(("final.", "auxiliary"))),
    }


def train_branch(network, path, **options):
    plan = Schedule(**{"steps": 3, "batch": 2, "augmentation": Augmentation(), "checkpoint_every": 2, **options})
    loss = fst_loss(network, criterion=cross_entropy, unfused_steps=1)
    train(network, loss, Pairs(), plan, checkpoint=path, device=CPU)


def test_training_changes_the_branch_and_not_a_bit_of_the_high_network(tmp_path):
    network = arseg_network()
    high, low, creff = snapshot(network.high), snapshot(network.low), snapshot(network.creff)
    train_branch(network, tmp_path / "c.safetensors")
    after = network.high.state_dict()
    assert all(torch.equal(after[key], high[key]) for key in high)  # batch-norm statistics too
    assert network.low.final is network.high.final
    changed = {key for key, value in network.low.state_dict().items() if not torch.equal(value, low[key])}
    assert not any(key.startswith("final.") for key in changed)
    assert {"head.0.weight", "head.1.running_mean", "spatial_path.0.0.weight"} <= changed
    assert not torch.equal(network.creff.value.weight, creff["value.weight"])


def test_bfloat16_training_too_leaves_the_high_network_alone(tmp_path):
    network = arseg_network()
    high = snapshot(network.high)
    train_branch(network, tmp_path / "c.safetensors", steps=2, bfloat16=True)
    assert all(torch.equal(value, high[key]) for key, value in network.high.state_dict().items())
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_training_makes_the_features_more_alike(tmp_path):
    network, samples, losses = arseg_network(), Pairs(2), []
    samples.batch.label[:] = IGNORE  # so that the loss is the feature similarity alone
    still = Augmentation(scales=(1.0, 1.0), colour=0.0, flip=False)
    train(
        network,
        fst_loss(network, criterion=cross_entropy),
        samples,
        Schedule(steps=15, batch=2, learning_rate=5e-3, warmup_steps=0, augmentation=still),
        checkpoint=tmp_path / "c.safetensors",
        device=CPU,
        progress=lambda done, total, mean, seconds: losses.append(done * mean),
    )
    assert losses[-1] - losses[-2] < 0.5 * losses[0]  # sums of all steps so far


def test_pairs_without_motion_are_refused():
    with pytest.raises(ShapeError, match="KeyFramePairs"):
        fst_loss(arseg_network(), criterion=cross_entropy)(pair_batch(flow=False), 0)


@pytest.mark.parametrize("size", [(8, 12), (10, 14), (64, 96), (65, 97), (1, 1)])
def test_motion_in_training_is_motion_in_a_test(size):
    flow = 9 * torch.randn(65, 97, 2, generator=torch.Generator().manual_seed(0))
    in_a_test = flow_for_grid(motion_field((65, 97), flow.numpy()), size, device=CPU)
    torch.testing.assert_close(flow_on_grid(flow[None], size), in_a_test, rtol=1e-4, atol=1e-3)


@pytest.mark.gpu
def test_a_training_step_on_a_gpu_gives_the_loss_of_a_cpu(cuda):
    batch = pair_batch()
    on_gpu = Batch(images=batch.images.to(cuda), label=batch.label.to(cuda), flow_px=batch.flow_px.to(cuda))
    with torch.backends.cudnn.flags(allow_tf32=False):
        values, gradients = [], []
        for device, one in ((CPU, batch), (cuda, on_gpu)):
            network = arseg_network().to(device).train()
            value = fst_loss(network, criterion=cross_entropy)(one, 0)
            value.backward()
            values.append(float(value.detach()))
            gradients.append(network.creff.value.weight.grad.cpu())
    assert values[1] == pytest.approx(values[0], rel=1e-3)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0.02, atol=0.02 * float(gradients[0].abs().max()))

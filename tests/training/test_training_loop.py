"""The training loop: what a seed and a schedule say happens, interrupted or not."""

import math

import pytest
import torch
from safetensors.torch import save_file
from tiny_samples import CPU, Interrupt, Patches, loss_of, same_state, schedule, small_network, stop_after
from torch import nn

from vssbench.errors import StoreError, UsageError, WeightsError
from vssbench.training.augment import Augmentation
from vssbench.training.loop import Schedule, train


def trained(path, plan, *, network=None, samples=None, progress=None):
    network = network or small_network()
    train(network, loss_of(network), samples or Patches(), plan, checkpoint=path, device=CPU, progress=progress)
    return network


def test_the_loop_learns(tmp_path):
    losses = []
    network = nn.Conv2d(3, 2, 3)  # red against blue is linear
    trained(
        tmp_path / "c.safetensors",
        schedule(steps=150, batch=4, learning_rate=0.1, checkpoint_every=1000),
        network=network,
        progress=lambda done, total, loss, seconds: losses.append(loss),
    )
    assert losses[0] > 0.5
    assert losses[-1] < 0.5 * losses[0]  # a mean over the last 50 steps
    assert not network.training


@pytest.mark.parametrize("stopped_after", [1, 3, 5])
def test_a_resumed_run_ends_bit_for_bit_where_an_uninterrupted_one_does(tmp_path, stopped_after):
    whole = trained(tmp_path / "whole.safetensors", schedule())
    path = tmp_path / "cut.safetensors"
    with pytest.raises(Interrupt):
        trained(path, schedule(), progress=stop_after(stopped_after))
    assert path.exists() == (stopped_after > 2)  # a checkpoint every 2 steps
    torch.rand(7)  # the global generator moves on between the two processes
    steps = []
    resumed = trained(path, schedule(), progress=lambda done, *_: steps.append(done))
    assert steps == list(range(stopped_after // 2 * 2 + 1, 7))
    assert same_state(whole, resumed)
    assert not same_state(whole, small_network())


def test_how_often_checkpoints_are_written_changes_nothing(tmp_path):
    seldom, often = (trained(tmp_path / f"{every}.safetensors", schedule(checkpoint_every=every)) for every in (1, 100))
    assert same_state(seldom, often)


def test_another_seed_gives_other_weights(tmp_path):
    one, two = (trained(tmp_path / f"{seed}.safetensors", schedule(seed=seed)) for seed in (0, 1))
    assert not same_state(one, two)


def test_a_finished_run_takes_no_step(tmp_path):
    path = tmp_path / "c.safetensors"
    finished = trained(path, schedule())
    data = path.read_bytes()

    def never(*_):
        raise AssertionError("a step was taken")

    assert same_state(finished, trained(path, schedule(), progress=never))
    assert path.read_bytes() == data
    assert [file.name for file in tmp_path.iterdir()] == ["c.safetensors"]


def test_parameters_without_gradient_keep_their_values_through_training_and_resuming(tmp_path):
    network = small_network()
    network[0].requires_grad_(False)
    trained(tmp_path / "c.safetensors", schedule(steps=3), network=network)
    assert torch.equal(network[0].weight, small_network()[0].weight)
    assert not torch.equal(network[4].weight, small_network()[4].weight)


def test_parameters_that_the_loss_does_not_reach_may_be_resumed(tmp_path):
    def build():
        return nn.ModuleDict({"used": small_network(), "spare": nn.Linear(2, 2)})

    def run(module, progress=None):
        train(
            module,
            loss_of(module["used"]),
            Patches(),
            schedule(),
            checkpoint=tmp_path / "c.safetensors",
            device=CPU,
            progress=progress,
        )

    with pytest.raises(Interrupt):
        run(build(), stop_after(5))
    resumed = build()
    run(resumed)
    assert same_state(resumed["used"], trained(tmp_path / "other.safetensors", schedule()))


def test_every_epoch_shows_every_sample_once_in_an_order_of_its_own(tmp_path):
    samples = Patches(count=10)
    trained(tmp_path / "c.safetensors", schedule(steps=6, batch=5), samples=samples)
    epochs = [samples.drawn[i : i + 10] for i in (0, 10, 20)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_a_batch_may_be_larger_than_the_data_set(tmp_path):
    samples = Patches(count=1)
    trained(tmp_path / "c.safetensors", schedule(steps=2, batch=3), samples=samples)
    assert samples.drawn == [0] * 6


def test_a_sample_met_again_is_varied_anew(tmp_path):
    seen = []
    network = small_network()
    plain = loss_of(network)

    def loss(batch, step):
        seen.append(batch.images.clone())
        return plain(batch, step)

    varied = schedule(steps=3, batch=1, augmentation=Augmentation(colour=0.4))
    train(network, loss, Patches(count=1), varied, checkpoint=tmp_path / "c.safetensors", device=CPU)
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_the_rate_warms_up_linearly_and_falls_to_zero_along_a_cosine():
    plan = Schedule(steps=100, learning_rate=0.1, warmup_steps=4)
    # warm-up of step s: (s + 1) / 4; cosine: (1 + cos(pi s / 100)) / 2
    for step, expected in ((0, 0.25), (1, 0.5 * (1 + math.cos(math.pi / 100)) / 2), (50, 0.5), (75, 0.1464466)):
        assert plan.rate(step) == pytest.approx(0.1 * expected, rel=1e-5)
    assert plan.rate(99) < 0.1 * 0.001
    assert Schedule(steps=100, learning_rate=0.1, warmup_steps=0).rate(0) == pytest.approx(0.1)


def test_the_first_step_moves_each_weight_by_the_rate(tmp_path):
    # Adam's first step is -rate * sign(gradient)
    network = nn.Conv2d(3, 2, 3)
    before = network.weight.detach().clone()
    plan = schedule(steps=1, learning_rate=0.02, warmup_steps=4)
    trained(tmp_path / "c.safetensors", plan, network=network)
    torch.testing.assert_close((network.weight - before).abs(), torch.full_like(before, 0.005), rtol=1e-3, atol=1e-6)


def test_bfloat16_keeps_weights_in_single_precision_and_near_the_plain_run(tmp_path):
    plain, half = (
        trained(tmp_path / f"{half}.safetensors", schedule(steps=2, bfloat16=half)) for half in (False, True)
    )
    assert {value.dtype for value in half.parameters()} == {torch.float32}
    assert not same_state(plain, half)
    torch.testing.assert_close(half[0].weight, plain[0].weight, rtol=0, atol=0.05)


def test_progress_hears_of_every_step(tmp_path):
    heard = []
    trained(tmp_path / "c.safetensors", schedule(), progress=lambda *news: heard.append(news))
    assert [(done, total) for done, total, _, _ in heard] == [(i, 6) for i in range(1, 7)]
    assert all(loss > 0 and seconds > 0 for _, _, loss, seconds in heard)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"steps": 7}, "steps"),
        ({"seed": 3}, "seed"),
        ({"learning_rate": 0.02, "batch": 3}, "batch, learning_rate"),
        ({"augmentation": Augmentation(flip=False)}, "augmentation"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused_and_kept(tmp_path, change, named):
    path = tmp_path / "c.safetensors"
    trained(path, schedule())
    data = path.read_bytes()
    with pytest.raises(WeightsError, match=rf"other settings \({named}\); delete it"):
        trained(path, schedule(**change))
    assert path.read_bytes() == data


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    trained(path, schedule())
    with pytest.raises(WeightsError, match="no checkpoint of this network"):
        trained(path, schedule(), network=nn.Conv2d(3, 2, 3))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_checkpoint_cut_short_is_refused(tmp_path, share):
    path = tmp_path / "c.safetensors"
    trained(path, schedule())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match="no checkpoint of this network"):
        trained(path, schedule())


@pytest.mark.parametrize("metadata", [None, {"step": "3"}, {"step": "3", "schedule": "{"}, {"schedule": "[]"}])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, metadata):
    path = tmp_path / "c.safetensors"
    save_file({"x": torch.zeros(1)}, path, metadata)
    with pytest.raises(WeightsError, match=r"c\.safetensors"):
        trained(path, schedule())


@pytest.mark.parametrize("obstacle", ["parent is a file", "partial file is a folder"])
def test_a_checkpoint_that_cannot_be_written_is_a_store_error(tmp_path, obstacle):
    path = tmp_path / "checkpoints" / "c.safetensors"
    if obstacle == "parent is a file":
        path.parent.write_text("")
    else:
        path.with_suffix(".partial").mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot write the checkpoint"):
        trained(path, schedule(steps=1))


@pytest.mark.parametrize("option", ["steps", "batch", "checkpoint_every", "learning_rate"])
def test_schedules_that_cannot_be_followed_are_refused(option):
    with pytest.raises(UsageError, match=option):
        schedule(**{option: 0})


@pytest.mark.gpu
def test_on_a_gpu_too_a_resumed_run_goes_on_where_it_was(tmp_path, cuda):
    def run(path, progress=None):
        network = small_network()[0:3].append(nn.Conv2d(8, 2, 3)).to(cuda, memory_format=torch.channels_last)
        train(network, loss_of(network), Patches(), schedule(), checkpoint=path, device=cuda, progress=progress)
        return network

    whole = run(tmp_path / "whole.safetensors")
    with pytest.raises(Interrupt):
        run(tmp_path / "cut.safetensors", stop_after(3))
    resumed = run(tmp_path / "cut.safetensors")
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[key], value, rtol=1e-3, atol=1e-3, msg=key)

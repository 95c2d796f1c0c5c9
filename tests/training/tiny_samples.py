"""Small training samples and networks for the tests of training."""

import torch
from torch import nn

from vssbench.training.augment import Augmentation, Sample
from vssbench.training.loop import Schedule

CPU = torch.device("cpu")


class Patches:
    """Noisy 8x8 pictures; the label is 1 where red beats blue. `drawn` lists the indices asked for."""

    def __init__(self, count=5, *, size=8):
        self.count, self.size, self.drawn = count, size, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.drawn.append(index)
        generator = torch.Generator().manual_seed(index)
        coarse = torch.rand(1, 3, 2, 2, generator=generator)
        images = nn.functional.interpolate(coarse, size=(self.size, self.size))
        return Sample(images=images, label=(images[0, 0] > images[0, 2]).long())


def small_network(*, seed=0):
    """Every kind of state: batch statistics, dropout, weights in channels-last layout."""
    torch.manual_seed(seed)
    layers = (nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.2), nn.Conv2d(8, 2, 3))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def loss_of(network):
    def loss(batch, step):
        return nn.functional.cross_entropy(network(batch.images[:, -1]), batch.label[:, 1:-1, 1:-1])

    return loss


def schedule(**options):
    plain = Augmentation(scales=(1.0, 1.0), colour=0.1)
    defaults = {"steps": 6, "batch": 2, "checkpoint_every": 2, "warmup_steps": 1, "learning_rate": 0.01}
    return Schedule(**{"augmentation": plain, **defaults, **options})


class Interrupt(Exception):
    pass


def stop_after(steps):
    """A progress callback that ends the run like a power cut, before the step's checkpoint."""

    def progress(done, total, loss, seconds):
        if done == steps:
            raise Interrupt

    return progress


def same_state(one, two):
    a, b = one.state_dict(), two.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)

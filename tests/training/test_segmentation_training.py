"""Training samples from videos, and the loss of a per-frame network."""

import math
import warnings

import numpy as np
import pytest
import torch
from tiny_samples import CPU, schedule

from vssbench.errors import DatasetError
from vssbench.networks.zoo import build_network
from vssbench.ops.images import to_tensor
from vssbench.ops.resize import resize
from vssbench.records import IGNORE, SourceVideo
from vssbench.training.augment import Augmentation, Sample
from vssbench.training.loop import Batch, train
from vssbench.training.losses import cross_entropy
from vssbench.training.samples import LabelledFrames, image_tensor
from vssbench.training.segmentation import segmentation_loss


def video(labels, *, num_frames=6, size=(4, 6), name="v"):
    """Frame i is all i; nothing but the frames asked for is read."""
    frames = [np.full((*size, 3), i, np.uint8) for i in range(num_frames)]
    return SourceVideo(
        name=name,
        num_frames=num_frames,
        size=size,
        fps=15.0,
        read=lambda start, stop: iter(frames[start:stop]),
        labels=labels,
        content_key=name,
    )


def label(value, size=(4, 6)):
    return np.full(size, value, np.uint8)


def batch_of(images, label):
    return Batch(images=images[:, None], label=label, flow_px=None)


def tiny(name, *, num_classes=3, seed=0):
    torch.manual_seed(seed)
    return build_network(name, num_classes=num_classes, width=0.0625).eval()


def test_annotated_frames_are_samples_with_their_labels():
    frames = LabelledFrames([video({4: label(1), 2: label(IGNORE)}), video({0: label(2)})])
    assert len(frames) == 3
    came = [(round(float(s.images.max()) * 255), int(s.label[0, 0])) for s in (frames[i] for i in range(3))]
    assert came == [(2, IGNORE), (4, 1), (0, 2)]
    assert tuple(frames[0].images.shape) == (1, 3, 4, 6)
    assert frames[0].label.dtype == torch.int64
    assert frames[0].flow_px is None


def test_every_third_annotated_frame_of_each_video():
    labels = {i: label(i) for i in range(5)}
    frames = LabelledFrames([video(labels), video(labels)], every=3)
    assert [int(frames[i].label[0, 0]) for i in range(len(frames))] == [0, 3, 0, 3]


def test_a_split_without_labels_is_refused():
    with pytest.raises(DatasetError, match="no annotated frame"):
        LabelledFrames([video({})])


def test_class_shares_count_labelled_pixels_only():
    half = label(0)
    half[:2] = IGNORE
    # 12 pixels of class 0, 24 of class 2
    shares = LabelledFrames([video({0: half, 1: label(2)})]).class_shares(4)
    np.testing.assert_allclose(shares, [1 / 3, 0, 2 / 3, 0])
    nothing = LabelledFrames([video({0: label(IGNORE)})]).class_shares(2)
    np.testing.assert_array_equal(nothing, [0, 0])


def test_a_network_sees_in_training_what_it_sees_in_a_test():
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert torch.equal(image_tensor(rgb), to_tensor(rgb, device="cpu")[0])
    assert torch.equal(image_tensor(rgb[:, ::-1]), image_tensor(rgb).flip(-1))


def test_read_only_pictures_do_not_warn():
    rgb = np.zeros((4, 6, 3), np.uint8)
    rgb.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image_tensor(rgb)


@pytest.mark.parametrize(
    ("name", "weight"), [("bisenet18", 1.0), ("pspnet18-cityscapes", 0.4), ("pspnet18-camvid", None)]
)
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_loss_is_that_of_the_main_logits_and_of_the_weighted_auxiliary_ones(name, weight, scale):
    network = tiny(name)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 64, 96, generator=generator)
    label = torch.randint(0, 3, (2, 64, 96), generator=generator)
    label[:, :7] = IGNORE

    def by_hand(logits):  # cross entropy at the size of the label, whatever the scale of the input
        p = resize(logits, (64, 96)).softmax(1).gather(1, label.clamp(max=2)[:, None])[:, 0]
        return -p[label != IGNORE].log().mean()

    with torch.no_grad():
        value = segmentation_loss(network, scale=scale, criterion=cross_entropy)(batch_of(images, label), 0)
        small = resize(images, (int(64 * scale), int(96 * scale)))
        features, auxiliary = network.training_outputs(small)
        expected = by_hand(network.classify(features))
        for logits in auxiliary:  # thinned to every second pixel of each axis, from 0 on at step 0
            thinned = resize(logits, (64, 96))[..., ::2, ::2].softmax(1)
            at = label[:, ::2, ::2]
            p = thinned.gather(1, at.clamp(max=2)[:, None])[:, 0]
            expected = expected - weight * p[at != IGNORE].log().mean()
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    assert bool(auxiliary) == (weight is not None)


def test_of_a_pair_the_labelled_frame_is_the_one_that_is_segmented():
    network = tiny("bisenet18")
    frames = torch.rand(1, 2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    label = torch.zeros(1, 64, 96, dtype=torch.long)
    loss = segmentation_loss(network, scale=1.0, criterion=cross_entropy)
    with torch.no_grad():
        pair = loss(Batch(images=frames, label=label, flow_px=None), 0)
        assert torch.equal(pair, loss(batch_of(frames[:, 1], label), 0))
        assert not torch.equal(pair, loss(batch_of(frames[:, 0], label), 0))


def test_label_stride_judges_a_share_of_the_pixels():
    network = tiny("pspnet18-camvid")
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    loss = segmentation_loss(network, scale=1.0, criterion=cross_entropy, label_stride=2)
    label = torch.full((1, 64, 96), IGNORE)
    label[:, 1::2, ::2] = 1  # the pixels of phase 1
    with torch.no_grad():
        assert float(loss(batch_of(images, label), 0)) == 0
        assert float(loss(batch_of(images, label), 1)) > 0


@pytest.mark.parametrize("name", ["bisenet18", "pspnet18-camvid", "pspnet18-cityscapes"])
def test_every_parameter_of_a_network_is_trained(name):
    network = tiny(name).train()
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    label = torch.randint(0, 3, (2, 64, 96), generator=torch.Generator().manual_seed(1))
    segmentation_loss(network, scale=0.5, criterion=cross_entropy)(batch_of(images, label), 0).backward()
    assert [key for key, p in network.named_parameters() if p.grad is None] == []


class Squares:
    """Bright squares on dark ground."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        label = torch.zeros(64, 96, dtype=torch.long)
        label[16:48, 16 + 16 * index : 48 + 16 * index] = 1
        return Sample(images=label.float().expand(1, 3, 64, 96) * 0.8 + 0.1, label=label)


def test_a_tiny_bisenet_learns_to_see_a_square(tmp_path):
    network, losses = tiny("bisenet18", num_classes=2), []
    train(
        network,
        segmentation_loss(network, scale=0.5, criterion=cross_entropy),
        Squares(),
        schedule(steps=12, batch=3, learning_rate=0.02, checkpoint_every=100),
        checkpoint=tmp_path / "c.safetensors",
        device=CPU,
        progress=lambda done, total, loss, seconds: losses.append(loss * done),
    )
    first, last = losses[0], losses[-1] - losses[-2]  # means of all steps so far, taken apart
    assert last < 0.7 * first
    assert math.isfinite(last)


@pytest.mark.gpu
def test_training_on_a_gpu_is_training_on_a_cpu(tmp_path, cuda):
    def losses_on(device):
        network, means = tiny("bisenet18", num_classes=2).to(device, memory_format=torch.channels_last), []
        train(
            network,
            segmentation_loss(network, scale=0.5, criterion=cross_entropy),
            Squares(),
            schedule(steps=3, batch=3, augmentation=Augmentation(), learning_rate=1e-3),
            checkpoint=tmp_path / f"{device.type}.safetensors",
            device=device,
            progress=lambda done, total, loss, seconds: means.append(loss),
        )
        return means

    with torch.backends.cudnn.flags(allow_tf32=False):
        on_gpu = losses_on(cuda)
    np.testing.assert_allclose(on_gpu, losses_on(CPU), rtol=[1e-4, 2e-2, 5e-2])

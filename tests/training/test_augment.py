"""Augmentation: images, label and motion change together, and the motion stays true."""

import pytest
import torch

from vssbench.errors import UsageError
from vssbench.ops.warp import warp
from vssbench.records import IGNORE
from vssbench.training.augment import Augmentation, Sample, augment

STILL = Augmentation(scales=(1.0, 1.0), colour=0.0, flip=False)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def smooth_pattern(height=48, width=64):
    """(1, 3, H, W) in 0..1 that bilinear sampling barely changes."""
    y, x = torch.meshgrid(torch.arange(height) / 9, torch.arange(width) / 11, indexing="ij")
    planes = (torch.sin(x + y), torch.cos(1.3 * x - 0.4 * y), torch.sin(0.7 * x) * torch.cos(y))
    return torch.stack(planes)[None] / 2.4 + 0.5


def pair(dx=3.0, dy=-2.0, *, height=48, width=64):
    """A key frame, and what its motion makes of it; the label says where the first channel is bright."""
    key = smooth_pattern(height, width)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    flow = torch.stack([dx + 0.03 * y, dy + 0.02 * x], -1)  # it turns and stretches a little
    frame = warp(key, flow[None])
    return Sample(images=torch.cat([key, frame]), label=(frame[0, 0] > 0.5).long(), flow_px=flow)


def test_nothing_asked_for_changes_nothing():
    sample = pair()
    same = augment(sample, STILL, generator=generator())
    torch.testing.assert_close(same.images, sample.images)
    assert torch.equal(same.label, sample.label)
    assert torch.equal(same.flow_px, sample.flow_px)


def test_one_seed_gives_one_variant_and_another_seed_another():
    sample, every = pair(), Augmentation(crop=(24, 40))
    one, two, other = (augment(sample, every, generator=generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.label, two.label)
    assert torch.equal(one.flow_px, two.flow_px)
    assert not torch.equal(one.images, other.images)


def test_the_sample_itself_is_left_alone():
    sample = pair()
    before = [t.clone() for t in (sample.images, sample.label, sample.flow_px)]
    augment(sample, Augmentation(crop=(24, 40)), generator=generator())
    assert all(map(torch.equal, before, (sample.images, sample.label, sample.flow_px)))


def test_a_mirrored_sample_moves_the_other_way_along_x_alone():
    sample = pair()
    flips = Augmentation(scales=(1.0, 1.0), colour=0.0, flip=True)
    variants = [augment(sample, flips, generator=generator(seed)) for seed in range(40)]
    mirrored = [v for v in variants if not torch.equal(v.label, sample.label)]
    assert 10 <= len(mirrored) <= 30  # half of them
    for variant in mirrored:
        torch.testing.assert_close(variant.images, sample.images.flip(-1))
        assert torch.equal(variant.label, sample.label.flip(-1))
        assert torch.equal(variant.flow_px[..., 0], -sample.flow_px[..., 0].flip(-1))
        assert torch.equal(variant.flow_px[..., 1], sample.flow_px[..., 1].flip(-1))


def test_twice_as_large_moves_twice_as_far():
    sample = Sample(
        images=torch.zeros(2, 3, 48, 64),
        label=torch.zeros(48, 64, dtype=torch.long),
        flow_px=torch.tensor([3.0, -1.0]).expand(48, 64, 2),
    )
    zoomed = augment(sample, Augmentation(scales=(2.0, 2.0), colour=0.0, flip=False), generator=generator())
    assert torch.equal(zoomed.flow_px, torch.tensor([6.0, -2.0]).expand(48, 64, 2))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("scales", [(1.0, 1.0), (1.3, 1.9), (0.6, 0.9)])
@pytest.mark.parametrize("crop", [None, (31, 45)])
def test_the_motion_of_a_variant_still_leads_from_its_frame_to_its_key_frame(scales, crop, seed):
    variant = augment(pair(), Augmentation(scales=scales, colour=0.0, crop=crop), generator=generator(seed))
    height, width = variant.label.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    at_x, at_y = x + variant.flow_px[..., 0], y + variant.flow_px[..., 1]
    inside = (at_x > 1) & (at_x < width - 2) & (at_y > 1) & (at_y < height - 2)
    # neither the pixel nor what it points to is in the black border of a shrunk sample, nor beside it
    border = torch.nn.functional.max_pool2d((variant.label == IGNORE).float()[None, None], 5, 1, 2)
    inside &= (border[0, 0] == 0) & (warp(border, variant.flow_px[None])[0, 0] == 0)
    assert inside.float().mean() > 0.15
    key = variant.images[:1]
    error = (warp(key, variant.flow_px[None]) - variant.images[1:]).abs()[0, :, inside]
    unmoved = (key - variant.images[1:]).abs()[0, :, inside]
    # resampled twice, along a flow that is rounded to the nearest pixel's
    assert error.mean() < 0.005
    assert error.mean() < 0.07 * unmoved.mean()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("scales", [(1.2, 1.9), (0.6, 0.9)])
def test_the_label_of_a_variant_still_fits_its_frame(scales, seed):
    variant = augment(pair(), Augmentation(scales=scales, colour=0.0), generator=generator(seed))
    valid = variant.label != IGNORE
    bright = (variant.images[1, 0] > 0.5).long()
    assert (variant.label[valid] == bright[valid]).float().mean() > 0.97  # but for the pixels on an outline


def test_around_a_shrunk_sample_nothing_is_shown_labelled_or_moved():
    sample = Sample(
        images=torch.ones(2, 3, 48, 64),
        label=torch.ones(48, 64, dtype=torch.long),
        flow_px=torch.ones(48, 64, 2),
    )
    shrunk = augment(sample, Augmentation(scales=(0.5, 0.5), colour=0.0, flip=False), generator=generator())
    outside = shrunk.label == IGNORE
    assert outside.float().mean() == pytest.approx(0.75, abs=0.06)  # half as wide, half as high
    assert set(shrunk.label[~outside].tolist()) == {1}
    assert (shrunk.flow_px[outside] == 0).all()
    assert (shrunk.flow_px[~outside] == 0.5).all()
    away = torch.nn.functional.avg_pool2d(outside.float()[None], 5, 1, 2)[0] == 1
    assert away.any()
    assert (shrunk.images[:, :, away] == 0).all()


def test_ignored_pixels_stay_ignored_and_no_class_is_invented():
    label = torch.tensor([0, 7, IGNORE]).repeat_interleave(16).expand(48, 48)
    sample = Sample(images=torch.zeros(1, 3, 48, 48), label=label)
    for seed in range(8):
        variant = augment(sample, Augmentation(), generator=generator(seed))
        assert set(variant.label.unique().tolist()) <= {0, 7, IGNORE}


@pytest.mark.parametrize("crop", [(20, 30), (48, 64), (61, 83)])  # smaller, equal, larger than the sample
def test_a_crop_has_the_size_asked_for(crop):
    variant = augment(pair(), Augmentation(crop=crop), generator=generator())
    assert tuple(variant.images.shape) == (2, 3, *crop)
    assert tuple(variant.label.shape) == crop
    assert tuple(variant.flow_px.shape) == (*crop, 2)


def test_crops_reach_every_corner():
    place = torch.arange(6 * 8).view(6, 8)
    sample = Sample(images=torch.zeros(1, 3, 6, 8), label=place)
    crops = Augmentation(scales=(1.0, 1.0), colour=0.0, flip=False, crop=(4, 4))
    corners = {int(augment(sample, crops, generator=generator(s)).label[0, 0]) for s in range(200)}
    assert corners == {8 * y + x for y in range(3) for x in range(5)}


def test_colour_changes_both_frames_of_a_pair_alike_and_stays_in_range():
    sample = Sample(images=smooth_pattern().expand(2, 3, 48, 64), label=torch.zeros(48, 64, dtype=torch.long))
    colours = Augmentation(scales=(1.0, 1.0), flip=False, colour=0.5)
    variants = [augment(sample, colours, generator=generator(seed)).images for seed in range(10)]
    assert all(torch.equal(images[0], images[1]) for images in variants)
    assert all(images.min() >= 0 and images.max() <= 1 for images in variants)
    changes = [(images.mean() / sample.images.mean()).item() for images in variants]
    assert min(changes) < 0.9 < 1.1 < max(changes)
    assert all(0.45 < change < 1.55 for change in changes)


def labelled_clip(frames=3):
    """Frames that slide to the right, each with a label of its own: where its first channel is bright."""
    wide = smooth_pattern(48, 64 + 5 * frames)[0]
    images = torch.stack([wide[..., 5 * (frames - t) :][..., :64] for t in range(frames)])
    return Sample(images=images, label=(images[:, 0] > 0.5).long())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("scales", [(1.0, 1.0), (1.2, 1.9), (0.6, 0.9)])
@pytest.mark.parametrize("crop", [None, (31, 45)])
def test_the_labels_of_a_clip_fit_its_frames_one_by_one(scales, crop, seed):
    variant = augment(labelled_clip(), Augmentation(scales=scales, colour=0.0, crop=crop), generator=generator(seed))
    assert tuple(variant.label.shape) == (3, *(crop or (48, 64)))
    assert variant.label.dtype == torch.int64
    valid = variant.label != IGNORE
    assert torch.equal(valid[0], valid[1])
    assert torch.equal(valid[0], valid[2])
    bright = (variant.images[:, 0] > 0.5).long()
    for t in range(3):
        assert (variant.label[t] == bright[t])[valid[t]].float().mean() > 0.96  # but for the pixels on an outline
    assert not torch.equal(variant.label[0], variant.label[2])


@pytest.mark.parametrize("seed", range(8))
def test_a_clips_label_is_varied_as_that_of_its_frame_alone_would_be(seed):
    clip, every = labelled_clip(), Augmentation(crop=(31, 45))
    varied = augment(clip, every, generator=generator(seed)).label
    for t in range(3):
        alone = Sample(images=clip.images[t : t + 1], label=clip.label[t])
        assert torch.equal(varied[t], augment(alone, every, generator=generator(seed)).label)


def test_a_still_has_no_motion():
    sample = Sample(images=smooth_pattern(), label=torch.zeros(48, 64, dtype=torch.long))
    assert augment(sample, Augmentation(), generator=generator()).flow_px is None


@pytest.mark.parametrize(
    "options",
    [{"scales": (0.0, 1.0)}, {"scales": (1.5, 1.0)}, {"colour": -0.1}, {"colour": 1.5}, {"crop": (0, 8)}],
)
def test_impossible_augmentations_are_refused(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        Augmentation(**options)

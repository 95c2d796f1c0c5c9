"""TFC's weights: the loss by hand, a step of every variant, interrupted or not, and what loads of them."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch
from tiny_tfc import CPU, SIZE, TRAINED, WIDTH, blocks, changed, frame, images, tiny_network

from tfc.method import TFC
from tfc.options import INTERVAL, VARIANTS, Options, options_of
from tfc.similarity import focal_consistency_loss
from tfc.train import TFCBranch, TFCSettings, tfc_loss
from tfc.weights import load_tfc, weights_file
from vssbench.codec.cache import EncodeCache
from vssbench.datasets.street import Street
from vssbench.errors import DatasetError, ShapeError, UsageError, WeightsError
from vssbench.networks.segformer import Block
from vssbench.networks.weights import WeightsHeader, load_network, read_weights, save_weights
from vssbench.networks.zoo import build_network
from vssbench.records import IGNORE
from vssbench.training.augment import Augmentation
from vssbench.training.loop import Batch, Schedule
from vssbench.training.losses import cross_entropy, hard_pixel_cross_entropy
from vssbench.training.recipe import BranchRecipe, Recipe, read_recipe
from vssbench.training.trainer import BASE, Trainer, parse_member

BRANCHES = {"tfc": TFCBranch()}
CLASSES = 11
MEMBERS = [f"tfc:{variant}" if variant else "tfc" for variant in TRAINED]


def clip_batch(*, count=2, length=4, num_classes=5, seed=0):
    """Clips whose later frames show other blocks at their left, each with a label."""
    generator = torch.Generator().manual_seed(seed)
    clips = [[blocks(n), *(changed(blocks(n), columns=24 + 8 * t) for t in range(1, length))] for n in range(count)]
    label = torch.randint(0, num_classes, (count, length, 8, 12), generator=generator)
    label = label.repeat_interleave(8, 2).repeat_interleave(8, 3)
    label[:, :, :8, :8] = IGNORE
    return Batch(images=torch.stack([images(*clip) for clip in clips]), label=label, flow_px=None)


# ---- the loss ----


@pytest.mark.parametrize("variant", ["", "reuse", "no-focal", "fixed", "level-1"])
def test_the_loss_is_that_of_all_frames_and_of_their_similarities(variant):
    network, batch = tiny_network(variant), clip_batch()
    with torch.no_grad():
        logits, truth, similarities, key_labels, labels = [], [], [], [], []
        for clip, label in zip(batch.images, batch.label, strict=True):
            key = network.key(clip[:1])
            features = [key.features]
            for image, own in zip(clip[1:], label[1:], strict=True):
                other = network.other(image[None], key)
                features.append(other.features)
                similarities.append(other.similarity)
                key_labels.append(label[0])
                labels.append(own)
            logits += [network.network.final(x) for x in features]
            truth += list(label)
        full = torch.nn.functional.interpolate(torch.cat(logits), SIZE, mode="bilinear", align_corners=False)
        expected = cross_entropy(full, torch.stack(truth))
        if options_of(variant).reads_similarity and options_of(variant).supervised:
            expected += focal_consistency_loss(torch.cat(similarities), torch.stack(key_labels), torch.stack(labels))
        found = tfc_loss(network, criterion=cross_entropy)(batch, 0)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_without_focal_loss_the_value_is_that_of_the_segmentation_alone():
    batch = clip_batch()
    with torch.no_grad():
        plain, whole = (tfc_loss(tiny_network(v), criterion=cross_entropy)(batch, 0) for v in ("no-focal", ""))
    assert plain < whole


def test_the_criterion_and_the_stride_of_the_label_are_those_of_the_recipe():
    network, batch = tiny_network(), clip_batch()

    def value(step=0, **options):
        with torch.no_grad():
            return float(tfc_loss(network, **{"criterion": cross_entropy, **options})(batch, step))

    values = [value(), value(criterion=hard_pixel_cross_entropy), value(label_stride=2), value(1, label_stride=2)]
    assert len({round(v, 6) for v in values}) == 4


def test_where_nothing_is_labelled_the_loss_is_zero():
    batch = clip_batch()
    void = Batch(images=batch.images, label=torch.full_like(batch.label, IGNORE), flow_px=None)
    with torch.no_grad():
        assert float(tfc_loss(tiny_network(), criterion=cross_entropy)(void, 0)) == 0


def test_a_clip_with_the_label_of_its_last_frame_alone_is_refused():
    batch = clip_batch()
    one = Batch(images=batch.images, label=batch.label[:, -1], flow_px=None)
    with pytest.raises(ShapeError, match=r"needs a label for every image, got \(2, 64, 96\) for \(2, 4, 3, 64, 96\)"):
        tfc_loss(tiny_network(), criterion=cross_entropy)(one, 0)


@pytest.mark.parametrize("variant", TRAINED)
def test_every_parameter_of_a_variant_is_trained(variant):
    network = tiny_network(variant).train()
    for module in network.modules():
        if isinstance(module, Block):
            module.drop_path = 0.0  # a block may be left out of a whole batch otherwise
    tfc_loss(network, criterion=cross_entropy)(clip_batch(), 0).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    idle = [name for name, p in network.named_parameters() if not p.grad.any()]
    # a bias before a softmax over keys moves all of them alike, and leaves the weights as they are
    assert [name for name in idle if not name.endswith("attention.key.bias")] == []


def test_a_loss_of_the_other_frames_alone_reaches_the_coarse_stages_through_the_key_frame():
    network, batch = tiny_network("no-focal").train(), clip_batch()
    label = batch.label.clone()
    label[:, 0] = IGNORE
    tfc_loss(network, criterion=cross_entropy)(Batch(images=batch.images, label=label, flow_px=None), 0).backward()
    assert network.network.stages[3].norm.weight.grad.any()


def test_the_focal_loss_teaches_hard_weights_too():
    """A weight of 0 or 1 has no gradient: without it nothing would tell the similarity."""
    gradients = {}
    for supervised in (True, False):
        network, batch = tiny_network("hard"), clip_batch()
        network.options = Options(updated=False, interpolation="hard", supervised=supervised)
        tfc_loss(network, criterion=cross_entropy)(batch, 0).backward()
        gradients[supervised] = network.network.decoder.projections[1].weight.grad
    assert not torch.equal(gradients[True], gradients[False])


def test_half_precision_trains_too():
    network = tiny_network().train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = tfc_loss(network, criterion=cross_entropy)(clip_batch(), 0)
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


# ---- names and settings ----


@pytest.mark.parametrize("member", MEMBERS)
def test_a_variant_is_trained_by_its_name_without_a_scale(member):
    parsed = parse_member(member, BRANCHES)
    assert (parsed.family, parsed.variant, parsed.scale) == ("tfc", member.partition(":")[2], None)
    assert weights_file(parsed.variant) == f"{member}.safetensors"


@pytest.mark.parametrize("member", ["tfc@4", "tfc@4.0", "tfc:hard@0.5", "tfc:soft", "tfc:", "tfc@"])
def test_what_cannot_be_trained_is_refused(member):
    with pytest.raises(UsageError, match=r"weights of TFC are called tfc, tfc:VARIANT .* serve every interval"):
        parse_member(member, BRANCHES)


def test_warped_features_run_the_weights_of_reuse():
    with pytest.raises(UsageError, match="tfc:warp needs no training: it runs the weights of tfc:reuse"):
        parse_member("tfc:warp", BRANCHES)
    assert weights_file("warp") == "tfc:reuse.safetensors"


def test_a_recipe_may_tell_the_length_of_clips(tmp_path):
    text = 'dataset = "street"\nnetwork = "segformer-b0"\nmembers = ["tfc"]\n[schedule]\nsteps = 9\n[tfc]\nsteps = 3\n'
    (tmp_path / "r.toml").write_text(text)
    assert read_recipe(tmp_path / "r.toml", {"tfc": TFCSettings}).branches == {
        "tfc": BranchRecipe(schedule=Schedule(steps=3), settings=TFCSettings(clip_length=INTERVAL))
    }
    (tmp_path / "r.toml").write_text(text + "clip_length = 2\n")
    assert read_recipe(tmp_path / "r.toml", {"tfc": TFCSettings}).branches["tfc"].settings.clip_length == 2
    (tmp_path / "r.toml").write_text(text + "clip_length = 1\n")
    with pytest.raises(UsageError, match="tfc: clip_length must be at least 2, a key frame and another, got 1"):
        read_recipe(tmp_path / "r.toml", {"tfc": TFCSettings})


# ---- from videos to weights ----


def schedule(steps):
    return Schedule(steps=steps, batch=2, checkpoint_every=1, augmentation=Augmentation(crop=SIZE))


def recipe(*, steps=1, length=3, **options):
    own = BranchRecipe(schedule=schedule(steps), settings=TFCSettings(clip_length=length))
    stages = {"base": schedule(1), "constant": schedule(1), "branches": {"tfc": own}}
    defaults = {"dataset": "street", "members": ("tfc",), "network": "segformer-b0", "width": WIDTH, "every": 4}
    return Recipe(**{**defaults, **stages, **options})


@pytest.fixture(scope="module")
def videos():
    return Street(size=SIZE, num_videos={"train": 2}, frames_per_video=9).videos("train")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """The network that TFC starts from, as the constant-resolution networks do."""
    folder = tmp_path_factory.mktemp("start")
    torch.manual_seed(0)
    network = build_network("segformer-b0", num_classes=CLASSES, width=WIDTH)
    header = WeightsHeader(network="segformer-b0", num_classes=CLASSES, width=WIDTH, scale=1.0)
    save_weights(folder / f"{BASE}.safetensors", network.state_dict(), header)
    return folder / f"{BASE}.safetensors"


@pytest.fixture
def folder(start, tmp_path):
    (tmp_path / start.name).write_bytes(start.read_bytes())
    return tmp_path


def trainer(folder, videos, *, made=None, progress=None):
    return Trainer(
        made or recipe(),
        videos,
        num_classes=CLASSES,
        weights=folder,
        cache=EncodeCache(folder / "streams"),
        device=CPU,
        branches=BRANCHES,
        progress=progress,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory, start, videos):
    """The folder of all variants' weights after one step, and what was told on the way."""
    folder, told = tmp_path_factory.mktemp("weights"), []
    (folder / start.name).write_bytes(start.read_bytes())
    whole = trainer(folder, videos, progress=lambda name: told.append(name) or (lambda *_: None))
    whole.check(MEMBERS)
    for member in MEMBERS:
        assert whole.train(member) == folder / f"{member}.safetensors"
        assert whole.train(member) == whole.path(member)  # finished: neither trained again nor refused
    return folder, told


def test_clips_are_read_once_and_no_stream_is_encoded(trained):
    folder, told = trained
    assert told == ["reading clips", *MEMBERS]
    assert not list((folder / "streams").iterdir())


@pytest.mark.parametrize("variant", TRAINED)
def test_a_variant_is_trained_stored_and_loaded_by_its_name(trained, variant):
    path = trained[0] / weights_file(variant)
    tensors, header = read_weights(path)
    assert (header.network, header.num_classes, header.width, header.scale) == ("segformer-b0", CLASSES, WIDTH, 1.0)
    assert header.recipe["tfc"] == json.loads(json.dumps(asdict(schedule(1))))
    assert header.recipe["clip_length"] == 3
    assert Options(**header.recipe.get("options", {})) == options_of(variant)
    assert ("options" in header.recipe) == bool(variant)
    assert not {"encoding", "constant"} & header.recipe.keys()  # they have no part in it
    loaded = load_tfc(path, variant=variant, num_classes=CLASSES, device=CPU)
    assert (loaded.options, loaded.training) == (options_of(variant), False)
    came = loaded.state_dict()
    assert came.keys() == tensors.keys()
    assert all(torch.equal(came[name], value.to(came[name].dtype)) for name, value in tensors.items())
    method = TFC(loaded, device=CPU)
    frames = [frame(blocks(1, size=SIZE), "I"), frame(blocks(2, size=SIZE), flow=(0, 0))]
    assert [method.step(one).kind for one in frames] == ["key", "non-key"]


def test_all_of_segformer_is_trained_from_the_base_network(trained, start):
    base, _ = load_network(start, num_classes=CLASSES, device=CPU)
    whole = load_tfc(trained[0] / "tfc.safetensors", variant="", num_classes=CLASSES, device=CPU)
    before, after = base.state_dict(), whole.network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {f"stages.{i}.embed.projection.weight" for i in range(4)} | {"final.weight"} <= moved
    # one warming-up step of Adam goes 1e-3 / 20 far in each weight, and files hold half precision
    for name in moved & {name for name, _ in base.named_parameters()}:
        assert (before[name] - after[name]).abs().max() < 2e-3


def test_warped_features_load_the_weights_of_reuse(trained):
    path = trained[0] / weights_file("warp")
    loaded = load_tfc(path, variant="warp", num_classes=CLASSES, device=CPU)
    assert loaded.options == options_of("warp")
    assert torch.equal(
        loaded.network.final.weight,
        load_tfc(path, variant="reuse", num_classes=CLASSES, device=CPU).network.final.weight,
    )


def test_an_interrupted_training_ends_in_the_same_weights(folder, videos, tmp_path_factory, start):
    made = recipe(steps=3)
    other = tmp_path_factory.mktemp("whole")
    (other / start.name).write_bytes(start.read_bytes())
    whole, _ = read_weights(trainer(other, videos, made=made).train("tfc"))

    class Interrupt(Exception):
        pass

    def stop(done, *_):
        if done == 2:  # the first step's checkpoint is there
            raise Interrupt

    with pytest.raises(Interrupt):
        trainer(folder, videos, made=made, progress=lambda name: stop if name == "tfc" else (lambda *_: None)).train(
            "tfc"
        )
    torch.rand(5)
    steps = []
    path = trainer(folder, videos, made=made, progress=lambda _: lambda done, *_: steps.append(done)).train("tfc")
    assert steps[-2:] == [2, 3]
    resumed, _ = read_weights(path)
    assert resumed.keys() == whole.keys()
    for name, tensor in whole.items():
        # equal to the last bit of half precision (test_training_loop.py: exact)
        torch.testing.assert_close(resumed[name].float(), tensor.float(), rtol=2**-10, atol=2e-5)


def test_another_variants_weights_are_refused(trained):
    for variant, file in (("", "tfc:hard"), ("hard", "tfc"), ("level-1", "tfc"), ("reuse", "tfc:interpolation")):
        with pytest.raises(WeightsError, match="was trained as another variant"):
            load_tfc(trained[0] / f"{file}.safetensors", variant=variant, num_classes=CLASSES, device=CPU)
    with pytest.raises(WeightsError, match="was trained as another variant"):  # it runs those of reuse
        load_tfc(trained[0] / "tfc.safetensors", variant="warp", num_classes=CLASSES, device=CPU)


def rewritten(source, target, **changes):
    tensors, header = read_weights(source)
    save_weights(target, tensors, WeightsHeader(**{**vars(header), **changes}))
    return target


def test_what_is_not_weights_of_this_version_and_data_set_is_refused(trained, start, tmp_path):
    path = trained[0] / "tfc.safetensors"

    def load(path, **options):
        return load_tfc(path, **{"variant": "", "num_classes": CLASSES, "device": CPU, **options})

    with pytest.raises(WeightsError, match="11 classes apart, the data set has 19"):
        load(path, num_classes=19)
    for options in ({"heads": 4}, {"interpolation": "cubic"}):
        other = rewritten(path, tmp_path / "o.safetensors", recipe={"options": options})
        with pytest.raises(WeightsError, match="options of another version"):
            load(other)
    with pytest.raises(WeightsError, match="does not fit the network"):
        load(start)
    with pytest.raises(WeightsError, match="vssbench train tfc"):
        load(tmp_path / "tfc.safetensors")
    with pytest.raises(WeightsError, match="does not fit the network"):
        load(rewritten(path, tmp_path / "w.safetensors", width=0.125))


def test_tfc_needs_a_segformer_to_start_from(folder, videos, tmp_path_factory):
    with pytest.raises(UsageError, match=r"TFC runs on SegFormer, .*got BiSeNet18"):
        trainer(folder, videos, made=recipe(network="bisenet18")).check(["tfc"])
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(UsageError, match=f"tfc starts from the weights .*train {BASE} first"):
        trainer(empty, videos).check(["tfc"])
    with pytest.raises(WeightsError, match=f"vssbench train {BASE}"):
        trainer(empty, videos).train("tfc")


def test_weights_of_other_clips_or_options_are_not_passed_off_as_this_recipes(trained, videos):
    with pytest.raises(WeightsError, match=r"made by another recipe \(other clip_length\)"):
        trainer(trained[0], videos, made=recipe(length=4)).train("tfc")
    with pytest.raises(WeightsError, match=r"other tfc\)"):
        trainer(trained[0], videos, made=recipe(steps=2)).train("tfc:hard")


def test_videos_that_are_not_labelled_frame_by_frame_cannot_train_tfc(folder):
    sparse = Street(size=SIZE, num_videos={"train": 1}, frames_per_video=2).videos("train")
    with pytest.raises(DatasetError, match="no 3 annotated frames in a row"):
        trainer(folder, sparse).train("tfc")


def test_every_variant_of_table_2_has_weights_to_run():
    assert {weights_file(variant) for variant in ("", *VARIANTS)} == {f"{member}.safetensors" for member in MEMBERS}


@pytest.mark.gpu
def test_a_step_on_a_gpu_is_a_step_on_a_cpu(cuda):
    found = {}
    for device in (CPU, cuda):
        network = tiny_network("msda-1.0").to(device)  # no dropout, and no point at the edge of the threshold
        batch = clip_batch()
        batch = Batch(images=batch.images.to(device), label=batch.label.to(device), flow_px=None)
        with torch.backends.cudnn.flags(allow_tf32=False):
            loss = tfc_loss(network, criterion=cross_entropy)(batch, 0)
            loss.backward()
        gradients = {name: p.grad.cpu() for name, p in network.named_parameters()}
        found[device.type] = loss.item(), gradients
    (loss, gradients), (loss_there, gradients_there) = found["cpu"], found["cuda"]
    assert loss_there == pytest.approx(loss, rel=1e-4)
    for name, gradient in gradients.items():
        off = (gradients_there[name] - gradient).norm()
        assert off <= 0.01 * gradient.norm() + 1e-6, name

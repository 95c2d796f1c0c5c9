"""SegFormer against Hugging Face's, with the same weights, out of the file that `save_pretrained` writes.

The `transformers` package is the extra `oracles`; the tests of the file format alone do without it.
"""

import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vssbench.errors import WeightsError
from vssbench.networks import segformer_weights
from vssbench.networks.segformer import VARIANTS, SegFormer
from vssbench.networks.segformer_weights import load_transformers_checkpoint, transformers_name
from vssbench.networks.weights import load_network

CLASSES = 7
ENCODER_ALONE = ("SegformerForImageClassification", "SegformerModel")


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def randomise(module, *, seed=0):
    """Every parameter and statistic drawn, so that two that are exchanged or left out show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, x in [*module.named_parameters(), *module.named_buffers()]:
            if not x.is_floating_point() or name in ("mean", "std"):
                continue
            x.normal_(generator=generator)
            if x.ndim > 1:
                x.mul_(x[0].numel() ** -0.5)
            elif name.endswith("weight") or name.endswith("running_var"):
                x.mul_(0.1).add_(1).clamp_(min=0.5)
            else:
                x.mul_(0.1)
    return module.eval()


def theirs(variant, kind="SegformerForSemanticSegmentation", *, decoder=None, width=1.0, attention="eager", **options):
    """A SegFormer of `transformers`, the variant's published form with its channels multiplied."""
    transformers = pytest.importorskip("transformers", reason="needs the extra `oracles`")
    of_a_head, depths, published = VARIANTS[variant]
    config = transformers.SegformerConfig(
        depths=depths,
        hidden_sizes=[int(of_a_head * width) * heads for heads in (1, 2, 5, 8)],
        num_attention_heads=(1, 2, 5, 8),
        decoder_hidden_size=int((decoder or published) * width),
        num_labels=CLASSES,
        **options,
    )
    config._attn_implementation = attention
    with torch.device("meta"):
        module = getattr(transformers, kind)(config)
    return randomise(module.to_empty(device="cpu"))


def ours(variant, *, decoder=None, width=1.0):
    with torch.device("meta"):
        network = SegFormer(num_classes=CLASSES, variant=variant, decoder_channels=decoder, width=width)
    network = network.to_empty(device="cpu")
    with torch.no_grad():
        for name, x in network.state_dict().items():  # a tensor that the file does not fill spoils the logits
            x.fill_(0 if name in ("mean", "std", "decoder.fuse.1.num_batches_tracked") else float("nan"))
    return network.eval()


def logits(network, pixel_values):
    """Of pixel values, which `transformers` normalises outside the network."""
    return network.classify(network.refine(network.extract(pixel_values)))


def saved(module, folder):
    module.save_pretrained(folder)
    return folder / "model.safetensors"


def assert_equal_logits(network, module, sizes):
    for height, width in sizes:
        pixel_values = normal(1, 3, height, width, seed=height)
        with torch.no_grad():
            expected, got = module(pixel_values=pixel_values).logits, logits(network, pixel_values)
        assert expected.shape == got.shape
        assert 0.1 < float(expected.std()) < 10  # so that 1e-5 means something
        assert float((got - expected).abs().max()) <= 1e-5


@pytest.mark.parametrize(
    ("variant", "decoder"),
    [("b0", None), ("b1", None)]
    + [pytest.param(*each, marks=pytest.mark.slow) for each in (("b2", None), ("b3", None), ("b4", None))]
    + [pytest.param(*each, marks=pytest.mark.slow) for each in (("b5", None), ("b5", 256))],
)
def test_logits_equal_those_of_transformers_with_the_weights_of_one_file(variant, decoder, tmp_path):
    module, network = theirs(variant, decoder=decoder), ours(variant, decoder=decoder)
    path = saved(module, tmp_path)
    assert load_transformers_checkpoint(path, network) == "all"
    path.unlink()  # 0.3 GB of B5, which pytest would keep for three runs
    assert_equal_logits(network, module, [(64, 96), (65, 91)])


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_logits_equal_both_ways_that_transformers_computes_attention(attention, tmp_path):
    module, network = theirs("b0", attention=attention), ours("b0")
    load_transformers_checkpoint(saved(module, tmp_path), network)
    assert_equal_logits(network, module, [(96, 128), (33, 47)])


def test_an_image_goes_through_our_normalisation_as_through_their_processor(tmp_path):
    transformers = pytest.importorskip("transformers", reason="needs the extra `oracles`")
    defaults = transformers.utils.constants
    network = SegFormer(num_classes=CLASSES)
    assert network.mean.flatten().tolist() == pytest.approx(defaults.IMAGENET_DEFAULT_MEAN)
    assert network.std.flatten().tolist() == pytest.approx(defaults.IMAGENET_DEFAULT_STD)


def test_training_normalises_and_learns_as_transformers_does(tmp_path):
    module = theirs("b0", drop_path_rate=0.0, classifier_dropout_prob=0.0).train()
    network = ours("b0").train()
    load_transformers_checkpoint(saved(module, tmp_path), network)
    for layer in network.modules():
        if hasattr(layer, "drop_path"):
            layer.drop_path = 0.0
    network.dropout.p = 0.0
    with torch.no_grad():  # the images' statistics are ours alone, and no checkpoint holds them
        network.mean.zero_()
        network.std.fill_(1)
    pixel_values = normal(2, 3, 64, 96)
    expected, got = module(pixel_values=pixel_values).logits, logits(network, pixel_values)
    assert float((got - expected).detach().abs().max()) <= 1e-5
    expected.square().mean().backward()
    got.square().mean().backward()
    batch_norm, expected_norm = network.decoder.fuse[1], module.decode_head.batch_norm
    torch.testing.assert_close(batch_norm.running_var, expected_norm.running_var)
    torch.testing.assert_close(batch_norm.running_mean, expected_norm.running_mean, rtol=1e-5, atol=1e-6)
    gradient, expected = network.stages[0].embed.projection.weight.grad, next(iter(module.parameters())).grad
    assert expected.shape == gradient.shape
    assert float((gradient - expected).abs().max()) <= 1e-4 * float(expected.abs().max())


@pytest.mark.parametrize("variant", ["b0", "b3"])
def test_the_rates_of_stochastic_depth_are_those_of_transformers(variant):
    module, network = theirs(variant, width=0.25), ours(variant, width=0.25)
    drawn = [getattr(layer, "drop_prob", 0.0) for name, layer in module.named_modules() if name.endswith("drop_path")]
    assert drawn == pytest.approx([block.drop_path for stage in network.stages for block in stage.blocks])


@pytest.mark.parametrize("kind", ENCODER_ALONE)
def test_an_encoder_alone_fills_the_stages_and_nothing_else(kind, tmp_path):
    module, network = theirs("b1", kind, width=0.25), randomise(ours("b1", width=0.25), seed=1)
    before = {name: x.clone() for name, x in network.state_dict().items()}
    assert load_transformers_checkpoint(saved(module, tmp_path), network) == "encoder"
    pixel_values = normal(1, 3, 65, 91)
    encoder = module if kind == "SegformerModel" else module.segformer
    with torch.no_grad():
        expected = encoder(pixel_values=pixel_values, output_hidden_states=True).hidden_states
        levels = network.extract(pixel_values)
    for level, other in zip(levels, expected, strict=True):
        assert float((level - other).abs().max()) <= 1e-5
    for name, x in network.state_dict().items():
        assert torch.equal(x, before[name]) != name.startswith("stages."), name


# -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def network():
    return randomise(SegFormer(num_classes=CLASSES, width=0.25))


@pytest.fixture
def published(network):
    """The tensors of another network under their published names."""
    other = randomise(SegFormer(num_classes=CLASSES, width=0.25), seed=1)
    tensors = {transformers_name(name): x for name, x in other.state_dict().items()}
    return {name: x for name, x in tensors.items() if name not in ("mean", "std")}


def written(folder, tensors):
    save_file({name: x.contiguous() for name, x in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    return folder / "model.safetensors"


def state(network):
    return {name: x.clone() for name, x in network.state_dict().items()}


def assert_same_state(network, before):
    assert all(torch.equal(x, before[name]) for name, x in network.state_dict().items())


def test_the_names_are_the_published_ones():
    # nvidia/segformer-b0-finetuned-ade-512-512, model.safetensors
    assert transformers_name("stages.0.embed.projection.weight") == "segformer.encoder.patch_embeddings.0.proj.weight"
    assert transformers_name("stages.3.embed.norm.bias") == "segformer.encoder.patch_embeddings.3.layer_norm.bias"
    assert transformers_name("stages.2.norm.weight") == "segformer.encoder.layer_norm.2.weight"
    block = "segformer.encoder.block.1.0"
    for name, expected in {
        "norm1.weight": "layer_norm_1.weight",
        "norm2.bias": "layer_norm_2.bias",
        "attention.query.weight": "attention.self.query.weight",
        "attention.value.bias": "attention.self.value.bias",
        "attention.reduction.weight": "attention.self.sr.weight",
        "attention.reduction_norm.weight": "attention.self.layer_norm.weight",
        "attention.output.bias": "attention.output.dense.bias",
        "mlp.expand.weight": "mlp.dense1.weight",
        "mlp.depthwise.weight": "mlp.dwconv.dwconv.weight",
        "mlp.contract.bias": "mlp.dense2.bias",
    }.items():
        assert transformers_name(f"stages.1.blocks.0.{name}") == f"{block}.{expected}"
    assert transformers_name("decoder.projections.3.bias") == "decode_head.linear_c.3.proj.bias"
    assert transformers_name("decoder.fuse.0.weight") == "decode_head.linear_fuse.weight"
    assert transformers_name("decoder.fuse.1.running_var") == "decode_head.batch_norm.running_var"
    assert transformers_name("final.weight") == "decode_head.classifier.weight"


def test_part_encoder_leaves_the_decoder_of_a_whole_file_out_whatever_its_classes(network, published, tmp_path):
    published["decode_head.classifier.weight"] = torch.zeros(150, 64, 1, 1)
    before = state(network)
    assert load_transformers_checkpoint(written(tmp_path, published), network, part="encoder") == "encoder"
    for name, x in network.state_dict().items():
        if name.startswith("stages."):
            assert torch.equal(x, published[transformers_name(name)])
        else:
            assert torch.equal(x, before[name])


def test_half_precision_is_read_into_float32(network, published, tmp_path):
    halves = {name: x.half() if x.is_floating_point() else x for name, x in published.items()}
    load_transformers_checkpoint(written(tmp_path, halves), network)
    assert network.final.weight.dtype == torch.float32
    assert torch.equal(network.final.weight, published["decode_head.classifier.weight"].half().float())


def test_the_count_of_batches_may_be_missing(network, published, tmp_path):
    del published["decode_head.batch_norm.num_batches_tracked"]
    assert load_transformers_checkpoint(written(tmp_path, published), network) == "all"


def test_all_of_an_encoder_alone_cannot_be_had(network, published, tmp_path):
    encoder = {name: x for name, x in published.items() if name.startswith("segformer.")}
    with pytest.raises(WeightsError, match="holds an encoder without a decoder; read it with part='encoder'"):
        load_transformers_checkpoint(written(tmp_path, encoder), network, part="all")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x.pop("segformer.encoder.block.1.0.mlp.dense1.bias"), r"block.1.0.mlp.dense1.bias \(missing\)"),
        (lambda x: x.pop("decode_head.linear_fuse.weight"), r"decode_head.linear_fuse.weight \(missing\); .*'encoder'"),
        (
            lambda x: x.update({"segformer.encoder.block.0.2.layer_norm_1.bias": torch.zeros(8)}),
            r"segformer.encoder.block.0.2.layer_norm_1.bias \(unknown\); build the network of the file's variant$",
        ),
        (
            lambda x: x.update({"decode_head.classifier.bias": torch.zeros(150)}),
            r"classifier.bias \(shape \(150,\), network has \(7,\)\); .*classes, or read part='encoder' alone",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(spoil, message, network, published, tmp_path):
    spoil(published)
    before = state(network)
    with pytest.raises(WeightsError, match=message):
        load_transformers_checkpoint(written(tmp_path, published), network)
    assert_same_state(network, before)


def test_at_most_five_misfits_are_listed(published, tmp_path):
    wider = SegFormer(num_classes=CLASSES, width=0.5)
    with pytest.raises(WeightsError, match=r"does not fit the network in \d\d\d tensors") as caught:
        load_transformers_checkpoint(written(tmp_path, published), wider)
    assert str(caught.value).count("network has") == 5


def test_a_file_of_something_else_is_refused(network, tmp_path):
    with pytest.raises(WeightsError, match="is no checkpoint of a SegFormer"):
        load_transformers_checkpoint(written(tmp_path, {"stages.0.norm.weight": torch.ones(3)}), network)


def test_a_missing_file_a_pickle_and_a_file_cut_short_are_refused(network, published, tmp_path):
    with pytest.raises(WeightsError, match="no checkpoint at"):
        load_transformers_checkpoint(tmp_path / "model.safetensors", network)
    pickled = tmp_path / "pytorch_model.bin"
    torch.save(published, pickled)
    with pytest.raises(WeightsError, match=r"cannot read checkpoint .*save_pretrained of transformers"):
        load_transformers_checkpoint(pickled, network)
    path = written(tmp_path, published)
    path.write_bytes(path.read_bytes()[:-100])
    before = state(network)
    with pytest.raises(WeightsError, match="cannot read checkpoint"):
        load_transformers_checkpoint(path, network)
    assert_same_state(network, before)
    assert load_file(written(tmp_path, published)).keys() == published.keys()  # the fixture itself is whole


def test_a_whole_checkpoint_runs_as_it_is_once_saved_as_the_docstring_says(tmp_path, monkeypatch):
    published = randomise(SegFormer(num_classes=19), seed=1)
    tensors = {transformers_name(name): x for name, x in published.state_dict().items() if name not in ("mean", "std")}
    written(tmp_path, tensors)
    monkeypatch.chdir(tmp_path)
    text = segformer_weights.__doc__
    exec(textwrap.dedent(text[text.index("    from pathlib") :]), {})
    network, header = load_network(Path("WEIGHTS/constant@1.0.safetensors"), num_classes=19, device=torch.device("cpu"))
    assert (header.network, header.scale) == ("segformer-b0", 1.0)
    images = normal(1, 3, 64, 96).sigmoid()
    with torch.no_grad():
        expected, got = published(images), network(images)
    assert float((got - expected).abs().max()) <= 0.01 * float(expected.std())  # half precision

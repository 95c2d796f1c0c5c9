"""SegFormer's published weights: checkpoints of Hugging Face's `transformers`, from a local safetensors file.

A recipe's key `pretrained` trains from one. A whole one runs as it is (`vssbench run --network segformer-b0 --methods
constant@1.0 --weights WEIGHTS`) once it is saved under the name that a run looks for, here one of Cityscapes' classes:

    from pathlib import Path
    from vssbench.networks.segformer_weights import load_transformers_checkpoint
    from vssbench.networks.weights import WeightsHeader, save_weights
    from vssbench.networks.zoo import build_network

    network = build_network("segformer-b0", num_classes=19)
    load_transformers_checkpoint(Path("model.safetensors"), network, part="all")
    header = WeightsHeader(network="segformer-b0", num_classes=19, width=1.0, scale=1.0)
    save_weights(Path("WEIGHTS/constant@1.0.safetensors"), network.state_dict(), header)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open
from torch import Tensor

from vssbench.errors import WeightsError
from vssbench.networks.segformer import SegFormer

Part = Literal["all", "encoder"]

# our name -> the name in the file, applied one after another
RENAMES = (
    (r"^stages\.(\d+)\.embed\.projection\.", r"segformer.encoder.patch_embeddings.\1.proj."),
    (r"^stages\.(\d+)\.embed\.norm\.", r"segformer.encoder.patch_embeddings.\1.layer_norm."),
    (r"^stages\.(\d+)\.norm\.", r"segformer.encoder.layer_norm.\1."),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.norm([12])\.", r"segformer.encoder.block.\1.\2.layer_norm_\3."),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.", r"segformer.encoder.block.\1.\2."),
    (r"\.attention\.(query|key|value)\.", r".attention.self.\1."),
    (r"\.attention\.reduction\.", ".attention.self.sr."),
    (r"\.attention\.reduction_norm\.", ".attention.self.layer_norm."),
    (r"\.attention\.output\.", ".attention.output.dense."),
    (r"\.mlp\.expand\.", ".mlp.dense1."),
    (r"\.mlp\.depthwise\.", ".mlp.dwconv.dwconv."),
    (r"\.mlp\.contract\.", ".mlp.dense2."),
    (r"^decoder\.projections\.(\d+)\.", r"decode_head.linear_c.\1.proj."),
    (r"^decoder\.fuse\.0\.", "decode_head.linear_fuse."),
    (r"^decoder\.fuse\.1\.", "decode_head.batch_norm."),
    (r"^final\.", "decode_head.classifier."),
)
ENCODER, HEADS = "segformer.encoder.", ("decode_head.", "classifier.")
OURS_ALONE = ("mean", "std")  # of the images, which `transformers` keeps outside the network
NOT_NEEDED = "num_batches_tracked"  # counts for a momentum that no network here uses; some tools drop it


def transformers_name(name: str) -> str:
    """Our name of a tensor of SegFormer -> its name in a checkpoint of `transformers`."""
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def load_transformers_checkpoint(path: Path, network: SegFormer, *, part: Part | None = None) -> Part:
    """Copy a published checkpoint into a network; the file is `model.safetensors` of `save_pretrained`.

    It may be of `SegformerForSemanticSegmentation`, or the encoder alone: `SegformerForImageClassification`, as MiT
    is published after ImageNet, whose classifier is left out, or `SegformerModel`. The networks agree to 1e-5 (a
    test); what `transformers` calls pixel values are images after `SegFormer.normalise`.

    Args:
        path: of the safetensors file, float32 or half.
        network: of the file's variant and decoder channels; and of its classes, where all is read.
        part: "encoder" leaves the network's decoder and final layer as they are, whatever the file holds; "all"
            needs them in the file; None takes what the file has.

    Returns: the part that was copied.
    Raises: WeightsError, when the file cannot be read, is of something else, lacks the part asked for, or a tensor is
        missing, unknown or of another shape (the first five are listed, by their names in the file); the network is
        then as before.
    """
    tensors = _read(path)
    has_decoder = any(name.startswith("decode_head.") for name in tensors)
    if part == "all" and not has_decoder:
        raise WeightsError(f"{path} holds an encoder without a decoder; read it with part='encoder'")
    taken: Part = part or ("all" if has_decoder else "encoder")
    wanted = {
        transformers_name(name): name
        for name in network.state_dict()
        if name not in OURS_ALONE and (taken == "all" or name.startswith("stages."))
    }
    _check(path, tensors, wanted, network, taken)
    network.load_state_dict({ours: tensors[name] for name, ours in wanted.items() if name in tensors}, strict=False)
    return taken


def fitting_part(path: Path, network: SegFormer) -> Part:
    """What of a checkpoint a network can start from: "all" with a decoder of its channels and classes, or "encoder".

    Raises: WeightsError, when the file cannot be read or is of something else.
    """
    classifier = _read(path).get(transformers_name("final.weight"))
    return "all" if classifier is not None and classifier.shape == network.final.weight.shape else "encoder"


def require_file(path: Path) -> None:
    """Refuse a checkpoint that is not there. Raises: WeightsError."""
    if not path.is_file():
        raise WeightsError(f"no checkpoint at {path}; give the model.safetensors of a SegFormer of transformers")


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, those of an encoder saved by itself with the prefix that the others have."""
    require_file(path)
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsError(
            f"cannot read checkpoint {path}: {error}; it must be a whole safetensors file (a pytorch_model.bin becomes "
            "one by from_pretrained and save_pretrained of transformers)"
        ) from error
    if any(name.startswith("encoder.") for name in tensors):
        tensors = {f"segformer.{name}" if name.startswith("encoder.") else name: x for name, x in tensors.items()}
    if not any(name.startswith(ENCODER) for name in tensors):
        raise WeightsError(
            f"{path} is no checkpoint of a SegFormer as transformers publishes it: no tensor is called {ENCODER}...; "
            "weights trained here are read by `load_network`"
        )
    return tensors


def _check(path: Path, tensors: dict[str, Tensor], wanted: dict[str, str], network: SegFormer, taken: Part) -> None:
    """Whether the tensors of the file are those wanted, name -> our name."""
    ours = network.state_dict()
    left_out = HEADS if taken == "encoder" else ()
    wrong = [f"{name} (missing)" for name in wanted.keys() - tensors.keys() if not name.endswith(NOT_NEEDED)]
    wrong += [f"{name} (unknown)" for name in tensors.keys() - wanted.keys() if not name.startswith(left_out)]
    wrong += [
        f"{name} (shape {tuple(tensors[name].shape)}, network has {tuple(ours[wanted[name]].shape)})"
        for name in wanted.keys() & tensors.keys()
        if tensors[name].shape != ours[wanted[name]].shape
    ]
    if not wrong:
        return
    advice = "build the network of the file's variant"
    if all("decode_head." in name for name in wrong):
        advice += ", decoder channels and classes, or read part='encoder' alone"
    raise WeightsError(
        f"{path} does not fit the network in {len(wrong)} tensors: {', '.join(sorted(wrong)[:5])}; {advice}"
    )

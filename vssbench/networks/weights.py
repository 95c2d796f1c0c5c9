"""Weights on disk: one safetensors file a network, whose header says what it is and how it was trained."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from vssbench.errors import StoreError, WeightsError
from vssbench.networks.base import SegmentationNetwork
from vssbench.networks.zoo import build_network

FORMAT = "vssbench-weights-1"
SKIPPED = "auxiliary"  # heads that only training uses


@dataclass(frozen=True, kw_only=True)
class WeightsHeader:
    """What a weights file says of itself.

    Args:
        network: a name of `vssbench.networks.zoo`.
        num_classes: K.
        width: of the network.
        scale: of the input it was trained at, 1.0 = full resolution.
        recipe: everything the training was told, so that it can be run again.
        final_sha256: of the final layer that an AR-Seg branch shares with its HR network; "" elsewhere.
    """

    network: str
    num_classes: int
    width: float
    scale: float
    recipe: dict[str, Any] = field(default_factory=dict)
    final_sha256: str = ""


def save_weights(path: Path, tensors: dict[str, Tensor], header: WeightsHeader) -> None:
    """Write weights in half precision (batch-norm statistics stay float32), replacing the file atomically.

    The same weights and header give the same bytes.

    Raises: StoreError, when the folder cannot be written.
    """
    kept = {
        key: (value.half() if value.is_floating_point() and "running_" not in key else value).contiguous().cpu()
        for key, value in tensors.items()
        if SKIPPED not in key
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        metadata = {"format": FORMAT, "header": json.dumps(asdict(header), sort_keys=True)}
        partial.write_bytes(_with_sorted_header(save(kept, metadata)))
        partial.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write weights {path}: {error}; choose a folder you may write") from error


def _with_sorted_header(data: bytes) -> bytes:
    """A safetensors file with its header in a fixed order; the library writes the metadata in a random one."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the tensors start at a multiple of 8
    return len(header).to_bytes(8, "little") + header + data[start:]


def read_weights(path: Path) -> tuple[dict[str, Tensor], WeightsHeader]:
    """Read a weights file.

    Raises: WeightsError, when it is missing, cut short, or no weights file of ours.
    """
    if not path.exists():
        raise WeightsError(f"no weights at {path}; train them ({_how_to_train(path)}), or point --weights at them")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise WeightsError(f"{path} is not a {FORMAT} file (format: {metadata.get('format')!r}); train it anew")
            header = WeightsHeader(**json.loads(metadata["header"]))
            return {key: file.get_tensor(key) for key in file.keys()}, header  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"cannot read weights {path}: {error}; the file is damaged, copy or train it again"
        ) from error


def load_into(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Copy tensors into a module, all but its training-only heads.

    Raises: WeightsError, when a name or a shape does not fit; it lists the first five.
    """
    wanted = {key: value for key, value in module.state_dict().items() if SKIPPED not in key}
    wrong = [f"{key} (missing)" for key in wanted.keys() - tensors.keys()]
    wrong += [f"{key} (unknown)" for key in tensors.keys() - wanted.keys()]
    wrong += [
        f"{key} (shape {tuple(tensors[key].shape)}, network has {tuple(wanted[key].shape)})"
        for key in wanted.keys() & tensors.keys()
        if tensors[key].shape != wanted[key].shape
    ]
    if wrong:
        listed = ", ".join(sorted(wrong)[:5])
        raise WeightsError(
            f"{path} does not fit the network in {len(wrong)} tensors: {listed}; use weights made for it"
        )
    module.load_state_dict(tensors, strict=False)


def load_network(
    path: Path, *, num_classes: int, device: torch.device, auxiliary: bool = False
) -> tuple[SegmentationNetwork, WeightsHeader]:
    """Build the network a weights file is for, in evaluation mode.

    Args:
        path: of the file.
        num_classes: K of the data set.
        device: where the network goes.
        auxiliary: keep the heads that only training uses, with random weights.

    Raises: WeightsError, when the file is unusable or has another number of classes.
    """
    tensors, header = read_weights(path)
    if header.num_classes != num_classes:
        raise WeightsError(
            f"{path} tells {header.num_classes} classes apart, the data set has {num_classes}; "
            "use weights trained on it"
        )
    network = build_network(header.network, num_classes=num_classes, width=header.width)
    load_into(network, tensors, path)
    if not auxiliary:
        network.drop_auxiliary()
    return network.to(device).eval(), header


def tensors_sha256(tensors: dict[str, Tensor]) -> str:
    """Identify tensors by content, after the half-precision rounding that `save_weights` does."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        digest.update(key.encode())
        digest.update(tensors[key].detach().half().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Identify a weights file by content.

    Raises: WeightsError, when it is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(
            f"no weights at {path} ({error}); train them ({_how_to_train(path)}), or point --weights at them"
        ) from error


def _how_to_train(path: Path) -> str:
    return f"vssbench train {path.stem} --recipe FILE --weights FOLDER"

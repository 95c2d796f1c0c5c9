"""TFC networks from weights on disk."""

from __future__ import annotations

from pathlib import Path

import torch

from tfc.model import TFCNetwork
from tfc.options import WEIGHTS_OF, Options, options_of
from vssbench.errors import UsageError, WeightsError
from vssbench.networks.weights import load_into, read_weights
from vssbench.networks.zoo import build_network


def weights_file(variant: str) -> str:
    """The name of the file that a variant runs."""
    own = WEIGHTS_OF.get(variant, variant)
    return f"tfc:{own}.safetensors" if own else "tfc.safetensors"


def load_tfc(path: Path, *, variant: str, num_classes: int, device: torch.device) -> TFCNetwork:
    """A TFC network in evaluation mode.

    Args:
        path: as the trainer wrote it, for the variant or for the one whose weights it runs.
        variant: "" is TFC itself.

    Raises: WeightsError, when the file is unusable, for another number of classes, or for another variant.
    """
    tensors, header = read_weights(path)
    if header.num_classes != num_classes:
        raise WeightsError(
            f"{path} tells {header.num_classes} classes apart, the data set has {num_classes}; "
            "use weights trained on it"
        )
    trained = options_of(WEIGHTS_OF.get(variant, variant))
    try:
        came = Options(**header.recipe.get("options", {}))
    except (TypeError, UsageError) as error:
        raise WeightsError(f"{path} was trained with options of another version: {error}; train it again") from error
    if came != trained:
        raise WeightsError(f"{path} was trained as another variant ({came.changed()}, not {trained.changed()})")
    network = build_network(header.network, num_classes=num_classes, width=header.width)
    whole = TFCNetwork(network, options=options_of(variant))
    load_into(whole, tensors, path)
    return whole.to(device).eval()

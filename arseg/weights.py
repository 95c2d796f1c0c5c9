"""AR-Seg networks from weights on disk: a branch's own file and that of the full-resolution network beside it."""

from __future__ import annotations

from pathlib import Path

import torch

from arseg.creff import CONVENTIONS
from arseg.model import ARSegNetwork
from arseg.options import Options
from vssbench.errors import UsageError, WeightsError
from vssbench.networks.weights import load_into, load_network, read_weights, tensors_sha256


def load_branch(
    path: Path, high_path: Path, *, num_classes: int, device: torch.device, convention: str | None = None
) -> ARSegNetwork:
    """An AR-Seg network from the weights of its low-resolution branch and of its full-resolution network.

    Args:
        path: of the branch, as `Trainer` wrote it.
        high_path: of the full-resolution network it was trained beside.
        convention: instead of the one it was trained with.

    Raises: WeightsError, when a file is unusable or the two do not belong together.
    """
    tensors, header = read_weights(path)
    high, high_header = load_network(high_path, num_classes=num_classes, device=torch.device("cpu"))
    if (header.network, header.width) != (high_header.network, high_header.width):
        raise WeightsError(
            f"{path} is for {header.network} x{header.width}, {high_path} is {high_header.network} "
            f"x{high_header.width}; use the two that were trained together"
        )
    if header.final_sha256 != tensors_sha256(high.final.state_dict()):
        raise WeightsError(f"{path} was not trained beside {high_path} (another final layer); train it again")
    name = convention or str(header.recipe.get("convention", "paper"))
    try:
        options = Options(**header.recipe.get("options", {}))
    except (TypeError, UsageError) as error:
        raise WeightsError(f"{path} was trained with options of another version: {error}; train it again") from error
    network = ARSegNetwork(high, scale=header.scale, options=options, convention=CONVENTIONS[name])
    beside = {k: v for k, v in network.state_dict().items() if k.startswith(network.shared_prefixes)}
    load_into(network, {**tensors, **beside}, path)
    return network.to(device).eval()

"""Random weights of a very narrow network: what they predict is noise, what they execute is real."""

from __future__ import annotations

from pathlib import Path

import torch

from arseg.model import ARSegNetwork
from vssbench.networks.weights import WeightsHeader, load_network, save_weights, tensors_sha256
from vssbench.networks.zoo import build_network


def write_tiny_weights(
    folder: Path, *, scales: tuple[float, ...] = (1.0, 0.5), num_classes: int = 11, seed: int = 0
) -> Path:
    """constant@1.0, constant@0.5 and arseg@0.5 of a BiSeNet18 of 1/16 width."""

    def header(scale: float, final: str = "") -> WeightsHeader:
        return WeightsHeader(
            network="bisenet18", num_classes=num_classes, width=0.0625, scale=scale, final_sha256=final
        )

    torch.manual_seed(seed)
    network = build_network("bisenet18", num_classes=num_classes, width=0.0625)
    for scale in scales:
        save_weights(folder / f"constant@{scale}.safetensors", network.state_dict(), header(scale))
    high, _ = load_network(folder / "constant@1.0.safetensors", num_classes=num_classes, device=torch.device("cpu"))
    branch = ARSegNetwork(high, scale=0.5)
    final = tensors_sha256(high.final.state_dict())
    save_weights(folder / "arseg@0.5.safetensors", branch.branch_tensors(), header(0.5, final))
    return folder

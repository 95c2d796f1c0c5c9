"""What the tests share: the folder of facts and data beside a checkout, and the GPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# The suite runs one process a core; a process that takes all cores for itself slows the others down.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's folder of reference facts, data and streams; the product itself never needs it."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder of reference data (../shared) is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def cuda() -> torch.device:
    """A CUDA device; without one the test skips, or fails where VSSBENCH_REQUIRE_GPU=1."""
    if not torch.cuda.is_available():
        if os.environ.get("VSSBENCH_REQUIRE_GPU") == "1":
            pytest.fail("VSSBENCH_REQUIRE_GPU=1, but torch sees no CUDA device")
        pytest.skip("no CUDA device on this machine")
    return torch.device("cuda")

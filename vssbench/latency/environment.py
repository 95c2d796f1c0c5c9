"""The machine and the versions that a measured time belongs to, without naming a person or a place."""

from __future__ import annotations

import os
import platform
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch


def environment(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Everything about this machine and its software that a time or a bit-exact result may depend on.

    No user name, host name or path is in it, so it can be published.

    Args:
        device: the torch device measured on; a CUDA device adds the GPU, its driver and its libraries.

    Returns:
        Flat and ready for JSON: strings, integers, booleans, and None for what this machine does not tell.
    """
    facts: dict[str, Any] = {
        "vssbench": _own_version(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "av": av.__version__,
        "ffmpeg": _ffmpeg_version(),
        "os": _os_name(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cpu_cores": os.cpu_count(),
        "cpu_cores_usable": _usable_cores(),
        "torch_threads": torch.get_num_threads(),
        "device": torch.device(device).type,
    }
    if torch.device(device).type == "cuda":
        facts |= _gpu_facts(torch.device(device))
    return facts


def _own_version() -> str | None:
    """The version in the checkout's pyproject.toml, else that of the installed package."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    if project.is_file():  # an editable install keeps the version of the day it was made
        fields = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
        if fields.get("name") == "vssbench":
            return str(fields["version"])
    try:
        return metadata.version("vssbench")
    except metadata.PackageNotFoundError:
        return None


def _ffmpeg_version() -> str | None:
    libraries = av.library_versions
    return None if "libavcodec" not in libraries else "libavcodec " + ".".join(map(str, libraries["libavcodec"]))


def _os_name() -> str:
    """The system and its release; not the kernel's own string, which may name who built it where."""
    system = platform.system()
    if system == "Darwin":
        return f"macOS {platform.mac_ver()[0]}"
    if system == "Windows":
        return f"Windows {platform.version()}"
    try:
        return f"{system}, {platform.freedesktop_os_release()['PRETTY_NAME']}"
    except OSError:
        return system


def _cpu_model() -> str | None:
    """The processor's name as its maker prints it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip().lower() in ("model name", "cpu model", "hardware"):
                return value.strip()
    if platform.system() == "Darwin":
        return _output_of("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or None


def _usable_cores() -> int | None:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _gpu_facts(device: torch.device) -> dict[str, Any]:
    index = torch.cuda.current_device() if device.index is None else device.index
    properties = torch.cuda.get_device_properties(index)
    driver = _output_of("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return {
        "gpu": properties.name,
        "gpu_memory_bytes": properties.total_memory,
        "gpu_compute_capability": f"{properties.major}.{properties.minor}",
        "gpu_driver": None if driver is None else driver.splitlines()[0].strip(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
        "tf32_convolution": torch.backends.cudnn.allow_tf32,
    }


def _output_of(*command: str) -> str | None:
    """What a command prints, or None where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None

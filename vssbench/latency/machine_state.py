"""What a machine is doing while something is timed on it: clocks, throttling, and who else is busy."""

from __future__ import annotations

import importlib
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

# NVML, nvmlClocksEventReason*: power cap, hardware slowdown, thermal (software, hardware), power brake. Idle,
# application clocks, sync boost and display clocks are choices, not distress.
THROTTLED = 0x4 | 0x8 | 0x20 | 0x40 | 0x80
_FIELDS = ("clocks.sm", "clocks.max.sm", "temperature.gpu", "power.draw", "clocks_throttle_reasons.active")


@dataclass(frozen=True, kw_only=True)
class MachineState:
    """One look at the machine; None where it does not tell.

    Args:
        time_s: on the host's clock.
        own_s: processor time of this process and its children so far.
        busy_s: processor time that all processes have used so far, on all processors.
        throttled: how often the processors were slowed down for heat so far.
        mhz: mean clock of the processors.
        governor: how their clock is chosen.
        load: processes that ran or waited to run, mean of the last minute; what is timed is one of them.
        device: the type of the device that is timed, "cpu" or "cuda".
        gpu: `sm_mhz`, `max_sm_mhz`, `temperature_c`, `power_w`, `reasons` (NVML's bits); empty where
            there is no GPU, or nobody to ask.
    """

    time_s: float
    own_s: float
    busy_s: float | None = None
    throttled: int | None = None
    mhz: float | None = None
    governor: str | None = None
    load: float | None = None
    device: str = "cpu"
    gpu: Mapping[str, float] = field(default_factory=dict)


def machine_state(
    device: torch.device | str = "cpu",
    *,
    clock: Callable[[], float] = time.monotonic,
    proc: Path = Path("/proc"),
    sys: Path = Path("/sys"),
) -> MachineState:
    """Look at the machine now.

    Args:
        device: timed on; a CUDA device adds what NVML says of it, through pynvml where installed, else nvidia-smi.
        clock: seconds; a test passes its own.
        proc, sys: where Linux keeps its facts; elsewhere they are missing and their values None.
    """
    spent = os.times()
    cpus = sys / "devices/system/cpu"
    throttled = _numbers(cpus.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
    khz = _numbers(cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    mhz = [number / 1000 for number in khz] or _mhz_of_cpuinfo(proc / "cpuinfo")
    governors = sorted({_text(path) for path in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")} - {""})
    return MachineState(
        time_s=clock(),
        own_s=spent.user + spent.system + spent.children_user + spent.children_system,
        busy_s=_busy_seconds(proc / "stat"),
        throttled=int(sum(throttled)) if throttled else None,
        mhz=sum(mhz) / len(mhz) if mhz else None,
        governor=", ".join(governors) or None,
        load=_load(proc / "loadavg"),
        device=torch.device(device).type,
        gpu=_gpu_state(torch.device(device)),
    )


def summary_of(states: Sequence[MachineState], *, num_processors: int | None) -> dict[str, Any]:
    """What was so from the first look to the last, ready for JSON; None where the machine does not tell.

    Args:
        states: at least one, in order.
        num_processors: of the machine.

    Returns:
        `busy_by_others` (share of the processors that other processes used), `cpu_throttled` and `gpu_throttled`
        (whether they were slowed down for heat or power), `throttled` (whether either was; None where neither was and
        the timed device does not tell), `cpu_mhz`, `gpu_sm_mhz` and `load_average` (lowest and highest seen),
        `cpu_governor`, `gpu_max_sm_mhz`, `gpu_temperature_c` (highest), `gpu_reasons` (NVML's bits, all seen).
    """
    first, last = states[0], states[-1]
    counts = None if first.throttled is None or last.throttled is None else last.throttled - first.throttled
    reasons = [int(state.gpu["reasons"]) for state in states if "reasons" in state.gpu]
    seen = 0
    for bits in reasons:
        seen |= bits
    cpu_throttled = None if counts is None else bool(counts)
    gpu_throttled = bool(seen & THROTTLED) if reasons else None
    of_the_timed = gpu_throttled if first.device == "cuda" else cpu_throttled
    return {
        "busy_by_others": _busy_by_others(first, last, num_processors),
        "cpu_throttled": cpu_throttled,
        "gpu_throttled": gpu_throttled,
        "throttled": True if cpu_throttled or gpu_throttled else of_the_timed,
        "load_average": _range((state.load for state in states), digits=2),
        "cpu_mhz": _range(state.mhz for state in states),
        "cpu_governor": last.governor,
        "gpu_sm_mhz": _range(state.gpu.get("sm_mhz") for state in states),
        "gpu_max_sm_mhz": last.gpu.get("max_sm_mhz"),
        "gpu_temperature_c": max((s.gpu["temperature_c"] for s in states if "temperature_c" in s.gpu), default=None),
        "gpu_reasons": seen if reasons else None,
    }


def _busy_by_others(first: MachineState, last: MachineState, num_processors: int | None) -> float | None:
    if first.busy_s is None or last.busy_s is None or not num_processors or last.time_s <= first.time_s:
        return None
    others = (last.busy_s - first.busy_s) - (last.own_s - first.own_s)
    # the kernel counts in hundredths of a second, so a quiet machine may come out a little below nothing
    return max(others, 0.0) / ((last.time_s - first.time_s) * num_processors)


def _range(values: Iterable[float | None], *, digits: int | None = None) -> list[float] | None:
    known = [value for value in values if value is not None]
    return [round(min(known), digits), round(max(known), digits)] if known else None


# ---- Linux ----


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _numbers(paths: Iterable[Path]) -> list[float]:
    return [float(text) for text in map(_text, sorted(paths)) if text.isdigit()]


def _mhz_of_cpuinfo(path: Path) -> list[float]:
    lines = (line.partition(":") for line in _text(path).splitlines())
    return [float(value) for name, _, value in lines if name.strip() == "cpu MHz" and value.strip()]


def _load(path: Path) -> float | None:
    """The first of the three means of proc_loadavg(5)."""
    words = _text(path).split()
    return float(words[0]) if words else None


def _busy_seconds(path: Path) -> float | None:
    """User, nice, system, irq, softirq and steal of the line "cpu"; time as a guest is in user already (proc(5))."""
    words = _text(path).partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu":
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, words[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


# ---- GPU ----


def _gpu_state(device: torch.device) -> dict[str, float]:
    if device.type != "cuda" or not torch.cuda.is_available():
        return {}
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"  # the order of NVML need not be that of CUDA
    found = _gpu_state_of_pynvml(uuid)
    return _gpu_state_of_nvidia_smi(uuid) if found is None else found


def _gpu_state_of_pynvml(uuid: str) -> dict[str, float] | None:
    """What the optional package pynvml says; None where it is not installed or NVML does not answer."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        return {
            "sm_mhz": float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
            "max_sm_mhz": float(nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM)),
            "temperature_c": float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
            "power_w": nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
            "reasons": float(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)),
        }
    except Exception:  # not installed, another package of that name, no driver, no permission: then it does not tell
        return None


def _gpu_state_of_nvidia_smi(uuid: str) -> dict[str, float]:
    command = ["nvidia-smi", f"--id={uuid}", f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return _parse_nvidia_smi(done.stdout)


def _parse_nvidia_smi(line: str) -> dict[str, float]:
    """The line of `_FIELDS`; a field that the GPU does not tell ("[N/A]") is left out."""
    names = ("sm_mhz", "max_sm_mhz", "temperature_c", "power_w", "reasons")
    found = {}
    for name, word in zip(names, (word.strip() for word in line.strip().split(",")), strict=False):
        try:
            found[name] = float(int(word, 16) if word.startswith("0x") else float(word))
        except ValueError:
            continue
    return found

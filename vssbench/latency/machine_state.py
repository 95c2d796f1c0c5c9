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
# NVML, nvmlPerfPolicyType_t: the counters of time spent below the clocks asked for, by what forced that.
_POLICIES = {"power": 0, "heat": 1, "board_limit": 3, "reliability": 5}
_SLOWED = "slowed_s_by_"
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
        gpu: `sm_mhz`, `max_sm_mhz`, `temperature_c`, `power_w`, `reasons` (NVML's bits), and `slowed_s_by_power` and so
            on, NVML's counters of violations so far; empty where there is no GPU, or nobody to ask.
        gpu_at_work: the same without counters, looked at again and again while the device worked (`gpu_watch`). Clock
            and reasons of a device that has nothing to do say nothing of one that has.
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
    gpu_at_work: Sequence[Mapping[str, float]] = ()


def machine_state(
    device: torch.device | str = "cpu",
    *,
    gpu_at_work: Sequence[Mapping[str, float]] = (),
    clock: Callable[[], float] = time.monotonic,
    proc: Path = Path("/proc"),
    sys: Path = Path("/sys"),
) -> MachineState:
    """Look at the machine now.

    Args:
        device: timed on; a CUDA device adds what NVML says of it, through pynvml where installed, else nvidia-smi.
        gpu_at_work: what was seen of it since the last look, as `gpu_watch` gives it.
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
        gpu_at_work=tuple(gpu_at_work),
    )


def summary_of(states: Sequence[MachineState], *, num_processors: int | None) -> dict[str, Any]:
    """What was so from the first look to the last, ready for JSON; None where the machine does not tell.

    Args:
        states: at least one, in order.
        num_processors: of the machine.

    Returns:
        `busy_by_others` (share of the processors that other processes used), `cpu_throttled` and `gpu_throttled`
        (whether they were slowed down for heat or power), `throttled` (whether either was; None where neither was and
        the timed device does not tell), `cpu_mhz`, `gpu_sm_mhz` (of a GPU at work) and `load_average` (lowest and
        highest seen), `cpu_governor`, `gpu_max_sm_mhz`, `gpu_temperature_c` (highest), `gpu_reasons` (NVML's bits, all
        seen), `gpu_slowed_s` (by power, heat and so on: seconds that NVML counted), `gpu_looks` (how often a GPU at
        work was looked at). Of the GPU, no throttling is said to be so only by counters, or by looks at work.
    """
    first, last = states[0], states[-1]
    counts = None if first.throttled is None or last.throttled is None else last.throttled - first.throttled
    at_work = [look for state in states for look in state.gpu_at_work]
    looks = [*(state.gpu for state in states), *at_work]
    reasons = [int(look["reasons"]) for look in looks if "reasons" in look]
    seen = 0
    for bits in reasons:
        seen |= bits
    slowed = _slowed_seconds(first.gpu, last.gpu)
    told = slowed is not None or any("reasons" in look for look in at_work)
    cpu_throttled = None if counts is None else bool(counts)
    gpu_throttled = (
        True if seen & THROTTLED or any(seconds > 0 for seconds in (slowed or {}).values()) else False if told else None
    )
    of_the_timed = gpu_throttled if first.device == "cuda" else cpu_throttled
    return {
        "busy_by_others": _busy_by_others(first, last, num_processors),
        "cpu_throttled": cpu_throttled,
        "gpu_throttled": gpu_throttled,
        "throttled": True if cpu_throttled or gpu_throttled else of_the_timed,
        "load_average": _range((state.load for state in states), digits=2),
        "cpu_mhz": _range(state.mhz for state in states),
        "cpu_governor": last.governor,
        "gpu_sm_mhz": _range(look.get("sm_mhz") for look in at_work),
        "gpu_max_sm_mhz": last.gpu.get("max_sm_mhz"),
        "gpu_temperature_c": max((look["temperature_c"] for look in looks if "temperature_c" in look), default=None),
        "gpu_reasons": seen if reasons else None,
        "gpu_slowed_s": slowed,
        "gpu_looks": len(at_work) if first.device == "cuda" else None,
    }


def _slowed_seconds(first: Mapping[str, float], last: Mapping[str, float]) -> dict[str, float] | None:
    """Cause -> seconds that NVML's counters of violations grew by; None where there are none."""
    names = [name for name in last if name.startswith(_SLOWED) and name in first]
    return {name.removeprefix(_SLOWED): last[name] - first[name] for name in names} or None


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
    look = gpu_look(uuid)
    found = None if look is None else look(counters=True)
    return _gpu_state_of_nvidia_smi(uuid) if found is None else found


def gpu_look_of(device: torch.device | str) -> GpuLook | None:
    """What looks at a CUDA device through pynvml; None of another device, and where pynvml is not installed."""
    device = torch.device(device)
    if device.type != "cuda" or not torch.cuda.is_available():
        return None
    return gpu_look(f"GPU-{torch.cuda.get_device_properties(device).uuid}")


class GpuLook:
    """Asks NVML of one GPU, through the optional package pynvml."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    def __call__(self, *, counters: bool = False) -> dict[str, float] | None:
        """`MachineState.gpu`, its counters on request; None where NVML does not answer."""
        nvml, handle = self._nvml, self._handle
        try:
            found = {
                "sm_mhz": float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
                "max_sm_mhz": float(nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM)),
                "temperature_c": float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
                "power_w": nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
                "reasons": float(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)),
            }
        except Exception:  # no permission, the GPU is gone: then it does not tell
            return None
        return found | (self._counters() if counters else {})

    def _counters(self) -> dict[str, float]:
        found = {}
        for name, policy in _POLICIES.items():
            try:
                violation = self._nvml.nvmlDeviceGetViolationStatus(self._handle, policy)
                found[_SLOWED + name] = violation.violationTime / 1e9  # nanoseconds
            except Exception:  # not every GPU counts every one
                continue
        return found


def gpu_look(uuid: str) -> GpuLook | None:
    """What looks at the GPU of this name; None where pynvml is not installed or does not know it."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        return GpuLook(nvml, nvml.nvmlDeviceGetHandleByUUID(uuid))
    except Exception:  # not installed, another package of that name, no driver
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

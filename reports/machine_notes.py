"""What the machine did while methods were timed on it: clocks, throttling and load, a line each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

Machines = Mapping[str, Mapping[str, Any]]  # method -> `latency.machine_state.summary_of`


def machine_notes(rows: pd.DataFrame) -> Iterator[str]:
    """Clocks, throttling and load over all timed rows; of one method, latency.csv has them in `latency_machine`."""
    timed = rows[rows["latency_n"] > 0]
    machines = {m: json.loads(text) for m, text in zip(timed["method"], timed["latency_machine"], strict=True)}
    if not machines:
        return
    states = list(machines.values())
    on_gpu = any(json.loads(text).get("device") == "cuda" for text in timed["environment"])
    yield f"clocks: {_clocks(states, on_gpu=on_gpu)}; throttling: {_throttling(machines, on_gpu=on_gpu)}"
    yield f"load: {_load(states)}"


def _clocks(machines: Sequence[Mapping[str, Any]], *, on_gpu: bool) -> str:
    governors = sorted({machine["cpu_governor"] for machine in machines if machine.get("cpu_governor")})
    parts = [_from_to("processors", _ends(machines, "cpu_mhz"), "MHz")]
    parts[0] += f" (governor {', '.join(governors)})" if governors else ""
    if on_gpu:
        gpu = _from_to("GPU at work", _ends(machines, "gpu_sm_mhz"), "MHz")
        most = max((machine["gpu_max_sm_mhz"] for machine in machines if machine.get("gpu_max_sm_mhz")), default=None)
        heat = max((m["gpu_temperature_c"] for m in machines if m.get("gpu_temperature_c") is not None), default=None)
        gpu += "" if most is None else f" of at most {most:.0f} MHz"
        parts.append(gpu + ("" if heat is None else f", up to {heat:.0f} degrees C"))
    return ", ".join(parts)


def _throttling(machines: Machines, *, on_gpu: bool) -> str:
    """Of the processors and of the GPU: none, seen with the methods it hit, or why nobody knows."""
    unknown = {"cpu": "this system does not count it", "gpu": "no NVML (pip install nvidia-ml-py)"}
    names = {"gpu": "GPU ", "cpu": "processors "} if on_gpu else {"cpu": ""}
    return ", ".join(name + _throttled(machines, f"{of}_throttled", unknown[of]) for of, name in names.items())


def _throttled(machines: Machines, key: str, why_unknown: str) -> str:
    seen = [method + _slowed(machine, key) for method, machine in machines.items() if machine.get(key)]
    if seen:
        return f"seen while timing {', '.join(seen)}"
    untold = [method for method, machine in machines.items() if machine.get(key) is None]
    if len(untold) == len(machines):
        return f"unknown: {why_unknown}"
    return "none" if not untold else f"none, unknown of {', '.join(untold)}: {why_unknown}"


def _slowed(machine: Mapping[str, Any], key: str) -> str:
    """For how long, by what NVML's counters say; empty of the processors, and where it was seen and not counted."""
    counted = machine.get("gpu_slowed_s") or {} if key == "gpu_throttled" else {}
    causes = [f"{cause.replace('_', ' ')} {seconds:.2g} s" for cause, seconds in counted.items() if seconds > 0]
    return f" ({', '.join(causes)})" if causes else ""


def _load(machines: Sequence[Mapping[str, Any]]) -> str:
    busy = [100 * m["busy_by_others"] for m in machines if m.get("busy_by_others") is not None]
    others = "unknown" if not busy else f"{min(busy):.0f} to {max(busy):.0f} %"
    return (
        f"{_from_to('average of a minute, this run included,', _ends(machines, 'load_average'), '', digits=1)}; "
        f"processors used by others {others}"
    )


def _ends(machines: Sequence[Mapping[str, Any]], key: str) -> tuple[float, float] | None:
    known = [number for machine in machines for number in machine.get(key) or ()]
    return (min(known), max(known)) if known else None


def _from_to(name: str, ends: tuple[float, float] | None, unit: str, *, digits: int = 0) -> str:
    if ends is None:
        return f"{name} unknown"
    return f"{name} {ends[0]:.{digits}f} to {ends[1]:.{digits}f} {unit}".rstrip()

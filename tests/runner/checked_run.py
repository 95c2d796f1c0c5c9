"""A small run folder that keeps every rule of `vssbench check`, to be spoilt in one place before it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vssbench.store import Cell, StabilityRow, Store, condition_key

ENVIRONMENT = {
    **dict.fromkeys(("vssbench", "python", "torch", "numpy", "av", "ffmpeg", "cpu"), "1.0"),
    "device": "cpu",
    "torch_threads": 2,
}
PLACE = {
    **ENVIRONMENT,
    **{"backend": "eager", "dtype": "float32", "batch": 1, "frame_height": 64, "frame_width": 96, "passes": 4},
}
SHARED = {
    **{"dataset": "street", "split": "test", "data_sha256": "d" * 64, "partial": False, "protocol": "per-distance"},
    **{"encoding": {"codec": "hevc", "gop_length": 2}, "device": "cpu", "dtype": "float32", "backend": "eager"},
    **{"batch": 1, "seed": 0, "vssbench": "1.0", "source_sha256": "5" * 64, "tests": 8},
}
QUIET = {"busy_by_others": 0.01, "throttled": False, "cpu_mhz": [3000, 3000]}


def good_run() -> dict[str, Any]:
    """Four points of constant resolution and one of AR-Seg: what `write_run` writes."""
    cells = {}
    for rank, point in enumerate((1.0, 0.7, 0.5, 0.3)):
        made = _cell(("constant",), ["frame", "frame"], f"constant@{point}", wrong=2 + rank)
        made["costs"]["frame"] = {"macs": {"convolution": 9 - rank}}
        cells[f"constant@{point}"] = made
    cells["arseg@0.5"] = _cell(("arseg",), ["key", "non-key"], "arseg@0.5")
    session = {"command": ["run", "-o", "run"], "environment": dict(ENVIRONMENT), "git": {"commit": "c" * 40}}
    return {"cells": cells, "conditions": [dict(SHARED)], "sessions": [session], "hidden": set(), "renamed": {}}


def _cell(curves: tuple[str, ...], kinds: list[str], name: str, *, wrong: int = 2) -> dict[str, Any]:
    own = {"method": name, "network": "n", "options": {}, "weights_sha256": {f"{name}.safetensors": "a" * 64}}
    labels = np.array([[32 - wrong, wrong], [1, 10]], np.int64)
    return {
        "condition": {**SHARED, **own, "calibration": {}},
        "curves": curves,
        "status": "done",
        "error": None,
        "frames": {
            (clip, frame, d): (kinds[d], labels) for clip in ("a", "b") for frame in (3, 8) for d in range(len(kinds))
        },
        "followed": [(clip, 0, frame) for clip in ("a", "b") for frame in range(3)],  # clip, start, frame
        "shares": {},  # of the work of some frames
        "costs": {kind: {} for kind in kinds},  # what of them is other than usual
        "latency": {
            # 4 passes of 8 GOPs, 64 frames
            "samples": [
                (d, kind, 0.010 + 0.0001 * d, number)
                for number in range(4)
                for _ in range(8)
                for d, kind in enumerate(kinds)
            ],
            "environment": dict(PLACE),
            "facts": {"machine": dict(QUIET), "outputs": None},
        },
    }


def write_run(folder: Path, run: dict[str, Any]) -> Path:
    """The store and the manifest of a run; `hidden` methods are in the manifest alone, `renamed` others there."""
    members = []
    with Store.open(folder) as store:
        for method, spec in run["cells"].items():
            cell = _stored_cell(method, spec)
            condition = spec["condition"]
            members.append(
                {
                    "name": run["renamed"].get(method, method),
                    "codec": cell.codec,
                    "cell": cell.key,
                    "weights_sha256": condition["weights_sha256"],
                }
            )
            if method not in run["hidden"]:
                _store(store, cell, spec)
    manifest = {"schema_version": 1, "members": members, **{k: run[k] for k in ("conditions", "sessions")}}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def _stored_cell(method: str, spec: dict[str, Any]) -> Cell:
    condition = spec["condition"]
    return Cell(
        key=spec.get("key") or condition_key(condition),
        method=method,
        family=method.partition("@")[0],
        curves=spec["curves"],
        point=1.0,
        dataset=condition["dataset"],
        split=condition["split"],
        network="n",
        codec=condition["encoding"]["codec"],
        gop_length=condition["encoding"]["gop_length"],
        protocol=condition["protocol"],
        class_names=("road", "car"),
        partial=condition["partial"],
        condition=condition,
    )


def _store(store: Store, cell: Cell, spec: dict[str, Any]) -> None:
    store.add_cell(cell)
    for (clip, frame, distance), (kind, confusion) in spec["frames"].items():
        share = spec["shares"].get((clip, frame, distance))
        store.add_frame(
            cell.key, clip=clip, frame=frame, distance=distance, kind=kind, confusion=confusion, share=share
        )
    for where in spec["followed"]:
        store.add_stability(cell.key, StabilityRow(*where, None, None, None))
    for kind, cost in spec["costs"].items():
        store.set_cost(
            cell.key, kind, **{"macs": {"convolution": 5}, "uncounted": {}, "conventions": {"thop": 5}} | cost
        )
    if spec["latency"] is not None:
        store.set_latency(cell.key, **spec["latency"])
    store.set_status(cell.key, spec["status"], error=spec["error"])

"""A store with made-up but plausible results, for the tests of the reports and to look at while drawing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vssbench.store import Cell, Store, condition_key

CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
SHARE = np.array([16, 24, 1.5, 28, 7, 11, 1, 2.5, 6, 1.5, 1.5]) / 100  # of the pixels
GOP_LENGTH = 12

# method, curves, point, mIoU at the key frame, loss per frame of distance, {kind: (share of P frames, GMACs)}; a kind
# whose own work has a share has the GMACs at share 1, too
FULL = {1.0: (0.716, 9.79), 0.7: (0.698, 4.82), 0.5: (0.661, 2.49), 0.3: (0.585, 0.92)}
RUN = [
    *[(f"constant@{s}", ("constant",), s, a, 0.0008, {"frame": (1, g)}) for s, (a, g) in FULL.items()],
    ("arseg@0.7", ("arseg",), 0.7, 0.716, 0.0010, {"non-key": (1, 5.2)}),
    ("arseg@0.5", ("arseg",), 0.5, 0.716, 0.0016, {"non-key": (1, 2.9)}),
    ("arseg@0.3", ("arseg",), 0.3, 0.716, 0.0030, {"non-key": (1, 1.3)}),
    ("taplab:ffw", ("taplab:ffw+rgfs",), 0.0, 0.716, 0.0150, {"warp": (1, 0.0)}),
    (
        "taplab:ffw+rgfs@0.1",
        ("taplab:ffw+rgfs",),
        0.1,
        0.716,
        0.0120,
        {"warp": (0.9, 0.0), "full": (0.1, 9.79)},
    ),
    (
        "taplab:ffw+rgfs@0.3",
        ("taplab:ffw+rgfs",),
        0.3,
        0.716,
        0.0070,
        {"warp": (0.7, 0.0), "full": (0.3, 9.79)},
    ),
    ("taplab:ffw+rgc", ("taplab:ffw+rgc+rgfs",), 0.0, 0.716, 0.0090, {"warp+region": (1, 2.1)}),
    *[
        (f"taplab:ffw+rgc+rgfs@{s}", ("taplab:ffw+rgc+rgfs",), s, 0.716, loss, kinds)
        for s, loss, kinds in [
            (0.1, 0.0075, {"warp+region": (0.9, 2.1), "full": (0.1, 9.79)}),
            (0.3, 0.0050, {"warp+region": (0.7, 2.1), "full": (0.3, 9.79)}),
        ]
    ],
    ("reuse:prediction", (), None, 0.716, 0.0280, {"copy": (1, 0.0)}),
    ("reuse:features", (), None, 0.716, 0.0200, {"low-level": (1, 1.9)}),
]
GROWING = ("tfc", (), None, 0.716, 0.0020, {"non-key": (1, 2.0, 6.0)})  # not in RUN
NO_SUCH_COUNT = "AR-Seg's paper counts no such system"


def cell_of(method, curves=(), point=None, **changes):
    """A cell of the default setting."""
    values = {
        "family": method.split(":")[0].split("@")[0],
        "dataset": "street",
        "split": "test",
        "network": "bisenet18",
        "codec": "h264",
        "gop_length": GOP_LENGTH,
        "bitrate_kbps": 1000.0,
        "protocol": "every-distance",
        "class_names": CLASSES,
    } | changes
    share = values["family"] == "taplab"
    label = "" if point is None else f"{100 * point:.0f} %" if share else f"{point}x"
    condition = {"method": method, **{k: v for k, v in values.items() if k != "class_names"}}
    return Cell(
        key=condition_key(condition),
        method=method,
        curves=curves,
        point=point,
        point_label=label,
        condition=condition,
        **values,
    )


def confusion_of(accuracy, rng, *, pixels=20_000):
    """(11, 11) int64 with a mean IoU near `accuracy`, large classes above it and small ones below."""
    recall = np.clip(0.5 + 0.5 * accuracy + 0.10 * np.log(SHARE / SHARE.mean()), 0.05, 0.99)
    expected = SHARE[:, None] * SHARE[None, :] * (1 - recall[:, None])
    expected /= 1 - SHARE[:, None]
    np.fill_diagonal(expected, SHARE * recall)
    return rng.multinomial(pixels, (expected / expected.sum()).ravel()).reshape(expected.shape).astype(np.int64)


def add_results(store, cell, *, start, loss, kinds, key_gmacs=9.79, clips=2, frames=3, latency=True):
    """Tested frames, costs and latencies of one cell."""
    rng = np.random.default_rng(abs(int(cell.key[:8], 16)))
    names, shares = list(kinds), np.array([work[0] for work in kinds.values()], float)
    full = {kind: work[2] for kind, work in kinds.items() if len(work) > 2}
    kinds = {kind: work[:2] for kind, work in kinds.items()}
    store.add_cell(cell)
    first = names[0] if list(kinds) == ["frame"] else "key"
    samples = []
    for distance in range(cell.gop_length):
        for number in range(clips * frames):
            kind = (
                first
                if distance == 0
                else names[int(np.searchsorted(shares.cumsum(), (number + 0.5) / (clips * frames)))]
            )
            store.add_frame(
                cell.key,
                clip=f"clip{number // frames}",
                frame=30 * (number % frames) + 15,
                distance=distance,
                kind=kind,
                confusion=confusion_of(start - loss * distance, rng),
                share=(number + 1) / (clips * frames + 1) if kind in full else None,
            )
            gmacs = {first: key_gmacs, **{k: g for k, (_, g) in kinds.items()}}[kind]
            samples.append((distance, kind, (0.004 + 0.011 * gmacs) * rng.uniform(0.99, 1.02), number % 2))
    for kind, gmacs in {first: key_gmacs, **{k: g for k, (_, g) in kinds.items()}}.items():
        moved = {} if kind in ("key", "frame", "full") else {"warp": 40_000_000, "resize": 12_000_000}
        printed = int(1.5e9 * gmacs) if cell.family in ("constant", "arseg") else NO_SUCH_COUNT
        more = {"thop at full share": int(1.01e9 * full[kind])} if kind in full else {}
        store.set_cost(
            cell.key,
            kind,
            macs={"convolution": int(gmacs * 1e9), **moved},
            uncounted={},
            macs_at_full_share={"convolution": int(full[kind] * 1e9), **moved} if kind in full else None,
            conventions={"thop": int(1.01e9 * gmacs), "arseg-paper": printed, **more},
        )
    store.set_parameters(cell.key, 13_270_000)
    if latency:
        store.set_latency(
            cell.key,
            samples=samples,
            environment={"device": "cpu", "dtype": "float32", "size": [360, 480], "threads": 2, "batch": 1},
            peak_memory_bytes=700 * 2**20,
            peak_memory_kind="process resident",
        )
    store.set_status(cell.key, "done")


def make_run(folder: Path, *, run=RUN, clips=2, frames=3, **setting):
    """A run folder with every method of `run`; returns its open store."""
    store = Store.open(folder)
    for method, curves, point, start, loss, kinds in run:
        cell = cell_of(method, curves, point, **setting)
        add_results(
            store,
            cell,
            start=start,
            loss=loss,
            kinds=kinds,
            key_gmacs=kinds["frame"][1] if "frame" in kinds else 9.79,
            clips=clips,
            frames=frames,
        )
    return store

"""What a run found, one row a cell: accuracy, work, latency, and why a number is missing."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.curves import ANCHOR, SETTING, in_table_order, settings
from reports.differences import add_curve_differences
from reports.intervals import add_differences_to_best_anchor, draw_cell
from reports.latency import FIXED as FIXED_LATENCY
from reports.latency import latency_columns
from reports.stability import key_frame_columns, stability_columns
from reports.work import FIXED as FIXED_WORK
from reports.work import (
    SINGLE_STREAM,
    Decided,
    decided_by_clip,
    prices_of,
    together,
    totals,
    work_columns,
)
from vssbench.metrics.confusion import frequency_weighted_iou, iou_per_class
from vssbench.metrics.distance import mean_over_distance, miou_by_distance, pooled
from vssbench.store import Cell, Store

LONGEST_ERROR = 240  # characters of it in a note; `error` holds it whole
NAN = float("nan")


def summarise(store: Store, *, keys: Collection[str] | None = None) -> pd.DataFrame:
    """One row a cell, in table order: anchor first, then by family and point.

    Args:
        store: of a run, perhaps one that is still writing.
        keys: the cells to show; all of them by default.

    Returns:
        A frame with the columns, besides what the cell says of itself:

        - `status`, `error`, `note` (why numbers are missing, or are not what they seem);
        - `clips`, `frames` (annotated ones), `tests` (frames times distances), `absent_classes`;
        - `miou_percent` (mean over d of mIoU_d), `miou_min_percent` and `miou_max_percent` over d,
          `miou_pooled_percent`, `miou_d0_percent` and so on, `iou_<class>_percent` (mean over d);
        - `gmacs_key` (d = 0), `gmacs_nonkey` (mean over d > 0), `gmacs_gop` (mean over d): billions of
          multiply-adds of convolution, linear layers and attention in one frame (1 MAC = one multiply-add);
          `gflops_key` and so on are twice that; `gmacs_clip_min`, `_max` and `_std` tell how the GOP mean varies over
          clips; `gmacs_sampling_gop` is of warp and resize, `gmacs_other_gop` the rest;
        - `gmacs_gop_by_<name>`: the GOP mean by a count of print, e.g. thop; `convention_note`: why there is none;
        - `rate_<kind>`: part of the P frames (d > 0) that did this kind of work, mean over d; `share_of_<kind>`: of a
          kind whose work has a share (`records.Step`), its mean over d; `_clip_min_of_` and so on: how they vary over
          clips; `gmacs_of_<kind>` of one such frame, at that share; `uncounted` operators; `parameters`;
        - `wiou_percent` (mean over d of the frequency-weighted IoU), `mvc8_percent` and so on, `tc_percent`, and
          `gflops_keyframe`, `gflops_otherframe`: see `stability`;
        - `latency_...`: see `latency.latency_columns`; `bd_...`: see `differences.curve_differences`;
        - `miou_low_...`, `miou_high_...`, `miou_difference_...`: see `intervals`, whose `rounds` no table prints.

        What does not apply or could not be computed is NaN (text: empty).
    """
    with store.snapshot():
        cells = [cell for cell in store.cells() if keys is None or cell.key in keys]
        rows = [_row(store, cell) for cell in cells]
    frame = pd.DataFrame(rows, columns=_column_order(rows))
    frame = in_table_order(frame)
    frame = add_differences_to_best_anchor(frame, [rows for _, rows in settings(frame)], ANCHOR)
    return add_curve_differences(frame)


def _row(store: Store, cell: Cell) -> dict[str, Any]:
    notes: list[str] = []
    row: dict[str, Any] = {
        **{name: getattr(cell, name) for name in ("key", "method", "family")},
        "curves": " ".join(cell.curves),
        "point": NAN if cell.point is None else cell.point,
        "point_label": cell.point_label or ("" if cell.point is None else f"{cell.point:g}"),
        **{name: getattr(cell, name) for name in ("dataset", "split", "network", "codec")},
        "bitrate_kbps": NAN if cell.bitrate_kbps is None else float(cell.bitrate_kbps),
        **{name: getattr(cell, name) for name in ("gop_length", "protocol", "partial")},
        "status": store.status(cell.key),
        "error": " ".join((store.error(cell.key) or "").split()),
    }
    by_clip = decided_by_clip(store, cell.key)
    decided = together(by_clip.values())
    row |= _accuracy_columns(store, cell, notes)
    row |= work_columns(store.costs(cell.key), by_clip, cell, notes)
    row |= key_frame_columns(store.costs(cell.key), decided, cell)
    row |= _interval_columns(store, cell, by_clip)
    row |= stability_columns(store.stability(cell.key))
    parameters = store.parameters(cell.key)
    row["parameters"] = NAN if parameters is None else parameters
    row |= latency_columns(
        store.latency(cell.key),
        decided=decided,
        cell=cell,
    )
    if cell.partial:
        notes.insert(0, "partial: a limit left out a part of the split")
    if row["status"] != "done":
        reason = textwrap.shorten(row["error"], LONGEST_ERROR, placeholder=" ...") or "not finished"
        notes.insert(0, f"{row['status']}: {reason}")
    return row | {"note": "; ".join(notes)}


# ---- accuracy ----


def _accuracy_columns(store: Store, cell: Cell, notes: list[str]) -> dict[str, Any]:
    done = store.done_frames(cell.key)
    row: dict[str, Any] = {
        "clips": len({clip for clip, _, _ in done}),
        "frames": len({(clip, frame) for clip, frame, _ in done}),
        "tests": len(done),
    }
    if not done:
        notes.append("accuracy n/a: no frame was tested")
        return row
    confusions = store.confusion_by_distance(cell.key)
    by_distance = 100 * miou_by_distance(confusions)
    row["miou_pooled_percent"] = 100 * pooled(confusions)
    single = cell.protocol == SINGLE_STREAM
    row["miou_percent"] = row["miou_pooled_percent"] if single else 100 * mean_over_distance(confusions)
    wiou = np.array([100 * frequency_weighted_iou(confusion) for confusion in confusions])
    row["wiou_percent"] = 100 * frequency_weighted_iou(confusions.sum(axis=0)) if single else wiou.mean()
    untested = [d for d, value in enumerate(by_distance) if np.isnan(value)]
    if single:
        notes.append("single stream: mIoU of the counts pooled over all tested frames")
    elif untested:
        notes.append(f"mIoU n/a: no labelled pixel was tested at d = {', '.join(map(str, untested))}")
    else:
        row["miou_min_percent"], row["miou_max_percent"] = by_distance.min(), by_distance.max()
    row |= _class_columns(confusions, cell.class_names, notes)
    return row | {f"miou_d{d}_percent": value for d, value in enumerate(by_distance)}


def _interval_columns(store: Store, cell: Cell, by_clip: Mapping[str, Decided]) -> dict[str, Any]:
    """The cell's `rounds`, None where it has none, and the columns that follow from them alone."""
    if store.status(cell.key) != "done":
        return {"rounds": None}
    prices = prices_of(store.costs(cell.key))
    rounds, columns = draw_cell(
        store.confusion_by_clip_and_distance(cell.key),
        {clip: totals(prices, decided, cell.gop_length) for clip, decided in by_clip.items()},
        pooled=cell.protocol == SINGLE_STREAM,
    )
    return {"rounds": rounds, **columns}


def _class_columns(confusions: NDArray[np.int64], class_names: tuple[str, ...], notes: list[str]) -> dict[str, Any]:
    """Mean over d of every class's IoU, over the distances at which its union is not empty."""
    tested = confusions[confusions.any(axis=(1, 2))]
    iou = np.array([iou_per_class(confusion) for confusion in tested]).reshape(-1, confusions.shape[1])
    names = class_names or tuple(f"class {index}" for index in range(iou.shape[1]))
    absent = [name for name, values in zip(names, iou.T, strict=True) if np.isnan(values).any() or not len(tested)]
    if absent:
        notes.append(f"absent, left out of the mean: {', '.join(absent)}")
    row: dict[str, Any] = {"absent_classes": len(absent)}
    for name, values in zip(names, iou.T, strict=True):
        present = values[~np.isnan(values)]
        row[f"iou_{name}_percent"] = 100 * present.mean() if present.size else NAN
    return row


# ---- the order of the columns ----


_CELL = ["key", "method", "family", "curves", "point", "point_label", *SETTING, "status", "error", "note"]
_ACCURACY = [
    *(
        "clips",
        "frames",
        "tests",
        "miou_percent",
        "miou_low_percent",
        "miou_high_percent",
        "miou_min_percent",
        "miou_max_percent",
        "miou_pooled_percent",
    ),
    *("absent_classes", "interval_note", "rounds"),
]


def _column_order(rows: list[dict[str, Any]]) -> list[str]:
    """The fixed columns, then those by distance, by class (in class order) and by kind (by name)."""
    fixed = [*_CELL, *_ACCURACY, *FIXED_WORK, "parameters", *FIXED_LATENCY]
    found = list(dict.fromkeys(name for row in rows for name in row if name not in fixed))
    distances = [name for name in found if name.startswith("miou_d")]
    distances.sort(key=lambda name: int(name.removeprefix("miou_d").removesuffix("_percent")))
    classes = [name for name in found if name.startswith("iou_")]
    ends = [name for name in found if name.startswith(("miou_low_d", "miou_high_d"))]
    kinds = sorted(set(found) - set(distances) - set(ends) - set(classes))
    return [*fixed, *distances, *ends, *classes, *kinds]

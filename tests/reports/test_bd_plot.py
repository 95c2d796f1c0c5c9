"""The fits behind the Bjontegaard differences: what is drawn is what is integrated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reports.bd_plot import bd_fit, write_bd_fits
from reports.curves import SETTING, curve_points
from reports.differences import curve_differences
from reports.plots import SAVE, style

COSTS, MIOUS = [1.0, 2.0, 4.0, 8.0], [60.0, 65.0, 68.0, 70.0]
SHARED = {
    **{"dataset": "street", "split": "test", "network": "n", "codec": "h264", "bitrate_kbps": float("nan")},
    **{"gop_length": 12, "protocol": "p", "partial": False, "status": "done"},
}


def rows_of(curve, costs, mious, **changes):
    numbers = enumerate(zip(costs, mious, strict=True))
    return pd.DataFrame(
        [
            {"key": f"{curve}{i}", "method": f"{curve}@{i}", "family": curve, "curves": curve, "gmacs_gop": cost}
            | {"miou_percent": miou}
            | SHARED
            | changes
            for i, (cost, miou) in numbers
        ]
    )


def figure_of(costs, mious):
    frame = pd.concat([rows_of("constant", COSTS, MIOUS), rows_of("mine", costs, mious)], ignore_index=True)
    (difference,) = curve_differences(frame).to_dict("records")
    with style():
        return bd_fit("here", "mine", curve_points(frame, "constant"), curve_points(frame, "mine"), difference)


def shaded(axes):
    """The outline of the shaded area, (n, 2), or None."""
    areas = [collection for collection in axes.collections if collection.get_label() == "area that is averaged"]
    return areas[0].get_paths()[0].vertices if areas else None


def area(outline, *, log_axis):
    """Mean height of a closed outline, in logarithms along `log_axis` (the shoelace formula)."""
    points = outline.copy()
    points[:, log_axis] = np.log(points[:, log_axis])
    x, y = points.T
    return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2 / np.ptp(x)


def test_the_shaded_area_is_the_difference():
    figure = figure_of([cost / 2 for cost in COSTS], MIOUS)
    left, right = figure.axes
    # half the work at every mIoU: log 2 throughout
    assert area(shaded(left), log_axis=1) == pytest.approx(np.log(2), rel=1e-3)
    assert left.get_title() == "BD-FLOPs -50.0 %"
    assert left.get_yscale() == right.get_xscale() == "log"
    found = curve_differences(
        pd.concat([rows_of("constant", COSTS, MIOUS), rows_of("m", [c / 2 for c in COSTS], MIOUS)])
    ).iloc[0]
    assert area(shaded(right), log_axis=0) == pytest.approx(found["bd_miou_points"], rel=1e-3)
    assert right.get_title() == f"BD-mIoU {found['bd_miou_points']:.2f} points"


def test_the_area_ends_where_the_shared_range_ends():
    left, right = figure_of([cost / 2 for cost in COSTS], [miou + 3 for miou in MIOUS]).axes
    assert (shaded(left)[:, 0].min(), shaded(left)[:, 0].max()) == pytest.approx((63, 70))
    assert (shaded(right)[:, 0].min(), shaded(right)[:, 0].max()) == pytest.approx((1, 4))
    ends = [line.get_xdata()[0] for line in left.get_lines() if line.get_linestyle() == ":"]
    assert ends == pytest.approx([63, 70])


def test_a_difference_that_is_refused_is_not_shaded_and_says_why():
    figure = figure_of([cost / 2 for cost in COSTS], [miou + 40 for miou in MIOUS])
    left, right = figure.axes
    assert shaded(left) is None
    assert left.get_title() == "BD-FLOPs n/a"
    assert "BD-FLOPs n/a: the curves share 0.0 %" in " ".join(figure.get_suptitle().split())
    assert shaded(right) is not None


def test_too_few_points_are_drawn_without_a_fit():
    left, _ = figure_of(COSTS[:2], MIOUS[:2]).axes
    lines = [line for line in left.get_lines() if len(line.get_xdata()) > 2]
    assert {len(line.get_xdata()) for line in lines} == {4, 300}  # the anchor's points and its fit
    assert any(list(line.get_xdata()) == MIOUS[:2] for line in left.get_lines())


def test_a_figure_is_written_for_every_curve_but_the_anchor(tmp_path, monkeypatch):
    monkeypatch.setattr("reports.plots.SAVE", {"svg": SAVE["svg"]})
    frame = pd.concat(
        [
            rows_of("constant", COSTS, MIOUS),
            rows_of("taplab:ffw", [cost / 2 for cost in COSTS], MIOUS),
            rows_of("other", COSTS, MIOUS),
        ],
        ignore_index=True,
    )
    assert set(SETTING) <= set(frame)
    one, two = (write_bd_fits(frame, tmp_path / name) for name in ("one", "two"))
    assert sorted(path.name for path in one) == ["bd_fit-other.svg", "bd_fit-taplab_ffw.svg"]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]

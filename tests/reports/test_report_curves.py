"""Which rows may be compared, and what the Bjontegaard columns hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reports.curves import SETTING, curve_points, settings
from reports.differences import add_curve_differences, curve_differences, point_differences

NAN = float("nan")


def rows_of(curve, costs, mious, **changes):
    """Rows as `summarise` makes them, as far as curves go."""
    return pd.DataFrame(
        [
            {
                "key": f"{curve}{number}",
                "method": f"{curve}@{number}",
                "family": curve,
                "curves": curve,
                "point": float(number),
                "status": "done",
                "dataset": "street",
                "split": "test",
                "network": "n",
                "codec": "h264",
                "bitrate_kbps": NAN,
                "gop_length": 12,
                "protocol": "p",
                "partial": False,
                "gmacs_gop": cost,
                "miou_percent": miou,
            }
            | changes
            for number, (cost, miou) in enumerate(zip(costs, mious, strict=True))
        ]
    )


COSTS, MIOUS = [1.0, 2.0, 4.0, 8.0], [60.0, 65.0, 68.0, 70.0]
ANCHOR = rows_of("constant", COSTS, MIOUS)


def together(*frames):
    return pd.concat(frames, ignore_index=True)


def test_half_the_cost_at_equal_accuracy_is_minus_fifty_percent():
    frame = together(ANCHOR, rows_of("half", [cost / 2 for cost in COSTS], MIOUS))
    (row,) = curve_differences(frame).to_dict("records")
    assert row["curve"] == "half"
    assert row["points"] == 4
    assert row["bd_flops_percent"] == pytest.approx(-50)
    assert row["bd_flops_overlap_percent"] == pytest.approx(100)
    assert row["bd_note"] == ""


def test_three_points_more_at_equal_cost_are_plus_three():
    frame = together(ANCHOR, rows_of("better", COSTS, [miou + 3 for miou in MIOUS]))
    (row,) = curve_differences(frame).to_dict("records")
    assert row["bd_miou_points"] == pytest.approx(3)
    assert row["bd_miou_overlap_percent"] == pytest.approx(100)
    # least squares over more points than a cubic has coefficients need not meet them
    x = np.log(COSTS)
    off = np.abs(np.polyval(np.polyfit(x, MIOUS, 3), x) - MIOUS).max()
    assert row["bd_miou_fit_error_points"] == pytest.approx(off, abs=1e-6)
    assert row["bd_flops_fall_percent"] == 0


def test_too_few_points_are_a_reason_said_once_and_no_number():
    frame = together(ANCHOR, rows_of("short", COSTS[:3], MIOUS[:3]))
    (row,) = curve_differences(frame).to_dict("records")
    assert np.isnan(row["bd_flops_percent"])
    assert np.isnan(row["bd_miou_points"])
    assert row["bd_note"].startswith("BD-FLOPs and BD-mIoU n/a: a cubic needs 4 points")


def test_curves_that_do_not_meet_are_a_reason_and_no_number():
    frame = together(ANCHOR, rows_of("far", COSTS, [miou + 40 for miou in MIOUS]))
    (row,) = curve_differences(frame).to_dict("records")
    assert np.isnan(row["bd_flops_percent"])
    assert row["bd_miou_points"] == pytest.approx(40)
    assert row["bd_note"].startswith("BD-FLOPs n/a: the curves share 0.0 % of their range")


def test_a_cubic_that_is_refused_as_points_fall_says_so_and_which_points_they_are():
    frame = together(ANCHOR, rows_of("zigzag", COSTS, [60.0, 66.0, 64.0, 70.0]))
    (row,) = curve_differences(frame).to_dict("records")
    assert np.isnan(row["bd_flops_percent"])
    assert np.isnan(row["bd_miou_points"])
    assert np.isfinite(row["bd_flops_pchip_percent"]), "it follows the points"
    assert "BD-FLOPs n/a: the curve of the method does not rise over the shared accuracies" in row["bd_note"]
    assert "BD-mIoU n/a: the curve of the method does not rise over the shared costs" in row["bd_note"]
    assert "zigzag@2 (4.000 GMACs, 64.00 %) is no more accurate than zigzag@1 (2.000 GMACs, 66.00 %)" in row["bd_note"]
    noted = add_curve_differences(frame)
    assert list(noted["bd_note"][4:]) == [row["bd_note"]] * 4


def test_points_that_fall_are_told_where_the_fit_smooths_them_and_gives_a_number():
    costs, mious = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0], [60.0, 65.0, 67.2, 67.1, 69.0, 70.0]
    (row,) = curve_differences(together(ANCHOR, rows_of("bumpy", costs, mious))).to_dict("records")
    assert np.isfinite(row["bd_flops_percent"])
    assert row["bd_note"].startswith("points that do not rise, which a cubic smooths")
    assert "bumpy@3 (4.000 GMACs, 67.10 %) is no more accurate than bumpy@2 (3.000 GMACs, 67.20 %)" in row["bd_note"]


def test_an_anchor_whose_points_fall_is_told_to_every_curve():
    falling = rows_of("constant", COSTS, [60.0, 66.0, 64.0, 70.0])
    (row,) = curve_differences(together(falling, rows_of("half", COSTS, MIOUS))).to_dict("records")
    assert "the curve of the anchor does not rise" in row["bd_note"]
    assert "constant@2 (4.000 GMACs" in row["bd_note"]


def test_a_fit_that_alone_gives_no_number_says_why():
    # two points of one accuracy: the cubic passes between them, PCHIP and Akima cannot meet both
    costs, mious = [1.0, 2.0, 3.9, 4.0, 8.0], [60.0, 65.0, 68.0, 68.0, 70.0]
    (row,) = curve_differences(together(ANCHOR, rows_of("twice", costs, mious))).to_dict("records")
    assert np.isfinite(row["bd_flops_percent"])
    assert np.isnan(row["bd_flops_pchip_percent"])
    for name in ("PCHIP", "Akima"):
        assert f"BD-FLOPs by {name} n/a: 2 points of the method share one of the accuracies" in row["bd_note"]


def test_a_curve_without_an_anchor_has_no_difference():
    (row,) = curve_differences(rows_of("alone", COSTS, MIOUS)).to_dict("records")
    assert np.isnan(row["bd_flops_percent"])
    assert "n/a" in row["bd_note"]


def test_points_that_failed_or_lack_a_number_are_left_out():
    frame = rows_of("curve", [*COSTS, NAN, 3.0], [*MIOUS, 66.0, NAN])
    frame.loc[0, "status"] = "failed"
    assert list(curve_points(frame, "curve")["method"]) == ["curve@1", "curve@2", "curve@3"]


def test_points_are_ordered_by_cost():
    assert list(curve_points(rows_of("curve", COSTS[::-1], MIOUS[::-1]), "curve")["gmacs_gop"]) == COSTS


def test_a_shared_point_lies_on_each_of_its_curves():
    shared = rows_of("x", [3.0], [66.0], curves="one two")
    frame = together(ANCHOR, rows_of("one", COSTS[:3], MIOUS[:3]), rows_of("two", COSTS[:3], MIOUS[:3]), shared)
    assert list(curve_differences(frame)["points"]) == [4, 4]
    row = add_curve_differences(frame).iloc[-1]
    assert np.isnan(row["bd_flops_percent"])
    assert row["bd_note"] == "on several curves: one, two"


def test_the_name_of_a_curve_may_begin_with_that_of_another():
    frame = together(rows_of("taplab:ffw", [1.0], [60.0]), rows_of("taplab:ffw+rgfs", [2.0], [65.0]))
    assert list(curve_points(frame, "taplab:ffw")["gmacs_gop"]) == [1.0]


def test_every_point_of_a_curve_gets_its_difference_and_the_anchor_none():
    frame = add_curve_differences(together(ANCHOR, rows_of("half", [cost / 2 for cost in COSTS], MIOUS)))
    assert frame["bd_flops_percent"][:4].isna().all()
    assert list(frame["bd_note"][:4]) == [""] * 4
    np.testing.assert_allclose(frame["bd_flops_percent"][4:], -50)


def test_a_single_point_has_a_reason_instead():
    row = add_curve_differences(together(ANCHOR, rows_of("x", [1.0], [60.0], curves=""))).iloc[-1]
    assert np.isnan(row["bd_flops_percent"])
    assert row["bd_note"] == "a single point, on no curve"


def test_a_curve_is_compared_within_its_own_setting_only():
    half = rows_of("half", [cost / 2 for cost in COSTS], MIOUS)
    other_anchor = rows_of("constant", [cost * 10 for cost in COSTS], MIOUS, codec="mpeg4")
    tenth = rows_of("half", COSTS, MIOUS, codec="mpeg4")
    found = curve_differences(together(ANCHOR, half, other_anchor, tenth))
    assert list(found["codec"]) == ["h264", "mpeg4"]
    np.testing.assert_allclose(found["bd_flops_percent"], [-50, -90])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("dataset", "camvid"), ("split", "val"), ("network", "m"), ("codec", "hevc"), ("bitrate_kbps", 500.0)),
        *(("gop_length", 24), ("protocol", "q"), ("partial", True)),
    ],
)
def test_rows_of_other_settings_are_never_mixed(name, value):
    assert name in SETTING
    assert len(list(settings(together(ANCHOR, rows_of("constant", [1.0], [60.0], **{name: value}))))) == 2


def test_an_unknown_bit_rate_is_a_setting_of_its_own():
    ((setting, rows),) = settings(ANCHOR)
    assert np.isnan(setting["bitrate_kbps"])
    assert len(rows) == 4


# ---- more of what a row holds ----


def test_the_other_curves_the_shared_range_and_the_number_of_points_stand_beside_the_difference():
    frame = together(ANCHOR, rows_of("half", [cost / 2 for cost in COSTS], [miou + 1 for miou in MIOUS]))
    (row,) = curve_differences(frame).to_dict("records")
    assert (row["points"], row["anchor_points"]) == (4, 4)
    assert (row["bd_flops_shared_low_percent"], row["bd_flops_shared_high_percent"]) == (61, 70)
    assert (row["bd_miou_shared_low_gmacs"], row["bd_miou_shared_high_gmacs"]) == pytest.approx((1, 4))
    for name, unit in (("bd_flops", "percent"), ("bd_miou", "points")):
        values = [row[f"{name}_{unit}"], row[f"{name}_pchip_{unit}"], row[f"{name}_akima_{unit}"]]
        assert row[f"{name}_spread_points"] == pytest.approx(max(values) - min(values))
        assert np.isfinite(values).all()


def test_a_swinging_cubic_is_refused_and_the_others_are_shown_without_a_spread():
    (row,) = curve_differences(together(ANCHOR, rows_of("zigzag", COSTS, [60.0, 69.0, 68.9, 70.0]))).to_dict("records")
    assert np.isnan(row["bd_flops_percent"])
    assert "the curve of the method does not rise" in row["bd_note"]
    assert np.isfinite(row["bd_flops_pchip_percent"])
    assert np.isnan(row["bd_flops_spread_points"])


def test_a_single_point_is_read_against_the_anchors_curve():
    frame = together(ANCHOR, rows_of("x", [2.0], [68.0], curves=""))
    (row,) = point_differences(frame).to_dict("records")
    assert row["method"] == "x@0"
    assert row["point_flops_percent"] == pytest.approx(-50)  # the anchor pays 4 for 68
    assert row["point_miou_points"] == pytest.approx(3)  # and has 65 for 2
    assert row["point_note"] == ""


def test_a_point_beyond_the_anchor_has_a_reason_and_no_number():
    frame = together(ANCHOR, rows_of("x", [2.0], [75.0], curves=""))
    (row,) = point_differences(frame).to_dict("records")
    assert np.isnan(row["point_flops_percent"])
    assert row["point_miou_points"] == pytest.approx(10)
    assert row["point_note"].startswith("FLOPs at its mIoU n/a: the point lies at 75, outside the anchor's accuracies")


def test_points_that_are_not_done_or_lack_a_number_are_not_compared():
    frame = together(ANCHOR, rows_of("x", [2.0, NAN], [75.0, 68.0]), rows_of("y", [2.0], [68.0], status="failed"))
    assert list(point_differences(frame)["method"]) == ["x@0"]

"""The figures: the same bytes for the same results, nothing global touched, labels readable, nothing invented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from fake_run import RUN, cell_of, make_run
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reports.curves import settings
from reports.label_placement import Label, place_labels
from reports.plots import SAVE, accuracy_cost, accuracy_distance, style, write_figures
from reports.summary import summarise
from vssbench.errors import StoreError

SMALL = RUN[:7]  # constant and arseg
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    with make_run(tmp_path_factory.mktemp("small"), run=SMALL) as store:
        yield summarise(store)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with make_run(tmp_path_factory.mktemp("whole")) as store:
        yield summarise(store)


def draw(function, frame):
    ((setting, rows),) = settings(frame)
    with style():
        return function(setting, rows)


def labelled(axes):
    """Label -> line, of the lines that the legend names."""
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


WRITE = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from fake_run import RUN, make_run
from reports.plots import write_figures
from reports.summary import summarise
out = Path(sys.argv[1])
with make_run(out, run=RUN[:7]) as store:
    write_figures(summarise(store), out / "figures")
print([name for name in ("torch", "matplotlib.pyplot", "vssbench.networks") if name in sys.modules])
"""


@pytest.fixture(scope="module")
def written(small, tmp_path_factory):
    return write_figures(small, tmp_path_factory.mktemp("written"))


def test_another_process_draws_the_same_bytes_without_torch_or_pyplot(written, tmp_path):
    paths = [str(ROOT), str(Path(__file__).parent)]
    environment = os.environ | {"PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "86400", "MPLBACKEND": "svg"}
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(tmp_path / "there"), *paths],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
    assert sorted(path.name for path in written) == sorted(
        f"{name}.{form}" for name in ("accuracy_cost", "accuracy_distance") for form in ("svg", "pdf", "png")
    )
    for path in written:
        assert path.read_bytes() == (tmp_path / "there" / "figures" / path.name).read_bytes(), path.name


def test_the_files_hold_no_date(written):
    for path in written:
        assert not re.search(rb"CreationDate|<dc:date|tIME", path.read_bytes()), path.name


def test_drawing_leaves_matplotlib_as_it_was_and_ignores_how_it_was(small, written, tmp_path, monkeypatch):
    monkeypatch.setattr("reports.plots.SAVE", {"svg": SAVE["svg"]})
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.grid": True}):
        settings_before = dict(matplotlib.rcParams)
        after = write_figures(small, tmp_path / "after")
        assert dict(matplotlib.rcParams) == settings_before
    assert [path.read_bytes() for path in written if path.suffix == ".svg"] == [path.read_bytes() for path in after]


def test_a_curve_goes_through_its_points_and_a_single_method_is_a_marker(whole):
    (axes,) = draw(accuracy_cost, whole).axes
    lines = labelled(axes)
    assert list(lines) == [
        *("constant", "arseg", "taplab:ffw+rgc+rgfs", "taplab:ffw+rgfs"),
        *("reuse:features", "reuse:prediction"),
    ]
    rows = whole.set_index("method")
    arseg = rows.loc[["arseg@0.3", "arseg@0.5", "arseg@0.7"]]
    np.testing.assert_allclose(lines["arseg"].get_xdata(), arseg["gmacs_gop"])
    np.testing.assert_allclose(lines["arseg"].get_ydata(), arseg["miou_percent"])
    assert lines["reuse:features"].get_linestyle() == "None"
    assert lines["constant"].get_color() == "black"
    assert axes.get_xscale() == "log"


def test_curves_differ_in_colour_and_in_marker(whole):
    (axes,) = draw(accuracy_cost, whole).axes
    lines = labelled(axes).values()
    assert len({line.get_color() for line in lines}) == len({line.get_marker() for line in lines}) == len(lines)


def test_a_single_stream_has_no_bars_and_does_not_speak_of_them(tmp_path):
    with make_run(tmp_path, run=SMALL, protocol="single-stream") as store:
        frame = summarise(store)
    assert frame["miou_min_percent"].isna().all()
    (axes,) = draw(accuracy_cost, frame).axes
    assert [segment for bars in axes.collections for segment in bars.get_segments()] == []
    assert axes.get_ylabel() == "mIoU (%)"
    assert len(labelled(axes)["constant"].get_xdata()) == 4
    assert draw(accuracy_distance, frame) is not None


@pytest.mark.parametrize("end", ["miou_min_percent", "miou_max_percent"])
def test_a_method_without_a_range_has_no_bar_among_others_that_have_one(small, end):
    frame = small.copy()
    frame.loc[frame["method"] == "constant@0.5", end] = np.nan
    (axes,) = draw(accuracy_cost, frame).axes
    spans = {tuple(segment[:, 1]) for bars in axes.collections for segment in bars.get_segments()}
    others = frame[frame["method"] != "constant@0.5"]
    assert spans == {(row["miou_min_percent"], row["miou_max_percent"]) for _, row in others.iterrows()}
    assert "bars" in axes.get_ylabel()


def test_distances_that_no_frame_tests_are_gaps(small):
    frame = small.copy()
    frame.loc[:, "miou_d3_percent"] = np.nan
    axes = draw(accuracy_distance, frame).axes[0]
    for name, line in labelled(axes).items():
        assert np.flatnonzero(np.isnan(line.get_ydata())).tolist() == [3], name


def test_bars_span_the_distances(small):
    (axes,) = draw(accuracy_cost, small).axes
    spans = {tuple(segment[:, 1]) for bars in axes.collections for segment in bars.get_segments()}
    assert spans == {(row["miou_min_percent"], row["miou_max_percent"]) for _, row in small.iterrows()}


def test_points_bear_their_labels(whole):
    (axes,) = draw(accuracy_cost, whole).axes
    texts = [text.get_text() for text in axes.texts]
    assert sorted(texts) == sorted(
        [*("1.0x", "0.7x", "0.5x", "0.3x"), *("0.7x", "0.5x", "0.3x"), *("0 %", "10 %", "30 %") * 2]
    )


def test_labels_do_not_cover_one_another_and_stay_inside(whole):
    figure = draw(accuracy_cost, whole)
    (axes,) = figure.axes
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert len(boxes) == 13
    for one, other in combinations(boxes, 2):
        width = min(one.x1, other.x1) - max(one.x0, other.x0)
        height = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert width <= 1 or height <= 1, "two labels overlap by more than a pixel"
    frame = axes.bbox.padded(2)
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes)


def test_a_label_avoids_the_line_through_its_point():
    figure = Figure(figsize=(3, 3))
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    line = np.array([[0.1, 0.5], [0.9, 0.5]])
    place_labels(axes, [Label(x=0.5, y=0.5, text="0.5x", color="black")], [line, np.array([[0.5, 0.5]])])
    (text,) = axes.texts
    box = text.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    height = axes.transData.transform((0.5, 0.5))[1]
    assert box.y0 > height or box.y1 < height


def test_cells_that_are_not_done_are_not_drawn(tmp_path):
    with make_run(tmp_path, run=SMALL) as store:
        for cell in store.cells():
            if cell.method in ("arseg@0.5", "constant@0.3"):
                store.set_status(cell.key, "failed", error="x")
        frame = summarise(store)
    assert len(labelled(draw(accuracy_cost, frame).axes[0])["arseg"].get_xdata()) == 2
    assert "arseg@0.5" not in labelled(draw(accuracy_distance, frame).axes[0])


def test_a_method_without_multiply_adds_is_named_not_lost(tmp_path):
    with make_run(tmp_path, run=[*SMALL, ("blank", (), None, 0.1, 0.0, {"frame": (1, 0.0)})]) as store:
        frame = summarise(store)
    figure = draw(accuracy_cost, frame)
    assert "blank" not in labelled(figure.axes[0])
    assert "no multiply-adds, not shown: blank" in [text.get_text() for text in figure.axes[0].texts]


def test_few_methods_share_one_set_of_axes(small):
    (axes,) = draw(accuracy_distance, small).axes
    lines = labelled(axes)
    assert list(lines) == list(small["method"])
    row = small.set_index("method").loc["arseg@0.5"]
    np.testing.assert_allclose(lines["arseg@0.5"].get_ydata(), [row[f"miou_d{d}_percent"] for d in range(12)])
    assert list(lines["arseg@0.5"].get_xdata()) == list(range(12))


def test_many_methods_get_a_panel_a_family_with_the_anchor_in_each(whole):
    panels = draw(accuracy_distance, whole).axes
    assert [axes.get_title() for axes in panels] == ["constant", "arseg", "reuse", "taplab"]
    assert all("constant@1.0" in labelled(axes) for axes in panels)
    shown = [name for axes in panels for name in labelled(axes)]
    assert set(shown) == set(whole["method"])


def test_a_large_family_gets_a_panel_a_curve(tmp_path):
    points = [
        (f"sweep:{v}@{s}", (v,), s, 0.7, 0.001, {"k": (1, 1 + s)}) for v in ("a", "b") for s in (0.1, 0.2, 0.3, 0.4)
    ]
    points += [("sweep:alone", (), None, 0.7, 0.001, {"k": (1, 1.0)}), *RUN[:4]]
    with make_run(tmp_path, run=points) as store:
        panels = draw(accuracy_distance, summarise(store)).axes
    assert [axes.get_title() for axes in panels] == ["constant", "a", "b", "sweep, others"]


def test_lines_stay_above_the_legend(whole):
    figure = draw(accuracy_distance, whole)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axes in figure.axes:
        top = axes.get_legend().get_window_extent(canvas.get_renderer()).y1
        lowest = min(axes.transData.transform((0, min(line.get_ydata())))[1] for line in axes.get_lines())
        assert lowest > top, axes.get_title()


def test_every_setting_has_figures_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("reports.plots.SAVE", {"svg": {}})
    make_run(tmp_path, run=SMALL[:1]).close()
    with make_run(tmp_path, run=SMALL[:1], codec="mpeg4", split="val/2") as store:
        names = {path.name for path in write_figures(summarise(store), tmp_path / "figures")}
    assert names == {
        f"{figure}-{setting}.svg"
        for figure in ("accuracy_cost", "accuracy_distance")
        for setting in ("test-h264", "val_2-mpeg4")
    }


def test_a_run_without_points_draws_nothing(tmp_path):
    from vssbench.store import Store

    with Store.open(tmp_path) as store:
        assert write_figures(summarise(store), tmp_path / "figures") == []
        store.add_cell(cell_of("arseg@0.5"))
        assert write_figures(summarise(store), tmp_path / "figures") == []


def test_a_dollar_in_a_name_is_a_dollar(tmp_path, monkeypatch):
    monkeypatch.setattr("reports.plots.SAVE", {"png": {"dpi": 50}})
    with make_run(tmp_path, run=[("pay $x_{ now$", (), None, 0.7, 0.001, {"k": (1, 1.0)}), *RUN[:1]]) as store:
        assert len(write_figures(summarise(store), tmp_path / "figures")) == 2


def test_a_folder_that_cannot_be_written_is_named(small, tmp_path):
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(StoreError, match="figures cannot be written"):
        write_figures(small, tmp_path / "figures")

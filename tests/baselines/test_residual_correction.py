import numpy as np
import pytest

from baselines.residual_correction import Region, RegionCorrection, default_region_px
from vssbench.errors import UsageError


def residual_with(samples, size=(8, 8)):
    """Zeros but for {(y, x, channel): value}."""
    residual = np.zeros((*size, 3), np.int16)
    for position, value in samples.items():
        residual[position] = value
    return residual


def chosen(correction, residual, accumulated=None):
    region, _ = correction.choose(residual, accumulated)
    return region.top, region.left


QUARTERS = RegionCorrection(region_px=(4, 4), stride_px=2)  # tops and lefts 0, 2, 4 on 8x8


def test_the_region_with_most_samples_over_the_threshold_is_chosen():
    # (5, 5) alone lies in four candidates, (7, 7) only in the last: together they single out (4, 4)
    assert chosen(QUARTERS, residual_with({(5, 5, 0): 31, (7, 7, 0): 31})) == (4, 4)


def test_of_equal_regions_the_first_in_reading_order_is_chosen():
    assert chosen(QUARTERS, residual_with({(5, 5, 0): 31})) == (2, 2)


def test_a_residual_of_zero_still_yields_the_first_region():
    region, accumulated = QUARTERS.choose(residual_with({}), None)
    assert region == Region(top=0, left=0, height=4, width=4)
    assert accumulated is None


def test_the_threshold_is_strict_and_works_on_the_magnitude():
    assert chosen(QUARTERS, residual_with({(0, 0, 0): 30, (7, 7, 0): -31})) == (4, 4)
    assert QUARTERS.region_scores(residual_with({(0, 0, 0): 30, (0, 0, 1): -30})).sum() == 0


def test_channels_of_a_pixel_count_separately():
    # one pixel over in 3 channels against two pixels over in one
    samples = {(0, 0, 0): 31, (0, 0, 1): 31, (0, 0, 2): 31, (7, 7, 0): 31, (6, 6, 0): 31}
    assert chosen(QUARTERS, residual_with(samples)) == (0, 0)


def test_the_paper_counts_samples_where_the_release_adds_magnitudes():
    samples = {(0, 0, 0): 31, (0, 1, 0): 31, (7, 7, 0): 255}
    release = RegionCorrection(region_px=(4, 4), stride_px=2, rule="release-accumulated")
    assert chosen(QUARTERS, residual_with(samples)) == (0, 0)  # 2 > 1
    assert chosen(release, residual_with(samples)) == (4, 4)  # 255 > 62


def test_the_release_counts_residuals_below_the_papers_threshold():
    release = RegionCorrection(region_px=(4, 4), stride_px=2, rule="release-accumulated")
    assert chosen(release, residual_with({(7, 7, 2): -1})) == (4, 4)


def test_released_sums_add_up_over_frames_and_the_chosen_one_starts_again():
    release = RegionCorrection(region_px=(4, 4), stride_px=4, rule="release-accumulated")  # four quarters
    residual = residual_with({(0, 0, 0): 10, (7, 7, 0): -9})
    # sums per quarter: 10/9 -> first (to 0); 0+10 / 9+9 -> last (to 0); 10+10 / 0+9 -> first
    accumulated, tops = None, []
    for _ in range(3):
        region, accumulated = release.choose(residual, accumulated)
        tops.append((region.top, region.left))
    assert tops == [(0, 0), (4, 4), (0, 0)]
    np.testing.assert_array_equal(accumulated, [[0, 0], [0, 9]])


def test_the_sums_handed_in_are_not_changed():
    release = RegionCorrection(region_px=(4, 4), stride_px=4, rule="release-accumulated")
    before = np.array([[5, 0], [0, 0]], np.int64)
    release.choose(residual_with({}), before)
    np.testing.assert_array_equal(before, [[5, 0], [0, 0]])


@pytest.mark.parametrize("rule", ["paper-indicator", "release-accumulated"])
@pytest.mark.parametrize(
    ("size", "region", "stride"),
    [((13, 17), (5, 4), 3), ((9, 7), (9, 7), 2), ((11, 23), (4, 9), 1), ((6, 6), (2, 2), 4)],
)
def test_region_scores_equal_a_slow_loop(rule, size, region, stride):
    residual = np.random.default_rng(3).integers(-255, 256, (*size, 3)).astype(np.int16)
    correction = RegionCorrection(region_px=region, stride_px=stride, rule=rule)
    tops, lefts = correction.starts(size)
    expected = np.zeros((len(tops), len(lefts)), np.int64)
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            for value in residual[top : top + region[0], left : left + region[1]].ravel():
                expected[i, j] += int(abs(int(value)) > 30) if rule == "paper-indicator" else abs(int(value))
    np.testing.assert_array_equal(correction.region_scores(residual), expected)


def test_sums_of_a_large_frame_do_not_overflow():
    residual = np.full((1024, 2048, 3), -255, np.int16)
    scores = RegionCorrection(rule="release-accumulated").region_scores(residual)
    assert (scores == 255 * 512 * 512 * 3).all()


@pytest.mark.parametrize(
    ("size", "tops", "lefts"),
    [
        ((1024, 2048), [0, 256, 512], [0, 256, 512, 768, 1024, 1280, 1536]),  # the paper's 21 candidates
        ((720, 960), [0, 208], [0, 256, 448]),  # the last ones moved back to the border
        ((360, 480), [0, 104], [0, 128, 224]),  # 256 px, stride 128
        ((16, 16), [0], [0]),  # smaller than a region
    ],
)
def test_default_candidates_end_at_the_border(size, tops, lefts):
    correction = RegionCorrection()
    assert correction.starts(size) == (tops, lefts)
    height, width = correction.region_size(size)
    assert (tops[-1] + height, lefts[-1] + width) == size


@pytest.mark.parametrize("size", [(720, 960), (361, 479), (97, 65), (8, 5)])
def test_the_default_candidates_cover_every_pixel(size):
    correction = RegionCorrection()
    covered = np.zeros(size, bool)
    height, width = correction.region_size(size)
    for top in correction.starts(size)[0]:
        for left in correction.starts(size)[1]:
            covered[top : top + height, left : left + width] = True
    assert covered.all()


def test_the_default_region_keeps_its_share_of_small_frames():
    assert default_region_px((1024, 2048)) == 512
    assert default_region_px((720, 960)) == 512
    assert default_region_px((480, 640)) == 352  # 512 * 480 / 720 = 341.3 -> 10.7 * 32 -> 11 * 32
    assert default_region_px((360, 480)) == 256
    assert default_region_px((24, 24)) == 32  # never below 32, then cut to the frame
    assert RegionCorrection().region_size((24, 40)) == (24, 32)


def test_a_region_need_not_be_square():
    correction = RegionCorrection(region_px=(256, 512), stride_px=256)  # TapLab, table 4
    assert correction.starts((1024, 2048)) == ([0, 256, 512, 768], [0, 256, 512, 768, 1024, 1280, 1536])
    assert correction.region_size((1024, 2048)) == (256, 512)


def test_released_candidates_are_those_of_its_loop():
    release = RegionCorrection(candidates="release")
    assert release.starts((1024, 2048)) == ([0, 256, 512], [0, 256, 512, 768, 1024, 1280, 1536])
    assert release.starts((720, 960)) == ([0], [0])  # 720 // 512 * 2 - 1 = 1
    assert release.region_size((720, 960)) == (512, 512)
    residual = residual_with({(719, 959, 0): 255}, size=(720, 960))
    assert chosen(release, residual) == (0, 0)  # what lies elsewhere is not seen


def test_on_a_coarser_grid_every_region_covers_the_same_number_of_cells():
    # 720x960 at 1/8: 512 px are 64 cells; 208 / 8 = 26, 448 / 8 = 56
    region = Region(top=208, left=448, height=512, width=512)
    cells = region.on_grid(frame_size=(720, 960), grid_size=(90, 120))
    assert cells == Region(top=26, left=56, height=64, width=64)
    assert region.on_grid(frame_size=(720, 960), grid_size=(720, 960)) == region
    # 6 of 12 px on 3 cells are 1.5, rounded to 2; the start, 1.5 as well, must then fall back to 1
    half = Region(top=6, left=6, height=6, width=6)
    assert half.on_grid(frame_size=(12, 12), grid_size=(3, 3)) == Region(top=1, left=1, height=2, width=2)
    correction = RegionCorrection()
    for frame_size, grid_size in [((360, 480), (46, 60)), ((361, 479), (46, 60)), ((33, 35), (3, 2))]:
        height, width = correction.region_size(frame_size)
        shapes = set()
        for top in correction.starts(frame_size)[0]:
            for left in correction.starts(frame_size)[1]:
                region = Region(top=top, left=left, height=height, width=width)
                cells = region.on_grid(frame_size=frame_size, grid_size=grid_size)
                assert min(cells.top, cells.left) >= 0
                assert cells.top + cells.height <= grid_size[0]
                assert cells.left + cells.width <= grid_size[1]
                shapes.add((cells.height, cells.width))
        assert len(shapes) == 1


def test_every_option_is_in_the_condition():
    assert RegionCorrection(region_px=(4, 6), stride_px=2).condition == {
        "rgc_region_px": [4, 6],
        "rgc_stride_px": 2,
        "rgc_threshold": 30,
        "rgc_blend": 0.6,
        "rgc_rule": "paper-indicator",
        "rgc_candidates": "clamped",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"region_px": (0, 4)}, "region_px must be"),
        ({"stride_px": 0}, "stride_px must be"),
        ({"threshold": -1}, "threshold must be"),
        ({"blend": 1.1}, "blend must lie"),
        ({"blend": float("nan")}, "blend must lie"),
        ({"rule": "paper"}, "rule must be"),
        ({"candidates": "all"}, "candidates must be"),
        ({"candidates": "release", "stride_px": 64}, "leave stride_px out"),
    ],
)
def test_an_option_out_of_range_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        RegionCorrection(**options)

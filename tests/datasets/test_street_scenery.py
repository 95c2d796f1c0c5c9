"""How a street is drawn: perspective, occlusion, motion, fences one sees through, noise."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from vssbench.datasets.scenery.camera import Camera, draw_figure, draw_shadow, draw_wall
from vssbench.datasets.scenery.drive import Drive
from vssbench.datasets.scenery.surfaces import CAR, FENCE, PEDESTRIAN, POLE, ROAD, ROAD_HALF_M
from vssbench.datasets.scenery.texture import EMPTY, Picture, build
from vssbench.datasets.scenery.things import Figure

MOVERS = (8, 9, 10)  # Car, Pedestrian, Bicyclist
SIZE = (100, 200)  # focal length 0.95 * 200 = 190 px


def plain(label, colour=(200, 10, 10), size=(8, 8)):
    picture = Picture(np.full((*size, 3), colour, np.uint8), np.ones(size, bool))
    return build(picture, label, chain=[(0, 0)])


def still(drive):
    """The same street under a grey sky, seen by a camera that stands at x = 0, z = 0 and looks straight ahead."""
    sky = np.full(SIZE, 0x808080, np.uint32)
    ego = replace(drive.world.ego, speed=0.0, surge_m=0.0, weave_m=0.0, lane_m=0.0, yaw=0.0, pitch_px=0.0, horizon=0.5)
    drive.world = replace(drive.world, ego=ego, sky=sky, sky_origin=(50, 0))
    return drive


@pytest.fixture
def camera():
    return Camera(size=SIZE, x=0.0, z=0.0, yaw=0.0, horizon=50.0)


@pytest.fixture
def canvas():
    return np.full(SIZE, ROAD << 24, np.uint32)


@pytest.fixture(scope="module")
def street_drive():
    return still(Drive(seed=7, size=SIZE, fps=15.0, num_frames=36))


@pytest.fixture
def empty_street(street_drive):
    """A street without anything on it, to be furnished by the test; (drive, furnish)."""
    world = street_drive.world

    def furnish(*standing):
        street_drive.world = replace(world, behind=[], standing=list(standing))
        return street_drive

    yield furnish
    street_drive.world = world


def labels_of(canvas):
    return (canvas >> np.uint32(24)) & np.uint32(15)


def test_a_figure_lies_where_the_pinhole_puts_it(canvas, camera):
    draw_figure(canvas, camera, plain(POLE), at=(1.0, 10.0), bottom_m=0.0, size_m=(2.0, 1.0))
    rows, columns = np.nonzero(labels_of(canvas) == POLE)
    # 19 px a metre at 10 m; the camera is 1.55 m up
    # rows: 50 - 19 * 0.45 = 41.45 to 50 + 19 * 1.55 = 79.45, so centres 41.5 to 78.5
    # columns: 100 + 19 * 0.5 = 109.5 to 128.5, so centres 109.5 to 127.5
    assert (rows.min(), rows.max()) == (41, 78)
    assert (columns.min(), columns.max()) == (109, 127)


def test_a_turn_to_the_right_moves_things_to_the_left(canvas):
    turned = Camera(size=SIZE, x=0.0, z=0.0, yaw=0.1, horizon=50.0)
    draw_figure(canvas, turned, plain(POLE), at=(0.0, 10.0), bottom_m=0.0, size_m=(2.0, 1.0))
    columns = np.nonzero(labels_of(canvas) == POLE)[1]
    assert columns.mean() + 0.5 == pytest.approx(100 - 190 * np.tan(0.1), abs=1)


def test_a_pole_far_away_is_still_one_pixel_wide(canvas, camera):
    draw_figure(canvas, camera, plain(POLE), at=(0.0, 80.0), bottom_m=0.0, size_m=(5.0, 0.1))  # 0.24 px
    assert (labels_of(canvas) == POLE).any(axis=0).sum() == 1


def test_a_wall_along_the_street_meets_its_perspective(canvas, camera):
    draw_wall(canvas, camera, plain(1), start=(4.0, 8.0), end=(4.0, 38.0), bottom_m=0.0, top_m=3.55)
    wall = labels_of(canvas) == 1
    # 8 m away: column 100 + 190 * 4 / 8 = 195; 38 m away: column 120
    columns = np.nonzero(wall.any(axis=0))[0]
    assert (columns.min(), columns.max()) == (120, 194)
    # at column 157.5 the depth is 190 * 4 / 57.5 = 13.217 m, 14.375 px a metre:
    # rows 50 - 14.375 * 2 = 21.25 to 50 + 14.375 * 1.55 = 72.28
    rows = np.nonzero(wall[:, 157])[0]
    assert (rows.min(), rows.max()) == (21, 71)


def test_a_wall_that_passes_the_camera_is_cut_and_not_turned_over(canvas, camera):
    draw_wall(canvas, camera, plain(1), start=(2.0, -10.0), end=(2.0, 20.0), bottom_m=0.0, top_m=3.0)
    columns = np.nonzero((labels_of(canvas) == 1).any(axis=0))[0]
    # from 20 m away (column 100 + 190 * 2 / 20 = 119) to the edge of the image
    assert (columns.min(), columns.max()) == (119, 199)


def test_things_behind_the_camera_are_not_drawn(canvas, camera):
    before = canvas.copy()
    draw_figure(canvas, camera, plain(CAR), at=(0.0, -5.0), bottom_m=0.0, size_m=(2.0, 2.0))
    draw_wall(canvas, camera, plain(CAR), start=(2.0, -9.0), end=(2.0, -1.0), bottom_m=0.0, top_m=3.0)
    draw_shadow(canvas, camera, at=(0.0, -5.0), size_m=(2.0, 2.0), rounded=False)
    np.testing.assert_array_equal(canvas, before)


def test_a_shadow_darkens_and_changes_no_label(canvas, camera):
    canvas |= np.uint32(0x00808080)
    draw_shadow(canvas, camera, at=(0.0, 8.0), size_m=(2.0, 2.0), rounded=False)
    assert set(np.unique(canvas & np.uint32(0xFFFFFF))) == {0x808080, 0x404040}
    assert (labels_of(canvas) == ROAD).all()


def test_the_gaps_of_a_fence_show_what_is_behind_and_are_fence(canvas, camera):
    canvas |= np.uint32(0x000000FF)  # red behind
    bars = np.zeros((8, 8), bool)
    bars[:, :4] = True
    blue = np.full((8, 8, 3), (0, 0, 250), np.uint8)
    texture = build(Picture(blue, bars, np.ones((8, 8), bool)), FENCE, chain=[(0, 0)])
    draw_figure(canvas, camera, texture, at=(0.0, 10.0), bottom_m=0.0, size_m=(2.0, 2.0))
    fence = labels_of(canvas) == FENCE
    assert set(np.unique(canvas[fence] & np.uint32(0xFFFFFF))) == {0x0000FF, 0xFA0000}
    assert fence.sum() == 38 * 38  # 2 m at 19 px a metre


def test_a_fence_too_far_to_resolve_mixes_with_what_is_behind(canvas, camera):
    canvas |= np.uint32(0x00000080)
    bars = np.zeros((8, 8), bool)
    bars[:, ::4] = True
    blue = np.full((8, 8, 3), (0, 0, 128), np.uint8)
    texture = build(Picture(blue, bars, np.ones((8, 8), bool)), FENCE, chain=[(0, 0), (2, 2)])
    # 0.06 m at 10 m is 1.1 px for 8 texels: the second level, where a quarter of each texel is bar
    draw_figure(canvas, camera, texture, at=(0.0, 10.0), bottom_m=0.0, size_m=(0.06, 0.06))
    fence = labels_of(canvas) == FENCE
    assert set(np.unique(canvas[fence] & np.uint32(0xFFFFFF))) == {0x400040}


def test_a_reduced_texture_has_the_mean_colour_of_what_is_covered():
    colour = np.zeros((2, 4, 3), np.uint8)
    colour[:, 0], colour[:, 1], colour[:, 2:] = 100, 50, 255
    opaque = np.array([[1, 1, 0, 0], [1, 1, 0, 0]], bool)
    level = build(Picture(colour, opaque), CAR, chain=[(0, 0), (1, 1)]).levels[1]
    # left block: (100 + 50) / 2 = 75; right block: nothing there
    assert level[0, 0] == (CAR << 24 | 75 << 16 | 75 << 8 | 75)
    assert level[0, 1] == EMPTY


def test_the_kerb_is_where_the_pinhole_puts_it(empty_street):
    _, label = empty_street().render(0)
    # row 89: 190 * 1.55 / 39.5 = 7.456 m away; the kerb at 4.4 m: 100 + 190 * 4.4 / 7.456 beyond the edge;
    # row 69: 15.103 m away; kerbs at 100 +- 55.35
    road = np.nonzero(label[69] == ROAD)[0]
    half = 190 * ROAD_HALF_M / (190 * 1.55 / 19.5)
    assert road.min() == pytest.approx(100 - half, abs=1)
    assert road.max() + 1 == pytest.approx(100 + half, abs=1)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_of_two_covers_the_farther_in_colour_and_label(empty_street, order):
    near = Figure(pictures=(plain(CAR, (250, 0, 0)),), size_m=(2.0, 1.0), x=0.0, z=8.0)
    far = Figure(pictures=(plain(PEDESTRIAN, (0, 0, 250)),), size_m=(2.0, 4.0), x=0.0, z=12.0)
    frame, label = empty_street(*[(near, far)[i] for i in order]).render(0)
    red = frame[..., 0].astype(int) - frame[..., 2]
    assert label[60, 100] == CAR  # 8 m: 23.75 px wide, columns 88 to 111
    assert label[60, 120] == PEDESTRIAN  # 12 m: 63 px wide
    assert red[60, 100] > 150
    assert red[60, 120] < -150


def test_what_moves_passes_behind_one_thing_and_before_another(empty_street):
    pole = Figure(pictures=(plain(POLE),), size_m=(4.0, 0.3), x=0.0, z=8.0)
    car = Figure(pictures=(plain(CAR),), size_m=(3.0, 6.0), x=0.0, z=16.0)
    walker = Figure(pictures=(plain(PEDESTRIAN),), size_m=(2.0, 1.0), x=-1.8, z=12.0, vx=1.8)
    drive = empty_street(walker, pole, car)
    start, later = drive.render(0)[1], drive.render(15)[1]  # one second
    assert (start[55, 100], start[55, 71]) == (POLE, PEDESTRIAN)  # walker at 100 - 1.8 * 15.8 = 71.5
    assert (later[55, 100], later[55, 104], later[55, 71]) == (POLE, PEDESTRIAN, CAR)


def test_only_what_moves_changes_for_a_camera_that_stands(street_drive):
    before, after = (street_drive.render(i)[1] for i in (3, 13))
    changed = before != after
    assert changed.sum() > 100
    assert (np.isin(before, MOVERS) | np.isin(after, MOVERS))[changed].all()


def test_walls_and_poles_stand_while_people_cars_and_cyclists_move(street_drive):
    moving = [item for item in street_drive.world.standing if getattr(item, "vx", 0.0) or getattr(item, "vz", 0.0)]
    kinds = {int(item.pictures[0].levels[0].min() >> 24) & 15 for item in moving if isinstance(item, Figure)}
    assert kinds == {PEDESTRIAN, 10}
    assert len({(item.x, item.z) for item in moving}) == len(moving)


def test_a_standing_thing_grows_and_moves_outwards_as_the_camera_comes_nearer():
    drive = Drive(seed=7, size=SIZE, fps=15.0, num_frames=36)
    z = drive.camera(0).z + 20
    pole = Figure(pictures=(plain(POLE),), size_m=(3.0, 0.5), x=3.0, z=z)
    drive.world = replace(drive.world, behind=[], standing=[pole])
    for index in (0, 20):
        camera = drive.camera(index)
        expected = camera.column(*camera.seen_from_camera(3.0, z))
        columns = np.nonzero((drive.render(index)[1] == POLE).any(axis=0))[0]
        assert columns.mean() + 0.5 == pytest.approx(expected, abs=1)
    sizes = [(drive.render(index)[1] == POLE).sum() for index in (0, 10, 20)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_the_camera_drives_on_and_sways():
    drive = Drive(seed=3, size=SIZE, fps=15.0, num_frames=36)
    cameras = [drive.camera(i) for i in range(36)]
    assert all(a.z < b.z for a, b in pairwise(cameras))
    assert len({camera.yaw for camera in cameras}) == 36
    assert len({camera.horizon for camera in cameras}) == 36


def test_noise_is_new_in_every_frame(empty_street):
    drive = empty_street()
    sky = [drive.render(index)[0][:30].astype(int) for index in (0, 1, 2)]
    for a, b in ((0, 1), (1, 2), (0, 2)):
        difference = sky[a] - sky[b]
        spread = (difference - difference.mean(axis=(0, 1))).std()
        # two crops of deviation 1.63 each in either frame: 1.63 * 2 = 3.3, less where the sky is near white
        assert 1.5 < spread < 4.5


def test_light_changes_over_the_drive(empty_street):
    drive = empty_street()
    means = [drive.render(index)[0].mean() for index in range(0, 36, 7)]
    assert max(means) - min(means) > 2

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
import pytest
from moving_pattern import moving_pattern, psnr

from vssbench.codec.block_motion import NEVER_SHOWN
from vssbench.codec.encode import EncodeSettings, encode
from vssbench.codec.motion_overlay import (
    FUTURE,
    INTRA_TINT,
    PAST,
    TWO,
    UNSHOWN,
    draw_motion,
    write_overlay,
)
from vssbench.codec.vectors import FrameMotion, read_motion, read_motion_and_pixels
from vssbench.errors import BitstreamError, UsageError

GREY = np.full((64, 96, 3), 128, np.uint8)
LABEL = (slice(0, 20), slice(0, 40))  # of the frame's type and place


def frame(*, back=(1, 0), mv=((0, 0), (0, 0)), kind="P", grid=(16, 24), size=(64, 96), origin=(0, 0)):
    """Every block is predicted alike."""
    return FrameMotion(
        index=7,
        frame_type=kind,
        size_bytes=1,
        mv=np.broadcast_to(np.array(mv, np.int16), (*grid, 2, 2)),
        frames_back=np.broadcast_to(np.array(back, np.int16), (*grid, 2)),
        pred_mode=np.full(grid, any(back), np.uint8),
        size=size,
        origin=origin,
    )


@pytest.mark.parametrize(
    ("back", "colour"),
    [
        ((1, 0), PAST[0]),
        ((2, 0), PAST[1]),
        ((3, 0), PAST[2]),
        ((9, 0), PAST[2]),
        ((0, -1), FUTURE[0]),
        ((0, -5), FUTURE[1]),
        ((1, -1), TWO),
        ((NEVER_SHOWN, 0), UNSHOWN),
    ],
)
def test_the_dot_says_how_far_away_the_reference_is(back, colour):
    drawn = draw_motion(GREY, frame(back=back, mv=((8, 0), (8, 0))))
    assert tuple(drawn[40, 72]) == colour  # the centre of a 16-pixel cell


def test_the_line_leads_from_the_dot_to_the_source():
    drawn = draw_motion(GREY, frame(mv=((6 * 4, 0), (0, 0))))
    row = drawn[40, 64:80].astype(int)  # a cell; its centre is pixel 8
    yellow = (row[:, 0] - row[:, 2]) > 100
    assert yellow[8:14].all()
    assert not yellow[:6].any()
    assert not yellow[15:].any()


def test_a_block_of_two_vectors_has_two_lines_in_two_colours():
    drawn = draw_motion(GREY, frame(back=(1, -1), mv=((6 * 4, 0), (-6 * 4, 0))))
    right, left = drawn[40, 72 + 5].astype(int), drawn[40, 72 - 5].astype(int)
    assert right[0] - right[2] > 50, "yellow: one frame back"
    assert left[2] - left[0] > 50, "blue: one frame later"


def test_vectors_below_half_a_pixel_leave_a_dot_alone():
    still, moved = (draw_motion(GREY, frame(mv=((x, 0), (0, 0)))) for x in (1, 2))
    in_cell = [(drawn[32:48, 64:80] != 128).any(axis=-1).sum() for drawn in (still, moved)]
    assert 0 < in_cell[0] <= 16
    assert in_cell[1] >= 1.5 * in_cell[0]


def test_away_from_vectors_the_picture_stays_as_it_is():
    rgb = next(moving_pattern(1, size=(64, 96)))
    drawn = draw_motion(rgb, frame())
    drawn[LABEL], rgb[LABEL] = 0, 0
    same = (drawn == rgb).all(axis=-1)
    assert same[32:34].all(), "between two rows of dots"
    assert not same[40, 72]


def test_intra_blocks_of_p_frames_are_tinted_and_i_frames_are_not():
    tinted = draw_motion(GREY, frame(back=(0, 0)))
    np.testing.assert_allclose(tinted[40, 72], (128 + np.array(INTRA_TINT)) / 2, atol=1)
    plain = draw_motion(GREY, frame(back=(0, 0), kind="I"))
    plain[LABEL] = 128
    np.testing.assert_array_equal(plain, GREY)


def test_the_grid_begins_where_the_frame_is_shown():
    whole = frame(grid=(18, 26), origin=(8, 8))
    vectors = np.array(whole.mv)
    vectors[12, 20, 0] = (24, 0)  # the block at coded (48, 80), shown at (40, 72): the centre of a cell
    drawn = draw_motion(GREY, replace(whole, mv=vectors))
    assert (drawn[40, 76] != 128).any()
    assert (drawn[40, 60] == 128).all()


def test_the_zoom_enlarges_picture_and_vectors():
    drawn = draw_motion(GREY, frame(mv=((24, 0), (0, 0))), zoom=3)
    assert drawn.shape == (192, 288, 3)
    assert tuple(drawn[120, 216]) == PAST[0]
    assert drawn[120, 216 + 15, 0] - 100 > drawn[120, 216 + 15, 2]


def test_a_small_frame_has_one_vector_at_least():
    small = frame(grid=(2, 2), size=(8, 8))
    assert draw_motion(GREY[:8, :8], small).shape == (8, 8, 3)


@pytest.mark.parametrize("wrong", [{"grid_px": 3}, {"zoom": 0}])
def test_a_grid_finer_than_blocks_is_refused(wrong):
    with pytest.raises(UsageError, match="at least 4 pixels"):
        draw_motion(GREY, frame(), **wrong)


@pytest.mark.parametrize("codec", ["hevc", "h264", "mpeg4"])
def test_the_overlay_has_the_videos_frames_size_and_rate_and_shows_the_vectors(tmp_path, codec):
    path, out = tmp_path / "v.mp4", tmp_path / "o.mp4"
    settings = EncodeSettings(codec=codec, gop_length=3, bitrate_kbps=2000, fps=24)
    encode(moving_pattern(5, velocity=(4, -3)), path, settings=settings)
    assert write_overlay(read_motion_and_pixels(path), out, fps=24) == 5
    with av.open(str(path)) as given, av.open(str(out)) as made:
        assert made.streams.video[0].average_rate == 24
        pairs = [
            tuple(each.to_ndarray(format="rgb24") for each in pair)
            for pair in zip(given.decode(video=0), made.decode(video=0), strict=True)
        ]
    for (rgb, drawn), vectors in zip(pairs, read_motion(path), strict=True):
        assert drawn.shape == rgb.shape
        if vectors.frame_type == "I":
            assert psnr(rgb[24:], drawn[24:]) > 30
            continue
        difference = abs(drawn.astype(int) - rgb).mean(axis=-1)
        at_dots = difference[24::16, 8::16].mean()  # the centres of cells below the label
        between = difference[32::16, :].mean()
        assert at_dots > between + 20


def test_odd_sides_are_made_even(tmp_path):
    odd = frame(grid=(4, 4), size=(15, 13))
    write_overlay([(odd, GREY[:15, :13])], tmp_path / "o.mp4", fps=float("nan"))
    with av.open(str(tmp_path / "o.mp4")) as made:
        stream = made.streams.video[0]
        assert (stream.height, stream.width, stream.average_rate) == (16, 14, 25)


def test_an_error_while_reading_leaves_no_video(tmp_path):
    def broken():
        yield frame(), GREY
        raise BitstreamError("picture 1 is damaged")

    with pytest.raises(BitstreamError, match="picture 1"):
        write_overlay(broken(), tmp_path / "o.mp4", fps=25)
    with pytest.raises(BitstreamError, match="no frame"):
        write_overlay([], tmp_path / "o.mp4", fps=25)
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written_are_named(tmp_path):
    with pytest.raises(UsageError, match="cannot write"):
        write_overlay([(frame(), GREY)], tmp_path / "nowhere/o.mp4", fps=25)
    with pytest.raises(UsageError, match=r"\.mp4 or \.mkv"):
        write_overlay([(frame(), GREY)], tmp_path / "o.avi", fps=25)

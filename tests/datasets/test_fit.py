import numpy as np
import pytest
from small_files import label, picture

from vssbench.datasets.fit import Fit, FittedLabels
from vssbench.datasets.palette import bit_palette
from vssbench.errors import ShapeError, UsageError
from vssbench.records import IGNORE


def test_an_odd_width_becomes_even_by_a_repeated_column_that_has_no_label():
    rgb, truth = picture(0, size=(4, 5)), label(0, size=(4, 5))
    fit = Fit()
    assert fit.fitted((4, 5)) == (4, 6)
    np.testing.assert_array_equal(fit.image(rgb)[:, :5], rgb)
    np.testing.assert_array_equal(fit.image(rgb)[:, 5], rgb[:, 4])
    np.testing.assert_array_equal(fit.label(truth)[:, :5], truth)
    assert (fit.label(truth)[:, 5] == IGNORE).all()


def test_both_sides_odd_become_even():
    assert Fit().image(picture(0, size=(3, 5))).shape == (4, 6, 3)
    assert Fit().label(label(0, size=(3, 5))).shape == (4, 6)
    assert Fit(size=(3, 5)).fitted((24, 32)) == (4, 6)


def test_pictures_of_the_size_asked_for_are_not_touched_and_keep_their_content_key():
    rgb, truth = picture(0), label(0)
    for fit in (Fit(), Fit(size=(24, 32))):
        assert fit.image(rgb) is rgb
        assert fit.label(truth) is truth
        assert fit.settings((24, 32)) == ()
    assert Fit(size=(12, 16)).settings((24, 32)) != ()
    assert Fit().settings((24, 31)) != ()
    assert Fit(size=(12, 16)).settings((24, 32)) != Fit(size=(12, 18)).settings((24, 32))


def test_pictures_shrink_by_the_mean_around_and_labels_by_the_nearest_pixel():
    columns = np.array([[0, 0, 100, 100, 200, 200]], np.uint8)  # 1x6 to 1x2; an even height makes it 2x2
    small = Fit(size=(1, 2)).image(np.repeat(columns[..., None], 3, axis=2))
    # The left centre lies at x = 1.5, on that of column 1. A triangle 3 px to each side weighs columns 0..3 by
    # 2/3, 1, 2/3, 1/3: 100 (2/3 + 1/3) / (8/3) = 37.5, and the right one is 200 - 37.5; halves go up.
    np.testing.assert_array_equal(small, np.repeat([[[38], [163]], [[38], [163]]], 3, axis=2))
    # label: output centre 0.5 -> 1.5, the pixel 1 of 0..5; 1.5 -> 4.5, the pixel 4
    labels = Fit(size=(1, 2)).label(np.array([[0, 1, 2, 3, 4, 5]], np.uint8))
    np.testing.assert_array_equal(labels, [[1, 4], [IGNORE, IGNORE]])


def test_labels_are_fitted_when_asked_for_and_stay_those_of_their_frames():
    labels = FittedLabels({3: label(0, size=(4, 5))}, Fit())
    assert (list(labels), len(labels), 3 in labels, 0 in labels) == ([3], 1, True, False)
    assert labels[3].shape == (4, 6)
    with pytest.raises(KeyError):
        labels[0]


def test_a_size_that_is_none_is_refused():
    with pytest.raises(ShapeError, match="both at least 1"):
        Fit(size=(0, 10))


def test_the_palette_is_that_of_pascal_voc_without_its_black():
    # VOC's colour map: 1 aeroplane (128, 0, 0), 2 bicycle (0, 128, 0), 7 car (128, 128, 128), 9 chair (192, 0, 0)
    palette = bit_palette(124)
    assert [tuple(palette[c - 1].tolist()) for c in (1, 2, 7, 9)] == [
        (128, 0, 0),
        (0, 128, 0),
        (128, 128, 128),
        (192, 0, 0),
    ]
    assert len(np.unique(bit_palette(255), axis=0)) == 255
    assert palette.any(axis=1).all()
    with pytest.raises(UsageError, match="got 256"):
        bit_palette(256)

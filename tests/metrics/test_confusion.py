import numpy as np
import pytest
from torchmetrics.functional.classification import multiclass_confusion_matrix

from vssbench.errors import DatasetError, PredictionError, ShapeError, UsageError
from vssbench.metrics.confusion import confusion_matrix, frequency_weighted_iou, iou_per_class, mean_iou
from vssbench.records import IGNORE


def random_maps(*, num_classes, size=(23, 31), seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, num_classes, size, np.uint8)
    label[rng.random(size) < 0.1] = IGNORE
    return label, rng.integers(0, num_classes, size, np.uint8)


def test_rows_are_true_and_columns_are_predicted():
    label = np.array([[0, 0, 1], [2, 2, IGNORE]], np.uint8)
    prediction = np.array([[0, 1, 1], [0, 2, 2]], np.uint8)
    confusion = confusion_matrix(label, prediction, num_classes=3)
    np.testing.assert_array_equal(confusion, [[1, 1, 0], [0, 1, 0], [1, 0, 1]])
    assert confusion.dtype == np.int64


@pytest.mark.parametrize("num_classes", [1, 2, 11, 19, 255])
def test_equals_a_slow_loop(num_classes):
    label, prediction = random_maps(num_classes=num_classes)
    expected = np.zeros((num_classes, num_classes), np.int64)
    for true, predicted in zip(label.ravel(), prediction.ravel(), strict=True):
        if true != IGNORE:
            expected[true, predicted] += 1
    np.testing.assert_array_equal(confusion_matrix(label, prediction, num_classes=num_classes), expected)


def test_equals_torchmetrics():
    import torch

    label, prediction = random_maps(num_classes=19, size=(64, 97), seed=1)
    expected = multiclass_confusion_matrix(
        torch.tensor(prediction.astype(np.int64)),
        torch.tensor(label.astype(np.int64)),
        num_classes=19,
        ignore_index=IGNORE,
    )
    np.testing.assert_array_equal(confusion_matrix(label, prediction, num_classes=19), expected.numpy())


def test_parts_of_an_image_add_up_to_the_whole():
    label, prediction = random_maps(num_classes=11)
    whole = confusion_matrix(label, prediction, num_classes=11)
    top = confusion_matrix(label[:7], prediction[:7], num_classes=11)
    bottom = confusion_matrix(label[7:], prediction[7:], num_classes=11)
    np.testing.assert_array_equal(top + bottom, whole)


def test_counts_every_pixel_that_is_not_ignored():
    label, prediction = random_maps(num_classes=11)
    assert confusion_matrix(label, prediction, num_classes=11).sum() == (label != IGNORE).sum()


def test_views_and_read_only_maps_are_counted_and_left_alone():
    label, prediction = random_maps(num_classes=11)
    label_before = label.copy()
    label.flags.writeable = False
    confusion = confusion_matrix(label[::2, ::-1], prediction[::2, ::-1], num_classes=11)
    expected = confusion_matrix(label[::2].copy(), prediction[::2].copy(), num_classes=11)
    np.testing.assert_array_equal(confusion, expected)
    np.testing.assert_array_equal(label, label_before)


def test_an_image_without_pixels_counts_nothing():
    empty = np.zeros((0, 5), np.uint8)
    assert confusion_matrix(empty, empty, num_classes=3).sum() == 0


def test_label_values_that_are_no_class_are_named_and_label_ids_hinted_at():
    label = np.array([[0, 7, 26, 33]], np.uint8)
    with pytest.raises(DatasetError, match=r"26, 33.*0\.\.18.*labelIds where trainIds"):
        confusion_matrix(label, np.zeros((1, 4), np.uint8), num_classes=19)


def test_only_the_first_five_of_many_strange_values_are_named():
    label = np.arange(11, 21, dtype=np.uint8)[None]
    with pytest.raises(DatasetError, match="11, 12, 13, 14, 15 and 5 more"):
        confusion_matrix(label, np.zeros((1, 10), np.uint8), num_classes=11)


@pytest.mark.parametrize("value", [11, IGNORE])
def test_a_prediction_that_is_no_class_is_an_error_on_ignored_pixels_too(value):
    label = np.full((1, 2), IGNORE, np.uint8)
    with pytest.raises(PredictionError, match=rf"values {value}, .*0\.\.10"):
        confusion_matrix(label, np.array([[0, value]], np.uint8), num_classes=11)


def test_maps_of_different_sizes_are_refused():
    with pytest.raises(ShapeError, match=r"label.shape = \(4, 5\), prediction.shape = \(5, 4\)"):
        confusion_matrix(np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint8), num_classes=2)


@pytest.mark.parametrize("label", [np.zeros((2, 2), np.int64), np.zeros((2, 2, 1), np.uint8)])
def test_maps_of_another_type_or_rank_are_refused(label):
    with pytest.raises(ShapeError, match=r"label must be \(H, W\) uint8"):
        confusion_matrix(label, np.zeros((2, 2), np.uint8), num_classes=2)


@pytest.mark.parametrize("num_classes", [0, -1, 256])
def test_a_number_of_classes_that_uint8_labels_cannot_hold_is_refused(num_classes):
    with pytest.raises(UsageError, match=r"1\.\.255"):
        confusion_matrix(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8), num_classes=num_classes)


def test_absent_class_does_not_lower_the_mean():
    label = np.array([[0, 0], [1, IGNORE]], np.uint8)
    prediction = np.array([[0, 1], [1, 2]], np.uint8)
    confusion = confusion_matrix(label, prediction, num_classes=3)
    # class 0: 1 of 2; class 1: 1 of 2; class 2: seen on an ignored pixel only
    np.testing.assert_array_equal(iou_per_class(confusion), [0.5, 0.5, np.nan])
    assert mean_iou(confusion) == 0.5


def test_iou_by_hand():
    # class 0: TP 3, row 4, column 5 -> 3 / (4 + 5 - 3) = 1/2; class 1: TP 2, row 4, column 3 -> 2/5
    confusion = np.array([[3, 1], [2, 2]])
    np.testing.assert_allclose(iou_per_class(confusion), [1 / 2, 2 / 5], rtol=1e-15)
    assert mean_iou(confusion) == pytest.approx(0.45, rel=1e-15)


def test_frequency_weighted_iou_by_hand():
    # rows 6 and 2 of 8 pixels; IoU 0: 5 / (6 + 6 - 5) = 5/7, IoU 1: 1 / (2 + 2 - 1) = 1/3; 6/8 * 5/7 + 2/8 * 1/3
    confusion = np.array([[5, 1], [1, 1]])
    assert frequency_weighted_iou(confusion) == pytest.approx(15 / 28 + 1 / 12, rel=1e-15)


def test_frequency_weighted_iou_equals_a_slow_loop():
    label, prediction = random_maps(num_classes=7, seed=2)
    weighed = []
    for true in label[label != IGNORE]:  # every labelled pixel brings its class's IoU
        inside = (label == true) & (prediction == true)
        either = (label != IGNORE) & ((label == true) | (prediction == true))
        weighed.append(inside.sum() / either.sum())
    confusion = confusion_matrix(label, prediction, num_classes=7)
    assert frequency_weighted_iou(confusion) == pytest.approx(np.mean(weighed), rel=1e-12)


def test_frequency_weighted_iou_of_a_perfect_an_empty_and_an_ignored_frame():
    label = np.array([[0, 1], [2, IGNORE]], np.uint8)
    assert frequency_weighted_iou(confusion_matrix(label, np.minimum(label, 2), num_classes=4)) == 1.0
    ignored = confusion_matrix(np.full((3, 3), IGNORE, np.uint8), np.zeros((3, 3), np.uint8), num_classes=2)
    assert np.isnan(frequency_weighted_iou(ignored))
    assert np.isnan(frequency_weighted_iou(np.zeros((0, 0), np.int64)))


def test_a_class_that_is_never_labelled_weighs_nothing_but_costs_those_it_is_taken_for():
    # class 2 is predicted once, never labelled: IoU 0 is 3 / 4, class 1 has IoU 1; 4/5 * 3/4 + 1/5
    assert frequency_weighted_iou(np.array([[3, 0, 1], [0, 1, 0], [0, 0, 0]])) == pytest.approx(0.8, rel=1e-15)


def test_frequency_weighted_iou_is_bounded_by_the_best_and_the_worst_class():
    confusion = confusion_matrix(*random_maps(num_classes=5, seed=3), num_classes=5)
    iou = iou_per_class(confusion)
    assert iou.min() <= frequency_weighted_iou(confusion) <= iou.max()


def test_frequency_weighted_iou_equals_the_mean_iou_where_classes_are_equally_frequent():
    confusion = np.array([[3, 1, 0], [0, 2, 2], [2, 1, 1]])
    assert frequency_weighted_iou(confusion) == pytest.approx(mean_iou(confusion), rel=1e-15)


def test_a_class_predicted_but_never_labelled_has_iou_zero_and_lowers_the_mean():
    confusion = np.array([[3, 1], [0, 0]])
    np.testing.assert_array_equal(iou_per_class(confusion), [0.75, 0.0])
    assert mean_iou(confusion) == 0.375


def test_a_perfect_prediction_has_mean_iou_one():
    label = np.array([[0, 1], [2, IGNORE]], np.uint8)
    assert mean_iou(confusion_matrix(label, np.minimum(label, 2), num_classes=4)) == 1.0


def test_all_ignored_gives_nan():
    label = np.full((3, 3), IGNORE, np.uint8)
    confusion = confusion_matrix(label, np.zeros((3, 3), np.uint8), num_classes=2)
    assert np.isnan(iou_per_class(confusion)).all()
    assert np.isnan(mean_iou(confusion))


def test_iou_is_symmetric_in_label_and_prediction_and_bounded():
    label, prediction = random_maps(num_classes=5)
    prediction[label == IGNORE] = 0
    iou = iou_per_class(confusion_matrix(label, prediction, num_classes=5))
    swapped = iou_per_class(confusion_matrix(label, prediction, num_classes=5).T)
    np.testing.assert_array_equal(iou, swapped)
    assert ((iou >= 0) & (iou <= 1)).all()


def test_iou_stays_exact_past_32_bits():
    # TP 2^40, union 2^41: a float32 or int32 accumulator would lose this
    confusion = np.array([[2**40, 2**39], [2**39, 1]], np.int64)
    assert iou_per_class(confusion)[0] == 0.5


@pytest.mark.parametrize("confusion", [np.zeros((2, 3), np.int64), np.zeros((2, 2)), np.zeros(4, np.int64)])
def test_iou_of_what_is_no_confusion_matrix_is_refused(confusion):
    for score in (mean_iou, frequency_weighted_iou):
        with pytest.raises(ShapeError, match=r"\(K, K\) integers"):
            score(confusion)

import numpy as np
import pytest
from fake_machine import frames

from vssbench.errors import PredictionError
from vssbench.latency.outputs import compare_outputs, together
from vssbench.records import Method, Step


class Labels(Method):
    """Class 1 everywhere, 0 at the first `wrong` pixels of a 2x2 frame from the second frame on."""

    def __init__(self, wrong=0, kind="frame"):
        self.wrong, self.kind, self.first = wrong, kind, True

    def reset(self):
        self.first = True

    def step(self, frame):
        labels = np.ones(4, np.uint8)
        labels[: 0 if self.first else self.wrong] = 0
        self.first = False
        return Step(labels=labels.reshape(2, 2), kind=self.kind)


def test_equal_labels_pass():
    check = compare_outputs(Labels(), Labels(), frames("IPP"), limit=0.0)
    assert (check.pixels, check.differing, check.share, check.passed) == (12, 0, 0.0, True)
    assert (check.frames, check.kinds) == (3, {"frame"})


def test_differing_pixels_are_counted_over_all_frames_and_held_against_the_limit():
    # one of four pixels in two of three frames
    check = compare_outputs(Labels(wrong=1), Labels(), frames("IPP"), limit=0.16)
    assert (check.differing, check.share) == (2, 2 / 12)
    assert not check.passed
    assert compare_outputs(Labels(wrong=1), Labels(), frames("IPP"), limit=2 / 12).passed


def test_several_checks_add_up_to_one():
    # 2 of 12 pixels, then 0 of 4: each alone and both together, 2 of 16
    first = compare_outputs(Labels(wrong=1), Labels(), frames("IPP"), limit=0.15)
    second = compare_outputs(Labels(kind="key"), Labels(kind="key"), frames("I"), limit=0.15)
    both = together([first, second])
    assert (both.pixels, both.differing, both.frames, both.limit) == (16, 2, 4, 0.15)
    assert both.kinds == {"frame", "key"}
    assert (first.passed, both.passed) == (False, True)
    assert together([first]) == first


def test_both_start_afresh():
    timed = Labels(wrong=4)
    timed.first = False
    assert compare_outputs(timed, Labels(), frames("I"), limit=0.0).passed


def test_other_work_is_refused_whatever_its_labels():
    with pytest.raises(PredictionError, match="other work"):
        compare_outputs(Labels(kind="warp"), Labels(), frames("I"), limit=1.0)


def test_no_frames_are_refused():
    with pytest.raises(PredictionError, match="at least one frame"):
        compare_outputs(Labels(), Labels(), [], limit=1.0)

"""Which frames are key frames, and that side information which is missing is told."""

import numpy as np
import pytest
from colour_network import frame_of

from baselines.key_frames import KeyFrames, is_key_frame, motion_of, residual_of
from vssbench.errors import BitstreamError, UsageError


def marked(types, interval=None, *, keys=None):
    """The frames of a stream, a K for each key frame."""
    keys = keys or KeyFrames(interval)
    return "".join("K" if keys.is_key(frame_of([[0]], t, index=i)) else "." for i, t in enumerate(types))


@pytest.mark.parametrize(
    ("types", "interval", "expected"),
    [
        ("IPPPPPPP", None, "K......."),
        ("IPPIPPIP", None, "K..K..K."),
        ("IPPPPPPPP", 4, "K...K...K"),
        ("IPPPP", 1, "KKKKK"),
        ("IPPPP", 2, "K.K.K"),
        ("IPPPP", 5, "K...."),
        ("IPPPPP", 5, "K....K"),
        ("IPPPIPPPP", 3, "K..K..K.."),  # an I frame is none for being one
        ("IPPPIPPPP", 4, "K...K...K"),
        ("IIPI", 2, "K.K."),
        ("IBBP", 3, "K..K"),
        ("I", 7, "K"),
    ],
)
def test_key_frames_are_every_nth_frame_or_without_an_interval_the_i_frames(types, interval, expected):
    assert marked(types, interval) == expected


@pytest.mark.parametrize(
    ("types", "interval", "expected"),
    [
        ("IPPPIPPPP", 3, "K..KK..K."),  # the I frame is one although the last was just before it
        ("IPPIPPPPP", 4, "K..K...K."),  # and the count starts anew at it
        ("IPPPIPPPP", 4, "K...K...K"),  # where the two coincide it is one key frame
        ("IIPI", 2, "KK.K"),
    ],
)
def test_where_i_frames_are_key_frames_too_the_interval_is_counted_from_them(types, interval, expected):
    assert marked(types, keys=KeyFrames(interval, at_i_frames=True)) == expected


def test_intervals_are_counted_past_255_frames():
    found = marked("I" + "P" * 599, 300)
    assert [i for i, mark in enumerate(found) if mark == "K"] == [0, 300]
    assert marked("I" + "P" * 599).count("K") == 1


def test_after_a_reset_the_count_starts_anew_and_an_i_frame_must_come():
    keys = KeyFrames(3)
    assert marked("IP", keys=keys) == "K."
    keys.reset()
    assert marked("IPPP", keys=keys) == "K..K"
    keys.reset()
    with pytest.raises(BitstreamError, match="must open with an I frame, got a P frame at index 0"):
        marked("P", keys=keys)


@pytest.mark.parametrize("interval", [None, 1, 4])
def test_a_stream_that_does_not_open_with_an_i_frame_is_refused(interval):
    with pytest.raises(BitstreamError, match="must open with an I frame, got a B frame at index 0; cut the clip"):
        marked("BI", interval)


@pytest.mark.parametrize("interval", [0, -3])
def test_an_interval_is_a_frame_or_more(interval):
    with pytest.raises(UsageError, match=f"at least 1 frame, got {interval}"):
        KeyFrames(interval)


def test_the_interval_can_be_asked_for():
    assert (KeyFrames(4).interval, KeyFrames().interval) == (4, None)


def test_a_frame_is_a_key_frame_by_its_type_alone():
    assert is_key_frame(frame_of([[0]], "I"), started=False)
    assert is_key_frame(frame_of([[0]], "I"), started=True)
    assert not is_key_frame(frame_of([[0]], "P"), started=True)


def test_side_information_that_was_not_decoded_is_told_and_not_taken_for_zero():
    whole = frame_of([[0, 1]], "P", flow=(1, 2), residual=3)
    assert motion_of(whole) is whole.motion
    np.testing.assert_array_equal(residual_of(whole), np.full((1, 2, 3), 3))
    key = frame_of([[0]], "I", index=4)
    with pytest.raises(BitstreamError, match=r'I frame at index 4 comes without motion; .*needs=\{"motion"\}'):
        motion_of(key)
    with pytest.raises(BitstreamError, match=r'I frame at index 4 comes without its residual; .*"residual"'):
        residual_of(key)

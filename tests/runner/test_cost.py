"""Counting a method's kinds of step: each once, with its share, beside the count of print, on whichever device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from vssbench.codec.cache import EncodeCache
from vssbench.codec.encode import EncodeSettings
from vssbench.complexity.macs import count_macs
from vssbench.complexity.thop_package import thop_macs
from vssbench.datasets.street import Street
from vssbench.errors import PredictionError
from vssbench.records import CompressedFrame, Method, Step
from vssbench.runner.accuracy import measure_accuracy
from vssbench.runner.cost import count_kinds, measure_cost
from vssbench.runner.members import Member
from vssbench.runner.run import Run, Setting
from vssbench.store import Store

SIZE = (16, 24)
META, CPU = torch.device("meta"), torch.device("cpu")


def frame(index, frame_type="P"):
    rgb = np.zeros((*SIZE, 3), np.uint8)
    return CompressedFrame(rgb=rgb, frame_type=frame_type, index=index, size_bytes=1)


class Streams:
    """Gives the same streams of frames whenever it is asked, and notes how many frames were taken of each."""

    def __init__(self, *lengths):
        self.lengths = lengths
        self.taken = []

    def __call__(self):
        self.taken.append([0] * len(self.lengths))
        return (self._frames(number, self.taken[-1]) for number in range(len(self.lengths)))

    def _frames(self, number, taken):
        for index in range(self.lengths[number]):
            taken[number] += 1
            yield frame(index, "P" if index else "I")


class Net(nn.Module):
    """A wide layer for key frames, a narrow one for the others: 8 and 2 outputs of 3 x 16 x 24 inputs."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2d(3, 8, 1, bias=False)
        self.narrow = nn.Conv2d(3, 2, 1, bias=False)


WIDE, NARROW = 8 * 3 * 16 * 24, 2 * 3 * 16 * 24


class KeyAndOthers(Method):
    """Its third frame of a stream does what a key frame does, under a name of its own."""

    def __init__(self, device):
        self.net = Net().to(device).eval()
        self.device = device
        self.steps = 0

    def reset(self):
        self.steps = 0

    def step(self, frame):
        images = torch.zeros(1, 3, *SIZE, device=self.device)
        kind = {0: "key", 2: "late"}.get(self.steps, "other")
        self.steps += 1
        (self.net.narrow if kind == "other" else self.net.wide)(images)
        return Step(labels=np.zeros(SIZE, np.uint8), kind=kind)

    def modules(self):
        return (self.net,)


@pytest.mark.parametrize("device", [META, CPU])
def test_every_kind_is_counted_once_beside_what_thop_says(device):
    streams = Streams(5, 5)
    found = count_kinds(KeyAndOthers(device), streams, {"key", "other", "late"})
    assert {kind: count.macs.total for kind, count in found.items()} == {"key": WIDE, "other": NARROW, "late": WIDE}
    assert {kind: count.thop for kind, count in found.items()} == {"key": WIDE, "other": NARROW, "late": WIDE}
    assert all(count.full is None and count.thop_full is None for count in found.values())
    assert {count.frame_size for count in found.values()} == {SIZE}
    # counting ends when all were met and the last one twice; thop goes where they were met first
    assert streams.taken == [[4, 0], [3, 0]]


def test_thop_goes_to_the_stream_that_has_the_kind_and_through_no_other():
    streams = Streams(2, 1, 4, 9)
    count_kinds(KeyAndOthers(META), streams, {"key", "late"})
    # all were met with the third frame of the third stream; thop needs it, and the first frame of the first stream
    assert streams.taken == [[2, 1, 4, 0], [1, 0, 3, 0]]


def test_a_kind_that_was_not_wanted_is_left_out():
    assert count_kinds(KeyAndOthers(META), Streams(5), {"other"}).keys() == {"other"}


def test_a_kind_that_is_never_met_is_refused():
    with pytest.raises(PredictionError, match="no step of kind lost was met"):
        count_kinds(KeyAndOthers(META), Streams(5), {"key", "lost"})


def test_two_steps_of_one_kind_must_do_the_same():
    class Fickle(KeyAndOthers):
        def step(self, frame):
            found = super().step(frame)
            return Step(labels=found.labels, kind="frame")

    with pytest.raises(PredictionError, match=r"two steps of kind 'frame' did different work"):
        count_kinds(Fickle(META), Streams(5), {"frame"})


def test_a_method_without_modules_has_no_count_by_thop():
    class Plain(KeyAndOthers):
        def modules(self):
            return ()

    found = count_kinds(Plain(META), Streams(4), {"key", "other"})
    assert {count.thop for count in found.values()} == {"thop looks at modules, and the method names none"}
    assert found["key"].macs.total == WIDE


def test_a_method_that_thop_fails_on_keeps_its_count():
    class Watched(KeyAndOthers):
        def step(self, frame):
            if self.net.wide._forward_hooks:
                raise RuntimeError("no hooks here")
            return super().step(frame)

    found = count_kinds(Watched(META), Streams(4), {"key", "other"})
    assert {count.thop for count in found.values()} == {"thop fails: RuntimeError: no hooks here"}
    assert found["other"].macs.total == NARROW


def test_a_method_that_does_something_else_the_second_time_has_no_count_by_thop():
    class Forgetful(KeyAndOthers):
        resets = 0

        def reset(self):
            super().reset()
            self.resets += 1

        def step(self, frame):
            found = super().step(frame)
            return Step(labels=found.labels, kind=found.kind if self.resets == 1 else "again")

    found = count_kinds(Forgetful(META), Streams(4), {"key", "other"})
    assert "the step that was of kind 'key' is of kind 'again'" in found["key"].thop


def test_thop_and_the_true_count_are_those_of_the_network_itself():
    class Whole(KeyAndOthers):
        def __init__(self):
            super().__init__(META)
            self.net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()).to(META).eval()

        def step(self, frame):
            self.net(torch.empty(1, 3, *SIZE, device=META))
            return Step(labels=np.zeros(SIZE, np.uint8), kind="frame")

    method = Whole()
    found = count_kinds(method, Streams(3), {"frame"})["frame"]
    assert found.thop == thop_macs(method.net, SIZE) == (27 + 4) * 8 * 16 * 24
    assert found.macs == count_macs(lambda: method.net(torch.empty(1, 3, *SIZE, device=META)))


# ---- shares ----


class Growing(KeyAndOthers):
    """Frames other than the key frame push a part of `points` points through a linear layer of 3 x 5."""

    def __init__(self, device, *, points=96):
        super().__init__(device)
        self.net.point = nn.Linear(3, 5).to(device)
        self.points = points
        self.assumed = []

    def step(self, frame):
        self.assumed.append(self.assumed_share)
        if frame.frame_type == "I":
            self.net.wide(torch.zeros(1, 3, *SIZE, device=self.device))
            return Step(labels=np.zeros(SIZE, np.uint8), kind="key")
        share = 0.3 if self.assumed_share is None else self.assumed_share
        self.net.narrow(torch.zeros(1, 3, *SIZE, device=self.device))
        self.work(round(share * self.points))
        return Step(labels=np.zeros(SIZE, np.uint8), kind="growing", share=self.share_of(share))

    def work(self, number):
        self.net.point(torch.zeros(number, 3, device=self.device))

    def share_of(self, assumed):
        return assumed


@pytest.mark.parametrize("device", [META, CPU])
def test_a_kind_with_a_share_is_counted_at_none_and_at_all_of_it(device):
    method = Growing(device)
    found = count_kinds(method, Streams(3, 3), {"key", "growing"})
    growing = found["growing"]
    assert (growing.macs.by_kind["convolution"], growing.macs.by_kind["linear"]) == (NARROW, 0)
    assert (growing.full.by_kind["convolution"], growing.full.by_kind["linear"]) == (NARROW, 96 * 15)
    assert (growing.thop, growing.thop_full) == (NARROW, NARROW + 96 * 15)
    assert found["key"].full is None
    assert (found["key"].thop, found["key"].thop_full) == (WIDE, None)
    assert set(method.assumed) == {0.0, 0.5, 1.0}
    assert method.assumed_share is None  # as it was


@pytest.mark.parametrize("exact", [False, True])
def test_half_of_an_odd_number_of_points_still_lies_on_the_line(exact):
    class Odd(Growing):
        def share_of(self, assumed):
            return round(assumed * self.points) / self.points if exact else assumed

    points = 3 if exact else 97  # one that reports whole points may have few
    assert (
        count_kinds(Odd(META, points=points), Streams(3), {"growing"})["growing"].full.by_kind["linear"] == 15 * points
    )


def test_work_that_is_not_in_proportion_to_its_share_is_refused():
    class Squared(Growing):
        def work(self, number):
            self.net.point(torch.zeros(number**2, 3, device=self.device))

    with pytest.raises(
        PredictionError, match=r"'growing' is not in proportion to its share: linear 0 MACs at 0, 34560"
    ):
        count_kinds(Squared(META), Streams(3), {"growing"})


def test_a_method_that_does_not_do_the_assumed_share_is_refused():
    class Deaf(Growing):
        def share_of(self, assumed):
            return 0.3

    with pytest.raises(PredictionError, match=r"was to do a share of 0\.0 and says 0\.3"):
        count_kinds(Deaf(META), Streams(3), {"growing"})


def test_a_share_that_was_measured_must_be_there_while_counting():
    class Silent(Growing):
        def share_of(self, assumed):
            return None

    assert count_kinds(Silent(META), Streams(3), {"growing"})["growing"].full is None
    with pytest.raises(PredictionError, match="steps of kind growing had a share when they were measured"):
        count_kinds(Silent(META), Streams(3), {"growing", "key"}, shared={"growing"})


# ---- a run ----


class Silently:
    def __init__(self):
        self.warned = []

    def begin(self, stage, total):
        pass

    def advance(self, units=1, note=""):
        pass

    def warn(self, message):
        self.warned.append(message)


@pytest.fixture
def run(tmp_path):
    """Two short streams of a tiny street, for the members that a test adds."""
    street = Street(size=SIZE, num_videos={"test": 1}, frames_per_video=6)
    setting = Setting(
        dataset="street",
        split="test",
        class_names=street.class_names,
        videos=street.videos("test"),
        partial=False,
        encoding=EncodeSettings(codec="mpeg4", gop_length=3),
        protocol="single-stream",
        device=CPU,
    )
    with Store.open(tmp_path / "run") as store:
        yield Run(
            setting=setting, store=store, cache=EncodeCache(tmp_path / "cache"), reporter=Silently(), fail_fast=True
        )


def measured(run, member):
    """The costs of a member after accuracy and operations."""
    run.add(member)
    run.begin()
    measure_accuracy(run)
    measure_cost(run)
    return run.store.costs(run.entries[0].cell.key)


def test_a_run_stores_work_at_both_ends_of_the_share_and_the_counts_of_print(run):
    def printed(kind, frame_size):
        return {"paper": 7 * frame_size[0] if kind == "key" else "no such kind"}

    costs = measured(run, Member(name="grows", family="grows", build=Growing, printed=printed))
    assert run.reporter.warned == []
    assert costs["key"].macs["convolution"] == WIDE
    assert costs["key"].macs_at_full_share is None
    assert costs["key"].conventions == {"thop": WIDE, "paper": 7 * 16}
    growing = costs["growing"]
    assert (growing.macs["linear"], growing.macs_at_full_share["linear"]) == (0, 96 * 15)
    assert growing.conventions == {
        "thop": NARROW, "thop at full share": NARROW + 96 * 15, "paper": "no such kind",
    }  # fmt: skip
    shares = run.store.mean_shares_by_clip(run.entries[0].cell.key)
    assert {kind for by_d in shares.values() for kinds in by_d.values() for kind in kinds} == {"growing"}


def test_a_method_that_looks_at_values_is_counted_while_it_computes_with_its_share(run):
    class Looks(Growing):
        def step(self, frame):
            float(torch.zeros(1, device=self.device))  # refused without values
            return super().step(frame)

    costs = measured(run, Member(name="looks", family="looks", build=Looks))
    (warned,) = run.reporter.warned
    assert "looks does not run without values" in warned
    assert costs["growing"].macs_at_full_share["linear"] == 96 * 15
    assert costs["growing"].conventions == {"thop": NARROW, "thop at full share": NARROW + 96 * 15}

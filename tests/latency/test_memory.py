import numpy as np
import pytest
import torch

from vssbench.errors import UsageError
from vssbench.latency.memory import (
    MemoryByKind,
    PeakMemory,
    largest_of,
    peak_memories,
    peak_memory,
    peak_memory_by_kind,
)
from vssbench.records import CompressedFrame, Method, Step

MEBI = 2**20


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    return request.getfixturevalue("cuda") if request.param == "cuda" else request.param


def block(mebibytes, device):
    return torch.ones(mebibytes * MEBI // 4, device=device)


def added_mebibytes(*runs, device):
    return [peak.added_bytes / MEBI for peak in peak_memories(runs, device=device)]


def test_the_peak_is_what_lives_at_once_not_the_sum(device):
    def run():
        first = block(4, device)
        second = first + 1  # 4 + 4 live
        del first
        third = second + 1  # 4 + 4 live again, 12 in all
        del second, third
        return block(2, device)

    assert added_mebibytes(run, device=device) == pytest.approx([8], rel=0.001)


def test_each_callable_starts_from_what_was_held_before_it(device):
    held = []

    def replace():
        held.append(block(3, device))
        held.pop(0)
        held.append(block(5, device))  # 3 - 16 + 5

    runs = (lambda: held.append(block(16, device)), replace, lambda: held.append(block(2, device)))
    assert added_mebibytes(*runs, device=device) == pytest.approx([16, 3, 2], rel=0.001)


def test_a_callable_that_allocates_nothing_adds_nothing(device):
    held = block(1, device)
    assert added_mebibytes(lambda: held.add_(1), lambda: None, device=device) == pytest.approx([0, 0], abs=0.001)


def test_no_callables_have_no_peaks():
    assert peak_memories([], device="cpu") == []


def test_temporary_memory_inside_an_operator_is_seen():
    @torch.library.custom_op("vssbench_test::greedy", mutates_args=())
    def greedy(x: torch.Tensor) -> torch.Tensor:
        return torch.ones(2 * MEBI).sum() + x  # 8 MiB that no caller sees

    x = torch.ones(1)
    assert added_mebibytes(lambda: greedy(x), device="cpu")[0] >= 8


def test_the_total_is_unknown_on_the_cpu():
    assert peak_memory(lambda: None, device="cpu").total_bytes is None


@pytest.mark.gpu
def test_the_total_on_cuda_holds_what_lived_before(cuda):
    held = block(16, cuda)
    peak = peak_memory(lambda: block(4, cuda), device=cuda)
    assert peak.total_bytes >= held.nbytes + 4 * MEBI


class KeepsFeatures(Method):
    """Holds 4 MiB from a key step on; makes 6 MiB on the way there, 1 MiB in other steps."""

    def __init__(self, device):
        self.device = device

    def reset(self):
        self.state = None

    def step(self, frame):
        key = frame.frame_type == "I"
        if key:
            scratch = block(6, self.device)
            self.state = block(4, self.device) + scratch[0]
        else:
            block(1, self.device)
        return Step(labels=np.zeros((2, 2), np.uint8), kind="key" if key else "non-key")


def test_the_peak_of_each_kind_of_step_is_the_largest_of_its_steps(device):
    rgb = np.zeros((2, 2, 3), np.uint8)
    frames = [CompressedFrame(rgb=rgb, frame_type=t, index=i, size_bytes=1) for i, t in enumerate("IPPIP")]
    peaks = peak_memory_by_kind(KeepsFeatures(device), frames, device=device)
    # key: 6 of scratch, 4 of block and 4 of their sum, while the old 4 (if any) were there from the start
    assert {kind: peak.added_bytes / MEBI for kind, peak in peaks.by_kind.items()} == pytest.approx(
        {"key": 14, "non-key": 1}, rel=0.001
    )
    # of all steps the most is held at the second key step, with the old 4 still there
    assert peaks.whole.added_bytes / MEBI == pytest.approx(18, rel=0.001)


def test_of_several_passes_the_largest_peaks_are_kept():
    def part(whole, **by_kind):
        of = {kind: PeakMemory(added_bytes=added, total_bytes=None, source="s") for kind, added in by_kind.items()}
        return MemoryByKind(whole=PeakMemory(added_bytes=whole, total_bytes=None, source="s"), by_kind=of)

    found = largest_of([part(9, key=5, warp=2), part(7, key=6, full=1)])
    assert found.whole.added_bytes == 9
    assert {kind: peak.added_bytes for kind, peak in found.by_kind.items()} == {"key": 6, "warp": 2, "full": 1}


def test_memory_of_no_frames_is_refused(device):
    with pytest.raises(UsageError, match="at least one frame"):
        peak_memory_by_kind(KeepsFeatures(device), [], device=device)


def test_an_error_inside_reaches_the_caller_and_the_next_measurement_works():
    def fail():
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        peak_memory(fail, device="cpu")
    assert added_mebibytes(lambda: block(1, "cpu"), device="cpu") == pytest.approx([1], rel=0.001)


def test_other_devices_are_refused():
    with pytest.raises(UsageError, match="'meta'"):
        peak_memory(lambda: None, device="meta")


def test_measuring_writes_nothing_to_the_terminal(capfd):
    added_mebibytes(lambda: block(1, "cpu"), device="cpu")
    assert capfd.readouterr() == ("", "")

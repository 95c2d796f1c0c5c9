"""A machine whose clock only work moves, and a method that gives it work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vssbench.records import CompressedFrame, Method, Step

LABELS = np.zeros((2, 2), np.uint8)


def frames(types):
    rgb = np.zeros((2, 2, 3), np.uint8)
    return [CompressedFrame(rgb=rgb, frame_type=t, index=i, size_bytes=1) for i, t in enumerate(types)]


class FakeMachine:
    """Work that is queued is done only when somebody waits for it."""

    def __init__(self):
        self.now = 0.0
        self.queued = 0.0
        self.waits = 0

    def clock(self):
        return self.now

    def synchronise(self):
        self.waits += 1
        self.now += self.queued
        self.queued = 0.0


@dataclass
class FakeMethod(Method):
    """Queues 10 s of work on an I frame and 1 s on the others; a reset takes 1000 s."""

    machine: FakeMachine

    def __post_init__(self):
        self.seen = []

    def reset(self):
        self.machine.now += 1000  # must not be timed
        self.seen.append("reset")

    def step(self, frame):
        self.seen.append(frame.index)
        self.machine.queued += 10.0 if frame.frame_type == "I" else 1.0
        return Step(labels=LABELS, kind="key" if frame.frame_type == "I" else "non-key")

"""A plugin for tests: a street small enough to run in seconds, and methods that misbehave in one way each."""

import os
import time

import numpy as np

from vssbench.datasets.street import Street
from vssbench.records import Method, Step


def tiny_street(_folder):
    return Street(size=(64, 96), num_videos={"train": 1, "test": 2}, frames_per_video=8)


class Constant(Method):
    """Labels everything 3, as a base for the others."""

    def __init__(self, bench):
        self.device = bench.device

    def step(self, frame):
        return Step(labels=np.full(frame.rgb.shape[:2], 3, np.uint8), kind="guess")


class Slow(Constant):
    """Takes its time, so that a test can kill the run half-way."""

    def step(self, frame):
        time.sleep(float(os.environ.get("TINY_SLEEP_S", "0")))
        return super().step(frame)


class FailsAtThird(Constant):
    def reset(self):
        self.seen = 0

    def step(self, frame):
        self.seen += 1
        if self.seen == 3:
            raise RuntimeError("the third frame is too much")
        return super().step(frame)


class Interrupted(Constant):
    """A person presses Ctrl-C at the fifth frame."""

    steps = 0

    def step(self, frame):
        Interrupted.steps += 1
        if Interrupted.steps == 5 and os.environ.get("TINY_INTERRUPT"):
            raise KeyboardInterrupt
        return super().step(frame)


class NanLogits(Constant):
    def step(self, frame):
        import torch

        from vssbench.ops.images import labels_from_logits

        logits = torch.full((1, 11, 4, 4), float("nan"))
        return Step(labels=labels_from_logits(logits, size=frame.rgb.shape[:2]), kind="guess")


class WrongSize(Constant):
    def step(self, frame):
        return Step(labels=np.zeros((8, 8), np.uint8), kind="guess")


class OutOfRange(Constant):
    def step(self, frame):
        return Step(labels=np.full(frame.rgb.shape[:2], 11, np.uint8), kind="guess")


DATASETS = {"tiny-street": tiny_street}
METHODS = {
    "guess": Constant,
    "slow": Slow,
    "fails": FailsAtThird,
    "interrupted": Interrupted,
    "nan": NanLogits,
    "wrong-size": WrongSize,
    "out-of-range": OutOfRange,
}

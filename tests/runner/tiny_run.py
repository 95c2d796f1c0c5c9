"""A run of methods made in a test over a street small enough to be measured in a second."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from vssbench.codec.cache import EncodeCache
from vssbench.codec.encode import EncodeSettings
from vssbench.datasets.street import Street
from vssbench.records import Method, SourceVideo, Step
from vssbench.runner.members import Member
from vssbench.runner.run import Run, Setting

CLASSES = 11
GOP = 4


class Silent:
    """A reporter that keeps what it was warned of."""

    def __init__(self):
        self.warned = []

    def begin(self, stage, total):
        pass

    def advance(self, units=1, note=""):
        pass

    def warn(self, message):
        self.warned.append(message)


class Bright(Method):
    """Labels by the brightness of the decoded picture, in eight classes."""

    def step(self, frame):
        labels = (frame.rgb.astype(np.uint16).sum(2) * 8 // 766).astype(np.uint8)
        return Step(labels=labels, kind="guess")


def street(**changes):
    """The one video of a tiny street, eight frames, each labelled unless told."""
    (video,) = Street(size=(64, 96), num_videos={"test": 1}, frames_per_video=8).videos("test")
    return SourceVideo(**{**vars(video), **changes})


def setting(*videos, protocol="single-stream"):
    return Setting(
        dataset="street",
        split="test",
        class_names=Street.class_names,
        videos=videos,
        partial=False,
        encoding=EncodeSettings(codec="h264", gop_length=GOP, bitrate_kbps=100, fps=15.0),
        protocol=protocol,
        device=torch.device("cpu"),
    )


def member(name, build, *, network="n"):
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    return Member(
        name=name, family=name, build=lambda device: build(), network=network, weights={f"{name}.safetensors": sha256}
    )


def run_of(store, folder, methods, *videos, **options):
    """A run of methods, name -> what makes one, that has begun."""
    run = Run(
        setting=setting(*(videos or (street(),)), **options),
        store=store,
        cache=EncodeCache(folder / "streams"),
        reporter=Silent(),
    )
    for name, build in methods.items():
        run.add(member(name, build))
    run.begin()
    return run


def key_of(run, name):
    return next(entry.cell.key for entry in run.entries if entry.member.name == name)

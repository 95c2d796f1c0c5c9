"""What of TFC can be left out or exchanged: the rows of the paper's Table 2 as one record."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from vssbench.errors import UsageError

Interpolation = Literal["none", "soft", "hard", "fixed"]
Normalise = Literal["per head", "all"]

THRESHOLD = 0.8  # paper, sec. 3.2: a point less similar than this is updated
INTERVAL = 4  # paper, sec. 3.3: frames from one key frame to the next
# Paper, sec. 4.3: "we set the weight to be 0.1", as about a tenth of the points change. That row is steadier and less
# accurate than the soft weights, so it is the new features that get the tenth.
FIXED_KEY_WEIGHT = 0.9


@dataclass(frozen=True, kw_only=True)
class Options:
    """How key features reach the other frames; the defaults are TFC's.

    Args:
        interpolation: between key and new features (Eq. 7): "soft", by the similarity; "hard", by whether it reaches
            the threshold; "fixed", by 0.9 on the key features; "none", the new features as they are.
        updated: whether points below the threshold are updated by deformable attention.
        threshold: of the similarity.
        similarity_level: the level whose projections are compared, 1 or 2 (Eq. 5).
        supervised: whether the focal loss teaches the similarity which labels stay (Eq. 12).
        warp: move the reused levels along the stream's motion vectors first. The paper does so with optical flow
            (RAFT), in one row of its Table 2; this reads no network's flow. It runs the weights of a variant without.
        normalise: of the attention's weights: "per head" over levels and points, as Deformable DETR has it, or over
            "all" heads too, as the text says (below Eq. 10).

    Raises: UsageError, for an unknown name, a number out of range, or an option that nothing looks at.
    """

    interpolation: Interpolation = "soft"
    updated: bool = True
    threshold: float = THRESHOLD
    similarity_level: Literal[1, 2] = 2
    supervised: bool = True
    warp: bool = False
    normalise: Normalise = "per head"

    def __post_init__(self) -> None:
        for name, kind in (("interpolation", Interpolation), ("normalise", Normalise)):
            if getattr(self, name) not in get_args(kind):
                raise UsageError(f"{name} must be one of {', '.join(get_args(kind))}, got {getattr(self, name)!r}")
        if self.similarity_level not in (1, 2):
            raise UsageError(f"similarity_level must be 1 or 2, the levels of a non-key frame's own, got {self}")
        if not 0 < self.threshold <= 1:
            raise UsageError(f"threshold must be above 0 and at most 1, got {self.threshold}")
        read = {
            "threshold": self.reads_threshold,
            "similarity_level": self.reads_similarity,
            "supervised": self.reads_similarity,
            "normalise": self.updated,
        }
        useless = [name for name in self.changed() if not read.get(name, True)]
        if useless:
            raise UsageError(f"{', '.join(useless)}: nothing looks at it in these options; leave it out")

    @property
    def reads_similarity(self) -> bool:
        """Whether the similarity of the two frames decides anything."""
        return self.updated or self.interpolation in ("soft", "hard")

    @property
    def reads_threshold(self) -> bool:
        """Whether it matters how similar a point has to be."""
        return self.updated or self.interpolation == "hard"

    def changed(self) -> dict[str, Any]:
        """The options that differ from TFC's, by name."""
        own, plain = dataclasses.asdict(self), {f.name: f.default for f in dataclasses.fields(self)}
        return {name: value for name, value in own.items() if value != plain[name]}


_REUSE = {"interpolation": "none", "updated": False}
# What a row of Table 2 changes, by the name after the colon: `tfc:hard@4`.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "reuse": _REUSE,
    "interpolation": {"updated": False},
    "hard": {"updated": False, "interpolation": "hard"},
    "fixed": {"updated": False, "interpolation": "fixed"},
    "msda": {"interpolation": "none"},
    "msda-1.0": {"interpolation": "none", "threshold": 1.0},
    "msda-0.5": {"interpolation": "none", "threshold": 0.5},
    "warp": {**_REUSE, "warp": True},
    "level-1": {"similarity_level": 1},
    "no-focal": {"supervised": False},
    "literal": {"normalise": "all"},
}
WEIGHTS_OF = {"warp": "reuse"}  # a variant that is not trained -> the one whose weights it runs

# Table 2's rows, as the paper prints them -> the variant and the interval between key frames that they are; "" is TFC.
# The rows of other intervals run TFC's own weights, trained with 4.
TABLE_2: Mapping[tuple[str, str], tuple[str, int]] = {
    ("Linear Interp.", "Feature reuse"): ("reuse", INTERVAL),
    ("Linear Interp.", "+ Linear interp."): ("interpolation", INTERVAL),
    ("Linear Interp.", "+ Hard interp."): ("hard", INTERVAL),
    ("Linear Interp.", "+ Fixed interp."): ("fixed", INTERVAL),
    ("Sparse MSDA", "Feature reuse"): ("reuse", INTERVAL),
    ("Sparse MSDA", "+ Sparse MSDA (0.8)"): ("msda", INTERVAL),
    ("Sparse MSDA", "+ Sparse MSDA (1.0)"): ("msda-1.0", INTERVAL),
    ("Sparse MSDA", "+ Sparse MSDA (0.5)"): ("msda-0.5", INTERVAL),
    ("Sparse MSDA", "+ Flow-guided Warping"): ("warp", INTERVAL),
    ("Cosine Similarity", "x^2"): ("", INTERVAL),
    ("Cosine Similarity", "x^1"): ("level-1", INTERVAL),
    ("Focal Loss", "With Focal Loss"): ("", INTERVAL),
    ("Focal Loss", "Without Focal Loss"): ("no-focal", INTERVAL),
    **{("Frame Interval", f"Interval {interval}"): ("", interval) for interval in range(4, 10)},
}


def options_of(variant: str) -> Options:
    """The options of a variant by its name; "" is TFC itself. Raises: UsageError, for an unknown name."""
    if variant and variant not in VARIANTS:
        raise UsageError(f"TFC has no variant {variant!r}; there are {', '.join(VARIANTS)}")
    return Options(**VARIANTS.get(variant, {}))

"""What of AR-Seg can be left out or exchanged: the rows of the paper's Table 3 as one record."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from vssbench.errors import UsageError

FusionName = Literal["none", "warp", "local", "global", "global-release", "convolution"]
LocationName = Literal["final", "task", "feat"]
FeatureLossName = Literal["mse", "kl", "kl-release", "none"]

# fusion -> the options that it looks at; another one set would be a setting without effect
_ENCODING = ("warp", "grouped", "direct")
_READ_BY: dict[str, tuple[str, ...]] = {
    "none": (),
    "warp": (),
    "local": ("window", *_ENCODING),
    "global": _ENCODING,
    "global-release": _ENCODING,
    "convolution": ("warp",),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How key features reach the other frames, and how the low-resolution branch is trained; the defaults are AR-Seg's.

    Args:
        fusion: "local" attention, CReFF; "global" attention to keys and values at 1/32, "global-release" as the
            released program has it; one "convolution" of both maps; "none", the low-resolution features only upsampled;
            "warp", the warped key features alone, with no low-resolution branch at all.
        window: side of the local attention's neighbourhood.
        warp: move the key features along the motion first; False fuses them where they are.
        grouped: depthwise 3x3 encoders of query, key and value; False has dense ones (the paper's LA*).
        direct: add the upsampled features to what was attended to (Eq. 4; the paper's DC, direct connection).
        location: the maps that are fused: before the "final" layer, before the "task" or the "feat" sub-network.
        shared_final: FST's implicit constraint: the high-resolution network's final layer, frozen. False has the
            branch train its own, which starts as a copy of it.
        feature_loss: FST's explicit constraint: "mse" of the fused maps (Eq. 5), or "none"; "kl" divergence of the
            class distributions of both networks; "kl-release", the divergence as the released program takes it.

    Raises: UsageError, for an unknown name, an even window, or an option that the fusion does not look at.
    """

    fusion: FusionName = "local"
    window: int = 7
    warp: bool = True
    grouped: bool = True
    direct: bool = True
    location: LocationName = "final"
    shared_final: bool = True
    feature_loss: FeatureLossName = "mse"

    def __post_init__(self) -> None:
        for name, kind in (("fusion", FusionName), ("location", LocationName), ("feature_loss", FeatureLossName)):
            if getattr(self, name) not in get_args(kind):
                raise UsageError(f"{name} must be one of {', '.join(get_args(kind))}, got {getattr(self, name)!r}")
        if self.window < 1 or self.window % 2 == 0:
            raise UsageError(f"window must be odd and at least 1, got {self.window}")
        without_branch = () if self.has_branch else ("location", "shared_final", "feature_loss")
        for name in ("window", *_ENCODING, *without_branch):
            if name not in _READ_BY[self.fusion] and name in self.changed():
                raise UsageError(f"fusion {self.fusion!r} has no {name}; leave it out")

    @property
    def has_branch(self) -> bool:
        """Whether there is a low-resolution branch, and so anything to train."""
        return self.fusion != "warp"

    @property
    def reads_motion(self) -> bool:
        """Whether non-key frames need their motion back to the key frame."""
        return self.warp and self.fusion != "none"

    def changed(self) -> dict[str, Any]:
        """The options that differ from AR-Seg's, by name."""
        own, plain = dataclasses.asdict(self), {f.name: f.default for f in dataclasses.fields(self)}
        return {name: value for name, value in own.items() if value != plain[name]}


# What a row of Table 3 changes, by the name after the colon: `arseg:window-3@0.5`.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "no-creff": {"fusion": "none"},
    "warp-only": {"fusion": "warp"},
    "attention-only": {"warp": False},
    "window-3": {"window": 3},
    "window-11": {"window": 11},
    "ungrouped": {"grouped": False},
    "global": {"fusion": "global"},
    "global-release": {"fusion": "global-release"},
    "convolution": {"fusion": "convolution"},
    "no-direct": {"direct": False},
    "before-task": {"location": "task"},
    "before-feat": {"location": "feat"},
    "no-fst": {"shared_final": False, "feature_loss": "none"},
    "shared-only": {"feature_loss": "none"},
    "mse-only": {"shared_final": False},
    "kl": {"feature_loss": "kl"},
    "kl-release": {"feature_loss": "kl-release"},
}
UNTRAINED = frozenset({"warp-only"})  # runs the full-resolution network alone

# Table 3's rows of CReFF and of FST, as the paper prints them -> the variants that they are; "" is AR-Seg itself.
# What the released program does otherwise than the paper says has a second name, which ends in "-release".
TABLE_3: Mapping[str, tuple[str, ...]] = {
    "W_MV + F_LA (7x7)": ("",),
    "w/o CReFF": ("no-creff",),
    "W_MV": ("warp-only",),
    "F_LA (7x7)": ("attention-only",),
    "W_MV + F_LA (3x3)": ("window-3",),
    "W_MV + F_LA (11x11)": ("window-11",),
    "W_MV + F_LA* (7x7)": ("ungrouped",),
    "W_MV + F_GA (1/32)": ("global", "global-release"),
    "W_MV + F_Conv": ("convolution",),
    "CReFF w/o DC": ("no-direct",),
    "before C1x1": ("",),
    "before N_task": ("before-task",),
    "before N_feat": ("before-feat",),
    "MSE Loss + Shared C1x1": ("",),
    "w/o FST": ("no-fst",),
    "Shared C1x1": ("shared-only",),
    "MSE Loss": ("mse-only",),
    "KL Loss + Shared C1x1": ("kl", "kl-release"),
}


def options_of(variant: str, base: Options | None = None) -> Options:
    """The options of a variant by its name; "" is `base` itself.

    Args:
        variant: a name of `VARIANTS`.
        base: what the variant changes; None for AR-Seg's own options.

    Raises: UsageError, for an unknown name, or when the base has options that the variant has no use for.
    """
    changes = VARIANTS.get(variant, {})
    if variant and not changes:
        raise UsageError(f"no variant of arseg is called {variant!r}; there are {', '.join(VARIANTS)}")
    return dataclasses.replace(base or Options(), **changes)

"""slice_segment_data() as machine code, compiled at first use and kept on disk (where numba keeps its cache)."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

from vssbench.codec.hevc.compiled import OPTIONS
from vssbench.codec.hevc.slice_data import slice_segment_data
from vssbench.codec.hevc.state import BUILD

_FIRST_USE = threading.Lock()  # or two threads would compile at once
_ANNOUNCED_AFTER_S = 2.0  # reading the code from the disk takes less


def run_slice_segment_data(s: Any, *arrays: Any) -> None:
    """slice_segment_data.slice_segment_data; the first call of a process loads or compiles it.

    Compiling takes a quarter of a minute, more on a busy machine, and says so on stderr.
    """
    with _FIRST_USE:
        entry = _entry()
        if not getattr(entry, "signatures", True):
            _load(entry, s, *arrays)
            return
    entry(s, *arrays)


def _load(entry: Callable[..., None], *arguments: Any) -> None:
    announcement = threading.Timer(_ANNOUNCED_AFTER_S, _announce)
    announcement.daemon = True
    announcement.start()
    try:
        entry(*arguments)
    finally:
        announcement.cancel()


def _announce() -> None:
    print("compiling the HEVC motion reader; this happens once and takes up to a minute ...", file=sys.stderr)


@cache
def _entry() -> Callable[..., None]:
    """The one function that is cached.

    numba notices a change of the cached function's file alone, so a hash of all files here is made part of the
    key: it is a variable that the function encloses. So is the mode with checked indices.
    """
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    checked = bool(numba.config.BOUNDSCHECK)
    build = int.from_bytes(hashlib.sha256(sources + bytes([checked])).digest()[:6], "big")

    def entry(  # type: ignore[no-untyped-def]
        s, ctx, stored_contexts, data, substream_starts, ctb_scan, min_tb_addr_zs, region, units, intra_modes,
        motion, collocated, references, candidates,
    ):  # fmt: skip
        s[BUILD] = build
        slice_segment_data(  # type: ignore[no-untyped-call]
            s, ctx, stored_contexts, data, substream_starts, ctb_scan, min_tb_addr_zs, region, units, intra_modes,
            motion, collocated, references, candidates,
        )  # fmt: skip

    try:
        compiled: Callable[..., None] = numba.njit(cache=True, **OPTIONS)(entry)
    except RuntimeError:  # no folder can be written: neither beside this file nor the user's own
        compiled = numba.njit(**OPTIONS)(entry)
    return compiled

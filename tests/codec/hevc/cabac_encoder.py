"""An arithmetic encoder after the informative clause 9.3.5 of ITU-T H.265, and encoders of some syntax elements.

It shares nothing with the decoder but the two tables that the encoding process is defined by (rangeTabLps and
transIdxLps), which `test_hevc_cabac.py` checks by themselves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vssbench.codec.hevc.cabac import NEXT_LPS, RANGE_LPS

_LPS = np.asarray(RANGE_LPS).reshape(64, 4).tolist()
_AFTER_LPS = [int(NEXT_LPS[2 * state + 1]) >> 1 for state in range(64)]


class CabacEncoder:
    """Bins -> bits; contexts are [pStateIdx, valMps]."""

    def __init__(self) -> None:
        self.bits: list[int] = []
        self._restart()

    def _restart(self) -> None:
        self._low, self._range, self._outstanding, self._is_first = 0, 510, 0, True

    def decision(self, context: list[int], value: int) -> None:
        lps = _LPS[context[0]][(self._range >> 6) & 3]
        self._range -= lps
        if value != context[1]:
            self._low += self._range
            self._range = lps
            if context[0] == 0:
                context[1] = 1 - context[1]
            context[0] = _AFTER_LPS[context[0]]
        else:
            context[0] = min(context[0] + 1, 62)
        self._renormalise()

    def bypass(self, value: int) -> None:
        self._low <<= 1
        if value:
            self._low += self._range
        if self._low >= 1024:
            self._put(1)
            self._low -= 1024
        elif self._low < 512:
            self._put(0)
        else:
            self._low -= 512
            self._outstanding += 1

    def bypass_bits(self, value: int, count: int) -> None:
        for bit in range(count - 1, -1, -1):
            self.bypass((value >> bit) & 1)

    def terminate(self, value: int) -> None:
        """A bin of 1 flushes: its last bit is the stop bit (or what stands in its place before PCM and substreams)."""
        self._range -= 2
        if not value:
            self._renormalise()
            return
        self._low += self._range
        self._range = 2
        self._renormalise()
        self._put((self._low >> 9) & 1)
        self.bits += [(self._low >> 8) & 1, 1]
        self.bits += [0] * (-len(self.bits) % 8)
        self._restart()

    def data(self) -> NDArray[np.uint8]:
        return np.packbits(self.bits)

    def _renormalise(self) -> None:
        while self._range < 256:
            if self._low < 256:
                self._put(0)
            elif self._low >= 512:
                self._low -= 512
                self._put(1)
            else:
                self._low -= 256
                self._outstanding += 1
            self._range <<= 1
            self._low <<= 1

    def _put(self, bit: int) -> None:
        if not self._is_first:
            self.bits.append(bit)
        self._is_first = False
        self.bits += [1 - bit] * self._outstanding
        self._outstanding = 0


def exp_golomb_bins(value: int, k: int) -> list[int]:
    """EGk (9.3.3.5), as the standard's pseudo code has it."""
    bins, remaining = [], value
    while remaining >= 1 << k:
        bins.append(1)
        remaining -= 1 << k
        k += 1
    bins.append(0)
    return bins + [(remaining >> bit) & 1 for bit in range(k - 1, -1, -1)]


def level_remaining_bins(value: int, rice: int) -> list[int]:
    """coeff_abs_level_remaining (9.3.3.11): a truncated Rice prefix of at most 4 ones, then EG(rice + 1)."""
    prefix = min(4 << rice, value)
    if prefix < 4 << rice:
        return [1] * (prefix >> rice) + [0] + [(prefix >> bit) & 1 for bit in range(rice - 1, -1, -1)]
    return [1] * 4 + exp_golomb_bins(value - (4 << rice), rice + 1)


def scan(size: int, scan_idx: int) -> list[tuple[int, int]]:
    """(x, y) in the order of 6.5.3 (up-right diagonal, written as its loop), 6.5.4 (horizontal), 6.5.5 (vertical)."""
    if scan_idx == 1:
        return [(x, y) for y in range(size) for x in range(size)]
    if scan_idx == 2:
        return [(x, y) for x in range(size) for y in range(size)]
    order: list[tuple[int, int]] = []
    x = y = 0
    while len(order) < size * size:
        while y >= 0:
            if x < size and y < size:
                order.append((x, y))
            y -= 1
            x += 1
        y, x = x, 0
    return order


class ResidualEncoder:
    """residual_coding() (7.3.8.11) of given coefficients, context by context as 9.3.4.2.3 to 9.3.4.2.7 tell.

    Args:
        contexts: for each syntax element its contexts.
    """

    def __init__(self, encoder: CabacEncoder, contexts: dict[str, list[list[int]]]) -> None:
        self._encoder = encoder
        self._contexts = contexts

    def encode(
        self, levels: NDArray[np.int64], *, is_chroma: int, scan_idx: int, hides_sign: bool, sends_skip: bool
    ) -> None:
        """Write the block `levels`, (y, x). With hides_sign a sign is left out, whatever the parity says of it."""
        encoder, contexts = self._encoder, self._contexts
        size = len(levels)
        log2_size = size.bit_length() - 1
        if sends_skip and log2_size == 2:
            encoder.decision(contexts["transform_skip_flag"][is_chroma], 0)
        blocks, inside = scan(size // 4, scan_idx), scan(4, scan_idx)
        positions = [(4 * bx + x, 4 * by + y) for bx, by in blocks for x, y in inside]
        last = max(n for n, (x, y) in enumerate(positions) if levels[y, x])
        self._last(positions[last], log2_size, is_chroma, scan_idx)
        coded: dict[tuple[int, int], int] = {}
        previous_ended_at_0 = False  # lastGreater1Ctx, after the update by its flag, is 0
        for i in range(last // 16, -1, -1):
            bx, by = blocks[i]
            own = [int(levels[4 * by + y, 4 * bx + x]) for x, y in inside]
            right, below = coded.get((bx + 1, by), 0), coded.get((bx, by + 1), 0)
            is_coded = int(any(own))
            if 0 < i < last // 16:
                encoder.decision(contexts["coded_sub_block_flag"][min(right + below, 1) + 2 * is_chroma], is_coded)
            else:
                is_coded = 1
            coded[bx, by] = is_coded
            if not is_coded:
                continue
            first = 15
            if i == last // 16:
                first = last % 16 - 1
            for n in range(first, -1, -1):
                infers = n == 0 and 0 < i < last // 16 and not any(own[1:])
                if not infers:
                    increment = self._sig_ctx(inside[n], (bx, by), log2_size, is_chroma, scan_idx, right + 2 * below)
                    encoder.decision(contexts["sig_coeff_flag"][increment], int(own[n] != 0))
            significant = [n for n in range(15, -1, -1) if own[n]]
            if not significant:
                continue
            previous_ended_at_0 = self._levels(
                [own[n] for n in significant],
                ctx_set=(0 if i == 0 or is_chroma else 2) + previous_ended_at_0,
                is_chroma=is_chroma,
                hidden=hides_sign and significant[0] - significant[-1] > 3,
            )

    def _last(self, xy: tuple[int, int], log2_size: int, is_chroma: int, scan_idx: int) -> None:
        coordinates = xy if scan_idx != 2 else (xy[1], xy[0])
        suffixes = []
        for name, value in zip(("x", "y"), coordinates, strict=True):
            prefix, base, bits = value, 0, 0
            if value > 3:
                bits = value.bit_length() - 2
                prefix = 2 * (bits + 1) + ((value >> bits) & 1)
                base = (2 + (prefix & 1)) << bits
            offset = 15 if is_chroma else 3 * (log2_size - 2) + ((log2_size - 1) >> 2)
            shift = log2_size - 2 if is_chroma else (log2_size + 1) >> 2
            row = self._contexts[f"last_sig_coeff_{name}_prefix"]
            for bin_idx in range(prefix):
                self._encoder.decision(row[(bin_idx >> shift) + offset], 1)
            if prefix < 2 * log2_size - 1:
                self._encoder.decision(row[(prefix >> shift) + offset], 0)
            suffixes.append((value - base, bits))
        for suffix, bits in suffixes:
            self._encoder.bypass_bits(suffix, bits)

    @staticmethod
    def _sig_ctx(
        xy: tuple[int, int], block: tuple[int, int], log2_size: int, is_chroma: int, scan_idx: int, prev_csbf: int
    ) -> int:
        x, y = xy
        if log2_size == 2:
            sig_ctx = [0, 1, 4, 5, 2, 3, 4, 5, 6, 6, 8, 8, 7, 7, 8][(y << 2) + x]
        elif (x, y, *block) == (0, 0, 0, 0):
            sig_ctx = 0
        else:
            if prev_csbf == 0:
                sig_ctx = 2 if x + y == 0 else 1 if x + y < 3 else 0
            elif prev_csbf == 1:
                sig_ctx = 2 if y == 0 else 1 if y == 1 else 0
            elif prev_csbf == 2:
                sig_ctx = 2 if x == 0 else 1 if x == 1 else 0
            else:
                sig_ctx = 2
            if not is_chroma:
                if block != (0, 0):
                    sig_ctx += 3
                sig_ctx += (9 if scan_idx == 0 else 15) if log2_size == 3 else 21
            else:
                sig_ctx += 9 if log2_size == 3 else 12
        return 27 + sig_ctx if is_chroma else sig_ctx

    def _levels(self, levels: list[int], *, ctx_set: int, is_chroma: int, hidden: bool) -> bool:
        """Flags, signs and remaining levels of a sub-block; returns whether its last greater1Ctx ended at 0."""
        encoder, contexts = self._encoder, self._contexts
        greater1_ctx, escapes = 1, []
        first_greater1 = None
        for k, level in enumerate(levels):
            base = 1
            if k < 8:
                flag = int(abs(level) > 1)
                index = 4 * ctx_set + greater1_ctx + 16 * is_chroma
                encoder.decision(contexts["coeff_abs_level_greater1_flag"][index], flag)
                greater1_ctx = 0 if flag or greater1_ctx == 0 else min(greater1_ctx + 1, 3)
                base = 2
                if flag and first_greater1 is None:
                    first_greater1, base = k, 3
            escapes.append(base)
        if first_greater1 is not None:
            flag = int(abs(levels[first_greater1]) > 2)
            encoder.decision(contexts["coeff_abs_level_greater2_flag"][ctx_set + 4 * is_chroma], flag)
        for level in levels[:-1] if hidden else levels:
            encoder.bypass(int(level < 0))
        rice = 0
        for level, base in zip(levels, escapes, strict=True):
            if abs(level) >= base:
                for value in level_remaining_bins(abs(level) - base, rice):
                    encoder.bypass(value)
                if abs(level) > 3 * (1 << rice):
                    rice = min(rice + 1, 4)
        return greater1_ctx == 0

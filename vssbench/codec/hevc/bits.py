"""Reading the bits of an RBSP: u(n), ue(v), se(v), and its alignment and trailing bits (7.2, 9.2).

Source: ITU-T H.265, clauses 7.2, 7.3.2.11, 7.3.2.12 and 9.2.
"""

from __future__ import annotations

from vssbench.errors import BitstreamError

_MAX_LEADING_ZERO_BITS = 31  # ue(v) reaches 2 ** 32 - 2 (7.2)


class BitReader:
    """Read syntax elements from an RBSP, from its first bit on.

    Each element is cut from the few bytes that hold it, so a header costs the same in front of a short and of a
    long slice.

    Args:
        rbsp: the payload of a NAL unit without its escapes.
        name: what is read, for the messages of errors.
    """

    __slots__ = ("_name", "_position", "_rbsp", "_size_bits")

    def __init__(self, rbsp: bytes, name: str = "RBSP") -> None:
        self._rbsp = rbsp
        self._name = name
        self._position = 0
        self._size_bits = 8 * len(rbsp)

    @property
    def position_bits(self) -> int:
        """How many bits have been read."""
        return self._position

    def u(self, n: int) -> int:
        """Read an unsigned number of n bits, the highest first (7.2).

        Raises: BitstreamError, past the end of the RBSP, as all methods below do.
        """
        begin = self._position
        end = begin + n
        if end > self._size_bits:
            raise self._cut_short()
        self._position = end
        window = int.from_bytes(self._rbsp[begin >> 3 : (end + 7) >> 3], "big")
        return window >> (-end & 7) & ((1 << n) - 1)

    def flag(self) -> bool:
        """Read u(1)."""
        position = self._position
        if position >= self._size_bits:
            raise self._cut_short()
        self._position = position + 1
        return bool(self._rbsp[position >> 3] >> (~position & 7) & 1)

    def ue(self) -> int:
        """Read an unsigned Exp-Golomb code (9.2.2).

        Raises: BitstreamError, also for more than 31 leading zero bits, which no value in use has.
        """
        begin = self._position
        window_bits = min(64 - (begin & 7), self._size_bits - begin)
        window = int.from_bytes(self._rbsp[begin >> 3 : (begin >> 3) + 8], "big") & ((1 << window_bits) - 1)
        leading_zero_bits = window_bits - window.bit_length()
        if leading_zero_bits > _MAX_LEADING_ZERO_BITS:
            raise BitstreamError(f"{self._name}: an Exp-Golomb code at bit {begin} has over 31 leading zero bits")
        self._position = begin + leading_zero_bits
        return self.u(leading_zero_bits + 1) - 1

    def se(self) -> int:
        """Read a signed Exp-Golomb code, 0, 1, -1, 2, -2, ... (9.2.3)."""
        code_num = self.ue()
        return (code_num + 1) >> 1 if code_num & 1 else -(code_num >> 1)

    def skip(self, n: int) -> None:
        """Pass over n bits."""
        if self._position + n > self._size_bits:
            raise self._cut_short()
        self._position += n

    def byte_alignment(self) -> None:
        """Read a bit 1, then bits 0 up to the next byte (7.3.2.12).

        Raises: BitstreamError, also for other bits.
        """
        n = 8 - (self._position & 7)
        begin = self._position
        if self.u(n) != 1 << (n - 1):
            raise BitstreamError(f"{self._name}: no byte_alignment() at bit {begin}; the stream is damaged before it")

    def rbsp_trailing_bits(self) -> None:
        """Read a bit 1 and bits 0, with which the RBSP ends (7.3.2.11).

        Raises: BitstreamError, also where data follows.
        """
        begin = self._position
        self.byte_alignment()
        if self._rbsp[self._position >> 3 :].strip(b"\x00"):
            raise BitstreamError(f"{self._name}: data follows its last syntax element, which ends at bit {begin}")
        self._position = self._size_bits

    def _cut_short(self) -> BitstreamError:
        return BitstreamError(f"{self._name} is cut short: more than its {self._size_bits} bits are needed")


def in_range(value: int, name: str, low: int, high: int) -> int:
    """Return a value that lies in low..high, the range that the standard gives the syntax element.

    Raises: BitstreamError, for a value outside.
    """
    if not low <= value <= high:
        raise BitstreamError(f"{name} is {value}, the standard allows {low} to {high}; the stream is damaged")
    return value

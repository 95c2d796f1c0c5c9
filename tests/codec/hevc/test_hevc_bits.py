import random
import time

import pytest
from bit_writer import BitWriter

from vssbench.codec.hevc.bits import BitReader, in_range
from vssbench.errors import BitstreamError


def test_u_reads_the_highest_bit_first():
    # 1010 1100 0101 0011: 101 = 5, 0110 = 6, 0010 = 2, 10011 = 19
    r = BitReader(bytes((0b10101100, 0b01010011)))
    assert (r.u(3), r.u(4), r.u(4), r.u(0), r.u(5)) == (5, 6, 2, 0, 19)
    assert r.position_bits == 16


def test_exp_golomb_codes_are_those_of_table_9_2():
    # 1 | 010 | 011 | 00100 | 00101 | 00110 | 00111 | 0001000 -> 0 1 2 3 4 5 6 7
    bits = "1" + "010" + "011" + "00100" + "00101" + "00110" + "00111" + "0001000"
    w = BitWriter()
    w.bits = bits
    r = BitReader(w.bytes())
    assert [r.ue() for _ in range(8)] == list(range(8))
    r = BitReader(w.bytes())
    assert [r.se() for _ in range(8)] == [0, 1, -1, 2, -2, 3, -3, 4]


def test_what_is_written_is_read_at_every_bit_position():
    generator = random.Random(2)
    for _ in range(200):
        w, wanted = BitWriter(), []
        for _ in range(20):
            kind, size = generator.choice(("u", "ue", "se", "flag")), generator.randrange(1, 32)
            value = generator.getrandbits(size)
            if kind == "u":
                w.u(size, value)
            elif kind == "ue":
                w.ue(value)
            elif kind == "se":
                value = generator.choice((-1, 1)) * (value >> 1)
                w.se(value)
            else:
                value &= 1
                w.flags(value)
            wanted.append((kind, size, value))
        r = BitReader(w.align().bytes())
        for kind, size, value in wanted:
            assert (r.u(size) if kind == "u" else getattr(r, kind)()) == value
        r.rbsp_trailing_bits()


def test_largest_code_is_read_and_a_longer_one_is_an_error():
    # 31 zeros, then 32 ones: 2 ** 32 - 1 - 1
    r = BitReader(BitWriter().u(3, 7).ue(2**32 - 2).bytes())
    r.skip(3)
    assert r.ue() == 2**32 - 2
    with pytest.raises(BitstreamError, match="over 31 leading zero bits"):
        BitReader(BitWriter().ue(2**32 - 1).bytes()).ue()
    with pytest.raises(BitstreamError, match="over 31 leading zero bits"):
        BitReader(bytes(1000)).ue()


@pytest.mark.parametrize("method", ["flag", "ue", "se", "byte_alignment", "rbsp_trailing_bits"])
def test_reading_past_the_end_is_an_error(method: str):
    r = BitReader(b"\xff", "SPS")
    r.u(8)
    with pytest.raises(BitstreamError, match="SPS is cut short"):
        getattr(r, method)()


def test_a_number_or_code_cut_by_the_end_is_an_error():
    with pytest.raises(BitstreamError, match="cut short"):
        BitReader(b"\xff").u(9)
    with pytest.raises(BitstreamError, match="cut short"):
        BitReader(b"\xff").skip(9)
    with pytest.raises(BitstreamError, match="cut short"):
        BitReader(b"\x01").ue()  # 7 zeros and the 1, then 7 more bits are missing
    with pytest.raises(BitstreamError, match="cut short"):
        BitReader(b"\x00").ue()


def test_byte_alignment_is_a_one_and_zeros():
    r = BitReader(bytes((0b11010000, 0x80)))
    r.u(3)
    r.byte_alignment()
    assert r.position_bits == 8
    r.byte_alignment()  # a whole byte where the position is aligned
    assert r.position_bits == 16
    for damaged in (0b11000000, 0b11010001):
        r = BitReader(bytes((damaged,)))
        r.u(3)
        with pytest.raises(BitstreamError, match="no byte_alignment\\(\\) at bit 3"):
            r.byte_alignment()


def test_trailing_bits_end_the_rbsp_with_its_cabac_zero_words():
    r = BitReader(bytes((0b10110000, 0, 0)))  # 101, then 1 and zeros, then cabac_zero_words
    r.u(3)
    r.rbsp_trailing_bits()
    assert r.position_bits == 24


def test_data_after_the_trailing_bits_is_an_error():
    with pytest.raises(BitstreamError, match="data follows"):
        BitReader(b"\x80\x01").rbsp_trailing_bits()


def test_reading_does_not_depend_on_the_size_of_the_slice():
    def seconds(rbsp: bytes) -> float:
        best = 1.0
        for _ in range(5):
            r = BitReader(rbsp)
            begin = time.perf_counter()
            for _ in range(500):
                r.u(3)
                r.ue()
            best = min(best, time.perf_counter() - begin)
        return best

    # 4 bits a turn; a whole-slice conversion would be thousands of times slower on the long one
    assert seconds(b"\xff" * 4_000_000) < 20 * seconds(b"\xff" * 250)


def test_value_outside_its_range_is_named():
    assert in_range(3, "x", 0, 3) == 3
    with pytest.raises(BitstreamError, match="x is 4, the standard allows 0 to 3"):
        in_range(4, "x", 0, 3)

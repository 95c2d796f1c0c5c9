import random

import pytest
from bit_writer import escaped, nal_bytes

from vssbench.codec.hevc.nal import (
    AnnexBSplitter,
    is_bla,
    is_cra,
    is_hvcc,
    is_idr,
    is_irap,
    is_radl,
    is_rasl,
    is_slice_segment,
    is_sub_layer_non_reference,
    parameter_sets_of_hvcc,
    read_nal_unit,
    split_length_prefixed,
)
from vssbench.errors import BitstreamError


def _split(stream: bytes, cuts: list[int]) -> list[tuple[int, bytes]]:
    splitter = AnnexBSplitter()
    units: list[tuple[int, bytes]] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        units += splitter.push(stream[begin:end])
    return units + splitter.flush()


def test_header_gives_type_layer_and_temporal_id():
    # 0 100001 0 | 00101 011: type 33, layer 0 with high bit 0 and low bits 5, nuh_temporal_id_plus1 3
    nal = read_nal_unit(bytes((0b01000010, 0b00101011, 0xAA)), 17)
    assert (nal.nal_unit_type, nal.nuh_layer_id, nal.temporal_id) == (33, 5, 2)
    assert (nal.rbsp, nal.removed, nal.offset) == (b"\xaa", (), 17)


def test_layer_id_has_its_highest_bit_in_the_first_byte():
    assert read_nal_unit(bytes((0b01000011, 0b00101001))).nuh_layer_id == 32 + 5


def test_escapes_are_removed_and_their_places_kept():
    # payload 00 00 03 01 00 00 03 00 00 03: the 03 at 2, 6 and 9 are escapes
    nal = read_nal_unit(b"\x42\x01" + bytes.fromhex("00000301000003000003"))
    assert nal.rbsp == bytes.fromhex("00000100000000")
    assert nal.removed == (2, 6, 9)


def test_a_03_after_a_removed_one_needs_two_new_zeros():
    # 00 00 03 03 00 00 03: the second 03 follows no zero any more and stays
    nal = read_nal_unit(b"\x42\x01" + bytes.fromhex("00000303000003"))
    assert (nal.rbsp, nal.removed) == (bytes.fromhex("0000030000"), (2, 6))


def test_removing_escapes_undoes_adding_them():
    generator = random.Random(0)
    for length in range(60):
        rbsp = bytes(generator.choice((0, 0, 0, 1, 2, 3, 4)) for _ in range(length))
        coded = escaped(rbsp)
        nal = read_nal_unit(b"\x42\x01" + coded)
        assert nal.rbsp == rbsp
        assert len(nal.removed) == len(coded) - len(rbsp)
        assert all(coded[at] == 3 for at in nal.removed)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "byte 5 is cut short"),
        (b"\x42", "byte 5 is cut short"),
        (b"\xc2\x01\x00", "forbidden_zero_bit"),
        (b"\x42\x08\x00", "nuh_temporal_id_plus1 0"),
    ],
)
def test_damaged_nal_header_is_an_error(data: bytes, message: str):
    with pytest.raises(BitstreamError, match=message):
        read_nal_unit(data, 5)


def test_splitter_takes_both_start_codes_and_drops_the_zeros_around():
    # 00 00 00 01 | 42 01 aa | 00 00 00 (trailing and zero_byte) 00 01 | 44 01 | 00 00 01 | 02 01 bb 00
    stream = bytes.fromhex("00000001 4201aa 00000000 01 4401 000001 0201bb 00")
    assert _split(stream, []) == [(4, b"\x42\x01\xaa"), (12, b"\x44\x01"), (17, b"\x02\x01\xbb")]


def test_split_does_not_depend_on_the_chunks():
    generator = random.Random(1)
    stream = bytearray(b"\x00\x00")
    for _ in range(30):
        body = bytes(generator.choice((0, 0, 1, 3, 7)) for _ in range(generator.randrange(9)))
        stream += (
            generator.choice((b"\x00\x00\x01", b"\x00\x00\x00\x01"))
            + nal_bytes(1, body)
            + bytes(generator.randrange(3))
        )
    whole = _split(bytes(stream), [])
    assert len(whole) == 30
    for offset, unit in whole:
        assert stream[offset : offset + len(unit)] == unit
        assert stream[offset - 3 : offset] == b"\x00\x00\x01"
    assert _split(bytes(stream), list(range(1, len(stream)))) == whole  # a byte at a time
    for _ in range(50):
        cuts = sorted(generator.choices(range(len(stream)), k=generator.randrange(1, 12)))
        assert _split(bytes(stream), cuts) == whole


def test_splitter_can_be_used_again_after_flush():
    splitter = AnnexBSplitter()
    first = splitter.push(b"\x00\x00\x01\x42\x01\x80") + splitter.flush()
    assert splitter.push(b"\x00\x00\x01\x42\x01\x80") + splitter.flush() == first == [(3, b"\x42\x01\x80")]


def test_bytes_before_the_first_start_code_belong_to_no_unit():
    assert _split(b"\x05\x00\x00\x01\x42\x01", [2]) == [(4, b"\x42\x01")]


def test_stream_without_a_start_code_is_an_error():
    with pytest.raises(BitstreamError, match="no start code 00 00 01 in 5 bytes"):
        _split(b"\x01\x02\x03\x04\x05", [3])


def test_empty_stream_has_no_units():
    assert _split(b"", []) == []


@pytest.mark.parametrize("length_size", [1, 2, 4])
def test_length_prefixed_units_are_split(length_size: int):
    units = [b"\x42\x01\xaa", b"", b"\x44\x01"]
    packet = b"".join(len(unit).to_bytes(length_size, "big") + unit for unit in units)
    assert split_length_prefixed(packet, length_size) == [
        (length_size, units[0]),
        (3 * length_size + 3, units[2]),  # after three lengths and the first unit
    ]


def test_length_over_the_end_of_the_packet_is_an_error():
    with pytest.raises(BitstreamError, match="at byte 4 should end at 8, but its packet has 7"):
        split_length_prefixed(b"\x00\x00\x00\x04\x42\x01\xaa", 4)
    with pytest.raises(BitstreamError, match="cut short inside the length"):
        split_length_prefixed(b"\x00\x00\x00", 4)


def _hvcc() -> bytes:
    # version 1, 20 bytes not needed here, lengthSizeMinusOne 3, two arrays: SPS with one unit, PPS with two
    record = b"\x01" + bytes(20) + b"\xff\x02"
    record += b"\xa1\x00\x01" + b"\x00\x03\x42\x01\xaa"
    return record + b"\xa2\x00\x02" + b"\x00\x02\x44\x01" + b"\x00\x03\x44\x01\xbb"


def test_hvcc_gives_length_size_and_parameter_sets():
    assert parameter_sets_of_hvcc(_hvcc()) == (4, [b"\x42\x01\xaa", b"\x44\x01", b"\x44\x01\xbb"])


def test_hvcc_cut_anywhere_is_an_error():
    for length in range(len(_hvcc())):
        with pytest.raises(BitstreamError, match="cut short"):
            parameter_sets_of_hvcc(_hvcc()[:length])


def test_hvcc_with_lengths_of_three_bytes_is_an_error():
    with pytest.raises(BitstreamError, match="lengthSizeMinusOne 2"):
        parameter_sets_of_hvcc(b"\x01" + bytes(20) + b"\xfe\x00")


def test_hvcc_is_told_from_annex_b():
    assert is_hvcc(_hvcc())
    assert not is_hvcc(b"\x00\x00\x00\x01\x40\x01")
    assert not is_hvcc(b"\x00\x00\x01\x40\x01")
    assert not is_hvcc(b"")


def test_predicates_follow_table_7_1():
    def types(predicate: object) -> list[int]:
        return [each for each in range(64) if predicate(each)]  # type: ignore[operator]

    assert types(is_slice_segment) == [*range(10), *range(16, 22)]
    assert types(is_irap) == [16, 17, 18, 19, 20, 21, 22, 23]
    assert types(is_bla) == [16, 17, 18]
    assert types(is_idr) == [19, 20]
    assert types(is_cra) == [21]
    assert types(is_radl) == [6, 7]
    assert types(is_rasl) == [8, 9]
    assert types(is_sub_layer_non_reference) == [0, 2, 4, 6, 8, 10, 12, 14]

"""NAL units: cutting a stream into them, their header, and the bytes that escape start codes (7.3.1, Annex B).

Source: ITU-T H.265, clauses 7.3.1, 7.4.2 and Annex B; ISO/IEC 14496-15, clause 8.3.3 (hvcC and length prefixes).
"""

from __future__ import annotations

from dataclasses import dataclass

from vssbench.errors import BitstreamError

# nal_unit_type, table 7-1
TRAIL_N = 0
TRAIL_R = 1
RADL_N = 6
RADL_R = 7
RASL_N = 8
RASL_R = 9
RSV_VCL_N10 = 10
RSV_VCL_R15 = 15
BLA_W_LP = 16
BLA_W_RADL = 17
BLA_N_LP = 18
IDR_W_RADL = 19
IDR_N_LP = 20
CRA_NUT = 21
RSV_IRAP_VCL23 = 23
VPS_NUT = 32
SPS_NUT = 33
PPS_NUT = 34
AUD_NUT = 35
EOS_NUT = 36
EOB_NUT = 37
FD_NUT = 38
PREFIX_SEI_NUT = 39
SUFFIX_SEI_NUT = 40

# of the base layer: no slice of the same picture follows (7.4.2.4.4); 41 to 44 and 48 to 55 are reserved or free
BEGINS_ACCESS_UNIT = frozenset((VPS_NUT, SPS_NUT, PPS_NUT, AUD_NUT, PREFIX_SEI_NUT, *range(41, 45), *range(48, 56)))
ENDS_SEQUENCE = frozenset((EOS_NUT, EOB_NUT))

_NAL_HEADER_BYTES = 2
_START_CODE = b"\x00\x00\x01"
_ESCAPE = b"\x00\x00\x03"


@dataclass(frozen=True, slots=True, kw_only=True)
class NalUnit:
    """One NAL unit (7.3.1.1).

    Args:
        nal_unit_type: table 7-1.
        nuh_layer_id: 0 for the base layer, the only one read here.
        temporal_id: TemporalId, nuh_temporal_id_plus1 - 1.
        rbsp: the payload after the two bytes of the header, without emulation_prevention_three_byte.
        removed: where those bytes stood in the payload before their removal; entry points count them (7.4.7.1).
        offset: the byte at which the NAL unit begins in its packet or stream.
    """

    nal_unit_type: int
    nuh_layer_id: int
    temporal_id: int
    rbsp: bytes
    removed: tuple[int, ...]
    offset: int


def is_slice_segment(nal_unit_type: int) -> bool:
    """Tell a coded slice segment of a type in use; the reserved VCL types are not to be decoded (table 7-1)."""
    return nal_unit_type <= RASL_R or BLA_W_LP <= nal_unit_type <= CRA_NUT


def is_irap(nal_unit_type: int) -> bool:
    """Tell an intra random access point picture (3.70)."""
    return BLA_W_LP <= nal_unit_type <= RSV_IRAP_VCL23


def is_idr(nal_unit_type: int) -> bool:
    """Tell an instantaneous decoding refresh picture (3.66)."""
    return nal_unit_type in (IDR_W_RADL, IDR_N_LP)


def is_bla(nal_unit_type: int) -> bool:
    """Tell a broken link access picture (3.12)."""
    return BLA_W_LP <= nal_unit_type <= BLA_N_LP


def is_cra(nal_unit_type: int) -> bool:
    """Tell a clean random access picture (3.17)."""
    return nal_unit_type == CRA_NUT


def is_rasl(nal_unit_type: int) -> bool:
    """Tell a random access skipped leading picture (3.111)."""
    return nal_unit_type in (RASL_N, RASL_R)


def is_radl(nal_unit_type: int) -> bool:
    """Tell a random access decodable leading picture (3.109)."""
    return nal_unit_type in (RADL_N, RADL_R)


def is_sub_layer_non_reference(nal_unit_type: int) -> bool:
    """Tell a picture that no picture of the same sub-layer refers to: the even types below RSV_VCL_R15 (3.137)."""
    return nal_unit_type < RSV_VCL_R15 and nal_unit_type % 2 == 0


def read_nal_unit(data: bytes, offset: int = 0) -> NalUnit:
    """Read the NAL unit header and take the escapes out of the payload (7.3.1.1, 7.3.1.2).

    Args:
        data: one NAL unit, without start code or length.
        offset: where it begins in its packet or stream; only kept.
    Raises: BitstreamError, for a unit shorter than its header, forbidden_zero_bit 1 or nuh_temporal_id_plus1 0.
    """
    if len(data) < _NAL_HEADER_BYTES:
        raise BitstreamError(f"NAL unit at byte {offset} is cut short: {len(data)} bytes, its header alone has 2")
    if data[0] & 0x80:
        raise BitstreamError(f"NAL unit at byte {offset} has forbidden_zero_bit 1; the stream is damaged here")
    nuh_temporal_id_plus1 = data[1] & 7
    if nuh_temporal_id_plus1 == 0:
        raise BitstreamError(f"NAL unit at byte {offset} has nuh_temporal_id_plus1 0; the stream is damaged here")
    rbsp, removed = _without_escapes(data[_NAL_HEADER_BYTES:])
    return NalUnit(
        nal_unit_type=data[0] >> 1,
        nuh_layer_id=(data[0] & 1) << 5 | data[1] >> 3,
        temporal_id=nuh_temporal_id_plus1 - 1,
        rbsp=rbsp,
        removed=removed,
        offset=offset,
    )


def _without_escapes(payload: bytes) -> tuple[bytes, tuple[int, ...]]:
    """Remove each emulation_prevention_three_byte, the 03 of 00 00 03; and tell where they were."""
    removed: list[int] = []
    pieces: list[bytes] = []
    begin = 0
    found = payload.find(_ESCAPE)
    while found >= 0:
        escape = found + 2
        removed.append(escape)
        pieces.append(payload[begin:escape])
        begin = escape + 1
        found = payload.find(_ESCAPE, begin)
    if not removed:
        return payload, ()
    pieces.append(payload[begin:])
    return b"".join(pieces), tuple(removed)


class AnnexBSplitter:
    """Cut a byte stream into NAL units at its start codes, however the stream arrives (Annex B.2).

    The result depends on the bytes alone, not on where they are cut into chunks. Bytes before the first start code
    belong to no NAL unit and are left out, as are the zero bytes around start codes and NAL units without a byte.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._buffer_offset = 0  # of the first byte of the buffer, in the stream
        self._searched = 0  # no start code begins before this position of the buffer
        self._inside = False  # whether the buffer begins with a NAL unit

    def push(self, chunk: bytes) -> list[tuple[int, bytes]]:
        """Take the next bytes; return (offset in the stream, NAL unit) for each unit whose end is now known."""
        self._buffer += chunk
        units: list[tuple[int, bytes]] = []
        begin = 0
        found = self._buffer.find(_START_CODE, self._searched)
        while found >= 0:
            self._append_unit(units, begin, found)
            self._inside = True
            begin = found + len(_START_CODE)
            found = self._buffer.find(_START_CODE, begin)
        if not self._inside:
            begin = max(0, len(self._buffer) - 2)  # a start code may have begun in the last two bytes
        del self._buffer[:begin]
        self._buffer_offset += begin
        self._searched = max(0, len(self._buffer) - 2)
        return units

    def flush(self) -> list[tuple[int, bytes]]:
        """Return the last NAL unit of the stream, and be ready for another stream.

        Raises: BitstreamError, when bytes came but no start code.
        """
        length = self._buffer_offset + len(self._buffer)
        if length and not self._inside:
            raise BitstreamError(f"no start code 00 00 01 in {length} bytes; this is no HEVC byte stream (Annex B)")
        units: list[tuple[int, bytes]] = []
        self._append_unit(units, 0, len(self._buffer))
        self._buffer, self._buffer_offset, self._searched, self._inside = bytearray(), 0, 0, False
        return units

    def _append_unit(self, units: list[tuple[int, bytes]], begin: int, end: int) -> None:
        unit = bytes(self._buffer[begin:end]).rstrip(b"\x00")
        if self._inside and unit:
            units.append((self._buffer_offset + begin, unit))


def split_length_prefixed(packet: bytes, length_size: int) -> list[tuple[int, bytes]]:
    """Cut a packet of mp4 or mkv into (offset in the packet, NAL unit); each follows its big-endian length.

    Args:
        length_size: bytes of each length: 1, 2 or 4, from `parameter_sets_of_hvcc`.
    Raises: BitstreamError, when a length or a unit runs over the end of the packet.
    """
    units: list[tuple[int, bytes]] = []
    position = 0
    while position < len(packet):
        begin = position + length_size
        if begin > len(packet):
            raise BitstreamError(f"packet is cut short inside the length of the NAL unit at byte {position}")
        end = begin + int.from_bytes(packet[position:begin], "big")
        if end > len(packet):
            raise BitstreamError(
                f"NAL unit at byte {begin} should end at {end}, but its packet has {len(packet)} bytes"
            )
        if end > begin:
            units.append((begin, packet[begin:end]))
        position = end
    return units


def is_hvcc(extradata: bytes) -> bool:
    """Tell an HEVCDecoderConfigurationRecord from parameter sets with start codes, by the first three bytes.

    An Annex B stream begins with 00 00 01 or 00 00 00; the record with its version 1, or 0 from early writers,
    and then a profile that is not 0.
    """
    return len(extradata) > 3 and extradata[:3] not in (b"\x00\x00\x00", _START_CODE)


def parameter_sets_of_hvcc(extradata: bytes) -> tuple[int, list[bytes]]:
    """Read an HEVCDecoderConfigurationRecord: (bytes of a NAL unit's length, NAL units of the parameter sets).

    Raises: BitstreamError, for a record that ends early or has a length of 3 bytes.
    Source: ISO/IEC 14496-15, clause 8.3.3.1.2.
    """
    if len(extradata) < 23:
        raise BitstreamError(f"hvcC record is cut short: {len(extradata)} bytes, at least 23 needed")
    length_size = (extradata[21] & 3) + 1  # lengthSizeMinusOne
    if length_size == 3:
        raise BitstreamError("hvcC record has lengthSizeMinusOne 2; 0, 1 and 3 are allowed")
    units: list[bytes] = []
    position = 23
    for _ in range(extradata[22]):  # numOfArrays
        num_nalus = _u16(extradata, position + 1)
        position += 3
        for _ in range(num_nalus):
            begin = position + 2
            position = begin + _u16(extradata, position)  # nalUnitLength
            if position > len(extradata):
                raise BitstreamError(f"hvcC record is cut short: a NAL unit ends at {position} of {len(extradata)}")
            units.append(extradata[begin:position])
    return length_size, units


def _u16(data: bytes, position: int) -> int:
    if position + 2 > len(data):
        raise BitstreamError(f"hvcC record is cut short: {len(data)} bytes, {position + 2} needed")
    return data[position] << 8 | data[position + 1]

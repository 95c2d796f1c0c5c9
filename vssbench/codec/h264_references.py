"""Which H.264 pictures serve as references, read from the slice headers.

FFmpeg exports a vector's direction but not the picture it points into. That is certain only where every list
holds one picture, put there by the standard's default rules; everything else is refused here rather than
guessed.
Source: ITU-T H.264 (08/2021), 7.3.2.1 (SPS), 7.3.2.2 (PPS), 7.3.3 (slice header), 8.2.4.2 (initial reference
    lists).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vssbench.errors import BitstreamError

_SLICE, _IDR_SLICE, _SPS, _PPS = 1, 5, 7, 8  # nal_unit_type
_P, _B, _I, _SP, _SI = range(5)  # slice_type modulo 5
_START_CODE = re.compile(b"\x00\x00\x01")
_HEADER_BYTES = 96  # a slice header that passes the checks below is far shorter
_PROFILES_WITH_CHROMA_FORMAT = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}


@dataclass(frozen=True, kw_only=True)
class PictureOrder:
    """What the slice headers of one picture say of references.

    Args:
        is_reference: later pictures may predict from it.
        previous_reference: decoding order of the last reference picture before it, None at an IDR picture;
            what a P picture predicts from.
    """

    is_reference: bool
    previous_reference: int | None


@dataclass(frozen=True, kw_only=True)
class _SequenceParameters:
    frame_num_bits: int
    poc_type: int
    poc_lsb_bits: int
    has_poc_deltas: bool
    num_references: int
    separate_planes: bool
    monochrome: bool
    fields: bool
    macroblock_adaptive: bool
    cropped_at_origin: bool


@dataclass(frozen=True, kw_only=True)
class _PictureParameters:
    sequence: int
    has_bottom_poc: bool
    num_active: tuple[int, int]
    weighted: bool
    weighted_b: bool
    has_redundant: bool


class _Bits:
    """Reads the bits of one NAL unit, emulation prevention removed."""

    def __init__(self, nal: bytes) -> None:
        payload = nal[1:].replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(payload, "big")
        self._left = 8 * len(payload)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise BitstreamError("an H.264 header is cut short")
        return (self._value >> self._left) & ((1 << count) - 1)

    def flag(self) -> bool:
        return self.read(1) == 1

    def unsigned(self) -> int:
        zeros = 0
        while not self.flag():
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)


class H264References:
    """Reads the pictures of one stream in decoding order.

    Args:
        extradata: the stream's parameter sets, avcC or Annex B; None where they travel with the pictures.
    """

    def __init__(self, extradata: bytes | None) -> None:
        self._sequences: dict[int, _SequenceParameters] = {}
        self._pictures: dict[int, _PictureParameters] = {}
        self._length_bytes = 0  # 0: Annex B start codes
        self._order = -1
        self._previous_reference: int | None = None
        self._previous_frame_num = 0
        if extradata and extradata[0] == 1 and len(extradata) > 6:  # avcC, ISO/IEC 14496-15
            self._length_bytes = (extradata[4] & 3) + 1
            for nal in _avcc_parameter_sets(extradata):
                self._read_parameter_set(nal)
        elif extradata:
            for nal in _split_start_codes(extradata):
                self._read_parameter_set(nal)

    def read(self, packet: bytes) -> PictureOrder:
        """The references of the next picture in decoding order.

        Args:
            packet: one coded picture.
        Raises: BitstreamError, when it cannot be told which picture its vectors point into.
        """
        self._order += 1
        picture = None
        nals = _split_lengths(packet, self._length_bytes) if self._length_bytes else _split_start_codes(packet)
        for nal in nals:
            kind = nal[0] & 31
            if kind in (_SPS, _PPS):
                self._read_parameter_set(nal)
            elif kind in (_SLICE, _IDR_SLICE):
                picture = self._read_slice(nal)
            elif kind == 2:
                raise BitstreamError("H.264 data partitioning is not supported")
        if picture is None:
            raise BitstreamError("an H.264 packet holds no picture")
        if picture.is_reference:
            self._previous_reference = self._order
            self._previous_frame_num = self._frame_num
        return picture

    def _read_parameter_set(self, nal: bytes) -> None:
        bits = _Bits(nal)
        if nal[0] & 31 == _SPS:
            number, sequence = _sequence_parameters(bits)
            self._sequences[number] = sequence
        elif nal[0] & 31 == _PPS:
            number, picture = _picture_parameters(bits)
            self._pictures[number] = picture

    def _read_slice(self, nal: bytes) -> PictureOrder:
        is_idr, is_reference = nal[0] & 31 == _IDR_SLICE, nal[0] & 0x60 != 0
        bits = _Bits(nal[:_HEADER_BYTES])
        bits.unsigned()  # first_mb_in_slice
        kind = bits.unsigned() % 5
        try:
            parameters = self._pictures[bits.unsigned()]
            sequence = self._sequences[parameters.sequence]
        except KeyError as error:
            raise BitstreamError("an H.264 slice names parameter sets that were not sent") from error
        self._require_frames(bits, sequence)
        if is_idr:
            self._previous_reference, self._previous_frame_num = None, 0
            bits.unsigned()  # idr_pic_id
        else:
            self._require_no_gap(sequence)
        _skip_picture_order_count(bits, sequence, parameters)
        if kind in (_P, _SP, _B):
            _require_single_references(bits, kind == _B, parameters, sequence)
            if parameters.weighted_b if kind == _B else parameters.weighted:
                _skip_weights(bits, lists=2 if kind == _B else 1, monochrome=sequence.monochrome)
        if kind == _B and is_reference:
            raise BitstreamError("B pictures serve as references (b-pyramid): which one a vector means is not exported")
        if is_reference:
            _require_default_marking(bits, is_idr)
        return PictureOrder(is_reference=is_reference, previous_reference=self._previous_reference)

    def _require_frames(self, bits: _Bits, sequence: _SequenceParameters) -> None:
        if sequence.cropped_at_origin:
            raise BitstreamError("the picture is cropped at its left or top: vectors would be displaced")
        if sequence.separate_planes:
            bits.read(2)
        self._frame_num = bits.read(sequence.frame_num_bits)
        if sequence.fields and (bits.flag() or sequence.macroblock_adaptive):
            raise BitstreamError("the video is interlaced: its vectors point into single fields")

    def _require_no_gap(self, sequence: _SequenceParameters) -> None:
        step = (self._frame_num - self._previous_frame_num) % (1 << sequence.frame_num_bits)
        if step > 1:
            raise BitstreamError("a reference picture is missing: frame_num jumps")


def _require_single_references(
    bits: _Bits, is_b: bool, parameters: _PictureParameters, sequence: _SequenceParameters
) -> None:
    if is_b:
        bits.flag()  # direct_spatial_mv_pred_flag
        if sequence.num_references < 2:
            raise BitstreamError("a B picture has a single reference: its direction says nothing")
    active = parameters.num_active
    if bits.flag():  # num_ref_idx_active_override_flag
        active = (bits.unsigned() + 1, bits.unsigned() + 1 if is_b else 1)
    if max(active[: 1 + is_b]) > 1:
        raise BitstreamError(
            f"a picture has up to {max(active)} references a direction, and which is not exported; "
            "encode with ref=1 (vssbench.codec.encode does)"
        )
    for _ in range(1 + is_b):
        if bits.flag():  # ref_pic_list_modification_flag
            # Some encoders write it though it changes nothing: the last one is the default of a P picture.
            command, distance, end = bits.unsigned(), bits.unsigned(), bits.unsigned()
            if is_b or (command, distance, end) != (0, 0, 3):
                raise BitstreamError("the reference list is reordered: which picture a vector means is not exported")


def _require_default_marking(bits: _Bits, is_idr: bool) -> None:
    """Refuse marks that take the previous reference picture, or give one an explicit place."""
    if is_idr:
        bits.flag()  # no_output_of_prior_pics_flag
    if not bits.flag():  # long_term_reference_flag or adaptive_ref_pic_marking_mode_flag
        return
    command = 0 if is_idr else bits.unsigned()
    while command == 1 and bits.unsigned() > 0:  # drops a reference older than the previous one, as open GOPs do
        command = bits.unsigned()
    if is_idr or command != 0:
        raise BitstreamError("references are marked by explicit commands: which one a vector means is not told")


def _skip_picture_order_count(bits: _Bits, sequence: _SequenceParameters, parameters: _PictureParameters) -> None:
    if sequence.poc_type == 0:
        bits.read(sequence.poc_lsb_bits)
    if sequence.poc_type == 0 and parameters.has_bottom_poc:
        bits.signed()
    if sequence.poc_type == 1 and sequence.has_poc_deltas:
        bits.signed()
        if parameters.has_bottom_poc:
            bits.signed()
    if parameters.has_redundant and bits.unsigned() > 0:
        raise BitstreamError("H.264 redundant pictures are not supported")


def _skip_weights(bits: _Bits, *, lists: int, monochrome: bool) -> None:
    bits.unsigned()  # luma_log2_weight_denom
    if not monochrome:
        bits.unsigned()
    for _ in range(lists):
        for numbers in (2,) if monochrome else (2, 4):
            if bits.flag():
                for _ in range(numbers):
                    bits.signed()


def _sequence_parameters(bits: _Bits) -> tuple[int, _SequenceParameters]:
    profile = bits.read(8)
    bits.read(16)  # constraint flags, level
    number = bits.unsigned()
    chroma_format, separate_planes = 1, False
    if profile in _PROFILES_WITH_CHROMA_FORMAT:
        chroma_format = bits.unsigned()
        separate_planes = chroma_format == 3 and bits.flag()
        bits.unsigned(), bits.unsigned(), bits.flag()  # bit depths, lossless bypass
        if bits.flag():
            for index in range(12 if chroma_format == 3 else 8):
                if bits.flag():
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    frame_num_bits = bits.unsigned() + 4
    poc_type = bits.unsigned()
    poc_lsb_bits = bits.unsigned() + 4 if poc_type == 0 else 0
    has_poc_deltas = False
    if poc_type == 1:
        has_poc_deltas = not bits.flag()
        bits.signed(), bits.signed()
        for _ in range(bits.unsigned()):
            bits.signed()
    num_references = bits.unsigned()
    bits.flag()  # gaps_in_frame_num_value_allowed_flag: a gap is refused either way
    bits.unsigned(), bits.unsigned()  # size in macroblocks
    fields = not bits.flag()
    macroblock_adaptive = fields and bits.flag()
    bits.flag()  # direct_8x8_inference_flag
    left = top = 0
    if bits.flag():
        left, _, top, _ = (bits.unsigned() for _ in range(4))
    return number, _SequenceParameters(
        frame_num_bits=frame_num_bits,
        poc_type=poc_type,
        poc_lsb_bits=poc_lsb_bits,
        has_poc_deltas=has_poc_deltas,
        num_references=num_references,
        separate_planes=separate_planes,
        monochrome=chroma_format == 0 or separate_planes,
        fields=fields,
        macroblock_adaptive=macroblock_adaptive,
        cropped_at_origin=left + top > 0,
    )


def _skip_scaling_list(bits: _Bits, length: int) -> None:
    last, following = 8, 8
    for _ in range(length):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _picture_parameters(bits: _Bits) -> tuple[int, _PictureParameters]:
    number, sequence = bits.unsigned(), bits.unsigned()
    bits.flag()  # entropy_coding_mode_flag
    has_bottom_poc = bits.flag()
    if bits.unsigned() > 0:
        raise BitstreamError("H.264 slice groups are not supported")
    num_active = (bits.unsigned() + 1, bits.unsigned() + 1)
    weighted, weighted_b = bits.flag(), bits.read(2) == 1
    bits.signed(), bits.signed(), bits.signed()  # quantisers
    bits.read(2)  # deblocking control, constrained intra
    return number, _PictureParameters(
        sequence=sequence,
        has_bottom_poc=has_bottom_poc,
        num_active=num_active,
        weighted=weighted,
        weighted_b=weighted_b,
        has_redundant=bits.flag(),
    )


def _avcc_parameter_sets(extradata: bytes) -> Iterator[bytes]:
    position = 5
    for mask in (31, 255):  # SPS, then PPS
        if position >= len(extradata):
            raise BitstreamError("the H.264 parameter sets are cut short")
        count = extradata[position] & mask
        position += 1
        for _ in range(count):
            length = int.from_bytes(extradata[position : position + 2], "big")
            nal = extradata[position + 2 : position + 2 + length]
            if not nal or len(nal) < length:
                raise BitstreamError("the H.264 parameter sets are cut short")
            yield nal
            position += 2 + length


def _split_lengths(packet: bytes, length_bytes: int) -> Iterator[bytes]:
    position = 0
    while position + length_bytes < len(packet):
        length = int.from_bytes(packet[position : position + length_bytes], "big")
        position += length_bytes
        if length:
            yield packet[position : position + length]
        position += length


def _split_start_codes(packet: bytes) -> Iterator[bytes]:
    starts = [match.end() for match in _START_CODE.finditer(packet)]
    ends = [start - 3 for start in starts[1:]] + [len(packet)]
    for start, end in zip(starts, ends, strict=False):  # without a start code there is one end and no start
        if end > start:
            yield packet[start:end]

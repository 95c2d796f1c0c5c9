"""Bits for the tests of the HEVC headers: a writer of syntax elements, and small parameter sets and slice headers."""

from __future__ import annotations

from collections.abc import Callable

from vssbench.codec.hevc.nal import PPS_NUT, SPS_NUT, TRAIL_R, NalUnit, is_idr, is_irap, read_nal_unit
from vssbench.codec.hevc.parameter_sets import ParameterSets
from vssbench.codec.hevc.slice_header import SliceSegmentHeader, read_slice_segment_header

Extra = Callable[["BitWriter"], object]


class BitWriter:
    def __init__(self) -> None:
        self.bits = ""

    def u(self, n: int, value: int) -> BitWriter:
        self.bits += format(value, f"0{n}b") if n else ""
        return self

    def flags(self, *values: int) -> BitWriter:
        for value in values:
            self.u(1, value)
        return self

    def ue(self, *values: int) -> BitWriter:
        for value in values:
            code = format(value + 1, "b")
            self.bits += "0" * (len(code) - 1) + code
        return self

    def se(self, *values: int) -> BitWriter:
        return self.ue(*(2 * value - 1 if value > 0 else -2 * value for value in values))

    def align(self) -> BitWriter:
        """byte_alignment() and rbsp_trailing_bits() alike: a 1, then zeros."""
        self.bits += "1"
        self.bits += "0" * (-len(self.bits) % 8)
        return self

    def bytes(self) -> bytes:
        padded = self.bits + "0" * (-len(self.bits) % 8)
        return bytes(int(padded[i : i + 8], 2) for i in range(0, len(padded), 8))


def escaped(rbsp: bytes) -> bytes:
    """Put 03 into each 00 00 that 00 to 03 follows (7.4.2)."""
    out, zeros = bytearray(), 0
    for byte in rbsp:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def nal_bytes(nal_unit_type: int, rbsp: bytes, *, layer: int = 0, temporal_id: int = 0) -> bytes:
    return bytes((nal_unit_type << 1 | layer >> 5, (layer & 31) << 3 | temporal_id + 1)) + escaped(rbsp)


def nal_unit(nal_unit_type: int, rbsp: bytes, *, temporal_id: int = 0) -> NalUnit:
    return read_nal_unit(nal_bytes(nal_unit_type, rbsp, temporal_id=temporal_id))


def sps_rbsp(
    *,
    sps_id: int = 0,
    chroma_format_idc: int = 1,
    size: tuple[int, int] = (64, 64),  # width, height
    window: tuple[int, int, int, int] | None = None,
    bit_depth_minus8: int = 0,
    log2_max_lsb_minus4: int = 0,
    sub_layers_minus1: int = 0,
    buffering: tuple[int, int, int] = (4, 0, 0),
    block_sizes: tuple[int, ...] = (0, 1, 0, 2, 1, 1),  # CB 8 to 16, TB 4 to 16, depths 1
    scaling: Extra | None = None,
    pcm: tuple[int, int, int, int] | None = None,
    sets: Extra = lambda w: w.ue(0),
    long_term: Extra = lambda w: w.flags(0),
    tmvp: int = 1,
    sao: int = 0,
    vui: Extra | None = None,
    extension: Extra | None = None,
) -> bytes:
    """seq_parameter_set_rbsp(); what is not asked for is off."""
    w = BitWriter().u(4, 0).u(3, sub_layers_minus1).flags(1)
    w.u(32, 0).u(32, 0).u(24, 0).u(8, 93)  # 88 bits of general profile, general_level_idc
    for _ in range(sub_layers_minus1):
        w.flags(1, 1)
    if sub_layers_minus1:
        w.u(2 * (8 - sub_layers_minus1), 0)
    for _ in range(sub_layers_minus1):
        w.u(32, 0).u(32, 0).u(24, 0).u(8, 93)
    w.ue(sps_id, chroma_format_idc)
    if chroma_format_idc == 3:
        w.flags(0)
    w.ue(*size).flags(window is not None).ue(*(window or ()))
    w.ue(bit_depth_minus8, bit_depth_minus8, log2_max_lsb_minus4)
    w.flags(0).ue(*buffering)
    w.ue(*block_sizes)
    w.flags(scaling is not None)
    if scaling is not None:
        scaling(w)
    w.flags(0, sao)  # amp_enabled_flag
    w.flags(pcm is not None)
    if pcm is not None:
        w.u(4, pcm[0]).u(4, pcm[1]).ue(pcm[2], pcm[3]).flags(1)
    sets(w)
    long_term(w)
    w.flags(tmvp, 0)
    w.flags(vui is not None)
    if vui is not None:
        vui(w)
    w.flags(extension is not None)
    if extension is not None:
        extension(w)
    return w.align().bytes()


def pps_rbsp(
    *,
    pps_id: int = 0,
    sps_id: int = 0,
    dependent: int = 0,
    output_flag_present: int = 0,
    extra_bits: int = 0,
    cabac_init_present: int = 0,
    default_refs_minus1: tuple[int, int] = (0, 0),
    init_qp_minus26: int = 0,
    transform_skip: int = 0,
    qp_delta_depth: int | None = None,
    chroma_qp_offsets: int = 0,
    weighted: tuple[int, int] = (0, 0),
    tiles: Extra | None = None,
    wpp: int = 0,
    loop_filter_across_slices: int = 0,
    deblocking: Extra | None = None,
    lists_modification: int = 0,
    merge_level_minus2: int = 0,
    header_extension: int = 0,
    extension: Extra | None = None,
) -> bytes:
    """pic_parameter_set_rbsp(); what is not asked for is off."""
    w = BitWriter().ue(pps_id, sps_id).flags(dependent, output_flag_present).u(3, extra_bits)
    w.flags(0, cabac_init_present).ue(*default_refs_minus1).se(init_qp_minus26).flags(0, transform_skip)
    w.flags(qp_delta_depth is not None)
    if qp_delta_depth is not None:
        w.ue(qp_delta_depth)
    w.se(0, 0).flags(chroma_qp_offsets, *weighted, 0, tiles is not None, wpp)
    if tiles is not None:
        tiles(w)
    w.flags(loop_filter_across_slices, deblocking is not None)
    if deblocking is not None:
        deblocking(w)
    w.flags(0, lists_modification).ue(merge_level_minus2).flags(header_extension)
    w.flags(extension is not None)
    if extension is not None:
        extension(w)
    return w.align().bytes()


def slice_rbsp(write: Extra, *, data: bytes = b"\x80") -> bytes:
    """A slice segment: header, byte_alignment(), and slice data that nobody reads."""
    w = BitWriter()
    write(w)
    return w.align().bytes() + data


def parameter_sets(sps: bytes | None = None, pps: bytes | None = None) -> ParameterSets:
    sets = ParameterSets()
    sets.add(nal_unit(SPS_NUT, sps_rbsp() if sps is None else sps))
    sets.add(nal_unit(PPS_NUT, pps_rbsp() if pps is None else pps))
    return sets


def read_header(
    write: Extra,
    *,
    sets: ParameterSets | None = None,
    nal_unit_type: int = TRAIL_R,
    previous: SliceSegmentHeader | None = None,
    data: bytes = b"\x80",
) -> SliceSegmentHeader:
    sets = sets or parameter_sets()
    nal = nal_unit(nal_unit_type, slice_rbsp(write, data=data))
    return read_slice_segment_header(nal, sets.sps_by_id, sets.pps_by_id, previous)


def coded_picture(
    lsb: int,
    sets: ParameterSets,
    *,
    nal_unit_type: int = TRAIL_R,
    temporal_id: int = 0,
    slice_type: int = 2,
    before: tuple[int, ...] = (),  # delta_poc of each, ascending distance
    after: tuple[int, ...] = (),
    foll: tuple[int, ...] = (),  # deltas among the two that are kept but not referred to
    no_output_of_prior_pics: int = 0,
    pic_output: int | None = None,
    long_term: Extra | None = None,
) -> tuple[SliceSegmentHeader, NalUnit]:
    """The header of a picture of one slice for the small SPS with 4 bits of POC and one P reference by default."""

    def write(w: BitWriter) -> None:
        w.flags(1)
        if is_irap(nal_unit_type):
            w.flags(no_output_of_prior_pics)
        w.ue(0, slice_type)
        if pic_output is not None:
            w.flags(pic_output)
        if not is_idr(nal_unit_type):
            w.u(4, lsb).flags(0).ue(len(before), len(after))
            for sign, deltas in ((-1, before), (1, after)):
                last = 0
                for delta in deltas:
                    w.ue(sign * (delta - last) - 1).flags(delta not in foll)
                    last = delta
            if long_term is not None:
                long_term(w)
            w.flags(0)  # slice_temporal_mvp_enabled_flag
        if slice_type != 2:
            w.flags(0)
            if slice_type == 0:
                w.flags(0)  # mvd_l1_zero_flag
            w.ue(0)
        w.se(0)

    nal = nal_unit(nal_unit_type, slice_rbsp(write), temporal_id=temporal_id)
    return read_slice_segment_header(nal, sets.sps_by_id, sets.pps_by_id, None), nal

"""An HEVC stream -> the motion of its pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vssbench.codec.hevc import nal as nal_units
from vssbench.codec.hevc.nal import AnnexBSplitter, NalUnit
from vssbench.codec.hevc.parameter_sets import ParameterSets
from vssbench.codec.hevc.picture_buffer import CodedPicture, PictureBuffer
from vssbench.codec.hevc.picture_motion import PictureMotion
from vssbench.codec.hevc.picture_parser import PictureParser
from vssbench.codec.hevc.slice_header import SliceSegmentHeader, read_slice_segment_header
from vssbench.codec.hevc.syntax import I
from vssbench.errors import BitstreamError


class HevcMotionReader:
    """Reads the coded pictures of one stream in decoding order.

    Damage never stops it. What is damaged is said in `errors` and, where the picture is known, in its `error`; its
    motion is then None. So it is in pictures whose motion cannot be known because of it: those that predict
    vectors from a damaged picture (temporal prediction), and those that refer to a picture that did not come.
    Damage is found where it makes the syntax fail, which changed bits nearly always do, for the arithmetic decoder
    must end each segment, tile and row on the right bit. Bits that give another valid stream cannot be told.

    Args:
        extradata: the parameter sets of a container, hvcC or Annex B; None where they travel with the pictures.

    Attributes:
        errors: everything that could not be read, in decoding order.
    """

    def __init__(self, extradata: bytes | None = None) -> None:
        self.errors: list[BitstreamError] = []
        self._length_size = 0  # 0: Annex B start codes
        self._splitter = AnnexBSplitter()
        self._parameter_sets = ParameterSets()
        self._buffer = PictureBuffer()
        self._num_units = 0
        self._picture: CodedPicture | None = None
        self._last_finished: CodedPicture | None = None
        self._saw_slice_data = False
        self._parser: PictureParser | None = None
        self._header: SliceSegmentHeader | None = None  # of the last segment of the current picture
        self._refused: BitstreamError | None = None  # the last parameter set that could not be read
        if extradata and nal_units.is_hvcc(extradata):
            self._length_size, sets = nal_units.parameter_sets_of_hvcc(extradata)
            for data in sets:
                self._read_unit(0, data)
        elif extradata:
            self.push(extradata)
            self._read_rest()

    def push(self, chunk: bytes) -> None:
        """Read a piece of an Annex B stream, cut anywhere."""
        for offset, data in self._splitter.push(chunk):
            self._read_unit(offset, data)

    def read_access_unit(self, packet: bytes) -> CodedPicture | None:
        """Read one coded picture, with start codes or with lengths as the extradata say.

        Returns: the picture; None where it is dropped (RASL pictures that decoding cannot begin with) or lost.
        """
        before, errors_before = self._buffer.num_pictures, len(self.errors)
        self._last_finished = None
        self._saw_slice_data = False
        if self._length_size:
            try:
                for offset, data in nal_units.split_length_prefixed(packet, self._length_size):
                    self._read_unit(offset, data)
            except BitstreamError as error:
                self._damage(error)
        else:
            self.push(packet)
            self._read_rest()
        self._finish_picture()
        num_pictures = self._buffer.num_pictures - before
        if num_pictures == 0 and (self._length_size or self._saw_slice_data):
            if len(self.errors) == errors_before:
                self._lose(BitstreamError("its packet holds no picture"), is_irap=False)
            else:  # which say why
                self._buffer.picture_lost(is_irap=False)
        elif num_pictures > 1:
            self.errors.append(self._located(BitstreamError(f"a packet holds {num_pictures} pictures"), order=before))
        return self._last_finished

    def flush(self) -> None:
        """End the stream."""
        self._read_rest()
        self._finish_picture()
        self._buffer.flush()

    def ready(self) -> list[CodedPicture]:
        """The pictures put out since the last call, in output order (C.5.2)."""
        return self._buffer.ready()

    def _read_rest(self) -> None:
        try:
            for offset, data in self._splitter.flush():
                self._read_unit(offset, data)
        except BitstreamError as error:
            self._damage(error)

    def _read_unit(self, offset: int, data: bytes) -> None:
        self._num_units += 1
        try:
            unit = nal_units.read_nal_unit(data, offset)
            self._saw_slice_data |= unit.nal_unit_type < nal_units.VPS_NUT  # reserved types too
            if unit.nuh_layer_id > 0:
                return
            if nal_units.is_slice_segment(unit.nal_unit_type):
                self._read_slice_segment(unit)
                return
            if unit.nal_unit_type in nal_units.BEGINS_ACCESS_UNIT:
                self._finish_picture()
            if unit.nal_unit_type in nal_units.ENDS_SEQUENCE:
                self._finish_picture()
                self._buffer.end_of_sequence()
            if unit.nal_unit_type in (nal_units.SPS_NUT, nal_units.PPS_NUT):
                self._read_parameter_set(unit)
        except BitstreamError as error:
            self._damage(error)

    def _read_parameter_set(self, unit: NalUnit) -> None:
        try:
            self._parameter_sets.add(unit)
            self._refused = None
        except BitstreamError as error:
            self._refused = error
            raise

    def _read_slice_segment(self, unit: NalUnit) -> None:
        is_first = bool(unit.rbsp) and unit.rbsp[0] >= 0x80  # first_slice_segment_in_pic_flag
        if is_first or (self._parser is not None and self._parser.is_complete):
            self._finish_picture()
        try:
            header = read_slice_segment_header(
                unit, self._parameter_sets.sps_by_id, self._parameter_sets.pps_by_id, self._header
            )
        except BitstreamError as error:
            if self._picture is None or is_first:
                cause = f"; a parameter set before it cannot be read: {self._refused}" if self._refused else ""
                self._lose(BitstreamError(f"{error}{cause}"), is_irap=nal_units.is_irap(unit.nal_unit_type))
            else:
                self._damage(error)
            return
        if is_first:
            self._begin_picture(header, unit)
        self._header = header
        if self._picture is None or self._parser is None or self._picture.error is not None:
            return
        try:
            lists = self._buffer.reference_lists(header) if header.slice_type != I else ([], [])
            if self._picture.is_output:
                for reference in (*lists[0], *lists[1]):
                    reference.users.add(self._picture.order)
            self._parser.read_slice_segment(header, unit.rbsp, lists, _collocated(header, lists))
        except BitstreamError as error:
            self._damage(error)

    def _begin_picture(self, header: SliceSegmentHeader, unit: NalUnit) -> None:
        try:
            self._picture = self._buffer.begin_picture(header, unit)
        except BitstreamError as error:
            self.errors.append(self._located(error, order=self._buffer.num_pictures - 1))
            return
        if self._picture is None:
            return
        self._parser = PictureParser(header.active, self._picture.poc)
        if self._picture.missing_pocs:
            missing = ", ".join(map(str, self._picture.missing_pocs))
            self._damage(BitstreamError(f"it refers to POC {missing}, which did not come"))

    def _finish_picture(self) -> None:
        picture, parser = self._picture, self._parser
        if picture is not None and parser is not None and picture.error is None:
            try:
                picture.motion = parser.finish()
            except BitstreamError as error:
                self._damage(error)
        if picture is not None:
            self._buffer.end_picture()
            self._last_finished = picture
        self._picture = self._parser = self._header = None

    def _damage(self, error: BitstreamError) -> None:
        """Note an error in the current picture, or outside of any."""
        picture = self._picture
        if picture is None:
            self.errors.append(self._located(error, order=self._buffer.num_pictures))
        elif picture.error is None:
            picture.error = self._located(error, order=picture.order)
            self.errors.append(picture.error)

    def _lose(self, error: BitstreamError, *, is_irap: bool) -> None:
        """Note a picture of which nothing is known."""
        self.errors.append(self._located(error, order=self._buffer.num_pictures))
        self._buffer.picture_lost(is_irap=is_irap)

    def _located(self, error: BitstreamError, *, order: int) -> BitstreamError:
        poc = f" (POC {self._picture.poc})" if self._picture is not None else ""
        located = BitstreamError(f"picture {order}{poc} in decoding order, NAL unit {self._num_units - 1}: {error}")
        located.__cause__ = error
        return located


def read_annex_b(chunks: Iterable[bytes]) -> Iterator[CodedPicture]:
    """The pictures of an Annex B stream in output order, however it is cut into chunks.

    Raises: BitstreamError, at the first damage; use `HevcMotionReader` to read on.
    """
    reader = HevcMotionReader()
    for chunk in chunks:
        reader.push(chunk)
        if reader.errors:
            raise reader.errors[0]
        yield from reader.ready()
    reader.flush()
    if reader.errors:
        raise reader.errors[0]
    yield from reader.ready()


def _collocated(
    header: SliceSegmentHeader, lists: tuple[list[CodedPicture], list[CodedPicture]]
) -> PictureMotion | None:
    """Motion of ColPic (8.5.3.2.8)."""
    if header.slice_type == I or not header.slice_temporal_mvp_enabled_flag:
        return None
    picture = lists[0 if header.collocated_from_l0_flag else 1][header.collocated_ref_idx]
    if picture.motion is None:
        raise BitstreamError(f"it predicts vectors from POC {picture.poc}, whose vectors could not be read")
    motion: PictureMotion = picture.motion
    return motion

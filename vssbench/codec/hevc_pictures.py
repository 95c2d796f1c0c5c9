"""HEVC packets -> what our own reader says of each, in a thread of its own where pixels are decoded beside it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from vssbench.codec.hevc.picture_buffer import CodedPicture
from vssbench.codec.hevc.reader import HevcMotionReader


class HevcPictures:
    """Reads packets in decoding order, in the background: the reader holds no lock of the interpreter.

    Args:
        extradata: of the stream.
    """

    def __init__(self, extradata: bytes | None, executor: ThreadPoolExecutor) -> None:
        self._executor = executor
        self._reader = HevcMotionReader(extradata)

    def read(self, packet: bytes) -> Future[CodedPicture | None]:
        """Begin to read a packet; the result raises BitstreamError when it, or what came before it, is damaged."""
        return self._executor.submit(self._read, packet)

    def _read(self, packet: bytes) -> CodedPicture | None:
        picture = self._reader.read_access_unit(packet)
        self._reader.ready()
        if self._reader.errors:
            raise self._reader.errors[0]
        return picture


@contextmanager
def hevc_pictures(extradata: bytes | None) -> Iterator[HevcPictures]:
    """A reader for the packets of one stream."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        try:
            yield HevcPictures(extradata, executor)
        finally:
            executor.shutdown(cancel_futures=True)

"""A video file and its first video stream; every failure is a BitstreamError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vssbench.errors import BitstreamError

_STILL_FORMATS = ("tty", "image2", "bin", "xbin", "adf", "idf")  # text and pictures that FFmpeg also opens as video
# Edit lists hide coded frames, or show them twice; then frames and packets no longer correspond.
_OPTIONS = {"ignore_editlist": "1"}


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A file and its first video stream, pictures on the covers of sound files left aside.

    Raises: BitstreamError, when the file is missing, cannot be opened or holds no video.
    """
    if path.is_dir():
        raise BitstreamError(f"{path}: a folder, not a video file (0 frames were read); give one file")
    if not path.is_file():
        raise BitstreamError(f"{path}: no such video file (0 frames were read)")
    try:
        container = av.open(str(path), mode="r", options=_OPTIONS)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BitstreamError(
            f"{path}: no video, or cut short before its first frame (0 frames were read): {error}"
        ) from error
    with container:
        still = container.format.name in _STILL_FORMATS or container.format.name.endswith("_pipe")
        streams = [stream for stream in container.streams.video if not _is_cover(stream)]
        if still or not streams:
            raise BitstreamError(f"{path}: holds no video stream (0 frames were read)")
        if not _has_decoder(streams[0]):
            raise BitstreamError(f"{path}: no decoder for its video, or headers cut short (0 frames were read)")
        yield container, streams[0]


def _has_decoder(stream: VideoStream) -> bool:
    context: VideoCodecContext | None = stream.codec_context
    return context is not None


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def codec_name(stream: VideoStream) -> str:
    """FFmpeg's name of the codec, whichever decoder reads it: "h264", "mpeg4", "hevc"."""
    return stream.codec_context.codec.canonical_name


def end_s(packet: av.Packet[Any]) -> float:
    """When a packet's pictures stop being shown, in seconds."""
    return float(((packet.pts or 0) + (packet.duration or 0)) * packet.time_base)


def announced_end_s(stream: VideoStream) -> float:
    """When the stream ends by its header.

    Matroska counts no frames, but FFmpeg and mkvmerge write where each stream ends; 0 where nobody did.
    """
    try:
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except (KeyError, ValueError):
        return 0.0

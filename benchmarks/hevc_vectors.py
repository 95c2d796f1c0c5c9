"""Time reading HEVC motion vectors beside FFmpeg's own pixel decode of the same stream.

    python benchmarks/hevc_vectors.py
    python benchmarks/hevc_vectors.py --bitrate 1000 --preset ultrafast
    python benchmarks/hevc_vectors.py --video drive.mp4 --pictures 300

Without --video a drive down a procedural street is drawn at 720x960 with a camera's noise and encoded as AR-Seg does
(x265, rect and amp, I + 11 P, 3 Mbps). Packets lie in memory before the clock starts, and both sides get the same
ones. FFmpeg decodes on one thread (thread_type NONE) and its frames are not converted to RGB; our reader parses the
same packets on one thread. The machine is rarely quiet, so a round times every way once, one after another, and what
counts is the median over the rounds of the ratio to the pixels of the same round. Numba's compile is not in the times.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
import numba
import numpy as np

from vssbench.codec.encode import EncodeSettings, encode
from vssbench.codec.hevc.reader import HevcMotionReader
from vssbench.datasets.scenery.drive import Drive
from vssbench.errors import UsageError, VssBenchError
from vssbench.records import Rgb

SIZE, FPS = (720, 960), 30.0
NUM_PICTURES = 96  # 8 GOPs
SEED = 5
NOISE_SIGMA = 2.0  # of 255, a camera's: without it a drawn street has less detail than a photographed one
ROUNDS = 15
MOST_RATIO = {"vectors": 1.0, "both, one thread": 2.2}  # what is asked for, in times of the pixels


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The coded pictures of a video, in decoding order."""

    extradata: bytes | None
    packets: list[bytes]
    size: tuple[int, int]
    kbps: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Prepare the stream, take the times, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="an HEVC video instead of the drawn street")
    parser.add_argument("--pictures", type=int, default=NUM_PICTURES, help="how many pictures (default: %(default)s)")
    parser.add_argument("--bitrate", type=float, default=3000, help="kbit/s of the street (default: %(default)s)")
    parser.add_argument("--preset", default="medium", help="x265 preset of the street (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    options = parser.parse_args(arguments)
    if options.pictures < 1 or options.rounds < 1:
        parser.error("--pictures and --rounds must be at least 1")
    try:
        if options.video is not None:
            stream = load(options.video, options.pictures)
        else:
            settings = EncodeSettings(codec="hevc", bitrate_kbps=options.bitrate, preset=options.preset, fps=FPS)
            stream = encoded_street(options.pictures, settings)
        shares = inter_share(stream)
    except VssBenchError as error:
        sys.exit(str(error))
    height, width = stream.size
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start; "
        f"Python {platform.python_version()}, numba {numba.__version__}, PyAV {av.__version__}, "
        f"libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"
    )
    print(f"{len(stream.packets)} pictures of {height}x{width}, {stream.kbps:.0f} kbit/s, ", end="")
    print(f"{100 * shares[0]:.0f} % of the area predicted from other pictures, {100 * shares[1]:.0f} % skipped")
    table(measure(stream, options.rounds), len(stream.packets))


def street(num_pictures: int) -> Iterator[Rgb]:
    """A drive with a camera's noise."""
    drive = Drive(seed=SEED, size=SIZE, fps=FPS, num_frames=num_pictures)
    rng = np.random.default_rng(SEED)
    for index in range(num_pictures):
        noise = NOISE_SIGMA * rng.standard_normal((*SIZE, 3), np.float32)
        yield np.clip(drive.render(index)[0] + noise, 0, 255).round().astype(np.uint8)


def encoded_street(num_pictures: int, settings: EncodeSettings) -> Stream:
    """The street, encoded into memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "street.mp4"
        encode(street(num_pictures), path, settings=settings)
        return load(path, num_pictures)


def load(path: Path, num_pictures: int) -> Stream:
    """The first pictures of a video.

    Raises: UsageError, for a file that is no HEVC video.
    """
    try:
        with av.open(str(path)) as container:
            video = next(iter(container.streams.video), None)
            if video is None or video.codec_context.name != "hevc":
                raise UsageError(f"{path} holds no HEVC video; encode it with libx265 first")
            packets: list[bytes] = []
            for packet in container.demux(video):
                if packet.size and len(packets) < num_pictures:
                    packets.append(bytes(packet))
            context = video.codec_context
            rate = float(video.average_rate or FPS)
            bits = 8 * sum(map(len, packets))
            return Stream(
                extradata=context.extradata,
                packets=packets,
                size=(context.height, context.width),
                kbps=bits * rate / max(len(packets), 1) / 1000,
            )
    except (av.FFmpegError, OSError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error


def inter_share(stream: Stream) -> tuple[float, float]:
    """Shares of the area that are predicted from other pictures, and skipped; reads (and compiles) once."""
    reader = HevcMotionReader(stream.extradata)
    pictures = [reader.read_access_unit(packet) for packet in stream.packets]
    if reader.errors:
        raise reader.errors[0]
    modes = [picture.motion.pred_mode for picture in pictures if picture is not None]
    return float(np.mean([mode > 0 for mode in modes])), float(np.mean([mode == 2 for mode in modes]))


def decoder(stream: Stream) -> av.VideoCodecContext:
    """FFmpeg's HEVC decoder on one thread."""
    context = av.CodecContext.create("hevc", "r")
    context.extradata = stream.extradata
    context.thread_type, context.thread_count = "NONE", 1
    return context


def pixels(stream: Stream) -> int:
    """Decode every picture, and count them."""
    context = decoder(stream)
    count = sum(len(context.decode(av.Packet(packet))) for packet in stream.packets)
    return count + len(context.decode(None))


def vectors(stream: Stream) -> int:
    """Read the vectors of every picture, and count them."""
    reader = HevcMotionReader(stream.extradata)
    count = 0
    for packet in stream.packets:
        reader.read_access_unit(packet)
        count += len(reader.ready())
    reader.flush()
    return count + len(reader.ready())


def both(stream: Stream) -> int:
    """Read the vectors of each packet, then decode it."""
    reader, context = HevcMotionReader(stream.extradata), decoder(stream)
    count = 0
    for packet in stream.packets:
        reader.read_access_unit(packet)
        reader.ready()
        count += len(context.decode(av.Packet(packet)))
    return count + len(context.decode(None))


def beside(stream: Stream, executor: ThreadPoolExecutor) -> int:
    """Read the vectors in one thread while another decodes."""
    own = executor.submit(vectors, stream)
    count = pixels(stream)
    if own.result() != count:
        raise RuntimeError(f"{own.result()} pictures with vectors, {count} with pixels")
    return count


def measure(stream: Stream, rounds: int) -> dict[str, list[float]]:
    """Seconds of every way in every round; a first round warms up and is dropped."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        ways: dict[str, Callable[[], int]] = {
            "pixels": lambda: pixels(stream),
            "vectors": lambda: vectors(stream),
            "both, one thread": lambda: both(stream),
            "both, two threads": lambda: beside(stream, executor),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for round_index in range(rounds + 1):
            counts = set()
            for name, way in ways.items():
                start = time.perf_counter()
                counts.add(way())
                if round_index > 0:
                    times[name].append(time.perf_counter() - start)
            if len(counts) != 1:
                raise RuntimeError(f"the ways gave different numbers of pictures: {sorted(counts)}")
    return times


def table(times: dict[str, list[float]], num_pictures: int) -> None:
    """Print medians, and the quartiles of the ratios."""
    print(f"\nmedian of {len(times['pixels'])} rounds, quartiles of the ratio in brackets\n")
    print("| | ms a picture | pictures/s | times the pixels | asked for |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, own in times.items():
        ratios = [a / b for a, b in zip(own, times["pixels"], strict=True)]
        low, ratio, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        second = statistics.median(own) / num_pictures
        asked = f"at most {MOST_RATIO[name]}" if name in MOST_RATIO else ""
        spread = f"{ratio:.2f} ({low:.2f} to {high:.2f})" if name != "pixels" else "1"
        print(f"| {name} | {1000 * second:.2f} | {1 / second:.0f} | {spread} | {asked} |")


if __name__ == "__main__":
    main()

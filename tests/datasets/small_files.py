"""Writers of small data sets in the real layouts, for the tests of the data sets."""

from pathlib import Path

import av
import numpy as np
from PIL import Image

SIZE = (24, 32)  # (height, width)


def picture(seed: int, *, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def label(seed: int, *, size: tuple[int, int] = SIZE, num_values: int = 12) -> np.ndarray:
    """Every value 0..num_values-1 occurs."""
    values = np.arange(size[0] * size[1], dtype=np.uint8).reshape(size) % num_values
    return np.roll(values, seed, axis=1).astype(np.uint8)


def write_sequence(folder: Path, *, count: int = 4, step: int = 2, listing: bool = True) -> Path:
    """A folder like camvid15: frames/0016E5_07959.png, ..., labels/ of the same names, frames.csv."""
    numbers = [7959 + step * index for index in range(count)]
    for index, number in enumerate(numbers):
        save(folder / "frames" / f"0016E5_{number:05d}.png", picture(index))
        save(folder / "labels" / f"0016E5_{number:05d}.png", label(index))
    if listing:
        rows = [f"{index},0016E5_{number:05d}.png,{number}," for index, number in enumerate(numbers)]
        (folder / "frames.csv").write_text("\n".join(["index,file,camvid_frame,t_seconds_at_30fps", *rows]) + "\n")
    return folder


def write_stills(folder: Path, *, names: dict[str, list[str]], size: tuple[int, int] = SIZE) -> Path:
    """A folder like camvid_stills: {split}.txt, {split}/images/*.png, {split}/labels/*.png."""
    seed = 0
    for split, stems in names.items():
        lines = []
        for stem in stems:
            seed += 1
            save(folder / split / "images" / f"{stem}.png", picture(seed, size=size))
            save(folder / split / "labels" / f"{stem}.png", label(seed, size=size))
            lines.append(f"{split}/images/{stem}.png {split}/labels/{stem}.png")
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_video(
    path: Path,
    *,
    count: int = 30,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    rate: int = 25,
) -> Path:
    """A video of a pattern that slides by 2 px a frame, 64x96."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.repeat(np.repeat(picture(0, size=(16, 64)), 4, axis=0), 4, axis=1)
    container_options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(count):
            rgb = np.ascontiguousarray(np.roll(blocks, -2 * index, axis=1)[:, :96])
            for packet in stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def cut_short(path: Path, *, keep: float = 0.5) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path

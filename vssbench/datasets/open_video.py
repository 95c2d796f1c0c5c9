"""From the files of a video to a SourceVideo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from vssbench.datasets.fit import Fit, FittedLabels
from vssbench.datasets.frame_files import ImageFrames, common_size, content_key
from vssbench.datasets.label_files import LabelFiles, require_size
from vssbench.datasets.messages import first_few
from vssbench.datasets.survey import VideoFiles
from vssbench.datasets.video_file import VideoFile, video_index
from vssbench.errors import DatasetError
from vssbench.records import LabelMap, Rgb, SourceVideo

ReadFrames = Callable[[int, int], Iterator[Rgb]]  # SourceVideo.read


def open_video(files: VideoFiles, *, fps: float | None) -> SourceVideo:
    """The video of these files; all sizes are checked now, labels are read when they are asked for.

    Args:
        files: image files in display order, or one video file, and the label files.
        fps: frames per second; None to take the video file's own.
    Raises: DatasetError, when a file is missing or unreadable, a label's size is not that of the frames, a
        label belongs to a frame past the end, or the rate is not known.
    """
    if files.video_file is not None:
        index = video_index(files.video_file)
        num_frames, size, rate = index.num_frames, index.size, fps or index.fps
        read: ReadFrames = VideoFile(path=files.video_file).read
        paths = [files.video_file]
    else:
        size = common_size(files.frames)
        num_frames, rate = len(files.frames), fps
        read = ImageFrames(paths=files.frames, size=size).read
        paths = list(files.frames)
    if rate is None:
        raise DatasetError(f"frame rate of {files.name} is not known: its file does not say; give fps")
    require_labels(files, num_frames=num_frames, size=size)
    labels: Mapping[int, LabelMap] = LabelFiles(files.labels, files.label_format, size=size)
    settings: tuple[object, ...] = ()
    if files.fit is not None and (settings := files.fit.settings(size)):
        read, labels = _fitted(read, files.fit), FittedLabels(labels, files.fit)
    return SourceVideo(
        name=files.name,
        num_frames=num_frames,
        size=files.video_size(size),
        fps=rate,
        read=read,
        labels=labels,
        content_key=content_key(paths, *settings),
    )


def _fitted(read: ReadFrames, fit: Fit) -> ReadFrames:
    return lambda start, stop: (fit.image(rgb) for rgb in read(start, stop))


def require_labels(files: VideoFiles, *, num_frames: int, size: tuple[int, int]) -> None:
    """Refuse labels outside the video or of another size than its frames.

    Raises: DatasetError.
    """
    outside = [f"{path.name} (frame {index})" for index, path in files.labels.items() if not 0 <= index < num_frames]
    if outside:
        raise DatasetError(
            f"labels outside the video {files.name}: it has the frames 0..{num_frames - 1}, got "
            f"{first_few(outside)}; check that the video is whole, correct first_number, or remove the labels"
        )
    for path in files.labels.values():
        require_size(path, size)

"""From the files of a video to a SourceVideo."""

from __future__ import annotations

from vssbench.datasets.frame_files import ImageFrames, common_size, content_key
from vssbench.datasets.label_files import LabelFiles, require_size
from vssbench.datasets.messages import first_few
from vssbench.datasets.survey import VideoFiles
from vssbench.datasets.video_file import VideoFile, video_index
from vssbench.errors import DatasetError
from vssbench.records import SourceVideo


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
        read = VideoFile(path=files.video_file).read
        key = content_key([files.video_file])
    else:
        size = common_size(files.frames)
        num_frames, rate = len(files.frames), fps
        read = ImageFrames(paths=files.frames, size=size).read
        key = content_key(files.frames)
    if rate is None:
        raise DatasetError(f"frame rate of {files.name} is not known: its file does not say; give fps")
    require_labels(files, num_frames=num_frames, size=size)
    return SourceVideo(
        name=files.name,
        num_frames=num_frames,
        size=size,
        fps=rate,
        read=read,
        labels=LabelFiles(files.labels, files.label_format, size=size),
        content_key=key,
    )


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

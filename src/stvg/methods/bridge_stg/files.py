"""Frames of a video's file, which a detector looks at whatever the language model saw."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from stvg.errors import UsageError
from stvg.types import ByteArray, FloatArray, IntArray, Interval, VideoMeta
from stvg.video import SamplingPlan, iter_frames, probe

LONGEST = 1066
"""Longer side of a frame at most, pixels."""


def size_of(video: VideoMeta, side: int) -> tuple[int, int]:
    """Width and height at which frames are looked at: the shorter side as asked for, or less.

    Small frames are enlarged, as the detector's authors do it.

    Example:
        >>> from fractions import Fraction
        >>> sizes = (640, 480), (1920, 1080), (90, 160)
        >>> videos = [VideoMeta("dog.mp4", *size, Fraction(10), 4.0, 40) for size in sizes]
        >>> [size_of(video, 640) for video in videos]
        [(853, 640), (1066, 600), (600, 1066)]
    """
    sides = video.width, video.height
    scale = min(side / min(sides), LONGEST / max(sides))
    return max(round(video.width * scale), 1), max(round(video.height * scale), 1)


def check_file(video: VideoMeta) -> None:
    """Refuse a clip whose frames cannot be read again.

    Raises:
        UsageError: If there is no such file.
    """
    if not Path(video.path).is_file():
        raise UsageError(
            f"expected a video with a file, since the detector reads frames of its own from it, "
            f"found none at {video.path!r}; write clips of the world with `stvg world` and use the "
            "task benchmark, or leave out the option detector"
        )


def frames_at(video: VideoMeta, times_s: FloatArray, side: int, *, first: int = 0) -> ByteArray:
    """The frames that are on screen at some times, for training.

    They are drawn anew each time, so that a cache would keep what is not asked for again.

    Args:
        video: The video of a file or a part of it, or a picture.
        times_s: At least one, each of another frame.
        side: See :func:`size_of`.
        first: Number in the file of the video's first frame.

    Returns:
        RGB, (F, H, W, 3) uint8, in the order of time.
    """
    numbers = np.unique(video.frame_at(times_s))
    return np.stack([pixels for _, pixels in _read(video, numbers, side, first, threads=1)])


def frames_in(
    interval: Interval, video: VideoMeta, *, rate: float, side: int, most: int, first: int = 0
) -> Iterator[tuple[FloatArray, ByteArray]]:
    """The frames on screen at ``start``, ``start + 1 / rate``, ... in an interval, some at a time.

    A frame that is on screen at several of these times is given once.

    Args:
        interval: Inside the video.
        video: The video of a file or a part of it, or a picture.
        rate: Times a second.
        side: See :func:`size_of`.
        most: Frames that are given together.
        first: Number in the file of the video's first frame.

    Yields:
        When they are shown, seconds inside the interval, (F,) increasing, and RGB (F, H, W, 3)
        uint8.
    """
    count = max(int(np.ceil(interval.duration_s * rate - 1e-6)), 1)
    numbers = np.unique(video.frame_at(interval.start_s + np.arange(count) / rate))
    shown = _read(video, numbers, side, first, threads=0)
    last_s = np.nextafter(interval.end_s, interval.start_s)
    for begin in range(0, len(numbers), most):
        some = [next(shown) for _ in numbers[begin : begin + most]]
        times_s = np.clip([time_s for time_s, _ in some], interval.start_s, last_s)
        yield times_s, np.stack([pixels for _, pixels in some])


def _read(
    video: VideoMeta, numbers: IntArray, side: int, first: int, *, threads: int
) -> Iterator[tuple[float, ByteArray]]:
    """Time and pixels (H, W, 3) of frames by their numbers, which increase."""
    size = size_of(video, side)
    if video.frames == 1 and _is_picture(Path(video.path)):
        with Image.open(video.path) as found:  # as it is stored, like the clip that is made of it
            scaled = found.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        yield 0.0, np.asarray(scaled)
        return
    whole = probe(video.path)
    plan = SamplingPlan(times_s=whole.times_s[numbers + first].tolist(), fixed_size=size)
    frames = iter_frames(whole, plan, threads=threads)
    for time_s, (_, _, pixels) in zip(video.times_s[numbers], frames, strict=True):
        yield float(time_s), pixels


def _is_picture(path: Path) -> bool:
    """Whether a file is a picture rather than a video of one frame."""
    try:
        with Image.open(path):
            return True
    except UnidentifiedImageError:
        return False

"""Frames of a video by time: :func:`read_clip` and its streaming form :func:`iter_frames`.

A plan is applied to a file: the frames that are on screen at its times are looked up in the index,
taken from the cache or decoded (:mod:`stvg.video.decoding`), and delivered as RGB bytes, turned and
scaled, with the times at which they are really shown. ``docs/video.md`` has the rules.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stvg.errors import VideoError
from stvg.progress import Progress, no_progress
from stvg.types import ByteArray, Clip, IntArray, VideoMeta

from .cache import FrameCache
from .container import FileIdentity, file_identity
from .decoding import pictures
from .index import video_index
from .sampling import SamplingPlan

READER_VERSION = 1
"""Part of every cache key: goes up when the same request would give other bytes."""


def read_clip(
    video: str | Path | VideoMeta,
    plan: SamplingPlan,
    *,
    cache: FrameCache | None = None,
    threads: int = 0,
    progress: Progress | None = None,
) -> Clip:
    """The frames that are on screen at the plan's times.

    A frame that is on screen at several of the times is in the clip once, so that its times
    increase strictly.

    Args:
        video: A file, or its meta data from :func:`stvg.video.probe`.
        plan: Which frames, and how large.
        cache: Where decoded frames are kept on disk; a hit decodes nothing.
        threads: Threads of the decoder; 0 uses every core. In a data loader with several
            processes 1 costs the least in all.
        progress: Called with frames done and frames in all.

    Returns:
        RGB frames (T, H, W, 3) uint8 (read-only from a cache), their presentation times (T,)
        strictly increasing seconds and their numbers (T,), T >= 1.

    Raises:
        VideoError: If the file is no video, has changed since it was probed, or a wanted frame
            cannot be read.
        UsageError: If the plan asks for times outside the video.

    Example:
        >>> import tempfile
        >>> from fractions import Fraction
        >>> from stvg.video.writer import VideoWriter
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = f"{folder.name}/grey.mp4"
        >>> with VideoWriter(path, fps=Fraction(10)) as writer:
        ...     for number in range(20):
        ...         writer.write(np.full((64, 96, 3), 10 * number, np.uint8), number / 10)
        >>> clip = read_clip(path, SamplingPlan(count=4, long_side=48))
        >>> clip.frames.shape, clip.frame_indices.tolist()
        ((4, 32, 48, 3), [2, 7, 12, 17])
    """
    report = progress or no_progress
    request = _Request.of(video, plan, cache)
    if cache is not None:
        kept = cache.load_frames(*request.key)
        if kept is not None:
            report(len(kept), len(kept))
            return request.clip(kept)
    width, height = request.size
    frames = np.empty((len(request.numbers), height, width, 3), np.uint8)
    for row, picture in enumerate(request.pictures(threads)):
        frames[row] = picture
        report(row + 1, len(frames))
    if cache is not None:
        index = video_index(request.identity)
        if index.readable_s is None:  # every read of a broken file has to notice that it is one
            cache.store_meta(request.identity, READER_VERSION, index.meta)
        cache.store_frames(*request.key, frames)
    return request.clip(frames)


def iter_frames(
    video: str | Path | VideoMeta, plan: SamplingPlan, *, threads: int = 0
) -> Iterator[tuple[int, float, ByteArray]]:
    """The frames of :func:`read_clip` one after the other, in bounded memory.

    The plan is checked at once, before the first frame is asked for.

    Args:
        video: A file, or its meta data from :func:`stvg.video.probe`.
        plan: Which frames, and how large.
        threads: Threads of the decoder; 0 uses every core.

    Returns:
        For each frame its number in the video, its presentation time in seconds and its RGB
        pixels (H, W, 3) uint8; numbers and times increase strictly.

    Raises:
        VideoError: As :func:`read_clip`.
        UsageError: If the plan asks for times outside the video.
    """
    request = _Request.of(video, plan, None)

    def frames() -> Iterator[tuple[int, float, ByteArray]]:
        times_s = request.meta.times_s
        for number, picture in zip(request.numbers, request.pictures(threads), strict=True):
            yield int(number), float(times_s[number]), picture

    return frames()


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """A plan applied to a file.

    Attributes:
        identity: What makes the file the same one; see :func:`file_identity`.
        meta: The video, named as the caller names it.
        numbers: The wanted frames, (T,) int64 strictly increasing.
        size: Width and height to deliver.
    """

    identity: FileIdentity
    meta: VideoMeta
    numbers: IntArray
    size: tuple[int, int]

    @classmethod
    def of(
        cls, video: str | Path | VideoMeta, plan: SamplingPlan, cache: FrameCache | None
    ) -> _Request:
        """Look the file up (in the cache if possible) and apply the plan to it."""
        path = video.path if isinstance(video, VideoMeta) else str(video)
        identity = file_identity(path)
        meta = cache.load_meta(identity, READER_VERSION) if cache is not None else None
        readable_s, declared_frames = None, 0
        if meta is None:
            index = video_index(identity)
            meta, readable_s = index.meta, index.readable_s
            declared_frames = index.declared_frames
        if isinstance(video, VideoMeta):
            _check_unchanged(video, meta)
        needed_s = plan.needed_until_s(meta)
        if readable_s is not None and needed_s >= readable_s:
            of_declared = f" of {declared_frames}" if declared_frames else ""
            until = f"{math.floor(readable_s * 1000) / 1000:.3f}"
            raise VideoError(
                f"expected frames up to {needed_s:.3f} s, but {path} breaks off: {meta.frames}"
                f"{of_declared} frames, up to {until} s, are readable; get a whole copy, or read "
                f"the interval [0, {until})"
            )
        numbers = meta.frame_at(plan.times(meta))
        numbers = numbers[np.append(True, np.diff(numbers) > 0)]
        return cls(identity, replace(meta, path=path), numbers, plan.size(meta))

    @property
    def key(self) -> tuple[FileIdentity, int, IntArray, tuple[int, int]]:
        """What the frames are kept under."""
        return self.identity, READER_VERSION, self.numbers, self.size

    def pictures(self, threads: int) -> Iterator[ByteArray]:
        """The frames, decoded one after the other."""
        return pictures(video_index(self.identity), self.numbers, self.size, threads)

    def clip(self, frames: ByteArray) -> Clip:
        """The answer."""
        return Clip(self.meta, frames, self.meta.times_s[self.numbers], self.numbers)


def _check_unchanged(given: VideoMeta, found: VideoMeta) -> None:
    """Refuse meta data that is not that of the file."""
    before = (given.width, given.height, given.frames)
    now = (found.width, found.height, found.frames)
    if before != now:
        raise VideoError(
            f"expected {given.path} to have {before[2]} frames of {before[0]}x{before[1]} as its "
            f"meta data says, found {now[2]} frames of {now[0]}x{now[1]}; the file has changed: "
            "probe it again"
        )

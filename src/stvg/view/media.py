"""A video in a form that browsers play: the file itself where they can, else a preview of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stvg.progress import Stages, no_stages
from stvg.types import VideoMeta
from stvg.video import SamplingPlan, iter_frames
from stvg.video.container import open_video
from stvg.video.writer import VideoWriter

PREVIEW_SIDE = 1280
PREVIEW_TYPE = "video/mp4"

_MP4, _WEBM = "mov", "matroska"  # as FFmpeg calls the containers
_TYPES = {_MP4: "video/mp4", _WEBM: "video/webm"}
_PLAYED = {_MP4: ("h264", "av1", "vp9"), _WEBM: ("vp8", "vp9", "av1")}
_PIXELS = ("yuv420p", "yuvj420p")  # 8 bits in 4:2:0; other forms play in some browsers only


def media_type(meta: VideoMeta) -> str | None:
    """The media type of a video that browsers play as it is, every frame at its time; or None.

    Chromium skips frames when it seeks in a video that stores its frames in another order and
    shows them at an uneven rate.

    Args:
        meta: The video.

    Raises:
        VideoError: If it cannot be opened.
    """
    with open_video(meta.path) as (container, stream):
        context = stream.codec_context
        box = container.format.name.partition(",")[0]
        plays = stream.codec.canonical_name in _PLAYED.get(box, ()) and context.pix_fmt in _PIXELS
        reorders = bool(context.has_b_frames)
    return _TYPES[box] if plays and not (reorders and _is_uneven(meta)) else None


def _is_uneven(meta: VideoMeta) -> bool:
    """Whether some frame is shown half as long again as another; less than that is rounding."""
    steps = np.diff(meta.times_s)
    return len(steps) > 0 and bool(steps.max() > 1.5 * steps.min())


def write_preview(
    meta: VideoMeta, path: str | Path, *, stages: Stages = no_stages, threads: int = 0
) -> None:
    """Write a video as MP4 with H.264, every frame at its time, without sound.

    Args:
        meta: The video.
        path: The file to write, ``.mp4``; at most 1280 pixels long.
        stages: Told how far it is.
        threads: CPU threads that decode, 0 for all.

    Raises:
        VideoError: If the video cannot be read.
        OutputError: If the file cannot be written.
    """
    report = stages("making a preview")
    with VideoWriter(path, fps=meta.fps, duration_s=meta.duration_s) as writer:
        frames = iter_frames(meta, SamplingPlan(long_side=PREVIEW_SIDE), threads=threads)
        for _, time_s, picture in frames:
            writer.write(picture, time_s)
            report(writer.frames, meta.frames)

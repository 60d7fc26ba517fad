"""A video with the numbers of its objects painted on it, as a file, and a sheet of its frames.

Pixels are painted at the size of the video after decoding; times and length stay what they were.
A model does not need the file: what samples and resizes frames calls
:func:`stvg.perception.painting.paint` on them, which loses nothing to a second encoding.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from stvg.errors import UsageError, VideoError
from stvg.formats.atomic import atomic_path
from stvg.perception.painting import NumberPainter, PaintStyle
from stvg.progress import Progress, no_progress
from stvg.types import RLE, ByteArray, FloatArray, Tracks, VideoMeta
from stvg.video import SamplingPlan, iter_frames, probe
from stvg.video.draw import INK, PAPER, draw_badge, format_time
from stvg.video.writer import VideoWriter

_COLUMNS, _LINES = 3, 2
_WIDTH, _GAP = 1600, 8  # pixels of a sheet


def require_tracks_of(tracks: Tracks, meta: VideoMeta) -> None:
    """Make sure that tracks are those of a video.

    Raises:
        VideoError: If they were made from a video of another size or length.
    """
    before = (tracks.video.width, tracks.video.height, tracks.video.frames)
    now = (meta.width, meta.height, meta.frames)
    if before != now:
        raise VideoError(
            f"expected tracks of {meta.path}, which has {now[2]} frames of {now[0]}x{now[1]}, "
            f"found tracks of {tracks.video.path} with {before[2]} frames of "
            f"{before[0]}x{before[1]}; give the tracks of this video, or leave them out to have "
            "them made"
        )


def write_painted(
    video: str | Path,
    tracks: Tracks,
    out: str | Path,
    *,
    style: PaintStyle | None = None,
    sheet: str | Path | None = None,
    progress: Progress = no_progress,
) -> None:
    """Write a video with the numbers of its objects on it.

    Args:
        video: The video.
        tracks: Its objects, possibly none: then the film is a copy.
        out: ``.mp4`` or ``.mov``.
        style: How the numbers look; default the paper's.
        sheet: A ``.png`` with six frames of the film, or None.
        progress: Called with (frames done, frames in all).

    Raises:
        UsageError: If the result would replace the video, or a suffix is not written.
        VideoError: If the video cannot be read, or the tracks are of another one.
        OutputError: If a result cannot be written.
    """
    meta, target = probe(video), Path(out)
    require_tracks_of(tracks, meta)
    if target.exists() and target.samefile(meta.path):
        raise UsageError(f"the film would replace the video {meta.path}; choose another name")
    boxes, masks = _by_frame(tracks)
    painter = NumberPainter((meta.width, meta.height), style)
    parts = _COLUMNS * _LINES
    shown = {int((part + 0.5) * meta.frames / parts) for part in range(parts)}
    pictures: list[tuple[float, ByteArray]] = []
    with VideoWriter(target, fps=meta.fps, duration_s=meta.duration_s) as writer:
        for number, time_s, frame in iter_frames(meta, SamplingPlan()):
            painted = frame if frame.flags.writeable else frame.copy()
            painter.draw(painted, boxes.get(number, {}), masks.get(number))
            writer.write(painted, time_s)
            if sheet is not None and number in shown:
                pictures.append((time_s, _small(painted)))
            progress(writer.frames, meta.frames)
    if sheet is not None:
        _write_sheet(pictures, Path(sheet))


def _by_frame(
    tracks: Tracks,
) -> tuple[dict[int, dict[int, FloatArray]], dict[int, dict[int, RLE]]]:
    """Boxes and masks by frame and id."""
    boxes: dict[int, dict[int, FloatArray]] = {}
    masks: dict[int, dict[int, RLE]] = {}
    for track in tracks.tracks:
        for row, frame in enumerate(track.frames.tolist()):
            boxes.setdefault(frame, {})[track.id] = track.boxes[row]
            mask = None if track.masks is None else track.masks[row]
            if mask is not None:
                masks.setdefault(frame, {})[track.id] = mask
    return boxes, masks


def _small(picture: ByteArray) -> ByteArray:
    """A picture (H, W, 3) at the size it has on a sheet; small ones are enlarged sharply."""
    height, width = picture.shape[:2]
    wide = (_WIDTH - _GAP * (_COLUMNS + 1)) // _COLUMNS
    factor = wide / width
    size = (wide, max(1, round(height * factor)))
    if factor >= 2:
        size = (width * int(factor), height * int(factor))
    method = Image.Resampling.NEAREST if factor >= 2 else Image.Resampling.LANCZOS
    return np.array(Image.fromarray(picture).resize(size, method))


def _write_sheet(pictures: list[tuple[float, ByteArray]], path: Path) -> None:
    """Put pictures of one size side by side, each with its time."""
    high, wide = pictures[0][1].shape[:2]
    lines = -(-len(pictures) // _COLUMNS)
    canvas = np.empty((lines * (high + _GAP) + _GAP, _COLUMNS * (wide + _GAP) + _GAP, 3), np.uint8)
    canvas[:] = PAPER
    for place, (time_s, picture) in enumerate(pictures):
        draw_badge(picture, format_time(time_s, 2), (0.0, float(high)), INK)
        left = _GAP + place % _COLUMNS * (wide + _GAP)
        top = _GAP + place // _COLUMNS * (high + _GAP)
        canvas[top : top + high, left : left + wide] = picture
    with atomic_path(path) as temporary:
        Image.fromarray(canvas).save(temporary, "PNG", optimize=True)

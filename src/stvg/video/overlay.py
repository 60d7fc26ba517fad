"""Results on the video they belong to: a film to watch, a sheet of frames to print.

The film keeps every frame at its true time. Boxes, labels and mask tints lie on the picture;
everything else (sentence, score, cues, timeline, current time) stands in a strip added below it, so
nothing of the picture is covered. Frames are streamed: memory does not grow with the length of the
video. Nothing is decided here about the answer itself; see :class:`stvg.types.Prediction`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stvg.errors import UsageError, VideoError
from stvg.formats.atomic import atomic_path, check_writable
from stvg.geometry.masks import decode_masks
from stvg.progress import Progress, no_progress
from stvg.types import (
    ByteArray,
    Prediction,
    Tracks,
    VideoMeta,
)

from .draw import (
    Rect,
    color_of,
    draw_badge,
    draw_box,
    draw_label,
    format_time,
    line_width_for,
    text_size_for,
    tint_mask,
)
from .fonts import typeface_for
from .index import probe
from .layers import (
    OTHER,
    SAME_FRAME_S,
    Layer,
    answer_layer,
    answer_row,
    track_layer,
    track_rows,
    without_flicker,
)
from .panel import BACKGROUND, MUTED, Panel, Row
from .reader import iter_frames
from .sampling import SamplingPlan
from .writer import VideoWriter

LONG_SIDE = 1280
ROOM_FOR_TEXT = 480  # long side below which pictures are enlarged, so that text has room
SHEET_TEXT_SHARE = 0.0125  # text size of a contact sheet, of its width: read when shown small
NARROWEST = 160  # pixels; the strip below needs them, a narrower picture stands in its middle
LABEL_SHARE = 0.35  # of the width of the picture that a label may take,
LABEL_AT_LEAST = 12  # but this many text sizes in any case
GUTTER = 8  # pixels between the pictures of a contact sheet


def write_overlay(
    predictions: Prediction | Sequence[Prediction],
    out_path: str | Path,
    *,
    tracks: Tracks | None = None,
    long_side: int = LONG_SIDE,
    progress: Progress = no_progress,
) -> None:
    """Write the video with one or more answers drawn on it.

    Inside its interval each answer has a box in its colour (dashed where boxes were filled in over
    more than half a second), its mask if there is one, and a label. Below the picture stand its
    sentence, time, score, cues (``prediction.details["cues"]``, a number by name) and timeline; an
    answer that found nothing says why.

    Args:
        predictions: Answers on one video.
        out_path: ``.mp4`` or ``.mov``.
        tracks: Everything that was tracked, drawn thin and grey behind the answers.
        long_side: Larger pictures are reduced to this, pixels, at least 160. Pictures below 480
            (or this) are enlarged by a whole factor.
        progress: Called with (frames done, frames in all).

    Raises:
        UsageError: If there is no prediction, they are of different videos, ``long_side`` is too
            small, or the result would replace the video itself.
        VideoError: If the video cannot be read or is not the one the predictions are about.
        OutputError: If the result cannot be written.
    """
    answers = _as_answers(predictions)
    meta = _video_of([answer.video for answer in answers] + ([tracks.video] if tracks else []))
    others = tracks.tracks if tracks else ()
    layers = [replace(track_layer(t, meta, str(t.id), OTHER), quiet=True) for t in others]
    badges, rows = _badges(answers), []
    for number, (answer, badge) in enumerate(zip(answers, badges, strict=True)):
        color, label = color_of(number), f"{badge} {answer.query.text}".strip()
        layers.append(without_flicker(answer_layer(answer, meta, label, color), meta))
        rows.append(answer_row(answer, color, badge))
    _render(meta, layers, rows, Path(out_path), long_side=long_side, progress=progress)


def write_tracks_overlay(
    tracks: Tracks,
    out_path: str | Path,
    *,
    long_side: int = LONG_SIDE,
    progress: Progress = no_progress,
) -> None:
    """Write the video with every tracked object drawn on it: box, mask if there is one, id, label.

    Below the picture the objects are counted by label, and timelines show when each of the longest
    16 was seen.

    Args:
        tracks: What was tracked; possibly nothing.
        out_path: ``.mp4`` or ``.mov``.
        long_side: As in :func:`write_overlay`.
        progress: Called with (frames done, frames in all).

    Raises:
        UsageError: If ``long_side`` is too small, or the result would replace the video itself.
        VideoError: If the video cannot be read or is not the one the tracks are about.
        OutputError: If the result cannot be written.
    """
    meta = _video_of([tracks.video])
    layers = [
        track_layer(track, meta, f"{track.id} {track.label}", color_of(track.id))
        for track in tracks.tracks
    ]
    rows = track_rows(tracks, meta)
    _render(meta, layers, rows, Path(out_path), long_side=long_side, progress=progress)


def contact_sheet(
    predictions: Prediction | Sequence[Prediction],
    out_png: str | Path,
    *,
    count: int = 6,
    times_s: Sequence[float] | None = None,
    width: int = 1600,
) -> None:
    """Write some frames of one or more answers as one picture, sentence and timeline below.

    Args:
        predictions: Answers on one video.
        out_png: Where to write; ``.png``.
        count: How many frames. They are spread over the interval (from the first start to the
            last end of several), with one before and one after it where the clip goes on; over
            the whole clip when nothing was found.
        times_s: Which frames instead: the ones on screen at these times, seconds.
        width: Most pixels across, at least 320; less where it would mean to enlarge a video.

    Raises:
        UsageError: If the suffix is not ``.png``, the sheet is too narrow, there is no prediction
            or frame to show, the predictions are of different videos, or a time lies outside the
            video.
        VideoError: If the video cannot be read or is not the one the prediction is about.
        OutputError: If the result cannot be written.
    """
    out = Path(out_png)
    if out.suffix.lower() != ".png":
        raise UsageError(f"a contact sheet is written as .png, found {out.name!r}")
    if width < 2 * NARROWEST:
        raise UsageError(f"a sheet is at least {2 * NARROWEST} pixels wide, found width {width}")
    check_writable(out)
    answers = _as_answers(predictions)
    meta = _video_of([answer.video for answer in answers])
    shown = _frames_to_show(answers, meta, count, times_s)
    badges = _badges(answers)  # the sentences stand below
    colors = [color_of(number) for number in range(len(answers))]
    marks = list(zip(answers, badges, colors, strict=True))
    layers = [answer_layer(answer, meta, badge, color) for answer, badge, color in marks]
    rows = [answer_row(answer, color, badge) for answer, badge, color in marks]
    columns = _columns(len(shown), meta.width / meta.height)
    cell = max(1, (width - GUTTER * (columns + 1)) // columns)
    wide, high = _shown_size(meta, cell, 4 * cell)
    width = max(columns * (wide + GUTTER) + GUTTER, 2 * NARROWEST)
    lines = math.ceil(len(shown) / columns)
    text_size = max(text_size_for(wide, high), round(SHEET_TEXT_SHARE * width))
    panel = Panel(rows, meta, width, text_size)
    scene = _Scene(meta, layers, (wide, high), text_size)
    sheet = np.empty((lines * (high + GUTTER) + GUTTER + panel.height, width, 3), np.uint8)
    sheet[:] = BACKGROUND
    for place, (frame, time_s, rgb) in enumerate(scene.read(shown)):
        left = GUTTER + place % columns * (wide + GUTTER)
        top = GUTTER + place // columns * (high + GUTTER)
        picture = sheet[top : top + high, left : left + wide]
        scene.draw(picture, frame, rgb)
        inside = [layer.color for layer in layers if np.isfinite(layer.boxes[frame, 0])]
        corner = picture[: high - GUTTER, GUTTER:]  # the badge moves inside it
        color = inside[0] if len(layers) == 1 and inside else MUTED
        draw_badge(corner, format_time(time_s, 2), (0.0, float(high)), color, face=scene.small)
    panel.draw(sheet[-panel.height :], [float(meta.times_s[frame]) for frame in shown])
    with atomic_path(out) as temporary:
        Image.fromarray(sheet).save(temporary, "PNG", optimize=True)


def _as_answers(predictions: Prediction | Sequence[Prediction]) -> list[Prediction]:
    """One answer or several as a list, at least one."""
    answers = [predictions] if isinstance(predictions, Prediction) else list(predictions)
    if not answers:
        raise UsageError("there is nothing to draw: expected at least one prediction, found none")
    return answers


def _badges(answers: Sequence[Prediction]) -> list[str]:
    """The numbers of several answers; a single one needs none."""
    return [str(number) for number in range(1, len(answers) + 1)] if len(answers) > 1 else [""]


class _Scene:
    """The pictures of a video at the size in which they are shown, with their marks.

    Args:
        meta: The video.
        layers: What to draw, the first one lowest.
        size: Width and height of the shown pictures, pixels; see :func:`_shown_size`.
        text_size: Of the labels, pixels.

    Attributes:
        small: Typeface of the smaller labels.
    """

    def __init__(
        self, meta: VideoMeta, layers: Sequence[Layer], size: tuple[int, int], text_size: int
    ) -> None:
        self._meta, self._layers, self._size = meta, layers, size
        self._scale = np.array([size[0] / meta.width, size[1] / meta.height] * 2)
        letters = "".join(layer.label for layer in layers)
        self._face = typeface_for(letters, text_size)
        self.small = typeface_for(letters, max(min(text_size, 10), round(0.75 * text_size)))

    def read(self, frames: Sequence[int]) -> Iterator[tuple[int, float, ByteArray]]:
        """Number, time and picture of ``frames`` (increasing), reduced while they are decoded."""
        smaller = (min(self._size[0], self._meta.width), min(self._size[1], self._meta.height))
        plan = SamplingPlan(times_s=self._meta.times_s[list(frames)].tolist(), fixed_size=smaller)
        return iter_frames(self._meta, plan)

    def draw(self, target: ByteArray, frame: int, rgb: ByteArray) -> None:
        """Put a picture with its marks into ``target``, (height, width, 3) of the shown size."""
        target[:] = _resized(rgb, self._size)
        shown = [layer for layer in self._layers if np.isfinite(layer.boxes[frame, 0])]
        for layer in shown:
            if frame in layer.masks and not layer.quiet:
                mask = decode_masks([layer.masks[frame]])[0]
                tint_mask(target, _resized(mask, self._size), layer.color)
        boxes = [layer.boxes[frame] * self._scale for layer in shown]
        line = line_width_for(*self._size)
        for layer, box in zip(shown, boxes, strict=True):
            width = max(1, line // 2) if layer.quiet else line
            draw_box(target, box, layer.color, width=width, dashed=bool(layer.dashed[frame]))
        taken: list[Rect] = []
        for layer, box in zip(reversed(shown), reversed(boxes), strict=True):
            face = self.small if layer.quiet else self._face
            most = max(round(LABEL_SHARE * self._size[0]), LABEL_AT_LEAST * face.size)
            text = face.elide(layer.label, most)
            chip = draw_label(target, text, box, layer.color, face=face, avoid=taken)
            taken += [chip] if chip else []


def _render(
    meta: VideoMeta,
    layers: Sequence[Layer],
    rows: Sequence[Row],
    out: Path,
    *,
    long_side: int,
    progress: Progress,
) -> None:
    """Write the film, frame by frame."""
    if out.exists() and out.samefile(meta.path):
        raise UsageError(f"the overlay would replace the video {meta.path}; choose another name")
    if long_side < NARROWEST:
        raise UsageError(f"long_side must be at least {NARROWEST} pixels, found {long_side}")
    width, height = _shown_size(meta, long_side, long_side)
    text_size = text_size_for(width, height)
    panel = Panel(rows, meta, max(width, NARROWEST), text_size)
    scene = _Scene(meta, layers, (width, height), text_size)
    canvas = np.empty((height + panel.height, max(width, NARROWEST), 3), np.uint8)
    canvas[:] = BACKGROUND
    left = (canvas.shape[1] - width) // 2
    picture = canvas[:height, left : left + width]
    with VideoWriter(out, fps=meta.fps, duration_s=meta.duration_s) as writer:
        progress(0, meta.frames)
        for frame, time_s, rgb in scene.read(range(meta.frames)):
            scene.draw(picture, frame, rgb)
            panel.draw(canvas[height:], [time_s])
            writer.write(canvas, time_s)
            progress(writer.frames, meta.frames)


def _video_of(expected: Sequence[VideoMeta]) -> VideoMeta:
    """Probe the one video that all of ``expected`` mean, and make sure it still is that video."""
    first = expected[0]
    for other in expected[1:]:
        if Path(other.path) != Path(first.path):
            raise UsageError(
                f"one overlay shows one video, found results on {first.path} and {other.path}"
            )
    meta = probe(first.path)
    for other in expected:
        if (other.width, other.height, other.frames) != (meta.width, meta.height, meta.frames):
            raise VideoError(
                f"the result is about a video of {other.width}x{other.height} and {other.frames} "
                f"frames, but {meta.path} has {meta.width}x{meta.height} and {meta.frames}; was "
                "the file replaced?"
            )
    return meta


def _shown_size(meta: VideoMeta, max_width: int, max_height: int) -> tuple[int, int]:
    """Width and height at which a video is shown; see :func:`write_overlay`."""
    scale = min(max_width / meta.width, max_height / meta.height)
    if scale < 1:
        return max(1, round(meta.width * scale)), max(1, round(meta.height * scale))
    wanted = math.ceil(ROOM_FOR_TEXT / max(meta.width, meta.height))
    factor = min(wanted, math.floor(scale))
    return meta.width * factor, meta.height * factor


def _resized(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """A picture (H, W, 3) uint8 or mask (H, W) bool at another size; pixels stay sharp."""
    if picture.shape[:2] == size[::-1]:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.NEAREST))


def _frames_to_show(
    answers: Sequence[Prediction], meta: VideoMeta, count: int, times_s: Sequence[float] | None
) -> list[int]:
    """Frame numbers of a contact sheet, increasing."""
    if times_s is not None:
        outside = [time_s for time_s in times_s if not 0 <= time_s <= meta.duration_s]
        if outside:
            raise UsageError(
                f"{meta.name} has times of 0 to {meta.duration_s:.3f} s, found {outside[0]} s"
            )
        frames = sorted({int(meta.frame_at(time_s)[0]) for time_s in times_s})
    else:
        frames = _spread(answers, meta, count)
    if not frames:
        raise UsageError("a contact sheet needs at least one frame, found none asked for")
    return frames


def _spread(answers: Sequence[Prediction], meta: VideoMeta, count: int) -> list[int]:
    """Frames in the middle of equal parts of the answers' time, and one before and after it."""
    start, end = 0, meta.frames
    around: list[int] = []
    times = meta.times_s + SAME_FRAME_S
    spans = [answer.tube.interval.mask(times) for answer in answers if answer.tube is not None]
    inside = np.flatnonzero(np.any(spans, axis=0)) if spans else np.zeros(0, np.int64)
    if len(inside) and count > 2:
        start, end = int(inside[0]), int(inside[-1]) + 1
        around = [start // 2] if start else []
        around += [(end + meta.frames) // 2] if end < meta.frames else []
    parts = max(count, 0) - len(around)
    middle = {start + int((part + 0.5) * (end - start) / parts) for part in range(parts)}
    return sorted(middle.union(around))


def _columns(count: int, aspect: float) -> int:
    """Columns for ``count`` pictures of width / height ``aspect``: a sheet of 2.2 to 1, full."""

    def badness(columns: int) -> float:
        lines = math.ceil(count / columns)
        shape = abs(math.log(columns * aspect / lines / 2.2))
        return shape + (lines * columns - count) / count

    return min(range(1, count + 1), key=badness)

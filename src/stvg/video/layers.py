"""What answers and tracks become before they are drawn: layers on the pictures, rows below them.

A :class:`Layer` holds one object's box, style and mask for every frame of the video, so that
drawing a frame is a look-up; a :class:`~stvg.video.panel.Row` holds what is said about it. No pixel
is touched here; :mod:`stvg.video.overlay` draws.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from stvg.types import RLE, BoolArray, FloatArray, Prediction, Track, Tracks, VideoMeta

from .draw import Color, color_of, format_time
from .panel import Row

SAME_FRAME_S = 1e-4  # times this close are one frame, as in VideoMeta.frame_at
LONG_GAP_S = 0.6  # ours: filled-in stretches up to this look like the boxes around them
FLASH_S = 0.2  # ours: seen boxes for less than this, amid filled-in ones, would only flash
MAX_LANES = 16  # timelines of tracks; more would be taller than the picture
FACT_SEPARATOR = " · "
OTHER: Color = (200, 204, 210)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One object on the pictures of a video.

    Attributes:
        color: Of box, label and mask.
        label: Text of its label.
        boxes: ``xyxy`` pixels of the original frame, (frames, 4); NaN where it is not drawn.
        dashed: Which boxes are drawn dashed, (frames,) bool.
        masks: Mask by frame number.
        quiet: Drawn thin and small, without its mask, as one of those that were not chosen.
    """

    color: Color
    label: str
    boxes: FloatArray
    dashed: BoolArray
    masks: Mapping[int, RLE]
    quiet: bool = False


def answer_layer(answer: Prediction, meta: VideoMeta, label: str, color: Color) -> Layer:
    """The tube of an answer, looked up for every frame of the video.

    Args:
        answer: What to draw; an empty one makes a layer without boxes.
        meta: The video with its true frame times.
        label: Text of its label.
        color: Of box, label and mask.

    Returns:
        Boxes in the frames inside the interval, dashed exactly where they were filled in.
    """
    boxes = np.full((meta.frames, 4), np.nan)
    dashed = np.zeros(meta.frames, np.bool_)
    masks: dict[int, RLE] = {}
    if answer.tube is not None:
        tube, times = answer.tube, meta.times_s
        frames = np.flatnonzero(tube.interval.mask(times + SAME_FRAME_S))
        boxes[frames] = tube.at(np.clip(times[frames], tube.times_s[0], tube.times_s[-1]))
        found = np.searchsorted(tube.times_s, times[frames] + SAME_FRAME_S, side="right") - 1
        entries = np.maximum(found, 0)  # of the tube, the one on screen at each frame
        if tube.interpolated is not None:
            dashed[frames] = tube.interpolated[entries]
        for frame, entry in zip(frames, entries, strict=True):
            mask = tube.masks[entry] if tube.masks is not None else None
            if mask is not None and abs(tube.times_s[entry] - times[frame]) <= SAME_FRAME_S:
                masks[int(frame)] = mask
    return Layer(color, label, boxes, dashed, masks)


def track_layer(track: Track, meta: VideoMeta, label: str, color: Color) -> Layer:
    """The boxes of a track, by frame of the video; arguments as in :func:`answer_layer`."""
    boxes = np.full((meta.frames, 4), np.nan)
    boxes[track.frames] = track.boxes
    pairs = zip(track.frames.tolist(), track.masks or (), strict=track.masks is not None)
    masks = {frame: mask for frame, mask in pairs if mask is not None}
    return Layer(color, label, boxes, np.zeros(meta.frames, np.bool_), masks)


def without_flicker(layer: Layer, meta: VideoMeta) -> Layer:
    """The layer with dashes that last: sampled frames would make a film blink otherwise.

    Methods see a few frames a second and fill in the rest. Filled-in stretches up to
    ``LONG_GAP_S`` beside seen ones become solid; then solid ones up to ``FLASH_S`` beside dashed
    ones become dashed.
    """
    shown = np.append(np.isfinite(layer.boxes[:, 0]), False)  # index -1 is no frame either
    dashed = layer.dashed.copy()
    for value, longest_s in ((True, LONG_GAP_S), (False, FLASH_S)):
        for start, end in _runs(shown[:-1] & (dashed == value)):
            lasts_s = meta.frame_ends_s[end - 1] - meta.times_s[start]
            if lasts_s <= longest_s + SAME_FRAME_S and (shown[start - 1] or shown[end]):
                dashed[start:end] = not value
    return replace(layer, dashed=dashed)


def answer_row(answer: Prediction, color: Color, badge: str) -> Row:
    """What the panel says about an answer.

    Args:
        answer: Sentence, interval or reason, score, method, and ``details["cues"]`` (a number by
            name; anything else there is left out).
        color: Of its timeline.
        badge: Its number when there are several answers.
    """
    facts = [] if answer.score is None else [f"score {answer.score:.2f}"]
    facts.append(answer.method)
    cues = (answer.details or {}).get("cues")
    numbers = [
        (str(name), float(value))
        for name, value in (cues.items() if isinstance(cues, Mapping) else ())
        if isinstance(value, int | float) and math.isfinite(value)
    ]
    if answer.tube is None:
        return Row(
            color,
            text=answer.query.text,
            facts=FACT_SEPARATOR.join(["not found", *facts]),
            note="; ".join(answer.warnings),
            badge=badge,
            cues=tuple(numbers),
        )
    interval = answer.tube.interval
    start, end = format_time(interval.start_s), format_time(interval.end_s)
    return Row(
        color,
        (interval,),
        text=answer.query.text,
        facts=FACT_SEPARATOR.join([f"{start} to {end}", *facts]),
        badge=badge,
        cues=tuple(numbers),
    )


def track_rows(tracks: Tracks, meta: VideoMeta) -> list[Row]:
    """A count by label, and a timeline for each of the longest ``MAX_LANES`` tracks, by id.

    Returns:
        At least one row; the first carries the count.
    """
    by_length = sorted(tracks.tracks, key=len, reverse=True)[:MAX_LANES]
    counts = Counter(track.label for track in tracks.tracks)
    kinds = ", ".join(f"{label} ({count})" for label, count in counts.most_common())
    number = len(tracks)
    text = f"{number} track{'s' * (number != 1)}: {kinds}" if number else "no tracks"
    facts = f"timelines of the longest {MAX_LANES}" if number > MAX_LANES else ""
    rows = []
    for track in sorted(by_length, key=lambda track: track.id):
        seen = np.zeros(meta.frames, np.bool_)
        seen[track.frames] = True
        spans = tuple(meta.span_of(start, end) for start, end in _runs(seen))
        rows.append(Row(color_of(track.id), spans))
    first = rows[0] if rows else Row(OTHER)
    return [replace(first, text=text, facts=facts), *rows[1:]]


def _runs(flags: BoolArray) -> list[tuple[int, int]]:
    """Stretches [start, end) in which ``flags`` (N,) are set."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]

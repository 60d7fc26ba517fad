"""Between a benchmark and a file: which frames are the input, and where an answer belongs.

Benchmarks count frames and pixels of the video that their makers had. Answers keep the numbers of
the file's frames; boxes are scaled where the file is a smaller or larger copy. A file whose frames
cannot be those of the annotation (another frame rate, another shape) is refused by name instead of
being scored wrong.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from stvg.data.base import BoxRecord, MaskRecord, Record, TimeRecord, TubeRecord
from stvg.errors import UsageError
from stvg.excerpt import Excerpt
from stvg.formats.predictions_jsonl import PredictionRecord, record_of
from stvg.types import FloatArray, Prediction, VideoMeta

_TOLERANCE = 0.05  # of frame rate and frame count together; ours: makers round both
_SHAPE_TOLERANCE = 0.03  # of the aspect ratio; sides are rounded to even numbers when scaled
_CUT_TOLERANCE_S = 1.0  # a file this close to the length of a clip is taken for the clip itself

_NO_FRAMES = np.zeros(0, np.int64)
_NO_BOXES = np.zeros((0, 4))


def input_part(record: Record, meta: VideoMeta) -> tuple[int, int] | None:
    """The frames ``[start, end)`` of the file that are the input of a query; None for all.

    Example:
        >>> from fractions import Fraction
        >>> from stvg.types import Query
        >>> record = TimeRecord(id="q", query=Query("a dog"), media="v", place="record 0",
        ...     duration_s=2.0, windows=_NO_BOXES[:, :2], extra={"start": 1.0, "end": 3.0})
        >>> input_part(record, VideoMeta("v.mp4", 64, 64, Fraction(10), 9.0, 90))
        (10, 30)
    """
    if isinstance(record, TubeRecord):
        begin, end = record.segment
        is_open = not record.extra.get("frame_count_unknown") and end >= record.frame_count
        if begin >= end or (begin <= 0 and is_open):
            return None
        return max(begin, 0), meta.frames if is_open else min(end, meta.frames)
    start_s, end_s = _clip_s(record)
    if start_s is None or end_s is None or _is_cut_already(meta, start_s, end_s):
        return None
    first = int(meta.frame_at(start_s)[0]) if start_s < meta.duration_s else meta.frames
    return first, int(np.searchsorted(meta.times_s, end_s - 1e-4, side="left"))


def misfit(record: Record, meta: VideoMeta) -> str | None:
    """Why the file cannot be what the annotation speaks of: reason, colon, detail; None if it can.

    Example:
        >>> from fractions import Fraction
        >>> from stvg.types import Query
        >>> record = BoxRecord(id="q", query=Query("a dog"), media="a.jpg", place="record 0",
        ...     width=640, height=480, box=_NO_BOXES)
        >>> misfit(record, VideoMeta("a.jpg", 480, 640, Fraction(1), 1.0, 1))
        'other shape than annotated: 480x640, annotated 640x480'
    """
    if isinstance(record, TubeRecord | BoxRecord) and record.width and record.height:
        stretch = (record.width / meta.width) / (record.height / meta.height)
        if abs(math.log(stretch)) > _SHAPE_TOLERANCE:
            sizes = f"{meta.width}x{meta.height}, annotated {record.width}x{record.height}"
            return f"other shape than annotated: {sizes}"
    if isinstance(record, TubeRecord) and has_other_length(record, meta):
        rate = float(meta.fps)
        counts = abs(meta.frames / record.frame_count - 1) > _TOLERANCE
        if counts and record.fps > 0 and abs(rate / record.fps - 1) > _TOLERANCE:
            return (
                f"other frame rate than annotated: {meta.frames} frames at {rate:g} a second, "
                f"annotated {record.frame_count} at {record.fps:g}"
            )
    part = input_part(record, meta)
    if part is not None and part[0] >= part[1]:
        return (
            f"input beyond the video: it starts at frame {part[0]}, the video has {meta.frames} "
            "frames"
        )
    return None


def has_other_length(record: Record, meta: VideoMeta) -> bool:
    """Whether the annotation counts other frames than the file has, where it counts them."""
    if not isinstance(record, TubeRecord) or record.extra.get("frame_count_unknown"):
        return False
    return record.frame_count not in (0, meta.frames)


def line_of(record: Record, prediction: Prediction, excerpt: Excerpt) -> PredictionRecord:
    """The answer to a query in frames, pixels and seconds of its benchmark.

    Args:
        record: The query.
        prediction: The answer, about the excerpt.
        excerpt: What the method was given.

    Raises:
        UsageError: If the answer holds no frame, or boxes where masks are asked for.
    """
    whole = record_of(prediction)
    line = replace(whole, id=record.id, masks=None)
    if prediction.tube is None or line.span_frames is None:
        return line
    if isinstance(record, MaskRecord):
        if prediction.tube.masks is None:
            raise UsageError(
                f"expected masks, {prediction.method} answered with boxes alone; use a method "
                "whose objects have masks (--method stvg_r1 --set "
                "numbering.segmenter=facebook/sam2.1-hiera-small)"
            )
        return replace(line, masks=whole.masks)
    span = (line.span_frames[0] + excerpt.first, line.span_frames[1] + excerpt.first)
    if isinstance(record, TimeRecord):
        start_s, end_s = _clip_s(record)
        shift_s = 0.0
        if start_s is not None and not excerpt.is_whole and end_s is not None:
            shift_s = float(excerpt.whole.times_s[excerpt.first]) - start_s
        interval = prediction.tube.interval
        seconds = (max(interval.start_s + shift_s, 0.0), interval.end_s + shift_s)
        return replace(line, span_frames=span, frames=_NO_FRAMES, boxes=_NO_BOXES, span_s=seconds)
    boxes = line.boxes * _scale(record, excerpt.whole)
    return replace(line, span_frames=span, frames=line.frames + excerpt.first, boxes=boxes)


def _scale(record: Record, meta: VideoMeta) -> FloatArray:
    """Factors (4,) from pixels of the file to those of the annotation."""
    if isinstance(record, TubeRecord | BoxRecord) and record.width and record.height:
        return np.array([record.width / meta.width, record.height / meta.height] * 2)
    return np.ones(4)


def _clip_s(record: Record) -> tuple[float | None, float | None]:
    """Start and end in seconds of the clip that is the input, where the annotation names one."""
    return record.extra.get("start"), record.extra.get("end")


def _is_cut_already(meta: VideoMeta, start_s: float, end_s: float) -> bool:
    """Whether the file is the clip itself and no longer the video that it was cut from."""
    return abs(meta.duration_s - (end_s - start_s)) <= _CUT_TOLERANCE_S

"""Overlaps of tubes under a protocol: tIoU, vIoU and gt_vIoU of one query.

With true span ``G = [a, b)`` and predicted span ``P = [s, e)`` in frames, true boxes ``g_t`` and
predicted boxes ``p_t``:

* tIoU = (min(b, e) - max(a, s)) / (max(b, e) - min(a, s)), 0 where they do not meet;
* vIoU = sum over t in G and P of IoU(p_t, g_t), over the number of t in G or P;
* gt_vIoU = mean of IoU(p_t, g_t) over the true frames, wherever P lies.

Which frames ``t`` runs over, and where G ends, is what evaluators disagree on: see
:class:`stvg.evaluate.protocols.TubeProtocol`. Everything is a pure function of one record and one
answer, so that a file is scored while it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from stvg.data.base import TubeRecord
from stvg.types import BoolArray, FloatArray, IntArray

from .answers import Answer, llava_st_tokens
from .protocols import TubeProtocol

TUBEDETR_FPS = 5
TUBEDETR_MOST = 200
ST_ALIGN_FRAMES = 100
ST_ALIGN_LAST = ST_ALIGN_FRAMES - 1
SECONDS_KEYS = (("st_time", "ed_time"), ("start_s", "end_s"))
"""Where loaders keep annotated seconds that differ from the span in frames."""


@dataclass(frozen=True, slots=True)
class TubeScore:
    """What one query scored, all in [0, 1].

    Attributes:
        tiou: Overlap of the spans.
        viou: Overlap of the tubes.
        gt_viou: Mean overlap of the boxes under the true span; NaN where the protocol has none.
        missing_boxes: True frames that the protocol looks at and that have no predicted box.
        first_missing: The first of them, or None.
    """

    tiou: float
    viou: float
    gt_viou: float
    missing_boxes: int = 0
    first_missing: int | None = None


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Box overlap on every frame that has a row of true boxes.

    Attributes:
        first: Frame of row 0.
        iou: (N,) in [0, 1]; 0 where either box is missing.
        expects: Frames that have a true box, (N,) bool.
        lacks: Those of them without a predicted box, (N,) bool.
    """

    first: int
    iou: FloatArray
    expects: BoolArray
    lacks: BoolArray

    def rows(self, start: float, end: float) -> slice:
        """Rows of the frames ``[start, end)``, those that exist."""
        low = max(int(np.ceil(start)) - self.first, 0)
        return slice(low, max(int(np.ceil(end)) - self.first, low))


def paired_box_iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Overlap of boxes row by row, as all STVG evaluators compute it.

    The same numbers as :func:`stvg.geometry.boxes.paired_iou`, without its checks.

    Args:
        a: ``xyxy``, (N, 4); NaN or reversed corners overlap nothing.
        b: ``xyxy``, (N, 4).

    Returns:
        (N,) in [0, 1]; 0 where the union is empty.

    Example:
        >>> paired_box_iou(np.array([[0., 0, 2, 2]]), np.array([[1., 0, 3, 2]])).round(4).tolist()
        [0.3333]
    """
    with np.errstate(invalid="ignore"):
        width = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0])
        height = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
        shared = np.where((width > 0) & (height > 0), width * height, 0.0)
        first = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
        union = first + (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) - shared
        good = shared > 0  # only then are both boxes in order and the union above 0
    return np.divide(shared, union, out=np.zeros(len(a)), where=good)


def tube_overlaps(record: TubeRecord, answer: Answer, protocol: TubeProtocol) -> Overlaps:
    """Overlap on every true frame, shifted and clipped as the protocol wants it."""
    boxes = true_boxes(record, protocol)
    first = record.first_box_frame + protocol.first_frame_shift
    expects = np.isfinite(boxes[:, 0])
    iou, has = np.zeros(len(boxes)), np.zeros(len(boxes), np.bool_)
    frames = answer.frames
    low, high = np.searchsorted(frames, (first, first + len(boxes)))
    if high > low:
        rows = frames[low:high] - first
        iou[rows] = paired_box_iou(answer.boxes[low:high], boxes[rows])
        has[rows] = True
    return Overlaps(first, iou, expects, expects & ~has)


def true_boxes(record: TubeRecord, protocol: TubeProtocol) -> FloatArray:
    """True boxes (N, 4) that the protocol compares with, NaN where there is none."""
    boxes = record.boxes
    if protocol.gt_viou == "true boxes and the end frame":
        boxes = _with_end_frame(record)
    if protocol.clips_truth:
        limit = np.array([np.inf, np.inf, record.width, record.height])
        boxes = np.minimum(boxes, limit)
    return boxes


def score_tube(
    record: TubeRecord,
    answer: Answer,
    protocol: TubeProtocol,
    cache: dict[tuple[object, ...], Overlaps] | None = None,
) -> TubeScore:
    """Score one answer.

    Args:
        record: The truth.
        answer: The answer; nothing found scores 0, its boxes still count for gt_vIoU.
        protocol: How.
        cache: Keeps overlaps between protocols for this record and answer.

    Returns:
        The scores; nothing is raised for faults of the answer.
    """
    if protocol.tiou == "shares of the segment":
        return _score_st_align(record, answer)
    key = (
        protocol.first_frame_shift,
        protocol.clips_truth,
        protocol.gt_viou == "true boxes and the end frame",
    )
    overlaps = None if cache is None else cache.get(key)
    if overlaps is None:
        overlaps = tube_overlaps(record, answer, protocol)
        if cache is not None:
            cache[key] = overlaps
    if protocol.unit == "seconds":
        return _score_in_seconds(record, answer, overlaps)
    if protocol.grid == "every frame":
        return _score_every_frame(record, answer, protocol, overlaps)
    return _score_on_grid(record, answer, protocol, overlaps)


def true_span(record: TubeRecord, protocol: TubeProtocol) -> tuple[int, int]:
    """The true span ``[a, b)`` in frames as the protocol sees it."""
    start, end = record.span
    if protocol.true_end == "one frame short":
        end -= 1
    elif protocol.true_end == "cut at the segment's last frame":
        end = min(end, record.segment[1] - 1)
    return start + protocol.first_frame_shift, end + protocol.first_frame_shift


@lru_cache(maxsize=4096)
def tubedetr_grid(begin: int, end: int, fps: float) -> IntArray:
    """Frames that TubeDETR samples between ``begin`` and ``end`` (exclusive), (K,) int64.

    Starts at ``begin``; frame f is taken when ``int(last * r) < int(f * r)`` with r = 5 / fps;
    of more than 200 frames those at ``(j * count) // 200`` stay.

    Example:
        >>> tubedetr_grid(0, 30, 25.0).tolist()
        [0, 5, 10, 15, 20, 25]
    """
    frames = np.arange(begin, max(end, begin), dtype=np.int64)
    steps = (frames * (TUBEDETR_FPS / fps)).astype(np.int64)
    taken = frames[np.append(True, np.diff(steps) > 0)] if len(frames) else frames
    if len(taken) > TUBEDETR_MOST:
        taken = taken[np.arange(TUBEDETR_MOST) * len(taken) // TUBEDETR_MOST]
    taken.setflags(write=False)
    return taken


def _with_end_frame(record: TubeRecord) -> FloatArray:
    """True boxes of the span and of the frame at its exclusive end, if the segment has it.

    Where the object is gone by then, its last box stands in for it.
    """
    start, end = record.span
    last = min(end, record.segment[1] - 1)
    at_end = record.extra.get("box_at_end")
    is_whole = record.first_box_frame == start and len(record.boxes) == end - start
    if is_whole and last == end and at_end is not None:  # the usual case, quickly
        return np.append(record.boxes, np.reshape(at_end, (1, 4)), axis=0)
    rows = np.arange(start, last + 1) - record.first_box_frame
    known = (rows >= 0) & (rows < len(record.boxes))
    boxes = np.full((len(rows), 4), np.nan)
    boxes[known] = record.boxes[rows[known]]
    if len(rows) and last == end:
        if at_end is not None:
            boxes[-1] = at_end
        elif len(rows) > 1 and not np.isfinite(boxes[-1]).all():
            boxes[-1] = boxes[-2]
    return boxes


def span_overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Intersection over hull of two spans; 0 where they do not meet.

    Example:
        >>> span_overlap((0, 4), (2, 6))
        0.3333333333333333
    """
    shared = min(a[1], b[1]) - max(a[0], b[0])
    return shared / (max(a[1], b[1]) - min(a[0], b[0])) if shared > 0 else 0.0


def _score_every_frame(
    record: TubeRecord, answer: Answer, protocol: TubeProtocol, overlaps: Overlaps
) -> TubeScore:
    """Every frame counts."""
    true, found = true_span(record, protocol), answer.span_frames
    needed = _gt_rows(record, protocol, overlaps)
    gt_viou = np.nan if protocol.gt_viou is None else _gt_mean(record, protocol, overlaps, needed)
    missing = _missing(overlaps, needed)
    if found is None:
        return TubeScore(0.0, 0.0, gt_viou, *missing)
    extra = 1 if protocol.end_frame_counts else 0
    inside = overlaps.rows(max(true[0], found[0]), min(true[1], found[1]) + extra)
    hull = max(true[1], found[1]) - min(true[0], found[0]) + extra
    viou = float(overlaps.iou[inside].sum()) / hull if hull > 0 else 0.0
    tiou = span_overlap(true, found)
    if protocol.tiou == "frames with both boxes":
        both = overlaps.expects[inside] & ~overlaps.lacks[inside]
        tiou = float(both.sum()) / hull if hull > 0 else 0.0
    return TubeScore(tiou, viou, gt_viou, *missing)


def _gt_rows(record: TubeRecord, protocol: TubeProtocol, overlaps: Overlaps) -> slice:
    """Rows of the frames that gt_vIoU is the mean over."""
    if protocol.gt_viou == "true boxes and the end frame":
        return slice(0, len(overlaps.iou))
    return overlaps.rows(
        record.span[0] + protocol.first_frame_shift, record.span[1] + protocol.first_frame_shift
    )


def _gt_mean(record: TubeRecord, protocol: TubeProtocol, overlaps: Overlaps, rows: slice) -> float:
    """Mean overlap over the true frames; a true frame without a true box counts 0."""
    values = overlaps.iou[rows]
    count = len(values)
    if protocol.gt_viou == "true span":
        count = max(record.span[1] - record.span[0], count)
    return float(values.sum()) / count if count else 0.0


def _missing(overlaps: Overlaps, rows: slice | IntArray) -> tuple[int, int | None]:
    """How many frames of these rows lack a predicted box, and the first of them."""
    lacks = overlaps.lacks[rows]
    count = int(np.count_nonzero(lacks))
    if not count:
        return 0, None
    places = np.arange(len(overlaps.lacks))[rows]
    return count, overlaps.first + int(places[int(np.argmax(lacks))])


def _score_on_grid(
    record: TubeRecord, answer: Answer, protocol: TubeProtocol, overlaps: Overlaps
) -> TubeScore:
    """Only sampled frames count; tIoU is of the real spans."""
    begin, end = record.segment
    grid = tubedetr_grid(begin, end - 1, record.fps)
    true, found = true_span(record, protocol), answer.span_frames
    rows = _part(grid, *true) - overlaps.first
    rows = rows[(rows >= 0) & (rows < len(overlaps.iou))]
    count = len(_part(grid, *true))
    gt_viou = float(overlaps.iou[rows].sum()) / count if count else 0.0
    missing = _missing(overlaps, rows)
    if found is None:
        return TubeScore(0.0, 0.0, gt_viou, *missing)
    inside = _part(grid, max(true[0], found[0]), min(true[1], found[1])) - overlaps.first
    inside = inside[(inside >= 0) & (inside < len(overlaps.iou))]
    either = len(_part(grid, min(true[0], found[0]), max(true[1], found[1])))
    viou = float(overlaps.iou[inside].sum()) / either if either else 0.0
    return TubeScore(span_overlap(true, found), viou, gt_viou, *missing)


def _part(grid: IntArray, start: float, end: float) -> IntArray:
    """Frames of a sorted grid in ``[start, end)``."""
    low, high = np.searchsorted(grid, (start, end))
    return grid[low : max(high, low)]


def annotated_seconds(record: TubeRecord) -> tuple[float, float]:
    """The true span in seconds as annotated, else its frames over the frame rate."""
    for keys in SECONDS_KEYS:
        start, end = (_number(record.extra, key) for key in keys)
        if start is not None and end is not None:
            return start, end
    return record.span[0] / _rate(record), record.span[1] / _rate(record)


def _rate(record: TubeRecord) -> float:
    """Frames per second, or 1 where it is not known: shares of spans do not depend on it."""
    return record.fps if np.isfinite(record.fps) and record.fps > 0 else 1.0


def _number(values: Mapping[str, object], key: str) -> float | None:
    """A number of a record's extra values."""
    value = values.get(key)
    return float(value) if isinstance(value, int | float) else None


def _score_in_seconds(record: TubeRecord, answer: Answer, overlaps: Overlaps) -> TubeScore:
    """STVG-R1: tIoU of seconds, vIoU over the frames ``int(t * fps)`` of both, ends included."""
    fps = _rate(record)
    true_s = annotated_seconds(record)
    true = int(true_s[0] * fps), int(true_s[1] * fps)
    if answer.span_s is not None:
        found_s = answer.span_s
        found = int(found_s[0] * fps), int(found_s[1] * fps)
    elif answer.span_frames is not None:
        found = int(answer.span_frames[0]), int(answer.span_frames[1])
        found_s = found[0] / fps, found[1] / fps
    else:
        return TubeScore(0.0, 0.0, np.nan)
    start, end = max(true[0], found[0]), min(true[1], found[1])
    viou = 0.0
    if start < end:
        hull = max(true[1], found[1]) - min(true[0], found[0]) + 1
        viou = float(overlaps.iou[overlaps.rows(start, end + 1)].sum()) / hull
    return TubeScore(span_overlap(true_s, found_s), viou, np.nan)


def _score_st_align(record: TubeRecord, answer: Answer) -> TubeScore:
    """LLaVA-ST: the span as shares of the segment, boxes on the frames where they were written.

    gt_vIoU is the sum of overlaps over the frames with both boxes, divided by their number (the
    authors' sIoU); vIoU divides by the number of frames with either.
    """
    true = _st_align_truth(record)
    span, found = _st_align_answer(record, answer)
    first, last = record.segment[0], record.segment[1] - 1
    length = max(last - first, 1)
    target = tuple(round((frame - first) / length, 3) for frame in _st_align_ends(record))
    tiou = span_overlap((target[0], target[1]), span)
    common = sorted(true.keys() & found.keys())
    if not common:
        return TubeScore(tiou, 0.0, 0.0)
    pairs = np.array([[true[frame], found[frame]] for frame in common], np.float64)  # (K, 2, 4)
    total = float(paired_box_iou(pairs[:, 0], pairs[:, 1]).sum())
    either = len(true.keys() | found.keys())
    return TubeScore(tiou, total / either, total / len(common))


def st_align_frames(segment: tuple[int, int]) -> IntArray:
    """The 100 frames that LLaVA-ST samples from a segment ``[first, end)``, (100,) int64.

    Example:
        >>> st_align_frames((0, 100))[[0, 1, 99]].tolist()
        [0, 1, 99]
    """
    first, last = segment[0], segment[1] - 1
    steps = [first + round(k / ST_ALIGN_LAST * (last - first)) for k in range(ST_ALIGN_FRAMES)]
    return np.array(steps, np.int64)


def _st_align_ends(record: TubeRecord) -> tuple[float, float]:
    """First and last frame of the true span, both included; (first, first) where there is none."""
    start, end = record.span
    return float(start), float(max(end - 1, start))


def _st_align_truth(record: TubeRecord) -> dict[int, FloatArray]:
    """True boxes by frame, on sampled frames only."""
    rows = np.flatnonzero(np.isfinite(record.boxes).all(axis=1))
    sampled = set(st_align_frames(record.segment).tolist())
    frames = (rows + record.first_box_frame).tolist()
    return {
        frame: record.boxes[row]
        for frame, row in zip(frames, rows.tolist(), strict=True)
        if frame in sampled
    }


def _st_align_answer(
    record: TubeRecord, answer: Answer
) -> tuple[tuple[float, float], dict[int, FloatArray]]:
    """Span in shares of the segment ((0, 0) without one) and boxes by frame."""
    first, last = record.segment[0], record.segment[1] - 1
    if not answer.has_tube and answer.text is not None:
        tokens, boxes = llava_st_tokens(answer.text)
        frames = st_align_frames(record.segment)
        size = (record.width, record.height) * 2
        found = {
            int(frames[time]): np.array(
                [round(token / ST_ALIGN_LAST * side) for token, side in zip(box, size, strict=True)]
            )
            for time, box in boxes.items()
        }
        ends = (0, 0) if tokens is None else tokens
        return (round(ends[0] / ST_ALIGN_LAST, 5), round(ends[1] / ST_ALIGN_LAST, 5)), found
    found = dict(zip(answer.frames.tolist(), np.round(answer.boxes), strict=True))
    if answer.span_frames is None:
        return (0.0, 0.0), found
    length = max(last - first, 1)
    start, end = answer.span_frames
    return (round((start - first) / length, 5), round((end - 1 - first) / length, 5)), found

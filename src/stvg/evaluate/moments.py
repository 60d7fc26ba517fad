"""Several moments a query and a score for every two seconds: the metrics of QVHighlights.

Definitions as of Moment-DETR's evaluator, in own words:

* R1@m: the *first* window of the list against the true window that it overlaps best (that choice
  by intersection over union, the value by intersection over hull), share of queries at least m.
* mAP@m: the first ten windows of the list, ordered by score (ties keep their order), matched
  greedily to the true windows; area under the interpolated precision curve; mean over queries.
* short, middle, long: true windows of (0, 10], (10, 30] and (30, 150] seconds and the queries that
  have one; the predicted windows stay all.
* highlights at a least score of 2, 3, 4: AP of the saliency for each of three annotators, mean of
  the three; HIT@1 is 1 when any annotator gave the best clip that score. For AP the saliency is cut
  or filled with zeros to the clips of the video; the best clip is that of the list as given.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from stvg.data.base import TimeRecord
from stvg.errors import FormatError
from stvg.types import BoolArray, FloatArray, IntArray

from .answers import Answer

THRESHOLDS: Final = tuple(float(each) for each in np.linspace(0.5, 0.95, 10))
"""0.5, 0.55, ... 0.95 exactly as ``linspace`` makes them: borderline values depend on it."""

RANGES: Final = {
    "full": (0.0, 150.0),
    "long": (30.0, 150.0),
    "middle": (10.0, 30.0),
    "short": (0.0, 10.0),
}
LEVELS: Final = {"Fair": 2, "Good": 3, "VeryGood": 4}
CLIP_S: Final = 2
MOST_WINDOWS: Final = 10


def moment_columns() -> list[str]:
    """Names of everything that :func:`score_moments` gives, in order.

    Example:
        >>> moment_columns()[:2], len(moment_columns())
        (['MR-full-R1@0.5', 'MR-full-R1@0.55'], 90)
    """
    names = []
    for name in RANGES:
        names += [f"MR-{name}-R1@{_label(each)}" for each in THRESHOLDS]
        names += [f"MR-{name}-mAP@{_label(each)}" for each in THRESHOLDS]
        names.append(f"MR-{name}-mAP")
    for level in LEVELS:
        names += [f"HL-min-{level}-mAP", f"HL-min-{level}-Hit1"]
    return names


def score_moments(record: TimeRecord, answer: Answer | None) -> FloatArray:
    """Everything for one query.

    Args:
        record: The truth; annotated saliency in ``extra`` under the names of the benchmark.
        answer: The answer; None or one without windows scores 0.

    Returns:
        Values in [0, 1] in the order of :func:`moment_columns`, (90,); NaN where the query does
        not take part: no true window of that length, or no saliency in answer or truth.
    """
    windows = np.zeros((0, 3))
    if answer is not None and answer.windows is not None:
        windows = answer.windows
    elif answer is not None and answer.span_s is not None:
        windows = np.array([[*answer.span_s, 1.0]])
    values: list[float] = []
    for low, high in RANGES.values():
        values += _range_values(record.windows, windows, low, high)
    saliency = None if answer is None else answer.saliency
    return np.array(values + _highlight_values(record, saliency))


def _range_values(true: FloatArray, windows: FloatArray, low: float, high: float) -> list[float]:
    """R1 and AP at every threshold and the mean AP for true windows of one range of lengths."""
    length = true[:, 1] - true[:, 0]
    kept = true if (low, high) == RANGES["full"] else true[(length > low) & (length <= high)]
    if not len(kept):
        return [float("nan")] * (2 * len(THRESHOLDS) + 1)
    best = 0.0
    if len(windows):
        first = windows[:1, :2]
        chosen = kept[int(np.argmax(window_iou(first, kept)[0]))]
        best = _hull_iou(first[0], chosen)
    recalls = [float(best >= each) for each in THRESHOLDS]
    precisions = average_precision(windows[:MOST_WINDOWS], kept)
    return [*recalls, *precisions.tolist(), float(precisions.mean())]


def window_iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of windows (N, 2) and (M, 2) seconds, (N, M).

    Infinite where the union is exactly 0: a window that ends before it starts and is as long as
    the true one. The official code divides 0 by 0 there and then takes the result for a match at
    every threshold; infinity does the same without NaN.
    """
    shared = np.minimum(a[:, None, 1], b[None, :, 1]) - np.maximum(a[:, None, 0], b[None, :, 0])
    shared = np.maximum(shared, 0.0)
    union = (a[:, 1] - a[:, 0])[:, None] + (b[:, 1] - b[:, 0])[None] - shared
    overlap = np.divide(shared, union, out=np.zeros(shared.shape), where=shared > 0)
    return np.where(union == 0, np.inf, overlap)


def _hull_iou(a: FloatArray, b: FloatArray) -> float:
    """Intersection over hull of two windows (2,)."""
    hull = max(a[1], b[1]) - min(a[0], b[0])
    shared = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return float(shared / hull) if hull > 0 else 0.0


def average_precision(windows: FloatArray, true: FloatArray) -> FloatArray:
    """Interpolated average precision at every threshold.

    Args:
        windows: ``[start_s, end_s, score]``, (K, 3).
        true: ``[start_s, end_s]``, (M, 2), M >= 1.

    Returns:
        (10,) in [0, 1], one for each of :data:`THRESHOLDS`.

    Example:
        >>> average_precision(np.array([[0., 10, 0.9]]), np.array([[0., 10], [20, 30]]))[0]
        np.float64(0.5)
    """
    order = np.argsort(-windows[:, 2], kind="stable")
    overlaps = window_iou(windows[order, :2], true)  # (K, M)
    return np.array([_area(_hits(overlaps, each), len(true)) for each in THRESHOLDS])


def _hits(overlaps: FloatArray, threshold: float) -> BoolArray:
    """Which windows, in order, take a true one that is still free and overlaps enough, (K,)."""
    hits = np.zeros(len(overlaps), np.bool_)
    free = np.ones(overlaps.shape[1], np.bool_)
    for row, values in enumerate(overlaps):
        able = np.flatnonzero(free & (values >= threshold))
        if len(able):
            best = able[np.argsort(values[able], kind="stable")[-1]]  # of equal ones the last
            free[best] = False
            hits[row] = True
    return hits


def _area(hits: BoolArray, positives: int) -> float:
    """Area under the interpolated precision curve of a ranked list."""
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    precision = np.concatenate([[0.0], precision, [0.0]])
    recall = np.concatenate([[0.0], found / positives, [1.0]])
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.flatnonzero(np.diff(recall)) + 1
    return float(((recall[steps] - recall[steps - 1]) * precision[steps]).sum())


def _highlight_values(record: TimeRecord, saliency: FloatArray | None) -> list[float]:
    """AP and HIT@1 at every level; NaN where truth or answer has no saliency."""
    true = true_saliency(record)
    if true is None or saliency is None:
        return [float("nan")] * (2 * len(LEVELS))
    scores = np.zeros(len(true))
    count = min(len(true), len(saliency))
    scores[:count] = saliency[:count]
    best = int(np.argmax(saliency)) if len(saliency) else len(true)  # of the uncut list
    values: list[float] = []
    for level in LEVELS.values():
        liked = true >= level  # (C, 3)
        precisions = [ranking_precision(column, scores) for column in liked.T]
        values += [float(np.mean(precisions)), float(liked[best : best + 1].any())]
    return values


def true_saliency(record: TimeRecord) -> IntArray | None:
    """Scores of three annotators for every clip of 2 s, (C, 3) int64; 0 where nothing is said.

    Raises:
        FormatError: If the annotated scores do not fit the clips.
    """
    clips, scores = record.extra.get("relevant_clip_ids"), record.extra.get("saliency_scores")
    if clips is None or scores is None or not np.isfinite(record.duration_s):
        return None
    table = np.zeros((int(record.duration_s / CLIP_S), 3), np.int64)
    rows = np.asarray(clips, np.int64)
    try:
        table[rows] = np.asarray(scores, np.int64).reshape(-1, 3)
    except (IndexError, ValueError) as error:
        raise FormatError(
            f"{record.place}, field saliency_scores: expected three scores for each of "
            f"relevant_clip_ids, clips below {len(table)}; {error}"
        ) from error
    return table


def ranking_precision(liked: BoolArray, scores: FloatArray) -> float:
    """Mean of the interpolated precision over the recalls that a ranking reaches.

    Clips of equal score enter together. 0 where no clip is liked, 1 where all are.

    Args:
        liked: (C,) bool.
        scores: (C,), higher is better.

    Example:
        >>> ranking_precision(np.array([True, False, True]), np.array([0.9, 0.5, 0.1]))
        0.8333333333333333
    """
    if liked.all() or not liked.any():
        return float(liked.all() and len(liked) > 0)
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # last of equal scores
    found = np.cumsum(liked[order])[ends]
    precision = np.maximum.accumulate((found / (ends + 1))[::-1])[::-1]
    rises = np.diff(found, prepend=0) > 0
    return float(precision[rises].mean())


def _label(threshold: float) -> str:
    """A threshold as the benchmark writes it: 0.5, 0.55."""
    return f"{threshold:.2f}".rstrip("0")

"""Intervals of time: overlap, intersection, merging.

Intervals are half-open and in seconds. Overlap of two stretches is a share of their union; for
stretches that do not meet, whether the gap between them counts makes no difference, because the
intersection is 0.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from stvg.errors import UsageError
from stvg.types import FloatArray, Interval


def interval_iou(a: Interval, b: Interval) -> float:
    """Intersection over union of two intervals (temporal IoU).

    Args:
        a: One interval.
        b: The other; the result is symmetric.

    Returns:
        Overlap in [0, 1]; 0 when both are empty, even at the same time.

    Example:
        >>> interval_iou(Interval(0, 4), Interval(2, 6))
        0.3333333333333333
    """
    return float(interval_iou_matrix([[a.start_s, a.end_s]], [[b.start_s, b.end_s]])[0, 0])


def interval_iou_matrix(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Intersection over union of every interval of ``a`` with every interval of ``b``.

    Args:
        a: ``[start_s, end_s)``, (N, 2) seconds.
        b: ``[start_s, end_s)``, (M, 2) seconds.

    Returns:
        Overlaps in [0, 1], (N, M). An interval that ends before it starts is empty; a row with a
        value that is not finite stands for "no interval" and overlaps nothing.

    Raises:
        UsageError: If an argument is not (N, 2).

    Example:
        >>> interval_iou_matrix([[0, 4]], [[0, 4], [2, 6], [9, 9]]).round(3).tolist()
        [[1.0, 0.333, 0.0]]
    """
    first, second = _as_intervals(a)[:, None], _as_intervals(b)[None]  # (N, 1, 2), (1, M, 2)
    shared = np.minimum(first[..., 1], second[..., 1]) - np.maximum(first[..., 0], second[..., 0])
    shared = np.maximum(shared, 0.0)  # (N, M)
    union = _length(first) + _length(second) - shared
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(union > 0, shared / union, 0.0)


def intersect_intervals(a: Interval, b: Interval) -> Interval | None:
    """The time in both intervals.

    Args:
        a: One interval.
        b: The other.

    Returns:
        The intersection, or None when there is none; intervals that only touch share nothing.

    Example:
        >>> intersect_intervals(Interval(0, 4), Interval(2, 6))
        Interval(start_s=2, end_s=4)
        >>> intersect_intervals(Interval(0, 4), Interval(4, 6)) is None
        True
    """
    start_s, end_s = max(a.start_s, b.start_s), min(a.end_s, b.end_s)
    return Interval(start_s, end_s) if start_s < end_s else None


def merge_intervals(intervals: Iterable[Interval], max_gap_s: float = 0.0) -> list[Interval]:
    """The union of intervals as the fewest intervals, in order of time.

    Args:
        intervals: Any intervals in any order.
        max_gap_s: Join intervals that lie at most this many seconds apart, at least 0. By default
            those that overlap or touch.

    Returns:
        Intervals sorted by start, more than ``max_gap_s`` apart.

    Raises:
        UsageError: If ``max_gap_s`` is negative.

    Example:
        >>> merge_intervals([Interval(5, 6), Interval(0, 2), Interval(2, 3)])
        [Interval(start_s=0, end_s=3), Interval(start_s=5, end_s=6)]
    """
    if not max_gap_s >= 0:
        raise UsageError(f"the gap to bridge must be at least 0 s, found {max_gap_s}")
    merged: list[Interval] = []
    for interval in sorted(intervals, key=lambda each: each.start_s):
        if merged and interval.start_s - merged[-1].end_s <= max_gap_s:
            last = merged.pop()
            interval = Interval(last.start_s, max(last.end_s, interval.end_s))  # noqa: PLW2901
        merged.append(interval)
    return merged


def _as_intervals(values: ArrayLike) -> FloatArray:
    """``values`` as float64 (N, 2), rows that are not finite all NaN; an empty list is (0, 2)."""
    intervals = np.array(values, np.float64)
    if intervals.shape == (0,):
        return intervals.reshape(0, 2)
    if intervals.ndim != 2 or intervals.shape[1] != 2:
        raise UsageError(f"expected intervals as an array (N, 2), found shape {intervals.shape}")
    intervals[~np.isfinite(intervals).all(axis=1)] = np.nan
    return intervals


def _length(intervals: FloatArray) -> FloatArray:
    """Seconds (...,) in intervals (..., 2), at least 0, NaN where there is no interval."""
    return np.maximum(intervals[..., 1] - intervals[..., 0], 0.0)

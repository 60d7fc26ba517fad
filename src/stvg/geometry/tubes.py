"""Tubes: spatio-temporal overlap, and one box for every frame.

The overlaps are the definitions that all benchmarks share, on any grid of times: with true
interval ``G`` and predicted interval ``P``, boxes ``g_t`` and ``p_t``,

* tIoU = |G and P| / |G or P|, in seconds;
* vIoU = sum of IoU(p_t, g_t) over the grid times in both, divided by the number of grid times in
  either; for intervals that do not meet it is 0 whatever the divisor;
* sIoU (also "gt_vIoU" or "vIoU under the true span") = mean of IoU(p_t, g_t) over the grid times
  in G.

On the frame times of the video these are the plain metrics. The official evaluators differ from
them and from each other by grid and by frames at the ends; those rules belong to the evaluation
profiles, not here. A time without a box counts as overlap 0, never as left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stvg.errors import UsageError
from stvg.geometry.boxes import interpolate_boxes, paired_iou
from stvg.geometry.intervals import interval_iou
from stvg.types import BoolArray, FloatArray, IntArray, Interval, Tube

SAME_TIME_S = 1e-4
"""Times at most this far apart mean the same frame: what times lose on their way through text."""


def tiou(a: Tube, b: Tube) -> float:
    """Overlap in time (tIoU), in seconds, whatever the boxes.

    Args:
        a: One tube.
        b: The other; the result is symmetric.

    Returns:
        Overlap in [0, 1].

    Example:
        >>> box = [[0, 0, 10, 10]]
        >>> tiou(Tube(Interval(0, 2), [0], box), Tube(Interval(1, 3), [1], box))
        0.3333333333333333
    """
    return interval_iou(a.interval, b.interval)


def viou(a: Tube, b: Tube, times_s: ArrayLike | None = None) -> float:
    """Spatio-temporal overlap (vIoU) of two tubes.

    Args:
        a: One tube.
        b: The other; the result is symmetric.
        times_s: The grid, seconds, (N,), normally the frame times of the video. Default: the times
            of both tubes, which is the same when both have a box in every frame.

    Returns:
        Overlap in [0, 1]; 0 when no grid time lies in either tube.

    Example:
        >>> a = Tube(Interval(0, 2), [0, 1], [[0, 0, 10, 10], [0, 0, 10, 10]])
        >>> b = Tube(Interval(1, 3), [1, 2], [[0, 0, 10, 5], [0, 0, 10, 10]])
        >>> round(viou(a, b, times_s=[0, 1, 2, 3]), 4)  # IoU 0.5 at 1 s, of three times in either
        0.1667
    """
    if times_s is None:
        grid: FloatArray = np.union1d(a.times_s, b.times_s)
    else:
        grid = _as_times(times_s)
    either = a.interval.mask(grid) | b.interval.mask(grid)
    if not either.any():
        return 0.0
    overlaps = paired_iou(a.at(grid), b.at(grid))  # 0 outside an interval: the box is NaN there
    return float(overlaps.sum() / either.sum())


def siou(prediction: Tube, target: Tube, times_s: ArrayLike | None = None) -> float:
    """Mean overlap of the boxes under the true interval (sIoU, gt_vIoU).

    Args:
        prediction: The answer. Where it has no box under the true interval, 0 counts.
        target: The truth; its interval says which times count.
        times_s: The grid, seconds, (N,), normally the frame times of the video. Default: the times
            of the target.

    Returns:
        Overlap in [0, 1]; 0 when no grid time lies in the target.

    Example:
        >>> target = Tube(Interval(0, 2), [0, 1], [[0, 0, 10, 10], [0, 0, 10, 10]])
        >>> siou(Tube(Interval(1, 9), [1], [[0, 0, 10, 10]]), target)
        0.5
    """
    grid = target.times_s if times_s is None else _as_times(times_s)
    grid = grid[target.interval.mask(grid)]
    if not len(grid):
        return 0.0
    return float(paired_iou(prediction.at(grid), target.at(grid)).mean())


def resample(tube: Tube, times_s: ArrayLike) -> Tube:
    """The same object with boxes at other times, marked where they were filled in.

    Args:
        tube: Boxes at some times.
        times_s: Seconds, (N,) strictly increasing, N >= 1, all in the tube's interval.

    Returns:
        A tube with the same interval and one box at each of ``times_s``. Within
        :data:`SAME_TIME_S` of a time of ``tube`` the box, score, mask and mark are the tube's own;
        elsewhere box and score are linear between the neighbours (the first and last repeated),
        there is no mask, and ``interpolated`` is True.

    Raises:
        UsageError: If the times do not increase or leave the interval.

    Example:
        >>> tube = Tube(Interval(0, 3), [0, 2], [[0, 0, 4, 4], [4, 0, 8, 4]])
        >>> filled = resample(tube, [0, 1, 2])
        >>> filled.boxes[1].tolist(), filled.interpolated.tolist()
        ([2.0, 0.0, 6.0, 4.0], [False, True, False])
    """
    wanted = _as_times(times_s)
    nearest = _nearest(tube.times_s, wanted)  # (N,) row of the tube's box nearest in time
    own = np.abs(tube.times_s[nearest] - wanted) <= SAME_TIME_S
    boxes = interpolate_boxes(tube.times_s, tube.boxes, wanted)
    boxes[own] = tube.boxes[nearest[own]]
    scores = None
    if tube.scores is not None:
        between = np.interp(wanted, tube.times_s, tube.scores)
        scores = np.where(own, tube.scores[nearest], between)
    masks = None
    if tube.masks is not None:
        rows = zip(nearest.tolist(), own.tolist(), strict=True)
        masks = tuple(tube.masks[row] if is_own else None for row, is_own in rows)
    return Tube(
        interval=tube.interval,
        times_s=wanted,
        boxes=boxes,
        scores=scores,
        interpolated=~own | _interpolated(tube)[nearest],
        masks=masks,
    )


def densify(tube: Tube, frame_times_s: ArrayLike) -> Tube:
    """One box for every frame in the tube's interval, as prediction files have it.

    Args:
        tube: Boxes at some times.
        frame_times_s: Presentation time of every frame of the video, seconds, (frames,) strictly
            increasing.

    Returns:
        :func:`resample` at the frames that lie in the interval.

    Raises:
        UsageError: If no frame lies in the interval.

    Example:
        >>> tube = Tube(Interval(1, 4), [1], [[0, 0, 4, 4]])
        >>> dense = densify(tube, [0, 1, 2, 3, 4])
        >>> dense.times_s.tolist(), dense.interpolated.tolist()
        ([1.0, 2.0, 3.0], [False, True, True])
    """
    frames = _as_times(frame_times_s)
    inside = frames[tube.interval.mask(frames)]
    if not len(inside):
        raise UsageError(
            f"no frame is first shown in the interval [{tube.interval.start_s}, "
            f"{tube.interval.end_s}) s of the tube; make it at least one frame long, for example "
            "with VideoMeta.span_of"
        )
    return resample(tube, inside)


def longest_gap(tube: Tube) -> Interval:
    """The longest stretch of the tube's interval without a box that was seen.

    Long gaps are where a filled-in box is a guess and a reader should be warned.

    Args:
        tube: Boxes, of which some may be marked ``interpolated``.

    Returns:
        From one seen box (or the start) to the next (or the end); the first of equally long ones.
        The whole interval when every box was filled in.

    Example:
        >>> boxes = [[0, 0, 4, 4]] * 4
        >>> longest_gap(Tube(Interval(0, 4), [0, 1, 2, 3], boxes, interpolated=[0, 1, 1, 0]))
        Interval(start_s=0.0, end_s=3.0)
    """
    seen = tube.times_s[~_interpolated(tube)]
    edges = np.concatenate([[tube.interval.start_s], seen, [tube.interval.end_s]])
    longest = int(np.argmax(np.diff(edges)))
    return Interval(float(edges[longest]), float(edges[longest + 1]))


def _as_times(values: ArrayLike) -> FloatArray:
    """``values`` as float64 (N,) seconds."""
    times = np.asarray(values, np.float64)
    if times.ndim != 1:
        raise UsageError(f"expected times in seconds (N,), found shape {times.shape}")
    return times


def _nearest(sorted_times_s: FloatArray, wanted_s: FloatArray) -> IntArray:
    """Row (N,) of the time nearest to each wanted one; the earlier of two equally near."""
    after = np.clip(np.searchsorted(sorted_times_s, wanted_s), 1, max(len(sorted_times_s) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(sorted_times_s) - 1)
    is_before = wanted_s - sorted_times_s[before] <= sorted_times_s[after] - wanted_s
    return np.where(is_before, before, after).astype(np.int64)


def _interpolated(tube: Tube) -> BoolArray:
    """Which boxes were filled in, (N,) bool."""
    return np.zeros(len(tube), np.bool_) if tube.interpolated is None else tube.interpolated

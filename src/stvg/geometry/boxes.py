"""Boxes as arrays: area, overlap, clipping, conversion, interpolation, suppression.

Every function takes ``xyxy`` boxes in pixels, continuous coordinates, right and bottom edge
exclusive, so that the area is ``(x2 - x1) * (y2 - y1)`` with no "+ 1"; :func:`convert_boxes` is
the only place that knows other formats. Sizes: ``N``, ``M`` boxes.

A box with a coordinate that is not finite stands for "no box" (as :meth:`stvg.types.Tube.at`
returns outside the interval) and overlaps nothing. A box whose corners are reversed is empty.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from stvg.errors import UsageError
from stvg.types import FloatArray, IntArray

BoxFormat = Literal["xyxy", "xywh", "cxcywh"]
"""How four numbers mean a box: two corners, corner and size, or centre and size."""


def box_area(boxes: ArrayLike) -> FloatArray:
    """Area of each box.

    Args:
        boxes: ``xyxy``, (N, 4).

    Returns:
        Square pixels, (N,), at least 0; 0 for reversed corners, NaN where the box is not finite.

    Raises:
        UsageError: If ``boxes`` is not (N, 4).

    Example:
        >>> box_area([[0, 0, 4, 3], [5, 5, 5, 9]]).tolist()
        [12.0, 0.0]
    """
    return _area(_as_boxes(boxes))


def box_iou(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Intersection over union of every box of ``a`` with every box of ``b``.

    Args:
        a: ``xyxy``, (N, 4).
        b: ``xyxy``, (M, 4).

    Returns:
        Overlaps in [0, 1], (N, M). 0 where a box is not finite, and 0 for two boxes without area
        even when they coincide: nothing can be said about how well they agree.

    Raises:
        UsageError: If an argument is not (N, 4).

    Example:
        >>> box_iou([[0, 0, 10, 10]], [[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]]).round(3)
        array([[1.   , 0.333, 0.   ]])
    """
    first, second = _as_boxes(a), _as_boxes(b)
    return _iou(first[:, None], second[None])  # (N, 1, 4) with (1, M, 4)


def paired_iou(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Intersection over union of each box of ``a`` with the box of ``b`` in the same row.

    Args:
        a: ``xyxy``, (N, 4).
        b: ``xyxy``, (N, 4).

    Returns:
        Overlaps in [0, 1], (N,), with the special cases of :func:`box_iou`.

    Raises:
        UsageError: If an argument is not (N, 4), or the lengths differ.

    Example:
        >>> paired_iou([[0, 0, 10, 10], [0, 0, 10, 10]], [[0, 0, 10, 5], [9, 9, 9, 9]]).tolist()
        [0.5, 0.0]
    """
    return _iou(*_as_pairs(a, b))


def generalized_iou(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Generalized intersection over union (GIoU) of boxes in the same row.

    ``GIoU = IoU - (area of hull - area of union) / area of hull``, the hull being the smallest
    box around both. Unlike IoU it says how far apart two boxes are that do not overlap.
    From Rezatofighi et al., "Generalized Intersection over Union: A Metric and A Loss for Bounding
    Box Regression", CVPR 2019, Algorithm 1 (Algorithm 2 for boxes).

    Args:
        a: ``xyxy``, (N, 4).
        b: ``xyxy``, (N, 4).

    Returns:
        (N,) in [-1, 1]; 1 for equal boxes, towards -1 the further apart. -1 where a box is not
        finite, 0 where the hull has no area (the paper leaves both open; the choices are ours).

    Raises:
        UsageError: If an argument is not (N, 4), or the lengths differ.

    Example:
        >>> generalized_iou([[0, 0, 1, 1], [0, 0, 1, 1]], [[0, 0, 1, 1], [3, 0, 4, 1]]).tolist()
        [1.0, -0.5]
    """
    first, second = _as_pairs(a, b)
    hull = np.concatenate(
        [np.minimum(first[:, :2], second[:, :2]), np.maximum(first[:, 2:], second[:, 2:])], axis=1
    )
    hull_area = _area(hull)
    intersection = _intersection(first, second)
    union = _area(first) + _area(second) - intersection
    with np.errstate(divide="ignore", invalid="ignore"):
        giou = intersection / union - (hull_area - union) / hull_area
    giou = np.where(union > 0, giou, np.where(hull_area > 0, -1.0, 0.0))
    finite = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    return np.where(finite, np.clip(giou, -1.0, 1.0), -1.0)


def clip_boxes(boxes: ArrayLike, width: float, height: float) -> FloatArray:
    """Cut boxes to the frame.

    Args:
        boxes: ``xyxy`` pixels, (N, 4).
        width: Width of the frame in pixels, at least 0.
        height: Height of the frame in pixels, at least 0.

    Returns:
        A new array (N, 4), x in [0, width], y in [0, height]; NaN stays NaN. A box outside the
        frame becomes one without area on its edge.

    Raises:
        UsageError: If ``boxes`` is not (N, 4), or the size is negative.

    Example:
        >>> clip_boxes([[-5, 10, 50, 200]], 100, 100).tolist()
        [[0.0, 10.0, 50.0, 100.0]]
    """
    if width < 0 or height < 0:
        raise UsageError(f"a frame must have a size of at least 0, found {width}x{height}")
    return np.clip(_as_boxes(boxes), 0.0, np.array([width, height] * 2, np.float64))


def convert_boxes(boxes: ArrayLike, source: BoxFormat, target: BoxFormat) -> FloatArray:
    """Write boxes in another format.

    Args:
        boxes: (N, 4) in the format ``source``, in any unit.
        source: ``xyxy`` (corners), ``xywh`` (left top corner and size) or ``cxcywh`` (centre and
            size).
        target: The format to return.

    Returns:
        A new array (N, 4) in the unit of ``boxes``; NaN stays NaN.

    Raises:
        UsageError: If ``boxes`` is not (N, 4), or a format is unknown.

    Example:
        >>> convert_boxes([[10, 20, 30, 60]], "xyxy", "cxcywh").tolist()
        [[20.0, 40.0, 20.0, 40.0]]
    """
    for name in (source, target):
        if name not in get_args(BoxFormat):
            raise UsageError(
                f"a box format must be one of {', '.join(get_args(BoxFormat))}, found {name!r}"
            )
    values = _as_boxes(boxes)
    if source == target:
        return values.copy()
    left_top, second = values[:, :2], values[:, 2:]  # second: right bottom corner, or size
    if source == "cxcywh":
        left_top = left_top - second / 2
    right_bottom = second if source == "xyxy" else left_top + second
    if target == "xyxy":
        return np.concatenate([left_top, right_bottom], axis=1)
    size = right_bottom - left_top if source == "xyxy" else second
    return np.concatenate([left_top if target == "xywh" else left_top + size / 2, size], axis=1)


def interpolate_boxes(times_s: ArrayLike, boxes: ArrayLike, at_s: ArrayLike) -> FloatArray:
    """Boxes at any times, linear between the given ones, the first and last one repeated outside.

    Args:
        times_s: When each box was seen, seconds, (N,) strictly increasing, N >= 1.
        boxes: ``xyxy``, (N, 4).
        at_s: When boxes are wanted, seconds, (M,) in any order.

    Returns:
        A new array (M, 4); a row is NaN where ``at_s`` is NaN.

    Raises:
        UsageError: If shapes disagree, there is no box, or the times do not increase.

    Example:
        >>> interpolate_boxes([0, 2], [[0, 0, 4, 4], [8, 0, 12, 4]], [-1, 0.5, 2]).tolist()
        [[0.0, 0.0, 4.0, 4.0], [2.0, 0.0, 6.0, 4.0], [8.0, 0.0, 12.0, 4.0]]
    """
    times, values = np.asarray(times_s, np.float64), _as_boxes(boxes)
    wanted = np.atleast_1d(np.asarray(at_s, np.float64))
    if times.shape != (len(values),) or not len(times):
        raise UsageError(
            "interpolation needs N >= 1 times (N,) with boxes (N, 4), found times "
            f"{times.shape} and boxes {values.shape}"
        )
    if not (np.diff(times) > 0).all():
        raise UsageError("interpolation needs times that increase strictly")
    found = np.stack([np.interp(wanted, times, column) for column in values.T], axis=1)  # (M, 4)
    found[np.isnan(wanted)] = np.nan  # with a single box np.interp would repeat it here too
    return found


def nms(boxes: ArrayLike, scores: ArrayLike, threshold: float) -> IntArray:
    """Keep the best box of every group that overlaps (greedy non-maximum suppression).

    Args:
        boxes: ``xyxy``, (N, 4).
        scores: Confidence of each box, (N,), no NaN.
        threshold: Overlap in [0, 1] above which (strictly) the box with the lower score goes.

    Returns:
        Row numbers of the kept boxes, highest score first, (K,) int64; equal scores keep the order
        of the rows.

    Raises:
        UsageError: If shapes disagree or a score is NaN.

    Example:
        >>> nms([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], [0.8, 0.9, 0.7], 0.5).tolist()
        [1, 2]
    """
    values, confidence = _as_boxes(boxes), np.asarray(scores, np.float64)
    if confidence.shape != (len(values),) or np.isnan(confidence).any():
        raise UsageError(
            f"suppression of {len(values)} boxes needs as many scores that are numbers, found "
            f"{confidence.shape}"
        )
    waiting = np.argsort(-confidence, kind="stable")
    kept: list[int] = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        waiting = waiting[box_iou(values[best][None], values[waiting])[0] <= threshold]
    return np.array(kept, np.int64)


def _as_boxes(values: ArrayLike) -> FloatArray:
    """``values`` as float64 (N, 4); an empty list is (0, 4)."""
    try:
        boxes = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"expected boxes as an array (N, 4), found {values!r:.80}") from error
    if boxes.shape == (0,):
        return boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise UsageError(f"expected boxes as an array (N, 4), found shape {boxes.shape}")
    return boxes


def _as_pairs(a: ArrayLike, b: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Two arrays of boxes of the same length, (N, 4) each."""
    first, second = _as_boxes(a), _as_boxes(b)
    if len(first) != len(second):
        raise UsageError(
            f"boxes are compared row by row and must be as many, found {len(first)} and "
            f"{len(second)}"
        )
    return first, second


def _area(boxes: FloatArray) -> FloatArray:
    """Areas (...,) of boxes (..., 4), not below 0, NaN where a box is not finite."""
    area = _product_of_sizes(boxes[..., :2], boxes[..., 2:])
    return np.where(np.isfinite(boxes).all(axis=-1), area, np.nan)


def _intersection(a: FloatArray, b: FloatArray) -> FloatArray:
    """Areas (...,) shared by boxes (..., 4) that broadcast against each other."""
    return _product_of_sizes(np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:]))


def _product_of_sizes(left_top: FloatArray, right_bottom: FloatArray) -> FloatArray:
    """Width times height (...,) between corners (..., 2), each not below 0."""
    with np.errstate(invalid="ignore"):  # infinite corners; the callers turn them into "no box"
        return np.asarray(np.prod(np.maximum(right_bottom - left_top, 0.0), axis=-1), np.float64)


def _iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Overlaps (...,) of boxes (..., 4) that broadcast against each other."""
    intersection = _intersection(a, b)
    union = _area(a) + _area(b) - intersection  # NaN where a box is missing
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(union > 0, intersection / union, 0.0)

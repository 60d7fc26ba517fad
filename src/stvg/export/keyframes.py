"""The fewest frames from which linear interpolation gives a tube back.

Annotation tools interpolate between keyframes. With a keyframe on every frame nobody can correct
anything: each would have to be moved. So only those are written that interpolation needs.
"""

from __future__ import annotations

import numpy as np

from stvg.geometry.boxes import interpolate_boxes
from stvg.types import FloatArray, IntArray


def keyframes(frames: IntArray, boxes: FloatArray, tolerance_px: float) -> list[int]:
    """Rows to keep so that no coordinate is off by more than a tolerance when filled in again.

    The method is that of Ramer (1972) and of Douglas and Peucker (1973), with the largest
    difference of a coordinate as distance: keep both ends; where the straight way between two kept
    rows is off by too much, keep the row that is off most, and look again on both sides of it. Of
    several rows that are off alike the middle one is kept, so that a box that jumps to and fro is
    done in few rounds.

    Args:
        frames: Frame numbers (N,) strictly increasing, N >= 1.
        boxes: ``xyxy`` pixels, (N, 4).
        tolerance_px: Largest difference in pixels, at least 0.

    Returns:
        Rows in order; always the first and the last.

    Example:
        >>> boxes = np.array([[0, 0, 9, 9], [2, 0, 9, 9], [4, 0, 9, 9], [4, 0, 9, 9]], float)
        >>> keyframes(np.arange(4), boxes, 0.01)
        [0, 2, 3]
    """
    kept = {0, len(frames) - 1}
    pending = [(0, len(frames) - 1)]
    while pending:
        start, end = pending.pop()
        if end - start < 2:
            continue
        between = slice(start + 1, end)
        straight = interpolate_boxes(frames[[start, end]], boxes[[start, end]], frames[between])
        off_px = np.abs(straight - boxes[between]).max(axis=1)
        if off_px.max() > tolerance_px:
            furthest = np.flatnonzero(off_px >= off_px.max() - 1e-9)
            row = start + 1 + int(furthest[len(furthest) // 2])
            kept.add(row)
            pending += [(start, row), (row, end)]
    return sorted(kept)

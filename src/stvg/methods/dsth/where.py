"""Which object the map means: its attention inside each candidate's boxes.

Boxes are counted in cells of the map here: the cell of row r and column c is the square from
(c, r) to (c + 1, r + 1). An object that is not seen in a frame has a box of NaN there.
"""

from __future__ import annotations

import numpy as np

from stvg.types import FloatArray, IntArray


def cell_weights(
    boxes_cells: FloatArray, rows: int, columns: int, pixels: tuple[int, int] | None = None
) -> FloatArray:
    """How far each cell belongs to a box.

    Args:
        boxes_cells: (..., 4).
        rows: Of the map.
        columns: Of the map.
        pixels: None: what cell and box have in common, as a share of the smaller of the two, so
            that an object smaller than a cell counts fully. A height and width: the box is drawn
            as a mask of that size, which is brought to the size of the map bilinearly, as in the
            released code; that looks at the pixels around the centre of each cell.

    Returns:
        (..., rows, columns) in [0, 1], 0 where there is no box.

    Example:
        >>> cell_weights(np.array([0.5, 0, 2, 1]), 1, 3).tolist()
        [[0.5, 1.0, 0.0]]
        >>> cell_weights(np.array([0.6, 0, 2, 1]), 1, 3, pixels=(4, 12)).tolist()
        [[0.5, 1.0, 0.0]]
    """
    height, width = pixels or (0, 0)
    across = _along(boxes_cells[..., [0, 2]], columns, width)
    down = _along(boxes_cells[..., [1, 3]], rows, height)
    return np.asarray(down[..., :, None] * across[..., None, :])


def _along(ends: FloatArray, cells: int, pixels: int) -> FloatArray:
    """Weights (..., cells) on one axis of stretches (..., 2); by sharing where pixels are 0."""
    start, end = ends[..., :1], ends[..., 1:]
    if pixels:
        centres = (np.arange(pixels) + 0.5) * cells / pixels
        mask = (start <= centres) & (centres < end)  # (..., pixels)
        return np.asarray(mask @ enlarging(pixels, cells).T)
    number = np.arange(cells)
    shared = np.clip(np.minimum(end, number + 1) - np.maximum(start, number), 0, None)
    return np.asarray(np.nan_to_num(shared / np.clip(end - start, 1e-9, 1)))


def score_objects(attention: FloatArray, weights: FloatArray, steps: IntArray) -> FloatArray:
    """The highest attention inside each object, at any time.

    Args:
        attention: The map, (T, rows, columns).
        weights: Of the cells for P objects in F frames, (P, F, rows, columns).
        steps: The step of the map that shows each frame, (F,).

    Returns:
        (P,).
    """
    return np.asarray((attention[steps] * weights).max(axis=(1, 2, 3)))


def attention_inside(
    attention: FloatArray, boxes_cells: FloatArray, steps: IntArray, points: tuple[int, int]
) -> FloatArray:
    """The highest attention inside one object's box, frame by frame.

    The map is enlarged bilinearly first, so that a box between the centres of cells is told apart
    from its neighbours.

    Args:
        attention: The map, (T, rows, columns).
        boxes_cells: (F, 4).
        steps: The step of the map that shows each frame, (F,).
        points: Rows and columns that the map is enlarged to.

    Returns:
        (F,), 0 where there is no box.
    """
    _, rows, columns = attention.shape
    down, across = enlarging(rows, points[0]), enlarging(columns, points[1])
    found = np.zeros(len(steps))
    for frame in np.flatnonzero(np.isfinite(boxes_cells).all(1)):
        left, top, right, bottom = boxes_cells[frame]
        part = (
            down[_inside(top, bottom, rows, points[0])]
            @ attention[steps[frame]]
            @ across[_inside(left, right, columns, points[1])].T
        )
        found[frame] = part.max()
    return found


def enlarging(cells: int, points: int) -> FloatArray:
    """Weights (points, cells) of linear interpolation between the centres of cells, any numbers.

    Points are the centres of equal parts; outside the outermost centres of cells the value stays.

    Example:
        >>> enlarging(2, 4).tolist()
        [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    places = np.clip((np.arange(points) + 0.5) * cells / points - 0.5, 0, cells - 1)
    return np.asarray(np.maximum(1 - np.abs(places[:, None] - np.arange(cells)), 0))


def _inside(start: float, end: float, cells: int, points: int) -> slice:
    """The points whose centres lie between two places in cells; the nearest where there is none."""
    first = int(np.ceil(start * points / cells - 0.5))
    last = int(np.ceil(end * points / cells - 0.5))
    first = min(max(first, 0), points - 1)
    return slice(first, max(last, first + 1))

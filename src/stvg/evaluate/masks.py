"""J and F of masks: how much area is shared, and how well the outlines agree.

From Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object
Segmentation", CVPR 2016, as the DAVIS 2017 evaluator computes them:

* J = |P and G| / |P or G|, 1 when both are empty;
* the outline of a mask is where a pixel differs from its right, lower or lower right neighbour;
  precision is the share of the predicted outline within r pixels of the true one, recall the
  converse, F = 2PR / (P + R); r = ceil(0.008 * diagonal of the image).

"Within r pixels" is decided without dilating anything: for each pixel of an outline and each of
the 2r + 1 rows around it, a running count along the row says whether the other outline passes
through the chord of the disc there. Outlines are thin, so this is far less work than a dilation of
the whole picture, and gives the same answer pixel by pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from pycocotools import mask as coco

from stvg.data.base import MaskRecord
from stvg.errors import FormatError, UsageError
from stvg.geometry.masks import check_rle
from stvg.types import RLE, BoolArray, IntArray

from .answers import Answer
from .protocols import MaskProtocol

BOUND: Final = 0.008
"""Tolerance of outlines as a share of the diagonal."""


def region_similarity(found: BoolArray, true: BoolArray, void: BoolArray | None = None) -> float:
    """J of one frame.

    Args:
        found: Predicted mask, (H, W) bool.
        true: True mask, (H, W) bool.
        void: Pixels that do not count, (H, W) bool, or None.

    Returns:
        In [0, 1]; 1 when both are empty.

    Raises:
        UsageError: If the sizes differ.

    Example:
        >>> region_similarity(np.array([[True, False]]), np.array([[True, True]]))
        0.5
    """
    found, true = _checked(found, true, void)
    shared = int(np.count_nonzero(found & true))
    either = int(np.count_nonzero(found | true))
    return shared / either if either else 1.0


def contour_accuracy(
    found: BoolArray, true: BoolArray, void: BoolArray | None = None, bound: float = BOUND
) -> float:
    """F of one frame.

    Args:
        found: Predicted mask, (H, W) bool.
        true: True mask, (H, W) bool.
        void: Pixels that do not count, (H, W) bool, or None.
        bound: Tolerance: a share of the diagonal below 1, else pixels.

    Returns:
        In [0, 1]; 1 when neither mask has an outline, 0 when only one has.

    Raises:
        UsageError: If the sizes differ.

    Example:
        >>> square = np.zeros((20, 20), bool); square[5:15, 5:15] = True
        >>> contour_accuracy(square, np.roll(square, 1, axis=0))
        1.0
    """
    found, true = _checked(found, true, void)
    radius = boundary_radius(found.shape[0], found.shape[1], bound)
    first, second = outline(found), outline(true)
    rows, columns = np.divmod(np.flatnonzero(first), first.shape[1])
    true_rows, true_columns = np.divmod(np.flatnonzero(second), second.shape[1])
    if not len(rows) and not len(true_rows):
        return 1.0
    if not len(rows) or not len(true_rows):
        return 0.0  # precision or recall is 1, the other 0
    precision = float(_near(second, rows, columns, radius).mean())
    recall = float(_near(first, true_rows, true_columns, radius).mean())
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def boundary_radius(height: int, width: int, bound: float = BOUND) -> int:
    """Tolerance of outlines in pixels.

    Example:
        >>> boundary_radius(480, 854)
        8
    """
    return math.ceil(bound if bound >= 1 else bound * math.hypot(height, width))


def outline(mask: BoolArray) -> BoolArray:
    """Outline pixels of a mask (H, W): those unlike a neighbour right, below or both.

    The last row looks right only, the last column down only, the last pixel is never one.

    Example:
        >>> outline(np.array([[False, True], [False, False]])).astype(int).tolist()
        [[1, 1], [0, 0]]
    """
    edge = np.zeros(mask.shape, np.bool_)
    edge[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    edge[:-1] |= mask[:-1] != mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return edge


def _near(edge: BoolArray, rows: IntArray, columns: IntArray, radius: int) -> BoolArray:
    """Whether a pixel of ``edge`` lies within ``radius`` of each place (M,)."""
    height, width = edge.shape
    count = np.zeros((height, width + 1), np.int32)
    np.cumsum(edge, axis=1, dtype=np.int32, out=count[:, 1:])
    near = np.zeros(len(rows), np.bool_)
    left = np.arange(len(rows))  # those that are still undecided
    for offset in sorted(range(-radius, radius + 1), key=abs):
        half = math.isqrt(radius * radius - offset * offset)
        row, column = rows[left] + offset, columns[left]
        inside = (row >= 0) & (row < height)
        row = np.where(inside, row, 0)
        end = np.minimum(column + half + 1, width)
        start = np.maximum(column - half, 0)
        hit = inside & (count[row, end] > count[row, start])
        near[left[hit]] = True
        left = left[~hit]
        if not len(left):
            break
    return near


def score_masks(
    record: MaskRecord, answer: Answer | None, protocol: MaskProtocol
) -> tuple[float, float]:
    """Mean J and mean F of one expression over its frames.

    Args:
        record: The truth; the union of its objects counts.
        answer: Masks by position of the frame; a frame without one counts as an empty mask.
        protocol: Which frames.

    Raises:
        FormatError: If the truth has no masks, or a mask is broken or of another size.
    """
    found = {} if answer is None or answer.masks is None else answer.masks
    place = record.place if answer is None else answer.place
    values = [
        frame_values(found.get(number), true, void, place)
        for number, true, void in _frames(record, protocol)
    ]
    if not values:
        return 0.0, 0.0
    means = np.mean(values, axis=0)
    return float(means[0]), float(means[1])


def frame_values(
    found: RLE | None, true: Sequence[RLE], void: RLE | None, place: str
) -> tuple[float, float]:
    """J and F of one frame; ``place`` starts the message of an error."""
    parts = [*true, *([found] if found is not None else []), *([void] if void is not None else [])]
    sizes = {tuple(rle["size"]) for rle in parts}
    if len(sizes) > 1:
        raise FormatError(
            f"{place}: expected a mask of the size of the true one, found sizes {sorted(sizes)}; "
            "masks are given in pixels of the original frame"
        )
    if not sizes:
        return 1.0, 1.0
    height, width = sizes.pop()
    try:
        first = _pixels([] if found is None else [found], height, width)
        second = _pixels(true, height, width)
        hidden = None if void is None else _pixels([void], height, width)
    except UsageError as error:
        raise FormatError(f"{place}: {error}") from error
    return region_similarity(first, second, hidden), contour_accuracy(first, second, hidden)


def _frames(record: MaskRecord, protocol: MaskProtocol) -> list[tuple[int, list[RLE], RLE | None]]:
    """Position, true masks and ignored pixels of every frame that counts."""
    if record.masks is None:
        raise FormatError(
            f"{record.place}: the masks are not public or were not given, so nothing can be "
            "scored; give the file with masks, or send the predictions to the benchmark's server"
        )
    total = len(record.frames)
    numbers = range(1, total - 1) if protocol.frames == "without first and last" else range(total)
    hidden = record.extra.get("void")
    return [
        (
            number,
            [masks[number] for masks in record.masks if masks[number] is not None],  # type: ignore[misc]
            None if hidden is None else hidden[number],
        )
        for number in numbers
    ]


def _pixels(rles: Sequence[RLE], height: int, width: int) -> BoolArray:
    """The union of masks, (H, W) bool."""
    union = np.zeros((height, width), np.bool_)
    for rle in rles:
        if isinstance(rle["counts"], list):
            packed = coco.frPyObjects(dict(rle), height, width)
        else:
            check_rle(rle)
            packed = dict(rle)
        union |= coco.decode(packed).astype(np.bool_)
    return union


def _checked(
    found: BoolArray, true: BoolArray, void: BoolArray | None
) -> tuple[BoolArray, BoolArray]:
    """Both masks as bool without ignored pixels."""
    first, second = np.asarray(found, np.bool_), np.asarray(true, np.bool_)
    if first.ndim != 2 or first.shape != second.shape:
        raise UsageError(
            f"expected two masks (H, W) of one size, found {first.shape} and {second.shape}"
        )
    if void is None:
        return first, second
    kept = ~np.asarray(void, np.bool_)
    return first & kept, second & kept

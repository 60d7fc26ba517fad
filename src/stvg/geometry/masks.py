"""Masks: COCO run-length encoding, overlap, area, bounding box.

Masks travel as COCO run lengths (``{"size": [height, width], "counts": str}``, compressed, column
by column) and become arrays (N, H, W) bool only where pixels are needed. The work is done by
pycocotools, the reference; this module adds checks: given broken run lengths, pycocotools returns
whatever was in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pycocotools import mask as coco

from stvg.errors import UsageError
from stvg.geometry.boxes import convert_boxes
from stvg.types import RLE, BoolArray, FloatArray, IntArray


def encode_masks(masks: ArrayLike) -> list[RLE]:
    """Turn pixels into run lengths.

    Args:
        masks: (N, H, W) bool, True where the object is.

    Returns:
        One run-length encoding a mask, ``counts`` as text so that it fits in JSON.

    Raises:
        UsageError: If ``masks`` is not (N, H, W) bool.

    Example:
        >>> encode_masks([[[False, True], [False, True]]])
        [{'size': [2, 2], 'counts': '22'}]
    """
    pixels = np.asarray(masks)
    if pixels.ndim != 3 or pixels.dtype != np.bool_:
        raise UsageError(
            f"expected masks as an array (N, H, W) of bool, found {pixels.shape} {pixels.dtype}"
        )
    columns_first = np.asfortranarray(pixels.transpose(1, 2, 0), np.uint8)  # (H, W, N)
    return [
        {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}
        for rle in coco.encode(columns_first)
    ]


def decode_masks(rles: Sequence[RLE]) -> BoolArray:
    """Turn run lengths into pixels.

    Args:
        rles: Run-length encodings of one size.

    Returns:
        (N, H, W) bool; (0, 0, 0) for an empty list.

    Raises:
        UsageError: If one is broken (see :func:`check_rle`), or their sizes differ.

    Example:
        >>> decode_masks([{"size": [2, 2], "counts": "22"}]).astype(int).tolist()
        [[[0, 1], [0, 1]]]
    """
    checked = _checked(rles)
    if not checked:
        return np.zeros((0, 0, 0), np.bool_)
    return np.ascontiguousarray(coco.decode(checked).transpose(2, 0, 1)).astype(np.bool_)


def mask_area(rles: Sequence[RLE]) -> IntArray:
    """Number of pixels in each mask.

    Args:
        rles: Run-length encodings of one size.

    Returns:
        (N,) int64, at least 0.

    Raises:
        UsageError: As :func:`decode_masks`.

    Example:
        >>> mask_area([{"size": [2, 2], "counts": "22"}]).tolist()
        [2]
    """
    return np.asarray(coco.area(_checked(rles)), np.int64).reshape(-1)


def mask_boxes(rles: Sequence[RLE]) -> FloatArray:
    """The smallest box around each mask.

    Args:
        rles: Run-length encodings of one size.

    Returns:
        ``xyxy`` pixels, right and bottom edge exclusive, (N, 4); a row of NaN ("no box") for a
        mask without pixels.

    Raises:
        UsageError: As :func:`decode_masks`.

    Example:
        >>> mask_boxes([{"size": [2, 2], "counts": "22"}]).tolist()
        [[1.0, 0.0, 2.0, 2.0]]
    """
    checked = _checked(rles)
    boxes = convert_boxes(np.reshape(coco.toBbox(checked), (-1, 4)), "xywh", "xyxy")
    boxes[np.asarray(coco.area(checked)).reshape(-1) == 0] = np.nan
    return boxes


def mask_iou(a: Sequence[RLE], b: Sequence[RLE]) -> FloatArray:
    """Intersection over union of every mask of ``a`` with every mask of ``b``.

    Args:
        a: N run-length encodings.
        b: M run-length encodings of the same size.

    Returns:
        Overlaps in [0, 1], (N, M). Two masks without pixels agree: 1, as DAVIS counts them (for
        boxes without area it is 0, because a box without area is not an answer).

    Raises:
        UsageError: If one is broken (see :func:`check_rle`), or their sizes differ.

    Example:
        >>> left, both = encode_masks([[[True, False]], [[True, True]]])
        >>> mask_iou([left], [left, both]).tolist()
        [[1.0, 0.5]]
    """
    checked = _checked([*a, *b])
    first, second = checked[: len(a)], checked[len(a) :]
    if not first or not second:
        return np.zeros((len(first), len(second)))
    overlaps = np.array(coco.iou(first, second, [False] * len(second)), np.float64)
    empty = np.asarray(coco.area(checked)) == 0
    overlaps[np.outer(empty[: len(a)], empty[len(a) :])] = 1.0
    return overlaps.reshape(len(first), len(second))


def paired_mask_iou(a: Sequence[RLE], b: Sequence[RLE]) -> FloatArray:
    """Intersection over union of each mask of ``a`` with the mask of ``b`` in the same place.

    Args:
        a: N run-length encodings.
        b: N run-length encodings; sizes agree within a pair.

    Returns:
        Overlaps in [0, 1], (N,), 1 for two masks without pixels.

    Raises:
        UsageError: If the lengths differ, one is broken, or the sizes of a pair differ.

    Example:
        >>> left, both = encode_masks([[[True, False]], [[True, True]]])
        >>> paired_mask_iou([left, both], [both, both]).tolist()
        [0.5, 1.0]
    """
    if len(a) != len(b):
        raise UsageError(
            f"masks are compared one by one and must be as many, found {len(a)} and {len(b)}"
        )
    pairs = zip(a, b, strict=True)
    return np.array([mask_iou([first], [second])[0, 0] for first, second in pairs], np.float64)


def union_masks(rles: Sequence[RLE]) -> RLE:
    """The mask of all pixels that are in any of several masks.

    Args:
        rles: N >= 1 run-length encodings of one size.

    Raises:
        UsageError: If there is none, one is broken (see :func:`check_rle`), or their sizes differ.

    Example:
        >>> left, right = encode_masks([[[True, False]], [[False, True]]])
        >>> decode_masks([union_masks([left, right])]).tolist()
        [[[True, True]]]
    """
    if not rles:
        raise UsageError("expected at least one mask to unite, found none")
    united = coco.merge(_checked(rles))
    return {"size": [int(side) for side in united["size"]], "counts": united["counts"].decode()}


def check_rle(rle: RLE) -> None:
    """Make sure that run lengths describe a mask of the size they claim.

    Args:
        rle: A run-length encoding.

    Raises:
        UsageError: If ``size`` is not two whole numbers of at least 1, ``counts`` is not text in
            COCO's compressed form, or the runs do not add up to ``height * width``.

    Example:
        >>> check_rle({"size": [2, 2], "counts": "21"})
        Traceback (most recent call last):
        ...
        stvg.errors.UsageError: the run lengths of a mask must add up to its 2 x 2 = 4 pixels, ...
    """
    mask_runs(rle)


def mask_runs(rle: RLE) -> IntArray:
    """Lengths of the runs of a mask, for what needs no pixels.

    Args:
        rle: A run-length encoding.

    Returns:
        Pixels column by column, (R,): first those outside, then inside, outside and so on.

    Raises:
        UsageError: As :func:`check_rle`.

    Example:
        >>> mask_runs({"size": [2, 2], "counts": "22"}).tolist()
        [2, 2]
    """
    size, counts = rle.get("size"), rle.get("counts")
    if not _is_size(size):
        raise UsageError(f"a mask needs a size [height, width] of at least 1, found {size!r:.60}")
    text = counts.decode("ascii", "replace") if isinstance(counts, bytes) else counts
    if not isinstance(text, str):
        raise UsageError(
            f"a mask needs counts in COCO's compressed form (text), found {counts!r:.60}"
        )
    runs = _runs(text)
    if runs is None:
        raise UsageError(f"the counts of a mask are not COCO run lengths, found {text!r:.60}")
    height, width = rle["size"]
    if (runs < 0).any() or runs.sum() != height * width:
        raise UsageError(
            f"the run lengths of a mask must add up to its {height} x {width} = {height * width} "
            f"pixels, found {int(runs.sum())}"
        )
    return runs


def _checked(rles: Sequence[RLE]) -> list[dict[str, Any]]:
    """``rles`` as pycocotools wants them, after making sure they are sound and of one size."""
    for rle in rles:
        check_rle(rle)
    sizes = {tuple(rle["size"]) for rle in rles}
    if len(sizes) > 1:
        raise UsageError(f"masks must have one size [height, width], found {sorted(sizes)}")
    return [dict(rle) for rle in rles]


def _is_size(size: Any) -> bool:
    """Whether ``size`` is two whole numbers of at least 1."""
    return (
        isinstance(size, Sequence)
        and len(size) == 2
        and all(isinstance(side, int | np.integer) and side >= 1 for side in size)
    )


def _runs(counts: str) -> IntArray | None:
    """Lengths of the runs in compressed ``counts``, or None when the text is cut or foreign.

    The inverse of pycocotools' ``rleToString``: each number is a string of 6-bit characters from
    "0", low 5 bits first, bit 6 says that more follow, the last character carries the sign; from
    the fourth number on it is the difference to the number two before.
    """
    codes = np.frombuffer(counts.encode("utf-32-le"), np.uint32).astype(np.int64) - ord("0")
    if not len(codes) or ((codes < 0) | (codes > 63)).any() or codes[-1] & 0x20:
        return None
    is_last = (codes & 0x20) == 0
    first = np.flatnonzero(np.append(True, is_last[:-1]))  # where each number starts
    place = np.arange(len(codes)) - np.repeat(first, np.diff(np.append(first, len(codes))))
    if place.max() > 6:  # more than 35 bits: no picture is that large
        return None
    runs = np.add.reduceat((codes & 0x1F) << (5 * place), first)
    negative = (codes[is_last] & 0x10) != 0
    runs[negative] -= np.int64(1) << (5 * (place[is_last][negative] + 1))
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs

"""Overlap of one box on an image under a protocol.

Accuracy@0.5 is the share of queries whose overlap reaches 0.5; which overlap, ``>`` or ``>=`` and
what an unreadable answer does are the protocol's.
"""

from __future__ import annotations

from stvg.data.base import BoxRecord
from stvg.errors import FormatError
from stvg.types import FloatArray

from .answers import Answer, llava_st_box
from .protocols import BoxProtocol

Four = tuple[float, float, float, float]

_GIOU_EXTRA = 1e-6


def score_box(record: BoxRecord, answer: Answer, protocol: BoxProtocol) -> float | None:
    """Overlap of one answer, or None for an answer without a box.

    In [0, 1]; the generalised one goes down to -1.

    Raises:
        FormatError: If the protocol needs the size of the image and the annotation lacks it.
    """
    box = answered_box(record, answer)
    if box is None:
        return None
    true = _four(record.box)
    if protocol.overlap == "IoU of shares of the image, true ones to 0.001":
        shares = None if len(answer.boxes) else llava_st_box(answer.text or "")
        return iou(true, box) if shares is None else iou(_shares(true, record), _four(shares))
    if protocol.overlap == "IoU of pixels -1 / +1":
        return pixel_iou(true, box)
    if protocol.overlap == "generalised IoU":
        return giou(true, box)
    if protocol.overlap == "IoU on padded square":
        _require_size(record, protocol)
        side = max(record.width, record.height)
        return iou(_padded(true, record, side), _padded(box, record, side))
    return iou(true, box)


def answered_box(record: BoxRecord, answer: Answer) -> Four | None:
    """The box that was answered in pixels, or None.

    The first box of the answer counts; a text ``[x1,y1,x2,y2]`` of shares is read where there is
    none and the size of the image is known.
    """
    if len(answer.boxes):
        return _four(answer.boxes[0])
    if answer.text is not None and record.width and record.height:
        shares = llava_st_box(answer.text)
        if shares is not None:
            width, height = record.width, record.height
            return (
                float(shares[0] * width),
                float(shares[1] * height),
                float(shares[2] * width),
                float(shares[3] * height),
            )
    return None


def iou(a: Four, b: Four) -> float:
    """Intersection over union, 0 where nothing is shared.

    Example:
        >>> iou((0, 0, 2, 2), (1, 0, 3, 2))
        0.3333333333333333
    """
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(a) + _area(b) - shared)


def giou(a: Four, b: Four) -> float:
    """Generalised intersection over union, in [-1, 1].

    1e-6 is added above and below both fractions, as in the evaluator whose numbers these are
    (ReferFormer's copy): it decides boxes of exactly half the true area, which then miss 0.5.

    Example:
        >>> round(giou((0, 0, 1, 1), (3, 0, 4, 1)), 5), giou((0, 0, 2, 2), (0, 0, 2, 1)) < 0.5
        (-0.5, True)
    """
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = _area(a) + _area(b) - shared
    overlap = (shared + _GIOU_EXTRA) / (union + _GIOU_EXTRA)
    return overlap - (hull - union + _GIOU_EXTRA) / (hull + _GIOU_EXTRA)


def pixel_iou(a: Four, b: Four) -> float:
    """VLM-R1's overlap: right and bottom taken as pixels, the intersection one pixel wider.

    0 for overlaps of up to one pixel.

    Example:
        >>> pixel_iou((0, 0, 10, 10), (0, 0, 10, 10)), pixel_iou((0, 0, 10, 10), (9, 9, 20, 20))
        (1.0, 0.0)
    """
    left, top = max(a[0], b[0]), max(a[1], b[1])
    right, bottom = min(a[2] - 1, b[2] - 1), min(a[3] - 1, b[3] - 1)
    shared = 0.0
    if left < right and top < bottom:
        shared = (right - left + 1) * (bottom - top + 1)
    union = _area(a) + _area(b) - shared
    return shared / union if union > 0 else 0.0


def _area(box: Four) -> float:
    """Width times height, signed."""
    return (box[2] - box[0]) * (box[3] - box[1])


def _padded(box: Four, record: BoxRecord, side: int) -> Four:
    """The box on the image padded to a square, in thousandths of its side."""
    left, top = (side - record.width) // 2, (side - record.height) // 2
    shifted = (box[0] + left, box[1] + top, box[2] + left, box[3] + top)
    x1, y1, x2, y2 = (1000.0 * value / side for value in shifted)
    return x1, y1, x2, y2


def _shares(box: Four, record: BoxRecord) -> Four:
    """The box in shares of the image with three decimals."""
    sides = (record.width, record.height) * 2
    x1, y1, x2, y2 = (round(value / side, 3) for value, side in zip(box, sides, strict=True))
    return x1, y1, x2, y2


def _require_size(record: BoxRecord, protocol: BoxProtocol) -> None:
    """Refuse a record without the size of its image."""
    if record.width < 1 or record.height < 1:
        raise FormatError(
            f"{record.place}: the protocol {protocol.name} needs the size of the image, which the "
            "annotation does not give; choose another protocol"
        )


def _four(box: FloatArray) -> Four:
    """A box (4,) as four floats."""
    x1, y1, x2, y2 = (float(value) for value in box)
    return x1, y1, x2, y2

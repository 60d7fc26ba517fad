"""Overlaps of intervals of time under a protocol, one answer a query.

``IoU = max(0, min(e, e') - max(s, s')) / (max(e, e') - min(s, s'))`` in double precision, 0 where
the hull is empty. R1@m is the share of queries whose IoU reaches m (see the protocol for ``>`` or
``>=``), mIoU the mean.
"""

from __future__ import annotations

import math

from stvg.data.base import TimeRecord
from stvg.errors import FormatError

from .answers import Answer, llava_st_span
from .protocols import TimeProtocol


def hull_iou(true: tuple[float, float], found: tuple[float, float]) -> float:
    """Intersection over hull, in [0, 1]; an interval that ends before it starts overlaps nothing.

    Example:
        >>> hull_iou((0.0, 10.0), (0.0, 3.0)), hull_iou((2.0, 4.0), (4.0, 2.0))
        (0.3, 0.0)
    """
    shared = max(0.0, min(true[1], found[1]) - max(true[0], found[0]))
    hull = max(true[1], found[1]) - min(true[0], found[0])
    return shared / hull if hull > 0 else 0.0


def answered_span(
    record: TimeRecord, answer: Answer, protocol: TimeProtocol
) -> tuple[float, float] | None:
    """The interval that was answered in seconds, or None where there is none to be read.

    The best of several windows counts; LLaVA-ST's text ``{start,end}`` is read for its protocol.
    """
    if answer.span_s is not None:
        return answer.span_s
    if answer.windows is not None and len(answer.windows):
        return float(answer.windows[0, 0]), float(answer.windows[0, 1])
    if protocol.overlap == "shares of the video" and answer.text is not None:
        span = llava_st_span(answer.text)
        if span is not None:
            return span[0] * record.duration_s, span[1] * record.duration_s
    return None


def score_time(record: TimeRecord, answer: Answer, protocol: TimeProtocol) -> float | None:
    """IoU of one answer in [0, 1], or None for an answer without an interval.

    Raises:
        FormatError: If the protocol needs the length of the video and the annotation lacks it.
    """
    found = answered_span(record, answer, protocol)
    if found is None:
        return None
    true = (float(record.windows[0, 0]), float(record.windows[0, 1]))
    if protocol.overlap == "seconds":
        return hull_iou(true, found)
    duration = record.duration_s
    if not (math.isfinite(duration) and duration > 0):
        raise FormatError(
            f"{record.place}: the protocol {protocol.name} needs the length of the video, which "
            "the annotation does not give; give the file that holds it or choose another protocol"
        )
    if protocol.overlap == "shares of the video":
        if answer.span_s is None and answer.text is not None:
            shares = llava_st_span(answer.text) or (0.0, 0.0)
        else:
            shares = (found[0] / duration, found[1] / duration)
        return hull_iou((true[0] / duration, true[1] / duration), shares)
    percent = as_percent_text(found, duration)
    if percent is None:
        return 0.0
    return round(hull_iou((true[0] / duration, true[1] / duration), percent), 2)


def as_percent_text(span_s: tuple[float, float], duration_s: float) -> tuple[float, float] | None:
    """What is left of an interval that is written as two two-digit percentages of the video.

    Each end becomes ``min(99, round(100 * t / duration))``; a negative one cannot be read back.

    Example:
        >>> as_percent_text((0.0, 30.0), 30.0)
        (0.0, 0.99)
    """
    start, end = (min(99, round(100 * time / duration_s)) for time in span_s)
    if start < 0 or end < 0:
        return None
    return start / 100, end / 100

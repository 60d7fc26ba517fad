"""Intervals and boxes in whatever objects and lists a model wrote.

From JSON values (:mod:`stvg.text.loose_json`) to answers: the names that models give to boxes,
times, starts and ends, an interval for all boxes or one for each, boxes as lists, as corner names,
under their times. Numbers stay as written; only the unit of frame numbers is known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .loose_json import Found
from .view import View

_BOX = ("bbox_2d", "bbox", "box_2d", "box", "bounding_box", "xyxy")
_TIME = ("time", "timestamp", "time_s", "timestamp_s", "t", "seconds", "second")
_FRAME = ("frame", "frame_id", "frame_index", "frame_number")
_SPAN = ("time", "interval", "time_range", "timestamps", "timestamp", "span", "segment",
         "time_interval", "time_span")  # fmt: skip
_START = ("start", "start_s", "start_time", "begin", "from")
_END = ("end", "end_s", "end_time", "stop", "to")
_CORNERS = (("x1", "y1", "x2", "y2"), ("x_min", "y_min", "x_max", "y_max"),
            ("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))  # fmt: skip

# Possessive (++), so that the time taken stays in proportion to the text.
_CLOCK = r"(?<![\d.:])\d++(?::\d++){0,2}+(?:\.\d++)?+"
_UNIT = r"\s*+(?:s\b|secs?\b|seconds?\b)"
_TIME_TEXT = re.compile(rf"<?\s*({_CLOCK})(?:{_UNIT})?\s*>?", re.IGNORECASE)
_SPAN_TEXT = re.compile(
    rf"({_CLOCK})({_UNIT})?\s*+(?:-|–|to\b|until\b|and\b)\s*+({_CLOCK})({_UNIT})?", re.IGNORECASE
)
_LONE_TIME = re.compile(rf"({_CLOCK})({_UNIT})?", re.IGNORECASE)

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Item:
    """A box as written.

    Attributes:
        numbers: Four numbers in the unit of the grammar, or None where there were others.
        time_s: Seconds, or None.
        span_s: Start and end in seconds where the box has its own, or None.
    """

    numbers: tuple[float, ...] | None
    time_s: float | None = None
    span_s: Span | None = None


@dataclass(slots=True)
class WrittenAnswer:
    """One answer of a text, which may hold several.

    Attributes:
        span_s: Start and end in seconds for all boxes, or None.
        items: The boxes.
        is_whole: False where the text ends inside it.
    """

    span_s: Span | None = None
    items: list[Item] = field(default_factory=list)
    is_whole: bool = True


def find_answers(found: Found, view: View) -> list[WrittenAnswer]:
    """The answers in the values of a text, in its order.

    Objects with a box each, one behind the other without a list around them, are one answer; so
    are an interval and the boxes that follow it.

    Example:
        >>> from stvg.text.loose_json import find_values
        >>> view = View([0.0], [0.0, 1.0], (64, 64), (64, 64))
        >>> find_answers(find_values('{"start": "1s", "end": "2s", "bbox": [1, 2, 3, 4]}'), view)
        [WrittenAnswer(span_s=None, items=[Item(numbers=(1.0, 2.0, 3.0, 4.0), time_s=None,
         span_s=(1.0, 2.0))], is_whole=True)]
    """
    answers: list[WrittenAnswer] = []
    is_open = False  # whether a single box may still belong to the last answer
    for number, value in enumerate(found.values):
        parts = list(_parts(value, view))
        is_box = isinstance(value, dict) or _four_numbers(value) is not None
        is_single = is_box and len(parts) == 1 and isinstance(parts[0], Item)
        for place, part in enumerate(parts):
            if isinstance(part, Item):
                begins_list = place == 0 and not (is_open and is_single)
                if not answers or (begins_list and answers[-1].items):
                    answers.append(WrittenAnswer())
                answers[-1].items.append(part)
            else:
                answers.append(WrittenAnswer(part))
        is_open = is_single or (is_open and not parts)
        if parts and found.is_cut and number == len(found.values) - 1:
            answers[-1].is_whole = False
    return answers


def seconds_of(value: Any) -> float | None:
    """Seconds that a value names, or None.

    Example:
        >>> [seconds_of(value) for value in (2.5, "2.5s", "00:02.5", "1:01:02", "<2.5 seconds>")]
        [2.5, 2.5, 2.5, 3662.0, 2.5]
        >>> seconds_of("soon") is None
        True
    """
    if isinstance(value, float):
        return value
    found = _TIME_TEXT.fullmatch(value.strip()) if isinstance(value, str) else None
    return None if found is None else _clock(found.group(1))


def spans_in(text: str) -> list[Span]:
    """Intervals that a text names, in its order; plain whole numbers are none.

    Example:
        >>> spans_in("The dog runs from 2.0s to 00:05.5, as I said.")
        [(2.0, 5.5)]
    """
    return [
        (_clock(start), _clock(end))
        for start, unit, end, last_unit in _SPAN_TEXT.findall(text)
        if unit or last_unit or {".", ":"} & set(start + end)
    ]


def last_time_in(text: str) -> float | None:
    """The last time that a text names with its unit or as a clock shows it, or None.

    Example:
        >>> last_time_in("2 dogs, from 2 s to 9 s, here at 3.5 seconds")
        3.5
    """
    alone = _SPAN_TEXT.sub(" ", text)
    times = [clock for clock, unit in _LONE_TIME.findall(alone) if unit or ":" in clock]
    return _clock(times[-1]) if times else None


def _clock(text: str) -> float:
    """Seconds of ``12.5``, ``00:12.5`` or ``1:00:12.5``."""
    seconds = 0.0
    for part in text.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


def _parts(value: Any, view: View) -> Iterator[Item | Span]:
    """The boxes and intervals in a value; an interval stands before the boxes it is for."""
    if isinstance(value, list):
        numbers = _four_numbers(value)
        if numbers is not None:
            yield Item(numbers)
            return
        for part in value:
            yield from _parts(part, view)
    elif isinstance(value, dict):
        entries = {str(key).strip().lower(): part for key, part in value.items()}
        item = _item(entries, view)
        if item is not None:
            yield item
            return
        span = _span(entries)
        if span is not None:
            yield span
        for key, part in entries.items():
            numbers, time_s = _four_numbers(part), seconds_of(key)
            if numbers is not None and time_s is not None:  # {"2.0": [x1, y1, x2, y2]}
                yield Item(numbers, time_s)
            elif key not in (*_SPAN, *_TIME):
                yield from _parts(part, view)


def _item(entries: dict[str, Any], view: View) -> Item | None:
    """The box of an object that has one, with its time."""
    written = next((entries[name] for name in _BOX if name in entries), entries)
    numbers = _four_numbers(written)
    if numbers is None:
        if written is entries or not written or not isinstance(written, list):
            return None
        if all(isinstance(part, dict | list) for part in written):  # a list of boxes
            return None
    span = _span(entries)
    if span is not None:
        return Item(numbers, None, span)
    for name in _TIME:
        time_s = seconds_of(_alone(entries.get(name)))
        if time_s is not None:
            return Item(numbers, time_s)
    for name in _FRAME:
        frame = seconds_of(_alone(entries.get(name)))
        if frame is not None:
            is_there = 0 <= frame < len(view)
            return Item(numbers, float(view.times_s[int(frame)]) if is_there else float("inf"))
    return Item(numbers)


def _span(entries: dict[str, Any]) -> Span | None:
    """Start and end of an object that names them."""
    start, end = (
        next((seconds_of(_alone(entries[name])) for name in names if name in entries), None)
        for names in (_START, _END)
    )
    if start is not None and end is not None:
        return start, end
    for name in _SPAN:
        value = entries.get(name)
        if isinstance(value, dict):
            inner = _span({str(key).strip().lower(): part for key, part in value.items()})
            if inner is not None:
                return inner
        if isinstance(value, list) and len(value) == 2:
            first, second = map(seconds_of, value)
            if first is not None and second is not None:
                return first, second
        if isinstance(value, str):
            spans = spans_in(value)
            if spans:
                return spans[0]
    return None


def _alone(value: Any) -> Any:
    """The value of a list of one, else the value."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _four_numbers(value: Any) -> tuple[float, ...] | None:
    """Four numbers in a list, in lists in it or under the names of corners; else None."""
    if isinstance(value, dict):
        entries = {str(key).strip().lower(): part for key, part in value.items()}
        for names in _CORNERS:
            if all(name in entries for name in names):
                return _four_numbers([entries[name] for name in names])
        return None
    if not isinstance(value, list):
        return None
    flat: list[Any] = []
    for part in value:
        flat += part if isinstance(part, list) else [part]
    if len(flat) != 4:
        return None
    numbers = [_number(part) for part in flat]
    return None if None in numbers else tuple(n for n in numbers if n is not None)


def _number(value: Any) -> float | None:
    """A float, also one in quotes."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return value if isinstance(value, float) else None


def hoist_span(answer: WrittenAnswer) -> tuple[Span | None, list[Item]]:
    """The interval of an answer, also from boxes that have their own, and its boxes.

    A single box with an interval is there all the time; several stand for the middle of theirs.
    """
    spans = [item.span_s for item in answer.items if item.span_s is not None]
    if answer.span_s is not None or not spans:
        span_s = answer.span_s
    elif len(answer.items) == 1:
        return spans[0], [Item(answer.items[0].numbers)]
    else:
        span_s = min(map(min, spans)), max(map(max, spans))
    middles = [sum(item.span_s) / 2 if item.span_s else item.time_s for item in answer.items]
    items = [Item(item.numbers, time_s) for item, time_s in zip(answer.items, middles, strict=True)]
    return span_s, items

"""Intervals and boxes as JSON, in whatever unit a model counts pixels: the shared codec.

One answer is ``{"time": [2.0, 5.5], "boxes": [{"time": 2.0, "bbox_2d": [012, 034, 056, 078]},
...]}``: the interval in seconds, one box for each step of vision tokens that it touches.
Coordinates are whole numbers of a fixed number of digits. The zeros in front are no JSON, but a
model whose tokens are single digits then always writes the hundreds first, every box has the same
number of tokens and rows of a batch keep in step. Spaces in their place would be JSON and worse:
byte-level tokenizers cut two spaces in front of a digit into other tokens than one, and the model
would have to say how long a number is before it says the number. The instruction tells the model
about the zeros: forced upon a model that expects none, ``4`` meant as 4 pixels becomes 400.

Reading takes far more than that; see :mod:`stvg.text.loose_json` and :mod:`stvg.text.box_items`.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from functools import cache
from typing import ClassVar

import numpy as np

from stvg.types import Tube

from .answers import Reading, WrittenBox
from .box_items import (
    Item,
    WrittenAnswer,
    find_answers,
    hoist_span,
    last_time_in,
    spans_in,
)
from .codec import Codec, boxes_by_step
from .constrain import Choice, Literal, Position, Vocabulary, begin
from .loose_json import Found, find_values
from .units import Units
from .view import View

_MOST_MOMENTS = 32  # listed one by one in the instruction
_NUMBER = r"\s*+(-?\d++(?:\.\d++)?+)\s*+"
_CORNER_PAIRS = re.compile(rf"\({_NUMBER},{_NUMBER}\)\s*+,\s*+\({_NUMBER},{_NUMBER}\)")


class BoxJson(Codec):
    """A grammar of JSON; subclasses say what their coordinates count.

    Attributes:
        reads_pairs: Whether boxes may also stand as ``(x1,y1),(x2,y2)`` in running text.
    """

    looks_like = "a JSON object with a time and boxes"
    reads_pairs: ClassVar[bool] = False

    @abstractmethod
    def units(self, view: View) -> Units:
        """What the coordinates count."""

    @abstractmethod
    def unit_words(self, view: View) -> str:
        """The same in words, as the end of "x1, y1, x2, y2 are"."""

    def render(self, tube: Tube, view: View) -> str:
        """See :meth:`Codec.render`."""
        first, end, times, boxes = boxes_by_step(tube, view)
        units, decimals = self.units(view), decimals_of(view)
        digits = _digits(units)
        start_s, end_s = view.borders_s[first], view.borders_s[end]
        rows = [
            f'{{"time": {time_s:.{decimals}f}, "bbox_2d": '
            f"[{', '.join(f'{number:0{digits}d}' for number in box)}]}}"
            for time_s, box in zip(times, units.write(boxes, view.size).tolist(), strict=True)
        ]
        span = f"[{start_s:.{decimals}f}, {end_s:.{decimals}f}]"
        return f'{{"time": {span}, "boxes": [{", ".join(rows)}]}}'

    def instruction(self, view: View) -> str:
        """See :meth:`Codec.instruction`."""
        decimals, digits = decimals_of(view), _digits(self.units(view))
        moments = [view.box_time_s(step, 0, len(view)) for step in range(view.steps)]
        if len(moments) <= _MOST_MOMENTS:
            listed = ", ".join(f"{moment:.{decimals}f}" for moment in moments)
            when = f"each of these moments from start to end: {listed}"
        else:
            apart_s = (moments[-1] - moments[0]) / (len(moments) - 1)
            when = f"about every {apart_s:.{decimals}f} seconds from start to end"
        return (
            'Answer with one JSON object and nothing else: {"time": [start, end], "boxes": '
            '[{"time": t, "bbox_2d": [x1, y1, x2, y2]}, ...]}. Times are seconds with '
            f"{decimals} decimal{'s' if decimals > 1 else ''}. Give one box for {when}. x1, y1 is "
            "the left top corner of the object and x2, y2 its right bottom corner, in "
            f"{self.unit_words(view)}, always {digits} digit{'s' if digits > 1 else ''} each, with "
            f"zeros in front (seven is {7:0{digits}d})."
        )

    def grammar(self, view: View, vocabulary: Vocabulary) -> Position:
        """See :meth:`Codec.grammar`."""
        units, decimals = self.units(view), decimals_of(view)
        borders = tuple(f"{border_s:.{decimals}f}" for border_s in view.borders_s)
        numbers = _number_texts(max(units.last_x, units.last_y), _digits(units))

        def slot(taken: tuple[str, ...]) -> Literal | Choice | None:
            count = len(taken)
            if count < 4:
                first = borders.index(taken[1]) if count > 1 else 0
                heads = (
                    Literal('{"time": ['), Choice(borders[:-1]),
                    Literal(", "), Choice(borders[first + 1 :]),
                )  # fmt: skip
                return heads[count]
            first, end = borders.index(taken[1]), borders.index(taken[3])
            steps = view.steps_touched(first, end)
            row, place = divmod(count - 4, 8)  # a row: text in front, x1, ", ", y1, ...
            if row == len(steps):
                return Literal("]}]}") if place == 0 else None
            if place == 0:
                front = '], "boxes": [' if row == 0 else "]}, "
                time_s = view.box_time_s(steps[row], first, end)
                return Literal(f'{front}{{"time": {time_s:.{decimals}f}, "bbox_2d": [')
            if place % 2 == 0:
                return Literal(", ")
            earlier = [int(text) for text in taken[count - place + 1 :: 2]]
            choices = units.choices(earlier)
            return Choice(numbers[choices.start : choices.stop])

        return begin(slot, vocabulary)

    def read(self, text: str, view: View) -> Reading:
        """See :meth:`Codec.read`.

        Of several answers the last whole one that has boxes counts; where none is whole the last
        with boxes, where none has boxes the last interval.
        """
        found = find_values(text)
        answers = find_answers(found, view)
        if self.reads_pairs and not any(answer.items for answer in answers):
            answers += _pairs_in(text)
        with_boxes = [answer for answer in answers if answer.items]
        whole = [answer for answer in with_boxes if answer.is_whole]
        chosen = next((part[-1] for part in (whole, with_boxes, answers) if part), WrittenAnswer())
        repairs = _told(found, len(answers)) if answers else []
        span_s, items = hoist_span(chosen)
        in_words = spans_in(found.rest)
        if span_s is None and in_words and all(item.time_s is None for item in items):
            span_s = in_words[-1]
            repairs.append("interval taken from running text")
        if not chosen.is_whole and items and items[-1].numbers is None:
            items.pop()  # cut, not wrong
        unit_s = 10.0 ** -decimals_of(view)
        boxes = tuple(self._box(item, view) for item in items)
        return Reading(span_s, boxes, tuple(repairs), not chosen.is_whole, unit_s)

    def _box(self, item: Item, view: View) -> WrittenBox:
        """A box in pixels of the original frame."""
        if item.numbers is None:
            return WrittenBox(None, item.time_s)
        x1, y1, x2, y2 = self.units(view).read(item.numbers, view.size).tolist()
        return WrittenBox((x1, y1, x2, y2), item.time_s)


def decimals_of(view: View) -> int:
    """Decimals of seconds, the fewest (at least 1) that tell all times of a view well apart.

    A unit of the last decimal is at most a quarter of the shortest time between two borders or two
    frames, so that a written time means one border only.
    """
    shortest_s = min(np.diff(view.borders_s).min(), np.diff(view.times_s).min(initial=np.inf))
    return max(1, int(np.ceil(np.log10(4 / shortest_s) - 1e-9)))


def _digits(units: Units) -> int:
    """Digits of every coordinate."""
    return len(str(max(units.last_x, units.last_y)))


@cache
def _number_texts(last: int, digits: int) -> tuple[str, ...]:
    """All numbers up to ``last`` with zeros in front."""
    return tuple(f"{number:0{digits}d}" for number in range(last + 1))


def _told(found: Found, answers: int) -> list[str]:
    """What the reading forgave, in words."""
    repairs = []
    if re.search(r"\w", re.sub(r"```\w*", "", found.rest)):
        repairs.append("ignored text around the answer")
    if found.mended:
        repairs.append(f"mended the JSON: {', '.join(found.mended)}")
    if answers > 1:
        repairs.append(f"took one of {answers} answers")
    return repairs


def _pairs_in(text: str) -> list[WrittenAnswer]:
    """The boxes that stand as ``(x1,y1),(x2,y2)`` in a text, with the times named before them."""
    items, before = [], 0
    for found in _CORNER_PAIRS.finditer(text):
        numbers = tuple(map(float, found.groups()))
        items.append(Item(numbers, last_time_in(text[before : found.start()])))
        before = found.end()
    return [WrittenAnswer(None, items)] if items else []

"""The grammar that we train: ``<t_3> <t_9> : <t_2> 20 31 40 52 <t_4> 21 31 41 52 ...``.

First the interval ``[a, b)`` in numbers of sampled frames (``<t_T>`` is the end of the video), then
for every step of vision tokens that it touches the number of the step's first frame and a box in
whole percent of the frame's sides. A box stands for the mean time of those frames of its step that
lie in the interval. One space between tokens; in a vocabulary with one token for each ``<t_i>`` and
each of 0 to 100, a box is five tokens, of which the first is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from stvg.text.answers import Reading, WrittenBox
from stvg.text.codec import Codec as Base
from stvg.text.codec import boxes_by_step
from stvg.text.constrain import Choice, Literal, Position, Vocabulary, begin
from stvg.text.mending import named
from stvg.text.units import Units
from stvg.text.view import View
from stvg.types import Tube

_PERCENT = Units(100, 100, 100, 100)
_TOKEN = re.compile(
    r"""<\s*t\s*_?\s*(?P<marked>\d{1,9})\s*>? | \bt_(?P<bare>\d{1,9})\s*>?
    | (?P<number>[-+]?(?:\d++\.?\d*+|\.\d++)(?:e[-+]?\d++)?+ | \b(?:nan|inf|infinity)\b)
    | (?P<colon>:) | (?P<word>[^\W\d_]++)""",
    re.VERBOSE | re.IGNORECASE,
)


class Codec(Base):
    """Frame numbers and percent."""

    name = "compact"
    looks_like = "<t_start> <t_end> : and boxes"

    def render(self, tube: Tube, view: View) -> str:
        """See :meth:`Base.render`."""
        first, end, _, boxes = boxes_by_step(tube, view)
        text = f"<t_{first}> <t_{end}> :"
        rows = _PERCENT.write(boxes, view.size).tolist()
        for step, (x1, y1, x2, y2) in zip(view.steps_touched(first, end), rows, strict=True):
            text += f" <t_{view.step_frames(step).start}> {x1} {y1} {x2} {y2}"
        return text

    def instruction(self, view: View) -> str:
        """Nothing: models are trained to write it."""
        del view
        return ""

    def grammar(self, view: View, vocabulary: Vocabulary) -> Position:
        """See :meth:`Base.grammar`."""
        marks = tuple(f"<t_{number}>" for number in range(len(view) + 1))

        def slot(taken: tuple[str, ...]) -> Literal | Choice | None:
            if not taken:
                return Choice(marks[:-1])
            first = marks.index(taken[0])
            if len(taken) == 1:
                return Choice(tuple(f" {mark}" for mark in marks[first + 1 :]))
            steps = view.steps_touched(first, marks.index(taken[1].strip()))
            row, place = divmod(len(taken) - 2, 5)
            if row == len(steps):
                return None
            if place == 0:
                mark = marks[view.step_frames(steps[row]).start]
                return Literal(f" : {mark}" if row == 0 else f" {mark}")
            earlier = [int(text) for text in taken[len(taken) - place + 1 :]]
            choices = _PERCENT.choices(earlier)
            return Choice(_number_texts()[choices.start : choices.stop])

        return begin(slot, vocabulary)

    def read(self, text: str, view: View) -> Reading:
        """See :meth:`Base.read`.

        Of several answers the last whole one that has boxes counts; where none is whole the last
        with boxes, where none has boxes the last interval.
        """
        groups, has_prose = _groups(text)
        if not groups:
            return Reading(None)
        answers = _answers(groups)
        with_boxes = [answer for answer in answers if answer.groups]
        whole = [answer for answer in with_boxes if not answer.is_cut]
        chosen = (whole or with_boxes or answers)[-1]
        repairs = ["ignored text around the answer"] if has_prose else []
        if len(answers) > 1:
            repairs.append(f"took one of {len(answers)} answers")
        kept = chosen.groups[:-1] if chosen.is_cut else chosen.groups
        inside = [
            number
            for number, group in enumerate(kept, start=1)
            if group.frame % view.frames_per_step
        ]
        if inside:
            repairs.append(f"took {named(inside)} for the whole step of the frame named")
        span_s = None
        if chosen.span is not None:
            span_s = _border_s(chosen.span[0], view), _border_s(chosen.span[1], view)
        boxes = tuple(_box(group, view) for group in kept)
        return Reading(span_s, boxes, tuple(repairs), chosen.is_cut)


@dataclass(slots=True)
class _Group:
    """A frame number and what follows it.

    Attributes:
        frame: The number.
        numbers: Numbers behind it.
        has_colon: Whether a colon follows it.
        is_closed: Whether a word follows; numbers behind that are prose.
    """

    frame: int
    numbers: list[float] = field(default_factory=list)
    has_colon: bool = False
    is_closed: bool = False


@dataclass(slots=True)
class _Answer:
    """An interval in frame numbers and boxes; ``is_cut`` where the text ends within the last."""

    span: tuple[int, int] | None = None
    groups: list[_Group] = field(default_factory=list)
    is_cut: bool = False


def _groups(text: str) -> tuple[list[_Group], bool]:
    """Frame numbers with the numbers behind each, and whether there are words as well."""
    groups: list[_Group] = []
    has_prose = False
    for token in _TOKEN.finditer(text):
        mark = token["marked"] or token["bare"]
        if mark:
            groups.append(_Group(int(mark)))
        elif token["word"]:
            has_prose = True
            if groups:
                groups[-1].is_closed = True
        elif token["colon"] and groups:
            groups[-1].has_colon = True
        elif token["number"] and groups and not groups[-1].is_closed:
            groups[-1].numbers.append(float(token["number"]))
    return groups, has_prose


def _answers(groups: list[_Group]) -> list[_Answer]:
    """The answers of a text: two numbers without a box are the interval of a new one."""
    answers: list[_Answer] = []
    at = 0
    while at < len(groups):
        group, following = groups[at], groups[at + 1 : at + 2]
        is_pair = bool(following) and not group.numbers and not following[0].numbers
        if is_pair and (not answers or following[0].has_colon):
            answers.append(_Answer((group.frame, following[0].frame)))
            at += 2
        elif not group.numbers and group.has_colon:
            answers.append(_Answer())
            at += 1
        else:
            if not answers:
                answers.append(_Answer())
            answers[-1].groups.append(group)
            at += 1
    last = answers[-1].groups[-1:]
    answers[-1].is_cut = bool(last) and len(last[0].numbers) < 4 and not last[0].is_closed
    return answers


def _border_s(number: int, view: View) -> float:
    """Seconds of a border; numbers that are too large lie as many seconds behind the end."""
    beyond = max(number - len(view), 0)
    return float(view.borders_s[number - beyond]) + beyond


def _box(group: _Group, view: View) -> WrittenBox:
    """The box of a group for its step."""
    step = group.frame // view.frames_per_step
    if len(group.numbers) != 4:
        return WrittenBox(None, step=step)
    x1, y1, x2, y2 = _PERCENT.read(group.numbers, view.size).tolist()
    return WrittenBox((x1, y1, x2, y2), step=step)


@cache
def _number_texts() -> tuple[str, ...]:
    """0 to 100 with a space in front."""
    return tuple(f" {number}" for number in range(101))

"""The grammar that models of the procedural world learn.

``target id : three , time range : <t_2> to <t_9>``: the interval ``[a, b)`` in numbers of sampled
frames. Numbers up to nine are words: a number on an object is a name, while the digits of these
models are a scale on which near ones are nearly right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from stvg.text.constrain import Choice, Literal, Position, Vocabulary, begin
from stvg.text.numbered.base import Numbered
from stvg.text.view import View
from stvg.types import Interval

NAMES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""Words for the numbers 1 to 9."""
_NAME = rf"(?:\d{{1,9}}|{'|'.join(NAMES)})\b"
_NUMBERS = re.compile(rf"target id : ((?:{_NAME}(?: , (?={_NAME}))?)+)", re.I)
_RANGE = re.compile(r"<t_(\d{1,9})> to <t_(\d{1,9})>", re.I)


class Grammar(Numbered):
    """Frame numbers, without thinking."""

    name = "r1_compact"
    looks_like = "target id : three , time range : <t_a> to <t_b>"

    def render(self, numbers: Sequence[int], interval: Interval, view: View) -> str:
        """See :class:`Numbered`."""
        first, end = view.frames_near(interval)
        named = " , ".join(name_of(number) for number in numbers)
        return f"target id : {named} , time range : <t_{first}> to <t_{end}>"

    def read(
        self, text: str, view: View
    ) -> tuple[Sequence[int], tuple[float, float] | None, tuple[str, ...]]:
        """See :class:`Numbered`."""
        plain = " ".join(text.split())
        named, span = _NUMBERS.findall(plain), _RANGE.findall(plain)
        numbers = [_number_of(name) for name in named[-1].lower().split(" , ")] if named else []
        if not span:
            return numbers, None, ()
        written = [int(number) for number in span[-1]]
        start, end = (float(view.borders_s[min(number, len(view))]) for number in written)
        told = ("the interval was cut to the video",) if max(written) > len(view) else ()
        return numbers, (start, end), told

    def instruction(self, view: View) -> str:
        """Nothing: models are trained to write it."""
        del view
        return ""

    def grammar(
        self, view: View, vocabulary: Vocabulary, numbers: Sequence[int]
    ) -> Position | None:
        """See :class:`Numbered`; one of the painted numbers."""
        marks = tuple(f" <t_{number}>" for number in range(len(view) + 1))
        painted = tuple(f" {name_of(number)}" for number in sorted(numbers))

        def slot(taken: tuple[str, ...]) -> Literal | Choice | None:
            places: tuple[Literal | Choice, ...] = (
                Literal("target id :"), Choice(painted), Literal(" , time range :"),
                Choice(marks[:-1]), Literal(" to"),
            )  # fmt: skip
            if len(taken) < len(places):
                return places[len(taken)]
            return Choice(marks[marks.index(taken[3]) + 1 :]) if len(taken) == len(places) else None

        return begin(slot, vocabulary) if painted else None


def name_of(number: int) -> str:
    """How a number from 1 on is written.

    Example:
        >>> name_of(3), name_of(12)
        ('three', '12')
    """
    return NAMES[number - 1] if 1 <= number <= len(NAMES) else str(number)


def _number_of(name: str) -> int:
    return NAMES.index(name) + 1 if name in NAMES else int(name)

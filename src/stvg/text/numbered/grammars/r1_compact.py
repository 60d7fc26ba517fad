"""The grammar that models of the procedural world learn.

``target id : 3 , time range : <t_2> to <t_9>``: the interval ``[a, b)`` in numbers of sampled
frames.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from stvg.text.constrain import Choice, Literal, Position, Vocabulary, begin
from stvg.text.numbered.base import Numbered
from stvg.text.view import View
from stvg.types import Interval

_NUMBERS = re.compile(r"target id : ((?:\d{1,9}(?: , (?=\d))?)+)", re.I)
_RANGE = re.compile(r"<t_(\d{1,9})> to <t_(\d{1,9})>", re.I)


class Grammar(Numbered):
    """Frame numbers, without thinking."""

    name = "r1_compact"
    looks_like = "target id : n , time range : <t_a> to <t_b>"

    def render(self, numbers: Sequence[int], interval: Interval, view: View) -> str:
        """See :class:`Numbered`."""
        first, end = view.frames_near(interval)
        named = " , ".join(str(number) for number in numbers)
        return f"target id : {named} , time range : <t_{first}> to <t_{end}>"

    def read(
        self, text: str, view: View
    ) -> tuple[Sequence[int], tuple[float, float] | None, tuple[str, ...]]:
        """See :class:`Numbered`."""
        plain = " ".join(text.split())
        named, span = _NUMBERS.findall(plain), _RANGE.findall(plain)
        numbers = [int(number) for number in re.findall(r"\d+", named[-1])] if named else []
        if not span:
            return numbers, None, ()
        borders = [min(int(number), len(view)) for number in span[-1]]
        return numbers, (float(view.borders_s[borders[0]]), float(view.borders_s[borders[1]])), ()

    def instruction(self, view: View) -> str:
        """Nothing: models are trained to write it."""
        del view
        return ""

    def grammar(
        self, view: View, vocabulary: Vocabulary, numbers: Sequence[int]
    ) -> Position | None:
        """See :class:`Numbered`; one of the painted numbers."""
        marks = tuple(f" <t_{number}>" for number in range(len(view) + 1))
        painted = tuple(f" {number}" for number in sorted(numbers))

        def slot(taken: tuple[str, ...]) -> Literal | Choice | None:
            places: tuple[Literal | Choice, ...] = (
                Literal("target id :"), Choice(painted), Literal(" , time range :"),
                Choice(marks[:-1]), Literal(" to"),
            )  # fmt: skip
            if len(taken) < len(places):
                return places[len(taken)]
            return Choice(marks[marks.index(taken[3]) + 1 :]) if len(taken) == len(places) else None

        return begin(slot, vocabulary) if painted else None

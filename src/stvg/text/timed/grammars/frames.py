"""The grammar that models of the procedural world learn: ``<t_2> to <t_9>``.

The interval ``[a, b)`` in numbers of sampled frames; ``<t_T>`` is the end of the video.
"""

from __future__ import annotations

import re

from stvg.text.constrain import Choice, Literal, Position, Vocabulary, begin
from stvg.text.timed.base import Timed
from stvg.text.view import View
from stvg.types import Interval

_FRAME = re.compile(r"<\s*t\s*_\s*(\d{1,9})\s*>", re.I)


class Grammar(Timed):
    """Frame numbers."""

    name = "frames"
    looks_like = "<t_a> to <t_b>"

    def render(self, interval: Interval, view: View) -> str:
        """See :class:`Timed`."""
        first, end = view.frames_near(interval)
        return f"<t_{first}> to <t_{end}>"

    def read(self, text: str, view: View) -> tuple[float, float] | None:
        """See :class:`Timed`; the first two numbers count."""
        found = [int(number) for number in _FRAME.findall(text)[:2]]
        if len(found) < 2:
            return None
        start, end = (
            float(view.borders_s[min(n, len(view))]) + max(n - len(view), 0) for n in found
        )
        return start, end

    def instruction(self, view: View, *, stamped: bool = False) -> str:
        """Nothing: models are trained to write it."""
        del view, stamped
        return ""

    def stamp(self, view: View, frame: int) -> str:
        """Its number."""
        del view
        return f"<t_{frame}>"

    def grammar(self, view: View, vocabulary: Vocabulary) -> Position:
        """See :class:`Timed`."""
        marks = tuple(f"<t_{number}>" for number in range(len(view) + 1))

        def slot(taken: tuple[str, ...]) -> Literal | Choice | None:
            if not taken:
                return Choice(marks[:-1])
            if len(taken) == 1:
                return Literal(" to")
            if len(taken) == 2:
                later = marks[marks.index(taken[0]) + 1 :]
                return Choice(tuple(f" {mark}" for mark in later))
            return None

        return begin(slot, vocabulary)

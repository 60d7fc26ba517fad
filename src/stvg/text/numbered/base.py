"""Answers that name painted numbers and an interval, instead of writing boxes (STVG-R1).

Where the boxes are is looked up in the tracks that the numbers were painted from, so a grammar here
knows no boxes: it goes between numbers with an interval and text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from stvg.text.answers import shortened
from stvg.text.constrain import Position, Vocabulary
from stvg.text.view import View
from stvg.types import Interval


@dataclass(frozen=True, slots=True)
class Naming:
    """What an answer names.

    Attributes:
        numbers: In the order of the text, each once; empty where there are none.
        interval: When, inside the video; None where there is no interval to use.
        repairs: Everything that was forgiven, in words.
        problem: Why a number or the interval is missing; None where both are there.
    """

    numbers: tuple[int, ...]
    interval: Interval | None
    repairs: tuple[str, ...] = ()
    problem: str | None = None


class Numbered(ABC):
    """An answer grammar: numbers with an interval to text and back.

    Attributes:
        name: Name of the grammar, the same as its module.
        looks_like: What an answer looks like, in a few words, for messages.
    """

    name: ClassVar[str]
    looks_like: ClassVar[str]

    @abstractmethod
    def render(self, numbers: Sequence[int], interval: Interval, view: View) -> str:
        """The right answer as text."""

    @abstractmethod
    def read(
        self, text: str, view: View
    ) -> tuple[Sequence[int], tuple[float, float] | None, tuple[str, ...]]:
        """Numbers, start and end in seconds as written, and what had to be forgiven for it."""

    @abstractmethod
    def instruction(self, view: View) -> str:
        """What a prompt says about task and format; empty for a grammar that is trained."""

    def instruction_for_all(self, view: View) -> str:
        """The same for a query that asks for every object that fits, whenever it is there."""
        return self.instruction(view)

    @abstractmethod
    def grammar(
        self, view: View, vocabulary: Vocabulary, numbers: Sequence[int]
    ) -> Position | None:
        """What may be written where these numbers are painted; None for anything.

        Raises:
            UsageError: If the vocabulary cannot write it.
        """

    def parse(self, text: str, view: View) -> Naming:
        """What an answer means; inverse of :meth:`render`, and never raises on any text."""
        found, span_s, told = self.read(text, view)
        numbers, repairs = tuple(dict.fromkeys(found)), [*told]
        if span_s is not None and span_s[1] < span_s[0]:
            repairs.append("the interval was written from its end to its start")
            span_s = span_s[1], span_s[0]
        interval = None
        if span_s is not None:
            start, end = max(span_s[0], 0.0), min(span_s[1], view.end_s)
            if (start, end) != span_s:
                repairs.append("the interval was cut to the video")
            interval = Interval(start, end) if start < end else None
        missing = [name for name, is_there in (("number", numbers), ("interval", interval))
                   if not is_there]  # fmt: skip
        problem = None
        if missing:
            said = f"found {shortened(text)!r}" if text.strip() else "the answer is empty"
            problem = f"no {' and no '.join(missing)}: expected {self.looks_like}, {said}"
        return Naming(numbers, interval, tuple(repairs), problem)

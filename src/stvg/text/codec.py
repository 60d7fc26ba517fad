"""The base class of all answer grammars.

A grammar is a :class:`Codec`: it renders a tube as text, says what a text says
(:meth:`Codec.read`), describes itself to a model and constrains what a model may write. What is
wrong with an answer is mended in one place for all grammars alike, and everything that was forgiven
is told.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from stvg.geometry.boxes import interpolate_boxes
from stvg.types import FloatArray, Tube

from .answers import Parsed, Reading, answer_part, shortened
from .constrain import Position, Vocabulary
from .mending import mend
from .view import View


class Codec(ABC):
    """An answer grammar: tube to text and back.

    Attributes:
        name: Name of the grammar, the same as its module.
        looks_like: What an answer looks like, in a few words, for messages.
    """

    name: ClassVar[str]
    looks_like: ClassVar[str]

    @abstractmethod
    def render(self, tube: Tube, view: View) -> str:
        """The tube as text: its interval on the nearest borders, one box a step it touches."""

    @abstractmethod
    def read(self, text: str, view: View) -> Reading:
        """What a text says; never raises, whatever the text."""

    @abstractmethod
    def instruction(self, view: View) -> str:
        """What a prompt should say about the format; empty for a grammar that is trained."""

    @abstractmethod
    def grammar(self, view: View, vocabulary: Vocabulary) -> Position:
        """The first place of the grammar that writes exactly what :meth:`render` writes.

        Raises:
            UsageError: If the vocabulary cannot write it.
        """

    def parse(self, text: str, view: View) -> Parsed:
        """What an answer means; inverse of :meth:`render`, and never raises on any text.

        Thinking (``<think>``) is left out, and of ``<answer>`` blocks the last one counts.
        """
        if not text.strip():
            return Parsed(None, None, problem="the answer is empty")
        answer = answer_part(text)
        if answer is None:
            return Parsed(None, None, problem="the answer ends before its thinking does")
        reading = self.read(answer, view)
        if reading.span_s is None and not reading.boxes:
            problem = f"expected {self.looks_like}, found {shortened(answer)!r}"
            return Parsed(None, None, reading.repairs, problem)
        return mend(reading, view)


def boxes_by_step(tube: Tube, view: View) -> tuple[int, int, list[float], FloatArray]:
    """What an answer to a view says about a tube.

    Returns:
        First and end of its sampled frames ``[first, end)``; for each of the S steps touched the
        time in seconds that its box stands for, and the box at that time, (S, 4) ``xyxy`` pixels
        of the original frame.
    """
    first, end = view.frames_near(tube.interval)
    times = [view.box_time_s(step, first, end) for step in view.steps_touched(first, end)]
    return first, end, times, interpolate_boxes(tube.times_s, tube.boxes, times)

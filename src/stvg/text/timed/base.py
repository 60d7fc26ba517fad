"""Answers that say when, for methods whose boxes come from elsewhere than the text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from stvg.text.answers import shortened
from stvg.text.constrain import Position, Vocabulary
from stvg.text.view import View
from stvg.types import Interval


@dataclass(frozen=True, slots=True)
class Timing:
    """What an answer says of time.

    Attributes:
        interval: When, inside the video; None where there is no interval to use.
        repairs: Everything that was forgiven, in words.
        problem: Why there is no interval; None where there is one.
    """

    interval: Interval | None
    repairs: tuple[str, ...] = ()
    problem: str | None = None


class Timed(ABC):
    """An answer grammar: an interval to text and back.

    A view of one frame is a picture; every answer to it means the whole of it.

    Attributes:
        name: Name of the grammar, the same as its module.
        looks_like: What an answer looks like, in a few words, for messages.
    """

    name: ClassVar[str]
    looks_like: ClassVar[str]

    @abstractmethod
    def render(self, interval: Interval, view: View) -> str:
        """The right answer as text."""

    @abstractmethod
    def read(self, text: str, view: View) -> tuple[float, float] | None:
        """Start and end in seconds as written, whatever they are; None where there are not two."""

    @abstractmethod
    def instruction(self, view: View, *, stamped: bool = False) -> str:
        """What a prompt says about task and format; empty for a grammar that is trained.

        Args:
            view: What the model sees.
            stamped: Whether the time of each step stands between the pictures (:meth:`stamp`).
        """

    def stamp(self, view: View, frame: int) -> str:
        """The time of a sampled frame as it is told to a model between the pictures."""
        return f"{view.times_s[frame]:.1f}s"

    @abstractmethod
    def grammar(self, view: View, vocabulary: Vocabulary) -> Position:
        """What may be written.

        Raises:
            UsageError: If the vocabulary cannot write it.
        """

    def parse(self, text: str, view: View) -> Timing:
        """What an answer means; inverse of :meth:`render`, and never raises on any text.

        Times in reverse order are swapped, and what lies outside the video is cut off. An interval
        without length becomes that of the frame which counts at that time.
        """
        if len(view) == 1:
            return Timing(view.interval(0, 1))
        found = self.read(text, view)
        if found is None:
            said = f"found {shortened(text)!r}" if text.strip() else "the answer is empty"
            return Timing(None, (), f"expected {self.looks_like}, {said}")
        repairs = []
        start_s, end_s = sorted(found)
        if (start_s, end_s) != found:
            repairs.append("the interval was written from its end to its start")
        if start_s >= view.end_s:
            return Timing(None, tuple(repairs), f"the interval {found} lies behind the video")
        if end_s > view.end_s:
            repairs.append("the interval was cut to the video")
            end_s = view.end_s
        if start_s == end_s:
            repairs.append("the interval has no length: took that of one frame")
            frame = view.frame_at(start_s)
            return Timing(view.interval(frame, frame + 1), tuple(repairs))
        return Timing(Interval(start_s, end_s), tuple(repairs))

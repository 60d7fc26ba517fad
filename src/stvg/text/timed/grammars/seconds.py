"""The grammar for instruction-tuned models: ``From 12.0s to 18.5s.``, and ``Found.`` for pictures.

Seconds from the beginning of the video, with one decimal.
"""

from __future__ import annotations

import math
import re

from stvg.text.constrain import Choice, Literal, Position, Vocabulary, begin
from stvg.text.timed.base import Timed
from stvg.text.view import View
from stvg.types import Interval

_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?")


class Grammar(Timed):
    """A sentence with two times."""

    name = "seconds"
    looks_like = "From a s to b s."

    def render(self, interval: Interval, view: View) -> str:
        """See :class:`Timed`; the nearest tenths, at least one apart."""
        if len(view) == 1:
            return "Found."
        last = _last_tenth(view)
        start = min(round(interval.start_s * 10), last - 1)
        end = min(max(round(interval.end_s * 10), start + 1), last)
        return f"From{_written(start)} to{_written(end)}."

    def read(self, text: str, view: View) -> tuple[float, float] | None:
        """See :class:`Timed`; the first two numbers count, however they are written.

        The tenth in which the video ends means its end.
        """
        found = [float(number) for number in _NUMBER.findall(text)[:2]]
        if len(found) < 2:
            return None
        last_s = _last_tenth(view) / 10
        start_s, end_s = (
            view.end_s if view.end_s < time_s <= last_s else time_s for time_s in found
        )
        return start_s, end_s

    def instruction(self, view: View) -> str:
        """See :class:`Timed`; tells the times of the frames."""
        if len(view) == 1:
            return "Find in the picture what the sentence at the end is about. Answer: Found."
        times = ", ".join(f"{time_s:.2f}s" for time_s in view.times_s)
        return (
            f"The video lasts {view.end_s:.2f} seconds; {len(view)} frames of it are shown, at "
            f"{times}. Say from when to when that happens which the sentence at the end is about. "
            "Answer in this form: From 2.5s to 7.0s."
        )

    def grammar(self, view: View, vocabulary: Vocabulary) -> Position:
        """See :class:`Timed`."""
        tenths = tuple(_written(number) for number in range(_last_tenth(view) + 1))

        def slot(taken: tuple[str, ...]) -> Literal | Choice | None:
            if len(view) == 1:
                return None if taken else Literal("Found.")
            places: tuple[Literal | Choice, ...] = (
                Literal("From"), Choice(tenths[:-1]), Literal(" to"),
            )  # fmt: skip
            if len(taken) < len(places):
                return places[len(taken)]
            if len(taken) == len(places):
                return Choice(tenths[tenths.index(taken[1]) + 1 :])
            return Literal(".") if len(taken) == len(places) + 1 else None

        return begin(slot, vocabulary)


def _last_tenth(view: View) -> int:
    """The last tenth of a second that may be written: where the video is over."""
    return max(math.ceil(view.end_s * 10 - 1e-6), 1)


def _written(tenths: int) -> str:
    """A time with a space in front."""
    return f" {tenths / 10:.1f}s"

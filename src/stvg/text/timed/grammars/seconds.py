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

    def instruction(self, view: View, *, stamped: bool = False) -> str:
        """See :class:`Timed`; tells the times of the frames where they do not stand behind them."""
        if len(view) == 1:
            return "Find in the picture what the sentence at the end is about. Answer: Found."
        shown = "the time stands behind every few of them"
        if not stamped:
            shown = "at " + ", ".join(f"{time_s:.2f}s" for time_s in view.times_s)
        return (
            f"The video lasts {view.end_s:.2f} seconds; {len(view)} frames of it are shown, "
            f"{shown}. Say from when to when that happens which the sentence at the end is about. "
            "Answer in this form: From 2.5s to 7.0s."
        )

    def grammar(self, view: View, vocabulary: Vocabulary) -> Position:
        """See :class:`Timed`.

        A time is written digit by digit, as the tokenizers that fit a :class:`Vocabulary` cut
        numbers; so an hour has no more alternatives at a place than a second has.
        """
        last = _last_tenth(view)

        def slot(taken: tuple[str, ...]) -> Literal | Choice | None:
            written = "".join(taken)
            if len(view) == 1:
                return None if written else Literal("Found.")
            if not written:
                return Literal("From")
            if written.endswith("s."):
                return None
            start, to, end = written.removeprefix("From").partition(" to")
            if written.endswith("s"):
                return Literal("." if to else " to")
            return _going_on(end, _tenths(start) + 1, last) if to else _going_on(start, 0, last - 1)

        return begin(slot, vocabulary)


def _last_tenth(view: View) -> int:
    """The last tenth of a second that may be written: where the video is over."""
    return max(math.ceil(view.end_s * 10 - 1e-6), 1)


def _written(tenths: int) -> str:
    """A time with a space in front."""
    return f" {tenths / 10:.1f}s"


def _tenths(written: str) -> int:
    """The reverse of :func:`_written`."""
    return int(written.strip(" s").replace(".", ""))


def _going_on(written: str, first: int, last: int) -> Choice:
    """How the beginning of a time may go on.

    Args:
        written: The beginning: nothing, or the digits before the point, or these and the point.
        first: The earliest time, tenths.
        last: The latest time, tenths.

    Example:
        >>> _going_on("", 95, 123).texts, _going_on(" 1", 95, 123).texts
        ((' 1', ' 9'), ('0', '1', '2'))
        >>> _going_on(" 12", 95, 123).texts, _going_on(" 12.", 95, 123).texts
        (('.',), ('0s', '1s', '2s', '3s'))
    """
    if written.endswith("."):
        zero = 10 * int(written[:-1])
        return Choice(tuple(f"{tenth}s" for tenth in range(10) if first <= zero + tenth <= last))
    least, most = first // 10, last // 10
    more = [
        digit if written else f" {digit}"
        for digit in "0123456789"
        if _begins_one(written.strip() + digit, least, most)
    ]
    if written and least <= int(written) <= most:
        more.append(".")
    return Choice(tuple(more))


def _begins_one(digits: str, least: int, most: int) -> bool:
    """Whether a whole number from ``least`` to ``most`` begins with these digits."""
    if digits.startswith("0"):
        return digits == "0" and least == 0
    low = high = int(digits)
    while high < least:
        low, high = 10 * low, 10 * high + 9
    return low <= most

"""The grammar of STVG-R1: thinking, then the number and the interval in seconds.

``<think> ... </think><answer>Target ID: 4, Time range: 10.00 to 16.99</answer>`` (arXiv 2602.11730,
released code). The last answer block counts, ``to`` or ``and`` joins the times, several numbers may
stand in a list (ours, for queries on several objects).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from stvg.text.answers import answer_part
from stvg.text.constrain import Position, Vocabulary
from stvg.text.numbered.base import Numbered
from stvg.text.view import View
from stvg.types import Interval

_NUMBER = r"\d{1,9}(?!\d)"
_NEXT = rf"\s*(?:,\s*and\b|,|and\b)\s*{_NUMBER}(?!\.\d)"
_NUMBERS = re.compile(rf"target\s+ids?\s*:?\s*({_NUMBER}(?:{_NEXT})*)", re.I)
_TIME = r"(\d{1,9}(?:\.\d{1,9})?)\s*s?"
_RANGE = re.compile(rf"time\s+range\s*:?\s*{_TIME}\s*(?:to|and)\s*{_TIME}", re.I)


class Grammar(Numbered):
    """Thinking and seconds, as the paper writes it."""

    name = "r1"
    looks_like = "<answer>Target ID: n, Time range: a to b</answer>"

    def render(self, numbers: Sequence[int], interval: Interval, view: View) -> str:
        """See :class:`Numbered`; the thinking says the same in words."""
        del view
        named = ", ".join(str(number) for number in numbers)
        start, end = f"{interval.start_s:.2f}", f"{interval.end_s:.2f}"
        return (
            f"<think>It happens from {start} to {end}. It is about ID {named}.</think>\n"
            f"<answer>Target ID: {named}, Time range: {start} to {end}</answer>"
        )

    def read(
        self, text: str, view: View
    ) -> tuple[Sequence[int], tuple[float, float] | None, tuple[str, ...]]:
        """See :class:`Numbered`."""
        del view
        answer = answer_part(text)
        if answer is None:
            return (), None, ()
        named, span = _NUMBERS.findall(answer), _RANGE.findall(answer)
        numbers = [int(number) for number in re.findall(r"\d+", named[-1])] if named else []
        told = () if "<answer>" in text else ("there is no answer block",)
        return numbers, (float(span[-1][0]), float(span[-1][1])) if span else None, told

    def instruction(self, view: View) -> str:
        """See :class:`Numbered`."""
        return (
            f"{_introduction(view)}"
            "1. From when to when does it happen?\n"
            "2. Which ID has the person or thing that the sentence asks for or begins with?\n"
            "Think first, between <think> and </think>, about times (seconds with two decimals) "
            "and about the ID. Then answer in exactly this form:\n"
            "<answer>Target ID: 2, Time range: 3.50 to 7.25</answer>"
        )

    def instruction_for_all(self, view: View) -> str:
        """See :class:`Numbered`; several numbers may be named."""
        return (
            f"{_introduction(view)}"
            "1. Which IDs have the persons or things that the sentence describes? There may be "
            "one or several; name all of them.\n"
            "2. From when to when does it happen?\n"
            "Think first, between <think> and </think>, about the IDs and about times (seconds "
            "with two decimals). Then answer in exactly this form:\n"
            "<answer>Target ID: 1, 3, 7, Time range: 3.50 to 7.25</answer>"
        )

    def grammar(
        self, view: View, vocabulary: Vocabulary, numbers: Sequence[int]
    ) -> Position | None:
        """Nothing: what is thought is free."""
        del view, vocabulary, numbers
        return None


def _introduction(view: View) -> str:
    """What the numbers are and how long the video is."""
    return (
        "Every object in the video carries a red number in its middle, its ID, which stays with "
        f"it. The video lasts {view.end_s:.2f} seconds. Answer two questions:\n"
    )

"""What an answer in text means: the values that parsing goes through and gives.

A :class:`Reading` is what a text says, a :class:`Parsed` what could be made of it; between them
stands :func:`stvg.text.mending.mend`, the same for all grammars.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from stvg.types import Interval, Tube


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer was written, whatever it means; what rewards for form are paid for.

    Attributes:
        fault: What is not in the form of the grammar, in words; None when all is.
        lacks: What of the grammar is not there at all, in words; None when all is.
        steps_s: Times of the boxes that the answer's interval asks for, seconds, ascending.
        unmatched: Why the boxes are not exactly one for each of these, in words; None when they
            are.
    """

    fault: str | None = None
    lacks: str | None = None
    steps_s: tuple[float, ...] = ()
    unmatched: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """What could be made of an answer.

    Attributes:
        tube: Times in seconds, boxes in pixels of the original frame and inside it; None when
            there is no box to use. Steps without a box are simply absent.
        interval: When; that of the tube, or what could be read where there is no tube.
        repairs: Everything that was forgiven, in words.
        problem: Why there is no tube; None exactly when there is one.
        form: How it was written.
        draft: The boxes that were written first, for a grammar with drafts (then also where they
            are missing, with the problem); None for all others.
    """

    tube: Tube | None
    interval: Interval | None
    repairs: tuple[str, ...] = ()
    problem: str | None = None
    form: Form = Form()
    draft: Parsed | None = None

    def or_draft(self) -> Parsed:
        """The answer itself, or its draft where only that has a tube; then ``repairs`` says so."""
        if self.tube is not None or self.draft is None or self.draft.tube is None:
            return self
        told = f"took the draft for the answer: {self.problem}"
        return replace(self.draft, repairs=(*self.repairs, *self.draft.repairs, told))


@dataclass(frozen=True, slots=True)
class WrittenBox:
    """One box as it stands in an answer.

    Attributes:
        xyxy: Pixels of the original frame, perhaps reversed, outside or not finite; None when
            there were not four numbers.
        time_s: Seconds, or None when it names none.
        step: Number of the step that it is for, instead of a time.
    """

    xyxy: tuple[float, float, float, float] | None
    time_s: float | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says, nothing about it mended yet.

    Attributes:
        span_s: Start and end in seconds as written, perhaps reversed or not finite; None when
            there are none.
        boxes: In the order of the text.
        repairs: What the reading itself had to forgive, in words.
        is_cut: Whether the text ends in the middle.
        time_unit_s: Smallest difference between times that the grammar writes; times that differ
            by less mean the same border or step.
    """

    span_s: tuple[float, float] | None
    boxes: tuple[WrittenBox, ...] = ()
    repairs: tuple[str, ...] = ()
    is_cut: bool = False
    time_unit_s: float = 0.0


def answer_part(text: str) -> str | None:
    """The text without what a model thought first.

    Returns:
        What follows the last ``</think>``, and of that the last ``<answer>`` block where there is
        one; None when thinking was begun and not ended.

    Example:
        >>> answer_part("<think>two dogs</think> <answer>the left one</answer>")
        'the left one'
    """
    _, _, after = text.rpartition("</think>")
    if "<think>" in after:
        return None
    blocks: list[str] = re.findall(r"<answer>(.*?)(?:</answer>|\Z)", after, re.DOTALL)
    return blocks[-1] if blocks else after


def shortened(text: str, most: int = 60) -> str:
    """The beginning of a text on one line, at most this many characters and an ellipsis."""
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most else f"{line[:most]}..."

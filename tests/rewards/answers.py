"""Answers and targets for tests of rewards; boxes in percent of a frame of 100 x 100 pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stvg.rewards import Answer, Target
from stvg.text import Parsed, View
from stvg.text.answers import Form
from stvg.types import Interval, Tube

SIZE = (100, 100)
VIEW = View(np.arange(8) + 0.5, np.arange(9.0), SIZE, SIZE, 2)
TRUE = [30.0, 20.0, 60.0, 90.0]


def tube(start_s: float, end_s: float, box: Sequence[float] = TRUE) -> Tube:
    """The same box all the time, written once at the start."""
    return Tube(Interval(start_s, end_s), [start_s], [box])


def target(*tubes: Tube) -> Target:
    return Target(tubes, SIZE)


def listed(
    start_s: float, end_s: float, boxes: dict[float, Sequence[float]], steps: Sequence[float]
) -> Parsed:
    """An answer with boxes at some of its steps."""
    interval = Interval(start_s, end_s)
    missing = [step for step in steps if step not in boxes]
    form = Form(None, None, tuple(steps), f"{len(missing)} missing" if missing else None)
    if not boxes:
        return Parsed(None, interval, problem="there is no box", form=form)
    return Parsed(Tube(interval, list(boxes), list(boxes.values())), interval, form=form)


def drafted(draft: Parsed, final: Parsed) -> Answer:
    """An answer in a grammar with drafts."""
    parsed = Parsed(final.tube, final.interval, (), final.problem, final.form, draft)
    return Answer("", parsed)

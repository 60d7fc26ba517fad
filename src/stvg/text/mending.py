"""From what an answer says to a tube that can be used, telling everything that was forgiven.

What is mended: a reversed, empty or overhanging interval, an interval that is missing while boxes
have times, boxes without times, reversed corners, coordinates outside the frame. What is left out:
boxes that are not four finite numbers, have no area in the frame, lie outside the interval or come
second for a time. What is not invented: boxes for steps that have none.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from stvg.geometry.boxes import clip_boxes
from stvg.types import Interval, Tube

from .answers import Form, Parsed, Reading, WrittenBox
from .view import View

_ROUNDING = 1e-6
"""Pixels and seconds that sums of floats may be off by."""


def mend(reading: Reading, view: View) -> Parsed:
    """The tube of an answer.

    Args:
        reading: What the answer says; it has a span or a box.
        view: How the model saw the clip.

    Returns:
        The tube, or the interval alone with the reason; ``repairs`` begins with those of
        ``reading``.
    """
    repairs = list(reading.repairs)
    if reading.is_cut:
        whole = sum(box.xyxy is not None for box in reading.boxes)
        repairs.append(f"answer cut off after {_count(whole, 'box')}")
    fault = "; ".join(repairs) or None
    interval, problem = _interval_of(reading, view, repairs)
    if interval is None:
        return Parsed(None, None, tuple(repairs), problem, Form(fault))
    mender = _BoxMender(view, interval, reading.time_unit_s / 2 + _ROUNDING)
    rows = mender.rows(reading.boxes)
    repairs += mender.told()
    count = len(reading.boxes)
    form = mender.form(fault, [time_s for time_s, _ in rows], count)
    if not rows:
        problem = f"none of {_count(count, 'box')} can be used" if count else "there is no box"
        return Parsed(None, interval, tuple(repairs), problem, form)
    repairs += mender.missing([time_s for time_s, _ in rows])
    times_s, boxes = map(np.array, zip(*rows, strict=True))
    tube = Tube(interval, times_s, boxes)
    return Parsed(tube, interval, tuple(repairs), form=form)


def named(numbers: Sequence[int]) -> str:
    """Boxes by their numbers, counted from 1, or how many where there are many.

    Example:
        >>> named([3]), named([3, 5]), named([1, 2, 3, 4, 5])
        ('box 3', 'boxes 3 and 5', '5 boxes')
    """
    if len(numbers) == 1:
        return f"box {numbers[0]}"
    if len(numbers) > 4:
        return f"{len(numbers)} boxes"
    return f"boxes {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _count(count: int, noun: str) -> str:
    """``1 box``, ``3 boxes``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}es"


def _interval_of(
    reading: Reading, view: View, repairs: list[str]
) -> tuple[Interval | None, str | None]:
    """The interval inside the video, or the reason why there is none."""
    if reading.span_s is None or not all(map(math.isfinite, reading.span_s)):
        return _interval_of_boxes(reading, view, repairs)
    start_s, end_s = reading.span_s
    if start_s > end_s:
        start_s, end_s = end_s, start_s
        repairs.append("swapped the ends of the interval")
    tolerance = reading.time_unit_s / 2 + _ROUNDING
    start_s, end_s = (_snapped(time_s, view.borders_s, tolerance) for time_s in (start_s, end_s))
    if end_s < 0 or start_s > view.end_s or start_s == view.end_s < end_s:
        return None, (
            f"the interval {start_s:g} to {end_s:g} s lies outside the video, which lasts "
            f"{view.end_s:g} s"
        )
    if start_s < 0 or end_s > view.end_s:
        start_s, end_s = max(start_s, 0.0), min(end_s, view.end_s)
        repairs.append("cut the interval to the video")
    if start_s == end_s:
        frame = view.frame_at(start_s)
        repairs.append("widened an empty interval to one frame")
        return view.interval(frame, frame + 1), None
    return Interval(start_s, end_s), None


def _interval_of_boxes(
    reading: Reading, view: View, repairs: list[str]
) -> tuple[Interval | None, str | None]:
    """From the first step with a box to the last one."""
    steps = []
    for box in reading.boxes:
        if box.time_s is not None and 0 <= box.time_s <= view.end_s:
            steps.append(view.frame_at(box.time_s) // view.frames_per_step)
        elif box.step is not None and box.step < view.steps:
            steps.append(box.step)
    if not steps:
        return None, "there is no interval, and no box with a time in the video"
    repairs.append("no whole interval: taken from the times of the boxes")
    first, last = view.step_frames(min(steps)), view.step_frames(max(steps))
    return view.interval(first.start, last.stop), None


def _snapped(time_s: float, to_s: ArrayLike, tolerance_s: float) -> float:
    """The nearest of the times ``to_s`` where it is near enough, else the time itself."""
    array = np.asarray(to_s, np.float64)
    if len(array):
        nearest = float(array[np.abs(array - time_s).argmin()])
        if abs(nearest - time_s) <= tolerance_s:
            return nearest
    return time_s


@dataclass(slots=True, eq=False)
class _BoxMender:
    """Mends the boxes of one answer and remembers what it did to which.

    Attributes:
        view: How the model saw the clip.
        interval: The answer's.
        tolerance_s: Times this near mean the same.
        is_one_for_all: Whether a single box without a time was taken for the whole interval.
    """

    view: View
    interval: Interval
    tolerance_s: float
    is_one_for_all: bool = False
    _done: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _other: list[str] = field(default_factory=list)
    _own_s: dict[int, float] = field(default_factory=dict)  # time of the box of each step touched

    def __post_init__(self) -> None:
        first, end = self.view.frames_in(self.interval)
        if first < end:
            steps = self.view.steps_touched(first, end)
            self._own_s = {step: self.view.box_time_s(step, first, end) for step in steps}

    def rows(self, boxes: Sequence[WrittenBox]) -> list[tuple[float, list[float]]]:
        """Times, increasing, and boxes, inside the frame and with an area."""
        rows: dict[float, list[float]] = {}
        for number, (box, time_s) in enumerate(self._with_times(boxes), start=1):
            xyxy = self._mended(number, box)
            if xyxy is None:
                continue
            place_s = self._place(number, box, time_s)
            if place_s is None:
                self._done["left out {}, outside the interval"].append(number)
            elif place_s in rows:
                self._done["left out {}, not the first for its time"].append(number)
            else:
                rows[place_s] = xyxy
        return sorted(rows.items())

    def told(self) -> list[str]:
        """What was done, in words."""
        return [*self._other, *(text.format(named(to)) for text, to in self._done.items())]

    def missing(self, times_s: Sequence[float]) -> list[str]:
        """Says how many steps of the interval have no box."""
        have = {self.view.frame_at(time_s) // self.view.frames_per_step for time_s in times_s}
        count = len(self._own_s.keys() - have)
        if not count or self.is_one_for_all:
            return []
        return [f"no box for {count} of {len(self._own_s)} steps"]

    def form(self, fault: str | None, times_s: Sequence[float], written: int) -> Form:
        """How the answer was written, of whose ``written`` boxes those at ``times_s`` remain."""
        unmatched = [*self._other, *self.missing(times_s)]
        if written > len(times_s):
            unmatched.append(f"{written - len(times_s)} of {_count(written, 'box')} left out")
        return Form(fault, None, tuple(self._own_s.values()), "; ".join(unmatched) or None)

    def _with_times(self, boxes: Sequence[WrittenBox]) -> list[tuple[WrittenBox, float | None]]:
        """Each box with its time; where no box has one, times spread over the interval."""
        if any(box.time_s is not None or box.step is not None for box in boxes):
            return [(box, box.time_s) for box in boxes]
        own, length_s = list(self._own_s.values()), self.interval.duration_s
        if len(boxes) == 1:
            self.is_one_for_all = True
            self._other.append("one box without a time taken for the whole interval")
        elif boxes:
            self._other.append(f"{len(boxes)} boxes without times spread over the interval")
        if len(boxes) == len(own):
            return list(zip(boxes, own, strict=True))
        return [
            (box, self.interval.start_s + (number + 0.5) * length_s / len(boxes))
            for number, box in enumerate(boxes)
        ]

    def _mended(self, number: int, box: WrittenBox) -> list[float] | None:
        """Corners in order and inside the frame, or None."""
        if box.xyxy is None or not all(map(math.isfinite, box.xyxy)):
            self._done["left out {}, not four finite numbers"].append(number)
            return None
        x1, y1, x2, y2 = box.xyxy
        if x1 > x2 or y1 > y2:
            self._done["swapped corners in {}"].append(number)
        ordered = np.array([[min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]])
        clipped = clip_boxes(ordered, *self.view.size)[0]
        if (clipped[2:] <= clipped[:2]).any():
            self._done["left out {}, no area in the frame"].append(number)
            return None
        if np.abs(clipped - ordered[0]).max() > _ROUNDING:
            self._done["clipped {} to the frame"].append(number)
        corners: list[float] = clipped.tolist()
        return corners

    def _place(self, number: int, box: WrittenBox, time_s: float | None) -> float | None:
        """Where in the interval a box belongs, in seconds, or None."""
        if box.step is not None:
            return self._own_s.get(box.step)
        if time_s is None or not math.isfinite(time_s):
            return None
        time_s = _snapped(time_s, list(self._own_s.values()), self.tolerance_s)
        if time_s in self.interval:
            return time_s
        if 0 <= time_s - self.interval.end_s <= self.tolerance_s:
            self._done["moved {} from the end of the interval into it"].append(number)
            return max(self._own_s.values(), default=self.interval.start_s)
        if not 0 <= time_s <= self.view.end_s:
            return None
        return self._own_s.get(self.view.frame_at(time_s) // self.view.frames_per_step)

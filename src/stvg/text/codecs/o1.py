"""The grammar of STVG-o1: an interval, a draft of the boxes, then the boxes.

``<time>5 - 7</time>``, ``<think_bbox>5.[405, 62, 561, 237], 6.[...], 7.[...]</think_bbox>``,
``<pred_bbox>...</pred_bbox>``: three blocks on three lines (arXiv 2511.21375, method and
overview figure). The draft is the whole chain of thought. Both lists have a box for every step of
the interval, both ends included.

What the paper leaves open, and what is ours here: steps are whole seconds, for videos of more than
30 s every second, third, ... one, so that no list is longer than 31; ``a - b`` means from step a to
step b, ``a - a`` the time that is nearest to step a; the last step is the end of the video;
coordinates are thousandths of the frame's sides, 0 to 1000. :mod:`stvg.text.drafted`
finds the blocks, for this spelling and the compact one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from stvg.geometry.boxes import interpolate_boxes
from stvg.geometry.intervals import interval_iou
from stvg.text.answers import Reading, WrittenBox
from stvg.text.constrain import Choice, Literal, Position, Vocabulary, begin
from stvg.text.drafted import Blocks, Drafted, Lists, lacking
from stvg.text.mending import mend
from stvg.text.units import Units
from stvg.text.view import View
from stvg.types import FloatArray, Tube

_MOST_STEPS = 30
_THOUSANDTHS = Units(1000, 1000, 1000, 1000)
_NUMBER = re.compile(
    r"[-+]?(?:\d++\.?\d*+|\.\d++)(?:e[-+]?\d++)?+|\b(?:nan|inf|infinity)\b", re.IGNORECASE
)
_TIME = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_BRACKETS = re.compile(r"\[([^\[\]]*+)(\]?)")
_BOX = r"\s*+\d++\.\s*+\[" + r",\s*+".join([r"\s*+\d++\s*+"] * 4) + r"\]\s*+"
_LIST = f"{_BOX}(?:,{_BOX})*+"
_NO_STEP = 10**9
_NO_INTERVAL = "no interval: taken from the boxes"


class Codec(Drafted):
    """Whole seconds and thousandths, as the paper writes it."""

    name = "o1"
    looks_like = "<time>, <think_bbox> and <pred_bbox>"
    tags = ("time", "think_bbox", "pred_bbox")
    pattern = re.compile(
        rf"<time>\s*+\d++\s*+-\s*+\d++\s*+</time>\s*+<think[_ ]bbox>{_LIST}</think[_ ]bbox>\s*+"
        rf"<pred[_ ]bbox>{_LIST}</pred[_ ]bbox>"
    )

    def render(self, tube: Tube, view: View, draft: Tube | None = None) -> str:
        """See :meth:`Drafted.render`."""
        grid = _Grid.of(view)
        first, last = grid.nearest(tube)
        steps = range(first, last + 1)
        seen = grid.view(first, last)
        times = [seen.box_time_s(step, first, last + 1) for step in steps]
        lists = []
        for each in (draft or tube, tube):
            boxes = interpolate_boxes(each.times_s, each.boxes, times)
            rows = zip(steps, _THOUSANDTHS.write(boxes, view.size).tolist(), strict=True)
            lists.append(", ".join(f"{grid.label(step)}.{box}" for step, box in rows))
        return (
            f"<time>{grid.label(first)} - {grid.label(last)}</time>\n"
            f"<think_bbox>{lists[0]}</think_bbox>\n<pred_bbox>{lists[1]}</pred_bbox>"
        )

    def read(self, text: str, view: View) -> Reading:
        """The interval and the final boxes alone; see :meth:`Drafted.read`."""
        blocks = self.blocks(text)
        reading = _entries(blocks.parts[2] or "", view, is_cut=blocks.cut == 2)
        return replace(reading, span_s=_span(blocks.parts[0] or ""))

    def read_lists(self, blocks: Blocks, view: View) -> Lists | None:
        """See :meth:`Drafted.read_lists`."""
        span = _span(blocks.parts[0] or "")
        draft, final = (
            _entries(blocks.parts[number] or "", view, is_cut=blocks.cut == number)
            for number in (1, 2)
        )
        lacks = lacking(interval=span is not None, draft=bool(draft.boxes), boxes=bool(final.boxes))
        grid, told = _Grid.of(view), []
        if span is None:
            steps = [box.step for box in final.boxes or draft.boxes if box.step is not None]
            known = [float(step * grid.step_s) for step in steps if step <= grid.last]
            if not known:
                return None
            span, told = (min(known), max(known)), [_NO_INTERVAL]
        seen, span_s = grid.answer(span)
        parsed = [
            mend(replace(each, span_s=span_s, repairs=(*told, *each.repairs)), seen)
            for each in (draft, final)
        ]
        return Lists(parsed[0], parsed[1], lacks)

    def instruction(self, view: View) -> str:
        """See :meth:`Drafted.instruction`."""
        grid = _Grid.of(view)
        last = grid.label(grid.last)
        every = "every second" if grid.step_s == 1 else f"every {grid.step_s} seconds"
        example = "i.[x1, y1, x2, y2], ..."
        return (
            f"1. Choose the seconds, from 0 to {last}, in steps of {grid.step_s}, between which it "
            "happens.\n"
            f"2. Write a draft: a box around that person or thing for {every} from the first to "
            "the last, both included, with its second i in front.\n"
            "3. Compare the draft with the frames and write the corrected boxes for the same "
            "seconds.\n"
            "x1, y1 is the left top corner and x2, y2 the right bottom corner, in thousandths of "
            "the width and height of the frame, whole numbers from 0 to 1000. Answer in exactly "
            "this form and with nothing else:\n"
            "<time>first - last</time>\n"
            f"<think_bbox>{example}</think_bbox>\n<pred_bbox>{example}</pred_bbox>"
        )

    def grammar(self, view: View, vocabulary: Vocabulary) -> Position:
        """See :meth:`Drafted.grammar`."""
        grid = _Grid.of(view)
        labels = tuple(grid.label(step) for step in range(grid.last + 1))

        def slot(taken: tuple[str, ...]) -> Literal | Choice | None:
            count = len(taken)
            if count < 2:
                return (Literal("<time>"), Choice(labels))[count]
            first = labels.index(taken[1])
            if count < 4:
                return (Literal(" - "), Choice(labels[first:]))[count - 2]
            steps = range(first, labels.index(taken[3]) + 1)
            row, place = divmod(count - 4, 8)  # a row: text in front, x1, ", ", y1, ...
            if place == 0:
                return _before(row, steps, labels)
            if row == 2 * len(steps):
                return None
            if place % 2 == 0:
                return Literal(", ")
            earlier = [int(text) for text in taken[count - place + 1 :: 2]]
            choices = _THOUSANDTHS.choices(earlier)
            return Choice(_number_texts()[choices.start : choices.stop])

        return begin(slot, vocabulary)


def _before(row: int, steps: range, labels: Sequence[str]) -> Literal:
    """The text in front of a row of the draft and the boxes after it, or behind the last one."""
    count = len(steps)
    if row == 2 * count:
        return Literal("]</pred_bbox>")
    front = {0: "</time>\n<think_bbox>", count: "]</think_bbox>\n<pred_bbox>"}.get(row, "], ")
    return Literal(f"{front}{labels[steps[row % count]]}.[")


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """The steps of a video.

    Attributes:
        seen: How the model saw the clip.
        step_s: Seconds from step to step, a whole number.
        times_s: Time of each step, (K + 1,); the last one is the end of the video.
    """

    seen: View
    step_s: int
    times_s: FloatArray

    @classmethod
    def of(cls, view: View) -> _Grid:
        """At least two steps."""
        step_s = max(1, math.ceil(view.end_s / _MOST_STEPS))
        last = max(1, math.ceil(view.end_s / step_s - 0.5))
        times: FloatArray = np.arange(last + 1, dtype=np.float64) * step_s
        times[last] = view.end_s
        return cls(view, step_s, times)

    @property
    def last(self) -> int:
        """Number of the last step."""
        return len(self.times_s) - 1

    def label(self, step: int) -> str:
        """How a step is written: its seconds."""
        return str(step * self.step_s)

    def view(self, first: int, last: int) -> View:
        """The video as a view of one frame a step, in which ``first - last`` is an interval.

        A box of the last step stands for the moment before the interval ends, because intervals
        do not hold their end.
        """
        times = self.times_s.copy()
        middles = (times[:-1] + times[1:]) / 2
        borders = np.concatenate([[0.0], middles, [times[-1]]])
        if first < last:
            borders[first], borders[last + 1] = times[first], times[last]
        for step in {self.last, last if first < last else self.last}:
            times[step] -= 1e-3 * (times[step] - times[step - 1])
        return View(times, borders, self.seen.size, self.seen.model_size, 1)

    def nearest(self, tube: Tube) -> tuple[int, int]:
        """First and last step of the answer that comes nearest to a tube in time."""
        start_s, end_s = tube.interval.start_s, tube.interval.end_s
        first, middle, last = (
            int(np.abs(self.times_s - time_s).argmin())
            for time_s in (start_s, (start_s + end_s) / 2, end_s)
        )
        return max(
            ((first, last), (middle, middle)),
            key=lambda steps: interval_iou(
                self.view(*steps).interval(steps[0], steps[1] + 1), tube.interval
            ),
        )

    def answer(self, span: tuple[float, float]) -> tuple[View, tuple[float, float]]:
        """The view of an answer, and its interval in seconds.

        Args:
            span: As written, perhaps reversed. What is no step goes to the nearest one; what lies
                behind the video stays there.
        """
        found = [math.floor(time_s / self.step_s + 0.5) for time_s in span]
        first, last = sorted(min(step, self.last) for step in found)
        seen = self.view(first, last)
        if first == last and max(found) <= self.last:
            interval = seen.interval(first, last + 1)
            return seen, (interval.start_s, interval.end_s)
        start_s, end_s = (
            float(self.times_s[step]) if step <= self.last else time_s
            for step, time_s in zip(found, span, strict=True)
        )
        return seen, (start_s, end_s)


def _span(text: str) -> tuple[float, float] | None:
    """The last two times of a text, in seconds."""
    found = _TIME.findall(text)
    return (float(found[-2]), float(found[-1])) if len(found) > 1 else None


def _entries(text: str, view: View, *, is_cut: bool) -> Reading:
    """The boxes of a list; of one that is cut only those that are closed."""
    step_s = _Grid.of(view).step_s
    boxes: list[WrittenBox] = []
    rest: list[str] = []
    before = 0
    for found in _BRACKETS.finditer(text):
        if is_cut and not found[2] and found.end() == len(text):
            break
        front = text[before : found.start()].rstrip().rstrip(".:")
        before = found.end()
        label = re.search(r"\d{1,9}(?:\.\d{1,9})?\s?$", front[-24:])
        rest.append(front[: len(front) - len(label.group())] if label else front)
        boxes.append(_box(found[1], None if label is None else float(label.group()) / step_s, view))
    rest.append("" if is_cut else text[before:])
    repairs = ("ignored text between the boxes",) if re.search(r"\w", " ".join(rest)) else ()
    return Reading(None, tuple(boxes), repairs, is_cut)


def _box(text: str, step: float | None, view: View) -> WrittenBox:
    """The box between two brackets; a label that is no step belongs to none."""
    number = None
    if step is not None:
        number = int(step) if step == int(step) else _NO_STEP
    numbers = [float(number) for number in _NUMBER.findall(text)]
    if len(numbers) != 4:
        return WrittenBox(None, step=number)
    x1, y1, x2, y2 = _THOUSANDTHS.read(numbers, view.size).tolist()
    return WrittenBox((x1, y1, x2, y2), step=number)


@cache
def _number_texts() -> tuple[str, ...]:
    """0 to 1000."""
    return tuple(str(number) for number in range(1001))

"""The grammar of STVG-o1 in few tokens, for models that we train.

``<time> <t_2> <t_6> </time> <think> <t_2> 10 20 30 40 ... </think> <box> <t_2> ... </box>``: the
three blocks of :mod:`stvg.text.codecs.o1` with frame numbers and percent as in
:mod:`stvg.text.codecs.compact`, which also reads what stands in the blocks. In a vocabulary with
one token for each tag, each ``<t_i>`` and each of 0 to 100, a box of either list is five tokens, of
which the first is known, and the blocks cost six, all known.
"""

from __future__ import annotations

import re
from functools import cache

from stvg.geometry.boxes import interpolate_boxes
from stvg.text.answers import Parsed, Reading
from stvg.text.codec import boxes_by_step
from stvg.text.codecs.compact import Codec as Compact
from stvg.text.constrain import Choice, Literal, Position, Vocabulary, begin
from stvg.text.drafted import Blocks, Drafted, Lists, lacking
from stvg.text.mending import mend
from stvg.text.units import Units
from stvg.text.view import View
from stvg.types import Tube

_PERCENT = Units(100, 100, 100, 100)
_LIST = r"(?:\s*+<t_\d++>(?:\s++\d++){4})++\s*+"
_COMPACT = Compact()


class Codec(Drafted):
    """Frame numbers and percent."""

    name = "o1_compact"
    looks_like = "<time>, <think> and <box>"
    tags = ("time", "think", "box")
    pattern = re.compile(
        rf"<time>\s*+<t_\d++>\s*+<t_\d++>\s*+</time>\s*+<think>{_LIST}</think>\s*+"
        rf"<box>{_LIST}</box>"
    )

    def render(self, tube: Tube, view: View, draft: Tube | None = None) -> str:
        """See :meth:`Drafted.render`."""
        first, end, times, boxes = boxes_by_step(tube, view)
        drafted = boxes
        if draft is not None:
            drafted = interpolate_boxes(draft.times_s, draft.boxes, times)
        steps = view.steps_touched(first, end)
        lists = []
        for each in (drafted, boxes):
            rows = zip(steps, _PERCENT.write(each, view.size).tolist(), strict=True)
            lists.append(
                " ".join(
                    f"<t_{view.step_frames(step).start}> {x1} {y1} {x2} {y2}"
                    for step, (x1, y1, x2, y2) in rows
                )
            )
        return (
            f"<time> <t_{first}> <t_{end}> </time> <think> {lists[0]} </think> "
            f"<box> {lists[1]} </box>"
        )

    def read(self, text: str, view: View) -> Reading:
        """The interval and the final boxes alone; see :meth:`Drafted.read`."""
        blocks = self.blocks(text)
        return _reading(blocks, 2, view)

    def read_lists(self, blocks: Blocks, view: View) -> Lists | None:
        """See :meth:`Drafted.read_lists`."""
        draft, final = (_reading(blocks, number, view) for number in (1, 2))
        has_span = _reading(blocks, 0, view).span_s is not None
        lacks = lacking(interval=has_span, draft=bool(draft.boxes), boxes=bool(final.boxes))
        if not (has_span or draft.boxes or final.boxes):
            return None
        return Lists(_mended(draft, view), _mended(final, view), lacks)

    def instruction(self, view: View) -> str:
        """Nothing: models are trained to write it."""
        del view
        return ""

    def grammar(self, view: View, vocabulary: Vocabulary) -> Position:
        """See :meth:`Drafted.grammar`."""
        marks = tuple(f" <t_{number}>" for number in range(len(view) + 1))

        def slot(taken: tuple[str, ...]) -> Literal | Choice | None:
            if len(taken) < 2:
                return (Literal("<time>"), Choice(marks[:-1]))[len(taken)]
            first = marks.index(taken[1])
            if len(taken) == 2:
                return Choice(marks[first + 1 :])
            steps = view.steps_touched(first, marks.index(taken[2]))
            row, place = divmod(len(taken) - 3, 5)
            if place == 0:
                return _before(row, [marks[view.step_frames(step).start] for step in steps])
            if row == 2 * len(steps):
                return None
            earlier = [int(text) for text in taken[len(taken) - place + 1 :]]
            choices = _PERCENT.choices(earlier)
            return Choice(_number_texts()[choices.start : choices.stop])

        return begin(slot, vocabulary)


def _before(row: int, marks: list[str]) -> Literal:
    """The text in front of a row of the draft and the boxes after it, or behind the last one."""
    count = len(marks)
    if row == 2 * count:
        return Literal(" </box>")
    front = {0: " </time> <think>", count: " </think> <box>"}.get(row, "")
    return Literal(f"{front}{marks[row % count]}")


def _reading(blocks: Blocks, number: int, view: View) -> Reading:
    """What the interval and one of the lists say (the interval alone for number 0)."""
    span, boxes = blocks.parts[0] or "", (blocks.parts[number] or "") if number else ""
    return _COMPACT.read(f"{span} : {boxes}", view)


def _mended(reading: Reading, view: View) -> Parsed:
    """The list of a reading, also where it says nothing at all."""
    if reading.span_s is None and not reading.boxes:
        return Parsed(None, None, reading.repairs, "there is no box")
    return mend(reading, view)


@cache
def _number_texts() -> tuple[str, ...]:
    """0 to 100 with a space in front."""
    return tuple(f" {number}" for number in range(101))

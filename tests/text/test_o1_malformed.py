"""What models make of STVG-o1's grammar: a table of answers, and what each is taken to mean.

Eight frames a second apart, from 0.5 to 7.5 s, two a step, in a video of 8 s. ``o1`` has the steps
0 to 8 (seconds), ``o1_compact`` the steps of two frames at 1, 3, 5 and 7 s. The frame has 200 x 100
pixels; A and B are boxes in it, a, b and p, q how the two spellings write them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pytest

from stvg.text import Parsed, View, find_codec

VIEW = View(np.arange(8) + 0.5, np.arange(9.0), (200, 100), (100, 50), 2)
A, B = (20, 20, 60, 40), (40, 20, 80, 60)
a, b = "[100, 200, 300, 400]", "[200, 200, 400, 600]"
p, q = "10 20 30 40", "20 20 40 60"
DRAFT = f"<think_bbox>2.{a}, 3.{b}</think_bbox>"
BOXES = f"<pred_bbox>2.{a}, 3.{b}</pred_bbox>"
BOTH = {2: A, 3: B}
NOT_OF_FORM = "signs that are not of the form"
REPEATED = "blocks repeated or in another order"
AROUND = "ignored text around the answer"
BETWEEN = "ignored text between the boxes"
NO_INTERVAL = "no interval: taken from the boxes"


@dataclass(frozen=True)
class Case:
    """An answer and its meaning.

    Attributes:
        text: The answer.
        interval: Start and end in seconds, or None.
        draft: Boxes of the draft by the nearest whole second.
        boxes: Final boxes likewise.
        fault: ``form.fault``.
        lacks: ``form.lacks``.
        repairs: Of the final boxes.
        problem: Beginning of the problem, or None.
    """

    text: str
    interval: tuple[float, float] | None
    draft: dict[int, tuple[float, ...]]
    boxes: dict[int, tuple[float, ...]]
    fault: str | None = None
    lacks: str | None = None
    repairs: tuple[str, ...] = ()
    problem: str | None = None


PAPER = [
    # as it should be; on one line, with the spaces of the running text
    Case(f"<time>2 - 3</time>\n{DRAFT}\n{BOXES}", (2, 3), BOTH, BOTH),
    Case(f"<time> 2-3 </time><think bbox> 2. {a},3. {b} </think bbox> <pred bbox>2.{a} , 3.{b}"
         "</pred bbox> \n", (2, 3), BOTH, BOTH),
    # nothing; words
    Case("", None, {}, {}, None, None, (), "the answer is empty"),
    Case("I see no dog.", None, {}, {}, None, None, (AROUND,),
         "expected <time>, <think_bbox> and <pred_bbox>, found 'I see"),
    # prose around the blocks; a thought of the usual kind in front
    Case(f"Sure! <time>2 - 3</time>{DRAFT}{BOXES} Done.", (2, 3), BOTH, BOTH, AROUND, None,
         (AROUND,)),
    Case(f"<think>at 1 - 9?</think><time>2 - 3</time>{DRAFT}{BOXES}", (2, 3), BOTH, BOTH, AROUND,
         None, (AROUND,)),
    # capitals and spaces in tags
    Case(f"<Time>2 - 3< /time >{DRAFT}{BOXES}", (2, 3), BOTH, BOTH, NOT_OF_FORM),
    # another order
    Case(f"{DRAFT}{BOXES}<time>2 - 3</time>", (2, 3), BOTH, BOTH, REPEATED, None, (REPEATED,)),
    # two answers: the last block of each kind
    Case(f"<time>5 - 6</time>{DRAFT}<time>2 - 3</time>{DRAFT}{BOXES}", (2, 3), BOTH, BOTH,
         REPEATED, None, (REPEATED,)),
    # the interval in other words, with units, with decimals
    Case(f"<time>from 2s to 3s</time>{DRAFT}{BOXES}", (2, 3), BOTH, BOTH, NOT_OF_FORM),
    Case(f"<time>2.0 - 3.2</time>{DRAFT}{BOXES}", (2, 3), BOTH, BOTH, NOT_OF_FORM),
    # ends swapped
    Case(f"<time>3 - 2</time>{DRAFT}{BOXES}", (2, 3), BOTH, BOTH, None, None,
         ("swapped the ends of the interval",)),
    # the same second twice
    Case(f"<time>2 - 2</time><think_bbox>2.{a}</think_bbox><pred_bbox>2.{b}</pred_bbox>",
         (1.5, 2.5), {2: A}, {2: B}),
    # an interval that goes on behind the video; one that lies behind it
    Case(f"<time>8 - 20</time>{DRAFT}{BOXES}", None, {}, {}, None, None, (),
         "the interval 8 to 20 s lies outside"),
    Case(f"<time>7 - 20</time><think_bbox>7.{a}, 8.{b}</think_bbox><pred_bbox>7.{a}, 8.{b}"
         "</pred_bbox>", (7, 8), {7: A, 8: B}, {7: A, 8: B}, None, None,
         ("cut the interval to the video",)),
    # no interval, half of one: taken from the boxes; nothing to take it from
    Case(f"{DRAFT}{BOXES}", (2, 3), BOTH, BOTH, f"{NO_INTERVAL}; no interval", "no interval",
         (NO_INTERVAL,)),
    Case(f"<time>2</time>{DRAFT}<pred_bbox></pred_bbox>", (2, 3), BOTH, {},
         f"{NO_INTERVAL}; no interval and no boxes", "no interval and no boxes", (NO_INTERVAL,),
         "there is no box"),
    Case("<think_bbox></think_bbox><pred_bbox>[1, 2, 3, 4]</pred_bbox>", None, {}, {}, None, None,
         (), "expected <time>"),
    # no draft; an empty one; no boxes; the interval alone
    Case(f"<time>2 - 3</time>{BOXES}", (2, 3), {}, BOTH, "no draft", "no draft"),
    Case(f"<time>2 - 3</time><think_bbox> </think_bbox>{BOXES}", (2, 3), {}, BOTH, "no draft",
         "no draft"),
    Case(f"<time>2 - 3</time>{DRAFT}", (2, 3), BOTH, {}, "no boxes", "no boxes", (),
         "there is no box"),
    Case("<time>2 - 3</time>", (2, 3), {}, {}, "no draft and no boxes", "no draft and no boxes",
         (), "there is no box"),
    # cut in the draft, in the boxes, in a tag
    Case(f"<time>2 - 3</time><think_bbox>2.{a}, 3.[200, 20", (2, 3), {2: A}, {},
         "<think_bbox> is not closed; answer cut off after 1 box; no boxes", "no boxes",
         ("<think_bbox> is not closed",), "there is no box"),
    Case(f"<time>2 - 3</time>{DRAFT}<pred_bbox>2.{a}, 3.[200, 200, 400, 60", (2, 3), BOTH, {2: A},
         "<pred_bbox> is not closed; answer cut off after 1 box", None,
         ("<pred_bbox> is not closed", "answer cut off after 1 box", "no box for 1 of 2 steps")),
    Case(f"<time>2 - 3</time>{DRAFT}{BOXES[:-3]}", (2, 3), BOTH, BOTH,
         "<pred_bbox> is not closed; answer cut off after 2 boxes", None,
         ("<pred_bbox> is not closed", "answer cut off after 2 boxes")),
    # a tag that is closed by the next one, one that is closed and was never opened
    Case(f"<time>2 - 3{DRAFT}{BOXES}", (2, 3), BOTH, BOTH, "<time> is not closed", None,
         ("<time> is not closed",)),
    Case(f"2 - 3</time>{DRAFT}{BOXES}", (2, 3), BOTH, BOTH,
         f"{AROUND}; {NO_INTERVAL}; no interval", "no interval", (AROUND, NO_INTERVAL)),
    # boxes without numbers in front; colons; brackets missing at the end of one
    Case(f"<time>2 - 3</time><think_bbox>{a}, {b}</think_bbox><pred_bbox>2: {a}; 3: {b}"
         "</pred_bbox>", (2, 3), BOTH, BOTH, NOT_OF_FORM),
    Case(f"<time>2 - 3</time>{DRAFT}<pred_bbox>2.[100, 200, 300, 400, 3.{b}</pred_bbox>", (2, 3),
         BOTH, {}, NOT_OF_FORM, None, ("left out box 1, not four finite numbers",
         "left out box 2, outside the interval"), "none of 2 boxes can be used"),
    # words between boxes
    Case(f"<time>2 - 3</time>{DRAFT}<pred_bbox>the dog 2.{a}, then 3.{b}</pred_bbox>", (2, 3),
         BOTH, BOTH, BETWEEN, None, (BETWEEN,)),
    # a step missing, one too many, one twice, one that is none
    Case(f"<time>2 - 3</time>{DRAFT}<pred_bbox>2.{a}</pred_bbox>", (2, 3), BOTH, {2: A}, None,
         None, ("no box for 1 of 2 steps",)),
    Case(f"<time>2 - 3</time>{DRAFT}<pred_bbox>2.{a}, 3.{b}, 4.{b}</pred_bbox>", (2, 3), BOTH,
         BOTH, None, None, ("left out box 3, outside the interval",)),
    Case(f"<time>2 - 3</time>{DRAFT}<pred_bbox>2.{a}, 2.{b}, 3.{b}</pred_bbox>", (2, 3), BOTH,
         BOTH, None, None, ("left out box 2, not the first for its time",)),
    Case(f"<time>2 - 3</time>{DRAFT}<pred_bbox>2.{a}, 2.5.{b}, 99999999999.{b}</pred_bbox>",
         (2, 3), BOTH, {2: A}, BETWEEN, None,
         (BETWEEN, "left out boxes 2 and 3, outside the interval", "no box for 1 of 2 steps")),
    # corners swapped, a box outside, one without an area, three numbers, no numbers, NaN
    Case(f"<time>2 - 3</time>{DRAFT}<pred_bbox>2.[300, 400, 100, 200], 3.{b}</pred_bbox>", (2, 3),
         BOTH, BOTH, None, None, ("swapped corners in box 1",)),
    Case(f"<time>2 - 3</time>{DRAFT}<pred_bbox>2.[100, 200, 100, 400], 3.[1100, 0, 1200, 9]"
         "</pred_bbox>", (2, 3), BOTH, {}, None, None, ("left out boxes 1 and 2, no area in the "
         "frame",), "none of 2 boxes can be used"),
    Case(f"<time>2 - 3</time>{DRAFT}<pred_bbox>2.[1, 2, 3], 3.[nan, 200, 400, 1e999]</pred_bbox>",
         (2, 3), BOTH, {}, NOT_OF_FORM, None, ("left out boxes 1 and 2, not four finite numbers",),
         "none of 2 boxes can be used"),
]  # fmt: skip

COMPACT = [
    # as it should be
    Case(f"<time> <t_2> <t_6> </time> <think> <t_2> {p} <t_4> {q} </think> <box> <t_2> {q} <t_4> "
         f"{p} </box>", (2, 6), {3: A, 5: B}, {3: B, 5: A}),
    # without spaces around tags; with a comma
    Case(f"<time><t_2> <t_4></time><think><t_2> {p}</think><box><t_2> {q}</box>", (2, 4), {3: A},
         {3: B}),
    Case(f"<time><t_2>, <t_4></time><think><t_2> {p}</think><box><t_2> {q}</box>", (2, 4), {3: A},
         {3: B}, NOT_OF_FORM),
    # nothing; an answer in the grammar without drafts
    Case("  ", None, {}, {}, None, None, (), "the answer is empty"),
    Case(f"<t_2> <t_4> : <t_2> {p}", None, {}, {}, None, None, (AROUND,),
         "expected <time>, <think> and <box>"),
    # no interval; no draft; no boxes
    Case(f"<think> <t_2> {p} </think> <box> <t_2> {q} </box>", (2, 4), {3: A}, {3: B},
         "no interval", "no interval", ("no whole interval: taken from the times of the boxes",)),
    Case(f"<time> <t_2> <t_4> </time> <box> <t_2> {q} </box>", (2, 4), {}, {3: B}, "no draft",
         "no draft"),
    Case(f"<time> <t_2> <t_4> </time> <think> <t_2> {p} </think>", (2, 4), {3: A}, {}, "no boxes",
         "no boxes", (), "there is no box"),
    Case("<time> <t_2> <t_4> </time>", (2, 4), {}, {}, "no draft and no boxes",
         "no draft and no boxes", (), "there is no box"),
    # cut in the draft, in the boxes
    Case(f"<time> <t_2> <t_6> </time> <think> <t_2> {p} <t_4> 20", (2, 6), {3: A}, {},
         "<think> is not closed; answer cut off after 1 box; no boxes", "no boxes",
         ("<think> is not closed",), "there is no box"),
    Case(f"<time> <t_2> <t_4> </time> <think> <t_2> {p} </think> <box> <t_2> {q}", (2, 4), {3: A},
         {3: B}, "<box> is not closed", None, ("<box> is not closed",)),
    # ends swapped, an interval outside
    Case(f"<time> <t_4> <t_2> </time> <think> <t_2> {p} </think> <box> <t_2> {q} </box>", (2, 4),
         {3: A}, {3: B}, None, None, ("swapped the ends of the interval",)),
    Case(f"<time> <t_8> <t_9> </time> <think> <t_2> {p} </think> <box> <t_2> {q} </box>", None,
         {}, {}, None, None, (), "the interval 8 to 9 s lies outside"),
    # a step missing, one too many, three numbers
    Case(f"<time> <t_2> <t_6> </time> <think> <t_2> {p} </think> <box> <t_2> {q} <t_4> {p} <t_6> "
         f"{p} </box>", (2, 6), {3: A}, {3: B, 5: A}, None, None,
         ("left out box 3, outside the interval",)),
    Case(f"<time> <t_2> <t_4> </time> <think> <t_2> 1 2 3 </think> <box> <t_2> {q} </box>", (2, 4),
         {}, {3: B}, "answer cut off after 0 boxes; no draft", "no draft"),
    # a box without an area is one all the same
    Case(f"<time> <t_2> <t_4> </time> <think> <t_2> 5 5 5 5 </think> <box> <t_2> {q} </box>",
         (2, 4), {}, {3: B}),
]  # fmt: skip


def boxes_of(parsed: Parsed) -> dict[int, tuple[float, ...]]:
    if parsed.tube is None:
        return {}
    rows = zip(parsed.tube.times_s, parsed.tube.boxes.tolist(), strict=True)
    return {round(float(time_s)): tuple(box) for time_s, box in rows}


@pytest.mark.parametrize(
    ("name", "case"),
    [("o1", case) for case in PAPER] + [("o1_compact", case) for case in COMPACT],
    ids=lambda value: value if isinstance(value, str) else repr(value.text)[:60],
)
def test_answers(name: str, case: Case) -> None:
    parsed = find_codec(name).parse(case.text, VIEW)
    found = parsed.interval and (parsed.interval.start_s, parsed.interval.end_s)
    assert found == case.interval
    assert parsed.draft is not None
    assert boxes_of(parsed.draft) == case.draft
    assert boxes_of(parsed) == case.boxes
    assert (parsed.form.fault, parsed.form.lacks) == (case.fault, case.lacks)
    assert parsed.repairs == case.repairs
    assert (parsed.problem is None) == (case.problem is None)
    assert (parsed.problem or "").startswith(case.problem or "")


@pytest.mark.parametrize("name", ["o1", "o1_compact"])
@pytest.mark.parametrize(
    "part", ["1", "[", "[1,", "1.[", "<time>", "</time>", "<", " ", "<think", "2.[1, 2, 3, 4], ",
             "<t_1> ", "<box>", "\n"]
)  # fmt: skip
def test_long_texts_take_no_longer_than_they_are(name: str, part: str) -> None:
    body = part * (50_000 // len(part))
    begun = time.process_time()
    for text in (body, f"<time>1 - 2</time><think_bbox>{body}", f"<time><t_1> <t_2><box>{body}"):
        find_codec(name).parse(text, VIEW)
    assert time.process_time() - begun < 3

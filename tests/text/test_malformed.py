"""What models really write: a table of answers, and what each is taken to mean.

All answers speak of eight frames a second apart, from 0.5 to 7.5 s, two a step: borders at 0 to
8 s, steps at 1, 3, 5 and 7 s. The frame has 200 x 100 pixels, the model sees 100 x 50. A and B are
boxes in pixels of the frame; each grammar writes them in its own unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from stvg.text import View, find_codec

VIEW = View(np.arange(8) + 0.5, np.arange(9.0), (200, 100), (100, 50), 2)
A = (20, 20, 60, 40)  # percent 10 20 30 40, model pixels 10 10 30 20, thousandths 100 200 300 400
B = (40, 20, 80, 60)  # percent 20 20 40 60, model pixels 20 10 40 30, thousandths 200 200 400 600
NO_INTERVAL = "no whole interval: taken from the times of the boxes"
PROSE = "ignored text around the answer"
NONE_USED = "none of 1 box can be used"


@dataclass(frozen=True)
class Case:
    """An answer and its meaning.

    Attributes:
        text: The answer.
        interval: Start and end in seconds, or None.
        boxes: Boxes by their time in seconds; empty for no tube.
        repairs: All of them.
        problem: Beginning of the problem, or None.
    """

    text: str
    interval: tuple[float, float] | None
    boxes: dict[float, tuple[float, ...]]
    repairs: tuple[str, ...] = ()
    problem: str | None = None


COMPACT = [
    # as it should be
    Case("<t_2> <t_6> : <t_2> 10 20 30 40 <t_4> 20 20 40 60", (2, 6), {3: A, 5: B}),
    # nothing, and white space
    Case("", None, {}, (), "the answer is empty"),
    Case(" \n\t ", None, {}, (), "the answer is empty"),
    # words only; numbers only; another language
    Case("I cannot see a dog.", None, {}, (), "expected <t_start> <t_end> : and boxes, found 'I c"),
    Case("2 6 10 20 30 40", None, {}, (), "expected <t_start> <t_end> : and boxes, found '2 6"),
    Case("狗在视频里奔跑。", None, {}, (), "expected <t_start> <t_end> : and boxes, found '狗在"),
    # spaces and line breaks too many, spaces too few
    Case("  <t_2>\n<t_6>  :<t_2> 10   20 30 40\n\n<t_4>20 20 40 60 ", (2, 6), {3: A, 5: B}),
    # commas, brackets, percent signs, fractions of a percent
    Case("<t_2> <t_6> : <t_2> [10%, 20%, 30%, 40%], <t_4> (20.0,20.0,40.0,60.0)", (2, 6),
         {3: A, 5: B}),
    # frames written without the underscore, without brackets, with spaces
    Case("<t2> <t6> : <t2> 10 20 30 40 t_4 20 20 40 60", (2, 6), {3: A, 5: B}),
    Case("< t_2 > <t_6 : <T_2> 10 20 30 40 <t_4> 20 20 40 60", (2, 6), {3: A, 5: B}),
    # no colon; a colon behind every frame
    Case("<t_2> <t_6>: <t_2>: 10 20 30 40 <t_4>: 20 20 40 60", (2, 6), {3: A, 5: B}),
    Case("<t_2> <t_6> <t_2> 10 20 30 40 <t_4> 20 20 40 60", (2, 6), {3: A, 5: B}),
    # prose before, with numbers in it; prose behind, with a number in it
    Case("The 2 dogs: <t_2> <t_6> : <t_2> 10 20 30 40 <t_4> 20 20 40 60. It ran 3 times.", (2, 6),
         {3: A, 5: B}, (PROSE,)),
    # thinking, with an answer of its own; thinking whose beginning was in the prompt
    Case("<think><t_0> <t_8> : <t_0> 1 2 3 4?</think><t_2> <t_4> : <t_2> 10 20 30 40", (2, 4),
         {3: A}),
    Case("<t_0> <t_8> hm</think>\n<t_2> <t_4> : <t_2> 10 20 30 40", (2, 4), {3: A}),
    # thinking that does not end
    Case("<think><t_2> <t_4> : <t_2> 10 20 30 40", None, {}, (),
         "the answer ends before its thinking does"),
    # an answer block, left open
    Case("<t_0> <answer><t_2> <t_4> : <t_2> 10 20 30 40", (2, 4), {3: A}),
    # ends of the interval swapped
    Case("<t_6> <t_2> : <t_2> 10 20 30 40 <t_4> 20 20 40 60", (2, 6), {3: A, 5: B},
         ("swapped the ends of the interval",)),
    # an interval without length; at the very end of the video
    Case("<t_2> <t_2> : <t_2> 10 20 30 40", (2, 3), {2.5: A},
         ("widened an empty interval to one frame",)),
    Case("<t_8> <t_8> : <t_6> 10 20 30 40", (7, 8), {7.5: A},
         ("widened an empty interval to one frame",)),
    # an interval that goes on behind the video; one that lies behind it
    Case("<t_6> <t_12> : <t_6> 10 20 30 40", (6, 8), {7: A}, ("cut the interval to the video",)),
    Case("<t_8> <t_9> : <t_8> 10 20 30 40", None, {}, (), "the interval 8 to 9 s lies outside"),
    Case("<t_999999999> <t_1000> : <t_2> 10 20 30 40", None, {},
         ("swapped the ends of the interval",), "the interval 1000 to 1e+09 s lies outside"),
    # an interval alone; half of one
    Case("<t_2> <t_6>", (2, 6), {}, (), "there is no box"),
    Case("<t_2> <t_6> :", (2, 6), {}, (), "there is no box"),
    Case("<t_2> : <t_4> 20 20 40 60", (4, 6), {5: B}, (NO_INTERVAL,)),
    # boxes alone
    Case("<t_2> 10 20 30 40 <t_4> 20 20 40 60", (2, 6), {3: A, 5: B}, (NO_INTERVAL,)),
    # cut behind a whole box, within a box, within a frame number
    Case("<t_2> <t_6> : <t_2> 10 20 30 40", (2, 6), {3: A}, ("no box for 1 of 2 steps",)),
    Case("<t_2> <t_6> : <t_2> 10 20 30 40 <t_4> 20 20", (2, 6), {3: A},
         ("answer cut off after 1 box", "no box for 1 of 2 steps")),
    Case("<t_2> <t_6> : <t_2> 10 20", (2, 6), {}, ("answer cut off after 0 boxes",),
         "there is no box"),
    # three numbers and five numbers in the middle
    Case("<t_2> <t_8> : <t_2> 10 20 30 <t_4> 20 20 40 60 <t_6> 1 2 3 4 5", (2, 8), {5: B},
         ("left out boxes 1 and 3, not four finite numbers", "no box for 2 of 3 steps")),
    # a frame number without a box in the middle
    Case("<t_2> <t_8> : <t_2> <t_4> 20 20 40 60 <t_6> 10 20 30 40", (2, 8), {5: B, 7: A},
         ("left out box 1, not four finite numbers", "no box for 1 of 3 steps")),
    # no number at all, infinity, a number too large for a float
    Case("<t_2> <t_8> : <t_2> nan 20 30 40 <t_4> 20 20 inf 60 <t_6> 10 20 30 1e999", (2, 8), {},
         ("left out boxes 1, 2 and 3, not four finite numbers",), "none of 3 boxes can be used"),
    # corners swapped in one direction, in both
    Case("<t_2> <t_6> : <t_2> 30 20 10 40 <t_4> 40 60 20 20", (2, 6), {3: A, 5: B},
         ("swapped corners in boxes 1 and 2",)),
    # outside the frame: partly, wholly, by huge numbers
    Case("<t_2> <t_8> : <t_2> -5 20 30 40 <t_4> 120 20 140 60 <t_6> 10 20 1e300 1e300", (2, 8),
         {3: (0, 20, 60, 40), 7: (20, 20, 200, 100)},
         ("left out box 2, no area in the frame", "clipped boxes 1 and 3 to the frame",
          "no box for 1 of 3 steps")),
    # boxes without an area
    Case("<t_2> <t_6> : <t_2> 10 20 10 40 <t_4> 0 0 0 0", (2, 6), {},
         ("left out boxes 1 and 2, no area in the frame",), "none of 2 boxes can be used"),
    # boxes outside the interval, and behind the video
    Case("<t_2> <t_4> : <t_0> 1 2 3 4 <t_2> 10 20 30 40 <t_4> 1 2 3 4 <t_40> 1 2 3 4", (2, 4),
         {3: A}, ("left out boxes 1, 3 and 4, outside the interval",)),
    # the same step twice: the first counts
    Case("<t_2> <t_4> : <t_2> 10 20 30 40 <t_2> 20 20 40 60", (2, 4), {3: A},
         ("left out box 2, not the first for its time",)),
    # steps in the wrong order
    Case("<t_2> <t_6> : <t_4> 20 20 40 60 <t_2> 10 20 30 40", (2, 6), {3: A, 5: B}),
    # a frame within a step
    Case("<t_2> <t_6> : <t_3> 10 20 30 40 <t_4> 20 20 40 60", (2, 6), {3: A, 5: B},
         ("took box 1 for the whole step of the frame named",)),
    # an interval that touches half a step: its box stands for the frame inside
    Case("<t_3> <t_6> : <t_2> 10 20 30 40 <t_4> 20 20 40 60", (3, 6), {3.5: A, 5: B}),
    # two answers: the last; the last is cut, so the one before
    Case("<t_0> <t_2> : <t_0> 1 2 3 4 <t_2> <t_4> : <t_2> 10 20 30 40", (2, 4), {3: A},
         ("took one of 2 answers",)),
    Case("<t_2> <t_4> : <t_2> 10 20 30 40 <t_0> <t_2> : <t_0> 1 2", (2, 4), {3: A},
         ("took one of 2 answers",)),
    # an answer that repeats itself without end: more than four boxes are only counted
    Case("<t_2> <t_4> : <t_2> 10 20 30 40" + " <t_2> 20 20 40 60" * 50, (2, 4), {3: A},
         ("left out 50 boxes, not the first for its time",)),
]  # fmt: skip

GOOD = (
    '{"time": [2.0, 6.0], "boxes": [{"time": 3.0, "bbox_2d": [10, 10, 30, 20]}, '
    '{"time": 5.0, "bbox_2d": [20, 10, 40, 30]}]}'
)
PIXELS = [
    # as it should be, with and without zeros in front; in a fence; in a fence without its end
    Case(GOOD, (2, 6), {3: A, 5: B}),
    Case(GOOD.replace("[10, 10, 30, 20]", "[010, 010, 030, 020]"), (2, 6), {3: A, 5: B}),
    Case(f"```json\n{GOOD}\n```", (2, 6), {3: A, 5: B}),
    Case(f"```json\n{GOOD}", (2, 6), {3: A, 5: B}),
    # nothing; words; a list of words; a number
    Case("", None, {}, (), "the answer is empty"),
    Case("There is no dog.", None, {}, (), "expected a JSON object with a time and boxes, found"),
    Case("[the dog] {is not} here", None, {}, (), "expected a JSON object with a time and boxes"),
    Case("42", None, {}, (), "expected a JSON object with a time and boxes, found '42'"),
    Case("{}", None, {}, (), "expected a JSON object with a time and boxes, found '{}'"),
    # prose around; thinking before
    Case(f"Sure! The dog [brown] runs: {GOOD} Hope this helps.", (2, 6), {3: A, 5: B}, (PROSE,)),
    Case(f'<think>{{"time": [0, 1]}}</think>\n{GOOD}', (2, 6), {3: A, 5: B}),
    # single quotes, with one inside; keys without quotes; commas too many; a comma too few
    Case("{'time': [2.0, 6.0], 'label': 'the man's dog', 'bbox_2d': [10, 10, 30, 20]}", (2, 6),
         {4: A}, ("mended the JSON: single quotes", "one box without a time taken for the whole "
         "interval")),
    Case('{time: [2.0, 4.0], boxes: [{time: 3.0, bbox_2d: [10, 10, 30, 20]}]}', (2, 4), {3: A},
         ("mended the JSON: keys without quotes",)),
    Case('{"time": [2.0, 4.0,], "boxes": [{"time": 3.0, "bbox_2d": [10, 10, 30, 20],},],}', (2, 4),
         {3: A}, ("mended the JSON: a comma too many",)),
    Case('{"time": [2.0, 4.0] "boxes": [{"time": 3.0 "bbox_2d": [10 10 30 20]}]}', (2, 4), {3: A},
         ("mended the JSON: a comma too few",)),
    # brackets too few in the middle, brackets too many, round ones, comments
    Case('{"time": [2.0, 4.0], "boxes": [{"time": 3.0, "bbox_2d": [10, 10, 30, 20}]}', (2, 4),
         {3: A}, ("mended the JSON: a bracket too few",)),
    Case('{"time": [2.0, 4.0]], "boxes": [{"time": 3.0, "bbox_2d": [10, 10, 30, 20]}]}', (2, 4),
         {3: A}, ("mended the JSON: a bracket too many",)),
    Case('{"time": (2.0, 4.0), "boxes": [{"time": 3.0, "bbox_2d": [(10, 10), (30, 20)]}]}', (2, 4),
         {3: A}, ("mended the JSON: round brackets",)),
    Case('{"time": [2.0, 4.0], // seconds\n "boxes": [{"time": 3.0, "bbox_2d": [10, 10, 30, 20]}]}',
         (2, 4), {3: A}, ("mended the JSON: comments",)),
    # cut within a number, behind a box, within the interval
    Case(GOOD[:-5], (2, 6), {3: A}, ("answer cut off after 1 box", "no box for 1 of 2 steps")),
    Case(GOOD[: GOOD.index("}, {") + 1], (2, 6), {3: A},
         ("answer cut off after 1 box", "no box for 1 of 2 steps")),
    Case('{"time": [2.0, 6.', None, {}, (), "expected a JSON object with a time and boxes"),
    Case('{"time": [2.0, 6.0], "boxes": [', (2, 6), {}, ("answer cut off after 0 boxes",),
         "there is no box"),
    # an ellipsis copied from the instruction
    Case(GOOD.replace("}]}", "}, ...]}"), (2, 6), {3: A, 5: B}),
    # a bare list, as the models' own examples have it; its interval is that of the steps named
    Case('[{"time": 3.0, "bbox_2d": [10, 10, 30, 20], "label": "dog"}, '
         '{"time": 5.0, "bbox_2d": [20, 10, 40, 30], "label": "dog"}]', (2, 6), {3: A, 5: B},
         (NO_INTERVAL,)),
    # objects one behind the other without a list; one a line
    Case('{"time": 3.0, "bbox_2d": [10, 10, 30, 20]}, {"time": 5.0, "bbox_2d": [20, 10, 40, 30]}',
         (2, 6), {3: A, 5: B}, (NO_INTERVAL,)),
    Case('{"time": 3, "bbox_2d": [10, 10, 30, 20]} [next] {"time": 5, "bbox_2d": [20, 10, 40, 30]}',
         (2, 6), {3: A, 5: B}, (NO_INTERVAL,)),
    Case('{"time": [2, 6]}\n[{"t": 3, "box": [10, 10, 30, 20]}, {"t": 5, "box": [20, 10, 40, 30]}]',
         (2, 6), {3: A, 5: B}),
    # other names: timestamp, time_s, frame (of those the model was shown), bbox, box
    Case('[{"timestamp": "3.0s", "bbox": [10, 10, 30, 20]}, '
         '{"time_s": "5.0 seconds", "box": [20, 10, 40, 30]}]', (2, 6), {3: A, 5: B},
         (NO_INTERVAL,)),
    Case('{"start": 2, "end": 6, "boxes": [{"frame": 2, "bbox_2d": [10, 10, 30, 20]}, '
         '{"frame": 99, "bbox_2d": [20, 10, 40, 30]}]}', (2, 6), {2.5: A},
         ("left out box 2, outside the interval", "no box for 1 of 2 steps")),
    Case('{"start_time": "00:02", "end_time": "00:06.0", "bbox_2d": [10, 10, 30, 20]}', (2, 6),
         {4: A}, ("one box without a time taken for the whole interval",)),
    Case('{"result": {"interval": {"start": "2.0s", "end": "4.0s"}, "bboxes": [{"time": 3, '
         '"bbox_2d": {"x1": 10, "y1": 10, "x2": 30, "y2": 20}}]}}', (2, 4), {3: A}),
    Case('{"time": "2.0 - 6.0 s", "boxes": {"3.0": [10, 10, 30, 20], "5.0": [20, 10, 40, 30]}}',
         (2, 6), {3: A, 5: B}),
    Case('{"xmin": "10", "ymin": "10", "xmax": "30", "ymax": "20", "time": 00:03.0}', (2, 4),
         {3: A}, (NO_INTERVAL,)),
    # boxes with an interval each: every one stands for the middle of its own
    Case('[{"start": 2, "end": 4, "bbox_2d": [10, 10, 30, 20]}, '
         '{"start": 4, "end": 6, "bbox_2d": [20, 10, 40, 30]}]', (2, 6), {3: A, 5: B}),
    # boxes without times: one a step, otherwise spread
    Case('{"time": [2, 6], "boxes": [[10, 10, 30, 20], [20, 10, 40, 30]]}', (2, 6), {3: A, 5: B},
         ("2 boxes without times spread over the interval",)),
    Case('{"time": [0, 6], "boxes": [[10, 10, 30, 20], [20, 10, 40, 30]]}', (0, 6),
         {1.5: A, 4.5: B},
         ("2 boxes without times spread over the interval", "no box for 1 of 3 steps")),
    # a single box and nothing that says when
    Case('{"bbox_2d": [10, 10, 30, 20], "label": "dog"}', None, {}, (),
         "there is no interval, and no box with a time in the video"),
    # the time in the words beside it
    Case('The dog is there from 2.0s to 6.0s: {"bbox_2d": [10, 10, 30, 20]}', (2, 6), {4: A},
         (PROSE, "interval taken from running text", "one box without a time taken "
          "for the whole interval")),
    # reversed; empty; behind the video; partly behind; not a number; before the video
    Case(GOOD.replace("[2.0, 6.0]", "[6.0, 2.0]"), (2, 6), {3: A, 5: B},
         ("swapped the ends of the interval",)),
    Case('{"time": [3.0, 3.0], "bbox_2d": [10, 10, 30, 20]}', (3, 4), {3.5: A},
         ("widened an empty interval to one frame", "one box without a time taken for the whole "
          "interval")),
    Case('{"time": [100, 120], "bbox_2d": [10, 10, 30, 20]}', None, {}, (),
         "the interval 100 to 120 s lies outside the video, which lasts 8 s"),
    Case('{"time": [-9, -1], "bbox_2d": [10, 10, 30, 20]}', None, {}, (),
         "the interval -9 to -1 s lies outside the video, which lasts 8 s"),
    Case('{"time": [6, 20], "boxes": [{"time": 7, "bbox_2d": [10, 10, 30, 20]}]}', (6, 8), {7: A},
         ("cut the interval to the video",)),
    Case('{"time": [NaN, 6], "boxes": [{"time": 3, "bbox_2d": [10, 10, 30, 20]}]}', (2, 4), {3: A},
         (NO_INTERVAL,)),
    # times that are on no border and no frame stay as they are
    Case('{"time": [2.3, 5.2], "boxes": [{"time": 2.6, "bbox_2d": [10, 10, 30, 20]}, '
         '{"time": 4.9, "bbox_2d": [20, 10, 40, 30]}]}', (2.3, 5.2), {2.6: A, 4.9: B}),
    # a box at the end of the interval; one just before it, in a step that the interval touches
    Case('{"time": [2, 6], "boxes": [{"time": 3, "bbox_2d": [10, 10, 30, 20]}, '
         '{"time": 6, "bbox_2d": [20, 10, 40, 30]}]}', (2, 6), {3: A, 5: B},
         ("moved box 2 from the end of the interval into it",)),
    Case('{"time": [2.9, 6], "boxes": [{"time": 2.5, "bbox_2d": [10, 10, 30, 20]}, '
         '{"time": 5, "bbox_2d": [20, 10, 40, 30]}]}', (2.9, 6), {3.5: A, 5: B}),
    # outside the interval; twice at a time; a time that is none
    Case('{"time": [2, 4], "boxes": [{"time": 7, "bbox_2d": [1, 2, 3, 4]}, '
         '{"time": 3, "bbox_2d": [10, 10, 30, 20]}, {"time": 3, "bbox_2d": [1, 2, 3, 4]}, '
         '{"time": 1e99, "bbox_2d": [1, 2, 3, 4]}, {"time": "soon", "bbox_2d": [1, 2, 3, 4]}]}',
         (2, 4), {3: A}, ("left out boxes 1, 4 and 5, outside the interval",
                          "left out box 3, not the first for its time")),
    # no box where the object is hidden; three numbers; words for numbers
    Case(GOOD.replace("[10, 10, 30, 20]", "null"), (2, 6), {5: B}, ("no box for 1 of 2 steps",)),
    Case(GOOD.replace("[10, 10, 30, 20]", "[10, 10, 30]"), (2, 6), {5: B},
         ("left out box 1, not four finite numbers", "no box for 1 of 2 steps")),
    Case('{"time": [2, 6], "bbox_2d": [x1, y1, x2, y2]}', (2, 6), {},
         ("one box without a time taken for the whole interval",
          "left out box 1, not four finite numbers"), NONE_USED),
    Case('{"time": [2, 4], "bbox_2d": [NaN, -Infinity, 1e400, 5]}', (2, 4), {},
         ("one box without a time taken for the whole interval",
          "left out box 1, not four finite numbers"), NONE_USED),
    # a box that leaves the model's frame, as issue 1035 of QwenLM/Qwen3-VL shows
    Case(GOOD.replace("[20, 10, 40, 30]", "[20, 10, 40, 76]"), (2, 6),
         {3: A, 5: (40, 20, 80, 100)}, ("clipped box 2 to the frame",)),
    # two answers: the last; the last is cut before its boxes end, so the one before
    Case('{"time": [0, 2], "bbox_2d": [1, 2, 3, 4]}\nNo, rather:\n' + GOOD, (2, 6), {3: A, 5: B},
         (PROSE, "took one of 2 answers")),
    Case(GOOD + '\n{"time": [0, 2], "boxes": [{"time": 1.0, "bbox_2d": [1, 2, 3, 4]}, {"time',
         (2, 6), {3: A, 5: B}, ("took one of 2 answers",)),
    # the same list twice
    Case('[{"time": 3, "bbox_2d": [10, 10, 30, 20]}] [{"time": 3, "bbox_2d": [10, 10, 30, 20]}]',
         (2, 4), {3: A}, ("took one of 2 answers", NO_INTERVAL)),
    # Chinese around and inside
    Case('狗在这里：{"time": [2, 4], "boxes": [{"time": 3, "bbox_2d": [10, 10, 30, 20], '
         '"label": "狗"}]}', (2, 4), {3: A}, (PROSE,)),
]  # fmt: skip

THOUSANDTHS = [
    # as it should be; up to 1000
    Case('{"time": [2.0, 4.0], "boxes": [{"time": 3.0, "bbox_2d": [100, 200, 300, 400]}]}', (2, 4),
         {3: A}),
    Case('{"time": [2, 4], "bbox_2d": [0, 0, 1000, 1000]}', (2, 4), {3: (0, 0, 200, 100)},
         ("one box without a time taken for the whole interval",)),
    # one behind the edge
    Case('{"time": [2, 4], "bbox_2d": [100, 200, 1010, 400]}', (2, 4), {3: (20, 20, 200, 40)},
         ("one box without a time taken for the whole interval", "clipped box 1 to the frame")),
    # as Qwen2-VL writes boxes, with its tokens and without
    Case("From 2.0s to 4.0s <|object_ref_start|>the dog<|object_ref_end|><|box_start|>(100,200),"
         "(300,400)<|box_end|>", (2, 4), {3: A},
         ("interval taken from running text",
          "one box without a time taken for the whole interval", PROSE)),
    Case("At 3.0s the dog(100,200),(300,400) and at 5.0s the dog (200, 200), (400, 600)", (2, 6),
         {3: A, 5: B}, (PROSE, NO_INTERVAL)),
    # with the times that Qwen3-VL is shown
    Case("<3.0 seconds> (100,200),(300,400) <5.0 seconds> (200,200),(400,600)", (2, 6),
         {3: A, 5: B}, (PROSE, NO_INTERVAL)),
    # a time alone
    Case("It happens from 00:02 to 00:04.", (2, 4), {},
         ("interval taken from running text",), "there is no box"),
    # cut within the second corner
    Case("2.0s - 4.0s <|box_start|>(100,200),(300,4", (2, 4), {},
         ("interval taken from running text",), "there is no box"),
]  # fmt: skip

TABLE = [
    *(("compact", case) for case in COMPACT),
    *(("qwen2_5_json", case) for case in PIXELS),
    *(("thousandths_json", case) for case in THOUSANDTHS),
]


@pytest.mark.parametrize(
    ("name", "case"), TABLE, ids=[f"{name}-{i}" for i, (name, _) in enumerate(TABLE)]
)
def test_what_an_answer_means(name: str, case: Case) -> None:
    parsed = find_codec(name).parse(case.text, VIEW)
    found = None if parsed.interval is None else (parsed.interval.start_s, parsed.interval.end_s)
    assert found == case.interval
    if parsed.tube is None:
        assert case.boxes == {}
    else:
        assert parsed.tube.interval == parsed.interval
        assert parsed.tube.times_s.tolist() == pytest.approx(list(case.boxes))
        np.testing.assert_allclose(parsed.tube.boxes, list(case.boxes.values()))
    assert set(parsed.repairs) == set(case.repairs)
    assert len(parsed.repairs) == len(case.repairs)
    assert (parsed.problem is None) == (parsed.tube is not None) == (case.problem is None)
    assert (parsed.problem or "").startswith(case.problem or "")


def test_boxes_in_brackets_are_no_pixels() -> None:
    # The pairs of Qwen2-VL are thousandths; a grammar of pixels does not guess.
    parsed = find_codec("qwen2_5_json").parse("(100,200),(300,400)", VIEW)
    assert parsed.tube is None

"""The five rewards of STVG-o1: the specification's table, edge cases, the guard, any text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stvg.rewards import Answer, Score, StvgO1Rewards, find_reward
from stvg.rewards.boxes import BoxConfig, step_values
from stvg.text import find_codec
from stvg.types import Interval, Tube
from tests.rewards.answers import SIZE, TRUE, VIEW, drafted, listed, target, tube
from tests.text.test_fuzz import PIECES
from tests.text.test_o1 import TAGS

LITERAL = {"spatial_floor": None, "empty_overlap_value": 0.0}

# Truth x 30 to 60, y 20 to 90 percent (area 30 x 70 = 2100). L1 in sides of the frame.
TABLE = [
    # identical
    (TRUE, 1.0, 0.0),
    # + 5 each: 25 x 65 = 1625 of 2 x 2100 - 1625 = 2575; hull 35 x 75 = 2625
    ([35, 25, 65, 95], 1625 / 2575 - 50 / 2625, 0.20),
    # x + 15: 15 x 70 = 1050 of 3150; the hull 45 x 70 = 3150 is the union
    ([45, 20, 75, 90], 1 / 3, 0.30),
    # whole frame: 2100 of 10000, the hull is the frame; 0.3 + 0.2 + 0.4 + 0.1
    ([0, 0, 100, 100], 0.21, 1.0),
    # beside it: hull 65 x 70 = 4550, union 2100 + 25 x 70 = 3850; 0.4 + 0 + 0.35 + 0
    ([70, 20, 95, 90], -700 / 4550, 0.75),
    # far corner: hull 60 x 90 = 5400, union 2100 + 25; 0.3 + 0.2 + 0.55 + 0.85
    ([0, 0, 5, 5], -3275 / 5400, 1.9),
]
ROUNDED = [  # the columns "R (sum)" and "R (mean)" as the specification prints them
    (1.000, 1.000), (0.412, 0.562), (0.033, 0.258), (-0.790, -0.040), (-0.904, -0.341),
    (-2.506, -1.081),
]  # fmt: skip


@pytest.mark.parametrize(("row", "printed"), list(zip(TABLE, ROUNDED, strict=True)))
def test_table_of_the_specification(
    row: tuple[list[float], float, float], printed: tuple[float, float]
) -> None:
    box, giou, l1_sum = row
    for reduction, share, shown in (("sum", 1.0, printed[0]), ("mean", 0.25, printed[1])):
        config = BoxConfig.of({**LITERAL, "l1_reduction": reduction})
        (value,) = step_values(np.array([box], float), np.array([TRUE]), SIZE, config)
        assert value == pytest.approx(giou - share * l1_sum, abs=1e-12)
        assert value == pytest.approx(shown, abs=5.1e-4)
    alone = {"giou": giou, "l1": -l1_sum / 4}
    for name, expected in alone.items():
        config = BoxConfig.of({"giou": name == "giou", "l1": name == "l1"})
        values = step_values(np.array([box], float), np.array([TRUE]), SIZE, config)
        assert values[0] == pytest.approx(expected, abs=1e-12)


def test_full_example_of_the_specification() -> None:
    # one step; draft = third row, boxes = second row, 6 of 10 s:
    # 1 + 1 + 0.6 + (0.0333 + 0.4120) + 0.5 x (0.4120 - 0.0333) = 3.2347
    answer = drafted(
        listed(0, 6, {1.0: TABLE[2][0]}, [1.0]), listed(0, 6, {1.0: TABLE[1][0]}, [1.0])
    )
    mix = StvgO1Rewards.of({"boxes": {**LITERAL, "l1_reduction": "sum"}}).mix()
    (total,) = mix([answer], [target(tube(0, 10))])
    second, third = 1625 / 2575 - 50 / 2625 - 0.2, 1 / 3 - 0.3
    values = {name: score.value for name, score in total.scores.items()}
    assert values == {
        "format": 1.0,
        "consistency": 1.0,
        "temporal": 0.6,
        "spatial": pytest.approx(second + third),
        "think": pytest.approx(second - third),
    }
    assert total.value == pytest.approx(2.6 + second + third + (second - third) / 2)
    assert total.value == pytest.approx(3.234, abs=1e-3)


def value_of(name: str, answer: Answer, truth: Any, **options: Any) -> float | None:
    (score,) = find_reward(name, options)([answer], [truth])
    assert score.reason
    return score.value


def test_perfect_answers_get_the_most() -> None:
    answer = drafted(*[listed(0, 8, {1.0: TRUE, 7.0: TRUE}, [1.0, 7.0])] * 2)
    (total,) = StvgO1Rewards().mix()([answer], [target(tube(0, 8))])
    assert total.value == 5.0


def test_missing_the_event_does_not_beat_a_poor_box() -> None:
    # whole-frame boxes for half of the time: literally 0.5 - 2 x 0.79 = -1.08 against 0 for
    # missing; ours 0.5 - 2 x 0.04 = 0.42 against -2
    whole = [0, 0, 100, 100]
    poor = drafted(*[listed(0, 4, {2.0: whole}, [2.0])] * 2)
    elsewhere = drafted(*[listed(8, 9, {8.0: whole}, [8.0])] * 2)
    truth = target(tube(0, 8))
    for options, values in (
        ({**LITERAL, "l1_reduction": "sum"}, (-1.08, 0.0)),
        ({}, (0.42, -2.0)),
    ):
        for answer, expected in zip((poor, elsewhere), values, strict=True):
            temporal, spatial = (
                value_of("temporal", answer, truth),
                value_of("spatial", answer, truth, **options),
            )
            assert temporal is not None
            assert spatial is not None
            assert temporal + spatial == pytest.approx(expected)


@settings(max_examples=150, deadline=None)
@given(
    box=st.tuples(*[st.floats(0, 100)] * 4), true=st.tuples(*[st.floats(0, 100)] * 4),
    reduction=st.sampled_from(["mean", "sum"]),
)  # fmt: skip
def test_no_box_is_worth_less_than_missing_the_event(
    box: tuple[float, ...], true: tuple[float, ...], reduction: str
) -> None:
    def ordered(values: tuple[float, ...]) -> list[float]:
        return [*np.minimum(values[:2], values[2:]), *np.maximum(values[:2], values[2:])]

    truth = target(tube(0, 8, ordered(true)))
    written = drafted(*[listed(0, 4, {1.0: ordered(box), 3.0: ordered(box)}, [1.0, 3.0])] * 2)
    omitted = drafted(*[listed(0, 4, {1.0: ordered(box)}, [1.0, 3.0])] * 2)
    missed = drafted(*[listed(8, 9, {8.0: ordered(box)}, [8.0])] * 2)
    values = [
        value_of("spatial", each, truth, l1_reduction=reduction)
        for each in (written, omitted, missed)
    ]
    assert values[0] is not None
    assert values[1] is not None
    assert values[2] == -2
    assert values[0] >= values[1] - 1e-12  # omitting a hard box does not pay
    assert values[1] >= values[2]


def test_steps_without_a_box_count_as_minus_one() -> None:
    # three steps, all shared: 1, missing, 1 -> (1 - 1 + 1) / 3; the draft has none: -1
    final = listed(0, 6, {1.0: TRUE, 5.0: TRUE}, [1.0, 3.0, 5.0])
    draft = listed(0, 6, {}, [1.0, 3.0, 5.0])
    truth = target(tube(0, 6))
    assert value_of("spatial", drafted(draft, final), truth) == pytest.approx(1 / 3 - 1)
    assert value_of("think", drafted(draft, final), truth) == pytest.approx(1 / 3 + 1)
    assert value_of("think", drafted(final, draft), truth) == 0
    assert value_of("consistency", drafted(draft, final), truth) == 0


def test_only_shared_steps_count() -> None:
    # steps at 1 (0 to 2 s), 3 (2 to 4 s), 5 (4 to 6 s); the truth from 2.5 to 4 s meets the second
    final = listed(0, 6, {1.0: [0, 0, 1, 1], 3.0: TRUE, 5.0: [0, 0, 1, 1]}, [1.0, 3.0, 5.0])
    assert value_of("spatial", Answer("", final), target(tube(2.5, 4))) == 1.0
    # the truth lies between the steps: that with the nearest time stands for it
    assert value_of("spatial", Answer("", final), target(tube(3.2, 3.4))) == 1.0
    # intervals that only touch share nothing
    assert value_of("spatial", Answer("", final), target(tube(6, 8))) == -1.0


def test_the_truth_moves() -> None:
    # at 1 s and 3 s the truth is at x 10 to 20 and 30 to 40; the answer says 10 to 20 both times:
    # 1, and GIoU -(300 - 200) / 300 with L1 (0.2 + 0.2) / 4
    moving = Tube(Interval(0, 4), [1.0, 3.0], [[10, 0, 20, 10], [30, 0, 40, 10]])
    stays = listed(0, 4, {1.0: [10, 0, 20, 10], 3.0: [10, 0, 20, 10]}, [1.0, 3.0])
    assert value_of("spatial", Answer("", stays), target(moving)) == pytest.approx(
        (1 + (-1 / 3 - 0.1)) / 2
    )


def test_targets_without_area_and_outside_the_frame() -> None:
    point, outside = tube(0, 4, [50, 50, 50, 50]), tube(0, 4, [150, 150, 200, 200])
    answer = Answer("", listed(0, 4, {1.0: [50, 50, 60, 60]}, [1.0]))
    # GIoU of a point in the corner of a box: IoU 0, hull = union -> 0; L1 (0.1 + 0.1) / 4
    assert value_of("spatial", answer, target(point)) == pytest.approx(-0.05)
    # cut to the corner (100, 100): GIoU 0 - (2500 - 100) / 2500 = -0.96, L1 0.45, floor -1
    assert value_of("spatial", answer, target(outside)) == -1.0
    literal = value_of("spatial", answer, target(outside), **LITERAL)
    assert literal == pytest.approx(-0.96 - 0.45)


def test_without_a_target_nothing_but_the_form_is_scored() -> None:
    answer = drafted(*[listed(0, 4, {1.0: TRUE}, [1.0])] * 2)
    for name in ("temporal", "spatial", "think"):
        assert value_of(name, answer, target()) is None
    for name in ("format", "consistency"):
        assert value_of(name, answer, target()) == 1.0


def test_of_several_targets_the_nearest_counts_for_all_rewards() -> None:
    # the same time, boxes apart: by vIoU; the same box, other times: by vIoU; no box meets: by tIoU
    other = [70.0, 20.0, 95.0, 90.0]
    answer = Answer("", listed(0, 4, {1.0: TRUE}, [1.0]))
    assert value_of("spatial", answer, target(tube(0, 4, other), tube(0, 4))) == 1.0
    assert value_of("temporal", answer, target(tube(0, 1), tube(0, 3))) == 0.75
    aside = Answer("", listed(0, 4, {1.0: [0, 0, 1, 1]}, [1.0]))
    assert value_of("temporal", aside, target(tube(5, 8), tube(0, 2))) == 0.5


def test_grammars_without_drafts_have_no_think_reward() -> None:
    answer = Answer.of("<t_0> <t_8> : <t_0> 30 20 60 90", find_codec("compact"), VIEW)
    truth = target(tube(0, 8))
    assert value_of("think", answer, truth) is None
    assert value_of("format", answer, truth) == 1.0
    assert value_of("consistency", answer, truth) == 0.0  # one box for four steps
    assert value_of("spatial", answer, truth) == pytest.approx((1 - 3) / 4)
    (total,) = StvgO1Rewards().mix()([answer], [truth])
    assert total.value == pytest.approx(1 + 0 + 1 - 0.5)


@pytest.mark.parametrize(
    "text",
    [
        "",  # nothing
        "I see no dog.",
        "<time>0 - 8</time><think_bbox>0.[300, 200, 600, 900]</think_bbox>",  # no boxes
        "<time>0 - 8</time><pred_bbox>0.[300, 200, 600, 900]</pred_bbox>",  # no draft
        "<think_bbox>0.[300, 200, 600, 900]</think_bbox><pred_bbox>0.[300, 200, 600, 900]"
        "</pred_bbox>",  # no interval
    ],
)
def test_answers_that_lack_a_part_are_worth_nothing(text: str) -> None:
    answer = Answer.of(text, find_codec("o1"), VIEW)
    (total,) = StvgO1Rewards().mix()([answer], [target(tube(0, 8))])
    assert total.value == 0
    assert {score.value for score in total.scores.values()} == {0.0}
    assert value_of("spatial", answer, target(tube(0, 8)), unreadable_value=-2) == -2


@pytest.mark.parametrize(
    ("numbers", "value"),
    [
        ("2 3 4", 1.0),
        ("2 4", 0.0),  # one is missing
        ("2 3 3 4", 0.0),  # one is there twice
        ("2 3 4 5", 0.0),  # one too many
        ("", 0.0),
    ],
)
def test_consistency(numbers: str, value: float) -> None:
    codec, whole = find_codec("o1"), "2.[1, 2, 3, 4], 3.[1, 2, 3, 4], 4.[1, 2, 3, 4]"
    boxes = ", ".join(f"{number}.[1, 2, 3, 4]" for number in numbers.split())
    for draft, final in ((whole, boxes), (boxes, whole)):
        text = f"<time>2 - 4</time><think_bbox>{draft}</think_bbox><pred_bbox>{final}</pred_bbox>"
        assert value_of("consistency", Answer.of(text, codec, VIEW), target()) == value
    # the form is that of tags and signs, an empty list has none
    assert value_of("format", Answer.of(text, codec, VIEW), target()) == float(bool(numbers))


def test_one_frame() -> None:
    from stvg.text import View

    view = View([0.0], [0.0, 0.04], SIZE, SIZE, 2)
    for name in ("o1", "o1_compact"):
        codec = find_codec(name)
        answer = Answer.of(codec.render(tube(0, 0.04), view), codec, view)
        (total,) = StvgO1Rewards().mix()([answer], [target(tube(0, 0.04))])
        assert total.value == pytest.approx(5.0, abs=1e-9), name


OPTIONS = st.fixed_dictionaries(
    {
        "giou": st.just(True),
        "l1": st.booleans(),
        "l1_reduction": st.sampled_from(["mean", "sum"]),
        "spatial_floor": st.sampled_from([None, -1.0, -0.25, -7.0]),
        "empty_overlap_value": st.sampled_from([0.0, -1.0, -3.0]),
        "missing_box_value": st.sampled_from([0.0, -1.0]),
        "unreadable_value": st.sampled_from([0.0, -4.0]),
    }
)


@pytest.mark.parametrize("grammar", ["o1", "o1_compact", "compact"])
@settings(max_examples=150, deadline=None)
@given(
    text=st.text() | st.lists(TAGS | PIECES, max_size=30).map("".join),
    options=OPTIONS,
    corners=st.tuples(*[st.floats(-50, 150)] * 4),
    when=st.tuples(st.floats(0, 8), st.floats(0.001, 9)),
)
def test_every_reward_is_in_its_range_for_any_text(
    grammar: str,
    text: str,
    options: dict[str, Any],
    corners: tuple[float, ...],
    when: tuple[float, float],
) -> None:
    box = [*np.minimum(corners[:2], corners[2:]), *np.maximum(corners[:2], corners[2:])]
    truth = target(tube(when[0], when[0] + when[1], box))
    answer = Answer.of(text, find_codec(grammar), VIEW)
    mix = StvgO1Rewards.of({"boxes": options}).mix()
    (total,) = mix([answer], [truth])
    for name, score in total.scores.items():
        assert isinstance(score, Score)
        assert not score.failed, score.reason
        low, high = mix.rewards[name].bounds
        assert score.value is None or low - 1e-9 <= score.value <= high + 1e-9, (name, score)
    low, high = mix.bounds
    assert total.value is not None
    assert low - 1e-9 <= total.value <= high + 1e-9


@given(weight=st.floats(0, 1), better=st.floats(0, 1))
def test_a_better_draft_never_costs_up_to_weight_one(weight: float, better: float) -> None:
    # the draft moves from the left edge to the truth, the boxes are right: (1 - weight) of its gain
    def total(share: float) -> float:
        box = [30 * share, 20, 30 + 30 * share, 90]
        answer = drafted(listed(0, 2, {1.0: box}, [1.0]), listed(0, 2, {1.0: TRUE}, [1.0]))
        (found,) = StvgO1Rewards(think=weight).mix()([answer], [target(tube(0, 2))])
        assert found.value is not None
        return found.value

    assert total(better) >= total(0) - 1e-9
    assert total(better) <= 5 + 1e-9

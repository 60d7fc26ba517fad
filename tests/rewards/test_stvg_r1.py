"""The rewards of STVG-R1: the specification's table, the switch for the authors' code, options."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stvg.errors import UsageError
from stvg.rewards import Answer, StvgR1Rewards, Target, find_reward
from stvg.text import Parsed
from stvg.types import Interval, Tube
from tests.rewards.answers import SIZE, tube

BOX = [10.0, 10.0, 20.0, 20.0]
HALF = [10.0, 10.0, 20.0, 15.0]
TRUTH = Target(
    (Tube(Interval(10, 17), [10, 12, 14, 16], [BOX] * 4),),
    SIZE,
    number=4,
    # object 4 is seen with half of the true box and leaves before the event ends; 2 all the time
    marked={4: Tube(Interval(0, 15), range(15), [HALF] * 15), 2: tube(0, 20)},
)
WELL = "<think>the man in red</think>\n<answer>...</answer>"


def answer(number: int | None, *span: float, text: str = WELL) -> Answer:
    interval = Interval(*span) if span else None
    return Answer(text, Parsed(None, interval, problem="no boxes in the text"), number)


@pytest.mark.parametrize(
    ("said", "temporal", "number", "form"),
    [
        # exact and well formed
        (answer(4, 10, 17), 1.0, 1.0, 1.0),
        # 10 to 14 of 10 to 17: 4 / 7
        (answer(4, 10, 14), 4 / 7, 1.0, 1.0),
        # another number
        (answer(2, 10, 17), 1.0, 0.0, 1.0),
        # right number, wrong time
        (answer(4, 18, 19), 0.0, 1.0, 1.0),
        # no think block
        (answer(4, 10, 17, text="<answer>...</answer>"), 1.0, 1.0, 0.0),
        # well formed, range missing
        (answer(4), 0.0, 0.0, 1.0),
    ],
)
def test_table_of_the_specification(
    said: Answer, temporal: float, number: float, form: float
) -> None:
    # as in the authors' code; by the paper the fourth answer gets no point for its number, because
    # object 4 is not seen from 18 to 19 s
    mix = StvgR1Rewards.of({"options": {"reproduce": "authors"}}).mix()
    (total,) = mix([said], [TRUTH])
    values = {name: score.value for name, score in total.scores.items()}
    assert values["temporal"] == pytest.approx(temporal)
    assert (values["number"], values["think_format"]) == (number, form)
    assert total.value == pytest.approx(temporal + number + form)
    (paper,) = find_reward("number")([said], [TRUTH])
    interval = said.parsed.interval
    assert paper.value == (0.0 if interval and interval.start_s == 18 else number)


def test_the_number_is_not_applicable_without_a_truth() -> None:
    (score,) = find_reward("number")([answer(4, 1, 2)], [Target((), SIZE)])
    assert score.value is None


def test_the_paper_needs_to_know_where_objects_are_seen() -> None:
    truth = Target(TRUTH.tubes, SIZE, number=4)
    with pytest.raises(UsageError, match=r"Target\.marked, or use reproduce=authors"):
        find_reward("number")([answer(4, 10, 17)], [truth])
    (score,) = find_reward("number", {"reproduce": "authors"})([answer(4, 10, 17)], [truth])
    assert score.value == 1.0


def test_sights_under_another_number_do_not_count() -> None:
    """Object 4 is seen at 10, and at 12 only because a correction says that it is 2 there."""
    seen = Tube(Interval(0, 20), [10, 12], [BOX] * 2, interpolated=[False, True])
    truth = replace(TRUTH, marked={4: seen})
    found = find_reward("number")([answer(4, 9, 11), answer(4, 11, 13)], [truth] * 2)
    assert [score.value for score in found] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("said", "value"),
    [
        # times 10, 12, 14, 16; half of the box is seen at 10, 12, 14, nothing at 16: 1.5 / 4
        (answer(4, 10, 17), 0.375),
        # 12 and 14
        (answer(4, 11, 15), 0.5),
        # the other object meets nothing
        (answer(2, 10, 17), 0.0),
        # an object that is not there, no number, no time in common
        (answer(9, 10, 17), 0.0),
        (answer(None, 10, 17), 0.0),
        (answer(4, 0, 10), 0.0),
        (answer(4), 0.0),
    ],
)
def test_marked_overlap(said: Answer, value: float) -> None:
    if said.number == 2:  # its box 30 to 60, 20 to 90 touches 10 to 20 nowhere
        assert TRUTH.marked[2].boxes.tolist() == [[30, 20, 60, 90]]
    (score,) = find_reward("marked_overlap")([said], [TRUTH])
    assert score.value == pytest.approx(value)
    assert find_reward("marked_overlap")([said], [Target((), SIZE)])[0].value is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<think></think><answer></answer>", 1.0),
        ("  <think>a\nb</think> \n <answer>c</answer>\n", 1.0),
        ("", 0.0),
        ("<answer>c</answer><think>a</think>", 0.0),
        ("<think>a</think> so <answer>c</answer>", 0.0),
        ("well: <think>a</think><answer>c</answer>", 0.0),
        ("<think>a</think><answer>c</answer>.", 0.0),
        ("<think>a</think><answer>c</answer><answer>d</answer>", 0.0),
        ("<think>a<think>b</think><answer>c</answer>", 0.0),
        ("<think>a</think><answer>c", 0.0),
    ],
)
def test_think_format(text: str, value: float) -> None:
    (score,) = find_reward("think_format")([answer(1, text=text)], [TRUTH])
    assert score.value == value

"""Answers that name painted numbers: to text and back, and what is forgiven."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stvg.errors import UsageError
from stvg.text import View, Vocabulary
from stvg.text.numbered import available_numbered, find_numbered
from stvg.types import Interval

VIEW = View(np.arange(16) / 8, np.arange(17) / 8, (64, 64), (64, 64))
LONG = View([5.0, 15.0], [0.0, 10.0, 20.0], (640, 480), (224, 168))
R1, COMPACT = find_numbered("r1"), find_numbered("r1_compact")


class Words:
    """A word-level tokenizer: spaces vanish."""

    eos_token_id = 0

    def __init__(self) -> None:
        words = ["<end>", "target", "id", ":", ",", "time", "range", "to",
                 "two", "seven", "12", *(f"<t_{n}>" for n in range(17))]  # fmt: skip
        self.table = {word: number for number, word in enumerate(words)}

    def __call__(self, texts: list[str], add_special_tokens: bool) -> Any:
        return {"input_ids": [[self.table[word] for word in text.split()] for text in texts]}


@pytest.mark.parametrize(
    ("text", "numbers", "interval", "problem"),
    [
        ("<think>x</think><answer>Target ID: 4, Time range: 10.00 to 16.99</answer>",
         (4,), Interval(10, 16.99), None),
        ("<answer>target id: 12, time range: 1.5 and 3.25 </answer>", (12,), Interval(1.5, 3.25),
         None),
        ("<answer>Target ID: 1, 3, 7, Time range: 0.00 to 2.00</answer>", (1, 3, 7),
         Interval(0, 2), None),
        ("<answer>Target IDs: 1 and 3, Time range: 0 to 2</answer>", (1, 3), Interval(0, 2), None),
        ("<answer>Target IDs: 1, 3, and 7. Time range: 0 to 2</answer>", (1, 3, 7), Interval(0, 2),
         None),
        ("<answer>Target ID: 1, 3.5 to 4. Time range: 0 to 2</answer>", (1,), Interval(0, 2), None),
        ("<answer>Target ID: 1234567890, Time range: 0 to 2</answer>", (), Interval(0, 2),
         "no number"),
        ("<answer>Target ID: 3, 3, Time range: 0 to 2</answer>", (3,), Interval(0, 2), None),
        ("<answer>Target ID: 9, Time range: 1 to 2</answer> no: <answer>Target ID: 2, Time range: "
         "3 to 4</answer>", (2,), Interval(3, 4), None),
        ("<think>Target ID: 5, Time range: 1 to 2</think><answer>it is the dog</answer>", (), None,
         "no number and no interval"),
        ("<answer>Target ID: 4</answer>", (4,), None, "no interval"),
        ("<answer>Time range: 1.00 to 2.00</answer>", (), Interval(1, 2), "no number"),
        ("<think>Target ID: 4, Time range: 1 to 2", (), None, "no number and no interval"),
        ("<answer>Target ID: 4, Time range: 25 to 30</answer>", (4,), None, "no interval"),
        ("", (), None, "the answer is empty"),
    ],
)  # fmt: skip
def test_what_an_answer_of_r1_means(
    text: str, numbers: tuple[int, ...], interval: Interval | None, problem: str | None
) -> None:
    found = R1.parse(text, LONG)
    assert found.numbers == numbers
    assert found.interval == interval
    if problem is None:
        assert found.problem is None
    else:
        assert found.problem is not None
        assert problem in found.problem


@pytest.mark.parametrize(
    ("text", "interval", "told"),
    [
        ("<answer>Target ID: 4, Time range: 9 to 3</answer>", Interval(3, 9), "end to its start"),
        ("<answer>Target ID: 4, Time range: 15 to 25</answer>", Interval(15, 20), "cut to the"),
        ("Target ID: 4, Time range: 5 to 6", Interval(5, 6), "no answer block"),
    ],
)
def test_what_is_forgiven_is_told(text: str, interval: Interval, told: str) -> None:
    found = R1.parse(text, LONG)
    assert found.interval == interval
    assert told in " ".join(found.repairs)


def test_frames_behind_the_video_are_told() -> None:
    found = COMPACT.parse("target id : one , time range : <t_4> to <t_99>", VIEW)
    assert found.interval == Interval(0.5, 2.0)
    assert found.repairs == ("the interval was cut to the video",)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=4, unique=True),
    st.integers(0, 15), st.integers(1, 16),
)  # fmt: skip
def test_answers_are_read_as_they_were_written(numbers: list[int], first: int, more: int) -> None:
    interval = Interval(first / 8, min(first + more, 16) / 8)
    found = COMPACT.parse(COMPACT.render(numbers, interval, VIEW), VIEW)
    assert (found.numbers, found.interval, found.problem) == (tuple(numbers), interval, None)
    found = R1.parse(R1.render(numbers, interval, VIEW), VIEW)
    assert found.numbers == tuple(numbers)
    assert found.interval is not None
    assert abs(found.interval.start_s - interval.start_s) <= 0.005 + 1e-9
    assert abs(found.interval.end_s - interval.end_s) <= 0.005 + 1e-9
    assert found.repairs == ()


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    for grammar in (R1, COMPACT):
        found = grammar.parse(text, VIEW)
        assert (found.problem is None) == (bool(found.numbers) and found.interval is not None)


def test_the_grammar_allows_what_is_painted() -> None:
    words = Words()
    place = COMPACT.grammar(VIEW, Vocabulary(words), [7, 12, 2])
    assert place is not None
    names = list(words.table)
    written = ["target", "id", ":", "seven", ",", "time", "range", ":", "<t_3>", "to", "<t_16>"]
    choices = []
    for word in written:
        choices.append([names[token] for token in place.allowed])
        place = place.after(words.table[word])
    assert place.allowed == ()
    assert choices[3] == ["two", "seven", "12"]
    assert choices[8] == [f"<t_{n}>" for n in range(16)]
    assert choices[10] == [f"<t_{n}>" for n in range(4, 17)]  # behind the start
    assert all(len(each) == 1 for n, each in enumerate(choices) if n not in (3, 8, 10))
    assert COMPACT.parse(" ".join(written), VIEW).interval == Interval(0.375, 2.0)


def test_without_numbers_nothing_is_forced() -> None:
    assert COMPACT.grammar(VIEW, Vocabulary(Words()), []) is None
    assert R1.grammar(VIEW, Vocabulary(Words()), [1]) is None
    assert "20.00 seconds" in R1.instruction(LONG)


def test_names() -> None:
    assert available_numbered() == ["r1", "r1_compact"]
    with pytest.raises(UsageError, match="did you mean 'r1_compact'"):
        find_numbered("r1_compat")
    with pytest.raises(UsageError, match=r"expected .* to be a subclass"):
        find_numbered("fractions:Fraction")

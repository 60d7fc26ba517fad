"""Answers that say when: to text and back, what is forgiven, what may be written."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stvg.errors import UsageError
from stvg.text import View, Vocabulary
from stvg.text.constrain import Choice, Literal, Position, begin
from stvg.text.timed import Timed, available_timed, find_timed
from stvg.types import Interval

VIEW = View(np.arange(16) / 8, np.arange(17) / 8, (64, 64), (64, 64))
LONG = View([5.0, 15.0], [0.0, 10.0, 20.0], (640, 480), (224, 168))
RAGGED = View(np.arange(16) / 8, [*np.arange(16) / 8, 2.06], (64, 64), (64, 64))
PICTURE = View([0.0], [0.0, 1.0], (640, 480), (224, 168))
FRAMES, SECONDS = find_timed("frames"), find_timed("seconds")


class Letters:
    """A tokenizer of single signs."""

    eos_token_id = 0

    def __call__(self, texts: list[str], add_special_tokens: bool) -> Any:
        return {"input_ids": [[ord(sign) for sign in text] for text in texts]}


@pytest.mark.parametrize(
    ("grammar", "view", "interval", "text"),
    [
        (FRAMES, VIEW, Interval(0.25, 1.125), "<t_2> to <t_9>"),
        (FRAMES, VIEW, Interval(1.5, 2.0), "<t_12> to <t_16>"),
        (FRAMES, VIEW, Interval(0.27, 0.28), "<t_2> to <t_3>"),  # the frame in its middle
        (FRAMES, PICTURE, Interval(0, 1), "<t_0> to <t_1>"),
        (SECONDS, LONG, Interval(12.04, 18.46), "From 12.0s to 18.5s."),
        (SECONDS, LONG, Interval(19.97, 20.0), "From 19.9s to 20.0s."),
        (SECONDS, LONG, Interval(3.01, 3.02), "From 3.0s to 3.1s."),
        (SECONDS, PICTURE, Interval(0, 1), "Found."),
    ],
)
def test_what_is_written(grammar: Timed, view: View, interval: Interval, text: str) -> None:
    assert grammar.render(interval, view) == text


@pytest.mark.parametrize(
    ("grammar", "text", "interval", "told"),
    [
        (FRAMES, "<t_2> to <t_9>", Interval(0.25, 1.125), None),
        (FRAMES, "<t_9> to <t_2>", Interval(0.25, 1.125), "end to its start"),
        (FRAMES, "it is < T_2 > until <t_4> or <t_9>", Interval(0.25, 0.5), None),
        (FRAMES, "<t_4> to <t_20>", Interval(0.5, 2.0), "cut to the video"),
        (FRAMES, "<t_4> to <t_4>", Interval(0.5, 0.625), "no length"),
        (FRAMES, "<t_17> to <t_20>", None, "behind the video"),
        (FRAMES, "<t_4> to", None, "expected <t_a> to <t_b>, found '<t_4> to'"),
        (FRAMES, "", None, "the answer is empty"),
        (SECONDS, "From 0.5s to 1.5s.", Interval(0.5, 1.5), None),
        (SECONDS, "between 0.5 and 1 seconds, 3 times", Interval(0.5, 1.0), None),
        (SECONDS, "From 1.5s to 0.5s.", Interval(0.5, 1.5), "end to its start"),
        (SECONDS, "From 1s to 99999999s.", Interval(1.0, 2.0), "cut to the video"),
        (SECONDS, "From 7.0s to 9.0s.", None, "behind the video"),
        (SECONDS, "I cannot see it.", None, "expected From a s to b s., found"),
    ],
)  # fmt: skip
def test_what_an_answer_means(
    grammar: Timed, text: str, interval: Interval | None, told: str | None
) -> None:
    found = grammar.parse(text, VIEW)
    assert found.interval == interval
    assert (found.problem is None) == (interval is not None)
    said = " ".join([*found.repairs, found.problem or ""]).strip()
    assert (told in said) if told else not said


@pytest.mark.parametrize("grammar", [FRAMES, SECONDS], ids=lambda each: each.name)
@given(text=st.text(max_size=60) | st.from_regex(r"(<t_\d{1,12}>|\d+\.?\d*|to| )*", fullmatch=True))
def test_nothing_raises(grammar: Timed, text: str) -> None:
    found = grammar.parse(text, VIEW)
    if found.interval is not None:
        assert 0 <= found.interval.start_s < found.interval.end_s <= VIEW.end_s
    assert grammar.parse(text, PICTURE).interval == Interval(0.0, 1.0)


@given(start=st.integers(0, 15), count=st.integers(1, 16))
def test_frames_come_back_as_they_are(start: int, count: int) -> None:
    interval = VIEW.interval(start, min(start + count, 16))
    assert FRAMES.parse(FRAMES.render(interval, VIEW), VIEW).interval == interval


@given(start_s=st.floats(0, 19.8), length_s=st.floats(0.11, 20))
def test_seconds_come_back_to_a_twentieth(start_s: float, length_s: float) -> None:
    interval = Interval(start_s, min(start_s + length_s, 20.0))
    found = SECONDS.parse(SECONDS.render(interval, LONG), LONG).interval
    assert found is not None
    assert abs(found.start_s - interval.start_s) <= 0.1 + 1e-9
    assert abs(found.end_s - interval.end_s) <= 0.1 + 1e-9


@pytest.mark.parametrize("grammar", [FRAMES, SECONDS], ids=lambda each: each.name)
@pytest.mark.parametrize("view", [VIEW, RAGGED, PICTURE], ids=["video", "ragged", "picture"])
@given(data=st.data())
def test_every_way_of_the_grammar_is_a_rendered_answer(
    grammar: Timed, view: View, data: Any
) -> None:
    place, text = grammar.grammar(view, Vocabulary(Letters())), ""
    while place.allowed and place.allowed != (0,):
        token = data.draw(st.sampled_from([each for each in place.allowed if each]))
        place, text = place.after(token), text + chr(token)
    found = grammar.parse(text, view)
    assert found.interval is not None
    assert not found.repairs
    assert grammar.render(found.interval, view) == text


def of_whole_times(view: View, vocabulary: Vocabulary) -> Position:
    """The grammar of seconds with every time that may be written as an alternative."""
    times = [f" {tenths / 10:.1f}s" for tenths in range(math.ceil(view.end_s * 10 - 1e-6) + 1)]

    def slot(taken: tuple[str, ...]) -> Literal | Choice | None:
        heads = (Literal("From"), Choice(tuple(times[:-1])), Literal(" to"))
        if len(taken) < 3:
            return heads[len(taken)]
        later = times[times.index(taken[1]) + 1 :]
        return (Choice(tuple(later)), Literal("."), None)[len(taken) - 3]

    return begin(slot, vocabulary)


def byte_pairs() -> Any:
    """A tokenizer of real models' kind; they are not needed for the other tests."""
    from tests.text.tokenizers_for_tests import byte_pairs

    return byte_pairs()


def lasting(end_s: float) -> View:
    return View([0.0, end_s / 2], [0.0, end_s / 2, end_s], (64, 64), (64, 64))


@pytest.mark.parametrize("tokenizer", [Letters, byte_pairs])
@pytest.mark.parametrize("end_s", [0.05, 2.0, 2.06, 10.2])
def test_the_same_tokens_as_with_whole_times(end_s: float, tokenizer: Callable[[], Any]) -> None:
    vocabulary = Vocabulary(tokenizer())
    view = lasting(end_s)
    pairs = [(SECONDS.grammar(view, vocabulary), of_whole_times(view, vocabulary))]
    ends = 0
    while pairs:
        place, expected = pairs.pop()
        assert place.allowed == expected.allowed
        pairs += [(place.after(token), expected.after(token)) for token in expected.allowed]
        ends += not expected.allowed
    last = max(math.ceil(end_s * 10 - 1e-6), 1)
    assert ends == last * (last + 1) / 2  # every pair of times


@given(tenths=st.integers(1, 1300), data=st.data())
def test_the_same_tokens_on_any_way(tenths: int, data: Any) -> None:
    vocabulary, view = Vocabulary(Letters()), lasting(tenths / 10)
    place, expected = SECONDS.grammar(view, vocabulary), of_whole_times(view, vocabulary)
    while expected.allowed:
        assert place.allowed == expected.allowed
        token = data.draw(st.sampled_from(expected.allowed))
        place, expected = place.after(token), expected.after(token)
    assert not place.allowed


def test_an_hour_takes_no_more_pieces_of_text_than_a_minute() -> None:
    asked: list[str] = []

    class Counting(Letters):
        def __call__(self, texts: list[str], add_special_tokens: bool) -> Any:
            asked.extend(texts)
            return super().__call__(texts, add_special_tokens)

    place, text = SECONDS.grammar(lasting(3600.0), Vocabulary(Counting())), ""
    for sign in "From 59.5s to 3599.9s.":
        place, text = place.after(ord(sign)), text + sign
    assert not place.allowed
    # " 0" to " 9", "0" to "9", "0s" to "9s", the point, "From" and " to"
    assert len(asked) == len(set(asked)) <= 33


def test_a_prompt_says_what_is_shown_where_the_grammar_is_not_trained() -> None:
    assert FRAMES.instruction(LONG) == ""
    said = SECONDS.instruction(LONG)
    assert "lasts 20.00 seconds" in said
    assert "2 frames of it are shown, at 5.00s, 15.00s." in said
    assert "Found." in SECONDS.instruction(PICTURE)


def test_grammars_are_found_by_name() -> None:
    assert [find_timed(name).name for name in available_timed()] == ["frames", "seconds"]
    with pytest.raises(UsageError, match="did you mean 'frames'"):
        find_timed("frame")

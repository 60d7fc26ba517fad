"""STVG-o1's grammar in both spellings: inverse, units, decoding kept to it, the fallback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stvg.text import Parsed, View, Vocabulary, find_codec, prompt_of
from stvg.text.drafted import Drafted
from stvg.types import Interval, Query, Tube
from tests.text.test_fuzz import PIECES, check
from tests.text.tokenizers_for_tests import byte_pairs
from tests.text.views import Scene, scenes

VIEW = View(np.arange(8) + 0.5, np.arange(9.0), (200, 100), (100, 50), 2)
TUBE = Tube(Interval(2.0, 4.0), [3.0], [[20, 20, 60, 40]])
DRAFT = Tube(Interval(2.0, 4.0), [2.0, 4.0 - 1e-9], [[20, 20, 60, 40], [24, 20, 64, 40]])
SPELLINGS = ("o1", "o1_compact")
UNITS = {"o1": 1000, "o1_compact": 100}


def codec_of(name: str) -> Drafted:
    codec = find_codec(name)
    assert isinstance(codec, Drafted)
    return codec


def fresh_words() -> Any:
    """The vocabulary of the embedded model."""
    pytest.importorskip("transformers", reason="the models extra is not installed")
    from stvg.train.fresh import fresh_tokenizer

    return fresh_tokenizer()


def test_answers_look_as_documented() -> None:
    # seconds 2, 3, 4; thousandths of 200 x 100; the draft moves by 4 px = 20 thousandths in 2 s
    assert codec_of("o1").render(TUBE, VIEW, DRAFT) == (
        "<time>2 - 4</time>\n"
        "<think_bbox>2.[100, 200, 300, 400], 3.[110, 200, 310, 400], 4.[120, 200, 320, 400]"
        "</think_bbox>\n"
        "<pred_bbox>2.[100, 200, 300, 400], 3.[100, 200, 300, 400], 4.[100, 200, 300, 400]"
        "</pred_bbox>"
    )
    # one step of two frames, whose box stands for 3 s: the draft there is at 22 px = 11 percent
    assert codec_of("o1_compact").render(TUBE, VIEW, DRAFT) == (
        "<time> <t_2> <t_4> </time> <think> <t_2> 11 20 31 40 </think> "
        "<box> <t_2> 10 20 30 40 </box>"
    )


@pytest.mark.parametrize("name", SPELLINGS)
@settings(max_examples=120, deadline=None)
@given(scene=scenes(), other=scenes())
def test_what_is_rendered_is_read_back(name: str, scene: Scene, other: Scene) -> None:
    codec, view = codec_of(name), scene.view
    times = scene.tube.times_s
    drafted = np.resize(other.tube.boxes / np.tile(other.view.size, 2), (len(times), 4))
    draft = Tube(scene.tube.interval, times, drafted * np.tile(view.size, 2))
    text = codec.render(scene.tube, view, draft)
    parsed = codec.parse(text, view)
    assert (parsed.repairs, parsed.problem) == ((), None)
    assert parsed.tube is not None
    assert parsed.draft is not None
    assert parsed.draft.tube is not None
    for each, true in ((parsed, scene.tube), (parsed.draft, draft)):
        assert each.tube is not None
        assert each.interval == each.tube.interval == parsed.interval
        assert each.form.lacks is each.form.unmatched is each.form.fault is None
        assert each.form.steps_s == tuple(each.tube.times_s)
        wanted = np.stack([np.interp(each.tube.times_s, true.times_s, c) for c in true.boxes.T], 1)
        unit = np.tile(view.size, 2) / UNITS[name]
        assert (np.abs(each.tube.boxes - wanted) <= unit + 1e-6).all()  # thin boxes: one unit
    assert codec.render(parsed.tube, view, parsed.draft.tube) == text


@settings(max_examples=100, deadline=None)
@given(scene=scenes())
def test_ends_are_at_most_half_a_step_off(scene: Scene) -> None:
    parsed = codec_of("o1").parse(codec_of("o1").render(scene.tube, scene.view), scene.view)
    assert parsed.interval is not None
    step_s = max(1, int(np.ceil(scene.view.end_s / 30)))
    true = scene.tube.interval
    assert abs(parsed.interval.start_s - true.start_s) <= step_s
    assert abs(parsed.interval.end_s - true.end_s) <= step_s
    assert len(parsed.form.steps_s) <= 31


@pytest.mark.parametrize(
    ("start_s", "end_s", "span", "read"),
    [
        (2.0, 6.0, "2 - 6", (2.0, 6.0)),
        (2.4, 6.4, "2 - 6", (2.0, 6.0)),
        # within a second: the time nearest to step 5, 4.5 to 5.5 s; for 4.5 to 5.5 s that fits
        # wholly, and 4 - 5, its rounded ends, by 0.5 of 1.5 s
        (5.0, 5.5, "5 - 5", (4.5, 5.5)),
        (4.6, 5.4, "5 - 5", (4.5, 5.5)),
        (4.5, 5.5, "5 - 5", (4.5, 5.5)),
        (0.0, 0.3, "0 - 0", (0.0, 0.5)),
        (7.9, 8.0, "8 - 8", (7.5, 8.0)),
        (0.0, 8.0, "0 - 8", (0.0, 8.0)),
    ],
)
def test_intervals_on_whole_seconds(
    start_s: float, end_s: float, span: str, read: tuple[float, float]
) -> None:
    tube = Tube(Interval(start_s, end_s), [start_s], [[0, 0, 200, 100]])
    text = codec_of("o1").render(tube, VIEW)
    assert text.startswith(f"<time>{span}</time>")
    assert codec_of("o1").parse(text, VIEW).interval == Interval(*read)


def test_long_videos_have_longer_steps() -> None:
    # 61 s: steps of ceil(61 / 30) = 3 s, the last one, 20, is written 60 and stands for 61 s
    view = View(np.arange(61) + 0.5, np.arange(62.0), (200, 100), (100, 50), 2)
    tube = Tube(Interval(54.0, 61.0), [60.0], [[0, 0, 200, 100]])
    text = codec_of("o1").render(tube, view)
    assert text.startswith("<time>54 - 60</time>\n<think_bbox>54.[0, 0, 1000, 1000], 57.[")
    assert codec_of("o1").parse(text, view).interval == Interval(54.0, 61.0)
    assert "from 0 to 60, in steps of 3" in codec_of("o1").instruction(view)
    wrong = codec_of("o1").parse(text.replace("57.", "58."), view)
    assert wrong.form.unmatched == "no box for 1 of 3 steps; 1 of 3 boxes left out"


@pytest.mark.parametrize(
    ("name", "tokenizer"),
    [("o1", byte_pairs), ("o1_compact", byte_pairs), ("o1_compact", fresh_words)],
)
@settings(max_examples=25, deadline=None)
@given(scene=scenes())
def test_the_grammar_writes_what_is_rendered(
    name: str, tokenizer: Callable[[], Any], scene: Scene
) -> None:
    codec, vocabulary = codec_of(name), Vocabulary(tokenizer())
    text = codec.render(scene.tube, scene.view)
    place = codec.grammar(scene.view, vocabulary)
    for token in tokenizer()(text, add_special_tokens=False)["input_ids"]:
        place = place.after(token)
    assert place.allowed == ()


@pytest.mark.parametrize(
    ("name", "tokenizer"),
    [("o1", byte_pairs), ("o1_compact", byte_pairs), ("o1_compact", fresh_words)],
)
@settings(max_examples=25, deadline=None)
@given(scene=scenes(), data=st.data())
def test_whatever_the_grammar_allows_is_in_form(
    name: str, tokenizer: Callable[[], Any], scene: Scene, data: st.DataObject
) -> None:
    codec, vocabulary = codec_of(name), Vocabulary(tokenizer())
    place, tokens = codec.grammar(scene.view, vocabulary), []
    random = data.draw(st.randoms(use_true_random=False))
    while place.allowed:
        token = random.choice(place.allowed)
        tokens.append(token)
        place = place.after(token)
    parsed = codec.parse(tokenizer().decode(tokens), scene.view)
    assert parsed.problem is None
    assert (parsed.form.fault, parsed.form.lacks, parsed.form.unmatched) == (None, None, None)
    assert parsed.draft is not None
    assert parsed.draft.form.unmatched is None


def test_the_compact_spelling_costs_few_tokens() -> None:
    # 6 tags, 2 ends, 5 tokens a box and list; chosen are the ends and 4 numbers a box and list
    tokenizer = fresh_words()
    tube = Tube(Interval(0.0, 8.0), [1.0], [[20, 20, 60, 40]])  # 4 steps
    place = codec_of("o1_compact").grammar(VIEW, Vocabulary(tokenizer))
    text = codec_of("o1_compact").render(tube, VIEW)
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    chosen = 0
    for token in tokens:
        chosen += len(place.allowed) > 1
        place = place.after(token)
    assert len(tokens) == 6 + 2 + 5 * 4 * 2
    assert chosen == 2 + 4 * 4 * 2


def test_the_draft_stands_in_for_missing_boxes_only_when_asked() -> None:
    text = "<time>2 - 2</time><think_bbox>2.[100, 200, 300, 400]</think_bbox><pred_bbox>"
    parsed = codec_of("o1").parse(text, VIEW)
    assert parsed.tube is None
    assert parsed.problem == "there is no box"
    used = parsed.or_draft()
    assert used.tube is not None
    assert used.tube.boxes.tolist() == [[20, 20, 60, 40]]
    assert used.repairs[-1] == "took the draft for the answer: there is no box"
    whole = codec_of("o1").parse(f"{text}2.[0, 0, 9, 9]</pred_bbox>", VIEW)
    assert whole.or_draft() is whole
    nothing = codec_of("o1").parse("", VIEW)
    assert nothing.or_draft() is nothing
    without = Parsed(None, None, problem="no boxes")
    assert without.or_draft() is without


def test_prompts() -> None:
    prompt = prompt_of(Query("the dog jumps"), codec_of("o1"), VIEW)
    assert '"the dog jumps"' in prompt
    assert "a video of 8.0 s" in prompt
    assert "from 0 to 8, in steps of 1" in prompt
    assert "<time>first - last</time>\n<think_bbox>i.[x1, y1, x2, y2], ..." in prompt
    assert "whole numbers from 0 to 1000" in prompt
    assert prompt_of(Query("the dog jumps"), codec_of("o1_compact"), VIEW) == "the dog jumps"
    # a model that copies the words gives a reason, not a tube
    assert codec_of("o1").parse(prompt, VIEW).tube is None


TAGS = st.sampled_from(
    ["<time>", "</time>", "<think_bbox>", "</think bbox>", "<pred_bbox>", "</pred_bbox>", "<box>",
     "</box>", "2 - 4", "<t_2> <t_4>", "2.[100, 200, 300, 400]", ", ", "<t_2> 10 20 30 40", "3.["]
)  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
@settings(max_examples=400, deadline=None)
@given(text=st.text() | st.lists(PIECES | TAGS, max_size=40).map("".join))
def test_any_text(name: str, text: str) -> None:
    parsed = codec_of(name).parse(text, VIEW)
    check(parsed, VIEW)
    assert parsed.draft is not None
    check(parsed.draft, VIEW)
    check(parsed.or_draft(), VIEW)


@pytest.mark.parametrize("name", SPELLINGS)
@settings(max_examples=100, deadline=None)
@given(scene=scenes(), data=st.data())
def test_answers_with_errors_in_them(name: str, scene: Scene, data: st.DataObject) -> None:
    text = codec_of(name).render(scene.tube, scene.view)
    for _ in range(data.draw(st.integers(1, 5))):
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        text = text[:start] + data.draw(PIECES | TAGS) + text[min(end, start + 9) :]
    parsed = codec_of(name).parse(text, scene.view)
    check(parsed, scene.view)
    assert parsed.draft is not None
    check(parsed.draft, scene.view)

"""Whatever the text, parsing gives an answer or a reason, and in time that grows with the text."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stvg.text import Parsed, View, find_codec
from tests.text.views import Scene, scenes

CODECS = ("compact", "qwen2_5_json", "thousandths_json")
VIEW = View(np.arange(8) + 0.5, np.arange(9.0), (200, 100), (100, 50), 2)


def check(parsed: Parsed, view: View) -> None:
    """What holds for every answer."""
    assert (parsed.tube is None) == (parsed.problem is not None)
    if parsed.interval is not None:
        assert 0 <= parsed.interval.start_s < parsed.interval.end_s <= view.end_s
    if parsed.tube is not None:
        assert parsed.interval == parsed.tube.interval
        sides = parsed.tube.boxes[:, 2:] - parsed.tube.boxes[:, :2]
        assert (sides > 0).all()
        assert (parsed.tube.boxes >= 0).all()
        assert (parsed.tube.boxes <= [*view.size, *view.size]).all()


SIGNS = [
    *"{}[]():,\"' \n\\`#<>-.0123456789", "time", "boxes", "bbox_2d", "start", "end", "frame",
    '"time": [', '"bbox_2d": [1, 2, 30, 40]', '{"time": 3.0, "bbox_2d": [10, 10, 30, 20]}',
    "<t_3>", "<t_", " 20", "1e999", "NaN", "null", "2.5s", "00:02", " to ", "<think>",
    "</think>", "<answer>", "```json", "//", "(1,2),(30,40)", "狗", "\ud800", "\x00", "٣",
]  # fmt: skip
PIECES = st.sampled_from(SIGNS)


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=300, deadline=None)
@given(text=st.text() | st.lists(PIECES, max_size=60).map("".join))
@example(text="\ud800")
@example(text="²")  # a digit for str.isdigit, not for float
@example(text="<t_٣> <t_٥> : <t_٤> ١٠ ٢٠ ٣٠ ٤٠")  # Arabic digits are numbers
def test_any_text(name: str, text: str) -> None:
    check(find_codec(name).parse(text, VIEW), VIEW)


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=200))
def test_any_bytes(name: str, raw: bytes) -> None:
    check(find_codec(name).parse(raw.decode("latin-1"), VIEW), VIEW)


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=150, deadline=None)
@given(scene=scenes(), data=st.data())
def test_answers_with_errors_in_them(name: str, scene: Scene, data: st.DataObject) -> None:
    codec = find_codec(name)
    text = codec.render(scene.tube, scene.view)
    for _ in range(data.draw(st.integers(1, 6))):
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        middle = data.draw(st.sampled_from(["", text[start:end] * 2]) | PIECES)
        text = text[:start] + middle + text[min(end, start + 9) :]
    check(codec.parse(text, scene.view), scene.view)


LONG = [
    # each part repeated until the text has 50,000 characters
    "1", "1:", "1.", "(1", "(1,", " ", "\n", '"', "'", "\\", "'x", "[", "{", "[[1,2,3,4],", "]",
    '{"a":', "<think>", "</think>", "<answer>", "<t_1", "<t_1> ", "t_", "<t_1> <t_2> : ", "1 to ",
    "1s - ", "a", "#", "//", ":", "`", "-", "[1 ", "{'a' 'b' ",
]  # fmt: skip


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("part", LONG)
def test_long_texts_take_no_longer_than_they_are(name: str, part: str) -> None:
    text = f"{{{part * (50_000 // len(part))}"
    begun = time.process_time()
    check(find_codec(name).parse(text, VIEW), VIEW)
    check(find_codec(name).parse(text[1:], VIEW), VIEW)
    assert (
        time.process_time() - begun < 2
    )  # at most 0.4; what grows with the square takes more than 5

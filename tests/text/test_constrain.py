"""Token automata: what is allowed, what is forced, and that the grammars write what is read."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stvg.errors import UsageError
from stvg.text import Position, View, Vocabulary, as_logits_processor, find_codec
from stvg.text.constrain import Choice, Grammar, Literal, begin
from tests.text.tokenizers_for_tests import STOP, byte_pairs, transformers, words
from tests.text.views import Scene, scenes

PAIRS: list[tuple[str, Callable[[], Any]]] = [
    ("compact", words),
    ("compact", byte_pairs),
    ("qwen2_5_json", byte_pairs),
    ("thousandths_json", byte_pairs),
]


class Letters:
    """One token a letter."""

    eos_token_id: int | None = 0

    def __call__(self, texts: list[str], *, add_special_tokens: bool) -> dict[str, Any]:
        assert not add_special_tokens
        return {"input_ids": [[ord(sign) for sign in text] for text in texts]}


def grammar_of(*slots: Literal | Choice) -> Grammar:
    """These slots, one after the other."""
    return lambda taken: slots[len(taken)] if len(taken) < len(slots) else None


def walk(place: Position, text: str) -> Position:
    for sign in text:
        place = place.after(ord(sign))
    return place


def letters(place: Position) -> str:
    return "".join(map(chr, place.allowed))


LETTERS = Vocabulary(Letters())


def test_a_literal_is_forced_token_by_token() -> None:
    place = begin(grammar_of(Literal("ab")), LETTERS)
    assert letters(place) == "a"
    assert letters(walk(place, "a")) == "b"
    assert walk(place, "ab").allowed == ()


def test_a_choice_is_forced_where_alternatives_agree() -> None:
    place = begin(grammar_of(Choice(("dog", "dot", "cat")), Literal("!")), LETTERS)
    assert letters(place) == "cd"
    assert letters(walk(place, "d")) == "o"
    assert letters(walk(place, "do")) == "gt"
    assert letters(walk(place, "c")) == "a"  # one alternative is left
    assert letters(walk(place, "cat")) == "!"


def test_later_slots_see_what_was_chosen() -> None:
    def slot(taken: tuple[str, ...]) -> Literal | Choice | None:
        if len(taken) < 2:
            return Choice(("1", "2", "3")) if not taken else Literal(taken[0] * 2)
        return None

    assert letters(walk(begin(slot, LETTERS), "3")) == "3"
    assert walk(begin(slot, LETTERS), "333").allowed == ()


def test_an_alternative_that_begins_another_may_end_or_go_on() -> None:
    place = begin(grammar_of(Choice(("5", "52", "7")), Literal(" x")), LETTERS)
    assert letters(walk(place, "5")) == " 2"
    assert letters(walk(place, "5 ")) == "x"
    assert letters(walk(place, "52")) == " "
    assert letters(walk(place, "7")) == " "


def test_at_the_end_such_an_alternative_allows_the_stop_token() -> None:
    place = begin(grammar_of(Choice(("5", "52"))), LETTERS).after(ord("5"))
    assert place.allowed == (0, ord("2"))
    assert place.after(0).allowed == ()
    assert place.after(ord("2")).allowed == ()


def test_without_a_stop_token_that_is_refused() -> None:
    mute = Letters()
    mute.eos_token_id = None
    place = begin(grammar_of(Choice(("5", "52"))), Vocabulary(mute)).after(ord("5"))
    with pytest.raises(UsageError, match="give it one as Vocabulary"):
        _ = place.allowed
    given_one = begin(grammar_of(Choice(("5", "52"))), Vocabulary(mute, stop=9)).after(ord("5"))
    assert given_one.allowed == (9, ord("2"))


def test_what_is_not_allowed_is_refused() -> None:
    place = begin(grammar_of(Choice(("ab", "cd"))), LETTERS)
    with pytest.raises(UsageError, match=r"expected one of 2 tokens \(97, 99\) here, found 98"):
        place.after(ord("b"))
    with pytest.raises(UsageError, match="the answer is over, found 97"):
        walk(place, "ab").after(97)
    with pytest.raises(UsageError, match="expected one of 2 tokens"):  # the end is not there yet
        place.after(0)


def test_places_are_immutable() -> None:
    place = begin(grammar_of(Choice(("ab", "cd"))), LETTERS)
    walk(place, "cd")
    assert letters(place) == "ac"
    assert letters(walk(place, "a")) == "b"


def test_alternatives_must_differ() -> None:
    with pytest.raises(UsageError, match="differ in their tokens"):
        begin(grammar_of(Choice(())), LETTERS)
    with pytest.raises(UsageError, match="differ in their tokens"):
        begin(grammar_of(Choice(("1", " 1"))), Vocabulary(words()))  # spaces vanish


def test_vanishing_text_is_passed_over() -> None:
    vocabulary = Vocabulary(words())
    place = begin(grammar_of(Literal("  "), Literal("<t_3>"), Literal(" ")), vocabulary)
    assert place.allowed == vocabulary.tokens("<t_3>")
    assert place.after(place.allowed[0]).allowed == ()


def test_pieces_have_no_special_tokens() -> None:
    vocabulary = Vocabulary(words())
    assert vocabulary.stop == STOP
    assert vocabulary.tokens(" 17") == vocabulary.tokens("17") == (3 + 65 + 17,)
    assert vocabulary.tokens("") == ()
    with pytest.raises(UsageError, match="no tokens for 'dog 17'"):
        vocabulary.tokens("dog 17")


def test_json_cannot_be_written_in_words() -> None:
    view = View([0.5], [0.0, 1.0], (10, 10), (10, 10))
    with pytest.raises(UsageError, match="choose another answer grammar"):
        find_codec("thousandths_json").grammar(view, Vocabulary(words()))


@pytest.mark.parametrize(("name", "tokenizer"), PAIRS)
@settings(max_examples=60, deadline=None)
@given(scene=scenes())
def test_every_rendered_answer_is_allowed(
    name: str, tokenizer: Callable[[], Any], scene: Scene
) -> None:
    codec, view = find_codec(name), scene.view
    place = codec.grammar(view, Vocabulary(tokenizer()))
    text = codec.render(scene.tube, view)
    for token in tokenizer()(text, add_special_tokens=False)["input_ids"]:
        assert token in place.allowed
        place = place.after(token)
    assert place.allowed == () or STOP in place.allowed


@pytest.mark.parametrize(("name", "tokenizer"), PAIRS)
@settings(max_examples=60, deadline=None)
@given(scene=scenes(), seed=st.integers(0, 1000))
def test_every_allowed_answer_is_read_without_repairs(
    name: str, tokenizer: Callable[[], Any], scene: Scene, seed: int
) -> None:
    codec, view = find_codec(name), scene.view
    rng = np.random.default_rng(seed)
    place, tokens = codec.grammar(view, Vocabulary(tokenizer())), []
    while place.allowed:
        assert list(place.allowed) == sorted(set(place.allowed))
        tokens.append(int(rng.choice(place.allowed)))
        place = place.after(tokens[-1])
    text = tokenizer().decode(tokens, skip_special_tokens=True)
    parsed = codec.parse(text, view)
    assert (parsed.repairs, parsed.problem) == ((), None)
    assert parsed.tube is not None
    assert codec.render(parsed.tube, view) == text


def view_of(frames: int, apart_s: float = 0.5) -> View:
    """So many frames half a second apart, two a step."""
    return View(
        (np.arange(frames) + 0.5) * apart_s, np.arange(frames + 1) * apart_s, (640, 480), (64, 48)
    )


def test_all_but_the_picks_is_forced() -> None:
    view = view_of(32)
    place = find_codec("thousandths_json").grammar(view, Vocabulary(byte_pairs()))
    tokenizer = byte_pairs()
    boxes = ", ".join(
        f'{{"time": {step + 0.5:.1f}, "bbox_2d": [111, 111, 222, 222]}}' for step in range(16)
    )
    text = f'{{"time": [0.0, 16.0], "boxes": [{boxes}]}}'
    picks = []
    for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
        if len(place.allowed) > 1:
            picks.append(tokenizer.decode([token]))
        place = place.after(token)
    assert place.allowed == ()
    # The start is one of 0.0 to 15.5: "0" is picked, "." forced, "0" picked. The end is one of 0.5
    # to 16.0: "1" and "6" are picked, behind them only ".0" is left. Then three digits a number.
    assert picks[:4] == ["0", "0", "1", "6"]
    assert len(picks) == 4 + 16 * 12


def test_corners_stay_in_order_and_inside() -> None:
    vocabulary = Vocabulary(words())
    place = find_codec("compact").grammar(view_of(4), vocabulary)
    numbers = {token: text for text in map(str, range(101)) for token in vocabulary.tokens(text)}

    def allowed() -> list[int]:
        return sorted(int(numbers[token]) for token in place.allowed)

    for piece in ("<t_1>", "<t_3>", ":", "<t_0>"):  # frames 1 and 2: steps 0 and 1
        place = place.after(*vocabulary.tokens(piece))
    assert allowed() == list(range(100))  # x1
    place = place.after(*vocabulary.tokens("98"))
    place = place.after(*vocabulary.tokens("40"))
    assert allowed() == [99, 100]  # x2 behind x1
    place = place.after(*vocabulary.tokens("99"))
    assert allowed() == list(range(41, 101))  # y2 below y1
    place = place.after(*vocabulary.tokens("100"))
    assert place.allowed == vocabulary.tokens("<t_2>")


def test_ends_lie_behind_starts() -> None:
    vocabulary = Vocabulary(words())
    place = find_codec("compact").grammar(view_of(4), vocabulary)
    marks = [vocabulary.tokens(f"<t_{number}>")[0] for number in range(5)]
    assert list(place.allowed) == marks[:4]
    assert list(place.after(marks[2]).allowed) == marks[3:]
    assert list(place.after(marks[3]).allowed) == marks[4:]  # forced: the end of the video


def test_a_long_answer_takes_milliseconds() -> None:
    vocabulary = Vocabulary(byte_pairs())
    codec, view = find_codec("thousandths_json"), view_of(32)
    tube = codec.parse('{"time": [0, 16], "bbox_2d": [100, 100, 300, 400]}', view).tube
    assert tube is not None
    tokens = byte_pairs()(codec.render(tube, view), add_special_tokens=False)["input_ids"]
    assert len(tokens) > 500
    seconds = []
    for _ in range(3):  # the first one asks the tokenizer
        begun = time.process_time()
        place = codec.grammar(view, vocabulary)
        for token in tokens:
            assert place.allowed
            place = place.after(token)
        seconds.append(time.process_time() - begun)
    assert min(seconds) < 0.1  # about 0.006


def test_the_mask_leaves_the_scores_of_allowed_tokens() -> None:
    torch = pytest.importorskip("torch", reason="the models extra is not installed")
    place = begin(grammar_of(Choice(("ab", "cd"))), LETTERS)
    mask = as_logits_processor(place, prompt_length=2, stop=0)
    scores = torch.arange(2 * 128, dtype=torch.float32).reshape(2, 128)
    first = mask(torch.tensor([[7, 7], [8, 8]]), scores)
    assert torch.isfinite(first).nonzero().tolist() == [[0, 97], [0, 99], [1, 97], [1, 99]]
    assert first[1, 99] == scores[1, 99]
    second = mask(torch.tensor([[7, 7, 97], [8, 8, 99]]), scores)
    assert torch.isfinite(second).nonzero().tolist() == [[0, 98], [1, 100]]
    third = mask(torch.tensor([[7, 7, 97, 98], [8, 8, 99, 100]]), scores)
    assert torch.isfinite(third).nonzero().tolist() == [[0, 0], [1, 0]]  # only the stop token
    padded = mask(torch.tensor([[7, 7, 97, 98, 0, 5], [8, 8, 99, 100, 0, 5]]), scores)
    assert torch.isfinite(padded).nonzero().tolist() == [[0, 0], [1, 0]]  # over stays over


def test_each_prompt_may_have_a_grammar_and_several_rows() -> None:
    torch = pytest.importorskip("torch", reason="the models extra is not installed")
    starts = [begin(grammar_of(Literal(text)), LETTERS) for text in ("a", "b")]
    mask = as_logits_processor(starts, prompt_length=1, stop=0)
    allowed = torch.isfinite(mask(torch.full((4, 1), 7), torch.zeros(4, 128))).nonzero()
    assert allowed[:, 1].tolist() == [97, 97, 98, 98]


@pytest.mark.parametrize("options", [{"do_sample": True}, {"num_beams": 3, "do_sample": False}])
def test_generate_of_transformers_keeps_to_the_grammar(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="the models extra is not installed")
    torch.manual_seed(0)
    tokenizer = words()
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, eos_token_id=STOP, pad_token_id=0,
    )  # fmt: skip
    model = transformers.Qwen2ForCausalLM(config).eval()
    codec, view = find_codec("compact"), view_of(6)
    prompts = torch.tensor([[70, 71, 72], [80, 81, 82]])
    start = codec.grammar(view, Vocabulary(tokenizer))
    rows = model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        logits_processor=[as_logits_processor(start, 3, STOP)],
        max_new_tokens=40,
        **options,
    )
    for row in rows:
        parsed = codec.parse(tokenizer.decode(row[3:], skip_special_tokens=True), view)
        assert (parsed.repairs, parsed.problem) == ((), None)
        assert STOP in row

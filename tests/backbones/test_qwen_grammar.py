"""Answers along a grammar: against the plain forward of the real class with masks made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stvg.backbones.choosing import log_probabilities_among
from stvg.backbones.positions import Block, positions, token_types
from stvg.backbones.preprocess import normalise
from stvg.backbones.qwen import QwenBackbone
from stvg.errors import UsageError
from tests.backbones.grammars import Row, Wild
from tests.backbones.tiny_qwen import (
    EOS,
    IMAGE_PAD,
    PAD,
    VIDEO_PAD,
    framed,
    tiny_model,
    tiny_tokenizer,
    torch,
    video_of,
    words,
)

EXACT = 1e-5
SECONDS = 3.0
PROMPT = [*words(1, 4), *framed(36), *words(2, 3)]  # a video of three steps
QUESTIONS = [words(3, 5), words(4, 2), words(5, 9)]
SEEDS = [1, 2, 3]


@pytest.fixture(scope="module")
def backbone() -> QwenBackbone:
    return QwenBackbone(tiny_model(), tiny_tokenizer())


@pytest.fixture(scope="module")
def pixels(backbone: QwenBackbone) -> Any:
    return video_of(backbone)


@pytest.fixture(scope="module")
def asked(backbone: QwenBackbone, pixels: Any) -> Any:
    """Three questions on a video."""
    with torch.no_grad():
        video = backbone.encode_video(*pixels, seconds_per_step=SECONDS)
        return backbone.extend(backbone.prefill(PROMPT, [video]), QUESTIONS)


def full(backbone: QwenBackbone, pixels: Any, ids: list[int]) -> Any:
    """The plain forward of the class on everything."""
    rows, grid = pixels
    block = Block(tuple(grid[0].tolist()), SECONDS)
    at = positions(token_types(ids, IMAGE_PAD, VIDEO_PAD), [block], backbone.rule).ids
    return backbone.model(
        input_ids=torch.tensor([ids]),
        mm_token_type_ids=torch.from_numpy(token_types([ids], IMAGE_PAD, VIDEO_PAD)),
        pixel_values_videos=torch.from_numpy(normalise(rows, backbone.layout)),
        video_grid_thw=torch.from_numpy(grid),
        position_ids=torch.from_numpy(at),
        output_hidden_states=True,
    )


def masked_by_hand(logits: Any, place: Any, answer: Sequence[int]) -> Any:
    """Log-probabilities (L, V) at each token of an answer at the end of the logits (1, S, V)."""
    scores = logits[0, -len(answer) - 1 : -1]
    mask = torch.full_like(scores, -torch.inf)
    for number, token in enumerate(answer):
        allowed = place.allowed
        mask[number, list(allowed) or [EOS]] = 0.0
        place = place.after(token) if allowed else place
    return (scores + mask).log_softmax(-1)


def close(one: Any, two: Any, tolerance: float = EXACT) -> None:
    torch.testing.assert_close(one, two, rtol=0, atol=tolerance)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_answers_are_those_of_the_full_distribution_masked_by_hand(
    backbone: QwenBackbone, pixels: Any, asked: Any, seed: int, temperature: float
) -> None:
    grammar = Wild(seed)
    written = backbone.generate(
        asked, max_new_tokens=60, grammar=grammar, samples=2, temperature=temperature, hidden=True
    )
    assert len({len(answer) for answer in written.ids}) > 1 or temperature == 0  # out of step
    for row, answer in enumerate(written.ids):
        assert written.finished[row]
        with torch.no_grad():
            expected = full(backbone, pixels, PROMPT + QUESTIONS[row // 2] + list(answer))
        by_hand = masked_by_hand(expected.logits, grammar, answer)
        close(
            written.log_probs[row, : len(answer)],
            by_hand.gather(-1, torch.tensor(answer)[:, None])[:, 0],
        )
        forced = (by_hand > -torch.inf).sum(-1) == 1
        assert written.picked[row, : len(answer)].tolist() == (~forced).tolist()
        assert not written.log_probs[row][~written.picked[row]].any()
        close(written.hidden[row, : len(answer)], expected.hidden_states[-1][0, -len(answer) :])
        if temperature == 0:
            assert by_hand.argmax(-1).tolist() == list(answer)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("temperature", [0.0, 1.3])
@pytest.mark.parametrize("hidden", [False, True])
def test_jumping_writes_what_going_token_by_token_writes(
    backbone: QwenBackbone, asked: Any, seed: int, temperature: float, hidden: bool
) -> None:
    options = {
        "max_new_tokens": 60, "grammar": Wild(seed), "samples": 3, "temperature": temperature,
        "seed": 5, "hidden": hidden,
    }  # fmt: skip
    jumped = backbone.generate(asked, **options)
    walked = backbone.generate(asked, jump=False, **options)
    assert jumped.ids == walked.ids
    assert jumped.finished == walked.finished
    assert torch.equal(jumped.picked, walked.picked)
    close(jumped.log_probs, walked.log_probs)
    if hidden:
        close(jumped.hidden[jumped.mask], walked.hidden[walked.mask])


def test_calls_are_counted(backbone: QwenBackbone, asked: Any) -> None:
    """A call a token but the last, or a call a pick; here counted at the model."""
    two = (20, 21)
    grammar = Row((two, (30,), (31,), (32,), two, (33,), two, (34,)))
    seen = []
    hook = backbone.model.model.language_model.register_forward_pre_hook(
        lambda _, __, inputs: seen.append(inputs["inputs_embeds"].shape[1]), with_kwargs=True
    )
    try:
        jumped = backbone.generate(asked, max_new_tokens=20, grammar=grammar)
        assert seen == [3 * 4, 3 * 2]  # behind the last pick all is forced up to the end
        seen.clear()
        walked = backbone.generate(asked, max_new_tokens=20, grammar=grammar, jump=False)
        assert seen == [3] * 8
        seen.clear()
        late = backbone.generate(asked, max_new_tokens=20, grammar=Row(((30,), (31,), two)))
        assert seen == [3 * 2]  # what is forced first is read before the first pick
    finally:
        hook.remove()
    assert (jumped.calls, walked.calls, late.calls) == (2, 8, 1)
    assert jumped.ids == walked.ids


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("temperature", [0.0, 1.0, 0.7])
@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_log_probs_while_writing_are_those_while_scoring(
    backbone: QwenBackbone, asked: Any, seed: int, temperature: float, top_p: float
) -> None:
    grammar = [Wild(seed), Wild(seed + 10), Wild(seed + 20)]  # one a question
    written = backbone.generate(
        asked,
        max_new_tokens=25,
        grammar=grammar,
        samples=2,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
    )
    with torch.no_grad():
        scored = backbone.score(asked, written.ids, grammar=grammar, temperature=temperature or 1)
    close(scored.log_probs, written.log_probs)
    assert torch.equal(scored.picked, written.picked)
    assert torch.equal(scored.mask, written.mask)
    assert scored.finished == written.finished
    for row, answer in enumerate(written.ids):
        place = grammar[row // 2]
        for token in answer:
            assert token in (place.allowed or (EOS,))
            place = place.after(token) if place.allowed else place


def test_gradients_of_constrained_scores_are_those_by_hand(
    backbone: QwenBackbone, pixels: Any
) -> None:
    model, grammar = backbone.model, Wild(4)

    def ask() -> Any:
        video = backbone.encode_video(*pixels, seconds_per_step=SECONDS)
        return backbone.extend(backbone.prefill(PROMPT, [video]), QUESTIONS[:1])

    with torch.no_grad():
        answer = backbone.generate(ask(), max_new_tokens=60, grammar=grammar, temperature=1).ids[0]
    model.zero_grad()
    backbone.score(ask(), [answer], grammar=grammar, temperature=1).totals.sum().backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    logits = full(backbone, pixels, PROMPT + QUESTIONS[0] + list(answer)).logits
    by_hand = masked_by_hand(logits, grammar, answer)
    by_hand.gather(-1, torch.tensor(answer)[:, None]).sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            close(ours[name], parameter.grad, 1e-4)
    assert ours["lm_head.weight"].abs().max() > 1e-3
    model.zero_grad()


def test_a_row_does_not_depend_on_its_neighbours(backbone: QwenBackbone, asked: Any) -> None:
    """Neither on how long they are, nor on what they are forced to write meanwhile."""
    options = {"max_new_tokens": 60, "temperature": 1.0}
    together = backbone.generate(
        asked, grammar=[Wild(1), Row(((9,),)), Wild(3)], seed=[7, 8, 9], **options
    )
    for row, grammar in enumerate([Wild(1), Row(((9,),)), Wild(3)]):
        alone = backbone.generate(asked.selected([row]), grammar=grammar, seed=[7 + row], **options)
        assert alone.ids[0] == together.ids[row]
        close(alone.log_probs[0], together.log_probs[row, : len(alone.ids[0])])
    assert together.ids[1] == (9, EOS)


def test_nothing_to_write(backbone: QwenBackbone, asked: Any) -> None:
    """A grammar that is over at once, one that leaves no choice, and an answer of no tokens."""
    empty = backbone.generate(asked, max_new_tokens=5, grammar=Row(()))
    assert empty.ids == ((EOS,),) * 3
    assert empty.finished == (True,) * 3
    assert (empty.calls, empty.log_probs.tolist()) == (0, [[0.0]] * 3)
    forced = backbone.generate(asked, max_new_tokens=5, grammar=Row(((9,), (10,))))
    assert forced.ids == ((9, 10, EOS),) * 3
    assert (forced.calls, bool(forced.picked.any()), bool(forced.mask.all())) == (0, False, True)
    kept = backbone.generate(asked, max_new_tokens=5, grammar=Row(((9,), (10,))), hidden=True)
    assert (kept.calls, kept.hidden.shape[:2]) == (1, (3, 3))
    with torch.no_grad():
        scored = backbone.score(asked, forced.ids, grammar=Row(((9,), (10,))), hidden=True)
        assert backbone.score(asked, [[], [], []], grammar=Row(())).log_probs.shape == (3, 0)
    assert not scored.log_probs.any()
    close(scored.hidden, kept.hidden)


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 6, 7])
def test_the_limit_cuts_forced_tokens_too(backbone: QwenBackbone, asked: Any, limit: int) -> None:
    grammar = Row(((20, 21), (30,), (31,), (32,), (22, 23, 24), (33,)))
    whole = backbone.generate(asked, max_new_tokens=20, grammar=grammar)
    for jump in (True, False):
        cut = backbone.generate(asked, max_new_tokens=limit, grammar=grammar, jump=jump)
        assert cut.ids == tuple(answer[:limit] for answer in whole.ids)
        assert cut.finished == (limit == 7,) * 3
        close(cut.log_probs, whole.log_probs[:, :limit])
        with torch.no_grad():
            close(backbone.score(asked, cut.ids, grammar=grammar).log_probs, cut.log_probs)


def test_placeholders_stay_banned_inside_a_grammar(backbone: QwenBackbone, asked: Any) -> None:
    """Two allowed and one of them banned is forced; all banned cannot be written."""
    grammar = Row(((VIDEO_PAD, 20), (IMAGE_PAD, 20, 21)))
    written = backbone.generate(asked, max_new_tokens=9, grammar=grammar)
    assert {answer[0] for answer in written.ids} == {20}
    assert {answer[1] for answer in written.ids} <= {20, 21}
    assert written.picked.tolist() == [[False, True, False]] * 3
    with torch.no_grad():
        close(backbone.score(asked, written.ids, grammar=grammar).log_probs, written.log_probs)
    with pytest.raises(UsageError, match=f"allows only \\({IMAGE_PAD}, {VIDEO_PAD}\\) here"):
        backbone.generate(asked, max_new_tokens=9, grammar=Row(((IMAGE_PAD, VIDEO_PAD),)))
    free = backbone.generate(asked, max_new_tokens=9, grammar=Row(((VIDEO_PAD,),)), ban=False)
    assert free.ids == ((VIDEO_PAD, EOS),) * 3
    with pytest.raises(UsageError, match="holds the placeholder"):
        backbone.score(asked, free.ids, grammar=Row(((VIDEO_PAD,),)))


def test_a_grammar_may_leave_the_end_open(backbone: QwenBackbone, asked: Any) -> None:
    """A stop token among the allowed ones is a pick like others and ends the answer."""
    grammar = Row(((EOS, 20), (30,), (EOS, 21), (31,)))
    ended = backbone.generate(asked, max_new_tokens=9, grammar=grammar, samples=40, temperature=1)
    assert {len(answer) for answer in ended.ids} == {1, 3, 5}
    assert all(ended.finished)
    with torch.no_grad():
        scored = backbone.score(asked, ended.ids, grammar=grammar)
    close(scored.log_probs, ended.log_probs)
    first = slice(0, 40)  # the answers to one question, all that there are among them
    likely = dict(zip(ended.ids[first], ended.totals[first].exp().tolist(), strict=True))
    assert sum(likely.values()) == pytest.approx(1, abs=1e-4)


def test_which_token_ends_an_answer(backbone: QwenBackbone, asked: Any) -> None:
    """The tokenizer's own where it is among the stop tokens, otherwise the first of them."""
    options = {"max_new_tokens": 4, "grammar": Row(((9,),))}
    assert backbone.generate(asked, stop=[PAD, EOS], **options).ids[0] == (9, EOS)
    assert backbone.generate(asked, stop=[12, 11], **options).ids[0] == (9, 11)
    with torch.no_grad():
        assert backbone.score(asked, [(9, 11)] * 3, grammar=Row(((9,),)), stop=[12, 11]).finished
    with pytest.raises(UsageError, match="needs a token to end with"):
        backbone.generate(asked, stop=(), **options)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([9, 12], r"answer 1 leaves its grammar at token 1: expected one of \(10, 11\), found 12"),
        ([9, 10, 10], rf"at token 2: expected one of \({EOS},\), found 10"),
        ([9, 10, EOS, EOS], "at token 3: expected nothing behind its end"),
    ],
)
def test_answers_outside_their_grammar_are_refused(
    backbone: QwenBackbone, asked: Any, answer: list[int], message: str
) -> None:
    grammar = Row(((9,), (10, 11)))
    with pytest.raises(UsageError, match=message):
        backbone.score(asked, [[9, 10], answer, []], grammar=grammar)


def test_rows_without_a_grammar_stand_beside_rows_with_one(
    backbone: QwenBackbone, asked: Any
) -> None:
    options = {"max_new_tokens": 12, "temperature": 1.0, "stop": [EOS]}
    mixed = backbone.generate(asked, grammar=[None, Wild(1), None], seed=[7, 8, 9], **options)
    free = backbone.generate(asked, seed=[7, 8, 9], **options)
    bound = backbone.generate(asked, grammar=Wild(1), seed=[7, 8, 9], **options)
    assert mixed.ids == (free.ids[0], bound.ids[1], free.ids[2])
    assert mixed.picked[0, : len(free.ids[0])].all()
    with torch.no_grad():
        scored = backbone.score(asked, mixed.ids, grammar=[None, Wild(1), None])
    close(scored.log_probs, mixed.log_probs)
    nothing = backbone.generate(asked, grammar=[None, None, None], seed=[7, 8, 9], **options)
    assert nothing.ids == free.ids


def test_numbers_of_grammars(backbone: QwenBackbone, asked: Any) -> None:
    grammars = [Row(((20 + number,),)) for number in range(6)]
    each = backbone.generate(asked, max_new_tokens=3, samples=2, grammar=grammars)
    assert [answer[0] for answer in each.ids] == [20, 21, 22, 23, 24, 25]
    prompts = backbone.generate(asked, max_new_tokens=3, samples=2, grammar=grammars[:3])
    assert [answer[0] for answer in prompts.ids] == [20, 20, 21, 21, 22, 22]
    for wrong in ([], grammars[:4]):
        with pytest.raises(UsageError, match=f"found {len(wrong)} grammars"):
            backbone.generate(asked, max_new_tokens=3, samples=2, grammar=wrong)


def test_log_probabilities_among_by_hand() -> None:
    logits = torch.tensor([[0.0, np.log(3.0), 50.0, 7.0], [0.0, np.log(4.0), 50.0, 7.0]])
    tokens, found = log_probabilities_among(logits[:1], [(0, 1)])
    assert tokens.tolist() == [[0, 1]]
    close(found.exp(), torch.tensor([[0.25, 0.75]]))
    tokens, found = log_probabilities_among(logits, [(3,), (0, 1)], temperature=2.0)
    assert tokens[0, 0] == 3
    close(found.exp(), torch.tensor([[1.0, 0.0], [1 / 3, 2 / 3]]))

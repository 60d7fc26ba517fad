"""Prompts of different videos in one batch, and prompts that are kept once for many answers.

The expected numbers are those of one prompt and one answer at a time, which ``test_qwen`` compares
with the real class.
"""

from __future__ import annotations

from typing import Any

import pytest

from stvg.backbones.answer_cache import AnswerCache, answers_attention
from stvg.backbones.positions import IMAGE
from stvg.backbones.qwen import QwenBackbone
from stvg.errors import UsageError
from tests.backbones.grammars import Wild
from tests.backbones.tiny_qwen import (
    IMAGE_PAD,
    VIDEO_PAD,
    framed,
    tiny_model,
    tiny_tokenizer,
    torch,
    video_of,
    words,
)

EXACT = 1e-5
PROMPTS = [
    [*words(1, 4), *framed(36), *words(2, 3)],  # a video of three steps
    [*words(3, 9), *framed(12), 20, *framed(12, IMAGE_PAD), *words(4, 1)],  # a video, an image
    words(5, 6),  # text only
    [*framed(36), *words(6, 12)],  # the first video again
]
QUESTIONS = [words(7, 5), words(8, 2), words(9, 9), words(10, 1)]


@pytest.fixture(scope="module")
def backbone() -> QwenBackbone:
    return QwenBackbone(tiny_model(), tiny_tokenizer())


@pytest.fixture(scope="module")
def features(backbone: QwenBackbone) -> Any:
    """Images and videos of each of the prompts."""
    with torch.no_grad():
        long = backbone.encode_video(*video_of(backbone), seconds_per_step=3.0)
        short = backbone.encode_video(*video_of(backbone, count=2, seed=1), seconds_per_step=1.0)
        image = backbone.encode_video(*video_of(backbone, count=1, seed=2), kind=IMAGE)
    return [[long], [short, image], [], [long]]


@pytest.fixture(scope="module")
def batch(backbone: QwenBackbone, features: Any) -> Any:
    with torch.no_grad():
        return backbone.prefill_batch(PROMPTS, features, hidden=True)


@pytest.fixture(scope="module")
def singles(backbone: QwenBackbone, features: Any) -> Any:
    with torch.no_grad():
        return [
            backbone.prefill(ids, own, hidden=True)
            for ids, own in zip(PROMPTS, features, strict=True)
        ]


class OnlyBegins:
    """A grammar that fails behind its first choice."""

    allowed = (20, 21)


def close(one: Any, two: Any, tolerance: float = EXACT) -> None:
    torch.testing.assert_close(one, two, rtol=0, atol=tolerance)


def test_prompts_read_together_equal_prompts_read_alone(batch: Any, singles: Any) -> None:
    assert (len(batch), batch.length) == (4, max(map(len, PROMPTS)))
    for row, alone in enumerate(singles):
        length = len(PROMPTS[row])
        close(batch.hidden[row, :length], alone.hidden[0])
        close(batch.last_hidden[row], alone.last_hidden[0])
        assert batch.following[row] == alone.following[0]
        assert batch.mask[row].tolist() == [True] * length + [False] * (batch.length - length)
        for (keys, values), (own_keys, own_values) in zip(
            batch.key_values, alone.key_values, strict=True
        ):
            close(keys[row, :, :length], own_keys[0])
            close(values[row, :, :length], own_values[0])


def test_prompts_of_one_length_need_no_mask(backbone: QwenBackbone, features: Any) -> None:
    with torch.no_grad():
        found = backbone.prefill_batch([PROMPTS[0]] * 2, [features[0], features[3]])
    assert found.mask is None
    close(found.last_hidden[0], found.last_hidden[1])


def test_a_batch_goes_on_as_its_prompts_do(
    backbone: QwenBackbone, batch: Any, singles: Any
) -> None:
    """Extended twice, answered and scored: what stands in the padding must not be seen."""
    texts = [[9], [], [10, 11], [12]]
    options = {"max_new_tokens": 30, "temperature": 1.0, "samples": 2, "grammar": Wild(2)}
    with torch.no_grad():
        asked = backbone.extend(backbone.extend(batch, QUESTIONS), texts)
        written = backbone.generate(asked, seed=range(8), hidden=True, **options)
        scored = backbone.score(asked, written.ids, grammar=Wild(2), hidden=True)
        close(scored.log_probs, written.log_probs)
        for row, alone in enumerate(singles):
            one = backbone.extend(alone, [QUESTIONS[row] + texts[row]])
            close(asked.last_hidden[row], one.last_hidden[0])
            answers = slice(2 * row, 2 * row + 2)
            own = backbone.generate(one, seed=[2 * row, 2 * row + 1], hidden=True, **options)
            assert own.ids == written.ids[answers]
            longest = own.mask.shape[1]
            close(own.log_probs, written.log_probs[answers, :longest])
            close(own.hidden[own.mask], written.hidden[answers][written.mask[answers]])
            close(scored.hidden[answers][scored.mask[answers]], own.hidden[own.mask])


def test_several_questions_on_each_of_several_videos(
    backbone: QwenBackbone, batch: Any, singles: Any
) -> None:
    """Rows share prompts in groups; any of them can be picked out."""
    questions = [*QUESTIONS, *reversed(QUESTIONS)]  # two a prompt
    with torch.no_grad():
        asked = backbone.extend(batch, questions)
        again = backbone.extend(asked, [[9, 10]] * 8)
        picked = again.selected([7, 0, 3, 3, -2])
        written = backbone.generate(again, max_new_tokens=6, samples=2, stop=())
        chosen = backbone.generate(picked, max_new_tokens=6, stop=())
        for row, question in enumerate(questions):
            one = backbone.extend(singles[row // 2], [[*question, 9, 10]])
            alone = backbone.generate(one, max_new_tokens=6, stop=())
            assert written.ids[2 * row] == written.ids[2 * row + 1] == alone.ids[0]
            close(written.log_probs[2 * row], alone.log_probs[0])
        answers = [[11, 12, 13]] * 10  # two a picked row
        scored = backbone.score(picked, answers)
        for place, row in enumerate([7, 0, 3, 3, 6]):
            assert chosen.ids[place] == written.ids[2 * row]
            one = backbone.extend(singles[row // 2], [[*questions[row], 9, 10]])
            close(scored.log_probs[2 * place + 1], backbone.score(one, answers[:1]).log_probs[0])


def test_gradients_reach_features_through_a_batch(backbone: QwenBackbone) -> None:
    """The same video in two prompts: its gradient is the sum of both."""
    video = backbone.encode_video(*video_of(backbone), seconds_per_step=3.0)
    video.tokens.retain_grad()
    both = backbone.prefill_batch([PROMPTS[0], PROMPTS[3]], [[video], [video]])
    backbone.score(both, [[9, 10], [11]]).totals.sum().backward(retain_graph=True)
    together = video.tokens.grad.clone()
    video.tokens.grad = None
    for prompt, answer in ((PROMPTS[0], [9, 10]), (PROMPTS[3], [11])):
        one = backbone.prefill(prompt, [video])
        backbone.score(one, [answer]).totals.sum().backward(retain_graph=True)
    close(together, video.tokens.grad)
    assert together.abs().max() > 1e-3
    backbone.model.zero_grad()


def test_the_vision_tower_is_not_run_again(backbone: QwenBackbone, features: Any) -> None:
    calls = []
    hook = backbone.model.model.visual.register_forward_hook(lambda *_: calls.append(1))
    try:
        with torch.no_grad():
            prefix = backbone.prefill_batch([PROMPTS[3], PROMPTS[0]], [features[3], features[0]])
            backbone.generate(prefix, max_new_tokens=2)
    finally:
        hook.remove()
    assert not calls


def test_a_prompt_is_kept_once_for_all_that_follows(backbone: QwenBackbone, singles: Any) -> None:
    """The very tensors of the prompt, not copies of them, whatever is asked and sampled."""
    prompt = singles[0]
    with torch.no_grad():
        asked = backbone.extend(prompt, QUESTIONS)
    many = asked.repeated(5)
    assert len(many) == 20
    assert many.key_values is prompt.key_values
    heads, size = prompt.key_values[0][0].shape[1], prompt.key_values[0][0].shape[3]
    assert many.own[0][0].shape == (20, heads, max(map(len, QUESTIONS)), size)
    cache = AnswerCache(many)
    assert cache.lengths.tolist() == [len(question) for question in QUESTIONS for _ in range(5)]
    shared = [layer.keys.data_ptr() for layer in cache._layers]
    assert shared == [keys.data_ptr() for keys, _ in prompt.key_values]
    kept = asked.own[0][0].untyped_storage().nbytes()  # nor does a view hold on to a whole cache
    assert kept == asked.own[0][0].numel() * 4


def test_answers_longer_than_the_room_of_their_cache(backbone: QwenBackbone, batch: Any) -> None:
    """Room for 64 tokens grows twice."""
    with torch.no_grad():
        written = backbone.generate(batch, max_new_tokens=150, stop=())
        scored = backbone.score(batch, written.ids)
    close(scored.log_probs, written.log_probs)


def test_writing_in_half_precision_is_near_full_precision(features: Any) -> None:
    model = tiny_model()
    full = QwenBackbone(model, tiny_tokenizer())
    with torch.no_grad():
        asked = full.extend(full.prefill(PROMPTS[0], features[0]), QUESTIONS)
        written = full.generate(asked, max_new_tokens=8, stop=(), hidden=True)
        half = QwenBackbone(model.to(torch.bfloat16), tiny_tokenizer())
        asked = half.extend(half.prefill(PROMPTS[0], features[0]), QUESTIONS)
        again = half.generate(asked, max_new_tokens=1, stop=(), hidden=True)
        scored = half.score(asked, [answer[:1] for answer in written.ids])
    assert again.hidden.dtype == torch.bfloat16
    close(scored.log_probs[:, 0], written.log_probs[:, 0], 0.05)
    same = [one[0] == two[0] for one, two in zip(again.ids, written.ids, strict=True)]
    assert sum(same) >= 3
    close(again.hidden[same][:, 0].float(), written.hidden[same][:, 0], 0.1)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_attention_of_the_model_is_given_back(features: Any, attention: str) -> None:
    """Also when writing fails; and what is written does not depend on it."""
    model = tiny_model()
    model.set_attn_implementation(attention)
    backbone = QwenBackbone(model, tiny_tokenizer())
    with torch.no_grad():
        asked = backbone.extend(backbone.prefill(PROMPTS[0], features[0]), QUESTIONS)
        written = backbone.generate(asked, max_new_tokens=6)
        close(backbone.score(asked, written.ids).log_probs, written.log_probs)
    config = model.model.language_model.config
    assert config._attn_implementation == attention
    with pytest.raises(UsageError, match="found 0 grammars"):
        backbone.generate(asked, max_new_tokens=6, grammar=[])
    with pytest.raises(AttributeError, match="after"):
        backbone.generate(asked, max_new_tokens=6, grammar=OnlyBegins())
    assert config._attn_implementation == attention


def test_reading_while_writing_is_refused(backbone: QwenBackbone, batch: Any) -> None:
    """From another thread, say: never a wrong number without a word."""
    with torch.no_grad(), answers_attention(backbone.model.model.language_model):
        with pytest.raises(UsageError, match="cannot read other prompts"):
            backbone.prefill(PROMPTS[2])
        with pytest.raises(UsageError, match="cannot read other prompts"):
            backbone.score(batch, [[9, 10]] * 4)
        with pytest.raises(UsageError, match="one thread at a time"):
            backbone.generate(batch, max_new_tokens=2)
    backbone.score(batch, [[9, 10]] * 4)  # and again as usual
    cache = AnswerCache(batch)
    cache.expect(torch.arange(4).numpy())
    embeds = torch.zeros(1, 4, 64)
    with pytest.raises((AttributeError, TypeError)):  # the usual attention on this cache
        backbone.model.model.language_model(
            inputs_embeds=embeds, past_key_values=cache, attention_mask={"full_attention": None}
        )


@pytest.mark.parametrize(
    ("prompts", "count", "message"),
    [
        ([], 0, "at least one prompt and features for each, found 0 prompts"),
        (PROMPTS[:2], 1, "found 2 prompts and features for 1"),
        ([PROMPTS[0], []], 2, "at least one token"),
        ([PROMPTS[1], PROMPTS[0]], 2, "placeholders"),  # features in the wrong order
        ([PROMPTS[0], [*PROMPTS[1], VIDEO_PAD]], 2, "1 placeholders of images or videos more"),
    ],
)
def test_impossible_batches_are_refused(
    backbone: QwenBackbone, features: Any, prompts: Any, count: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        backbone.prefill_batch(prompts, features[:count])


def test_placeholders_in_continuations_of_a_batch_are_refused(
    backbone: QwenBackbone, batch: Any
) -> None:
    with pytest.raises(UsageError, match="text only"):
        backbone.extend(batch, [[9], [9], [VIDEO_PAD], [9]])
    with pytest.raises(UsageError, match="found 6 in all"):
        backbone.extend(batch, [[9]] * 6)

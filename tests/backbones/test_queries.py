"""Vectors of a method in the video: where they stand, and that nothing else moves for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stvg.backbones.asking import Pixels, Question, answer, prompt_ids, sentence_places
from stvg.backbones.positions import IMAGE, VIDEO, Block, PositionRule, positions
from stvg.backbones.prefix import Features
from stvg.backbones.qwen import QwenBackbone
from stvg.errors import WeightsError
from stvg.train.fresh import FreshConfig, fresh_model, fresh_tokenizer
from tests.backbones.tiny_qwen import (
    framed,
    tiny_model,
    tiny_qwen2,
    tiny_tokenizer,
    torch,
    video_of,
    words,
)

WORLD = FreshConfig(hidden=32, layers=2, inner=32, tower_hidden=32, tower_depth=2, tower_inner=32)


@pytest.fixture(scope="module", params=[tiny_model, tiny_qwen2], ids=["qwen2.5", "qwen2"])
def backbone(request: pytest.FixtureRequest) -> QwenBackbone:
    return QwenBackbone(request.param(), tiny_tokenizer(), "random")


@pytest.fixture(scope="module")
def talking() -> QwenBackbone:
    """With a chat template."""
    return QwenBackbone(fresh_model(WORLD), fresh_tokenizer(), "random")


def with_queries(video: Features, seed: int = 0) -> Features:
    """A video with a vector behind each step."""
    steps = video.grid_thw[0]
    torch.manual_seed(seed)
    vectors = torch.randn(steps, 1, video.tokens.shape[1])
    tokens = torch.cat([video.tokens.unflatten(0, (steps, -1)), vectors], dim=1).flatten(0, 1)
    return replace(video, tokens=tokens, queries=1)


def test_positions_by_hand() -> None:
    """A word, two steps of 1 x 2 tokens with a query each and a second apart, a word."""
    types = np.array([0, *[VIDEO] * 6, 0])
    found = positions(types, [Block((2, 2, 4), queries=1)], PositionRule()).ids[:, 0]
    assert found.tolist() == [
        [0, 1, 1, 1, 3, 3, 3, 4],
        [0, 1, 1, 2, 1, 1, 2, 4],
        [0, 1, 2, 3, 1, 2, 3, 4],
    ]


@pytest.mark.parametrize("kind", [VIDEO, IMAGE])
@pytest.mark.parametrize("grid", [(1, 2, 2), (1, 2, 12), (3, 8, 4), (9, 4, 4)])
@pytest.mark.parametrize("convention", ["checkpoint", "installed"])
def test_nothing_else_moves(grid: Any, kind: int, convention: Any) -> None:
    rule = PositionRule(convention=convention)
    plain, asked = (Block(grid, 0.5, kind, queries) for queries in (0, 2))
    found = []
    for block in (plain, asked):
        types = np.array([0, 0, *[kind] * block.tokens(rule.merge), 0, 0])
        found.append(positions(types, [block], rule))
    assert found[0].following == found[1].following
    per_step = plain.tokens(rule.merge) // grid[0]
    body = found[1].ids[:, 0, 2:-2].reshape(3, grid[0], per_step + 2)
    assert np.array_equal(body[:, :, :per_step].reshape(3, -1), found[0].ids[:, 0, 2:-2])
    places = found[1].ids[:, 0].T.tolist()
    if convention == "checkpoint":  # by the other one text runs into long videos anyway
        assert len({tuple(place) for place in places}) == len(places)


def test_states_before_a_query_are_those_without(backbone: QwenBackbone) -> None:
    """Text in front and the first step know nothing of queries; what follows does."""
    pixels, grid = video_of(backbone)
    text = words(1, 5)
    with torch.no_grad():
        video = backbone.encode_video(pixels, grid)
        asked = with_queries(video)
        plain = backbone.prefill([*text, *framed(36), *words(2, 4)], [video], hidden=True)
        found = backbone.prefill([*text, *framed(39), *words(2, 4)], [asked], hidden=True)
        until = len(text) + 1 + 12  # 12 tokens a step
        logits = [backbone.model.lm_head(each.hidden[0, :until]) for each in (plain, found)]
    assert torch.allclose(logits[0], logits[1], atol=1e-5)
    assert not torch.allclose(plain.last_hidden, found.last_hidden, atol=1e-2)


def test_later_frames_change_no_earlier_query(backbone: QwenBackbone) -> None:
    pixels, grid = video_of(backbone)
    other = pixels.copy()
    other[2 * len(pixels) // 3 :] = 255 - other[2 * len(pixels) // 3 :]  # the last of three steps
    ids = [*words(1, 3), *framed(39)]
    with torch.no_grad():
        states = [
            backbone.prefill(ids, [with_queries(backbone.encode_video(rows, grid))], hidden=True)
            .hidden[0, 4:-1]
            .unflatten(0, (3, 13))
            for rows in (pixels, other)
        ]
    assert torch.allclose(states[0][:2], states[1][:2], atol=1e-5)
    assert not torch.allclose(states[0][2, -1], states[1][2, -1], atol=1e-2)


def test_batches_and_continued_prompts_are_the_plain_ones(backbone: QwenBackbone) -> None:
    pixels, grid = video_of(backbone)
    prompts = [[*words(1, 3), *framed(39), *words(2, 6)], [*words(3, 7), *framed(39), *words(4, 2)]]
    with torch.no_grad():
        video = with_queries(backbone.encode_video(pixels, grid))
        alone = [backbone.prefill(ids, [video], hidden=True) for ids in prompts]
        batch = backbone.prefill_batch(prompts, [[video], [video]], hidden=True)
        prompt = backbone.prefill(prompts[0][:45], [video])
        continued = backbone.extend(prompt, [prompts[0][45:]], hidden=True)
    for row, each in enumerate(alone):
        length = len(prompts[row])
        assert torch.allclose(batch.hidden[row, :length], each.hidden[0], atol=1e-5)
    assert torch.allclose(continued.hidden, alone[0].hidden[:, 45:], atol=1e-5)
    assert np.array_equal(batch.following, [int(each.following[0]) for each in alone])


@pytest.mark.parametrize("query_first", [True, False])
def test_the_sentence_is_found_among_the_tokens(talking: QwenBackbone, query_first: bool) -> None:
    text = "which is the red ball ? the red ball moves left : the red ball"
    ids = prompt_ids(talking, text, (3, 4, 4), query_first=query_first, queries=1)
    assert ids.count(talking.model.config.video_token_id) == 3 * (4 + 1)
    places = sentence_places(talking, text, "the red ball", 15, query_first=query_first)
    assert places == list(range(places[0], places[0] + 3))
    assert talking.tokenizer.decode([ids[place] for place in places]) == "the red ball"
    behind = talking.tokenizer.decode(ids[places[-1] + 1 : places[-1] + 2])
    assert behind in ("<|im_end|>", "<|vision_start|>")  # the last one of three


def test_a_template_that_changes_the_text_is_told(talking: QwenBackbone) -> None:
    tokenizer = fresh_tokenizer()
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "{{ part['text'] }}", "{{ part['text'] | upper }}"
    )
    with pytest.raises(WeightsError, match="expected the chat template of random to keep the text"):
        sentence_places(
            replace(talking, tokenizer=tokenizer), "the ball", "the ball", 5, query_first=True
        )


@pytest.mark.parametrize("query_first", [True, False])
def test_every_question_sees_the_states_of_its_own_prompt(
    talking: QwenBackbone, query_first: bool
) -> None:
    """Several at once, with a shared beginning or in a batch, as one after the other."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (2 * 16, talking.layout.row_length), dtype=np.uint8)
    video = Pixels(rows, (2, 4, 4), 1.0, queries=1)

    def encode(pixels: Pixels) -> Features:
        return with_queries(talking.encode_video(pixels.rows, pixels.grid))

    asked = [
        Question(
            tuple(prompt_ids(talking, text, video.grid, query_first=query_first, queries=1)), video
        )
        for text in ("the red ball", "what moves left while the ball grows", "the star")
    ]
    found = answer(
        talking, asked, max_new_tokens=2, encode=encode, look=lambda number, states: states
    )
    for question, said in zip(asked, found, strict=True):
        with torch.no_grad():
            plain = talking.prefill(question.ids, [encode(video)], hidden=True)
        assert torch.allclose(said.seen, plain.hidden[0], atol=1e-5)
    assert answer(talking, asked[:1], max_new_tokens=2, encode=encode)[0].seen is None

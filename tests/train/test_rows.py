"""Rows: masks, features and positions in the right places, and losses worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stvg.backbones.positions import Block, positions, token_types
from stvg.backbones.qwen import QwenBackbone
from stvg.train.rows import (
    Batch,
    Row,
    RowBatch,
    SoftScale,
    collate,
    encode_videos,
    judge_answers,
    read_rows,
)
from tests.backbones.tiny_qwen import (
    VIDEO_PAD,
    framed,
    tiny_model,
    tiny_tokenizer,
    words,
)

from .small import torch


def qwen() -> QwenBackbone:
    return QwenBackbone(tiny_model(), tiny_tokenizer())


def video(
    side: tuple[int, int], steps: int, seed: int
) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """Noise, patches of 8 pixels; sides in tokens (of 16 pixels)."""
    rng = np.random.default_rng(seed)
    grid = (steps, 2 * side[1], 2 * side[0])
    rows = rng.integers(0, 256, (steps * grid[1] * grid[2], 3 * 2 * 64), dtype=np.uint8)
    return torch.from_numpy(rows), grid


def row_of(
    model: QwenBackbone, grid: tuple[int, int, int], clip: int, seed: int, answer: int
) -> Row:
    """Words, the video of a clip, words, and an answer."""
    block = Block(grid, 1.0)
    tokens = block.tokens(2)
    prompt = [*words(seed, 3), *framed(tokens), *words(seed + 1, 2)]
    ids = [*prompt, *words(seed + 2, answer)]
    types = token_types(ids, -1, VIDEO_PAD)
    places = positions(types, [block], model.rule).ids[:, 0]
    return Row(np.array(ids), places, answer, clip, np.arange(tokens))


CLIPS = [video((4, 3), 3, 0), video((2, 2), 2, 1), video((4, 3), 3, 2)]


def batch_of(model: QwenBackbone) -> Batch:
    """Three clips of two sizes, two queries on the first."""
    rows = [
        row_of(model, CLIPS[clip][1], clip, seed, answer)
        for clip, seed, answer in [(0, 10, 3), (1, 20, 5), (0, 30, 1), (2, 40, 4)]
    ]
    return Batch(tuple(CLIPS), collate(rows, VIDEO_PAD, [36, 8, 36]))


def test_states_are_those_of_prefill() -> None:
    model = qwen()
    batch = batch_of(model)
    with torch.no_grad():
        features = encode_videos(model.model.model.visual, batch, model.layout)
        states, inner = read_rows(model.model, torch.cat(features), batch.rows, inner=True)
        for number, clip in enumerate([0, 1, 0, 2]):
            pixels, grid = CLIPS[clip]
            ids = batch.rows.ids[number].tolist()
            length = int((batch.rows.judged[number]).nonzero()[-1]) + 1
            own = model.encode_video(pixels, grid, seconds_per_step=1.0)
            # the answer's words are text in both
            plain = model.prefill(ids[:length], [own], hidden=True)
            assert torch.allclose(states[number, :length], plain.hidden[0], atol=2e-5)
    assert inner.shape == states.shape
    assert not torch.allclose(inner, states)


def test_features_stand_in_the_right_places() -> None:
    model = qwen()
    batch = batch_of(model)
    features = [torch.full((count, 64), float(clip + 1)) for clip, count in enumerate((36, 8, 36))]
    for part in features:
        part[:, 0] = torch.arange(len(part))
    flat = torch.cat(features)[batch.rows.features]
    for number, (clip, count) in enumerate([(0, 36), (1, 8), (0, 36), (2, 36)]):
        before = sum((36, 8, 36, 36)[:number])
        own = flat[before : before + count]
        assert (own[:, 1] == clip + 1).all()
        assert own[:, 0].tolist() == list(range(count))
        assert int(batch.rows.shown[number].sum()) == count


def test_masks_by_hand() -> None:
    first = Row(np.array([4, 9, 9, 5, 6, 1]), np.zeros((3, 6), np.int64), 2, 0, np.array([0, 1]))
    # a placeholder that stands in an answer is a word
    second = Row(np.array([9, 9, 9]), np.ones((3, 3), np.int64), 1, 1, np.array([2, 0]))
    rows = collate([first, second], 9, [2, 3])
    assert rows.ids.tolist() == [[4, 9, 9, 5, 6, 1], [9, 9, 9, 0, 0, 0]]
    assert rows.judged.int().tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 1, 0, 0, 0]]
    assert rows.shown.int().tolist() == [[0, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]]
    assert rows.features.tolist() == [0, 1, 4, 2]
    assert rows.places[0].tolist() == [[0] * 6, [1, 1, 1, 0, 0, 0]]
    assert Batch((), rows).counts == {"cell": 0, "target": 2, "answer": 3}


def test_soft_goals_by_hand() -> None:
    scale = SoftScale(first=2, count=3, width=1.0)
    near, far = math.exp(-0.5), math.exp(-2.0)
    logits = torch.tensor([[0.0, 1.0, 2.0, 0.5, -1.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    log_probs = logits.log_softmax(-1)
    on, losses = scale.losses(log_probs, torch.tensor([3, 1]))
    assert on.tolist() == [True, False]
    goal = [near / (1 + 2 * near), 1 / (1 + 2 * near), near / (1 + 2 * near)]
    expected = -sum(share * float(log_probs[0, 2 + n]) for n, share in enumerate(goal))
    assert losses.tolist() == pytest.approx([expected])
    _, ends = scale.losses(log_probs, torch.tensor([2, 1]))
    goal = [part / (1 + near + far) for part in (1, near, far)]
    expected = -sum(share * float(log_probs[0, 2 + n]) for n, share in enumerate(goal))
    assert ends.tolist() == pytest.approx([expected])


class Head:
    """A model whose head gives the states as scores."""

    @staticmethod
    def lm_head(states: torch.Tensor) -> torch.Tensor:
        return states


def test_answers_are_judged_by_what_stands_before_them() -> None:
    ids = torch.tensor([[7, 2, 1], [5, 0, 0]])
    judged = torch.tensor([[False, True, True], [False, True, False]])
    nowhere = torch.zeros((2, 3), dtype=torch.bool)
    none = torch.zeros(0, dtype=torch.long)
    rows = RowBatch(
        ids, torch.zeros(3, 2, 3), judged, nowhere, none, nowhere, torch.zeros(2).long()
    )
    states = torch.zeros(2, 3, 4)
    states[0, 0] = torch.tensor([0.0, 0.0, math.log(7.0), 0.0])  # 2 has 7 of 10
    states[0, 1] = torch.tensor([math.log(2.0), 0.0, 0.0, 0.0])  # 1 has 1 of 5
    states[1, 0] = torch.tensor([math.log(5.0), 0.0, 0.0, 0.0])  # 0 has 5 of 8
    sums, gauges = judge_answers(Head, states, rows, {})
    expected = -math.log(0.7) - math.log(0.2) - math.log(5 / 8)
    assert float(sums["answer"]) == pytest.approx(expected)
    assert gauges == {"answer": (2.0, 3.0)}
    # the same with 2 and 3 on a scale whose goals are sharp is the same loss
    sharp = {"number": SoftScale(2, 2, 1e-3)}
    again, more = judge_answers(Head, states, rows, sharp)
    assert float(again["answer"]) == pytest.approx(expected)
    assert more["number"] == (1.0, 1.0)


def test_frames_of_bytes_and_of_floats_give_the_same() -> None:
    from stvg.backbones.preprocess import normalise

    model = qwen()
    tower = model.model.model.visual
    pixels, grid = CLIPS[0]
    with torch.no_grad():
        (ours,) = encode_videos(tower, Batch(((pixels, grid),), None), model.layout)
        floats = torch.from_numpy(normalise(pixels.numpy(), model.layout))
        (theirs,) = encode_videos(tower, Batch(((floats, grid),), None), model.layout)
        plain = tower(floats, grid_thw=torch.tensor([grid])).pooler_output
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert torch.allclose(ours, plain, atol=2e-5)

"""Qwen2-VL, which knows no seconds and no windows, against the plain forward of its class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.backbones.positions import Block, PositionRule, positions, token_types
from stvg.backbones.preprocess import video_inputs
from stvg.backbones.qwen import QwenBackbone
from tests.backbones.tiny_qwen import (
    IMAGE_PAD,
    VIDEO_PAD,
    framed,
    tiny_qwen2,
    tiny_tokenizer,
    torch,
    video_of,
    words,
)

PROMPT = [*words(1, 4), *framed(36), *words(2, 3)]  # a video of three steps
QUESTIONS = [words(3, 5), words(4, 2)]


@pytest.fixture(scope="module")
def backbone() -> QwenBackbone:
    """Positions as the installed class counts them, so that it can count its own."""
    return QwenBackbone(tiny_qwen2(), tiny_tokenizer(), convention="installed")


def class_inputs(backbone: QwenBackbone, ids: list[int]) -> dict[str, Any]:
    """What the class itself takes; it works out the positions."""
    rng = np.random.default_rng(0)  # the frames of video_of
    frames = rng.integers(0, 256, (6, 48, 64, 3), dtype=np.uint8)
    pixels, grid = video_inputs(frames, backbone.layout)
    return {
        "input_ids": torch.tensor([ids]),
        "mm_token_type_ids": torch.from_numpy(token_types([ids], IMAGE_PAD, VIDEO_PAD)),
        "pixel_values_videos": torch.from_numpy(pixels),
        "video_grid_thw": torch.from_numpy(grid),
    }


def test_prompt_and_questions_equal_the_plain_forward(backbone: QwenBackbone) -> None:
    with torch.no_grad():
        video = backbone.encode_video(*video_of(backbone), seconds_per_step=3.0)
        prompt = backbone.prefill(PROMPT, [video], hidden=True)
        apart = backbone.states_behind(prompt, QUESTIONS)
        grown = backbone.extend(prompt, QUESTIONS, hidden=True)
        for row, question in enumerate(QUESTIONS):
            inputs = class_inputs(backbone, [*PROMPT, *question])
            out = backbone.model(**inputs, output_hidden_states=True).hidden_states[-1][0]
            for states in (apart[row], grown.hidden[row, : len(question)]):
                torch.testing.assert_close(states, out[len(PROMPT) :], rtol=0, atol=1e-5)
            torch.testing.assert_close(prompt.hidden[0], out[: len(PROMPT)], rtol=0, atol=1e-5)


def test_greedy_answers_are_those_of_the_class(backbone: QwenBackbone) -> None:
    with torch.no_grad():
        video = backbone.encode_video(*video_of(backbone))
        ours = backbone.generate(backbone.prefill(PROMPT, [video]), max_new_tokens=8, ban=False)
        theirs = backbone.model.generate(
            **class_inputs(backbone, PROMPT), max_new_tokens=8, do_sample=False
        )
    assert list(ours.ids[0]) == theirs[0, len(PROMPT) :].tolist()


@pytest.mark.parametrize("seconds", [0.25, 1.0, 7.0])
@pytest.mark.parametrize("grid", [(3, 6, 8), (32, 4, 4), (1, 2, 2)])
def test_positions_are_those_of_the_class(grid: tuple[int, int, int], seconds: float) -> None:
    model = tiny_qwen2()
    block = Block(grid, seconds)
    ids = [*words(1, 4), *framed(block.tokens(2)), *words(2, 3)]
    types = token_types(ids, IMAGE_PAD, VIDEO_PAD)
    rule = PositionRule.of(model.config.vision_config, "installed")
    expected, _ = model.model.get_rope_index(
        torch.tensor([ids]), torch.from_numpy(types[None]), video_grid_thw=torch.tensor([grid])
    )
    np.testing.assert_array_equal(positions(types, [block], rule).ids, expected)


def test_positions_of_the_checkpoints_by_hand() -> None:
    """Text at 0 and 1, a video of 4 steps by 1 by 2 tokens from 2 on, text behind the last step."""
    rule = PositionRule.of(tiny_qwen2().config.vision_config)
    types = np.array([0, 0, *[2] * 8, 0])
    assert positions(types, [Block((4, 2, 4), 9.0)], rule).ids[:, 0].tolist() == [
        [0, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6],
        [0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 6],
        [0, 1, 2, 3, 2, 3, 2, 3, 2, 3, 6],
    ]


def test_loading_a_folder(backbone: QwenBackbone, tmp_path: Path) -> None:
    backbone.model.save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    loaded = QwenBackbone.load(tmp_path, dtype="float32", device="cpu")
    assert type(loaded.model) is type(backbone.model)
    for ours, theirs in zip(loaded.model.parameters(), backbone.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)

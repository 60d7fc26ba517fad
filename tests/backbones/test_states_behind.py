"""Continuations packed in one row against continuations in rows of their own."""

from __future__ import annotations

from typing import Any

import pytest

from stvg.backbones.qwen import QwenBackbone
from stvg.errors import UsageError
from tests.backbones.tiny_qwen import VIDEO_PAD, framed, tiny_model, torch, video_of, words

PROMPT = [*words(1, 4), *framed(36), *words(2, 3)]
QUESTIONS = [words(3, 5), words(4, 1), words(5, 9)]


@pytest.fixture(scope="module")
def backbone() -> QwenBackbone:
    return QwenBackbone(tiny_model())


@pytest.fixture(scope="module")
def video(backbone: QwenBackbone) -> Any:
    with torch.no_grad():
        return backbone.encode_video(*video_of(backbone))


def test_states_and_gradients_are_those_of_rows(backbone: QwenBackbone, video: Any) -> None:
    found = []
    for packed in (True, False):
        embeds = backbone.embed(PROMPT, [video]).detach().requires_grad_()
        prefix = backbone.prefill(PROMPT, [video], embeds=embeds)
        if packed:
            states = torch.cat(backbone.states_behind(prefix, QUESTIONS))
        else:
            hidden = backbone.extend(prefix, QUESTIONS, hidden=True).hidden
            states = torch.cat([hidden[row, : len(text)] for row, text in enumerate(QUESTIONS)])
        (gradient,) = torch.autograd.grad(states.sin().sum(), embeds)
        found.append((states, gradient))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_it_goes_on_behind_a_prompt_that_was_continued(backbone: QwenBackbone, video: Any) -> None:
    with torch.no_grad():
        longer = backbone.extend(backbone.prefill(PROMPT, [video]), [words(6, 4)])
        whole = backbone.prefill([*PROMPT, *words(6, 4)], [video])
        for one, other in zip(
            backbone.states_behind(longer, QUESTIONS),
            backbone.states_behind(whole, QUESTIONS),
            strict=True,
        ):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_what_cannot_be_packed_is_refused(backbone: QwenBackbone, video: Any) -> None:
    with torch.no_grad():
        prefix = backbone.prefill(PROMPT, [video])
    for texts, message in (
        ([], "at least one token"),
        ([[7], []], "at least one token"),
        ([[7, VIDEO_PAD]], "text only"),
    ):
        with pytest.raises(UsageError, match=message):
            backbone.states_behind(prefix, texts)
    with pytest.raises(UsageError, match="found 2 rows"):
        backbone.states_behind(prefix.repeated(2), QUESTIONS)

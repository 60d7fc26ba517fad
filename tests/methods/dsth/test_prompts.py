"""Questions as tokens, and which tokens are watched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stvg.errors import WeightsError
from stvg.methods.dsth.prompts import Prompt, answer_tokens
from tests.methods.dsth.models import small_backbone
from tests.text.tokenizers_for_tests import byte_pairs

GRID = (2, 4, 4)  # two steps of two by two tokens
PADS = " ".join(["<|video_pad|>"] * 8)


@pytest.mark.parametrize(
    ("query_first", "trunk", "tail", "watched"),
    [
        (
            False,
            f"<|im_start|> user <|vision_start|> {PADS}",
            "<|vision_end|> is there a ball ? <|im_end|> <|im_start|> assistant",
            "? <|im_end|> <|im_start|> assistant",
        ),
        (
            True,
            f"<|im_start|> user is there a ball ? <|vision_start|> {PADS}",
            "<|vision_end|> <|im_end|> <|im_start|> assistant",
            "<|vision_end|> <|im_end|> <|im_start|> assistant",
        ),
    ],
    ids=["video first", "question first"],
)
def test_watched_are_the_end_of_the_text_and_what_the_template_adds(
    query_first: bool, trunk: str, tail: str, watched: str
) -> None:
    backbone = small_backbone()
    prompt = Prompt.of(backbone, "Is there a ball?", GRID, query_first=query_first)
    assert backbone.tokenizer.decode(prompt.trunk) == trunk
    assert backbone.tokenizer.decode(prompt.tail) == tail
    assert backbone.tokenizer.decode(prompt.tail[-prompt.watched :]) == watched


def test_answers_are_single_tokens() -> None:
    backbone = small_backbone()
    found = backbone.tokenizer.convert_ids_to_tokens(answer_tokens(backbone))
    assert found == ["yes", "no"]
    with pytest.raises(WeightsError, match=r"expected 'yes' to be one token of random.*steps=0"):
        answer_tokens(replace(backbone, tokenizer=byte_pairs()))

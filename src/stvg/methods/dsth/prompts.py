"""Questions as tokens: what all share, what is their own, and whose attention is read.

Read are the tokens behind the user's text: the last word, which is a question mark as a rule, and
what the chat template writes after it. They are found by comparing a prompt with one without text,
so nothing here knows a template. Where the question stands before the video, the tokens behind the
video take their place, since nothing in front of it sees it.
"""

from __future__ import annotations

from dataclasses import dataclass

from stvg.backbones.asking import prompt_ids
from stvg.backbones.preprocess import Grid
from stvg.backbones.qwen import QwenBackbone
from stvg.errors import WeightsError


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question on a video.

    Attributes:
        trunk: Tokens up to the end of the video.
        tail: Tokens behind it.
        watched: How many tokens at the end of the tail are read.
    """

    trunk: tuple[int, ...]
    tail: tuple[int, ...]
    watched: int

    @classmethod
    def of(cls, backbone: QwenBackbone, text: str, grid: Grid, *, query_first: bool) -> Prompt:
        """Of a question as text.

        Args:
            backbone: The model, with a tokenizer that has a chat template.
            text: What the user asks.
            grid: Patches of the video in time, height and width.
            query_first: Whether the question stands before the video.

        Raises:
            UsageError: If the text holds a special token.
            WeightsError: If the chat template has no place for a video.
        """
        ids = prompt_ids(backbone, text, grid, query_first=query_first)
        empty = prompt_ids(backbone, "", grid, query_first=query_first)
        alike = 0
        while alike < len(empty) and ids[-1 - alike] == empty[-1 - alike]:
            alike += 1
        end = len(ids) - ids[::-1].index(backbone.model.config.video_token_id)
        tail = tuple(ids[end:])
        return cls(tuple(ids[:end]), tail, min(alike + 1, len(tail)))


def answer_tokens(backbone: QwenBackbone) -> tuple[int, int]:
    """The tokens of yes and no.

    Raises:
        WeightsError: If one of them is not a single token.
    """
    found = []
    for word in ("yes", "no"):
        ids = backbone.tokenizer(word, add_special_tokens=False)["input_ids"]
        if len(ids) != 1 or ids[0] == backbone.tokenizer.unk_token_id:
            raise WeightsError(
                f"expected {word!r} to be one token of {backbone.name}, found {len(ids)} or an "
                "unknown one; choose another model, or do without tuning (--set steps=0)"
            )
        found.append(int(ids[0]))
    return found[0], found[1]

"""Questions on videos, answered with nothing computed twice.

Each video is encoded once, however many questions stand on it. Where questions on a video begin
alike up to and behind it (the video comes first, the sentence after), that part is read once and
continued; where the sentence comes first, prompts are read as one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stvg.backbones.prefix import Features, Prefix
from stvg.backbones.preprocess import Grid
from stvg.backbones.qwen import QwenBackbone
from stvg.text import Position
from stvg.types import ByteArray


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """A video as the vision tower takes it.

    Attributes:
        rows: Of ``patchify``, (S, D) uint8.
        grid: Patches in time, height and width.
        seconds_per_step: What positions count from step to step.
    """

    rows: ByteArray
    grid: Grid
    seconds_per_step: float


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A prompt on one video.

    Attributes:
        ids: Its tokens, placeholders repeated once a visual token.
        pixels: The video; questions on the same video share this object.
        grammar: What may be answered, or None for anything.
    """

    ids: tuple[int, ...]
    pixels: Pixels
    grammar: Position | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered.

    Attributes:
        text: The answer without special tokens.
        ids: Its tokens.
        confidence: Geometric mean of the probabilities of the tokens that were chosen, (0, 1].
        finished: Whether it ended of itself rather than at the limit.
    """

    text: str
    ids: tuple[int, ...]
    confidence: float
    finished: bool


def prompt_ids(backbone: QwenBackbone, text: str, grid: Grid, *, query_first: bool) -> list[int]:
    """Tokens of a prompt of one user message with one video, by the model's chat template.

    Args:
        backbone: The model, with a tokenizer that has a chat template.
        text: What the user says.
        grid: Patches of the video in time, height and width.
        query_first: Whether the text stands before the video.
    """
    parts: list[dict[str, str]] = [{"type": "text", "text": text}, {"type": "video"}]
    tokenizer = backbone.tokenizer
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": parts if query_first else parts[::-1]}],
        tokenize=False,
        add_generation_prompt=True,
    )
    marker = tokenizer.convert_ids_to_tokens(backbone.model.config.video_token_id)
    before, _, after = prompt.partition(marker)
    count = grid[0] * grid[1] * grid[2] // backbone.layout.merge**2
    encode = tokenizer
    return [
        *encode(before, add_special_tokens=False)["input_ids"],
        *[backbone.model.config.video_token_id] * count,
        *encode(after, add_special_tokens=False)["input_ids"],
    ]


def answer(
    backbone: QwenBackbone,
    questions: Sequence[Question],
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[Answer]:
    """Answer questions, in their order.

    Args:
        backbone: The model.
        questions: On any videos; at least one.
        max_new_tokens: Longest answer.
        temperature: 0 takes the likeliest token each time.
        seed: For sampling.
    """
    import torch

    with torch.no_grad():
        prefix, order = _read(backbone, questions)
        found = backbone.generate(
            prefix,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=[seed + number for number in order],
            grammar=[questions[number].grammar for number in order],
        )
    answers: dict[int, Answer] = {}
    for row, number in enumerate(order):
        chosen = found.log_probs[row][found.picked[row]]
        text = backbone.tokenizer.decode(found.ids[row], skip_special_tokens=True)
        answers[number] = Answer(
            text.strip(),
            found.ids[row],
            float(chosen.mean().exp()) if len(chosen) else 1.0,
            found.finished[row],
        )
    return [answers[number] for number in range(len(questions))]


def _read(backbone: QwenBackbone, questions: Sequence[Question]) -> tuple[Prefix, list[int]]:
    """All prompts as one prefix, and which question each row is."""
    videos: dict[int, list[int]] = {}
    for number, question in enumerate(questions):
        videos.setdefault(id(question.pixels), []).append(number)
    features = {
        key: _encode(backbone, questions[numbers[0]].pixels) for key, numbers in videos.items()
    }
    order = [number for numbers in videos.values() for number in numbers]
    shared = [_shared_part(backbone, [questions[n].ids for n in ns]) for ns in videos.values()]
    if len(videos) == 1 and shared[0]:
        prompt = backbone.prefill(questions[order[0]].ids[: shared[0]], list(features.values()))
        rest = [questions[number].ids[shared[0] :] for number in order]
        return backbone.extend(prompt, rest), order
    return (
        backbone.prefill_batch(
            [questions[number].ids for number in order],
            [[features[id(questions[number].pixels)]] for number in order],
        ),
        order,
    )


def _encode(backbone: QwenBackbone, pixels: Pixels) -> Features:
    return backbone.encode_video(pixels.rows, pixels.grid, seconds_per_step=pixels.seconds_per_step)


def _shared_part(backbone: QwenBackbone, prompts: Sequence[Sequence[int]]) -> int:
    """Length of what prompts on one video have in common, 0 where that ends before the video."""
    shortest = min(len(prompt) for prompt in prompts) - 1  # each keeps a token of its own
    length = 0
    while length < shortest and len({prompt[length] for prompt in prompts}) == 1:
        length += 1
    video: Any = backbone.model.config.video_token_id
    return 0 if video in prompts[0][length:] else length

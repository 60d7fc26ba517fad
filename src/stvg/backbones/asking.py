"""Questions on videos, answered with nothing computed twice.

Each video is encoded once, however many questions stand on it. Where questions on a video begin
alike up to and behind it (the video comes first, the sentence after), that part is read once and
continued; where the sentence comes first, prompts are read in batches. Either way so many are
answered at once that memory does not grow with their number.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from stvg.backbones.prefix import Features, Prefix
from stvg.backbones.preprocess import Grid
from stvg.backbones.qwen import QwenBackbone
from stvg.errors import UsageError, WeightsError
from stvg.text import Position
from stvg.types import ByteArray, Clip

_MOST_TOKENS = 40_000
"""Prompt tokens of the questions that are answered at once, whose keys and values are in memory
together: 2.3 GB for the 7B model in 16 bits. A single question may have more."""

_KEPT_CLIPS = 4


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


def once_a_clip(make: Callable[[Clip], Pixels]) -> Callable[[Clip], Pixels]:
    """What makes a clip's pixels, called once for clips with the same frames.

    Queries on one video then share the object, by which :func:`answer` knows that they do. The
    last few are kept.
    """
    kept: OrderedDict[int, tuple[Clip, Pixels]] = OrderedDict()  # a clip that is kept keeps its id

    def made(clip: Clip) -> Pixels:
        key = id(clip.frames)
        if key not in kept:
            kept[key] = clip, make(clip)
            if len(kept) > _KEPT_CLIPS:
                kept.popitem(last=False)
        kept.move_to_end(key)
        return kept[key][1]

    return made


def prompt_ids(backbone: QwenBackbone, text: str, grid: Grid, *, query_first: bool) -> list[int]:
    """Tokens of a prompt of one user message with one video, by the model's chat template.

    Args:
        backbone: The model, with a tokenizer that has a chat template.
        text: What the user says.
        grid: Patches of the video in time, height and width.
        query_first: Whether the text stands before the video.

    Raises:
        UsageError: If the text holds a special token of the tokenizer, which would not be read as
            text.
        WeightsError: If the chat template is missing, fails or has no single place for the video.
    """
    tokenizer, video_token = backbone.tokenizer, backbone.model.config.video_token_id
    for token in tokenizer.added_tokens_decoder.values():
        if token.special and str(token) in text:
            raise UsageError(
                f"expected a sentence of words, found {token} in it, a special token of "
                f"{backbone.name}; leave it out"
            )
    parts: list[dict[str, str]] = [{"type": "text", "text": text}, {"type": "video"}]
    try:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": parts if query_first else parts[::-1]}],
            tokenize=False,
            add_generation_prompt=True,
        )
    except Exception as error:  # a template is a program; jinja's errors and all others
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"expected a chat template with the tokenizer of {backbone.name} "
            f"(chat_template.jinja), which failed: {reason}; fetch the model again"
        ) from error
    marker = str(tokenizer.convert_ids_to_tokens(video_token))
    if prompt.count(marker) != 1:
        raise WeightsError(
            f"expected the chat template of {backbone.name} to write the token {video_token} of a "
            f"video ({marker}) once, found it {prompt.count(marker)} times; use the tokenizer and "
            "template that belong to the model"
        )
    before, _, after = prompt.partition(marker)
    count = math.prod(grid) // backbone.layout.merge**2
    return [
        *tokenizer(before, add_special_tokens=False)["input_ids"],
        *[video_token] * count,
        *tokenizer(after, add_special_tokens=False)["input_ids"],
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

    answers: dict[int, Answer] = {}
    with torch.no_grad():
        for prefix, numbers in _read(backbone, questions):
            found = backbone.generate(
                prefix,
                max_new_tokens=max_new_tokens,
                temperature=temperature,
                seed=[seed + number for number in numbers],
                grammar=[questions[number].grammar for number in numbers],
            )
            for row, number in enumerate(numbers):
                chosen = found.log_probs[row][found.picked[row]]
                text = backbone.tokenizer.decode(found.ids[row], skip_special_tokens=True)
                answers[number] = Answer(
                    text.strip(),
                    found.ids[row],
                    float(chosen.mean().exp()) if len(chosen) else 1.0,
                    found.finished[row],
                )
    return [answers[number] for number in range(len(questions))]


def _read(
    backbone: QwenBackbone, questions: Sequence[Question]
) -> Iterator[tuple[Prefix, list[int]]]:
    """The prompts in prefixes of several, and which question each row is."""
    videos: dict[int, list[int]] = {}
    for number, question in enumerate(questions):
        videos.setdefault(id(question.pixels), []).append(number)
    features = {
        key: _encode(backbone, questions[numbers[0]].pixels) for key, numbers in videos.items()
    }
    order = [number for numbers in videos.values() for number in numbers]
    at_once = max(_MOST_TOKENS // max(len(question.ids) for question in questions), 1)
    parts = [order[start : start + at_once] for start in range(0, len(order), at_once)]
    one_video = len(videos) == 1
    shared = _shared_part(backbone, [each.ids for each in questions]) if one_video else 0
    if shared:
        prompt = backbone.prefill(questions[0].ids[:shared], list(features.values()))
        for part in parts:
            yield backbone.extend(prompt, [questions[n].ids[shared:] for n in part]), part
        return
    for part in parts:
        yield (
            backbone.prefill_batch(
                [questions[number].ids for number in part],
                [[features[id(questions[number].pixels)]] for number in part],
            ),
            part,
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

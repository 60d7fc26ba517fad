"""Questions on videos, answered with nothing computed twice.

Each video is encoded once, however many questions stand on it. Where questions on a video begin
alike up to and behind it (the video comes first, the sentence after), that part is read once and
continued; where the sentence comes first, prompts are read in batches. Either way so many are
answered at once that memory does not grow with their number.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from stvg.backbones.positions import Block
from stvg.backbones.prefix import Features, Prefix, Tensor
from stvg.backbones.preprocess import Grid, patchify
from stvg.backbones.qwen import QwenBackbone
from stvg.backbones.token_grid import TokenGrid
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
        queries: Vectors that a method puts behind each step.
        stamps: Tokens of text behind each step; empty for none anywhere.
        pushes: Whether these take positions as any other text does.
    """

    rows: ByteArray
    grid: Grid
    seconds_per_step: float
    queries: int = 0
    stamps: tuple[tuple[int, ...], ...] = ()
    pushes: bool = False

    @property
    def block(self) -> Block:
        """What positions and prompts need to know of it."""
        lengths = tuple(map(len, self.stamps))
        return Block(
            self.grid, self.seconds_per_step, queries=self.queries, stamps=lengths,
            pushes=self.pushes,
        )  # fmt: skip


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


@dataclass(frozen=True, slots=True, eq=False)
class Behind:
    """What a method reads behind each answer, to look at its states.

    Attributes:
        token: The token that ends answers; put there where it was not written.
        vectors: Vectors (M, C) that stand behind it.
    """

    token: int
    vectors: Tensor


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered.

    Attributes:
        text: The answer without special tokens.
        ids: Its tokens.
        confidence: Geometric mean of the probabilities of the tokens that were chosen, (0, 1].
        finished: Whether it ended of itself rather than at the limit.
        seen: What ``look`` of :func:`answer` made of the states that it was given.
    """

    text: str
    ids: tuple[int, ...]
    confidence: float
    finished: bool
    seen: Any = field(default=None, repr=False)


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


def pixels_of(
    clip: Clip, backbone: QwenBackbone, *, even_steps: bool = False, repeat: int = 1
) -> Pixels:
    """A clip at model size as the vision tower takes it.

    Args:
        clip: Frames whose sides are multiples of the model's cell.
        backbone: The model.
        even_steps: Count steps instead of seconds in the positions.
        repeat: How often each frame is shown, one behind the other.

    Raises:
        UsageError: If the clip is empty or of another size.
    """
    layout = backbone.layout
    rows, grid = patchify(np.repeat(clip.frames, repeat, axis=0), layout)
    if even_steps:
        return Pixels(rows, grid, 1 / backbone.rule.tokens_per_second)
    return Pixels(rows, grid, TokenGrid.of(clip, layout).seconds_per_step / repeat)


def check_side(backbone: QwenBackbone, side: int) -> None:
    """Refuse square frames that the model cannot cut.

    Raises:
        UsageError: If the side is no multiple of the model's cell.
    """
    cell = backbone.layout.cell
    if side % cell:
        raise UsageError(
            f"expected a side that is a multiple of {cell} pixels, the cell of {backbone.name}, "
            f"found {side}; {max(round(side / cell), 1) * cell} is near"
        )


def prompt_ids(
    backbone: QwenBackbone,
    text: str,
    grid: Grid,
    *,
    query_first: bool,
    queries: int = 0,
    stamps: Sequence[Sequence[int]] = (),
) -> list[int]:
    """Tokens of a prompt of one user message with one video, by the model's chat template.

    Args:
        backbone: The model, with a tokenizer that has a chat template.
        text: What the user says.
        grid: Patches of the video in time, height and width.
        query_first: Whether the text stands before the video.
        queries: Vectors that a method puts behind each step of the video.
        stamps: Tokens of text behind each step; empty for none anywhere.

    Raises:
        UsageError: If the text holds a special token of the tokenizer, which would not be read as
            text.
        WeightsError: If the chat template is missing, fails or has no single place for the video.
    """
    before, after = _prompt_parts(backbone, text, query_first=query_first)
    count = Block(grid, queries=queries).tokens(backbone.layout.merge)
    step = [backbone.model.config.video_token_id] * (count // grid[0])
    return [
        *backbone.tokenizer(before, add_special_tokens=False)["input_ids"],
        *(token for stamp in stamps or [()] * grid[0] for token in (*step, *stamp)),
        *backbone.tokenizer(after, add_special_tokens=False)["input_ids"],
    ]


def sentence_places(
    backbone: QwenBackbone, text: str, sentence: str, visual: int, *, query_first: bool
) -> list[int]:
    """Which tokens of a prompt are those of a sentence in it.

    Args:
        backbone: As for :func:`prompt_ids`; its tokenizer knows where tokens stand in a text.
        text: What the user says.
        sentence: A part of it; where it stands there several times, the last one.
        visual: Placeholders of the video in the prompt.
        query_first: Whether the text stands before the video.

    Returns:
        Their places in what :func:`prompt_ids` gives, ascending.

    Raises:
        UsageError: As :func:`prompt_ids`.
        WeightsError: Likewise, or if the template does not keep the text as it is.
    """
    before, after = _prompt_parts(backbone, text, query_first=query_first)
    part = before if query_first else after
    if text not in part or sentence not in text:
        raise WeightsError(
            f"expected the chat template of {backbone.name} to keep the text {text!r:.80} with "
            f"{sentence!r:.80} in it, which it changes; use the template that belongs to the model"
        )
    start = part.rindex(text) + text.rindex(sentence)
    stop = start + len(sentence)
    encode = backbone.tokenizer
    spans = encode(part, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    first = 0
    if not query_first:
        first = len(encode(before, add_special_tokens=False)["input_ids"]) + visual
    return [first + n for n, (begin, end) in enumerate(spans) if begin < stop and end > start]


def _prompt_parts(backbone: QwenBackbone, text: str, *, query_first: bool) -> tuple[str, str]:
    """The prompt in words, before and behind its video."""
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
    return before, after


def answer(
    backbone: QwenBackbone,
    questions: Sequence[Question],
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
    encode: Callable[[Pixels], Features] | None = None,
    look: Callable[[int, Tensor], Any] | None = None,
    behind: Behind | None = None,
) -> list[Answer]:
    """Answer questions, in their order.

    Args:
        backbone: The model.
        questions: On any videos; at least one.
        max_new_tokens: Longest answer.
        temperature: 0 takes the likeliest token each time.
        seed: For sampling.
        encode: From a video to its features; default the vision tower alone.
        look: Called once for each question, with its number and the states (L, C) of its prompt
            behind the final norm.
        behind: What is read behind each answer; then ``look`` is given the states (1 + M, C) of
            the token that ends it and of the vectors, and not those of the prompt.
    """
    import torch

    answers: dict[int, Answer] = {}
    encode = encode or partial(_encode, backbone)
    keep = look is not None and behind is None
    stop = None if behind is None else [behind.token]
    if behind is not None and any(question.grammar is None for question in questions):
        stop = [behind.token, *backbone.stop_tokens]  # with a grammar none of them is written
    with torch.no_grad():
        for prefix, before, numbers in _read(backbone, questions, encode, hidden=keep):
            seen: list[Any] = [None] * len(numbers)
            if look is not None and behind is None:
                lengths = [len(questions[number].ids) for number in numbers]
                seen = [
                    look(number, _states_of(prefix, before, row, length))
                    for row, (number, length) in enumerate(zip(numbers, lengths, strict=True))
                ]
            found = backbone.generate(
                prefix,
                max_new_tokens=max_new_tokens,
                temperature=temperature,
                seed=[seed + number for number in numbers],
                grammar=[questions[number].grammar for number in numbers],
                stop=stop,
            )
            if look is not None and behind is not None:
                states = _states_behind(backbone, prefix, found.ids, behind)
                seen = [look(number, own) for number, own in zip(numbers, states, strict=True)]
            for row, number in enumerate(numbers):
                chosen = found.log_probs[row][found.picked[row]]
                text = backbone.tokenizer.decode(found.ids[row], skip_special_tokens=True)
                answers[number] = Answer(
                    text.strip(),
                    found.ids[row],
                    float(chosen.mean().exp()) if len(chosen) else 1.0,
                    found.finished[row],
                    seen[row],
                )
    return [answers[number] for number in range(len(questions))]


def _states_behind(
    backbone: QwenBackbone, prefix: Prefix, answers: Sequence[Sequence[int]], behind: Behind
) -> list[Tensor]:
    """States (1 + M, C) of what stands behind each answer, in one reading of all."""
    ends = {behind.token, *backbone.stop_tokens}
    texts = [[token for token in answer if token not in ends] for answer in answers]
    ended = [[*text, behind.token] for text in texts]
    read = backbone.extend(prefix, ended, vectors=behind.vectors, hidden=True)
    assert read.hidden is not None
    count = len(behind.vectors)
    return [read.hidden[row, len(text) : len(text) + 1 + count] for row, text in enumerate(texts)]


def _read(
    backbone: QwenBackbone,
    questions: Sequence[Question],
    encode: Callable[[Pixels], Features],
    *,
    hidden: bool,
) -> Iterator[tuple[Prefix, Tensor | None, list[int]]]:
    """The prompts in prefixes of several, and which question each row is.

    With ``hidden`` prefixes keep states, and between the two stand those (P, C) of the tokens that
    all rows have in front, where there are any.
    """
    videos: dict[int, list[int]] = {}
    for number, question in enumerate(questions):
        videos.setdefault(id(question.pixels), []).append(number)
    features = {key: encode(questions[numbers[0]].pixels) for key, numbers in videos.items()}
    order = [number for numbers in videos.values() for number in numbers]
    at_once = max(_MOST_TOKENS // max(len(question.ids) for question in questions), 1)
    parts = [order[start : start + at_once] for start in range(0, len(order), at_once)]
    one_video = len(videos) == 1
    shared = _shared_part(backbone, [each.ids for each in questions]) if one_video else 0
    if shared:
        prompt = backbone.prefill(questions[0].ids[:shared], list(features.values()), hidden=hidden)
        before = prompt.hidden[0] if prompt.hidden is not None else None
        for part in parts:
            texts = [questions[number].ids[shared:] for number in part]
            yield backbone.extend(prompt, texts, hidden=hidden), before, part
        return
    for part in parts:
        yield (
            backbone.prefill_batch(
                [questions[number].ids for number in part],
                [[features[id(questions[number].pixels)]] for number in part],
                hidden=hidden,
            ),
            None,
            part,
        )


def _states_of(prefix: Prefix, before: Tensor | None, row: int, length: int) -> Tensor:
    """States (L, C) of a prompt of that many tokens, from those in front of all rows and its own.

    The whole is put together for one row at a time, since it may be large.
    """
    import torch

    assert prefix.hidden is not None
    own = prefix.hidden[row]
    return (own if before is None else torch.cat([before, own]))[:length]


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

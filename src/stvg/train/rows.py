"""From prompts and answers to one padded batch for the language model, and its loss.

A :class:`Row` is one query with its answer, a :class:`Prompt` one for the model to answer itself.
Rows are filled up on the right, where causal attention makes a mask unnecessary, and say themselves
at which positions their tokens stand, so that tokens of a video can be left out of a row (a lesson
of one step in the place that the step has in the whole clip) without moving the others. Several
rows may show the same clip: its features are computed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from stvg.backbones.learned import Lesson
from stvg.backbones.positions import positions, token_types
from stvg.backbones.prefix import padded
from stvg.backbones.preprocess import Grid, PatchLayout, normalise_on_device
from stvg.backbones.qwen import QwenBackbone
from stvg.backbones.tower import can_batch, encode_alike, encode_layers, refuse_windows
from stvg.methods.text_answer import Encoded
from stvg.rewards import Target
from stvg.text import View
from stvg.train.heads import Gauges, Sums
from stvg.types import BoolArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A query with its answer.

    Attributes:
        ids: Tokens of prompt and answer, (L,), placeholders repeated once a visual token.
        places: Their positions, (3, L) int64.
        answer: Number of tokens of the answer, the stop token included; the last ones of ``ids``
            but for ``behind``.
        clip: Number of the clip in its batch.
        visual: Which of the clip's visual tokens, vectors of a method among them, stand for the
            placeholders, (K,) int64.
        lesson: What the method's learned parts are to learn from it; None for methods without.
        behind: Places behind the answer for vectors of the method; the last ones of ``ids``.
    """

    ids: IntArray
    places: IntArray
    answer: int
    clip: int
    visual: IntArray
    lesson: Any = None
    behind: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class RowBatch:
    """R padded rows.

    Attributes:
        ids: (R, L) int64.
        places: (3, R, L) int64.
        judged: Places whose token is scored, that is tokens of answers, (R, L) bool.
        shown: Places of visual tokens, (R, L) bool.
        features: Which visual token of the whole batch stands at each of them, (M,) int64.
        behind: Places of the vectors of a method behind the answers, (R, L) bool.
        clips: Number of the clip of each row, (R,) int64.
    """

    ids: Tensor
    places: Tensor
    judged: Tensor
    shown: Tensor
    features: Tensor
    behind: Tensor
    clips: Tensor

    def to(self, device: Any) -> RowBatch:
        """The same on a device."""
        return RowBatch(*(getattr(self, each.name).to(device) for each in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """A query that the model answers itself, and what its answers are judged by.

    Attributes:
        name: Video and query, for people.
        query: The sentence.
        seed: Decides what is drawn at random for it.
        clip: Number of the clip in its batch.
        ids: Tokens of the prompt, placeholders repeated once a visual token.
        seconds_per_step: What positions count from step to step of the video.
        view: The clip in the answer's units.
        truth: What is right.
    """

    name: str
    query: str
    seed: int
    clip: int
    ids: tuple[int, ...]
    seconds_per_step: float
    view: View
    truth: Target


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What one step is trained on.

    Attributes:
        videos: Rows of ``patchify`` (P, D) uint8 and grid of each clip.
        rows: Queries with answers, or None where only the vision tower is asked.
        prompts: The same queries for answers of the model's own, where the task has a method.
        seen: Dense labels of the clips for ``DenseHeads.judge_seen``, or nothing.
        meant: Dense labels of the rows for ``DenseHeads.judge_meant``, or nothing.
        lessons: What the method's learned parts are to learn from each row, or nothing.
        broken: Clips that are missing from it because they cannot be used, name -> reason.
    """

    videos: tuple[tuple[Tensor, Grid], ...]
    rows: RowBatch | None
    prompts: tuple[Prompt, ...] = ()
    seen: Mapping[str, Tensor] = field(default_factory=dict)
    meant: Mapping[str, Tensor] = field(default_factory=dict)
    lessons: tuple[Lesson, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """What losses are means over: clips, rows, tokens of answers, and what lessons count."""
        rows = self.rows
        found = {
            "cell": len(self.videos),
            "target": 0 if rows is None else len(rows.ids),
            "answer": 0 if rows is None else int(rows.judged.sum()),
        }
        for lesson in self.lessons:
            for name, count in lesson.counts.items():
                found[name] = found.get(name, 0) + count
        return found

    def to(self, device: Any) -> Batch:
        """The same on a device."""
        rows = self.rows
        return Batch(
            tuple((pixels.to(device), grid) for pixels, grid in self.videos),
            None if rows is None else rows.to(device),
            self.prompts,
            {name: tensor.to(device) for name, tensor in self.seen.items()},
            {name: tensor.to(device) for name, tensor in self.meant.items()},
            self.lessons,
            self.broken,
        )


def row_of(backbone: QwenBackbone, encoded: Encoded, clip: int) -> Row:
    """A query with its answer, as a method encodes them.

    Args:
        backbone: The model, also without its weights.
        encoded: With a right answer.
        clip: Number of the clip in its batch.
    """
    question, answer, config = encoded.question, encoded.target, backbone.model.config
    assert answer is not None
    block, behind = question.pixels.block, encoded.behind
    types = token_types(question.ids, config.image_token_id, config.video_token_id)
    types = np.concatenate([types, np.zeros(len(answer) + behind, np.int64)])
    places = positions(types, [block], backbone.rule).ids[:, 0]  # (3, L)
    visual = np.arange(block.tokens(backbone.rule.merge))
    ids = np.array([*question.ids, *answer, *[0] * behind])
    return Row(ids, places, len(answer), clip, visual, encoded.lesson, behind)


def lessons_of(rows: Sequence[Row]) -> tuple[Lesson, ...]:
    """The lessons of rows that one method encoded; none for a method without learned parts."""
    return tuple(row.lesson for row in rows if row.lesson is not None)


def encode_videos(tower: Any, batch: Batch, layout: PatchLayout) -> list[Tensor]:
    """Visual tokens (K, C) of every clip; clips of one size in one call."""
    return _encoded(tower, batch, layout, keep=False)[0]


def encode_layers_of(
    tower: Any, batch: Batch, layout: PatchLayout
) -> tuple[list[Tensor], list[list[Tensor]]]:
    """Visual tokens of every clip, and what the tower's layers that see whole frames gave.

    Returns:
        Tokens (K, C) of each clip, and for each of these layers states (S, rows, columns, C').

    Raises:
        UsageError: If these cannot be had of frames of this size.
    """
    return _encoded(tower, batch, layout, keep=True)


def _encoded(
    tower: Any, batch: Batch, layout: PatchLayout, *, keep: bool
) -> tuple[list[Tensor], list[list[Tensor]]]:
    """Tokens of every clip, and states of layers where they are to be kept."""
    sizes: dict[Grid, list[int]] = {}
    for number, (_, grid) in enumerate(batch.videos):
        sizes.setdefault(grid, []).append(number)
    found: dict[int, Tensor] = {}
    inner: dict[int, list[Tensor]] = {}
    for grid, numbers in sizes.items():
        pixels = torch.stack([batch.videos[number][0] for number in numbers])
        if pixels.dtype == torch.uint8:
            flat = normalise_on_device(pixels.flatten(0, 1), layout)
            pixels = flat.reshape(pixels.shape)
        pixels = pixels.to(tower.dtype)
        if keep:
            refuse_windows(tower, grid)
            tokens, kept = encode_layers(tower, pixels, grid)
            inner.update({number: [each[n] for each in kept] for n, number in enumerate(numbers)})
        elif can_batch(tower, grid):
            tokens = encode_alike(tower, pixels, grid)
        else:
            grids = torch.tensor([grid] * len(numbers), device=pixels.device)
            tokens = tower(pixels.flatten(0, 1), grid_thw=grids).pooler_output
            tokens = tokens.reshape(len(numbers), -1, tokens.shape[-1])
        found.update(zip(numbers, tokens, strict=True))
    count = range(len(batch.videos))
    return [found[number] for number in count], [inner.get(number, []) for number in count]


def collate(rows: Sequence[Row], placeholder: int, tokens: Sequence[int]) -> RowBatch:
    """Fill rows up to the longest.

    Args:
        rows: At least one.
        placeholder: Token id that stands for a visual token in prompts.
        tokens: Number of visual tokens of each clip of the batch.
    """
    first = np.cumsum([0, *tokens])
    ids, real = padded([row.ids.tolist() for row in rows])
    places = np.zeros((3, *ids.shape), np.int64)
    judged = np.zeros(ids.shape, np.bool_)
    prompt: BoolArray = np.zeros(ids.shape, np.bool_)
    behind = np.zeros(ids.shape, np.bool_)
    for number, row in enumerate(rows):
        length = len(row.ids)
        end = length - row.behind
        places[:, number, :length] = row.places
        prompt[number, : end - row.answer] = True
        judged[number, end - row.answer : end] = True
        behind[number, end:length] = True
    shown = (ids == placeholder) & prompt & real
    features = np.concatenate([first[row.clip] + row.visual for row in rows])
    clips = np.array([row.clip for row in rows])
    arrays = (ids, places, judged, shown, features, behind, clips)
    return RowBatch(*(torch.from_numpy(array) for array in arrays))


def read_rows(
    model: Any,
    features: Tensor,
    batch: RowBatch,
    *,
    inner: bool = False,
    behind: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """States of a batch of rows.

    Args:
        model: A Qwen2.5-VL model.
        features: Visual tokens of all clips, (clips * tokens, C).
        batch: The rows.
        inner: Also give the states one layer before the last.
        behind: Vectors (M, C) of a method behind each answer, as many as rows have places for.

    Returns:
        States (R, L, C) behind the final norm, and those before the last layer or None.
    """
    embeds = model.get_input_embeddings()(batch.ids)
    chosen = features[batch.features].to(embeds.dtype)
    embeds = embeds.masked_scatter(batch.shown[..., None], chosen)
    if behind is not None:
        own = behind.to(embeds.dtype).repeat(len(embeds), 1)
        embeds = embeds.masked_scatter(batch.behind[..., None], own)
    out = model.model.language_model(
        inputs_embeds=embeds,
        position_ids=batch.places,
        use_cache=False,
        output_hidden_states=inner,
    )
    return out.last_hidden_state, out.hidden_states[-2] if inner else None


class SoftScale:
    """Tokens on a scale (numbers, frame numbers), of which near ones are nearly right.

    The goal for token *n* is a bell over its neighbours instead of *n* alone, which teaches all of
    them at once.

    Args:
        first: Token id of the scale's zero.
        count: Number of tokens on it.
        width: Standard deviation of the bell, in tokens.
    """

    def __init__(self, first: int, count: int, width: float) -> None:
        self.first, self.count = first, count
        apart = torch.arange(count)[:, None] - torch.arange(count)
        bell = torch.exp(-0.5 * (apart / width) ** 2)
        self.goals = bell / bell.sum(-1, keepdim=True)  # (count, count)

    def losses(self, log_probs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Which targets (M,) are on the scale, (M,) bool, and the cross entropy of those."""
        on = (targets >= self.first) & (targets < self.first + self.count)
        goals = self.goals.to(log_probs)[targets[on] - self.first]
        chances = log_probs[on, self.first : self.first + self.count]
        return on, -(goals * chances).sum(-1)


def judge_answers(
    model: Any, states: Tensor, batch: RowBatch, scales: Mapping[str, SoftScale]
) -> tuple[Sums, Gauges]:
    """Cross entropy of the answers, summed over their tokens.

    Args:
        model: The model, for its head.
        states: (R, L, C) of :func:`read_rows`.
        batch: The rows.
        scales: Soft goals by name.

    Returns:
        The loss ``answer``, and how many tokens are the likeliest ones: of all and of each scale.
    """
    row, place = torch.nonzero(batch.judged, as_tuple=True)
    targets = batch.ids[row, place]
    log_probs = model.lm_head(states[row, place - 1]).float().log_softmax(-1)  # (M, V)
    losses = F.nll_loss(log_probs, targets, reduction="none")
    right = log_probs.argmax(-1) == targets
    gauges = {"answer": (float(right.sum()), float(len(right)))}
    for name, scale in scales.items():
        on, soft = scale.losses(log_probs, targets)
        losses = losses.masked_scatter(on, soft)
        gauges[name] = (float(right[on].sum()), float(on.sum()))
    return {"answer": losses.sum()}, gauges

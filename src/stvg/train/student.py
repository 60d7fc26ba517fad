"""The model that is trained, with its dense heads, as one module: batch in, losses out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stvg.backbones.learned import LearnedParts, as_map
from stvg.backbones.positions import PositionRule
from stvg.backbones.preprocess import PatchLayout
from stvg.errors import UsageError
from stvg.train.fresh import FRAMES, NUMBERS, WORLD_WORDS, lacks_of_world
from stvg.train.heads import DenseHeads, Gauges, Sums
from stvg.train.rows import (
    Batch,
    SoftScale,
    encode_layers_of,
    encode_videos,
    judge_answers,
    read_rows,
)

GAUGES = (
    "object", "colour", "kind", "motion", "painted", "answer", "number", "time", "target", "now",
)  # fmt: skip
"""All gauges of models and dense heads."""
WEIGHTS = {
    "answer": 1.0, "cell": 1.0, "cell_box": 2.0, "cell_place": 3.0, "cell_change": 1.0,
    "cell_colour": 1.0, "cell_kind": 1.0, "cell_motion": 1.0, "cell_painted": 1.0,
    "target": 1.0, "target_now": 1.0, "target_box": 5.0,
}  # fmt: skip
"""Weights of the losses among each other; tasks scale those on ``cell`` and ``target`` tokens."""


class Student(nn.Module):  # type: ignore[misc]
    """A model, what a method learns beside it, and dense heads where it has the world's words.

    Args:
        model: A Qwen2.5-VL model.
        tokenizer: Its tokenizer.
        softness: Width of the goals for numbers and frame numbers, in tokens; see ``SoftScale``.
            Only for vocabularies in which they are single tokens.
        parts: What a method learns beside the model.

    Attributes:
        weights: Weight of each loss, by its name.
        gauges: Names of all gauges.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        softness: tuple[float, float],
        parts: LearnedParts | None = None,
    ) -> None:
        super().__init__()
        self.model, self.parts = model, parts
        self.weights = {**WEIGHTS, **(parts.weights if parts is not None else {})}
        self.gauges = (*GAUGES, *(parts.gauges if parts is not None else ()))
        self.layout = PatchLayout.of(model.config.vision_config)
        self.rule = PositionRule.of(model.config.vision_config)
        table = tokenizer.get_vocab()
        self.scales: dict[str, SoftScale] = {}
        self.heads: Any = None
        if not lacks_of_world(table):
            self.scales = {
                "number": SoftScale(table["0"], NUMBERS, softness[0]),
                "time": SoftScale(table["<t_0>"], FRAMES, softness[1]),
            }
            words = {name: [table[word] for word in words] for name, words in WORLD_WORDS.items()}
            with torch.random.fork_rng():
                torch.manual_seed(0)
                self.heads = DenseHeads(model.config.text_config.hidden_size, words)

    def forward(self, batch: Batch) -> tuple[Sums, Gauges]:
        """Losses summed over clips, rows or tokens of answers (``Batch.counts``), and gauges."""
        if not batch.videos:  # none could be used; processes still have to meet in the backward
            some = next(each for each in self.parameters() if each.requires_grad)
            return {"answer": some.sum() * 0}, {}
        grids = [grid for _, grid in batch.videos]
        parts = self._needed_parts if batch.lessons else None
        tower = self.model.model.visual
        layers: list[list[Tensor]] = []
        if parts is not None and parts.needs_maps:
            tokens, layers = encode_layers_of(tower, batch, self.layout)
        else:
            tokens = encode_videos(tower, batch, self.layout)
        given = tokens if parts is None else list(map(parts.features, tokens, grids))
        sums: Sums = {}
        gauges: Gauges = {}
        dense = self.heads is not None and len(batch.seen) > 0
        steps = batch.videos[0][1][0]
        if dense:
            table = self.model.get_input_embeddings().weight
            by_step = torch.stack(tokens).unflatten(1, (steps, -1))  # (B, S, K, C)
            _add(sums, gauges, self.heads.judge_seen(by_step, table, batch.seen))
        if batch.rows is not None:
            behind = None if parts is None else parts.behind
            states, inner = read_rows(
                self.model, torch.cat(given), batch.rows, inner=dense, behind=behind
            )
            _add(sums, gauges, judge_answers(self.model, states, batch.rows, self.scales))
            if inner is not None:
                shown = inner[batch.rows.shown].reshape(len(inner), steps, -1, inner.shape[-1])
                visual = shown[:, :, : len(tokens[0]) // steps]  # without vectors of a method
                _add(sums, gauges, self.heads.judge_meant(visual, batch.meant))
            if parts is not None:
                maps = [
                    [*layers[clip], as_map(tokens[clip], grids[clip], self.layout.merge)]
                    for clip in batch.rows.clips.tolist()
                ] if parts.needs_maps else []  # fmt: skip
                _add(sums, gauges, parts.judge(states, batch.lessons, maps))
        return sums, gauges

    @property
    def _needed_parts(self) -> LearnedParts:
        """The method's parts, where a batch has lessons for them."""
        if self.parts is None:
            raise UsageError(
                "expected the method that learns parts beside the model in the recipe's card "
                "(card: {method: ..., options: ...}), since a task encodes for it, found another "
                "or none"
            )
        return self.parts


def total_loss(
    sums: Mapping[str, Tensor],
    counts: Mapping[str, float],
    scale: Mapping[str, float],
    weights: Mapping[str, float] = WEIGHTS,
) -> Tensor:
    """The number to be made small.

    Args:
        sums: Of :meth:`Student.forward`.
        counts: What each family of losses (``answer``, ``cell``, ``target``) is divided by: the
            counts of the whole step, over all its parts and processes.
        scale: Weight of each family, 1 for those of learned parts.
        weights: Weights of the losses among each other.
    """
    parts = []
    for name, value in sums.items():
        family = name.partition("_")[0]
        weight = weights[name] * scale.get(family, 1.0)
        parts.append(value * (weight / max(counts[family], 1)))
    return torch.stack(parts).sum()


def _add(sums: Sums, gauges: Gauges, found: tuple[Sums, Gauges]) -> None:
    sums.update(found[0])
    gauges.update(found[1])

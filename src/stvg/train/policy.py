"""The model in reinforcement learning: it writes, it is scored, it is compared with what it was."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import torch

from stvg.backbones.prefix import Features
from stvg.backbones.qwen import QwenBackbone
from stvg.train.group import Group, GroupScorer
from stvg.train.recipe import Grpo, Recipe
from stvg.train.rows import Batch, encode_videos
from stvg.train.running import precision_of
from stvg.train.starting import Learner


@dataclass(frozen=True, slots=True)
class Policy:
    """A model that learns from its own answers.

    Attributes:
        learner: The model in training.
        scorer: Log-probabilities of groups of answers, with gradient.
        first: A copy of the model that the run started from; None where nothing is compared with
            it, or switching the adapters off is as good.
        precision: ``bf16`` or ``fp32``.
        options: Of the recipe.
    """

    learner: Learner
    scorer: GroupScorer
    first: QwenBackbone | None
    precision: Literal["bf16", "fp32"]
    options: Grpo

    @classmethod
    def of(cls, recipe: Recipe, learner: Learner, options: Grpo) -> Self:
        """Before a run's own weights are put back, while the model is the one it started from."""
        precision = precision_of(recipe)
        first = None
        if options.kl and recipe.lora is None:
            weights = learner.backbone.model.parameters()
            frozen = {id(each): each for each in weights if not each.requires_grad}
            model = copy.deepcopy(learner.backbone.model, frozen).requires_grad_(False).eval()
            first = replace(learner.backbone, model=model)
        scorer = GroupScorer(
            learner.backbone,
            options.form,
            temperature=options.temperature,
            at_once=options.at_once,
            precision=precision,
        )
        return cls(learner, scorer, first, precision, options)

    @property
    def trains_tower(self) -> bool:
        """Whether the vision tower changes, and with it what it makes of a video."""
        tower = self.learner.backbone.model.model.visual
        return any(each.requires_grad for each in tower.parameters())

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of computations."""
        kind = self.learner.backbone.device.type
        context: AbstractContextManager[Any] = torch.autocast(
            kind, torch.bfloat16, enabled=self.precision == "bf16"
        )
        return context

    def encode(self, batch: Batch) -> list[torch.Tensor]:
        """What the tower makes of each clip, (N, C) tokens; with a graph where gradients are on."""
        return self._encode(self.learner.backbone, batch)

    def encode_first(self, batch: Batch, tokens: list[torch.Tensor]) -> list[torch.Tensor]:
        """What the tower of the model that the run started from makes of each clip.

        Args:
            batch: The clips.
            tokens: What the tower makes of them now; the same where it is frozen.
        """
        if not self.options.kl or not self.trains_tower:
            return tokens
        with torch.no_grad(), self._as_it_was() as model:
            return self._encode(model, batch)

    def reference(self, group: Group) -> torch.Tensor:
        """Log-probabilities of answers by the model that the run started from, (G, L).

        Args:
            group: The answers, with features of that model's tower.
        """
        with torch.no_grad(), self._as_it_was() as model:
            return replace(self.scorer, backbone=model).score(group).log_probs

    @contextmanager
    def _as_it_was(self) -> Iterator[QwenBackbone]:
        """The model that the run started from."""
        if self.first is not None:
            yield self.first
        else:
            with self.learner.saved.disable_adapter():
                yield self.learner.backbone

    def _encode(self, model: QwenBackbone, batch: Batch) -> list[torch.Tensor]:
        with self.autocast():
            return encode_videos(model.model.model.visual, batch, model.layout)


def features_of(tokens: torch.Tensor, batch: Batch, clip: int, seconds: float) -> Features:
    """A clip's visual tokens as prompts take them."""
    return Features(tokens, batch.videos[clip][1], seconds)

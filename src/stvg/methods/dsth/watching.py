"""Asking a model about one video, and watching where it looks: all passes that the method needs.

A video with something added to its tokens is read once for all questions on it; each question goes
on from there with its few tokens. So the questions of a step share a graph, and where nothing is
added, those of several sentences share it too. An answer is one product with the difference of two
rows of the head. Attention is read without gradient, in as many layers as are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from stvg.backbones.attention_rows import RowTap, first_layers, reading_rows
from stvg.backbones.prefix import Features, Prefix, Tensor
from stvg.backbones.qwen import QwenBackbone
from stvg.methods.dsth.prompts import Prompt
from stvg.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Watcher:
    """One video and the questions on it.

    Attributes:
        backbone: The model; its weights want no gradient.
        video: What the vision tower made of the video.
        prompts: The questions by name.
        layers: Whose attention is read, ascending.
        answers: Tokens of yes and no; None where no answer is wanted.
    """

    backbone: QwenBackbone
    video: Features
    prompts: dict[str, Prompt]
    layers: range
    answers: tuple[int, int] | None = None

    @property
    def grid(self) -> tuple[int, int, int]:
        """Steps, rows and columns of the visual tokens."""
        merge = self.backbone.layout.merge
        steps, height, width = self.video.grid_thw
        return steps, height // merge, width // merge

    def nothing(self) -> Tensor:
        """What to add to the visual tokens to leave them as they are, (M, C) float32."""
        import torch

        return torch.zeros_like(self.video.tokens, dtype=torch.float32)

    def yes_over_no(
        self, added: Tensor, names: Sequence[str], *, reverse: bool = False
    ) -> dict[str, Tensor]:
        """Logit of yes less that of no, by question; gradients flow to what is added.

        Args:
            added: To each visual token, (M, C) float32.
            names: Of the questions.
            reverse: Whether the steps stand in reverse; what is added is not turned with them.
        """
        assert self.answers is not None
        head = self.backbone.model.lm_head.weight
        yes, no = self.answers
        toward = head[yes].float() - head[no].float()  # (C,)
        found: dict[str, Tensor] = {}
        for group, trunk in self._trunks(added, names, reverse=reverse):
            tails = [self.prompts[name].tail for name in group]
            for name, states in zip(group, self.backbone.states_behind(trunk, tails), strict=True):
                found[name] = states[-1].float() @ toward
        return found

    def attention(
        self, added: Tensor, names: Sequence[str], *, reverse: bool = False
    ) -> dict[str, FloatArray]:
        """Attention of the watched tokens on the video, by question; without gradient.

        Args:
            added: To each visual token, (M, C) float32.
            names: Of the questions.
            reverse: Whether the steps stand in reverse; the maps are then in that order too.

        Returns:
            Means over layers and heads, (R, steps, rows, columns), shares of all attention.
        """
        import torch

        language_model = self.backbone.model.model.language_model
        found: dict[str, FloatArray] = {}
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(first_layers(language_model, self.layers.stop))
            for group, trunk in self._trunks(added, names, reverse=reverse):
                prompts = [self.prompts[name] for name in group]
                tap = self._tap(prompts)
                with reading_rows(language_model, tap):
                    self.backbone.states_behind(trunk, [prompt.tail for prompt in prompts])
                maps = tap.mean()[0].reshape(-1, *self.grid).cpu().numpy().astype(np.float64)
                ends = np.cumsum([prompt.watched for prompt in prompts])[:-1]
                found |= dict(zip(group, np.split(maps, ends), strict=True))
        return found

    def _tap(self, prompts: Sequence[Prompt]) -> RowTap:
        """What is watched of the tails of questions with one trunk, one behind the other."""
        ends = np.cumsum([len(prompt.tail) for prompt in prompts])
        rows = [
            np.arange(end - prompt.watched, end) for end, prompt in zip(ends, prompts, strict=True)
        ]
        video = self.backbone.model.config.video_token_id
        columns = np.flatnonzero(np.array(prompts[0].trunk) == video)
        return RowTap(np.concatenate(rows), columns, layers=self.layers)

    def _trunks(
        self, added: Tensor, names: Sequence[str], *, reverse: bool
    ) -> Iterator[tuple[list[str], Prefix]]:
        """Questions that are the same up to the end of the video, and that part, read."""
        tokens = self.video.tokens
        if reverse:
            tokens = tokens.reshape(self.grid[0], -1, tokens.shape[-1]).flip(0).flatten(0, 1)
        shown = replace(self.video, tokens=tokens + added.to(tokens.dtype))
        groups: dict[tuple[int, ...], list[str]] = {}
        for name in names:
            groups.setdefault(self.prompts[name].trunk, []).append(name)
        for trunk, group in groups.items():
            read = self.backbone.prefill(trunk, [shown])
            # only keys and values are needed: the graph of the last state is let go
            yield group, replace(read, last_hidden=read.last_hidden.detach())

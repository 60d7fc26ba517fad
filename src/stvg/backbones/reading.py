"""Driving the language model of a Qwen-VL: prompts to embeddings, embeddings to states.

Everything that goes into the model goes through here: positions are always handed in, features are
put in place of the placeholders of prompts and of nothing else, and the cache of a prefix is given
to the model without being changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stvg.backbones.answer_cache import AnswerCache
from stvg.backbones.positions import (
    TEXT,
    PositionRule,
    Positions,
    batch_positions,
    continue_positions,
    token_types,
)
from stvg.backbones.prefix import Features, KeyValues, Prefix, Tensor, growing_cache, padded
from stvg.errors import UsageError
from stvg.types import BoolArray, IntArray


@dataclass(frozen=True, slots=True)
class Reader:
    """The language model with what it needs to know of tokens.

    Attributes:
        model: What :class:`stvg.backbones.qwen.QwenBackbone` takes.
        rule: How positions are counted.
        name: What messages call the model.
    """

    model: Any
    rule: PositionRule
    name: str

    @property
    def language_model(self) -> Any:
        """The layers behind the embeddings."""
        return self.model.model.language_model

    @property
    def is_checkpointed(self) -> bool:
        """Whether any layer is in training and computes its states again in the backward."""
        layers = self.language_model.layers
        return any(layer.gradient_checkpointing and layer.training for layer in layers)

    def types(self, ids: ArrayLike) -> IntArray:
        """``mm_token_type_ids`` of tokens, any shape."""
        config = self.model.config
        return token_types(ids, config.image_token_id, config.video_token_id)

    def embed_text(self, ids: IntArray) -> Tensor:
        """Embeddings (B, S, C) of tokens (B, S), placeholders as the words that they also are."""
        import torch

        tokens = torch.from_numpy(np.ascontiguousarray(ids, np.int64)).to(self.model.device)
        return self.model.get_input_embeddings()(tokens)

    def embed_prompts(
        self, prompts: Sequence[Sequence[int]], features: Sequence[Sequence[Features]]
    ) -> tuple[Tensor, Positions, BoolArray]:
        """Prompts with their images and videos, padded on the right.

        Returns:
            Embeddings (B, S, C), positions, and which places hold a token, (B, S).

        Raises:
            UsageError: If a prompt has no tokens, or its placeholders are not those of its
                features.
        """
        import torch

        if not all(len(ids) for ids in prompts):
            raise UsageError("expected a prompt of at least one token, found none")
        ids, real = padded(prompts)
        types = np.where(real, self.types(ids), TEXT)
        blocks = [[item.block for item in own] for own in features]
        found = batch_positions(types, blocks, self.rule, real)  # refuses a mismatch
        embeds = self.embed_text(ids)
        items = [item.tokens.to(embeds.device, embeds.dtype) for own in features for item in own]
        if items:
            visual = torch.from_numpy(types != TEXT).to(embeds.device)[..., None]
            embeds = embeds.masked_scatter(visual, torch.cat(items))
        return embeds, found, real

    def read_prompts(
        self, embeds: Tensor, found: Positions, real: BoolArray, *, hidden: bool
    ) -> Prefix:
        """A prefix of prompts (B, S, C), as :meth:`embed_prompts` gives them."""
        import torch

        # What stands in padding on the right is seen by nothing in front of it.
        states, key_values = self.read(embeds, found.ids)
        mask = None if real.all() else torch.from_numpy(real).to(states.device)
        kept = states if hidden else None
        return Prefix(key_values, mask, found.following, last_states(states, real), kept)

    def read(
        self, embeds: Tensor, places: IntArray, prefix: Prefix | None = None
    ) -> tuple[Tensor, KeyValues]:
        """States (B, S, C) of new tokens behind a prefix, and the whole cache with them in it.

        Args:
            embeds: (B, S, C).
            places: Positions (3, B, S).
            prefix: What stands before, B rows; None for nothing.
        """
        cache = growing_cache(() if prefix is None else prefix.whole())
        mask = None if prefix is None else prefix.mask_with(embeds.shape[1])
        states = self._run(embeds, places, cache, mask)
        return states, tuple((layer.keys, layer.values) for layer in cache.layers)

    def read_answers(
        self, tokens: IntArray, rows: IntArray, following: IntArray, cache: AnswerCache
    ) -> Tensor:
        """States (N, C) of new tokens of answers; the cache grows by them.

        Args:
            tokens: (N,).
            rows: The answer that each belongs to, (N,), ascending.
            following: Position of each, alike on all three axes, (N,).
            cache: What the answers hold so far. The model must be in ``answers_attention``.
        """
        cache.expect(rows)
        places = continue_positions(following, 1).transpose(0, 2, 1)  # (3, 1, N)
        nothing = {"full_attention": None}  # the cache itself knows what is seen
        return self._run(self.embed_text(tokens[None]), places, cache, nothing)[0]

    def read_apart(self, texts: Sequence[Sequence[int]], prefix: Prefix) -> list[Tensor]:
        """States (n, C) of each of several continuations of one prompt, read in one row.

        Args:
            texts: Tokens of each, text only, at least one token.
            prefix: The prompt, one row without padding.
        """
        import torch

        text = np.repeat(np.arange(len(texts)), [len(each) for each in texts])  # of each token
        count, before = len(text), prefix.length
        ids = np.concatenate([np.asarray(each, np.int64) for each in texts])[None]
        places = np.concatenate(
            [continue_positions(prefix.following, len(each)) for each in texts], axis=2
        )
        seen = np.ones((count, before + count), np.bool_)
        seen[:, before:] = np.tril(text[:, None] == text)
        mask = {"full_attention": torch.from_numpy(seen).to(self.model.device)[None, None]}
        cache = growing_cache(prefix.whole())
        states = self._run(self.embed_text(ids), places, cache, mask)
        return list(states[0].split([len(each) for each in texts]))

    def _run(self, embeds: Tensor, places: IntArray, cache: Any, mask: Any) -> Tensor:
        """States (B, S, C) of embeddings; the cache grows by them."""
        import torch

        if self.is_checkpointed:
            raise UsageError(
                f"{self.name} has gradient checkpointing on, under which transformers drops the "
                "cache of a shared prefix; switch it off (gradient_checkpointing_disable)"
            )
        return self.language_model(
            inputs_embeds=embeds,
            position_ids=torch.from_numpy(places).to(embeds.device),
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state


def last_states(states: Tensor, real: BoolArray) -> Tensor:
    """The state (B, C) of each row's last token, from (B, S, C); its first where it has none."""
    import torch

    last = torch.from_numpy(np.maximum(real.sum(1) - 1, 0)).to(states.device)
    return states[torch.arange(len(states), device=states.device), last]

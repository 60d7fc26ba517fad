"""Qwen2.5-VL as it is in ``transformers``, driven so that nothing is computed twice.

The model class is not changed and its own ``forward`` and ``generate`` are not used. A video is
encoded once (:meth:`QwenBackbone.encode_video`), a prompt with its video is read once
(:meth:`~QwenBackbone.prefill`), several questions continue it (:meth:`~QwenBackbone.extend`), and
answers are written (:meth:`~QwenBackbone.generate`) or scored (:meth:`~QwenBackbone.score`) on
top of the same cache::

    backbone = QwenBackbone.load("Qwen/Qwen2.5-VL-3B-Instruct")
    pixels, grid = video_inputs(clip.frames, backbone.layout, keep_bytes=True)
    seconds = TokenGrid.of(clip, backbone.layout).seconds_per_step
    video = backbone.encode_video(pixels, grid, seconds_per_step=seconds)
    prompt = backbone.prefill(ids_of_the_shared_part, [video])
    answers = backbone.generate(backbone.extend(prompt, ids_of_each_question), max_new_tokens=200)

Results equal the plain full forward of the real class to float rounding. Three things that go
wrong there without an error cannot happen here. ``mm_token_type_ids`` is derived from the prompt
and cannot be left out. Positions are always handed in, so that ``rope_deltas``, which every call
of the model's own forward leaves behind on the module, is neither read nor written. Placeholders
of images and videos have probability zero in what is written, and features go into the prompt
only, so that a placeholder in a scored answer is a word like any other.

Gradients flow wherever the caller lets them (``torch.no_grad`` is the caller's, except in
``generate``). Gradient checkpointing of transformers drops the cache and is refused. Batches share
one prompt; joining prompts of different videos into one batch is not done here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stvg.backbones.choosing import Chooser, log_probabilities
from stvg.backbones.loading import load_model, wrong_architecture
from stvg.backbones.positions import (
    TEXT,
    VIDEO,
    Convention,
    PositionRule,
    continue_positions,
    positions,
    token_types,
)
from stvg.backbones.prefix import (
    Completions,
    Features,
    KeyValues,
    Prefix,
    Tensor,
    growing_cache,
    padded,
)
from stvg.backbones.preprocess import PatchLayout, normalise_on_device
from stvg.backbones.writing import write
from stvg.errors import UsageError
from stvg.types import IntArray

_MODEL_TYPE = "qwen2_5_vl"


@dataclass(frozen=True, slots=True)
class QwenBackbone:
    """A Qwen2.5-VL model with its tokenizer.

    Attributes:
        model: A ``Qwen2_5_VLForConditionalGeneration``; of a model that ``peft`` wraps, what
            ``get_base_model()`` gives.
        tokenizer: Its tokenizer; None where only token ids are used.
        name: What messages call it.
        convention: How positions go on behind a video; see :mod:`stvg.backbones.positions`.

    Raises:
        UsageError: If the model is of another architecture, or has sliding windows.
    """

    model: Any
    tokenizer: Any = None
    name: str = "model"
    convention: Convention = "checkpoint"

    def __post_init__(self) -> None:
        config = self.model.config
        if config.model_type != _MODEL_TYPE:
            raise UsageError(wrong_architecture(self.name, _MODEL_TYPE, config))
        if "sliding_attention" in (config.text_config.layer_types or ()):
            raise UsageError(
                f"{self.name} has layers with sliding windows, whose cache cannot be shared; set "
                "use_sliding_window to false in its configuration"
            )
        _ = self.rule  # refuses an unknown convention now

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        dtype: str | None = None,
        device: str | None = None,
        attention: str = "sdpa",
        convention: Convention = "checkpoint",
    ) -> QwenBackbone:
        """Load a model and its tokenizer.

        Args:
            name_or_path: Hub id (``owner/name``) or local folder.
            dtype: ``float32``, ``bfloat16`` or ``float16``; default bfloat16 on a graphics card
                and float32 elsewhere.
            device: As torch names it; default the graphics card where torch finds one.
            attention: Attention implementation of transformers.
            convention: How positions go on behind a video.

        Raises:
            MissingExtraError: If torch or transformers do not import.
            WeightsError: If there is no such model, it is of another architecture, or weights
                are missing from it.
            UsageError: If ``dtype`` is none of the three.
        """
        name = str(name_or_path)
        model, tokenizer = load_model(
            name,
            _MODEL_TYPE,
            "Qwen2_5_VLForConditionalGeneration",
            dtype=dtype,
            device=device,
            attention=attention,
        )
        return cls(model, tokenizer, name, convention)

    @property
    def layout(self) -> PatchLayout:
        """How the model cuts and scales frames."""
        return PatchLayout.of(self.model.config.vision_config)

    @property
    def rule(self) -> PositionRule:
        """How positions are counted."""
        return PositionRule.of(self.model.config.vision_config, self.convention)

    @property
    def device(self) -> Any:
        """Where the model lies."""
        return self.model.device

    @property
    def banned_tokens(self) -> tuple[int, ...]:
        """What the model must not write: placeholders of images and videos and what frames them."""
        config = self.model.config
        ids = (
            config.image_token_id,
            config.video_token_id,
            config.vision_start_token_id,
            config.vision_end_token_id,
        )
        return tuple(sorted({i for i in ids if 0 <= i < config.text_config.vocab_size}))

    @property
    def stop_tokens(self) -> frozenset[int]:
        """What ends an answer: the end tokens of the generation configuration and tokenizer."""
        ends = getattr(self.model.generation_config, "eos_token_id", None)
        known = [ends] if isinstance(ends, int) else list(ends or ())
        own = getattr(self.tokenizer, "eos_token_id", None)
        return frozenset(known if own is None else [*known, own])

    def encode_video(
        self,
        pixels: Any,
        grid_thw: ArrayLike,
        *,
        seconds_per_step: float = 1.0,
        kind: int = VIDEO,
    ) -> Features:
        """Run the vision tower on one video or image.

        Args:
            pixels: Rows of :func:`stvg.backbones.preprocess.video_inputs`, (S, D) array or
                tensor; bytes are normalised on the device, floats taken as normalised.
            grid_thw: Patches in time, height and width, (3,) or (1, 3).
            seconds_per_step: Time from one step to the next (``TokenGrid.seconds_per_step``).
            kind: ``VIDEO`` or ``IMAGE``, by which placeholder it stands in the prompt.

        Returns:
            Features of S / merge^2 tokens, in the model's type.

        Raises:
            UsageError: If pixels and grid do not belong together or to this model.
        """
        import torch

        layout = self.layout
        steps, height, width = (int(number) for number in np.asarray(grid_thw).reshape(-1))
        whole = not (height % layout.merge or width % layout.merge)
        if tuple(pixels.shape) != (steps * height * width, layout.row_length) or not whole:
            raise UsageError(
                f"expected pixels ({steps * height * width}, {layout.row_length}) for a grid of "
                f"{steps} x {height} x {width} patches, height and width multiples of "
                f"{layout.merge}, found {tuple(pixels.shape)}"
            )
        if isinstance(pixels, np.ndarray):
            pixels = torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())
        rows = pixels.to(self.device)
        if rows.dtype == torch.uint8:
            rows = normalise_on_device(rows, layout)
        tower = self.model.model.visual
        grid = torch.tensor([[steps, height, width]], device=self.device)
        tokens = tower(rows.to(tower.dtype), grid_thw=grid).pooler_output  # (S / merge^2, C)
        return Features(tokens, (steps, height, width), seconds_per_step, kind)

    def embed(self, ids: Sequence[int], features: Sequence[Features] = ()) -> Tensor:
        """Embeddings of a prompt, with visual features in place of their placeholders.

        Args:
            ids: Tokens of the prompt, (S,), placeholders repeated once a visual token.
            features: Its images and videos, in the order in which they stand in it.

        Returns:
            (1, S, C) in the model's type.

        Raises:
            UsageError: If the prompt has no tokens, or its placeholders are not those of the
                features.
        """
        import torch

        if not len(ids):
            raise UsageError("expected a prompt of at least one token, found none")
        types = self._types(ids)
        positions(types, [item.block for item in features], self.rule)  # refuses a mismatch
        embeds = self._embed_text(np.asarray(ids)[None])
        if not features:
            return embeds
        tokens = torch.cat([item.tokens for item in features]).to(embeds.device, embeds.dtype)
        visual = torch.from_numpy(types != TEXT).to(embeds.device)[None, :, None]
        return embeds.masked_scatter(visual, tokens)

    def prefill(
        self,
        ids: Sequence[int],
        features: Sequence[Features] = (),
        *,
        embeds: Tensor | None = None,
        hidden: bool = False,
    ) -> Prefix:
        """Read a prompt.

        Args:
            ids: Tokens of the prompt, (S,), placeholders repeated once a visual token.
            features: Its images and videos, in the order in which they stand in it.
            embeds: Use these embeddings (1, S, C) instead of :meth:`embed`'s, for methods that
                put vectors of their own into the prompt.
            hidden: Keep the states of all tokens.

        Returns:
            A prefix of one row.

        Raises:
            UsageError: As :meth:`embed`.
        """
        embeds = self.embed(ids, features) if embeds is None else embeds
        found = positions(self._types(ids), [item.block for item in features], self.rule)
        states, key_values = self._forward(embeds, found.ids)
        return Prefix(key_values, None, found.following, states[:, -1], states if hidden else None)

    def extend(
        self, prefix: Prefix, texts: Sequence[Sequence[int]], *, hidden: bool = False
    ) -> Prefix:
        """Read on: several continuations of one prompt, or one each of several.

        Args:
            prefix: What has been read, B rows. It is not changed.
            texts: Tokens of each continuation, text only, of any lengths; a multiple of B, each
                row's in turn.
            hidden: Keep the states of the new tokens.

        Returns:
            A prefix of as many rows as there are texts.

        Raises:
            UsageError: If a text holds a placeholder, or the numbers do not fit.
        """
        import torch

        prefix = prefix.matched(len(texts))
        ids, real = padded(texts)
        if (self._types(ids) != TEXT)[real].any():
            raise UsageError(
                "a continuation holds text only, found a placeholder of an image or video; put "
                "it into the prompt"
            )
        if not ids.shape[1]:
            return prefix
        places = continue_positions(prefix.following, ids.shape[1])
        states, key_values = self._forward(self._embed_text(ids), places, prefix)
        kept = torch.from_numpy(real).to(states.device)  # (B, S)
        rows = torch.arange(len(ids), device=states.device)
        at_end = states[rows, (kept.sum(1) - 1).clamp(min=0)]  # (B, C)
        return Prefix(
            key_values,
            None if prefix.mask is None and real.all() else prefix.mask_with(kept),
            prefix.following + real.sum(1),
            torch.where(kept.any(1, keepdim=True), at_end, prefix.last_hidden),
            states if hidden else None,
        )

    def score(
        self,
        prefix: Prefix,
        completions: Sequence[Sequence[int]],
        *,
        temperature: float = 1.0,
        ban: bool = True,
        hidden: bool = False,
    ) -> Completions:
        """Log-probabilities of given answers; gradients flow if the caller lets them.

        Args:
            prefix: The prompts, B rows.
            completions: Tokens of each answer; a multiple of B, each row's in turn.
            temperature: As when they were written; above 0.
            ban: Give placeholders probability zero, as :meth:`generate` does. Off, probabilities
                are those of the bare model, and answers may hold placeholders.
            hidden: Keep the states of the answers' tokens.

        Raises:
            UsageError: If an answer holds a banned token, the numbers do not fit, or the
                temperature is not above 0.
        """
        import torch

        if not temperature > 0:
            raise UsageError(f"the temperature of scores must be above 0, found {temperature}")
        banned = self.banned_tokens if ban else ()
        _refuse_banned(completions, banned)
        prefix = prefix.matched(len(completions))
        ids, _ = padded(completions)
        states = prefix.last_hidden[:, None]  # (B, 1, C): what the first token is judged by
        read = ids.shape[1] if hidden else ids.shape[1] - 1
        if read > 0:
            places = continue_positions(prefix.following, read)
            new, _ = self._forward(self._embed_text(ids[:, :read]), places, prefix)
            states = torch.cat([states, new], dim=1)
        targets = torch.from_numpy(ids).to(self.device)
        rows = [
            self._log_probs(states[row, : ids.shape[1]], banned, temperature)
            .gather(-1, targets[row, :, None])
            .squeeze(-1)
            for row in range(len(ids))
        ]  # one row at a time: (L, V) rather than (B, L, V) scores at once
        log_probs = torch.stack(rows) if ids.shape[1] else states.new_zeros((len(ids), 0))
        return self._completions(
            completions, log_probs, self.stop_tokens, states[:, 1:] if hidden else None
        )

    def generate(
        self,
        prefix: Prefix,
        *,
        max_new_tokens: int,
        samples: int = 1,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | Sequence[int] = 0,
        stop: Iterable[int] | None = None,
        ban: bool = True,
        hidden: bool = False,
    ) -> Completions:
        """Write answers; without gradients.

        Args:
            prefix: The prompts, B rows. It is not changed.
            max_new_tokens: Longest answer, at least 1.
            samples: Answers to each prompt, one after the other in the result.
            temperature: 0 takes the likeliest token each time.
            top_p: Sample among the likeliest tokens that make up this share of probability.
            seed: One number, or one for each of the B * samples answers, which then does not
                depend on the others.
            stop: Tokens that end an answer; default :attr:`stop_tokens`.
            ban: Never write placeholders of images and videos.
            hidden: Keep the states of the answers' tokens.

        Returns:
            B * samples answers. Their log-probabilities are those of :meth:`score` at the same
            temperature (1 where it is 0): of the whole distribution, before ``top_p``.

        Raises:
            UsageError: If a number is out of range.
        """
        import torch

        if min(max_new_tokens, samples) < 1:
            raise UsageError(
                f"expected at least 1 new token and sample, found {max_new_tokens} and {samples}"
            )
        prefix = prefix.repeated(samples)
        ends = frozenset(self.stop_tokens if stop is None else stop)
        log_probs_of = partial(
            self._log_probs, banned=self.banned_tokens if ban else (), temperature=temperature or 1
        )
        with torch.no_grad():
            rows, log_probs, states = write(
                prefix,
                self._read_token,
                log_probs_of,
                Chooser(len(prefix), temperature, top_p, seed),
                ends=ends,
                limit=max_new_tokens,
                keep_states=hidden,
            )
        return self._completions(rows, log_probs, ends, states)

    def _read_token(self, tokens: Tensor, places: IntArray, cache: Any, mask: Any) -> Tensor:
        """States (B, C) after one more token (B,) of every row; the cache grows by it."""
        embeds = self.model.get_input_embeddings()(tokens[:, None])
        return self._step(embeds, places, cache, mask)[:, -1]

    def _forward(
        self, embeds: Tensor, places: IntArray, prefix: Prefix | None = None
    ) -> tuple[Tensor, KeyValues]:
        """States (B, S, C) of new tokens behind a prefix, and the cache with them in it.

        Args:
            embeds: (B, S, C).
            places: Positions (3, B, S).
            prefix: What stands before, B rows; None for nothing.
        """
        cache = growing_cache(() if prefix is None else prefix.key_values)
        mask = None if prefix is None else prefix.mask_with(embeds.shape[1])
        states = self._step(embeds, places, cache, mask)
        return states, tuple((layer.keys, layer.values) for layer in cache.layers)

    def _step(self, embeds: Tensor, places: IntArray, cache: Any, mask: Tensor | None) -> Tensor:
        """States (B, S, C) of new tokens; the cache grows by them."""
        import torch

        language_model = self.model.model.language_model
        if any(layer.gradient_checkpointing and layer.training for layer in language_model.layers):
            raise UsageError(
                f"{self.name} has gradient checkpointing on, under which transformers drops the "
                "cache of a shared prefix; switch it off (gradient_checkpointing_disable)"
            )
        return language_model(
            inputs_embeds=embeds,
            position_ids=torch.from_numpy(places).to(embeds.device),
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state

    def _log_probs(self, states: Tensor, banned: Sequence[int], temperature: float) -> Tensor:
        """Log-probabilities (..., V) float32 of the token after each state (..., C)."""
        return log_probabilities(self.model.lm_head(states), banned, temperature)

    def _embed_text(self, ids: IntArray) -> Tensor:
        """Embeddings (B, S, C) of tokens (B, S), placeholders as the words that they also are."""
        import torch

        tokens = torch.from_numpy(np.ascontiguousarray(ids, np.int64)).to(self.device)
        return self.model.get_input_embeddings()(tokens)

    def _types(self, ids: ArrayLike) -> IntArray:
        """``mm_token_type_ids`` of tokens, any shape."""
        config = self.model.config
        return token_types(ids, config.image_token_id, config.video_token_id)

    @staticmethod
    def _completions(
        rows: Sequence[Sequence[int]], log_probs: Tensor, ends: frozenset[int], states: Any
    ) -> Completions:
        """Answers with their log-probabilities (B, L), of which the padding is cleared."""
        import torch

        _, real = padded(rows)
        mask = torch.from_numpy(real).to(log_probs.device)
        return Completions(
            tuple(tuple(int(token) for token in row) for row in rows),
            torch.where(mask, log_probs.float(), log_probs.new_zeros((), dtype=torch.float32)),
            mask,
            tuple(bool(len(row)) and row[-1] in ends for row in rows),
            states,
        )


def _refuse_banned(completions: Sequence[Sequence[int]], banned: Sequence[int]) -> None:
    """Raise if an answer holds a token of probability zero."""
    for number, row in enumerate(completions):
        found = sorted(set(banned).intersection(row))
        if found:
            raise UsageError(
                f"answer {number} holds the placeholder {found[0]} of an image or video, which "
                "cannot be written here; score it with ban=False, or leave it out"
            )

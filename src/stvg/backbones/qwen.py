"""Qwen2.5-VL and Qwen2-VL from ``transformers``, driven so that nothing is computed twice.

The model class is not changed and its own ``forward`` and ``generate`` are not used. A video is
encoded once (:meth:`QwenBackbone.encode_video`), a prompt with its video is read once
(:meth:`~QwenBackbone.prefill`, several of them with :meth:`~QwenBackbone.prefill_batch`), several
questions continue it (:meth:`~QwenBackbone.extend`), and answers are written
(:meth:`~QwenBackbone.generate`) or scored (:meth:`~QwenBackbone.score`), freely or along a grammar,
on top of the same cache, which is kept once for all of them::

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
``generate``). Gradient checkpointing of transformers drops the cache and is refused. One model
writes for one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stvg.backbones import scoring
from stvg.backbones.answer_cache import AnswerCache, answers_attention
from stvg.backbones.choosing import Chooser, Judge
from stvg.backbones.grammar import Rules, Starts, starts_of
from stvg.backbones.loading import load_model, wrong_architecture
from stvg.backbones.positions import (
    TEXT,
    VIDEO,
    Convention,
    PositionRule,
    continue_positions,
    positions,
)
from stvg.backbones.prefix import Completions, Features, Prefix, Tensor, padded
from stvg.backbones.preprocess import PatchLayout, normalise_on_device
from stvg.backbones.reading import Reader, last_states
from stvg.backbones.tower import can_batch, encode_alike, encode_layers, refuse_windows
from stvg.backbones.writing import Answer, write
from stvg.errors import UsageError
from stvg.types import IntArray

_CLASSES = {
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen2_vl": "Qwen2VLForConditionalGeneration",
}
"""Classes of transformers that can be driven, by the type that a configuration says."""


@dataclass(frozen=True, slots=True)
class QwenBackbone:
    """A Qwen2.5-VL or Qwen2-VL model with its tokenizer.

    Attributes:
        model: A ``Qwen2_5_VLForConditionalGeneration`` or ``Qwen2VLForConditionalGeneration``; of a
            model that ``peft`` wraps, what ``get_base_model()`` gives.
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
        if config.model_type not in _CLASSES:
            raise UsageError(wrong_architecture(self.name, _CLASSES, config))
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
            UsageError: If ``dtype`` is none of the three, or torch cannot use the device.
        """
        name = str(name_or_path)
        model, tokenizer = load_model(
            name, _CLASSES, dtype=dtype, device=device, attention=attention
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
        own = self._own_end
        return frozenset(known if own is None else [*known, own])

    def encode_video(
        self,
        pixels: Any,
        grid_thw: ArrayLike,
        *,
        seconds_per_step: float = 1.0,
        kind: int = VIDEO,
        layers: bool = False,
    ) -> Features:
        """Run the vision tower on one video or image.

        Args:
            pixels: Rows of :func:`stvg.backbones.preprocess.video_inputs`, (S, D) array or
                tensor; bytes are normalised on the device, floats taken as normalised.
            grid_thw: Patches in time, height and width, (3,) or (1, 3).
            seconds_per_step: Time from one step to the next (``TokenGrid.seconds_per_step``).
            kind: ``VIDEO`` or ``IMAGE``, by which placeholder it stands in the prompt.
            layers: Keep the states of the tower's layers that see whole frames.

        Returns:
            Features of S / merge^2 tokens, in the model's type.

        Raises:
            UsageError: If pixels and grid do not belong together or to this model, or layers are
                asked for of frames whose windows come in several sizes.
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
        tower, grid = self.model.model.visual, (steps, height, width)
        rows = rows.to(tower.dtype)
        if layers:
            refuse_windows(tower, grid)
            found, kept = encode_layers(tower, rows[None], grid)
            inner = tuple(each[0] for each in kept)
            return Features(found[0], grid, seconds_per_step, kind, layers=inner)
        if can_batch(tower, grid):
            tokens = encode_alike(tower, rows[None], grid)[0]  # (S / merge^2, C)
        else:
            grids = torch.tensor([grid], device=self.device)
            tokens = tower(rows, grid_thw=grids).pooler_output
        return Features(tokens, grid, seconds_per_step, kind)

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
        return self._reader.embed_prompts([ids], [features])[0]

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
        if embeds is None:
            return self.prefill_batch([ids], [features], hidden=hidden)
        types = self._reader.types(ids)
        found = positions(types, [item.block for item in features], self.rule)
        return self._reader.read_prompts(
            embeds, found, np.ones((1, len(ids)), np.bool_), hidden=hidden
        )

    def prefill_batch(
        self,
        prompts: Sequence[Sequence[int]],
        features: Sequence[Sequence[Features]],
        *,
        hidden: bool = False,
    ) -> Prefix:
        """Read several prompts, each with images and videos of its own, in one call.

        Where prompts differ only behind their video, :meth:`extend` one prompt instead.

        Args:
            prompts: Tokens of each prompt, of any lengths, placeholders repeated once a visual
                token. They are padded on the right, where nothing that counts looks.
            features: The images and videos of each. The same object may stand in several.
            hidden: Keep the states of all tokens.

        Returns:
            A prefix of as many rows as there are prompts.

        Raises:
            UsageError: If there are no prompts or not as many features as prompts, or as
                :meth:`embed` for any of them.
        """
        if not len(prompts) or len(prompts) != len(features):
            raise UsageError(
                "expected at least one prompt and features for each, found "
                f"{len(prompts)} prompts and features for {len(features)}"
            )
        return self._reader.read_prompts(
            *self._reader.embed_prompts(prompts, features), hidden=hidden
        )

    def extend(
        self,
        prefix: Prefix,
        texts: Sequence[Sequence[int]],
        *,
        vectors: Tensor | None = None,
        hidden: bool = False,
    ) -> Prefix:
        """Read on: several continuations of one prompt, or one each of several.

        Args:
            prefix: What has been read, B rows. It is not changed.
            texts: Tokens of each continuation, text only, of any lengths; a multiple of B, each
                row's in turn.
            vectors: Vectors of a method (M, C) that stand behind each of them.
            hidden: Keep the states of the new tokens, and of the vectors behind them.

        Returns:
            A prefix of as many rows as there are texts.

        Raises:
            UsageError: If a text holds a placeholder, or the numbers do not fit.
        """
        import torch

        prefix = prefix.matched(len(texts))
        count = 0 if vectors is None else len(vectors)
        ids, real = padded([[*text, *([0] * count)] for text in texts])
        self._refuse_placeholders(texts)
        if not ids.shape[1]:
            return prefix
        places = continue_positions(prefix.following, ids.shape[1])
        embeds = self._reader.embed_text(ids)
        if vectors is not None:
            behind = np.arange(ids.shape[1]) - np.array([[len(text)] for text in texts])
            own = torch.from_numpy((behind >= 0) & (behind < count)).to(embeds.device)[..., None]
            embeds = embeds.masked_scatter(own, vectors.to(embeds).repeat(len(texts), 1))
        states, grown = self._reader.read(embeds, places, prefix)
        is_longer = torch.from_numpy(real.any(1, keepdims=True)).to(states.device)  # (B, 1)
        last = torch.where(is_longer, last_states(states, real), prefix.last_hidden)
        return prefix.extended(grown, real, last, states if hidden else None)

    def states_behind(self, prefix: Prefix, texts: Sequence[Sequence[int]]) -> list[Tensor]:
        """States of several continuations of one prompt, none of which sees another.

        As :meth:`extend` keeps them, but all texts stand in one row, so that no key or value of
        the prompt is copied for each, in memory or in the graph; and nothing can go on from here.

        Args:
            prefix: The prompt, one row.
            texts: Tokens of each continuation, text only, at least one token.

        Returns:
            (n, C) behind the final norm, for each text.

        Raises:
            UsageError: If the prefix has several rows or padding, or a text is empty or holds a
                placeholder.
        """
        if len(prefix) != 1 or prefix.mask is not None:
            raise UsageError(
                f"expected a prompt of one row without padding, found {len(prefix)} rows"
            )
        if not texts or not all(len(text) for text in texts):
            raise UsageError("expected continuations of at least one token, found an empty one")
        self._refuse_placeholders(texts)
        return self._reader.read_apart(texts, prefix)

    def score(
        self,
        prefix: Prefix,
        completions: Sequence[Sequence[int]],
        *,
        grammar: Starts | None = None,
        temperature: float = 1.0,
        stop: Iterable[int] | None = None,
        ban: bool = True,
        hidden: bool = False,
    ) -> Completions:
        """Log-probabilities of given answers; gradients flow if the caller lets them.

        Args:
            prefix: The prompts, B rows.
            completions: Tokens of each answer; a multiple of B, each row's in turn.
            grammar: What the answers follow, as when they were written: one for all, or one for
                each or each few of them in turn.
            temperature: As when they were written; above 0.
            stop: Tokens that end an answer; default :attr:`stop_tokens`.
            ban: Give placeholders probability zero, as :meth:`generate` does. Off, probabilities
                are those of the bare model, and answers may hold placeholders.
            hidden: Keep the states of the answers' tokens.

        Raises:
            UsageError: If an answer holds a banned token or leaves its grammar, the numbers do
                not fit, or the temperature is not above 0.
        """
        import torch

        if not temperature > 0:
            raise UsageError(f"the temperature of scores must be above 0, found {temperature}")
        prefix = prefix.matched(len(completions))
        ends = self._ends(stop)
        options = self.options_of(completions, grammar=grammar, stop=ends, ban=ban)
        ids, _ = padded(completions)
        states = prefix.last_hidden[:, None]  # (B, 1, C): what the first token is judged by
        read = ids.shape[1] if hidden else ids.shape[1] - 1
        if read > 0:
            places = continue_positions(prefix.following, read)
            new, _ = self._reader.read(self._reader.embed_text(ids[:, :read]), places, prefix)
            states = torch.cat([states, new], dim=1)
        judge = Judge(self.model.lm_head, self.banned_tokens if ban else (), temperature)
        log_probs = [
            scoring.log_probs_of(judge, states[row, : len(answer)], answer, own)
            for row, (answer, own) in enumerate(zip(completions, options, strict=True))
        ]
        picked = [
            scoring.picked_of(answer, own) for answer, own in zip(completions, options, strict=True)
        ]
        kept = states[:, 1:] if hidden else None
        return scoring.completions(completions, log_probs, picked, ends, int(read > 0), kept)

    def options_of(
        self,
        completions: Sequence[Sequence[int]],
        *,
        grammar: Starts | None = None,
        stop: Iterable[int] | None = None,
        ban: bool = True,
    ) -> list[list[tuple[int, ...]] | None]:
        """What could have been written at each token of given answers.

        Args:
            completions: Tokens of each answer.
            grammar: As in :meth:`score`.
            stop: Tokens that end an answer; default :attr:`stop_tokens`.
            ban: Whether placeholders cannot be written.

        Returns:
            The allowed tokens at each token of each answer, None for one without a grammar.

        Raises:
            UsageError: If an answer holds a banned token or leaves its grammar, or the numbers do
                not fit.
        """
        banned = self.banned_tokens if ban else ()
        scoring.refuse_banned(completions, banned)
        rules = Rules.of(banned, self._ends(stop), self._own_end)
        return rules.along(starts_of(grammar, len(completions)), completions)

    def generate(
        self,
        prefix: Prefix,
        *,
        max_new_tokens: int,
        samples: int = 1,
        grammar: Starts | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | Sequence[int] = 0,
        stop: Iterable[int] | None = None,
        ban: bool = True,
        hidden: bool = False,
        jump: bool = True,
    ) -> Completions:
        """Write answers; without gradients.

        Args:
            prefix: The prompts, B rows. It is not changed.
            max_new_tokens: Longest answer, at least 1.
            samples: Answers to each prompt, one after the other in the result.
            grammar: What the answers must follow: one for all, or one for each prompt or each
                answer. Probabilities are among what it allows; where it is over the
                tokenizer's stop token is written.
            temperature: 0 takes the likeliest token each time.
            top_p: Sample among the likeliest tokens that make up this share of probability.
            seed: One number, or one for each of the B * samples answers, which then does not
                depend on the others.
            stop: Tokens that end an answer; default :attr:`stop_tokens`.
            ban: Never write placeholders of images and videos.
            hidden: Keep the states of the answers' tokens.
            jump: Read tokens that the grammar forces together with what they follow, in one
                call, rather than one by one. The answers are the same.

        Returns:
            B * samples answers. Their log-probabilities are those of :meth:`score` at the same
            temperature (1 where it is 0): of the whole distribution, before ``top_p``.

        Raises:
            UsageError: If a number is out of range, or the grammar allows only what cannot be
                written.
        """
        import torch

        if min(max_new_tokens, samples) < 1:
            raise UsageError(
                f"expected at least 1 new token and sample, found {max_new_tokens} and {samples}"
            )
        prefix = prefix.repeated(samples)
        ends, banned = self._ends(stop), self.banned_tokens if ban else ()
        choose = Chooser(len(prefix), temperature, top_p, seed)
        judge = Judge(self.model.lm_head, banned, temperature or 1.0)
        rules = Rules.of(banned, ends, self._own_end)
        starts = starts_of(grammar, len(prefix))
        answers = [Answer(max_new_tokens, rules, start) for start in starts]
        reader, cache = self._reader, AnswerCache(prefix)

        def read(tokens: IntArray, rows: IntArray, numbers: IntArray) -> Tensor:
            return reader.read_answers(tokens, rows, prefix.following[rows] + numbers, cache)

        with torch.no_grad(), answers_attention(reader.language_model):
            calls, states = write(
                prefix, answers, read, judge, choose, jump=jump, keep_states=hidden
            )
        return scoring.completions(
            [answer.tokens for answer in answers],
            [torch.tensor(answer.log_probs, device=self.device) for answer in answers],
            [answer.picked for answer in answers],
            ends,
            calls,
            states,
        )

    def _refuse_placeholders(self, texts: Sequence[Sequence[int]]) -> None:
        """An error where a text holds more than text."""
        if any((self._reader.types(text) != TEXT).any() for text in texts):
            raise UsageError(
                "a continuation holds text only, found a placeholder of an image or video; put "
                "it into the prompt"
            )

    @property
    def _reader(self) -> Reader:
        return Reader(self.model, self.rule, self.name)

    @property
    def _own_end(self) -> int | None:
        """The tokenizer's end token, which is written where a grammar is over."""
        return getattr(self.tokenizer, "eos_token_id", None)

    def _ends(self, stop: Iterable[int] | None) -> frozenset[int]:
        """What ends an answer."""
        return self.stop_tokens if stop is None else frozenset(stop)

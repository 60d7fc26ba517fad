"""Log-probabilities of the completions of one prompt, and their gradient, the prompt read once.

A step of GRPO scores G completions of the same prompt, which with a video is far longer than they
are. What trainers do is G rows of prompt and completion, G (P + C) tokens for prompts of P and
completions of C; here it is P + G C, in every pass: old and reference log-probabilities
(:meth:`GroupScorer.score` under ``torch.no_grad``) and the loss with its gradient
(:meth:`GroupScorer.backward`). Both forms below equal the G rows to float rounding::

    scorer = GroupScorer(backbone, temperature=0.9)
    group = Group(ids, [video], written.ids)
    with torch.no_grad(), adapted.disable_adapter():
        reference = scorer.score(group).log_probs
    scores = scorer.backward(group, loss)  # gradients are in the parameters now

``row``
    [prompt, completion 1, ..., completion G] in one pass, with
    :mod:`stvg.train.group_attention`. Works with gradient checkpointing.
``cache``
    The prompt's keys and values with their graph, cut from it; behind them a few completions at a
    time, whose gradients add up in the cut; then one backward through the prompt. The memory of one
    row of prompt and completion. Not with gradient checkpointing, which drops the cache.

Positions of a completion are those that it has alone behind the prompt. Placeholders of images and
videos have probability zero; with a grammar probabilities are among what it allows, and forced
tokens are no picks: the policy is the one that :meth:`QwenBackbone.generate` samples from. A model
with adapters of peft is given as ``get_base_model()``; they are in its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from stvg.backbones.choosing import Judge
from stvg.backbones.grammar import Starts
from stvg.backbones.positions import continue_positions
from stvg.backbones.prefix import Features, Prefix, padded
from stvg.backbones.qwen import QwenBackbone
from stvg.backbones.reading import Reader
from stvg.backbones.scoring import Options, judge_picks
from stvg.errors import UsageError
from stvg.train.group_attention import Fork, fork_attention

Form = Literal["row", "cache"]

_CHECKPOINTED = (
    "gradient checkpointing is on, under which groups are scored in the form 'row', and gradients "
    "are had by backward() only; otherwise switch it off (gradient_checkpointing_disable)"
)


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """A prompt and its completions.

    Attributes:
        ids: Tokens of the prompt, (P,), placeholders repeated once a visual token.
        features: Its images and videos, of the tower of the model that scores. Where their tokens
            have a graph, gradients go on into it (and the backward frees it); where the tower is
            frozen they have none.
        completions: Tokens of each of the G completions, at least one each, the stop token included
            where it was reached.
        grammar: What they follow, as when they were written: one place for all, or one for each.
    """

    ids: Sequence[int]
    features: Sequence[Features]
    completions: Sequence[Sequence[int]]
    grammar: Starts | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the model makes of completions; L tokens in the longest.

    Attributes:
        log_probs: Natural logarithm of the probability of each token given all before it, (G, L)
            float32; 0 where a token is forced or a completion is over.
        picked: Which tokens had an alternative, (G, L) bool.
        entropies: Of the distribution that each pick was chosen from, in nats, (G, L) float32,
            without gradient; 0 elsewhere.
    """

    log_probs: Tensor
    picked: Tensor
    entropies: Tensor


Loss = Callable[[Scores, slice], Tensor]
"""From the scores of some completions (their rows only, L of all G) and which of them they are, to
their share of the loss; shares add up to the loss of the group."""


@dataclass(frozen=True, slots=True)
class GroupScorer:
    """Scores groups with a model.

    Attributes:
        backbone: The model.
        form: See the head of this module.
        temperature: As when completions were written, above 0.
        stop: Tokens that end a completion; default those of the backbone.
        at_once: Completions read together in the form ``cache``, at least 1.
        precision: ``bf16`` computes in bfloat16 where torch's autocast does; ``fp32`` as the
            weights are.

    Raises:
        UsageError: If a value is out of range.
    """

    backbone: QwenBackbone
    form: Form = "row"
    temperature: float = 1.0
    stop: frozenset[int] | None = None
    at_once: int = 1
    precision: Literal["fp32", "bf16"] = "fp32"

    def __post_init__(self) -> None:
        if self.form not in ("row", "cache") or self.precision not in ("fp32", "bf16"):
            raise UsageError(
                "expected the form 'row' or 'cache' and the precision 'fp32' or 'bf16', found "
                f"{self.form!r} and {self.precision!r}"
            )
        if not self.temperature > 0 or self.at_once < 1:
            raise UsageError(
                "expected a temperature above 0 and at least 1 completion at once, found "
                f"{self.temperature} and {self.at_once}"
            )

    def score(self, group: Group) -> Scores:
        """Scores of all completions; gradients flow if the caller lets them.

        With the graph of all of them in memory, that is; :meth:`backward` is for training.

        Raises:
            UsageError: If there are no completions or an empty one, one holds a banned token or
                leaves its grammar, prompt and features do not fit, or layers with gradient
                checkpointing are asked for a graph, or for the form ``cache``.
        """
        options = self._options(group)
        if self._reader.is_checkpointed and (self.form == "cache" or torch.is_grad_enabled()):
            raise UsageError(_CHECKPOINTED)
        if self.form == "row":
            with fork_attention(self._reader.language_model):
                return self._read_row(group, options)
        with self._autocast():
            prefix = self.backbone.prefill(group.ids, group.features)
        parts = [self._read_behind(prefix, group, options, rows) for rows in self._slices(group)]
        return _joined(parts)

    def backward(self, group: Group, loss: Loss) -> Scores:
        """Gradients of a loss on the log-probabilities, added to those of the parameters.

        Several processes add theirs up afterwards: layers are called behind any wrapper that would
        do so during the backward.

        Args:
            group: The prompt and its completions.
            loss: Called once for all completions in the form ``row``, in the form ``cache`` once
                for every ``at_once`` of them in turn. What it gives may have no gradient (where
                nothing was picked); such shares are left out.

        Returns:
            Scores of all completions, without graph.

        Raises:
            UsageError: As :meth:`score`, but for checkpointing in the form ``row``; or gradients
                are switched off.
        """
        if not torch.is_grad_enabled():
            raise UsageError("gradients are switched off (torch.no_grad); use score() there")
        options = self._options(group)
        if self.form == "cache":
            if self._reader.is_checkpointed:
                raise UsageError(_CHECKPOINTED)
            return self._backward_by_parts(group, options, loss)
        # Layers that are checkpointed run again in the backward and need the same attention.
        with fork_attention(self._reader.language_model):
            scores = self._read_row(group, options)
            value = loss(scores, slice(0, len(group.completions)))
            if value.requires_grad:
                value.backward()
        return _detached(scores)

    def _read_row(self, group: Group, options: Sequence[Options | None]) -> Scores:
        """The form ``row``; the model must be in ``fork_attention``."""
        reader = self._reader
        read = [list(completion[:-1]) for completion in group.completions]
        lengths = [len(tokens) for tokens in read]
        with self._autocast():
            embeds, found, _ = reader.embed_prompts([group.ids], [group.features])
            places = [found.ids, *(continue_positions(found.following, n) for n in lengths)]
            tail = np.array([[token for tokens in read for token in tokens]], np.int64)
            row = torch.cat([embeds, reader.embed_text(tail)], dim=1)  # (1, P + N, C)
            states = reader.language_model(
                inputs_embeds=row,
                position_ids=torch.from_numpy(np.concatenate(places, axis=2)).to(row.device),
                attention_mask={"full_attention": None},  # the fork says what is seen
                use_cache=False,
                fork=Fork.of(len(group.ids), lengths, row.device),
            ).last_hidden_state[0]
            last = states[len(group.ids) - 1][None]
            behind = states[len(group.ids) :].split(lengths)
            before = [torch.cat([last, own]) for own in behind]
            return self._judge(before, group.completions, options, max(lengths) + 1)

    def _backward_by_parts(
        self, group: Group, options: Sequence[Options | None], loss: Loss
    ) -> Scores:
        """The form ``cache``."""
        with self._autocast():
            prefix = self.backbone.prefill(group.ids, group.features)
        cut, pairs = _cut(prefix)
        parts = []
        for rows in self._slices(group):
            scores = self._read_behind(cut, group, options, rows)
            value = loss(scores, rows)
            if value.requires_grad:
                value.backward()
            parts.append(_detached(scores))
        reached = [(tensor, leaf.grad) for tensor, leaf in pairs if leaf.grad is not None]
        if reached:
            torch.autograd.backward(*(list(each) for each in zip(*reached, strict=True)))
        return _joined(parts)

    def _read_behind(
        self, prefix: Prefix, group: Group, options: Sequence[Options | None], rows: slice
    ) -> Scores:
        """Scores of some completions behind a prompt that was read; as wide as those of all."""
        completions = group.completions[rows]
        reader, prefix = self._reader, prefix.repeated(len(completions))
        ids, _ = padded([completion[:-1] for completion in completions])
        with self._autocast():
            states = prefix.last_hidden[:, None]  # (B, 1, C): what first tokens are judged by
            if ids.shape[1]:
                places = continue_positions(prefix.following, ids.shape[1])
                new, _ = reader.read(reader.embed_text(ids), places, prefix)
                states = torch.cat([states, new], dim=1)
            width = max(len(completion) for completion in group.completions)
            return self._judge(states, completions, options[rows], width)

    def _judge(
        self,
        states: Sequence[Tensor] | Tensor,
        completions: Sequence[Sequence[int]],
        options: Sequence[Options | None],
        width: int,
    ) -> Scores:
        """Scores of completions from the states before each of their tokens, (>= length, C) each.

        The result has ``width`` columns.
        """
        judge = Judge(self.backbone.model.lm_head, self.backbone.banned_tokens, self.temperature)
        log_probs, picked, entropies = [], [], []
        for before, completion, own in zip(states, completions, options, strict=True):
            length = len(completion)
            found, picks, every = judge_picks(judge, before[:length], completion, own)
            is_pick = torch.zeros(width, dtype=torch.bool, device=found.device)
            is_pick[picks] = True
            entropy = found.new_zeros(width)
            entropy[picks] = torch.special.entr(every.detach().exp()).sum(-1)
            log_probs.append(torch.nn.functional.pad(found, (0, width - length)))
            picked.append(is_pick)
            entropies.append(entropy)
        return Scores(torch.stack(log_probs), torch.stack(picked), torch.stack(entropies))

    def _options(self, group: Group) -> list[Options | None]:
        """What could have been written at each token; refuses what cannot be scored."""
        if not group.completions or not all(len(each) for each in group.completions):
            raise UsageError(
                "expected at least one completion and a token in each, found lengths "
                f"{[len(each) for each in group.completions]}"
            )
        return list(
            self.backbone.options_of(group.completions, grammar=group.grammar, stop=self.stop)
        )

    def _slices(self, group: Group) -> Iterator[slice]:
        """Which completions are read together."""
        for first in range(0, len(group.completions), self.at_once):
            yield slice(first, min(first + self.at_once, len(group.completions)))

    def _autocast(self) -> Any:
        """The precision of a forward, as a context."""
        kind = self.backbone.device.type
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16")

    @property
    def _reader(self) -> Reader:
        return Reader(self.backbone.model, self.backbone.rule, self.backbone.name)


def _cut(prefix: Prefix) -> tuple[Prefix, list[tuple[Tensor, Tensor]]]:
    """A prefix without its graph, and its tensors that have one, each with its stand-in."""
    pairs: list[tuple[Tensor, Tensor]] = []

    def leaf(tensor: Tensor) -> Tensor:
        stand_in = tensor.detach()
        if tensor.requires_grad:
            pairs.append((tensor, stand_in.requires_grad_()))
        return stand_in

    key_values = tuple((leaf(keys), leaf(values)) for keys, values in prefix.key_values)
    return replace(prefix, key_values=key_values, last_hidden=leaf(prefix.last_hidden)), pairs


def _detached(scores: Scores) -> Scores:
    """The same without graph."""
    return replace(scores, log_probs=scores.log_probs.detach())


def _joined(parts: Sequence[Scores]) -> Scores:
    """Scores of one part of the completions after the other."""
    return Scores(
        torch.cat([part.log_probs for part in parts]),
        torch.cat([part.picked for part in parts]),
        torch.cat([part.entropies for part in parts]),
    )

"""What is computed once and used many times: vision features, prompts, and what came of them.

Values only; :class:`stvg.backbones.qwen.QwenBackbone` makes them. All are frozen, and nothing that
a backbone does with a :class:`Prefix` changes it: the tensors of its cache are read, never
written, so that one prompt serves any number of questions and answers, and is kept once for all of
them. Tensors are torch's, on the device of the model; torch itself is imported on use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stvg.backbones.positions import VIDEO, Block
from stvg.backbones.preprocess import Grid
from stvg.errors import UsageError
from stvg.types import BoolArray, IntArray

Tensor = Any
"""A ``torch.Tensor``."""

KeyValues = tuple[tuple[Tensor, Tensor], ...]
"""Keys and values of each layer, (rows, heads, places, head size), rotary embedding applied."""

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the vision tower makes of one video or image, with what a method puts between.

    Attributes:
        tokens: One row a visual token, (N, C), in the order of ``TokenGrid``; behind those of each
            step the vectors of a method, if there are any.
        grid_thw: Patches in time, height and width before merging.
        seconds_per_step: Time from one step of the video to the next.
        kind: ``VIDEO`` or ``IMAGE`` of :mod:`stvg.backbones.positions`.
        queries: Vectors of a method behind each step.
        stamps: Number of tokens of text behind each step; empty for none anywhere.
        pushes: Whether these take positions as any other text does.
        layers: States of the tower's patches behind those of its layers that see whole frames,
            (S, rows, columns, C') each; empty unless asked for.
    """

    tokens: Tensor
    grid_thw: Grid
    seconds_per_step: float = 1.0
    kind: int = VIDEO
    queries: int = 0
    stamps: tuple[int, ...] = ()
    pushes: bool = False
    layers: tuple[Tensor, ...] = ()

    @property
    def block(self) -> Block:
        """What positions need to know of it."""
        return Block(
            self.grid_thw, self.seconds_per_step, self.kind, self.queries, self.stamps, self.pushes
        )


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """A batch of prompts that the model has read.

    Rows that go on from the same prompt share its part of the cache: row ``i`` of the B begins with
    row ``i // (B / R)`` of the R that are shared, and goes on with its own. A prompt as it was read
    has R = B and nothing else.

    Attributes:
        key_values: The part of the cache that is shared, R rows of P places.
        mask: Which places hold a token, (B, P + S) bool; None when all do.
        following: Position of the next token of each row, alike on all three axes, (B,) int64.
        last_hidden: State of the last token of each row, (B, C), behind the final norm.
        hidden: States of the tokens read by the call that made this prefix, (B, n, C) behind the
            final norm, arbitrary where a row is padded; None unless asked for.
        own: What each row has behind it, B rows of S places; empty when S is 0.
    """

    key_values: KeyValues
    mask: Tensor | None
    following: IntArray
    last_hidden: Tensor
    hidden: Tensor | None = None
    own: KeyValues = ()

    def __len__(self) -> int:
        return len(self.following)

    @property
    def shared_length(self) -> int:
        """Places P in the shared part, padding included."""
        return int(self.key_values[0][0].shape[-2])

    @property
    def length(self) -> int:
        """Places P + S in the cache, padding included."""
        return self.shared_length + (int(self.own[0][0].shape[-2]) if self.own else 0)

    def repeated(self, count: int) -> Prefix:
        """Every row ``count`` times in turn (0, 0, 1, 1); what is shared is not copied."""
        if count == 1:
            return self
        return self._mapped(
            (lambda tensor: tensor.expand(count, *tensor.shape[1:]))
            if len(self) == 1
            else (lambda tensor: tensor.repeat_interleave(count, dim=0)),
            self.key_values,
            np.repeat(self.following, count),
        )

    def selected(self, rows: Sequence[int]) -> Prefix:
        """These rows, in this order."""
        chosen, shared = list(rows), self.key_values
        if len(shared[0][0]) > 1:
            alike = len(self) // len(shared[0][0])
            trunks = [row // alike for row in np.arange(len(self))[chosen]]
            shared = _changed(shared, lambda tensor: tensor[trunks])
        return self._mapped(lambda tensor: tensor[chosen], shared, self.following[chosen])

    def matched(self, count: int) -> Prefix:
        """As many rows as there are continuations: each row the same number of times in turn.

        Raises:
            UsageError: If ``count`` is not a multiple of the number of rows.
        """
        if count < 1 or count % len(self):
            raise UsageError(
                f"expected continuations for a prefix of {len(self)} rows, as many for each, "
                f"found {count} in all"
            )
        return self.repeated(count // len(self))

    def mask_with(self, places: int | Tensor) -> Tensor | None:
        """The mask of this prefix and what follows it.

        Args:
            places: How many places follow, all of them tokens (the result is None where the
                prefix has no mask), or which of them are tokens, (B, S) bool.
        """
        import torch

        if isinstance(places, int):
            if self.mask is None:
                return None
            places = self.mask.new_ones((len(self), places))
        before = places.new_ones((len(self), self.length)) if self.mask is None else self.mask
        return torch.cat([before, places], dim=1)

    def extended(
        self, grown: KeyValues, real: BoolArray, last_hidden: Tensor, hidden: Tensor | None
    ) -> Prefix:
        """This prefix with n more places behind it.

        Args:
            grown: What :meth:`whole` gives with those places, B rows of P + S + n.
            real: Which of them hold a token, (B, n).
            last_hidden: As in the result.
            hidden: As in the result.
        """
        import torch

        is_shared = len(self.key_values[0][0]) < len(self)
        kept = torch.from_numpy(real).to(last_hidden.device)
        return Prefix(
            self.key_values if is_shared else grown,
            None if self.mask is None and real.all() else self.mask_with(kept),
            self.following + real.sum(1),
            last_hidden,
            hidden,
            # cloned, since a view would keep all of the grown cache
            _changed(grown, lambda t: t[:, :, self.shared_length :].clone()) if is_shared else (),
        )

    def whole(self) -> KeyValues:
        """The cache with the shared part in each row, B rows of P + S places."""
        import torch

        rows, shared = len(self), len(self.key_values[0][0])
        if shared == rows:
            spread = self.key_values
        elif shared == 1:  # not copied until something stands behind it
            spread = _changed(self.key_values, lambda tensor: tensor.expand(rows, -1, -1, -1))
        else:
            alike = rows // shared
            spread = _changed(self.key_values, lambda t: t.repeat_interleave(alike, dim=0))
        if not self.own:
            return spread
        return tuple(
            (torch.cat([keys, own_keys], dim=-2), torch.cat([values, own_values], dim=-2))
            for (keys, values), (own_keys, own_values) in zip(spread, self.own, strict=True)
        )

    def _mapped(self, change: Change, shared: KeyValues, following: IntArray) -> Prefix:
        """The same with ``change`` applied to the rows of every tensor but the shared ones."""
        return replace(
            self,
            key_values=shared,
            mask=None if self.mask is None else change(self.mask),
            following=following,
            last_hidden=change(self.last_hidden),
            hidden=None if self.hidden is None else change(self.hidden),
            own=_changed(self.own, change),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Completions:
    """Answers to a batch of prompts, with their log-probabilities.

    Attributes:
        ids: Tokens of each answer, the stop token included where it was reached.
        log_probs: Natural logarithm of the probability of each token given all before it,
            (B, L) float32, 0 where an answer is padded.
        mask: Which places hold a token, (B, L) bool.
        picked: Which of the tokens had an alternative, (B, L) bool. Without a grammar all; those
            that a grammar forced have log-probability 0 and are nobody's choice.
        finished: Whether each answer ends with a stop token, rather than at the limit.
        calls: Forward passes of the language model that writing or scoring took.
        hidden: State after reading each token, (B, L, C) behind the final norm, arbitrary where
            padded; None unless asked for.
    """

    ids: tuple[tuple[int, ...], ...]
    log_probs: Tensor
    mask: Tensor
    picked: Tensor
    finished: tuple[bool, ...]
    calls: int
    hidden: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def totals(self) -> Tensor:
        """Log-probability of each whole answer, (B,)."""
        return self.log_probs.sum(-1)


def growing_cache(key_values: KeyValues = ()) -> Any:
    """A cache of transformers that begins with these tensors and never writes to them.

    It grows by making new tensors, so several may begin with the same.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer

    cache = DynamicCache()
    for keys, values in key_values:
        layer = DynamicLayer()
        layer.keys, layer.values = keys, values
        layer.dtype, layer.device, layer.is_initialized = keys.dtype, keys.device, True
        cache.layers.append(layer)
    return cache


def padded(rows: Sequence[Sequence[int]], filler: int = 0) -> tuple[IntArray, BoolArray]:
    """Rows of token ids filled up on the right.

    Returns:
        Ids (B, L) int64 and which of them are real (B, L), L the longest row.

    Example:
        >>> ids, mask = padded([[5, 6], [7]])
        >>> ids.tolist(), mask.tolist()
        ([[5, 6], [7, 0]], [[True, True], [True, False]])
    """
    longest = max((len(row) for row in rows), default=0)
    ids = np.full((len(rows), longest), filler, np.int64)
    mask = np.zeros((len(rows), longest), np.bool_)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
        mask[number, : len(row)] = True
    return ids, mask


def _changed(key_values: KeyValues, change: Change) -> KeyValues:
    """The same change to all keys and values."""
    return tuple((change(keys), change(values)) for keys, values in key_values)

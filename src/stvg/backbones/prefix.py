"""What is computed once and used many times: vision features, prompts, and what came of them.

Values only; :class:`stvg.backbones.qwen.QwenBackbone` makes them. All are frozen, and nothing that
a backbone does with a :class:`Prefix` changes it: the tensors of its cache are read, never
written, so that one prompt serves any number of questions and answers. Tensors are torch's, on the
device of the model; torch itself is imported on use.
"""

from __future__ import annotations

from collections.abc import Sequence
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
"""Keys and values of each layer, (B, heads, P, head size) each, rotary embedding applied."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the vision tower makes of one video or image.

    Attributes:
        tokens: One row a visual token, (N, C), in the order of ``TokenGrid``.
        grid_thw: Patches in time, height and width before merging.
        seconds_per_step: Time from one step of the video to the next.
        kind: ``VIDEO`` or ``IMAGE`` of :mod:`stvg.backbones.positions`.
    """

    tokens: Tensor
    grid_thw: Grid
    seconds_per_step: float = 1.0
    kind: int = VIDEO

    @property
    def block(self) -> Block:
        """What positions need to know of it."""
        return Block(self.grid_thw, self.seconds_per_step, self.kind)


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """A batch of prompts that the model has read.

    Attributes:
        key_values: The cache, B rows of P places.
        mask: Which places hold a token, (B, P) bool; None when all do.
        following: Position of the next token of each row, alike on all three axes, (B,) int64.
        last_hidden: State of the last token of each row, (B, C), behind the final norm.
        hidden: States of the tokens read by the call that made this prefix, (B, S, C) behind the
            final norm, arbitrary where a row is padded; None unless asked for.
    """

    key_values: KeyValues
    mask: Tensor | None
    following: IntArray
    last_hidden: Tensor
    hidden: Tensor | None = None

    def __len__(self) -> int:
        return len(self.following)

    @property
    def length(self) -> int:
        """Places P in the cache, padding included."""
        return int(self.key_values[0][0].shape[-2])

    def repeated(self, count: int) -> Prefix:
        """Every row ``count`` times in turn (0, 0, 1, 1); a single row is not copied."""
        if count == 1:
            return self
        return self._mapped(
            (lambda tensor: tensor.expand(count, *tensor.shape[1:]))
            if len(self) == 1
            else (lambda tensor: tensor.repeat_interleave(count, dim=0)),
            np.repeat(self.following, count),
        )

    def selected(self, rows: Sequence[int]) -> Prefix:
        """These rows, in this order."""
        chosen = list(rows)
        return self._mapped(lambda tensor: tensor[chosen], self.following[chosen])

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

    def _mapped(self, change: Any, following: IntArray) -> Prefix:
        """The same with ``change`` applied to every tensor's rows."""
        return replace(
            self,
            key_values=tuple((change(keys), change(values)) for keys, values in self.key_values),
            mask=None if self.mask is None else change(self.mask),
            following=following,
            last_hidden=change(self.last_hidden),
            hidden=None if self.hidden is None else change(self.hidden),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Completions:
    """Answers to a batch of prompts, with their log-probabilities.

    Attributes:
        ids: Tokens of each answer, the stop token included where it was reached.
        log_probs: Natural logarithm of the probability of each token given all before it,
            (B, L) float32, 0 where an answer is padded.
        mask: Which places hold a token, (B, L) bool.
        finished: Whether each answer ends with a stop token, rather than at the limit.
        hidden: State after reading each token, (B, L, C) behind the final norm, arbitrary where
            padded; None unless asked for.
    """

    ids: tuple[tuple[int, ...], ...]
    log_probs: Tensor
    mask: Tensor
    finished: tuple[bool, ...]
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

"""Attention of answers that are being written: prompts kept once, each answer's own part behind.

Eight answers to one prompt of 2,000 tokens need its keys and values once, not eight times. The
cache of ``transformers`` holds a copy a row and makes a new one of everything at each token and
layer. Here each layer keeps

* what several rows share, as the :class:`~stvg.backbones.prefix.Prefix` has it, untouched: rows of
  a prompt are one product with its keys;
* a tail for each row, without gaps, with room to grow.

Attention over both is attention over each, merged by how much of the probability lies there (the
logarithms of the two sums of exponentials), which is exact.

The tokens of a call are *packed*: those of all rows stand behind one another, (1, N, C), as many of
each row as it has, so that rows out of step cost nothing and finished rows nothing at all. Only
attention looks at rows. Works with any model of ``transformers`` whose layers hand keys and values
from ``past_key_values.update`` on to a registered attention function. Not for training: tensors are
written in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from stvg.backbones.prefix import KeyValues, Prefix, Tensor
from stvg.errors import UsageError
from stvg.types import IntArray

_NAME = "stvg_answers"
_LEAST_ROOM = 64


@contextmanager
def answers_attention(language_model: Any) -> Iterator[None]:
    """Let a language model read with an :class:`AnswerCache`, and nothing else meanwhile.

    Reading otherwise meanwhile, from another thread say, is an error and never a wrong result.

    Raises:
        UsageError: If the model is writing already.
    """
    with own_attention(language_model, _NAME, _attention):
        yield


@contextmanager
def own_attention(language_model: Any, name: str, function: Any) -> Iterator[None]:
    """Let the layers of a language model call an attention function of ours.

    Args:
        language_model: The layers behind the embeddings.
        name: What ``transformers`` is to call the function.
        function: Called as its own are, without a mask.

    Raises:
        UsageError: If the layers call it already.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(name, function)
    config = language_model.config
    usual = config._attn_implementation
    if usual == name:
        raise UsageError(
            "the model is writing or reading other answers; it does so for one thread at a time"
        )
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = usual


class AnswerCache:
    """Keys and values of B answers behind the prompts of a prefix.

    Use: :meth:`expect` the rows of the tokens of a call, then give it to the model as
    ``past_key_values``.

    Attributes:
        lengths: Tokens in the tail of each row, (B,).
    """

    def __init__(self, prefix: Prefix) -> None:
        """Begin with what the rows of the prefix do not share."""
        alike = len(prefix) // len(prefix.key_values[0][0])
        end = prefix.shared_length
        self.lengths: IntArray = np.zeros(len(prefix), np.int64)
        self._trunks: IntArray = np.arange(len(prefix)) // alike
        self._hidden = None if prefix.mask is None else ~prefix.mask[::alike, :end]
        self._layers = [_Layer(keys, values, len(prefix)) for keys, values in prefix.key_values]
        self._call: _Call | None = None
        if prefix.own:
            self._begin_with(prefix.own, None if prefix.mask is None else prefix.mask[:, end:])

    def expect(self, rows: IntArray) -> None:
        """Make room for the tokens of the next call.

        Args:
            rows: The row of each token, (N,), ascending; a row's tokens are in their order.
        """
        device = self._layers[0].keys.device
        by_row = Packing.of(rows, len(self.lengths), device)
        by_trunk = Packing.of(self._trunks[rows], int(self._trunks[-1]) + 1, device)
        before, self.lengths = (
            self.lengths,
            self.lengths + np.bincount(rows, minlength=len(self.lengths)),
        )
        used = int(self.lengths.max())
        for layer in self._layers:
            layer.make_room(used)
        self._call = _Call.of(by_row, by_trunk, before, used, self._hidden)

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: Any) -> tuple[Any, Any]:
        """Write keys and values (1, heads, N, D) of the expected tokens behind their rows.

        Returns:
            Twice what the attention function of this module needs, in place of all keys and
            values: any other function fails on it.
        """
        assert self._call is not None
        self._layers[layer].write(keys, values, self._call)
        both = _Readable(self._layers[layer], self._call)
        return both, both

    def get_seq_length(self, layer: int = 0) -> int:
        """Tokens in the longest tail; for models that ask before they use given positions."""
        return int(self.lengths.max())

    def _begin_with(self, own: KeyValues, mask: Tensor | None) -> None:
        """Fill the tails with those places (B, S) of each row's own that hold a token."""
        import torch

        if mask is None:
            mask = own[0][0].new_ones(len(self.lengths), own[0][0].shape[2], dtype=torch.bool)
        rows, places = mask.nonzero(as_tuple=True)
        self.expect(rows.cpu().numpy())
        for number, pair in enumerate(own):
            keys, values = (tensor[rows, :, places].transpose(0, 1)[None] for tensor in pair)
            self.update(keys, values, number)  # (1, heads, N, D) each


@dataclass(frozen=True, slots=True, eq=False)
class Packing:
    """Where packed tokens stand when each group of them has a row of its own.

    Attributes:
        groups: Group of each token, (N,) int64.
        places: Its number in the group, (N,) int64.
        shape: Groups X, tokens M in the largest.
        is_full: Whether all groups have M, so that there is nothing to fill up.
    """

    groups: Tensor
    places: Tensor
    shape: tuple[int, int]
    is_full: bool

    @classmethod
    def of(cls, groups: IntArray, count: int, device: Any) -> Packing:
        """For groups (N,), ascending, of ``count``."""
        import torch

        sizes = np.bincount(groups, minlength=count)
        places = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return cls(
            torch.from_numpy(np.asarray(groups, np.int64)).to(device),
            torch.from_numpy(places).to(device),
            (count, int(sizes.max())),
            bool((sizes == sizes.max()).all()),
        )

    def spread(self, packed: Tensor) -> Tensor:
        """(N, ...) to (X, M, ...), zeros where a group has fewer."""
        if self.is_full:
            return packed.view(*self.shape, *packed.shape[1:])
        rows = packed.new_zeros(*self.shape, *packed.shape[1:])
        rows[self.groups, self.places] = packed
        return rows

    def gathered(self, rows: Tensor) -> Tensor:
        """(X, M, ...) back to (N, ...)."""
        if self.is_full:
            return rows.flatten(0, 1)
        return rows[self.groups, self.places]


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """What all layers need to know of the tokens of one call.

    Attributes:
        by_row: Tokens by the answer that they belong to.
        by_trunk: Tokens by the prompt that they stand behind.
        slots: Place of each token in its row's tail, (N,) int64.
        used: Places of the tails that any row uses.
        behind: Which places of its tail a token does not see, (B, M, used) bool.
        hidden: Which places of the prompts hold nothing, (R, P) bool; None if none.
    """

    by_row: Packing
    by_trunk: Packing
    slots: Tensor
    used: int
    behind: Tensor
    hidden: Tensor | None

    @classmethod
    def of(
        cls, by_row: Packing, by_trunk: Packing, lengths: IntArray, used: int,
        hidden: Tensor | None,
    ) -> _Call:  # fmt: skip
        """For tails that hold ``lengths`` (B,) tokens so far."""
        import torch

        device = by_row.groups.device
        before = torch.from_numpy(lengths).to(device)
        last_seen = before[:, None] + torch.arange(by_row.shape[1], device=device)  # (B, M)
        behind = torch.arange(used, device=device) > last_seen[..., None]  # (B, M, used)
        return cls(by_row, by_trunk, before[by_row.groups] + by_row.places, used, behind, hidden)


class _Layer:
    """One layer: shared keys and values (R, heads, P, D), and tails (B, heads, room, D)."""

    def __init__(self, keys: Tensor, values: Tensor, rows: int) -> None:
        kind = _computed_in(keys)
        self.keys, self.values = keys.to(kind), values.to(kind)
        _, heads, _, size = keys.shape
        empty = (rows, heads, 0, size)
        self.tail_keys, self.tail_values = (self.keys.new_zeros(empty) for _ in "kv")

    def make_room(self, used: int) -> None:
        """Let the tails have at least this many places, and twice as many as before if more."""
        room = self.tail_keys.shape[2]
        if used > room:
            more = max(used, 2 * room, _LEAST_ROOM) - room
            self.tail_keys = _with_zeros(self.tail_keys, more)
            self.tail_values = _with_zeros(self.tail_values, more)

    def write(self, keys: Tensor, values: Tensor, call: _Call) -> None:
        """Put keys and values (1, heads, N, D) into the tails."""
        kind = self.tail_keys.dtype  # under autocast keys come in another type than values
        self.tail_keys[call.by_row.groups, :, call.slots] = keys[0].transpose(0, 1).to(kind)
        self.tail_values[call.by_row.groups, :, call.slots] = values[0].transpose(0, 1).to(kind)


@dataclass(frozen=True, slots=True, eq=False)
class _Readable:
    """A layer with the tokens of a call in it; stands for its keys and values."""

    layer: _Layer
    call: _Call

    def attend(self, queries: Tensor, scaling: float) -> Tensor:
        """What the tokens of the call read.

        Args:
            queries: (1, H, N, D).
            scaling: Products of queries and keys are multiplied by it.

        Returns:
            (1, N, H, D) in the type of the queries.
        """
        layer, call = self.layer, self.call
        heads = layer.keys.shape[1]
        packed = queries[0].transpose(0, 1).to(layer.keys.dtype).contiguous()
        packed = packed.unflatten(1, (heads, -1))  # (N, KV heads, g, D)
        hidden = None if call.hidden is None else call.hidden[:, None, None, None]
        trunk, trunk_sum = _attend_part(
            packed, call.by_trunk, layer.keys, layer.values, hidden, scaling
        )
        tail, tail_sum = _attend_part(
            packed,
            call.by_row,
            layer.tail_keys[:, :, : call.used],
            layer.tail_values[:, :, : call.used],
            call.behind[:, None, :, None],
            scaling,
        )
        share = (trunk_sum - tail_sum).sigmoid()  # of the probability, in the trunk
        return tail.lerp(trunk, share).to(queries.dtype).flatten(1, 2)[None]


def _attention(
    module: Any, query: Tensor, key: Any, value: Any, attention_mask: Any, scaling: float, **_: Any
) -> tuple[Tensor, None]:
    """What ``transformers`` calls in each layer."""
    if not isinstance(key, _Readable):
        raise UsageError(
            "the model is writing answers; it cannot read other prompts at the same time"
        )
    return key.attend(query, scaling), None


def _attend_part(
    packed: Tensor, packing: Packing, keys: Tensor, values: Tensor, hidden: Tensor | None,
    scaling: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Attention of packed queries (N, KV heads, g, D) to the keys (X, KV heads, T, D) of a group.

    Args:
        packed: Queries; g heads read the same keys.
        packing: Their groups.
        keys: Of each group.
        values: Of each group, as the keys.
        hidden: Which keys are not seen, broadcastable to (X, KV heads, M, g, T) bool; None: all
            are.
        scaling: Of the products.

    Returns:
        What is read, (N, KV heads, g, D) float32, and the logarithm of the sum of exponentials,
        (N, KV heads, g, 1) float32.
    """
    queries = packing.spread(packed).transpose(1, 2)  # (X, KV heads, M, g, D)
    count, heads, most, grouped, size = queries.shape
    flat = queries.reshape(count, heads, most * grouped, size)
    weights = (flat @ keys.transpose(-1, -2)).float().mul_(scaling)  # (X, KV heads, M g, T)
    if hidden is not None:
        weights.view(count, heads, most, grouped, -1).masked_fill_(hidden, -float("inf"))
    highest = weights.amax(-1, keepdim=True)
    weights.sub_(highest).exp_()
    total = weights.sum(-1, keepdim=True)
    read = (weights.to(values.dtype) @ values).float() / total
    parts = (read, highest + total.log())
    read, logarithm = (
        packing.gathered(part.view(count, heads, most, grouped, -1).transpose(1, 2))
        for part in parts
    )
    return read, logarithm


def _computed_in(keys: Tensor) -> Any:
    """The type in which products are computed: under autocast its own, else that of the keys."""
    import torch

    kind = keys.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else keys.dtype


def _with_zeros(tensor: Tensor, more: int) -> Tensor:
    """(B, heads, T, D) with ``more`` places of zeros behind."""
    import torch

    rows, heads, _, size = tensor.shape
    return torch.cat([tensor, tensor.new_zeros(rows, heads, more, size)], dim=2)

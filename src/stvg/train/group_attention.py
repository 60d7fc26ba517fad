"""Attention of a row that holds a prompt and all completions of it, with gradient.

The row is [prompt, completion 1, ..., completion G]; a completion sees the prompt and itself, so
that each is read as if it stood alone behind the prompt, and the prompt is read once. Three blocks,
none of which is as large as the row squared:

* the prompt on itself, causal;
* all completions on the prompt, in one product without a mask;
* each completion on itself, causal.

The last two are merged by how much of the probability lies in each (the logarithms of their sums
of exponentials; as :mod:`stvg.backbones.answer_cache` does without gradient), which is exact. So is
the backward: the gradient of attention with respect to one block of keys needs only the result and
the logarithm of the *whole*, so each block is taken back with the merged ones, and what the prompt
gets from completions is one product again. This is the tree of Hydragen (arXiv 2402.05099) and of
PrefixGrouper (arXiv 2506.05433, two calls with gathered indices), here with its gradient.

The logarithms come from torch's flash kernel for CPUs. Elsewhere the same is computed in public
calls of torch, a completion at a time on the prompt's keys and its own (:func:`attend_one_by_one`):
equal, with a copy of the prompt's keys and values a completion; it is not measured on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from stvg.backbones.answer_cache import Packing, own_attention
from stvg.errors import UsageError

_NAME = "stvg_group"


@dataclass(frozen=True, slots=True, eq=False)
class Fork:
    """Where the parts of a row stand.

    Attributes:
        prompt: Tokens of the prompt, P at least 1.
        lengths: Tokens of each completion that has any; N in all.
        tails: The N tokens by their completion.
    """

    prompt: int
    lengths: tuple[int, ...]
    tails: Packing

    @classmethod
    def of(cls, prompt: int, lengths: Sequence[int], device: Any) -> Fork:
        """For a prompt of P tokens and completions of these lengths, 0 or more."""
        kept = tuple(length for length in lengths if length)
        groups = np.repeat(np.arange(len(kept)), np.array(kept, np.int64))
        return cls(prompt, kept, Packing.of(groups, max(len(kept), 1), device))


@contextmanager
def fork_attention(language_model: Any) -> Iterator[None]:
    """Let a language model read forked rows, given as ``fork=Fork(...)`` to its forward.

    The backward belongs inside: with gradient checkpointing the layers run again there.

    Raises:
        UsageError: If the model is reading such rows already.
    """
    with own_attention(language_model, _NAME, _attention):
        yield


def attend(queries: Tensor, keys: Tensor, values: Tensor, fork: Fork, scaling: float) -> Tensor:
    """What the tokens of a row read.

    Args:
        queries: (1, H, P + N, D), H a multiple of the heads of the keys.
        keys: (1, KV heads, P + N, D).
        values: As the keys.
        fork: Where the parts stand.
        scaling: Products of queries and keys are multiplied by it.

    Returns:
        (1, H, P + N, D) in the type of the queries.
    """
    if queries.device.type != "cpu" or not fork.lengths:
        return attend_one_by_one(queries, keys, values, fork, scaling)
    found: Tensor = _Attention.apply(queries, keys, values, fork, scaling)
    return found


def attend_one_by_one(
    queries: Tensor, keys: Tensor, values: Tensor, fork: Fork, scaling: float
) -> Tensor:
    """As :func:`attend`, on any device."""
    alike = queries.shape[1] // keys.shape[1]
    keys, values = (tensor.repeat_interleave(alike, dim=1) for tensor in (keys, values))
    parts = [fork.prompt, *fork.lengths]
    (first, *own), (trunk, *own_keys), (trunk_values, *own_values) = (
        tensor.split(parts, dim=2) for tensor in (queries, keys, values)
    )
    sdpa = F.scaled_dot_product_attention
    read = [sdpa(first, trunk, trunk_values, is_causal=True, scale=scaling)]
    for mine, my_keys, my_values in zip(own, own_keys, own_values, strict=True):
        count = mine.shape[2]
        seen = torch.ones(count, fork.prompt + count, dtype=torch.bool, device=mine.device)
        seen = seen.tril(fork.prompt)
        both = (torch.cat([trunk, my_keys], 2), torch.cat([trunk_values, my_values], 2))
        read.append(sdpa(mine, *both, attn_mask=seen, scale=scaling))
    return torch.cat(read, dim=2)


class _Attention(torch.autograd.Function):  # type: ignore[misc]
    """:func:`attend` on a CPU."""

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, keys: Tensor, values: Tensor, fork: Fork, scaling: float
    ) -> Tensor:
        """Each block by itself; those of the completions merged."""
        blocks = _blocks(fork, queries, *_for_heads(queries.shape[1], keys, values))
        (first, first_sum), (trunk, trunk_sum), (tail, tail_sum) = (
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                *block, 0.0, is_causal, scale=scaling
            )
            for block, is_causal in blocks
        )
        tail, tail_sum = _gathered(fork, tail), _gathered(fork, tail_sum)
        share = (trunk_sum - tail_sum).sigmoid()[..., None]  # of the probability, on the prompt
        merged = tail.to(share.dtype).lerp(trunk.to(share.dtype), share).to(tail.dtype)
        read = torch.cat([first, merged], dim=2)  # (1, H, P + N, D)
        sums = torch.cat([first_sum, torch.logaddexp(trunk_sum, tail_sum)], dim=2)
        ctx.save_for_backward(queries, keys, values, read, sums)
        ctx.fork, ctx.scaling = fork, scaling
        return read

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Each block with the result and the sums of the whole."""
        queries, keys, values, read, sums = ctx.saved_tensors
        fork = ctx.fork
        blocks = _blocks(fork, queries, *_for_heads(queries.shape[1], keys, values))
        wholes = zip(_parts(fork, gradient), _parts(fork, read), _parts(fork, sums), strict=True)
        first, trunk, tail = (
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                grad, *block, out, total, 0.0, is_causal, scale=ctx.scaling
            )
            for (block, is_causal), (grad, out, total) in zip(blocks, wholes, strict=True)
        )
        tail = [_gathered(fork, part) for part in tail]
        of_queries = torch.cat([first[0], trunk[0] + tail[0]], dim=2)
        of_keys, of_values = (
            torch.cat([first[number] + trunk[number], tail[number]], dim=2)
            .unflatten(1, (keys.shape[1], -1))
            .sum(2)  # over the heads that read the same keys
            for number in (1, 2)
        )
        return of_queries, of_keys, of_values, None, None


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, scaling: float,
    dropout: float = 0.0, fork: Fork | None = None, **_: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """What ``transformers`` calls in each layer."""
    if fork is None:
        raise UsageError("the model is reading a group; it cannot read otherwise at the same time")
    if dropout:
        raise UsageError(f"groups are read without dropout in attention, found {dropout}")
    # under autocast the rotary embedding leaves queries and keys in another type than the values
    read = attend(query.to(value.dtype), key.to(value.dtype), value, fork, scaling)
    return read.transpose(1, 2), None


def _for_heads(heads: int, *tensors: Tensor) -> list[Tensor]:
    """(1, KV heads, T, D) each, so often that there are as many heads as queries have."""
    return [tensor.repeat_interleave(heads // tensor.shape[1], dim=1) for tensor in tensors]


def _blocks(
    fork: Fork, queries: Tensor, keys: Tensor, values: Tensor
) -> list[tuple[tuple[Tensor, Tensor, Tensor], bool]]:
    """Queries, keys and values of the three blocks, and whether each is causal."""
    first, later, own = _parts(fork, queries)
    (trunk, _, own_keys), (trunk_values, _, own_values) = (
        _parts(fork, tensor) for tensor in (keys, values)
    )
    return [
        ((first, trunk, trunk_values), True),
        ((later, trunk, trunk_values), False),
        ((own, own_keys, own_values), True),
    ]


def _parts(fork: Fork, row: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of (1, H, P + N, ...) the prompt, all completions, and each (X, H, M, ...), filled up."""
    later = row[:, :, fork.prompt :]
    own = fork.tails.spread(later[0].transpose(0, 1)).transpose(1, 2)
    return row[:, :, : fork.prompt], later, own


def _gathered(fork: Fork, own: Tensor) -> Tensor:
    """Each completion (X, H, M, ...) back to all (1, H, N, ...)."""
    return fork.tails.gathered(own.transpose(1, 2)).transpose(0, 1)[None]

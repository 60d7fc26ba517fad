"""Chosen rows of attention, read while a model runs, without the matrix that they are rows of.

``output_attentions`` of ``transformers`` needs the eager kernel, which makes the whole matrix of
every layer: N squared numbers a head, of which a reader of a few rows throws nearly all away. Here
the layers go on with ``sdpa``, and beside it the wanted rows are computed from the queries and keys
that it was given, rotary embedding applied, in float32. Gradients flow through the rows::

    tap = RowTap(rows, columns, layers=range(6, 26))
    with reading_rows(model.model.language_model, tap):
        model(**inputs)
    tap.mean()  # (B, R, M)

Works with any model of ``transformers`` whose layers call a registered attention function (Llama,
Qwen2 and their vision-language models do), also behind a cache: keys are all keys, queries are the
tokens of the call. :func:`first_layers` leaves out the layers behind the last one that is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stvg.backbones.answer_cache import own_attention
from stvg.backbones.prefix import Tensor
from stvg.errors import UsageError

_NAME = "stvg_rows"

_TAPS: dict[int, RowTap] = {}
"""What is read now, by the identity of the language model's configuration."""


class RowTap:
    """Which rows of attention are wanted, and after a call what they were.

    Args:
        rows: Places of the queries among the tokens of the call, from 0, (R,) for all B rows of the
            batch or (B, R).
        columns: Places of the keys, those of the cache first, from 0, (M,).
        layers: Numbers of the layers, from 0.
        heads: Numbers of the heads; None for all.

    Attributes:
        found: By layer the share of attention of each key, (B, H, R, M) float32; it is a share
            among all keys, not only those of ``columns``.

    Raises:
        UsageError: If no layer or head is named, or a number is below 0.
    """

    def __init__(
        self,
        rows: ArrayLike,
        columns: ArrayLike,
        *,
        layers: Iterable[int],
        heads: Sequence[int] | None = None,
    ) -> None:
        self.rows = np.atleast_2d(np.asarray(rows, np.int64))  # (1 or B, R)
        self.columns = np.asarray(columns, np.int64)
        self.layers, self.heads = frozenset(layers), heads
        self.found: dict[int, Tensor] = {}
        for what, numbers in (
            ("layer", sorted(self.layers)),
            ("head", [0] if heads is None else list(heads)),
            ("row", self.rows.ravel().tolist()),
            ("column", self.columns.tolist()),
        ):
            if not numbers or min(numbers) < 0:
                raise UsageError(
                    f"expected at least one {what} of attention, counted from 0, found {numbers}"
                )

    def mean(self) -> Tensor:
        """Mean over layers and heads, (B, R, M) float32."""
        return sum(self.found[layer].mean(1) for layer in sorted(self.found)) / len(self.found)

    def read(self, layer: int, queries: Tensor, keys: Tensor, mask: Any, scaling: float) -> None:
        """Keep the rows of a layer.

        Args:
            layer: Its number.
            queries: (B, H, Q, D).
            keys: (B, KV heads, K, D).
            mask: (B or 1, 1, Q, K), bool or added to the products; None: causal, the queries last.
            scaling: Products are multiplied by it.
        """
        import torch

        batch, heads, count, size = queries.shape
        rows = torch.from_numpy(self.rows).to(queries.device).expand(batch, -1)  # (B, R)
        columns = torch.from_numpy(self.columns).to(queries.device)
        each = torch.arange(batch, device=queries.device)[:, None]
        wanted = queries.transpose(1, 2)[each, rows]  # (B, R, H, D)
        grouped = wanted.reshape(batch, rows.shape[1], keys.shape[1], -1, size)
        products = torch.einsum("brkgd,bknd->bkgrn", grouped.float(), keys.float()) * scaling
        products = products.reshape(batch, heads, rows.shape[1], -1)  # (B, H, R, K)
        if mask is None:
            places = torch.arange(keys.shape[2], device=queries.device)
            seen = places <= (rows + keys.shape[2] - count)[..., None]  # (B, R, K)
        else:
            seen = mask[:, 0].expand(batch, -1, -1)[each, rows]
        seen = seen[:, None]
        if seen.dtype == torch.bool:
            products = products.masked_fill(~seen, -torch.inf)
        else:
            products = products + seen
        shares = products.softmax(-1)[..., columns]
        self.found[layer] = shares if self.heads is None else shares[:, list(self.heads)]


@contextmanager
def reading_rows(language_model: Any, tap: RowTap) -> Iterator[None]:
    """Read rows of attention in every call of a language model.

    Args:
        language_model: The layers behind the embeddings (``model.model.language_model``).
        tap: What to read; a later call replaces what an earlier one found.

    Raises:
        UsageError: If the model has no such layer or head, or is being read already.
    """
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask

    config = language_model.config
    for what, wanted, there in (
        ("layers", tap.layers, config.num_hidden_layers),
        ("heads", tap.heads or (0,), config.num_attention_heads),
    ):
        if not set(wanted) <= set(range(there)):
            raise UsageError(
                f"the language model has {what} 0 to {there - 1}, found {sorted(wanted)} asked for"
            )
    ALL_MASK_ATTENTION_FUNCTIONS.register(_NAME, sdpa_mask)
    with own_attention(language_model, _NAME, _attention):
        _TAPS[id(config)] = tap
        try:
            yield
        finally:
            del _TAPS[id(config)]


@contextmanager
def first_layers(language_model: Any, count: int) -> Iterator[None]:
    """Let a language model run its first layers only, for rows that need no more.

    What it returns meanwhile is not what it says anywhere else; its cache has ``count`` layers.
    """
    whole = language_model.layers
    language_model.layers = whole[:count]
    try:
        yield
    finally:
        language_model.layers = whole


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **further: Any
) -> tuple[Tensor, None]:
    """What ``transformers`` calls in each layer."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    tap = _TAPS[id(module.config)]
    if module.layer_idx in tap.layers:
        tap.read(module.layer_idx, query, key, attention_mask, further["scaling"])
    read: tuple[Tensor, None] = sdpa_attention_forward(
        module, query, key, value, attention_mask, **further
    )
    return read

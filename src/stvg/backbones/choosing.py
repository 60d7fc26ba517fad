"""From the scores of a model to the next token: log-probabilities, greedy or sampled choice.

One function, :func:`log_probabilities`, says what the probability of a token is; generating and
scoring both call it, so the two cannot disagree. Tokens that must never be written (placeholders
of images and videos) have probability zero in it and the others are normalised without them.

Sampling inverts the cumulative distribution at one uniform number a row and step, each row from a
stream of its own: a row's answer does not depend on which rows stand beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stvg.backbones.prefix import Tensor
from stvg.errors import UsageError


def log_probabilities(logits: Tensor, banned: Sequence[int], temperature: float = 1.0) -> Tensor:
    """Natural logarithm of the probability of every token.

    Args:
        logits: Scores, (..., V), any float type.
        banned: Tokens that cannot be written; they get minus infinity.
        temperature: Scores are divided by it, above 0.

    Returns:
        (..., V) float32; the exponentials of the last axis add up to 1.
    """
    scores = logits.float()
    if banned:
        import torch

        places = torch.tensor(list(banned), device=scores.device)
        scores = scores.index_fill(-1, places, -float("inf"))
    return (scores / temperature).log_softmax(-1)


@dataclass(slots=True)
class Chooser:
    """Picks the next token of every row; holds the rows' streams of random numbers.

    Attributes:
        rows: Number of rows B.
        temperature: 0 picks the likeliest token; otherwise what the scores were divided by.
        top_p: Sample among the fewest likeliest tokens whose probabilities reach this, in (0, 1].
        seed: One number for all rows (row ``i`` draws from the stream (seed, i)), or one a row.

    Raises:
        UsageError: If a value is out of range or the seeds are not one a row.
    """

    rows: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | Sequence[int] = 0
    _streams: list[np.random.Generator] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature >= 0 and 0 < self.top_p <= 1):
            raise UsageError(
                "expected a temperature of at least 0 and top_p in (0, 1], found "
                f"{self.temperature} and {self.top_p}"
            )
        if isinstance(self.seed, int):
            seeds: list[list[int]] = [[self.seed, row] for row in range(self.rows)]
        else:
            seeds = [[number] for number in self.seed]
        if len(seeds) != self.rows:
            raise UsageError(f"expected one seed or {self.rows}, found {len(seeds)}")
        self._streams = [np.random.default_rng(numbers) for numbers in seeds]

    def __call__(self, log_probs: Tensor) -> Tensor:
        """The next token of every row, (B,) int64, from log-probabilities (B, V)."""
        if self.temperature == 0:
            return log_probs.argmax(-1)
        import torch

        draws = [stream.random() for stream in self._streams]
        uniform = torch.tensor(draws, dtype=torch.float64, device=log_probs.device)[:, None]
        probabilities, tokens = log_probs.double().exp().sort(dim=-1, descending=True, stable=True)
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill(before >= self.top_p, 0.0)
        cumulative = probabilities.cumsum(-1)  # (B, V)
        below = (cumulative <= uniform * cumulative[:, -1:]).sum(-1, keepdim=True)
        last = (probabilities > 0).sum(-1, keepdim=True) - 1
        return tokens.gather(-1, torch.minimum(below, last))[:, 0]

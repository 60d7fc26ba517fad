"""From the scores of a model to the next token: log-probabilities, greedy or sampled choice.

What the probability of a token is, :func:`log_probabilities` says where anything may be written
but the tokens that never must be (placeholders of images and videos), and
:func:`log_probabilities_among` where a grammar names the few that may. Tokens that cannot be
written have probability zero in both and the others are normalised without them. Generating and
scoring both call them, so the two cannot disagree.

Sampling inverts the cumulative distribution at one uniform number a row and choice, each row from a
stream of its own: a row's answer does not depend on which rows stand beside it, nor on how many
tokens without a choice are read between two choices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from stvg.backbones.prefix import Tensor, padded
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


def log_probabilities_among(
    logits: Tensor, options: Sequence[Sequence[int]], temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Natural logarithm of the probabilities of those tokens that a grammar allows.

    Args:
        logits: Scores, (N, V), any float type.
        options: The tokens that may be written in each row, at least one, no token twice.
        temperature: Scores are divided by it, above 0.

    Returns:
        The allowed tokens of each row, (N, A) int64, A as the longest has them, anything where a
        row has fewer; and their log-probabilities, (N, A) float32, minus infinity there.
    """
    import torch

    ids, real = padded(options)
    tokens = torch.from_numpy(ids).to(logits.device)
    others = torch.from_numpy(~real).to(logits.device)
    scores = logits.gather(-1, tokens).float().masked_fill(others, -float("inf"))
    return tokens, (scores / temperature).log_softmax(-1)


@dataclass(frozen=True, slots=True)
class Judge:
    """Says how likely tokens are after a state.

    Attributes:
        head: From states (N, C) to scores (N, V).
        banned: Tokens of probability zero where there is no grammar.
        temperature: Scores are divided by it, above 0.
    """

    head: Callable[[Tensor], Tensor]
    banned: Sequence[int] = ()
    temperature: float = 1.0

    def __call__(
        self, states: Tensor, options: Sequence[Sequence[int]] | None
    ) -> tuple[Tensor | None, Tensor]:
        """Log-probabilities of tokens.

        Args:
            states: (N, C).
            options: What a grammar allows after each; None without one.

        Returns:
            The allowed tokens, (N, A), and their log-probabilities, (N, A), as
            :func:`log_probabilities_among`; without a grammar None, and those of all tokens.
        """
        logits = self.head(states)
        if options is None:
            return None, log_probabilities(logits, self.banned, self.temperature)
        return log_probabilities_among(logits, options, self.temperature)


@dataclass(slots=True)
class Chooser:
    """Picks the next token of rows; holds the rows' streams of random numbers.

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

    def __call__(self, log_probs: Tensor, rows: Sequence[int] | None = None) -> Tensor:
        """One of the tokens for each row.

        Args:
            log_probs: Log-probabilities, (N, V).
            rows: Whose they are, and whose streams are drawn from, N of the B; None: all.

        Returns:
            Places in the last axis, (N,) int64.
        """
        if self.temperature == 0:
            return log_probs.argmax(-1)
        import torch

        draws = [
            self._streams[row].random() for row in (range(self.rows) if rows is None else rows)
        ]
        uniform = torch.tensor(draws, dtype=torch.float64, device=log_probs.device)[:, None]
        probabilities, tokens = log_probs.double().exp().sort(dim=-1, descending=True, stable=True)
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill(before >= self.top_p, 0.0)
        cumulative = probabilities.cumsum(-1)  # (N, V)
        below = (cumulative <= uniform * cumulative[:, -1:]).sum(-1, keepdim=True)
        last = (probabilities > 0).sum(-1, keepdim=True) - 1
        return tokens.gather(-1, torch.minimum(below, last))[:, 0]

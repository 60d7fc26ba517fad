"""Confidence intervals by resampling queries.

The percentile bootstrap of Efron (1979): draw as many queries as there are, with replacement,
many times; the interval holds the middle share of the means. Queries are taken to be independent,
although several may be about one video: with few videos the true interval is wider.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from stvg.types import FloatArray

LEVEL: Final = 0.95
_CHUNK: Final = 4_000_000  # drawn numbers at once, 32 MB


def intervals(
    columns: Mapping[str, FloatArray], *, resamples: int, seed: int = 0, level: float = LEVEL
) -> dict[str, tuple[float, float]]:
    """Confidence interval of the mean of each column.

    All columns are resampled together, so that their means belong to the same draws.

    Args:
        columns: Values of queries by name, (Q,) each; NaN takes no part.
        resamples: How many draws; 0 for none.
        seed: Of the random numbers.
        level: Share of the draws inside the interval.

    Returns:
        Lower and upper end by name, within the range of the values.

    Example:
        >>> intervals({"x": np.array([0.5, 0.5])}, resamples=10)
        {'x': (0.5, 0.5)}
    """
    if not columns or resamples < 1:
        return {}
    table = np.stack(list(columns.values()), axis=1)  # (Q, C)
    count = len(table)
    if not count:
        return {}
    present = (~np.isnan(table)).astype(np.float64)  # as numbers, for a quick product below
    values = np.where(present > 0, table, 0.0)
    generator = np.random.default_rng(seed)
    means = np.empty((resamples, len(columns)))
    step = max(1, _CHUNK // count)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        weights = np.stack(
            [np.bincount(generator.integers(0, count, count), minlength=count) for _ in range(size)]
        ).astype(np.float64)  # (size, Q)
        taking_part = weights @ present
        sums = weights @ values
        means[start : start + size] = np.divide(
            sums, taking_part, out=np.zeros(sums.shape), where=taking_part > 0
        )
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return {name: (float(low[column]), float(high[column])) for column, name in enumerate(columns)}

"""Two prediction files on the same queries: what differs, and how sure that is.

The difference is taken query by query, so that what is hard for both cancels; its confidence
interval resamples queries (see ``bootstrap.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stvg.errors import UsageError

from .bootstrap import intervals
from .report import Report, mean_of

MAIN_COLUMNS = ("vIoU", "IoU", "GIoU", "J&F", "MR-full-mAP")
"""What queries are ordered by: the first of these that a protocol has."""

MOST_CHANGED = 10


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of two files.

    Attributes:
        first: Mean of the first file over the shared queries, in [0, 1].
        second: Of the second.
        difference: ``second - first``, in [-1, 1].
        low: Lower end of its confidence interval.
        high: Upper end.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Change:
    """A query that two files answer differently.

    Attributes:
        id: The query.
        first: Value of the first file, in [0, 1].
        second: Value of the second.
    """

    id: str
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two files under one protocol.

    Attributes:
        protocol: Its name.
        rule: ``>`` or ``>=``.
        queries: Number of queries that take part in both.
        column: What the queries are ordered by.
        differences: By name of the metric.
        changed: The queries that changed most, the largest change first.
    """

    protocol: str
    rule: str
    queries: int
    column: str
    differences: Mapping[str, Difference]
    changed: tuple[Change, ...]

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        names = ("first", "second", "difference", "low", "high")
        return {
            "rule": self.rule,
            "queries": self.queries,
            "differences": {
                metric: {name: getattr(each, name) for name in names}
                for metric, each in self.differences.items()
            },
            "column": self.column,
            "changed": [
                {"id": each.id, "first": each.first, "second": each.second} for each in self.changed
            ],
        }


def compare(
    first: Report, second: Report, *, resamples: int = 1000, seed: int = 0, most: int = MOST_CHANGED
) -> dict[str, Comparison]:
    """Compare two reports on the same annotations.

    Args:
        first: What to compare with.
        second: What is compared.
        resamples: Draws for the confidence intervals, at least 1.
        seed: Of these draws.
        most: How many changed queries to name.

    Returns:
        A comparison by name of the protocol.

    Raises:
        UsageError: If the reports are about different queries or protocols.
    """
    if list(first.results) != list(second.results):
        raise UsageError(
            f"expected reports under the same protocols, found {', '.join(first.results)} and "
            f"{', '.join(second.results)}"
        )
    if resamples < 1:
        raise UsageError(f"a comparison needs at least 1 resample, found {resamples}")
    found = {}
    for name, one in first.results.items():
        other = second.results[name]
        if one.ids != other.ids:
            raise UsageError("expected two reports on the same queries, found different ones")
        columns = [key for key in one.columns if key in other.columns]
        changes = {key: other.columns[key] - one.columns[key] for key in columns}
        ends = intervals(changes, resamples=resamples, seed=seed)
        differences = {}
        for key, change in changes.items():
            shared = ~np.isnan(change)
            means = mean_of(one.columns[key], shared), mean_of(other.columns[key], shared)
            differences[one.mean_names.get(key, key)] = Difference(
                *means, mean_of(change), *ends[key]
            )
        column = next((key for key in MAIN_COLUMNS if key in columns), columns[0])
        change = np.nan_to_num(changes[column])
        order = np.argsort(-np.abs(change), kind="stable")[:most]
        found[name] = Comparison(
            protocol=name,
            rule=one.protocol.rule,
            queries=int((~np.isnan(changes[column])).sum()),
            column=column,
            differences=differences,
            changed=tuple(
                Change(
                    one.ids[row], float(one.columns[column][row]), float(other.columns[column][row])
                )
                for row in order.tolist()
                if change[row] != 0
            ),
        )
    return found

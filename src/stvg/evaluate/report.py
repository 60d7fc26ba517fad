"""What an evaluation gives back: numbers by protocol, by query, and what was forgiven."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stvg.errors import UsageError
from stvg.types import BoolArray, FloatArray

from .ledger import Ledger
from .protocols import Protocol

ALL = "all"
MEAN_OF_FORMS = "mean of both forms"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Metrics over a part of the queries.

    Attributes:
        name: ``all``, ``declarative``, ``interrogative``, or ``mean of both forms``.
        queries: How many queries the means run over.
        metrics: Name -> value in [0, 1].
        intervals: Name -> ends of the confidence interval; empty where none was asked for.
    """

    name: str
    queries: int
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What one protocol gives.

    Attributes:
        protocol: The choices behind the numbers.
        ids: Ids of all annotated queries, in the order of the annotation, Q of them.
        columns: Value of every query, name -> (Q,) in [0, 1]; NaN where the query does not take
            part (left out by the protocol, or the metric does not apply to it).
        mean_names: Name of a column -> name of its mean: ``tIoU`` -> ``m_tIoU``.
        parts: All queries first, then splits.
        left_out: Number of queries that the protocol leaves out of the mean.
    """

    protocol: Protocol
    ids: tuple[str, ...]
    columns: Mapping[str, FloatArray]
    mean_names: Mapping[str, str]
    parts: tuple[Part, ...]
    left_out: int

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics over all queries, in [0, 1]."""
        return self.parts[0].metrics

    @property
    def splits(self) -> Mapping[str, Mapping[str, float]]:
        """Metrics by split."""
        return {part.name: part.metrics for part in self.parts[1:]}

    def of(self, query: str) -> dict[str, float | None]:
        """Values of one query, None where the query does not take part.

        Raises:
            UsageError: If there is no such query.
        """
        if query not in self.ids:
            raise UsageError(f"expected the id of an annotated query, found {query!r}")
        row = self.ids.index(query)
        return {name: clean(values[row]) for name, values in self.columns.items()}

    def per_query(self) -> dict[str, dict[str, float | None]]:
        """Values of every query that takes part, by id."""
        lists = {name: values.tolist() for name, values in self.columns.items()}
        names = list(lists)
        rows = zip(*lists.values(), strict=True)
        found = {}
        for id_, row in zip(self.ids, rows, strict=True):
            values = {name: clean(value) for name, value in zip(names, row, strict=True)}
            if any(value is not None for value in values.values()):
                found[id_] = values
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The result of :func:`stvg.evaluate.evaluate`.

    Attributes:
        benchmark: Its name.
        queries: Number of annotated queries that can be scored.
        answered: How many of them have a line without an error.
        failures: Lines with ``error`` set, queries by what the error says.
        missing: Queries without a line.
        nothing_found: Queries whose line says that nothing was found or could not be read.
        forgiven: What was odd and counted, with places.
        results: By name of the protocol.
        forms: Form of each query, ``declarative``, ``interrogative`` or empty, (Q,).
    """

    benchmark: str
    queries: int
    answered: int
    failures: Mapping[str, tuple[str, ...]]
    missing: tuple[str, ...]
    nothing_found: tuple[str, ...]
    forgiven: Ledger
    results: Mapping[str, Result]
    forms: tuple[str, ...]

    @property
    def result(self) -> Result:
        """The only result.

        Raises:
            UsageError: If several protocols were asked for.
        """
        if len(self.results) != 1:
            raise UsageError(
                f"there are results of {', '.join(self.results)}; choose one with results[name]"
            )
        return next(iter(self.results.values()))

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics of the only protocol over all queries, in [0, 1]."""
        return self.result.metrics

    def per_query(self) -> dict[str, dict[str, float | None]]:
        """Values of the only protocol by query."""
        return self.result.per_query()

    def as_json(self, *, with_queries: bool = True) -> dict[str, Any]:
        """Everything as JSON values; numbers in [0, 1], null where a query does not take part."""
        return {
            "format": "stvg.metrics/1",
            "benchmark": self.benchmark,
            "queries": self.queries,
            "answered": self.answered,
            "failures": {name: list(ids) for name, ids in self.failures.items()},
            "missing": list(self.missing),
            "nothing_found": list(self.nothing_found),
            "forgiven": self.forgiven.as_json(),
            "protocols": {
                name: _result_json(result, with_queries) for name, result in self.results.items()
            },
        }


def clean(value: float) -> float | None:
    """A value for files and people: None for NaN."""
    return None if math.isnan(value) else float(value)


def mean_of(values: FloatArray, rows: BoolArray | None = None) -> float:
    """Mean over the queries that take part (not NaN), 0 for none."""
    chosen = values if rows is None else values[rows]
    chosen = chosen[~np.isnan(chosen)]
    return float(chosen.mean()) if len(chosen) else 0.0


def parts_of(
    columns: Mapping[str, FloatArray],
    mean_names: Mapping[str, str],
    forms: Sequence[str],
    intervals: Mapping[str, Mapping[str, tuple[float, float]]],
) -> tuple[Part, ...]:
    """Means over all queries and, where queries have forms, over each form and of both.

    Args:
        columns: Value of every query by name, (Q,).
        mean_names: Name of a column -> name of its mean.
        forms: Form of each query.
        intervals: Confidence intervals by part and name of the mean.
    """
    labels = np.array(forms)
    parts = [_part(ALL, columns, mean_names, None, intervals)]
    present = [form for form in ("declarative", "interrogative") if (labels == form).any()]
    if len(present) == 2:
        parts += [_part(form, columns, mean_names, labels == form, intervals) for form in present]
        first, second = parts[1], parts[2]
        middle = {name: (first.metrics[name] + second.metrics[name]) / 2 for name in first.metrics}
        parts.append(Part(MEAN_OF_FORMS, first.queries + second.queries, middle))
    return tuple(parts)


def _part(
    name: str,
    columns: Mapping[str, FloatArray],
    mean_names: Mapping[str, str],
    rows: BoolArray | None,
    intervals: Mapping[str, Mapping[str, tuple[float, float]]],
) -> Part:
    """Means over some rows."""
    metrics = {mean_names.get(key, key): mean_of(each, rows) for key, each in columns.items()}
    taking_part = np.zeros(next(iter(columns.values())).shape, np.bool_)
    for values in columns.values():
        taking_part |= ~np.isnan(values)
    count = int(np.count_nonzero(taking_part if rows is None else taking_part & rows))
    return Part(name, count, metrics, intervals.get(name, {}))


def _result_json(result: Result, with_queries: bool) -> dict[str, Any]:
    """One protocol's numbers."""
    value: dict[str, Any] = {
        "source": result.protocol.source,
        "rule": result.protocol.rule,
        "choices": result.protocol.choices(),
        "left_out": result.left_out,
        "queries": result.parts[0].queries,
        "metrics": dict(result.metrics),
        "intervals": {name: list(ends) for name, ends in result.parts[0].intervals.items()},
        "splits": {
            part.name: {
                "queries": part.queries,
                "metrics": dict(part.metrics),
                "intervals": {name: list(ends) for name, ends in part.intervals.items()},
            }
            for part in result.parts[1:]
        },
    }
    if with_queries:
        value["per_query"] = result.per_query()
    return value

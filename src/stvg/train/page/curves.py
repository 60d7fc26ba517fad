"""Curves of a log: which numbers share a chart, and how long curves are thinned."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from stvg.types import FloatArray

from .numbers import finite

MOST_POINTS: Final = 240
"""Points of a curve; of a longer log they are means of neighbouring lines, and the newest line."""

_TOPICS = (
    ("Rewards", re.compile(r"(reward|spread)/")),
    ("Completions", re.compile(r"share/|(length|entropy|written)$")),
    ("Policy", re.compile(r"loss/|(kl|clipped)$")),
    ("Tasks", re.compile(r"(?!val/|evaluate/).+/(loss|share)/")),
    ("Validation", re.compile(r"(val|evaluate)/")),
    ("Run", re.compile("")),
)
_TITLES = {
    "rate": "learning rate", "norm": "norm of the gradient", "length": "length, tokens",
    "entropy": "entropy, nats", "kl": "KL to the reference, nats", "clipped": "share clipped",
    "written": "completions since the last line", "seconds": "time, s", "cpu_s": "time, s",
    "clips_per_s": "clips per second", "evaluate/queries": "evaluate, counts",
    "evaluate/failed": "evaluate, counts",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A curve of N points with what is around it.

    Attributes:
        key: Its key in the log.
        steps: (N,); of a bin its last. The last bin is the newest line alone.
        values: (N,); of a bin its mean.
        low: Lower end of the band, (N,): the spread below the value, else the least of the bin.
        high: Upper end, (N,).
        spread: (N,), or None.
    """

    key: str
    steps: FloatArray
    values: FloatArray
    low: FloatArray
    high: FloatArray
    spread: FloatArray | None

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def title(self) -> str:
        """What stands over it where it is alone in its chart."""
        return _TITLES.get(self.key, self.key)


def curves_by_topic(entries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[Curve]]]:
    """The curves by topic and title of their chart.

    A key belongs to the chart of what stands before its last slash; each reward has a chart of its
    own, with its spread around it.
    """
    series: dict[str, list[tuple[float, float]]] = {}
    for entry in entries:
        step = finite(entry.get("step"))
        for key, found in entry.items():
            value = finite(found)
            if step is not None and value is not None and key not in ("step", "seen"):
                series.setdefault(key, []).append((step, value))
    topics: dict[str, dict[str, list[Curve]]] = {topic: {} for topic, _ in _TOPICS}
    for key, points in series.items():
        group, _, name = key.rpartition("/")
        spread = series.get(f"spread/{name}") if group == "reward" else None
        if group == "spread" and f"reward/{name}" in series:
            continue
        title = _TITLES.get(key, key if group in ("", "reward") else group)
        topic = next(topic for topic, pattern in _TOPICS if pattern.match(key))
        topics[topic].setdefault(title, []).append(_curve(key, points, spread))
    return {topic: charts for topic, charts in topics.items() if charts}


def _curve(
    key: str,
    points: Sequence[tuple[float, float]],
    spread: Sequence[tuple[float, float]] | None,
) -> Curve:
    """A curve through points ``(step, value)``, thinned to means over bins where it is long."""
    steps, values = np.array(points).T
    count = len(steps)
    starts = np.unique([*range(0, count, math.ceil(count / MOST_POINTS)), count - 1])
    sizes = np.diff([*starts, count])
    means = np.add.reduceat(values, starts) / sizes
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    around = None
    if spread:
        known = dict(spread)
        spreads = np.array([known.get(step, 0.0) for step in steps.tolist()])
        around = np.add.reduceat(spreads, starts) / sizes
        low, high = means - around, means + around
    return Curve(key, steps[starts + sizes - 1], means, low, high, around)

"""Small plots as inline SVG: a score against a property of the queries.

Colours come from CSS variables of the page, so that they follow its light or dark theme. Every mark
has a tooltip, every plot a description for screen readers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np

from stvg.types import FloatArray

WIDTH: Final = 420
HEIGHT: Final = 250
MOST_POINTS: Final = 600
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 14, 42


@dataclass(frozen=True, slots=True)
class Bin:
    """Queries whose property lies between two values.

    Attributes:
        low: Smallest property in it.
        high: Largest.
        middle: Median.
        mean: Mean score, in [0, 1].
        error: Standard error of the mean.
        count: How many queries.
    """

    low: float
    high: float
    middle: float
    mean: float
    error: float
    count: int


def binned(values: FloatArray, scores: FloatArray, most: int = 8) -> list[Bin]:
    """Group queries by a property into bins of about equal size.

    Args:
        values: The property, (Q,); NaN takes no part.
        scores: In [0, 1], (Q,); NaN takes no part.
        most: How many bins at most.

    Returns:
        Bins in order; equal values are never split.

    Example:
        >>> [each.mean for each in binned(np.array([1., 2, 3, 4]), np.array([0., 0, 1, 1]), 2)]
        [0.0, 1.0]
    """
    good = np.isfinite(values) & np.isfinite(scores)
    x, y = values[good], scores[good]
    if not len(x):
        return []
    edges = np.unique(np.quantile(x, np.linspace(0, 1, most + 1)))
    owners = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, max(len(edges) - 2, 0))
    found = []
    for number in range(max(len(edges) - 1, 1)):
        chosen = owners == number
        count = int(chosen.sum())
        if not count:
            continue
        part = y[chosen]
        error = float(part.std(ddof=1) / math.sqrt(count)) if count > 1 else 0.0
        inside = x[chosen]
        found.append(
            Bin(
                float(inside.min()),
                float(inside.max()),
                float(np.median(inside)),
                float(part.mean()),
                error,
                count,
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class Axis:
    """The horizontal axis of a plot.

    Attributes:
        title: What it shows, with its unit.
        low: Left end.
        high: Right end, above ``low``.
        is_log: Whether it is logarithmic.
    """

    title: str
    low: float
    high: float
    is_log: bool

    @classmethod
    def around(cls, title: str, values: FloatArray, *, is_log: bool) -> Axis:
        """An axis that holds all values; logarithmic only where all are above 0."""
        finite = values[np.isfinite(values)]
        if not len(finite):
            return cls(title, 0.0, 1.0, False)
        low, high = float(finite.min()), float(finite.max())
        log = is_log and low > 0
        if high <= low:
            pad = abs(low) * 0.5 or 1.0
            return cls(title, max(low - pad, low * 0.5) if log else low - pad, high + pad, log)
        return cls(title, low, high, log)

    def place(self, value: float) -> float:
        """Horizontal place of a value in the picture."""
        if self.is_log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def ticks(self) -> list[float]:
        """Round values to label, 2 to 7 of them."""
        if self.is_log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for factors in ((1,), (1, 3), (1, 2, 5)):
                found = [k * 10.0**p for p in powers for k in factors]
                found = [each for each in found if self.low <= each <= self.high]
                if len(found) >= 3:
                    return found[:: math.ceil(len(found) / 7)]
            return [self.low, self.high]
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(k * unit for k in (1, 2, 5, 10) if k * unit >= rough)
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step) + 1)]


def scatter_plot(
    axis: Axis, values: FloatArray, scores: FloatArray, ids: Sequence[str], score: str
) -> str:
    """A score against a property: mean of each bin with two standard errors, and single queries.

    Args:
        axis: The horizontal axis.
        values: The property, (Q,).
        scores: In [0, 1], (Q,).
        ids: Of the queries, for tooltips; single queries are shown up to :data:`MOST_POINTS`.
        score: Name of the score.

    Returns:
        An ``<svg>`` element.
    """
    parts = [_frame(f"{score} over {axis.title}"), _grid(axis, score)]
    good = np.flatnonzero(np.isfinite(values) & np.isfinite(scores))
    if len(good) <= MOST_POINTS:
        for row in good.tolist():
            x, y = axis.place(float(values[row])), _height(float(scores[row]))
            title = escape(f"{ids[row]}: {score} {100 * scores[row]:.1f} at {values[row]:.3g}")
            dot = f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2">'
            parts.append(f"{dot}<title>{title}</title></circle>")
    parts.append(_bins(axis, binned(values, scores), score))
    return "".join([*parts, "</svg>"])


def histogram(scores: FloatArray, title: str, bins: int = 20) -> str:
    """How often each score occurs, as an ``<svg>`` element.

    Args:
        scores: In [0, 1], (Q,); NaN takes no part.
        title: Name of the score.
        bins: How many bars.
    """
    finite = scores[np.isfinite(scores)]
    counts, edges = np.histogram(finite, bins=bins, range=(0.0, 1.0))
    highest = max(int(counts.max()), 1)
    axis = Axis(f"{title}, percent", 0.0, 100.0, False)
    parts = [_frame(f"Distribution of {title}"), _labels(axis)]
    for count, low, high in zip(counts.tolist(), edges, edges[1:], strict=False):
        left, right = axis.place(100 * float(low)), axis.place(100 * float(high))
        top = _height(count / highest)
        tip = f"{100 * low:.0f} to {100 * high:.0f}: {count} queries"
        parts.append(
            f'<rect class="bar" x="{left + 0.5:.1f}" y="{top:.1f}" width="{right - left - 1:.1f}" '
            f'height="{_height(0) - top:.1f}"><title>{tip}</title></rect>'
        )
    parts.append(
        f'<text class="label" x="{_LEFT - 6}" y="{_TOP + 4}" text-anchor="end">{highest}</text>'
        f'<text class="label" x="{_LEFT - 6}" y="{_height(0)}" text-anchor="end">0</text>'
    )
    return "".join([*parts, "</svg>"])


def _frame(description: str) -> str:
    """The opening tag with its description."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(description)}" '
        f'xmlns="http://www.w3.org/2000/svg"><title>{escape(description)}</title>'
    )


def _height(share: float) -> float:
    """Vertical place of a value in [0, 1]."""
    return _TOP + (1 - share) * (HEIGHT - _TOP - _BOTTOM)


def _grid(axis: Axis, score: str) -> str:
    """Lines at 0, 25, ... 100 percent, labels of both axes."""
    parts = [_labels(axis)]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _height(share)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="label" x="{_LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">'
            f"{100 * share:.0f}</text>"
        )
    middle = (_TOP + HEIGHT - _BOTTOM) / 2
    parts.append(
        f'<text class="name" transform="translate(11 {middle:.0f}) rotate(-90)" '
        f'text-anchor="middle">{escape(score)}, percent</text>'
    )
    return "".join(parts)


def _labels(axis: Axis) -> str:
    """Labels and title of the horizontal axis."""
    base = HEIGHT - _BOTTOM
    parts = [f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>']
    for value in axis.ticks():
        x = axis.place(value)
        anchor = "end" if x > WIDTH - 2 * _RIGHT else "middle"  # a long number stays inside
        parts.append(
            f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 4}"/>'
            f'<text class="label" x="{x:.1f}" y="{base + 16}" text-anchor="{anchor}">{value:g}'
            "</text>"
        )
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(
        f'<text class="name" x="{middle:.0f}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{escape(axis.title)}</text>"
    )
    return "".join(parts)


def _bins(axis: Axis, bins: Sequence[Bin], score: str) -> str:
    """A line through the means of the bins, with bars of two standard errors."""
    parts = []
    line = []
    for each in bins:
        x, y = axis.place(each.middle), _height(each.mean)
        low, high = _height(max(each.mean - 2 * each.error, 0)), _height(
            min(each.mean + 2 * each.error, 1)
        )  # fmt: skip
        line.append(f"{x:.1f},{y:.1f}")
        tip = escape(
            f"{each.low:.3g} to {each.high:.3g}: mean {score} {100 * each.mean:.1f}, "
            f"{each.count} queries"
        )
        parts.append(
            f'<line class="error" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
            f'<circle class="mean" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{tip}</title></circle>'
        )
    return f'<polyline class="trend" points="{" ".join(line)}"/>' + "".join(parts)

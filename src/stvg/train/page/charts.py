"""Charts: curves drawn as SVG, with axes, bands around them and names at their ends."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from stvg.types import FloatArray

from .curves import Curve
from .numbers import short

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 380, 42, 10, 8, 22
_PLOT_HEIGHT, _LABEL_HEIGHT, _LETTER = 128, 12.5, 5.6


def charts_section(
    topic: str, charts: Mapping[str, Sequence[Curve]], last_step: float
) -> Iterator[str]:
    """The charts of a topic."""
    drawn = [curve for curves in charts.values() for curve in curves]
    note = ""
    if any(curve.spread is not None for curve in drawn):
        note = "Means, and one standard deviation within a group around them."
    elif any(np.any(curve.high > curve.low) for curve in drawn):
        note = "Means over neighbouring lines of the log, and their least and greatest around them."
    told = f'<p class="quiet">{note}</p>' if note else ""
    yield f'<section id="{topic}"><h2>{topic}</h2>{told}<div class="charts">'
    for title, curves in charts.items():
        yield _chart(title, curves, last_step)
    yield "</div></section>"


def _chart(title: str, curves: Sequence[Curve], last_step: float) -> str:
    """One chart; the newest value stands by the title, those of several curves at their ends."""
    is_single = len(curves) == 1
    height = max(_PLOT_HEIGHT, _LABEL_HEIGHT * len(curves))
    told = [f"{curve.name} {short(curve.values[-1])}" for curve in curves]
    beside = 0.0 if is_single else 16 + _LETTER * min(max(map(len, told)), 24)
    upright = _Axis.upright(title, curves, height)
    along = _Axis(0.0, max(last_step, 1.0), _LEFT, _WIDTH - _RIGHT - beside)
    aside = "logarithmic" if upright.is_log else ""
    if is_single:
        title, spread = curves[0].title, curves[0].spread
        aside = short(curves[0].values[-1]) + ("" if spread is None else f" ± {short(spread[-1])}")
    ends = [float(upright.place(curve.values[-1:])[0]) for curve in curves]
    places: Sequence[float | None] = [None] if is_single else _apart(ends, _TOP, _TOP + height)
    about = escape(f"{title}, newest: " + ", ".join(told))
    drawn = "".join(
        _curve(curve, number, along, upright, place)
        for number, (curve, place) in enumerate(zip(curves, places, strict=True))
    )
    return (
        f"<figure><figcaption>{escape(title)}<span>{aside}</span></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_TOP + height + _BOTTOM:g}" role="img" '
        f'aria-label="{about}" '
        f'data-frame="{along.start:g} {along.end:g} {along.low:.9g} {along.high:.9g}">'
        f"{_grid(along, upright)}{drawn}"
        f'<line class="cursor" y1="{upright.end:g}" y2="{upright.start:g}"/></svg></figure>'
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    """From numbers to places in a picture: ``low`` to ``start``, ``high`` to ``end``, in pixels."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    @classmethod
    def upright(cls, title: str, curves: Sequence[Curve], height: float) -> _Axis:
        """The vertical axis of a chart, ended at round numbers.

        Shares always run from 0 to 1, rewards show where 0 is, and losses that lie far apart are
        drawn in powers of ten.
        """
        low = min(float(curve.low.min()) for curve in curves)
        high = max(float(curve.high.max()) for curve in curves)
        if title.endswith("share"):
            low, high = min(low, 0.0), max(high, 1.0)
        if title.startswith("reward/"):
            low, high = min(low, 0.0), max(high, 0.0)
        if title.endswith("loss") and low > 0 and high > 20 * low:
            return cls(low, high, _TOP + height, _TOP, is_log=True)
        if math.isclose(low, high, rel_tol=1e-9):
            low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
        each = _round_step(low, high, 5)
        low, high = math.floor(low / each + 1e-9) * each, math.ceil(high / each - 1e-9) * each
        return cls(low, high, _TOP + height, _TOP)

    def place(self, values: FloatArray) -> FloatArray:
        """Pixels of values, (N,)."""
        low, high = self.low, self.high
        if self.is_log:
            low, high, values = math.log(low), math.log(high), np.log(values)
        return np.asarray(self.start + (values - low) / (high - low) * (self.end - self.start))

    def ticks(self) -> FloatArray:
        """Round numbers from end to end; 1, 2, 5 times powers of ten on a logarithmic axis."""
        if self.is_log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            all_ = np.outer(10.0 ** np.arange(first, last + 1), [1, 2, 5]).ravel()
            return np.asarray(all_[(all_ >= self.low) & (all_ <= self.high)])
        each = _round_step(self.low, self.high, 5)
        first, last = math.ceil(self.low / each - 1e-9), math.floor(self.high / each + 1e-9)
        return np.arange(first, last + 1, dtype=np.float64) * each


def _round_step(low: float, high: float, most: int) -> float:
    """The least 1, 2 or 5 times a power of ten that divides a range into at most ``most`` parts.

    Example:
        >>> _round_step(0, 1, 5), _round_step(0, 1240, 5)
        (0.2, 500.0)
    """
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    return next(power * each for each in (1, 2, 5, 10) if power * each >= raw * (1 - 1e-9))


def _grid(along: _Axis, upright: _Axis) -> str:
    """Lines and numbers of both axes."""
    parts = []
    ticks = upright.ticks()
    for tick, y in zip(ticks, upright.place(ticks), strict=True):
        kind = "zero" if abs(tick) < 1e-12 else "grid"
        parts.append(
            f'<line class="{kind}" x1="{along.start:g}" x2="{along.end:g}" y1="{y:.1f}" '
            f'y2="{y:.1f}"/><text x="{along.start - 5:g}" y="{y + 3.5:.1f}" text-anchor="end">'
            f"{f'{round(tick, 12):,.6g}'.replace('-', '−')}</text>"
        )
    steps = along.ticks()
    steps = steps[steps == np.round(steps)]
    for step, x in zip(steps, along.place(steps), strict=True):
        anchor = "end" if x > _WIDTH - 20 else "middle"
        place = f'x="{x:.1f}" y="{upright.start + 15:g}" text-anchor="{anchor}"'
        parts.append(f"<text {place}>{step:,.0f}</text>")
    return "".join(parts)


def _curve(curve: Curve, number: int, along: _Axis, upright: _Axis, label: float | None) -> str:
    """A curve with its band, its newest point, and its name at the height ``label``."""
    x, y = along.place(curve.steps), upright.place(curve.values)
    band = ""
    if len(x) > 1 and np.any(curve.high > curve.low):
        edge_x = np.concatenate([x, x[::-1]])
        edge_y = np.concatenate([upright.place(curve.low), upright.place(curve.high)[::-1]])
        band = f'<polygon points="{_points(edge_x, edge_y)}"/>'
    name = ""
    if label is not None:
        y_text = f'y="{label + 3.5:.1f}"'
        name = (
            f'<path d="M{x[-1]:.1f},{y[-1]:.1f} L{along.end + 7:.1f},{label:.1f}"/>'
            f'<text class="name" x="{along.end + 9:.1f}" {y_text}>{escape(curve.name[:16])}</text>'
            f'<text x="{_WIDTH - 2}" {y_text} text-anchor="end">{short(curve.values[-1])}</text>'
        )
    spread = f' data-spread="{_numbers(curve.spread)}"' if curve.spread is not None else ""
    second = " second" if number % 16 >= 8 else ""
    return (
        f'<g class="line c{number % 8}{second}" data-name="{escape(curve.name)}" '
        f'data-steps="{" ".join(f"{step:.9g}" for step in curve.steps)}" '
        f'data-values="{_numbers(curve.values)}"{spread}>{band}'
        f'<polyline points="{_points(x, y)}"/><circle cx="{x[-1]:.1f}" cy="{y[-1]:.1f}" r="2.4"/>'
        f"{name}</g>"
    )


def _apart(places: Sequence[float], top: float, bottom: float) -> list[float]:
    """Middles of labels, moved as little as needed so that none covers another or sticks out.

    Example:
        >>> _apart([10.0, 11.0, 90.0], 0.0, 100.0)
        [10.0, 22.5, 90.0]
        >>> _apart([99.0, 98.0], 0.0, 100.0)
        [93.75, 81.25]
    """
    moved = list(places)
    order = sorted(range(len(places)), key=lambda index: places[index])
    least = top + _LABEL_HEIGHT / 2
    for index in order:
        moved[index] = max(moved[index], least)
        least = moved[index] + _LABEL_HEIGHT
    most = bottom - _LABEL_HEIGHT / 2
    for index in reversed(order):
        moved[index] = min(moved[index], most)
        most = moved[index] - _LABEL_HEIGHT
    return moved


def _points(x: FloatArray, y: FloatArray) -> str:
    """Points of a path."""
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _numbers(values: FloatArray) -> str:
    """Numbers in five digits."""
    return " ".join(f"{value:.5g}" for value in values.tolist())

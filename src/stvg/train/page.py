"""The live page of a training run: what stands out, curves of the log, samples with their rewards.

One HTML file that needs no network and no server; the template beside this file has its style and
the little script for reading curves off and for loading the page again. Three parts, in the order
of the page: findings in words (:func:`findings`), curves, samples.
"""

from __future__ import annotations

import base64
import io
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Final

import numpy as np
from PIL import Image

from stvg.formats.atomic import atomic_path
from stvg.rewards import Score
from stvg.types import ByteArray, FloatArray, Interval

RECENT: Final = 20
"""Findings are about so many of the newest lines that have the number in question."""
FEWEST: Final = 5
"""With fewer lines than this a reward is not called stuck."""
STILL: Final = 1e-3
"""A reward that moves less than this, and is not above it, is stuck."""
MOST_FLAT: Final = 0.5
"""Share of groups that may be flat before the page speaks of it."""
MOST_APART: Final = 0.5
"""Share of groups without any overlap in time before the page speaks of it."""
MOST_CUT: Final = 0.1
"""Share of completions that may be cut off before the page speaks of it."""
MOST_UNREADABLE: Final = 0.1
"""Share of completions that may be unreadable before the page speaks of it."""
MOST_POINTS: Final = 240
"""Points of a curve; of a longer log they are means of neighbouring lines, and the newest line."""
MOST_FRAMES: Final = 8
"""Frames of a sample that are shown."""
LONG_SIDE: Final = 192
"""Pictures are made smaller to this many pixels; the page scales smaller ones up."""

_PIXEL_ART = 96  # pictures up to this long side are kept without loss and scaled up unsmoothed
_NUMBER = re.compile(r"(?<!\w)-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|\d+")
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
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 380, 42, 10, 8, 22
_PLOT_HEIGHT, _LABEL_HEIGHT, _LETTER = 128, 12.5, 5.6


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A list of boxes on the frames of a sample.

    Attributes:
        interval: When, in seconds; None where that is not known.
        boxes: ``xyxy`` in pixels of the pictures, (T, 4); NaN rows where there is no box.
    """

    interval: Interval | None
    boxes: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """One completion.

    Attributes:
        text: What the model wrote.
        total: Its reward, or None where nothing could be judged.
        scores: The parts of the reward by name, unweighted.
        advantage: What it is better than its group, or None where it was left out.
        finished: False for one that was cut off at the longest length.
        problem: Why it could not be read, or None.
        final: What it answers.
        draft: Its first guess, in grammars that have one.
    """

    text: str
    total: float | None
    scores: Mapping[str, Score]
    advantage: float | None
    finished: bool
    problem: str | None
    final: Shown
    draft: Shown | None


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A prompt with its completions.

    Attributes:
        step: Step of the run in which they were written.
        name: Which video and query.
        query: The sentence.
        frames: What the model saw, RGB, (T, H, W, 3) uint8.
        times_s: Time of each frame in seconds, (T,).
        truth: What would be right, or None where that is not known.
        written: The completions.
    """

    step: int
    name: str
    query: str
    frames: ByteArray
    times_s: FloatArray
    truth: Shown | None
    written: tuple[Written, ...]


def write_page(
    path: Path,
    title: str,
    entries: Sequence[Mapping[str, Any]],
    samples: Sequence[Sample],
    *,
    is_over: bool = False,
) -> None:
    """Write the page of a run.

    Args:
        path: The HTML file; appears whole or not at all.
        title: Name of the run.
        entries: Lines of its log. Every finite number in a line that has a ``step`` is drawn; keys
            may differ from line to line.
        samples: The newest prompts with what was written to them.
        is_over: Whether the run has ended; before, the page loads itself again every 20 s.

    Raises:
        OutputError: If the file cannot be written.
    """
    now = time.time()
    topics = _topics(entries)
    last_step = max((_finite(entry.get("step")) or 0.0 for entry in entries), default=0.0)
    body = [
        *_head(title, entries, now, is_over),
        *_links([*topics, *(["Samples"] if samples else [])]),
        *_findings_box(findings(entries, samples)),
        *(text for topic, charts in topics.items() for text in _section(topic, charts, last_step)),
        *_samples_section(samples),
    ]
    most = max((len(sample.written) for sample in samples), default=0)
    template = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
    page = template.substitute(
        title=escape(title),
        body="\n".join(body),
        choices="\n".join(_rules_for_choice(number) for number in range(most)),
        written_s=f"{now:.0f}",
        live="" if is_over else "1",
    )
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")


def _head(
    title: str, entries: Sequence[Mapping[str, Any]], now: float, is_over: bool
) -> Iterator[str]:
    """Title, when the page was written, and how far the run is."""
    state = "the run is over" if is_over else "running, this page reloads itself every 20 s"
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    yield (
        f"<header><h1>{escape(title)}</h1>"
        f'<p class="quiet" id="written">{state}; last written {when}</p></header>'
    )
    facts = {
        "step": _newest(entries, "step", "{:,.0f}".format),
        "clips seen": _newest(entries, "seen", "{:,.0f}".format),
        "elapsed": _newest(entries, "seconds", _duration),
        "mean reward": _newest(entries, "reward/total", _short),
    }
    cells = [f"<div><dt>{name}</dt><dd>{told}</dd></div>" for name, told in facts.items() if told]
    yield f"<dl>{''.join(cells)}</dl>" if cells else "<p>The log has no lines yet.</p>"


def _links(names: Sequence[str]) -> Iterator[str]:
    """Links to the sections, where there are several."""
    if len(names) > 1:
        yield "<nav>" + "".join(f'<a href="#{name}">{name}</a>' for name in names) + "</nav>"


def _newest(
    entries: Sequence[Mapping[str, Any]], key: str, form: Callable[[float], str]
) -> str | None:
    """The last finite value of a key in words, or None where there is none."""
    values = _recent(entries, key)
    return form(float(values[-1])) if len(values) else None


def _finite(value: Any) -> float | None:
    """A finite number as such, anything else as None."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _duration(seconds: float) -> str:
    """Seconds in words.

    Example:
        >>> _duration(59.4), _duration(754), _duration(5000)
        ('59 s', '12 min 34 s', '1 h 23 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def _short(value: float) -> str:
    """A number in three digits, or whole where it is large.

    Example:
        >>> _short(0.13629), _short(-1.0), _short(9015.4)
        ('0.136', '−1', '9,015')
    """
    told = f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"
    return told.replace("-", "−")


# Findings


def findings(entries: Sequence[Mapping[str, Any]], samples: Sequence[Sample]) -> list[str]:
    """What keeps the run from learning, in words; nothing where nothing stands out.

    Args:
        entries: Lines of the log.
        samples: The newest prompts; the most frequent reasons are theirs.

    Returns:
        Sentences, not escaped.

    Example:
        >>> findings([{"step": 1, "share/cut": 0.41}], [])
        ['41 % of completions are cut off at the longest length: raise max_new_tokens']
    """
    written = [each for sample in samples for each in sample.written]
    return [
        *_stuck_rewards(entries, written),
        *_high_shares(entries, written),
        *_not_finite(entries),
        *_unusable(entries),
    ]


def _stuck_rewards(
    entries: Sequence[Mapping[str, Any]], written: Sequence[Written]
) -> Iterator[str]:
    """Rewards that give every completion the same, and no more than 0."""
    names = {key: None for entry in entries for key in entry if key.startswith("reward/")}
    for name in (key.removeprefix("reward/") for key in names):
        values = _recent(entries, f"reward/{name}")
        if len(values) < FEWEST or np.ptp(values) > STILL or values[-1] > STILL:
            continue
        if np.any(_recent(entries, f"spread/{name}") > STILL):
            continue
        subject = "The total reward" if name == "total" else f"Reward {name}"
        scores = [each.scores[name] for each in written if name in each.scores]
        value = _short(round(float(values[-1]), 2) + 0.0)
        yield (
            f"{subject} has been {value} in the last {len(values)} lines for every completion"
            f"{_most_frequent(score.reason for score in scores)}"
        )


def _high_shares(entries: Sequence[Mapping[str, Any]], written: Sequence[Written]) -> Iterator[str]:
    """Shares of groups and completions that are lost to learning."""

    def share(name: str, most: float) -> str | None:
        values = _recent(entries, f"share/{name}")
        return _percent(values.mean()) if len(values) and values.mean() > most else None

    if flat := share("flat", MOST_FLAT):
        yield (
            f"{flat} of groups are flat: their completions earn the same, nothing is learned from "
            "them: raise the temperature or mix in easier samples (harder ones where the reward is "
            "high already)"
        )
    if apart := share("no_overlap", MOST_APART):
        yield (
            f"in {apart} of groups no completion meets the true interval: mix in easier samples, "
            "or train supervised for longer first"
        )
    if cut := share("cut", MOST_CUT):
        yield f"{cut} of completions are cut off at the longest length: raise max_new_tokens"
    if unreadable := share("unreadable", MOST_UNREADABLE):
        problems = [each.problem for each in written if each.problem]
        yield f"{unreadable} of completions cannot be read{_most_frequent(problems)}"
    if failed := share("failed", 0.0):
        scores = [score for each in written for score in each.scores.values()]
        reasons = [score.reason for score in scores if score.failed]
        yield f"rewards broke down on {failed} of completions{_most_frequent(reasons)}"


def _not_finite(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Keys whose newest number is infinite or none at all."""
    newest = {key: value for entry in entries for key, value in entry.items()}
    keys = [key for key, value in newest.items() if isinstance(value, float) and
            not math.isfinite(value)]  # fmt: skip
    if keys:
        yield f"no longer a finite number: {', '.join(keys)}"


def _unusable(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Clips that cannot be used, by the newest line that names them."""
    told: Mapping[str, Mapping[str, str]] = next(
        (entry["broken"] for entry in reversed(entries) if "broken" in entry), {}
    )
    broken = [pair for found in told.values() for pair in found.items()]
    if broken:
        name, why = broken[0]
        yield f"clips that could not be used: {len(broken):,}, such as {name}: {why}"


def _recent(entries: Sequence[Mapping[str, Any]], key: str) -> FloatArray:
    """The newest finite values of a key, at most :data:`RECENT`, oldest first."""
    found: list[float] = []
    for entry in reversed(entries):
        value = _finite(entry.get(key))
        if value is not None:
            found.append(value)
            if len(found) == RECENT:
                break
    return np.array(found[::-1])


def _percent(share: float) -> str:
    """A share in percent, small ones in two digits."""
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.2g} %"


def _most_frequent(reasons: Iterable[str]) -> str:
    """The most frequent reason, numbers apart, as the end of a sentence.

    Example:
        >>> _most_frequent(["no box at 1.5 s", "no box at 2 s", "no interval"])
        ': most frequent reason “no box at … s” (2 of the 3 shown below)'
        >>> _most_frequent(["t_3 is missing", "t_12 is missing"])
        ': most frequent reason “t_… is missing” (2 of the 2 shown below)'
        >>> _most_frequent([])
        ''
    """
    counts = Counter(_NUMBER.sub("…", " ".join(reason.split())) for reason in reasons)
    if not counts:
        return ""
    reason, count = counts.most_common(1)[0]
    return f": most frequent reason “{reason:.200}” ({count} of the {counts.total()} shown below)"


def _findings_box(told: Sequence[str]) -> Iterator[str]:
    """The findings, where there are any."""
    if told:
        items = "".join(f"<li>{escape(each[0].upper() + each[1:])}</li>" for each in told)
        yield f'<section class="findings"><h2>What stands out</h2><ul>{items}</ul></section>'


# Curves


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
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


@dataclass(frozen=True, slots=True)
class _Axis:
    """From numbers to places in a picture: ``low`` to ``start``, ``high`` to ``end``, in pixels."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    @classmethod
    def upright(cls, title: str, lines: Sequence[_Line], height: float) -> _Axis:
        """The vertical axis of a chart, ended at round numbers.

        Shares always run from 0 to 1, rewards show where 0 is, and losses that lie far apart are
        drawn in powers of ten.
        """
        low = min(float(line.low.min()) for line in lines)
        high = max(float(line.high.max()) for line in lines)
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


def _topics(entries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[_Line]]]:
    """The curves by topic and title of their chart.

    A key belongs to the chart of what stands before its last slash; each reward has a chart of its
    own, with its spread around it.
    """
    series: dict[str, list[tuple[float, float]]] = {}
    for entry in entries:
        step = _finite(entry.get("step"))
        for key, found in entry.items():
            value = _finite(found)
            if step is not None and value is not None and key not in ("step", "seen"):
                series.setdefault(key, []).append((step, value))
    topics: dict[str, dict[str, list[_Line]]] = {topic: {} for topic, _ in _TOPICS}
    for key, points in series.items():
        group, _, name = key.rpartition("/")
        spread = series.get(f"spread/{name}") if group == "reward" else None
        if group == "spread" and f"reward/{name}" in series:
            continue
        title = _TITLES.get(key, key if group in ("", "reward") else group)
        topic = next(topic for topic, pattern in _TOPICS if pattern.match(key))
        topics[topic].setdefault(title, []).append(_line(key, points, spread))
    return {topic: charts for topic, charts in topics.items() if charts}


def _line(
    key: str,
    points: Sequence[tuple[float, float]],
    spread: Sequence[tuple[float, float]] | None,
) -> _Line:
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
    return _Line(key, steps[starts + sizes - 1], means, low, high, around)


def _section(topic: str, charts: Mapping[str, Sequence[_Line]], last_step: float) -> Iterator[str]:
    """The charts of a topic."""
    drawn = [line for lines in charts.values() for line in lines]
    note = ""
    if any(line.spread is not None for line in drawn):
        note = "Means, and one standard deviation within a group around them."
    elif any(np.any(line.high > line.low) for line in drawn):
        note = "Means over neighbouring lines of the log, and their least and greatest around them."
    told = f'<p class="quiet">{note}</p>' if note else ""
    yield f'<section id="{topic}"><h2>{topic}</h2>{told}<div class="charts">'
    for title, lines in charts.items():
        yield _chart(title, lines, last_step)
    yield "</div></section>"


def _chart(title: str, lines: Sequence[_Line], last_step: float) -> str:
    """One chart; the newest value stands by the title, those of several curves at their ends."""
    is_single = len(lines) == 1
    height = max(_PLOT_HEIGHT, _LABEL_HEIGHT * len(lines))
    told = [f"{line.name} {_short(line.values[-1])}" for line in lines]
    beside = 0.0 if is_single else 16 + _LETTER * min(max(map(len, told)), 24)
    upright = _Axis.upright(title, lines, height)
    along = _Axis(0.0, max(last_step, 1.0), _LEFT, _WIDTH - _RIGHT - beside)
    aside = "logarithmic" if upright.is_log else ""
    if is_single:
        title, spread = _TITLES.get(lines[0].key, lines[0].key), lines[0].spread
        aside = _short(lines[0].values[-1]) + ("" if spread is None else f" ± {_short(spread[-1])}")
    ends = [float(upright.place(line.values[-1:])[0]) for line in lines]
    places: Sequence[float | None] = [None] if is_single else _apart(ends, _TOP, _TOP + height)
    about = escape(f"{title}, newest: " + ", ".join(told))
    curves = "".join(
        _curve(line, number, along, upright, place)
        for number, (line, place) in enumerate(zip(lines, places, strict=True))
    )
    return (
        f"<figure><figcaption>{escape(title)}<span>{aside}</span></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_TOP + height + _BOTTOM:g}" role="img" '
        f'aria-label="{about}" '
        f'data-frame="{along.start:g} {along.end:g} {along.low:.9g} {along.high:.9g}">'
        f"{_grid(along, upright)}{curves}"
        f'<line class="cursor" y1="{upright.end:g}" y2="{upright.start:g}"/></svg></figure>'
    )


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


def _curve(line: _Line, number: int, along: _Axis, upright: _Axis, label: float | None) -> str:
    """A curve with its band, its newest point, and its name at the height ``label``."""
    x, y = along.place(line.steps), upright.place(line.values)
    band = ""
    if len(x) > 1 and np.any(line.high > line.low):
        edge_x = np.concatenate([x, x[::-1]])
        edge_y = np.concatenate([upright.place(line.low), upright.place(line.high)[::-1]])
        band = f'<polygon points="{_points(edge_x, edge_y)}"/>'
    name = ""
    if label is not None:
        y_text = f'y="{label + 3.5:.1f}"'
        name = (
            f'<path d="M{x[-1]:.1f},{y[-1]:.1f} L{along.end + 7:.1f},{label:.1f}"/>'
            f'<text class="name" x="{along.end + 9:.1f}" {y_text}>{escape(line.name[:16])}</text>'
            f'<text x="{_WIDTH - 2}" {y_text} text-anchor="end">{_short(line.values[-1])}</text>'
        )
    spread = f' data-spread="{_numbers(line.spread)}"' if line.spread is not None else ""
    second = " second" if number % 16 >= 8 else ""
    return (
        f'<g class="line c{number % 8}{second}" data-name="{escape(line.name)}" '
        f'data-steps="{" ".join(f"{step:.9g}" for step in line.steps)}" '
        f'data-values="{_numbers(line.values)}"{spread}>{band}'
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


# Samples


def _samples_section(samples: Sequence[Sample]) -> Iterator[str]:
    """All samples, the newest first."""
    if not samples:
        return
    yield (
        '<section id="Samples"><h2>Samples</h2><p class="legend"><span><i></i>truth</span>'
        '<span><i class="answer"></i>answer</span><span><i class="draft"></i>draft</span>'
        "<span>the completion with the highest reward is shown first; choose another by its "
        "number</span></p>"
    )
    for number, sample in enumerate(sorted(samples, key=lambda each: each.step, reverse=True)):
        yield _sample(sample, number)
    yield "</section>"


def _sample(sample: Sample, number: int) -> str:
    """A prompt: frames, times, completions."""
    written = sorted(sample.written, key=lambda each: -math.inf if each.total is None
                     else each.total, reverse=True)  # fmt: skip
    return (
        f'<article class="sample"><h3>{escape(sample.query)}</h3>'
        f'<p class="quiet">{escape(sample.name)}, step {sample.step:,}</p>'
        f"{_strip(sample, written)}{_timeline(sample, written)}"
        f"{_table(written, f'{sample.step}-{number}')}</article>"
    )


def _rules_for_choice(number: int) -> str:
    """Style that shows the boxes of a completion while its button is chosen."""
    chosen = f".sample:has(.pick-{number}:checked)"
    return (
        f"{chosen} .of-{number} {{ display: inline; }} "
        f"{chosen} .row-{number} {{ background: var(--chosen); }}"
    )


def _strip(sample: Sample, written: Sequence[Written]) -> str:
    """Some frames with the boxes of truth and completions."""
    count = len(sample.frames)
    if not count:
        return '<p class="quiet">There are no frames.</p>'
    chosen = np.unique(np.linspace(0, count - 1, MOST_FRAMES).round().astype(int)).tolist()
    return f'<div class="strip">{"".join(_frame(sample, written, row) for row in chosen)}</div>'


def _frame(sample: Sample, written: Sequence[Written], row: int) -> str:
    """One frame; boxes are drawn over it, in its own pixels."""
    picture = sample.frames[row]
    height, width = picture.shape[:2]
    kind = ' class="pixels"' if max(height, width) <= _PIXEL_ART else ""
    boxes = _box(sample.truth, row, "true")
    for number, each in enumerate(written):
        own = _box(each.draft, row, "draft") + _box(each.final, row, "answer")
        boxes += f'<g class="of of-{number}">{own}</g>' if own else ""
    when = f"{sample.times_s[row]:.2f} s"
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="frame at {when}">'
        f'<image width="{width}" height="{height}"{kind} href="{_data_uri(picture)}"/>{boxes}</svg>'
        f"<figcaption>{when}</figcaption></figure>"
    )


def _data_uri(picture: ByteArray) -> str:
    """A picture (H, W, 3), at most :data:`LONG_SIDE` wide and high, as a data URI."""
    image = Image.fromarray(picture)
    is_small = max(image.size) <= _PIXEL_ART
    image.thumbnail((LONG_SIDE, LONG_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=is_small, quality=75)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _box(shown: Shown | None, row: int, kind: str) -> str:
    """The box of a frame with a dark rim, or nothing where there is none."""
    if shown is None or not np.isfinite(shown.boxes[row]).all():
        return ""
    (left, right), (top, bottom) = sorted(shown.boxes[row, ::2]), sorted(shown.boxes[row, 1::2])
    place = f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"'
    under = "" if kind == "draft" else f'<rect class="under" {place}/>'
    return f'{under}<rect class="{kind}" {place}/>'


def _timeline(sample: Sample, written: Sequence[Written]) -> str:
    """When: the true interval, and under it that of every completion."""
    true = None if sample.truth is None else sample.truth.interval
    ends = [each.interval.end_s for each in (sample.truth, *(w.final for w in written))
            if each is not None and each.interval is not None]  # fmt: skip
    last = float(max([*sample.times_s, *ends, 1e-3]))

    def bar(interval: Interval | None, kind: str) -> str:
        if interval is None:
            return ""
        left, right = (100 * min(max(end, 0.0), last) / last
                       for end in (interval.start_s, interval.end_s))  # fmt: skip
        return f'<i class="{kind}" style="left: {left:.2f}%; width: {right - left:.2f}%"></i>'

    def row(kind: str, name: str, bars: str, interval: Interval | None) -> str:
        return (
            f'<div class="{kind}"><span>{name}</span><span class="track">{bars}</span>'
            f"<span>{_between(interval)}</span></div>"
        )

    rows = [] if true is None else [row("row-truth", "truth", bar(true, "true"), true)]
    for number, each in enumerate(written):
        drafted = None if each.draft is None else each.draft.interval
        answered = each.final.interval
        bars = bar(true, "shade") + bar(drafted, "draft") + bar(answered, "answer")
        rows.append(row(f"row-{number}", str(number + 1), bars, answered))
    times = f'<span class="times"><span>0 s</span><span>{last:.4g} s</span></span>'
    return f'<div class="timeline">{"".join(rows)}<div><span></span>{times}</div></div>'


def _between(interval: Interval | None) -> str:
    """An interval in words."""
    return "no interval" if interval is None else f"{interval.start_s:g} to {interval.end_s:g} s"


def _table(written: Sequence[Written], sample: str) -> str:
    """The completions, each with its rewards and their reasons."""
    if not written:
        return '<p class="quiet">There are no completions.</p>'
    rewards = list(dict.fromkeys(name for each in written for name in each.scores))
    columns = [("pick-column", "show"), ("number-column", "reward"), ("number-column", "advantage"),
               ("text-column", "completion"), *(("", name) for name in rewards)]  # fmt: skip
    head = "".join(f'<th scope="col" class="{kind}">{escape(name)}</th>' for kind, name in columns)
    rows = "".join(_row(each, number, sample, rewards) for number, each in enumerate(written))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(each: Written, number: int, sample: str, rewards: Sequence[str]) -> str:
    """One completion."""
    checked = " checked" if number == 0 else ""
    pick = (
        f'<label><input type="radio" name="sample-{sample}" id="pick-{sample}-{number}" '
        f'class="pick-{number}" aria-label="show the boxes of completion {number + 1}"{checked}>'
        f"{number + 1}</label>"
    )
    total = "not judged" if each.total is None else f"<b>{_fixed(each.total)}</b>"
    advantage = "left out" if each.advantage is None else f"<b>{_fixed(each.advantage, '+')}</b>"
    notes = [
        *([] if each.finished else ["cut off at the longest length"]),
        *([] if each.problem is None else [f"cannot be read: {each.problem}"]),
    ]
    told = "".join(f'<small class="bad">{escape(note)}</small>' for note in notes)
    scores = "".join(
        f'<td data-label="{escape(name)}">{_score(each.scores.get(name))}</td>' for name in rewards
    )
    return (
        f'<tr class="row-{number}"><td data-label="show">{pick}</td>'
        f'<td data-label="reward">{total}</td><td data-label="advantage">{advantage}</td>'
        f'<td class="text" data-label="completion"><pre tabindex="0">{escape(each.text)}</pre>'
        f"{told}</td>{scores}</tr>"
    )


def _score(score: Score | None) -> str:
    """A value with its reason."""
    if score is None:
        return '<span class="quiet">not asked</span>'
    if score.failed:
        return f'<span class="bad">failed</span><small>{escape(score.reason)}</small>'
    value = "does not apply" if score.value is None else f"<b>{_fixed(score.value)}</b>"
    return f"{value}<small>{escape(score.reason)}</small>"


def _fixed(value: float, sign: str = "") -> str:
    """A number with three decimals."""
    return f"{value:{sign}z.3f}".replace("-", "−")

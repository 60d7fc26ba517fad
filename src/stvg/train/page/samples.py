"""Samples: prompts with their completions, boxes on the frames, times and rewards."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
from PIL import Image

from stvg.rewards import Score
from stvg.types import ByteArray, FloatArray, Interval

MOST_FRAMES: Final = 8
"""Frames of a sample that are shown."""
LONG_SIDE: Final = 192
"""Pictures are made smaller to this many pixels; the page scales smaller ones up."""

_PIXEL_ART = 96  # pictures up to this long side are kept without loss and scaled up unsmoothed


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


def samples_section(samples: Sequence[Sample]) -> Iterator[str]:
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


def rules_for_choice(number: int) -> str:
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

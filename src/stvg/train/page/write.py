"""The whole page: its head, then findings, curves and samples, in the template beside this file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from stvg.formats.atomic import atomic_path

from .charts import charts_section
from .curves import curves_by_topic
from .findings import findings, findings_box
from .numbers import finite, recent, short
from .samples import Sample, rules_for_choice, samples_section


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
    topics = curves_by_topic(entries)
    last_step = max((finite(entry.get("step")) or 0.0 for entry in entries), default=0.0)
    body = [
        *_head(title, entries, now, is_over),
        *_links([*topics, *(["Samples"] if samples else [])]),
        *findings_box(findings(entries, samples)),
        *(
            text
            for topic, charts in topics.items()
            for text in charts_section(topic, charts, last_step)
        ),
        *samples_section(samples),
    ]
    most = max((len(sample.written) for sample in samples), default=0)
    template = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    page = template.substitute(
        title=escape(title),
        body="\n".join(body),
        choices="\n".join(rules_for_choice(number) for number in range(most)),
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
        "mean reward": _newest(entries, "reward/total", short),
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
    values = recent(entries, key, 1)
    return form(float(values[0])) if len(values) else None


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

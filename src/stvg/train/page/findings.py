"""What keeps a run from learning, in words, from the newest lines of its log and its samples."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np

from .numbers import recent, short
from .samples import Sample, Written

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

_NUMBER = re.compile(r"(?<!\w)-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|\d+")


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


def findings_box(told: Sequence[str]) -> Iterator[str]:
    """The findings, where there are any."""
    if told:
        items = "".join(f"<li>{escape(each[0].upper() + each[1:])}</li>" for each in told)
        yield f'<section class="findings"><h2>What stands out</h2><ul>{items}</ul></section>'


def _stuck_rewards(
    entries: Sequence[Mapping[str, Any]], written: Sequence[Written]
) -> Iterator[str]:
    """Rewards that give every completion the same, and no more than 0."""
    names = {key: None for entry in entries for key in entry if key.startswith("reward/")}
    for name in (key.removeprefix("reward/") for key in names):
        values = recent(entries, f"reward/{name}", RECENT)
        if len(values) < FEWEST or np.ptp(values) > STILL or values[-1] > STILL:
            continue
        if np.any(recent(entries, f"spread/{name}", RECENT) > STILL):
            continue
        subject = "The total reward" if name == "total" else f"Reward {name}"
        scores = [each.scores[name] for each in written if name in each.scores]
        value = short(round(float(values[-1]), 2) + 0.0)
        yield (
            f"{subject} has been {value} in the last {len(values)} lines for every completion"
            f"{_most_frequent(score.reason for score in scores)}"
        )


def _high_shares(entries: Sequence[Mapping[str, Any]], written: Sequence[Written]) -> Iterator[str]:
    """Shares of groups and completions that are lost to learning."""

    def share(name: str, most: float) -> str | None:
        values = recent(entries, f"share/{name}", RECENT)
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
    """Clips that cannot be used; each is named by one line."""
    told = [entry["broken"] for entry in entries if "broken" in entry]
    broken = [pair for tasks in told for found in tasks.values() for pair in found.items()]
    if broken:
        name, why = broken[0]
        yield f"clips that could not be used: {len(broken):,}, such as {name}: {why}"


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

"""From questions to maps of where the model looks: tune, read, divide by what always draws looks.

A *branch* is one question that the model is brought to say yes to, on the video forwards or with
its steps in reverse. While nothing has been added to the visual tokens, branches of one direction
share the reading of the video; from then on each has its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from stvg.methods.dsth.config import DsthConfig
from stvg.methods.dsth.tuning import OBJECTIVES, Descent
from stvg.methods.dsth.watching import Watcher
from stvg.types import FloatArray

_LEAST = 1e-4
"""Added to the attention that is divided by, as published."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A question to tune for.

    Attributes:
        asked: The question that is to be answered with yes.
        read: The question whose attention is read afterwards.
        reverse: Whether the steps of the video stand in reverse.
    """

    asked: str
    read: str
    reverse: bool = False


@dataclass(slots=True, eq=False)
class Highlight:
    """What a branch found.

    Attributes:
        relative: Attention of each watched token, divided by that of the general question,
            (R, steps, rows, columns), steps in the order of the video; 0 where it is not finite.
        asked: Yes over no of the question before each step of tuning, logits.
        general: The same of the general question; empty where it is not asked.
        refused: Steps without a finite gradient, which were not taken.
        is_finite: Whether all of the attention was.
    """

    relative: FloatArray
    asked: list[float] = field(default_factory=list)
    general: list[float] = field(default_factory=list)
    refused: int = 0
    is_finite: bool = True


def highlight(
    watcher: Watcher, branches: Sequence[Branch], general: str, config: DsthConfig
) -> dict[Branch, Highlight]:
    """Tune and read all branches on one video.

    Args:
        watcher: The video with all questions of the branches, and the general one.
        branches: What to look for.
        general: Name of the general question.
        config: How to tune.
    """
    descents = {
        branch: Descent(watcher.nothing(), config.rate, config.average) for branch in branches
    }
    found = {branch: Highlight(np.zeros(0)) for branch in descents}
    for step in range(config.steps):
        for group in _together(descents, alike=step == 0):
            _step(watcher, group, descents, found, general, config)

    @cache
    def unshifted(reverse: bool) -> dict[str, FloatArray]:
        return watcher.attention(watcher.nothing(), [general], reverse=reverse)

    for group in _together(descents, alike=config.steps == 0):
        reverse, added = group[0].reverse, descents[group[0]].point
        names = list(dict.fromkeys(branch.read for branch in group))
        if config.shift_general or not config.steps:
            maps = watcher.attention(added, [*names, general], reverse=reverse)
        else:
            maps = watcher.attention(added, names, reverse=reverse) | unshifted(reverse)
        for branch in group:
            relative = maps[branch.read] / (maps[general] + _LEAST)
            found[branch].is_finite = bool(np.isfinite(relative).all())
            found[branch].relative = np.nan_to_num(relative[:, ::-1] if reverse else relative)
            found[branch].refused = descents[branch].refused
    return found


def choose_token(
    relative: FloatArray, token: int | str
) -> tuple[FloatArray, int | None, FloatArray]:
    """The map of the token that knows best where to look.

    Args:
        relative: Maps of the R watched tokens, (R, steps, rows, columns).
        token: ``activation``: the token with the highest peak; ``mean``: of all; a number from -R
            to R - 1: that token, -1 the last.

    Returns:
        The map (steps, rows, columns); which of the R it is, None for the mean; peaks (R,).

    Example:
        >>> maps = np.zeros((3, 1, 2, 2))
        >>> maps[:, 0, 0, 1] = 3, 7, 5
        >>> choose_token(maps, "activation")[1]
        1
    """
    peaks = relative.reshape(len(relative), -1).max(1)
    if token == "mean":  # noqa: S105
        return relative.mean(0), None, peaks
    chosen = int(peaks.argmax()) if isinstance(token, str) else token % len(relative)
    return relative[chosen], chosen, peaks


def likeness(first: FloatArray, second: FloatArray) -> float:
    """Cosine of the angle between two maps of one shape, in [-1, 1]; 0 for an empty map."""
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / length if length else 0.0


def _together(branches: Iterable[Branch], *, alike: bool) -> list[list[Branch]]:
    """Branches that see the same tokens: all of a direction, or each by itself."""
    if not alike:
        return [[branch] for branch in branches]
    groups: dict[bool, list[Branch]] = {}
    for branch in branches:
        groups.setdefault(branch.reverse, []).append(branch)
    return list(groups.values())


def _step(
    watcher: Watcher,
    group: Sequence[Branch],
    descents: dict[Branch, Descent],
    found: dict[Branch, Highlight],
    general: str,
    config: DsthConfig,
) -> None:
    """One step of tuning for branches that see the same tokens."""
    import torch

    with torch.enable_grad():
        point = descents[group[0]].point.detach().requires_grad_()
        names = list(dict.fromkeys(branch.asked for branch in group))
        further = [general] if config.objective == "contrast" else []
        values = watcher.yes_over_no(point, [*names, *further], reverse=group[0].reverse)
        for number, branch in enumerate(group):
            loss = OBJECTIVES[config.objective](values[branch.asked], values.get(general))
            (gradient,) = torch.autograd.grad(loss, point, retain_graph=number + 1 < len(group))
            descents[branch].step(gradient)
            found[branch].asked.append(values[branch.asked].item())
            found[branch].general += [values[name].item() for name in further]

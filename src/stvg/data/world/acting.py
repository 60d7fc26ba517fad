"""Objects of a clip and what they do: places, sizes and turns frame by frame.

Objects are made one after the other; approaching, passing and following look at those made before.
An action that does not fit where an object is gives way to another one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from stvg.data.world.parts import EDGE, MOVES, TOGETHER, UNITS, Event, Figure, Level
from stvg.data.world.sprites import KINDS, TURNABLE
from stvg.types import FloatArray


def make_figure(dice: random.Random, level: Level, before: Sequence[Figure]) -> Figure:
    """An object with events; most resemble the first one in something."""
    kind, colour = dice.choice(list(KINDS)), dice.choice(level.colours)
    if before and dice.random() < 0.7:
        shared = dice.choice(("kind", "colour", "both"))
        kind = before[0].kind if shared != "colour" else kind
        colour = before[0].colour if shared != "kind" else colour
    count = level.frames
    size = dice.uniform(11, 17)
    place = _free_place(dice, size, before)
    figure = Figure(
        kind, colour, np.tile(place, (count, 1)), np.full(count, size),
        np.zeros(count, np.int64), np.ones(count, bool), np.ones(count, bool),
    )  # fmt: skip
    wanted = [event.action for event in before[0].events] if before else []
    for start, end in _windows(dice, count, dice.randint(*level.events)):
        busy_until = figure.events[-1].end if figure.events else 0
        if start < busy_until or not figure.present[start:].any():
            continue  # still following somebody, or gone
        actions = list(level.actions)
        dice.shuffle(actions)
        together = [action for action in TOGETHER if action in actions and before]
        if together and dice.random() < 0.4:
            dice.shuffle(together)
            actions = together + actions
        elif wanted and dice.random() < 0.5:
            actions.insert(0, dice.choice(wanted))
        for action in actions:
            event = _act(dice, figure, action, start, end, before)
            if event is not None:
                figure.events.append(event)
                break
    return figure


def _free_place(dice: random.Random, size: float, before: Sequence[Figure]) -> FloatArray:
    """A place inside the picture that is apart from where the others begin, where one is found."""
    for _ in range(12):
        place = np.array([dice.uniform(size, UNITS - size), dice.uniform(size, UNITS - size)])
        if all(
            np.abs(place - other.centres[0]).max() > (size + other.sizes[0]) / 2 for other in before
        ):
            break
    return place


def _windows(dice: random.Random, frames: int, count: int) -> list[tuple[int, int]]:
    """Disjoint stretches of 4 to 8 frames with at least a frame between them, in order."""
    lengths = [dice.randint(4, 8) for _ in range(count)]
    while sum(lengths) + count + 1 > frames:
        lengths.pop()
    free = frames - sum(lengths) - (len(lengths) - 1)
    cuts = sorted(dice.randint(0, free) for _ in lengths)
    windows, used = [], 0
    for cut, length in zip(cuts, lengths, strict=True):
        windows.append((cut + used, cut + used + length))
        used += length + 1
    return windows


def _act(
    dice: random.Random, figure: Figure, action: str, start: int, end: int,
    before: Sequence[Figure],
) -> Event | None:  # fmt: skip
    """Let an object act, or None when the action does not fit there."""
    if action in MOVES:
        speed = dice.uniform(2.0, 3.2)
        goal = figure.centres[start] + np.array(MOVES[action]) * speed * (end - start)
        done = _go(figure, goal, start, end)
    elif action in TOGETHER:
        return _act_together(dice, figure, action, start, end, before)
    elif action in EDGE:
        done = _cross_edge(figure, action, start, end)
    else:
        done = _change(figure, action, start, end)
    return Event(action, start, end) if done else None


def _go(figure: Figure, goal: FloatArray, start: int, end: int) -> bool:
    """Go evenly to a place inside the picture and stay there; tells whether it fits."""
    half = figure.sizes[start] / 2
    if (goal < half).any() or (goal > UNITS - half).any():
        return False
    way = np.clip((np.arange(len(figure.centres)) - start + 1) / (end - start), 0, 1)[:, None]
    figure.centres += way * (goal - figure.centres[start])
    return True


def _change(figure: Figure, action: str, start: int, end: int) -> bool:
    """Grow, shrink, spin or blink on the spot."""
    count = len(figure.sizes)
    if action in ("grow", "shrink"):
        factor = 1.7 if action == "grow" else 1 / 1.7
        size, here = figure.sizes[start] * factor, figure.centres[start]
        if not 7 <= size <= 26 or (here < size / 2).any() or (here > UNITS - size / 2).any():
            return False
        way = np.clip((np.arange(count) - start + 1) / (end - start), 0, 1)
        figure.sizes *= factor**way
    elif action == "spin":
        if figure.kind not in TURNABLE:
            return False
        figure.turns[start:end] += np.arange(1, end - start + 1)
        figure.turns[end:] += end - start
    else:
        figure.shown[start:end] &= (np.arange(end - start) % 2) == 1
    return True


def _cross_edge(figure: Figure, action: str, start: int, end: int) -> bool:
    """Come in from the nearest side, or go out to it."""
    entering = action == "enter"
    if entering and (figure.events or start < 2):
        return False
    here = figure.centres[start].copy()
    side = int(np.argmin([here[0], UNITS - here[0]]))
    half = figure.sizes[start] / 2
    outside = np.array([-half if side == 0 else UNITS + half, here[1]])
    share = np.linspace(0, 1, end - start + 1)[:, None]
    if entering:
        figure.centres[start:end] = (outside + share * (here - outside))[1:]
        figure.present[:start] = False
    else:
        figure.centres[start:end] = (here + share * (outside - here))[:-1]
        figure.centres[end:] = outside
        figure.present[end:] = False
    return True


def _act_together(
    dice: random.Random, figure: Figure, action: str, start: int, end: int,
    before: Sequence[Figure],
) -> Event | None:  # fmt: skip
    """Approach, pass or follow an object that was made before."""
    numbers = [n for n, other in enumerate(before) if other.present[start:end].all()]
    dice.shuffle(numbers)
    for number in numbers:
        other = before[number]
        if action == "follow":
            event = _follow(figure, other, number)
            if event is not None:
                return event
        elif np.abs(np.diff(other.centres[start:end], axis=0)).max() < 0.1:
            for _ in range(1 if figure.events else 12):  # a first event may choose its place
                if _go_to(figure, other, action, start, end):
                    return Event(action, start, end, number)
                angle, there = dice.uniform(0, 2 * np.pi), other.centres[end - 1]
                way = np.array([np.cos(angle), np.sin(angle)])
                apart = (figure.sizes[0] + other.sizes[end - 1]) / 2 + dice.uniform(8.5, 14)
                half = figure.sizes[0] / 2
                if not figure.events:
                    figure.centres[:] = np.clip(there - way * apart, half, UNITS - half)
    return None


def _go_to(figure: Figure, other: Figure, action: str, start: int, end: int) -> bool:
    """Go up to a resting object, or past it to its other side; tells whether it fits."""
    here, there = figure.centres[start], other.centres[end - 1]
    apart = float(np.linalg.norm(there - here))
    touch = (figure.sizes[start] + other.sizes[end - 1]) / 2
    goal = here + (there - here) * (1 - (touch + 1) / max(apart, 1e-6))
    if action == "pass":  # beside it, half a size off its centre, and as far again
        across = np.array([there[1] - here[1], here[0] - there[0]]) / max(apart, 1e-6)
        goal = here + 2 * (there - here) + across * touch * 0.6
    speed = float(np.linalg.norm(goal - here)) / (end - start)
    return apart >= touch + 8 and 1.5 <= speed <= 10 and _go(figure, goal, start, end)


def _follow(figure: Figure, other: Figure, number: int) -> Event | None:
    """Go behind an object while it moves; only as the first thing an object does."""
    moves = [event for event in other.events if event.action in MOVES]
    if figure.events or not moves or moves[0].start == 0:
        return None
    move = moves[0]
    direction = np.array(MOVES[move.action])
    behind = (figure.sizes[0] + other.sizes[move.start]) / 2 + 2
    path = other.centres[max(move.start - 1, 0)] - direction * behind
    half = figure.sizes[0] / 2
    if (path < half).any() or (path > UNITS - half).any():
        return None
    figure.centres[:] = path
    shift = other.centres[move.end - 1] - other.centres[max(move.start - 1, 0)]
    _go(figure, path + shift, move.start, move.end)
    return Event("follow", move.start, move.end, number)

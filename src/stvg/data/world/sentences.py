"""Sentences on a clip that have exactly one answer, and whether the answer can be seen."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np

from stvg.data.world.parts import EDGE, MOVES, UNITS, Event, Figure, Sentence
from stvg.types import FloatArray

MOST_HIDDEN = 0.4
"""Share of an answer that may be hidden on average."""
# What is said of each action: third person, with {} for another object.
PHRASES: dict[str, tuple[str, ...]] = {
    "left": ("moves to the left", "goes left"),
    "right": ("moves to the right", "goes right"),
    "up": ("moves up", "rises"),
    "down": ("moves down", "sinks"),
    "grow": ("grows", "gets bigger"),
    "shrink": ("shrinks", "gets smaller"),
    "spin": ("spins", "turns around"),
    "blink": ("blinks", "flashes"),
    "approach": ("approaches {}", "comes up to {}"),
    "pass": ("passes {}", "moves past {}"),
    "follow": ("follows {}", "goes after {}"),
    "enter": ("enters", "comes in"),
    "leave": ("leaves", "goes out"),
}
_QUESTIONS = {"approach": "approach", "pass": "pass", "follow": "follow"}


def sentences_of(dice: random.Random, figures: Sequence[Figure]) -> Iterator[Sentence]:
    """Queries that have exactly one answer, at most two for each event."""
    happened = [(n, event) for n, figure in enumerate(figures) for event in figure.events]
    for number, event in happened:
        rivals = [
            figures[n]
            for n, other in happened
            if (n, other) != (number, event) and event.action in _looks_like(figures[n], other)
        ]
        name = _name(dice, figures[number], rivals)
        whom = None if event.other is None else _full_name(dice, figures, event.other)
        if name is None or (event.other is not None and whom is None):
            continue
        phrase = dice.choice(PHRASES[event.action]).format(whom)
        span = (event.start, event.end, event.action)
        yield Sentence(f"the {name} {phrase}", "declarative", number, *span)
        if event.other is not None:
            text = f"what does the {name} {_QUESTIONS[event.action]}?"
            yield Sentence(text, "interrogative", event.other, *span)
        elif not rivals:
            yield Sentence(f"what {phrase}?", "interrogative", number, *span)
        elif name.split()[-1] == figures[number].kind:
            yield Sentence(f"which {name} {phrase}?", "interrogative", number, *span)


def _looks_like(figure: Figure, event: Event) -> set[str]:
    """The actions that a viewer may take an event for: who follows to the left moves left too."""
    way = figure.centres[event.end - 1] - figure.centres[max(event.start - 1, 0)]
    moved = {name for name, step in MOVES.items() if float(way @ np.array(step)) > 4}
    return moved | {event.action}


def _name(dice: random.Random, figure: Figure, rivals: Sequence[Figure]) -> str | None:
    """What to call an object so that no rival is meant; None when nothing tells them apart."""
    names = {
        f"{figure.colour} {figure.kind}": ("colour", "kind"),
        figure.kind: ("kind",),
        f"{figure.colour} thing": ("colour",),
    }
    fitting = [
        name
        for name, parts in names.items()
        if not any(all(getattr(r, p) == getattr(figure, p) for p in parts) for r in rivals)
    ]
    if not fitting:
        return None
    short = [name for name in fitting if " " not in name or name.endswith("thing")]
    return dice.choice(short) if short and dice.random() < 0.4 else fitting[0]


def _full_name(dice: random.Random, figures: Sequence[Figure], number: int) -> str | None:
    """``the red ball`` where no other object in the clip is called so."""
    del dice
    figure = figures[number]
    alike = [n for n, f in enumerate(figures) if (f.kind, f.colour) == (figure.kind, figure.colour)]
    return f"the {figure.colour} {figure.kind}" if alike == [number] else None


def is_in_view(sentence: Sentence, figures: Sequence[Figure], camera: FloatArray) -> bool:
    """Whether the middle half of the answer stays in the picture; who crosses its edge need not."""
    if sentence.action in EDGE:
        return not camera.any()
    span = slice(sentence.start, sentence.end)
    figure = figures[sentence.figure]
    half = figure.sizes[span, None] / 4
    place = figure.centres[span] - camera[span]
    return bool((place >= half).all() and (place <= UNITS - half).all())


def hidden_share(
    sentence: Sentence, figures: Sequence[Figure], screens: Sequence[tuple[float, float]]
) -> float:
    """Share of the answer that figures drawn later and screens hide, on average over its frames.

    Figures count as squares, so the share is an upper bound for all but overlapping covers.
    """
    span = slice(sentence.start, sentence.end)
    figure = figures[sentence.figure]
    own = _square(figure, span)
    hidden = np.zeros(sentence.end - sentence.start)
    for later in figures[sentence.figure + 1 :]:
        hidden += _overlap(own, _square(later, span)) * later.present[span]
    for x1, x2 in screens:
        hidden += _overlap(own, np.broadcast_to([x1, 0.0, x2, UNITS], own.shape))
    return float(np.minimum(hidden / figure.sizes[span] ** 2, 1).mean())


def _square(figure: Figure, span: slice) -> FloatArray:
    """Corners of a figure in units, (T, 4)."""
    half = figure.sizes[span, None] / 2
    return np.concatenate([figure.centres[span] - half, figure.centres[span] + half], axis=1)


def _overlap(a: FloatArray, b: FloatArray) -> FloatArray:
    """Area that two rows of boxes share, (T,)."""
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    return np.asarray(np.maximum(sides, 0).prod(axis=1))

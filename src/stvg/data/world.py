"""The procedural world: short clips of moving figures with exact tubes, masks and sentences.

A clip is planned first (:func:`plan_clip`: who is where when, in a picture of 64 x 64 units) and
drawn afterwards at any size (:func:`draw_clip`), so that training sees small pictures made in
memory and files for people are large and crisp. Objects share colour, kind or action with others at
other times, so a sentence needs both appearance and time. It is a place to compare methods at equal
budget, not a substitute for natural video.

Randomness comes from the text ``split/seed/level/index`` alone: the same words give the same clip
everywhere. The seed of the test split is fixed here and used for nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stvg.data.sprites import COLOURS, EASY_COLOURS, KINDS, TURNABLE, sprite
from stvg.errors import UsageError
from stvg.types import BoolArray, ByteArray, FloatArray

UNITS = 64
"""Side of the picture in which clips are planned."""
FPS = 8
TEST_SEED = 20_417
Split = Literal["train", "val", "test"]
LevelName = Literal["easy", "standard", "hard"]


@dataclass(frozen=True, slots=True)
class Level:
    """How hard the clips are.

    Attributes:
        frames: Length of a clip.
        objects: Fewest and most objects.
        events: Fewest and most events of an object.
        colours: Words in use.
        actions: Actions in use.
        screens: Most grey screens that hide what passes behind them.
        pan: Fastest camera, in units a frame.
    """

    frames: int
    objects: tuple[int, int]
    events: tuple[int, int]
    colours: tuple[str, ...]
    actions: tuple[str, ...]
    screens: int = 0
    pan: float = 0.0


_MOST_HIDDEN = 0.4  # share of an answer that may be hidden on average
_MOVES = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_ALONE = (*_MOVES, "grow", "shrink", "spin", "blink")
TOGETHER = ("approach", "pass", "follow")
_EDGE = ("enter", "leave")
LEVELS: dict[str, Level] = {
    "easy": Level(16, (2, 3), (1, 1), EASY_COLOURS, _ALONE),
    "standard": Level(16, (2, 4), (1, 2), EASY_COLOURS, (*_ALONE, *TOGETHER, *_EDGE), screens=1),
    "hard": Level(
        32, (4, 6), (1, 3), tuple(COLOURS), (*_ALONE, *TOGETHER, *_EDGE), screens=2, pan=0.5
    ),
}

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


@dataclass(frozen=True, slots=True)
class Event:
    """An action of an object in frames ``[start, end)``; ``other`` is whom it concerns."""

    action: str
    start: int
    end: int
    other: int | None = None


@dataclass(slots=True, eq=False)
class Figure:
    """An object of a planned clip.

    Attributes:
        kind: One of ``sprites.KINDS``.
        colour: One of ``sprites.COLOURS``.
        centres: Middle in units, (T, 2).
        sizes: Side in units, (T,).
        turns: Quarter turns, (T,) int.
        present: Whether it is there at all, (T,) bool.
        shown: Whether it is drawn (blinking things are not, every other frame), (T,) bool.
        events: What it does, in order of time.
    """

    kind: str
    colour: str
    centres: FloatArray
    sizes: FloatArray
    turns: NDArray[np.int64]
    present: BoolArray
    shown: BoolArray
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A query on a clip with its answer: figure number and frames ``[start, end)``."""

    text: str
    form: Literal["declarative", "interrogative"]
    figure: int
    start: int
    end: int
    action: str


@dataclass(frozen=True, slots=True, eq=False)
class ClipPlan:
    """Everything about a clip but its pixels.

    Attributes:
        frames: Number of frames T.
        figures: Objects; later ones are drawn over earlier ones.
        screens: Grey screens ``(x1, x2)`` in units, from top to bottom, over everything.
        camera: Shift of the picture in units, (T, 2); 0 without a pan.
        background: Number of the background and its offset, ``(number, x, y)``.
        sentences: Queries, each with exactly one answer.
    """

    frames: int
    figures: tuple[Figure, ...]
    screens: tuple[tuple[float, float], ...]
    camera: FloatArray
    background: tuple[int, int, int]
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True, eq=False)
class DrawnClip:
    """A clip in pixels.

    Attributes:
        frames: RGB, (T, side, side, 3) uint8.
        boxes: Full extent of each figure clipped to the picture, xyxy pixels, (N, T, 4); NaN where
            it is not in the picture. What hides behind others keeps its box.
        masks: Visible pixels, (N, T, side, side) bool, or None when not asked for.
    """

    frames: ByteArray
    boxes: FloatArray
    masks: BoolArray | None


def plan_clip(
    index: int, *, split: Split = "train", level: LevelName = "standard", seed: int = 0
) -> ClipPlan:
    """Plan clip ``index`` of a split; it has at least one sentence.

    Args:
        index: Number of the clip, from 0.
        split: ``train``, ``val`` or ``test``; the test split ignores ``seed``.
        level: One of :data:`LEVELS`.
        seed: Another seed, other clips.

    Raises:
        UsageError: If split or level are unknown.
    """
    if split not in ("train", "val", "test") or level not in LEVELS:
        raise UsageError(
            f"expected a split train, val or test and a level {', '.join(LEVELS)}, found "
            f"{split!r} and {level!r}"
        )
    chosen = TEST_SEED if split == "test" else seed
    dice = random.Random(f"{split}/{chosen}/{level}/{index}")  # noqa: S311
    while True:
        plan = _try_plan(dice, LEVELS[level])
        if plan.sentences:
            return plan


def _try_plan(dice: random.Random, level: Level) -> ClipPlan:
    figures: list[Figure] = []
    for _ in range(dice.randint(*level.objects)):
        figures.append(_make_figure(dice, level, figures))
    screens = []
    for _ in range(dice.randint(0, level.screens)):
        left = dice.uniform(8, UNITS - 16)
        screens.append((left, left + dice.uniform(4, 7)))
    camera = np.zeros((level.frames, 2))
    if level.pan:
        speed = np.array([dice.uniform(-level.pan, level.pan), 0.0])
        middle = (level.frames - 1) / 2
        camera = (np.arange(level.frames)[:, None] - middle) * speed
    background = (dice.randrange(_BACKGROUNDS), dice.randrange(UNITS), dice.randrange(UNITS))
    sentences = tuple(
        sentence
        for sentence in _sentences(dice, figures)
        if _in_view(sentence, figures, camera)
        and _hidden_share(sentence, figures, screens) <= _MOST_HIDDEN
    )
    return ClipPlan(level.frames, tuple(figures), tuple(screens), camera, background, sentences)


def _in_view(sentence: Sentence, figures: Sequence[Figure], camera: FloatArray) -> bool:
    """Whether the middle half of the answer stays in the picture; who crosses its edge need not."""
    if sentence.action in _EDGE:
        return not camera.any()
    span = slice(sentence.start, sentence.end)
    figure = figures[sentence.figure]
    half = figure.sizes[span, None] / 4
    place = figure.centres[span] - camera[span]
    return bool((place >= half).all() and (place <= UNITS - half).all())


def _hidden_share(
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


# ---- objects and their events ------------------------------------------------------------------


def _make_figure(dice: random.Random, level: Level, before: Sequence[Figure]) -> Figure:
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
    if action in _MOVES:
        speed = dice.uniform(2.0, 3.2)
        goal = figure.centres[start] + np.array(_MOVES[action]) * speed * (end - start)
        done = _go(figure, goal, start, end)
    elif action in TOGETHER:
        return _act_together(dice, figure, action, start, end, before)
    elif action in _EDGE:
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
    moves = [event for event in other.events if event.action in _MOVES]
    if figure.events or not moves or moves[0].start == 0:
        return None
    move = moves[0]
    direction = np.array(_MOVES[move.action])
    behind = (figure.sizes[0] + other.sizes[move.start]) / 2 + 2
    path = other.centres[max(move.start - 1, 0)] - direction * behind
    half = figure.sizes[0] / 2
    if (path < half).any() or (path > UNITS - half).any():
        return None
    figure.centres[:] = path
    shift = other.centres[move.end - 1] - other.centres[max(move.start - 1, 0)]
    _go(figure, path + shift, move.start, move.end)
    return Event("follow", move.start, move.end, number)


# ---- sentences ---------------------------------------------------------------------------------


def _sentences(dice: random.Random, figures: Sequence[Figure]) -> Iterator[Sentence]:
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
    moved = {name for name, step in _MOVES.items() if float(way @ np.array(step)) > 4}
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


# ---- pixels ------------------------------------------------------------------------------------

_BACKGROUNDS = 48


@lru_cache(maxsize=2)
def _backgrounds(side: int) -> ByteArray:
    """Soft textures of little colour, (48, 2 side, 2 side, 3) uint8, the same at every size."""
    from PIL import Image

    source = np.random.default_rng(7)
    made = []
    for _ in range(_BACKGROUNDS):
        base = source.uniform(95, 175) + source.uniform(-14, 14, 3)
        coarse = source.normal(0, 14, (10, 10, 1)) + source.normal(0, 5, (10, 10, 3))
        soft = np.clip(base + coarse, 0, 255).astype(np.uint8)
        grown = Image.fromarray(soft).resize((2 * side, 2 * side), Image.Resampling.BICUBIC)
        made.append(np.asarray(grown))
    return np.stack(made)


def draw_clip(plan: ClipPlan, side: int = UNITS, *, masks: bool = False) -> DrawnClip:
    """Draw a planned clip.

    Args:
        plan: The clip.
        side: Width and height in pixels.
        masks: Whether to give visible masks too.
    """
    scale = side / UNITS
    number, x, y = plan.background
    canvas = _backgrounds(side)[number]
    shift = np.round(plan.camera * scale).astype(int)  # (T, 2)
    frames = np.empty((plan.frames, side, side, 3), np.uint8)
    boxes = np.full((len(plan.figures), plan.frames, 4), np.nan)
    visible = np.zeros((len(plan.figures), plan.frames, side, side), bool) if masks else None
    top = int(np.clip(y * scale, 0, side))
    for t in range(plan.frames):
        left = int(np.clip(x * scale + shift[t, 0], 0, side))
        frames[t] = canvas[top : top + side, left : left + side]
        for n, figure in enumerate(plan.figures):
            if figure.present[t]:
                cover = visible[:, t] if visible is not None else None
                boxes[n, t] = _draw_figure(frames[t], figure, t, n, scale, shift[t], cover)
        for x1, x2 in plan.screens:
            first, end = (round(edge * scale) - shift[t, 0] for edge in (x1, x2))
            if end > 0:
                frames[t, :, max(first, 0) : end] = (72, 74, 80)
                if visible is not None:
                    visible[:, t, :, max(first, 0) : end] = False
    return DrawnClip(frames, boxes, visible)


def _draw_figure(
    frame: ByteArray, figure: Figure, t: int, number: int, scale: float,
    shift: NDArray[np.int64], visible: BoolArray | None,
) -> FloatArray:  # fmt: skip
    """Draw one figure; gives its box (4,), NaN when it lies outside the picture."""
    side = len(frame)
    size = max(int(figure.sizes[t] * scale + 0.5), 2)
    x1 = int(figure.centres[t, 0] * scale - size / 2 + 0.5) - int(shift[0])
    y1 = int(figure.centres[t, 1] * scale - size / 2 + 0.5) - int(shift[1])
    turns = int(figure.turns[t]) % 4
    picture, coverage = sprite(figure.kind, figure.colour, size, turns)
    a, b = max(x1, 0), max(y1, 0)
    c, d = min(x1 + size, side), min(y1 + size, side)
    if c <= a or d <= b:
        return np.full(4, np.nan)
    part = (slice(b - y1, d - y1), slice(a - x1, c - x1))
    if figure.shown[t]:
        under = frame[b:d, a:c]
        under[:] = ((under * (256 - coverage[part])) >> 8).astype(np.uint8) + picture[part]
        if visible is not None:
            solid = coverage[part][..., 0] >= 128
            visible[:, b:d, a:c] &= ~solid
            visible[number, b:d, a:c] |= solid
    left, up, right, down = _extent(figure.kind, size, turns)
    whole = np.array([x1 + left, y1 + up, x1 + right, y1 + down], float)
    inside = np.clip(whole, 0, side)
    return inside if (inside[2:] > inside[:2]).all() else np.full(4, np.nan)


@lru_cache(maxsize=4096)
def _extent(kind: str, size: int, turns: int) -> tuple[int, int, int, int]:
    """Tight box of a figure's solid pixels within its picture: left, top, right, bottom."""
    _, coverage = sprite(kind, "red", size, turns)
    solid = coverage[..., 0] >= 128
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

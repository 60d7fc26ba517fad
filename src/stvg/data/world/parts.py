"""What a clip of the world is made of: levels, objects, events, sentences; no drawing, no dice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stvg.data.world.sprites import COLOURS, EASY_COLOURS
from stvg.types import BoolArray, FloatArray

UNITS = 64
"""Side of the picture in which clips are planned."""
FPS = 8
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


MOVES = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_ALONE = (*MOVES, "grow", "shrink", "spin", "blink")
TOGETHER = ("approach", "pass", "follow")
EDGE = ("enter", "leave")
LEVELS: dict[str, Level] = {
    "easy": Level(16, (2, 3), (1, 1), EASY_COLOURS, _ALONE),
    "standard": Level(16, (2, 4), (1, 2), EASY_COLOURS, (*_ALONE, *TOGETHER, *EDGE), screens=1),
    "hard": Level(
        32, (4, 6), (1, 3), tuple(COLOURS), (*_ALONE, *TOGETHER, *EDGE), screens=2, pan=0.5
    ),
}


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

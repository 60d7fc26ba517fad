"""Scenes made by hand for the tests of methods that look at objects."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from stvg.perception.appearance import COLOURS
from stvg.perception.coco import COCO_CLASSES
from stvg.types import Clip, Scene, SceneObject, Track, VideoMeta

FPS, SECONDS, WIDTH, HEIGHT = 20, 6, 400, 300
FRAMES = FPS * SECONDS

Place = Callable[[float], tuple[float, float]]


def meta() -> VideoMeta:
    return VideoMeta("made.mp4", WIDTH, HEIGHT, Fraction(FPS), float(SECONDS), FRAMES)


def shares(**colours: float) -> np.ndarray:
    """One row of colour shares; the rest is grey."""
    row = np.zeros(len(COLOURS))
    for name, share in colours.items():
        row[COLOURS.index(name)] = share
    row[COLOURS.index("grey")] += 1 - row.sum()
    return row


def thing(
    number: int,
    label: str,
    place: Place,
    *,
    size: tuple[float, float] = (40, 80),
    seen: Callable[[float], bool] = lambda _: True,
    height: Callable[[float], float] | None = None,
    colours: dict[str, dict[str, float]] | None = None,
    labels: dict[str, float] | None = None,
    score: float = 0.8,
) -> SceneObject:
    """An object whose lower middle is at ``place(time)`` in pixels, where ``seen(time)``."""
    frames, boxes = [], []
    for frame in range(FRAMES):
        time_s = frame / FPS
        if seen(time_s):
            x, y = place(time_s)
            tall = height(time_s) if height else size[1]
            frames.append(frame)
            boxes.append([x - size[0] / 2, y - tall, x + size[0] / 2, y])
    parts = colours or {}
    table = np.stack([shares(**parts.get(part, {})) for part in ("whole", "upper", "lower")])
    track = Track(number, label, np.array(frames), np.array(boxes), np.full(len(frames), score))
    return SceneObject(track, labels or {label: 1.0}, table)


def scene(*objects: SceneObject, classes: tuple[str, ...] = COCO_CLASSES) -> Scene:
    return Scene(meta(), objects, "made", np.arange(FRAMES), classes)


def clip(made: Scene) -> Clip:
    return Clip(
        made.video, np.zeros((0, HEIGHT, WIDTH, 3), np.uint8), np.zeros(0),
        np.zeros(0, np.int64), made,
    )  # fmt: skip


def rest(x: float, y: float = 250) -> Place:
    """Stays at one place."""
    return lambda _: (x, y)


def move(start: float, x: float, to: float, until: float, y: float = 250) -> Place:
    """At ``x`` until ``start`` seconds, then evenly to ``to`` at ``until`` seconds."""
    return lambda t: (float(np.interp(t, [start, until], [x, to])), y)

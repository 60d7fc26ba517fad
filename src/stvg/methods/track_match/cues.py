"""What a track says about each cue of the sentence: numbers in [0, 1], some over time.

Every object is brought to one regular grid of times (:class:`Path`), smoothed, and its speeds are
taken in units that do not depend on the size of the video: picture widths, picture heights or own
sizes a second. A cue over time is an array over that grid and zero where the object is not seen.
The constants are ours: what a person would call fast, still or near in an ordinary clip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from stvg.geometry.boxes import interpolate_boxes
from stvg.methods.track_match.language import Colour, Relation, Thing
from stvg.perception.appearance import COLOURS, PARTS
from stvg.types import BoolArray, FloatArray, Scene, SceneObject

GRID_HZ = 10.0
_SMOOTH_S = 0.15  # standard deviation of the smoothing of boxes
_BLINK_S = 0.4  # an absence shorter than this is a blink of the detector,
_BLINK_LOOKS = 1.5  # and so is one shorter than so many steps between looked-at frames
_EVENT_S = 1.0  # how long entering and leaving last


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """An object on the regular time grid.

    Attributes:
        times_s: The grid, (M,).
        seen: Whether the object is in view, (M,) bool; blinks count as in view.
        boxes: Smoothed ``xyxy`` pixels, (M, 4); where not seen the nearest or interpolated box.
        picture: Width and height of the frame in pixels.
        blink_s: Absences up to this are blinks, seconds.
        source: The object.
    """

    times_s: FloatArray
    seen: BoolArray
    boxes: FloatArray
    picture: tuple[int, int]
    blink_s: float
    source: SceneObject

    @property
    def centres(self) -> FloatArray:
        """Middle of each box in pixels, (M, 2)."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    @property
    def sides(self) -> FloatArray:
        """Width and height of each box in pixels, at least 1, (M, 2)."""
        return np.maximum(self.boxes[:, 2:] - self.boxes[:, :2], 1.0)

    @property
    def sizes(self) -> FloatArray:
        """Square root of each box's area in pixels, (M,)."""
        return np.asarray(np.sqrt(self.sides.prod(axis=1)))

    def rate(self, values: FloatArray) -> FloatArray:
        """Change per second of a quantity on the grid, (M,) or (M, 2)."""
        if len(self.times_s) < 2:
            return np.zeros_like(values)
        return np.asarray(np.gradient(values, self.times_s, axis=0))


def make_path(item: SceneObject, scene: Scene) -> Path:
    """Bring an object of a scene to the grid."""
    meta, blink_s = scene.video, blink_of(scene)
    count = max(int(np.ceil(meta.duration_s * GRID_HZ)), 1)
    grid = (np.arange(count) + 0.5) * meta.duration_s / count
    times, boxes = item.track.times_s(meta), item.track.boxes
    seen = np.zeros(count, bool)
    for first, last in appearances(times, blink_s):
        seen |= (grid >= times[first] - 0.5 / GRID_HZ) & (grid <= times[last] + 0.5 / GRID_HZ)
    smooth = _smooth(interpolate_boxes(times, boxes, grid), seen)
    return Path(grid, seen, smooth, (meta.width, meta.height), blink_s, item)


def blink_of(scene: Scene) -> float:
    """Seconds up to which an absence is a blink; more where few frames were looked at."""
    steps = np.diff(scene.video.times_s[scene.frames_seen])
    return max(_BLINK_S, _BLINK_LOOKS * float(np.median(steps))) if len(steps) else _BLINK_S


def appearances(times_s: FloatArray, blink_s: float) -> list[tuple[int, int]]:
    """First and last index of each uninterrupted stretch of sightings (N,), blinks ignored."""
    breaks = np.flatnonzero(np.diff(times_s) > blink_s)
    firsts = [0, *(int(b) + 1 for b in breaks)]
    lasts = [*(int(b) for b in breaks), len(times_s) - 1]
    return list(zip(firsts, lasts, strict=True))


def _smooth(boxes: FloatArray, seen: BoolArray) -> FloatArray:
    """Gaussian smoothing along time within each stretch in view, (M, 4) -> (M, 4)."""
    radius = int(np.ceil(3 * _SMOOTH_S * GRID_HZ))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / (_SMOOTH_S * GRID_HZ)) ** 2)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(int)))
    result = boxes.copy()
    for first, end in edges.reshape(-1, 2):
        padded = np.pad(boxes[first:end], ((radius, radius), (0, 0)), mode="edge")
        for side in range(4):
            result[first:end, side] = np.convolve(padded[:, side], kernel / kernel.sum(), "valid")
    return result


def _ramp(values: FloatArray, full: float) -> FloatArray:
    """0 at or below 0, 1 at ``full``, linear between."""
    return np.asarray(np.clip(values / full, 0.0, 1.0))


def _speed(path: Path) -> FloatArray:
    """Own sizes a second, (M,)."""
    return np.asarray(np.linalg.norm(path.rate(path.centres), axis=1) / path.sizes)


def _still(path: Path) -> FloatArray:
    return 1 - _ramp(_speed(path), 0.35)


def _stop(path: Path) -> FloatArray:
    """Still now, moving within the last second."""
    back = max(int(GRID_HZ), 1)
    moved = _ramp(_speed(path), 0.6)
    recent = np.array([moved[max(0, i - back) : i + 1].max() for i in range(len(moved))])
    return np.asarray(_still(path) * recent)


def _jump(path: Path) -> FloatArray:
    """Up and down again: the smaller of the lower edge's two ways within 1.2 s, in heights."""
    half = round(0.6 * GRID_HZ)
    steps = np.diff(path.boxes[:, 3], prepend=path.boxes[:1, 3])
    steps[1:] *= path.seen[1:] & path.seen[:-1]
    kernel = np.ones(2 * half + 1)
    down = np.convolve(np.maximum(steps, 0), kernel, "same")
    up = np.convolve(np.maximum(-steps, 0), kernel, "same")
    return _ramp(np.minimum(up, down) / np.median(path.sides[:, 1]) - 0.03, 0.10)


def _lowered(path: Path) -> FloatArray:
    """Shorter than this object usually is at its tallest: crouching, bending, sitting down."""
    heights = path.sides[:, 1]
    usual = np.percentile(heights[path.seen], 90) if path.seen.any() else heights.max()
    return _ramp(0.88 - heights / usual, 0.25)


def _rise(path: Path) -> FloatArray:
    """Upper edge going up, in picture heights a second."""
    return _ramp(-path.rate(path.boxes[:, 1]) / path.picture[1], 0.12)


def _event(path: Path, *, entering: bool) -> FloatArray:
    """The second after each coming into view, or before each going out of it."""
    grid, seen = path.times_s, path.seen
    step = grid[1] - grid[0] if len(grid) > 1 else 0.0
    result = np.zeros(len(grid))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(int)))
    for first, end in edges.reshape(-1, 2):
        if entering and first * step > path.blink_s:
            result[first : first + int(_EVENT_S * GRID_HZ)] = 1.0
        if not entering and (len(grid) - end) * step > path.blink_s:
            result[max(0, end - int(_EVENT_S * GRID_HZ)) : end] = 1.0
    return result


MOTIONS: dict[str, Callable[[Path], FloatArray]] = {
    "left": lambda p: _ramp(-p.rate(p.centres[:, 0]) / p.picture[0], 0.10),
    "right": lambda p: _ramp(p.rate(p.centres[:, 0]) / p.picture[0], 0.10),
    "up": _rise,
    "down": lambda p: _ramp(p.rate(p.centres[:, 1]) / p.picture[1], 0.12),
    "towards": lambda p: _ramp(p.rate(np.log(p.sizes)), 0.25),
    "away": lambda p: _ramp(-p.rate(np.log(p.sizes)), 0.25),
    "fast": lambda p: _ramp(_speed(p), 1.5),
    "move": lambda p: _ramp(_speed(p), 0.5),
    "slow": lambda p: _ramp(_speed(p), 0.15) * (1 - _ramp(_speed(p) - 0.3, 0.7)),
    "still": _still,
    "stop": _stop,
    "jump": _jump,
    "lower": _lowered,
    "enter": lambda p: _event(p, entering=True),
    "leave": lambda p: _event(p, entering=False),
}
"""Motions over time: each takes a path and gives (M,) in [0, 1]."""


def motion_signal(name: str, path: Path) -> FloatArray:
    """Strength of a motion over time, 0 where the object is not seen, (M,) in [0, 1]."""
    return np.asarray(MOTIONS[name](path) * path.seen)


def relation_signal(relation: Relation, path: Path, other: Path) -> FloatArray:
    """How well two objects stand in a relation over time, (M,) in [0, 1].

    ``with`` is nearness of the boxes (1 when they touch, 0 from three quarters of the larger
    object's size on); ``above``, ``left_of`` and their kin compare centres; ``approach`` and
    ``recede`` are the change of their distance in own sizes a second.
    """
    larger = np.maximum(path.sizes, other.sizes)
    gaps = np.maximum(
        np.maximum(path.boxes[:, :2] - other.boxes[:, 2:], other.boxes[:, :2] - path.boxes[:, 2:]),
        0,
    )  # (M, 2)
    distance = np.linalg.norm(gaps, axis=1)
    offset = (path.centres - other.centres) / larger[:, None]
    if relation.kind in ("above", "below"):
        sign = -1 if relation.kind == "above" else 1
        signal = _ramp(sign * offset[:, 1], 0.5)
    elif relation.kind in ("left_of", "right_of"):
        sign = -1 if relation.kind == "left_of" else 1
        signal = _ramp(sign * offset[:, 0], 0.5)
    elif relation.kind in ("approach", "recede"):
        apart = np.linalg.norm(path.centres - other.centres, axis=1)
        sign = -1 if relation.kind == "approach" else 1
        signal = _ramp(sign * path.rate(apart) / path.sizes, 0.5)
    else:
        signal = 1 - _ramp(distance, 0.75 * float(np.median(larger)))
    return np.asarray(signal * path.seen * other.seen)


def class_score(thing: Thing, item: SceneObject) -> float:
    """Share of the detector's confidence that went to what the noun may mean, in [0, 1]."""
    return sum(share * thing.classes.get(name, 0.0) for name, share in item.label_shares.items())


def colour_scores(thing: Thing, item: SceneObject) -> dict[str, float]:
    """For each colour asked for, how much of its part shows it; 1 from a third of it on."""
    return {
        f"{colour.word} ({colour.part})": min(1.0, 3 * _share(colour, item))
        for colour in thing.colours
    }


def _share(colour: Colour, item: SceneObject) -> float:
    """Share of the pixels of the colour's part that bear one of its names."""
    row = item.colours[PARTS.index(colour.part)]
    return float(sum(row[[name in colour.names for name in COLOURS]]))


def size_of(path: Path) -> float:
    """Usual side of the object as a square, as a share of the picture's, in [0, 1]."""
    if not path.seen.any():
        return 0.0
    return float(np.median(path.sizes[path.seen]) / np.sqrt(np.prod(path.picture)))


def size_score(word: str, path: Path, rivals: Sequence[Path]) -> float:
    """How big or small the object is beside the largest or smallest rival, in (0, 1]."""
    sizes = [size_of(rival) for rival in rivals]
    own = size_of(path)
    return own / max(sizes) if word == "big" else min(sizes) / own


def position_score(word: str, path: Path) -> float:
    """How well the usual place in the picture fits the word, in [0, 1]."""
    x, y = np.median(path.centres[path.seen], axis=0) / path.picture
    lowest = float(np.median(path.boxes[path.seen, 3])) / path.picture[1]
    places = {
        "left": 1.0 - x,
        "right": x,
        "middle": 1.0 - 2 * abs(x - 0.5),
        "top": 1.0 - y,
        "bottom": y,
        "near": lowest,
        "far": 1.0 - lowest,
    }
    return float(places[word])


def best_segment(signal: FloatArray, threshold: float) -> tuple[int, int]:
    """The stretch ``[first, end)`` of the grid with the largest sum of ``signal - threshold``.

    The maximum-sum run (Kadane): it bridges short dips and leaves out long ones.

    Example:
        >>> best_segment(np.array([0, 1, 1, 0, 1, 0, 0, 0]), 0.4)
        (1, 5)
    """
    best, best_span, total, first = -np.inf, (0, 0), 0.0, 0
    for place, value in enumerate(signal - threshold):
        if total <= 0:
            total, first = 0.0, place
        total += float(value)
        if total > best + 1e-12:
            best, best_span = total, (first, place + 1)
    return best_span

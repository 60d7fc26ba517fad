"""Two objects that a detector takes for one while they touch.

One of them goes on with a box around both, the other is lost. Where that happens is seen from the
tracks: a box grows at once, around the place where an object that is no longer seen should be. The
box is then divided: both keep the size they had, each of its four sides is a side of one of them,
and of the ways to do that the one nearest to where the two were heading is taken. Done forwards and
then backwards in time, so that objects that touch from the first frame on are told apart too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stvg.geometry.boxes import box_area
from stvg.types import FloatArray, IntArray, Track, VideoMeta

_GROWN = 1.25  # times its area that a box around two has at least
_INSIDE = 0.6  # share of the lost object's expected box that lies in it
_RECENT_S = 0.5  # since the lost object was last seen


def divide_merged(
    tracks: Sequence[Track], meta: VideoMeta, looks: IntArray, borders: Sequence[int]
) -> tuple[Track, ...]:
    """Tracks with boxes around two objects divided between them.

    Args:
        tracks: Boxes in frames that were looked at.
        meta: The video.
        looks: Numbers of the frames that were looked at, (T,) increasing.
        borders: Frames with which a shot begins; nothing is expected across them.

    Returns:
        The same tracks in the same order; boxes that were added have score 0.
    """
    boxes = np.full((len(tracks), len(looks), 4), np.nan)
    for row, track in enumerate(tracks):
        boxes[row, np.searchsorted(looks, track.frames)] = track.boxes
    shot = np.searchsorted(borders, looks, side="right")
    times_s = meta.times_s[looks]
    for order in (range(len(looks)), reversed(range(len(looks)))):
        _divide(boxes, times_s, shot, order)
    return tuple(_with_boxes(track, looks, rows) for track, rows in zip(tracks, boxes, strict=True))


@dataclass(frozen=True, slots=True)
class _State:
    """Where an object was last, and how fast it went: pixels and pixels a second, (4,)."""

    box: FloatArray
    speed: FloatArray
    time_s: float
    shot: int

    def expected(self, time_s: float) -> FloatArray:
        return self.box + self.speed * (time_s - self.time_s)


def _divide(boxes: FloatArray, times_s: FloatArray, shot: IntArray, order: Iterable[int]) -> None:
    """Divide boxes (K, T, 4) in one direction of time, in place."""
    states: dict[int, _State] = {}
    for t in order:
        live = {
            row: state
            for row, state in states.items()
            if state.shot == shot[t] and abs(times_s[t] - state.time_s) <= _RECENT_S
        }
        seen = np.flatnonzero(np.isfinite(boxes[:, t, 0]))
        lost = set(live) - set(seen.tolist())
        for row in seen.tolist():
            if row not in live or not lost:
                continue
            whole = boxes[row, t].copy()
            if box_area(whole[None])[0] < _GROWN * box_area(live[row].box[None])[0]:
                continue
            best = max(lost, key=lambda other: _inside(live[other].expected(times_s[t]), whole))
            expected = live[best].expected(times_s[t])
            if _inside(expected, whole) >= _INSIDE:
                boxes[row, t], boxes[best, t] = _shares(
                    whole, live[row].expected(times_s[t]), expected
                )
                lost.discard(best)
        for row in np.flatnonzero(np.isfinite(boxes[:, t, 0])).tolist():
            states[row] = _next(live.get(row), boxes[row, t], float(times_s[t]), int(shot[t]))


def _next(before: _State | None, box: FloatArray, time_s: float, shot: int) -> _State:
    """The state of an object that is seen again; only its place has a speed, not its size."""
    if before is None:
        return _State(box, np.zeros(4), time_s, shot)
    way = (box[:2] + box[2:] - before.box[:2] - before.box[2:]) / 2
    return _State(box, np.tile(way, 2) / (time_s - before.time_s), time_s, shot)


def _inside(box: FloatArray, whole: FloatArray) -> float:
    """Share of a box that lies in another one."""
    sides = np.minimum(box[2:], whole[2:]) - np.maximum(box[:2], whole[:2])
    return float(np.prod(np.maximum(sides, 0)) / max(np.prod(box[2:] - box[:2]), 1e-9))


def _shares(whole: FloatArray, first: FloatArray, second: FloatArray) -> list[FloatArray]:
    """A box around two objects as their two boxes, given where each was expected."""
    found = [np.empty(4), np.empty(4)]
    for axis in (0, 1):
        low, high = float(whole[axis]), float(whole[axis + 2])
        sizes = [min(float(box[axis + 2] - box[axis]), high - low) for box in (first, second)]
        wishes = [float(box[axis]) for box in (first, second)]
        choices = [
            {low, high - size, min(max(wish, low), high - size)}
            for size, wish in zip(sizes, wishes, strict=True)
        ]

        def cost(
            starts: tuple[float, ...],
            wishes: Sequence[float] = wishes,
            sizes: Sequence[float] = sizes,
            ends: tuple[float, float] = (low, high),
        ) -> float:
            reach = max(start + size for start, size in zip(starts, sizes, strict=True))
            open_sides = (min(starts) - ends[0]) + (ends[1] - reach)
            moved = sum(abs(start - wish) for start, wish in zip(starts, wishes, strict=True))
            return 100 * open_sides + moved

        best = min(sorted(itertools.product(*map(sorted, choices))), key=cost)
        for box, start, size in zip(found, best, sizes, strict=True):
            box[axis], box[axis + 2] = start, start + size
    return found


def _with_boxes(track: Track, looks: IntArray, rows: FloatArray) -> Track:
    """The track with boxes (T, 4) in the frames ``looks``, NaN for none."""
    there = np.flatnonzero(np.isfinite(rows[:, 0]))
    frames = looks[there]
    scores = np.zeros(len(there))
    scores[np.isin(frames, track.frames)] = track.scores
    return replace(track, frames=frames, boxes=rows[there], scores=scores)

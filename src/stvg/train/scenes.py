"""Clips of the world as training material: small pictures and what is seen where in each step.

A step is what one visual token covers in time, two frames. Pictures are drawn at twice the model's
side and averaged, which comes close to what a reader makes of a large file. Labels are dense: for
every token of every step, which object it shows, and of every object its box, colour, kind and
motion within the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stvg.data.world import UNITS, ClipPlan, Figure, draw_clip
from stvg.data.world.parts import MOVES
from stvg.data.world.sprites import COLOURS, KINDS
from stvg.perception.painting import PaintStyle, paint
from stvg.train.fresh import MOTIONS
from stvg.types import ByteArray, FloatArray, IntArray

STEP_FRAMES = 2
"""Frames in a step."""
_COLOURS, _KINDS = tuple(COLOURS), tuple(KINDS)
_LEAST_COVER = 0.25  # of a cell, for an object to count as seen there
_STILL = 0.8  # units that a resting object stays under within a step
_IN_PLACE = {"grow": "grows", "shrink": "shrinks", "spin": "spins", "blink": "blinks"}


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Some steps of a clip with N objects.

    Attributes:
        frames: RGB, (2 S, side, side, 3) uint8.
        cells: Object that each token shows, -1 for none, (S, rows * columns) int64.
        frame_boxes: Box of each object in each frame, xyxy as shares of the side, (N, 2 S, 4); NaN
            where it is not in the picture.
        boxes: The same averaged over the frames of each step, (N, S, 4).
        colours: Colour of each object, (N,), number in ``COLOURS``.
        kinds: Kind of each object, (N,), number in ``KINDS``.
        motions: What each object does in each step, (N, S), number in ``MOTIONS``.
        changes: Way across, way down and growth from the first to the second frame of each step,
            shares of the side, (N, S, 3); 0 where it is not in both.
        painted: Number on each object, (N,); 0 for none.
    """

    frames: ByteArray
    cells: IntArray
    frame_boxes: FloatArray
    boxes: FloatArray
    colours: IntArray
    kinds: IntArray
    motions: IntArray
    changes: FloatArray
    painted: IntArray


def make_scene(
    plan: ClipPlan,
    steps: Sequence[int],
    *,
    side: int,
    cell: int,
    numbers: Sequence[int] | None = None,
) -> Scene:
    """Draw and label some steps of a planned clip.

    Args:
        plan: The clip.
        steps: Numbers of the steps, ``frames / 2`` of them there are.
        side: Width and height of the pictures in pixels.
        cell: Pixels that one token covers across and down.
        numbers: What to paint on each object, default nothing; painted as for ``stvg_r1``.
    """
    shown = [STEP_FRAMES * step + k for step in steps for k in range(STEP_FRAMES)]
    drawn = draw_clip(plan, 2 * side, frames=shown)
    fine = drawn.frames.astype(np.uint16)
    rows = fine[:, ::2] + fine[:, 1::2]
    frames = ((rows[:, :, ::2] + rows[:, :, 1::2]) // 4).astype(np.uint8)  # means of 2 x 2 pixels
    if numbers is not None:
        places = dict(zip(numbers, drawn.boxes / 2, strict=True))
        frames = paint(frames, places, style=PaintStyle.for_model(side))
    pairs = (drawn.boxes / (2 * side)).reshape(len(plan.figures), len(steps), STEP_FRAMES, 4)
    some = np.isfinite(pairs[..., 0]).sum(axis=2)  # (N, S): frames in which it is there
    boxes = np.where(
        some[..., None] > 0, np.nansum(pairs, axis=2) / np.maximum(some, 1)[..., None], np.nan
    )
    first = np.array(steps) * STEP_FRAMES
    return Scene(
        frames,
        _cells(plan, boxes, plan.camera[shown, 0].reshape(-1, STEP_FRAMES).mean(1), side // cell),
        pairs.reshape(len(plan.figures), len(shown), 4),
        boxes,
        np.array([_COLOURS.index(figure.colour) for figure in plan.figures]),
        np.array([_KINDS.index(figure.kind) for figure in plan.figures]),
        np.stack([_motions(figure, first) for figure in plan.figures]),
        np.stack([_changes(figure, first) for figure in plan.figures]),
        np.array(numbers or [0] * len(plan.figures)),
    )


def _cells(plan: ClipPlan, boxes: FloatArray, camera: FloatArray, count: int) -> IntArray:
    """Which object each cell shows most of, later objects before earlier ones, (S, count^2).

    Args:
        plan: The clip.
        boxes: Of each object in each step, shares of the side, (N, S, 4).
        camera: How far the picture is shifted to the right in each step, units, (S,).
        count: Cells across and down.
    """
    edges = np.arange(count + 1) / count
    low, high = edges[:-1], edges[1:]
    known = np.nan_to_num(boxes, nan=-1.0)
    across = np.minimum(known[..., 2, None], high) - np.maximum(known[..., 0, None], low)
    down = np.minimum(known[..., 3, None], high) - np.maximum(known[..., 1, None], low)
    share = np.maximum(down, 0)[..., :, None] * np.maximum(across, 0)[..., None, :] * count**2
    middle_x, middle_y = (known[..., 0] + known[..., 2]) / 2, (known[..., 1] + known[..., 3]) / 2
    hidden = np.zeros(known.shape[:2], bool)
    for x1, x2 in plan.screens:
        hidden |= (middle_x * UNITS + camera >= x1) & (middle_x * UNITS + camera <= x2)
    share[hidden] = 0
    home_x = (middle_x[..., None] >= low) & (middle_x[..., None] < high)
    home_y = (middle_y[..., None] >= low) & (middle_y[..., None] < high)
    home = home_y[..., :, None] & home_x[..., None, :] & ~hidden[..., None, None]
    score = np.where(home, np.maximum(share, _LEAST_COVER), share)
    score = score + 1e-3 * np.arange(len(plan.figures))[:, None, None, None]  # who is in front
    best = score.argmax(axis=0)  # (S, rows, columns)
    return np.where(score.max(axis=0) >= _LEAST_COVER, best, -1).reshape(len(best), -1)


def _motions(figure: Figure, first: IntArray) -> IntArray:
    """What an object does in steps that begin with these frames, (S,)."""
    before = np.maximum(first - 1, 0)
    way = figure.centres[first + 1] - figure.centres[before]  # (S, 2)
    found = np.full(len(first), MOTIONS.index("stays"))
    for name, direction in MOVES.items():
        along = way @ np.array(direction, float)
        moves = (along > _STILL) & (along >= np.abs(way).max(axis=1) - 1e-9)
        found[moves] = MOTIONS.index(name)
    for event in figure.events:
        if event.action in _IN_PLACE:
            acts = (first + 1 >= event.start) & (first < event.end)
            found[acts] = MOTIONS.index(_IN_PLACE[event.action])
    return found


def _changes(figure: Figure, first: IntArray) -> FloatArray:
    """Way and growth within steps that begin with these frames, shares of the side, (S, 3)."""
    way = figure.centres[first + 1] - figure.centres[first]
    growth = figure.sizes[first + 1] - figure.sizes[first]
    both = figure.present[first] & figure.present[first + 1]
    return np.where(both[:, None], np.concatenate([way, growth[:, None]], axis=1), 0) / UNITS

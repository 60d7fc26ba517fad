"""Drawing a planned clip at any size, with exact boxes and visible masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stvg.data.world.parts import UNITS, ClipPlan, Figure
from stvg.data.world.sprites import sprite
from stvg.types import BoolArray, ByteArray, FloatArray

BACKGROUNDS = 48
"""How many different backgrounds there are."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnClip:
    """A clip in pixels.

    Attributes:
        frames: RGB of the drawn frames, (T, side, side, 3) uint8.
        boxes: Full extent of each figure clipped to the picture, xyxy pixels, (N, T, 4); NaN where
            it is not in the picture. What hides behind others keeps its box.
        masks: Visible pixels, (N, T, side, side) bool, or None when not asked for.
    """

    frames: ByteArray
    boxes: FloatArray
    masks: BoolArray | None


@lru_cache(maxsize=2)
def _backgrounds(side: int) -> ByteArray:
    """Soft textures of little colour, (48, 2 side, 2 side, 3) uint8, the same at every size."""
    from PIL import Image

    source = np.random.default_rng(7)
    made = []
    for _ in range(BACKGROUNDS):
        base = source.uniform(95, 175) + source.uniform(-14, 14, 3)
        coarse = source.normal(0, 14, (10, 10, 1)) + source.normal(0, 5, (10, 10, 3))
        soft = np.clip(base + coarse, 0, 255).astype(np.uint8)
        grown = Image.fromarray(soft).resize((2 * side, 2 * side), Image.Resampling.BICUBIC)
        made.append(np.asarray(grown))
    return np.stack(made)


def draw_clip(
    plan: ClipPlan,
    side: int = UNITS,
    *,
    masks: bool = False,
    frames: Sequence[int] | None = None,
) -> DrawnClip:
    """Draw a planned clip.

    Args:
        plan: The clip.
        side: Width and height in pixels.
        masks: Whether to give visible masks too.
        frames: Numbers of the frames to draw, in any order; default all.
    """
    wanted = range(plan.frames) if frames is None else frames
    scale = side / UNITS
    number, x, y = plan.background
    canvas = _backgrounds(side)[number]
    shift = np.round(plan.camera * scale).astype(int)  # (T, 2)
    pictures = np.empty((len(wanted), side, side, 3), np.uint8)
    boxes = np.full((len(plan.figures), len(wanted), 4), np.nan)
    visible = np.zeros((len(plan.figures), len(wanted), side, side), bool) if masks else None
    top = int(np.clip(y * scale, 0, side))
    for i, t in enumerate(wanted):
        left = int(np.clip(x * scale + shift[t, 0], 0, side))
        pictures[i] = canvas[top : top + side, left : left + side]
        for n, figure in enumerate(plan.figures):
            if figure.present[t]:
                cover = visible[:, i] if visible is not None else None
                boxes[n, i] = _draw_figure(pictures[i], figure, t, n, scale, shift[t], cover)
        for x1, x2 in plan.screens:
            first, end = (round(edge * scale) - shift[t, 0] for edge in (x1, x2))
            if end > 0:
                pictures[i, :, max(first, 0) : end] = (72, 74, 80)
                if visible is not None:
                    visible[:, i, :, max(first, 0) : end] = False
    return DrawnClip(pictures, boxes, visible)


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

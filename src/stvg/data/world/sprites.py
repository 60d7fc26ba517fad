"""The figures of the procedural world: eight kinds, each with an inner pattern of its own.

A kind is a drawing on the unit square in four tones: nothing, the object's colour, white, and dark.
Small models cannot tell plain silhouettes apart at 16 pixels; patterns they can. Drawings are
evaluated on a fine grid, turned, reduced by averaging, coloured and kept, so that drawing a frame
is copying small pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stvg.types import BoolArray, ByteArray, FloatArray

EMPTY, COLOUR, WHITE, DARK = 0, 1, 2, 3
_FINE = 4  # samples along each side of a pixel
_DARK_RGB, _WHITE_RGB = (28, 28, 34), (250, 250, 246)

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 40, 40),
    "green": (46, 160, 67),
    "blue": (38, 84, 214),
    "yellow": (240, 200, 30),
    "purple": (140, 60, 180),
    "orange": (240, 128, 20),
    "pink": (244, 130, 190),
    "teal": (20, 160, 170),
}
"""Colour words and their sRGB values. The first six are easy to tell apart; pink and teal lie
close to red and blue and appear at the hard level only."""
EASY_COLOURS = tuple(COLOURS)[:6]
TURNABLE = ("ball", "house", "flag", "bug", "kite", "cup")
"""Kinds that look different after a quarter turn."""

_Drawing = Callable[[FloatArray, FloatArray], NDArray[np.int8]]


def _paint(*layers: tuple[BoolArray, int]) -> NDArray[np.int8]:
    """Tones of a drawing, later layers over earlier ones."""
    tones = np.zeros(layers[0][0].shape, np.int8)
    for where, tone in layers:
        tones[where] = tone
    return tones


def _disc(x: FloatArray, y: FloatArray, cx: float, cy: float, radius: float) -> BoolArray:
    return np.asarray((x - cx) ** 2 + (y - cy) ** 2 <= radius**2)


def _box(x: FloatArray, y: FloatArray, x1: float, y1: float, x2: float, y2: float) -> BoolArray:
    return (x >= x1) & (x <= x2) & (y >= y1) & (y <= y2)


def _ball(x: FloatArray, y: FloatArray) -> NDArray[np.int8]:
    """A ball with a white belt."""
    round_ = _disc(x, y, 0.5, 0.5, 0.5)
    return _paint((round_, COLOUR), (round_ & (np.abs(y - 0.5) < 0.13), WHITE))


def _ring(x: FloatArray, y: FloatArray) -> NDArray[np.int8]:
    """A ring with a hole."""
    return _paint((_disc(x, y, 0.5, 0.5, 0.5), COLOUR), (_disc(x, y, 0.5, 0.5, 0.24), EMPTY))


def _house(x: FloatArray, y: FloatArray) -> NDArray[np.int8]:
    """A house with a white roof and a dark door."""
    roof = (y <= 0.45) & (np.abs(x - 0.5) <= y / 0.9)
    return _paint((_box(x, y, 0.1, 0.45, 0.9, 1), COLOUR), (roof, WHITE),
                  (_box(x, y, 0.4, 0.65, 0.6, 1), DARK))  # fmt: skip


def _flag(x: FloatArray, y: FloatArray) -> NDArray[np.int8]:
    """A striped cloth on a dark pole."""
    cloth = _box(x, y, 0.12, 0.05, 1, 0.65)
    stripe = cloth & (((y - 0.05) / 0.2).astype(int) % 2 == 1)
    return _paint((cloth, COLOUR), (stripe, WHITE), (_box(x, y, 0, 0, 0.14, 1), DARK))


def _target(x: FloatArray, y: FloatArray) -> NDArray[np.int8]:
    """Rings around a dark point."""
    return _paint((_disc(x, y, 0.5, 0.5, 0.5), COLOUR), (_disc(x, y, 0.5, 0.5, 0.35), WHITE),
                  (_disc(x, y, 0.5, 0.5, 0.18), DARK))  # fmt: skip


def _bug(x: FloatArray, y: FloatArray) -> NDArray[np.int8]:
    """A round body with a dark head and dots."""
    body = _disc(x, y, 0.5, 0.58, 0.42)
    dots = [_disc(x, y, cx, cy, 0.1) for cx, cy in ((0.32, 0.55), (0.68, 0.55), (0.5, 0.82))]
    return _paint(
        (_disc(x, y, 0.5, 0.2, 0.2), DARK), (body, COLOUR), *((dot, DARK) for dot in dots)
    )


def _kite(x: FloatArray, y: FloatArray) -> NDArray[np.int8]:
    """A diamond, one half white."""
    diamond = np.abs(x - 0.5) + np.abs(y - 0.5) <= 0.5
    return _paint((diamond, COLOUR), (diamond & (x > 0.5), WHITE))


def _cup(x: FloatArray, y: FloatArray) -> NDArray[np.int8]:
    """A cup with a handle and a white rim."""
    body = (y >= 0.1) & (np.abs(x - 0.4) <= 0.4 - 0.12 * y)
    handle = _disc(x, y, 0.76, 0.5, 0.24) & ~_disc(x, y, 0.76, 0.5, 0.12)
    return _paint((handle, DARK), (body, COLOUR), (body & (y <= 0.3), WHITE))


KINDS: dict[str, _Drawing] = {
    "ball": _ball, "ring": _ring, "house": _house, "flag": _flag,
    "target": _target, "bug": _bug, "kite": _kite, "cup": _cup,
}  # fmt: skip
"""Kinds of object; a drawing takes x and y in [0, 1] and gives a tone."""


@lru_cache(maxsize=20_000)
def sprite(
    kind: str, colour: str, size: int, quarter_turns: int = 0
) -> tuple[ByteArray, NDArray[np.uint16]]:
    """An object as a small picture.

    Args:
        kind: One of :data:`KINDS`.
        colour: One of :data:`COLOURS`.
        size: Side in pixels.
        quarter_turns: Rotation, clockwise.

    Returns:
        RGB times coverage (size, size, 3) uint8 and coverage (size, size, 1) uint16 in 0..256, so
        that ``over * (256 - coverage) / 256 + rgb`` draws it. Both read-only.
    """
    fine = size * _FINE
    place = (np.arange(fine) + 0.5) / fine
    tones = np.rot90(KINDS[kind](*np.meshgrid(place, place)), -quarter_turns)
    palette = np.array([(0, 0, 0), COLOURS[colour], _WHITE_RGB, _DARK_RGB], np.float64)
    blocks = (size, _FINE, size, _FINE)
    rgb = palette[tones].reshape(*blocks, 3).mean(axis=(1, 3))
    cover = (tones != EMPTY).reshape(blocks).mean(axis=(1, 3))
    picture = np.round(rgb).astype(np.uint8)
    coverage = np.round(cover * 256).astype(np.uint16)[..., None]
    picture.setflags(write=False)
    coverage.setflags(write=False)
    return picture, coverage

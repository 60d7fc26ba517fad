"""The colours of an object in the words people use for them.

A box is described by the share of its pixels that carries each of eleven basic colour words
(Berlin and Kay, 1969), for the whole object and apart for its upper and lower half, because
"a woman in jeans" and "a man in a red shirt" speak of halves. The same description tells whether
two pieces of track show the same object (:mod:`stvg.perception.join`).

Colours are named by rules on lightness, chroma and hue of CIELAB (CIE 1976, D65), worked out once
for a table of 32x32x32 colours. The limits between names are ours; there is no standard for them.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stvg.types import BoolArray, ByteArray, FloatArray

ColourName = Literal[
    "black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"
]
COLOURS: tuple[ColourName, ...] = (
    "black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown",
)  # fmt: skip
PARTS: tuple[str, ...] = ("whole", "upper", "lower")

# Region of a box looked at for each part: left, top, right, bottom as shares of the box. The rim
# is left out because it mostly shows the background.
_REGIONS = {
    "whole": (0.15, 0.08, 0.85, 0.95),
    "upper": (0.22, 0.18, 0.78, 0.50),
    "lower": (0.22, 0.52, 0.78, 0.92),
}
_SAMPLES = 24  # pixels taken along each side of a region


def lab_from_rgb(rgb: ByteArray) -> FloatArray:
    """CIELAB (L* 0..100, a*, b*) of 8-bit sRGB colours, last axis 3; D65 white, 2 degrees.

    Example:
        >>> lab_from_rgb(np.array([255, 0, 0], np.uint8)).round(0).tolist()
        [53.0, 80.0, 67.0]
    """
    value = np.arange(256) / 255
    linear_of = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    linear = linear_of[np.asarray(rgb, np.uint8)]
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
         [0.0193339, 0.1191920, 0.9503041]]
    )  # fmt: skip
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def name_colours(rgb: ByteArray) -> NDArray[np.int8]:
    """Index into :data:`COLOURS` for 8-bit sRGB colours, last axis 3.

    Example:
        >>> [COLOURS[i] for i in name_colours(np.array([[200, 20, 30], [70, 105, 150]], np.uint8))]
        ['red', 'blue']
    """
    light, a, b = np.moveaxis(lab_from_rgb(rgb), -1, 0)
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    rosy = (hue >= 335) | (hue < 8)
    wine = (hue >= 356) | (hue < 20)
    rules: list[tuple[ColourName, BoolArray]] = [  # the first that holds
        ("black", (light < 9) | ((light < 24) & (chroma < 14))),
        ("white", (light > 86) & (chroma < 16)),
        ("grey", (chroma < 10) | ((hue >= 200) & (hue < 302) & (chroma < 13))),
        # Reds and pinks: what is light or leans to blue is pink.
        ("pink", ((hue < 20) & (light > 58)) | (rosy & (light > 42) & (chroma > 28))),
        ("purple", (hue >= 322) & (hue < 356) & (light <= 42)),
        ("red", wine & (chroma > 28)),
        ("brown", wine & (light < 50)),
        ("pink", (hue >= 20) & (hue < 45) & (light > 66)),
        ("red", (hue >= 20) & (hue < 45) & (chroma > np.minimum(38, 2 * light))),
        # Warm colours: strong ones are orange or yellow, pale ones white or skin, the rest brown.
        ("orange", (hue >= 45) & (hue < 75) & (chroma > 52) & (light > 48)),
        ("yellow", (hue >= 75) & (hue < 112) & (chroma > 34) & (light > 58)),
        ("pink", (hue >= 20) & (hue < 72) & (chroma > 18) & (light > 80)),
        ("white", (hue >= 20) & (hue < 112) & (light > 80)),
        ("brown", (hue >= 20) & (hue < 98)),
        # Cold colours. Pure blue has hue 306 in CIELAB.
        ("green", (hue >= 98) & (hue < 192)),
        ("blue", (hue >= 192) & (hue < np.where(light > 48, 304, 309.5))),
        ("purple", (hue >= 304) & ((hue < 322) | ((hue < 335) & (light < 58)))),
    ]
    names = np.select(
        [holds for _, holds in rules],
        [COLOURS.index(name) for name, _ in rules],
        COLOURS.index("pink"),
    )
    return names.astype(np.int8)


@cache
def _table() -> NDArray[np.int8]:
    """Colour names of the centres of 32 x 32 x 32 cells of sRGB."""
    centres = (np.arange(32) * 8 + 4).astype(np.uint8)
    grid = np.stack(np.meshgrid(centres, centres, centres, indexing="ij"), axis=-1)
    return name_colours(grid)


def describe_box(frame: ByteArray, box: FloatArray) -> FloatArray:
    """Share of each colour word in the parts of a box.

    Args:
        frame: RGB picture (H, W, 3) uint8.
        box: ``xyxy`` in pixels of this picture; may reach over its edge.

    Returns:
        (3, 11) float64: rows :data:`PARTS`, columns :data:`COLOURS`; a row sums to 1, or is all
        zero when the part lies outside the picture.
    """
    height, width = frame.shape[:2]
    x1, y1, x2, y2 = (float(value) for value in box)
    shares = np.zeros((len(PARTS), len(COLOURS)))
    for row, part in enumerate(PARTS):
        left, top, right, bottom = _REGIONS[part]
        steps = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
        columns = x1 + (x2 - x1) * (left + (right - left) * steps)
        rows = y1 + (y2 - y1) * (top + (bottom - top) * steps)
        columns = np.unique(columns[(columns >= 0) & (columns < width)].astype(int))
        rows = np.unique(rows[(rows >= 0) & (rows < height)].astype(int))
        if not len(columns) or not len(rows):
            continue
        cells = frame[np.ix_(rows, columns)] >> 3  # (h, w, 3)
        names = _table()[cells[..., 0], cells[..., 1], cells[..., 2]]
        shares[row] = np.bincount(names.ravel(), minlength=len(COLOURS)) / names.size
    return shares


def similarity(a: FloatArray, b: FloatArray) -> float:
    """Likeness in [0, 1] of two colour descriptions (3, 11): mean histogram intersection."""
    return min(1.0, float(np.minimum(a, b).sum(axis=1).mean()))
